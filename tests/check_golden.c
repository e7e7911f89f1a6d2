/* Whole models against golden logits of independent reference implementations, through the public
 * engine: all prompts, prefilled in chunks of several lengths, alone and with eight other sequences
 * in the batch; greedy continuations; layer traces.
 *
 * Tolerance: max_rel 5e-5 per row, as the records give for float32 arithmetic. The first argument or
 * SEEKD_TEST_DEVICE names the device ("vulkan:N").
 */
#include <config.h>

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "golden.h"

static const double MAX_REL = 5e-5;
static const char *const models[] = {"v3",      "v2",          "v2-lite", "v2-lite-legacy",
                                     "v3-q8_0", "v3-q4_k_m"};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* Folder of a model: the legacy layout stands beside its twin. */
static const char *folder(const char *model)
{
    return strcmp(model, "v2-lite-legacy") ? model : "v2-lite";
}

static struct engine *open_model(const char *model, uint64_t kv_bytes, uint32_t max_seqs)
{
    char file[64];
    struct err e = ERR_INIT;
    struct engine *eng = NULL;
    snprintf(file, sizeof file, "%s.gguf", model);
    struct engine_options opt = {.model_path = golden_path(folder(model), file),
                                 .device = getenv("SEEKD_TEST_DEVICE"),
                                 .kv_type = ENGINE_KV_F32, .kv_bytes = kv_bytes,
                                 .max_seqs = max_seqs};
    if (!engine_open(&opt, &eng, &e))
        ck_abort_msg("%s: %s", model, e.msg);
    return eng;
}

/* The engine of one model at a time, kept from test to test: pipelines are built once per model. */
static struct engine *kept;
static const char *kept_model;

static struct engine *keep_open(const char *model)
{
    if (kept_model != model) {
        engine_close(&kept);
        kept = open_model(model, 0, 0);
        kept_model = model;
    }
    return kept;
}

/* Worst max_rel of a prompt's stored positions, prefilled in chunks. */
static double compare_prompt(struct engine *eng, const struct golden *g,
                             const struct golden_prompt *p, uint32_t chunk)
{
    struct err e = ERR_INIT;
    float *logits = NULL;
    size_t n_pos = 0;
    if (!engine_logits(eng, p->ids, p->n, true, chunk, &logits, &n_pos, &e))
        ck_abort_msg("%s %s: %s", g->name, p->name, e.msg);
    ck_assert_uint_eq(n_pos, p->n);
    double worst = 0.0;
    for (size_t i = 0; i < p->n_positions; i++) {
        double rel = golden_max_rel(g->logits + (size_t)p->rows[i] * g->vocab,
                                    logits + (size_t)p->positions[i] * g->vocab, g->vocab);
        if (!(rel <= worst))
            worst = rel;
    }
    for (size_t i = 0; i < p->n; i++) {
        const float *row = logits + i * g->vocab;
        int32_t best = 0;
        for (size_t v = 1; v < g->vocab; v++)
            if (row[v] > row[best])
                best = (int32_t)v;
        ck_assert_msg(best == p->argmax[i], "%s %s position %zu: argmax %d, expected %d", g->name,
                      p->name, i, best, p->argmax[i]);
    }
    free(logits);
    return worst;
}

START_TEST(test_logits)
{
    static const uint32_t chunks[] = {64, 7, 1};
    const char *model = models[_i];
    struct golden g;
    golden_load(folder(model), &g);
    struct engine *eng = keep_open(model);
    for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
        double worst = 0.0;
        for (size_t i = 0; i < g.n_prompts; i++) {
            double rel = compare_prompt(eng, &g, &g.prompts[i], chunks[c]);
            ck_assert_msg(rel <= MAX_REL, "%s %s in chunks of %u: max_rel %.3g", model,
                          g.prompts[i].name, chunks[c], rel);
            worst = fmax(worst, rel);
        }
        printf("%-16s chunk %2u: worst max_rel %.2e over %zu prompts on %s\n", model, chunks[c],
               worst, g.n_prompts, engine_info(eng)->device_name);
    }
    golden_release(&g);
}
END_TEST

/* What one greedy request answered. */
struct answer {
    int32_t tokens[256];
    float logprob[256];
    size_t n;
    struct engine_event last;
};

static struct engine_stream *start(struct engine *eng, const int32_t *ids, size_t n, uint32_t max)
{
    struct err e = ERR_INIT;
    struct engine_stream *s = NULL;
    struct engine_request r = {.tokens = ids, .n_tokens = n, .max_tokens = max,
                               .sampling = ENGINE_SAMPLING_DEFAULT, .ignore_eos = true,
                               .logprobs = true};
    r.sampling.temperature = 0.0f;
    if (!engine_submit(eng, &r, &s, &e))
        ck_abort_msg("submit: %s", e.msg);
    return s;
}

static void collect(struct engine_stream *s, struct answer *a)
{
    memset(a, 0, sizeof *a);
    for (;;) {
        ck_assert_msg(engine_stream_wait(s, &a->last, 300000), "no event for five minutes");
        if (a->last.kind == ENGINE_EVENT_DONE)
            return;
        a->logprob[a->n] = a->last.logprob;
        a->tokens[a->n++] = a->last.token;
    }
}

START_TEST(test_greedy)
{
    const char *model = models[_i];
    struct golden g;
    golden_load(folder(model), &g);
    bool quantised = strstr(model, "-q") != NULL;
    struct engine *eng = keep_open(model);
    for (size_t i = 0; i < g.n_prompts; i++) {
        struct answer a;
        const struct golden_prompt *p = &g.prompts[i];
        struct engine_stream *s = start(eng, p->ids, p->n, (uint32_t)p->n_greedy);
        collect(s, &a);
        ck_assert_int_eq(a.last.finish, ENGINE_FINISH_LENGTH);
        ck_assert_uint_eq(a.n, p->n_greedy);
        ck_assert_uint_eq(a.last.usage.prompt_tokens, p->n);
        ck_assert_uint_eq(a.last.usage.completion_tokens, p->n_greedy);
        size_t same = 0;
        while (same < a.n && a.tokens[same] == p->greedy[same])
            same++;
        if (quantised)
            printf("%s %s: %zu of %zu greedy tokens as the reference\n", model, p->name, same, a.n);
        else
            ck_assert_msg(same == p->n_greedy, "%s %s: greedy token %zu is %d, expected %d", model,
                          p->name, same, a.tokens[same], p->greedy[same]);
        engine_stream_release(&s);
    }
    golden_release(&g);
}
END_TEST

/* State of the engine once nothing runs any more: the done event of a request may reach its reader
 * a moment before the step that ended it is accounted for. */
static struct engine_stats settled(struct engine *eng)
{
    struct engine_stats st;
    for (int i = 0; i < 5000; i++) {
        engine_stats(eng, &st);
        if (st.pages_used == 0 && st.running + st.waiting == 0)
            break;
        usleep(1000);
    }
    return st;
}

/* With eight others in the batch every prompt answers as alone, bit for bit. */
START_TEST(test_shared_batch)
{
    const char *model = models[_i];
    struct golden g;
    golden_load(folder(model), &g);
    struct engine *eng = keep_open(model);
    for (size_t i = 0; i < g.n_prompts; i++) {
        const struct golden_prompt *p = &g.prompts[i];
        struct answer alone, shared, other;
        struct engine_stream *s = start(eng, p->ids, p->n, 32), *others[8];
        collect(s, &alone);
        engine_stream_release(&s);
        for (size_t k = 0; k < 8; k++) {
            const struct golden_prompt *q = &g.prompts[(i + k) % g.n_prompts];
            others[k] = start(eng, q->ids, q->n, (uint32_t)(20 + 5 * k));
            if (k == 4)
                s = start(eng, p->ids, p->n, 32);
        }
        collect(s, &shared);
        engine_stream_release(&s);
        for (size_t k = 0; k < 8; k++) {
            collect(others[k], &other);
            ck_assert_int_eq(other.last.finish, ENGINE_FINISH_LENGTH);
            engine_stream_release(&others[k]);
        }
        ck_assert_uint_eq(alone.n, shared.n);
        ck_assert_msg(!memcmp(alone.tokens, shared.tokens, sizeof alone.tokens) &&
                          !memcmp(alone.logprob, shared.logprob, sizeof alone.logprob),
                      "%s %s: another answer in a shared batch", model, p->name);
    }
    ck_assert_uint_eq(settled(eng).pages_used, 0);
    golden_release(&g);
}
END_TEST

/* A pool too small for all: the youngest are preempted and computed again, with the same answers. */
START_TEST(test_preemption)
{
    struct golden g;
    golden_load("v3", &g);
    struct engine *eng = open_model("v3", 7 * 64 * 3 * 80 * 4, 8); /* seven pages */
    ck_assert_uint_eq(engine_info(eng)->kv_pages, 7);
    const struct golden_prompt *p = &g.prompts[1];
    struct engine_stream *s[8];
    struct answer alone, a;
    s[0] = start(eng, p->ids, p->n, 120);
    collect(s[0], &alone);
    engine_stream_release(&s[0]);
    for (size_t i = 0; i < 8; i++)
        s[i] = start(eng, p->ids, p->n, 120);
    for (size_t i = 0; i < 8; i++) {
        collect(s[i], &a);
        ck_assert_int_eq(a.last.finish, ENGINE_FINISH_LENGTH);
        ck_assert(!memcmp(a.tokens, alone.tokens, sizeof a.tokens));
        engine_stream_release(&s[i]);
    }
    struct engine_stats st = settled(eng);
    ck_assert_uint_gt(st.preemptions, 0);
    ck_assert_uint_eq(st.pages_used, 0);
    engine_close(&eng);
    golden_release(&g);
}
END_TEST

START_TEST(test_cancel)
{
    struct golden g;
    golden_load("v3", &g);
    struct engine *eng = open_model("v3", 0, 4);
    const struct golden_prompt *p = &g.prompts[2];
    for (int round = 0; round < 20; round++) {
        struct engine_stream *s[6];
        struct engine_event ev;
        struct answer a;
        for (size_t i = 0; i < 6; i++)
            s[i] = start(eng, p->ids, p->n, 200);
        for (int k = 0; k < round; k++)
            ck_assert(engine_stream_wait(s[0], &ev, 60000));
        for (size_t i = 1; i < 6; i++)
            engine_stream_release(&s[i]);
        engine_stream_cancel(s[0]);
        collect(s[0], &a);
        ck_assert_int_eq(a.last.finish, ENGINE_FINISH_CANCELLED);
        engine_stream_release(&s[0]);
    }
    struct engine_stats st = settled(eng);
    ck_assert_uint_eq(st.pages_used, 0);
    ck_assert_uint_gt(st.cancelled, 100 - 20);
    engine_close(&eng);
    golden_release(&g);
}
END_TEST

int main(void)
{
    struct err e = ERR_INIT;
    FILE *null = fopen("/dev/null", "w");
    bool have = null && engine_device_list(null, false, &e);
    if (null)
        fclose(null);
    if (!have) {
        printf("SKIP: no Vulkan device: %s\n", e.msg);
        return 77;
    }
    Suite *suite = suite_create("golden");
    TCase *tc = tcase_create("models");
    for (int i = 0; i < N_MODELS; i++) {
        tcase_add_loop_test(tc, test_logits, i, i + 1);
        tcase_add_loop_test(tc, test_greedy, i, i + 1);
        tcase_add_loop_test(tc, test_shared_batch, i, i + 1);
    }
    suite_add_tcase(suite, tc);
    tc = tcase_create("batch");
    tcase_add_test(tc, test_preemption);
    tcase_add_test(tc, test_cancel);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK); /* a device does not survive fork */
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    engine_close(&kept);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
