/* Owns: filters over lists: choosing, mapping, ordering, grouping, adding up. Where Jinja gives a
 * generator, the result here is a finished list of the kind JLIST_ITERATOR.
 */
#include <config.h>

#include "template/jseq.h"

#include <string.h>

#include "template/jeval.h"
#include "template/jlex.h"
#include "template/jrun.h"
#include "template/jsort.h"
#include "template/jtext.h"

static struct jval iterator(struct jrun *r, const struct jvec *vec)
{
    return jval_list(jlist_from(r, vec, JLIST_ITERATOR));
}

/* ---- attributes of elements ---- */

static bool all_digits(struct jstr s, int64_t *n)
{
    *n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || i > 9)
            return false;
        *n = *n * 10 + (s.p[i] - '0');
    }
    return s.n > 0;
}

/* item.a.b.0 for the attribute "a.b.0"; `fallback`, if given, stands for undefined parts. */
static struct jval follow(struct jrun *r, struct jval item, struct jstr path, struct jval fallback)
{
    struct jstr dot = jstr_text(".");
    for (size_t at = 0; at <= path.n && !r->failed;) {
        size_t end = jstr_find(path, dot, at);
        if (end == SIZE_MAX)
            end = path.n;
        struct jstr part = jstr_sub(path, at, end - at);
        int64_t n;
        item = jeval_item(r, item, all_digits(part, &n) ? jval_int(n) : jval_str(part));
        if (item.type == J_UNDEF && fallback.type != J_MISSING)
            item = fallback;
        at = end + 1;
    }
    return item;
}

/* The element itself when `attribute` is missing. */
static struct jval attribute_of(struct jrun *r, struct jval item, struct jval attribute,
                                struct jval fallback)
{
    if (attribute.type == J_MISSING || attribute.type == J_NONE)
        return item;
    if (attribute.type == J_STR)
        return follow(r, item, attribute.s, fallback);
    struct jval v = jeval_item(r, item, attribute);
    return v.type == J_UNDEF && fallback.type != J_MISSING ? fallback : v;
}

static const struct jval none_given = {.type = J_MISSING};

/* Texts are compared without case unless asked otherwise. */
static struct jval fold(struct jrun *r, struct jval v, bool case_sensitive)
{
    return v.type == J_STR && !case_sensitive ? jval_str(jstr_case(r, v.s, 'l')) : v;
}

/* ---- single elements, sums ---- */

static struct jval edge(struct jrun *r, struct jval v, int64_t at)
{
    if (v.type != J_STR && v.type != J_RANGE)
        v = jval_list(jval_elements(r, v));
    if (r->failed)
        return JVAL_NONE;
    struct jval found = jval_at(v, at);
    return found.type == J_MISSING ? JVAL_UNDEF : found;
}

JBUILTIN(f_first)
{
    return edge(r, self, 0);
}

JBUILTIN(f_last)
{
    return edge(r, self, -1);
}

JBUILTIN(f_length)
{
    size_t n;
    if (!jrun_work(r, self.type == J_STR ? self.s.n : 0) || !jval_length(self, &n))
        return JFAIL(r, ERR_FORMAT, "'%s' has no length", jval_type_name(self));
    return jval_int((int64_t)n);
}

JBUILTIN(f_sum)
{
    const struct jlist *l = jval_elements(r, self);
    struct jval sum = a[1].type == J_MISSING ? jval_int(0) : a[1];
    for (size_t i = 0; l && i < l->n && jrun_work(r, 0); i++)
        sum = jarith(r, JTOK_ADD, sum, attribute_of(r, l->items[i], a[0], none_given));
    return sum;
}

/* want: the sign of compare(candidate, best) that makes the candidate better. */
static struct jval extreme(struct jrun *r, struct jval self, const struct jval *a, int want)
{
    const struct jlist *l = jval_elements(r, self);
    struct jval best = JVAL_UNDEF, best_key = JVAL_NONE;
    for (size_t i = 0; l && i < l->n && jrun_work(r, 0); i++) {
        struct jval key = fold(r, attribute_of(r, l->items[i], a[1], none_given),
                               jarg_truth(a[0], false));
        if (r->failed)
            break;
        if (i > 0 && jval_compare(r, key, best_key, want > 0 ? ">" : "<") != want)
            continue;
        best = l->items[i];
        best_key = key;
    }
    return best;
}

JBUILTIN(f_max)
{
    return extreme(r, self, a, 1);
}

JBUILTIN(f_min)
{
    return extreme(r, self, a, -1);
}

JBUILTIN(f_join)
{
    const struct jlist *l = jval_elements(r, self);
    struct jstr sep = a[0].type == J_MISSING ? JSTR_EMPTY : jtext_of(r, a[0]);
    struct jsb b;
    jsb_init(&b, r);
    for (size_t i = 0; l && i < l->n && !r->failed; i++) {
        if (i)
            jsb_str(&b, sep);
        jtext_str(r, &b, attribute_of(r, l->items[i], a[1], none_given));
    }
    return jval_str(jsb_take(&b));
}

/* ---- whole lists ---- */

JBUILTIN(f_list)
{
    const struct jlist *l = jval_elements(r, self);
    return l ? jval_list(jlist_view(r, l->items, l->n, JLIST_LIST)) : JVAL_NONE;
}

JBUILTIN(f_items)
{
    if (self.type == J_UNDEF)
        return jval_list(jlist_view(r, NULL, 0, JLIST_ITERATOR));
    if (self.type != J_DICT)
        return JFAIL(r, ERR_FORMAT, "items needs a mapping, not '%s'", jval_type_name(self));
    struct jlist *l = jdict_items(r, self.dict);
    if (l)
        l->kind = JLIST_ITERATOR;
    return jval_list(l);
}

static struct jval reverse_string(struct jrun *r, struct jstr s)
{
    struct jsb b;
    jsb_init(&b, r);
    for (size_t end = s.n; end > 0 && !r->failed;) {
        size_t at = jstr_prev(s, end);
        jsb_str(&b, jstr_sub(s, at, end - at));
        end = at;
    }
    return jval_str(jsb_take(&b));
}

JBUILTIN(f_reverse)
{
    if (self.type == J_STR)
        return reverse_string(r, self.s);
    const struct jlist *l = jval_elements(r, self);
    struct jvec out = {.n = 0};
    for (size_t i = l ? l->n : 0; i > 0 && !r->failed; i--)
        jvec_push(r, &out, l->items[i - 1]);
    return iterator(r, &out);
}

/* One line of batch or slice: elements [from, from + n), then `fill` up to `want` elements. */
static struct jval row(struct jrun *r, const struct jlist *l, size_t from, size_t n, size_t want,
                       struct jval fill)
{
    struct jvec out = {.n = 0};
    for (size_t i = 0; i < n && !r->failed; i++)
        jvec_push(r, &out, l->items[from + i]);
    while (out.n < want && fill.type != J_MISSING && fill.type != J_NONE && !r->failed)
        jvec_push(r, &out, fill);
    return jval_list(jlist_from(r, &out, JLIST_LIST));
}

JBUILTIN(f_batch)
{
    const struct jlist *l = jval_elements(r, self);
    int64_t n = jarg_int(r, a[0], 1);
    struct jvec out = {.n = 0};
    if (!r->failed && n < 1)
        return JFAIL(r, ERR_FORMAT, "batch needs a number above zero");
    for (size_t at = 0; l && at < l->n && !r->failed; at += (size_t)n) {
        size_t left = l->n - at, take = (uint64_t)n < left ? (size_t)n : left;
        jvec_push(r, &out, row(r, l, at, take, (size_t)n, a[1]));
        if (take == left)
            break;
    }
    return iterator(r, &out);
}

JBUILTIN(f_slice)
{
    const struct jlist *l = jval_elements(r, self);
    int64_t n = jarg_int(r, a[0], 1);
    struct jvec out = {.n = 0};
    if (!r->failed && n < 1)
        return JFAIL(r, ERR_FORMAT, "slice needs a number above zero");
    size_t each = l ? l->n / (size_t)n : 0, extra = l ? l->n % (size_t)n : 0, at = 0;
    for (size_t i = 0; l && i < (size_t)n && !r->failed; i++) {
        size_t take = each + (i < extra);
        jvec_push(r, &out, row(r, l, at, take, i < extra ? take : take + 1, a[1]));
        at += take;
    }
    return iterator(r, &out);
}

/* ---- choosing and mapping ---- */

static struct jargs rest_of(const struct jargs *all, size_t from)
{
    struct jargs rest = *all;
    from = from < all->n ? from : all->n;
    rest.n -= from;
    if (rest.n)
        rest.v += from;
    return rest;
}

static const struct jbuiltin *named(struct jrun *r, struct jval name, bool filter)
{
    struct jstr s = jarg_str(r, name, JSTR_EMPTY);
    const struct jbuiltin *def = filter ? jfilter_find(s) : jtest_find(s);
    if (!def && !r->failed)
        JFAIL(r, ERR_UNSUPPORTED, "no %s is named '%.*s'", filter ? "filter" : "test",
              (int)(s.n < 60 ? s.n : 60), s.p);
    return def;
}

/* Elements to choose from or to map: false, 0 and none stand for an empty list here. */
static struct jlist *elements_or_none(struct jrun *r, struct jval v)
{
    return jval_elements(r, jval_truth(v) ? v : JVAL_UNDEF);
}

/* Keeps the elements (or those whose attribute) that pass the test named in the arguments, or are
 * true without one; `keep` = false turns it round. */
static struct jval choose(struct jrun *r, struct jval self, const struct jargs *all,
                          bool by_attribute, bool keep)
{
    struct jval attribute = none_given;
    struct jvec out = {.n = 0};
    size_t skip = by_attribute;
    if (by_attribute) {
        if (all->n == 0)
            return JFAIL(r, ERR_FORMAT, "the name of an attribute is missing");
        attribute = all->v[0];
    }
    const struct jbuiltin *test = all->n > skip ? named(r, all->v[skip], false) : NULL;
    struct jargs args = rest_of(all, skip + 1);
    const struct jlist *l = elements_or_none(r, self);
    for (size_t i = 0; l && i < l->n && jrun_step(r); i++) {
        struct jval v = attribute_of(r, l->items[i], attribute, none_given);
        if (test)
            v = jbuiltin_call(r, test, v, &args);
        if (!r->failed && jval_truth(v) == keep)
            jvec_push(r, &out, l->items[i]);
    }
    return iterator(r, &out);
}

JBUILTIN(f_select)
{
    return choose(r, self, all, false, true);
}

JBUILTIN(f_reject)
{
    return choose(r, self, all, false, false);
}

JBUILTIN(f_selectattr)
{
    return choose(r, self, all, true, true);
}

JBUILTIN(f_rejectattr)
{
    return choose(r, self, all, true, false);
}

JBUILTIN(f_map)
{
    struct jval attribute = none_given, fallback = none_given;
    const struct jbuiltin *filter = all->n ? named(r, all->v[0], true) : NULL;
    struct jargs args = rest_of(all, 1);
    for (size_t i = 0; !filter && i < all->n_named; i++) {
        if (jstr_is(all->named[i].name, "attribute"))
            attribute = all->named[i].v;
        else if (jstr_is(all->named[i].name, "default"))
            fallback = all->named[i].v;
        else
            return JFAIL(r, ERR_FORMAT, "map takes a filter, or attribute and default");
    }
    if (!filter && attribute.type == J_MISSING)
        return JFAIL(r, ERR_FORMAT, "map needs the name of a filter or an attribute");
    /* a filter that maps again would recurse by its arguments; each level is counted */
    struct jvec out = {.n = 0};
    const struct jlist *l = elements_or_none(r, self);
    for (size_t i = 0; l && i < l->n && jrun_step(r) && jrun_enter(r); i++) {
        jvec_push(r, &out,
                  filter ? jbuiltin_call(r, filter, l->items[i], &args)
                         : attribute_of(r, l->items[i], attribute, fallback));
        jrun_leave(r);
    }
    return iterator(r, &out);
}

JBUILTIN(f_unique)
{
    const struct jlist *l = jval_elements(r, self);
    struct jdict *seen = jdict_new(r);
    struct jvec out = {.n = 0};
    for (size_t i = 0; l && seen && i < l->n && jrun_work(r, 0); i++) {
        struct jval key = fold(r, attribute_of(r, l->items[i], a[1], none_given),
                               jarg_truth(a[0], false));
        size_t before = seen->n;
        if (jdict_set(r, seen, key, JVAL_NONE) && seen->n > before)
            jvec_push(r, &out, l->items[i]);
    }
    return iterator(r, &out);
}

/* ---- ordering ---- */

/* Key of an element for "a" or, several of them, "a,b". */
static struct jval sort_key(struct jrun *r, struct jval item, struct jval attribute, bool sensitive)
{
    struct jstr comma = jstr_text(",");
    if (attribute.type != J_STR || jstr_find(attribute.s, comma, 0) == SIZE_MAX)
        return fold(r, attribute_of(r, item, attribute, none_given), sensitive);
    struct jvec keys = {.n = 0};
    for (size_t at = 0; at <= attribute.s.n && !r->failed;) {
        size_t end = jstr_find(attribute.s, comma, at);
        if (end == SIZE_MAX)
            end = attribute.s.n;
        struct jval part = jval_str(jstr_sub(attribute.s, at, end - at));
        jvec_push(r, &keys, fold(r, attribute_of(r, item, part, none_given), sensitive));
        at = end + 1;
    }
    return jval_list(jlist_from(r, &keys, JLIST_LIST));
}

/* Elements with their keys, sorted; NULL when the render failed. */
static struct jsort_item *sorted(struct jrun *r, const struct jlist *l, struct jval attribute,
                                 struct jval fallback, bool sensitive, bool descending)
{
    struct jsort_item *items = l ? jrun_alloc(r, l->n, sizeof *items) : NULL;
    for (size_t i = 0; items && i < l->n && jrun_work(r, 0); i++) {
        items[i].value = l->items[i];
        items[i].key = fallback.type == J_MISSING
                           ? sort_key(r, l->items[i], attribute, sensitive)
                           : fold(r, attribute_of(r, l->items[i], attribute, fallback), sensitive);
    }
    if (!items || r->failed || !jsort(r, items, l->n, descending))
        return NULL;
    return items;
}

JBUILTIN(f_sort)
{
    const struct jlist *l = jval_elements(r, self);
    struct jsort_item *items = sorted(r, l, a[2], none_given, jarg_truth(a[1], false),
                                      jarg_truth(a[0], false));
    struct jvec out = {.n = 0};
    for (size_t i = 0; items && i < l->n; i++)
        jvec_push(r, &out, items[i].value);
    return jval_list(jlist_from(r, &out, JLIST_LIST));
}

JBUILTIN(f_dictsort)
{
    if (self.type != J_DICT)
        return JFAIL(r, ERR_FORMAT, "dictsort needs a mapping, not '%s'", jval_type_name(self));
    struct jstr by = jarg_str(r, a[1], jstr_text("key"));
    if (!r->failed && !jstr_is(by, "key") && !jstr_is(by, "value"))
        return JFAIL(r, ERR_FORMAT, "dictsort sorts by 'key' or by 'value'");
    const struct jlist *l = jdict_items(r, self.dict);
    struct jsort_item *items = sorted(r, l, jval_int(jstr_is(by, "value")), none_given,
                                      jarg_truth(a[0], false), jarg_truth(a[2], false));
    struct jvec out = {.n = 0};
    for (size_t i = 0; items && i < l->n; i++)
        jvec_push(r, &out, items[i].value);
    return jval_list(jlist_from(r, &out, JLIST_LIST));
}

static struct jval group(struct jrun *r, struct jval key, const struct jsort_item *items, size_t n)
{
    struct jvec members = {.n = 0};
    for (size_t i = 0; i < n && !r->failed; i++)
        jvec_push(r, &members, items[i].value);
    struct jlist *pair = jlist_pair(r, key, jval_list(jlist_from(r, &members, JLIST_LIST)));
    if (pair)
        pair->grouped = true;
    return jval_list(pair);
}

JBUILTIN(f_groupby)
{
    const struct jlist *l = jval_elements(r, self);
    struct jsort_item *items = sorted(r, l, a[0], a[1], jarg_truth(a[2], false), false);
    struct jvec out = {.n = 0};
    for (size_t from = 0; items && from < l->n && !r->failed;) {
        size_t to = from + 1;
        while (to < l->n && jval_equal(r, items[to].key, items[from].key))
            to++;
        struct jval key = attribute_of(r, items[from].value, a[0], a[1]);
        jvec_push(r, &out, group(r, key, items + from, to - from));
        from = to;
    }
    return jval_list(jlist_from(r, &out, JLIST_LIST));
}

static const struct jbuiltin table[] = {
    {"first", "", f_first},
    {"last", "", f_last},
    {"length", "", f_length},
    {"count", "", f_length},
    {"sum", "attribute start", f_sum},
    {"max", "case_sensitive attribute", f_max},
    {"min", "case_sensitive attribute", f_min},
    {"join", "d attribute", f_join},
    {"list", "", f_list},
    {"items", "", f_items},
    {"reverse", "", f_reverse},
    {"batch", "!linecount fill_with", f_batch},
    {"slice", "!slices fill_with", f_slice},
    {"select", NULL, f_select},
    {"reject", NULL, f_reject},
    {"selectattr", NULL, f_selectattr},
    {"rejectattr", NULL, f_rejectattr},
    {"map", NULL, f_map},
    {"unique", "case_sensitive attribute", f_unique},
    {"sort", "reverse case_sensitive attribute", f_sort},
    {"dictsort", "case_sensitive by reverse", f_dictsort},
    {"groupby", "!attribute default case_sensitive", f_groupby},
};

const struct jbuiltin *jseq_find(struct jstr name)
{
    return jbuiltin_find(table, sizeof table / sizeof *table, name);
}
