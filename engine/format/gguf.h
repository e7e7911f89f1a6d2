/* GGUF v2/v3 model files, split files included: memory-mapped, every field checked before use.
 *
 * The file is untrusted: a malformed one gives ERR_FORMAT with the name of the offending field and
 * touches nothing outside the mapping. All sizes go through base/checked.h.
 * Source: GGUF specification (ggml docs/gguf.md).
 * Thread: a `struct gguf` is immutable after gguf_open; any thread may read it.
 */
#ifndef SEEKD_FORMAT_GGUF_H
#define SEEKD_FORMAT_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "format/quant.h"

enum gguf_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING,
    GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPE_COUNT
};

struct gguf_str {
    const char *data; /* borrowed from the mapping, NOT terminated */
    size_t len;
};

struct gguf_kv {
    struct gguf_str key;
    enum gguf_type type;      /* of the value */
    enum gguf_type elem_type; /* of the elements when type is GGUF_ARRAY */
    uint64_t n;               /* elements: 1 for scalars */
    const uint8_t *data;      /* first value byte, unaligned, little-endian; borrowed */
};

struct gguf_tensor {
    char name[64]; /* terminated */
    uint32_t type; /* enum tensor_type or another known id */
    uint32_t n_dims;
    uint64_t ne[4]; /* ne[0] fastest; unused dimensions are 1; no zero */
    uint64_t n_elems;
    uint64_t bytes;
    const void *data; /* borrowed from the mapping until gguf_close; aligned as the file is */
};

struct gguf;

/* Opens FILE, and the other parts when its metadata or name says it is one of a split set (open any
 * part; the first part's metadata counts). Cost: rare; reads all metadata, no tensor data.
 * Errors: ERR_NOT_FOUND, ERR_IO, ERR_FORMAT, ERR_UNSUPPORTED (byte order, version, tensor type
 * unknown), ERR_LIMIT. *out is owned by the caller. */
bool gguf_open(const char *path, struct gguf **out, struct err *e) WARN_UNUSED;
void gguf_close(struct gguf **g);

/* Metadata. The getters return ERR_NOT_FOUND when the key is missing and ERR_FORMAT when its value
 * has another type or does not fit; messages name the key. Integers of any width are accepted where
 * an integer is asked for. */
size_t gguf_kv_count(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i);
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key); /* NULL when missing */
bool gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e) WARN_UNUSED;
bool gguf_get_f32(const struct gguf *g, const char *key, float *out, struct err *e) WARN_UNUSED;
bool gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct err *e) WARN_UNUSED;
bool gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out, struct err *e)
    WARN_UNUSED;
/* Checks that KEY is an array of element type `type`; the elements stand at kv->data (strings need
 * the iterator below). */
bool gguf_get_array(const struct gguf *g, const char *key, enum gguf_type type,
                    const struct gguf_kv **out, struct err *e) WARN_UNUSED;
/* Element access for arrays of integers / floats (any width, unaligned). i < kv->n. */
int64_t gguf_array_i64(const struct gguf_kv *kv, uint64_t i);
double gguf_array_f64(const struct gguf_kv *kv, uint64_t i);
/* Walks a string array: start with *cursor = kv->data, call kv->n times. */
struct gguf_str gguf_array_next_str(const uint8_t **cursor);

size_t gguf_tensor_count(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name); /* or NULL */

uint64_t gguf_file_bytes(const struct gguf *g); /* all parts */

/* Tells the kernel that a tensor's bytes will be read soon / are not needed any more, so that the
 * mapping does not stay resident. */
void gguf_tensor_prefetch(const struct gguf_tensor *t);
void gguf_tensor_release_pages(const struct gguf_tensor *t);

#endif
