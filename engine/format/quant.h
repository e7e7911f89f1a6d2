/* Tensor element types of GGUF files: sizes of blocks and exact scalar dequantisation.
 *
 * Source: GGUF/ggml block formats (reference notes in engine/format/README.md). The numbers are the
 * ids stored in files. Thread: any, no state.
 */
#ifndef SEEKD_FORMAT_QUANT_H
#define SEEKD_FORMAT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tensor_type {
    TENSOR_F32 = 0,
    TENSOR_F16 = 1,
    TENSOR_Q4_0 = 2,
    TENSOR_Q5_0 = 6,
    TENSOR_Q8_0 = 8,
    TENSOR_Q4_K = 12,
    TENSOR_Q5_K = 13,
    TENSOR_Q6_K = 14,
    TENSOR_BF16 = 30,
    TENSOR_TYPE_END = 48 /* one past the largest id known to any table */
};

struct quant_type {
    const char *name;     /* "Q4_K" */
    uint32_t block_elems; /* elements per block: 1, 32 or 256 */
    uint32_t block_bytes;
    bool supported; /* this build can run it; others are known by name only (for messages) */
    /* Decodes n_blocks consecutive blocks to n_blocks * block_elems floats, exactly as the format
     * defines (single rounding per operation in float). NULL when not supported. */
    void (*dequant)(const void *blocks, size_t n_blocks, float *out);
};

/* NULL for ids that no format table knows. Static data. */
const struct quant_type *quant_type_get(uint32_t type_id);

/* Bytes of n_elems elements; false when that is no multiple of the block or the size overflows. */
bool quant_bytes(uint32_t type_id, uint64_t n_elems, uint64_t *bytes);

float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f); /* round to nearest even, overflow to infinity */
float quant_bf16_to_f32(uint16_t h);
uint16_t quant_f32_to_bf16(float f); /* round to nearest even, NaN stays NaN */

#endif
