/* The Vulkan objects behind one device: shared by instance.c, mem.c, pipe.c, cmd.c and device.c.
 *
 * Thread: the device's owner only, except the instance part, which keeps no shared state but the
 * count of validation messages.
 */
#ifndef SEEKD_VULKAN_RUNTIME_H
#define SEEKD_VULKAN_RUNTIME_H

#include "device/impl.h"
#include "device/vulkan/funcs.h"
#include "device/vulkan/vk.h"

/* ---- instance.c: loader, devices, features --------------------------------------------------- */

struct vk_instance {
    struct vk_funcs f;
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger; /* null unless validating */
    uint32_t n_devices;
    VkPhysicalDevice *devices; /* owned; numbered as the loader lists them */
};

/* One physical device: limits and the features this program turns on. */
struct vk_adapter {
    VkPhysicalDevice handle;
    VkPhysicalDeviceProperties props;
    VkPhysicalDeviceMemoryProperties memory;
    char driver_name[VK_MAX_DRIVER_NAME_SIZE], driver_info[VK_MAX_DRIVER_INFO_SIZE];
    uint8_t device_uuid[VK_UUID_SIZE];
    struct vk_caps caps;
    uint32_t queue_family;
    uint32_t timestamp_bits;    /* 0 = no timestamps */
    bool has_driver_properties; /* extensions present */
    bool has_8bit, has_float16_int8, has_subgroup_size;
    char unusable[128]; /* why dev_open would refuse it, "" when it would not */
};

/* Messages of warning or error severity about our use of Vulkan so far, in this process. The
 * validation layer is on when SEEKD_VK_VALIDATE=1; everything it says is logged. */
unsigned vk_validation_count(void);
bool vk_validation_available(void); /* installed, so that SEEKD_VK_VALIDATE=1 works */

bool vk_instance_open(struct vk_instance *in, struct err *e) WARN_UNUSED;
void vk_instance_close(struct vk_instance *in);
void vk_adapter_query(const struct vk_instance *in, uint32_t index, struct vk_adapter *a);
/* Index of the best usable device: discrete, then integrated or virtual, then software. */
bool vk_adapter_pick(const struct vk_instance *in, uint32_t *index, struct err *e) WARN_UNUSED;
bool vk_device_create(struct vk_instance *in, const struct vk_adapter *a, VkDevice *out,
                      struct err *e) WARN_UNUSED;
const char *vk_adapter_type(const struct vk_adapter *a);
/* "16BIT_STORAGE SUBGROUP_ARITH", "" when none. */
const char *vk_feature_names(uint32_t features, char *out, size_t out_bytes);

/* ---- device.c: the device -------------------------------------------------------------------- */

struct vk_dev {
    struct dev base;
    struct vk_instance instance;
    struct vk_adapter adapter;
    struct vk_funcs *f; /* = &instance.f */
    VkDevice handle;
    VkQueue queue;
    enum dev_tier tier;
    struct vk_mem *mem;     /* owned */
    struct vk_pipes *pipes; /* owned */
    /* Fences of work that is not known to have ended; at most the two halves of the staging buffer
     * or one plan at a time. */
    VkFence pending[2];
    /* The device did not answer even when asked again: its objects are left alone, because
     * destroying what it may still use is worse than a leak. */
    bool abandoned;
};

static inline struct vk_dev *vk_of(const struct dev *d)
{
    return (struct vk_dev *)(void *)(uintptr_t)d;
}

/* VK: evaluate a Vulkan call, on failure describe it in `e` and jump to `fail:`. */
#define VK(vd, call, e)                                                                            \
    do {                                                                                           \
        VkResult vk_result_ = (vd)->f->call;                                                       \
        if (vk_result_ != VK_SUCCESS) {                                                            \
            vk_fail((vd), vk_result_, #call, __FILE__, __LINE__, (e));                             \
            goto fail;                                                                             \
        }                                                                                          \
    } while (0)

/* Turns a failed result into ERR_NOMEM or ERR_DEVICE (and a failed device). Returns false. */
bool vk_fail(struct vk_dev *vd, VkResult r, const char *call, const char *file, int line,
             struct err *e);
const char *vk_result_name(VkResult r);

/* Submits `cmd` with an unsignalled fence, and waits for that fence (at most 120 s; after a success
 * it is unsignalled again). */
bool vk_submit(struct vk_dev *vd, VkCommandBuffer cmd, VkFence fence, struct err *e) WARN_UNUSED;
bool vk_wait(struct vk_dev *vd, VkFence fence, struct err *e) WARN_UNUSED;
/* Waits a few seconds for whatever is still pending after a failure. False: nothing that the device
 * may use can be destroyed, ever (vd->abandoned). */
bool vk_idle(struct vk_dev *vd);
/* A command buffer of its own with a fence: what staging and plans run. */
struct vk_cmd {
    VkCommandPool pool;
    VkCommandBuffer buffer;
    VkFence fence;
};
bool vk_cmd_init(struct vk_dev *vd, struct vk_cmd *c, struct err *e) WARN_UNUSED;
void vk_cmd_release(struct vk_dev *vd, struct vk_cmd *c);

/* ---- mem.c: buffers -------------------------------------------------------------------------- */

struct vk_buf {
    struct dev_buf base;
    VkBuffer handle;
    uint64_t alloc_bytes; /* size of the VkBuffer: base.bytes rounded up */
    struct vk_slab *slab; /* where its memory is; NULL: it has none */
    uint64_t slab_offset, slab_bytes;
    uint8_t *host; /* mapped address when the memory is host-visible, also for DEVICE */
    struct vk_buf *prev, *next; /* all buffers of the device */
};

static inline struct vk_buf *vk_buf_of(const struct dev_buf *b)
{
    return (struct vk_buf *)(void *)(uintptr_t)b;
}

bool vk_mem_create(struct vk_dev *vd, struct err *e) WARN_UNUSED;
void vk_mem_destroy(struct vk_dev *vd);

bool vk_buf_create(struct dev *d, uint64_t bytes, enum dev_mem mem, const char *tag,
                   struct dev_buf **out, struct err *e) WARN_UNUSED;
void vk_buf_destroy(struct dev *d, struct dev_buf *b);
bool vk_buf_write(struct dev *d, struct dev_buf *b, uint64_t offset, const void *src,
                  uint64_t bytes, struct err *e) WARN_UNUSED;
bool vk_buf_read(struct dev *d, struct dev_buf *b, uint64_t offset, void *dst, uint64_t bytes,
                 struct err *e) WARN_UNUSED;

struct vk_mem_stats {
    uint32_t n_buffers, n_allocations; /* allocations: slabs, as the driver counts them */
    uint64_t buffer_bytes, allocated_bytes;
};
void vk_mem_stats(const struct vk_dev *vd, struct vk_mem_stats *out);
/* One line per tag: buffers and bytes. */
void vk_mem_print(const struct vk_dev *vd, FILE *out);

/* ---- pipe.c: pipelines ----------------------------------------------------------------------- */

bool vk_pipes_create(struct vk_dev *vd, const char *cache_dir, struct err *e) WARN_UNUSED;
void vk_pipes_destroy(struct vk_dev *vd);
/* The pipeline of a dispatch, created on first use and kept until the device closes. */
bool vk_pipe_get(struct vk_dev *vd, const struct vk_dispatch *x, VkPipeline *out,
                 struct err *e) WARN_UNUSED;
/* One set of n_binds storage buffers; the pipeline layout adds VK_MAX_PUSH bytes of constants. */
bool vk_pipe_layout(struct vk_dev *vd, uint32_t n_binds, VkDescriptorSetLayout *set,
                    VkPipelineLayout *layout, struct err *e) WARN_UNUSED;
/* Writes the cache file when pipelines were created since the last time. Failures are logged only:
 * the cache is a convenience. */
void vk_pipes_save(struct vk_dev *vd);
/* What the cache file gave at start. */
enum vk_cache_state { VK_CACHE_OFF, VK_CACHE_ABSENT, VK_CACHE_REJECTED, VK_CACHE_USED };
enum vk_cache_state vk_pipes_cache_state(const struct vk_dev *vd);
/* Path of the cache file, NULL without a cache folder. Borrowed. */
const char *vk_pipes_cache_path(const struct vk_dev *vd);

/* ---- cmd.c: recorded plans ------------------------------------------------------------------- */

bool vk_plan_open(struct plan *p, struct err *e) WARN_UNUSED;
bool vk_plan_op(struct plan *p, const struct op *op, struct err *e) WARN_UNUSED;
bool vk_plan_seal(struct plan *p, struct err *e) WARN_UNUSED;
bool vk_plan_run(struct plan *p, struct err *e) WARN_UNUSED;
bool vk_plan_profile(struct plan *p, int runs, double *us, struct err *e) WARN_UNUSED;
void vk_plan_close(struct plan *p);
void vk_plan_print_op(const struct plan *p, size_t i, FILE *out);

/* Part of a recorded list of dispatches: an op. */
struct vk_region {
    const char *label; /* borrowed for the call */
    uint32_t first, count;
    bool barrier; /* waits for everything before it */
};
/* A list of dispatches recorded once. With `timed`, a full barrier and a timestamp stand between
 * regions. Thread and errors as a plan's. */
struct vk_record;
bool vk_record_create(struct vk_dev *vd, const struct vk_dispatch *x, uint32_t n,
                      const struct vk_region *regions, uint32_t n_regions, bool timed,
                      struct vk_record **out, struct err *e) WARN_UNUSED;
bool vk_record_run(struct vk_record *r, struct err *e) WARN_UNUSED;
/* After a run of a timed record: adds the microseconds of each region to us[n_regions]. */
bool vk_record_times(struct vk_record *r, double *us, struct err *e) WARN_UNUSED;
void vk_record_destroy(struct vk_record **r);

/* Checks, records, runs once and frees `n` dispatches in order. For tests of single shaders. */
bool vk_dispatch_run(struct dev *d, const struct vk_dispatch *x, uint32_t n,
                     struct err *e) WARN_UNUSED;

#endif
