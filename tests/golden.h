/* Reads the golden models of tests/golden/models (see fixtures notes in tests/README.md):
 * expected.json and logits.f32 beside a model. Test code only; failures end the test program. */
#ifndef SEEKD_TESTS_GOLDEN_H
#define SEEKD_TESTS_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

struct golden_prompt {
    char name[64];
    int32_t *ids;
    size_t n;
    size_t n_positions;
    int *positions, *rows; /* stored positions and their rows in logits */
    int32_t *argmax;       /* [n] */
    int32_t greedy[64];
    size_t n_greedy;
};

struct golden {
    char name[32];
    struct golden_prompt *prompts;
    size_t n_prompts;
    float *logits; /* [rows][vocab] */
    size_t vocab;
    /* layer trace of one prompt */
    size_t trace_prompt, n_stages, hidden;
    char (*stages)[48];
    float *trace; /* [n_stages][positions][hidden] */
};

/* Path below tests/golden/models; static buffer, overwritten by the next call. */
const char *golden_path(const char *model, const char *file);
void golden_load(const char *model, struct golden *g);
void golden_release(struct golden *g);

/* Largest |a-b| over the largest |a| of one row: the measure of the fixtures' tolerances. */
double golden_max_rel(const float *a, const float *b, size_t n);

#endif
