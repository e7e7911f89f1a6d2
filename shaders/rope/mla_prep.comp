/* Prepares rows for latent attention: normalises the latent part of kv, rotates its rope part,
 * stores both in the cache page of the row's position, and rotates the rope part of every query
 * head. Grid: x = row. Shared memory: reduce.glsl. Pairs (2i, 2i+1) are rotated (MODELS:
 * interleaved). The cache is an array of floats, or of pairs of halves when CACHE_F16 (SPEC_A) is
 * 1. STORE16: halves are stored as 16-bit words and not packed into 32; the bits are the same, as
 * half_bits() rounds in both (a conversion to float16_t may round either way).
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef STORE16
#extension GL_EXT_shader_16bit_storage : require
#endif
#include "base.glsl"
#include "reduce.glsl"

layout(push_constant) uniform push { mla_prep_push p; };
layout(constant_id = SPEC_A) const uint CACHE_F16 = 0;

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, rows_buf, uvec4, rows);
BUFFER(2, readonly, q_buf, vec2, q);
BUFFER(3, writeonly, dst_buf, vec2, dst);
BUFFER(4, readonly, kv_buf, vec2, kv);
BUFFER(5, readonly, norm_buf, vec2, norm);
BUFFER(6, readonly, rope_buf, vec2, rope);
BUFFER(7, readonly, table_buf, uint, table);
BUFFER(8, writeonly, cache_buf, vec2, cache32);
#ifdef STORE16
BUFFER(8, writeonly, cache_half_buf, u16vec2, cache16);
#else
BUFFER(8, writeonly, cache_half_buf, uint, cache16);
#endif

/* `at`: pair index in the cache. */
void cache_store(uint at, vec2 v)
{
    if (CACHE_F16 != 0)
#ifdef STORE16
        cache16[at] = u16vec2(uvec2(half_bits(v.x), half_bits(v.y)));
#else
        cache16[at] = half_bits(v.x) | half_bits(v.y) << 16;
#endif
    else
        cache32[at] = v;
}

/* Rotates pair i of a rope part by the angle of position pos. */
vec2 rotate(vec2 v, uint i, uint pos)
{
    uint pairs = p.n_rope / 2u;
    vec2 lo = rope[(pos & 255u) * pairs + i];
    vec2 hi = rope[(256u + (pos >> 8)) * pairs + i];
    float c = hi.x * lo.x - hi.y * lo.y;
    float s = hi.y * lo.x + hi.x * lo.y;
    return vec2(v.x * c - v.y * s, v.x * s + v.y * c);
}

void main()
{
    uint row = gl_WorkGroupID.x;
    if (row >= head[ABI_HEAD_N_ROWS])
        return;
    uint lid = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;
    uint pos = rows[row].y, seq = rows[row].z;
    uint latent = p.latent / 2u, pairs = p.n_rope / 2u; /* in pairs from here on */

    uint from = (p.kv_base + row * p.kv_stride) / 2u;
    float sum = 0.0;
    for (uint i = lid; i < latent; i += width) {
        vec2 v = kv[from + i];
        sum += dot(v, v);
    }
    sum = group_sum(sum);
    float r = 1.0 / sqrt(sum / float(p.latent) + p.eps);
    uint page = table[seq * p.table_stride + pos / ABI_PAGE_TOKENS];
    uint to = (page * ABI_PAGE_TOKENS + pos % ABI_PAGE_TOKENS) * (latent + pairs);
    for (uint i = lid; i < latent; i += width)
        cache_store(to + i, kv[from + i] * r * norm[p.norm_base / 2u + i]);
    for (uint i = lid; i < pairs; i += width)
        cache_store(to + latent + i, rotate(kv[from + latent + i], i, pos));

    uint q_from = (p.q_base + row * p.q_stride) / 2u;
    uint dst_to = (p.dst_base + row * p.dst_stride) / 2u;
    uint nope = p.nope / 2u;
    for (uint n = lid; n < p.n_head * pairs; n += width) {
        uint h = n / pairs, i = n % pairs;
        dst[dst_to + h * (latent + pairs) + latent + i] =
            rotate(q[q_from + h * (nope + pairs) + nope + i], i, pos);
    }
}
