/* A sandboxed subset of the Jinja template language: renders the chat templates that come with
 * models and the prompt templates that administrators write. The language is described in README.md
 * beside this file; whitespace handling and text forms (numbers, lists, JSON) are those of Python's
 * jinja2 as the Hugging Face library configures it: trim_blocks, lstrip_blocks, loop controls,
 * one trailing newline of the source dropped.
 *
 * Templates are untrusted. No I/O, no imports, no attribute of anything but data; nesting, steps,
 * time, memory and output are limited, recursion is counted, never left to the stack.
 *
 * Thread: a compiled template is immutable, any number of threads may render it at once; every
 * render has its own memory. Numbers are formatted with printf and strtod: LC_NUMERIC must be "C".
 */
#ifndef SEEKD_TEMPLATE_JINJA_H
#define SEEKD_TEMPLATE_JINJA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"

struct buf;
struct jinja_template;

struct jinja_limits {
    unsigned max_depth;      /* nesting of tags and expressions in the source; of macro calls */
    uint64_t max_steps;      /* statements, loop turns and calls of one render */
    size_t max_source_bytes; /* length of a template */
    size_t max_output_bytes; /* length of the result, and of every text built on the way */
    size_t max_memory_bytes; /* all memory of one compiled template, and of one render */
    size_t max_range;        /* elements of range() */
    unsigned max_cpu_ms;    /* processor time of the rendering thread; 0 = unlimited */
};

#define JINJA_LIMITS_DEFAULT                                                                       \
    ((struct jinja_limits){.max_depth = 64,                                                        \
                           .max_steps = 1000000,                                                   \
                           .max_source_bytes = (size_t)1 << 20,                                    \
                           .max_output_bytes = (size_t)8 << 20,                                    \
                           .max_memory_bytes = (size_t)96 << 20,                                   \
                           .max_range = 100000,                                                    \
                           .max_cpu_ms = 200})

/* What one render works on; everything is borrowed until jinja_render() returns. */
struct jinja_input {
    json_t *vars; /* object of variables; NULL = none */
    /* Names of variables whose text counts as written by the template itself (such as bos_token),
     * ended by NULL; NULL = none. All other text that comes out of `vars` is data. */
    const char *const *trusted;
    const struct tm *now; /* what strftime_now() shows; NULL = the local time */
};

/* Bytes [begin, end) of an output that came out of variables. */
struct jinja_span {
    size_t begin;
    size_t end;
};

/* Ascending, not empty, not touching. */
struct jinja_spans {
    struct jinja_span *span; /* owned; NULL when n == 0 */
    size_t n;
};

/* Compiles `len` bytes. *out is owned by the caller. Errors: ERR_FORMAT (syntax; the message starts
 * with "line N: "), ERR_UNSUPPORTED (known Jinja, not in the subset), ERR_LIMIT, ERR_NOMEM.
 * Cost: rare. */
bool jinja_compile(const char *src, size_t len, const struct jinja_limits *limits,
                   struct jinja_template **out, struct err *e) WARN_UNUSED;
void jinja_destroy(struct jinja_template **t);

/* Renders into `out` (appends; on failure out is unchanged). `spans`, when not NULL, receives the
 * data bytes, positions counted from the start of this rendering; release with
 * jinja_spans_release(). Text made of both keeps the difference byte by byte; where an operation
 * does not follow bytes, its result is data as soon as one operand is.
 * Errors: ERR_ARG with the template's own text (raise_exception), else with "line N: " in front:
 * ERR_FORMAT (the template cannot work with these values), ERR_UNSUPPORTED, ERR_LIMIT, ERR_NOMEM.
 * Cost: common. */
bool jinja_render(const struct jinja_template *t, const struct jinja_input *in,
                  const struct jinja_limits *limits, struct buf *out, struct jinja_spans *spans,
                  struct err *e) WARN_UNUSED;
void jinja_spans_release(struct jinja_spans *spans);

#endif
