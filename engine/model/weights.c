/* Owns: tensor names and shapes of `deepseek2` files, and their way onto the device. Refuses to know
 * what is computed with them.
 *
 * Vectors are collected on the host during binding and uploaded once at the end; matrices go to the
 * device one by one and their file pages are released at once, so that loading needs no second copy.
 */
#include <config.h>

#include "model/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/mem.h"
#include "format/gguf.h"

struct loader {
    struct dev *d;
    const struct gguf *g;
    const struct hparams *hp;
    struct weights *w;
    struct err *e;
    void (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
    uint64_t done, total;
    float *vectors; /* owned, n_vectors elements used */
    size_t n_vectors, cap_vectors;
};

static bool is_bound(const char *name, uint32_t n_layers)
{
    unsigned layer;
    return sscanf(name, "blk.%u.", &layer) != 1 || layer < n_layers;
}

uint64_t weights_file_bytes(const struct gguf *g, const struct hparams *hp)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (is_bound(t->name, hp->n_layers) && !checked_add(sum, t->bytes, &sum))
            return UINT64_MAX;
    }
    return sum;
}

static void report(struct loader *l, const struct gguf_tensor *t)
{
    l->done += t->bytes;
    l->w->n_params += t->n_elems;
    gguf_tensor_release_pages(t);
    if (l->progress)
        l->progress(l->user, l->done, l->total);
}

/* Finds a tensor and checks its shape (rows and mats 1 where a dimension is absent). */
static const struct gguf_tensor *find(struct loader *l, const char *name, uint64_t cols,
                                      uint64_t rows, uint64_t mats)
{
    const struct gguf_tensor *t = gguf_tensor_find(l->g, name);
    if (!t) {
        err_set(l->e, ERR_FORMAT, 0, __FILE__, __LINE__, "tensor %s is missing", name);
        return NULL;
    }
    bool same = t->ne[0] == cols && t->ne[1] == rows && t->ne[2] == mats && t->ne[3] == 1;
    /* Some writers store per-head matrices with heads and rows in one dimension. */
    same = same || (t->n_dims == 2 && t->ne[0] == cols && t->ne[1] == rows * mats);
    if (!same) {
        err_set(l->e, ERR_FORMAT, 0, __FILE__, __LINE__,
                "tensor %s has shape [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]; the metadata asks for "
                "[%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]",
                name, t->ne[0], t->ne[1], t->ne[2], cols, rows, mats);
        return NULL;
    }
    const struct quant_type *q = quant_type_get(t->type);
    if (!q || !q->supported) {
        err_set(l->e, ERR_UNSUPPORTED, 0, __FILE__, __LINE__,
                "tensor %s has type %s, which this version cannot run", name,
                q ? q->name : "unknown");
        return NULL;
    }
    return t;
}

static bool dequant_all(struct loader *l, const struct gguf_tensor *t, float *out)
{
    const struct quant_type *q = quant_type_get(t->type);
    if (t->n_elems % q->block_elems)
        FAIL(l->e, ERR_FORMAT, "tensor %s is no whole number of blocks", t->name);
    q->dequant(t->data, t->n_elems / q->block_elems, out);
    return true;
}

/* Adds a float vector of n elements to the shared buffer; offset in *out, a multiple of 4. */
static bool vector(struct loader *l, const char *name, uint32_t n, uint32_t *out)
{
    const struct gguf_tensor *t = find(l, name, n, 1, 1);
    if (!t)
        return false;
    size_t at = (l->n_vectors + 3) & ~(size_t)3;
    if (at + n > l->cap_vectors) {
        size_t cap = (at + n) * 2;
        float *p = mem_try_reallocarray(l->vectors, cap, sizeof *p);
        if (!p)
            FAIL(l->e, ERR_NOMEM, "out of memory for %s", name);
        l->vectors = p;
        l->cap_vectors = cap;
    }
    memset(l->vectors + l->n_vectors, 0, (at - l->n_vectors) * sizeof *l->vectors);
    if (!dequant_all(l, t, l->vectors + at))
        return false;
    l->n_vectors = at + n;
    *out = (uint32_t)at;
    report(l, t);
    return true;
}

static bool upload(struct loader *l, const struct dev_weight_desc *desc, struct dev_weight **out)
{
    if (!dev_weight_create(l->d, desc, out, l->e))
        return err_prefix(l->e, "tensor %s", desc->name);
    l->w->bytes += dev_weight_bytes(*out);
    return true;
}

static bool matrix(struct loader *l, const char *name, uint32_t cols, uint32_t rows, uint32_t mats,
                   struct dev_weight **out)
{
    const struct gguf_tensor *t = find(l, name, cols, rows, mats);
    if (!t)
        return false;
    gguf_tensor_prefetch(t);
    struct dev_weight_desc desc = {.type = t->type, .n_mat = mats, .rows = rows, .cols = cols,
                                   .data = t->data, .name = name};
    if (!upload(l, &desc, out))
        return false;
    report(l, t);
    return true;
}

/* Encodes floats as the narrowest type that holds values of `source` type: exact for F32, F16 and
 * BF16; quantised sources become F16 (relative rounding 2^-11). */
static uint32_t encode_plain(uint32_t source, const float *in, size_t n, void *out)
{
    if (source == TENSOR_F32) {
        memcpy(out, in, n * sizeof *in);
        return TENSOR_F32;
    }
    uint16_t *h = out;
    bool bf16 = source == TENSOR_BF16;
    for (size_t i = 0; i < n; i++)
        h[i] = bf16 ? quant_f32_to_bf16(in[i]) : quant_f32_to_f16(in[i]);
    return bf16 ? TENSOR_BF16 : TENSOR_F16;
}

/* Legacy attn_kv_b [latent, n_head * (nope + v)]: per head nope rows of K, then v rows of V. The
 * absorbed form needs K transposed, so the whole matrix is decoded and split. */
static bool split_kv_b(struct loader *l, const char *name, struct layer_weights *w)
{
    const struct hparams *hp = l->hp;
    uint32_t heads = hp->n_head, nope = hp->qk_nope, v = hp->v_head, latent = hp->kv_latent;
    const struct gguf_tensor *t = find(l, name, latent, (uint64_t)heads * (nope + v), 1);
    if (!t)
        return false;
    size_t nk = (size_t)heads * nope * latent, nv = (size_t)heads * v * latent;
    float *all = mem_try_calloc(t->n_elems, sizeof *all);
    float *part = mem_try_calloc(nk > nv ? nk : nv, sizeof *part);
    void *packed = mem_try_calloc(nk > nv ? nk : nv, sizeof(float));
    bool ok = false;
    if (!all || !part || !packed) {
        err_set(l->e, ERR_NOMEM, 0, __FILE__, __LINE__, "out of memory splitting %s", name);
        goto fail;
    }
    TRY(dequant_all(l, t, all));
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t n = 0; n < nope; n++)
            for (uint32_t r = 0; r < latent; r++)
                part[((size_t)h * latent + r) * nope + n] =
                    all[((size_t)h * (nope + v) + n) * latent + r];
    struct dev_weight_desc k = {.n_mat = heads, .rows = latent, .cols = nope, .data = packed,
                                .name = name};
    k.type = encode_plain(t->type, part, nk, packed);
    TRY(upload(l, &k, &w->k_b));
    for (uint32_t h = 0; h < heads; h++)
        memcpy(part + (size_t)h * v * latent, all + ((size_t)h * (nope + v) + nope) * latent,
               (size_t)v * latent * sizeof *part);
    struct dev_weight_desc vd = {.n_mat = heads, .rows = v, .cols = latent, .data = packed,
                                 .name = name};
    vd.type = encode_plain(t->type, part, nv, packed);
    TRY(upload(l, &vd, &w->v_b));
    report(l, t);
    ok = true;
fail:
    free(all);
    free(part);
    free(packed);
    return ok;
}

/* "blk.N.SUFFIX" in a buffer of the loader's caller. */
struct name {
    char s[64];
};
static struct name blk(uint32_t layer, const char *suffix)
{
    struct name n;
    snprintf(n.s, sizeof n.s, "blk.%u.%s", layer, suffix);
    return n;
}

static bool load_attention(struct loader *l, uint32_t i, struct layer_weights *w)
{
    const struct hparams *hp = l->hp;
    uint32_t q_rows = hp->n_head * (hp->qk_nope + hp->qk_rope);
    if (!vector(l, blk(i, "attn_norm.weight").s, hp->hidden, &w->attn_norm))
        return false;
    if (hp->q_lora) {
        if (!matrix(l, blk(i, "attn_q_a.weight").s, hp->hidden, hp->q_lora, 1, &w->q_a) ||
            !vector(l, blk(i, "attn_q_a_norm.weight").s, hp->q_lora, &w->q_a_norm) ||
            !matrix(l, blk(i, "attn_q_b.weight").s, hp->q_lora, q_rows, 1, &w->q_b))
            return false;
    } else if (!matrix(l, blk(i, "attn_q.weight").s, hp->hidden, q_rows, 1, &w->q_b)) {
        return false;
    }
    if (!matrix(l, blk(i, "attn_kv_a_mqa.weight").s, hp->hidden, hp->kv_latent + hp->qk_rope, 1,
                &w->kv_a) ||
        !vector(l, blk(i, "attn_kv_a_norm.weight").s, hp->kv_latent, &w->kv_a_norm))
        return false;
    if (hp->kv_b_unsplit) {
        if (!split_kv_b(l, blk(i, "attn_kv_b.weight").s, w))
            return false;
    } else if (!matrix(l, blk(i, "attn_k_b.weight").s, hp->qk_nope, hp->kv_latent, hp->n_head,
                       &w->k_b) ||
               !matrix(l, blk(i, "attn_v_b.weight").s, hp->kv_latent, hp->v_head, hp->n_head,
                       &w->v_b)) {
        return false;
    }
    return matrix(l, blk(i, "attn_output.weight").s, hp->n_head * hp->v_head, hp->hidden, 1,
                  &w->attn_out);
}

static bool load_gated(struct loader *l, uint32_t i, const char *kind, uint32_t width,
                       struct layer_weights *w)
{
    char gate[40], up[40], down[40];
    snprintf(gate, sizeof gate, "ffn_gate%s.weight", kind);
    snprintf(up, sizeof up, "ffn_up%s.weight", kind);
    snprintf(down, sizeof down, "ffn_down%s.weight", kind);
    uint32_t d = l->hp->hidden;
    return matrix(l, blk(i, gate).s, d, width, 1, &w->gate) &&
           matrix(l, blk(i, up).s, d, width, 1, &w->up) &&
           matrix(l, blk(i, down).s, width, d, 1, &w->down);
}

static bool load_ffn(struct loader *l, uint32_t i, struct layer_weights *w)
{
    const struct hparams *hp = l->hp;
    uint32_t d = hp->hidden, f = hp->ffn_expert, n = hp->n_expert;
    if (!vector(l, blk(i, "ffn_norm.weight").s, d, &w->ffn_norm))
        return false;
    w->moe = i >= hp->n_dense;
    if (!w->moe)
        return load_gated(l, i, "", hp->ffn_dense, w);
    w->has_expert_bias = gguf_tensor_find(l->g, blk(i, "exp_probs_b.bias").s) != NULL;
    if (!matrix(l, blk(i, "ffn_gate_inp.weight").s, d, n, 1, &w->router) ||
        (w->has_expert_bias &&
         !vector(l, blk(i, "exp_probs_b.bias").s, n, &w->expert_bias)) ||
        !matrix(l, blk(i, "ffn_gate_exps.weight").s, d, f, n, &w->gate_exps) ||
        !matrix(l, blk(i, "ffn_up_exps.weight").s, d, f, n, &w->up_exps) ||
        !matrix(l, blk(i, "ffn_down_exps.weight").s, f, d, n, &w->down_exps))
        return false;
    return hp->n_shared == 0 || load_gated(l, i, "_shexp", hp->n_shared * f, w);
}

static bool load_all(struct loader *l)
{
    const struct hparams *hp = l->hp;
    struct weights *w = l->w;
    if (!matrix(l, "token_embd.weight", hp->hidden, hp->vocab, 1, &w->embd) ||
        !vector(l, "output_norm.weight", hp->hidden, &w->out_norm))
        return false;
    if (!gguf_tensor_find(l->g, "output.weight"))
        w->head = w->embd;
    else if (!matrix(l, "output.weight", hp->hidden, hp->vocab, 1, &w->head))
        return false;
    for (uint32_t i = 0; i < hp->n_layers; i++) {
        if (!load_attention(l, i, &w->layers[i]) || !load_ffn(l, i, &w->layers[i]))
            return false;
    }
    uint64_t bytes = l->n_vectors * sizeof *l->vectors;
    w->bytes += bytes;
    return dev_buf_create(l->d, bytes, DEV_MEM_DEVICE, "vectors", &w->vectors, l->e) &&
           dev_buf_write(l->d, w->vectors, 0, l->vectors, bytes, l->e);
}

bool weights_load(struct dev *d, const struct gguf *g, const struct hparams *hp,
                  void (*progress)(void *user, uint64_t done, uint64_t total), void *user,
                  struct weights *w, struct err *e)
{
    *w = (struct weights){.n_layers = hp->n_layers};
    w->layers = mem_calloc(hp->n_layers, sizeof *w->layers);
    struct loader l = {.d = d, .g = g, .hp = hp, .w = w, .e = e, .progress = progress,
                       .user = user, .total = weights_file_bytes(g, hp)};
    bool ok = load_all(&l);
    free(l.vectors);
    if (!ok)
        weights_release(d, w);
    return ok;
}

void weights_release(struct dev *d, struct weights *w)
{
    if (w->head == w->embd)
        w->head = NULL;
    dev_weight_destroy(d, &w->embd);
    dev_weight_destroy(d, &w->head);
    dev_buf_destroy(d, &w->vectors);
    for (uint32_t i = 0; w->layers && i < w->n_layers; i++) {
        struct layer_weights *lw = &w->layers[i];
        struct dev_weight **all[] = {&lw->q_a, &lw->q_b, &lw->kv_a, &lw->k_b, &lw->v_b,
                                     &lw->attn_out, &lw->gate, &lw->up, &lw->down, &lw->router,
                                     &lw->gate_exps, &lw->up_exps, &lw->down_exps};
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
            dev_weight_destroy(d, all[k]);
    }
    free(w->layers);
    *w = (struct weights){0};
}
