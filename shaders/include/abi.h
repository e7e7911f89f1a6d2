/* Shared by C (vulkan/lower.c, vulkan/weight.c, tests/device) and GLSL: push constants, binding
 * numbers, specialization constant ids and the constants of the weight layout. 32-bit scalars only;
 * one definition of each struct for both languages.
 */
#ifndef SEEKD_SHADERS_ABI_H
#define SEEKD_SHADERS_ABI_H

#ifdef VULKAN
#define ABI_U32 uint
#define ABI_F32 float
#else
#include <assert.h>
#include <stdint.h>
#define ABI_U32 uint32_t
#define ABI_F32 float
#endif

/* ---- specialization constants ---------------------------------------------------------------- */

/* 0..2 are the workgroup size of every shader. */
#define SPEC_LOCAL_X 0
#define SPEC_LOCAL_Y 1
#define SPEC_LOCAL_Z 2
#define SPEC_A 3
#define SPEC_B 4
#define SPEC_C 5
#define SPEC_D 6
#define SPEC_E 7

/* ---- weight types: the ids of GGUF files (enum tensor_type) ---------------------------------- */

#define ABI_T_F32 0
#define ABI_T_F16 1
#define ABI_T_Q4_0 2
#define ABI_T_Q5_0 6
#define ABI_T_Q8_0 8
#define ABI_T_Q4_K 12
#define ABI_T_Q5_K 13
#define ABI_T_Q6_K 14
#define ABI_T_BF16 30

/* Weight layout: README.md. A tile is ABI_TILE rows; columns are walked in groups of 256, a
 * group in 2 halves of 4 steps of 32 elements. */
#define ABI_TILE 8
#define ABI_STEP 32
#define ABI_GROUP 256
#define ABI_Q6_K_SUPER 8 /* Q6_K: groups whose block scales share one unit */
#define ABI_UNITS_F32 64 /* 16-byte units of a whole group of one row */
#define ABI_UNITS_F16 32
#define ABI_UNITS_Q8_0 17
#define ABI_UNITS_Q4 9  /* Q4_0, Q4_K */
#define ABI_UNITS_Q5 11 /* Q5_0, Q5_K */
#define ABI_UNITS_Q6_K 13

/* ---- step buffers: fields of device.h in 32-bit words ---------------------------------------- */

#define ABI_HEAD_N_ROWS 0
#define ABI_HEAD_N_OUT 1
#define ABI_HEAD_N_EDITS 2

#define ABI_PAGE_TOKENS 64
#define ABI_MAX_TOPK 16
#define ABI_MAX_EXPERTS 512
#define ABI_CANDIDATES 128
#define ABI_CANDIDATE_WORDS (4 + 2 * ABI_CANDIDATES) /* struct dev_candidates */
#define ABI_LISTS_ITEMS 1 /* uvec4 index of the first work item in a lists buffer; 0 is the head */

/* ---- push constants ----------------------------------------------------------------------------
 * *_base, *_stride, *_step: where a view starts, distance of rows, distance of batches; the unit is
 * that of the array the shader sees (float, vec4 or uvec4). rows_from: ABI_HEAD_N_ROWS or
 * _N_OUT. */

/* gemm/gemm.comp. x in vec4, y in floats, a and b (weights) in uvec4. */
struct gemm_push {
    ABI_U32 rows;      /* output rows of this dispatch */
    ABI_U32 steps;     /* columns / 32, rounded up */
    ABI_U32 last_quad; /* columns / 4 - 1 */
    ABI_U32 rows_from;
    ABI_U32 accumulate;
    ABI_U32 a_base, a_tile, a_mat;
    ABI_U32 b_base, b_tile, b_mat;
    ABI_U32 x_base, x_stride, x_step;
    ABI_U32 y_base, y_stride, y_step;
    ABI_U32 mat_first, mat_count; /* experts in this dispatch */
    ABI_U32 n_used;
    ABI_U32 entries; /* uvec4 index of the entries in lists */
};

/* embed/embed.comp. dst in vec4. */
struct embed_push {
    ABI_U32 steps, quads; /* columns / 32 rounded up, columns / 4 */
    ABI_U32 row_first, row_count;
    ABI_U32 a_base, a_tile;
    ABI_U32 dst_base, dst_stride;
};

/* norm/rmsnorm.comp: everything in vec4. */
struct rmsnorm_push {
    ABI_U32 quads;
    ABI_U32 rows_from;
    ABI_U32 src_base, src_stride, dst_base, dst_stride, weight_base;
    ABI_F32 eps;
};

/* rope/mla_prep.comp: q, dst, kv in floats; norm in floats; table in floats; cache in elements of a
 * page row (floats, or halves stored in pairs). */
struct mla_prep_push {
    ABI_U32 n_head, nope, latent, n_rope;
    ABI_U32 q_base, q_stride, dst_base, dst_stride, kv_base, kv_stride;
    ABI_U32 norm_base, table_stride;
    ABI_F32 eps;
};

/* attn/mla_attn.comp: q and dst in floats. */
struct mla_attn_push {
    ABI_U32 n_head;
    ABI_U32 q_base, q_stride, dst_base, dst_stride;
    ABI_U32 table_stride;
    ABI_F32 scale;
};

/* moe/route.comp: logits in floats. */
struct route_push {
    ABI_U32 n_expert, n_used, n_group, groups_used;
    ABI_U32 logits_base, logits_stride, bias_base;
    ABI_U32 has_bias, sigmoid, renorm;
    ABI_F32 scale;
};

/* moe/plan.comp */
struct moe_plan_push {
    ABI_U32 n_expert, n_used, tile, max_items, stat;
};

/* moe/combine.comp: vec4. */
struct combine_push {
    ABI_U32 quads, n_used;
    ABI_U32 o_base, o_stride, y_base, y_stride;
};

/* copy/gather.comp: vec4. */
struct gather_push {
    ABI_U32 quads;
    ABI_U32 src_base, src_stride, dst_base, dst_stride;
};

/* sample/edit.comp and sample/candidates.comp: floats. */
struct logits_push {
    ABI_U32 vocab;
    ABI_U32 logits_base, logits_stride;
};

#ifndef VULKAN
#define ABI_CHECK(name) static_assert(sizeof(struct name) <= 128, "too many push constants")
ABI_CHECK(gemm_push);
ABI_CHECK(embed_push);
ABI_CHECK(rmsnorm_push);
ABI_CHECK(mla_prep_push);
ABI_CHECK(mla_attn_push);
ABI_CHECK(route_push);
ABI_CHECK(moe_plan_push);
ABI_CHECK(combine_push);
ABI_CHECK(gather_push);
ABI_CHECK(logits_push);
#undef ABI_CHECK
#endif

#endif
