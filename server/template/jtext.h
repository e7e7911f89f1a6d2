/* Text forms of values: what {{ }} prints, as Python's str() and repr() would; printf-like and
 * brace formatting. Thread: one per render.
 */
#ifndef SEEKD_TEMPLATE_JTEXT_H
#define SEEKD_TEMPLATE_JTEXT_H

#include "template/jbuiltin.h"
#include "template/jval.h"

enum { JTEXT_NUMBER_BYTES = 32 };

/* Shortest decimal form that reads back as the same double ("2.0", "1e-07", "inf"). Returns its
 * length; `out` is terminated. */
size_t jtext_float(double f, char out[JTEXT_NUMBER_BYTES]);

/* Appends str(v): a text as it is, nothing for an undefined value. */
bool jtext_str(struct jrun *r, struct jsb *b, struct jval v);
/* Appends repr(v): a text in quotes. */
bool jtext_repr(struct jrun *r, struct jsb *b, struct jval v);
/* str(v) by itself; borrows a text. */
struct jstr jtext_of(struct jrun *r, struct jval v);

/* format % args (a tuple: several). */
struct jstr jformat_percent(struct jrun *r, struct jstr format, struct jval args);
/* format.format(args…) */
struct jstr jformat_braces(struct jrun *r, struct jstr format, const struct jargs *args);

#endif
