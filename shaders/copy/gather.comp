/* dst[j, :] = src[row of output j, :]. Grid: x = 4 columns per invocation, y = output. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(push_constant) uniform push { gather_push p; };

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, out_buf, uvec4, outs);
BUFFER(2, readonly, src_buf, vec4, src);
BUFFER(3, writeonly, dst_buf, vec4, dst);

void main()
{
    uint i = gl_GlobalInvocationID.x, j = gl_WorkGroupID.y;
    if (j >= head[ABI_HEAD_N_OUT] || i >= p.quads)
        return;
    dst[p.dst_base + j * p.dst_stride + i] = src[p.src_base + outs[j].x * p.src_stride + i];
}
