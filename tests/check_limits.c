/* Limits: windows, budgets, calendars, trees of departments, soft and hard, clocks that jump (promise
 * R15), rebuilding, and the rows behind them. Time is the test's own. */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger_rig.h"
#include "usage/calendar.h"
#include "usage/ledger.h"
#include "usage/limits.h"
#include "usage/quota.h"

static const int64_t NOON = 1795406400; /* 2026-11-23 12:00 in Shanghai, a Monday */

static struct rig rig;
static struct limits *limits;
static atomic_int_least64_t mono_s, wall_s;

static uint64_t test_now_us(void *ctx)
{
    (void)ctx;
    return (uint64_t)atomic_load(&mono_s) * 1000000;
}

static int64_t test_wall_s(void *ctx)
{
    (void)ctx;
    return atomic_load(&wall_s);
}

static void pass(int64_t seconds)
{
    atomic_fetch_add(&mono_s, seconds);
    atomic_fetch_add(&wall_s, seconds);
}

static void set_up(void)
{
    struct limits_clock clock = {test_now_us, test_wall_s, NULL};
    setenv("TZ", "Asia/Shanghai", 1);
    rig_open(&rig);
    rig_write(&rig, "INSERT INTO department (id, parent_id, name, created_at) VALUES"
                    " (1, NULL, 'all', 0), (2, 1, 'shop', 0), (3, 2, 'line', 0), (4, 1, 'office', 0)");
    rig_write(&rig, "INSERT INTO person (id, login, department_id, roles, source, created_at) VALUES"
                    " (1, 'li', 3, 16, 'local', 0), (2, 'wang', 4, 16, 'local', 0)");
    rig_write(&rig, "INSERT INTO api_key (id, public_id, secret_hash, name, person_id, scopes,"
                    " created_at) VALUES (11, 'aaaaaaaa', zeroblob(32), 'k', 1, 1, 0)");
    atomic_store(&mono_s, 1000);
    atomic_store(&wall_s, NOON);
    limits = limits_create(&clock);
}

static void tear_down(void)
{
    limits_destroy(&limits);
    rig_close(&rig);
}

static void load(void)
{
    struct err e = ERR_INIT;
    ck_assert_msg(limits_load(limits, rig.store, &e), "%s", e.msg);
}

static struct quota no_limits(enum quota_subject kind, int64_t id)
{
    struct quota q = {.kind = kind, .subject_id = id};
    for (int i = 0; i < QUOTA_LIMIT_COUNT; i++)
        q.limit[i] = QUOTA_NONE;
    return q;
}

static void put(struct quota *q)
{
    struct err e = ERR_INIT;
    ck_assert_msg(quota_put(rig.store, &RIG_ACTOR, q, "", &e), "%s", e.msg);
    load();
}

/* A row with one limit. */
static struct quota limit(enum quota_subject kind, int64_t id, enum quota_limit which, int64_t most)
{
    struct quota q = no_limits(kind, id);
    q.limit[which] = most;
    put(&q);
    return q;
}

static const struct limits_ask LI = {.key_id = 11, .person_id = 1, .department_id = 3, .tokens = 10};
static const struct limits_ask WANG = {.person_id = 2, .department_id = 4, .tokens = 10};

static bool admit(const struct limits_ask *ask, uint64_t tokens, struct limits_ticket *t,
                  struct limits_refusal *why)
{
    struct limits_ask a = *ask;
    a.tokens = tokens;
    return limits_admit(limits, &a, t, why);
}

/* Comes in and is done at once. */
static bool run(const struct limits_ask *ask, uint64_t tokens, struct limits_refusal *why)
{
    struct limits_ticket t;
    if (!admit(ask, tokens, &t, why))
        return false;
    limits_settle(limits, &t, tokens);
    return true;
}

/* ---- windows ----------------------------------------------------------------------------------- */

START_TEST(nothing_is_limited_without_rows)
{
    struct limits_ticket t;
    struct limits_refusal why;
    load();
    for (int i = 0; i < 1000; i++)
        ck_assert(admit(&LI, UINT64_MAX, &t, &why));
    ck_assert_uint_eq(t.weight, LIMITS_FULL_WEIGHT);
    ck_assert_uint_eq(t.n, 0);
}
END_TEST

START_TEST(requests_per_minute_slide)
{
    struct limits_refusal why;
    limit(QUOTA_PERSON, 1, QUOTA_REQUESTS_PER_MINUTE, 6);
    for (int i = 0; i < 6; i++) { /* one every 5 seconds */
        ck_assert(run(&LI, 1, &why));
        pass(5);
    }
    ck_assert(!run(&LI, 1, &why));
    ck_assert_int_eq(why.kind, QUOTA_PERSON);
    ck_assert_int_eq(why.subject_id, 1);
    ck_assert_int_eq(why.limit, QUOTA_REQUESTS_PER_MINUTE);
    ck_assert_int_eq(why.most, 6);
    ck_assert_int_eq(why.used, 6);
    ck_assert_uint_eq(why.retry_after_s, 30); /* the first was 30 seconds ago */
    ck_assert_int_eq(why.retry_at, atomic_load(&wall_s) + 30);
    pass(29);
    ck_assert(!run(&LI, 1, &why));
    ck_assert_uint_eq(why.retry_after_s, 1);
    pass(1);
    ck_assert(run(&LI, 1, &why));
    ck_assert(!run(&LI, 1, &why));
    ck_assert_uint_eq(why.retry_after_s, 5);
    ck_assert(run(&WANG, 1, &why));
}
END_TEST

START_TEST(tokens_are_reserved_and_settled)
{
    struct limits_ticket t;
    struct limits_refusal why;
    limit(QUOTA_KEY, 11, QUOTA_TOKENS_PER_MINUTE, 1000);
    ck_assert(admit(&LI, 900, &t, &why));
    ck_assert(!run(&LI, 200, &why));
    ck_assert_int_eq(why.used, 900);
    limits_settle(limits, &t, 300); /* it used less */
    ck_assert(run(&LI, 700, &why));
    ck_assert(!run(&LI, 1, &why));
    pass(60);
    ck_assert(admit(&LI, 5000, &t, &why)); /* never fits: comes in when the window is empty */
    ck_assert(!run(&LI, 1, &why));
    ck_assert_uint_eq(why.retry_after_s, 60);
    limits_undo(limits, &t);
    ck_assert(run(&LI, 1000, &why));
    pass(30);
    ck_assert(!run(&LI, 5000, &why));
    ck_assert_uint_eq(why.retry_after_s, 30);
}
END_TEST

START_TEST(settling_late_touches_no_other_window)
{
    struct limits_ticket t;
    struct limits_refusal why;
    struct limits_state st;
    limit(QUOTA_KEY, 11, QUOTA_TOKENS_PER_MINUTE, 1000);
    ck_assert(admit(&LI, 900, &t, &why));
    pass(120);
    ck_assert(run(&LI, 800, &why));
    limits_settle(limits, &t, 900);
    ck_assert(limits_look(limits, QUOTA_KEY, 11, &st));
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_MINUTE], 800);
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_DAY], 1700);
}
END_TEST

START_TEST(parallel_counts_what_runs)
{
    struct limits_ticket a, b, c;
    struct limits_refusal why;
    limit(QUOTA_KEY, 11, QUOTA_PARALLEL, 2);
    ck_assert(admit(&LI, 1, &a, &why));
    ck_assert(admit(&LI, 1, &b, &why));
    ck_assert(!admit(&LI, 1, &c, &why));
    ck_assert_int_eq(why.limit, QUOTA_PARALLEL);
    ck_assert_uint_eq(why.retry_after_s, 1);
    limits_settle(limits, &c, 1); /* a refused ticket holds nothing */
    ck_assert(!admit(&LI, 1, &c, &why));
    limits_settle(limits, &a, 1);
    ck_assert(admit(&LI, 1, &c, &why));
    limits_undo(limits, &b);
    limits_undo(limits, &c);
    struct limits_state st;
    ck_assert(limits_look(limits, QUOTA_KEY, 11, &st));
    ck_assert_int_eq(st.used[QUOTA_PARALLEL], 0);
    ck_assert_int_eq(st.used[QUOTA_REQUESTS_PER_MINUTE], 1); /* only `a` ran */
}
END_TEST

START_TEST(nothing_is_counted_when_one_row_refuses)
{
    struct limits_refusal why;
    struct limits_state st;
    limit(QUOTA_KEY, 11, QUOTA_TOKENS_PER_DAY, 100000);
    limit(QUOTA_DEPARTMENT, 1, QUOTA_REQUESTS_PER_MINUTE, 0);
    ck_assert(!run(&LI, 1, &why));
    ck_assert_int_eq(why.kind, QUOTA_DEPARTMENT);
    ck_assert(limits_look(limits, QUOTA_KEY, 11, &st));
    ck_assert_int_eq(st.used[QUOTA_REQUESTS_PER_MINUTE], 0);
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_DAY], 0);
    ck_assert(!limits_look(limits, QUOTA_KEY, 12, &st));
}
END_TEST

/* ---- budgets ----------------------------------------------------------------------------------- */

START_TEST(a_day_ends_at_midnight)
{
    struct limits_refusal why;
    limit(QUOTA_PERSON, 1, QUOTA_TOKENS_PER_DAY, 1000);
    ck_assert(run(&LI, 600, &why));
    ck_assert(!run(&LI, 401, &why));
    ck_assert_int_eq(why.limit, QUOTA_TOKENS_PER_DAY);
    ck_assert_uint_eq(why.retry_after_s, 12 * 3600);
    ck_assert_int_eq(why.retry_at, NOON + 12 * 3600);
    ck_assert(run(&LI, 400, &why));
    pass(12 * 3600 - 1);
    ck_assert(!run(&LI, 1, &why));
    ck_assert_uint_eq(why.retry_after_s, 1);
    pass(1);
    ck_assert(run(&LI, 1000, &why));
}
END_TEST

START_TEST(a_month_ends_with_its_last_day)
{
    struct limits_refusal why;
    limit(QUOTA_PERSON, 1, QUOTA_TOKENS_PER_MONTH, 1000);
    ck_assert(run(&LI, 1000, &why));
    pass(3 * 86400);
    ck_assert(!run(&LI, 1, &why));
    ck_assert_int_eq(why.limit, QUOTA_TOKENS_PER_MONTH);
    ck_assert_int_eq(why.retry_at, NOON + 12 * 3600 + 7 * 86400); /* 1 December */
    pass(5 * 86400);
    ck_assert(run(&LI, 1000, &why));
}
END_TEST

START_TEST(a_department_counts_its_subtree)
{
    struct limits_refusal why;
    limit(QUOTA_DEPARTMENT, 2, QUOTA_TOKENS_PER_DAY, 100);
    limit(QUOTA_DEPARTMENT, 1, QUOTA_TOKENS_PER_DAY, 150);
    ck_assert(run(&LI, 100, &why));
    ck_assert(!run(&LI, 1, &why)); /* the shop is used up, the house is not */
    ck_assert_int_eq(why.subject_id, 2);
    ck_assert(run(&WANG, 50, &why));
    ck_assert(!run(&WANG, 1, &why));
    ck_assert_int_eq(why.subject_id, 1);
}
END_TEST

START_TEST(soft_limits_slow_down)
{
    struct limits_ticket t;
    struct limits_refusal why;
    struct quota q = no_limits(QUOTA_PERSON, 1);
    q.limit[QUOTA_TOKENS_PER_DAY] = 100;
    q.soft = true;
    put(&q);
    ck_assert(admit(&LI, 100, &t, &why));
    ck_assert_uint_eq(t.weight, LIMITS_FULL_WEIGHT);
    ck_assert(admit(&LI, 1, &t, &why));
    ck_assert_uint_eq(t.weight, LIMITS_FULL_WEIGHT / 4);
    struct quota d = no_limits(QUOTA_DEPARTMENT, 1);
    d.limit[QUOTA_PARALLEL] = 0;
    d.soft = true;
    put(&d);
    ck_assert(admit(&LI, 1, &t, &why));
    ck_assert_uint_eq(t.weight, LIMITS_FULL_WEIGHT / 16);
}
END_TEST

START_TEST(the_longest_wait_is_named)
{
    struct limits_refusal why;
    limit(QUOTA_KEY, 11, QUOTA_REQUESTS_PER_MINUTE, 1);
    limit(QUOTA_PERSON, 1, QUOTA_TOKENS_PER_DAY, 5);
    ck_assert(run(&LI, 5, &why));
    ck_assert(!run(&LI, 1, &why));
    ck_assert_int_eq(why.limit, QUOTA_TOKENS_PER_DAY);
}
END_TEST

/* ---- calendars --------------------------------------------------------------------------------- */

static const char HOURS[] = "{\"mon\":[[\"08:30\",\"12:00\"],[\"13:00\",\"17:30\"]],"
                            "\"tue\":[[\"08:30\",\"12:00\"]],\"sun\":[[\"22:00\",\"24:00\"]]}";

static int64_t make_calendar(const char *hours)
{
    struct quota_calendar c = {.name = "work", .hours = hours};
    struct err e = ERR_INIT;
    ck_assert_msg(quota_calendar_put(rig.store, &RIG_ACTOR, &c, "", &e), "%s", e.msg);
    ck_assert_int_eq(c.revision, 1);
    return c.id;
}

START_TEST(calendars_are_parsed)
{
    struct calendar c;
    struct err e = ERR_INIT;
    int until;
    ck_assert_msg(calendar_parse(HOURS, &c, &e), "%s", e.msg);
    ck_assert(!calendar_open(&c, 1, 8 * 60 + 29, &until));
    ck_assert_int_eq(until, 8 * 60 + 30);
    ck_assert(calendar_open(&c, 1, 8 * 60 + 30, &until));
    ck_assert_int_eq(until, 12 * 60);
    ck_assert(!calendar_open(&c, 1, 12 * 60, &until));
    ck_assert_int_eq(until, 13 * 60);
    ck_assert(!calendar_open(&c, 1, 17 * 60 + 30, &until));
    ck_assert_int_eq(until, 1440);
    ck_assert(calendar_open(&c, 0, 1439, &until));
    ck_assert_int_eq(until, 1440);
    ck_assert(!calendar_open(&c, 3, 720, NULL));
    static const char *const bad[] = {
        "", "[]", "{\"day\":[]}", "{\"mon\":1}", "{\"mon\":[[\"8:30\",\"12:00\"]]}",
        "{\"mon\":[[\"12:00\",\"12:00\"]]}", "{\"mon\":[[\"12:00\",\"24:01\"]]}",
        "{\"mon\":[[\"12:60\",\"13:00\"]]}", "{\"mon\":[[\"12:00\"]]}",
        "{\"mon\":[[\"10:00\",\"12:00\"],[\"11:59\",\"13:00\"]]}", "{\"mon\":[],\"mon\":[]}",
        "{\"mon\":[[\"01:00\",\"02:00\",\"03:00\"]]}", "{\"mon\":[1]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!calendar_parse(bad[i], &c, &e), "%s", bad[i]);
}
END_TEST

START_TEST(a_limit_counts_in_its_hours_only)
{
    struct limits_refusal why;
    struct quota q = no_limits(QUOTA_PERSON, 1);
    q.limit[QUOTA_TOKENS_PER_DAY] = 100;
    q.calendar_id = make_calendar(HOURS);
    put(&q);
    ck_assert(run(&LI, 5000, &why)); /* Monday 12:00: the break */
    pass(3600);
    ck_assert(run(&LI, 100, &why)); /* 13:00 */
    ck_assert(!run(&LI, 1, &why));
    ck_assert_uint_eq(why.retry_after_s, 4 * 3600 + 1800); /* at 17:30 it no longer holds */
    pass(4 * 3600 + 1800);
    ck_assert(run(&LI, 5000, &why));
    pass(15 * 3600); /* Tuesday 08:30 */
    ck_assert(run(&LI, 100, &why));
    ck_assert(!run(&LI, 1, &why));
    ck_assert_uint_eq(why.retry_after_s, 3 * 3600 + 1800);
}
END_TEST

/* ---- clocks ------------------------------------------------------------------------------------ */

START_TEST(jumping_clocks_leave_nobody_stuck)
{
    struct limits_refusal why;
    struct quota q = no_limits(QUOTA_PERSON, 1);
    q.limit[QUOTA_REQUESTS_PER_MINUTE] = 50;
    q.limit[QUOTA_TOKENS_PER_DAY] = 100;
    put(&q);
    ck_assert(run(&LI, 100, &why));
    ck_assert(!run(&LI, 1, &why));
    for (int i = 0; i < 30; i++) { /* -1 day ... +1 day, and back */
        int64_t jump = (i - 15) * 6000;
        atomic_fetch_add(&wall_s, jump);
        if (!run(&LI, 1, &why)) {
            ck_assert_uint_ge(why.retry_after_s, 1);
            ck_assert_uint_le(why.retry_after_s, 86400);
        }
        atomic_fetch_sub(&wall_s, jump);
        ck_assert(!run(&LI, 1, &why)); /* today is still used up */
        ck_assert_uint_eq(why.retry_after_s, 12 * 3600);
        pass(0);
    }
    static const int64_t far[] = {-400 * 86400LL, 400 * 86400LL, 3 * 86400LL, -2 * 86400LL};
    for (int i = 0; i < 4; i++) {
        atomic_store(&wall_s, NOON + far[i]);
        pass(61);
        ck_assert_msg(run(&LI, 60, &why), "jump %d", i);
        ck_assert(!run(&LI, 60, &why));
        ck_assert_uint_le(why.retry_after_s, 86400);
    }
    /* a monotonic clock that starts anew (it never does): windows do not hold anybody either */
    atomic_store(&mono_s, 5);
    atomic_store(&wall_s, NOON + 9 * 86400LL);
    ck_assert(run(&LI, 1, &why));
}
END_TEST

/* ---- loading ----------------------------------------------------------------------------------- */

/* Totals of one minute, with its hour and day left out but for the day. */
START_TEST(budgets_are_rebuilt_from_the_totals)
{
    struct limits_refusal why;
    struct limits_state st;
    static const char *const rows[] = {
        /* day totals: today, yesterday, last month, and Wang's today */
        "INSERT INTO usage_total SELECT 'day', 1795363200, 3, 1, 11, 'm', 0, 0, 1, 0, 30, 0, 10, 0,"
        " 0, 0, 0",
        "INSERT INTO usage_total SELECT 'day', 1795276800, 3, 1, 11, 'm', 0, 0, 1, 0, 100, 0, 0, 0,"
        " 0, 0, 0",
        "INSERT INTO usage_total SELECT 'day', 1793000000, 3, 1, 11, 'm', 0, 0, 1, 0, 7777, 0, 0, 0,"
        " 0, 0, 0",
        "INSERT INTO usage_total SELECT 'day', 1795363200, 4, 2, 0, 'm', 0, 0, 1, 0, 5, 0, 0, 0, 0,"
        " 0, 0",
        /* minutes: Monday 11:59 inside the hours, 12:00 not, Sunday 23:00 inside, 21:59 not */
        "INSERT INTO usage_total SELECT 'minute', 1795406340, 3, 1, 11, 'm', 0, 0, 1, 0, 20, 0, 0, 0,"
        " 0, 0, 0",
        "INSERT INTO usage_total SELECT 'minute', 1795406400, 3, 1, 11, 'm', 0, 0, 1, 0, 20, 0, 0, 0,"
        " 0, 0, 0",
        "INSERT INTO usage_total SELECT 'minute', 1795359600, 3, 1, 11, 'm', 0, 0, 1, 0, 1, 0, 2, 0,"
        " 0, 0, 0",
        "INSERT INTO usage_total SELECT 'minute', 1795355940, 3, 1, 11, 'm', 0, 0, 1, 0, 50, 0, 0, 0,"
        " 0, 0, 0"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rig_write(&rig, rows[i]);
    limit(QUOTA_PERSON, 1, QUOTA_TOKENS_PER_DAY, 100);
    limit(QUOTA_DEPARTMENT, 1, QUOTA_TOKENS_PER_MONTH, 1000);
    struct quota q = no_limits(QUOTA_KEY, 11);
    q.limit[QUOTA_TOKENS_PER_MONTH] = 1000;
    q.calendar_id = make_calendar(HOURS);
    put(&q);
    ck_assert(limits_look(limits, QUOTA_PERSON, 1, &st));
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_DAY], 40);
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_MONTH], 140);
    ck_assert(limits_look(limits, QUOTA_DEPARTMENT, 1, &st));
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_DAY], 45);
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_MONTH], 145);
    ck_assert(limits_look(limits, QUOTA_KEY, 11, &st));
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_DAY], 20);
    ck_assert_int_eq(st.used[QUOTA_TOKENS_PER_MONTH], 23);
    ck_assert(!st.open);
    ck_assert(!run(&LI, 61, &why));
    ck_assert(run(&LI, 60, &why));
}
END_TEST

/* What the ledger writes and what a new process counts is what the old one had counted. */
START_TEST(a_restart_changes_no_budget)
{
    struct ledger *ledger;
    struct limits_ticket t;
    struct limits_refusal why;
    struct limits_state before, after;
    uint64_t interrupted;
    limit(QUOTA_PERSON, 1, QUOTA_TOKENS_PER_DAY, 100000);
    ck_assert(ledger_open(rig.store, NULL, &ledger, &interrupted, NULL));
    for (int i = 0; i < 50; i++) {
        char id[16];
        struct ledger_request *r;
        snprintf(id, sizeof id, "req_%d", i);
        struct ledger_start s = {.request_id = id, .started_us = test_wall_s(NULL) * 1000000,
                                 .person_id = 1, .key_id = 11, .department_id = 3,
                                 .endpoint = "chat", .model = "m"};
        struct ledger_end end = {.finished_us = s.started_us + 1,
                                 .counts = {.prompt_tokens = 3, .completion_tokens = (uint64_t)i}};
        ck_assert(admit(&LI, 100, &t, &why));
        ck_assert(ledger_begin(ledger, &s, &r, NULL));
        ck_assert(ledger_finish(&r, &end, NULL, NULL, NULL));
        limits_settle(limits, &t, 3 + (uint64_t)i);
        pass(61);
    }
    ledger_close(&ledger);
    ck_assert(limits_look(limits, QUOTA_PERSON, 1, &before));
    limits_destroy(&limits);
    struct limits_clock clock = {test_now_us, test_wall_s, NULL};
    limits = limits_create(&clock);
    load();
    ck_assert(limits_look(limits, QUOTA_PERSON, 1, &after));
    ck_assert_int_eq(before.used[QUOTA_TOKENS_PER_DAY], 50 * 3 + 49 * 50 / 2);
    ck_assert_int_eq(after.used[QUOTA_TOKENS_PER_DAY], before.used[QUOTA_TOKENS_PER_DAY]);
    ck_assert_int_eq(after.used[QUOTA_TOKENS_PER_MONTH], before.used[QUOTA_TOKENS_PER_MONTH]);
}
END_TEST

START_TEST(loading_keeps_what_was_counted)
{
    struct limits_ticket t;
    struct limits_refusal why;
    struct err e = ERR_INIT;
    struct quota q = limit(QUOTA_PERSON, 1, QUOTA_TOKENS_PER_DAY, 100);
    ck_assert(admit(&LI, 80, &t, &why));
    q.limit[QUOTA_TOKENS_PER_DAY] = 90;
    q.limit[QUOTA_PARALLEL] = 1;
    put(&q);
    ck_assert(!run(&LI, 1, &why)); /* one is running */
    limits_settle(limits, &t, 80);
    ck_assert(!run(&LI, 11, &why));
    ck_assert(run(&LI, 10, &why));
    ck_assert_msg(quota_delete(rig.store, &RIG_ACTOR, QUOTA_PERSON, 1, q.revision, "", &e), "%s",
                  e.msg);
    load();
    ck_assert(run(&LI, 100000, &why));
}
END_TEST

START_TEST(trees_that_are_too_deep_are_refused)
{
    struct err e = ERR_INIT;
    rig_write(&rig, "WITH RECURSIVE n(i) AS (VALUES (10) UNION ALL SELECT i + 1 FROM n WHERE i < 45)"
                    " INSERT INTO department (id, parent_id, name, created_at)"
                    " SELECT i, CASE i WHEN 10 THEN NULL ELSE i - 1 END, 'd' || i, 0 FROM n");
    ck_assert(!limits_load(limits, rig.store, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
}
END_TEST

/* ---- rows -------------------------------------------------------------------------------------- */

START_TEST(rows_have_revisions_and_an_audit)
{
    struct err e = ERR_INIT;
    struct quota q = limit(QUOTA_PERSON, 1, QUOTA_PARALLEL, 4), old = q, read;
    ck_assert_int_eq(q.revision, 1);
    q.limit[QUOTA_PARALLEL] = 5;
    put(&q);
    ck_assert_int_eq(q.revision, 2);
    ck_assert(!quota_put(rig.store, &RIG_ACTOR, &old, "", &e));
    ck_assert_int_eq(e.code, ERR_STALE);
    old.revision = 0;
    ck_assert(!quota_put(rig.store, &RIG_ACTOR, &old, "", &e));
    ck_assert_int_eq(e.code, ERR_STALE);
    ck_assert(quota_get(rig.store, QUOTA_PERSON, 1, &read, &e));
    ck_assert_int_eq(read.limit[QUOTA_PARALLEL], 5);
    ck_assert_int_eq(read.limit[QUOTA_TOKENS_PER_DAY], QUOTA_NONE);
    struct quota nobody = no_limits(QUOTA_PERSON, 99);
    ck_assert(!quota_put(rig.store, &RIG_ACTOR, &nobody, "", &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
    for (int i = 0; i < 2; i++) {
        q.limit[QUOTA_PARALLEL] = i ? QUOTA_MOST + 1 : -5;
        ck_assert(!quota_put(rig.store, &RIG_ACTOR, &q, "", &e));
        ck_assert_int_eq(e.code, ERR_ARG);
    }
    ck_assert(!quota_delete(rig.store, &RIG_ACTOR, QUOTA_PERSON, 1, 1, "", &e));
    ck_assert_int_eq(e.code, ERR_STALE);
    ck_assert(quota_delete(rig.store, &RIG_ACTOR, QUOTA_PERSON, 1, 2, "left", &e));
    ck_assert(!quota_get(rig.store, QUOTA_PERSON, 1, &read, &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM audit"), 3);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM audit WHERE action = 'quota.delete' AND"
                                      " reason = 'left' AND after IS NULL AND"
                                      " json_extract(before, '$.parallel') = 5"),
                     1);
}
END_TEST

START_TEST(calendars_have_revisions_and_an_audit)
{
    struct err e = ERR_INIT;
    struct quota_calendar c = {.name = "work", .hours = HOURS}, same = c;
    ck_assert(quota_calendar_put(rig.store, &RIG_ACTOR, &c, "", &e));
    ck_assert(!quota_calendar_put(rig.store, &RIG_ACTOR, &same, "", &e));
    ck_assert_int_eq(e.code, ERR_CONFLICT);
    c.hours = "{\"mon\":[[\"9:00\",\"12:00\"]]}";
    ck_assert(!quota_calendar_put(rig.store, &RIG_ACTOR, &c, "", &e));
    ck_assert_int_eq(e.code, ERR_FORMAT);
    c.hours = "{}";
    ck_assert(quota_calendar_put(rig.store, &RIG_ACTOR, &c, "", &e));
    ck_assert_int_eq(c.revision, 2);
    struct quota q = no_limits(QUOTA_PERSON, 1);
    q.calendar_id = c.id;
    put(&q);
    ck_assert(!quota_calendar_delete(rig.store, &RIG_ACTOR, c.id, 2, "", &e));
    ck_assert_int_eq(e.code, ERR_CONFLICT);
    q.calendar_id = 0;
    put(&q);
    ck_assert(!quota_calendar_delete(rig.store, &RIG_ACTOR, c.id, 1, "", &e));
    ck_assert_int_eq(e.code, ERR_STALE);
    ck_assert_msg(quota_calendar_delete(rig.store, &RIG_ACTOR, c.id, 2, "", &e), "%s", e.msg);
    ck_assert(!quota_calendar_delete(rig.store, &RIG_ACTOR, c.id, 2, "", &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
    q.calendar_id = 77;
    ck_assert(!quota_put(rig.store, &RIG_ACTOR, &q, "", &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM audit WHERE object_kind = 'calendar'"),
                     3);
}
END_TEST

/* ---- threads ----------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 2000 };
static atomic_int running, most_running;

static void *come_and_go(void *ctx)
{
    struct limits_ticket t;
    struct limits_refusal why;
    (void)ctx;
    for (int i = 0; i < ROUNDS; i++) {
        if (!admit(&LI, 3, &t, &why))
            continue;
        int n = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&most_running);
        while (n > most && !atomic_compare_exchange_weak(&most_running, &most, n))
            ;
        atomic_fetch_sub(&running, 1);
        limits_settle(limits, &t, 1);
    }
    return NULL;
}

START_TEST(threads_never_exceed_a_limit)
{
    pthread_t t[THREADS];
    struct limits_state st;
    struct err e = ERR_INIT;
    limit(QUOTA_DEPARTMENT, 1, QUOTA_PARALLEL, 2);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < 20; i++) {
        ck_assert_msg(limits_load(limits, rig.store, &e), "%s", e.msg);
        pass(1);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    ck_assert_int_le(atomic_load(&most_running), 2);
    ck_assert_int_ge(atomic_load(&most_running), 1);
    ck_assert(limits_look(limits, QUOTA_DEPARTMENT, 1, &st));
    ck_assert_int_eq(st.used[QUOTA_PARALLEL], 0);
}
END_TEST

static void add_cases(Suite *s)
{
    const struct {
        const char *name;
        const TTest *test;
    } cases[] = {
        {"nothing_is_limited_without_rows", nothing_is_limited_without_rows},
        {"requests_per_minute_slide", requests_per_minute_slide},
        {"tokens_are_reserved_and_settled", tokens_are_reserved_and_settled},
        {"settling_late_touches_no_other_window", settling_late_touches_no_other_window},
        {"parallel_counts_what_runs", parallel_counts_what_runs},
        {"nothing_is_counted_when_one_row_refuses", nothing_is_counted_when_one_row_refuses},
        {"a_day_ends_at_midnight", a_day_ends_at_midnight},
        {"a_month_ends_with_its_last_day", a_month_ends_with_its_last_day},
        {"a_department_counts_its_subtree", a_department_counts_its_subtree},
        {"soft_limits_slow_down", soft_limits_slow_down},
        {"the_longest_wait_is_named", the_longest_wait_is_named},
        {"calendars_are_parsed", calendars_are_parsed},
        {"a_limit_counts_in_its_hours_only", a_limit_counts_in_its_hours_only},
        {"jumping_clocks_leave_nobody_stuck", jumping_clocks_leave_nobody_stuck},
        {"budgets_are_rebuilt_from_the_totals", budgets_are_rebuilt_from_the_totals},
        {"a_restart_changes_no_budget", a_restart_changes_no_budget},
        {"loading_keeps_what_was_counted", loading_keeps_what_was_counted},
        {"trees_that_are_too_deep_are_refused", trees_that_are_too_deep_are_refused},
        {"rows_have_revisions_and_an_audit", rows_have_revisions_and_an_audit},
        {"calendars_have_revisions_and_an_audit", calendars_have_revisions_and_an_audit},
        {"threads_never_exceed_a_limit", threads_never_exceed_a_limit},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TCase *t = tcase_create(cases[i].name);
        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, cases[i].test);
        suite_add_tcase(s, t);
    }
}

int main(void)
{
    Suite *s = suite_create("limits");
    add_cases(s);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
