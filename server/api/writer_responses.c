/* Owns: answers in the form of POST /v1/responses: the object, and the named events of its stream.
 * Refuses to know: where text comes from, what the request was beyond what the answer repeats.
 *
 * The output is a reasoning item when the model thought, then a message item. States of a stream, and
 * what is true in them:
 *   FRESH      nothing is written
 *   BEGUN      created and in_progress are written; no item is open
 *   REASONING  the reasoning item is open, its text written up to choice.reasoning_at
 *   MESSAGE    the message item is open, its text written up to choice.content_at
 *   CLOSED     all items are done; only the last event is missing
 * Transitions: begin, open_item, close_item. Texts stay in the choice until the end, because the events
 * that close an item repeat them. */
#include <config.h>

#include "api/responses.h"

#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/writer.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

enum phase { FRESH, BEGUN, REASONING, MESSAGE, CLOSED };

struct state {
    char *repeated; /* owned: members of the object that stand in the request, as JSON text */
    enum phase phase;
    unsigned sequence; /* number of the next event */
    unsigned item;     /* index of the open item, or of the next one */
};

/* ---- what the answer repeats ------------------------------------------------------------------ */

static json_t *json_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *copy_or_empty(const json_t *v)
{
    return v ? json_incref((json_t *)(uintptr_t)v) : json_object();
}

static json_t *repeated(const struct params *p, const json_t *request)
{
    const char *choice = json_string_value(json_object_get(request, "tool_choice"));
    json_t *v = json_pack(
        "{s:o, s:o, s:f, s:f, s:f, s:f, s:I, s:o, s:[], s:s, s:b, s:{s:{s:s}}, s:{s:o, s:n}, s:s, "
        "s:b, s:b, s:n, s:s}",
        "instructions", json_or_null(p->instructions), "metadata", copy_or_empty(p->metadata),
        "temperature", p->temperature, "top_p", p->top_p, "presence_penalty", p->presence_penalty,
        "frequency_penalty", p->frequency_penalty, "top_logprobs", (json_int_t)p->top_logprobs,
        "max_output_tokens", p->max_tokens ? json_integer((json_int_t)p->max_tokens) : json_null(),
        "tools", "tool_choice", choice ? choice : "auto", "parallel_tool_calls",
        !json_is_false(json_object_get(request, "parallel_tool_calls")), "text", "format", "type",
        "text", "reasoning", "effort", json_or_null(p->reasoning_effort), "summary", "truncation",
        "disabled", "store", false, "background", false, "previous_response_id", "service_tier",
        "default");
    return v;
}

void *responses_state_create(const struct params *p, const json_t *request)
{
    json_t *v = repeated(p, request);
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(v);
    if (!text)
        return NULL;
    struct state *s = mem_zalloc(sizeof *s);
    s->repeated = text;
    return s;
}

static void release_state(void *state)
{
    struct state *s = state;
    if (s)
        free(s->repeated);
    free(s);
}

/* ---- the object ------------------------------------------------------------------------------- */

/* The id of an item is made of the answer's. */
static void put_item_id(const struct writing *w, struct buf *out, bool message)
{
    buf_printf(out, "\"%s%s\"", message ? "msg_" : "rs_", w->id + strlen(w->writer->id_prefix));
}

/* An answer that was cut inside its reasoning has no message; one without any text has an empty one. */
static bool has_message(const struct writing *w, const struct choice *c)
{
    bool cut = c->finish == ENGINE_FINISH_LENGTH && c->reasoning.len;
    return c->content.len || (c->done && !cut && w->failure.code == API_OK);
}

static const char *final_status(const struct writing *w, const struct choice *c)
{
    if (w->failure.code != API_OK)
        return "failed";
    return c->finish == ENGINE_FINISH_LENGTH ? "incomplete" : "completed";
}

static const char *item_status(const struct writing *w, const struct choice *c, bool message)
{
    bool whole = !message && has_message(w, c);
    return whole || !strcmp(final_status(w, c), "completed") ? "completed" : "incomplete";
}

/* {"type":…,"text":…}; `whole` = with the text, else as it is when its item opens. */
static void put_part(const struct choice *c, struct buf *out, bool message, bool whole)
{
    const struct buf *text = message ? &c->content : &c->reasoning;
    buf_printf(out, "{\"type\":\"%s\",\"text\":", message ? "output_text" : "reasoning_text");
    json_put_string(out, buf_str(text), whole ? text->len : 0);
    if (message) {
        buf_puts(out, ",\"annotations\":[],\"logprobs\":[");
        buf_append(out, buf_str(&c->logprobs), whole ? c->logprobs.len : 0);
        buf_putc(out, ']');
    }
    buf_putc(out, '}');
}

static void put_item(const struct writing *w, const struct choice *c, struct buf *out, bool message,
                     bool whole)
{
    buf_puts(out, "{\"id\":");
    put_item_id(w, out, message);
    buf_printf(out, ",\"type\":\"%s\",\"status\":\"%s\"", message ? "message" : "reasoning",
               whole ? item_status(w, c, message) : "in_progress");
    buf_puts(out, message ? ",\"role\":\"assistant\",\"content\":[" : ",\"summary\":[],\"content\":[");
    if (whole)
        put_part(c, out, message, true);
    buf_puts(out, "]}");
}

static void put_output(const struct writing *w, const struct choice *c, struct buf *out)
{
    bool message = has_message(w, c);
    if (c->reasoning.len)
        put_item(w, c, out, false, true);
    if (c->reasoning.len && message)
        buf_putc(out, ',');
    if (message)
        put_item(w, c, out, true, true);
}

static void put_usage(const struct choice *c, struct buf *out)
{
    buf_printf(out,
               "{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":0},"
               "\"output_tokens\":%u,\"output_tokens_details\":{\"reasoning_tokens\":%u},"
               "\"total_tokens\":%u}",
               c->usage.prompt_tokens, c->usage.completion_tokens, c->reasoning_tokens,
               c->usage.prompt_tokens + c->usage.completion_tokens);
}

/* The codes that the protocol has for a failed answer. */
static void put_failure(const struct api_error *failure, struct buf *out)
{
    bool limit = api_code_status(failure->code) == 429;
    buf_printf(out, "{\"code\":\"%s\",\"message\":", limit ? "rate_limit_exceeded" : "server_error");
    json_put_string(out, failure->message, strlen(failure->message));
    buf_putc(out, '}');
}

/* `status` NULL = still at work, else the final one. */
static void put_response(const struct writing *w, struct buf *out, const char *status)
{
    const struct choice *c = &w->choices[0];
    const struct state *s = w->state;
    buf_printf(out, "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\"",
               w->id, (long long)w->created, status ? status : "in_progress");
    if (status && !strcmp(status, "completed"))
        buf_printf(out, ",\"completed_at\":%lld", (long long)clock_wall_s());
    else
        buf_puts(out, ",\"completed_at\":null");
    buf_puts(out, ",\"error\":");
    if (w->failure.code == API_OK)
        buf_puts(out, "null");
    else
        put_failure(&w->failure, out);
    buf_puts(out, ",\"incomplete_details\":");
    buf_puts(out, status && !strcmp(status, "incomplete") ? "{\"reason\":\"max_output_tokens\"}"
                                                          : "null");
    buf_puts(out, ",\"model\":");
    json_put_string(out, w->model->id, strlen(w->model->id));
    buf_puts(out, ",\"output\":[");
    if (status)
        put_output(w, c, out);
    buf_puts(out, "],\"usage\":");
    if (status && c->done)
        put_usage(c, out);
    else
        buf_puts(out, "null");
    buf_printf(out, ",\"prompt\":%s,", w->prompt ? w->prompt : "null");
    buf_puts(out, s->repeated + 1); /* the members, and the brace that closes */
}

static void write_body(struct writing *w, struct buf *out)
{
    if (w->failure.code != API_OK)
        api_error_write(out, &w->failure);
    else
        put_response(w, out, final_status(w, &w->choices[0]));
}

/* ---- events ----------------------------------------------------------------------------------- */

static void open_event(struct writing *w, struct buf *out, const char *type)
{
    struct state *s = w->state;
    buf_printf(out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%u,", type, type,
               s->sequence++);
}

static void close_event(struct buf *out)
{
    buf_puts(out, "}\n\n");
}

static void write_response_event(struct writing *w, struct buf *out, const char *type,
                                 const char *status)
{
    open_event(w, out, type);
    buf_puts(out, "\"response\":");
    put_response(w, out, status);
    close_event(out);
}

static void write_item_event(struct writing *w, const struct choice *c, struct buf *out,
                             const char *type, bool whole)
{
    const struct state *s = w->state;
    open_event(w, out, type);
    buf_printf(out, "\"output_index\":%u,\"item\":", s->item);
    put_item(w, c, out, s->phase == MESSAGE, whole);
    close_event(out);
}

/* The place in the open item that an event is about. */
static void open_part_event(struct writing *w, struct buf *out, const char *type)
{
    const struct state *s = w->state;
    open_event(w, out, type);
    buf_puts(out, "\"item_id\":");
    put_item_id(w, out, s->phase == MESSAGE);
    buf_printf(out, ",\"output_index\":%u,\"content_index\":0,", s->item);
}

static void write_part_event(struct writing *w, const struct choice *c, struct buf *out,
                             const char *type, bool whole)
{
    const struct state *s = w->state;
    open_part_event(w, out, type);
    buf_puts(out, "\"part\":");
    put_part(c, out, s->phase == MESSAGE, whole);
    close_event(out);
}

/* The new text of the open item, from the mark on; all of it when it is done. */
static void write_text_event(struct writing *w, const struct choice *c, struct buf *out, bool done)
{
    const struct state *s = w->state;
    bool message = s->phase == MESSAGE;
    const struct buf *text = message ? &c->content : &c->reasoning, *logprobs = &c->logprobs;
    size_t at = done ? 0 : message ? c->content_at : c->reasoning_at;
    size_t logprobs_at = done ? 0 : c->logprobs_at;
    const char *types[2][2] = {
        {"response.reasoning_text.delta", "response.reasoning_text.done"},
        {"response.output_text.delta", "response.output_text.done"}};
    open_part_event(w, out, types[message][done]);
    buf_printf(out, "\"%s\":", done ? "text" : "delta");
    json_put_string(out, buf_str(text) + at, text->len - at);
    if (message) {
        /* At a mark inside the list stands the comma after what is written. */
        logprobs_at += logprobs_at && logprobs_at < logprobs->len;
        buf_puts(out, ",\"logprobs\":[");
        buf_append(out, buf_str(logprobs) + logprobs_at, logprobs->len - logprobs_at);
        buf_putc(out, ']');
    }
    close_event(out);
}

static void begin(struct writing *w, struct buf *out)
{
    struct state *s = w->state;
    ASSERT(s->phase == FRESH);
    write_response_event(w, out, "response.created", NULL);
    write_response_event(w, out, "response.in_progress", NULL);
    s->phase = BEGUN;
}

/* BEGUN -> REASONING or MESSAGE. */
static void open_item(struct writing *w, const struct choice *c, struct buf *out, enum phase phase)
{
    struct state *s = w->state;
    ASSERT(s->phase == BEGUN && (phase == REASONING || phase == MESSAGE));
    s->phase = phase;
    write_item_event(w, c, out, "response.output_item.added", false);
    write_part_event(w, c, out, "response.content_part.added", false);
}

/* REASONING or MESSAGE -> `next`. */
static void close_item(struct writing *w, const struct choice *c, struct buf *out, enum phase next)
{
    struct state *s = w->state;
    ASSERT(s->phase == REASONING || s->phase == MESSAGE);
    write_text_event(w, c, out, true);
    write_part_event(w, c, out, "response.content_part.done", true);
    write_item_event(w, c, out, "response.output_item.done", true);
    s->item++;
    s->phase = next;
}

static void write_reasoning(struct writing *w, struct choice *c, struct buf *out)
{
    const struct state *s = w->state;
    if (c->reasoning_at == c->reasoning.len)
        return;
    if (s->phase == BEGUN)
        open_item(w, c, out, REASONING);
    write_text_event(w, c, out, false);
    c->reasoning_at = c->reasoning.len;
}

static void write_content(struct writing *w, struct choice *c, struct buf *out)
{
    const struct state *s = w->state;
    bool due = c->finish_due && has_message(w, c) && s->phase != MESSAGE;
    if (c->content_at == c->content.len && !due)
        return;
    if (s->phase == REASONING)
        close_item(w, c, out, BEGUN);
    if (s->phase == BEGUN)
        open_item(w, c, out, MESSAGE);
    if (c->content_at == c->content.len)
        return;
    write_text_event(w, c, out, false);
    c->content_at = c->content.len;
    c->logprobs_at = c->logprobs.len;
}

static void write_events(struct writing *w, struct choice *c, struct buf *out)
{
    struct state *s = w->state;
    if (s->phase == FRESH)
        begin(w, out);
    write_reasoning(w, c, out);
    write_content(w, c, out);
    if (!c->finish_due || w->failure.code != API_OK)
        return;
    close_item(w, c, out, CLOSED);
    c->finish_due = false;
}

/* The answer's last event; after a failure an error event follows, which clients raise. */
static void end_stream(struct writing *w, struct buf *out)
{
    const char *status = final_status(w, &w->choices[0]);
    char type[32];
    snprintf(type, sizeof type, "response.%s", status);
    write_response_event(w, out, type, status);
    if (w->failure.code == API_OK)
        return;
    open_event(w, out, "error");
    buf_printf(out, "\"code\":\"%s\",\"message\":", api_code_name(w->failure.code));
    json_put_string(out, w->failure.message, strlen(w->failure.message));
    buf_puts(out, ",\"param\":null");
    close_event(out);
}

/* ---- log-probabilities ------------------------------------------------------------------------ */

static void add_token(struct writing *w, struct choice *c, const struct engine_event *ev,
                      size_t offset, bool reasoning)
{
    (void)offset;
    if (!reasoning)
        writer_add_logprob(w, c, ev);
}

const struct writer WRITER_RESPONSES = {.id_prefix = "resp_",
                                        .token = add_token,
                                        .events = write_events,
                                        .end = end_stream,
                                        .body = write_body,
                                        .release = release_state};
