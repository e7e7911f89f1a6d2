/* The 128 best logits of an output row, best first (ties: lowest id), with the maximum and the sums
 * of exponentials over the whole vocabulary. One workgroup per output.
 *
 * Exact radix selection: the key of a token is its logit as an ordered integer followed by its
 * inverted id, so keys are distinct and "the 128 largest" is unambiguous. Passes of 8 bits narrow
 * down the prefix of the 128th largest key; the last three (the id) run only when the logit is
 * tied. The chosen are collected in any order and ranked by counting, so the result does not depend
 * on the order of the atomics. Shared memory: reduce.glsl (1 KiB), 256 and 3 * 128 words.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"
#include "reduce.glsl"

layout(push_constant) uniform push { logits_push p; };

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, out_buf, uvec4, outs);
BUFFER(2, readonly, logits_buf, vec4, logits);
BUFFER(3, writeonly, cand_buf, uint, cand);

#define SUM_BLOCK 16u /* groups of 4 that are summed before they join the long sum: keeps 1e-6 */

shared uint count[256];
shared uint best_key[ABI_CANDIDATES], best_id[ABI_CANDIDATES];
shared uint n_best;

uint key_of(float l)
{
    uint bits = floatBitsToUint(l);
    if (bits == 0x80000000u) /* -0 ties with +0 */
        bits = 0u;
    return bits ^ ((bits & 0x80000000u) != 0u ? 0xffffffffu : 0x80000000u);
}

/* Digit `pass` (0 first) of the key, and whether the digits before it equal the prefix. */
uint digit_of(uint key, uint id, uint pass, uint prefix_key, uint prefix_id, out bool inside)
{
    if (pass < 4u) {
        uint shift = 24u - 8u * pass;
        inside = pass == 0u || (key >> shift >> 8) == (prefix_key >> shift >> 8);
        return key >> shift & 255u;
    }
    uint inverted = 0xffffffu - id;
    uint shift = 16u - 8u * (pass - 4u);
    inside = key == prefix_key &&
             (pass == 4u || (inverted >> shift >> 8) == (prefix_id >> shift >> 8));
    return inverted >> shift & 255u;
}

void main()
{
    uint row = gl_WorkGroupID.x;
    if (row >= head[ABI_HEAD_N_OUT])
        return;
    uint lid = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;
    uint from = (p.logits_base + row * p.logits_stride) / 4u;
    uint quads = (p.vocab + 3u) / 4u;
    uint to = row * ABI_CANDIDATE_WORDS;

    float top = -3.5e38, odd = 0.0;
    for (uint i = lid; i < quads; i += width) {
        vec4 v = logits[from + i];
        for (uint e = 0u; e < 4u; e++)
            if (4u * i + e < p.vocab) {
                if ((floatBitsToUint(v[e]) & 0x7f800000u) == 0x7f800000u)
                    odd = 1.0;
                else
                    top = max(top, v[e]);
            }
    }
    top = group_max(top);
    odd = group_max(odd);
    if (odd != 0.0) {
        if (lid == 0u)
            cand[to] = 0u;
        return;
    }

    float inv_temp = uintBitsToFloat(outs[row].y);
    float sum = 0.0, sum_1 = 0.0;
    for (uint i0 = lid; i0 < quads; i0 += width * SUM_BLOCK) {
        float part = 0.0, part_1 = 0.0;
        for (uint k = 0u; k < SUM_BLOCK; k++) {
            uint i = i0 + k * width;
            if (i >= quads)
                break;
            vec4 v = logits[from + i] - top;
            for (uint e = 0u; e < 4u; e++)
                if (4u * i + e < p.vocab) {
                    part += exp_f32(v[e] * inv_temp);
                    part_1 += exp_f32(v[e]);
                }
        }
        sum += part;
        sum_1 += part_1;
    }
    sum = group_sum(sum);
    sum_1 = group_sum(sum_1);

    uint wanted = min(uint(ABI_CANDIDATES), p.vocab);
    uint need = wanted; /* how many are still to come from inside the prefix */
    uint prefix_key = 0u, prefix_id = 0u;
    bool settled = false; /* all keys inside the prefix are wanted */
    for (uint pass = 0u; pass < 7u && !settled; pass++) {
        barrier();
        for (uint i = lid; i < 256u; i += width)
            count[i] = 0u;
        barrier();
        for (uint i = lid; i < quads; i += width) {
            vec4 v = logits[from + i];
            for (uint e = 0u; e < 4u; e++) {
                bool inside;
                uint id = 4u * i + e;
                uint d = digit_of(key_of(v[e]), id, pass, prefix_key, prefix_id, inside);
                if (inside && id < p.vocab)
                    atomicAdd(count[d], 1u);
            }
        }
        barrier();
        uint digit = 255u, above = 0u;
        while (digit > 0u && above + count[digit] < need) {
            above += count[digit];
            digit--;
        }
        need -= above;
        settled = count[digit] == need;
        if (pass < 4u)
            prefix_key |= digit << (24u - 8u * pass);
        else
            prefix_id |= digit << (16u - 8u * (pass - 4u));
    }

    /* Keys >= (prefix_key, prefix_id), with zeros in the digits not looked at, are the wanted
     * ones. */
    barrier();
    if (lid == 0u)
        n_best = 0u;
    barrier();
    for (uint i = lid; i < quads; i += width) {
        vec4 v = logits[from + i];
        for (uint e = 0u; e < 4u; e++) {
            uint id = 4u * i + e, key = key_of(v[e]);
            if (id < p.vocab && key >= prefix_key &&
                (key > prefix_key || 0xffffffu - id >= prefix_id)) {
                uint at = atomicAdd(n_best, 1u);
                if (at < ABI_CANDIDATES) {
                    best_key[at] = key;
                    best_id[at] = id;
                }
            }
        }
    }
    barrier();
    for (uint i = lid; i < wanted; i += width) {
        uint key = best_key[i], id = best_id[i], rank = 0u;
        for (uint k = 0u; k < wanted; k++) {
            uint other = best_key[k];
            rank += uint(other > key || (other == key && best_id[k] < id));
        }
        uint bits = key ^ ((key & 0x80000000u) != 0u ? 0x80000000u : 0xffffffffu);
        cand[to + 4u + 2u * rank] = id;
        cand[to + 5u + 2u * rank] = bits;
    }
    if (lid == 0u) {
        cand[to] = wanted;
        cand[to + 1u] = floatBitsToUint(top);
        cand[to + 2u] = floatBitsToUint(sum);
        cand[to + 3u] = floatBitsToUint(sum_1);
    }
}
