/* Sealed files: AES-256-GCM in chunks. Internal to store/.
 *
 * A file is a head (32 bytes: magic "SEEKDBK1", chunk size, zeros, 16 random bytes), chunks, an end
 * marker, nothing more. The key of a file is HMAC-SHA256(key, head), so that nonces may simply
 * count and no byte of the head can change unseen. A chunk is its length (4 bytes, little endian;
 * the top bit marks the end), the ciphertext and a tag of 16 bytes; nonce = its number, associated
 * data = number and length. The end marker seals the total length. Chunks cannot be swapped, left
 * out, cut off or added.
 */
#ifndef SEEKD_STORE_SEAL_H
#define SEEKD_STORE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SEAL_KEY_BYTES = 32, SEAL_HEAD_BYTES = 32, SEAL_CHUNK_BYTES = 1 << 20 };

/* Does a file that begins like this claim to be sealed? `len` bytes are there. */
bool seal_recognize(const uint8_t *head, size_t len);

/* Both read from `in` to its end; descriptors are borrowed, at their begin. ERR_FORMAT: changed,
 * cut or sealed with another key. `out` -1: only checks. What was written is worth nothing after a
 * failure. */
bool seal_file(int in, int out, const uint8_t key[SEAL_KEY_BYTES], struct err *e) WARN_UNUSED;
bool seal_open(int in, int out, const uint8_t key[SEAL_KEY_BYTES], struct err *e) WARN_UNUSED;

/* read(2) and write(2) until all is done. *got < len: the end of the file. */
bool seal_read(int fd, void *buf, size_t len, size_t *got, struct err *e) WARN_UNUSED;
bool seal_write(int fd, const void *buf, size_t len, struct err *e) WARN_UNUSED;

#endif
