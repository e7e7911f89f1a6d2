/* Owns: the exchange with JSON. Writing follows Python's json.dumps byte for byte (spacing,
 * escapes, numbers); reading is jansson's. Refuses to know which style a caller wants by default.
 */
#include <config.h>

#include "template/jjson.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "template/jrun.h"
#include "template/jsort.h"
#include "template/jtext.h"

/* jansson's own memory while reading is not counted by the arena; this keeps it small. */
enum { MAX_PARSE_BYTES = 1 << 20 };

/* ---- reading ---- */

struct reader {
    struct jrun *r;
    bool data;
    bool copy; /* texts are copied to the arena, the JSON value dies soon */
};

static struct jval read_text(const struct reader *in, const char *p, size_t n)
{
    struct jstr s = {.p = p, .n = n, .mark = in->data ? JSTR_DATA : NULL};
    if (!jrun_work(in->r, n))
        return JVAL_NONE;
    if (!utf8_valid(p, n))
        return JFAIL(in->r, ERR_ARG, "a text among the variables is not valid UTF-8");
    if (in->copy && n) {
        char *own = jrun_alloc(in->r, n, 1);
        if (!own)
            return JVAL_NONE;
        memcpy(own, p, n);
        s.p = own;
    }
    return jval_str(s);
}

static struct jval read_value(const struct reader *in, json_t *j);

static struct jval read_array(const struct reader *in, json_t *j)
{
    size_t n = json_array_size(j);
    struct jval *items = jrun_alloc(in->r, n, sizeof *items);
    for (size_t i = 0; i < n && !in->r->failed; i++)
        items[i] = read_value(in, json_array_get(j, i));
    return in->r->failed ? JVAL_NONE : jval_list(jlist_view(in->r, items, n, JLIST_LIST));
}

static struct jval read_object(const struct reader *in, json_t *j)
{
    struct jdict *d = jdict_new(in->r);
    for (void *at = json_object_iter(j); at && !in->r->failed; at = json_object_iter_next(j, at)) {
        struct jval key = read_text(in, json_object_iter_key(at), json_object_iter_key_len(at));
        jdict_set(in->r, d, key, read_value(in, json_object_iter_value(at)));
    }
    return in->r->failed ? JVAL_NONE : jval_dict(d);
}

static struct jval read_any(const struct reader *in, json_t *j)
{
    struct jval v;
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return read_object(in, j);
    case JSON_ARRAY:
        return read_array(in, j);
    case JSON_STRING:
        return read_text(in, json_string_value(j), json_string_length(j));
    case JSON_INTEGER:
        v = jval_int(json_integer_value(j));
        break;
    case JSON_REAL:
        v = jval_float(json_real_value(j));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v = jval_bool(json_is_true(j));
        break;
    default:
        return JVAL_NONE;
    }
    v.data = in->data;
    return v;
}

static struct jval read_value(const struct reader *in, json_t *j)
{
    if (!j || !jrun_enter(in->r))
        return JVAL_NONE;
    struct jval v = read_any(in, j);
    jrun_leave(in->r);
    return v;
}

struct jval jjson_value(struct jrun *r, json_t *j, bool data)
{
    return read_value(&(struct reader){.r = r, .data = data}, j);
}

struct jval jjson_parse(struct jrun *r, struct jstr text)
{
    json_error_t why;
    if (text.n > MAX_PARSE_BYTES)
        return JFAIL(r, ERR_LIMIT, "from_json reads at most %d bytes", MAX_PARSE_BYTES);
    json_t *j = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!j)
        return JFAIL(r, ERR_FORMAT, "from_json: %s", why.text);
    struct jval v = read_value(&(struct reader){.r = r, .data = jstr_any_data(text), .copy = true},
                               j);
    json_decref(j);
    return v;
}

/* ---- writing ---- */

struct writer {
    struct jrun *r;
    struct jsb *b;
    const struct jjson_style *style;
    size_t level;
};

static void write_escaped(struct writer *w, uint32_t cp, const unsigned char *mark)
{
    static const char plain[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    char text[32];
    for (size_t i = 0; plain[i]; i += 2) {
        if ((uint32_t)plain[i] == cp) {
            snprintf(text, sizeof text, "\\%c", plain[i + 1]);
            jsb_add(w->b, text, 2, mark);
            return;
        }
    }
    if (cp < 0x10000)
        snprintf(text, sizeof text, "\\u%04" PRIx32, cp);
    else
        snprintf(text, sizeof text, "\\u%04" PRIx32 "\\u%04" PRIx32,
                 0xD800 + ((cp - 0x10000) >> 10), 0xDC00 + ((cp - 0x10000) & 0x3FF));
    jsb_add(w->b, text, strlen(text), mark);
}

static void write_string(struct writer *w, struct jstr s)
{
    size_t run = 0; /* start of what needs no escape */
    jsb_text(w->b, "\"");
    for (size_t at = 0; at < s.n && !w->r->failed;) {
        size_t begin = at;
        uint32_t cp = jstr_next(s, &at);
        if (cp >= 0x20 && cp != '"' && cp != '\\' && !(w->style->ascii && cp >= 0x7F))
            continue;
        jsb_str(w->b, jstr_sub(s, run, begin - run));
        write_escaped(w, cp, jstr_mark_at(s, begin));
        run = at;
    }
    jsb_str(w->b, jstr_sub(s, run, s.n - run));
    jsb_text(w->b, "\"");
}

static void write_number(struct writer *w, struct jval v)
{
    char text[JTEXT_NUMBER_BYTES];
    if (v.type == J_INT)
        snprintf(text, sizeof text, "%" PRId64, v.i);
    else if (isfinite(v.f))
        jtext_float(v.f, text);
    else
        snprintf(text, sizeof text, "%s", isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
    jsb_add(w->b, text, strlen(text), v.data ? JSTR_DATA : NULL);
}

static void new_line(struct writer *w)
{
    if (!w->style->pretty)
        return;
    jsb_text(w->b, "\n");
    jsb_repeat(w->b, w->style->indent, w->level);
}

static void write_value(struct writer *w, struct jval v);

static void write_list(struct writer *w, const struct jlist *l)
{
    jsb_text(w->b, "[");
    w->level++;
    for (size_t i = 0; i < l->n && !w->r->failed; i++) {
        if (i)
            jsb_str(w->b, w->style->item_separator);
        new_line(w);
        write_value(w, l->items[i]);
    }
    w->level--;
    if (l->n)
        new_line(w);
    jsb_text(w->b, "]");
}

static void write_key(struct writer *w, struct jval key)
{
    if (key.type == J_STR) {
        write_string(w, key.s);
    } else if (key.type == J_NONE || jval_is_number(key)) {
        jsb_text(w->b, "\"");
        write_value(w, key);
        jsb_text(w->b, "\"");
    } else {
        JFAIL(w->r, ERR_FORMAT, "tojson: '%s' cannot be the key of an object", jval_type_name(key));
    }
}

/* Entries in the order they are written. */
static struct jsort_item *ordered(struct writer *w, const struct jdict *d)
{
    struct jsort_item *items = jrun_alloc(w->r, d->n, sizeof *items);
    for (size_t i = 0; items && i < d->n; i++)
        items[i] = (struct jsort_item){.key = d->entry[i].key, .value = d->entry[i].value};
    if (items && w->style->sort_keys)
        jsort(w->r, items, d->n, false);
    return items;
}

static void write_dict(struct writer *w, const struct jdict *d)
{
    struct jsort_item *items = ordered(w, d);
    jsb_text(w->b, "{");
    w->level++;
    for (size_t i = 0; i < d->n && !w->r->failed; i++) {
        if (i)
            jsb_str(w->b, w->style->item_separator);
        new_line(w);
        write_key(w, items[i].key);
        jsb_str(w->b, w->style->key_separator);
        write_value(w, items[i].value);
    }
    w->level--;
    if (d->n)
        new_line(w);
    jsb_text(w->b, "}");
}

static void write_any(struct writer *w, struct jval v)
{
    switch (v.type) {
    case J_NONE:
        jsb_text(w->b, "null");
        break;
    case J_BOOL:
        jsb_text(w->b, v.b ? "true" : "false");
        break;
    case J_INT:
    case J_FLOAT:
        write_number(w, v);
        break;
    case J_STR:
        write_string(w, v.s);
        break;
    case J_LIST:
        write_list(w, v.list);
        break;
    case J_DICT:
        write_dict(w, v.dict);
        break;
    case J_UNDEF:
        jval_fail_undef(w->r, v);
        break;
    default:
        JFAIL(w->r, ERR_FORMAT, "tojson: a value of type '%s' has no JSON form", jval_type_name(v));
    }
}

static void write_value(struct writer *w, struct jval v)
{
    if (jrun_enter(w->r)) {
        write_any(w, v);
        jrun_leave(w->r);
    }
}

bool jjson_dump(struct jrun *r, struct jsb *b, struct jval v, const struct jjson_style *style)
{
    struct writer w = {.r = r, .b = b, .style = style};
    write_value(&w, v);
    return !r->failed;
}
