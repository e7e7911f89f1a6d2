/* Owns: the table of tensor element types and the exact scalar decoding of those we can run.
 * Refuses to know: files, tensors, devices. The kernels are tested against these functions.
 *
 * Decoding follows the block definitions in README.md literally. A product of two terms is rounded
 * to float before the next operation, so contraction into fused multiply-add must stay off: gcc
 * leaves it off under -std=c11, clang needs the pragma.
 */
#include <config.h>

#include "format/quant.h"

#include <string.h>

#include "base/checked.h"

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files are read in place");

/* ---- 16-bit floats -------------------------------------------------------------------------- */

static float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

float quant_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = h >> 10 & 31u;
    uint32_t fraction = h & 0x3ffu;
    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) { /* zero and subnormals: fraction * 2^-24, exact in float */
        float magnitude = (float)fraction * 0x1p-24f;
        return float_of_bits(sign | bits_of_float(magnitude));
    }
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

/* Drops the lowest `n` bits of `v` (1..31), rounding to nearest, ties to even. */
static uint32_t shift_round_even(uint32_t v, unsigned n)
{
    uint32_t half = 1u << (n - 1);
    uint32_t rest = v & ((half << 1) - 1);
    uint32_t kept = v >> n;
    return kept + (rest > half || (rest == half && (kept & 1)));
}

uint16_t quant_f32_to_f16(float f)
{
    uint32_t bits = bits_of_float(f);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t half;
    if (magnitude > 0x7f800000u) /* NaN: keep what fits of the payload, make it quiet */
        half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
    else if (magnitude >= 0x47800000u) /* 65536 and above, infinity included */
        half = 0x7c00u;
    else if (magnitude >= 0x38800000u) /* normal in half; a carry may rightly reach infinity */
        half = shift_round_even(magnitude - (112u << 23), 13);
    else if (magnitude >= 0x33000000u) /* 2^-25 and above: subnormal */
        half = shift_round_even((magnitude & 0x7fffffu) | 0x800000u, 126 - (magnitude >> 23));
    else
        half = 0;
    return (uint16_t)(sign | half);
}

float quant_bf16_to_f32(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

uint16_t quant_f32_to_bf16(float f)
{
    uint32_t bits = bits_of_float(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)shift_round_even(bits, 16);
}

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static float load_f16(const uint8_t *p)
{
    return quant_f16_to_f32(load_u16(p));
}

/* ---- plain types ---------------------------------------------------------------------------- */

static void dequant_f32(const void *blocks, size_t n_blocks, float *out)
{
    memcpy(out, blocks, n_blocks * sizeof *out);
}

static void dequant_f16(const void *blocks, size_t n_blocks, float *out)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n_blocks; i++)
        out[i] = load_f16(b + 2 * i);
}

static void dequant_bf16(const void *blocks, size_t n_blocks, float *out)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n_blocks; i++)
        out[i] = quant_bf16_to_f32(load_u16(b + 2 * i));
}

/* ---- blocks of 32 with one scale ------------------------------------------------------------ */

enum { SMALL = 32, Q8_0_BYTES = 34, Q4_0_BYTES = 18, Q5_0_BYTES = 22 };

static void dequant_q8_0(const void *blocks, size_t n_blocks, float *out)
{
    const uint8_t *b = blocks; /* d f16, q i8[32] */
    for (size_t n = 0; n < n_blocks; n++, b += Q8_0_BYTES, out += SMALL) {
        float d = load_f16(b);
        for (int i = 0; i < SMALL; i++)
            out[i] = d * (float)(int8_t)b[2 + i];
    }
}

static void dequant_q4_0(const void *blocks, size_t n_blocks, float *out)
{
    const uint8_t *b = blocks; /* d f16, q u4[32]: low nibbles are elements 0..15 */
    for (size_t n = 0; n < n_blocks; n++, b += Q4_0_BYTES, out += SMALL) {
        float d = load_f16(b);
        const uint8_t *q = b + 2;
        for (int i = 0; i < SMALL / 2; i++) {
            out[i] = d * (float)((q[i] & 15) - 8);
            out[i + SMALL / 2] = d * (float)((q[i] >> 4) - 8);
        }
    }
}

static void dequant_q5_0(const void *blocks, size_t n_blocks, float *out)
{
    const uint8_t *b = blocks; /* d f16, fifth bits u32, q u4[32] as in Q4_0 */
    for (size_t n = 0; n < n_blocks; n++, b += Q5_0_BYTES, out += SMALL) {
        float d = load_f16(b);
        const uint8_t *high = b + 2;
        const uint8_t *q = b + 6;
        for (int i = 0; i < SMALL / 2; i++) {
            int fifth_lo = high[i / 8] >> (i % 8) & 1;
            int fifth_hi = high[2 + i / 8] >> (i % 8) & 1;
            out[i] = d * (float)(((q[i] & 15) | fifth_lo << 4) - 16);
            out[i + SMALL / 2] = d * (float)((q[i] >> 4 | fifth_hi << 4) - 16);
        }
    }
}

/* ---- blocks of 256 with scales for sub-blocks ----------------------------------------------- */

enum { LARGE = 256, Q4_K_BYTES = 144, Q5_K_BYTES = 176, Q6_K_BYTES = 210 };

/* Q4_K and Q5_K keep eight 6-bit scales and minimums in 12 bytes: the pair of sub-block j. */
static void unpack_scale_min(const uint8_t s[12], int j, float *scale, float *min)
{
    int sc, m;
    if (j < 4) {
        sc = s[j] & 63;
        m = s[j + 4] & 63;
    } else {
        sc = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        m = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
    *scale = (float)sc;
    *min = (float)m;
}

/* Shared by Q4_K (high == NULL) and Q5_K: 32 bytes of q hold sub-block 2g in the low and 2g+1 in
 * the high nibbles; bit j of high[l] is the fifth bit of element l of sub-block j. */
static void dequant_k45(const uint8_t *header, const uint8_t *high, const uint8_t *q, float *out)
{
    float d = load_f16(header);
    float dmin = load_f16(header + 2);
    for (int j = 0; j < 8; j++) {
        float scale, min;
        unpack_scale_min(header + 4, j, &scale, &min);
        float step = d * scale;
        float base = dmin * min;
        const uint8_t *nibbles = q + 32 * (j / 2);
        for (int l = 0; l < 32; l++) {
            int v = j % 2 ? nibbles[l] >> 4 : nibbles[l] & 15;
            if (high)
                v |= (high[l] >> j & 1) << 4;
            float product = step * (float)v;
            out[32 * j + l] = product - base;
        }
    }
}

static void dequant_q4_k(const void *blocks, size_t n_blocks, float *out)
{
    const uint8_t *b = blocks; /* d f16, dmin f16, scales u8[12], q u8[128] */
    for (size_t n = 0; n < n_blocks; n++, b += Q4_K_BYTES, out += LARGE)
        dequant_k45(b, NULL, b + 16, out);
}

static void dequant_q5_k(const void *blocks, size_t n_blocks, float *out)
{
    const uint8_t *b = blocks; /* d f16, dmin f16, scales u8[12], high u8[32], q u8[128] */
    for (size_t n = 0; n < n_blocks; n++, b += Q5_K_BYTES, out += LARGE)
        dequant_k45(b, b + 16, b + 48, out);
}

static void dequant_q6_k(const void *blocks, size_t n_blocks, float *out)
{
    const uint8_t *b = blocks; /* low u4[256], high u2[256], scales i8[16], d f16 */
    for (size_t n = 0; n < n_blocks; n++, b += Q6_K_BYTES) {
        float d = load_f16(b + 208);
        for (int half = 0; half < 2; half++, out += 128) {
            const uint8_t *low = b + 64 * half;
            const uint8_t *high = b + 128 + 32 * half;
            const uint8_t *scales = b + 192 + 8 * half;
            for (int i = 0; i < 128; i++) {
                int l = i % 32;
                int nibble = i < 64 ? low[i] & 15 : low[i - 64] >> 4;
                int v = nibble | (high[l] >> (i / 32 * 2) & 3) << 4;
                float step = d * (float)(int8_t)scales[i / 16];
                out[i] = step * (float)(v - 32);
            }
        }
    }
}

/* ---- the table ------------------------------------------------------------------------------ */

#define RUNS(type_name, elems, bytes, decode) {type_name, elems, bytes, true, decode}
#define KNOWN(type_name, elems, bytes) {type_name, elems, bytes, false, NULL}

static const struct quant_type types[TENSOR_TYPE_END] = {
    [TENSOR_F32] = RUNS("F32", 1, 4, dequant_f32),
    [TENSOR_F16] = RUNS("F16", 1, 2, dequant_f16),
    [TENSOR_Q4_0] = RUNS("Q4_0", SMALL, Q4_0_BYTES, dequant_q4_0),
    [3] = KNOWN("Q4_1", 32, 20),
    [TENSOR_Q5_0] = RUNS("Q5_0", SMALL, Q5_0_BYTES, dequant_q5_0),
    [7] = KNOWN("Q5_1", 32, 24),
    [TENSOR_Q8_0] = RUNS("Q8_0", SMALL, Q8_0_BYTES, dequant_q8_0),
    [9] = KNOWN("Q8_1", 32, 36),
    [10] = KNOWN("Q2_K", 256, 84),
    [11] = KNOWN("Q3_K", 256, 110),
    [TENSOR_Q4_K] = RUNS("Q4_K", LARGE, Q4_K_BYTES, dequant_q4_k),
    [TENSOR_Q5_K] = RUNS("Q5_K", LARGE, Q5_K_BYTES, dequant_q5_k),
    [TENSOR_Q6_K] = RUNS("Q6_K", LARGE, Q6_K_BYTES, dequant_q6_k),
    [15] = KNOWN("Q8_K", 256, 292),
    [16] = KNOWN("IQ2_XXS", 256, 66),
    [17] = KNOWN("IQ2_XS", 256, 74),
    [18] = KNOWN("IQ3_XXS", 256, 98),
    [19] = KNOWN("IQ1_S", 256, 50),
    [20] = KNOWN("IQ4_NL", 32, 18),
    [21] = KNOWN("IQ3_S", 256, 110),
    [22] = KNOWN("IQ2_S", 256, 82),
    [23] = KNOWN("IQ4_XS", 256, 136),
    [24] = KNOWN("I8", 1, 1),
    [25] = KNOWN("I16", 1, 2),
    [26] = KNOWN("I32", 1, 4),
    [27] = KNOWN("I64", 1, 8),
    [28] = KNOWN("F64", 1, 8),
    [29] = KNOWN("IQ1_M", 256, 56),
    [TENSOR_BF16] = RUNS("BF16", 1, 2, dequant_bf16),
    [31] = KNOWN("Q4_0_4_4", 32, 18), /* 31..33 and 36..38: interleaved forms, withdrawn since */
    [32] = KNOWN("Q4_0_4_8", 32, 18),
    [33] = KNOWN("Q4_0_8_8", 32, 18),
    [34] = KNOWN("TQ1_0", 256, 54),
    [35] = KNOWN("TQ2_0", 256, 66),
    [36] = KNOWN("IQ4_NL_4_4", 32, 18),
    [37] = KNOWN("IQ4_NL_4_8", 32, 18),
    [38] = KNOWN("IQ4_NL_8_8", 32, 18),
    [39] = KNOWN("MXFP4", 32, 17),
    [40] = KNOWN("NVFP4", 64, 36),
    [41] = KNOWN("Q1_0", 128, 18),
    [42] = KNOWN("Q2_0", 64, 18),
};

const struct quant_type *quant_type_get(uint32_t type_id)
{
    return type_id < TENSOR_TYPE_END && types[type_id].name ? &types[type_id] : NULL;
}

bool quant_bytes(uint32_t type_id, uint64_t n_elems, uint64_t *bytes)
{
    const struct quant_type *t = quant_type_get(type_id);
    if (!t || n_elems % t->block_elems)
        return false;
    return checked_mul(n_elems / t->block_elems, t->block_bytes, bytes);
}
