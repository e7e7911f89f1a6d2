/* Owns: answers in the form of POST /v1/chat/completions and of the older POST /v1/completions.
 * Refuses to know: where text comes from. */
#include <config.h>

#include "api/writer.h"

#include <string.h>

#include "api/json.h"
#include "version.h"

/* ---- parts of both ---------------------------------------------------------------------------- */

static void put_usage(const struct writing *w, struct buf *out)
{
    uint32_t prompt = w->choices[0].usage.prompt_tokens, completion = 0, reasoning = 0;
    for (unsigned i = 0; i < w->n; i++) {
        completion += w->choices[i].usage.completion_tokens;
        reasoning += w->choices[i].reasoning_tokens;
    }
    buf_printf(out,
               "\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
               "\"prompt_tokens_details\":{\"cached_tokens\":0},"
               "\"completion_tokens_details\":{\"reasoning_tokens\":%u}}",
               prompt, completion, prompt + completion, reasoning);
}

/* {"id":…,"object":…,"created":…,"model":…,"system_fingerprint":…,  */
static void put_head(const struct writing *w, struct buf *out)
{
    const char *object = w->writer == &WRITER_TEXT ? "text_completion"
                         : w->streamed             ? "chat.completion.chunk"
                                                   : "chat.completion";
    buf_printf(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", w->id, object,
               (long long)w->created);
    json_put_string(out, w->model->id, strlen(w->model->id));
    buf_puts(out, ",\"system_fingerprint\":\"seekd-" SEEKD_VERSION "\",");
}

static void put_logprobs(const struct writing *w, struct choice *c, struct buf *out);

/* Of a part without tokens of the answer: an empty list where a list was asked for. */
static void put_no_logprobs(const struct writing *w, struct buf *out)
{
    bool list = w->logprobs && w->writer == &WRITER_CHAT;
    buf_printf(out, ",\"logprobs\":%s", list ? "{\"content\":[],\"refusal\":null}" : "null");
}

/* "prompt":…, */
static void put_prompt(const struct writing *w, struct buf *out)
{
    if (w->prompt)
        buf_printf(out, "\"prompt\":%s,", w->prompt);
}

static void open_chunk(const struct writing *w, const struct choice *c, struct buf *out)
{
    buf_puts(out, "data: ");
    put_head(w, out);
    if (c->role_due)
        put_prompt(w, out);
    buf_printf(out, "\"choices\":[{\"index\":%u,", c->index);
}

/* Ends one chunk: finish_reason, usage:null where the client asked for usage, frame. */
static void close_chunk(const struct writing *w, struct buf *out, const char *finish)
{
    if (finish)
        buf_printf(out, ",\"finish_reason\":\"%s\"}]", finish);
    else
        buf_puts(out, ",\"finish_reason\":null}]");
    buf_puts(out, w->include_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

/* The text that was collected, with its log-probabilities, between `open` and `close`. */
static void put_content_chunk(const struct writing *w, struct choice *c, struct buf *out,
                              const char *open, const char *close)
{
    open_chunk(w, c, out);
    buf_puts(out, open);
    json_put_string(out, buf_str(&c->content), c->content.len);
    buf_puts(out, close);
    put_logprobs(w, c, out);
    close_chunk(w, out, NULL);
    buf_clear(&c->content);
}

/* The last chunk of a choice carries the finish reason alone. */
static void put_finish_chunk(const struct writing *w, struct choice *c, struct buf *out,
                             const char *empty)
{
    if (!c->finish_due || w->failure.code != API_OK)
        return;
    open_chunk(w, c, out);
    buf_puts(out, empty);
    put_no_logprobs(w, out);
    close_chunk(w, out, writer_finish_name(c->finish));
    c->finish_due = false;
}

static void end_stream(struct writing *w, struct buf *out)
{
    if (w->failure.code != API_OK) {
        buf_puts(out, "data: ");
        api_error_write(out, &w->failure);
        buf_puts(out, "\n\n");
        return;
    }
    if (w->include_usage) {
        buf_puts(out, "data: ");
        put_head(w, out);
        buf_puts(out, "\"choices\":[],");
        put_usage(w, out);
        buf_puts(out, "}\n\n");
    }
    buf_puts(out, "data: [DONE]\n\n");
}

static void write_message(const struct choice *c, struct buf *out)
{
    buf_puts(out, "\"message\":{\"role\":\"assistant\",\"content\":");
    json_put_string(out, buf_str(&c->content), c->content.len);
    if (c->reasoning.len) {
        buf_puts(out, ",\"reasoning_content\":");
        json_put_string(out, buf_str(&c->reasoning), c->reasoning.len);
        buf_puts(out, ",\"reasoning\":");
        json_put_string(out, buf_str(&c->reasoning), c->reasoning.len);
    }
    buf_puts(out, ",\"refusal\":null}");
}

static void write_body(struct writing *w, struct buf *out)
{
    if (w->failure.code != API_OK) {
        api_error_write(out, &w->failure);
        return;
    }
    put_head(w, out);
    put_prompt(w, out);
    buf_puts(out, "\"choices\":[");
    for (unsigned i = 0; i < w->n; i++) {
        struct choice *c = &w->choices[i];
        buf_printf(out, "%s{\"index\":%u,", i ? "," : "", i);
        if (w->writer == &WRITER_CHAT) {
            write_message(c, out);
        } else {
            buf_puts(out, "\"text\":");
            json_put_string(out, buf_str(&c->content), c->content.len);
        }
        put_logprobs(w, c, out);
        buf_printf(out, ",\"finish_reason\":\"%s\"}", writer_finish_name(c->finish));
    }
    buf_puts(out, "],");
    put_usage(w, out);
    buf_putc(out, '}');
}

/* ---- chat ------------------------------------------------------------------------------------- */

static void add_chat_token(struct writing *w, struct choice *c, const struct engine_event *ev,
                           size_t offset, bool reasoning)
{
    (void)offset;
    if (!reasoning)
        writer_add_logprob(w, c, ev);
}

static void put_chat_logprobs(const struct writing *w, struct choice *c, struct buf *out)
{
    if (!w->logprobs) {
        buf_puts(out, "null");
        return;
    }
    buf_puts(out, "{\"content\":[");
    buf_append(out, buf_str(&c->logprobs), c->logprobs.len);
    buf_puts(out, "],\"refusal\":null}");
    buf_clear(&c->logprobs);
}

static void write_chat_events(struct writing *w, struct choice *c, struct buf *out)
{
    struct buf *r = &c->reasoning;
    if (c->role_due) {
        open_chunk(w, c, out);
        buf_puts(out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}");
        put_no_logprobs(w, out);
        close_chunk(w, out, NULL);
        c->role_due = false;
    }
    if (r->len) {
        /* Two names for the same text: older clients read one, newer ones the other. */
        open_chunk(w, c, out);
        buf_puts(out, "\"delta\":{\"reasoning_content\":");
        json_put_string(out, buf_str(r), r->len);
        buf_puts(out, ",\"reasoning\":");
        json_put_string(out, buf_str(r), r->len);
        buf_putc(out, '}');
        put_no_logprobs(w, out);
        close_chunk(w, out, NULL);
        buf_clear(r);
    }
    if (c->content.len || c->logprobs.len)
        put_content_chunk(w, c, out, "\"delta\":{\"content\":", "}");
    put_finish_chunk(w, c, out, "\"delta\":{}");
}

const struct writer WRITER_CHAT = {.id_prefix = "chatcmpl-",
                                   .token = add_chat_token,
                                   .events = write_chat_events,
                                   .end = end_stream,
                                   .body = write_body};

/* ---- the older completions -------------------------------------------------------------------- */

static void put_token_text(const struct writing *w, struct buf *out, int32_t id)
{
    size_t len = 0;
    const char *bytes = engine_token_bytes(w->model->engine, id, &len);
    json_put_string(out, bytes ? bytes : "", len);
}

static void add_text_token(struct writing *w, struct choice *c, const struct engine_event *ev,
                           size_t offset, bool reasoning)
{
    const char *comma = c->texts.len ? "," : "";
    (void)reasoning;
    buf_puts(&c->texts, comma);
    put_token_text(w, &c->texts, ev->token);
    buf_puts(&c->token_logprobs, comma);
    json_put_logprob(&c->token_logprobs, (double)ev->logprob);
    buf_printf(&c->offsets, "%s%zu", comma, offset);
    buf_printf(&c->tops, "%s{", comma);
    for (uint32_t i = 0; i < ev->n_top; i++) {
        if (i)
            buf_putc(&c->tops, ',');
        put_token_text(w, &c->tops, ev->top[i].token);
        buf_putc(&c->tops, ':');
        json_put_logprob(&c->tops, (double)ev->top[i].logprob);
    }
    buf_putc(&c->tops, '}');
}

static void put_text_logprobs(struct choice *c, struct buf *out)
{
    if (!c->texts.len) {
        buf_puts(out, "null");
        return;
    }
    buf_printf(out, "{\"tokens\":[%s]", buf_str(&c->texts));
    buf_printf(out, ",\"token_logprobs\":[%s]", buf_str(&c->token_logprobs));
    buf_printf(out, ",\"top_logprobs\":[%s]", buf_str(&c->tops));
    buf_printf(out, ",\"text_offset\":[%s]}", buf_str(&c->offsets));
    buf_clear(&c->texts);
    buf_clear(&c->token_logprobs);
    buf_clear(&c->tops);
    buf_clear(&c->offsets);
}

static void write_text_events(struct writing *w, struct choice *c, struct buf *out)
{
    if (c->content.len || c->texts.len)
        put_content_chunk(w, c, out, "\"text\":", "");
    put_finish_chunk(w, c, out, "\"text\":\"\"");
}

const struct writer WRITER_TEXT = {.id_prefix = "cmpl-",
                                   .token = add_text_token,
                                   .events = write_text_events,
                                   .end = end_stream,
                                   .body = write_body};

/* ---- log-probabilities of either -------------------------------------------------------------- */

static void put_logprobs(const struct writing *w, struct choice *c, struct buf *out)
{
    buf_puts(out, ",\"logprobs\":");
    if (w->writer == &WRITER_TEXT)
        put_text_logprobs(c, out);
    else
        put_chat_logprobs(w, c, out);
}
