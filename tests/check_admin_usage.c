/* Limits, calendars, usage and the audit log over HTTP: what they answer, what they refuse, and to whom. */
#include <config.h>

#include "admin_rig.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/people.h"
#include "base/clock.h"
#include "usage/ledger.h"
#include "usage/limits.h"

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

/* ---- what the tests share --------------------------------------------------------------------- */

/* A path with numbers in it, in a static buffer. */
static const char *path_of(const char *fmt, ...) PRINTF_LIKE(1, 2);
static const char *path_of(const char *fmt, ...)
{
    static char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return text;
}

static size_t count(const json_t *v)
{
    return json_array_size(admin_at(v, "data"));
}

static bool is_null(const json_t *v, const char *path)
{
    return json_is_null(admin_at(v, path));
}

/* Changes the file behind the server's back. */
static void alter(const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    ck_assert_int_eq(sqlite3_open(rig.server.service->database, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 2000);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK, "%s: %s", sql, why);
    sqlite3_close(db);
}

#define NOON INT64_C(1794283200) /* 2026-11-10 12:00 in Shanghai */
#define DAY INT64_C(86400)

struct spent {
    const char *request_id;
    enum admin_who who;
    int64_t at_s, department_id;
    const char *model;
    bool failed;
    const char *text;
};

static atomic_uint landed;

static void land(void *ctx, bool ok, const struct err *e)
{
    (void)ctx;
    ck_assert_msg(ok, "%s", e->msg);
    atomic_fetch_add(&landed, 1);
}

static void spend(const struct spent *s, size_t n)
{
    static const struct timespec pause = {.tv_nsec = 2000000};
    struct ledger *l = rig.server.service->ledger;
    atomic_store(&landed, 0);
    for (size_t i = 0; i < n; i++) {
        struct err e = ERR_INIT;
        struct ledger_request *r;
        struct ledger_start start = {.request_id = s[i].request_id,
                                     .started_us = s[i].at_s * 1000000,
                                     .person_id = rig.person[s[i].who].id,
                                     .key_id = rig.person[s[i].who].key_id,
                                     .department_id = s[i].department_id,
                                     .endpoint = "/v1/chat/completions",
                                     .model = s[i].model,
                                     .class = LEDGER_API,
                                     .prompt_tokens = 100};
        struct ledger_end end = {.failed = s[i].failed,
                                 .finished_us = start.started_us + 3000000,
                                 .counts = {100, 40, 50, 10},
                                 .queue_us = 20000,
                                 .ttft_us = 300000,
                                 .http_status = s[i].failed ? 503 : 200,
                                 .finish_reason = s[i].failed ? NULL : "stop",
                                 .text = s[i].text,
                                 .text_bytes = s[i].text ? strlen(s[i].text) : 0};
        ck_assert_msg(ledger_begin(l, &start, &r, &e), "%s", e.msg);
        ck_assert_msg(ledger_finish(&r, &end, land, NULL, &e), "%s", e.msg);
    }
    for (int i = 0; i < 5000 && atomic_load(&landed) < n; i++)
        nanosleep(&pause, NULL);
    ck_assert_uint_eq(atomic_load(&landed), n);
}

/* Six requests on three days: four of BY_USER (one failed), two of BY_OTHER. */
static void spend_some(void)
{
    const struct spent some[] = {
        {"req_1", BY_USER, NOON, rig.line3, "r1/a&b", false, NULL},
        {"req_2", BY_USER, NOON + 60, rig.line3, "v3", false, NULL},
        {"req_3", BY_OTHER, NOON + 120, rig.office, "v3", false, NULL},
        {"req_4", BY_USER, NOON + DAY, rig.line3, "v3", true, NULL},
        {"req_5", BY_OTHER, NOON + DAY + 7200, rig.office, "v3", false, NULL},
        {"req_6", BY_USER, NOON + 2 * DAY, rig.line3, "v3", false, NULL},
    };
    spend(some, sizeof some / sizeof some[0]);
}

#define TOTALS "/admin/v1/usage/totals?from=2026-11-10&to=2026-11-13"
#define REQUESTS "/admin/v1/usage/requests?from=2026-11-10&to=2026-11-13"

/* ---- quotas ----------------------------------------------------------------------------------- */

static const char *quota_path(const char *kind, int64_t id)
{
    return path_of("/admin/v1/quotas/%s/%" PRId64, kind, id);
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
    admin_refused(&rig, BY_ADMIN, "DELETE", path, admin_if_match(1), NULL, 412, "changed_meanwhile");
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
    static const char *const bodies[] = {"{\"parallel\":-1}",      "{\"parallel\":\"2\"}",
                                         "{\"parallel\":1.5}",     "{\"soft\":1}",
                                         "{\"calendar_id\":0}",    "{\"tokens\":1}",
                                         "{\"tokens_per_day\":1e17}", "[]"};
    const char *path = quota_path("key", rig.person[BY_USER].key_id);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        admin_expect(&rig, BY_ADMIN, "PUT", path, NULL, bodies[i], 400);
    admin_refused(&rig, BY_ADMIN, "PUT", path, NULL, "{\"calendar_id\":77}", 404, "not_found");
    admin_refused(&rig, BY_USER, "PUT", path, NULL, "{}", 403, "not_allowed");
    admin_refused(&rig, BY_AUDITOR, "PUT", path, NULL, "{}", 403, "not_allowed");
    admin_refused(&rig, BY_NOBODY, "PUT", path, NULL, "{}", 401, "missing_api_key");
    admin_refused(&rig, BY_ADMIN, "GET", path, NULL, NULL, 404, "not_found"); /* nothing came of it */
    static const char *const nowhere[] = {"team/1", "person/0", "person/x", "person/-1",
                                          "person/999999", "key/999999", "department/999999"};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        const char *to = path_of("/admin/v1/quotas/%s", nowhere[i]);
        admin_refused(&rig, BY_ADMIN, "PUT", to, NULL, "{}", 404, "not_found");
        admin_refused(&rig, BY_USER, "GET", to, NULL, NULL, 404, "not_found");
    }
}
END_TEST

/* Rows on a department, two keys and two persons, so that sight and pages have something to show. */
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
    admin_expect(&rig, BY_USER, "GET", quota_path("person", rig.person[BY_USER].id), NULL, NULL, 200);
    admin_expect(&rig, BY_USER, "GET", quota_path("key", rig.person[BY_USER].key_id), NULL, NULL, 200);
    admin_expect(&rig, BY_USER, "GET", quota_path("person", rig.person[BY_OTHER].id), NULL, NULL, 404);
    admin_expect(&rig, BY_USER, "GET", quota_path("key", rig.person[BY_OTHER].key_id), NULL, NULL, 404);
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
                               path_of("/admin/v1/quotas?limit=2&after=%s", after), NULL, NULL, 200);
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
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/quotas?kind=team", NULL, NULL, 400);
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/quotas?limit=501", NULL, NULL, 400);
    admin_expect(&rig, BY_ADMIN, "GET", "/admin/v1/quotas?limit=0", NULL, NULL, 400);
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
    admin_refused(&rig, BY_ADMIN, "DELETE", path, admin_if_match(1), NULL, 412, "changed_meanwhile");
    admin_expect(&rig, BY_ADMIN, "DELETE", path, admin_if_match(2), NULL, 204);
    admin_refused(&rig, BY_ADMIN, "GET", path, NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_ADMIN, "PUT", path, admin_if_match(2), SHIFT, 404, "not_found");
}
END_TEST

START_TEST(calendars_refuse_nonsense)
{
    static const char *const bodies[] = {
        "{}",
        "{\"name\":\"a\"}",
        "{\"name\":\"\",\"hours\":{}}",
        "{\"name\":\"a\",\"hours\":[]}",
        "{\"name\":\"a\",\"hours\":{\"monday\":[]}}",
        "{\"name\":\"a\",\"hours\":{\"mon\":[[\"12:00\",\"08:00\"]]}}",
        "{\"name\":\"a\",\"hours\":{\"mon\":[[\"08:00\",\"24:01\"]]}}",
        "{\"name\":\"a\",\"hours\":{},\"colour\":1}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        admin_expect(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL, bodies[i], 400);
    admin_refused(&rig, BY_USER, "POST", "/admin/v1/calendars", NULL, SHIFT, 403, "not_allowed");
    admin_expect(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL, SHIFT, 201);
    admin_refused(&rig, BY_ADMIN, "POST", "/admin/v1/calendars", NULL, SHIFT, 409, "conflict");
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
                   path_of("/admin/v1/calendars?limit=3&after=%" PRId64, next), NULL, NULL, 200);
    ck_assert_uint_eq(count(v), 2);
    ck_assert_str_eq(admin_text(v, "data/1/name"), "c3");
    ck_assert(is_null(v, "next"));
    json_decref(v);
}
END_TEST
