/* Vulkan loader, instance, physical devices and the features that get turned on.
 *
 * Owns the function table and what is known about a device before it is opened. Knows nothing of
 * buffers, pipelines or ops. The loader library is opened at run time and stays open for the life
 * of the process: drivers do not unload well.
 */
#include <config.h>

#include "device/vulkan/runtime.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static const char validation_layer[] = "VK_LAYER_KHRONOS_validation";

void (*vk_funcs_hook)(struct vk_funcs *f);

static atomic_uint validation_messages;

unsigned vk_validation_count(void)
{
    return atomic_load(&validation_messages);
}

/* ---- loader and instance --------------------------------------------------------------------- */

static bool wants_validation(void)
{
    const char *v = getenv("SEEKD_VK_VALIDATE");
    return v && strcmp(v, "1") == 0;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                 void *user)
{
    char text[1024];
    (void)user;
    /* The loader's own remarks about the machine are of the general type. */
    if (types & ~(VkDebugUtilsMessageTypeFlagsEXT)VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT)
        atomic_fetch_add(&validation_messages, 1);
    log_quote(text, sizeof text, data->pMessage ? data->pMessage : "");
    log_line(severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT ? LOG_ERROR : LOG_WARN,
             "vulkan", "validation id=%s text=%s",
             data->pMessageIdName ? data->pMessageIdName : "none", text);
    return VK_FALSE;
}

static VkDebugUtilsMessengerCreateInfoEXT messenger_info(void)
{
    return (VkDebugUtilsMessengerCreateInfoEXT){
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message,
    };
}

static PFN_vkGetInstanceProcAddr open_loader(void)
{
    void *lib = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);

    return lib ? (PFN_vkGetInstanceProcAddr)dlsym(lib, "vkGetInstanceProcAddr") : NULL;
}

static bool load_global(struct vk_instance *in, PFN_vkGetInstanceProcAddr get, struct err *e)
{
    uint32_t version = 0;

#define LOAD(name) in->f.name = (PFN_vk##name)get(NULL, "vk" #name);
    VK_GLOBAL_FUNCS(LOAD)
#undef LOAD
    if (!in->f.CreateInstance || !in->f.EnumerateInstanceVersion ||
        in->f.EnumerateInstanceVersion(&version) != VK_SUCCESS || version < VK_API_VERSION_1_1)
        FAIL(e, ERR_UNSUPPORTED,
             "the Vulkan loader is older than version 1.1; install a newer libvulkan1");
    return true;
}

static bool load_instance(struct vk_instance *in, PFN_vkGetInstanceProcAddr get, struct err *e)
{
    bool complete = true;

#define LOAD(name)                                                                                 \
    in->f.name = (PFN_vk##name)get(in->handle, "vk" #name);                                        \
    complete = complete && in->f.name;
    VK_INSTANCE_FUNCS(LOAD)
#undef LOAD
#define LOAD(name) in->f.name = (PFN_vk##name)get(in->handle, "vk" #name);
    VK_DEBUG_FUNCS(LOAD)
#undef LOAD
    if (!complete)
        FAIL(e, ERR_UNSUPPORTED, "the Vulkan loader lacks a function of Vulkan 1.1");
    if (vk_funcs_hook)
        vk_funcs_hook(&in->f);
    return true;
}

static bool has_debug_utils(const struct vk_funcs *f, const char *layer)
{
    uint32_t n = 0;
    bool found = false;

    if (f->EnumerateInstanceExtensionProperties(layer, &n, NULL) != VK_SUCCESS || n == 0)
        return false;
    VkExtensionProperties *list = mem_calloc(n, sizeof *list);
    if (f->EnumerateInstanceExtensionProperties(layer, &n, list) == VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            found = found || !strcmp(list[i].extensionName, VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    free(list);
    return found;
}

static bool has_validation_layer(const struct vk_funcs *f)
{
    uint32_t n = 0;
    bool found = false;

    if (f->EnumerateInstanceLayerProperties(&n, NULL) != VK_SUCCESS || n == 0)
        return false;
    VkLayerProperties *list = mem_calloc(n, sizeof *list);
    if (f->EnumerateInstanceLayerProperties(&n, list) == VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            found = found || !strcmp(list[i].layerName, validation_layer);
    free(list);
    return found;
}

bool vk_validation_available(void)
{
    struct vk_instance in = {0};
    PFN_vkGetInstanceProcAddr get = open_loader();

    return get && load_global(&in, get, NULL) && has_validation_layer(&in.f);
}

static bool create_instance(struct vk_instance *in, bool validate, struct err *e)
{
    static const char *const layers[] = {validation_layer};
    static const char *const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
    VkDebugUtilsMessengerCreateInfoEXT messenger = messenger_info();
    VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                             .pApplicationName = "seekd",
                             .apiVersion = VK_API_VERSION_1_1};
    bool debug = has_debug_utils(&in->f, NULL) ||
                 (validate && has_debug_utils(&in->f, validation_layer));
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pNext = validate && debug ? &messenger : NULL,
                                 .pApplicationInfo = &app,
                                 .enabledLayerCount = validate ? 1 : 0,
                                 .ppEnabledLayerNames = layers,
                                 .enabledExtensionCount = debug ? 1 : 0,
                                 .ppEnabledExtensionNames = extensions};
    VkResult r = in->f.CreateInstance(&info, NULL, &in->handle);

    if (r == VK_ERROR_INCOMPATIBLE_DRIVER)
        FAIL(e, ERR_NOT_FOUND,
             "no Vulkan driver is installed; install the GPU's driver, or "
             "mesa-vulkan-drivers for a software device");
    if (r != VK_SUCCESS)
        FAIL(e, ERR_DEVICE, "the Vulkan instance could not be created (%s)", vk_result_name(r));
    return true;
}

static bool list_devices(struct vk_instance *in, struct err *e)
{
    uint32_t n = 0;
    VkResult r = in->f.EnumeratePhysicalDevices(in->handle, &n, NULL);

    if (r != VK_SUCCESS && r != VK_ERROR_INITIALIZATION_FAILED)
        FAIL(e, ERR_DEVICE, "the Vulkan devices could not be listed (%s)", vk_result_name(r));
    in->devices = mem_calloc(n + 1, sizeof *in->devices);
    r = n > 0 ? in->f.EnumeratePhysicalDevices(in->handle, &n, in->devices) : VK_SUCCESS;
    if (r != VK_SUCCESS)
        FAIL(e, ERR_DEVICE, "the Vulkan devices could not be listed (%s)", vk_result_name(r));
    in->n_devices = n;
    return true;
}

bool vk_instance_open(struct vk_instance *in, struct err *e)
{
    bool validate = wants_validation();
    PFN_vkGetInstanceProcAddr get = open_loader();

    memset(in, 0, sizeof *in);
    if (!get)
        FAIL(e, ERR_NOT_FOUND,
             "no Vulkan loader (libvulkan.so.1) on this machine; install "
             "libvulkan1 and a driver such as mesa-vulkan-drivers");
    TRY(load_global(in, get, e));
    if (validate && !has_validation_layer(&in->f)) {
        err_set(e, ERR_UNSUPPORTED, 0, __FILE__, __LINE__,
                "SEEKD_VK_VALIDATE=1 needs the validation layer; install "
                "vulkan-validationlayers");
        goto fail;
    }
    TRY(create_instance(in, validate, e));
    TRY(load_instance(in, get, e));
    if (validate && in->f.CreateDebugUtilsMessengerEXT) {
        VkDebugUtilsMessengerCreateInfoEXT info = messenger_info();
        in->f.CreateDebugUtilsMessengerEXT(in->handle, &info, NULL, &in->messenger);
    }
    TRY(list_devices(in, e));
    return true;
fail:
    vk_instance_close(in);
    return false;
}

void vk_instance_close(struct vk_instance *in)
{
    if (in->messenger)
        in->f.DestroyDebugUtilsMessengerEXT(in->handle, in->messenger, NULL);
    if (in->handle && in->f.DestroyInstance)
        in->f.DestroyInstance(in->handle, NULL);
    free(in->devices);
    memset(in, 0, sizeof *in);
}

/* ---- physical devices ------------------------------------------------------------------------ */

static void query_extensions(const struct vk_funcs *f, struct vk_adapter *a)
{
    const struct {
        const char *name;
        bool *flag;
    } wanted[] = {
        {VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME, &a->has_driver_properties},
        {VK_KHR_8BIT_STORAGE_EXTENSION_NAME, &a->has_8bit},
        {VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME, &a->has_float16_int8},
        {VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, &a->has_subgroup_size},
    };
    uint32_t n = 0;

    if (f->EnumerateDeviceExtensionProperties(a->handle, NULL, &n, NULL) != VK_SUCCESS || n == 0)
        return;
    VkExtensionProperties *list = mem_calloc(n, sizeof *list);
    if (f->EnumerateDeviceExtensionProperties(a->handle, NULL, &n, list) == VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            for (size_t k = 0; k < sizeof wanted / sizeof wanted[0]; k++)
                if (!strcmp(list[i].extensionName, wanted[k].name))
                    *wanted[k].flag = true;
    free(list);
}

/* Structures chained behind features2, in the order they are linked. */
struct feature_chain {
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDevice16BitStorageFeatures storage16;
    VkPhysicalDevice8BitStorageFeatures storage8;
    VkPhysicalDeviceShaderFloat16Int8Features arithmetic;
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size;
};

/* Links the structures that this device knows. The chain points into itself: do not copy it. */
static void feature_chain_init(struct feature_chain *c, const struct vk_adapter *a)
{
    *c = (struct feature_chain){
        .features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .storage16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
        .storage8.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
        .arithmetic.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
        .subgroup_size.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    c->features.pNext = &c->storage16;
    void **tail = &c->storage16.pNext;
    if (a->has_8bit) {
        *tail = &c->storage8;
        tail = &c->storage8.pNext;
    }
    if (a->has_float16_int8) {
        *tail = &c->arithmetic;
        tail = &c->arithmetic.pNext;
    }
    if (a->has_subgroup_size)
        *tail = &c->subgroup_size;
}

static uint32_t query_features(const struct vk_funcs *f, const struct vk_adapter *a,
                               const VkPhysicalDeviceSubgroupProperties *subgroup,
                               const VkPhysicalDeviceSubgroupSizeControlProperties *control)
{
    const VkSubgroupFeatureFlags ops = VK_SUBGROUP_FEATURE_BASIC_BIT |
                                       VK_SUBGROUP_FEATURE_ARITHMETIC_BIT |
                                       VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    struct feature_chain c;
    uint32_t bits = 0;

    feature_chain_init(&c, a);
    f->GetPhysicalDeviceFeatures2(a->handle, &c.features);
    if (c.storage16.storageBuffer16BitAccess)
        bits |= VK_FEAT_16BIT_STORAGE;
    if (c.storage8.storageBuffer8BitAccess)
        bits |= VK_FEAT_8BIT_STORAGE;
    if (c.arithmetic.shaderFloat16)
        bits |= VK_FEAT_FLOAT16;
    if (c.arithmetic.shaderInt8)
        bits |= VK_FEAT_INT8;
    if ((subgroup->supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
        (subgroup->supportedOperations & ops) == ops)
        bits |= VK_FEAT_SUBGROUP_ARITH;
    if (c.subgroup_size.subgroupSizeControl && c.subgroup_size.computeFullSubgroups &&
        (control->requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT))
        bits |= VK_FEAT_SUBGROUP_SIZE;
    if (a->props.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU)
        bits |= VK_FEAT_HARDWARE;
    return bits;
}

static void query_queue(const struct vk_funcs *f, struct vk_adapter *a)
{
    uint32_t n = 0;
    bool found = false;

    f->GetPhysicalDeviceQueueFamilyProperties(a->handle, &n, NULL);
    VkQueueFamilyProperties *list = mem_calloc(n + 1, sizeof *list);
    f->GetPhysicalDeviceQueueFamilyProperties(a->handle, &n, list);
    for (uint32_t i = 0; i < n && !found; i++)
        if (list[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            a->queue_family = i;
            a->timestamp_bits = list[i].timestampValidBits;
            found = true;
        }
    free(list);
    if (!found)
        snprintf(a->unusable, sizeof a->unusable, "it has no compute queue");
}

static void fill_caps(struct vk_caps *c, const struct vk_adapter *a,
                      const VkPhysicalDeviceSubgroupProperties *subgroup,
                      const VkPhysicalDeviceMaintenance3Properties *m3)
{
    const VkPhysicalDeviceLimits *l = &a->props.limits;

    c->subgroup_size = subgroup->subgroupSize;
    c->max_workgroup_invocations = l->maxComputeWorkGroupInvocations;
    for (int i = 0; i < 3; i++) {
        c->max_workgroup_size[i] = l->maxComputeWorkGroupSize[i];
        c->max_workgroup_count[i] = l->maxComputeWorkGroupCount[i];
    }
    c->max_shared_bytes = l->maxComputeSharedMemorySize;
    c->max_bind_bytes = l->maxStorageBufferRange & ~(uint64_t)255;
    c->max_alloc_bytes = m3->maxMemoryAllocationSize & ~(uint64_t)255;
    c->bind_align = (uint32_t)l->minStorageBufferOffsetAlignment;
    if (c->bind_align < 16)
        c->bind_align = 16;
    c->software = a->props.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

void vk_adapter_query(const struct vk_instance *in, uint32_t index, struct vk_adapter *a)
{
    const struct vk_funcs *f = &in->f;
    VkPhysicalDeviceSubgroupSizeControlProperties control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties m3 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &id};
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &m3};
    VkPhysicalDeviceProperties2 props = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                         .pNext = &subgroup};

    memset(a, 0, sizeof *a);
    a->handle = in->devices[index];
    query_extensions(f, a);
    if (a->has_driver_properties) {
        driver.pNext = id.pNext;
        id.pNext = &driver;
    }
    if (a->has_subgroup_size) {
        control.pNext = id.pNext;
        id.pNext = &control;
    }
    f->GetPhysicalDeviceProperties2(a->handle, &props);
    f->GetPhysicalDeviceMemoryProperties(a->handle, &a->memory);
    a->props = props.properties;
    memcpy(a->device_uuid, id.deviceUUID, sizeof a->device_uuid);
    memcpy(a->driver_name, driver.driverName, sizeof a->driver_name);
    memcpy(a->driver_info, driver.driverInfo, sizeof a->driver_info);
    fill_caps(&a->caps, a, &subgroup, &m3);
    a->caps.features = query_features(f, a, &subgroup, &control);
    query_queue(f, a);
    if (a->props.apiVersion < VK_API_VERSION_1_1)
        snprintf(a->unusable, sizeof a->unusable, "its driver is older than Vulkan 1.1");
    else if (a->props.limits.maxPerStageDescriptorStorageBuffers < VK_MAX_BINDS)
        snprintf(a->unusable, sizeof a->unusable, "its shaders can bind only %u buffers",
                 a->props.limits.maxPerStageDescriptorStorageBuffers);
}

static int rank(const struct vk_adapter *a)
{
    if (a->unusable[0])
        return 0;
    switch (a->props.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 4;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return 3;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return 2;
    default:
        return 1;
    }
}

bool vk_adapter_pick(const struct vk_instance *in, uint32_t *index, struct err *e)
{
    struct vk_adapter a;
    int best = 0;

    for (uint32_t i = 0; i < in->n_devices; i++) {
        vk_adapter_query(in, i, &a);
        if (rank(&a) > best) {
            best = rank(&a);
            *index = i;
        }
    }
    if (best == 0)
        FAIL(e, ERR_NOT_FOUND,
             "no usable Vulkan device; install the GPU's driver, or "
             "mesa-vulkan-drivers for a software device");
    return true;
}

const char *vk_adapter_type(const struct vk_adapter *a)
{
    switch (a->props.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return "software";
    default:
        return "other";
    }
}

const char *vk_feature_names(uint32_t features, char *out, size_t out_bytes)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{VK_FEAT_16BIT_STORAGE, "16BIT_STORAGE"},
                 {VK_FEAT_8BIT_STORAGE, "8BIT_STORAGE"},
                 {VK_FEAT_FLOAT16, "FLOAT16"},
                 {VK_FEAT_INT8, "INT8"},
                 {VK_FEAT_SUBGROUP_ARITH, "SUBGROUP_ARITH"},
                 {VK_FEAT_SUBGROUP_SIZE, "SUBGROUP_SIZE"},
                 {VK_FEAT_HARDWARE, "HARDWARE"}};
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((features & names[i].bit) && len < out_bytes)
            len += (size_t)snprintf(out + len, out_bytes - len, "%s%s", len ? " " : "",
                                    names[i].name);
    return out;
}

/* ---- logical device -------------------------------------------------------------------------- */

static bool load_device(struct vk_funcs *f, VkDevice handle, struct err *e)
{
    const char *missing = NULL;

#define LOAD(name)                                                                                 \
    f->name = (PFN_vk##name)f->GetDeviceProcAddr(handle, "vk" #name);                              \
    missing = f->name ? missing : "vk" #name;
    VK_DEVICE_FUNCS(LOAD)
#undef LOAD
    if (missing)
        FAIL(e, ERR_UNSUPPORTED, "the Vulkan driver lacks %s", missing);
    if (vk_funcs_hook)
        vk_funcs_hook(f);
    return true;
}

/* Turns on exactly the features that vk_caps.features reports. */
static void enable_features(struct feature_chain *c, const struct vk_adapter *a)
{
    uint32_t bits = a->caps.features;

    feature_chain_init(c, a);
    c->storage16.storageBuffer16BitAccess = (bits & VK_FEAT_16BIT_STORAGE) != 0;
    c->storage8.storageBuffer8BitAccess = (bits & VK_FEAT_8BIT_STORAGE) != 0;
    c->arithmetic.shaderFloat16 = (bits & VK_FEAT_FLOAT16) != 0;
    c->arithmetic.shaderInt8 = (bits & VK_FEAT_INT8) != 0;
    c->subgroup_size.subgroupSizeControl = (bits & VK_FEAT_SUBGROUP_SIZE) != 0;
    c->subgroup_size.computeFullSubgroups = (bits & VK_FEAT_SUBGROUP_SIZE) != 0;
}

bool vk_device_create(struct vk_instance *in, const struct vk_adapter *a, VkDevice *out,
                      struct err *e)
{
    static const float priority = 1.0f;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = a->queue_family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    const char *extensions[4];
    struct feature_chain features;
    uint32_t n = 0;
    VkResult r;

    if (a->has_8bit) /* which itself asks for VK_KHR_storage_buffer_storage_class, core in 1.1 */
        extensions[n++] = VK_KHR_8BIT_STORAGE_EXTENSION_NAME;
    if (a->has_float16_int8)
        extensions[n++] = VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME;
    if (a->has_subgroup_size)
        extensions[n++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    enable_features(&features, a);
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &features.features,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = n,
                               .ppEnabledExtensionNames = extensions};
    r = in->f.CreateDevice(a->handle, &info, NULL, out);
    if (r != VK_SUCCESS)
        FAIL(e, r == VK_ERROR_OUT_OF_DEVICE_MEMORY ? ERR_NOMEM : ERR_DEVICE,
             "the Vulkan device \"%s\" could not be opened (%s)", a->props.deviceName,
             vk_result_name(r));
    if (!load_device(&in->f, *out, e)) {
        if (in->f.DestroyDevice)
            in->f.DestroyDevice(*out, NULL);
        *out = VK_NULL_HANDLE;
        return false;
    }
    return true;
}
