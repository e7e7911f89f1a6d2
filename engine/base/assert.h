/* ASSERT: a condition that cannot be false unless this program has a bug. Kept in release builds,
 * because a wrong page or sequence would hand one user's data to another: stopping is better. Never
 * used on anything that a file, a request or a device decides. */
#ifndef SEEKD_BASE_ASSERT_H
#define SEEKD_BASE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "seekd: bug at %s:%d: %s\n", __FILE__, __LINE__, #cond);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
