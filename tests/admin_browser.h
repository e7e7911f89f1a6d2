/* A browser as administration sees it: the cookie of a session and its CSRF token. */
#ifndef SEEKD_TESTS_ADMIN_BROWSER_H
#define SEEKD_TESTS_ADMIN_BROWSER_H

#include "admin_rig.h"
#include "auth/token.h"

struct browser {
    struct admin_rig *rig; /* borrowed */
    char token[TOKEN_TEXT], csrf[TOKEN_TEXT];
};

/* Tries to log in; the reply is in rig->last, its status is returned. */
int browser_try(struct admin_rig *r, const char *login, const char *password);
/* Logs in, which must succeed. */
void browser_login(struct browser *b, struct admin_rig *r, const char *login,
                   const char *password);
/* Gives the person this password (by a one-time one) and logs in. */
void browser_enter(struct browser *b, struct admin_rig *r, enum admin_who who,
                   const char *password);
/* As admin_call and its relatives, with cookie and CSRF token. */
json_t *browser_call(const struct browser *b, const char *method, const char *path,
                     const char *headers, const char *body, int status);
void browser_expect(const struct browser *b, const char *method, const char *path,
                    const char *headers, const char *body, int status);
void browser_refused(const struct browser *b, const char *method, const char *path,
                     const char *headers, const char *body, int status, const char *code);

/* "/admin/v1/" with a formatted rest, in one of four static buffers. */
const char *admin_path(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* JSON text of a packed value; one of four static buffers. */
const char *admin_body(const char *fmt, ...);
/* A fresh one-time password of that person. */
void admin_reset_password(struct admin_rig *r, int64_t person_id,
                          char out[PASSWORD_ONE_TIME_TEXT]);

#endif
