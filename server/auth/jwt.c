/* Owns: reading tokens and key sets, signature checks through OpenSSL's EVP, the rules for claims.
 * Refuses to know: where keys come from and what becomes of the claims.
 *
 * A token is header.payload.signature, each base64url. The order of work is the order of trust:
 * sizes, header, key, signature, and only then the payload. */
#include <config.h>

#include "auth/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "base/mem.h"

enum { KID_MAX_BYTES = 256, SUB_MAX_BYTES = 255, EC_BYTES = 32, ES256_BYTES = 2 * EC_BYTES };

/* ---- base64url ------------------------------------------------------------------------------- */

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool jwt_base64_decode(const char *text, size_t len, uint8_t *out, size_t max_bytes,
                       size_t *n_bytes)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    if (len % 4 == 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        int v = digit_value(text[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        if (n == max_bytes)
            return false;
        n_bits -= 8;
        out[n++] = (uint8_t)(bits >> n_bits);
        bits &= (1u << n_bits) - 1;
    }
    *n_bytes = n;
    return bits == 0;
}

bool jwt_base64_append(struct buf *out, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *in = bytes;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)in[i] << 16;
        bits |= n > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        bits |= n > 2 ? in[i + 2] : 0;
        for (size_t d = 0; d <= n; d++)
            buf_putc(out, digits[bits >> (18 - 6 * d) & 63]);
    }
    return !out->failed;
}

/* Member `name` of a key, a base64url number or point; *n_bytes = 0 when it is not there. */
static bool member_bytes(const json_t *from, const char *name, uint8_t *out, size_t max_bytes,
                         size_t *n_bytes)
{
    const char *text = json_string_value(json_object_get(from, name));
    return text && *text && jwt_base64_decode(text, strlen(text), out, max_bytes, n_bytes);
}

/* ---- algorithms ------------------------------------------------------------------------------ */

enum { ALG_RS256 = 1 << 0, ALG_PS256 = 1 << 1, ALG_ES256 = 1 << 2 };

static unsigned alg_of(const char *name)
{
    static const struct {
        const char *name;
        unsigned alg;
    } known[] = {{"RS256", ALG_RS256}, {"PS256", ALG_PS256}, {"ES256", ALG_ES256}};
    for (size_t i = 0; name && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].alg;
    return 0;
}

/* ---- key sets -------------------------------------------------------------------------------- */

struct jwt_key {
    char *kid; /* NULL = the issuer gave none */
    unsigned algs;
    EVP_PKEY *pkey;
};

struct jwt_keys {
    struct jwt_key keys[JWT_MAX_KEYS];
    size_t n_keys;
};

static EVP_PKEY *pkey_make(const char *type, OSSL_PARAM_BLD *parts)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(parts);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !c || EVP_PKEY_fromdata_init(c) != 1 ||
        EVP_PKEY_fromdata(c, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(c);
    OSSL_PARAM_free(params);
    return pkey;
}

/* NULL: malformed, or outside of what we allow. */
static EVP_PKEY *rsa_read(const json_t *from)
{
    uint8_t n_bytes[JWT_RSA_MAX_BITS / 8], e_bytes[8];
    size_t n_len, e_len;
    if (!member_bytes(from, "n", n_bytes, sizeof n_bytes, &n_len) ||
        !member_bytes(from, "e", e_bytes, sizeof e_bytes, &e_len))
        return NULL;
    EVP_PKEY *pkey = NULL;
    BIGNUM *n = BN_bin2bn(n_bytes, (int)n_len, NULL), *e = BN_bin2bn(e_bytes, (int)e_len, NULL);
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    if (n && e && parts && BN_num_bits(n) >= JWT_RSA_MIN_BITS && BN_is_odd(n) && BN_is_odd(e) &&
        BN_num_bits(e) >= 2 && OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        pkey = pkey_make("RSA", parts);
    OSSL_PARAM_BLD_free(parts);
    BN_free(n);
    BN_free(e);
    return pkey;
}

/* OpenSSL takes no point that is not on the curve (check_jwt.c, skips_useless_keys). */
static EVP_PKEY *ec_read(const json_t *from)
{
    uint8_t point[1 + 2 * EC_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    size_t x_len, y_len;
    const char *curve = json_string_value(json_object_get(from, "crv"));
    if (!curve || strcmp(curve, "P-256") != 0 ||
        !member_bytes(from, "x", point + 1, EC_BYTES, &x_len) || x_len != EC_BYTES ||
        !member_bytes(from, "y", point + 1 + EC_BYTES, EC_BYTES, &y_len) || y_len != EC_BYTES)
        return NULL;
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
    if (parts &&
        OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        pkey = pkey_make("EC", parts);
    OSSL_PARAM_BLD_free(parts);
    return pkey;
}

/* A key may say that it is for something else: `use` and `key_ops` (RFC 7517, 4.2 and 4.3). */
static bool may_verify(const json_t *from)
{
    const json_t *use = json_object_get(from, "use"), *ops = json_object_get(from, "key_ops");
    if (use && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0))
        return false;
    bool found = !ops;
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const char *op = json_string_value(json_array_get(ops, i));
        found = found || (op && strcmp(op, "verify") == 0);
    }
    return found;
}

static bool key_read(const json_t *from, struct jwt_key *k)
{
    const char *type = json_string_value(json_object_get(from, "kty"));
    const json_t *kid = json_object_get(from, "kid"), *alg = json_object_get(from, "alg");
    *k = (struct jwt_key){0};
    if (!type || !may_verify(from) ||
        (kid && (!json_is_string(kid) || json_string_length(kid) > KID_MAX_BYTES)))
        return false;
    if (strcmp(type, "RSA") == 0)
        k->algs = ALG_RS256 | ALG_PS256;
    else if (strcmp(type, "EC") == 0)
        k->algs = ALG_ES256;
    if (alg)
        k->algs &= alg_of(json_string_value(alg));
    if (k->algs)
        k->pkey = k->algs & ALG_ES256 ? ec_read(from) : rsa_read(from);
    if (!k->pkey)
        return false;
    k->kid = kid ? mem_strdup(json_string_value(kid)) : NULL;
    return true;
}

bool jwt_keys_parse(const char *json, size_t len, struct jwt_keys **out, struct err *e)
{
    if (len > JWT_KEYS_MAX_BYTES)
        FAIL(e, ERR_LIMIT, "the issuer's key set is larger than %d bytes", JWT_KEYS_MAX_BYTES);
    json_t *set = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(set, "keys");
    struct jwt_keys *keys = NULL;
    if (!json_is_array(list))
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "what the issuer sent is not a key set");
    else if (json_array_size(list) > JWT_MAX_KEYS)
        err_set(e, ERR_LIMIT, 0, __FILE__, __LINE__, "the issuer has more than %d keys",
                JWT_MAX_KEYS);
    else
        keys = mem_zalloc(sizeof *keys);
    for (size_t i = 0; keys && i < json_array_size(list); i++)
        if (key_read(json_array_get(list, i), &keys->keys[keys->n_keys]))
            keys->n_keys++;
    json_decref(set);
    ERR_clear_error();
    if (keys && keys->n_keys == 0) {
        jwt_keys_destroy(&keys);
        FAIL(e, ERR_FORMAT, "the issuer's key set has no key for RS256, PS256 or ES256");
    }
    *out = keys;
    return keys != NULL;
}

void jwt_keys_destroy(struct jwt_keys **keys)
{
    if (!*keys)
        return;
    for (size_t i = 0; i < (*keys)->n_keys; i++) {
        free((*keys)->keys[i].kid);
        EVP_PKEY_free((*keys)->keys[i].pkey);
    }
    free(*keys);
    *keys = NULL;
}

size_t jwt_keys_count(const struct jwt_keys *keys)
{
    return keys->n_keys;
}

/* With a kid, the key of that name; without, the only one that suits the algorithm. */
static const struct jwt_key *key_find(const struct jwt_keys *keys, const char *kid, unsigned alg,
                                      struct err *e)
{
    const struct jwt_key *found = NULL;
    bool named = false;
    for (size_t i = 0; i < keys->n_keys; i++) {
        const struct jwt_key *k = &keys->keys[i];
        if (kid && (!k->kid || strcmp(k->kid, kid) != 0))
            continue;
        named = true;
        if (!(k->algs & alg))
            continue;
        if (found) {
            err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                    "several keys could have signed the token");
            return NULL;
        }
        found = k;
    }
    if (!found && kid && named)
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                "the token's algorithm is not that of its key");
    else if (!found)
        err_set(e, ERR_NOT_FOUND, 0, __FILE__, __LINE__,
                "the issuer does not list the token's key");
    return found;
}

/* ---- signatures ------------------------------------------------------------------------------ */

/* r and s, 32 bytes each, as the DER that EVP wants. Owned by the caller (OPENSSL_free). */
static int ecdsa_der(const uint8_t *sig, size_t len, unsigned char **der)
{
    if (len != ES256_BYTES)
        return -1;
    int n = -1;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, EC_BYTES, NULL), *s = BN_bin2bn(sig + EC_BYTES, EC_BYTES, NULL);
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* owned by the pair */
        n = i2d_ECDSA_SIG(pair, der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return n;
}

static bool signature_holds(const struct jwt_key *k, unsigned alg, const char *text,
                            size_t text_len, const uint8_t *sig, size_t sig_len)
{
    unsigned char *der = NULL;
    if (alg == ALG_ES256) {
        int n = ecdsa_der(sig, sig_len, &der);
        if (n <= 0)
            return false;
        sig = der;
        sig_len = (size_t)n;
    }
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how; /* owned by c */
    bool ok = c && EVP_DigestVerifyInit(c, &how, EVP_sha256(), NULL, k->pkey) == 1;
    if (ok && alg == ALG_PS256)
        ok = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1;
    else if (ok && alg == ALG_RS256)
        ok = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PADDING) == 1;
    ok = ok && EVP_DigestVerify(c, sig, sig_len, (const unsigned char *)text, text_len) == 1;
    EVP_MD_CTX_free(c);
    OPENSSL_free(der);
    ERR_clear_error(); /* what a forgery leaves behind must not be taken for an error of TLS */
    return ok;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Header or payload: base64url of a JSON object. NULL with `e` set. */
static json_t *part_read(const char *text, size_t len, const char *what, struct err *e)
{
    uint8_t bytes[JWT_MAX_BYTES];
    size_t n;
    json_t *part = NULL;
    if (jwt_base64_decode(text, len, bytes, sizeof bytes, &n))
        part = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(part))
        return part;
    json_decref(part);
    err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "the token's %s is not a JSON object", what);
    return NULL;
}

static const struct jwt_key *header_check(const json_t *header, const struct jwt_keys *keys,
                                          unsigned *alg, struct err *e)
{
    const json_t *kid = json_object_get(header, "kid"), *type = json_object_get(header, "typ");
    const char *why = NULL;
    *alg = alg_of(json_string_value(json_object_get(header, "alg")));
    if (!*alg)
        why = "the token is not signed with RS256, PS256 or ES256";
    else if (json_object_get(header, "crit"))
        why = "the token demands an extension that we do not know";
    else if (type && (!json_is_string(type) || strcasecmp(json_string_value(type), "JWT") != 0))
        why = "the token is of another type than JWT";
    if (why) {
        err_set(e, ERR_UNSUPPORTED, 0, __FILE__, __LINE__, "%s", why);
        return NULL;
    }
    if (kid && (!json_is_string(kid) || json_string_length(kid) > KID_MAX_BYTES)) {
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "the token's kid is malformed");
        return NULL;
    }
    return key_find(keys, json_string_value(kid), *alg, e);
}

/* NumericDate: seconds, fractions allowed. */
static bool claim_time(const json_t *claims, const char *name, bool required, int64_t fallback,
                       int64_t *out, struct err *e)
{
    const int64_t far = INT64_C(100000000000); /* the year 5138: no sum below can overflow */
    const json_t *v = json_object_get(claims, name);
    *out = fallback;
    if (!v && !required)
        return true;
    if (!json_is_number(v) || !(json_number_value(v) >= 0) || !(json_number_value(v) < (double)far))
        FAIL(e, ERR_ARG, "the token's %s is missing or not a time", name);
    *out = json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)json_real_value(v);
    return true;
}

static bool times_check(const json_t *claims, int64_t now, struct err *e)
{
    int64_t exp, nbf, iat;
    if (!claim_time(claims, "exp", true, 0, &exp, e) ||
        !claim_time(claims, "nbf", false, 0, &nbf, e) ||
        !claim_time(claims, "iat", true, 0, &iat, e))
        return false;
    if (now - JWT_LEEWAY_S >= exp)
        FAIL(e, ERR_ARG,
             "the token has expired; compare the clocks of this machine and the issuer");
    if (nbf > now + JWT_LEEWAY_S || iat > now + JWT_LEEWAY_S)
        FAIL(e, ERR_ARG,
             "the token is from the future; compare the clocks of this machine and the issuer");
    return true;
}

static bool text_is(const json_t *claims, const char *name, const char *want)
{
    const char *text = json_string_value(json_object_get(claims, name));
    return text && strcmp(text, want) == 0;
}

static bool audience_check(const json_t *claims, const char *want, struct err *e)
{
    const json_t *aud = json_object_get(claims, "aud");
    bool found = text_is(claims, "aud", want);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const char *one = json_string_value(json_array_get(aud, i));
        if (!one)
            FAIL(e, ERR_ARG, "the token's aud is malformed");
        found = found || strcmp(one, want) == 0;
    }
    if (!found)
        FAIL(e, ERR_ARG, "the token was made for another client");
    bool needs_azp = json_array_size(aud) > 1 || json_object_get(claims, "azp");
    if (needs_azp && !text_is(claims, "azp", want))
        FAIL(e, ERR_ARG, "the token was made on behalf of another client (azp)");
    return true;
}

static bool nonce_is(const json_t *claims, const char *want)
{
    const char *text = json_string_value(json_object_get(claims, "nonce"));
    uint8_t a[HASH_SHA256_BYTES], b[HASH_SHA256_BYTES];
    return text && hash_sha256(text, strlen(text), a, NULL) &&
           hash_sha256(want, strlen(want), b, NULL) && hash_equal(a, b);
}

static bool claims_check(const json_t *claims, const struct jwt_expect *want, struct err *e)
{
    const json_t *sub = json_object_get(claims, "sub");
    if (!text_is(claims, "iss", want->issuer))
        FAIL(e, ERR_ARG, "the token is from another issuer");
    if (!audience_check(claims, want->audience, e) || !times_check(claims, want->now_s, e))
        return false;
    if (want->nonce && !nonce_is(claims, want->nonce))
        FAIL(e, ERR_ARG, "the token belongs to another login (nonce)");
    if (!json_is_string(sub) || json_string_length(sub) == 0 ||
        json_string_length(sub) > SUB_MAX_BYTES)
        FAIL(e, ERR_ARG, "the token's sub is missing or longer than %d bytes", SUB_MAX_BYTES);
    return true;
}

static bool signed_check(const char *token, size_t text_len, const char *sig_text, size_t sig_len,
                         const struct jwt_key *k, unsigned alg, struct err *e)
{
    uint8_t sig[JWT_RSA_MAX_BITS / 8];
    size_t n;
    if (!jwt_base64_decode(sig_text, sig_len, sig, sizeof sig, &n) ||
        !signature_holds(k, alg, token, text_len, sig, n))
        FAIL(e, ERR_FORMAT, "the token's signature is wrong");
    return true;
}

bool jwt_verify(const char *token, size_t len, const struct jwt_keys *keys,
                const struct jwt_expect *want, json_t **claims, struct err *e)
{
    *claims = NULL;
    if (len > JWT_MAX_BYTES)
        FAIL(e, ERR_LIMIT, "the token is larger than %d bytes", JWT_MAX_BYTES);
    const char *end = token + len;
    const char *dot = memchr(token, '.', len);
    const char *dot2 = dot ? memchr(dot + 1, '.', (size_t)(end - dot - 1)) : NULL;
    if (!dot2 || memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)))
        FAIL(e, ERR_FORMAT, "the token does not have three parts");
    json_t *header = part_read(token, (size_t)(dot - token), "header", e);
    if (!header)
        return false;
    unsigned alg;
    const struct jwt_key *k = header_check(header, keys, &alg, e);
    json_decref(header);
    if (!k ||
        !signed_check(token, (size_t)(dot2 - token), dot2 + 1, (size_t)(end - dot2 - 1), k, alg, e))
        return false;
    json_t *payload = part_read(dot + 1, (size_t)(dot2 - dot - 1), "payload", e);
    if (!payload || !claims_check(payload, want, e)) {
        json_decref(payload);
        return false;
    }
    *claims = payload;
    return true;
}
