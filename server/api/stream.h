/* The streaming state machine of one answer: token text in, protocol events out. Pure: no sockets,
 * no JSON, no clock.
 *
 * States and what is true in them:
 *   START      nothing came yet; ROLE not sent
 *   OPENING    ROLE sent; only white space or a beginning of "<think>" came, held back
 *   REASONING  inside <think>; a possible "</think>" with the line ends before it is held back
 *   CLOSED     after "</think>"; line ends are dropped until the answer begins
 *   CONTENT    the answer; text passes through
 *   DONE       FINISH sent, nothing follows
 * Transitions: stream_feed (START -> OPENING or CONTENT -> …), stream_finish (-> DONE).
 */
#ifndef SEEKD_API_STREAM_H
#define SEEKD_API_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum stream_mode {
    STREAM_PLAIN,   /* the model does not think: everything is content */
    STREAM_DETECT,  /* a leading <think> opens reasoning */
    STREAM_THINKING /* the prompt ended inside <think>; a repeated leading <think> is dropped */
};

enum stream_state {
    STREAM_STATE_START,
    STREAM_STATE_OPENING,
    STREAM_STATE_REASONING,
    STREAM_STATE_CLOSED,
    STREAM_STATE_CONTENT,
    STREAM_STATE_DONE
};

enum stream_event { STREAM_ROLE, STREAM_REASONING, STREAM_CONTENT, STREAM_FINISH };

/* ROLE comes first and once, FINISH last and once, both with no text. REASONING never follows
 * CONTENT. Text is borrowed for the call and never empty. */
struct stream_sink {
    void (*event)(void *user, enum stream_event event, const char *text, size_t len);
    void *user;
};

struct stream {
    enum stream_mode mode;
    enum stream_state state;
    bool reasoned; /* some reasoning text was reported */
    struct buf held;
};

void stream_init(struct stream *s, enum stream_mode mode);
void stream_release(struct stream *s);
void stream_feed(struct stream *s, const char *text, size_t len, const struct stream_sink *sink);
/* Reports what was held back, then FINISH. */
void stream_finish(struct stream *s, const struct stream_sink *sink);
/* True while text fed now would count as reasoning. */
bool stream_in_reasoning(const struct stream *s);

#endif
