/* Sealing small secrets at rest: AES-256-GCM, a random 12-byte nonce per text. No state, any thread.
 *
 * The key lives in a file of its own beside the configuration, so that a copy of the database says
 * nothing: 64 hexadecimal digits and a line feed, readable by its owner only.
 */
#ifndef SEEKD_AUTH_VAULT_H
#define SEEKD_AUTH_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { VAULT_KEY_BYTES = 32, VAULT_NONCE_BYTES = 12, VAULT_TAG_BYTES = 16 };

/* Encrypts `bytes` bytes of `plain`; writes a fresh nonce and bytes + VAULT_TAG_BYTES to `sealed`.
 * `name` is not stored but must be the same when opening. */
bool vault_close(const uint8_t key[VAULT_KEY_BYTES], const char *name, const void *plain, size_t bytes,
                uint8_t nonce[VAULT_NONCE_BYTES], uint8_t *sealed, struct err *e) WARN_UNUSED;
/* The reverse: writes bytes - VAULT_TAG_BYTES to `plain`. ERR_DAMAGED when anything differs, the key or
 * the name included; `plain` then holds zeros. */
bool vault_open(const uint8_t key[VAULT_KEY_BYTES], const char *name,
               const uint8_t nonce[VAULT_NONCE_BYTES], const uint8_t *sealed, size_t bytes, void *plain,
               struct err *e) WARN_UNUSED;
/* Overwrites memory in a way that is not optimized away. */
void vault_wipe(void *p, size_t bytes);

/* Reads the key file; creates it (0600) when it does not exist. ERR_ARG when others may read it. */
bool vault_key_file(const char *path, uint8_t key[VAULT_KEY_BYTES], struct err *e) WARN_UNUSED;

#endif
