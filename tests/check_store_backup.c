/* Backups: made while others write, of both kinds, restored, and refused after any change. */
#include <config.h>

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/seal.h"
#include "store/store.h"
#include "store_rows.h"
#include "testfile.h"

static const uint8_t key[SEAL_KEY_BYTES] = "thirty-two bytes of a test's key";
static char *dir, *path, *plain, *sealed, *copy;
static struct store *store;

static void set_up(void)
{
    dir = testfile_make_dir();
    path = testfile_join(dir, "seekd.db");
    plain = testfile_join(dir, "backup.db");
    sealed = testfile_join(dir, "backup.sealed");
    copy = testfile_join(dir, "copy.db");
    store = rows_open(path);
}

static void tear_down(void)
{
    store_close(&store);
    rows_remove_dir(dir);
    free(path);
    free(plain);
    free(sealed);
    free(copy);
}

static void back_up(const char *to, const uint8_t *with)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_backup(store, to, with, NULL, NULL, &e), "%s", e.msg);
}

static void expect_good(const char *backup, const uint8_t *with, const char *to)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_restore(backup, with, to, &e), "%s", e.msg);
}

static void expect_refused(const char *backup, const uint8_t *with, const char *to,
                           enum err_code code)
{
    struct err e = ERR_INIT;
    ck_assert_msg(!store_restore(backup, with, to, &e), "%s was accepted", backup);
    ck_assert_msg(e.code == code, "%s, not %s: %s", err_code_name(e.code), err_code_name(code),
                  e.msg);
    ck_assert(!to || strcmp(to, path) == 0 || access(to, F_OK) != 0);
}

/* ---- while others write
 * -------------------------------------------------------------------------- */

enum { BACKUPS = 20, WRITERS = 3 };
static atomic_int acknowledged[WRITERS]; /* pairs 0 .. n-1 of each writer */
static atomic_bool enough;

static void *keep_writing(void *ctx)
{
    int writer = *(int *)ctx;
    for (int i = 0; !atomic_load(&enough); i++) {
        rows_write(store, writer, i, 200);
        atomic_store(&acknowledged[writer], i + 1);
    }
    return NULL;
}

static void expect_rows(const char *database, const int want[WRITERS])
{
    struct store *restored = rows_reopen(database);
    int64_t halves = -1;
    struct err e = ERR_INIT;
    for (int w = 0; w < WRITERS; w++) {
        for (int i = 0; i < want[w]; i++)
            ck_assert_msg(rows_have(restored, w, i), "row %d of writer %d is not in the backup", i,
                          w);
    }
    ck_assert(store_read(restored, rows_find_halves, &halves, &e));
    ck_assert_int_eq(halves, 0);
    ck_assert_msg(store_check(restored, NULL, NULL, &e), "%s", e.msg);
    store_close(&restored);
    ck_assert_int_eq(unlink(database), 0);
}

START_TEST(a_backup_has_every_row_acknowledged_before)
{
    pthread_t threads[WRITERS];
    int number[WRITERS], want[WRITERS], rows = 0;
    for (int w = 0; w < WRITERS; w++) {
        number[w] = w;
        ck_assert_int_eq(pthread_create(&threads[w], NULL, keep_writing, &number[w]), 0);
    }
    for (int i = 0; i < BACKUPS; i++) {
        const uint8_t *with = i % 2 ? key : NULL;
        const char *to = with ? sealed : plain;
        for (int w = 0; w < WRITERS; w++)
            want[w] = atomic_load(&acknowledged[w]);
        back_up(to, with);
        expect_good(to, with, NULL);
        expect_good(to, with, copy);
        expect_rows(copy, want);
        rows = want[0] + want[1] + want[2];
    }
    atomic_store(&enough, true);
    for (int w = 0; w < WRITERS; w++)
        pthread_join(threads[w], NULL);
    printf("backups: %d while writing, the last with %d acknowledged rows or more\n", BACKUPS,
           rows);
}
END_TEST

struct progress {
    uint64_t last, all, calls;
};

static void note_progress(void *ctx, uint64_t done, uint64_t all)
{
    struct progress *p = ctx;
    ck_assert_uint_ge(done, p->last);
    ck_assert_uint_le(done, all);
    p->last = done;
    p->all = all;
    p->calls++;
}

/* About 2.4 MB, so that a sealed backup has three chunks. */
static void fill(void)
{
    for (int i = 0; i < 12; i++)
        rows_write(store, 1, i, 100000);
}

START_TEST(progress_is_told)
{
    struct progress p = {0};
    struct err e = ERR_INIT;
    fill();
    ck_assert(store_backup(store, plain, NULL, note_progress, &p, &e));
    ck_assert_uint_ge(p.calls, 3);
    ck_assert_uint_eq(p.last, p.all);
    ck_assert_uint_ge(p.all, 500);
}
END_TEST

static int n_left_behind(void)
{
    int n = 0;
    static const char *const names[] = {"seekd.db.backup",       "seekd.db.backup.part",
                                        "backup.db.part",        "backup.sealed.part",
                                        "backup.db.sha256.part", "copy.db.part"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *name = testfile_join(dir, names[i]);
        n += access(name, F_OK) == 0;
        free(name);
    }
    return n;
}

START_TEST(nothing_is_left_behind_and_nothing_is_open)
{
    struct stat st;
    fill();
    back_up(plain, NULL);
    back_up(plain, NULL); /* replaces the older one */
    back_up(sealed, key);
    expect_good(sealed, key, copy);
    ck_assert_int_eq(n_left_behind(), 0);
    ck_assert(stat(plain, &st) == 0 && (st.st_mode & 0777) == 0600);
    ck_assert(stat(sealed, &st) == 0 && (st.st_mode & 0777) == 0600);
    ck_assert(stat(copy, &st) == 0 && (st.st_mode & 0777) == 0600);
    size_t n;
    uint8_t *bytes = testfile_read(sealed, &n);
    ck_assert(!memmem(bytes, n, "CREATE TABLE", 12) && !memmem(bytes, n, "SQLite format", 13));
    free(bytes);
}
END_TEST

START_TEST(a_backup_that_cannot_be_written_says_so)
{
    struct err e = ERR_INIT;
    char *nowhere = testfile_join(dir, "no/such/backup.db");
    ck_assert(!store_backup(store, nowhere, NULL, NULL, NULL, &e));
    ck_assert(e.code == ERR_NOT_FOUND || e.code == ERR_IO);
    ck_assert_int_eq(n_left_behind(), 0);
    free(nowhere);
    rows_write(store, 1, 1, 0);
}
END_TEST

/* ---- refusals
 * ------------------------------------------------------------------------------------ */

START_TEST(wrong_keys_and_names_are_refused)
{
    uint8_t other[SEAL_KEY_BYTES];
    memcpy(other, key, sizeof other);
    other[31] ^= 1;
    back_up(plain, NULL);
    back_up(sealed, key);
    expect_refused(sealed, other, NULL, ERR_FORMAT);
    expect_refused(sealed, other, copy, ERR_FORMAT);
    expect_refused(sealed, NULL, NULL, ERR_ARG);
    expect_refused(plain, key, NULL, ERR_ARG);
    expect_refused(copy, NULL, NULL, ERR_NOT_FOUND);
    expect_refused(plain, NULL, path, ERR_CONFLICT); /* never over a database */
    char *sum = testfile_join(dir, "backup.db.sha256");
    ck_assert_int_eq(unlink(sum), 0);
    expect_refused(plain, NULL, copy, ERR_NOT_FOUND);
    free(sum);
}
END_TEST

static void flip(const char *file, off_t at, uint8_t bits)
{
    uint8_t byte;
    int fd = open(file, O_RDWR);
    ck_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= bits;
    ck_assert(pwrite(fd, &byte, 1, at) == 1);
    close(fd);
}

/* Half of them anywhere, half where the structure is: head, digest file, records' lengths, end. */
static unsigned flip_many(const char *file, const uint8_t *with, unsigned n)
{
    struct stat st;
    unsigned refused = 0;
    uint64_t state = 88172645463325252u;
    ck_assert_int_eq(stat(file, &st), 0);
    for (unsigned i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        off_t near = i % 4 == 0 ? 64 : st.st_size;
        off_t at = (off_t)(state % (uint64_t)(near < st.st_size ? near : st.st_size));
        if (i % 4 == 1)
            at = st.st_size - 1 - at % 64;
        uint8_t bits = (uint8_t)(1u << (state >> 61));
        flip(file, at, bits);
        struct err e = ERR_INIT;
        bool accepted = store_restore(file, with, NULL, &e);
        ck_assert_msg(!accepted, "byte %lld with bits %02x", (long long)at, bits);
        refused++;
        flip(file, at, bits);
    }
    return refused;
}

static unsigned n_flips(void)
{
    const char *fewer = getenv("SEEKD_TEST_FLIPS"); /* valgrind needs minutes for all */
    return fewer ? (unsigned)strtoul(fewer, NULL, 10) : 1000;
}

START_TEST(every_flipped_byte_is_found)
{
    fill();
    back_up(plain, NULL);
    back_up(sealed, key);
    char *sum = testfile_join(dir, "backup.db.sha256");
    unsigned n = n_flips();
    unsigned sealed_refused = flip_many(sealed, key, n);
    unsigned plain_refused = flip_many(plain, NULL, n);
    for (off_t i = 0; i < 76; i++) { /* 64 digits, two blanks, the name, a line feed */
        flip(sum, i, 0x20);
        expect_refused(plain, NULL, NULL, ERR_FORMAT);
        flip(sum, i, 0x20);
    }
    printf("flips: %u of %u refused in a sealed backup, %u of %u in a plain one\n", sealed_refused,
           n, plain_refused, n);
    expect_good(sealed, key, NULL);
    expect_good(plain, NULL, NULL);
    free(sum);
}
END_TEST

START_TEST(cut_longer_and_swapped_files_are_refused)
{
    size_t n;
    fill();
    back_up(sealed, key);
    uint8_t *bytes = testfile_read(sealed, &n);
    const size_t record = 4 + SEAL_CHUNK_BYTES + 16, head = SEAL_HEAD_BYTES;
    const size_t cuts[] = {
        0,      1,    8, 31, head, head + 3, head + 4, head + 100, head + record, head + 2 * record,
        n - 28, n - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        ck_assert(testfile_write(copy, bytes, cuts[i]));
        struct err e = ERR_INIT;
        ck_assert_msg(!store_restore(copy, key, NULL, &e), "cut at %zu", cuts[i]);
    }
    uint8_t *more = calloc(1, n + 1);
    memcpy(more, bytes, n);
    ck_assert(testfile_write(copy, more, n + 1));
    expect_refused(copy, key, NULL, ERR_FORMAT);
    memcpy(more + head, bytes + head + record, record); /* chunks 0 and 1 */
    memcpy(more + head + record, bytes + head, record);
    ck_assert(testfile_write(copy, more, n));
    expect_refused(copy, key, NULL, ERR_FORMAT);
    memcpy(more, bytes, head);
    memmove(more + head, bytes + head + record, n - head - record); /* without chunk 0 */
    ck_assert(testfile_write(copy, more, n - record));
    expect_refused(copy, key, NULL, ERR_FORMAT);
    free(more);
    free(bytes);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("store_backup");
    TCase *t = tcase_create("backup");
    tcase_set_timeout(t, 240);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_backup_has_every_row_acknowledged_before);
    tcase_add_test(t, progress_is_told);
    tcase_add_test(t, nothing_is_left_behind_and_nothing_is_open);
    tcase_add_test(t, a_backup_that_cannot_be_written_says_so);
    tcase_add_test(t, wrong_keys_and_names_are_refused);
    tcase_add_test(t, every_flipped_byte_is_found);
    tcase_add_test(t, cut_longer_and_swapped_files_are_refused);
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
