/* One GGUF file, read and checked: the inside of gguf.c, which joins the files of a split set.
 * No other module includes this header.
 */
#ifndef SEEKD_FORMAT_GGUF_PART_H
#define SEEKD_FORMAT_GGUF_PART_H

#include "format/gguf.h"
#include "format/map.h"

enum {
    GGUF_MAX_KEYS = 65536,
    GGUF_MAX_TENSORS = 131072, /* over all parts */
    GGUF_QUOTED_BYTES = 80,    /* room for a quoted name in a message of 256 */
};

struct gguf_keys {
    struct gguf_kv *at; /* owned, file order */
    struct gguf_kv **sorted;
    size_t n;
};

struct gguf_part {
    char *path; /* owned */
    struct map map;
    struct gguf_keys keys;
    struct gguf_tensor *tensors; /* owned, file order; data points into the map */
    size_t n_tensors;
};

/* Errors: as gguf_open; messages begin with the file's name. *p is zeroed on failure. */
bool gguf_part_open(const char *path, struct gguf_part *p, struct err *e) WARN_UNUSED;
void gguf_part_close(struct gguf_part *p); /* accepts a zeroed struct */

const struct gguf_kv *gguf_keys_find(const struct gguf_keys *k, const char *key); /* or NULL */
/* The value of an integer key of any width, to lie in [0, max], max < 2^63; else ERR_FORMAT, naming
 * the key. */
bool gguf_uint(const struct gguf_kv *kv, uint64_t max, uint64_t *out, struct err *e) WARN_UNUSED;
const char *gguf_type_name(enum gguf_type t); /* as the format calls it: "uint32" */

/* Text from files for messages: quoted, on one line, valid UTF-8, cut where it is too long. */
struct gguf_quoted {
    char text[GGUF_QUOTED_BYTES];
};
const char *gguf_quote(struct gguf_quoted *q, struct gguf_str s);
const char *gguf_quote_name(struct gguf_quoted *q, const char *s);
const char *gguf_base_name(const char *path); /* borrowed from path */
/* Puts the quoted name of the file in front of a message about its content. Returns false. */
bool gguf_fail_in_file(struct err *e, const char *path);

#endif
