/* ID tokens: what is accepted, and everything that must not be: forged, altered, old, foreign. Also
 * the group map. */
#include <config.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/identity.h"
#include "auth/jwt.h"
#include "auth/principal.h"
#include "issuer_keys.h"

#define ISSUER "https://id.example.com/realm"
#define NOW INT64_C(1790000000)

static EVP_PKEY *rsa, *rsa_other, *ec;
static struct jwt_keys *keys;
static const struct jwt_expect want = {ISSUER, "seekd", "n-0S6", NOW};

/* A set of {"keys": [...]}; takes the references. */
static struct jwt_keys *set_of(json_t *a, json_t *b)
{
    struct err e = ERR_INIT;
    struct jwt_keys *out = NULL;
    json_t *set = json_pack("{s:[o]}", "keys", a);
    if (b)
        json_array_append_new(json_object_get(set, "keys"), b);
    char *text = json_dumps(set, 0);
    ck_assert_msg(jwt_keys_parse(text, strlen(text), &out, &e), "%s", e.msg);
    free(text);
    json_decref(set);
    return out;
}

static void make_keys(void)
{
    rsa = issuer_rsa(2048);
    rsa_other = issuer_rsa(2048);
    ec = issuer_ec("P-256");
    keys = set_of(issuer_jwk(rsa, "r"), issuer_jwk(ec, "e"));
}

static void drop_keys(void)
{
    jwt_keys_destroy(&keys);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(rsa_other);
    EVP_PKEY_free(ec);
}

#define CLAIMS(more)                                                                               \
    "{\"iss\":\"" ISSUER "\",\"sub\":\"u1\",\"aud\":\"seekd\",\"exp\":1790000300,"                 \
    "\"iat\":1790000000,\"nonce\":\"n-0S6\"" more "}"
static const char good[] = CLAIMS("");

static const char *header_for(const char *alg)
{
    static char text[128];
    snprintf(text, sizeof text, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}", alg,
             alg[0] == 'E' ? "e" : "r");
    return text;
}

/* Code of the refusal, ERR_NONE when accepted. */
static enum err_code verify_with(const char *token, const struct jwt_keys *with,
                                 const struct jwt_expect *expect)
{
    struct err e = ERR_INIT;
    json_t *claims = json_null();
    /* Exactly as long as it is, so that reading past the end shows under the sanitizers. */
    size_t len = strlen(token);
    char *exact = malloc(len ? len : 1);
    memcpy(exact, token, len);
    bool ok = jwt_verify(exact, len, with, expect, &claims, &e);
    free(exact);
    ck_assert_int_eq(ok, claims != NULL);
    ck_assert_int_eq(ok, e.code == ERR_NONE);
    ck_assert(ok || e.msg[0]);
    json_decref(claims);
    return e.code;
}

static enum err_code verify_sign(const char *alg, EVP_PKEY *key, const char *header,
                                 const char *payload)
{
    char *token = issuer_sign(alg, key, "a secret", header, payload);
    enum err_code code = verify_with(token, keys, &want);
    free(token);
    return code;
}

static enum err_code verify_claims(const char *payload)
{
    return verify_sign("ES256", ec, header_for("ES256"), payload);
}

/* ---- what is accepted ------------------------------------------------------------------------ */

START_TEST(accepts_three_algorithms)
{
    ck_assert_int_eq(verify_sign("RS256", rsa, header_for("RS256"), good), ERR_NONE);
    ck_assert_int_eq(verify_sign("PS256", rsa, header_for("PS256"), good), ERR_NONE);
    ck_assert_int_eq(verify_sign("ES256", ec, header_for("ES256"), good), ERR_NONE);
    ck_assert_int_eq(verify_sign("ES256", ec, "{\"alg\":\"ES256\"}", good), ERR_NONE);
    ck_assert_int_eq(verify_sign("ES256", ec, "{\"alg\":\"ES256\",\"typ\":\"jwt\"}", good),
                     ERR_NONE);
}
END_TEST

START_TEST(hands_out_claims)
{
    struct err e = ERR_INIT;
    json_t *claims;
    char *token = issuer_sign("RS256", rsa, "", header_for("RS256"),
                              CLAIMS(",\"name\":\"\u6797\u7ef4\""));
    ck_assert_msg(jwt_verify(token, strlen(token), keys, &want, &claims, &e), "%s", e.msg);
    ck_assert_str_eq(json_string_value(json_object_get(claims, "sub")), "u1");
    ck_assert_str_eq(json_string_value(json_object_get(claims, "name")), "\u6797\u7ef4");
    json_decref(claims);
    free(token);
}
END_TEST

/* ---- signatures ------------------------------------------------------------------------------ */

START_TEST(refuses_forged)
{
    EVP_PKEY *ec_other = issuer_ec("P-256"), *p384 = issuer_ec("P-384");
    ck_assert_int_eq(verify_sign("RS256", rsa_other, header_for("RS256"), good), ERR_FORMAT);
    ck_assert_int_eq(verify_sign("PS256", rsa_other, header_for("PS256"), good), ERR_FORMAT);
    ck_assert_int_eq(verify_sign("ES256", ec_other, header_for("ES256"), good), ERR_FORMAT);
    ck_assert_int_eq(verify_sign("ES256", p384, header_for("ES256"), good), ERR_FORMAT);
    ck_assert_int_eq(verify_sign("RS512", rsa, header_for("RS256"), good), ERR_FORMAT);
    EVP_PKEY_free(ec_other);
    EVP_PKEY_free(p384);
}
END_TEST

START_TEST(refuses_foreign_payload)
{
    char *a = issuer_sign("RS256", rsa, "", header_for("RS256"), good);
    char *b = issuer_sign("RS256", rsa, "", header_for("RS256"), CLAIMS(",\"admin\":true"));
    char *mixed = NULL;
    *strrchr(b, '.') = '\0';
    ck_assert_int_gt(asprintf(&mixed, "%s%s", b, strrchr(a, '.')), 0);
    ck_assert_int_eq(verify_with(a, keys, &want), ERR_NONE);
    ck_assert_int_eq(verify_with(mixed, keys, &want), ERR_FORMAT);
    free(a);
    free(b);
    free(mixed);
}
END_TEST

START_TEST(refuses_confused_algorithms)
{
    static const char *const names[] = {"none",  "None",  "NONE",  "nOnE",   "",        "HS256",
                                        "HS384", "HS512", "RS384", "RS512",  "ES384",   "ES512",
                                        "PS384", "EdDSA", "rs256", "RS256 ", "RSA-OAEP"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(verify_sign("none", NULL, header_for(names[i]), good), ERR_UNSUPPORTED);
        ck_assert_int_eq(verify_sign("HS256", NULL, header_for(names[i]), good), ERR_UNSUPPORTED);
        ck_assert_int_eq(verify_sign("RS256", rsa, header_for(names[i]), good), ERR_UNSUPPORTED);
    }
    /* the right name, the wrong signature */
    ck_assert_int_eq(verify_sign("none", NULL, header_for("RS256"), good), ERR_FORMAT);
    ck_assert_int_eq(verify_sign("HS256", NULL, header_for("RS256"), good), ERR_FORMAT);
    ck_assert_int_eq(verify_sign("RS256", rsa, header_for("PS256"), good), ERR_FORMAT);
    ck_assert_int_eq(verify_sign("PS256", rsa, header_for("RS256"), good), ERR_FORMAT);
    /* one key's name with the other key's algorithm */
    ck_assert_int_eq(verify_sign("RS256", rsa, "{\"alg\":\"RS256\",\"kid\":\"e\"}", good),
                     ERR_FORMAT);
    ck_assert_int_eq(verify_sign("ES256", ec, "{\"alg\":\"ES256\",\"kid\":\"r\"}", good),
                     ERR_FORMAT);
}
END_TEST

/* The classic: the public key, as everybody can read it, taken as the secret of HS256. */
START_TEST(refuses_public_key_as_secret)
{
    static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"r\"}",
                                          "{\"alg\":\"RS256\",\"kid\":\"r\"}"};
    json_t *jwk = issuer_jwk(rsa, "r");
    char *secret = json_dumps(jwk, 0);
    for (size_t i = 0; i < 2; i++) {
        char *token = issuer_sign("HS256", NULL, secret, headers[i], good);
        ck_assert_int_ne(verify_with(token, keys, &want), ERR_NONE);
        free(token);
    }
    free(secret);
    json_decref(jwk);
}
END_TEST

/* A token that brings its own key, or says where to fetch one. */
START_TEST(refuses_key_of_the_token)
{
    json_t *header = json_pack("{s:s,s:o}", "alg", "RS256", "jwk", issuer_jwk(rsa_other, "r"));
    char *text = json_dumps(header, 0);
    ck_assert_int_eq(verify_sign("RS256", rsa_other, text, good), ERR_FORMAT);
    free(text);
    json_object_set_new(header, "kid", json_string("own"));
    text = json_dumps(header, 0);
    ck_assert_int_eq(verify_sign("RS256", rsa_other, text, good), ERR_NOT_FOUND);
    free(text);
    json_decref(header);
    ck_assert_int_eq(verify_sign("RS256", rsa_other,
                                 "{\"alg\":\"RS256\",\"jku\":\"https://evil.example/k\"}", good),
                     ERR_FORMAT);
}
END_TEST

START_TEST(refuses_odd_headers)
{
    static const struct {
        const char *header;
        enum err_code code;
    } cases[] = {
        {"{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", ERR_UNSUPPORTED},
        {"{\"alg\":\"ES256\",\"crit\":[]}", ERR_UNSUPPORTED},
        {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", ERR_UNSUPPORTED},
        {"{\"alg\":\"ES256\",\"typ\":1}", ERR_UNSUPPORTED},
        {"{\"alg\":[\"ES256\"]}", ERR_UNSUPPORTED},
        {"{\"kid\":\"e\"}", ERR_UNSUPPORTED},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", ERR_FORMAT},
        {"{\"alg\":\"ES256\",\"kid\":7}", ERR_FORMAT},
        {"{\"alg\":\"ES256\",\"kid\":\"gone\"}", ERR_NOT_FOUND},
        {"{\"alg\":\"ES256\",\"kid\":\"\"}", ERR_NOT_FOUND},
        {"[\"ES256\"]", ERR_FORMAT},
        {"\"ES256\"", ERR_FORMAT},
        {"{}", ERR_UNSUPPORTED},
        {"{\"alg\":\"ES256\"} ", ERR_NONE},
        {"{\"alg\":\"ES256\"}x", ERR_FORMAT},
        {"", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(verify_sign("ES256", ec, cases[i].header, good) == cases[i].code, "%s",
                      cases[i].header);
}
END_TEST

static size_t mutate(const char *token, size_t *n_refused)
{
    static const char letters[] = "Aw_-.=+/ \n%";
    size_t n = 0, len = strlen(token);
    char *copy = malloc(len + 2);
    for (size_t at = 0; at<len; at += len> 600 ? 5 : 2) { /* one character is another */
        for (size_t l = at % 3; l < sizeof letters - 1; l += 3) {
            if (token[at] == letters[l])
                continue;
            memcpy(copy, token, len + 1);
            copy[at] = letters[l];
            n++;
            *n_refused += verify_with(copy, keys, &want) != ERR_NONE;
        }
    }
    for (size_t at = 0; at < len; at += 7) {
        memcpy(copy, token, at); /* cut */
        copy[at] = '\0';
        *n_refused += verify_with(copy, keys, &want) != ERR_NONE;
        memcpy(copy + at, token + at + 1, len - at); /* one character less */
        *n_refused += verify_with(copy, keys, &want) != ERR_NONE;
        memcpy(copy, token, at + 1); /* one twice */
        memcpy(copy + at + 1, token + at, len - at + 1);
        *n_refused += verify_with(copy, keys, &want) != ERR_NONE;
        n += 3;
    }
    /* the last character's unused bits, and what follows the end */
    for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; *c;
         c++) {
        memcpy(copy, token, len + 1);
        copy[len - 1] = *c;
        if (*c != token[len - 1]) {
            n++;
            *n_refused += verify_with(copy, keys, &want) != ERR_NONE;
        }
        memcpy(copy, token, len);
        copy[len] = *c;
        copy[len + 1] = '\0';
        n++;
        *n_refused += verify_with(copy, keys, &want) != ERR_NONE;
    }
    free(copy);
    return n;
}

START_TEST(refuses_mutations)
{
    static const char *const algs[] = {"RS256", "PS256", "ES256"};
    size_t n = 0, n_refused = 0;
    for (size_t i = 0; i < 3; i++) {
        char *token = issuer_sign(algs[i], i == 2 ? ec : rsa, "", header_for(algs[i]), good);
        ck_assert_int_eq(verify_with(token, keys, &want), ERR_NONE);
        n += mutate(token, &n_refused);
        free(token);
    }
    printf("jwt: %zu mutations of good tokens, %zu refused\n", n, n_refused);
    ck_assert_uint_gt(n, 200);
    ck_assert_uint_eq(n, n_refused);
}
END_TEST

START_TEST(refuses_sizes_and_shapes)
{
    static const char *const odd[] = {"",    ".",         "..",       "...",
                                      "a.b", "a.b.c.d.e", "e30.e30.", "e30..e30"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        ck_assert_int_ne(verify_with(odd[i], keys, &want), ERR_NONE);
    char *big = malloc(JWT_MAX_BYTES + 64);
    size_t n = (size_t)snprintf(big, 256, "%s", CLAIMS(",\"x\":\""));
    n -= 1;
    memset(big + n, 'x', JWT_MAX_BYTES - n);
    memcpy(big + JWT_MAX_BYTES, "\"}", 3);
    ck_assert_int_eq(verify_claims(big), ERR_LIMIT);
    free(big);
    char deep[8000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    ck_assert_int_eq(verify_claims(deep), ERR_FORMAT);
}
END_TEST

/* ---- claims ---------------------------------------------------------------------------------- */

static enum err_code verify_changed(const char *name, json_t *value)
{
    json_t *claims = json_loads(good, 0, NULL);
    if (value)
        json_object_set_new(claims, name, value);
    else
        json_object_del(claims, name);
    char *text = json_dumps(claims, 0);
    enum err_code code = verify_claims(text);
    free(text);
    json_decref(claims);
    return code;
}

START_TEST(checks_issuer_and_subject)
{
    static const char *const wrong[] = {"", "https://id.example.com", ISSUER "/",
                                        "HTTPS://id.example.com/realm",
                                        "http://id.example.com/realm"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_int_eq(verify_changed("iss", json_string(wrong[i])), ERR_ARG);
    ck_assert_int_eq(verify_changed("iss", NULL), ERR_ARG);
    ck_assert_int_eq(verify_changed("iss", json_pack("[s]", ISSUER)), ERR_ARG);
    ck_assert_int_eq(verify_changed("sub", NULL), ERR_ARG);
    ck_assert_int_eq(verify_changed("sub", json_string("")), ERR_ARG);
    ck_assert_int_eq(verify_changed("sub", json_integer(7)), ERR_ARG);
    char long_sub[257];
    memset(long_sub, 's', 256);
    long_sub[256] = '\0';
    ck_assert_int_eq(verify_changed("sub", json_string(long_sub)), ERR_ARG);
    ck_assert_int_eq(verify_changed("sub", json_string(long_sub + 1)), ERR_NONE);
}
END_TEST

START_TEST(checks_audience)
{
    ck_assert_int_eq(verify_changed("aud", json_string("other")), ERR_ARG);
    ck_assert_int_eq(verify_changed("aud", json_string("seekd2")), ERR_ARG);
    ck_assert_int_eq(verify_changed("aud", NULL), ERR_ARG);
    ck_assert_int_eq(verify_changed("aud", json_array()), ERR_ARG);
    ck_assert_int_eq(verify_changed("aud", json_pack("[s]", "other")), ERR_ARG);
    ck_assert_int_eq(verify_changed("aud", json_pack("[s]", "seekd")), ERR_NONE);
    ck_assert_int_eq(verify_changed("aud", json_pack("[s,i]", "seekd", 1)), ERR_ARG);
    ck_assert_int_eq(verify_changed("aud", json_pack("[s,s]", "seekd", "other")), ERR_ARG);
    ck_assert_int_eq(verify_changed("azp", json_string("seekd")), ERR_NONE);
    ck_assert_int_eq(verify_changed("azp", json_string("other")), ERR_ARG);
    ck_assert_int_eq(verify_claims("{\"iss\":\"" ISSUER
                                   "\",\"sub\":\"u1\",\"aud\":[\"a\",\"seekd\"],"
                                   "\"azp\":\"seekd\",\"exp\":1790000300,\"iat\":1790000000,"
                                   "\"nonce\":\"n-0S6\"}"),
                     ERR_NONE);
}
END_TEST

START_TEST(checks_times)
{
    ck_assert_int_eq(verify_changed("exp", json_integer(NOW - 61)), ERR_ARG);
    ck_assert_int_eq(verify_changed("exp", json_integer(NOW - 60)), ERR_ARG);
    ck_assert_int_eq(verify_changed("exp", json_integer(NOW - 59)), ERR_NONE);
    ck_assert_int_eq(verify_changed("exp", json_real((double)NOW + 10.5)), ERR_NONE);
    ck_assert_int_eq(verify_changed("exp", NULL), ERR_ARG);
    ck_assert_int_eq(verify_changed("exp", json_string("1790000300")), ERR_ARG);
    ck_assert_int_eq(verify_changed("exp", json_integer(-1)), ERR_ARG);
    ck_assert_int_eq(verify_changed("exp", json_integer(INT64_MAX)), ERR_ARG);
    ck_assert_int_eq(verify_changed("exp", json_real(1e300)), ERR_ARG);
    ck_assert_int_eq(verify_changed("nbf", json_integer(NOW + 60)), ERR_NONE);
    ck_assert_int_eq(verify_changed("nbf", json_integer(NOW + 61)), ERR_ARG);
    ck_assert_int_eq(verify_changed("nbf", json_null()), ERR_ARG);
    ck_assert_int_eq(verify_changed("iat", json_integer(NOW + 61)), ERR_ARG);
    ck_assert_int_eq(verify_changed("iat", NULL), ERR_ARG);
}
END_TEST

START_TEST(checks_nonce)
{
    struct jwt_expect none = want;
    none.nonce = NULL;
    ck_assert_int_eq(verify_changed("nonce", json_string("n-0S7")), ERR_ARG);
    ck_assert_int_eq(verify_changed("nonce", NULL), ERR_ARG);
    ck_assert_int_eq(verify_changed("nonce", json_null()), ERR_ARG);
    char *token = issuer_sign("ES256", ec, "", header_for("ES256"), good);
    ck_assert_int_eq(verify_with(token, keys, &none), ERR_NONE);
    free(token);
}
END_TEST

START_TEST(refuses_duplicate_claims)
{
    ck_assert_int_eq(verify_claims(CLAIMS(",\"sub\":\"u2\"")), ERR_FORMAT);
    ck_assert_int_eq(verify_claims(CLAIMS(",\"a\":{\"b\":1,\"b\":2}")), ERR_FORMAT);
    ck_assert_int_eq(verify_claims(CLAIMS(",\"name\":\"a\\u0000b\"")), ERR_FORMAT);
}
END_TEST

/* ---- key sets -------------------------------------------------------------------------------- */

START_TEST(follows_rotation)
{
    EVP_PKEY *next = issuer_ec("P-256");
    struct jwt_keys *later = set_of(issuer_jwk(ec, "e"), issuer_jwk(next, "f"));
    struct jwt_keys *last = set_of(issuer_jwk(next, "f"), NULL);
    const char *header = "{\"alg\":\"ES256\",\"kid\":\"f\"}";
    char *new_token = issuer_sign("ES256", next, "", header, good);
    char *old_token = issuer_sign("ES256", ec, "", header_for("ES256"), good);
    char *nameless = issuer_sign("ES256", next, "", "{\"alg\":\"ES256\"}", good);
    ck_assert_int_eq(verify_with(new_token, keys, &want), ERR_NOT_FOUND);
    ck_assert_int_eq(verify_with(new_token, later, &want), ERR_NONE);
    ck_assert_int_eq(verify_with(old_token, later, &want), ERR_NONE);
    ck_assert_int_eq(verify_with(old_token, last, &want), ERR_NOT_FOUND);
    ck_assert_int_eq(verify_with(nameless, later, &want), ERR_FORMAT); /* two could be meant */
    ck_assert_int_eq(verify_with(nameless, last, &want), ERR_NONE);
    free(new_token);
    free(old_token);
    free(nameless);
    jwt_keys_destroy(&later);
    jwt_keys_destroy(&last);
    EVP_PKEY_free(next);
}
END_TEST

/* Number of usable keys in a set of one; 0 when the set is refused for having none. */
static size_t usable(json_t *jwk)
{
    struct err e = ERR_INIT;
    struct jwt_keys *out = NULL;
    json_t *set = json_pack("{s:[o]}", "keys", jwk);
    char *text = json_dumps(set, 0);
    bool ok = jwt_keys_parse(text, strlen(text), &out, &e);
    size_t n = ok ? jwt_keys_count(out) : 0;
    ck_assert_int_eq(ok, out != NULL);
    if (!ok)
        ck_assert_int_eq(e.code, ERR_FORMAT);
    jwt_keys_destroy(&out);
    free(text);
    json_decref(set);
    return n;
}

static json_t *with(EVP_PKEY *key, const char *name, json_t *value)
{
    json_t *jwk = issuer_jwk(key, "k");
    json_object_set_new(jwk, name, value);
    return jwk;
}

START_TEST(skips_useless_keys)
{
    EVP_PKEY *weak = issuer_rsa(1024), *p384 = issuer_ec("P-384");
    ck_assert_uint_eq(usable(issuer_jwk(rsa, NULL)), 1);
    ck_assert_uint_eq(usable(with(rsa, "alg", json_string("PS256"))), 1);
    ck_assert_uint_eq(usable(with(rsa, "use", json_string("sig"))), 1);
    ck_assert_uint_eq(usable(with(rsa, "key_ops", json_pack("[s]", "verify"))), 1);
    ck_assert_uint_eq(usable(issuer_jwk(weak, "k")), 0);
    ck_assert_uint_eq(usable(issuer_jwk(p384, "k")), 0);
    ck_assert_uint_eq(usable(with(rsa, "use", json_string("enc"))), 0);
    ck_assert_uint_eq(usable(with(rsa, "use", json_null())), 0);
    ck_assert_uint_eq(usable(with(rsa, "key_ops", json_pack("[s]", "sign"))), 0);
    ck_assert_uint_eq(usable(with(rsa, "alg", json_string("HS256"))), 0);
    ck_assert_uint_eq(usable(with(rsa, "alg", json_string("ES256"))), 0);
    ck_assert_uint_eq(usable(with(rsa, "kid", json_integer(1))), 0);
    ck_assert_uint_eq(usable(with(rsa, "e", json_string("AQ"))), 0);   /* 1 */
    ck_assert_uint_eq(usable(with(rsa, "e", json_string("AQAC"))), 0); /* even */
    ck_assert_uint_eq(usable(with(rsa, "n", json_string("AQAB"))), 0);
    ck_assert_uint_eq(usable(with(rsa, "n", json_string("not base64!"))), 0);
    ck_assert_uint_eq(usable(with(rsa, "n", json_integer(5))), 0);
    ck_assert_uint_eq(usable(with(rsa, "kty", json_string("oct"))), 0);
    ck_assert_uint_eq(usable(with(ec, "y", json_string("AAAA"))), 0);
    ck_assert_uint_eq(
        usable(with(ec, "y", json_string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))), 0);
    ck_assert_uint_eq(usable(with(ec, "crv", json_string("secp256k1"))), 0);
    ck_assert_uint_eq(usable(json_pack("{s:s,s:s}", "kty", "oct", "k", "c2VjcmV0")), 0);
    ck_assert_uint_eq(usable(json_integer(1)), 0);
    EVP_PKEY_free(weak);
    EVP_PKEY_free(p384);
}
END_TEST

static enum err_code parse_set(const char *text, size_t len)
{
    struct err e = ERR_INIT;
    struct jwt_keys *out = NULL;
    bool ok = jwt_keys_parse(text, len, &out, &e);
    jwt_keys_destroy(&out);
    return ok ? ERR_NONE : e.code;
}

START_TEST(refuses_broken_sets)
{
    static const char *const broken[] = {"",
                                         "{",
                                         "[]",
                                         "{}",
                                         "{\"keys\":{}}",
                                         "{\"keys\":[]}",
                                         "{\"keys\":[],\"keys\":[]}",
                                         "null",
                                         "{\"keys\":null}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        ck_assert_int_eq(parse_set(broken[i], strlen(broken[i])), ERR_FORMAT);
    char *big = malloc(JWT_KEYS_MAX_BYTES + 1);
    memset(big, ' ', JWT_KEYS_MAX_BYTES + 1);
    ck_assert_int_eq(parse_set(big, JWT_KEYS_MAX_BYTES + 1), ERR_LIMIT);
    free(big);
    json_t *set = json_pack("{s:[]}", "keys");
    for (int i = 0; i <= JWT_MAX_KEYS; i++)
        json_array_append_new(json_object_get(set, "keys"), issuer_jwk(ec, "e"));
    char *many = json_dumps(set, 0);
    ck_assert_int_eq(parse_set(many, strlen(many)), ERR_LIMIT);
    free(many);
    json_decref(set);
}
END_TEST

START_TEST(base64_is_strict)
{
    static const char *const wrong[] = {"A",    "AB",    "AAB",   "AA==",    "A+A/",
                                        "AA A", "AAA\n", "AAAAA", "\xc3\xa4"};
    uint8_t out[8];
    size_t n;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!jwt_base64_decode(wrong[i], strlen(wrong[i]), out, sizeof out, &n), "%s",
                      wrong[i]);
    ck_assert(jwt_base64_decode("-_8", 3, out, sizeof out, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(out[0], 0xfb);
    ck_assert_int_eq(out[1], 0xff);
    ck_assert(jwt_base64_decode("AAAA", 4, out, 3, &n));
    ck_assert(!jwt_base64_decode("AAAA", 4, out, 2, &n));
    for (size_t len = 0; len <= 5; len++) {
        struct buf b;
        buf_init(&b, 64);
        ck_assert(jwt_base64_append(&b, "\xfb\xff\x01\x80\x7f", len));
        ck_assert(jwt_base64_decode(buf_str(&b), b.len, out, sizeof out, &n));
        ck_assert_uint_eq(n, len);
        ck_assert_mem_eq(out, "\xfb\xff\x01\x80\x7f", len);
        buf_release(&b);
    }
}
END_TEST

/* ---- identities and the group map ------------------------------------------------------------ */

static const char map_text[] =
    "{\"groups\":["
    "{\"group\":\"admins\",\"roles\":[\"admin\",\"auditor\"]},"
    "{\"group\":\"line3\",\"department\":\"Works/\u4e09\u53f7\u7ebf\",\"roles\":[\"user\"]},"
    "{\"group\":\"cn=Line 4,ou=groups,dc=plant\",\"department\":\"Works/Line "
    "4\",\"roles\":[\"user\"]},"
    "{\"group\":\"lab\",\"department\":\"Lab\",\"roles\":[\"editor\",\"user\"]}]%s}";

static struct identity_map *map_of(const char *rest)
{
    char text[2048];
    struct err e = ERR_INIT;
    struct identity_map *m = NULL;
    snprintf(text, sizeof text, map_text, rest);
    ck_assert_msg(identity_map_parse(text, strlen(text), &m, &e), "%s", e.msg);
    return m;
}

/* Roles of somebody in these groups, 0 when refused. */
static uint32_t place(const struct identity_map *m, enum identity_source source, const char *g1,
                      const char *g2, const char *department)
{
    struct err e = ERR_INIT;
    struct identity id;
    struct identity_place p;
    identity_init(&id, source);
    ck_assert(!g1 || identity_add_group(&id, g1, &e));
    ck_assert(!g2 || identity_add_group(&id, g2, &e));
    bool ok = identity_map_apply(m, &id, &p, &e);
    ck_assert(ok || e.code == ERR_NOT_FOUND);
    if (department)
        ck_assert_str_eq(p.department, department);
    else
        ck_assert_ptr_null(p.department);
    identity_release(&id);
    return p.roles;
}

START_TEST(maps_groups)
{
    struct identity_map *m = map_of("");
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, "line3", NULL, "Works/\u4e09\u53f7\u7ebf"),
                      ROLE_USER);
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, "lab", "line3", "Works/\u4e09\u53f7\u7ebf"),
                      ROLE_USER | ROLE_EDITOR);
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, "lab", "admins", "Lab"),
                      ROLE_USER | ROLE_EDITOR | ROLE_ADMIN | ROLE_AUDITOR);
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, "admins", NULL, NULL), 0);
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, "LAB", NULL, NULL), 0);
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, NULL, NULL, NULL), 0);
    ck_assert_uint_eq(
        place(m, IDENTITY_LDAP, "CN=line 4, OU=Groups,  DC=plant", NULL, "Works/Line 4"),
        ROLE_USER);
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, "CN=line 4, OU=Groups,  DC=plant", NULL, NULL), 0);
    ck_assert_uint_eq(place(m, IDENTITY_LDAP, "cn=line 4,ou=groups,dc=plant2", NULL, NULL), 0);
    identity_map_destroy(&m);
    m = map_of(",\"default\":{\"department\":\"Guests\",\"roles\":[\"user\"]}");
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, "nobody", NULL, "Guests"), ROLE_USER);
    ck_assert_uint_eq(place(m, IDENTITY_OIDC, "admins", NULL, NULL),
                      0); /* mapped, but to no place */
    identity_map_destroy(&m);
}
END_TEST

START_TEST(refuses_odd_maps)
{
    static const struct {
        const char *text;
        enum err_code code;
    } cases[] = {
        {"", ERR_FORMAT},
        {"{\"groups\":[],\"groups\":[]}", ERR_FORMAT},
        {"[]", ERR_ARG},
        {"{}", ERR_ARG},
        {"{\"groups\":[]}", ERR_ARG},
        {"{\"groups\":[{}]}", ERR_ARG},
        {"{\"groups\":[1]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"\",\"roles\":[\"user\"]}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"roles\":[\"service\"]}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"roles\":[\"Admin\"]}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"roles\":\"admin\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"department\":\"\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"department\":\"/a\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"department\":\"a//b\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"department\":\"a/\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"department\":\"a\\nb\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"department\":\"a/ b\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"department\":\"a /b\"}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"departement\":\"b\",\"roles\":[\"user\"]}]}", ERR_ARG},
        {"{\"groups\":[{\"group\":\"a\",\"department\":\"b\"}],\"other\":1}", ERR_ARG},
        {"{\"default\":{\"department\":\"b\"}}", ERR_ARG},
        {"{\"default\":{\"group\":\"a\",\"department\":\"b\",\"roles\":[\"user\"]}}", ERR_ARG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = ERR_INIT;
        struct identity_map *m = NULL;
        ck_assert_msg(!identity_map_parse(cases[i].text, strlen(cases[i].text), &m, &e), "%s",
                      cases[i].text);
        ck_assert_msg(e.code == cases[i].code, "%s: %s", cases[i].text, e.msg);
        ck_assert_ptr_null(m);
    }
}
END_TEST

/* A name that no department can have is found when the file is read, not at the first login. */
START_TEST(names_of_departments_have_their_length)
{
    for (int n = 66; n <= 67; n++) { /* three bytes each; 200 are possible */
        struct identity_map *m = NULL;
        char text[400];
        size_t len = (size_t)snprintf(
            text, sizeof text, "{\"default\":{\"roles\":[\"user\"],\"department\":\"");
        for (int i = 0; i < n; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "\u7ebf");
        snprintf(text + len, sizeof text - len, "\"}}");
        ck_assert_int_eq(identity_map_parse(text, strlen(text), &m, NULL), n == 66);
        identity_map_destroy(&m);
    }
}
END_TEST

START_TEST(loads_map_files)
{
    struct err e = ERR_INIT;
    struct identity_map *m = NULL;
    char path[] = "check_jwt.XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert(!identity_map_load("check_jwt.missing", &m, &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
    ck_assert(!identity_map_load(path, &m, &e)); /* empty */
    ck_assert_int_eq(e.code, ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(e.msg, path));
    ck_assert(!identity_map_load(".", &m, &e));
    const char text[] = "{\"default\":{\"department\":\"Guests\",\"roles\":[\"user\"]}}";
    ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
    ck_assert(identity_map_load(path, &m, &e));
    identity_map_destroy(&m);
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(keeps_fields_clean)
{
    struct err e = ERR_INIT;
    struct identity id;
    char big[400], key[IDENTITY_KEY_TEXT];
    memset(big, 'b', sizeof big);
    big[sizeof big - 1] = '\0';
    identity_init(&id, IDENTITY_OIDC);
    ck_assert(identity_set_issuer(&id, ISSUER, &e));
    ck_assert(!identity_set_issuer(&id, "a b", &e));
    ck_assert(identity_set_issuer(&id, ISSUER, &e));
    ck_assert(identity_set_subject(&id, "u 1", &e));
    ck_assert(!identity_set_subject(&id, NULL, &e));
    ck_assert(!identity_set_login(&id, "", &e));
    ck_assert(!identity_set_login(&id, "a\nb", &e));
    ck_assert(!identity_set_login(&id,
                                  "a\xc2\x9b"
                                  "b",
                                  &e));
    ck_assert(!identity_set_login(&id, "a\xff", &e));
    ck_assert(!identity_set_login(&id, big, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    ck_assert(identity_set_login(&id, "l.wei", &e));
    identity_set_name(&id, "a\nb");
    ck_assert_str_eq(id.name, "a b");
    identity_set_name(&id, "\xff");
    ck_assert_str_eq(id.name, "");
    identity_set_name(&id, big);
    ck_assert_uint_eq(strlen(id.name), IDENTITY_NAME_TEXT - 1);
    identity_set_email(&id, "w@x.cn");
    ck_assert_str_eq(id.email, "w@x.cn");
    const char *const odd[] = {"w", "@x", "w@", "w@x@y", "w x@y", "w@x\n", big, NULL};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        identity_set_email(&id, odd[i]);
        ck_assert_str_eq(id.email, "");
    }
    identity_key(&id, key);
    ck_assert_str_eq(key, ISSUER " u 1");
    ck_assert_str_eq(identity_source_name(id.source), "oidc");
    for (int i = 0; i < IDENTITY_MAX_GROUPS; i++)
        ck_assert(identity_add_group(&id, "g", &e));
    ck_assert(!identity_add_group(&id, "g", &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    identity_release(&id);
    identity_release(&id);
}
END_TEST

static void add(Suite *s, const char *name, const TTest *const *tests, size_t n)
{
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 60);
    tcase_add_unchecked_fixture(c, make_keys, drop_keys);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(c, tests[i]);
    suite_add_tcase(s, c);
}
#define ADD(s, name, ...)                                                                          \
    do {                                                                                           \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        add(s, name, tests, sizeof tests / sizeof tests[0]);                                       \
    } while (0)

int main(void)
{
    Suite *s = suite_create("jwt");
    ADD(s, "accepted", accepts_three_algorithms, hands_out_claims);
    ADD(s, "signatures", refuses_forged, refuses_foreign_payload, refuses_confused_algorithms,
        refuses_public_key_as_secret, refuses_key_of_the_token, refuses_odd_headers);
    ADD(s, "mutations", refuses_mutations, refuses_sizes_and_shapes);
    ADD(s, "claims", checks_issuer_and_subject, checks_audience, checks_times, checks_nonce,
        refuses_duplicate_claims);
    ADD(s, "keys", follows_rotation, skips_useless_keys, refuses_broken_sets, base64_is_strict);
    ADD(s, "identity", maps_groups, refuses_odd_maps, names_of_departments_have_their_length,
        loads_map_files, keeps_fields_clean);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
