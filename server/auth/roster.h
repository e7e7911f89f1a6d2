/* Every API key and the person behind it, in memory, so that a request is admitted without SQL.
 *
 * Loaded at the start, then told of every committed change on the writer thread, in the order of
 * the commits (act.h): what was revoked is refused from the moment the revoking call returns.
 * Thread: any; one read-write lock, a leaf, held for a few loads. Internal to auth/.
 */
#ifndef SEEKD_AUTH_ROSTER_H
#define SEEKD_AUTH_ROSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/principal.h"
#include "base/err.h"
#include "base/hash.h"

struct store_db;

enum { ROSTER_ID_CHARS = 8, ROSTER_MAX_ITEMS = 256, ROSTER_ITEM_BYTES = 200 };

/* A list of names; a name that ends in '*' stands for all that begin so. */
struct roster_list {
    bool all; /* no restriction; `item` is empty then */
    size_t n;
    char **item; /* [n], owned */
};

/* IPv4 addresses lie in the last four bytes behind ::ffff:0:0/96, as in IPv6. */
struct roster_net {
    uint8_t address[16];
    unsigned bits; /* 0..128 */
};

/* What a key may be used for. Immutable once it is in the roster, but for the counters. */
struct roster_key {
    atomic_uint refs;
    int64_t id, person_id;
    char public_id[ROSTER_ID_CHARS + 1];
    uint8_t hash[HASH_SHA256_BYTES];
    uint32_t scopes;
    struct roster_list models, templates;
    bool any_network;
    size_t n_networks;
    struct roster_net *network; /* [n_networks], owned */
    int64_t expires_at;         /* 0 = never */
    bool revoked;
    _Atomic int64_t used_at; /* of the last posted note */
};

struct roster_person {
    int64_t id, department_id;
    uint32_t roles;
    bool disabled;
    char login[PRINCIPAL_LOGIN_TEXT];
};

struct roster;

bool roster_create(struct roster **out, struct err *e) WARN_UNUSED;
void roster_destroy(struct roster **r);
/* Everything there is. Inside a read callback, before others use the roster. */
bool roster_load(struct roster *r, struct store_db *db, struct err *e) WARN_UNUSED;

/* One row as it stands; inside a callback. ERR_NOT_FOUND, ERR_DAMAGED (unreadable lists). */
bool roster_read_key(struct store_db *db, int64_t id, struct roster_key **out,
                     struct err *e) WARN_UNUSED;
bool roster_read_person(struct store_db *db, int64_t id, struct roster_person *out,
                        struct err *e) WARN_UNUSED;

/* Replace what was there. */
void roster_put_key_take(struct roster *r, struct roster_key *k);
void roster_put_person(struct roster *r, const struct roster_person *p);
void roster_put_department(struct roster *r, int64_t id, int64_t parent_id);

/* The key of that public id and its person as they are now. For ids that nobody has, the decoy: a
 * key that nothing matches, of a person that is disabled. Never NULL; the caller owes an unref. */
struct roster_key *roster_find_ref(struct roster *r, const char public_id[ROSTER_ID_CHARS],
                                   struct roster_person *person);
void roster_key_unref(struct roster_key *k); /* accepts NULL */
/* False when there is no such person. */
bool roster_person(struct roster *r, int64_t id, struct roster_person *out);
/* Whether department `id` is `ancestor` or lies below it. 0 is none. */
bool roster_within(struct roster *r, int64_t id, int64_t ancestor);

/* The JSON texts of the table (NULL = everything): arrays of strings. ERR_ARG names what is wrong.
 */
bool roster_list_parse(const char *json, struct roster_list *out, struct err *e) WARN_UNUSED;
void roster_list_release(struct roster_list *l);
bool roster_list_holds(const struct roster_list *l, const char *name);
/* "10.0.0.0/8", "192.168.1.7", "fd00::/8". ERR_ARG also when bits are set behind the prefix. */
bool roster_net_parse(const char *text, struct roster_net *out, struct err *e) WARN_UNUSED;
bool roster_net_holds(const struct roster_net *net, const uint8_t address[16]);
/* A bare address, of either kind. */
bool roster_address_parse(const char *text, uint8_t address[16]);

#endif
