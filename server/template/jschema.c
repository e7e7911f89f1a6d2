/* Owns: the JSON Schema subset: one table row per keyword, each with a function that checks the
 * keyword's own form and, when there is a value, the value against it. */
#include <config.h>

#include "template/jschema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "template/canon.h"
#include "template/regex.h"

/* One place in the schema and, unless only the schema is checked, in the value. */
struct visit {
    const json_t *schema, *value; /* value NULL: schema only */
    const char *path;             /* JSON pointer of the value, "" = the root */
    unsigned depth;
};

static bool visit(const struct visit *v, struct err *e);

static bool descend(const struct visit *v, const json_t *schema, const json_t *value,
                    const char *key, size_t index, struct err *e)
{
    char path[160];
    if (key)
        snprintf(path, sizeof path, "%s/%s", v->path, key);
    else
        snprintf(path, sizeof path, "%s/%zu", v->path, index);
    struct visit next = {.schema = schema, .value = value, .path = path, .depth = v->depth + 1};
    return visit(&next, e);
}

#define BAD_SCHEMA(e, keyword, what)                                                               \
    FAIL(e, ERR_FORMAT, "JSON Schema at \"%s\": \"%s\" must be %s", v->path, keyword, what)
#define MISFIT(e, ...)                                                                             \
    do {                                                                                           \
        err_set(e, ERR_ARG, 0, __FILE__, __LINE__, __VA_ARGS__);                                   \
        return err_prefix(e, "at \"%s\"", v->path);                                                \
    } while (0)

/* ---- type, enum, const ---- */

static bool is_type(const json_t *value, const char *type)
{
    if (strcmp(type, "integer") == 0)
        return json_is_integer(value) ||
               (json_is_real(value) && floor(json_real_value(value)) == json_real_value(value));
    return (strcmp(type, "object") == 0 && json_is_object(value)) ||
           (strcmp(type, "array") == 0 && json_is_array(value)) ||
           (strcmp(type, "string") == 0 && json_is_string(value)) ||
           (strcmp(type, "number") == 0 && json_is_number(value)) ||
           (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
           (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool known_type(const json_t *type)
{
    static const char names[] = " object array string number integer boolean null ";
    char padded[24];
    if (!json_is_string(type) || json_string_length(type) > 10)
        return false;
    snprintf(padded, sizeof padded, " %s ", json_string_value(type));
    return strlen(padded) > 2 && strstr(names, padded);
}

static bool kw_type(const struct visit *v, const json_t *k, struct err *e)
{
    size_t n = json_is_array(k) ? json_array_size(k) : 1;
    bool fits = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(k) ? json_array_get(k, i) : k;
        if (!known_type(one))
            BAD_SCHEMA(e, "type", "the name of a JSON type or an array of such names");
        fits = fits || (v->value && is_type(v->value, json_string_value(one)));
    }
    if (v->value && !fits)
        MISFIT(e, "the value has another type than the schema says (%s)",
               json_is_string(k) ? json_string_value(k) : "one of several");
    return true;
}

/* Equality of JSON Schema: 1 and 1.0 are the same number. */
static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static bool kw_enum(const struct visit *v, const json_t *k, struct err *e)
{
    if (!json_is_array(k) || json_array_size(k) == 0)
        BAD_SCHEMA(e, "enum", "an array that is not empty");
    for (size_t i = 0; v->value && i < json_array_size(k); i++) {
        if (same(json_array_get(k, i), v->value))
            return true;
    }
    if (v->value)
        MISFIT(e, "the value is none of those that \"enum\" lists");
    return true;
}

static bool kw_const(const struct visit *v, const json_t *k, struct err *e)
{
    if (v->value && !same(k, v->value))
        MISFIT(e, "the value is not the one that \"const\" says");
    return true;
}

/* ---- objects ---- */

static bool kw_properties(const struct visit *v, const json_t *k, struct err *e)
{
    const char *key;
    json_t *sub;
    if (!json_is_object(k))
        BAD_SCHEMA(e, "properties", "an object of schemas");
    json_object_foreach (json_iterable(k), key, sub) {
        const json_t *x = json_is_object(v->value) ? json_object_get(v->value, key) : NULL;
        if ((x || !v->value) && !descend(v, sub, x, key, 0, e))
            return false;
    }
    return true;
}

static bool kw_required(const struct visit *v, const json_t *k, struct err *e)
{
    if (!json_is_array(k))
        BAD_SCHEMA(e, "required", "an array of names");
    for (size_t i = 0; i < json_array_size(k); i++) {
        const char *name = json_string_value(json_array_get(k, i));
        if (!name)
            BAD_SCHEMA(e, "required", "an array of names");
        if (json_is_object(v->value) && !json_object_get(v->value, name))
            MISFIT(e, "\"%s\" is missing", name);
    }
    return true;
}

static bool kw_additional(const struct visit *v, const json_t *k, struct err *e)
{
    const json_t *known = json_object_get(v->schema, "properties");
    const char *key;
    json_t *x;
    if (!json_is_boolean(k) && !json_is_object(k))
        BAD_SCHEMA(e, "additionalProperties", "true, false or a schema");
    if (!v->value)
        return json_is_boolean(k) || descend(v, k, NULL, "*", 0, e);
    if (!json_is_object(v->value) || json_is_true(k))
        return true;
    json_object_foreach (json_iterable(v->value), key, x) {
        if (json_object_get(known, key))
            continue;
        if (json_is_false(k))
            MISFIT(e, "\"%s\" is not allowed here", key);
        if (!descend(v, k, x, key, 0, e))
            return false;
    }
    return true;
}

/* ---- arrays ---- */

static bool kw_items(const struct visit *v, const json_t *k, struct err *e)
{
    if (!v->value)
        return descend(v, k, NULL, "*", 0, e);
    for (size_t i = 0; json_is_array(v->value) && i < json_array_size(v->value); i++) {
        if (!descend(v, k, json_array_get(v->value, i), NULL, i, e))
            return false;
    }
    return true;
}

/* ---- numbers against numbers ---- */

static size_t characters(const json_t *string)
{
    const char *s = json_string_value(string);
    size_t n = 0;
    for (size_t i = 0; i < json_string_length(string); i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

struct bound {
    const char *name;
    enum { OF_NUMBER, OF_TEXT, OF_ARRAY } what;
    int sign;    /* -1: at least, +1: at most */
    bool strict; /* the bound itself does not fit */
};

static bool bounded(const struct visit *v, const struct bound *b, const json_t *k, struct err *e)
{
    double x, limit = json_number_value(k);
    if (!json_is_number(k) || (b->what != OF_NUMBER && limit < 0))
        BAD_SCHEMA(e, b->name, "a number");
    if (b->what == OF_NUMBER && json_is_number(v->value))
        x = json_number_value(v->value);
    else if (b->what == OF_TEXT && json_is_string(v->value))
        x = (double)characters(v->value);
    else if (b->what == OF_ARRAY && json_is_array(v->value))
        x = (double)json_array_size(v->value);
    else
        return true;
    double beyond = b->sign < 0 ? limit - x : x - limit;
    if (beyond > 0 || (b->strict && beyond == 0))
        MISFIT(e, "%g does not fit \"%s\": %g", x, b->name, limit);
    return true;
}

static const struct bound bounds[] = {
    {"minimum", OF_NUMBER, -1, false},         {"maximum", OF_NUMBER, 1, false},
    {"exclusiveMinimum", OF_NUMBER, -1, true}, {"exclusiveMaximum", OF_NUMBER, 1, true},
    {"minLength", OF_TEXT, -1, false},         {"maxLength", OF_TEXT, 1, false},
    {"minItems", OF_ARRAY, -1, false},         {"maxItems", OF_ARRAY, 1, false},
};

static bool kw_pattern(const struct visit *v, const json_t *k, struct err *e)
{
    struct regex *r;
    bool matches = true, ok;
    if (!json_is_string(k))
        BAD_SCHEMA(e, "pattern", "a regular expression");
    if (!regex_compile(json_string_value(k), json_string_length(k), REGEX_SOMEWHERE, &r, e))
        return false;
    ok = !json_is_string(v->value) ||
         regex_match(r, json_string_value(v->value), json_string_length(v->value), &matches, e);
    regex_destroy(&r);
    if (ok && !matches)
        MISFIT(e, "the text does not match \"%s\"", json_string_value(k));
    return ok;
}

/* ---- the walk ---- */

static const struct {
    const char *name;
    bool (*fn)(const struct visit *v, const json_t *k, struct err *e);
} keywords[] = {
    {"type", kw_type},         {"enum", kw_enum},
    {"const", kw_const},       {"properties", kw_properties},
    {"required", kw_required}, {"additionalProperties", kw_additional},
    {"items", kw_items},       {"pattern", kw_pattern},
    {"$schema", NULL},         {"$id", NULL},
    {"$comment", NULL},        {"title", NULL},
    {"description", NULL},     {"default", NULL},
    {"examples", NULL},        {"format", NULL},
};

static bool visit_keyword(const struct visit *v, const char *name, const json_t *k, struct err *e)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (strcmp(keywords[i].name, name) == 0)
            return !keywords[i].fn || keywords[i].fn(v, k, e);
    }
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        if (strcmp(bounds[i].name, name) == 0)
            return bounded(v, &bounds[i], k, e);
    }
    FAIL(e, ERR_UNSUPPORTED, "JSON Schema at \"%s\": the keyword \"%s\" is not supported", v->path,
         name);
}

static bool visit(const struct visit *v, struct err *e)
{
    const char *name;
    json_t *k;
    if (v->depth > JSCHEMA_MAX_DEPTH)
        FAIL(e, ERR_LIMIT, "the JSON Schema is nested deeper than %d", JSCHEMA_MAX_DEPTH);
    if (json_is_true(v->schema))
        return true;
    if (json_is_false(v->schema)) {
        if (v->value)
            MISFIT(e, "nothing is allowed here");
        return true;
    }
    if (!json_is_object(v->schema))
        FAIL(e, ERR_FORMAT, "JSON Schema at \"%s\": a schema is an object", v->path);
    json_object_foreach (json_iterable(v->schema), name, k) {
        if (!visit_keyword(v, name, k, e))
            return false;
    }
    return true;
}

bool jschema_check(const json_t *schema, struct err *e)
{
    return visit(&(struct visit){.schema = schema, .path = ""}, e);
}

bool jschema_validate(const json_t *schema, const json_t *value, struct err *e)
{
    return visit(&(struct visit){.schema = schema, .value = value, .path = ""}, e);
}
