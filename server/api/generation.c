/* Owns: the engine streams of one answer, and when what they gave is written.
 * Refuses to know: sockets, threads, prompts, in what form an answer is told (writer.h).
 *
 * Each choice has its own engine stream and its own streaming state machine. What the machine
 * reports is collected per choice (reasoning, content, log-probabilities); the writer tells it
 * either after each pull as events, or once at the end as a body.
 *
 * With a database the generation has an admission, which ends exactly once: when all choices are done
 * (then the end of the answer waits for the commit), or in generation_destroy. */
#include <config.h>

#include "api/generation.h"

#include <stdlib.h>

#include "api/admission.h"
#include "api/kept.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine.h"

enum { PULL_BYTES = 16 << 10, TEXT_MAX = 32 << 20, LOGPROBS_MAX = 128 << 20,
       KEPT_MAX = 8 * KEPT_BYTES, PROGRESS_US = 5000000 };

/* Where the text of one choice comes from. */
struct source {
    struct engine_stream *stream; /* owned */
    struct stream machine;
    struct choice *choice; /* of the same generation */
    struct kept *kept;     /* of the generation; borrowed, NULL = no text is kept */
};

struct generation {
    struct writing w;
    struct source sources[PARAMS_MAX_CHOICES]; /* w.n of them */
    bool ended;
    uint32_t prompt_tokens;
    uint64_t start_us, first_token_us;
    struct admission *admission; /* owned; NULL = no database */
    struct kept *kept;           /* owned; NULL = no text is kept */
    bool accounted;              /* the admission has ended */
    uint64_t progress_us;        /* when the ledger heard of it last */
};

/* ---- life ------------------------------------------------------------------------------------- */

static void choice_init(struct choice *c, unsigned index)
{
    c->index = index;
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
    buf_release(&c->reasoning);
    buf_release(&c->content);
    buf_release(&c->logprobs);
    buf_release(&c->texts);
    buf_release(&c->token_logprobs);
    buf_release(&c->tops);
    buf_release(&c->offsets);
}

static bool choice_failed(const struct choice *c)
{
    return c->reasoning.failed || c->content.failed || c->logprobs.failed || c->texts.failed ||
           c->token_logprobs.failed || c->tops.failed || c->offsets.failed;
}

static void source_release(struct source *s)
{
    if (s->stream)
        engine_stream_release(&s->stream);
    stream_release(&s->machine);
}

/* What the answer says about the prompt of the registry in it. Owned; NULL = there is none. */
static char *prompt_text(const struct use *use)
{
    json_t *prompt = use ? use_json(use) : NULL;
    char *text = prompt ? json_dumps(prompt, JSON_COMPACT) : NULL;
    json_decref(prompt);
    return text;
}

static void writing_init(struct writing *w, const struct generation_spec *spec)
{
    w->writer = spec->writer;
    w->state = spec->state_take;
    w->model = spec->model;
    w->streamed = spec->params->stream;
    w->include_usage = spec->params->include_usage;
    w->logprobs = spec->params->logprobs;
    w->prompt = prompt_text(spec->use);
    w->created = clock_wall_s();
    snprintf(w->id, sizeof w->id, "%s%s", spec->writer->id_prefix, spec->id);
}

static void writing_release(struct writing *w)
{
    for (unsigned i = 0; i < w->n; i++)
        choice_release(&w->choices[i]);
    free(w->prompt);
    if (w->writer->release)
        w->writer->release(w->state);
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
        struct source *s = &g->sources[g->w.n++];
        struct engine_request req;
        struct err why = ERR_INIT;
        s->choice = &g->w.choices[i];
        s->kept = g->kept;
        choice_init(s->choice, i);
        stream_init(&s->machine, spec->mode);
        params_to_request(spec->params, i, &req);
        req.tokens = spec->tokens;
        req.n_tokens = spec->n_tokens;
        req.weight = g->admission ? admission_weight(g->admission) : 0;
        req.notify = spec->notify;
        req.user = spec->user;
        if (!engine_submit(spec->model->engine, &req, &s->stream, &why)) {
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
    writing_init(&g->w, spec);
    g->prompt_tokens = (uint32_t)spec->n_tokens;
    g->start_us = clock_now_us();
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
static void drain(struct source *s)
{
    struct choice *c = s->choice;
    struct engine_event ev;
    while (!c->done && engine_stream_next(s->stream, &ev)) {
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
        for (unsigned i = 0; i < g->w.n; i++)
            drain(&g->sources[i]);
        account(g, true);
    }
    admission_leave(&g->admission);
    for (unsigned i = 0; i < g->w.n; i++)
        source_release(&g->sources[i]);
    writing_release(&g->w);
    kept_destroy(&g->kept);
    free(g);
    *out = NULL;
}

bool generation_is_stream(const struct generation *g)
{
    return g->w.streamed;
}

void generation_cancel(struct generation *g)
{
    for (unsigned i = 0; i < g->w.n; i++)
        engine_stream_cancel(g->sources[i].stream);
}

/* ---- events of one choice --------------------------------------------------------------------- */

static void on_event(void *user, enum stream_event event, const char *text, size_t len)
{
    struct source *s = user;
    struct choice *c = s->choice;
    switch (event) {
    case STREAM_ROLE:
        c->role_due = true;
        break;
    case STREAM_REASONING:
        buf_append(&c->reasoning, text, len);
        if (s->kept)
            kept_add(s->kept, c->index, true, text, len);
        break;
    case STREAM_CONTENT:
        buf_append(&c->content, text, len);
        if (s->kept)
            kept_add(s->kept, c->index, false, text, len);
        c->text_bytes += len;
        break;
    case STREAM_FINISH:
        c->finish_due = true;
        break;
    }
}

static void on_token(struct generation *g, struct source *s, const struct engine_event *ev,
                     const struct stream_sink *sink)
{
    struct choice *c = s->choice;
    size_t offset = c->text_bytes;
    if (!g->first_token_us)
        g->first_token_us = clock_now_us() - g->start_us;
    bool before = stream_in_reasoning(&s->machine);
    stream_feed(&s->machine, ev->text, ev->text_len, sink);
    bool reasoning = before || stream_in_reasoning(&s->machine);
    c->tokens++;
    c->reasoning_tokens += reasoning;
    if (g->w.logprobs)
        g->w.writer->token(&g->w, c, ev, offset, reasoning);
}

static void fail_choice(struct generation *g, const struct engine_event *ev)
{
    if (g->w.failure.code != API_OK)
        return;
    switch (ev->finish) {
    case ENGINE_FINISH_CANCELLED:
        api_fail(&g->w.failure, API_STOPPING, NULL, "The request was ended by the server.");
        break;
    case ENGINE_FINISH_STALLED:
        api_fail(&g->w.failure, API_OVERLOADED, NULL,
                 "The answer was not read for too long and has been ended.");
        break;
    default:
        api_fail_engine(&g->w.failure, &ev->err);
        log_cause("generation failed", g->w.id, &ev->err);
        break;
    }
}

static void on_done(struct generation *g, struct source *s, const struct engine_event *ev,
                    const struct stream_sink *sink)
{
    struct choice *c = s->choice;
    if (ev->text_len)
        stream_feed(&s->machine, ev->text, ev->text_len, sink);
    stream_finish(&s->machine, sink);
    c->done = true;
    c->finish = ev->finish;
    c->usage = ev->usage;
    if (ev->finish != ENGINE_FINISH_STOP && ev->finish != ENGINE_FINISH_LENGTH)
        fail_choice(g, ev);
}

static size_t unwritten_bytes(const struct choice *c)
{
    return c->reasoning.len - c->reasoning_at + c->content.len - c->content_at + c->logprobs.len -
           c->logprobs_at + c->texts.len;
}

/* Takes events until there are none, or (streams) until a pull's worth waits to be written. */
static bool read_events(struct generation *g, struct source *s)
{
    struct stream_sink sink = {.event = on_event, .user = s};
    struct choice *c = s->choice;
    bool any = false;
    struct engine_event ev;
    while (!c->done && !(g->w.streamed && unwritten_bytes(c) >= PULL_BYTES) &&
           engine_stream_next(s->stream, &ev)) {
        any = true;
        if (ev.kind == ENGINE_EVENT_TOKEN)
            on_token(g, s, &ev, &sink);
        else
            on_done(g, s, &ev, &sink);
    }
    if (choice_failed(c))
        api_fail(&g->w.failure, API_OVERLOADED, NULL,
                 "The answer became larger than the server holds; ask for a stream.");
    return any;
}

/* ---- the account ------------------------------------------------------------------------------ */

/* The prompt counts once the engine has begun with it: who leaves the queue owes nothing. */
static void count_tokens(const struct generation *g, struct ledger_counts *out)
{
    *out = (struct ledger_counts){.prompt_tokens = 0};
    for (unsigned i = 0; i < g->w.n; i++) {
        const struct choice *c = &g->w.choices[i];
        if (engine_stream_begun(g->sources[i].stream))
            out->prompt_tokens = g->prompt_tokens;
        out->completion_tokens += c->done ? c->usage.completion_tokens : c->tokens;
        out->reasoning_tokens += c->reasoning_tokens;
    }
}

static const char *row_finish(const struct generation *g)
{
    const char *name = g->w.failure.code == API_OK ? "stop" : "error";
    for (unsigned i = 0; i < g->w.n; i++) {
        const struct choice *c = &g->w.choices[i];
        if (c->done && c->finish != ENGINE_FINISH_STOP && c->finish != ENGINE_FINISH_LENGTH)
            return writer_finish_name(c->finish);
        if (g->w.failure.code == API_OK && c->finish == ENGINE_FINISH_LENGTH)
            name = writer_finish_name(c->finish);
    }
    return name;
}

/* Ends the admission. `cut_off`: nobody reads the answer to its end. */
static void account(struct generation *g, bool cut_off)
{
    unsigned status = g->w.streamed ? 200 : cut_off ? 0 : api_code_status(g->w.failure.code);
    const struct choice *first = &g->w.choices[0];
    struct ledger_end end = {
        .failed = cut_off || g->w.failure.code != API_OK,
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
    if (state == ADMISSION_LOST && g->w.failure.code == API_OK)
        api_fail(&g->w.failure, API_STORAGE, NULL,
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
    for (unsigned i = 0; i < g->w.n; i++) {
        struct choice *c = &g->w.choices[i];
        any |= read_events(g, &g->sources[i]);
        all_done &= c->done;
        if (g->w.streamed)
            g->w.writer->events(&g->w, c, out);
        if (g->w.streamed && out->len - before >= PULL_BYTES && !all_done)
            return GENERATION_MORE;
    }
    bool failed = g->w.failure.code != API_OK;
    if (failed)
        generation_cancel(g);
    if (!all_done && !(failed && g->w.streamed))
        return any || out->len > before ? GENERATION_MORE : GENERATION_WAIT;
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
    g->ended = true;
    if (g->w.streamed)
        g->w.writer->end(&g->w, out);
    else
        g->w.writer->body(&g->w, out);
    return GENERATION_END;
}

unsigned generation_status(const struct generation *g, unsigned *retry_after_s)
{
    *retry_after_s = g->w.failure.retry_after_s;
    return api_code_status(g->w.failure.code);
}

void generation_summarise(const struct generation *g, struct generation_summary *out)
{
    *out = (struct generation_summary){.finish = "stop",
                                       .prompt_tokens = g->prompt_tokens,
                                       .first_token_us = g->first_token_us};
    for (unsigned i = 0; i < g->w.n; i++) {
        const struct choice *c = &g->w.choices[i];
        out->completion_tokens += c->done ? c->usage.completion_tokens : c->tokens;
        if (!c->done)
            out->finish = "abandoned";
        else if (c->finish != ENGINE_FINISH_STOP)
            out->finish = writer_finish_name(c->finish);
    }
}
