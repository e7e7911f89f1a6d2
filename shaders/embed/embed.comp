/* Embedding rows: dst[row, :] = W[token of row, :], dequantised.
 * Grid: x = steps of 32 columns (one per invocation), y = token row. A dispatch covers the matrix
 * rows of one weight segment; tokens of other segments are left alone. Define TYPE_A: weight type.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "base.glsl"

layout(push_constant) uniform push { embed_push p; };

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, rows_buf, uvec4, rows);
BUFFER(2, writeonly, dst_buf, vec4, dst);
BUFFER(3, readonly, a_buf, uvec4, wa);

#define DEC_FN(name) a_##name
#define DEC_BUF wa
#define DEC_TYPE TYPE_A
#include "decode.glsl"

void main()
{
    uint step = gl_GlobalInvocationID.x;
    uint row = gl_WorkGroupID.y;
    if (row >= head[ABI_HEAD_N_ROWS] || step >= p.steps)
        return;
    uint from = rows[row].x - p.row_first;
    if (from >= p.row_count)
        return;
    uint at = p.a_base + from / ABI_TILE * p.a_tile + from % ABI_TILE;
    uint hf = step >> 2 & 1u;
    half_ctx c;
    vec4 w[8];
    a_half_open(c, at, step >> 3, hf);
    a_step(c, hf, step & 3u, w);
    uint quad = step * 8u;
    [[unroll]] for (uint i = 0u; i < 8u; i++)
        if (quad + i < p.quads)
            dst[p.dst_base + row * p.dst_stride + quad + i] = w[i];
}
