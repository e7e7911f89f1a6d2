/* Text of the template language: UTF-8, counted in code points like Python's str, each byte marked
 * as literal (the template wrote it) or data (it came out of a variable).
 *
 * A jstr is a view: it borrows from the source, the variables or the arena of the render, and is
 * never changed, so slices share bytes and marks. Building goes through struct jsb.
 * Thread: one per render.
 */
#ifndef SEEKD_TEMPLATE_JSTR_H
#define SEEKD_TEMPLATE_JSTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jrun;

struct jstr {
    const char *p; /* valid UTF-8, not terminated; may be NULL when n == 0 */
    size_t n;      /* bytes */
    /* NULL: all literal. JSTR_DATA: all data. Else n bytes, 1 = data. */
    const unsigned char *mark;
};

extern const unsigned char jstr_data_mark[1];
#define JSTR_DATA jstr_data_mark
#define JSTR_EMPTY ((struct jstr){.p = "", .n = 0, .mark = NULL})

struct jstr jstr_text(const char *s); /* literal, borrowed; s is a C string */
struct jstr jstr_sub(struct jstr s, size_t begin, size_t n); /* bytes; within s */
/* Mark of one byte, as a mark for jsb_add(): NULL or JSTR_DATA. */
const unsigned char *jstr_mark_at(struct jstr s, size_t i);
bool jstr_any_data(struct jstr s);

bool jstr_is(struct jstr s, const char *text);
bool jstr_equal(struct jstr a, struct jstr b);
int jstr_compare(struct jstr a, struct jstr b); /* by code point: <0, 0, >0 */
/* Byte offset of `needle` at or after `from`, or SIZE_MAX. */
size_t jstr_find(struct jstr s, struct jstr needle, size_t from);
/* The last one that ends at or before `end`, or SIZE_MAX. Counts its work, which is up to the
 * product of both lengths; SIZE_MAX also when the render fails. */
size_t jstr_rfind(struct jrun *r, struct jstr s, struct jstr needle, size_t end);
bool jstr_starts(struct jstr s, struct jstr prefix);
bool jstr_ends(struct jstr s, struct jstr suffix);

size_t jstr_count(struct jstr s);              /* code points */
size_t jstr_offset(struct jstr s, size_t k);   /* bytes before code point k (s.n when beyond) */
uint32_t jstr_next(struct jstr s, size_t *at); /* code point at *at < n; advances *at */
size_t jstr_prev(struct jstr s, size_t at);    /* start of the code point before at > 0 */
struct jstr jstr_trim(struct jstr s, bool left, bool right); /* white space as Python has it */
/* End of the line that starts at byte `at`: bytes of its text in *len, returns where the next
 * line starts. Lines end as for Python's str.splitlines(). */
size_t jstr_line(struct jstr s, size_t at, size_t *len);

/* Character classes and simple case mapping of Unicode. */
bool jchar_space(uint32_t cp);
bool jchar_alpha(uint32_t cp);
bool jchar_decimal(uint32_t cp); /* Nd */
bool jchar_numeric(uint32_t cp); /* any N* */
bool jchar_word(uint32_t cp);    /* letter, number or underscore */
bool jchar_printable(uint32_t cp);
bool jchar_is_upper(uint32_t cp);
bool jchar_is_lower(uint32_t cp);
uint32_t jchar_upper(uint32_t cp);
uint32_t jchar_lower(uint32_t cp);

/* Builder in the arena of a render. A failed append has failed the render (jrun.h): later ones do
 * nothing. */
struct jsb {
    struct jrun *r;
    char *p;
    size_t n, cap;
    enum { JSB_LITERAL, JSB_ALL_DATA, JSB_MIXED } kind;
    unsigned char *mark; /* JSB_MIXED: cap bytes */
};

void jsb_init(struct jsb *b, struct jrun *r);
/* `mark`: as in struct jstr, for these n bytes. */
bool jsb_add(struct jsb *b, const char *p, size_t n, const unsigned char *mark);
bool jsb_str(struct jsb *b, struct jstr s);
bool jsb_text(struct jsb *b, const char *literal);
bool jsb_char(struct jsb *b, uint32_t cp, const unsigned char *mark);
bool jsb_repeat(struct jsb *b, struct jstr s, size_t times);
/* The text built so far, in the arena; the builder is empty afterwards. */
struct jstr jsb_take(struct jsb *b);

/* a + b. Appending to the newest concatenation happens in place, so chains cost their length. */
struct jstr jstr_cat(struct jrun *r, struct jstr a, struct jstr b);

/* Per-character change of case: 'u'pper, 'l'ower, 's'wap, 't'itle (first letter of each run of
 * letters), 'c'apitalize (first character of the text). */
struct jstr jstr_case(struct jrun *r, struct jstr s, char how);
struct jstr jstr_replace(struct jrun *r, struct jstr s, struct jstr old, struct jstr new_text,
                         int64_t max);

#endif
