/* Hyper-parameters of a model, read from GGUF metadata and checked: nothing is taken on trust.
 *
 * Source: GGUF keys of architecture `deepseek2` (DeepSeek V2, V2-Lite, V3, R1).
 * Thread: plain data. Errors name the metadata key and say what is wrong with it.
 */
#ifndef SEEKD_MODEL_HPARAMS_H
#define SEEKD_MODEL_HPARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct gguf;

enum hparams_gating { HPARAMS_GATING_SOFTMAX, HPARAMS_GATING_SIGMOID };

struct hparams {
    char arch[32];
    uint32_t n_layers;  /* without the MTP layers */
    uint32_t n_mtp;     /* nextn_predict_layers at the end of the file, not run */
    uint32_t n_ctx;     /* positions the model was trained for */
    uint32_t hidden;    /* width of the residual stream */
    uint32_t n_head;
    uint32_t vocab;     /* rows of token_embd */
    float rms_eps;

    /* Multi-head latent attention (DeepSeek-V2 report, section 2.1) */
    uint32_t q_lora;    /* 0: queries come from one matrix */
    uint32_t kv_latent; /* kv_lora_rank */
    uint32_t qk_nope, qk_rope, v_head;
    bool kv_b_unsplit;  /* legacy files: attn_kv_b instead of attn_k_b and attn_v_b */
    float attn_scale;   /* (nope + rope)^-0.5, times the YaRN factor squared */

    /* Rotary embedding */
    float rope_base;
    enum { HPARAMS_ROPE_NONE, HPARAMS_ROPE_LINEAR, HPARAMS_ROPE_YARN } rope_scaling;
    float rope_factor, yarn_beta_fast, yarn_beta_slow, yarn_log_mul;
    uint32_t rope_orig_ctx;

    /* Feed-forward */
    uint32_t n_dense;   /* leading dense layers */
    uint32_t ffn_dense; /* width of a dense layer */
    uint32_t n_expert, n_used, n_shared, ffn_expert;
    uint32_t n_group, groups_used; /* 1, 1: no group limit */
    enum hparams_gating gating;
    bool renorm;        /* chosen weights are divided by their sum */
    float routed_scale;
};

/* Reads and checks all of it. Errors: ERR_UNSUPPORTED (other architecture or rope scaling),
 * ERR_FORMAT (missing, mistyped or impossible values). */
bool hparams_read(const struct gguf *g, struct hparams *hp, struct err *e) WARN_UNUSED;

/* KV cache bytes of one token over all layers; elem_bytes is 4 (f32) or 2 (f16). */
uint64_t hparams_kv_bytes(const struct hparams *hp, uint32_t elem_bytes);

/* Rotary frequencies f'_i in radians per position, i < qk_rope/2, with the file's scaling applied.
 * Source: YaRN (Peng et al. 2023) as in DeepSeek's reference code. */
void hparams_rope_freqs(const struct hparams *hp, double *freqs);

#endif
