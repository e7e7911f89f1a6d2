/* Owns: seekctl doctor: what is looked at, when it is bad, and what to do then.
 * Refuses to know: how a database, a certificate or a digest is checked.
 *
 * The server says where its files are (GET /admin/v1/status through the local socket); the files are
 * looked at here, with the rights of whoever runs this. Each check prints one line, and one more for
 * every further thing that is wrong. */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "auth/certificate.h"
#include "base/clock.h"
#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/local.h"
#include "ctl/modelsum.h"
#include "ctl/table.h"
#include "lang.h"

enum {
    DAY_S = 86400,
    CERTIFICATE_DAYS = 30,   /* a certificate that ends sooner is worth a warning */
    CLOCK_SLACK_S = 120,     /* a row may be so much newer than the clock */
    DISK_FAIL_MIB = 512,
    DISK_WARN_MIB = 5 << 10,
    LINE_S = 10 /* between lines of progress that go to a file */
};
#define EARLIEST_S INT64_C(1767225600) /* 2026-01-01: no clock that is right shows less */

enum verdict { SOUND, SKIPPED, WARNING, FAILURE };

struct doctor {
    struct client_where where;
    bool quick, record;
    json_t *status; /* owned; NULL = the server does not answer */
    unsigned failures;
};

static void say(struct doctor *d, enum verdict v, const char *en, const char *zh, const char *fmt, ...)
    PRINTF_LIKE(5, 6);

static void say(struct doctor *d, enum verdict v, const char *en, const char *zh, const char *fmt, ...)
{
    static const char *const words[] = {"OK  ", "SKIP", "WARN", "FAIL"};
    const char *what = lang_pick(en, zh);
    va_list ap;
    printf("%s  %s%*s", words[v], what, (int)(13 - table_width(what)), "");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout); /* the next check may take a while */
    d->failures += v == FAILURE;
}

static const char *text_of(const json_t *object, const char *field)
{
    return json_string_value(json_object_get(object, field));
}

/* Path of one of the server's files; NULL = it has none. */
static const char *file_of(const struct doctor *d, const char *name)
{
    return text_of(json_object_get(d->status, "files"), name);
}

static const json_t *part_of(const struct doctor *d, const char *object)
{
    return json_object_get(d->status, object);
}

/* "2027-01-01" in the local time zone. */
static const char *date_of(int64_t seconds, char text[32])
{
    struct tm tm;
    time_t t = (time_t)seconds;
    if (!localtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%d", &tm))
        snprintf(text, 32, "?");
    return text;
}

/* ---- server, database --------------------------------------------------------------------------- */

#define SERVER "server", "服务"

static void check_server(struct doctor *d)
{
    struct err e = ERR_INIT;
    const struct client_call call = {.method = "GET", .path = "/admin/v1/status"};
    if (!local_ask(&d->where, &call, &d->status, &e))
        say(d, FAILURE, SERVER, "%s", e.msg);
    else
        say(d, SOUND, SERVER, "seekd %s", text_of(d->status, "version"));
}

#define DATABASE "database", "数据库"

static void check_database(struct doctor *d)
{
    struct err e = ERR_INIT;
    json_t *answer = NULL;
    const struct client_call call = {.method = "POST", .path = "/admin/v1/check"};
    if (!local_ask(&d->where, &call, &answer, &e))
        say(d, FAILURE, DATABASE, "%s", e.msg);
    else if (!json_is_true(json_object_get(answer, "ok")))
        say(d, FAILURE, DATABASE, "%s",
            lang_pick("damaged: stop seekd, keep the file, restore the last backup into a new folder "
                      "(seekctl restore FILE --to NEWFILE)",
                      "已损坏：停止 seekd，保留损坏的文件，将最近的备份恢复到新目录（seekctl restore FILE --to "
                      "NEWFILE）"));
    else
        say(d, SOUND, DATABASE, "%s",
            lang_pick("the file and the chain of the audit log are sound", "文件与审计链完好"));
    if (json_is_true(json_object_get(part_of(d, "database"), "read_only")))
        say(d, FAILURE, DATABASE, "%s",
            lang_pick("the disk refuses writes: make room, and seekd goes on by itself; when there is "
                      "room and this stays, restart it",
                      "磁盘拒绝写入：请腾出空间，seekd 会自行恢复；若空间充足而仍如此，请重启 seekd"));
    json_decref(answer);
}

#define TEXTS "kept texts", "保留内容"

static void check_texts(struct doctor *d)
{
    if (json_is_true(json_object_get(part_of(d, "ledger"), "texts_open")))
        say(d, SOUND, TEXTS, "%s", lang_pick("texts.key opens them", "texts.key 可以打开"));
    else
        say(d, WARNING, TEXTS, "%s",
            lang_pick("texts.key is not the key they were sealed with: put back the file that belongs "
                      "to this database, and restart seekd",
                      "texts.key 不是加密时所用的密钥：请放回与该数据库对应的文件，然后重启 seekd"));
}

/* ---- model file --------------------------------------------------------------------------------- */

#define MODEL "model file", "模型文件"

struct reading {
    const char *path;
    bool terminal, shown;
    int64_t last_s; /* of a line that went to a file */
};

static void show_reading(void *ctx, uint64_t done, uint64_t all)
{
    struct reading *r = ctx;
    int64_t now = clock_wall_s();
    if (!r->terminal && now < r->last_s + LINE_S)
        return;
    fprintf(stderr, lang_pick("%sreading %s: %.1f of %.1f GB%s", "%s正在读取 %s：%.1f / %.1f GB%s"),
            r->terminal ? "\r\033[K" : "", r->path, (double)done / 1e9, (double)all / 1e9,
            r->terminal ? "" : "\n");
    r->shown = true;
    r->last_s = now;
}

static bool digest_part(const char *part, uint8_t digest[HASH_SHA256_BYTES], struct err *e)
{
    struct reading r = {.path = part, .terminal = isatty(STDERR_FILENO), .last_s = clock_wall_s()};
    bool ok = hash_file(part, show_reading, &r, digest, e);
    if (r.shown && r.terminal)
        fputs("\r\033[K", stderr);
    return ok;
}

static void compare_part(struct doctor *d, const char *part, const uint8_t recorded[HASH_SHA256_BYTES],
                         const char *from)
{
    uint8_t digest[HASH_SHA256_BYTES];
    struct err e = ERR_INIT;
    if (!digest_part(part, digest, &e))
        say(d, FAILURE, MODEL, "%s", e.msg);
    else if (hash_equal(digest, recorded))
        say(d, SOUND, MODEL, lang_pick("%s: SHA-256 as in %s", "%s：SHA-256 与 %s 一致"), part, from);
    else
        say(d, FAILURE, MODEL,
            lang_pick("%s is not the file whose SHA-256 stands in %s: copy the model again from its "
                      "source; if it was replaced on purpose, remove the record and run seekctl doctor "
                      "--record",
                      "%s 与 %s 中记录的 SHA-256 不符：请从来源重新复制模型；若是有意更换，"
                      "请删除该记录后执行 seekctl doctor --record"),
            part, from);
}

static void record_part(struct doctor *d, const char *part)
{
    uint8_t digest[HASH_SHA256_BYTES];
    char to[PATH_MAX];
    struct err e = ERR_INIT;
    if (!digest_part(part, digest, &e) || !modelsum_record(part, digest, to, &e))
        say(d, FAILURE, MODEL, "%s", e.msg);
    else
        say(d, SOUND, MODEL,
            lang_pick("%s: SHA-256 recorded in %s; compare it with what the publisher says",
                      "%s：SHA-256 已记录到 %s；请与发布者公布的值核对"), part, to);
}

static void check_part(struct doctor *d, const char *part)
{
    uint8_t recorded[HASH_SHA256_BYTES];
    char from[PATH_MAX];
    enum modelsum_found found = modelsum_find(part, recorded, from);
    if (access(part, R_OK))
        say(d, FAILURE, MODEL, "%s: %s%s", part, strerror(errno),
            errno == ENOENT ? lang_pick(": put it back, or seekd will not start again",
                                        "：请放回该文件，否则 seekd 无法再次启动")
                            : lang_pick(": run seekctl doctor as root",
                                        "：请以 root 运行 seekctl doctor"));
    else if (found == MODELSUM_BAD)
        say(d, FAILURE, MODEL,
            lang_pick("%s says nothing about %s: remove it and run seekctl doctor --record",
                      "%s 中没有 %s 的记录：请删除它并执行 seekctl doctor --record"), from, part);
    else if (found == MODELSUM_NONE && d->record)
        record_part(d, part);
    else if (found == MODELSUM_NONE)
        say(d, WARNING, MODEL,
            lang_pick("%s: no SHA-256 recorded: put the publisher's into %s.sha256, or run "
                      "seekctl doctor --record",
                      "%s：未记录 SHA-256：请将发布者公布的值写入 %s.sha256，或执行 seekctl doctor --record"),
            part, part);
    else if (d->quick)
        say(d, SKIPPED, MODEL, lang_pick("%s: not read (--quick)", "%s：未读取（--quick）"), part);
    else
        compare_part(d, part, recorded, from);
}

static void check_model(struct doctor *d)
{
    const char *model = file_of(d, "model");
    char part[PATH_MAX];
    for (unsigned i = 0; model && modelsum_part(model, i, part); i++)
        check_part(d, part);
}

/* ---- device, memory, disk ----------------------------------------------------------------------- */

#define DEVICE "device", "设备"

static void check_device(struct doctor *d)
{
    const json_t *model = part_of(d, "model");
    bool software = json_is_true(json_object_get(model, "software_device"));
    if (!json_is_object(model))
        say(d, WARNING, DEVICE, "%s",
            lang_pick("the model is still loading: wait, and watch the log", "模型仍在加载：请等待并查看日志"));
    else if (json_is_true(json_object_get(json_object_get(model, "engine"), "failed")))
        say(d, FAILURE, DEVICE, lang_pick("%s was lost: restart seekd, and look at the kernel's log",
                                          "%s 已丢失：请重启 seekd 并查看内核日志"), text_of(model, "device"));
    else
        say(d, software ? WARNING : SOUND, DEVICE, "%s%s", text_of(model, "device"),
            software ? lang_pick(": a software driver, right but slow: install the GPU's Vulkan driver",
                                 "：软件驱动，结果正确但慢：请安装 GPU 的 Vulkan 驱动")
                     : "");
}

/* MiB of a line of /proc/meminfo, -1 when it is not there. */
static double meminfo_mib(const char *name)
{
    char line[128];
    double mib = -1;
    size_t len = strlen(name);
    FILE *in = fopen("/proc/meminfo", "re");
    while (in && mib < 0 && fgets(line, sizeof line, in))
        if (!strncmp(line, name, len) && line[len] == ':')
            mib = (double)strtoull(line + len + 1, NULL, 10) / 1024.0;
    if (in)
        fclose(in);
    return mib;
}

#define MEMORY "memory", "内存"

static void check_memory(struct doctor *d)
{
    double all = meminfo_mib("MemTotal"), available = meminfo_mib("MemAvailable");
    if (all <= 0 || available < 0) {
        say(d, WARNING, MEMORY, "%s", lang_pick("/proc/meminfo cannot be read", "无法读取 /proc/meminfo"));
        return;
    }
    bool little = available < all / 20;
    say(d, little ? WARNING : SOUND, MEMORY,
        lang_pick("%.1f of %.1f GiB available%s", "可用 %.1f / %.1f GiB%s"), available / 1024,
        all / 1024,
        little ? lang_pick(": stop other programs, or lower kv_bytes", "：请停止其他程序，或减小 kv_bytes")
               : "");
}

#define DISK "disk", "磁盘"

static void check_disk(struct doctor *d, const char *path)
{
    struct statvfs fs;
    if (statvfs(path, &fs)) {
        say(d, FAILURE, DISK, "%s: %s", path, strerror(errno));
        return;
    }
    double mib = (double)fs.f_bavail * (double)fs.f_frsize / (1024.0 * 1024.0);
    say(d, mib < DISK_FAIL_MIB ? FAILURE : mib < DISK_WARN_MIB ? WARNING : SOUND, DISK,
        lang_pick("%.1f GiB free where the database is%s", "数据库所在磁盘剩余 %.1f GiB%s"), mib / 1024,
        mib < DISK_WARN_MIB ? lang_pick(": make room", "：请腾出空间") : "");
}

/* ---- certificates ------------------------------------------------------------------------------- */

#define CERTIFICATE "certificate", "证书"

struct dates {
    int64_t now_s;
    size_t good;                /* valid now */
    struct certificate soonest; /* of all: the one that ends first */
    struct certificate early;   /* one that is not valid yet; until_s 0 = none */
};

static bool add_dates(void *ctx, const struct certificate *c)
{
    struct dates *t = ctx;
    t->good += c->from_s <= t->now_s && t->now_s < c->until_s;
    if (!t->soonest.until_s || c->until_s < t->soonest.until_s)
        t->soonest = *c;
    if (c->from_s > t->now_s)
        t->early = *c;
    return true;
}

/* A chain (`all`) is as good as its worst certificate; a set of authorities as long as one is valid. */
static void check_dates(struct doctor *d, const char *path, bool all)
{
    struct dates t = {.now_s = clock_wall_s()};
    struct err e = ERR_INIT;
    char date[32];
    size_t n;
    if (!certificate_each(path, add_dates, &t, &n, &e)) {
        say(d, FAILURE, CERTIFICATE, "%s", e.msg);
        return;
    }
    long long days = (long long)((t.soonest.until_s - t.now_s) / DAY_S);
    bool bad = all ? t.good < n : !t.good;
    if (bad && t.early.until_s)
        say(d, FAILURE, CERTIFICATE,
            lang_pick("%s: \"%s\" is not valid before %s: look at the clock, or wait",
                      "%s：\"%s\" 在 %s 之前无效：请检查时钟，或等待"),
            path, t.early.name, date_of(t.early.from_s, date));
    else if (t.soonest.until_s <= t.now_s)
        say(d, bad ? FAILURE : WARNING, CERTIFICATE,
            lang_pick("%s: \"%s\" expired on %s: put a new one there and reload what uses it",
                      "%s：\"%s\" 已于 %s 过期：请换上新证书并重新加载使用它的服务"),
            path, t.soonest.name, date_of(t.soonest.until_s, date));
    else if (days < CERTIFICATE_DAYS)
        say(d, WARNING, CERTIFICATE,
            lang_pick("%s: \"%s\" expires on %s, in %lld days: ask for a new one now",
                      "%s：\"%s\" 将于 %s 过期，还有 %lld 天：请尽快申请新证书"),
            path, t.soonest.name, date_of(t.soonest.until_s, date), days);
    else
        say(d, SOUND, CERTIFICATE, lang_pick("%s: \"%s\", until %s", "%s：\"%s\"，有效期至 %s"), path,
            t.soonest.name, date_of(t.soonest.until_s, date));
}

static void check_pair(struct doctor *d, const char *path, const char *key)
{
    struct err e = ERR_INIT;
    if (certificate_check_key(path, key, &e))
        return;
    if (e.code == ERR_CONFLICT)
        say(d, FAILURE, CERTIFICATE,
            lang_pick("%s is not the private key of %s: put the pair there that belongs together",
                      "%s 不是 %s 的私钥：请换上匹配的一对文件"), key, path);
    else
        say(d, e.os == EACCES ? WARNING : FAILURE, CERTIFICATE, "%s%s", e.msg,
            e.os == EACCES ? lang_pick(": run seekctl doctor as root", "：请以 root 运行 seekctl doctor")
                           : "");
}

/* Every name that callers use must stand in the certificate. */
static void check_hosts(struct doctor *d, const char *path)
{
    const char *p = text_of(d->status, "hosts");
    char host[256];
    while (p && *p) {
        size_t len = strcspn(p, ", ");
        struct err e = ERR_INIT;
        snprintf(host, sizeof host, "%.*s", (int)len, p);
        if (len && !certificate_check_host(path, host, &e) && e.code == ERR_CONFLICT)
            say(d, FAILURE, CERTIFICATE,
                lang_pick("%s does not hold for %s, one of allowed_hosts: ask for one that names it",
                          "%s 不包含 allowed_hosts 中的 %s：请申请包含该名称的证书"), path, host);
        p += len + strspn(p + len, ", ");
    }
}

static bool is_loopback(const char *listen)
{
    return !listen || !strncmp(listen, "127.", 4) || !strncmp(listen, "localhost:", 10) ||
           !strncmp(listen, "[::1]", 5);
}

static void check_certificates(struct doctor *d)
{
    static const char *const authorities[] = {"oidc_ca", "ldap_ca"};
    const char *own = file_of(d, "certificate"), *key = file_of(d, "certificate_key");
    const char *listen = text_of(d->status, "listen");
    bool any = own != NULL;
    if (own) {
        check_dates(d, own, true);
        check_hosts(d, own);
    }
    if (own && key)
        check_pair(d, own, key);
    for (size_t i = 0; i < sizeof authorities / sizeof authorities[0]; i++)
        if (file_of(d, authorities[i])) {
            any = true;
            check_dates(d, file_of(d, authorities[i]), false);
        }
    if (!own && !is_loopback(listen))
        say(d, WARNING, CERTIFICATE,
            lang_pick("%s is served in plain HTTP: put a proxy with TLS before it, and name its "
                      "certificate in proxy_certificate",
                      "%s 使用明文 HTTP：请在前面放置提供 TLS 的代理，并在 proxy_certificate 中给出其证书"),
            listen);
    else if (!any)
        say(d, SOUND, CERTIFICATE, "%s",
            lang_pick("none: seekd is reached from this machine alone, or by a proxy whose certificate "
                      "proxy_certificate can name",
                      "无：仅本机可访问，或经代理访问（可在 proxy_certificate 中给出代理的证书）"));
}

/* ---- clock -------------------------------------------------------------------------------------- */

#define CLOCK "clock", "时钟"

static void check_clock(struct doctor *d)
{
    struct timex t = {.modes = 0};
    int64_t now = clock_wall_s();
    int64_t newest = json_integer_value(json_object_get(d->status, "newest_row_at"));
    int64_t least = newest - CLOCK_SLACK_S > EARLIEST_S ? newest - CLOCK_SLACK_S : EARLIEST_S;
    char date[32], row[32];
    date_of(now, date);
    if (now < least)
        say(d, FAILURE, CLOCK,
            lang_pick("%s is wrong: there are rows of %s: set the clock, and install chrony",
                      "%s 不正确：已有 %s 的记录：请校准时钟并安装 chrony"),
            date, date_of(least, row));
    else if (adjtimex(&t) == TIME_ERROR)
        say(d, WARNING, CLOCK,
            lang_pick("%s, not synchronised: keys, sessions and budgets follow it: install chrony",
                      "%s，未同步：密钥、会话与预算依赖时钟：请安装 chrony"), date);
    else
        say(d, SOUND, CLOCK, lang_pick("%s, synchronised", "%s，已同步"), date);
}

/* ---- permissions -------------------------------------------------------------------------------- */

#define PERMISSIONS "permissions", "权限"

struct modes {
    struct doctor *d;
    uid_t owner; /* of the data folder: whom the server's files belong to */
    unsigned n, bad;
};

/* `forbidden`: bits of the mode that nobody may have. `own`: must be the server's, or root's. */
static void check_mode(struct modes *m, const char *path, mode_t forbidden, bool own)
{
    struct stat st;
    m->n++;
    m->bad++;
    if (stat(path, &st))
        say(m->d, errno == EACCES ? WARNING : FAILURE, PERMISSIONS, "%s: %s%s", path, strerror(errno),
            errno == EACCES ? lang_pick(": run seekctl doctor as root", "：请以 root 运行 seekctl doctor")
                            : "");
    else if (st.st_mode & forbidden)
        say(m->d, FAILURE, PERMISSIONS,
            lang_pick("others may use %s: chmod %s %s", "其他用户可访问 %s：请执行 chmod %s %s"), path,
            forbidden & 040 ? "go=" : "g-w,o=", path);
    else if (own && st.st_uid != m->owner && st.st_uid)
        say(m->d, FAILURE, PERMISSIONS,
            lang_pick("%s belongs to user %u, not to seekd's: chown %u %s",
                      "%s 属于用户 %u，而不是 seekd 的账号：请执行 chown %u %s"),
            path, (unsigned)st.st_uid, (unsigned)m->owner, path);
    else
        m->bad--;
}

static void check_permissions(struct doctor *d, const char *database)
{
    static const char *const secrets[] = {"socket", "api_keys", "oidc_secret", "ldap_secret"};
    static const char *const beside[] = {"seekd.db", "texts.key"};
    struct modes m = {.d = d};
    struct stat st;
    char path[PATH_MAX];
    const char *slash = strrchr(database, '/'), *key = file_of(d, "certificate_key");
    int folder = slash ? (int)(slash - database) : 0;
    snprintf(path, sizeof path, "%.*s", folder, database);
    m.owner = stat(path, &st) ? geteuid() : st.st_uid;
    check_mode(&m, path, 077, true);
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(path, sizeof path, "%.*s/%s", folder, database, beside[i]);
        check_mode(&m, path, 077, true);
    }
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (file_of(d, secrets[i]))
            check_mode(&m, file_of(d, secrets[i]), 077, true);
    if (key) /* the proxy's: its group may read it */
        check_mode(&m, key, 037, false);
    if (!m.bad)
        say(d, SOUND, PERMISSIONS,
            lang_pick("%u files and folders, open to nobody else", "%u 个文件与目录，其他用户均无法访问"), m.n);
}

/* ---- the command -------------------------------------------------------------------------------- */

static int doctor_run(const struct ctl_command *self, int argc, char **argv)
{
    struct doctor d = {0};
    const struct args_option options[] = {
        {.name = "quick", .kind = ARGS_FLAG, .value = &d.quick,
         .help_en = "do not read the model file, which takes minutes when it is large",
         .help_zh = "不读取模型文件（大文件需数分钟）"},
        {.name = "record", .kind = ARGS_FLAG, .value = &d.record,
         .help_en = "record the model file's SHA-256 in FILE.sha256 beside it, where none is recorded",
         .help_zh = "若模型文件没有记录 SHA-256，则记录到旁边的 FILE.sha256"},
        LOCAL_OPTIONS(&d.where),
    };
    size_t n;
    enum args_result parsed = args_parse(self, options, sizeof options / sizeof options[0], argc,
                                         argv, NULL, 0, &n);
    if (parsed != ARGS_RUN)
        return parsed == ARGS_HELP ? CTL_OK : CTL_USAGE;
    check_server(&d);
    const char *database = text_of(part_of(&d, "database"), "path");
    char in_folder[PATH_MAX];
    snprintf(in_folder, sizeof in_folder, "%s/seekd.db", d.where.data_dir ? d.where.data_dir : "");
    if (!d.status && d.where.data_dir) /* without the server, only this says where the files are */
        database = in_folder;
    if (d.status) {
        check_database(&d);
        check_texts(&d);
        check_model(&d);
        check_device(&d);
    }
    check_memory(&d);
    if (d.status)
        check_certificates(&d);
    check_clock(&d);
    if (database) {
        check_disk(&d, database);
        check_permissions(&d, database);
    }
    json_decref(d.status);
    return d.failures ? CTL_FAILED : CTL_OK;
}

const struct ctl_command ctl_doctor = {
    .name = "doctor",
    .synopsis = "[--quick | --record] [--data-dir DIR]",
    .summary_en = "Looks at a running server and its machine: one line each, with what to do.",
    .summary_zh = "检查运行中的服务及其主机：每项一行，并说明如何处理。",
    .run = doctor_run,
};
