/* Router: chooses n_used experts per row. One workgroup per row; experts are strided over the
 * invocations, each round every invocation offers its best and all agree on the winner.
 * Shared memory: 3 * 512 * 4 bytes and 2 * 4 * REDUCE_MAX bytes. Rules: device.h, struct op_route.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "reduce.glsl"

layout(push_constant) uniform push { route_push p; };

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, logits_buf, float, logits);
BUFFER(2, readonly, bias_buf, float, bias);
BUFFER(3, writeonly, choice_buf, uint, choice);
BUFFER(4, writeonly, weight_buf, float, weight);

shared float s[ABI_MAX_EXPERTS];    /* scores */
shared float c[ABI_MAX_EXPERTS];    /* what is compared */
shared float group[ABI_MAX_EXPERTS];
shared uint offer[REDUCE_MAX];

const float MINUS_INF = -1.0 / 0.0;

void scores(uint from)
{
    uint lid = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;
    float top = -3.0e38;
    for (uint e = lid; e < p.n_expert; e += width)
        top = max(top, logits[from + e]);
    top = group_max(top);
    float sum = 0.0;
    for (uint e = lid; e < p.n_expert; e += width) {
        float l = logits[from + e];
        s[e] = p.sigmoid != 0u ? 1.0 / (1.0 + exp_f32(-l)) : exp_f32(l - top);
        sum += s[e];
    }
    sum = group_sum(sum);
    for (uint e = lid; e < p.n_expert; e += width) {
        if (p.sigmoid == 0u)
            s[e] = s[e] / sum;
        c[e] = p.has_bias != 0u ? s[e] + bias[p.bias_base + e] : s[e];
    }
}

/* Score of a group: its best c, or the sum of its two best when there is a bias. */
float group_score(uint first, uint n)
{
    float best = MINUS_INF, second = MINUS_INF;
    for (uint e = first; e < first + n; e++) {
        float v = c[e];
        second = max(second, min(best, v));
        best = max(best, v);
    }
    if (p.has_bias == 0u || n < 2u)
        return best;
    return best + second;
}

/* Experts outside the groups_used best groups (ties: lowest index) count as -inf. */
void keep_groups()
{
    uint lid = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;
    uint n = p.n_expert / p.n_group;
    for (uint g = lid; g < p.n_group; g += width)
        group[g] = group_score(g * n, n);
    barrier();
    for (uint g = lid; g < p.n_group; g += width) {
        uint better = 0u;
        for (uint other = 0u; other < p.n_group; other++)
            if (group[other] > group[g] || (group[other] == group[g] && other < g))
                better++;
        if (better >= p.groups_used)
            for (uint e = g * n; e < (g + 1u) * n; e++)
                c[e] = MINUS_INF;
    }
    barrier();
}

void main()
{
    uint row = gl_WorkGroupID.x;
    if (row >= head[ABI_HEAD_N_ROWS])
        return;
    uint lid = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;
    scores(p.logits_base + row * p.logits_stride);
    barrier();
    if (p.n_group > 1u)
        keep_groups();

    uint taken[ABI_MAX_TOPK]; /* every invocation keeps the same list */
    precise float sum = 0.0;
    for (uint k = 0u; k < p.n_used; k++) {
        uint best = ABI_MAX_EXPERTS;
        for (uint e = lid; e < p.n_expert; e += width) {
            bool used = false;
            for (uint i = 0u; i < k; i++)
                used = used || taken[i] == e;
            if (!used && (best == ABI_MAX_EXPERTS || c[e] > c[best]))
                best = e;
        }
        barrier();
        offer[lid] = best;
        barrier();
        uint winner = ABI_MAX_EXPERTS;
        for (uint i = 0u; i < width; i++) {
            uint e = offer[i];
            if (e == ABI_MAX_EXPERTS)
                continue;
            if (winner == ABI_MAX_EXPERTS || c[e] > c[winner] || (c[e] == c[winner] && e < winner))
                winner = e;
        }
        taken[k] = winner;
        sum += s[winner];
    }
    if (lid == 0u)
        for (uint k = 0u; k < p.n_used; k++) {
            float w = s[taken[k]];
            if (p.renorm != 0u)
                w /= sum + 1e-20;
            choice[row * p.n_used + k] = taken[k];
            weight[row * p.n_used + k] = w * p.scale;
        }
}
