/* Owns: `seekctl generate`: one answer, streamed to standard output as it is computed.
 * Refuses to know how a chat becomes a prompt (api/prompt.h) or how tokens are chosen (engine.h).
 */
#include <config.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/params.h"
#include "api/prompt.h"
#include "api/stream.h"
#include "base/buf.h"
#include "ctl/input.h"
#include "ctl/open.h"
#include "lang.h"

enum { POLL_MS = 100 };

struct job {
    const char *prompt, *system;
    bool chat, special, no_bos, ignore_eos, quiet;
    uint32_t max_tokens;
    struct engine_sampling sampling;
};

/* ---- the prompt ------------------------------------------------------------------------------- */

static json_t *message(const char *role, const char *text, size_t len)
{
    return json_pack("{s:s, s:s%}", "role", role, "content", text, len);
}

/* {"messages": [...]} as a client of the server would send it; NULL when a text is not UTF-8. */
static json_t *chat_object(const struct job *job, const struct buf *text)
{
    json_t *messages = json_array();
    if (job->system)
        json_array_append_new(messages, message("system", job->system, strlen(job->system)));
    json_array_append_new(messages, message("user", buf_str(text), text->len));
    if (json_array_size(messages) != (job->system ? 2u : 1u)) {
        json_decref(messages);
        return NULL;
    }
    return json_pack("{s:o}", "messages", messages);
}

static bool make_chat_prompt(struct engine *eng, const struct job *job, const struct buf *text,
                             int32_t **ids_take, size_t *n, enum stream_mode *mode, struct err *e)
{
    json_t *object = chat_object(job, text);
    if (!object)
        FAIL(e, ERR_ARG, "the prompt is not valid UTF-8");
    struct prompt_maker *maker = NULL;
    struct params *params = calloc(1, sizeof *params);
    struct prompt prompt = {0};
    struct api_error why;
    memset(&why, 0, sizeof why);
    bool ok = params && prompt_maker_create(eng, &maker, e);
    if (ok && !(ok = params_read(&PARAMS_CHAT_SCHEMA, object, params, &why) &&
                     prompt_make(maker, params, &prompt, &why)))
        err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "%s", why.message);
    prompt_maker_destroy(&maker);
    free(params);
    json_decref(object);
    *ids_take = prompt.tokens;
    *n = prompt.n_tokens;
    *mode = prompt.mode;
    return ok;
}

/* `mode` gets how the answer is to be read. */
static bool make_prompt(struct engine *eng, const struct job *job, int32_t **ids_take, size_t *n,
                        enum stream_mode *mode, struct err *e)
{
    *mode = STREAM_PLAIN;
    struct buf text;
    if (!ctl_input_read(job->prompt, &text, e))
        return false;
    unsigned flags =
        (job->special ? ENGINE_TOKENIZE_SPECIAL : 0u) | (job->no_bos ? 0u : ENGINE_TOKENIZE_BOS);
    bool ok = job->chat ? make_chat_prompt(eng, job, &text, ids_take, n, mode, e)
                        : engine_tokenize(eng, buf_str(&text), text.len, flags,
                                          CTL_INPUT_MAX_BYTES, ids_take, n, e);
    buf_release(&text);
    return ok;
}

/* ---- the answer ------------------------------------------------------------------------------- */

static void print_summary(const struct engine_event *done)
{
    static const char *const reasons[ENGINE_FINISH_COUNT] = {
        [ENGINE_FINISH_STOP] = "stop",           [ENGINE_FINISH_LENGTH] = "length",
        [ENGINE_FINISH_CANCELLED] = "cancelled", [ENGINE_FINISH_STALLED] = "stalled",
        [ENGINE_FINISH_ERROR] = "error",
    };
    static const char *const reasons_zh[ENGINE_FINISH_COUNT] = {
        [ENGINE_FINISH_STOP] = "正常结束",   [ENGINE_FINISH_LENGTH] = "达到长度上限",
        [ENGINE_FINISH_CANCELLED] = "已取消", [ENGINE_FINISH_STALLED] = "无进展",
        [ENGINE_FINISH_ERROR] = "错误",
    };
    const struct engine_usage *u = &done->usage;
    double prefill_s = (double)u->prefill_us / 1e6, decode_s = (double)u->decode_us / 1e6;
    fprintf(stderr,
            lang_pick("%u prompt tokens in %.2f s, %u new tokens in %.2f s (%.2f tokens/s), %s\n",
                      "提示 %u 个词元，用时 %.2f 秒；新生成 %u 个词元，用时 %.2f 秒"
                      "（每秒 %.2f 个），结束原因：%s\n"),
            u->prompt_tokens, prefill_s, u->completion_tokens, decode_s,
            decode_s > 0 && u->completion_tokens > 1 ? (u->completion_tokens - 1) / decode_s : 0.0,
            lang_pick(reasons[done->finish], reasons_zh[done->finish]));
}

/* The answer goes to standard output. What the model thinks before it goes to standard error, dimmed on
 * a terminal. */
struct shown {
    bool quiet, terminal;
    bool thinking; /* the last text was a thought */
    char last;     /* of standard output; 0 = nothing yet */
};

static void end_thought(struct shown *s)
{
    if (s->thinking)
        fputs(s->terminal ? "\033[0m\n\n" : "\n\n", stderr);
    s->thinking = false;
}

static void on_text(void *user, enum stream_event event, const char *text, size_t len)
{
    struct shown *s = user;
    if (event == STREAM_REASONING) {
        if (!s->quiet)
            fprintf(stderr, "%s%.*s", s->terminal && !s->thinking ? "\033[2m" : "", (int)len, text);
        s->thinking = !s->quiet;
        return;
    }
    end_thought(s);
    if (!len)
        return;
    fwrite(text, 1, len, stdout);
    fflush(stdout);
    s->last = text[len - 1];
}

static int end_answer(const struct ctl_command *self, const struct job *job,
                      const struct engine_event *done, const struct shown *shown)
{
    if (shown->last && shown->last != '\n')
        putchar('\n');
    fflush(stdout);
    if (done->finish == ENGINE_FINISH_ERROR)
        return args_failed(self, &done->err);
    if (!job->quiet)
        print_summary(done);
    if (!job->quiet && !job->chat && !shown->last && done->finish == ENGINE_FINISH_STOP)
        fputs(lang_pick("the model ended at once; with --chat it answers the prompt as a message\n",
                        "模型立即结束；加 --chat 则把提示作为消息回答\n"), stderr);
    return CTL_OK;
}

/* Prints the stream to its end; cancels it on Ctrl-C. */
static int print_answer(const struct ctl_command *self, struct engine_stream *s,
                        const struct job *job, enum stream_mode mode)
{
    struct shown shown = {.quiet = job->quiet, .terminal = isatty(STDERR_FILENO)};
    const struct stream_sink sink = {on_text, &shown};
    struct stream machine;
    bool cancelled = false;
    stream_init(&machine, mode);
    for (;;) {
        struct engine_event ev;
        if (!cancelled && (ctl_interrupted() || ferror(stdout))) {
            engine_stream_cancel(s);
            cancelled = true;
        }
        if (!engine_stream_wait(s, &ev, POLL_MS))
            continue;
        if (ev.text_len)
            stream_feed(&machine, ev.text, ev.text_len, &sink);
        if (ev.kind != ENGINE_EVENT_DONE)
            continue;
        stream_finish(&machine, &sink);
        stream_release(&machine);
        int status = end_answer(self, job, &ev, &shown);
        return cancelled && status == CTL_OK ? CTL_INTERRUPTED : status;
    }
}

static int generate(const struct ctl_command *self, struct engine *eng, const struct job *job)
{
    struct err e = ERR_INIT;
    int32_t *ids = NULL;
    size_t n = 0;
    enum stream_mode mode;
    struct engine_stream *s = NULL;
    if (!make_prompt(eng, job, &ids, &n, &mode, &e)) {
        free(ids);
        return args_failed(self, &e);
    }
    struct engine_request req = {.tokens = ids,
                                 .n_tokens = n,
                                 .max_tokens = job->max_tokens,
                                 .sampling = job->sampling,
                                 .ignore_eos = job->ignore_eos};
    ctl_catch_interrupt();
    int status = engine_submit(eng, &req, &s, &e) ? print_answer(self, s, job, mode)
                                                  : args_failed(self, &e);
    engine_stream_release(&s);
    free(ids);
    return status;
}

/* ---- command ---------------------------------------------------------------------------------- */

static int run(const struct ctl_command *self, int argc, char **argv)
{
    struct ctl_engine opt = {.max_seqs = 1};
    struct job job = {.sampling = ENGINE_SAMPLING_DEFAULT};
    struct engine_sampling *s = &job.sampling;
    s->temperature = 0;
    const struct args_option options[] = {
        CTL_OPTION_MODEL(&opt),
        CTL_OPTION_DEVICE(&opt),
        {.name = "prompt", .kind = ARGS_STRING, .value = &job.prompt, .meta = "TEXT",
         .help_en = "prompt, or - to read standard input", .help_zh = "提示文本，- 表示读取标准输入"},
        {.name = "chat", .kind = ARGS_FLAG, .value = &job.chat,
         .help_en = "use the model's chat template: the prompt is a user's message",
         .help_zh = "使用模型的对话模板，提示作为用户消息"},
        {.name = "system", .kind = ARGS_STRING, .value = &job.system, .meta = "TEXT",
         .help_en = "system message (with --chat)", .help_zh = "系统消息（与 --chat 一起使用）"},
        {.name = "max-tokens", .kind = ARGS_U32, .value = &job.max_tokens, .min = 1,
         .max = UINT32_MAX, .meta = "N",
         .help_en = "new tokens at most (default: until the context is full)",
         .help_zh = "最多生成的词元数（默认直到上下文用完）"},
        {.name = "temperature", .kind = ARGS_FLOAT, .value = &s->temperature, .min = 0, .max = 2,
         .meta = "T", .help_en = "0 = always the likeliest token (default)",
         .help_zh = "0 = 总取概率最大的词元（默认）"},
        {.name = "top-k", .kind = ARGS_U32, .value = &s->top_k, .min = 0, .max = UINT32_MAX,
         .meta = "N", .help_en = "choose among the N likeliest tokens (0 = off)",
         .help_zh = "只在概率最大的 N 个词元中选择（0 = 关闭）"},
        {.name = "top-p", .kind = ARGS_FLOAT, .value = &s->top_p, .min = 1e-6, .max = 1, .meta = "P",
         .help_en = "choose among the likeliest tokens that sum up to P (1 = off)",
         .help_zh = "只在累计概率达到 P 的词元中选择（1 = 关闭）"},
        {.name = "min-p", .kind = ARGS_FLOAT, .value = &s->min_p, .min = 0, .max = 0.999999,
         .meta = "P", .help_en = "drop tokens below P times the likeliest (0 = off)",
         .help_zh = "舍弃概率低于最大概率 P 倍的词元（0 = 关闭）"},
        {.name = "repetition-penalty", .kind = ARGS_FLOAT, .value = &s->repetition_penalty,
         .min = 0.01, .max = 10, .meta = "R", .help_en = "1 = off", .help_zh = "重复惩罚，1 = 关闭"},
        {.name = "presence-penalty", .kind = ARGS_FLOAT, .value = &s->presence_penalty, .min = -2,
         .max = 2, .meta = "R", .help_en = "0 = off", .help_zh = "出现惩罚，0 = 关闭"},
        {.name = "frequency-penalty", .kind = ARGS_FLOAT, .value = &s->frequency_penalty, .min = -2,
         .max = 2, .meta = "R", .help_en = "0 = off", .help_zh = "频率惩罚，0 = 关闭"},
        {.name = "seed", .kind = ARGS_U64, .value = &s->seed, .min = 0, .max = 9007199254740991.0,
         .given = &s->has_seed, .meta = "N", .help_en = "makes sampling reproducible",
         .help_zh = "使采样可重现"},
        {.name = "context", .kind = ARGS_U32, .value = &opt.context, .min = 2, .max = UINT32_MAX,
         .meta = "N", .help_en = "context length (default: what fits)",
         .help_zh = "上下文长度（默认取可容纳的最大值）"},
        {.name = "special", .kind = ARGS_FLAG, .value = &job.special,
         .help_en = "recognise control tokens in the prompt (without --chat)",
         .help_zh = "识别提示中的控制词元（不用 --chat 时）"},
        {.name = "no-bos", .kind = ARGS_FLAG, .value = &job.no_bos,
         .help_en = "add no begin token (without --chat)",
         .help_zh = "不添加起始词元（不用 --chat 时）"},
        {.name = "ignore-eos", .kind = ARGS_FLAG, .value = &job.ignore_eos,
         .help_en = "go on after the end token", .help_zh = "遇到结束词元后继续生成"},
        {.name = "quiet", .kind = ARGS_FLAG, .value = &job.quiet,
         .help_en = "print no summary", .help_zh = "不显示统计"},
    };
    size_t n_rest;
    enum args_result r =
        args_parse(self, options, sizeof options / sizeof options[0], argc, argv, NULL, 0, &n_rest);
    if (r != ARGS_RUN)
        return r == ARGS_HELP ? CTL_OK : CTL_USAGE;
    if (!job.prompt && !opt.model)
        return args_wrong(self, "%s", lang_pick("--model FILE and --prompt TEXT are required",
                                                "必须给出 --model 文件和 --prompt 文本"));
    if (!job.prompt)
        return args_wrong(self, "%s", lang_pick("--prompt TEXT is required", "必须给出 --prompt 文本"));
    if (job.system && !job.chat)
        return args_wrong(self, "%s", lang_pick("--system needs --chat", "--system 需要同时使用 --chat"));
    int status;
    struct engine *eng = ctl_open(self, &opt, &status);
    if (eng)
        status = generate(self, eng, &job);
    engine_close(&eng);
    return status;
}

const struct ctl_command ctl_generate = {
    .name = "generate",
    .synopsis = "--model FILE --prompt TEXT|- [options]",
    .summary_en = "Continues a prompt, or answers a message with --chat.",
    .summary_zh = "续写提示文本；加 --chat 则回答消息。",
    .run = run,
};
