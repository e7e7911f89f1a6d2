/* Owns: the types of variables: one table row each, with a function that checks a value against its
 * declaration. Refuses to know: templates, and where values come from. */
#include <config.h>

#include "template/variables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "template/canon.h"
#include "template/regex.h"

struct variable;

/* What is being checked; findings go to "variables.NAME" or deeper. */
struct reading {
    const struct variable *var;
    struct findings *f;
    char at[160];
};

struct type {
    const char *name;
    /* A new reference to the value as the template sees it; NULL after a finding. */
    json_t *(*read)(struct reading *r, json_t *value);
    /* Fields of the declaration beyond those that all have. */
    bool has_bounds, has_pattern, has_options, has_columns;
};

struct variable {
    const char *name; /* borrowed from the declaration */
    const struct type *type;
    const json_t *declaration;
    struct regex *pattern; /* owned, may be NULL */
    bool required;
};

struct variables {
    json_t *declarations; /* owned reference */
    size_t n;
    struct variable *var; /* [n], owned */
};

#define WRONG(r, code, en, ...) findings_add((r)->f, FINDING_ERROR, code, (r)->at, en, __VA_ARGS__)

/* ---- values of each type ---- */

static size_t characters(const char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

/* `what_*`: what is counted. */
static bool fits_bounds(struct reading *r, double x, const char *what_en, const char *what_zh)
{
    const json_t *min = json_object_get(r->var->declaration, "min");
    const json_t *max = json_object_get(r->var->declaration, "max");
    if (json_is_number(min) && x < json_number_value(min)) {
        WRONG(r, "too-small", "%.15g%.0s is less than %.15g%s", "%.15g%s少于最小值 %.15g%.0s", x,
              what_zh, json_number_value(min), what_en);
        return false;
    }
    if (json_is_number(max) && x > json_number_value(max)) {
        WRONG(r, "too-large", "%.15g%.0s is more than %.15g%s", "%.15g%s超过最大值 %.15g%.0s", x,
              what_zh, json_number_value(max), what_en);
        return false;
    }
    return true;
}

static bool is_string(struct reading *r, const json_t *value)
{
    if (json_is_string(value))
        return true;
    WRONG(r, "wrong-type", "must be a text", "必须是文本");
    return false;
}

static json_t *read_text(struct reading *r, json_t *value)
{
    const char *s = json_string_value(value);
    size_t len = json_string_length(value);
    bool matches = true;
    struct err e = ERR_INIT;
    if (!is_string(r, value) ||
        !fits_bounds(r, (double)characters(s, len), " characters", " 个字符，"))
        return NULL;
    if (r->var->pattern && !regex_match(r->var->pattern, s, len, &matches, &e)) {
        WRONG(r, "pattern", "%s", "无法按模式检查：%s", e.msg);
        return NULL;
    }
    if (matches)
        return json_incref(value);
    WRONG(r, "pattern", "does not match the pattern %s", "不符合模式 %s",
          json_string_value(json_object_get(r->var->declaration, "pattern")));
    return NULL;
}

static json_t *read_number(struct reading *r, json_t *value)
{
    if (!json_is_number(value)) {
        WRONG(r, "wrong-type", "must be a number", "必须是数字");
        return NULL;
    }
    double x = json_number_value(value);
    if (!fits_bounds(r, x, "", ""))
        return NULL;
    if (json_is_real(value) && floor(x) == x && fabs(x) < 9007199254740992.0)
        return json_integer((json_int_t)x);
    return json_incref(value);
}

static bool is_date(const char *s, size_t len)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (len != 10 || s[4] != '-' || s[7] != '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (i != 4 && i != 7 && (s[i] < '0' || s[i] > '9'))
            return false;
    }
    int y = (s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0');
    int m = (s[5] - '0') * 10 + (s[6] - '0');
    int d = (s[8] - '0') * 10 + (s[9] - '0');
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return y >= 1 && m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1] + (m == 2 && leap);
}

static json_t *read_date(struct reading *r, json_t *value)
{
    const char *s = json_string_value(value);
    if (!is_string(r, value))
        return NULL;
    if (!is_date(s, json_string_length(value))) {
        WRONG(r, "not-a-date", "must be a day of the calendar written YYYY-MM-DD",
              "必须是有效日期，格式为 YYYY-MM-DD");
        return NULL;
    }
    const char *min = json_string_value(json_object_get(r->var->declaration, "min"));
    const char *max = json_string_value(json_object_get(r->var->declaration, "max"));
    if (min && strcmp(s, min) < 0) {
        WRONG(r, "too-small", "must not be before %s", "不得早于 %s", min);
        return NULL;
    }
    if (max && strcmp(s, max) > 0) {
        WRONG(r, "too-large", "must not be after %s", "不得晚于 %s", max);
        return NULL;
    }
    return json_incref(value);
}

/* Options and columns are texts, or objects that name them ({"value" or "name": …, "label": …}). */
static const char *entry_name(const json_t *entry)
{
    if (json_is_string(entry))
        return json_string_value(entry);
    const char *value = json_string_value(json_object_get(entry, "value"));
    return value ? value : json_string_value(json_object_get(entry, "name"));
}

static const char *find_entry(const json_t *entries, const char *name)
{
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const char *known = entry_name(json_array_get(entries, i));
        if (known && strcmp(known, name) == 0)
            return known;
    }
    return NULL;
}

static json_t *read_choice(struct reading *r, json_t *value)
{
    if (!is_string(r, value))
        return NULL;
    if (find_entry(json_object_get(r->var->declaration, "options"), json_string_value(value)))
        return json_incref(value);
    WRONG(r, "not-an-option", "\"%.80s\" is none of the options", "“%.80s”不在可选项中",
          json_string_value(value));
    return NULL;
}

static json_t *read_cell(struct reading *r, json_t *cell)
{
    double x = json_number_value(cell);
    if (json_is_real(cell) && floor(x) == x && fabs(x) < 9007199254740992.0)
        return json_integer((json_int_t)x);
    if (json_is_string(cell) || json_is_number(cell))
        return json_incref(cell);
    WRONG(r, "wrong-type", "a cell must be a text or a number", "单元格必须是文本或数字");
    return NULL;
}

/* Cells in the order of columns; a cell that is missing or null is "". */
static json_t *read_row(struct reading *r, json_t *row, const json_t *columns)
{
    const char *key;
    json_t *cell;
    if (!json_is_object(row)) {
        WRONG(r, "wrong-type", "a row must be an object of columns",
              "每一行必须是“列名: 值”的对象");
        return NULL;
    }
    json_object_foreach (row, key, cell) {
        if (!find_entry(columns, key)) {
            WRONG(r, "unknown-column", "there is no column \"%.80s\"", "没有名为“%.80s”的列", key);
            return NULL;
        }
    }
    json_t *out = json_object();
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const char *name = entry_name(json_array_get(columns, i));
        cell = json_object_get(row, name);
        json_t *one = !cell || json_is_null(cell) ? json_string("") : read_cell(r, cell);
        if (!one || json_object_set_new(out, name, one) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *read_table(struct reading *r, json_t *value)
{
    size_t n = json_array_size(value), i;
    json_t *row;
    if (!json_is_array(value)) {
        WRONG(r, "wrong-type", "must be an array of rows", "必须是由行组成的数组");
        return NULL;
    }
    if (n > VARIABLES_ROWS_MAX) {
        WRONG(r, "too-large", "has more than %d rows", "超过 %d 行", VARIABLES_ROWS_MAX);
        return NULL;
    }
    if (!fits_bounds(r, (double)n, " rows", " 行，"))
        return NULL;
    json_t *out = json_array();
    size_t base = strlen(r->at);
    json_array_foreach (value, i, row) {
        snprintf(r->at + base, sizeof r->at - base, "[%zu]", i);
        json_t *one = read_row(r, row, json_object_get(r->var->declaration, "columns"));
        if (!one) {
            json_decref(out);
            return NULL;
        }
        json_array_append_new(out, one);
        r->at[base] = '\0';
    }
    return out;
}

static const struct type types[] = {
    {.name = "text", .read = read_text, .has_bounds = true, .has_pattern = true},
    {.name = "number", .read = read_number, .has_bounds = true},
    {.name = "date", .read = read_date, .has_bounds = true},
    {.name = "choice", .read = read_choice, .has_options = true},
    {.name = "table", .read = read_table, .has_bounds = true, .has_columns = true},
    {.name = "file", .read = read_text, .has_bounds = true},
};

static const struct type *find_type(const char *name)
{
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    }
    return NULL;
}

/* ---- declarations ---- */

static bool is_name(const char *s)
{
    static const char *const taken[] = {"loop", "caller", "varargs", "kwargs", "true", "false",
                                        "none", "True",   "False",   "None",   "not",  "and",
                                        "or",   "if",     "else",    "in",     "is"};
    if (!s || !*s || strlen(s) > VARIABLES_NAME_MAX || (*s >= '0' && *s <= '9'))
        return false;
    if (strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != strlen(s))
        return false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (strcmp(taken[i], s) == 0)
            return false;
    }
    return true;
}

static void check_words(struct reading *r, const char *field)
{
    const json_t *words = json_object_get(r->var->declaration, field);
    bool ok = json_is_string(words) || json_is_object(words);
    const char *key;
    json_t *x;
    json_object_foreach (json_iterable(words), key, x)
        ok = ok && (strcmp(key, "zh") == 0 || strcmp(key, "en") == 0) && json_is_string(x);
    if (words && !ok)
        WRONG(r, "bad-field", "\"%s\" must be a text or an object with \"zh\" and \"en\"",
              "“%s”必须是文本，或含 zh、en 的对象", field);
}

static void check_bounds(struct reading *r, const char *field)
{
    const json_t *x = json_object_get(r->var->declaration, field);
    if (!x)
        return;
    bool ok = r->var->type->has_bounds;
    if (ok && strcmp(r->var->type->name, "date") == 0)
        ok = json_is_string(x) && is_date(json_string_value(x), json_string_length(x));
    else if (ok && strcmp(r->var->type->name, "number") == 0)
        ok = json_is_number(x);
    else if (ok)
        ok = json_is_integer(x) && json_integer_value(x) >= 0;
    if (!ok)
        WRONG(r, "bad-field", "\"%s\" does not fit the type %s", "“%s”与类型 %s 不符", field,
              r->var->type->name);
}

/* Options or columns: an array of different names. */
static void check_entries(struct reading *r, const char *field, bool wanted)
{
    const json_t *x = json_object_get(r->var->declaration, field);
    bool ok = wanted ? json_is_array(x) && json_array_size(x) > 0 : !x;
    for (size_t i = 0; ok && i < json_array_size(x); i++) {
        const char *name = entry_name(json_array_get(x, i));
        ok = name && *name;
        for (size_t k = 0; ok && k < i; k++)
            ok = strcmp(entry_name(json_array_get(x, k)), name) != 0;
    }
    if (ok)
        return;
    if (wanted)
        WRONG(r, "bad-field", "the type %s needs \"%s\": an array of different names",
              "类型 %s 需要“%s”：由不同名称组成的数组", r->var->type->name, field);
    else
        WRONG(r, "bad-field", "the type %s has no \"%s\"", "类型 %s 没有“%s”", r->var->type->name,
              field);
}

static void check_pattern(struct reading *r)
{
    const json_t *x = json_object_get(r->var->declaration, "pattern");
    struct regex *compiled = NULL;
    struct err e = ERR_INIT;
    if (!x)
        return;
    if (!r->var->type->has_pattern || !json_is_string(x))
        WRONG(r, "bad-field", "only the type text has a \"pattern\", which is a text",
              "只有 text 类型可以有“pattern”，且必须是文本");
    else if (!regex_compile(json_string_value(x), json_string_length(x), REGEX_WHOLE, &compiled,
                            &e))
        WRONG(r, "bad-pattern", "%s", "正则表达式有误：%s", e.msg);
    regex_destroy(&compiled);
}

static void check_default(struct reading *r, struct variable *var)
{
    json_t *fallback = json_object_get(var->declaration, "default");
    struct err e = ERR_INIT;
    const json_t *pattern = json_object_get(var->declaration, "pattern");
    if (!fallback || r->f->errors)
        return;
    if (pattern && !regex_compile(json_string_value(pattern), json_string_length(pattern),
                                  REGEX_WHOLE, &var->pattern, &e))
        return;
    size_t len = strlen(r->at);
    snprintf(r->at + len, sizeof r->at - len, ".default");
    json_decref(var->type->read(r, fallback));
    regex_destroy(&var->pattern);
}

static void check_fields(struct reading *r)
{
    static const char known[] =
        " name type required default min max pattern options columns label help ";
    const char *key;
    json_t *x;
    json_object_foreach (json_iterable(r->var->declaration), key, x) {
        char padded[64];
        snprintf(padded, sizeof padded, " %.40s ", key);
        if (!strstr(known, padded))
            WRONG(r, "unknown-field", "there is no field \"%.80s\"", "没有名为“%.80s”的字段", key);
    }
    x = json_object_get(r->var->declaration, "required");
    if (x && !json_is_boolean(x))
        WRONG(r, "bad-field", "\"required\" must be true or false",
              "“required”必须是 true 或 false");
}

static void check_one(const json_t *declaration, struct findings *f)
{
    struct variable var = {.name = json_string_value(json_object_get(declaration, "name")),
                           .declaration = declaration};
    struct reading r = {.var = &var, .f = f};
    const char *type = json_string_value(json_object_get(declaration, "type"));
    snprintf(r.at, sizeof r.at, "variables.%.80s", var.name ? var.name : "?");
    if (!is_name(var.name)) {
        WRONG(&r, "bad-name",
              "a variable needs a \"name\" of letters, digits and _ (at most %d, no word of the "
              "template language)",
              "变量需要“name”：由字母、数字和 _ 组成，最多 %d 个字符，且不是模板语言的保留字",
              VARIABLES_NAME_MAX);
        return;
    }
    var.type = find_type(type);
    if (!var.type) {
        WRONG(&r, "bad-type", "\"type\" must be text, number, date, choice, table or file",
              "“type”必须是 text、number、date、choice、table 或 file");
        return;
    }
    check_fields(&r);
    check_words(&r, "label");
    check_words(&r, "help");
    check_bounds(&r, "min");
    check_bounds(&r, "max");
    check_entries(&r, "options", var.type->has_options);
    check_entries(&r, "columns", var.type->has_columns);
    check_pattern(&r);
    check_default(&r, &var);
}

void variables_check(const json_t *declarations, struct findings *f)
{
    size_t n = json_array_size(declarations);
    if (!json_is_array(declarations) || n > VARIABLES_MAX) {
        findings_add(f, FINDING_ERROR, "bad-field", "variables",
                     "must be an array of at most %d declarations",
                     "必须是最多 %d 个声明组成的数组", VARIABLES_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(declarations, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        check_one(one, f);
        for (size_t k = 0; name && k < i; k++) {
            const char *other =
                json_string_value(json_object_get(json_array_get(declarations, k), "name"));
            if (other && strcmp(name, other) == 0)
                findings_add(f, FINDING_ERROR, "declared-twice", "variables",
                             "\"%.64s\" is declared twice", "变量“%.64s”重复声明", name);
        }
    }
}

bool variables_create(json_t *declarations, struct variables **out, struct err *e)
{
    size_t n = json_array_size(declarations);
    struct variables *v = mem_zalloc(sizeof *v);
    *out = NULL;
    v->declarations = json_incref(declarations);
    v->var = mem_calloc(n ? n : 1, sizeof *v->var);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(declarations, i);
        const json_t *pattern = json_object_get(one, "pattern");
        struct variable *var = &v->var[v->n++];
        *var = (struct variable){
            .name = json_string_value(json_object_get(one, "name")),
            .type = find_type(json_string_value(json_object_get(one, "type"))),
            .declaration = one,
            .required = json_is_true(json_object_get(one, "required")),
        };
        if (!var->name || !var->type) {
            err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "the declared variables are damaged");
            goto fail;
        }
        if (pattern)
            TRY(regex_compile(json_string_value(pattern), json_string_length(pattern), REGEX_WHOLE,
                              &var->pattern, e));
    }
    *out = v;
    return true;
fail:
    variables_destroy(&v);
    return false;
}

void variables_destroy(struct variables **v)
{
    if (!*v)
        return;
    for (size_t i = 0; i < (*v)->n; i++)
        regex_destroy(&(*v)->var[i].pattern);
    free((*v)->var);
    json_decref((*v)->declarations);
    free(*v);
    *v = NULL;
}

static const struct variable *find(const struct variables *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++) {
        if (strcmp(v->var[i].name, name) == 0)
            return &v->var[i];
    }
    return NULL;
}

/* ---- reading ---- */

static bool is_given(const json_t *value)
{
    return value && !json_is_null(value) &&
           !(json_is_string(value) && json_string_length(value) == 0);
}

static void read_one(const struct variable *var, const json_t *given, json_t *effective,
                     struct findings *f)
{
    struct reading r = {.var = var, .f = f};
    json_t *value = json_object_get(given, var->name);
    snprintf(r.at, sizeof r.at, "variables.%s", var->name);
    if (!is_given(value))
        value = json_object_get(var->declaration, "default");
    if (!is_given(value)) {
        if (var->required)
            WRONG(&r, "missing", "is required", "必须填写");
        return;
    }
    json_t *one = var->type->read(&r, value);
    if (one)
        json_object_set_new(effective, var->name, one);
}

void variables_read(const struct variables *v, const json_t *given, json_t **effective,
                    struct findings *f)
{
    const char *key;
    json_t *x;
    *effective = NULL;
    size_t before = f->errors;
    if (given && !json_is_object(given)) {
        findings_add(f, FINDING_ERROR, "wrong-type", "variables", "must be an object",
                     "必须是对象");
        return;
    }
    json_t *out = json_object();
    json_object_foreach (json_iterable(given), key, x) {
        if (!find(v, key))
            findings_add(f, FINDING_ERROR, "unknown-variable", "variables",
                         "the template has no variable \"%.64s\"", "模板没有变量“%.64s”", key);
    }
    for (size_t i = 0; i < v->n; i++)
        read_one(&v->var[i], given, out, f);
    if (f->errors > before)
        json_decref(out);
    else
        *effective = out;
}
