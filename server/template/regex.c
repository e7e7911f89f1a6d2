/* Owns: PCRE2 for this folder: options, limits, messages. */
#include <config.h>

#include "template/regex.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"

/* A match that needs more steps than this is refused; 1e6 are about 10 ms. */
enum { MATCH_LIMIT = 1000000, DEPTH_LIMIT = 2000, HEAP_LIMIT_KIB = 4096 };

struct regex {
    pcre2_code *code;             /* owned */
    pcre2_match_context *context; /* owned */
};

bool regex_compile(const char *pattern, size_t len, enum regex_extent extent, struct regex **out,
                   struct err *e)
{
    int code;
    PCRE2_SIZE at;
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    *out = NULL;
    if (len > REGEX_MAX_BYTES)
        FAIL(e, ERR_LIMIT, "a regular expression has at most %d bytes", REGEX_MAX_BYTES);
    if (extent == REGEX_WHOLE)
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    struct regex *r = mem_zalloc(sizeof *r);
    r->code = pcre2_compile((PCRE2_SPTR)pattern, len, options, &code, &at, NULL);
    r->context = pcre2_match_context_create(NULL);
    if (!r->code || !r->context) {
        char why[120] = "out of memory";
        if (!r->code)
            pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "regular expression, byte %zu: %s",
                r->code ? 0 : (size_t)at, why);
        regex_destroy(&r);
        return false;
    }
    pcre2_set_match_limit(r->context, MATCH_LIMIT);
    pcre2_set_depth_limit(r->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(r->context, HEAP_LIMIT_KIB);
    *out = r;
    return true;
}

void regex_destroy(struct regex **r)
{
    if (!*r)
        return;
    pcre2_code_free((*r)->code);
    pcre2_match_context_free((*r)->context);
    free(*r);
    *r = NULL;
}

bool regex_match(const struct regex *r, const char *text, size_t len, bool *matches, struct err *e)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        FAIL(e, ERR_NOMEM, "no memory for a regular expression");
    int rc = pcre2_match(r->code, (PCRE2_SPTR)text, len, 0, 0, data, r->context);
    pcre2_match_data_free(data);
    *matches = rc >= 0;
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
        return true;
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT)
        FAIL(e, ERR_LIMIT, "the regular expression needs too many steps for this text");
    FAIL(e, ERR_FORMAT, "the regular expression cannot be applied to this text (%d)", rc);
}
