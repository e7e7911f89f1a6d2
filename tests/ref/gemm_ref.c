/* Matrix products: decoding by format/quant.c, sums in double. */
#include <config.h>

#include "ref/ref.h"

#include <math.h>

#include "format/quant.h"

void ref_weight_row(uint32_t type, const void *data, uint32_t cols, uint64_t row, float *out)
{
    const struct quant_type *t = quant_type_get(type);
    uint64_t blocks = cols / t->block_elems;
    t->dequant((const uint8_t *)data + row * blocks * t->block_bytes, blocks, out);
}

double ref_dot(const float *w, const float *x, uint32_t cols, double *scale)
{
    double sum = 0, size = 0;
    for (uint32_t k = 0; k < cols; k++) {
        double product = (double)w[k] * x[k];
        sum += product;
        size += fabs(product);
    }
    *scale = size;
    return sum;
}

double ref_silu(double g)
{
    return g / (1 + exp(-g));
}
