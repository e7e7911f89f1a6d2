/* What an X.509 certificate in a PEM file says, for whoever looks after the installation. Nothing here
 * decides about a connection. No state, any thread.
 */
#ifndef SEEKD_AUTH_CERTIFICATE_H
#define SEEKD_AUTH_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { CERTIFICATE_NAME_TEXT = 200 };

struct certificate {
    char name[CERTIFICATE_NAME_TEXT]; /* common name of the subject, else the whole subject */
    int64_t from_s, until_s;          /* valid within, seconds since the epoch */
};

/* Reads every certificate of the file in its order and calls `fn`; false ends the reading. *n = how many
 * there are. Errors: ERR_NOT_FOUND, ERR_IO, ERR_FORMAT (none in it, or one is damaged). */
typedef bool certificate_fn(void *ctx, const struct certificate *c);
bool certificate_each(const char *path, certificate_fn *fn, void *ctx, size_t *n,
                      struct err *e) WARN_UNUSED;

/* Whether the private key in `key_path` (PEM, not encrypted) belongs to the first certificate of `path`:
 * ERR_CONFLICT when it does not; else the errors of reading. */
bool certificate_check_key(const char *path, const char *key_path, struct err *e) WARN_UNUSED;

/* Whether the first certificate of `path` holds for `host`, a DNS name or an address: ERR_CONFLICT when
 * it does not; else the errors of reading. */
bool certificate_check_host(const char *path, const char *host, struct err *e) WARN_UNUSED;

#endif
