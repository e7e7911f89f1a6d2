/* Owns: runs of test sets over HTTP. Refuses to know: how they run (runner.c). */
#include <config.h>

#include "admin/admin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/runner.h"
#include "admin/template_call.h"
#include "base/mem.h"
#include "template/registry.h"

struct version_call {
    struct template_call t;
    struct registry_ref ref;
};

/* The name and the number. */
static bool begin(struct version_call *c, const struct api_call *call, struct api_error *e)
{
    c->ref = (struct registry_ref){0};
    return template_call_named(&c->t, call, e) && api_param_id(call, 1, &c->ref.number, e);
}

static json_t *job_json(const struct runner_job *j)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:{s:I, s:I}, s:o, s:I, s:I, s:o}", "id", j->id,
                     "state", runner_phase_name(j->phase), "tests", (json_int_t)j->tests, "done",
                     (json_int_t)j->done, "passed", (json_int_t)j->passed, "failed",
                     (json_int_t)j->failed, "form", "passed", (json_int_t)j->form_passed, "failed",
                     (json_int_t)j->form_failed, "run_id", admin_or_null(j->run_id), "by_id",
                     (json_int_t)j->by_id, "created_at", (json_int_t)j->created_at, "message",
                     *j->message ? json_string(j->message) : json_null());
}

/* ---- starting --------------------------------------------------------------------------------- */

/* Recording a run asks for the same roles; here nothing has been spent yet. */
static bool may_run(const struct template_call *t, struct api_error *e)
{
    return t->who.local || (t->who.roles & (ROLE_EDITOR | ROLE_APPROVER)) ||
           api_fail(e, API_DENIED, NULL, "Test sets are run by prompt editors and approvers.");
}

static bool check_version(const struct api_call *call, const json_t *content, struct api_error *e)
{
    const char *model = json_string_value(json_object_get(content, "model"));
    if (!json_array_size(json_object_get(content, "tests")))
        return api_fail(e, API_CONFLICT, NULL, "This version has no tests.");
    if (!key_allows_model(call->grant, call->model->id))
        return api_fail(e, API_DENIED, NULL, "This key may not use the model.");
    return api_check_model(call->model, model, e);
}

static void answer_started(const struct version_call *c, const struct runner_job *job,
                           struct api_answer *answer)
{
    char path[TEMPLATE_PATH];
    template_path(path, c->t.name);
    api_answer_header(answer, "Location", "%s/versions/%" PRId64 "/runs/%s", path, c->ref.number,
                      job->id);
    api_answer_json_take(answer, 202, job_json(job));
}

static void start(const struct api_call *call, struct api_answer *answer)
{
    struct version_call c;
    struct registry_resolved resolved;
    struct runner_job job;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *body = NULL;
    bool ok = begin(&c, call, &e) && may_run(&c.t, &e) && (body = api_body(call, NULL, NULL, &e));
    json_decref(body);
    if (!ok) {
        api_answer_error(answer, &e);
        return;
    }
    struct registry_request request = {.name = c.t.name, .ref = c.ref};
    if (!registry_resolve(c.t.registry, &c.t.who, &request, &resolved, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    const json_t *content = prompt_content(resolved.prompt);
    if (check_version(call, content, &e) &&
        runner_start(call->runner, call, c.t.name, c.ref.number, json_object_get(content, "tests"),
                     json_object_get(content, "settings"), &job, &e))
        answer_started(&c, &job, answer);
    else
        api_answer_error(answer, &e);
    prompt_unref(&resolved.prompt);
}

/* ---- reading ---------------------------------------------------------------------------------- */

static json_t *jobs_json(const struct api_call *call, const struct version_call *c)
{
    struct runner_job *jobs = mem_calloc(RUNNER_KEEP, sizeof *jobs);
    size_t n = runner_list(call->runner, c->t.name, c->ref.number, jobs);
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++)
        if (jobs[i].phase != RUNNER_FINISHED)
            json_array_append_new(out, job_json(&jobs[i]));
    free(jobs);
    return out;
}

/* {"data": a page of finished runs, "jobs": those that wait, run or failed}, both newest first. */
static void list(const struct api_call *call, struct api_answer *answer)
{
    struct version_call c;
    int64_t after;
    unsigned limit;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *data;
    if (!begin(&c, call, &e) || !admin_page(call, &after, &limit, &e)) {
        api_answer_error(answer, &e);
    } else if (!registry_runs(c.t.registry, &c.t.who, c.t.name, c.ref.number, after, limit + 1, &data,
                              &why)) {
        api_answer_act(answer, &why);
    } else {
        json_t *last = json_array_get(data, limit - 1);
        bool more = json_array_remove(data, limit) == 0;
        json_int_t next = more ? json_integer_value(json_object_get(last, "id")) : 0;
        api_answer_json_take(answer, 200,
                             json_pack("{s:s, s:o, s:o, s:o}", "object", "list", "data", data, "jobs",
                                       jobs_json(call, &c), "next", admin_or_null(next)));
    }
}

/* Only of a version that the caller sees. */
static void answer_job(const struct api_call *call, const struct version_call *c,
                       struct api_answer *answer)
{
    struct runner_job job;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *version;
    if (!registry_version(c->t.registry, &c->t.who, c->t.name, c->ref, &version, &why)) {
        api_answer_act(answer, &why);
        return;
    }
    json_decref(version);
    if (runner_find(call->runner, c->t.name, c->ref.number, call->param[2], &job)) {
        api_answer_json_take(answer, 200, job_json(&job));
        return;
    }
    api_fail(&e, API_NOT_FOUND, NULL,
             "There is no such job: jobs are forgotten when the server ends, runs are not.");
    api_answer_error(answer, &e);
}

static void get(const struct api_call *call, struct api_answer *answer)
{
    struct version_call c;
    int64_t id;
    struct api_error e = API_ERROR_INIT;
    struct err why = ERR_INIT;
    json_t *run;
    if (!begin(&c, call, &e))
        api_answer_error(answer, &e);
    else if (!strncmp(call->param[2], "job_", 4))
        answer_job(call, &c, answer);
    else if (!api_param_id(call, 2, &id, &e))
        api_answer_error(answer, &e);
    else if (!registry_run(c.t.registry, &c.t.who, c.t.name, c.ref.number, id, &run, &why))
        api_answer_act(answer, &why);
    else
        api_answer_json_take(answer, 200, run);
}

static const struct route rows[] = {
    {"GET", "/admin/v1/templates/{name}/versions/{number}/runs", .access = ROUTE_OBJECT,
     .object = AUTHORITY_TEMPLATE, .verb = AUTHORITY_READ, .place = ROUTE_SLOW,
     .needs_database = true, .handler = list, .query = "after limit",
     .summary = "Runs of a version's test set, newest first"},
    {"POST", "/admin/v1/templates/{name}/versions/{number}/runs", .access = ROUTE_OBJECT,
     .object = AUTHORITY_APPROVAL, .verb = AUTHORITY_READ, .place = ROUTE_SLOW,
     .needs_database = true, .needs_model = true, .body_bytes = ADMIN_BODY, .handler = start,
     .summary = "Run the test set on the loaded model: 202 and a job"},
    {"GET", "/admin/v1/templates/{name}/versions/{number}/runs/{id}", .access = ROUTE_OBJECT,
     .object = AUTHORITY_TEMPLATE, .verb = AUTHORITY_READ, .place = ROUTE_SLOW,
     .needs_database = true, .handler = get,
     .summary = "The report of a run, or a job's progress; 'form' tells good answers in form (came, "
                "ended, not empty, clean text) from those that passed their checks too"},
};

const struct route_table ADMIN_RUNS = ROUTE_TABLE(rows);
