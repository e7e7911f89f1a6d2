/* Owns: the table of options and how text becomes a value.
 * Refuses to know: what the options do.
 *
 * The file is read by inih (Debian libinih-dev): the format administrators know, maintained, small
 * enough to read in an hour. It has no line numbers in its callback and cuts lines of 200 bytes, so
 * lines are handed to it one by one and long ones are refused. */
#include <config.h>

#include "settings.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/checked.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine.h"
#include "http/listen.h"
#include "lang.h"

enum { LINE_MAX_BYTES = 190 };

/* ---- the table -------------------------------------------------------------------------------- */

enum option_type { OPTION_TEXT, OPTION_NUMBER, OPTION_BYTES, OPTION_FLAG, OPTION_WORD };

struct option_row {
    const char *section, *name;
    enum option_type type;
    size_t offset;
    const char *fallback;
    uint64_t min, max;
    const char *words; /* OPTION_WORD: "a|b|c"; the value is the index */
    bool reload;       /* can change while running */
    const char *value_name;
    const char *help_en, *help_zh;
};

#define AT(member) offsetof(struct settings, member)

static const struct option_row rows[] = {
    {"model", "model", OPTION_TEXT, AT(model), "", 0, 0, NULL, false, "FILE",
     "model to serve: a GGUF file, any part of a split set", "要服务的模型：GGUF 文件（分卷时任一卷）"},
    {"model", "model_name", OPTION_TEXT, AT(model_name), "", 0, 0, NULL, false, "NAME",
     "id of the model in the API; default: from the file", "API 中的模型名；默认取自模型文件"},
    {"model", "device", OPTION_TEXT, AT(device), "auto", 0, 0, NULL, false, "NAME",
     "compute device: auto, vulkan or vulkan:N", "计算设备：auto、vulkan 或 vulkan:N"},
    {"model", "cache_dir", OPTION_TEXT, AT(cache_dir), "", 0, 0, NULL, false, "DIR",
     "folder for compiled pipelines; default: the user's cache folder", "管线缓存目录；默认为用户缓存目录"},
    {"model", "max_context", OPTION_NUMBER, AT(max_context), "0", 0, UINT32_MAX, NULL, false,
     "TOKENS", "longest prompt and answer together; 0 = what model and memory allow",
     "提示与回答的最大总长度；0 = 由模型与内存决定"},
    {"model", "kv_bytes", OPTION_BYTES, AT(kv_bytes), "0", 0, (uint64_t)1 << 50, NULL, false,
     "BYTES", "memory for the KV cache; 0 = chosen from the memory at hand", "KV 缓存大小；0 = 按可用内存选择"},
    {"model", "max_seqs", OPTION_NUMBER, AT(max_seqs), "0", 0, ENGINE_MAX_SEQS, NULL, false, "N",
     "requests computed together; 0 = 32", "同时计算的请求数；0 = 32"},
    {"model", "step_tokens", OPTION_NUMBER, AT(step_tokens), "0", 0, ENGINE_MAX_STEP_TOKENS, NULL,
     false, "TOKENS", "tokens computed in one step; 0 = 256", "每步计算的 token 数；0 = 256"},
    {"model", "kv_type", OPTION_WORD, AT(kv_type), "auto", 0, 0, "auto|f32|f16", false, "TYPE",
     "number format of the KV cache", "KV 缓存的数值格式"},
    {"server", "listen", OPTION_TEXT, AT(listen), "127.0.0.1:8080", 0, 0, NULL, false, "ADDR:PORT",
     "address to serve on", "监听地址"},
    {"server", "health_listen", OPTION_TEXT, AT(health_listen), "", 0, 0, NULL, false, "ADDR:PORT",
     "second address, for /health only", "仅供 /health 使用的第二个地址"},
    {"server", "admin_listen", OPTION_TEXT, AT(admin_listen), "", 0, 0, NULL, false, "ADDR:PORT",
     "address for administration alone; empty = on the main one", "管理接口的单独地址；空 = 与主地址相同"},
    {"server", "local_socket", OPTION_TEXT, AT(local_socket), "", 0, 0, NULL, false, "FILE",
     "UNIX socket for seekctl; default: seekd.sock in data_dir",
     "seekctl 使用的 UNIX 套接字；默认为 data_dir 中的 seekd.sock"},
    {"server", "allowed_hosts", OPTION_TEXT, AT(allowed_hosts), "", 0, 0, NULL, false, "NAMES",
     "Host names answered beside this machine's own, comma-separated; empty = any, but with no_auth "
     "only this machine's own", "除本机外允许的 Host 名，逗号分隔；空 = 不限（no_auth 时仅限本机）"},
    {"server", "proxy_certificate", OPTION_TEXT, AT(proxy_certificate), "", 0, 0, NULL, false, "FILE",
     "certificate (PEM) of the proxy that speaks TLS in front; seekctl doctor watches its dates",
     "前置 TLS 代理的证书（PEM）；供 seekctl doctor 检查有效期"},
    {"server", "proxy_certificate_key", OPTION_TEXT, AT(proxy_certificate_key), "", 0, 0, NULL, false,
     "FILE", "and its private key; seekctl doctor checks that they belong together",
     "该证书的私钥；供 seekctl doctor 检查是否匹配"},
    {"server", "threads", OPTION_NUMBER, AT(threads), "2", 1, 64, NULL, false, "N",
     "threads for network connections", "网络线程数"},
    {"server", "workers", OPTION_NUMBER, AT(workers), "2", 1, 64, NULL, false, "N",
     "threads that read requests and prepare prompts", "解析请求的线程数"},
    {"server", "max_connections", OPTION_NUMBER, AT(max_connections), "1000", 1, 100000, NULL,
     false, "N", "connections above this get 503", "超过此连接数时返回 503"},
    {"server", "max_body", OPTION_BYTES, AT(max_body), "4MiB", 1024, 64 << 20, NULL, false,
     "BYTES", "largest request body", "请求体最大字节数"},
    {"server", "header_timeout", OPTION_NUMBER, AT(header_timeout), "10", 1, 3600, NULL, false,
     "SECONDS", "time to send a request's head", "请求头必须在此秒数内到齐"},
    {"server", "keepalive_timeout", OPTION_NUMBER, AT(keepalive_timeout), "15", 1, 3600, NULL,
     false, "SECONDS", "idle time between requests of a connection", "连接空闲时间上限"},
    {"server", "stall_timeout", OPTION_NUMBER, AT(stall_timeout), "30", 1, 3600, NULL, false,
     "SECONDS", "a client that reads nothing for so long is dropped", "客户端停止读取超过此秒数则断开"},
    {"server", "ping_interval", OPTION_NUMBER, AT(ping_interval), "15", 1, 3600, NULL, false,
     "SECONDS", "silence in a stream before a comment is sent", "流中静默多久后发送注释"},
    {"server", "drain_timeout", OPTION_NUMBER, AT(drain_timeout), "30", 0, 3600, NULL, false,
     "SECONDS", "time that running answers get at the end", "退出时等待进行中回答的秒数"},
    {"data", "data_dir", OPTION_TEXT, AT(data_dir), "", 0, 0, NULL, false, "DIR",
     "folder of the database (people, keys, usage, templates); empty = none, keys from api_key_file",
     "数据库目录（人员、密钥、用量、模板）；空 = 不用数据库，密钥取自 api_key_file"},
    {"data", "keep_requests", OPTION_NUMBER, AT(keep_requests), "400", 0, 36500, NULL, false, "DAYS",
     "how long the row of each request is kept; 0 = for ever", "每条请求记录保留天数；0 = 永久"},
    {"data", "keep_minutes", OPTION_NUMBER, AT(keep_minutes), "62", 62, 36500, NULL, false, "DAYS",
     "how long totals by minute are kept", "按分钟汇总保留天数"},
    {"data", "keep_hours", OPTION_NUMBER, AT(keep_hours), "400", 0, 36500, NULL, false, "DAYS",
     "how long totals by hour are kept; 0 = for ever", "按小时汇总保留天数；0 = 永久"},
    {"data", "keep_days", OPTION_NUMBER, AT(keep_days), "0", 0, 36500, NULL, false, "DAYS",
     "how long totals by day are kept; 0 = for ever", "按天汇总保留天数；0 = 永久"},
    {"auth", "api_key_file", OPTION_TEXT, AT(api_key_file), "", 0, 0, NULL, false, "FILE",
     "API keys, one per line; created with a new key when missing", "API 密钥文件；不存在时自动生成"},
    {"auth", "no_auth", OPTION_FLAG, AT(no_auth), "false", 0, 0, NULL, false, NULL,
     "ask for no API key; loopback addresses only", "不要求密钥；仅限回环地址"},
    {"auth", "password_profile", OPTION_WORD, AT(password_profile), "asvs", 0, 0, "asvs|dengbao3",
     false, "NAME", "rules for passwords: OWASP ASVS, or GB/T 22239 level 3",
     "密码策略：OWASP ASVS 或等保三级（GB/T 22239）"},
    {"auth", "secure_cookies", OPTION_FLAG, AT(secure_cookies), "false", 0, 0, NULL, false, NULL,
     "cookies over https only: when a proxy in front speaks TLS",
     "仅在 https 上发送 cookie：前置代理提供 TLS 时使用"},
    {"auth", "identity_map", OPTION_TEXT, AT(identity_map), "", 0, 0, NULL, false, "FILE",
     "which groups of OIDC or LDAP belong to which department and roles (JSON)",
     "OIDC 或 LDAP 的组对应哪个部门与角色（JSON）"},
    {"oidc", "oidc_issuer", OPTION_TEXT, AT(oidc_issuer), "", 0, 0, NULL, false, "URL",
     "OpenID Connect issuer; empty = no login by OIDC", "OpenID Connect 颁发者；空 = 不用 OIDC 登录"},
    {"oidc", "oidc_client_id", OPTION_TEXT, AT(oidc_client_id), "", 0, 0, NULL, false, "ID",
     "what seekd is called there", "seekd 在颁发者处的客户端标识"},
    {"oidc", "oidc_client_secret_file", OPTION_TEXT, AT(oidc_client_secret_file), "", 0, 0, NULL,
     false, "FILE", "its secret, alone in a file; empty = a public client", "客户端密码文件；空 = 公开客户端"},
    {"oidc", "oidc_redirect_uri", OPTION_TEXT, AT(oidc_redirect_uri), "", 0, 0, NULL, false, "URL",
     "this server's own https://NAME/admin/v1/oidc/callback",
     "本服务的 https://NAME/admin/v1/oidc/callback"},
    {"oidc", "oidc_scopes", OPTION_TEXT, AT(oidc_scopes), "openid profile email", 0, 0, NULL, false,
     "WORDS", "scopes asked for", "请求的 scope"},
    {"oidc", "oidc_login_claim", OPTION_TEXT, AT(oidc_login_claim), "preferred_username", 0, 0, NULL,
     false, "NAME", "claim that becomes the login", "作为登录名的声明"},
    {"oidc", "oidc_groups_claim", OPTION_TEXT, AT(oidc_groups_claim), "groups", 0, 0, NULL, false,
     "NAME", "claim that lists the groups", "列出组的声明"},
    {"oidc", "oidc_ca_file", OPTION_TEXT, AT(oidc_ca_file), "", 0, 0, NULL, false, "FILE",
     "certificates (PEM) that vouch for the issuer; empty = the system's", "信任的 CA 证书（PEM）；空 = 系统证书"},
    {"ldap", "ldap_url", OPTION_TEXT, AT(ldap_url), "", 0, 0, NULL, false, "URL",
     "ldaps://HOST or ldap://HOST; empty = no login by LDAP",
     "ldaps://HOST 或 ldap://HOST；空 = 不用 LDAP 登录"},
    {"ldap", "ldap_start_tls", OPTION_FLAG, AT(ldap_start_tls), "false", 0, 0, NULL, false, NULL,
     "StartTLS on an ldap:// connection", "在 ldap:// 连接上使用 StartTLS"},
    {"ldap", "ldap_ca_file", OPTION_TEXT, AT(ldap_ca_file), "", 0, 0, NULL, false, "FILE",
     "certificates (PEM) that vouch for the directory", "信任的 CA 证书（PEM）"},
    {"ldap", "ldap_bind_dn", OPTION_TEXT, AT(ldap_bind_dn), "", 0, 0, NULL, false, "DN",
     "account that searches; empty = anonymous", "用于查询的账号；空 = 匿名"},
    {"ldap", "ldap_bind_password_file", OPTION_TEXT, AT(ldap_bind_password_file), "", 0, 0, NULL,
     false, "FILE", "its password, alone in a file", "该账号的密码文件"},
    {"ldap", "ldap_base_dn", OPTION_TEXT, AT(ldap_base_dn), "", 0, 0, NULL, false, "DN",
     "where people are searched", "人员所在的基准 DN"},
    {"ldap", "ldap_user_filter", OPTION_TEXT, AT(ldap_user_filter),
     "(&(objectClass=person)(uid={login}))", 0, 0, NULL, false, "FILTER",
     "finds a person by {login}", "按 {login} 查找人员的过滤器"},
    {"ldap", "ldap_subject_attribute", OPTION_TEXT, AT(ldap_subject_attribute), "entryUUID", 0, 0,
     NULL, false, "NAME", "what never changes about a person (objectGUID in Active Directory)",
     "人员不变的标识属性（Active Directory 用 objectGUID）"},
    {"ldap", "ldap_login_attribute", OPTION_TEXT, AT(ldap_login_attribute), "uid", 0, 0, NULL, false,
     "NAME", "attribute with the login", "登录名属性"},
    {"ldap", "ldap_group_base", OPTION_TEXT, AT(ldap_group_base), "", 0, 0, NULL, false, "DN",
     "where groups are searched; empty = memberOf alone", "组所在的基准 DN；空 = 仅用 memberOf"},
    {"ldap", "ldap_group_filter", OPTION_TEXT, AT(ldap_group_filter),
     "(&(objectClass=groupOfNames)(member={dn}))", 0, 0, NULL, false, "FILTER",
     "finds the groups of the person {dn}", "查找人员 {dn} 所属组的过滤器"},
    {"log", "log_level", OPTION_WORD, AT(log_level), "info", 0, 0, "debug|info|warn|error", true,
     "LEVEL", "least important messages to log", "日志级别"},
    {"log", "log_json", OPTION_FLAG, AT(log_json), "false", 0, 0, NULL, false, NULL,
     "log lines as JSON", "以 JSON 输出日志"},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static const struct {
    const char *flag, *value_name, *help_en, *help_zh;
    enum settings_action action;
} commands[] = {
    {"--config", "FILE", "read settings from this file first", "先从此文件读取设置", SETTINGS_RUN},
    {"--check-config", NULL, "check settings and end", "检查设置后退出", SETTINGS_CHECK},
    {"--print-config", NULL, "print all settings as a file and end", "以配置文件形式打印全部设置",
     SETTINGS_PRINT},
    {"--api-fields", NULL, "print the request fields of the API and end", "打印 API 请求字段说明",
     SETTINGS_API_FIELDS},
    {"--version", NULL, "print the version and end", "打印版本", SETTINGS_VERSION},
    {"--help", NULL, "print this help and end", "打印本帮助", SETTINGS_HELP},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

/* ---- values ----------------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return !*end && !errno;
}

static bool parse_bytes(const char *text, uint64_t *out)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"", 0},   {"B", 0},    {"K", 10},  {"KiB", 10}, {"k", 10},
                 {"M", 20}, {"MiB", 20}, {"G", 30},  {"GiB", 30}, {"T", 40}, {"TiB", 40}};
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    uint64_t n = strtoull(text, &end, 10);
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof units / sizeof units[0] && !errno; i++)
        if (!strcmp(end, units[i].unit))
            return checked_mul(n, (uint64_t)1 << units[i].shift, out);
    return false;
}

static bool parse_flag(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        *out = !strcmp(text, yes[i]);
        if (*out || !strcmp(text, no[i]))
            return true;
    }
    return false;
}

static bool parse_word(const char *text, const char *words, uint64_t *out)
{
    size_t len = strlen(text);
    *out = 0;
    for (const char *p = words; *p; (*out)++) {
        size_t n = strcspn(p, "|");
        if (n == len && !strncmp(p, text, n))
            return true;
        p += n;
        p += *p == '|';
    }
    return false;
}

static void *member(const struct option_row *r, const struct settings *s)
{
    return (char *)(uintptr_t)s + r->offset;
}

static bool set_value(const struct option_row *r, struct settings *s, const char *text,
                      struct err *e)
{
    uint64_t n = 0;
    bool flag = false;
    switch (r->type) {
    case OPTION_TEXT:
        free(*(char **)member(r, s));
        *(char **)member(r, s) = mem_strdup(text);
        return true;
    case OPTION_FLAG:
        if (!parse_flag(text, &flag))
            FAIL(e, ERR_ARG, lang_pick("%s must be true or false, not \"%.60s\"",
                                       "%s 必须是 true 或 false，而不是 \"%.60s\""), r->name, text);
        *(bool *)member(r, s) = flag;
        return true;
    case OPTION_WORD:
        if (!parse_word(text, r->words, &n))
            FAIL(e, ERR_ARG, lang_pick("%s must be one of %s, not \"%.60s\"",
                                       "%s 必须是 %s 之一，而不是 \"%.60s\""), r->name, r->words, text);
        break;
    default:
        if (!(r->type == OPTION_BYTES ? parse_bytes(text, &n) : parse_number(text, &n)) ||
            n < r->min || n > r->max)
            FAIL(e, ERR_ARG,
                 lang_pick("%s must be a number from %" PRIu64 " to %" PRIu64 "%s, not \"%.60s\"",
                           "%s 必须是 %" PRIu64 " 到 %" PRIu64 " 之间的数%s，而不是 \"%.60s\""),
                 r->name, r->min, r->max,
                 r->type != OPTION_BYTES ? ""
                                         : lang_pick(" (KiB, MiB, GiB may follow)",
                                                     "（可带 KiB、MiB、GiB）"), text);
        break;
    }
    *(uint64_t *)member(r, s) = n;
    return true;
}

void settings_init(struct settings *s)
{
    *s = (struct settings){0};
    for (size_t i = 0; i < N_ROWS; i++) {
        struct err e = ERR_INIT;
        if (!set_value(&rows[i], s, rows[i].fallback, &e)) {
            fprintf(stderr, "seekd: bug in the table of options: %s\n", e.msg);
            abort();
        }
    }
}

void settings_release(struct settings *s)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].type != OPTION_TEXT)
            continue;
        free(*(char **)member(&rows[i], s));
        *(char **)member(&rows[i], s) = NULL;
    }
}

/* ---- the file --------------------------------------------------------------------------------- */

struct file_reader {
    FILE *in;
    struct settings *settings;
    struct err *e;
    unsigned line, seen[N_ROWS]; /* line where a row was set, 0 = not yet */
    bool failed;
};

static bool file_fail(struct file_reader *r, const char *what, const char *name)
{
    r->failed = true;
    return err_set(r->e, ERR_FORMAT, 0, __FILE__, __LINE__, "%s \"%.60s\"", what, name);
}

/* Hands inih one line at a time and counts them. */
static char *next_line(char *into, int room, void *user)
{
    struct file_reader *r = user;
    if (r->failed || !fgets(into, room, r->in))
        return NULL;
    r->line++;
    if (strlen(into) > LINE_MAX_BYTES) {
        file_fail(r, lang_pick("the line is too long, it begins", "行太长，开头为"), into);
        return NULL;
    }
    if ((into[0] == ' ' || into[0] == '\t') && into[strspn(into, " \t\r\n")]) {
        file_fail(r, lang_pick("lines must not begin with white space:", "行首不能有空白："),
                  into + strspn(into, " \t"));
        return NULL;
    }
    return into;
}

static bool wrong_section(struct file_reader *r, const struct option_row *row, const char *section)
{
    r->failed = true;
    if (!*section)
        FAIL(r->e, ERR_FORMAT, lang_pick("\"%s\" belongs under [%s]: put that line above it",
                                         "\"%s\" 属于 [%s]：请在其上方加上这一行"),
             row->name, row->section);
    FAIL(r->e, ERR_FORMAT, lang_pick("\"%s\" belongs under [%s], not under [%.60s]",
                                     "\"%s\" 属于 [%s]，而不是 [%.60s]"),
         row->name, row->section, section);
}

/* Quotes and comments behind a value would be taken as they stand, which is hardly ever meant. */
static bool is_plain(const struct option_row *row, const char *value, struct err *e)
{
    if (*value == '"' || *value == '\'')
        FAIL(e, ERR_FORMAT, lang_pick("%s: write the value without quotes", "%s：值不要加引号"),
             row->name);
    if (strstr(value, " #") || strstr(value, "\t#"))
        FAIL(e, ERR_FORMAT, lang_pick("%s: a comment that begins with # needs a line of its own",
                                      "%s：以 # 开头的注释必须单独成行"), row->name);
    return true;
}

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct file_reader *r = user;
    for (size_t i = 0; i < N_ROWS; i++) {
        if (strcmp(rows[i].name, name))
            continue;
        if (strcmp(rows[i].section, section))
            return wrong_section(r, &rows[i], section);
        if (r->seen[i])
            return file_fail(r, lang_pick("given twice:", "重复给出："), name);
        r->seen[i] = r->line;
        r->failed = !is_plain(&rows[i], value, r->e) ||
                    !set_value(&rows[i], r->settings, value, r->e);
        return !r->failed;
    }
    return file_fail(r, lang_pick("there is no option", "没有此选项："), name);
}

bool settings_read_file(struct settings *s, const char *path, struct err *e)
{
    struct file_reader r = {.settings = s, .e = e};
    r.in = fopen(path, "re");
    if (!r.in)
        FAIL_OS(e, lang_pick("cannot read the configuration file %s", "无法读取配置文件 %s"), path);
    int rc = ini_parse_stream(next_line, &r, take_line, &r);
    bool io = ferror(r.in);
    fclose(r.in);
    if (io)
        FAIL(e, ERR_IO, lang_pick("cannot read the configuration file %s", "无法读取配置文件 %s"), path);
    bool syntax = rc && (!r.failed || (unsigned)rc < r.line); /* inih goes on after an error */
    if (r.failed && !syntax)
        return err_prefix(e, lang_pick("%s, line %u", "%s 第 %u 行"), path, r.line);
    if (rc)
        FAIL(e, ERR_FORMAT, lang_pick("%s, line %d: expected [section] or name = value",
                                      "%s 第 %d 行：应为 [分组] 或 名称 = 值"), path, rc);
    return true;
}

/* ---- the command line ------------------------------------------------------------------------- */

/* "--max-context" against "max_context"; `len` bytes of the flag count. */
static bool flag_is(const char *flag, size_t len, const char *name)
{
    if (strlen(name) + 2 != len || strncmp(flag, "--", 2))
        return false;
    for (size_t i = 2; i < len; i++)
        if ((flag[i] == '-' ? '_' : flag[i]) != name[i - 2])
            return false;
    return true;
}

static const struct option_row *find_flag(const char *flag, size_t len)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (flag_is(flag, len, rows[i].name))
            return &rows[i];
    return NULL;
}

/* Value after '=' or in the next argument. */
static const char *flag_value(int argc, char **argv, int *at, size_t len)
{
    if (argv[*at][len] == '=')
        return argv[*at] + len + 1;
    if (*at + 1 < argc)
        return argv[++*at];
    return NULL;
}

static bool read_flag(struct settings *s, int argc, char **argv, int *at, struct err *e)
{
    const char *flag = argv[*at];
    size_t len = strcspn(flag, "=");
    const struct option_row *r = find_flag(flag, len);
    if (*flag != '-')
        FAIL(e, ERR_ARG, lang_pick("\"%.80s\" follows no option; a model is given by --model %.80s",
                                   "\"%.80s\" 前没有选项；请用 --model %.80s 指定模型"), flag, flag);
    if (!r)
        FAIL(e, ERR_ARG, lang_pick("there is no option \"%.80s\"; see seekd --help",
                                   "没有选项 \"%.80s\"；见 seekd --help"), flag);
    if (r->type == OPTION_FLAG && flag[len] != '=')
        return set_value(r, s, "true", e);
    const char *value = flag_value(argc, argv, at, len);
    if (!value)
        FAIL(e, ERR_ARG, lang_pick("%s needs a value", "%s 需要一个值"), flag);
    return set_value(r, s, value, e);
}

static bool find_config(int argc, char **argv, char **path, struct err *e)
{
    *path = NULL;
    for (int i = 1; i < argc; i++) {
        size_t len = strcspn(argv[i], "=");
        if (len != 8 || strncmp(argv[i], "--config", 8))
            continue;
        const char *value = flag_value(argc, argv, &i, len);
        if (!value || *path) {
            free(*path);
            *path = NULL;
            FAIL(e, ERR_ARG, "%s", lang_pick("--config needs one file", "--config 需要一个文件"));
        }
        *path = mem_strdup(value);
    }
    return true;
}

static bool read_arguments(struct settings *s, int argc, char **argv,
                           enum settings_action *action, struct err *e)
{
    *action = SETTINGS_RUN;
    for (int i = 1; i < argc; i++) {
        const char *flag = !strcmp(argv[i], "-h") ? "--help" : argv[i];
        size_t len = strcspn(flag, "=");
        bool found = false;
        for (size_t c = 0; c < N_COMMANDS && !found; c++) {
            found = strlen(commands[c].flag) == len && !strncmp(flag, commands[c].flag, len);
            if (!found)
                continue;
            if (commands[c].value_name)
                flag_value(argc, argv, &i, len);
            else
                *action = commands[c].action;
        }
        if (!found && !read_flag(s, argc, argv, &i, e))
            return false;
    }
    return true;
}

bool settings_read(struct settings *s, int argc, char **argv, enum settings_action *action,
                   char **config_path, struct err *e)
{
    if (!find_config(argc, argv, config_path, e))
        return false;
    if ((*config_path && !settings_read_file(s, *config_path, e)) ||
        !read_arguments(s, argc, argv, action, e)) {
        free(*config_path);
        *config_path = NULL;
        return false;
    }
    return true;
}

bool settings_choose_model(struct settings *s)
{
    static const char demo[] = SEEKD_DATADIR "/seekd-demo.gguf";
    if (*s->model || access(demo, R_OK))
        return false;
    free(s->model);
    s->model = mem_strdup(demo);
    return true;
}

static bool check_model_name(const char *name, struct err *e)
{
    size_t len = strlen(name);
    if (len > API_MODEL_ID_BYTES)
        FAIL(e, ERR_ARG, lang_pick("model_name must have at most %d bytes",
                                   "model_name 最多 %d 字节"), (int)API_MODEL_ID_BYTES);
    for (size_t at = 0; at < len;) {
        size_t n = api_model_id_char(name + at, len - at);
        if (!n)
            FAIL(e, ERR_ARG,
                 lang_pick("model_name must be UTF-8 without blanks, control characters, quotes, "
                           "\\, ?, # and %%; the character at byte %zu is not possible",
                           "model_name 必须为 UTF-8，不含空白、控制字符、引号和 \\ ? # %%；"
                           "第 %zu 字节处的字符不可用"), at + 1);
        at += n;
    }
    return true;
}

bool settings_check(const struct settings *s, struct err *e)
{
    struct listen_address a;
    if (!*s->model)
        FAIL(e, ERR_ARG, "%s", lang_pick("no model given; use --model FILE.gguf",
                                         "未指定模型；请用 --model 文件.gguf"));
    if (!check_model_name(s->model_name, e))
        return false;
    if (!listen_parse(s->listen, &a, e))
        return err_prefix(e, "listen");
    if (s->no_auth && !a.loopback)
        FAIL(e, ERR_ARG,
             lang_pick("no_auth is possible only on a loopback address such as 127.0.0.1, not on %s",
                       "no_auth 只能用于 127.0.0.1 等回环地址，不能用于 %s"), s->listen);
    if (s->no_auth && *s->api_key_file)
        FAIL(e, ERR_ARG, "%s", lang_pick("no_auth and api_key_file contradict each other",
                                         "no_auth 与 api_key_file 互相矛盾"));
    if (*s->health_listen && !listen_parse(s->health_listen, &a, e))
        return err_prefix(e, "health_listen");
    if (*s->admin_listen && !listen_parse(s->admin_listen, &a, e))
        return err_prefix(e, "admin_listen");
    if ((*s->admin_listen || *s->oidc_issuer || *s->ldap_url) && !*s->data_dir)
        FAIL(e, ERR_ARG, "%s", lang_pick("admin_listen, oidc_issuer and ldap_url need a data_dir",
                                         "admin_listen、oidc_issuer 和 ldap_url 需要 data_dir"));
    return true;
}

static bool same_value(const struct option_row *r, const struct settings *a,
                       const struct settings *b)
{
    if (r->type == OPTION_TEXT)
        return !strcmp(*(char **)member(r, a), *(char **)member(r, b));
    if (r->type == OPTION_FLAG)
        return *(bool *)member(r, a) == *(bool *)member(r, b);
    return *(uint64_t *)member(r, a) == *(uint64_t *)member(r, b);
}

static void add_name(char names[SETTINGS_NAMES], const char *name)
{
    size_t len = strlen(names);
    if (len + strlen(name) + 2 <= SETTINGS_NAMES)
        snprintf(names + len, SETTINGS_NAMES - len, "%s%s", len ? "," : "", name);
}

bool settings_reload(struct settings *s, int argc, char **argv, char ignored[SETTINGS_NAMES],
                     struct err *e)
{
    struct settings fresh;
    enum settings_action action;
    char *path = NULL;
    settings_init(&fresh);
    bool ok = settings_read(&fresh, argc, argv, &action, &path, e);
    settings_choose_model(&fresh);
    ok = ok && settings_check(&fresh, e);
    ignored[0] = '\0';
    for (size_t i = 0; ok && i < N_ROWS; i++) {
        if (same_value(&rows[i], s, &fresh))
            continue;
        if (rows[i].reload)
            *(uint64_t *)member(&rows[i], s) = *(uint64_t *)member(&rows[i], &fresh);
        else
            add_name(ignored, rows[i].name);
    }
    free(path);
    settings_release(&fresh);
    return ok;
}

const char *settings_log_level_name(const struct settings *s)
{
    static const char *const names[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};
    return names[s->log_level];
}

/* ---- printing --------------------------------------------------------------------------------- */

static void print_help_line(FILE *out, const char *flag, const char *value_name, const char *help)
{
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", flag, value_name ? " " : "",
             value_name ? value_name : "");
    fprintf(out, "  %-30s %s\n", left, help);
}

static void print_row_help(const struct option_row *r, FILE *out)
{
    char flag[40] = "--", help[400];
    for (size_t i = 0; r->name[i] && i + 3 < sizeof flag; i++) {
        flag[i + 2] = r->name[i] == '_' ? '-' : r->name[i];
        flag[i + 3] = '\0';
    }
    const char *text = lang_pick(r->help_en, r->help_zh);
    if (r->words)
        snprintf(help, sizeof help, lang_pick("%s: %s [%s]", "%s：%s [%s]"), text, r->words,
                 r->fallback);
    else if (r->type == OPTION_FLAG || !*r->fallback || !strcmp(r->fallback, "0"))
        snprintf(help, sizeof help, "%s", text);
    else
        snprintf(help, sizeof help, "%s [%s]", text, r->fallback);
    print_help_line(out, flag, r->value_name, help);
}

void settings_print_help(FILE *out)
{
    fputs(lang_pick("Usage: seekd --model FILE.gguf [options]\n"
                    "Serves a language model over an OpenAI-compatible HTTP API.\n",
                    "用法：seekd --model 文件.gguf [选项]\n"
                    "通过兼容 OpenAI 的 HTTP 接口提供语言模型服务。\n"), out);
    const char *section = "";
    for (size_t i = 0; i < N_ROWS; i++) {
        if (strcmp(section, rows[i].section)) {
            section = rows[i].section;
            fprintf(out, "\n[%s]\n", section);
        }
        print_row_help(&rows[i], out);
    }
    fputc('\n', out);
    for (size_t i = 0; i < N_COMMANDS; i++)
        print_help_line(out, commands[i].flag, commands[i].value_name,
                        lang_pick(commands[i].help_en, commands[i].help_zh));
    fputs(lang_pick("\nThe API key may also stand in the environment variable SEEKD_API_KEY.\n"
                    "SIGHUP reads the configuration again (log_level). SIGTERM or Ctrl-C ends when "
                    "running\nanswers are done (drain_timeout), a second one at once.\n",
                    "\nAPI 密钥也可写在环境变量 SEEKD_API_KEY 中。\n"
                    "SIGHUP 重新读取配置（log_level）。SIGTERM 或 Ctrl-C 待进行中的回答结束后退出"
                    "（drain_timeout），\n再按一次立即退出。\n"), out);
}

static void print_words(const struct option_row *r, FILE *out)
{
    if (r->words)
        fprintf(out, lang_pick(": %s", "：%s"), r->words);
}

static void print_value(const struct option_row *r, const struct settings *s, FILE *out)
{
    if (r->type == OPTION_TEXT) {
        fputs(*(char **)member(r, s), out);
    } else if (r->type == OPTION_FLAG) {
        fputs(*(bool *)member(r, s) ? "true" : "false", out);
    } else if (r->type == OPTION_WORD) {
        const char *p = r->words;
        for (uint64_t n = *(uint64_t *)member(r, s); n; n--)
            p += strcspn(p, "|") + 1;
        fprintf(out, "%.*s", (int)strcspn(p, "|"), p);
    } else {
        fprintf(out, "%" PRIu64, *(uint64_t *)member(r, s));
    }
}

void settings_print(const struct settings *s, FILE *out)
{
    fputs(lang_pick("# name = value: the value without quotes, a comment on a line of its own\n\n",
                    "# 名称 = 值：值不加引号，注释单独成行\n\n"), out);
    const char *section = "";
    for (size_t i = 0; i < N_ROWS; i++) {
        if (strcmp(section, rows[i].section)) {
            section = rows[i].section;
            fprintf(out, "%s[%s]\n", i ? "\n" : "", section);
        }
        fprintf(out, "# %s", lang_pick(rows[i].help_en, rows[i].help_zh));
        print_words(&rows[i], out);
        fprintf(out, "%s\n%s = ", rows[i].reload ? lang_pick(" (SIGHUP)", "（SIGHUP）") : "",
                rows[i].name);
        print_value(&rows[i], s, out);
        fputc('\n', out);
    }
}
