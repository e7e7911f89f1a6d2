/* RMS norm: one workgroup per row, invocations stride over groups of 4 columns.
 * dst may be src: a row is read completely (first pass) before it is written, and each group of 4
 * is read and written by the same invocation. Shared memory: reduce.glsl. Source: Zhang & Sennrich
 * 2019.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require
#endif
#include "base.glsl"
#include "reduce.glsl"

layout(push_constant) uniform push { rmsnorm_push p; };

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, src_buf, vec4, src);
BUFFER(2, writeonly, dst_buf, vec4, dst);
BUFFER(3, readonly, weight_buf, vec4, weight);

void main()
{
    uint row = gl_WorkGroupID.x;
    if (row >= head[p.rows_from])
        return;
    uint from = p.src_base + row * p.src_stride;
    uint to = p.dst_base + row * p.dst_stride;
    float sum = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < p.quads; i += gl_WorkGroupSize.x) {
        vec4 v = src[from + i];
        sum += dot(v, v);
    }
    sum = group_sum(sum);
    float r = 1.0 / sqrt(sum / float(4u * p.quads) + p.eps);
    for (uint i = gl_LocalInvocationID.x; i < p.quads; i += gl_WorkGroupSize.x)
        dst[to + i] = src[from + i] * r * weight[p.weight_base + i];
}
