/* Fuzz target: any bytes as a GGUF file. The reader must refuse them with one clear line or hand
 * out tables of which every byte can be read; tensors of runnable types are decoded.
 *
 * This program has its own map_open: the "file" is heap memory of exactly the input's size, so
 * that a sanitizer sees the first byte read beyond it, which a mapping of whole pages would hide. */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "format/gguf.h"
#include "format/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink; /* keeps the reads */

static void require(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_gguf: %s\n", what);
        abort();
    }
}

/* ---- the file under test --------------------------------------------------------------------- */

static const uint8_t *input;
static size_t input_bytes;

bool map_open(const char *path, struct map *out, struct err *e)
{
    *out = (struct map){0};
    if (!input_bytes)
        FAIL(e, ERR_FORMAT, "the file is empty");
    if (strcmp(path, "fuzz.gguf") != 0)
        FAIL(e, ERR_NOT_FOUND, "there is no such file");
    uint8_t *copy = malloc(input_bytes);
    require(copy != NULL, "no memory");
    memcpy(copy, input, input_bytes);
    *out = (struct map){.data = copy, .bytes = input_bytes};
    return true;
}

void map_close(struct map *m)
{
    free((void *)(uintptr_t)m->data);
    *m = (struct map){0};
}

void map_prefetch(const void *data, uint64_t bytes)
{
    sink += bytes ? *(const uint8_t *)data : 0;
}

void map_release_pages(const void *data, uint64_t bytes)
{
    sink += bytes ? ((const uint8_t *)data)[bytes - 1] : 0;
}

/* ---- what is done with it -------------------------------------------------------------------- */

static void check_error(const struct err *e)
{
    size_t len = strlen(e->msg);
    require(e->code != ERR_NONE && e->code != ERR_INTERNAL, "an error without a code");
    require(len > 0 && len < sizeof e->msg - 1, "an empty or cut message");
    require(utf8_valid(e->msg, len), "a message that is no UTF-8");
    for (size_t i = 0; i < len; i++)
        require((unsigned char)e->msg[i] >= 0x20, "a message of several lines");
}

static void read_keys(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_kv_count(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        const uint8_t *cursor = kv->data;
        for (uint64_t k = 0; k < kv->n; k++) {
            if (kv->elem_type == GGUF_STRING) {
                struct gguf_str s = gguf_array_next_str(&cursor);
                sink += s.len ? (uint64_t)s.data[0] + (uint64_t)s.data[s.len - 1] : 0;
            } else {
                sink += (uint64_t)gguf_array_i64(kv, k) + (gguf_array_f64(kv, k) > 0.0);
            }
        }
    }
}

static void read_key_by_name(const struct gguf *g, const char *key)
{
    uint32_t u;
    float f;
    bool b;
    struct gguf_str s;
    const struct gguf_kv *kv;
    struct err e = ERR_INIT;
    if (!gguf_get_u32(g, key, &u, &e))
        check_error(&e);
    if (!gguf_get_f32(g, key, &f, &e))
        check_error(&e);
    if (!gguf_get_bool(g, key, &b, &e))
        check_error(&e);
    if (!gguf_get_str(g, key, &s, &e))
        check_error(&e);
    if (!gguf_get_array(g, key, GGUF_STRING, &kv, &e))
        check_error(&e);
}

static void read_tensors(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const struct quant_type *q = quant_type_get(t->type);
        const uint8_t *p = t->data;
        require(gguf_tensor_find(g, t->name) == t, "a tensor that cannot be found by its name");
        sink += (uint64_t)p[0] + p[t->bytes - 1];
        if (q->supported) {
            float out[256];
            q->dequant(t->data, 1, out);
            q->dequant(p + t->bytes - q->block_bytes, 1, out);
            sink += out[0] > 0.0f;
        }
        gguf_tensor_prefetch(t);
        gguf_tensor_release_pages(t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_bytes = size;
    struct gguf *g;
    struct err e = ERR_INIT;
    if (gguf_open("fuzz.gguf", &g, &e)) {
        read_keys(g);
        read_key_by_name(g, "general.architecture");
        read_key_by_name(g, "tokens");
        read_key_by_name(g, "t.f32");
        read_tensors(g);
        gguf_close(&g);
    } else {
        check_error(&e);
    }
    return 0;
}
