/* Owns: the engine streams of one answer and how their events become chunks or a body.
 * Refuses to know: sockets, threads, prompts.
 *
 * Each choice has its own engine stream and its own streaming state machine. What the machine
 * reports is collected per choice (reasoning, content, log-probabilities) and written out either
 * after each pull as chunks, or once at the end as a body. Nothing is kept twice: a streamed answer
 * holds only what was not yet pulled.
 *
 * With a database the generation has an admission, which ends exactly once: when all choices are done
 * (then the end of the answer waits for the commit), or in generation_destroy. */
#include <config.h>

#include "api/generation.h"

#include <stdlib.h>
#include <string.h>

#include "api/admission.h"
#include "api/json.h"
#include "api/kept.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine.h"
#include "version.h"

enum { PULL_BYTES = 16 << 10, TEXT_MAX = 32 << 20, LOGPROBS_MAX = 128 << 20,
       KEPT_MAX = 8 * KEPT_BYTES, PROGRESS_US = 5000000 };

struct choice {
    struct engine_stream *stream; /* owned */
    struct stream machine;
    struct kept *kept; /* of the generation; borrowed, NULL = no text is kept */
    unsigned index;
    struct buf reasoning, content, logprobs; /* not yet written; logprobs: JSON objects, no [] */
    /* Of the older completions endpoint only: the four parallel arrays. */
    struct buf texts, token_logprobs, tops, offsets;
    size_t text_bytes;
    bool role_due, finish_due, done;
    enum engine_finish finish;
    struct engine_usage usage;
    uint32_t tokens, reasoning_tokens; /* read so far */
};

struct generation {
    const struct api_model *model;
    enum generation_shape shape;
    bool streamed, include_usage, logprobs;
    char id[48];
    int64_t created;
    unsigned n;
    struct choice choices[PARAMS_MAX_CHOICES];
    struct api_error failure; /* first failed choice; API_OK = none */
    bool ended;
    uint32_t prompt_tokens;
    uint64_t start_us, first_token_us;
    struct admission *admission; /* owned; NULL = no database */
    struct kept *kept;           /* owned; NULL = no text is kept */
    bool accounted;              /* the admission has ended */
    uint64_t progress_us;        /* when the ledger heard of it last */
};

/* ---- life ------------------------------------------------------------------------------------- */

static void choice_init(struct choice *c, enum stream_mode mode)
{
    stream_init(&c->machine, mode);
    buf_init(&c->reasoning, TEXT_MAX);
    buf_init(&c->content, TEXT_MAX);
    buf_init(&c->logprobs, LOGPROBS_MAX);
    buf_init(&c->texts, LOGPROBS_MAX);
    buf_init(&c->token_logprobs, LOGPROBS_MAX);
    buf_init(&c->tops, LOGPROBS_MAX);
    buf_init(&c->offsets, LOGPROBS_MAX);
}

static void choice_release(struct choice *c)
{
    if (c->stream)
        engine_stream_release(&c->stream);
    stream_release(&c->machine);
    buf_release(&c->reasoning);
    buf_release(&c->content);
    buf_release(&c->logprobs);
    buf_release(&c->texts);
    buf_release(&c->token_logprobs);
    buf_release(&c->tops);
    buf_release(&c->offsets);
}

/* What the client is not told: the cause, for the administrator. */
static void log_cause(const char *what, const char *id, const struct err *why)
{
    char quoted[2 * sizeof why->msg];
    LOG_E("api", "%s id=%s code=%s cause=%s file=%s line=%d", what, id, err_code_name(why->code),
          log_quote(quoted, sizeof quoted, why->msg), why->file ? why->file : "-", why->line);
}

/* Tokens that all choices together may generate. */
static uint64_t most_tokens(const struct generation_spec *spec)
{
    struct engine_request req;
    uint64_t context = engine_info(spec->model->engine)->max_context;
    uint64_t room = context > spec->n_tokens ? context - spec->n_tokens : 0;
    params_to_request(spec->params, 0, &req);
    uint64_t each = req.max_tokens && req.max_tokens < room ? req.max_tokens : room;
    return each * (uint64_t)spec->params->n;
}

static bool admit(struct generation *g, const struct generation_spec *spec, struct api_error *e)
{
    if (!spec->call || !spec->call->service)
        return true;
    struct admission_ask ask = {.call = spec->call,
                                .use = spec->use,
                                .model = spec->model->id,
                                .class = spec->class,
                                .prompt_tokens = spec->n_tokens,
                                .most_tokens = most_tokens(spec),
                                .notify = spec->notify,
                                .user = spec->user};
    if (!admission_begin(&ask, &g->admission, e))
        return false;
    g->progress_us = g->start_us;
    if (admission_keeps_text(g->admission))
        g->kept = kept_create(spec->params);
    return true;
}

static bool submit(struct generation *g, const struct generation_spec *spec, struct api_error *e)
{
    for (unsigned i = 0; i < (unsigned)spec->params->n; i++) {
        struct choice *c = &g->choices[g->n++];
        struct engine_request req;
        struct err why = ERR_INIT;
        choice_init(c, spec->mode);
        c->kept = g->kept;
        c->index = i;
        params_to_request(spec->params, i, &req);
        req.tokens = spec->tokens;
        req.n_tokens = spec->n_tokens;
        req.weight = g->admission ? admission_weight(g->admission) : 0;
        req.notify = spec->notify;
        req.user = spec->user;
        if (!engine_submit(spec->model->engine, &req, &c->stream, &why)) {
            api_fail_engine(e, &why);
            log_cause("request refused", spec->id, &why);
            return false;
        }
    }
    return true;
}

bool generation_start(const struct generation_spec *spec, struct generation **out,
                      struct api_error *e)
{
    struct generation *g = mem_zalloc(sizeof *g);
    g->model = spec->model;
    g->shape = spec->shape;
    g->streamed = spec->params->stream;
    g->include_usage = spec->params->include_usage;
    g->logprobs = spec->params->logprobs;
    g->prompt_tokens = (uint32_t)spec->n_tokens;
    g->created = clock_wall_s();
    g->start_us = clock_now_us();
    snprintf(g->id, sizeof g->id, "%s-%s", spec->shape == GENERATION_CHAT ? "chatcmpl" : "cmpl",
             spec->id);
    bool admitted = admit(g, spec, e);
    if (!admitted || !submit(g, spec, e)) {
        if (admitted && g->admission)
            admission_refuse(&g->admission, api_code_status(e->code));
        generation_destroy(&g);
        return false;
    }
    *out = g;
    return true;
}

/* Counts what the engine made and nobody will read. It has been told to stop. */
static void drain(struct choice *c)
{
    struct engine_event ev;
    while (!c->done && engine_stream_next(c->stream, &ev)) {
        c->done = ev.kind == ENGINE_EVENT_DONE;
        c->tokens += !c->done;
        c->usage = ev.usage;
    }
}

static void account(struct generation *g, bool cut_off);

void generation_destroy(struct generation **out)
{
    struct generation *g = *out;
    if (!g)
        return;
    if (g->admission && !g->accounted) {
        generation_cancel(g);
        for (unsigned i = 0; i < g->n; i++)
            drain(&g->choices[i]);
        account(g, true);
    }
    admission_leave(&g->admission);
    for (unsigned i = 0; i < g->n; i++)
        choice_release(&g->choices[i]);
    kept_destroy(&g->kept);
    free(g);
    *out = NULL;
}

bool generation_is_stream(const struct generation *g)
{
    return g->streamed;
}

void generation_cancel(struct generation *g)
{
    for (unsigned i = 0; i < g->n; i++)
        engine_stream_cancel(g->choices[i].stream);
}

/* ---- events of one choice --------------------------------------------------------------------- */

static void on_event(void *user, enum stream_event event, const char *text, size_t len)
{
    struct choice *c = user;
    switch (event) {
    case STREAM_ROLE:
        c->role_due = true;
        break;
    case STREAM_REASONING:
        buf_append(&c->reasoning, text, len);
        if (c->kept)
            kept_add(c->kept, c->index, true, text, len);
        break;
    case STREAM_CONTENT:
        buf_append(&c->content, text, len);
        if (c->kept)
            kept_add(c->kept, c->index, false, text, len);
        c->text_bytes += len;
        break;
    case STREAM_FINISH:
        c->finish_due = true;
        break;
    }
}

static void put_token_text(const struct generation *g, struct buf *out, int32_t id)
{
    size_t len = 0;
    const char *bytes = engine_token_bytes(g->model->engine, id, &len);
    json_put_string(out, bytes ? bytes : "", len);
}

/* {"token":…,"logprob":…,"bytes":[…]  without the closing brace. */
static void put_chat_logprob(const struct generation *g, struct buf *out, int32_t id, float logprob)
{
    size_t len = 0;
    const char *bytes = engine_token_bytes(g->model->engine, id, &len);
    buf_puts(out, "{\"token\":");
    json_put_string(out, bytes ? bytes : "", len);
    buf_puts(out, ",\"logprob\":");
    json_put_logprob(out, (double)logprob);
    buf_puts(out, ",\"bytes\":[");
    for (size_t i = 0; bytes && i < len; i++)
        buf_printf(out, "%s%u", i ? "," : "", (unsigned)(unsigned char)bytes[i]);
    buf_puts(out, "]");
}

static void add_chat_logprobs(const struct generation *g, struct choice *c,
                              const struct engine_event *ev)
{
    struct buf *out = &c->logprobs;
    if (out->len)
        buf_putc(out, ',');
    put_chat_logprob(g, out, ev->token, ev->logprob);
    buf_puts(out, ",\"top_logprobs\":[");
    for (uint32_t i = 0; i < ev->n_top; i++) {
        if (i)
            buf_putc(out, ',');
        put_chat_logprob(g, out, ev->top[i].token, ev->top[i].logprob);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}

static void add_text_logprobs(const struct generation *g, struct choice *c,
                              const struct engine_event *ev)
{
    const char *comma = c->texts.len ? "," : "";
    buf_puts(&c->texts, comma);
    put_token_text(g, &c->texts, ev->token);
    buf_puts(&c->token_logprobs, comma);
    json_put_logprob(&c->token_logprobs, (double)ev->logprob);
    buf_printf(&c->offsets, "%s%zu", comma, c->text_bytes);
    buf_printf(&c->tops, "%s{", comma);
    for (uint32_t i = 0; i < ev->n_top; i++) {
        if (i)
            buf_putc(&c->tops, ',');
        put_token_text(g, &c->tops, ev->top[i].token);
        buf_putc(&c->tops, ':');
        json_put_logprob(&c->tops, (double)ev->top[i].logprob);
    }
    buf_putc(&c->tops, '}');
}

static void on_token(struct generation *g, struct choice *c, const struct engine_event *ev,
                     const struct stream_sink *sink)
{
    if (!g->first_token_us)
        g->first_token_us = clock_now_us() - g->start_us;
    bool before = stream_in_reasoning(&c->machine);
    if (g->logprobs && g->shape == GENERATION_TEXT)
        add_text_logprobs(g, c, ev);
    stream_feed(&c->machine, ev->text, ev->text_len, sink);
    bool reasoning = before || stream_in_reasoning(&c->machine);
    c->tokens++;
    c->reasoning_tokens += reasoning;
    if (g->logprobs && g->shape == GENERATION_CHAT && !reasoning)
        add_chat_logprobs(g, c, ev);
}

static void fail_choice(struct generation *g, const struct engine_event *ev)
{
    if (g->failure.code != API_OK)
        return;
    switch (ev->finish) {
    case ENGINE_FINISH_CANCELLED:
        api_fail(&g->failure, API_STOPPING, NULL, "The request was ended by the server.");
        break;
    case ENGINE_FINISH_STALLED:
        api_fail(&g->failure, API_OVERLOADED, NULL,
                 "The answer was not read for too long and has been ended.");
        break;
    default:
        api_fail_engine(&g->failure, &ev->err);
        log_cause("generation failed", g->id, &ev->err);
        break;
    }
}

static void on_done(struct generation *g, struct choice *c, const struct engine_event *ev,
                    const struct stream_sink *sink)
{
    if (ev->text_len)
        stream_feed(&c->machine, ev->text, ev->text_len, sink);
    stream_finish(&c->machine, sink);
    c->done = true;
    c->finish = ev->finish;
    c->usage = ev->usage;
    if (ev->finish != ENGINE_FINISH_STOP && ev->finish != ENGINE_FINISH_LENGTH)
        fail_choice(g, ev);
}

static size_t unwritten_bytes(const struct choice *c)
{
    return c->reasoning.len + c->content.len + c->logprobs.len + c->texts.len;
}

/* Takes events until there are none, or (streams) until a pull's worth waits to be written. */
static bool read_events(struct generation *g, struct choice *c)
{
    struct stream_sink sink = {.event = on_event, .user = c};
    bool any = false;
    struct engine_event ev;
    while (!c->done && !(g->streamed && unwritten_bytes(c) >= PULL_BYTES) &&
           engine_stream_next(c->stream, &ev)) {
        any = true;
        if (ev.kind == ENGINE_EVENT_TOKEN)
            on_token(g, c, &ev, &sink);
        else
            on_done(g, c, &ev, &sink);
    }
    if (c->reasoning.failed || c->content.failed || c->logprobs.failed || c->tops.failed)
        api_fail(&g->failure, API_OVERLOADED, NULL,
                 "The answer became larger than the server holds; ask for a stream.");
    return any;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static const char *finish_name(enum engine_finish finish)
{
    static const char *const names[ENGINE_FINISH_COUNT] = {
        [ENGINE_FINISH_STOP] = "stop",           [ENGINE_FINISH_LENGTH] = "length",
        [ENGINE_FINISH_CANCELLED] = "cancelled", [ENGINE_FINISH_STALLED] = "stalled",
        [ENGINE_FINISH_ERROR] = "error",
    };
    return (unsigned)finish < ENGINE_FINISH_COUNT ? names[finish] : "error";
}

static void put_usage(const struct generation *g, struct buf *out)
{
    uint32_t prompt = g->choices[0].usage.prompt_tokens, completion = 0, reasoning = 0;
    for (unsigned i = 0; i < g->n; i++) {
        completion += g->choices[i].usage.completion_tokens;
        reasoning += g->choices[i].reasoning_tokens;
    }
    buf_printf(out,
               "\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
               "\"prompt_tokens_details\":{\"cached_tokens\":0},"
               "\"completion_tokens_details\":{\"reasoning_tokens\":%u}}",
               prompt, completion, prompt + completion, reasoning);
}

/* {"id":…,"object":…,"created":…,"model":…,"system_fingerprint":…,  */
static void put_head(const struct generation *g, struct buf *out)
{
    const char *object = g->shape == GENERATION_TEXT ? "text_completion"
                         : g->streamed               ? "chat.completion.chunk"
                                                     : "chat.completion";
    buf_printf(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", g->id, object,
               (long long)g->created);
    json_put_string(out, g->model->id, strlen(g->model->id));
    buf_puts(out, ",\"system_fingerprint\":\"seekd-" SEEKD_VERSION "\",");
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

static void put_logprobs(const struct generation *g, struct choice *c, struct buf *out)
{
    buf_puts(out, ",\"logprobs\":");
    if (g->shape == GENERATION_TEXT) {
        put_text_logprobs(c, out);
    } else if (g->logprobs && c->logprobs.len) {
        buf_puts(out, "{\"content\":[");
        buf_append(out, buf_str(&c->logprobs), c->logprobs.len);
        buf_puts(out, "],\"refusal\":null}");
        buf_clear(&c->logprobs);
    } else {
        buf_puts(out, "null");
    }
}

/* Ends one chunk: finish_reason, usage:null where the client asked for usage, frame. */
static void put_chunk_tail(const struct generation *g, struct buf *out, const char *finish)
{
    if (finish)
        buf_printf(out, ",\"finish_reason\":\"%s\"}]", finish);
    else
        buf_puts(out, ",\"finish_reason\":null}]");
    buf_puts(out, g->include_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

static void put_delta(const struct generation *g, struct choice *c, struct buf *out,
                      const char *delta_open, const struct buf *text, const char *delta_close,
                      const char *finish, bool logprobs)
{
    buf_puts(out, "data: ");
    put_head(g, out);
    buf_printf(out, "\"choices\":[{\"index\":%u,%s", (unsigned)(c - g->choices), delta_open);
    if (text)
        json_put_string(out, buf_str(text), text->len);
    buf_puts(out, delta_close);
    if (logprobs)
        put_logprobs(g, c, out);
    else
        buf_puts(out, ",\"logprobs\":null");
    put_chunk_tail(g, out, finish);
}

static void write_chat_chunks(const struct generation *g, struct choice *c, struct buf *out)
{
    if (c->role_due)
        put_delta(g, c, out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"", NULL, "}", NULL,
                  false);
    if (c->reasoning.len) {
        /* Two names for the same text: older clients read one, newer ones the other. */
        struct buf *r = &c->reasoning;
        buf_puts(out, "data: ");
        put_head(g, out);
        buf_printf(out, "\"choices\":[{\"index\":%u,\"delta\":{\"reasoning_content\":",
                   (unsigned)(c - g->choices));
        json_put_string(out, buf_str(r), r->len);
        buf_puts(out, ",\"reasoning\":");
        json_put_string(out, buf_str(r), r->len);
        buf_puts(out, "},\"logprobs\":null");
        put_chunk_tail(g, out, NULL);
    }
    if (c->content.len || c->logprobs.len)
        put_delta(g, c, out, "\"delta\":{\"content\":", &c->content, "}", NULL, true);
}

static void write_text_chunks(const struct generation *g, struct choice *c, struct buf *out)
{
    if (c->content.len || c->texts.len)
        put_delta(g, c, out, "\"text\":", &c->content, "", NULL, true);
}

/* Writes what a choice has collected. Its last chunk carries the finish reason alone. */
static void write_chunks(struct generation *g, struct choice *c, struct buf *out)
{
    if (g->shape == GENERATION_CHAT)
        write_chat_chunks(g, c, out);
    else
        write_text_chunks(g, c, out);
    c->role_due = false;
    buf_clear(&c->reasoning);
    buf_clear(&c->content);
    if (c->finish_due && g->failure.code == API_OK) {
        const char *empty = g->shape == GENERATION_CHAT ? "\"delta\":{}" : "\"text\":\"\"";
        put_delta(g, c, out, empty, NULL, "", finish_name(c->finish), false);
        c->finish_due = false;
    }
}

static void write_stream_end(struct generation *g, struct buf *out)
{
    g->ended = true;
    if (g->failure.code != API_OK) {
        buf_puts(out, "data: ");
        api_error_write(out, &g->failure);
        buf_puts(out, "\n\n");
        return;
    }
    if (g->include_usage) {
        buf_puts(out, "data: ");
        put_head(g, out);
        buf_puts(out, "\"choices\":[],");
        put_usage(g, out);
        buf_puts(out, "}\n\n");
    }
    buf_puts(out, "data: [DONE]\n\n");
}

static void write_message(struct choice *c, struct buf *out)
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

static void write_body(struct generation *g, struct buf *out)
{
    g->ended = true;
    if (g->failure.code != API_OK) {
        api_error_write(out, &g->failure);
        return;
    }
    put_head(g, out);
    buf_puts(out, "\"choices\":[");
    for (unsigned i = 0; i < g->n; i++) {
        struct choice *c = &g->choices[i];
        buf_printf(out, "%s{\"index\":%u,", i ? "," : "", i);
        if (g->shape == GENERATION_CHAT) {
            write_message(c, out);
        } else {
            buf_puts(out, "\"text\":");
            json_put_string(out, buf_str(&c->content), c->content.len);
        }
        put_logprobs(g, c, out);
        buf_printf(out, ",\"finish_reason\":\"%s\"}", finish_name(c->finish));
    }
    buf_puts(out, "],");
    put_usage(g, out);
    buf_putc(out, '}');
}

/* ---- the account ------------------------------------------------------------------------------ */

static void count_tokens(const struct generation *g, struct ledger_counts *out)
{
    *out = (struct ledger_counts){.prompt_tokens = g->prompt_tokens};
    for (unsigned i = 0; i < g->n; i++) {
        const struct choice *c = &g->choices[i];
        out->completion_tokens += c->done ? c->usage.completion_tokens : c->tokens;
        out->reasoning_tokens += c->reasoning_tokens;
    }
}

static const char *row_finish(const struct generation *g)
{
    const char *name = g->failure.code == API_OK ? "stop" : "error";
    for (unsigned i = 0; i < g->n; i++) {
        const struct choice *c = &g->choices[i];
        if (c->done && c->finish != ENGINE_FINISH_STOP && c->finish != ENGINE_FINISH_LENGTH)
            return finish_name(c->finish);
        if (g->failure.code == API_OK && c->finish == ENGINE_FINISH_LENGTH)
            name = finish_name(c->finish);
    }
    return name;
}

/* Ends the admission. `cut_off`: nobody reads the answer to its end. */
static void account(struct generation *g, bool cut_off)
{
    unsigned status = g->streamed ? 200 : cut_off ? 0 : api_code_status(g->failure.code);
    const struct choice *first = &g->choices[0];
    struct ledger_end end = {
        .failed = cut_off || g->failure.code != API_OK,
        .queue_us = first->done ? (int64_t)first->usage.queue_us : -1,
        .ttft_us = g->first_token_us ? (int64_t)g->first_token_us : -1,
        .http_status = (int)status,
        .finish_reason = cut_off ? "cancelled" : row_finish(g),
    };
    struct buf text;
    buf_init(&text, KEPT_MAX);
    count_tokens(g, &end.counts);
    if (g->kept)
        kept_write(g->kept, &text);
    if (text.len && !text.failed) {
        end.text = text.data;
        end.text_bytes = text.len;
    }
    g->accounted = true;
    admission_end(g->admission, &end);
    buf_release(&text);
}

static void tell_progress(struct generation *g)
{
    struct ledger_counts counts;
    uint64_t now = clock_now_us();
    if (!g->admission || g->accounted || now - g->progress_us < PROGRESS_US)
        return;
    g->progress_us = now;
    count_tokens(g, &counts);
    admission_progress(g->admission, &counts);
}

/* Whether the answer may end: the row's end is committed, or has failed to be. */
static bool end_is_due(struct generation *g)
{
    if (!g->admission)
        return true;
    if (!g->accounted)
        account(g, false);
    enum admission_state state = admission_state(g->admission);
    if (state == ADMISSION_LOST && g->failure.code == API_OK)
        api_fail(&g->failure, API_STORAGE, NULL,
                 "The usage of this request could not be stored, so its answer does not count as "
                 "complete; the administrator finds details in the log.");
    return state != ADMISSION_ENDING;
}

/* ---- pulling ---------------------------------------------------------------------------------- */

/* GENERATION_END: all choices are done, or the answer failed; its end is not written yet. */
static enum generation_state pull_choices(struct generation *g, struct buf *out)
{
    size_t before = out->len;
    bool any = false, all_done = true;
    for (unsigned i = 0; i < g->n; i++) {
        struct choice *c = &g->choices[i];
        any |= read_events(g, c);
        all_done &= c->done;
        if (g->streamed)
            write_chunks(g, c, out);
        if (g->streamed && out->len - before >= PULL_BYTES && !all_done)
            return GENERATION_MORE;
    }
    bool failed = g->failure.code != API_OK;
    if (failed)
        generation_cancel(g);
    if (!all_done && !(failed && g->streamed))
        return any ? GENERATION_MORE : GENERATION_WAIT;
    return GENERATION_END;
}

enum generation_state generation_pull(struct generation *g, struct buf *out)
{
    size_t before = out->len;
    if (g->ended)
        return GENERATION_END;
    if (!g->accounted) {
        enum generation_state state = pull_choices(g, out);
        tell_progress(g);
        if (state != GENERATION_END)
            return state;
    }
    if (!end_is_due(g))
        return out->len > before ? GENERATION_MORE : GENERATION_WAIT;
    if (g->streamed)
        write_stream_end(g, out);
    else
        write_body(g, out);
    return GENERATION_END;
}

unsigned generation_status(const struct generation *g, unsigned *retry_after_s)
{
    *retry_after_s = g->failure.retry_after_s;
    return api_code_status(g->failure.code);
}

void generation_summarise(const struct generation *g, struct generation_summary *out)
{
    *out = (struct generation_summary){.finish = "stop",
                                       .prompt_tokens = g->prompt_tokens,
                                       .first_token_us = g->first_token_us};
    for (unsigned i = 0; i < g->n; i++) {
        const struct choice *c = &g->choices[i];
        out->completion_tokens += c->done ? c->usage.completion_tokens : c->tokens;
        if (!c->done)
            out->finish = "abandoned";
        else if (c->finish != ENGINE_FINISH_STOP)
            out->finish = finish_name(c->finish);
    }
}
