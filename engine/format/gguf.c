/* Owns: the GGUF container, from bytes on disk to tables of metadata and tensors.
 * Refuses to know: what a key or a tensor means to a model.
 *
 * Nothing in the file is trusted. A `struct reader` hands out bytes only after comparing with what is
 * left, every count is compared with the bytes it would need before anything is allocated, and no
 * value is copied: metadata and tensors point into the mapping. Names are found through arrays sorted
 * by name rather than through a hash table, so that a hostile file cannot choose a slow case.
 *
 * A split set is a number of complete GGUF files; each is read by part_open() on its own, then the
 * tensors are joined in the order of the parts and the metadata of the first part is kept.
 *
 * Messages are built from the inside out: the place that finds the fault names the field, the caller
 * that knows the file puts its name in front. Text from the file is quoted, so a message is one line.
 */
#include <config.h>

#include "format/gguf.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/map.h"

enum {
    MAX_KEYS = 65536,
    MAX_TENSORS = 131072, /* over all parts */
    MAX_PARTS = 4096,
    MAX_KEY_BYTES = 65535,
    MAX_VALUE_BYTES = 1 << 30, /* one string or array */
    MIN_KEY_ENTRY_BYTES = 8 + 1 + 4 + 1,
    MIN_TENSOR_ENTRY_BYTES = 8 + 1 + 4 + 8 + 4 + 8,
    DEFAULT_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8,
    MAX_ALIGNMENT = 4096,
    QUOTED_BYTES = 80, /* room for a quoted name in a message of 256 */
};

struct keys {
    struct gguf_kv *at; /* owned, file order */
    struct gguf_kv **sorted;
    size_t n;
};

struct part {
    char *path; /* owned */
    struct map map;
    struct keys keys;
    struct gguf_tensor *tensors; /* owned until joined */
    size_t n_tensors;
};

struct gguf {
    struct part *parts;
    size_t n_parts;
    struct gguf_tensor *tensors; /* all parts, in order */
    struct gguf_tensor **sorted;
    size_t n_tensors;
    uint64_t bytes;
};

/* ---- quoting ---------------------------------------------------------------------------------- */

struct quoted {
    char text[QUOTED_BYTES];
};

/* Quotes as much as fits, in whole characters; bytes that are no text become '?'. */
static const char *quote_bytes(struct quoted *q, const char *s, size_t len)
{
    char copy[QUOTED_BYTES - 2];
    size_t n = 0;
    while (len) {
        size_t step;
        bool valid = utf8_classify(s, len, &step) == UTF8_COMPLETE;
        size_t add = valid ? step : 1;
        if (n + add >= sizeof copy)
            break;
        memcpy(copy + n, valid ? s : "?", add);
        n += add;
        s += step;
        len -= step;
    }
    copy[n] = '\0';
    return log_quote(q->text, sizeof q->text, copy);
}

static const char *quote_str(struct quoted *q, struct gguf_str s)
{
    return quote_bytes(q, s.data, s.len);
}

static const char *quote_cstr(struct quoted *q, const char *s)
{
    return quote_bytes(q, s, strlen(s));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Puts the file's name in front of a message about its content. */
static bool fail_in_file(struct err *e, const char *path)
{
    struct quoted q;
    return err_prefix(e, "%s", quote_cstr(&q, base_name(path)));
}

/* ---- reader: bytes are handed out only when they are there ------------------------------------- */

struct reader {
    const uint8_t *data;
    uint64_t bytes;
    uint64_t pos;
    char what[QUOTED_BYTES + 32]; /* what is being read, for messages */
};

static void reading(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void reading(struct reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->what, sizeof r->what, fmt, ap);
    va_end(ap);
}

static bool take(struct reader *r, uint64_t n, const uint8_t **out, struct err *e)
{
    if (n > r->bytes - r->pos)
        FAIL(e, ERR_FORMAT, "the file ends inside %s", r->what);
    *out = r->data + r->pos;
    r->pos += n;
    return true;
}

static bool take_u32(struct reader *r, uint32_t *out, struct err *e)
{
    const uint8_t *p;
    if (!take(r, sizeof *out, &p, e))
        return false;
    memcpy(out, p, sizeof *out);
    return true;
}

static bool take_u64(struct reader *r, uint64_t *out, struct err *e)
{
    const uint8_t *p;
    if (!take(r, sizeof *out, &p, e))
        return false;
    memcpy(out, p, sizeof *out);
    return true;
}

static bool take_str(struct reader *r, struct gguf_str *out, struct err *e)
{
    uint64_t len;
    const uint8_t *p;
    if (!take_u64(r, &len, e))
        return false;
    if (len > r->bytes - r->pos)
        FAIL(e, ERR_FORMAT, "%s says it has %llu bytes, but the file has only %llu more", r->what,
             (unsigned long long)len, (unsigned long long)(r->bytes - r->pos));
    if (len > MAX_VALUE_BYTES)
        FAIL(e, ERR_LIMIT, "%s is longer than 1 GiB", r->what);
    if (!take(r, len, &p, e))
        return false;
    *out = (struct gguf_str){.data = (const char *)p, .len = (size_t)len};
    return true;
}

/* Names end up in messages and look-ups: non-empty, valid UTF-8, no control characters. */
static bool name_ok(struct gguf_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c < 0x20 || c == 0x7f)
            return false;
    }
    return s.len > 0 && utf8_valid(s.data, s.len);
}

/* ---- metadata values -------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t bytes; /* of one value; 0 for strings and arrays */
} value_types[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"uint8", 1},      [GGUF_I8] = {"int8", 1},     [GGUF_U16] = {"uint16", 2},
    [GGUF_I16] = {"int16", 2},     [GGUF_U32] = {"uint32", 4},  [GGUF_I32] = {"int32", 4},
    [GGUF_F32] = {"float32", 4},   [GGUF_BOOL] = {"bool", 1},   [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0},   [GGUF_U64] = {"uint64", 8},  [GGUF_I64] = {"int64", 8},
    [GGUF_F64] = {"float64", 8},
};

static bool take_type(struct reader *r, enum gguf_type *out, struct err *e)
{
    uint32_t id;
    if (!take_u32(r, &id, e))
        return false;
    if (id >= GGUF_TYPE_COUNT)
        FAIL(e, ERR_FORMAT, "%s has the value type %u, which does not exist", r->what, id);
    *out = (enum gguf_type)id;
    return true;
}

static bool take_strings(struct reader *r, uint64_t n, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        struct gguf_str s;
        if (!take_str(r, &s, e))
            return false;
    }
    return true;
}

static bool take_bools(struct reader *r, uint64_t n, struct err *e)
{
    const uint8_t *p;
    if (!take(r, n, &p, e))
        return false;
    for (uint64_t i = 0; i < n; i++) {
        if (p[i] > 1)
            FAIL(e, ERR_FORMAT, "%s holds the byte %u as a boolean, which must be 0 or 1", r->what,
                 p[i]);
    }
    return true;
}

/* The n values of an array or the one value of a scalar; `kv` has its types. */
static bool take_values(struct reader *r, struct gguf_kv *kv, struct err *e)
{
    uint64_t least = kv->elem_type == GGUF_STRING ? 8 : value_types[kv->elem_type].bytes;
    uint64_t bytes;
    if (!checked_mul(kv->n, least, &bytes) || bytes > r->bytes - r->pos)
        FAIL(e, ERR_FORMAT, "%s says it has %llu elements, but the file has only %llu more bytes",
             r->what, (unsigned long long)kv->n, (unsigned long long)(r->bytes - r->pos));
    if (bytes > MAX_VALUE_BYTES)
        FAIL(e, ERR_LIMIT, "%s is larger than 1 GiB", r->what);
    kv->data = r->data + r->pos;
    if (kv->elem_type == GGUF_STRING)
        return take_strings(r, kv->n, e);
    if (kv->elem_type == GGUF_BOOL)
        return take_bools(r, kv->n, e);
    const uint8_t *p;
    return take(r, bytes, &p, e);
}

static bool take_kv(struct reader *r, size_t index, struct gguf_kv *kv, struct err *e)
{
    struct quoted q;
    reading(r, "the key of metadata entry %zu", index + 1);
    if (!take_str(r, &kv->key, e))
        return false;
    if (kv->key.len > MAX_KEY_BYTES)
        FAIL(e, ERR_LIMIT, "%s is longer than %d bytes", r->what, MAX_KEY_BYTES);
    if (!name_ok(kv->key))
        FAIL(e, ERR_FORMAT, "%s is empty or not plain text", r->what);

    reading(r, "the metadata key %s", quote_str(&q, kv->key));
    if (!take_type(r, &kv->type, e))
        return false;
    kv->elem_type = kv->type;
    kv->n = 1;
    if (kv->type == GGUF_ARRAY) {
        if (!take_type(r, &kv->elem_type, e) || !take_u64(r, &kv->n, e))
            return false;
        if (kv->elem_type == GGUF_ARRAY)
            FAIL(e, ERR_UNSUPPORTED, "%s is an array of arrays, which no model uses", r->what);
    }
    return take_values(r, kv, e);
}

static int compare_str(struct gguf_str a, struct gguf_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const void *a, const void *b)
{
    const struct gguf_kv *const *x = a, *const *y = b;
    return compare_str((*x)->key, (*y)->key);
}

static bool keys_read(struct keys *k, struct reader *r, uint64_t n, struct err *e)
{
    k->at = mem_try_calloc((size_t)n, sizeof *k->at);
    k->sorted = mem_try_calloc((size_t)n, sizeof(struct gguf_kv *));
    if (!k->at || !k->sorted)
        FAIL(e, ERR_NOMEM, "no memory for %llu metadata entries", (unsigned long long)n);
    for (; k->n < n; k->n++) {
        if (!take_kv(r, k->n, &k->at[k->n], e))
            return false;
        k->sorted[k->n] = &k->at[k->n];
    }
    if (n)
        qsort(k->sorted, k->n, sizeof(struct gguf_kv *), compare_keys);
    for (size_t i = 1; i < k->n; i++) {
        struct quoted q;
        if (compare_keys(&k->sorted[i - 1], &k->sorted[i]) == 0)
            FAIL(e, ERR_FORMAT, "the metadata key %s appears twice",
                 quote_str(&q, k->sorted[i]->key));
    }
    return true;
}

static const struct gguf_kv *keys_find(const struct keys *k, const char *key)
{
    struct gguf_kv wanted = {.key = {.data = key, .len = strlen(key)}};
    struct gguf_kv *p = &wanted;
    if (!k->n)
        return NULL;
    struct gguf_kv **hit = bsearch(&p, k->sorted, k->n, sizeof(struct gguf_kv *), compare_keys);
    return hit ? *hit : NULL;
}

static void keys_release(struct keys *k)
{
    free(k->at);
    free(k->sorted);
    *k = (struct keys){0};
}

/* ---- numbers ---------------------------------------------------------------------------------- */

static bool is_integer(enum gguf_type t)
{
    return t <= GGUF_I32 || t == GGUF_U64 || t == GGUF_I64;
}

#define LOAD(type, p) (__extension__({ type v_; memcpy(&v_, (p), sizeof v_); v_; }))

int64_t gguf_array_i64(const struct gguf_kv *kv, uint64_t i)
{
    const uint8_t *p = kv->data + i * value_types[kv->elem_type].bytes;
    switch (kv->elem_type) {
    case GGUF_U8:
    case GGUF_BOOL:
        return *p;
    case GGUF_I8:
        return (int8_t)*p;
    case GGUF_U16:
        return LOAD(uint16_t, p);
    case GGUF_I16:
        return LOAD(int16_t, p);
    case GGUF_U32:
        return LOAD(uint32_t, p);
    case GGUF_I32:
        return LOAD(int32_t, p);
    case GGUF_U64:
    case GGUF_I64:
        return LOAD(int64_t, p);
    default:
        return 0;
    }
}

double gguf_array_f64(const struct gguf_kv *kv, uint64_t i)
{
    const uint8_t *p = kv->data + i * value_types[kv->elem_type].bytes;
    switch (kv->elem_type) {
    case GGUF_F32:
        return (double)LOAD(float, p);
    case GGUF_F64:
        return LOAD(double, p);
    case GGUF_U64:
        return (double)LOAD(uint64_t, p);
    default:
        return (double)gguf_array_i64(kv, i);
    }
}

/* An integer value of any width in [0, max]; the message names the key. */
static bool number_of(const struct gguf_kv *kv, uint64_t max, uint64_t *out, struct err *e)
{
    struct quoted q;
    if (!is_integer(kv->type))
        FAIL(e, ERR_FORMAT, "the metadata key %s must be an integer, but is of type %s",
             quote_str(&q, kv->key), value_types[kv->type].name);
    int64_t v = gguf_array_i64(kv, 0);
    if ((v < 0 && kv->type != GGUF_U64) || (uint64_t)v > max) {
        char text[32];
        snprintf(text, sizeof text, kv->type == GGUF_U64 ? "%llu" : "%lld", (unsigned long long)v);
        FAIL(e, ERR_FORMAT, "the metadata key %s is %s, but must lie between 0 and %llu",
             quote_str(&q, kv->key), text, (unsigned long long)max);
    }
    *out = (uint64_t)v;
    return true;
}

/* ---- header and tensor table of one file ------------------------------------------------------- */

static bool read_header(struct reader *r, uint64_t *n_tensors, uint64_t *n_keys, struct err *e)
{
    static const char lfs_pointer[] = "version https://git-lfs";
    const uint8_t *magic;
    uint32_t version;
    reading(r, "the header");
    if (!take(r, 4, &magic, e))
        return false;
    if (memcmp(magic, "GGUF", 4) != 0) {
        if (r->bytes >= sizeof lfs_pointer && !memcmp(r->data, lfs_pointer, sizeof lfs_pointer - 1))
            FAIL(e, ERR_FORMAT, "this is a Git LFS pointer, not the model: fetch it with git lfs pull");
        FAIL(e, ERR_FORMAT, "this is not a GGUF file: it does not begin with the letters GGUF");
    }
    if (!take_u32(r, &version, e))
        return false;
    if (version && !(version & 0xffffu))
        FAIL(e, ERR_UNSUPPORTED, "this is a big-endian GGUF file; convert the model again");
    if (version != 2 && version != 3)
        FAIL(e, ERR_UNSUPPORTED, "GGUF version %u is not supported, only 2 and 3", version);
    if (!take_u64(r, n_tensors, e) || !take_u64(r, n_keys, e))
        return false;

    uint64_t left = r->bytes - r->pos;
    if (*n_tensors > left / MIN_TENSOR_ENTRY_BYTES || *n_keys > left / MIN_KEY_ENTRY_BYTES)
        FAIL(e, ERR_FORMAT,
             "the header counts %llu tensors and %llu metadata entries, too many for %llu bytes",
             (unsigned long long)*n_tensors, (unsigned long long)*n_keys,
             (unsigned long long)r->bytes);
    if (*n_tensors > MAX_TENSORS)
        FAIL(e, ERR_LIMIT, "the header counts %llu tensors, the limit is %d",
             (unsigned long long)*n_tensors, MAX_TENSORS);
    if (*n_keys > MAX_KEYS)
        FAIL(e, ERR_LIMIT, "the header counts %llu metadata entries, the limit is %d",
             (unsigned long long)*n_keys, MAX_KEYS);
    return true;
}

static bool read_alignment(const struct keys *k, uint64_t *out, struct err *e)
{
    *out = DEFAULT_ALIGNMENT;
    const struct gguf_kv *kv = keys_find(k, "general.alignment");
    if (!kv)
        return true;
    if (!number_of(kv, UINT32_MAX, out, e))
        return false;
    if (*out < MIN_ALIGNMENT || *out > MAX_ALIGNMENT || (*out & (*out - 1)))
        FAIL(e, ERR_FORMAT,
             "the metadata key \"general.alignment\" is %llu, but must be a power of two "
             "between %d and %d",
             (unsigned long long)*out, MIN_ALIGNMENT, MAX_ALIGNMENT);
    return true;
}

static bool take_tensor_name(struct reader *r, size_t index, struct gguf_tensor *t, struct err *e)
{
    struct gguf_str name;
    reading(r, "the name of tensor %zu", index + 1);
    if (!take_str(r, &name, e))
        return false;
    if (name.len >= sizeof t->name)
        FAIL(e, ERR_FORMAT, "%s has %zu bytes, the format allows %zu", r->what, name.len,
             sizeof t->name - 1);
    if (!name_ok(name))
        FAIL(e, ERR_FORMAT, "%s is empty or not plain text", r->what);
    memcpy(t->name, name.data, name.len);
    return true;
}

static bool take_shape(struct reader *r, struct gguf_tensor *t, struct err *e)
{
    if (!take_u32(r, &t->n_dims, e))
        return false;
    if (t->n_dims < 1 || t->n_dims > 4)
        FAIL(e, ERR_FORMAT, "%s has %u dimensions, the format allows 1 to 4", r->what, t->n_dims);
    t->n_elems = 1;
    for (uint32_t d = 0; d < 4; d++) {
        t->ne[d] = 1;
        if (d < t->n_dims && !take_u64(r, &t->ne[d], e))
            return false;
        if (!t->ne[d])
            FAIL(e, ERR_FORMAT, "%s has the size 0 in dimension %u", r->what, d);
        if (!checked_mul(t->n_elems, t->ne[d], &t->n_elems))
            FAIL(e, ERR_FORMAT, "%s has more elements than 64 bits can count", r->what);
    }
    return true;
}

static bool take_element_type(struct reader *r, struct gguf_tensor *t, struct err *e)
{
    if (!take_u32(r, &t->type, e))
        return false;
    const struct quant_type *q = quant_type_get(t->type);
    if (!q)
        FAIL(e, ERR_UNSUPPORTED, "%s has the element type %u, which this program does not know",
             r->what, t->type);
    if (t->ne[0] % q->block_elems)
        FAIL(e, ERR_FORMAT, "%s has rows of %llu elements, but %s comes in blocks of %u", r->what,
             (unsigned long long)t->ne[0], q->name, q->block_elems);
    if (!quant_bytes(t->type, t->n_elems, &t->bytes))
        FAIL(e, ERR_FORMAT, "%s has more bytes than 64 bits can count", r->what);
    return true;
}

/* One entry of the tensor table. The data section may begin anywhere still, so the offset is kept
 * in *offset until its start is known. */
static bool take_tensor(struct reader *r, size_t index, struct gguf_tensor *t, uint64_t *offset,
                        struct err *e)
{
    struct quoted q;
    if (!take_tensor_name(r, index, t, e))
        return false;
    reading(r, "tensor %s", quote_cstr(&q, t->name));
    return take_shape(r, t, e) && take_element_type(r, t, e) && take_u64(r, offset, e);
}

static bool place_tensor(struct gguf_tensor *t, uint64_t offset, uint64_t alignment,
                         const struct map *m, uint64_t data_start, struct err *e)
{
    struct quoted q;
    uint64_t start, end;
    if (offset & (alignment - 1))
        FAIL(e, ERR_FORMAT, "tensor %s starts at offset %llu, which is no multiple of %llu",
             quote_cstr(&q, t->name), (unsigned long long)offset, (unsigned long long)alignment);
    if (!checked_add(data_start, offset, &start) || !checked_add(start, t->bytes, &end) ||
        end > m->bytes)
        FAIL(e, ERR_FORMAT,
             "tensor %s (%llu bytes at offset %llu) reaches past the end of the file: "
             "the download may be incomplete",
             quote_cstr(&q, t->name), (unsigned long long)t->bytes, (unsigned long long)offset);
    t->data = m->data + start;
    return true;
}

static int compare_data(const void *a, const void *b)
{
    const struct gguf_tensor *const *x = a, *const *y = b;
    uintptr_t p = (uintptr_t)(*x)->data, q = (uintptr_t)(*y)->data;
    return (p > q) - (p < q);
}

static bool check_overlap(struct gguf_tensor **sorted, size_t n, struct err *e)
{
    if (n)
        qsort(sorted, n, sizeof(struct gguf_tensor *), compare_data);
    for (size_t i = 1; i < n; i++) {
        const struct gguf_tensor *a = sorted[i - 1], *b = sorted[i];
        struct quoted qa, qb;
        if ((const uint8_t *)b->data - (const uint8_t *)a->data < (ptrdiff_t)a->bytes)
            FAIL(e, ERR_FORMAT, "tensors %s and %s share bytes of the file",
                 quote_cstr(&qa, a->name), quote_cstr(&qb, b->name));
    }
    return true;
}

static bool tensors_read(struct part *p, struct reader *r, uint64_t n, uint64_t alignment,
                         struct err *e)
{
    bool ok = false;
    uint64_t *offsets = mem_try_calloc((size_t)n, sizeof *offsets);
    struct gguf_tensor **sorted = mem_try_calloc((size_t)n, sizeof(struct gguf_tensor *));
    p->tensors = mem_try_calloc((size_t)n, sizeof *p->tensors);
    if (!offsets || !sorted || !p->tensors) {
        err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "no memory for %llu tensors",
                (unsigned long long)n);
        goto fail;
    }
    for (; p->n_tensors < n; p->n_tensors++) {
        struct gguf_tensor *t = &p->tensors[p->n_tensors];
        TRY(take_tensor(r, p->n_tensors, t, &offsets[p->n_tensors], e));
        sorted[p->n_tensors] = t;
    }
    uint64_t data_start;
    if (!checked_align(r->pos, alignment, &data_start)) {
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__, "the tensor table is too long");
        goto fail;
    }
    for (size_t i = 0; i < p->n_tensors; i++)
        TRY(place_tensor(&p->tensors[i], offsets[i], alignment, &p->map, data_start, e));
    TRY(check_overlap(sorted, p->n_tensors, e));
    ok = true;
fail:
    free(offsets);
    free(sorted);
    return ok;
}

static void part_close(struct part *p)
{
    free(p->path);
    free(p->tensors);
    keys_release(&p->keys);
    map_close(&p->map);
    *p = (struct part){0};
}

static bool part_read(struct part *p, struct err *e)
{
    struct reader r = {.data = p->map.data, .bytes = p->map.bytes};
    uint64_t n_tensors, n_keys, alignment;
    return read_header(&r, &n_tensors, &n_keys, e) && keys_read(&p->keys, &r, n_keys, e) &&
           read_alignment(&p->keys, &alignment, e) &&
           tensors_read(p, &r, n_tensors, alignment, e);
}

static bool part_open(const char *path, struct part *p, struct err *e)
{
    *p = (struct part){.path = mem_strdup(path)};
    if (map_open(path, &p->map, e) && part_read(p, e))
        return true;
    part_close(p);
    return fail_in_file(e, path);
}

/* ---- split sets ------------------------------------------------------------------------------- */

struct split {
    uint64_t no;    /* 0-based */
    uint64_t count; /* 1: the file is a whole model */
};

/* "…-00002-of-00003.gguf" gives {1, 3}; other names give count 0. */
static struct split split_of_name(const char *path)
{
    static const char pattern[] = "-00000-of-00000.gguf";
    struct split s = {0};
    size_t len = strlen(base_name(path)), n = sizeof pattern - 1;
    if (len <= n)
        return s;
    const char *tail = path + strlen(path) - n;
    uint64_t number[2] = {0, 0};
    int which = 0;
    for (size_t i = 0; i < n; i++) {
        if (pattern[i] != '0') {
            if (tail[i] != pattern[i])
                return s;
            which = i > 0;
        } else {
            if (tail[i] < '0' || tail[i] > '9')
                return s;
            number[which] = number[which] * 10 + (uint64_t)(tail[i] - '0');
        }
    }
    if (number[0] < 1 || number[0] > number[1])
        return s;
    return (struct split){.no = number[0] - 1, .count = number[1]};
}

/* What metadata and name together say; `name` has count 0 when the name says nothing. */
static bool split_of_part(const struct part *p, struct split name, struct split *out, struct err *e)
{
    const struct gguf_kv *count = keys_find(&p->keys, "split.count");
    const struct gguf_kv *no = keys_find(&p->keys, "split.no");
    *out = name.count ? name : (struct split){.count = 1};
    if (count && !number_of(count, MAX_PARTS, &out->count, e))
        return false;
    if (out->count == 0)
        out->count = 1;
    if (no && !number_of(no, MAX_PARTS, &out->no, e))
        return false;
    if (out->count > MAX_PARTS)
        FAIL(e, ERR_LIMIT, "the model has %llu parts, the limit is %d",
             (unsigned long long)out->count, MAX_PARTS);
    if (out->no >= out->count)
        FAIL(e, ERR_FORMAT, "the metadata key \"split.no\" is %llu, but there are %llu parts",
             (unsigned long long)out->no, (unsigned long long)out->count);
    if (out->count > 1 && !name.count)
        FAIL(e, ERR_FORMAT,
             "this is part %llu of %llu of a model, and the others cannot be found unless all are "
             "named like NAME-%05llu-of-%05llu.gguf",
             (unsigned long long)out->no + 1, (unsigned long long)out->count,
             (unsigned long long)out->no + 1, (unsigned long long)out->count);
    if (name.count && (out->no != name.no || out->count != name.count))
        FAIL(e, ERR_FORMAT,
             "the name says part %llu of %llu, the metadata keys \"split.no\" and \"split.count\" "
             "say part %llu of %llu",
             (unsigned long long)name.no + 1, (unsigned long long)name.count,
             (unsigned long long)out->no + 1, (unsigned long long)out->count);
    return true;
}

/* The path of another part, for a path that split_of_name() recognised. Owned by the caller. */
static char *part_path(const char *path, struct split s)
{
    size_t len = strlen(path);
    char *p = mem_strdup(path);
    char tail[sizeof "-00000-of-00000.gguf"];
    snprintf(tail, sizeof tail, "-%05u-of-%05u.gguf", (unsigned)(s.no + 1) % 100000,
             (unsigned)s.count % 100000);
    memcpy(p + len - (sizeof tail - 1), tail, sizeof tail - 1);
    return p;
}

static bool open_other_part(const char *first_path, struct split want, struct part *p,
                            struct err *e)
{
    bool ok = false;
    char *path = part_path(first_path, want);
    if (part_open(path, p, e)) {
        struct split said;
        ok = split_of_part(p, split_of_name(path), &said, e) || fail_in_file(e, path);
    } else if (e->code == ERR_NOT_FOUND) {
        struct quoted q;
        err_set(e, ERR_NOT_FOUND, 0, __FILE__, __LINE__,
                "%s is missing: it is part %llu of the %llu parts of this model, which must lie "
                "in one folder",
                quote_cstr(&q, base_name(path)), (unsigned long long)want.no + 1,
                (unsigned long long)want.count);
    }
    free(path);
    return ok;
}

/* parts[opened.no] is open; opens the rest. */
static bool open_all_parts(struct gguf *g, const char *path, struct split opened, struct err *e)
{
    for (uint64_t i = 0; i < opened.count; i++) {
        struct split want = {.no = i, .count = opened.count};
        if (i != opened.no && !open_other_part(path, want, &g->parts[i], e))
            return false;
    }
    const struct gguf_kv *total = keys_find(&g->parts[0].keys, "split.tensors.count");
    uint64_t stated, found = 0;
    for (size_t i = 0; i < g->n_parts; i++)
        found += g->parts[i].n_tensors;
    if (!total)
        return true;
    if (!number_of(total, UINT32_MAX, &stated, e))
        return fail_in_file(e, g->parts[0].path);
    if (stated != found) {
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                "the metadata key \"split.tensors.count\" is %llu, but the parts hold %llu tensors",
                (unsigned long long)stated, (unsigned long long)found);
        return fail_in_file(e, g->parts[0].path);
    }
    return true;
}

/* ---- the whole model -------------------------------------------------------------------------- */

static int compare_tensors(const void *a, const void *b)
{
    const struct gguf_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Moves the tensors of all parts into one table and checks that no name appears twice. */
static bool join_tensors(struct gguf *g, struct err *e)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_parts; i++) {
        n += g->parts[i].n_tensors;
        g->bytes += g->parts[i].map.bytes;
    }
    if (n > MAX_TENSORS)
        FAIL(e, ERR_LIMIT, "the model has %zu tensors, the limit is %d", n, MAX_TENSORS);
    g->tensors = mem_try_calloc(n, sizeof *g->tensors);
    g->sorted = mem_try_calloc(n, sizeof(struct gguf_tensor *));
    if (!g->tensors || !g->sorted)
        FAIL(e, ERR_NOMEM, "no memory for %zu tensors", n);
    for (size_t i = 0; i < g->n_parts; i++) {
        struct part *p = &g->parts[i];
        for (size_t j = 0; j < p->n_tensors; j++, g->n_tensors++) {
            g->tensors[g->n_tensors] = p->tensors[j];
            g->sorted[g->n_tensors] = &g->tensors[g->n_tensors];
        }
        free(p->tensors);
        p->tensors = NULL;
    }
    if (n)
        qsort(g->sorted, n, sizeof(struct gguf_tensor *), compare_tensors);
    for (size_t i = 1; i < n; i++) {
        struct quoted q;
        if (compare_tensors(&g->sorted[i - 1], &g->sorted[i]) == 0)
            FAIL(e, ERR_FORMAT, "the tensor name %s appears twice",
                 quote_cstr(&q, g->sorted[i]->name));
    }
    return true;
}

static bool open_model(struct gguf *g, const char *path, struct err *e)
{
    struct part opened;
    struct split split;
    if (!part_open(path, &opened, e))
        return false;
    if (!split_of_part(&opened, split_of_name(path), &split, e)) {
        part_close(&opened);
        return fail_in_file(e, path);
    }
    g->parts = mem_calloc((size_t)split.count, sizeof *g->parts);
    g->n_parts = (size_t)split.count;
    g->parts[split.no] = opened;
    if (split.count > 1 && !open_all_parts(g, path, split, e))
        return false;
    return join_tensors(g, e) || fail_in_file(e, path);
}

bool gguf_open(const char *path, struct gguf **out, struct err *e)
{
    struct err local = ERR_INIT; /* split sets look at the code even when the caller does not */
    struct gguf *g = mem_zalloc(sizeof *g);
    *out = NULL;
    if (!open_model(g, path, &local)) {
        if (e)
            *e = local;
        gguf_close(&g);
        return false;
    }
    *out = g;
    return true;
}

void gguf_close(struct gguf **g)
{
    if (!*g)
        return;
    for (size_t i = 0; i < (*g)->n_parts; i++)
        part_close(&(*g)->parts[i]);
    free((*g)->parts);
    free((*g)->tensors);
    free((*g)->sorted);
    free(*g);
    *g = NULL;
}

/* ---- look-ups --------------------------------------------------------------------------------- */

size_t gguf_kv_count(const struct gguf *g)
{
    return g->parts[0].keys.n;
}

const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i)
{
    return &g->parts[0].keys.at[i];
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key)
{
    return keys_find(&g->parts[0].keys, key);
}

static bool missing_key(const struct gguf *g, const char *key, struct err *e)
{
    struct quoted q;
    err_set(e, ERR_NOT_FOUND, 0, __FILE__, __LINE__, "the metadata key %s is missing",
            quote_cstr(&q, key));
    return fail_in_file(e, g->parts[0].path);
}

static bool wrong_type(const struct gguf *g, const struct gguf_kv *kv, const char *wanted,
                       struct err *e)
{
    struct quoted q;
    err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
            "the metadata key %s must be of type %s, but is of type %s%s", quote_str(&q, kv->key),
            wanted, kv->type == GGUF_ARRAY ? "array of " : "", value_types[kv->elem_type].name);
    return fail_in_file(e, g->parts[0].path);
}

bool gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    uint64_t v;
    if (!kv)
        return missing_key(g, key, e);
    if (!number_of(kv, UINT32_MAX, &v, e))
        return fail_in_file(e, g->parts[0].path);
    *out = (uint32_t)v;
    return true;
}

bool gguf_get_f32(const struct gguf *g, const char *key, float *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return missing_key(g, key, e);
    if (kv->type != GGUF_F32 && kv->type != GGUF_F64)
        return wrong_type(g, kv, "float32", e);
    float v = (float)gguf_array_f64(kv, 0);
    if (!isfinite(v)) {
        struct quoted q;
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                "the metadata key %s is not a finite 32-bit number", quote_str(&q, kv->key));
        return fail_in_file(e, g->parts[0].path);
    }
    *out = v;
    return true;
}

bool gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return missing_key(g, key, e);
    if (kv->type != GGUF_BOOL)
        return wrong_type(g, kv, "bool", e);
    *out = *kv->data != 0;
    return true;
}

bool gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return missing_key(g, key, e);
    if (kv->type != GGUF_STRING)
        return wrong_type(g, kv, "string", e);
    const uint8_t *cursor = kv->data;
    *out = gguf_array_next_str(&cursor);
    return true;
}

bool gguf_get_array(const struct gguf *g, const char *key, enum gguf_type type,
                    const struct gguf_kv **out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv)
        return missing_key(g, key, e);
    if (kv->type != GGUF_ARRAY || kv->elem_type != type) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "array of %s", value_types[type].name);
        return wrong_type(g, kv, wanted, e);
    }
    *out = kv;
    return true;
}

struct gguf_str gguf_array_next_str(const uint8_t **cursor)
{
    uint64_t len = LOAD(uint64_t, *cursor);
    struct gguf_str s = {.data = (const char *)*cursor + sizeof len, .len = (size_t)len};
    *cursor += sizeof len + len;
    return s;
}

size_t gguf_tensor_count(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name)
{
    struct gguf_tensor wanted = {0};
    struct gguf_tensor *p = &wanted;
    size_t len = strlen(name);
    if (len >= sizeof wanted.name || !g->n_tensors)
        return NULL;
    memcpy(wanted.name, name, len);
    struct gguf_tensor **hit =
        bsearch(&p, g->sorted, g->n_tensors, sizeof(struct gguf_tensor *), compare_tensors);
    return hit ? *hit : NULL;
}

uint64_t gguf_file_bytes(const struct gguf *g)
{
    return g->bytes;
}

void gguf_tensor_prefetch(const struct gguf_tensor *t)
{
    map_prefetch(t->data, t->bytes);
}

void gguf_tensor_release_pages(const struct gguf_tensor *t)
{
    map_release_pages(t->data, t->bytes);
}
