/* Times of the kernels in a whole step of the "mini" model: 8 layers (1 dense), hidden 512, 8
 * heads, q_lora 256, kv_lora 256, nope 64, rope 32, v 64, 16 experts of 256 (top 4) and one shared,
 * dense ffn 2048, vocabulary 8192; Q4_K with Q6_K for the output and every second down projection,
 * k_b and v_b F16. Random weights: only time counts.
 *
 *   bench_ops [CONTEXT [ROWS]]    rows 1, 16 and 128 (or only ROWS) after CONTEXT (64) positions
 *
 * Prints per case the median time of a step, tokens per second, and device time per kind of op. The
 * driver is the first one the Vulkan loader finds (VK_ICD_FILENAMES chooses).
 */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "device/rig.h"
#include "format/quant.h"

enum {
    LAYERS = 8,
    HIDDEN = 512,
    HEADS = 8,
    Q_LORA = 256,
    KV_LORA = 256,
    NOPE = 64,
    ROPE = 32,
    V = 64,
    EXPERTS = 16,
    USED = 4,
    FFN = 256,
    DENSE = 2048,
    VOCAB = 8192,
    ROWS = 128,
    SEQS = 16,
    PAGES_PER_SEQ = 64,
    MAX_OPS = 256
};

struct layer {
    struct dev_weight *q_a, *q_b, *kv_a, *k_b, *v_b, *o, *router;
    struct dev_weight *gate, *up, *down, *gate_exps, *up_exps, *down_exps;
    struct dev_buf *cache;
};

struct mini {
    struct rig rig;
    struct layer layer[LAYERS];
    struct dev_weight *embed, *output;
    struct dev_buf *norm, *rope;
    struct dev_view h, n, qa, q, qabs, kv, z, attn, ffn, logits, route, eh, eo, last;
    struct dev_buf *choice, *weight, *lists;
    struct op ops[MAX_OPS];
    int n_ops;
};

static struct dev_weight *weight(struct mini *m, uint32_t type, uint32_t n, uint32_t rows,
                                 uint32_t cols)
{
    void *data = rig_blocks(type, n, rows, cols);
    struct dev_weight *w = rig_weight(&m->rig, type, n, rows, cols, data);
    free(data);
    return w;
}

static struct dev_view view(struct mini *m, uint32_t rows, uint32_t width)
{
    return (struct dev_view){rig_zeros(&m->rig, (size_t)rows * width * 4), 0, width};
}

static void make_layer(struct mini *m, int i)
{
    struct layer *l = &m->layer[i];
    uint32_t down = i % 2 ? TENSOR_Q6_K : TENSOR_Q4_K, ffn = i == 0 ? DENSE : FFN;
    l->q_a = weight(m, TENSOR_Q4_K, 1, Q_LORA, HIDDEN);
    l->q_b = weight(m, TENSOR_Q4_K, 1, HEADS * (NOPE + ROPE), Q_LORA);
    l->kv_a = weight(m, TENSOR_Q4_K, 1, KV_LORA + ROPE, HIDDEN);
    l->k_b = weight(m, TENSOR_F16, HEADS, KV_LORA, NOPE);
    l->v_b = weight(m, TENSOR_F16, HEADS, V, KV_LORA);
    l->o = weight(m, TENSOR_Q4_K, 1, HIDDEN, HEADS * V);
    l->gate = weight(m, TENSOR_Q4_K, 1, ffn, HIDDEN);
    l->up = weight(m, TENSOR_Q4_K, 1, ffn, HIDDEN);
    l->down = weight(m, down, 1, HIDDEN, ffn);
    if (i > 0) {
        l->router = weight(m, TENSOR_F32, 1, EXPERTS, HIDDEN);
        l->gate_exps = weight(m, TENSOR_Q4_K, EXPERTS, FFN, HIDDEN);
        l->up_exps = weight(m, TENSOR_Q4_K, EXPERTS, FFN, HIDDEN);
        l->down_exps = weight(m, down, EXPERTS, HIDDEN, FFN);
    }
    l->cache = rig_zeros(&m->rig, (size_t)SEQS * PAGES_PER_SEQ * 64 * (KV_LORA + ROPE) * 2);
}

static void make(struct mini *m)
{
    float ones[DENSE], rope[(256 + 16) * ROPE];
    rig_open(&m->rig);
    m->embed = weight(m, TENSOR_Q4_K, 1, VOCAB, HIDDEN);
    m->output = weight(m, TENSOR_Q6_K, 1, VOCAB, HIDDEN);
    for (int i = 0; i < LAYERS; i++)
        make_layer(m, i);
    for (int i = 0; i < DENSE; i++)
        ones[i] = 1;
    for (int i = 0; i < (256 + 16) * ROPE; i++)
        rope[i] = (float)(i % 2 ? sin(i) : cos(i - 1));
    m->norm = rig_buf(&m->rig, ones, sizeof ones);
    m->rope = rig_buf(&m->rig, rope, sizeof rope);
    m->h = view(m, ROWS, HIDDEN);
    m->n = view(m, ROWS, HIDDEN);
    m->qa = view(m, ROWS, Q_LORA);
    m->q = view(m, ROWS, HEADS * (NOPE + ROPE));
    m->qabs = view(m, ROWS, HEADS * (KV_LORA + ROPE));
    m->kv = view(m, ROWS, KV_LORA + ROPE);
    m->z = view(m, ROWS, HEADS * KV_LORA);
    m->attn = view(m, ROWS, HEADS * V);
    m->ffn = view(m, ROWS, DENSE);
    m->logits = view(m, 16, VOCAB);
    m->last = view(m, 16, HIDDEN);
    m->route = view(m, ROWS, EXPERTS);
    m->eh = view(m, ROWS * USED, FFN);
    m->eo = view(m, ROWS * USED, HIDDEN);
    m->choice = rig_zeros(&m->rig, ROWS * USED * 4);
    m->weight = rig_zeros(&m->rig, ROWS * USED * 4);
    m->lists = rig_zeros(&m->rig, dev_moe_lists_bytes(m->rig.dev, ROWS, USED, EXPERTS));
}

static struct op *add(struct mini *m, enum op_kind kind, const char *label)
{
    struct op *op = &m->ops[m->n_ops++];
    memset(op, 0, sizeof *op);
    op->kind = kind;
    op->label = label;
    return op;
}

static void matmul(struct mini *m, const char *label, struct dev_weight *w, struct dev_view x,
                   struct dev_view y, uint32_t x_step, uint32_t y_step, bool accumulate)
{
    add(m, OP_MATMUL, label)->u.matmul = (struct op_matmul){
        .w = w, .x = x, .y = y, .x_step = x_step, .y_step = y_step, .accumulate = accumulate};
}

static void norm(struct mini *m, const char *label, struct dev_view src, struct dev_view dst,
                 uint32_t n, enum dev_rows rows)
{
    add(m, OP_RMSNORM, label)->u.rmsnorm = (struct op_rmsnorm){
        .src = src, .dst = dst, .weight = m->norm, .n = n, .eps = 1e-6f, .rows = rows};
}

static void attention(struct mini *m, const struct layer *l)
{
    norm(m, "attn_norm", m->h, m->n, HIDDEN, DEV_ROWS_STEP);
    matmul(m, "q_a", l->q_a, m->n, m->qa, 0, 0, false);
    matmul(m, "kv_a", l->kv_a, m->n, m->kv, 0, 0, false);
    norm(m, "q_norm", m->qa, m->qa, Q_LORA, DEV_ROWS_STEP);
    matmul(m, "q_b", l->q_b, m->qa, m->q, 0, 0, false);
    matmul(m, "k_b", l->k_b, m->q, m->qabs, NOPE + ROPE, KV_LORA + ROPE, false);
    add(m, OP_MLA_PREP, "mla_prep")->u.mla_prep = (struct op_mla_prep){.q = m->q,
                                                                       .dst = m->qabs,
                                                                       .kv = m->kv,
                                                                       .norm = m->norm,
                                                                       .eps = 1e-6f,
                                                                       .rope = {m->rope, ROPE},
                                                                       .cache = l->cache,
                                                                       .cache_f16 = true,
                                                                       .n_head = HEADS,
                                                                       .nope = NOPE,
                                                                       .latent = KV_LORA};
    add(m, OP_MLA_ATTN, "mla_attn")->u.mla_attn = (struct op_mla_attn){.q = m->qabs,
                                                                       .dst = m->z,
                                                                       .cache = l->cache,
                                                                       .cache_f16 = true,
                                                                       .n_head = HEADS,
                                                                       .latent = KV_LORA,
                                                                       .n_rope = ROPE,
                                                                       .scale = 0.1f};
    matmul(m, "v_b", l->v_b, m->z, m->attn, KV_LORA, V, false);
    matmul(m, "o", l->o, m->attn, m->h, 0, 0, true);
}

static void experts(struct mini *m, const struct layer *l)
{
    matmul(m, "router", l->router, m->n, m->route, 0, 0, false);
    add(m, OP_ROUTE, "route")->u.route = (struct op_route){.logits = m->route,
                                                           .choice = m->choice,
                                                           .weight = m->weight,
                                                           .n_expert = EXPERTS,
                                                           .n_used = USED,
                                                           .n_group = 1,
                                                           .groups_used = 1,
                                                           .scale = 1};
    add(m, OP_MOE_PLAN, "moe_plan")->u.moe_plan = (struct op_moe_plan){m->choice, m->lists, EXPERTS,
                                                                       USED, 0};
    add(m, OP_MOE_GATED, "moe_gated")->u.moe_gated =
        (struct op_moe_gated){l->gate_exps, l->up_exps, m->n, m->eh, m->lists, USED};
    add(m, OP_MOE_DOWN, "moe_down")->u.moe_down =
        (struct op_moe_down){l->down_exps, m->eh, m->eo, m->lists, m->weight, USED};
}

static void step(struct mini *m)
{
    m->n_ops = 0;
    add(m, OP_EMBED, "embed")->u.embed = (struct op_embed){m->embed, m->h};
    for (int i = 0; i < LAYERS; i++) {
        const struct layer *l = &m->layer[i];
        struct dev_view f = m->ffn;
        f.stride = i == 0 ? DENSE : FFN;
        attention(m, l);
        norm(m, "ffn_norm", m->h, m->n, HIDDEN, DEV_ROWS_STEP);
        if (i > 0)
            experts(m, l);
        add(m, OP_GATED, i == 0 ? "dense_gated" : "shared_gated")->u.gated =
            (struct op_gated){l->gate, l->up, m->n, f};
        matmul(m, i == 0 ? "dense_down" : "shared_down", l->down, f, m->h, 0, 0, true);
        if (i > 0)
            add(m, OP_MOE_COMBINE, "combine")->u.moe_combine =
                (struct op_moe_combine){m->eo, m->h, HIDDEN, USED};
    }
    add(m, OP_GATHER, "gather")->u.gather = (struct op_gather){m->h, m->last, HIDDEN};
    norm(m, "out_norm", m->last, m->last, HIDDEN, DEV_ROWS_OUT);
    matmul(m, "output", m->output, m->last, m->logits, 0, 0, false);
    m->ops[m->n_ops - 1].u.matmul.rows = DEV_ROWS_OUT;
    add(m, OP_EDIT, "edit")->u.edit = (struct op_edit){m->logits, VOCAB};
    add(m, OP_CANDIDATES, "candidates")->u.candidates = (struct op_candidates){m->logits, VOCAB};
}

/* rows: 1 or 16 = one per sequence; 128 = a prompt of one sequence, one output. */
static uint32_t fill_step(struct mini *m, uint32_t rows, uint32_t context)
{
    struct dev_row *row = dev_buf_map(m->rig.step.rows);
    struct dev_out *out = dev_buf_map(m->rig.step.out);
    uint32_t *table = dev_buf_map(m->rig.step.block_table);
    uint32_t n_out = rows > SEQS ? 1 : rows;

    for (uint32_t i = 0; i < RIG_MAX_SEQS * RIG_TABLE; i++)
        table[i] = i;
    for (uint32_t i = 0; i < rows; i++)
        row[i] = (struct dev_row){.token = rig_random(VOCAB),
                                  .pos = rows > SEQS ? context + i : context,
                                  .seq = rows > SEQS ? 0 : i % RIG_MAX_SEQS};
    for (uint32_t i = 0; i < n_out; i++)
        out[i] = (struct dev_out){.row = rows > SEQS ? rows - 1 : i, .inv_temp = 1};
    rig_head(&m->rig, rows, n_out, 0);
    return n_out;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print_ops(struct plan *p, const struct mini *m)
{
    double us[MAX_OPS] = {0}, total = 0;
    struct err e = ERR_INIT;
    bool shown[MAX_OPS] = {false};

    if (!plan_profile(p, 3, us, &e))
        rig_die("profile", &e);
    for (int i = 0; i < m->n_ops; i++)
        total += us[i];
    for (int i = 0; i < m->n_ops; i++) {
        double sum = 0;
        int n = 0;
        for (int k = i; k < m->n_ops && !shown[i]; k++)
            if (strcmp(m->ops[k].label, m->ops[i].label) == 0) {
                sum += us[k];
                n++;
                shown[k] = k > i;
            }
        if (n > 0)
            printf("    %-14s %3d x %9.1f us  %5.1f %%\n", m->ops[i].label, n, sum / n,
                   100 * sum / total);
    }
}

static void run(struct mini *m, uint32_t rows, uint32_t context, int n_runs)
{
    struct plan *p = NULL;
    struct err e = ERR_INIT;
    double ms[64];

    step(m);
    uint32_t n_out = fill_step(m, rows, context);
    uint64_t begin = clock_now_us();
    if (!plan_create(m->rig.dev, &m->rig.step, rows, n_out, &p, &e))
        rig_die("plan", &e);
    for (int i = 0; i < m->n_ops; i++)
        if (!plan_add(p, &m->ops[i], &e))
            rig_die(m->ops[i].label, &e);
    if (!plan_finish(p, &e) || !plan_run(p, &e))
        rig_die("plan", &e);
    double first = (double)(clock_now_us() - begin) * 1e-6, cpu = cpu_seconds();
    for (int i = 0; i < n_runs; i++) {
        begin = clock_now_us();
        if (!plan_run(p, &e))
            rig_die("run", &e);
        ms[i] = (double)(clock_now_us() - begin) * 1e-3;
    }
    cpu = (cpu_seconds() - cpu) * 1e3 / n_runs;
    qsort(ms, (size_t)n_runs, sizeof *ms, by_value);
    printf("rows %3u context %4u: median %8.2f ms, best %8.2f ms, cpu %8.2f ms; %.1f tokens/s "
           "(best %.1f); first step %.1f s\n",
           rows, context, ms[n_runs / 2], ms[0], cpu, rows / ms[n_runs / 2] * 1e3,
           rows / ms[0] * 1e3, first);
    print_ops(p, m);
    fflush(stdout);
    plan_destroy(&p);
}

int main(int argc, char **argv)
{
    static struct mini m;
    uint32_t context = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 64;

    if (context > 800)
        context = 800;
    make(&m);
    printf("%s\n", dev_info(m.rig.dev)->name);
    bool slow = strstr(dev_info(m.rig.dev)->name, "SwiftShader") != NULL;
    uint32_t only = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    static const struct {
        uint32_t rows;
        int runs, slow_runs;
    } cases[] = {{1, 41, 3}, {16, 11, 3}, {ROWS, 7, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int runs = slow ? cases[i].slow_runs : cases[i].runs;
        if (runs > 0 && (only == 0 || only == cases[i].rows))
            run(&m, cases[i].rows, context, runs);
    }
    return 0; /* the device goes with the process */
}
