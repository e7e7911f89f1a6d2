/* The compute device: buffers, resident weights, the op vocabulary, and plans.
 *
 * A plan is the list of ops of one step for at most `max_rows` token rows. It is built once per
 * shape bucket and run many times: everything that changes from step to step (tokens, positions,
 * block tables, row counts) lives in the step buffers, which the host fills before each run and the
 * ops read on the device. Each op declares what it reads and writes (dev_op_access); plan.c derives
 * from that which ops may run side by side and where a barrier is needed. No Vulkan type appears
 * here: another device implements the same `struct dev_impl`.
 *
 * Numbers: activations are float32 throughout; weights keep their stored precision; products
 * accumulate in float32. Same inputs, same bits on one device: no float atomics, fixed orders. A
 * row's result does not depend on which other rows share its step.
 *
 * Thread: the engine thread only, except dev_list. Owner: whoever created an object destroys it,
 * buffers and weights after the plans that use them, all before dev_close.
 * Errors: ERR_DEVICE after which dev_failed() is true and every further call fails; ERR_NOMEM when
 * memory is out (the device stays usable); ERR_LIMIT when a device limit would be exceeded.
 */
#ifndef SEEKD_DEVICE_DEVICE_H
#define SEEKD_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct dev;
struct dev_buf;
struct dev_weight;
struct plan;

/* ---- devices --------------------------------------------------------------------------------- */

struct dev_options {
    const char *name;      /* "auto", "vulkan", "vulkan:N" (N as dev_list numbers them) */
    const char *cache_dir; /* pipeline cache folder, NULL = none */
    /* Variant tier to use for every op: DEV_TIER_AUTO picks by the selection table. */
    enum dev_tier { DEV_TIER_AUTO, DEV_TIER_PORTABLE, DEV_TIER_FAST } tier;
};

struct dev_info {
    char name[160];   /* "llvmpipe (LLVM 15.0.6, 256 bits)" */
    char driver[96];  /* driver name and version */
    bool software;    /* a CPU pretending to be a GPU */
    uint64_t memory_bytes;    /* largest device-local heap */
    uint64_t max_bind_bytes;  /* largest range one op operand may span */
    uint64_t max_alloc_bytes; /* largest single buffer */
};

bool dev_open(const struct dev_options *opt, struct dev **out, struct err *e) WARN_UNUSED;
void dev_close(struct dev **d);
const struct dev_info *dev_info(const struct dev *d);
bool dev_failed(const struct dev *d);
/* Prints all devices with limits and features; with `kernels` the variants for every (op, type) too. */
bool dev_list(FILE *out, bool kernels, struct err *e) WARN_UNUSED;

/* ---- buffers --------------------------------------------------------------------------------- */

enum dev_mem {
    DEV_MEM_DEVICE, /* device only; dev_buf_write/_read stage */
    DEV_MEM_RAW,    /* as DEVICE, but content undefined at first: large pools written before read */
    DEV_MEM_STEP,   /* written by the host before a step, read by the device; mapped */
    DEV_MEM_RESULT  /* written by the device, read by the host after a step; mapped, host-cached */
};

/* `tag`: static string for memory reports. Content is zero at first, except with DEV_MEM_RAW.
 * bytes <= max_alloc_bytes. */
bool dev_buf_create(struct dev *d, uint64_t bytes, enum dev_mem mem, const char *tag,
                    struct dev_buf **out, struct err *e) WARN_UNUSED;
void dev_buf_destroy(struct dev *d, struct dev_buf **b);
void *dev_buf_map(struct dev_buf *b); /* host address for STEP and RESULT, else NULL */
uint64_t dev_buf_bytes(const struct dev_buf *b);
/* Synchronous copies; never while a plan runs. */
bool dev_buf_write(struct dev *d, struct dev_buf *b, uint64_t offset, const void *src,
                   uint64_t bytes, struct err *e) WARN_UNUSED;
bool dev_buf_read(struct dev *d, struct dev_buf *b, uint64_t offset, void *dst, uint64_t bytes,
                  struct err *e) WARN_UNUSED;

/* ---- weights --------------------------------------------------------------------------------- */

/* n_mat matrices W[rows, cols] (GGUF: ne0 = cols, ne1 = rows, ne2 = n_mat), row-major blocks. The
 * device repacks them into its own layout; the result may span several buffers when it is larger
 * than max_bind_bytes. Any rows >= 1; cols a multiple of the type's block. */
struct dev_weight_desc {
    uint32_t type; /* enum tensor_type of format/quant.h, a supported one */
    uint32_t n_mat, rows, cols;
    const void *data; /* borrowed for the call */
    const char *name; /* tensor name for messages; borrowed for the call */
};
bool dev_weight_create(struct dev *d, const struct dev_weight_desc *desc, struct dev_weight **out,
                       struct err *e) WARN_UNUSED;
void dev_weight_destroy(struct dev *d, struct dev_weight **w);
const struct dev_weight_desc *dev_weight_desc(const struct dev_weight *w); /* data, name = NULL */
uint64_t dev_weight_bytes(const struct dev_weight *w); /* device memory taken, all segments */

/* ---- step buffers ---------------------------------------------------------------------------- */

enum { DEV_PAGE_TOKENS = 64, DEV_CANDIDATES = 128, DEV_MAX_TOPK = 16, DEV_MAX_EXPERTS = 512 };

/* The host writes these before each run. 16-byte elements, read by shaders as uvec4. */
struct dev_step_head {
    uint32_t n_rows;  /* token rows of this step, 1..max_rows of the plan */
    uint32_t n_out;   /* rows whose logits are wanted, 0..max_out */
    uint32_t n_edits; /* entries of `edits` */
    uint32_t pad;
};
struct dev_row {
    uint32_t token; /* < vocabulary */
    uint32_t pos;   /* absolute position */
    uint32_t seq;   /* row of the block table */
    uint32_t pad;
};
struct dev_out {
    uint32_t row;   /* index into rows */
    float inv_temp; /* 1/temperature used for sum_exp below; 1 when greedy */
    uint32_t pad[2];
};
/* Change of one logit before selection: l = l > 0 ? l / scale : l * scale; l += bias. At most one
 * entry per (out, token). */
struct dev_edit {
    uint32_t out; /* index into out rows */
    uint32_t token;
    float scale, bias;
};
/* Per out row: the DEV_CANDIDATES best tokens after edits, best first (ties: lowest id first). */
struct dev_candidates {
    uint32_t n;      /* valid entries: min(DEV_CANDIDATES, vocab); 0 when a logit was not finite */
    float max_logit;
    float sum_exp;   /* sum over the whole vocabulary of exp((l - max_logit) * inv_temp) */
    float sum_exp_1; /* the same with inv_temp = 1 (for log-probabilities) */
    struct { uint32_t id; float logit; } best[DEV_CANDIDATES];
};

struct dev_step {
    struct dev_buf *head;        /* STEP: struct dev_step_head */
    struct dev_buf *rows;        /* STEP: struct dev_row [max_rows] */
    struct dev_buf *out;         /* STEP: struct dev_out [max_out] */
    struct dev_buf *edits;       /* STEP: struct dev_edit [max_edits] */
    struct dev_buf *block_table; /* STEP: uint32 [max_seqs][table_stride]: page ids */
    struct dev_buf *candidates;  /* RESULT: struct dev_candidates [max_out] */
    struct dev_buf *stats;       /* RESULT: uint32 [..]: distinct experts touched, per MoE layer */
    uint32_t max_rows, max_out, max_edits, max_seqs, table_stride, n_stats;
};
/* Allocates all of them (max_* and table_stride, n_stats as set by the caller). */
bool dev_step_init(struct dev *d, struct dev_step *s, struct err *e) WARN_UNUSED;
void dev_step_release(struct dev *d, struct dev_step *s);

/* ---- ops ------------------------------------------------------------------------------------- */

/* float32 matrix view: element (row, i) at buf[offset + row * stride + i], in elements. offset and
 * stride are multiples of 4. */
struct dev_view {
    struct dev_buf *buf;
    uint32_t offset, stride;
};

enum dev_rows { DEV_ROWS_STEP /* head.n_rows */, DEV_ROWS_OUT /* head.n_out */ };

enum op_kind {
    OP_EMBED, OP_RMSNORM, OP_MATMUL, OP_GATED, OP_MLA_PREP, OP_MLA_ATTN, OP_ROUTE, OP_MOE_PLAN,
    OP_MOE_GATED, OP_MOE_DOWN, OP_MOE_COMBINE, OP_GATHER, OP_EDIT, OP_CANDIDATES, OP_COUNT
};

/* dst[row, :] = W[rows[row].token, :], W = w [1][vocab, n] dequantised. */
struct op_embed { struct dev_weight *w; struct dev_view dst; };

/* dst[row, i] = src[row, i] * weight[i] / sqrt(mean_i(src[row, i]^2) + eps), i < n (n % 4 == 0).
 * weight: f32 [n] at weight_offset elements. dst may be src. Source: Zhang & Sennrich 2019. */
struct op_rmsnorm {
    struct dev_view src, dst;
    struct dev_buf *weight;
    uint32_t weight_offset, n;
    float eps;
    enum dev_rows rows;
};

/* For each batch b < n_mat of w: y[row, b*y_step + i] (+)= sum_k W_b[i, k] * x[row, b*x_step + k].
 * accumulate: add to y instead of overwriting. y must not alias x. */
struct op_matmul {
    struct dev_weight *w;
    struct dev_view x, y;
    uint32_t x_step, y_step; /* elements between batches; 0 when n_mat == 1 */
    bool accumulate;
    enum dev_rows rows;
};

/* y[row, i] = silu(G x)[i] * (U x)[i]; gate and up [1][n, k] of one shape (types may differ). */
struct op_gated { struct dev_weight *gate, *up; struct dev_view x, y; };

/* Cosine/sine of rotary angles, computed by the host in double: two float32 tables
 * lo [256][n_rope/2][2] for positions 0..255 and hi [n_hi][n_rope/2][2] for multiples of 256
 * (cos, sin); angle(pos) = hi[pos / 256] + lo[pos % 256] by the addition theorem. hi follows lo in
 * the same buffer. YaRN only changes the frequencies behind the tables. */
struct dev_rope {
    struct dev_buf *table;
    uint32_t n_rope;
};

/* Rows' q and kv after their projections -> rotated query parts and cache entries.
 *   q   [row, n_head, nope + rope]  read      (head h at h * (nope + rope))
 *   dst [row, n_head, latent + rope] written at element latent.. of each head: rotated q rope part
 *       (the latent part of dst is written by the absorb matmul)
 *   kv  [row, latent + rope] read: latent is RMS-normed with norm weight (f32 [latent]), the rope
 *       part rotated; both stored at page block_table[seq][pos / 64], slot pos % 64.
 * Pairs (2i, 2i+1) are rotated. cache: pages [n_pages][64][latent + rope], f32, or f16 when
 * cache_f16 (rounded to nearest even). */
struct op_mla_prep {
    struct dev_view q, dst, kv;
    struct dev_buf *norm; /* f32, at norm_offset elements */
    uint32_t norm_offset;
    float eps;
    struct dev_rope rope;
    struct dev_buf *cache;
    bool cache_f16;
    uint32_t n_head, nope, latent;
};

/* Absorbed MLA attention over the paged cache; the latent tile is both K and V.
 *   q   [row, n_head, latent + rope] read;  dst [row, n_head, latent] written
 *   s_u = scale * dot(q_h, cache_u) for u = 0..pos; dst_h = sum_u softmax(s)_u * cache_u[0..latent)
 * Online softmax in f32. Source: DeepSeek-V2 report, section 2.1. */
struct op_mla_attn {
    struct dev_view q, dst;
    struct dev_buf *cache;
    bool cache_f16;
    uint32_t n_head, latent, n_rope;
    float scale;
};

enum op_gating { OP_GATING_SOFTMAX, OP_GATING_SIGMOID };
/* Router: from logits [row, n_expert] choose n_used experts per row.
 * s = softmax or sigmoid of the logits; c = s + bias (bias NULL = none); when n_group > 1 only the
 * groups_used best groups stay (group score: maximum of c without bias tensor, sum of the two
 * largest c with one), the others count as -inf; the n_used largest c win (ties: lowest index);
 * weight = s (not c), divided by their sum + 1e-20 when renorm, times scale.
 *   choice  u32 [row, n_used] expert ids, weight f32 [row, n_used]; both in order of choice. */
struct op_route {
    struct dev_view logits;
    struct dev_buf *bias; /* f32 at bias_offset, or NULL */
    uint32_t bias_offset;
    struct dev_buf *choice, *weight;
    uint32_t n_expert, n_used, n_group, groups_used;
    enum op_gating gating;
    bool renorm;
    float scale;
};

/* Expert-major work lists from choice [row, n_used]: slots = (row, k) pairs sorted by expert, then
 * by row. One `lists` buffer holds everything (layout private to the device, dev_moe_lists_bytes).
 * Adds the number of distinct experts to step stats[stat]. */
struct op_moe_plan {
    struct dev_buf *choice, *lists;
    uint32_t n_expert, n_used, stat;
};
/* h[slot, i] = silu(G_e x_row)[i] * (U_e x_row)[i] for every slot; gate, up [n_expert][n, k].
 * h [max_rows * n_used, n]; slot = row * n_used + k. */
struct op_moe_gated {
    struct dev_weight *gate, *up;
    struct dev_view x, h;
    struct dev_buf *lists;
    uint32_t n_used;
};
/* o[slot, i] = weight[slot] * (D_e h[slot])[i]; down [n_expert][n, k]. */
struct op_moe_down {
    struct dev_weight *down;
    struct dev_view h, o;
    struct dev_buf *lists, *weight;
    uint32_t n_used;
};
/* y[row, i] += sum over k = 0..n_used-1, in that order, of o[row * n_used + k, i], i < n. */
struct op_moe_combine { struct dev_view o, y; uint32_t n, n_used; };

/* dst[j, :] = src[out[j].row, :] for j < n_out, n elements. */
struct op_gather { struct dev_view src, dst; uint32_t n; };

/* Applies the step's edits to logits [n_out, vocab]. */
struct op_edit { struct dev_view logits; uint32_t vocab; };
/* Fills step candidates from logits [n_out, vocab]. */
struct op_candidates { struct dev_view logits; uint32_t vocab; };

struct op {
    enum op_kind kind;
    const char *label; /* static, e.g. "blk.attn_norm": names the region for debuggers and traces */
    union {
        struct op_embed embed;
        struct op_rmsnorm rmsnorm;
        struct op_matmul matmul;
        struct op_gated gated;
        struct op_mla_prep mla_prep;
        struct op_mla_attn mla_attn;
        struct op_route route;
        struct op_moe_plan moe_plan;
        struct op_moe_gated moe_gated;
        struct op_moe_down moe_down;
        struct op_moe_combine moe_combine;
        struct op_gather gather;
        struct op_edit edit;
        struct op_candidates candidates;
    } u;
};

const char *op_kind_name(enum op_kind kind);

/* What an op touches: a whole buffer, or with period > 0 only those 4-byte elements whose index modulo
 * period is in [first, first + count). */
struct dev_access {
    const struct dev_buf *buf;
    bool write;
    uint32_t period, first, count;
};
/* Fills acc[0..max) for `op`, returns the count. Used by plan.c; also what tests check. */
size_t dev_op_access(const struct op *op, const struct dev_step *s, struct dev_access *acc,
                     size_t max);

/* Bytes of the `lists` buffer for at most max_rows rows. */
uint64_t dev_moe_lists_bytes(const struct dev *d, uint32_t max_rows, uint32_t n_used,
                             uint32_t n_expert);

/* ---- plans ----------------------------------------------------------------------------------- */

/* Starts an empty plan for up to max_rows rows and max_out outputs (<= those of the step). */
bool plan_create(struct dev *d, const struct dev_step *s, uint32_t max_rows, uint32_t max_out,
                 struct plan **out, struct err *e) WARN_UNUSED;
/* Appends an op (copied). The results are those of running ops in the order added. Shapes and limits
 * are checked here: ERR_ARG / ERR_LIMIT name the op. */
bool plan_add(struct plan *p, const struct op *op, struct err *e) WARN_UNUSED;
/* Compiles and records; afterwards nothing can be added. Cost: rare. */
bool plan_finish(struct plan *p, struct err *e) WARN_UNUSED;
/* One submit; returns when the results are visible to the host. Waits are bounded (ERR_DEVICE after
 * 120 s without an answer). Cost: common; no host allocation. */
bool plan_run(struct plan *p, struct err *e) WARN_UNUSED;
void plan_destroy(struct plan **p);

/* Prints the ops of a finished plan in the order they run, with barriers and variants, one line
 * each (debugging and tests). */
void plan_print(const struct plan *p, FILE *out);
/* Time of each op in microseconds by device timestamps, averaged over `runs`; 0 when the device has
 * no timestamps. us[] has one entry per op. */
size_t plan_op_count(const struct plan *p);
bool plan_profile(struct plan *p, int runs, double *us, struct err *e) WARN_UNUSED;

#endif
