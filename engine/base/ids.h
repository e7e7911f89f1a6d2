/* Lists of ids, rising. Thread: any, no state. */
#ifndef SEEKD_BASE_IDS_H
#define SEEKD_BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether `id` is one of the n at `ids` (NULL with none). */
static inline bool ids_hold(const int64_t *ids, size_t n, int64_t id)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ids[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && ids[low] == id;
}

#endif
