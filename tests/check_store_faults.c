/* The database on a disk that fails: each I/O step in each way (R4), power failures (R2), a full
 * disk (R14). The short form runs always; SEEKD_TEST_LONG gives every step and 1,000 images. */
#include <config.h>

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "audit/audit.h"
#include "fault/vfs.h"
#include "store/db.h"
#include "store/migrate.h"
#include "store/store.h"
#include "store_rows.h"
#include "testfile.h"

enum { BASE_PAIRS = 40, MOST_PAIRS = 4000 };

static char *dir, *path;
static struct store *store;

/* What the test was told about each pair of writer 1. */
static struct {
    enum { UNKNOWN, ACKNOWLEDGED, REFUSED } answer;
    size_t position; /* of the recording, when acknowledged */
} told[MOST_PAIRS];

static bool long_form(void)
{
    return getenv("SEEKD_TEST_LONG") != NULL;
}

static void set_up(void)
{
    vfs_register();
    dir = testfile_make_dir();
    path = testfile_join(dir, "seekd.db");
}

static void tear_down(void)
{
    vfs_calm();
    vfs_limit_space(-1);
    vfs_record_free();
    store_close(&store);
    rows_remove_dir(dir);
    free(path);
}

static bool try_open(struct err *e)
{
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    opt.path = path;
    opt.vfs = VFS_NAME;
    opt.readers = 2;
    return store_open(&opt, &store, e);
}

static void must_open(void)
{
    struct err e = ERR_INIT;
    ck_assert_msg(try_open(&e), "%s", e.msg);
}

/* ---- pairs
 * --------------------------------------------------------------------------------------- */

static struct pair pairs[MOST_PAIRS];
static enum vfs_fault fault; /* the one of this trial */

static struct pair *pair_of(int n, size_t filler_bytes)
{
    ck_assert_int_lt(n, MOST_PAIRS);
    pairs[n] = (struct pair){.writer = 1, .n = n, .filler_bytes = filler_bytes};
    return &pairs[n];
}

static void note(int n, bool ok)
{
    told[n].answer = ok ? ACKNOWLEDGED : REFUSED;
    told[n].position = vfs_position();
}

static bool try_write(int n, size_t filler_bytes)
{
    struct err e = ERR_INIT;
    bool lied = fault == VFS_FSYNC && vfs_failed();
    bool ok = store_write(store, rows_add_pair, pair_of(n, filler_bytes), &e);
    ck_assert_msg(!ok || !lied, "acknowledged after a failed fsync");
    ck_assert_msg(ok || e.code == ERR_IO || e.code == ERR_BUSY, "%s: %s", err_code_name(e.code),
                  e.msg);
    note(n, ok);
    return ok;
}

static void note_end(void *ctx, bool ok, const struct err *e)
{
    const struct pair *pair = ctx;
    (void)e;
    ck_assert_msg(!ok || fault != VFS_FSYNC || !vfs_failed(), "acknowledged after a failed fsync");
    note((int)pair->n, ok);
}

static void post(int n, size_t filler_bytes)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_post(store, rows_add_pair, pair_of(n, filler_bytes), note_end, &e), "%s",
                  e.msg);
}

static bool nothing(struct store_db *db, void *ctx, struct err *e)
{
    (void)db;
    (void)ctx;
    (void)e;
    return true;
}

static bool fails(struct store_db *db, void *ctx, struct err *e)
{
    if (!rows_add_pair(db, ctx, e))
        return false;
    FAIL(e, ERR_LIMIT, "refused by the test");
}

static bool run_sql(struct store_db *db, void *ctx, struct err *e)
{
    return db_exec(db, *(const char *const *)ctx, e);
}
#define SQL(text) (&(const char *){text})

/* ---- checks
 * -------------------------------------------------------------------------------------- */

struct tally {
    unsigned lost, half, revived;
};

/* Compares with what was told at the recorded position `upto` (or ever). */
static struct tally compare(size_t upto)
{
    struct tally t = {0};
    for (int n = 0; n < MOST_PAIRS; n++) {
        struct err e = ERR_INIT;
        if (told[n].answer == UNKNOWN)
            continue;
        bool there = store_read(store, rows_find_pair, pair_of(n, 0), &e);
        t.half += !there && e.code == ERR_FORMAT;
        t.lost += !there && told[n].answer == ACKNOWLEDGED && told[n].position <= upto;
        t.revived += there && told[n].answer == REFUSED;
    }
    return t;
}

static void check_all(const char *what, size_t upto)
{
    struct err e = ERR_INIT;
    struct tally t = compare(upto);
    ck_assert_msg(t.lost == 0 && t.half == 0, "%s: %u acknowledged pairs lost, %u halves", what,
                  t.lost, t.half);
    ck_assert_msg(store_check(store, NULL, NULL, &e), "%s: %s", what, e.msg);
}

/* ---- R4: every step fails
 * ------------------------------------------------------------------------ */

/* A database of BASE_PAIRS pairs, closed; and one that was not closed. */
static char *base_db, *crashed_db, *crashed_wal;
static uint8_t *base_bytes, *crashed_bytes, *wal_bytes;
static size_t base_len, crashed_len, wal_len;

static void make_base(void)
{
    set_up();
    struct err e = ERR_INIT;
    must_open();
    ck_assert_msg(store_write(store, rows_create, NULL, &e), "%s", e.msg);
    for (int i = 0; i < BASE_PAIRS; i++)
        ck_assert(try_write(i, 600));
    crashed_db = testfile_join(dir, "seekd.db");
    crashed_wal = testfile_join(dir, "seekd.db-wal");
    crashed_bytes = testfile_read(crashed_db, &crashed_len);
    wal_bytes = testfile_read(crashed_wal, &wal_len);
    store_close(&store);
    base_db = crashed_db;
    base_bytes = testfile_read(base_db, &base_len);
    ck_assert(crashed_bytes && wal_bytes && base_bytes);
}

static void drop_base(void)
{
    free(base_db);
    free(crashed_wal);
    free(base_bytes);
    free(crashed_bytes);
    free(wal_bytes);
    tear_down();
}

static void remove_file(const char *suffix)
{
    char name[1024];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    unlink(name);
}

enum start { START_NOTHING, START_CLOSED, START_OPEN, START_CRASHED };

static void remove_files(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".before-1"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        remove_file(suffixes[i]);
}

static void put_files(enum start start)
{
    remove_files();
    memset(told, 0, sizeof told);
    if (start == START_NOTHING)
        return;
    for (int i = 0; i < BASE_PAIRS; i++)
        told[i].answer = ACKNOWLEDGED;
    if (start == START_CRASHED) {
        ck_assert(testfile_write(path, crashed_bytes, crashed_len));
        ck_assert(testfile_write(crashed_wal, wal_bytes, wal_len));
    } else {
        ck_assert(testfile_write(path, base_bytes, base_len));
    }
}

static void expect_trouble(const struct err *e)
{
    ck_assert_msg(e->code == ERR_IO || e->code == ERR_BUSY, "%s: %s", err_code_name(e->code),
                  e->msg);
}

static void do_create(void)
{
    struct err e = ERR_INIT;
    if (!try_open(&e))
        expect_trouble(&e);
    else if (!store_write(store, rows_create, NULL, &e))
        expect_trouble(&e);
    else
        try_write(100, 100);
}

static void do_open(void)
{
    struct err e = ERR_INIT;
    if (!try_open(&e))
        expect_trouble(&e);
}

static void do_write(void)
{
    try_write(100, 300);
    try_write(101, 300);
}

static void do_group(void)
{
    struct err e = ERR_INIT;
    for (int i = 0; i < 6; i++)
        post(100 + i, 200);
    ck_assert(store_post(store, fails, pair_of(110, 200), NULL, &e));
    for (int i = 6; i < 10; i++)
        post(100 + i, 200);
    if (!store_write(store, nothing, NULL, &e))
        expect_trouble(&e);
}

static void do_large(void)
{
    try_write(100, 3 << 20); /* more than the page cache and more than a checkpoint's distance */
    try_write(101, 100);
}

static void do_failing(void)
{
    struct err e = ERR_INIT;
    ck_assert(!store_write(store, fails, pair_of(110, 5000), &e));
    if (e.code != ERR_LIMIT)
        expect_trouble(&e);
}

/* Refused for a failed fsync, it may still be found done after the restart: nobody knows. */
static void do_delete(void)
{
    struct err e = ERR_INIT;
    bool ok = store_write(store, run_sql, SQL("DELETE FROM row WHERE n < 20"), &e);
    if (!ok)
        expect_trouble(&e);
    for (int i = 0; i < 20 && (ok || fault == VFS_FSYNC); i++)
        told[i].answer = ok ? REFUSED : UNKNOWN;
    try_write(100, 100);
}

static void do_update(void)
{
    struct err e = ERR_INIT;
    if (!store_write(store, run_sql, SQL("UPDATE row SET filler = zeroblob(900)"), &e))
        expect_trouble(&e);
}

static void do_read(void)
{
    struct err e = ERR_INIT;
    int64_t halves = 0;
    if (!store_read(store, rows_find_halves, &halves, &e))
        expect_trouble(&e);
    ck_assert_int_eq(halves, 0);
}

static void do_truncate(void)
{
    struct err e = ERR_INIT;
    try_write(100, 300);
    if (!store_truncate_wal(store, &e))
        expect_trouble(&e);
    try_write(101, 300);
}

static void do_close(void)
{
    try_write(100, 300);
    store_close(&store);
}

static void do_backup(void)
{
    struct err e = ERR_INIT;
    char *to = testfile_join(dir, "backup.db");
    if (!store_backup(store, to, NULL, NULL, NULL, &e))
        expect_trouble(&e);
    else
        ck_assert_msg(store_restore(to, NULL, NULL, &e), "%s", e.msg);
    free(to);
}

static const struct scenario {
    const char *name;
    enum start start;
    void (*run)(void);
} scenarios[] = {
    {"create", START_NOTHING, do_create},  {"open", START_CLOSED, do_open},
    {"recover", START_CRASHED, do_open},   {"write", START_OPEN, do_write},
    {"group", START_OPEN, do_group},       {"large", START_OPEN, do_large},
    {"failing", START_OPEN, do_failing},   {"delete", START_OPEN, do_delete},
    {"update", START_OPEN, do_update},     {"read", START_OPEN, do_read},
    {"truncate", START_OPEN, do_truncate}, {"close", START_OPEN, do_close},
    {"backup", START_OPEN, do_backup},
};
enum { N_SCENARIOS = sizeof scenarios / sizeof *scenarios };

/* One run; false when the scenario has no such step any more. */
static bool trial(const struct scenario *s, unsigned nth, bool for_good)
{
    char what[96];
    snprintf(what, sizeof what, "%s, %s at step %u%s", s->name, vfs_fault_names[fault], nth,
             for_good ? " and on" : "");
    put_files(s->start);
    if (s->start == START_OPEN)
        must_open();
    vfs_fail(fault, nth, for_good);
    s->run();
    bool met = vfs_calm();
    if (store && (fault != VFS_FSYNC || !met)) { /* goes on without a restart */
        struct err e = ERR_INIT;
        ck_assert_msg(store_write(store, rows_create, NULL, &e), "%s: %s", what, e.msg);
        ck_assert_msg(try_write(200, 100), "%s", what);
    }
    store_close(&store);
    must_open();
    if (s->start != START_NOTHING || told[100].answer == ACKNOWLEDGED ||
        told[200].answer == ACKNOWLEDGED)
        check_all(what, SIZE_MAX);
    store_close(&store);
    return met;
}

static unsigned following(unsigned nth)
{
    return long_form() && nth < 1500 ? nth + 1 : nth + 1 + nth / 4;
}

START_TEST(each_io_step_fails_once)
{
    unsigned runs = 0;
    make_base();
    fault = (enum vfs_fault)_i;
    for (size_t i = 0; i < N_SCENARIOS; i++) {
        for (int for_good = 0; for_good < 2; for_good++) {
            for (unsigned nth = 1; trial(&scenarios[i], nth, for_good != 0); nth = following(nth))
                runs++;
        }
    }
    printf("R4 %s: %u failed steps in %d scenarios, all or nothing in each\n",
           vfs_fault_names[fault], runs, N_SCENARIOS);
    ck_assert_uint_ge(runs, 2 * N_SCENARIOS - 8);
    drop_base();
}
END_TEST

static const char *const step1[] = {
    "CREATE TABLE one (x INTEGER) STRICT; INSERT INTO one VALUES (1);", NULL};
static const char *const step2[] = {"ALTER TABLE one ADD COLUMN y INTEGER;",
                                    "UPDATE one SET y = 2;", NULL};
static const char *const *const steps[] = {step1, step2};

static void expect_version(int64_t version)
{
    struct store_db *db;
    struct err e = ERR_INIT;
    int64_t found = -1, columns = -1;
    ck_assert_msg(db_open(path, VFS_NAME, DB_WRITER, &db, &e), "%s", e.msg);
    ck_assert(db_int(db, "PRAGMA user_version", &found, &e));
    ck_assert(db_int(db, "SELECT count(*) FROM pragma_table_info('one')", &columns, &e));
    ck_assert_int_eq(columns, found);
    ck_assert_msg(version == 0 || found == version, "version %d", (int)found);
    db_close(&db);
}

static bool migrate(size_t from, size_t to)
{
    struct store_db *db = NULL;
    struct err e = ERR_INIT;
    bool ok = db_open(path, VFS_NAME, DB_WRITER, &db, &e) &&
              migrate_run(db, path, steps, to, from, &e);
    ck_assert_msg(ok || e.code == ERR_IO || e.code == ERR_BUSY, "%s", e.msg);
    db_close(&db);
    return ok;
}

START_TEST(migrations_are_all_or_nothing)
{
    unsigned runs = 0;
    bool met = true;
    fault = (enum vfs_fault)_i;
    for (unsigned nth = 1; met; nth++, runs++) {
        put_files(START_NOTHING);
        ck_assert(migrate(0, 1));
        vfs_fail(fault, nth, true);
        bool ok = migrate(1, 2);
        met = vfs_calm();
        expect_version(ok ? 2 : 0);
    }
    printf("R4 migration, %s: %u failed steps, all or nothing\n", vfs_fault_names[fault], runs);
}
END_TEST

/* ---- R2: power failures
 * -------------------------------------------------------------------------- */

enum { POWER_THREADS = 2, POWER_PAIRS = 70 };

static void *write_part(void *ctx)
{
    int first = *(int *)ctx;
    for (int i = 0; i < POWER_PAIRS; i++)
        ck_assert(try_write(first + i, (size_t)(i * 37 % 3000)));
    return NULL;
}

/* Creation, small commits of two threads, groups, checkpoints of both kinds, a large transaction.
 */
static void live(void)
{
    struct err e = ERR_INIT;
    pthread_t threads[POWER_THREADS];
    int first[POWER_THREADS];
    must_open();
    ck_assert(store_write(store, rows_create, NULL, &e));
    for (int t = 0; t < POWER_THREADS; t++) {
        first[t] = 1000 * t;
        ck_assert_int_eq(pthread_create(&threads[t], NULL, write_part, &first[t]), 0);
    }
    for (int t = 0; t < POWER_THREADS; t++)
        pthread_join(threads[t], NULL);
    ck_assert(store_truncate_wal(store, &e));
    for (int i = 0; i < 40; i++)
        post(2000 + i, 700);
    ck_assert(store_write(store, nothing, NULL, &e));
    for (int i = 0; i < 3; i++)
        ck_assert(try_write(2100 + i, 1100000)); /* 540 pages each: PASSIVE after the second */
    for (int i = 0; i < 40; i++)
        ck_assert(try_write(2200 + i, 50));
    ck_assert(store_write(store, run_sql, SQL("UPDATE row SET filler = zeroblob(10)"), &e));
    store_close(&store);
    must_open();
    for (int i = 0; i < 10; i++)
        ck_assert(try_write(2300 + i, 50));
    store_close(&store);
}

static unsigned acknowledged_by(size_t upto)
{
    unsigned n = 0;
    for (int i = 0; i < MOST_PAIRS; i++)
        n += told[i].answer == ACKNOWLEDGED && told[i].position <= upto;
    return n;
}

static bool table_is_there(void)
{
    int64_t n = 0;
    struct err e = ERR_INIT;
    return store_read(store, rows_count, &n, &e);
}

START_TEST(power_fails_at_any_moment)
{
    unsigned images = long_form() ? 1000 : 100;
    uint64_t rows = 0, moment = 20261124;
    fault = VFS_FAULT_COUNT;
    memset(told, 0, sizeof told);
    vfs_record();
    live();
    vfs_record_stop();
    size_t n = vfs_position();
    for (unsigned i = 0; i < images; i++) {
        char what[64];
        moment = moment * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t upto = (size_t)((moment >> 33) % (n + 1));
        snprintf(what, sizeof what, "image %u after step %zu of %zu", i, upto, n);
        remove_files();
        ck_assert(vfs_image(upto, i, path));
        must_open();
        unsigned known = acknowledged_by(upto);
        ck_assert_msg(known == 0 || table_is_there(), "%s", what);
        if (known > 0)
            check_all(what, upto);
        rows += known;
        store_close(&store);
    }
    printf(
        "R2 power failure: %u images of %zu steps opened clean, 0 of %llu acknowledged pairs lost\n",
        images, n, (unsigned long long)rows);
}
END_TEST

/* ---- R14: the disk is full
 * ----------------------------------------------------------------------- */

enum { FULL_ROUNDS = 20 };

static void expect_read_only(bool want)
{
    struct store_stats stats;
    store_stats(store, &stats);
    ck_assert_int_eq(stats.read_only, want);
}

/* Acts are rows of the audit log: as many as were acknowledged, each chained to the one before. */
static int64_t acts;

static bool add_act(struct store_db *db, void *ctx, struct err *e)
{
    static const struct audit_actor machine = {.name = "seekd", .address = "local", .request_id = ""};
    static const struct audit_entry entry = {.action = "server.backup", .object_kind = "server",
                                             .object_id = "database", .reason = ""};
    (void)ctx;
    return audit_append(db, &machine, &entry, e);
}

static bool try_act(void)
{
    struct err e = ERR_INIT;
    bool ok = store_write(store, add_act, NULL, &e);
    ck_assert_msg(ok || e.code == ERR_IO || e.code == ERR_BUSY, "%s: %s", err_code_name(e.code),
                  e.msg);
    acts += ok;
    return ok;
}

struct chain {
    struct audit_head head;
    int64_t bad;
};

static bool verify_chain(struct store_db *db, void *ctx, struct err *e)
{
    struct chain *c = ctx;
    return audit_verify(db, NULL, &c->head, &c->bad, e);
}

static void expect_chain(void)
{
    struct err e = ERR_INIT;
    struct chain c;
    ck_assert_msg(store_read(store, verify_chain, &c, &e), "%s", e.msg);
    ck_assert_int_eq(c.bad, 0);
    ck_assert_int_eq(c.head.seq, acts);
}

/* Writes until the disk is full: pairs, then acts, which are smaller. Readers go on. */
static int fill_disk(int n, size_t filler_bytes)
{
    while (try_write(n, filler_bytes))
        n++;
    expect_read_only(true);
    while (try_act())
        continue;
    expect_read_only(true);
    ck_assert(!try_write(n + 1, filler_bytes));
    ck_assert(rows_total(store) > 0);
    return n + 2;
}

/* What holds as soon as there is room again, without a restart. */
static int expect_recovery(int n, const char *what)
{
    struct err e = ERR_INIT;
    ck_assert(try_write(n++, 100));
    ck_assert(try_act());
    expect_read_only(false);
    check_all(what, SIZE_MAX);
    expect_chain();
    ck_assert(store_truncate_wal(store, &e));
    return n;
}

START_TEST(a_full_disk_is_survived_without_a_restart)
{
    struct err e = ERR_INIT;
    int n = 0;
    fault = VFS_FULL;
    memset(told, 0, sizeof told);
    must_open();
    ck_assert(store_write(store, rows_create, NULL, &e));
    for (int round = 0; round < FULL_ROUNDS; round++) {
        vfs_limit_space(20000 + 37000 * round);
        n = fill_disk(n, (size_t)(200 + 1500 * (round % 4)));
        vfs_limit_space(-1);
        n = expect_recovery(n, "full disk");
    }
    ck_assert_uint_eq(compare(SIZE_MAX).revived, 0);
    store_close(&store);
    must_open();
    check_all("after a restart", SIZE_MAX);
    expect_chain();
    printf("R14 full disk: %d rounds, %d pairs and %d acts told about, none lost\n", FULL_ROUNDS, n,
           (int)acts);
}
END_TEST

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_file_size_limit_of_the_system_is_survived)
{
    int n = 0;
    fault = VFS_FULL;
    memset(told, 0, sizeof told);
    signal(SIGXFSZ, SIG_IGN);
    store = rows_open(path); /* the system's own VFS */
    for (int round = 0; round < FULL_ROUNDS; round++) {
        limit_files((rlim_t)(400000 + 150000 * round));
        n = fill_disk(n, 2500);
        limit_files(RLIM_INFINITY);
        n = expect_recovery(n, "file size limit");
    }
    ck_assert_uint_eq(compare(SIZE_MAX).revived, 0);
    store_close(&store);
    store = rows_reopen(path);
    check_all("after a restart", SIZE_MAX);
    expect_chain();
    printf("R14 file size limit: %d rounds, %d pairs and %d acts told about, none lost\n", FULL_ROUNDS,
           n, (int)acts);
}
END_TEST

/* ---- */

static Suite *make_suite(void)
{
    Suite *s = suite_create("store_faults");
    TCase *steps_case = tcase_create("steps");
    tcase_set_timeout(steps_case, long_form() ? 3600 : 240);
    tcase_add_loop_test(steps_case, each_io_step_fails_once, 0, VFS_FAULT_COUNT);
    suite_add_tcase(s, steps_case);
    TCase *t = tcase_create("disk");
    tcase_set_timeout(t, long_form() ? 3600 : 240);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, migrations_are_all_or_nothing, 0, VFS_FAULT_COUNT);
    tcase_add_test(t, power_fails_at_any_moment);
    tcase_add_test(t, a_full_disk_is_survived_without_a_restart);
    tcase_add_test(t, a_file_size_limit_of_the_system_is_survived);
    suite_add_tcase(s, t);
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
