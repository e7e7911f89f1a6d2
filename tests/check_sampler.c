/* Sampling rules: candidates and full rows give the same tokens, frequencies match probabilities,
 * penalties become the right edits. */
#include <config.h>

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sample/sampler.h"

static const struct sampler_params plain = {.temperature = 1.0f, .top_p = 1.0f,
                                            .repetition_penalty = 1.0f, .seed = 1};

struct pair {
    uint32_t id;
    float logit;
};

static int by_logit(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* What the device would report for a row. */
static void candidates(const float *logits, uint32_t vocab, float inv_temp,
                       struct dev_candidates *c)
{
    struct pair *all = calloc(vocab, sizeof *all);
    for (uint32_t i = 0; i < vocab; i++)
        all[i] = (struct pair){i, logits[i]};
    qsort(all, vocab, sizeof *all, by_logit);
    memset(c, 0, sizeof *c);
    c->n = vocab < DEV_CANDIDATES ? vocab : DEV_CANDIDATES;
    c->max_logit = all[0].logit;
    double sum = 0.0, sum_1 = 0.0;
    for (uint32_t i = 0; i < vocab; i++) {
        sum += exp((all[i].logit - all[0].logit) * inv_temp);
        sum_1 += exp(all[i].logit - all[0].logit);
    }
    c->sum_exp = (float)sum;
    c->sum_exp_1 = (float)sum_1;
    for (uint32_t i = 0; i < c->n; i++) {
        c->best[i].id = all[i].id;
        c->best[i].logit = all[i].logit;
    }
    free(all);
}

static void random_logits(float *out, uint32_t n, float spread)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = spread * ((float)rand() / (float)RAND_MAX - 0.5f);
}

START_TEST(test_candidates_equal_full_row)
{
    static const struct sampler_params cases[] = {
        {.temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.0f},
        {.temperature = 0.6f, .top_p = 0.95f, .repetition_penalty = 1.0f},
        {.temperature = 1.3f, .top_p = 0.5f, .top_k = 40, .repetition_penalty = 1.0f},
        {.temperature = 1.0f, .top_p = 1.0f, .top_k = 1, .repetition_penalty = 1.0f},
        {.temperature = 1.0f, .top_p = 1.0f, .top_k = 500, .repetition_penalty = 1.0f},
        {.temperature = 1.0f, .top_p = 0.9f, .min_p = 0.05f, .repetition_penalty = 1.0f},
        {.temperature = 2.0f, .top_p = 0.999f, .min_p = 0.0001f, .repetition_penalty = 1.0f},
    };
    static const uint32_t vocabs[] = {1, 5, 127, 128, 129, 1000};
    srand(3);
    int from_candidates = 0, from_full = 0;
    for (int round = 0; round < 300; round++) {
        uint32_t vocab = vocabs[round % 6];
        float logits[1000];
        random_logits(logits, vocab, round % 2 ? 6.0f : 40.0f);
        struct sampler s;
        struct sampler_params p = cases[(size_t)round % (sizeof cases / sizeof cases[0])];
        p.seed = (uint64_t)round;
        sampler_init(&s, &p);
        struct dev_candidates c;
        candidates(logits, vocab, sampler_inv_temp(&s), &c);
        for (uint64_t i = 0; i < 20; i++) {
            int32_t a, b;
            struct err e;
            ck_assert(sampler_pick_full(&s, logits, vocab, i, &b, &e));
            enum sampler_result r = sampler_pick(&s, &c, vocab, i, &a);
            if (r == SAMPLER_OK) {
                ck_assert_int_eq(a, b);
                from_candidates++;
            } else {
                ck_assert_int_eq(r, SAMPLER_NEED_LOGITS);
                ck_assert_uint_gt(vocab, DEV_CANDIDATES);
                from_full++;
            }
        }
        sampler_release(&s);
    }
    ck_assert_int_gt(from_candidates, 1000);
    ck_assert_int_gt(from_full, 50);
}
END_TEST

START_TEST(test_frequencies)
{
    float logits[5] = {0.0f, 1.0f, 2.0f, -1.0f, 0.5f};
    double count[5] = {0}, total = 0.0;
    struct dev_candidates c;
    candidates(logits, 5, 1.0f, &c);
    struct sampler s;
    sampler_init(&s, &plain);
    for (uint64_t i = 0; i < 100000; i++) {
        int32_t t;
        ck_assert_int_eq(sampler_pick(&s, &c, 5, i, &t), SAMPLER_OK);
        count[t]++;
    }
    for (int i = 0; i < 5; i++)
        total += exp(logits[i]);
    for (int i = 0; i < 5; i++) {
        double p = exp(logits[i]) / total, sigma = sqrt(p * (1 - p) / 100000);
        ck_assert_msg(fabs(count[i] / 100000 - p) < 5 * sigma, "token %d: %g, expected %g", i,
                      count[i] / 100000, p);
    }
    sampler_release(&s);
}
END_TEST

START_TEST(test_nucleus_and_cuts)
{
    float logits[4] = {3.0f, 2.0f, 1.0f, 0.0f}; /* p = .644 .237 .087 .032 */
    struct dev_candidates c;
    candidates(logits, 4, 1.0f, &c);
    struct {
        float top_p, min_p;
        uint32_t top_k;
        int32_t largest;
    } cases[] = {{0.6f, 0, 0, 0}, {0.65f, 0, 0, 1}, {0.9f, 0, 0, 2},  {1.0f, 0, 0, 3},
                 {1.0f, 0.2f, 0, 1}, {1.0f, 0.1f, 0, 2}, {1.0f, 0, 3, 2}, {0.72f, 0, 2, 0}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct sampler_params p = plain;
        p.top_p = cases[k].top_p;
        p.min_p = cases[k].min_p;
        p.top_k = cases[k].top_k;
        struct sampler s;
        sampler_init(&s, &p);
        int32_t t, largest = 0;
        for (uint64_t i = 0; i < 2000; i++) {
            ck_assert_int_eq(sampler_pick(&s, &c, 4, i, &t), SAMPLER_OK);
            largest = t > largest ? t : largest;
        }
        ck_assert_msg(largest == cases[k].largest, "case %zu: largest %d", k, largest);
        sampler_release(&s);
    }
}
END_TEST

START_TEST(test_greedy_seed_and_bad_rows)
{
    float logits[3] = {1.0f, 1.0f, 0.0f};
    struct dev_candidates c;
    candidates(logits, 3, 1.0f, &c);
    struct sampler_params p = plain;
    p.temperature = 0.0f;
    struct sampler s;
    int32_t t, u;
    sampler_init(&s, &p);
    ck_assert_int_eq(sampler_pick(&s, &c, 3, 0, &t), SAMPLER_OK);
    ck_assert_int_eq(t, 0); /* ties: lowest id */
    c.n = 0;
    ck_assert_int_eq(sampler_pick(&s, &c, 3, 0, &t), SAMPLER_NOT_FINITE);
    sampler_release(&s);
    candidates(logits, 3, 1.0f, &c);
    p = plain;
    struct sampler a, b;
    sampler_init(&a, &p);
    p.seed = 2;
    sampler_init(&b, &p);
    int differ = 0;
    for (uint64_t i = 0; i < 200; i++) {
        sampler_pick(&a, &c, 3, i, &t);
        sampler_pick(&a, &c, 3, i, &u);
        ck_assert_int_eq(t, u); /* depends on (seed, index) only */
        sampler_pick(&b, &c, 3, i, &u);
        differ += t != u;
    }
    ck_assert_int_gt(differ, 20);
    sampler_release(&a);
    sampler_release(&b);
}
END_TEST

/* Temperatures whose inverse is no float: greedy, whatever the cuts, never beyond the list. */
START_TEST(test_tiny_temperatures)
{
    static const float temperatures[] = {1e-45f, 1e-40f, 1e-38f, 1e-9f, 9e-5f};
    float logits[300];
    struct dev_candidates c;
    srand(9);
    random_logits(logits, 300, 8.0f);
    candidates(logits, 300, 1.0f, &c);
    for (int i = 0; i < 5 * 8; i++) {
        struct sampler_params p = {.temperature = temperatures[i / 8], .repetition_penalty = 1.0f,
                                   .top_k = i & 1 ? 40 : 0, .top_p = i & 2 ? 0.9f : 1.0f,
                                   .min_p = i & 4 ? 0.05f : 0.0f};
        struct sampler s;
        int32_t token = -1;
        sampler_init(&s, &p);
        ck_assert(isfinite(sampler_inv_temp(&s)));
        ck_assert_int_eq(sampler_pick(&s, &c, 300, 0, &token), SAMPLER_OK);
        ck_assert_int_eq(token, (int32_t)c.best[0].id);
        sampler_release(&s);
    }
}
END_TEST

/* A row whose sums are not numbers ends the request and nothing else. */
START_TEST(test_sums_that_are_not_numbers)
{
    float logits[300];
    struct dev_candidates c;
    srand(10);
    random_logits(logits, 300, 8.0f);
    candidates(logits, 300, 1.0f, &c);
    c.sum_exp = NAN;
    struct sampler_params p = {.temperature = 1.0f, .repetition_penalty = 1.0f, .top_p = 0.9f};
    struct sampler s;
    int32_t token = -1;
    sampler_init(&s, &p);
    ck_assert_int_eq(sampler_pick(&s, &c, 300, 0, &token), SAMPLER_NOT_FINITE);
    sampler_release(&s);
}
END_TEST

START_TEST(test_edits)
{
    struct sampler_bias bias[2] = {{7, 3.0f}, {9, -100.0f}};
    struct sampler_params p = plain;
    p.repetition_penalty = 1.5f;
    p.presence_penalty = 0.5f;
    p.frequency_penalty = 0.25f;
    p.bias = bias;
    p.n_bias = 2;
    struct sampler s;
    sampler_init(&s, &p);
    sampler_saw(&s, 5, false);
    sampler_saw(&s, 5, true);
    sampler_saw(&s, 5, true);
    sampler_saw(&s, 7, false);
    for (int32_t i = 1000; i < 1500; i++)
        sampler_saw(&s, i, true);
    uint32_t n = sampler_n_edits(&s), found = 0;
    ck_assert_uint_eq(n, 503);
    struct dev_edit *edits = calloc(n, sizeof *edits);
    sampler_edits(&s, 3, edits);
    for (uint32_t i = 0; i < n; i++) {
        const struct dev_edit *e = &edits[i];
        ck_assert_uint_eq(e->out, 3);
        if (e->token == 5)
            ck_assert(e->scale == 1.5f && e->bias == -1.0f);
        else if (e->token == 7)
            ck_assert(e->scale == 1.5f && e->bias == 3.0f);
        else if (e->token == 9)
            ck_assert(e->scale == 1.0f && e->bias == -100.0f);
        else
            ck_assert(e->token >= 1000 && e->token < 1500 && e->bias == -0.75f);
        found += e->token < 10;
    }
    ck_assert_uint_eq(found, 3);
    free(edits);
    sampler_release(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tc = tcase_create("sampler");
    tcase_add_test(tc, test_candidates_equal_full_row);
    tcase_add_test(tc, test_frequencies);
    tcase_add_test(tc, test_nucleus_and_cuts);
    tcase_add_test(tc, test_greedy_seed_and_bad_rows);
    tcase_add_test(tc, test_tiny_temperatures);
    tcase_add_test(tc, test_sums_that_are_not_numbers);
    tcase_add_test(tc, test_edits);
    suite_add_tcase(suite, tc);
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
