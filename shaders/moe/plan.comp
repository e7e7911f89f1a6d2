/* Expert-major work lists: slots (row * n_used + k) sorted by expert, then by row, and work items
 * (expert, first entry, count <= tile). One workgroup; every invocation counts and places the slots
 * of its own experts, so there are no atomics and the order is fixed.
 * lists: [0] n_items; items from uvec4 ABI_LISTS_ITEMS; entries (u32) behind max_items items.
 * Shared memory: 2 * 513 * 4 bytes.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "base.glsl"

layout(push_constant) uniform push { moe_plan_push p; };

BUFFER(0, readonly, head_buf, uint, head);
BUFFER(1, readonly, choice_buf, uint, choice);
BUFFER(2, writeonly, lists_buf, uvec4, lists);
BUFFER(2, writeonly, entries_buf, uint, entries);
BUFFER(3, restrict, stats_buf, uint, stats);

shared uint first_slot[ABI_MAX_EXPERTS + 1];
shared uint first_item[ABI_MAX_EXPERTS + 1];

void main()
{
    uint lid = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;
    uint n_slots = head[ABI_HEAD_N_ROWS] * p.n_used;
    for (uint e = lid; e < p.n_expert; e += width) {
        uint n = 0u;
        for (uint s = 0u; s < n_slots; s++)
            n += uint(choice[s] == e);
        first_slot[e] = n;
    }
    barrier();
    if (lid == 0u) {
        uint slot = 0u, item = 0u, touched = 0u;
        for (uint e = 0u; e < p.n_expert; e++) {
            uint n = first_slot[e];
            first_slot[e] = slot;
            first_item[e] = item;
            slot += n;
            item += (n + p.tile - 1u) / p.tile;
            touched += uint(n > 0u);
        }
        first_slot[p.n_expert] = slot;
        lists[0] = uvec4(item, 0u, 0u, 0u);
        stats[p.stat] += touched;
    }
    barrier();
    uint entries_at = (ABI_LISTS_ITEMS + p.max_items) * 4u;
    for (uint e = lid; e < p.n_expert; e += width) {
        uint at = first_slot[e], end = first_slot[e + 1u];
        uint item = first_item[e];
        for (uint i = at; i < end; i += p.tile)
            lists[ABI_LISTS_ITEMS + item++] = uvec4(e, i, min(p.tile, end - i), 0u);
        for (uint s = 0u; s < n_slots && at < end; s++)
            if (choice[s] == e)
                entries[entries_at + at++] = s;
    }
}
