/* seekd: reads its settings, opens the port, loads the model, serves until told to stop.
 *
 * The port answers from the first moment (503 while the model loads), so that whoever starts seekd
 * can watch /health. The main thread waits for signals; a loader thread opens the engine and tells
 * the main thread by SIGUSR1.
 *
 * End: SIGTERM or SIGINT -> no new requests, running ones get drain_timeout, a second signal cuts
 * that short -> HTTP server closed -> engine closed. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "api/params.h"
#include "api/prompt.h"
#include "api/schema.h"
#include "api/templates.h"
#include "api/tokens.h"
#include "app.h"
#include "auth/key.h"
#include "auth/keyring.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "data.h"
#include "engine.h"
#include "http/http.h"
#include "http/listen.h"
#include "lang.h"
#include "settings.h"
#include "template/registry.h"
#include "version.h"

enum { EXIT_USAGE = 64, EXIT_LOAD = 65, EXIT_OS = 71, KEY_SHOWN = 300 };

struct process {
    struct settings settings;
    int argc;
    char **argv;
    struct app app;
    struct keyring *keys;
    char key[KEY_SHOWN]; /* new key to show once; wiped then */
    struct listen_address address, admin_address;
    struct service *service;
    char *local_socket;                          /* path, NULL = not opened */
    char first_password[PASSWORD_ONE_TIME_TEXT]; /* of the first administrator; wiped once shown */
    struct http_server *http;
    pthread_t main_thread;

    /* Written by the loader before it raises SIGUSR1. */
    struct engine *engine;
    struct prompt_maker *prompt;
    struct api_model model;
    struct token_counter counter; /* for the registry */
    char *model_id;
    struct err load_error;
};

static atomic_bool hurry;     /* a second stop signal came */
static atomic_bool load_done; /* set before the loader raises SIGUSR1 */

/* ---- telling ---------------------------------------------------------------------------------- */

static void fail_message(const struct err *e)
{
    fprintf(stderr, lang_pick("seekd: %s\n", "seekd：%s\n"), e->msg);
}

/* Called from the loader thread while the main thread only waits. */
static void show_progress(void *user, const struct engine_progress *p)
{
    struct process *me = user;
    atomic_store(&me->app.loaded_bytes, p->done_bytes);
    atomic_store(&me->app.total_bytes, p->total_bytes);
    bool terminal = isatty(STDOUT_FILENO), last = p->done_bytes == p->total_bytes;
    if (!terminal && !last)
        return;
    double mib = 1024.0 * 1024.0;
    const char *stage = strcmp(p->stage, "weights") ? p->stage : lang_pick("weights", "权重");
    printf(lang_pick("%sloading %s: %.1f of %.1f MiB, %.1f s%s",
                     "%s加载 %s：%.1f / %.1f MiB，%.1f 秒%s"),
           terminal ? "\r\033[K" : "", stage, (double)p->done_bytes / mib,
           (double)p->total_bytes / mib, p->seconds, terminal && !last ? "" : "\n");
    fflush(stdout);
}

static void show_loading(const struct process *me)
{
    char url[LISTEN_TEXT];
    listen_format_client(&me->address, url);
    printf(lang_pick("seekd %s on http://%s, loading %s\n", "seekd %s，地址 http://%s，正在加载 %s\n"),
           SEEKD_VERSION, url, me->settings.model);
    fflush(stdout);
}

/* Nobody can log in without it, and it exists from the moment the database was made: a start that fails
 * afterwards shows it too. */
static void show_first_password(struct process *me)
{
    char url[LISTEN_TEXT];
    if (!*me->first_password)
        return;
    listen_format_client(*me->settings.admin_listen ? &me->admin_address : &me->address, url);
    printf(lang_pick("Admin     login admin, one-time password %s\n"
                     "          (shown only now; choose your own within 7 days:\n"
                     "          seekctl password admin --server http://%s)\n",
                     "管理员    登录名 admin，一次性密码 %s\n"
                     "          （仅显示一次；请在 7 天内修改：\n"
                     "          seekctl password admin --server http://%s）\n"),
           me->first_password, url);
    fflush(stdout);
    explicit_bzero(me->first_password, sizeof me->first_password);
}

/* The reason comes last: what stands above it is not lost. */
static void fail_start(struct process *me, const struct err *e)
{
    show_first_password(me);
    fail_message(e);
}

/* Where seekctl finds this server; without the variable it looks for the system's. */
static void show_socket(const struct process *me)
{
    char *path = me->local_socket ? realpath(me->local_socket, NULL) : NULL;
    if (path)
        printf(lang_pick("Socket    %s\n          for seekctl: export SEEKD_SOCKET=%s\n",
                         "套接字    %s\n          供 seekctl 使用：export SEEKD_SOCKET=%s\n"),
               path, path);
    free(path);
}

/* What is served, and where it is less than what was asked for. */
static void show_model(const struct process *me)
{
    const struct engine_info *info = engine_info(me->engine);
    uint64_t asked = me->settings.max_context;
    printf(lang_pick("model     %s (%s), context %u tokens, loaded in %.1f s\n",
                     "模型      %s（%s），上下文 %u token，加载用时 %.1f 秒\n"),
           me->model.id, info->architecture, info->max_context, info->load_seconds);
    if (asked > info->max_context)
        printf(lang_pick("          less than --max-context %" PRIu64 ": the model or the KV pool "
                         "(--kv-bytes) allows no more\n",
                         "          小于 --max-context %" PRIu64 "：受模型或 KV 池（--kv-bytes）限制\n"),
               asked);
    printf(lang_pick("KV pool   %.1f MiB: %u pages of %u tokens\n",
                     "KV 池     %.1f MiB：%u 页，每页 %u token\n"),
           (double)info->kv_bytes / (1024.0 * 1024.0), info->kv_pages, info->page_tokens);
}

static void show_ready(struct process *me)
{
    const struct engine_info *info = engine_info(me->engine);
    char url[LISTEN_TEXT];
    listen_format_client(&me->address, url);
    show_model(me);
    printf(lang_pick("device    %s\n", "设备      %s\n"), info->device_name);
    if (info->software_device)
        fputs(lang_pick("          a software driver on the CPU, not a GPU: right but slow; expect "
                        "tens of tokens/s for the demo model, under one for large ones\n",
                        "          CPU 上的软件驱动而非 GPU：结果正确但慢；演示模型每秒几十个 "
                        "token，大模型不足一个\n"), stdout);
    printf("URL       http://%s/v1\n", url);
    if (listen_is_any(&me->address))
        fputs(lang_pick("          and on every other address of this machine\n",
                        "          也可通过本机的其他地址访问\n"), stdout);
    const char *key = me->key;
    show_socket(me);
    show_first_password(me);
    if (!me->app.keys && me->service)
        fputs(lang_pick("API key   of a person; a new one: seekctl key create LOGIN --name NAME "
                        "--scopes infer\n",
                        "API 密钥  使用个人密钥；新建：seekctl key create 登录名 --name 名称 "
                        "--scopes infer\n"), stdout);
    else if (!me->app.keys)
        fputs(lang_pick("API key   none needed (--no-auth)\n", "API 密钥  不需要（--no-auth）\n"),
              stdout);
    else if (*key)
        printf(lang_pick("API key   %s   (shown only now%s)\n", "API 密钥  %s （仅显示一次%s）\n"),
               key, *me->settings.api_key_file ? "" : me->service
               ? lang_pick("; until the next start, for trying: seekctl key create LOGIN makes "
                           "lasting ones",
                           "；供试用，重启后失效；正式密钥用 seekctl key create 登录名 创建")
               : lang_pick("; --api-key-file keeps one over restarts",
                           "；重启后更换，用 --api-key-file 可保留"));
    else
        fputs(lang_pick("API key   the one you configured\n", "API 密钥  使用已配置的密钥\n"),
              stdout);
    fputs(lang_pick("Try:\n", "试一试：\n"), stdout);
    printf("curl http://%s/v1/chat/completions -H 'Content-Type: application/json' \\\n", url);
    if (!me->app.open_to_all)
        printf("  -H 'Authorization: Bearer %s' \\\n", *key ? key : "YOUR_KEY");
    printf("  -d '{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}'\n",
           lang_pick("What is seekd?", "seekd 是什么？"));
    fflush(stdout);
    explicit_bzero(me->key, sizeof me->key);
}

/* ---- keys ------------------------------------------------------------------------------------- */

static bool take_key_from_environment(struct process *me, struct err *e)
{
    const char *key = getenv("SEEKD_API_KEY");
    if (!key || !*key)
        return true;
    if (!keyring_add(me->keys, key, e))
        return err_prefix(e, "SEEKD_API_KEY");
    unsetenv("SEEKD_API_KEY");
    return true;
}

/* The file is made when the model is loaded; a folder that will not take it is told of at once. */
static bool check_folder(const char *path, struct err *e)
{
    char *copy = mem_strdup(path);
    bool ok = !access(dirname(copy), W_OK | X_OK) ||
              err_set_os(e, __FILE__, __LINE__, lang_pick("cannot create %s", "无法创建 %s"), path);
    free(copy);
    return ok;
}

static bool make_key(struct process *me, struct err *e)
{
    const char *path = me->settings.api_key_file;
    return (!*path || check_folder(path, e)) && keyring_generate(me->key, e) &&
           keyring_add(me->keys, me->key, e);
}

/* A new key goes into the file when it is about to be shown, not before: a start that fails leaves no
 * file with a key that nobody has seen. */
static bool store_key(struct process *me, struct err *e)
{
    const char *path = me->settings.api_key_file;
    return !*me->key || !*path || keyring_store(path, me->key, e);
}

static bool found_key(void *found, const struct key_row *k, struct err *e)
{
    (void)k;
    (void)e;
    *(bool *)found = true;
    return true;
}

static bool has_keys(const struct service *s, bool *found, struct err *e)
{
    struct key_filter f = {.active = true, .now_s = clock_wall_s(), .limit = 1};
    int64_t next;
    return key_list(s->auth, &f, found_key, found, &next, e);
}

static bool open_keys(struct process *me, struct err *e)
{
    me->app.open_to_all = me->settings.no_auth;
    if (me->settings.no_auth)
        return true;
    const char *path = me->settings.api_key_file;
    struct err why = ERR_INIT;
    me->keys = keyring_create();
    if (!take_key_from_environment(me, e))
        return false;
    if (*path && !keyring_load(me->keys, path, &why) && why.code != ERR_NOT_FOUND) {
        if (e)
            *e = why;
        return false;
    }
    bool people_have_keys = false;
    if (me->service && !has_keys(me->service, &people_have_keys, e))
        return false;
    /* With a database keys belong to people; until the first of them is made, one to try things with. */
    if (!keyring_count(me->keys) && people_have_keys && !*path) {
        keyring_destroy(&me->keys);
        return true;
    }
    if (!keyring_count(me->keys) && !make_key(me, e))
        return false;
    me->app.keys = me->keys;
    return true;
}

/* ---- the model -------------------------------------------------------------------------------- */

/* What the administrator names is taken as it is (settings_check); in the file's own name characters
 * that an id cannot hold become '-'. */
static char *model_id(const struct settings *s, const struct engine_info *info)
{
    const char *name = *s->model_name ? s->model_name : info->model_name;
    size_t n = strlen(name);
    char *id = mem_strdup(*name ? name : "model");
    if (n > API_MODEL_ID_BYTES)
        id[utf8_cut(id, API_MODEL_ID_BYTES)] = '\0';
    for (char *p = id; *p; p += n) {
        n = api_model_id_char(p, strlen(p));
        if (!n) {
            *p = '-';
            n = 1;
        }
    }
    return id;
}

/* Of the text alone, as it stands in a prompt. 0 when it cannot be told. */
static size_t count_tokens(void *user, const char *text, size_t len)
{
    const struct engine *eng = user;
    struct err e = ERR_INIT;
    int32_t *ids = NULL;
    size_t n = 0;
    if (!engine_tokenize(eng, text, len, 0, SIZE_MAX, &ids, &n, &e))
        n = 0;
    free(ids);
    return n;
}

static bool load_model(struct process *me, struct err *e)
{
    const struct settings *s = &me->settings;
    struct engine_options opt = {
        .model_path = s->model,
        .device = s->device,
        .cache_dir = *s->cache_dir ? s->cache_dir : NULL,
        .max_context = (uint32_t)s->max_context,
        .kv_bytes = s->kv_bytes,
        .max_seqs = (uint32_t)s->max_seqs,
        .step_tokens = (uint32_t)s->step_tokens,
        .stall_s = (uint32_t)s->stall_timeout,
        .kv_type = (enum engine_kv_type)s->kv_type,
        .progress = show_progress,
        .user = me,
    };
    if (!engine_open(&opt, &me->engine, e))
        return false;
    struct err why = ERR_INIT;
    if (!prompt_maker_create(me->engine, &me->prompt, &why))
        LOG_W("main", "chat is not possible with this model: %s", why.msg);
    me->model_id = model_id(s, engine_info(me->engine));
    me->model = (struct api_model){.engine = me->engine, .prompt = me->prompt,
                                   .id = me->model_id, .created = clock_wall_s()};
    me->counter = (struct token_counter){.count = count_tokens, .ctx = me->engine};
    if (me->service)
        registry_set_tokens(me->service->registry, &me->counter);
    return true;
}

static void *loader(void *user)
{
    struct process *me = user;
    if (!load_model(me, &me->load_error))
        atomic_store(&me->app.load_failed, true);
    atomic_store(&load_done, true);
    pthread_kill(me->main_thread, SIGUSR1);
    return NULL;
}

/* ---- signals and the course of events --------------------------------------------------------- */

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit of file sizes fails like one on a full disk */
}

static void reload(struct process *me)
{
    char ignored[SETTINGS_NAMES];
    struct err e = ERR_INIT;
    if (!settings_reload(&me->settings, me->argc, me->argv, ignored, &e)) {
        LOG_E("main", "configuration not reloaded: %s", e.msg);
        return;
    }
    log_set_level((enum log_level)me->settings.log_level);
    LOG_I("main", "configuration reloaded level=%s needing_restart=%s",
          settings_log_level_name(&me->settings), *ignored ? ignored : "none");
}

/* Waits for the loader or for a signal to stop. Returns the signal. */
static int wait_for_signal(struct process *me, const sigset_t *set)
{
    for (;;) {
        int sig = 0;
        if (sigwait(set, &sig))
            continue;
        if (sig == SIGHUP)
            reload(me);
        else
            return sig;
    }
}

/* A thread of its own takes the second stop signal while the main thread drains. */
static void *second_signal(void *user)
{
    const sigset_t *set = user;
    int sig = 0;
    do
        sigwait(set, &sig);
    while (sig != SIGTERM && sig != SIGINT && sig != SIGUSR1);
    atomic_store(&hurry, true);
    return NULL;
}

static bool stop_serving(struct process *me, sigset_t *set)
{
    pthread_t waiter;
    struct http_stats stats;
    http_stats(me->http, &stats);
    LOG_I("main", "stopping running=%u drain_s=%llu", stats.requests,
          (unsigned long long)me->settings.drain_timeout);
    bool waiting = !pthread_create(&waiter, NULL, second_signal, set);
    http_drain(me->http, (unsigned)me->settings.drain_timeout * 1000u, &hurry);
    if (waiting) {
        pthread_kill(waiter, SIGUSR1);
        pthread_join(waiter, NULL);
    }
    return http_close(&me->http);
}

/* The local socket, where seekctl is the machine's administrator. */
static bool open_local(struct process *me, int *fd, struct err *e)
{
    char *path = me->service ? data_socket_path(&me->settings) : NULL;
    if (path && !listen_local(path, fd, e)) {
        free(path);
        return false;
    }
    me->local_socket = path;
    return true;
}

/* An empty text means no port. */
static bool open_port(const char *option, const char *text, struct listen_address *a, int *fd,
                      struct err *e)
{
    struct err why = ERR_INIT;
    if (!*text || (listen_parse(text, a, &why) && listen_open(a, fd, &why)))
        return true;
    return err_set(e, why.code, why.os, why.file, why.line,
                   lang_pick("%s; choose another address with %s", "%s；请用 %s 指定其他地址"),
                   why.msg, option);
}

static bool open_ports(struct process *me, struct http_options *opt, struct err *e)
{
    const struct settings *s = &me->settings;
    struct listen_address health;
    return open_port("--listen", s->listen, &me->address, &opt->listen_fd, e) &&
           open_port("--health-listen", s->health_listen, &health, &opt->health_fd, e) &&
           open_port("--admin-listen", s->admin_listen, &me->admin_address, &opt->admin_fd, e);
}

static bool open_data(struct process *me, struct err *e)
{
    bool ok = data_open(&me->settings, &me->service, me->first_password, e);
    me->app.service = me->service;
    return ok;
}

static bool open_http(struct process *me, struct http_options *opt, struct err *e)
{
    const struct settings *s = &me->settings;
    opt->threads = (unsigned)s->threads;
    opt->workers = (unsigned)s->workers;
    opt->max_connections = (unsigned)s->max_connections;
    opt->body_bytes = (size_t)s->max_body;
    opt->bodies_bytes = opt->body_bytes * 64;
    opt->header_ms = (unsigned)s->header_timeout * 1000u;
    opt->keepalive_ms = (unsigned)s->keepalive_timeout * 1000u;
    opt->stall_s = (unsigned)s->stall_timeout;
    opt->ping_ms = (unsigned)s->ping_interval * 1000u;
    opt->loopback_hosts_only = s->no_auth || *s->allowed_hosts;
    opt->allowed_hosts = s->allowed_hosts;
    return http_open(&me->app, opt, &me->http, e);
}

/* The ports come first: a start that another program's port prevents leaves no new database behind. On
 * failure the process ends, and with it what is open. */
static bool open_all(struct process *me, struct err *e)
{
    struct http_options opt = HTTP_OPTIONS_DEFAULT;
    return open_ports(me, &opt, e) && open_data(me, e) && open_keys(me, e) &&
           open_local(me, &opt.local_fd, e) && open_http(me, &opt, e);
}

/* Every connection is a file: take as many as the system lets us. */
static void raise_file_limit(uint64_t connections)
{
    struct rlimit limit;
    rlim_t need = connections + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= need)
        return;
    limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
    if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < need)
        LOG_W("main", "file limit below max_connections limit=%llu wanted=%llu",
              (unsigned long long)limit.rlim_cur, (unsigned long long)need);
}

static int serve(struct process *me)
{
    struct err e = ERR_INIT;
    sigset_t signals;
    pthread_t load_thread;
    block_signals(&signals);
    me->main_thread = pthread_self();
    raise_file_limit(me->settings.max_connections);
    if (!open_all(me, &e)) {
        fail_start(me, &e);
        return EXIT_OS;
    }
    show_loading(me);
    if (pthread_create(&load_thread, NULL, loader, me)) {
        http_close(&me->http);
        return EXIT_OS;
    }
    int sig;
    do /* SIGUSR1 from elsewhere means nothing */
        sig = wait_for_signal(me, &signals);
    while (sig == SIGUSR1 && !atomic_load(&load_done));
    if (sig != SIGUSR1) {
        /* Still loading: the engine has nothing to lose and cannot be interrupted. */
        http_close(&me->http);
        show_first_password(me);
        _exit(0);
    }
    pthread_join(load_thread, NULL);
    if (atomic_load(&me->app.load_failed)) {
        fail_start(me, &me->load_error);
        http_close(&me->http);
        return EXIT_LOAD;
    }
    if (!store_key(me, &e)) {
        fail_start(me, &e);
        http_close(&me->http);
        return EXIT_OS;
    }
    atomic_store(&me->app.model, &me->model);
    show_ready(me);
    while (wait_for_signal(me, &signals) == SIGUSR1)
        ;
    if (!stop_serving(me, &signals))
        _exit(EXIT_OS);
    LOG_I("main", "stopped");
    return 0;
}

static void release(struct process *me)
{
    if (me->service)
        registry_set_tokens(me->service->registry, NULL);
    service_close(&me->service);
    if (me->local_socket)
        unlink(me->local_socket);
    free(me->local_socket);
    prompt_maker_destroy(&me->prompt);
    if (me->engine)
        engine_close(&me->engine);
    free(me->model_id);
    if (me->keys)
        keyring_destroy(&me->keys);
    settings_release(&me->settings);
}

static void print_api_fields(void)
{
    schema_print(&PARAMS_CHAT_SCHEMA, stdout);
    schema_print(&PARAMS_RESPONSES_SCHEMA, stdout);
    schema_print(&PARAMS_COMPLETION_SCHEMA, stdout);
    schema_print(&TEMPLATE_RUN_SCHEMA, stdout);
    schema_print(&TOKENIZE_SCHEMA, stdout);
    schema_print(&DETOKENIZE_SCHEMA, stdout);
}

static int check_settings(struct settings *s)
{
    struct err e = ERR_INIT;
    settings_choose_model(s);
    if (!settings_check(s, &e)) {
        fail_message(&e);
        return EXIT_USAGE;
    }
    puts(lang_pick("The settings are valid.", "设置有效。"));
    return 0;
}

static int run(struct process *me, enum settings_action action)
{
    struct err e = ERR_INIT;
    switch (action) {
    case SETTINGS_HELP:
        settings_print_help(stdout);
        return 0;
    case SETTINGS_VERSION:
        puts("seekd " SEEKD_VERSION);
        return 0;
    case SETTINGS_PRINT:
        settings_print(&me->settings, stdout);
        return 0;
    case SETTINGS_API_FIELDS:
        print_api_fields();
        return 0;
    case SETTINGS_CHECK:
        return check_settings(&me->settings);
    default:
        break;
    }
    if (settings_choose_model(&me->settings))
        printf(lang_pick("no --model given: serving the demo model %s\n",
                         "未指定 --model：使用演示模型 %s\n"), me->settings.model);
    if (!settings_check(&me->settings, &e)) {
        fail_message(&e);
        return EXIT_USAGE;
    }
    log_set_level((enum log_level)me->settings.log_level);
    log_set_json(me->settings.log_json);
    int rc = serve(me);
    show_first_password(me);
    return rc;
}

int main(int argc, char **argv)
{
    static struct process me;
    enum settings_action action;
    char *config_path;
    struct err e = ERR_INIT;
    lang_init();
    me.argc = argc;
    me.argv = argv;
    settings_init(&me.settings);
    int rc = EXIT_USAGE;
    if (!settings_read(&me.settings, argc, argv, &action, &config_path, &e)) {
        fail_message(&e);
    } else {
        free(config_path);
        rc = run(&me, action);
    }
    release(&me);
    return rc;
}
