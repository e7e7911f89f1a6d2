/* Owns: how a command opens its engine and tells the user about it, and the interrupt flag.
 * Refuses to know what the command does with the engine.
 *
 * Progress goes to stderr only: on a terminal as one line that is rewritten, elsewhere as a line
 * every few seconds, and not at all while loading is quick.
 */
#include <config.h>

#include "ctl/open.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lang.h"

/* ---- interrupts ------------------------------------------------------------------------------ */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void ctl_catch_interrupt(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sa.sa_flags = SA_RESETHAND; /* a second Ctrl-C ends the program at once */
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

bool ctl_interrupted(void)
{
    return interrupted != 0;
}

/* ---- progress -------------------------------------------------------------------------------- */

enum { QUIET_SECONDS = 1, LINE_SECONDS = 5 };

struct progress {
    bool terminal, shown;
    double last_line; /* seconds at the last line of a non-terminal */
};

static void on_progress(void *user, const struct engine_progress *p)
{
    struct progress *state = user;
    if (p->seconds < QUIET_SECONDS)
        return;
    if (!state->terminal && p->seconds < state->last_line + LINE_SECONDS)
        return;
    double mb = 1e6;
    fprintf(stderr, lang_pick("%sloading %s: %.0f of %.0f MB, %.1f s%s",
                              "%s正在加载 %s：%.0f / %.0f MB，%.1f 秒%s"),
            state->terminal ? "\r\033[K" : "", p->stage, (double)p->done_bytes / mb,
            (double)p->total_bytes / mb, p->seconds, state->terminal ? "" : "\n");
    state->shown = true;
    state->last_line = p->seconds;
}

struct engine *ctl_open(const struct ctl_command *cmd, const struct ctl_engine *opt, int *status)
{
    if (!opt->model) {
        *status = args_wrong(cmd, "%s", lang_pick("--model FILE is required", "必须给出 --model 文件"));
        return NULL;
    }
    struct progress state = {.terminal = isatty(STDERR_FILENO)};
    struct engine_options options = {.model_path = opt->model,
                                     .device = opt->device,
                                     .max_context = opt->context,
                                     .max_seqs = opt->max_seqs,
                                     .step_tokens = opt->step_tokens,
                                     .progress = on_progress,
                                     .user = &state};
    struct engine *eng = NULL;
    struct err e = ERR_INIT;
    bool ok = engine_open(&options, &eng, &e);
    if (state.shown && state.terminal)
        fputs("\r\033[K", stderr);
    if (!ok) {
        *status = args_failed(cmd, &e);
        return NULL;
    }
    return eng;
}
