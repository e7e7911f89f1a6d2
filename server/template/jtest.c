/* Owns: the tests after `is`. */
#include <config.h>

#include <math.h>

#include "template/jbuiltin.h"
#include "template/jrun.h"
#include "template/jtext.h"

JBUILTIN(is_defined)
{
    return jval_bool(self.type != J_UNDEF);
}

JBUILTIN(is_undefined)
{
    return jval_bool(self.type == J_UNDEF);
}

JBUILTIN(is_none)
{
    return jval_bool(self.type == J_NONE);
}

JBUILTIN(is_true)
{
    return jval_bool(self.type == J_BOOL && self.b);
}

JBUILTIN(is_false)
{
    return jval_bool(self.type == J_BOOL && !self.b);
}

JBUILTIN(is_boolean)
{
    return jval_bool(self.type == J_BOOL);
}

JBUILTIN(is_integer)
{
    return jval_bool(self.type == J_INT);
}

JBUILTIN(is_float)
{
    return jval_bool(self.type == J_FLOAT);
}

JBUILTIN(is_number)
{
    return jval_bool(jval_is_number(self));
}

JBUILTIN(is_string)
{
    return jval_bool(self.type == J_STR);
}

JBUILTIN(is_mapping)
{
    return jval_bool(self.type == J_DICT);
}

JBUILTIN(is_sequence)
{
    bool list = self.type == J_LIST && self.list->kind <= JLIST_TUPLE;
    return jval_bool(list || self.type == J_STR || self.type == J_DICT || self.type == J_RANGE ||
                     self.type == J_UNDEF);
}

JBUILTIN(is_iterable)
{
    return jval_bool(self.type == J_LIST || self.type == J_STR || self.type == J_DICT ||
                     self.type == J_RANGE || self.type == J_UNDEF || self.type == J_LOOP);
}

JBUILTIN(is_callable)
{
    return jval_bool(self.type == J_MACRO || self.type == J_FUNCTION || self.type == J_METHOD ||
                     self.type == J_LOOP || self.type == J_JOINER || self.type == J_UNDEF);
}

JBUILTIN(is_escaped)
{
    return jval_bool(false);
}

JBUILTIN(is_lower)
{
    struct jval s = jval_str(jtext_of(r, self));
    return jbuiltin_call(r, jmethod_find(s, jstr_text("islower")), s, all);
}

JBUILTIN(is_upper)
{
    struct jval s = jval_str(jtext_of(r, self));
    return jbuiltin_call(r, jmethod_find(s, jstr_text("isupper")), s, all);
}

/* self % divisor == rest */
static struct jval has_rest(struct jrun *r, struct jval self, struct jval divisor, int64_t rest)
{
    if (jval_is_integral(self) && jval_is_integral(divisor) && jval_as_int(divisor) != 0) {
        int64_t n = jval_as_int(self), d = jval_as_int(divisor);
        int64_t m = d == -1 ? 0 : n % d;
        return jval_bool((m < 0 ? m + (d < 0 ? -d : d) : m) == rest);
    }
    if (!jval_is_number(self) || !jval_is_number(divisor) || jval_as_float(divisor) == 0)
        return JFAIL(r, ERR_FORMAT, "a division of '%s' by '%s' has no rest", jval_type_name(self),
                     jval_type_name(divisor));
    double m = fmod(jval_as_float(self), jval_as_float(divisor));
    return jval_bool((m < 0 ? m + fabs(jval_as_float(divisor)) : m) == (double)rest);
}

JBUILTIN(is_odd)
{
    return has_rest(r, self, jval_int(2), 1);
}

JBUILTIN(is_even)
{
    return has_rest(r, self, jval_int(2), 0);
}

JBUILTIN(is_divisible_by)
{
    return has_rest(r, self, a[0], 0);
}

JBUILTIN(is_equal)
{
    return jval_bool(jval_equal(r, self, a[0]));
}

JBUILTIN(is_not_equal)
{
    return jval_bool(!jval_equal(r, self, a[0]));
}

JBUILTIN(is_less)
{
    return jval_bool(jval_compare(r, self, a[0], "<") == -1);
}

JBUILTIN(is_greater)
{
    return jval_bool(jval_compare(r, self, a[0], ">") == 1);
}

JBUILTIN(is_at_most)
{
    int c = jval_compare(r, self, a[0], "<=");
    return jval_bool(c == -1 || c == 0);
}

JBUILTIN(is_at_least)
{
    int c = jval_compare(r, self, a[0], ">=");
    return jval_bool(c == 1 || c == 0);
}

JBUILTIN(is_in)
{
    return jval_bool(jval_contains(r, a[0], self));
}

JBUILTIN(is_same)
{
    if (self.type != a[0].type)
        return jval_bool(false);
    if (self.type == J_LIST || self.type == J_DICT)
        return jval_bool(self.list == a[0].list);
    return jval_bool(jval_equal(r, self, a[0]));
}

JBUILTIN(is_filter)
{
    return jval_bool(self.type == J_STR && jfilter_find(self.s));
}

JBUILTIN(is_test)
{
    return jval_bool(self.type == J_STR && jtest_find(self.s));
}

static const struct jbuiltin tests[] = {
    {"defined", "", is_defined},
    {"undefined", "", is_undefined},
    {"none", "", is_none},
    {"true", "", is_true},
    {"false", "", is_false},
    {"boolean", "", is_boolean},
    {"integer", "", is_integer},
    {"float", "", is_float},
    {"number", "", is_number},
    {"string", "", is_string},
    {"mapping", "", is_mapping},
    {"sequence", "", is_sequence},
    {"iterable", "", is_iterable},
    {"callable", "", is_callable},
    {"escaped", "", is_escaped},
    {"lower", "", is_lower},
    {"upper", "", is_upper},
    {"odd", "", is_odd},
    {"even", "", is_even},
    {"divisibleby", "!num", is_divisible_by},
    {"eq", "!other", is_equal},
    {"==", "!other", is_equal},
    {"equalto", "!other", is_equal},
    {"ne", "!other", is_not_equal},
    {"!=", "!other", is_not_equal},
    {"lt", "!other", is_less},
    {"<", "!other", is_less},
    {"lessthan", "!other", is_less},
    {"gt", "!other", is_greater},
    {">", "!other", is_greater},
    {"greaterthan", "!other", is_greater},
    {"le", "!other", is_at_most},
    {"<=", "!other", is_at_most},
    {"ge", "!other", is_at_least},
    {">=", "!other", is_at_least},
    {"in", "!seq", is_in},
    {"sameas", "!other", is_same},
    {"filter", "", is_filter},
    {"test", "", is_test},
};

const struct jbuiltin *jtest_find(struct jstr name)
{
    return jbuiltin_find(tests, sizeof tests / sizeof *tests, name);
}
