/* Owns: `seekctl device`: what this machine can compute on. Refuses to know models. */
#include <config.h>

#include <stdio.h>

#include "ctl/args.h"
#include "engine.h"
#include "lang.h"

static int run(const struct ctl_command *self, int argc, char **argv)
{
    bool list = false, kernels = false;
    const struct args_option options[] = {
        {.name = "list", .kind = ARGS_FLAG, .value = &list,
         .help_en = "print every device with its limits and features",
         .help_zh = "列出所有计算设备及其限制和特性"},
        {.name = "kernels", .kind = ARGS_FLAG, .value = &kernels,
         .help_en = "the kernel variants picked on each, too",
         .help_zh = "同时列出各设备上所选的内核"},
    };
    size_t n_rest;
    enum args_result r =
        args_parse(self, options, sizeof options / sizeof options[0], argc, argv, NULL, 0, &n_rest);
    if (r != ARGS_RUN)
        return r == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (!list)
        return args_wrong(self, "%s", lang_pick("say --list", "请加 --list"));
    struct err e = ERR_INIT;
    return engine_device_list(stdout, kernels, &e) ? CTL_OK : args_failed(self, &e);
}

const struct ctl_command ctl_device = {
    .name = "device",
    .synopsis = "--list [--kernels]",
    .summary_en = "Shows the compute devices of this machine.",
    .summary_zh = "显示本机的计算设备。",
    .run = run,
};
