/* Owns: the form of API keys, the table `api_key`, the decision whether a key is good.
 * Refuses to know: HTTP headers, who may administer whose keys. */
#include <config.h>

#include "auth/key.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/act.h"
#include "auth/auth.h"
#include "auth/authority.h"
#include "auth/people.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store.h"

enum { LIST_BYTES = 64 << 10 };

/* ---- admission ------------------------------------------------------------------------------- */

/* A note for the writer; on the heap until it is done. */
struct note {
    int64_t id, used_at;
};

static bool write_note(struct store_db *db, void *ctx, struct err *e)
{
    struct note *n = ctx;
    struct store_stmt *st;
    if (!store_query(db,
                     "UPDATE api_key SET last_used_at = max(coalesce(last_used_at, 0), ?2)"
                     " WHERE id = ?1",
                     &st, e))
        return false;
    store_bind_int(st, 0, n->id);
    store_bind_int(st, 1, n->used_at);
    return store_run(db, st, NULL, e);
}

static void free_note(void *ctx, bool ok, const struct err *e)
{
    if (!ok)
        LOG_W("auth", "cannot note the use of a key error=%s", err_code_name(e->code));
    free(ctx);
}

/* One caller a minute posts. */
static void note_use(const struct auth *a, struct roster_key *k, int64_t now_s)
{
    int64_t last = atomic_load(&k->used_at);
    if ((now_s >= last && now_s - last < KEY_USED_S) ||
        !atomic_compare_exchange_strong(&k->used_at, &last, now_s))
        return;
    struct note *n = mem_alloc(sizeof *n);
    struct err e = ERR_INIT;
    *n = (struct note){k->id, now_s};
    if (!store_post(a->store, write_note, n, free_note, &e))
        free_note(n, false, &e);
}

static bool network_allowed(const struct roster_key *k, const char *address)
{
    uint8_t bytes[16];
    bool inside = k->any_network;
    if (!inside && roster_address_parse(address, bytes))
        for (size_t i = 0; i < k->n_networks; i++)
            inside |= roster_net_holds(&k->network[i], bytes);
    return inside;
}

/* For whoever reads the log: the caller is told nothing. Only about keys whose secret was right. */
static void log_refused(const struct roster_key *k, bool disabled, const char *address, int64_t now_s)
{
    const char *cause = "network";
    if (k->revoked)
        cause = "revoked";
    else if (disabled)
        cause = "person disabled";
    else if (k->expires_at && now_s >= k->expires_at)
        cause = "expired";
    LOG_I("auth", "key refused key=%s cause=\"%s\" address=\"%s\"", k->public_id, cause, address);
}

bool key_check(const struct auth *a, const char *text, size_t len, const char *address,
               int64_t now_s, struct key_grant *out, struct err *e)
{
    struct roster_person person;
    uint8_t digest[HASH_SHA256_BYTES];
    *out = (struct key_grant){0};
    if (len == KEY_CHARS && memcmp(text, "sk-", 3) == 0 && hash_sha256(text, len, digest, NULL)) {
        struct roster_key *k = roster_find_ref(a->roster, text + 3, &person);
        bool known = hash_equal(digest, k->hash);
        bool good = known & !k->revoked & !person.disabled & (!k->expires_at | (now_s < k->expires_at));
        if (good && network_allowed(k, address)) {
            struct principal *p = &out->principal;
            *p = (struct principal){.person_id = person.id,
                                    .department_id = person.department_id,
                                    .key_id = k->id,
                                    .roles = person.roles,
                                    .scopes = k->scopes & authority_scopes(person.roles)};
            memcpy(p->login, person.login, sizeof p->login);
            out->key = k;
            note_use(a, k, now_s);
            return true;
        }
        if (known)
            log_refused(k, person.disabled, address, now_s);
        roster_key_unref(k);
    }
    FAIL(e, ERR_NOT_FOUND, "the API key is not valid");
}

void key_grant_release(struct key_grant *g)
{
    roster_key_unref(g->key);
    *g = (struct key_grant){0};
}

bool key_allows_model(const struct key_grant *g, const char *model)
{
    return !g->key || roster_list_holds(&g->key->models, model);
}

bool key_allows_template(const struct key_grant *g, const char *name)
{
    return !g->key || roster_list_holds(&g->key->templates, name);
}

/* ---- rows ------------------------------------------------------------------------------------ */

#define COLUMNS                                                                                    \
    "k.id, k.person_id, k.public_id, k.name, k.scopes, k.models, k.templates, k.networks,"         \
    " k.created_at, k.expires_at, k.revoked_at, k.last_used_at, k.revision"

static void read_row(struct store_stmt *st, struct key_row *k)
{
    *k = (struct key_row){.id = store_int(st, 0),
                          .person_id = store_int(st, 1),
                          .public_id = store_text(st, 2),
                          .name = store_text(st, 3),
                          .scopes = (uint32_t)store_int(st, 4),
                          .models = store_text(st, 5),
                          .templates = store_text(st, 6),
                          .networks = store_text(st, 7),
                          .created_at = store_int(st, 8),
                          .expires_at = store_int(st, 9),
                          .revoked_at = store_int(st, 10),
                          .last_used_at = store_int(st, 11),
                          .revision = store_int(st, 12)};
}

static bool read_one(struct store_db *db, int64_t id, key_fn *fn, void *ctx, struct err *e)
{
    struct store_stmt *st;
    struct key_row k;
    bool row;
    if (!store_query(db, "SELECT " COLUMNS " FROM api_key k WHERE k.id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, id);
    if (!store_step(st, &row, e))
        return false;
    bool ok;
    if (row) {
        read_row(st, &k);
        ok = fn(ctx, &k, e);
    } else {
        ok = err_set(e, ERR_NOT_FOUND, 0, __FILE__, __LINE__, "there is no such key");
    }
    store_done(st);
    return ok;
}

/* What a change must know of the row before it. */
struct before {
    int64_t person_id, revision, revoked_at, expires_at;
    json_t *json;
};

static bool keep_before(void *ctx, const struct key_row *k, struct err *e)
{
    struct before *b = ctx;
    b->person_id = k->person_id;
    b->revision = k->revision;
    b->revoked_at = k->revoked_at;
    b->expires_at = k->expires_at;
    b->json = json_pack("{ss ss sI si ss? ss? ss? sI sb}", "public_id", k->public_id, "name",
                        k->name, "person_id", (json_int_t)k->person_id, "scopes", (int)k->scopes,
                        "models", k->models, "templates", k->templates, "networks", k->networks,
                        "expires_at", (json_int_t)k->expires_at, "revoked", k->revoked_at != 0);
    if (!b->json)
        FAIL(e, ERR_DAMAGED, "key %s holds text that is not UTF-8", k->public_id);
    return true;
}

/* ---- changes --------------------------------------------------------------------------------- */

struct change {
    struct roster *roster;
    const struct audit_actor *actor;
    const struct key_spec *spec;
    int64_t id, person_id, revision;
    char public_id[ROSTER_ID_CHARS + 1];
    uint8_t hash[HASH_SHA256_BYTES];
    const char *reason;
    struct roster_key *after; /* until the roster has it */
};

static void apply(void *ctx)
{
    struct change *c = ctx;
    if (c->after)
        roster_put_key_take(c->roster, c->after);
    c->after = NULL;
}

/* Commits, or drops what the job had prepared. */
static bool commit(const struct auth *a, store_fn *fn, struct change *c, struct err *e)
{
    bool ok = act_commit(a->store, fn, apply, c, e);
    roster_key_unref(c->after);
    return ok;
}

static bool list_fits(const char *json, const char *what, struct err *e)
{
    struct roster_list list;
    if (json && strlen(json) > LIST_BYTES)
        FAIL(e, ERR_ARG, "%s: more than %d bytes", what, LIST_BYTES);
    if (!roster_list_parse(json, &list, e))
        return err_prefix(e, "%s", what);
    roster_list_release(&list);
    return true;
}

static bool networks_fit(const char *json, struct err *e)
{
    struct roster_list list;
    struct roster_net net;
    bool ok = list_fits(json, "networks", e) && roster_list_parse(json, &list, e);
    if (!ok)
        return false;
    for (size_t i = 0; ok && i < list.n; i++)
        ok = roster_net_parse(list.item[i], &net, e);
    roster_list_release(&list);
    return ok;
}

static bool spec_valid(const struct key_spec *s, struct err *e)
{
    const uint32_t all = SCOPE_INFER | SCOPE_TEMPLATES | SCOPE_USAGE | SCOPE_EDIT | SCOPE_AUDIT |
                         SCOPE_ADMIN;
    if (!act_text_valid(s->name, KEY_NAME_BYTES, false, "the name of a key", e))
        return false;
    if (!s->scopes || (s->scopes & ~all))
        FAIL(e, ERR_ARG, "a key needs at least one scope, and only scopes that exist");
    return list_fits(s->models, "models", e) && list_fits(s->templates, "templates", e) &&
           networks_fit(s->networks, e);
}

/* A moment that was kept may pass; one that is set lies ahead: to end a key now is to revoke it. */
static bool expiry_fits(int64_t expires_at, int64_t before, struct err *e)
{
    if (expires_at && expires_at != before && expires_at <= clock_wall_s())
        FAIL(e, ERR_ARG, "the expiry date of the key has passed already");
    return true;
}

/* That the person is there and has a role for each of the scopes. */
static bool person_fits(struct store_db *db, int64_t person_id, uint32_t scopes, struct err *e)
{
    struct person p;
    if (!person_read(db, person_id, &p, e))
        return false;
    if (p.disabled_at)
        FAIL(e, ERR_NOT_FOUND, "this person is disabled");
    if (scopes & ~authority_scopes(p.roles))
        FAIL(e, ERR_ARG, "no role of %.100s gives one of these scopes", p.login);
    return true;
}

static void bind_spec(struct store_stmt *st, int at, const struct key_spec *s)
{
    store_bind_text(st, at, s->name);
    store_bind_int(st, at + 1, s->scopes);
    store_bind_text(st, at + 2, s->models);
    store_bind_text(st, at + 3, s->templates);
    store_bind_text(st, at + 4, s->networks);
    if (s->expires_at)
        store_bind_int(st, at + 5, s->expires_at);
    else
        store_bind_null(st, at + 5);
}

/* The audit row, and what the roster will hear. Owns before->json. */
static bool conclude(struct store_db *db, struct change *c, struct before *before,
                     const char *action, struct err *e)
{
    struct before after = {0};
    if (!read_one(db, c->id, keep_before, &after, e)) {
        json_decref(before->json);
        return false;
    }
    return act_record_take(db, c->actor, action, "key", c->id, before->json, after.json, c->reason,
                           e) &&
           roster_read_key(db, c->id, &c->after, e);
}

static bool create(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct store_stmt *st;
    struct before none = {0};
    if (!expiry_fits(c->spec->expires_at, 0, e) ||
        !person_fits(db, c->person_id, c->spec->scopes, e) ||
        !store_query(db,
                     "INSERT INTO api_key (name, scopes, models, templates, networks, expires_at,"
                     " public_id, secret_hash, person_id, created_at)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                     &st, e))
        return false;
    bind_spec(st, 0, c->spec);
    store_bind_text(st, 6, c->public_id);
    store_bind_blob(st, 7, c->hash, sizeof c->hash);
    store_bind_int(st, 8, c->person_id);
    store_bind_int(st, 9, clock_wall_s());
    if (!store_run(db, st, NULL, e))
        return false;
    c->id = store_last_id(db);
    return conclude(db, c, &none, "key.create", e);
}

static bool make_key(struct change *c, char text[KEY_TEXT], struct err *e)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[TOKEN_BYTES], name[ROSTER_ID_CHARS];
    if (!hash_random(random, sizeof random, e) || !hash_random(name, sizeof name, e))
        return false;
    for (int i = 0; i < ROSTER_ID_CHARS; i++)
        c->public_id[i] = digits[name[i] & 31];
    c->public_id[ROSTER_ID_CHARS] = '\0';
    memcpy(text, "sk-", 3);
    memcpy(text + 3, c->public_id, ROSTER_ID_CHARS);
    token_text(random, text + 3 + ROSTER_ID_CHARS);
    OPENSSL_cleanse(random, sizeof random);
    return hash_sha256(text, KEY_CHARS, c->hash, e);
}

bool key_create(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                const struct key_spec *spec, int64_t *id, char text[KEY_TEXT], struct err *e)
{
    struct change c = {
        .roster = a->roster, .actor = actor, .spec = spec, .person_id = person_id, .reason = ""};
    struct err why = ERR_INIT;
    bool ok = false;
    if (!spec_valid(spec, e))
        return false;
    /* Two names out of 2^40 may be the same: another try then. */
    for (int i = 0; i < 3 && !ok && (i == 0 || why.code == ERR_CONFLICT); i++) {
        c.after = NULL;
        ok = make_key(&c, text, &why) && commit(a, create, &c, &why);
    }
    if (ok)
        *id = c.id;
    else if (e)
        *e = why;
    if (!ok)
        OPENSSL_cleanse(text, KEY_TEXT);
    return ok;
}

static bool change(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct store_stmt *st;
    struct before before = {0};
    if (!read_one(db, c->id, keep_before, &before, e))
        return false;
    TRY(store_same_revision(c->revision, before.revision, e));
    if (before.revoked_at) {
        err_set(e, ERR_CONFLICT, 0, __FILE__, __LINE__, "the key is revoked: make a new one");
        goto fail;
    }
    TRY(expiry_fits(c->spec->expires_at, before.expires_at, e));
    TRY(person_fits(db, before.person_id, c->spec->scopes, e));
    TRY(store_query(db,
                    "UPDATE api_key SET name = ?1, scopes = ?2, models = ?3, templates = ?4,"
                    " networks = ?5, expires_at = ?6, revision = revision + 1 WHERE id = ?7",
                    &st, e));
    bind_spec(st, 0, c->spec);
    store_bind_int(st, 6, c->id);
    TRY(store_run(db, st, NULL, e));
    return conclude(db, c, &before, "key.change", e);
fail:
    json_decref(before.json);
    return false;
}

bool key_change(const struct auth *a, const struct audit_actor *actor, int64_t id, int64_t revision,
                const struct key_spec *spec, const char *reason, struct err *e)
{
    struct change c = {.roster = a->roster,
                       .actor = actor,
                       .spec = spec,
                       .id = id,
                       .revision = revision,
                       .reason = reason};
    return spec_valid(spec, e) && commit(a, change, &c, e);
}

static bool revoke(struct store_db *db, void *ctx, struct err *e)
{
    struct change *c = ctx;
    struct store_stmt *st;
    struct before before = {0};
    if (!read_one(db, c->id, keep_before, &before, e))
        return false;
    if (before.revoked_at) {
        json_decref(before.json);
        return true;
    }
    TRY(store_query(db, "UPDATE api_key SET revoked_at = ?2, revision = revision + 1 WHERE id = ?1",
                    &st, e));
    store_bind_int(st, 0, c->id);
    store_bind_int(st, 1, clock_wall_s());
    TRY(store_run(db, st, NULL, e));
    return conclude(db, c, &before, "key.revoke", e);
fail:
    json_decref(before.json);
    return false;
}

bool key_revoke(const struct auth *a, const struct audit_actor *actor, int64_t id,
                const char *reason, struct err *e)
{
    struct change c = {.roster = a->roster, .actor = actor, .id = id, .reason = reason};
    return commit(a, revoke, &c, e);
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct get {
    int64_t id;
    key_fn *fn;
    void *ctx;
};

static bool get(struct store_db *db, void *ctx, struct err *e)
{
    struct get *g = ctx;
    return read_one(db, g->id, g->fn, g->ctx, e);
}

bool key_get(const struct auth *a, int64_t id, key_fn *fn, void *ctx, struct err *e)
{
    struct get g = {id, fn, ctx};
    return store_read(a->store, get, &g, e);
}

struct listing {
    const struct key_filter *filter;
    key_fn *fn;
    void *ctx;
    int64_t next;
};

static bool row(void *ctx, struct store_stmt *st, int64_t *id, struct err *e)
{
    struct listing *l = ctx;
    struct key_row k;
    read_row(st, &k);
    *id = k.id;
    return l->fn(l->ctx, &k, e);
}

static bool list(struct store_db *db, void *ctx, struct err *e)
{
    struct listing *l = ctx;
    const struct key_filter *f = l->filter;
    struct store_stmt *st;
    if (!store_query(db,
                     "SELECT " COLUMNS " FROM api_key k JOIN person p ON p.id = k.person_id"
                     " WHERE k.id > ?1 AND (?2 = 0 OR k.person_id = ?2)"
                     " AND (?3 = 0 OR p.department_id = ?3)"
                     " AND (NOT ?4 OR (k.revoked_at IS NULL AND"
                     "  (k.expires_at IS NULL OR k.expires_at > ?5)))"
                     " ORDER BY k.id LIMIT ?6 + 1",
                     &st, e))
        return false;
    store_bind_int(st, 0, f->after_id);
    store_bind_int(st, 1, f->person_id);
    store_bind_int(st, 2, f->department_id);
    store_bind_int(st, 3, f->active);
    store_bind_int(st, 4, f->now_s);
    store_bind_int(st, 5, f->limit);
    return act_page(st, f->limit, row, l, &l->next, e);
}

bool key_list(const struct auth *a, const struct key_filter *f, key_fn *fn, void *ctx,
              int64_t *next, struct err *e)
{
    struct listing l = {.filter = f, .fn = fn, .ctx = ctx};
    *next = 0;
    if (!act_limit_valid(f->limit, KEY_PAGE, e))
        return false;
    if (!store_read(a->store, list, &l, e))
        return false;
    *next = l.next;
    return true;
}
