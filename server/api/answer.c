/* Owns: putting an answer together. Refuses to know: what it is about. */
#include <config.h>

#include "api/api.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/generation.h"
#include "base/log.h"
#include "base/mem.h"

void api_answer_init(struct api_answer *a)
{
    *a = (struct api_answer){.status = 200, .type = "application/json"};
    buf_init(&a->body, API_ANSWER_BYTES);
}

void api_answer_release(struct api_answer *a)
{
    generation_destroy(&a->run);
    for (unsigned i = 0; i < a->n_headers; i++)
        free(a->header[i].value);
    a->n_headers = 0;
    buf_release(&a->body);
}

void api_answer_error(struct api_answer *a, const struct api_error *e)
{
    api_answer_release(a);
    api_answer_init(a);
    a->status = api_code_status(e->code);
    a->retry_after_s = e->retry_after_s;
    api_error_write(&a->body, e);
}

void api_answer_act(struct api_answer *a, const struct err *from)
{
    struct api_error e = API_ERROR_INIT;
    api_fail_act(&e, from);
    api_answer_error(a, &e);
}

void api_answer_header(struct api_answer *a, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (a->n_headers == API_HEADERS || len < 0) {
        LOG_E("api", "no room for header name=%s", name);
        return;
    }
    char *text = mem_alloc((size_t)len + 1);
    va_start(ap, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    text[strcspn(text, "\r\n")] = '\0';
    a->header[a->n_headers].name = name;
    a->header[a->n_headers++].value = text;
}

static void take(struct api_answer *a, unsigned status, json_t *body, size_t flags)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | flags) : NULL;
    a->status = status;
    if (text)
        buf_puts(&a->body, text);
    else
        a->body.failed = true; /* told as a lack of memory */
    free(text);
    json_decref(body);
}

void api_answer_json_take(struct api_answer *a, unsigned status, json_t *body)
{
    take(a, status, body, 0);
}

void api_answer_figures_take(struct api_answer *a, unsigned status, json_t *body)
{
    take(a, status, body, JSON_REAL_PRECISION(15));
}

void api_answer_etag(struct api_answer *a, int64_t revision)
{
    api_answer_header(a, "ETag", "\"%" PRId64 "\"", revision);
}
