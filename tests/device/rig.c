/* See rig.h. */
#include <config.h>

#include "rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/vulkan/runtime.h"
#include "format/quant.h"

_Noreturn void rig_die(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s (%s:%d)\n", what, e->msg, e->file ? e->file : "", e->line);
    exit(1);
}

const char *rig_mode_name(enum rig_mode mode)
{
    static const char *const names[] = {"auto", "portable", "split"};
    return names[mode];
}

void rig_open(struct rig *r)
{
    struct dev_options opt = {.name = "vulkan:0"};
    struct err e = ERR_INIT;

    memset(r, 0, sizeof *r);
    if (!dev_open(&opt, &r->dev, &e))
        rig_die("device", &e);
    r->step = (struct dev_step){.max_rows = RIG_MAX_ROWS,
                                .max_out = RIG_MAX_OUT,
                                .max_edits = 64,
                                .max_seqs = RIG_MAX_SEQS,
                                .table_stride = RIG_TABLE,
                                .n_stats = RIG_STATS};
    if (!dev_step_init(r->dev, &r->step, &e))
        rig_die("step", &e);
    r->features = vk_of(r->dev)->adapter.caps.features;
}

void rig_close(struct rig *r)
{
    dev_step_release(r->dev, &r->step);
    dev_close(&r->dev);
}

/* Reaches into the device: no option of the program forces GPU variants onto a software driver. */
void rig_set_mode(struct rig *r, enum rig_mode mode)
{
    struct vk_dev *vd = vk_of(r->dev);
    vd->tier = mode == RIG_PORTABLE ? DEV_TIER_PORTABLE : DEV_TIER_AUTO;
    vd->adapter.caps.features = r->features | (mode == RIG_SPLIT ? VK_FEAT_HARDWARE : 0);
    r->mode = mode;
}

void rig_head(struct rig *r, uint32_t n_rows, uint32_t n_out, uint32_t n_edits)
{
    *(struct dev_step_head *)dev_buf_map(r->step.head) =
        (struct dev_step_head){.n_rows = n_rows, .n_out = n_out, .n_edits = n_edits};
}

/* ---- random data --------------------------------------------------------------------------------
 */

static uint64_t state = 1;

void rig_seed(uint64_t seed)
{
    state = seed * 0x9e3779b97f4a7c15ull + 1;
}

static uint32_t next(void)
{
    state ^= state << 13; /* Marsaglia 2003 */
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

uint32_t rig_random(uint32_t below)
{
    return (uint32_t)((uint64_t)next() * below >> 32);
}

float rig_normal(void)
{
    float sum = 0; /* Irwin-Hall: close enough to normal */
    for (int i = 0; i < 4; i++)
        sum += (float)next() * 0x1p-32f - 0.5f;
    return sum * 1.7320508f;
}

float *rig_floats(size_t n, float scale)
{
    float *v = malloc(n * sizeof *v + 16);
    if (!v)
        abort();
    for (size_t i = 0; i < n; i++)
        v[i] = rig_normal() * scale;
    return v;
}

static void put_half(uint8_t *p, float f)
{
    uint16_t h = quant_f32_to_f16(f);
    memcpy(p, &h, sizeof h);
}

/* Random bytes with sensible scales put in: the block formats of format/README.md. */
static void random_block(uint32_t type, uint8_t *b, uint32_t bytes)
{
    float d = 0.002f + 0.001f * rig_normal();
    for (uint32_t i = 0; i < bytes; i++)
        b[i] = (uint8_t)next();
    switch (type) {
    case TENSOR_F32: {
        float f = rig_normal() * 0.1f;
        memcpy(b, &f, 4);
        break;
    }
    case TENSOR_F16:
        put_half(b, rig_normal() * 0.1f);
        break;
    case TENSOR_BF16: {
        uint16_t h = quant_f32_to_bf16(rig_normal() * 0.1f);
        memcpy(b, &h, 2);
        break;
    }
    case TENSOR_Q4_K:
    case TENSOR_Q5_K:
        put_half(b, d * 0.1f);
        put_half(b + 2, d * 0.7f);
        break;
    case TENSOR_Q6_K:
        put_half(b + 208, d * 0.02f);
        break;
    default:
        put_half(b, d);
        break;
    }
}

void *rig_blocks(uint32_t type, uint32_t n_mat, uint32_t rows, uint32_t cols)
{
    const struct quant_type *t = quant_type_get(type);
    size_t n = (size_t)n_mat * rows * cols / t->block_elems;
    uint8_t *data = malloc(n * t->block_bytes);
    if (!data)
        abort();
    for (size_t i = 0; i < n; i++)
        random_block(type, data + i * t->block_bytes, t->block_bytes);
    return data;
}

/* ---- buffers and runs ---------------------------------------------------------------------------
 */

struct dev_buf *rig_buf(struct rig *r, const void *data, size_t bytes)
{
    struct dev_buf *b = NULL;
    struct err e = ERR_INIT;
    if (!dev_buf_create(r->dev, bytes, DEV_MEM_DEVICE, "test", &b, &e) ||
        (data && !dev_buf_write(r->dev, b, 0, data, bytes, &e)))
        rig_die("buffer", &e);
    return b;
}

struct dev_buf *rig_zeros(struct rig *r, size_t bytes)
{
    return rig_buf(r, NULL, bytes);
}

void rig_read(struct rig *r, struct dev_buf *b, void *out, size_t bytes)
{
    struct err e = ERR_INIT;
    if (!dev_buf_read(r->dev, b, 0, out, bytes, &e))
        rig_die("read", &e);
}

void rig_free(struct rig *r, struct dev_buf *b)
{
    dev_buf_destroy(r->dev, &b);
}

struct dev_weight *rig_weight(struct rig *r, uint32_t type, uint32_t n_mat, uint32_t rows,
                              uint32_t cols, const void *data)
{
    struct dev_weight_desc desc = {
        .type = type, .n_mat = n_mat, .rows = rows, .cols = cols, .data = data, .name = "test"};
    struct dev_weight *w = NULL;
    struct err e = ERR_INIT;
    if (!dev_weight_create(r->dev, &desc, &w, &e))
        rig_die("weight", &e);
    return w;
}

void rig_run(struct rig *r, const struct op *op, uint32_t max_rows, uint32_t max_out)
{
    struct plan *p = NULL;
    struct err e = ERR_INIT;
    if (!plan_create(r->dev, &r->step, max_rows, max_out, &p, &e) || !plan_add(p, op, &e) ||
        !plan_finish(p, &e) || !plan_run(p, &e))
        rig_die(op_kind_name(op->kind), &e);
    plan_destroy(&p);
}
