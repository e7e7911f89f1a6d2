/* Owns: the table `login_failure`. Rows with address '' count all addresses of a login; their
 * window_at is the beginning of the hour, that of the others the last attempt.
 * Refuses to know who exists. */
#include <config.h>

#include "auth/lockout.h"

#include "auth/act.h"
#include "auth/auth.h"
#include "store/store.h"

struct count {
    int64_t failures, window_at, next_at;
};

struct attempt {
    const char *login, *address;
    int64_t now_s, wait_s;
};

static bool read_count(struct store_db *db, const char *login, const char *address,
                       struct count *out, struct err *e)
{
    struct store_stmt *st;
    bool row;
    *out = (struct count){0};
    if (!store_query(db,
                     "SELECT failures, window_at, next_at FROM login_failure"
                     " WHERE login = ?1 AND address = ?2",
                     &st, e))
        return false;
    store_bind_text(st, 0, login);
    store_bind_text(st, 1, address);
    if (!store_step(st, &row, e))
        return false;
    if (row)
        *out = (struct count){store_int(st, 0), store_int(st, 1), store_int(st, 2)};
    store_done(st);
    return true;
}

static bool write_count(struct store_db *db, const char *login, const char *address,
                        const struct count *c, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "INSERT INTO login_failure (login, address, failures, window_at, next_at)"
                     " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (login, address) DO UPDATE SET"
                     " failures = excluded.failures, window_at = excluded.window_at,"
                     " next_at = excluded.next_at",
                     &st, e))
        return false;
    store_bind_text(st, 0, login);
    store_bind_text(st, 1, address);
    store_bind_int(st, 2, c->failures);
    store_bind_int(st, 3, c->window_at);
    store_bind_int(st, 4, c->next_at);
    return store_run(db, st, NULL, e);
}

/* What the wait after so many failures is. */
static int64_t delay_of(int64_t failures)
{
    int64_t over = failures - LOCKOUT_FREE;
    if (over < 0)
        return 0;
    return over >= 9 || (INT64_C(1) << over) > LOCKOUT_MAX_S ? LOCKOUT_MAX_S : INT64_C(1) << over;
}

static int64_t wait_of(const struct count *c, int64_t now_s)
{
    int64_t wait = c->next_at - now_s, longest = delay_of(c->failures);
    return wait > longest ? longest : wait;
}

static bool begin(struct store_db *db, void *ctx, struct err *e)
{
    struct attempt *t = ctx;
    struct count here, all;
    if (!read_count(db, t->login, t->address, &here, e) || !read_count(db, t->login, "", &all, e))
        return false;
    if (t->now_s - here.window_at >= LOCKOUT_FORGET_S)
        here = (struct count){0};
    if (t->now_s - all.window_at >= LOCKOUT_FORGET_S || t->now_s < all.window_at)
        all = (struct count){.window_at = t->now_s};
    t->wait_s = wait_of(&here, t->now_s);
    if (t->wait_s <= 0 && all.failures >= LOCKOUT_ACCOUNT)
        t->wait_s = all.window_at + LOCKOUT_FORGET_S - t->now_s;
    if (t->wait_s > 0)
        return true;
    t->wait_s = 0;
    here.failures++;
    here.window_at = t->now_s;
    here.next_at = t->now_s + delay_of(here.failures);
    all.failures++;
    if (!write_count(db, t->login, t->address, &here, e) || !write_count(db, t->login, "", &all, e))
        return false;
    if (here.failures != LOCKOUT_FREE && all.failures != LOCKOUT_ACCOUNT)
        return true;
    struct audit_actor actor = ACT_SEEKD;
    actor.address = t->address;
    struct audit_entry entry = {.action = "login.slowed",
                                .object_kind = "login",
                                .object_id = t->login,
                                .reason = all.failures == LOCKOUT_ACCOUNT
                                              ? "too many wrong passwords within an hour"
                                              : "too many wrong passwords from this address"};
    return audit_append(db, &actor, &entry, e);
}

bool lockout_begin(const struct auth *a, const char *login, const char *address, int64_t now_s,
                   int64_t *wait_s, struct err *e)
{
    struct attempt t = {.login = login, .address = address, .now_s = now_s};
    if (!store_write(a->store, begin, &t, e))
        return false;
    *wait_s = t.wait_s;
    return true;
}

static bool take_back(struct store_db *db, const char *login, const char *address, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "UPDATE login_failure SET failures = failures - 1, next_at = window_at"
                     " WHERE login = ?1 AND address = ?2 AND failures > 0",
                     &st, e))
        return false;
    store_bind_text(st, 0, login);
    store_bind_text(st, 1, address);
    return store_run(db, st, NULL, e);
}

static bool cancel(struct store_db *db, void *ctx, struct err *e)
{
    struct attempt *t = ctx;
    return take_back(db, t->login, t->address, e) && take_back(db, t->login, "", e);
}

bool lockout_cancel(const struct auth *a, const char *login, const char *address, struct err *e)
{
    struct attempt t = {.login = login, .address = address};
    return store_write(a->store, cancel, &t, e);
}

bool lockout_succeed(struct store_db *db, const char *login, const char *address, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "DELETE FROM login_failure WHERE login = ?1 AND address = ?2", &st, e))
        return false;
    store_bind_text(st, 0, login);
    store_bind_text(st, 1, address);
    return store_run(db, st, NULL, e) && take_back(db, login, "", e);
}

static bool clear(struct store_db *db, const char *login, int64_t *n, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "DELETE FROM login_failure WHERE login = ?1", &st, e))
        return false;
    store_bind_text(st, 0, login);
    return store_run(db, st, n, e);
}

bool lockout_clear(struct store_db *db, const char *login, struct err *e)
{
    return clear(db, login, NULL, e);
}

struct unlock {
    const struct audit_actor *actor;
    const char *login, *reason;
    int64_t rows;
};

static bool unlock(struct store_db *db, void *ctx, struct err *e)
{
    struct unlock *u = ctx;
    if (!clear(db, u->login, &u->rows, e))
        return false;
    struct audit_entry entry = {.action = "login.unlock",
                                .object_kind = "login",
                                .object_id = u->login,
                                .reason = u->reason};
    return audit_append(db, u->actor, &entry, e);
}

bool lockout_unlock(const struct auth *a, const struct audit_actor *actor, const char *login,
                    const char *reason, bool *found, struct err *e)
{
    struct unlock u = {.actor = actor, .login = login, .reason = reason ? reason : ""};
    *found = false;
    if (!act_text_valid(login, 200, false, "the login", e) || !store_write(a->store, unlock, &u, e))
        return false;
    *found = u.rows > 0;
    return true;
}

static bool purge(struct store_db *db, void *ctx, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "DELETE FROM login_failure WHERE window_at < ?1 AND next_at < ?1", &st, e))
        return false;
    store_bind_int(st, 0, *(int64_t *)ctx - LOCKOUT_FORGET_S);
    return store_run(db, st, NULL, e);
}

bool lockout_purge(const struct auth *a, int64_t now_s, struct err *e)
{
    return store_write(a->store, purge, &now_s, e);
}
