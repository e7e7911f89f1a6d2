/* Owns: seekctl quota and seekctl calendar. Refuses to know: how limits are counted. */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/remote.h"
#include "lang.h"

#define SUBJECT_EN "key KEY|ID, person LOGIN|ID or department PATH|ID"
#define SUBJECT_ZH "key 密钥、person 登录名 或 department 部门"

static const struct remote_option options[] = {
    {"kind", REMOTE_TEXT, "kind", "KIND", "key, person or department", "key、person 或 department"},
    {"requests-per-minute", REMOTE_NUMBER, "requests_per_minute", "N|none", "requests in 60 seconds",
     "每分钟请求数"},
    {"tokens-per-minute", REMOTE_NUMBER, "tokens_per_minute", "N|none", "tokens in 60 seconds",
     "每分钟词元数"},
    {"parallel", REMOTE_NUMBER, "parallel", "N|none", "requests at once", "并发请求数"},
    {"tokens-per-day", REMOTE_NUMBER, "tokens_per_day", "N|none", "tokens of a day", "每日词元数"},
    {"tokens-per-month", REMOTE_NUMBER, "tokens_per_month", "N|none", "tokens of a month",
     "每月词元数"},
    {"soft", REMOTE_SWITCH, "soft", "on|off", "slow down above a limit instead of refusing",
     "超限时减速而不是拒绝"},
    {"calendar", REMOTE_CALENDAR, "calendar_id", "NAME|none", "count only in these hours",
     "仅在这些时段内生效"},
};

static const struct table_column columns[] = {
    {"kind", "KIND", "对象", TABLE_STATE},
    {"id", "WHOSE", "名称", TABLE_SUBJECT},
    {"requests_per_minute", "REQ/MIN", "请求/分", TABLE_TEXT},
    {"tokens_per_minute", "TOK/MIN", "词元/分", TABLE_TEXT},
    {"parallel", "PARALLEL", "并发", TABLE_TEXT},
    {"tokens_per_day", "TOK/DAY", "词元/日", TABLE_TEXT},
    {"used.tokens_per_day", "USED TODAY", "今日已用", TABLE_TEXT},
    {"tokens_per_month", "TOK/MONTH", "词元/月", TABLE_TEXT},
    {"used.tokens_per_month", "USED THIS MONTH", "本月已用", TABLE_TEXT},
    {"soft", "SOFT", "软限制", TABLE_YES},
    {"calendar_id", "CALENDAR", "日历", TABLE_CALENDAR},
    REMOTE_END,
};

/* "quotas/person/17" of the first two arguments. */
static bool subject_path(struct remote *r, char path[64], struct err *e)
{
    static const struct {
        const char *word;
        enum remote_kind kind;
    } kinds[] = {{"key", REMOTE_KEY}, {"person", REMOTE_PERSON}, {"department", REMOTE_DEPARTMENT}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        int64_t id;
        if (strcmp(kinds[i].word, remote_arg(r, 0)))
            continue;
        if (!remote_resolve(r, kinds[i].kind, remote_arg(r, 1), &id, e))
            return false;
        snprintf(path, 64, "quotas/%s/%" PRId64, kinds[i].word, id);
        return true;
    }
    FAIL(e, ERR_ARG,
         lang_pick("limits belong to a key, a person or a department, not to \"%.40s\"",
                   "限额的对象是 key、person 或 department，不能是 \"%.40s\""), remote_arg(r, 0));
}

static int show(struct remote *r)
{
    struct err e = ERR_INIT;
    char path[64];
    json_t *answer;
    if (subject_path(r, path, &e) && remote_get(r, path, &answer, NULL, &e))
        return remote_show_take(r, answer, columns);
    return remote_fail(r, &e);
}

/* The limits as they are, so that those not named stay. An empty object when there are none. */
static bool read_old(struct remote *r, const char *path, json_t *body, int64_t *revision,
                     struct err *e)
{
    json_t *old = NULL;
    struct err why = ERR_INIT;
    *revision = 0;
    if (!remote_get(r, path, &old, revision, &why)) {
        if (why.code == ERR_NOT_FOUND)
            return true;
        *e = why;
        return false;
    }
    for (size_t i = 1; i < sizeof options / sizeof options[0]; i++) {
        json_t *v = json_object_get(old, options[i].field);
        if (v && !json_is_null(v))
            json_object_set(body, options[i].field, v);
    }
    json_decref(old);
    return true;
}

static int set(struct remote *r)
{
    struct err e = ERR_INIT;
    char path[64];
    int64_t revision;
    json_t *answer, *body = json_object();
    bool ok = subject_path(r, path, &e) && read_old(r, path, body, &revision, &e) &&
              remote_fields(r, body, &e) &&
              remote_send(r, "PUT", path, body, revision, &answer, &e);
    json_decref(body);
    return ok ? remote_show_take(r, answer, columns) : remote_fail(r, &e);
}

static int end(struct remote *r)
{
    struct err e = ERR_INIT;
    char path[64];
    int64_t revision;
    if (subject_path(r, path, &e) && remote_get(r, path, NULL, &revision, &e) &&
        remote_send(r, "DELETE", path, NULL, revision, NULL, &e))
        return remote_show_take(r, NULL, NULL);
    return remote_fail(r, &e);
}

static const struct remote_verb verbs[] = {
    {"list", "[--kind KIND]", "limits, and what counts against them", "列出限额与已用量",
     .options = "kind", .method = "GET", .path = "quotas", .list = true, .columns = columns},
    {"show", "KIND SUBJECT", "limits of one: " SUBJECT_EN, "查看限额：" SUBJECT_ZH, .min_args = 2,
     .max_args = 2, .run = show},
    {"set", "KIND SUBJECT --requests-per-minute N ...",
     "sets limits of a " SUBJECT_EN "; those not named stay",
     "设置限额：" SUBJECT_ZH "；未给出的保持不变",
     .options = "requests-per-minute tokens-per-minute parallel tokens-per-day tokens-per-month "
                "soft calendar",
     .needs_option = true, .min_args = 2, .max_args = 2, .run = set},
    {"delete", "KIND SUBJECT", "takes all limits away of a " SUBJECT_EN,
     "取消全部限额：" SUBJECT_ZH, .min_args = 2,
     .max_args = 2, .run = end},
};

const struct remote_noun ctl_quota = {
    {"quota", "VERB ...", "Sets the limits of keys, persons and departments.",
     "设置密钥、人员、部门的限额。", remote_run},
    REMOTE_TABLE(verbs), REMOTE_TABLE(options)};

/* ---- calendars -------------------------------------------------------------------------------- */

static const struct remote_option calendar_options[] = {
    {"name", REMOTE_TEXT, "name", "NAME", "new name", "新名称"},
};

static const struct table_column calendar_columns[] = {
    {"id", "ID", "编号", TABLE_TEXT},
    {"name", "NAME", "名称", TABLE_TEXT},
    {"hours", "HOURS", "时段", TABLE_TEXT},
    REMOTE_END,
};

/* The file's JSON object of hours. */
static json_t *read_hours(const char *file, struct err *e)
{
    json_error_t why;
    FILE *in = fopen(file, "re");
    if (!in) {
        err_set_os(e, __FILE__, __LINE__, lang_pick("cannot read %s", "无法读取 %s"), file);
        return NULL;
    }
    json_t *hours = json_loadf(in, JSON_REJECT_DUPLICATES, &why);
    fclose(in);
    if (!hours)
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "%s, line %d: %s", file, why.line, why.text);
    return hours;
}

/* With an id: changes that one. */
static int put_calendar(struct remote *r, const char *method, const char *path, int64_t revision,
                        const char *name, const char *file)
{
    struct err e = ERR_INIT;
    json_t *answer, *hours = read_hours(file, &e);
    json_t *body = hours ? json_pack("{s:s, s:o}", "name", name, "hours", hours) : NULL;
    bool ok = body && remote_send(r, method, path, body, revision, &answer, &e);
    json_decref(body);
    return ok ? remote_show_take(r, answer, calendar_columns) : remote_fail(r, &e);
}

static int create_calendar(struct remote *r)
{
    return put_calendar(r, "POST", "calendars", 0, remote_arg(r, 0), remote_arg(r, 1));
}

static int change_calendar(struct remote *r)
{
    struct err e = ERR_INIT;
    char path[64];
    int64_t id, revision;
    json_t *old;
    if (!remote_resolve(r, REMOTE_CALENDAR, remote_arg(r, 0), &id, &e))
        return remote_fail(r, &e);
    snprintf(path, sizeof path, "calendars/%" PRId64, id);
    if (!remote_get(r, path, &old, &revision, &e))
        return remote_fail(r, &e);
    const char *name = remote_value(r, "name");
    int status = put_calendar(r, "PUT", path, revision,
                              name ? name : json_string_value(json_object_get(old, "name")),
                              remote_arg(r, 1));
    json_decref(old);
    return status;
}

static const struct remote_verb calendar_verbs[] = {
    {"list", "", "working hours", "列出工作时段", .method = "GET", .path = "calendars", .list = true,
     .columns = calendar_columns},
    {"create", "NAME FILE.json",
     "FILE: {\"mon\": [[\"08:30\", \"12:00\"], [\"13:00\", \"17:30\"]], ...}",
     "新建，FILE：{\"mon\": [[\"08:30\", \"12:00\"], [\"13:00\", \"17:30\"]], ...}",
     .min_args = 2, .max_args = 2, .run = create_calendar},
    {"change", "NAME|ID FILE.json [--name NAME]", "other hours", "修改时段", .options = "name",
     .min_args = 2, .max_args = 2, .run = change_calendar},
    {"delete", "NAME|ID", "when no limit uses it", "删除（未被限额使用时）", .min_args = 1,
     .max_args = 1, .method = "DELETE", .path = "calendars/{calendar}", .revised = true},
};

const struct remote_noun ctl_calendar = {
    {"calendar", "VERB ...", "Manages the hours in which limits count.",
     "管理限额生效的工作时段。", remote_run},
    REMOTE_TABLE(calendar_verbs), REMOTE_TABLE(calendar_options)};
