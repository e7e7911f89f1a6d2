/* Owns: the text form of a version, in both directions. Refuses to know: what the fields mean
 * (content.c) and where files lie (transfer.c). */
#include <config.h>

#include "template/promptfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "template/content.h"

static const char mark[] = "--- ";
enum { MARK_LEN = sizeof mark - 1 };

/* ---- reading: lines ---- */

struct lines {
    const char *at, *end;
    unsigned number; /* of the line that was read last */
};

struct line {
    const char *p;
    size_t n;   /* without its line feed */
    bool ended; /* there was a line feed */
};

static bool next_line(struct lines *l, struct line *out)
{
    if (l->at == l->end)
        return false;
    const char *lf = memchr(l->at, '\n', (size_t)(l->end - l->at));
    *out =
        (struct line){.p = l->at, .n = (size_t)((lf ? lf : l->end) - l->at), .ended = lf != NULL};
    l->at = lf ? lf + 1 : l->end;
    l->number++;
    return true;
}

static bool is_mark(const struct line *line)
{
    return line->n >= MARK_LEN && memcmp(line->p, mark, MARK_LEN) == 0;
}

/* Backslashes and then a mark. */
static bool is_escaped(const char *p, size_t n)
{
    size_t slashes = 0;
    while (slashes < n && p[slashes] == '\\')
        slashes++;
    return n - slashes >= MARK_LEN && memcmp(p + slashes, mark, MARK_LEN) == 0;
}

/* ---- reading: messages ---- */

struct reader {
    struct lines lines;
    json_t *messages;
    struct buf text; /* of the open message */
    json_t *open;    /* message whose text is being read, borrowed from `messages` */
    struct err *e;
};

static bool end_message(struct reader *r)
{
    if (!r->open)
        return true;
    size_t n = r->text.len;
    if (n && r->text.data[n - 1] == '\n')
        n--;
    if (r->text.failed)
        FAIL(r->e, ERR_LIMIT, "line %u: the message is too long", r->lines.number);
    json_object_set_new(r->open, "content", json_stringn(buf_str(&r->text), n));
    r->open = NULL;
    return true;
}

static bool begin_include(struct reader *r, const char *target, size_t n)
{
    const char *sign = memchr(target, '@', n);
    if (!sign)
        FAIL(r->e, ERR_FORMAT, "line %u: an include is written NAME@LABEL or NAME@NUMBER",
             r->lines.number);
    size_t name = (size_t)(sign - target), ref = n - name - 1;
    char number[20] = "";
    char *end = number;
    if (ref > 0 && ref < sizeof number)
        memcpy(number, sign + 1, ref);
    long long v = strtoll(number, &end, 10);
    bool digits = number[0] >= '1' && number[0] <= '9' && !*end;
    json_array_append_new(
        r->messages,
        digits ? json_pack("{s:s%, s:I}", "include", target, name, "number", (json_int_t)v)
               : json_pack("{s:s%, s:s%}", "include", target, name, "label", sign + 1, ref));
    return true;
}

static bool begin_message(struct reader *r, const struct line *line)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    const char *word = line->p + MARK_LEN;
    size_t n = line->n - MARK_LEN;
    if (!end_message(r))
        return false;
    while (n && word[n - 1] == ' ')
        n--;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (n != strlen(roles[i]) || memcmp(word, roles[i], n) != 0)
            continue;
        r->open = json_pack("{s:s}", "role", roles[i]);
        json_array_append_new(r->messages, r->open);
        buf_clear(&r->text);
        return true;
    }
    if (n > 8 && memcmp(word, "include ", 8) == 0)
        return begin_include(r, word + 8, n - 8);
    FAIL(r->e, ERR_FORMAT,
         "line %u: after \"--- \" comes system, user, assistant or include (a line of text that "
         "begins so is written \"\\--- \")",
         r->lines.number);
}

static bool add_text(struct reader *r, const struct line *line)
{
    size_t skip = line->n && line->p[0] == '\\' && is_escaped(line->p, line->n);
    if (!r->open && line->n)
        FAIL(r->e, ERR_FORMAT,
             "line %u: text stands where a line \"--- system\" or the like must be",
             r->lines.number);
    if (!r->open)
        return true;
    buf_append(&r->text, line->p + skip, line->n - skip);
    if (line->ended)
        buf_putc(&r->text, '\n');
    return true;
}

static bool read_messages(struct reader *r)
{
    struct line line;
    while (next_line(&r->lines, &line)) {
        if (!(is_mark(&line) ? begin_message(r, &line) : add_text(r, &line)))
            return false;
    }
    return end_message(r);
}

/* ---- reading: the head ---- */

/* Moves a text field out of the head. */
static bool take_text(json_t *head, const char *field, size_t max, char **out, struct err *e)
{
    const json_t *x = json_object_get(head, field);
    if (!json_is_string(x) || json_string_length(x) == 0 || json_string_length(x) > max)
        FAIL(e, ERR_FORMAT, "the head needs \"%s\", a text of 1 to %zu bytes", field, max);
    *out = mem_strdup(json_string_value(x));
    json_object_del(head, field);
    return true;
}

bool promptfile_tags_ok(const json_t *tags)
{
    size_t n = json_array_size(tags);
    if (!json_is_array(tags) || n > PROMPTFILE_TAGS_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(tags, i);
        if (!json_is_string(x) || json_string_length(x) < 1 || json_string_length(x) > 64)
            return false;
        for (size_t k = 0; k < i; k++) {
            if (json_equal(x, json_array_get(tags, k)))
                return false;
        }
    }
    return true;
}

static bool take_head(json_t *head, struct promptfile *out, struct err *e)
{
    if (!json_is_object(head))
        FAIL(e, ERR_FORMAT, "the file must begin with a JSON object");
    if (!take_text(head, "name", CONTENT_NAME_MAX, &out->name, e) ||
        !take_text(head, "note", PROMPTFILE_NOTE_MAX, &out->note, e))
        return false;
    if (!content_is_name(out->name))
        FAIL(e, ERR_FORMAT, "\"name\" is made of a-z, 0-9, '_', '-' in parts between '/'");
    json_t *tags = json_object_get(head, "tags");
    if (tags && !promptfile_tags_ok(tags))
        FAIL(e, ERR_FORMAT, "\"tags\" must be an array of at most %d different short texts",
             PROMPTFILE_TAGS_MAX);
    out->tags = json_incref(tags);
    json_object_del(head, "tags");
    if (json_object_get(head, "messages"))
        FAIL(e, ERR_FORMAT, "messages stand below the head, after lines that begin with \"--- \"");
    return true;
}

/* Parses the JSON in front; *rest = what follows its last line. */
static json_t *read_head(const char *text, size_t len, struct lines *rest, struct err *e)
{
    json_error_t why;
    json_t *head = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &why);
    if (!head) {
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "head, line %d: %s", why.line, why.text);
        return NULL;
    }
    size_t at = (size_t)why.position;
    *rest = (struct lines){.at = text + at, .end = text + len, .number = 0};
    for (size_t i = 0; i < at; i++)
        rest->number += text[i] == '\n';
    struct line line;
    if (next_line(rest, &line)) {
        for (size_t i = 0; i < line.n; i++) {
            if (line.p[i] != ' ' && line.p[i] != '\t') {
                err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "line %u: text behind the head",
                        rest->number);
                json_decref(head);
                return NULL;
            }
        }
    }
    return head;
}

static bool parse_normal(const char *text, size_t len, struct promptfile *out, struct findings *f,
                         struct err *e)
{
    struct reader r = {.messages = json_array(), .e = e};
    bool ok = false;
    buf_init(&r.text, PROMPTFILE_MAX_BYTES);
    json_t *head = read_head(text, len, &r.lines, e);
    TRY(head && take_head(head, out, e));
    TRY(read_messages(&r));
    json_object_set(head, "messages", r.messages);
    out->content = content_check(head, f);
    ok = out->content || findings_ok(f, e);
fail:
    buf_release(&r.text);
    json_decref(r.messages);
    json_decref(head);
    return ok;
}

bool promptfile_parse(const char *text, size_t len, struct promptfile *out, struct findings *f,
                      struct err *e)
{
    struct buf b;
    *out = (struct promptfile){.name = NULL};
    if (len > PROMPTFILE_MAX_BYTES)
        FAIL(e, ERR_LIMIT, "the file is longer than %d bytes", PROMPTFILE_MAX_BYTES);
    if (!utf8_valid(text, len) || (len && memchr(text, '\0', len)))
        FAIL(e, ERR_FORMAT, "the file is not UTF-8 text");
    size_t skip = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    buf_init(&b, PROMPTFILE_MAX_BYTES);
    for (size_t i = skip; i < len; i++) {
        if (text[i] != '\r' || i + 1 >= len || text[i + 1] != '\n')
            buf_putc(&b, text[i]);
    }
    bool ok = parse_normal(buf_str(&b), b.len, out, f, e);
    buf_release(&b);
    if (!ok)
        promptfile_release(out);
    return ok;
}

void promptfile_release(struct promptfile *p)
{
    free(p->name);
    free(p->note);
    json_decref(p->tags);
    json_decref(p->content);
    *p = (struct promptfile){.name = NULL};
}

/* ---- writing ---- */

static void write_field(struct buf *out, const char *name, const json_t *x)
{
    if (!x)
        return;
    buf_printf(out, "%s\n  \"%s\": ", out->data[out->len - 1] == '{' ? "" : ",", name);
    canon_append_pretty(out, x, content_key_order(name), 1);
}

static void write_text(struct buf *out, const char *text, size_t len)
{
    struct lines l = {.at = text, .end = text + len};
    struct line line;
    while (next_line(&l, &line)) {
        if (is_escaped(line.p, line.n))
            buf_putc(out, '\\');
        buf_append(out, line.p, line.n);
        if (line.ended)
            buf_putc(out, '\n');
    }
    buf_putc(out, '\n');
}

static void write_message(struct buf *out, const json_t *m)
{
    const json_t *text = json_object_get(m, "content");
    const char *include = json_string_value(json_object_get(m, "include"));
    const char *label = json_string_value(json_object_get(m, "label"));
    if (include && label)
        buf_printf(out, "--- include %s@%s\n", include, label);
    else if (include)
        buf_printf(out, "--- include %s@%" JSON_INTEGER_FORMAT "\n", include,
                   json_integer_value(json_object_get(m, "number")));
    if (include)
        return;
    buf_printf(out, "--- %s\n", json_string_value(json_object_get(m, "role")));
    write_text(out, json_string_value(text), json_string_length(text));
}

void promptfile_write(const struct promptfile *p, struct buf *out)
{
    static const char *const order[] = {
        "title",     "description",     "lang",  "model",   "settings",
        "variables", "response_schema", "tools", "example", "tests"};
    size_t i;
    json_t *m, *name = json_string(p->name), *note = json_string(p->note);
    buf_putc(out, '{');
    if (out->failed)
        goto done;
    write_field(out, "name", name);
    write_field(out, "note", note);
    write_field(out, "tags", p->tags);
    for (i = 0; i < sizeof order / sizeof *order && !out->failed; i++)
        write_field(out, order[i], json_object_get(p->content, order[i]));
    buf_puts(out, "\n}\n");
    json_array_foreach (json_object_get(p->content, "messages"), i, m)
        write_message(out, m);
done:
    json_decref(name);
    json_decref(note);
}
