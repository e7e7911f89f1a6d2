/* Inside of the Vulkan device: shared by vulkan/ and tests/device only.
 *
 * runtime (instance.c, mem.c, pipe.c, cmd.c, plan parts) owns Vulkan objects; lower.c turns ops
 * into dispatches and weight.c repacks weights: both know shaders and abi.h, neither calls Vulkan.
 */
#ifndef SEEKD_VULKAN_VK_H
#define SEEKD_VULKAN_VK_H

#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"

enum { VK_MAX_BINDS = 12, VK_MAX_SPEC = 12, VK_MAX_PUSH = 128, VK_MAX_DISPATCH_PER_OP = 64 };

/* Features that shader variants may ask for (bits of vk_caps.features and of variants.tsv). */
enum vk_feature {
    VK_FEAT_16BIT_STORAGE = 1,   /* storageBuffer16BitAccess */
    VK_FEAT_8BIT_STORAGE = 2,    /* storageBuffer8BitAccess */
    VK_FEAT_FLOAT16 = 4,         /* shaderFloat16 */
    VK_FEAT_INT8 = 8,            /* shaderInt8 */
    VK_FEAT_SUBGROUP_ARITH = 16, /* subgroup basic + arithmetic + shuffle in compute */
    VK_FEAT_SUBGROUP_SIZE = 32,  /* subgroup size control, full subgroups */
    VK_FEAT_HARDWARE = 64        /* not a software driver: tuned for real GPUs */
};

struct vk_caps {
    uint32_t features; /* enum vk_feature bits */
    uint32_t subgroup_size;
    uint32_t max_workgroup_invocations, max_workgroup_size[3], max_workgroup_count[3];
    uint32_t max_shared_bytes;
    uint64_t max_bind_bytes, max_alloc_bytes;
    uint32_t bind_align; /* minStorageBufferOffsetAlignment */
    bool software;
};

struct vk_range {
    const struct dev_buf *buf;
    uint64_t offset, bytes; /* offset a multiple of bind_align, bytes a multiple of 16 */
};

/* One compute dispatch. Bindings are numbered 0..n_binds-1 in set 0, all storage buffers. */
struct vk_dispatch {
    uint32_t shader; /* index into vk_shaders[] (generated from variants.tsv) */
    uint32_t spec[VK_MAX_SPEC];
    uint32_t n_spec; /* specialization constants 0..n_spec-1 */
    uint8_t push[VK_MAX_PUSH];
    uint32_t push_bytes;
    struct vk_range bind[VK_MAX_BINDS];
    uint32_t n_binds;
    uint32_t groups[3];
    const struct dev_buf *indirect; /* NULL, or 3 uint32 group counts at indirect_offset */
    uint64_t indirect_offset;
    bool barrier; /* set by the lowering when this dispatch needs the results of an earlier one of
                     the same op; what happens between ops follows from dev_op_access() */
};

/* Embedded SPIR-V with its requirements: generated array, see shaders/variants.tsv. */
struct vk_shader {
    const char *name;
    const uint32_t *code;
    uint32_t code_bytes;
    uint32_t features; /* enum vk_feature bits required */
};
extern const struct vk_shader vk_shaders[];
extern const uint32_t vk_n_shaders;

/* A weight in device layout: segments of whole rows, each within one bindable range. */
struct vk_segment {
    struct dev_buf *buf;
    uint64_t offset, bytes;
    uint32_t mat_first, mat_count; /* matrices (partly) in it */
    uint32_t row_first, row_count; /* rows of each; row_first a multiple of 8 */
};
struct dev_weight {
    struct dev_weight_desc desc; /* data and name NULL */
    uint32_t n_segments;
    struct vk_segment *segments;
    uint64_t bytes;
};

/* lower.c: checks the op against caps and fills dispatches (at most VK_MAX_DISPATCH_PER_OP). */
bool vk_lower(const struct vk_caps *caps, enum dev_tier tier, const struct op *op,
              const struct dev_step *s, uint32_t max_rows, uint32_t max_out, struct vk_dispatch *out,
              uint32_t *n, struct err *e) WARN_UNUSED;
/* Prints the selection table: for every (op, type) the variants and the one picked. */
void vk_print_variants(const struct vk_caps *caps, FILE *out);

/* runtime services used by weight.c */
const struct vk_caps *vk_dev_caps(const struct dev *d);

#endif
