/* Random secrets as text: 32 bytes in base64url without padding (RFC 4648, section 5). Internal to
 * auth/. Thread: any. */
#ifndef SEEKD_AUTH_TOKEN_H
#define SEEKD_AUTH_TOKEN_H

#include <stdint.h>

enum { TOKEN_BYTES = 32, TOKEN_CHARS = 43, TOKEN_TEXT = TOKEN_CHARS + 1 };

void token_text(const uint8_t bytes[TOKEN_BYTES], char text[TOKEN_TEXT]);

#endif
