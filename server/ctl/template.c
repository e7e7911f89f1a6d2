/* Owns: seekctl template. Refuses to know: how versions are stored and approved (the server does). */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "ctl/command.h"
#include "ctl/local.h"
#include "ctl/remote.h"
#include "ctl/table.h"
#include "lang.h"
#include "template/finding.h"
#include "template/promptfile.h"

enum { PATH_BYTES = 4096, FILE_MAX = 4 << 20, POLL_MS = 300 };

static const struct remote_option options[] = {
    {"prefix", REMOTE_TEXT, "prefix", "TEXT", "names that begin so, such as zh/", "名称前缀，例如 zh/"},
    {"tag", REMOTE_TEXT, "tag", "TAG", "with this tag", "带此标签词"},
    {"tags", REMOTE_LIST, "tags", "TAG,...", "all its tags, in place of those it has", "替换全部标签词"},
    {"note", REMOTE_TEXT, "note", "TEXT", "what changed, or why", "变更说明或理由"},
    {"owner", REMOTE_PERSON, "owner_id", "LOGIN|ID",
     "whose new templates are; default: who acts, on the server's machine admin",
     "新模板的所有者；默认为操作者，在服务器本机为 admin"},
    {"department", REMOTE_DEPARTMENT, "department_id", "PATH|ID",
     "who sees the template, none: everybody; of a canary: who gets the version",
     "哪个部门可见模板，none 表示所有人；灰度时为使用该版本的部门"},
    {"label", REMOTE_TEXT, "label", "LABEL", "label for versions that are imported", "为导入的版本设置标签"},
    {"dry-run", REMOTE_FLAG, "dry_run", NULL, "only say what would happen", "只显示将会发生什么"},
    {"trust", REMOTE_FLAG, "trust_states", NULL, "take over approvals from labels.json",
     "采用 labels.json 中的审批状态"},
    {"without-run", REMOTE_FLAG, "without_run", NULL, "approve although no test set has passed",
     "测试集未通过也批准"},
    {"archived", REMOTE_SWITCH, "archived", "on|off", "neither listed nor used; off: again",
     "归档后不再列出和使用；off 恢复"},
    {"permille", REMOTE_NUMBER, "permille", "N",
     "of a canary: share of the callers, of 1000; 0 ends it", "灰度调用方的千分比；0 表示结束"},
};

static const struct table_column rows[] = {
    {"name", "NAME", "名称", TABLE_TEXT},
    {"title", "TITLE", "标题", TABLE_WORDS},
    {"latest", "VERSIONS", "版本数", TABLE_TEXT},
    {"tags", "TAGS", "标签词", TABLE_TEXT},
    {"department_id", "SEEN BY", "可见部门", TABLE_DEPARTMENT},
    {"updated_at", "CHANGED", "更新时间", TABLE_TIME},
    REMOTE_END,
};
static const struct table_column runs[] = {
    {"id", "RUN", "运行", TABLE_TEXT},
    {"at", "AT", "时间", TABLE_TIME},
    {"passed", "PASSED", "通过", TABLE_TEXT},
    {"failed", "FAILED", "失败", TABLE_TEXT},
    REMOTE_END,
};
static const struct table_column saved[] = {
    {"template_id", "template", "模板", TABLE_TEXT},
    {"number", "version", "版本", TABLE_TEXT},
    {"hash", "hash", "哈希", TABLE_TEXT},
    REMOTE_END,
};

static const struct table_column details[] = {
    {"id", "id", "编号", TABLE_TEXT},
    {"name", "name", "名称", TABLE_TEXT},
    {"tags", "tags", "标签词", TABLE_TEXT},
    {"owner_id", "owner", "所有者", TABLE_PERSON},
    {"department_id", "seen by", "可见部门", TABLE_DEPARTMENT},
    {"created_at", "created", "创建时间", TABLE_TIME},
    {"archived", "archived", "已归档", TABLE_YES},
    REMOTE_END,
};
static const struct table_column versions[] = {
    {"number", "VERSION", "版本", TABLE_TEXT},
    {"state", "STATE", "状态", TABLE_STATE},
    {"author_id", "AUTHOR", "作者", TABLE_PERSON},
    {"created_at", "SAVED", "保存时间", TABLE_TIME},
    {"note", "NOTE", "说明", TABLE_TEXT},
    REMOTE_END,
};
static const struct table_column labels[] = {
    {"label", "LABEL", "标签", TABLE_TEXT},
    {"number", "VERSION", "版本", TABLE_TEXT},
    {"protected", "PROTECTED", "受保护", TABLE_YES},
    {"canary.number", "CANARY", "灰度版本", TABLE_TEXT},
    {"moved_by", "MOVED BY", "操作者", TABLE_PERSON},
    {"moved_at", "MOVED", "移动时间", TABLE_TIME},
    REMOTE_END,
};
static const struct remote_part template_parts[] = {
    {"versions", versions}, {"labels", labels}, REMOTE_END};

static const struct table_column version[] = {
    {"name", "name", "名称", TABLE_TEXT},
    {"number", "version", "版本", TABLE_TEXT},
    {"content.title", "title", "标题", TABLE_WORDS},
    {"content.description", "description", "描述", TABLE_WORDS},
    {"state", "state", "状态", TABLE_STATE},
    {"author_id", "author", "作者", TABLE_PERSON},
    {"created_at", "saved", "保存时间", TABLE_TIME},
    {"note", "note", "说明", TABLE_TEXT},
    {"labels", "labels", "标签", TABLE_TEXT},
    {"hash", "hash", "哈希", TABLE_TEXT},
    {"content.settings", "settings", "参数", TABLE_TEXT},
    REMOTE_END,
};
static const struct table_column variable_columns[] = {
    {"name", "VARIABLE", "变量", TABLE_TEXT},
    {"type", "TYPE", "类型", TABLE_TEXT},
    {"required", "REQUIRED", "必填", TABLE_YES},
    {"label", "LABEL", "名称", TABLE_WORDS},
    REMOTE_END,
};
static const struct table_column reviews[] = {
    {"state", "REVIEW", "审批", TABLE_STATE},
    {"by_id", "BY", "操作者", TABLE_PERSON},
    {"at", "AT", "时间", TABLE_TIME},
    {"note", "NOTE", "说明", TABLE_TEXT},
    REMOTE_END,
};
static const struct remote_part version_parts[] = {
    {"content.variables", variable_columns}, {"reviews", reviews}, {"runs", runs}, REMOTE_END};

static const struct table_column reviewed[] = {
    {"name", "name", "名称", TABLE_TEXT},
    {"number", "version", "版本", TABLE_TEXT},
    {"state", "state", "状态", TABLE_STATE},
    REMOTE_END,
};
static const struct table_column label_now[] = {
    {"label", "label", "标签", TABLE_TEXT},
    {"number", "version", "版本", TABLE_TEXT},
    {"protected", "protected", "受保护", TABLE_YES},
    {"canary.number", "canary", "灰度版本", TABLE_TEXT},
    {"canary.permille", "canary, of 1000 callers", "灰度（1000 个调用方中）", TABLE_TEXT},
    {"moved_by", "moved by", "操作者", TABLE_PERSON},
    {"moved_at", "moved", "移动时间", TABLE_TIME},
    REMOTE_END,
};
static const struct table_column job_ended_as[] = {
    {"run_id", "run", "运行", TABLE_TEXT},
    {"state", "state", "状态", TABLE_STATE},
    {"tests", "tests", "测试", TABLE_TEXT},
    {"passed", "passed", "通过", TABLE_TEXT},
    {"failed", "failed", "失败", TABLE_TEXT},
    {"form.failed", "failed in form", "格式失败", TABLE_TEXT},
    {"message", "message", "信息", TABLE_TEXT},
    REMOTE_END,
};
static const struct table_column imported[] = {
    {"files", "files", "文件", TABLE_TEXT},
    {"created", "created", "新建", TABLE_TEXT},
    {"added", "versions added", "新增版本", TABLE_TEXT},
    {"unchanged", "unchanged", "未变", TABLE_TEXT},
    {"label", "labels set", "已设标签", TABLE_TEXT},
    {"label_skipped", "labels skipped", "未设标签", TABLE_TEXT},
    {"dry_run", "dry run", "仅试运行", TABLE_YES},
    REMOTE_END,
};

/* Writes "templates/NAME" and what follows; the name becomes one segment. */
static void put_path(struct buf *path, const char *name, const char *rest)
{
    buf_init(path, PATH_BYTES);
    buf_puts(path, "templates/");
    client_escape(path, name);
    buf_puts(path, rest);
}

/* ---- files ------------------------------------------------------------------------------------ */

static bool read_file(const char *name, struct buf *out, struct err *e)
{
    char chunk[16384];
    size_t n;
    buf_init(out, FILE_MAX);
    FILE *in = fopen(name, "re");
    if (!in)
        FAIL_OS(e, lang_pick("cannot read %s", "无法读取 %s"), name);
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0)
        buf_append(out, chunk, n);
    bool ok = !ferror(in) && !out->failed;
    fclose(in);
    if (!ok)
        FAIL(e, ERR_IO,
             lang_pick("cannot read %s, or it is larger than %d MiB", "无法读取 %s，或其大于 %d MiB"), name,
             FILE_MAX >> 20);
    return true;
}

static void write_member(FILE *out, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    table_write_text(out, text ? text : "");
}

/* What went wrong at which place, in the language of the terminal. */
static void print_findings(const json_t *list)
{
    size_t i;
    json_t *f;
    json_array_foreach (list, i, f) {
        const json_t *message = json_object_get(f, "message");
        write_member(stderr, f, "level");
        fputs(": ", stderr);
        write_member(stderr, f, "at");
        fputs(": ", stderr);
        write_member(stderr, message, lang_pick("en", "zh"));
        fputc('\n', stderr);
    }
}

static bool parse(const char *name, struct promptfile *out, struct err *e)
{
    struct buf text;
    struct findings f;
    if (!read_file(name, &text, e)) {
        buf_release(&text);
        return false;
    }
    findings_init(&f);
    bool ok = promptfile_parse(buf_str(&text), text.len, out, &f, e);
    if (!ok)
        print_findings(f.list);
    findings_release(&f);
    buf_release(&text);
    return ok || err_prefix(e, "%s", name);
}

/* The machine's administrator is no person: what they bring in belongs to `admin`, the administrator of
 * the first start, unless --owner names another. */
static bool put_owner(struct remote *r, json_t *body, struct err *e)
{
    static const char login[] = "admin";
    struct err why = ERR_INIT;
    int64_t id;
    if (!remote_is_local(r) || json_object_get(body, "owner_id"))
        return true;
    if (!remote_resolve(r, REMOTE_PERSON, login, &id, &why))
        FAIL(e, ERR_ARG, "%s", lang_pick("say whose the new template is: --owner LOGIN",
                                         "请指定新模板的所有者：--owner LOGIN"));
    fprintf(stderr, lang_pick("new templates belong to %s (--owner LOGIN: to another person)\n",
                              "新模板属于 %s（可用 --owner LOGIN 指定其他人员）\n"), login);
    return !json_object_set_new(body, "owner_id", json_integer((json_int_t)id));
}

static bool send_version(struct remote *r, const char *name, json_t *body, json_t **answer,
                         struct err *e)
{
    struct buf path;
    int64_t revision = 0;
    struct err why = ERR_INIT;
    put_path(&path, name, "");
    bool found = remote_get(r, buf_str(&path), NULL, &revision, &why);
    buf_release(&path);
    if (!found && why.code != ERR_NOT_FOUND) {
        *e = why;
        return false;
    }
    if (!found) {
        json_object_set_new(body, "name", json_string(name));
        return put_owner(r, body, e) && remote_send(r, "POST", "templates", body, 0, answer, e);
    }
    json_object_del(body, "owner_id"); /* belong to new templates */
    json_object_del(body, "department_id");
    put_path(&path, name, "/versions");
    bool ok = remote_send(r, "POST", buf_str(&path), body, revision, answer, e);
    buf_release(&path);
    return ok;
}

static int save(struct remote *r)
{
    struct err e = ERR_INIT;
    struct promptfile file;
    json_t *answer = NULL;
    if (!parse(remote_arg(r, 1), &file, &e))
        return remote_fail(r, &e);
    json_t *body = json_pack("{s:O, s:O*}", "content", file.content, "tags", file.tags);
    json_object_set_new(body, "note", json_string(file.note && *file.note ? file.note : "saved"));
    bool ok = remote_fields(r, body, &e) &&
              send_version(r, remote_arg(r, 0), body, &answer, &e);
    json_decref(body);
    promptfile_release(&file);
    if (!ok)
        return remote_fail(r, &e);
    print_findings(json_object_get(answer, "findings"));
    if (json_is_true(json_object_get(answer, "unchanged")) && !remote_wants_json(r))
        printf(lang_pick("unchanged: version %lld says the same\n", "未变化：与版本 %lld 相同\n"),
               (long long)json_integer_value(json_object_get(answer, "number")));
    return remote_show_take(r, answer, saved);
}

static int lint(struct remote *r)
{
    struct err e = ERR_INIT;
    struct promptfile file;
    json_t *answer = NULL;
    if (!parse(remote_arg(r, 0), &file, &e))
        return remote_fail(r, &e);
    json_t *body = json_pack("{s:s, s:O}", "name", file.name, "content", file.content);
    bool ok = remote_send(r, "POST", "templates/lint", body, 0, &answer, &e);
    json_decref(body);
    promptfile_release(&file);
    if (!ok)
        return remote_fail(r, &e);
    print_findings(json_object_get(answer, "findings"));
    return remote_show_take(r, answer, NULL);
}

/* ---- labels ----------------------------------------------------------------------------------- */

/* Revision of a label, 0 when there is none yet. */
static bool label_revision(struct remote *r, const char *name, const char *label, int64_t *revision,
                           struct err *e)
{
    struct buf path;
    json_t *template = NULL, *l;
    size_t i;
    put_path(&path, name, "");
    bool ok = remote_get(r, buf_str(&path), &template, NULL, e);
    buf_release(&path);
    *revision = 0;
    json_array_foreach (json_object_get(template, "labels"), i, l)
        if (!strcmp(json_string_value(json_object_get(l, "label")), label))
            *revision = json_integer_value(json_object_get(l, "revision"));
    json_decref(template);
    return ok;
}

/* One change of a label: METHOD labels/LABEL and `rest`. */
static int change_label(struct remote *r, const char *method, const char *rest, json_t *body)
{
    struct err e = ERR_INIT;
    struct buf path;
    int64_t revision;
    json_t *answer = NULL;
    const char *name = remote_arg(r, 0), *label = remote_arg(r, 1);
    put_path(&path, name, "/labels/");
    client_escape(&path, label);
    buf_puts(&path, rest);
    bool ok = label_revision(r, name, label, &revision, &e) &&
              remote_send(r, method, buf_str(&path), body, revision, &answer, &e);
    buf_release(&path);
    json_decref(body);
    return ok ? remote_show_take(r, answer, answer ? label_now : NULL) : remote_fail(r, &e);
}

static bool number_arg(struct remote *r, size_t i, int64_t *out)
{
    const char *text = remote_arg(r, i);
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return !*end && !errno && *out >= 0 && *text >= '0' && *text <= '9';
}

static int label_move(struct remote *r)
{
    int64_t number;
    if (!number_arg(r, 2, &number))
        return remote_wrong(r, lang_pick("the version is a number", "版本必须是数字"));
    return change_label(r, "PUT", "", json_pack("{s:I}", "number", (json_int_t)number));
}

static int label_delete(struct remote *r)
{
    return change_label(r, "DELETE", "", NULL);
}

static int label_rollback(struct remote *r)
{
    return change_label(r, "POST", "/rollback", json_object());
}

static int label_protect(struct remote *r)
{
    bool on = !strcmp(remote_arg(r, 2), "on");
    if (!on && strcmp(remote_arg(r, 2), "off"))
        return remote_wrong(r, lang_pick("say on or off", "请给出 on 或 off"));
    return change_label(r, "PUT", "/protection", json_pack("{s:b}", "protected", on));
}

static int label_canary(struct remote *r)
{
    struct err e = ERR_INIT;
    int64_t number;
    if (!number_arg(r, 2, &number))
        return remote_wrong(r, lang_pick("the version is a number; 0 ends the canary",
                                         "版本必须是数字；0 表示结束"));
    json_t *body = json_pack("{s:I}", "number", (json_int_t)number);
    if (!remote_fields(r, body, &e)) {
        json_decref(body);
        return remote_fail(r, &e);
    }
    return change_label(r, "PUT", "/canary", body);
}

/* ---- versions --------------------------------------------------------------------------------- */

static int review(struct remote *r)
{
    static const char *const words[][2] = {
        {"request", "review"}, {"approve", "approved"}, {"reject", "rejected"}};
    struct err e = ERR_INIT;
    struct buf path;
    json_t *answer = NULL, *body = NULL;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(words[i][0], remote_arg(r, 2)))
            body = json_pack("{s:s}", "to", words[i][1]);
    if (!body)
        return remote_wrong(r, lang_pick("say request, approve or reject",
                                         "请给出 request、approve 或 reject"));
    if (!strcmp(remote_arg(r, 2), "approve"))
        json_object_set_new(body, "evidence", json_pack("{s:s}", "by", "seekctl"));
    put_path(&path, remote_arg(r, 0), "/versions/");
    client_escape(&path, remote_arg(r, 1));
    buf_puts(&path, "/review");
    bool ok = remote_fields(r, body, &e) &&
              remote_send(r, "POST", buf_str(&path), body, 0, &answer, &e);
    buf_release(&path);
    json_decref(body);
    return ok ? remote_show_take(r, answer, reviewed) : remote_fail(r, &e);
}

static void print_messages(const json_t *list)
{
    size_t i;
    json_t *m;
    json_array_foreach (list, i, m) {
        fputs(i ? "\n[" : "[", stdout);
        write_member(stdout, m, "role");
        fputs("]\n", stdout);
        write_member(stdout, m, "content");
        putchar('\n');
    }
}

/* One version: what is about it, then its messages as they are written. */
static int get_version(struct remote *r)
{
    struct err e = ERR_INIT;
    struct buf path;
    json_t *answer = NULL;
    put_path(&path, remote_arg(r, 0), "/versions/");
    client_escape(&path, remote_arg(r, 1));
    bool ok = remote_get(r, buf_str(&path), &answer, NULL, &e);
    buf_release(&path);
    if (!ok)
        return remote_fail(r, &e);
    json_t *messages = json_incref(json_object_get(json_object_get(answer, "content"), "messages"));
    int status = remote_show_parts_take(r, answer, version, version_parts);
    if (!remote_wants_json(r) && messages) {
        putchar('\n');
        print_messages(messages);
    }
    json_decref(messages);
    return status;
}

static bool job_ended(const json_t *job)
{
    const char *state = json_string_value(json_object_get(job, "state"));
    return !state || (strcmp(state, "queued") && strcmp(state, "running"));
}

static void print_progress(const json_t *job)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%lld / %lld",
                (long long)json_integer_value(json_object_get(job, "done")),
                (long long)json_integer_value(json_object_get(job, "tests")));
}

/* Starts the test set and waits; fails when a test did. */
static int run(struct remote *r)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    struct err e = ERR_INIT;
    struct buf path;
    json_t *job = NULL, *nothing = json_object();
    put_path(&path, remote_arg(r, 0), "/versions/");
    client_escape(&path, remote_arg(r, 1));
    buf_puts(&path, "/runs");
    bool ok = remote_send(r, "POST", buf_str(&path), nothing, 0, &job, &e);
    const char *id = json_string_value(json_object_get(job, "id"));
    buf_printf(&path, "/%s", id ? id : "");
    while (ok && !job_ended(job)) {
        print_progress(job);
        nanosleep(&pause, NULL);
        json_decref(job);
        job = NULL;
        ok = remote_get(r, buf_str(&path), &job, NULL, &e);
    }
    if (isatty(STDERR_FILENO))
        fputs("\n", stderr);
    buf_release(&path);
    json_decref(nothing);
    if (!ok)
        return remote_fail(r, &e);
    bool passed = !json_integer_value(json_object_get(job, "failed")) &&
                  json_is_integer(json_object_get(job, "run_id"));
    int rc = remote_show_take(r, job, job_ended_as);
    return rc == CTL_OK && !passed ? CTL_FAILED : rc;
}

/* A new template from VERSION (a number or a label), by default the newest one. */
static int fork_version(struct remote *r)
{
    struct err e = ERR_INIT;
    struct buf path;
    int64_t number;
    json_t *answer = NULL, *body = json_pack("{s:s}", "name", remote_arg(r, 1));
    const char *from = remote_arg(r, 2);
    if (from)
        json_object_set_new(body, "from",
                            number_arg(r, 2, &number)
                                ? json_pack("{s:I}", "number", (json_int_t)number)
                                : json_pack("{s:s}", "label", from));
    put_path(&path, remote_arg(r, 0), "/fork");
    bool ok = remote_fields(r, body, &e) && put_owner(r, body, &e) &&
              remote_send(r, "POST", buf_str(&path), body, 0, &answer, &e);
    buf_release(&path);
    json_decref(body);
    return ok ? remote_show_take(r, answer, saved) : remote_fail(r, &e);
}

static int diff(struct remote *r)
{
    struct err e = ERR_INIT;
    struct buf path;
    put_path(&path, remote_arg(r, 0), "/diff?from=");
    client_escape(&path, remote_arg(r, 1));
    buf_puts(&path, "&to=");
    client_escape(&path, remote_arg(r, 2));
    buf_puts(&path, remote_wants_json(r) ? "" : "&format=text");
    bool ok = remote_save(r, buf_str(&path), "-", &e);
    buf_release(&path);
    return ok ? CTL_OK : remote_fail(r, &e);
}

/* The messages that variables, an object in a JSON file, give. */
static int render(struct remote *r)
{
    struct err e = ERR_INIT;
    struct buf path, text;
    json_error_t where;
    json_t *answer = NULL, *body = json_object();
    bool ok = true;
    buf_init(&text, FILE_MAX);
    if (remote_arg(r, 2)) {
        json_t *variables = NULL;
        ok = read_file(remote_arg(r, 2), &text, &e);
        if (ok && !(variables = json_loadb(buf_str(&text), text.len, JSON_REJECT_DUPLICATES, &where)))
            ok = err_set(&e, ERR_FORMAT, 0, __FILE__, __LINE__, "%s: line %d: %s", remote_arg(r, 2),
                         where.line, where.text);
        json_object_set_new(body, "variables", variables);
    }
    put_path(&path, remote_arg(r, 0), "/versions/");
    client_escape(&path, remote_arg(r, 1));
    buf_puts(&path, "/render");
    ok = ok && remote_send(r, "POST", buf_str(&path), body, 0, &answer, &e);
    buf_release(&path);
    buf_release(&text);
    json_decref(body);
    if (!ok)
        return remote_fail(r, &e);
    if (remote_wants_json(r))
        return remote_show_take(r, answer, NULL);
    print_messages(json_object_get(answer, "messages"));
    json_decref(answer);
    return CTL_OK;
}

static void print_checks(const json_t *checks)
{
    size_t i;
    json_t *c;
    json_array_foreach (checks, i, c) {
        if (json_is_true(json_object_get(c, "passed")))
            continue;
        char *check = json_dumps(json_object_get(c, "check"), JSON_COMPACT);
        const char *detail = json_string_value(json_object_get(c, "detail"));
        printf("      %s: %s\n", check ? check : "", detail ? detail : "");
        free(check);
    }
}

/* Each test with its verdict, what failed, and the answer. */
static int report(struct remote *r)
{
    struct err e = ERR_INIT;
    struct buf path;
    json_t *answer = NULL, *t;
    size_t i;
    put_path(&path, remote_arg(r, 0), "/versions/");
    client_escape(&path, remote_arg(r, 1));
    buf_puts(&path, "/runs/");
    client_escape(&path, remote_arg(r, 2));
    bool ok = remote_get(r, buf_str(&path), &answer, NULL, &e);
    buf_release(&path);
    if (!ok)
        return remote_fail(r, &e);
    if (remote_wants_json(r))
        return remote_show_take(r, answer, NULL);
    json_array_foreach (json_object_get(json_object_get(answer, "report"), "tests"), i, t) {
        bool passed = json_is_true(json_object_get(t, "passed"));
        const char *text = json_string_value(json_object_get(t, "answer"));
        printf("%s  %s\n", passed ? lang_pick("pass", "通过") : lang_pick("FAIL", "失败"),
               json_string_value(json_object_get(t, "name")));
        print_checks(json_object_get(t, "checks"));
        printf("      %s %s\n", lang_pick("answer:", "回答："), text ? text : "");
    }
    json_decref(answer);
    return CTL_OK;
}

/* ---- folders ---------------------------------------------------------------------------------- */

/* A line per change would be hundreds: how many there are of each kind stands instead. */
static void count_changes(json_t *answer)
{
    const json_t *changes = json_object_get(answer, "changes");
    json_t *counts = json_object();
    for (size_t i = 0; i < json_array_size(changes); i++) {
        const char *action = json_string_value(json_object_get(json_array_get(changes, i), "action"));
        json_int_t n = json_integer_value(json_object_get(counts, action));
        json_object_set_new(counts, action, json_integer(n + 1));
    }
    json_object_update(answer, counts);
    json_object_del(answer, "changes");
    json_decref(counts);
}

/* What follows from an import: who reads it next, and why labels stayed where they were. */
static void explain_import(const struct remote *r, const json_t *answer)
{
    const json_t *changes = json_object_get(answer, "changes"), *skipped = NULL;
    size_t i, created = 0, n_skipped = 0;
    json_t *c;
    json_array_foreach (changes, i, c) {
        const char *action = json_string_value(json_object_get(c, "action"));
        created += action && (!strcmp(action, "created") || !strcmp(action, "added"));
        if (!action || strcmp(action, "label_skipped"))
            continue;
        skipped = n_skipped++ ? skipped : c;
    }
    if (created && !remote_flag(r, "dry-run") && !remote_flag(r, "trust"))
        fprintf(stderr,
                lang_pick("%zu drafts imported; request review: "
                          "seekctl template review NAME VERSION request\n",
                          "已导入 %zu 个草稿；提请审批：seekctl template review 名称 版本 request\n"),
                created);
    if (skipped) {
        fprintf(stderr, lang_pick("%zu labels skipped, the first because ",
                                  "%zu 个标签未设置，第一个的原因："), n_skipped);
        write_member(stderr, skipped, "detail");
        fputc('\n', stderr);
    }
}

static int transfer(struct remote *r, const char *path, bool makes)
{
    struct err e = ERR_INIT;
    char *folder = local_path(remote_arg(r, 0));
    json_t *answer = NULL, *body = json_pack("{s:s}", "folder", folder);
    bool ok = (body || err_set(&e, ERR_ARG, 0, __FILE__, __LINE__, "the path is not UTF-8")) &&
              remote_fields(r, body, &e) && (!makes || put_owner(r, body, &e)) &&
              remote_send(r, "POST", path, body, 0, &answer, &e);
    json_decref(body);
    free(folder);
    if (!ok)
        return remote_fail(r, &e);
    if (makes)
        explain_import(r, answer);
    if (!remote_wants_json(r))
        count_changes(answer);
    return remote_show_take(r, answer, makes ? imported : NULL);
}

static int import_folder(struct remote *r)
{
    return transfer(r, "templates/import", true);
}

static int export_folder(struct remote *r)
{
    return transfer(r, "templates/export", false);
}

/* ---- the table -------------------------------------------------------------------------------- */

static const struct remote_verb verbs[] = {
    {"list", "[--prefix P] [--tag T]", "templates", "列出模板", .options = "prefix tag",
     .method = "GET", .path = "templates", .list = true, .columns = rows},
    {"show", "NAME", "a template with its versions and labels", "查看模板及其版本与标签",
     .min_args = 1, .max_args = 1, .method = "GET", .path = "templates/{name}",
     .columns = details, .parts = template_parts},
    {"get", "NAME VERSION|LABEL", "one version with all it says", "查看一个版本的全部内容",
     .min_args = 2, .max_args = 2, .run = get_version},
    {"diff", "NAME VERSION|LABEL VERSION|LABEL", "what changed between two versions",
     "比较两个版本", .min_args = 3, .max_args = 3, .run = diff},
    {"render", "NAME VERSION|LABEL [VARIABLES.json]", "the messages that variables give",
     "用变量生成消息", .min_args = 2, .max_args = 3, .run = render},
    {"save", "NAME FILE.prompt [--note T] [--owner LOGIN]", "a new version from a file",
     "从文件保存新版本", .options = "note owner department", .min_args = 2, .max_args = 2, .run = save},
    {"fork", "NAME NEW-NAME [VERSION|LABEL] [--owner LOGIN] [--department PATH]",
     "a new template from a version", "从一个版本派生新模板", .options = "owner department",
     .min_args = 2, .max_args = 3, .run = fork_version},
    {"change", "NAME [--tags A,B] [--owner LOGIN] [--department PATH|none] [--archived on|off]",
     "tags, owner, who sees it, archive", "修改标签词、所有者、可见部门或归档",
     .options = "tags owner department archived", .needs_option = true, .min_args = 1,
     .max_args = 1, .method = "PATCH", .path = "templates/{name}", .revised = true,
     .columns = details},
    {"lint", "FILE.prompt", "what a save would say", "检查文件而不保存", .min_args = 1, .max_args = 1,
     .run = lint},
    {"review", "NAME VERSION request|approve|reject [--note T]",
     "asks for approval, gives or refuses it", "提请审批、批准或拒绝", .options = "note without-run",
     .min_args = 3, .max_args = 3, .run = review},
    {"run", "NAME VERSION", "runs the test set; exit status 1 when a test failed",
     "运行测试集；有失败时退出码为 1", .min_args = 2, .max_args = 2, .run = run},
    {"runs", "NAME VERSION", "earlier runs of the test set", "测试集的历次运行", .min_args = 2,
     .max_args = 2, .method = "GET", .path = "templates/{name}/versions/{version}/runs",
     .list = true, .columns = runs},
    {"report", "NAME VERSION RUN", "every test of a run, with its answer", "一次运行的逐项结果",
     .min_args = 3, .max_args = 3, .run = report},
    {"delete", "NAME VERSION", "deletes a version to which no label points", "删除未被标签指向的版本",
     .min_args = 2, .max_args = 2, .method = "DELETE",
     .path = "templates/{name}/versions/{version}"},
    {"label", "NAME LABEL VERSION", "puts a label on a version", "将标签指向版本", .min_args = 3,
     .max_args = 3, .run = label_move},
    {"unlabel", "NAME LABEL", "takes a label away", "删除标签", .min_args = 2, .max_args = 2,
     .run = label_delete},
    {"rollback", "NAME LABEL",
     "back to where the label pointed before its last move; twice: forth again",
     "将标签移回上次移动前所指的版本；再次执行则又移回来",
     .min_args = 2, .max_args = 2, .run = label_rollback},
    {"protect", "NAME LABEL on|off", "only approved versions, moved by approvers", "保护标签",
     .min_args = 3, .max_args = 3, .run = label_protect},
    {"canary", "NAME LABEL VERSION [--permille N] [--department PATH]",
     "part of the callers gets another version; version 0 ends it",
     "让部分调用方使用另一版本（灰度）；版本 0 表示结束",
     .options = "permille department", .min_args = 3, .max_args = 3, .run = label_canary},
    {"import", "FOLDER [--owner LOGIN] [--label L] [--dry-run]", "a folder of prompt files",
     "导入模板目录", .options = "owner department label dry-run trust", .min_args = 1, .max_args = 1,
     .run = import_folder},
    {"export", "FOLDER [--prefix P]", "writes prompt files into a new folder", "导出模板到新目录",
     .options = "prefix", .min_args = 1, .max_args = 1,
     .run = export_folder},
    {"archive", "NAME", "not listed and not used any more", "归档模板", .min_args = 1, .max_args = 1,
     .fixed = "{\"archived\": true}", .method = "PATCH", .path = "templates/{name}", .revised = true,
     .columns = details},
};

const struct remote_noun ctl_template = {
    {"template", "VERB ...", "Manages the prompt registry of a running server.",
     "管理提示词模板（连接运行中的服务器）。", remote_run},
    REMOTE_TABLE(verbs), REMOTE_TABLE(options)};
