/* The front of device.h: finds a device by its name and forwards to the implementation, after the
 * checks that every implementation would need. Knows no Vulkan.
 */
#include <config.h>

#include "device/impl.h"

#include <stdlib.h>
#include <string.h>

static const struct dev_impl *const impls[] = {&vk_dev_impl};

/* "vulkan" -> index -1, "vulkan:3" -> 3; false when the name is not of this implementation. */
static bool parse_name(const char *name, const char *prefix, int *index)
{
    size_t len = strlen(prefix);
    char *end;

    *index = -1;
    if (strncmp(name, prefix, len) != 0)
        return false;
    if (name[len] == '\0')
        return true;
    if (name[len] != ':' || name[len + 1] < '0' || name[len + 1] > '9')
        return false;
    unsigned long n = strtoul(name + len + 1, &end, 10);
    *index = n > 9999 ? 9999 : (int)n;
    return *end == '\0';
}

bool dev_open(const struct dev_options *opt, struct dev **out, struct err *e)
{
    int index = -1;

    *out = NULL;
    if (strcmp(opt->name, "auto") == 0)
        return impls[0]->open(opt, -1, out, e);
    for (size_t i = 0; i < sizeof impls / sizeof impls[0]; i++)
        if (parse_name(opt->name, impls[i]->prefix, &index))
            return impls[i]->open(opt, index, out, e);
    FAIL(e, ERR_ARG,
         "unknown device \"%.60s\"; use auto, vulkan or vulkan:N (seekctl device --list "
         "shows the numbers)",
         opt->name);
}

void dev_close(struct dev **d)
{
    if (*d)
        (*d)->impl->close(*d);
    *d = NULL;
}

const struct dev_info *dev_info(const struct dev *d)
{
    return &d->info;
}

bool dev_failed(const struct dev *d)
{
    return d->failed;
}

bool dev_check(const struct dev *d, struct err *e)
{
    if (d->failed)
        FAIL(e, ERR_DEVICE, "the device \"%.100s\" has failed; it must be opened again",
             d->info.name);
    return true;
}

bool dev_list(FILE *out, bool kernels, struct err *e)
{
    int total = 0, n = 0;

    for (size_t i = 0; i < sizeof impls / sizeof impls[0]; i++) {
        if (!impls[i]->list(out, kernels, &n, e))
            return false;
        total += n;
    }
    if (total == 0)
        fprintf(out, "no compute device\n");
    return true;
}

bool dev_buf_create(struct dev *d, uint64_t bytes, enum dev_mem mem, const char *tag,
                    struct dev_buf **out, struct err *e)
{
    *out = NULL;
    return dev_check(d, e) && d->impl->buf_create(d, bytes, mem, tag, out, e);
}

void dev_buf_destroy(struct dev *d, struct dev_buf **b)
{
    if (*b)
        d->impl->buf_destroy(d, *b);
    *b = NULL;
}

void *dev_buf_map(struct dev_buf *b)
{
    return b->map;
}

uint64_t dev_buf_bytes(const struct dev_buf *b)
{
    return b->bytes;
}

bool dev_buf_write(struct dev *d, struct dev_buf *b, uint64_t offset, const void *src,
                   uint64_t bytes, struct err *e)
{
    return dev_check(d, e) && d->impl->buf_write(d, b, offset, src, bytes, e);
}

bool dev_buf_read(struct dev *d, struct dev_buf *b, uint64_t offset, void *dst, uint64_t bytes,
                  struct err *e)
{
    return dev_check(d, e) && d->impl->buf_read(d, b, offset, dst, bytes, e);
}
