/* Owns: the public face of the engine (engine.h): opening, closing, and handing calls to the part
 * that does the work. Refuses to know how any of it is done.
 */
#include <config.h>

#include "engine.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "device/device.h"
#include "format/gguf.h"
#include "model/model.h"
#include "sched/sched.h"
#include "text/tokenizer.h"

enum { DEFAULT_SEQS = 32, DEFAULT_STEP_TOKENS = 256, DEFAULT_STALL_S = 30,
       MIN_OUT = 64, /* logits rows of a step, for engine_logits */
       MAX_TEXT = 4096 /* bytes of a name or description from the file */ };
static const uint64_t PROGRESS_EVERY_US = 100000;

struct engine {
    struct dev *dev;
    struct model *model;
    struct tokenizer *tok;
    struct sched *sched;
    struct engine_info info;
    char *strings[6]; /* owned texts that info points to */
    size_t n_strings;

    const struct engine_options *opt; /* while opening */
    uint64_t opened_us, reported_us;
};

/* A NUL-terminated copy that lives as long as the engine. */
static const char *keep(struct engine *eng, const char *s, size_t len)
{
    char *copy = mem_strndup(s, len);
    eng->strings[eng->n_strings++] = copy;
    return copy;
}

static const char *keep_key(struct engine *eng, const struct gguf *g, const char *key,
                            const char *missing)
{
    struct gguf_str v;
    if (!gguf_find(g, key) || !gguf_get_str(g, key, &v, NULL))
        return missing;
    return keep(eng, v.data, v.len);
}

/* As keep_key, cut to what an answer of the API has room for. */
static const char *keep_short(struct engine *eng, const struct gguf *g, const char *key,
                              const char *missing)
{
    struct gguf_str v;
    if (!gguf_find(g, key) || !gguf_get_str(g, key, &v, NULL))
        return missing;
    return keep(eng, v.data, v.len > MAX_TEXT ? utf8_cut(v.data, MAX_TEXT) : v.len);
}

static const char *token_text(struct engine *eng, int32_t id)
{
    size_t len = 0;
    const char *s = id >= 0 ? tokenizer_bytes(eng->tok, id, &len) : NULL;
    return s ? keep(eng, s, len) : "";
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    struct engine *eng = user;
    uint64_t now = clock_now_us();
    if (!eng->opt->progress || (now - eng->reported_us < PROGRESS_EVERY_US && done < total))
        return;
    eng->reported_us = now;
    struct engine_progress p = {.stage = "weights", .done_bytes = done, .total_bytes = total,
                                .seconds = (double)(now - eng->opened_us) * 1e-6};
    eng->opt->progress(eng->opt->user, &p);
}

static void fill_info(struct engine *eng, const struct gguf *g)
{
    const struct hparams *hp = model_hparams(eng->model);
    const struct dev_info *dev = dev_info(eng->dev);
    const char *path = eng->opt->model_path, *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    struct engine_info *info = &eng->info;
    info->model_name = keep_short(eng, g, "general.name", NULL);
    if (!info->model_name)
        info->model_name = keep(eng, file, strlen(file));
    info->architecture = hp->arch;
    info->description = keep_short(eng, g, "general.description", "");
    info->chat_template = keep_key(eng, g, "tokenizer.chat_template", NULL);
    info->bos_text = token_text(eng, tokenizer_bos(eng->tok));
    info->eos_text = token_text(eng, tokenizer_eos(eng->tok));
    info->device_name = dev->name;
    info->software_device = dev->software;
    info->vocab_size = hp->vocab;
    info->n_layers = hp->n_layers;
    info->hidden = hp->hidden;
    info->max_context = model_max_ctx(eng->model);
    info->max_seqs = model_step(eng->model)->max_seqs;
    info->n_params = model_n_params(eng->model);
    info->weight_bytes = model_weight_bytes(eng->model);
    info->kv_bytes = model_kv_bytes(eng->model);
    info->kv_pages = model_n_pages(eng->model);
    info->page_tokens = DEV_PAGE_TOKENS;
    info->load_seconds = (double)(clock_now_us() - eng->opened_us) * 1e-6;
}

static bool open_model(struct engine *eng, const struct gguf *g, struct err *e)
{
    const struct engine_options *opt = eng->opt;
    uint32_t rows = opt->step_tokens ? opt->step_tokens : DEFAULT_STEP_TOKENS;
    uint32_t seqs = opt->max_seqs ? opt->max_seqs : rows < DEFAULT_SEQS ? rows : DEFAULT_SEQS;
    uint32_t out = seqs > MIN_OUT ? seqs : rows < MIN_OUT ? rows : MIN_OUT;
    if (seqs > ENGINE_MAX_SEQS || rows > ENGINE_MAX_STEP_TOKENS || rows < seqs)
        FAIL(e, ERR_ARG, "sequences must be 1 to %d and step tokens %u to %d", ENGINE_MAX_SEQS,
             seqs, ENGINE_MAX_STEP_TOKENS);
    struct model_options mo = {
        .max_rows = rows, .max_out = out, .max_seqs = seqs, .max_ctx = opt->max_context,
        .kv_bytes = opt->kv_bytes, .progress = on_progress, .user = eng,
        .kv_f16 = opt->kv_type == ENGINE_KV_F16 ||
                  (opt->kv_type == ENGINE_KV_AUTO && !dev_info(eng->dev)->software)};
    if (!model_load(eng->dev, g, &mo, &eng->model, e))
        return false;
    uint32_t vocab = model_hparams(eng->model)->vocab;
    if (tokenizer_vocab_size(eng->tok) > vocab)
        FAIL(e, ERR_FORMAT, "the tokenizer has %u tokens, the embedding only %u rows",
             tokenizer_vocab_size(eng->tok), vocab);
    return sched_create(eng->model, eng->tok, rows, opt->stall_s ? opt->stall_s : DEFAULT_STALL_S,
                        &eng->sched, e);
}

/* $XDG_CACHE_HOME/seekd or ~/.cache/seekd, made when missing; NULL when there is no home. */
static char *default_cache_dir(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[4096];
    if (xdg && xdg[0] == '/')
        snprintf(path, sizeof path, "%s", xdg);
    else if (home && home[0] == '/')
        snprintf(path, sizeof path, "%s/.cache", home);
    else
        return NULL;
    mkdir(path, 0700);
    size_t len = strlen(path);
    if (len + sizeof "/seekd" > sizeof path)
        return NULL;
    memcpy(path + len, "/seekd", sizeof "/seekd");
    mkdir(path, 0700);
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? mem_strdup(path) : NULL;
}

bool engine_open(const struct engine_options *opt, struct engine **out, struct err *e)
{
    /* Software drivers compile on threads of their own, and the C library would give each an arena
     * that keeps the compiler's garbage: 249 MB resident instead of 233 MB with the demo model. A
     * fixed threshold gives large blocks back when freed (by default it rises to the largest freed
     * so far): another 4 MB, and 13 MB after a start that compiled everything. */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    struct engine *eng = mem_zalloc(sizeof *eng);
    struct gguf *g = NULL;
    char *cache = opt->cache_dir ? mem_strdup(opt->cache_dir) : default_cache_dir();
    eng->opt = opt;
    eng->opened_us = clock_now_us();
    struct dev_options dopt = {.name = opt->device ? opt->device : "auto", .cache_dir = cache};
    TRY(gguf_open(opt->model_path, &g, e));
    TRY(tokenizer_create(g, &eng->tok, e));
    TRY(dev_open(&dopt, &eng->dev, e));
    TRY(open_model(eng, g, e));
    fill_info(eng, g);
    eng->opt = NULL;
    gguf_close(&g);
    free(cache);
    *out = eng;
    return true;
fail:
    gguf_close(&g);
    free(cache);
    engine_close(&eng);
    return false;
}

void engine_close(struct engine **ep)
{
    struct engine *eng = *ep;
    if (!eng)
        return;
    sched_destroy(&eng->sched);
    model_destroy(&eng->model);
    dev_close(&eng->dev);
    tokenizer_destroy(&eng->tok);
    for (size_t i = 0; i < eng->n_strings; i++)
        free(eng->strings[i]);
    free(eng);
    *ep = NULL;
}

const struct engine_info *engine_info(const struct engine *eng)
{
    return &eng->info;
}

bool engine_tokenize(const struct engine *eng, const char *text, size_t len, unsigned flags,
                     size_t max_ids, int32_t **ids_take, size_t *n, struct err *e)
{
    unsigned f = (flags & ENGINE_TOKENIZE_SPECIAL ? TOKENIZE_SPECIAL : 0) |
                 (flags & ENGINE_TOKENIZE_BOS ? TOKENIZE_BOS : 0) |
                 (flags & ENGINE_TOKENIZE_LITERAL ? TOKENIZE_LITERAL : 0);
    return tokenizer_encode(eng->tok, text, len, f, max_ids, ids_take, n, e);
}

const char *engine_token_bytes(const struct engine *eng, int32_t id, size_t *len)
{
    return tokenizer_bytes(eng->tok, id, len);
}

bool engine_submit(struct engine *eng, const struct engine_request *req,
                   struct engine_stream **out, struct err *e)
{
    return sched_submit(eng->sched, req, out, e);
}

void engine_stats(const struct engine *eng, struct engine_stats *out)
{
    sched_stats(eng->sched, out);
}

bool engine_logits(struct engine *eng, const int32_t *tokens, size_t n, bool all_positions,
                   uint32_t chunk, float **out_take, size_t *n_positions, struct err *e)
{
    size_t rows = all_positions ? n : 1, vocab = eng->info.vocab_size;
    float *out = n <= eng->info.max_context ? mem_try_calloc(rows * vocab, sizeof *out) : NULL;
    if (!out)
        FAIL(e, ERR_LIMIT, "no memory for the logits of %zu positions", rows);
    if (!sched_logits(eng->sched, tokens, n, all_positions, chunk, out, e)) {
        free(out);
        return false;
    }
    *out_take = out;
    *n_positions = rows;
    return true;
}

bool engine_device_list(FILE *out, bool kernels, struct err *e)
{
    return dev_list(out, kernels, e);
}
