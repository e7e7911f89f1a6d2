/* Owns: seekctl backup, restore and doctor. Refuses to know: what the tables mean. */
#include <config.h>

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "auth/vault.h"
#include "base/buf.h"
#include "base/mem.h"
#include "ctl/args.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "lang.h"
#include "store/store.h"

#define SOCKET_OPTIONS(socket_, folder_)                                                           \
    {.name = "socket", .kind = ARGS_STRING, .value = (socket_), .meta = "FILE",                    \
     .help_en = "the server's local socket", .help_zh = "服务的本地套接字"},                       \
    {.name = "data-dir", .kind = ARGS_STRING, .value = (folder_), .meta = "DIR",                   \
     .help_en = "the server's data folder, with the socket in it", .help_zh = "服务的数据目录"}

/* One request to the server; *out is owned. */
static bool ask(const char *socket, const char *folder, const struct client_call *call,
                json_t **out, struct err *e)
{
    struct client *c = NULL;
    struct client_reply reply = {0};
    char *path = client_socket(socket, folder);
    bool ok = client_open(path, &c, e) && client_send(c, call, &reply, e);
    *out = ok ? json_incref(reply.json) : NULL;
    if (c)
        client_reply_release(&reply);
    client_close(&c);
    free(path);
    return ok;
}

/* The server works in a folder of its own: it gets whole paths. Owned. */
static char *whole_path(const char *path)
{
    char here[PATH_MAX];
    struct buf out;
    buf_init(&out, 2 * PATH_MAX);
    if (*path != '/' && getcwd(here, sizeof here))
        buf_printf(&out, "%s/", here);
    buf_puts(&out, path);
    return buf_take(&out);
}

/* ---- backup ----------------------------------------------------------------------------------- */

static int backup_run(const struct ctl_command *self, int argc, char **argv)
{
    const char *socket = NULL, *folder = NULL, *key = NULL, *file[1];
    const struct args_option options[] = {
        {.name = "key-file", .kind = ARGS_STRING, .value = &key, .meta = "FILE",
         .help_en = "encrypt with the key in this file; it is made when it is missing",
         .help_zh = "用此文件中的密钥加密；不存在时自动生成"},
        SOCKET_OPTIONS(&socket, &folder),
    };
    size_t n;
    enum args_result parsed = args_parse(self, options, sizeof options / sizeof options[0], argc,
                                         argv, file, 1, &n);
    if (parsed != ARGS_RUN)
        return parsed == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (!n)
        return args_wrong(self, "%s", lang_pick("name a new file", "请给出新文件名"));
    struct err e = ERR_INIT;
    char *path = whole_path(file[0]), *key_path = key ? whole_path(key) : NULL;
    json_t *answer = NULL, *body = json_pack("{s:s, s:s*}", "path", path, "key_file", key_path);
    const struct client_call call = {.method = "POST", .path = "/admin/v1/backup", .body = body};
    bool ok = ask(socket, folder, &call, &answer, &e);
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

/* ---- doctor ----------------------------------------------------------------------------------- */

enum verdict { SOUND, WARNING, FAILURE };

struct doctor {
    const char *socket, *folder;
    unsigned failures;
};

static void say(struct doctor *d, enum verdict v, const char *what, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void say(struct doctor *d, enum verdict v, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"OK  ", "WARN", "FAIL"};
    va_list ap;
    printf("%s  %-12s ", words[v], what);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    d->failures += v == FAILURE;
}

static const char *text_at(const json_t *v, const char *object, const char *field)
{
    const char *text = json_string_value(json_object_get(json_object_get(v, object), field));
    return text ? text : "?";
}

static void check_model(struct doctor *d, const json_t *status)
{
    const json_t *model = json_object_get(status, "model");
    if (!json_is_object(model)) {
        say(d, WARNING, "model", "%s", lang_pick("still loading", "仍在加载"));
        return;
    }
    say(d, SOUND, "model", "%s", text_at(status, "model", "id"));
    bool software = json_is_true(json_object_get(model, "software_device"));
    say(d, software ? WARNING : SOUND, "device", "%s%s", text_at(status, "model", "device"),
        software ? lang_pick(": a software driver, slow; install the GPU's Vulkan driver",
                             "：软件驱动，速度慢；请安装 GPU 的 Vulkan 驱动") : "");
}

static void check_database(struct doctor *d)
{
    struct err e = ERR_INIT;
    json_t *answer = NULL;
    const struct client_call call = {.method = "POST", .path = "/admin/v1/check"};
    if (!ask(d->socket, d->folder, &call, &answer, &e))
        say(d, FAILURE, "database", "%s", e.msg);
    else if (json_is_true(json_object_get(answer, "ok")))
        say(d, SOUND, "database", "%s", lang_pick("file and audit chain are sound", "文件与审计链完好"));
    else
        say(d, FAILURE, "database", "%s", lang_pick("damaged: stop seekd, restore the last backup, keep "
            "the file", "已损坏：停止 seekd，恢复最近的备份，保留损坏的文件"));
    json_decref(answer);
}

static void check_disk(struct doctor *d, const char *database)
{
    struct statvfs fs;
    if (statvfs(database, &fs)) {
        say(d, FAILURE, "disk", "%s: %s", database, lang_pick("cannot be seen", "无法查看"));
        return;
    }
    double free_gib = (double)fs.f_bavail * (double)fs.f_frsize / (1024.0 * 1024.0 * 1024.0);
    say(d, free_gib < 0.5 ? FAILURE : free_gib < 5 ? WARNING : SOUND, "disk",
        lang_pick("%.1f GiB free where the database is%s", "数据库所在磁盘剩余 %.1f GiB%s"), free_gib,
        free_gib < 5 ? lang_pick(": make room", "：请腾出空间") : "");
}

static void check_mode(struct doctor *d, const char *path)
{
    struct stat st;
    if (stat(path, &st))
        say(d, FAILURE, "permissions", "%s: %s", path, lang_pick("cannot be seen", "无法查看"));
    else if (st.st_mode & 077)
        say(d, FAILURE, "permissions", lang_pick("others may use %s: chmod go= %s",
            "其他用户可访问 %s：chmod go= %s"), path, path);
    else
        say(d, SOUND, "permissions", "%s", path);
}

/* The folder, the database and the key that stands beside it. */
static void check_permissions(struct doctor *d, const char *database)
{
    char *folder = mem_strdup(database), *slash = strrchr(folder, '/');
    struct buf key;
    buf_init(&key, PATH_MAX);
    if (slash)
        *slash = '\0';
    buf_printf(&key, "%s/texts.key", folder);
    check_mode(d, folder);
    check_mode(d, database);
    check_mode(d, buf_str(&key));
    buf_release(&key);
    free(folder);
}

static void check_clock(struct doctor *d)
{
    struct timex t = {.modes = 0};
    bool synchronised = adjtimex(&t) != TIME_ERROR;
    say(d, synchronised ? SOUND : WARNING, "clock", "%s",
        synchronised ? lang_pick("synchronised", "已同步")
                     : lang_pick("not synchronised: keys and budgets follow it; install chrony",
                                 "未同步：密钥与预算依赖时钟；请安装 chrony"));
}

static void check_memory(struct doctor *d)
{
    long long pages = sysconf(_SC_AVPHYS_PAGES), all = sysconf(_SC_PHYS_PAGES);
    double gib = (double)sysconf(_SC_PAGESIZE) / (1024.0 * 1024.0 * 1024.0);
    say(d, pages * 20 < all ? WARNING : SOUND, "memory",
        lang_pick("%.1f of %.1f GiB free", "空闲 %.1f / %.1f GiB"), (double)pages * gib,
        (double)all * gib);
}

static int doctor_run(const struct ctl_command *self, int argc, char **argv)
{
    struct doctor d = {0};
    const struct args_option options[] = {SOCKET_OPTIONS(&d.socket, &d.folder)};
    size_t n;
    enum args_result parsed = args_parse(self, options, sizeof options / sizeof options[0], argc,
                                         argv, NULL, 0, &n);
    if (parsed != ARGS_RUN)
        return parsed == ARGS_HELP ? CTL_OK : CTL_USAGE;
    struct err e = ERR_INIT;
    json_t *status = NULL;
    const struct client_call call = {.method = "GET", .path = "/admin/v1/status"};
    if (ask(d.socket, d.folder, &call, &status, &e)) {
        const char *database = text_at(status, "database", "path");
        say(&d, SOUND, "server", "seekd %s", json_string_value(json_object_get(status, "version")));
        check_model(&d, status);
        check_database(&d);
        check_disk(&d, database);
        check_permissions(&d, database);
    } else {
        say(&d, FAILURE, "server", "%s", e.msg);
    }
    check_memory(&d);
    check_clock(&d);
    json_decref(status);
    return d.failures ? CTL_FAILED : CTL_OK;
}

const struct ctl_command ctl_doctor = {
    .name = "doctor",
    .synopsis = "[--data-dir DIR]",
    .summary_en = "Looks at a running server and its machine: one line each, with what to do.",
    .summary_zh = "检查运行中的服务及其主机：每项一行，并说明如何处理。",
    .run = doctor_run,
};
