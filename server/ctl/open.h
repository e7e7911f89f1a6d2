/* Opening an engine for a command: the options that several commands share, and progress on stderr.
 * Thread: main.
 */
#ifndef SEEKD_CTL_OPEN_H
#define SEEKD_CTL_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/args.h"
#include "engine.h"

struct ctl_engine {
    const char *model, *device;
    uint32_t context, max_seqs, step_tokens;
};

/* Rows for --model and --device, and for the sizes that a command wants to offer. */
#define CTL_OPTION_MODEL(e)                                                                        \
    {.name = "model", .kind = ARGS_STRING, .value = &(e)->model, .meta = "FILE",                   \
     .help_en = "GGUF file (any part of a split set)", .help_zh = "GGUF 文件（分卷时任一卷）"}
#define CTL_OPTION_DEVICE(e)                                                                       \
    {.name = "device", .kind = ARGS_STRING, .value = &(e)->device, .meta = "D",                    \
     .help_en = "auto (default), vulkan or vulkan:N",                                              \
     .help_zh = "auto（默认）、vulkan 或 vulkan:N"}

/* Opens the engine, printing progress to stderr when it takes more than a moment, and one line when
 * the device is a software one. NULL after an error message was printed; *status is then the exit
 * status. The caller closes the engine. */
struct engine *ctl_open(const struct ctl_command *cmd, const struct ctl_engine *opt, int *status);

/* From now on Ctrl-C and SIGTERM only set a flag, which this returns. */
void ctl_catch_interrupt(void);
bool ctl_interrupted(void);

#endif
