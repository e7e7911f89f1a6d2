/* Sessions of the web page: a random token in a cookie, of which only the SHA-256 is stored.
 *
 * A session ends after 30 minutes without use, 8 hours after its login, when its person is
 * disabled, loses a role or gets a new password, or when the person logs in a sixth time (the
 * oldest ends). The CSRF token is derived from the session's token, so the page can ask for it
 * again; a request that changes something must carry it. Times: `now_s` is that of
 * session_clock_s(), which follows no changes of the machine's clock while the process runs; a
 * session that seems to be from the future is ended. Thread: any but the writer's; those with a
 * struct store_db only inside callbacks. Cost: one read of the database per request; seen_at is
 * written at most once a minute.
 */
#ifndef SEEKD_AUTH_SESSION_H
#define SEEKD_AUTH_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/principal.h"
#include "auth/token.h"
#include "base/err.h"

struct audit_actor;
struct auth;
struct store_db;

enum {
    SESSION_IDLE_S = 30 * 60,
    SESSION_LIFE_S = 8 * 3600,
    SESSION_MAX = 5, /* per person */
    SESSION_SEEN_S = 60,
    SESSION_AGENT_BYTES = 200,
    SESSION_ID_TEXT = 17 /* 16 hexadecimal digits of the token's hash: names it, opens nothing */
};

/* What the client gets; shown once. */
struct session_secret {
    char token[TOKEN_TEXT]; /* for the cookie */
    char csrf[TOKEN_TEXT];  /* for the page */
};

/* Seconds since the epoch as the process's start had it, plus what has passed since. */
int64_t session_clock_s(void);

/* Opens one for a person who has proved who they are. Ends the oldest above SESSION_MAX, notes the
 * login in `person` and in the audit log. ERR_NOT_FOUND when disabled, ERR_ARG for a service. */
bool session_open(const struct auth *a, int64_t person_id, const char *address, const char *agent,
                  const char *request_id, int64_t now_s, struct session_secret *out,
                  struct err *e) WARN_UNUSED;
/* The same inside a write callback, with a secret made before (session_make_secret). `agent` is
 * cut. */
bool session_make_secret(struct session_secret *out, struct err *e) WARN_UNUSED;
bool session_put(struct store_db *db, const struct session_secret *secret, int64_t person_id,
                 const char *address, const char *agent, const char *request_id, int64_t now_s,
                 struct err *e) WARN_UNUSED;

/* Who it is. ERR_NOT_FOUND when there is no such session or it has ended (it is deleted then). */
bool session_check(const struct auth *a, const char *token, int64_t now_s, struct principal *out,
                   struct err *e) WARN_UNUSED;
/* Whether `csrf` belongs to `token`; constant time. No I/O. */
bool session_csrf_holds(const char *token, const char *csrf);
/* The CSRF token of a session, for a page that was loaded again. ERR_ARG: not a token. */
bool session_csrf(const char *token, char csrf[TOKEN_TEXT], struct err *e) WARN_UNUSED;

/* Logout. No error when it has ended already. */
bool session_close(const struct auth *a, const struct audit_actor *actor, const char *token,
                   struct err *e) WARN_UNUSED;
/* Ends one session of a person by its id: ERR_NOT_FOUND when it is not theirs. */
bool session_kill(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                  const char *id, const char *reason, struct err *e) WARN_UNUSED;
/* Ends all of a person's. *n (may be NULL) = how many. */
bool session_kill_all(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                      const char *reason, int64_t *n, struct err *e) WARN_UNUSED;
/* Inside a write callback; all but that of `keep_token` (may be NULL). Adds no audit row. */
bool session_end_all(struct store_db *db, int64_t person_id, const char *keep_token, int64_t *n,
                     struct err *e) WARN_UNUSED;

struct session_row {
    char id[SESSION_ID_TEXT];
    int64_t person_id, created_at, seen_at, ends_at;
    const char *address, *agent; /* borrowed until the callback returns */
};
typedef bool session_fn(void *ctx, const struct session_row *s, struct err *e);
/* A person's sessions that have not ended, oldest first: at most SESSION_MAX. */
bool session_list(const struct auth *a, int64_t person_id, int64_t now_s, session_fn *fn, void *ctx,
                  struct err *e) WARN_UNUSED;
/* Deletes what has ended; called now and then. */
bool session_purge(const struct auth *a, int64_t now_s, struct err *e) WARN_UNUSED;

#endif
