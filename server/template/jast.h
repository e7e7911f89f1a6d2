/* Syntax tree of a template. Nodes live in the template's arena and never change after compilation.
 *
 * Chains of operators of equal rank, of postfix operations and of elif are lists, not deep trees:
 * the depth of the tree is the nesting the author wrote, which the parser limits.
 */
#ifndef SEEKD_TEMPLATE_JAST_H
#define SEEKD_TEMPLATE_JAST_H

#include "template/jarena.h"
#include "template/jlex.h"
#include "template/jval.h"

struct jexpr;
struct jstmt;

enum jexpr_kind {
    JX_CONST,
    JX_NAME,
    JX_ARITH, /* first, then (operator, operand)…, left to right */
    JX_CONCAT,
    JX_COMPARE,
    JX_AND,
    JX_OR,
    JX_NOT,
    JX_NEG,
    JX_POS,
    JX_COND,
    JX_LIST,
    JX_TUPLE,
    JX_DICT,
    JX_POSTFIX
};

/* Operand of a chain, element of a list, entry of a dictionary (x: value). */
struct jpart {
    struct jpart *next;
    enum jtok_kind op;
    bool negated; /* `not in` */
    struct jexpr *key;
    struct jexpr *x;
};

enum jarg_kind { JARG_PLAIN, JARG_NAMED, JARG_STAR, JARG_STAR_STAR };

struct jarg {
    struct jarg *next;
    enum jarg_kind kind;
    struct jstr name;
    struct jexpr *x;
};

enum jop_kind { JOP_ATTR, JOP_ITEM, JOP_SLICE, JOP_CALL, JOP_FILTER, JOP_TEST };

/* One postfix operation. */
struct jop {
    struct jop *next;
    enum jop_kind kind;
    int line;
    struct jstr name;           /* attribute, filter or test */
    const struct jbuiltin *def; /* filter or test; NULL: unknown, fails when reached */
    bool negated;               /* `is not` */
    struct jexpr *index[3];     /* item: [0]; slice: start, stop, step, each may be NULL */
    struct jarg *args;
};

struct jexpr {
    enum jexpr_kind kind;
    int line;
    union {
        struct jval value;
        uint32_t name;
        struct {
            struct jexpr *first;
            struct jpart *rest; /* of lists and dictionaries: all elements */
        };
        struct {
            struct jexpr *test, *yes, *no; /* no: may be NULL */
        };
        struct {
            struct jexpr *base;
            struct jop *ops;
        };
    };
};

enum jtarget_kind { JT_NAME, JT_FIELD, JT_TUPLE };

/* What is assigned to: a name, a field of a namespace, or several of them. */
struct jtarget {
    struct jtarget *next; /* in the enclosing tuple */
    enum jtarget_kind kind;
    uint32_t name;
    struct jstr field;
    struct jtarget *items;
    size_t n_items;
};

struct jparam {
    struct jparam *next;
    uint32_t name;
    struct jstr text;
    struct jexpr *fallback; /* NULL: none */
};

/* Macro or caller block. */
struct jcallable {
    struct jstr text; /* name; empty for a caller block */
    uint32_t name;
    struct jparam *params;
    bool uses_varargs, uses_kwargs, uses_caller;
    struct jstmt *body;
};

struct jbranch {
    struct jbranch *next;
    struct jexpr *test; /* NULL: else */
    struct jstmt *body;
};

struct jbinding {
    struct jbinding *next;
    struct jtarget *target;
    struct jexpr *x;
};

enum jstmt_kind {
    JS_TEXT,
    JS_PRINT,
    JS_IF,
    JS_FOR,
    JS_SET,
    JS_SET_BLOCK,
    JS_MACRO,
    JS_CALL,
    JS_FILTER,
    JS_WITH,
    JS_BREAK,
    JS_CONTINUE
};

struct jstmt {
    struct jstmt *next;
    enum jstmt_kind kind;
    int line;
    union {
        struct jstr text;
        struct jpart *print; /* several with commas between, in {% print %} */
        struct jbranch *branches;
        struct {
            struct jtarget *target;
            struct jexpr *iter, *test; /* test: may be NULL */
            struct jstmt *body, *otherwise;
            bool recursive;
            bool captures; /* the body defines macros: each turn needs a scope of its own */
        } loop;
        struct {
            struct jtarget *target;
            struct jexpr *x;
            struct jop *filters; /* of a block */
            struct jstmt *body;
        } set; /* also JS_FILTER: filters and body */
        struct jcallable *macro;
        struct {
            struct jcallable *caller;
            struct jexpr *x;
        } call;
        struct {
            struct jbinding *bindings;
            struct jstmt *body;
        } with;
    };
};

struct jname {
    const char *p;
    uint32_t n;
};

/* The names the interpreter itself looks for; the first ids of every template. */
enum { JNAME_LOOP, JNAME_CALLER, JNAME_VARARGS, JNAME_KWARGS, JNAME_FIRST_FREE };

struct jinja_template {
    struct jarena arena;
    struct jname *names; /* by id */
    size_t n_names;
    struct jstmt *body;
};

#endif
