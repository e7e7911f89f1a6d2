/* Owns: sessions of the tests of administration. Refuses to know: what they test. */
#include <config.h>

#include "admin_browser.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RING = 4, TEXT_BYTES = 4096 };

const char *admin_path(const char *fmt, ...)
{
    static char ring[RING][TEXT_BYTES];
    static unsigned turn;
    char *out = ring[turn++ % RING];
    va_list ap;
    size_t n = (size_t)snprintf(out, TEXT_BYTES, "/admin/v1/");
    va_start(ap, fmt);
    vsnprintf(out + n, TEXT_BYTES - n, fmt, ap);
    va_end(ap);
    return out;
}

const char *admin_body(const char *fmt, ...)
{
    static char ring[RING][TEXT_BYTES];
    static unsigned turn;
    char *out = ring[turn++ % RING];
    va_list ap;
    va_start(ap, fmt);
    json_t *v = json_vpack_ex(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = v ? json_dumps(v, 0) : NULL;
    ck_assert_ptr_nonnull(text);
    snprintf(out, TEXT_BYTES, "%s", text);
    free(text);
    json_decref(v);
    return out;
}

void admin_reset_password(struct admin_rig *r, int64_t person_id, char out[PASSWORD_ONE_TIME_TEXT])
{
    json_t *v = admin_call(r, BY_ADMIN, "POST",
                           admin_path("users/%" PRId64 "/password-reset", person_id), NULL, NULL,
                           200);
    const char *text = admin_text(v, "one_time_password");
    ck_assert_uint_eq(strlen(text), PASSWORD_ONE_TIME_TEXT - 1);
    memcpy(out, text, PASSWORD_ONE_TIME_TEXT);
    json_decref(v);
}

int browser_try(struct admin_rig *r, const char *login, const char *password)
{
    admin_send(r, BY_NOBODY, "POST", "/admin/v1/login", "User-Agent: check/1\r\n",
               admin_body("{s:s, s:s}", "login", login, "password", password));
    return r->last.status;
}

void browser_login(struct browser *b, struct admin_rig *r, const char *login, const char *password)
{
    char cookie[256];
    ck_assert_int_eq(browser_try(r, login, password), 200);
    json_t *v = json_loadb(buf_str(&r->last.body), r->last.body.len, 0, NULL);
    ck_assert(http_reply_header(&r->last, "Set-Cookie", cookie, sizeof cookie));
    b->rig = r;
    ck_assert_int_eq(sscanf(cookie, "seekd_session=%43[^;]", b->token), 1);
    snprintf(b->csrf, sizeof b->csrf, "%s", admin_text(v, "csrf_token"));
    ck_assert_uint_eq(strlen(b->token), TOKEN_CHARS);
    ck_assert_uint_eq(strlen(b->csrf), TOKEN_CHARS);
    json_decref(v);
}

void browser_enter(struct browser *b, struct admin_rig *r, enum admin_who who, const char *password)
{
    char once[PASSWORD_ONE_TIME_TEXT];
    admin_reset_password(r, r->person[who].id, once);
    browser_login(b, r, r->person[who].login, once);
    browser_expect(b, "POST", "/admin/v1/me/password", NULL,
                   admin_body("{s:s, s:s}", "current", once, "new", password), 204);
}

json_t *browser_call(const struct browser *b, const char *method, const char *path,
                     const char *headers, const char *body, int status)
{
    char all[1024];
    snprintf(all, sizeof all, "Cookie: theme=dark; seekd_session=%s\r\nX-CSRF-Token: %s\r\n%s",
             b->token, b->csrf, headers ? headers : "");
    return admin_call(b->rig, BY_NOBODY, method, path, all, body, status);
}

void browser_expect(const struct browser *b, const char *method, const char *path,
                    const char *headers, const char *body, int status)
{
    json_decref(browser_call(b, method, path, headers, body, status));
}

void browser_refused(const struct browser *b, const char *method, const char *path,
                     const char *headers, const char *body, int status, const char *code)
{
    json_t *v = browser_call(b, method, path, headers, body, status);
    ck_assert_str_eq(admin_text(v, "error/code"), code);
    json_decref(v);
}
