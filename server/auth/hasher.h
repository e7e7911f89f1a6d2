/* The one thread that computes password hashes. One at a time and few waiting: a flood of logins
 * takes neither the machine's memory (32 MiB each) nor its cores; the thread is nicer than others.
 * Thread: any. Internal to auth/.
 */
#ifndef SEEKD_AUTH_HASHER_H
#define SEEKD_AUTH_HASHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/password.h"
#include "base/err.h"

enum { HASHER_QUEUE = 16 };

struct hasher;

bool hasher_create(struct hasher **out, struct err *e) WARN_UNUSED;
/* Who waits gets ERR_CANCELLED, and has left when this returns. Accepts NULL. */
void hasher_destroy(struct hasher **h);

/* Waits for the result. ERR_BUSY when HASHER_QUEUE others wait already. Inputs are copied; the copy
 * of the password is wiped. `len` <= PASSWORD_MAX_BYTES, else ERR_LIMIT. */
bool hasher_derive(struct hasher *h, const struct password_cost *c,
                   const uint8_t salt[PASSWORD_SALT_BYTES], const char *text, size_t len,
                   uint8_t hash[PASSWORD_HASH_BYTES], struct err *e) WARN_UNUSED;
/* How many wait; HASHER_QUEUE = a call would be refused now. */
unsigned hasher_waiting(struct hasher *h);
/* Computations since the start, for metrics and tests. */
uint64_t hasher_count(struct hasher *h);

#endif
