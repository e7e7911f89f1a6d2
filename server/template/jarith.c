/* Owns: the arithmetic operators for all types, with Python's results: floor division and modulo
 * round down, "/" gives a float, texts and lists add and repeat. Integers have 64 bits; where
 * Python would go on with more, ERR_LIMIT.
 */
#include <config.h>

#include <math.h>
#include <string.h>

#include "template/jeval.h"
#include "template/jlex.h"
#include "template/jrun.h"
#include "template/jtext.h"

static struct jval too_large(struct jrun *r)
{
    return JFAIL(r, ERR_LIMIT, "a number grows beyond 64 bits");
}

static struct jval by_zero(struct jrun *r)
{
    return JFAIL(r, ERR_FORMAT, "division by zero");
}

static struct jval int_pow(struct jrun *r, int64_t base, int64_t exponent)
{
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
            return too_large(r);
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base))
            return too_large(r);
    }
    return jval_int(result);
}

static struct jval float_op(struct jrun *r, int op, double a, double b)
{
    switch (op) {
    case JTOK_ADD:
        return jval_float(a + b);
    case JTOK_SUB:
        return jval_float(a - b);
    case JTOK_MUL:
        return jval_float(a * b);
    case JTOK_POW:
        if (a == 0 && b < 0)
            return by_zero(r);
        if (a < 0 && b != floor(b))
            return JFAIL(r, ERR_UNSUPPORTED, "a root of a negative number");
        return jval_float(pow(a, b));
    default:
        break;
    }
    if (b == 0)
        return by_zero(r);
    if (op == JTOK_DIV)
        return jval_float(a / b);
    double m = fmod(a, b);
    if (m != 0 && (m < 0) != (b < 0))
        m += b;
    if (op == JTOK_MOD)
        return jval_float(m == 0 ? copysign(0, b) : m);
    return jval_float(floor((a - m) / b + 0.5)); /* (a - m) / b is whole but for rounding */
}

static struct jval int_op(struct jrun *r, int op, int64_t a, int64_t b)
{
    int64_t result = 0;
    bool overflow = false;
    switch (op) {
    case JTOK_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case JTOK_SUB:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case JTOK_MUL:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    case JTOK_POW:
        return b < 0 ? float_op(r, op, (double)a, (double)b) : int_pow(r, a, b);
    case JTOK_DIV:
        return float_op(r, op, (double)a, (double)b);
    default:
        if (b == 0)
            return by_zero(r);
        overflow = a == INT64_MIN && b == -1 && op == JTOK_FLOORDIV;
        if (!overflow && b != -1) {
            bool down = a % b != 0 && (a % b < 0) != (b < 0);
            result = op == JTOK_MOD ? a % b + (down ? b : 0) : a / b - down;
        } else if (op == JTOK_FLOORDIV && !overflow) {
            result = -a;
        }
    }
    return overflow ? too_large(r) : jval_int(result);
}

static struct jval add_lists(struct jrun *r, const struct jlist *a, const struct jlist *b)
{
    struct jval *items = jrun_alloc(r, a->n + b->n, sizeof *items);
    if (!items || !jrun_work(r, (a->n + b->n) * sizeof *items))
        return JVAL_NONE;
    if (a->n)
        memcpy(items, a->items, a->n * sizeof *items);
    if (b->n)
        memcpy(items + a->n, b->items, b->n * sizeof *items);
    return jval_list(jlist_view(r, items, a->n + b->n, a->kind));
}

static struct jval repeat(struct jrun *r, struct jval v, int64_t times)
{
    size_t n = times > 0 ? (size_t)times : 0;
    if (v.type == J_STR) {
        struct jsb b;
        jsb_init(&b, r);
        jsb_repeat(&b, v.s, n);
        return jval_str(jsb_take(&b));
    }
    size_t total;
    if (__builtin_mul_overflow(v.list->n, n, &total))
        return JFAIL(r, ERR_LIMIT, "a list grows too long");
    struct jval *items = jrun_alloc(r, total, sizeof *items);
    for (size_t i = 0; items && i < total && jrun_work(r, sizeof *items); i++)
        items[i] = v.list->items[i % v.list->n];
    return r->failed ? JVAL_NONE : jval_list(jlist_view(r, items, total, v.list->kind));
}

static bool is_sequence(struct jval v)
{
    return v.type == J_STR || (v.type == J_LIST && v.list->kind <= JLIST_TUPLE);
}

struct jval jarith(struct jrun *r, int op, struct jval a, struct jval b)
{
    if (jval_is_integral(a) && jval_is_integral(b))
        return int_op(r, op, jval_as_int(a), jval_as_int(b));
    if (jval_is_number(a) && jval_is_number(b))
        return float_op(r, op, jval_as_float(a), jval_as_float(b));
    if (a.type == J_UNDEF || (b.type == J_UNDEF && a.type != J_STR)) {
        jval_fail_undef(r, a.type == J_UNDEF ? a : b);
        return JVAL_NONE;
    }
    if (op == JTOK_ADD && a.type == J_STR && b.type == J_STR)
        return jval_str(jstr_cat(r, a.s, b.s));
    if (op == JTOK_ADD && is_sequence(a) && is_sequence(b) && a.type == J_LIST &&
        b.type == J_LIST && a.list->kind == b.list->kind)
        return add_lists(r, a.list, b.list);
    if (op == JTOK_MUL && is_sequence(a) && jval_is_integral(b))
        return repeat(r, a, jval_as_int(b));
    if (op == JTOK_MUL && is_sequence(b) && jval_is_integral(a))
        return repeat(r, b, jval_as_int(a));
    if (op == JTOK_MOD && a.type == J_STR)
        return jval_str(jformat_percent(r, a.s, b));
    if (b.type == J_UNDEF) {
        jval_fail_undef(r, b);
        return JVAL_NONE;
    }
    return JFAIL(r, ERR_FORMAT, "'%s' does not work between '%s' and '%s'",
                 jtok_name((enum jtok_kind)op), jval_type_name(a), jval_type_name(b));
}
