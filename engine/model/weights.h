/* Tensors of a model bound by name, shape-checked and made resident. Inside model/ only. */
#ifndef SEEKD_MODEL_WEIGHTS_H
#define SEEKD_MODEL_WEIGHTS_H

#include "device/device.h"
#include "model/hparams.h"

struct gguf;
struct gguf_tensor;

/* float32 vectors (norms, biases) share one device buffer; each is known by its first element. */
struct layer_weights {
    uint32_t attn_norm, q_a_norm, kv_a_norm, ffn_norm; /* vector offsets */
    struct dev_weight *q_a, *q_b; /* q_a NULL without q_lora; then q_b is attn_q */
    struct dev_weight *kv_a, *k_b, *v_b, *attn_out;
    struct dev_weight *gate, *up, *down; /* dense layer, or the shared experts; NULL when none */
    bool moe;
    struct dev_weight *router, *gate_exps, *up_exps, *down_exps;
    uint32_t expert_bias; /* vector offset */
    bool has_expert_bias;
};

struct weights {
    struct dev_weight *embd, *head; /* head may be the same object as embd (tied) */
    uint32_t out_norm;
    struct layer_weights *layers; /* [n_layers] */
    uint32_t n_layers;
    struct dev_buf *vectors;
    uint64_t bytes;    /* device memory of all weights */
    uint64_t n_params; /* elements of all tensors bound */
};

bool weights_load(struct dev *d, const struct gguf *g, const struct hparams *hp,
                  void (*progress)(void *user, uint64_t done, uint64_t total), void *user,
                  struct weights *w, struct err *e) WARN_UNUSED;
void weights_release(struct dev *d, struct weights *w);

/* Bytes in the file of the tensors that weights_load would bind. */
uint64_t weights_file_bytes(const struct gguf *g, const struct hparams *hp);

#endif
