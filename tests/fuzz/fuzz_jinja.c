/* Fuzz target: hostile templates, with hostile variables. The input is a template; behind its first
 * NUL byte may stand the variables as JSON. What renders must be valid UTF-8 with orderly data
 * spans within the limits, twice the same, and with less memory fail cleanly or be the same; what
 * does not render must say why.
 */
#include <config.h>

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "template/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char plain_vars[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"},"
    " {\"role\": \"user\", \"content\": \"<think>\\n\\u4f60 x\"},"
    " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"type\": \"function\","
    "  \"function\": {\"name\": \"f\", \"arguments\": {\"a\": [1, 2.5, \"z\"]}}}]}],"
    " \"tools\": null, \"add_generation_prompt\": true, \"bos_token\": \"<s>\","
    " \"xs\": [3, 1, 2], \"d\": {\"x\": 1, \"y\": \"two\"}, \"s\": \"Hello, World\", \"n\": 5}";

static const struct tm fixed_now = {.tm_year = 125, .tm_mon = 2, .tm_mday = 14, .tm_wday = 5};

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "fuzz_jinja: %s\n", what);
        abort();
    }
}

static bool render(const struct jinja_template *t, json_t *vars, const struct jinja_limits *limits,
                   struct buf *out)
{
    static const char *const trusted[] = {"bos_token", NULL};
    struct jinja_input in = {.vars = vars, .trusted = trusted, .now = &fixed_now};
    struct jinja_spans spans;
    struct err e = ERR_INIT;
    buf_init(out, limits->max_output_bytes);
    bool ok = jinja_render(t, &in, limits, out, &spans, &e);
    if (ok) {
        require(utf8_valid(buf_str(out), out->len), "the output is not valid UTF-8");
        size_t at = 0;
        for (size_t i = 0; i < spans.n; i++) {
            require(spans.span[i].begin >= at && spans.span[i].begin < spans.span[i].end,
                    "the data spans are out of order");
            at = spans.span[i].end + 1;
        }
        require(at <= out->len + 1, "a data span ends behind the text");
        jinja_spans_release(&spans);
    } else {
        require(e.code != ERR_NONE && (e.msg[0] || e.code == ERR_ARG), "an error says nothing");
        require(out->len == 0 && spans.n == 0, "a failed render leaves something behind");
    }
    return ok;
}

static void check_template(const struct jinja_template *t, json_t *vars,
                           const struct jinja_limits *limits)
{
    struct buf first, again;
    struct jinja_limits less = *limits;
    bool ok = render(t, vars, limits, &first);
    if (ok) {
        less.max_memory_bytes /= 16;
        if (render(t, vars, &less, &again))
            require(again.len == first.len &&
                        memcmp(buf_str(&again), buf_str(&first), first.len) == 0,
                    "the second rendering differs");
        buf_release(&again);
    }
    buf_release(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct jinja_limits limits = {.max_depth = 64,
                                        .max_steps = 20000,
                                        .max_source_bytes = 1 << 16,
                                        .max_output_bytes = 1 << 18,
                                        .max_memory_bytes = 8 << 20,
                                        .max_range = 10000,
                                        .max_cpu_ms = 1000};
    const char *text = (const char *)data;
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t len = nul ? (size_t)(nul - data) : size;
    json_t *vars = nul ? json_loadb(text + len + 1, size - len - 1, JSON_ALLOW_NUL, NULL)
                       : json_loads(plain_vars, 0, NULL);
    struct jinja_template *t;
    struct err e = ERR_INIT;
    if (!json_is_object(vars)) {
        json_decref(vars);
        vars = NULL;
    }
    if (jinja_compile(text, len, &limits, &t, &e))
        check_template(t, vars, &limits);
    else
        require(e.code != ERR_NONE && e.msg[0] && !t, "a compile error says nothing");
    jinja_destroy(&t);
    json_decref(vars);
    return 0;
}
