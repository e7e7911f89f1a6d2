/* Owns: where reasoning ends and the answer begins, however the tags are cut into tokens.
 * Refuses to know: JSON, engine events, how deltas are sent.
 *
 * Text that may still turn out to be a tag waits in `held`, which therefore never holds more than a
 * tag and HOLD_SPACE white space beside the piece being fed. */
#include <config.h>

#include "api/stream.h"

#include <string.h>

#include "base/assert.h"

static const char OPEN_TAG[] = "<think>";
static const char CLOSE_TAG[] = "</think>";
enum {
    OPEN_LEN = sizeof OPEN_TAG - 1,
    CLOSE_LEN = sizeof CLOSE_TAG - 1,
    HOLD_SPACE = 64,
    HELD_MAX = 16 << 20
};

void stream_init(struct stream *s, enum stream_mode mode)
{
    *s = (struct stream){.mode = mode, .state = STREAM_STATE_START};
    buf_init(&s->held, HELD_MAX);
}

void stream_release(struct stream *s)
{
    buf_release(&s->held);
}

bool stream_in_reasoning(const struct stream *s)
{
    return s->state == STREAM_STATE_REASONING ||
           (s->mode == STREAM_THINKING && s->state <= STREAM_STATE_OPENING);
}

static void assert_stream_state(const struct stream *s)
{
    ASSERT(s->held.len == 0 || s->state == STREAM_STATE_OPENING ||
           s->state == STREAM_STATE_REASONING);
    ASSERT(s->mode != STREAM_PLAIN || s->state == STREAM_STATE_START ||
           s->state >= STREAM_STATE_CONTENT);
    (void)s;
}

static void report(struct stream *s, const struct stream_sink *sink, enum stream_event event,
                   const char *text, size_t len)
{
    if (!len)
        return;
    if (event == STREAM_REASONING)
        s->reasoned = true;
    sink->event(sink->user, event, text, len);
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static bool is_space(char c)
{
    return is_line_end(c) || c == ' ' || c == '\t';
}

/* Length of the end of `text` that is a beginning of `tag` (not the whole tag). */
static size_t tag_begin_at_end(const char *text, size_t len, const char *tag, size_t tag_len)
{
    size_t most = len < tag_len - 1 ? len : tag_len - 1;
    for (size_t n = most; n > 0; n--)
        if (!memcmp(text + len - n, tag, n))
            return n;
    return 0;
}

/* OPENING: decide between <think>, the rest of a tag to come, and an answer. True = decided. */
static bool step_opening(struct stream *s, const struct stream_sink *sink)
{
    const char *text = buf_str(&s->held);
    size_t len = s->held.len, space = 0;
    while (space < len && is_space(text[space]))
        space++;
    size_t rest = len - space;
    size_t same = rest < OPEN_LEN ? rest : OPEN_LEN;
    if (!memcmp(text + space, OPEN_TAG, same)) {
        if (rest >= OPEN_LEN) {
            buf_consume(&s->held, space + OPEN_LEN);
            s->state = STREAM_STATE_REASONING;
            return true;
        }
        if (space <= HOLD_SPACE)
            return false;
    }
    if (s->mode == STREAM_THINKING) {
        s->state = STREAM_STATE_REASONING;
        return true;
    }
    s->state = STREAM_STATE_CONTENT;
    report(s, sink, STREAM_CONTENT, text, len);
    buf_clear(&s->held);
    return true;
}

/* REASONING: pass on what cannot belong to the closing tag or to the line ends before it. */
static bool step_reasoning(struct stream *s, const struct stream_sink *sink)
{
    if (!s->reasoned) {
        size_t skip = 0;
        while (skip < s->held.len && is_line_end(s->held.data[skip]))
            skip++;
        buf_consume(&s->held, skip);
    }
    const char *text = buf_str(&s->held);
    size_t len = s->held.len;
    const char *tag = len ? memmem(text, len, CLOSE_TAG, CLOSE_LEN) : NULL;
    size_t cut = tag ? (size_t)(tag - text)
                     : len - tag_begin_at_end(text, len, CLOSE_TAG, CLOSE_LEN);
    size_t end = cut;
    while (end > 0 && is_line_end(text[end - 1]))
        end--;
    if (!tag && cut - end > HOLD_SPACE)
        end = cut;
    report(s, sink, STREAM_REASONING, text, end);
    if (!tag) {
        buf_consume(&s->held, end);
        return false;
    }
    buf_consume(&s->held, cut + CLOSE_LEN);
    s->state = STREAM_STATE_CLOSED;
    return true;
}

static bool step_closed(struct stream *s, const struct stream_sink *sink)
{
    size_t skip = 0;
    while (skip < s->held.len && is_line_end(s->held.data[skip]))
        skip++;
    if (skip < s->held.len) {
        s->state = STREAM_STATE_CONTENT;
        report(s, sink, STREAM_CONTENT, s->held.data + skip, s->held.len - skip);
    }
    buf_clear(&s->held);
    return false;
}

static void run(struct stream *s, const struct stream_sink *sink)
{
    bool again = s->held.len > 0;
    while (again) {
        switch (s->state) {
        case STREAM_STATE_OPENING:
            again = step_opening(s, sink) && s->held.len > 0;
            break;
        case STREAM_STATE_REASONING:
            again = step_reasoning(s, sink) && s->held.len > 0;
            break;
        case STREAM_STATE_CLOSED:
            again = step_closed(s, sink);
            break;
        default:
            report(s, sink, STREAM_CONTENT, buf_str(&s->held), s->held.len);
            buf_clear(&s->held);
            again = false;
            break;
        }
    }
}

void stream_feed(struct stream *s, const char *text, size_t len, const struct stream_sink *sink)
{
    ASSERT(s->state != STREAM_STATE_DONE);
    if (s->state == STREAM_STATE_START) {
        sink->event(sink->user, STREAM_ROLE, NULL, 0);
        s->state = s->mode == STREAM_PLAIN ? STREAM_STATE_CONTENT : STREAM_STATE_OPENING;
    }
    if (s->state == STREAM_STATE_CONTENT) {
        report(s, sink, STREAM_CONTENT, text, len);
        return;
    }
    buf_append(&s->held, text, len);
    run(s, sink);
    assert_stream_state(s);
}

void stream_finish(struct stream *s, const struct stream_sink *sink)
{
    stream_feed(s, NULL, 0, sink);
    report(s, sink, stream_in_reasoning(s) ? STREAM_REASONING : STREAM_CONTENT, buf_str(&s->held),
           s->held.len);
    buf_clear(&s->held);
    s->state = STREAM_STATE_DONE;
    sink->event(sink->user, STREAM_FINISH, NULL, 0);
}
