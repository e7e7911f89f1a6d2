/* How an answer is told: one writer per protocol turns what was read so far into events of a stream
 * or into one body. generation.c reads the engine and calls them; they write and nothing else.
 *
 * Owner: the generation. Thread: whoever reads it.
 */
#ifndef SEEKD_API_WRITER_H
#define SEEKD_API_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "api/params.h"
#include "base/buf.h"
#include "engine.h"

/* One choice as it was read so far. The writer takes text out of the buffers as it writes it: it
 * clears them, or moves the mark behind what it has written. */
struct choice {
    unsigned index;
    struct buf reasoning, content;
    struct buf logprobs;                          /* JSON objects with commas, no [] */
    size_t reasoning_at, content_at, logprobs_at; /* marks: all before is written */
    /* Of the older completions endpoint only: the four parallel arrays. */
    struct buf texts, token_logprobs, tops, offsets;
    size_t text_bytes; /* of content since the beginning */
    bool role_due, finish_due, done;
    enum engine_finish finish;         /* once done */
    struct engine_usage usage;         /* once done */
    uint32_t tokens, reasoning_tokens; /* read so far */
};

struct writer;

struct writing {
    const struct writer *writer;
    void *state; /* the writer's own; owned, freed by its release */
    const struct api_model *model;
    bool streamed, include_usage, logprobs;
    char id[64]; /* with the prefix */
    int64_t created;
    char *prompt; /* owned: JSON of the registry's prompt in it, NULL = none */
    unsigned n;
    struct choice choices[PARAMS_MAX_CHOICES];
    struct api_error failure; /* first failed choice; API_OK = none */
};

struct writer {
    const char *id_prefix; /* "chatcmpl-" */
    /* A token was read; its text begins at `offset` of the content. Called when log-probabilities
     * were asked for. */
    void (*token)(struct writing *w, struct choice *c, const struct engine_event *ev, size_t offset,
                  bool reasoning);
    /* Writes what a choice has collected as events. */
    void (*events)(struct writing *w, struct choice *c, struct buf *out);
    /* Ends the stream: well, or with w->failure. */
    void (*end)(struct writing *w, struct buf *out);
    /* Writes the whole answer, or w->failure. */
    void (*body)(struct writing *w, struct buf *out);
    void (*release)(void *state); /* NULL = there is none */
};

extern const struct writer WRITER_CHAT, WRITER_TEXT, WRITER_RESPONSES;

/* "stop", "length", "cancelled", "stalled", "error". */
const char *writer_finish_name(enum engine_finish finish);
/* Appends {"token", "logprob", "bytes", "top_logprobs"} to c->logprobs. */
void writer_add_logprob(const struct writing *w, struct choice *c, const struct engine_event *ev);

#endif
