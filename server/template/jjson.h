/* JSON <-> template values. Thread: one per render. */
#ifndef SEEKD_TEMPLATE_JJSON_H
#define SEEKD_TEMPLATE_JJSON_H

#include <jansson.h>

#include "template/jval.h"

/* A value for `j`, whose texts are borrowed as long as the render lasts. `data`: mark everything in
 * it as data. Fails the render on invalid UTF-8 and on nesting beyond the limit. */
struct jval jjson_value(struct jrun *r, json_t *j, bool data);

/* json.loads(text). What comes out is data when any byte of the text is. */
struct jval jjson_parse(struct jrun *r, struct jstr text);

struct jjson_style {
    bool ascii; /* \u escapes for everything beyond ASCII */
    bool sort_keys;
    bool pretty;        /* one element per line */
    struct jstr indent; /* of one level, when pretty */
    struct jstr item_separator, key_separator;
};

/* Appends json.dumps(v). Texts keep their marks, signs are literal. */
bool jjson_dump(struct jrun *r, struct jsb *b, struct jval v, const struct jjson_style *style);

#endif
