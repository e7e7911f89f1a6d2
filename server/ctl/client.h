/* Talking to a running seekd through its local socket, as the machine's administrator.
 * Thread: main. Owner: the command.
 */
#ifndef SEEKD_CTL_CLIENT_H
#define SEEKD_CTL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

struct client;

/* Where the server listens: `socket`, else $SEEKD_SOCKET, else seekd.sock in `data_dir`, else the
 * system's. Either may be NULL. Owned by the caller. */
char *client_socket(const char *socket, const char *data_dir);

/* ERR_NOT_FOUND, ERR_DENIED, ERR_IO: with what to do. */
bool client_open(const char *socket, struct client **out, struct err *e) WARN_UNUSED;
void client_close(struct client **c); /* accepts NULL */

struct client_call {
    const char *method, *path; /* path with its query, from "/admin/v1/" on */
    const json_t *body;        /* NULL = none */
    int64_t revision;          /* If-Match; 0 = none */
    const char *reason;        /* NULL or "" = none */
    FILE *to; /* the answer goes there as it comes, when it is no error; NULL = memory */
};

struct client_reply {
    int status;
    json_t *json;     /* owned; NULL when the answer is none, or went to a file */
    struct buf text;  /* the answer when it is no JSON */
    int64_t revision; /* ETag; 0 = none */
};

/* False: nobody answers, or the answer is an error; *e then says what the server said and `out` holds
 * the rest of the answer. Release `out` in any case. */
bool client_send(struct client *c, const struct client_call *call, struct client_reply *out,
                 struct err *e) WARN_UNUSED;
void client_reply_release(struct client_reply *r);

/* Appends text as one segment of a path or value of a query. */
void client_escape(struct buf *out, const char *text);

#endif
