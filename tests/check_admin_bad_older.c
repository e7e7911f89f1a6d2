/* Attacks on administration over HTTP: more rights than one has, objects of others, odd ids, queries,
 * headers and bodies (made from the route table and its schemas), races, many logins at once, a full
 * disk, an end in the middle. Whatever is sent: a 4xx with the usual body, and the next good request
 * works. */
#include <config.h>

#include "admin_browser.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/schema.h"
#include "auth/authority.h"
#include "auth/people.h"
#include "auth/session.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/route.h"
#include "service/service.h"
#include "template/registry.h"
#include "testfile.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"messages\":[{\"role\":\"user\",\"content\":\"#reply=fine#\"}]}"
#define PASSWORD "correct horse battery 7 staple"

static struct admin_rig rig;

/* ---- what every test checks ------------------------------------------------------------------- */

/* The server still answers, and lets an administrator administer. */
static void still_serves(void)
{
    admin_expect(&rig, BY_USER, "POST", CHAT, NULL, HELLO, 200);
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/users", NULL, NULL, 200);
}

static void save_template(const char *name, int64_t department_id)
{
    struct principal p = {.person_id = rig.person[BY_EDITOR].id, .roles = ROLE_EDITOR | ROLE_ADMIN,
                          .scopes = SCOPE_EDIT | SCOPE_ADMIN, .department_id = rig.works};
    struct audit_actor actor = {.person_id = p.person_id, .name = "rig", .address = "local",
                                .request_id = ""};
    struct registry_act act = {.who = &p, .actor = &actor, .reason = "", .now_s = 1};
    struct registry_saved saved;
    struct err e = ERR_INIT;
    json_t *content = json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", "hello");
    struct registry_save s = {.name = name, .content = content, .note = "n",
                              .owner_id = rig.person[BY_ADMIN].id, .department_id = department_id};
    ck_assert_msg(registry_save(rig.server.service->registry, &act, &s, &saved, &e), "%s", e.msg);
    registry_saved_release(&saved);
    json_decref(content);
}

static void setup(void)
{
    admin_rig_open(&rig);
    save_template("works", rig.works);
    save_template("office", rig.office);
}

static void teardown(void)
{
    still_serves();
    admin_rig_close(&rig);
}

static bool is_refusal(int status)
{
    return status >= 400 && status < 500;
}

/* A refusal in the usual form; what it says of the request is UTF-8. */
static void must_refuse(enum admin_who who, const char *method, const char *path,
                        const char *headers, const char *body)
{
    admin_send(&rig, who, method, path, headers, body);
    json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL);
    ck_assert_msg(is_refusal(rig.last.status) && *admin_text(v, "error/code"),
                  "%s %.200s with %.200s and %.200s: %d %s", method, path, headers ? headers : "-",
                  body ? body : "-", rig.last.status, buf_str(&rig.last.body));
    json_decref(v);
}

/* Who gets past the access check of a route. */
static enum admin_who entitled(const struct route *r)
{
    if (r->access == ROUTE_LOCAL)
        return BY_LOCAL;
    if (r->access != ROUTE_OBJECT)
        return BY_USER;
    if (r->object == AUTHORITY_AUDIT)
        return BY_AUDITOR;
    return r->object == AUTHORITY_APPROVAL && r->verb == AUTHORITY_WRITE ? BY_APPROVER : BY_ADMIN;
}

/* ---- paths ------------------------------------------------------------------------------------ */

/* Something that is there. */
static void put_param(struct buf *path, const char *name, size_t len)
{
    const char *before = buf_str(path);
    if (!strncmp(name, "name", len))
        buf_puts(path, "works");
    else if (!strncmp(name, "kind", len))
        buf_puts(path, "person");
    else if (!strncmp(name, "number", len))
        buf_puts(path, "1");
    else if (strstr(before, "/keys/"))
        buf_printf(path, "%" PRId64, rig.person[BY_OTHER].key_id);
    else if (strstr(before, "/departments/"))
        buf_printf(path, "%" PRId64, rig.office);
    else if (strstr(before, "/users/") || strstr(before, "/quotas/"))
        buf_printf(path, "%" PRId64, rig.person[BY_OTHER].id);
    else
        buf_puts(path, "1");
}

/* `odd` (or NULL) stands for the `which`th parameter. Returns how many there are. */
static unsigned write_path(const struct route *r, unsigned which, const char *odd, struct buf *path)
{
    unsigned n = 0;
    buf_clear(path);
    for (const char *p = r->path; *p;) {
        if (*p != '{') {
            buf_putc(path, *p++);
            continue;
        }
        size_t len = strcspn(++p, "+}");
        if (odd && n == which)
            buf_puts(path, odd);
        else
            put_param(path, p, len);
        n++;
        p += strcspn(p, "}") + 1;
    }
    return n;
}

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
        unsigned n = write_path(r, 0, NULL, &path);
        for (unsigned which = 0; which < n && route_is_admin(r); which++)
            for (size_t k = 0; k <= sizeof odds / sizeof odds[0]; k++, sent++) {
                const char *odd = k < sizeof odds / sizeof odds[0] ? odds[k] : buf_str(&longest);
                write_path(r, which, odd, &path);
                must_refuse(entitled(r), r->method, buf_str(&path), "If-Match: \"1\"\r\n",
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
        "a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1&j=1&k=1&l=1&m=1&n=1&o=1&p=1&q=1&r=1&s=1&t=1&u=1&v=1&w=1"
        "&x=1&y=1&z=1"};
    static const char *const paths[] = {"/admin/v1/users", "/admin/v1/keys", "/admin/v1/departments"};
    char path[1024];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        for (size_t k = 0; k < sizeof odds / sizeof odds[0]; k++) {
            snprintf(path, sizeof path, "%s?%s", paths[i], odds[k]);
            must_refuse(BY_ADMIN, "GET", path, NULL, NULL);
        }
    struct buf huge;
    buf_init(&huge, 1 << 16);
    buf_puts(&huge, "/admin/v1/users?text=");
    for (int i = 0; i < 20000; i++)
        buf_putc(&huge, 'a');
    must_refuse(BY_ADMIN, "GET", buf_str(&huge), NULL, NULL);
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
        must_refuse(BY_ADMIN, "PATCH", user, header, "{\"name\":\"Mallory\"}");
        ck_assert_int_eq(rig.last.status, 400);
    }
    struct buf huge;
    buf_init(&huge, 1 << 16);
    buf_puts(&huge, "If-Match: \"1\"\r\nX-Reason: ");
    for (int i = 0; i < 10240; i++)
        buf_putc(&huge, 'a');
    buf_puts(&huge, "\r\n");
    must_refuse(BY_ADMIN, "PATCH", user, buf_str(&huge), "{\"name\":\"Mallory\"}");
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
            admin_send(&rig, entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
            ck_assert_msg(rig.last.status >= 200 && rig.last.status < 500, "%s %s %s: %d %s",
                          r->method, path, buf_str(body), rig.last.status,
                          buf_str(&rig.last.body));
            *sent += is_refusal(rig.last.status);
            continue;
        }
        must_refuse(entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
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
        must_refuse(entitled(r), r->method, path, "If-Match: \"999\"\r\n", whole[i]);
    const char *name = r->body->fields[0].name, *value = plausible(&r->body->fields[0]);
    buf_clear(body);
    buf_printf(body, "{\"%s\":%s,\"%s\":%s}", name, value, name, value);
    must_refuse(entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
    buf_clear(body);
    buf_printf(body, "{\"%s\":", name);
    for (int i = 0; i < 5000; i++)
        buf_putc(body, '[');
    must_refuse(entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
    buf_clear(body);
    buf_printf(body, "{\"%s\":\"", name);
    for (size_t i = 0; i < ((size_t)1 << 20); i++)
        buf_putc(body, 'a');
    buf_puts(body, "\"}");
    must_refuse(entitled(r), r->method, path, "If-Match: \"999\"\r\n", buf_str(body));
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
        write_path(r, 0, NULL, &path);
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
        write_path(r, 0, NULL, &path);
        if (!r->body_bytes) {
            must_refuse(entitled(r), r->method, buf_str(&path), NULL, "{\"a\":1}");
            continue;
        }
        for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
            buf_clear(&text);
            buf_printf(&text, "Content-Type: %s\r\nContent-Length: 2\r\n\r\n{}", types[k]);
            must_refuse(entitled(r), r->method, buf_str(&path), buf_str(&text), NULL);
        }
        must_refuse(entitled(r), r->method, buf_str(&path), "Content-Encoding: gzip\r\n", "{}");
        must_refuse(entitled(r), r->method, buf_str(&path), "Transfer-Encoding: chunked\r\n", "{}");
        must_refuse(entitled(r), r->method, buf_str(&path), "Content-Length: 3\r\n", "{}");
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

/* ---- credentials ------------------------------------------------------------------------------ */

static void session_of(enum admin_who who, struct session_secret *out)
{
    struct err e = ERR_INIT;
    ck_assert_msg(session_open(rig.server.service->auth, rig.person[who].id, "127.0.0.1", "", "",
                               session_clock_s(), out, &e), "%s", e.msg);
}

START_TEST(credentials_are_given_once_and_whole)
{
    static const struct {
        const char *format; /* %s: the administrator's key */
        int status;
    } cases[] = {
        {"Authorization: Bearer %1$s\r\nAuthorization: Bearer %1$s\r\n", 400},
        {"Authorization: Bearer %1$s\r\nX-Api-Key: %1$s\r\n", 400},
        {"X-Api-Key: %1$s\r\nx-api-key: %1$s\r\n", 400},
        {"Authorization: Bearer\r\n", 401},
        {"Authorization: Bearer \r\n", 401},
        {"Authorization: %1$s\r\n", 401},
        {"Authorization: Token %1$s\r\n", 401},
        {"Authorization: Bearer %1$s x\r\n", 401},
        {"Authorization: Bearer %1$.20s\r\n", 401},
        {"Authorization: Bearer \"%1$s\"\r\n", 401},
        {"Authorization: Bearer %1$sA\r\n", 401},
        {"Authorization: Basic\r\n", 401},
        {"Authorization: Basic \r\n", 401},
        {"Authorization: Basic !!!!\r\n", 401},
        {"Authorization: Basic =\r\n", 401},
        {"Authorization: Basic YQ\r\n", 401},     /* "a", no colon */
        {"Authorization: Basic Og==\r\n", 401},   /* ":" */
        {"Authorization: Basic OgA=\r\n", 401},   /* ":" and NUL */
        {"Authorization: Basic /////w==\r\n", 401},
        {"Authorization: Basic %1$s\r\n", 401},
        {"Cookie: seekd_session=%1$s\r\n", 401},
        {"X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Real-IP: ::1\r\n", 401},
        {"X-Forwarded-User: anna.admin\r\nRemote-User: anna.admin\r\n", 401},
    };
    char headers[1024];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(headers, sizeof headers, cases[i].format, rig.person[BY_ADMIN].key);
#pragma GCC diagnostic pop
        admin_send(&rig, BY_NOBODY, "GET", "/admin/v1/users", headers, NULL);
        ck_assert_msg(rig.last.status == cases[i].status, "%s: %d %s", headers, rig.last.status,
                      buf_str(&rig.last.body));
        ck_assert_ptr_null(strstr(buf_str(&rig.last.body), rig.person[BY_ADMIN].key));
    }
}
END_TEST

/* Whoever can plant a cookie beside the browser's own must not choose whose session counts. */
START_TEST(two_sessions_are_none)
{
    struct session_secret admin, user;
    char headers[512];
    session_of(BY_ADMIN, &admin);
    session_of(BY_USER, &user);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\n", admin.token);
    admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/users", headers, NULL, 200);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s; seekd_session=%s\r\n", admin.token,
             user.token);
    must_refuse(BY_NOBODY, "GET", "/admin/v1/me", headers, NULL);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s;seekd_session=x\r\n", user.token);
    must_refuse(BY_NOBODY, "GET", "/admin/v1/me", headers, NULL);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nCookie: seekd_session=%s\r\n",
             admin.token, user.token);
    must_refuse(BY_NOBODY, "GET", "/admin/v1/me", headers, NULL);
}
END_TEST

START_TEST(a_key_beside_a_cookie_is_the_key)
{
    struct session_secret admin;
    char headers[512];
    session_of(BY_ADMIN, &admin);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n",
             admin.token, admin.csrf);
    json_t *v = admin_call(&rig, BY_USER, "GET", "/admin/v1/me", headers, NULL, 200);
    ck_assert_int_eq(admin_number(v, "id"), rig.person[BY_USER].id);
    ck_assert_ptr_null(admin_at(v, "csrf_token"));
    json_decref(v);
    admin_expect(&rig, BY_USER, "POST", "/admin/v1/users", headers, "{}", 403);
    admin_expect(&rig, BY_USER, "POST", "/admin/v1/me/password", headers,
                 "{\"current\":\"a\",\"new\":\"b\"}", 403);
    admin_expect(&rig, BY_USER, "POST", "/admin/v1/logout", headers, NULL, 204);
    admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/users", headers, NULL, 200);
}
END_TEST

START_TEST(tokens_of_other_sessions_do_not_count)
{
    struct session_secret mine, other;
    char headers[512];
    const char *body = admin_body("{s:s}", "name", "Evil");
    session_of(BY_ADMIN, &mine);
    session_of(BY_ADMIN, &other);
    const char *const tokens[] = {other.csrf, mine.token, other.token, "", "undefined"};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n",
                 mine.token, tokens[i]);
        admin_refused(&rig, BY_NOBODY, "POST", "/admin/v1/departments", headers, body, 403,
                      "csrf_token_missing");
    }
    snprintf(headers, sizeof headers,
             "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\nX-CSRF-Token: %s\r\n", mine.token,
             other.csrf, mine.csrf);
    must_refuse(BY_NOBODY, "POST", "/admin/v1/departments", headers, body);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n",
             mine.token, mine.csrf);
    admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/departments", headers, body, 201);
}
END_TEST

/* A cookie that somebody planted before the login is not the session after it. */
START_TEST(a_login_takes_no_token_that_was_there_before)
{
    struct browser b;
    char planted[TOKEN_TEXT], headers[256], cookie[512];
    browser_enter(&b, &rig, BY_USER, PASSWORD);
    memset(planted, 'A', TOKEN_CHARS);
    planted[TOKEN_CHARS] = '\0';
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\n", planted);
    admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/login", headers,
                 admin_body("{s:s, s:s}", "login", rig.person[BY_USER].login, "password", PASSWORD),
                 200);
    ck_assert(http_reply_header(&rig.last, "Set-Cookie", cookie, sizeof cookie));
    ck_assert_ptr_null(strstr(cookie, planted));
    ck_assert_ptr_null(strstr(cookie, b.token));
    admin_expect(&rig, BY_NOBODY, "GET", "/admin/v1/me", headers, NULL, 401);
}
END_TEST

START_TEST(local_routes_stay_local)
{
    struct buf path;
    const struct route *r;
    buf_init(&path, 1 << 16);
    for (size_t i = 0; (r = route_at(i)); i++) {
        if (r->access != ROUTE_LOCAL)
            continue;
        write_path(r, 0, NULL, &path);
        for (int who = 0; who < BY_PERSONS; who++)
            must_refuse((enum admin_who)who, r->method, buf_str(&path),
                        "X-Forwarded-For: local\r\n", r->body_bytes ? "{}" : NULL);
    }
    buf_release(&path);
}
END_TEST

/* ---- more rights than one has ----------------------------------------------------------------- */

START_TEST(nobody_raises_themselves)
{
    static const enum admin_who small[] = {BY_EDITOR, BY_APPROVER, BY_AUDITOR, BY_USER, BY_SERVICE};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) {
        enum admin_who who = small[i];
        const char *self = admin_path("users/%" PRId64, rig.person[who].id);
        must_refuse(who, "PATCH", self, "If-Match: \"1\"\r\n", "{\"roles\":[\"admin\"]}");
        must_refuse(who, "PATCH", self, "If-Match: \"1\"\r\n", "{\"disabled\":false}");
        must_refuse(who, "PATCH", self, "If-Match: \"1\"\r\n",
                    admin_body("{s:I}", "department_id", (json_int_t)rig.office));
        must_refuse(who, "POST", "/admin/v1/keys", NULL,
                    "{\"name\":\"x\",\"scopes\":[\"admin\"]}");
        must_refuse(who, "POST", "/admin/v1/keys", NULL,
                    admin_body("{s:I, s:s, s:[s]}", "person_id",
                               (json_int_t)rig.person[BY_ADMIN].id, "name", "x", "scopes", "usage"));
        must_refuse(who, "PATCH", admin_path("keys/%" PRId64, rig.person[who].key_id),
                    "If-Match: \"1\"\r\n", "{\"networks\":null}");
        must_refuse(who, "POST",
                    admin_path("users/%" PRId64 "/password-reset", rig.person[BY_ADMIN].id), NULL,
                    NULL);
    }
}
END_TEST

START_TEST(a_session_makes_no_key_beyond_its_roles)
{
    static const char *const scopes[] = {"edit", "audit", "admin"};
    struct session_secret mine;
    char headers[256];
    session_of(BY_USER, &mine);
    snprintf(headers, sizeof headers, "Cookie: seekd_session=%s\r\nX-CSRF-Token: %s\r\n",
             mine.token, mine.csrf);
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++)
        admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/keys", headers,
                     admin_body("{s:s, s:[s, s]}", "name", "x", "scopes", "infer", scopes[i]), 400);
    for (int who = 0; who < BY_PERSONS; who++)
        admin_expect(&rig, BY_NOBODY, "POST", "/admin/v1/keys", headers,
                     admin_body("{s:I, s:s, s:[s]}", "person_id", (json_int_t)rig.person[who].id,
                                "name", "x", "scopes", "infer"), who == BY_USER ? 201 : 404);
}
END_TEST

START_TEST(services_and_the_disabled_do_not_log_in)
{
    char once[PASSWORD_ONE_TIME_TEXT], header[64];
    const char *other = admin_path("users/%" PRId64, rig.person[BY_OTHER].id);
    admin_reset_password(&rig, rig.person[BY_OTHER].id, once);
    admin_expect(&rig, BY_ADMIN, "GET", other, NULL, NULL, 200);
    snprintf(header, sizeof header, "%s", admin_if_match(admin_etag(&rig)));
    admin_expect(&rig, BY_ADMIN, "PATCH", other, header, "{\"disabled\":true}", 200);
    ck_assert_int_eq(browser_try(&rig, rig.person[BY_OTHER].login, once), 401);
    struct buf words;
    buf_init(&words, 1 << 16);
    buf_append(&words, rig.last.body.data, rig.last.body.len);
    ck_assert_int_eq(browser_try(&rig, rig.person[BY_SERVICE].login, once), 401);
    ck_assert_str_eq(buf_str(&rig.last.body), buf_str(&words));
    ck_assert_int_eq(browser_try(&rig, "nobody.at.all", once), 401);
    ck_assert_str_eq(buf_str(&rig.last.body), buf_str(&words));
    ck_assert_int_eq(browser_try(&rig, rig.person[BY_ADMIN].login, "wrong"), 401);
    ck_assert_str_eq(buf_str(&rig.last.body), buf_str(&words));
    must_refuse(BY_ADMIN, "POST",
                admin_path("users/%" PRId64 "/password-reset", rig.person[BY_SERVICE].id), NULL,
                NULL);
    buf_release(&words);
}
END_TEST

/* ---- ends in the middle of use ---------------------------------------------------------------- */

static int ask_again(struct http_client *c, const char *request)
{
    struct http_reply r;
    ck_assert(http_client_puts(c, request));
    http_client_read(c, &r, false, 20000);
    int status = r.status;
    http_reply_release(&r);
    return status;
}

START_TEST(a_connection_that_stays_open_opens_nothing)
{
    struct http_client c;
    char request[512];
    snprintf(request, sizeof request,
             "GET /admin/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
             rig.person[BY_OTHER].key);
    http_client_open(&c, rig.server.port);
    ck_assert_int_eq(ask_again(&c, request), 200);
    ck_assert_int_eq(ask_again(&c, "GET /admin/v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n"), 401);
    http_client_close(&c);
    http_client_open(&c, rig.server.port);
    ck_assert_int_eq(ask_again(&c, request), 200);
    admin_expect(&rig, BY_ADMIN, "DELETE",
                 admin_path("keys/%" PRId64, rig.person[BY_OTHER].key_id), NULL, NULL, 200);
    ck_assert_int_eq(ask_again(&c, request), 401);
    http_client_close(&c);
}
END_TEST

/* What was admitted is finished; nothing new begins. */
START_TEST(a_stream_outlives_its_key_and_nothing_else_does)
{
    struct http_client c;
    struct buf text;
    buf_init(&text, 1 << 16);
    http_write_post(&text, CHAT, rig.person[BY_OTHER].key,
                    "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                    "\"#tokens=300#us=3000#\"}],\"max_tokens\":300}");
    http_client_open(&c, rig.server.port);
    ck_assert(http_client_send(&c, buf_str(&text), text.len));
    ck_assert(http_client_wait_for(&c, "data: ", 20000));
    const char *other = admin_path("users/%" PRId64, rig.person[BY_OTHER].id);
    admin_expect(&rig, BY_ADMIN, "PATCH", other, "If-Match: \"1\"\r\n", "{\"disabled\":true}", 200);
    admin_expect(&rig, BY_OTHER, "POST", CHAT, NULL, HELLO, 401);
    ck_assert(http_client_wait_for(&c, "[DONE]", 20000));
    http_client_close(&c);
    buf_release(&text);
}
END_TEST

/* ---- races ------------------------------------------------------------------------------------ */

enum { RACERS = 8 };

struct racer {
    pthread_t thread;
    const char *method, *path, *headers;
    char body[256];
    int status;
};

static void *race(void *user)
{
    struct racer *me = user;
    struct http_client c;
    struct http_reply reply;
    struct buf text;
    buf_init(&text, 1 << 16);
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", me->method,
               me->path, rig.person[BY_ADMIN].key, me->headers, strlen(me->body), me->body);
    http_client_open(&c, rig.server.port);
    http_client_send(&c, buf_str(&text), text.len);
    http_client_read(&c, &reply, false, 20000);
    me->status = reply.status;
    http_reply_release(&reply);
    http_client_close(&c);
    buf_release(&text);
    return NULL;
}

static void race_all(struct racer racers[], int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    for (int i = 0; i < n; i++)
        pthread_join(racers[i].thread, NULL);
}

static int count(const struct racer racers[], int n, int status)
{
    int found = 0;
    for (int i = 0; i < n; i++)
        found += racers[i].status == status;
    return found;
}

START_TEST(of_changes_to_one_revision_one_wins)
{
    char path[128];
    snprintf(path, sizeof path, "/admin/v1/users/%" PRId64, rig.person[BY_OTHER].id);
    for (int round = 1; round <= 5; round++) {
        struct racer racers[RACERS] = {{.status = 0}};
        char match[64];
        snprintf(match, sizeof match, "%s", admin_if_match(round));
        for (int i = 0; i < RACERS; i++) {
            racers[i] = (struct racer){.method = "PATCH", .path = path, .headers = match};
            snprintf(racers[i].body, sizeof racers[i].body, "{\"name\":\"racer %d\"}", i);
        }
        race_all(racers, RACERS);
        ck_assert_int_eq(count(racers, RACERS, 200), 1);
        ck_assert_int_eq(count(racers, RACERS, 412), RACERS - 1);
    }
}
END_TEST

START_TEST(of_new_ones_with_one_name_one_wins)
{
    struct racer racers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.method = "POST", .path = "/admin/v1/users", .headers = ""};
        snprintf(racers[i].body, sizeof racers[i].body,
                 "{\"login\":\"twin\",\"department_id\":%" PRId64 ",\"roles\":[\"user\"]}", rig.works);
    }
    race_all(racers, RACERS);
    ck_assert_int_eq(count(racers, RACERS, 201), 1);
    ck_assert_int_eq(count(racers, RACERS, 409), RACERS - 1);
    for (int i = 0; i < RACERS; i++) {
        racers[i].path = "/admin/v1/departments";
        snprintf(racers[i].body, sizeof racers[i].body, "{\"name\":\"Twin\"}");
    }
    race_all(racers, RACERS);
    ck_assert_int_eq(count(racers, RACERS, 201), 1);
    ck_assert_int_eq(count(racers, RACERS, 409), RACERS - 1);
}
END_TEST

/* Two administrators who take each other's role at the same moment leave one. */
START_TEST(the_last_administrator_survives_a_race)
{
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/users?role=admin", NULL, NULL, 200);
    json_t *v = json_loadb(buf_str(&rig.last.body), rig.last.body.len, 0, NULL);
    size_t n = json_array_size(admin_at(v, "data"));
    char paths[RACERS][64];
    struct racer racers[RACERS];
    ck_assert_uint_ge(n, 2);
    ck_assert_uint_le(n, RACERS);
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(admin_at(v, "data"), i);
        snprintf(paths[i], sizeof paths[i], "/admin/v1/users/%" PRId64, admin_number(p, "id"));
        racers[i] = (struct racer){.method = "PATCH", .path = paths[i],
                                   .headers = "If-Match: \"1\"\r\n"};
        snprintf(racers[i].body, sizeof racers[i].body, "{\"roles\":[\"admin\",\"user\"]}");
    }
    json_decref(v);
    race_all(racers, (int)n);
    ck_assert_int_eq(count(racers, (int)n, 200), (int)n);
    for (size_t i = 0; i < n; i++) {
        racers[i].headers = "If-Match: \"2\"\r\n";
        snprintf(racers[i].body, sizeof racers[i].body, "{\"disabled\":true}");
    }
    race_all(racers, (int)n);
    ck_assert_int_le(count(racers, (int)n, 200), (int)n - 1);
    v = admin_call(&rig, BY_LOCAL, "GET", "/admin/v1/users?role=admin&state=active", NULL, NULL,
                   200);
    ck_assert_uint_ge(json_array_size(admin_at(v, "data")), 1);
    const json_t *left = admin_at(v, "data/0");
    if (admin_number(left, "id") != rig.person[BY_ADMIN].id) /* the teardown asks as this one */
        admin_expect(&rig, BY_LOCAL, "PATCH",
                     admin_path("users/%" PRId64, rig.person[BY_ADMIN].id), "If-Match: \"3\"\r\n",
                     "{\"disabled\":false}", 200);
    json_decref(v);
}
END_TEST
