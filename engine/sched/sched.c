/* Owns: the order in which requests get device time: queue, batch former, preemption, the thread.
 * Refuses to know what an op is and what a token means.
 *
 * One turn of the thread: take new requests, drop cancelled ones, form a step (decodes first, oldest
 * first; then prefill chunks; then new admissions, all within the token budget), run it, hand the
 * results to the sequences. When the pool is out of pages the youngest running sequence gives up its
 * pages and goes back to the queue; its tokens are computed again later. Because no request is
 * longer than the pool, the oldest sequence always gets its pages and everything ends.
 */
#include <config.h>

#include "sched/sched.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "kv/pages.h"
#include "sched/sequence.h"
#include "sched/stream.h"

static const long IDLE_POLL_MS = 50;                  /* while only paused sequences are left */

/* One sequence's part of a step. */
struct part {
    struct sequence *seq;
    uint32_t n_rows;
    bool wants_logits;
    uint32_t out; /* index of its out row */
};

struct logits_job {
    const int32_t *tokens;
    size_t n;
    bool all;
    uint32_t chunk;
    float *out;
    struct err *e;
    bool ok, done;
};

struct sched {
    struct model *m;           /* borrowed */
    const struct tokenizer *t; /* borrowed */
    struct dev_step *step;
    uint32_t vocab, max_ctx, budget;
    uint64_t stall_us; /* a full reader's queue for so long */
    pthread_t thread;

    /* engine thread only */
    struct pages *pages;
    struct sequence *running, *waiting; /* by arrival, oldest first */
    uint32_t n_running;
    struct part *parts; /* [max_seqs] of the step being formed */
    uint32_t n_parts, n_rows, n_prompt_rows, n_out, n_edits;
    float *logits_row; /* [vocab], for sampling beyond the candidates */

    pthread_mutex_t mu; /* guards everything below */
    pthread_cond_t changed;
    struct sequence *inbox; /* newest first */
    struct logits_job *job;
    uint64_t next_arrival, last_step_us;
    uint32_t n_inbox;
    bool stop, woken;
    struct engine_stats stats;
};

/* ---- lists of sequences ---------------------------------------------------------------------- */

static void insert_by_arrival(struct sequence **list, struct sequence *s)
{
    while (*list && (*list)->arrival < s->arrival)
        list = &(*list)->next;
    s->next = *list;
    *list = s;
}

static void remove_from(struct sequence **list, struct sequence *s)
{
    while (*list != s) {
        ASSERT(*list);
        list = &(*list)->next;
    }
    *list = s->next;
    s->next = NULL;
}

static void assert_sequence(const struct sequence *s)
{
    ASSERT(s->n_tokens >= s->n_prompt && s->n_prompt > 0);
    if (s->state == SEQ_RUNNING)
        ASSERT(s->slot >= 0 && s->n_cached < s->n_tokens);
    else
        ASSERT(s->slot == -1);
}

static void give_up_pages(struct sched *s, struct sequence *seq)
{
    if (seq->slot >= 0)
        pages_close_seq(s->pages, seq->slot);
    seq->slot = -1;
    seq->n_cached = 0;
}

/* RUNNING -> gone. The done event was pushed or is pushed here with `finish`. */
static void retire(struct sched *s, struct sequence *seq)
{
    remove_from(&s->running, seq);
    s->n_running--;
    give_up_pages(s, seq);
    sequence_destroy(&seq);
}

/* RUNNING -> WAITING */
static void preempt(struct sched *s, struct sequence *seq)
{
    LOG_D("sched", "preempt tokens=%u", seq->n_tokens);
    remove_from(&s->running, seq);
    s->n_running--;
    give_up_pages(s, seq);
    seq->state = SEQ_WAITING;
    insert_by_arrival(&s->waiting, seq);
    pthread_mutex_lock(&s->mu);
    s->stats.preemptions++;
    pthread_mutex_unlock(&s->mu);
}

static void finish_all(struct sched *s, enum engine_finish finish, const struct err *err)
{
    while (s->running) {
        sequence_finish(s->running, finish, err);
        retire(s, s->running);
    }
    while (s->waiting) {
        struct sequence *seq = s->waiting;
        remove_from(&s->waiting, seq);
        sequence_finish(seq, finish, err);
        sequence_destroy(&seq);
    }
}

static void drop_cancelled(struct sched *s)
{
    uint64_t now = clock_now_us(), dropped = 0;
    for (struct sequence *seq = s->running, *next; seq; seq = next) {
        next = seq->next;
        if (!stream_is_full(seq->stream))
            seq->full_since_us = 0;
        else if (!seq->full_since_us)
            seq->full_since_us = now;
        bool cancelled = stream_is_cancelled(seq->stream);
        bool stalled = seq->full_since_us && now - seq->full_since_us > s->stall_us;
        if (cancelled || stalled) {
            sequence_finish(seq, cancelled ? ENGINE_FINISH_CANCELLED : ENGINE_FINISH_STALLED, NULL);
            retire(s, seq);
            dropped++;
        }
    }
    for (struct sequence *seq = s->waiting, *next; seq; seq = next) {
        next = seq->next;
        if (stream_is_cancelled(seq->stream)) {
            remove_from(&s->waiting, seq);
            sequence_finish(seq, ENGINE_FINISH_CANCELLED, NULL);
            sequence_destroy(&seq);
            dropped++;
        }
    }
    if (dropped) {
        pthread_mutex_lock(&s->mu);
        s->stats.cancelled += dropped;
        pthread_mutex_unlock(&s->mu);
    }
}

/* ---- forming a step -------------------------------------------------------------------------- */

static bool in_step(const struct sched *s, const struct sequence *seq)
{
    for (uint32_t i = 0; i < s->n_parts; i++)
        if (s->parts[i].seq == seq)
            return true;
    return false;
}

static struct sequence *youngest(const struct sched *s)
{
    struct sequence *last = s->running;
    while (last && last->next)
        last = last->next;
    return last;
}

/* Makes room for n_tokens positions of `seq`, preempting younger sequences that are not part of the
 * step yet. False when that is not enough; `seq` itself may have been preempted (state tells). */
static bool make_room(struct sched *s, struct sequence *seq, uint32_t n_tokens)
{
    while (!pages_reserve(s->pages, seq->slot, n_tokens)) {
        struct sequence *victim = youngest(s);
        if (in_step(s, victim))
            return false;
        preempt(s, victim);
        if (victim == seq)
            return false;
    }
    return true;
}

/* Adds n_rows positions of `seq` (pages are there) to the step. */
static void add_part(struct sched *s, struct sequence *seq, uint32_t n_rows)
{
    struct dev_row *rows = (struct dev_row *)dev_buf_map(s->step->rows) + s->n_rows;
    struct part *part = &s->parts[s->n_parts++];
    *part = (struct part){.seq = seq, .n_rows = n_rows};
    for (uint32_t i = 0; i < n_rows; i++) {
        uint32_t pos = seq->n_cached + i;
        rows[i] = (struct dev_row){.token = (uint32_t)seq->tokens[pos], .pos = pos,
                                   .seq = (uint32_t)seq->slot};
    }
    s->n_rows += n_rows;
    if (seq->n_cached < seq->n_prompt)
        s->n_prompt_rows += n_rows;
    if (seq->n_cached + n_rows == seq->n_tokens) {
        struct dev_out *outs = dev_buf_map(s->step->out);
        struct dev_edit *edits = dev_buf_map(s->step->edits);
        part->wants_logits = true;
        part->out = s->n_out++;
        outs[part->out] = (struct dev_out){.row = s->n_rows - 1,
                                           .inv_temp = sampler_inv_temp(&seq->sampler)};
        sampler_edits(&seq->sampler, part->out, edits + s->n_edits);
        s->n_edits += sampler_n_edits(&seq->sampler);
    }
}

/* True when the step still has room for the logits of `seq`. */
static bool has_out_room(const struct sched *s, const struct sequence *seq)
{
    return s->n_out < s->step->max_out &&
           sampler_n_edits(&seq->sampler) <= s->step->max_edits - s->n_edits;
}

static void add_decodes(struct sched *s)
{
    for (struct sequence *seq = s->running, *next; seq; seq = next) {
        next = seq->next;
        assert_sequence(seq);
        if (seq->n_tokens - seq->n_cached != 1 || seq->full_since_us)
            continue;
        if (s->n_rows >= s->budget || !has_out_room(s, seq))
            continue;
        if (make_room(s, seq, seq->n_tokens))
            add_part(s, seq, 1);
        /* make_room may have preempted `next`: it was younger. Then nobody younger is left. */
        if (next && next->state != SEQ_RUNNING)
            break;
    }
}

/* A chunk of an unfinished prompt (or of a preempted sequence's tokens). */
static void add_chunk(struct sched *s, struct sequence *seq)
{
    uint32_t left = seq->n_tokens - seq->n_cached, room = s->budget - s->n_rows;
    uint32_t n = left < room ? left : room;
    if (n == left && !has_out_room(s, seq))
        n--;
    if (n == 0)
        return;
    uint32_t can = pages_reservable(s->pages, seq->slot);
    if (can <= seq->n_cached && !make_room(s, seq, seq->n_cached + 1))
        return;
    can = pages_reservable(s->pages, seq->slot);
    if (n > can - seq->n_cached)
        n = can - seq->n_cached;
    bool reserved = pages_reserve(s->pages, seq->slot, seq->n_cached + n);
    ASSERT(reserved);
    add_part(s, seq, n);
}

static void add_prefills(struct sched *s)
{
    for (struct sequence *seq = s->running, *next; seq && s->n_rows < s->budget; seq = next) {
        next = seq->next;
        if (seq->n_tokens - seq->n_cached > 1 && !seq->full_since_us)
            add_chunk(s, seq);
        if (next && next->state != SEQ_RUNNING)
            break;
    }
}

/* WAITING -> RUNNING, oldest first, as long as the whole prompt fits the free pages with one page to
 * spare for everybody running (so that a preempted sequence does not bounce). */
static void admit(struct sched *s)
{
    while (s->waiting && s->n_rows < s->budget) {
        struct sequence *seq = s->waiting;
        assert_sequence(seq);
        uint32_t need = pages_for(seq->n_tokens + 1);
        if (s->running && need + s->n_running > pages_free(s->pages))
            return;
        int32_t slot = pages_open_seq(s->pages);
        if (slot < 0)
            return;
        remove_from(&s->waiting, seq);
        seq->slot = slot;
        seq->state = SEQ_RUNNING;
        if (!seq->started_us) {
            seq->started_us = clock_now_us();
            stream_begin(seq->stream);
        }
        insert_by_arrival(&s->running, seq);
        s->n_running++;
        add_chunk(s, seq);
    }
}

static void form_step(struct sched *s)
{
    s->n_parts = s->n_rows = s->n_prompt_rows = s->n_out = s->n_edits = 0;
    add_decodes(s);
    add_prefills(s);
    admit(s);
    struct dev_step_head *head = dev_buf_map(s->step->head);
    *head = (struct dev_step_head){.n_rows = s->n_rows, .n_out = s->n_out, .n_edits = s->n_edits};
}

/* ---- results --------------------------------------------------------------------------------- */

/* Chooses the token of one out row. *logit is its edited logit. False ends the request. */
static bool choose(struct sched *s, const struct part *part, const struct dev_candidates *c,
                   int32_t *token, float *logit, struct err *e)
{
    const struct sequence *seq = part->seq;
    uint64_t index = seq->n_tokens - seq->n_prompt;
    switch (sampler_pick(&seq->sampler, c, s->vocab, index, token)) {
    case SAMPLER_OK:
        break;
    case SAMPLER_NOT_FINITE:
        FAIL(e, ERR_INTERNAL, "the model produced values that are not numbers");
    case SAMPLER_NEED_LOGITS:
        if (!model_read_logits(s->m, part->out, s->logits_row, e) ||
            !sampler_pick_full(&seq->sampler, s->logits_row, s->vocab, index, token, e))
            return false;
        *logit = s->logits_row[*token];
        return true;
    }
    for (uint32_t i = 0; i < c->n; i++)
        if (c->best[i].id == (uint32_t)*token)
            *logit = c->best[i].logit;
    return true;
}

static void take_result(struct sched *s, const struct part *part)
{
    struct sequence *seq = part->seq;
    seq->n_cached += part->n_rows;
    if (!part->wants_logits)
        return;
    const struct dev_candidates *c =
        (const struct dev_candidates *)dev_buf_map(s->step->candidates) + part->out;
    int32_t token;
    float logit = 0.0f;
    struct err err = ERR_INIT;
    bool goes_on = false;
    if (choose(s, part, c, &token, &logit, &err))
        goes_on = sequence_accept(seq, token, c, logit);
    else
        sequence_finish(seq, ENGINE_FINISH_ERROR, &err);
    if (!goes_on)
        retire(s, seq);
}

static void fail_device(struct sched *s, const struct err *err)
{
    LOG_E("sched", "device failed: %s", err->msg);
    pthread_mutex_lock(&s->mu);
    s->stats.failed = true;
    pthread_mutex_unlock(&s->mu);
    finish_all(s, ENGINE_FINISH_ERROR, err);
}

static void update_stats(struct sched *s, bool ran)
{
    uint32_t waiting = 0;
    for (const struct sequence *q = s->waiting; q; q = q->next)
        waiting++;
    pthread_mutex_lock(&s->mu);
    s->stats.running = s->n_running;
    s->stats.waiting = waiting;
    s->stats.pages_used = pages_total(s->pages) - pages_free(s->pages);
    if (ran) {
        s->stats.steps++;
        s->stats.prompt_tokens += s->n_prompt_rows;
        s->stats.completion_tokens += s->n_out;
        s->stats.bytes_per_step = model_step_bytes(s->m);
        s->last_step_us = clock_now_us();
    }
    pthread_mutex_unlock(&s->mu);
}

/* One step; false when nothing could run. */
static bool run_step(struct sched *s)
{
    form_step(s);
    if (s->n_rows == 0) {
        update_stats(s, false);
        return false;
    }
    struct err err = ERR_INIT;
    bool ok = model_run(s->m, &err);
    if (!ok && err.code == ERR_DEVICE) {
        fail_device(s, &err);
        s->n_parts = 0;
    }
    for (uint32_t i = 0; i < s->n_parts; i++) {
        if (ok) {
            take_result(s, &s->parts[i]);
        } else {
            sequence_finish(s->parts[i].seq, ENGINE_FINISH_ERROR, &err);
            retire(s, s->parts[i].seq);
        }
    }
    update_stats(s, ok);
    return true;
}

/* ---- whole-prompt logits --------------------------------------------------------------------- */

static bool run_logits_chunk(struct sched *s, struct logits_job *j, int32_t slot, size_t first,
                             uint32_t n)
{
    struct dev_row *rows = dev_buf_map(s->step->rows);
    struct dev_out *outs = dev_buf_map(s->step->out);
    struct dev_step_head *head = dev_buf_map(s->step->head);
    uint32_t n_out = 0;
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = (struct dev_row){.token = (uint32_t)j->tokens[first + i],
                                   .pos = (uint32_t)(first + i), .seq = (uint32_t)slot};
        if (j->all || first + i + 1 == j->n)
            outs[n_out++] = (struct dev_out){.row = i, .inv_temp = 1.0f};
    }
    *head = (struct dev_step_head){.n_rows = n, .n_out = n_out};
    if (!model_run(s->m, j->e))
        return false;
    for (uint32_t k = 0; k < n_out; k++) {
        size_t at = j->all ? first + k : 0;
        if (!model_read_logits(s->m, k, j->out + at * s->vocab, j->e))
            return false;
    }
    return true;
}

static bool run_logits(struct sched *s, struct logits_job *j)
{
    if (s->running || s->waiting)
        FAIL(j->e, ERR_BUSY, "other requests are running");
    uint32_t max = s->budget;
    if (j->all && max > s->step->max_out)
        max = s->step->max_out;
    uint32_t chunk = j->chunk && j->chunk < max ? j->chunk : max;
    int32_t slot = pages_open_seq(s->pages);
    ASSERT(slot >= 0);
    bool ok = pages_reserve(s->pages, slot, (uint32_t)j->n);
    if (!ok)
        err_set(j->e, ERR_LIMIT, 0, __FILE__, __LINE__, "%zu tokens do not fit the KV pool", j->n);
    for (size_t at = 0; ok && at < j->n; at += chunk) {
        size_t left = j->n - at;
        ok = run_logits_chunk(s, j, slot, at, left < chunk ? (uint32_t)left : chunk);
    }
    pages_close_seq(s->pages, slot);
    return ok;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void wake(void *user)
{
    struct sched *s = user;
    pthread_mutex_lock(&s->mu);
    s->woken = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->mu);
}

/* mu held: sleeps until there is something to look at; with paused sequences, at most a moment. */
static void wait_for_work(struct sched *s, bool idle)
{
    while (!s->stop && !s->inbox && !s->job && !s->woken && idle) {
        if (!s->running && !s->waiting) {
            pthread_cond_wait(&s->changed, &s->mu);
            continue;
        }
        struct timespec until = thread_deadline(IDLE_POLL_MS);
        pthread_cond_timedwait(&s->changed, &s->mu, &until);
        return;
    }
}

static void *thread_main(void *arg)
{
    struct sched *s = arg;
    bool idle = true;
    for (;;) {
        pthread_mutex_lock(&s->mu);
        wait_for_work(s, idle);
        s->woken = false;
        struct sequence *inbox = s->inbox;
        struct logits_job *job = s->job;
        s->inbox = NULL;
        s->stats.waiting += s->n_inbox; /* until update_stats counts anew */
        s->n_inbox = 0;
        s->job = NULL;
        bool stop = s->stop, failed = s->stats.failed;
        pthread_mutex_unlock(&s->mu);

        while (inbox) {
            struct sequence *seq = inbox;
            inbox = seq->next;
            insert_by_arrival(&s->waiting, seq);
        }
        drop_cancelled(s);
        if (stop || failed) {
            struct err err = ERR_INIT;
            if (failed)
                err_set(&err, ERR_DEVICE, 0, __FILE__, __LINE__, "the compute device has failed");
            finish_all(s, failed ? ENGINE_FINISH_ERROR : ENGINE_FINISH_CANCELLED,
                       failed ? &err : NULL);
        }
        if (job) {
            job->ok = run_logits(s, job);
            pthread_mutex_lock(&s->mu);
            job->done = true;
            pthread_cond_broadcast(&s->changed);
            pthread_mutex_unlock(&s->mu);
        }
        if (stop)
            return NULL;
        idle = !run_step(s);
    }
}

bool sched_create(struct model *m, const struct tokenizer *t, uint32_t step_tokens,
                  uint32_t stall_s, struct sched **out, struct err *e)
{
    struct sched *s = mem_zalloc(sizeof *s);
    s->m = m;
    s->t = t;
    s->step = model_step(m);
    s->vocab = model_hparams(m)->vocab;
    s->max_ctx = model_max_ctx(m);
    s->stall_us = (uint64_t)stall_s * 1000000u;
    s->budget = step_tokens < s->step->max_rows ? step_tokens : s->step->max_rows;
    s->pages = pages_create(model_n_pages(m), s->step->max_seqs, s->step->table_stride,
                            dev_buf_map(s->step->block_table));
    s->parts = mem_calloc(s->step->max_seqs, sizeof *s->parts);
    s->logits_row = mem_calloc(s->vocab, sizeof *s->logits_row);
    s->stats.pages_total = model_n_pages(m);
    pthread_mutex_init(&s->mu, NULL);
    thread_cond_init(&s->changed);
    int rc = pthread_create(&s->thread, NULL, thread_main, s);
    if (rc != 0) {
        pages_destroy(&s->pages);
        free(s->parts);
        free(s->logits_row);
        free(s);
        errno = rc;
        FAIL_OS(e, "cannot start the engine thread");
    }
    *out = s;
    return true;
}

void sched_destroy(struct sched **sp)
{
    struct sched *s = *sp;
    if (!s)
        return;
    pthread_mutex_lock(&s->mu);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mu);
    pthread_join(s->thread, NULL);
    ASSERT(!s->running && !s->waiting && !s->inbox);
    ASSERT(pages_free(s->pages) == pages_total(s->pages));
    pages_destroy(&s->pages);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mu);
    free(s->parts);
    free(s->logits_row);
    free(s);
    *sp = NULL;
}

bool sched_submit(struct sched *s, const struct engine_request *req, struct engine_stream **out,
                  struct err *e)
{
    struct engine_stream *stream = stream_create(req->notify, req->user, wake, s);
    struct sequence *seq = NULL;
    if (!sequence_create(req, s->t, s->vocab, s->max_ctx, stream, &seq, e)) {
        stream_unref(stream);
        stream_unref(stream);
        return false;
    }
    pthread_mutex_lock(&s->mu);
    bool failed = s->stats.failed, stop = s->stop;
    bool accepted = !failed && !stop && s->stats.waiting + s->n_inbox < SCHED_MAX_QUEUE;
    if (accepted) {
        if (!s->inbox && s->stats.running + s->stats.waiting == 0)
            s->last_step_us = clock_now_us();
        seq->arrival = s->next_arrival++;
        seq->next = s->inbox;
        s->inbox = seq;
        s->n_inbox++;
        s->stats.requests++;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->mu);
    if (!accepted) {
        sequence_destroy(&seq);
        stream_unref(stream);
        if (failed)
            FAIL(e, ERR_DEVICE, "the compute device has failed");
        if (stop)
            FAIL(e, ERR_CANCELLED, "the engine is stopping");
        FAIL(e, ERR_BUSY, "the queue is full (%d requests wait)", SCHED_MAX_QUEUE);
    }
    *out = stream;
    return true;
}

void sched_stats(struct sched *s, struct engine_stats *out)
{
    pthread_mutex_lock(&s->mu);
    *out = s->stats;
    out->waiting += s->n_inbox;
    bool busy = out->running + out->waiting > 0;
    out->last_step_age_us = busy ? clock_now_us() - s->last_step_us : 0;
    pthread_mutex_unlock(&s->mu);
}

bool sched_logits(struct sched *s, const int32_t *tokens, size_t n, bool all_positions,
                  uint32_t chunk, float *out, struct err *e)
{
    if (n == 0 || n > s->max_ctx)
        FAIL(e, ERR_LIMIT, "%zu tokens; 1 to %u fit the context", n, s->max_ctx);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= s->vocab)
            FAIL(e, ERR_ARG, "token %d is outside the vocabulary of %u tokens", tokens[i], s->vocab);
    struct logits_job job = {.tokens = tokens, .n = n, .all = all_positions, .chunk = chunk,
                             .out = out, .e = e};
    pthread_mutex_lock(&s->mu);
    while (s->job && !s->stop)
        pthread_cond_wait(&s->changed, &s->mu);
    s->job = &job;
    pthread_cond_broadcast(&s->changed);
    while (!job.done)
        pthread_cond_wait(&s->changed, &s->mu);
    pthread_mutex_unlock(&s->mu);
    return job.ok;
}
