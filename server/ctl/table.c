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
#include "base/utf8.h"
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

const json_t *table_find(const json_t *object, const char *path)
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
    buf_printf(out, "%.1f", ms);
}

/* A line end in a cell would look like another row, other control characters could move the cursor. */
static void put_text(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_putc(out, (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
}

static bool deceives(uint32_t c)
{
    return (c < ' ' && c != '\n' && c != '\t') || (c >= 0x7f && c <= 0x9f) ||
           (c >= 0x200e && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

void table_write_text(FILE *out, const char *text)
{
    uint32_t c = 0;
    for (size_t left = strlen(text), n; left; text += n, left -= n) {
        n = utf8_decode(text, left, &c);
        if (!n || deceives(c))
            fputc(' ', out);
        else
            fwrite(text, 1, n, out);
        n = n ? n : 1;
    }
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

static void put_state(struct buf *out, const char *state)
{
    static const char *const known[][2] = {
        {"draft", "草稿"}, {"review", "待审批"}, {"approved", "已批准"}, {"rejected", "已拒绝"},
        {"started", "进行中"}, {"finished", "已完成"}, {"failed", "失败"}, {"interrupted", "已中断"},
        {"queued", "排队中"}, {"running", "运行中"}, {"cancelled", "已取消"},
        {"key", "密钥"}, {"person", "人员"}, {"department", "部门"},
    };
    const char *text = state ? state : "";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(known[i][0], text))
            text = lang_pick(known[i][0], known[i][1]);
    put_text(out, text);
}

/* An id as a name, or as it is when nobody knows one. */
static void put_id(struct buf *out, const json_t *object, enum table_kind kind, int64_t id,
                   const struct table_names *names)
{
    const char *is = json_string_value(json_object_get(object, "kind"));
    if (kind == TABLE_SUBJECT)
        kind = is && !strcmp(is, "key")      ? TABLE_KEY
               : is && !strcmp(is, "person") ? TABLE_PERSON
                                             : TABLE_DEPARTMENT;
    if (kind == TABLE_PERSON && !id)
        buf_puts(out, lang_pick("this machine", "本机"));
    else if (!put_name(out, names, kind, id))
        buf_printf(out, "%" PRId64, id);
}

/* Owned. */
static char *cell(const json_t *object, const struct table_column *c,
                  const struct table_names *names)
{
    const json_t *v = table_find(object, c->field);
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
    else if (c->kind == TABLE_STATE)
        put_state(&out, json_string_value(v));
    else if (c->kind == TABLE_WORDS)
        put_plain(&out, json_object_get(v, lang_pick("en", "zh")));
    else if (c->kind >= TABLE_DEPARTMENT && json_is_integer(v))
        put_id(&out, object, c->kind, json_integer_value(v), names);
    else
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
