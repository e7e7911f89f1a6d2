/* Rates of the ledger: committed requests per second in a batch run, the cost of admission, and what
 * administration over HTTP takes to answer with that many rows behind it. `bench_ledger [ROWS
 * [FOLDER]]`: 1,000,000 rows, the database in a folder of its own below FOLDER (else $TMPDIR), which is
 * deleted at the end. Prints one line per figure: name, value, unit. */
#include <config.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "admin_rig.h"
#include "audit/audit.h"
#include "auth/people.h"
#include "base/clock.h"
#include "store/store.h"
#include "usage/ledger.h"
#include "usage/limits.h"
#include "usage/period.h"
#include "usage/quota.h"

enum {
    PEOPLE = 500,
    DEPARTMENTS = 20,
    DAYS = 60,
    IN_FLIGHT = 4096,
    ROUNDS = 9,
    ADMISSIONS = 200000,
    AUDIT_ROWS = 100000,
    AUDIT_STEP = 1000
};

static struct admin_rig rig;
static int64_t first_s; /* start of the oldest request */
static int64_t department[DEPARTMENTS], person[PEOPLE], key[PEOPLE];
static char my_key[KEY_TEXT]; /* of the last person */

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
 * each, two templates or none. One of 97 fails. */
static void request(uint64_t i, uint64_t n)
{
    struct err e = ERR_INIT;
    char id[40];
    struct ledger_request *r;
    unsigned dice = (unsigned)(i * 0x9e3779b97f4a7c15u >> 40);
    unsigned who = (unsigned)(i * 2654435761u % PEOPLE);
    snprintf(id, sizeof id, "req_%016llx", (unsigned long long)(i * 0x9e3779b97f4a7c15u));
    struct ledger_start s = {
        .request_id = id,
        .started_us = (first_s + (int64_t)(i * (DAYS * UINT64_C(86400)) / n)) * 1000000,
        .person_id = person[who],
        .key_id = key[who],
        .department_id = department[who % DEPARTMENTS],
        .endpoint = "/v1/chat/completions",
        .model = dice % 3 ? "deepseek-v3" : "deepseek-r1",
        .class = LEDGER_API,
        .template_id = dice % 5 > 2 ? 1 + (who + dice % 2) % 30 : 0,
        .template_version = dice % 5 > 2,
        .prompt_tokens = 400};
    struct ledger_end end = {.failed = i % 97 == 0,
                             .finished_us = s.started_us + 3000000,
                             .counts = {400, 100, 200 + i % 100, 50},
                             .queue_us = 20000,
                             .ttft_us = 300000,
                             .http_status = 200,
                             .finish_reason = "stop"};
    wait_below(IN_FLIGHT);
    pthread_mutex_lock(&mu);
    flying++;
    pthread_mutex_unlock(&mu);
    need(ledger_begin(rig.server.service->ledger, &s, &r, &e), &e);
    need(ledger_finish(&r, &end, landed, NULL, &e), &e);
}

static const struct audit_actor bench = {0, "bench", "local", "", NULL};

/* Departments as a binary tree, people in all of them, a key each. */
static void people(void)
{
    const struct auth *a = rig.server.service->auth;
    static char path[DEPARTMENTS][256];
    struct err e = ERR_INIT;
    for (int i = 0; i < DEPARTMENTS; i++) {
        snprintf(path[i], sizeof path[i], "%.200s%sdepartment %d", i ? path[(i - 1) / 2] : "",
                 i ? "/" : "", i);
        need(department_ensure(a, &bench, path[i], &department[i], &e), &e);
    }
    for (int i = 0; i < PEOPLE; i++) {
        char login[32];
        struct person_spec p = {.login = login, .name = "", .email = "",
                                .department_id = department[i % DEPARTMENTS], .roles = ROLE_USER,
                                .source = "local"};
        struct key_spec k = {.name = login, .scopes = SCOPE_USAGE};
        snprintf(login, sizeof login, "person%d", i);
        need(person_create(a, &bench, &p, &person[i], &e), &e);
        need(key_create(a, &bench, person[i], &k, &key[i], my_key, &e), &e);
    }
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
    struct store *store = rig.server.service->store;
    struct err e = ERR_INIT;
    struct limits *l = limits_create(NULL);
    for (int i = 0; i < PEOPLE + DEPARTMENTS; i++) {
        struct quota q = {i < PEOPLE ? QUOTA_PERSON : QUOTA_DEPARTMENT,
                          i < PEOPLE ? person[i] : department[i - PEOPLE],
                          {1 << 30, INT64_C(1) << 50, 1 << 30, INT64_C(1) << 50, INT64_C(1) << 50},
                          false,
                          0,
                          0};
        need(quota_put(store, &bench, &q, "", &e), &e);
    }
    uint64_t start = clock_now_us();
    need(limits_load(l, store, &e), &e);
    printf("limits_load,%.1f,ms\n", seconds_since(start) * 1e3);
    start = clock_now_us();
    for (int i = 0; i < ADMISSIONS; i++) {
        struct limits_ticket t;
        struct limits_refusal why;
        struct limits_ask ask = {0, person[i % PEOPLE], department[i % DEPARTMENTS], 500};
        if (limits_admit(l, &ask, &t, &why))
            limits_settle(l, &t, 400);
    }
    printf("limits_admit,%.2f,us (admitted and settled)\n",
           seconds_since(start) * 1e6 / ADMISSIONS);
    limits_destroy(&l);
}

/* ---- the audit log ---------------------------------------------------------------------------- */

/* Acts of twenty people on keys, persons and quotas in turn. */
static bool append_acts(struct store_db *db, void *ctx, struct err *e)
{
    static const char *const actions[] = {"key.create", "key.revoke", "person.change", "quota.set"};
    static const char *const kinds[] = {"key", "key", "person", "quota"};
    int first = *(int *)ctx;
    for (int i = first; i < first + AUDIT_STEP; i++) {
        char id[24];
        struct audit_actor actor = {person[i % 20], "somebody", "10.1.2.3", "0123456789", NULL};
        struct audit_entry entry = {
            .action = actions[i % 4], .object_kind = kinds[i % 4], .object_id = id,
            .before = "{\"name\":\"Excel\",\"scopes\":[\"infer\"],\"expires_at\":1795406400}",
            .after = "{\"name\":\"Excel\",\"scopes\":[\"infer\"],\"expires_at\":1795492800}",
            .reason = "例行"};
        snprintf(id, sizeof id, "%d", i);
        if (!audit_append(db, &actor, &entry, e))
            return false;
    }
    return true;
}

static void fill_audit(void)
{
    struct err e = ERR_INIT;
    for (int i = 0; i < AUDIT_ROWS; i += AUDIT_STEP)
        need(store_write(rig.server.service->store, append_acts, &i, &e), &e);
}

/* ---- questions -------------------------------------------------------------------------------- */

/* Lines of a list, or of a file without its head. */
static size_t lines_of(const struct buf *body)
{
    size_t lines = 0;
    json_t *v = json_loadb(buf_str(body), body->len, 0, NULL);
    const json_t *data = admin_at(v, "data");
    for (size_t i = 0; !v && i < body->len; i++)
        lines += body->data[i] == '\n';
    lines = v ? json_array_size(data) : lines;
    json_decref(v);
    return lines;
}

static void ask(const char *name, enum admin_who who, const char *method, const char *path,
                const char *headers, const char *body)
{
    double ms[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = clock_now_us();
        admin_send(&rig, who, method, path, headers, body);
        ms[i] = seconds_since(start) * 1e3;
        if (rig.last.status != 200 || !rig.last.complete) {
            fprintf(stderr, "bench_ledger: %s: %d %.300s\n", path, rig.last.status,
                    buf_str(&rig.last.body));
            exit(EXIT_FAILURE);
        }
    }
    qsort(ms, ROUNDS, sizeof ms[0], compare);
    printf("%s,%.1f,ms median (%.1f worst; %zu lines; %zu KiB)\n", name, ms[ROUNDS / 2],
           ms[ROUNDS - 1], lines_of(&rig.last.body), rig.last.body.len >> 10);
}

static void get(const char *name, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void get(const char *name, const char *fmt, ...)
{
    char path[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(path, sizeof path, fmt, ap);
    va_end(ap);
    ask(name, BY_AUDITOR, "GET", path, NULL, NULL);
}

/* The last thirty days, and the last day. */
static void usage_questions(void)
{
    int64_t to = first_s + DAYS * INT64_C(86400), day = to - 86400;
    int64_t middle = to - 15 * INT64_C(86400);
    char totals[120], requests[120];
    snprintf(totals, sizeof totals, "/admin/v1/usage/totals?from=%" PRId64 "&to=%" PRId64,
             to - 30 * INT64_C(86400), to);
    snprintf(requests, sizeof requests, "/admin/v1/usage/requests?from=%" PRId64 "&to=%" PRId64,
             to - 30 * INT64_C(86400), to);
    static const char *const by[] = {"department", "person", "key", "model", "template"};
    get("totals of a month by day", "%s&split=day", totals);
    for (size_t i = 0; i < sizeof by / sizeof by[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "totals of a month by %s", by[i]);
        get(name, "%s&limit=500&by=%s", totals, by[i]);
    }
    get("totals of 60 days to the minute by person",
        "/admin/v1/usage/totals?by=person&limit=500&from=%" PRId64 "&to=%" PRId64, first_s + 1234,
        to - 4321);
    get("totals of a month by day and person", "%s&split=day&by=person&limit=500", totals);
    get("the same, a page in the middle",
        "%s&split=day&by=person&limit=500&after=%" PRId64 ".9.0.", totals, middle);
    get("totals of a month by hour, a subtree",
        "%s&split=hour&limit=500&department_id=%" PRId64, totals, department[1]);
    get("totals of a day by minute",
        "/admin/v1/usage/totals?split=minute&limit=500&from=%" PRId64 "&to=%" PRId64, day, to);
    get("requests, first page", "%s&limit=500", requests);
    get("requests, a page in the middle",
        "%s&limit=500&after=%" PRId64 "000000.1", requests, middle);
    get("requests of a person", "%s&limit=500&person_id=%" PRId64, requests, person[77]);
    get("requests of a person, in the middle",
        "%s&limit=500&person_id=%" PRId64 "&after=%" PRId64 "000000.1", requests, person[77], middle);
    get("requests of a subtree that failed",
        "%s&limit=500&status=failed&department_id=%" PRId64, requests, department[1]);
    get("requests of a template and model, in the middle",
        "%s&limit=500&template_id=7&model=deepseek-v3&after=%" PRId64 "000000.1", requests, middle);
    get("requests that nothing fits", "%s&model=none", requests);
    get("CSV of the requests of a day",
        "/admin/v1/usage/requests?format=csv&from=%" PRId64 "&to=%" PRId64, day, to);
    get("CSV of the totals of a month by day and person",
        "%s&split=day&by=person&format=csv", totals);
    get("limits of everybody", "/admin/v1/quotas");
}

static void own_questions(void)
{
    static const struct {
        const char *name, *path;
    } own[] = {{"one's own usage", "/v1/usage/me"},
               {"one's own usage by day", "/v1/usage/me?split=day"},
               {"one's own usage by day and model", "/v1/usage/me?split=day&by=model"}};
    char header[KEY_TEXT + 40];
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", my_key);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        ask(own[i].name, BY_NOBODY, "GET", own[i].path, header, NULL);
}

static void audit_questions(void)
{
    get("audit, first page", "/admin/v1/audit?limit=500");
    get("audit, a page in the middle", "/admin/v1/audit?limit=500&after=%d", AUDIT_ROWS / 2);
    get("audit, one action", "/admin/v1/audit?limit=500&action=quota.set");
    get("audit, one actor", "/admin/v1/audit?limit=500&actor_id=%" PRId64, person[7]);
    get("audit, one object",
        "/admin/v1/audit?object_kind=quota&object_id=%d", AUDIT_ROWS / 2 + 3);
    get("audit, a time that nothing is of", "/admin/v1/audit?to=2000-01-01");
    ask("audit, every row checked", BY_AUDITOR, "POST", "/admin/v1/audit/verify", NULL, "{}");
}

static uint64_t n_rows = 1000000;

/* A test, because the server and its client are those of the tests. */
START_TEST(rates)
{
    struct stat st;
    admin_rig_open(&rig);
    people();
    first_s = period_start(PERIOD_DAY, clock_wall_s()) - (DAYS - 1) * 86400;
    write_rows(n_rows);
    admission();
    fill_audit();
    usage_questions();
    own_questions();
    audit_questions();
    if (stat(rig.server.service->database, &st) == 0)
        printf("file,%.1f,MiB\n", (double)st.st_size / (1 << 20));
    admin_rig_close(&rig);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1)
        n_rows = strtoull(argv[1], NULL, 10);
    if (n_rows < 1 || (argc > 2 && setenv("TMPDIR", argv[2], 1))) {
        fprintf(stderr, "usage: bench_ledger [ROWS [FOLDER]]\n");
        return EXIT_FAILURE;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    Suite *s = suite_create("ledger");
    TCase *tc = tcase_create("rates");
    tcase_add_test(tc, rates);
    suite_add_tcase(s, tc);
    return admin_main(s);
}
