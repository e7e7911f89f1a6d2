/* What an identity provider has: signing keys, their public form, tokens; and certificates for TLS.
 * For tests only: every failure ends the program. Thread: any, no state.
 */
#ifndef SEEKD_TESTS_ISSUER_KEYS_H
#define SEEKD_TESTS_ISSUER_KEYS_H

#include <jansson.h>
#include <openssl/evp.h>

/* A new key pair; freed with EVP_PKEY_free. */
EVP_PKEY *issuer_rsa(unsigned bits);
EVP_PKEY *issuer_ec(const char *curve); /* "P-256", "P-384" */

/* The public half as a JSON object: kty, n, e or crv, x, y; and kid when not NULL. New reference.
 */
json_t *issuer_jwk(EVP_PKEY *key, const char *kid);

/* base64url, owned by the caller. */
char *issuer_base64(const void *bytes, size_t len);

/* base64url(header).base64url(payload).signature, owned by the caller. `alg` says how to sign:
 * RS256, PS256, ES256, RS512, none (empty signature), HS256 (`key` is not used, `secret` is). The
 * header is taken as it is, whatever its alg says. */
char *issuer_sign(const char *alg, EVP_PKEY *key, const char *secret, const char *header,
                  const char *payload);

/* PEM texts, owned by the caller: a certificate authority, and a certificate signed by it for these
 * names, valid for an hour. */
#define ISSUER_LOOPBACK "IP:127.0.0.1,DNS:localhost"
struct issuer_tls {
    char *ca, *cert, *key;
};
void issuer_tls_init(struct issuer_tls *t, const char *names);
void issuer_tls_release(struct issuer_tls *t);

#endif
