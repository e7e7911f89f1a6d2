/* Filters that work on lists: a part of the table of filters. */
#ifndef SEEKD_TEMPLATE_JSEQ_H
#define SEEKD_TEMPLATE_JSEQ_H

#include "template/jbuiltin.h"

const struct jbuiltin *jseq_find(struct jstr name);

#endif
