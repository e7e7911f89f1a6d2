/* Owns: the queue of test sets and the thread that works on it.
 * Refuses to know: HTTP, how answers are generated, what a check means.
 *
 * A test is a chat like any other: its body names the version and the values,
 * api/chat.c does the rest. */
#include <config.h>

#include "admin/runner.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/form.h"
#include "api/chat.h"
#include "api/generation.h"
#include "api/route.h"
#include "auth/authority.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "service/service.h"
#include "template/registry.h"

struct job {
    struct job *next; /* newer */
    struct runner_job is; /* guarded by the runner's mu */
    /* Fixed once queued; all owned but model, service and route. */
    const struct api_model *model;
    struct service *service;
    const struct route *route;
    struct key_grant grant; /* without the key itself: what it may use was asked before */
    char *name, *address, *reason, *request_id;
    int64_t number;
    json_t *tests, *settings;
};

struct runner {
    pthread_t thread;
    pthread_mutex_t mu; /* a leaf */
    pthread_cond_t changed;
    /* guarded by mu */
    struct job *oldest;
    bool stop;
    bool woken; /* the generation has something to say */
};

const char *runner_phase_name(enum runner_phase p)
{
    static const char *const names[] = {"queued", "running", "finished", "failed"};
    return names[p];
}

static void job_destroy(struct job *j)
{
    free(j->name);
    free(j->address);
    free(j->reason);
    free(j->request_id);
    json_decref(j->tests);
    json_decref(j->settings);
    free(j);
}

/* ---- waiting ---------------------------------------------------------------------------------- */

/* Any thread, also with locks of the engine's or the ledger's side held. */
static void on_notify(void *user)
{
    struct runner *r = user;
    pthread_mutex_lock(&r->mu);
    r->woken = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
}

/* Until on_notify, or for so many seconds when they are not 0. False: the server ends. */
static bool wait_for(struct runner *r, unsigned seconds)
{
    struct timespec until = thread_deadline(seconds * 1000L);
    bool due = false;
    pthread_mutex_lock(&r->mu);
    while (!r->stop && !due && (seconds || !r->woken)) {
        if (seconds)
            due = pthread_cond_timedwait(&r->changed, &r->mu, &until) == ETIMEDOUT;
        else
            pthread_cond_wait(&r->changed, &r->mu);
    }
    r->woken = false;
    bool go_on = !r->stop;
    pthread_mutex_unlock(&r->mu);
    return go_on;
}

/* ---- one test --------------------------------------------------------------------------------- */

enum outcome {
    OUTCOME_ANSWERED,
    OUTCOME_REFUSED, /* the test cannot work */
    OUTCOME_LATER,
    OUTCOME_BROKEN, /* it is not the test's fault */
    OUTCOME_DENIED, /* who began it may not go on */
    OUTCOME_STOPPED
};

static void set_default(json_t *body, const json_t *settings, const char *name, json_t *value_take)
{
    if (!json_object_get(settings, name))
        json_object_set(body, name, value_take);
    json_decref(value_take);
}

static json_t *body_of(const struct job *j, const json_t *test)
{
    json_t *variables = json_object_get(test, "variables");
    json_t *body = json_pack("{s:{s:s, s:I, s:o}, s:b, s:i}", "prompt", "id", j->name, "version",
                             (json_int_t)j->number, "variables",
                             variables ? json_incref(variables) : json_object(), "stream", 0, "n",
                             1);
    set_default(body, j->settings, "temperature", json_integer(0));
    set_default(body, j->settings, "seed", json_integer(RUNNER_SEED));
    if (!json_object_get(j->settings, "max_completion_tokens"))
        set_default(body, j->settings, "max_tokens", json_integer(RUNNER_MAX_TOKENS));
    return body;
}

/* By status and code of the answer. */
static enum outcome judge(const struct api_answer *a, const json_t *body)
{
    const char *code = json_string_value(json_object_get(json_object_get(body, "error"), "code"));
    if (a->status == 200 && body)
        return OUTCOME_ANSWERED;
    if (code && (!strcmp(code, api_code_name(API_RATE_LIMITED)) ||
                 !strcmp(code, api_code_name(API_OVERLOADED))))
        return OUTCOME_LATER;
    return a->status == 429 || a->status >= 500 ? OUTCOME_BROKEN : OUTCOME_REFUSED;
}

static bool pull_all(struct runner *r, struct api_answer *a)
{
    for (;;) {
        switch (generation_pull(a->run, &a->body)) {
        case GENERATION_END:
            a->status = generation_status(a->run, &a->retry_after_s);
            return true;
        case GENERATION_WAIT:
            if (!wait_for(r, 0))
                return false;
            break;
        case GENERATION_MORE:
            break;
        }
    }
}

/* One attempt at one test. *reply (owned) is the answer or the error, NULL when there is none. */
static enum outcome ask(struct runner *r, const struct job *j, const char *id, const json_t *test,
                        json_t **reply, unsigned *retry_after_s)
{
    struct api_call call = {.model = j->model, .service = j->service, .route = j->route,
                            .method = j->route->method, .path = j->route->path, .body = "",
                            .id = id, .grant = &j->grant, .address = j->address, .agent = "",
                            .cookies = "", .reason = j->reason, .notify = on_notify, .user = r};
    struct api_answer a;
    for (unsigned i = 0; i < API_PARAMS; i++)
        call.param[i] = "";
    json_t *body = body_of(j, test);
    api_answer_init(&a);
    chat_answer(&call, body, LEDGER_BATCH, &a);
    json_decref(body);
    *reply = NULL;
    enum outcome outcome = OUTCOME_STOPPED;
    if (!a.run || pull_all(r, &a)) {
        *reply = json_loadb(buf_str(&a.body), a.body.len, 0, NULL);
        outcome = judge(&a, *reply);
    }
    *retry_after_s = a.retry_after_s ? a.retry_after_s : 1;
    api_answer_release(&a);
    return outcome;
}

static bool may_go_on(const struct job *j)
{
    return authority_holds(j->service->auth, &j->grant.principal, clock_wall_s());
}

static enum outcome ask_patiently(struct runner *r, const struct job *j, size_t i,
                                  const json_t *test, json_t **reply)
{
    unsigned pause_s, waited_s = 0;
    *reply = NULL;
    for (unsigned attempt = 0;; attempt++) {
        char id[64];
        if (!may_go_on(j))
            return OUTCOME_DENIED;
        snprintf(id, sizeof id, "%.32s-%zu-%u", j->request_id, i, attempt);
        enum outcome outcome = ask(r, j, id, test, reply, &pause_s);
        if (outcome != OUTCOME_LATER)
            return outcome;
        waited_s += pause_s;
        if (waited_s > RUNNER_RETRY_S)
            return OUTCOME_BROKEN;
        json_decref(*reply);
        *reply = NULL;
        if (!wait_for(r, pause_s))
            return OUTCOME_STOPPED;
    }
}

static json_t *shared(json_t *v)
{
    return v ? json_incref(v) : json_null();
}

static json_t *cut_text(const char *text)
{
    size_t len = strlen(text);
    if (len > RUNNER_ANSWER_BYTES)
        len = utf8_cut(text, RUNNER_ANSWER_BYTES);
    return json_stringn(text, len);
}

struct verdict {
    bool passed; /* form and checks */
    bool form;
};

/* What the report says of a test: {"name", "form_only", "passed", "form": {"passed", "detail"}, "ms"}
 * and then either "answer", "answer_bytes", "finish_reason", "checks" and the tokens, or "error". */
static json_t *test_report(const struct job *j, const json_t *test, const json_t *reply,
                           uint64_t start_us, struct verdict *verdict)
{
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0);
    const json_t *usage = json_object_get(reply, "usage");
    const char *text =
        json_string_value(json_object_get(json_object_get(choice, "message"), "content"));
    static const struct token_counter none = {.count = NULL};
    const struct token_counter *tokens = registry_tokens(j->service->registry);
    json_t *checks = NULL, *out = json_object();
    struct err why = ERR_INIT;
    verdict->form = form_check(j->model->engine, reply, &why);
    bool holds = choice && checks_run(json_object_get(test, "checks"), text ? text : "",
                                   text ? strlen(text) : 0, tokens ? tokens : &none, &checks);
    verdict->passed = verdict->form && holds;
    json_object_set_new(out, "name", shared(json_object_get(test, "name")));
    json_object_set_new(out, "form_only",
                        json_boolean(json_is_true(json_object_get(test, "form_only"))));
    json_object_set_new(out, "passed", json_boolean(verdict->passed));
    json_object_set_new(out, "form",
                        json_pack("{s:b, s:o}", "passed", (int)verdict->form, "detail",
                                  verdict->form ? json_null() : json_string(why.msg)));
    json_object_set_new(out, "ms",
                        json_integer((json_int_t)((clock_now_us() - start_us) / 1000)));
    if (!choice) {
        json_object_set_new(out, "error", shared(json_object_get(reply, "error")));
        return out;
    }
    json_object_set_new(out, "answer", cut_text(text ? text : ""));
    json_object_set_new(out, "answer_bytes", json_integer((json_int_t)strlen(text ? text : "")));
    json_object_set_new(out, "finish_reason", shared(json_object_get(choice, "finish_reason")));
    json_object_set_new(out, "checks", checks);
    json_object_set_new(out, "prompt_tokens", shared(json_object_get(usage, "prompt_tokens")));
    json_object_set_new(out, "completion_tokens",
                        shared(json_object_get(usage, "completion_tokens")));
    return out;
}

/* ---- one job ---------------------------------------------------------------------------------- */

static void end_job(struct runner *r, struct job *j, enum runner_phase phase, int64_t run_id,
                    const char *message)
{
    pthread_mutex_lock(&r->mu);
    j->is.phase = phase;
    j->is.run_id = run_id;
    snprintf(j->is.message, sizeof j->is.message, "%s", message);
    struct runner_job is = j->is; /* the job may be forgotten from now on */
    pthread_mutex_unlock(&r->mu);
    LOG_I("runner", "test set ended id=%s state=%s passed=%zu failed=%zu", is.id,
          runner_phase_name(phase), is.passed, is.failed);
}

static void count_test(struct runner *r, struct job *j, const struct verdict *v)
{
    pthread_mutex_lock(&r->mu);
    j->is.done++;
    *(v->passed ? &j->is.passed : &j->is.failed) += 1;
    *(v->form ? &j->is.form_passed : &j->is.form_failed) += 1;
    pthread_mutex_unlock(&r->mu);
}

static const char *reason_of(enum outcome outcome)
{
    return outcome == OUTCOME_DENIED ? "Who began the tests was disabled, or lost the key or a role."
                                     : "The server ended before the tests did.";
}

/* All tests in order; *rows (owned) has one per test. */
static enum outcome run_tests(struct runner *r, struct job *j, json_t *rows, char *message,
                              size_t message_size)
{
    size_t i;
    json_t *test;
    json_array_foreach (j->tests, i, test) {
        json_t *reply;
        struct verdict verdict;
        uint64_t start_us = clock_now_us();
        enum outcome outcome = ask_patiently(r, j, i, test, &reply);
        const char *why =
            json_string_value(json_object_get(json_object_get(reply, "error"), "message"));
        if (outcome != OUTCOME_ANSWERED && outcome != OUTCOME_REFUSED) {
            snprintf(message, message_size, "%s", why ? why : reason_of(outcome));
            json_decref(reply);
            return outcome;
        }
        json_array_append_new(rows, test_report(j, test, reply, start_us, &verdict));
        json_decref(reply);
        count_test(r, j, &verdict);
    }
    return OUTCOME_ANSWERED;
}

static void record(struct runner *r, struct job *j, const json_t *report)
{
    struct audit_actor actor = {.person_id = j->grant.principal.person_id,
                                .name = j->grant.principal.login,
                                .address = j->address,
                                .request_id = j->request_id};
    struct registry_act act = {.who = &j->grant.principal, .actor = &actor, .reason = j->reason,
                               .now_s = clock_wall_s()};
    struct err e = ERR_INIT;
    int64_t id = 0;
    if (registry_record_run(j->service->registry, &act, j->name, j->number, (int64_t)j->is.passed,
                            (int64_t)j->is.failed, report, &id, &e))
        end_job(r, j, RUNNER_FINISHED, id, "");
    else
        end_job(r, j, RUNNER_FAILED, 0, e.msg);
}

static void perform(struct runner *r, struct job *j)
{
    char message[sizeof j->is.message];
    uint64_t start_us = clock_now_us();
    json_t *rows = json_array();
    if (run_tests(r, j, rows, message, sizeof message) == OUTCOME_ANSWERED) {
        json_t *report = json_pack(
            "{s:s, s:s, s:I, s:{s:I, s:I}, s:O}", "job", j->is.id, "model", j->model->id, "ms",
            (json_int_t)((clock_now_us() - start_us) / 1000), "form", "passed",
            (json_int_t)j->is.form_passed, "failed", (json_int_t)j->is.form_failed, "tests", rows);
        record(r, j, report);
        json_decref(report);
    } else {
        end_job(r, j, RUNNER_FAILED, 0, message);
    }
    json_decref(rows);
}

/* ---- the queue -------------------------------------------------------------------------------- */

static struct job *next_queued_locked(struct runner *r)
{
    struct job *j = r->oldest;
    while (j && j->is.phase != RUNNER_QUEUED)
        j = j->next;
    return j;
}

static void *run(void *user)
{
    struct runner *r = user;
    pthread_mutex_lock(&r->mu);
    while (!r->stop) {
        struct job *j = next_queued_locked(r);
        if (!j) {
            pthread_cond_wait(&r->changed, &r->mu);
            continue;
        }
        j->is.phase = RUNNER_RUNNING;
        pthread_mutex_unlock(&r->mu);
        perform(r, j);
        pthread_mutex_lock(&r->mu);
    }
    pthread_mutex_unlock(&r->mu);
    return NULL;
}

bool runner_open(struct runner **out, struct err *e)
{
    struct runner *r = mem_zalloc(sizeof *r);
    pthread_mutex_init(&r->mu, NULL);
    thread_cond_init(&r->changed);
    if (pthread_create(&r->thread, NULL, run, r)) {
        pthread_cond_destroy(&r->changed);
        pthread_mutex_destroy(&r->mu);
        free(r);
        FAIL(e, ERR_NOMEM, "cannot start the thread that runs test sets");
    }
    *out = r;
    return true;
}

void runner_close(struct runner **out)
{
    struct runner *r = *out;
    if (!r)
        return;
    pthread_mutex_lock(&r->mu);
    r->stop = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->mu);
    pthread_join(r->thread, NULL);
    while (r->oldest) {
        struct job *j = r->oldest;
        r->oldest = j->next;
        job_destroy(j);
    }
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->mu);
    free(r);
    *out = NULL;
}

static bool is_open(const struct job *j)
{
    return j->is.phase == RUNNER_QUEUED || j->is.phase == RUNNER_RUNNING;
}

static bool is_of(const struct job *j, const char *name, int64_t number)
{
    return j->number == number && !strcmp(j->name, name);
}

static bool check_room_locked(const struct runner *r, const char *name, int64_t number,
                              struct api_error *e)
{
    size_t n_open = 0;
    if (r->stop)
        return api_fail(e, API_STOPPING, NULL, "The server is stopping.");
    for (const struct job *j = r->oldest; j; j = j->next) {
        n_open += is_open(j);
        if (is_open(j) && is_of(j, name, number))
            return api_fail(e, API_CONFLICT, NULL, "The test set of this version runs already: %s.",
                            j->is.id);
    }
    return n_open < RUNNER_QUEUE || api_fail(e, API_OVERLOADED, NULL,
                                             "As many test sets wait as the server takes; try again "
                                             "later.");
}

/* Forgets the oldest that has ended when there are too many. */
static void forget_locked(struct runner *r)
{
    size_t n = 0;
    for (const struct job *j = r->oldest; j; j = j->next)
        n++;
    for (struct job **at = &r->oldest; n > RUNNER_KEEP && *at;) {
        struct job *j = *at;
        if (is_open(j)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        job_destroy(j);
        n--;
    }
}

static struct job *job_create(const struct api_call *call, const char *name, int64_t number,
                              const json_t *tests, const json_t *settings)
{
    struct job *j = mem_zalloc(sizeof *j);
    j->model = call->model;
    j->service = call->service;
    j->route = call->route;
    j->grant.principal = call->grant->principal;
    j->name = mem_strdup(name);
    j->number = number;
    j->address = mem_strdup(call->address);
    j->reason = mem_strdup(call->reason);
    j->request_id = mem_strdup(call->id);
    j->tests = json_deep_copy(tests);
    j->settings = settings ? json_deep_copy(settings) : NULL;
    snprintf(j->is.id, sizeof j->is.id, "job_%.40s", call->id);
    j->is.tests = json_array_size(tests);
    j->is.by_id = call->grant->principal.person_id;
    j->is.created_at = clock_wall_s();
    return j;
}

bool runner_start(struct runner *r, const struct api_call *call, const char *name, int64_t number,
                  const json_t *tests, const json_t *settings, struct runner_job *out,
                  struct api_error *e)
{
    struct job *j = job_create(call, name, number, tests, settings);
    pthread_mutex_lock(&r->mu);
    bool ok = check_room_locked(r, name, number, e);
    if (ok) {
        struct job **at = &r->oldest;
        while (*at)
            at = &(*at)->next;
        *at = j;
        *out = j->is;
        forget_locked(r);
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->mu);
    if (!ok)
        job_destroy(j);
    return ok;
}

bool runner_find(struct runner *r, const char *name, int64_t number, const char *id,
                 struct runner_job *out)
{
    bool found = false;
    pthread_mutex_lock(&r->mu);
    for (const struct job *j = r->oldest; j && !found; j = j->next) {
        found = is_of(j, name, number) && !strcmp(j->is.id, id);
        if (found)
            *out = j->is;
    }
    pthread_mutex_unlock(&r->mu);
    return found;
}

size_t runner_list(struct runner *r, const char *name, int64_t number,
                   struct runner_job out[RUNNER_KEEP])
{
    size_t n = 0;
    pthread_mutex_lock(&r->mu);
    for (const struct job *j = r->oldest; j && n < RUNNER_KEEP; j = j->next)
        if (is_of(j, name, number))
            out[n++] = j->is;
    pthread_mutex_unlock(&r->mu);
    for (size_t i = 0; i < n / 2; i++) {
        struct runner_job swap = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = swap;
    }
    return n;
}
