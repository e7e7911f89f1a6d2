/* Owns: one issuer's discovery document and keys, tickets of begun logins, the code flow.
 * Refuses to know: cookies, routes, people and departments.
 *
 * What was fetched stands in a `struct facts` that never changes; threads share it by count. A new
 * fetch makes a new one. `mu` guards the pointer and the bookkeeping and is never held over a
 * fetch. */
#include <config.h>

#include "auth/oidc.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/fetch.h"
#include "auth/jwt.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

enum {
    KEY_BYTES = 32,
    SEED_BYTES = 32,   /* of a ticket: 8 of time, 24 random */
    DERIVED_TEXT = 44, /* 32 bytes as base64url */
    URL_BYTES = 8192,
    CLAIM_MAX_BYTES = 64
};

struct facts {
    unsigned refs; /* guarded by oidc.mu */
    char *authorize_url, *token_url, *keys_url;
    bool secret_in_form; /* client_secret_post instead of client_secret_basic */
    bool sends_iss;      /* RFC 9207 */
    struct jwt_keys *keys;
    uint64_t until_us;
};

struct oidc {
    char *issuer, *client_id, *client_secret, *redirect_uri, *scopes, *ca_file;
    char *login_claim, *name_claim, *email_claim, *groups_claim;
    unsigned timeout_ms, login_s, cache_s;
    uint8_t key[KEY_BYTES];
    pthread_mutex_t mu; /* guards what follows */
    pthread_cond_t fetched;
    bool fetching;
    struct facts *facts;    /* NULL = nothing fetched yet */
    uint64_t refetch_at_us; /* a key that we do not know causes no fetch before */
    uint64_t retry_at_us;   /* after a failure */
    struct err failure;
};

/* ---- options --------------------------------------------------------------------------------- */

static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, word, len) == 0)
            return true;
        at += n;
    }
    return false;
}

static bool is_text(const char *s, size_t max_bytes)
{
    return s && *s && strlen(s) <= max_bytes;
}

static bool options_check(const struct oidc_options *opt, struct err *e)
{
    if (!is_text(opt->issuer, IDENTITY_ISSUER_TEXT - 1) || !is_text(opt->redirect_uri, 1000))
        FAIL(e, ERR_ARG, "an issuer and a redirect URI are needed");
    if (fetch_scheme_of(opt->issuer) == FETCH_REFUSED || strchr(opt->issuer, '?'))
        FAIL(e, ERR_ARG, "the issuer must be an https URL without query");
    if (fetch_scheme_of(opt->redirect_uri) == FETCH_REFUSED)
        FAIL(e, ERR_ARG, "the redirect URI must be an https URL");
    if (!is_text(opt->client_id, 256) || (opt->client_secret && strlen(opt->client_secret) > 512))
        FAIL(e, ERR_ARG, "the client id has 1 to 256 bytes, its secret at most 512");
    if (!is_text(opt->scopes, 512) || !has_word(opt->scopes, "openid"))
        FAIL(e, ERR_ARG, "the scopes must contain openid");
    if (!is_text(opt->login_claim, CLAIM_MAX_BYTES) || !is_text(opt->name_claim, CLAIM_MAX_BYTES) ||
        !is_text(opt->email_claim, CLAIM_MAX_BYTES) || !is_text(opt->groups_claim, CLAIM_MAX_BYTES))
        FAIL(e, ERR_ARG, "names of claims have 1 to %d bytes", CLAIM_MAX_BYTES);
    if (opt->timeout_ms < 100 || opt->timeout_ms > 60000 || opt->login_s < 1 ||
        opt->login_s > 3600 || opt->cache_s < 10 || opt->cache_s > 86400)
        FAIL(e, ERR_ARG,
             "the OIDC times are out of range: 100 to 60000 ms for an exchange, 1 to "
             "3600 s for a login, 10 to 86400 s for the cache");
    return true;
}

bool oidc_create(const struct oidc_options *opt, struct oidc **out, struct err *e)
{
    *out = NULL;
    if (!options_check(opt, e))
        return false;
    struct oidc *o = mem_zalloc(sizeof *o);
    if (!hash_random(o->key, sizeof o->key, e)) {
        free(o);
        return false;
    }
    o->issuer = mem_strdup(opt->issuer);
    o->client_id = mem_strdup(opt->client_id);
    o->client_secret = mem_strdup(opt->client_secret ? opt->client_secret : "");
    o->redirect_uri = mem_strdup(opt->redirect_uri);
    o->scopes = mem_strdup(opt->scopes);
    o->ca_file = mem_strdup(opt->ca_file ? opt->ca_file : "");
    o->login_claim = mem_strdup(opt->login_claim);
    o->name_claim = mem_strdup(opt->name_claim);
    o->email_claim = mem_strdup(opt->email_claim);
    o->groups_claim = mem_strdup(opt->groups_claim);
    o->timeout_ms = opt->timeout_ms;
    o->login_s = opt->login_s;
    o->cache_s = opt->cache_s;
    pthread_mutex_init(&o->mu, NULL);
    pthread_cond_init(&o->fetched, NULL);
    *out = o;
    return true;
}

static void facts_free(struct facts *f)
{
    free(f->authorize_url);
    free(f->token_url);
    free(f->keys_url);
    jwt_keys_destroy(&f->keys);
    free(f);
}

static void facts_unref_locked(struct facts *f)
{
    if (f && --f->refs == 0)
        facts_free(f);
}

static void facts_unref(struct oidc *o, struct facts *f)
{
    pthread_mutex_lock(&o->mu);
    facts_unref_locked(f);
    pthread_mutex_unlock(&o->mu);
}

void oidc_destroy(struct oidc **out)
{
    struct oidc *o = *out;
    if (!o)
        return;
    facts_unref_locked(o->facts);
    pthread_cond_destroy(&o->fetched);
    pthread_mutex_destroy(&o->mu);
    OPENSSL_cleanse(o->client_secret, strlen(o->client_secret));
    char *texts[] = {o->issuer,      o->client_id,   o->client_secret, o->redirect_uri,
                     o->scopes,      o->ca_file,     o->login_claim,   o->name_claim,
                     o->email_claim, o->groups_claim};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    OPENSSL_cleanse(o, sizeof *o);
    free(o);
    *out = NULL;
}

/* ---- discovery ------------------------------------------------------------------------------- */

/* GET, 200, JSON object. NULL with `e` set. */
static json_t *fetch_json(const struct oidc *o, const char *url, const char *what, struct buf *body,
                          struct err *e)
{
    long status;
    struct fetch f = {.url = url, .ca_file = o->ca_file, .timeout_ms = o->timeout_ms};
    buf_clear(body);
    if (!fetch_run(&f, body, &status, e))
        return NULL;
    if (status != 200) {
        err_set(e, ERR_IO, 0, __FILE__, __LINE__, "the issuer answered %ld for its %s", status,
                what);
        return NULL;
    }
    json_t *v = json_loadb(buf_str(body), body->len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(v))
        return v;
    json_decref(v);
    err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "the issuer's %s is not a JSON object", what);
    return NULL;
}

/* Whether the list has the word; `fallback` when there is no list. */
static bool lists(const json_t *doc, const char *name, const char *word, bool fallback)
{
    const json_t *list = json_object_get(doc, name);
    if (!list)
        return fallback;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one && strcmp(one, word) == 0)
            return true;
    }
    return false;
}

/* An https issuer must not send us, or a browser, to http. */
static bool endpoint_read(const struct oidc *o, const json_t *doc, const char *name, char **out,
                          struct err *e)
{
    const char *url = json_string_value(json_object_get(doc, name));
    enum fetch_scheme scheme = url ? fetch_scheme_of(url) : FETCH_REFUSED;
    if (scheme == FETCH_REFUSED ||
        (scheme == FETCH_LOOPBACK_HTTP && fetch_scheme_of(o->issuer) != FETCH_LOOPBACK_HTTP))
        FAIL(e, ERR_FORMAT, "the issuer's %s is missing or not an https URL", name);
    *out = mem_strdup(url);
    return true;
}

static bool discovery_read(const struct oidc *o, const json_t *doc, struct facts *f, struct err *e)
{
    const char *issuer = json_string_value(json_object_get(doc, "issuer"));
    const char *algs = "id_token_signing_alg_values_supported";
    const char *methods = "token_endpoint_auth_methods_supported";
    if (!issuer || strcmp(issuer, o->issuer) != 0)
        FAIL(e, ERR_FORMAT, "the discovery document is that of another issuer");
    if (!endpoint_read(o, doc, "authorization_endpoint", &f->authorize_url, e) ||
        !endpoint_read(o, doc, "token_endpoint", &f->token_url, e) ||
        !endpoint_read(o, doc, "jwks_uri", &f->keys_url, e))
        return false;
    if (!lists(doc, "response_types_supported", "code", true))
        FAIL(e, ERR_UNSUPPORTED, "the issuer does not offer the code flow");
    if (!lists(doc, "code_challenge_methods_supported", "S256", true))
        FAIL(e, ERR_UNSUPPORTED, "the issuer does not offer PKCE with S256");
    if (!lists(doc, algs, "RS256", true) && !lists(doc, algs, "ES256", false) &&
        !lists(doc, algs, "PS256", false))
        FAIL(e, ERR_UNSUPPORTED, "the issuer signs with none of RS256, ES256 and PS256");
    bool basic = lists(doc, methods, "client_secret_basic", true);
    f->secret_in_form = !basic && lists(doc, methods, "client_secret_post", false);
    if (*o->client_secret && !basic && !f->secret_in_form)
        FAIL(e, ERR_UNSUPPORTED, "the issuer takes no client secret that we could send");
    f->sends_iss =
        json_is_true(json_object_get(doc, "authorization_response_iss_parameter_supported"));
    return true;
}

static bool discovery_fetch(const struct oidc *o, struct facts *f, struct buf *body, struct err *e)
{
    struct buf url;
    size_t len = strlen(o->issuer);
    buf_init(&url, URL_BYTES);
    buf_append(&url, o->issuer, len - (o->issuer[len - 1] == '/'));
    buf_puts(&url, "/.well-known/openid-configuration");
    json_t *doc = fetch_json(o, buf_str(&url), "discovery document", body, e);
    bool ok = doc && discovery_read(o, doc, f, e);
    json_decref(doc);
    buf_release(&url);
    return ok;
}

static bool keys_fetch(const struct oidc *o, struct facts *f, struct buf *body, struct err *e)
{
    long status;
    struct fetch get = {.url = f->keys_url, .ca_file = o->ca_file, .timeout_ms = o->timeout_ms};
    buf_clear(body);
    if (!fetch_run(&get, body, &status, e))
        return false;
    if (status != 200)
        FAIL(e, ERR_IO, "the issuer answered %ld for its keys", status);
    return jwt_keys_parse(buf_str(body), body->len, &f->keys, e);
}

static struct facts *facts_fetch(const struct oidc *o, struct err *e)
{
    struct facts *f = mem_zalloc(sizeof *f);
    struct buf body;
    buf_init(&body, OIDC_ANSWER_BYTES);
    f->refs = 1;
    bool ok = discovery_fetch(o, f, &body, e) && keys_fetch(o, f, &body, e);
    f->until_us = clock_now_us() + (uint64_t)o->cache_s * 1000000;
    buf_release(&body);
    if (ok)
        return f;
    facts_free(f);
    return NULL;
}

/* True when the caller has its answer: *out, or `e` set. False when it is the one to fetch. */
static bool facts_find_locked(struct oidc *o, const struct facts *stale, struct facts **out,
                              struct err *e)
{
    for (;; pthread_cond_wait(&o->fetched, &o->mu)) {
        uint64_t now = clock_now_us();
        if (o->facts && o->facts != stale && now < o->facts->until_us) {
            *out = o->facts;
            o->facts->refs++;
            return true;
        }
        if (o->facts && o->facts == stale && now < o->refetch_at_us) {
            err_set(e, ERR_NOT_FOUND, 0, __FILE__, __LINE__,
                    "the issuer does not list the token's key; its keys were just fetched again");
            return true;
        }
        if (now < o->retry_at_us) {
            if (e)
                *e = o->failure;
            return true;
        }
        if (!o->fetching)
            return false;
    }
}

/* The issuer's facts, other than `stale` when that is given; *out is to be unreferenced. */
static bool facts_get(struct oidc *o, const struct facts *stale, struct facts **out, struct err *e)
{
    struct err why = ERR_INIT;
    *out = NULL;
    pthread_mutex_lock(&o->mu);
    if (facts_find_locked(o, stale, out, e)) {
        pthread_mutex_unlock(&o->mu);
        return *out != NULL;
    }
    o->fetching = true;
    if (stale)
        o->refetch_at_us = clock_now_us() + OIDC_REFETCH_S * UINT64_C(1000000);
    pthread_mutex_unlock(&o->mu);
    struct facts *f = facts_fetch(o, &why);
    pthread_mutex_lock(&o->mu);
    o->fetching = false;
    if (f) {
        facts_unref_locked(o->facts);
        o->facts = f;
        f->refs++;
        *out = f;
    } else {
        o->failure = why;
        o->retry_at_us = clock_now_us() + OIDC_RETRY_S * UINT64_C(1000000);
    }
    pthread_cond_broadcast(&o->fetched);
    pthread_mutex_unlock(&o->mu);
    if (!f && e)
        *e = why;
    return f != NULL;
}

/* ---- tickets --------------------------------------------------------------------------------- */

/* base64url(time, random) "." base64url(next) "." base64url(HMAC of what stands before). */

static bool derive(const struct oidc *o, const char *purpose, const char *text, size_t len,
                   uint8_t mac[HASH_SHA256_BYTES], struct err *e)
{
    struct buf b;
    unsigned n = 0;
    buf_init(&b, OIDC_TICKET_TEXT + 32);
    buf_append(&b, purpose, strlen(purpose) + 1);
    bool ok = buf_append(&b, text, len) &&
              HMAC(EVP_sha256(), o->key, KEY_BYTES, (const uint8_t *)b.data, b.len, mac, &n);
    buf_release(&b);
    if (!ok || n != HASH_SHA256_BYTES)
        FAIL(e, ERR_INTERNAL, "OpenSSL cannot compute an HMAC");
    return true;
}

static bool derive_text(const struct oidc *o, const char *purpose, const char *ticket,
                        char out[DERIVED_TEXT], struct err *e)
{
    uint8_t mac[HASH_SHA256_BYTES];
    struct buf b;
    if (!derive(o, purpose, ticket, strlen(ticket), mac, e))
        return false;
    buf_init(&b, DERIVED_TEXT);
    jwt_base64_append(&b, mac, sizeof mac);
    memcpy(out, buf_str(&b), b.len + 1);
    buf_release(&b);
    return true;
}

/* Ours, and nothing a browser could take for another host. */
static bool is_own_page(const char *next)
{
    if (next[0] != '/' || next[1] == '/' || strlen(next) >= OIDC_NEXT_TEXT)
        return false;
    for (const char *c = next; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == '\\')
            return false;
    return true;
}

static bool ticket_make(const struct oidc *o, const char *next, char out[OIDC_TICKET_TEXT],
                        struct err *e)
{
    uint8_t seed[SEED_BYTES], mac[HASH_SHA256_BYTES];
    uint64_t now = (uint64_t)clock_wall_s();
    struct buf b;
    for (int i = 0; i < 8; i++)
        seed[i] = (uint8_t)(now >> (56 - 8 * i));
    if (!hash_random(seed + 8, sizeof seed - 8, e))
        return false;
    buf_init(&b, OIDC_TICKET_TEXT);
    jwt_base64_append(&b, seed, sizeof seed);
    buf_putc(&b, '.');
    jwt_base64_append(&b, next, strlen(next));
    bool ok = derive(o, "ticket", buf_str(&b), b.len, mac, e);
    buf_putc(&b, '.');
    jwt_base64_append(&b, mac, sizeof mac);
    ok = ok && !b.failed && b.len < OIDC_TICKET_TEXT;
    if (ok)
        memcpy(out, b.data, b.len + 1);
    buf_release(&b);
    return ok;
}

static bool ticket_sealed(const struct oidc *o, const char *ticket, const char *end)
{
    uint8_t mac[HASH_SHA256_BYTES], given[HASH_SHA256_BYTES];
    size_t n;
    return end && jwt_base64_decode(end + 1, strlen(end + 1), given, sizeof given, &n) &&
           n == sizeof given && derive(o, "ticket", ticket, (size_t)(end - ticket), mac, NULL) &&
           hash_equal(mac, given);
}

static bool ticket_read(const struct oidc *o, const char *ticket, char next[OIDC_NEXT_TEXT],
                        struct err *e)
{
    uint8_t seed[SEED_BYTES];
    uint64_t begun = 0, now = (uint64_t)clock_wall_s();
    size_t n;
    const char *end = strlen(ticket) < OIDC_TICKET_TEXT ? strrchr(ticket, '.') : NULL;
    if (!ticket_sealed(o, ticket, end))
        FAIL(e, ERR_ARG, "this login was not begun here, or before a restart: begin again");
    const char *dot = strchr(ticket, '.');
    if (dot == end || !jwt_base64_decode(ticket, (size_t)(dot - ticket), seed, sizeof seed, &n) ||
        n != sizeof seed ||
        !jwt_base64_decode(dot + 1, (size_t)(end - dot - 1), (uint8_t *)next, OIDC_NEXT_TEXT - 1,
                           &n))
        FAIL(e, ERR_INTERNAL, "a sealed ticket is malformed");
    next[n] = '\0';
    for (int i = 0; i < 8; i++)
        begun = begun << 8 | seed[i];
    if (now < begun || now - begun > o->login_s)
        FAIL(e, ERR_ARG, "the login took longer than %u seconds: begin again", o->login_s);
    return true;
}

static bool state_check(const struct oidc *o, const struct oidc_return *back, struct err *e)
{
    char want[DERIVED_TEXT];
    if (!derive_text(o, "state", back->ticket, want, e))
        return false;
    if (strlen(back->state) != sizeof want - 1 ||
        CRYPTO_memcmp(back->state, want, sizeof want - 1) != 0)
        FAIL(e, ERR_ARG, "this login was not begun in this browser: begin again");
    return true;
}

/* ---- begin ----------------------------------------------------------------------------------- */

static void put_field(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "%s=", name);
    fetch_escape(b, value);
    buf_putc(b, '&');
}

/* S256: base64url(SHA-256(verifier)), RFC 7636. */
static bool challenge_of(const char *verifier, char out[DERIVED_TEXT], struct err *e)
{
    uint8_t digest[HASH_SHA256_BYTES];
    struct buf b;
    if (!hash_sha256(verifier, strlen(verifier), digest, e))
        return false;
    buf_init(&b, DERIVED_TEXT);
    jwt_base64_append(&b, digest, sizeof digest);
    memcpy(out, buf_str(&b), b.len + 1);
    buf_release(&b);
    return true;
}

static bool url_make(const struct oidc *o, const struct facts *f, struct oidc_start *out,
                     struct err *e)
{
    char state[DERIVED_TEXT], nonce[DERIVED_TEXT], verifier[DERIVED_TEXT], challenge[DERIVED_TEXT];
    struct buf b;
    if (!derive_text(o, "state", out->ticket, state, e) ||
        !derive_text(o, "nonce", out->ticket, nonce, e) ||
        !derive_text(o, "verifier", out->ticket, verifier, e) ||
        !challenge_of(verifier, challenge, e))
        return false;
    OPENSSL_cleanse(verifier, sizeof verifier);
    buf_init(&b, URL_BYTES);
    buf_puts(&b, f->authorize_url);
    buf_putc(&b, strchr(f->authorize_url, '?') ? '&' : '?');
    put_field(&b, "response_type", "code");
    put_field(&b, "client_id", o->client_id);
    put_field(&b, "redirect_uri", o->redirect_uri);
    put_field(&b, "scope", o->scopes);
    put_field(&b, "state", state);
    put_field(&b, "nonce", nonce);
    put_field(&b, "code_challenge", challenge);
    buf_puts(&b, "code_challenge_method=S256");
    bool ok = !b.failed;
    out->url = ok ? buf_take(&b) : NULL;
    buf_release(&b);
    if (!ok)
        FAIL(e, ERR_LIMIT, "the URL of the login is longer than %d bytes", URL_BYTES);
    return true;
}

bool oidc_begin(struct oidc *o, const char *next, struct oidc_start *out, struct err *e)
{
    struct facts *f;
    *out = (struct oidc_start){0};
    if (!is_own_page(next))
        FAIL(e, ERR_ARG, "the page to return to must be a path of this server");
    if (!facts_get(o, NULL, &f, e))
        return false;
    bool ok = ticket_make(o, next, out->ticket, e) && url_make(o, f, out, e);
    facts_unref(o, f);
    return ok;
}

/* ---- finish ---------------------------------------------------------------------------------- */

static bool is_code(const char *code)
{
    size_t n = 0;
    for (; code[n]; n++)
        if (code[n] < ' ' || code[n] > '~' || n == OIDC_CODE_BYTES)
            return false;
    return n > 0;
}

static void wipe(struct buf *b)
{
    if (b->data)
        OPENSSL_cleanse(b->data, b->len);
    buf_release(b);
}

/* The secret goes by HTTP Basic, name and secret form-encoded first (RFC 6749, 2.3.1), or in the
 * form where the issuer wants that. */
static bool code_send(const struct oidc *o, const struct facts *f, const struct oidc_return *back,
                      struct buf *body, long *status, struct err *e)
{
    char verifier[DERIVED_TEXT];
    bool secret = *o->client_secret != '\0', basic = secret && !f->secret_in_form;
    struct buf form, user, password;
    if (!derive_text(o, "verifier", back->ticket, verifier, e))
        return false;
    buf_init(&form, 32768);
    buf_init(&user, 1024);
    buf_init(&password, 2048);
    put_field(&form, "grant_type", "authorization_code");
    put_field(&form, "code", back->code);
    put_field(&form, "redirect_uri", o->redirect_uri);
    if (!basic)
        put_field(&form, "client_id", o->client_id);
    if (secret && !basic)
        put_field(&form, "client_secret", o->client_secret);
    buf_printf(&form, "code_verifier=%s", verifier);
    fetch_escape(&user, o->client_id);
    fetch_escape(&password, o->client_secret);
    struct fetch post = {f->token_url, buf_str(&form), NULL, NULL, o->ca_file, o->timeout_ms};
    if (basic) {
        post.user = buf_str(&user);
        post.password = buf_str(&password);
    }
    bool ok = !form.failed && !user.failed && !password.failed;
    if (!ok)
        err_set(e, ERR_LIMIT, 0, __FILE__, __LINE__, "the request to the issuer is too large");
    ok = ok && fetch_run(&post, body, status, e);
    OPENSSL_cleanse(verifier, sizeof verifier);
    wipe(&form);
    wipe(&user);
    wipe(&password);
    return ok;
}

/* RFC 6749, 5.2: a word like invalid_grant; anything else is not repeated. */
static bool answer_refused(const json_t *answer, long status, struct err *e)
{
    const char *word = json_string_value(json_object_get(answer, "error"));
    if (!word || strspn(word, "abcdefghijklmnopqrstuvwxyz_") != strlen(word) || strlen(word) > 60)
        word = "no reason given";
    if (strcmp(word, "invalid_grant") == 0)
        FAIL(e, ERR_ARG, "the issuer does not accept the code any more: begin again");
    FAIL(e, ERR_IO, "the issuer answered %ld to the code: %s", status, word);
}

/* *token is borrowed from *answer, which is owned by the caller in any case. */
static bool code_exchange(const struct oidc *o, const struct facts *f,
                          const struct oidc_return *back, json_t **answer, const char **token,
                          struct err *e)
{
    struct buf body;
    long status;
    buf_init(&body, OIDC_ANSWER_BYTES);
    bool ok = code_send(o, f, back, &body, &status, e);
    if (ok)
        *answer = json_loadb(buf_str(&body), body.len, JSON_REJECT_DUPLICATES, NULL);
    wipe(&body);
    if (!ok)
        return false;
    if (status != 200)
        return answer_refused(*answer, status, e);
    const char *type = json_string_value(json_object_get(*answer, "token_type"));
    *token = json_string_value(json_object_get(*answer, "id_token"));
    if (!type || strcasecmp(type, "Bearer") != 0 || !*token)
        FAIL(e, ERR_FORMAT, "the issuer's answer to the code has no ID token");
    return true;
}

/* With keys fetched once more when the token's key is not among them. */
static bool token_verify(struct oidc *o, struct facts **f, const char *ticket, const char *token,
                         json_t **claims, struct err *e)
{
    char nonce[DERIVED_TEXT];
    struct err why = ERR_INIT;
    if (!derive_text(o, "nonce", ticket, nonce, e))
        return false;
    struct jwt_expect want = {o->issuer, o->client_id, nonce, clock_wall_s()};
    bool ok = jwt_verify(token, strlen(token), (*f)->keys, &want, claims, &why);
    if (!ok && why.code == ERR_NOT_FOUND) {
        struct facts *newer;
        if (!facts_get(o, *f, &newer, e))
            return false;
        facts_unref(o, *f);
        *f = newer;
        ok = jwt_verify(token, strlen(token), newer->keys, &want, claims, &why);
    }
    if (!ok && e)
        *e = why;
    return ok;
}

static bool groups_read(const struct oidc *o, const json_t *claims, struct identity *id,
                        struct err *e)
{
    const json_t *groups = json_object_get(claims, o->groups_claim);
    const json_t *elsewhere = json_object_get(claims, "_claim_names");
    if (!groups && json_object_get(elsewhere, o->groups_claim))
        FAIL(e, ERR_UNSUPPORTED,
             "the issuer left the groups out of the token because they are too "
             "many: let it send only those that matter here");
    if (!groups)
        return true;
    if (json_is_string(groups))
        return identity_add_group(id, json_string_value(groups), e);
    if (!json_is_array(groups))
        FAIL(e, ERR_FORMAT, "the token's groups are not a list of texts");
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const char *one = json_string_value(json_array_get(groups, i));
        if (!one)
            FAIL(e, ERR_FORMAT, "the token's groups are not a list of texts");
        if (!identity_add_group(id, one, e))
            return false;
    }
    return true;
}

static bool identity_read(const struct oidc *o, const json_t *claims, struct identity *id,
                          struct err *e)
{
    const char *login = json_string_value(json_object_get(claims, o->login_claim));
    const json_t *verified = json_object_get(claims, "email_verified");
    const char *word = json_string_value(verified); /* some issuers quote it */
    if (!login)
        FAIL(e, ERR_FORMAT, "the token has no %s to serve as login", o->login_claim);
    if (!identity_set_issuer(id, o->issuer, e) ||
        !identity_set_subject(id, json_string_value(json_object_get(claims, "sub")), e) ||
        !identity_set_login(id, login, e) || !groups_read(o, claims, id, e))
        return false;
    identity_set_name(id, json_string_value(json_object_get(claims, o->name_claim)));
    if (!verified || json_is_true(verified) || (word && strcmp(word, "true") == 0))
        identity_set_email(id, json_string_value(json_object_get(claims, o->email_claim)));
    return true;
}

static bool return_check(const struct oidc *o, const struct oidc_return *back,
                         char next[OIDC_NEXT_TEXT], struct err *e)
{
    if (!ticket_read(o, back->ticket, next, e) || !state_check(o, back, e))
        return false;
    if (back->iss && strcmp(back->iss, o->issuer) != 0)
        FAIL(e, ERR_ARG, "the answer is from another issuer");
    if (!is_code(back->code))
        FAIL(e, ERR_ARG, "the issuer's code is malformed");
    return true;
}

bool oidc_finish(struct oidc *o, const struct oidc_return *back, struct identity *id,
                 char next[OIDC_NEXT_TEXT], struct err *e)
{
    struct facts *f = NULL;
    json_t *answer = NULL, *claims = NULL;
    const char *token;
    identity_init(id, IDENTITY_OIDC);
    if (!return_check(o, back, next, e) || !facts_get(o, NULL, &f, e))
        return false;
    bool ok = back->iss || !f->sends_iss;
    if (!ok)
        err_set(e, ERR_ARG, 0, __FILE__, __LINE__,
                "the answer does not say from which issuer it is");
    ok = ok && code_exchange(o, f, back, &answer, &token, e) &&
         token_verify(o, &f, back->ticket, token, &claims, e) && identity_read(o, claims, id, e);
    facts_unref(o, f);
    json_decref(answer);
    json_decref(claims);
    if (!ok)
        identity_release(id);
    return ok;
}
