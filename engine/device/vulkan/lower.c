/* Turns ops into dispatches: picks a shader variant by the selection tables below, binds buffers
 * and fills push constants.
 *
 * Owns the choice of variants, workgroup shapes and grids. Knows shaders, abi.h and the device's
 * limits; calls no Vulkan. Nothing here depends on what a step contains: row counts and positions
 * are read by the shaders, which skip what lies beyond.
 */
#include <config.h>

#include "device/vulkan/vk.h"

#include <string.h>

#include "../shaders/include/abi.h"
#include "device/vulkan/shader_ids.h"
#include "format/quant.h"

_Static_assert(ABI_PAGE_TOKENS == DEV_PAGE_TOKENS && ABI_MAX_TOPK == DEV_MAX_TOPK &&
                   ABI_MAX_EXPERTS == DEV_MAX_EXPERTS && ABI_CANDIDATES == DEV_CANDIDATES,
               "abi.h and device.h agree");
_Static_assert(sizeof(struct dev_candidates) == 4 * ABI_CANDIDATE_WORDS,
               "abi.h and device.h agree");
_Static_assert(ABI_T_Q6_K == TENSOR_Q6_K && ABI_T_Q5_0 == TENSOR_Q5_0 && ABI_T_BF16 == TENSOR_BF16,
               "abi.h and quant.h agree");

/* ---- selection ----------------------------------------------------------------------------------
 */

/* A shader that can do an op. Tables list the preferred one first; the last row needs nothing. */
struct variant {
    enum vk_shader_id shader;
    uint8_t min_subgroup; /* lanes 0..min-1 of a subgroup must exist */
    uint8_t cols, tiles;  /* matrix products: rows of x and 8-row tiles per workgroup */
    uint16_t local[3];
};

enum { WIDE = 64, LANES = 8 };

/* By how many rows there are: 1, up to 4 (experts: few and a varying number), more. */
enum width { WIDTH_1, WIDTH_4, WIDTH_8, WIDTH_COUNT };
enum form { FORM_MATMUL, FORM_GATED, FORM_MOE_GATED, FORM_MOE_DOWN, FORM_COUNT };

/* Fast variants of matrix products: weight types are specialization constants. */
#define SPLIT(form, cols_)                                                                         \
    {                                                                                              \
        SHADER_##form##_C##cols_##_SPLIT, 0, cols_, 1,                                             \
        {                                                                                          \
            8, 8, 2                                                                                \
        }                                                                                          \
    }
#define SHUFFLED(form, tiles_)                                                                     \
    {                                                                                              \
        SHADER_##form##_C1_SHUFFLE, 8, 1, tiles_,                                                  \
        {                                                                                          \
            8, 1, 1                                                                                \
        }                                                                                          \
    }
/* As SHUFFLED, but for up to 16 rows, and a workgroup costs what the rows it really has cost. */
#define LOOPED(form, tiles_)                                                                       \
    {                                                                                              \
        SHADER_##form##_C16_LOOP, 8, 16, tiles_,                                                   \
        {                                                                                          \
            8, 1, 1                                                                                \
        }                                                                                          \
    }
#define FAST_FORM(form, t)                                                                         \
    {                                                                                              \
        {SPLIT(form, 1), SHUFFLED(form, t)}, {SPLIT(form, 4), LOOPED(form, t)},                    \
            {SPLIT(form, 8), LOOPED(form, t)},                                                     \
    }
enum { N_FAST = 2 };
static const struct variant fast_gemm[FORM_COUNT][WIDTH_COUNT][N_FAST] = {
    [FORM_MATMUL] = FAST_FORM(MATMUL, 4),
    [FORM_GATED] = FAST_FORM(GATED, 2),
    [FORM_MOE_GATED] = FAST_FORM(MOE_GATED, 2),
    [FORM_MOE_DOWN] = FAST_FORM(MOE_DOWN, 4),
};

/* Portable variants: one module per type, because drivers that do not fold specialization constants
 * would run the decoders of all types. At most 4 rows of x: they also take long to compile there.
 */
enum { N_TYPES = 9, MIXED = N_TYPES };
static const uint32_t type_ids[N_TYPES] = {TENSOR_F32,  TENSOR_F16,  TENSOR_Q4_0,
                                           TENSOR_Q5_0, TENSOR_Q8_0, TENSOR_Q4_K,
                                           TENSOR_Q5_K, TENSOR_Q6_K, TENSOR_BF16};
#define PLAIN(form, cols_, type)                                                                   \
    {                                                                                              \
        SHADER_##form##_C##cols_##_##type, 0, cols_, 1,                                            \
        {                                                                                          \
            8, 1, 1                                                                                \
        }                                                                                          \
    }
#define PLAIN_TYPES(form, cols_)                                                                   \
    PLAIN(form, cols_, F32), PLAIN(form, cols_, F16), PLAIN(form, cols_, Q4_0),                    \
        PLAIN(form, cols_, Q5_0), PLAIN(form, cols_, Q8_0), PLAIN(form, cols_, Q4_K),              \
        PLAIN(form, cols_, Q5_K), PLAIN(form, cols_, Q6_K), PLAIN(form, cols_, BF16)
#define PLAIN_FORM(form)                                                                           \
    {                                                                                              \
        {PLAIN_TYPES(form, 1)},                                                                    \
        {                                                                                          \
            PLAIN_TYPES(form, 4)                                                                   \
        }                                                                                          \
    }
#define PLAIN_PAIRS(form)                                                                          \
    {                                                                                              \
        {PLAIN_TYPES(form, 1), PLAIN(form, 1, MIXED)},                                             \
        {                                                                                          \
            PLAIN_TYPES(form, 4), PLAIN(form, 4, MIXED)                                            \
        }                                                                                          \
    }
static const struct variant plain_gemm[FORM_COUNT][2][N_TYPES + 1] = {
    [FORM_MATMUL] = PLAIN_FORM(MATMUL),
    [FORM_GATED] = PLAIN_PAIRS(GATED),
    [FORM_MOE_GATED] = PLAIN_PAIRS(MOE_GATED),
    [FORM_MOE_DOWN] = PLAIN_FORM(MOE_DOWN),
};
static const enum vk_shader_id embed_shaders[N_TYPES] = {
    SHADER_EMBED_F32,  SHADER_EMBED_F16,  SHADER_EMBED_Q4_0, SHADER_EMBED_Q5_0, SHADER_EMBED_Q8_0,
    SHADER_EMBED_Q4_K, SHADER_EMBED_Q5_K, SHADER_EMBED_Q6_K, SHADER_EMBED_BF16};

/* Workgroups of software drivers are one vector wide: a barrier there costs per vector. */
enum { HW_NORM = 128, HW_ROUTE = 64, HW_PLAN = 128, HW_CANDIDATES = 128, HW_ATTN = 64 };

static const struct variant norm_variants[] = {{SHADER_RMSNORM_SUBGROUP, 0, 0, 0, {HW_NORM, 1, 1}},
                                               {SHADER_RMSNORM, 0, 0, 0, {LANES, 1, 1}}};

/* WIDE16 loads halves as such; over a cache of floats it is the same code as WIDE. */
enum { N_ATTN = 4 };
static const struct variant attn_variants_1[N_ATTN] = {
    {SHADER_MLA_ATTN_H1_WIDE16, 0, 1, 0, {HW_ATTN, 1, 1}},
    {SHADER_MLA_ATTN_H1_WIDE, 0, 1, 0, {HW_ATTN, 1, 1}},
    {SHADER_MLA_ATTN_H1_SHUFFLE, 8, 1, 0, {8, 1, 1}},
    {SHADER_MLA_ATTN_H1, 0, 1, 0, {8, 1, 1}}};
static const struct variant attn_variants_4[N_ATTN] = {
    {SHADER_MLA_ATTN_H4_WIDE16, 0, 4, 0, {HW_ATTN, 1, 1}},
    {SHADER_MLA_ATTN_H4_WIDE, 0, 4, 0, {HW_ATTN, 1, 1}},
    {SHADER_MLA_ATTN_H4_SHUFFLE, 8, 4, 0, {8, 1, 1}},
    {SHADER_MLA_ATTN_H4, 0, 4, 0, {8, 1, 1}}};

/* 8 heads read every cache entry half as often, but leave a single row to one core. */
static const struct variant attn_variants_8[N_ATTN] = {
    {SHADER_MLA_ATTN_H4_WIDE16, 0, 4, 0, {HW_ATTN, 1, 1}},
    {SHADER_MLA_ATTN_H4_WIDE, 0, 4, 0, {HW_ATTN, 1, 1}},
    {SHADER_MLA_ATTN_H8_SHUFFLE, 8, 8, 0, {8, 1, 1}},
    {SHADER_MLA_ATTN_H4, 0, 4, 0, {8, 1, 1}}};

/* Ops with one shader: workgroup width on hardware and on software drivers. */
struct single {
    enum vk_shader_id shader;
    uint16_t hardware, software;
};
static const struct single single_prep = {SHADER_MLA_PREP, WIDE, LANES};
static const struct single single_prep_16 = {SHADER_MLA_PREP_WIDE16, WIDE, LANES};
static const struct single single_route = {SHADER_ROUTE, HW_ROUTE, LANES};
static const struct single single_plan = {SHADER_MOE_PLAN, HW_PLAN, LANES};
static const struct single single_combine = {SHADER_MOE_COMBINE, WIDE, WIDE};
static const struct single single_gather = {SHADER_GATHER, WIDE, WIDE};
static const struct single single_edit = {SHADER_EDIT, WIDE, LANES};
static const struct single single_candidates = {SHADER_CANDIDATES, HW_CANDIDATES, LANES};

static bool has_features(enum vk_shader_id shader, const struct vk_caps *caps)
{
    return (vk_shaders[shader].features & ~caps->features) == 0;
}

static bool usable(const struct variant *v, const struct vk_caps *caps)
{
    return has_features(v->shader, caps) && caps->subgroup_size >= v->min_subgroup;
}

/* Both have the same width, so that the sum of squares is added up in the same order. */
static const struct single *pick_prep(const struct vk_caps *caps, enum dev_tier tier)
{
    bool fast = tier != DEV_TIER_PORTABLE && has_features(single_prep_16.shader, caps);
    return fast ? &single_prep_16 : &single_prep;
}

static const struct variant *pick(const struct variant *table, size_t n, const struct vk_caps *caps,
                                  enum dev_tier tier)
{
    for (size_t i = tier == DEV_TIER_PORTABLE ? n - 1 : 0; i < n; i++)
        if (usable(&table[i], caps))
            return &table[i];
    return &table[n - 1];
}
#define PICK(table, caps, tier) pick(table, sizeof(table) / sizeof(table)[0], caps, tier)

static enum width width_of(uint32_t rows)
{
    return rows <= 1 ? WIDTH_1 : rows <= 4 ? WIDTH_4 : WIDTH_8;
}

static uint32_t type_index(uint32_t type)
{
    uint32_t i = 0;
    while (i < N_TYPES && type_ids[i] != type)
        i++;
    return i;
}

/* The fast variant for this form and width, NULL when the device or the tier has none. */
static const struct variant *pick_fast(enum form form, enum width w, const struct vk_caps *caps,
                                       enum dev_tier tier)
{
    for (int i = 0; tier != DEV_TIER_PORTABLE && i < N_FAST; i++)
        if (usable(&fast_gemm[form][w][i], caps))
            return &fast_gemm[form][w][i];
    return NULL;
}

/* `b`: type of the second operand, the same as `a` when there is none. */
static const struct variant *pick_gemm(enum form form, enum width w, uint32_t a, uint32_t b,
                                       const struct vk_caps *caps, enum dev_tier tier)
{
    const struct variant *fast = pick_fast(form, w, caps, tier);
    uint32_t type = a == b ? type_index(a) : MIXED;
    return fast ? fast : &plain_gemm[form][w == WIDTH_1 ? 0 : 1][type];
}

/* ---- building dispatches ------------------------------------------------------------------------
 */

struct lowering {
    const struct vk_caps *caps;
    enum dev_tier tier;
    const struct op *op;
    const struct dev_step *step;
    uint32_t max_rows, max_out;
    struct vk_dispatch *list;
    uint32_t n;
    struct err *e;
};

static const char *label_of(const struct lowering *l)
{
    return l->op->label ? l->op->label : op_kind_name(l->op->kind);
}

static struct vk_dispatch *add(struct lowering *l, enum vk_shader_id shader,
                               const uint16_t local[3])
{
    if (l->n == VK_MAX_DISPATCH_PER_OP) {
        err_set(l->e, ERR_LIMIT, 0, __FILE__, __LINE__, "%s: more than %d pieces", label_of(l),
                VK_MAX_DISPATCH_PER_OP);
        return NULL;
    }
    struct vk_dispatch *x = &l->list[l->n++];
    memset(x, 0, sizeof *x);
    x->shader = shader;
    for (int i = 0; i < 3; i++)
        x->spec[SPEC_LOCAL_X + i] = local[i];
    x->n_spec = 3;
    return x;
}

static struct vk_dispatch *add_single(struct lowering *l, const struct single *s)
{
    bool hardware = l->caps->features & VK_FEAT_HARDWARE;
    uint16_t local[3] = {hardware ? s->hardware : s->software, 1, 1};
    return add(l, s->shader, local);
}

static void spec(struct vk_dispatch *x, uint32_t value)
{
    x->spec[x->n_spec++] = value;
}

static void grid(struct vk_dispatch *x, uint32_t a, uint32_t b, uint32_t c)
{
    x->groups[0] = a;
    x->groups[1] = b;
    x->groups[2] = c;
}

static void push(struct vk_dispatch *x, const void *data, size_t bytes)
{
    memcpy(x->push, data, bytes);
    x->push_bytes = (uint32_t)bytes;
}

static uint32_t div_up(uint32_t a, uint32_t b)
{
    return (uint32_t)(((uint64_t)a + b - 1) / b);
}

/* Binds bytes [first, first + bytes) of buf as the next operand. *base: where `first` lies in the
 * bound range, in bytes (the offset of a binding must be aligned). */
static bool bind_part(struct lowering *l, struct vk_dispatch *x, const struct dev_buf *buf,
                      uint64_t first, uint64_t bytes, uint32_t *base)
{
    uint64_t offset = first - first % l->caps->bind_align;
    uint64_t span = (first - offset + bytes + 15) / 16 * 16;
    if (span > l->caps->max_bind_bytes || span > UINT32_MAX)
        FAIL(l->e, ERR_LIMIT, "%s: an operand of %llu bytes, this device binds %llu at most",
             label_of(l), (unsigned long long)span, (unsigned long long)l->caps->max_bind_bytes);
    x->bind[x->n_binds++] = (struct vk_range){.buf = buf, .offset = offset, .bytes = span};
    *base = (uint32_t)(first - offset);
    return true;
}

static bool bind_all(struct lowering *l, struct vk_dispatch *x, const struct dev_buf *buf)
{
    uint32_t base;
    return bind_part(l, x, buf, 0, dev_buf_bytes(buf), &base);
}

/* Binds `rows` rows of n elements; *base in elements. */
static bool bind_view(struct lowering *l, struct vk_dispatch *x, const struct dev_view *v,
                      uint64_t rows, uint64_t n, uint32_t *base)
{
    uint64_t elements = rows > 0 ? (rows - 1) * v->stride + n : 1;
    if (!bind_part(l, x, v->buf, 4 * (uint64_t)v->offset, 4 * elements, base))
        return false;
    *base /= 4;
    return true;
}

static bool bind_array(struct lowering *l, struct vk_dispatch *x, const struct dev_buf *buf,
                       uint32_t offset, uint32_t n, uint32_t *base)
{
    struct dev_view v = {.offset = offset, .stride = n};
    if (!bind_part(l, x, buf, 4 * (uint64_t)v.offset, 4 * (uint64_t)n, base))
        return false;
    *base /= 4;
    return true;
}

/* Rows of x per workgroup, the same for all weight types. */
static uint32_t columns_of(const struct lowering *l, enum form form, enum width w)
{
    const struct variant *v = pick_gemm(form, w, TENSOR_F32, TENSOR_F32, l->caps, l->tier);
    return v->cols;
}

static uint32_t rows_limit(const struct lowering *l, enum dev_rows rows)
{
    return rows == DEV_ROWS_OUT ? l->max_out : l->max_rows;
}

static uint32_t rows_word(enum dev_rows rows)
{
    return rows == DEV_ROWS_OUT ? ABI_HEAD_N_OUT : ABI_HEAD_N_ROWS;
}

/* ---- matrix products ----------------------------------------------------------------------------
 */

/* Where tile 0 of matrix `mat`, row `row` lies in a segment, in uvec4. */
static void operand(const struct vk_segment *g, uint32_t mat, uint32_t row, uint32_t base_bytes,
                    uint32_t *base, uint32_t *tile, uint32_t *mat_step)
{
    uint32_t tiles = div_up(g->row_count, ABI_TILE);
    *tile = (uint32_t)(g->bytes / ((uint64_t)tiles * g->mat_count) / 16);
    *mat_step = *tile * tiles;
    *base = base_bytes / 16 + (mat - g->mat_first) * *mat_step +
            (row - g->row_first) / ABI_TILE * *tile;
}

/* Everything the four forms share. */
struct product {
    enum form form;
    const struct dev_weight *a, *b; /* b: gated forms only */
    struct dev_view x, y;
    uint32_t x_rows, y_rows; /* rows of the views */
    uint32_t x_step, y_step, n_used;
    bool accumulate;
    enum dev_rows rows;
    enum width width;
    uint32_t grid_y;
    const struct dev_buf *lists, *slot_weight; /* moe forms */
    uint32_t max_items;
};

/* One dispatch for the part that segments ga and gb (NULL: none) have in common. */
static bool product_part(struct lowering *l, const struct product *o, const struct vk_segment *ga,
                         const struct vk_segment *gb)
{
    uint32_t row = ga->row_first, row_end = ga->row_first + ga->row_count;
    uint32_t mat = ga->mat_first, mat_end = ga->mat_first + ga->mat_count;
    if (gb) {
        uint32_t gb_row_end = gb->row_first + gb->row_count;
        uint32_t gb_mat_end = gb->mat_first + gb->mat_count;
        row = gb->row_first > row ? gb->row_first : row;
        mat = gb->mat_first > mat ? gb->mat_first : mat;
        row_end = gb_row_end < row_end ? gb_row_end : row_end;
        mat_end = gb_mat_end < mat_end ? gb_mat_end : mat_end;
        if (row >= row_end || mat >= mat_end)
            return true;
    }

    uint32_t type = o->a->desc.type;
    const struct variant *v = pick_gemm(o->form, o->width, type, gb ? o->b->desc.type : type,
                                        l->caps, l->tier);
    struct vk_dispatch *x = add(l, v->shader, v->local);
    if (!x)
        return false;
    bool moe = o->form == FORM_MOE_GATED || o->form == FORM_MOE_DOWN;
    uint64_t n_mat = moe ? 1 : o->a->desc.n_mat;
    uint32_t cols = o->a->desc.cols, base = 0, base_b = 0, unused;
    struct gemm_push p = {
        .rows = row_end - row,
        .steps = div_up(cols, ABI_STEP),
        .last_quad = cols / 4 - 1,
        .rows_from = rows_word(o->rows),
        .accumulate = o->accumulate,
        .x_stride = o->x.stride / 4,
        .x_step = o->x_step / 4,
        .y_stride = o->y.stride,
        .y_step = o->y_step,
        .mat_first = mat,
        .mat_count = mat_end - mat,
        .n_used = o->n_used,
        .entries = ABI_LISTS_ITEMS + o->max_items,
    };
    spec(x, type);
    if (gb)
        spec(x, o->b->desc.type);
    if (!bind_all(l, x, l->step->head) ||
        !bind_view(l, x, &o->x, o->x_rows, (n_mat - 1) * o->x_step + cols, &p.x_base) ||
        !bind_view(l, x, &o->y, o->y_rows, (n_mat - 1) * o->y_step + o->a->desc.rows, &p.y_base) ||
        !bind_part(l, x, ga->buf, ga->offset, ga->bytes, &base) ||
        (gb && !bind_part(l, x, gb->buf, gb->offset, gb->bytes, &base_b)) ||
        (moe && !bind_all(l, x, o->lists)) ||
        (o->slot_weight && !bind_array(l, x, o->slot_weight, 0, o->y_rows, &unused)))
        return false;
    operand(ga, mat, row, base, &p.a_base, &p.a_tile, &p.a_mat);
    if (gb)
        operand(gb, mat, row, base_b, &p.b_base, &p.b_tile, &p.b_mat);
    p.x_base /= 4;
    p.y_base += row;
    if (!moe) {
        p.x_base += mat * p.x_step;
        p.y_base += mat * p.y_step;
    }
    push(x, &p, sizeof p);
    grid(x, div_up(p.rows, ABI_TILE * v->tiles), o->grid_y, moe ? 1 : p.mat_count);
    return true;
}

static bool product(struct lowering *l, const struct product *o)
{
    if (o->grid_y == 0)
        return true;
    for (uint32_t i = 0; i < o->a->n_segments; i++) {
        if (!o->b && !product_part(l, o, &o->a->segments[i], NULL))
            return false;
        for (uint32_t k = 0; o->b && k < o->b->n_segments; k++)
            if (!product_part(l, o, &o->a->segments[i], &o->b->segments[k]))
                return false;
    }
    return true;
}

static bool lower_matmul(struct lowering *l, const struct op_matmul *o)
{
    uint32_t rows = rows_limit(l, o->rows);
    enum width w = width_of(rows);
    struct product p = {.form = FORM_MATMUL,
                        .a = o->w,
                        .x = o->x,
                        .y = o->y,
                        .x_rows = rows,
                        .y_rows = rows,
                        .x_step = o->x_step,
                        .y_step = o->y_step,
                        .accumulate = o->accumulate,
                        .rows = o->rows,
                        .width = w,
                        .grid_y = div_up(rows, columns_of(l, FORM_MATMUL, w))};
    return product(l, &p);
}

static bool lower_gated(struct lowering *l, const struct op_gated *o)
{
    enum width w = width_of(l->max_rows);
    struct product p = {.form = FORM_GATED,
                        .a = o->gate,
                        .b = o->up,
                        .x = o->x,
                        .y = o->y,
                        .x_rows = l->max_rows,
                        .y_rows = l->max_rows,
                        .rows = DEV_ROWS_STEP,
                        .width = w,
                        .grid_y = div_up(l->max_rows, columns_of(l, FORM_GATED, w))};
    return product(l, &p);
}

/* ---- mixture of experts -------------------------------------------------------------------------
 */

/* Rows per work item. As long as an expert gets few rows, their number varies much, and items of a
 * fixed width would be half empty. */
static enum width moe_width(uint32_t max_rows, uint32_t n_used, uint32_t n_expert)
{
    if (max_rows <= 1)
        return WIDTH_1;
    return (uint64_t)max_rows * n_used > 16ull * n_expert ? WIDTH_8 : WIDTH_4;
}

/* Most work items that `slots` slots can make: every touched expert may have one that is not full.
 */
static uint64_t moe_items(uint64_t slots, uint32_t n_expert, uint32_t tile)
{
    uint64_t touched = slots < n_expert ? slots : n_expert;
    return (slots + touched * (tile - 1)) / tile;
}

/* With tiles of 4 for every step: those need the most items, so lists made for many rows do for
 * few. */
uint64_t dev_moe_lists_bytes(const struct dev *d, uint32_t max_rows, uint32_t n_used,
                             uint32_t n_expert)
{
    uint64_t slots = (uint64_t)max_rows * n_used;
    (void)d;
    return 16 * (ABI_LISTS_ITEMS + moe_items(slots, n_expert, 4)) + (4 * slots + 15) / 16 * 16;
}

static bool lower_moe_plan(struct lowering *l, const struct op_moe_plan *o)
{
    enum width w = moe_width(l->max_rows, o->n_used, o->n_expert);
    uint32_t unused, tile = columns_of(l, FORM_MOE_DOWN, w);
    struct vk_dispatch *x = add_single(l, &single_plan);
    struct moe_plan_push p = {
        .n_expert = o->n_expert,
        .n_used = o->n_used,
        .tile = tile,
        .max_items = (uint32_t)moe_items((uint64_t)l->max_rows * o->n_used, o->n_expert, tile),
        .stat = o->stat};
    push(x, &p, sizeof p);
    grid(x, 1, 1, 1);
    return bind_all(l, x, l->step->head) &&
           bind_array(l, x, o->choice, 0, l->max_rows * o->n_used, &unused) &&
           bind_all(l, x, o->lists) && bind_all(l, x, l->step->stats);
}

static void moe_product(const struct lowering *l, uint32_t n_used, struct product *p)
{
    uint32_t n_expert = p->a->desc.n_mat;
    p->width = moe_width(l->max_rows, n_used, n_expert);
    p->n_used = n_used;
    p->max_items = (uint32_t)moe_items((uint64_t)l->max_rows * n_used, n_expert,
                                       columns_of(l, p->form, p->width));
    p->grid_y = p->max_items;
    p->rows = DEV_ROWS_STEP;
    p->y_rows = l->max_rows * n_used;
}

static bool lower_moe_gated(struct lowering *l, const struct op_moe_gated *o)
{
    struct product p = {.form = FORM_MOE_GATED,
                        .a = o->gate,
                        .b = o->up,
                        .x = o->x,
                        .y = o->h,
                        .x_rows = l->max_rows,
                        .lists = o->lists};
    moe_product(l, o->n_used, &p);
    return product(l, &p);
}

static bool lower_moe_down(struct lowering *l, const struct op_moe_down *o)
{
    struct product p = {.form = FORM_MOE_DOWN,
                        .a = o->down,
                        .x = o->h,
                        .y = o->o,
                        .x_rows = l->max_rows * o->n_used,
                        .lists = o->lists,
                        .slot_weight = o->weight};
    moe_product(l, o->n_used, &p);
    return product(l, &p);
}

static bool lower_route(struct lowering *l, const struct op_route *o)
{
    uint32_t unused, slots = l->max_rows * o->n_used;
    struct vk_dispatch *x = add_single(l, &single_route);
    struct route_push p = {.n_expert = o->n_expert,
                           .n_used = o->n_used,
                           .n_group = o->n_group,
                           .groups_used = o->groups_used,
                           .logits_stride = o->logits.stride,
                           .has_bias = o->bias != NULL,
                           .sigmoid = o->gating == OP_GATING_SIGMOID,
                           .renorm = o->renorm,
                           .scale = o->scale};
    if (!bind_all(l, x, l->step->head) ||
        !bind_view(l, x, &o->logits, l->max_rows, o->n_expert, &p.logits_base) ||
        !(o->bias ? bind_array(l, x, o->bias, o->bias_offset, o->n_expert, &p.bias_base)
                  : bind_all(l, x, l->step->head)) ||
        !bind_array(l, x, o->choice, 0, slots, &unused) ||
        !bind_array(l, x, o->weight, 0, slots, &unused))
        return false;
    push(x, &p, sizeof p);
    grid(x, l->max_rows, 1, 1);
    return true;
}

static bool lower_combine(struct lowering *l, const struct op_moe_combine *o)
{
    if (o->n % 4 != 0)
        FAIL(l->e, ERR_UNSUPPORTED, "%s: %u columns are no multiple of 4", label_of(l), o->n);
    struct vk_dispatch *x = add_single(l, &single_combine);
    struct combine_push p = {.quads = o->n / 4,
                             .n_used = o->n_used,
                             .o_stride = o->o.stride / 4,
                             .y_stride = o->y.stride / 4};
    if (!bind_all(l, x, l->step->head) ||
        !bind_view(l, x, &o->o, (uint64_t)l->max_rows * o->n_used, o->n, &p.o_base) ||
        !bind_view(l, x, &o->y, l->max_rows, o->n, &p.y_base))
        return false;
    p.o_base /= 4;
    p.y_base /= 4;
    push(x, &p, sizeof p);
    grid(x, div_up(p.quads, x->spec[SPEC_LOCAL_X]), l->max_rows, 1);
    return true;
}

/* ---- rows: embedding, norm, gather --------------------------------------------------------------
 */

static bool lower_embed(struct lowering *l, const struct op_embed *o)
{
    for (uint32_t i = 0; i < o->w->n_segments; i++) {
        const struct vk_segment *g = &o->w->segments[i];
        struct single shader = {embed_shaders[type_index(o->w->desc.type)], WIDE, LANES};
        struct vk_dispatch *x = add_single(l, &shader);
        uint32_t base, mat_step;
        if (!x)
            return false;
        struct embed_push p = {.steps = div_up(o->w->desc.cols, ABI_STEP),
                               .quads = o->w->desc.cols / 4,
                               .row_first = g->row_first,
                               .row_count = g->row_count,
                               .dst_stride = o->dst.stride / 4};
        if (!bind_all(l, x, l->step->head) || !bind_all(l, x, l->step->rows) ||
            !bind_view(l, x, &o->dst, l->max_rows, o->w->desc.cols, &p.dst_base) ||
            !bind_part(l, x, g->buf, g->offset, g->bytes, &base))
            return false;
        operand(g, g->mat_first, g->row_first, base, &p.a_base, &p.a_tile, &mat_step);
        p.dst_base /= 4;
        push(x, &p, sizeof p);
        grid(x, div_up(p.steps, x->spec[SPEC_LOCAL_X]), l->max_rows, 1);
    }
    return true;
}

static bool lower_rmsnorm(struct lowering *l, const struct op_rmsnorm *o)
{
    uint32_t rows = rows_limit(l, o->rows);
    if (rows == 0)
        return true;
    const struct variant *v = PICK(norm_variants, l->caps, l->tier);
    struct vk_dispatch *x = add(l, v->shader, v->local);
    struct rmsnorm_push p = {.quads = o->n / 4,
                             .rows_from = rows_word(o->rows),
                             .src_stride = o->src.stride / 4,
                             .dst_stride = o->dst.stride / 4,
                             .eps = o->eps};
    if (o->weight_offset % 4 != 0)
        FAIL(l->e, ERR_ARG, "%s: the norm weight starts at element %u, no multiple of 4",
             label_of(l), o->weight_offset);
    if (!bind_all(l, x, l->step->head) || !bind_view(l, x, &o->src, rows, o->n, &p.src_base) ||
        !bind_view(l, x, &o->dst, rows, o->n, &p.dst_base) ||
        !bind_array(l, x, o->weight, o->weight_offset, o->n, &p.weight_base))
        return false;
    p.src_base /= 4;
    p.dst_base /= 4;
    p.weight_base /= 4;
    push(x, &p, sizeof p);
    grid(x, rows, 1, 1);
    return true;
}

static bool lower_gather(struct lowering *l, const struct op_gather *o)
{
    if (o->n % 4 != 0)
        FAIL(l->e, ERR_UNSUPPORTED, "%s: %u columns are no multiple of 4", label_of(l), o->n);
    if (l->max_out == 0)
        return true;
    struct vk_dispatch *x = add_single(l, &single_gather);
    struct gather_push p = {
        .quads = o->n / 4, .src_stride = o->src.stride / 4, .dst_stride = o->dst.stride / 4};
    if (!bind_all(l, x, l->step->head) || !bind_all(l, x, l->step->out) ||
        !bind_view(l, x, &o->src, l->max_rows, o->n, &p.src_base) ||
        !bind_view(l, x, &o->dst, l->max_out, o->n, &p.dst_base))
        return false;
    p.src_base /= 4;
    p.dst_base /= 4;
    push(x, &p, sizeof p);
    grid(x, div_up(p.quads, x->spec[SPEC_LOCAL_X]), l->max_out, 1);
    return true;
}

/* ---- attention ----------------------------------------------------------------------------------
 */

static bool lower_mla_prep(struct lowering *l, const struct op_mla_prep *o)
{
    uint32_t width = o->latent + o->rope.n_rope;
    struct vk_dispatch *x = add_single(l, pick_prep(l->caps, l->tier));
    struct mla_prep_push p = {.n_head = o->n_head,
                              .nope = o->nope,
                              .latent = o->latent,
                              .n_rope = o->rope.n_rope,
                              .q_stride = o->q.stride,
                              .dst_stride = o->dst.stride,
                              .kv_stride = o->kv.stride,
                              .table_stride = l->step->table_stride,
                              .eps = o->eps};
    if (o->norm_offset % 2 != 0)
        FAIL(l->e, ERR_ARG, "%s: the norm weight starts at an odd element", label_of(l));
    if (!bind_all(l, x, l->step->head) || !bind_all(l, x, l->step->rows) ||
        !bind_view(l, x, &o->q, l->max_rows, (uint64_t)o->n_head * (o->nope + o->rope.n_rope),
                   &p.q_base) ||
        !bind_view(l, x, &o->dst, l->max_rows, (uint64_t)o->n_head * width, &p.dst_base) ||
        !bind_view(l, x, &o->kv, l->max_rows, width, &p.kv_base) ||
        !bind_array(l, x, o->norm, o->norm_offset, o->latent, &p.norm_base) ||
        !bind_all(l, x, o->rope.table) || !bind_all(l, x, l->step->block_table) ||
        !bind_all(l, x, o->cache))
        return false;
    spec(x, o->cache_f16);
    push(x, &p, sizeof p);
    grid(x, l->max_rows, 1, 1);
    return true;
}

/* GPUs need many workgroups when there are few rows; the order within a head is always the same. */
static const struct variant *attn_table(const struct lowering *l, uint32_t n_head)
{
    bool spread = (l->caps->features & VK_FEAT_HARDWARE) && l->max_rows < 8;
    if (n_head < 3 || spread)
        return attn_variants_1;
    return n_head < 8 || l->max_rows < 2 ? attn_variants_4 : attn_variants_8;
}

static bool lower_mla_attn(struct lowering *l, const struct op_mla_attn *o)
{
    const struct variant *table = attn_table(l, o->n_head);
    const struct variant *v = pick(table, N_ATTN, l->caps, l->tier);
    struct vk_dispatch *x = add(l, v->shader, v->local);
    struct mla_attn_push p = {.n_head = o->n_head,
                              .q_stride = o->q.stride,
                              .dst_stride = o->dst.stride,
                              .table_stride = l->step->table_stride,
                              .scale = o->scale};
    if (!bind_all(l, x, l->step->head) || !bind_all(l, x, l->step->rows) ||
        !bind_view(l, x, &o->q, l->max_rows, (uint64_t)o->n_head * (o->latent + o->n_rope),
                   &p.q_base) ||
        !bind_view(l, x, &o->dst, l->max_rows, (uint64_t)o->n_head * o->latent, &p.dst_base) ||
        !bind_all(l, x, l->step->block_table) || !bind_all(l, x, o->cache))
        return false;
    spec(x, o->latent);
    spec(x, o->n_rope);
    spec(x, o->cache_f16);
    push(x, &p, sizeof p);
    grid(x, div_up(o->n_head, v->cols), l->max_rows, 1);
    return true;
}

/* ---- output -------------------------------------------------------------------------------------
 */

enum { EDIT_GROUPS = 32 };

static bool lower_edit(struct lowering *l, const struct op_edit *o)
{
    if (l->max_out == 0 || l->step->max_edits == 0)
        return true;
    struct vk_dispatch *x = add_single(l, &single_edit);
    struct logits_push p = {.vocab = o->vocab, .logits_stride = o->logits.stride};
    if (!bind_all(l, x, l->step->head) || !bind_all(l, x, l->step->edits) ||
        !bind_view(l, x, &o->logits, l->max_out, o->vocab, &p.logits_base))
        return false;
    push(x, &p, sizeof p);
    uint32_t groups = div_up(l->step->max_edits, x->spec[SPEC_LOCAL_X]);
    grid(x, groups < EDIT_GROUPS ? groups : EDIT_GROUPS, 1, 1);
    return true;
}

static bool lower_candidates(struct lowering *l, const struct op_candidates *o)
{
    if (l->max_out == 0)
        return true;
    if (o->vocab >= 1u << 24)
        FAIL(l->e, ERR_LIMIT, "%s: vocabulary of %u, %u at most", label_of(l), o->vocab, 1u << 24);
    struct vk_dispatch *x = add_single(l, &single_candidates);
    struct logits_push p = {.vocab = o->vocab, .logits_stride = o->logits.stride};
    if (!bind_all(l, x, l->step->head) || !bind_all(l, x, l->step->out) ||
        !bind_view(l, x, &o->logits, l->max_out, o->vocab, &p.logits_base) ||
        !bind_all(l, x, l->step->candidates))
        return false;
    push(x, &p, sizeof p);
    grid(x, l->max_out, 1, 1);
    return true;
}

/* ---- entry --------------------------------------------------------------------------------------
 */

static bool lower_one(struct lowering *l)
{
    const struct op *op = l->op;

    switch (op->kind) {
    case OP_EMBED:
        return lower_embed(l, &op->u.embed);
    case OP_RMSNORM:
        return lower_rmsnorm(l, &op->u.rmsnorm);
    case OP_MATMUL:
        return lower_matmul(l, &op->u.matmul);
    case OP_GATED:
        return lower_gated(l, &op->u.gated);
    case OP_MLA_PREP:
        return lower_mla_prep(l, &op->u.mla_prep);
    case OP_MLA_ATTN:
        return lower_mla_attn(l, &op->u.mla_attn);
    case OP_ROUTE:
        return lower_route(l, &op->u.route);
    case OP_MOE_PLAN:
        return lower_moe_plan(l, &op->u.moe_plan);
    case OP_MOE_GATED:
        return lower_moe_gated(l, &op->u.moe_gated);
    case OP_MOE_DOWN:
        return lower_moe_down(l, &op->u.moe_down);
    case OP_MOE_COMBINE:
        return lower_combine(l, &op->u.moe_combine);
    case OP_GATHER:
        return lower_gather(l, &op->u.gather);
    case OP_EDIT:
        return lower_edit(l, &op->u.edit);
    case OP_CANDIDATES:
        return lower_candidates(l, &op->u.candidates);
    case OP_COUNT:
        break;
    }
    FAIL(l->e, ERR_INTERNAL, "no lowering for op %d", (int)op->kind);
}

bool vk_lower(const struct vk_caps *caps, enum dev_tier tier, const struct op *op,
              const struct dev_step *s, uint32_t max_rows, uint32_t max_out,
              struct vk_dispatch *out, uint32_t *n, struct err *e)
{
    struct lowering l = {.caps = caps,
                         .tier = tier,
                         .op = op,
                         .step = s,
                         .max_rows = max_rows,
                         .max_out = max_out,
                         .list = out,
                         .e = e};
    bool ok = lower_one(&l);
    *n = l.n;
    return ok;
}

/* ---- printing -----------------------------------------------------------------------------------
 */

static void print_one(const struct vk_caps *caps, FILE *out, const struct variant *v,
                      const struct variant *picked)
{
    const char *name = vk_shaders[v->shader].name;
    if (v == picked)
        fprintf(out, " [%s]", name);
    else
        fprintf(out, " %s%s", name, usable(v, caps) ? "" : " (not here)");
}

static void print_gemm(const struct vk_caps *caps, FILE *out, enum form form, uint32_t type)
{
    static const char *const names[FORM_COUNT] = {"matmul", "gated", "moe_gated", "moe_down"};
    for (int w = 0; w < WIDTH_COUNT; w++) {
        const struct variant *picked = pick_gemm(form, w, type, type, caps, DEV_TIER_AUTO);
        fprintf(out, "  %-12s %-6s %d rows", names[form], quant_type_get(type)->name,
                1 << (w ? w + 1 : 0));
        for (int i = 0; i < N_FAST; i++)
            print_one(caps, out, &fast_gemm[form][w][i], picked);
        print_one(caps, out, &plain_gemm[form][w ? 1 : 0][type_index(type)], picked);
        fputc('\n', out);
    }
}

static void print_table(const struct vk_caps *caps, FILE *out, const char *op,
                        const struct variant *table, size_t n)
{
    const struct variant *picked = pick(table, n, caps, DEV_TIER_AUTO);
    fprintf(out, "  %-26s", op);
    for (size_t i = 0; i < n; i++)
        print_one(caps, out, &table[i], picked);
    fputc('\n', out);
}

static void print_prep(const struct vk_caps *caps, FILE *out)
{
    const struct variant list[] = {{.shader = single_prep_16.shader},
                                   {.shader = single_prep.shader}};
    const struct single *picked = pick_prep(caps, DEV_TIER_AUTO);

    fprintf(out, "  %-26s", "mla_prep");
    for (int i = 0; i < 2; i++)
        print_one(caps, out, &list[i], list[i].shader == picked->shader ? &list[i] : NULL);
    fputc('\n', out);
}

void vk_print_variants(const struct vk_caps *caps, FILE *out)
{
    static const struct {
        const char *op;
        const struct single *s;
    } singles[] = {
        {"route", &single_route},   {"moe_plan", &single_plan}, {"moe_combine", &single_combine},
        {"gather", &single_gather}, {"edit", &single_edit},     {"candidates", &single_candidates},
    };

    for (int f = 0; f < FORM_COUNT; f++)
        for (int t = 0; t < N_TYPES; t++)
            print_gemm(caps, out, f, type_ids[t]);
    for (int t = 0; t < N_TYPES; t++)
        fprintf(out, "  %-12s %-13s [%s]\n", "embed", quant_type_get(type_ids[t])->name,
                vk_shaders[embed_shaders[t]].name);
    print_table(caps, out, "rmsnorm", norm_variants, 2);
    print_prep(caps, out);
    print_table(caps, out, "mla_attn, 1 or 2 heads", attn_variants_1, N_ATTN);
    print_table(caps, out, "mla_attn", attn_variants_4, N_ATTN);
    print_table(caps, out, "mla_attn, 8 heads and more", attn_variants_8, N_ATTN);
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++)
        fprintf(out, "  %-26s [%s]\n", singles[i].op, vk_shaders[singles[i].s->shader].name);
}
