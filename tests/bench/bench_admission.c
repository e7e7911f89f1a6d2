/* What admission costs a request, with all checks: the key, a shipped prompt resolved and rendered, the
 * key's models, limits of key, person and departments, and the row in the ledger; while the
 * writer commits the rows of those before. `bench_admission [CALLS [LIBRARY [FOLDER]]]`; 20,000 calls,
 * the shipped prompts ($SEEKD_SRCDIR/prompts/library, else those of the tree it was built from) and the
 * working directory unless told. Prints one line per figure: name, value, unit. Fails when the median
 * is above TARGET_US. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/admission.h"
#include "api/route.h"
#include "api/use.h"
#include "auth/auth.h"
#include "auth/people.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "service/service.h"
#include "template/transfer.h"
#include "usage/limits.h"

enum { TARGET_US = 300, WARM_UP = 200, QUEUE_MOST = 1000 };

static const char *const prompt_name = "en/polish";
static const char *const variables_text =
    "{\"draft\":\"Dear Mr Alvarez, about the order we still not have received the drawing that you "
    "promise since two weeks. Please send until this Friday.\",\"keep\":\"PO 88213\","
    "\"occasion\":\"e-mail to a customer\",\"tone\":\"firm\",\"variety\":\"British\"}";
static const struct audit_actor actor = {.name = "bench", .address = "local", .request_id = ""};
static const struct route route = {.method = "POST", .path = "/v1/chat/completions"};

enum part { PART_KEY, PART_PROMPT, PART_ADMIT, PART_ALL, PART_COUNT };
static const char *const part_names[PART_COUNT] = {"key", "prompt", "limits and ledger", "admission"};

static struct service *service;
static char key[KEY_TEXT];
static json_t *variables;
static double *us[PART_COUNT]; /* [calls] */

static void need(bool ok, const char *why)
{
    if (ok)
        return;
    fprintf(stderr, "bench_admission: %s\n", why);
    exit(EXIT_FAILURE);
}

/* ---- people, limits, prompts ------------------------------------------------------------------ */

static void set_limit(enum quota_subject kind, int64_t id)
{
    struct quota q = {.kind = kind, .subject_id = id,
                      .limit = {1 << 30, INT64_C(1) << 50, 1 << 30, INT64_C(1) << 50,
                                INT64_C(1) << 50}};
    struct err e = ERR_INIT;
    need(quota_put(service->store, &actor, &q, "", &e), e.msg);
}

static void add_caller(void)
{
    struct err e = ERR_INIT;
    int64_t top, below, person, key_id;
    need(department_ensure(service->auth, &actor, "Works", &top, &e), e.msg);
    need(department_ensure(service->auth, &actor, "Works/Line 3", &below, &e), e.msg);
    struct person_spec p = {.login = "li", .name = "Li", .email = "", .department_id = below,
                            .roles = ROLE_USER, .source = "local"};
    struct key_spec k = {.name = "bench", .scopes = SCOPE_INFER | SCOPE_TEMPLATES,
                         .models = "[\"bench*\"]", .networks = "[\"10.0.0.0/8\"]"};
    need(person_create(service->auth, &actor, &p, &person, &e), e.msg);
    need(key_create(service->auth, &actor, person, &k, &key_id, key, &e), e.msg);
    set_limit(QUOTA_KEY, key_id);
    set_limit(QUOTA_PERSON, person);
    set_limit(QUOTA_DEPARTMENT, top);
    set_limit(QUOTA_DEPARTMENT, below);
    service_limits_changed(service);
}

static void find_library(const char *told, char *path, size_t bytes)
{
    const char *root = getenv("SEEKD_SRCDIR");
    if (told)
        snprintf(path, bytes, "%s", told);
    else
        snprintf(path, bytes, "%s/prompts/library", root ? root : SOURCE_ROOT);
}

static void import_library(const char *library)
{
    static const struct principal machine = {.local = true, .login = "local"};
    struct registry_act act = {.who = &machine, .actor = &actor, .reason = "bench",
                               .now_s = clock_wall_s()};
    struct transfer_options opt = {.trust_states = true, .label = "production", .owner_id = 1};
    struct err e = ERR_INIT;
    json_t *report = NULL;
    need(transfer_import(service->registry, &act, library, &opt, &report, &e), e.msg);
    json_decref(report);
}

/* ---- one call --------------------------------------------------------------------------------- */

/* Not part of what is measured: ends the request, and lets the writer keep up. */
static void finish(struct admission **a)
{
    struct ledger_end end = {.counts = {.prompt_tokens = 100, .completion_tokens = 50},
                             .queue_us = 1000,
                             .ttft_us = 5000,
                             .http_status = 200,
                             .finish_reason = "stop"};
    struct ledger_stats stats;
    admission_end(*a, &end);
    admission_leave(a);
    for (ledger_stats(service->ledger, &stats); stats.queued > QUEUE_MOST;
         ledger_stats(service->ledger, &stats))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void call(unsigned i, double took[PART_COUNT])
{
    struct err e = ERR_INIT;
    struct api_error refused = API_ERROR_INIT;
    struct key_grant grant;
    struct use use;
    struct admission *admission;
    char id[25];
    snprintf(id, sizeof id, "%08x%016llx", i, (unsigned long long)(i * 0x9e3779b97f4a7c15u));
    uint64_t at[PART_COUNT] = {clock_now_us()};
    need(key_check(service->auth, key, strlen(key), "10.1.2.3", clock_wall_s(), &grant, &e), e.msg);
    at[1] = clock_now_us();
    struct api_call c = {.service = service, .route = &route, .id = id, .grant = &grant};
    need(use_make(&c, prompt_name, (struct registry_ref){.number = 0}, variables, &use, &refused),
         refused.message);
    at[2] = clock_now_us();
    struct admission_ask ask = {.call = &c, .use = &use, .model = "bench-1", .prompt_tokens = 100,
                                .most_tokens = 500};
    need(admission_begin(&ask, &admission, &refused), refused.message);
    at[3] = clock_now_us();
    for (int part = 0; part < PART_ALL; part++)
        took[part] = (double)(at[part + 1] - at[part]);
    took[PART_ALL] = (double)(at[3] - at[0]);
    finish(&admission);
    use_release(&use);
    key_grant_release(&grant);
}

/* ---- figures ---------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(unsigned n)
{
    double took[PART_COUNT];
    for (unsigned i = 0; i < n + WARM_UP; i++) {
        call(i, took);
        for (int part = 0; i >= WARM_UP && part < PART_COUNT; part++)
            us[part][i - WARM_UP] = took[part];
    }
    for (int part = 0; part < PART_COUNT; part++) {
        qsort(us[part], n, sizeof us[part][0], compare);
        printf("%s,%.0f,us median (%.0f p99, %.0f worst; %u calls)\n", part_names[part],
               us[part][n / 2], us[part][n - 1 - n / 100], us[part][n - 1], n);
    }
}

static void remove_files(const char *folder)
{
    static const char *const names[] = {"seekd.db", "seekd.db-wal", "seekd.db-shm", "seekd.db.lock",
                                        "texts.key"};
    char path[400];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;
    struct service_options opt = SERVICE_OPTIONS_DEFAULT;
    struct err e = ERR_INIT;
    char library[4096], folder[256], first_password[PASSWORD_ONE_TIME_TEXT];
    snprintf(folder, sizeof folder, "%s/bench_admission.XXXXXX", argc > 3 ? argv[3] : ".");
    need(n >= 1 && mkdtemp(folder), "usage: bench_admission [CALLS [LIBRARY [FOLDER]]]");
    log_set_level(LOG_WARN);
    opt.folder = folder;
    need(service_open(&opt, &service, first_password, &e), e.msg);
    add_caller();
    find_library(argc > 2 ? argv[2] : NULL, library, sizeof library);
    import_library(library);
    variables = json_loads(variables_text, 0, NULL);
    for (int part = 0; part < PART_COUNT; part++)
        us[part] = mem_calloc(n, sizeof *us[part]);
    measure(n);
    bool met = us[PART_ALL][n / 2] <= TARGET_US;
    for (int part = 0; part < PART_COUNT; part++)
        free(us[part]);
    json_decref(variables);
    service_close(&service);
    remove_files(folder);
    return met ? EXIT_SUCCESS : EXIT_FAILURE;
}
