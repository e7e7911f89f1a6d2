/* Source text -> syntax tree. Thread: one per compilation. */
#ifndef SEEKD_TEMPLATE_JPARSE_H
#define SEEKD_TEMPLATE_JPARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct jinja_limits;
struct jinja_template;

/* Fills t->names and t->body from `n` bytes of source, already in t->arena (they are borrowed by
 * the tree), valid UTF-8, lines ended by \n. */
bool jparse_template(struct jinja_template *t, const char *src, size_t n,
                     const struct jinja_limits *limits, struct err *e) WARN_UNUSED;

#endif
