/* Owns: making keys, signatures and certificates with OpenSSL, written apart from what it tests.
 * Refuses to know: HTTP, and the code under test. */
#include <config.h>

#include "issuer_keys.h"

#include <check.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

EVP_PKEY *issuer_rsa(unsigned bits)
{
    EVP_PKEY *k = EVP_RSA_gen(bits);
    ck_assert_ptr_nonnull(k);
    return k;
}

EVP_PKEY *issuer_ec(const char *curve)
{
    EVP_PKEY *k = EVP_EC_gen(curve);
    ck_assert_ptr_nonnull(k);
    return k;
}

char *issuer_base64(const void *bytes, size_t len)
{
    char *out = malloc(4 * (len / 3 + 1) + 1);
    ck_assert_ptr_nonnull(out);
    int n = EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
    for (int i = 0; i < n; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    out[strcspn(out, "=")] = '\0';
    return out;
}

static void set_number(json_t *jwk, const char *name, EVP_PKEY *key, const char *param, int bytes)
{
    uint8_t raw[1024];
    BIGNUM *n = NULL;
    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, param, &n), 1);
    int len = bytes ? bytes : BN_num_bytes(n);
    ck_assert_int_eq(BN_bn2binpad(n, raw, len), len);
    char *text = issuer_base64(raw, (size_t)len);
    json_object_set_new(jwk, name, json_string(text));
    free(text);
    BN_free(n);
}

json_t *issuer_jwk(EVP_PKEY *key, const char *kid)
{
    json_t *jwk = json_object();
    bool rsa = EVP_PKEY_is_a(key, "RSA");
    json_object_set_new(jwk, "kty", json_string(rsa ? "RSA" : "EC"));
    if (kid)
        json_object_set_new(jwk, "kid", json_string(kid));
    if (rsa) {
        set_number(jwk, "n", key, OSSL_PKEY_PARAM_RSA_N, 0);
        set_number(jwk, "e", key, OSSL_PKEY_PARAM_RSA_E, 0);
        return jwk;
    }
    int bytes = (EVP_PKEY_get_bits(key) + 7) / 8;
    json_object_set_new(jwk, "crv", json_string(bytes == 32 ? "P-256" : "P-384"));
    set_number(jwk, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, bytes);
    set_number(jwk, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, bytes);
    return jwk;
}

static char *sign_key(const char *alg, EVP_PKEY *key, const char *text)
{
    uint8_t sig[1024], raw[96];
    size_t len = sizeof sig;
    EVP_PKEY_CTX *how;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    const EVP_MD *md = strcmp(alg, "RS512") == 0 ? EVP_sha512() : EVP_sha256();
    ck_assert_int_eq(EVP_DigestSignInit(c, &how, md, NULL, key), 1);
    if (strcmp(alg, "PS256") == 0) {
        ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING), 1);
        ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(how, 32), 1);
    }
    ck_assert_int_eq(EVP_DigestSign(c, sig, &len, (const uint8_t *)text, strlen(text)), 1);
    EVP_MD_CTX_free(c);
    if (strcmp(alg, "ES256") != 0)
        return issuer_base64(sig, len);
    const uint8_t *der = sig;
    int half = (EVP_PKEY_get_bits(key) + 7) / 8;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    ck_assert_ptr_nonnull(pair);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, half);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + half, half);
    ECDSA_SIG_free(pair);
    return issuer_base64(raw, 2 * (size_t)half);
}

char *issuer_sign(const char *alg, EVP_PKEY *key, const char *secret, const char *header,
                  const char *payload)
{
    char *h = issuer_base64(header, strlen(header)), *p = issuer_base64(payload, strlen(payload));
    char *text = NULL, *token = NULL, *sig;
    ck_assert_int_gt(asprintf(&text, "%s.%s", h, p), 0);
    if (strcmp(alg, "none") == 0) {
        sig = strdup("");
    } else if (strcmp(alg, "HS256") == 0) {
        uint8_t mac[32];
        unsigned n = sizeof mac;
        HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)text, strlen(text), mac,
             &n);
        sig = issuer_base64(mac, n);
    } else {
        sig = sign_key(alg, key, text);
    }
    ck_assert_int_gt(asprintf(&token, "%s.%s", text, sig), 0);
    free(h);
    free(p);
    free(text);
    free(sig);
    return token;
}

/* ---- certificates ---------------------------------------------------------------------------- */

static void add_extension(X509 *cert, X509 *by, int nid, const char *value)
{
    X509V3_CTX c;
    X509V3_set_ctx_nodb(&c);
    X509V3_set_ctx(&c, by, cert, NULL, NULL, 0);
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &c, nid, value);
    ck_assert_ptr_nonnull(x);
    ck_assert_int_eq(X509_add_ext(cert, x, -1), 1);
    X509_EXTENSION_free(x);
}

/* `names` NULL: an authority that signs itself. */
static X509 *cert_make(EVP_PKEY *key, const char *names, X509 *by, EVP_PKEY *by_key)
{
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), by ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -300);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *n = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC,
                               (const uint8_t *)(names ? "server" : "test authority"), -1, -1, 0);
    X509_set_issuer_name(cert, by ? X509_get_subject_name(by) : n);
    add_extension(cert, by ? by : cert, NID_basic_constraints,
                  by ? "CA:FALSE" : "critical,CA:TRUE");
    if (by)
        add_extension(cert, by, NID_subject_alt_name, names);
    else
        add_extension(cert, cert, NID_key_usage, "critical,keyCertSign");
    ck_assert_int_gt(X509_sign(cert, by_key, EVP_sha256()), 0);
    return cert;
}

static char *take_text(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)n);
    BIO_free(bio);
    return text;
}

static char *cert_text(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_X509(bio, cert), 1);
    return take_text(bio);
}

void issuer_tls_init(struct issuer_tls *t, const char *names)
{
    EVP_PKEY *ca_key = issuer_ec("P-256"), *key = issuer_ec("P-256");
    X509 *ca = cert_make(ca_key, NULL, NULL, ca_key);
    X509 *cert = cert_make(key, names, ca, ca_key);
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    *t = (struct issuer_tls){cert_text(ca), cert_text(cert), take_text(bio)};
    X509_free(ca);
    X509_free(cert);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

void issuer_tls_release(struct issuer_tls *t)
{
    free(t->ca);
    free(t->cert);
    free(t->key);
    *t = (struct issuer_tls){0};
}
