/* Owns: the way from the keyboard to a password. Refuses to know: whose it is. */
#include <config.h>

#include "auth/ask.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool read_line(char *out, size_t size, struct err *e)
{
    if (!fgets(out, (int)size, stdin))
        FAIL(e, ERR_ARG, "standard input ends where a password was expected");
    size_t len = strcspn(out, "\r\n");
    if (!out[len] && !feof(stdin))
        FAIL(e, ERR_ARG, "a password has at most %zu bytes", size - 2);
    out[len] = '\0';
    return true;
}

bool ask_password(const char *prompt, char *out, size_t size, struct err *e)
{
    *out = '\0';
    if (size > INT_MAX)
        size = INT_MAX;
    if (!isatty(STDIN_FILENO)) {
        if (!read_line(out, size, e))
            return false;
    } else if (EVP_read_pw_string(out, (int)size - 1, prompt, 0)) {
        FAIL(e, ERR_IO, "no password was read");
    }
    if (!*out)
        FAIL(e, ERR_ARG, "a password is not empty");
    return true;
}
