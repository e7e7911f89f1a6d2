/* Owns: the text form of random secrets. */
#include <config.h>

#include "auth/token.h"

void token_text(const uint8_t bytes[TOKEN_BYTES], char text[TOKEN_TEXT])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int n_bits = 0, n = 0;
    for (int i = 0; i < TOKEN_BYTES; i++) {
        bits = bits << 8 | bytes[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            text[n++] = digits[bits >> (n_bits - 6) & 63];
    }
    text[n++] = digits[bits << (6 - n_bits) & 63];
    text[n] = '\0';
}
