/* What the attacks on administration over HTTP share. */
#ifndef SEEKD_TESTS_ADMIN_ATTACK_H
#define SEEKD_TESTS_ADMIN_ATTACK_H

#include "admin_browser.h"
#include "auth/session.h"
#include "http/route.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"messages\":[{\"role\":\"user\",\"content\":\"#reply=fine#\"}]}"
#define PASSWORD "correct horse battery 7 staple"

/* The server under attack. Two templates, `works` and `office`, belong to the departments of these
 * names; the administrator owns them. */
extern struct admin_rig rig;

void attack_setup(void);
/* Checks that the server still answers, and lets an administrator administer. */
void attack_teardown(void);

/* Version 1 of a template whose only message is `text`. */
void attack_save_template(const char *name, int64_t department_id, const char *text);
/* A session without a login. */
void attack_session(enum admin_who who, struct session_secret *out);
/* "Cookie: ...\r\nX-CSRF-Token: ...\r\n" of it, in a static buffer; `csrf` NULL = without the token. */
const char *attack_cookie(const char *token, const char *csrf);

/* Sends it; what comes back must be a refusal (4xx) in the usual form. */
void attack_refused(enum admin_who who, const char *method, const char *path, const char *headers,
                    const char *body);
/* Who gets past the access check of a route. */
enum admin_who attack_entitled(const struct route *r);
/* The path of a route with objects that are there; `odd` (or NULL) stands for the `which`th parameter.
 * Returns how many parameters there are. */
unsigned attack_path(const struct route *r, unsigned which, const char *odd, struct buf *path);

#endif
