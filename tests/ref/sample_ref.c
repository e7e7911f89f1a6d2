/* Candidates of an output row. */
#include <config.h>

#include "ref/ref.h"

#include <math.h>
#include <stdlib.h>

static const float *sorted_by; /* qsort has no context argument; tests are single-threaded */

static int better(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (sorted_by[x] != sorted_by[y])
        return sorted_by[x] > sorted_by[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

void ref_best(const float *logits, uint32_t vocab, uint32_t n, uint32_t *id)
{
    uint32_t *all = calloc(vocab, sizeof *all);
    if (!all)
        abort();
    for (uint32_t i = 0; i < vocab; i++)
        all[i] = i;
    sorted_by = logits;
    qsort(all, vocab, sizeof *all, better);
    for (uint32_t i = 0; i < n; i++)
        id[i] = all[i];
    free(all);
}

double ref_sum_exp(const float *logits, uint32_t vocab, double inv_temp)
{
    double top = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < vocab; i++)
        top = fmax(top, logits[i]);
    for (uint32_t i = 0; i < vocab; i++)
        sum += exp((logits[i] - top) * inv_temp);
    return sum;
}
