/* Passwords: what is acceptable, how they are hashed, setting them.
 *
 * Stored is 32 bytes of scrypt over the password with a 16-byte random salt, and the parameters
 * beside it (OWASP password storage: N=2^15, r=8, p=3; about 32 MiB and some tenths of a second).
 * Hashing happens on one bounded worker (hasher.h), never on the caller's thread. Policies: `asvs`
 * follows ASVS 5 (6.2: length and a list of common passwords, no composition rules, no rotation);
 * `dengbao3` follows GB/T 22239 level 3, which wants complexity and periodic change.
 */
#ifndef SEEKD_AUTH_PASSWORD_H
#define SEEKD_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct audit_actor;
struct auth;
struct store_db;

enum password_profile {
    PASSWORD_ASVS,    /* 8 to 128 characters, not a common password, not the login */
    PASSWORD_DENGBAO3 /* also: 3 of 4 classes of characters, 90 days, none of the last 5 */
};

enum {
    PASSWORD_MIN_CHARS = 8,
    PASSWORD_MAX_CHARS = 128,
    PASSWORD_MAX_BYTES = 512,
    PASSWORD_SALT_BYTES = 16,
    PASSWORD_HASH_BYTES = 32,
    PASSWORD_DAYS = 90,   /* dengbao3 */
    PASSWORD_HISTORY = 5, /* dengbao3 */
    PASSWORD_ONE_TIME_DAYS = 7,
    PASSWORD_ONE_TIME_TEXT = 25 /* "xxxx-xxxx-xxxx-xxxx-xxxx" */
};

/* Parameters of scrypt: N a power of two. */
struct password_cost {
    uint32_t n, r, p;
};
#define PASSWORD_COST_DEFAULT ((struct password_cost){.n = 1u << 15, .r = 8, .p = 3})

/* One stored password. */
struct password_row {
    int64_t id; /* 0 = there is none */
    struct password_cost cost;
    uint8_t salt[PASSWORD_SALT_BYTES], hash[PASSWORD_HASH_BYTES];
    bool one_time;
    int64_t set_at;
};

/* "asvs", "dengbao3". */
bool password_profile_parse(const char *name, enum password_profile *out) WARN_UNUSED;
/* N in 2^10..2^20, r in 1..32, p in 1..16, at most 256 MiB. */
bool password_cost_valid(const struct password_cost *c);

/* Whether `text` may become the password of `login`. ERR_ARG says which rule it breaks. No state.
 */
bool password_acceptable(enum password_profile profile, const char *text, const char *login,
                         struct err *e) WARN_UNUSED;
/* In the list of common passwords (ASCII case ignored, and with digits or marks behind a listed
 * word of at least four letters). */
bool password_is_common(const char *text);

/* scrypt on this thread: called by the hasher only. ERR_INTERNAL when OpenSSL refuses. */
bool password_derive(const struct password_cost *c, const uint8_t salt[PASSWORD_SALT_BYTES],
                     const char *text, size_t len, uint8_t hash[PASSWORD_HASH_BYTES],
                     struct err *e) WARN_UNUSED;

/* A fresh salt and the hash of `text` with the current cost. Waits for the worker; ERR_BUSY. */
bool password_hash(const struct auth *a, const char *text, struct password_row *out,
                   struct err *e) WARN_UNUSED;
/* *same = `text` is that password. Waits for the worker; ERR_BUSY. Cost: one hash. */
bool password_matches(const struct auth *a, const struct password_row *row, const char *text,
                      bool *same, struct err *e) WARN_UNUSED;

/* The newest password of a person (id 0 when none). Inside a callback. */
bool password_newest(struct store_db *db, int64_t person_id, struct password_row *out,
                     struct err *e) WARN_UNUSED;
/* Adds it as the newest; drops those that no rule looks at any more. Inside a write callback. */
bool password_put(struct store_db *db, int64_t person_id, const struct password_row *row,
                  struct err *e) WARN_UNUSED;

/* Writes the hash of `row` over that of row->id, whose password is the same (a new cost). Inside a
 * write callback. */
bool password_renew(struct store_db *db, const struct password_row *row, struct err *e) WARN_UNUSED;

/* A new one must be chosen: it is a one-time password, or the policy says it is too old. */
bool password_must_change(enum password_profile profile, bool one_time, int64_t set_at,
                          int64_t now_s);
/* A one-time password that nobody used in time lets nobody in. */
bool password_lapsed(bool one_time, int64_t set_at, int64_t now_s);

/* A person changes their own password. Every session of theirs ends but `keep_token` (may be NULL).
 * Errors: ERR_NOT_FOUND (no such person, disabled, not local, `current` is wrong), ERR_ARG (not
 * acceptable), ERR_BUSY. Cost: up to seven hashes. The caller counts attempts (lockout.h). */
bool password_change(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                     const char *current, const char *text, const char *keep_token,
                     struct err *e) WARN_UNUSED;
/* An administrator gives somebody a one-time password, written to `text`; their sessions end and
 * their lockouts are lifted. Errors: ERR_NOT_FOUND, ERR_ARG (not local, or a service), ERR_BUSY. */
bool password_reset(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                    const char *reason, char text[PASSWORD_ONE_TIME_TEXT],
                    struct err *e) WARN_UNUSED;
/* First start: where there is nobody yet, creates the department "Main" and in it `admin` with
 * ROLE_ADMIN and a one-time password. *created = it did; `text` is written then. */
bool password_first_admin(const struct auth *a, char text[PASSWORD_ONE_TIME_TEXT], bool *created,
                          struct err *e) WARN_UNUSED;

#endif
