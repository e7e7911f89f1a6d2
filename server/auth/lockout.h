/* Failed logins: what slows guessing down without letting strangers lock somebody out.
 *
 * Per login and address: four wrong passwords are free; after the fifth the next attempt waits 1 s,
 * then 2, 4, ... at most 300 s. Per login from all addresses: at most 100 wrong ones in an hour.
 * An attempt counts as failed from its beginning and is taken back when it succeeds, so that many
 * attempts at once are counted like many in a row. Logins that do not exist are treated alike.
 * Counts are kept in the database. A clock that was set back never prolongs a wait beyond its
 * length. Thread: any but the writer's, unless stated.
 */
#ifndef SEEKD_AUTH_LOCKOUT_H
#define SEEKD_AUTH_LOCKOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct audit_actor;
struct auth;
struct store_db;

enum {
    LOCKOUT_FREE = 5, /* the attempt that brings the first wait */
    LOCKOUT_MAX_S = 300,
    LOCKOUT_ACCOUNT = 100, /* per hour, all addresses together */
    LOCKOUT_FORGET_S = 3600
};

/* Counts an attempt. *wait_s = 0: go on; else nothing was counted and the caller may come again in
 * so many seconds. `address` is not empty. Waits for a commit. */
bool lockout_begin(const struct auth *a, const char *login, const char *address, int64_t now_s,
                   int64_t *wait_s, struct err *e) WARN_UNUSED;
/* The attempt did not come to an end (busy, an error): takes its count back. */
bool lockout_cancel(const struct auth *a, const char *login, const char *address,
                    struct err *e) WARN_UNUSED;
/* It succeeded: forgets this address's failures. Inside a write callback. */
bool lockout_succeed(struct store_db *db, const char *login, const char *address,
                     struct err *e) WARN_UNUSED;
/* Forgets everything about the login. Inside a write callback. */
bool lockout_clear(struct store_db *db, const char *login, struct err *e) WARN_UNUSED;

/* An administrator lifts all waits of a login; *found = there were any. */
bool lockout_unlock(const struct auth *a, const struct audit_actor *actor, const char *login,
                    const char *reason, bool *found, struct err *e) WARN_UNUSED;
/* Deletes what has been forgotten; called now and then. */
bool lockout_purge(const struct auth *a, int64_t now_s, struct err *e) WARN_UNUSED;

#endif
