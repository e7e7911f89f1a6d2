/* Owns: what a loaded model holds on its device, the size of the KV pool, and one plan per shape
 * bucket. Refuses to know requests, text and sampling.
 *
 * Buckets are powers of two of token rows: a step of n rows runs the plan of the next bucket; rows
 * beyond n are skipped by the kernels, which read n from the step head.
 */
#include <config.h>

#include "model/model.h"

#include <inttypes.h>
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "model/arch.h"

enum { MAX_BUCKETS = 16, ROPE_LOW = 256 };
static const uint64_t DEFAULT_SOFTWARE_KV_BYTES = (uint64_t)256 << 20;

struct model {
    struct dev *d; /* borrowed */
    struct hparams hp;
    struct weights w;
    struct activations a;
    struct dev_buf **kv; /* [n_layers] */
    struct dev_buf *rope;
    struct dev_step step;
    struct plan *plans[MAX_BUCKETS]; /* bucket b: up to 1 << b rows */
    bool kv_f16;
    uint32_t max_rows, max_out, n_pages, max_ctx;
    uint64_t kv_bytes;
};

static uint32_t align4(uint32_t n)
{
    return (n + 3) & ~3u;
}

static bool make_buf(struct model *m, uint64_t rows, uint64_t width, const char *tag,
                     struct dev_buf **out, struct err *e)
{
    uint64_t bytes;
    if (!checked_mul(rows, width, &bytes) || !checked_mul(bytes, 4, &bytes) ||
        bytes > dev_info(m->d)->max_bind_bytes)
        FAIL(e, ERR_LIMIT, "the %s buffer of %" PRIu64 " x %" PRIu64 " values exceeds what the "
             "device can bind; use a smaller --step-tokens", tag, rows, width);
    return dev_buf_create(m->d, bytes ? bytes : 16, DEV_MEM_DEVICE, tag, out, e);
}

static bool make_view(struct model *m, uint64_t rows, uint32_t width, const char *tag,
                      struct dev_view *out, struct err *e)
{
    *out = (struct dev_view){.stride = align4(width)};
    return make_buf(m, rows, out->stride, tag, &out->buf, e);
}

static bool make_activations(struct model *m, struct err *e)
{
    const struct hparams *hp = &m->hp;
    struct activations *a = &m->a;
    uint64_t rows = m->max_rows, slots = rows * (hp->n_used ? hp->n_used : 1);
    uint32_t shared = hp->n_shared * hp->ffn_expert;
    uint32_t gated = hp->ffn_dense > shared ? hp->ffn_dense : shared;
    bool ok = make_view(m, rows, hp->hidden, "x", &a->x, e) &&
              make_view(m, rows, hp->hidden, "norm", &a->norm, e) &&
              make_view(m, rows, hp->q_lora, "q_lora", &a->q_lora, e) &&
              make_view(m, rows, hp->n_head * (hp->qk_nope + hp->qk_rope), "q", &a->q, e) &&
              make_view(m, rows, hp->kv_latent + hp->qk_rope, "kv", &a->kv, e) &&
              make_view(m, rows, hp->n_head * (hp->kv_latent + hp->qk_rope), "q_abs", &a->q_abs,
                        e) &&
              make_view(m, rows, hp->n_head * hp->kv_latent, "z", &a->z, e) &&
              make_view(m, rows, hp->n_head * hp->v_head, "o", &a->o, e) &&
              make_view(m, rows, gated, "gated", &a->gated, e) &&
              make_view(m, m->max_out, hp->hidden, "out", &a->out, e) &&
              make_view(m, m->max_out, hp->vocab, "logits", &a->logits, e);
    if (!ok || hp->n_dense == hp->n_layers)
        return ok;
    return make_view(m, rows, hp->n_expert, "router", &a->router, e) &&
           make_view(m, slots, hp->ffn_expert, "moe_h", &a->moe_h, e) &&
           make_view(m, slots, hp->hidden, "moe_o", &a->moe_o, e) &&
           make_buf(m, slots, 1, "choice", &a->choice, e) &&
           make_buf(m, slots, 1, "weight", &a->weight, e) &&
           dev_buf_create(m->d, dev_moe_lists_bytes(m->d, m->max_rows, hp->n_used, hp->n_expert),
                          DEV_MEM_DEVICE, "lists", &a->lists, e);
}

/* Decides pages and context from the options, the model and the device. */
static bool size_pool(struct model *m, const struct model_options *opt, struct err *e)
{
    const struct hparams *hp = &m->hp;
    const struct dev_info *info = dev_info(m->d);
    uint32_t elem = m->kv_f16 ? 2 : 4;
    uint64_t layer_page = (uint64_t)DEV_PAGE_TOKENS * (hp->kv_latent + hp->qk_rope) * elem;
    uint64_t page = layer_page * hp->n_layers;
    uint64_t pool = opt->kv_bytes;
    if (pool == 0) {
        uint64_t left = info->memory_bytes > m->w.bytes ? info->memory_bytes - m->w.bytes : 0;
        pool = info->software ? DEFAULT_SOFTWARE_KV_BYTES : left / 10 * 7;
    }
    uint32_t ctx = opt->max_ctx && opt->max_ctx < hp->n_ctx ? opt->max_ctx : hp->n_ctx;
    uint64_t wanted = ((uint64_t)ctx + DEV_PAGE_TOKENS - 1) / DEV_PAGE_TOKENS * opt->max_seqs;
    uint64_t n = pool / page;
    uint64_t bind_max = info->max_bind_bytes / layer_page;
    n = n > wanted ? wanted : n;
    n = n > bind_max ? bind_max : n;
    if (n == 0)
        FAIL(e, ERR_LIMIT, "a KV pool of %" PRIu64 " bytes does not hold one page of %" PRIu64
             " bytes; use a larger --kv-bytes", pool, page);
    m->n_pages = (uint32_t)n;
    uint64_t fits = n * DEV_PAGE_TOKENS;
    m->max_ctx = fits < ctx ? (uint32_t)fits : ctx;
    m->kv_bytes = n * page;
    m->kv = mem_calloc(hp->n_layers, sizeof *m->kv);
    for (uint32_t i = 0; i < hp->n_layers; i++) {
        if (!dev_buf_create(m->d, n * layer_page, DEV_MEM_RAW, "kv", &m->kv[i], e))
            return err_prefix(e, "KV pool");
    }
    return true;
}

/* Tables of struct dev_rope: cos and sin of positions 0..255, then of the multiples of 256. */
static bool make_rope(struct model *m, struct err *e)
{
    uint32_t half = m->hp.qk_rope / 2, n_hi = m->max_ctx / ROPE_LOW + 1;
    size_t rows = (size_t)ROPE_LOW + n_hi, n = rows * half * 2;
    float *table = mem_try_calloc(n, sizeof *table);
    double *freqs = mem_try_calloc(half, sizeof *freqs);
    bool ok = false;
    if (!table || !freqs) {
        err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "out of memory for the rotary tables");
        goto fail;
    }
    hparams_rope_freqs(&m->hp, freqs);
    for (size_t r = 0; r < rows; r++) {
        double pos = r < ROPE_LOW ? (double)r : (double)(r - ROPE_LOW) * ROPE_LOW;
        for (uint32_t i = 0; i < half; i++) {
            table[(r * half + i) * 2] = (float)cos(pos * freqs[i]);
            table[(r * half + i) * 2 + 1] = (float)sin(pos * freqs[i]);
        }
    }
    uint64_t bytes = n * sizeof *table;
    TRY(dev_buf_create(m->d, bytes, DEV_MEM_DEVICE, "rope", &m->rope, e));
    TRY(dev_buf_write(m->d, m->rope, 0, table, bytes, e));
    ok = true;
fail:
    free(table);
    free(freqs);
    return ok;
}

static bool make_step(struct model *m, const struct model_options *opt, struct err *e)
{
    uint32_t edits = m->hp.vocab + 1024;
    m->step = (struct dev_step){
        .max_rows = m->max_rows,
        .max_out = m->max_out,
        .max_edits = edits < 65536 ? 65536 : edits,
        .max_seqs = opt->max_seqs,
        .table_stride = (m->max_ctx + DEV_PAGE_TOKENS - 1) / DEV_PAGE_TOKENS,
        .n_stats = m->hp.n_layers,
    };
    return dev_step_init(m->d, &m->step, e);
}

bool model_load(struct dev *d, const struct gguf *g, const struct model_options *opt,
                struct model **out, struct err *e)
{
    struct model *m = mem_zalloc(sizeof *m);
    m->d = d;
    m->kv_f16 = opt->kv_f16;
    m->max_rows = opt->max_rows;
    m->max_out = opt->max_out;
    if (opt->max_rows == 0 || opt->max_rows > 1u << (MAX_BUCKETS - 1) || opt->max_out == 0 ||
        opt->max_seqs == 0) {
        err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "rows per step must be 1 to %u",
                1u << (MAX_BUCKETS - 1));
        goto fail;
    }
    TRY(hparams_read(g, &m->hp, e));
    TRY(weights_load(d, g, &m->hp, opt->progress, opt->user, &m->w, e));
    TRY(size_pool(m, opt, e));
    TRY(make_rope(m, e));
    TRY(make_activations(m, e));
    TRY(make_step(m, opt, e));
    *out = m;
    return true;
fail:
    model_destroy(&m);
    return false;
}

void model_destroy(struct model **mp)
{
    struct model *m = *mp;
    if (!m)
        return;
    for (int i = 0; i < MAX_BUCKETS; i++)
        plan_destroy(&m->plans[i]);
    struct activations *a = &m->a;
    struct dev_view *views[] = {&a->x, &a->norm, &a->q_lora, &a->q, &a->kv, &a->q_abs, &a->z, &a->o,
                                &a->gated, &a->router, &a->moe_h, &a->moe_o, &a->out, &a->logits};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
        dev_buf_destroy(m->d, &views[i]->buf);
    dev_buf_destroy(m->d, &a->choice);
    dev_buf_destroy(m->d, &a->weight);
    dev_buf_destroy(m->d, &a->lists);
    for (uint32_t i = 0; m->kv && i < m->hp.n_layers; i++)
        dev_buf_destroy(m->d, &m->kv[i]);
    free(m->kv);
    dev_buf_destroy(m->d, &m->rope);
    dev_step_release(m->d, &m->step);
    weights_release(m->d, &m->w);
    free(m);
    *mp = NULL;
}

static struct arch_context context(const struct model *m)
{
    return (struct arch_context){.hp = &m->hp,
                                 .w = &m->w,
                                 .a = &m->a,
                                 .kv = m->kv,
                                 .kv_f16 = m->kv_f16,
                                 .rope = {.table = m->rope, .n_rope = m->hp.qk_rope}};
}

static bool build_plan(struct model *m, uint32_t max_rows, uint32_t last_layer, bool head,
                       struct plan **out, struct err *e)
{
    struct arch_context c = context(m);
    struct plan *p = NULL;
    uint32_t max_out = max_rows < m->max_out ? max_rows : m->max_out;
    TRY(plan_create(m->d, &m->step, max_rows, max_out, &p, e));
    TRY(arch_deepseek2_layers(p, &c, 0, last_layer, e));
    TRY(!head || arch_deepseek2_head(p, &c, e));
    TRY(plan_finish(p, e));
    *out = p;
    return true;
fail:
    plan_destroy(&p);
    return false;
}

bool model_run(struct model *m, struct err *e)
{
    const struct dev_step_head *head = dev_buf_map(m->step.head);
    if (head->n_rows == 0 || head->n_rows > m->max_rows)
        FAIL(e, ERR_ARG, "a step of %u rows; 1 to %u fit", head->n_rows, m->max_rows);
    uint32_t bucket = 0;
    while ((1u << bucket) < head->n_rows)
        bucket++;
    uint32_t rows = 1u << bucket;
    if (rows > m->max_rows)
        rows = m->max_rows;
    bool first = !m->plans[bucket];
    if (first && !build_plan(m, rows, m->hp.n_layers, true, &m->plans[bucket], e))
        return err_prefix(e, "plan for %u rows", rows);
    memset(dev_buf_map(m->step.stats), 0, m->step.n_stats * sizeof(uint32_t));
    bool ok = plan_run(m->plans[bucket], e);
    if (first)
        malloc_trim(0); /* drivers compile at the first run; the C library would keep that memory */
    return ok;
}

uint64_t model_step_bytes(const struct model *m)
{
    const uint32_t *stats = dev_buf_map(m->step.stats);
    uint64_t sum = m->w.bytes;
    if (m->w.embd != m->w.head)
        sum -= dev_weight_bytes(m->w.embd); /* only a few rows of it are read */
    for (uint32_t i = m->hp.n_dense; i < m->hp.n_layers; i++) {
        const struct layer_weights *w = &m->w.layers[i];
        uint64_t all = dev_weight_bytes(w->gate_exps) + dev_weight_bytes(w->up_exps) +
                       dev_weight_bytes(w->down_exps);
        sum -= all - all / m->hp.n_expert * stats[i];
    }
    return sum;
}

bool model_read_logits(struct model *m, uint32_t j, float *out, struct err *e)
{
    uint64_t row = (uint64_t)m->a.logits.stride * sizeof(float);
    return dev_buf_read(m->d, m->a.logits.buf, j * row, out, (uint64_t)m->hp.vocab * sizeof(float),
                        e);
}

bool model_trace(struct model *m, uint32_t n_layers, float *out, struct err *e)
{
    const struct dev_step_head *head = dev_buf_map(m->step.head);
    struct plan *p = NULL;
    uint64_t row = (uint64_t)m->a.x.stride * sizeof(float);
    bool ok = false;
    TRY(build_plan(m, m->max_rows, n_layers, false, &p, e));
    TRY(plan_run(p, e));
    for (uint32_t i = 0; i < head->n_rows; i++)
        TRY(dev_buf_read(m->d, m->a.x.buf, i * row, out + (size_t)i * m->hp.hidden,
                         (uint64_t)m->hp.hidden * sizeof(float), e));
    ok = true;
fail:
    plan_destroy(&p);
    return ok;
}

const struct hparams *model_hparams(const struct model *m)
{
    return &m->hp;
}

struct dev_step *model_step(struct model *m)
{
    return &m->step;
}

uint32_t model_n_pages(const struct model *m)
{
    return m->n_pages;
}

uint32_t model_max_ctx(const struct model *m)
{
    return m->max_ctx;
}

uint64_t model_weight_bytes(const struct model *m)
{
    return m->w.bytes;
}

uint64_t model_kv_bytes(const struct model *m)
{
    return m->kv_bytes;
}

uint64_t model_n_params(const struct model *m)
{
    return m->w.n_params;
}
