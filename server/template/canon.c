/* Owns: the canonical text of a JSON value. Refuses to know: what the value means.
 *
 * Recursion follows the nesting of the value, which the parser bounds (jansson: 2048).
 */
#include <config.h>

#include "template/canon.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

struct writer {
    struct buf *out;
    enum canon_keys keys;
    bool pretty;
    unsigned level;
};

static void put(struct writer *w, const json_t *j);

static void put_string(struct buf *out, const char *s, size_t len)
{
    static const char short_forms[] = "\b\f\n\r\t\"\\";
    static const char letters[] = "bfnrt\"\\";
    buf_putc(out, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *at = c ? strchr(short_forms, c) : NULL;
        if (at) {
            buf_putc(out, '\\');
            buf_putc(out, letters[at - short_forms]);
        } else if (c < 0x20) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_putc(out, (char)c);
        }
    }
    buf_putc(out, '"');
}

static void put_real(struct buf *out, double v)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_puts(out, text);
    if (!strpbrk(text, ".e"))
        buf_puts(out, ".0");
}

static void new_line(struct writer *w)
{
    if (!w->pretty)
        return;
    buf_putc(w->out, '\n');
    for (unsigned i = 0; i < w->level; i++)
        buf_puts(w->out, "  ");
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keys are borrowed from the object. */
static const char **ordered_keys(const struct writer *w, json_t *object, size_t n)
{
    const char **keys = mem_calloc(n ? n : 1, sizeof *keys);
    const char *key;
    json_t *value;
    size_t at = 0;
    json_object_foreach (object, key, value)
        keys[at++] = key;
    if (w->keys == CANON_SORTED)
        qsort(keys, n, sizeof *keys, by_bytes);
    return keys;
}

static void put_object(struct writer *w, json_t *object)
{
    size_t n = json_object_size(object);
    const char **keys = ordered_keys(w, object, n);
    buf_putc(w->out, '{');
    w->level++;
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(w->out, ',');
        new_line(w);
        put_string(w->out, keys[i], strlen(keys[i]));
        buf_puts(w->out, w->pretty ? ": " : ":");
        put(w, json_object_get(object, keys[i]));
    }
    w->level--;
    if (n)
        new_line(w);
    buf_putc(w->out, '}');
    free(keys);
}

static void put_array(struct writer *w, const json_t *array)
{
    size_t n = json_array_size(array);
    bool scalars = true;
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(array, i);
        scalars = scalars && !json_is_object(x) && !json_is_array(x);
    }
    buf_putc(w->out, '[');
    w->level++;
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_puts(w->out, w->pretty && scalars ? ", " : ",");
        if (!scalars)
            new_line(w);
        put(w, json_array_get(array, i));
    }
    w->level--;
    if (n && !scalars)
        new_line(w);
    buf_putc(w->out, ']');
}

static void put(struct writer *w, const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        put_object(w, json_iterable(j)); /* iterating changes nothing */
        break;
    case JSON_ARRAY:
        put_array(w, j);
        break;
    case JSON_STRING:
        put_string(w->out, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        buf_printf(w->out, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
        break;
    case JSON_REAL:
        put_real(w->out, json_real_value(j));
        break;
    case JSON_TRUE:
        buf_puts(w->out, "true");
        break;
    case JSON_FALSE:
        buf_puts(w->out, "false");
        break;
    case JSON_NULL:
        buf_puts(w->out, "null");
        break;
    }
}

void canon_append(struct buf *out, const json_t *j, enum canon_keys keys)
{
    struct writer w = {.out = out, .keys = keys};
    put(&w, j);
}

void canon_append_pretty(struct buf *out, const json_t *j, enum canon_keys keys, unsigned level)
{
    struct writer w = {.out = out, .keys = keys, .pretty = true, .level = level};
    put(&w, j);
}

bool canon_text(const json_t *j, char **out, size_t *len, struct err *e)
{
    struct buf b;
    buf_init(&b, CANON_MAX_BYTES);
    canon_append(&b, j, CANON_SORTED);
    if (b.failed) {
        buf_release(&b);
        FAIL(e, ERR_LIMIT, "the value is longer than %d bytes", CANON_MAX_BYTES);
    }
    if (len)
        *len = b.len;
    *out = buf_take(&b);
    return true;
}

bool canon_hash(const json_t *j, uint8_t hash[CANON_HASH_BYTES], struct err *e)
{
    char *text;
    size_t len;
    if (!canon_text(j, &text, &len, e))
        return false;
    bool ok = hash_sha256(text, len, hash, e);
    free(text);
    return ok;
}

json_t *canon_parse(const char *text, size_t len, struct err *e)
{
    json_error_t why;
    json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!j)
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "JSON, line %d: %s", why.line, why.text);
    return j;
}
