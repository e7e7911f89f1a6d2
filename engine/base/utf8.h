/* UTF-8 (RFC 3629): validation and the boundary rules of streaming text. Thread: any, no state. */
#ifndef SEEKD_BASE_UTF8_H
#define SEEKD_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one code point at s (len >= 1). Returns its length 1..4 and stores it in *cp; returns 0
 * when the bytes are invalid or incomplete (overlong forms, surrogates, > U+10FFFF are invalid). */
size_t utf8_decode(const char *s, size_t len, uint32_t *cp);

/* Writes cp (<= 0x10FFFF) as UTF-8, returns its length 1..4. */
size_t utf8_encode(uint32_t cp, char out[4]);

bool utf8_valid(const char *s, size_t len);

/* What stands at s: */
enum utf8_state {
    UTF8_COMPLETE,   /* one whole valid character of *n bytes */
    UTF8_INCOMPLETE, /* a valid beginning that more bytes could complete; *n = len */
    UTF8_INVALID     /* *n bytes (>= 1) that can never become valid */
};
enum utf8_state utf8_classify(const char *s, size_t len, size_t *n);

/* Length of text that was cut somewhere, without the beginning of a character at its end. */
size_t utf8_cut(const char *s, size_t len);

#endif
