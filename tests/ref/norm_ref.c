/* RMS norm (Zhang & Sennrich 2019) and rotary angles (Su et al. 2021). */
#include <config.h>

#include "ref/ref.h"

#include <math.h>

void ref_rmsnorm(const float *src, const float *weight, uint32_t n, float eps, double *dst)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)src[i] * src[i];
    double r = 1 / sqrt(sum / n + eps);
    for (uint32_t i = 0; i < n; i++)
        dst[i] = src[i] * r * weight[i];
}

void ref_rope_angle(uint32_t pos, uint32_t i, uint32_t n_rope, double base, double *c, double *s)
{
    double angle = pos * pow(base, -2.0 * i / n_rope);
    *c = cos(angle);
    *s = sin(angle);
}

void ref_rope(const float *v, uint32_t n_rope, uint32_t pos, double base, double *out)
{
    for (uint32_t i = 0; i < n_rope / 2; i++) {
        double c, s;
        ref_rope_angle(pos, i, n_rope, base, &c, &s);
        out[2 * i] = v[2 * i] * c - v[2 * i + 1] * s;
        out[2 * i + 1] = v[2 * i] * s + v[2 * i + 1] * c;
    }
}
