/* The API endpoints: a request body in, either a finished answer or a running generation out.
 * No sockets, no threads, no knowledge of HTTP beyond the status number.
 */
#ifndef SEEKD_API_API_H
#define SEEKD_API_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/errors.h"
#include "base/buf.h"

struct engine;
struct generation;
struct prompt_maker;

/* The loaded model as the API shows it. Fixed once built; shared by all threads. */
struct api_model {
    struct engine *engine;             /* borrowed */
    const struct prompt_maker *prompt; /* borrowed; NULL when the model has no chat template */
    const char *id;                    /* name in requests and answers */
    int64_t created;                   /* seconds since the epoch */
};

struct api_call {
    const struct api_model *model; /* NULL while it is loading */
    const char *rest;              /* what followed the route's path, "" when nothing */
    const char *body;
    size_t body_len;
    const char *id; /* request id, made by the server */
    /* Wakes whoever reads the generation; see engine_request.notify. */
    void (*notify)(void *user);
    void *user;
};

/* Exactly one of: `run` set (the caller pulls and destroys it), or status and body. */
struct api_answer {
    struct generation *run;
    unsigned status;
    unsigned retry_after_s;
    struct buf body; /* JSON */
};

typedef void api_handler(const struct api_call *call, struct api_answer *answer);

api_handler api_models_list, api_models_get;
api_handler api_chat, api_completion, api_tokenize, api_detokenize;

void api_answer_init(struct api_answer *a);
void api_answer_release(struct api_answer *a); /* destroys `run` too */
/* Replaces whatever the answer holds by an error. */
void api_answer_error(struct api_answer *a, const struct api_error *e);

/* Body of GET /health, with the status to send. `progress` in bytes, 0 when unknown. */
enum api_health { API_HEALTH_LOADING, API_HEALTH_SERVING, API_HEALTH_STOPPING };
void api_health(enum api_health state, const struct api_model *model, uint64_t done_bytes,
                uint64_t total_bytes, struct api_answer *answer);

/* Checks the request's "model" against the one loaded; NULL (not given) is fine. */
bool api_check_model(const struct api_model *m, const char *wanted, struct api_error *e)
    WARN_UNUSED;

#endif
