/* Stable sort of values by keys. Thread: one per render. */
#ifndef SEEKD_TEMPLATE_JSORT_H
#define SEEKD_TEMPLATE_JSORT_H

#include "template/jval.h"

struct jsort_item {
    struct jval key, value;
};

/* Ascending, or descending with equal keys in their old order. Fails the render when two keys have
 * no order. */
bool jsort(struct jrun *r, struct jsort_item *items, size_t n, bool descending);

#endif
