/* Tokens of a template: text between tags, and what stands inside them. Applies the white-space
 * rules (trim_blocks, lstrip_blocks, the signs - and +), comments and raw blocks.
 * Thread: one per compilation.
 */
#ifndef SEEKD_TEMPLATE_JLEX_H
#define SEEKD_TEMPLATE_JLEX_H

#include "base/err.h"
#include "template/jarena.h"
#include "template/jstr.h"

enum jtok_kind {
    JTOK_END,
    JTOK_TEXT,
    JTOK_TAG_OPEN,
    JTOK_TAG_CLOSE,
    JTOK_PRINT_OPEN,
    JTOK_PRINT_CLOSE,
    JTOK_NAME,
    JTOK_STRING,
    JTOK_INT,
    JTOK_FLOAT,
    JTOK_ADD,
    JTOK_SUB,
    JTOK_MUL,
    JTOK_DIV,
    JTOK_FLOORDIV,
    JTOK_MOD,
    JTOK_POW,
    JTOK_TILDE,
    JTOK_EQ,
    JTOK_NE,
    JTOK_LT,
    JTOK_LE,
    JTOK_GT,
    JTOK_GE,
    JTOK_ASSIGN,
    JTOK_PIPE,
    JTOK_DOT,
    JTOK_COMMA,
    JTOK_COLON,
    JTOK_LPAREN,
    JTOK_RPAREN,
    JTOK_LBRACKET,
    JTOK_RBRACKET,
    JTOK_LBRACE,
    JTOK_RBRACE,
    JTOK_IN /* never lexed: the parser's sign for the operator `in` */
};

struct jtok {
    enum jtok_kind kind;
    int line;
    struct jstr text; /* TEXT, STRING (unescaped), NAME; borrowed from source or arena */
    int64_t i;
    double f;
};

struct jlex {
    const char *src; /* valid UTF-8, lines end in \n; borrowed */
    size_t n, at;
    int line; /* of src[line_at] */
    size_t line_at;
    enum { JLEX_OUTSIDE, JLEX_TAG, JLEX_PRINT } mode;
    enum jtok_kind pending; /* TAG_OPEN or PRINT_OPEN found behind a text; END: none */
    unsigned open;          /* brackets opened and not closed */
    struct jarena *arena;   /* borrowed; receives unescaped strings */
    struct err *err;
    bool failed;
};

void jlex_init(struct jlex *l, const char *src, size_t n, struct jarena *arena, struct err *e);
/* The next token; JTOK_END at the end and after an error (`failed`, message in err). */
struct jtok jlex_next(struct jlex *l);
/* Name of a kind for messages. */
const char *jtok_name(enum jtok_kind kind);

#endif
