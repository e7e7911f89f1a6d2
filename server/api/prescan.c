/* Owns: the cheap bounds on JSON texts. Refuses to know what the text means. */
#include <config.h>

#include "api/prescan.h"

const struct prescan_limits PRESCAN_LIMITS_DEFAULT = {
    .depth = 64, .structural = 200000, .number_bytes = 64};

/* Returns the index of the closing quote of the string opened at `at`, or `len`. */
static size_t string_end(const char *text, size_t len, size_t at)
{
    for (size_t i = at + 1; i < len; i++) {
        if (text[i] == '\\')
            i++;
        else if (text[i] == '"')
            return i;
    }
    return len;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool json_prescan(const char *text, size_t len, const struct prescan_limits *limits, struct err *e)
{
    unsigned depth = 0, structural = 0;
    size_t word_bytes = 0;
    bool seen = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (is_space(c)) {
            word_bytes = 0;
            continue;
        }
        seen = true;
        switch (c) {
        case '\0':
            FAIL(e, ERR_FORMAT, "it contains a NUL byte at offset %zu", i);
        case '"':
            i = string_end(text, len, i);
            if (i == len)
                FAIL(e, ERR_FORMAT, "a string is not closed");
            word_bytes = 0;
            continue;
        case '[':
        case '{':
            if (++depth > limits->depth)
                FAIL(e, ERR_LIMIT, "it is nested deeper than %u levels", limits->depth);
            break;
        case ']':
        case '}':
            if (depth)
                depth--;
            break;
        case ',':
        case ':':
            break;
        default:
            if (++word_bytes > limits->number_bytes)
                FAIL(e, ERR_LIMIT, "a number is longer than %zu characters", limits->number_bytes);
            continue;
        }
        word_bytes = 0;
        if (++structural > limits->structural)
            FAIL(e, ERR_LIMIT, "it has more than %u structural characters", limits->structural);
    }
    if (!seen)
        FAIL(e, ERR_FORMAT, "it is empty");
    return true;
}
