/* Commands that are for the server's own machine: one request each, through the local socket.
 * Thread: main.
 */
#ifndef SEEKD_CTL_LOCAL_H
#define SEEKD_CTL_LOCAL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "ctl/client.h"

/* Rows for --socket and --data-dir of a struct client_where. */
#define LOCAL_OPTIONS(where)                                                                       \
    {.name = "socket", .kind = ARGS_STRING, .value = &(where)->socket, .meta = "FILE",             \
     .help_en = "the server's socket; default $SEEKD_SOCKET, else /run/seekd/seekd.sock",          \
     .help_zh = "服务器套接字；默认 $SEEKD_SOCKET，否则 /run/seekd/seekd.sock"},                   \
    {.name = "data-dir", .kind = ARGS_STRING, .value = &(where)->data_dir, .meta = "DIR",          \
     .help_en = "the server's data_dir; its socket is seekd.sock there",                           \
     .help_zh = "服务器的 data_dir，套接字为其中的 seekd.sock"}

/* One request to the socket that `w` leads to, whatever key the environment holds. *out (may be NULL) is
 * owned; NULL when the answer is empty. */
bool local_ask(const struct client_where *w, const struct client_call *call, json_t **out,
               struct err *e) WARN_UNUSED;

/* The server works in a folder of its own: it gets whole paths. Owned. */
char *local_path(const char *path);

#endif
