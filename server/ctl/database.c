/* Owns: seekctl backup and restore. Refuses to know: what the tables mean. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/vault.h"
#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/local.h"
#include "lang.h"
#include "store/store.h"

/* ---- backup ----------------------------------------------------------------------------------- */

static int backup_run(const struct ctl_command *self, int argc, char **argv)
{
    struct client_where where = {0};
    const char *key = NULL, *file[1];
    const struct args_option options[] = {
        {.name = "key-file", .kind = ARGS_STRING, .value = &key, .meta = "FILE",
         .help_en = "encrypt with the key in this file; it is made when it is missing",
         .help_zh = "用此文件中的密钥加密；不存在时自动生成"},
        LOCAL_OPTIONS(&where),
    };
    size_t n;
    enum args_result parsed = args_parse(self, options, sizeof options / sizeof options[0], argc,
                                         argv, file, 1, &n);
    if (parsed != ARGS_RUN)
        return parsed == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (!n)
        return args_wrong(self, "%s", lang_pick("name a new file", "请给出新文件名"));
    struct err e = ERR_INIT;
    char *path = local_path(file[0]), *key_path = key ? local_path(key) : NULL;
    json_t *answer = NULL, *body = json_pack("{s:s, s:s*}", "path", path, "key_file", key_path);
    const struct client_call call = {.method = "POST", .path = "/admin/v1/backup", .body = body};
    bool ok = local_ask(&where, &call, &answer, &e) || err_prefix(&e, "%s", path);
    if (ok)
        printf(lang_pick("%s: written and checked, %lld bytes%s\n", "%s：已写入并校验，%lld 字节%s\n"),
               path, (long long)json_integer_value(json_object_get(answer, "bytes")),
               key ? lang_pick(", encrypted", "，已加密") : "");
    json_decref(answer);
    json_decref(body);
    free(path);
    free(key_path);
    return ok ? CTL_OK : args_failed(self, &e);
}

const struct ctl_command ctl_backup = {
    .name = "backup",
    .synopsis = "FILE [--key-file FILE]",
    .summary_en = "Copies the database of a running server, and checks the copy.",
    .summary_zh = "在线备份数据库并校验副本。",
    .run = backup_run,
};

/* ---- restore ---------------------------------------------------------------------------------- */

static int restore_run(const struct ctl_command *self, int argc, char **argv)
{
    const char *key_file = NULL, *to = NULL, *file[1];
    bool check = false;
    const struct args_option options[] = {
        {.name = "check", .kind = ARGS_FLAG, .value = &check,
         .help_en = "only check the backup", .help_zh = "只校验备份"},
        {.name = "to", .kind = ARGS_STRING, .value = &to, .meta = "FILE",
         .help_en = "write the database there; must not exist", .help_zh = "恢复为此文件（必须不存在）"},
        {.name = "key-file", .kind = ARGS_STRING, .value = &key_file, .meta = "FILE",
         .help_en = "key of an encrypted backup", .help_zh = "加密备份的密钥文件"},
    };
    size_t n;
    enum args_result parsed = args_parse(self, options, sizeof options / sizeof options[0], argc,
                                         argv, file, 1, &n);
    if (parsed != ARGS_RUN)
        return parsed == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (!n || check == (to != NULL))
        return args_wrong(self, "%s", lang_pick("name a backup, and either --check or --to FILE",
                                                "请给出备份文件，以及 --check 或 --to FILE"));
    struct err e = ERR_INIT;
    uint8_t key[VAULT_KEY_BYTES];
    bool ok = true;
    if (key_file && access(key_file, R_OK))
        ok = err_set_os(&e, __FILE__, __LINE__, "cannot read %s", key_file);
    ok = ok && (!key_file || vault_key_file(key_file, key, &e)) &&
         store_restore(file[0], key_file ? key : NULL, to, &e);
    vault_wipe(key, sizeof key);
    if (ok)
        printf(lang_pick("%s: sound%s%s\n", "%s：完好%s%s\n"), file[0],
               to ? lang_pick(", restored to ", "，已恢复到 ") : "", to ? to : "");
    return ok ? CTL_OK : args_failed(self, &e);
}

const struct ctl_command ctl_restore = {
    .name = "restore",
    .synopsis = "FILE --check | --to NEWFILE [--key-file FILE]",
    .summary_en = "Checks a backup, or makes a database of it; needs no server.",
    .summary_zh = "校验备份，或恢复为数据库；不需要服务。",
    .run = restore_run,
};
