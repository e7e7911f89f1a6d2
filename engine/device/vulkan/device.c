/* The Vulkan device: opens and closes what the other files own, turns results into errors, lists
 * devices. Knows no op and no shader.
 */
#include <config.h>

#include "device/vulkan/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* ---- errors ---------------------------------------------------------------------------------- */

const char *vk_result_name(VkResult r)
{
    switch (r) {
#define NAME(x)                                                                                    \
    case x:                                                                                        \
        return #x;
        NAME(VK_SUCCESS)
        NAME(VK_NOT_READY)
        NAME(VK_TIMEOUT)
        NAME(VK_INCOMPLETE)
        NAME(VK_ERROR_OUT_OF_HOST_MEMORY)
        NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY)
        NAME(VK_ERROR_INITIALIZATION_FAILED)
        NAME(VK_ERROR_DEVICE_LOST)
        NAME(VK_ERROR_MEMORY_MAP_FAILED)
        NAME(VK_ERROR_LAYER_NOT_PRESENT)
        NAME(VK_ERROR_EXTENSION_NOT_PRESENT)
        NAME(VK_ERROR_FEATURE_NOT_PRESENT)
        NAME(VK_ERROR_INCOMPATIBLE_DRIVER)
        NAME(VK_ERROR_TOO_MANY_OBJECTS)
        NAME(VK_ERROR_FRAGMENTED_POOL)
        NAME(VK_ERROR_OUT_OF_POOL_MEMORY)
        NAME(VK_ERROR_INVALID_EXTERNAL_HANDLE)
        NAME(VK_ERROR_UNKNOWN)
#undef NAME
    default:
        return "unknown Vulkan result";
    }
}

bool vk_fail(struct vk_dev *vd, VkResult r, const char *call, const char *file, int line,
             struct err *e)
{
    int name_len = (int)strcspn(call, "(");

    switch (r) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_MEMORY_MAP_FAILED:
        return err_set(e, ERR_NOMEM, 0, file, line, "vk%.*s: %s", name_len, call,
                       vk_result_name(r));
    case VK_ERROR_TOO_MANY_OBJECTS:
        return err_set(e, ERR_LIMIT, 0, file, line, "vk%.*s: %s", name_len, call,
                       vk_result_name(r));
    default:
        vd->base.failed = true;
        return err_set(e, ERR_DEVICE, 0, file, line, "vk%.*s: %s", name_len, call,
                       vk_result_name(r));
    }
}

/* ---- open and close -------------------------------------------------------------------------- */

static void fill_info(struct vk_dev *vd)
{
    const struct vk_adapter *a = &vd->adapter;
    struct dev_info *info = &vd->base.info;

    snprintf(info->name, sizeof info->name, "%.159s", a->props.deviceName);
    if (a->driver_name[0])
        snprintf(info->driver, sizeof info->driver, "%.40s %.50s", a->driver_name, a->driver_info);
    else
        snprintf(info->driver, sizeof info->driver, "driver version 0x%x", a->props.driverVersion);
    info->software = a->caps.software;
    for (uint32_t i = 0; i < a->memory.memoryHeapCount; i++)
        if ((a->memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) &&
            a->memory.memoryHeaps[i].size > info->memory_bytes)
            info->memory_bytes = a->memory.memoryHeaps[i].size;
    info->max_bind_bytes = a->caps.max_bind_bytes;
    info->max_alloc_bytes = a->caps.max_alloc_bytes;
}

static bool choose(struct vk_dev *vd, int index, struct err *e)
{
    const struct vk_instance *in = &vd->instance;
    uint32_t i = (uint32_t)index;

    if (index < 0 && !vk_adapter_pick(in, &i, e))
        return false;
    if (i >= in->n_devices)
        FAIL(e, ERR_NOT_FOUND,
             "there is no device vulkan:%u, only %u Vulkan device%s; see "
             "seekctl device --list",
             i, in->n_devices, in->n_devices == 1 ? "" : "s");
    vk_adapter_query(in, i, &vd->adapter);
    if (vd->adapter.unusable[0])
        FAIL(e, ERR_UNSUPPORTED, "vulkan:%u (%s) cannot be used: %s", i,
             vd->adapter.props.deviceName, vd->adapter.unusable);
    return true;
}

static void vk_close(struct dev *d)
{
    struct vk_dev *vd = vk_of(d);

    if (vd->handle && vk_idle(vd))
        vk_pipes_save(vd);
    vk_mem_destroy(vd);
    vk_pipes_destroy(vd);
    if (vd->abandoned) {
        LOG_W("vulkan", "device does not answer, its objects are left behind");
    } else {
        if (vd->handle)
            vd->f->DestroyDevice(vd->handle, NULL);
        vk_instance_close(&vd->instance);
    }
    free(vd);
}

static bool vk_open(const struct dev_options *opt, int index, struct dev **out, struct err *e)
{
    struct vk_dev *vd = mem_zalloc(sizeof *vd);

    vd->base.impl = &vk_dev_impl;
    vd->f = &vd->instance.f;
    vd->tier = opt->tier;
    TRY(vk_instance_open(&vd->instance, e));
    TRY(choose(vd, index, e));
    TRY(vk_device_create(&vd->instance, &vd->adapter, &vd->handle, e));
    vd->f->GetDeviceQueue(vd->handle, vd->adapter.queue_family, 0, &vd->queue);
    fill_info(vd);
    TRY(vk_mem_create(vd, e));
    TRY(vk_pipes_create(vd, opt->cache_dir, e));
    *out = &vd->base;
    return true;
fail:
    vk_close(&vd->base);
    return false;
}

const struct vk_caps *vk_dev_caps(const struct dev *d)
{
    return &vk_of(d)->adapter.caps;
}

/* ---- list ------------------------------------------------------------------------------------ */

static void print_adapter(const struct vk_adapter *a, uint32_t index, bool kernels, FILE *out)
{
    struct vk_dev described = {.adapter = *a};
    const struct vk_caps *c = &a->caps;
    char features[128];

    fill_info(&described);
    const struct dev_info *info = &described.base.info;
    fprintf(out, "vulkan:%u  %s\n", index, info->name);
    fprintf(out, "  type       %s%s%s\n", vk_adapter_type(a),
            a->unusable[0] ? ", not usable: " : "", a->unusable);
    fprintf(out, "  driver     %s\n", info->driver);
    fprintf(out, "  Vulkan     %u.%u.%u\n", VK_API_VERSION_MAJOR(a->props.apiVersion),
            VK_API_VERSION_MINOR(a->props.apiVersion), VK_API_VERSION_PATCH(a->props.apiVersion));
    fprintf(out, "  memory     %llu MiB\n", (unsigned long long)(info->memory_bytes >> 20));
    fprintf(out,
            "  limits     bind %llu MiB, buffer %llu MiB, subgroup %u, workgroup %u, "
            "shared %u KiB\n",
            (unsigned long long)(c->max_bind_bytes >> 20),
            (unsigned long long)(c->max_alloc_bytes >> 20), c->subgroup_size,
            c->max_workgroup_invocations, c->max_shared_bytes >> 10);
    fprintf(out, "  features   %s\n", vk_feature_names(c->features, features, sizeof features));
    if (!kernels)
        return;
    fprintf(out, "  kernels    the one in [ ] is picked; what is (not here) wants another feature\n");
    vk_print_variants(c, out);
}

static bool vk_list(FILE *out, bool kernels, int *n, struct err *e)
{
    struct vk_instance in;
    struct vk_adapter a;

    if (!vk_instance_open(&in, e))
        return false;
    for (uint32_t i = 0; i < in.n_devices; i++) {
        vk_adapter_query(&in, i, &a);
        print_adapter(&a, i, kernels, out);
    }
    *n = (int)in.n_devices;
    vk_instance_close(&in);
    return true;
}

const struct dev_impl vk_dev_impl = {
    .prefix = "vulkan",
    .open = vk_open,
    .close = vk_close,
    .list = vk_list,
    .buf_create = vk_buf_create,
    .buf_destroy = vk_buf_destroy,
    .buf_write = vk_buf_write,
    .buf_read = vk_buf_read,
    .plan_open = vk_plan_open,
    .plan_op = vk_plan_op,
    .plan_seal = vk_plan_seal,
    .plan_run = vk_plan_run,
    .plan_profile = vk_plan_profile,
    .plan_close = vk_plan_close,
    .plan_print_op = vk_plan_print_op,
};
