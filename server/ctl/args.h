/* Command-line arguments by table: one row per option, which parsing, checking and --help all read.
 *
 * Options are written --name VALUE or --name=VALUE, flags --name; "--" ends them; what remains are
 * the positional arguments. Thread: main. Nothing is allocated: results point into argv.
 */
#ifndef SEEKD_CTL_ARGS_H
#define SEEKD_CTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ctl/command.h"

enum args_kind { ARGS_FLAG, ARGS_STRING, ARGS_U32, ARGS_U64, ARGS_FLOAT };

struct args_option {
    const char *name;    /* without the dashes */
    enum args_kind kind;
    void *value;         /* bool, const char *, uint32_t, uint64_t or float: written when given */
    double min, max;     /* range of U32, U64 (below 2^53) and FLOAT */
    bool *given;         /* set when the option stands on the command line; NULL allowed */
    const char *meta;    /* what the value is called in --help; NULL for flags */
    const char *help_en, *help_zh;
};

/* --help or -h. */
bool args_is_help(const char *word);

enum args_result { ARGS_RUN, ARGS_HELP, ARGS_WRONG };

/* Fills the options' values and collects at most max_rest positional arguments. ARGS_HELP: --help was
 * printed to stdout. ARGS_WRONG: one sentence was printed to stderr. */
enum args_result args_parse(const struct ctl_command *cmd, const struct args_option *options,
                            size_t n_options, int argc, char **argv, const char **rest,
                            size_t max_rest, size_t *n_rest);

/* Prints "seekctl NAME: MESSAGE" and how to get help; returns CTL_USAGE. */
int args_wrong(const struct ctl_command *cmd, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Prints "seekctl NAME: MESSAGE" of an error; returns CTL_FAILED. */
int args_failed(const struct ctl_command *cmd, const struct err *e);

/* Splits "1,2,3" into numbers min..max. Returns their count; 0 and a message in `e` when the list is
 * empty, has more than max_n entries or holds anything else. */
size_t args_u32_list(const char *text, uint32_t min, uint32_t max, uint32_t *out, size_t max_n,
                     struct err *e);

#endif
