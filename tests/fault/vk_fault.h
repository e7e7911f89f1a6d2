/* Puts test functions in front of Vulkan entry points of the devices opened afterwards.
 *
 * vk_fault_arm() makes one call of one entry point fail without reaching the driver. Calls are
 * counted from arming on. vk_fault_disguise() makes a software driver look like a discrete GPU: its
 * memory is offered once as device-local and not host-visible, and once as host memory, so that the
 * staging paths run on machines without a GPU.
 */
#ifndef SEEKD_TESTS_VK_FAULT_H
#define SEEKD_TESTS_VK_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "device/vulkan/funcs.h"

/* Entry points that can fail, by index 0..vk_fault_points()-1. */
size_t vk_fault_points(void);
const char *vk_fault_point_name(size_t point);
/* Index by name ("QueueSubmit"); aborts when there is none. */
size_t vk_fault_point(const char *name);

void vk_fault_install(void); /* before dev_open */
/* Call number `at` (from 0) of `point` returns `result`. */
void vk_fault_arm(size_t point, unsigned at, VkResult result);
void vk_fault_disarm(void);
bool vk_fault_fired(void); /* since the last arm */
void vk_fault_disguise(bool on);

#endif
