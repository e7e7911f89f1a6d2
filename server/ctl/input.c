/* Owns: reading a text argument. Refuses to know what the text is for. */
#include <config.h>

#include "ctl/input.h"

#include <stdio.h>
#include <string.h>

bool ctl_input_read(const char *word, struct buf *out, struct err *e)
{
    buf_init(out, CTL_INPUT_MAX_BYTES);
    if (strcmp(word, "-")) {
        buf_puts(out, word);
    } else {
        char part[4096];
        size_t n;
        while ((n = fread(part, 1, sizeof part, stdin)) > 0 && buf_append(out, part, n))
            continue;
        if (ferror(stdin)) {
            buf_release(out);
            FAIL_OS(e, "cannot read standard input");
        }
    }
    if (out->failed) {
        buf_release(out);
        FAIL(e, ERR_LIMIT, "the text is longer than %d MiB", CTL_INPUT_MAX_BYTES >> 20);
    }
    return true;
}
