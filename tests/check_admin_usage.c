/* Usage over HTTP: one's own and everybody's, totals and requests, pages, CSV. */
#include <config.h>

#include "admin_browser.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "usage/ledger.h"

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

#define NOON INT64_C(1794283200) /* 2026-11-10 12:00 in Shanghai */
#define DAY INT64_C(86400)

struct spent {
    const char *request_id;
    enum admin_who who;
    int64_t at_s, department_id;
    const char *model;
    int64_t template_id; /* 0 = none, else version 3 of it */
    bool failed;
};

static atomic_uint landed;

static void land(void *ctx, bool ok, const struct err *e)
{
    (void)ctx;
    ck_assert_msg(ok, "%s", e->msg);
    atomic_fetch_add(&landed, 1);
}

static struct ledger_request *begin(const struct spent *s)
{
    struct err e = ERR_INIT;
    struct ledger_request *r;
    struct ledger_start start = {.request_id = s->request_id,
                                 .started_us = s->at_s * 1000000,
                                 .person_id = rig.person[s->who].id,
                                 .key_id = rig.person[s->who].key_id,
                                 .department_id = s->department_id,
                                 .endpoint = "/v1/chat/completions",
                                 .model = s->model,
                                 .class = LEDGER_API,
                                 .template_id = s->template_id,
                                 .template_version = s->template_id ? 3 : 0,
                                 .prompt_tokens = 100};
    ck_assert_msg(ledger_begin(rig.server.service->ledger, &start, &r, &e), "%s", e.msg);
    return r;
}

static void finish(struct ledger_request *r, const struct spent *s)
{
    struct err e = ERR_INIT;
    struct ledger_end end = {.failed = s->failed,
                             .finished_us = s->at_s * 1000000 + 3000000,
                             .counts = {100, 40, 50, 10},
                             .queue_us = 20000,
                             .ttft_us = 300000,
                             .http_status = s->failed ? 503 : 200,
                             .finish_reason = s->failed ? NULL : "stop"};
    ck_assert_msg(ledger_finish(&r, &end, land, NULL, &e), "%s", e.msg);
}

static void wait_landed(unsigned n)
{
    for (int i = 0; i < 5000 && atomic_load(&landed) < n; i++)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    ck_assert_uint_eq(atomic_load(&landed), n);
    atomic_store(&landed, 0);
}

static void spend(const struct spent *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        finish(begin(&s[i]), &s[i]);
    wait_landed((unsigned)n);
}

/* "req_PREFIX_0" and so on, all at the same time. */
static void spend_many(const char *prefix, unsigned n, enum admin_who who, int64_t at_s)
{
    for (unsigned i = 0; i < n; i++) {
        char id[32];
        struct spent s = {id, who, at_s, rig.line3, "v3", 0, false};
        snprintf(id, sizeof id, "req_%s_%u", prefix, i);
        finish(begin(&s), &s);
    }
    wait_landed(n);
}

/* Six requests on three days: four of BY_USER (one failed), two of BY_OTHER. */
static void spend_some(void)
{
    const struct spent some[] = {
        {"req_1", BY_USER, NOON, rig.line3, "r1/a&b", 0, false},
        {"req_2", BY_USER, NOON + 60, rig.line3, "v3", 7, false},
        {"req_3", BY_OTHER, NOON + 120, rig.office, "v3", 7, false},
        {"req_4", BY_USER, NOON + DAY, rig.line3, "v3", 0, true},
        {"req_5", BY_OTHER, NOON + DAY + 7200, rig.office, "v3", 0, false},
        {"req_6", BY_USER, NOON + 2 * DAY, rig.line3, "v3", 0, false},
    };
    spend(some, sizeof some / sizeof some[0]);
}

#define RANGE "from=2026-11-10&to=2026-11-13"
#define TOTALS "/admin/v1/usage/totals?" RANGE
#define REQUESTS "/admin/v1/usage/requests?" RANGE
#define ME "/v1/usage/me?" RANGE

static const char *join(const char *a, const char *b)
{
    static char ring[4][600];
    static unsigned turn;
    char *out = ring[turn++ % 4];
    snprintf(out, sizeof ring[0], "%s%s", a, b);
    return out;
}

static const char *with_id(const char *a, int64_t id)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, id);
    return join(a, text);
}

static json_t *get(enum admin_who who, const char *path)
{
    return admin_call(&rig, who, "GET", path, NULL, NULL, 200);
}

static size_t count(const json_t *v)
{
    return json_array_size(admin_at(v, "data"));
}

static bool is_null(const json_t *v, const char *path)
{
    return json_is_null(admin_at(v, path));
}

/* A 400 that says which parameter is wrong. */
static void names_field(enum admin_who who, const char *path, const char *field)
{
    json_t *v = admin_call(&rig, who, "GET", path, NULL, NULL, 400);
    const char *param = admin_text(v, "error/param");
    ck_assert_msg(!strcmp(param, field), "%s: '%s' instead of '%s': %s", path, param, field,
                  admin_text(v, "error/message"));
    json_decref(v);
}

/* The request ids of a list, the way "1 2" does. */
static void expect_rows(enum admin_who who, const char *path, const char *want)
{
    json_t *v = get(who, path);
    char have[200] = "";
    for (size_t i = 0; i < count(v); i++) {
        const char *id = admin_text(json_array_get(admin_at(v, "data"), i), "request_id");
        size_t n = strlen(have);
        snprintf(have + n, sizeof have - n, "%s%s", n ? " " : "", id + strlen("req_"));
    }
    ck_assert_msg(!strcmp(have, want), "%s: '%s' instead of '%s'", path, have, want);
    json_decref(v);
}

/* The requests of each line of totals. */
static void expect_totals(enum admin_who who, const char *path, const char *want)
{
    json_t *v = get(who, path);
    char have[400] = "";
    for (size_t i = 0; i < count(v); i++) {
        const json_t *line = json_array_get(admin_at(v, "data"), i);
        size_t n = strlen(have);
        snprintf(have + n, sizeof have - n, "%s%s%s%s%" PRId64, n ? ", " : "",
                 admin_text(line, "name"), admin_text(line, "model"),
                 *admin_text(line, "name") || *admin_text(line, "model") ? " " : "",
                 admin_number(line, "requests"));
    }
    ck_assert_msg(!strcmp(have, want), "%s: '%s' instead of '%s'", path, have, want);
    json_decref(v);
}

/* ---- one's own -------------------------------------------------------------------------------- */

START_TEST(everybody_sees_their_own)
{
    spend_some();
    json_t *v = get(BY_USER, ME);
    ck_assert_int_eq(admin_number(v, "from"), NOON - DAY / 2);
    ck_assert_int_eq(admin_number(v, "to"), NOON - DAY / 2 + 3 * DAY);
    ck_assert_int_eq(admin_number(v, "person_id"), rig.person[BY_USER].id);
    ck_assert_uint_eq(count(v), 1);
    ck_assert(is_null(v, "data/0/starts_at") && is_null(v, "data/0/id") && is_null(v, "next"));
    ck_assert_int_eq(admin_number(v, "data/0/requests"), 4);
    ck_assert_int_eq(admin_number(v, "data/0/failed"), 1);
    ck_assert_int_eq(admin_number(v, "data/0/prompt_tokens"), 400);
    ck_assert_int_eq(admin_number(v, "data/0/cached_tokens"), 160);
    ck_assert_int_eq(admin_number(v, "data/0/completion_tokens"), 200);
    ck_assert_int_eq(admin_number(v, "data/0/reasoning_tokens"), 40);
    ck_assert_double_eq(json_number_value(admin_at(v, "data/0/mean_queue_ms")), 20);
    ck_assert_double_eq(json_number_value(admin_at(v, "data/0/mean_ttft_ms")), 300);
    ck_assert_double_eq(json_number_value(admin_at(v, "data/0/mean_duration_ms")), 3000);
    json_decref(v);
    expect_totals(BY_OTHER, ME, "2");
    expect_totals(BY_AUDITOR, ME, ""); /* sees everybody's elsewhere, has none here */
    expect_totals(BY_USER, ME "&by=model", "r1/a&b 1, v3 3");
    expect_totals(BY_USER, ME "&by=key", "rig 4");
    expect_totals(BY_USER, ME "&by=template", "3, 1");
}
END_TEST

START_TEST(periods_of_ones_own)
{
    static const struct {
        const char *path, *want;
        int64_t second; /* start of the second line */
    } cases[] = {
        {"/v1/usage/me?from=2026-11-10&to=2026-11-11&split=minute", "1, 1", NOON + 60},
        {ME "&split=hour", "2, 1, 1", NOON + DAY},
        {ME "&split=day", "2, 1, 1", NOON - DAY / 2 + DAY},
        {ME "&split=day&by=model", "r1/a&b 1, v3 1, v3 1, v3 1", NOON - DAY / 2},
    };
    spend_some();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_totals(BY_USER, cases[i].path, cases[i].want);
        json_t *v = get(BY_USER, cases[i].path);
        ck_assert_int_eq(admin_number(v, "data/1/starts_at"), cases[i].second);
        json_decref(v);
    }
    /* The same range in other words; minutes at its edges count whole. */
    expect_totals(BY_USER, "/v1/usage/me?from=1794283200&to=1794283261", "2");
    expect_totals(BY_USER, "/v1/usage/me?from=2026-11-10T04:00:00Z&to=2026-11-10T04:01:00Z", "1");
    expect_totals(BY_USER,
                  "/v1/usage/me?from=2026-11-10T12:01:30%2B08:00&to=2026-11-12T12:00:01%2B08:00",
                  "3");
    expect_totals(BY_USER, "/v1/usage/me?from=2026-11-12&to=2026-11-13", "1");
    expect_totals(BY_USER, "/v1/usage/me?from=2026-11-13&to=2026-11-14", "");
}
END_TEST

START_TEST(pages_of_ones_own)
{
    char after[700] = "", seen[100] = "";
    int pages = 0;
    spend_some();
    do {
        json_t *v = get(BY_USER, join(ME "&split=day&by=model&limit=1&after=", after));
        ck_assert_uint_eq(count(v), 1);
        size_t n = strlen(seen);
        snprintf(seen + n, sizeof seen - n, "%s:%" PRId64 " ", admin_text(v, "data/0/model"),
                 (admin_number(v, "data/0/starts_at") - (NOON - DAY / 2)) / DAY);
        snprintf(after, sizeof after, "%s", admin_text(v, "next"));
        json_decref(v);
    } while (*after && ++pages < 9);
    ck_assert_str_eq(seen, "r1/a&b:0 v3:0 v3:1 v3:2 ");
}
END_TEST

START_TEST(ones_own_refuses_the_rest)
{
    names_field(BY_USER, ME "&by=person", "by");
    names_field(BY_USER, ME "&by=department", "by");
    names_field(BY_ADMIN, ME "&by=person", "by");
    spend_some();
    expect_totals(BY_USER, with_id(ME "&person_id=", rig.person[BY_OTHER].id), "4"); /* no such */
    names_field(BY_USER, ME "&by=%E6%98%9F%E6%9C%9F", "by");
    names_field(BY_USER, ME "&split=week", "split");
    names_field(BY_USER, ME "&limit=0", "limit");
    names_field(BY_USER, ME "&after=x", "after");
    names_field(BY_USER, "/v1/usage/me?from=yesterday", "from");
    names_field(BY_USER, "/v1/usage/me?from=2026-11-31", "from");
    names_field(BY_USER, "/v1/usage/me?from=2026-11-13&to=2026-11-10", "to");
    admin_refused(&rig, BY_LOCAL, "GET", ME, NULL, NULL, 404, "not_found");
    admin_refused(&rig, BY_NOBODY, "GET", ME, NULL, NULL, 401, "missing_api_key");
    admin_refused(&rig, BY_NOBODY, "GET", ME, "Authorization: Bearer " TEST_KEY "\r\n", NULL, 403,
                  "not_allowed");
}
END_TEST

/* ---- everybody's ------------------------------------------------------------------------------ */

START_TEST(totals_by_everything)
{
    spend_some();
    expect_totals(BY_ADMIN, TOTALS, "6");
    expect_totals(BY_ADMIN, TOTALS "&by=department", "Line 3 4, Office 2");
    expect_totals(BY_AUDITOR, TOTALS "&by=person", "王伟 4, olga.other 2");
    expect_totals(BY_LOCAL, TOTALS "&by=key", "rig 4, rig 2");
    expect_totals(BY_ADMIN, TOTALS "&by=model", "r1/a&b 1, v3 5");
    expect_totals(BY_ADMIN, TOTALS "&by=template", "4, 2");
    expect_totals(BY_ADMIN, TOTALS "&split=day&by=person",
                  "王伟 2, olga.other 1, 王伟 1, olga.other 1, 王伟 1");
    expect_totals(BY_ADMIN, TOTALS "&split=hour", "3, 1, 1, 1");
    expect_totals(BY_ADMIN, "/admin/v1/usage/totals?from=2026-11-10&to=2026-11-11&split=minute",
                  "1, 1, 1");
    json_t *v = get(BY_ADMIN, TOTALS "&by=template");
    ck_assert(is_null(v, "data/0/id") && is_null(v, "data/0/version"));
    ck_assert_int_eq(admin_number(v, "data/1/id"), 7);
    ck_assert_int_eq(admin_number(v, "data/1/version"), 3);
    ck_assert_str_eq(admin_text(v, "by"), "template");
    ck_assert(is_null(v, "split"));
    json_decref(v);
}
END_TEST

START_TEST(totals_take_every_filter)
{
    spend_some();
    expect_totals(BY_ADMIN, with_id(TOTALS "&department_id=", rig.works), "4"); /* from below */
    expect_totals(BY_ADMIN, with_id(TOTALS "&department_id=", rig.line3), "4");
    expect_totals(BY_ADMIN, with_id(TOTALS "&department_id=", rig.office), "2");
    expect_totals(BY_ADMIN, TOTALS "&department_id=999999", "");
    expect_totals(BY_ADMIN, with_id(TOTALS "&person_id=", rig.person[BY_OTHER].id), "2");
    expect_totals(BY_ADMIN, with_id(TOTALS "&key_id=", rig.person[BY_USER].key_id), "4");
    expect_totals(BY_ADMIN, TOTALS "&model=r1%2Fa%26b", "1");
    expect_totals(BY_ADMIN, TOTALS "&model=r1", "");
    expect_totals(BY_ADMIN, TOTALS "&template_id=7", "2");
    expect_totals(BY_ADMIN, with_id(TOTALS "&template_id=7&person_id=", rig.person[BY_USER].id),
                  "1");
    expect_totals(BY_USER, TOTALS "&by=person", "王伟 4"); /* as far as they reach */
    expect_totals(BY_USER, with_id(TOTALS "&person_id=", rig.person[BY_USER].id), "4");
    admin_refused(&rig, BY_USER, "GET", with_id(TOTALS "&person_id=", rig.person[BY_OTHER].id),
                  NULL, NULL, 404, "not_found");
}
END_TEST

START_TEST(requests_take_every_filter)
{
    spend_some();
    expect_rows(BY_ADMIN, REQUESTS, "6 5 4 3 2 1");
    expect_rows(BY_ADMIN, with_id(REQUESTS "&department_id=", rig.works), "6 4 2 1");
    expect_rows(BY_ADMIN, with_id(REQUESTS "&department_id=", rig.line3), "6 4 2 1");
    expect_rows(BY_ADMIN, REQUESTS "&department_id=999999", "");
    expect_rows(BY_AUDITOR, with_id(REQUESTS "&person_id=", rig.person[BY_OTHER].id), "5 3");
    expect_rows(BY_LOCAL, with_id(REQUESTS "&key_id=", rig.person[BY_USER].key_id), "6 4 2 1");
    expect_rows(BY_ADMIN, REQUESTS "&model=r1%2Fa%26b", "1");
    expect_rows(BY_ADMIN, REQUESTS "&template_id=7", "3 2");
    expect_rows(BY_ADMIN, REQUESTS "&status=failed", "4");
    expect_rows(BY_ADMIN, REQUESTS "&status=finished", "6 5 3 2 1");
    expect_rows(BY_ADMIN, REQUESTS "&status=interrupted", "");
    expect_rows(BY_ADMIN, "/admin/v1/usage/requests?from=2026-11-11&to=2026-11-12", "5 4");
    expect_rows(BY_ADMIN, with_id(REQUESTS "&model=v3&status=finished&person_id=",
                                  rig.person[BY_USER].id), "6 2");
    expect_rows(BY_USER, REQUESTS, "6 4 2 1");
    admin_refused(&rig, BY_USER, "GET", with_id(REQUESTS "&person_id=", rig.person[BY_OTHER].id),
                  NULL, NULL, 404, "not_found");
    expect_rows(BY_USER, with_id(REQUESTS "&key_id=", rig.person[BY_OTHER].key_id), "");
}
END_TEST

START_TEST(a_request_says_all_it_knows)
{
    spend_some();
    json_t *v = get(BY_ADMIN, REQUESTS "&template_id=7&limit=1");
    ck_assert_str_eq(admin_text(v, "data/0/request_id"), "req_3");
    ck_assert_str_eq(admin_text(v, "data/0/status"), "finished");
    ck_assert_int_eq(admin_number(v, "data/0/started_at"), NOON + 120);
    ck_assert_int_eq(admin_number(v, "data/0/finished_at"), NOON + 123);
    ck_assert_int_eq(admin_number(v, "data/0/person_id"), rig.person[BY_OTHER].id);
    ck_assert_int_eq(admin_number(v, "data/0/department_id"), rig.office);
    ck_assert_int_eq(admin_number(v, "data/0/template_version"), 3);
    ck_assert_int_eq(admin_number(v, "data/0/completion_tokens"), 50);
    ck_assert_int_eq(admin_number(v, "data/0/http_status"), 200);
    ck_assert_str_eq(admin_text(v, "data/0/finish_reason"), "stop");
    ck_assert_double_eq(json_number_value(admin_at(v, "data/0/ttft_ms")), 300);
    json_decref(v);
    struct spent open = {"req_7", BY_USER, NOON, rig.line3, "v3", 0, false};
    struct ledger_request *r = begin(&open); /* runs on */
    for (int i = 0; i < 500; i++) {
        v = get(BY_ADMIN, REQUESTS "&status=started");
        if (count(v))
            break;
        json_decref(v);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    ck_assert_str_eq(admin_text(v, "data/0/request_id"), "req_7");
    ck_assert(is_null(v, "data/0/finished_at") && is_null(v, "data/0/duration_ms"));
    ck_assert(is_null(v, "data/0/http_status") && is_null(v, "data/0/ttft_ms"));
    json_decref(v);
    finish(r, &open);
    wait_landed(1);
}
END_TEST

START_TEST(bad_questions_name_what_is_bad)
{
    static const struct {
        const char *query, *field;
    } both[] = {{"from=yesterday", "from"},
                {"from=2026-13-01", "from"},
                {"from=2026-11-10T25:00:00Z", "from"},
                {"from=-5", "from"},
                {"to=%E6%98%8E%E5%A4%A9", "to"},
                {"to=99999999999999", "to"},
                {"from=2026-11-13&to=2026-11-10", "to"},
                {"department_id=0", "department_id"},
                {"person_id=anna.admin", "person_id"},
                {"key_id=-1", "key_id"},
                {"template_id=9223372036854775808", "template_id"},
                {"limit=0", "limit"},
                {"limit=501", "limit"},
                {"limit=1e2", "limit"},
                {"after=x", "after"},
                {"after=1.2", "after"},
                {"after=-1.-2", "after"},
                {"format=xml", "format"},
                {"colour=1", "colour"}};
    for (size_t i = 0; i < sizeof both / sizeof both[0]; i++) {
        if (strcmp(both[i].query, "after=1.2")) /* which is a place in the other list */
            names_field(BY_ADMIN, join("/admin/v1/usage/requests?", both[i].query), both[i].field);
        names_field(BY_ADMIN, join("/admin/v1/usage/totals?", both[i].query), both[i].field);
    }
    names_field(BY_ADMIN, REQUESTS "&status=done", "status");
    names_field(BY_ADMIN, REQUESTS "&by=person", "by");
    names_field(BY_ADMIN, REQUESTS "&after=1.2.3", "after");
    names_field(BY_ADMIN, TOTALS "&by=team", "by");
    names_field(BY_ADMIN, TOTALS "&split=week", "split");
    names_field(BY_ADMIN, TOTALS "&status=failed", "status");
    names_field(BY_ADMIN, TOTALS "&after=1.2.3.4", "after");
    names_field(BY_ADMIN, TOTALS "&after=1.2.3.zz", "after");
    names_field(BY_ADMIN, "/admin/v1/usage/totals?from=2026-01-01&to=2026-11-01&split=minute",
                "split");
    admin_refused(&rig, BY_NOBODY, "GET", TOTALS, NULL, NULL, 401, "missing_api_key");
    admin_refused(&rig, BY_ADMIN, "POST", TOTALS, NULL, "{}", 405, "method_not_allowed");
}
END_TEST

/* ---- pages ------------------------------------------------------------------------------------ */

/* Between two pages rows come in: newer ones, and some of the very moment the page ended at. Of
 * those that were there none is lost, and none comes twice. */
START_TEST(pages_of_requests_hold_still)
{
    enum { N = 40 };
    unsigned seen[N] = {0}, others = 0;
    char after[100] = "";
    spend_many("old", N, BY_USER, NOON);
    for (int page = 0; page < 20; page++) {
        char path[300], prefix[16];
        snprintf(path, sizeof path, REQUESTS "&limit=7&after=%s", after);
        json_t *v = get(BY_ADMIN, path);
        for (size_t i = 0; i < count(v); i++) {
            const char *id = admin_text(json_array_get(admin_at(v, "data"), i), "request_id");
            unsigned n;
            if (sscanf(id, "req_old_%u", &n) == 1)
                seen[n]++;
            else
                others++;
        }
        snprintf(after, sizeof after, "%s", admin_text(v, "next"));
        json_decref(v);
        if (!*after)
            break;
        snprintf(prefix, sizeof prefix, "same%d", page);
        spend_many(prefix, 3, BY_USER, NOON);
        snprintf(prefix, sizeof prefix, "new%d", page);
        spend_many(prefix, 3, BY_OTHER, NOON + 100 + page);
    }
    ck_assert_str_eq(after, "");
    ck_assert_uint_eq(others, 0);
    for (unsigned i = 0; i < N; i++)
        ck_assert_msg(seen[i] == 1, "row %u came %u times", i, seen[i]);
}
END_TEST

START_TEST(pages_of_totals_hold_still)
{
    int64_t last = 0, before = 0;
    char after[700] = "", prefix[16];
    int pages = 0;
    for (int who = 0; who < BY_PERSONS; who++) {
        snprintf(prefix, sizeof prefix, "a%d", who);
        spend_many(prefix, 2, (enum admin_who)who, NOON);
    }
    do {
        json_t *v = get(BY_ADMIN, join(TOTALS "&by=person&limit=1&after=", after));
        ck_assert_uint_eq(count(v), 1);
        ck_assert_int_gt(admin_number(v, "data/0/id"), last);
        last = admin_number(v, "data/0/id");
        ck_assert_int_ge(admin_number(v, "data/0/requests"), 2);
        before += admin_number(v, "data/0/requests");
        snprintf(after, sizeof after, "%s", admin_text(v, "next"));
        json_decref(v);
        snprintf(prefix, sizeof prefix, "b%d", pages);
        spend_many(prefix, 1, BY_ADMIN, NOON + 1); /* the first line, which was read */
        pages++;
    } while (*after && pages < 20);
    ck_assert_int_eq(pages, BY_PERSONS);
    ck_assert_int_eq(before, 2 * BY_PERSONS);
    /* Models are cursors too, whatever they are called. */
    const struct spent odd[] = {{"req_o1", BY_USER, NOON, rig.line3, "a&b=c#d", 0, false},
                                {"req_o2", BY_USER, NOON, rig.line3, "模型 一", 0, false}};
    spend(odd, 2);
    char seen[100] = "";
    pages = 0;
    after[0] = '\0';
    do {
        json_t *v = get(BY_ADMIN, join(TOTALS "&by=model&limit=1&after=", after));
        size_t n = strlen(seen);
        snprintf(seen + n, sizeof seen - n, "%s", admin_text(v, "data/0/model"));
        snprintf(after, sizeof after, "%s", admin_text(v, "next"));
        json_decref(v);
    } while (*after && ++pages < 9);
    ck_assert_str_eq(seen, "a&b=c#dv3模型 一");
}
END_TEST

/* ---- CSV -------------------------------------------------------------------------------------- */

/* Reads one cell as RFC 4180 has it; *end = ',', '\n' behind CRLF, or 0 at the end of the file. */
static const char *read_cell(const char *s, struct buf *out, char *end)
{
    buf_clear(out);
    if (*s == '"') {
        for (s++; *s != '"' || s[1] == '"'; s++) {
            ck_assert_msg(*s, "an open quote");
            s += *s == '"';
            buf_putc(out, *s);
        }
        s++;
    } else {
        for (; *s && *s != ',' && *s != '\r'; s++) {
            ck_assert_msg(*s != '"' && *s != '\n', "a bare quote or line feed");
            buf_putc(out, *s);
        }
    }
    if (*s == '\r')
        s++;
    *end = *s;
    ck_assert_msg(!*s || *s == ',' || *s == '\n', "text behind a cell: %.20s", s);
    return *s ? s + 1 : s;
}

/* The cell of that row (0 = head) in the column of that name; "" when there is none. */
static const char *cell(const char *csv, unsigned row, const char *column)
{
    static char text[400];
    const char *s = csv;
    int wanted = -1;
    char end = 0;
    struct buf b;
    buf_init(&b, 1 << 20);
    text[0] = '\0';
    ck_assert_msg(!strncmp(s, "\xEF\xBB\xBF", 3), "no byte order mark");
    s += 3;
    for (unsigned r = 0; *s && r <= row; r++) {
        for (int i = 0; *s; i++) {
            s = read_cell(s, &b, &end);
            if (r == 0 && !strcmp(buf_str(&b), column))
                wanted = i;
            if (r == row && i == wanted)
                snprintf(text, sizeof text, "%s", buf_str(&b));
            if (end != ',')
                break;
        }
    }
    ck_assert_msg(wanted >= 0, "no column %s", column);
    buf_release(&b);
    return text;
}

/* Rows without the head; every one has as many cells. */
static unsigned csv_rows(const char *csv)
{
    unsigned rows = 0, cells = 0, first = 0;
    char end = 0;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (const char *s = csv; *s;) {
        s = read_cell(s, &b, &end);
        cells++;
        if (end == ',')
            continue;
        first = rows ? first : cells;
        ck_assert_uint_eq(cells, first);
        ck_assert_int_eq(end, '\n');
        cells = 0;
        rows++;
    }
    buf_release(&b);
    return rows - 1;
}

/* The file at `path`, in r->last; `name` of its Content-Disposition. */
static const char *csv_of(enum admin_who who, const char *path, const char *name)
{
    char value[200], want[200];
    admin_send(&rig, who, "GET", path, NULL, NULL);
    ck_assert_msg(rig.last.status == 200, "%s: %s", path, buf_str(&rig.last.body));
    ck_assert(http_reply_header(&rig.last, "Content-Type", value, sizeof value));
    ck_assert_str_eq(value, "text/csv; charset=utf-8");
    snprintf(want, sizeof want, "attachment; filename=\"%s\"", name);
    ck_assert(http_reply_header(&rig.last, "Content-Disposition", value, sizeof value));
    ck_assert_str_eq(value, want);
    return buf_str(&rig.last.body);
}

/* What a spreadsheet would run, or what would break the file, arrives as plain text. */
START_TEST(csv_is_plain_text)
{
    static const struct {
        const char *model, *want;
    } odd[] = {{"=HYPERLINK(\"http://x\",\"y\")", "'=HYPERLINK(\"http://x\",\"y\")"},
               {"+1", "'+1"},
               {"-1+1", "'-1+1"},
               {"@sum(a1)", "'@sum(a1)"},
               {"\t=1", "'\t=1"},
               {"＝1+1", "'＝1+1"},
               {"a,b;\"c\"\r\nd", "a,b;\"c\"\r\nd"},
               {"模型 一", "模型 一"}};
    enum { N = sizeof odd / sizeof odd[0] };
    for (int i = 0; i < N; i++) {
        char id[16];
        struct spent s = {id, BY_USER, NOON + i, rig.line3, odd[i].model, 0, false};
        snprintf(id, sizeof id, "req_%d", i);
        spend(&s, 1);
    }
    const char *csv = csv_of(BY_ADMIN, REQUESTS "&format=csv",
                             "usage-requests-2026-11-10-2026-11-12.csv");
    ck_assert_uint_eq(csv_rows(csv), N);
    for (unsigned i = 0; i < N; i++) /* newest first */
        ck_assert_str_eq(cell(csv, N - i, "model"), odd[i].want);
    ck_assert_str_eq(cell(csv, N, "started"), "2026-11-10 12:00:00");
    ck_assert_str_eq(cell(csv, N, "finished"), "2026-11-10 12:00:03");
    ck_assert_str_eq(cell(csv, N, "request_id"), "req_0");
    ck_assert_str_eq(cell(csv, N, "template_id"), "");
    ck_assert_str_eq(cell(csv, N, "completion_tokens"), "50");
    ck_assert_str_eq(cell(csv, N, "ttft_ms"), "300");
    ck_assert_str_eq(cell(csv, N, "duration_ms"), "3000");
    csv = csv_of(BY_ADMIN, TOTALS "&by=model&format=csv", "usage-totals-2026-11-10-2026-11-12.csv");
    ck_assert_uint_eq(csv_rows(csv), N);
    unsigned found = 0;
    for (unsigned row = 1; row <= N; row++)
        for (unsigned i = 0; i < N; i++)
            found += !strcmp(cell(csv, row, "model"), odd[i].want);
    ck_assert_uint_eq(found, N);
}
END_TEST

START_TEST(csv_has_names_and_filters)
{
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                           admin_body("{s:s, s:[s], s:I}", "name", "=cmd|'/c calc'!A1", "scopes",
                                      "infer", "person_id", (json_int_t)rig.person[BY_USER].id),
                           201);
    struct spent s = {"req_key", BY_USER, NOON, rig.line3, "v3", 0, false};
    int64_t own = rig.person[BY_USER].key_id;
    rig.person[BY_USER].key_id = admin_number(v, "id");
    ck_assert_int_gt(rig.person[BY_USER].key_id, own);
    spend(&s, 1);
    rig.person[BY_USER].key_id = own;
    json_decref(v);
    spend_some();
    const char *name = "usage-totals-2026-11-10-2026-11-12.csv";
    const char *csv = csv_of(BY_ADMIN, TOTALS "&by=key&format=csv", name);
    ck_assert_uint_eq(csv_rows(csv), 3);
    ck_assert_str_eq(cell(csv, 3, "name"), "'=cmd|'/c calc'!A1");
    csv = csv_of(BY_ADMIN, TOTALS "&by=person&split=day&format=csv", name);
    ck_assert_uint_eq(csv_rows(csv), 5);
    ck_assert_str_eq(cell(csv, 1, "name"), "王伟");
    ck_assert_str_eq(cell(csv, 1, "time"), "2026-11-10 00:00:00");
    ck_assert_str_eq(cell(csv, 1, "requests"), "3");
    ck_assert_str_eq(cell(csv, 3, "time"), "2026-11-11 00:00:00");
    ck_assert_str_eq(cell(csv, 3, "failed"), "1");
    ck_assert_str_eq(cell(csv, 3, "duration_ms"), "3000");
    csv = csv_of(BY_USER, TOTALS "&by=person&format=csv", name); /* their own only */
    ck_assert_uint_eq(csv_rows(csv), 1);
    csv = csv_of(BY_ADMIN, TOTALS "&by=person&model=none&format=csv", name);
    ck_assert_uint_eq(csv_rows(csv), 0);
    csv = csv_of(BY_ADMIN, REQUESTS "&status=failed&format=csv",
                 "usage-requests-2026-11-10-2026-11-12.csv");
    ck_assert_uint_eq(csv_rows(csv), 1);
    ck_assert_str_eq(cell(csv, 1, "request_id"), "req_4");
}
END_TEST

/* Beside every number what it stands for; nothing where the thing is not (or not any more). */
START_TEST(requests_name_whom_and_what)
{
    admin_expect(&rig, BY_EDITOR, "POST", "/admin/v1/templates", NULL,
                 "{\"name\":\"line/report\",\"note\":\"first\",\"content\":{\"messages\":"
                 "[{\"role\":\"user\",\"content\":\"Report.\"}]}}", 201);
    json_t *v = admin_call(&rig, BY_ADMIN, "POST", "/admin/v1/keys", NULL,
                           admin_body("{s:s, s:[s], s:I}", "name", "=1+1", "scopes", "infer",
                                      "person_id", (json_int_t)rig.person[BY_USER].id),
                           201);
    int64_t own = rig.person[BY_USER].key_id;
    rig.person[BY_USER].key_id = admin_number(v, "id");
    json_decref(v);
    const struct spent some[] = {{"req_1", BY_USER, NOON, rig.line3, "v3", 1, false},
                                 {"req_2", BY_OTHER, NOON + 60, rig.office, "v3", 99, false},
                                 {"req_3", BY_USER, NOON + 120, rig.line3, "v3", 0, false}};
    struct ledger_request *unfinished = begin(&some[2]);
    spend(&some[0], 2); /* their rows are written behind it */
    rig.person[BY_USER].key_id = own;
    const char *csv = csv_of(BY_ADMIN, REQUESTS "&format=csv",
                             "usage-requests-2026-11-10-2026-11-12.csv");
    ck_assert_uint_eq(csv_rows(csv), 3);
    ck_assert_str_eq(cell(csv, 3, "person"), "王伟");
    ck_assert_str_eq(cell(csv, 3, "key"), "'=1+1");
    ck_assert_str_eq(cell(csv, 3, "department"), "Works/Line 3");
    ck_assert_str_eq(cell(csv, 3, "template"), "line/report");
    ck_assert_str_eq(cell(csv, 3, "template_id"), "1");
    ck_assert_str_eq(cell(csv, 2, "person"), "olga.other");
    ck_assert_str_eq(cell(csv, 2, "department"), "Office");
    ck_assert_str_eq(cell(csv, 2, "template"), "");
    ck_assert_str_eq(cell(csv, 2, "template_id"), "99");
    ck_assert_str_eq(cell(csv, 1, "request_id"), "req_3");
    ck_assert_str_eq(cell(csv, 1, "duration_ms"), "");
    finish(unfinished, &some[2]);
    wait_landed(1);
}
END_TEST

/* More rows than one page of the file has, all of one moment. */
START_TEST(csv_is_whole)
{
    enum { N = 2500 };
    static bool seen[N];
    memset(seen, 0, sizeof seen);
    spend_many("csv", N, BY_USER, NOON);
    const char *s = csv_of(BY_ADMIN, REQUESTS "&limit=3&format=csv",
                           "usage-requests-2026-11-10-2026-11-12.csv");
    ck_assert_uint_eq(csv_rows(s), N);
    for (unsigned n; (s = strstr(s, "req_csv_")) != NULL; s++) {
        ck_assert_int_eq(sscanf(s, "req_csv_%u", &n), 1);
        ck_assert(n < N && !seen[n]);
        seen[n] = true;
    }
    for (unsigned i = 0; i < N; i++)
        ck_assert(seen[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin usage");
    TCase *tc = tcase_create("own");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, everybody_sees_their_own);
    tcase_add_test(tc, periods_of_ones_own);
    tcase_add_test(tc, pages_of_ones_own);
    tcase_add_test(tc, ones_own_refuses_the_rest);
    suite_add_tcase(s, tc);
    tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, totals_by_everything);
    tcase_add_test(tc, totals_take_every_filter);
    tcase_add_test(tc, requests_take_every_filter);
    tcase_add_test(tc, a_request_says_all_it_knows);
    tcase_add_test(tc, bad_questions_name_what_is_bad);
    suite_add_tcase(s, tc);
    tc = tcase_create("pages");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, pages_of_requests_hold_still);
    tcase_add_test(tc, pages_of_totals_hold_still);
    suite_add_tcase(s, tc);
    tc = tcase_create("csv");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, csv_is_plain_text);
    tcase_add_test(tc, csv_has_names_and_filters);
    tcase_add_test(tc, requests_name_whom_and_what);
    tcase_add_test(tc, csv_is_whole);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
