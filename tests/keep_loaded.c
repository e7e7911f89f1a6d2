/* Linked into sanitizer builds only: a dlclose() that keeps libraries loaded. What a Vulkan driver
 * holds until the process ends would otherwise look like a leak once the driver is unloaded, with a
 * stack that no suppression can name. Replaces the C library's function in the whole process.
 */
#include <config.h>

#include <dlfcn.h>

/* The linker is asked for this name, and so takes this file out of its archive. */
const char keep_loaded[] = "dlclose() does nothing";

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
