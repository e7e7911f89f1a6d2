/* Owns: the functions every template finds among its names, unless a variable hides them. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "template/jbuiltin.h"
#include "template/jrun.h"

static struct jval make_range(struct jrun *r, int64_t start, int64_t stop, int64_t step)
{
    if (step == 0)
        return JFAIL(r, ERR_FORMAT, "the step of range() is zero");
    __int128 gap = step > 0 ? (__int128)stop - start : (__int128)start - stop;
    __int128 stride = step > 0 ? (__int128)step : -(__int128)step;
    __int128 n = gap > 0 ? (gap - 1) / stride + 1 : 0;
    if (n > (__int128)r->limits->max_range)
        return JFAIL(r, ERR_LIMIT, "range() gives more than %zu numbers", r->limits->max_range);
    struct jrange *range = jrun_alloc(r, 1, sizeof *range);
    if (!range)
        return JVAL_NONE;
    *range = (struct jrange){.start = start, .step = step, .n = (size_t)n};
    return (struct jval){.type = J_RANGE, .range = range};
}

JBUILTIN(fn_range)
{
    int64_t first = jarg_int(r, a[0], 0), step = jarg_int(r, a[2], 1);
    if (a[1].type == J_MISSING)
        return make_range(r, 0, first, step);
    return make_range(r, first, jarg_int(r, a[1], 0), step);
}

/* Mappings given first, then named values. */
static struct jdict *gather(struct jrun *r, const struct jargs *all)
{
    struct jdict *d = jdict_new(r);
    for (size_t i = 0; i < all->n && !r->failed; i++) {
        if (all->v[i].type != J_DICT) {
            JFAIL(r, ERR_FORMAT, "a mapping is needed, not '%s'", jval_type_name(all->v[i]));
            break;
        }
        const struct jdict *from = all->v[i].dict;
        for (size_t k = 0; k < from->n && !r->failed; k++)
            jdict_set(r, d, from->entry[k].key, from->entry[k].value);
    }
    for (size_t i = 0; i < all->n_named && !r->failed; i++)
        jdict_set(r, d, jval_str(all->named[i].name), all->named[i].v);
    return d;
}

JBUILTIN(fn_dict)
{
    return jval_dict(gather(r, all));
}

JBUILTIN(fn_namespace)
{
    struct jdict *d = gather(r, all);
    return d ? (struct jval){.type = J_NAMESPACE, .dict = d} : JVAL_NONE;
}

static struct jval make_cycler(struct jrun *r, enum jtype type, struct jlist *items)
{
    struct jcycler *c = jrun_alloc(r, 1, sizeof *c);
    if (!c || !items)
        return JVAL_NONE;
    *c = (struct jcycler){.items = items};
    return (struct jval){.type = type, .cycler = c};
}

JBUILTIN(fn_cycler)
{
    if (all->n == 0)
        return JFAIL(r, ERR_FORMAT, "cycler() needs at least one value");
    return make_cycler(r, J_CYCLER, jlist_view(r, all->v, all->n, JLIST_LIST));
}

JBUILTIN(fn_joiner)
{
    struct jvec one = {.n = 0};
    jvec_push(r, &one, jval_str(jarg_str(r, a[0], jstr_text(", "))));
    return make_cycler(r, J_JOINER, jlist_from(r, &one, JLIST_LIST));
}

/* The message of the template itself, without a position: it is meant for the user. */
JBUILTIN(fn_raise)
{
    struct jstr s = jarg_str(r, a[0], JSTR_EMPTY);
    if (r->failed)
        return JVAL_NONE;
    size_t n = s.n < sizeof r->err->msg ? s.n : sizeof r->err->msg - 1;
    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--; /* cut between characters */
    r->failed = true;
    err_set(r->err, ERR_ARG, 0, __FILE__, __LINE__, "%.*s", (int)n, s.p);
    return JVAL_NONE;
}

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

/* Value of a numeric directive of strftime; -1: not numeric. */
static int time_number(const struct tm *t, char directive, int *digits)
{
    const struct {
        char directive;
        int value, digits;
    } numbers[] = {
        {'Y', t->tm_year + 1900, 1},
        {'m', t->tm_mon + 1, 2},
        {'d', t->tm_mday, 2},
        {'H', t->tm_hour, 2},
        {'M', t->tm_min, 2},
        {'S', t->tm_sec, 2},
        {'I', (t->tm_hour + 11) % 12 + 1, 2},
        {'y', t->tm_year % 100, 2},
        {'j', t->tm_yday + 1, 3},
        {'u', (t->tm_wday + 6) % 7 + 1, 1},
        {'w', t->tm_wday, 1},
        {'U', (t->tm_yday + 7 - t->tm_wday) / 7, 2},
        {'W', (t->tm_yday + 7 - (t->tm_wday + 6) % 7) / 7, 2},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].directive == directive) {
            *digits = numbers[i].digits;
            return numbers[i].value;
        }
    }
    return -1;
}

/* A directive that is text, in the C locale; NULL: not known. */
static const char *time_word(const struct tm *t, char directive)
{
    switch (directive) {
    case 'b':
    case 'h':
    case 'B':
        return months[t->tm_mon % 12];
    case 'a':
    case 'A':
        return days[t->tm_wday % 7];
    case 'p':
        return t->tm_hour < 12 ? "AM" : "PM";
    case 'f':
        return "000000";
    case 'z': /* the time has no zone */
    case 'Z':
        return "";
    case '%':
        return "%";
    case 'n':
        return "\n";
    case 't':
        return "\t";
    default:
        return NULL;
    }
}

/* One directive of strftime. False: not known. */
static bool put_time(struct jsb *b, const struct tm *t, char directive, bool unpadded)
{
    char text[32];
    int digits = 2, value = time_number(t, directive == 'e' ? 'd' : directive, &digits);
    if (value < 0) {
        const char *word = time_word(t, directive);
        bool cut = directive == 'a' || directive == 'b' || directive == 'h';
        return word && jsb_add(b, word, cut ? 3 : strlen(word), NULL);
    }
    if (directive == 'e' && !unpadded)
        snprintf(text, sizeof text, "%2d", value);
    else
        snprintf(text, sizeof text, "%0*d", unpadded ? 1 : digits, value);
    return jsb_text(b, text);
}

/* Directives that stand for several others. */
static const char *expand(char directive)
{
    switch (directive) {
    case 'F':
        return "%Y-%m-%d";
    case 'T':
    case 'X':
        return "%H:%M:%S";
    case 'R':
        return "%H:%M";
    case 'D':
    case 'x':
        return "%m/%d/%y";
    case 'c':
        return "%a %b %e %H:%M:%S %Y";
    case 'r':
        return "%I:%M:%S %p";
    default:
        return NULL;
    }
}

static void format_time(struct jrun *r, struct jsb *b, const struct tm *t, struct jstr format)
{
    for (size_t at = 0; at < format.n && !r->failed; at++) {
        if (format.p[at] != '%' || at + 1 >= format.n) {
            jsb_str(b, jstr_sub(format, at, 1));
            continue;
        }
        bool unpadded = format.p[at + 1] == '-' && at + 2 < format.n;
        at += unpadded ? 2 : 1;
        const char *several = expand(format.p[at]);
        if (several) /* these contain none of their kind: one level deep */
            format_time(r, b, t, jstr_text(several));
        else if (!put_time(b, t, format.p[at], unpadded))
            JFAIL(r, ERR_UNSUPPORTED, "strftime_now does not know '%%%c'",
                  format.p[at] > 0x20 && format.p[at] < 0x7F ? format.p[at] : '?');
    }
}

JBUILTIN(fn_strftime_now)
{
    struct jstr format = jarg_str(r, a[0], JSTR_EMPTY);
    struct tm now;
    if (r->now) {
        now = *r->now;
    } else {
        time_t seconds = time(NULL);
        if (!localtime_r(&seconds, &now))
            return JFAIL(r, ERR_INTERNAL, "the local time is not available");
    }
    struct jsb b;
    jsb_init(&b, r);
    format_time(r, &b, &now, format);
    return jval_str(jsb_take(&b));
}

static const struct jbuiltin functions[] = {
    {"range", "!start stop step", fn_range},
    {"dict", NULL, fn_dict},
    {"namespace", NULL, fn_namespace},
    {"cycler", NULL, fn_cycler},
    {"joiner", "sep", fn_joiner},
    {"raise_exception", "!message", fn_raise},
    {"strftime_now", "!format", fn_strftime_now},
};

const struct jbuiltin *jfunction_find(struct jstr name)
{
    return jbuiltin_find(functions, sizeof functions / sizeof *functions, name);
}
