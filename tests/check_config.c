/* Settings: the table, files, the command line, reload; listening addresses; API key files. */
#include <config.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/keyring.h"
#include "base/log.h"
#include "http/listen.h"
#include "lang.h"
#include "settings.h"

static char folder[] = "check_config.XXXXXX";
static char path[64];
static struct settings settings;

static void set_up(void)
{
    log_set_level(LOG_ERROR);
    snprintf(folder, sizeof folder, "check_config.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    settings_init(&settings);
}

static void tear_down(void)
{
    settings_release(&settings);
    unlink(path);
    rmdir(folder);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static bool read_args(const char *const *args, enum settings_action *action, struct err *e)
{
    char *argv[16] = {(char *)(uintptr_t)"seekd"}, *config = NULL;
    int argc = 1;
    for (; *args; args++)
        argv[argc++] = (char *)(uintptr_t)*args;
    bool ok = settings_read(&settings, argc, argv, action, &config, e);
    free(config);
    return ok;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_file_error(const char *text, const char *want)
{
    struct err e = ERR_INIT;
    write_file(text);
    ck_assert_msg(!settings_read_file(&settings, path, &e), "accepted: %s", text);
    ck_assert_msg(strstr(e.msg, want) != NULL, "\"%s\" does not say \"%s\"", e.msg, want);
}

static void expect_arg_error(const char *const *args, const char *want)
{
    struct err e = ERR_INIT;
    enum settings_action action;
    ck_assert_msg(!read_args(args, &action, &e), "accepted: %s", args[0]);
    ck_assert_msg(strstr(e.msg, want) != NULL, "\"%s\" does not say \"%s\"", e.msg, want);
}

/* ---- files ------------------------------------------------------------------------------------ */

START_TEST(file_sets_values)
{
    struct err e = ERR_INIT;
    write_file("# comment\n; comment\n\n[model]\nmodel = /srv/a b.gguf\nkv_bytes = 3 GiB\n"
               "cache_dir = /c#1\n"
               "kv_type=f16\n[server]\nlisten: [::1]:9000\nmax_body = 65536\n"
               "[auth]\nno_auth = yes\n[log]\nlog_level = debug ; inline\n");
    ck_assert_msg(settings_read_file(&settings, path, &e), "%s", e.msg);
    ck_assert_str_eq(settings.model, "/srv/a b.gguf");
    ck_assert_uint_eq(settings.kv_bytes, (uint64_t)3 << 30);
    ck_assert_uint_eq(settings.kv_type, 2);
    ck_assert_str_eq(settings.cache_dir, "/c#1");
    ck_assert_str_eq(settings.listen, "[::1]:9000");
    ck_assert_uint_eq(settings.max_body, 65536);
    ck_assert(settings.no_auth);
    ck_assert_uint_eq(settings.log_level, LOG_DEBUG);
    ck_assert_uint_eq(settings.ping_interval, 15);
    ck_assert(settings_check(&settings, &e));
}
END_TEST

START_TEST(file_errors_name_the_line)
{
    static char long_line[400];
    expect_file_error("[server]\nnonsense = 1\n", "line 2: there is no option \"nonsense\"");
    expect_file_error("[model]\nlisten = 127.0.0.1:1\n",
                      "line 2: \"listen\" belongs under [server], not under [model]");
    expect_file_error("listen = 127.0.0.1:1\n",
                      "line 1: \"listen\" belongs under [server]: put that line above it");
    expect_file_error("[model]\nmodel = \"/a.gguf\"\n", "line 2: model: write the value without quotes");
    expect_file_error("[model]\nmodel = 'a'\n", "line 2: model: write the value without quotes");
    expect_file_error("[model]\n\nmodel = /a.gguf # mine\n", "line 3: model: a comment that begins");
    expect_file_error("[server]\nthreads = 2\t# two\n", "line 2: threads: a comment that begins");
    expect_file_error("[server]\n\nthreads = 1\nthreads = 2\n", "line 4: given twice");
    expect_file_error("[server]\nthreads = many\n", "line 2: threads must be a number from 1 to 64");
    expect_file_error("[server]\nthreads = 65\n", "threads must be");
    expect_file_error("[server]\nthreads = -1\n", "threads must be");
    expect_file_error("[server]\nthreads = 1x\n", "threads must be");
    expect_file_error("[server]\nthreads = 99999999999999999999999\n", "threads must be");
    expect_file_error("[model]\nkv_bytes = 99999999999 TiB\n", "kv_bytes must be");
    expect_file_error("[log]\nlog_level = loud\n", "debug|info|warn|error");
    expect_file_error("[auth]\nno_auth = maybe\n", "true or false");
    expect_file_error("[server]\njust words\n", "line 2: expected");
    expect_file_error("[server\nthreads = 1\n", "line 1: expected");
    expect_file_error("[server]\n threads = 1\n", "line 2: lines must not begin with white space");
    memset(long_line, 'x', sizeof long_line - 1);
    expect_file_error(long_line, "line 1: the line is too long");
    struct err e = ERR_INIT;
    unlink(path);
    ck_assert(!settings_read_file(&settings, path, &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
}
END_TEST

/* What --print-config prints can be read back and means the same. */
START_TEST(printed_file_reads_back)
{
    struct err e = ERR_INIT;
    enum settings_action action;
    char *first = NULL, *second = NULL;
    size_t n;
    ck_assert(read_args(ARGS("--model", "m.gguf", "--max-body", "1MiB", "--log-json",
                             "--kv-type=f32"), &action, &e));
    FILE *out = open_memstream(&first, &n);
    settings_print(&settings, out);
    fclose(out);
    write_file(first);
    settings_release(&settings);
    settings_init(&settings);
    ck_assert_msg(settings_read_file(&settings, path, &e), "%s", e.msg);
    out = open_memstream(&second, &n);
    settings_print(&settings, out);
    fclose(out);
    ck_assert_str_eq(first, second);
    ck_assert_ptr_nonnull(strstr(second, "\nmax_body = 1048576\n"));
    free(first);
    free(second);
}
END_TEST

/* ---- the command line ------------------------------------------------------------------------- */

START_TEST(arguments_win_over_the_file)
{
    struct err e = ERR_INIT;
    enum settings_action action;
    write_file("[model]\nmodel = file.gguf\n[server]\nthreads = 3\nworkers = 4\n");
    ck_assert_msg(read_args(ARGS("--threads=5", "--config", path), &action, &e), "%s", e.msg);
    ck_assert_int_eq(action, SETTINGS_RUN);
    ck_assert_uint_eq(settings.threads, 5);
    ck_assert_uint_eq(settings.workers, 4);
    ck_assert_str_eq(settings.model, "file.gguf");
}
END_TEST

START_TEST(argument_errors)
{
    expect_arg_error(ARGS("--nonsense"), "no option \"--nonsense\"");
    expect_arg_error(ARGS("file.gguf"), "--model file.gguf");
    expect_arg_error(ARGS("--log-level", "trace"), "one of debug|info|warn|error");
    expect_arg_error(ARGS("--model"), "--model needs a value");
    expect_arg_error(ARGS("--threads", "0"), "threads must be");
    expect_arg_error(ARGS("--config"), "--config needs one file");
    expect_arg_error(ARGS("--config", "a", "--config", "b"), "--config needs one file");
    expect_arg_error(ARGS("--config", "does-not-exist"), "does-not-exist");
    expect_arg_error(ARGS("--no-auth=2"), "true or false");
}
END_TEST

START_TEST(commands)
{
    static const struct {
        const char *flag;
        enum settings_action action;
    } cases[] = {{"--help", SETTINGS_HELP},
                 {"-h", SETTINGS_HELP},
                 {"--version", SETTINGS_VERSION},
                 {"--check-config", SETTINGS_CHECK},
                 {"--print-config", SETTINGS_PRINT},
                 {"--api-fields", SETTINGS_API_FIELDS}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = ERR_INIT;
        enum settings_action action;
        ck_assert(read_args(ARGS("--model=x", cases[i].flag), &action, &e));
        ck_assert_int_eq(action, cases[i].action);
    }
}
END_TEST

START_TEST(checks_between_options)
{
    struct err e = ERR_INIT;
    enum settings_action action;
    ck_assert(!settings_check(&settings, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "--model"));
    ck_assert(read_args(ARGS("--model=x", "--listen", "0.0.0.0:1", "--no-auth"), &action, &e));
    ck_assert(!settings_check(&settings, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "loopback"));
    ck_assert(read_args(ARGS("--listen", "127.0.0.2:1"), &action, &e));
    ck_assert(settings_check(&settings, &e));
    ck_assert(read_args(ARGS("--api-key-file", "k"), &action, &e));
    ck_assert(!settings_check(&settings, &e));
    ck_assert(read_args(ARGS("--no-auth=false", "--listen", "nowhere"), &action, &e));
    ck_assert(!settings_check(&settings, &e));
    ck_assert(read_args(ARGS("--listen", "[::1]:0", "--health-listen", "1.2.3:4"), &action, &e));
    ck_assert(!settings_check(&settings, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "health_listen"));
}
END_TEST

START_TEST(names_of_the_model)
{
    static const char *const right[] = {"deepseek-ai/DeepSeek-V3", "演示模型", "a:b+c,d(e)=f", "é"};
    static const char *const wrong[] = {"two words", "q\"", "it's", "a?b", "a#b", "50%", "a\\b",
                                        "\xff", "cut\xe6\xbc", "a\tb", "\x7f",
                                        "\xe3\x80\x80", "\xc2\x85"};
    struct err e = ERR_INIT;
    enum settings_action action;
    ck_assert(read_args(ARGS("--model=x"), &action, &e));
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        ck_assert(read_args(ARGS("--model-name", right[i]), &action, &e));
        ck_assert_msg(settings_check(&settings, &e), "%s: %s", right[i], e.msg);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert(read_args(ARGS("--model-name", wrong[i]), &action, &e));
        ck_assert_msg(!settings_check(&settings, &e), "accepted: %s", wrong[i]);
        ck_assert_ptr_nonnull(strstr(e.msg, "model_name must be UTF-8"));
    }
    char longest[202];
    memset(longest, 'n', 201);
    longest[201] = '\0';
    ck_assert(read_args(ARGS("--model-name", longest), &action, &e));
    ck_assert(!settings_check(&settings, &e));
    longest[200] = '\0';
    ck_assert(read_args(ARGS("--model-name", longest), &action, &e));
    ck_assert(settings_check(&settings, &e));
}
END_TEST

START_TEST(reload_takes_over_what_it_can)
{
    struct err e = ERR_INIT;
    char *argv[] = {(char *)(uintptr_t)"seekd", (char *)(uintptr_t)"--config", path, NULL};
    enum settings_action action;
    char *config = NULL;
    char ignored[SETTINGS_NAMES];
    write_file("[model]\nmodel = x\n[log]\nlog_level = info\n");
    ck_assert(settings_read(&settings, 3, argv, &action, &config, &e));
    free(config);
    write_file("[model]\nmodel = y\n[server]\nthreads = 7\n[log]\nlog_level = warn\n");
    ck_assert(settings_reload(&settings, 3, argv, ignored, &e));
    ck_assert_str_eq(ignored, "model,threads");
    ck_assert_uint_eq(settings.log_level, LOG_WARN);
    ck_assert_str_eq(settings_log_level_name(&settings), "warn");
    ck_assert_str_eq(settings.model, "x");
    ck_assert_uint_eq(settings.threads, 2);
    write_file("[model]\nmodel = x\n[log]\nlog_level = debug\nbroken\n");
    ck_assert(!settings_reload(&settings, 3, argv, ignored, &e));
    ck_assert_uint_eq(settings.log_level, LOG_WARN);
}
END_TEST

START_TEST(language_of_the_terminal)
{
    static const struct {
        const char *all, *messages, *lang, *list, *want;
    } cases[] = {
        {NULL, NULL, NULL, NULL, "en"},         {NULL, NULL, "zh_CN.UTF-8", NULL, "zh"},
        {"C", NULL, "zh_CN.UTF-8", NULL, "en"}, {"", "", "zh_CN", "", "zh"},
        {NULL, NULL, NULL, "zh_CN", "en"},      {"C", NULL, "zh_CN", "zh_CN", "en"},
        {"C.UTF-8", NULL, NULL, "zh", "en"},    {"POSIX", NULL, NULL, "zh", "en"},
        {NULL, NULL, "en_US.UTF-8", "zh_CN:en", "zh"},
        {NULL, NULL, "en_US.UTF-8", "fr:zh_TW:en", "zh"},
        {NULL, NULL, "zh_CN.UTF-8", "en", "en"}, {NULL, NULL, "zh_CN.UTF-8", "en:zh", "en"},
        {NULL, NULL, "zh_CN.UTF-8", "fr", "zh"}, {NULL, "en_US", "zh_CN", "fr", "en"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const values[] = {cases[i].all, cases[i].messages, cases[i].lang,
                                      cases[i].list};
        static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"};
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
            unsetenv(names[n]);
            if (values[n])
                setenv(names[n], values[n], 1);
        }
        lang_init();
        ck_assert_msg(!strcmp(lang_pick("en", "zh"), cases[i].want), "case %zu", i);
    }
    unsetenv("LANGUAGE");
    setenv("LC_ALL", "C", 1);
    lang_init();
}
END_TEST

START_TEST(help_in_two_languages)
{
    char *text = NULL;
    size_t n;
    setenv("LC_ALL", "zh_CN.UTF-8", 1);
    lang_init();
    FILE *out = open_memstream(&text, &n);
    settings_print_help(out);
    fclose(out);
    ck_assert(strstr(text, "用法") && strstr(text, "--max-context TOKENS"));
    expect_arg_error(ARGS("--nonsense"), "没有选项 \"--nonsense\"");
    expect_arg_error(ARGS("--threads", "0"), "threads 必须是 1 到 64 之间的数");
    expect_file_error("[model]\nmodel = 'a'\n", "第 2 行: model：值不要加引号");
    free(text);
    setenv("LC_ALL", "C", 1);
    setenv("LANG", "zh_CN.UTF-8", 1);
    lang_init();
    ck_assert_str_eq(lang_pick("en", "zh"), "en");
    unsetenv("LC_ALL");
    unsetenv("LC_MESSAGES");
    lang_init();
    ck_assert_str_eq(lang_pick("en", "zh"), "zh");
    setenv("LC_ALL", "C", 1);
    lang_init();
    out = open_memstream(&text, &n);
    settings_print_help(out);
    fclose(out);
    ck_assert(strstr(text, "Usage: seekd") && !strstr(text, "用法"));
    ck_assert(strstr(text, ": auto|f32|f16 [auto]") && strstr(text, ": debug|info|warn|error [info]"));
    free(text);
}
END_TEST

/* ---- addresses -------------------------------------------------------------------------------- */

START_TEST(addresses)
{
    static const struct {
        const char *text, *same; /* NULL: refused */
        bool loopback;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080", true}, {"localhost:1", "127.0.0.1:1", true},
        {"127.9.9.9:1", "127.9.9.9:1", true},       {"0.0.0.0:80", "0.0.0.0:80", false},
        {"10.0.0.1:80", "10.0.0.1:80", false},      {"[::1]:80", "[::1]:80", true},
        {"[::]:80", "[::]:80", false},              {"[fe80::1]:0", "[fe80::1]:0", false},
        {"8080", NULL, false},                      {":8080", NULL, false},
        {"127.0.0.1", NULL, false},                 {"127.0.0.1:", NULL, false},
        {"127.0.0.1:65536", NULL, false},           {"127.0.0.1:-1", NULL, false},
        {"127.0.0.1:1x", NULL, false},              {"::1:80", NULL, false},
        {"[127.0.0.1]:80", NULL, false},            {"example.com:80", NULL, false},
        {"127.1:80", NULL, false},                  {"", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listen_address a;
        struct err e = ERR_INIT;
        char text[LISTEN_TEXT];
        bool ok = listen_parse(cases[i].text, &a, &e);
        ck_assert_msg(ok == (cases[i].same != NULL), "%s: %s", cases[i].text, e.msg);
        if (!ok)
            continue;
        listen_format(&a, text);
        ck_assert_str_eq(text, cases[i].same);
        ck_assert_int_eq(a.loopback, cases[i].loopback);
    }
}
END_TEST

START_TEST(clients_get_an_address_they_can_use)
{
    static const char *const cases[][2] = {{"0.0.0.0:8080", "127.0.0.1:8080"},
                                           {"[::]:9", "[::1]:9"},
                                           {"192.0.2.7:80", "192.0.2.7:80"},
                                           {"[::1]:80", "[::1]:80"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listen_address a;
        struct err e = ERR_INIT;
        char text[LISTEN_TEXT];
        ck_assert(listen_parse(cases[i][0], &a, &e));
        listen_format_client(&a, text);
        ck_assert_str_eq(text, cases[i][1]);
        ck_assert_int_eq(listen_is_any(&a), i < 2);
    }
}
END_TEST

START_TEST(taken_port_is_an_error)
{
    struct listen_address a;
    struct err e = ERR_INIT;
    int fd, other;
    ck_assert(listen_parse("127.0.0.1:0", &a, &e));
    ck_assert(listen_open(&a, &fd, &e));
    ck_assert(!listen_open(&a, &other, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "cannot listen on 127.0.0.1:"));
    close(fd);
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------- */

static bool accepted(const struct keyring *k, const char *key)
{
    char id[KEYRING_ID_TEXT];
    return keyring_check(k, key, strlen(key), id);
}

START_TEST(key_files)
{
    struct keyring *k = keyring_create();
    struct err e = ERR_INIT;
    write_file("# keys\n\nsk-first-0123456789\n  sk-second-0123456789  \n"
               /* printf %s sk-third-0123456789 | sha256sum */
               "sha256:fe95d46299c2206495105b01f4cc7b9485cf7649c2a7fb7566f990f900f30c5c\n");
    ck_assert_msg(keyring_load(k, path, &e), "%s", e.msg);
    ck_assert_uint_eq(keyring_count(k), 3);
    ck_assert(accepted(k, "sk-first-0123456789"));
    ck_assert(accepted(k, "sk-second-0123456789"));
    ck_assert(accepted(k, "sk-third-0123456789"));
    ck_assert(!accepted(k, "sk-second-012345678"));
    ck_assert(!accepted(k, "sk-second-01234567890"));
    ck_assert(!accepted(k, ""));
    keyring_destroy(&k);
}
END_TEST

START_TEST(new_key_is_stored_as_hash)
{
    struct keyring *k = keyring_create();
    struct err e = ERR_INIT;
    char key[KEYRING_KEY_TEXT], other[KEYRING_KEY_TEXT], text[256] = "";
    struct stat st;
    ck_assert(keyring_generate(key, &e) && keyring_generate(other, &e));
    ck_assert_str_ne(key, other);
    ck_assert(!strncmp(key, "sk-", 3) && strlen(key) == 67);
    ck_assert_msg(keyring_store(path, key, &e), "%s", e.msg);
    ck_assert(!stat(path, &st) && (st.st_mode & 0777) == 0600);
    FILE *f = fopen(path, "r");
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, f), 0);
    fclose(f);
    ck_assert_ptr_null(strstr(text, key));
    ck_assert(!keyring_store(path, key, &e)); /* never overwrites */
    ck_assert(keyring_load(k, path, &e));
    ck_assert(accepted(k, key) && !accepted(k, other));
    keyring_destroy(&k);
}
END_TEST

START_TEST(key_file_errors)
{
    static const struct {
        const char *text, *want;
    } cases[] = {{"", "has no key"},
                 {"# nothing\n", "has no key"},
                 {"short\n", "line 1"},
                 {"sk-first-0123456789\ntwo words here-and-there\n", "line 2"},
                 {"sha256:12\n", "64 hexadecimal digits"},
                 {"sha256:zz3c5a5d5d7e0b6cb5a3c2b7c2d5c2f5a9a3c5a5d5d7e0b6cb5a3c2b7c2d5c2f\n",
                  "64 hexadecimal digits"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct keyring *k = keyring_create();
        struct err e = ERR_INIT;
        write_file(cases[i].text);
        ck_assert(!keyring_load(k, path, &e));
        ck_assert_msg(strstr(e.msg, cases[i].want) != NULL, "%s", e.msg);
        keyring_destroy(&k);
    }
    struct keyring *k = keyring_create();
    struct err e = ERR_INIT;
    unlink(path);
    ck_assert(!keyring_load(k, path, &e));
    ck_assert_int_eq(e.code, ERR_NOT_FOUND);
    ck_assert(!keyring_add(k, "tab\tinside-the-key-0123", &e));
    keyring_destroy(&k);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const *const groups[] = {
        (const TTest *const[]){file_sets_values, file_errors_name_the_line,
                               printed_file_reads_back, NULL},
        (const TTest *const[]){arguments_win_over_the_file, argument_errors, commands,
                               checks_between_options, names_of_the_model,
                               reload_takes_over_what_it_can,
                               language_of_the_terminal, help_in_two_languages, NULL},
        (const TTest *const[]){addresses, clients_get_an_address_they_can_use,
                               taken_port_is_an_error, NULL},
        (const TTest *const[]){key_files, new_key_is_stored_as_hash, key_file_errors,
                               NULL}};
    static const char *const names[] = {"files", "arguments", "addresses", "keys"};
    Suite *s = suite_create("config");
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        TCase *t = tcase_create(names[i]);
        tcase_add_checked_fixture(t, set_up, tear_down);
        for (const TTest *const *test = groups[i]; *test; test++)
            tcase_add_test(t, *test);
        suite_add_tcase(s, t);
    }
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(make_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
