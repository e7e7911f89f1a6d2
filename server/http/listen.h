/* Listening addresses: "127.0.0.1:8080", "[::1]:8080", "localhost:8080", "0.0.0.0:8080". Names other
 * than localhost are not looked up: the server makes no outbound connection.
 */
#ifndef SEEKD_HTTP_LISTEN_H
#define SEEKD_HTTP_LISTEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/err.h"

struct listen_address {
    struct sockaddr_storage addr;
    socklen_t len;
    bool loopback; /* reachable from this machine only */
};

enum { LISTEN_TEXT = 64 };

bool listen_parse(const char *text, struct listen_address *out, struct err *e) WARN_UNUSED;
/* Binds and listens; port 0 takes a free one, which a->addr then holds. */
bool listen_open(struct listen_address *a, int *fd, struct err *e) WARN_UNUSED;
/* Listens on a UNIX socket that only its owner may use (mode 0600); replaces one that nobody answers. */
bool listen_local(const char *path, int *fd, struct err *e) WARN_UNUSED;
/* "127.0.0.1:8080" */
void listen_format(const struct listen_address *a, char text[LISTEN_TEXT]);
/* True for 0.0.0.0 and [::], which stand for every address of the machine. */
bool listen_is_any(const struct listen_address *a);
/* As listen_format, for a client on this machine: loopback in place of one that stands for all. */
void listen_format_client(const struct listen_address *a, char text[LISTEN_TEXT]);

#endif
