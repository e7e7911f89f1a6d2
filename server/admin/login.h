/* What the ways to log in share: somebody from outside becomes a person of ours, a session becomes a
 * cookie and a description of who it belongs to.
 *
 * Cookie: seekd_session, HttpOnly, SameSite=Strict, for the whole site; __Host-seekd_session and Secure
 * when service says so.
 * Thread: workers.
 */
#ifndef SEEKD_ADMIN_LOGIN_H
#define SEEKD_ADMIN_LOGIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "base/err.h"

struct identity;
struct login_result;
struct principal;

/* Who is asking; with the CSRF token of `session` (may be NULL) when they came by it. */
json_t *admin_principal_json(const struct principal *p, const char *session);

/* The session's cookie; `token` NULL takes it away. */
void admin_session_cookie(const struct api_call *call, struct api_answer *answer,
                          const char *token);

/* The person whom a directory or issuer vouches for, created or brought up to date, in the department
 * and with the roles of their groups. Errors: ERR_DENIED (no group gives access), ERR_NOT_FOUND
 * (disabled here), ERR_CONFLICT (the login is somebody else's), those of the store. */
bool admin_identity_person(const struct api_call *call, const struct identity *id,
                           int64_t *person_id, struct err *e) WARN_UNUSED;

/* Around every question to a directory or issuer, so that one that hangs never holds all threads for
 * logins: false (API_OVERLOADED) when enough wait already, else admin_outside_end follows. */
bool admin_outside_begin(const struct api_call *call, struct api_error *e) WARN_UNUSED;
void admin_outside_end(const struct api_call *call);

/* A person's sessions as a JSON array (owned), oldest first; the caller's own has "current". */
bool admin_sessions_json(const struct api_call *call, int64_t person_id, json_t **out,
                         struct err *e) WARN_UNUSED;

#endif
