/* Scalar references of the op vocabulary (engine/device/device.h): plain loops, sums in double,
 * matrices of float32 row by row. They define what a kernel should have computed; nothing here is
 * fast. Shapes as in device.h; a view's stride is the width of the array unless it is named.
 */
#ifndef SEEKD_TESTS_REF_H
#define SEEKD_TESTS_REF_H

#include <stdbool.h>
#include <stdint.h>

/* Row `row` of a weight in file form as floats: out[cols]. */
void ref_weight_row(uint32_t type, const void *data, uint32_t cols, uint64_t row, float *out);

/* Product of one weight row with x[cols]; *scale = sum of |w * x|, what errors are measured by. */
double ref_dot(const float *w, const float *x, uint32_t cols, double *scale);
double ref_silu(double g);

void ref_rmsnorm(const float *src, const float *weight, uint32_t n, float eps, double *dst);

/* cos and sin of pair i of n_rope at position pos: angle = pos * base^(-2i / n_rope). */
void ref_rope_angle(uint32_t pos, uint32_t i, uint32_t n_rope, double base, double *c, double *s);
/* Rotates the pairs (2i, 2i+1) of v[n_rope]. */
void ref_rope(const float *v, uint32_t n_rope, uint32_t pos, double base, double *out);

/* One head: q[latent + rope], cache entries through `entry(ctx, u)`; out[latent]. */
typedef const float *ref_cache_entry(const void *ctx, uint32_t u);
void ref_mla_head(const float *q, uint32_t n_pos, uint32_t latent, uint32_t n_rope, double scale,
                  ref_cache_entry *entry, const void *ctx, double *out);

struct ref_route {
    uint32_t n_expert, n_used, n_group, groups_used;
    const float *bias; /* NULL: none */
    bool sigmoid, renorm;
    double scale;
};
/* One row. `gap`: distance of the last chosen (or the last kept group) from the best one left out;
 * when it is tiny, float32 may rightly choose otherwise. */
void ref_route(const struct ref_route *r, const float *logits, uint32_t *choice, double *weight,
               double *gap);

/* Best n of logits[vocab], best first, ties by lowest id. */
void ref_best(const float *logits, uint32_t vocab, uint32_t n, uint32_t *id);
double ref_sum_exp(const float *logits, uint32_t vocab, double inv_temp);

#endif
