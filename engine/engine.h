/* The engine as the server and the tools see it: one loaded model on one device, many requests.
 * This is the only engine header (beside base/) that server/ may include.
 *
 * Threads: engine_open starts one engine thread, the only one that touches the device, the
 * sequences and the KV pages. Every function below may be called from any thread unless it says
 * otherwise; none waits for the device except engine_open, engine_close and engine_logits.
 * Ownership: pointers returned are borrowed from the engine until engine_close.
 */
#ifndef SEEKD_ENGINE_H
#define SEEKD_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct engine;
struct engine_stream;

/* ---- opening a model ------------------------------------------------------------------------ */

struct engine_progress {
    const char *stage; /* "weights", "pipelines", … */
    uint64_t done_bytes, total_bytes;
    double seconds;
};

enum { ENGINE_MAX_SEQS = 256, ENGINE_MAX_STEP_TOKENS = 8192 };

struct engine_options {
    const char *model_path; /* GGUF file (any part of a split set) */
    const char *device;     /* "auto" (default when NULL), "vulkan", "vulkan:N" */
    const char *cache_dir;  /* pipeline cache folder; NULL = the user's cache folder */
    uint32_t max_context;   /* tokens per sequence; 0 = the model's own, cut to what fits the pool */
    uint64_t kv_bytes;      /* size of the KV page pool; 0 = a default from the memory at hand */
    uint32_t max_seqs;      /* sequences in one batch, 1..ENGINE_MAX_SEQS; 0 = 32, or step_tokens */
    uint32_t step_tokens;   /* token budget of one step (decodes + prefill chunks), max_seqs..
                               ENGINE_MAX_STEP_TOKENS; 0 = 256 */
    uint32_t stall_s;       /* a stream that stands full for so long is ended; 0 = 30 */
    enum engine_kv_type { ENGINE_KV_AUTO, ENGINE_KV_F32, ENGINE_KV_F16 } kv_type;
    /* Called from the opening thread, at most about ten times per second, and once at the end. */
    void (*progress)(void *user, const struct engine_progress *p);
    void *user;
};

/* Loads a model and starts its thread. Cost: rare (reads the whole file). Errors: ERR_NOT_FOUND,
 * ERR_FORMAT, ERR_UNSUPPORTED, ERR_NOMEM, ERR_DEVICE, … Gives the process one malloc arena. */
bool engine_open(const struct engine_options *opt, struct engine **out, struct err *e) WARN_UNUSED;

/* Ends all requests (their streams report ENGINE_FINISH_CANCELLED), stops the thread, frees all.
 * Streams not yet released stay readable and must be released by their owners. */
void engine_close(struct engine **eng);

struct engine_info {
    const char *model_name;    /* general.name, else the file name */
    const char *architecture;  /* "deepseek2" */
    const char *description;   /* general.description, "" when missing */
    const char *chat_template; /* tokenizer.chat_template; NULL when the file has none */
    const char *bos_text, *eos_text; /* literal texts, "" when there are none */
    const char *device_name;
    bool software_device; /* a CPU pretending to be a GPU: correct but slow */
    uint32_t vocab_size, n_layers, hidden;
    uint32_t max_context; /* tokens per sequence that this engine accepts */
    uint32_t max_seqs;
    uint64_t n_params, weight_bytes, kv_bytes;
    uint32_t kv_pages, page_tokens;
    double load_seconds;
};
const struct engine_info *engine_info(const struct engine *eng);

/* ---- text ------------------------------------------------------------------------------------ */

enum engine_tokenize_flags {
    ENGINE_TOKENIZE_SPECIAL = 1, /* recognise control tokens in the text */
    ENGINE_TOKENIZE_BOS = 2,     /* add BOS/EOS as the model's file says */
    ENGINE_TOKENIZE_LITERAL = 4  /* recognise no added token at all: for text that users wrote */
};

/* *ids_take: malloc'ed, owned by the caller. ERR_LIMIT when more than max_ids come out. */
bool engine_tokenize(const struct engine *eng, const char *text, size_t len, unsigned flags,
                     size_t max_ids, int32_t **ids_take, size_t *n, struct err *e) WARN_UNUSED;
/* Bytes of a token (may be part of a character), NULL when out of range. */
const char *engine_token_bytes(const struct engine *eng, int32_t id, size_t *len);

/* ---- requests -------------------------------------------------------------------------------- */

enum { ENGINE_MAX_STOP = 16, ENGINE_MAX_STOP_BYTES = 256, ENGINE_MAX_STOP_TOKENS = 16,
       ENGINE_MAX_BIAS = 1024, ENGINE_MAX_LOGPROBS = 20 };

struct engine_sampling {
    float temperature;        /* 0..2; below 1e-4 = greedy */
    uint32_t top_k;           /* 0 = off */
    float top_p;              /* (0,1]; 1 = off */
    float min_p;              /* [0,1); 0 = off */
    float repetition_penalty; /* > 0; 1 = off; over prompt and output */
    float presence_penalty, frequency_penalty; /* -2..2; over the output only */
    uint64_t seed;            /* used when has_seed, else a random one */
    bool has_seed;
    uint32_t n_bias;          /* logit_bias entries */
    const struct engine_bias { int32_t token; float bias; } *bias; /* copied at submit */
};
#define ENGINE_SAMPLING_DEFAULT                                                                    \
    ((struct engine_sampling){.temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.0f})

struct engine_request {
    const int32_t *tokens; /* the whole prompt, copied at submit */
    size_t n_tokens;       /* 1..max_context-1 */
    uint32_t max_tokens;   /* new tokens at most; 0 = until the context is full */
    struct engine_sampling sampling;
    const char *const *stop; /* stop strings, copied; their text is not emitted */
    size_t n_stop;
    const int32_t *stop_tokens; /* beside the model's own end tokens, copied */
    size_t n_stop_tokens;
    bool ignore_eos;
    uint32_t n_logprobs; /* top alternatives per token in events, 0..ENGINE_MAX_LOGPROBS */
    bool logprobs;       /* report the chosen token's log-probability */
    uint32_t weight;     /* permille of a full share, 1..1000; 0 = 1000. Kept with the sequence; requests
                          * are still taken in the order of their arrival */
    /* Called (from the engine thread, no lock held) when an empty stream gets its first event.
     * Must return quickly and must not call back into the engine. NULL allowed. */
    void (*notify)(void *user);
    void *user;
};

enum engine_finish {
    ENGINE_FINISH_STOP,   /* end token, stop token or stop string */
    ENGINE_FINISH_LENGTH, /* max_tokens or the context is full */
    ENGINE_FINISH_CANCELLED,
    ENGINE_FINISH_STALLED, /* the reader let its stream stand full for too long */
    ENGINE_FINISH_ERROR,   /* see the event's err */
    ENGINE_FINISH_COUNT
};

struct engine_usage {
    uint32_t prompt_tokens, completion_tokens;
    uint64_t queue_us, prefill_us, decode_us; /* submit -> first step -> first token -> end */
};

enum engine_event_kind { ENGINE_EVENT_TOKEN, ENGINE_EVENT_DONE };

struct engine_logprob { int32_t token; float logprob; };

struct engine_event {
    enum engine_event_kind kind;
    /* TOKEN: `text` holds what became complete (whole UTF-8 characters; may be empty while a
     * character or a possible stop string is held back). Valid until the next read. */
    int32_t token;
    const char *text;
    size_t text_len;
    float logprob;                        /* natural log, when asked for */
    struct engine_logprob top[ENGINE_MAX_LOGPROBS];       /* n_top alternatives, best first */
    uint32_t n_top;
    /* DONE: always the last event, exactly once. `text` may hold a last piece. */
    enum engine_finish finish;
    struct engine_usage usage;
    struct err err;
};

/* Queues a request. Errors (nothing queued): ERR_ARG (values out of range, token ids out of the
 * vocabulary), ERR_LIMIT (prompt longer than the context; the message has both counts), ERR_BUSY
 * (queue full). *out is owned by the caller until engine_stream_release. */
bool engine_submit(struct engine *eng, const struct engine_request *req,
                   struct engine_stream **out, struct err *e) WARN_UNUSED;

/* Takes the next event. Returns false when there is none now. One reader per stream. */
bool engine_stream_next(struct engine_stream *s, struct engine_event *ev) WARN_UNUSED;
/* As _next, but waits up to timeout_ms (-1 = for ever). */
bool engine_stream_wait(struct engine_stream *s, struct engine_event *ev, int timeout_ms) WARN_UNUSED;
/* Asks the engine to stop the request: its pages are free within one step. Idempotent. */
void engine_stream_cancel(struct engine_stream *s);
/* Whether the engine has taken it out of its queue: if not, nothing was computed yet. One that was
 * cancelled before is never begun afterwards, but for the step that is being put together. */
bool engine_stream_begun(const struct engine_stream *s);
/* Cancels when not finished, and frees. notify is not called any more once this returns. */
void engine_stream_release(struct engine_stream **s);

/* ---- state ----------------------------------------------------------------------------------- */

struct engine_stats {
    uint32_t running, waiting;
    uint32_t pages_used, pages_total;
    uint64_t requests, prompt_tokens, completion_tokens, steps, preemptions, cancelled;
    uint64_t last_step_age_us; /* since the last finished step; 0 while nothing waits or runs */
    uint64_t bytes_per_step;   /* weight bytes read by the last step */
    bool failed;               /* the device was lost; new requests get ERR_DEVICE */
};
void engine_stats(const struct engine *eng, struct engine_stats *out);

/* ---- tools ----------------------------------------------------------------------------------- */

/* Logits of a prompt, float32 [n_positions, vocab], row-major; positions: all n or only the last.
 * `chunk`: prefill chunk length, 0 = the step budget. *out_take is malloc'ed. No other request may
 * be running on this engine. Waits for the device. */
bool engine_logits(struct engine *eng, const int32_t *tokens, size_t n, bool all_positions,
                   uint32_t chunk, float **out_take, size_t *n_positions, struct err *e) WARN_UNUSED;

/* The tokenizer of a model file alone: reads its metadata, no weights, and needs no device. The
 * functions do what engine_tokenize and engine_token_bytes do. Cost: common files in under a second. */
struct engine_vocabulary;
bool engine_vocabulary_open(const char *model_path, struct engine_vocabulary **out,
                            struct err *e) WARN_UNUSED;
void engine_vocabulary_close(struct engine_vocabulary **v); /* accepts NULL */
bool engine_vocabulary_tokenize(const struct engine_vocabulary *v, const char *text, size_t len,
                                unsigned flags, size_t max_ids, int32_t **ids_take, size_t *n,
                                struct err *e) WARN_UNUSED;
const char *engine_vocabulary_bytes(const struct engine_vocabulary *v, int32_t id, size_t *len);

/* Prints architecture, shapes, types, memory needed and the context that fits, without loading. */
bool engine_inspect(const char *model_path, bool list_tensors, FILE *out, struct err *e) WARN_UNUSED;

/* Prints every usable device with its limits and features; with `kernels` the variants picked for it
 * too. False (with an error) when there is none. */
bool engine_device_list(FILE *out, bool kernels, struct err *e) WARN_UNUSED;

#endif
