/* Login through an OpenID Connect issuer: authorization code flow with PKCE (S256), state and
 * nonce.
 *
 *   oidc_begin   -> a URL to send the browser to, and a ticket for a cookie
 *   the browser comes back to redirect_uri with ?code=...&state=...
 *   oidc_finish  -> a verified identity, from cookie, state and code
 *
 * A begun login needs no memory here. The ticket holds the time, 24 random bytes and the page to
 * return to, sealed with HMAC-SHA-256 under a key that this process made at start; state, nonce and
 * PKCE verifier are other HMACs of the same ticket. So the ticket itself is no secret, nobody else
 * can compute what belongs to it, and a state that arrives without the cookie of the browser that
 * began is refused (login CSRF). A ticket is good until `login_s` has passed; a code works once, at
 * the issuer, and only with the ticket's verifier. After a restart logins under way must begin
 * again. Set the cookie HttpOnly, Secure, SameSite=Lax, and clear it after oidc_finish.
 *
 * The discovery document and the key set are fetched when first needed and kept for `cache_s`. A
 * token whose key is not in the set makes us fetch them once again, at most every OIDC_REFETCH_S
 * seconds. When a fetch fails, others are told the same for OIDC_RETRY_S. One thread fetches, the
 * others wait for it.
 *
 * Only the ID token is read: `groups` must be in it. The access token is thrown away.
 * Thread: any; begin and finish block for up to two (three with new keys) times `timeout_ms`.
 */
#ifndef SEEKD_AUTH_OIDC_H
#define SEEKD_AUTH_OIDC_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/identity.h"
#include "base/err.h"

enum {
    OIDC_REFETCH_S = 10,
    OIDC_RETRY_S = 5,
    OIDC_NEXT_TEXT = 513,   /* a page to return to, terminator included */
    OIDC_TICKET_TEXT = 800, /* letters, digits, '-', '_' and '.' */
    OIDC_ANSWER_BYTES = 65536,
    OIDC_CODE_BYTES = 2048
};

/* Strings are copied. */
struct oidc_options {
    const char *issuer; /* as the issuer spells it; https, or http to this machine */
    const char *client_id;
    const char *client_secret; /* NULL or "" = a public client */
    const char *redirect_uri;  /* ours; https, or http to this machine */
    const char *scopes;        /* with "openid" */
    /* claims of the ID token; groups: a list of texts, or one */
    const char *login_claim, *name_claim, *email_claim, *groups_claim;
    const char *ca_file; /* PEM; NULL or "" = the system's */
    unsigned timeout_ms; /* of one exchange with the issuer, 100..60000 */
    unsigned login_s;    /* from begin to finish, 1..3600 */
    unsigned cache_s;    /* 10..86400 */
};
#define OIDC_OPTIONS_DEFAULT                                                                       \
    ((struct oidc_options){.scopes = "openid profile email",                                       \
                           .login_claim = "preferred_username",                                    \
                           .name_claim = "name",                                                   \
                           .email_claim = "email",                                                 \
                           .groups_claim = "groups",                                               \
                           .timeout_ms = 5000,                                                     \
                           .login_s = 600,                                                         \
                           .cache_s = 3600})

struct oidc;

/* Checks the options; reaches nobody. ERR_ARG names what is wrong. */
bool oidc_create(const struct oidc_options *opt, struct oidc **out, struct err *e) WARN_UNUSED;
/* No call may be under way. */
void oidc_destroy(struct oidc **o);

struct oidc_start {
    char *url; /* owned: free() */
    char ticket[OIDC_TICKET_TEXT];
};
/* `next`: path of our own to return to, "/" or longer, not "//"; ERR_ARG otherwise. Other errors:
 * the issuer cannot be reached (ERR_IO) or its discovery document is not acceptable (ERR_FORMAT,
 * ERR_UNSUPPORTED, ERR_LIMIT). */
bool oidc_begin(struct oidc *o, const char *next, struct oidc_start *out,
                struct err *e) WARN_UNUSED;

/* What the browser brought back. */
struct oidc_return {
    const char *ticket; /* the cookie */
    const char *state, *code;
    const char *iss; /* RFC 9207; NULL = not there */
};
/* On success `id` is to be released with identity_release and `next` is the page given to
 * oidc_begin. On failure `id` is empty. Errors: ERR_ARG (not begun by this browser, too late, code
 * refused, a claim does not fit: let the person begin again), ERR_FORMAT (forged or malformed
 * answer, a person without login), ERR_NOT_FOUND (key not listed), ERR_UNSUPPORTED, ERR_LIMIT,
 * ERR_IO (issuer). */
bool oidc_finish(struct oidc *o, const struct oidc_return *back, struct identity *id,
                 char next[OIDC_NEXT_TEXT], struct err *e) WARN_UNUSED;

#endif
