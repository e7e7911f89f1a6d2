/* One request inside the engine: its tokens, its sampler, its text and its way to the reader.
 *
 * States (enum seq_state), the facts true in each:
 *   SEQ_WAITING   slot == -1, n_cached == 0: owns no pages. In the waiting queue.
 *   SEQ_RUNNING   slot >= 0: owns a block-table row. n_cached < n_tokens. In the running list.
 *   SEQ_FINISHED  the done event was pushed; slot == -1. About to be destroyed.
 * Transitions: sched.c admits (WAITING -> RUNNING), preempts (RUNNING -> WAITING), finishes (any ->
 * FINISHED). Thread: the engine thread, except sequence_create (any, before it is queued).
 */
#ifndef SEEKD_SCHED_SEQUENCE_H
#define SEEKD_SCHED_SEQUENCE_H

#include "base/buf.h"
#include "engine.h"
#include "sample/sampler.h"
#include "text/tokenizer.h"

enum seq_state { SEQ_WAITING, SEQ_RUNNING, SEQ_FINISHED };

enum { SEQ_FULL_WEIGHT = 1000 };

struct sequence {
    struct sequence *next; /* list the sequence is in */
    enum seq_state state;
    uint64_t arrival; /* order of submission: smaller is older */
    struct engine_stream *stream;
    uint32_t weight; /* permille of a full share, 1..SEQ_FULL_WEIGHT */

    int32_t *tokens; /* prompt, then output */
    uint32_t n_tokens, n_prompt, cap_tokens;
    uint32_t max_tokens; /* n_tokens at which the request ends with LENGTH */
    uint32_t n_cached;   /* positions computed and in the cache */
    int32_t slot;        /* row of the block table, -1 = none */

    struct sampler sampler;
    struct detok detok;
    struct buf text;    /* detokenised but held back: may begin a stop string */
    char **stop;        /* owned strings */
    size_t *stop_len;
    size_t n_stop;
    int32_t stop_tokens[ENGINE_MAX_STOP_TOKENS];
    size_t n_stop_tokens;
    bool ignore_eos, logprobs;
    uint32_t n_logprobs;

    uint64_t submitted_us, started_us, first_token_us;
    uint64_t full_since_us; /* the reader's queue is full since then; 0 = it is not */
};

/* Checks the request (ERR_ARG, ERR_LIMIT) and copies everything it needs. `stream` becomes owned
 * (one reference) on success. */
bool sequence_create(const struct engine_request *req, const struct tokenizer *t, uint32_t vocab,
                     uint32_t max_ctx, struct engine_stream *stream, struct sequence **out,
                     struct err *e) WARN_UNUSED;
void sequence_destroy(struct sequence **s);

/* Takes a sampled token: appends it, updates penalties and text, pushes an event or the done event.
 * c: the candidates it came from; logit: its own. Returns true when the request goes on. */
bool sequence_accept(struct sequence *s, int32_t token, const struct dev_candidates *c, float logit);

/* Ends the request with an event; err may be NULL. Not after sequence_accept returned false. */
void sequence_finish(struct sequence *s, enum engine_finish finish, const struct err *err);

#endif
