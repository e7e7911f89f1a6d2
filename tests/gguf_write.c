/* Owns: the layout of GGUF files, from the writer's side. */
#include <config.h>

#include "gguf_write.h"

#include <string.h>

enum { MAX_BYTES = 1 << 28 };

static void put_u32(struct buf *b, uint32_t v)
{
    buf_append(b, &v, sizeof v);
}

static void put_u64(struct buf *b, uint64_t v)
{
    buf_append(b, &v, sizeof v);
}

static void put_str(struct buf *b, const char *s)
{
    put_u64(b, strlen(s));
    buf_puts(b, s);
}

static void pad(struct buf *b, size_t alignment)
{
    while (b->len % alignment)
        buf_putc(b, 0);
}

void gguf_writer_init(struct gguf_writer *w)
{
    *w = (struct gguf_writer){.version = 3, .alignment = 32};
    buf_init(&w->keys, MAX_BYTES);
    buf_init(&w->table, MAX_BYTES);
    buf_init(&w->data, MAX_BYTES);
}

void gguf_writer_release(struct gguf_writer *w)
{
    buf_release(&w->keys);
    buf_release(&w->table);
    buf_release(&w->data);
}

void gguf_write_raw(struct gguf_writer *w, const char *key, uint32_t type, const void *value,
                    size_t n_bytes)
{
    put_str(&w->keys, key);
    put_u32(&w->keys, type);
    buf_append(&w->keys, value, n_bytes);
    w->n_keys++;
}

void gguf_write_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    gguf_write_raw(w, key, GGUF_U32, &v, sizeof v);
}

void gguf_write_f32(struct gguf_writer *w, const char *key, float v)
{
    gguf_write_raw(w, key, GGUF_F32, &v, sizeof v);
}

void gguf_write_bool(struct gguf_writer *w, const char *key, bool v)
{
    gguf_write_raw(w, key, GGUF_BOOL, &(uint8_t){v}, 1);
}

void gguf_write_str(struct gguf_writer *w, const char *key, const char *v)
{
    put_str(&w->keys, key);
    put_u32(&w->keys, GGUF_STRING);
    put_str(&w->keys, v);
    w->n_keys++;
}

void gguf_write_strs(struct gguf_writer *w, const char *key, const char *const *v, uint64_t n)
{
    put_str(&w->keys, key);
    put_u32(&w->keys, GGUF_ARRAY);
    put_u32(&w->keys, GGUF_STRING);
    put_u64(&w->keys, n);
    for (uint64_t i = 0; i < n; i++)
        put_str(&w->keys, v[i]);
    w->n_keys++;
}

void gguf_write_array(struct gguf_writer *w, const char *key, enum gguf_type type, const void *v,
                      uint64_t n, size_t bytes)
{
    put_str(&w->keys, key);
    put_u32(&w->keys, GGUF_ARRAY);
    put_u32(&w->keys, type);
    put_u64(&w->keys, n);
    buf_append(&w->keys, v, n * bytes);
    w->n_keys++;
}

void gguf_write_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                       const uint64_t *ne, const void *data, size_t n_bytes)
{
    pad(&w->data, w->alignment);
    put_str(&w->table, name);
    put_u32(&w->table, n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        put_u64(&w->table, ne[d]);
    put_u32(&w->table, type);
    put_u64(&w->table, w->data.len);
    w->n_tensors++;
    if (data)
        buf_append(&w->data, data, n_bytes);
    for (size_t i = 0; !data && i < n_bytes; i++)
        buf_putc(&w->data, 0);
}

void gguf_write_finish(struct gguf_writer *w, struct buf *out)
{
    size_t start = out->len;
    buf_puts(out, "GGUF");
    put_u32(out, w->version);
    put_u64(out, w->n_tensors);
    put_u64(out, w->n_keys);
    buf_append(out, buf_str(&w->keys), w->keys.len);
    buf_append(out, buf_str(&w->table), w->table.len);
    while ((out->len - start) % w->alignment)
        buf_putc(out, 0);
    buf_append(out, buf_str(&w->data), w->data.len);
}
