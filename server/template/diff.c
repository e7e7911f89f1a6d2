/* Owns: comparing two contents. Refuses to know: what the fields mean, except that messages are a
 * list in which order matters and that lists of named things are found by name. */
#include <config.h>

#include "template/diff.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "template/content.h"

enum { PATH_MAX_BYTES = 400 };

/* ---- lines ---- */

struct line {
    const char *p;
    size_t n;
};

struct text {
    struct line *line; /* owned */
    size_t n;
};

static struct text split(const char *s, size_t len)
{
    struct text t = {.n = 1};
    for (size_t i = 0; i < len; i++)
        t.n += s[i] == '\n';
    t.line = mem_calloc(t.n, sizeof *t.line);
    for (size_t i = 0; i < t.n; i++) {
        const char *lf = memchr(s, '\n', len);
        size_t n = lf ? (size_t)(lf - s) : len;
        t.line[i] = (struct line){.p = s, .n = n};
        s += n + (lf != NULL);
        len -= n + (lf != NULL);
    }
    return t;
}

static bool same_line(const struct line *a, const struct line *b)
{
    return a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

static void emit(json_t *out, const char *op, const struct line *line)
{
    json_array_append_new(
        out, json_pack("{s:s, s:o}", "op", op, "text", json_stringn(line->p, line->n)));
}

static void emit_all(json_t *out, const char *op, const struct line *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        emit(out, op, &line[i]);
}

/* Longest common subsequence of what differs; table[i][k] = its length for the rests a[i..],
 * b[k..]. */
static void emit_middle(json_t *out, const struct line *a, size_t n, const struct line *b, size_t m)
{
    uint32_t *table = NULL;
    if (n && m && n + 1 <= DIFF_MAX_CELLS / (m + 1))
        table = mem_try_calloc((n + 1) * (m + 1), sizeof *table);
    if (!table) {
        emit_all(out, "-", a, n);
        emit_all(out, "+", b, m);
        return;
    }
    size_t w = m + 1, i = 0, k = 0;
    for (size_t r = n; r-- > 0;) {
        for (size_t c = m; c-- > 0;) {
            uint32_t down = table[(r + 1) * w + c], right = table[r * w + c + 1];
            table[r * w + c] = same_line(&a[r], &b[c]) ? table[(r + 1) * w + c + 1] + 1
                               : down > right          ? down
                                                       : right;
        }
    }
    while (i < n && k < m) {
        if (same_line(&a[i], &b[k])) {
            emit(out, " ", &a[i++]);
            k++;
        } else if (table[(i + 1) * w + k] >= table[i * w + k + 1]) {
            emit(out, "-", &a[i++]);
        } else {
            emit(out, "+", &b[k++]);
        }
    }
    emit_all(out, "-", a + i, n - i);
    emit_all(out, "+", b + k, m - k);
    free(table);
}

static json_t *diff_lines(const json_t *before, const json_t *after)
{
    struct text a = split(json_string_value(before), json_string_length(before));
    struct text b = split(json_string_value(after), json_string_length(after));
    json_t *out = json_array();
    size_t head = 0, tail = 0;
    while (head < a.n && head < b.n && same_line(&a.line[head], &b.line[head]))
        head++;
    while (tail < a.n - head && tail < b.n - head &&
           same_line(&a.line[a.n - 1 - tail], &b.line[b.n - 1 - tail]))
        tail++;
    emit_all(out, " ", a.line, head);
    emit_middle(out, a.line + head, a.n - head - tail, b.line + head, b.n - head - tail);
    emit_all(out, " ", a.line + a.n - tail, tail);
    free(a.line);
    free(b.line);
    return out;
}

/* ---- values ---- */

static void compare(json_t *out, const char *path, json_t *a, json_t *b);

static bool has_lines(const json_t *x)
{
    return json_is_string(x) && memchr(json_string_value(x), '\n', json_string_length(x));
}

static void change(json_t *out, const char *path, json_t *a, json_t *b)
{
    json_t *one = json_pack("{s:s, s:s}", "path", path, "kind",
                            !a   ? "added"
                            : !b ? "removed"
                                 : "changed");
    if (json_is_string(a) && json_is_string(b) && (has_lines(a) || has_lines(b))) {
        json_object_set_new(one, "lines", diff_lines(a, b));
    } else {
        if (a)
            json_object_set(one, "before", a);
        if (b)
            json_object_set(one, "after", b);
    }
    json_array_append_new(out, one);
}

static void compare_objects(json_t *out, const char *path, json_t *a, json_t *b)
{
    char inner[PATH_MAX_BYTES];
    const char *key;
    json_t *x;
    json_object_foreach (a, key, x) {
        snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", key);
        compare(out, inner, x, json_object_get(b, key));
    }
    json_object_foreach (b, key, x) {
        snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", key);
        if (!json_object_get(a, key))
            compare(out, inner, NULL, x);
    }
}

static const char *name_of(const json_t *x)
{
    return json_string_value(json_object_get(x, "name"));
}

static json_t *by_name(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *x = json_array_get(list, i);
        if (name_of(x) && strcmp(name_of(x), name) == 0)
            return x;
    }
    return NULL;
}

static bool all_named(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = name_of(json_array_get(list, i));
        if (!name || by_name(list, name) != json_array_get(list, i))
            return false;
    }
    return true;
}

/* Elements with names that are unique on each side; a new order of the same is a change of its own.
 */
static void compare_named(json_t *out, const char *path, json_t *a, json_t *b)
{
    char inner[PATH_MAX_BYTES];
    size_t before = json_array_size(out), i;
    json_t *x;
    json_array_foreach (a, i, x) {
        snprintf(inner, sizeof inner, "%s.%s", path, name_of(x));
        compare(out, inner, x, by_name(b, name_of(x)));
    }
    json_array_foreach (b, i, x) {
        snprintf(inner, sizeof inner, "%s.%s", path, name_of(x));
        if (!by_name(a, name_of(x)))
            compare(out, inner, NULL, x);
    }
    if (json_array_size(out) == before)
        change(out, path, a, b);
}

/* Lists in order: equal beginnings and ends aside, element by element. */
static void compare_lists(json_t *out, const char *path, json_t *a, json_t *b)
{
    char inner[PATH_MAX_BYTES];
    size_t n = json_array_size(a), m = json_array_size(b), head = 0, tail = 0;
    while (head < n && head < m && json_equal(json_array_get(a, head), json_array_get(b, head)))
        head++;
    while (tail < n - head && tail < m - head &&
           json_equal(json_array_get(a, n - 1 - tail), json_array_get(b, m - 1 - tail)))
        tail++;
    for (size_t i = head; i < n - tail || i < m - tail; i++) {
        snprintf(inner, sizeof inner, "%s[%zu]", path, i);
        compare(out, inner, i < n - tail ? json_array_get(a, i) : NULL,
                i < m - tail ? json_array_get(b, i) : NULL);
    }
}

static void compare(json_t *out, const char *path, json_t *a, json_t *b)
{
    if (a && b && json_equal(a, b))
        return;
    if (json_is_object(a) && json_is_object(b))
        compare_objects(out, path, a, b);
    else if (json_is_array(a) && json_is_array(b) && json_array_size(a) + json_array_size(b) > 0 &&
             all_named(a) && all_named(b))
        compare_named(out, path, a, b);
    else if (json_is_array(a) && json_is_array(b))
        compare_lists(out, path, a, b);
    else
        change(out, path, a, b);
}

/* Equal but for the order of keys, in a field where that order counts. */
static bool is_reordered(const char *field, const json_t *a, const json_t *b)
{
    struct buf x, y;
    bool reordered = false;
    if (!a || !b || content_key_order(field) == CANON_SORTED || !json_equal(a, b))
        return false;
    buf_init(&x, CANON_MAX_BYTES);
    buf_init(&y, CANON_MAX_BYTES);
    canon_append(&x, a, CANON_AS_GIVEN);
    canon_append(&y, b, CANON_AS_GIVEN);
    reordered = strcmp(buf_str(&x), buf_str(&y)) != 0;
    buf_release(&x);
    buf_release(&y);
    return reordered;
}

json_t *diff_content(const json_t *before, const json_t *after)
{
    json_t *out = json_array(), *x;
    const char *field;
    compare(out, "", json_iterable(before), json_iterable(after));
    json_object_foreach (json_iterable(before), field, x) {
        json_t *y = json_object_get(after, field);
        if (is_reordered(field, x, y))
            change(out, field, x, y);
    }
    return out;
}

/* ---- for people ---- */

/* Is line `i` within three lines of a changed one? */
static bool is_near_change(const json_t *lines, size_t i)
{
    enum { AROUND = 3 };
    size_t from = i > AROUND ? i - AROUND : 0;
    for (size_t k = from; k < json_array_size(lines) && k <= i + AROUND; k++) {
        const char *op = json_string_value(json_object_get(json_array_get(lines, k), "op"));
        if (op && *op != ' ')
            return true;
    }
    return false;
}

static void put_lines(struct buf *out, const json_t *lines)
{
    bool skipped = false;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (!is_near_change(lines, i)) {
            skipped = true;
            continue;
        }
        if (skipped)
            buf_puts(out, "  ...\n");
        skipped = false;
        buf_printf(out, "  %s %s\n", json_string_value(json_object_get(line, "op")),
                   json_string_value(json_object_get(line, "text")));
    }
    if (skipped)
        buf_puts(out, "  ...\n");
}

static void put_side(struct buf *out, const char *op, const json_t *x)
{
    if (!x)
        return;
    buf_printf(out, "  %s ", op);
    canon_append(out, x, CANON_AS_GIVEN);
    buf_putc(out, '\n');
}

void diff_text(const json_t *changes, struct buf *out)
{
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const json_t *one = json_array_get(changes, i);
        const json_t *lines = json_object_get(one, "lines");
        buf_printf(out, "%s: %s\n", json_string_value(json_object_get(one, "path")),
                   json_string_value(json_object_get(one, "kind")));
        if (lines)
            put_lines(out, lines);
        put_side(out, "-", json_object_get(one, "before"));
        put_side(out, "+", json_object_get(one, "after"));
    }
}
