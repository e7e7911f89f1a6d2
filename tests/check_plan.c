/* Plans without a device: what ops declare to touch, where barriers stand, which shapes are
 * refused. A device that only notes what it was handed stands behind the plan.
 */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "device/impl.h"
#include "device/vulkan/vk.h"

enum { BUFS = 16, MAX_OPS = 64, WIDE = 1 << 20 };

/* ---- a device that only takes notes --------------------------------------------------------- */

static struct {
    int open, ops, sealed, runs;
    bool refuse_op, refuse_seal;
} noted;

static bool fake_open(struct plan *p, struct err *e)
{
    (void)p;
    (void)e;
    noted.open++;
    return true;
}

static void fake_close(struct plan *p)
{
    (void)p;
    noted.open--;
}

static bool fake_op(struct plan *p, const struct op *op, struct err *e)
{
    (void)p;
    (void)op;
    if (noted.refuse_op)
        FAIL(e, ERR_LIMIT, "refused");
    noted.ops++;
    return true;
}

static bool fake_seal(struct plan *p, struct err *e)
{
    ck_assert_ptr_nonnull(p->stages);
    if (noted.refuse_seal)
        FAIL(e, ERR_NOMEM, "refused");
    noted.sealed++;
    return true;
}

static bool fake_run(struct plan *p, struct err *e)
{
    (void)p;
    (void)e;
    noted.runs++;
    return true;
}

static void fake_print(const struct plan *p, size_t i, FILE *out)
{
    (void)p;
    fprintf(out, "variant%zu", i);
}

static const struct dev_impl fake_impl = {
    .prefix = "fake",
    .plan_open = fake_open,
    .plan_op = fake_op,
    .plan_seal = fake_seal,
    .plan_run = fake_run,
    .plan_close = fake_close,
    .plan_print_op = fake_print,
};

static struct dev device = {.impl = &fake_impl, .info = {.name = "fake"}};
static struct dev_step_head head = {.n_rows = 1};
static struct dev_buf bufs[BUFS];
static struct dev_buf step_bufs[7];
static struct dev_step step;
static struct plan *plan;

static void setup(void)
{
    static const char *const names[] = {"head",        "rows",       "out",  "edits",
                                        "block_table", "candidates", "stats"};
    struct dev_buf **slots[] = {&step.head,        &step.rows,       &step.out,  &step.edits,
                                &step.block_table, &step.candidates, &step.stats};

    memset(&noted, 0, sizeof noted);
    for (int i = 0; i < BUFS; i++)
        bufs[i] = (struct dev_buf){.bytes = WIDE, .tag = "pool"};
    for (int i = 0; i < 7; i++) {
        step_bufs[i] = (struct dev_buf){.bytes = WIDE, .tag = names[i]};
        *slots[i] = &step_bufs[i];
    }
    step_bufs[0].map = &head;
    head = (struct dev_step_head){.n_rows = 1};
    step.max_rows = 16;
    step.max_out = 4;
    step.max_edits = 8;
    step.max_seqs = 4;
    step.table_stride = 4;
    step.n_stats = 2;
    device.failed = false;
    ck_assert(plan_create(&device, &step, 8, 2, &plan, NULL));
}

static void teardown(void)
{
    plan_destroy(&plan);
    ck_assert_ptr_null(plan);
    ck_assert_int_eq(noted.open, 0);
}

static struct dev_view view_of(int buf, uint32_t stride)
{
    return (struct dev_view){.buf = &bufs[buf], .stride = stride};
}

/* dst = norm(src): reads `src`, writes `dst`; the norm weight is the last buffer. */
static struct op norm_op(int src, int dst)
{
    return (struct op){
        .kind = OP_RMSNORM,
        .label = "norm",
        .u.rmsnorm = {
            .src = view_of(src, 8), .dst = view_of(dst, 8), .weight = &bufs[BUFS - 1], .n = 8}};
}

static struct dev_weight weight_of(uint32_t n_mat, uint32_t rows, uint32_t cols)
{
    return (struct dev_weight){.desc = {.n_mat = n_mat, .rows = rows, .cols = cols}};
}

/* ---- access ---------------------------------------------------------------------------------- */

static struct dev_weight one = {.desc = {.n_mat = 1, .rows = 8, .cols = 8}};
static struct dev_weight many = {.desc = {.n_mat = 4, .rows = 8, .cols = 8}};

/* One op of every kind over different buffers, and what it touches: "r3" reads buffer 3 of the
 * pool, "w:stats" writes a step buffer. */
struct access_case {
    struct op op;
    const char *touches;
};

#define V(i)                                                                                       \
    {                                                                                              \
        &bufs[i], 0, 64                                                                            \
    }

static const struct access_case access_cases[] = {
    {{OP_EMBED, "embed", {.embed = {&one, V(0)}}}, "r:head r:rows w0"},
    {{OP_RMSNORM, "norm", {.rmsnorm = {V(0), V(1), &bufs[2], 0, 8, 0, DEV_ROWS_STEP}}},
     "r:head r0 r2 w1"},
    {{OP_MATMUL, "set", {.matmul = {&one, V(0), V(1), 0, 0, false, DEV_ROWS_STEP}}},
     "r:head r0 w1"},
    {{OP_MATMUL, "add", {.matmul = {&one, V(0), V(1), 0, 0, true, DEV_ROWS_STEP}}},
     "r:head r0 r1 w1"},
    {{OP_GATED, "gated", {.gated = {&one, &one, V(0), V(1)}}}, "r:head r0 w1"},
    {{OP_MLA_PREP,
      "prep",
      {.mla_prep = {V(0), V(1), V(2), &bufs[3], 0, 0, {&bufs[4], 8}, &bufs[5], false, 2, 8, 16}}},
     "r:head r:rows r:block_table r0 r2 r3 r4 w1 w5"},
    {{OP_MLA_ATTN, "attn", {.mla_attn = {V(0), V(1), &bufs[2], false, 2, 16, 8, 1}}},
     "r:head r:rows r:block_table r0 r2 w1"},
    {{OP_ROUTE,
      "route",
      {.route = {V(0), &bufs[1], 0, &bufs[2], &bufs[3], 8, 2, 1, 1, OP_GATING_SIGMOID, true, 1}}},
     "r:head r0 r1 w2 w3"},
    {{OP_ROUTE,
      "route without bias",
      {.route = {V(0), NULL, 0, &bufs[2], &bufs[3], 8, 2, 1, 1, OP_GATING_SOFTMAX, true, 1}}},
     "r:head r0 w2 w3"},
    {{OP_MOE_PLAN, "lists", {.moe_plan = {&bufs[0], &bufs[1], 8, 2, 0}}},
     "r:head r0 w1 r:stats w:stats"},
    {{OP_MOE_GATED, "experts", {.moe_gated = {&many, &many, V(0), V(1), &bufs[2], 2}}},
     "r:head r0 r2 w1"},
    {{OP_MOE_DOWN, "down", {.moe_down = {&many, V(0), V(1), &bufs[2], &bufs[3], 2}}},
     "r:head r0 r2 r3 w1"},
    {{OP_MOE_COMBINE, "combine", {.moe_combine = {V(0), V(1), 8, 2}}}, "r:head r0 r1 w1"},
    {{OP_GATHER, "gather", {.gather = {V(0), V(1), 8}}}, "r:head r:out r0 w1"},
    {{OP_EDIT, "edit", {.edit = {V(0), 64}}}, "r:head r:edits r0 w0"},
    {{OP_CANDIDATES, "best", {.candidates = {V(0), 64}}}, "r:head r:out r0 w:candidates"},
};
enum { ACCESS_CASES = sizeof access_cases / sizeof access_cases[0] };

static const struct dev_buf *named_buffer(const char *name, size_t len)
{
    if (name[0] != ':')
        return &bufs[strtoul(name, NULL, 10)];
    for (int i = 0; i < 7; i++)
        if (strlen(step_bufs[i].tag) == len - 1 && !memcmp(step_bufs[i].tag, name + 1, len - 1))
            return &step_bufs[i];
    ck_abort_msg("no step buffer %s", name);
}

static bool has_access(const struct dev_access *acc, size_t n, const struct dev_buf *buf,
                       bool write)
{
    for (size_t i = 0; i < n; i++)
        if (acc[i].buf == buf && acc[i].write == write)
            return true;
    return false;
}

START_TEST(access_is_complete)
{
    const struct access_case *c = &access_cases[_i];
    struct dev_access acc[PLAN_MAX_ACCESS];
    size_t n = dev_op_access(&c->op, &step, acc, PLAN_MAX_ACCESS), expected = 0;

    ck_assert_uint_le(n, PLAN_MAX_ACCESS);
    for (const char *word = c->touches; *word;) {
        size_t len = strcspn(word, " ");
        ck_assert_msg(has_access(acc, n, named_buffer(word + 1, len - 1), word[0] == 'w'),
                      "%s: %.*s is missing", c->op.label, (int)len, word);
        expected++;
        word += len + (word[len] == ' ');
    }
    ck_assert_msg(n == expected, "%s touches %zu buffers", c->op.label, n);
    ck_assert_uint_eq(dev_op_access(&c->op, &step, acc, 1), n);
    ck_assert_msg(plan_add(plan, &c->op, NULL), "%s was refused", c->op.label);
}
END_TEST

START_TEST(access_cases_cover_every_kind)
{
    bool seen[OP_COUNT] = {false};

    for (size_t i = 0; i < ACCESS_CASES; i++)
        seen[access_cases[i].op.kind] = true;
    for (int k = 0; k < OP_COUNT; k++) {
        ck_assert_msg(seen[k], "%s", op_kind_name(k));
        ck_assert_str_ne(op_kind_name(k), "unknown");
    }
}
END_TEST

/* ---- order ----------------------------------------------------------------------------------- */

/* Finishes the plan and compares its order: "0 2|1" runs ops 0 and 2, waits, runs op 1. */
static void expect_order(const struct op *ops, size_t n, const char *expected)
{
    char got[256] = "";
    struct err e = ERR_INIT;
    size_t len = 0;

    for (size_t i = 0; i < n; i++)
        ck_assert_msg(plan_add(plan, &ops[i], &e), "%s", e.msg);
    ck_assert_msg(plan_finish(plan, &e), "%s", e.msg);
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%u",
                                plan->stages[i].barrier ? "|" : (i ? " " : ""), plan->stages[i].op);
    ck_assert_str_eq(got, expected);
}

START_TEST(independent_ops_share_a_stage)
{
    struct op ops[] = {norm_op(0, 1), norm_op(0, 2), norm_op(3, 4)};
    expect_order(ops, 3, "0 1 2");
}
END_TEST

START_TEST(read_after_write_waits)
{
    struct op ops[] = {norm_op(0, 1), norm_op(1, 2), norm_op(2, 3)};
    expect_order(ops, 3, "0|1|2");
}
END_TEST

START_TEST(write_after_read_waits)
{
    struct op ops[] = {norm_op(0, 1), norm_op(2, 0)};
    expect_order(ops, 2, "0|1");
}
END_TEST

START_TEST(write_after_write_waits)
{
    struct op ops[] = {norm_op(0, 2), norm_op(1, 2)};
    expect_order(ops, 2, "0|1");
}
END_TEST

START_TEST(an_op_in_place_does_not_wait_for_itself)
{
    struct op ops[] = {norm_op(0, 0), norm_op(0, 0), norm_op(1, 1)};
    expect_order(ops, 3, "0 2|1");
}
END_TEST

START_TEST(ops_move_to_the_first_stage_they_can)
{
    /* Two chains 0->1->2 and 3->4->5, added one after the other, and one op that needs both. */
    struct op ops[] = {norm_op(0, 1), norm_op(1, 2), norm_op(3, 4), norm_op(4, 5), norm_op(5, 2)};
    expect_order(ops, 5, "0 2|1 3|4");
}
END_TEST

START_TEST(an_empty_plan_finishes)
{
    expect_order(NULL, 0, "");
}
END_TEST

static bool norms_conflict(const struct op *a, const struct op *b)
{
    const struct dev_buf *ra = a->u.rmsnorm.src.buf, *wa = a->u.rmsnorm.dst.buf;
    const struct dev_buf *rb = b->u.rmsnorm.src.buf, *wb = b->u.rmsnorm.dst.buf;
    return wa == rb || wa == wb || ra == wb;
}

/* Length of the longest chain of conflicting ops that ends with op i. */
static uint32_t chain_length(const struct op *ops, size_t i, uint32_t *known)
{
    if (known[i] > 0)
        return known[i];
    known[i] = 1;
    for (size_t k = 0; k < i; k++)
        if (norms_conflict(&ops[k], &ops[i]) && chain_length(ops, k, known) + 1 > known[i])
            known[i] = chain_length(ops, k, known) + 1;
    return known[i];
}

/* Conflicting ops keep their order with a barrier between, and there are no more stages than the
 * longest chain has ops. */
START_TEST(stages_are_sufficient_and_few)
{
    struct op ops[MAX_OPS];
    uint32_t known[MAX_OPS] = {0}, longest = 0, n_stages = 1, stage_of[MAX_OPS];

    srand((unsigned)_i + 1);
    for (size_t i = 0; i < MAX_OPS; i++) {
        ops[i] = norm_op(rand() % 14, rand() % 14);
        ck_assert(plan_add(plan, &ops[i], NULL));
    }
    ck_assert(plan_finish(plan, NULL));
    for (size_t i = 0; i < MAX_OPS; i++) {
        n_stages += plan->stages[i].barrier;
        stage_of[plan->stages[i].op] = n_stages;
        if (chain_length(ops, i, known) > longest)
            longest = chain_length(ops, i, known);
    }
    for (size_t i = 0; i < MAX_OPS; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert(!norms_conflict(&ops[k], &ops[i]) || stage_of[k] < stage_of[i]);
    ck_assert_uint_eq(n_stages, longest);
}
END_TEST

/* The rotated and the absorbed part of a query are written side by side. */
START_TEST(parts_of_rows_do_not_conflict)
{
    struct dev_weight heads = weight_of(2, 16, 8);
    struct op ops[] = {
        access_cases[5].op,
        {.kind = OP_MATMUL,
         .label = "absorb",
         .u.matmul =
             {.w = &heads, .x = view_of(6, 32), .y = view_of(1, 48), .x_step = 16, .y_step = 24}},
        access_cases[6].op};

    ck_assert_int_eq(ops[0].kind, OP_MLA_PREP);
    ops[0].u.mla_prep.dst = view_of(1, 48);
    ops[2].u.mla_attn.q = view_of(1, 48);
    ops[2].u.mla_attn.dst = view_of(7, 32);
    expect_order(ops, 3, "0 1|2");
}
END_TEST

START_TEST(parts_that_overlap_conflict)
{
    struct dev_weight heads = weight_of(2, 20, 8); /* 4 elements into the rotated part */
    struct op ops[] = {
        access_cases[5].op,
        {.kind = OP_MATMUL,
         .label = "absorb",
         .u.matmul = {
             .w = &heads, .x = view_of(6, 32), .y = view_of(1, 48), .x_step = 16, .y_step = 24}}};

    ops[0].u.mla_prep.dst = view_of(1, 48);
    expect_order(ops, 2, "0|1");
}
END_TEST

/* A row distance that is no multiple of the period makes the parts meet in other rows. */
START_TEST(parts_of_odd_rows_conflict)
{
    struct dev_weight heads = weight_of(2, 16, 8);
    struct op ops[] = {
        access_cases[5].op,
        {.kind = OP_MATMUL,
         .label = "absorb",
         .u.matmul = {
             .w = &heads, .x = view_of(6, 32), .y = view_of(1, 52), .x_step = 16, .y_step = 24}}};

    ops[0].u.mla_prep.dst = view_of(1, 52);
    expect_order(ops, 2, "0|1");
}
END_TEST

START_TEST(a_refused_op_leaves_no_trace)
{
    struct op first = norm_op(0, 1), second = norm_op(1, 2), third = norm_op(3, 4);
    struct err e = ERR_INIT;

    ck_assert(plan_add(plan, &first, NULL));
    noted.refuse_op = true;
    ck_assert(!plan_add(plan, &second, &e));
    ck_assert_str_eq(e.msg, "norm: refused");
    noted.refuse_op = false;
    ck_assert_uint_eq(plan_op_count(plan), 1);
    ck_assert(plan_add(plan, &third, NULL));
    noted.refuse_seal = true;
    ck_assert(!plan_finish(plan, NULL));
    noted.refuse_seal = false;
    ck_assert(plan_finish(plan, NULL));
    ck_assert(!plan->stages[1].barrier);
}
END_TEST

/* ---- shapes ---------------------------------------------------------------------------------- */

static void expect_refused(const struct op *op, enum err_code code, const char *part)
{
    struct err e = ERR_INIT;

    ck_assert_msg(!plan_add(plan, op, &e), "accepted, expected \"%s\"", part);
    ck_assert_int_eq(e.code, code);
    ck_assert_msg(strstr(e.msg, part) != NULL, "\"%s\" lacks \"%s\"", e.msg, part);
    ck_assert_msg(strncmp(e.msg, op->label, strlen(op->label)) == 0, "\"%s\"", e.msg);
}

START_TEST(views_must_fit_their_buffers)
{
    struct op op = norm_op(0, 1);

    bufs[1].bytes = 8 * 8 * 4; /* exactly the plan's 8 rows */
    ck_assert(plan_add(plan, &op, NULL));
    bufs[1].bytes--;
    expect_refused(&op, ERR_ARG, "dst needs 256 bytes, buffer \"pool\" has 255");
    bufs[1].bytes = WIDE;
    op.u.rmsnorm.src.offset = 2;
    expect_refused(&op, ERR_ARG, "no multiple of 4");
    op.u.rmsnorm.src.offset = UINT32_MAX - 3;
    op.u.rmsnorm.src.stride = UINT32_MAX - 3;
    expect_refused(&op, ERR_ARG, "src needs");
    op = norm_op(0, 1);
    op.u.rmsnorm.src.stride = 4;
    expect_refused(&op, ERR_ARG, "8 elements at stride 4");
    op = norm_op(0, 1);
    op.u.rmsnorm.weight_offset = WIDE / 4 - 7;
    expect_refused(&op, ERR_ARG, "weight needs");
    op.u.rmsnorm.weight = NULL;
    expect_refused(&op, ERR_ARG, "no buffer for weight");
}
END_TEST

START_TEST(output_rows_count_for_output_views)
{
    struct op op = norm_op(0, 1);

    bufs[0].bytes = bufs[1].bytes = 2 * 8 * 4; /* the plan's 2 output rows */
    op.u.rmsnorm.rows = DEV_ROWS_OUT;
    ck_assert(plan_add(plan, &op, NULL));
    op.u.rmsnorm.rows = DEV_ROWS_STEP;
    expect_refused(&op, ERR_ARG, "src needs");
}
END_TEST

START_TEST(matmul_shapes)
{
    struct dev_weight w = weight_of(1, 12, 32), heads = weight_of(4, 12, 32);
    struct op op = {.kind = OP_MATMUL,
                    .label = "proj",
                    .u.matmul = {.w = &w, .x = view_of(0, 32), .y = view_of(1, 12)}};

    ck_assert(plan_add(plan, &op, NULL));
    op.u.matmul.y.buf = op.u.matmul.x.buf;
    expect_refused(&op, ERR_ARG, "are the same");
    op.u.matmul.y = view_of(1, 8);
    expect_refused(&op, ERR_ARG, "12 elements at stride 8");
    op.u.matmul.w = &heads;
    op.u.matmul.x = view_of(0, 4 * 32);
    op.u.matmul.y = view_of(1, 4 * 12);
    op.u.matmul.x_step = 32;
    op.u.matmul.y_step = 8;
    expect_refused(&op, ERR_ARG, "batches overlap");
    op.u.matmul.y_step = 12;
    ck_assert(plan_add(plan, &op, NULL));
    op.u.matmul.x_step = 36;
    expect_refused(&op, ERR_ARG, "140 elements at stride 128");
    op.u.matmul.w = NULL;
    expect_refused(&op, ERR_ARG, "no weight");
}
END_TEST

START_TEST(gate_and_up_have_one_shape)
{
    struct dev_weight a = weight_of(1, 8, 32), b = weight_of(1, 16, 32), c = weight_of(4, 8, 32);
    struct op op = {
        .kind = OP_GATED, .label = "ffn", .u.gated = {&a, &b, view_of(0, 32), view_of(1, 16)}};

    expect_refused(&op, ERR_ARG, "different shapes");
    op.u.gated.up = &a;
    ck_assert(plan_add(plan, &op, NULL));
    op.u.gated.gate = op.u.gated.up = &c;
    expect_refused(&op, ERR_ARG, "not one matrix");
}
END_TEST

START_TEST(impossible_routers)
{
    struct op good = access_cases[7].op, op;

    ck_assert_int_eq(good.kind, OP_ROUTE);
    op = good;
    op.u.route.n_expert = DEV_MAX_EXPERTS + 1;
    expect_refused(&op, ERR_ARG, "expert count");
    op = good;
    op.u.route.n_used = 9;
    expect_refused(&op, ERR_ARG, "experts used");
    op = good;
    op.u.route.n_group = 3;
    expect_refused(&op, ERR_ARG, "groups");
    op.u.route.n_group = 4;
    op.u.route.groups_used = 5;
    expect_refused(&op, ERR_ARG, "groups");
    bufs[2].bytes = 8 * 2 * 4 - 1;
    expect_refused(&good, ERR_ARG, "choice needs");
}
END_TEST

START_TEST(a_statistic_must_exist)
{
    struct op op = {
        .kind = OP_MOE_PLAN,
        .label = "lists",
        .u.moe_plan = {.choice = &bufs[0], .lists = &bufs[1], .n_expert = 8, .n_used = 2}};

    op.u.moe_plan.stat = 2;
    expect_refused(&op, ERR_ARG, "statistic");
}
END_TEST

START_TEST(cache_holds_at_least_a_page)
{
    struct op op = access_cases[6].op;

    ck_assert_int_eq(op.kind, OP_MLA_ATTN);
    bufs[2].bytes = 64 * 24 * 4 - 1;
    expect_refused(&op, ERR_ARG, "cache needs");
    op.u.mla_attn.cache_f16 = true;
    ck_assert(plan_add(plan, &op, NULL));
}
END_TEST

START_TEST(unknown_op_is_refused)
{
    struct op op = {.kind = OP_COUNT, .label = "x"};
    struct err e = ERR_INIT;

    ck_assert(!plan_add(plan, &op, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
    ck_assert_str_eq(op_kind_name(OP_COUNT), "unknown");
}
END_TEST

/* ---- life ------------------------------------------------------------------------------------ */

START_TEST(plans_fit_their_step)
{
    struct plan *p = NULL;
    struct err e = ERR_INIT;

    ck_assert(!plan_create(&device, &step, 17, 1, &p, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
    ck_assert(!plan_create(&device, &step, 0, 0, &p, NULL));
    ck_assert(!plan_create(&device, &step, 1, 5, &p, NULL));
    ck_assert_ptr_null(p);
}
END_TEST

START_TEST(order_of_calls)
{
    struct op op = norm_op(0, 1);
    struct err e = ERR_INIT;

    ck_assert(plan_add(plan, &op, NULL));
    ck_assert(!plan_run(plan, &e));
    ck_assert_str_eq(e.msg, "the plan is not finished");
    ck_assert(plan_finish(plan, NULL));
    ck_assert(!plan_finish(plan, NULL));
    ck_assert(!plan_add(plan, &op, NULL));
    ck_assert(plan_run(plan, NULL));
    ck_assert_int_eq(noted.runs, 1);
    ck_assert_int_eq(noted.sealed, 1);
}
END_TEST

START_TEST(counts_of_a_step_are_checked)
{
    const struct dev_step_head bad[] = {
        {0, 0, 0, 0}, {9, 0, 0, 0}, {1, 3, 0, 0}, {1, 0, 9, 0}, {UINT32_MAX, 0, 0, 0}};
    struct err e = ERR_INIT;

    ck_assert(plan_finish(plan, NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        head = bad[i];
        ck_assert(!plan_run(plan, &e));
        ck_assert_int_eq(e.code, ERR_ARG);
    }
    head = (struct dev_step_head){8, 2, 8, 0};
    ck_assert(plan_run(plan, NULL));
    ck_assert_int_eq(noted.runs, 1);
}
END_TEST

START_TEST(a_failed_device_does_nothing)
{
    struct op op = norm_op(0, 1);
    struct plan *p = NULL;
    struct err e = ERR_INIT;

    ck_assert(plan_finish(plan, NULL));
    device.failed = true;
    ck_assert(dev_failed(&device));
    ck_assert(!plan_run(plan, &e));
    ck_assert_int_eq(e.code, ERR_DEVICE);
    ck_assert(!plan_add(plan, &op, NULL));
    ck_assert(!plan_create(&device, &step, 1, 1, &p, NULL));
    ck_assert_int_eq(noted.runs, 0);
}
END_TEST

START_TEST(print_shows_barriers)
{
    struct op ops[] = {norm_op(0, 1), norm_op(1, 2)};
    char *text = NULL;
    size_t bytes = 0;

    ops[1].label = NULL;
    expect_order(ops, 2, "0|1");
    FILE *out = open_memstream(&text, &bytes);
    plan_print(plan, out);
    fclose(out);
    ck_assert_str_eq(text, "plan rows=8 out=2 ops=2 barriers=1\n"
                           "     0 rmsnorm     norm                   variant0\n"
                           "|    1 rmsnorm     -                      variant1\n");
    free(text);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("plan");
    TCase *access = tcase_create("access"), *order = tcase_create("order"),
          *shapes = tcase_create("shapes"), *life = tcase_create("life");
    TCase *cases[] = {access, order, shapes, life};

    tcase_add_loop_test(access, access_is_complete, 0, ACCESS_CASES);
    tcase_add_test(access, access_cases_cover_every_kind);
    tcase_add_test(order, independent_ops_share_a_stage);
    tcase_add_test(order, read_after_write_waits);
    tcase_add_test(order, write_after_read_waits);
    tcase_add_test(order, write_after_write_waits);
    tcase_add_test(order, an_op_in_place_does_not_wait_for_itself);
    tcase_add_test(order, ops_move_to_the_first_stage_they_can);
    tcase_add_test(order, an_empty_plan_finishes);
    tcase_add_loop_test(order, stages_are_sufficient_and_few, 0, 20);
    tcase_add_test(order, parts_of_rows_do_not_conflict);
    tcase_add_test(order, parts_that_overlap_conflict);
    tcase_add_test(order, parts_of_odd_rows_conflict);
    tcase_add_test(order, a_refused_op_leaves_no_trace);
    tcase_add_test(shapes, views_must_fit_their_buffers);
    tcase_add_test(shapes, output_rows_count_for_output_views);
    tcase_add_test(shapes, matmul_shapes);
    tcase_add_test(shapes, gate_and_up_have_one_shape);
    tcase_add_test(shapes, impossible_routers);
    tcase_add_test(shapes, a_statistic_must_exist);
    tcase_add_test(shapes, cache_holds_at_least_a_page);
    tcase_add_test(shapes, unknown_op_is_refused);
    tcase_add_test(life, plans_fit_their_step);
    tcase_add_test(life, order_of_calls);
    tcase_add_test(life, counts_of_a_step_are_checked);
    tcase_add_test(life, a_failed_device_does_nothing);
    tcase_add_test(life, print_shows_barriers);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tcase_add_checked_fixture(cases[i], setup, teardown);
        suite_add_tcase(s, cases[i]);
    }
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(make_suite());

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
