/* Owns: the counters of a render and their limits. */
#include <config.h>

#include "template/jrun.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/checked.h"
#include "base/clock.h"

enum {
    WORK_UNIT_BYTES = 64, /* so much copying or searching weighs as much as visiting a node */
    WORK_PER_LOOK = 8192, /* units between two looks at the clock: well below a millisecond */
    DEPTH_PER_NESTING = 8 /* C frames that one level of source nesting may need */
};

void jrun_init(struct jrun *r, const struct jinja_template *t, const struct jinja_limits *limits,
               struct err *e)
{
    *r = (struct jrun){.t = t, .limits = limits, .err = e, .work_check = WORK_PER_LOOK};
    jarena_init(&r->arena, limits->max_memory_bytes);
    if (limits->max_cpu_ms)
        r->deadline_us = clock_thread_us() + (uint64_t)limits->max_cpu_ms * 1000;
}

void jrun_release(struct jrun *r)
{
    jarena_release(&r->arena);
}

struct jval jrun_fail_at(struct jrun *r, const char *file, int line, enum err_code code,
                         const char *fmt, ...)
{
    if (r->failed)
        return JVAL_NONE;
    r->failed = true;
    char text[sizeof((struct err *)0)->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(r->err, code, 0, file, line, "line %d: %s", r->line, text);
    return JVAL_NONE;
}

static void *checked(struct jrun *r, void *p)
{
    if (p)
        return p;
    if (r->arena.out_of_memory)
        JFAIL(r, ERR_NOMEM, "the host is out of memory");
    else
        JFAIL(r, ERR_LIMIT, "rendering needs more than %zu bytes of memory",
              r->limits->max_memory_bytes);
    return NULL;
}

void *jrun_alloc(struct jrun *r, size_t n, size_t elem_bytes)
{
    uint64_t bytes;
    if (r->failed)
        return NULL;
    return checked(r, checked_mul(n, elem_bytes, &bytes) ? jarena_alloc(&r->arena, bytes) : NULL);
}

void *jrun_resize(struct jrun *r, void *p, size_t old_bytes, size_t new_bytes)
{
    return r->failed ? NULL : checked(r, jarena_resize(&r->arena, p, old_bytes, new_bytes));
}

bool jrun_work(struct jrun *r, size_t bytes)
{
    r->work += 1 + bytes / WORK_UNIT_BYTES;
    if (r->work >= r->work_check) {
        r->work_check = r->work + WORK_PER_LOOK;
        if (r->deadline_us && clock_thread_us() > r->deadline_us)
            JFAIL(r, ERR_LIMIT, "rendering takes longer than %u ms", r->limits->max_cpu_ms);
    }
    return !r->failed;
}

bool jrun_step(struct jrun *r)
{
    if (++r->steps > r->limits->max_steps)
        JFAIL(r, ERR_LIMIT, "rendering needs more than %llu steps",
              (unsigned long long)r->limits->max_steps);
    return jrun_work(r, 0);
}

bool jrun_enter(struct jrun *r)
{
    if (r->depth >= r->limits->max_depth * DEPTH_PER_NESTING) {
        JFAIL(r, ERR_LIMIT, "expressions, macro calls or data are nested too deeply");
        return false;
    }
    r->depth++;
    return jrun_work(r, 0) || (jrun_leave(r), false);
}
