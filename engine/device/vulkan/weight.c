/* Weights in device layout: repacks the blocks of a model file into tiles of 8 rows made of 16-byte
 * units (shaders/README.md), in segments that each fit one bindable range.
 *
 * Owns the layout on the host side and the segments' buffers. Knows shaders/include/abi.h and block
 * formats; calls no Vulkan. Scales and quants are moved, never rounded.
 */
#include <config.h>

#include "device/vulkan/vk.h"

#include <stdlib.h>
#include <string.h>

#include "../shaders/include/abi.h"
#include "base/checked.h"
#include "base/mem.h"
#include "format/quant.h"

enum {
    UNIT_BYTES = 16,
    PITCH = ABI_TILE * UNIT_BYTES, /* from a unit of a row to the next one */
    STAGE_BYTES = 4 << 20          /* repacked on the host before it is written to the device */
};

/* ---- units per row ------------------------------------------------------------------------------
 */

static uint32_t units_per_group(uint32_t type)
{
    switch (type) {
    case TENSOR_F32:
        return ABI_UNITS_F32;
    case TENSOR_F16:
    case TENSOR_BF16:
        return ABI_UNITS_F16;
    case TENSOR_Q8_0:
        return ABI_UNITS_Q8_0;
    case TENSOR_Q4_0:
    case TENSOR_Q4_K:
        return ABI_UNITS_Q4;
    case TENSOR_Q5_0:
    case TENSOR_Q5_K:
        return ABI_UNITS_Q5;
    case TENSOR_Q6_K:
        return ABI_UNITS_Q6_K;
    default:
        return 0;
    }
}

/* Units of the last, partial group of `steps` (1..7) steps of 32 columns. */
static uint32_t units_of_rest(uint32_t type, uint32_t steps)
{
    switch (type) {
    case TENSOR_F32:
        return 8 * steps;
    case TENSOR_F16:
    case TENSOR_BF16:
        return 4 * steps;
    case TENSOR_Q8_0:
        return 1 + 2 * steps;
    case TENSOR_Q4_0:
        return 1 + steps;
    default: /* Q5_0: a unit of high bits before every 4 steps */
        return 1 + steps + (steps + 3) / 4;
    }
}

static uint32_t row_units(uint32_t type, uint32_t cols)
{
    uint32_t steps = (cols + ABI_STEP - 1) / ABI_STEP;
    uint32_t groups = steps / 8;
    uint32_t units = groups * units_per_group(type);
    if (steps % 8 != 0)
        units += units_of_rest(type, steps % 8);
    if (type == TENSOR_Q6_K)
        units += (groups + ABI_Q6_K_SUPER - 1) / ABI_Q6_K_SUPER;
    return units;
}

/* ---- repacking one row --------------------------------------------------------------------------
 */

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void store32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

/* The low nibbles of 8 bytes, byte 0 lowest, as one word. */
static uint32_t gather_nibbles(uint64_t x)
{
    x &= 0x0f0f0f0f0f0f0f0full;
    x = (x | x >> 4) & 0x00ff00ff00ff00ffull;
    x = (x | x >> 8) & 0x0000ffff0000ffffull;
    return (uint32_t)(x | x >> 16);
}

/* The low two bits of 8 bytes as 16 bits. */
static uint32_t gather_pairs(uint64_t x)
{
    x &= 0x0303030303030303ull;
    x = (x | x >> 6) & 0x000f000f000f000full;
    x = (x | x >> 12) & 0x000000ff000000ffull;
    return (uint32_t)(x | x >> 24) & 0xffffu;
}

/* The lowest bit of 8 bytes as 8 bits. */
static uint32_t gather_bits(uint64_t x)
{
    return (uint32_t)((x & 0x0101010101010101ull) * 0x0102040810204080ull >> 56);
}

/* 32 bytes whose nibbles (shifted right by `shift` first) become one unit. */
static void put_nibbles(uint8_t *unit, const uint8_t *q, unsigned shift)
{
    for (int w = 0; w < 4; w++)
        store32(unit + 4 * w, gather_nibbles(load64(q + 8 * w) >> shift));
}

/* Plain elements: whole units, the last one filled up with the zeros already there. */
static void row_plain(const uint8_t *src, size_t bytes, uint8_t *dst)
{
    for (; bytes >= UNIT_BYTES; bytes -= UNIT_BYTES, src += UNIT_BYTES, dst += PITCH)
        memcpy(dst, src, UNIT_BYTES);
    if (bytes > 0)
        memcpy(dst, src, bytes);
}

static void row_q8_0(const uint8_t *src, uint32_t blocks, uint8_t *dst)
{
    uint8_t *scales = dst;
    for (uint32_t b = 0; b < blocks; b++, src += 34) {
        if (b % 8 == 0) {
            scales = dst;
            dst += PITCH;
        }
        memcpy(scales + b % 8 * 2, src, 2);
        memcpy(dst, src + 2, UNIT_BYTES);
        memcpy(dst + PITCH, src + 2 + UNIT_BYTES, UNIT_BYTES);
        dst += (ptrdiff_t)2 * PITCH;
    }
}

/* 16 bytes: low nibbles are elements 0..15, high ones 16..31. */
static void put_split_nibbles(uint8_t *unit, const uint8_t *q)
{
    for (int w = 0; w < 2; w++) {
        uint64_t x = load64(q + 8 * w);
        store32(unit + 4 * w, gather_nibbles(x));
        store32(unit + 8 + 4 * w, gather_nibbles(x >> 4));
    }
}

static void row_q4_0(const uint8_t *src, uint32_t blocks, uint8_t *dst)
{
    uint8_t *scales = dst;
    for (uint32_t b = 0; b < blocks; b++, src += 18) {
        if (b % 8 == 0) {
            scales = dst;
            dst += PITCH;
        }
        memcpy(scales + b % 8 * 2, src, 2);
        put_split_nibbles(dst, src + 2);
        dst += PITCH;
    }
}

static void row_q5_0(const uint8_t *src, uint32_t blocks, uint8_t *dst)
{
    uint8_t *scales = dst, *high = dst;
    for (uint32_t b = 0; b < blocks; b++, src += 22) {
        if (b % 8 == 0) {
            scales = dst;
            dst += PITCH;
        }
        if (b % 4 == 0) {
            high = dst;
            dst += PITCH;
        }
        memcpy(scales + b % 8 * 2, src, 2);
        memcpy(high + b % 4 * 4, src + 2, 4);
        put_split_nibbles(dst, src + 6);
        dst += PITCH;
    }
}

/* d, dmin and the eight 6-bit scales and minimums: word 1 has the low 4 bits of the scales, word 2
 * of the minimums, word 3 per sub-block the two top bits of both. */
static void put_k_header(uint8_t *unit, const uint8_t *block)
{
    const uint8_t *s = block + 4;
    uint32_t low = 0, min_low = 0, tops = 0;
    for (int j = 0; j < 8; j++) {
        uint32_t scale, min;
        if (j < 4) {
            scale = s[j] & 63u;
            min = s[j + 4] & 63u;
        } else {
            scale = (s[j + 4] & 15u) | (uint32_t)s[j - 4] >> 6 << 4;
            min = (uint32_t)s[j + 4] >> 4 | (uint32_t)s[j] >> 6 << 4;
        }
        low |= (scale & 15u) << 4 * j;
        min_low |= (min & 15u) << 4 * j;
        tops |= (scale >> 4 | min >> 4 << 2) << 4 * j;
    }
    memcpy(unit, block, 4);
    store32(unit + 4, low);
    store32(unit + 8, min_low);
    store32(unit + 12, tops);
}

static void row_q4_k(const uint8_t *src, uint32_t blocks, uint8_t *dst)
{
    for (uint32_t b = 0; b < blocks; b++, src += 144) {
        put_k_header(dst, src);
        dst += PITCH;
        for (int j = 0; j < 8; j++, dst += PITCH)
            put_nibbles(dst, src + 16 + j / 2 * 32, j % 2 ? 4 : 0);
    }
}

static void row_q5_k(const uint8_t *src, uint32_t blocks, uint8_t *dst)
{
    for (uint32_t b = 0; b < blocks; b++, src += 176) {
        put_k_header(dst, src);
        dst += PITCH;
        for (int j = 0; j < 8; j++) {
            if (j % 4 == 0) { /* word i: fifth bits of sub-block j + i */
                for (int i = 0; i < 4; i++) {
                    uint32_t bits = 0;
                    for (int l = 0; l < 4; l++)
                        bits |= gather_bits(load64(src + 16 + 8 * l) >> (j + i)) << 8 * l;
                    store32(dst + 4 * i, bits);
                }
                dst += PITCH;
            }
            put_nibbles(dst, src + 48 + j / 2 * 32, j % 2 ? 4 : 0);
            dst += PITCH;
        }
    }
}

/* Two high bits of the 32 elements of step j: 8 bytes. */
static void put_pairs(uint8_t *to, const uint8_t *high, unsigned j)
{
    for (int w = 0; w < 2; w++) {
        uint32_t lo = gather_pairs(load64(high + 16 * w) >> 2 * j);
        uint32_t hi = gather_pairs(load64(high + 16 * w + 8) >> 2 * j);
        store32(to + 4 * w, lo | hi << 16);
    }
}

static void row_q6_k(const uint8_t *src, uint32_t blocks, uint8_t *dst)
{
    uint8_t *d = dst;
    for (uint32_t b = 0; b < blocks; b++, src += 210) {
        if (b % ABI_Q6_K_SUPER == 0) {
            d = dst;
            dst += PITCH;
        }
        memcpy(d + b % ABI_Q6_K_SUPER * 2, src + 208, 2);
        memcpy(dst, src + 192, UNIT_BYTES);
        dst += PITCH;
        for (int half = 0; half < 2; half++) {
            const uint8_t *low = src + 64 * half, *high = src + 128 + 32 * half;
            put_pairs(dst, high, 0);
            put_pairs(dst + 8, high, 1);
            put_pairs(dst + PITCH, high, 2);
            put_pairs(dst + PITCH + 8, high, 3);
            dst += (ptrdiff_t)2 * PITCH;
            for (int j = 0; j < 4; j++, dst += PITCH)
                put_nibbles(dst, low + 32 * (j % 2), j / 2 ? 4 : 0);
        }
    }
}

/* One row of `cols` elements into unit 0 at dst, further units PITCH apart; dst is zero before. */
static void repack_row(uint32_t type, const uint8_t *src, uint32_t cols, uint8_t *dst)
{
    switch (type) {
    case TENSOR_F32:
        row_plain(src, (size_t)cols * 4, dst);
        break;
    case TENSOR_F16:
    case TENSOR_BF16:
        row_plain(src, (size_t)cols * 2, dst);
        break;
    case TENSOR_Q8_0:
        row_q8_0(src, cols / 32, dst);
        break;
    case TENSOR_Q4_0:
        row_q4_0(src, cols / 32, dst);
        break;
    case TENSOR_Q5_0:
        row_q5_0(src, cols / 32, dst);
        break;
    case TENSOR_Q4_K:
        row_q4_k(src, cols / 256, dst);
        break;
    case TENSOR_Q5_K:
        row_q5_k(src, cols / 256, dst);
        break;
    case TENSOR_Q6_K:
        row_q6_k(src, cols / 256, dst);
        break;
    default:
        break;
    }
}

/* ---- segments -----------------------------------------------------------------------------------
 */

struct shape {
    uint64_t row_bytes;  /* in the file */
    uint64_t tile_bytes; /* on the device */
    uint32_t tiles;      /* per matrix */
};

static bool shape_of(const struct dev_weight_desc *desc, struct shape *s, struct err *e)
{
    const struct quant_type *t = quant_type_get(desc->type);
    uint64_t matrix = 0, total = 0;

    if (!t || units_per_group(desc->type) == 0)
        FAIL(e, ERR_UNSUPPORTED, "tensor %s: no kernel for element type %s", desc->name,
             t ? t->name : "unknown");
    if (desc->rows == 0 || desc->cols == 0 || desc->n_mat == 0 ||
        desc->cols % t->block_elems != 0 || !quant_bytes(desc->type, desc->cols, &s->row_bytes))
        FAIL(e, ERR_ARG, "tensor %s: impossible shape %u x %u x %u", desc->name, desc->n_mat,
             desc->rows, desc->cols);
    if (desc->cols % 4 != 0)
        FAIL(e, ERR_UNSUPPORTED, "tensor %s: %u columns are no multiple of 4", desc->name,
             desc->cols);
    s->tiles = (uint32_t)(((uint64_t)desc->rows + ABI_TILE - 1) / ABI_TILE);
    if (desc->cols > UINT32_MAX / 64 ||
        !checked_mul(row_units(desc->type, desc->cols), PITCH, &s->tile_bytes) ||
        !checked_mul(s->tile_bytes, s->tiles, &matrix) || !checked_mul(matrix, desc->n_mat, &total))
        FAIL(e, ERR_LIMIT, "tensor %s: too large", desc->name);
    return true;
}

/* Cuts the weight into segments of whole matrices, or of whole tiles of one matrix. */
static bool cut(const struct dev_weight_desc *desc, const struct shape *s, uint64_t limit,
                struct dev_weight *w, struct err *e)
{
    uint64_t fit = limit / s->tile_bytes; /* tiles per segment */
    uint64_t n;

    if (fit == 0)
        FAIL(e, ERR_LIMIT, "tensor %s: 8 rows of %u columns do not fit one binding of this device",
             desc->name, desc->cols);
    uint32_t per_mat = (uint32_t)((s->tiles + fit - 1) / fit); /* segments of one matrix */
    uint32_t mats = (uint32_t)(fit / s->tiles);                /* whole matrices of one segment */
    if (per_mat > 1)
        n = (uint64_t)per_mat * desc->n_mat;
    else
        n = ((uint64_t)desc->n_mat + mats - 1) / mats;
    w->segments = n <= UINT32_MAX ? mem_try_calloc((size_t)n, sizeof *w->segments) : NULL;
    if (!w->segments)
        FAIL(e, ERR_NOMEM, "tensor %s: out of memory", desc->name);
    w->n_segments = (uint32_t)n;
    for (uint32_t i = 0; i < w->n_segments; i++) {
        struct vk_segment *g = &w->segments[i];
        uint32_t tiles = s->tiles;
        if (per_mat > 1) {
            uint32_t first = i % per_mat * (uint32_t)fit;
            g->mat_first = i / per_mat;
            g->mat_count = 1;
            g->row_first = first * ABI_TILE;
            tiles = s->tiles - first < fit ? s->tiles - first : (uint32_t)fit;
        } else {
            g->mat_first = i * mats;
            g->mat_count = desc->n_mat - g->mat_first < mats ? desc->n_mat - g->mat_first : mats;
        }
        uint32_t end = g->row_first + tiles * ABI_TILE;
        g->row_count = (end < desc->rows ? end : desc->rows) - g->row_first;
        g->bytes = s->tile_bytes * tiles * g->mat_count;
    }
    return true;
}

/* Repacks tiles [first, first + n) of the segment into `stage`, which is zero. */
static void repack_tiles(const struct dev_weight_desc *desc, const struct shape *s,
                         const struct vk_segment *g, uint64_t first, uint64_t n, uint8_t *stage)
{
    uint32_t tiles = (g->row_count + ABI_TILE - 1) / ABI_TILE;
    for (uint64_t t = first; t < first + n; t++, stage += s->tile_bytes) {
        uint64_t mat = g->mat_first + t / tiles;
        uint32_t row = g->row_first + (uint32_t)(t % tiles) * ABI_TILE;
        uint32_t end = g->row_first + g->row_count;
        for (uint32_t r = 0; r < ABI_TILE && row + r < end; r++) {
            uint64_t at = (mat * desc->rows + row + r) * s->row_bytes;
            repack_row(desc->type, (const uint8_t *)desc->data + at, desc->cols,
                       stage + (size_t)r * UNIT_BYTES);
        }
    }
}

static bool fill(struct dev *d, const struct dev_weight_desc *desc, const struct shape *s,
                 const struct vk_segment *g, uint8_t *stage, uint64_t stage_bytes, struct err *e)
{
    uint64_t n = g->bytes / s->tile_bytes;
    uint64_t chunk = stage_bytes / s->tile_bytes;
    for (uint64_t t = 0; t < n; t += chunk) {
        uint64_t count = n - t < chunk ? n - t : chunk;
        memset(stage, 0, count * s->tile_bytes);
        repack_tiles(desc, s, g, t, count, stage);
        if (!dev_buf_write(d, g->buf, g->offset + t * s->tile_bytes, stage, count * s->tile_bytes,
                           e))
            return false;
    }
    return true;
}

bool dev_weight_create(struct dev *d, const struct dev_weight_desc *desc, struct dev_weight **out,
                       struct err *e)
{
    const struct dev_info *info = dev_info(d);
    uint64_t limit = info->max_bind_bytes < info->max_alloc_bytes ? info->max_bind_bytes
                                                                  : info->max_alloc_bytes;
    struct shape s;
    uint8_t *stage = NULL;
    struct dev_weight *w = mem_zalloc(sizeof *w);

    TRY(shape_of(desc, &s, e));
    TRY(cut(desc, &s, limit, w, e));
    uint64_t stage_bytes = s.tile_bytes > STAGE_BYTES ? s.tile_bytes : STAGE_BYTES;
    stage = mem_try_calloc(1, stage_bytes);
    if (!stage) {
        err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "tensor %s: out of memory", desc->name);
        goto fail;
    }
    for (uint32_t i = 0; i < w->n_segments; i++) {
        struct vk_segment *g = &w->segments[i];
        TRY(dev_buf_create(d, g->bytes, DEV_MEM_DEVICE, "weights", &g->buf, e));
        TRY(fill(d, desc, &s, g, stage, stage_bytes, e));
        w->bytes += g->bytes;
    }
    free(stage);
    w->desc = *desc;
    w->desc.data = NULL;
    w->desc.name = NULL;
    *out = w;
    return true;

fail:
    free(stage);
    dev_weight_destroy(d, &w);
    return false;
}

void dev_weight_destroy(struct dev *d, struct dev_weight **w)
{
    if (!*w)
        return;
    for (uint32_t i = 0; i < (*w)->n_segments; i++)
        if ((*w)->segments[i].buf)
            dev_buf_destroy(d, &(*w)->segments[i].buf);
    free((*w)->segments);
    free(*w);
    *w = NULL;
}

const struct dev_weight_desc *dev_weight_desc(const struct dev_weight *w)
{
    return &w->desc;
}

uint64_t dev_weight_bytes(const struct dev_weight *w)
{
    return w->bytes;
}
