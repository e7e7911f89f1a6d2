/* Talking to a running seekd: through its local socket as the machine's administrator, or at its URL as
 * the person whose API key is given. Thread: main. Owner: the command.
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

/* Where to and as whom; every member may be NULL. The key never stands on a command line: it is the
 * first line of `key_file`, else $SEEKCTL_KEY.
 *
 * With a key or `server` the request goes to a URL (`server`, else $SEEKCTL_SERVER, else
 * http://127.0.0.1:8080), and http is possible to this machine only. Otherwise, and always with `socket`
 * or `data_dir`, it goes to the local socket: `socket`, else seekd.sock in `data_dir`, else
 * $SEEKD_SOCKET, else the system's. */
struct client_where {
    const char *socket, *data_dir;
    const char *server, *ca_file, *key_file; /* ca_file: PEM; NULL = the system's */
    bool session; /* to the URL without any key: cookies and the CSRF token of a login are kept */
};

/* The path of the local socket that `w` leads to. Owned by the caller. */
char *client_socket(const struct client_where *w);

/* Nothing is sent yet; a local socket must answer. ERR_ARG (contradictions, key, URL), ERR_NOT_FOUND,
 * ERR_DENIED, ERR_IO: with what to do. */
bool client_open(const struct client_where *w, struct client **out, struct err *e) WARN_UNUSED;
/* Whether requests are those of the machine's administrator. */
bool client_is_local(const struct client *c);
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
