/* Suspending and resuming one microhttpd connection without losing a wake-up.
 *
 * microhttpd leaves undefined what happens when a connection that is not suspended is resumed, or a
 * suspended one suspended again. The gate therefore keeps three states under a mutex:
 *   RUNNING       microhttpd may call us; nobody has asked for a wake since the last look
 *   SUSPENDED     microhttpd leaves the connection alone until a wake
 *   WAKE_PENDING  a wake came while running; the next wait returns at once
 * Transitions: gate_wait (RUNNING -> SUSPENDED, WAKE_PENDING -> RUNNING), gate_wake (SUSPENDED ->
 * RUNNING with a resume, RUNNING -> WAKE_PENDING).
 */
#ifndef SEEKD_HTTP_GATE_H
#define SEEKD_HTTP_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct MHD_Connection;

enum gate_state { GATE_RUNNING, GATE_SUSPENDED, GATE_WAKE_PENDING };

struct gate {
    pthread_mutex_t mu; /* guards the rest */
    enum gate_state state;
    bool open; /* no more suspending: waits return at once */
    bool held; /* someone else works on the request: wakes are dropped until gate_let_go */
    struct MHD_Connection *mhd;
};

void gate_init(struct gate *g, struct MHD_Connection *mhd);
void gate_release(struct gate *g);

/* The connection's own thread only. True: suspended now, return to microhttpd. False: something
 * happened meanwhile, look again. */
bool gate_wait(struct gate *g);
/* The same, and stays suspended until gate_let_go whatever else happens. */
void gate_hold(struct gate *g);
/* Ends gate_hold with a wake. Any thread, once. */
void gate_let_go(struct gate *g);
/* Any thread, also from inside engine notifications; takes no other lock of ours. */
void gate_wake(struct gate *g);
/* Wakes (unless held) and lets nobody sleep any more. */
void gate_open(struct gate *g);

#endif
