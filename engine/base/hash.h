/* SHA-256 and secret comparison (OpenSSL). Thread: any. */
#ifndef SEEKD_BASE_HASH_H
#define SEEKD_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { HASH_SHA256_BYTES = 32, HASH_SHA256_HEX = 65 };

bool hash_sha256(const void *data, size_t len, uint8_t out[HASH_SHA256_BYTES], struct err *e)
    WARN_UNUSED;
/* The same of a file, read in pieces from its beginning to its end; `progress` (may be NULL) hears of
 * bytes done and bytes in all after each piece. Errors: ERR_NOT_FOUND, ERR_IO. */
typedef void hash_progress_fn(void *ctx, uint64_t done, uint64_t all);
bool hash_file(const char *path, hash_progress_fn *progress, void *ctx,
               uint8_t out[HASH_SHA256_BYTES], struct err *e) WARN_UNUSED;
/* Lower-case hexadecimal with terminator. */
void hash_hex(const uint8_t digest[HASH_SHA256_BYTES], char out[HASH_SHA256_HEX]);
/* True when equal; the time taken does not depend on where they differ. */
bool hash_equal(const uint8_t a[HASH_SHA256_BYTES], const uint8_t b[HASH_SHA256_BYTES]);
/* Cryptographically strong random bytes. */
bool hash_random(void *out, size_t len, struct err *e) WARN_UNUSED;

#endif
