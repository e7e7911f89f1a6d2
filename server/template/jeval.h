/* The interpreter: runs a syntax tree within one render. Thread: one per render. */
#ifndef SEEKD_TEMPLATE_JEVAL_H
#define SEEKD_TEMPLATE_JEVAL_H

#include "template/jbuiltin.h"
#include "template/jval.h"

struct jrun;

/* Runs the whole template, output to r->out. r->root is set up by the caller. */
bool jeval_template(struct jrun *r);

/* v.name: methods and fields first, then the keys of a mapping. v[key]: the other way round. An
 * undefined value comes back as J_UNDEF; looking into one fails the render. */
struct jval jeval_attribute(struct jrun *r, struct jval v, struct jstr name);
struct jval jeval_item(struct jrun *r, struct jval v, struct jval key);
/* v(args…); `caller`: the caller block of {% call %}, J_MISSING without. */
struct jval jeval_call(struct jrun *r, struct jval v, const struct jargs *args, struct jval caller);
/* a + b and the other operators of arithmetic (op: enum jtok_kind). */
struct jval jarith(struct jrun *r, int op, struct jval a, struct jval b);

/* Loops and macros as the other files see them. */
/* Whether `now` differs from what the previous call for this loop got. */
bool jloop_changed(struct jrun *r, struct jloop *loop, struct jval now);
size_t jloop_index(const struct jloop *loop); /* from 0 */
size_t jloop_length(const struct jloop *loop);
struct jstr jmacro_name(const struct jmacro *macro);

#endif
