/* Asking for a password on the terminal, without showing it (OpenSSL's user interface, which gives the
 * terminal back its echo after Ctrl-C too). Thread: main.
 */
#ifndef SEEKD_AUTH_ASK_H
#define SEEKD_AUTH_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* A line of standard input when that is no terminal; else what is typed behind `prompt`. Without its
 * line end. The caller wipes `out`. ERR_ARG: nothing came, or `size` bytes do not hold it; ERR_IO. */
bool ask_password(const char *prompt, char *out, size_t size, struct err *e) WARN_UNUSED;

#endif
