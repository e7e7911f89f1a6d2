/* A model on a device: weights, activation buffers, KV cache, and the plans of its steps.
 *
 * Thread: the engine thread after model_load. Owner: the caller of model_load.
 */
#ifndef SEEKD_MODEL_MODEL_H
#define SEEKD_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "device/device.h"
#include "model/hparams.h"

struct gguf;
struct model;

struct model_options {
    uint32_t max_rows; /* token rows of one step */
    uint32_t max_out;  /* logits rows of one step */
    uint32_t max_seqs; /* rows of the block table */
    uint32_t max_ctx;  /* tokens per sequence; 0 = as the model says. Cut to what the pool holds */
    uint64_t kv_bytes; /* KV pool over all layers; 0 = a default from the device */
    bool kv_f16;       /* cache elements: f16, else f32 */
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *user;
};

/* Uploads the weights and allocates everything a step needs. Cost: rare.
 * Errors: ERR_UNSUPPORTED, ERR_FORMAT (missing tensors, wrong shapes; the tensor is named),
 * ERR_NOMEM, ERR_LIMIT, ERR_DEVICE. `d` is borrowed until model_destroy; `g` for the call only. */
bool model_load(struct dev *d, const struct gguf *g, const struct model_options *opt,
                struct model **out, struct err *e) WARN_UNUSED;
void model_destroy(struct model **m);

const struct hparams *model_hparams(const struct model *m);
struct dev_step *model_step(struct model *m); /* step buffers: the scheduler fills them */
uint32_t model_n_pages(const struct model *m);
uint32_t model_max_ctx(const struct model *m); /* tokens per sequence */
uint64_t model_weight_bytes(const struct model *m); /* device memory of all weights */
uint64_t model_kv_bytes(const struct model *m);
uint64_t model_n_params(const struct model *m);

/* Runs one step over the rows that the step buffers describe (head.n_rows <= max_rows): picks the
 * shape bucket, builds its plan on first use, submits and waits. */
bool model_run(struct model *m, struct err *e) WARN_UNUSED;
/* Weight bytes that the last step read (experts counted once each, as the device reported). */
uint64_t model_step_bytes(const struct model *m);

/* Logits row j < n_out of the last step after edits: float32 [vocab] into out. */
bool model_read_logits(struct model *m, uint32_t j, float *out, struct err *e) WARN_UNUSED;
/* Residual stream after layer l (test traces): not kept by normal plans, so this builds a plan for
 * layers [0, l) only, runs it on the step buffers as they are, and reads x [n_rows, hidden]. */
bool model_trace(struct model *m, uint32_t n_layers, float *out, struct err *e) WARN_UNUSED;

#endif
