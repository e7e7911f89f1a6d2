/* Changes single logits before selection. A small fixed grid shares out the edits, because most steps
 * have none. Edits that name an output or a token that is not there are ignored.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(push_constant) uniform push { logits_push p; };

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, edits_buf, uvec4, edits);
BUFFER(2, restrict, logits_buf, float, logits);

void main()
{
    uint n = head[ABI_HEAD_N_EDITS];
    uint width = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < n; i += width) {
        uvec4 e = edits[i]; /* out, token, scale, bias */
        if (e.x >= head[ABI_HEAD_N_OUT] || e.y >= p.vocab)
            continue;
        uint at = p.logits_base + e.x * p.logits_stride + e.y;
        float l = logits[at];
        float scale = uintBitsToFloat(e.z);
        l = l > 0.0 ? l / scale : l * scale;
        logits[at] = l + uintBitsToFloat(e.w);
    }
}
