/* Values of the template language, by value, 32 bytes. Containers are immutable once built (only
 * namespaces, loops, cyclers and joiners change) and live in the arena of the render.
 * Thread: one per render.
 */
#ifndef SEEKD_TEMPLATE_JVAL_H
#define SEEKD_TEMPLATE_JVAL_H

#include "template/jstr.h"

struct jrun;
struct jbuiltin;
struct jmacro;
struct jloop;
struct jval;

enum jtype {
    J_MISSING, /* internal: an argument that was not given */
    J_UNDEF,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STR,
    J_LIST,
    J_DICT,
    J_RANGE,
    J_NAMESPACE,
    J_LOOP,
    J_MACRO,
    J_FUNCTION,
    J_METHOD,
    J_CYCLER,
    J_JOINER
};

enum jlist_kind { JLIST_LIST, JLIST_TUPLE, JLIST_ITERATOR, JLIST_ITEMS, JLIST_KEYS, JLIST_VALUES };

struct jlist {
    size_t n;
    const struct jval *items;
    enum jlist_kind kind;
    bool grouped; /* element of groupby(): a pair with the names grouper and list */
};

struct jentry;

/* Insertion-ordered; index only when there are more than a few entries. */
struct jdict {
    size_t n, cap;
    struct jentry *entry;
    uint32_t *index; /* index_cap slots, entry number + 1, 0 = free; NULL while small */
    size_t index_cap;
};

struct jrange {
    int64_t start, step;
    size_t n;
};

struct jundef {
    const char *name; /* what was looked up; NULL: not a name */
    uint32_t name_len;
    enum jtype owner; /* in what; J_MISSING: among the variables */
};

struct jval {
    enum jtype type;
    bool data; /* number or boolean that came out of a variable (texts have marks) */
    union {
        bool b;
        int64_t i;
        double f;
        struct jstr s;
        struct jlist *list;
        struct jdict *dict; /* also of a namespace */
        struct jrange *range;
        struct jundef undef;
        struct jloop *loop;
        struct jmacro *macro;
        const struct jbuiltin *function;
        struct jmethod *method;
        struct jcycler *cycler; /* also of a joiner */
    };
};

struct jentry {
    struct jval key, value;
    uint64_t hash;
};

struct jmethod {
    struct jval self;
    const struct jbuiltin *def;
};

struct jcycler { /* a joiner has one item, the separator */
    struct jlist *items;
    size_t at;
};

#define JVAL_NONE ((struct jval){.type = J_NONE})
#define JVAL_UNDEF ((struct jval){.type = J_UNDEF})

static inline struct jval jval_bool(bool b)
{
    return (struct jval){.type = J_BOOL, .b = b};
}

static inline struct jval jval_int(int64_t i)
{
    return (struct jval){.type = J_INT, .i = i};
}

static inline struct jval jval_float(double f)
{
    return (struct jval){.type = J_FLOAT, .f = f};
}

static inline struct jval jval_str(struct jstr s)
{
    return (struct jval){.type = J_STR, .s = s};
}

static inline struct jval jval_list(struct jlist *l)
{
    return l ? (struct jval){.type = J_LIST, .list = l} : JVAL_NONE;
}

static inline struct jval jval_dict(struct jdict *d)
{
    return d ? (struct jval){.type = J_DICT, .dict = d} : JVAL_NONE;
}

bool jval_truth(struct jval v);
const char *jval_type_name(struct jval v);         /* Python's: "int", "NoneType", … */
static inline bool jval_is_integral(struct jval v) /* bool counts as int */
{
    return v.type == J_INT || v.type == J_BOOL;
}
static inline bool jval_is_number(struct jval v)
{
    return v.type == J_FLOAT || jval_is_integral(v);
}
static inline int64_t jval_as_int(struct jval v) /* of an integral */
{
    return v.type == J_BOOL ? v.b : v.i;
}
static inline double jval_as_float(struct jval v) /* of a number */
{
    return v.type == J_FLOAT ? v.f : (double)jval_as_int(v);
}

bool jval_equal(struct jrun *r, struct jval a, struct jval b);
/* a < b: -1, equal: 0, greater: 1; JVAL_UNORDERED for NaN. Fails the render (returns 0) when the
 * types have no order; `op` is the sign shown in that message. */
enum { JVAL_UNORDERED = 2 };
int jval_compare(struct jrun *r, struct jval a, struct jval b, const char *op);
/* `needle in hay`. */
bool jval_contains(struct jrun *r, struct jval hay, struct jval needle);
/* Elements of any iterable: list, text (characters), dictionary (keys), range; an undefined value
 * has none. Never NULL unless the render failed. */
struct jlist *jval_elements(struct jrun *r, struct jval v);
/* len(); false when the type has none. */
bool jval_length(struct jval v, size_t *n);
/* Element `i` of a list, text or range, negative from the end; J_MISSING when there is none. */
struct jval jval_at(struct jval v, int64_t i);
/* Fails the render with the reason why `v`, undefined, cannot be used. */
void jval_fail_undef(struct jrun *r, struct jval v);

/* Growing array in the arena. */
struct jvec {
    struct jval *v;
    size_t n, cap;
};
bool jvec_push(struct jrun *r, struct jvec *vec, struct jval v);
/* The elements so far as a list (NULL when the render failed). */
struct jlist *jlist_from(struct jrun *r, const struct jvec *vec, enum jlist_kind kind);
struct jlist *jlist_view(struct jrun *r, const struct jval *items, size_t n, enum jlist_kind kind);
struct jlist *jlist_pair(struct jrun *r, struct jval a, struct jval b);

struct jdict *jdict_new(struct jrun *r);
/* Value of `key`, or J_MISSING. An unhashable key is simply not there. */
struct jval jdict_get(struct jrun *r, const struct jdict *d, struct jval key);
struct jval jdict_get_str(struct jrun *r, const struct jdict *d, struct jstr key);
bool jdict_set(struct jrun *r, struct jdict *d, struct jval key, struct jval value);
struct jlist *jdict_items(struct jrun *r, const struct jdict *d); /* pairs */
struct jlist *jdict_keys(struct jrun *r, const struct jdict *d);
struct jlist *jdict_values(struct jrun *r, const struct jdict *d);

#endif
