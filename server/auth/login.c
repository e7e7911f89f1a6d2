/* Owns: the course of a login. Refuses to know cookies, and how hashes or sessions look. */
#include <config.h>

#include "auth/login.h"

#include <openssl/crypto.h>
#include <string.h>

#include "auth/act.h"
#include "auth/auth.h"
#include "auth/hasher.h"
#include "auth/lockout.h"
#include "auth/password.h"
#include "auth/people.h"
#include "auth/principal.h"
#include "base/log.h"
#include "store/store.h"

/* A login on its way. */
struct course {
    const struct login_request *request;
    int64_t person_id; /* 0 = nobody who may log in so */
    struct password_row row, fresh;
    bool rehash, open;
    const struct session_secret *secret;
};

static bool look_up(struct store_db *db, void *ctx, struct err *e)
{
    struct course *c = ctx;
    struct store_stmt *st;
    bool row;
    if (!store_query(db,
                     "SELECT id, source = 'local' AND disabled_at IS NULL AND NOT roles & ?2"
                     " FROM person WHERE login = ?1",
                     &st, e))
        return false;
    store_bind_text(st, 0, c->request->login);
    store_bind_int(st, 1, ROLE_SERVICE);
    if (!store_step(st, &row, e))
        return false;
    int64_t id = row ? store_int(st, 0) : 0;
    bool may = row && store_int(st, 1);
    store_done(st);
    if (!password_newest(db, id, &c->row, e))
        return false;
    c->person_id = may && c->row.id ? id : 0;
    return true;
}

static bool succeed(struct store_db *db, void *ctx, struct err *e)
{
    struct course *c = ctx;
    const struct login_request *r = c->request;
    struct password_row now;
    if (!password_newest(db, c->person_id, &now, e))
        return false;
    if (now.id != c->row.id)
        FAIL(e, ERR_CONFLICT, "the password was changed meanwhile");
    if (!lockout_succeed(db, r->login, r->address, e))
        return false;
    if (c->rehash && !password_renew(db, &c->fresh, e))
        return false;
    return !c->open || session_put(db, c->secret, c->person_id, r->address, r->agent, r->request_id,
                                   r->now_s, e);
}

/* One hash, of the person's password or of nothing that anybody has. */
static bool compare(const struct auth *a, struct course *c, bool *right, struct err *e)
{
    bool same;
    if (!c->person_id)
        c->row = (struct password_row){.cost = a->cost};
    if (!password_matches(a, &c->row, c->request->password, &same, e))
        return false;
    *right = same && c->person_id &&
             !password_lapsed(c->row.one_time, c->row.set_at, c->request->now_s);
    return true;
}

static bool cost_differs(const struct password_cost *a, const struct password_cost *b)
{
    return a->n != b->n || a->r != b->r || a->p != b->p;
}

/* Brings an old hash up to date; a busy worker leaves it for the next login. */
static void renew(const struct auth *a, struct course *c)
{
    if (!cost_differs(&c->row.cost, &a->cost))
        return;
    c->rehash = password_hash(a, c->request->password, &c->fresh, NULL);
    c->fresh.id = c->row.id;
}

static void log_wrong(const struct login_request *r)
{
    char login[2 * PEOPLE_NAME_BYTES], address[128];
    LOG_I("auth", "wrong password login=%s address=%s", log_quote(login, sizeof login, r->login),
          log_quote(address, sizeof address, r->address));
}

static bool go(const struct auth *a, struct course *c, struct login_result *out, struct err *e)
{
    const struct login_request *r = c->request;
    bool right = false;
    struct err ignored;
    if (!store_read(a->store, look_up, c, e) || !compare(a, c, &right, e))
        goto undo;
    if (!right) {
        log_wrong(r);
        return true;
    }
    renew(a, c);
    if (!store_write(a->store, succeed, c, e))
        goto undo;
    out->outcome = LOGIN_OK;
    out->person_id = c->person_id;
    out->must_change_password = password_must_change(a->profile, c->row.one_time, c->row.set_at,
                                                     r->now_s);
    return true;
undo:
    if (!lockout_cancel(a, r->login, r->address, &ignored))
        LOG_W("auth", "cannot take back an attempt to log in error=%s",
              err_code_name(ignored.code));
    return false;
}

static bool attempt(const struct auth *a, struct course *c, struct login_result *out, struct err *e)
{
    const struct login_request *r = c->request;
    out->outcome = LOGIN_WRONG;
    if (!act_text_valid(r->login, PEOPLE_NAME_BYTES, false, "the login", NULL) ||
        strlen(r->password) > PASSWORD_MAX_BYTES)
        return true;
    if (hasher_waiting(a->hasher) >= HASHER_QUEUE)
        FAIL(e, ERR_BUSY, "too many people log in at this moment: try again in a few seconds");
    if (!lockout_begin(a, r->login, r->address, r->now_s, &out->retry_s, e))
        return false;
    if (out->retry_s) {
        out->outcome = LOGIN_LATER;
        return true;
    }
    return go(a, c, out, e);
}

bool login_with_password(const struct auth *a, const struct login_request *r,
                         struct login_result *out, struct err *e)
{
    struct course c = {.request = r, .open = true, .secret = &out->secret};
    *out = (struct login_result){.outcome = LOGIN_WRONG};
    bool ok = session_make_secret(&out->secret, e) && attempt(a, &c, out, e);
    if (!ok || out->outcome != LOGIN_OK)
        OPENSSL_cleanse(&out->secret, sizeof out->secret);
    return ok;
}

bool login_confirm(const struct auth *a, const struct login_request *r, struct login_result *out,
                   struct err *e)
{
    struct course c = {.request = r};
    *out = (struct login_result){.outcome = LOGIN_WRONG};
    return attempt(a, &c, out, e);
}

static bool welcome(struct store_db *db, void *ctx, struct err *e)
{
    struct course *c = ctx;
    const struct login_request *r = c->request;
    return lockout_succeed(db, r->login, r->address, e) &&
           session_put(db, c->secret, c->person_id, r->address, r->agent, r->request_id, r->now_s,
                       e);
}

bool login_vouched(const struct auth *a, const struct login_request *r, int64_t person_id,
                   struct login_result *out, struct err *e)
{
    struct course c = {.request = r, .person_id = person_id, .secret = &out->secret};
    *out = (struct login_result){.outcome = LOGIN_WRONG};
    if (!session_make_secret(&out->secret, e) || !store_write(a->store, welcome, &c, e)) {
        OPENSSL_cleanse(&out->secret, sizeof out->secret);
        return false;
    }
    out->outcome = LOGIN_OK;
    out->person_id = person_id;
    return true;
}
