/* Owns: the escaper, and the order pre-scan -> jansson. Refuses to know any API field. */
#include <config.h>

#include "api/json.h"

#include <math.h>
#include <string.h>

#include "api/prescan.h"
#include "base/utf8.h"

json_t *json_parse_body(const char *text, size_t len, struct api_error *e)
{
    struct err why = ERR_INIT;
    if (!json_prescan(text, len, &PRESCAN_LIMITS_DEFAULT, &why)) {
        api_fail(e, API_INVALID_JSON, NULL, "The request body is not usable JSON: %s.", why.msg);
        return NULL;
    }
    json_error_t at;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
    if (!root) {
        /* The library quotes the text near the error after " near": that part could be anything. */
        char *near = strstr(at.text, " near '");
        if (near)
            *near = '\0';
        api_fail(e, API_INVALID_JSON, NULL,
                 "The request body is not valid JSON: %.120s (line %d, column %d).", at.text,
                 at.line, at.column);
        return NULL;
    }
    if (!json_is_object(root)) {
        json_decref(root);
        api_fail(e, API_INVALID_JSON, NULL, "The request body must be a JSON object.");
        return NULL;
    }
    return root;
}

void json_put_escaped(struct buf *out, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t start = 0; /* first byte not yet copied */
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        char esc[8];
        size_t esc_len = 0, n = 1;
        if (c == '"' || c == '\\') {
            esc[0] = '\\';
            esc[1] = (char)c;
            esc_len = 2;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            esc[0] = '\\';
            esc[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
            esc_len = 2;
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(esc, "\\u00", 4);
            esc[4] = hex[c >> 4];
            esc[5] = hex[c & 15];
            esc_len = 6;
        } else if (c >= 0x80 && utf8_classify(text + i, len - i, &n) != UTF8_COMPLETE) {
            memcpy(esc, "\\ufffd", 6);
            esc_len = 6;
        }
        if (esc_len) {
            buf_append(out, text + start, i - start);
            buf_append(out, esc, esc_len);
            start = i + n;
        }
        i += n;
    }
    buf_append(out, text + start, len - start);
}

void json_put_string(struct buf *out, const char *text, size_t len)
{
    buf_putc(out, '"');
    json_put_escaped(out, text, len);
    buf_putc(out, '"');
}

void json_put_logprob(struct buf *out, double value)
{
    if (!isfinite(value))
        value = -9999.0;
    buf_printf(out, "%.9g", value);
}
