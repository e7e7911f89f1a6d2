/* Owns: the report of `seekctl inspect`: what a model file holds and what it would need. Loads no
 * tensor data and opens no device.
 */
#include <config.h>

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "device/device.h"
#include "engine.h"
#include "format/gguf.h"
#include "model/hparams.h"
#include "model/weights.h"

/* Prints a string of the file with control characters replaced. */
enum { TEXT_SHOWN = 400 };

/* "4.6 MiB", as the start of a server and its doctor say it. Into a static buffer of two in turn. */
static const char *size_text(double bytes)
{
    static char text[2][32];
    static unsigned turn;
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    size_t u = 0;
    for (bytes /= 1024; bytes >= 1024 && u < 3; u++)
        bytes /= 1024;
    turn ^= 1;
    snprintf(text[turn], sizeof text[turn], "%.1f %s", bytes, units[u]);
    return text[turn];
}

static void print_text(FILE *out, const char *label, const struct gguf *g, const char *key)
{
    struct gguf_str s;
    if (!gguf_find(g, key) || !gguf_get_str(g, key, &s, NULL))
        return;
    fprintf(out, "%-22s", label);
    size_t n = s.len <= TEXT_SHOWN ? s.len : utf8_cut(s.data, TEXT_SHOWN);
    for (size_t i = 0; i < n; i++)
        fputc((unsigned char)s.data[i] < ' ' ? ' ' : s.data[i], out);
    fputs(n < s.len ? "…\n" : "\n", out);
}

static void print_types(FILE *out, const struct gguf *g)
{
    uint64_t bytes[TENSOR_TYPE_END] = {0};
    uint32_t count[TENSOR_TYPE_END] = {0};
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->type < TENSOR_TYPE_END) {
            bytes[t->type] += t->bytes;
            count[t->type]++;
        }
    }
    for (uint32_t i = 0; i < TENSOR_TYPE_END; i++) {
        if (!count[i])
            continue;
        const struct quant_type *q = quant_type_get(i);
        fprintf(out, "%-22s%-6s %5u tensors %12s%s\n", "tensor type", q->name, count[i],
                size_text((double)bytes[i]), q->supported ? "" : "  (this version cannot run it)");
    }
}

static void print_tensors(FILE *out, const struct gguf *g)
{
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        fprintf(out, "  %-40s %-5s [", t->name, quant_type_get(t->type)->name);
        for (uint32_t d = 0; d < t->n_dims; d++)
            fprintf(out, "%s%" PRIu64, d ? ", " : "", t->ne[d]);
        fprintf(out, "] %" PRIu64 " bytes\n", t->bytes);
    }
}

static void print_shapes(FILE *out, const struct hparams *hp)
{
    fprintf(out, "%-22s%u (+ %u MTP, not run)\n", "layers", hp->n_layers, hp->n_mtp);
    fprintf(out, "%-22s%u\n", "hidden", hp->hidden);
    fprintf(out, "%-22s%u heads, q_lora %u, kv latent %u, nope %u, rope %u, value %u%s\n",
            "attention (MLA)", hp->n_head, hp->q_lora, hp->kv_latent, hp->qk_nope, hp->qk_rope,
            hp->v_head, hp->kv_b_unsplit ? ", kv_b unsplit" : "");
    if (hp->n_dense)
        fprintf(out, "%-22s%u layers, width %u\n", "dense feed-forward", hp->n_dense,
                hp->ffn_dense);
    if (hp->n_dense < hp->n_layers)
        fprintf(out, "%-22s%u routed (top %u, %s%s), %u shared, width %u, %u of %u groups\n",
                "experts", hp->n_expert, hp->n_used,
                hp->gating == HPARAMS_GATING_SIGMOID ? "sigmoid" : "softmax",
                hp->renorm ? ", renormalised" : "", hp->n_shared, hp->ffn_expert, hp->groups_used,
                hp->n_group);
    static const char *const scaling[] = {"none", "linear", "yarn"};
    fprintf(out, "%-22sbase %g, scaling %s", "rotary embedding", (double)hp->rope_base,
            scaling[hp->rope_scaling]);
    if (hp->rope_scaling != HPARAMS_ROPE_NONE)
        fprintf(out, " x%g", (double)hp->rope_factor);
    fprintf(out, "\n%-22s%u\n%-22s%u tokens\n", "vocabulary", hp->vocab, "trained context",
            hp->n_ctx);
}

static void print_memory(FILE *out, const struct gguf *g, const struct hparams *hp)
{
    double weights = (double)weights_file_bytes(g, hp);
    uint64_t f32 = hparams_kv_bytes(hp, 4), f16 = hparams_kv_bytes(hp, 2);
    fprintf(out, "%-22s%s of %s in the file\n", "weights to load", size_text(weights),
            size_text((double)gguf_file_bytes(g)));
    fprintf(out, "%-22s%" PRIu64 " bytes (f16), %" PRIu64 " bytes (f32)\n", "KV cache per token",
            f16, f32);
    fprintf(out, "%-22s%s (f16) + %s weights\n", "one full context",
            size_text((double)f16 * hp->n_ctx), size_text(weights));
    double host = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double left = host * 0.9 - weights * 1.06;
    double fits = left > 0 ? left / (double)f16 : 0;
    if (fits > hp->n_ctx)
        fits = hp->n_ctx;
    fprintf(out, "%-22s%.0f tokens of one sequence in this host's %s of memory (f16)\n",
            "context that fits", fits, size_text(host));
}

bool engine_inspect(const char *model_path, bool list_tensors, FILE *out, struct err *e)
{
    struct gguf *g = NULL;
    struct hparams hp;
    if (!gguf_open(model_path, &g, e))
        return false;
    print_text(out, "name", g, "general.name");
    print_text(out, "description", g, "general.description");
    print_text(out, "architecture", g, "general.architecture");
    print_text(out, "tokenizer", g, "tokenizer.ggml.pre");
    bool ok = hparams_read(g, &hp, e);
    if (ok) {
        print_shapes(out, &hp);
        print_memory(out, g, &hp);
    }
    print_types(out, g);
    if (list_tensors)
        print_tensors(out, g);
    gguf_close(&g);
    return ok;
}
