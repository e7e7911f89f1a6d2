/* What an architecture file gives to model.c: the ops of layers [first, last) and of the head.
 * Inside model/ only. A new architecture is one new arch_<family>.c with these two functions. */
#ifndef SEEKD_MODEL_ARCH_H
#define SEEKD_MODEL_ARCH_H

#include "device/device.h"
#include "model/hparams.h"
#include "model/weights.h"

/* Activation buffers, float32, shared by all plans of a model. Widths in elements. */
struct activations {
    struct dev_view x;      /* [max_rows, hidden] residual stream */
    struct dev_view norm;   /* [max_rows, hidden] */
    struct dev_view q_lora; /* [max_rows, q_lora] */
    struct dev_view q;      /* [max_rows, n_head, nope + rope] */
    struct dev_view kv;     /* [max_rows, latent + rope] */
    struct dev_view q_abs;  /* [max_rows, n_head, latent + rope] */
    struct dev_view z;      /* [max_rows, n_head, latent] attention output in latent space */
    struct dev_view o;      /* [max_rows, n_head, v_head] */
    struct dev_view gated;  /* [max_rows, max(ffn_dense, shared width)] */
    struct dev_view router; /* [max_rows, n_expert] */
    struct dev_view moe_h;  /* [max_rows * n_used, ffn_expert] */
    struct dev_view moe_o;  /* [max_rows * n_used, hidden] */
    struct dev_buf *choice, *weight, *lists;
    struct dev_view out;    /* [max_out, hidden] rows whose logits are wanted */
    struct dev_view logits; /* [max_out, vocab] */
};

struct arch_context {
    const struct hparams *hp;
    const struct weights *w;
    const struct activations *a;
    struct dev_buf *const *kv; /* [n_layers] page pools */
    bool kv_f16;
    struct dev_rope rope;
};

/* Embedding when first == 0, then layers first..last-1. */
bool arch_deepseek2_layers(struct plan *p, const struct arch_context *c, uint32_t first,
                           uint32_t last, struct err *e) WARN_UNUSED;
/* Gather of the wanted rows, final norm, output head, edits, candidates. */
bool arch_deepseek2_head(struct plan *p, const struct arch_context *c, struct err *e) WARN_UNUSED;

#endif
