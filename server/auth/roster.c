/* Owns: the tables in memory and their lock, and the meaning of the lists of a key.
 * Refuses to know: secrets (only their hashes), who may change what.
 *
 * Three open-addressing tables from a 64-bit name to a pointer, at most half full: keys by the
 * bytes of their public id, persons and departments by id. Nothing is ever removed from them, as
 * nothing is from the database. */
#include <config.h>

#include "auth/roster.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"

/* ---- a table --------------------------------------------------------------------------------- */

struct slot {
    uint64_t name;
    void *value; /* NULL = free */
};
struct table {
    struct slot *slot; /* [cap], cap a power of two */
    size_t cap, n;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x7fb5d329728ea185);
    x ^= x >> 27;
    x *= UINT64_C(0x81dadef4bc2dd44d);
    return x ^ x >> 33;
}

static struct slot *find_slot(const struct table *t, uint64_t name)
{
    size_t at = (size_t)mix(name) & (t->cap - 1);
    while (t->slot[at].value && t->slot[at].name != name)
        at = (at + 1) & (t->cap - 1);
    return &t->slot[at];
}

static void *get(const struct table *t, uint64_t name)
{
    return t->cap ? find_slot(t, name)->value : NULL;
}

static void grow(struct table *t)
{
    struct table bigger = {.cap = t->cap ? t->cap * 2 : 64, .n = t->n};
    bigger.slot = mem_calloc(bigger.cap, sizeof *bigger.slot);
    for (size_t i = 0; i < t->cap; i++)
        if (t->slot[i].value)
            *find_slot(&bigger, t->slot[i].name) = t->slot[i];
    free(t->slot);
    *t = bigger;
}

/* Returns what was there. */
static void *put(struct table *t, uint64_t name, void *value)
{
    if (2 * (t->n + 1) > t->cap)
        grow(t);
    struct slot *s = find_slot(t, name);
    void *old = s->value;
    if (!old)
        t->n++;
    *s = (struct slot){name, value};
    return old;
}

/* ---- lists ----------------------------------------------------------------------------------- */

void roster_list_release(struct roster_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->item[i]);
    free(l->item);
    *l = (struct roster_list){0};
}

bool roster_list_parse(const char *json, struct roster_list *out, struct err *e)
{
    *out = (struct roster_list){.all = !json};
    if (!json)
        return true;
    json_t *list = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    size_t n = json_array_size(list);
    bool ok = json_is_array(list) && n <= ROSTER_MAX_ITEMS;
    if (ok)
        out->item = mem_calloc(n + 1, sizeof *out->item);
    for (size_t i = 0; ok && i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        ok = text && *text && strlen(text) <= ROSTER_ITEM_BYTES;
        if (ok)
            out->item[out->n++] = mem_strdup(text);
    }
    json_decref(list);
    if (ok)
        return true;
    roster_list_release(out);
    FAIL(e, ERR_ARG, "a list must be an array of at most %d texts of 1 to %d bytes",
         ROSTER_MAX_ITEMS, ROSTER_ITEM_BYTES);
}

bool roster_list_holds(const struct roster_list *l, const char *name)
{
    if (l->all)
        return true;
    for (size_t i = 0; i < l->n; i++) {
        size_t len = strlen(l->item[i]);
        if (len > 0 && l->item[i][len - 1] == '*' ? strncmp(l->item[i], name, len - 1) == 0
                                                  : strcmp(l->item[i], name) == 0)
            return true;
    }
    return false;
}

/* *bits = how many bits an address of its kind has. */
static bool parse_address(const char *text, uint8_t address[16], unsigned *bits)
{
    static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
    *bits = 128;
    if (inet_pton(AF_INET6, text, address) == 1)
        return true;
    memcpy(address, v4_prefix, sizeof v4_prefix);
    *bits = 32;
    return inet_pton(AF_INET, text, address + 12) == 1;
}

bool roster_address_parse(const char *text, uint8_t address[16])
{
    unsigned bits;
    return parse_address(text, address, &bits);
}

static bool bit_is_set(const uint8_t address[16], unsigned i)
{
    return address[i / 8] >> (7 - i % 8) & 1;
}

bool roster_net_parse(const char *text, struct roster_net *out, struct err *e)
{
    char address[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "/");
    unsigned all, prefix = 0;
    *out = (struct roster_net){0};
    if (len >= sizeof address)
        goto bad;
    memcpy(address, text, len);
    address[len] = '\0';
    if (!parse_address(address, out->address, &all))
        goto bad;
    if (text[len] == '/') {
        const char *digits = text + len + 1;
        size_t n = strspn(digits, "0123456789");
        if (n < 1 || n > 3 || digits[n] || (n > 1 && digits[0] == '0'))
            goto bad;
        for (size_t i = 0; i < n; i++)
            prefix = prefix * 10 + (unsigned)(digits[i] - '0');
        if (prefix > all)
            goto bad;
    } else {
        prefix = all;
    }
    out->bits = prefix + (128 - all);
    for (unsigned i = out->bits; i < 128; i++)
        if (bit_is_set(out->address, i))
            FAIL(e, ERR_ARG, "network %.64s: bits are set behind its prefix", text);
    return true;
bad:
    FAIL(e, ERR_ARG, "network %.64s: expected an address such as 10.1.0.0/16 or fd00::/8", text);
}

bool roster_net_holds(const struct roster_net *net, const uint8_t address[16])
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->address, address, whole) != 0)
        return false;
    return rest == 0 || (uint8_t)((net->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

static bool parse_networks(struct roster_key *k, const char *json, struct err *e)
{
    struct roster_list texts;
    bool ok = roster_list_parse(json, &texts, e);
    if (!ok)
        return false;
    k->any_network = texts.all;
    k->network = mem_calloc(texts.n + 1, sizeof *k->network);
    for (size_t i = 0; ok && i < texts.n; i++)
        ok = roster_net_parse(texts.item[i], &k->network[k->n_networks++], e);
    roster_list_release(&texts);
    return ok;
}

/* ---- rows ------------------------------------------------------------------------------------ */

void roster_key_unref(struct roster_key *k)
{
    if (!k || atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    roster_list_release(&k->models);
    roster_list_release(&k->templates);
    free(k->network);
    free(k);
}

#define KEY_COLUMNS                                                                                \
    "id, public_id, secret_hash, person_id, scopes, models, templates, networks, expires_at,"      \
    " revoked_at, last_used_at"

static bool read_key(struct store_stmt *st, struct roster_key **out, struct err *e)
{
    struct roster_key *k = mem_zalloc(sizeof *k);
    size_t bytes;
    const void *hash = store_blob(st, 2, &bytes);
    atomic_init(&k->refs, 1);
    k->id = store_int(st, 0);
    snprintf(k->public_id, sizeof k->public_id, "%s", store_text(st, 1));
    if (bytes == sizeof k->hash)
        memcpy(k->hash, hash, bytes);
    k->person_id = store_int(st, 3);
    k->scopes = (uint32_t)store_int(st, 4);
    k->expires_at = store_int(st, 8);
    k->revoked = bytes != sizeof k->hash || !store_is_null(st, 9);
    atomic_init(&k->used_at, store_int(st, 10));
    if (!roster_list_parse(store_text(st, 5), &k->models, e) ||
        !roster_list_parse(store_text(st, 6), &k->templates, e) ||
        !parse_networks(k, store_text(st, 7), e)) {
        err_prefix(e, "API key %s", k->public_id);
        if (e)
            e->code = ERR_DAMAGED;
        roster_key_unref(k);
        return false;
    }
    *out = k;
    return true;
}

bool roster_read_key(struct store_db *db, int64_t id, struct roster_key **out, struct err *e)
{
    struct store_stmt *st;
    bool row;
    *out = NULL;
    if (!store_query(db, "SELECT " KEY_COLUMNS " FROM api_key WHERE id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, id);
    if (!store_step(st, &row, e))
        return false;
    bool ok = row ? read_key(st, out, e)
                  : err_set(e, ERR_NOT_FOUND, 0, __FILE__, __LINE__, "there is no such key");
    store_done(st);
    return ok;
}

#define PERSON_COLUMNS "id, login, department_id, roles, disabled_at"

static void read_person(struct store_stmt *st, struct roster_person *p)
{
    *p = (struct roster_person){.id = store_int(st, 0),
                                .department_id = store_int(st, 2),
                                .roles = (uint32_t)store_int(st, 3),
                                .disabled = !store_is_null(st, 4)};
    snprintf(p->login, sizeof p->login, "%s", store_text(st, 1));
}

bool roster_read_person(struct store_db *db, int64_t id, struct roster_person *out, struct err *e)
{
    struct store_stmt *st;
    bool row;
    if (!store_query(db, "SELECT " PERSON_COLUMNS " FROM person WHERE id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, id);
    if (!store_step(st, &row, e))
        return false;
    if (row)
        read_person(st, out);
    store_done(st);
    if (!row)
        FAIL(e, ERR_NOT_FOUND, "there is no such person");
    return true;
}

/* ---- the roster ------------------------------------------------------------------------------ */

struct roster {
    pthread_rwlock_t lock;    /* guards the tables */
    struct table keys;        /* struct roster_key, one reference each */
    struct table persons;     /* struct roster_person, owned */
    struct table departments; /* int64_t: the parent's id, owned */
    struct roster_key *decoy;
};

bool roster_create(struct roster **out, struct err *e)
{
    struct roster *r = mem_zalloc(sizeof *r);
    r->decoy = mem_zalloc(sizeof *r->decoy);
    atomic_init(&r->decoy->refs, 1);
    r->decoy->revoked = true;
    pthread_rwlock_init(&r->lock, NULL);
    *out = r;
    if (hash_random(r->decoy->hash, sizeof r->decoy->hash, e))
        return true;
    roster_destroy(out);
    return false;
}

void roster_destroy(struct roster **out)
{
    struct roster *r = *out;
    if (!r)
        return;
    for (size_t i = 0; i < r->keys.cap; i++)
        roster_key_unref(r->keys.slot[i].value);
    for (size_t i = 0; i < r->persons.cap; i++)
        free(r->persons.slot[i].value);
    for (size_t i = 0; i < r->departments.cap; i++)
        free(r->departments.slot[i].value);
    free(r->keys.slot);
    free(r->persons.slot);
    free(r->departments.slot);
    roster_key_unref(r->decoy);
    pthread_rwlock_destroy(&r->lock);
    free(r);
    *out = NULL;
}

static uint64_t name_of(const char public_id[ROSTER_ID_CHARS])
{
    uint64_t name;
    _Static_assert(sizeof name == ROSTER_ID_CHARS, "a public id fits a table's name");
    memcpy(&name, public_id, sizeof name);
    return name;
}

void roster_put_key_take(struct roster *r, struct roster_key *k)
{
    pthread_rwlock_wrlock(&r->lock);
    struct roster_key *old = put(&r->keys, name_of(k->public_id), k);
    pthread_rwlock_unlock(&r->lock);
    roster_key_unref(old);
}

void roster_put_person(struct roster *r, const struct roster_person *p)
{
    struct roster_person *copy = mem_alloc(sizeof *copy);
    *copy = *p;
    pthread_rwlock_wrlock(&r->lock);
    void *old = put(&r->persons, (uint64_t)p->id, copy);
    pthread_rwlock_unlock(&r->lock);
    free(old);
}

void roster_put_department(struct roster *r, int64_t id, int64_t parent_id)
{
    int64_t *copy = mem_alloc(sizeof *copy);
    *copy = parent_id;
    pthread_rwlock_wrlock(&r->lock);
    void *old = put(&r->departments, (uint64_t)id, copy);
    pthread_rwlock_unlock(&r->lock);
    free(old);
}

static const struct roster_person nobody = {.disabled = true};

struct roster_key *roster_find_ref(struct roster *r, const char public_id[ROSTER_ID_CHARS],
                                   struct roster_person *person)
{
    pthread_rwlock_rdlock(&r->lock);
    struct roster_key *k = get(&r->keys, name_of(public_id));
    if (!k)
        k = r->decoy;
    const struct roster_person *p = get(&r->persons, (uint64_t)k->person_id);
    *person = p ? *p : nobody;
    atomic_fetch_add(&k->refs, 1);
    pthread_rwlock_unlock(&r->lock);
    return k;
}

bool roster_person(struct roster *r, int64_t id, struct roster_person *out)
{
    pthread_rwlock_rdlock(&r->lock);
    const struct roster_person *p = get(&r->persons, (uint64_t)id);
    if (p)
        *out = *p;
    pthread_rwlock_unlock(&r->lock);
    return p != NULL;
}

bool roster_within(struct roster *r, int64_t id, int64_t ancestor)
{
    bool within = false;
    if (ancestor == 0)
        return false;
    pthread_rwlock_rdlock(&r->lock);
    for (int depth = 0; id && depth < 64 && !within; depth++) {
        const int64_t *parent = get(&r->departments, (uint64_t)id);
        within = id == ancestor;
        id = parent ? *parent : 0;
    }
    pthread_rwlock_unlock(&r->lock);
    return within;
}

/* ---- loading --------------------------------------------------------------------------------- */

typedef bool take_fn(struct roster *r, struct store_stmt *st, struct err *e);

static bool load(struct roster *r, struct store_db *db, const char *sql, take_fn *take, struct err *e)
{
    struct store_stmt *st;
    bool row = true, ok = store_query(db, sql, &st, e);
    while (ok && (ok = store_step(st, &row, e)) && row)
        ok = take(r, st, e);
    store_done(st);
    return ok;
}

static bool take_department(struct roster *r, struct store_stmt *st, struct err *e)
{
    (void)e;
    roster_put_department(r, store_int(st, 0), store_int(st, 1));
    return true;
}

static bool take_person(struct roster *r, struct store_stmt *st, struct err *e)
{
    struct roster_person p;
    (void)e;
    read_person(st, &p);
    roster_put_person(r, &p);
    return true;
}

static bool take_key(struct roster *r, struct store_stmt *st, struct err *e)
{
    struct roster_key *k;
    if (!read_key(st, &k, e))
        return false;
    roster_put_key_take(r, k);
    return true;
}

bool roster_load(struct roster *r, struct store_db *db, struct err *e)
{
    return load(r, db, "SELECT id, parent_id FROM department", take_department, e) &&
           load(r, db, "SELECT " PERSON_COLUMNS " FROM person", take_person, e) &&
           load(r, db, "SELECT " KEY_COLUMNS " FROM api_key", take_key, e);
}
