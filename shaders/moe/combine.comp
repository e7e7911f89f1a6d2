/* y[row, :] += sum of the row's expert outputs in the order of choice.
 * Grid: x = 4 columns per invocation, y = row.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(push_constant) uniform push { combine_push p; };

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, o_buf, vec4, o);
BUFFER(2, restrict, y_buf, vec4, y);

void main()
{
    uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
    if (row >= head[ABI_HEAD_N_ROWS] || i >= p.quads)
        return;
    precise vec4 sum = vec4(0.0);
    for (uint k = 0u; k < p.n_used; k++)
        sum += o[p.o_base + (row * p.n_used + k) * p.o_stride + i];
    y[p.y_base + row * p.y_stride + i] += sum;
}
