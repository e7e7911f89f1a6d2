/* Limits and calendars over HTTP: what the routes answer, and what requests feel of them. */
#include <config.h>

#include "admin_browser.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "fake_engine.h"
#include "usage/limits.h"
#include "usage/period.h"

static struct admin_rig rig;

static void setup(void)
{
    setenv("TZ", "Asia/Shanghai", 1);
    tzset();
    admin_rig_open(&rig);
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

static size_t count(const json_t *v)
{
    return json_array_size(admin_at(v, "data"));
}

static bool is_null(const json_t *v, const char *path)
{
    return json_is_null(admin_at(v, path));
}

/* A 400 that says which field or parameter is wrong. */
static void names_field(const char *method, const char *path, const char *headers, const char *body,
                        const char *field)
{
    json_t *v = admin_call(&rig, BY_ADMIN, method, path, headers, body, 400);
    ck_assert_msg(!strcmp(admin_text(v, "error/param"), field), "%s %s %s: '%s' instead of '%s'",
                  method, path, body ? body : "", admin_text(v, "error/param"), field);
    ck_assert(*admin_text(v, "error/message"));
    json_decref(v);
}

/* ---- quotas ----------------------------------------------------------------------------------- */

static const char *quota_path(const char *kind, int64_t id)
{
    return admin_path("quotas/%s/%" PRId64, kind, id);
}

START_TEST(quotas_come_change_and_go)
{
    const char *path = quota_path("person", rig.person[BY_USER].id);
    json_t *v = admin_call(&rig, BY_ADMIN, "PUT", path, "X-Reason: %E8%AF%95\r\n",
                           "{\"requests_per_minute\":5,\"tokens_per_day\":1000}", 201);
    ck_assert_int_eq(admin_etag(&rig), 1);
    ck_assert_int_eq(admin_number(v, "requests_per_minute"), 5);
    ck_assert(is_null(v, "parallel") && is_null(v, "calendar_id"));
    ck_assert(json_is_false(admin_at(v, "soft")) && json_is_true(admin_at(v, "open")));
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "PUT", path, NULL, "{}", 428, "if_match_needed");
    admin_refused(&rig, BY_ADMIN, "PUT", path, admin_if_match(0), "{}", 412, "changed_meanwhile");
    admin_refused(&rig, BY_ADMIN, "PUT", path, "If-Match: *\r\n", "{}", 412, "changed_meanwhile");
    v = admin_call(&rig, BY_ADMIN, "PUT", path, admin_if_match(1),
                   "{\"parallel\":2,\"tokens_per_day\":null,\"soft\":true}", 200);
    ck_assert_int_eq(admin_etag(&rig), 2);
    ck_assert_int_eq(admin_number(v, "parallel"), 2);
    ck_assert(is_null(v, "requests_per_minute") && is_null(v, "tokens_per_day"));
    ck_assert(json_is_true(admin_at(v, "soft")));
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "DELETE", path, NULL, NULL, 428, "if_match_needed");
    admin_refused(&rig, BY_ADMIN, "DELETE", path, admin_if_match(1), NULL, 412,
                  "changed_meanwhile");
    admin_expect(&rig, BY_ADMIN, "DELETE", path, admin_if_match(2), NULL, 204);
    ck_assert_uint_eq(rig.last.body.len, 0);
    admin_refused(&rig, BY_ADMIN, "GET", path, NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "DELETE", path, admin_if_match(2), NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "PUT", path, admin_if_match(2), "{}", 412, "changed_meanwhile");
    admin_expect(&rig, BY_ADMIN, "PUT", path, admin_if_match(0), "{}", 201);
    v = admin_call(&rig, BY_AUDITOR, "GET", "/admin/v1/audit?object_kind=quota", NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 4);
    ck_assert_str_eq(admin_text(v, "data/0/reason"), "试");
    ck_assert_int_eq(admin_number(v, "data/1/before/requests_per_minute"), 5);
    ck_assert_int_eq(admin_number(v, "data/1/after/parallel"), 2);
    json_decref(v);
}
END_TEST

START_TEST(quotas_refuse_nonsense)
{
    static const struct {
        const char *body, *field;
    } bad[] = {
        {"{\"parallel\":-1}", "parallel"},
        {"{\"parallel\":\"2\"}", "parallel"},
        {"{\"requests_per_minute\":1.5}", "requests_per_minute"},
        {"{\"tokens_per_minute\":[]}", "tokens_per_minute"},
        {"{\"tokens_per_day\":1e17}", "tokens_per_day"},
        {"{\"tokens_per_day\":9007199254740992}", "tokens_per_day"}, /* 2^53: not exact in JSON */
        {"{\"tokens_per_month\":true}", "tokens_per_month"},
        {"{\"soft\":1}", "soft"},
        {"{\"calendar_id\":0}", "calendar_id"},
        {"{\"tokens\":1}", "tokens"},
        {"{\"并发\":1}", "并发"},
    };
    const char *path = quota_path("key", rig.person[BY_USER].key_id);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        names_field("PUT", path, NULL, bad[i].body, bad[i].field);
    admin_refused(&rig, BY_ADMIN, "PUT", path, NULL, "[]", 400, "invalid_json");
    admin_refused(&rig, BY_ADMIN, "PUT", path, NULL, "{\"parallel\":", 400, "invalid_json");
    admin_refused(&rig, BY_ADMIN, "PUT", path, NULL, "{\"calendar_id\":77}", 404, "not_found");
    ck_assert_ptr_nonnull(strstr(buf_str(&rig.last.body), "no calendar 77"));
    admin_refused(&rig, BY_USER, "PUT", path, NULL, "{}", 403, "not_allowed");
    admin_refused(&rig, BY_AUDITOR, "PUT", path, NULL, "{}", 403, "not_allowed");
    admin_refused(&rig, BY_NOBODY, "PUT", path, NULL, "{}", 401, "missing_api_key");
    admin_refused(&rig, BY_ADMIN, "GET", path, NULL, NULL, 404, "not_found"); /* nothing came of it */
    static const char *const nowhere[] = {"team/1", "person/0", "person/x", "person/-1",
                                          "person/999999", "key/999999", "department/999999"};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        const char *to = admin_path("quotas/%s", nowhere[i]);
        admin_refused(&rig, BY_ADMIN, "PUT", to, NULL, "{}", 404, "not_found");
        admin_refused(&rig, BY_USER, "GET", to, NULL, NULL, 404, "not_found");
    }
}
END_TEST

/* Rows on a department, two keys and two persons. */
static void five_quotas(void)
{
    admin_expect(&rig, BY_ADMIN, "PUT", quota_path("person", rig.person[BY_USER].id), NULL,
                 "{\"parallel\":1}", 201);
    admin_expect(&rig, BY_ADMIN, "PUT", quota_path("person", rig.person[BY_OTHER].id), NULL,
                 "{\"parallel\":2}", 201);
    admin_expect(&rig, BY_ADMIN, "PUT", quota_path("key", rig.person[BY_USER].key_id), NULL,
                 "{\"parallel\":3}", 201);
    admin_expect(&rig, BY_ADMIN, "PUT", quota_path("key", rig.person[BY_OTHER].key_id), NULL,
                 "{\"parallel\":4}", 201);
    admin_expect(&rig, BY_LOCAL, "PUT", quota_path("department", rig.works), NULL,
                 "{\"parallel\":5}", 201);
}

START_TEST(quotas_are_seen_by_those_they_concern)
{
    five_quotas();
    json_t *v = admin_call(&rig, BY_USER, "GET", "/admin/v1/quotas", NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 2);
    ck_assert_int_eq(admin_number(v, "data/0/id"), rig.person[BY_USER].key_id);
    ck_assert_int_eq(admin_number(v, "data/1/parallel"), 1);
    ck_assert(is_null(v, "next"));
    json_decref(v);
    static const enum admin_who whose[] = {BY_USER, BY_OTHER};
    for (size_t i = 0; i < 2; i++) {
        int status = whose[i] == BY_USER ? 200 : 404;
        const char *person = quota_path("person", rig.person[whose[i]].id);
        const char *key = quota_path("key", rig.person[whose[i]].key_id);
        admin_expect(&rig, BY_USER, "GET", person, NULL, NULL, status);
        admin_expect(&rig, BY_USER, "GET", key, NULL, NULL, status);
    }
    admin_expect(&rig, BY_USER, "GET", quota_path("department", rig.works), NULL, NULL, 404);
    static const enum admin_who all[] = {BY_ADMIN, BY_AUDITOR, BY_LOCAL};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        v = admin_call(&rig, all[i], "GET", "/admin/v1/quotas", NULL, NULL, 200);
        ck_assert_uint_eq(count(v), 5);
        json_decref(v);
        admin_expect(&rig, all[i], "GET", quota_path("department", rig.works), NULL, NULL, 200);
    }
    v = admin_call(&rig, BY_EDITOR, "GET", "/admin/v1/quotas", NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 0);
    json_decref(v);
}
END_TEST

START_TEST(quotas_come_in_pages)
{
    char after[64] = "";
    int64_t sum = 0;
    int pages = 0;
    five_quotas();
    do {
        json_t *v = admin_call(&rig, BY_ADMIN, "GET",
                               admin_path("quotas?limit=2&after=%s", after), NULL, NULL, 200);
        for (size_t i = 0; i < count(v); i++)
            sum = sum * 10 + json_integer_value(json_object_get(
                                 json_array_get(admin_at(v, "data"), i), "parallel"));
        snprintf(after, sizeof after, "%s", admin_text(v, "next"));
        json_decref(v);
        pages++;
    } while (*after && pages < 9);
    ck_assert_int_eq(pages, 3);
    ck_assert_int_eq(sum, 53412); /* department, keys, persons */
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", "/admin/v1/quotas?kind=key", NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 2);
    json_decref(v);
    names_field("GET", "/admin/v1/quotas?kind=team", NULL, NULL, "kind");
    names_field("GET", "/admin/v1/quotas?limit=501", NULL, NULL, "limit");
    names_field("GET", "/admin/v1/quotas?limit=0", NULL, NULL, "limit");
    names_field("GET", "/admin/v1/quotas?person=1", NULL, NULL, "person");
    static const char *const cursors[] = {"7", "key", "key-", "key-7", "team-0000000000000000001",
                                          "key-000000000000000000x", "key-00000000000000000011"};
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++)
        names_field("GET", admin_path("quotas?after=%s", cursors[i]), NULL, NULL, "after");
}
END_TEST

START_TEST(quotas_count_at_once)
{
    struct limits_ask ask = {.person_id = rig.person[BY_USER].id, .tokens = 70};
    struct limits_ticket t, t2;
    struct limits_refusal why;
    const char *path = quota_path("person", ask.person_id);
    admin_expect(&rig, BY_ADMIN, "PUT", path, NULL, "{\"parallel\":1,\"tokens_per_day\":100}", 201);
    ck_assert(limits_admit(rig.server.service->limits, &ask, &t, &why));
    ck_assert(!limits_admit(rig.server.service->limits, &ask, &t2, &why));
    json_t *v = admin_call(&rig, BY_USER, "GET", path, NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "used/parallel"), 1);
    ck_assert_int_eq(admin_number(v, "used/tokens_per_day"), 70);
    json_decref(v);
    limits_settle(rig.server.service->limits, &t, 30);
    v = admin_call(&rig, BY_USER, "GET", path, NULL, NULL, 200);
    ck_assert_int_eq(admin_number(v, "used/parallel"), 0);
    ck_assert_int_eq(admin_number(v, "used/tokens_per_day"), 30);
    json_decref(v);
    admin_expect(&rig, BY_ADMIN, "DELETE", path, admin_if_match(1), NULL, 204);
    for (int i = 0; i < 2; i++) { /* no limit any more */
        ck_assert(limits_admit(rig.server.service->limits, &ask, &t, &why));
        limits_undo(rig.server.service->limits, &t);
    }
}
END_TEST

/* ---- calendars -------------------------------------------------------------------------------- */

#define SHIFT "{\"name\":\"早班\",\"hours\":{\"mon\":[[\"08:30\",\"12:00\"],[\"13:00\",\"24:00\"]]}}"

START_TEST(calendars_come_change_and_go)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL, SHIFT, 201);
    int64_t id = admin_number(v, "id");
    ck_assert_int_eq(admin_etag(&rig), 1);
    ck_assert_str_eq(admin_text(v, "hours/mon/1/1"), "24:00");
    json_decref(v);
    char path[64];
    snprintf(path, sizeof path, "/admin/v1/calendars/%" PRId64, id);
    admin_refused(&rig, BY_ADMIN, "PUT", path, NULL, SHIFT, 428, "if_match_needed");
    admin_refused(&rig, BY_ADMIN, "PUT", path, admin_if_match(9), SHIFT, 412, "changed_meanwhile");
    v = admin_call(&rig, BY_ADMIN, "PUT", path, admin_if_match(1),
                   "{\"name\":\"never\",\"hours\":{}}", 200);
    ck_assert_str_eq(admin_text(v, "name"), "never");
    ck_assert_int_eq(admin_etag(&rig), 2);
    json_decref(v);
    char body[64];
    snprintf(body, sizeof body, "{\"parallel\":0,\"calendar_id\":%" PRId64 "}", id);
    v = admin_call(&rig, BY_ADMIN, "PUT", quota_path("person", rig.person[BY_USER].id), NULL, body,
                   201);
    ck_assert(json_is_false(admin_at(v, "open")));
    ck_assert_int_eq(admin_number(v, "calendar_id"), id);
    json_decref(v);
    admin_refused(&rig, BY_ADMIN, "DELETE", path, admin_if_match(2), NULL, 409, "conflict");
    admin_expect(&rig, BY_ADMIN, "DELETE", quota_path("person", rig.person[BY_USER].id),
                 admin_if_match(1), NULL, 204);
    admin_refused(&rig, BY_ADMIN, "DELETE", path, NULL, NULL, 428, "if_match_needed");
    admin_refused(&rig, BY_ADMIN, "DELETE", path, admin_if_match(1), NULL, 412,
                  "changed_meanwhile");
    admin_expect(&rig, BY_ADMIN, "DELETE", path, admin_if_match(2), NULL, 204);
    admin_refused(&rig, BY_ADMIN, "GET", path, NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "PUT", path, admin_if_match(2), SHIFT, 404, "not_found");
}
END_TEST

START_TEST(calendars_refuse_nonsense)
{
    static const struct {
        const char *body, *field;
    } bad[] = {
        {"{\"hours\":{}}", "name"},
        {"{\"name\":\"a\"}", "hours"},
        {"{\"name\":\"\",\"hours\":{}}", "name"},
        {"{\"name\":7,\"hours\":{}}", "name"},
        {"{\"name\":\"a\",\"hours\":[]}", "hours"},
        {"{\"name\":\"a\",\"hours\":{\"monday\":[]}}", "hours"},
        {"{\"name\":\"a\",\"hours\":{\"mon\":7}}", "hours"},
        {"{\"name\":\"a\",\"hours\":{\"mon\":[[\"12:00\",\"08:00\"]]}}", "hours"},
        {"{\"name\":\"a\",\"hours\":{\"mon\":[[\"08:00\",\"24:01\"]]}}", "hours"},
        {"{\"name\":\"a\",\"hours\":{\"星期一\":[]}}", "hours"},
        {"{\"name\":\"a\",\"hours\":{},\"colour\":1}", "colour"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        names_field("POST", "/admin/v1/calendars", NULL, bad[i].body, bad[i].field);
    names_field("GET", "/admin/v1/calendars?after=x", NULL, NULL, "after");
    names_field("GET", "/admin/v1/calendars?limit=many", NULL, NULL, "limit");
    admin_refused(&rig, BY_USER, "POST", "/admin/v1/calendars", NULL, SHIFT, 403, "not_allowed");
    admin_expect(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL, SHIFT, 201);
    admin_refused(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL, SHIFT, 409, "conflict");
    ck_assert_ptr_nonnull(strstr(buf_str(&rig.last.body), "there is a calendar"));
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/calendars/x", NULL, NULL, 404);
    for (int i = 0; i < 4; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"name\":\"c%d\",\"hours\":{}}", i);
        admin_expect(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL, body, 201);
    }
    json_t *v = admin_call(&rig, BY_USER, "GET", "/admin/v1/calendars?limit=3", NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 3);
    int64_t next = admin_number(v, "next");
    json_decref(v);
    v = admin_call(&rig, BY_USER, "GET",
                   admin_path("calendars?limit=3&after=%" PRId64, next), NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 2);
    ck_assert_str_eq(admin_text(v, "data/1/name"), "c3");
    ck_assert(is_null(v, "next"));
    json_decref(v);
}
END_TEST

/* ---- what requests feel ----------------------------------------------------------------------- */

#define CHAT "/v1/chat/completions"

/* A chat of `tokens` tokens at most; its status. */
static int chat(enum admin_who who, unsigned tokens)
{
    char body[160];
    snprintf(body, sizeof body,
             "{\"max_tokens\":%u,\"messages\":[{\"role\":\"user\",\"content\":\"#tokens=5#\"}]}",
             tokens);
    admin_send(&rig, who, "POST", CHAT, NULL, body);
    return rig.last.status;
}

static void let_in(enum admin_who who)
{
    ck_assert_msg(chat(who, 5) == 200, "%s", buf_str(&rig.last.body));
}

/* The Retry-After of a refusal, whose text says what refuses and, in the server's time zone, when
 * to try again: *retry_at. */
static unsigned refused_by(enum admin_who who, const char *code, const char *names,
                           int64_t *retry_at)
{
    char value[32];
    struct tm tm = {.tm_isdst = -1};
    ck_assert_msg(chat(who, 5) == 429, "%d: %s", rig.last.status, buf_str(&rig.last.body));
    json_t *v = json_loads(buf_str(&rig.last.body), 0, NULL);
    ck_assert_str_eq(admin_text(v, "error/code"), code);
    const char *text = admin_text(v, "error/message");
    ck_assert_msg(strstr(text, names) != NULL, "%s", text);
    const char *at = strstr(text, "again at ");
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, "again at %d-%d-%dT%d:%d:%d+08:00,", &tm.tm_year, &tm.tm_mon,
                            &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec), 6);
    ck_assert_ptr_nonnull(strstr(at, "+08:00"));
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *retry_at = mktime(&tm);
    json_decref(v);
    ck_assert(http_reply_header(&rig.last, "Retry-After", value, sizeof value));
    return (unsigned)strtoul(value, NULL, 10);
}

static void refuses(enum admin_who who, const char *code, const char *names)
{
    int64_t retry_at, before = clock_wall_s();
    unsigned retry = refused_by(who, code, names, &retry_at);
    ck_assert_uint_ge(retry, 1);
    ck_assert_int_ge(retry_at, before + retry);
    ck_assert_int_le(retry_at, clock_wall_s() + retry);
}

/* By a limit of 0, which no waiting ends. */
static void shut_out(enum admin_who who, const char *names)
{
    char value[32];
    ck_assert_int_eq(chat(who, 5), 403);
    ck_assert_msg(strstr(buf_str(&rig.last.body), names) != NULL &&
                      strstr(buf_str(&rig.last.body), "is set to 0") != NULL,
                  "%s", buf_str(&rig.last.body));
    ck_assert(!http_reply_header(&rig.last, "Retry-After", value, sizeof value));
}

static void put_quota(const char *kind, int64_t id, int64_t revision, const char *body)
{
    admin_expect(&rig, BY_ADMIN, "PUT", quota_path(kind, id), admin_if_match(revision), body,
                 revision ? 200 : 201);
}

static void drop_quota(const char *kind, int64_t id, int64_t revision)
{
    admin_expect(&rig, BY_ADMIN, "DELETE", quota_path(kind, id), admin_if_match(revision), NULL,
                 204);
}

/* Each kind of row holds for those it should and for no one else, and changes at once. */
START_TEST(requests_per_minute_hold_at_once)
{
    const struct {
        const char *kind;
        int64_t id;
    } row[] = {{"key", rig.person[BY_USER].key_id},
               {"person", rig.person[BY_USER].id},
               {"department", rig.line3},
               {"department", rig.works}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char names[64];
        let_in(BY_USER); /* counts nowhere: there is no row yet */
        put_quota(row[i].kind, row[i].id, 0, "{\"requests_per_minute\":2}");
        let_in(BY_USER);
        let_in(BY_USER);
        snprintf(names, sizeof names, "requests per minute of the %s (id %" PRId64 "): 2 allowed",
                 row[i].kind, row[i].id);
        refuses(BY_USER, "rate_limit_exceeded", names);
        let_in(BY_OTHER);
        ck_assert_int_eq(chat(BY_EDITOR, 5), row[i].id == rig.works && i == 3 ? 429 : 200);
        put_quota(row[i].kind, row[i].id, 1, "{\"requests_per_minute\":4}");
        let_in(BY_USER); /* refusals did not count */
        put_quota(row[i].kind, row[i].id, 2, "{\"requests_per_minute\":0}");
        shut_out(BY_USER, "of requests per minute of the ");
        drop_quota(row[i].kind, row[i].id, 3);
        let_in(BY_USER);
    }
}
END_TEST

/* Reserved with the most that may come, settled with what came. */
START_TEST(tokens_per_minute_are_reserved_and_settled)
{
    int64_t id = rig.person[BY_USER].id;
    put_quota("person", id, 0, "{\"tokens_per_minute\":500}");
    ck_assert_int_eq(chat(BY_USER, 400), 200);
    json_t *v = admin_call(&rig, BY_USER, "GET", quota_path("person", id), NULL, NULL, 200);
    int64_t used = admin_number(v, "used/tokens_per_minute");
    json_decref(v);
    ck_assert_int_ge(used, 5);
    ck_assert_int_le(used, 100);
    ck_assert_int_eq(chat(BY_USER, 400), 200); /* 5 came, 395 went back */
    char body[64];
    snprintf(body, sizeof body, "{\"tokens_per_minute\":%" PRId64 "}", 2 * used);
    put_quota("person", id, 1, body);
    refuses(BY_USER, "rate_limit_exceeded", "tokens per minute");
    snprintf(body, sizeof body, "{\"tokens_per_minute\":%" PRId64 "}", 3 * used);
    put_quota("person", id, 2, body);
    let_in(BY_USER);
}
END_TEST

START_TEST(parallel_counts_what_runs)
{
    static const char endless[] =
        "{\"stream\":true,\"max_tokens\":3000,"
        "\"messages\":[{\"role\":\"user\",\"content\":\"#tokens=3000##us=5000#\"}]}";
    struct http_client c;
    struct buf text;
    put_quota("department", rig.works, 0, "{\"parallel\":1}");
    buf_init(&text, 4096);
    http_write_post(&text, CHAT, rig.person[BY_USER].key, endless);
    http_client_open(&c, rig.server.port);
    ck_assert(http_client_send(&c, buf_str(&text), text.len));
    ck_assert(http_client_wait_for(&c, "data: ", 5000));
    refuses(BY_EDITOR, "rate_limit_exceeded", "requests at the same time");
    let_in(BY_OTHER); /* Office */
    json_t *v = admin_call(&rig, BY_ADMIN, "GET", quota_path("department", rig.works), NULL, NULL,
                           200);
    ck_assert_int_eq(admin_number(v, "used/parallel"), 1);
    json_decref(v);
    http_client_close(&c);
    ck_assert(test_wait_streams(&rig.server, 0, 5000));
    for (int i = 0; i < 50 && chat(BY_EDITOR, 5) == 429; i++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    let_in(BY_EDITOR);
    buf_release(&text);
}
END_TEST

/* Budgets last until the local midnight or the first of the month, whichever limit lasts longer. */
START_TEST(budgets_end_with_their_period)
{
    static const struct {
        const char *body, *names;
        enum period period;
    } rows[] = {{"{\"tokens_per_day\":3}", "tokens per day of", PERIOD_DAY},
                {"{\"tokens_per_month\":4}", "tokens per month of", PERIOD_MONTH},
                {"{\"tokens_per_day\":3,\"tokens_per_month\":4}", "", PERIOD_MONTH}};
    int64_t id = rig.person[BY_USER].key_id;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t at, before = clock_wall_s();
        put_quota("key", id, 0, rows[i].body);
        unsigned retry = refused_by(BY_USER, "insufficient_quota", rows[i].names, &at);
        ck_assert(at == period_next(rows[i].period, before) ||
                  at == period_next(rows[i].period, clock_wall_s()));
        ck_assert_int_ge(retry + clock_wall_s(), at);
        ck_assert_int_le(retry + before, at);
        drop_quota("key", id, 1);
    }
    put_quota("key", id, 0, "{\"tokens_per_day\":1000}");
    let_in(BY_USER);
    json_t *v = admin_call(&rig, BY_USER, "GET", quota_path("key", id), NULL, NULL, 200);
    int64_t used = admin_number(v, "used/tokens_per_day");
    int64_t all = admin_number(v, "used/tokens_per_month");
    json_decref(v);
    ck_assert_int_gt(used, 5);
    ck_assert_int_ge(all, used); /* with what came before there was a row */
}
END_TEST

#define ALWAYS                                                                                     \
    "{\"mon\":[[\"00:00\",\"24:00\"]],\"tue\":[[\"00:00\",\"24:00\"]],"                            \
    "\"wed\":[[\"00:00\",\"24:00\"]],\"thu\":[[\"00:00\",\"24:00\"]],"                             \
    "\"fri\":[[\"00:00\",\"24:00\"]],\"sat\":[[\"00:00\",\"24:00\"]],"                             \
    "\"sun\":[[\"00:00\",\"24:00\"]]}"

/* A limit with a calendar holds in its hours, and the hours change under it at once. */
START_TEST(calendars_decide_when_limits_hold)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL,
                           "{\"name\":\"从不\",\"hours\":{}}", 201);
    int64_t id = admin_number(v, "id");
    const char *path = admin_path("calendars/%" PRId64, id);
    char body[80];
    json_decref(v);
    snprintf(body, sizeof body, "{\"tokens_per_day\":3,\"calendar_id\":%" PRId64 "}", id);
    put_quota("department", rig.line3, 0, body);
    let_in(BY_USER);
    admin_expect(&rig, BY_ADMIN, "PUT", path, admin_if_match(1),
                 "{\"name\":\"总是\",\"hours\":" ALWAYS "}", 200);
    refuses(BY_USER, "insufficient_quota", "tokens per day of");
    let_in(BY_EDITOR);
    path = admin_path("calendars/%" PRId64, id);
    admin_expect(&rig, BY_ADMIN, "PUT", path, admin_if_match(2),
                 "{\"name\":\"x\",\"hours\":{}}", 200);
    let_in(BY_USER);
    v = admin_call(&rig, BY_ADMIN, "GET", quota_path("department", rig.line3), NULL, NULL, 200);
    ck_assert(json_is_false(admin_at(v, "open")));
    ck_assert_int_eq(admin_number(v, "used/tokens_per_day"), 0); /* closed hours do not count */
    json_decref(v);
}
END_TEST

/* Soft limits let in with a lower share of the engine. */
START_TEST(soft_limits_lower_the_weight)
{
    static const char soft[] = "{\"requests_per_minute\":1,\"soft\":true}";
    let_in(BY_USER);
    ck_assert_uint_eq(fake_engine_weight(rig.server.engine), 1000);
    put_quota("key", rig.person[BY_USER].key_id, 0, soft);
    let_in(BY_USER);
    ck_assert_uint_eq(fake_engine_weight(rig.server.engine), 1000);
    let_in(BY_USER);
    ck_assert_uint_eq(fake_engine_weight(rig.server.engine), 250);
    put_quota("department", rig.works, 0, soft);
    let_in(BY_EDITOR);
    ck_assert_uint_eq(fake_engine_weight(rig.server.engine), 1000);
    let_in(BY_USER); /* the key's and the department's */
    ck_assert_uint_eq(fake_engine_weight(rig.server.engine), 62);
    put_quota("person", rig.person[BY_USER].id, 0, soft);
    let_in(BY_USER);
    let_in(BY_USER);
    ck_assert_uint_eq(fake_engine_weight(rig.server.engine), 60); /* never less */
    let_in(BY_OTHER);
    ck_assert_uint_eq(fake_engine_weight(rig.server.engine), 1000);
    put_quota("key", rig.person[BY_USER].key_id, 1, "{\"requests_per_minute\":1}");
    refuses(BY_USER, "rate_limit_exceeded", "the key");
}
END_TEST

static void patch(const char *path, const char *field, int64_t id)
{
    admin_expect(&rig, BY_ADMIN, "GET", path, NULL, NULL, 200);
    admin_expect(&rig, BY_ADMIN, "PATCH", path, admin_if_match(admin_etag(&rig)),
                 admin_body("{s:I}", field, (json_int_t)id), 200);
}

/* Whoever moves to another department, or with theirs below another one, meets its limits there. */
START_TEST(moves_count_at_once)
{
    char person[64], department[64];
    snprintf(person, sizeof person, "%s", admin_path("users/%" PRId64, rig.person[BY_USER].id));
    snprintf(department, sizeof department, "%s", admin_path("departments/%" PRId64, rig.line3));
    put_quota("department", rig.office, 0, "{\"requests_per_minute\":0}");
    let_in(BY_USER);
    patch(person, "department_id", rig.office);
    shut_out(BY_USER, "the department");
    patch(person, "department_id", rig.line3);
    let_in(BY_USER);
    patch(department, "parent_id", rig.office);
    shut_out(BY_USER, "the department");
    patch(department, "parent_id", rig.works);
    let_in(BY_USER);
}
END_TEST

START_TEST(callers_see_every_row_that_holds_for_them)
{
    put_quota("key", rig.person[BY_USER].key_id, 0, "{\"parallel\":9}");
    put_quota("department", rig.line3, 0, "{\"tokens_per_month\":100000}");
    put_quota("department", rig.works, 0, "{\"requests_per_minute\":100}");
    put_quota("department", rig.office, 0, "{\"requests_per_minute\":50}");
    let_in(BY_USER);
    let_in(BY_EDITOR);
    json_t *v = admin_call(&rig, BY_USER, "GET", "/v1/usage/me", NULL, NULL, 200);
    ck_assert_uint_eq(json_array_size(admin_at(v, "limits")), 3);
    ck_assert_str_eq(admin_text(v, "limits/0/kind"), "key");
    ck_assert_int_eq(admin_number(v, "limits/1/id"), rig.line3);
    ck_assert_int_gt(admin_number(v, "limits/1/used/tokens_per_month"), 5);
    ck_assert_int_eq(admin_number(v, "limits/2/id"), rig.works);
    ck_assert_int_eq(admin_number(v, "limits/2/used/requests_per_minute"), 2);
    json_decref(v);
}
END_TEST

/* A refusal leaves no row in the ledger. */
START_TEST(refusals_are_no_usage)
{
    put_quota("person", rig.person[BY_USER].id, 0, "{\"requests_per_minute\":1}");
    let_in(BY_USER);
    refuses(BY_USER, "rate_limit_exceeded", "the person");
    json_t *v = admin_call(&rig, BY_USER, "GET", "/admin/v1/usage/requests", NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 1);
    ck_assert_str_eq(admin_text(v, "data/0/status"), "finished");
    json_decref(v);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin limits");
    TCase *tc = tcase_create("limits");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, quotas_come_change_and_go);
    tcase_add_test(tc, quotas_refuse_nonsense);
    tcase_add_test(tc, quotas_are_seen_by_those_they_concern);
    tcase_add_test(tc, quotas_come_in_pages);
    tcase_add_test(tc, quotas_count_at_once);
    tcase_add_test(tc, calendars_come_change_and_go);
    tcase_add_test(tc, calendars_refuse_nonsense);
    tcase_add_test(tc, requests_per_minute_hold_at_once);
    tcase_add_test(tc, tokens_per_minute_are_reserved_and_settled);
    tcase_add_test(tc, parallel_counts_what_runs);
    tcase_add_test(tc, budgets_end_with_their_period);
    tcase_add_test(tc, calendars_decide_when_limits_hold);
    tcase_add_test(tc, soft_limits_lower_the_weight);
    tcase_add_test(tc, moves_count_at_once);
    tcase_add_test(tc, callers_see_every_row_that_holds_for_them);
    tcase_add_test(tc, refusals_are_no_usage);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
