/* One answer being generated: n engine requests, turned into Server-Sent Events or into one JSON
 * body. Pull model: whoever sends asks for the next piece, so a slow reader holds back its own
 * requests only.
 *
 * Owner: the caller of generation_start. Thread: one reader at a time; generation_cancel from any.
 */
#ifndef SEEKD_API_GENERATION_H
#define SEEKD_API_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "api/params.h"
#include "api/stream.h"
#include "api/use.h"
#include "api/writer.h"
#include "usage/ledger.h"

struct generation_spec {
    const struct api_model *model;
    const struct api_call *call; /* who asks; borrowed for the call */
    const struct use *use;       /* the prompt of the registry in it, NULL = none; borrowed */
    enum ledger_class class;     /* how the ledger counts it; interactive = by who asks */
    const struct writer *writer; /* in what form it is told */
    void *state_take;            /* the writer's, NULL = none; taken also when starting fails */
    const struct params *params; /* borrowed for the call */
    const int32_t *tokens;       /* prompt, borrowed for the call */
    size_t n_tokens;
    enum stream_mode mode;
    const char *id; /* request id; the answer's id is made from it */
    void (*notify)(void *user);
    void *user;
};

/* Admits the request where `call` has a service, then submits all choices or none. */
bool generation_start(const struct generation_spec *spec, struct generation **out,
                      struct api_error *e) WARN_UNUSED;
/* Cancels what still runs; its usage row then ends as failed, "cancelled". Never waits for the database.
 * Accepts NULL. */
void generation_destroy(struct generation **g);

bool generation_is_stream(const struct generation *g);

enum generation_state {
    GENERATION_MORE, /* something was appended, there may be more at once */
    GENERATION_WAIT, /* nothing to read until notify is called */
    GENERATION_END   /* all is written; for a whole answer `status` is set and the body complete */
};

/* Appends the next events (stream) or, at the end, the body. At most about 16 KiB per call for
 * streams. The end of a stream, or the whole body, comes after the usage row is committed; if that
 * fails an error (API_STORAGE) stands in its place. */
enum generation_state generation_pull(struct generation *g, struct buf *out);

/* HTTP status of a whole (not streamed) answer after GENERATION_END. */
unsigned generation_status(const struct generation *g, unsigned *retry_after_s);

/* Asks the engine to stop all choices: any thread, idempotent. The reader then sees an error. */
void generation_cancel(struct generation *g);

struct generation_summary {
    uint32_t prompt_tokens, completion_tokens;
    /* "stop", "length", "cancelled", "stalled", "error"; "abandoned": not read to its end */
    const char *finish;
    uint64_t first_token_us; /* from start to first token; 0 = none came */
};
void generation_summarise(const struct generation *g, struct generation_summary *out);

#endif
