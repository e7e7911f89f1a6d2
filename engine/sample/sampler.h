/* Choice of the next token of one request, from the candidates that the device selected.
 *
 * Order: logit edits on the device (repetition, presence, frequency, bias), then temperature, min_p,
 * top_k, top_p, and one draw. Reproducible: the draw for output position i depends on (seed, i)
 * only, so batching and preemption do not change it.
 * When the answer may lie beyond the device's candidates, the caller supplies the whole row of logits.
 *
 * Thread: one at a time. Memory: the table of seen tokens grows with the request, at most the
 * vocabulary.
 */
#ifndef SEEKD_SAMPLE_SAMPLER_H
#define SEEKD_SAMPLE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "device/device.h"

struct sampler_bias {
    int32_t token;
    float bias;
};

struct sampler_params {
    float temperature; /* 0 = greedy */
    uint32_t top_k;    /* 0 = off */
    float top_p, min_p;
    float repetition_penalty, presence_penalty, frequency_penalty;
    uint64_t seed;
    const struct sampler_bias *bias; /* read by sampler_init only; one entry per token at most */
    uint32_t n_bias;
};

struct sampler_seen {
    int32_t token;      /* -1: free slot */
    bool in_text;       /* occurred in prompt or output */
    uint32_t in_output; /* occurrences in the output */
    float bias;
};

struct sampler {
    struct sampler_params p;
    bool tracks;                /* some penalty is on: tokens are noted */
    struct sampler_seen *table; /* open addressing, power-of-two size */
    uint32_t n_seen, cap;
};

void sampler_init(struct sampler *s, const struct sampler_params *p);
void sampler_release(struct sampler *s);

/* Notes a token of the prompt or of the output for the penalties. Cost: O(1). */
void sampler_saw(struct sampler *s, int32_t token, bool output);

/* 1/temperature for struct dev_out. */
float sampler_inv_temp(const struct sampler *s);
/* Number of edits that sampler_edits will write, and writing them (out = index of the out row). */
uint32_t sampler_n_edits(const struct sampler *s);
void sampler_edits(const struct sampler *s, uint32_t out, struct dev_edit *edits);

enum sampler_result {
    SAMPLER_OK,
    SAMPLER_NEED_LOGITS, /* call sampler_pick_full with the whole row */
    SAMPLER_NOT_FINITE   /* the row holds NaN or infinity */
};

/* Picks output token number `index` (0-based). *token is set on SAMPLER_OK. */
enum sampler_result sampler_pick(const struct sampler *s, const struct dev_candidates *c,
                                 uint32_t vocab, uint64_t index, int32_t *token);
/* The same draw from the edited logits [vocab]. ERR_NOMEM when no room for sorting. */
bool sampler_pick_full(const struct sampler *s, const float *logits, uint32_t vocab, uint64_t index,
                       int32_t *token, struct err *e) WARN_UNUSED;

#endif
