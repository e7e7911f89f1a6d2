/* Owns: seekctl user. Refuses to know: what a person may do (the server decides). */
#include <config.h>

#include "ctl/command.h"
#include "ctl/remote.h"

static const struct remote_option options[] = {
    {"login", REMOTE_TEXT, "login", "LOGIN", "unique, without blanks", "登录名，唯一，不含空格"},
    {"name", REMOTE_TEXT, "name", "NAME", "name for people", "姓名"},
    {"email", REMOTE_TEXT, "email", "ADDRESS", "e-mail address", "电子邮箱"},
    {"department", REMOTE_DEPARTMENT, "department_id", "PATH|ID", "where they belong", "所属部门"},
    {"roles", REMOTE_LIST, "roles", "R,...", "admin, editor, approver, auditor, user, service",
     "角色：admin、editor、approver、auditor、user、service"},
    {"role", REMOTE_TEXT, "role", "ROLE", "who have this role", "具有此角色"},
    {"state", REMOTE_TEXT, "state", "STATE", "active or disabled", "active 或 disabled"},
    {"source", REMOTE_TEXT, "source", "SOURCE", "local, ldap or oidc", "local、ldap 或 oidc"},
    {"text", REMOTE_TEXT, "text", "TEXT", "in login, name or e-mail", "登录名、姓名或邮箱包含的文字"},
    {"below", REMOTE_FLAG, "below", NULL, "and the departments below it", "包含下级部门"},
};

static const struct table_column columns[] = {
    {"id", "ID", "编号", TABLE_TEXT},
    {"login", "LOGIN", "登录名", TABLE_TEXT},
    {"name", "NAME", "姓名", TABLE_TEXT},
    {"department_id", "DEPARTMENT", "部门", TABLE_DEPARTMENT},
    {"roles", "ROLES", "角色", TABLE_TEXT},
    {"source", "SOURCE", "来源", TABLE_TEXT},
    {"last_login_at", "LAST LOGIN", "最近登录", TABLE_TIME},
    {"disabled_at", "DISABLED", "停用时间", TABLE_TIME},
    REMOTE_END,
};
static const struct table_column details[] = {
    {"id", "id", "编号", TABLE_TEXT},
    {"login", "login", "登录名", TABLE_TEXT},
    {"name", "name", "姓名", TABLE_TEXT},
    {"email", "e-mail", "邮箱", TABLE_TEXT},
    {"department_id", "department", "部门", TABLE_DEPARTMENT},
    {"roles", "roles", "角色", TABLE_TEXT},
    {"source", "source", "来源", TABLE_TEXT},
    {"created_at", "created", "创建时间", TABLE_TIME},
    {"last_login_at", "last login", "最近登录", TABLE_TIME},
    {"disabled_at", "disabled", "停用时间", TABLE_TIME},
    REMOTE_END,
};
static const struct table_column one_time[] = {
    {"login", "login", "登录名", TABLE_TEXT},
    {"one_time_password", "one-time password (shown only now)", "一次性密码（仅显示一次）",
     TABLE_TEXT},
    {"valid_days", "valid for days", "有效天数", TABLE_TEXT},
    REMOTE_END,
};
static const struct table_column sessions[] = {
    {"id", "ID", "编号", TABLE_TEXT},
    {"address", "ADDRESS", "地址", TABLE_TEXT},
    {"created_at", "SINCE", "开始", TABLE_TIME},
    {"seen_at", "SEEN", "最近活动", TABLE_TIME},
    {"agent", "PROGRAM", "客户端", TABLE_TEXT},
    REMOTE_END,
};

#define ONE .min_args = 1, .max_args = 1
#define CHANGE .method = "PATCH", .path = "users/{person}", .revised = true, .columns = details

static const struct remote_verb verbs[] = {
    {"list", "[--department P] [--role R] [--text T]", "persons", "列出人员",
     .options = "department below role state source text", .method = "GET", .path = "users",
     .list = true, .columns = columns},
    {"create", "LOGIN --department PATH --roles R,... [--name N]",
     "a new person; seekctl user reset-password gives a password", "新建人员；密码由 reset-password 生成",
     .options = "name email department roles", ONE, .method = "POST", .path = "users",
     .args = "login", .columns = details},
    {"show", "LOGIN|ID", "one person", "查看人员", ONE, .method = "GET", .path = "users/{person}",
     .columns = details},
    {"change", "LOGIN|ID [--name N] [--department P] [--roles R,...]", "name, department, roles",
     "修改姓名、部门、角色", .options = "name email department roles", .needs_option = true, ONE,
     CHANGE},
    {"disable", "LOGIN|ID", "sessions end, keys are refused", "停用：会话结束，密钥失效", ONE,
     .fixed = "{\"disabled\": true}", CHANGE},
    {"enable", "LOGIN|ID", "may log in again", "启用", ONE, .fixed = "{\"disabled\": false}", CHANGE},
    {"reset-password", "LOGIN|ID", "a one-time password, shown once", "生成一次性密码（仅显示一次）", ONE,
     .method = "POST", .path = "users/{person}/password-reset", .columns = one_time},
    {"unlock", "LOGIN|ID", "lifts the waits after wrong passwords", "解除密码错误后的等待", ONE,
     .method = "POST", .path = "users/{person}/unlock"},
    {"sessions", "LOGIN|ID", "where they are logged in", "查看会话", ONE, .method = "GET",
     .path = "users/{person}/sessions", .columns = sessions},
    {"logout", "LOGIN|ID", "ends all their sessions", "结束全部会话", ONE, .method = "DELETE",
     .path = "users/{person}/sessions"},
    {"forget", "LOGIN|ID --reason TEXT", "deletes all kept texts of their requests",
     "删除其请求的全部保留内容", ONE, .method = "POST", .path = "users/{person}/forget"},
};

const struct remote_noun ctl_user = {
    {"user", "VERB ...", "Manages the persons of a running server.",
     "管理人员（连接运行中的服务器）。", remote_run},
    REMOTE_TABLE(verbs), REMOTE_TABLE(options)};
