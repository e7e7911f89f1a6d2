/* API keys: "sk-", 8 characters that name the key, 43 characters of secret (256 bits, base64url).
 *
 * Stored are the name and the SHA-256 of the whole text; the key is shown once. A key acts as its
 * person, limited to its scopes and to what the person's roles allow at that moment, to its models,
 * templates and networks, until it expires or is revoked. Checking one costs microseconds and no
 * SQL; the work and the answer are the same whether the name exists, the secret is wrong or the key
 * is not valid any more. Thread: any but the writer's; key_check and the functions on a grant from
 * any thread.
 */
#ifndef SEEKD_AUTH_KEY_H
#define SEEKD_AUTH_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/principal.h"
#include "auth/roster.h"
#include "auth/token.h"
#include "base/err.h"

struct audit_actor;
struct auth;

enum {
    KEY_CHARS = 3 + ROSTER_ID_CHARS + TOKEN_CHARS,
    KEY_TEXT = KEY_CHARS + 1,
    KEY_NAME_BYTES = 200,
    KEY_USED_S = 60, /* last_used_at is written at most so often */
    KEY_PAGE = 500
};

/* ---- admission ------------------------------------------------------------------------------- */

/* What a checked key may do. Owned by who checked it, until key_grant_release. */
struct key_grant {
    struct principal principal;
    struct roster_key *key; /* shared (ref) */
};

/* `text` is not terminated. `address` is the client's. now_s: wall clock. ERR_NOT_FOUND, always
 * with the same words, unless the key is good. Cost: one SHA-256; now and then one job posted to
 * the store. */
bool key_check(const struct auth *a, const char *text, size_t len, const char *address,
               int64_t now_s, struct key_grant *out, struct err *e) WARN_UNUSED;
void key_grant_release(struct key_grant *g); /* a zeroed one is fine */
/* A grant without a key (a session) allows every name. */
bool key_allows_model(const struct key_grant *g, const char *model);
bool key_allows_template(const struct key_grant *g, const char *name);

/* ---- administration -------------------------------------------------------------------------- */

/* JSON texts: arrays of strings, NULL = everything. In models and templates a name that ends in '*'
 * stands for all that begin so; networks are "10.1.0.0/16", "fd00::/8" or addresses. */
struct key_spec {
    const char *name; /* for people */
    uint32_t scopes;  /* bits of enum principal_scope; not none */
    const char *models, *templates, *networks;
    int64_t expires_at; /* seconds since the epoch, 0 = never */
};

/* Writes the key to `text`: the only time that it can be seen. Errors: ERR_ARG (a field; a scope
 * that no role of the person gives; expires_at has passed), ERR_NOT_FOUND (person, or disabled). */
bool key_create(const struct auth *a, const struct audit_actor *actor, int64_t person_id,
                const struct key_spec *spec, int64_t *id, char text[KEY_TEXT],
                struct err *e) WARN_UNUSED;
/* Everything becomes as `spec` says; the secret stays. ERR_ARG as above, but the expiry that the key has
 * may have passed; ERR_STALE: revision; ERR_CONFLICT: revoked. */
bool key_change(const struct auth *a, const struct audit_actor *actor, int64_t id, int64_t revision,
                const struct key_spec *spec, const char *reason, struct err *e) WARN_UNUSED;
/* For good. Whatever the revision; no error when it is revoked already. Refused everywhere when
 * this returns. */
bool key_revoke(const struct auth *a, const struct audit_actor *actor, int64_t id,
                const char *reason, struct err *e) WARN_UNUSED;

struct key_row {
    int64_t id, person_id;
    const char *public_id, *name;
    uint32_t scopes;
    const char *models, *templates, *networks;                /* JSON or NULL */
    int64_t created_at, expires_at, revoked_at, last_used_at; /* 0 = not, never */
    int64_t revision;
};
/* Strings are borrowed until it returns. */
typedef bool key_fn(void *ctx, const struct key_row *k, struct err *e);
bool key_get(const struct auth *a, int64_t id, key_fn *fn, void *ctx, struct err *e) WARN_UNUSED;

struct key_filter {
    int64_t after_id;
    int64_t person_id, department_id; /* 0 = everybody */
    bool active;                      /* neither revoked nor expired */
    int64_t now_s;
    unsigned limit; /* 1..KEY_PAGE */
};
/* In order of id; *next = the cursor to go on with, 0 at the end. */
bool key_list(const struct auth *a, const struct key_filter *f, key_fn *fn, void *ctx,
              int64_t *next, struct err *e) WARN_UNUSED;

#endif
