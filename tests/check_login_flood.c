/* S11 over HTTP: what a hundred wrong logins at once cost those who are logged in already - memory, and
 * the time that their requests take. How many hashes they cost is in check_session.
 *
 * Times are printed; they are bounded in the long form, where nothing else runs beside. */
#include <config.h>

#include "admin_browser.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "auth/auth.h"
#include "base/clock.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { LOGINS = 100, SAMPLES_MAX = 20000, PAUSE_US = 500, MEMORY_KIB = 40 << 10, ROUNDS = 5,
       NICEST = 19 };

static struct admin_rig rig;

static void setup(void)
{
    admin_rig_open(&rig);
    rig.server.service->auth->cost = PASSWORD_COST_DEFAULT;
}

static void teardown(void)
{
    admin_rig_close(&rig);
}

/* ---- memory ----------------------------------------------------------------------------------- */

/* KiB of a line of /proc/self/status. */
static long status_kib(const char *name)
{
    char line[256];
    long kib = -1;
    size_t len = strlen(name);
    FILE *f = fopen("/proc/self/status", "r");
    ck_assert_ptr_nonnull(f);
    while (kib < 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, name, len) && line[len] == ':')
            kib = strtol(line + len + 1, NULL, 10);
    fclose(f);
    ck_assert_int_gt(kib, 0);
    return kib;
}

/* Makes the peak what is used now. */
static bool reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    bool ok = f && fputs("5", f) >= 0;
    return f && fclose(f) == 0 && ok;
}

/* ---- the flood -------------------------------------------------------------------------------- */

struct flood {
    char login[32];
    atomic_bool done;
    int wrong, later; /* 401; 429 and 503 */
};

/* All requests are sent before the first reply is read. */
static void *run_flood(void *user)
{
    struct flood *f = user;
    struct http_client clients[LOGINS];
    struct buf text;
    char body[128];
    buf_init(&text, 4096);
    snprintf(body, sizeof body, "{\"login\": \"%s\", \"password\": \"not-the-password\"}", f->login);
    http_write_post(&text, "/admin/v1/login", NULL, body);
    for (int i = 0; i < LOGINS; i++) {
        http_client_open(&clients[i], rig.server.port);
        http_client_send(&clients[i], buf_str(&text), text.len);
    }
    for (int i = 0; i < LOGINS; i++) {
        struct http_reply r = {0};
        http_client_read(&clients[i], &r, false, 20000);
        f->wrong += r.status == 401;
        f->later += r.status == 429 || r.status == 503;
        http_reply_release(&r);
        http_client_close(&clients[i]);
    }
    buf_release(&text);
    atomic_store(&f->done, true);
    return NULL;
}

static void check_flood(const struct flood *f)
{
    ck_assert_int_eq(f->wrong + f->later, LOGINS);
    ck_assert_int_ge(f->wrong, 1);
    ck_assert_int_le(f->wrong, 12);
}

/* ---- those who work --------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

struct traffic {
    struct http_client c;
    struct buf request;
    uint64_t us[SAMPLES_MAX];
    size_t n;
};

static void traffic_open(struct traffic *t)
{
    buf_init(&t->request, 4096);
    buf_printf(&t->request,
               "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
               rig.person[BY_USER].key);
    http_client_open(&t->c, rig.server.port);
}

static void traffic_close(struct traffic *t)
{
    http_client_close(&t->c);
    buf_release(&t->request);
}

static void ask_once(struct traffic *t)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_US * 1000L};
    struct http_reply r = {0};
    uint64_t begun = clock_now_us();
    ck_assert(http_client_send(&t->c, buf_str(&t->request), t->request.len));
    http_client_read(&t->c, &r, false, 20000);
    ck_assert_int_eq(r.status, 200);
    if (t->n < SAMPLES_MAX)
        t->us[t->n++] = clock_now_us() - begun;
    http_reply_release(&r);
    nanosleep(&pause, NULL);
}

static uint64_t percentile_99(struct traffic *t)
{
    uint64_t p99;
    ck_assert_uint_gt(t->n, 0);
    qsort(t->us, t->n, sizeof t->us[0], by_size);
    p99 = t->us[t->n * 99 / 100];
    t->n = 0;
    return p99;
}

/* ---- tests ------------------------------------------------------------------------------------ */

START_TEST(a_flood_of_logins_takes_little_memory)
{
    struct flood f = {.login = "ghost"};
    pthread_t thread;
    for (int i = 0; i < 20; i++)
        admin_expect(&rig, BY_USER, "GET", "/v1/models", NULL, NULL, 200);
    if (!reset_peak()) {
        printf("SKIP: memory of a flood of logins: the peak cannot be reset here\n");
        return;
    }
    long before = status_kib("VmRSS");
    ck_assert_int_eq(pthread_create(&thread, NULL, run_flood, &f), 0);
    pthread_join(thread, NULL);
    long peak = status_kib("VmHWM"), after = status_kib("VmRSS");
    printf("S11: %d wrong logins at once: %d checked, %d told to wait; memory at most +%.1f MiB (limit "
           "40), afterwards +%.1f MiB\n", LOGINS, f.wrong, f.later, (double)(peak - before) / 1024,
           (double)(after - before) / 1024);
    check_flood(&f);
#ifndef SANITIZED
    ck_assert_int_le(peak - before, MEMORY_KIB);
#endif
}
END_TEST

/* How many threads of this process are nicer than this one. */
static int count_nicer(void)
{
    int own = getpriority(PRIO_PROCESS, 0), n = 0;
    DIR *dir = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *d; (d = readdir(dir));)
        if (d->d_name[0] != '.')
            n += getpriority(PRIO_PROCESS, (id_t)strtoul(d->d_name, NULL, 10)) > own;
    closedir(dir);
    return n;
}

START_TEST(hashing_leaves_the_cores_to_others)
{
    ck_assert_int_eq(count_nicer(), getpriority(PRIO_PROCESS, 0) < NICEST ? 1 : 0);
}
END_TEST

/* How much longer a request takes while logins are hashed: the 99th percentiles' ratio. */
static double measure(struct traffic *t, int round)
{
    struct flood f = {0};
    pthread_t thread;
    snprintf(f.login, sizeof f.login, "ghost%d", round);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_flood, &f), 0);
    while (!atomic_load(&f.done))
        ask_once(t);
    pthread_join(thread, NULL);
    check_flood(&f);
    size_t n = t->n;
    double during = (double)percentile_99(t);
    while (t->n < n)
        ask_once(t);
    double quiet = (double)percentile_99(t);
    printf("S11: p99 of %zu requests while %d wrong logins run %.0f us, without %.0f us\n", n, LOGINS,
           during, quiet);
    return during / quiet;
}

START_TEST(a_flood_of_logins_slows_nobody_down)
{
    static struct traffic t;
    bool all = getenv("SEEKD_TEST_LONG") != NULL;
    double least = 1000;
    traffic_open(&t);
    for (int round = 0; round < (all ? ROUNDS : 1) && least > 1.1; round++) {
        double ratio = measure(&t, round);
        least = ratio < least ? ratio : least;
    }
    traffic_close(&t);
    if (all)
        ck_assert_double_le(least, 1.1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("login flood");
    TCase *tc = tcase_create("flood");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_flood_of_logins_takes_little_memory);
    tcase_add_test(tc, hashing_leaves_the_cores_to_others);
    tcase_add_test(tc, a_flood_of_logins_slows_nobody_down);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
