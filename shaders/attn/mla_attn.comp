/* Latent attention over the paged cache, absorbed form: the cache entry (latent | rope) is the key
 * and its latent part the value, for all heads.
 *
 * Grid: x = group of HEADS heads, y = row. Positions are taken in blocks, so the order of operations
 * of a head depends on its row's position only. Per block: scores, running maximum and sum (online
 * softmax), then the weighted sum of latents.
 *   plain    blocks of 32 (half a page); scores with invocation = position, sums with invocation = 4
 *            latent elements, accumulated in dst itself, which only this invocation touches; shared
 *            memory: HEADS * 32 * 4 bytes
 *   SHUFFLE  blocks of 8; workgroup of 8 = lanes 0..7 of a subgroup; queries, keys and sums stay in
 *            registers; no shared memory
 *   STORE16  halves are loaded as such and not unpacked from words; the values are the same
 * Spec: A latent, B rope, C 1 when the cache holds halves.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef SHUFFLE
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef STORE16
#extension GL_EXT_shader_16bit_storage : require
#endif
#include "base.glsl"

layout(push_constant) uniform push { mla_attn_push p; };
layout(constant_id = SPEC_A) const uint LATENT = 512;
layout(constant_id = SPEC_B) const uint ROPE = 64;
layout(constant_id = SPEC_C) const uint CACHE_F16 = 0;

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, rows_buf, uvec4, rows);
BUFFER(2, readonly, q_buf, vec4, q);
BUFFER(3, restrict, dst_buf, vec4, dst);
BUFFER(4, readonly, table_buf, uint, table);
BUFFER(5, readonly, cache_buf, vec4, cache32);
#ifdef STORE16
BUFFER(5, readonly, cache_half_buf, f16vec4, cache16);
#else
BUFFER(5, readonly, cache_half_buf, uvec2, cache16);
#endif

#ifdef SHUFFLE
#define BLOCK 8u
#else
#define BLOCK 32u
#endif
const uint QUADS = (LATENT + ROPE) / 4u;
const uint LATENT_QUADS = LATENT / 4u;

vec4 cached(uint quad)
{
    if (CACHE_F16 != 0) {
#ifdef STORE16
        return vec4(cache16[quad]);
#else
        uvec2 v = cache16[quad];
        return vec4(unpackHalf2x16(v.x), unpackHalf2x16(v.y));
#endif
    }
    return cache32[quad];
}

float top[HEADS], total[HEADS], fade[HEADS];

/* New running maximum of head h; `fade` rescales what was summed before. */
void raise(int h, float block_top)
{
    float now = max(top[h], block_top);
    fade[h] = exp_f32(top[h] - now);
    top[h] = now;
    total[h] *= fade[h];
}

#ifdef SHUFFLE
/* Invocation = latent and rope quads lane, lane + 8, ...: its part of the queries, of the keys of a
 * block and of the weighted sums. Every cache entry is loaded once. */
const uint OWN_QUADS = (QUADS + 7u) / 8u, OWN_LATENT = (LATENT_QUADS + 7u) / 8u;
vec4 query[HEADS][OWN_QUADS], sum[HEADS][OWN_LATENT];

#define OVER_LANES(op, v)                                                                          \
    {                                                                                              \
        float l0 = subgroupShuffle(v, 0), l1 = subgroupShuffle(v, 1);                              \
        float l2 = subgroupShuffle(v, 2), l3 = subgroupShuffle(v, 3);                              \
        float l4 = subgroupShuffle(v, 4), l5 = subgroupShuffle(v, 5);                              \
        float l6 = subgroupShuffle(v, 6), l7 = subgroupShuffle(v, 7);                              \
        v = op(op(op(l0, l1), op(l2, l3)), op(op(l4, l5), op(l6, l7)));                            \
    }
#define ADD(a, b) ((a) + (b))

void open_heads(uint q_at[HEADS])
{
    uint lane = gl_LocalInvocationID.x;
    [[unroll]] for (int h = 0; h < HEADS; h++) {
        [[unroll]] for (uint i = 0u; i < OWN_QUADS; i++) {
            uint e = lane + 8u * i;
            query[h][i] = e < QUADS ? q[q_at[h] + min(e, QUADS - 1u)] : vec4(0.0);
        }
        [[unroll]] for (uint i = 0u; i < OWN_LATENT; i++)
            sum[h][i] = vec4(0.0);
    }
}

void block(uint cache_at, uint n)
{
    uint lane = gl_LocalInvocationID.x;
    vec4 key[BLOCK][OWN_QUADS];
    float score[HEADS]; /* lane = position */
    [[unroll]] for (uint u = 0u; u < BLOCK; u++) {
        uint at = cache_at + min(u, n - 1u) * QUADS;
        [[unroll]] for (uint i = 0u; i < OWN_QUADS; i++)
            key[u][i] = cached(at + min(lane + 8u * i, QUADS - 1u));
        [[unroll]] for (int h = 0; h < HEADS; h++) {
            precise float s = 0.0;
            [[unroll]] for (uint i = 0u; i < OWN_QUADS; i++)
                s += dot(key[u][i], query[h][i]);
            OVER_LANES(ADD, s)
            score[h] = u == 0u || lane == u ? s * p.scale : score[h];
        }
    }
    [[unroll]] for (int h = 0; h < HEADS; h++) {
        float best = lane < n ? score[h] : -3.0e38;
        OVER_LANES(max, best)
        raise(h, best);
        score[h] = lane < n ? exp_f32(score[h] - top[h]) : 0.0;
        precise float all = score[h];
        OVER_LANES(ADD, all)
        total[h] += all;
        [[unroll]] for (uint i = 0u; i < OWN_LATENT; i++) {
            precise vec4 acc = sum[h][i] * fade[h];
            [[unroll]] for (uint u = 0u; u < BLOCK; u++)
                acc = fma(vec4(subgroupShuffle(score[h], u)), key[u][i], acc);
            sum[h][i] = acc;
        }
    }
}

void close_heads(uint dst_at[HEADS], uint n_heads)
{
    [[unroll]] for (uint i = 0u; i < OWN_LATENT; i++) {
        uint e = gl_LocalInvocationID.x + 8u * i;
        if (e < LATENT_QUADS)
            [[unroll]] for (int h = 0; h < HEADS; h++)
                if (uint(h) < n_heads)
                    dst[dst_at[h] + e] = sum[h][i] / total[h];
    }
}
#else
shared float score[HEADS][BLOCK];

void scores(uint q_at[HEADS], uint first, uint cache_at, uint n)
{
    barrier();
    for (uint u = gl_LocalInvocationID.x; u < BLOCK; u += gl_WorkGroupSize.x) {
        uint at = cache_at + min(u, n - 1u) * QUADS;
        precise float s[HEADS];
        [[unroll]] for (int h = 0; h < HEADS; h++)
            s[h] = 0.0;
        for (uint i = 0u; i < QUADS; i++) {
            vec4 key = cached(at + i);
            [[unroll]] for (int h = 0; h < HEADS; h++) {
                vec4 v = q[q_at[h] + i];
                s[h] = fma(key.x, v.x, s[h]);
                s[h] = fma(key.y, v.y, s[h]);
                s[h] = fma(key.z, v.z, s[h]);
                s[h] = fma(key.w, v.w, s[h]);
            }
        }
        [[unroll]] for (int h = 0; h < HEADS; h++)
            score[h][u] = s[h] * p.scale;
    }
    barrier();
    [[unroll]] for (int h = 0; h < HEADS; h++) {
        float best = -3.0e38;
        for (uint u = 0u; u < n; u++)
            best = max(best, score[h][u]);
        raise(h, best);
    }
    barrier();
    for (uint u = gl_LocalInvocationID.x; u < BLOCK; u += gl_WorkGroupSize.x)
        [[unroll]] for (int h = 0; h < HEADS; h++)
            score[h][u] = u < n ? exp_f32(score[h][u] - top[h]) : 0.0;
    barrier();
    [[unroll]] for (int h = 0; h < HEADS; h++)
        for (uint u = 0u; u < n; u++)
            total[h] += score[h][u];
}

/* dst = dst * fade + sum over the block of weight * latent; `first_block` starts from zero. */
void accumulate(uint dst_at[HEADS], uint n_heads, uint cache_at, uint n, bool first_block)
{
    for (uint e = gl_LocalInvocationID.x; e < LATENT_QUADS; e += gl_WorkGroupSize.x) {
        precise vec4 acc[HEADS];
        [[unroll]] for (int h = 0; h < HEADS; h++) {
            acc[h] = vec4(0.0);
            if (!first_block && uint(h) < n_heads)
                acc[h] = dst[dst_at[h] + e] * fade[h];
        }
#define POSITION(u)                                                                                \
    {                                                                                              \
        vec4 v = cached(cache_at + min(uint(u), n - 1u) * QUADS + e);                              \
        [[unroll]] for (int h = 0; h < HEADS; h++)                                                 \
            acc[h] = fma(vec4(score[h][u]), v, acc[h]);                                           \
    }
        for (uint u = 0u; u < n; u++)
            POSITION(u)
        [[unroll]] for (int h = 0; h < HEADS; h++)
            if (uint(h) < n_heads)
                dst[dst_at[h] + e] = acc[h];
    }
}
#endif

void main()
{
    uint row = gl_WorkGroupID.y;
    if (row >= head[ABI_HEAD_N_ROWS])
        return;
    uint n_pos = rows[row].y + 1u, seq = rows[row].z;
    uint first_head = gl_WorkGroupID.x * HEADS;
    uint n_heads = min(p.n_head - first_head, uint(HEADS));
    uint q_at[HEADS], dst_at[HEADS];
    [[unroll]] for (int h = 0; h < HEADS; h++) { /* heads past the end repeat the last one */
        uint at = first_head + min(uint(h), n_heads - 1u);
        q_at[h] = (p.q_base + row * p.q_stride) / 4u + at * QUADS;
        dst_at[h] = (p.dst_base + row * p.dst_stride) / 4u + at * LATENT_QUADS;
        top[h] = -3.0e38;
        total[h] = 0.0;
    }
#ifdef SHUFFLE
    open_heads(q_at);
#endif
    for (uint first = 0u; first < n_pos; first += BLOCK) {
        uint page = table[seq * p.table_stride + first / ABI_PAGE_TOKENS];
        uint cache_at = (page * ABI_PAGE_TOKENS + first % ABI_PAGE_TOKENS) * QUADS;
        uint n = min(n_pos - first, BLOCK);
#ifdef SHUFFLE
        block(cache_at, n);
    }
    close_heads(dst_at, n_heads);
#else
        scores(q_at, first, cache_at, n);
        accumulate(dst_at, n_heads, cache_at, n, first == 0u);
    }
    for (uint e = gl_LocalInvocationID.x; e < LATENT_QUADS; e += gl_WorkGroupSize.x)
        [[unroll]] for (int h = 0; h < HEADS; h++)
            if (uint(h) < n_heads)
                dst[dst_at[h] + e] /= total[h];
#endif
}
