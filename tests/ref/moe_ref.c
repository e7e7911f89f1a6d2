/* Router: scores, groups, the best experts (rules of struct op_route). */
#include <config.h>

#include "ref/ref.h"

#include <math.h>
#include <string.h>

enum { MAX_EXPERTS = 512 };

static void scores(const struct ref_route *r, const float *logits, double *s)
{
    double top = -INFINITY, sum = 0;
    for (uint32_t e = 0; e < r->n_expert; e++)
        top = fmax(top, logits[e]);
    for (uint32_t e = 0; e < r->n_expert; e++) {
        s[e] = r->sigmoid ? 1 / (1 + exp(-(double)logits[e])) : exp(logits[e] - top);
        sum += s[e];
    }
    for (uint32_t e = 0; e < r->n_expert && !r->sigmoid; e++)
        s[e] /= sum;
}

/* Index of the largest unused value, lowest index first. */
static uint32_t largest(const double *v, const bool *used, uint32_t n)
{
    uint32_t best = n;
    for (uint32_t i = 0; i < n; i++)
        if (!used[i] && (best == n || v[i] > v[best]))
            best = i;
    return best;
}

static void narrow(double *gap, double kept, double dropped)
{
    if (kept - dropped < *gap)
        *gap = kept - dropped;
}

static void keep_groups(const struct ref_route *r, double *c, double *gap)
{
    double group[MAX_EXPERTS];
    bool kept[MAX_EXPERTS] = {false};
    uint32_t n = r->n_expert / r->n_group;

    for (uint32_t g = 0; g < r->n_group; g++) {
        bool used[MAX_EXPERTS] = {false};
        uint32_t first = largest(c + (size_t)g * n, used, n);
        group[g] = c[g * n + first];
        used[first] = true;
        if (r->bias && n > 1)
            group[g] += c[g * n + largest(c + (size_t)g * n, used, n)];
    }
    double last = 0;
    for (uint32_t k = 0; k < r->groups_used; k++) {
        uint32_t g = largest(group, kept, r->n_group);
        kept[g] = true;
        last = group[g];
    }
    for (uint32_t g = 0; g < r->n_group; g++)
        if (!kept[g]) {
            narrow(gap, last, group[g]);
            for (uint32_t e = g * n; e < (g + 1) * n; e++)
                c[e] = -INFINITY;
        }
}

void ref_route(const struct ref_route *r, const float *logits, uint32_t *choice, double *weight,
               double *gap)
{
    double s[MAX_EXPERTS], c[MAX_EXPERTS], sum = 0;
    bool used[MAX_EXPERTS] = {false};

    *gap = INFINITY;
    scores(r, logits, s);
    for (uint32_t e = 0; e < r->n_expert; e++)
        c[e] = s[e] + (r->bias ? r->bias[e] : 0);
    if (r->n_group > 1)
        keep_groups(r, c, gap);
    for (uint32_t k = 0; k < r->n_used; k++) {
        choice[k] = largest(c, used, r->n_expert);
        used[choice[k]] = true;
        sum += s[choice[k]];
        uint32_t next = largest(c, used, r->n_expert);
        if (next < r->n_expert)
            narrow(gap, c[choice[k]], c[next]);
    }
    for (uint32_t k = 0; k < r->n_used; k++)
        weight[k] = s[choice[k]] / (r->renorm ? sum + 1e-20 : 1) * r->scale;
}
