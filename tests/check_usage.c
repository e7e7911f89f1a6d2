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
#include "usage/query.h"

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

/* Keeps the store's writer busy inside a job of its own; after others in a transaction, it stands for a
 * slow COMMIT of theirs. */
struct hold {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool inside, over;
};
#define HOLD ((struct hold){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false})

static bool hold_writer(struct store_db *db, void *ctx, struct err *e)
{
    struct hold *h = ctx;
    (void)db;
    (void)e;
    pthread_mutex_lock(&h->mu);
    h->inside = true;
    pthread_cond_broadcast(&h->cond);
    while (!h->over)
        pthread_cond_wait(&h->cond, &h->mu);
    pthread_mutex_unlock(&h->mu);
    return true;
}

static void hold_post(struct hold *h)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_post(rig.store, hold_writer, h, NULL, &e), "%s", e.msg);
}

static void hold_wait(struct hold *h)
{
    pthread_mutex_lock(&h->mu);
    while (!h->inside)
        pthread_cond_wait(&h->cond, &h->mu);
    pthread_mutex_unlock(&h->mu);
}

static void hold_end(struct hold *h)
{
    pthread_mutex_lock(&h->mu);
    h->over = true;
    pthread_cond_broadcast(&h->cond);
    pthread_mutex_unlock(&h->mu);
}

/* The second word of progress comes when the first is written and not committed. Neither those in the
 * job of the first nor those queued behind the second may hear of the wrong commit, or of none. */
START_TEST(progress_may_come_during_a_commit)
{
    struct hold before = HOLD, commit = HOLD;
    struct waiter first = WAITER, second = WAITER;
    struct err e = ERR_INIT;
    struct ledger_start sa = start_of("req_a", NOON), sb = start_of("req_b", NOON),
                        sc = start_of("req_c", NOON), sd = start_of("req_d", NOON);
    struct ledger_end end = end_of(NOON + 3);
    struct ledger_request *a = begin(&sa), *b = begin(&sb), *c = begin(&sc);
    hold_post(&before);
    hold_wait(&before);
    ledger_progress(a, &(struct ledger_counts){.completion_tokens = 1});
    ck_assert_msg(ledger_finish(&b, &end, count_done, &first, &e), "%s", e.msg);
    hold_post(&commit);
    hold_end(&before);
    hold_wait(&commit);
    ledger_progress(a, &(struct ledger_counts){.completion_tokens = 2});
    ledger_progress(a, &(struct ledger_counts){.completion_tokens = 3});
    ck_assert_msg(ledger_finish(&c, &end, count_done, &second, &e), "%s", e.msg);
    hold_end(&commit);
    wait_for(&first, 1);
    wait_for(&second, 1);
    ck_assert_int_eq(first.ok + second.ok, 2);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage WHERE status = 'finished'"), 2);
    request(&sd, &end); /* in the same queue, behind what was left of the progress */
    ck_assert_int_eq(rig_number(&rig, "SELECT completion_tokens FROM usage WHERE"
                                      " request_id = 'req_a' AND status = 'started'"),
                     3);
    ck_assert_msg(ledger_finish(&a, &end, count_done, &first, &e), "%s", e.msg);
    wait_for(&first, 2);
    ck_assert_int_eq(first.called, 2);
    ck_assert_int_eq(second.called, 1);
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


/* ---- when the database fails ------------------------------------------------------------------- */

START_TEST(a_failed_commit_is_told)
{
    struct waiter w = WAITER;
    struct ledger_start s = start_of("req_1", NOON);
    struct ledger_end end = end_of(NOON + 3);
    rig_write(&rig, "CREATE TRIGGER full BEFORE INSERT ON usage_total BEGIN"
                    " SELECT raise(ABORT, 'no space'); END");
    struct ledger_request *r = begin(&s);
    ck_assert(ledger_finish(&r, &end, count_done, &w, NULL));
    wait_for(&w, 1);
    ck_assert_int_eq(w.ok, 0);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage WHERE status = 'finished'"), 0);
    rig_write(&rig, "DROP TRIGGER full");
    s.request_id = "req_2";
    request(&s, &end);
    check_totals();
    struct ledger_stats st;
    ledger_stats(ledger, &st);
    ck_assert_uint_eq(st.lost_ends, 1);
    ck_assert_uint_eq(st.ended, 1);
}
END_TEST

START_TEST(an_end_makes_a_lost_start_good)
{
    struct waiter w = WAITER;
    struct ledger_start s = start_of("req_1", NOON), other = start_of("req_2", NOON);
    struct ledger_end end = end_of(NOON + 3);
    struct ledger_stats st = {0};
    rig_write(&rig, "CREATE TRIGGER full BEFORE INSERT ON usage BEGIN"
                    " SELECT raise(ABORT, 'no space'); END");
    struct ledger_request *r = begin(&s), *second = begin(&other);
    while (st.lost_starts < 2)
        ledger_stats(ledger, &st);
    rig_write(&rig, "DROP TRIGGER full");
    ck_assert(ledger_finish(&r, &end, count_done, &w, NULL));
    end.failed = true;
    ck_assert(ledger_finish(&second, &end, count_done, &w, NULL));
    wait_for(&w, 2);
    ck_assert_int_eq(w.ok, 2);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage WHERE status <> 'started'"), 2);
    check_totals();
}
END_TEST

/* Two with the same name, one of them open for long: the row is ended once, by the first to end. */
START_TEST(one_name_is_one_row)
{
    struct waiter w = WAITER;
    struct ledger_start s = start_of("req_1", NOON);
    struct ledger_end end = end_of(NOON + 3);
    struct ledger_stats st = {0};
    struct ledger_request *r = begin(&s);
    while (!st.begun)
        ledger_stats(ledger, &st);
    request(&s, &end);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage WHERE status = 'finished'"), 1);
    end.failed = true;
    ck_assert(ledger_finish(&r, &end, count_done, &w, NULL));
    wait_for(&w, 1);
    ck_assert_int_eq(w.ok, 1);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage WHERE status = 'finished'"), 1);
    check_totals();
}
END_TEST

/* ---- kept texts -------------------------------------------------------------------------------- */

static const char PROMPT[] = "{\"prompt\":\"how thick is the gasket?\"}";

static void request_with_text(const char *id, int64_t department, int64_t at_s)
{
    struct ledger_start s = start_of(id, at_s);
    struct ledger_end end = end_of(at_s + 1);
    s.department_id = department;
    end.text = PROMPT;
    end.text_bytes = strlen(PROMPT);
    request(&s, &end);
}

START_TEST(texts_are_kept_where_the_policy_says_so)
{
    struct err e = ERR_INIT;
    char *text;
    size_t bytes;
    request_with_text("req_1", 2, NOON);
    request_with_text("req_2", 3, NOON);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage_text"), 1);
    ck_assert_int_eq(rig_number(&rig, "SELECT delete_at FROM usage_text"), NOON + 1 + 10 * 86400);
    ck_assert_int_eq(rig_number(&rig, "SELECT instr(sealed, CAST('gasket' AS BLOB)) FROM usage_text"),
                     0);
    ck_assert(!ledger_text(ledger, &RIG_ACTOR, "req_1", "", &text, &bytes, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
    ck_assert_msg(ledger_text(ledger, &RIG_ACTOR, "req_1", "complaint 7", &text, &bytes, &e), "%s",
                  e.msg);
    ck_assert_uint_eq(bytes, strlen(PROMPT));
    ck_assert_str_eq(text, PROMPT);
    free(text);
    ck_assert(!ledger_text(ledger, &RIG_ACTOR, "req_2", "complaint 7", &text, &bytes, &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM audit WHERE action = 'text.read' AND"
                                      " object_id = 'req_1' AND reason = 'complaint 7'"),
                     1);
    rig_write(&rig, "UPDATE usage_text SET sealed = zeroblob(length(sealed))");
    ck_assert(!ledger_text(ledger, &RIG_ACTOR, "req_1", "complaint 7", &text, &bytes, &e));
    ck_assert_int_eq(e.code, ERR_DAMAGED);
}
END_TEST

START_TEST(a_foreign_key_is_noticed)
{
    static const uint8_t other[32] = {9};
    struct err e = ERR_INIT;
    uint64_t interrupted;
    bool fits = false;
    ck_assert(ledger_key_fits(ledger, &fits, &e) && fits); /* nothing is kept */
    request_with_text("req_1", 2, NOON);
    request_with_text("req_2", 2, NOON + 5);
    ck_assert(ledger_key_fits(ledger, &fits, &e) && fits);
    ledger_close(&ledger);
    ck_assert_msg(ledger_open(rig.store, other, &ledger, &interrupted, &e), "%s", e.msg);
    ck_assert(ledger_key_fits(ledger, &fits, &e) && !fits);
    request_with_text("req_3", 2, NOON + 9); /* what comes after opens, what was there does not */
    ck_assert(ledger_key_fits(ledger, &fits, &e) && !fits);
    rig_write(&rig, "DELETE FROM usage_text WHERE usage_id < (SELECT max(usage_id) FROM usage_text)");
    ck_assert(ledger_key_fits(ledger, &fits, &e) && fits);
}
END_TEST

/* Whether the files of the database hold these bytes anywhere. */
static bool on_disk(const char *what)
{
    static const char *const ends[] = {"", "-wal"};
    bool found = false;
    for (int i = 0; i < 2; i++) {
        char path[120];
        snprintf(path, sizeof path, "%s%s", rig.path, ends[i]);
        FILE *f = fopen(path, "rb");
        if (!f)
            continue;
        static char all[4 << 20];
        size_t n = fread(all, 1, sizeof all, f);
        fclose(f);
        found = found || memmem(all, n, what, strlen(what)) != NULL;
    }
    return found;
}

START_TEST(a_person_can_be_forgotten)
{
    struct err e = ERR_INIT;
    uint64_t deleted;
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "req_%d", i);
        request_with_text(id, 2, NOON);
    }
    ck_assert(!on_disk("gasket"));
    rig_write(&rig, "UPDATE usage_text SET sealed = CAST('CANARY-IN-THE-TEXT' AS BLOB)");
    ck_assert(on_disk("CANARY-IN-THE-TEXT"));
    ck_assert_msg(ledger_forget(ledger, &RIG_ACTOR, 1, "asked for", &deleted, &e), "%s", e.msg);
    ck_assert_uint_eq(deleted, 20);
    ck_assert(!on_disk("CANARY-IN-THE-TEXT"));
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage"), 20);
    ck_assert(ledger_forget(ledger, &RIG_ACTOR, 1, "again", &deleted, &e));
    ck_assert_uint_eq(deleted, 0);
}
END_TEST

START_TEST(the_policy_purges)
{
    struct err e = ERR_INIT;
    struct ledger_purged p;
    struct ledger_policy policy = LEDGER_POLICY_DEFAULT;
    request_with_text("old", 2, NOON - 500 * 86400);
    request_with_text("month", 2, NOON - 70 * 86400);
    request_with_text("new", 2, NOON);
    policy.minute_days = 30;
    ck_assert(!ledger_purge(ledger, &policy, &RIG_ACTOR, NOON + 2, &p, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
    policy.minute_days = 62;
    ck_assert_msg(ledger_purge(ledger, &policy, &RIG_ACTOR, NOON + 2, &p, &e), "%s", e.msg);
    ck_assert_uint_eq(p.texts, 2);
    ck_assert_uint_eq(p.rows, 1);
    ck_assert_uint_eq(p.totals, 3); /* two minutes, one hour */
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage_text"), 1);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM usage_total WHERE grain = 'day'"), 3);
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM audit WHERE action = 'usage.purge'"), 1);
    ck_assert(ledger_purge(ledger, &policy, &RIG_ACTOR, NOON + 2, &p, &e));
    ck_assert_int_eq(rig_number(&rig, "SELECT count(*) FROM audit WHERE action = 'usage.purge'"), 1);
}
END_TEST

/* ---- queries ----------------------------------------------------------------------------------- */

enum { MANY = 400 };

/* 400 requests over 9 days, unevenly. */
static void many(void)
{
    struct waiter w = WAITER;
    for (int i = 0; i < MANY; i++) {
        char id[16];
        int64_t at = NOON - 4 * 86400 + (int64_t)i * i * 4861 % (9 * 86400);
        snprintf(id, sizeof id, "req_%d", i);
        struct ledger_start s = start_of(id, at);
        struct ledger_end end = end_of(at + 5);
        s.person_id = 1 + i % 2;
        s.department_id = i % 3 + 1;
        s.key_id = i % 5;
        s.model = i % 7 ? "tiny" : "huge";
        s.template_id = i % 4;
        s.template_version = s.template_id ? 1 + i % 2 : 0;
        end.failed = i % 11 == 0;
        end.counts.completion_tokens = (uint64_t)i;
        struct ledger_request *r = begin(&s);
        ck_assert(ledger_finish(&r, &end, count_done, &w, NULL));
    }
    wait_for(&w, MANY);
    check_totals();
}

struct sums {
    struct usage_query query;
    int64_t requests, completion_tokens, failed, lines;
    struct usage_place last;
    char model[32], name[64];
    bool more;
};

static bool sum_up(void *ctx, const struct usage_total *t, struct err *e)
{
    struct sums *s = ctx;
    (void)e;
    s->requests += t->requests;
    s->completion_tokens += t->completion_tokens;
    s->failed += t->failed;
    s->lines++;
    s->last = t->at;
    snprintf(s->model, sizeof s->model, "%s", t->at.model);
    snprintf(s->name, sizeof s->name, "%s", t->name);
    s->last.model = s->model;
    return true;
}

static bool totals(struct store_db *db, void *ctx, struct err *e)
{
    struct sums *s = ctx;
    return usage_totals(db, &s->query, sum_up, s, &s->more, e);
}

static void sum(struct sums *s)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_read(rig.store, totals, s, &e), "%s", e.msg);
}

/* What the rows themselves say. */
static int64_t by_rows(const struct usage_filter *f, const char *column)
{
    char sql[700];
    snprintf(sql, sizeof sql,
             "SELECT coalesce(sum(%s), 0) FROM usage WHERE started_us >= %lld AND started_us < %lld"
             " AND (%lld = 0 OR person_id = %lld) AND (%lld = 0 OR department_id >= %lld)"
             " AND (%lld = 0 OR coalesce(key_id, 0) = %lld) AND ('%s' = '' OR model = '%s')",
             column, (long long)f->from_s * 1000000, (long long)f->to_s * 1000000,
             (long long)f->person_id, (long long)f->person_id, (long long)f->department_id,
             (long long)f->department_id, (long long)f->key_id, (long long)f->key_id,
             f->model ? f->model : "", f->model ? f->model : "");
    return rig_number(&rig, sql);
}

START_TEST(totals_agree_with_the_rows)
{
    many();
    for (int i = 0; i < 300; i++) {
        int64_t from = (NOON - 5 * 86400 + (int64_t)i * 7919 % 400000) / 60 * 60;
        int64_t to = from + 60 + (int64_t)i * i * 131 % 700000 / 60 * 60;
        struct sums s = {.query = {.filter = {.from_s = from, .to_s = to}, .limit = 1000}};
        s.query.by = (enum usage_by)(i % USAGE_BY_COUNT);
        s.query.filter.person_id = i % 3;
        s.query.filter.department_id = i / 3 % 4; /* 1 > 2 > 3: a subtree is "not smaller" */
        s.query.filter.key_id = i % 13 == 0 ? 2 : 0;
        s.query.filter.model = i % 17 == 0 ? "huge" : NULL;
        sum(&s);
        ck_assert_int_eq(s.requests, by_rows(&s.query.filter, "1"));
        ck_assert_int_eq(s.completion_tokens, by_rows(&s.query.filter, "completion_tokens"));
        ck_assert_int_eq(s.failed, by_rows(&s.query.filter, "status = 'failed'"));
    }
}
END_TEST

START_TEST(totals_come_in_pages)
{
    static const int64_t lines[USAGE_BY_COUNT] = {1, 3, 2, 5, 2, 4};
    many();
    for (int by = 0; by < USAGE_BY_COUNT; by++)
        for (int split = USAGE_WHOLE; split <= USAGE_DAYS; split++) {
            struct sums s = {.query = {.filter = {NOON - 4 * 86400, NOON + 86400, 0, 0, 0, 0, NULL},
                                       .by = (enum usage_by)by,
                                       .split = (enum usage_split)split,
                                       .limit = 3}};
            if (split == USAGE_MINUTES) /* as many as are allowed */
                s.query.filter.from_s = s.query.filter.to_s - USAGE_SPLITS * 60;
            struct sums whole = s;
            whole.query.limit = 1000;
            sum(&whole);
            ck_assert(!whole.more);
            if (split == USAGE_WHOLE)
                ck_assert_int_eq(whole.lines, lines[by]);
            do {
                sum(&s);
                s.query.after = s.last;
            } while (s.more);
            ck_assert_int_eq(s.lines, whole.lines);
            ck_assert_int_eq(s.requests, whole.requests);
        }
}
END_TEST

START_TEST(totals_have_names_and_refuse_nonsense)
{
    struct err e = ERR_INIT;
    many();
    struct sums s = {.query = {.filter = {NOON - 4 * 86400, NOON + 86400, 2, 2, 0, 0, NULL},
                               .by = USAGE_BY_PERSON,
                               .limit = 10}};
    sum(&s);
    ck_assert_int_eq(s.lines, 1);
    ck_assert_str_eq(s.name, "wang");
    s.query.split = USAGE_MINUTES;
    ck_assert(!store_read(rig.store, totals, &s, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    s.query.filter.to_s = s.query.filter.from_s;
    ck_assert(!store_read(rig.store, totals, &s, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
}
END_TEST

struct pages {
    struct usage_rows query;
    int64_t next_us, next_id, last_us, n;
    int64_t completion_tokens;
};

static bool take_row(void *ctx, const struct usage_row *r, struct err *e)
{
    struct pages *p = ctx;
    (void)e;
    ck_assert(!p->n || r->started_us <= p->last_us);
    p->last_us = r->started_us;
    p->completion_tokens += (int64_t)r->counts.completion_tokens;
    p->n++;
    return true;
}

static bool page(struct store_db *db, void *ctx, struct err *e)
{
    struct pages *p = ctx;
    return usage_list(db, &p->query, take_row, p, &p->next_us, &p->next_id, e);
}

START_TEST(rows_come_in_pages)
{
    struct err e = ERR_INIT;
    many();
    for (int i = 0; i < 24; i++) {
        struct pages p = {.query = {.filter = {.from_s = NOON - 3 * 86400, .to_s = NOON + 3 * 86400},
                                    .limit = 7}};
        p.query.filter.person_id = i % 3;
        p.query.filter.department_id = i / 3 % 4;
        p.query.filter.key_id = i >= 12 ? 3 : 0;
        do {
            ck_assert_msg(store_read(rig.store, page, &p, &e), "%s", e.msg);
            p.query.before_us = p.next_us;
            p.query.before_id = p.next_id;
        } while (p.next_us);
        ck_assert_int_eq(p.n, by_rows(&p.query.filter, "1"));
        ck_assert_int_eq(p.completion_tokens, by_rows(&p.query.filter, "completion_tokens"));
    }
}
END_TEST

/* ---- CSV --------------------------------------------------------------------------------------- */

static bool to_buf(void *ctx, const void *bytes, size_t len)
{
    return buf_append(ctx, bytes, len);
}

static int lines_of(const char *s)
{
    int n = 0;
    for (; (s = strstr(s, "\r\n")) != NULL; s += 2)
        n++;
    return n;
}

START_TEST(rows_become_csv)
{
    struct err e = ERR_INIT;
    struct buf out;
    struct usage_rows q = {.filter = {.from_s = NOON - 9 * 86400, .to_s = NOON + 9 * 86400}};
    many();
    struct ledger_start s = start_of("=1+1", NOON);
    struct ledger_end end = end_of(NOON + 61);
    s.model = "a \"b\", c";
    request(&s, &end);
    buf_init(&out, 1 << 20);
    struct usage_csv *c = usage_csv_rows(rig.store, &q);
    ck_assert_msg(usage_csv_write(c, to_buf, &out, &e), "%s", e.msg);
    usage_csv_destroy(&c);
    ck_assert_int_eq(memcmp(out.data, "\xEF\xBB\xBFstarted,", 11), 0);
    ck_assert_int_eq(lines_of(out.data), MANY + 2);
    ck_assert_ptr_nonnull(strstr(out.data, "2026-11-23 12:00:00,2026-11-23 12:01:01,\"'=1+1\",finished,"
                                           "1,li,11,,2,all/shop,chat,\"a \"\"b\"\", c\",api,,"
                                           ",,,,10,4,20,8,1,2,61000,200,stop\r\n"));
    buf_release(&out);
}
END_TEST

START_TEST(totals_become_csv)
{
    struct err e = ERR_INIT;
    struct buf out;
    bool more;
    many();
    struct usage_query q = {.filter = {.from_s = NOON - 4 * 86400, .to_s = NOON + 6 * 86400},
                            .by = USAGE_BY_DEPARTMENT,
                            .split = USAGE_HOURS};
    buf_init(&out, 1 << 20);
    struct usage_csv *c = usage_csv_totals(rig.store, &q);
    do {
        ck_assert_msg(usage_csv_next(c, &out, &more, &e), "%s", e.msg);
    } while (more);
    usage_csv_destroy(&c);
    struct sums s = {.query = q};
    s.query.limit = 1000;
    sum(&s);
    ck_assert_int_gt(s.lines, 200);
    ck_assert_int_eq(lines_of(out.data), s.lines + 1);
    ck_assert_ptr_nonnull(strstr(out.data, ",3,,\"'=line\",,"));
    buf_release(&out);
}
END_TEST

/* More than a page, so that the cursor of totals by text is used. */
START_TEST(long_csv_goes_on_where_it_was)
{
    struct err e = ERR_INIT;
    struct buf out;
    rig_write(&rig, "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
                    " INSERT INTO usage_total SELECT 'day', 1795363200, 1, 1, 1, 'model ' || i, 0, 0,"
                    " 1, 0, 1, 0, 1, 0, 0, 0, 0 FROM n");
    struct usage_query q = {.filter = {.from_s = NOON - 86400, .to_s = NOON + 86400},
                            .by = USAGE_BY_MODEL};
    buf_init(&out, 1 << 20);
    struct usage_csv *c = usage_csv_totals(rig.store, &q);
    ck_assert_msg(usage_csv_write(c, to_buf, &out, &e), "%s", e.msg);
    usage_csv_destroy(&c);
    ck_assert_int_eq(lines_of(out.data), 2501);
    buf_release(&out);
}
END_TEST

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
        {"progress_may_come_during_a_commit", progress_may_come_during_a_commit},
        {"many_threads_lose_nothing", many_threads_lose_nothing},
        {"a_failed_commit_is_told", a_failed_commit_is_told},
        {"an_end_makes_a_lost_start_good", an_end_makes_a_lost_start_good},
        {"one_name_is_one_row", one_name_is_one_row},
        {"texts_are_kept_where_the_policy_says_so", texts_are_kept_where_the_policy_says_so},
        {"a_foreign_key_is_noticed", a_foreign_key_is_noticed},
        {"a_person_can_be_forgotten", a_person_can_be_forgotten},
        {"the_policy_purges", the_policy_purges},
        {"totals_agree_with_the_rows", totals_agree_with_the_rows},
        {"totals_come_in_pages", totals_come_in_pages},
        {"totals_have_names_and_refuse_nonsense", totals_have_names_and_refuse_nonsense},
        {"rows_come_in_pages", rows_come_in_pages},
        {"rows_become_csv", rows_become_csv},
        {"totals_become_csv", totals_become_csv},
        {"long_csv_goes_on_where_it_was", long_csv_goes_on_where_it_was},
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
    Suite *s = suite_create("usage");
    add_cases(s);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
