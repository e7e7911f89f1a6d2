/* Owns: scripted requests behind the interface of engine.h. One thread plays the engine thread. */
#include <config.h>

#include "fake_engine.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { RING = 64, TEXT_BYTES = 512, STALL_US = 3000000, N_SPECIAL = 8, FIRST_SPECIAL = 256,
       VOCAB = FIRST_SPECIAL + N_SPECIAL };

static const char *const special_text[N_SPECIAL] = {
    "<bos>", "<eos>", "<think>", "</think>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"};

struct slot {
    struct engine_event ev;
    char text[TEXT_BYTES];
};

struct engine_stream {
    struct engine *eng;
    struct engine_stream *prev, *next;
    /* script, fixed at submit */
    char *reply; /* owned; NULL: "x " for ever */
    uint32_t reply_len, fail_after, max_tokens, n_prompt;
    bool fails, logprobs, notifying;
    uint32_t n_logprobs;
    uint64_t token_us, submit_us, start_us, prefill_us, next_us;
    uint64_t cancel_us; /* 0 = was not */
    char *stop[ENGINE_MAX_STOP];
    size_t n_stop;
    char tail[ENGINE_MAX_STOP_BYTES + 8]; /* text not yet given because it may begin a stop string */
    size_t tail_len;
    void (*notify)(void *user);
    void *user;
    /* state, guarded by eng->mu */
    struct slot ring[RING];
    uint32_t head, n;
    uint32_t at, given;
    bool cancelled, done;
    uint64_t full_since_us;
    char out[TEXT_BYTES]; /* text of the event read last */
};

struct engine {
    pthread_mutex_t mu;
    pthread_cond_t changed, read;
    pthread_t thread;
    struct engine_stream *first;
    uint32_t n_streams, weight;
    bool stop, frozen, lost, dead;
    uint64_t last_step_us, steps, requests, cancelled;
    uint64_t older_us; /* added to the age that is reported */
    struct engine_info info;
    char template_text[512];
};

/* ---- life ------------------------------------------------------------------------------------- */

static void *run(void *user);

static void write_template(struct engine *eng, bool thinking)
{
    snprintf(eng->template_text, sizeof eng->template_text,
             "{{ bos_token }}{%% for m in messages %%}{%% if m['role'] == 'user' %%}<|user|>"
             "{{ m['content'] }}{%% elif m['role'] == 'assistant' %%}<|assistant|>"
             "{{ m['content'] }}<|end|>{%% else %%}<|system|>{{ m['content'] }}{%% endif %%}"
             "{%% endfor %%}{%% if add_generation_prompt %%}<|assistant|>%s{%% endif %%}",
             thinking ? "<think>\n" : "");
}

struct engine *fake_engine_open(uint32_t max_context)
{
    struct engine *eng = mem_zalloc(sizeof *eng);
    pthread_mutex_init(&eng->mu, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&eng->changed, &attr);
    pthread_cond_init(&eng->read, &attr);
    pthread_condattr_destroy(&attr);
    eng->last_step_us = clock_now_us();
    write_template(eng, false);
    eng->info = (struct engine_info){
        .model_name = "fake model", .architecture = "fake", .description = "",
        .chat_template = eng->template_text, .bos_text = "<bos>", .eos_text = "<eos>",
        .device_name = "no device", .vocab_size = VOCAB, .n_layers = 1, .hidden = 1,
        .max_context = max_context, .max_seqs = 256, .n_params = 1, .weight_bytes = 1,
        .page_tokens = 64};
    pthread_create(&eng->thread, NULL, run, eng);
    return eng;
}

void fake_engine_close(struct engine **out)
{
    struct engine *eng = *out;
    pthread_mutex_lock(&eng->mu);
    eng->stop = true;
    pthread_cond_broadcast(&eng->changed);
    pthread_mutex_unlock(&eng->mu);
    pthread_join(eng->thread, NULL);
    pthread_cond_destroy(&eng->changed);
    pthread_cond_destroy(&eng->read);
    pthread_mutex_destroy(&eng->mu);
    free(eng);
    *out = NULL;
}

bool engine_open(const struct engine_options *opt, struct engine **out, struct err *e)
{
    if (strstr(opt->model_path, "missing"))
        FAIL(e, ERR_NOT_FOUND, "%s: no such file", opt->model_path);
    struct engine_progress p = {.stage = "weights", .total_bytes = 1 << 20};
    for (; opt->progress && p.done_bytes <= p.total_bytes; p.done_bytes += p.total_bytes / 4)
        opt->progress(opt->user, &p);
    *out = fake_engine_open(opt->max_context ? opt->max_context : 4096);
    return true;
}

void engine_close(struct engine **eng)
{
    fake_engine_close(eng);
}

const struct engine_info *engine_info(const struct engine *eng)
{
    return &eng->info;
}

void fake_engine_set_thinking(struct engine *eng, bool thinking)
{
    write_template(eng, thinking);
}

void fake_engine_freeze(struct engine *eng, bool frozen)
{
    pthread_mutex_lock(&eng->mu);
    eng->frozen = frozen;
    pthread_cond_broadcast(&eng->changed);
    pthread_mutex_unlock(&eng->mu);
}

void fake_engine_age(struct engine *eng, uint64_t us)
{
    pthread_mutex_lock(&eng->mu);
    eng->older_us = us;
    pthread_mutex_unlock(&eng->mu);
}

void fake_engine_lose_device(struct engine *eng)
{
    pthread_mutex_lock(&eng->mu);
    eng->lost = true;
    pthread_cond_broadcast(&eng->changed);
    pthread_mutex_unlock(&eng->mu);
}

void fake_engine_die(struct engine *eng)
{
    pthread_mutex_lock(&eng->mu);
    eng->dead = true;
    pthread_mutex_unlock(&eng->mu);
}

static uint32_t count(const struct engine *const_eng, bool active_only)
{
    struct engine *eng = (struct engine *)(uintptr_t)const_eng;
    uint32_t n = 0;
    pthread_mutex_lock(&eng->mu);
    for (struct engine_stream *s = eng->first; s; s = s->next)
        n += !active_only || !s->done;
    pthread_mutex_unlock(&eng->mu);
    return n;
}

uint32_t fake_engine_streams(const struct engine *eng)
{
    return count(eng, false);
}

uint32_t fake_engine_active(const struct engine *eng)
{
    return count(eng, true);
}

uint32_t fake_engine_weight(const struct engine *const_eng)
{
    struct engine *eng = (struct engine *)(uintptr_t)const_eng;
    pthread_mutex_lock(&eng->mu);
    uint32_t weight = eng->weight;
    pthread_mutex_unlock(&eng->mu);
    return weight;
}

/* ---- text ------------------------------------------------------------------------------------- */

static int32_t special_at(const char *text, size_t len)
{
    for (int i = 0; i < N_SPECIAL; i++) {
        size_t n = strlen(special_text[i]);
        if (n <= len && !memcmp(text, special_text[i], n))
            return FIRST_SPECIAL + i;
    }
    return -1;
}

bool engine_tokenize(const struct engine *eng, const char *text, size_t len, unsigned flags,
                     size_t max_ids, int32_t **ids_take, size_t *n, struct err *e)
{
    int32_t *ids = mem_try_calloc(len + 1, sizeof *ids);
    (void)eng;
    if (!ids)
        FAIL(e, ERR_NOMEM, "out of memory");
    *n = 0;
    if (flags & ENGINE_TOKENIZE_BOS)
        ids[(*n)++] = FIRST_SPECIAL;
    for (size_t i = 0; i < len;) {
        bool special = (flags & ENGINE_TOKENIZE_SPECIAL) && !(flags & ENGINE_TOKENIZE_LITERAL);
        int32_t id = special ? special_at(text + i, len - i) : -1;
        i += id < 0 ? 1 : strlen(special_text[id - FIRST_SPECIAL]);
        ids[(*n)++] = id < 0 ? (unsigned char)text[i - 1] : id;
    }
    if (*n > max_ids) {
        free(ids);
        FAIL(e, ERR_LIMIT, "more than %zu tokens", max_ids);
    }
    *ids_take = ids;
    return true;
}

static char bytes_of_all[256][1];

static void fill_bytes(void)
{
    for (int i = 0; i < 256; i++)
        bytes_of_all[i][0] = (char)i;
}

const char *engine_token_bytes(const struct engine *eng, int32_t id, size_t *len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)eng;
    pthread_once(&once, fill_bytes);
    if (id < 0 || id >= VOCAB)
        return NULL;
    *len = id < FIRST_SPECIAL ? 1 : strlen(special_text[id - FIRST_SPECIAL]);
    return id < FIRST_SPECIAL ? bytes_of_all[id] : special_text[id - FIRST_SPECIAL];
}

/* ---- requests --------------------------------------------------------------------------------- */

/* Value of "#name=…#" in the prompt, NULL when it is not there. Owned. */
static char *directive(const char *prompt, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "#%s=", name);
    const char *at = strstr(prompt, key);
    if (!at)
        return NULL;
    at += strlen(key);
    return mem_strndup(at, strcspn(at, "#"));
}

static uint64_t number(const char *prompt, const char *name, uint64_t fallback)
{
    char *text = directive(prompt, name);
    uint64_t n = text ? strtoull(text, NULL, 10) : fallback;
    free(text);
    return n;
}

static void unescape(char *text)
{
    char *to = text;
    for (char *p = text; *p; p++) {
        if (p[0] == '\\' && p[1] == 'n') {
            *to++ = '\n';
            p++;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

static void read_script(struct engine_stream *s, const char *prompt)
{
    uint64_t now = clock_now_us(), tokens = number(prompt, "tokens", 0);
    s->reply = directive(prompt, "reply");
    if (s->reply)
        unescape(s->reply);
    else if (!tokens)
        s->reply = mem_strdup("Hello, world!");
    s->reply_len = s->reply ? (uint32_t)strlen(s->reply) : UINT32_MAX;
    if (tokens && (!s->max_tokens || tokens < s->max_tokens))
        s->max_tokens = (uint32_t)tokens;
    s->token_us = number(prompt, "us", 0);
    s->submit_us = now;
    s->start_us = now + number(prompt, "queue_ms", 0) * 1000;
    s->prefill_us = s->start_us + number(prompt, "prefill_ms", 0) * 1000;
    s->next_us = s->prefill_us;
    s->fails = strstr(prompt, "#fail=") != NULL;
    s->fail_after = (uint32_t)number(prompt, "fail", 0);
}

static char *prompt_text(const struct engine_request *req)
{
    char *text = mem_alloc(req->n_tokens + 1);
    size_t n = 0;
    for (size_t i = 0; i < req->n_tokens; i++)
        if (req->tokens[i] < 256)
            text[n++] = (char)(req->tokens[i] ? req->tokens[i] : ' ');
    text[n] = '\0';
    return text;
}

static bool check_request(struct engine *eng, const struct engine_request *req, struct err *e)
{
    if (eng->lost)
        FAIL(e, ERR_DEVICE, "the device was lost");
    if (!req->n_tokens)
        FAIL(e, ERR_ARG, "the prompt is empty");
    if (req->n_tokens >= eng->info.max_context)
        FAIL(e, ERR_LIMIT, "the prompt has %zu tokens, the context %u", req->n_tokens,
             eng->info.max_context);
    for (size_t i = 0; i < req->n_tokens; i++)
        if (req->tokens[i] < 0 || req->tokens[i] >= VOCAB)
            FAIL(e, ERR_ARG, "token id %d is not in the vocabulary", (int)req->tokens[i]);
    for (uint32_t i = 0; i < req->sampling.n_bias; i++)
        if (req->sampling.bias[i].token >= VOCAB)
            FAIL(e, ERR_ARG, "logit_bias: token id %d is not in the vocabulary",
                 (int)req->sampling.bias[i].token);
    for (size_t i = 0; i < req->n_stop_tokens; i++)
        if (req->stop_tokens[i] >= VOCAB)
            FAIL(e, ERR_ARG, "stop_token_ids: token id %d is not in the vocabulary",
                 (int)req->stop_tokens[i]);
    if (!(req->sampling.temperature >= 0 && req->sampling.temperature <= 2) ||
        !(req->sampling.top_p > 0 && req->sampling.top_p <= 1) ||
        !(req->sampling.min_p >= 0 && req->sampling.min_p < 1) ||
        !(req->sampling.repetition_penalty > 0))
        FAIL(e, ERR_ARG, "sampling values out of range");
    return true;
}

bool engine_submit(struct engine *eng, const struct engine_request *req,
                   struct engine_stream **out, struct err *e)
{
    if (!check_request(eng, req, e))
        return false;
    char *prompt = prompt_text(req);
    if (strstr(prompt, "#busy#")) {
        free(prompt);
        FAIL(e, ERR_BUSY, "the queue is full");
    }
    struct engine_stream *s = mem_zalloc(sizeof *s);
    s->eng = eng;
    uint32_t room = eng->info.max_context - (uint32_t)req->n_tokens;
    s->max_tokens = req->max_tokens && req->max_tokens < room ? req->max_tokens : room;
    s->n_prompt = (uint32_t)req->n_tokens;
    s->logprobs = req->logprobs;
    s->n_logprobs = req->n_logprobs;
    s->notify = req->notify;
    s->user = req->user;
    for (size_t i = 0; i < req->n_stop; i++)
        s->stop[s->n_stop++] = mem_strdup(req->stop[i]);
    read_script(s, prompt);
    free(prompt);
    pthread_mutex_lock(&eng->mu);
    s->next = eng->first;
    if (s->next)
        s->next->prev = s;
    eng->first = s;
    eng->n_streams++;
    eng->requests++;
    eng->weight = req->weight;
    pthread_cond_broadcast(&eng->changed);
    pthread_mutex_unlock(&eng->mu);
    *out = s;
    return true;
}

bool engine_stream_next(struct engine_stream *s, struct engine_event *ev)
{
    struct engine *eng = s->eng;
    pthread_mutex_lock(&eng->mu);
    bool any = s->n > 0;
    if (any) {
        struct slot *slot = &s->ring[s->head];
        *ev = slot->ev;
        memcpy(s->out, slot->text, sizeof s->out);
        ev->text = s->out;
        s->head = (s->head + 1) % RING;
        if (s->n-- == RING)
            pthread_cond_broadcast(&eng->changed);
    }
    pthread_mutex_unlock(&eng->mu);
    return any;
}

bool engine_stream_wait(struct engine_stream *s, struct engine_event *ev, int timeout_ms)
{
    uint64_t until = clock_now_us() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000;
    while (!engine_stream_next(s, ev)) {
        if (timeout_ms >= 0 && clock_now_us() >= until)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

void engine_stream_cancel(struct engine_stream *s)
{
    pthread_mutex_lock(&s->eng->mu);
    s->cancelled = true;
    if (!s->cancel_us)
        s->cancel_us = clock_now_us();
    pthread_cond_broadcast(&s->eng->changed);
    pthread_mutex_unlock(&s->eng->mu);
}

bool engine_stream_begun(const struct engine_stream *s)
{
    pthread_mutex_lock(&s->eng->mu);
    bool begun = (s->cancel_us ? s->cancel_us : clock_now_us()) >= s->start_us;
    pthread_mutex_unlock(&s->eng->mu);
    return begun;
}

void engine_stream_release(struct engine_stream **out)
{
    struct engine_stream *s = *out;
    struct engine *eng = s->eng;
    pthread_mutex_lock(&eng->mu);
    while (s->notifying)
        pthread_cond_wait(&eng->read, &eng->mu);
    if (s->prev)
        s->prev->next = s->next;
    else
        eng->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    eng->n_streams--;
    pthread_mutex_unlock(&eng->mu);
    for (size_t i = 0; i < s->n_stop; i++)
        free(s->stop[i]);
    free(s->reply);
    free(s);
    *out = NULL;
}

/* ---- the engine thread ------------------------------------------------------------------------ */

static void push_locked(struct engine_stream *s, const struct engine_event *ev, const char *text,
                        size_t len)
{
    struct slot *slot = &s->ring[(s->head + s->n++) % RING];
    slot->ev = *ev;
    slot->ev.text_len = len;
    memcpy(slot->text, text, len);
}

static void finish_locked(struct engine_stream *s, enum engine_finish finish, bool with_tail)
{
    struct engine_event ev = {
        .kind = ENGINE_EVENT_DONE, .token = -1, .finish = finish,
        .usage = {.prompt_tokens = s->n_prompt, .completion_tokens = s->given,
                  .queue_us = s->start_us - s->submit_us,
                  .prefill_us = s->prefill_us - s->start_us}};
    if (finish == ENGINE_FINISH_ERROR)
        err_set(&ev.err, ERR_DEVICE, 0, __FILE__, __LINE__, "scripted fault");
    size_t len = with_tail && s->tail_len <= TEXT_BYTES ? s->tail_len : 0;
    push_locked(s, &ev, s->tail, len);
    s->done = true;
}

/* Adds text to the tail. True when a stop string is complete; else *give bytes may go out. */
static bool hit_stop(struct engine_stream *s, const char *text, size_t len, size_t *give)
{
    memcpy(s->tail + s->tail_len, text, len);
    s->tail_len += len;
    size_t keep = 0;
    for (size_t i = 0; i < s->n_stop; i++) {
        size_t n = strlen(s->stop[i]);
        if (n <= s->tail_len && !memcmp(s->tail + s->tail_len - n, s->stop[i], n)) {
            s->tail_len -= n;
            return true;
        }
        for (size_t part = n - 1; part > keep; part--)
            if (part <= s->tail_len && !memcmp(s->tail + s->tail_len - part, s->stop[i], part))
                keep = part;
    }
    *give = s->tail_len - keep;
    return false;
}

/* Next piece of the script: one character, or a special token written out. */
static int32_t next_piece(struct engine_stream *s, const char **text, size_t *len)
{
    if (!s->reply) {
        *text = "x ";
        *len = 2;
        return 'x';
    }
    const char *at = s->reply + s->at;
    size_t left = s->reply_len - s->at;
    int32_t id = special_at(at, left);
    uint32_t cp;
    *text = at;
    *len = id >= 0 ? strlen(special_text[id - FIRST_SPECIAL]) : utf8_decode(at, left, &cp);
    if (!*len)
        *len = 1;
    s->at += (uint32_t)*len;
    return id >= 0 ? id : (unsigned char)*at;
}

static void give_token_locked(struct engine_stream *s)
{
    const char *text;
    size_t len, give = 0;
    int32_t id = next_piece(s, &text, &len);
    s->given++;
    if (hit_stop(s, text, len, &give)) {
        finish_locked(s, ENGINE_FINISH_STOP, true);
        return;
    }
    struct engine_event ev = {.kind = ENGINE_EVENT_TOKEN, .token = id};
    if (give > TEXT_BYTES)
        give = TEXT_BYTES;
    if (s->logprobs)
        ev.logprob = -0.25f;
    for (; ev.n_top < s->n_logprobs; ev.n_top++)
        ev.top[ev.n_top] = (struct engine_logprob){.token = 'a' + (int32_t)ev.n_top,
                                                   .logprob = -0.5f * (float)(ev.n_top + 1)};
    push_locked(s, &ev, s->tail, give);
    memmove(s->tail, s->tail + give, s->tail_len - give);
    s->tail_len -= give;
}

/* One turn of one request. True when something was pushed. */
static bool turn_locked(struct engine *eng, struct engine_stream *s, uint64_t now)
{
    if (eng->dead)
        return false;
    if (s->done || s->n >= RING - 1) {
        if (!s->done && !s->full_since_us)
            s->full_since_us = now;
        if (s->done || (now - s->full_since_us < STALL_US && !s->cancelled))
            return false;
        finish_locked(s, s->cancelled ? ENGINE_FINISH_CANCELLED : ENGINE_FINISH_STALLED, false);
        return true;
    }
    s->full_since_us = 0;
    if (s->cancelled || eng->stop || eng->lost) {
        eng->cancelled++;
        finish_locked(s, eng->lost ? ENGINE_FINISH_ERROR : ENGINE_FINISH_CANCELLED, false);
        return true;
    }
    if (eng->frozen || now < s->next_us)
        return false;
    s->next_us = now + s->token_us;
    if (s->fails && s->given >= s->fail_after)
        finish_locked(s, ENGINE_FINISH_ERROR, true);
    else if (s->at >= s->reply_len)
        finish_locked(s, ENGINE_FINISH_STOP, true);
    else if (s->given >= s->max_tokens)
        finish_locked(s, ENGINE_FINISH_LENGTH, true);
    else
        give_token_locked(s);
    return true;
}

/* Turns for all. A stream that was empty is notified with no lock held; it cannot be released
 * meanwhile. Returns when the next turn is due. */
static bool step(struct engine *eng, uint64_t now, uint64_t *due)
{
    bool any = false;
    for (struct engine_stream *s = eng->first; s; s = s->next) {
        bool was_empty = s->n == 0;
        bool pushed = turn_locked(eng, s, now);
        any |= pushed;
        if (!s->done && s->next_us > now && s->next_us < *due)
            *due = s->next_us;
        if (pushed && was_empty && s->notify) {
            s->notifying = true;
            pthread_mutex_unlock(&eng->mu);
            s->notify(s->user);
            pthread_mutex_lock(&eng->mu);
            s->notifying = false;
            pthread_cond_broadcast(&eng->read);
        }
    }
    if (any) {
        eng->steps++;
        eng->last_step_us = now;
    }
    return any;
}

static void *run(void *user)
{
    struct engine *eng = user;
    pthread_mutex_lock(&eng->mu);
    while (!eng->stop) {
        uint64_t now = clock_now_us(), due = now + 20000;
        if (step(eng, now, &due))
            continue;
        struct timespec until = {.tv_sec = (time_t)(due / 1000000),
                                 .tv_nsec = (long)(due % 1000000) * 1000};
        if (eng->first)
            pthread_cond_timedwait(&eng->changed, &eng->mu, &until);
        else
            pthread_cond_wait(&eng->changed, &eng->mu);
    }
    uint64_t due = 0;
    step(eng, clock_now_us(), &due);
    pthread_mutex_unlock(&eng->mu);
    return NULL;
}

/* ---- state ------------------------------------------------------------------------------------ */

void engine_stats(const struct engine *const_eng, struct engine_stats *out)
{
    struct engine *eng = (struct engine *)(uintptr_t)const_eng;
    pthread_mutex_lock(&eng->mu);
    *out = (struct engine_stats){.requests = eng->requests, .steps = eng->steps,
                                 .cancelled = eng->cancelled, .failed = eng->lost};
    for (struct engine_stream *s = eng->first; s; s = s->next)
        out->running += !s->done;
    if (out->running && eng->frozen)
        out->last_step_age_us = clock_now_us() - eng->last_step_us + eng->older_us;
    pthread_mutex_unlock(&eng->mu);
}
