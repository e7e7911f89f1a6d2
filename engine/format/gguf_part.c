/* Owns: one GGUF file, from bytes on disk to tables of metadata and tensors.
 * Refuses to know: split sets, and what a key or a tensor means to a model.
 *
 * Nothing in the file is trusted. A `struct reader` hands out bytes only after a comparison with
 * what is left, every count is compared with the bytes it would need before anything is allocated,
 * and no value is copied: metadata and tensors point into the mapping. Names are found through
 * arrays sorted by name rather than a hash table, so that a hostile file cannot choose a slow case.
 *
 * Messages are built from the inside out: the place that finds the fault names the field, the
 * caller that knows the file puts its name in front. Text from the file is quoted: a message is one
 * line.
 */
#include <config.h>

#include "format/gguf_part.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    MAX_KEY_BYTES = 65535,
    MAX_VALUE_BYTES = 1 << 30, /* one string or array */
    MIN_KEY_ENTRY_BYTES = 8 + 1 + 4 + 1,
    MIN_TENSOR_ENTRY_BYTES = 8 + 1 + 4 + 8 + 4 + 8,
    DEFAULT_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8,
    MAX_ALIGNMENT = 4096,
};

/* ---- quoting -------------------------------------------------------------------------------- */

static const char *quote_bytes(struct gguf_quoted *q, const char *s, size_t len)
{
    char copy[GGUF_QUOTED_BYTES];
    size_t n = len < sizeof copy ? len : utf8_cut(s, sizeof copy - 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return log_quote(q->text, sizeof q->text, copy);
}

const char *gguf_quote(struct gguf_quoted *q, struct gguf_str s)
{
    return quote_bytes(q, s.data, s.len);
}

const char *gguf_quote_name(struct gguf_quoted *q, const char *s)
{
    return quote_bytes(q, s, strlen(s));
}

const char *gguf_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool gguf_fail_in_file(struct err *e, const char *path)
{
    struct gguf_quoted q;
    return err_prefix(e, "%s", gguf_quote_name(&q, gguf_base_name(path)));
}

/* ---- reader: bytes are handed out only when they are there ---------------------------------- */

struct reader {
    const uint8_t *data;
    uint64_t bytes;
    uint64_t pos;
    char what[GGUF_QUOTED_BYTES + 32]; /* what is being read, for messages */
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

/* ---- metadata values ------------------------------------------------------------------------ */

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

const char *gguf_type_name(enum gguf_type t)
{
    return (unsigned)t < GGUF_TYPE_COUNT ? value_types[t].name : "unknown";
}

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
    struct gguf_quoted q;
    reading(r, "the key of metadata entry %zu", index + 1);
    if (!take_str(r, &kv->key, e))
        return false;
    if (kv->key.len > MAX_KEY_BYTES)
        FAIL(e, ERR_LIMIT, "%s is longer than %d bytes", r->what, MAX_KEY_BYTES);
    if (!name_ok(kv->key))
        FAIL(e, ERR_FORMAT, "%s is empty or not plain text", r->what);

    reading(r, "the metadata key %s", gguf_quote(&q, kv->key));
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

static bool keys_read(struct gguf_keys *k, struct reader *r, uint64_t n, struct err *e)
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
        struct gguf_quoted q;
        if (compare_keys(&k->sorted[i - 1], &k->sorted[i]) == 0)
            FAIL(e, ERR_FORMAT, "the metadata key %s appears twice",
                 gguf_quote(&q, k->sorted[i]->key));
    }
    return true;
}

const struct gguf_kv *gguf_keys_find(const struct gguf_keys *k, const char *key)
{
    struct gguf_kv wanted = {.key = {.data = key, .len = strlen(key)}};
    struct gguf_kv *p = &wanted;
    if (!k->n)
        return NULL;
    struct gguf_kv **hit = bsearch(&p, k->sorted, k->n, sizeof(struct gguf_kv *), compare_keys);
    return hit ? *hit : NULL;
}

static void keys_release(struct gguf_keys *k)
{
    free(k->at);
    free(k->sorted);
    *k = (struct gguf_keys){0};
}

/* ---- numbers -------------------------------------------------------------------------------- */

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

bool gguf_uint(const struct gguf_kv *kv, uint64_t max, uint64_t *out, struct err *e)
{
    struct gguf_quoted q;
    if (!is_integer(kv->type))
        FAIL(e, ERR_FORMAT, "the metadata key %s must be an integer, but is of type %s",
             gguf_quote(&q, kv->key), gguf_type_name(kv->type));
    int64_t v = gguf_array_i64(kv, 0);
    if ((uint64_t)v > max) { /* negative numbers included: max is below 2^63 */
        char text[32];
        snprintf(text, sizeof text, kv->type == GGUF_U64 ? "%llu" : "%lld", (unsigned long long)v);
        FAIL(e, ERR_FORMAT, "the metadata key %s is %s, but must lie between 0 and %llu",
             gguf_quote(&q, kv->key), text, (unsigned long long)max);
    }
    *out = (uint64_t)v;
    return true;
}

struct gguf_str gguf_array_next_str(const uint8_t **cursor)
{
    uint64_t len = LOAD(uint64_t, *cursor);
    struct gguf_str s = {.data = (const char *)*cursor + sizeof len, .len = (size_t)len};
    *cursor += sizeof len + len;
    return s;
}

/* ---- header and tensor table ---------------------------------------------------------------- */

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
            FAIL(e, ERR_FORMAT,
                 "this is a Git LFS pointer, not the model: fetch it with git lfs pull");
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
    if (*n_tensors > GGUF_MAX_TENSORS)
        FAIL(e, ERR_LIMIT, "the header counts %llu tensors, the limit is %d",
             (unsigned long long)*n_tensors, GGUF_MAX_TENSORS);
    if (*n_keys > GGUF_MAX_KEYS)
        FAIL(e, ERR_LIMIT, "the header counts %llu metadata entries, the limit is %d",
             (unsigned long long)*n_keys, GGUF_MAX_KEYS);
    return true;
}

static bool read_alignment(const struct gguf_keys *k, uint64_t *out, struct err *e)
{
    *out = DEFAULT_ALIGNMENT;
    const struct gguf_kv *kv = gguf_keys_find(k, "general.alignment");
    if (!kv)
        return true;
    if (!gguf_uint(kv, UINT32_MAX, out, e))
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
    struct gguf_quoted q;
    if (!take_tensor_name(r, index, t, e))
        return false;
    reading(r, "tensor %s", gguf_quote_name(&q, t->name));
    return take_shape(r, t, e) && take_element_type(r, t, e) && take_u64(r, offset, e);
}

static bool place_tensor(struct gguf_tensor *t, uint64_t offset, uint64_t alignment,
                         const struct map *m, uint64_t data_start, struct err *e)
{
    struct gguf_quoted q;
    uint64_t start, end;
    if (offset & (alignment - 1))
        FAIL(e, ERR_FORMAT, "tensor %s starts at offset %llu, which is no multiple of %llu",
             gguf_quote_name(&q, t->name), (unsigned long long)offset,
             (unsigned long long)alignment);
    if (!checked_add(data_start, offset, &start) || !checked_add(start, t->bytes, &end) ||
        end > m->bytes)
        FAIL(e, ERR_FORMAT,
             "tensor %s (%llu bytes at offset %llu) reaches past the end of the file, which has "
             "%llu bytes: is it incomplete?",
             gguf_quote_name(&q, t->name), (unsigned long long)t->bytes,
             (unsigned long long)offset, (unsigned long long)m->bytes);
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
        struct gguf_quoted qa, qb;
        if ((const uint8_t *)b->data - (const uint8_t *)a->data < (ptrdiff_t)a->bytes)
            FAIL(e, ERR_FORMAT, "tensors %s and %s share bytes of the file",
                 gguf_quote_name(&qa, a->name), gguf_quote_name(&qb, b->name));
    }
    return true;
}

static bool tensors_read(struct gguf_part *p, struct reader *r, uint64_t n, uint64_t alignment,
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

void gguf_part_close(struct gguf_part *p)
{
    free(p->path);
    free(p->tensors);
    keys_release(&p->keys);
    map_close(&p->map);
    *p = (struct gguf_part){0};
}

static bool part_read(struct gguf_part *p, struct err *e)
{
    struct reader r = {.data = p->map.data, .bytes = p->map.bytes};
    uint64_t n_tensors, n_keys, alignment;
    return read_header(&r, &n_tensors, &n_keys, e) && keys_read(&p->keys, &r, n_keys, e) &&
           read_alignment(&p->keys, &alignment, e) &&
           tensors_read(p, &r, n_tensors, alignment, e);
}

/* Who gave the path wants to see all of it, or its end. Returns false. */
static bool fail_to_map(struct err *e, const char *path)
{
    char text[160];
    size_t len = strlen(path);
    const char *from = len < sizeof text - 20 ? path : path + len - (sizeof text - 20);
    while (from > path && ((unsigned char)*from & 0xc0) == 0x80)
        from++;
    return err_prefix(e, "%s", log_quote(text, sizeof text, from));
}

bool gguf_part_open(const char *path, struct gguf_part *p, struct err *e)
{
    *p = (struct gguf_part){.path = mem_strdup(path)};
    if (!map_open(path, &p->map, e))
        fail_to_map(e, path);
    else if (part_read(p, e))
        return true;
    else
        gguf_fail_in_file(e, path);
    gguf_part_close(p);
    return false;
}
