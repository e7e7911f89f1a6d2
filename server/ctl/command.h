/* The commands of seekctl: one file, one `struct ctl_command`, one row in main.c each.
 *
 * A command gets the arguments behind its name and returns the program's exit status. Thread: main.
 */
#ifndef SEEKD_CTL_COMMAND_H
#define SEEKD_CTL_COMMAND_H

enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,     /* the work could not be done; one line on stderr says why */
    CTL_USAGE = 2,      /* the command line makes no sense */
    CTL_INTERRUPTED = 130 /* Ctrl-C */
};

struct ctl_command {
    const char *name;
    const char *synopsis; /* arguments behind "seekctl NAME", e.g. "--model FILE TEXT|-" */
    const char *summary_en, *summary_zh;
    int (*run)(const struct ctl_command *self, int argc, char **argv);
};

extern const struct ctl_command ctl_generate, ctl_tokenize, ctl_inspect, ctl_device, ctl_logits,
    ctl_bench, ctl_password, ctl_backup, ctl_restore, ctl_doctor;

#endif
