/* Owns: the order of operations of DeepSeek V2, V2-Lite and V3: multi-head latent attention in
 * absorbed form, dense layers first, then mixtures of experts with shared experts. Refuses to know
 * how ops run and what the scheduler put into the step.
 *
 * One layer, in terms of MODELS' symbols (D hidden, r latent, n nope, e rope, v value, H heads):
 *   norm = RMS(x); q = W_qb RMS(W_qa norm); kv = W_kva norm
 *   prep: kv -> cache page (latent normed, key rotated); rotated q parts -> q_abs[.., r..]
 *   q_abs[.., 0..r] = W_UK^T q_nope; z = attention(q_abs, cache); o = W_UV z; x += W_o o
 *   norm = RMS(x); dense: x += W_d (silu(W_g norm) * W_u norm)
 *   or experts: route, sort by expert, gated and down per expert, shared experts, weighted sum.
 * Source: DeepSeek-V2 report section 2.1; DeepSeek-V3 report section 2.1.
 */
#include <config.h>

#include "model/arch.h"

static bool add_norm(struct plan *p, const struct arch_context *c, const char *label,
                     struct dev_view src, struct dev_view dst, uint32_t weight, uint32_t n,
                     enum dev_rows rows, struct err *e)
{
    struct op op = {.kind = OP_RMSNORM, .label = label,
                    .u.rmsnorm = {.src = src, .dst = dst, .weight = c->w->vectors,
                                  .weight_offset = weight, .n = n, .eps = c->hp->rms_eps,
                                  .rows = rows}};
    return plan_add(p, &op, e);
}

static bool add_matmul(struct plan *p, const char *label, struct dev_weight *w, struct dev_view x,
                       struct dev_view y, bool accumulate, struct err *e)
{
    struct op op = {.kind = OP_MATMUL, .label = label,
                    .u.matmul = {.w = w, .x = x, .y = y, .accumulate = accumulate}};
    return plan_add(p, &op, e);
}

/* One small matrix per head: head h reads x + h * x_step and writes y + h * y_step. */
static bool add_per_head(struct plan *p, const char *label, struct dev_weight *w, struct dev_view x,
                         uint32_t x_step, struct dev_view y, uint32_t y_step, struct err *e)
{
    struct op op = {.kind = OP_MATMUL, .label = label,
                    .u.matmul = {.w = w, .x = x, .y = y, .x_step = x_step, .y_step = y_step}};
    return plan_add(p, &op, e);
}

static bool add_gated(struct plan *p, const char *label, const struct layer_weights *w,
                      struct dev_view x, struct dev_view y, struct err *e)
{
    struct op op = {.kind = OP_GATED, .label = label,
                    .u.gated = {.gate = w->gate, .up = w->up, .x = x, .y = y}};
    return plan_add(p, &op, e);
}

static bool attention(struct plan *p, const struct arch_context *c, uint32_t layer, struct err *e)
{
    const struct hparams *hp = c->hp;
    const struct layer_weights *w = &c->w->layers[layer];
    const struct activations *a = c->a;
    uint32_t q_head = hp->qk_nope + hp->qk_rope, abs_head = hp->kv_latent + hp->qk_rope;

    if (!add_norm(p, c, "attn_norm", a->x, a->norm, w->attn_norm, hp->hidden, DEV_ROWS_STEP, e))
        return false;
    if (w->q_a) {
        if (!add_matmul(p, "q_a", w->q_a, a->norm, a->q_lora, false, e) ||
            !add_norm(p, c, "q_a_norm", a->q_lora, a->q_lora, w->q_a_norm, hp->q_lora,
                      DEV_ROWS_STEP, e) ||
            !add_matmul(p, "q_b", w->q_b, a->q_lora, a->q, false, e))
            return false;
    } else if (!add_matmul(p, "q", w->q_b, a->norm, a->q, false, e)) {
        return false;
    }
    struct op prep = {.kind = OP_MLA_PREP, .label = "mla_prep",
                      .u.mla_prep = {.q = a->q, .dst = a->q_abs, .kv = a->kv,
                                     .norm = c->w->vectors, .norm_offset = w->kv_a_norm,
                                     .eps = hp->rms_eps, .rope = c->rope, .cache = c->kv[layer],
                                     .cache_f16 = c->kv_f16, .n_head = hp->n_head,
                                     .nope = hp->qk_nope, .latent = hp->kv_latent}};
    struct op attn = {.kind = OP_MLA_ATTN, .label = "mla_attn",
                      .u.mla_attn = {.q = a->q_abs, .dst = a->z, .cache = c->kv[layer],
                                     .cache_f16 = c->kv_f16, .n_head = hp->n_head,
                                     .latent = hp->kv_latent, .n_rope = hp->qk_rope,
                                     .scale = hp->attn_scale}};
    return add_matmul(p, "kv_a", w->kv_a, a->norm, a->kv, false, e) && plan_add(p, &prep, e) &&
           add_per_head(p, "k_b", w->k_b, a->q, q_head, a->q_abs, abs_head, e) &&
           plan_add(p, &attn, e) &&
           add_per_head(p, "v_b", w->v_b, a->z, hp->kv_latent, a->o, hp->v_head, e) &&
           add_matmul(p, "attn_out", w->attn_out, a->o, a->x, true, e);
}

static bool experts(struct plan *p, const struct arch_context *c, uint32_t layer, struct err *e)
{
    const struct hparams *hp = c->hp;
    const struct layer_weights *w = &c->w->layers[layer];
    const struct activations *a = c->a;
    struct op route = {
        .kind = OP_ROUTE, .label = "route",
        .u.route = {.logits = a->router, .bias = w->has_expert_bias ? c->w->vectors : NULL,
                    .bias_offset = w->expert_bias, .choice = a->choice, .weight = a->weight,
                    .n_expert = hp->n_expert, .n_used = hp->n_used, .n_group = hp->n_group,
                    .groups_used = hp->groups_used, .renorm = hp->renorm,
                    .gating = hp->gating == HPARAMS_GATING_SIGMOID ? OP_GATING_SIGMOID
                                                                    : OP_GATING_SOFTMAX,
                    .scale = hp->routed_scale}};
    struct op lists = {.kind = OP_MOE_PLAN, .label = "moe_plan",
                       .u.moe_plan = {.choice = a->choice, .lists = a->lists,
                                      .n_expert = hp->n_expert, .n_used = hp->n_used,
                                      .stat = layer}};
    struct op gated = {.kind = OP_MOE_GATED, .label = "moe_gated",
                       .u.moe_gated = {.gate = w->gate_exps, .up = w->up_exps, .x = a->norm,
                                       .h = a->moe_h, .lists = a->lists, .n_used = hp->n_used}};
    struct op down = {.kind = OP_MOE_DOWN, .label = "moe_down",
                      .u.moe_down = {.down = w->down_exps, .h = a->moe_h, .o = a->moe_o,
                                     .lists = a->lists, .weight = a->weight,
                                     .n_used = hp->n_used}};
    struct op sum = {.kind = OP_MOE_COMBINE, .label = "moe_combine",
                     .u.moe_combine = {.o = a->moe_o, .y = a->x, .n = hp->hidden,
                                       .n_used = hp->n_used}};
    if (!add_matmul(p, "router", w->router, a->norm, a->router, false, e) ||
        !plan_add(p, &route, e) || !plan_add(p, &lists, e) || !plan_add(p, &gated, e) ||
        !plan_add(p, &down, e))
        return false;
    if (w->gate && (!add_gated(p, "shared_gated", w, a->norm, a->gated, e) ||
                    !add_matmul(p, "shared_down", w->down, a->gated, a->x, true, e)))
        return false;
    return plan_add(p, &sum, e);
}

static bool feed_forward(struct plan *p, const struct arch_context *c, uint32_t layer,
                         struct err *e)
{
    const struct layer_weights *w = &c->w->layers[layer];
    const struct activations *a = c->a;
    if (!add_norm(p, c, "ffn_norm", a->x, a->norm, w->ffn_norm, c->hp->hidden, DEV_ROWS_STEP, e))
        return false;
    if (w->moe)
        return experts(p, c, layer, e);
    return add_gated(p, "ffn_gated", w, a->norm, a->gated, e) &&
           add_matmul(p, "ffn_down", w->down, a->gated, a->x, true, e);
}

bool arch_deepseek2_layers(struct plan *p, const struct arch_context *c, uint32_t first,
                           uint32_t last, struct err *e)
{
    if (first == 0) {
        struct op embed = {.kind = OP_EMBED, .label = "embed",
                           .u.embed = {.w = c->w->embd, .dst = c->a->x}};
        if (!plan_add(p, &embed, e))
            return false;
    }
    for (uint32_t layer = first; layer < last; layer++) {
        if (!attention(p, c, layer, e) || !feed_forward(p, c, layer, e))
            return err_prefix(e, "layer %u", layer);
    }
    return true;
}

bool arch_deepseek2_head(struct plan *p, const struct arch_context *c, struct err *e)
{
    const struct activations *a = c->a;
    const struct hparams *hp = c->hp;
    struct op gather = {.kind = OP_GATHER, .label = "gather_out",
                        .u.gather = {.src = a->x, .dst = a->out, .n = hp->hidden}};
    struct op head = {.kind = OP_MATMUL, .label = "head",
                      .u.matmul = {.w = c->w->head, .x = a->out, .y = a->logits,
                                   .rows = DEV_ROWS_OUT}};
    struct op edit = {.kind = OP_EDIT, .label = "edit",
                      .u.edit = {.logits = a->logits, .vocab = hp->vocab}};
    struct op best = {.kind = OP_CANDIDATES, .label = "candidates",
                      .u.candidates = {.logits = a->logits, .vocab = hp->vocab}};
    return plan_add(p, &gather, e) &&
           add_norm(p, c, "out_norm", a->out, a->out, c->w->out_norm, hp->hidden, DEV_ROWS_OUT, e) &&
           plan_add(p, &head, e) && plan_add(p, &edit, e) && plan_add(p, &best, e);
}
