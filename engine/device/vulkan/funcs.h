/* The Vulkan entry points in use, as one table per device, loaded at run time: a machine without a
 * Vulkan loader gets an error message instead of a program that does not start, and tests can put
 * their own functions in front of any of them (tests/fault).
 */
#ifndef SEEKD_VULKAN_FUNCS_H
#define SEEKD_VULKAN_FUNCS_H

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#define VK_GLOBAL_FUNCS(F)                                                                         \
    F(CreateInstance)                                                                              \
    F(EnumerateInstanceVersion)                                                                    \
    F(EnumerateInstanceLayerProperties)                                                            \
    F(EnumerateInstanceExtensionProperties)

#define VK_INSTANCE_FUNCS(F)                                                                       \
    F(DestroyInstance)                                                                             \
    F(EnumeratePhysicalDevices)                                                                    \
    F(EnumerateDeviceExtensionProperties)                                                          \
    F(GetPhysicalDeviceProperties2)                                                                \
    F(GetPhysicalDeviceFeatures2)                                                                  \
    F(GetPhysicalDeviceMemoryProperties)                                                           \
    F(GetPhysicalDeviceQueueFamilyProperties)                                                      \
    F(CreateDevice)                                                                                \
    F(GetDeviceProcAddr)

/* Only there when VK_EXT_debug_utils is: NULL otherwise. */
#define VK_DEBUG_FUNCS(F)                                                                          \
    F(CreateDebugUtilsMessengerEXT)                                                                \
    F(DestroyDebugUtilsMessengerEXT)                                                               \
    F(CmdBeginDebugUtilsLabelEXT)                                                                  \
    F(CmdEndDebugUtilsLabelEXT)

#define VK_DEVICE_FUNCS(F)                                                                         \
    F(DestroyDevice)                                                                               \
    F(GetDeviceQueue)                                                                              \
    F(QueueSubmit)                                                                                 \
    F(AllocateMemory)                                                                              \
    F(FreeMemory)                                                                                  \
    F(MapMemory)                                                                                   \
    F(CreateBuffer)                                                                                \
    F(DestroyBuffer)                                                                               \
    F(GetBufferMemoryRequirements)                                                                 \
    F(BindBufferMemory)                                                                            \
    F(CreateFence)                                                                                 \
    F(DestroyFence)                                                                                \
    F(ResetFences)                                                                                 \
    F(WaitForFences)                                                                               \
    F(CreateCommandPool)                                                                           \
    F(DestroyCommandPool)                                                                          \
    F(AllocateCommandBuffers)                                                                      \
    F(FreeCommandBuffers)                                                                          \
    F(BeginCommandBuffer)                                                                          \
    F(EndCommandBuffer)                                                                            \
    F(CmdCopyBuffer)                                                                               \
    F(CmdFillBuffer)                                                                               \
    F(CmdPipelineBarrier)                                                                          \
    F(CmdBindPipeline)                                                                             \
    F(CmdBindDescriptorSets)                                                                       \
    F(CmdPushConstants)                                                                            \
    F(CmdDispatch)                                                                                 \
    F(CmdDispatchIndirect)                                                                         \
    F(CmdResetQueryPool)                                                                           \
    F(CmdWriteTimestamp)                                                                           \
    F(CreateQueryPool)                                                                             \
    F(DestroyQueryPool)                                                                            \
    F(GetQueryPoolResults)                                                                         \
    F(CreateShaderModule)                                                                          \
    F(DestroyShaderModule)                                                                         \
    F(CreateDescriptorSetLayout)                                                                   \
    F(DestroyDescriptorSetLayout)                                                                  \
    F(CreatePipelineLayout)                                                                        \
    F(DestroyPipelineLayout)                                                                       \
    F(CreateComputePipelines)                                                                      \
    F(DestroyPipeline)                                                                             \
    F(CreatePipelineCache)                                                                         \
    F(DestroyPipelineCache)                                                                        \
    F(GetPipelineCacheData)                                                                        \
    F(CreateDescriptorPool)                                                                        \
    F(DestroyDescriptorPool)                                                                       \
    F(AllocateDescriptorSets)                                                                      \
    F(UpdateDescriptorSets)

/* Members are named without the "vk" prefix: f->QueueSubmit(...). */
struct vk_funcs {
#define VK_MEMBER(name) PFN_vk##name name;
    VK_GLOBAL_FUNCS(VK_MEMBER)
    VK_INSTANCE_FUNCS(VK_MEMBER)
    VK_DEBUG_FUNCS(VK_MEMBER)
    VK_DEVICE_FUNCS(VK_MEMBER)
#undef VK_MEMBER
};

/* Called with a table when its instance part and again when its device part has been filled, before
 * anything is used. NULL (the default) = no hook. For tests: set it while no other thread opens a
 * device. */
extern void (*vk_funcs_hook)(struct vk_funcs *f);

#endif
