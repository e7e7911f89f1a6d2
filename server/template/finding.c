/* Owns: the list of findings and its JSON form. Refuses to know: who finds what. */
#include <config.h>

#include "template/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const char *const level_names[] = {"error", "warning", "note"};

void findings_init(struct findings *f)
{
    *f = (struct findings){.list = json_array()};
}

void findings_release(struct findings *f)
{
    json_decref(f->list);
    f->list = NULL;
}

/* A JSON string of a text that may have been cut anywhere or carry foreign bytes. */
static json_t *tolerant_string(char *text)
{
    size_t len = utf8_cut(text, strlen(text));
    text[len] = '\0';
    for (size_t i = 0; i < len;) {
        size_t n = 1;
        if (utf8_classify(text + i, len - i, &n) != UTF8_COMPLETE)
            memset(text + i, '?', n);
        i += n;
    }
    return json_string(text);
}

void findings_add(struct findings *f, enum finding_level level, const char *code, const char *at,
                  const char *en, const char *zh, ...)
{
    char text_en[512], text_zh[512], place[256];
    f->errors += level == FINDING_ERROR;
    if (json_array_size(f->list) >= FINDING_MAX)
        return;
    va_list ap, again;
    va_start(ap, zh);
    va_copy(again, ap);
    vsnprintf(text_en, sizeof text_en, en, ap);
    vsnprintf(text_zh, sizeof text_zh, zh, again);
    va_end(again);
    va_end(ap);
    snprintf(place, sizeof place, "%s", at);
    json_array_append_new(f->list,
                          json_pack("{s:s, s:s, s:o, s:{s:o, s:o}}", "level", level_names[level],
                                    "code", code, "at", tolerant_string(place), "message", "en",
                                    tolerant_string(text_en), "zh", tolerant_string(text_zh)));
}

bool findings_ok(const struct findings *f, struct err *e)
{
    size_t i;
    json_t *x;
    if (f->errors == 0)
        return true;
    json_array_foreach (f->list, i, x) {
        const char *level, *at, *en;
        if (json_unpack(x, "{s:s, s:s, s:{s:s}}", "level", &level, "at", &at, "message", "en",
                        &en) == 0 &&
            strcmp(level, "error") == 0)
            FAIL(e, ERR_ARG, "%s: %s", at, en);
    }
    FAIL(e, ERR_ARG, "%zu errors", f->errors);
}
