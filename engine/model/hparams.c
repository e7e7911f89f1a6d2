/* Owns: the meaning of GGUF metadata keys. Refuses to know tensors and devices. */
#include <config.h>

#include "model/hparams.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/gguf.h"

enum { MAX_LAYERS = 1024, MAX_WIDTH = 1 << 20, MAX_CTX = 1 << 24, MAX_HEADS = 1024 };

/* Reads "<arch>.<name>". */
struct reader {
    const struct gguf *g;
    const char *arch;
    char key[96];
};

static const char *full_key(struct reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch, name);
    return r->key;
}

static bool get_u32(struct reader *r, const char *name, uint32_t min, uint32_t max, uint32_t *out,
                    struct err *e)
{
    const char *key = full_key(r, name);
    uint32_t v;
    if (!gguf_get_u32(r->g, key, &v, e))
        return false;
    if (v < min || v > max)
        FAIL(e, ERR_FORMAT, "metadata key %s is %u; it must be %u to %u", key, v, min, max);
    *out = v;
    return true;
}

static bool opt_u32(struct reader *r, const char *name, uint32_t dflt, uint32_t min, uint32_t max,
                    uint32_t *out, struct err *e)
{
    if (!gguf_find(r->g, full_key(r, name))) {
        *out = dflt;
        return true;
    }
    return get_u32(r, name, min, max, out, e);
}

static bool opt_f32(struct reader *r, const char *name, float dflt, float min, float max, float *out,
                    struct err *e)
{
    const char *key = full_key(r, name);
    if (!gguf_find(r->g, key)) {
        *out = dflt;
        return true;
    }
    float v;
    if (!gguf_get_f32(r->g, key, &v, e))
        return false;
    if (!(v >= min && v <= max))
        FAIL(e, ERR_FORMAT, "metadata key %s is %g; it must be %g to %g", key, (double)v,
             (double)min, (double)max);
    *out = v;
    return true;
}

static bool read_arch(const struct gguf *g, struct hparams *hp, struct err *e)
{
    struct gguf_str arch;
    if (!gguf_get_str(g, "general.architecture", &arch, e))
        return false;
    if (arch.len == 0 || arch.len >= sizeof hp->arch)
        FAIL(e, ERR_FORMAT, "metadata key general.architecture has %zu bytes; 1 to %zu expected",
             arch.len, sizeof hp->arch - 1);
    memcpy(hp->arch, arch.data, arch.len);
    hp->arch[arch.len] = '\0';
    if (strcmp(hp->arch, "deepseek2") != 0) {
        char quoted[64];
        for (char *c = hp->arch; *c; c++)
            if (*c < ' ' || *c > '~')
                *c = '?';
        snprintf(quoted, sizeof quoted, "%s", hp->arch);
        FAIL(e, ERR_UNSUPPORTED,
             "architecture '%s' is not supported; this version runs deepseek2 "
             "(DeepSeek V2, V2-Lite, V3, R1)", quoted);
    }
    return true;
}

static bool read_attention(struct reader *r, struct hparams *hp, struct err *e)
{
    uint32_t key_len, n_kv;
    const struct gguf *g = r->g;
    if (!get_u32(r, "attention.head_count", 1, MAX_HEADS, &hp->n_head, e) ||
        !opt_u32(r, "attention.head_count_kv", hp->n_head, 1, MAX_HEADS, &n_kv, e) ||
        !opt_u32(r, "attention.q_lora_rank", 0, 0, MAX_WIDTH, &hp->q_lora, e) ||
        !get_u32(r, "attention.kv_lora_rank", 4, MAX_WIDTH, &hp->kv_latent, e) ||
        !get_u32(r, "rope.dimension_count", 2, 1024, &hp->qk_rope, e))
        return false;
    hp->kv_b_unsplit = !gguf_tensor_find(g, "blk.0.attn_k_b.weight") &&
                       gguf_tensor_find(g, "blk.0.attn_kv_b.weight");
    bool mla_keys = gguf_find(g, full_key(r, "attention.key_length_mla")) != NULL;
    if (!get_u32(r, mla_keys ? "attention.key_length_mla" : "attention.key_length", 2, 4096,
                 &key_len, e) ||
        !get_u32(r, mla_keys ? "attention.value_length_mla" : "attention.value_length", 1, 4096,
                 &hp->v_head, e))
        return false;
    if (key_len <= hp->qk_rope)
        FAIL(e, ERR_FORMAT, "attention key length %u leaves no room beside %u rotary dimensions",
             key_len, hp->qk_rope);
    hp->qk_nope = key_len - hp->qk_rope;
    if (hp->kv_latent % 4 || hp->qk_rope % 4 || hp->qk_nope % 4 || hp->v_head % 4 ||
        hp->q_lora % 4 || hp->hidden % 4)
        FAIL(e, ERR_UNSUPPORTED, "attention dimensions must be multiples of 4 (latent %u, rope %u, "
             "nope %u, value %u, q_lora %u)", hp->kv_latent, hp->qk_rope, hp->qk_nope, hp->v_head,
             hp->q_lora);
    return true;
}

static bool read_rope(struct reader *r, struct hparams *hp, struct err *e)
{
    float scale_mul = 1.0f;
    if (!opt_f32(r, "rope.freq_base", 10000.0f, 1.0f, 1e9f, &hp->rope_base, e))
        return false;
    hp->rope_scaling = HPARAMS_ROPE_NONE;
    const char *key = full_key(r, "rope.scaling.type");
    if (gguf_find(r->g, key)) {
        struct gguf_str type;
        if (!gguf_get_str(r->g, key, &type, e))
            return false;
        if (type.len == 4 && !memcmp(type.data, "yarn", 4))
            hp->rope_scaling = HPARAMS_ROPE_YARN;
        else if (type.len == 6 && !memcmp(type.data, "linear", 6))
            hp->rope_scaling = HPARAMS_ROPE_LINEAR;
        else if (!(type.len == 4 && !memcmp(type.data, "none", 4)))
            FAIL(e, ERR_UNSUPPORTED, "metadata key %s: only none, linear and yarn are supported",
                 key);
    }
    if (hp->rope_scaling != HPARAMS_ROPE_NONE &&
        !opt_f32(r, "rope.scaling.factor", 1.0f, 1e-3f, 1e6f, &hp->rope_factor, e))
        return false;
    if (hp->rope_scaling == HPARAMS_ROPE_YARN) {
        /* Files older than the key: V2-Lite (27 layers) has mscale_all_dim 0.707, the others 1. */
        float dflt = hp->n_layers == 27 ? 0.0707f : 0.1f;
        if (!get_u32(r, "rope.scaling.original_context_length", 1, MAX_CTX, &hp->rope_orig_ctx, e) ||
            !opt_f32(r, "rope.scaling.yarn_log_multiplier", dflt, 0.0f, 10.0f, &hp->yarn_log_mul,
                     e) ||
            !opt_f32(r, "rope.scaling.yarn_beta_fast", 32.0f, 1e-3f, 1e6f, &hp->yarn_beta_fast, e) ||
            !opt_f32(r, "rope.scaling.yarn_beta_slow", 1.0f, 1e-3f, 1e6f, &hp->yarn_beta_slow, e))
            return false;
        if (hp->rope_factor > 1.0f)
            scale_mul = 1.0f + hp->yarn_log_mul * logf(hp->rope_factor);
    }
    hp->attn_scale =
        scale_mul * scale_mul / sqrtf((float)(hp->qk_nope + hp->qk_rope));
    return true;
}

static bool read_groups(struct reader *r, struct hparams *hp, struct err *e)
{
    /* Files older than the group keys: known by their number of experts. */
    uint32_t group = 1, used = 1;
    if (hp->n_expert == 256 && hp->gating == HPARAMS_GATING_SIGMOID)
        group = 8, used = 4;
    else if (hp->n_expert == 160 && hp->gating == HPARAMS_GATING_SOFTMAX)
        group = 8, used = 3;
    if (!opt_u32(r, "expert_group_count", group, 0, 512, &hp->n_group, e) ||
        !opt_u32(r, "expert_group_used_count", used, 0, 512, &hp->groups_used, e))
        return false;
    if (hp->n_group == 0)
        hp->n_group = 1;
    if (hp->groups_used == 0)
        hp->groups_used = hp->n_group;
    if (hp->groups_used > hp->n_group || hp->n_expert % hp->n_group ||
        hp->groups_used * (hp->n_expert / hp->n_group) < hp->n_used)
        FAIL(e, ERR_FORMAT, "%u of %u groups of %u experts cannot supply %u experts per token",
             hp->groups_used, hp->n_group, hp->n_expert, hp->n_used);
    if (hp->gating == HPARAMS_GATING_SIGMOID && hp->n_group > 1 && hp->n_expert / hp->n_group < 2)
        FAIL(e, ERR_FORMAT, "expert groups of one expert have no two best scores to add");
    return true;
}

static bool read_ffn(struct reader *r, struct hparams *hp, struct err *e)
{
    if (!opt_u32(r, "leading_dense_block_count", 0, 0, hp->n_layers, &hp->n_dense, e) ||
        !opt_u32(r, "expert_count", 0, 0, 512, &hp->n_expert, e))
        return false;
    if (hp->n_expert == 0)
        hp->n_dense = hp->n_layers;
    if (hp->n_dense > 0 &&
        !get_u32(r, "feed_forward_length", 4, MAX_WIDTH, &hp->ffn_dense, e))
        return false;
    if (hp->n_dense == hp->n_layers)
        return true;

    /* Files older than the key: a correction bias exists only with sigmoid scores. */
    char name[64];
    snprintf(name, sizeof name, "blk.%u.exp_probs_b.bias", hp->n_dense);
    uint32_t gating_default = gguf_tensor_find(r->g, name) ? 2 : 1, gating;
    if (!get_u32(r, "expert_used_count", 1, 16, &hp->n_used, e) ||
        !opt_u32(r, "expert_shared_count", 0, 0, 64, &hp->n_shared, e) ||
        !get_u32(r, "expert_feed_forward_length", 4, MAX_WIDTH, &hp->ffn_expert, e) ||
        !opt_u32(r, "expert_gating_func", gating_default, 0, 1000, &gating, e) ||
        !opt_f32(r, "expert_weights_scale", 1.0f, 0.0f, 1e6f, &hp->routed_scale, e))
        return false;
    if (gating == 0)
        gating = gating_default;
    if (gating > 2)
        FAIL(e, ERR_UNSUPPORTED, "expert gating function %u is not supported (1 softmax, 2 sigmoid)",
             gating);
    hp->gating = gating == 2 ? HPARAMS_GATING_SIGMOID : HPARAMS_GATING_SOFTMAX;
    if (hp->routed_scale == 0.0f)
        hp->routed_scale = 1.0f;
    const char *key = full_key(r, "expert_weights_norm");
    if (gguf_find(r->g, key) && !gguf_get_bool(r->g, key, &hp->renorm, e))
        return false;
    if (hp->n_used > hp->n_expert)
        FAIL(e, ERR_FORMAT, "%u experts per token of %u", hp->n_used, hp->n_expert);
    return read_groups(r, hp, e);
}

bool hparams_read(const struct gguf *g, struct hparams *hp, struct err *e)
{
    *hp = (struct hparams){0};
    if (!read_arch(g, hp, e))
        return false;
    struct reader r = {.g = g, .arch = hp->arch};
    if (!get_u32(&r, "block_count", 1, MAX_LAYERS, &hp->n_layers, e) ||
        !opt_u32(&r, "nextn_predict_layers", 0, 0, MAX_LAYERS, &hp->n_mtp, e) ||
        !get_u32(&r, "context_length", 1, MAX_CTX, &hp->n_ctx, e) ||
        !get_u32(&r, "embedding_length", 4, MAX_WIDTH, &hp->hidden, e) ||
        !opt_f32(&r, "attention.layer_norm_rms_epsilon", 1e-6f, 0.0f, 1.0f, &hp->rms_eps, e))
        return false;
    if (hp->n_mtp >= hp->n_layers)
        FAIL(e, ERR_FORMAT, "metadata key %s.nextn_predict_layers is %u of %u layers", hp->arch,
             hp->n_mtp, hp->n_layers);
    hp->n_layers -= hp->n_mtp;
    const struct gguf_tensor *embd = gguf_tensor_find(g, "token_embd.weight");
    if (!embd || embd->n_dims != 2 || embd->ne[1] == 0 || embd->ne[1] > UINT32_MAX / 4)
        FAIL(e, ERR_FORMAT, "tensor token_embd.weight is missing or not two-dimensional");
    hp->vocab = (uint32_t)embd->ne[1];
    return read_attention(&r, hp, e) && read_rope(&r, hp, e) && read_ffn(&r, hp, e);
}

uint64_t hparams_kv_bytes(const struct hparams *hp, uint32_t elem_bytes)
{
    return (uint64_t)hp->n_layers * (hp->kv_latent + hp->qk_rope) * elem_bytes;
}

/* Dimension (as a real number) whose frequency turns `rotations` times over the original context. */
static double yarn_dim(double rotations, double d, double base, double orig_ctx)
{
    return d * log(orig_ctx / (rotations * 2.0 * 3.14159265358979323846)) / (2.0 * log(base));
}

void hparams_rope_freqs(const struct hparams *hp, double *freqs)
{
    uint32_t half = hp->qk_rope / 2;
    double d = hp->qk_rope, base = hp->rope_base;
    double lo = 0.0, hi = 0.0;
    if (hp->rope_scaling == HPARAMS_ROPE_YARN) {
        lo = fmax(floor(yarn_dim(hp->yarn_beta_fast, d, base, hp->rope_orig_ctx)), 0.0);
        hi = fmin(ceil(yarn_dim(hp->yarn_beta_slow, d, base, hp->rope_orig_ctx)), d - 1.0);
        if (lo == hi)
            hi += 0.001;
    }
    for (uint32_t i = 0; i < half; i++) {
        double f = pow(base, -2.0 * i / d);
        if (hp->rope_scaling == HPARAMS_ROPE_LINEAR)
            f /= hp->rope_factor;
        if (hp->rope_scaling == HPARAMS_ROPE_YARN) {
            double ramp = fmin(fmax((i - lo) / (hi - lo), 0.0), 1.0);
            f = f / hp->rope_factor * ramp + f * (1.0 - ramp);
        }
        freqs[i] = f;
    }
}
