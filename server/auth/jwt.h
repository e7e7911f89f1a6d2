/* ID tokens: JSON Web Tokens (RFC 7519, 7515) checked as OpenID Connect Core 1.0, 3.1.3.7 says,
 * with the issuer's public keys (JWK set, RFC 7517).
 *
 * Signatures RS256, PS256 and ES256. Everything else is refused: `none`, HS* (a public key must
 * never serve as a shared secret), tokens with `crit`. The key is chosen from the set only, never
 * from the token (`jwk`, `jku`, `x5u` are not looked at), and a key serves only algorithms of its
 * own type. Nothing of the claims is read before the signature holds. JSON with twice the same key
 * is refused, and so is base64url that is not in its one canonical form. Thread: any; a key set is
 * read-only once made.
 */
#ifndef SEEKD_AUTH_JWT_H
#define SEEKD_AUTH_JWT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    JWT_MAX_BYTES = 16384,
    JWT_KEYS_MAX_BYTES = 65536,
    JWT_MAX_KEYS = 32,
    JWT_RSA_MIN_BITS = 2048,
    JWT_RSA_MAX_BITS = 8192,
    JWT_LEEWAY_S = 60 /* clocks may differ by so much */
};

struct jwt_keys;

/* Keys that we cannot use (encryption, symmetric, other curves, weak or malformed ones) are
 * skipped, as RFC 7517 section 5 asks. Errors: ERR_FORMAT (not a key set, no usable key),
 * ERR_LIMIT. */
bool jwt_keys_parse(const char *json, size_t len, struct jwt_keys **out, struct err *e) WARN_UNUSED;
void jwt_keys_destroy(struct jwt_keys **keys);
size_t jwt_keys_count(const struct jwt_keys *keys);

/* What the token must say. Strings borrowed. */
struct jwt_expect {
    const char *issuer;   /* equal, byte by byte */
    const char *audience; /* our client id: in `aud`, and `azp` when there is one */
    const char *nonce;    /* NULL = none was sent */
    int64_t now_s;        /* seconds since the epoch */
};

/* Checks signature, iss, aud, azp, exp, nbf, iat, nonce and that there is a sub. *claims is the
 * owned payload (json_decref), NULL on failure. Errors: ERR_LIMIT (size), ERR_FORMAT (malformed or
 * forged), ERR_UNSUPPORTED (algorithm, critical extension), ERR_NOT_FOUND (the set has no such key:
 * it may be newer than the set), ERR_ARG (a claim is not what was expected). Cost: one signature
 * check. */
bool jwt_verify(const char *token, size_t len, const struct jwt_keys *keys,
                const struct jwt_expect *want, json_t **claims, struct err *e) WARN_UNUSED;

/* base64url without padding (RFC 4648 section 5). Decoding writes at most max_bytes; false when a
 * character, the length or an unused bit is wrong, or it does not fit. */
bool jwt_base64_decode(const char *text, size_t len, uint8_t *out, size_t max_bytes,
                       size_t *n_bytes) WARN_UNUSED;
bool jwt_base64_append(struct buf *out, const void *bytes, size_t len);

#endif
