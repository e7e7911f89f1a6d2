/* Logging in over HTTP: passwords, cookies, CSRF, one's own password and sessions, an
 * issuer, a directory. */
#include <config.h>

#include "admin_browser.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "auth/identity.h"
#include "auth/lockout.h"
#include "auth/people.h"
#include "auth/session.h"
#include "base/clock.h"
#include "issuer.h"
#include "slapd.h"

static struct admin_rig rig;
static const char right[] = "kq7w-zt2-right";

static void setup(void)
{
    admin_rig_open(&rig);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

static const char *cookie_of(struct admin_rig *r)
{
    static char cookie[256];
    return http_reply_header(&r->last, "Set-Cookie", cookie, sizeof cookie) ? cookie : "";
}

/* ---- cookies ---------------------------------------------------------------------------------- */

START_TEST(a_login_gives_a_cookie_that_scripts_cannot_read)
{
    struct browser b;
    browser_enter(&b, &rig, BY_USER, right);
    ck_assert_int_eq(browser_try(&rig, "王伟", right), 200);
    const char *cookie = cookie_of(&rig);
    ck_assert(strstr(cookie, "; HttpOnly"));
    ck_assert(strstr(cookie, "; SameSite=Strict"));
    ck_assert(strstr(cookie, "; Path=/;"));
    ck_assert(strstr(cookie, "; Max-Age=28800"));
    ck_assert(!strstr(cookie, "Secure"));
    json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL);
    ck_assert_str_eq(admin_text(v, "login"), "王伟");
    ck_assert_int_eq(admin_number(v, "id"), rig.person[BY_USER].id);
    ck_assert(json_is_false(admin_at(v, "must_change_password")));
    ck_assert(!strstr(buf_str(&rig.last.body), right));
    json_decref(v);
}
END_TEST

/* What browsers ask of __Host-: Secure, the path /, no Domain. */
START_TEST(a_cookie_for_https_is_bound_to_the_host)
{
    struct browser b;
    char headers[256];
    browser_enter(&b, &rig, BY_USER, right);
    rig.server.service->secure_cookies = true;
    ck_assert_int_eq(browser_try(&rig, "王伟", right), 200);
    ck_assert_int_eq(sscanf(cookie_of(&rig), "__Host-seekd_session=%43[^;]", b.token), 1);
    ck_assert(strstr(cookie_of(&rig), "; Path=/;"));
    ck_assert(strstr(cookie_of(&rig), "; Secure"));
    ck_assert(!strstr(cookie_of(&rig), "Domain"));
    /* another host of the domain could have set the other name */
    browser_refused(&b, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
    snprintf(headers, sizeof headers, "Cookie: __Host-seekd_session=%s\r\n", b.token);
    json_t *v = admin_call(&rig, BY_NOBODY, "GET", "/admin/v1/me", headers, NULL, 200);
    snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "X-CSRF-Token: %s\r\n",
             admin_text(v, "csrf_token"));
    json_decref(v);
    admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/logout", headers, NULL, 204);
    ck_assert(!strncmp(cookie_of(&rig), "__Host-seekd_session=; ", 23));
    ck_assert(strstr(cookie_of(&rig), "; Secure"));
}
END_TEST

START_TEST(changes_by_cookie_need_the_csrf_token)
{
    struct browser b, other;
    char cookie[128];
    browser_enter(&b, &rig, BY_USER, right);
    browser_login(&other, &rig, "王伟", right);
    snprintf(cookie, sizeof cookie, "Cookie: seekd_session=%s\r\n", b.token);
    admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/me", cookie, NULL, 200);
    admin_refused(&rig, BY_NOBODY, "POST", "/admin/v1/logout", cookie, NULL, 403,
                  "csrf_token_missing");
    admin_refused(&rig, BY_NOBODY, "POST", "/admin/v1/me/password", cookie,
                  "{\"current\":\"x\",\"new\":\"y\"}", 403, "csrf_token_missing");
    snprintf(b.csrf, sizeof b.csrf, "%s", other.csrf);
    browser_refused(&b, "POST", "/admin/v1/logout", NULL, NULL, 403, "csrf_token_missing");
    /* the page asks for it again after a reload */
    json_t *v = admin_call(&rig, BY_NOBODY, "GET", "/admin/v1/me", cookie, NULL, 200);
    snprintf(b.csrf, sizeof b.csrf, "%s", admin_text(v, "csrf_token"));
    json_decref(v);
    browser_expect(&b, "POST", "/admin/v1/logout", NULL, NULL, 204);
}
END_TEST

/* The Host is "localhost" in every request here. */
START_TEST(changes_by_cookie_come_from_our_own_pages)
{
    static const struct {
        const char *headers;
        bool taken;
    } cases[] = {
        {"", true},
        {"Origin: http://localhost\r\n", true},
        {"Origin: https://LOCALHOST\r\nSec-Fetch-Site: same-origin\r\n", true},
        {"Origin: http://localhost:80\r\n", true},
        {"Sec-Fetch-Site: none\r\n", true},
        {"Origin: http://localhost:443\r\n", false},
        {"Origin: http://localhost:8081\r\n", false},
        {"Origin: http://localhost.evil.example\r\n", false},
        {"Origin: http://evil.localhost\r\n", false},
        {"Origin: http://local\r\n", false},
        {"Origin: http://localhost/\r\n", false},
        {"Origin: localhost\r\n", false},
        {"Origin: ftp://localhost\r\n", false},
        {"Origin: http://\r\n", false},
        {"Origin: null\r\n", false},
        {"Origin: \r\n", false},
        {"Sec-Fetch-Site: same-site\r\n", false},
        {"Sec-Fetch-Site: cross-site\r\n", false},
        {"Origin: http://localhost\r\nSec-Fetch-Site: cross-site\r\n", false},
        {"Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n", false},
    };
    const char *path = "/admin/v1/me/sessions/0123456789abcdef"; /* which nobody has */
    struct browser b;
    browser_enter(&b, &rig, BY_USER, right);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *v = browser_call(&b, "DELETE", path, cases[i].headers, NULL,
                                 cases[i].taken ? 404 : 403);
        ck_assert_msg(!strcmp(admin_text(v, "error/code"),
                              cases[i].taken ? "not_found" : "origin_not_allowed"),
                      "%s: %s", cases[i].headers, buf_str(&rig.last.body));
        json_decref(v);
    }
    /* reading is not asked, nor are keys, which no browser adds by itself */
    browser_expect(&b, "GET", "/admin/v1/me", "Origin: http://evil.example\r\n", NULL, 200);
    admin_expect(&rig, BY_ADMIN, "DELETE", path, "Origin: http://evil.example\r\n", NULL, 404);
    browser_refused(&b, "DELETE", path,
                    "Origin: http://localhost\r\nOrigin: http://evil.example\r\n", NULL, 400,
                    "bad_http_request");
}
END_TEST

START_TEST(pages_over_plain_http_change_nothing_of_https)
{
    struct session_secret secret;
    struct err e = ERR_INIT;
    char headers[512];
    const char *path = "/admin/v1/me/sessions/0123456789abcdef";
    rig.server.service->secure_cookies = true;
    ck_assert_msg(session_open(rig.server.service->auth, rig.person[BY_USER].id, "127.0.0.1", "",
                               "", session_clock_s(), &secret, &e), "%s", e.msg);
    int n = snprintf(headers, sizeof headers,
                     "Cookie: __Host-seekd_session=%s\r\nX-CSRF-Token: %s\r\nOrigin: ",
                     secret.token, secret.csrf);
    snprintf(headers + n, sizeof headers - (size_t)n, "http://localhost\r\n");
    admin_refused(&rig, BY_NOBODY, "DELETE", path, headers, NULL, 403, "origin_not_allowed");
    snprintf(headers + n, sizeof headers - (size_t)n, "https://localhost:443\r\n");
    admin_refused(&rig, BY_NOBODY, "DELETE", path, headers, NULL, 404, "not_found");
}
END_TEST

START_TEST(a_logout_ends_the_session_and_takes_the_cookie)
{
    struct browser b, other;
    browser_enter(&b, &rig, BY_USER, right);
    browser_login(&other, &rig, "王伟", right);
    browser_expect(&b, "POST", "/admin/v1/logout", NULL, NULL, 204);
    ck_assert(!strncmp(cookie_of(&rig), "seekd_session=; ", 16));
    ck_assert(strstr(cookie_of(&rig), "; Max-Age=0"));
    browser_refused(&b, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
    browser_expect(&other, "GET", "/admin/v1/me", NULL, NULL, 200);
    admin_refused(&rig, BY_NOBODY, "POST", "/admin/v1/logout", NULL, NULL, 401, "missing_api_key");
}
END_TEST

/* A cookie beside a key is not looked at: its CSRF token was not checked. */
START_TEST(a_key_ends_nobodys_session)
{
    struct browser b;
    char cookie[128];
    browser_enter(&b, &rig, BY_USER, right);
    snprintf(cookie, sizeof cookie, "Cookie: seekd_session=%s\r\n", b.token);
    admin_expect(&rig, BY_OTHER, "POST", "/admin/v1/logout", cookie, NULL, 204);
    ck_assert_str_eq(cookie_of(&rig), "");
    browser_expect(&b, "GET", "/admin/v1/me", NULL, NULL, 200);
    json_t *v = admin_call(&rig, BY_OTHER, "GET", "/admin/v1/me", cookie, NULL, 200);
    ck_assert(!admin_at(v, "csrf_token"));
    json_decref(v);
    admin_refused(&rig, BY_USER, "POST", "/admin/v1/me/password", cookie,
                  admin_body("{s:s, s:s}", "current", right, "new", "another-w0rd-9"), 403,
                  "not_allowed");
}
END_TEST

/* ---- passwords -------------------------------------------------------------------------------- */

START_TEST(unknown_logins_and_wrong_passwords_are_answered_alike)
{
    struct browser b;
    char wrong[1024];
    browser_enter(&b, &rig, BY_USER, right);
    ck_assert_int_eq(browser_try(&rig, "王伟", "not-the-password"), 401);
    snprintf(wrong, sizeof wrong, "%s", buf_str(&rig.last.body));
    ck_assert(strstr(wrong, "wrong_login"));
    const char *const logins[] = {"nobody", "scada", "olga.other", "a b", "王小明", "x\x01y"};
    for (size_t i = 0; i < sizeof logins / sizeof logins[0]; i++) {
        ck_assert_int_eq(browser_try(&rig, logins[i], "not-the-password"), 401);
        ck_assert_str_eq(buf_str(&rig.last.body), wrong);
        ck_assert_str_eq(cookie_of(&rig), "");
    }
}
END_TEST

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* What comes before is the same for both kinds, so that both find the database and caches alike. */
static uint64_t time_login(const char *login)
{
    char unlock[64];
    snprintf(unlock, sizeof unlock, "/admin/v1/users/%" PRId64 "/unlock", rig.person[BY_USER].id);
    admin_expect(&rig, BY_ADMIN, "POST", unlock, NULL, NULL, 200);
    uint64_t begun = clock_now_us();
    ck_assert_int_eq(browser_try(&rig, login, "not-the-password"), 401);
    return clock_now_us() - begun;
}

/* By how much the medians of n unknown logins and n wrong passwords differ. */
static double compare_logins(size_t n)
{
    static unsigned strangers;
    uint64_t unknown[200], wrong[200];
    for (size_t i = 0; i < n; i++) {
        char login[32];
        snprintf(login, sizeof login, "ghost%u", strangers++);
        unknown[i] = time_login(login);
        wrong[i] = time_login("王伟");
    }
    qsort(unknown, n, sizeof unknown[0], by_size);
    qsort(wrong, n, sizeof wrong[0], by_size);
    double a = (double)unknown[n / 2], b = (double)wrong[n / 2];
    printf("S4 login: medians of %zu unknown logins %.1f ms, of as many wrong passwords %.1f ms\n", n,
           a / 1000, b / 1000);
    return a > b ? a / b - 1 : b / a - 1;
}

/* S4, the half about logins; other programs on the machine may disturb one round. */
START_TEST(time_does_not_tell_who_exists)
{
    bool all = getenv("SEEKD_TEST_LONG") != NULL;
    struct browser b;
    double differ = 1;
    rig.server.service->auth->cost = (struct password_cost){.n = 1u << 13, .r = 8, .p = 1};
    browser_enter(&b, &rig, BY_USER, right);
    for (int round = 0; round < 3 && differ > 0.05; round++)
        differ = fmin(differ, compare_logins(all ? 200 : 40));
    ck_assert_double_le(differ, all ? 0.05 : 0.15);
}
END_TEST

START_TEST(odd_login_requests_are_refused)
{
    const char *path = "/admin/v1/login";
    admin_refused(&rig, BY_NOBODY, "POST", path, NULL, "{\"login\":\"a\"}", 400,
                  "missing_required_parameter");
    admin_refused(&rig, BY_NOBODY, "POST", path, NULL, "{\"login\":7,\"password\":\"x\"}", 400,
                  "invalid_value");
    admin_refused(&rig, BY_NOBODY, "POST", path, NULL,
                  "{\"login\":\"a\",\"password\":\"x\",\"admin\":true}", 400, "invalid_value");
    admin_refused(&rig, BY_NOBODY, "POST", path, NULL, "[1]", 400, "invalid_json");
    admin_refused(&rig, BY_NOBODY, "GET", path, NULL, NULL, 405, "method_not_allowed");
    /* what a form of another site can send */
    admin_send(&rig, BY_NOBODY, "POST", path,
               "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", NULL);
    ck_assert_int_eq(rig.last.status, 415);
}
END_TEST

/* What the right password gets after five wrong ones. The first wait is a second, which may end with
 * the clock's next tick: then once more. */
static int try_slowed(const char *login, const char *good)
{
    int status = 0;
    for (int round = 0; round < 3 && status != 429; round++) {
        for (int i = 0; i < 5; i++) {
            status = browser_try(&rig, login, "not-the-password");
            ck_assert(status == 401 || (status == 429 && round));
        }
        status = browser_try(&rig, login, good);
    }
    return status;
}

START_TEST(wrong_passwords_slow_down_and_an_administrator_lifts_it)
{
    struct browser b;
    char text[32];
    browser_enter(&b, &rig, BY_USER, right);
    ck_assert_int_eq(try_slowed("王伟", right), 429);
    ck_assert(strstr(buf_str(&rig.last.body), "rate_limit_exceeded"));
    ck_assert(http_reply_header(&rig.last, "Retry-After", text, sizeof text));
    ck_assert_int_ge(atoll(text), 1);
    /* a strange login is slowed down alike */
    ck_assert_int_eq(try_slowed("ghost", right), 429);
    const char *path = admin_path("users/%" PRId64 "/unlock", rig.person[BY_USER].id);
    admin_refused(&rig, BY_OTHER, "POST", path, NULL, NULL, 403, "not_allowed");
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", path, "X-Reason: phone%20call\r\n", NULL, 200);
    ck_assert(json_is_true(admin_at(v, "was_locked")));
    json_decref(v);
    ck_assert_int_eq(browser_try(&rig, "王伟", right), 200);
}
END_TEST

START_TEST(a_one_time_password_opens_nothing_but_its_change)
{
    struct browser b;
    char once[PASSWORD_ONE_TIME_TEXT], second[PASSWORD_ONE_TIME_TEXT];
    const char *user = admin_path("users/%" PRId64, rig.person[BY_APPROVER].id);
    admin_reset_password(&rig, rig.person[BY_APPROVER].id, once);
    admin_reset_password(&rig, rig.person[BY_APPROVER].id, second);
    admin_expect(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    ck_assert(!strstr(buf_str(&rig.last.body), second));
    ck_assert_int_eq(browser_try(&rig, "paul.approver", once), 401);
    browser_login(&b, &rig, "paul.approver", second);
    static const struct {
        const char *method, *path;
    } closed[] = {{"GET", "/admin/v1/users"},        {"GET", "/admin/v1/departments"},
                  {"GET", "/admin/v1/keys"},         {"POST", "/admin/v1/keys"},
                  {"GET", "/admin/v1/me/sessions"},  {"GET", "/v1/models"},
                  {"DELETE", "/admin/v1/me/sessions/0000000000000000"}};
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
        browser_refused(&b, closed[i].method, closed[i].path, NULL, NULL, 403,
                        "password_change_needed");
    json_t *v = browser_call(&b, "GET", "/admin/v1/me", NULL, NULL, 200);
    ck_assert(json_is_true(admin_at(v, "must_change_password")));
    json_decref(v);
    browser_expect(&b, "POST", "/admin/v1/me/password", NULL,
                   admin_body("{s:s, s:s}", "current", second, "new", right), 204);
    browser_expect(&b, "GET", "/admin/v1/users", NULL, NULL, 200);
    ck_assert_int_eq(browser_try(&rig, "paul.approver", second), 401);
    ck_assert_int_eq(browser_try(&rig, "paul.approver", right), 200);
    admin_reset_password(&rig, rig.person[BY_APPROVER].id, once);
    browser_refused(&b, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
    browser_login(&b, &rig, "paul.approver", once);
    browser_expect(&b, "POST", "/admin/v1/logout", NULL, NULL, 204);
}
END_TEST

START_TEST(the_first_administrator_gets_in)
{
    struct browser b;
    browser_login(&b, &rig, "admin", rig.server.first_password);
    browser_refused(&b, "GET", "/admin/v1/users", NULL, NULL, 403, "password_change_needed");
    browser_expect(&b, "POST", "/admin/v1/me/password", NULL,
                   admin_body("{s:s, s:s}", "current", rig.server.first_password, "new",
                              "新的密码-够长-2026"),
                   204);
    json_t *v = browser_call(&b, "GET", "/admin/v1/users?role=admin", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 2);
    json_decref(v);
    ck_assert_int_eq(browser_try(&rig, "ADMIN", "新的密码-够长-2026"), 200);
}
END_TEST

START_TEST(a_new_password_must_be_a_good_one)
{
    struct browser b, other;
    const char *path = "/admin/v1/me/password";
    char headers[256];
    browser_enter(&b, &rig, BY_USER, right);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n", b.token,
             b.csrf);
    browser_login(&other, &rig, "王伟", right);
    json_t *v = browser_call(&b, "POST", path, NULL,
                             admin_body("{s:s, s:s}", "current", right, "new", "short"), 400);
    ck_assert_str_eq(admin_text(v, "error/param"), "new");
    json_decref(v);
    browser_refused(&b, "POST", path, NULL,
                    admin_body("{s:s, s:s}", "current", right, "new", "password1"), 400,
                    "invalid_value");
    browser_refused(&b, "POST", path, NULL,
                    admin_body("{s:s, s:s}", "current", right, "new", right), 400,
                    "invalid_value");
    browser_refused(&b, "POST", path, NULL, "{\"new\":\"long-enough-77\"}", 400,
                    "missing_required_parameter");
    browser_refused(&b, "POST", path, NULL,
                    admin_body("{s:s, s:s}", "current", "wrong", "new", "long-enough-77"), 401,
                    "wrong_login");
    browser_expect(&other, "GET", "/admin/v1/me", NULL, NULL, 200);
    browser_expect(&b, "POST", path, NULL,
                   admin_body("{s:s, s:s}", "current", right, "new", "long-enough-77"), 204);
    browser_expect(&b, "GET", "/admin/v1/me", NULL, NULL, 200);
    browser_refused(&other, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
    /* guesses by an open session are counted like logins */
    for (int i = 0; i < 5; i++)
        browser_refused(&b, "POST", path, NULL,
                        admin_body("{s:s, s:s}", "current", "wrong", "new", "long-enough-88"), 401,
                        "wrong_login");
    for (int i = 0; i < 3 && rig.last.status != 429; i++)
        admin_send(&rig, BY_NOBODY, "POST", path, headers,
                   "{\"current\":\"wrong\",\"new\":\"long-enough-88\"}");
    ck_assert_int_eq(rig.last.status, 429);
}
END_TEST

START_TEST(a_disabled_person_is_out_at_once)
{
    struct browser b;
    char wrong[1024];
    const char *user = admin_path("users/%" PRId64, rig.person[BY_USER].id);
    browser_enter(&b, &rig, BY_USER, right);
    admin_expect(&rig, BY_USER, "GET", "/admin/v1/me", NULL, NULL, 200);
    admin_expect(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    admin_expect(&rig, BY_ADMIN, "PATCH", user, admin_if_match(admin_etag(&rig)),
                 "{\"disabled\":true}", 200);
    browser_refused(&b, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
    admin_refused(&rig, BY_USER, "GET", "/admin/v1/me", NULL, NULL, 401, "invalid_api_key");
    ck_assert_int_eq(browser_try(&rig, "nobody", right), 401);
    snprintf(wrong, sizeof wrong, "%s", buf_str(&rig.last.body));
    ck_assert_int_eq(browser_try(&rig, "王伟", right), 401);
    ck_assert_str_eq(buf_str(&rig.last.body), wrong);
    admin_expect(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    admin_expect(&rig, BY_ADMIN, "PATCH", user, admin_if_match(admin_etag(&rig)),
                 "{\"disabled\":false}", 200);
    admin_expect(&rig, BY_USER, "GET", "/admin/v1/me", NULL, NULL, 200);
    ck_assert_int_eq(browser_try(&rig, "王伟", right), 200);
}
END_TEST

/* ---- sessions --------------------------------------------------------------------------------- */

START_TEST(one_sees_and_ends_ones_own_sessions)
{
    struct browser b, other, stranger;
    char id[SESSION_ID_TEXT];
    browser_enter(&b, &rig, BY_USER, right);
    browser_login(&other, &rig, "王伟", right);
    browser_enter(&stranger, &rig, BY_OTHER, right);
    json_t *v = browser_call(&b, "GET", "/admin/v1/me/sessions", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 2);
    bool first = json_is_true(admin_at(v, "data/0/current")); /* of the same second: in any order */
    const json_t *elsewhere = admin_at(v, first ? "data/1" : "data/0");
    ck_assert(json_is_true(admin_at(v, first ? "data/0/current" : "data/1/current")));
    ck_assert(json_is_false(admin_at(elsewhere, "current")));
    ck_assert_str_eq(admin_text(elsewhere, "agent"), "check/1");
    ck_assert_str_eq(admin_text(elsewhere, "address"), "127.0.0.1");
    snprintf(id, sizeof id, "%s", admin_text(elsewhere, "id"));
    json_decref(v);
    const char *path = admin_path("me/sessions/%s", id);
    browser_refused(&stranger, "DELETE", path, NULL, NULL, 404, "not_found");
    browser_expect(&b, "DELETE", path, NULL, NULL, 204);
    browser_refused(&b, "DELETE", path, NULL, NULL, 404, "not_found");
    browser_refused(&other, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
    browser_expect(&b, "GET", "/admin/v1/me", NULL, NULL, 200);
    /* a key sees no sessions */
    admin_refused(&rig, BY_USER, "GET", "/admin/v1/me/sessions", NULL, NULL, 403, "not_allowed");
}
END_TEST

START_TEST(an_administrator_ends_sessions_of_others)
{
    struct browser b, auditor;
    const char *path = admin_path("users/%" PRId64 "/sessions", rig.person[BY_USER].id);
    browser_enter(&b, &rig, BY_USER, right);
    browser_enter(&auditor, &rig, BY_AUDITOR, right);
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", path, NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 1);
    ck_assert(!strstr(buf_str(&rig.last.body), b.token));
    json_decref(v);
    browser_expect(&b, "GET", path, NULL, NULL, 200);
    browser_refused(&auditor, "GET", path, NULL, NULL, 403, "not_allowed");
    browser_refused(&b, "GET", admin_path("users/%" PRId64 "/sessions", rig.person[BY_OTHER].id),
                    NULL, NULL, 404, "not_found");
    v = admin_call(&rig, BY_ADMIN, "DELETE", path, NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "ended"), 1);
    json_decref(v);
    browser_refused(&b, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
}
END_TEST

/* ---- an issuer -------------------------------------------------------------------------------- */

static struct issuer issuer;
static char callback[128];

static void issuer_setup(void)
{
    static const char map[] =
        "{\"groups\": [{\"group\": \"line3\", \"department\": \"Works/Line 3\","
        " \"roles\": [\"user\"]},"
        " {\"group\": \"研发\", \"department\": \"研发/推理\", \"roles\": [\"editor\"]}]}";
    struct oidc_options opt = OIDC_OPTIONS_DEFAULT;
    struct service *s;
    struct err e = ERR_INIT;
    admin_rig_open(&rig);
    s = rig.server.service;
    issuer_start(&issuer, NULL);
    snprintf(callback, sizeof callback, "http://127.0.0.1:%d/admin/v1/oidc/callback",
             rig.server.port);
    issuer.redirect_uri = callback;
    opt.issuer = issuer.url;
    opt.client_id = issuer.client_id;
    opt.client_secret = issuer.client_secret;
    opt.redirect_uri = callback;
    ck_assert_msg(oidc_create(&opt, &s->oidc, &e), "%s", e.msg);
    ck_assert_msg(identity_map_parse(map, sizeof map - 1, &s->identities, &e), "%s", e.msg);
}

static void issuer_teardown(void)
{
    admin_rig_close(&rig);
    issuer_stop(&issuer);
}

static void claim(const char *json)
{
    json_decref(issuer.claims);
    issuer.claims = json_loads(json, 0, NULL);
    ck_assert_ptr_nonnull(issuer.claims);
}

/* A GET of an absolute http URL on this machine; the Location of its answer. */
static void follow(const char *url, char *to, size_t to_bytes)
{
    struct http_client c;
    struct http_reply r;
    struct buf text;
    int port, at = 0;
    ck_assert_int_eq(sscanf(url, "http://127.0.0.1:%d%n", &port, &at), 1);
    buf_init(&text, 1 << 16);
    buf_printf(&text, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", url + at);
    http_client_open(&c, port);
    ck_assert(http_client_send(&c, buf_str(&text), text.len));
    http_client_read(&c, &r, false, 10000);
    ck_assert_msg(http_reply_header(&r, "Location", to, to_bytes), "%d %s", r.status,
                  buf_str(&r.body));
    http_reply_release(&r);
    http_client_close(&c);
    buf_release(&text);
}

/* To the issuer and until just before the way back; `path` is what comes back, `ticket` our cookie. */
static void go_there(const char *next, char path[2048], char ticket[1024])
{
    char url[4096], back[2048];
    admin_expect(&rig, BY_NOBODY, "GET", admin_path("oidc/login%s", next), NULL, NULL, 302);
    ck_assert(http_reply_header(&rig.last, "Location", url, sizeof url));
    const char *at = strstr(buf_str(&rig.last.head), "seekd_oidc=");
    ck_assert_ptr_nonnull(at);
    ck_assert(strstr(at, "HttpOnly; SameSite=Lax"));
    ck_assert_int_eq(sscanf(at, "seekd_oidc=%1000[^;]", ticket), 1);
    follow(url, back, sizeof back);
    ck_assert(!strncmp(back, callback, strlen(callback)));
    snprintf(path, 2048, "%s", strstr(back, "/admin/v1"));
}

static void come_back(const char *path, const char *ticket)
{
    char header[1200];
    snprintf(header, sizeof header, "Cookie: a=b; seekd_oidc=%s; c=d\r\n", ticket);
    admin_send(&rig, BY_NOBODY, "GET", path, header, NULL);
}

static void expect_error(int status, const char *code)
{
    ck_assert_msg(rig.last.status == status, "%d: %s", rig.last.status, buf_str(&rig.last.body));
    json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL);
    ck_assert_str_eq(admin_text(v, "error/code"), code);
    json_decref(v);
    ck_assert(!strstr(buf_str(&rig.last.head), "seekd_session="));
    ck_assert(strstr(buf_str(&rig.last.head), "seekd_oidc=;"));
}

START_TEST(an_issuer_logs_in_and_places_people)
{
    char path[2048], ticket[1024], to[256];
    struct browser b = {.rig = &rig};
    claim("{\"groups\": [\"研发\"], \"name\": \"林伟\"}");
    go_there("?next=%2Fui%2Fchat%3Fa%3D1", path, ticket);
    come_back(path, ticket);
    ck_assert_msg(rig.last.status == 302, "%s", buf_str(&rig.last.body));
    ck_assert(http_reply_header(&rig.last, "Location", to, sizeof to));
    ck_assert_str_eq(to, "/ui/chat?a=1");
    const char *at = strstr(buf_str(&rig.last.head), "seekd_session=");
    ck_assert_ptr_nonnull(at);
    ck_assert(strstr(at, "HttpOnly; SameSite=Strict"));
    ck_assert(strstr(buf_str(&rig.last.head), "seekd_oidc=; "));
    ck_assert_int_eq(sscanf(at, "seekd_session=%43[^;]", b.token), 1);
    json_t *v = browser_call(&b, "GET", "/admin/v1/me", NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "login"), "l.wei");
    ck_assert_str_eq(admin_text(v, "roles/0"), "editor");
    ck_assert(json_is_false(admin_at(v, "must_change_password")));
    int64_t id = admin_number(v, "id"), department = admin_number(v, "department_id");
    snprintf(b.csrf, sizeof b.csrf, "%s", admin_text(v, "csrf_token"));
    json_decref(v);
    v = admin_call(&rig, BY_ADMIN, "GET", admin_path("users/%" PRId64, id), NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "name"), "林伟");
    ck_assert_str_eq(admin_text(v, "source"), "oidc");
    json_decref(v);
    v = admin_call(&rig, BY_ADMIN, "GET", admin_path("departments/%" PRId64, department), NULL,
                   NULL, 200);
    ck_assert_str_eq(admin_text(v, "name"), "推理");
    json_decref(v);
    browser_refused(&b, "POST", "/admin/v1/me/password", NULL,
                    "{\"current\":\"x\",\"new\":\"long-enough-77\"}", 409, "conflict");
    admin_refused(&rig, BY_ADMIN, "POST", admin_path("users/%" PRId64 "/password-reset", id), NULL,
                  NULL, 400, "invalid_value");
    ck_assert_int_eq(browser_try(&rig, "l.wei", "whatever"), 401);
    /* the same person again, whose groups have changed: their session ends with the role */
    claim("{\"groups\": [\"line3\"]}");
    go_there("", path, ticket);
    come_back(path, ticket);
    ck_assert_int_eq(rig.last.status, 302);
    ck_assert(http_reply_header(&rig.last, "Location", to, sizeof to));
    ck_assert_str_eq(to, "/");
    browser_refused(&b, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
    v = admin_call(&rig, BY_ADMIN, "GET", admin_path("users/%" PRId64, id), NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "department_id"), rig.line3);
    json_decref(v);
}
END_TEST

START_TEST(only_the_browser_that_began_comes_back)
{
    char path[2048], ticket[1024], other_path[2048], other_ticket[1024];
    claim("{\"groups\": [\"line3\"]}");
    go_there("", path, ticket);
    go_there("", other_path, other_ticket);
    come_back(other_path, ticket);
    expect_error(400, "invalid_value");
    come_back(other_path, "nonsense");
    expect_error(400, "invalid_value");
    admin_send(&rig, BY_NOBODY, "GET", other_path, NULL, NULL);
    expect_error(400, "invalid_value");
    come_back("/admin/v1/oidc/callback?state=x", ticket);
    expect_error(400, "missing_required_parameter");
    come_back("/admin/v1/oidc/callback?error=access_denied&state=x&error_description=%3Cb%3E",
              ticket);
    expect_error(401, "wrong_login");
    ck_assert(!strstr(buf_str(&rig.last.body), "<b>"));
    come_back(other_path, other_ticket);
    ck_assert_int_eq(rig.last.status, 302);
    come_back(other_path, other_ticket); /* a code works once */
    expect_error(400, "invalid_value");
}
END_TEST

START_TEST(pages_to_return_to_are_our_own)
{
    static const char *const bad[] = {"?next=https%3A%2F%2Fevil.example", "?next=%2F%2Fevil.example",
                                      "?next=%2F%5Cevil", "?next=x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        admin_refused(&rig, BY_NOBODY, "GET", admin_path("oidc/login%s", bad[i]), NULL, NULL, 400,
                      "invalid_value");
}
END_TEST

START_TEST(who_may_not_come_in_by_the_issuer)
{
    char path[2048], ticket[1024];
    claim("{\"groups\": [\"canteen\"]}");
    go_there("", path, ticket);
    come_back(path, ticket);
    expect_error(403, "not_allowed");
    claim("{\"groups\": [\"line3\"], \"preferred_username\": \"anna.admin\"}");
    go_there("", path, ticket);
    come_back(path, ticket);
    expect_error(409, "conflict");
    claim("{\"groups\": [\"line3\"]}");
    go_there("", path, ticket);
    come_back(path, ticket);
    ck_assert_int_eq(rig.last.status, 302);
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", "/admin/v1/users?source=oidc", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 1);
    const char *user = admin_path("users/%" PRId64, admin_number(v, "data/0/id"));
    admin_expect(&rig, BY_ADMIN, "PATCH", user, admin_if_match(admin_number(v, "data/0/revision")),
                 "{\"disabled\":true}", 200);
    json_decref(v);
    go_there("", path, ticket);
    come_back(path, ticket);
    expect_error(401, "wrong_login");
    issuer.fault = FAULT_FORGED;
    go_there("", path, ticket);
    come_back(path, ticket);
    expect_error(401, "wrong_login");
    issuer.fault = FAULT_TOKEN_STATUS;
    go_there("", path, ticket);
    come_back(path, ticket);
    expect_error(503, "overloaded");
}
END_TEST

START_TEST(without_an_issuer_there_is_no_such_login)
{
    admin_refused(&rig, BY_NOBODY, "GET", "/admin/v1/oidc/login", NULL, NULL, 404, "unknown_url");
    admin_refused(&rig, BY_NOBODY, "GET", "/admin/v1/oidc/callback?state=a&code=b", NULL, NULL, 404,
                  "unknown_url");
}
END_TEST

/* ---- a directory ------------------------------------------------------------------------------ */

static struct slapd directory;

static void directory_setup(void)
{
    static const char map[] =
        "{\"groups\": [{\"group\": \"cn=line3," SLAPD_GROUPS "\", \"department\": \"Works/Line 3\","
        " \"roles\": [\"user\"]}]}";
    struct ldap_options opt = LDAP_OPTIONS_DEFAULT;
    struct service *s;
    struct err e = ERR_INIT;
    admin_rig_open(&rig);
    s = rig.server.service;
    slapd_start(&directory);
    opt.url = directory.tls_url;
    opt.ca_file = directory.ca_file;
    opt.bind_dn = SLAPD_SERVICE;
    opt.bind_password = "service-secret";
    opt.base_dn = SLAPD_BASE;
    ck_assert_msg(ldap_directory_create(&opt, &s->ldap, &e), "%s", e.msg);
    ck_assert_msg(identity_map_parse(map, sizeof map - 1, &s->identities, &e), "%s", e.msg);
}

static void directory_teardown(void)
{
    admin_rig_close(&rig);
    slapd_stop(&directory);
}

START_TEST(a_directory_logs_in_and_places_people)
{
    struct browser b;
    browser_login(&b, &rig, "L.Wei", "blue horse 7");
    json_t *v = browser_call(&b, "GET", "/admin/v1/me", NULL, NULL, 200);
    const char *user = admin_path("users/%" PRId64, admin_number(v, "id"));
    ck_assert_str_eq(admin_text(v, "login"), "l.wei");
    ck_assert_int_eq(admin_number(v, "department_id"), rig.line3);
    json_decref(v);
    v = admin_call(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    ck_assert_str_eq(admin_text(v, "name"), "Lin Wei 林维");
    ck_assert_str_eq(admin_text(v, "source"), "ldap");
    ck_assert_str_eq(admin_text(v, "email"), "l.wei@plant.example");
    json_decref(v);
    browser_refused(&b, "POST", "/admin/v1/me/password", NULL,
                    "{\"current\":\"blue horse 7\",\"new\":\"long-enough-77\"}", 409, "conflict");
    /* again: the same person, and disabled here whatever the directory says */
    browser_login(&b, &rig, "l.wei", "blue horse 7");
    admin_expect(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    admin_expect(&rig, BY_ADMIN, "PATCH", user, admin_if_match(admin_etag(&rig)),
                 "{\"disabled\":true}", 200);
    ck_assert_int_eq(browser_try(&rig, "l.wei", "blue horse 7"), 401);
    browser_refused(&b, "GET", "/admin/v1/me", NULL, NULL, 401, "missing_api_key");
}
END_TEST

START_TEST(a_directory_answers_everybody_alike)
{
    char wrong[1024];
    ck_assert_int_eq(browser_try(&rig, "l.wei", "not-the-password"), 401);
    snprintf(wrong, sizeof wrong, "%s", buf_str(&rig.last.body));
    const char *const logins[] = {"nobody", "nopassword", "王伟", "*", "l.wei\x01"};
    for (size_t i = 0; i < sizeof logins / sizeof logins[0]; i++) {
        ck_assert_int_eq(browser_try(&rig, logins[i], "not-the-password"), 401);
        ck_assert_str_eq(buf_str(&rig.last.body), wrong);
    }
    ck_assert_int_eq(try_slowed("m.chen", "c-secret"), 429);
    for (int i = 0; i < LOCKOUT_FREE + 1; i++) /* a right password counts as no guess */
        admin_refused(&rig, BY_NOBODY, "POST", "/admin/v1/login", NULL,
                      "{\"login\":\"m.zhao\",\"password\":\"m-secret\"}", 403, "not_allowed");
}
END_TEST

/* Local persons go on logging in when the directory is down; others are told so and not counted. */
START_TEST(a_directory_may_be_down)
{
    struct browser b;
    struct ldap_options opt = LDAP_OPTIONS_DEFAULT;
    struct service *s = rig.server.service;
    struct err e = ERR_INIT;
    opt.url = "ldaps://127.0.0.1:1";
    opt.base_dn = SLAPD_BASE;
    struct ldap_directory *up = s->ldap;
    ck_assert_msg(ldap_directory_create(&opt, &s->ldap, &e), "%s", e.msg);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(browser_try(&rig, "l.wei", "blue horse 7"), 503);
    browser_enter(&b, &rig, BY_USER, right);
    ldap_directory_destroy(&s->ldap);
    s->ldap = up;
    browser_login(&b, &rig, "l.wei", "blue horse 7");
    ck_assert_int_eq(browser_try(&rig, "王伟", right), 200);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin_login");
    TCase *tc = tcase_create("passwords");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_login_gives_a_cookie_that_scripts_cannot_read);
    tcase_add_test(tc, a_cookie_for_https_is_bound_to_the_host);
    tcase_add_test(tc, changes_by_cookie_need_the_csrf_token);
    tcase_add_test(tc, changes_by_cookie_come_from_our_own_pages);
    tcase_add_test(tc, pages_over_plain_http_change_nothing_of_https);
    tcase_add_test(tc, a_logout_ends_the_session_and_takes_the_cookie);
    tcase_add_test(tc, a_key_ends_nobodys_session);
    tcase_add_test(tc, unknown_logins_and_wrong_passwords_are_answered_alike);
    tcase_add_test(tc, time_does_not_tell_who_exists);
    tcase_add_test(tc, odd_login_requests_are_refused);
    tcase_add_test(tc, wrong_passwords_slow_down_and_an_administrator_lifts_it);
    tcase_add_test(tc, a_one_time_password_opens_nothing_but_its_change);
    tcase_add_test(tc, the_first_administrator_gets_in);
    tcase_add_test(tc, a_new_password_must_be_a_good_one);
    tcase_add_test(tc, a_disabled_person_is_out_at_once);
    tcase_add_test(tc, one_sees_and_ends_ones_own_sessions);
    tcase_add_test(tc, an_administrator_ends_sessions_of_others);
    tcase_add_test(tc, without_an_issuer_there_is_no_such_login);
    suite_add_tcase(s, tc);
    tc = tcase_create("issuer");
    tcase_add_checked_fixture(tc, issuer_setup, issuer_teardown);
    tcase_add_test(tc, an_issuer_logs_in_and_places_people);
    tcase_add_test(tc, only_the_browser_that_began_comes_back);
    tcase_add_test(tc, pages_to_return_to_are_our_own);
    tcase_add_test(tc, who_may_not_come_in_by_the_issuer);
    suite_add_tcase(s, tc);
    if (slapd_is_installed()) {
        tc = tcase_create("directory");
        tcase_add_checked_fixture(tc, directory_setup, directory_teardown);
        tcase_add_test(tc, a_directory_logs_in_and_places_people);
        tcase_add_test(tc, a_directory_answers_everybody_alike);
        tcase_add_test(tc, a_directory_may_be_down);
        suite_add_tcase(s, tc);
    } else {
        printf("SKIP: login at a directory: slapd and ldap-utils are not installed\n");
    }
    return admin_main(s);
}
