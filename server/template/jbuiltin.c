/* Owns: the binding of arguments to the parameters of built-in functions. */
#include <config.h>

#include "template/jbuiltin.h"

#include <string.h>

#include "template/jrun.h"

const struct jbuiltin *jbuiltin_find(const struct jbuiltin *table, size_t n, struct jstr name)
{
    for (size_t i = 0; i < n; i++) {
        if (name.n && table[i].name[0] == name.p[0] && jstr_is(name, table[i].name))
            return &table[i];
    }
    return NULL;
}

/* Index of parameter `name` in the list, or -1. */
static int param_index(const char *params, struct jstr name)
{
    int i = 0;
    for (const char *p = params; *p; i++) {
        p += *p == '!';
        size_t n = strcspn(p, " ");
        if (n == name.n && memcmp(p, name.p, n) == 0)
            return i;
        p += n + (p[n] == ' ');
    }
    return -1;
}

static bool bind_named(struct jrun *r, const struct jbuiltin *def, const struct jargs *args,
                       struct jval *out)
{
    for (size_t i = 0; i < args->n_named; i++) {
        struct jstr name = args->named[i].name;
        int at = param_index(def->params, name);
        if (at < 0 || out[at].type != J_MISSING) {
            JFAIL(r, ERR_FORMAT, "'%s' %s '%.*s'", def->name,
                  at < 0 ? "has no parameter" : "is given twice the argument",
                  (int)(name.n < 60 ? name.n : 60), name.p);
            return false;
        }
        out[at] = args->named[i].v;
    }
    return true;
}

static bool bind(struct jrun *r, const struct jbuiltin *def, const struct jargs *args,
                 struct jval out[JBUILTIN_MAX_PARAMS])
{
    size_t n = 0;
    for (size_t i = 0; i < JBUILTIN_MAX_PARAMS; i++)
        out[i] = (struct jval){.type = J_MISSING};
    for (const char *p = def->params; *p; n++) {
        if (n < args->n)
            out[n] = args->v[n];
        p += strcspn(p, " ");
        p += *p == ' ';
    }
    if (args->n > n) {
        JFAIL(r, ERR_FORMAT, "'%s' takes not more than %zu arguments", def->name, n);
        return false;
    }
    if (!bind_named(r, def, args, out))
        return false;
    size_t i = 0;
    for (const char *p = def->params; *p; i++) {
        if (*p == '!' && out[i].type == J_MISSING) {
            JFAIL(r, ERR_FORMAT, "'%s' misses the argument '%.*s'", def->name,
                  (int)strcspn(p + 1, " "), p + 1);
            return false;
        }
        p += strcspn(p, " ");
        p += *p == ' ';
    }
    return true;
}

struct jval jbuiltin_call(struct jrun *r, const struct jbuiltin *def, struct jval self,
                          const struct jargs *args)
{
    struct jval a[JBUILTIN_MAX_PARAMS];
    if (r->failed || (def->params && !bind(r, def, args, a)))
        return JVAL_NONE;
    /* most of them look at the whole text; what they build is counted besides */
    if (self.type == J_STR && !jrun_work(r, self.s.n))
        return JVAL_NONE;
    for (size_t i = 0; i < args->n; i++) {
        if (args->v[i].type == J_STR && !jrun_work(r, args->v[i].s.n))
            return JVAL_NONE;
    }
    struct jval v = def->fn(r, self, a, args);
    return r->failed ? JVAL_NONE : v;
}

int64_t jarg_int(struct jrun *r, struct jval v, int64_t fallback)
{
    if (v.type == J_MISSING)
        return fallback;
    if (!jval_is_integral(v)) {
        JFAIL(r, ERR_FORMAT, "an integer is needed, not '%s'", jval_type_name(v));
        return fallback;
    }
    return jval_as_int(v);
}

bool jarg_truth(struct jval v, bool fallback)
{
    return v.type == J_MISSING ? fallback : jval_truth(v);
}

struct jstr jarg_str(struct jrun *r, struct jval v, struct jstr fallback)
{
    if (v.type == J_MISSING)
        return fallback;
    if (v.type != J_STR) {
        if (v.type == J_UNDEF)
            jval_fail_undef(r, v);
        else
            JFAIL(r, ERR_FORMAT, "a text is needed, not '%s'", jval_type_name(v));
        return fallback;
    }
    return v.s;
}
