/* Writes small GGUF files for tests. It checks nothing: wrong files are what tests need as well.
 * Owner: the caller's struct. Thread: one.
 */
#ifndef SEEKD_TESTS_GGUF_WRITE_H
#define SEEKD_TESTS_GGUF_WRITE_H

#include "base/buf.h"
#include "format/gguf.h"

struct gguf_writer {
    uint32_t version; /* 3 */
    uint32_t alignment; /* 32; write the key "general.alignment" as well when it differs */
    uint64_t n_keys, n_tensors;
    struct buf keys, table, data;
};

void gguf_writer_init(struct gguf_writer *w);
void gguf_writer_release(struct gguf_writer *w);

/* `value`: the n_bytes that follow the type in the file. */
void gguf_write_raw(struct gguf_writer *w, const char *key, uint32_t type, const void *value,
                    size_t n_bytes);
void gguf_write_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_write_f32(struct gguf_writer *w, const char *key, float v);
void gguf_write_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_write_str(struct gguf_writer *w, const char *key, const char *v);
void gguf_write_strs(struct gguf_writer *w, const char *key, const char *const *v, uint64_t n);
/* n elements of `bytes` bytes each */
void gguf_write_array(struct gguf_writer *w, const char *key, enum gguf_type type, const void *v,
                      uint64_t n, size_t bytes);

/* Appends the table entry and the data at the next aligned offset. data may be NULL: zeros. */
void gguf_write_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                       const uint64_t *ne, const void *data, size_t n_bytes);

/* The whole file, appended to `out`. */
void gguf_write_finish(struct gguf_writer *w, struct buf *out);

#endif
