/* Owns: truth, equality, order and membership of values as Python has them; lists and dictionaries
 * in the arena. Refuses to know text forms (jtext.c) and the interpreter (jeval.c).
 */
#include <config.h>

#include "template/jval.h"

#include <math.h>
#include <string.h>

#include "template/jrun.h"

enum { DICT_SMALL = 8 }; /* entries searched one by one; above, through the index */

/* ---- single values ---- */

bool jval_truth(struct jval v)
{
    switch (v.type) {
    case J_MISSING:
    case J_UNDEF:
    case J_NONE:
        return false;
    case J_BOOL:
        return v.b;
    case J_INT:
        return v.i != 0;
    case J_FLOAT:
        return v.f != 0;
    case J_STR:
        return v.s.n != 0;
    case J_LIST: /* an iterator is an object: true even when it yields nothing */
        return v.list->n != 0 || v.list->kind == JLIST_ITERATOR;
    case J_DICT:
        return v.dict->n != 0;
    case J_RANGE:
        return v.range->n != 0;
    default:
        return true;
    }
}

const char *jval_type_name(struct jval v)
{
    static const char *const lists[] = {
        [JLIST_LIST] = "list",        [JLIST_TUPLE] = "tuple",    [JLIST_ITERATOR] = "iterator",
        [JLIST_ITEMS] = "dict_items", [JLIST_KEYS] = "dict_keys", [JLIST_VALUES] = "dict_values"};
    static const char *const names[] = {
        [J_MISSING] = "nothing",
        [J_UNDEF] = "Undefined",
        [J_NONE] = "NoneType",
        [J_BOOL] = "bool",
        [J_INT] = "int",
        [J_FLOAT] = "float",
        [J_STR] = "str",
        [J_LIST] = "list",
        [J_DICT] = "dict",
        [J_RANGE] = "range",
        [J_NAMESPACE] = "Namespace",
        [J_LOOP] = "LoopContext",
        [J_MACRO] = "Macro",
        [J_FUNCTION] = "function",
        [J_METHOD] = "method",
        [J_CYCLER] = "Cycler",
        [J_JOINER] = "Joiner",
    };
    return v.type == J_LIST ? lists[v.list->kind] : names[v.type];
}

void jval_fail_undef(struct jrun *r, struct jval v)
{
    const char *name = v.undef.name ? v.undef.name : "element";
    int len = v.undef.name ? (int)v.undef.name_len : 7;
    if (v.undef.owner == J_MISSING && v.undef.name)
        JFAIL(r, ERR_FORMAT, "'%.*s' is undefined", len, name);
    else if (v.undef.owner == J_MISSING)
        JFAIL(r, ERR_FORMAT, "the value is undefined");
    else
        JFAIL(r, ERR_FORMAT, "'%s' has no attribute '%.*s'",
              jval_type_name((struct jval){.type = v.undef.owner, .list = &(struct jlist){.n = 0}}),
              len, name);
}

bool jval_length(struct jval v, size_t *n)
{
    switch (v.type) {
    case J_UNDEF:
        *n = 0;
        return true;
    case J_STR:
        *n = jstr_count(v.s);
        return true;
    case J_LIST:
        *n = v.list->n;
        return true;
    case J_DICT:
        *n = v.dict->n;
        return true;
    case J_RANGE:
        *n = v.range->n;
        return true;
    default:
        return false;
    }
}

struct jval jval_at(struct jval v, int64_t i)
{
    struct jval none = {.type = J_MISSING};
    size_t n;
    if ((v.type != J_LIST && v.type != J_STR && v.type != J_RANGE) || !jval_length(v, &n))
        return none;
    if (i < 0)
        i += (int64_t)n;
    if (i < 0 || (uint64_t)i >= n)
        return none;
    if (v.type == J_LIST)
        return v.list->items[i];
    if (v.type == J_RANGE)
        return jval_int(v.range->start + i * v.range->step);
    size_t at = jstr_offset(v.s, (size_t)i), end = at;
    jstr_next(v.s, &end);
    return jval_str(jstr_sub(v.s, at, end - at));
}

/* ---- equality and order ---- */

static int order_numbers(struct jval a, struct jval b)
{
    if (jval_is_integral(a) && jval_is_integral(b)) {
        int64_t x = jval_as_int(a), y = jval_as_int(b);
        return x < y ? -1 : x > y;
    }
    /* 64 bits of mantissa hold every int64 exactly (x86); elsewhere the nearest double decides */
    long double x = a.type == J_FLOAT ? (long double)a.f : (long double)jval_as_int(a);
    long double y = b.type == J_FLOAT ? (long double)b.f : (long double)jval_as_int(b);
    if (isnan(x) || isnan(y))
        return JVAL_UNORDERED;
    return x < y ? -1 : x > y;
}

static bool lists_equal(struct jrun *r, const struct jlist *a, const struct jlist *b)
{
    if (a->n != b->n || a->kind != b->kind)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!jval_equal(r, a->items[i], b->items[i]))
            return false;
    }
    return true;
}

static bool dicts_equal(struct jrun *r, const struct jdict *a, const struct jdict *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        struct jval other = jdict_get(r, b, a->entry[i].key);
        if (other.type == J_MISSING || !jval_equal(r, a->entry[i].value, other))
            return false;
    }
    return true;
}

static bool same_type_equal(struct jrun *r, struct jval a, struct jval b)
{
    switch (a.type) {
    case J_STR:
        return jrun_work(r, a.s.n) && jstr_equal(a.s, b.s);
    case J_LIST:
        return a.list == b.list || lists_equal(r, a.list, b.list);
    case J_DICT:
        return a.dict == b.dict || dicts_equal(r, a.dict, b.dict);
    case J_RANGE:
        return a.range->n == b.range->n &&
               (a.range->n == 0 || (a.range->start == b.range->start &&
                                    (a.range->n == 1 || a.range->step == b.range->step)));
    case J_MISSING:
    case J_UNDEF:
    case J_NONE:
        return true;
    default: /* identity; all are pointers */
        return a.dict == b.dict;
    }
}

bool jval_equal(struct jrun *r, struct jval a, struct jval b)
{
    if (jval_is_number(a) && jval_is_number(b))
        return order_numbers(a, b) == 0;
    if (a.type != b.type || !jrun_enter(r))
        return false;
    bool equal = same_type_equal(r, a, b);
    jrun_leave(r);
    return equal;
}

static int compare_lists(struct jrun *r, const struct jlist *a, const struct jlist *b,
                         const char *op)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        if (!jval_equal(r, a->items[i], b->items[i]))
            return r->failed ? 0 : jval_compare(r, a->items[i], b->items[i], op);
    }
    return a->n < b->n ? -1 : a->n > b->n;
}

int jval_compare(struct jrun *r, struct jval a, struct jval b, const char *op)
{
    if (jval_is_number(a) && jval_is_number(b))
        return order_numbers(a, b);
    if (a.type == J_STR && b.type == J_STR)
        return jrun_work(r, a.s.n < b.s.n ? a.s.n : b.s.n) ? jstr_compare(a.s, b.s) : 0;
    if (a.type == J_LIST && b.type == J_LIST && a.list->kind == b.list->kind &&
        a.list->kind <= JLIST_TUPLE) {
        if (!jrun_enter(r))
            return 0;
        int c = compare_lists(r, a.list, b.list, op);
        jrun_leave(r);
        return c;
    }
    if (a.type == J_UNDEF || b.type == J_UNDEF)
        jval_fail_undef(r, a.type == J_UNDEF ? a : b);
    else
        JFAIL(r, ERR_FORMAT, "'%s' not supported between '%s' and '%s'", op, jval_type_name(a),
              jval_type_name(b));
    return 0;
}

static bool range_contains(const struct jrange *range, struct jval v)
{
    if (v.type == J_FLOAT && v.f == rint(v.f) && fabs(v.f) < 9e18)
        v = jval_int((int64_t)v.f);
    if (!jval_is_integral(v) || range->n == 0)
        return false;
    int64_t i = jval_as_int(v), last = range->start + (int64_t)(range->n - 1) * range->step;
    int64_t low = range->step > 0 ? range->start : last,
            high = range->step > 0 ? last : range->start;
    return i >= low && i <= high && ((__int128)i - range->start) % range->step == 0;
}

bool jval_contains(struct jrun *r, struct jval hay, struct jval needle)
{
    switch (hay.type) {
    case J_UNDEF:
        return false;
    case J_STR:
        if (needle.type == J_STR)
            return jrun_work(r, hay.s.n) && jstr_find(hay.s, needle.s, 0) != SIZE_MAX;
        if (needle.type == J_UNDEF)
            jval_fail_undef(r, needle);
        else
            JFAIL(r, ERR_FORMAT, "'in <string>' requires a string on the left, not '%s'",
                  jval_type_name(needle));
        return false;
    case J_LIST:
        for (size_t i = 0; i < hay.list->n && jrun_work(r, 0); i++) {
            if (jval_equal(r, hay.list->items[i], needle))
                return true;
        }
        return false;
    case J_DICT:
        return jdict_get(r, hay.dict, needle).type != J_MISSING;
    case J_RANGE:
        return range_contains(hay.range, needle);
    default:
        JFAIL(r, ERR_FORMAT, "'in' needs a text, list or mapping on the right, not '%s'",
              jval_type_name(hay));
        return false;
    }
}

/* ---- lists ---- */

bool jvec_push(struct jrun *r, struct jvec *vec, struct jval v)
{
    if (vec->n == vec->cap) {
        size_t cap = vec->cap ? vec->cap + vec->cap / 2 : 4;
        struct jval *grown = jrun_resize(r, vec->v, vec->cap * sizeof *vec->v,
                                         cap * sizeof *vec->v);
        if (!grown)
            return false;
        vec->v = grown;
        vec->cap = cap;
    }
    vec->v[vec->n++] = v;
    return jrun_work(r, sizeof v);
}

struct jlist *jlist_view(struct jrun *r, const struct jval *items, size_t n, enum jlist_kind kind)
{
    struct jlist *l = jrun_alloc(r, 1, sizeof *l);
    if (l)
        *l = (struct jlist){.n = n, .items = items, .kind = kind};
    return l;
}

struct jlist *jlist_from(struct jrun *r, const struct jvec *vec, enum jlist_kind kind)
{
    return jlist_view(r, vec->v, vec->n, kind);
}

struct jlist *jlist_pair(struct jrun *r, struct jval a, struct jval b)
{
    struct jval *items = jrun_alloc(r, 2, sizeof *items);
    if (!items)
        return NULL;
    items[0] = a;
    items[1] = b;
    return jlist_view(r, items, 2, JLIST_TUPLE);
}

static struct jlist *characters(struct jrun *r, struct jstr s)
{
    size_t n = jstr_count(s), at = 0;
    struct jval *items = jrun_alloc(r, n, sizeof *items);
    for (size_t i = 0; items && i < n; i++) {
        size_t begin = at;
        jstr_next(s, &at);
        items[i] = jval_str(jstr_sub(s, begin, at - begin));
    }
    return jrun_work(r, n * sizeof *items) ? jlist_view(r, items, n, JLIST_LIST) : NULL;
}

static struct jlist *numbers(struct jrun *r, const struct jrange *range)
{
    struct jval *items = jrun_alloc(r, range->n, sizeof *items);
    for (size_t i = 0; items && i < range->n; i++)
        items[i] = jval_int(range->start + (int64_t)i * range->step);
    return jrun_work(r, range->n) ? jlist_view(r, items, range->n, JLIST_LIST) : NULL;
}

struct jlist *jval_elements(struct jrun *r, struct jval v)
{
    switch (v.type) {
    case J_LIST:
        return v.list;
    case J_STR:
        return characters(r, v.s);
    case J_DICT:
        return jdict_keys(r, v.dict);
    case J_RANGE:
        return numbers(r, v.range);
    case J_UNDEF:
        return jlist_view(r, NULL, 0, JLIST_LIST);
    default:
        JFAIL(r, ERR_FORMAT, "'%s' object is not iterable", jval_type_name(v));
        return NULL;
    }
}

/* ---- dictionaries ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

static uint64_t hash_text(struct jstr s)
{
    uint64_t h = s.n, word;
    size_t at = 0;
    for (; at + sizeof word <= s.n; at += sizeof word) {
        memcpy(&word, s.p + at, sizeof word);
        h = mix(h, word);
    }
    for (word = 0; at < s.n; at++)
        word = word << 8 | (unsigned char)s.p[at];
    return mix(mix(h, word), 1);
}

/* False for values that cannot be keys. */
static bool hash(struct jrun *r, struct jval v, uint64_t *out)
{
    if (v.type == J_STR) {
        *out = hash_text(v.s);
        return jrun_work(r, v.s.n);
    }
    if (jval_is_number(v)) { /* 1, 1.0 and true are one key */
        double f = jval_as_float(v);
        bool whole = v.type != J_FLOAT || (f == rint(f) && fabs(f) < 9e18);
        uint64_t bits = 0;
        if (whole)
            bits = (uint64_t)(v.type == J_FLOAT ? (int64_t)f : jval_as_int(v));
        else
            memcpy(&bits, &f, sizeof f);
        *out = mix(2, bits);
        return true;
    }
    *out = mix(3, v.type);
    if (v.type == J_NONE)
        return true;
    if (v.type != J_LIST || v.list->kind != JLIST_TUPLE || !jrun_enter(r))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < v.list->n; i++) {
        uint64_t h = 0;
        ok = hash(r, v.list->items[i], &h);
        *out = mix(*out, h);
    }
    jrun_leave(r);
    return ok;
}

struct jdict *jdict_new(struct jrun *r)
{
    struct jdict *d = jrun_alloc(r, 1, sizeof *d);
    if (d)
        *d = (struct jdict){.n = 0};
    return d;
}

/* Entry with this key, or SIZE_MAX. With an index, *slot is where the search ended. */
static size_t find(struct jrun *r, const struct jdict *d, struct jval key, uint64_t h, size_t *slot)
{
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++) {
            if (d->entry[i].hash == h && jval_equal(r, d->entry[i].key, key))
                return i;
        }
        return SIZE_MAX;
    }
    size_t mask = d->index_cap - 1;
    for (*slot = h & mask; d->index[*slot] && jrun_work(r, 0); *slot = (*slot + 1) & mask) {
        size_t i = d->index[*slot] - 1;
        if (d->entry[i].hash == h && jval_equal(r, d->entry[i].key, key))
            return i;
    }
    return SIZE_MAX;
}

struct jval jdict_get(struct jrun *r, const struct jdict *d, struct jval key)
{
    uint64_t h;
    size_t slot, i = SIZE_MAX;
    if (d->n && hash(r, key, &h))
        i = find(r, d, key, h, &slot);
    return i == SIZE_MAX || r->failed ? (struct jval){.type = J_MISSING} : d->entry[i].value;
}

struct jval jdict_get_str(struct jrun *r, const struct jdict *d, struct jstr key)
{
    return jdict_get(r, d, jval_str(key));
}

/* Makes room for one more entry, and an index twice as large as the entries need. */
static bool grow(struct jrun *r, struct jdict *d)
{
    if (d->n < d->cap)
        return true;
    size_t cap = d->cap ? d->cap * 2 : DICT_SMALL;
    struct jentry *entry = jrun_resize(r, d->entry, d->cap * sizeof *entry, cap * sizeof *entry);
    if (!entry)
        return false;
    d->entry = entry;
    d->cap = cap;
    if (cap <= DICT_SMALL)
        return true;
    size_t slots = cap * 2;
    uint32_t *index = jrun_alloc(r, slots, sizeof *index);
    if (!index || slots > UINT32_MAX)
        return false;
    memset(index, 0, slots * sizeof *index);
    for (size_t i = 0; i < d->n && jrun_work(r, 0); i++) {
        size_t at = entry[i].hash & (slots - 1);
        while (index[at] && jrun_work(r, 0))
            at = (at + 1) & (slots - 1);
        index[at] = (uint32_t)i + 1;
    }
    d->index = index;
    d->index_cap = slots;
    return !r->failed;
}

bool jdict_set(struct jrun *r, struct jdict *d, struct jval key, struct jval value)
{
    uint64_t h;
    size_t slot = 0;
    if (!hash(r, key, &h)) {
        JFAIL(r, ERR_FORMAT, "'%s' cannot be a key of a mapping", jval_type_name(key));
        return false;
    }
    size_t i = find(r, d, key, h, &slot);
    if (r->failed)
        return false;
    if (i != SIZE_MAX) {
        d->entry[i].value = value;
        return true;
    }
    if (!grow(r, d))
        return false;
    find(r, d, key, h, &slot);
    if (r->failed)
        return false;
    if (d->index)
        d->index[slot] = (uint32_t)d->n + 1;
    d->entry[d->n++] = (struct jentry){.key = key, .value = value, .hash = h};
    return jrun_work(r, sizeof *d->entry);
}

struct jlist *jdict_items(struct jrun *r, const struct jdict *d)
{
    struct jval *items = jrun_alloc(r, d->n, sizeof *items);
    for (size_t i = 0; items && !r->failed && i < d->n; i++)
        items[i] = jval_list(jlist_pair(r, d->entry[i].key, d->entry[i].value));
    return jrun_work(r, d->n * sizeof *items) ? jlist_view(r, items, d->n, JLIST_ITEMS) : NULL;
}

struct jlist *jdict_keys(struct jrun *r, const struct jdict *d)
{
    struct jval *items = jrun_alloc(r, d->n, sizeof *items);
    for (size_t i = 0; items && i < d->n; i++)
        items[i] = d->entry[i].key;
    return jrun_work(r, d->n) ? jlist_view(r, items, d->n, JLIST_KEYS) : NULL;
}

struct jlist *jdict_values(struct jrun *r, const struct jdict *d)
{
    struct jval *items = jrun_alloc(r, d->n, sizeof *items);
    for (size_t i = 0; items && i < d->n; i++)
        items[i] = d->entry[i].value;
    return jrun_work(r, d->n) ? jlist_view(r, items, d->n, JLIST_VALUES) : NULL;
}
