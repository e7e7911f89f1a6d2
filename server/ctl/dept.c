/* Owns: seekctl dept. Refuses to know: the tree of departments (the server keeps it). */
#include <config.h>

#include "ctl/command.h"
#include "ctl/remote.h"

static const struct remote_option options[] = {
    {"name", REMOTE_TEXT, "name", "NAME", "new name", "新名称"},
    {"parent", REMOTE_DEPARTMENT, "parent_id", "PATH|ID", "the department above; none = none",
     "上级部门；none = 无"},
    {"state", REMOTE_TEXT, "state", "STATE", "active or disabled", "active 或 disabled"},
    {"text", REMOTE_TEXT, "text", "TEXT", "in the name", "名称包含的文字"},
    {"keep-prompts", REMOTE_SWITCH, "keep_prompts", "on|off",
     "keep what is asked and answered, encrypted", "是否加密保留问答内容"},
    {"keep-days", REMOTE_NUMBER, "keep_days", "N", "for so many days", "保留天数"},
};

static const struct table_column columns[] = {
    {"id", "ID", "编号", TABLE_TEXT},
    {"id", "DEPARTMENT", "部门", TABLE_DEPARTMENT},
    {"keep_prompts", "KEEPS TEXTS", "保留内容", TABLE_YES},
    {"keep_days", "DAYS", "天数", TABLE_TEXT},
    {"disabled_at", "DISABLED", "停用时间", TABLE_TIME},
    REMOTE_END,
};

#define CHANGE                                                                                     \
    .method = "PATCH", .path = "departments/{department}", .revised = true, .columns = columns

static const struct remote_verb verbs[] = {
    {"list", "[--parent PATH|ID|none] [--state S] [--text T]", "departments", "列出部门",
     .options = "parent state text", .method = "GET", .path = "departments", .list = true,
     .columns = columns},
    {"create", "NAME [--parent PATH|ID]", "a new department", "新建部门",
     .options = "parent keep-prompts keep-days", .min_args = 1, .max_args = 1, .method = "POST",
     .path = "departments", .args = "name", .columns = columns},
    {"rename", "PATH|ID NAME", "another name", "改名", .min_args = 2, .max_args = 2,
     .args = "name", CHANGE},
    {"move", "PATH|ID PARENT|none", "below another department", "移到另一部门之下", .min_args = 2,
     .max_args = 2, .args = "parent", CHANGE},
    {"disable", "PATH|ID", "takes no members any more", "停用", .min_args = 1, .max_args = 1,
     .fixed = "{\"disabled\": true}", CHANGE},
    {"enable", "PATH|ID", "takes members again", "启用", .min_args = 1, .max_args = 1,
     .fixed = "{\"disabled\": false}", CHANGE},
    {"policy", "PATH|ID [--keep-prompts on|off] [--keep-days N]", "what is kept of requests",
     "请求内容保留策略", .options = "keep-prompts keep-days", .needs_option = true, .min_args = 1,
     .max_args = 1, CHANGE},
};

const struct remote_noun ctl_dept = {
    {"dept", "VERB ...", "Manages the departments of a running server.",
     "管理部门（连接运行中的服务器）。", remote_run},
    REMOTE_TABLE(verbs), REMOTE_TABLE(options)};
