/* Looks after all connections from one thread: finds clients that hung up (microhttpd does not see
 * them while a connection is suspended), closes those that send too slowly, asks for pings.
 *
 * Lock: watch.mu guards the list of connections and their `busy`. It is held while exchanges are
 * told about a hang-up, which may take a gate's mutex and an engine lock; nobody who holds one of
 * those calls into here. Sockets in the list are open for as long as they are listed.
 */
#ifndef SEEKD_HTTP_WATCH_H
#define SEEKD_HTTP_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct exchange;
struct watch;

/* LATE: the watch thread has taken the connection to close it; it stays so. */
enum conn_waits { CONN_FIRST_HEAD, CONN_NEXT_HEAD, CONN_BODY, CONN_NOTHING, CONN_LATE };

enum conn_port { PORT_MAIN, PORT_HEALTH, PORT_ADMIN, PORT_LOCAL, PORT_COUNT };

/* One client connection. Owned by the watch; borrowed by its requests. */
struct conn {
    struct conn *prev, *next;
    int fd;
    struct exchange *busy; /* the request being answered; guarded by watch.mu */
    atomic_uint_least64_t deadline_us; /* closed when this passes; 0 = never */
    atomic_int waits;      /* enum conn_waits */
    enum conn_port port;   /* came in by it; fixed */
    bool linger;           /* connection's own thread: unread input may be left when it closes */
};

struct watch_calls {
    /* All called with watch.mu held, from the watch thread. */
    void (*hangup)(struct exchange *x);
    void (*tick)(struct exchange *x, uint64_t now_us);
};

bool watch_open(const struct watch_calls *calls, struct watch **out, struct err *e) WARN_UNUSED;
/* All connections must have been removed. */
void watch_close(struct watch **w);

struct conn *watch_add(struct watch *w, int fd);
/* Before the socket is closed. Frees the conn. With `linger`, what the client still sends is read
 * and dropped for a while on a duplicate of the socket, so that it can read our answer. */
void watch_remove(struct watch *w, struct conn *c);

/* Hang-ups are reported between begin and end, never after end has returned. */
void watch_begin(struct watch *w, struct conn *c, struct exchange *x);
void watch_end(struct watch *w, struct conn *c);

/* Calls fn for every request between begin and end, with the lock held. */
void watch_each(struct watch *w, void (*fn)(struct exchange *x));

/* Sets what the connection is waiting for and for how long; ms 0 = no limit. Connection's thread.
 * False: too late, the watch has answered and closed it; nothing may be sent any more. */
bool conn_expect(struct conn *c, enum conn_waits waits, unsigned ms);

#endif
