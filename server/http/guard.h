/* The checks on an HTTP request's head that libmicrohttpd 0.9.75 leaves out: a request that two
 * programs could read in two ways is refused, not interpreted. Facts are collected once from the
 * connection; the rules are plain functions on them. Thread: any, no state.
 */
#ifndef SEEKD_HTTP_GUARD_H
#define SEEKD_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/errors.h"

struct MHD_Connection;

enum { GUARD_MAX_FIELDS = 100 };

struct guard_field {
    unsigned count;
    const char *value; /* first one; borrowed from the connection for the request; NULL = none */
};

struct guard_head {
    struct guard_field host, content_length, transfer_encoding, content_type, content_encoding,
        authorization, x_api_key, expect, csrf_token, if_match, reason, cookie, user_agent, origin,
        sec_fetch_site;
    char *basic_password; /* of 'Authorization: Basic': the API key of clients that know nothing else;
                           * owned, see guard_release */
    unsigned n_fields;
    bool bad_name;  /* a field name with other than token characters (such as a space) */
    bool bad_value; /* a field value with control characters */
    bool bad_lines; /* a line not ended by CR LF, continued on the next one, or with a NUL */
};

/* Collects the facts. `method` and `version` as microhttpd hands them to the request callback: they
 * and the fields point into the head as it was received, which shows how its lines ended. */
void guard_read(struct MHD_Connection *mhd, const char *method, const char *version,
                struct guard_head *out);
void guard_release(struct guard_head *h);
/* Adds one header field to the facts (what guard_read does for each). */
void guard_add(struct guard_head *h, const char *name, size_t name_len, const char *value,
               size_t value_len);

/* The request target as sent, before any decoding; NULL when there was none. */
bool guard_check_target(const char *target, struct api_error *e) WARN_UNUSED;

/* Framing and syntax of everything else. */
bool guard_check(const struct guard_head *h, const char *version, struct api_error *e) WARN_UNUSED;

/* Body rules of a route that takes JSON up to `limit` bytes: type, encoding, announced length.
 * *length = Content-Length, or `limit` for a chunked body. No body needs no type. */
bool guard_check_body(const struct guard_head *h, size_t limit, size_t *length,
                      struct api_error *e) WARN_UNUSED;

/* True when a body is announced. */
bool guard_has_body(const struct guard_head *h);

/* True when the Host names this machine itself (localhost, 127.x.x.x, [::1]), with or without a
 * port, or one of the names in `allowed` (separated by commas or spaces; NULL = none). */
bool guard_host_allowed(const char *host, const char *allowed);

/* False when a browser says that a page from elsewhere sends this: Origin other than the Host (of https,
 * when `https`), or Sec-Fetch-Site other than same-origin. Clients other than
 * browsers send neither. */
bool guard_same_origin(const struct guard_head *h, bool https);

/* The one credential of the request: *key borrowed, NULL when there is none. False when there are
 * two, or one that cannot be read. */
bool guard_credential(const struct guard_head *h, const char **key, size_t *len,
                      struct api_error *e) WARN_UNUSED;

#endif
