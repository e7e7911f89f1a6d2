/* Plans: the op list of a step, checked op by op, and the order in which it runs.
 *
 * Owns the ops and their stages; the device behind struct dev_impl owns what it executes. The order
 * follows from what ops declare in dev_op_access(): an op must wait for an earlier one when either
 * writes what the other touches. Each op goes into the first stage behind everything it waits for;
 * stages are separated by one barrier each, so there are as few as the longest chain of ops needs.
 * Knows no device.
 */
#include <config.h>

#include "device/impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/mem.h"

const char *op_kind_name(enum op_kind kind)
{
    static const char *const names[OP_COUNT] = {
        [OP_EMBED] = "embed",       [OP_RMSNORM] = "rmsnorm",         [OP_MATMUL] = "matmul",
        [OP_GATED] = "gated",       [OP_MLA_PREP] = "mla_prep",       [OP_MLA_ATTN] = "mla_attn",
        [OP_ROUTE] = "route",       [OP_MOE_PLAN] = "moe_plan",       [OP_MOE_GATED] = "moe_gated",
        [OP_MOE_DOWN] = "moe_down", [OP_MOE_COMBINE] = "moe_combine", [OP_GATHER] = "gather",
        [OP_EDIT] = "edit",         [OP_CANDIDATES] = "candidates",
    };
    return (unsigned)kind < OP_COUNT ? names[kind] : "unknown";
}

/* ---- what ops touch -------------------------------------------------------------------------- */

struct access_list {
    struct dev_access *acc;
    size_t n, max;
};

static void touch(struct access_list *l, struct dev_access a)
{
    if (!a.buf)
        return;
    if (l->n < l->max)
        l->acc[l->n] = a;
    l->n++;
}

static void reads(struct access_list *l, const struct dev_buf *buf)
{
    touch(l, (struct dev_access){.buf = buf});
}

static void writes(struct access_list *l, const struct dev_buf *buf)
{
    touch(l, (struct dev_access){.buf = buf, .write = true});
}

/* Elements [at, at + count) of every `period` elements of each row of a view, written. */
static void writes_part(struct access_list *l, const struct dev_view *v, uint32_t period,
                        uint32_t at, uint32_t count)
{
    struct dev_access a = {.buf = v->buf, .write = true};

    if (period > 0 && v->stride % period == 0) {
        uint64_t first = ((uint64_t)v->offset + at) % period;
        if (first + count <= period) {
            a.period = period;
            a.first = (uint32_t)first;
            a.count = count;
        }
    }
    touch(l, a);
}

static void access_matmul(struct access_list *l, const struct op_matmul *o)
{
    const struct dev_weight_desc *w = dev_weight_desc(o->w);

    reads(l, o->x.buf);
    if (o->accumulate)
        reads(l, o->y.buf);
    if (w->n_mat > 1)
        writes_part(l, &o->y, o->y_step, 0, w->rows);
    else
        writes(l, o->y.buf);
}

static void access_attention(struct access_list *l, const struct op *op, const struct dev_step *s)
{
    reads(l, s->rows);
    reads(l, s->block_table);
    if (op->kind == OP_MLA_PREP) {
        const struct op_mla_prep *o = &op->u.mla_prep;
        reads(l, o->q.buf);
        reads(l, o->kv.buf);
        reads(l, o->norm);
        reads(l, o->rope.table);
        writes_part(l, &o->dst, o->latent + o->rope.n_rope, o->latent, o->rope.n_rope);
        writes(l, o->cache);
    } else {
        const struct op_mla_attn *o = &op->u.mla_attn;
        reads(l, o->q.buf);
        reads(l, o->cache);
        writes(l, o->dst.buf);
    }
}

static void access_experts(struct access_list *l, const struct op *op, const struct dev_step *s)
{
    switch (op->kind) {
    case OP_ROUTE:
        reads(l, op->u.route.logits.buf);
        reads(l, op->u.route.bias);
        writes(l, op->u.route.choice);
        writes(l, op->u.route.weight);
        break;
    case OP_MOE_PLAN:
        reads(l, op->u.moe_plan.choice);
        writes(l, op->u.moe_plan.lists);
        reads(l, s->stats);
        writes(l, s->stats);
        break;
    case OP_MOE_GATED:
        reads(l, op->u.moe_gated.lists);
        reads(l, op->u.moe_gated.x.buf);
        writes(l, op->u.moe_gated.h.buf);
        break;
    case OP_MOE_DOWN:
        reads(l, op->u.moe_down.lists);
        reads(l, op->u.moe_down.weight);
        reads(l, op->u.moe_down.h.buf);
        writes(l, op->u.moe_down.o.buf);
        break;
    default:
        reads(l, op->u.moe_combine.o.buf);
        reads(l, op->u.moe_combine.y.buf);
        writes(l, op->u.moe_combine.y.buf);
        break;
    }
}

static void access_output(struct access_list *l, const struct op *op, const struct dev_step *s)
{
    switch (op->kind) {
    case OP_GATHER:
        reads(l, s->out);
        reads(l, op->u.gather.src.buf);
        writes(l, op->u.gather.dst.buf);
        break;
    case OP_EDIT:
        reads(l, s->edits);
        reads(l, op->u.edit.logits.buf);
        writes(l, op->u.edit.logits.buf);
        break;
    default:
        reads(l, s->out);
        reads(l, op->u.candidates.logits.buf);
        writes(l, s->candidates);
        break;
    }
}

size_t dev_op_access(const struct op *op, const struct dev_step *s, struct dev_access *acc,
                     size_t max)
{
    struct access_list l = {.acc = acc, .max = max};

    reads(&l, s->head);
    switch (op->kind) {
    case OP_EMBED:
        reads(&l, s->rows);
        writes(&l, op->u.embed.dst.buf);
        break;
    case OP_RMSNORM:
        reads(&l, op->u.rmsnorm.src.buf);
        reads(&l, op->u.rmsnorm.weight);
        writes(&l, op->u.rmsnorm.dst.buf);
        break;
    case OP_MATMUL:
        access_matmul(&l, &op->u.matmul);
        break;
    case OP_GATED:
        reads(&l, op->u.gated.x.buf);
        writes(&l, op->u.gated.y.buf);
        break;
    case OP_MLA_PREP:
    case OP_MLA_ATTN:
        access_attention(&l, op, s);
        break;
    case OP_ROUTE:
    case OP_MOE_PLAN:
    case OP_MOE_GATED:
    case OP_MOE_DOWN:
    case OP_MOE_COMBINE:
        access_experts(&l, op, s);
        break;
    case OP_GATHER:
    case OP_EDIT:
    case OP_CANDIDATES:
        access_output(&l, op, s);
        break;
    case OP_COUNT:
        break;
    }
    return l.n;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* Names what is checked, for messages: "blk.q: view \"x\" ...". */
struct check {
    const struct plan *plan;
    const char *label;
    struct err *e;
};

static bool room(const struct check *c, const char *what, const struct dev_buf *buf, uint64_t bytes)
{
    if (!buf)
        FAIL(c->e, ERR_ARG, "%s: no buffer for %s", c->label, what);
    if (bytes > buf->bytes)
        FAIL(c->e, ERR_ARG, "%s: %s needs %llu bytes, buffer \"%s\" has %llu", c->label, what,
             (unsigned long long)bytes, buf->tag, (unsigned long long)buf->bytes);
    return true;
}

/* `n` float32 or uint32 elements from `offset` on. */
static bool array(const struct check *c, const char *what, const struct dev_buf *buf,
                  uint64_t offset, uint64_t n)
{
    return room(c, what, buf, (offset + n) * 4);
}

/* Rows 0..rows-1 of a view, `n` elements each. */
static bool view(const struct check *c, const char *what, const struct dev_view *v, uint64_t rows,
                 uint64_t n)
{
    uint64_t last = 0, end = 0, bytes = UINT64_MAX;

    if (v->offset % 4 != 0 || v->stride % 4 != 0)
        FAIL(c->e, ERR_ARG, "%s: offset %u or stride %u of %s is no multiple of 4", c->label,
             v->offset, v->stride, what);
    if (n == 0 || (rows > 1 && v->stride < n))
        FAIL(c->e, ERR_ARG, "%s: rows of %s have %llu elements at stride %u", c->label, what,
             (unsigned long long)n, v->stride);
    if (rows > 0 && (!checked_mul(rows - 1, v->stride, &last) || !checked_add(last, n, &end) ||
                     !checked_add(end, v->offset, &end) || !checked_mul(end, 4, &bytes)))
        FAIL(c->e, ERR_LIMIT, "%s: %s is too large", c->label, what);
    return room(c, what, v->buf, rows > 0 ? bytes : 0);
}

static bool apart(const struct check *c, const struct dev_view *a, const struct dev_view *b)
{
    if (a->buf == b->buf && a->offset == b->offset)
        FAIL(c->e, ERR_ARG, "%s: source and destination are the same", c->label);
    return true;
}

static bool hold(const struct check *c, bool truth, const char *what)
{
    if (!truth)
        FAIL(c->e, ERR_ARG, "%s: %s", c->label, what);
    return true;
}

static uint64_t rows_of(const struct plan *p, enum dev_rows rows)
{
    return rows == DEV_ROWS_OUT ? p->max_out : p->max_rows;
}

static bool check_embed(const struct check *c, const struct op_embed *o)
{
    return hold(c, o->w != NULL, "no weight") &&
           hold(c, dev_weight_desc(o->w)->n_mat == 1, "the table is not one matrix") &&
           view(c, "dst", &o->dst, c->plan->max_rows, dev_weight_desc(o->w)->cols);
}

static bool check_rmsnorm(const struct check *c, const struct op_rmsnorm *o)
{
    uint64_t rows = rows_of(c->plan, o->rows);
    return hold(c, o->n % 4 == 0, "n is no multiple of 4") && view(c, "src", &o->src, rows, o->n) &&
           view(c, "dst", &o->dst, rows, o->n) &&
           array(c, "weight", o->weight, o->weight_offset, o->n);
}

static bool check_matmul(const struct check *c, const struct op_matmul *o)
{
    uint64_t rows = rows_of(c->plan, o->rows);

    if (!hold(c, o->w != NULL, "no weight"))
        return false;
    const struct dev_weight_desc *w = dev_weight_desc(o->w);
    return hold(c, o->x_step % 4 == 0 && o->y_step % 4 == 0, "a step is no multiple of 4") &&
           hold(c, w->n_mat == 1 || o->y_step >= w->rows, "results of batches overlap") &&
           view(c, "x", &o->x, rows, (uint64_t)(w->n_mat - 1) * o->x_step + w->cols) &&
           view(c, "y", &o->y, rows, (uint64_t)(w->n_mat - 1) * o->y_step + w->rows) &&
           apart(c, &o->x, &o->y);
}

static bool same_shape(const struct check *c, const struct dev_weight *a,
                       const struct dev_weight *b)
{
    if (!hold(c, a && b, "no weight"))
        return false;
    const struct dev_weight_desc *x = dev_weight_desc(a), *y = dev_weight_desc(b);
    return hold(c, x->n_mat == y->n_mat && x->rows == y->rows && x->cols == y->cols,
                "gate and up have different shapes");
}

static bool check_gated(const struct check *c, const struct op_gated *o)
{
    if (!same_shape(c, o->gate, o->up))
        return false;
    const struct dev_weight_desc *w = dev_weight_desc(o->gate);
    return hold(c, w->n_mat == 1, "gate is not one matrix") &&
           view(c, "x", &o->x, c->plan->max_rows, w->cols) &&
           view(c, "y", &o->y, c->plan->max_rows, w->rows) && apart(c, &o->x, &o->y);
}

static bool check_cache(const struct check *c, const struct dev_buf *cache, bool f16,
                        uint32_t width)
{
    uint64_t page = (uint64_t)DEV_PAGE_TOKENS * width * (f16 ? 2 : 4);
    return room(c, "cache", cache, page);
}

static bool check_mla_prep(const struct check *c, const struct op_mla_prep *o)
{
    uint64_t rows = c->plan->max_rows, width = (uint64_t)o->latent + o->rope.n_rope;
    return hold(c,
                o->latent > 0 && o->latent % 4 == 0 && o->rope.n_rope % 4 == 0 &&
                    o->rope.n_rope > 0 && o->nope % 4 == 0,
                "latent, rope or nope is no multiple of 4") &&
           view(c, "q", &o->q, rows, o->n_head * ((uint64_t)o->nope + o->rope.n_rope)) &&
           view(c, "dst", &o->dst, rows, o->n_head * width) && view(c, "kv", &o->kv, rows, width) &&
           array(c, "norm", o->norm, o->norm_offset, o->latent) &&
           array(c, "rope table", o->rope.table, 0, 257ull * o->rope.n_rope) &&
           check_cache(c, o->cache, o->cache_f16, (uint32_t)width) && apart(c, &o->q, &o->dst);
}

static bool check_mla_attn(const struct check *c, const struct op_mla_attn *o)
{
    uint64_t rows = c->plan->max_rows, width = (uint64_t)o->latent + o->n_rope;
    return hold(c, o->latent > 0 && o->latent % 4 == 0 && o->n_rope % 4 == 0,
                "latent or rope is no multiple of 4") &&
           view(c, "q", &o->q, rows, o->n_head * width) &&
           view(c, "dst", &o->dst, rows, (uint64_t)o->n_head * o->latent) &&
           check_cache(c, o->cache, o->cache_f16, (uint32_t)width) && apart(c, &o->q, &o->dst);
}

static bool check_route(const struct check *c, const struct op_route *o)
{
    uint64_t slots = (uint64_t)c->plan->max_rows * o->n_used;
    return hold(c, o->n_expert >= 1 && o->n_expert <= DEV_MAX_EXPERTS, "impossible expert count") &&
           hold(c, o->n_used >= 1 && o->n_used <= DEV_MAX_TOPK && o->n_used <= o->n_expert,
                "impossible count of experts used") &&
           hold(c,
                o->n_group <= 1 || (o->n_expert % o->n_group == 0 && o->groups_used >= 1 &&
                                    o->groups_used <= o->n_group),
                "impossible expert groups") &&
           view(c, "logits", &o->logits, c->plan->max_rows, o->n_expert) &&
           (!o->bias || array(c, "bias", o->bias, o->bias_offset, o->n_expert)) &&
           array(c, "choice", o->choice, 0, slots) && array(c, "weight", o->weight, 0, slots);
}

static bool check_moe_plan(const struct check *c, const struct op_moe_plan *o)
{
    uint32_t rows = c->plan->max_rows;
    return array(c, "choice", o->choice, 0, (uint64_t)rows * o->n_used) &&
           room(c, "lists", o->lists,
                dev_moe_lists_bytes(c->plan->dev, rows, o->n_used, o->n_expert)) &&
           hold(c, o->stat < c->plan->step->n_stats, "no such statistic");
}

static bool check_moe_gated(const struct check *c, const struct op_moe_gated *o)
{
    uint64_t rows = c->plan->max_rows;

    if (!same_shape(c, o->gate, o->up))
        return false;
    const struct dev_weight_desc *w = dev_weight_desc(o->gate);
    return room(c, "lists", o->lists, 16) && view(c, "x", &o->x, rows, w->cols) &&
           view(c, "h", &o->h, rows * o->n_used, w->rows) && apart(c, &o->x, &o->h);
}

static bool check_moe_down(const struct check *c, const struct op_moe_down *o)
{
    uint64_t slots = (uint64_t)c->plan->max_rows * o->n_used;

    if (!hold(c, o->down != NULL, "no weight"))
        return false;
    const struct dev_weight_desc *w = dev_weight_desc(o->down);
    return room(c, "lists", o->lists, 16) && array(c, "weight", o->weight, 0, slots) &&
           view(c, "h", &o->h, slots, w->cols) && view(c, "o", &o->o, slots, w->rows) &&
           apart(c, &o->h, &o->o);
}

static bool check_moe_combine(const struct check *c, const struct op_moe_combine *o)
{
    uint64_t rows = c->plan->max_rows;
    return view(c, "o", &o->o, rows * o->n_used, o->n) && view(c, "y", &o->y, rows, o->n) &&
           apart(c, &o->o, &o->y);
}

static bool check_gather(const struct check *c, const struct op_gather *o)
{
    return view(c, "src", &o->src, c->plan->max_rows, o->n) &&
           view(c, "dst", &o->dst, c->plan->max_out, o->n) && apart(c, &o->src, &o->dst);
}

static bool check_shapes(const struct plan *p, const struct op *op, struct err *e)
{
    struct check c = {.plan = p, .label = op->label ? op->label : op_kind_name(op->kind), .e = e};

    switch (op->kind) {
    case OP_EMBED:
        return check_embed(&c, &op->u.embed);
    case OP_RMSNORM:
        return check_rmsnorm(&c, &op->u.rmsnorm);
    case OP_MATMUL:
        return check_matmul(&c, &op->u.matmul);
    case OP_GATED:
        return check_gated(&c, &op->u.gated);
    case OP_MLA_PREP:
        return check_mla_prep(&c, &op->u.mla_prep);
    case OP_MLA_ATTN:
        return check_mla_attn(&c, &op->u.mla_attn);
    case OP_ROUTE:
        return check_route(&c, &op->u.route);
    case OP_MOE_PLAN:
        return check_moe_plan(&c, &op->u.moe_plan);
    case OP_MOE_GATED:
        return check_moe_gated(&c, &op->u.moe_gated);
    case OP_MOE_DOWN:
        return check_moe_down(&c, &op->u.moe_down);
    case OP_MOE_COMBINE:
        return check_moe_combine(&c, &op->u.moe_combine);
    case OP_GATHER:
        return check_gather(&c, &op->u.gather);
    case OP_EDIT:
        return view(&c, "logits", &op->u.edit.logits, p->max_out, op->u.edit.vocab);
    case OP_CANDIDATES:
        return view(&c, "logits", &op->u.candidates.logits, p->max_out, op->u.candidates.vocab);
    case OP_COUNT:
        break;
    }
    FAIL(e, ERR_ARG, "unknown op %d", (int)op->kind);
}

/* ---- order ----------------------------------------------------------------------------------- */

/* All ops' accesses, and the stage each op runs in. */
struct schedule {
    struct dev_access *acc; /* [n_ops][PLAN_MAX_ACCESS] */
    uint8_t *n_acc;         /* [n_ops] */
    uint32_t *stage;        /* [n_ops] */
};

static bool parts_apart(const struct dev_access *a, const struct dev_access *b)
{
    return a->period > 0 && a->period == b->period &&
           (a->first + a->count <= b->first || b->first + b->count <= a->first);
}

static bool conflict(const struct schedule *s, uint32_t i, uint32_t k)
{
    const struct dev_access *a = &s->acc[i * PLAN_MAX_ACCESS], *b = &s->acc[k * PLAN_MAX_ACCESS];

    for (uint32_t x = 0; x < s->n_acc[i]; x++)
        for (uint32_t y = 0; y < s->n_acc[k]; y++)
            if (a[x].buf == b[y].buf && (a[x].write || b[y].write) && !parts_apart(&a[x], &b[y]))
                return true;
    return false;
}

static void find_stages(const struct plan *p, struct schedule *s)
{
    for (uint32_t i = 0; i < p->n_ops; i++) {
        s->n_acc[i] = (uint8_t)dev_op_access(&p->ops[i], p->step, &s->acc[i * PLAN_MAX_ACCESS],
                                             PLAN_MAX_ACCESS);
        for (uint32_t k = i; k-- > 0;)
            if (s->stage[k] >= s->stage[i] && conflict(s, i, k))
                s->stage[i] = s->stage[k] + 1;
    }
}

/* Sorts ops by stage; within one stage they keep the order they were added in. */
static void sort_by_stage(struct plan *p, const struct schedule *s)
{
    uint32_t *next = mem_calloc(p->n_ops + 2u, sizeof *next);

    for (uint32_t i = 0; i < p->n_ops; i++)
        next[s->stage[i] + 1]++;
    for (uint32_t i = 1; i <= p->n_ops; i++)
        next[i] += next[i - 1];
    for (uint32_t i = 0; i < p->n_ops; i++)
        p->stages[next[s->stage[i]]++].op = i;
    for (uint32_t i = 1; i < p->n_ops; i++)
        p->stages[i].barrier = s->stage[p->stages[i].op] != s->stage[p->stages[i - 1].op];
    free(next);
}

static void order_ops(struct plan *p)
{
    size_t n = p->n_ops + 1u;
    struct schedule s = {.acc = mem_calloc(n, PLAN_MAX_ACCESS * sizeof *s.acc),
                         .n_acc = mem_calloc(n, sizeof *s.n_acc),
                         .stage = mem_calloc(n, sizeof *s.stage)};

    p->stages = mem_calloc(n, sizeof *p->stages);
    find_stages(p, &s);
    sort_by_stage(p, &s);
    free(s.acc);
    free(s.n_acc);
    free(s.stage);
}

/* ---- life of a plan -------------------------------------------------------------------------- */

bool plan_create(struct dev *d, const struct dev_step *s, uint32_t max_rows, uint32_t max_out,
                 struct plan **out, struct err *e)
{
    *out = NULL;
    if (!dev_check(d, e))
        return false;
    if (max_rows < 1 || max_rows > s->max_rows || max_out > s->max_out)
        FAIL(e, ERR_ARG, "a plan for %u rows and %u outputs; the step buffers hold %u and %u",
             max_rows, max_out, s->max_rows, s->max_out);
    struct plan *p = mem_zalloc(sizeof *p);
    p->dev = d;
    p->step = s;
    p->max_rows = max_rows;
    p->max_out = max_out;
    if (!d->impl->plan_open(p, e)) {
        free(p);
        return false;
    }
    *out = p;
    return true;
}

bool plan_add(struct plan *p, const struct op *op, struct err *e)
{
    struct dev_access acc[PLAN_MAX_ACCESS];

    if (!dev_check(p->dev, e))
        return false;
    if (p->sealed)
        FAIL(e, ERR_ARG, "the plan is finished, nothing can be added");
    if (!check_shapes(p, op, e))
        return false;
    if (dev_op_access(op, p->step, acc, PLAN_MAX_ACCESS) > PLAN_MAX_ACCESS)
        FAIL(e, ERR_INTERNAL, "%s touches too many buffers", op_kind_name(op->kind));
    if (!p->dev->impl->plan_op(p, op, e))
        return err_prefix(e, "%s", op->label ? op->label : op_kind_name(op->kind));
    if (p->n_ops == p->cap_ops) {
        p->cap_ops = p->cap_ops ? 2 * p->cap_ops : 64;
        p->ops = mem_realloc(p->ops, p->cap_ops * sizeof *p->ops);
    }
    p->ops[p->n_ops++] = *op;
    return true;
}

bool plan_finish(struct plan *p, struct err *e)
{
    if (!dev_check(p->dev, e))
        return false;
    if (p->sealed)
        FAIL(e, ERR_ARG, "the plan is already finished");
    if (!p->stages)
        order_ops(p);
    if (!p->dev->impl->plan_seal(p, e))
        return false;
    p->sealed = true;
    return true;
}

/* Shaders trust these counts. */
static bool check_head(const struct plan *p, struct err *e)
{
    const struct dev_step_head *h = p->step->head->map;

    if (h->n_rows < 1 || h->n_rows > p->max_rows || h->n_out > p->max_out ||
        h->n_edits > p->step->max_edits)
        FAIL(e, ERR_ARG, "a step of %u rows, %u outputs, %u edits; the plan holds %u, %u, %u",
             h->n_rows, h->n_out, h->n_edits, p->max_rows, p->max_out, p->step->max_edits);
    return true;
}

static bool check_ready(const struct plan *p, struct err *e)
{
    if (!dev_check(p->dev, e))
        return false;
    if (!p->sealed)
        FAIL(e, ERR_ARG, "the plan is not finished");
    return check_head(p, e);
}

bool plan_run(struct plan *p, struct err *e)
{
    return check_ready(p, e) && p->dev->impl->plan_run(p, e);
}

bool plan_profile(struct plan *p, int runs, double *us, struct err *e)
{
    return check_ready(p, e) && p->dev->impl->plan_profile(p, runs, us, e);
}

size_t plan_op_count(const struct plan *p)
{
    return p->n_ops;
}

void plan_destroy(struct plan **pp)
{
    struct plan *p = *pp;

    *pp = NULL;
    if (!p)
        return;
    p->dev->impl->plan_close(p);
    free(p->ops);
    free(p->stages);
    free(p);
}

void plan_print(const struct plan *p, FILE *out)
{
    uint32_t n_barriers = 0, n = p->stages ? p->n_ops : 0;

    for (uint32_t i = 0; i < n; i++)
        n_barriers += p->stages[i].barrier;
    fprintf(out, "plan rows=%u out=%u ops=%u barriers=%u\n", p->max_rows, p->max_out, n,
            n_barriers);
    for (uint32_t i = 0; i < n; i++) {
        const struct op *op = &p->ops[p->stages[i].op];
        fprintf(out, "%c %4u %-11s %-22s ", p->stages[i].barrier ? '|' : ' ', p->stages[i].op,
                op_kind_name(op->kind), op->label ? op->label : "-");
        p->dev->impl->plan_print_op(p, p->stages[i].op, out);
        fputc('\n', out);
    }
}
