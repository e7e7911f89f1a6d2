/* Owns: single requests through the local socket. Refuses to know: what they ask for. */
#include <config.h>

#include "ctl/local.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"

bool local_ask(const struct client_where *w, const struct client_call *call, json_t **out,
               struct err *e)
{
    struct client *c = NULL;
    struct client_reply reply = {0};
    char *socket = client_socket(w);
    const struct client_where local = {.socket = socket};
    bool ok = client_open(&local, &c, e) && client_send(c, call, &reply, e);
    if (out)
        *out = ok ? json_incref(reply.json) : NULL;
    if (c)
        client_reply_release(&reply);
    client_close(&c);
    free(socket);
    return ok;
}

char *local_path(const char *path)
{
    char here[PATH_MAX];
    struct buf out;
    buf_init(&out, 2 * PATH_MAX);
    if (*path != '/' && getcwd(here, sizeof here))
        buf_printf(&out, "%s/", here);
    buf_puts(&out, path);
    return buf_take(&out);
}
