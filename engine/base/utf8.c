/* Owns: the UTF-8 byte rules of RFC 3629 (table 3-7 of the Unicode standard). */
#include <config.h>

#include "base/utf8.h"

/* Length announced by a lead byte, 0 when it cannot lead; *lo,*hi bound the second byte. */
static size_t lead(unsigned char b, unsigned char *lo, unsigned char *hi)
{
    *lo = 0x80;
    *hi = 0xbf;
    if (b < 0x80)
        return 1;
    if (b >= 0xc2 && b <= 0xdf)
        return 2;
    if (b >= 0xe0 && b <= 0xef) {
        if (b == 0xe0)
            *lo = 0xa0;
        if (b == 0xed)
            *hi = 0x9f;
        return 3;
    }
    if (b >= 0xf0 && b <= 0xf4) {
        if (b == 0xf0)
            *lo = 0x90;
        if (b == 0xf4)
            *hi = 0x8f;
        return 4;
    }
    return 0;
}

enum utf8_state utf8_classify(const char *s, size_t len, size_t *n)
{
    unsigned char lo, hi;
    size_t want = lead((unsigned char)s[0], &lo, &hi);
    if (want == 0) {
        *n = 1;
        return UTF8_INVALID;
    }
    for (size_t i = 1; i < want; i++) {
        if (i == len) {
            *n = len;
            return UTF8_INCOMPLETE;
        }
        unsigned char b = (unsigned char)s[i];
        if (b < lo || b > hi) {
            *n = i;
            return UTF8_INVALID;
        }
        lo = 0x80;
        hi = 0xbf;
    }
    *n = want;
    return UTF8_COMPLETE;
}

size_t utf8_decode(const char *s, size_t len, uint32_t *cp)
{
    static const unsigned char mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t n;
    if (len == 0 || utf8_classify(s, len, &n) != UTF8_COMPLETE)
        return 0;
    uint32_t v = (unsigned char)s[0] & mask[n];
    for (size_t i = 1; i < n; i++)
        v = v << 6 | ((unsigned char)s[i] & 0x3fu);
    *cp = v;
    return n;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

size_t utf8_cut(const char *s, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char b = (unsigned char)s[len - back];
        size_t n;
        if (b < 0x80)
            return len;
        if (b >= 0xc0)
            return utf8_classify(s + len - back, back, &n) == UTF8_INCOMPLETE ? len - back : len;
    }
    return len;
}

bool utf8_valid(const char *s, size_t len)
{
    while (len) {
        size_t n;
        if (utf8_classify(s, len, &n) != UTF8_COMPLETE)
            return false;
        s += n;
        len -= n;
    }
    return true;
}
