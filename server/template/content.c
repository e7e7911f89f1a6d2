/* Owns: the fields of a template version and their forms: one table row per field. Refuses to know:
 * the database, and what templates do when they are rendered. */
#include <config.h>

#include "template/content.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "template/checks.h"
#include "template/variables.h"

/* ---- names ---- */

static bool is_made_of(const char *s, const char *letters, size_t max)
{
    size_t n = strlen(s);
    return n >= 1 && n <= max && strspn(s, letters) == n;
}

bool content_is_name(const char *name)
{
    size_t n = strlen(name);
    return is_made_of(name, "abcdefghijklmnopqrstuvwxyz0123456789_-/", CONTENT_NAME_MAX) &&
           name[0] != '/' && name[n - 1] != '/' && !strstr(name, "//");
}

bool content_is_label(const char *label)
{
    return is_made_of(label, "abcdefghijklmnopqrstuvwxyz0123456789_.-", CONTENT_LABEL_MAX) &&
           strspn(label, "0123456789") != strlen(label);
}

/* ---- fields ---- */

struct checking {
    struct findings *f;
    const char *at;
};

#define WRONG(c, en, ...) findings_add((c)->f, FINDING_ERROR, "bad-field", (c)->at, en, __VA_ARGS__)

/* Each returns what is stored, a new reference, or NULL after a finding. */

static json_t *take_words(struct checking *c, json_t *x)
{
    const char *key;
    json_t *text;
    bool ok = json_is_object(x);
    json_object_foreach (x, key, text)
        ok = ok && (strcmp(key, "zh") == 0 || strcmp(key, "en") == 0) && json_is_string(text);
    if (ok)
        return json_incref(x);
    WRONG(c, "must be an object of texts \"zh\" and \"en\"", "必须是含 zh、en 文本的对象");
    return NULL;
}

static json_t *take_lang(struct checking *c, json_t *x)
{
    const char *s = json_string_value(x);
    if (s && (strcmp(s, "zh") == 0 || strcmp(s, "en") == 0))
        return json_incref(x);
    WRONG(c, "must be \"zh\" or \"en\"", "必须是 \"zh\" 或 \"en\"");
    return NULL;
}

static json_t *take_variables(struct checking *c, json_t *x)
{
    variables_check(x, c->f);
    return json_incref(x);
}

static json_t *take_model(struct checking *c, json_t *x)
{
    if (json_is_string(x) && json_string_length(x) >= 1 && json_string_length(x) <= 256)
        return json_incref(x);
    WRONG(c, "must be the name of a model", "必须是模型名称");
    return NULL;
}

static json_t *take_settings(struct checking *c, json_t *x)
{
    static const struct {
        const char *name;
        double min, max;
    } ranges[] = {
        {"temperature", 0, 2},
        {"top_p", 0, 1},
        {"min_p", 0, 1},
        {"max_tokens", 1, 1e9},
        {"top_k", -1, 1e9},
        {"max_completion_tokens", 1, 1e9},
        {"presence_penalty", -2, 2},
        {"frequency_penalty", -2, 2},
    };
    static const char *const elsewhere[] = {"messages", "prompt", "model", "stream", "tools", "n"};
    if (!json_is_object(x)) {
        WRONG(c, "must be an object of chat request fields", "必须是由对话请求字段组成的对象");
        return NULL;
    }
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        if (json_object_get(x, elsewhere[i]))
            WRONG(c, "\"%s\" does not belong into settings", "“%s”不属于 settings", elsewhere[i]);
    }
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const json_t *v = json_object_get(x, ranges[i].name);
        if (v && (!json_is_number(v) || json_number_value(v) < ranges[i].min ||
                  json_number_value(v) > ranges[i].max))
            WRONG(c, "\"%s\" must be a number from %g to %g", "“%s”必须是 %g 到 %g 之间的数字",
                  ranges[i].name, ranges[i].min, ranges[i].max);
    }
    return json_incref(x);
}

static json_t *take_tools(struct checking *c, json_t *x)
{
    size_t i;
    json_t *tool;
    bool ok = json_is_array(x);
    json_array_foreach (x, i, tool)
        ok = ok && json_is_object(tool);
    if (ok)
        return json_incref(x);
    WRONG(c, "must be an array of tools", "必须是工具组成的数组");
    return NULL;
}

static json_t *take_object(struct checking *c, json_t *x)
{
    if (json_is_object(x))
        return json_incref(x);
    WRONG(c, "must be an object", "必须是对象");
    return NULL;
}

static json_t *take_example(struct checking *c, json_t *x)
{
    if (json_is_object(x) && json_object_size(x) == 1 &&
        json_is_object(json_object_get(x, "variables")))
        return json_incref(x);
    WRONG(c, "must be an object with \"variables\", an object", "必须是含 variables 对象的对象");
    return NULL;
}

static void check_test(struct findings *f, const json_t *test, size_t index)
{
    static const char known[] = " name variables checks form_only ";
    char at[64];
    const char *key;
    json_t *x;
    snprintf(at, sizeof at, "tests[%zu]", index);
    struct checking c = {.f = f, .at = at};
    if (!json_is_object(test)) {
        WRONG(&c, "must be an object", "必须是对象");
        return;
    }
    json_object_foreach (json_iterable(test), key, x) {
        char padded[64];
        snprintf(padded, sizeof padded, " %.40s ", key);
        if (!strstr(known, padded))
            WRONG(&c, "there is no field \"%.80s\"", "没有名为“%.80s”的字段", key);
    }
    if (!json_is_string(json_object_get(test, "name")))
        WRONG(&c, "needs a \"name\"", "需要“name”");
    x = json_object_get(test, "variables");
    if (x && !json_is_object(x))
        WRONG(&c, "\"variables\" must be an object", "“variables”必须是对象");
    x = json_object_get(test, "form_only");
    if (x && !json_is_boolean(x))
        WRONG(&c, "\"form_only\" must be true or false", "“form_only”必须是 true 或 false");
    checks_check(json_object_get(test, "checks"), at, f);
}

static json_t *take_tests(struct checking *c, json_t *x)
{
    size_t i;
    json_t *test;
    if (!json_is_array(x) || json_array_size(x) > CONTENT_MAX_TESTS) {
        WRONG(c, "must be an array of at most %d tests", "必须是最多 %d 个测试组成的数组",
              CONTENT_MAX_TESTS);
        return NULL;
    }
    json_array_foreach (x, i, test)
        check_test(c->f, test, i);
    return json_incref(x);
}

/* ---- messages ---- */

static json_t *normal_text(const char *s, size_t len)
{
    struct buf b;
    buf_init(&b, CONTENT_MAX_BYTES);
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '\r')
            buf_putc(&b, s[i]);
        else if (i + 1 >= len || s[i + 1] != '\n')
            buf_putc(&b, '\n');
    }
    json_t *text = b.failed ? NULL : json_stringn(buf_str(&b), b.len);
    buf_release(&b);
    return text;
}

static json_t *take_include(struct checking *c, const json_t *x)
{
    const json_t *name = json_object_get(x, "include");
    const json_t *label = json_object_get(x, "label");
    const json_t *number = json_object_get(x, "number");
    bool by_label = json_is_string(label) && content_is_label(json_string_value(label));
    bool by_number = json_is_integer(number) && json_integer_value(number) >= 1;
    if (json_object_size(x) != 2 || !json_is_string(name) ||
        !content_is_name(json_string_value(name)) || !(by_label || by_number)) {
        WRONG(c, "an include has the name of a template and either a label or a number",
              "引用需要模板名称，以及标签或版本号之一");
        return NULL;
    }
    return json_incref(json_iterable(x));
}

static json_t *take_message(struct checking *c, const json_t *x)
{
    const char *role = json_string_value(json_object_get(x, "role"));
    const json_t *content = json_object_get(x, "content");
    if (json_object_get(x, "include"))
        return take_include(c, x);
    if (json_object_size(x) != 2 || !role || !json_is_string(content) ||
        (strcmp(role, "system") != 0 && strcmp(role, "user") != 0 &&
         strcmp(role, "assistant") != 0)) {
        WRONG(c, "a message has a \"role\" (system, user, assistant) and a text \"content\"",
              "消息需要“role”（system、user、assistant）和文本“content”");
        return NULL;
    }
    if (memchr(json_string_value(content), '\0', json_string_length(content))) {
        WRONG(c, "contains a NUL character", "含有 NUL 字符");
        return NULL;
    }
    json_t *text = normal_text(json_string_value(content), json_string_length(content));
    if (!text) {
        WRONG(c, "the message is too long", "消息过长");
        return NULL;
    }
    return json_pack("{s:s, s:o}", "role", role, "content", text);
}

static json_t *take_messages(struct checking *c, json_t *x)
{
    size_t n = json_array_size(x), i;
    json_t *one;
    if (!json_is_array(x) || n == 0 || n > CONTENT_MAX_MESSAGES) {
        WRONG(c, "must be an array of 1 to %d messages", "必须是 1 到 %d 条消息组成的数组",
              CONTENT_MAX_MESSAGES);
        return NULL;
    }
    json_t *out = json_array();
    json_array_foreach (x, i, one) {
        char at[40];
        snprintf(at, sizeof at, "messages[%zu]", i);
        struct checking inner = {.f = c->f, .at = at};
        json_t *taken = take_message(&inner, one);
        if (taken)
            json_array_append_new(out, taken);
    }
    return out;
}

/* ---- the object ---- */

static const struct {
    const char *name;
    json_t *(*take)(struct checking *c, json_t *x);
    enum canon_keys keys;
} fields[] = {
    {"messages", take_messages, CANON_SORTED},
    {"title", take_words, CANON_SORTED},
    {"description", take_words, CANON_SORTED},
    {"lang", take_lang, CANON_SORTED},
    {"variables", take_variables, CANON_SORTED},
    {"model", take_model, CANON_SORTED},
    {"settings", take_settings, CANON_SORTED},
    {"tools", take_tools, CANON_AS_GIVEN},
    {"response_schema", take_object, CANON_AS_GIVEN},
    {"example", take_example, CANON_SORTED},
    {"tests", take_tests, CANON_SORTED},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

static int find_field(const char *name)
{
    for (int i = 0; i < N_FIELDS; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return i;
    }
    return -1;
}

enum canon_keys content_key_order(const char *field)
{
    int i = find_field(field);
    return i < 0 ? CANON_SORTED : fields[i].keys;
}

static void check_size(const json_t *content, struct findings *f)
{
    char *text = NULL;
    size_t len;
    struct err e = ERR_INIT;
    uint8_t hash[CANON_HASH_BYTES];
    if (!content_canonical(content, &text, &len, hash, &e))
        findings_add(f, FINDING_ERROR, "too-long", "", "%s", "内容过长：%s", e.msg);
    free(text);
}

json_t *content_check(const json_t *given, struct findings *f)
{
    const char *key;
    json_t *x;
    size_t before = f->errors;
    if (!json_is_object(given)) {
        findings_add(f, FINDING_ERROR, "bad-field", "", "must be an object", "必须是对象");
        return NULL;
    }
    json_t *out = json_object();
    json_object_foreach (json_iterable(given), key, x) {
        int i = find_field(key);
        struct checking c = {.f = f, .at = key};
        if (i < 0)
            findings_add(f, FINDING_ERROR, "unknown-field", "", "there is no field \"%.80s\"",
                         "没有名为“%.80s”的字段", key);
        json_t *taken = i < 0 || json_is_null(x) ? NULL : fields[i].take(&c, x);
        if (taken)
            json_object_set_new(out, key, taken);
    }
    if (!json_object_get(out, "messages") && f->errors == before)
        findings_add(f, FINDING_ERROR, "bad-field", "messages", "a template needs messages",
                     "模板需要消息");
    if (f->errors == before)
        check_size(out, f);
    if (f->errors == before)
        return out;
    json_decref(out);
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(fields[*(const int *)a].name, fields[*(const int *)b].name);
}

bool content_canonical(const json_t *content, char **text, size_t *len,
                       uint8_t hash[CANON_HASH_BYTES], struct err *e)
{
    int order[N_FIELDS];
    struct buf b;
    *text = NULL;
    for (int i = 0; i < N_FIELDS; i++)
        order[i] = i;
    qsort(order, N_FIELDS, sizeof *order, by_name);
    buf_init(&b, CONTENT_MAX_BYTES);
    buf_putc(&b, '{');
    for (int i = 0; i < N_FIELDS; i++) {
        const json_t *x = json_object_get(content, fields[order[i]].name);
        if (!x)
            continue;
        buf_printf(&b, "%s\"%s\":", b.len > 1 ? "," : "", fields[order[i]].name);
        canon_append(&b, x, fields[order[i]].keys);
    }
    buf_putc(&b, '}');
    if (b.failed) {
        buf_release(&b);
        FAIL(e, ERR_LIMIT, "a template version has at most %d bytes", CONTENT_MAX_BYTES);
    }
    *len = b.len;
    *text = buf_take(&b);
    if (hash_sha256(*text, *len, hash, e))
        return true;
    free(*text);
    *text = NULL;
    return false;
}
