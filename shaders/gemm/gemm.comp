/* Matrix products of activation rows with repacked weights (README.md, "gemm").
 *
 * Built in four forms: y = W x (batched over matrices), the gated pair silu(G x) * (U x), and both
 * again over a mixture-of-experts work list.
 * Grid: x = TILES tiles of 8 output rows, y = COLS rows of x or one work item, z = matrix.
 * Invocation x = row in the tile; every invocation keeps TILES x COLS sums per operand. A row's sum
 * runs over the columns in the same order whatever COLS and TILES are.
 *
 * Defines
 *   COLS, TILES     see above
 *   GATED           two operands
 *   MOE             1: gated, rows of x gathered; 2: down, results weighted
 *   TYPE_A, TYPE_B  weight types, else specialization constants. Drivers that do not fold branches
 *                   on those (SwiftShader) run all nine decoders: plain variants are built per type
 *   SPLIT           local y (8) and z share out the columns, shared memory (y * z * 8 * COLS * TILES
 *                   * operands * 4 bytes) joins the partial sums in a fixed order
 *   SHUFFLE         the 8 invocations are lanes 0..7 of one subgroup: each loads 4 of the 32 columns
 *                   of a step and constant shuffles hand them around. llvmpipe runs loads lane by
 *                   lane but such a shuffle as one instruction: 2 to 5 times faster there
 *   LOOP            SHUFFLE that costs what the rows it has cost: half a group is decoded and kept, and
 *                   a loop over the rows uses it. Sums wait in shared memory (8 * COLS * (TILES *
 *                   operands + 1) * 4 bytes), where every invocation touches its own words only
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#if defined(SHUFFLE) || defined(LOOP)
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "base.glsl"

layout(push_constant) uniform push { gemm_push p; };
#ifndef TYPE_A
layout(constant_id = SPEC_A) const uint TYPE_A = 0;
#endif
#if defined(GATED) && !defined(TYPE_B)
layout(constant_id = SPEC_B) const uint TYPE_B = 0;
#endif

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, x_buf, vec4, x);
BUFFER(2, restrict, y_buf, float, y);
BUFFER(3, readonly, a_buf, uvec4, wa);
#ifdef GATED
BUFFER(4, readonly, b_buf, uvec4, wb);
BUFFER(5, readonly, lists_buf, uvec4, lists);
BUFFER(5, readonly, entries_buf, uint, entries);
#else
BUFFER(4, readonly, lists_buf, uvec4, lists);
BUFFER(4, readonly, entries_buf, uint, entries);
BUFFER(5, readonly, slot_buf, float, slot_weight);
#endif

#define DEC_FN(name) a_##name
#define DEC_BUF wa
#define DEC_TYPE TYPE_A
#include "decode.glsl"
#ifdef GATED
#define DEC_FN(name) b_##name
#define DEC_BUF wb
#define DEC_TYPE TYPE_B
#include "decode.glsl"
#define OPERANDS 2
#else
#define OPERANDS 1
#endif
#define SUMS (OPERANDS * TILES)

#ifdef SPLIT
#define N_SPLIT (gl_WorkGroupSize.y * gl_WorkGroupSize.z)
shared float partial[N_SPLIT * ABI_TILE * SUMS * COLS];
#endif
#ifdef LOOP
shared float sums[COLS][SUMS][ABI_TILE];
shared uint x_from[COLS][ABI_TILE];
#endif

/* Columns 4i..4i+3 of the step, for every tile. dot() rather than four fma(): modules are a third of
 * the size, and drivers take their time by size. */
#define MAC4(i, xi)                                                                                \
    {                                                                                              \
        vec4 v = xi;                                                                               \
        [[unroll]] for (int s = 0; s < SUMS; s++)                                                  \
            acc[s][c] += dot(w[s][i], v);                                                          \
    }
#ifdef SHUFFLE
#define X_QUAD(i) subgroupShuffle(mine, i)
#else
#define X_QUAD(i) x[x_at[c] + min(quad + i, p.last_quad)]
#endif

void store(uint row, uint y_at, uint slot, float a, float b)
{
    if (row >= p.rows)
        return;
#ifdef GATED
    float v = silu(a) * b;
#elif defined(MOE)
    float v = a * slot_weight[slot];
#else
    float v = p.accumulate != 0u ? y[y_at + row] + a : a;
#endif
    y[y_at + row] = v;
}

/* Where row `at` of x (MOE: the row of entry `at`) and its row of y begin. */
void place(uint at, uint mat, out uint x_at, out uint y_at, out uint slot)
{
#ifdef MOE
    slot = entries[at];
    uint x_row = MOE == 1 ? slot / p.n_used : slot;
    uint y_row = slot;
#else
    slot = 0u;
    uint x_row = at;
    uint y_row = at;
#endif
    x_at = p.x_base + mat * p.x_step + x_row * p.x_stride;
    y_at = p.y_base + mat * p.y_step + y_row * p.y_stride;
}

void main()
{
    uint lane = gl_LocalInvocationID.x;
    uint tile = gl_WorkGroupID.x * TILES;
    uint first, count, mat;
#ifdef MOE
    if (gl_WorkGroupID.y >= lists[0].x)
        return;
    uvec4 item = lists[ABI_LISTS_ITEMS + gl_WorkGroupID.y]; /* expert, first entry, count */
    mat = item.x - p.mat_first;
    if (mat >= p.mat_count)
        return;
    first = p.entries * 4u + item.y;
    count = item.z;
#else
    mat = gl_WorkGroupID.z;
    first = gl_WorkGroupID.y * COLS;
    uint n = head[p.rows_from];
    if (first >= n)
        return;
    count = min(n - first, uint(COLS));
#endif

#ifndef LOOP
    /* Columns past `count` repeat the last one; they are not stored. */
    uint x_at[COLS], y_at[COLS], slot[COLS];
    [[unroll]] for (int c = 0; c < COLS; c++)
        place(first + min(uint(c), count - 1u), mat, x_at[c], y_at[c], slot[c]);
#endif

    /* A tile past the end repeats the last one; its rows are not stored. */
    uint last_tile = (p.rows - 1u) / ABI_TILE;
    uint a_at[TILES];
#ifdef GATED
    uint b_at[TILES];
#endif
    [[unroll]] for (int t = 0; t < TILES; t++) {
        uint at = min(tile + uint(t), last_tile);
        a_at[t] = p.a_base + mat * p.a_mat + at * p.a_tile + lane;
#ifdef GATED
        b_at[t] = p.b_base + mat * p.b_mat + at * p.b_tile + lane;
#endif
    }

#ifdef LOOP
    for (uint c = 0u; c < count; c++) {
        uint x_at, y_at, slot;
        place(first + c, mat, x_at, y_at, slot);
        x_from[c][lane] = x_at;
        [[unroll]] for (uint s = 0u; s < SUMS; s++)
            sums[c][s][lane] = 0.0;
    }

    uint n_halves = (p.steps + 3u) / 4u;
    for (uint h = 0u; h < n_halves; h++) {
        uint last = min(p.steps - h * 4u, 4u) - 1u; /* steps past the end repeat the last one */
        vec4 w[4][SUMS][8];
        [[unroll]] for (int t = 0; t < TILES; t++) {
            half_ctx ctx;
            a_half_open(ctx, a_at[t], h >> 1, h & 1u);
            [[unroll]] for (uint j = 0u; j < 4u; j++)
                a_step(ctx, h & 1u, min(j, last), w[j][t]);
#ifdef GATED
            b_half_open(ctx, b_at[t], h >> 1, h & 1u);
            [[unroll]] for (uint j = 0u; j < 4u; j++)
                b_step(ctx, h & 1u, min(j, last), w[j][TILES + t]);
#endif
        }
        for (uint c = 0u; c < count; c++) {
            uint x_at = x_from[c][lane];
            precise float acc[SUMS];
            [[unroll]] for (uint s = 0u; s < SUMS; s++)
                acc[s] = sums[c][s][lane];
            [[unroll]] for (uint j = 0u; j < 4u; j++) {
                vec4 mine = x[x_at + min(h * 32u + j * 8u + lane, p.last_quad)];
                mine = j <= last ? mine : vec4(0.0); /* adds 0: cheaper than a branch */
                [[unroll]] for (uint i = 0u; i < 8u; i++) {
                    vec4 v = subgroupShuffle(mine, i);
                    [[unroll]] for (uint s = 0u; s < SUMS; s++)
                        acc[s] += dot(w[j][s][i], v);
                }
            }
            [[unroll]] for (uint s = 0u; s < SUMS; s++)
                sums[c][s][lane] = acc[s];
        }
    }
    for (uint c = 0u; c < count; c++) {
        uint x_at, y_at, slot;
        place(first + c, mat, x_at, y_at, slot);
        [[unroll]] for (uint t = 0u; t < TILES; t++)
            store((tile + t) * ABI_TILE + lane, y_at, slot, sums[c][t][lane],
                  sums[c][SUMS - TILES + t][lane]);
    }
#else
    precise float acc[SUMS][COLS];
    [[unroll]] for (int s = 0; s < SUMS; s++)
        [[unroll]] for (int c = 0; c < COLS; c++)
            acc[s][c] = 0.0;

    uint n_groups = (p.steps + 7u) / 8u;
#ifdef SPLIT
    for (uint g = gl_LocalInvocationID.z; g < n_groups; g += gl_WorkGroupSize.z) {
        uint hf = gl_LocalInvocationID.y >> 2;
        uint j = gl_LocalInvocationID.y & 3u;
        if (g * 8u + gl_LocalInvocationID.y < p.steps) {
#else
    for (uint g = 0u; g < n_groups; g++)
    for (uint hf = 0u; hf < 2u && g * 8u + hf * 4u < p.steps; hf++) {
#endif
        half_ctx a_ctx[TILES];
        [[unroll]] for (int t = 0; t < TILES; t++)
            a_half_open(a_ctx[t], a_at[t], g, hf);
#ifdef GATED
        half_ctx b_ctx[TILES];
        [[unroll]] for (int t = 0; t < TILES; t++)
            b_half_open(b_ctx[t], b_at[t], g, hf);
#endif
#ifndef SPLIT
        uint n_steps = min(p.steps - (g * 8u + hf * 4u), 4u);
        for (uint j = 0u; j < n_steps; j++)
#endif
        {
            vec4 w[SUMS][8];
            [[unroll]] for (int t = 0; t < TILES; t++) {
                a_step(a_ctx[t], hf, j, w[t]);
#ifdef GATED
                b_step(b_ctx[t], hf, j, w[TILES + t]);
#endif
            }
            uint quad = g * 64u + hf * 32u + j * 8u;
            [[unroll]] for (int c = 0; c < COLS; c++) {
#ifdef SHUFFLE
                vec4 mine = x[x_at[c] + min(quad + lane, p.last_quad)];
#endif
                MAC4(0, X_QUAD(0))
                MAC4(1, X_QUAD(1))
                MAC4(2, X_QUAD(2))
                MAC4(3, X_QUAD(3))
                MAC4(4, X_QUAD(4))
                MAC4(5, X_QUAD(5))
                MAC4(6, X_QUAD(6))
                MAC4(7, X_QUAD(7))
            }
        }
    }
#ifdef SPLIT
    }

    uint split = gl_LocalInvocationID.z * gl_WorkGroupSize.y + gl_LocalInvocationID.y;
    [[unroll]] for (int s = 0; s < SUMS; s++)
        [[unroll]] for (int c = 0; c < COLS; c++)
            partial[((split * SUMS + s) * COLS + c) * ABI_TILE + lane] = acc[s][c];
    barrier();
    /* One invocation per (tile, column, row), in the order of the splits. */
    for (uint c = split; c < count; c += N_SPLIT) {
        [[unroll]] for (int t = 0; t < TILES; t++) {
            precise float a = 0.0, b = 0.0;
            for (uint k = 0u; k < N_SPLIT; k++) {
                a += partial[((k * SUMS + t) * COLS + c) * ABI_TILE + lane];
#ifdef GATED
                b += partial[((k * SUMS + TILES + t) * COLS + c) * ABI_TILE + lane];
#endif
            }
            uint sel_y = y_at[0], sel_slot = slot[0];
            [[unroll]] for (int i = 1; i < COLS; i++)
                if (c == uint(i)) {
                    sel_y = y_at[i];
                    sel_slot = slot[i];
                }
            store((tile + uint(t)) * ABI_TILE + lane, sel_y, sel_slot, a, b);
        }
    }
#else
    [[unroll]] for (int c = 0; c < COLS; c++)
        if (uint(c) < count)
            [[unroll]] for (int t = 0; t < TILES; t++)
                store((tile + uint(t)) * ABI_TILE + lane, y_at[c], slot[c], acc[t][c],
                      acc[SUMS - TILES + t][c]);
#endif
#endif
}
