/* Latent attention, absorbed form: softmax with the maximum taken over all positions first. */
#include <config.h>

#include "ref/ref.h"

#include <math.h>
#include <string.h>

static double score(const float *q, const float *key, uint32_t n)
{
    double s = 0;
    for (uint32_t i = 0; i < n; i++)
        s += (double)q[i] * key[i];
    return s;
}

void ref_mla_head(const float *q, uint32_t n_pos, uint32_t latent, uint32_t n_rope, double scale,
                  ref_cache_entry *entry, const void *ctx, double *out)
{
    double top = -INFINITY, total = 0;
    for (uint32_t u = 0; u < n_pos; u++)
        top = fmax(top, scale * score(q, entry(ctx, u), latent + n_rope));
    memset(out, 0, latent * sizeof *out);
    for (uint32_t u = 0; u < n_pos; u++) {
        const float *v = entry(ctx, u);
        double p = exp(scale * score(q, v, latent + n_rope) - top);
        total += p;
        for (uint32_t i = 0; i < latent; i++)
            out[i] += p * v[i];
    }
    for (uint32_t i = 0; i < latent; i++)
        out[i] /= total;
}
