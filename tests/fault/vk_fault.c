/* See vk_fault.h. One wrapper per entry point, made by a macro from its name and arguments. */
#include <config.h>

#include "vk_fault.h"

#include <stdlib.h>
#include <string.h>

static struct vk_funcs real;
static bool disguised;
static struct {
    size_t point;
    unsigned left; /* calls that still pass */
    VkResult result;
    bool armed, fired;
} fault;

/* F(name, (parameters), (arguments)) */
#define FAULT_POINTS(F)                                                                            \
    F(QueueSubmit, (VkQueue q, uint32_t n, const VkSubmitInfo *i, VkFence f), (q, n, i, f))        \
    F(WaitForFences, (VkDevice d, uint32_t n, const VkFence *f, VkBool32 all, uint64_t ns),        \
      (d, n, f, all, ns))                                                                          \
    F(ResetFences, (VkDevice d, uint32_t n, const VkFence *f), (d, n, f))                          \
    F(MapMemory,                                                                                   \
      (VkDevice d, VkDeviceMemory m, VkDeviceSize at, VkDeviceSize n, VkMemoryMapFlags f,          \
       void **p),                                                                                  \
      (d, m, at, n, f, p))                                                                         \
    F(CreateBuffer,                                                                                \
      (VkDevice d, const VkBufferCreateInfo *i, const VkAllocationCallbacks *a, VkBuffer *o),      \
      (d, i, a, o))                                                                                \
    F(BindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize at),               \
      (d, b, m, at))                                                                               \
    F(CreateFence,                                                                                 \
      (VkDevice d, const VkFenceCreateInfo *i, const VkAllocationCallbacks *a, VkFence *o),        \
      (d, i, a, o))                                                                                \
    F(CreateCommandPool,                                                                           \
      (VkDevice d, const VkCommandPoolCreateInfo *i, const VkAllocationCallbacks *a,               \
       VkCommandPool *o),                                                                          \
      (d, i, a, o))                                                                                \
    F(AllocateCommandBuffers,                                                                      \
      (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *o), (d, i, o))           \
    F(BeginCommandBuffer, (VkCommandBuffer c, const VkCommandBufferBeginInfo *i), (c, i))          \
    F(EndCommandBuffer, (VkCommandBuffer c), (c))                                                  \
    F(CreateDescriptorPool,                                                                        \
      (VkDevice d, const VkDescriptorPoolCreateInfo *i, const VkAllocationCallbacks *a,            \
       VkDescriptorPool *o),                                                                       \
      (d, i, a, o))                                                                                \
    F(AllocateDescriptorSets,                                                                      \
      (VkDevice d, const VkDescriptorSetAllocateInfo *i, VkDescriptorSet *o), (d, i, o))           \
    F(CreateDescriptorSetLayout,                                                                   \
      (VkDevice d, const VkDescriptorSetLayoutCreateInfo *i, const VkAllocationCallbacks *a,       \
       VkDescriptorSetLayout *o),                                                                  \
      (d, i, a, o))                                                                                \
    F(CreatePipelineLayout,                                                                        \
      (VkDevice d, const VkPipelineLayoutCreateInfo *i, const VkAllocationCallbacks *a,            \
       VkPipelineLayout *o),                                                                       \
      (d, i, a, o))                                                                                \
    F(CreateShaderModule,                                                                          \
      (VkDevice d, const VkShaderModuleCreateInfo *i, const VkAllocationCallbacks *a,              \
       VkShaderModule *o),                                                                         \
      (d, i, a, o))                                                                                \
    F(CreateComputePipelines,                                                                      \
      (VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i,            \
       const VkAllocationCallbacks *a, VkPipeline *o),                                             \
      (d, c, n, i, a, o))                                                                          \
    F(CreatePipelineCache,                                                                         \
      (VkDevice d, const VkPipelineCacheCreateInfo *i, const VkAllocationCallbacks *a,             \
       VkPipelineCache *o),                                                                        \
      (d, i, a, o))                                                                                \
    F(GetPipelineCacheData, (VkDevice d, VkPipelineCache c, size_t * n, void *o), (d, c, n, o))    \
    F(CreateQueryPool,                                                                             \
      (VkDevice d, const VkQueryPoolCreateInfo *i, const VkAllocationCallbacks *a,                 \
       VkQueryPool *o),                                                                            \
      (d, i, a, o))                                                                                \
    F(GetQueryPoolResults,                                                                         \
      (VkDevice d, VkQueryPool q, uint32_t first, uint32_t n, size_t bytes, void *o,               \
       VkDeviceSize stride, VkQueryResultFlags f),                                                 \
      (d, q, first, n, bytes, o, stride, f))                                                       \
    F(CreateDevice,                                                                                \
      (VkPhysicalDevice p, const VkDeviceCreateInfo *i, const VkAllocationCallbacks *a,            \
       VkDevice *o),                                                                               \
      (p, i, a, o))                                                                                \
    F(EnumeratePhysicalDevices, (VkInstance i, uint32_t * n, VkPhysicalDevice * o), (i, n, o))     \
    F(AllocateMemory,                                                                              \
      (VkDevice d, const VkMemoryAllocateInfo *i, const VkAllocationCallbacks *a,                  \
       VkDeviceMemory *o),                                                                         \
      (d, real_info(i, &patched), a, o))

enum point {
#define POINT(name, params, args) POINT_##name,
    FAULT_POINTS(POINT)
#undef POINT
        POINT_COUNT
};

static bool fails(size_t point)
{
    if (!fault.armed || fault.point != point)
        return false;
    if (fault.left-- > 0)
        return false;
    fault.armed = false;
    fault.fired = true;
    return true;
}

/* Both memory types of the disguise are the driver's first one. */
static const VkMemoryAllocateInfo *real_info(const VkMemoryAllocateInfo *i,
                                             VkMemoryAllocateInfo *to)
{
    *to = *i;
    if (disguised)
        to->memoryTypeIndex = 0;
    return to;
}

#define WRAPPER(name, params, args)                                                                \
    static VKAPI_ATTR VkResult VKAPI_CALL fault_##name params                                      \
    {                                                                                              \
        VkMemoryAllocateInfo patched;                                                              \
        (void)patched;                                                                             \
        return fails(POINT_##name) ? fault.result : real.name args;                                \
    }
FAULT_POINTS(WRAPPER)
#undef WRAPPER

static VKAPI_ATTR void VKAPI_CALL disguise_memory(VkPhysicalDevice p,
                                                  VkPhysicalDeviceMemoryProperties *m)
{
    real.GetPhysicalDeviceMemoryProperties(p, m);
    m->memoryTypeCount = 2;
    m->memoryTypes[0].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    m->memoryTypes[1] = m->memoryTypes[0];
    m->memoryTypes[1].propertyFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                      VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
                                      VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
}

static VKAPI_ATTR void VKAPI_CALL disguise_properties(VkPhysicalDevice p,
                                                      VkPhysicalDeviceProperties2 *out)
{
    real.GetPhysicalDeviceProperties2(p, out);
    out->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

static VKAPI_ATTR void VKAPI_CALL disguise_requirements(VkDevice d, VkBuffer b,
                                                        VkMemoryRequirements *out)
{
    real.GetBufferMemoryRequirements(d, b, out);
    out->memoryTypeBits = 3;
}

/* The instance part of a table comes by twice: what is already ours stays. */
static void hook(struct vk_funcs *f)
{
#define PUT(name, ours)                                                                            \
    if (f->name && f->name != (ours)) {                                                            \
        real.name = f->name;                                                                       \
        f->name = (ours);                                                                          \
    }
#define REPLACE(name, params, args) PUT(name, fault_##name)
    FAULT_POINTS(REPLACE)
#undef REPLACE
    if (disguised) {
        PUT(GetPhysicalDeviceMemoryProperties, disguise_memory)
        PUT(GetPhysicalDeviceProperties2, disguise_properties)
        PUT(GetBufferMemoryRequirements, disguise_requirements)
    }
#undef PUT
}

size_t vk_fault_points(void)
{
    return POINT_COUNT;
}

const char *vk_fault_point_name(size_t point)
{
    static const char *const names[] = {
#define NAME(name, params, args) #name,
        FAULT_POINTS(NAME)
#undef NAME
    };
    return names[point];
}

size_t vk_fault_point(const char *name)
{
    for (size_t i = 0; i < POINT_COUNT; i++)
        if (strcmp(vk_fault_point_name(i), name) == 0)
            return i;
    abort();
}

void vk_fault_install(void)
{
    vk_funcs_hook = hook;
}

void vk_fault_arm(size_t point, unsigned at, VkResult result)
{
    fault.point = point;
    fault.left = at;
    fault.result = result;
    fault.armed = true;
    fault.fired = false;
}

void vk_fault_disarm(void)
{
    fault.armed = false;
}

bool vk_fault_fired(void)
{
    return fault.fired;
}

void vk_fault_disguise(bool on)
{
    disguised = on;
}
