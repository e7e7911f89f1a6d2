/* Logging in with a login name and a password.
 *
 * What is asked takes the same road whether the person exists or not: counted (lockout.h), hashed
 * once, compared, answered in the same words. Disabled persons, services and those of an identity
 * provider are answered like wrong passwords. Thread: any but the writer's; waits for a commit and
 * for the hashing worker.
 */
#ifndef SEEKD_AUTH_LOGIN_H
#define SEEKD_AUTH_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/session.h"
#include "base/err.h"

struct auth;

enum login_outcome {
    LOGIN_OK,
    LOGIN_WRONG, /* login or password */
    LOGIN_LATER  /* too many wrong ones: come again in retry_s */
};

/* Strings are borrowed; none is NULL. */
struct login_request {
    const char *login, *password;
    const char *address; /* not empty */
    const char *agent, *request_id;
    int64_t now_s; /* of session_clock_s() */
};

struct login_result {
    enum login_outcome outcome;
    int64_t retry_s;
    /* when OK: */
    int64_t person_id;
    bool must_change_password;
    struct session_secret secret;
};

/* Errors: ERR_BUSY (too many log in at once: 429), those of the store; nothing was counted then. */
bool login_with_password(const struct auth *a, const struct login_request *r,
                         struct login_result *out, struct err *e) WARN_UNUSED;
/* Whether `password` is that of a logged-in person (before something dangerous, or a change of
 * password): counted and slowed down like a login. `secret` is not written. */
bool login_confirm(const struct auth *a, const struct login_request *r, struct login_result *out,
                   struct err *e) WARN_UNUSED;

/* A session for a person whom an identity provider has just vouched for; forgets the failures of
 * this login and address. `password` is not looked at. A directory's password is checked between
 * lockout_begin() and this. Errors as session_open. */
bool login_vouched(const struct auth *a, const struct login_request *r, int64_t person_id,
                   struct login_result *out, struct err *e) WARN_UNUSED;

#endif
