/* Owns: the sampling rules and the per-request random numbers. Refuses to know sequences and text.
 *
 * Candidates and full rows go through one function, draw(): tokens sorted best first, the mass of the
 * whole row, and whether the list is complete. On an incomplete list it answers only when no token
 * beyond the list can change the answer.
 */
#include <config.h>

#include "sample/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static uint32_t slot_of(const struct sampler *s, int32_t token)
{
    uint32_t mask = s->cap - 1, i = ((uint32_t)token * 2654435761u) & mask;
    while (s->table[i].token >= 0 && s->table[i].token != token)
        i = (i + 1) & mask;
    return i;
}

static void grow(struct sampler *s)
{
    struct sampler_seen *old = s->table;
    uint32_t old_cap = s->cap;
    s->cap = old_cap ? old_cap * 2 : 64;
    s->table = mem_calloc(s->cap, sizeof *s->table);
    for (uint32_t i = 0; i < s->cap; i++)
        s->table[i].token = -1;
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i].token >= 0)
            s->table[slot_of(s, old[i].token)] = old[i];
    free(old);
}

static struct sampler_seen *entry(struct sampler *s, int32_t token)
{
    if (s->n_seen * 2 >= s->cap)
        grow(s);
    struct sampler_seen *e = &s->table[slot_of(s, token)];
    if (e->token < 0) {
        *e = (struct sampler_seen){.token = token};
        s->n_seen++;
    }
    return e;
}

/* Below this, the best token has all the mass but for exact ties, and 1 / temperature would leave the
 * range of a float: treated as greedy. */
static const float MIN_TEMPERATURE = 1e-4f;

void sampler_init(struct sampler *s, const struct sampler_params *p)
{
    *s = (struct sampler){.p = *p};
    if (p->temperature < MIN_TEMPERATURE)
        s->p.temperature = 0.0f;
    s->tracks = p->repetition_penalty != 1.0f || p->presence_penalty != 0.0f ||
                p->frequency_penalty != 0.0f;
    for (uint32_t i = 0; i < p->n_bias; i++)
        entry(s, p->bias[i].token)->bias = p->bias[i].bias;
    s->p.bias = NULL;
}

void sampler_release(struct sampler *s)
{
    free(s->table);
    *s = (struct sampler){0};
}

void sampler_saw(struct sampler *s, int32_t token, bool output)
{
    if (!s->tracks)
        return;
    struct sampler_seen *e = entry(s, token);
    e->in_text = true;
    e->in_output += output;
}

float sampler_inv_temp(const struct sampler *s)
{
    return s->p.temperature > 0.0f ? 1.0f / s->p.temperature : 1.0f;
}

uint32_t sampler_n_edits(const struct sampler *s)
{
    return s->n_seen;
}

void sampler_edits(const struct sampler *s, uint32_t out, struct dev_edit *edits)
{
    for (uint32_t i = 0; i < s->cap; i++) {
        const struct sampler_seen *e = &s->table[i];
        if (e->token < 0)
            continue;
        float minus = s->p.frequency_penalty * (float)e->in_output;
        if (e->in_output)
            minus += s->p.presence_penalty;
        *edits++ = (struct dev_edit){.out = out,
                                     .token = (uint32_t)e->token,
                                     .scale = e->in_text ? s->p.repetition_penalty : 1.0f,
                                     .bias = e->bias - minus};
    }
}

/* Uniform number in [0, 1) for output position `index`: splitmix64 of (seed, index).
 * Source: Steele, Lea, Flood 2014. */
static double uniform(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

struct ranked {
    uint32_t id;
    float logit;
};

/* list: n tokens, best first; mass: sum over the whole row of exp((l - max) / T); complete: the list
 * is the whole row. */
static enum sampler_result draw(const struct sampler *s, const struct ranked *list, uint32_t n,
                                bool complete, double mass, double u, int32_t *token)
{
    double inv_temp = sampler_inv_temp(s), max = list[0].logit;
    uint32_t keep = s->p.top_k && s->p.top_k < n ? s->p.top_k : n;
    bool cut = keep < n || complete || (s->p.top_k && s->p.top_k == n);
    double sum = 0.0;
    for (uint32_t i = 0; i < keep; i++) {
        double w = exp((list[i].logit - max) * inv_temp);
        if (w < s->p.min_p) {
            keep = i;
            cut = true;
            break;
        }
        sum += w;
    }
    if (!cut && (s->p.top_k || s->p.min_p > 0.0f))
        return SAMPLER_NEED_LOGITS; /* these cuts may fall beyond the list */
    double total = cut ? sum : mass, nucleus = total, cum = 0.0;
    if (keep == 0 || !(total > 0.0))
        return SAMPLER_NOT_FINITE;
    if (s->p.top_p < 1.0f) {
        nucleus = 0.0;
        uint32_t i = 0;
        while (i < keep && nucleus < s->p.top_p * total)
            nucleus += exp((list[i++].logit - max) * inv_temp);
        if (!cut && nucleus < s->p.top_p * total)
            return SAMPLER_NEED_LOGITS;
        keep = i;
    }
    for (uint32_t i = 0; i < keep; i++) {
        cum += exp((list[i].logit - max) * inv_temp);
        if (u * nucleus < cum) {
            *token = (int32_t)list[i].id;
            return SAMPLER_OK;
        }
    }
    if (!cut && s->p.top_p >= 1.0f)
        return SAMPLER_NEED_LOGITS;
    *token = (int32_t)list[keep - 1].id; /* rounding at the very end of the last interval */
    return SAMPLER_OK;
}

enum sampler_result sampler_pick(const struct sampler *s, const struct dev_candidates *c,
                                 uint32_t vocab, uint64_t index, int32_t *token)
{
    if (c->n == 0)
        return SAMPLER_NOT_FINITE;
    if (s->p.temperature <= 0.0f) {
        *token = (int32_t)c->best[0].id;
        return SAMPLER_OK;
    }
    struct ranked list[DEV_CANDIDATES];
    for (uint32_t i = 0; i < c->n; i++)
        list[i] = (struct ranked){c->best[i].id, c->best[i].logit};
    return draw(s, list, c->n, c->n >= vocab, c->sum_exp, uniform(s->p.seed, index), token);
}

static int by_logit(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

bool sampler_pick_full(const struct sampler *s, const float *logits, uint32_t vocab, uint64_t index,
                       int32_t *token, struct err *e)
{
    struct ranked *list = mem_try_calloc(vocab, sizeof *list);
    if (!list)
        FAIL(e, ERR_NOMEM, "out of memory for sampling over %u tokens", vocab);
    for (uint32_t i = 0; i < vocab; i++)
        list[i] = (struct ranked){i, logits[i]};
    qsort(list, vocab, sizeof *list, by_logit);
    double mass = 0.0, inv_temp = sampler_inv_temp(s);
    for (uint32_t i = 0; i < vocab; i++)
        mass += exp((list[i].logit - list[0].logit) * inv_temp);
    enum sampler_result r = draw(s, list, vocab, true, mass, uniform(s->p.seed, index), token);
    free(list);
    if (r != SAMPLER_OK)
        FAIL(e, ERR_INTERNAL, "sampling from a complete row failed");
    return true;
}
