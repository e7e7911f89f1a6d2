/* Text given on the command line or on standard input. Thread: main. */
#ifndef SEEKD_CTL_INPUT_H
#define SEEKD_CTL_INPUT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { CTL_INPUT_MAX_BYTES = 16 << 20 };

/* Fills `out` (the caller releases it on success) with `word`, or with all of standard input when it
 * is "-". Errors: ERR_LIMIT above CTL_INPUT_MAX_BYTES, ERR_IO. */
bool ctl_input_read(const char *word, struct buf *out, struct err *e) WARN_UNUSED;

#endif
