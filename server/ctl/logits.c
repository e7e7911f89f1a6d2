/* Owns: `seekctl logits`: the raw output of the model's head for a given token sequence, for
 * comparison with other implementations. Refuses to know text.
 *
 * The file is float32, little-endian, [positions, vocabulary], row-major; the shape goes to stdout.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/open.h"
#include "lang.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "floats are written as they are in memory");

enum { MAX_TOKENS = 1 << 20 };

static bool write_file(const char *path, const float *values, size_t n, struct err *e)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        FAIL_OS(e, "cannot create %s", path);
    bool written = fwrite(values, sizeof *values, n, f) == n;
    int why = errno;
    if (fclose(f) != 0 || !written) {
        errno = written ? errno : why;
        err_set_os(e, __FILE__, __LINE__, "cannot write %s", path);
        remove(path);
        return false;
    }
    return true;
}

struct job {
    int32_t *tokens; /* owned */
    size_t n_tokens;
    bool all;
    uint32_t chunk;
    const char *out;
};

static int compute(const struct ctl_command *self, struct engine *eng, const struct job *job)
{
    struct err e = ERR_INIT;
    float *values = NULL;
    size_t n_positions = 0;
    bool ok = engine_logits(eng, job->tokens, job->n_tokens, job->all, job->chunk, &values,
                            &n_positions, &e);
    uint32_t vocab = engine_info(eng)->vocab_size;
    if (ok && (ok = write_file(job->out, values, n_positions * vocab, &e)))
        printf("[%zu, %u]\n", n_positions, vocab);
    free(values);
    return ok ? CTL_OK : args_failed(self, &e);
}

static bool read_tokens(const struct ctl_command *self, const char *list, struct job *job)
{
    struct err e = ERR_INIT;
    uint32_t *ids = mem_calloc(MAX_TOKENS, sizeof *ids);
    job->n_tokens = args_u32_list(list, 0, INT32_MAX, ids, MAX_TOKENS, &e);
    if (job->n_tokens == 0)
        args_wrong(self, "--tokens: %s", e.msg);
    job->tokens = mem_calloc(job->n_tokens + 1, sizeof *job->tokens);
    for (size_t i = 0; i < job->n_tokens; i++)
        job->tokens[i] = (int32_t)ids[i];
    free(ids);
    return job->n_tokens > 0;
}

static int run(const struct ctl_command *self, int argc, char **argv)
{
    struct ctl_engine opt = {.max_seqs = 1};
    struct job job = {.all = true};
    const char *tokens = NULL, *positions = "all";
    const struct args_option options[] = {
        CTL_OPTION_MODEL(&opt),
        CTL_OPTION_DEVICE(&opt),
        {.name = "tokens", .kind = ARGS_STRING, .value = &tokens, .meta = "1,2,3",
         .help_en = "token ids of the prompt", .help_zh = "提示的词元编号"},
        {.name = "positions", .kind = ARGS_STRING, .value = &positions, .meta = "all|last",
         .help_en = "positions to write (default all)", .help_zh = "要写出的位置（默认 all）"},
        {.name = "chunk", .kind = ARGS_U32, .value = &job.chunk, .min = 1, .max = 65536, .meta = "N",
         .help_en = "tokens per prefill step (default: the engine's step budget)",
         .help_zh = "每步预填的词元数（默认为引擎的步预算）"},
        {.name = "out", .kind = ARGS_STRING, .value = &job.out, .meta = "FILE.f32",
         .help_en = "file to write: float32, little-endian",
         .help_zh = "输出文件：float32，小端序"},
    };
    size_t n_rest;
    enum args_result r =
        args_parse(self, options, sizeof options / sizeof options[0], argc, argv, NULL, 0, &n_rest);
    if (r != ARGS_RUN)
        return r == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (!tokens || !job.out)
        return args_wrong(self, "%s", lang_pick("--tokens and --out are required",
                                                "必须给出 --tokens 和 --out"));
    if (strcmp(positions, "all") && strcmp(positions, "last"))
        return args_wrong(self, lang_pick("--positions takes all or last, not \"%s\"",
                                          "--positions 只能是 all 或 last，不能是 \"%s\""),
                          positions);
    job.all = !strcmp(positions, "all");

    int status = CTL_USAGE;
    if (read_tokens(self, tokens, &job)) {
        opt.context = job.n_tokens < UINT32_MAX ? (uint32_t)job.n_tokens + 1 : UINT32_MAX;
        struct engine *eng = ctl_open(self, &opt, &status);
        if (eng)
            status = compute(self, eng, &job);
        engine_close(&eng);
    }
    free(job.tokens);
    return status;
}

const struct ctl_command ctl_logits = {
    .name = "logits",
    .synopsis = "--model FILE --tokens 1,2,3 --out FILE.f32 [options]",
    .summary_en = "Writes the model's logits for a token sequence as raw float32 and prints the shape.",
    .summary_zh = "把模型对一串词元给出的 logits 以原始 float32 写入文件，并显示其形状。",
    .run = run,
};
