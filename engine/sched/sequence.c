/* Owns: what a sampled token means for one request: end marks, stop strings, text that is whole,
 * log-probabilities, usage. Refuses to know batches, pages and devices.
 */
#include <config.h>

#include "sched/sequence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sched/stream.h"

enum { MAX_HELD_BYTES = 64 * 1024 };

static bool in_range(float v, float lo, float hi)
{
    return v >= lo && v <= hi; /* false for NaN */
}

static bool check_sampling(const struct engine_sampling *s, uint32_t vocab, struct err *e)
{
    if (!in_range(s->temperature, 0.0f, 2.0f))
        FAIL(e, ERR_ARG, "temperature must be 0 to 2");
    if (!(s->top_p > 0.0f && s->top_p <= 1.0f))
        FAIL(e, ERR_ARG, "top_p must be greater than 0 and at most 1");
    if (!(s->min_p >= 0.0f && s->min_p < 1.0f))
        FAIL(e, ERR_ARG, "min_p must be at least 0 and less than 1");
    if (!in_range(s->repetition_penalty, 0.01f, 10.0f))
        FAIL(e, ERR_ARG, "repetition_penalty must be 0.01 to 10");
    if (!in_range(s->presence_penalty, -2.0f, 2.0f) ||
        !in_range(s->frequency_penalty, -2.0f, 2.0f))
        FAIL(e, ERR_ARG, "presence_penalty and frequency_penalty must be -2 to 2");
    if (s->n_bias > ENGINE_MAX_BIAS)
        FAIL(e, ERR_LIMIT, "logit_bias has %u entries; at most %d are allowed", s->n_bias,
             ENGINE_MAX_BIAS);
    for (uint32_t i = 0; i < s->n_bias; i++) {
        if (s->bias[i].token < 0 || (uint32_t)s->bias[i].token >= vocab)
            FAIL(e, ERR_ARG, "logit_bias token %d is outside the vocabulary of %u tokens",
                 s->bias[i].token, vocab);
        if (!in_range(s->bias[i].bias, -100.0f, 100.0f))
            FAIL(e, ERR_ARG, "logit_bias values must be -100 to 100");
    }
    return true;
}

static bool check_request(const struct engine_request *r, uint32_t vocab, uint32_t max_ctx,
                          struct err *e)
{
    if (r->n_tokens == 0)
        FAIL(e, ERR_ARG, "the prompt is empty");
    if (r->n_tokens >= max_ctx)
        FAIL(e, ERR_LIMIT, "the prompt has %zu tokens; the context holds %u including the answer",
             r->n_tokens, max_ctx);
    for (size_t i = 0; i < r->n_tokens; i++)
        if (r->tokens[i] < 0 || (uint32_t)r->tokens[i] >= vocab)
            FAIL(e, ERR_ARG, "prompt token %d is outside the vocabulary of %u tokens",
                 r->tokens[i], vocab);
    if (r->n_stop > ENGINE_MAX_STOP || r->n_stop_tokens > ENGINE_MAX_STOP_TOKENS)
        FAIL(e, ERR_LIMIT, "at most %d stop strings and %d stop tokens are allowed",
             ENGINE_MAX_STOP, ENGINE_MAX_STOP_TOKENS);
    for (size_t i = 0; i < r->n_stop; i++) {
        size_t len = strlen(r->stop[i]);
        if (len == 0 || len > ENGINE_MAX_STOP_BYTES)
            FAIL(e, ERR_ARG, "a stop string must have 1 to %d bytes", ENGINE_MAX_STOP_BYTES);
    }
    if (r->weight > SEQ_FULL_WEIGHT)
        FAIL(e, ERR_ARG, "a request's weight is at most %d permille", SEQ_FULL_WEIGHT);
    if (r->n_logprobs > ENGINE_MAX_LOGPROBS)
        FAIL(e, ERR_ARG, "at most %d alternatives per token can be reported",
             ENGINE_MAX_LOGPROBS);
    return check_sampling(&r->sampling, vocab, e);
}

static bool start_sampler(struct sequence *s, const struct engine_request *r, struct err *e)
{
    const struct engine_sampling *in = &r->sampling;
    struct sampler_params p = {.temperature = in->temperature, .top_k = in->top_k,
                               .top_p = in->top_p, .min_p = in->min_p,
                               .repetition_penalty = in->repetition_penalty,
                               .presence_penalty = in->presence_penalty,
                               .frequency_penalty = in->frequency_penalty, .seed = in->seed,
                               .n_bias = in->n_bias};
    if (!in->has_seed && !hash_random(&p.seed, sizeof p.seed, e))
        return false;
    struct sampler_bias *bias = mem_calloc(in->n_bias, sizeof *bias);
    for (uint32_t i = 0; i < in->n_bias; i++)
        bias[i] = (struct sampler_bias){in->bias[i].token, in->bias[i].bias};
    p.bias = bias;
    sampler_init(&s->sampler, &p);
    free(bias);
    for (size_t i = 0; i < r->n_tokens; i++)
        sampler_saw(&s->sampler, r->tokens[i], false);
    return true;
}

bool sequence_create(const struct engine_request *r, const struct tokenizer *t, uint32_t vocab,
                     uint32_t max_ctx, struct engine_stream *stream, struct sequence **out,
                     struct err *e)
{
    if (!check_request(r, vocab, max_ctx, e))
        return false;
    struct sequence *s = mem_zalloc(sizeof *s);
    s->slot = -1;
    s->weight = r->weight ? r->weight : SEQ_FULL_WEIGHT;
    s->n_prompt = s->n_tokens = s->cap_tokens = (uint32_t)r->n_tokens;
    uint32_t room = max_ctx - s->n_prompt;
    s->max_tokens = s->n_prompt + (r->max_tokens && r->max_tokens < room ? r->max_tokens : room);
    s->tokens = mem_try_calloc(r->n_tokens, sizeof *s->tokens);
    if (!s->tokens) {
        err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "out of memory for the prompt");
        goto fail;
    }
    memcpy(s->tokens, r->tokens, r->n_tokens * sizeof *s->tokens);
    TRY(start_sampler(s, r, e));
    detok_init(&s->detok, t);
    buf_init(&s->text, MAX_HELD_BYTES);
    s->stop = mem_calloc(r->n_stop, sizeof *s->stop);
    s->stop_len = mem_calloc(r->n_stop, sizeof *s->stop_len);
    for (size_t i = 0; i < r->n_stop; i++) {
        s->stop[i] = mem_strdup(r->stop[i]);
        s->stop_len[i] = strlen(r->stop[i]);
        s->n_stop++;
    }
    s->n_stop_tokens = r->n_stop_tokens;
    for (size_t i = 0; i < r->n_stop_tokens; i++)
        s->stop_tokens[i] = r->stop_tokens[i];
    s->ignore_eos = r->ignore_eos;
    s->logprobs = r->logprobs;
    s->n_logprobs = r->n_logprobs;
    s->submitted_us = clock_now_us();
    s->stream = stream;
    *out = s;
    return true;
fail:
    sequence_destroy(&s);
    return false;
}

void sequence_destroy(struct sequence **sp)
{
    struct sequence *s = *sp;
    if (!s)
        return;
    ASSERT(s->slot == -1);
    sampler_release(&s->sampler);
    buf_release(&s->text);
    for (size_t i = 0; i < s->n_stop; i++)
        free(s->stop[i]);
    free(s->stop);
    free(s->stop_len);
    free(s->tokens);
    if (s->stream)
        stream_unref(s->stream);
    free(s);
    *sp = NULL;
}

static bool is_end(const struct sequence *s, int32_t token)
{
    for (size_t i = 0; i < s->n_stop_tokens; i++)
        if (s->stop_tokens[i] == token)
            return true;
    return !s->ignore_eos && tokenizer_is_end(s->detok.t, token);
}

/* First occurrence of any stop string in the held text; SIZE_MAX when there is none. */
static size_t find_stop(const struct sequence *s)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < s->n_stop; i++) {
        const char *hit = s->text.len ? memmem(s->text.data, s->text.len, s->stop[i], s->stop_len[i])
                                      : NULL;
        if (hit && (size_t)(hit - s->text.data) < best)
            best = (size_t)(hit - s->text.data);
    }
    return best;
}

/* Length of the longest end of the held text that could begin a stop string. */
static size_t held_back(const struct sequence *s)
{
    size_t longest = 0;
    for (size_t i = 0; i < s->n_stop; i++) {
        size_t max = s->stop_len[i] - 1 < s->text.len ? s->stop_len[i] - 1 : s->text.len;
        for (size_t len = max; len > longest; len--) {
            if (!memcmp(s->text.data + s->text.len - len, s->stop[i], len)) {
                longest = len;
                break;
            }
        }
    }
    return longest;
}

static void fill_logprobs(const struct sequence *s, const struct dev_candidates *c, float logit,
                          struct engine_event *ev)
{
    if (!s->logprobs || c->n == 0)
        return;
    float log_sum = c->max_logit + logf(c->sum_exp_1);
    ev->logprob = logit - log_sum;
    ev->n_top = s->n_logprobs < c->n ? s->n_logprobs : c->n;
    for (uint32_t i = 0; i < ev->n_top; i++)
        ev->top[i] = (struct engine_logprob){(int32_t)c->best[i].id, c->best[i].logit - log_sum};
}

static bool append(struct sequence *s, int32_t token)
{
    if (s->n_tokens == s->cap_tokens) {
        uint32_t cap = s->cap_tokens < 64 ? 128 : s->cap_tokens * 2;
        int32_t *p = mem_try_reallocarray(s->tokens, cap, sizeof *p);
        if (!p)
            return false;
        s->tokens = p;
        s->cap_tokens = cap;
    }
    s->tokens[s->n_tokens++] = token;
    return true;
}

bool sequence_accept(struct sequence *s, int32_t token, const struct dev_candidates *c, float logit)
{
    if (!s->first_token_us)
        s->first_token_us = clock_now_us();
    if (!append(s, token)) {
        struct err err;
        err_set(&err, ERR_NOMEM, 0, __FILE__, __LINE__, "out of memory for the answer");
        sequence_finish(s, ENGINE_FINISH_ERROR, &err);
        return false;
    }
    if (is_end(s, token)) {
        sequence_finish(s, ENGINE_FINISH_STOP, NULL);
        return false;
    }
    sampler_saw(&s->sampler, token, true);
    /* An id beyond the tokenizer (padding rows of the head) stands for no text. */
    if ((uint32_t)token < tokenizer_vocab_size(s->detok.t) &&
        !detok_push(&s->detok, token, &s->text)) {
        struct err err;
        err_set(&err, ERR_LIMIT, 0, __FILE__, __LINE__, "too much text held back by stop strings");
        sequence_finish(s, ENGINE_FINISH_ERROR, &err);
        return false;
    }
    size_t stop = find_stop(s);
    size_t ready = stop != SIZE_MAX ? stop : s->text.len - held_back(s);
    struct engine_event ev = {.kind = ENGINE_EVENT_TOKEN, .token = token,
                              .text = buf_str(&s->text), .text_len = ready};
    fill_logprobs(s, c, logit, &ev);
    stream_push_token(s->stream, &ev);
    if (stop != SIZE_MAX) {
        buf_clear(&s->text);
        s->detok.held_len = 0;
        sequence_finish(s, ENGINE_FINISH_STOP, NULL);
        return false;
    }
    buf_consume(&s->text, ready);
    if (s->n_tokens >= s->max_tokens) {
        sequence_finish(s, ENGINE_FINISH_LENGTH, NULL);
        return false;
    }
    return true;
}

void sequence_finish(struct sequence *s, enum engine_finish finish, const struct err *err)
{
    ASSERT(s->state != SEQ_FINISHED);
    uint64_t now = clock_now_us();
    struct engine_event ev = {.kind = ENGINE_EVENT_DONE, .finish = finish};
    if (err)
        ev.err = *err;
    ev.usage.prompt_tokens = s->n_prompt;
    ev.usage.completion_tokens = s->n_tokens - s->n_prompt;
    uint64_t started = s->started_us ? s->started_us : now;
    uint64_t first = s->first_token_us ? s->first_token_us : now;
    ev.usage.queue_us = started - s->submitted_us;
    ev.usage.prefill_us = first - started;
    ev.usage.decode_us = now - first;
    /* A full text buffer only loses the replacement mark of a cut character. */
    bool flushed = detok_flush(&s->detok, &s->text);
    (void)flushed;
    ev.text = buf_str(&s->text);
    ev.text_len = s->text.len;
    s->state = SEQ_FINISHED;
    stream_push_done(s->stream, &ev);
}
