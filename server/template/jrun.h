/* State of one render, shared by the parts of the interpreter, and the one way to fail.
 *
 * Failure is sticky: the first jrun_fail() stores the error and sets `failed`; from then on values
 * are JVAL_NONE and every loop ends at its next jrun_work() or jrun_step(). So functions return
 * values, not success, and callers look at `failed` before they loop or trust a pointer.
 * Memory: everything lives in the arena and disappears with the render.
 * Thread: one.
 */
#ifndef SEEKD_TEMPLATE_JRUN_H
#define SEEKD_TEMPLATE_JRUN_H

#include <time.h>

#include "template/jarena.h"
#include "template/jinja.h"
#include "template/jval.h"

struct jscope;

struct jrun {
    struct jarena arena;
    const struct jinja_template *t;
    const struct jinja_limits *limits;
    struct err *err;
    bool failed;
    int line; /* of the source, where the interpreter is */

    uint64_t steps;
    uint64_t work, work_check; /* finer than steps: drives the look at the clock */
    uint64_t deadline_us;
    unsigned depth; /* C recursion: expressions, bodies, nested data */
    unsigned calls; /* macros and recursive loops */

    struct jval *root;    /* value of every name at the top level, by name id */
    struct jscope *scope; /* innermost; NULL = top level */
    struct jsb *out;      /* where output goes */
    struct {              /* the newest concatenation, see jstr_cat() */
        char *p;
        unsigned char *mark; /* cap bytes; NULL: as `uniform` says */
        const unsigned char *uniform;
        size_t n, cap;
    } cat;
    const struct tm *now; /* borrowed; NULL: local time */
};

void jrun_init(struct jrun *r, const struct jinja_template *t, const struct jinja_limits *limits,
               struct err *e);
void jrun_release(struct jrun *r);

/* Fails the render with "line N: " and the message; returns JVAL_NONE. */
struct jval jrun_fail_at(struct jrun *r, const char *file, int line, enum err_code code,
                         const char *fmt, ...) PRINTF_LIKE(5, 6);
#define JFAIL(r, code, ...) jrun_fail_at((r), __FILE__, __LINE__, (code), __VA_ARGS__)

/* NULL: the render has failed. */
void *jrun_alloc(struct jrun *r, size_t n, size_t elem_bytes);
void *jrun_resize(struct jrun *r, void *p, size_t old_bytes, size_t new_bytes);

/* Counts work that grows with `bytes` (or elements); looks at the clock now and then. False when
 * the render has failed. */
bool jrun_work(struct jrun *r, size_t bytes);
/* Counts one statement, loop turn or call. */
bool jrun_step(struct jrun *r);
/* Recursion: each true is paired with jrun_leave(). */
bool jrun_enter(struct jrun *r);
static inline void jrun_leave(struct jrun *r)
{
    r->depth--;
}

#endif
