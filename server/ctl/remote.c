/* Owns: from a command line to requests and from answers to text, by table.
 * Refuses to know: any noun. */
#include <config.h>

#include "ctl/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ctl/args.h"
#include "ctl/local.h"
#include "lang.h"

enum { MAX_OPTIONS = 40, MAX_ARGS = 8, PATH_BYTES = 16384, PAGE = 500, COMMON = 7 };
#define PREFIX "/admin/v1/"

struct remote {
    const struct remote_noun *noun;
    const struct remote_verb *verb;
    struct ctl_command command; /* "dept create", for messages */
    char title[64];
    struct client_where where;
    const char *reason;
    bool json;
    const char *value[MAX_OPTIONS]; /* by the noun's options */
    bool flag[MAX_OPTIONS];
    const char *arg[MAX_ARGS];
    size_t n_args;
    struct client *client;
    json_t *refusal; /* owned: the latest error that the server answered */
    json_t *departments, *persons, *keys, *calendars; /* owned: lists, once somebody asked for a name */
};

/* ---- what was given --------------------------------------------------------------------------- */

/* Whether `word` is one of the words of a list. */
static bool in_words(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = words ? words : ""; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && !memcmp(p, word, n))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static size_t option_index(const struct remote *r, const char *name)
{
    for (size_t i = 0; i < r->noun->n_options; i++)
        if (!strcmp(r->noun->options[i].name, name))
            return i;
    return SIZE_MAX;
}

const char *remote_arg(const struct remote *r, size_t i)
{
    return i < r->n_args ? r->arg[i] : NULL;
}

const char *remote_value(const struct remote *r, const char *option)
{
    size_t i = option_index(r, option);
    return i < MAX_OPTIONS ? r->value[i] : NULL;
}

bool remote_flag(const struct remote *r, const char *option)
{
    size_t i = option_index(r, option);
    return i < MAX_OPTIONS && r->flag[i];
}

bool remote_is_local(const struct remote *r)
{
    return client_is_local(r->client);
}

bool remote_wants_json(const struct remote *r)
{
    return r->json;
}

/* ---- requests --------------------------------------------------------------------------------- */

static void forget_names(struct remote *r)
{
    json_decref(r->departments);
    json_decref(r->persons);
    json_decref(r->keys);
    json_decref(r->calendars);
    r->departments = r->persons = r->keys = r->calendars = NULL;
}

static bool send_call(struct remote *r, struct client_call *call, struct client_reply *reply,
                      struct err *e)
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, PREFIX "%s", call->path) >= (int)sizeof path)
        FAIL(e, ERR_LIMIT, "%s", lang_pick("the request is too long", "请求过长"));
    call->path = path;
    call->reason = r->reason;
    bool ok = client_send(r->client, call, reply, e);
    json_decref(r->refusal);
    r->refusal = ok ? NULL : json_incref(json_object_get(reply->json, "error"));
    return ok;
}

bool remote_send(struct remote *r, const char *method, const char *path, const json_t *body,
                 int64_t revision, json_t **out, struct err *e)
{
    struct client_reply reply;
    struct client_call call = {
        .method = method, .path = path, .body = body, .revision = revision};
    bool ok = send_call(r, &call, &reply, e);
    if (out)
        *out = ok ? json_incref(reply.json) : NULL;
    client_reply_release(&reply);
    forget_names(r); /* may have changed: read again when one is asked for */
    return ok;
}

bool remote_get(struct remote *r, const char *path, json_t **out, int64_t *revision, struct err *e)
{
    struct client_reply reply;
    struct client_call call = {.method = "GET", .path = path};
    bool ok = send_call(r, &call, &reply, e);
    if (ok && !reply.json)
        ok = err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "%s",
                     lang_pick("the server's answer is no JSON", "服务器的回答不是 JSON"));
    if (out)
        *out = ok ? json_incref(reply.json) : NULL;
    if (revision)
        *revision = reply.revision;
    client_reply_release(&reply);
    return ok;
}

bool remote_save(struct remote *r, const char *path, const char *file, struct err *e)
{
    bool own = strcmp(file, "-") != 0;
    int fd = own ? open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    FILE *to = own ? (fd < 0 ? NULL : fdopen(fd, "w")) : stdout;
    if (!to)
        FAIL_OS(e, lang_pick("%s cannot be created", "无法创建 %s"), file);
    struct client_reply reply;
    struct client_call call = {.method = "GET", .path = path, .to = to};
    bool ok = send_call(r, &call, &reply, e);
    client_reply_release(&reply);
    if ((own ? fclose(to) : fflush(to)) && ok)
        ok = err_set_os(e, __FILE__, __LINE__, lang_pick("%s cannot be written", "无法写入 %s"),
                         file);
    if (!ok && own)
        unlink(file);
    return ok;
}

/* Appends "after=..." of the answer's cursor; false at the end. */
static bool put_cursor(struct buf *path, const json_t *next)
{
    char number[32];
    if (!next || json_is_null(next))
        return false;
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(next));
    buf_puts(path, strchr(buf_str(path), '?') ? "&after=" : "?after=");
    client_escape(path, json_is_string(next) ? json_string_value(next) : number);
    return true;
}

/* All pages of a list as one answer (owned), at most `most` rows (0 = all); "next" is then where it was
 * cut. `path` must not name a limit. */
static json_t *get_list(struct remote *r, const char *path, size_t most, struct err *e)
{
    json_t *all = NULL, *page, *next = NULL;
    struct buf at;
    buf_init(&at, PATH_BYTES);
    bool ok = true;
    do {
        size_t have = json_array_size(json_object_get(all, "data"));
        size_t room = most && most - have < PAGE ? most - have : PAGE;
        buf_clear(&at);
        buf_printf(&at, "%s%climit=%zu", path, strchr(path, '?') ? '&' : '?', room);
        put_cursor(&at, next);
        ok = remote_get(r, buf_str(&at), &page, NULL, e);
        if (!ok)
            break;
        if (all)
            json_array_extend(json_object_get(all, "data"), json_object_get(page, "data"));
        else
            all = json_incref(page);
        json_decref(next);
        next = json_incref(json_object_get(page, "next"));
        json_decref(page);
        if (all)
            json_object_set(all, "next", next ? next : json_null());
    } while (next && !json_is_null(next) &&
             (!most || json_array_size(json_object_get(all, "data")) < most));
    json_decref(next);
    buf_release(&at);
    if (ok)
        return all;
    json_decref(all);
    return NULL;
}

/* ---- names ------------------------------------------------------------------------------------ */

static const json_t *rows_of(struct remote *r, json_t **cache, const char *path, struct err *e)
{
    if (!*cache)
        *cache = get_list(r, path, 0, e);
    return json_object_get(*cache, "data");
}

static const json_t *by_id(const json_t *rows, int64_t id)
{
    size_t i;
    json_t *row;
    json_array_foreach (rows, i, row)
        if (json_integer_value(json_object_get(row, "id")) == id)
            return row;
    return NULL;
}

static const char *text_of(const json_t *row, const char *field)
{
    const char *text = json_string_value(json_object_get(row, field));
    return text ? text : "";
}

/* "Works/Line 3" (owned); NULL when there is none. */
static char *department_path(const json_t *rows, int64_t id)
{
    char *path = NULL;
    for (const json_t *row = by_id(rows, id); row;
         row = by_id(rows, json_integer_value(json_object_get(row, "parent_id")))) {
        const char *name = text_of(row, "name");
        size_t bytes = strlen(name) + (path ? strlen(path) : 0) + 2;
        char *longer = mem_zalloc(bytes);
        snprintf(longer, bytes, "%s%s%s", name, path ? "/" : "", path ? path : "");
        free(path);
        path = longer;
    }
    return path;
}

static char *name_of(void *ctx, enum table_kind kind, int64_t id)
{
    struct remote *r = ctx;
    struct err e = ERR_INIT;
    bool key = kind == TABLE_KEY, person = kind == TABLE_PERSON, unit = kind == TABLE_DEPARTMENT;
    json_t **cache = key ? &r->keys : person ? &r->persons : unit ? &r->departments : &r->calendars;
    const json_t *rows = rows_of(r, cache, key      ? "keys"
                                           : person ? "users"
                                           : unit   ? "departments"
                                                    : "calendars", &e);
    if (!*cache)
        *cache = json_object(); /* who may not see the names is not refused for every row */
    if (unit)
        return department_path(rows, id);
    const json_t *row = by_id(rows, id);
    return row ? mem_strdup(text_of(row, key ? "prefix" : person ? "login" : "name")) : NULL;
}

static bool find_department(struct remote *r, const char *text, int64_t *id, struct err *e)
{
    const json_t *rows = rows_of(r, &r->departments, "departments", e);
    size_t i;
    json_t *row;
    if (!rows)
        return false;
    json_array_foreach (rows, i, row) {
        int64_t candidate = json_integer_value(json_object_get(row, "id"));
        char *path = department_path(rows, candidate);
        bool same = path && !strcmp(path, text);
        free(path);
        if (!same)
            continue;
        *id = candidate;
        return true;
    }
    FAIL(e, ERR_NOT_FOUND, lang_pick("there is no department \"%.100s\"", "没有部门 \"%.100s\""), text);
}

/* The row whose field is `text`; without regard to ASCII case, as logins are. A key does not see all
 * rows: not `all_seen`. */
static bool find_row(const json_t *list, const char *field, const char *text, const char *what,
                     bool all_seen, int64_t *id, struct err *e)
{
    size_t i;
    json_t *row;
    json_array_foreach (json_object_get(list, "data"), i, row)
        if (!strcasecmp(text_of(row, field), text)) {
            *id = json_integer_value(json_object_get(row, "id"));
            return true;
        }
    if (all_seen)
        FAIL(e, ERR_NOT_FOUND, lang_pick("there is no %s \"%.100s\"", "没有%s \"%.100s\""), what, text);
    FAIL(e, ERR_NOT_FOUND,
         lang_pick("there is no %s \"%.100s\" that this key may see", "此密钥看不到%s \"%.100s\"，或其不存在"),
         what, text);
}

static bool find_in_list(struct remote *r, const char *path, const char *field, const char *text,
                         const char *what, int64_t *id, struct err *e)
{
    json_t *list = get_list(r, path, 0, e);
    bool ok = list && find_row(list, field, text, what, remote_is_local(r), id, e);
    json_decref(list);
    return ok;
}

static bool find_person(struct remote *r, const char *text, int64_t *id, struct err *e)
{
    struct buf path;
    buf_init(&path, PATH_BYTES);
    buf_puts(&path, "users?text=");
    client_escape(&path, text);
    bool ok = find_in_list(r, buf_str(&path), "login", text,
                           lang_pick("person", "人员"), id, e);
    buf_release(&path);
    return ok;
}

static bool find_template(struct remote *r, const char *name, int64_t *id, struct err *e)
{
    struct buf path;
    json_t *answer = NULL;
    buf_init(&path, PATH_BYTES);
    buf_puts(&path, "templates/");
    client_escape(&path, name);
    bool ok = remote_get(r, buf_str(&path), &answer, NULL, e);
    if (ok)
        *id = json_integer_value(json_object_get(answer, "id"));
    json_decref(answer);
    buf_release(&path);
    return ok;
}

static bool find_named(struct remote *r, enum remote_kind kind, const char *text, int64_t *id,
                       struct err *e)
{
    switch (kind) {
    case REMOTE_DEPARTMENT:
        return find_department(r, text, id, e);
    case REMOTE_PERSON:
        return find_person(r, text, id, e);
    case REMOTE_KEY:
        return find_in_list(r, "keys", "prefix", text,
                            lang_pick("key", "密钥"), id, e);
    case REMOTE_TEMPLATE:
        return find_template(r, text, id, e);
    default:
        return find_in_list(r, "calendars", "name", text,
                            lang_pick("calendar", "日历"), id, e);
    }
}

/* Names go before ids: a login may be a staff number. No key is named by a number. */
bool remote_resolve(struct remote *r, enum remote_kind kind, const char *text, int64_t *id,
                    struct err *e)
{
    char *end;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    bool numeric = end != text && !*end && number > 0 && !errno;
    if (!(numeric && kind == REMOTE_KEY) && find_named(r, kind, text, id, numeric ? NULL : e))
        return true;
    *id = number;
    return numeric;
}

/* ---- options as fields ------------------------------------------------------------------------ */

static bool bad_value(const struct remote_option *o, const char *text, const char *wants,
                      struct err *e)
{
    return err_set(e, ERR_ARG, 0, __FILE__, __LINE__,
                   lang_pick("--%s takes %s, not \"%.80s\"", "--%s 应为 %s，不能是 \"%.80s\""),
                   o->name, wants, text);
}

static json_t *list_value(const char *text)
{
    json_t *list = json_array();
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, ",");
        if (len)
            json_array_append_new(list, json_stringn(p, len));
        p += len + (p[len] == ',');
    }
    return list;
}

static bool time_value(const struct remote_option *o, const char *text, int64_t *out,
                       struct err *e)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%s"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, forms[i], &tm);
        if (!end || *end)
            continue;
        tm.tm_isdst = -1;
        *out = (int64_t)mktime(&tm);
        return true;
    }
    return bad_value(o, text, "2027-01-01, 2027-01-01T08:30:00", e);
}

static bool number_value(const struct remote_option *o, const char *text, int64_t *out,
                         struct err *e)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return (end != text && !*end && !errno) ||
           bad_value(o, text, lang_pick("a number", "一个数字"), e);
}

/* The value as JSON (owned), NULL with *e. */
static json_t *json_value(struct remote *r, const struct remote_option *o, const char *text,
                          struct err *e)
{
    int64_t n = 0;
    if (o->kind == REMOTE_TEXT)
        return json_string(text);
    if ((o->kind != REMOTE_SWITCH && !strcmp(text, "none")) ||
        (o->kind == REMOTE_LIST && !strcmp(text, "all")))
        return json_null();
    switch (o->kind) {
    case REMOTE_FLAG:
        return json_true();
    case REMOTE_SWITCH:
        if (!strcmp(text, "on") || !strcmp(text, "off"))
            return json_boolean(!strcmp(text, "on"));
        bad_value(o, text, "on, off", e);
        return NULL;
    case REMOTE_LIST:
        return list_value(text);
    case REMOTE_NUMBER:
        return number_value(o, text, &n, e) ? json_integer(n) : NULL;
    case REMOTE_TIME:
        return time_value(o, text, &n, e) ? json_integer(n) : NULL;
    default:
        return remote_resolve(r, o->kind, text, &n, e) ? json_integer(n) : NULL;
    }
}

static bool put_field(struct remote *r, json_t *body, const struct remote_option *o,
                      const char *text, struct err *e)
{
    json_t *v = json_value(r, o, text, e);
    if (!v)
        return e->code == ERR_NONE
                   ? err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "--%s is not UTF-8", o->name)
                   : false;
    return !json_object_set_new(body, o->field, v);
}

bool remote_fields(struct remote *r, json_t *body, struct err *e)
{
    for (size_t i = 0; i < r->noun->n_options; i++) {
        const struct remote_option *o = &r->noun->options[i];
        const char *text = o->kind == REMOTE_FLAG ? (r->flag[i] ? "on" : NULL) : r->value[i];
        if (text && o->field && !put_field(r, body, o, text, e))
            return false;
    }
    return true;
}

static bool put_query(struct remote *r, struct buf *path, struct err *e)
{
    for (size_t i = 0; i < r->noun->n_options; i++) {
        const struct remote_option *o = &r->noun->options[i];
        const char *text = o->kind == REMOTE_FLAG ? (r->flag[i] ? "true" : NULL) : r->value[i];
        char number[32];
        int64_t id;
        if (!text || !o->field)
            continue;
        if (o->kind >= REMOTE_DEPARTMENT) {
            id = 0; /* which no object has */
            if (strcmp(text, "none") && !remote_resolve(r, o->kind, text, &id, e))
                return false;
            snprintf(number, sizeof number, "%" PRId64, id);
            text = number;
        }
        buf_printf(path, "%c%s=", strchr(buf_str(path), '?') ? '&' : '?', o->field);
        client_escape(path, text);
    }
    return true;
}

/* ---- answers ---------------------------------------------------------------------------------- */

static void print_json(json_t *answer)
{
    json_dumpf(answer, stdout, JSON_INDENT(2));
    putchar('\n');
}

/* What a field holds, by its name. */
static enum table_kind kind_of_field(const char *name)
{
    size_t len = strlen(name);
    if (len > 3 && !strcmp(name + len - 3, "_at"))
        return TABLE_TIME;
    if (!strcmp(name, "owner_id") || !strcmp(name, "person_id") || !strcmp(name, "moved_by"))
        return TABLE_PERSON;
    return !strcmp(name, "department_id") ? TABLE_DEPARTMENT : TABLE_TEXT;
}

/* Every field of an object, when nobody said which ones matter. */
static void print_fields(const json_t *object, const struct table_names *names)
{
    size_t n = 0;
    const char *key;
    json_t *v;
    struct table_column *columns = mem_calloc(json_object_size(object) + 1, sizeof *columns);
    json_object_foreach ((json_t *)(uintptr_t)object, key, v)
        columns[n++] = (struct table_column){key, key, key, kind_of_field(key)};
    table_print_object(stdout, object, columns, names);
    free(columns);
}

static void print_parts(const json_t *answer, const struct remote_part *parts,
                        const struct table_names *names)
{
    for (; parts && parts->field; parts++) {
        const json_t *rows = table_find(answer, parts->field);
        if (!json_array_size(rows))
            continue;
        putchar('\n');
        table_print_list(stdout, rows, parts->columns, names);
    }
}

int remote_show_take(struct remote *r, json_t *answer, const struct table_column *columns)
{
    return remote_show_parts_take(r, answer, columns, NULL);
}

int remote_show_parts_take(struct remote *r, json_t *answer, const struct table_column *columns,
                           const struct remote_part *parts)
{
    const struct table_names names = {name_of, r};
    const json_t *data = json_object_get(answer, "data");
    const json_t *next = json_object_get(answer, "next");
    if (r->json && answer)
        print_json(answer);
    else if (!answer)
        fputs(lang_pick("done\n", "已完成\n"), stdout);
    else if (json_is_array(data) && columns)
        table_print_list(stdout, data, columns, &names);
    else if (columns)
        table_print_object(stdout, answer, columns, &names);
    else
        print_fields(answer, &names);
    if (answer && !r->json)
        print_parts(answer, parts, &names);
    if (next && !json_is_null(next))
        fputs(lang_pick("there are more rows: --limit N\n", "还有更多行：--limit N\n"), stderr);
    json_decref(answer);
    return CTL_OK;
}

/* A finding's or a problem's own words, in the language of the terminal. */
static const char *words_of(const json_t *finding)
{
    const json_t *m = json_object_get(finding, "message");
    return json_is_string(m) ? json_string_value(m) : text_of(m, lang_pick("en", "zh"));
}

/* What a refusal says beside its sentence: findings of a template, from the `first` on, and problems of
 * an import. */
static void print_findings(const json_t *error, size_t first)
{
    const json_t *report = json_object_get(error, "report");
    const json_t *lists[] = {json_object_get(error, "findings"),
                             json_object_get(report, "problems")};
    for (size_t k = 0; k < 2; k++) {
        size_t i;
        json_t *f;
        json_array_foreach (lists[k], i, f) {
            const char *at = *text_of(f, "path") ? text_of(f, "path") : text_of(f, "at");
            if (k || i >= first)
                fprintf(stderr, "  %s%s%s\n", at, *at ? ": " : "", words_of(f));
        }
    }
}

/* What whoever typed the command calls a field: its option, or the argument that stands for it. */
static bool put_own_word(const struct remote *r, struct buf *out, const char *field, size_t len)
{
    for (size_t i = 0; i < r->noun->n_options; i++) {
        const struct remote_option *o = &r->noun->options[i];
        if (!o->field || strlen(o->field) != len || memcmp(o->field, field, len))
            continue;
        if (in_words(r->verb->args, o->name))
            return buf_puts(out, o->meta);
        if (in_words(r->verb->options, o->name))
            return buf_printf(out, "--%s", o->name);
    }
    return false;
}

/* Whether the sentence is only what the first finding says. */
static bool says_finding(const char *text, const json_t *finding)
{
    const char *at = text_of(finding, "at");
    size_t len = strlen(at);
    return len && !strncmp(text, at, len) && !strncmp(text + len, ": ", 2) &&
           !strcmp(text + len + 2, text_of(json_object_get(finding, "message"), "en"));
}

/* The server's sentence, in which 'field' becomes --option. */
static void put_refusal(const struct remote *r, struct buf *out, const char *text)
{
    const json_t *first = json_array_get(json_object_get(r->refusal, "findings"), 0);
    const char *param = text_of(r->refusal, "param");
    if (!strcmp(text_of(r->refusal, "code"), "missing_required_parameter") &&
        put_own_word(r, out, param, strlen(param))) {
        buf_puts(out, lang_pick(" is required", "：必须给出"));
        return;
    }
    if (says_finding(text, first)) {
        buf_printf(out, "%s: %s", text_of(first, "at"), words_of(first));
        return;
    }
    while (*text) {
        size_t len = *text == '\'' ? strcspn(text + 1, "'") : 0;
        if (len && text[len + 1] && put_own_word(r, out, text + 1, len))
            text += len + 2;
        else
            buf_putc(out, *text++);
    }
}

int remote_fail(struct remote *r, const struct err *e)
{
    const json_t *first = json_array_get(json_object_get(r->refusal, "findings"), 0);
    bool said_first = says_finding(e->msg, first);
    struct err said = *e;
    struct buf text;
    buf_init(&text, sizeof said.msg);
    if (r->refusal)
        put_refusal(r, &text, e->msg);
    if (text.len)
        snprintf(said.msg, sizeof said.msg, "%s", buf_str(&text));
    buf_release(&text);
    args_failed(&r->command, &said);
    if (r->refusal)
        print_findings(r->refusal, said_first);
    return CTL_FAILED;
}

int remote_wrong(struct remote *r, const char *what)
{
    return args_wrong(&r->command, "%s", what);
}

/* ---- a verb without a function ---------------------------------------------------------------- */

static bool kind_of(const char *word, size_t len, enum remote_kind *kind)
{
    static const struct {
        const char *word;
        enum remote_kind kind;
    } kinds[] = {{"department", REMOTE_DEPARTMENT}, {"person", REMOTE_PERSON}, {"key", REMOTE_KEY},
                 {"calendar", REMOTE_CALENDAR}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strlen(kinds[i].word) == len && !memcmp(kinds[i].word, word, len)) {
            *kind = kinds[i].kind;
            return true;
        }
    return false;
}

/* Fills the braces of the verb's path; *used = arguments taken. */
static bool make_path(struct remote *r, struct buf *path, size_t *used, struct err *e)
{
    *used = 0;
    for (const char *p = r->verb->path; *p;) {
        enum remote_kind kind;
        int64_t id;
        if (*p != '{') {
            buf_putc(path, *p++);
            continue;
        }
        size_t len = strcspn(++p, "}");
        const char *arg = remote_arg(r, (*used)++);
        if (!kind_of(p, len, &kind))
            client_escape(path, arg ? arg : "");
        else if (remote_resolve(r, kind, arg ? arg : "", &id, e))
            buf_printf(path, "%" PRId64, id);
        else
            return false;
        p += len + 1;
    }
    return true;
}

/* Arguments behind those of the path become options. */
static void name_args(struct remote *r, size_t used)
{
    const char *p = r->verb->args ? r->verb->args : "";
    for (; *p && used < r->n_args; used++) {
        char name[32];
        size_t len = strcspn(p, " ");
        snprintf(name, sizeof name, "%.*s", (int)len, p);
        size_t i = option_index(r, name);
        if (i < MAX_OPTIONS)
            r->value[i] = r->arg[used];
        p += len + (p[len] == ' ');
    }
}

static int run_get(struct remote *r, struct buf *path)
{
    struct err e = ERR_INIT;
    json_t *answer;
    const char *limit = remote_value(r, "limit");
    size_t most = limit ? strtoul(limit, NULL, 10) : r->verb->most;
    if (!put_query(r, path, &e))
        return remote_fail(r, &e);
    if (r->verb->csv && remote_value(r, "csv")) {
        buf_printf(path, "%cformat=csv", strchr(buf_str(path), '?') ? '&' : '?');
        return remote_save(r, buf_str(path), remote_value(r, "csv"), &e) ? CTL_OK
                                                                         : remote_fail(r, &e);
    }
    if (r->verb->list)
        answer = get_list(r, buf_str(path), most, &e);
    else if (!remote_get(r, buf_str(path), &answer, NULL, &e))
        answer = NULL;
    return answer ? remote_show_parts_take(r, answer, r->verb->columns, r->verb->parts)
                  : remote_fail(r, &e);
}

static int run_change(struct remote *r, const char *path)
{
    const struct remote_verb *v = r->verb;
    struct err e = ERR_INIT;
    int64_t revision = 0;
    json_t *answer = NULL, *body = v->fixed ? json_loads(v->fixed, 0, NULL) : json_object();
    bool ok = remote_fields(r, body, &e) &&
              (!v->revised || remote_get(r, path, NULL, &revision, &e)) &&
              remote_send(r, v->method, path, json_object_size(body) ? body : NULL, revision,
                          &answer, &e);
    json_decref(body);
    return ok ? remote_show_parts_take(r, answer, v->columns, v->parts) : remote_fail(r, &e);
}

static int run_row(struct remote *r)
{
    struct err e = ERR_INIT;
    struct buf path;
    size_t used;
    buf_init(&path, PATH_BYTES);
    int status;
    if (!make_path(r, &path, &used, &e)) {
        status = remote_fail(r, &e);
    } else {
        name_args(r, used);
        status = strcmp(r->verb->method, "GET") ? run_change(r, buf_str(&path)) : run_get(r, &path);
    }
    buf_release(&path);
    return status;
}

/* ---- the command line ------------------------------------------------------------------------- */

static size_t make_options(struct remote *r, struct args_option out[MAX_OPTIONS + COMMON])
{
    const struct args_option common[COMMON] = {
        LOCAL_OPTIONS(&r->where),
        {.name = "key-file", .kind = ARGS_STRING, .value = &r->where.key_file, .meta = "FILE",
         .help_en = "act as the person whose API key this file holds; default $SEEKCTL_KEY (the key)",
         .help_zh = "以此文件中 API 密钥所属人员的身份操作；默认 $SEEKCTL_KEY（密钥本身）"},
        {.name = "server", .kind = ARGS_STRING, .value = &r->where.server, .meta = "URL",
         .help_en = "with a key: where; default $SEEKCTL_SERVER, else http://127.0.0.1:8080",
         .help_zh = "使用密钥时的服务器地址；默认 $SEEKCTL_SERVER，否则 http://127.0.0.1:8080"},
        {.name = "ca-file", .kind = ARGS_STRING, .value = &r->where.ca_file, .meta = "FILE",
         .help_en = "certificates (PEM) that vouch for an https server; default: the system's",
         .help_zh = "为 https 服务器担保的 CA 证书（PEM）；默认使用系统证书"},
        {.name = "reason", .kind = ARGS_STRING, .value = &r->reason, .meta = "TEXT",
         .help_en = "why, for the audit log", .help_zh = "原因，写入审计日志"},
        {.name = "json", .kind = ARGS_FLAG, .value = &r->json,
         .help_en = "print the server's answer as JSON", .help_zh = "以 JSON 输出服务器的回答"},
    };
    size_t n = 0;
    for (size_t i = 0; i < r->noun->n_options; i++) {
        const struct remote_option *o = &r->noun->options[i];
        bool flag = o->kind == REMOTE_FLAG;
        if (in_words(r->verb->options, o->name))
            out[n++] = (struct args_option){.name = o->name,
                                            .kind = flag ? ARGS_FLAG : ARGS_STRING,
                                            .value = flag ? (void *)&r->flag[i] : &r->value[i],
                                            .meta = o->meta,
                                            .help_en = o->help_en,
                                            .help_zh = o->help_zh};
    }
    for (size_t i = 0; i < COMMON; i++)
        out[n++] = common[i];
    return n;
}

static void release(struct remote *r)
{
    json_decref(r->refusal);
    forget_names(r);
    client_close(&r->client);
}

static bool any_option(const struct remote *r)
{
    for (size_t i = 0; i < r->noun->n_options; i++)
        if (r->value[i] || r->flag[i])
            return true;
    return false;
}

/* Names the options that there are; nothing was asked of the server. */
static int nothing_to_change(struct remote *r)
{
    struct buf names;
    buf_init(&names, PATH_BYTES);
    for (size_t i = 0; i < r->noun->n_options; i++)
        if (in_words(r->verb->options, r->noun->options[i].name))
            buf_printf(&names, "%s--%s", names.len ? lang_pick(", ", "、") : "",
                       r->noun->options[i].name);
    int status = args_wrong(
        &r->command, lang_pick("nothing to change: give %s", "没有要修改的内容：请给出 %s"),
        buf_str(&names));
    buf_release(&names);
    return status;
}

static int run_verb(struct remote *r)
{
    struct err e = ERR_INIT;
    if (!client_open(&r->where, &r->client, &e))
        return remote_fail(r, &e);
    return r->verb->run ? r->verb->run(r) : run_row(r);
}

static void print_verbs(const struct remote_noun *noun, FILE *out)
{
    const char *name = noun->command.name;
    size_t width = 0;
    fprintf(out, "%sseekctl %s %s\n\n%s\n\n", lang_pick("Usage: ", "用法："), name,
            lang_pick("VERB [arguments] [options]", "动作 [参数] [选项]"),
            lang_pick(noun->command.summary_en, noun->command.summary_zh));
    for (size_t i = 0; i < noun->n_verbs; i++) {
        size_t w = strlen(noun->verbs[i].name) + strlen(noun->verbs[i].synopsis) + 1;
        width = w > width ? w : width;
    }
    for (size_t i = 0; i < noun->n_verbs; i++) {
        const struct remote_verb *v = &noun->verbs[i];
        fprintf(out, "  %s %-*s  %s\n", v->name, (int)(width - strlen(v->name) - 1), v->synopsis,
                lang_pick(v->summary_en, v->summary_zh));
    }
    fprintf(out, lang_pick("\nseekctl %s VERB --help lists the options of a verb.\n",
                           "\n运行 seekctl %s 动作 --help 查看该动作的选项。\n"), name);
}

static const struct remote_verb *find_verb(const struct remote_noun *noun, const char *name)
{
    for (size_t i = 0; i < noun->n_verbs; i++)
        if (!strcmp(noun->verbs[i].name, name))
            return &noun->verbs[i];
    return NULL;
}

int remote_run(const struct ctl_command *self, int argc, char **argv)
{
    struct remote r = {.noun = (const struct remote_noun *)self};
    struct args_option options[MAX_OPTIONS + COMMON];
    bool single = r.noun->n_verbs == 1 && !*r.noun->verbs[0].name;
    if (!single && (argc < 1 || args_is_help(argv[0]))) {
        print_verbs(r.noun, argc < 1 ? stderr : stdout);
        return argc < 1 ? CTL_USAGE : CTL_OK;
    }
    r.verb = single ? &r.noun->verbs[0] : find_verb(r.noun, argv[0]);
    if (!r.verb)
        return args_wrong(self, lang_pick("there is no \"%s %s\"", "没有 \"%s %s\""), self->name,
                          argv[0]);
    snprintf(r.title, sizeof r.title, "%s%s%s", self->name, single ? "" : " ", r.verb->name);
    r.command = (struct ctl_command){.name = r.title, .synopsis = r.verb->synopsis,
                                     .summary_en = r.verb->summary_en,
                                     .summary_zh = r.verb->summary_zh};
    switch (args_parse(&r.command, options, make_options(&r, options), argc - !single,
                       argv + !single, r.arg, r.verb->max_args, &r.n_args)) {
    case ARGS_HELP:
        return CTL_OK;
    case ARGS_WRONG:
        return CTL_USAGE;
    default:
        break;
    }
    if (r.n_args < r.verb->min_args)
        return args_wrong(&r.command, lang_pick("it takes: %s", "参数：%s"), r.verb->synopsis);
    if (r.verb->needs_option && !any_option(&r))
        return nothing_to_change(&r);
    int status = run_verb(&r);
    release(&r);
    return status;
}
