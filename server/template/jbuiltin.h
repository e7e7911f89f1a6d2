/* Everything a template can call that it did not define itself: filters, tests, functions, methods.
 * One table row each; a new one is one row and one function.
 *
 * Thread: tables are constant; the functions run within one render.
 */
#ifndef SEEKD_TEMPLATE_JBUILTIN_H
#define SEEKD_TEMPLATE_JBUILTIN_H

#include "template/jval.h"

struct jnamed {
    struct jstr name;
    struct jval v;
};

/* Arguments of a call, without the value a filter, test or method works on. */
struct jargs {
    size_t n;
    const struct jval *v;
    size_t n_named;
    const struct jnamed *named;
};

enum { JBUILTIN_MAX_PARAMS = 6 };

/* `self`: what a filter, test or method works on (functions: JVAL_NONE). `a`: the arguments in the
 * order of `params`, J_MISSING where not given. `all`: as written. Tests return a boolean. */
typedef struct jval (*jbuiltin_fn)(struct jrun *r, struct jval self, const struct jval *a,
                                   const struct jargs *all);

/* Head of such a function; not every one looks at everything. */
#define JBUILTIN_UNUSED __attribute__((unused))
#define JBUILTIN(name)                                                                             \
    static struct jval name(struct jrun *r JBUILTIN_UNUSED, struct jval self JBUILTIN_UNUSED,      \
                            const struct jval *a JBUILTIN_UNUSED,                                  \
                            const struct jargs *all JBUILTIN_UNUSED)

struct jbuiltin {
    const char *name;
    /* Names of the parameters, separated by spaces, required ones with ! in front; NULL: any
     * arguments, the function reads `all`. */
    const char *params;
    jbuiltin_fn fn;
};

/* NULL when there is none. */
const struct jbuiltin *jfilter_find(struct jstr name);
const struct jbuiltin *jtest_find(struct jstr name);
const struct jbuiltin *jfunction_find(struct jstr name);
const struct jbuiltin *jmethod_find(struct jval self, struct jstr name);
const struct jbuiltin *jbuiltin_find(const struct jbuiltin *table, size_t n, struct jstr name);

/* Binds the arguments to the parameters and calls. Too many, unknown or missing arguments fail. */
struct jval jbuiltin_call(struct jrun *r, const struct jbuiltin *def, struct jval self,
                          const struct jargs *args);

/* Reads optional arguments: `fallback` when missing; fails the render on another type. */
int64_t jarg_int(struct jrun *r, struct jval v, int64_t fallback);
bool jarg_truth(struct jval v, bool fallback);
struct jstr jarg_str(struct jrun *r, struct jval v, struct jstr fallback);

#endif
