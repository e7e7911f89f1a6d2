/* Owns: our use of OpenSSL's digest, random and constant-time comparison. */
#include <config.h>

#include "base/hash.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

bool hash_sha256(const void *data, size_t len, uint8_t out[HASH_SHA256_BYTES], struct err *e)
{
    unsigned int n = 0;
    if (EVP_Digest(data, len, out, &n, EVP_sha256(), NULL) != 1 || n != HASH_SHA256_BYTES)
        FAIL(e, ERR_INTERNAL, "OpenSSL cannot compute SHA-256");
    return true;
}

void hash_hex(const uint8_t digest[HASH_SHA256_BYTES], char out[HASH_SHA256_HEX])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < HASH_SHA256_BYTES; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[HASH_SHA256_HEX - 1] = '\0';
}

bool hash_equal(const uint8_t a[HASH_SHA256_BYTES], const uint8_t b[HASH_SHA256_BYTES])
{
    return CRYPTO_memcmp(a, b, HASH_SHA256_BYTES) == 0;
}

bool hash_random(void *out, size_t len, struct err *e)
{
    if (len > INT_MAX || RAND_bytes(out, (int)len) != 1)
        FAIL(e, ERR_INTERNAL, "OpenSSL has no random numbers to give");
    return true;
}
