/* Reductions over a workgroup of gl_WorkGroupSize.x <= REDUCE_MAX invocations in a fixed order; all
 * invocations call them and get the result. Shared memory: 4 * REDUCE_MAX bytes.
 * SUBGROUP: sums by subgroup arithmetic first (feature SUBGROUP_ARITH).
 */
#define REDUCE_MAX 256
shared float reduce_part[REDUCE_MAX];

#define REDUCE(name, op)                                                                           \
    float name(float v)                                                                            \
    {                                                                                              \
        barrier();                                                                                 \
        reduce_part[gl_LocalInvocationID.x] = v;                                                   \
        barrier();                                                                                 \
        float r = reduce_part[0];                                                                  \
        for (uint i = 1u; i < gl_WorkGroupSize.x; i++) {                                           \
            float other = reduce_part[i];                                                          \
            r = op;                                                                                \
        }                                                                                          \
        return r;                                                                                  \
    }

REDUCE(group_max, max(r, other))
#ifdef SUBGROUP
float group_sum(float v)
{
    float mine = subgroupAdd(v);
    barrier();
    if (subgroupElect())
        reduce_part[gl_SubgroupID] = mine;
    barrier();
    float r = reduce_part[0];
    for (uint i = 1u; i < gl_NumSubgroups; i++)
        r += reduce_part[i];
    return r;
}
#else
REDUCE(group_sum, r + other)
#endif
