/* Owns: a merge sort, bottom up: neither hostile keys nor failing comparisons can upset it. */
#include <config.h>

#include "template/jsort.h"

#include <string.h>

#include "template/jrun.h"

/* Merges from[lo, mid) and from[mid, hi) to to[lo, hi). */
static void merge(struct jrun *r, const struct jsort_item *from, struct jsort_item *to, size_t lo,
                  size_t mid, size_t hi, bool descending)
{
    size_t a = lo, b = mid;
    for (size_t at = lo; at < hi && jrun_work(r, sizeof *to); at++) {
        bool take_b = a == mid;
        if (!take_b && b < hi) {
            int c = jval_compare(r, from[b].key, from[a].key, "<");
            take_b = descending ? c == 1 : c == -1;
        }
        to[at] = take_b ? from[b++] : from[a++];
    }
}

bool jsort(struct jrun *r, struct jsort_item *items, size_t n, bool descending)
{
    struct jsort_item *from = items, *to = jrun_alloc(r, n, sizeof *to);
    for (size_t run = 1; run < n && !r->failed; run *= 2) {
        for (size_t lo = 0; lo < n && !r->failed; lo += 2 * run) {
            size_t mid = lo + run < n ? lo + run : n, hi = mid + run < n ? mid + run : n;
            merge(r, from, to, lo, mid, hi, descending);
        }
        struct jsort_item *swap = from;
        from = to;
        to = swap;
    }
    if (!r->failed && from != items)
        memcpy(items, from, n * sizeof *items);
    return !r->failed;
}
