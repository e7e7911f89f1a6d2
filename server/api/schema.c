/* Owns: how a table row is applied to a JSON value and how it is documented.
 * Refuses to know: any particular field. */
#include <config.h>

#include "api/schema.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static const char *json_kind(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

bool schema_fail_type(const struct schema_field *f, const char *what, struct api_error *e)
{
    return api_fail(e, API_INVALID_VALUE, f->name, "'%s' must be %s.", f->name, what);
}

static bool wrong_kind(const struct schema_field *f, const char *want, const json_t *v,
                       struct api_error *e)
{
    return api_fail(e, API_INVALID_VALUE, f->name, "'%s' must be %s, not %s.", f->name, want,
                    json_kind(v));
}

static bool read_int(const struct schema_field *f, const json_t *v, int64_t *out,
                     struct api_error *e)
{
    double as_real = json_number_value(v);
    if (!json_is_integer(v) && !(json_is_real(v) && as_real == floor(as_real)))
        return wrong_kind(f, "an integer", v, e);
    if (as_real < f->min || as_real > f->max)
        return api_fail(e, API_INVALID_VALUE, f->name,
                        "'%s' must be an integer from %.0f to %.0f.", f->name, f->min, f->max);
    *out = json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)as_real;
    return true;
}

static bool read_number(const struct schema_field *f, const json_t *v, double *out,
                        struct api_error *e)
{
    if (!json_is_number(v))
        return wrong_kind(f, "a number", v, e);
    double x = json_number_value(v);
    if (!(x >= f->min && x <= f->max))
        return api_fail(e, API_INVALID_VALUE, f->name, "'%s' must be a number from %g to %g.",
                        f->name, f->min, f->max);
    *out = x;
    return true;
}

static bool read_string(const struct schema_field *f, const json_t *v, const char **out,
                        struct api_error *e)
{
    if (!json_is_string(v))
        return wrong_kind(f, "a string", v, e);
    size_t len = json_string_length(v);
    if ((double)len < f->min || (double)len > f->max)
        return api_fail(e, API_INVALID_VALUE, f->name, "'%s' must have %.0f to %.0f bytes.",
                        f->name, f->min, f->max);
    *out = json_string_value(v);
    return true;
}

static bool is_empty_value(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return json_object_size(v) == 0;
    case JSON_ARRAY:
        return json_array_size(v) == 0;
    case JSON_STRING:
        return json_string_length(v) == 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(v) == 0;
    case JSON_TRUE:
        return false;
    default:
        return true;
    }
}

static bool is_fixed_value(const struct schema_field *f, const json_t *v)
{
    if (json_is_boolean(v))
        return !strcmp(f->values, json_is_true(v) ? "true" : "false");
    if (json_is_string(v))
        return !strcmp(f->values, json_string_value(v));
    char text[32];
    snprintf(text, sizeof text, "%g", json_number_value(v));
    return json_is_number(v) && !strcmp(f->values, text);
}

static bool read_field(const struct schema_field *f, const json_t *v, void *target,
                       struct api_error *e)
{
    void *member = (char *)target + f->offset;
    switch (f->type) {
    case SCHEMA_BOOL:
        if (!json_is_boolean(v))
            return wrong_kind(f, "true or false", v, e);
        *(bool *)member = json_is_true(v);
        return true;
    case SCHEMA_INT:
        return read_int(f, v, member, e);
    case SCHEMA_NUMBER:
        return read_number(f, v, member, e);
    case SCHEMA_STRING:
        return read_string(f, v, member, e);
    case SCHEMA_CUSTOM:
        return f->parse(f, v, target, e);
    case SCHEMA_FIXED:
        if (is_fixed_value(f, v))
            return true;
        return api_fail(e, API_NOT_SUPPORTED, f->name,
                        "'%s' other than %s is not supported yet; leave the field out.", f->name,
                        f->values);
    case SCHEMA_REFUSED:
        if (is_empty_value(v))
            return true;
        return api_fail(e, API_NOT_SUPPORTED, f->name,
                        "'%s' is not supported yet; leave the field out.", f->name);
    default:
        return true;
    }
}

bool schema_read(const struct schema *s, const json_t *object, void *target, struct api_error *e)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct schema_field *f = &s->fields[i];
        const json_t *v = json_object_get(object, f->name);
        if (!v || json_is_null(v)) {
            if (f->required)
                return api_fail(e, API_MISSING_FIELD, f->name, "'%s' is required.", f->name);
            continue;
        }
        if (!read_field(f, v, target, e))
            return false;
    }
    return true;
}

static void print_range(const struct schema_field *f, FILE *out)
{
    switch (f->type) {
    case SCHEMA_BOOL:
        fputs("true or false", out);
        break;
    case SCHEMA_INT:
        fprintf(out, "integer %.0f to %.0f", f->min, f->max);
        break;
    case SCHEMA_NUMBER:
        fprintf(out, "number %g to %g", f->min, f->max);
        break;
    case SCHEMA_STRING:
        fprintf(out, "string, %.0f to %.0f bytes", f->min, f->max);
        break;
    case SCHEMA_CUSTOM:
        fputs(f->values, out);
        break;
    case SCHEMA_FIXED:
        fprintf(out, "only %s", f->values);
        break;
    case SCHEMA_REFUSED:
        fputs("refused", out);
        break;
    case SCHEMA_ELSEWHERE:
        fputs(f->values, out);
        break;
    default:
        fputs("ignored", out);
        break;
    }
}

void schema_print(const struct schema *s, FILE *out)
{
    fprintf(out, "## %s\n\n| Field | Accepts | Default | Meaning |\n|---|---|---|---|\n", s->title);
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct schema_field *f = &s->fields[i];
        fprintf(out, "| `%s` | ", f->name);
        print_range(f, out);
        const char *otherwise = f->required ? "required" : "-";
        fprintf(out, " | %s | %s |\n", f->fallback ? f->fallback : otherwise, f->doc ? f->doc : "");
    }
    fputs("\nFields not listed are accepted and ignored.\n\n", out);
}
