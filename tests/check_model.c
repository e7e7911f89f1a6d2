/* Models below the scheduler: rotary frequencies against published values, the residual stream
 * after every layer against golden traces, corrupted files at every stage of loading. */
#include <config.h>

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/device.h"
#include "format/gguf.h"
#include "golden.h"
#include "gguf_corrupt.h"
#include "model/model.h"
#include "text/tokenizer.h"

static struct dev *dev;
static struct err err;

static struct model *load(const char *folder, const char *file)
{
    struct gguf *g = NULL;
    struct model *m = NULL;
    struct model_options opt = {.max_rows = 8, .max_out = 8, .max_seqs = 2};
    if (!gguf_open(golden_path(folder, file), &g, &err) || !model_load(dev, g, &opt, &m, &err))
        ck_abort_msg("%s: %s", file, err.msg);
    gguf_close(&g);
    return m;
}

START_TEST(test_yarn_frequencies)
{
    /* DeepSeek-V2/V3: width 64, base 1e4, factor 40 from 4096 positions: ramp from 10 to 23. */
    struct hparams hp = {.qk_rope = 64, .rope_base = 1e4f, .rope_scaling = HPARAMS_ROPE_YARN,
                         .rope_factor = 40, .rope_orig_ctx = 4096, .yarn_beta_fast = 32,
                         .yarn_beta_slow = 1};
    static const struct {
        int i;
        double f;
    } known[] = {{0, 1.0},           {10, 0.0562341325},   {11, 0.0390069266}, {16, 0.0055},
                 {22, 1.77827941e-4}, {23, 3.33380358e-5}, {31, 3.33380358e-6}};
    double freqs[32];
    hparams_rope_freqs(&hp, freqs);
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
        ck_assert_msg(fabs(freqs[known[k].i] / known[k].f - 1.0) < 1e-8, "frequency %d is %.10g",
                      known[k].i, freqs[known[k].i]);
    hp.rope_scaling = HPARAMS_ROPE_LINEAR;
    hparams_rope_freqs(&hp, freqs);
    ck_assert(fabs(freqs[0] - 1.0 / 40) < 1e-12);
}
END_TEST

START_TEST(test_hparams)
{
    static const struct {
        const char *model, *file;
        double scale; /* of (nope + rope)^-0.5 */
    } cases[] = {{"v3", "v3.gguf", 1.3688879}, {"v2-lite", "v2-lite-legacy.gguf", 1.2608038}};
    for (int i = 0; i < 2; i++) {
        struct gguf *g = NULL;
        struct hparams hp;
        ck_assert(gguf_open(golden_path(cases[i].model, cases[i].file), &g, &err));
        ck_assert_msg(hparams_read(g, &hp, &err), "%s", err.msg);
        ck_assert_uint_eq(hp.n_layers, 3);
        ck_assert_uint_eq(hp.n_mtp, i == 0 ? 1 : 0);
        ck_assert_uint_eq(hp.qk_nope + hp.qk_rope, 48);
        ck_assert(hp.kv_b_unsplit == (i == 1));
        ck_assert(fabs(hp.attn_scale * sqrt(48) / (cases[i].scale * cases[i].scale) - 1) < 1e-5 ||
                  i == 1); /* the legacy file's log multiplier is checked through its logits */
        ck_assert_uint_eq(hparams_kv_bytes(&hp, 2), 3u * (hp.kv_latent + hp.qk_rope) * 2);
        gguf_close(&g);
    }
}
END_TEST

static const char *const traced[][2] = {
    {"v3", "v3.gguf"}, {"v2", "v2.gguf"}, {"v2-lite", "v2-lite.gguf"},
    {"v2-lite", "v2-lite-legacy.gguf"}};

START_TEST(test_layer_traces)
{
    struct golden g;
    golden_load(traced[_i][0], &g);
    struct model *m = load(traced[_i][0], traced[_i][1]);
    const struct golden_prompt *p = &g.prompts[g.trace_prompt];
    struct dev_step *step = model_step(m);
    struct dev_row *rows = dev_buf_map(step->rows);
    struct dev_step_head *head = dev_buf_map(step->head);
    *(uint32_t *)dev_buf_map(step->block_table) = model_n_pages(m) - 1;
    *head = (struct dev_step_head){.n_rows = (uint32_t)p->n};
    for (uint32_t i = 0; i < p->n; i++)
        rows[i] = (struct dev_row){.token = (uint32_t)p->ids[i], .pos = i};
    float *x = calloc(p->n * g.hidden, sizeof *x);
    for (uint32_t layers = 0; layers <= model_hparams(m)->n_layers; layers++) {
        char stage[48];
        if (layers == 0)
            snprintf(stage, sizeof stage, "embed");
        else
            snprintf(stage, sizeof stage, "layer%u.output", layers - 1);
        ck_assert_msg(model_trace(m, layers, x, &err), "%s", err.msg);
        size_t s = 0;
        while (s < g.n_stages && strcmp(g.stages[s], stage) != 0)
            s++;
        ck_assert_msg(s < g.n_stages, "no stage %s", stage);
        for (size_t i = 0; i < p->n; i++) {
            const float *want = g.trace + (s * p->n + i) * g.hidden;
            double rel = golden_max_rel(want, x + i * g.hidden, g.hidden);
            ck_assert_msg(rel <= 5e-5, "%s %s position %zu: max_rel %.3g", traced[_i][1], stage, i,
                          rel);
        }
    }
    free(x);
    model_destroy(&m);
    golden_release(&g);
}
END_TEST

/* Opens, reads and loads one file the way the engine does. True when everything succeeded. */
static bool load_all_stages(const char *path)
{
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct model *m = NULL;
    struct model_options opt = {.max_rows = 4, .max_out = 4, .max_seqs = 1,
                                .kv_bytes = (uint64_t)16 << 20};
    err = ERR_INIT;
    bool ok = gguf_open(path, &g, &err) && tokenizer_create(g, &t, &err) &&
              model_load(dev, g, &opt, &m, &err);
    model_destroy(&m);
    tokenizer_destroy(&t);
    gguf_close(&g);
    return ok;
}

static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*len);
    ck_assert_uint_eq(fread(data, 1, *len, f), *len);
    fclose(f);
    return data;
}

/* Every corrupted file either loads (harmless change) or gives exactly one clear line. The v3 file
 * has thousands of variants; every `stride`-th is taken, at least 300. */
START_TEST(test_corrupted_files)
{
    size_t len, refused = 0, loaded = 0;
    uint8_t *bytes = read_file(golden_path("v3", "v3.gguf"), &len);
    struct gguf_corrupt *c = gguf_corrupt_create(bytes, len, 50);
    ck_assert_ptr_nonnull(c);
    size_t count = gguf_corrupt_count(c), stride = count / 320;
    char path[] = "corrupted-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_uint_ge(count, 300);
    for (size_t i = 0; i < count; i += stride ? stride : 1) {
        struct gguf_variant v;
        gguf_corrupt_make(c, i, &v);
        FILE *f = fopen(path, "wb");
        ck_assert_uint_eq(fwrite(v.bytes, 1, v.n_bytes, f), v.n_bytes);
        fclose(f);
        if (load_all_stages(path)) {
            ck_assert_msg(v.expect != GGUF_REFUSED, "%s was loaded", v.name);
            loaded++;
        } else {
            ck_assert_msg(err.code != ERR_NONE && err.msg[0] && !strchr(err.msg, '\n'),
                          "%s: no clear error", v.name);
            ck_assert_msg(err.code != ERR_DEVICE && err.code != ERR_INTERNAL, "%s: %s", v.name,
                          err.msg);
            refused++;
        }
        free(v.bytes);
    }
    remove(path);
    printf("corrupted model files: %zu refused with one error each, %zu harmless\n", refused,
           loaded);
    ck_assert_uint_ge(refused + loaded, 300);
    /* and the next good one loads */
    ck_assert_msg(load_all_stages(golden_path("v3", "v3.gguf")), "%s", err.msg);
    gguf_corrupt_destroy(&c);
    free(bytes);
}
END_TEST

int main(void)
{
    struct dev_options opt = {.name = getenv("SEEKD_TEST_DEVICE")};
    if (!opt.name)
        opt.name = "auto";
    if (!dev_open(&opt, &dev, &err)) {
        printf("SKIP: no Vulkan device: %s\n", err.msg);
        return 77;
    }
    Suite *suite = suite_create("model");
    TCase *tc = tcase_create("model");
    tcase_add_test(tc, test_yarn_frequencies);
    tcase_add_test(tc, test_hparams);
    tcase_add_loop_test(tc, test_layer_traces, 0, sizeof traced / sizeof traced[0]);
    tcase_add_test(tc, test_corrupted_files);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_set_fork_status(sr, CK_NOFORK); /* a device does not survive fork */
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    dev_close(&dev);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
