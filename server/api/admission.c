/* Owns: the decision whether a generation may run, and its two accounts, limits and ledger.
 * Refuses to know: the engine, the answer.
 *
 * Two hold it: the generation, and from admission_end on the job that commits the row's end. Whoever
 * lets go last frees it; the writer thread therefore never meets freed memory, and a generation that is
 * destroyed early does not wait for the disk. */
#include <config.h>

#include "api/admission.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/route.h"
#include "api/use.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "service/service.h"
#include "store/store.h"
#include "usage/limits.h"

enum { REQUEST_ID_TEXT = 48, MOMENT_TEXT = sizeof "2026-11-24T08:30:00+08:00" + 8 };

struct admission {
    struct service *service;
    struct ledger_request *row; /* owned while RUNNING */
    struct limits_ticket ticket;
    int64_t department_id;
    char id[REQUEST_ID_TEXT];

    pthread_mutex_t mu;
    /* guarded by mu */
    unsigned refs;
    enum admission_state state;
    void (*notify)(void *user); /* NULL: the owner has left */
    void *user;
};

/* ---- refusals --------------------------------------------------------------------------------- */

/* RFC 3339 in the server's time zone. */
static void write_moment(int64_t at_s, char out[MOMENT_TEXT])
{
    time_t at = (time_t)at_s;
    struct tm tm;
    char zone[8] = "";
    size_t n = 0;
    if (localtime_r(&at, &tm))
        n = strftime(out, MOMENT_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!n || strftime(zone, sizeof zone, "%z", &tm) != 5) {
        snprintf(out, MOMENT_TEXT, "@%" PRId64, at_s);
        return;
    }
    snprintf(out + n, MOMENT_TEXT - n, "%.3s:%.2s", zone, zone + 3);
}

/* A limit of 0 ends by nothing but another limit: no moment is named. */
static bool refuse_limit(struct api_error *e, const struct limits_refusal *why)
{
    static const char *const what[QUOTA_LIMIT_COUNT] = {
        [QUOTA_REQUESTS_PER_MINUTE] = "requests per minute",
        [QUOTA_TOKENS_PER_MINUTE] = "tokens per minute",
        [QUOTA_PARALLEL] = "requests at the same time",
        [QUOTA_TOKENS_PER_DAY] = "tokens per day",
        [QUOTA_TOKENS_PER_MONTH] = "tokens per month",
    };
    if (!why->most)
        return api_fail(e, API_DENIED, NULL,
                        "The limit of %s of the %s (id %" PRId64 ") is set to 0: nothing is allowed "
                        "while it holds; an administrator can change it.",
                        what[why->limit], quota_subject_name(why->kind), why->subject_id);
    bool budget = why->limit == QUOTA_TOKENS_PER_DAY || why->limit == QUOTA_TOKENS_PER_MONTH;
    char moment[MOMENT_TEXT];
    write_moment(why->retry_at, moment);
    api_fail(e, budget ? API_QUOTA : API_RATE_LIMITED, NULL,
             "Limit reached: %s of the %s (id %" PRId64 "): %" PRId64 " allowed, %" PRId64
             " counted now, running requests included; try again at %s, in %u s.",
             what[why->limit], quota_subject_name(why->kind), why->subject_id, why->most, why->used,
             moment, why->retry_after_s);
    e->retry_after_s = why->retry_after_s;
    return false;
}

/* Too much at once, or the database itself: then nobody's request can be counted. */
static bool refuse_row(struct api_error *e, const char *id, const struct err *cause)
{
    char quoted[2 * sizeof cause->msg];
    if (cause->code == ERR_BUSY || cause->code == ERR_NOMEM)
        return api_fail_act(e, cause);
    LOG_E("api", "usage row has no start id=%s code=%s cause=%s", id, err_code_name(cause->code),
          log_quote(quoted, sizeof quoted, cause->msg));
    return api_fail(e, API_STORAGE, NULL,
                    "The usage of this request cannot be stored, so it was not run; the "
                    "administrator finds details in the log.");
}

/* ---- begin ------------------------------------------------------------------------------------ */

static enum ledger_class class_of(const struct admission_ask *ask)
{
    const struct principal *p = &ask->call->grant->principal;
    if (ask->class != LEDGER_INTERACTIVE)
        return ask->class;
    return !p->key_id && (ask->call->session || p->local) ? LEDGER_INTERACTIVE : LEDGER_API;
}

static bool open_row(struct admission *a, const struct admission_ask *ask, struct err *e)
{
    const struct principal *p = &ask->call->grant->principal;
    const struct use *u = ask->use;
    struct ledger_start s = {.request_id = a->id,
                             .started_us = clock_wall_us(),
                             .person_id = p->person_id,
                             .key_id = p->key_id,
                             .department_id = p->department_id,
                             .endpoint = ask->call->route->path,
                             .model = ask->model,
                             .class = class_of(ask),
                             .prompt_tokens = ask->prompt_tokens};
    if (u) {
        s.template_id = u->resolved.template_id;
        s.template_version = u->resolved.number;
        s.template_label = u->resolved.label[0] ? u->resolved.label : NULL;
        s.variables_hash = u->rendering.variables_hash;
    }
    struct store_stats store;
    store_stats(a->service->store, &store);
    return store.read_only ? ledger_begin_now(a->service->ledger, &s, &a->row, e)
                           : ledger_begin(a->service->ledger, &s, &a->row, e);
}

static void destroy(struct admission *a)
{
    pthread_mutex_destroy(&a->mu);
    free(a);
}

static struct admission *create(const struct admission_ask *ask)
{
    struct admission *a = mem_zalloc(sizeof *a);
    pthread_mutex_init(&a->mu, NULL);
    a->service = ask->call->service;
    a->department_id = ask->call->grant->principal.department_id;
    a->refs = 1;
    a->notify = ask->notify;
    a->user = ask->user;
    snprintf(a->id, sizeof a->id, "req_%s", ask->call->id);
    return a;
}

bool admission_begin(const struct admission_ask *ask, struct admission **out, struct api_error *e)
{
    const struct principal *p = &ask->call->grant->principal;
    struct limits_ask limits = {.key_id = p->key_id, .person_id = p->person_id,
                                .department_id = p->department_id,
                                .tokens = ask->prompt_tokens + ask->most_tokens};
    struct limits_refusal why;
    struct err cause = ERR_INIT;
    *out = NULL;
    if (!key_allows_model(ask->call->grant, ask->model))
        return api_fail(e, API_MODEL_NOT_FOUND, "model",
                        "There is no model of that name for this key.");
    struct admission *a = create(ask);
    if (!limits_admit(a->service->limits, &limits, &a->ticket, &why)) {
        refuse_limit(e, &why);
    } else if (open_row(a, ask, &cause)) {
        if (ask->class == LEDGER_BATCH) /* nobody waits for it */
            a->ticket.weight = LIMITS_LEAST_WEIGHT;
        *out = a;
        return true;
    } else {
        limits_undo(a->service->limits, &a->ticket);
        refuse_row(e, a->id, &cause);
    }
    destroy(a);
    return false;
}

unsigned admission_weight(const struct admission *a)
{
    return a->ticket.weight;
}

bool admission_keeps_text(const struct admission *a)
{
    return ledger_keeps(a->service->ledger, a->department_id);
}

void admission_progress(struct admission *a, const struct ledger_counts *counts)
{
    if (a->row)
        ledger_progress(a->row, counts);
}

/* ---- end -------------------------------------------------------------------------------------- */

static void unref(struct admission *a)
{
    pthread_mutex_lock(&a->mu);
    bool last = --a->refs == 0;
    pthread_mutex_unlock(&a->mu);
    if (last)
        destroy(a);
}

/* The writer thread: the end of the row is committed, or is not. */
static void on_written(void *ctx, bool ok, const struct err *why)
{
    struct admission *a = ctx;
    (void)why; /* the ledger has logged it */
    pthread_mutex_lock(&a->mu);
    a->state = ok ? ADMISSION_WRITTEN : ADMISSION_LOST;
    if (a->notify)
        a->notify(a->user);
    pthread_mutex_unlock(&a->mu);
    unref(a);
}

static void queue_end(struct admission *a, struct ledger_end *end)
{
    struct err why = ERR_INIT;
    char quoted[2 * sizeof why.msg];
    pthread_mutex_lock(&a->mu);
    ASSERT(a->state == ADMISSION_RUNNING);
    a->state = ADMISSION_ENDING;
    a->refs++;
    pthread_mutex_unlock(&a->mu);
    end->finished_us = clock_wall_us();
    if (ledger_finish(&a->row, end, on_written, a, &why))
        return;
    LOG_E("api", "usage row has no end id=%s code=%s cause=%s", a->id, err_code_name(why.code),
          log_quote(quoted, sizeof quoted, why.msg));
    pthread_mutex_lock(&a->mu);
    a->state = ADMISSION_LOST;
    a->refs--; /* the owner's stays */
    pthread_mutex_unlock(&a->mu);
}

void admission_end(struct admission *a, const struct ledger_end *end)
{
    const struct ledger_counts *c = &end->counts;
    struct ledger_end e = *end;
    limits_settle(a->service->limits, &a->ticket, c->prompt_tokens + c->completion_tokens);
    queue_end(a, &e);
}

void admission_refuse(struct admission **a, unsigned http_status)
{
    struct ledger_end end = {
        .failed = true, .queue_us = -1, .ttft_us = -1, .http_status = (int)http_status};
    limits_undo((*a)->service->limits, &(*a)->ticket);
    queue_end(*a, &end);
    admission_leave(a);
}

enum admission_state admission_state(struct admission *a)
{
    pthread_mutex_lock(&a->mu);
    enum admission_state state = a->state;
    pthread_mutex_unlock(&a->mu);
    return state;
}

void admission_leave(struct admission **out)
{
    struct admission *a = *out;
    if (!a)
        return;
    pthread_mutex_lock(&a->mu);
    ASSERT(a->state != ADMISSION_RUNNING);
    a->notify = NULL;
    pthread_mutex_unlock(&a->mu);
    unref(a);
    *out = NULL;
}
