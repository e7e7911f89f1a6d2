/* The database: statements, jobs and their transactions, who may open what, care. Backups have
 * their own program (check_store_backup.c), faults too (check_store_faults.c). */
#include <config.h>

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/schema.h"
#include "store/store.h"
#include "store_rows.h"
#include "testfile.h"

static char *dir, *path;
static struct store *store;

static void set_up_dir(void)
{
    dir = testfile_make_dir();
    path = testfile_join(dir, "seekd.db");
}

static void set_up(void)
{
    set_up_dir();
    store = rows_open(path);
}

static void tear_down(void)
{
    store_close(&store);
    rows_remove_dir(dir);
    free(path);
}

static void must_write(store_fn *fn, void *ctx)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_write(store, fn, ctx, &e), "%s", e.msg);
}

static void must_read(store_fn *fn, void *ctx)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_read(store, fn, ctx, &e), "%s", e.msg);
}

/* ---- statements
 * ---------------------------------------------------------------------------------- */

/* What run_text() takes. */
#define SQL(text) (&(const char *){text})

static bool run_text(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    return store_query(db, *(const char *const *)ctx, &st, e) && store_run(db, st, NULL, e);
}

static void expect_code(const char *sql, enum err_code code)
{
    struct err e = ERR_INIT;
    ck_assert_msg(!store_write(store, run_text, &sql, &e), "was accepted: %s", sql);
    ck_assert_msg(e.code == code, "%s: %s, not %s: %s", sql, err_code_name(e.code),
                  err_code_name(code), e.msg);
}

static bool all_types(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    bool row;
    size_t len;
    int64_t changes = -1;
    (void)ctx;
    TRY(store_query(db,
                    "CREATE TABLE kinds (i INTEGER, r REAL, t TEXT, b BLOB, n TEXT, z BLOB) STRICT",
                    &st, e));
    TRY(store_run(db, st, NULL, e));
    TRY(store_query(db, "INSERT INTO kinds VALUES (?, ?, ?, ?, ?, ?)", &st, e));
    store_bind_int(st, 0, INT64_MIN);
    store_bind_real(st, 1, 0.1);
    store_bind_text(st, 2, "中文 and more");
    store_bind_blob(st, 3, "\0\1\2", 3);
    store_bind_text(st, 4, NULL);
    store_bind_blob(st, 5, "", 0);
    TRY(store_run(db, st, &changes, e));
    ck_assert_int_eq(changes, 1);
    ck_assert_int_eq(store_last_id(db), 1);
    TRY(store_query(db, "SELECT i, r, t, b, n, z FROM kinds", &st, e));
    TRY(store_step(st, &row, e));
    ck_assert(row);
    ck_assert_int_eq(store_int(st, 0), INT64_MIN);
    ck_assert(store_real(st, 1) == 0.1);
    ck_assert_str_eq(store_text(st, 2), "中文 and more");
    const void *blob = store_blob(st, 3, &len);
    ck_assert(len == 3 && memcmp(blob, "\0\1\2", 3) == 0);
    ck_assert(store_is_null(st, 4) && !store_text(st, 4));
    (void)store_blob(st, 5, &len);
    ck_assert(!store_is_null(st, 5) && len == 0);
    TRY(store_step(st, &row, e));
    ck_assert(!row);
    TRY(store_step(st, &row, e)); /* the end stays the end */
    ck_assert(!row);
    store_done(st);
    store_done(st);
    store_done(NULL);
    return true;
fail:
    return false;
}

START_TEST(every_type_comes_back)
{
    must_write(all_types, NULL);
}
END_TEST

static bool nested(struct store_db *db, void *ctx, struct err *e)
{
    static const char sql[] = "SELECT n FROM row WHERE writer = ? ORDER BY n, half";
    struct store_stmt *outer, *inner, *again;
    bool row;
    (void)ctx;
    TRY(store_query(db, sql, &outer, e));
    store_bind_int(outer, 0, 1);
    TRY(store_step(outer, &row, e));
    ck_assert(row && store_int(outer, 0) == 10);
    TRY(store_query(db, sql, &inner, e)); /* the same text while the first is at a row */
    ck_assert(inner != outer);
    store_bind_int(inner, 0, 2);
    TRY(store_step(inner, &row, e));
    ck_assert(row && store_int(inner, 0) == 20);
    ck_assert_int_eq(store_int(outer, 0), 10);
    store_done(inner);
    TRY(store_query(db, sql, &again, e)); /* kept and found again, without its bindings */
    ck_assert(again == inner);
    TRY(store_step(again, &row, e));
    ck_assert(!row);
    return true; /* outer and again are left open */
fail:
    return false;
}

START_TEST(statements_are_kept_and_never_shared)
{
    rows_write(store, 1, 10, 0);
    rows_write(store, 2, 20, 0);
    for (int i = 0; i < 3; i++) {
        must_read(nested, NULL);
        must_write(nested, NULL);
    }
    rows_write(store, 3, 30, 0); /* what was left open hinders nobody */
    ck_assert_int_eq(rows_total(store), 6);
}
END_TEST

static bool reused_buffer(struct store_db *db, void *ctx, struct err *e)
{
    char sql[32];
    struct store_stmt *st;
    bool row;
    (void)ctx;
    for (int i = 0; i < 2; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i);
        TRY(store_query(db, sql, &st, e));
        TRY(store_step(st, &row, e));
        ck_assert_int_eq(store_int(st, 0), i);
        store_done(st);
    }
    return true;
fail:
    return false;
}

START_TEST(an_address_with_other_text_is_another_statement)
{
    must_read(reused_buffer, NULL);
}
END_TEST

START_TEST(constraints_have_codes)
{
    must_write(run_text, SQL("INSERT INTO setting VALUES ('a', 'b')"));
    expect_code("INSERT INTO setting VALUES ('a', 'c')", ERR_CONFLICT);
    must_write(run_text, SQL("INSERT INTO department (id, name, created_at) VALUES (1, 'QA', 0)"));
    expect_code("INSERT INTO department (id, name, created_at) VALUES (1, 'QB', 0)", ERR_CONFLICT);
    expect_code("INSERT INTO department (name, created_at) VALUES ('QA', 0)", ERR_CONFLICT);
    expect_code("INSERT INTO department (name, created_at) VALUES ('', 0)", ERR_ARG);
    expect_code("INSERT INTO department (name, created_at) VALUES ('QC', NULL)", ERR_ARG);
    expect_code("INSERT INTO department (name, created_at) VALUES ('QC', 'x')", ERR_ARG);
    expect_code("INSERT INTO department (parent_id, name, created_at) VALUES (7, 'QC', 0)",
                ERR_ARG);
    expect_code("INSERT INTO calendar (name, hours) VALUES ('c', 'no json')", ERR_ARG);
    expect_code("SELEC 1", ERR_INTERNAL);
    expect_code("SELECT 1; SELECT 2", ERR_INTERNAL);
    expect_code("SELECT * FROM setting WHERE key = \"a\"",
                ERR_INTERNAL); /* strings have one quote */
    expect_code("ATTACH 'other.db' AS other", ERR_INTERNAL);
    expect_code("SELECT load_extension('x.so')", ERR_INTERNAL);
}
END_TEST

START_TEST(audit_rows_and_versions_are_kept)
{
    must_write(run_text,
               SQL("INSERT INTO audit VALUES (1, 0, NULL, 'a', '', '', 'x', 'k', '1', NULL, NULL,"
                   " '', zeroblob(32), zeroblob(32))"));
    expect_code("UPDATE audit SET reason = 'other'", ERR_ARG);
}
END_TEST

static bool bad_binding(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    (void)ctx;
    if (!store_query(db, "SELECT ?", &st, e))
        return false;
    store_bind_int(st, 4, 1);
    return store_run(db, st, NULL, e);
}

START_TEST(a_bind_that_fails_fails_the_step)
{
    struct err e = ERR_INIT;
    ck_assert(!store_read(store, bad_binding, NULL, &e));
    ck_assert_int_eq(e.code, ERR_INTERNAL);
}
END_TEST

START_TEST(reads_cannot_write)
{
    struct err e = ERR_INIT;
    struct pair pair = {.writer = 1, .n = 1};
    ck_assert(!store_read(store, rows_add_pair, &pair, &e));
    ck_assert_int_eq(e.code, ERR_INTERNAL);
    ck_assert_int_eq(rows_total(store), 0);
}
END_TEST

static bool pragma_is(struct store_db *db, const char *sql, const char *want, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db, sql, &st, e) || !store_step(st, &row, e))
        return false;
    ck_assert_msg(row && strcmp(store_text(st, 0), want) == 0, "%s: %s", sql, store_text(st, 0));
    store_done(st);
    return true;
}

static bool settings(struct store_db *db, void *ctx, struct err *e)
{
    static const char *const want[][2] = {
        {"PRAGMA journal_mode", "wal"},
        {"PRAGMA synchronous", "2"},
        {"PRAGMA foreign_keys", "1"},
        {"PRAGMA trusted_schema", "0"},
        {"PRAGMA mmap_size", "0"},
        {"PRAGMA cell_size_check", "1"},
        {"PRAGMA busy_timeout", "2000"},
        {"PRAGMA wal_autocheckpoint", "0"},
        {"PRAGMA secure_delete", "1"},
        {"PRAGMA temp_store", "2"},
        {"PRAGMA application_id", "1936417890"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        if (!pragma_is(db, want[i][0], want[i][1], e))
            return false;
    }
    return pragma_is(db, "PRAGMA query_only", *(const char *const *)ctx, e);
}

START_TEST(every_connection_has_the_settings)
{
    must_write(settings, SQL("0"));
    must_read(settings, SQL("1"));
}
END_TEST

/* ---- jobs
 * ---------------------------------------------------------------------------------------- */

/* Holds the writer thread inside a job until told otherwise, so that others queue up behind it. */
static sem_t held, go;

static bool hold(struct store_db *db, void *ctx, struct err *e)
{
    (void)db;
    (void)ctx;
    (void)e;
    sem_post(&held);
    sem_wait(&go);
    return true;
}

static void hold_writer(void)
{
    struct err e = ERR_INIT;
    sem_init(&held, 0, 0);
    sem_init(&go, 0, 0);
    ck_assert_msg(store_post(store, hold, NULL, NULL, &e), "%s", e.msg);
    sem_wait(&held);
}

struct posted {
    struct pair pair;
    bool refuse; /* writes its rows, then fails */
    bool finished, ok;
    int place; /* in the order of ends */
    struct err err;
};
static atomic_int ended;

static bool add_posted(struct store_db *db, void *ctx, struct err *e)
{
    struct posted *p = ctx;
    if (!rows_add_pair(db, &p->pair, e))
        return false;
    if (p->refuse)
        FAIL(e, ERR_LIMIT, "refused by the test");
    return true;
}

static void note_end(void *ctx, bool ok, const struct err *e)
{
    struct posted *p = ctx;
    p->ok = ok;
    p->err = *e;
    p->place = atomic_fetch_add(&ended, 1);
    p->finished = true;
}

static void post(struct posted *p)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_post(store, add_posted, p, note_end, &e), "%s", e.msg);
}

static bool nothing(struct store_db *db, void *ctx, struct err *e)
{
    (void)db;
    (void)ctx;
    (void)e;
    return true;
}

START_TEST(a_failing_job_takes_nothing_with_it)
{
    struct posted p[5] = {0};
    struct store_stats before, after;
    hold_writer();
    for (int i = 0; i < 5; i++) {
        p[i].pair = (struct pair){.writer = 1, .n = i == 3 ? 1 : i}; /* 3: the same rows as 1 */
        p[i].refuse = i == 2;
        post(&p[i]);
    }
    store_stats(store, &before);
    ck_assert_uint_eq(before.queued, 5);
    sem_post(&go);
    must_write(nothing, NULL);
    store_stats(store, &after);
    ck_assert(p[0].ok && p[1].ok && !p[2].ok && !p[3].ok && p[4].ok);
    ck_assert_int_eq(p[2].err.code, ERR_LIMIT);
    ck_assert_int_eq(p[3].err.code, ERR_CONFLICT);
    ck_assert(rows_have(store, 1, 0) && rows_have(store, 1, 1) && rows_have(store, 1, 4));
    ck_assert_int_eq(rows_total(store), 6);
    ck_assert_uint_eq(after.failed_jobs - before.failed_jobs, 2);
    /* the holding job's transaction, then one or two for the others */
    ck_assert_uint_le(after.commits - before.commits, 3);
}
END_TEST

START_TEST(a_deferred_key_that_leads_nowhere_fails_its_job_only)
{
    struct err e = ERR_INIT;
    must_write(run_text, SQL("CREATE TABLE child (d INTEGER REFERENCES department(id)"
                             " DEFERRABLE INITIALLY DEFERRED) STRICT"));
    struct posted p[2] = {{.pair = {.writer = 1, .n = 1}}, {.pair = {.writer = 1, .n = 2}}};
    hold_writer();
    post(&p[0]);
    ck_assert(store_post(store, run_text, SQL("INSERT INTO child VALUES (99)"), NULL, &e));
    post(&p[1]);
    sem_post(&go);
    must_write(nothing, NULL);
    ck_assert(p[0].ok && p[1].ok);
    ck_assert(!store_write(store, run_text, SQL("INSERT INTO child VALUES (98)"), &e));
    ck_assert_int_eq(e.code, ERR_ARG);
    ck_assert_int_eq(rows_total(store), 4);
}
END_TEST

static bool silent_failure(struct store_db *db, void *ctx, struct err *e)
{
    (void)db;
    (void)ctx;
    (void)e;
    return false;
}

START_TEST(a_job_without_a_reason_gets_one)
{
    struct err e = ERR_INIT;
    ck_assert(!store_write(store, silent_failure, NULL, &e));
    ck_assert_int_eq(e.code, ERR_INTERNAL);
}
END_TEST

START_TEST(a_job_that_ends_the_transaction_fails_it)
{
    struct err e = ERR_INIT;
    ck_assert(!store_write(store, run_text, SQL("ROLLBACK"), &e));
    ck_assert_int_eq(e.code, ERR_INTERNAL);
    rows_write(store, 1, 1, 0);
    ck_assert_int_eq(rows_total(store), 2);
}
END_TEST

START_TEST(jobs_end_in_the_order_of_their_posts)
{
    enum { N = 1000 };
    static struct posted p[N];
    atomic_store(&ended, 0);
    for (int i = 0; i < N; i++) {
        p[i] = (struct posted){.pair = {.writer = 1, .n = i}};
        post(&p[i]);
    }
    must_write(nothing, NULL);
    for (int i = 0; i < N; i++)
        ck_assert_msg(p[i].ok && p[i].place == i, "job %d ended at %d", i, p[i].place);
    struct store_stats stats;
    store_stats(store, &stats);
    printf("ordering: %d jobs, %llu commits\n", N, (unsigned long long)stats.commits);
    ck_assert_uint_le(stats.commits, N / 2);
}
END_TEST

/* A job that is timed from its post to the return of its COMMIT. */
struct timed {
    struct pair pair;
    uint64_t posted_us, took_us;
};
static sem_t durable;

static void note_time(void *ctx, bool ok, const struct err *e)
{
    struct timed *t = ctx;
    ck_assert_msg(ok, "%s", e->msg);
    t->took_us = clock_now_us() - t->posted_us;
    sem_post(&durable);
}

/* The slowest of `rounds` groups of `n` jobs each; a group begins when the one before has ended. */
static uint64_t slowest(int64_t writer, int rounds, int n)
{
    uint64_t worst = 0;
    struct timed t[8];
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < n; i++) {
            struct err e = ERR_INIT;
            t[i] = (struct timed){.pair = {.writer = writer, .n = r * n + i},
                                  .posted_us = clock_now_us()};
            ck_assert_msg(store_post(store, rows_add_pair, &t[i], note_time, &e), "%s", e.msg);
        }
        for (int i = 0; i < n; i++)
            ck_assert_int_eq(sem_wait(&durable), 0);
        for (int i = 0; i < n; i++)
            worst = t[i].took_us > worst ? t[i].took_us : worst;
    }
    return worst;
}

/* Alone a job waits for nobody, in company at most commit_ms. The bound is wide: what is tested is
 * that a wait ends, not how fast the disk is. */
START_TEST(a_group_does_not_wait_longer_than_it_may)
{
    enum { LONGEST_MS = 50, BOUND_US = 500000 };
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    store_close(&store);
    opt.path = path;
    opt.commit_ms = LONGEST_MS;
    ck_assert_msg(store_open(&opt, &store, &e), "%s", e.msg);
    ck_assert_int_eq(sem_init(&durable, 0, 0), 0);
    uint64_t alone = slowest(1, 40, 1), company = slowest(2, 20, 5);
    printf("group commit of %d ms: durable after %.1f ms alone, %.1f ms in groups (the slowest)\n",
           LONGEST_MS, (double)alone / 1000, (double)company / 1000);
    ck_assert_uint_lt(alone, BOUND_US);
    ck_assert_uint_lt(company, BOUND_US);
    opt.commit_ms = LONGEST_MS + 1; /* nobody can ask for more */
    store_close(&store);
    ck_assert(!store_open(&opt, &store, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
}
END_TEST

START_TEST(a_full_queue_is_said)
{
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    store_close(&store);
    opt.path = path;
    opt.queue_jobs = 3;
    ck_assert(store_open(&opt, &store, &e));
    struct posted p[4] = {0};
    hold_writer();
    for (int i = 0; i < 3; i++) {
        p[i].pair.n = i;
        post(&p[i]);
    }
    ck_assert(!store_post(store, add_posted, &p[3], note_end, &e));
    ck_assert_int_eq(e.code, ERR_BUSY);
    sem_post(&go);
    store_close(&store); /* runs them */
    ck_assert(p[0].ok && p[1].ok && p[2].ok && !p[3].finished);
}
END_TEST

static struct posted follower;

static void post_follower(void *ctx, bool ok, const struct err *e)
{
    (void)ctx;
    (void)e;
    ck_assert(ok);
    post(&follower);
}

START_TEST(an_end_may_post_the_next_job)
{
    struct err e = ERR_INIT;
    follower = (struct posted){.pair = {.writer = 9, .n = 9}};
    ck_assert(store_post(store, nothing, NULL, post_follower, &e));
    must_write(nothing, NULL);
    must_write(nothing, NULL);
    ck_assert(follower.finished && follower.ok);
}
END_TEST

START_TEST(closing_runs_what_is_queued)
{
    struct posted p[20];
    for (int i = 0; i < 20; i++) {
        p[i] = (struct posted){.pair = {.writer = 1, .n = i}};
        post(&p[i]);
    }
    store_close(&store);
    for (int i = 0; i < 20; i++)
        ck_assert(p[i].finished && p[i].ok);
    store = rows_reopen(path);
    ck_assert_int_eq(rows_total(store), 40);
}
END_TEST

enum { THREADS = 8, THREAD_JOBS = 60 };

static void *write_many(void *ctx)
{
    for (int i = 0; i < THREAD_JOBS; i++) {
        rows_write(store, *(int *)ctx, i, 100);
        ck_assert(rows_have(store, *(int *)ctx, i)); /* acknowledged, so visible */
    }
    return NULL;
}

START_TEST(many_threads_write_and_read)
{
    pthread_t threads[THREADS];
    int number[THREADS];
    struct store_stats stats;
    for (int i = 0; i < THREADS; i++) {
        number[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, &number[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(rows_total(store), THREADS * THREAD_JOBS * 2);
    store_stats(store, &stats);
    printf("concurrency: %llu jobs in %llu commits\n", (unsigned long long)stats.jobs,
           (unsigned long long)stats.commits);
    ck_assert_uint_eq(stats.jobs, THREADS * THREAD_JOBS + 1);
    ck_assert_uint_lt(stats.commits, stats.jobs);
    ck_assert_uint_eq(stats.failed_jobs, 0);
}
END_TEST

static bool count_around_a_write(struct store_db *db, void *ctx, struct err *e)
{
    int64_t before, after;
    if (!rows_count(db, &before, e))
        return false;
    rows_write(store, 5, *(int *)ctx, 0); /* another connection, committed */
    if (!rows_count(db, &after, e))
        return false;
    ck_assert_int_eq(before, after);
    return true;
}

START_TEST(a_read_sees_one_snapshot)
{
    int n = 1;
    must_read(count_around_a_write, &n);
    ck_assert_int_eq(rows_total(store), 2);
}
END_TEST

static bool read_inside(struct store_db *db, void *ctx, struct err *e)
{
    (void)db;
    return store_read(store, nothing, ctx, e);
}

START_TEST(without_a_free_reader_it_says_so)
{
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    store_close(&store);
    opt.path = path;
    opt.readers = 1;
    ck_assert(store_open(&opt, &store, &e));
    ck_assert(!store_read(store, read_inside, NULL, &e));
    ck_assert_int_eq(e.code, ERR_BUSY);
    must_read(nothing, NULL);
}
END_TEST

/* ---- durability
 * ---------------------------------------------------------------------------------- */

static void child_writes_until_killed(int acknowledged)
{
    store = rows_open(path);
    for (int32_t i = 0;; i++) {
        rows_write(store, 1, i, 500);
        if (write(acknowledged, &i, sizeof i) != sizeof i)
            _exit(1);
    }
}

static int32_t kill_after(int n)
{
    int fd[2];
    int32_t last = -1;
    ck_assert_int_eq(pipe(fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        child_writes_until_killed(fd[1]);
    }
    close(fd[1]);
    while (last < n && read(fd[0], &last, sizeof last) == sizeof last)
        ;
    kill(pid, SIGKILL);
    while (read(fd[0], &last, sizeof last) == sizeof last)
        ;
    close(fd[0]);
    waitpid(pid, NULL, 0);
    return last;
}

START_TEST(what_was_acknowledged_survives_a_kill)
{
    for (int round = 0; round < 5; round++) {
        set_up_dir();
        int32_t last = kill_after(3 + 20 * round);
        int64_t halves = -1;
        store = rows_reopen(path);
        for (int32_t i = 0; i <= last; i++)
            ck_assert_msg(rows_have(store, 1, i), "round %d: row %d of %d is lost", round, i, last);
        must_read(rows_find_halves, &halves);
        ck_assert_int_eq(halves, 0);
        ck_assert(store_check(store, NULL, NULL, NULL));
        tear_down();
    }
}
END_TEST

/* ---- files
 * --------------------------------------------------------------------------------------- */

static void expect_open_fails(const char *file, enum err_code code)
{
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    struct store *s;
    opt.path = file;
    ck_assert_msg(!store_open(&opt, &s, &e), "%s was opened", file);
    ck_assert_msg(e.code == code, "%s, not %s: %s", err_code_name(e.code), err_code_name(code),
                  e.msg);
    ck_assert_ptr_null(s);
}

START_TEST(a_second_process_is_refused)
{
    char *link = testfile_join(dir, "other-name.db");
    ck_assert_int_eq(symlink(path, link), 0);
    expect_open_fails(path, ERR_BUSY);
    expect_open_fails(link, ERR_BUSY);
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct store_options opt = STORE_OPTIONS_DEFAULT;
        struct err e = ERR_INIT;
        struct store *s;
        char want[32];
        opt.path = path;
        snprintf(want, sizeof want, "process %ld:", (long)getppid());
        _exit(!store_open(&opt, &s, &e) && e.code == ERR_BUSY && strstr(e.msg, want) ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    rows_write(store, 1, 1, 0);
    store_close(&store);
    store = rows_reopen(link);
    ck_assert_int_eq(rows_total(store), 2);
    free(link);
}
END_TEST

/* Changes a closed database with SQLite alone. */
static void change(const char *sql)
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

START_TEST(other_files_are_refused_and_left_alone)
{
    size_t n, n2;
    store_close(&store);
    change("PRAGMA user_version = 99");
    expect_open_fails(path, ERR_UNSUPPORTED);
    change("PRAGMA user_version = 1; PRAGMA application_id = 1234");
    uint8_t *before = testfile_read(path, &n);
    expect_open_fails(path, ERR_FORMAT);
    uint8_t *after = testfile_read(path, &n2);
    ck_assert(n == n2 && memcmp(before, after, n) == 0);
    free(before);
    free(after);
    ck_assert(testfile_write(path,
                             "This is a text, not a database. It is long enough to look like one, "
                             "with a first page that says nothing that SQLite knows.",
                             120));
    expect_open_fails(path, ERR_DAMAGED);
    expect_open_fails(dir, ERR_ARG);
    char *nowhere = testfile_join(dir, "no/such/folder.db");
    expect_open_fails(nowhere, ERR_NOT_FOUND);
    free(nowhere);
}
END_TEST

START_TEST(a_foreign_table_is_no_fresh_file)
{
    store_close(&store);
    ck_assert_int_eq(unlink(path), 0);
    change("CREATE TABLE theirs (x)");
    expect_open_fails(path, ERR_FORMAT);
}
END_TEST

START_TEST(a_damaged_file_is_refused)
{
    size_t n;
    for (int i = 0; i < 200; i++)
        rows_write(store, 1, i, 1000);
    store_close(&store);
    uint8_t *bytes = testfile_read(path, &n);
    memset(bytes + n / 2, 0x5a, 8192);
    ck_assert(testfile_write(path, bytes, n));
    free(bytes);
    expect_open_fails(path, ERR_DAMAGED);
}
END_TEST

static void expect_mode(const char *suffix)
{
    char name[1024];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    ck_assert_msg(stat(name, &st) == 0, "%s", name);
    ck_assert_msg((st.st_mode & 07777) == 0600, "%s has mode %o", name, st.st_mode & 07777);
}

START_TEST(nobody_else_can_read_the_files)
{
    rows_write(store, 1, 1, 0);
    expect_mode("");
    expect_mode("-wal");
    expect_mode("-shm");
    expect_mode(".lock");
}
END_TEST

START_TEST(options_are_checked)
{
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    struct store *s;
    ck_assert(!store_open(&opt, &s, &e) && e.code == ERR_ARG); /* no path */
    opt.path = path;
    opt.readers = 5;
    ck_assert(!store_open(&opt, &s, &e) && e.code == ERR_ARG);
}
END_TEST

/* ---- migrations
 * ---------------------------------------------------------------------------------- */

static const char *const step1[] = {"CREATE TABLE one (x INTEGER) STRICT;", NULL};
static const char *const step2[] = {"ALTER TABLE one ADD COLUMN y INTEGER;",
                                    "UPDATE one SET y = x + 1;", NULL};
static const char *const step3[] = {"CREATE TABLE three (x INTEGER) STRICT;",
                                    "INSERT INTO nowhere VALUES (1);", NULL};
static const char *const *const steps[] = {step1, step2, step3};

static int64_t ask(struct store_db *db, const char *sql)
{
    int64_t n = -1;
    struct err e = ERR_INIT;
    ck_assert_msg(db_int(db, sql, &n, &e), "%s", e.msg);
    return n;
}

START_TEST(migrations_go_one_by_one_with_a_backup_before)
{
    struct store_db *db, *copy;
    struct err e = ERR_INIT;
    size_t version = 9;
    char *copy_path = testfile_join(dir, "seekd.db.before-1");
    ck_assert(db_open(path, NULL, DB_WRITER, &db, &e));
    ck_assert(migrate_look(db, 3, &version, &e) && version == 0);
    ck_assert(migrate_run(db, path, steps, 1, version, &e));
    ck_assert(access(copy_path, F_OK) != 0); /* nothing was at stake */
    ck_assert(db_exec(db, "INSERT INTO one VALUES (41)", &e));
    ck_assert(migrate_look(db, 3, &version, &e) && version == 1);
    ck_assert_msg(migrate_run(db, path, steps, 2, version, &e), "%s", e.msg);
    ck_assert_int_eq(ask(db, "SELECT y FROM one"), 42);
    ck_assert_int_eq(ask(db, "PRAGMA user_version"), 2);

    ck_assert(!migrate_run(db, path, steps, 3, 2, &e)); /* its second statement fails */
    ck_assert_msg(strstr(e.msg, "migration 3") != NULL, "%s", e.msg);
    ck_assert_int_eq(ask(db, "PRAGMA user_version"), 2);
    ck_assert_int_eq(ask(db, "SELECT count(*) FROM sqlite_schema"), 1);
    db_close(&db);

    ck_assert(db_open(copy_path, NULL, DB_READER, &copy, &e));
    ck_assert_int_eq(ask(copy, "PRAGMA user_version"), 1);
    ck_assert_int_eq(ask(copy, "SELECT x FROM one"), 41);
    db_close(&copy);
    free(copy_path);
}
END_TEST

/* A database of the first release, with somebody logged in. */
START_TEST(the_first_release_is_upgraded)
{
    struct store_db *db;
    struct err e = ERR_INIT;
    char *copy_path = testfile_join(dir, "seekd.db.before-1");
    ck_assert(db_open(path, NULL, DB_WRITER, &db, &e));
    ck_assert_msg(migrate_run(db, path, SCHEMA_MIGRATIONS, 1, 0, &e), "%s", e.msg);
    db_close(&db);
    change("INSERT INTO department (id, name, created_at) VALUES (1, 'Works', 5);"
           "INSERT INTO person (id, login, department_id, roles, source, created_at)"
           " VALUES (1, 'anna', 1, 1, 'local', 5);"
           "INSERT INTO session VALUES (zeroblob(32), zeroblob(32), 1, 5, 6, 7, 'local', 'page')");
    store = rows_reopen(path);
    store_close(&store);
    ck_assert(db_open(path, NULL, DB_WRITER, &db, &e));
    ck_assert_int_eq(ask(db, "PRAGMA user_version"), (int64_t)SCHEMA_VERSION);
    ck_assert_int_eq(ask(db, "SELECT count(*) FROM session WHERE person_id = 1 AND seen_at = 6 AND"
                             " ends_at = 7 AND agent = 'page'"), 1);
    ck_assert_int_eq(ask(db, "SELECT count(*) FROM pragma_table_info('session') WHERE name ="
                             " 'csrf_hash'"), 0);
    db_close(&db);
    ck_assert(access(copy_path, F_OK) == 0);
    free(copy_path);
}
END_TEST

/* ---- care
 * ---------------------------------------------------------------------------------------- */

static bool file_contains(const char *suffix, const char *text)
{
    char name[1024];
    size_t n = 0;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    uint8_t *bytes = testfile_read(name, &n);
    bool found = bytes && memmem(bytes, n, text, strlen(text)) != NULL;
    free(bytes);
    return found;
}

START_TEST(what_was_purged_is_gone_from_the_files)
{
    struct store_stats stats;
    struct err e = ERR_INIT;
    must_write(run_text, SQL("INSERT INTO setting VALUES ('k', 'canary-4711')"));
    store_stats(store, &stats);
    ck_assert_uint_gt(stats.wal_bytes, 0);
    ck_assert(file_contains("-wal", "canary-4711"));
    must_write(run_text, SQL("DELETE FROM setting"));
    ck_assert_msg(store_truncate_wal(store, &e), "%s", e.msg);
    ck_assert(!file_contains("", "canary-4711") && !file_contains("-wal", "canary-4711"));
    store_stats(store, &stats);
    ck_assert_uint_eq(stats.wal_bytes, 0);
}
END_TEST

START_TEST(the_wal_stays_small)
{
    uint64_t most = 0;
    struct store_stats stats;
    for (int i = 0; i < 250; i++) {
        rows_write(store, 1, i, 50000);
        store_stats(store, &stats);
        most = stats.wal_bytes > most ? stats.wal_bytes : most;
    }
    printf("wal: 25 MB written, at most %llu KiB in the WAL\n", (unsigned long long)most / 1024);
    ck_assert_uint_lt(most, 8u << 20);
    store_close(&store);
    char *wal = testfile_join(dir, "seekd.db-wal");
    ck_assert(access(wal, F_OK) != 0); /* one file is left */
    free(wal);
    store = rows_reopen(path);
    ck_assert_int_eq(rows_total(store), 500);
}
END_TEST

static void count_finding(void *ctx, const char *finding)
{
    ck_assert(finding[0] != '\0');
    (*(int *)ctx)++;
}

START_TEST(check_finds_rows_that_lead_nowhere)
{
    struct err e = ERR_INIT;
    int findings = 0;
    ck_assert_msg(store_check(store, count_finding, &findings, &e), "%s", e.msg);
    ck_assert_int_eq(findings, 0);
    store_close(&store);
    change("INSERT INTO department (parent_id, name, created_at) VALUES (77, 'x', 0)");
    store = rows_reopen(path);
    ck_assert(!store_check(store, count_finding, &findings, &e));
    ck_assert_int_eq(e.code, ERR_DAMAGED);
    ck_assert_int_eq(findings, 1);
}
END_TEST

/* ---- */

static void add_case(Suite *s, const char *name, void (*before)(void), void (*after)(void),
                     const TTest *const *tests)
{
    TCase *t = tcase_create(name);
    tcase_set_timeout(t, 120);
    if (before)
        tcase_add_checked_fixture(t, before, after);
    for (; *tests; tests++)
        tcase_add_test(t, *tests);
    suite_add_tcase(s, t);
}

static Suite *make_suite(void)
{
    Suite *s = suite_create("store");
    add_case(s, "statements", set_up, tear_down,
             (const TTest *const[]){every_type_comes_back, statements_are_kept_and_never_shared,
                                    an_address_with_other_text_is_another_statement,
                                    constraints_have_codes, audit_rows_and_versions_are_kept,
                                    a_bind_that_fails_fails_the_step, reads_cannot_write,
                                    every_connection_has_the_settings, NULL});
    add_case(s, "jobs", set_up, tear_down,
             (const TTest *const[]){a_failing_job_takes_nothing_with_it,
                                    a_deferred_key_that_leads_nowhere_fails_its_job_only,
                                    a_job_without_a_reason_gets_one,
                                    a_job_that_ends_the_transaction_fails_it,
                                    jobs_end_in_the_order_of_their_posts,
                                    a_group_does_not_wait_longer_than_it_may, a_full_queue_is_said,
                                    an_end_may_post_the_next_job, closing_runs_what_is_queued,
                                    many_threads_write_and_read, a_read_sees_one_snapshot,
                                    without_a_free_reader_it_says_so, NULL});
    add_case(s, "durability", NULL, NULL,
             (const TTest *const[]){what_was_acknowledged_survives_a_kill, NULL});
    add_case(s, "files", set_up, tear_down,
             (const TTest *const[]){a_second_process_is_refused,
                                    other_files_are_refused_and_left_alone,
                                    a_foreign_table_is_no_fresh_file, a_damaged_file_is_refused,
                                    nobody_else_can_read_the_files, options_are_checked, NULL});
    add_case(s, "migrations", set_up_dir, tear_down,
             (const TTest *const[]){migrations_go_one_by_one_with_a_backup_before,
                                    the_first_release_is_upgraded, NULL});
    add_case(s, "care", set_up, tear_down,
             (const TTest *const[]){what_was_purged_is_gone_from_the_files, the_wal_stays_small,
                                    check_finds_rows_that_lead_nowhere, NULL});
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(make_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
