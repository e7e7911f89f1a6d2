/* The ledger: one row per request whatever happens, totals that agree with the rows, kept texts,
 * queries, export, retention. */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "ledger_rig.h"
#include "usage/ledger.h"

static const int64_t NOON = 1795406400; /* 2026-11-23 12:00 in Shanghai, a Monday */
static const uint8_t KEY[32] = {1, 2, 3};

static struct rig rig;
static struct ledger *ledger;

static void open_ledger(uint64_t want_interrupted)
{
    struct err e = ERR_INIT;
    uint64_t interrupted;
    ck_assert_msg(ledger_open(rig.store, KEY, &ledger, &interrupted, &e), "%s", e.msg);
    ck_assert_uint_eq(interrupted, want_interrupted);
}

static void set_up(void)
{
    setenv("TZ", "Asia/Shanghai", 1);
    rig_open(&rig);
    rig_write(&rig, "INSERT INTO department (id, parent_id, name, keep_prompts, keep_days, created_at)"
                    " VALUES (1, NULL, 'all', 0, 30, 0), (2, 1, 'shop', 1, 10, 0),"
                    " (3, 2, '=line', 0, 30, 0)");
    rig_write(&rig, "INSERT INTO person (id, login, department_id, roles, source, created_at)"
                    " VALUES (1, 'li', 2, 16, 'local', 0), (2, 'wang', 3, 16, 'local', 0)");
    open_ledger(0);
}

static void tear_down(void)
{
    ledger_close(&ledger);
    rig_close(&rig);
}

static struct ledger_start start_of(const char *id, int64_t at_s)
{
    return (struct ledger_start){.request_id = id,
                                 .started_us = at_s * 1000000,
                                 .person_id = 1,
                                 .key_id = 11,
                                 .department_id = 2,
                                 .endpoint = "chat",
                                 .model = "tiny",
                                 .class = LEDGER_API,
                                 .prompt_tokens = 5};
}

static struct ledger_end end_of(int64_t at_s)
{
    return (struct ledger_end){
        .finished_us = at_s * 1000000,
        .counts = {.prompt_tokens = 10, .cached_tokens = 4, .completion_tokens = 20,
                   .reasoning_tokens = 8},
        .queue_us = 1000,
        .ttft_us = 2000,
        .http_status = 200,
        .finish_reason = "stop"};
}

struct waiter {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    int called, ok;
};
#define WAITER ((struct waiter){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0})

static void count_done(void *ctx, bool ok, const struct err *e)
{
    struct waiter *w = ctx;
    (void)e;
    pthread_mutex_lock(&w->mu);
    w->called++;
    w->ok += ok;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mu);
}

static void wait_for(struct waiter *w, int n)
{
    pthread_mutex_lock(&w->mu);
    while (w->called < n)
        pthread_cond_wait(&w->cond, &w->mu);
    pthread_mutex_unlock(&w->mu);
}

static struct ledger_request *begin(const struct ledger_start *s)
{
    struct ledger_request *r;
    struct err e = ERR_INIT;
    ck_assert_msg(ledger_begin(ledger, s, &r, &e), "%s", e.msg);
    return r;
}

/* A whole request; returns when it is committed. */
static void request(const struct ledger_start *s, const struct ledger_end *end)
{
    struct waiter w = WAITER;
    struct err e = ERR_INIT;
    struct ledger_request *r = begin(s);
    ck_assert_msg(ledger_finish(&r, end, count_done, &w, &e), "%s", e.msg);
    wait_for(&w, 1);
    ck_assert_int_eq(w.ok, 1);
}

/* Totals of every grain must say what the rows say. */
static void check_totals(void)
{
    ck_assert_int_eq(
        rig_number(&rig,
                   "SELECT count(*) FROM (SELECT 'minute' AS g UNION SELECT 'hour' UNION SELECT 'day')"
                   " AS grains, (SELECT count(*) AS n, coalesce(sum(prompt_tokens), 0) AS p,"
                   " coalesce(sum(completion_tokens), 0) AS c,"
                   " coalesce(sum(status <> 'finished'), 0) AS f"
                   " FROM usage WHERE status <> 'started') AS r"
                   " WHERE r.n = (SELECT coalesce(sum(requests), 0) FROM usage_total WHERE grain = g)"
                   " AND r.p = (SELECT coalesce(sum(prompt_tokens), 0) FROM usage_total WHERE grain = g)"
                   " AND r.f = (SELECT coalesce(sum(failed), 0) FROM usage_total WHERE grain = g)"
                   " AND r.c = (SELECT coalesce(sum(completion_tokens), 0) FROM usage_total"
                   "  WHERE grain = g)"),
        3);
}

START_TEST(a_row_is_committed_before_its_callback)
{
    struct waiter w = WAITER;
    struct err e = ERR_INIT;
    struct ledger_start s = start_of("req_1", NOON);
    struct ledger_end end = end_of(NOON + 3);
    static const uint8_t hash[32] = {9};
    s.template_id = 4;
    s.template_version = 2;
    s.template_label = "production";
    s.variables_hash = hash;
    struct ledger_request *r = begin(&s);
    ck_assert(ledger_finish(&r, &end, count_done, &w, &e));
    ck_assert_ptr_null(r);
    wait_for(&w, 1);
    ck_assert_int_eq(w.ok, 1);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage WHERE request_id = 'req_1' AND"
                                      " status = 'finished' AND prompt_tokens = 10 AND"
                                      " cached_tokens = 4 AND completion_tokens = 20 AND"
                                      " reasoning_tokens = 8 AND finish_reason = 'stop' AND"
                                      " http_status = 200 AND class = 'api' AND template_id = 4 AND"
                                      " template_version = 2 AND template_label = 'production' AND"
                                      " length(variables_hash) = 32 AND queue_us = 1000"),
                     1);
    check_totals();
    ck_assert_int_eq(rig_number(&rig, "SELECT starts_at FROM usage_total WHERE grain = 'day'"),
                     NOON - 12 * 3600);
}
END_TEST

START_TEST(one_request_counts_once)
{
    struct ledger_start s = start_of("req_1", NOON);
    struct ledger_end end = end_of(NOON + 3);
    for (int i = 0; i < 3; i++)
        request(&s, &end);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage"), 1);
    check_totals();
}
END_TEST

START_TEST(bad_starts_are_refused)
{
    struct ledger_request *r;
    struct err e = ERR_INIT;
    struct ledger_start s = start_of("", NOON);
    ck_assert(!ledger_begin(ledger, &s, &r, &e));
    s = start_of("x", 0);
    ck_assert(!ledger_begin(ledger, &s, &r, &e));
    s = start_of("x", NOON);
    s.class = LEDGER_CLASS_COUNT;
    ck_assert(!ledger_begin(ledger, &s, &r, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
}
END_TEST

/* A crash is what the next process finds. */
START_TEST(open_rows_become_interrupted)
{
    struct ledger_start s = start_of("req_1", NOON);
    struct ledger_end end = end_of(NOON + 3);
    request(&s, &end);
    ledger_close(&ledger);
    rig_write(&rig, "INSERT INTO usage (request_id, status, started_us, person_id, key_id,"
                    " department_id, endpoint, model, class, prompt_tokens, completion_tokens)"
                    " VALUES ('req_2', 'started', 1795406400000000, 1, 11, 2, 'chat', 'tiny', 'api',"
                    " 7, 3), ('req_3', 'started', 1795406460000000, 2, 0, 3, 'chat', 'tiny', 'api',"
                    " 1, 0)");
    open_ledger(2);
    check_totals();
    ck_assert_int_eq(rig_number(&rig, "SELECT sum(failed) FROM usage_total WHERE grain = 'day'"), 2);
    ledger_close(&ledger);
    open_ledger(0);
    check_totals();
}
END_TEST

START_TEST(progress_survives)
{
    struct ledger_start s = start_of("req_1", NOON);
    struct ledger_request *r = begin(&s);
    for (uint64_t i = 1; i <= 50; i++)
        ledger_progress(r, &(struct ledger_counts){.prompt_tokens = 10, .completion_tokens = i});
    struct ledger_start other = start_of("req_2", NOON);
    struct ledger_end end = end_of(NOON + 1);
    request(&other, &end); /* in the same queue, behind it */
    ck_assert_int_eq(rig_number(&rig, "SELECT completion_tokens FROM usage WHERE"
                                      " request_id = 'req_1' AND status = 'started'"),
                     50);
    end.failed = true;
    ck_assert(ledger_finish(&r, &end, NULL, NULL, NULL));
    ledger_close(&ledger);
    ck_assert_int_eq(rig_number(&rig, "SELECT completion_tokens FROM usage WHERE"
                                      " request_id = 'req_1' AND status = 'failed'"),
                     20);
    check_totals();
}
END_TEST

enum { THREADS = 4, EACH = 250 };
static atomic_int next_id;

static void *many_requests(void *ctx)
{
    struct waiter *w = ctx;
    for (int i = 0; i < EACH; i++) {
        char id[32];
        int n = atomic_fetch_add(&next_id, 1);
        snprintf(id, sizeof id, "req_%d", n);
        struct ledger_start s = start_of(id, NOON + n * 7);
        struct ledger_end end = end_of(NOON + n * 7 + 2);
        struct ledger_request *r = NULL;
        s.person_id = 1 + n % 2;
        end.failed = n % 10 == 0;
        if (!ledger_begin(ledger, &s, &r, NULL))
            continue;
        ledger_progress(r, &end.counts);
        if (!ledger_finish(&r, &end, count_done, w, NULL))
            count_done(w, false, NULL);
    }
    return NULL;
}

START_TEST(many_threads_lose_nothing)
{
    struct waiter w = WAITER;
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, many_requests, &w), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    wait_for(&w, THREADS * EACH);
    ck_assert_int_eq(w.ok, THREADS * EACH);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage WHERE status <> 'started'"),
                     THREADS * EACH);
    check_totals();
    struct ledger_stats st;
    ledger_stats(ledger, &st);
    ck_assert_uint_eq(st.begun, THREADS * EACH);
    ck_assert_uint_eq(st.ended, THREADS * EACH);
    ck_assert_uint_eq(st.lost_ends, 0);
    ck_assert_uint_eq(st.queued, 0);
}
END_TEST

static void add_cases(Suite *s);

int main(void)
{
    Suite *s = suite_create("usage");
    add_cases(s);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void add_cases(Suite *s)
{
    const struct {
        const char *name;
        const TTest *test;
    } cases[] = {
        {"a_row_is_committed_before_its_callback", a_row_is_committed_before_its_callback},
        {"one_request_counts_once", one_request_counts_once},
        {"bad_starts_are_refused", bad_starts_are_refused},
        {"open_rows_become_interrupted", open_rows_become_interrupted},
        {"progress_survives", progress_survives},
        {"many_threads_lose_nothing", many_threads_lose_nothing},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TCase *t = tcase_create(cases[i].name);
        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_set_timeout(t, 60);
        tcase_add_test(t, cases[i].test);
        suite_add_tcase(s, t);
    }
}
