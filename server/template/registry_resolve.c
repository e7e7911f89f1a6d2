/* Owns: the way of a request from a name and a label to a compiled prompt, and the cache of those.
 *
 * Versions never change and include each other by number, so a compiled prompt stays right for ever.
 */
#include <config.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "template/registry_db.h"

enum { CACHE_ENTRIES = 256 };

struct entry {
    int64_t template_id, number; /* 0: free */
    struct prompt *prompt;       /* referenced */
    uint64_t used;               /* tick of the last use */
};

struct cache {
    pthread_mutex_t mu; /* guards all below; held for look-ups only */
    struct entry entry[CACHE_ENTRIES];
    uint64_t tick;
};

/* ---- the cache ---- */

struct cache *cache_create(void)
{
    struct cache *c = mem_zalloc(sizeof *c);
    pthread_mutex_init(&c->mu, NULL);
    return c;
}

static void clear_entry(struct entry *x)
{
    prompt_unref(&x->prompt);
    *x = (struct entry){.template_id = 0};
}

void cache_destroy(struct cache **c)
{
    for (size_t i = 0; i < CACHE_ENTRIES; i++)
        clear_entry(&(*c)->entry[i]);
    pthread_mutex_destroy(&(*c)->mu);
    free(*c);
    *c = NULL;
}

static struct entry *find_locked(struct cache *c, int64_t template_id, int64_t number)
{
    for (size_t i = 0; i < CACHE_ENTRIES; i++) {
        if (c->entry[i].template_id == template_id && c->entry[i].number == number)
            return &c->entry[i];
    }
    return NULL;
}

/* A reference; NULL when it is not there. */
static struct prompt *cache_get(struct cache *c, int64_t template_id, int64_t number)
{
    struct prompt *p = NULL;
    pthread_mutex_lock(&c->mu);
    struct entry *x = find_locked(c, template_id, number);
    if (x) {
        p = prompt_ref(x->prompt);
        x->used = ++c->tick;
    }
    pthread_mutex_unlock(&c->mu);
    return p;
}

/* Keeps another reference. */
static void cache_put(struct cache *c, int64_t template_id, int64_t number, struct prompt *p)
{
    pthread_mutex_lock(&c->mu);
    struct entry *x = find_locked(c, template_id, number);
    for (size_t i = 0; !x && i < CACHE_ENTRIES; i++) {
        if (!c->entry[i].template_id)
            x = &c->entry[i];
    }
    if (!x) {
        x = &c->entry[0];
        for (size_t i = 1; i < CACHE_ENTRIES; i++)
            x = c->entry[i].used < x->used ? &c->entry[i] : x;
    }
    clear_entry(x);
    *x = (struct entry){.template_id = template_id,
                        .number = number,
                        .prompt = prompt_ref(p),
                        .used = ++c->tick};
    pthread_mutex_unlock(&c->mu);
}

/* ---- composing ---- */

static bool compose(struct store_db *db, struct registry *r, const struct rdb_template *t,
                    int64_t number, struct prompt **out, struct err *e)
{
    struct prompt_source root = {.template_id = t->id, .number = number};
    struct rdb_fetch fetch = {.db = db};
    *out = cache_get(r->cache, t->id, number);
    if (*out)
        return true;
    bool ok = rdb_version(db, t, number, &root.content, NULL, e) &&
              prompt_create(&root, rdb_fetch, &fetch, out, e);
    json_decref(root.content);
    if (ok)
        cache_put(r->cache, t->id, number, *out);
    return ok;
}

/* ---- canaries ---- */

bool registry_in_canary(int64_t template_id, const char *label, const char *caller,
                        unsigned permille)
{
    char text[400];
    uint8_t hash[HASH_SHA256_BYTES];
    uint64_t v = 0;
    int n = snprintf(text, sizeof text, "%" PRId64 "\n%s\n%.300s", template_id, label, caller);
    if (n < 0 || !hash_sha256(text, strlen(text), hash, NULL))
        return false;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | hash[i];
    return v % 1000 < permille;
}

struct resolve_call {
    struct registry *r;
    const struct principal *who;
    const struct registry_request *request;
    struct registry_resolved *out;
};

/* Which of a label's two versions this caller gets. */
static bool pick(struct store_db *db, const struct resolve_call *c, const struct rdb_template *t,
                 const char *label, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!rdb_query(db,
                   "SELECT number, canary_number, canary_permille, canary_department_id"
                   " FROM template_label WHERE template_id = ?1 AND label = ?2",
                   &st, e, "it", t->id, label) ||
        !store_step(st, &row, e))
        return false;
    if (row) {
        int64_t canary = store_int(st, 1), department = store_int(st, 3);
        const char *caller = c->request->caller;
        bool chosen = canary &&
                      (department ? department == c->who->department_id
                                  : caller && registry_in_canary(t->id, label, caller,
                                                                 (unsigned)store_int(st, 2)));
        c->out->number = chosen ? canary : store_int(st, 0);
        c->out->canary = chosen;
    }
    store_done(st);
    if (!row)
        return registry_fail_missing(t->name, label, e);
    return true;
}

static bool run_resolve(struct store_db *db, void *ctx, struct err *e)
{
    const struct resolve_call *c = ctx;
    struct registry_ref ref = c->request->ref;
    struct registry_resolved *out = c->out;
    struct rdb_template t;
    uint8_t hash[CANON_HASH_BYTES];
    if (!ref.label && !ref.number)
        ref.label = "production";
    if (!rdb_template(db, c->who, c->request->name, &t, e))
        return false;
    if (t.archived)
        FAIL(e, ERR_NOT_FOUND, "the template \"%s\" is archived", t.name);
    if (ref.label && strcmp(ref.label, "latest") != 0 ? !pick(db, c, &t, ref.label, e)
                                                      : !rdb_number(db, &t, ref, &out->number, e))
        return false;
    if (!rdb_version(db, &t, out->number, NULL, hash, e) ||
        !compose(db, c->r, &t, out->number, &out->prompt, e))
        return false;
    out->template_id = t.id;
    hash_hex(hash, out->hash);
    snprintf(out->name, sizeof out->name, "%s", t.name);
    snprintf(out->label, sizeof out->label, "%s", ref.label ? ref.label : "");
    return true;
}

bool registry_resolve(struct registry *r, const struct principal *who,
                      const struct registry_request *request, struct registry_resolved *out,
                      struct err *e)
{
    struct resolve_call call = {r, who, request, out};
    *out = (struct registry_resolved){.prompt = NULL};
    if (request->ref.label && request->ref.number)
        FAIL(e, ERR_ARG, "either a label or a version, not both");
    return store_read(r->store, run_resolve, &call, e);
}
