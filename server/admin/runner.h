/* Runs the test sets of prompt versions, one after the other, on a thread of its own: each test is
 * rendered, generated at batch class with a row in the ledger, and checked; then the registry keeps the
 * outcome as a run, which is what an approval asks for. Beside its checks, every answer is judged for
 * its form (form.h): a model too small for the checks still shows that the template works.
 *
 * Unless the version's settings say otherwise a test is generated with temperature 0, at most
 * RUNNER_MAX_TOKENS tokens and the seed RUNNER_SEED: running a set again does not roll the dice
 * again. A test that cannot work (a variable does not fit, the prompt is too long) has failed. What
 * the version cannot help (limits, a full queue) is tried again for a while; when that does not
 * help or the engine fails, the job fails and nothing is recorded. So it does before its next test
 * when who began it is disabled, or loses the key or a role. Jobs are in memory only: the end of
 * the server ends them without a run.
 *
 * States of a job, and who leads there:
 *   RUNNER_QUEUED    waits                                                        (runner_start)
 *   RUNNER_RUNNING   `done` of `tests` are done                                   (the thread)
 *   RUNNER_FINISHED  recorded as `run_id`                                         (the thread)
 *   RUNNER_FAILED    nothing recorded, `message` says why                         (the thread)
 *
 * Owner: the HTTP server. Thread: any.
 */
#ifndef SEEKD_ADMIN_RUNNER_H
#define SEEKD_ADMIN_RUNNER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"

struct runner;

enum {
    RUNNER_QUEUE = 16, /* jobs that wait or run */
    RUNNER_KEEP = 64,  /* jobs that are remembered, ended ones too */
    RUNNER_MAX_TOKENS = 1024,
    RUNNER_SEED = 1,
    RUNNER_ANSWER_BYTES = 4096, /* of each answer in the report */
    RUNNER_RETRY_S = 600,       /* how long one test waits for its turn */
    RUNNER_ID_TEXT = 48
};

bool runner_open(struct runner **out, struct err *e) WARN_UNUSED;
/* Ends the job that runs; the engine and the registry are still there. Accepts NULL. */
void runner_close(struct runner **r);

enum runner_phase { RUNNER_QUEUED, RUNNER_RUNNING, RUNNER_FINISHED, RUNNER_FAILED };
const char *runner_phase_name(enum runner_phase p);

struct runner_job {
    char id[RUNNER_ID_TEXT]; /* "job_…" */
    enum runner_phase phase;
    size_t tests, done, passed, failed;
    size_t form_passed, form_failed; /* of those done; whatever the checks say */
    int64_t run_id, by_id, created_at;
    char message[384];
};

/* Queues the tests (an array, borrowed) of a version that the caller may run; the settings
 * (borrowed, may be NULL) are the version's. Errors: API_CONFLICT (it is queued or running),
 * API_OVERLOADED (queue full), API_STOPPING. */
bool runner_start(struct runner *r, const struct api_call *call, const char *name, int64_t number,
                  const json_t *tests, const json_t *settings, struct runner_job *out,
                  struct api_error *e) WARN_UNUSED;
/* A job of this version. */
bool runner_find(struct runner *r, const char *name, int64_t number, const char *id,
                 struct runner_job *out) WARN_UNUSED;
/* Its jobs, newest first: number of those written. */
size_t runner_list(struct runner *r, const char *name, int64_t number,
                   struct runner_job out[RUNNER_KEEP]);

#endif
