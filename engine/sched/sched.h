/* Continuous batching: the engine thread, its queue and the former of steps. See README.md.
 *
 * Thread: sched_submit, sched_stats and sched_logits from any thread; the rest of a scheduler
 * belongs to the thread that sched_create starts.
 */
#ifndef SEEKD_SCHED_SCHED_H
#define SEEKD_SCHED_SCHED_H

#include "engine.h"
#include "model/model.h"
#include "text/tokenizer.h"

struct sched;

enum { SCHED_MAX_QUEUE = 256 };

/* Starts the thread. `m` and `t` are borrowed until sched_destroy; from now on only the scheduler's
 * thread touches `m`. step_tokens: token budget of a step, at most the model's max_rows. stall_s: a
 * request whose reader lets its queue stand full for so long is ended. */
bool sched_create(struct model *m, const struct tokenizer *t, uint32_t step_tokens,
                  uint32_t stall_s, struct sched **out, struct err *e) WARN_UNUSED;
/* Finishes all requests as cancelled, stops the thread, frees. */
void sched_destroy(struct sched **s);

bool sched_submit(struct sched *s, const struct engine_request *req, struct engine_stream **out,
                  struct err *e) WARN_UNUSED;
void sched_stats(struct sched *s, struct engine_stats *out);
/* engine_logits: see engine.h. ERR_BUSY when requests are running. */
bool sched_logits(struct sched *s, const int32_t *tokens, size_t n, bool all_positions,
                  uint32_t chunk, float *out, struct err *e) WARN_UNUSED;

#endif
