/* Owns: `seekctl bench`: prefill and decode rates of one model on one device, as CSV.
 *
 * One line per stream count. All streams are submitted at once with prompts of equal length and
 * different tokens, and decode greedily until each has --gen tokens since the last of them began.
 *   prefill   prompt tokens of all streams over the time until every stream has its first token
 *   decode    tokens that arrive from then on, while every stream is decoding, over that time; per
 *             stream: divided by the streams
 *   TTFT      submit to first token, per stream; ITL: gaps between the tokens of a stream
 *   CPU       processor seconds of this process in the two phases: what remains comparable on a
 *             software device when the machine is busy with other things
 * An unmeasured run of the same shape comes first, so that compiling pipelines does not count.
 */
#include <config.h>

#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl/open.h"
#include "lang.h"
#include "version.h"

enum { MAX_STREAMS = 256, MAX_COUNTS = 16 };
enum { WARM_UP_TOKENS = 4, SLACK_TOKENS = 128, SLACK_ROWS = 16 };

struct stream {
    struct engine_stream *s;
    uint64_t *token_us; /* arrival of each token since submit [max_tokens], owned */
    uint32_t n_tokens;
    uint32_t n_before; /* of these: not later than the latest first token of all streams */
    bool done;
};

struct bench {
    struct engine *eng; /* borrowed */
    uint32_t prompt, gen;
    sem_t events;
};

/* Tokens a stream may need: it goes on decoding while the others are submitted and their prompts
 * computed, of which a step takes at least SLACK_ROWS tokens. */
static uint32_t max_tokens(const struct bench *b, uint32_t n)
{
    return b->gen + 1 + (n == 1 ? 0 : SLACK_TOKENS + n * (b->prompt / SLACK_ROWS + 1));
}

struct result {
    double prefill_tok_s, decode_tok_s;
    double ttft_p50_ms, ttft_p99_ms, itl_p50_ms, itl_p99_ms;
    double prefill_cpu_s, decode_cpu_s;
    uint64_t bytes_per_step;
};

/* ---- one run --------------------------------------------------------------------------------- */

static void on_event(void *user)
{
    sem_post(user);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Any ids do; they differ between streams, so that nothing can be shared between them. */
static void fill_prompt(const struct bench *b, uint32_t stream, int32_t *ids)
{
    uint32_t vocab = engine_info(b->eng)->vocab_size;
    uint32_t low = vocab > 1000 ? 100 : 3;
    for (uint32_t i = 0; i < b->prompt; i++)
        ids[i] = (int32_t)(low + (i * 37 + stream * 101) % (vocab > 1000 ? 400 : vocab - low));
}

static bool submit(struct bench *b, uint32_t index, uint32_t n, struct stream *s, struct err *e)
{
    int32_t *ids = mem_calloc(b->prompt, sizeof *ids);
    fill_prompt(b, index, ids);
    struct engine_request req = {.tokens = ids,
                                 .n_tokens = b->prompt,
                                 .max_tokens = max_tokens(b, n),
                                 .sampling = ENGINE_SAMPLING_DEFAULT,
                                 .ignore_eos = true,
                                 .notify = on_event,
                                 .user = &b->events};
    req.sampling.temperature = 0;
    bool ok = engine_submit(b->eng, &req, &s->s, e);
    free(ids);
    return ok;
}

/* Takes what has arrived on one stream. False when the request failed. */
static bool drain(struct stream *s, uint32_t max, uint64_t start_us, struct err *e)
{
    struct engine_event ev;
    while (!s->done && engine_stream_next(s->s, &ev)) {
        if (ev.kind == ENGINE_EVENT_TOKEN && s->n_tokens < max)
            s->token_us[s->n_tokens++] = clock_now_us() - start_us;
        s->done = ev.kind == ENGINE_EVENT_DONE;
        if (s->done && ev.finish == ENGINE_FINISH_ERROR) {
            *e = ev.err;
            return false;
        }
    }
    return true;
}

/* Runs n streams until each has `gen` tokens since all of them decode. *first_cpu: processor time
 * at the beginning of that phase. */
static bool run_streams(struct bench *b, struct stream *streams, uint32_t n, uint32_t gen,
                        double *first_cpu, struct err *e)
{
    uint64_t start_us = clock_now_us();
    uint32_t max = max_tokens(b, n);
    bool all_decode = false, enough = false;
    for (uint32_t i = 0; i < n; i++)
        if (!submit(b, i, n, &streams[i], e))
            return false;
    while (!enough) {
        if (ctl_interrupted())
            FAIL(e, ERR_CANCELLED, "interrupted");
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        sem_timedwait(&b->events, &until);
        uint32_t n_first = 0, n_enough = 0;
        for (uint32_t i = 0; i < n; i++) {
            struct stream *s = &streams[i];
            if (!drain(s, max, start_us, e))
                return false;
            if (s->done && s->n_tokens == 0)
                FAIL(e, ERR_INTERNAL, "stream %u ended without a token", i + 1);
            n_first += s->n_tokens > 0;
            n_enough += s->done || (all_decode && s->n_tokens >= s->n_before + gen);
        }
        enough = n_enough == n;
        if (n_first < n || all_decode)
            continue;
        all_decode = true;
        *first_cpu = cpu_seconds();
        for (uint32_t i = 0; i < n; i++)
            streams[i].n_before = streams[i].n_tokens;
    }
    return true;
}

/* ---- figures --------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nearest rank of the sorted values. */
static double percentile(const double *sorted, size_t n, double p)
{
    size_t rank = (size_t)(p / 100.0 * (double)n + 0.999999);
    return n == 0 ? 0 : sorted[rank < 1 ? 0 : rank > n ? n - 1 : rank - 1];
}

static void evaluate_latency(const struct stream *streams, uint32_t n, struct result *out)
{
    size_t n_itl = 0, n_tokens = 0;
    for (uint32_t i = 0; i < n; i++)
        n_tokens += streams[i].n_tokens;
    double *ttft = mem_calloc(n, sizeof *ttft);
    double *itl = mem_calloc(n_tokens, sizeof *itl);
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t *us = streams[i].token_us;
        ttft[i] = (double)us[0] / 1e3;
        for (uint32_t k = 1; k < streams[i].n_tokens; k++)
            itl[n_itl++] = (double)(us[k] - us[k - 1]) / 1e3;
    }
    qsort(ttft, n, sizeof *ttft, by_value);
    qsort(itl, n_itl, sizeof *itl, by_value);
    out->ttft_p50_ms = percentile(ttft, n, 50);
    out->ttft_p99_ms = percentile(ttft, n, 99);
    out->itl_p50_ms = percentile(itl, n_itl, 50);
    out->itl_p99_ms = percentile(itl, n_itl, 99);
    free(ttft);
    free(itl);
}

/* The decode phase: from the latest first token to the moment when the first stream stopped. */
static void evaluate_rates(const struct stream *streams, uint32_t n, uint32_t prompt,
                           struct result *out)
{
    uint64_t begin = 0, end = UINT64_MAX, arrived = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t first = streams[i].token_us[0];
        uint64_t last = streams[i].token_us[streams[i].n_tokens - 1];
        begin = first > begin ? first : begin;
        end = last < end ? last : end;
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < streams[i].n_tokens; k++)
            arrived += streams[i].token_us[k] > begin && streams[i].token_us[k] <= end;
    out->prefill_tok_s = (double)n * prompt / ((double)begin / 1e6);
    out->decode_tok_s = end > begin ? (double)arrived / ((double)(end - begin) / 1e6) : 0;
}

/* One warm-up and one measured run with n streams. */
static bool measure(struct bench *b, uint32_t n, struct result *out, struct err *e)
{
    struct stream *streams = mem_calloc(n, sizeof *streams);
    bool ok = true;
    for (uint32_t i = 0; i < n; i++)
        streams[i].token_us = mem_calloc(max_tokens(b, n), sizeof(uint64_t));
    for (int round = 0; round < 2 && ok; round++) {
        uint32_t gen = round == 0 && b->gen > WARM_UP_TOKENS ? WARM_UP_TOKENS : b->gen;
        double begin_cpu = cpu_seconds(), first_cpu = begin_cpu;
        ok = run_streams(b, streams, n, gen, &first_cpu, e);
        out->prefill_cpu_s = first_cpu - begin_cpu;
        out->decode_cpu_s = cpu_seconds() - first_cpu;
        for (uint32_t i = 0; i < n; i++) {
            engine_stream_release(&streams[i].s);
            if (round == 0)
                streams[i] = (struct stream){.token_us = streams[i].token_us};
        }
    }
    if (ok) {
        struct engine_stats stats;
        engine_stats(b->eng, &stats);
        out->bytes_per_step = stats.bytes_per_step;
        evaluate_latency(streams, n, out);
        evaluate_rates(streams, n, b->prompt, out);
    }
    for (uint32_t i = 0; i < n; i++)
        free(streams[i].token_us);
    free(streams);
    return ok;
}

/* ---- CSV ------------------------------------------------------------------------------------- */

/* A quoted CSV field; quotes inside are doubled. */
static void print_field(const char *s)
{
    putchar('"');
    for (; *s; s++)
        printf(*s == '"' ? "\"\"" : "%c", *s);
    fputs("\",", stdout);
}

static void machine_name(char *out, size_t out_bytes)
{
    char line[256], model[160] = "unknown processor";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "model name : %159[^\n]", model) == 1)
            break;
    if (f)
        fclose(f);
    snprintf(out, out_bytes, "%s x%ld", model, sysconf(_SC_NPROCESSORS_ONLN));
}

static void print_header(void)
{
    puts("machine,version,model,device,prompt,gen,streams,prefill_tok_s,decode_tok_s,"
         "decode_tok_s_per_stream,ttft_p50_ms,ttft_p99_ms,itl_p50_ms,itl_p99_ms,bytes_per_step,"
         "prefill_cpu_s,decode_cpu_s");
}

static void print_row(const struct bench *b, const char *machine, uint32_t n, const struct result *r)
{
    const struct engine_info *info = engine_info(b->eng);
    print_field(machine);
    print_field(SEEKD_VERSION);
    print_field(info->model_name);
    print_field(info->device_name);
    printf("%u,%u,%u,%.2f,%.2f,%.2f,%.1f,%.1f,%.1f,%.1f,%" PRIu64 ",%.2f,%.2f\n", b->prompt, b->gen,
           n, r->prefill_tok_s, r->decode_tok_s, r->decode_tok_s / n, r->ttft_p50_ms, r->ttft_p99_ms,
           r->itl_p50_ms, r->itl_p99_ms, r->bytes_per_step, r->prefill_cpu_s, r->decode_cpu_s);
    fflush(stdout);
}

/* ---- command --------------------------------------------------------------------------------- */

static int measure_all(const struct ctl_command *self, struct bench *b, const uint32_t *counts,
                       size_t n_counts)
{
    char machine[256];
    machine_name(machine, sizeof machine);
    print_header();
    for (size_t i = 0; i < n_counts; i++) {
        struct result r;
        struct err e = ERR_INIT;
        memset(&r, 0, sizeof r);
        if (!measure(b, counts[i], &r, &e)) {
            args_failed(self, &e);
            return e.code == ERR_CANCELLED ? CTL_INTERRUPTED : CTL_FAILED;
        }
        print_row(b, machine, counts[i], &r);
    }
    return CTL_OK;
}

static int run(const struct ctl_command *self, int argc, char **argv)
{
    struct ctl_engine opt = {0};
    struct bench b = {.prompt = 128, .gen = 32};
    const char *streams = "1";
    const struct args_option options[] = {
        CTL_OPTION_MODEL(&opt),
        CTL_OPTION_DEVICE(&opt),
        {.name = "prompt", .kind = ARGS_U32, .value = &b.prompt, .min = 1, .max = 1 << 20,
         .meta = "N", .help_en = "tokens per prompt (default 128)",
         .help_zh = "每个提示的词元数（默认 128）"},
        {.name = "gen", .kind = ARGS_U32, .value = &b.gen, .min = 2, .max = 1 << 16, .meta = "N",
         .help_en = "tokens to generate per stream (default 32)",
         .help_zh = "每路生成的词元数（默认 32）"},
        {.name = "streams", .kind = ARGS_STRING, .value = &streams, .meta = "1,4,16",
         .help_en = "stream counts to measure (default 1)", .help_zh = "要测量的并发路数（默认 1）"},
        {.name = "step-tokens", .kind = ARGS_U32, .value = &opt.step_tokens, .min = 1,
         .max = ENGINE_MAX_STEP_TOKENS,
         .meta = "N", .help_en = "token budget of one step (default: the engine's)",
         .help_zh = "每步的词元预算（默认为引擎的设定）"},
    };
    size_t n_rest;
    enum args_result r =
        args_parse(self, options, sizeof options / sizeof options[0], argc, argv, NULL, 0, &n_rest);
    if (r != ARGS_RUN)
        return r == ARGS_HELP ? CTL_OK : CTL_USAGE;
    uint32_t counts[MAX_COUNTS];
    struct err e = ERR_INIT;
    size_t n_counts = args_u32_list(streams, 1, MAX_STREAMS, counts, MAX_COUNTS, &e);
    if (n_counts == 0)
        return args_wrong(self, "--streams: %s", e.msg);
    for (size_t i = 0; i < n_counts; i++)
        if (counts[i] > opt.max_seqs)
            opt.max_seqs = counts[i];
    opt.context = b.prompt + max_tokens(&b, opt.max_seqs);

    int status;
    b.eng = ctl_open(self, &opt, &status);
    if (!b.eng)
        return status;
    ctl_catch_interrupt();
    sem_init(&b.events, 0, 0);
    status = measure_all(self, &b, counts, n_counts);
    engine_close(&b.eng);
    sem_destroy(&b.events);
    return status;
}

const struct ctl_command ctl_bench = {
    .name = "bench",
    .synopsis = "--model FILE [--prompt 128] [--gen 32] [--streams 1,4,16] [options]",
    .summary_en = "Measures prefill and decode rates and latencies, and prints them as CSV.",
    .summary_zh = "测量预填和解码的速度与延迟，以 CSV 显示。",
    .run = run,
};
