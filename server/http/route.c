/* Owns: matching paths. Refuses to know: what the endpoints do. */
#include <config.h>

#include "http/route.h"

#include <stdio.h>
#include <string.h>

#include "admin/admin.h"
#include "base/hex.h"
#include "base/utf8.h"

const struct route *route_at(size_t i)
{
    return admin_route_at(i);
}

bool route_is_admin(const struct route *r)
{
    return !strncmp(r->path, "/admin/", 7);
}

/* ---- decoding --------------------------------------------------------------------------------- */

bool route_decode(char *text, bool form)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '+' && form)
            c = ' ';
        if (c == '%') {
            int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            from += 2;
            if (!c || c == '\r' || c == '\n')
                return false;
        }
        *to++ = c;
    }
    *to = '\0';
    return true;
}

/* ---- matching --------------------------------------------------------------------------------- */

struct attempt {
    const char *begin[API_PARAMS];
    size_t len[API_PARAMS];
    unsigned n;
};

/* Walks pattern and path segment by segment. */
static bool path_matches(const char *pattern, const char *path, struct attempt *a)
{
    a->n = 0;
    while (*pattern == '/' && *path == '/') {
        size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");
        bool rest = want > 2 && pattern[want - 1] == '}' && pattern[want - 2] == '+';
        if (rest)
            have = strlen(path);
        if (*pattern == '{') {
            if (!have || a->n == API_PARAMS)
                return false;
            a->begin[a->n] = path;
            a->len[a->n++] = have;
        } else if (want != have || memcmp(pattern, path, want)) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return !*pattern && !*path;
}

static bool take_params(const struct attempt *a, struct route_match *m)
{
    char *to = m->text;
    size_t room = sizeof m->text;
    for (unsigned i = 0; i < a->n; i++) {
        if (a->len[i] >= room)
            return false;
        memcpy(to, a->begin[i], a->len[i]);
        to[a->len[i]] = '\0';
        if (!route_decode(to, false) || !utf8_valid(to, strlen(to)))
            return false;
        m->param[i] = to;
        to += a->len[i] + 1;
        room -= a->len[i] + 1;
    }
    return true;
}

/* Fewer parameters are more exact. */
static bool better(const struct attempt *a, const struct attempt *best, const struct route *row)
{
    return !row || a->n < best->n;
}

static void add_method(struct route_match *m, const char *method)
{
    char *list = m->methods;
    size_t len = strlen(list), n = strlen(method);
    for (const char *p = list; (p = strstr(p, method)) != NULL; p += n)
        if (p[n] == ',' || !p[n]) /* no method of ours ends like another */
            return;
    snprintf(list + len, sizeof m->methods - len, "%s%s%s", len ? ", " : "", method,
             strcmp(method, "GET") ? "" : ", HEAD");
}

enum route_result route_find(const char *method, const char *path, struct route_match *m)
{
    struct attempt a, best = {.n = 0}, other = {.n = 0};
    const struct route *row = NULL, *of_path = NULL;
    if (!strcmp(method, "HEAD"))
        method = "GET";
    m->route = NULL;
    m->methods[0] = '\0';
    for (unsigned i = 0; i < API_PARAMS; i++)
        m->param[i] = "";
    for (size_t i = 0; route_at(i); i++) {
        const struct route *r = route_at(i);
        if (!path_matches(r->path, path, &a))
            continue;
        add_method(m, r->method);
        if (!strcmp(r->method, method)) {
            if (better(&a, &best, row)) {
                row = r;
                best = a;
            }
        } else if (better(&a, &other, of_path)) {
            of_path = r;
            other = a;
        }
    }
    m->route = row ? row : of_path;
    if (!m->route || (row && !take_params(&best, m)))
        return ROUTE_NO_PATH;
    return row ? ROUTE_FOUND : ROUTE_NO_METHOD;
}
