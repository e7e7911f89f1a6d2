/* Owns: the table `session`, tokens and how long they hold.
 * Refuses to know: cookies, passwords. */
#include <config.h>

#include "auth/session.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/act.h"
#include "auth/auth.h"
#include "auth/authority.h"
#include "auth/people.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "store/store.h"

enum { HASH = HASH_SHA256_BYTES, FUTURE_S = 300 };

/* ---- the clock ------------------------------------------------------------------------------- */

static int64_t clock_offset_s;
static pthread_once_t clock_once = PTHREAD_ONCE_INIT;

static int64_t seconds_of(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec;
}

static void set_clock(void)
{
    clock_offset_s = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME);
}

int64_t session_clock_s(void)
{
    pthread_once(&clock_once, set_clock);
    return seconds_of(CLOCK_BOOTTIME) + clock_offset_s;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool is_token(const char *text)
{
    return strnlen(text, TOKEN_TEXT) == TOKEN_CHARS &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               TOKEN_CHARS;
}

bool session_csrf(const char *token, char csrf[TOKEN_TEXT], struct err *e)
{
    static const char purpose[] = "seekd csrf ";
    char text[sizeof purpose + TOKEN_CHARS];
    uint8_t digest[HASH];
    if (!is_token(token))
        FAIL(e, ERR_ARG, "this is not a session's token");
    snprintf(text, sizeof text, "%s%s", purpose, token);
    bool ok = hash_sha256(text, strlen(text), digest, e);
    OPENSSL_cleanse(text, sizeof text);
    if (ok)
        token_text(digest, csrf);
    return ok;
}

bool session_csrf_holds(const char *token, const char *csrf)
{
    char right[TOKEN_TEXT];
    return strnlen(csrf, TOKEN_TEXT) == TOKEN_CHARS && session_csrf(token, right, NULL) &&
           CRYPTO_memcmp(right, csrf, TOKEN_CHARS) == 0;
}

bool session_make_secret(struct session_secret *out, struct err *e)
{
    uint8_t random[TOKEN_BYTES];
    if (!hash_random(random, sizeof random, e))
        return false;
    token_text(random, out->token);
    OPENSSL_cleanse(random, sizeof random);
    return session_csrf(out->token, out->csrf, e);
}

static bool hash_token(const char *token, uint8_t digest[HASH], struct err *e)
{
    return hash_sha256(token, strlen(token), digest, e);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool insert(struct store_db *db, const struct session_secret *secret, int64_t person_id,
                   const char *address, const char *agent, int64_t now_s, struct err *e)
{
    struct store_stmt *st;
    uint8_t digest[HASH];
    char cut[SESSION_AGENT_BYTES + 1];
    snprintf(cut, sizeof cut, "%s", utf8_valid(agent, strlen(agent)) ? agent : "");
    cut[utf8_cut(cut, strlen(cut))] = '\0';
    if (!hash_token(secret->token, digest, e) ||
        !store_query(db,
                     "INSERT INTO session (token_hash, person_id, created_at, seen_at, ends_at,"
                     " address, agent) VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6)",
                     &st, e))
        return false;
    store_bind_blob(st, 0, digest, HASH);
    store_bind_int(st, 1, person_id);
    store_bind_int(st, 2, now_s);
    store_bind_int(st, 3, now_s + SESSION_LIFE_S);
    store_bind_text(st, 4, address);
    store_bind_text(st, 5, cut);
    return store_run(db, st, NULL, e);
}

/* Ends the oldest so that one more fits, and what has ended anyway. */
static bool make_room(struct store_db *db, int64_t person_id, int64_t now_s, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db,
                     "DELETE FROM session WHERE person_id = ?1 AND (ends_at <= ?2 OR seen_at <= ?3"
                     " OR token_hash NOT IN (SELECT token_hash FROM session WHERE person_id = ?1"
                     "  ORDER BY created_at DESC, seen_at DESC LIMIT ?4))",
                     &st, e))
        return false;
    store_bind_int(st, 0, person_id);
    store_bind_int(st, 1, now_s);
    store_bind_int(st, 2, now_s - SESSION_IDLE_S);
    store_bind_int(st, 3, SESSION_MAX - 1);
    return store_run(db, st, NULL, e);
}

static bool note_login(struct store_db *db, int64_t person_id, int64_t now_s, struct err *e)
{
    struct store_stmt *st;
    if (!store_query(db, "UPDATE person SET last_login_at = ?2 WHERE id = ?1", &st, e))
        return false;
    store_bind_int(st, 0, person_id);
    store_bind_int(st, 1, now_s);
    return store_run(db, st, NULL, e);
}

bool session_put(struct store_db *db, const struct session_secret *secret, int64_t person_id,
                 const char *address, const char *agent, const char *request_id, int64_t now_s,
                 struct err *e)
{
    struct person p;
    if (!person_read(db, person_id, &p, e))
        return false;
    if (p.disabled_at)
        FAIL(e, ERR_NOT_FOUND, "this person is disabled");
    if (p.roles & ROLE_SERVICE)
        FAIL(e, ERR_ARG, "a service has keys and does not log in");
    struct audit_actor self = {
        .person_id = person_id, .name = p.login, .address = address, .request_id = request_id};
    return make_room(db, person_id, now_s, e) &&
           insert(db, secret, person_id, address, agent, now_s, e) &&
           note_login(db, person_id, now_s, e) &&
           act_record_take(db, &self, "session.open", "person", person_id, NULL, NULL, "", e);
}

struct opening {
    const struct session_secret *secret;
    int64_t person_id, now_s;
    const char *address, *agent, *request_id;
};

static bool open_one(struct store_db *db, void *ctx, struct err *e)
{
    struct opening *o = ctx;
    return session_put(db, o->secret, o->person_id, o->address, o->agent, o->request_id, o->now_s,
                       e);
}

bool session_open(const struct auth *a, int64_t person_id, const char *address, const char *agent,
                  const char *request_id, int64_t now_s, struct session_secret *out, struct err *e)
{
    struct opening o = {out, person_id, now_s, address, agent, request_id};
    return session_make_secret(out, e) && store_write(a->store, open_one, &o, e);
}

/* ---- checking -------------------------------------------------------------------------------- */

struct checking {
    uint8_t digest[HASH];
    int64_t now_s;
    enum password_profile profile;
    struct principal *out;
    bool found, ended;
    int64_t seen_at;
};

static void read_principal(struct store_stmt *st, struct checking *c)
{
    struct principal *p = c->out;
    int64_t ends_at = store_int(st, 2);
    c->seen_at = store_int(st, 1);
    *p = (struct principal){.person_id = store_int(st, 0),
                            .department_id = store_int(st, 4),
                            .roles = (uint32_t)store_int(st, 5)};
    snprintf(p->login, sizeof p->login, "%s", store_text(st, 3));
    p->scopes = authority_scopes(p->roles);
    p->must_change_password = !store_is_null(st, 8) &&
                              password_must_change(c->profile, store_int(st, 7) != 0,
                                                   store_int(st, 8), c->now_s);
    c->found = true;
    c->ended = c->now_s >= ends_at || c->now_s >= c->seen_at + SESSION_IDLE_S ||
               c->now_s + FUTURE_S < c->seen_at || !store_is_null(st, 6);
}

static bool look_up(struct store_db *db, void *ctx, struct err *e)
{
    struct checking *c = ctx;
    struct store_stmt *st;
    bool row;
    if (!store_query(db,
                     "SELECT p.id, s.seen_at, s.ends_at, p.login, p.department_id, p.roles,"
                     " p.disabled_at, w.one_time, w.set_at FROM session s JOIN person p"
                     " ON p.id = s.person_id LEFT JOIN password w ON p.source = 'local' AND w.id ="
                     " (SELECT max(id) FROM password WHERE person_id = p.id)"
                     " WHERE s.token_hash = ?1",
                     &st, e))
        return false;
    store_bind_blob(st, 0, c->digest, HASH);
    if (!store_step(st, &row, e))
        return false;
    if (row)
        read_principal(st, c);
    store_done(st);
    return true;
}

/* A note for the writer; on the heap until it is done. */
struct note {
    uint8_t digest[HASH];
    int64_t seen_at; /* 0 = delete it */
};

static bool write_note(struct store_db *db, void *ctx, struct err *e)
{
    struct note *n = ctx;
    struct store_stmt *st;
    if (n->seen_at) {
        if (!store_query(db, "UPDATE session SET seen_at = max(seen_at, ?2) WHERE token_hash = ?1",
                         &st, e))
            return false;
        store_bind_int(st, 1, n->seen_at);
    } else if (!store_query(db, "DELETE FROM session WHERE token_hash = ?1", &st, e)) {
        return false;
    }
    store_bind_blob(st, 0, n->digest, HASH);
    return store_run(db, st, NULL, e);
}

static void free_note(void *ctx, bool ok, const struct err *e)
{
    if (!ok)
        LOG_W("auth", "cannot note the use of a session error=%s", err_code_name(e->code));
    free(ctx);
}

static void post_note(const struct auth *a, const uint8_t digest[HASH], int64_t seen_at)
{
    struct note *n = mem_alloc(sizeof *n);
    struct err e = ERR_INIT;
    memcpy(n->digest, digest, HASH);
    n->seen_at = seen_at;
    if (!store_post(a->store, write_note, n, free_note, &e))
        free_note(n, false, &e);
}

bool session_check(const struct auth *a, const char *token, int64_t now_s, struct principal *out,
                   struct err *e)
{
    struct checking c = {.now_s = now_s, .profile = a->profile, .out = out};
    if (is_token(token)) {
        if (!hash_token(token, c.digest, e) || !store_read(a->store, look_up, &c, e))
            return false;
        if (c.found && c.ended)
            post_note(a, c.digest, 0);
    }
    if (!c.found || c.ended) {
        *out = (struct principal){0};
        FAIL(e, ERR_NOT_FOUND, "the session has ended: log in again");
    }
    if (now_s - c.seen_at >= SESSION_SEEN_S)
        post_note(a, c.digest, now_s);
    return true;
}

/* ---- ending ---------------------------------------------------------------------------------- */

bool session_end_all(struct store_db *db, int64_t person_id, const char *keep_token, int64_t *n,
                     struct err *e)
{
    struct store_stmt *st;
    uint8_t keep[HASH] = {0};
    if ((keep_token && !hash_token(keep_token, keep, e)) ||
        !store_query(db, "DELETE FROM session WHERE person_id = ?1 AND token_hash <> ?2", &st, e))
        return false;
    store_bind_int(st, 0, person_id);
    store_bind_blob(st, 1, keep, HASH);
    return store_run(db, st, n, e);
}

struct ending {
    const struct audit_actor *actor;
    int64_t person_id, n;
    uint8_t digest[HASH];
    const char *id, *reason;
};

static bool record(struct store_db *db, const struct ending *end, struct err *e)
{
    return act_record_take(db, end->actor, "session.end", "person", end->person_id, NULL,
                           json_pack("{sI}", "sessions", (json_int_t)end->n), end->reason, e);
}

static bool close_one(struct store_db *db, void *ctx, struct err *e)
{
    struct ending *end = ctx;
    struct store_stmt *st;
    bool row;
    if (!store_query(db, "DELETE FROM session WHERE token_hash = ?1 RETURNING person_id", &st, e))
        return false;
    store_bind_blob(st, 0, end->digest, HASH);
    if (!store_step(st, &row, e))
        return false;
    end->person_id = row ? store_int(st, 0) : 0;
    end->n = row;
    store_done(st);
    return !row || record(db, end, e);
}

bool session_close(const struct auth *a, const struct audit_actor *actor, const char *token,
                   struct err *e)
{
    struct ending end = {.actor = actor, .reason = "logout"};
    if (!is_token(token))
        return true;
    return hash_token(token, end.digest, e) && store_write(a->store, close_one, &end, e);
}

static bool kill_one(struct store_db *db, void *ctx, struct err *e)
{
    struct ending *end = ctx;
    struct store_stmt *st;
    if (!store_query(db,
                     "DELETE FROM session WHERE person_id = ?1"
                     " AND lower(hex(substr(token_hash, 1, 8))) = ?2",
                     &st, e))
        return false;
    store_bind_int(st, 0, end->person_id);
    store_bind_text(st, 1, end->id);
    if (!store_run(db, st, &end->n, e))
        return false;
    if (end->n == 0)
        FAIL(e, ERR_NOT_FOUND, "there is no such session");
    return record(db, end, e);
}

bool session_kill(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                  const char *id, const char *reason, struct err *e)
{
    struct ending end = {.actor = actor, .person_id = person_id, .id = id, .reason = reason};
    return store_write(a->store, kill_one, &end, e);
}

static bool kill_all(struct store_db *db, void *ctx, struct err *e)
{
    struct ending *end = ctx;
    struct person p;
    return person_read(db, end->person_id, &p, e) &&
           session_end_all(db, end->person_id, NULL, &end->n, e) && record(db, end, e);
}

bool session_kill_all(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                      const char *reason, int64_t *n, struct err *e)
{
    struct ending end = {.actor = actor, .person_id = person_id, .reason = reason};
    if (!store_write(a->store, kill_all, &end, e))
        return false;
    if (n)
        *n = end.n;
    return true;
}

/* ---- lists and care -------------------------------------------------------------------------- */

struct listing {
    int64_t person_id, now_s;
    session_fn *fn;
    void *ctx;
};

static bool list(struct store_db *db, void *ctx, struct err *e)
{
    struct listing *l = ctx;
    struct store_stmt *st;
    bool row, ok = true;
    if (!store_query(db,
                     "SELECT lower(hex(substr(token_hash, 1, 8))), person_id, created_at, seen_at,"
                     " ends_at, address, agent FROM session WHERE person_id = ?1 AND ends_at > ?2"
                     " AND seen_at > ?3 ORDER BY created_at",
                     &st, e))
        return false;
    store_bind_int(st, 0, l->person_id);
    store_bind_int(st, 1, l->now_s);
    store_bind_int(st, 2, l->now_s - SESSION_IDLE_S);
    while (ok) {
        if (!store_step(st, &row, e))
            return false;
        if (!row)
            break;
        struct session_row s = {.person_id = store_int(st, 1),
                                .created_at = store_int(st, 2),
                                .seen_at = store_int(st, 3),
                                .ends_at = store_int(st, 4),
                                .address = store_text(st, 5),
                                .agent = store_text(st, 6)};
        snprintf(s.id, sizeof s.id, "%s", store_text(st, 0));
        ok = l->fn(l->ctx, &s, e);
    }
    store_done(st);
    return ok;
}

bool session_list(const struct auth *a, int64_t person_id, int64_t now_s, session_fn *fn, void *ctx,
                  struct err *e)
{
    struct listing l = {person_id, now_s, fn, ctx};
    return store_read(a->store, list, &l, e);
}

static bool purge(struct store_db *db, void *ctx, struct err *e)
{
    int64_t now_s = *(int64_t *)ctx;
    struct store_stmt *st;
    if (!store_query(db, "DELETE FROM session WHERE ends_at <= ?1 OR seen_at <= ?2", &st, e))
        return false;
    store_bind_int(st, 0, now_s);
    store_bind_int(st, 1, now_s - SESSION_IDLE_S);
    return store_run(db, st, NULL, e);
}

bool session_purge(const struct auth *a, int64_t now_s, struct err *e)
{
    return store_write(a->store, purge, &now_s, e);
}
