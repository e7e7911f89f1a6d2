/* Owns: how JSON looks on a terminal. Refuses to know: what the fields mean. */
#include <config.h>

#include "ctl/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lang.h"

enum { CELL_MAX_BYTES = 1 << 20, GAP = 2 };

size_t table_width(const char *text)
{
    size_t width = 0;
    for (const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text; *p;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(p, -1, &c);
        int w = n > 0 ? utf8proc_charwidth(c) : 1;
        width += w > 0 ? (size_t)w : 0;
        p += n > 0 ? n : 1;
    }
    return width;
}

/* ---- cells ------------------------------------------------------------------------------------ */

static const json_t *find(const json_t *object, const char *path)
{
    while (object && *path) {
        char key[64];
        size_t len = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)len, path);
        object = json_object_get(object, key);
        path += len + (path[len] == '.');
    }
    return object;
}

static void put_time(struct buf *out, int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    char text[64];
    if (localtime_r(&t, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm))
        buf_puts(out, text);
    else
        buf_printf(out, "%" PRId64, seconds);
}

static void put_bytes(struct buf *out, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        v /= 1024;
    buf_printf(out, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
}

static void put_ms(struct buf *out, double ms)
{
    buf_printf(out, ms < 99.95 ? "%.1f" : "%.0f", ms);
}

/* A line end in a cell would look like another row, other control characters could move the cursor. */
static void put_text(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_putc(out, (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
}

static void put_plain(struct buf *out, const json_t *v)
{
    if (json_is_string(v)) {
        put_text(out, json_string_value(v));
    } else if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i)
                buf_putc(out, ',');
            put_plain(out, json_array_get(v, i));
        }
    } else if (v && !json_is_null(v)) {
        char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        put_text(out, text ? text : "?");
        free(text);
    }
}

static bool put_name(struct buf *out, const struct table_names *names, enum table_kind kind,
                     int64_t id)
{
    char *name = names && id ? names->name(names->ctx, kind, id) : NULL;
    if (name)
        put_text(out, name);
    free(name);
    return name != NULL;
}

/* Owned. */
static char *cell(const json_t *object, const struct table_column *c,
                  const struct table_names *names)
{
    const json_t *v = find(object, c->field);
    struct buf out;
    buf_init(&out, CELL_MAX_BYTES);
    if (!v || json_is_null(v))
        ;
    else if (c->kind == TABLE_TIME)
        put_time(&out, json_integer_value(v));
    else if (c->kind == TABLE_TIME_US)
        put_time(&out, json_integer_value(v) / 1000000);
    else if (c->kind == TABLE_YES)
        buf_puts(&out, json_is_true(v) ? lang_pick("yes", "是") : lang_pick("no", "否"));
    else if (c->kind == TABLE_BYTES)
        put_bytes(&out, json_integer_value(v));
    else if (c->kind == TABLE_MS)
        put_ms(&out, json_number_value(v));
    else if (c->kind < TABLE_DEPARTMENT || !put_name(&out, names, c->kind, json_integer_value(v)))
        put_plain(&out, v);
    if (!out.len)
        buf_putc(&out, '-');
    char *text = mem_strdup(buf_str(&out));
    buf_release(&out);
    return text;
}

/* ---- lists and objects ------------------------------------------------------------------------ */

static void pad(FILE *out, const char *text, size_t width)
{
    fprintf(out, "%s%*s", text, (int)(width - table_width(text)), "");
}

static size_t count_columns(const struct table_column *columns)
{
    size_t n = 0;
    while (columns[n].field)
        n++;
    return n;
}

static const char *title(const struct table_column *c)
{
    return lang_pick(c->title_en, c->title_zh);
}

/* The last column is not padded. */
static void print_row(FILE *out, char *const *cells, const size_t *width, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        pad(out, cells[i], width[i] + GAP);
    fprintf(out, "%s\n", n ? cells[n - 1] : "");
}

void table_print_list(FILE *out, const json_t *rows, const struct table_column *columns,
                      const struct table_names *names)
{
    size_t n = count_columns(columns), n_cells = n * (json_array_size(rows) + 1);
    char **cells = mem_calloc(n_cells, sizeof *cells);
    size_t *width = mem_calloc(n, sizeof *width);
    for (size_t i = 0; i < n_cells; i++) {
        const struct table_column *c = &columns[i % n];
        cells[i] = i < n ? mem_strdup(title(c)) : cell(json_array_get(rows, i / n - 1), c, names);
        size_t w = table_width(cells[i]);
        width[i % n] = w > width[i % n] ? w : width[i % n];
    }
    for (size_t i = 0; i < n_cells; i += n)
        print_row(out, cells + i, width, n);
    for (size_t i = 0; i < n_cells; i++)
        free(cells[i]);
    free(cells);
    free(width);
}

void table_print_object(FILE *out, const json_t *object, const struct table_column *columns,
                        const struct table_names *names)
{
    size_t n = count_columns(columns), width = 0;
    for (size_t i = 0; i < n; i++) {
        size_t w = table_width(title(&columns[i]));
        width = w > width ? w : width;
    }
    for (size_t i = 0; i < n; i++) {
        char *text = cell(object, &columns[i], names);
        pad(out, title(&columns[i]), width + GAP);
        fprintf(out, "%s\n", text);
        free(text);
    }
}
