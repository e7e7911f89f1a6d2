/* Owns: what a chat message may be. Refuses to know: templates, tokens. */
#include <config.h>

#include "api/messages.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20 };

static bool fail_at(struct api_error *e, enum api_code code, size_t i, const char *member,
                    const char *what)
{
    char param[64];
    snprintf(param, sizeof param, "messages[%zu]%s%s", i, *member ? "." : "", member);
    return api_fail(e, code, param, "'%s' %s.", param, what);
}

static bool read_role(const json_t *message, size_t i, const char **out, struct api_error *e)
{
    static const struct {
        const char *name, *as; /* as NULL: known, but not possible yet */
    } roles[] = {{"system", "system"},       {"developer", "system"}, {"user", "user"},
                 {"assistant", "assistant"}, {"tool", NULL},          {"function", NULL}};
    const char *role = json_string_value(json_object_get(message, "role"));
    if (!role)
        return fail_at(e, API_MISSING_FIELD, i, "role", "is required and must be a string");
    for (size_t r = 0; r < sizeof roles / sizeof roles[0]; r++) {
        if (strcmp(role, roles[r].name))
            continue;
        *out = roles[r].as;
        return *out || fail_at(e, API_NOT_SUPPORTED, i, "role",
                               "as tool or function is not supported yet");
    }
    return fail_at(e, API_INVALID_VALUE, i, "role",
                   "must be system, developer, user or assistant");
}

static bool add_part(const json_t *part, size_t i, bool first, struct buf *text,
                     struct api_error *e)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const json_t *value = json_object_get(part, "text");
    if (!json_is_object(part) || !type)
        return fail_at(e, API_INVALID_VALUE, i, "content",
                       "parts must be objects with a 'type'");
    if (strcmp(type, "text"))
        return fail_at(e, API_NOT_SUPPORTED, i, "content",
                       "parts other than text are not supported: this model reads text only");
    if (!json_is_string(value))
        return fail_at(e, API_INVALID_VALUE, i, "content", "text parts must have a string 'text'");
    if (!first)
        buf_putc(text, '\n');
    buf_append(text, json_string_value(value), json_string_length(value));
    return true;
}

/* A string, or a list of text parts joined by line ends. */
static bool read_content(const json_t *content, size_t i, bool may_lack, struct buf *text,
                         struct api_error *e)
{
    if (!content || json_is_null(content))
        return may_lack || fail_at(e, API_MISSING_FIELD, i, "content", "is required");
    if (json_is_string(content)) {
        buf_append(text, json_string_value(content), json_string_length(content));
        return true;
    }
    if (!json_is_array(content))
        return fail_at(e, API_INVALID_VALUE, i, "content", "must be a string or a list of parts");
    for (size_t p = 0; p < json_array_size(content); p++)
        if (!add_part(json_array_get(content, p), i, p == 0, text, e))
            return false;
    return true;
}

static bool has_value(const json_t *v)
{
    return v && !json_is_null(v) && !json_is_false(v) &&
           !(json_is_array(v) && json_array_size(v) == 0);
}

static bool check_refused(const json_t *message, size_t i, struct api_error *e)
{
    static const char *const refused[] = {"tool_calls", "function_call", "tool_call_id", "prefix",
                                          "partial", "audio"};
    for (size_t r = 0; r < sizeof refused / sizeof refused[0]; r++)
        if (has_value(json_object_get(message, refused[r])))
            return fail_at(e, API_NOT_SUPPORTED, i, refused[r], "is not supported yet");
    return true;
}

static bool read_reasoning(const json_t *message, size_t i, json_t *out, struct api_error *e)
{
    const json_t *v = json_object_get(message, "reasoning_content");
    if (!v || json_is_null(v))
        v = json_object_get(message, "reasoning");
    if (!v || json_is_null(v))
        return true;
    if (!json_is_string(v))
        return fail_at(e, API_INVALID_VALUE, i, "reasoning_content", "must be a string");
    json_t *copy = json_stringn(json_string_value(v), json_string_length(v));
    return !json_object_set_new(out, "reasoning_content", copy) ||
           api_fail(e, API_OVERLOADED, NULL, "The server is short of memory.");
}

static bool normalise_one(const json_t *message, size_t i, json_t *out, struct api_error *e)
{
    const char *role = NULL;
    if (!json_is_object(message))
        return fail_at(e, API_INVALID_VALUE, i, "", "must be an object");
    if (!read_role(message, i, &role, e) || !check_refused(message, i, e))
        return false;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    bool assistant = !strcmp(role, "assistant");
    bool ok = read_content(json_object_get(message, "content"), i, assistant, &text, e) &&
              (!assistant || read_reasoning(message, i, out, e));
    if (ok && (text.failed || json_object_set_new(out, "role", json_string(role)) ||
               json_object_set_new(out, "content", json_stringn(buf_str(&text), text.len))))
        ok = api_fail(e, API_OVERLOADED, NULL, "The server is short of memory.");
    buf_release(&text);
    return ok;
}

json_t *messages_normalise(const json_t *messages, struct api_error *e)
{
    size_t n = json_array_size(messages);
    if (!json_is_array(messages) || !n || n > MESSAGES_MAX) {
        api_fail(e, API_INVALID_VALUE, "messages", "'messages' must be an array of 1 to %d messages.",
                 MESSAGES_MAX);
        return NULL;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *out = json_object();
        if (!normalise_one(json_array_get(messages, i), i, out, e)) {
            json_decref(out);
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, out);
    }
    return list;
}
