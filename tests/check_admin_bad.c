/* Attacks on administration over HTTP by what is sent: odd ids, queries, headers and bodies (made from
 * the route table and its schemas), odd framing, texts that lie. Whatever comes: a 4xx with the usual
 * body, and the next good request works. */
#include <config.h>

#include "admin_attack.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/schema.h"
#include "audit/audit.h"
#include "base/clock.h"
#include "service/service.h"
#include "testfile.h"

/* ---- paths ------------------------------------------------------------------------------------ */

START_TEST(odd_ids_name_nothing)
{
    static const char *const odds[] = {
        "0", "-1", "-0", "+1", "%201", "1%20", "1e3", "0x1", "1.0", "9223372036854775807",
        "9223372036854775808", "18446744073709551617", "99999999999999999999999999", "%2e%2e", "..",
        "%2F", "1%2F..%2F1", "%001", "1%00", "%01", "%7f", "%ff", "%c3%28", "%ed%a0%80", "%", "%4",
        "%zz", "%E5%B7%A5", "%F0%9F%94%A5", "%E2%80%AEx", "'", "%27%20OR%201=1--", "*", "%25",
        "null", "~", "%0d%0aX-Evil:1"};
    struct buf path, longest;
    size_t sent = 0;
    buf_init(&path, 1 << 16);
    buf_init(&longest, 1 << 16);
    for (int i = 0; i < 3000; i++)
        buf_putc(&longest, '7');
    const struct route *r;
    for (size_t i = 0; (r = route_at(i)); i++) {
        unsigned n = attack_path(r, 0, NULL, &path);
        for (unsigned which = 0; which < n && route_is_admin(r); which++)
            for (size_t k = 0; k <= sizeof odds / sizeof odds[0]; k++, sent++) {
                const char *odd = k < sizeof odds / sizeof odds[0] ? odds[k] : buf_str(&longest);
                attack_path(r, which, odd, &path);
                attack_refused(attack_entitled(r), r->method, buf_str(&path), "If-Match: \"1\"\r\n",
                            r->body_bytes ? "{}" : NULL);
            }
    }
    printf("odd ids: %zu requests refused\n", sent);
    ck_assert_uint_ge(sent, 300);
    buf_release(&longest);
    buf_release(&path);
}
END_TEST

START_TEST(names_that_are_no_text_name_no_template)
{
    static const char *const odds[] = {"%ff", "%c3%28", "%01", "%7f", "nothing"};
    char path[128];
    for (size_t i = 0; i < sizeof odds / sizeof odds[0]; i++) {
        snprintf(path, sizeof path, "/v1/templates/%s/run", odds[i]);
        admin_expect(&rig, BY_USER, "POST", path, NULL, HELLO, 404);
        snprintf(path, sizeof path, "/api/public/v2/prompts/%s", odds[i]);
        admin_expect(&rig, BY_USER, "GET", path, NULL, NULL, 404);
    }
}
END_TEST

START_TEST(odd_queries_are_refused)
{
    static const char *const odds[] = {
        "limit=0", "limit=-1", "limit=501", "limit=1e2", "limit=abc", "limit=1&limit=1", "limit=%00",
        "after=-1", "after=9223372036854775808", "after=1&after=2", "%61fter=1&after=1", "x=1", "=",
        "=1", "limit%00=1", "limit=%ff", "limit=%zz", "limit=%", "limit=%0a", "%ff=1", "limit=%01",
        "limit=1%20", "text=%c3%28", "department_id=0", "department_id=1e9", "below=maybe",
        "role=root", "state=Active", "source=%27", "person_id=-5", "active=2",
        ("a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1&k=1&l=1&m=1&n=1&o=1&p=1&q=1&r=1&s=1&t=1&u=1&v=1&w=1"
         "&x=1&y=1&z=1")};
    static const char *const paths[] = {"/admin/v1/users", "/admin/v1/keys", "/admin/v1/departments"};
    char path[1024];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        for (size_t k = 0; k < sizeof odds / sizeof odds[0]; k++) {
            snprintf(path, sizeof path, "%s?%s", paths[i], odds[k]);
            attack_refused(BY_ADMIN, "GET", path, NULL, NULL);
        }
    struct buf huge;
    buf_init(&huge, 1 << 16);
    buf_puts(&huge, "/admin/v1/users?text=");
    for (int i = 0; i < 20000; i++)
        buf_putc(&huge, 'a');
    attack_refused(BY_ADMIN, "GET", buf_str(&huge), NULL, NULL);
    buf_release(&huge);
    /* Nothing that LIKE or SQL would understand. */
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", "/admin/v1/users?text=%25", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 0);
    json_decref(v);
    v = admin_call(&rig, BY_ADMIN, "GET", "/admin/v1/users?text='%20OR%201%3D1--", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "data")), 0);
    json_decref(v);
}
END_TEST

/* ---- headers ---------------------------------------------------------------------------------- */

START_TEST(only_the_etag_itself_matches)
{
    static const char *const odds[] = {"*", "W/\"1\"", "\"1\", \"2\"", "1", "\"\"", "\"-1\"",
                                       "\"+1\"", "\"1", "1\"", "\"1e0\"", "\"0x1\"", "\" 1\"",
                                       "\"1 \"", "\"99999999999999999999\"", "\"01\"\"1\"", "",
                                       "\"11111111111111111111111111111111111111111111111111111\"",
                                       "\"\xff\"", "'1'", "\"0\"", "\"2\""};
    const char *user = admin_path("users/%" PRId64, rig.person[BY_OTHER].id);
    char header[128];
    admin_expect(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    int64_t revision = admin_etag(&rig);
    ck_assert_int_eq(revision, 1);
    for (size_t i = 0; i < sizeof odds / sizeof odds[0]; i++) {
        snprintf(header, sizeof header, "If-Match: %s\r\n", odds[i]);
        admin_refused(&rig, BY_ADMIN, "PATCH", user, header, "{\"name\":\"Mallory\"}", 412,
                      "changed_meanwhile");
    }
    admin_refused(&rig, BY_ADMIN, "PATCH", user, NULL, "{\"name\":\"Mallory\"}", 428,
                  "if_match_needed");
    admin_refused(&rig, BY_ADMIN, "PATCH", user, "If-Match: \"1\"\r\nIf-Match: \"1\"\r\n",
                  "{\"name\":\"Mallory\"}", 400, "bad_http_request");
    admin_expect(&rig, BY_ADMIN, "GET", user, NULL, NULL, 200);
    ck_assert_int_eq(admin_etag(&rig), revision);
}
END_TEST

static bool keep(void *ctx, const void *bytes, size_t len)
{
    return buf_append(ctx, bytes, len);
}

/* What the auditor reads must stay readable whatever others write into it. */
START_TEST(reasons_cannot_spoil_the_audit_log)
{
    static const char *const odds[] = {"%ff", "%c3%28", "%ed%a0%80", "%01", "%7f", "%00", "%0a",
                                       "%0d%0aX-Evil: 1", "%", "%zz", "\xff\xfe", "\xc3\x28"};
    const char *user = admin_path("users/%" PRId64, rig.person[BY_OTHER].id);
    char header[256];
    for (size_t i = 0; i < sizeof odds / sizeof odds[0]; i++) {
        snprintf(header, sizeof header, "If-Match: \"1\"\r\nX-Reason: %s\r\n", odds[i]);
        attack_refused(BY_ADMIN, "PATCH", user, header, "{\"name\":\"Mallory\"}");
        ck_assert_int_eq(rig.last.status, 400);
    }
    struct buf huge;
    buf_init(&huge, 1 << 16);
    buf_puts(&huge, "If-Match: \"1\"\r\nX-Reason: ");
    for (int i = 0; i < 10240; i++)
        buf_putc(&huge, 'a');
    buf_puts(&huge, "\r\n");
    attack_refused(BY_ADMIN, "PATCH", user, buf_str(&huge), "{\"name\":\"Mallory\"}");
    buf_release(&huge);
    admin_expect(&rig, BY_ADMIN, "PATCH", user,
                 "If-Match: \"1\"\r\nX-Reason: %E8%B0%83%E5%B2%97%20(moved)\r\n",
                 "{\"name\":\"Olga\"}", 200);
    struct buf out;
    struct err e = ERR_INIT;
    buf_init(&out, 16 << 20);
    struct audit_filter all = {.limit = 500};
    ck_assert_msg(audit_export(rig.server.service->store, &all, keep, &out, &e), "%s", e.msg);
    ck_assert_ptr_nonnull(strstr(buf_str(&out), "调岗 (moved)"));
    buf_release(&out);
}
END_TEST

/* ---- bodies ----------------------------------------------------------------------------------- */

/* Something that the field may be, as JSON text. */
static const char *plausible(const struct schema_field *f)
{
    if (f->type == SCHEMA_INT)
        return "1";
    if (f->type == SCHEMA_STRING)
        return "\"abc\"";
    if (f->type == SCHEMA_BOOL)
        return "true";
    if (!strcmp(f->name, "roles"))
        return "[\"user\"]";
    return !strcmp(f->name, "scopes") ? "[\"usage\"]" : "{}";
}

/* A body with every required field and `field` as `value`. */
static void write_body(const struct schema *s, const char *field, const char *value, struct buf *out)
{
    buf_clear(out);
    buf_printf(out, "{\"%s\":%s", field, value);
    for (size_t i = 0; i < s->n_fields; i++)
        if (s->fields[i].required && strcmp(s->fields[i].name, field) != 0)
            buf_printf(out, ",\"%s\":%s", s->fields[i].name, plausible(&s->fields[i]));
    buf_putc(out, '}');
}

struct attack {
    const char *value;
    bool fits[SCHEMA_TYPE_COUNT]; /* what it is right for, perhaps */
};
static const struct attack attacks[] = {
    {"true", {[SCHEMA_BOOL] = true}},
    {"false", {[SCHEMA_BOOL] = true}},
    {"\"\"", {[SCHEMA_STRING] = true}},
    {"\"true\"", {[SCHEMA_STRING] = true}},
    {"0", {[SCHEMA_INT] = true, [SCHEMA_NUMBER] = true}},
    {"1.5", {[SCHEMA_NUMBER] = true}},
    {"-1", {[SCHEMA_NUMBER] = true}},
    {"-0.5", {[SCHEMA_NUMBER] = true}},
    {"9007199254740992", {[SCHEMA_NUMBER] = true}},
    {"9223372036854775807", {[SCHEMA_NUMBER] = true}},
    {"9223372036854775808", {false}},
    {"-9223372036854775809", {false}},
    {"1e308", {[SCHEMA_NUMBER] = true}},
    {"1e999", {false}},
    {"1E", {false}},
    {"0x10", {false}},
    {"01", {false}},
    {"NaN", {false}},
    {"[]", {false}},
    {"[[]]", {false}},
    {"[null]", {false}},
    {"[1,\"a\",{}]", {false}},
    {"[\"nothing of the kind\"]", {false}},
    {"{\"a\":1}", {false}},
    {"\"\\u0000\"", {false}},
    {"\"a\\u0000b\"", {false}},
    {"\"\\ud800\"", {false}},
    {"\"\xff\xfe\"", {false}},
    {"\"\xc0\x80\"", {false}},
    {"\"\x01\"", {false}},
    {"\"a\nb\"", {false}},
    {"\"unclosed", {false}},
    {"", {false}},
};

/* Those texts that are no JSON at all, or what no field takes, are refused everywhere; of the others
 * those that a table's row excludes. What parsers of their own take is for their tests to say, but it
 * must not break anything. */
static void attack_field(const struct route *r, const char *path, const struct schema_field *f,
                         struct buf *body, size_t *sent)
{
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        const struct attack *a = &attacks[i];
        if (a->fits[f->type] || f->type == SCHEMA_IGNORED)
            continue;
        write_body(r->body, f->name, a->value, body);
        if (f->type == SCHEMA_CUSTOM || f->type == SCHEMA_REFUSED || f->type == SCHEMA_FIXED) {
            admin_send(&rig, attack_entitled(r), r->method, path, "If-Match: \"999\"\r\n",
                       buf_str(body));
            ck_assert_msg(rig.last.status >= 200 && rig.last.status < 500, "%s %s %s: %d %s",
                          r->method, path, buf_str(body), rig.last.status,
                          buf_str(&rig.last.body));
            *sent += (rig.last.status >= 400);
            continue;
        }
        attack_refused(attack_entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
        ++*sent;
    }
}

static void attack_whole(const struct route *r, const char *path, struct buf *body, size_t *sent)
{
    static const char *const whole[] = {
        "[]", "\"x\"", "1", "null", "true", "{", "{}}", "{\"a\"}", "{\"a\":1,}", "nul", "{\"\":1}",
        "{\"no_such_field\":1}", "{\"__proto__\":{}}", "{\"a\":1}{\"b\":1}", "\xef\xbb\xbf{}", "//x",
        "{\"\xff\":1}", "{\"a\\u0000b\":1}"};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++, ++*sent)
        attack_refused(attack_entitled(r), r->method, path, "If-Match: \"999\"\r\n", whole[i]);
    const char *name = r->body->fields[0].name, *value = plausible(&r->body->fields[0]);
    buf_clear(body);
    buf_printf(body, "{\"%s\":%s,\"%s\":%s}", name, value, name, value);
    attack_refused(attack_entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
    buf_clear(body);
    buf_printf(body, "{\"%s\":", name);
    for (int i = 0; i < 5000; i++)
        buf_putc(body, '[');
    attack_refused(attack_entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
    buf_clear(body);
    buf_printf(body, "{\"%s\":\"", name);
    for (size_t i = 0; i < ((size_t)1 << 20); i++)
        buf_putc(body, 'a');
    buf_puts(body, "\"}");
    attack_refused(attack_entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
    *sent += 3;
}

START_TEST(no_field_takes_what_it_is_not)
{
    struct buf path, body;
    size_t sent = 0, routes = 0;
    const struct route *r;
    buf_init(&path, 1 << 16);
    buf_init(&body, 4 << 20);
    for (size_t i = 0; (r = route_at(i)); i++) {
        if (!r->body || !route_is_admin(r))
            continue;
        routes++;
        attack_path(r, 0, NULL, &path);
        for (size_t k = 0; k < r->body->n_fields; k++)
            attack_field(r, buf_str(&path), &r->body->fields[k], &body, &sent);
        attack_whole(r, buf_str(&path), &body, &sent);
    }
    printf("bad bodies: %zu requests on %zu routes refused\n", sent, routes);
    ck_assert_uint_ge(sent, 500);
    buf_release(&body);
    buf_release(&path);
}
END_TEST

START_TEST(content_rules_hold_on_all_routes)
{
    static const char *const types[] = {"text/plain", "application/x-www-form-urlencoded",
                                        "multipart/form-data; boundary=x", "application/jsonp", ""};
    struct buf path, text;
    const struct route *r;
    buf_init(&path, 1 << 16);
    buf_init(&text, 1 << 16);
    for (size_t i = 0; (r = route_at(i)); i++) {
        if (!route_is_admin(r))
            continue;
        attack_path(r, 0, NULL, &path);
        if (!r->body_bytes) {
            attack_refused(attack_entitled(r), r->method, buf_str(&path), NULL, "{\"a\":1}");
            continue;
        }
        for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
            buf_clear(&text);
            buf_printf(&text, "Content-Type: %s\r\nContent-Length: 2\r\n\r\n{}", types[k]);
            attack_refused(attack_entitled(r), r->method, buf_str(&path), buf_str(&text), NULL);
        }
        static const char *const lines[] = {"Content-Encoding: gzip\r\n",
                                            "Transfer-Encoding: chunked\r\n",
                                            "Content-Length: 3\r\n"};
        for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++)
            attack_refused(attack_entitled(r), r->method, buf_str(&path), lines[k], "{}");
    }
    buf_release(&text);
    buf_release(&path);
}
END_TEST

/* Names: what lies about its reading direction or breaks lines is no name; other scripts are. */
START_TEST(names_are_refused_or_kept_as_they_are)
{
    static const struct {
        const char *name;
        bool good;
    } names[] = {
        {"Qualität & <b>Prüfung</b>", true}, {"质量部 🔥", true}, {"\"quoted\\", true},
        {"قسم الجودة", true}, {"O'Brien; DROP TABLE person--", true}, {"%s%n%x", true},
        {"a\xe2\x80\xaegnp.exe", false}, /* right-to-left override */
        {"a\xe2\x81\xa6" "b", false},     /* isolate */
        {"a\xe2\x80\xa8" "b", false},     /* line separator */
        {"a\xc2\x85" "b", false},         /* next line */
        {"a\tb", false}, {"a\nSet-Cookie: x=1", false}, {"a\x7f", false}, {" a", false},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char login[16];
        snprintf(login, sizeof login, "n%zu", i);
        admin_send(&rig, BY_ADMIN, "POST", "/admin/v1/users", NULL,
                   admin_body("{s:s, s:s, s:I, s:[s]}", "login", login, "name",
                              names[i].name, "department_id", (json_int_t)rig.office, "roles",
                              "user"));
        ck_assert_msg(rig.last.status == (names[i].good ? 201 : 400), "'%s': %d", names[i].name,
                      rig.last.status);
        if (!names[i].good)
            continue;
        json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL);
        ck_assert_str_eq(admin_text(v, "name"), names[i].name);
        int64_t id = admin_number(v, "id");
        json_decref(v);
        ck_assert_int_gt(id, 0);
        v = admin_call(&rig, BY_ADMIN, "GET", admin_path("users/%" PRId64, id), NULL, NULL, 200);
        ck_assert_str_eq(admin_text(v, "name"), names[i].name);
        json_decref(v);
    }
}
END_TEST
/* ---- paths around the table ------------------------------------------------------------------- */

/* Whoever looks at the path before us (a proxy, a rule for /admin/) sees what we see. */
START_TEST(no_other_spelling_reaches_a_route)
{
    static const char *const odds[] = {
        "//admin/v1/users", "/admin//v1/users", "/admin/v1//users", "/admin/v1/users/",
        "/./admin/v1/users", "/admin/v1/./users", "/admin/v1/keys/../users", "/v1/../admin/v1/users",
        "/admin/v1/%2e%2e/v1/users", "/admin%2fv1/users", "/admin%2Fv1%2Fusers", "/%61dmin/v1/users",
        "/admin/v1/user%73", "/ADMIN/v1/users", "/admin/v1/Users", "/admin/v1/users;a=1",
        "/admin/v1/users%3Flimit=1", "/admin/v1/users%23", "/admin/v1/users%20", "/admin/v1/users.json",
        "/admin\\v1\\users", "/admin/v1/users%00", "/admin/v1/users%2500", "/admin/v1/%c0%af/users",
        "/admin/v1/%e0%80%afusers", "/admin/v1/us\xc0\xafrs", "http://localhost/admin/v1/users",
        "/v1/models/..%2f..%2fadmin/v1/users", "/%2e/admin/v1/users", "*", "admin/v1/users"};
    for (size_t i = 0; i < sizeof odds / sizeof odds[0]; i++) {
        admin_send(&rig, BY_ADMIN, "GET", odds[i], NULL, NULL);
        ck_assert_msg(rig.last.status >= 400 && rig.last.status <= 404, "%s: %d", odds[i],
                      rig.last.status);
        ck_assert_ptr_null(strstr(buf_str(&rig.last.body), "anna.admin"));
    }
}
END_TEST

/* A megabyte where a few bytes are meant: refused or cut off, and forgotten. */
START_TEST(a_megabyte_in_the_head_is_refused)
{
    static const char *const heads[] = {
        "GET /admin/v1/users/%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /admin/v1/users?text=%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /admin/v1/users HTTP/1.1\r\nHost: localhost\r\nCookie: seekd_session=%s\r\n\r\n",
        "GET /admin/v1/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
        "DELETE /admin/v1/users/1 HTTP/1.1\r\nHost: localhost\r\nX-Reason: %s\r\n\r\n",
        "GET /admin/v1/users HTTP/1.1\r\nHost: localhost\r\n%s: 1\r\n\r\n",
    };
    struct buf text;
    buf_init(&text, 2 << 20);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        const char *at = strstr(heads[i], "%s");
        struct http_client c;
        struct http_reply reply;
        buf_clear(&text);
        buf_append(&text, heads[i], (size_t)(at - heads[i]));
        for (size_t k = 0; k < ((size_t)1 << 20); k++)
            buf_putc(&text, 'a');
        buf_puts(&text, at + 2);
        http_client_open(&c, rig.server.port);
        bool sent = http_client_send(&c, buf_str(&text), text.len); /* it may hang up at once */
        http_client_read(&c, &reply, false, 20000);
        ck_assert_msg(reply.status == 0 || (reply.status >= 400 && reply.status < 500),
                      "%zu: %d (%d)", i, reply.status, sent);
        http_reply_release(&reply);
        http_client_close(&c);
    }
    buf_release(&text);
}
END_TEST

/* ---- bombs ------------------------------------------------------------------------------------ */

enum { BOMB_MS = 5000 };

/* A template with this content and its rendering: refused, or short. The server must not notice. */
static void detonate(const char *name, json_t *content_take, json_t *variables_take)
{
    char path[256];
    json_t *body = json_pack("{s:s, s:s, s:o}", "name", name, "note", "n", "content", content_take);
    char *text = json_dumps(body, 0);
    uint64_t begin = clock_now_us();
    admin_send(&rig, BY_EDITOR, "POST", "/admin/v1/templates", NULL, text);
    free(text);
    json_decref(body);
    int saved = rig.last.status;
    body = json_pack("{s:o}", "variables", variables_take ? variables_take : json_object());
    text = json_dumps(body, 0);
    snprintf(path, sizeof path, "/admin/v1/templates/%s/versions/1/render", name);
    if (saved == 201)
        admin_send(&rig, BY_EDITOR, "POST", path, NULL, text);
    free(text);
    json_decref(body);
    uint64_t ms = (clock_now_us() - begin) / 1000;
    ck_assert_msg(saved == 201 || saved == 400, "%s: %d %.200s", name, saved,
                  buf_str(&rig.last.body));
    ck_assert_msg(rig.last.status >= 200 && rig.last.status < 500, "%s: %d %.200s", name,
                  rig.last.status, buf_str(&rig.last.body));
    ck_assert_msg(ms < BOMB_MS && rig.last.body.len < ((size_t)8 << 20), "%s: %llu ms, %zu bytes",
                  name, (unsigned long long)ms, rig.last.body.len);
}

static json_t *messages(const char *text, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "role", "user", "content", text));
    return json_pack("{s:o}", "messages", list);
}

START_TEST(bombs_in_templates_hurt_nobody)
{
    static const char *const bombs[] = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}"
        "{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in range(1000000000) %}x{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{% set a = 'xxxxxxxxxxxxxxxx' * 1000 %}{% set b = a * 1000 %}{% set c = b * 1000 %}{{ c }}",
        "{% set a = [1, 2, 3, 4] * 100000000 %}{{ a }}",
        "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
        "{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}"
        "{% endmacro %}{{ a() }}",
        "{{ 9 ** 9 ** 9 }}", "{{ 2 ** 100000 }}", "{{ range(10 ** 18) | list }}",
        "{{ '%1000000000d' | format(1) }}", "{{ 'a' | center(2000000000) }}",
        "{{ ('x' * 100000) | replace('x', 'y' * 100000) }}",
        "{{ ('a,' * 100000).split(',') | join('b' * 10000) }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"
        "{{ ns.s }}",
        "{{ [[[[[[[[1]]]]]]]] | tojson(indent=2000000000) }}",
        "{{ 'x' | indent(2000000000) }}", "{{ ''.__class__.__mro__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ 1 / 0 }}", "{{ -9223372036854775808 // -1 }}", "{{ 9223372036854775807 + 1 }}",
        "{% include 'bomb0' %}", "{% include 'works' %}",
    };
    struct buf deep;
    char name[32];
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        snprintf(name, sizeof name, "bomb%zu", i);
        detonate(name, messages(bombs[i], 1), NULL);
        if (i < 4) {
            snprintf(name, sizeof name, "bombs%zu", i);
            detonate(name, messages(bombs[i], 64), NULL);
        }
    }
    static const struct {
        const char *piece, *middle, *end;
    } nests[] = {{"{{ ", "", ""}, {"(", "1", ")"}, {"[", "1", "]"}, {"{% if 1 %}", "x", "{% endif %}"},
                 {"-", "1", ""}, {"not ", "1", ""}, {"a.", "b", ""}, {"{'a':", "1", "}"}};
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        buf_init(&deep, 4 << 20);
        bool in_expression = *nests[i].piece != '{' || nests[i].piece[1] == '\'';
        buf_puts(&deep, in_expression ? "{{ " : "");
        for (int k = 0; k < 20000; k++)
            buf_puts(&deep, nests[i].piece);
        buf_puts(&deep, nests[i].middle);
        for (int k = 0; k < 20000; k++)
            buf_puts(&deep, nests[i].end);
        buf_puts(&deep, in_expression ? " }}" : "");
        snprintf(name, sizeof name, "deep%zu", i);
        detonate(name, messages(buf_str(&deep), 1), NULL);
        buf_release(&deep);
    }
}
END_TEST

START_TEST(patterns_that_backtrack_hurt_nobody)
{
    static const char *const patterns[] = {"(a+)+$", "(a|aa)+$", "(.*)*x", "(a?){40}a{40}",
                                           "^(([a-z])+.)+[A-Z]([a-z])+$", "((((a*)*)*)*)*b",
                                           "(?R)*", "(?<n>a(?&n)*)+b", "(a{0,1000}){0,1000}b"};
    struct buf text;
    buf_init(&text, 1 << 16);
    for (int i = 0; i < 2000; i++)
        buf_putc(&text, 'a');
    buf_putc(&text, '!');
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        char name[32];
        json_t *variables = json_array(), *given = json_object(), *content = messages("{{ v0 }}", 1);
        for (int k = 0; k < 20; k++) {
            snprintf(name, sizeof name, "v%d", k);
            json_array_append_new(variables, json_pack("{s:s, s:s, s:s}", "name", name, "type",
                                                       "text", "pattern", patterns[i]));
            json_object_set_new(given, name, json_string(buf_str(&text)));
        }
        json_object_set_new(content, "variables", variables);
        snprintf(name, sizeof name, "pattern%zu", i);
        detonate(name, content, given);
    }
    buf_release(&text);
}
END_TEST

/* ---- folders ---------------------------------------------------------------------------------- */

#define PROMPT(name) "{\"name\": \"" name "\", \"note\": \"n\"}\n--- user\nhello treasure\n"

static void put_file(const char *folder, const char *name, const char *text)
{
    char *path = testfile_join(folder, name);
    ck_assert(testfile_write(path, text, strlen(text)));
    free(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static void import_refused(const char *folder)
{
    uint64_t begin = clock_now_us();
    attack_refused(BY_LOCAL, "POST", "/admin/v1/templates/import", NULL,
                   admin_body("{s:s, s:I}", "folder", folder, "owner_id",
                              (json_int_t)rig.person[BY_ADMIN].id));
    ck_assert_uint_lt((clock_now_us() - begin) / 1000, BOMB_MS);
    ck_assert_ptr_null(strstr(buf_str(&rig.last.body), "treasure"));
}

/* What an import finds is not what it was promised: nothing is followed, waited for or swallowed. */
START_TEST(folders_that_lie_are_not_followed)
{
    static const char *const nowhere[] = {"/dev/zero", "/proc/self/mem", "/no/such/folder"};
    char *inside = testfile_make_dir(), *outside = testfile_make_dir(), path[4096], target[4096];
    put_file(outside, "stolen.prompt", PROMPT("stolen"));
    put_file(outside, "labels.json", "{\"format\": 1, \"templates\": {\"treasure\": {}}}");
    snprintf(target, sizeof target, "%s/stolen.prompt", outside);
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
        import_refused(nowhere[i]);
    import_refused(target);
    /* only links: nothing is there */
    snprintf(path, sizeof path, "%s/link.prompt", inside);
    ck_assert_int_eq(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/folder", inside);
    ck_assert_int_eq(symlink(outside, path), 0);
    admin_send(&rig, BY_LOCAL, "POST", "/admin/v1/templates/import", NULL,
               admin_body("{s:s, s:I}", "folder", inside, "owner_id",
                          (json_int_t)rig.person[BY_ADMIN].id));
    ck_assert_ptr_null(strstr(buf_str(&rig.last.body), "treasure"));
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/templates/stolen", NULL, NULL, 404);
    /* a link in place of the labels, a pipe that nobody writes to, a file without end */
    snprintf(path, sizeof path, "%s/labels.json", inside);
    snprintf(target, sizeof target, "%s/labels.json", outside);
    ck_assert_int_eq(symlink(target, path), 0);
    import_refused(inside);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    import_refused(inside);
    ck_assert_int_eq(unlink(path), 0);
    snprintf(path, sizeof path, "%s/pipe.prompt", inside);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    put_file(inside, "huge.prompt", PROMPT("huge"));
    snprintf(path, sizeof path, "%s/huge.prompt", inside);
    ck_assert_int_eq(truncate(path, (off_t)1 << 40), 0);
    import_refused(inside);
    ck_assert_int_eq(unlink(path), 0);
    /* names that lead out */
    static const char *const names[] = {"../../etc/out", "/etc/out", "a/../../out", "a//b", "", "A",
                                        "a\\u0000b", "a\\u202eb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "{\"name\": \"%s\", \"note\": \"n\"}\n--- user\nhello\n", names[i]);
        put_file(inside, "1.prompt", text);
        import_refused(inside);
    }
    put_file(inside, "1.prompt", "\xff\xfe");
    import_refused(inside);
    /* without end downwards */
    snprintf(path, sizeof path, "%s", inside);
    for (int i = 0; i < 40; i++) {
        snprintf(path + strlen(path), sizeof path - strlen(path), "/d");
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    put_file(inside, "1.prompt", PROMPT("deep"));
    import_refused(inside);
    nftw(inside, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    nftw(outside, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(inside);
    free(outside);
}
END_TEST

/* Files of the server's machine are made, never replaced. */
START_TEST(copies_overwrite_nothing)
{
    char *folder = testfile_make_dir(), *there = testfile_join(folder, "there"), path[4096];
    put_file(folder, "there", "untouched");
    snprintf(path, sizeof path, "%s/link", folder);
    ck_assert_int_eq(symlink(there, path), 0);
    const char *const paths[] = {rig.server.service->database, there, path, folder, "/dev/null"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        admin_send(&rig, BY_LOCAL, "POST", "/admin/v1/backup", NULL,
                   admin_body("{s:s}", "path", paths[i]));
        ck_assert_msg(rig.last.status >= 400, "%s: %d", paths[i], rig.last.status);
        attack_refused(BY_LOCAL, "POST", "/admin/v1/templates/export", NULL,
                       admin_body("{s:s}", "folder", paths[i]));
    }
    size_t bytes = 0;
    uint8_t *text = testfile_read(there, &bytes);
    ck_assert(bytes == 9 && !memcmp(text, "untouched", 9));
    free(text);
    free(there);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(folder);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin_bad");
    TCase *tc = tcase_create("sent");
    tcase_add_checked_fixture(tc, attack_setup, attack_teardown);
    tcase_add_test(tc, odd_ids_name_nothing);
    tcase_add_test(tc, names_that_are_no_text_name_no_template);
    tcase_add_test(tc, odd_queries_are_refused);
    tcase_add_test(tc, only_the_etag_itself_matches);
    tcase_add_test(tc, reasons_cannot_spoil_the_audit_log);
    tcase_add_test(tc, no_field_takes_what_it_is_not);
    tcase_add_test(tc, content_rules_hold_on_all_routes);
    tcase_add_test(tc, names_are_refused_or_kept_as_they_are);
    tcase_add_test(tc, no_other_spelling_reaches_a_route);
    tcase_add_test(tc, a_megabyte_in_the_head_is_refused);
    tcase_add_test(tc, bombs_in_templates_hurt_nobody);
    tcase_add_test(tc, patterns_that_backtrack_hurt_nobody);
    tcase_add_test(tc, folders_that_lie_are_not_followed);
    tcase_add_test(tc, copies_overwrite_nothing);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
