/* Read-only memory mapping of a whole regular file.
 *
 * The file must not be shortened while it is mapped: the kernel answers reads past the new end with
 * SIGBUS. Replace model files by renaming a new file over the old name.
 * Owner: whoever holds the struct. Thread: immutable after map_open; any thread may read.
 */
#ifndef SEEKD_FORMAT_MAP_H
#define SEEKD_FORMAT_MAP_H

#include <stdint.h>

#include "base/err.h"

struct map {
    const uint8_t *data; /* page-aligned; owned */
    uint64_t bytes;      /* > 0 while open */
};

/* Errors: ERR_NOT_FOUND, ERR_IO, ERR_NOMEM, ERR_FORMAT (empty, or not a regular file), ERR_LIMIT
 * (does not fit the address space). Messages do not name the file. Cost: rare. */
bool map_open(const char *path, struct map *out, struct err *e) WARN_UNUSED;
void map_close(struct map *m); /* accepts a zeroed struct */

/* Advice to the kernel about a range inside a mapping: it will be read soon / its pages need not
 * stay resident (they are read again from the file when touched). Cheap, never fails. */
void map_prefetch(const void *data, uint64_t bytes);
void map_release_pages(const void *data, uint64_t bytes);

#endif
