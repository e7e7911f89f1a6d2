/* Owns: seekctl usage and seekctl audit. Refuses to know: how either is counted or chained. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "ctl/command.h"
#include "ctl/remote.h"
#include "lang.h"

enum { PATH_BYTES = 4096, ROWS_SHOWN = 200 };

/* ---- usage ------------------------------------------------------------------------------------ */

#define LIMIT_OPTION                                                                               \
    {"limit", REMOTE_NUMBER, NULL, "N", "rows at most", "最多行数"}
#define RANGE_OPTIONS                                                                              \
    {"from", REMOTE_TEXT, "from", "DATE", "first moment, such as 2026-11-01", "起始，例如 2026-11-01"}, \
    {                                                                                              \
        "to", REMOTE_TEXT, "to", "DATE", "first moment that does not count", "截止（不含）"          \
    }

static const struct remote_option usage_options[] = {
    RANGE_OPTIONS,
    {"by", REMOTE_TEXT, "by", "WHAT", "department, person, key, model or template",
     "按 department、person、key、model 或 template 分组"},
    {"split", REMOTE_TEXT, "split", "PERIOD", "minute, hour or day", "按 minute、hour 或 day 分段"},
    {"department", REMOTE_DEPARTMENT, "department_id", "PATH|ID", "with all below it", "含下级部门"},
    {"person", REMOTE_PERSON, "person_id", "LOGIN|ID", "of this person", "此人员"},
    {"key", REMOTE_KEY, "key_id", "KEY|ID", "of this key", "此密钥"},
    {"template", REMOTE_TEMPLATE, "template_id", "NAME|ID", "of this template", "此模板"},
    {"model", REMOTE_TEXT, "model", "NAME", "of this model", "此模型"},
    {"status", REMOTE_TEXT, "status", "STATUS", "started, finished, failed or interrupted",
     "started、finished、failed 或 interrupted"},
    {"csv", REMOTE_TEXT, NULL, "FILE", "write CSV to a new file (- = standard output)",
     "写入新的 CSV 文件（- = 标准输出）"},
    LIMIT_OPTION,
};

static const struct table_column total_columns[] = {
    {"starts_at", "FROM", "起始", TABLE_TIME},
    {"name", "NAME", "名称", TABLE_TEXT},
    {"version", "VERSION", "版本", TABLE_TEXT},
    {"model", "MODEL", "模型", TABLE_TEXT},
    {"requests", "REQUESTS", "请求", TABLE_TEXT},
    {"failed", "FAILED", "失败", TABLE_TEXT},
    {"prompt_tokens", "PROMPT", "输入", TABLE_TEXT},
    {"cached_tokens", "CACHED", "缓存", TABLE_TEXT},
    {"completion_tokens", "COMPLETION", "输出", TABLE_TEXT},
    {"mean_ttft_ms", "TTFT MS", "首字毫秒", TABLE_MS},
    {"mean_duration_ms", "MS", "毫秒", TABLE_MS},
    REMOTE_END,
};
static const struct table_column request_columns[] = {
    {"started_at", "STARTED", "开始", TABLE_TIME},
    {"request_id", "REQUEST", "请求", TABLE_TEXT},
    {"person_id", "PERSON", "人员", TABLE_PERSON},
    {"key_id", "KEY", "密钥", TABLE_KEY},
    {"endpoint", "ENDPOINT", "接口", TABLE_TEXT},
    {"status", "STATUS", "状态", TABLE_STATE},
    {"http_status", "HTTP", "HTTP", TABLE_TEXT},
    {"prompt_tokens", "PROMPT", "输入", TABLE_TEXT},
    {"completion_tokens", "COMPLETION", "输出", TABLE_TEXT},
    {"duration_ms", "MS", "毫秒", TABLE_MS},
    REMOTE_END,
};

/* A text; of a list every one. */
static void print_part(const char *title, const json_t *v)
{
    size_t i;
    json_t *one;
    char *dump = NULL;
    if (json_is_array(v)) {
        json_array_foreach (v, i, one)
            print_part(title, one);
        return;
    }
    if (!v || json_is_null(v))
        return;
    const char *text = json_string_value(v);
    if (!text)
        text = dump = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    printf("[%s]\n", title);
    table_write_text(stdout, text ? text : "");
    fputs("\n\n", stdout);
    free(dump);
}

static void print_kept(const json_t *kept)
{
    const json_t *messages = json_object_get(kept, "messages");
    size_t i;
    json_t *m;
    if (json_is_array(messages))
        json_array_foreach (messages, i, m) {
            const char *role = json_string_value(json_object_get(m, "role"));
            print_part(role ? role : "?", json_object_get(m, "content"));
        }
    else
        print_part(lang_pick("messages", "消息"), messages);
    print_part(lang_pick("prompt", "输入"), json_object_get(kept, "prompt"));
    print_part(lang_pick("reasoning", "思考"), json_object_get(kept, "reasoning"));
    print_part(lang_pick("answer", "回答"), json_object_get(kept, "answer"));
    if (json_is_true(json_object_get(kept, "cut")))
        fputs(lang_pick("not all of it is kept: it was too long\n", "内容过长，未全部保留\n"), stderr);
}

/* A text that was kept, with the reason that the server asks for. */
static int text(struct remote *r)
{
    struct err e = ERR_INIT;
    json_t *answer;
    struct buf path;
    buf_init(&path, PATH_BYTES);
    buf_puts(&path, "usage/requests/");
    client_escape(&path, remote_arg(r, 0));
    buf_puts(&path, "/text");
    bool ok = remote_get(r, buf_str(&path), &answer, NULL, &e);
    buf_release(&path);
    if (!ok)
        return remote_fail(r, &e);
    if (remote_wants_json(r))
        return remote_show_take(r, answer, NULL);
    const json_t *said = json_object_get(answer, "text");
    json_t *kept = json_loadb(json_string_value(said), json_string_length(said), 0, NULL);
    if (kept)
        print_kept(kept);
    else
        print_part("text", said); /* with a NUL in it, for example */
    json_decref(kept);
    json_decref(answer);
    return CTL_OK;
}

#define WHOSE "department person key template model"
static const struct remote_verb usage_verbs[] = {
    {"totals", "[--from D] [--to D] [--by WHAT] [--split PERIOD]", "requests and tokens, added up",
     "请求与词元汇总", .options = "from to by split csv limit " WHOSE, .method = "GET",
     .path = "usage/totals", .list = true, .csv = true, .columns = total_columns},
    {"requests", "[--from D] [--to D] [--person LOGIN]", "requests, newest first", "请求明细，最新在前",
     .options = "from to status csv limit " WHOSE, .method = "GET", .path = "usage/requests",
     .list = true, .most = ROWS_SHOWN, .csv = true, .columns = request_columns},
    {"text", "REQUEST --reason TEXT", "the kept text of a request", "查看某请求保留的内容", .min_args = 1,
     .max_args = 1, .run = text},
};

const struct remote_noun ctl_usage = {
    {"usage", "VERB ...", "Reads the usage ledger of a running server.", "查看用量账本（连接运行中的服务器）。",
     remote_run},
    REMOTE_TABLE(usage_verbs), REMOTE_TABLE(usage_options)};

/* ---- audit ------------------------------------------------------------------------------------ */

#define ACTION_LINE ",\n" "                           "
#define ACTIONS                                                                                    \
    "person.create|change|disable|enable|password|password_reset" ACTION_LINE                      \
    "login.slowed|unlock, session.open|end" ACTION_LINE                                            \
    "department.create|change|disable|enable, key.create|change|revoke" ACTION_LINE                \
    "quota.set|delete, calendar.create|change|delete" ACTION_LINE                                  \
    "template.save|change|review|run|export|delete_version" ACTION_LINE                            \
    "label.move|canary|protect|delete" ACTION_LINE                                                 \
    "text.read|forget, usage.purge, audit.export, server.backup"

static const struct remote_option audit_options[] = {
    RANGE_OPTIONS,
    {"actor", REMOTE_PERSON, "actor_id", "LOGIN|ID", "who did it", "操作者"},
    {"action", REMOTE_TEXT, "action", "ACTION", "what it was: " ACTIONS, "操作：" ACTIONS},
    {"kind", REMOTE_TEXT, "object_kind", "KIND", "of what, such as key", "对象类型，例如 key"},
    {"object", REMOTE_TEXT, "object_id", "ID", "of which", "对象编号"},
    {"known", REMOTE_TEXT, "known", "SEQ:HEX", "a head written down earlier, which must still be there",
     "此前记录的链头，必须仍在其中"},
    LIMIT_OPTION,
};

static const struct table_column audit_columns[] = {
    {"seq", "SEQ", "序号", TABLE_TEXT},
    {"at", "AT", "时间", TABLE_TIME},
    {"actor", "WHO", "操作者", TABLE_TEXT},
    {"address", "FROM", "来源", TABLE_TEXT},
    {"action", "ACTION", "操作", TABLE_TEXT},
    {"object_kind", "KIND", "对象", TABLE_TEXT},
    {"object_id", "ID", "编号", TABLE_TEXT},
    {"reason", "REASON", "原因", TABLE_TEXT},
    REMOTE_END,
};
static const struct table_column verdict[] = {
    {"ok", "sound", "完好", TABLE_YES},
    {"rows", "rows", "行数", TABLE_TEXT},
    {"head", "head", "链头", TABLE_TEXT},
    {"bad_seq", "first changed row", "首个被改动的行", TABLE_TEXT},
    REMOTE_END,
};

/* Fails when the chain does, so that a script sees it. */
static int verify(struct remote *r)
{
    struct err e = ERR_INIT;
    json_t *answer, *body = json_object();
    bool ok = remote_fields(r, body, &e) &&
              remote_send(r, "POST", "audit/verify", body, 0, &answer, &e);
    json_decref(body);
    if (!ok)
        return remote_fail(r, &e);
    bool sound = json_is_true(json_object_get(answer, "ok"));
    remote_show_take(r, answer, verdict);
    return sound ? CTL_OK : CTL_FAILED;
}

static int export_log(struct remote *r)
{
    struct err e = ERR_INIT;
    return remote_save(r, "audit/export", remote_arg(r, 0), &e) ? CTL_OK : remote_fail(r, &e);
}

static const struct remote_verb audit_verbs[] = {
    {"list", "[--actor LOGIN] [--action A] [--from D]", "administrative acts, oldest first",
     "管理操作，最早在前", .options = "from to actor action kind object limit", .method = "GET",
     .path = "audit", .list = true, .most = ROWS_SHOWN, .columns = audit_columns},
    {"export", "FILE|-", "all rows as JSON lines, with what the hashes cover", "导出全部记录（JSON 行）",
     .min_args = 1, .max_args = 1, .run = export_log},
    {"head", "", "number and hash of the newest row, to be written down elsewhere",
     "最新一行的序号与哈希，供另行记录", .method = "GET", .path = "audit/head"},
    {"verify", "[--known SEQ:HEX]", "checks the chain of all rows; exit status 1 when it is broken",
     "校验整条哈希链；断裂时退出码为 1", .options = "known", .run = verify},
};

const struct remote_noun ctl_audit = {
    {"audit", "VERB ...", "Reads and checks the audit log of a running server.",
     "查看并校验审计日志（连接运行中的服务器）。",
     remote_run},
    REMOTE_TABLE(audit_verbs), REMOTE_TABLE(audit_options)};
