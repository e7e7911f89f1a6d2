/* Owns: what we keep of an identity from outside, and the map from groups to department and roles.
 * Refuses to know: how the identity was verified, and the database. */
#include <config.h>

#include "auth/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/people.h"
#include "auth/principal.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { MAP_MAX_BYTES = 1 << 20, MAP_MAX_RULES = 4096 };

/* ---- fields ---------------------------------------------------------------------------------- */

void identity_init(struct identity *id, enum identity_source source)
{
    *id = (struct identity){.source = source};
}

void identity_release(struct identity *id)
{
    for (size_t i = 0; i < id->n_groups; i++)
        free(id->groups[i]);
    free(id->groups);
    identity_init(id, id->source);
}

const char *identity_source_name(enum identity_source source)
{
    return source == IDENTITY_LDAP ? "ldap" : "oidc";
}

void identity_key(const struct identity *id, char out[IDENTITY_KEY_TEXT])
{
    snprintf(out, IDENTITY_KEY_TEXT, "%s %s", id->issuer, id->subject);
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

/* C1 controls count too: they are valid UTF-8 and move cursors. */
static bool is_plain(const char *s, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint32_t cp;
        size_t n = utf8_decode(s + at, len - at, &cp);
        if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            return false;
        at += n;
    }
    return true;
}

static bool set_exact(char *out, size_t out_bytes, const char *what, const char *text,
                      struct err *e)
{
    size_t len = text ? strlen(text) : 0;
    if (len == 0)
        FAIL(e, ERR_FORMAT, "the %s of the person is missing", what);
    if (len >= out_bytes)
        FAIL(e, ERR_LIMIT, "the %s of the person is longer than %zu bytes", what, out_bytes - 1);
    if (!is_plain(text, len))
        FAIL(e, ERR_FORMAT, "the %s of the person has control characters or is not UTF-8", what);
    memcpy(out, text, len + 1);
    return true;
}

bool identity_set_issuer(struct identity *id, const char *text, struct err *e)
{
    if (!set_exact(id->issuer, sizeof id->issuer, "issuer", text, e))
        return false;
    if (strchr(id->issuer, ' '))
        FAIL(e, ERR_FORMAT, "the issuer of the person has a blank");
    return true;
}

bool identity_set_subject(struct identity *id, const char *text, struct err *e)
{
    return set_exact(id->subject, sizeof id->subject, "subject", text, e);
}

bool identity_set_login(struct identity *id, const char *text, struct err *e)
{
    return set_exact(id->login, sizeof id->login, "login", text, e);
}

void identity_set_name(struct identity *id, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len >= sizeof id->name)
        len = utf8_cut(text, sizeof id->name - 1);
    if (len == 0 || !utf8_valid(text, len))
        len = 0;
    for (size_t i = 0; i < len; i++)
        id->name[i] = is_control((unsigned char)text[i]) ? ' ' : text[i];
    id->name[len] = '\0';
}

void identity_set_email(struct identity *id, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    id->email[0] = '\0';
    if (len == 0 || len >= sizeof id->email || !is_plain(text, len))
        return;
    const char *at = strchr(text, '@');
    if (at && at != text && at[1] && !strchr(at + 1, '@') && !strchr(text, ' '))
        memcpy(id->email, text, len + 1);
}

bool identity_add_group(struct identity *id, const char *text, struct err *e)
{
    char checked[IDENTITY_GROUP_TEXT];
    if (!set_exact(checked, sizeof checked, "group", text, e))
        return false;
    if (id->n_groups >= IDENTITY_MAX_GROUPS)
        FAIL(e, ERR_LIMIT, "the person is in more than %d groups", IDENTITY_MAX_GROUPS);
    if ((id->n_groups & (id->n_groups - 1)) == 0) { /* full at powers of two */
        size_t n = id->n_groups ? 2 * id->n_groups : 1;
        char **more = mem_try_reallocarray(id->groups, n, sizeof *more);
        if (!more)
            FAIL(e, ERR_NOMEM, "no memory for the groups of a person");
        id->groups = more;
    }
    id->groups[id->n_groups++] = mem_strdup(checked);
    return true;
}

/* ---- the map --------------------------------------------------------------------------------- */

struct rule {
    char *group;      /* NULL in the default */
    char *department; /* NULL = roles only */
    uint32_t roles;
};

struct identity_map {
    struct rule *rules;
    size_t n_rules;
    struct rule other;
    bool has_other;
};

static const struct {
    const char *name;
    uint32_t role;
} roles[] = {
    {"admin", ROLE_ADMIN},     {"editor", ROLE_EDITOR}, {"approver", ROLE_APPROVER},
    {"auditor", ROLE_AUDITOR}, {"user", ROLE_USER},
};

static bool read_roles(const json_t *list, const char *where, uint32_t *out, struct err *e)
{
    *out = 0;
    if (!list)
        return true;
    if (!json_is_array(list))
        FAIL(e, ERR_ARG, "%s: roles must be a list", where);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        uint32_t found = 0;
        for (size_t r = 0; name && r < sizeof roles / sizeof roles[0]; r++)
            found |= strcmp(name, roles[r].name) == 0 ? roles[r].role : 0;
        if (!found)
            FAIL(e, ERR_ARG, "%s: roles are admin, editor, approver, auditor, user", where);
        *out |= found;
    }
    return true;
}

/* As people.h has names of departments: what passes here must not fail at the first login. */
static bool is_path(const char *path)
{
    size_t n_names = 0;
    if (!is_plain(path, strlen(path)))
        return false;
    for (const char *name = path;; n_names++) {
        size_t len = strcspn(name, "/");
        if (len == 0 || len > PEOPLE_NAME_BYTES || n_names == PEOPLE_DEPTH || name[0] == ' ' ||
            name[len - 1] == ' ')
            return false;
        if (!name[len])
            return true;
        name += len + 1;
    }
}

static bool read_rule(json_t *from, bool has_group, const char *where, struct rule *r,
                      struct err *e)
{
    const char *field;
    json_t *value;
    if (!json_is_object(from))
        FAIL(e, ERR_ARG, "%s must be an object", where);
    json_object_foreach(from, field, value)
    {
        bool text = (has_group && strcmp(field, "group") == 0) || strcmp(field, "department") == 0;
        if (!text && strcmp(field, "roles") != 0)
            FAIL(e, ERR_ARG, "%s: there is no field \"%.40s\" here", where, field);
        if (text && !json_is_string(value))
            FAIL(e, ERR_ARG, "%s: %s must be text", where, field);
    }
    const char *group = json_string_value(json_object_get(from, "group"));
    const char *department = json_string_value(json_object_get(from, "department"));
    if (has_group && (!group || !*group || strlen(group) >= IDENTITY_GROUP_TEXT))
        FAIL(e, ERR_ARG, "%s: group must be text of 1 to %d bytes", where, IDENTITY_GROUP_TEXT - 1);
    if (department && !is_path(department))
        FAIL(e, ERR_ARG, "%s: department must be at most %d names of 1 to %d bytes, joined by /", where,
             PEOPLE_DEPTH, PEOPLE_NAME_BYTES);
    if (!read_roles(json_object_get(from, "roles"), where, &r->roles, e))
        return false;
    if (has_group ? !department && !r->roles : !department || !r->roles)
        FAIL(e, ERR_ARG, "%s must give %s", where,
             has_group ? "a department or roles" : "a department and roles");
    r->group = group ? mem_strdup(group) : NULL;
    r->department = department ? mem_strdup(department) : NULL;
    return true;
}

static bool read_map(const json_t *from, struct identity_map *m, struct err *e)
{
    json_t *groups = json_object_get(from, "groups"), *other = json_object_get(from, "default");
    if (!json_is_object(from) || json_object_size(from) != (groups ? 1u : 0u) + (other ? 1u : 0u))
        FAIL(e, ERR_ARG, "a group map is an object with \"groups\" and \"default\" only");
    if (groups && !json_is_array(groups))
        FAIL(e, ERR_ARG, "\"groups\" must be a list");
    size_t n = groups ? json_array_size(groups) : 0;
    if (n == 0 && !other)
        FAIL(e, ERR_ARG, "a group map without rules lets nobody in");
    if (n > MAP_MAX_RULES)
        FAIL(e, ERR_LIMIT, "a group map has at most %d rules", MAP_MAX_RULES);
    m->rules = mem_calloc(n + 1, sizeof *m->rules);
    for (; m->n_rules < n; m->n_rules++) {
        char where[48];
        snprintf(where, sizeof where, "rule %zu of the group map", m->n_rules + 1);
        json_t *rule = json_array_get(groups, m->n_rules);
        if (!read_rule(rule, true, where, &m->rules[m->n_rules], e))
            return false;
    }
    m->has_other = other != NULL;
    return !other || read_rule(other, false, "the default of the group map", &m->other, e);
}

bool identity_map_parse(const char *json, size_t len, struct identity_map **out, struct err *e)
{
    json_error_t why;
    if (len > MAP_MAX_BYTES)
        FAIL(e, ERR_LIMIT, "a group map has at most %d bytes", MAP_MAX_BYTES);
    json_t *from = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
    if (!from)
        FAIL(e, ERR_FORMAT, "the group map is not JSON: line %d: %s", why.line, why.text);
    struct identity_map *m = mem_zalloc(sizeof *m);
    bool ok = read_map(from, m, e);
    json_decref(from);
    if (!ok) {
        identity_map_destroy(&m);
        return false;
    }
    *out = m;
    return true;
}

bool identity_map_load(const char *path, struct identity_map **out, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        FAIL(e, ERR_NOT_FOUND, "there is no file %s", path);
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_set_os(e, __FILE__, __LINE__, "%s", path);
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool fits = S_ISREG(st.st_mode) && st.st_size <= MAP_MAX_BYTES;
    size_t bytes = fits ? (size_t)st.st_size : 0, got = 0;
    char *text = mem_alloc(bytes + 1);
    while (got < bytes) {
        ssize_t n = read(fd, text + got, bytes - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    close(fd);
    bool ok = fits && got == bytes;
    if (!ok)
        err_set(e, ERR_IO, 0, __FILE__, __LINE__, "%s cannot be read, or is above 1 MiB", path);
    else if (!identity_map_parse(text, bytes, out, e))
        ok = err_prefix(e, "%s", path);
    free(text);
    return ok;
}

void identity_map_destroy(struct identity_map **m)
{
    if (!*m)
        return;
    for (size_t i = 0; (*m)->rules && i < (*m)->n_rules; i++) {
        free((*m)->rules[i].group);
        free((*m)->rules[i].department);
    }
    free((*m)->rules);
    free((*m)->other.department);
    free(*m);
    *m = NULL;
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " ");
}

/* Only ASCII is folded: two names that differ elsewhere are two groups. */
static bool same_dn(const char *a, const char *b)
{
    for (;;) {
        unsigned char x = (unsigned char)*a++, y = (unsigned char)*b++;
        if ((x >= 'A' && x <= 'Z' ? x + 32 : x) != (y >= 'A' && y <= 'Z' ? y + 32 : y))
            return false;
        if (!x)
            return true;
        if (x == ',') {
            a = skip_blanks(a);
            b = skip_blanks(b);
        }
    }
}

static bool is_member(const struct identity *id, const char *group)
{
    for (size_t i = 0; i < id->n_groups; i++) {
        const char *own = id->groups[i];
        if (id->source == IDENTITY_LDAP ? same_dn(own, group) : strcmp(own, group) == 0)
            return true;
    }
    return false;
}

bool identity_map_apply(const struct identity_map *m, const struct identity *id,
                        struct identity_place *out, struct err *e)
{
    bool fits = false;
    *out = (struct identity_place){0};
    for (size_t i = 0; i < m->n_rules; i++) {
        const struct rule *r = &m->rules[i];
        if (!is_member(id, r->group))
            continue;
        fits = true;
        out->roles |= r->roles;
        if (!out->department)
            out->department = r->department;
    }
    if (!fits && m->has_other) {
        *out = (struct identity_place){m->other.department, m->other.roles};
        return true;
    }
    if (!fits || !out->department || !out->roles) {
        *out = (struct identity_place){0};
        FAIL(e, ERR_NOT_FOUND, "no group of this person is mapped to %s",
             fits ? "both a department and a role" : "anything");
    }
    return true;
}
