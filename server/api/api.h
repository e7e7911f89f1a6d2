/* The API endpoints: a request in, either a finished answer or a running generation out.
 * No sockets, no threads, no knowledge of HTTP beyond status numbers and names of headers.
 */
#ifndef SEEKD_API_API_H
#define SEEKD_API_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/errors.h"
#include "audit/audit.h"
#include "auth/key.h"
#include "base/buf.h"

struct engine;
struct generation;
struct prompt_maker;
struct route;
struct runner;
struct schema;
struct service;

/* The loaded model as the API shows it. Fixed once built; shared by all threads. */
struct api_model {
    struct engine *engine;             /* borrowed */
    const struct prompt_maker *prompt; /* borrowed; NULL when the model has no chat template */
    const char *id;                    /* name in requests and answers */
    int64_t created;                   /* seconds since the epoch */
};

enum { API_PARAMS = 4, API_QUERY = 24 };

struct api_query {
    const char *name, *value; /* decoded */
};

/* Names of the session's cookie. The second when cookies go over https only: then browsers take it from
 * no other host of the same domain and from no plain connection. */
#define API_SESSION_COOKIE "seekd_session"
#define API_SESSION_COOKIE_SECURE "__Host-" API_SESSION_COOKIE

/* One request. Everything is borrowed until the handler returns, but model, service and runner, which
 * stay as long as the server. */
struct api_call {
    const struct api_model *model; /* NULL while it is loading; not with route->needs_model */
    struct service *service;       /* NULL = no database; not with route->needs_database */
    struct runner *runner;         /* runs test sets (admin/runner.h); NULL = no database */
    const struct route *route;
    const char *method, *path;     /* path as sent */
    const char *param[API_PARAMS]; /* segments in braces, in order, decoded; "" beyond them */
    struct api_query query[API_QUERY];
    size_t n_query;
    const char *body; /* terminated */
    size_t body_len;
    const char *id; /* request id, made by the server */

    /* Who asks. A public route: an empty principal. Borrowed until the handler returns. */
    const struct key_grant *grant;
    const char *address; /* client's, "local" for the local socket */
    const char *agent;   /* User-Agent, "" = none */
    const char *session; /* token of the session cookie, NULL = none was sent */
    const char *cookies; /* the whole Cookie header, "" = none */
    const char *if_match, *reason; /* headers If-Match (NULL = none), X-Reason decoded ("" = none) */

    /* Wakes whoever reads the generation; see engine_request.notify. */
    void (*notify)(void *user);
    void *user;
};

enum { API_HEADERS = 6 };

/* Exactly one of: `run` set (the caller pulls and destroys it), or status and body. */
struct api_answer {
    struct generation *run;
    unsigned status;
    unsigned retry_after_s;
    const char *type; /* Content-Type; a string literal */
    struct {
        const char *name; /* a string literal */
        char *value;      /* owned */
    } header[API_HEADERS];
    unsigned n_headers;
    struct buf body; /* JSON unless `type` says otherwise; at most API_ANSWER_BYTES */
};
enum { API_ANSWER_BYTES = 64 << 20 };

typedef void api_handler(const struct api_call *call, struct api_answer *answer);

api_handler api_models_list, api_models_get;
api_handler api_chat, api_completion, api_tokenize, api_detokenize;

/* ---- answers ---------------------------------------------------------------------------------- */

void api_answer_init(struct api_answer *a);
void api_answer_release(struct api_answer *a); /* destroys `run` too */
/* Replaces whatever the answer holds by an error. */
void api_answer_error(struct api_answer *a, const struct api_error *e);
/* The same for an error of a module on the database. */
void api_answer_act(struct api_answer *a, const struct err *e);
/* Adds a header; `name` is a literal. Line ends never get into the value, which is as long as it comes:
 * callers bound it. */
void api_answer_header(struct api_answer *a, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Status and a JSON body; takes the reference. */
void api_answer_json_take(struct api_answer *a, unsigned status, json_t *body);
/* The same of computed figures: 15 digits, so that 0.028 does not end in 0001. Not for what is
 * hashed. */
void api_answer_figures_take(struct api_answer *a, unsigned status, json_t *body);
/* ETag: "REVISION". */
void api_answer_etag(struct api_answer *a, int64_t revision);

/* ---- requests --------------------------------------------------------------------------------- */

/* Value of a query parameter, NULL when it was not given (or empty). */
const char *api_query(const struct api_call *call, const char *name);
/* A whole number in [min, max], `fallback` when not given. */
bool api_query_int(const struct api_call *call, const char *name, int64_t min, int64_t max,
                   int64_t fallback, int64_t *out, struct api_error *e) WARN_UNUSED;
bool api_query_bool(const struct api_call *call, const char *name, bool fallback, bool *out,
                    struct api_error *e) WARN_UNUSED;
/* "2026-11-24", "2026-11-24T08:30:00Z" (or +08:00), or seconds since the epoch; a date alone begins at
 * the server's midnight. */
bool api_query_time(const struct api_call *call, const char *name, int64_t fallback, int64_t *out,
                    struct api_error *e) WARN_UNUSED;
/* A path parameter that is an id (>= 1): API_NOT_FOUND otherwise. */
bool api_param_id(const struct api_call *call, unsigned i, int64_t *out,
                  struct api_error *e) WARN_UNUSED;
/* The revision in If-Match; API_REVISION_NEEDED without it. */
bool api_revision(const struct api_call *call, int64_t *out, struct api_error *e) WARN_UNUSED;
/* The body as one JSON object (owned), read into `target` through the schema (may be NULL). An empty
 * body counts as {}. Unknown fields are refused here, unlike in the OpenAI endpoints. */
json_t *api_body(const struct api_call *call, const struct schema *s, void *target,
                 struct api_error *e) WARN_UNUSED;
/* Who acts, for the audit log; borrows from the call. */
struct audit_actor api_actor(const struct api_call *call);

/* ---- the rest --------------------------------------------------------------------------------- */

/* Body of GET /health, with the status to send. `progress` in bytes, 0 when unknown. */
enum api_health { API_HEALTH_LOADING, API_HEALTH_SERVING, API_HEALTH_STOPPING };
void api_health(enum api_health state, const struct api_model *model, uint64_t done_bytes,
                uint64_t total_bytes, struct api_answer *answer);

enum { API_MODEL_ID_BYTES = 200 }; /* a longer id would not fit everywhere it is named */

/* Bytes of the character at `s` (len >= 1) when the id of a model may hold it, else 0: any of UTF-8 but
 * blanks, control characters, quotes and what paths and queries of URLs give a meaning (\ ? # %). A
 * slash is fine. */
size_t api_model_id_char(const char *s, size_t len);

/* Checks the request's "model" against the one loaded; NULL (not given) is fine. */
bool api_check_model(const struct api_model *m, const char *wanted, struct api_error *e)
    WARN_UNUSED;

#endif
