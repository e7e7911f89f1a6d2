/* Owns: parsing and describing the options of a command. Refuses to know what they mean.
 *
 * Numbers are read by strtoull/strtod and must use the whole word: "12x" and "" are errors, as is
 * anything outside the row's range.
 */
#include <config.h>

#include "ctl/args.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang.h"

/* ---- help ------------------------------------------------------------------------------------ */

static void print_option(const struct args_option *o)
{
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", o->name, o->meta ? " " : "", o->meta ? o->meta : "");
    printf("  %-24s %s\n", left, lang_pick(o->help_en, o->help_zh));
}

bool args_is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static void print_help(const struct ctl_command *cmd, const struct args_option *options, size_t n)
{
    printf("%sseekctl %s %s\n\n%s\n\n", lang_pick("Usage: ", "用法："), cmd->name, cmd->synopsis,
           lang_pick(cmd->summary_en, cmd->summary_zh));
    for (size_t i = 0; i < n; i++)
        print_option(&options[i]);
    printf("  %-24s %s\n", "--help, -h", lang_pick("print this text", "显示本说明"));
}

int args_wrong(const struct ctl_command *cmd, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "seekctl %s: ", cmd->name);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, lang_pick("\nseekctl %s --help lists the options\n",
                              "\n运行 seekctl %s --help 查看选项\n"),
            cmd->name);
    va_end(ap);
    return CTL_USAGE;
}

int args_failed(const struct ctl_command *cmd, const struct err *e)
{
    fprintf(stderr, "seekctl %s: %s\n", cmd->name, e->msg);
    return CTL_FAILED;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Reads all of `text` as an unsigned decimal number; strtoull alone would take signs and blanks. */
static bool parse_u64(const char *text, uint64_t *out)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || *end)
        return false;
    *out = v;
    return true;
}

static bool parse_float(const char *text, double *out)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(v))
        return false;
    *out = v;
    return true;
}

static bool store_number(const struct args_option *o, const char *text)
{
    if (o->kind == ARGS_FLOAT) {
        double v;
        if (!parse_float(text, &v) || v < o->min || v > o->max)
            return false;
        *(float *)o->value = (float)v;
        return true;
    }
    uint64_t v;
    if (!parse_u64(text, &v) || (double)v < o->min || (double)v > o->max)
        return false;
    if (o->kind == ARGS_U32)
        *(uint32_t *)o->value = (uint32_t)v;
    else
        *(uint64_t *)o->value = v;
    return true;
}

static bool store(const struct ctl_command *cmd, const struct args_option *o, const char *text)
{
    if (o->kind == ARGS_STRING) {
        *(const char **)o->value = text;
    } else if (!store_number(o, text)) {
        args_wrong(cmd,
                   lang_pick("--%s takes a number from %.15g to %.15g, not \"%s\"",
                             "--%s 的取值范围是 %.15g 到 %.15g，不能是 \"%s\""),
                   o->name, o->min, o->max, text);
        return false;
    }
    if (o->given)
        *o->given = true;
    return true;
}

size_t args_u32_list(const char *text, uint32_t min, uint32_t max, uint32_t *out, size_t max_n,
                     struct err *e)
{
    size_t n = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ",");
        char word[16];
        uint64_t v;
        if (n == max_n) {
            err_set(e, ERR_LIMIT, 0, __FILE__, __LINE__, "at most %zu numbers are possible", max_n);
            return 0;
        }
        if (len >= sizeof word) {
            err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "\"%.*s\" is not a number from %u to %u", 20,
                    p, min, max);
            return 0;
        }
        memcpy(word, p, len);
        word[len] = '\0';
        if (!parse_u64(word, &v) || v < min || v > max) {
            err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "\"%s\" is not a number from %u to %u", word,
                    min, max);
            return 0;
        }
        out[n++] = (uint32_t)v;
        p += len;
        if (!*p)
            return n;
    }
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct args_option *find(const struct args_option *options, size_t n, const char *word,
                                      size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(options[i].name) == len && !memcmp(options[i].name, word, len))
            return &options[i];
    return NULL;
}

/* Handles argv[*i], which begins with "--", and moves *i over a value that stands apart. */
static bool take_option(const struct ctl_command *cmd, const struct args_option *options, size_t n,
                        int argc, char **argv, int *i)
{
    const char *word = argv[*i] + 2;
    size_t len = strcspn(word, "=");
    const struct args_option *o = find(options, n, word, len);
    if (!o) {
        args_wrong(cmd, lang_pick("unknown option --%.*s", "未知选项 --%.*s"), (int)len, word);
        return false;
    }
    if (o->kind == ARGS_FLAG) {
        if (word[len]) {
            args_wrong(cmd, lang_pick("--%s takes no value", "--%s 不带取值"), o->name);
            return false;
        }
        *(bool *)o->value = true;
        if (o->given)
            *o->given = true;
        return true;
    }
    if (word[len])
        return store(cmd, o, word + len + 1);
    if (*i + 1 >= argc) {
        args_wrong(cmd, lang_pick("--%s needs a value (%s)", "--%s 需要一个取值（%s）"), o->name,
                   o->meta);
        return false;
    }
    return store(cmd, o, argv[++*i]);
}

enum args_result args_parse(const struct ctl_command *cmd, const struct args_option *options,
                            size_t n_options, int argc, char **argv, const char **rest,
                            size_t max_rest, size_t *n_rest)
{
    bool only_rest = false;
    *n_rest = 0;
    for (int i = 0; i < argc; i++) {
        if (!only_rest && args_is_help(argv[i])) {
            print_help(cmd, options, n_options);
            return ARGS_HELP;
        }
        if (!only_rest && !strcmp(argv[i], "--")) {
            only_rest = true;
        } else if (!only_rest && !strncmp(argv[i], "--", 2)) {
            if (!take_option(cmd, options, n_options, argc, argv, &i))
                return ARGS_WRONG;
        } else if (*n_rest == max_rest) {
            args_wrong(cmd, lang_pick("unexpected argument \"%s\"", "多余的参数 \"%s\""), argv[i]);
            return ARGS_WRONG;
        } else {
            rest[(*n_rest)++] = argv[i];
        }
    }
    return ARGS_RUN;
}
