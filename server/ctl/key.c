/* Owns: seekctl key. Refuses to know: how keys are made and checked. */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/remote.h"
#include "lang.h"

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
    {"save", REMOTE_TEXT, NULL, "FILE", "write the key to this new file (mode 0600), not to the screen",
     "将密钥写入此新文件（权限 0600），不在终端显示"},
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

static const struct table_column saved[] = {
    {"id", "id", "编号", TABLE_TEXT},
    {"person_id", "person", "人员", TABLE_PERSON},
    {"scopes", "scopes", "范围", TABLE_TEXT},
    {"expires_at", "expires", "过期", TABLE_TIME},
    {"key", "key written to", "密钥已写入", TABLE_TEXT},
    REMOTE_END,
};

/* ---- a new key ---------------------------------------------------------------------------------- */

static bool make_key(struct remote *r, json_t **answer, struct err *e)
{
    int64_t person;
    json_t *body = json_object();
    bool ok = remote_resolve(r, REMOTE_PERSON, remote_arg(r, 0), &person, e) &&
              remote_fields(r, body, e);
    if (ok) {
        json_object_set_new(body, "person_id", json_integer((json_int_t)person));
        ok = remote_send(r, "POST", "keys", body, 0, answer, e);
    }
    json_decref(body);
    return ok;
}

/* Writes the key into the open file; the answer then names the file in its place. */
static bool keep_key(json_t *answer, int fd, const char *file, struct err *e)
{
    const char *key = json_string_value(json_object_get(answer, "key"));
    bool ok = key && dprintf(fd, "%s\n", key) == (int)strlen(key) + 1 && !fsync(fd);
    if (!ok)
        FAIL_OS(e, "%s cannot be written; the key is lost: revoke it", file);
    return !json_object_set_new(answer, "key", json_string(file));
}

/* The file is made first: a key that nobody can be given should not come into being. */
static int create(struct remote *r)
{
    struct err e = ERR_INIT;
    json_t *answer = NULL;
    const char *file = remote_value(r, "save");
    int fd = file ? open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (file && fd < 0) {
        err_set_os(&e, __FILE__, __LINE__, lang_pick("%s cannot be created", "无法创建 %s"), file);
        return remote_fail(r, &e);
    }
    bool made = make_key(r, &answer, &e), ok = made && (!file || keep_key(answer, fd, file, &e));
    if (file)
        close(fd);
    if (file && !made)
        unlink(file);
    if (ok)
        return remote_show_take(r, answer, file ? saved : created);
    json_decref(answer);
    return remote_fail(r, &e);
}

/* ---- the table ---------------------------------------------------------------------------------- */

#define ONE .min_args = 1, .max_args = 1
#define LIMITS "name scopes models templates networks expires"

static const struct remote_verb verbs[] = {
    {"list", "[--person LOGIN] [--department P] [--active]", "API keys", "列出密钥",
     .options = "person department active", .method = "GET", .path = "keys", .list = true,
     .columns = columns},
    {"create", "LOGIN|ID --name N --scopes infer,usage [--save FILE]", "a new key, shown once",
     "新建密钥（仅显示一次）",
     .options = LIMITS " save", ONE, .run = create},
    {"show", "KEY|ID", "one key", "查看密钥", ONE, .method = "GET", .path = "keys/{key}",
     .columns = details},
    {"change", "KEY|ID [--scopes ...] [--expires DATE]", "what it may be used for", "修改用途限制",
     .options = LIMITS, .needs_option = true, ONE, .method = "PATCH", .path = "keys/{key}",
     .revised = true, .columns = details},
    {"revoke", "KEY|ID", "ends a key for good", "永久吊销", ONE, .method = "DELETE",
     .path = "keys/{key}", .columns = details},
};

const struct remote_noun ctl_key = {
    {"key", "VERB ...", "Manages the API keys of a running server.",
     "管理 API 密钥（连接运行中的服务器）。", remote_run},
    REMOTE_TABLE(verbs), REMOTE_TABLE(options)};
