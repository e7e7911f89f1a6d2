/* The parts that people, keys and sessions share: database, index of keys, hashing worker, policy.
 *
 * Owner: the process. Thread: auth_open and auth_close by one, before and after everybody else;
 * what takes a `struct auth` may be called from any thread but the store's writer, unless stated.
 * Lock order: roster's lock and the hasher's are leaves; neither is held over SQL or hashing.
 */
#ifndef SEEKD_AUTH_AUTH_H
#define SEEKD_AUTH_AUTH_H

#include <stdbool.h>

#include "auth/password.h"
#include "base/err.h"

struct hasher;
struct roster;
struct store;

struct auth_options {
    enum password_profile profile;
    struct password_cost cost; /* of new hashes; older ones are redone at the next login */
};
#define AUTH_OPTIONS_DEFAULT                                                                       \
    ((struct auth_options){.profile = PASSWORD_ASVS, .cost = PASSWORD_COST_DEFAULT})

/* Read-only after auth_open. */
struct auth {
    struct store *store;   /* borrowed until auth_close */
    struct roster *roster; /* owned: every key and its person, in memory */
    struct hasher *hasher; /* owned: the one thread that hashes passwords */
    enum password_profile profile;
    struct password_cost cost;
};

/* Loads every key, person and department. Errors: those of the store, ERR_DAMAGED (a key row that
 * cannot be read), ERR_ARG (cost out of range). */
bool auth_open(struct store *s, const struct auth_options *opt, struct auth **out,
               struct err *e) WARN_UNUSED;
/* Before store_close. Accepts NULL. */
void auth_close(struct auth **a);

#endif
