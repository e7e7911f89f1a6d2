/* Owns: the command table of seekctl and its general help. Refuses to know what a command does. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "ctl/args.h"
#include "ctl/command.h"
#include "ctl/remote.h"
#include "lang.h"
#include "version.h"

static const struct ctl_command *const commands[] = {
    &ctl_generate, &ctl_tokenize, &ctl_inspect, &ctl_device, &ctl_logits, &ctl_bench,
    &ctl_dept.command, &ctl_user.command, &ctl_key.command, &ctl_quota.command,
    &ctl_calendar.command, &ctl_template.command, &ctl_usage.command, &ctl_audit.command,
    &ctl_password, &ctl_backup, &ctl_restore, &ctl_doctor,
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    fputs(lang_pick("Usage: seekctl COMMAND [options]\n\n"
                    "Works with a language model on this machine, or administers a running seekd.\n\n",
                    "用法：seekctl 命令 [选项]\n\n在本机直接使用语言模型，或管理运行中的 seekd。\n\n"),
          out);
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name,
                lang_pick(commands[i]->summary_en, commands[i]->summary_zh));
    fputs(lang_pick("\nseekctl COMMAND --help lists the options of a command.\n",
                    "\n运行 seekctl 命令 --help 查看该命令的选项。\n"),
          out);
}

/* "seekctl help NAME [VERB]" is "seekctl NAME [VERB] --help". */
static void move_help(int argc, char **argv)
{
    static char option[] = "--help";
    memmove(argv + 1, argv + 2, (size_t)(argc - 2) * sizeof *argv);
    argv[argc - 1] = option;
}

int main(int argc, char **argv)
{
    lang_init();
    if (argc < 2) {
        print_help(stderr);
        return CTL_USAGE;
    }
    if (!strcmp(argv[1], "help"))
        move_help(argc, argv);
    if (args_is_help(argv[1])) {
        print_help(stdout);
        return CTL_OK;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("seekctl %s\n", SEEKD_VERSION);
        return CTL_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(argv[1], commands[i]->name))
            return commands[i]->run(commands[i], argc - 2, argv + 2);
    fprintf(stderr,
            lang_pick("seekctl: unknown command \"%s\"\nseekctl --help lists the commands\n",
                      "seekctl：未知命令 \"%s\"\n运行 seekctl --help 查看所有命令\n"),
            argv[1]);
    return CTL_USAGE;
}
