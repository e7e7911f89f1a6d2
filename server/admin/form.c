/* Owns: what good form is. Refuses to know: templates, tests, what an answer ought to say. */
#include <config.h>

#include "admin/form.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine.h"

enum { DELETE = 0x7f };

static bool check_end(const json_t *choice, struct err *e)
{
    static const char *const good[] = {"stop", "length", "tool_calls"};
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    for (size_t i = 0; reason && i < sizeof good / sizeof *good; i++)
        if (!strcmp(reason, good[i]))
            return true;
    FAIL(e, ERR_ARG, "the answer was broken off (%s)", reason ? reason : "no finish_reason");
}

static bool check_characters(const char *text, size_t len, struct err *e)
{
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = utf8_decode(text + i, len - i, &cp);
        if (!n)
            FAIL(e, ERR_FORMAT, "byte %zu is no UTF-8", i);
        if (cp == DELETE || (cp < ' ' && cp != '\n' && cp != '\r' && cp != '\t'))
            FAIL(e, ERR_FORMAT, "there is the control character U+%04X at byte %zu", (unsigned)cp, i);
        i += n;
    }
    return true;
}

/* Read with and without control tokens, a text without any gives the same tokens. */
static bool check_tokens(const struct engine *engine, const char *text, size_t len, struct err *e)
{
    int32_t *plain = NULL, *special = NULL;
    size_t n_plain, n_special;
    bool ok = engine_tokenize(engine, text, len, ENGINE_TOKENIZE_LITERAL, len + 1, &plain, &n_plain,
                              e) &&
              engine_tokenize(engine, text, len, ENGINE_TOKENIZE_SPECIAL, len + 1, &special,
                              &n_special, e);
    bool same = ok && n_plain == n_special && !memcmp(plain, special, n_plain * sizeof *plain);
    free(plain);
    free(special);
    if (ok && !same)
        FAIL(e, ERR_FORMAT, "there is the text of a control token");
    return ok;
}

static bool check_text(const struct engine *engine, const json_t *text, struct err *e)
{
    const char *s = json_string_value(text);
    size_t len = json_string_length(text);
    return !s || !len || (check_characters(s, len, e) && check_tokens(engine, s, len, e));
}

bool form_check(const struct engine *engine, const json_t *reply, struct err *e)
{
    const json_t *choice = json_array_get(json_object_get(reply, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const json_t *content = json_object_get(message, "content");
    const json_t *thoughts = json_object_get(message, "reasoning_content");
    if (!choice)
        FAIL(e, ERR_ARG, "there is no answer");
    if (!check_end(choice, e))
        return false;
    if (!json_string_length(content) && !json_string_length(thoughts) &&
        !json_array_size(json_object_get(message, "tool_calls")))
        FAIL(e, ERR_ARG, "the answer is empty");
    return check_text(engine, content, e) && check_text(engine, thoughts, e);
}
