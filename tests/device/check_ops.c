/* Every op and every variant of it against the scalar references, on every driver: odd shapes, bit
 * equality of a row whatever else shares its step, repeatability.
 *
 * Error bounds are relative to the sum of absolute values of what was added up: float32 sums of n
 * terms wander by about sqrt(n) * 6e-8 of that, the largest n here being 2048.
 */
#include <config.h>

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/vulkan/runtime.h"
#include "each_driver.h"
#include "format/quant.h"
#include "ref/ref.h"
#include "rig.h"

static struct rig rig;

static const uint32_t types[] = {TENSOR_F32,  TENSOR_F16,  TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0,
                                 TENSOR_Q5_0, TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K};
enum { N_TYPES = sizeof types / sizeof types[0] };
static const double bound = 3e-6;

static const char *type_name(uint32_t type)
{
    return quant_type_get(type)->name;
}

static void setup(void)
{
    rig_open(&rig);
    rig_seed(7);
}

static void teardown(void)
{
    rig_close(&rig);
}

/* False where a case would only cost time. SwiftShader runs portable variants also in mode AUTO,
 * and takes minutes over modules that hold the decoders of all types (SPLIT, and pairs of types):
 * there one case stands for all, the others run on lavapipe. */
static bool mode_set(enum rig_mode mode, bool whole)
{
    bool slow = vk_of(rig.dev)->adapter.caps.subgroup_size < 8;
    rig_set_mode(&rig, mode);
    return !slow || (mode != RIG_PORTABLE && whole);
}

static uint32_t round4(uint32_t n)
{
    return (n + 3) / 4 * 4;
}

/* ---- products of matrices -----------------------------------------------------------------------
 */

/* A product case and its reference y[row][mat][i] with error scales. */
struct gemm {
    uint32_t type, n_mat, rows, cols, n;
    uint32_t x_stride, y_stride, x_step, y_step;
    void *blocks;
    float *x;
    double *want, *scale;
    struct dev_weight *w;
    struct dev_buf *x_buf;
};

static void gemm_make(struct gemm *g)
{
    float *row = malloc(g->cols * sizeof *row);
    g->x_step = g->n_mat > 1 ? round4(g->cols) + 4 : 0;
    g->y_step = g->n_mat > 1 ? round4(g->rows) + 8 : 0;
    g->x_stride = (g->n_mat - 1) * g->x_step + round4(g->cols) + 4;
    g->y_stride = (g->n_mat - 1) * g->y_step + round4(g->rows) + 4;
    g->blocks = rig_blocks(g->type, g->n_mat, g->rows, g->cols);
    g->x = rig_floats((size_t)g->n * g->x_stride, 1);
    g->want = calloc((size_t)g->n * g->y_stride, sizeof *g->want);
    g->scale = calloc((size_t)g->n * g->y_stride, sizeof *g->scale);
    for (uint32_t m = 0; m < g->n_mat; m++)
        for (uint32_t i = 0; i < g->rows; i++) {
            ref_weight_row(g->type, g->blocks, g->cols, (uint64_t)m * g->rows + i, row);
            for (uint32_t r = 0; r < g->n; r++) {
                size_t at = (size_t)r * g->y_stride + (size_t)m * g->y_step + i;
                g->want[at] = ref_dot(row, g->x + (size_t)r * g->x_stride + (size_t)m * g->x_step,
                                      g->cols, &g->scale[at]);
            }
        }
    free(row);
    g->w = rig_weight(&rig, g->type, g->n_mat, g->rows, g->cols, g->blocks);
    g->x_buf = rig_buf(&rig, g->x, (size_t)g->n * g->x_stride * 4);
}

static void gemm_free(struct gemm *g)
{
    free(g->blocks);
    free(g->x);
    free(g->want);
    free(g->scale);
    dev_weight_destroy(rig.dev, &g->w);
    rig_free(&rig, g->x_buf);
}

/* y of a run over the first n rows in a plan of `bucket` rows; `before`: what y holds first. */
static float *gemm_run(const struct gemm *g, uint32_t n, uint32_t bucket, bool accumulate,
                       const float *before)
{
    size_t bytes = (size_t)g->n * g->y_stride * 4;
    struct dev_buf *y = rig_buf(&rig, before, bytes);
    float *out = malloc(bytes);
    struct op op = {.kind = OP_MATMUL,
                    .label = "test",
                    .u.matmul = {.w = g->w,
                                 .x = {g->x_buf, 0, g->x_stride},
                                 .y = {y, 0, g->y_stride},
                                 .x_step = g->x_step,
                                 .y_step = g->y_step,
                                 .accumulate = accumulate}};
    rig_head(&rig, n, 0, 0);
    rig_run(&rig, &op, bucket, 0);
    rig_read(&rig, y, out, bytes);
    rig_free(&rig, y);
    return out;
}

/* Rows below n hold the product (plus `before`), everything else is untouched. */
static void gemm_compare(const struct gemm *g, const float *y, uint32_t n, const float *before,
                         bool accumulate)
{
    for (uint32_t r = 0; r < g->n; r++)
        for (uint32_t k = 0; k < g->y_stride; k++) {
            size_t at = (size_t)r * g->y_stride + k;
            uint32_t m = g->n_mat > 1 ? k / g->y_step : 0;
            bool product = r < n && m < g->n_mat && k - m * g->y_step < g->rows;
            double want = product ? g->want[at] : before[at];
            double tolerance = product ? bound * (g->scale[at] + 1e-30) : 0;
            if (product && accumulate) {
                want += before[at];
                tolerance += 1e-7 * fabs(before[at]);
            }
            ck_assert_msg(fabs(y[at] - want) <= tolerance,
                          "%s %s %ux%ux%u row %u of %u element %u: %g, want %g, off by %g of the "
                          "sum",
                          rig_mode_name(rig.mode), type_name(g->type), g->n_mat, g->rows, g->cols,
                          r, n, k, y[at], want, fabs(y[at] - want) / (g->scale[at] + 1e-30));
        }
}

static void check_matmul_case(uint32_t type, uint32_t n_mat, uint32_t rows, uint32_t cols)
{
    static const uint32_t runs[][2] = {{1, 1}, {1, 8}, {3, 4}, {4, 4}, {9, 17}};
    struct gemm g = {.type = type, .n_mat = n_mat, .rows = rows, .cols = cols, .n = 17};

    gemm_make(&g);
    float *before = rig_floats((size_t)g.n * g.y_stride, 1);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        bool accumulate = i % 2;
        float *y = gemm_run(&g, runs[i][0], runs[i][1], accumulate, before);
        gemm_compare(&g, y, runs[i][0], before, accumulate);
        free(y);
    }
    free(before);
    gemm_free(&g);
}

START_TEST(matmul)
{
    uint32_t type = types[_i % N_TYPES];
    uint32_t block = quant_type_get(type)->block_elems;
    static const uint32_t rows[] = {1, 19, 64};

    if (!mode_set((enum rig_mode)(_i / N_TYPES), _i < N_TYPES || type == TENSOR_Q6_K))
        return;
    for (int i = 0; i < 3; i++)
        check_matmul_case(type, 1, rows[i],
                          block == 256  ? 256 + 1024 * (uint32_t)i
                          : block == 32 ? 288
                                        : 36 + 100 * (uint32_t)i);
    check_matmul_case(type, 3, 12, block == 256 ? 256 : block == 32 ? 96 : 72);
    if (block == 1) { /* columns that are no multiple of a step */
        check_matmul_case(type, 1, 8, 4);
        check_matmul_case(type, 2, 9, 300);
    } else if (block == 32) {
        check_matmul_case(type, 1, 24, 1408);
    } else {
        check_matmul_case(type, 1, 10, 256 * 9); /* more than one group of Q6_K scales */
    }
}
END_TEST

/* A row gives the same bits alone and in any company, and every time. */
START_TEST(matmul_same_bits)
{
    uint32_t type = types[_i % N_TYPES];
    struct gemm g = {.type = type, .n_mat = 1, .rows = 37, .cols = 512, .n = 12};
    static const uint32_t runs[][2] = {{1, 1}, {2, 2}, {4, 4}, {7, 8}, {12, 12}, {12, 100}};
    float *first = NULL;

    if (!mode_set((enum rig_mode)(_i / N_TYPES), _i < N_TYPES || type == TENSOR_Q6_K))
        return;
    gemm_make(&g);
    float *before = calloc((size_t)g.n * g.y_stride, sizeof *before);
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (runs[i][1] > g.n)
            continue;
        float *y = gemm_run(&g, runs[i][0], runs[i][1], false, before);
        if (!first)
            first = y;
        ck_assert_msg(memcmp(first, y, g.rows * sizeof *y) == 0,
                      "%s %s: row 0 differs between 1 row and %u rows", rig_mode_name(rig.mode),
                      type_name(type), runs[i][0]);
        if (y != first)
            free(y);
    }
    free(first);
    free(before);
    gemm_free(&g);
}
END_TEST

static double gated_value(const struct gemm *g, const struct gemm *u, size_t at, double *tolerance)
{
    double silu = ref_silu(g->want[at]), up = u->want[at];
    *tolerance = 2 * bound * (g->scale[at] * fabs(up) + u->scale[at] * fabs(silu)) +
                 2e-6 * fabs(silu * up) + 1e-12;
    return silu * up;
}

static void check_gated_case(uint32_t gate, uint32_t up, uint32_t rows, uint32_t cols, uint32_t n,
                             uint32_t bucket)
{
    struct gemm g = {.type = gate, .n_mat = 1, .rows = rows, .cols = cols, .n = bucket};
    struct gemm u = {.type = up, .n_mat = 1, .rows = rows, .cols = cols, .n = bucket};

    gemm_make(&g);
    gemm_make(&u);
    /* up works on gate's x */
    float *row = malloc(cols * sizeof *row);
    for (uint32_t i = 0; i < rows; i++) {
        ref_weight_row(up, u.blocks, cols, i, row);
        for (uint32_t r = 0; r < bucket; r++) {
            size_t at = (size_t)r * u.y_stride + i;
            u.want[at] = ref_dot(row, g.x + (size_t)r * g.x_stride, cols, &u.scale[at]);
        }
    }
    free(row);
    size_t bytes = (size_t)bucket * g.y_stride * 4;
    struct dev_buf *y = rig_zeros(&rig, bytes);
    struct op op = {.kind = OP_GATED,
                    .u.gated = {g.w, u.w, {g.x_buf, 0, g.x_stride}, {y, 0, g.y_stride}}};
    rig_head(&rig, n, 0, 0);
    rig_run(&rig, &op, bucket, 0);
    float *out = malloc(bytes);
    rig_read(&rig, y, out, bytes);
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t i = 0; i < rows; i++) {
            size_t at = (size_t)r * g.y_stride + i;
            double tolerance, want = gated_value(&g, &u, at, &tolerance);
            ck_assert_msg(fabs(out[at] - want) <= tolerance, "%s gated %s %s row %u: %g, want %g",
                          rig_mode_name(rig.mode), type_name(gate), type_name(up), r, out[at],
                          want);
        }
    free(out);
    rig_free(&rig, y);
    gemm_free(&g);
    gemm_free(&u);
}

START_TEST(gated)
{
    static const uint32_t pairs[][2] = {{TENSOR_F32, TENSOR_F32},   {TENSOR_F16, TENSOR_BF16},
                                        {TENSOR_Q8_0, TENSOR_Q4_0}, {TENSOR_Q4_K, TENSOR_Q6_K},
                                        {TENSOR_Q5_0, TENSOR_Q5_K}, {TENSOR_Q4_K, TENSOR_Q4_K}};
    const uint32_t *p = pairs[_i % 6];
    if (!mode_set((enum rig_mode)(_i / 6), _i == 3 || _i == 5))
        return;
    check_gated_case(p[0], p[1], 20, 256, 1, 1);
    check_gated_case(p[0], p[1], 20, 512, 3, 4);
    check_gated_case(p[0], p[1], 33, 256, 11, 12);
}
END_TEST

/* ---- rows ---------------------------------------------------------------------------------------
 */

static struct dev_row *step_rows(void)
{
    return dev_buf_map(rig.step.rows);
}

START_TEST(embed)
{
    uint32_t type = types[_i], cols = quant_type_get(type)->block_elems == 256 ? 512 : 96;
    enum { VOCAB = 50, N = 5 };
    void *blocks = rig_blocks(type, 1, VOCAB, cols);
    struct dev_weight *w = rig_weight(&rig, type, 1, VOCAB, cols, blocks);
    uint32_t stride = cols + 8;
    struct dev_buf *dst = rig_zeros(&rig, (size_t)(N + 2) * stride * 4);
    struct op op = {.kind = OP_EMBED, .u.embed = {w, {dst, 4, stride}}};
    float *out = malloc((size_t)(N + 2) * stride * 4), *row = malloc(cols * sizeof *row);

    rig_set_mode(&rig, RIG_AUTO);
    for (uint32_t i = 0; i < N; i++)
        step_rows()[i] = (struct dev_row){.token = i == 0 ? VOCAB - 1 : rig_random(VOCAB)};
    rig_head(&rig, N, 0, 0);
    rig_run(&rig, &op, N + 1, 0);
    rig_read(&rig, dst, out, (size_t)(N + 2) * stride * 4);
    for (uint32_t r = 0; r < N; r++) {
        ref_weight_row(type, blocks, cols, step_rows()[r].token, row);
        for (uint32_t i = 0; i < cols; i++)
            ck_assert_msg(fabsf(out[4 + r * stride + i] - row[i]) <= 1e-6f * fabsf(row[i]) + 1e-9f,
                          "%s row %u element %u: %g, want %g", type_name(type), r, i,
                          out[4 + r * stride + i], row[i]);
    }
    ck_assert(out[4 + N * stride] == 0);
    free(out);
    free(row);
    free(blocks);
    rig_free(&rig, dst);
    dev_weight_destroy(rig.dev, &w);
}
END_TEST

START_TEST(rmsnorm)
{
    static const uint32_t sizes[] = {4, 36, 512, 1100};
    rig_set_mode(&rig, (enum rig_mode)_i);
    for (int k = 0; k < 4; k++) {
        uint32_t n = sizes[k], stride = n + 4, rows = 5;
        float *src = rig_floats((size_t)(rows + 1) * stride, 3), *weight = rig_floats(n + 4, 1);
        float *out = malloc((size_t)(rows + 1) * stride * 4);
        double *want = malloc(n * sizeof *want);
        struct dev_buf *s = rig_buf(&rig, src, (size_t)(rows + 1) * stride * 4);
        struct dev_buf *w = rig_buf(&rig, weight, (n + 4) * 4);
        struct op op = {.kind = OP_RMSNORM,
                        .u.rmsnorm = {.src = {s, 0, stride},
                                      .dst = {s, 0, stride},
                                      .weight = w,
                                      .weight_offset = 4,
                                      .n = n,
                                      .eps = 1e-6f,
                                      .rows = k % 2 ? DEV_ROWS_OUT : DEV_ROWS_STEP}};
        rig_head(&rig, k % 2 ? 1 : rows, k % 2 ? rows : 0, 0);
        rig_run(&rig, &op, rows + 1, rows + 1);
        rig_read(&rig, s, out, (size_t)(rows + 1) * stride * 4);
        for (uint32_t r = 0; r <= rows; r++) {
            ref_rmsnorm(src + (size_t)r * stride, weight + 4, n, 1e-6f, want);
            for (uint32_t i = 0; i < n; i++) {
                double v = r < rows ? want[i] : src[(size_t)r * stride + i];
                ck_assert_msg(fabs(out[(size_t)r * stride + i] - v) <= 2e-6 * fabs(v),
                              "%s n=%u row %u: %g, want %g", rig_mode_name(rig.mode), n, r,
                              out[(size_t)r * stride + i], v);
            }
        }
        free(src);
        free(weight);
        free(out);
        free(want);
        rig_free(&rig, s);
        rig_free(&rig, w);
    }
}
END_TEST

START_TEST(gather)
{
    enum { N = 20, STRIDE = 24, ROWS = 9 };
    float *src = rig_floats(ROWS * STRIDE, 1), out[4 * STRIDE];
    struct dev_buf *s = rig_buf(&rig, src, ROWS * STRIDE * 4), *d = rig_zeros(&rig, sizeof out);
    struct dev_out *outs = dev_buf_map(rig.step.out);
    struct op op = {.kind = OP_GATHER, .u.gather = {{s, 0, STRIDE}, {d, 0, STRIDE}, N}};

    rig_set_mode(&rig, RIG_AUTO);
    outs[0].row = 8;
    outs[1].row = 0;
    outs[2].row = 5;
    rig_head(&rig, ROWS, 3, 0);
    rig_run(&rig, &op, ROWS, 4);
    rig_read(&rig, d, out, sizeof out);
    for (uint32_t j = 0; j < 3; j++)
        ck_assert(memcmp(out + j * STRIDE, src + outs[j].row * STRIDE, N * 4) == 0);
    ck_assert(out[3 * STRIDE] == 0 && out[N] == 0);
    rig_head(&rig, ROWS, 0, 0);
    rig_run(&rig, &op, ROWS, 4);
    free(src);
    rig_free(&rig, s);
    rig_free(&rig, d);
}
END_TEST

/* ---- attention ----------------------------------------------------------------------------------
 */

struct mla {
    uint32_t n_head, nope, latent, rope;
    bool f16;
    uint32_t n_pages;
    struct dev_buf *cache;
    float *shadow; /* cache as floats */
};

static size_t mla_width(const struct mla *m)
{
    return m->latent + m->rope;
}

/* Pages of sequence `seq` in a random order; every sequence has its own. */
static void shuffle_pages(const struct mla *m, uint32_t n_seq, uint32_t pages_per_seq)
{
    uint32_t *table = dev_buf_map(rig.step.block_table), order[64];
    for (uint32_t i = 0; i < m->n_pages; i++)
        order[i] = i;
    for (uint32_t i = m->n_pages; i > 1; i--) {
        uint32_t k = rig_random(i), t = order[i - 1];
        order[i - 1] = order[k];
        order[k] = t;
    }
    for (uint32_t s = 0; s < n_seq; s++)
        for (uint32_t p = 0; p < pages_per_seq; p++)
            table[s * RIG_TABLE + p] = order[s * pages_per_seq + p];
}

static size_t slot_of(const struct mla *m, uint32_t seq, uint32_t pos)
{
    const uint32_t *table = dev_buf_map(rig.step.block_table);
    return ((size_t)table[seq * RIG_TABLE + pos / 64] * 64 + pos % 64) * mla_width(m);
}

static void mla_make(struct mla *m)
{
    size_t n = m->n_pages * 64 * mla_width(m);
    m->shadow = rig_floats(n, 1);
    uint16_t *half = malloc(n * sizeof *half);
    for (size_t i = 0; i < n && m->f16; i++) {
        half[i] = quant_f32_to_f16(m->shadow[i]);
        m->shadow[i] = quant_f16_to_f32(half[i]);
    }
    m->cache = m->f16 ? rig_buf(&rig, half, n * 2) : rig_buf(&rig, m->shadow, n * 4);
    free(half);
}

static void mla_free(struct mla *m)
{
    free(m->shadow);
    rig_free(&rig, m->cache);
}

struct entry_ctx {
    const struct mla *m;
    uint32_t seq;
};

static const float *entry(const void *ctx, uint32_t u)
{
    const struct entry_ctx *c = ctx;
    return c->m->shadow + slot_of(c->m, c->seq, u);
}

static struct op attn_op(const struct mla *m, struct dev_buf *q, struct dev_buf *dst)
{
    return (struct op){.kind = OP_MLA_ATTN,
                       .u.mla_attn = {.q = {q, 0, (uint32_t)(m->n_head * mla_width(m))},
                                      .dst = {dst, 0, m->n_head * m->latent},
                                      .cache = m->cache,
                                      .cache_f16 = m->f16,
                                      .n_head = m->n_head,
                                      .latent = m->latent,
                                      .n_rope = m->rope,
                                      .scale = 0.125f}};
}

static float *attn_run(const struct mla *m, struct dev_buf *q, uint32_t n, uint32_t bucket)
{
    size_t bytes = (size_t)bucket * m->n_head * m->latent * 4;
    struct dev_buf *dst = rig_zeros(&rig, bytes);
    float *out = malloc(bytes);
    struct op op = attn_op(m, q, dst);
    rig_head(&rig, n, 0, 0);
    rig_run(&rig, &op, bucket, 0);
    rig_read(&rig, dst, out, bytes);
    rig_free(&rig, dst);
    return out;
}

START_TEST(mla_attn)
{
    static const struct mla shapes[] = {{.n_head = 1, .latent = 64, .rope = 16},
                                        {.n_head = 3, .latent = 64, .rope = 16, .f16 = 1},
                                        {.n_head = 4, .latent = 32, .rope = 8},
                                        {.n_head = 16, .latent = 64, .rope = 16},
                                        {.n_head = 9, .latent = 36, .rope = 4},
                                        {.n_head = 16, .latent = 512, .rope = 64, .f16 = 1}};
    static const uint32_t positions[] = {0, 200, 31, 32, 63, 64, 5, 130};
    enum { N = 8 };
    struct mla m = shapes[_i % 6];
    double *want;

    rig_set_mode(&rig, (enum rig_mode)(_i / 6));
    m.n_pages = 16;
    mla_make(&m);
    shuffle_pages(&m, 4, 4);
    want = malloc(m.latent * sizeof *want);
    float *q = rig_floats(N * m.n_head * mla_width(&m), 1);
    struct dev_buf *qb = rig_buf(&rig, q, N * m.n_head * mla_width(&m) * 4);
    for (uint32_t r = 0; r < N; r++)
        step_rows()[r] = (struct dev_row){.pos = positions[r], .seq = r % 4};
    float *out = attn_run(&m, qb, N, N);
    for (uint32_t r = 0; r < N; r++)
        for (uint32_t h = 0; h < m.n_head; h++) {
            struct entry_ctx ctx = {&m, r % 4};
            ref_mla_head(q + (r * m.n_head + h) * mla_width(&m), positions[r] + 1, m.latent, m.rope,
                         0.125f, entry, &ctx, want);
            for (uint32_t i = 0; i < m.latent; i++) {
                float got = out[(r * m.n_head + h) * m.latent + i];
                ck_assert_msg(fabs(got - want[i]) <= 1e-5,
                              "%s heads %u latent %u row %u head %u element %u: %g, want %g",
                              rig_mode_name(rig.mode), m.n_head, m.latent, r, h, i, got, want[i]);
            }
        }
    /* alone: the same bits */
    float *alone = attn_run(&m, qb, 1, 1);
    ck_assert(memcmp(alone, out, m.n_head * m.latent * 4) == 0);
    free(alone);
    float *again = attn_run(&m, qb, N, N);
    ck_assert(memcmp(again, out, N * m.n_head * m.latent * 4) == 0);
    free(again);
    free(out);
    free(q);
    free(want);
    rig_free(&rig, qb);
    mla_free(&m);
}
END_TEST

static struct dev_buf *rope_table(uint32_t n_rope, uint32_t n_hi)
{
    uint32_t pairs = n_rope / 2;
    float *t = malloc((size_t)(256 + n_hi) * n_rope * sizeof *t);
    for (uint32_t p = 0; p < 256 + n_hi; p++)
        for (uint32_t i = 0; i < pairs; i++) {
            double c, s;
            ref_rope_angle(p < 256 ? p : (p - 256) * 256, i, n_rope, 10000, &c, &s);
            t[(p * pairs + i) * 2] = (float)c;
            t[(p * pairs + i) * 2 + 1] = (float)s;
        }
    struct dev_buf *b = rig_buf(&rig, t, (size_t)(256 + n_hi) * n_rope * 4);
    free(t);
    return b;
}

static void check_cache_row(const struct mla *m, const float *cache, uint32_t row, const float *kv,
                            const float *norm)
{
    const struct dev_row *at = &step_rows()[row];
    double want[1024], tolerance = m->f16 ? 1.01 / 2048 : 2e-6;
    const float *got = cache + slot_of(m, at->seq, at->pos);

    ref_rmsnorm(kv, norm, m->latent, 1e-6f, want);
    ref_rope(kv + m->latent, m->rope, at->pos, 10000, want + m->latent);
    for (uint32_t i = 0; i < mla_width(m); i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= tolerance * fabs(want[i]) + 1e-6,
                      "row %u element %u: %g, want %g", row, i, got[i], want[i]);
}

/* Rows for mla_prep, at prep_positions of sequence 0. */
enum { PREP_ROWS = 6 };
static const uint32_t prep_positions[PREP_ROWS] = {0, 63, 64, 700, 255, 256};

struct prep {
    struct mla m;
    uint32_t q_head, width;
    float *q, *kv, *norm;
    struct dev_buf *q_buf, *kv_buf, *norm_buf, *rope_buf, *dst_buf;
};

static void prep_make(struct prep *p, bool f16)
{
    p->m =
        (struct mla){.n_head = 3, .nope = 12, .latent = 64, .rope = 16, .n_pages = 9, .f16 = f16};
    p->q_head = p->m.nope + p->m.rope;
    p->width = (uint32_t)mla_width(&p->m);
    p->q = rig_floats(PREP_ROWS * p->m.n_head * p->q_head, 1);
    p->kv = rig_floats(PREP_ROWS * (p->width + 4), 2);
    p->norm = rig_floats(p->m.latent, 1);
    mla_make(&p->m);
    uint32_t *table = dev_buf_map(rig.step.block_table);
    table[0] = 7;  /* positions 0 and 63, */
    table[1] = 2;  /* 64, */
    table[3] = 5;  /* 255, */
    table[4] = 4;  /* 256 */
    table[10] = 8; /* and 700 */
    for (uint32_t r = 0; r < PREP_ROWS; r++)
        step_rows()[r] = (struct dev_row){.pos = prep_positions[r], .seq = 0};
    p->q_buf = rig_buf(&rig, p->q, PREP_ROWS * p->m.n_head * p->q_head * 4);
    p->kv_buf = rig_buf(&rig, p->kv, PREP_ROWS * (p->width + 4) * 4);
    p->norm_buf = rig_buf(&rig, p->norm, p->m.latent * 4);
    p->rope_buf = rope_table(p->m.rope, 4);
    p->dst_buf = rig_zeros(&rig, PREP_ROWS * p->m.n_head * p->width * 4);
}

static void prep_free(struct prep *p)
{
    free(p->q);
    free(p->kv);
    free(p->norm);
    rig_free(&rig, p->q_buf);
    rig_free(&rig, p->kv_buf);
    rig_free(&rig, p->norm_buf);
    rig_free(&rig, p->rope_buf);
    rig_free(&rig, p->dst_buf);
    mla_free(&p->m);
}

/* Elements of the whole cache. */
static size_t prep_elements(const struct prep *p)
{
    return p->m.n_pages * 64 * mla_width(&p->m);
}

static struct op prep_op(const struct prep *p)
{
    return (struct op){.kind = OP_MLA_PREP,
                       .u.mla_prep = {.q = {p->q_buf, 0, p->m.n_head * p->q_head},
                                      .dst = {p->dst_buf, 0, p->m.n_head * p->width},
                                      .kv = {p->kv_buf, 0, p->width + 4},
                                      .norm = p->norm_buf,
                                      .eps = 1e-6f,
                                      .rope = {p->rope_buf, p->m.rope},
                                      .cache = p->m.cache,
                                      .cache_f16 = p->m.f16,
                                      .n_head = p->m.n_head,
                                      .nope = p->m.nope,
                                      .latent = p->m.latent}};
}

static void prep_run(const struct prep *p)
{
    struct op op = prep_op(p);
    rig_head(&rig, PREP_ROWS, 0, 0);
    rig_run(&rig, &op, PREP_ROWS, 0);
}

/* The cache as floats. */
static float *prep_cache(const struct prep *p)
{
    size_t n = prep_elements(p);
    float *cache = malloc(n * sizeof *cache);
    if (!p->m.f16) {
        rig_read(&rig, p->m.cache, cache, n * 4);
        return cache;
    }
    uint16_t *half = malloc(n * sizeof *half);
    rig_read(&rig, p->m.cache, half, n * 2);
    for (size_t i = 0; i < n; i++)
        cache[i] = quant_f16_to_f32(half[i]);
    free(half);
    return cache;
}

/* The rope part of every query head of a row. */
static void check_prep_queries(const struct prep *p, const float *dst, uint32_t row)
{
    for (uint32_t h = 0; h < p->m.n_head; h++) {
        double want[64];
        const float *got = dst + (row * p->m.n_head + h) * p->width + p->m.latent;
        ref_rope(p->q + (row * p->m.n_head + h) * p->q_head + p->m.nope, p->m.rope,
                 prep_positions[row], 10000, want);
        for (uint32_t i = 0; i < p->m.rope; i++)
            ck_assert_msg(fabs(got[i] - want[i]) <= 2e-6 * (1 + fabs(want[i])),
                          "row %u head %u: %g, want %g", row, h, got[i], want[i]);
        ck_assert(got[-1] == 0); /* the latent part is not ours */
    }
}

START_TEST(mla_prep)
{
    struct prep p;

    rig_set_mode(&rig, (enum rig_mode)(_i / 2));
    prep_make(&p, _i % 2);
    prep_run(&p);
    size_t dst_bytes = PREP_ROWS * p.m.n_head * p.width * sizeof(float);
    float *cache = prep_cache(&p), *dst = malloc(dst_bytes);
    rig_read(&rig, p.dst_buf, dst, dst_bytes);
    for (uint32_t r = 0; r < PREP_ROWS; r++) {
        check_cache_row(&p.m, cache, r, p.kv + r * (p.width + 4), p.norm);
        check_prep_queries(&p, dst, r);
    }
    free(cache);
    free(dst);
    prep_free(&p);
}
END_TEST

/* ---- 16-bit storage -----------------------------------------------------------------------------
 */

/* Ways to run an op over a cache of halves. They give the same bits. */
enum halves_way { HALVES_PORTABLE, HALVES_WORDS, HALVES_DIRECT, HALVES_COUNT };

/* PORTABLE: the portable tier. WORDS: GPU variants without 16-bit storage. DIRECT: with it; false
 * where the device has none. */
static bool halves_way(enum halves_way way)
{
    struct vk_dev *vd = vk_of(rig.dev);
    rig_set_mode(&rig, way == HALVES_PORTABLE ? RIG_PORTABLE : RIG_SPLIT);
    if (way == HALVES_WORDS)
        vd->adapter.caps.features &= ~(uint32_t)VK_FEAT_16BIT_STORAGE;
    return way != HALVES_DIRECT || (vd->adapter.caps.features & VK_FEAT_16BIT_STORAGE);
}

/* The op is run by this shader, else the comparison would say nothing. */
static void expect_shader(const struct op *op, uint32_t bucket, const char *name)
{
    struct vk_dev *vd = vk_of(rig.dev);
    struct vk_dispatch list[VK_MAX_DISPATCH_PER_OP];
    struct err e = ERR_INIT;
    uint32_t n = 0;
    if (!vk_lower(&vd->adapter.caps, vd->tier, op, &rig.step, bucket, 0, list, &n, &e))
        rig_die("lowering", &e);
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(vk_shaders[list[0].shader].name, name);
}

START_TEST(attn_halves)
{
    static const struct mla shapes[] = {{.n_head = 3, .latent = 64, .rope = 16, .f16 = 1},
                                        {.n_head = 9, .latent = 36, .rope = 4, .f16 = 1},
                                        {.n_head = 2, .latent = 512, .rope = 64, .f16 = 1}};
    static const char *const one_head[] = {NULL, "mla_attn_h1_wide", "mla_attn_h1_wide16"};
    static const char *const four_heads[] = {NULL, "mla_attn_h4_wide", "mla_attn_h4_wide16"};
    enum { N = 8 };
    struct mla m = shapes[_i];
    float *want[2] = {NULL, NULL};

    m.n_pages = 16;
    mla_make(&m);
    shuffle_pages(&m, 4, 4);
    float *q = rig_floats(N * m.n_head * mla_width(&m), 1);
    struct dev_buf *qb = rig_buf(&rig, q, N * m.n_head * mla_width(&m) * 4);
    for (uint32_t r = 0; r < N; r++)
        step_rows()[r] = (struct dev_row){.pos = 31 * r + r % 2, .seq = r % 4};
    for (int way = 0; way < HALVES_COUNT; way++)
        for (int k = 0; k < 2 && halves_way(way); k++) {
            uint32_t n = k ? N : 1;
            const char *name = k && m.n_head > 2 ? four_heads[way] : one_head[way];
            struct op op = attn_op(&m, qb, qb);
            if (name)
                expect_shader(&op, n, name);
            float *out = attn_run(&m, qb, n, n);
            if (!want[k]) {
                want[k] = out;
                continue;
            }
            ck_assert_msg(memcmp(out, want[k], n * m.n_head * m.latent * sizeof *out) == 0,
                          "%s, %u heads: other bits than the portable variant", name, m.n_head);
            free(out);
        }
    free(want[0]);
    free(want[1]);
    free(q);
    rig_free(&rig, qb);
    mla_free(&m);
}
END_TEST

/* The first row stands at position 0, where rotating changes nothing: its rope part says how
 * values between two halves, below the smallest and above the largest are rounded. */
static const float hard_to_round[16] = {
    2049.0f,       2051.0f,      -2049.0f,     1.00048828125f, 65519.0f,        65520.0f,
    -70000.0f,     65504.0f,     0x1p-24f,     0x1p-25f,       0x1.000002p-25f, 0x1.8p-24f,
    -0x1.ffcp-15f, 0x1.ffep-15f, 0x1.ffdp-15f, -0x1p-26f};

START_TEST(prep_halves)
{
    struct prep p;
    uint16_t *got[HALVES_COUNT] = {NULL};

    prep_make(&p, true);
    ck_assert_uint_eq(p.m.rope, 16);
    memcpy(p.kv + p.m.latent, hard_to_round, sizeof hard_to_round);
    rig_free(&rig, p.kv_buf);
    p.kv_buf = rig_buf(&rig, p.kv, PREP_ROWS * (p.width + 4) * 4);
    size_t bytes = prep_elements(&p) * sizeof(uint16_t);
    uint16_t *before = malloc(bytes);
    rig_read(&rig, p.m.cache, before, bytes);
    for (int way = HALVES_WORDS; way < HALVES_COUNT && halves_way(way); way++) {
        struct err e = ERR_INIT;
        struct op op = prep_op(&p);
        if (!dev_buf_write(rig.dev, p.m.cache, 0, before, bytes, &e))
            rig_die("cache", &e);
        expect_shader(&op, PREP_ROWS, way == HALVES_DIRECT ? "mla_prep_wide16" : "mla_prep");
        prep_run(&p);
        got[way] = malloc(bytes);
        rig_read(&rig, p.m.cache, got[way], bytes);
        for (uint32_t i = 0; i < p.m.rope; i++)
            ck_assert_uint_eq(got[way][slot_of(&p.m, 0, 0) + p.m.latent + i],
                              quant_f32_to_f16(hard_to_round[i]));
    }
    if (got[HALVES_DIRECT])
        ck_assert(memcmp(got[HALVES_DIRECT], got[HALVES_WORDS], bytes) == 0);
    for (int way = 0; way < HALVES_COUNT; way++)
        free(got[way]);
    free(before);
    prep_free(&p);
}
END_TEST

/* ---- experts ------------------------------------------------------------------------------------
 */

START_TEST(route)
{
    static const struct ref_route cases[] = {
        {.n_expert = 16, .n_used = 4, .n_group = 1, .groups_used = 1, .scale = 1},
        {.n_expert = 64, .n_used = 6, .n_group = 0, .scale = 1.5},
        {.n_expert = 160, .n_used = 6, .n_group = 8, .groups_used = 3, .scale = 16},
        {.n_expert = 256,
         .n_used = 8,
         .n_group = 8,
         .groups_used = 4,
         .sigmoid = true,
         .renorm = true,
         .scale = 2.5},
        {.n_expert = 512, .n_used = 16, .n_group = 1, .sigmoid = true, .renorm = true, .scale = 1},
        {.n_expert = 3, .n_used = 3, .n_group = 1, .renorm = true, .scale = 1},
    };
    enum { N = 6 };
    struct ref_route c = cases[_i % 6];
    uint32_t stride = round4(c.n_expert) + 4, choice[N * 16], want[16];
    float *logits = rig_floats(N * stride, 2), *bias = rig_floats(c.n_expert + 4, 0.3f);
    float weight[N * 16];

    rig_set_mode(&rig, (enum rig_mode)(_i / 6));
    if (c.sigmoid)
        c.bias = bias + 4;
    for (uint32_t e = 0; e < c.n_expert; e++)
        logits[stride + e] = 0.5f; /* row 1: all equal, lowest indices win */
    if (c.bias)
        for (uint32_t e = 0; e < c.n_expert; e++)
            bias[4 + e] = e % 3 ? bias[4 + e] : 0.25f;
    struct dev_buf *lb = rig_buf(&rig, logits, N * stride * 4);
    struct dev_buf *bb = rig_buf(&rig, bias, (c.n_expert + 4) * 4);
    struct dev_buf *cb = rig_zeros(&rig, sizeof choice), *wb = rig_zeros(&rig, sizeof weight);
    struct op op = {.kind = OP_ROUTE,
                    .u.route = {.logits = {lb, 0, stride},
                                .bias = c.bias ? bb : NULL,
                                .bias_offset = 4,
                                .choice = cb,
                                .weight = wb,
                                .n_expert = c.n_expert,
                                .n_used = c.n_used,
                                .n_group = c.n_group,
                                .groups_used = c.groups_used,
                                .gating = c.sigmoid ? OP_GATING_SIGMOID : OP_GATING_SOFTMAX,
                                .renorm = c.renorm,
                                .scale = (float)c.scale}};
    rig_head(&rig, N, 0, 0);
    rig_run(&rig, &op, N, 0);
    rig_read(&rig, cb, choice, sizeof choice);
    rig_read(&rig, wb, weight, sizeof weight);
    for (uint32_t r = 0; r < N; r++) {
        double w[16], gap;
        ref_route(&c, logits + r * stride, want, w, &gap);
        if (gap > 0 && gap < 1e-6)
            continue; /* too close to call in float32 */
        for (uint32_t k = 0; k < c.n_used; k++) {
            ck_assert_msg(choice[r * c.n_used + k] == want[k],
                          "case %d row %u: choice %u is %u, want %u", _i, r, k,
                          choice[r * c.n_used + k], want[k]);
            ck_assert_msg(fabs(weight[r * c.n_used + k] - w[k]) <= 2e-6 * w[k],
                          "row %u: weight %g, want %g", r, weight[r * c.n_used + k], w[k]);
        }
    }
    free(logits);
    free(bias);
    rig_free(&rig, lb);
    rig_free(&rig, bb);
    rig_free(&rig, cb);
    rig_free(&rig, wb);
}
END_TEST

/* The whole chain plan -> gated -> down -> combine against a direct computation. */
struct moe {
    uint32_t n_expert, n_used, hidden, ffn, gate_type, up_type, down_type;
    void *gate, *up, *down;
    struct dev_weight *wg, *wu, *wd;
    float *x;
    uint32_t *choice;
    float *weight;
    uint32_t n;
};

static void moe_make(struct moe *m)
{
    m->gate = rig_blocks(m->gate_type, m->n_expert, m->ffn, m->hidden);
    m->up = rig_blocks(m->up_type, m->n_expert, m->ffn, m->hidden);
    m->down = rig_blocks(m->down_type, m->n_expert, m->hidden, m->ffn);
    m->wg = rig_weight(&rig, m->gate_type, m->n_expert, m->ffn, m->hidden, m->gate);
    m->wu = rig_weight(&rig, m->up_type, m->n_expert, m->ffn, m->hidden, m->up);
    m->wd = rig_weight(&rig, m->down_type, m->n_expert, m->hidden, m->ffn, m->down);
    m->x = rig_floats((size_t)m->n * m->hidden, 1);
    m->choice = calloc((size_t)m->n * m->n_used, sizeof *m->choice);
    m->weight = rig_floats((size_t)m->n * m->n_used, 1);
}

static void moe_free(struct moe *m)
{
    free(m->gate);
    free(m->up);
    free(m->down);
    free(m->x);
    free(m->choice);
    free(m->weight);
    dev_weight_destroy(rig.dev, &m->wg);
    dev_weight_destroy(rig.dev, &m->wu);
    dev_weight_destroy(rig.dev, &m->wd);
}

/* Distinct experts for each row: spread 0 = random, 1 = all rows the same. */
static void moe_choose(struct moe *m, bool same)
{
    for (uint32_t r = 0; r < m->n; r++)
        for (uint32_t k = 0; k < m->n_used; k++) {
            uint32_t *c = &m->choice[r * m->n_used + k];
            bool again = true;
            *c = same ? m->n_expert - 1 - k : 0;
            while (!same && again) {
                *c = rig_random(m->n_expert);
                again = false;
                for (uint32_t i = 0; i < k; i++)
                    again = again || m->choice[r * m->n_used + i] == *c;
            }
        }
}

/* y [n, hidden] of a run over n rows in a plan of `bucket`. */
static float *moe_run(const struct moe *m, uint32_t n, uint32_t bucket, uint32_t *touched)
{
    uint32_t slots = bucket * m->n_used;
    uint32_t *stats = dev_buf_map(rig.step.stats);
    struct dev_buf *xb = rig_buf(&rig, m->x, (size_t)bucket * m->hidden * 4);
    struct dev_buf *cb = rig_buf(&rig, m->choice, (size_t)slots * 4);
    struct dev_buf *wb = rig_buf(&rig, m->weight, (size_t)slots * 4);
    struct dev_buf *hb = rig_zeros(&rig, (size_t)slots * m->ffn * 4);
    struct dev_buf *ob = rig_zeros(&rig, (size_t)slots * m->hidden * 4);
    struct dev_buf *yb = rig_zeros(&rig, (size_t)bucket * m->hidden * 4);
    struct dev_buf *lists =
        rig_zeros(&rig, dev_moe_lists_bytes(rig.dev, RIG_MAX_ROWS, m->n_used, m->n_expert));
    struct dev_view o = {ob, 0, m->hidden}, h = {hb, 0, m->ffn};
    struct op ops[] = {
        {.kind = OP_MOE_PLAN, .u.moe_plan = {cb, lists, m->n_expert, m->n_used, 3}},
        {.kind = OP_MOE_GATED,
         .u.moe_gated = {m->wg, m->wu, {xb, 0, m->hidden}, h, lists, m->n_used}},
        {.kind = OP_MOE_DOWN, .u.moe_down = {m->wd, h, o, lists, wb, m->n_used}},
        {.kind = OP_MOE_COMBINE, .u.moe_combine = {o, {yb, 0, m->hidden}, m->hidden, m->n_used}}};
    struct plan *p = NULL;
    struct err e = ERR_INIT;

    stats[3] = 0;
    rig_head(&rig, n, 0, 0);
    if (!plan_create(rig.dev, &rig.step, bucket, 0, &p, &e))
        rig_die("plan", &e);
    for (int i = 0; i < 4; i++)
        if (!plan_add(p, &ops[i], &e))
            rig_die("moe", &e);
    if (!plan_finish(p, &e) || !plan_run(p, &e))
        rig_die("moe", &e);
    plan_destroy(&p);
    float *y = malloc((size_t)bucket * m->hidden * 4);
    rig_read(&rig, yb, y, (size_t)bucket * m->hidden * 4);
    *touched = stats[3];
    rig_free(&rig, xb);
    rig_free(&rig, cb);
    rig_free(&rig, wb);
    rig_free(&rig, hb);
    rig_free(&rig, ob);
    rig_free(&rig, yb);
    rig_free(&rig, lists);
    return y;
}

/* One row by the definition; tolerance per element. */
static void moe_ref_row(const struct moe *m, uint32_t row, double *y, double *tolerance)
{
    float *w = malloc((m->hidden + m->ffn) * sizeof *w), *h = malloc(m->ffn * sizeof *h);
    double s1, s2, scale;
    memset(y, 0, m->hidden * sizeof *y);
    for (uint32_t i = 0; i < m->hidden; i++)
        tolerance[i] = 1e-9;
    for (uint32_t k = 0; k < m->n_used; k++) {
        uint64_t e = m->choice[row * m->n_used + k];
        for (uint32_t i = 0; i < m->ffn; i++) {
            ref_weight_row(m->gate_type, m->gate, m->hidden, e * m->ffn + i, w);
            double g = ref_dot(w, m->x + (size_t)row * m->hidden, m->hidden, &s1);
            ref_weight_row(m->up_type, m->up, m->hidden, e * m->ffn + i, w);
            h[i] =
                (float)(ref_silu(g) * ref_dot(w, m->x + (size_t)row * m->hidden, m->hidden, &s2));
        }
        for (uint32_t i = 0; i < m->hidden; i++) {
            ref_weight_row(m->down_type, m->down, m->ffn, e * m->hidden + i, w);
            double part = ref_dot(w, h, m->ffn, &scale);
            y[i] += m->weight[row * m->n_used + k] * part;
            tolerance[i] += 2e-5 * fabs(m->weight[row * m->n_used + k]) * scale;
        }
    }
    free(w);
    free(h);
}

static uint32_t distinct(const struct moe *m, uint32_t n)
{
    bool seen[DEV_MAX_EXPERTS] = {false};
    uint32_t count = 0;
    for (uint32_t i = 0; i < n * m->n_used; i++) {
        count += !seen[m->choice[i]];
        seen[m->choice[i]] = true;
    }
    return count;
}

START_TEST(moe)
{
    static const struct moe shapes[] = {{.n_expert = 8,
                                         .n_used = 2,
                                         .hidden = 256,
                                         .ffn = 40,
                                         .gate_type = TENSOR_Q4_K,
                                         .up_type = TENSOR_Q4_K,
                                         .down_type = TENSOR_F16},
                                        {.n_expert = 5,
                                         .n_used = 3,
                                         .hidden = 64,
                                         .ffn = 32,
                                         .gate_type = TENSOR_Q8_0,
                                         .up_type = TENSOR_Q5_0,
                                         .down_type = TENSOR_Q8_0},
                                        {.n_expert = 16,
                                         .n_used = 1,
                                         .hidden = 20,
                                         .ffn = 256,
                                         .gate_type = TENSOR_F32,
                                         .up_type = TENSOR_F32,
                                         .down_type = TENSOR_Q6_K}};
    static const uint32_t runs[][2] = {{1, 1}, {2, 4}, {7, 8}, {30, 30}};
    struct moe m = shapes[_i % 3];
    uint32_t touched;

    if (!mode_set((enum rig_mode)(_i / 3), _i == 0 || _i == 2))
        return;
    m.n = 30;
    moe_make(&m);
    for (int same = 0; same < 2; same++) {
        float *first = NULL;
        double *want = malloc(m.hidden * sizeof *want), *tol = malloc(m.hidden * sizeof *tol);
        moe_choose(&m, same);
        for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
            float *y = moe_run(&m, runs[i][0], runs[i][1], &touched);
            ck_assert_uint_eq(touched, distinct(&m, runs[i][0]));
            for (uint32_t r = 0; r < runs[i][0]; r += 1 + r / 2) {
                moe_ref_row(&m, r, want, tol);
                for (uint32_t c = 0; c < m.hidden; c++)
                    ck_assert_msg(fabs(y[r * m.hidden + c] - want[c]) <= tol[c],
                                  "%s shape %d row %u of %u element %u: %g, want %g",
                                  rig_mode_name(rig.mode), _i % 3, r, runs[i][0], c,
                                  y[r * m.hidden + c], want[c]);
            }
            if (first)
                ck_assert_msg(memcmp(first, y, m.hidden * 4) == 0, "row 0 differs in company");
            else
                first = y;
            if (y != first)
                free(y);
        }
        free(first);
        free(want);
        free(tol);
    }
    moe_free(&m);
}
END_TEST

/* ---- output -------------------------------------------------------------------------------------
 */

START_TEST(edit)
{
    enum { VOCAB = 33, STRIDE = 36, N = 3 };
    float *logits = rig_floats((N + 1) * STRIDE, 2), out[(N + 1) * STRIDE];
    struct dev_buf *b = rig_buf(&rig, logits, sizeof out);
    struct dev_edit *edits = dev_buf_map(rig.step.edits);
    struct op op = {.kind = OP_EDIT, .u.edit = {{b, 0, STRIDE}, VOCAB}};

    rig_set_mode(&rig, RIG_AUTO);
    for (uint32_t i = 0; i < 20; i++)
        edits[i] = (struct dev_edit){i % N, i, 1.25f, i % 2 ? -1.0f : 0.0f};
    edits[20] = (struct dev_edit){N, 0, 2, 5};     /* no such output */
    edits[21] = (struct dev_edit){0, VOCAB, 2, 5}; /* no such token */
    rig_head(&rig, 1, N, 22);
    rig_run(&rig, &op, 1, N + 1);
    rig_read(&rig, b, out, sizeof out);
    for (uint32_t o = 0; o <= N; o++)
        for (uint32_t t = 0; t < STRIDE; t++) {
            double want = logits[o * STRIDE + t];
            if (o < N && t < 20 && t % N == o)
                want = (want > 0 ? want / 1.25 : want * 1.25) - (t % 2 ? 1 : 0);
            ck_assert_msg(fabs(out[o * STRIDE + t] - want) <= 1e-6, "out %u token %u: %g, want %g",
                          o, t, out[o * STRIDE + t], want);
        }
    free(logits);
    rig_free(&rig, b);
}
END_TEST

static void check_candidates(const float *logits, uint32_t vocab, const struct dev_candidates *c,
                             float inv_temp)
{
    uint32_t n = vocab < DEV_CANDIDATES ? vocab : DEV_CANDIDATES, want[DEV_CANDIDATES];
    ref_best(logits, vocab, n, want);
    ck_assert_uint_eq(c->n, n);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_msg(c->best[i].id == want[i], "%s vocab %u: place %u is %u (%g), want %u (%g)",
                      rig_mode_name(rig.mode), vocab, i, c->best[i].id, logits[c->best[i].id],
                      want[i], logits[want[i]]);
        ck_assert(c->best[i].logit == logits[want[i]]);
    }
    double sum = ref_sum_exp(logits, vocab, inv_temp), sum_1 = ref_sum_exp(logits, vocab, 1);
    ck_assert(c->max_logit == logits[want[0]]);
    ck_assert_msg(fabs(c->sum_exp - sum) <= 1e-5 * sum, "sum %g, want %g", c->sum_exp, sum);
    ck_assert_msg(fabs(c->sum_exp_1 - sum_1) <= 1e-5 * sum_1, "sum %g, want %g", c->sum_exp_1,
                  sum_1);
}

START_TEST(candidates)
{
    static const uint32_t vocabs[] = {100, 128, 129, 8192, 160001};
    enum { N = 5 };
    uint32_t vocab = vocabs[_i % 5], stride = round4(vocab) + 4;
    float *logits = rig_floats((size_t)N * stride, 4);
    struct dev_out *outs = dev_buf_map(rig.step.out);
    const struct dev_candidates *got = dev_buf_map(rig.step.candidates);

    rig_set_mode(&rig, (enum rig_mode)(_i / 5));
    for (uint32_t t = 0; t < vocab; t++) {
        logits[stride + t] = (float)(t % 7 ? 0 : -1); /* many ties, zeros of both signs */
        if (t % 5 == 0 && t % 7)
            logits[stride + t] = -0.0f;
        logits[2 * stride + t] = (float)t * -0.001f; /* sorted */
    }
    logits[3 * stride + vocab / 2] = NAN;
    logits[4 * stride + vocab - 1] = -INFINITY;
    logits[vocab] = NAN; /* behind the row: not looked at */
    for (uint32_t j = 0; j < N; j++)
        outs[j].inv_temp = j == 0 ? 1.0f / 0.7f : 1;
    struct dev_buf *b = rig_buf(&rig, logits, (size_t)N * stride * 4);
    struct op op = {.kind = OP_CANDIDATES, .u.candidates = {{b, 0, stride}, vocab}};
    rig_head(&rig, N, N, 0);
    rig_run(&rig, &op, N, N);
    check_candidates(logits, vocab, &got[0], 1.0f / 0.7f);
    check_candidates(logits + stride, vocab, &got[1], 1);
    check_candidates(logits + 2 * (size_t)stride, vocab, &got[2], 1);
    ck_assert_uint_eq(got[3].n, 0);
    ck_assert_uint_eq(got[4].n, 0);
    free(logits);
    rig_free(&rig, b);
}
END_TEST

/* ---- large weights ------------------------------------------------------------------------------
 */

/* Larger than one binding of lavapipe (128 MiB): segments of rows, and of matrices. */
START_TEST(large_weight)
{
    enum { COLS = 2048, ROWS = 70000 };
    const struct quant_type *t = quant_type_get(TENSOR_Q8_0);
    size_t row_bytes = COLS / 32 * t->block_bytes;
    uint8_t *data = calloc(ROWS, row_bytes);
    float *x = rig_floats(COLS, 1), *row = malloc(COLS * sizeof *row), *y = malloc(ROWS * 4);
    static const uint32_t probe[] = {0, 1, 7, 8, 30011, 60871, 60872, 61679, 61680, 69992, 69999};
    enum { N_PROBE = sizeof probe / sizeof probe[0] };

    if (dev_info(rig.dev)->max_bind_bytes > (uint64_t)ROWS * row_bytes) {
        free(data);
        data = NULL; /* one segment here: the other cases cover it */
    }
    for (int i = 0; data && i < N_PROBE; i++) {
        void *r = rig_blocks(TENSOR_Q8_0, 1, 1, COLS);
        memcpy(data + probe[i] * row_bytes, r, row_bytes);
        free(r);
    }
    if (data) {
        struct dev_weight *w = rig_weight(&rig, TENSOR_Q8_0, 1, ROWS, COLS, data);
        struct dev_buf *xb = rig_buf(&rig, x, COLS * 4), *yb = rig_zeros(&rig, ROWS * 4);
        struct dev_buf *eb = rig_zeros(&rig, N_PROBE * COLS * 4);
        struct op op = {.kind = OP_MATMUL,
                        .u.matmul = {.w = w, .x = {xb, 0, COLS}, .y = {yb, 0, ROWS}}};
        struct op gather_rows = {.kind = OP_EMBED, .u.embed = {w, {eb, 0, COLS}}};
        ck_assert_uint_gt(w->n_segments, 1);
        rig_set_mode(&rig, RIG_AUTO);
        rig_head(&rig, 1, 0, 0);
        rig_run(&rig, &op, 1, 0);
        rig_read(&rig, yb, y, ROWS * 4);
        for (uint32_t i = 0; i < N_PROBE; i++)
            step_rows()[i].token = probe[i];
        rig_head(&rig, N_PROBE, 0, 0);
        rig_run(&rig, &gather_rows, N_PROBE, 0);
        float *rows = malloc(N_PROBE * COLS * 4);
        rig_read(&rig, eb, rows, N_PROBE * COLS * 4);
        for (int i = 0; i < N_PROBE; i++) {
            double scale, want;
            ref_weight_row(TENSOR_Q8_0, data, COLS, probe[i], row);
            want = ref_dot(row, x, COLS, &scale);
            ck_assert_msg(fabs(y[probe[i]] - want) <= bound * scale, "row %u: %g, want %g",
                          probe[i], y[probe[i]], want);
            for (uint32_t k = 0; k < COLS; k++)
                ck_assert(fabsf(rows[i * COLS + k] - row[k]) <= 1e-6f * fabsf(row[k]));
        }
        ck_assert(y[2] == 0 && y[69990] == 0);
        free(rows);
        rig_free(&rig, xb);
        rig_free(&rig, yb);
        rig_free(&rig, eb);
        dev_weight_destroy(rig.dev, &w);
    }
    free(data);
    free(x);
    free(row);
    free(y);
}
END_TEST

/* Small bindings by decree: every form over several segments, gate and up cut differently. */
START_TEST(many_segments)
{
    struct dev_info *info = &rig.dev->info;
    uint64_t limit = info->max_bind_bytes;

    info->max_bind_bytes = 20000;
    check_matmul_case(TENSOR_Q8_0, 1, 100, 256);
    check_matmul_case(TENSOR_F32, 5, 12, 72);
    rig_set_mode(&rig, RIG_PORTABLE);
    check_gated_case(TENSOR_Q4_K, TENSOR_F16, 77, 256, 3, 4);
    struct moe m = {.n_expert = 9,
                    .n_used = 2,
                    .hidden = 256,
                    .ffn = 40,
                    .gate_type = TENSOR_Q8_0,
                    .up_type = TENSOR_Q4_K,
                    .down_type = TENSOR_F16,
                    .n = 4};
    uint32_t touched;
    double want[256], tol[256];
    moe_make(&m);
    ck_assert_uint_gt(m.wg->n_segments, m.wu->n_segments);
    moe_choose(&m, false);
    float *y = moe_run(&m, 4, 4, &touched);
    for (uint32_t r = 0; r < 4; r++) {
        moe_ref_row(&m, r, want, tol);
        for (uint32_t c = 0; c < m.hidden; c++)
            ck_assert_msg(fabs(y[r * m.hidden + c] - want[c]) <= tol[c], "row %u: %g, want %g", r,
                          y[r * m.hidden + c], want[c]);
    }
    free(y);
    moe_free(&m);
    info->max_bind_bytes = limit;
}
END_TEST

START_TEST(refuses)
{
    struct err e = ERR_INIT;
    float data[40] = {0};
    struct dev_weight *w = NULL;
    struct dev_weight_desc d = {
        .type = TENSOR_F32, .n_mat = 1, .rows = 4, .cols = 10, .data = data, .name = "odd"};
    ck_assert(!dev_weight_create(rig.dev, &d, &w, &e) && e.code == ERR_UNSUPPORTED);
    d.type = TENSOR_Q4_K;
    ck_assert(!dev_weight_create(rig.dev, &d, &w, &e) && e.code == ERR_ARG);
    d.type = 10; /* Q2_K: known, no kernel */
    ck_assert(!dev_weight_create(rig.dev, &d, &w, &e) && e.code == ERR_UNSUPPORTED);
    ck_assert_ptr_null(w);
}
END_TEST

static void add(Suite *s, const char *name, const TTest *test, int n)
{
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, test, 0, n);
    suite_add_tcase(s, c);
}

static Suite *ops_suite(void)
{
    Suite *s = suite_create("ops");
    add(s, "refuses", refuses, 1);
    add(s, "matmul", matmul, N_TYPES * RIG_MODE_COUNT);
    add(s, "matmul_same_bits", matmul_same_bits, N_TYPES * RIG_MODE_COUNT);
    add(s, "gated", gated, 6 * RIG_MODE_COUNT);
    add(s, "embed", embed, N_TYPES);
    add(s, "rmsnorm", rmsnorm, RIG_MODE_COUNT);
    add(s, "gather", gather, 1);
    add(s, "mla_prep", mla_prep, 2 * RIG_MODE_COUNT);
    add(s, "mla_attn", mla_attn, 6 * RIG_MODE_COUNT);
    add(s, "attn_halves", attn_halves, 3);
    add(s, "prep_halves", prep_halves, 1);
    add(s, "route", route, 6 * RIG_MODE_COUNT);
    add(s, "moe", moe, 3 * RIG_MODE_COUNT);
    add(s, "edit", edit, 1);
    add(s, "candidates", candidates, 5 * RIG_MODE_COUNT);
    add(s, "many_segments", many_segments, 1);
    add(s, "large_weight", large_weight, 1);
    return s;
}

int main(int argc, char **argv)
{
    (void)argc;
    return each_driver_main(argv, ops_suite);
}
