/* Owns: seekctl key. Refuses to know: how keys are made and checked. */
#include <config.h>

#include "ctl/command.h"
#include "ctl/remote.h"

static const struct remote_option options[] = {
    {"person", REMOTE_PERSON, "person_id", "LOGIN|ID", "whose keys", "所属人员"},
    {"department", REMOTE_DEPARTMENT, "department_id", "PATH|ID", "keys of its persons", "该部门人员的密钥"},
    {"active", REMOTE_FLAG, "active", NULL, "neither revoked nor expired", "仅未吊销且未过期"},
    {"name", REMOTE_TEXT, "name", "NAME", "what it is for", "用途"},
    {"scopes", REMOTE_LIST, "scopes", "S,...", "infer, templates, usage, edit, audit, admin",
     "范围：infer、templates、usage、edit、audit、admin"},
    {"models", REMOTE_LIST, "models", "M,...|all", "models it may use; * at an end",
     "可用模型；末尾可用 *"},
    {"templates", REMOTE_LIST, "templates", "T,...|all", "templates it may use; * at an end",
     "可用模板；末尾可用 *"},
    {"networks", REMOTE_LIST, "networks", "N,...|all", "where from, such as 10.0.0.0/8",
     "来源网络，例如 10.0.0.0/8"},
    {"expires", REMOTE_TIME, "expires_at", "DATE|none", "last moment, such as 2027-01-01",
     "过期时间，例如 2027-01-01"},
};

static const struct table_column columns[] = {
    {"id", "ID", "编号", TABLE_TEXT},
    {"prefix", "KEY", "密钥", TABLE_TEXT},
    {"person_id", "PERSON", "人员", TABLE_PERSON},
    {"name", "NAME", "用途", TABLE_TEXT},
    {"scopes", "SCOPES", "范围", TABLE_TEXT},
    {"expires_at", "EXPIRES", "过期", TABLE_TIME},
    {"last_used_at", "USED", "最近使用", TABLE_TIME},
    {"revoked_at", "REVOKED", "吊销", TABLE_TIME},
    REMOTE_END,
};
static const struct table_column details[] = {
    {"id", "id", "编号", TABLE_TEXT},
    {"prefix", "key", "密钥", TABLE_TEXT},
    {"person_id", "person", "人员", TABLE_PERSON},
    {"name", "name", "用途", TABLE_TEXT},
    {"scopes", "scopes", "范围", TABLE_TEXT},
    {"models", "models", "模型", TABLE_TEXT},
    {"templates", "templates", "模板", TABLE_TEXT},
    {"networks", "networks", "网络", TABLE_TEXT},
    {"created_at", "created", "创建时间", TABLE_TIME},
    {"expires_at", "expires", "过期", TABLE_TIME},
    {"last_used_at", "used", "最近使用", TABLE_TIME},
    {"revoked_at", "revoked", "吊销", TABLE_TIME},
    REMOTE_END,
};
static const struct table_column created[] = {
    {"id", "id", "编号", TABLE_TEXT},
    {"person_id", "person", "人员", TABLE_PERSON},
    {"scopes", "scopes", "范围", TABLE_TEXT},
    {"expires_at", "expires", "过期", TABLE_TIME},
    {"key", "key (shown only now)", "密钥（仅显示一次）", TABLE_TEXT},
    REMOTE_END,
};

#define ONE .min_args = 1, .max_args = 1
#define LIMITS "name scopes models templates networks expires"

static const struct remote_verb verbs[] = {
    {"list", "[--person LOGIN] [--department P] [--active]", "API keys", "列出密钥",
     .options = "person department active", .method = "GET", .path = "keys", .list = true,
     .columns = columns},
    {"create", "LOGIN|ID --name N --scopes infer,usage", "a new key, shown once", "新建密钥（仅显示一次）",
     .options = LIMITS, ONE, .method = "POST", .path = "keys", .args = "person",
     .columns = created},
    {"show", "KEY|ID", "one key", "查看密钥", ONE, .method = "GET", .path = "keys/{key}",
     .columns = details},
    {"change", "KEY|ID [--scopes ...] [--expires DATE]", "what it may be used for", "修改用途限制",
     .options = LIMITS, ONE, .method = "PATCH", .path = "keys/{key}", .revised = true,
     .columns = details},
    {"revoke", "KEY|ID", "ends a key for good", "永久吊销", ONE, .method = "DELETE",
     .path = "keys/{key}", .columns = details},
};

const struct remote_noun ctl_key = {
    {"key", "VERB ...", "API keys of a running server", "API 密钥管理（连接运行中的服务器）", remote_run},
    REMOTE_TABLE(verbs), REMOTE_TABLE(options)};
