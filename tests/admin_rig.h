/* A running server with a database, people of every role with a key each, and requests to it.
 *
 * Departments: Works, Works/Line 3 (below it), Office. All keys have every scope that the person's roles
 * allow. The audit chain is verified at the end.
 */
#ifndef SEEKD_TESTS_ADMIN_RIG_H
#define SEEKD_TESTS_ADMIN_RIG_H

#include <check.h>
#include <jansson.h>
#include <stdint.h>

#include "auth/key.h"
#include "http_client.h"
#include "http_server.h"

enum admin_who {
    BY_ADMIN,    /* Works */
    BY_EDITOR,   /* Works */
    BY_APPROVER, /* Works */
    BY_AUDITOR,  /* Office */
    BY_USER,     /* Works/Line 3 */
    BY_OTHER,    /* ROLE_USER in Office */
    BY_SERVICE,  /* Works */
    BY_PERSONS,
    BY_LOCAL = BY_PERSONS, /* through the local socket */
    BY_NOBODY              /* no credentials */
};

struct admin_rig {
    struct test_server server;
    int64_t works, line3, office;
    struct {
        int64_t id, key_id;
        const char *login;
        uint32_t roles;
        char key[KEY_TEXT];
    } person[BY_PERSONS];
    struct http_reply last; /* of the latest request */
};

void admin_rig_open(struct admin_rig *r);
void admin_rig_close(struct admin_rig *r);

/* One request; `headers` (lines ended by \r\n) and `body` may be NULL. The reply is in r->last. */
void admin_send(struct admin_rig *r, enum admin_who who, const char *method, const char *path,
                const char *headers, const char *body);
/* The same, with the JSON that came back (owned; NULL when the body is empty or no JSON); fails the test
 * unless the status is `status`. */
json_t *admin_call(struct admin_rig *r, enum admin_who who, const char *method, const char *path,
                   const char *headers, const char *body, int status);
/* The same without the JSON. */
void admin_expect(struct admin_rig *r, enum admin_who who, const char *method, const char *path,
                  const char *headers, const char *body, int status);
/* An error with this code string. */
void admin_refused(struct admin_rig *r, enum admin_who who, const char *method, const char *path,
                   const char *headers, const char *body, int status, const char *code);

/* 'If-Match: "REVISION"\r\n', in a static buffer. */
const char *admin_if_match(int64_t revision);
/* The revision in the ETag of the latest reply. */
int64_t admin_etag(const struct admin_rig *r);
/* "data/0/name": borrowed, NULL when there is no such place. */
const json_t *admin_at(const json_t *v, const char *path);
const char *admin_text(const json_t *v, const char *path);  /* "" when it is no string */
int64_t admin_number(const json_t *v, const char *path);    /* -1 when it is no whole number */

/* Runs one suite without forking; the exit status of the program. */
int admin_main(Suite *s);

#endif
