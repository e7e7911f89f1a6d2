/* Login at a real issuer (issuer.c) by a browser that is a few lines of libcurl: the whole road,
 * and everything that may go wrong on it. */
#include <config.h>

#include <check.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/fetch.h"
#include "auth/oidc.h"
#include "base/clock.h"
#include "issuer.h"

static struct issuer issuer;
static struct issuer_tls tls;
static struct oidc *o;

static struct oidc_options options(void)
{
    struct oidc_options opt = OIDC_OPTIONS_DEFAULT;
    opt.issuer = issuer.url;
    opt.client_id = issuer.client_id;
    opt.client_secret = issuer.client_secret;
    opt.redirect_uri = issuer.redirect_uri;
    opt.timeout_ms = 4000;
    return opt;
}

static void create(const struct oidc_options *opt)
{
    struct err e = ERR_INIT;
    oidc_destroy(&o);
    ck_assert_msg(oidc_create(opt, &o, &e), "%s", e.msg);
}

/* Nothing cached, another key for tickets. */
static void restart(void)
{
    struct oidc_options opt = options();
    create(&opt);
}

static void set_up(void)
{
    issuer_start(&issuer, NULL);
    restart();
}

static void tear_down(void)
{
    oidc_destroy(&o);
    issuer_stop(&issuer);
}

/* ---- the browser ----------------------------------------------------------------------------- */

struct visit {
    struct oidc_start start;
    char *code, *state, *iss; /* as they came back; iss may be NULL */
};

static char *query_value(const char *url, const char *name)
{
    char key[32], *out = NULL;
    snprintf(key, sizeof key, "%s=", name);
    const char *at = strchr(url, '?');
    for (; at && !out; at = strchr(at + 1, '&')) {
        if (strncmp(at + 1, key, strlen(key)) != 0)
            continue;
        int len;
        const char *value = at + 1 + strlen(key);
        char *plain = curl_easy_unescape(NULL, value, (int)strcspn(value, "&"), &len);
        out = strdup(plain);
        curl_free(plain);
    }
    return out;
}

static void browse(struct visit *v, const char *ca_file)
{
    char *to = NULL;
    CURL *c = curl_easy_init();
    curl_easy_setopt(c, CURLOPT_URL, v->start.url);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_TIMEOUT, 10L);
    if (ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
    ck_assert_int_eq(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &to);
    ck_assert_msg(to && strncmp(to, issuer.redirect_uri, strlen(issuer.redirect_uri)) == 0,
                  "the issuer refuses %s", v->start.url);
    v->code = query_value(to, "code");
    v->state = query_value(to, "state");
    v->iss = query_value(to, "iss");
    curl_easy_cleanup(c);
}

static void visit_begin(struct visit *v, const char *next)
{
    struct err e = ERR_INIT;
    *v = (struct visit){0};
    ck_assert_msg(oidc_begin(o, next, &v->start, &e), "%s", e.msg);
    browse(v, NULL);
}

static void visit_end(struct visit *v)
{
    free(v->start.url);
    free(v->code);
    free(v->state);
    free(v->iss);
}

static enum err_code finish(const struct visit *v, struct identity *id, char next[OIDC_NEXT_TEXT],
                            struct err *e)
{
    *e = ERR_INIT;
    struct oidc_return back = {v->start.ticket, v->state, v->code, v->iss};
    bool ok = oidc_finish(o, &back, id, next, e);
    ck_assert_int_eq(ok, e->code == ERR_NONE);
    if (!ok)
        ck_assert(e->msg[0] && !id->subject[0] && id->n_groups == 0);
    return e->code;
}

/* One whole login; its error. */
static struct err login(void)
{
    struct visit v;
    struct identity id;
    struct err e;
    char next[OIDC_NEXT_TEXT];
    visit_begin(&v, "/");
    if (finish(&v, &id, next, &e) == ERR_NONE)
        identity_release(&id);
    visit_end(&v);
    return e;
}

static void expect_login(enum err_code want)
{
    struct err e = login();
    ck_assert_msg(e.code == want, "%s instead of %s: %s", err_code_name(e.code),
                  err_code_name(want), e.msg);
}

static void expect_begin(enum err_code want)
{
    struct err e = ERR_INIT;
    struct oidc_start start;
    bool ok = oidc_begin(o, "/", &start, &e);
    ck_assert_int_eq(ok, start.url != NULL);
    ck_assert_msg(e.code == want, "%s instead of %s: %s", err_code_name(e.code),
                  err_code_name(want), e.msg);
    free(start.url);
}

/* ---- the road -------------------------------------------------------------------------------- */

START_TEST(logs_in)
{
    struct visit v;
    struct identity id;
    struct err e;
    char next[OIDC_NEXT_TEXT];
    issuer.claims = json_pack("{s:s,s:s,s:b,s:[s,s]}", "name", "Lin Wei \u6797\u7ef4", "email",
                              "l.wei@plant.cn", "email_verified", 1, "groups", "line3", "editors");
    visit_begin(&v, "/usage?day=1&x=%20");
    ck_assert_msg(finish(&v, &id, next, &e) == ERR_NONE, "%s", e.msg);
    ck_assert_int_eq(id.source, IDENTITY_OIDC);
    ck_assert_str_eq(id.issuer, issuer.url);
    ck_assert_str_eq(id.subject, "sub-1");
    ck_assert_str_eq(id.login, "l.wei");
    ck_assert_str_eq(id.name, "Lin Wei \u6797\u7ef4");
    ck_assert_str_eq(id.email, "l.wei@plant.cn");
    ck_assert_uint_eq(id.n_groups, 2);
    ck_assert_str_eq(id.groups[1], "editors");
    ck_assert_str_eq(next, "/usage?day=1&x=%20");
    identity_release(&id);
    /* the code works once */
    ck_assert_int_eq(finish(&v, &id, next, &e), ERR_ARG);
    visit_end(&v);
    ck_assert_uint_eq(issuer.n_discovery, 1);
    ck_assert_uint_eq(issuer.n_keys, 1);
    expect_login(ERR_NONE);
    ck_assert_uint_eq(issuer.n_discovery, 1); /* from the cache */
}
END_TEST

START_TEST(sends_no_secrets_to_browser)
{
    struct visit a, b;
    visit_begin(&a, "/");
    visit_begin(&b, "/");
    ck_assert_ptr_null(strstr(a.start.url, "secret"));
    ck_assert_ptr_null(strstr(a.start.url, "cr%25t")); /* the secret, however it is escaped */
    ck_assert_ptr_null(strstr(a.start.url, "cr%t"));
    ck_assert_ptr_null(strstr(a.start.url, "verifier"));
    ck_assert_str_ne(a.start.ticket, b.start.ticket);
    ck_assert_str_ne(a.state, b.state);
    static const char *const fields[] = {"nonce", "code_challenge"};
    for (size_t i = 0; i < 2; i++) {
        char *x = query_value(a.start.url, fields[i]), *y = query_value(b.start.url, fields[i]);
        ck_assert_str_ne(x, y);
        ck_assert_str_ne(x, a.state);
        ck_assert_ptr_null(strstr(a.start.ticket, x));
        free(x);
        free(y);
    }
    visit_end(&a);
    visit_end(&b);
}
END_TEST

START_TEST(authenticates_client_in_three_ways)
{
    expect_login(ERR_NONE); /* Basic */
    issuer.auth_method = "client_secret_post";
    restart();
    expect_login(ERR_NONE);
    issuer.client_secret = NULL;
    issuer.auth_method = "none";
    restart();
    expect_login(ERR_NONE);
    issuer.client_secret = "another";
    issuer.auth_method = "client_secret_basic";
    struct oidc_options opt = options();
    opt.client_secret = "wrong";
    create(&opt);
    struct err e = login();
    ck_assert_int_eq(e.code, ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "invalid_client"));
    issuer.auth_method = "private_key_jwt";
    create(&opt);
    expect_begin(ERR_UNSUPPORTED);
}
END_TEST

START_TEST(reads_claims_with_care)
{
    struct visit v;
    struct identity id;
    struct err e;
    char next[OIDC_NEXT_TEXT];
    issuer.claims = json_pack("{s:s,s:b,s:s,s:s}", "email", "l.wei@plant.cn", "email_verified", 0,
                              "groups", "line3", "name", "a\tb");
    visit_begin(&v, "/");
    ck_assert_int_eq(finish(&v, &id, next, &e), ERR_NONE);
    ck_assert_str_eq(id.email, "");
    ck_assert_str_eq(id.name, "a b");
    ck_assert_uint_eq(id.n_groups, 1);
    identity_release(&id);
    visit_end(&v);
    static const char *const bad[] = {
        "{\"preferred_username\":\"a\\nb\"}",
        "{\"preferred_username\":\"\"}",
        "{\"preferred_username\":null}",
        "{\"preferred_username\":7}",
        "{\"groups\":{\"a\":1}}",
        "{\"groups\":[\"a\",1]}",
        "{\"groups\":[\"\"]}",
        "{\"groups\":[\"a\\u001b\"]}",
        "{\"sub\":\"a\\nb\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_decref(issuer.claims);
        issuer.claims = json_loads(bad[i], 0, NULL);
        expect_login(ERR_FORMAT);
    }
    json_decref(issuer.claims);
    issuer.claims = json_loads("{\"_claim_names\":{\"groups\":\"src1\"}}", 0, NULL);
    expect_login(ERR_UNSUPPORTED);
}
END_TEST

/* ---- tickets and states ---------------------------------------------------------------------- */

static enum err_code finish_with(const struct visit *v, const char *ticket, const char *state,
                                 const char *code, const char *iss)
{
    struct identity id;
    struct err e = ERR_INIT;
    char next[OIDC_NEXT_TEXT];
    struct oidc_return back = {ticket ? ticket : v->start.ticket, state ? state : v->state,
                               code ? code : v->code, iss};
    if (oidc_finish(o, &back, &id, next, &e))
        identity_release(&id);
    return e.code;
}

START_TEST(refuses_other_browsers)
{
    struct visit a, b;
    char changed[OIDC_TICKET_TEXT];
    visit_begin(&b, "/");
    visit_begin(&a, "/page");
    unsigned before = issuer.n_tokens;
    ck_assert_int_eq(finish_with(&a, b.start.ticket, NULL, NULL, NULL), ERR_ARG);
    ck_assert_int_eq(finish_with(&a, NULL, b.state, NULL, NULL), ERR_ARG);
    ck_assert_int_eq(finish_with(&a, NULL, "", NULL, NULL), ERR_ARG);
    ck_assert_int_eq(finish_with(&a, "", NULL, NULL, NULL), ERR_ARG);
    ck_assert_int_eq(finish_with(&a, "..", NULL, NULL, NULL), ERR_ARG);
    for (size_t at = 0; a.start.ticket[at]; at++) {
        snprintf(changed, sizeof changed, "%s", a.start.ticket);
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        ck_assert_int_eq(finish_with(&a, changed, NULL, NULL, NULL), ERR_ARG);
        changed[at] = '\0';
        ck_assert_int_eq(finish_with(&a, changed, NULL, NULL, NULL), ERR_ARG);
    }
    char *big = calloc(1, 100001);
    memset(big, 'A', 100000);
    ck_assert_int_eq(finish_with(&a, big, NULL, NULL, NULL), ERR_ARG);
    ck_assert_int_eq(finish_with(&a, NULL, big, NULL, NULL), ERR_ARG);
    ck_assert_int_eq(finish_with(&a, NULL, NULL, big, NULL), ERR_ARG);
    free(big);
    ck_assert_int_eq(finish_with(&a, NULL, NULL, "", NULL), ERR_ARG);
    ck_assert_int_eq(finish_with(&a, NULL, NULL, "a\r\nb", NULL), ERR_ARG);
    ck_assert_uint_eq(issuer.n_tokens, before); /* none of it reached the issuer */
    ck_assert_int_eq(finish_with(&a, NULL, NULL, NULL, NULL), ERR_NONE);
    visit_end(&a);
    visit_end(&b);
}
END_TEST

/* A code that somebody else's login brought: PKCE binds it to the other ticket. */
START_TEST(refuses_injected_code)
{
    struct visit mine, theirs;
    visit_begin(&mine, "/");
    visit_begin(&theirs, "/");
    ck_assert_int_eq(finish_with(&mine, NULL, NULL, theirs.code, NULL), ERR_ARG);
    visit_end(&mine);
    visit_end(&theirs);
}
END_TEST

START_TEST(refuses_tickets_of_another_process)
{
    struct visit v;
    visit_begin(&v, "/");
    restart();
    ck_assert_int_eq(finish_with(&v, NULL, NULL, NULL, NULL), ERR_ARG);
    visit_end(&v);
}
END_TEST

START_TEST(refuses_late_returns)
{
    struct visit v;
    struct oidc_options opt = options();
    opt.login_s = 1;
    create(&opt);
    visit_begin(&v, "/");
    sleep(3);
    ck_assert_int_eq(finish_with(&v, NULL, NULL, NULL, NULL), ERR_ARG);
    visit_end(&v);
    expect_login(ERR_NONE);
}
END_TEST

START_TEST(checks_answering_issuer)
{
    struct visit v;
    visit_begin(&v, "/");
    ck_assert_int_eq(finish_with(&v, NULL, NULL, NULL, "https://other.example"), ERR_ARG);
    ck_assert_int_eq(finish_with(&v, NULL, NULL, NULL, issuer.url), ERR_NONE);
    visit_end(&v);
    issuer.sends_iss = true;
    restart();
    expect_login(ERR_NONE);
    visit_begin(&v, "/");
    ck_assert_int_eq(finish_with(&v, NULL, NULL, NULL, NULL), ERR_ARG);
    visit_end(&v);
}
END_TEST

START_TEST(returns_to_own_pages_only)
{
    static const char *const bad[] = {"",         "x",     "//evil.example", "/\\evil.example",
                                      "/a b",     "/a\nb", "https:/",        "/\x7f",
                                      "/\xc3\xa4"};
    struct oidc_start start;
    struct err e = ERR_INIT;
    char next[OIDC_NEXT_TEXT + 1];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!oidc_begin(o, bad[i], &start, &e), "%s", bad[i]);
        ck_assert_int_eq(e.code, ERR_ARG);
    }
    memset(next, '/', 1);
    memset(next + 1, 'n', sizeof next - 1);
    next[OIDC_NEXT_TEXT] = '\0';
    ck_assert(!oidc_begin(o, next, &start, &e));
    next[OIDC_NEXT_TEXT - 1] = '\0'; /* the longest */
    struct visit v;
    struct identity id;
    char back[OIDC_NEXT_TEXT];
    visit_begin(&v, next);
    ck_assert_int_eq(finish(&v, &id, back, &e), ERR_NONE);
    ck_assert_str_eq(back, next);
    identity_release(&id);
    visit_end(&v);
}
END_TEST

/* ---- issuers that misbehave ------------------------------------------------------------------ */

START_TEST(refuses_discovery)
{
    static const struct {
        enum issuer_fault fault;
        enum err_code code;
    } cases[] = {
        {FAULT_OTHER_ISSUER, ERR_FORMAT}, {FAULT_PLAIN_ENDPOINT, ERR_FORMAT},
        {FAULT_REDIRECT, ERR_IO},         {FAULT_HUGE, ERR_LIMIT},
        {FAULT_DUPLICATE, ERR_FORMAT},    {FAULT_NO_S256, ERR_UNSUPPORTED},
        {FAULT_NO_CODE, ERR_UNSUPPORTED}, {FAULT_HS_ONLY, ERR_UNSUPPORTED},
        {FAULT_STATUS, ERR_IO},           {FAULT_KEYS_STATUS, ERR_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        issuer.fault = cases[i].fault;
        restart();
        expect_begin(cases[i].code);
    }
    issuer.fault = FAULT_NONE;
    expect_begin(ERR_IO); /* the failure is remembered: nobody waits again at once */
    restart();
    expect_begin(ERR_NONE);
}
END_TEST

START_TEST(refuses_tokens)
{
    static const struct {
        enum issuer_fault fault;
        enum err_code code;
    } cases[] = {
        {FAULT_NONCE, ERR_ARG},
        {FAULT_AUDIENCE, ERR_ARG},
        {FAULT_EXPIRED, ERR_ARG},
        {FAULT_TOKEN_ISSUER, ERR_ARG},
        {FAULT_FORGED, ERR_FORMAT},
        {FAULT_ALG_NONE, ERR_UNSUPPORTED},
        {FAULT_ALG_HS, ERR_UNSUPPORTED},
        {FAULT_NO_ID_TOKEN, ERR_FORMAT},
        {FAULT_TOKEN_TYPE, ERR_FORMAT},
        {FAULT_TOKEN_HUGE, ERR_LIMIT},
        {FAULT_TOKEN_NOT_JSON, ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        issuer.fault = cases[i].fault;
        expect_login(cases[i].code);
    }
    issuer.fault = FAULT_TOKEN_STATUS;
    struct err e = login();
    ck_assert_int_eq(e.code, ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "503"));
    ck_assert_ptr_null(strchr(e.msg, '\x1b')); /* the issuer's words are not repeated */
    issuer.fault = FAULT_NONE;
    expect_login(ERR_NONE);
}
END_TEST

START_TEST(follows_key_rotation)
{
    expect_login(ERR_NONE);
    issuer_rotate(&issuer, "k2", true, true);
    expect_login(ERR_NONE); /* one more fetch */
    ck_assert_uint_eq(issuer.n_keys, 2);
    issuer_rotate(&issuer, "k3", false, false);
    expect_login(ERR_NOT_FOUND); /* too soon after the last one */
    ck_assert_uint_eq(issuer.n_keys, 2);
}
END_TEST

START_TEST(fetches_once_for_an_unknown_key)
{
    expect_login(ERR_NONE);
    issuer_rotate(&issuer, "ghost", false, false);
    expect_login(ERR_NOT_FOUND);
    expect_login(ERR_NOT_FOUND);
    ck_assert_uint_eq(issuer.n_keys, 2);
}
END_TEST

START_TEST(does_not_wait_for_slow_issuers)
{
    struct oidc_options opt = options();
    opt.timeout_ms = 300;
    create(&opt);
    issuer.fault = FAULT_SLOW;
    uint64_t begun = clock_now_us();
    expect_begin(ERR_IO);
    ck_assert_uint_lt(clock_now_us() - begun, 1200000);
    begun = clock_now_us();
    expect_begin(ERR_IO);
    ck_assert_uint_lt(clock_now_us() - begun, 100000);
}
END_TEST

static void *begin_one(void *ctx)
{
    struct oidc_start start;
    atomic_uint *n_ok = ctx;
    if (oidc_begin(o, "/", &start, NULL))
        (*n_ok)++;
    free(start.url);
    return NULL;
}

START_TEST(fetches_once_for_many_threads)
{
    pthread_t threads[8];
    atomic_uint n_ok = 0;
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, begin_one, &n_ok), 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(n_ok, 8);
    ck_assert_uint_eq(issuer.n_discovery, 1);
}
END_TEST

START_TEST(says_when_nobody_answers)
{
    struct oidc_options opt = options();
    opt.issuer = "http://127.0.0.1:1";
    create(&opt);
    expect_begin(ERR_IO);
}
END_TEST

/* ---- TLS ------------------------------------------------------------------------------------- */

/* Starts the issuer with a certificate for these names; the authority's goes to a file. */
static void start_tls(const char *names, char *path)
{
    issuer_tls_init(&tls, names);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, tls.ca, strlen(tls.ca)), strlen(tls.ca));
    close(fd);
    issuer_start(&issuer, &tls);
}

static void stop_tls(const char *path)
{
    unlink(path);
    issuer_tls_release(&tls);
    oidc_destroy(&o);
    issuer_stop(&issuer);
}

START_TEST(checks_certificates)
{
    char path[] = "check_oidc.XXXXXX";
    struct visit v = {0};
    struct identity id;
    struct err e = ERR_INIT;
    char next[OIDC_NEXT_TEXT];
    start_tls(ISSUER_LOOPBACK, path);
    struct oidc_options opt = options();
    create(&opt); /* the system's authorities do not know ours */
    expect_begin(ERR_IO);
    opt.ca_file = path;
    create(&opt);
    ck_assert_msg(oidc_begin(o, "/", &v.start, &e), "%s", e.msg);
    browse(&v, path);
    ck_assert_msg(finish(&v, &id, next, &e) == ERR_NONE, "%s", e.msg);
    identity_release(&id);
    visit_end(&v);
    opt.ca_file = "check_oidc.missing";
    create(&opt);
    expect_begin(ERR_IO);
    stop_tls(path);
}
END_TEST

START_TEST(checks_host_names)
{
    char path[] = "check_oidc.XXXXXX";
    start_tls("DNS:elsewhere.example,IP:127.0.0.2", path);
    struct oidc_options opt = options();
    opt.ca_file = path;
    create(&opt);
    expect_begin(ERR_IO);
    stop_tls(path);
}
END_TEST

/* ---- options --------------------------------------------------------------------------------- */

START_TEST(lets_few_urls_through)
{
    static const struct {
        const char *url;
        enum fetch_scheme scheme;
    } cases[] = {
        {"https://id.example.com/a?b", FETCH_HTTPS},
        {"https://127.0.0.1", FETCH_HTTPS},
        {"http://127.0.0.1:80/x", FETCH_LOOPBACK_HTTP},
        {"http://127.9.9.9/x", FETCH_LOOPBACK_HTTP},
        {"http://localhost/", FETCH_LOOPBACK_HTTP},
        {"http://[::1]:8/", FETCH_LOOPBACK_HTTP},
        {"http://id.example.com", FETCH_REFUSED},
        {"http://127.0.0.1.example.com", FETCH_REFUSED},
        {"http://localhost.example.com", FETCH_REFUSED},
        {"http://127.0.0.1@example.com", FETCH_REFUSED},
        {"https://user:pw@example.com", FETCH_REFUSED},
        {"https://example.com/#x", FETCH_REFUSED},
        {"https://example.com\\@127.0.0.1/", FETCH_REFUSED},
        {"https://example.com/a b", FETCH_REFUSED},
        {"https://example.com/\n", FETCH_REFUSED},
        {"https://", FETCH_REFUSED},
        {"file:///etc/passwd", FETCH_REFUSED},
        {"ftp://127.0.0.1/", FETCH_REFUSED},
        {"gopher://127.0.0.1/", FETCH_REFUSED},
        {"example.com", FETCH_REFUSED},
        {"//example.com", FETCH_REFUSED},
        {"", FETCH_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(fetch_scheme_of(cases[i].url) == cases[i].scheme, "%s", cases[i].url);
}
END_TEST

static enum err_code create_code(const struct oidc_options *opt)
{
    struct err e = ERR_INIT;
    struct oidc *made = NULL;
    bool ok = oidc_create(opt, &made, &e);
    ck_assert_int_eq(ok, made != NULL);
    oidc_destroy(&made);
    return e.code;
}

START_TEST(checks_options)
{
    struct oidc_options good = OIDC_OPTIONS_DEFAULT, opt;
    good.issuer = "https://id.example.com/realm";
    good.client_id = "seekd";
    good.redirect_uri = "https://seekd.example.com/login/oidc";
    ck_assert_int_eq(create_code(&good), ERR_NONE);
#define WRONG(member, value)                                                                       \
    do {                                                                                           \
        opt = good;                                                                                \
        opt.member = value;                                                                        \
        ck_assert_msg(create_code(&opt) == ERR_ARG, #member " " #value);                           \
    } while (0)
    WRONG(issuer, NULL);
    WRONG(issuer, "http://id.example.com");
    WRONG(issuer, "https://id.example.com/?tenant=1");
    WRONG(redirect_uri, NULL);
    WRONG(redirect_uri, "http://seekd.example.com/login");
    WRONG(redirect_uri, "/login");
    WRONG(client_id, "");
    WRONG(scopes, "profile");
    WRONG(scopes, "openidx profile");
    WRONG(login_claim, "");
    WRONG(groups_claim, NULL);
    WRONG(timeout_ms, 0);
    WRONG(login_s, 0);
    WRONG(cache_s, 1000000);
#undef WRONG
}
END_TEST

static TCase *add_case(Suite *s, const char *name, bool with_issuer)
{
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 60);
    if (with_issuer)
        tcase_add_checked_fixture(c, set_up, tear_down);
    suite_add_tcase(s, c);
    return c;
}

int main(void)
{
    Suite *s = suite_create("oidc");
    TCase *c = add_case(s, "road", true);
    tcase_add_test(c, logs_in);
    tcase_add_test(c, sends_no_secrets_to_browser);
    tcase_add_test(c, authenticates_client_in_three_ways);
    tcase_add_test(c, reads_claims_with_care);
    c = add_case(s, "tickets", true);
    tcase_add_test(c, refuses_other_browsers);
    tcase_add_test(c, refuses_injected_code);
    tcase_add_test(c, refuses_tickets_of_another_process);
    tcase_add_test(c, refuses_late_returns);
    tcase_add_test(c, checks_answering_issuer);
    tcase_add_test(c, returns_to_own_pages_only);
    c = add_case(s, "issuers", true);
    tcase_add_test(c, refuses_discovery);
    tcase_add_test(c, refuses_tokens);
    tcase_add_test(c, follows_key_rotation);
    tcase_add_test(c, fetches_once_for_an_unknown_key);
    tcase_add_test(c, does_not_wait_for_slow_issuers);
    tcase_add_test(c, fetches_once_for_many_threads);
    tcase_add_test(c, says_when_nobody_answers);
    c = add_case(s, "tls", false);
    tcase_add_test(c, checks_certificates);
    tcase_add_test(c, checks_host_names);
    c = add_case(s, "options", false);
    tcase_add_test(c, lets_few_urls_through);
    tcase_add_test(c, checks_options);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
