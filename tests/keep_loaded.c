/* Linked into sanitizer builds only: a dlclose() that keeps libraries loaded. What a Vulkan driver
 * holds until the process ends would otherwise look like a leak once the driver is unloaded, with a
 * stack that no suppression can name. Replaces the C library's function in the whole process.
 */
#include <config.h>

#include <dlfcn.h>

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
