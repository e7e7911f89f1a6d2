/* A small OpenID Connect issuer for tests: discovery, authorization, token and key endpoints over
 * libmicrohttpd on a free loopback port. Everybody is logged in as `sub`. It checks what a client
 * must send (PKCE, redirect URI, client secret, a code only once) and can be told to misbehave.
 * Every failure of the issuer itself ends the program.
 * Thread: one of libmicrohttpd; fields are changed only while no request is under way.
 */
#ifndef SEEKD_TESTS_ISSUER_H
#define SEEKD_TESTS_ISSUER_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "issuer_keys.h"

enum issuer_fault {
    FAULT_NONE,
    FAULT_OTHER_ISSUER,   /* discovery names another issuer */
    FAULT_PLAIN_ENDPOINT, /* a token endpoint over http on another host */
    FAULT_REDIRECT,       /* discovery answers 302 to a place that would be right */
    FAULT_HUGE,           /* a discovery document of 100 KB */
    FAULT_DUPLICATE,      /* the issuer twice in the discovery document */
    FAULT_NO_S256,
    FAULT_NO_CODE,
    FAULT_HS_ONLY,     /* says that it signs with HS256 only */
    FAULT_STATUS,      /* discovery answers 500 */
    FAULT_KEYS_STATUS, /* the key set answers 404 */
    FAULT_SLOW,        /* discovery answers after 1.5 s */
    FAULT_NONCE,       /* from here on: tokens */
    FAULT_AUDIENCE,
    FAULT_EXPIRED,
    FAULT_TOKEN_ISSUER,
    FAULT_FORGED, /* signed by a key that only claims to be the right one */
    FAULT_ALG_NONE,
    FAULT_ALG_HS,
    FAULT_NO_ID_TOKEN,
    FAULT_TOKEN_TYPE,
    FAULT_TOKEN_HUGE,
    FAULT_TOKEN_NOT_JSON,
    FAULT_TOKEN_STATUS,
    FAULT_COUNT
};

struct issuer {
    char url[64];                          /* the issuer's name */
    const char *client_id, *client_secret; /* secret NULL = public client */
    const char *redirect_uri;
    const char *auth_method; /* what discovery offers: "client_secret_basic" or "..._post" */
    bool sends_iss;
    enum issuer_fault fault;
    /* signing */
    const char *alg, *kid;
    EVP_PKEY *key, *other_key; /* owned */
    json_t *published;         /* keys in the set; owned */
    json_t *claims;            /* put over the usual ones; owned, may be NULL */
    atomic_uint n_discovery, n_keys, n_tokens;
    /* of the last authorization */
    char code[64], challenge[64], nonce[64];
    bool code_used;
    struct MHD_Daemon *daemon;
};

/* Starts it with an ES256 key "k1", published. With `tls` it serves https with that certificate. */
void issuer_start(struct issuer *i, const struct issuer_tls *tls);
void issuer_stop(struct issuer *i);
/* A new signing key of that name; published together with, or instead of, those before. */
void issuer_rotate(struct issuer *i, const char *kid, bool publish, bool drop_old);

#endif
