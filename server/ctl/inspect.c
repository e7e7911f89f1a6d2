/* Owns: `seekctl inspect`: what is in a model file, without loading it. */
#include <config.h>

#include <stdio.h>

#include "ctl/args.h"
#include "engine.h"
#include "lang.h"

static int run(const struct ctl_command *self, int argc, char **argv)
{
    bool tensors = false;
    const struct args_option options[] = {
        {.name = "tensors", .kind = ARGS_FLAG, .value = &tensors,
         .help_en = "list every tensor with its shape and type",
         .help_zh = "列出每个张量的形状和类型"},
    };
    const char *file[1];
    size_t n_files;
    enum args_result r = args_parse(self, options, sizeof options / sizeof options[0], argc, argv,
                                    file, 1, &n_files);
    if (r != ARGS_RUN)
        return r == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (n_files == 0)
        return args_wrong(self, "%s", lang_pick("name a GGUF file", "请给出一个 GGUF 文件"));
    struct err e = ERR_INIT;
    return engine_inspect(file[0], tensors, stdout, &e) ? CTL_OK : args_failed(self, &e);
}

const struct ctl_command ctl_inspect = {
    .name = "inspect",
    .synopsis = "FILE [--tensors]",
    .summary_en = "Prints architecture, shapes, types, memory needed and the context that fits.",
    .summary_zh = "显示模型的结构、形状、类型、所需内存和可容纳的上下文长度。",
    .run = run,
};
