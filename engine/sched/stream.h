/* The event queue between the engine thread (writer) and one reader; implements engine_stream.
 *
 * States: OPEN -> DONE (the done event is queued; nothing follows) and, independently, cancelled.
 * Lock order: stream.mu before the scheduler's mu (wake is called with stream.mu held).
 * Lifetime: two references, the engine's and the reader's. The engine's ends with stream_push_done +
 * stream_unref; after DONE the stream never calls wake again, so it may outlive the engine.
 */
#ifndef SEEKD_SCHED_STREAM_H
#define SEEKD_SCHED_STREAM_H

#include "engine.h"

/* wake: tells the scheduler to look again (cancel, or a full queue was drained). */
struct engine_stream *stream_create(void (*notify)(void *user), void *user,
                                    void (*wake)(void *wake_user), void *wake_user);
void stream_unref(struct engine_stream *s);

/* Engine thread: the request is part of a step for the first time. */
void stream_begin(struct engine_stream *s);
/* Engine thread. Text is copied. */
void stream_push_token(struct engine_stream *s, const struct engine_event *ev);
void stream_push_done(struct engine_stream *s, const struct engine_event *ev);
bool stream_is_cancelled(const struct engine_stream *s);
/* True while the queue holds more than its limit; the sequence then pauses. */
bool stream_is_full(struct engine_stream *s);

#endif
