/* Rates of the ledger: committed requests per second in a batch run, the cost of admission, and queries
 * over many rows. `bench_ledger [ROWS [FOLDER]]`; 1,000,000 rows in the working directory unless told.
 * Prints one line per figure: name, value, unit. */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"
#include "usage/ledger.h"
#include "usage/limits.h"
#include "usage/query.h"
#include "usage/quota.h"

enum {
    PEOPLE = 500,
    DEPARTMENTS = 20,
    DAYS = 60,
    IN_FLIGHT = 4096,
    ROUNDS = 7,
    ADMISSIONS = 200000
};

static struct store *store;
static struct ledger *ledger;
static int64_t first_s; /* start of the oldest request */

static void need(bool ok, const struct err *e)
{
    if (ok)
        return;
    fprintf(stderr, "bench_ledger: %s\n", e->msg);
    exit(EXIT_FAILURE);
}

static double seconds_since(uint64_t start_us)
{
    return (double)(clock_now_us() - start_us) / 1e6;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static unsigned flying;
static uint64_t lost;

static void landed(void *ctx, bool ok, const struct err *e)
{
    (void)ctx, (void)e;
    pthread_mutex_lock(&mu);
    flying--;
    lost += !ok;
    pthread_cond_signal(&some);
    pthread_mutex_unlock(&mu);
}

static void wait_below(unsigned n)
{
    pthread_mutex_lock(&mu);
    while (flying >= n)
        pthread_cond_wait(&some, &mu);
    pthread_mutex_unlock(&mu);
}

/* Request i of n, spread evenly over DAYS days, by people in turn; everybody has two models and, with
 * each, two templates or none. */
static void request(uint64_t i, uint64_t n)
{
    struct err e = ERR_INIT;
    char id[40];
    struct ledger_request *r;
    unsigned dice = (unsigned)(i * 0x9e3779b97f4a7c15u >> 40);
    int64_t person = 1 + (int64_t)(i * 2654435761u % PEOPLE);
    snprintf(id, sizeof id, "req_%016llx", (unsigned long long)(i * 0x9e3779b97f4a7c15u));
    struct ledger_start s = {
        .request_id = id,
        .started_us = (first_s + (int64_t)(i * (DAYS * UINT64_C(86400)) / n)) * 1000000,
        .person_id = person,
        .key_id = person,
        .department_id = 1 + person % DEPARTMENTS,
        .endpoint = "/v1/chat/completions",
        .model = dice % 3 ? "deepseek-v3" : "deepseek-r1",
        .class = LEDGER_API,
        .template_id = dice % 5 > 2 ? 1 + (person + dice % 2) % 30 : 0,
        .template_version = dice % 5 > 2,
        .prompt_tokens = 400};
    struct ledger_end end = {.finished_us = s.started_us + 3000000,
                             .counts = {400, 100, 200 + i % 100, 50},
                             .queue_us = 20000,
                             .ttft_us = 300000,
                             .http_status = 200,
                             .finish_reason = "stop"};
    wait_below(IN_FLIGHT);
    pthread_mutex_lock(&mu);
    flying++;
    pthread_mutex_unlock(&mu);
    need(ledger_begin(ledger, &s, &r, &e), &e);
    need(ledger_finish(&r, &end, landed, NULL, &e), &e);
}

static bool people(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    (void)ctx;
    return store_query(db,
                       "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE"
                       " i < 20) INSERT INTO department (id, parent_id, name, created_at) SELECT i,"
                       " CASE i WHEN 1 THEN NULL ELSE i / 2 END, 'department ' || i, 0 FROM n",
                       &st, e) &&
           store_run(db, st, NULL, e) &&
           store_query(db,
                       "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE"
                       " i < 500) INSERT INTO person (id, login, department_id, roles, source,"
                       " created_at) SELECT i, 'person' || i, 1 + i % 20, 16, 'local', 0 FROM n",
                       &st, e) &&
           store_run(db, st, NULL, e);
}

static double cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void write_rows(uint64_t n)
{
    double cpu = cpu_us();
    uint64_t start = clock_now_us();
    for (uint64_t i = 0; i < n; i++)
        request(i, n);
    wait_below(1);
    printf("write,%.0f,requests/s committed (%llu in all, %llu lost)\n",
           (double)n / seconds_since(start), (unsigned long long)n, (unsigned long long)lost);
    printf("write cpu,%.1f,us per request, all threads\n", (cpu_us() - cpu) / (double)n);
}

/* ---- admission --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void admission(void)
{
    static const struct audit_actor actor = {0, "bench", "local", "", NULL};
    struct err e = ERR_INIT;
    struct limits *l = limits_create(NULL);
    for (int64_t i = 1; i <= PEOPLE + DEPARTMENTS; i++) {
        struct quota q = {i <= PEOPLE ? QUOTA_PERSON : QUOTA_DEPARTMENT,
                          i <= PEOPLE ? i : i - PEOPLE,
                          {1 << 30, INT64_C(1) << 50, 1 << 30, INT64_C(1) << 50, INT64_C(1) << 50},
                          false,
                          0,
                          0};
        need(quota_put(store, &actor, &q, "", &e), &e);
    }
    uint64_t start = clock_now_us();
    need(limits_load(l, store, &e), &e);
    printf("limits_load,%.1f,ms\n", seconds_since(start) * 1e3);
    start = clock_now_us();
    for (int64_t i = 0; i < ADMISSIONS; i++) {
        struct limits_ticket t;
        struct limits_refusal why;
        struct limits_ask ask = {0, 1 + i % PEOPLE, 1 + i % DEPARTMENTS, 500};
        if (limits_admit(l, &ask, &t, &why))
            limits_settle(l, &t, 400);
    }
    printf("limits_admit,%.2f,us (admitted and settled)\n",
           seconds_since(start) * 1e6 / ADMISSIONS);
    limits_destroy(&l);
}

/* ---- queries ----------------------------------------------------------------------------------- */

struct job {
    struct usage_query totals;
    struct usage_rows rows;
    bool by_row;
    unsigned n;
};

static bool count_total(void *ctx, const struct usage_total *t, struct err *e)
{
    (void)t, (void)e;
    ((struct job *)ctx)->n++;
    return true;
}

static bool count_row(void *ctx, const struct usage_row *r, struct err *e)
{
    (void)r, (void)e;
    ((struct job *)ctx)->n++;
    return true;
}

static bool query(struct store_db *db, void *ctx, struct err *e)
{
    struct job *j = ctx;
    bool more;
    int64_t us, id;
    j->n = 0;
    return j->by_row ? usage_list(db, &j->rows, count_row, j, &us, &id, e)
                     : usage_totals(db, &j->totals, count_total, j, &more, e);
}

static void time_query(const char *name, struct job *j)
{
    struct err e = ERR_INIT;
    double ms[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = clock_now_us();
        need(store_read(store, query, j, &e), &e);
        ms[i] = seconds_since(start) * 1e3;
    }
    qsort(ms, ROUNDS, sizeof ms[0], compare);
    printf("query %s,%.1f,ms median (%.1f worst; %u lines)\n", name, ms[ROUNDS / 2], ms[ROUNDS - 1],
           j->n);
}

static void queries(void)
{
    int64_t to = first_s + DAYS * 86400;
    struct usage_filter all = {.from_s = first_s + 1234, .to_s = to - 4321}, some_rows = all;
    static const char *const by[USAGE_BY_COUNT] = {"nothing", "department", "person", "key", "model",
                                                   "template"};
    char name[64];
    for (int i = 0; i < USAGE_BY_COUNT; i++) {
        struct job j = {.totals = {.filter = all, .by = (enum usage_by)i, .limit = 1000}};
        snprintf(name, sizeof name, "60 days by %s", by[i]);
        time_query(name, &j);
    }
    struct job j = {.totals = {.filter = all, .by = USAGE_BY_NOTHING, .split = USAGE_DAYS,
                               .limit = 1000}};
    j.totals.filter.person_id = 77;
    time_query("one person's days", &j);
    j.totals.filter = all;
    j.totals.filter.department_id = 2;
    j.totals.split = USAGE_HOURS;
    j.totals.filter.to_s = all.from_s + 30 * 86400;
    time_query("30 days of a subtree by hours", &j);
    j.totals.filter = all;
    j.totals.filter.from_s = to - 86400;
    j.totals.split = USAGE_MINUTES;
    time_query("a day by minutes", &j);
    j.totals.by = USAGE_BY_PERSON;
    time_query("a day by minutes and person", &j);
    j = (struct job){.by_row = true, .rows = {.filter = all, .limit = 1000}};
    time_query("newest 1000 rows", &j);
    j.rows.filter.person_id = 77;
    time_query("newest 1000 rows of a person", &j);
    some_rows.department_id = 2;
    j.rows.filter = some_rows;
    time_query("newest 1000 rows of a subtree", &j);
    j.rows.filter = all;
    j.rows.filter.model = "no such model";
    time_query("rows that nothing fits (one page)", &j);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000, interrupted;
    struct store_options opt = STORE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    char folder[256], path[300], side[320];
    snprintf(folder, sizeof folder, "%s/bench_ledger.XXXXXX", argc > 2 ? argv[2] : ".");
    if (n < 1 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: bench_ledger [ROWS [FOLDER]]\n");
        return EXIT_FAILURE;
    }
    log_set_level(LOG_WARN);
    snprintf(path, sizeof path, "%s/db", folder);
    first_s = period_start(PERIOD_DAY, clock_wall_s()) - (DAYS - 1) * 86400;
    opt.path = path;
    need(store_open(&opt, &store, &e), &e);
    need(store_write(store, people, NULL, &e), &e);
    need(ledger_open(store, NULL, &ledger, &interrupted, &e), &e);
    write_rows(n);
    admission();
    queries();
    ledger_close(&ledger);
    store_close(&store);
    struct stat st;
    if (stat(path, &st) == 0)
        printf("file,%.1f,MiB\n", (double)st.st_size / (1 << 20));
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(side, sizeof side, "%s%s", path, ends[i]);
        unlink(side);
    }
    rmdir(folder);
    return EXIT_SUCCESS;
}
