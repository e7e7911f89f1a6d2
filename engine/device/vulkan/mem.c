/* Device memory: slabs cut into buffers, and copies between host and device.
 *
 * Owns every VkDeviceMemory and VkBuffer. Drivers limit how many allocations there may be and each
 * one is slow, so small buffers share slabs of 64 to 256 MiB; a large one gets an allocation of its
 * own. On software drivers and integrated GPUs all memory is host-visible and copies are memcpy;
 * otherwise they go through a staging buffer of two halves, one being filled while the other is
 * copied. Knows nothing of what is inside the buffers.
 */
#include <config.h>

#include "device/vulkan/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "base/mem.h"

#define MIB ((uint64_t)1 << 20)

enum { MEM_KINDS = 4, BUF_ALIGN = 256, MAX_TAGS = 64 };

static const uint64_t slab_min_bytes = 64 * MIB, slab_max_bytes = 256 * MIB;
static const uint64_t staging_half_bytes = 16 * MIB;
/* A smaller device-local host-visible heap is left to the driver's own needs. */
static const uint64_t step_heap_min_bytes = 200 * MIB;

struct range {
    uint64_t offset, bytes;
};

/* One VkDeviceMemory. `free` holds its unused ranges, sorted by offset, never touching. */
struct vk_slab {
    VkDeviceMemory memory;
    uint64_t bytes;
    uint32_t type; /* memory type index */
    uint8_t *host; /* mapped address or NULL */
    struct range *free;
    uint32_t n_free, cap_free, n_buffers;
    struct vk_slab *prev, *next;
};

/* What enum dev_mem stands for on this device. */
struct kind {
    uint32_t type;
    uint64_t slab_bytes;
    bool mapped;
};

struct vk_mem {
    struct kind kinds[MEM_KINDS];
    struct vk_slab *slabs;
    struct vk_buf *buffers;
    uint32_t n_allocations, max_allocations;
    uint64_t allocated_bytes;
    struct vk_buf *staging; /* NULL until first needed */
    struct vk_cmd halves[2];
};

/* ---- memory types ---------------------------------------------------------------------------- */

/* First allowed type that has all `flags` and a heap of at least min_bytes. */
static bool find_type(const VkPhysicalDeviceMemoryProperties *m, uint32_t allowed,
                      VkMemoryPropertyFlags flags, uint64_t min_bytes, uint32_t *type)
{
    for (uint32_t i = 0; i < m->memoryTypeCount; i++)
        if ((allowed >> i & 1) && (m->memoryTypes[i].propertyFlags & flags) == flags &&
            m->memoryHeaps[m->memoryTypes[i].heapIndex].size >= min_bytes) {
            *type = i;
            return true;
        }
    return false;
}

static uint64_t slab_bytes_of(const struct vk_dev *vd, uint32_t type)
{
    const VkPhysicalDeviceMemoryProperties *m = &vd->adapter.memory;
    uint64_t heap = m->memoryHeaps[m->memoryTypes[type].heapIndex].size;
    uint64_t bytes = slab_min_bytes;

    while (bytes < slab_max_bytes && bytes < heap / 32)
        bytes *= 2;
    while (bytes > MIB && (bytes > heap / 4 || bytes > vd->adapter.caps.max_alloc_bytes))
        bytes /= 2;
    return bytes;
}

static void set_kind(struct vk_dev *vd, enum dev_mem mem, uint32_t type)
{
    const VkMemoryPropertyFlags mapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    struct kind *k = &vd->mem->kinds[mem];

    k->type = type;
    k->slab_bytes = slab_bytes_of(vd, type);
    k->mapped = (vd->adapter.memory.memoryTypes[type].propertyFlags & mapped) == mapped;
}

/* Unmapped device-local memory where the GPU has its own, mapped device-local memory elsewhere. */
static bool find_device_type(const struct vk_dev *vd, uint32_t allowed, uint32_t *type)
{
    const VkPhysicalDeviceMemoryProperties *m = &vd->adapter.memory;
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                shared = local | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkPhysicalDeviceType kind = vd->adapter.props.deviceType;
    uint32_t plain = allowed;

    if (kind == VK_PHYSICAL_DEVICE_TYPE_CPU || kind == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU)
        return find_type(m, allowed, shared | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 0, type) ||
               find_type(m, allowed, shared, 0, type) || find_type(m, allowed, local, 0, type) ||
               find_type(m, allowed, 0, 0, type);
    for (uint32_t i = 0; i < m->memoryTypeCount; i++)
        if (m->memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)
            plain &= ~(1u << i);
    return find_type(m, plain, local, 0, type) || find_type(m, allowed, local, 0, type) ||
           find_type(m, allowed, 0, 0, type);
}

static bool pick_types(struct vk_dev *vd, uint32_t allowed, struct err *e)
{
    const VkPhysicalDeviceMemoryProperties *m = &vd->adapter.memory;
    const VkMemoryPropertyFlags mapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;

    if (!find_device_type(vd, allowed, &type))
        FAIL(e, ERR_UNSUPPORTED, "the Vulkan device has no memory type for storage buffers");
    set_kind(vd, DEV_MEM_DEVICE, type);
    set_kind(vd, DEV_MEM_RAW, type);
    if (!find_type(m, allowed, mapped | VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, step_heap_min_bytes,
                   &type) &&
        !find_type(m, allowed, mapped, 0, &type))
        FAIL(e, ERR_UNSUPPORTED, "the Vulkan device has no host-visible coherent memory");
    set_kind(vd, DEV_MEM_STEP, type);
    if (find_type(m, allowed, mapped | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 0, &type) ||
        find_type(m, allowed, mapped, 0, &type))
        set_kind(vd, DEV_MEM_RESULT, type);
    return true;
}

/* ---- slabs ----------------------------------------------------------------------------------- */

static bool allocate(struct vk_dev *vd, uint32_t type, uint64_t bytes, VkDeviceMemory *out,
                     struct err *e)
{
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .allocationSize = bytes,
                                 .memoryTypeIndex = type};

    if (vd->mem->n_allocations >= vd->mem->max_allocations)
        FAIL(e, ERR_LIMIT, "the driver allows no more than %u memory allocations",
             vd->mem->max_allocations);
    VK(vd, AllocateMemory(vd->handle, &info, NULL, out), e);
    vd->mem->n_allocations++;
    vd->mem->allocated_bytes += bytes;
    return true;
fail:
    return false;
}

static void slab_destroy(struct vk_dev *vd, struct vk_slab *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        vd->mem->slabs = s->next;
    if (s->next)
        s->next->prev = s->prev;
    vd->f->FreeMemory(vd->handle, s->memory, NULL);
    vd->mem->n_allocations--;
    vd->mem->allocated_bytes -= s->bytes;
    free(s->free);
    free(s);
}

static bool slab_create(struct vk_dev *vd, const struct kind *k, uint64_t bytes,
                        struct vk_slab **out, struct err *e)
{
    struct vk_slab *s = mem_zalloc(sizeof *s);
    void *host = NULL;

    s->bytes = bytes;
    s->type = k->type;
    if (!allocate(vd, k->type, bytes, &s->memory, e)) {
        free(s);
        return false;
    }
    s->cap_free = 4;
    s->free = mem_calloc(s->cap_free, sizeof *s->free);
    s->free[0] = (struct range){0, bytes};
    s->n_free = 1;
    s->next = vd->mem->slabs;
    if (s->next)
        s->next->prev = s;
    vd->mem->slabs = s;
    if (k->mapped)
        VK(vd, MapMemory(vd->handle, s->memory, 0, VK_WHOLE_SIZE, 0, &host), e);
    s->host = host;
    *out = s;
    return true;
fail:
    slab_destroy(vd, s);
    return false;
}

static void insert_free(struct vk_slab *s, uint32_t at, struct range r)
{
    if (s->n_free == s->cap_free) {
        s->cap_free *= 2;
        s->free = mem_realloc(s->free, s->cap_free * sizeof *s->free);
    }
    memmove(&s->free[at + 1], &s->free[at], (s->n_free - at) * sizeof *s->free);
    s->free[at] = r;
    s->n_free++;
}

static void remove_free(struct vk_slab *s, uint32_t at)
{
    memmove(&s->free[at], &s->free[at + 1], (s->n_free - at - 1) * sizeof *s->free);
    s->n_free--;
}

/* Offset of `bytes` inside free range `r`, or UINT64_MAX. */
static uint64_t fit(const struct range *r, uint64_t bytes, uint64_t align)
{
    uint64_t start;

    if (!checked_align(r->offset, align, &start))
        return UINT64_MAX;
    uint64_t skipped = start - r->offset;
    return skipped <= r->bytes && bytes <= r->bytes - skipped ? start : UINT64_MAX;
}

static uint64_t slab_take(struct vk_slab *s, uint64_t bytes, uint64_t align)
{
    for (uint32_t i = 0; i < s->n_free; i++) {
        struct range r = s->free[i];
        uint64_t start = fit(&r, bytes, align);
        if (start == UINT64_MAX)
            continue;
        remove_free(s, i);
        if (start + bytes < r.offset + r.bytes)
            insert_free(s, i, (struct range){start + bytes, r.offset + r.bytes - start - bytes});
        if (start > r.offset)
            insert_free(s, i, (struct range){r.offset, start - r.offset});
        s->n_buffers++;
        return start;
    }
    return UINT64_MAX;
}

static void slab_give(struct vk_slab *s, uint64_t offset, uint64_t bytes)
{
    uint32_t i = 0;

    while (i < s->n_free && s->free[i].offset < offset)
        i++;
    insert_free(s, i, (struct range){offset, bytes});
    if (i + 1 < s->n_free && offset + bytes == s->free[i + 1].offset) {
        s->free[i].bytes += s->free[i + 1].bytes;
        remove_free(s, i + 1);
    }
    if (i > 0 && s->free[i - 1].offset + s->free[i - 1].bytes == offset) {
        s->free[i - 1].bytes += s->free[i].bytes;
        remove_free(s, i);
    }
    s->n_buffers--;
}

/* Memory for one buffer: room in a slab of its kind, a new slab, or an allocation of its own. */
static bool place(struct vk_dev *vd, struct vk_buf *b, const VkMemoryRequirements *need,
                  struct err *e)
{
    const struct kind *k = &vd->mem->kinds[b->base.mem];
    uint64_t align = need->alignment > BUF_ALIGN ? need->alignment : BUF_ALIGN;
    bool small = need->size <= k->slab_bytes / 4;
    uint64_t at = UINT64_MAX;
    struct vk_slab *s;

    for (s = small ? vd->mem->slabs : NULL; s; s = s->next)
        if (s->type == k->type && (at = slab_take(s, need->size, align)) != UINT64_MAX)
            break;
    if (!s) {
        struct err why = ERR_INIT;
        bool got = small && slab_create(vd, k, k->slab_bytes, &s, &why);
        if (!got && !vd->base.failed)
            got = slab_create(vd, k, need->size, &s, &why);
        if (!got)
            FAIL(e, why.code, "no device memory for \"%s\" (%llu bytes; %llu MiB in use): %s",
                 b->base.tag, (unsigned long long)need->size,
                 (unsigned long long)(vd->mem->allocated_bytes / MIB), why.msg);
        at = slab_take(s, need->size, align);
    }
    b->slab_offset = at;
    b->slab_bytes = need->size;
    b->slab = s;
    b->host = s->host ? s->host + b->slab_offset : NULL;
    return true;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static bool begin_copy(struct vk_dev *vd, struct vk_cmd *c, struct err *e)
{
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkMemoryBarrier earlier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};

    VK(vd, BeginCommandBuffer(c->buffer, &begin), e);
    vd->f->CmdPipelineBarrier(c->buffer,
                              VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                              VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &earlier, 0, NULL, 0, NULL);
    return true;
fail:
    return false;
}

static bool end_copy(struct vk_dev *vd, struct vk_cmd *c, struct err *e)
{
    VkMemoryBarrier later = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                             .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                             .dstAccessMask = VK_ACCESS_HOST_READ_BIT};

    vd->f->CmdPipelineBarrier(c->buffer, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                              0, 1, &later, 0, NULL, 0, NULL);
    VK(vd, EndCommandBuffer(c->buffer), e);
    return vk_submit(vd, c->buffer, c->fence, e);
fail:
    return false;
}

static bool prepare_copies(struct vk_dev *vd, struct err *e)
{
    struct vk_mem *m = vd->mem;

    for (int i = 0; i < 2; i++)
        if (!m->halves[i].fence && !vk_cmd_init(vd, &m->halves[i], e))
            return false;
    return true;
}

static bool prepare_staging(struct vk_dev *vd, struct err *e)
{
    struct dev_buf *b = NULL;

    if (!prepare_copies(vd, e))
        return false;
    if (!vd->mem->staging) {
        if (!vk_buf_create(&vd->base, 2 * staging_half_bytes, DEV_MEM_RESULT, "staging", &b, e))
            return false;
        vd->mem->staging = vk_buf_of(b);
    }
    return true;
}

static bool zero(struct vk_dev *vd, struct vk_buf *b, struct err *e)
{
    struct vk_cmd *c = &vd->mem->halves[0];

    if (b->host) {
        memset(b->host, 0, b->alloc_bytes);
        return true;
    }
    TRY(prepare_copies(vd, e));
    TRY(begin_copy(vd, c, e));
    vd->f->CmdFillBuffer(c->buffer, b->handle, 0, VK_WHOLE_SIZE, 0);
    TRY(end_copy(vd, c, e));
    return vk_wait(vd, c->fence, e);
fail:
    return false;
}

/* One transfer between host memory and a buffer, in pieces of half a staging buffer. */
struct copy {
    struct vk_buf *buf;
    uint64_t offset, bytes;
    const uint8_t *src; /* host to device when not NULL */
    uint8_t *dst;       /* else device to host */
};

static uint64_t piece_bytes(const struct copy *c, uint64_t i)
{
    uint64_t left = c->bytes - i * staging_half_bytes;
    return left < staging_half_bytes ? left : staging_half_bytes;
}

static bool start_piece(struct vk_dev *vd, const struct copy *c, uint64_t i, struct err *e)
{
    struct vk_cmd *cmd = &vd->mem->halves[i & 1];
    struct vk_buf *staging = vd->mem->staging;
    uint64_t half = (i & 1) * staging_half_bytes, bytes = piece_bytes(c, i);
    uint64_t at = c->offset + i * staging_half_bytes;

    if (!begin_copy(vd, cmd, e))
        return false;
    if (c->src) {
        VkBufferCopy region = {.srcOffset = half, .dstOffset = at, .size = bytes};
        memcpy(staging->host + half, c->src + i * staging_half_bytes, bytes);
        vd->f->CmdCopyBuffer(cmd->buffer, staging->handle, c->buf->handle, 1, &region);
    } else {
        VkBufferCopy region = {.srcOffset = at, .dstOffset = half, .size = bytes};
        vd->f->CmdCopyBuffer(cmd->buffer, c->buf->handle, staging->handle, 1, &region);
    }
    return end_copy(vd, cmd, e);
}

static bool finish_piece(struct vk_dev *vd, const struct copy *c, uint64_t i, struct err *e)
{
    if (!vk_wait(vd, vd->mem->halves[i & 1].fence, e))
        return false;
    if (c->dst)
        memcpy(c->dst + i * staging_half_bytes,
               vd->mem->staging->host + (i & 1) * staging_half_bytes, piece_bytes(c, i));
    return true;
}

static bool staged_copy(struct vk_dev *vd, const struct copy *c, struct err *e)
{
    uint64_t n = (c->bytes + staging_half_bytes - 1) / staging_half_bytes;

    if (!prepare_staging(vd, e))
        return false;
    for (uint64_t i = 0; i < n + 2; i++) {
        if (i >= 2 && i - 2 < n && !finish_piece(vd, c, i - 2, e))
            return false;
        if (i < n && !start_piece(vd, c, i, e)) {
            struct err ignored = ERR_INIT;
            return i > 0 && finish_piece(vd, c, i - 1, &ignored) && false;
        }
    }
    return true;
}

static bool check_range(const struct dev_buf *b, uint64_t offset, uint64_t bytes, struct err *e)
{
    uint64_t end;

    if (!checked_add(offset, bytes, &end) || end > b->bytes)
        FAIL(e, ERR_ARG, "copy of %llu bytes at %llu is outside buffer \"%s\" of %llu bytes",
             (unsigned long long)bytes, (unsigned long long)offset, b->tag,
             (unsigned long long)b->bytes);
    return true;
}

bool vk_buf_write(struct dev *d, struct dev_buf *b, uint64_t offset, const void *src,
                  uint64_t bytes, struct err *e)
{
    struct vk_buf *vb = vk_buf_of(b);
    struct copy c = {.buf = vb, .offset = offset, .bytes = bytes, .src = src};

    if (!check_range(b, offset, bytes, e))
        return false;
    if (bytes > 0 && vb->host) {
        memcpy(vb->host + offset, src, bytes);
        return true;
    }
    return bytes == 0 || staged_copy(vk_of(d), &c, e);
}

bool vk_buf_read(struct dev *d, struct dev_buf *b, uint64_t offset, void *dst, uint64_t bytes,
                 struct err *e)
{
    struct vk_buf *vb = vk_buf_of(b);
    struct copy c = {.buf = vb, .offset = offset, .bytes = bytes, .dst = dst};

    if (!check_range(b, offset, bytes, e))
        return false;
    if (bytes > 0 && vb->host) {
        memcpy(dst, vb->host + offset, bytes);
        return true;
    }
    return bytes == 0 || staged_copy(vk_of(d), &c, e);
}

/* ---- buffers --------------------------------------------------------------------------------- */

static bool create_handle(struct vk_dev *vd, uint64_t bytes, VkBuffer *out, struct err *e)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE};

    VK(vd, CreateBuffer(vd->handle, &info, NULL, out), e);
    return true;
fail:
    return false;
}

static void link_buffer(struct vk_mem *m, struct vk_buf *b)
{
    b->next = m->buffers;
    if (b->next)
        b->next->prev = b;
    m->buffers = b;
}

static void unlink_buffer(struct vk_mem *m, struct vk_buf *b)
{
    if (b->prev)
        b->prev->next = b->next;
    else if (m->buffers == b)
        m->buffers = b->next;
    if (b->next)
        b->next->prev = b->prev;
}

bool vk_buf_create(struct dev *d, uint64_t bytes, enum dev_mem mem, const char *tag,
                   struct dev_buf **out, struct err *e)
{
    struct vk_dev *vd = vk_of(d);
    struct dev_buf *made = NULL;
    VkMemoryRequirements need;
    uint64_t size;

    if (bytes == 0)
        FAIL(e, ERR_ARG, "buffer \"%s\" of 0 bytes", tag);
    if (!checked_align(bytes, BUF_ALIGN, &size) || size > vd->adapter.caps.max_alloc_bytes)
        FAIL(e, ERR_LIMIT, "buffer \"%s\" of %llu MiB is larger than the device allows (%llu MiB)",
             tag, (unsigned long long)(bytes / MIB),
             (unsigned long long)(vd->adapter.caps.max_alloc_bytes / MIB));
    struct vk_buf *b = mem_zalloc(sizeof *b);
    made = &b->base;
    *made = (struct dev_buf){.bytes = bytes, .mem = mem, .tag = tag};
    b->alloc_bytes = size;
    link_buffer(vd->mem, b);
    TRY(create_handle(vd, size, &b->handle, e));
    vd->f->GetBufferMemoryRequirements(vd->handle, b->handle, &need);
    TRY(place(vd, b, &need, e));
    VK(vd, BindBufferMemory(vd->handle, b->handle, b->slab->memory, b->slab_offset), e);
    if (mem == DEV_MEM_STEP || mem == DEV_MEM_RESULT)
        made->map = b->host;
    if (mem != DEV_MEM_RAW)
        TRY(zero(vd, b, e));
    *out = made;
    return true;
fail:
    vk_buf_destroy(d, made);
    return false;
}

void vk_buf_destroy(struct dev *d, struct dev_buf *base)
{
    struct vk_dev *vd = vk_of(d);
    struct vk_buf *b = vk_buf_of(base);

    unlink_buffer(vd->mem, b);
    if (vk_idle(vd)) {
        if (b->handle)
            vd->f->DestroyBuffer(vd->handle, b->handle, NULL);
        if (b->slab) {
            slab_give(b->slab, b->slab_offset, b->slab_bytes);
            if (b->slab->n_buffers == 0)
                slab_destroy(vd, b->slab);
        }
    }
    free(b);
}

/* ---- life and reports ------------------------------------------------------------------------ */

bool vk_mem_create(struct vk_dev *vd, struct err *e)
{
    VkMemoryRequirements need = {0};
    VkBuffer probe = VK_NULL_HANDLE;

    vd->mem = mem_zalloc(sizeof *vd->mem);
    vd->mem->max_allocations = vd->adapter.props.limits.maxMemoryAllocationCount;
    /* All our buffers have the same usage, so they are allowed the same memory types. */
    if (!create_handle(vd, BUF_ALIGN, &probe, e))
        return false;
    vd->f->GetBufferMemoryRequirements(vd->handle, probe, &need);
    vd->f->DestroyBuffer(vd->handle, probe, NULL);
    return pick_types(vd, need.memoryTypeBits, e);
}

void vk_mem_destroy(struct vk_dev *vd)
{
    struct vk_mem *m = vd->mem;

    if (!m)
        return;
    if (m->staging)
        vk_buf_destroy(&vd->base, &m->staging->base);
    for (int i = 0; i < 2; i++)
        vk_cmd_release(vd, &m->halves[i]);
    for (struct vk_buf *b = m->buffers; b; b = b->next)
        LOG_W("vulkan", "buffer still there at device close tag=%s bytes=%llu", b->base.tag,
              (unsigned long long)b->base.bytes);
    while (m->slabs && !vd->abandoned)
        slab_destroy(vd, m->slabs);
    free(m);
    vd->mem = NULL;
}

void vk_mem_stats(const struct vk_dev *vd, struct vk_mem_stats *out)
{
    *out = (struct vk_mem_stats){.n_allocations = vd->mem->n_allocations,
                                 .allocated_bytes = vd->mem->allocated_bytes};
    for (const struct vk_buf *b = vd->mem->buffers; b; b = b->next) {
        out->n_buffers++;
        out->buffer_bytes += b->alloc_bytes;
    }
}

void vk_mem_print(const struct vk_dev *vd, FILE *out)
{
    struct {
        const char *tag;
        uint32_t n;
        uint64_t bytes;
    } rows[MAX_TAGS];
    size_t n = 0;

    for (const struct vk_buf *b = vd->mem->buffers; b; b = b->next) {
        size_t i = 0;
        while (i < n && strcmp(rows[i].tag, b->base.tag) != 0)
            i++;
        if (i == MAX_TAGS)
            i = MAX_TAGS - 1; /* the last row takes what does not fit */
        if (i == n) {
            rows[n].tag = b->base.tag;
            rows[n].n = 0;
            rows[n++].bytes = 0;
        }
        rows[i].n++;
        rows[i].bytes += b->alloc_bytes;
    }
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%-20s %6u buffers %12llu bytes\n", rows[i].tag, rows[i].n,
                (unsigned long long)rows[i].bytes);
    fprintf(out, "%-20s %6u allocations %8llu bytes\n", "total", vd->mem->n_allocations,
            (unsigned long long)vd->mem->allocated_bytes);
}
