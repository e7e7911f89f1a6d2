/* Owns: the text form of listening addresses and the listening socket. */
#include <config.h>

#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lang.h"

static bool parse_port(const char *text, in_port_t *out)
{
    size_t len = strlen(text);
    if (!len || len > 5 || text[strspn(text, "0123456789")])
        return false;
    long port = strtol(text, NULL, 10);
    if (port > 65535)
        return false;
    *out = htons((uint16_t)port);
    return true;
}

static bool parse_host(const char *host, in_port_t port, struct listen_address *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    if (!strcmp(host, "localhost"))
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&out->addr, &v4, sizeof v4);
        out->len = sizeof v4;
        out->loopback = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&out->addr, &v6, sizeof v6);
        out->len = sizeof v6;
        out->loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
        return true;
    }
    return false;
}

bool listen_parse(const char *text, struct listen_address *out, struct err *e)
{
    char host[LISTEN_TEXT];
    const char *colon = strrchr(text, ':');
    *out = (struct listen_address){0};
    if (!colon || colon - text >= (long)sizeof host)
        FAIL(e, ERR_ARG, lang_pick("\"%.80s\" is not an address and port such as 127.0.0.1:8080",
                                   "\"%.80s\" 不是 127.0.0.1:8080 这样的地址和端口"), text);
    size_t len = (size_t)(colon - text);
    bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? len - 2 : len), text + brackets);
    in_port_t port;
    if (!parse_port(colon + 1, &port))
        FAIL(e, ERR_ARG, lang_pick("\"%.80s\": the port must be a number from 0 to 65535",
                                   "\"%.80s\"：端口必须是 0 到 65535 之间的数"), text);
    if (!!strchr(host, ':') != brackets || !parse_host(host, port, out))
        FAIL(e, ERR_ARG,
             lang_pick("\"%.80s\": the address must be numeric, such as 127.0.0.1, 0.0.0.0 or [::1]",
                       "\"%.80s\"：地址必须为数字形式，如 127.0.0.1、0.0.0.0 或 [::1]"), text);
    return true;
}

bool listen_open(struct listen_address *a, int *out, struct err *e)
{
    char text[LISTEN_TEXT];
    listen_format(a, text);
    int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        FAIL_OS(e, "cannot open a socket");
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    socklen_t len = sizeof a->addr;
    if (bind(fd, (struct sockaddr *)&a->addr, a->len) || listen(fd, SOMAXCONN) ||
        getsockname(fd, (struct sockaddr *)&a->addr, &len)) {
        err_set_os(e, __FILE__, __LINE__, lang_pick("cannot listen on %s", "无法监听 %s"), text);
        close(fd);
        return false;
    }
    *out = fd;
    return true;
}

/* A socket file that a process has left behind is in the way of the next one. */
static bool remove_stale(const struct sockaddr_un *a, struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        FAIL_OS(e, "cannot open a socket");
    int rc = connect(fd, (const struct sockaddr *)a, sizeof *a);
    close(fd);
    if (!rc)
        FAIL(e, ERR_BUSY, lang_pick("another server answers on %s", "已有另一个服务器在 %s 上应答"),
             a->sun_path);
    struct stat st;
    if (!stat(a->sun_path, &st) && !S_ISSOCK(st.st_mode))
        FAIL(e, ERR_ARG, lang_pick("%s is not a socket: choose another local_socket",
                                   "%s 不是套接字：请另选 local_socket"), a->sun_path);
    unlink(a->sun_path);
    return true;
}

bool listen_local(const char *path, int *out, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        FAIL(e, ERR_ARG,
             lang_pick("the path of the local socket is too long: choose a local_socket of at most "
                       "%zu bytes", "本地套接字的路径太长：请选用最多 %zu 字节的 local_socket"),
             sizeof a.sun_path - 1);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (!remove_stale(&a, e))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        FAIL_OS(e, "cannot open a socket");
    /* fchmod before bind sets the mode that the file is born with: nobody else can slip in. */
    if (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&a, sizeof a) || chmod(path, 0600) ||
        listen(fd, SOMAXCONN)) {
        err_set_os(e, __FILE__, __LINE__, lang_pick("cannot listen on %s", "无法监听 %s"), path);
        close(fd);
        return false;
    }
    *out = fd;
    return true;
}

void listen_format(const struct listen_address *a, char text[LISTEN_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->addr.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &a->addr, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(text, LISTEN_TEXT, "%s:%u", host, ntohs(v4.sin_port));
    } else {
        struct sockaddr_in6 v6;
        memcpy(&v6, &a->addr, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(text, LISTEN_TEXT, "[%s]:%u", host, ntohs(v6.sin6_port));
    }
}

bool listen_is_any(const struct listen_address *a)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &a->addr, sizeof v4);
    memcpy(&v6, &a->addr, sizeof v6);
    return a->addr.ss_family == AF_INET ? v4.sin_addr.s_addr == htonl(INADDR_ANY)
                                        : IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
}

void listen_format_client(const struct listen_address *a, char text[LISTEN_TEXT])
{
    struct listen_address local = *a;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &a->addr, sizeof v4);
    memcpy(&v6, &a->addr, sizeof v6);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    if (listen_is_any(a) && a->addr.ss_family == AF_INET)
        memcpy(&local.addr, &v4, sizeof v4);
    else if (listen_is_any(a))
        memcpy(&local.addr, &v6, sizeof v6);
    listen_format(&local, text);
}
