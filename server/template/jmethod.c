/* Owns: the methods of texts, lists, mappings and the small stateful objects. Methods that would
 * change a list or mapping exist only to say that they may not.
 */
#include <config.h>

#include <string.h>

#include "template/jeval.h"
#include "template/jrun.h"
#include "template/jtext.h"

/* ---- parts of texts ---- */

static struct jlist *list_of(struct jrun *r, const struct jvec *vec)
{
    return jlist_from(r, vec, JLIST_LIST);
}

/* Next run of characters that are not white space at or after *at, or an empty text. */
static struct jstr next_word(struct jstr s, size_t *at)
{
    struct jstr rest = jstr_trim(jstr_sub(s, *at, s.n - *at), true, false);
    size_t begin = s.n - rest.n, end = begin;
    while (end < s.n) {
        size_t next = end;
        if (jchar_space(jstr_next(s, &next)))
            break;
        end = next;
    }
    *at = end;
    return jstr_sub(s, begin, end - begin);
}

static struct jval split_words(struct jrun *r, struct jstr s, int64_t max)
{
    struct jvec parts = {.n = 0};
    for (size_t at = 0; !r->failed;) {
        struct jstr rest = jstr_trim(jstr_sub(s, at, s.n - at), true, false);
        if (rest.n == 0)
            break;
        if (max >= 0 && parts.n == (size_t)max) {
            jvec_push(r, &parts, jval_str(rest));
            break;
        }
        jvec_push(r, &parts, jval_str(next_word(s, &at)));
    }
    jrun_work(r, s.n);
    return jval_list(list_of(r, &parts));
}

static struct jval split_at(struct jrun *r, struct jstr s, struct jstr sep, int64_t max)
{
    struct jvec parts = {.n = 0};
    size_t at = 0;
    while (!r->failed && (max < 0 || parts.n < (size_t)max)) {
        size_t hit = jstr_find(s, sep, at);
        if (hit == SIZE_MAX)
            break;
        jvec_push(r, &parts, jval_str(jstr_sub(s, at, hit - at)));
        at = hit + sep.n;
    }
    jvec_push(r, &parts, jval_str(jstr_sub(s, at, s.n - at)));
    jrun_work(r, s.n);
    return jval_list(list_of(r, &parts));
}

static struct jval reversed(struct jrun *r, struct jvec *parts)
{
    for (size_t i = 0; i < parts->n / 2; i++) {
        struct jval swap = parts->v[i];
        parts->v[i] = parts->v[parts->n - 1 - i];
        parts->v[parts->n - 1 - i] = swap;
    }
    return jval_list(list_of(r, parts));
}

static struct jval rsplit_at(struct jrun *r, struct jstr s, struct jstr sep, int64_t max)
{
    struct jvec parts = {.n = 0};
    size_t end = s.n;
    while (!r->failed && (max < 0 || parts.n < (size_t)max)) {
        size_t hit = jstr_rfind(r, s, sep, end);
        if (hit == SIZE_MAX)
            break;
        jvec_push(r, &parts, jval_str(jstr_sub(s, hit + sep.n, end - hit - sep.n)));
        end = hit;
    }
    jvec_push(r, &parts, jval_str(jstr_sub(s, 0, end)));
    return reversed(r, &parts);
}

static struct jval rsplit_words(struct jrun *r, struct jstr s, int64_t max)
{
    struct jvec parts = {.n = 0};
    for (size_t end = s.n; !r->failed;) {
        struct jstr rest = jstr_trim(jstr_sub(s, 0, end), false, true);
        if (rest.n == 0)
            break;
        if (max >= 0 && parts.n == (size_t)max) {
            jvec_push(r, &parts, jval_str(rest));
            break;
        }
        size_t begin = rest.n;
        while (begin > 0) {
            size_t before = jstr_prev(rest, begin), next = before;
            if (jchar_space(jstr_next(rest, &next)))
                break;
            begin = before;
        }
        jvec_push(r, &parts, jval_str(jstr_sub(rest, begin, rest.n - begin)));
        end = begin;
    }
    jrun_work(r, s.n);
    return reversed(r, &parts);
}

static bool no_separator(struct jval v)
{
    return v.type == J_MISSING || v.type == J_NONE;
}

static struct jstr separator(struct jrun *r, struct jval v)
{
    struct jstr sep = jarg_str(r, v, JSTR_EMPTY);
    if (!r->failed && sep.n == 0)
        JFAIL(r, ERR_FORMAT, "the separator is empty");
    return sep;
}

JBUILTIN(str_split)
{
    int64_t max = jarg_int(r, a[1], -1);
    if (no_separator(a[0]))
        return split_words(r, self.s, max);
    struct jstr sep = separator(r, a[0]);
    return r->failed ? JVAL_NONE : split_at(r, self.s, sep, max);
}

JBUILTIN(str_rsplit)
{
    int64_t max = jarg_int(r, a[1], -1);
    if (no_separator(a[0]))
        return rsplit_words(r, self.s, max);
    struct jstr sep = separator(r, a[0]);
    return r->failed ? JVAL_NONE : rsplit_at(r, self.s, sep, max);
}

JBUILTIN(str_splitlines)
{
    struct jvec lines = {.n = 0};
    for (size_t at = 0, len = 0; at < self.s.n && !r->failed;) {
        size_t next = jstr_line(self.s, at, &len);
        jvec_push(r, &lines,
                  jval_str(jstr_sub(self.s, at, jarg_truth(a[0], false) ? next - at : len)));
        at = next;
    }
    jrun_work(r, self.s.n);
    return jval_list(list_of(r, &lines));
}

static struct jval three(struct jrun *r, struct jstr x, struct jstr y, struct jstr z)
{
    struct jvec parts = {.n = 0};
    jvec_push(r, &parts, jval_str(x));
    jvec_push(r, &parts, jval_str(y));
    jvec_push(r, &parts, jval_str(z));
    return jval_list(jlist_from(r, &parts, JLIST_TUPLE));
}

JBUILTIN(str_partition)
{
    struct jstr s = self.s, sep = separator(r, a[0]);
    size_t hit = r->failed ? SIZE_MAX : jstr_find(s, sep, 0);
    if (hit == SIZE_MAX)
        return three(r, s, JSTR_EMPTY, JSTR_EMPTY);
    return three(r, jstr_sub(s, 0, hit), jstr_sub(s, hit, sep.n),
                 jstr_sub(s, hit + sep.n, s.n - hit - sep.n));
}

JBUILTIN(str_rpartition)
{
    struct jstr s = self.s, sep = separator(r, a[0]);
    size_t hit = r->failed ? SIZE_MAX : jstr_rfind(r, s, sep, s.n);
    if (hit == SIZE_MAX)
        return three(r, JSTR_EMPTY, JSTR_EMPTY, s);
    return three(r, jstr_sub(s, 0, hit), jstr_sub(s, hit, sep.n),
                 jstr_sub(s, hit + sep.n, s.n - hit - sep.n));
}

/* ---- trimming and padding ---- */

/* Removes characters that occur in `set` from the ends. */
static struct jstr strip_set(struct jrun *r, struct jstr s, struct jstr set, bool left, bool right)
{
    size_t begin = 0, end = s.n;
    while (left && begin < end && jrun_work(r, set.n)) {
        size_t next = begin;
        jstr_next(s, &next);
        if (jstr_find(set, jstr_sub(s, begin, next - begin), 0) == SIZE_MAX)
            break;
        begin = next;
    }
    while (right && end > begin && jrun_work(r, set.n)) {
        size_t at = jstr_prev(s, end);
        if (jstr_find(set, jstr_sub(s, at, end - at), 0) == SIZE_MAX)
            break;
        end = at;
    }
    return jstr_sub(s, begin, end - begin);
}

static struct jval strip(struct jrun *r, struct jstr s, struct jval set, bool left, bool right)
{
    if (no_separator(set))
        return jval_str(jstr_trim(s, left, right));
    return jval_str(strip_set(r, s, jarg_str(r, set, JSTR_EMPTY), left, right));
}

JBUILTIN(str_strip)
{
    return strip(r, self.s, a[0], true, true);
}

JBUILTIN(str_lstrip)
{
    return strip(r, self.s, a[0], true, false);
}

JBUILTIN(str_rstrip)
{
    return strip(r, self.s, a[0], false, true);
}

/* `before` of the missing characters go in front, the rest behind. */
static struct jval pad(struct jrun *r, struct jstr s, size_t before, size_t behind,
                       struct jval fill)
{
    struct jstr with = jarg_str(r, fill, jstr_text(" "));
    if (!r->failed && jstr_count(with) != 1)
        return JFAIL(r, ERR_FORMAT, "the fill must be one character");
    struct jsb b;
    jsb_init(&b, r);
    jsb_repeat(&b, with, before);
    jsb_str(&b, s);
    jsb_repeat(&b, with, behind);
    return jval_str(jsb_take(&b));
}

static size_t missing(struct jrun *r, struct jstr s, struct jval width)
{
    int64_t want = jarg_int(r, width, 0);
    size_t n = jstr_count(s);
    return want > 0 && (uint64_t)want > n ? (size_t)want - n : 0;
}

JBUILTIN(str_center)
{
    size_t gap = missing(r, self.s, a[0]);
    size_t before = gap / 2 + (gap & (size_t)jarg_int(r, a[0], 0) & 1);
    return pad(r, self.s, before, gap - before, a[1]);
}

JBUILTIN(str_ljust)
{
    return pad(r, self.s, 0, missing(r, self.s, a[0]), a[1]);
}

JBUILTIN(str_rjust)
{
    return pad(r, self.s, missing(r, self.s, a[0]), 0, a[1]);
}

JBUILTIN(str_zfill)
{
    size_t gap = missing(r, self.s, a[0]);
    size_t sign = self.s.n && (self.s.p[0] == '-' || self.s.p[0] == '+');
    struct jsb b;
    jsb_init(&b, r);
    jsb_str(&b, jstr_sub(self.s, 0, sign));
    jsb_repeat(&b, jstr_text("0"), gap);
    jsb_str(&b, jstr_sub(self.s, sign, self.s.n - sign));
    return jval_str(jsb_take(&b));
}

JBUILTIN(str_removeprefix)
{
    struct jstr s = self.s, x = jarg_str(r, a[0], JSTR_EMPTY);
    return jval_str(jstr_starts(s, x) ? jstr_sub(s, x.n, s.n - x.n) : s);
}

JBUILTIN(str_removesuffix)
{
    struct jstr s = self.s, x = jarg_str(r, a[0], JSTR_EMPTY);
    return jval_str(jstr_ends(s, x) ? jstr_sub(s, 0, s.n - x.n) : s);
}

/* ---- searching ---- */

/* The part of s between two code point positions as Python counts them. */
static struct jstr range_of(struct jrun *r, struct jstr s, struct jval start, struct jval stop,
                            size_t *first)
{
    *first = 0;
    if (no_separator(start) && no_separator(stop))
        return s;
    int64_t n = (int64_t)jstr_count(s);
    int64_t from = no_separator(start) ? 0 : jarg_int(r, start, 0);
    int64_t to = no_separator(stop) ? n : jarg_int(r, stop, n);
    from = from < 0 ? (from + n < 0 ? 0 : from + n) : from;
    to = to < 0 ? (to + n < 0 ? 0 : to + n) : to > n ? n : to;
    *first = (size_t)from;
    if (from > to) {
        *first = SIZE_MAX;
        return JSTR_EMPTY;
    }
    size_t begin = jstr_offset(s, (size_t)from), end = jstr_offset(s, (size_t)to);
    jrun_work(r, s.n);
    return jstr_sub(s, begin, end - begin);
}

/* Code point position of the argument in the text, -1 when it is not there. */
static int64_t position(struct jrun *r, struct jstr s, const struct jval *a, bool from_right)
{
    size_t first;
    struct jstr part = range_of(r, s, a[1], a[2], &first), x = jarg_str(r, a[0], JSTR_EMPTY);
    if (r->failed || first == SIZE_MAX)
        return -1;
    size_t hit = from_right ? jstr_rfind(r, part, x, part.n) : jstr_find(part, x, 0);
    return hit == SIZE_MAX ? -1 : (int64_t)(first + jstr_count(jstr_sub(part, 0, hit)));
}

JBUILTIN(str_find)
{
    return jval_int(position(r, self.s, a, false));
}

JBUILTIN(str_rfind)
{
    return jval_int(position(r, self.s, a, true));
}

static struct jval found(struct jrun *r, int64_t at)
{
    return at < 0 ? JFAIL(r, ERR_FORMAT, "substring not found") : jval_int(at);
}

JBUILTIN(str_index)
{
    return found(r, position(r, self.s, a, false));
}

JBUILTIN(str_rindex)
{
    return found(r, position(r, self.s, a, true));
}

JBUILTIN(str_count)
{
    size_t first;
    struct jstr part = range_of(r, self.s, a[1], a[2], &first), x = jarg_str(r, a[0], JSTR_EMPTY);
    if (r->failed || first == SIZE_MAX)
        return jval_int(0);
    if (x.n == 0)
        return jval_int((int64_t)jstr_count(part) + 1);
    int64_t n = 0;
    for (size_t at = jstr_find(part, x, 0); at != SIZE_MAX; at = jstr_find(part, x, at + x.n))
        n++;
    return jval_int(n);
}

static struct jval touches(struct jrun *r, struct jstr s, const struct jval *a,
                           bool (*check)(struct jstr, struct jstr))
{
    size_t first;
    struct jstr part = range_of(r, s, a[1], a[2], &first);
    const struct jlist *several = a[0].type == J_LIST ? a[0].list : NULL;
    if (first == SIZE_MAX)
        return jval_bool(false);
    if (!several)
        return jval_bool(check(part, jarg_str(r, a[0], JSTR_EMPTY)));
    for (size_t i = 0; i < several->n && jrun_work(r, 0); i++) {
        if (check(part, jarg_str(r, several->items[i], JSTR_EMPTY)))
            return jval_bool(true);
    }
    return jval_bool(false);
}

JBUILTIN(str_startswith)
{
    return touches(r, self.s, a, jstr_starts);
}

JBUILTIN(str_endswith)
{
    return touches(r, self.s, a, jstr_ends);
}

/* ---- building ---- */

JBUILTIN(str_replace)
{
    return jval_str(jstr_replace(r, self.s, jarg_str(r, a[0], JSTR_EMPTY),
                                 jarg_str(r, a[1], JSTR_EMPTY), jarg_int(r, a[2], -1)));
}

JBUILTIN(str_join)
{
    const struct jlist *l = jval_elements(r, a[0]);
    struct jsb b;
    jsb_init(&b, r);
    for (size_t i = 0; l && i < l->n && !r->failed; i++) {
        if (i)
            jsb_str(&b, self.s);
        jsb_str(&b, jarg_str(r, l->items[i], JSTR_EMPTY));
    }
    return jval_str(jsb_take(&b));
}

JBUILTIN(str_format)
{
    return jval_str(jformat_braces(r, self.s, all));
}

JBUILTIN(str_upper)
{
    return jval_str(jstr_case(r, self.s, 'u'));
}

JBUILTIN(str_lower)
{
    return jval_str(jstr_case(r, self.s, 'l'));
}

JBUILTIN(str_title)
{
    return jval_str(jstr_case(r, self.s, 't'));
}

JBUILTIN(str_capitalize)
{
    return jval_str(jstr_case(r, self.s, 'c'));
}

JBUILTIN(str_swapcase)
{
    return jval_str(jstr_case(r, self.s, 's'));
}

/* ---- classes ---- */

/* True when the text is not empty and every character passes. */
static struct jval every(struct jrun *r, struct jstr s, bool (*check)(uint32_t))
{
    bool ok = s.n > 0;
    for (size_t at = 0; ok && at < s.n;)
        ok = check(jstr_next(s, &at));
    jrun_work(r, s.n);
    return jval_bool(ok);
}

static bool is_alnum(uint32_t cp)
{
    return jchar_alpha(cp) || jchar_numeric(cp);
}

JBUILTIN(str_isalpha)
{
    return every(r, self.s, jchar_alpha);
}

JBUILTIN(str_isalnum)
{
    return every(r, self.s, is_alnum);
}

JBUILTIN(str_isdecimal)
{
    return every(r, self.s, jchar_decimal);
}

JBUILTIN(str_isnumeric)
{
    return every(r, self.s, jchar_numeric);
}

JBUILTIN(str_isspace)
{
    return every(r, self.s, jchar_space);
}

JBUILTIN(str_isprintable)
{
    return jval_bool(self.s.n == 0 || every(r, self.s, jchar_printable).b);
}

JBUILTIN(str_isascii)
{
    bool ok = true;
    for (size_t at = 0; ok && at < self.s.n; at++)
        ok = (unsigned char)self.s.p[at] < 0x80;
    return jval_bool(ok);
}

/* No letter of the other case, and at least one of this. */
static struct jval cased(struct jrun *r, struct jstr s, bool (*wanted)(uint32_t),
                         bool (*other)(uint32_t))
{
    bool any = false;
    for (size_t at = 0; at < s.n;) {
        uint32_t cp = jstr_next(s, &at);
        if (other(cp))
            return jval_bool(false);
        any |= wanted(cp);
    }
    jrun_work(r, s.n);
    return jval_bool(any);
}

JBUILTIN(str_isupper)
{
    return cased(r, self.s, jchar_is_upper, jchar_is_lower);
}

JBUILTIN(str_islower)
{
    return cased(r, self.s, jchar_is_lower, jchar_is_upper);
}

JBUILTIN(str_istitle)
{
    bool any = false, in_word = false;
    for (size_t at = 0; at < self.s.n;) {
        uint32_t cp = jstr_next(self.s, &at);
        bool up = jchar_is_upper(cp), low = jchar_is_lower(cp);
        if ((up && in_word) || (low && !in_word))
            return jval_bool(false);
        in_word = up || low;
        any |= in_word;
    }
    return jval_bool(any);
}

/* ---- mappings, lists, objects ---- */

JBUILTIN(dict_get)
{
    struct jval v = jdict_get(r, self.dict, a[0]);
    return v.type != J_MISSING ? v : a[1].type != J_MISSING ? a[1] : JVAL_NONE;
}

JBUILTIN(dict_items)
{
    return jval_list(jdict_items(r, self.dict));
}

JBUILTIN(dict_keys)
{
    return jval_list(jdict_keys(r, self.dict));
}

JBUILTIN(dict_values)
{
    return jval_list(jdict_values(r, self.dict));
}

JBUILTIN(copy_self)
{
    return self; /* nothing can change either of the two */
}

JBUILTIN(list_count)
{
    int64_t n = 0;
    for (size_t i = 0; i < self.list->n && jrun_work(r, 0); i++)
        n += jval_equal(r, self.list->items[i], a[0]);
    return jval_int(n);
}

JBUILTIN(list_index)
{
    for (size_t i = 0; i < self.list->n && jrun_work(r, 0); i++) {
        if (jval_equal(r, self.list->items[i], a[0]))
            return jval_int((int64_t)i);
    }
    return JFAIL(r, ERR_FORMAT, "the value is not in the list");
}

JBUILTIN(refuse)
{
    return JFAIL(r, ERR_UNSUPPORTED, "templates cannot change lists or mappings");
}

JBUILTIN(cycler_next)
{
    struct jval v = self.cycler->items->items[self.cycler->at];
    self.cycler->at = (self.cycler->at + 1) % self.cycler->items->n;
    return v;
}

JBUILTIN(cycler_reset)
{
    self.cycler->at = 0;
    return JVAL_NONE;
}

JBUILTIN(loop_cycle)
{
    if (all->n == 0)
        return JFAIL(r, ERR_FORMAT, "loop.cycle() needs at least one value");
    return all->v[jloop_index(self.loop) % all->n];
}

JBUILTIN(loop_changed)
{
    struct jval now = jval_list(jlist_view(r, all->v, all->n, JLIST_TUPLE));
    return jval_bool(jloop_changed(r, self.loop, now));
}

static const struct jbuiltin str_methods[] = {
    {"split", "sep maxsplit", str_split},
    {"rsplit", "sep maxsplit", str_rsplit},
    {"splitlines", "keepends", str_splitlines},
    {"partition", "!sep", str_partition},
    {"rpartition", "!sep", str_rpartition},
    {"strip", "chars", str_strip},
    {"lstrip", "chars", str_lstrip},
    {"rstrip", "chars", str_rstrip},
    {"startswith", "!prefix start end", str_startswith},
    {"endswith", "!suffix start end", str_endswith},
    {"replace", "!old !new count", str_replace},
    {"join", "!iterable", str_join},
    {"format", NULL, str_format},
    {"upper", "", str_upper},
    {"lower", "", str_lower},
    {"casefold", "", str_lower},
    {"title", "", str_title},
    {"capitalize", "", str_capitalize},
    {"swapcase", "", str_swapcase},
    {"find", "!sub start end", str_find},
    {"rfind", "!sub start end", str_rfind},
    {"index", "!sub start end", str_index},
    {"rindex", "!sub start end", str_rindex},
    {"count", "!sub start end", str_count},
    {"center", "!width fillchar", str_center},
    {"ljust", "!width fillchar", str_ljust},
    {"rjust", "!width fillchar", str_rjust},
    {"zfill", "!width", str_zfill},
    {"removeprefix", "!prefix", str_removeprefix},
    {"removesuffix", "!suffix", str_removesuffix},
    {"isalpha", "", str_isalpha},
    {"isalnum", "", str_isalnum},
    {"isdigit", "", str_isdecimal},
    {"isdecimal", "", str_isdecimal},
    {"isnumeric", "", str_isnumeric},
    {"isspace", "", str_isspace},
    {"isprintable", "", str_isprintable},
    {"isascii", "", str_isascii},
    {"isupper", "", str_isupper},
    {"islower", "", str_islower},
    {"istitle", "", str_istitle},
};

static const struct jbuiltin dict_methods[] = {
    {"get", "!key default", dict_get},
    {"items", "", dict_items},
    {"keys", "", dict_keys},
    {"values", "", dict_values},
    {"copy", "", copy_self},
    {"update", NULL, refuse},
    {"pop", NULL, refuse},
    {"popitem", NULL, refuse},
    {"setdefault", NULL, refuse},
    {"clear", NULL, refuse},
};

static const struct jbuiltin list_methods[] = {
    {"count", "!value", list_count}, {"index", "!value", list_index}, {"copy", "", copy_self},
    {"append", NULL, refuse},        {"extend", NULL, refuse},        {"insert", NULL, refuse},
    {"remove", NULL, refuse},        {"pop", NULL, refuse},           {"clear", NULL, refuse},
    {"sort", NULL, refuse},          {"reverse", NULL, refuse},
};
enum { TUPLE_METHODS = 2 }; /* the first ones above */

static const struct jbuiltin cycler_methods[] = {
    {"next", "", cycler_next},
    {"reset", "", cycler_reset},
};

static const struct jbuiltin loop_methods[] = {
    {"cycle", NULL, loop_cycle},
    {"changed", NULL, loop_changed},
};

#define FIND(table, name) jbuiltin_find(table, sizeof table / sizeof *table, name)

const struct jbuiltin *jmethod_find(struct jval self, struct jstr name)
{
    switch (self.type) {
    case J_STR:
        return FIND(str_methods, name);
    case J_DICT:
        return FIND(dict_methods, name);
    case J_LIST:
        if (self.list->kind == JLIST_TUPLE)
            return jbuiltin_find(list_methods, TUPLE_METHODS, name);
        return self.list->kind == JLIST_LIST ? FIND(list_methods, name) : NULL;
    case J_CYCLER:
        return FIND(cycler_methods, name);
    case J_LOOP:
        return FIND(loop_methods, name);
    default:
        return NULL;
    }
}
