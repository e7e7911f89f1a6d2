/* The API keys that are let in. Only their SHA-256 is kept; the keys themselves are forgotten.
 *
 * A key file has one key per line, either the key itself or "sha256:" and 64 hexadecimal digits;
 * empty lines and lines that begin with # are skipped.
 * Thread: built by one, then read-only and shared by all.
 */
#ifndef SEEKD_AUTH_KEYRING_H
#define SEEKD_AUTH_KEYRING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { KEYRING_KEY_TEXT = 3 + 64 + 1, KEYRING_MIN_KEY = 16, KEYRING_MAX_KEY = 256,
       KEYRING_ID_TEXT = 9 };

struct keyring;

struct keyring *keyring_create(void);
void keyring_destroy(struct keyring **k);
size_t keyring_count(const struct keyring *k);

/* 16 to 256 printable characters without spaces, else ERR_ARG. */
bool keyring_add(struct keyring *k, const char *key, struct err *e) WARN_UNUSED;
/* Errors: ERR_NOT_FOUND (no such file), ERR_IO, ERR_FORMAT (names the line), ERR_ARG (no key). */
bool keyring_load(struct keyring *k, const char *path, struct err *e) WARN_UNUSED;

/* Makes a new random key ("sk-" and 64 hexadecimal digits). */
bool keyring_generate(char key[KEYRING_KEY_TEXT], struct err *e) WARN_UNUSED;
/* Creates the file (mode 0600, must not exist) holding the hash of `key`. */
bool keyring_store(const char *path, const char *key, struct err *e) WARN_UNUSED;

/* True when `key` is one of the ring. Every entry is compared, each in constant time. `id` gets the
 * first 8 hexadecimal digits of the key's hash, for logs. */
bool keyring_check(const struct keyring *k, const char *key, size_t len,
                   char id[KEYRING_ID_TEXT]);

#endif
