/* Compute pipelines: created on first use for a (shader, specialization constants) pair, kept until
 * the device closes, and cached on disk in between.
 *
 * The cache file holds what the driver gave us behind a header of our own: drivers trust the bytes
 * they are handed, so a file that is not exactly what this program wrote for this driver and these
 * shaders is ignored and written anew. Knows nothing of what the shaders compute.
 */
#include <config.h>

#include "device/vulkan/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

enum { CACHE_VERSION = 1, CACHE_MAX_BYTES = 256 << 20 };

/* In front of the driver's bytes. Written and read on one machine: native byte order. */
struct cache_header {
    char magic[8];
    uint32_t version, header_bytes;
    uint32_t vendor, device, driver_version, api_version;
    uint8_t device_uuid[VK_UUID_SIZE], cache_uuid[VK_UUID_SIZE];
    uint8_t shaders[HASH_SHA256_BYTES]; /* of all embedded SPIR-V */
    uint64_t payload_bytes;
    uint8_t payload[HASH_SHA256_BYTES];
};
_Static_assert(sizeof(struct cache_header) == 8 + 6 * 4 + 2 * VK_UUID_SIZE + 32 + 8 + 32,
               "the cache header has no padding");

struct pipe {
    uint32_t shader, n_binds, n_spec;
    uint32_t spec[VK_MAX_SPEC];
    VkPipeline handle;
};

struct vk_pipes {
    struct pipe *list; /* owned */
    size_t n, cap;
    VkDescriptorSetLayout sets[VK_MAX_BINDS + 1]; /* by number of bindings, null until used */
    VkPipelineLayout layouts[VK_MAX_BINDS + 1];
    VkPipelineCache cache;
    char *cache_path;             /* owned; NULL = none */
    struct cache_header expected; /* all but the payload fields */
    enum vk_cache_state cache_state;
    bool dirty; /* pipelines were created that the file does not have */
};

/* ---- cache file ------------------------------------------------------------------------------ */

static bool hash_shaders(uint8_t out[HASH_SHA256_BYTES], struct err *e)
{
    struct buf all;
    bool ok = true;

    buf_init(&all, CACHE_MAX_BYTES);
    for (uint32_t i = 0; i < vk_n_shaders; i++) {
        buf_append(&all, vk_shaders[i].name, strlen(vk_shaders[i].name) + 1);
        buf_append(&all, vk_shaders[i].code, vk_shaders[i].code_bytes);
    }
    if (all.failed)
        ok = err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "no memory to hash the shaders");
    ok = ok && hash_sha256(buf_str(&all), all.len, out, e);
    buf_release(&all);
    return ok;
}

static bool expect_header(const struct vk_dev *vd, struct cache_header *h, struct err *e)
{
    const VkPhysicalDeviceProperties *p = &vd->adapter.props;

    *h = (struct cache_header){.magic = "SEEKDVKC",
                               .version = CACHE_VERSION,
                               .header_bytes = sizeof *h,
                               .vendor = p->vendorID,
                               .device = p->deviceID,
                               .driver_version = p->driverVersion,
                               .api_version = p->apiVersion};
    memcpy(h->device_uuid, vd->adapter.device_uuid, VK_UUID_SIZE);
    memcpy(h->cache_uuid, p->pipelineCacheUUID, VK_UUID_SIZE);
    return hash_shaders(h->shaders, e);
}

/* "DIR/vulkan-<vendor>-<device>-<driver build>.cache": devices do not fight over one file. */
static char *make_path(const char *dir, const struct vk_dev *vd)
{
    char hex[2 * VK_UUID_SIZE + 1];
    struct buf b;

    for (size_t i = 0; i < VK_UUID_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", vd->adapter.props.pipelineCacheUUID[i]);
    buf_init(&b, 4096);
    buf_printf(&b, "%s/vulkan-%08x-%08x-%s.cache", dir, vd->adapter.props.vendorID,
               vd->adapter.props.deviceID, hex);
    char *path = b.failed ? NULL : buf_take(&b);
    buf_release(&b);
    return path;
}

/* Reads the whole file. False when it cannot be read or has an impossible size. */
static bool read_file(const char *path, uint8_t **out, size_t *bytes)
{
    struct stat st;
    uint8_t *data = NULL;
    size_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
        st.st_size < CACHE_MAX_BYTES)
        data = mem_try_calloc((size_t)st.st_size, 1);
    while (data && got < (size_t)st.st_size) {
        ssize_t n = read(fd, data + got, (size_t)st.st_size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    close(fd);
    *out = data;
    *bytes = got;
    return data != NULL;
}

static bool accept(const struct cache_header *expected, const uint8_t *data, size_t bytes)
{
    struct cache_header h, want = *expected;
    uint8_t digest[HASH_SHA256_BYTES];

    if (bytes < sizeof h)
        return false;
    memcpy(&h, data, sizeof h);
    if (h.payload_bytes != bytes - sizeof h ||
        !hash_sha256(data + sizeof h, bytes - sizeof h, digest, NULL) ||
        !hash_equal(digest, h.payload))
        return false;
    want.payload_bytes = h.payload_bytes;
    memcpy(want.payload, h.payload, sizeof want.payload);
    return memcmp(&want, &h, sizeof h) == 0;
}

static bool load_cache(struct vk_dev *vd, struct vk_pipes *p, struct err *e)
{
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    uint8_t *data = NULL;
    size_t bytes = 0;

    if (p->cache_path && read_file(p->cache_path, &data, &bytes)) {
        p->cache_state = accept(&p->expected, data, bytes) ? VK_CACHE_USED : VK_CACHE_REJECTED;
        if (p->cache_state == VK_CACHE_USED) {
            info.initialDataSize = bytes - sizeof(struct cache_header);
            info.pInitialData = data + sizeof(struct cache_header);
        } else {
            LOG_I("vulkan", "pipeline cache ignored, will be written anew");
            p->dirty = true;
        }
    }
    VK(vd, CreatePipelineCache(vd->handle, &info, NULL, &p->cache), e);
    free(data);
    return true;
fail:
    free(data);
    return false;
}

static bool write_all(int fd, const void *data, size_t bytes)
{
    const uint8_t *at = data;

    while (bytes > 0) {
        ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Writes beside the file and renames, so that a reader never sees half of it. */
static bool replace_file(const char *path, const struct cache_header *h, const void *data)
{
    struct buf part;
    bool ok = false;

    buf_init(&part, 4096);
    buf_printf(&part, "%s.XXXXXX", path);
    if (part.failed)
        return false;
    int fd = mkostemp(part.data, O_CLOEXEC);
    if (fd >= 0) {
        ok = write_all(fd, h, sizeof *h) && write_all(fd, data, h->payload_bytes) && fsync(fd) == 0;
        ok = close(fd) == 0 && ok;
        ok = ok && rename(part.data, path) == 0;
        if (!ok)
            unlink(part.data);
    }
    buf_release(&part);
    return ok;
}

void vk_pipes_save(struct vk_dev *vd)
{
    struct vk_pipes *p = vd->pipes;
    struct cache_header h;
    size_t bytes = 0;
    void *data = NULL;

    if (!p || !p->dirty || !p->cache_path || vd->base.failed)
        return;
    p->dirty = false;
    if (vd->f->GetPipelineCacheData(vd->handle, p->cache, &bytes, NULL) != VK_SUCCESS ||
        bytes == 0 || bytes > CACHE_MAX_BYTES - sizeof h)
        return;
    data = mem_try_calloc(bytes, 1);
    if (data && vd->f->GetPipelineCacheData(vd->handle, p->cache, &bytes, data) == VK_SUCCESS) {
        h = p->expected;
        h.payload_bytes = bytes;
        if (!hash_sha256(data, bytes, h.payload, NULL) || !replace_file(p->cache_path, &h, data))
            LOG_W("vulkan", "pipeline cache not written errno=%d", errno);
    }
    free(data);
}

enum vk_cache_state vk_pipes_cache_state(const struct vk_dev *vd)
{
    return vd->pipes->cache_state;
}

const char *vk_pipes_cache_path(const struct vk_dev *vd)
{
    return vd->pipes->cache_path;
}

/* ---- life ------------------------------------------------------------------------------------ */

bool vk_pipes_create(struct vk_dev *vd, const char *cache_dir, struct err *e)
{
    struct vk_pipes *p = mem_zalloc(sizeof *p);

    vd->pipes = p;
    if (cache_dir) {
        if (!expect_header(vd, &p->expected, e))
            return false;
        p->cache_path = make_path(cache_dir, vd);
        p->cache_state = VK_CACHE_ABSENT;
    }
    return load_cache(vd, p, e);
}

void vk_pipes_destroy(struct vk_dev *vd)
{
    struct vk_pipes *p = vd->pipes;

    if (!p)
        return;
    if (!vd->abandoned) {
        for (size_t i = 0; i < p->n; i++)
            vd->f->DestroyPipeline(vd->handle, p->list[i].handle, NULL);
        for (int i = 0; i <= VK_MAX_BINDS; i++) {
            vd->f->DestroyPipelineLayout(vd->handle, p->layouts[i], NULL);
            vd->f->DestroyDescriptorSetLayout(vd->handle, p->sets[i], NULL);
        }
        vd->f->DestroyPipelineCache(vd->handle, p->cache, NULL);
    }
    free(p->list);
    free(p->cache_path);
    free(p);
    vd->pipes = NULL;
}

/* ---- layouts and pipelines ------------------------------------------------------------------- */

bool vk_pipe_layout(struct vk_dev *vd, uint32_t n_binds, VkDescriptorSetLayout *set,
                    VkPipelineLayout *layout, struct err *e)
{
    struct vk_pipes *p = vd->pipes;
    VkDescriptorSetLayoutBinding bindings[VK_MAX_BINDS];
    VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, VK_MAX_PUSH};

    if (n_binds > VK_MAX_BINDS)
        FAIL(e, ERR_LIMIT, "%u bindings, at most %d are possible", n_binds, VK_MAX_BINDS);
    for (uint32_t i = 0; i < n_binds; i++)
        bindings[i] =
            (VkDescriptorSetLayoutBinding){.binding = i,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .descriptorCount = 1,
                                           .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    VkDescriptorSetLayoutCreateInfo set_info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = n_binds,
        .pBindings = bindings};
    VkPipelineLayoutCreateInfo layout_info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
        .pSetLayouts = &p->sets[n_binds],
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &push};
    if (!p->sets[n_binds])
        VK(vd, CreateDescriptorSetLayout(vd->handle, &set_info, NULL, &p->sets[n_binds]), e);
    if (!p->layouts[n_binds])
        VK(vd, CreatePipelineLayout(vd->handle, &layout_info, NULL, &p->layouts[n_binds]), e);
    *set = p->sets[n_binds];
    *layout = p->layouts[n_binds];
    return true;
fail:
    return false;
}

/* Modules live as long as it takes to make a pipeline of them: drivers copy the code. */
static bool create_module(struct vk_dev *vd, uint32_t shader, VkShaderModule *out, struct err *e)
{
    VkShaderModuleCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = vk_shaders[shader].code_bytes,
                                     .pCode = vk_shaders[shader].code};

    VK(vd, CreateShaderModule(vd->handle, &info, NULL, out), e);
    return true;
fail:
    return false;
}

static bool create_pipe(struct vk_dev *vd, const struct vk_dispatch *x, VkPipeline *out,
                        struct err *e)
{
    /* A shader that asks for subgroup size control runs with the size that vk_caps reports. */
    bool sized = (vk_shaders[x->shader].features & VK_FEAT_SUBGROUP_SIZE) != 0;
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = vd->adapter.caps.subgroup_size};
    VkSpecializationMapEntry entries[VK_MAX_SPEC];
    VkSpecializationInfo spec = {.mapEntryCount = x->n_spec,
                                 .pMapEntries = entries,
                                 .dataSize = x->n_spec * sizeof x->spec[0],
                                 .pData = x->spec};
    VkDescriptorSetLayout set;
    VkPipelineLayout layout;
    VkShaderModule module;

    for (uint32_t i = 0; i < x->n_spec; i++)
        entries[i] = (VkSpecializationMapEntry){i, i * (uint32_t)sizeof x->spec[0],
                                                sizeof x->spec[0]};
    if (!vk_pipe_layout(vd, x->n_binds, &set, &layout, e) ||
        !create_module(vd, x->shader, &module, e))
        return false;
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = sized ? &size : NULL,
                  .flags = sized ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &spec},
        .layout = layout};
    VK(vd, CreateComputePipelines(vd->handle, vd->pipes->cache, 1, &info, NULL, out), e);
    vd->f->DestroyShaderModule(vd->handle, module, NULL);
    vd->pipes->dirty = true;
    return true;
fail:
    vd->f->DestroyShaderModule(vd->handle, module, NULL);
    return false;
}

bool vk_pipe_get(struct vk_dev *vd, const struct vk_dispatch *x, VkPipeline *out, struct err *e)
{
    struct vk_pipes *p = vd->pipes;

    for (size_t i = 0; i < p->n; i++) {
        const struct pipe *k = &p->list[i];
        if (k->shader == x->shader && k->n_binds == x->n_binds && k->n_spec == x->n_spec &&
            !memcmp(k->spec, x->spec, x->n_spec * sizeof x->spec[0])) {
            *out = k->handle;
            return true;
        }
    }
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 32;
        p->list = mem_realloc(p->list, p->cap * sizeof *p->list);
    }
    struct pipe *made = &p->list[p->n];
    *made = (struct pipe){.shader = x->shader, .n_binds = x->n_binds, .n_spec = x->n_spec};
    memcpy(made->spec, x->spec, sizeof made->spec);
    if (!create_pipe(vd, x, &made->handle, e))
        return err_prefix(e, "shader %s", vk_shaders[x->shader].name);
    p->n++;
    *out = made->handle;
    return true;
}
