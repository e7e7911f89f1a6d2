/* Owns: the list of ways in which a GGUF file can be wrong.
 * Refuses to know: the reader under test; it has a small parser of its own, for valid files only.
 *
 * A valid file is parsed twice over: into fields (where every number lies, to overwrite it in
 * place) and into a document (keys, tensors, data, to edit and write anew). Each variant is planned
 * as one row {family, three numbers} when the set is created, and built when it is asked for.
 */
#include <config.h>

#include "gguf_corrupt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "format/gguf.h"

enum field_kind {
    FIELD_MAGIC,
    FIELD_VERSION,
    FIELD_N_TENSORS,
    FIELD_N_KEYS,
    FIELD_KEY_LEN,
    FIELD_VALUE_TYPE,
    FIELD_ELEM_TYPE,
    FIELD_ARRAY_N,
    FIELD_STRING_LEN,
    FIELD_SCALAR, /* an integer, boolean or float value */
    FIELD_NAME_LEN,
    FIELD_N_DIMS,
    FIELD_SIZE, /* ne[d] */
    FIELD_TENSOR_TYPE,
    FIELD_OFFSET,
};

struct field {
    enum field_kind kind;
    size_t pos;
    uint32_t bytes; /* 1, 2, 4 or 8 */
    char label[96];
};

struct span {
    const uint8_t *data;
    size_t n;
};

struct doc_key {
    struct span name;
    uint32_t type;
    struct span value; /* what follows the type */
};

struct doc_tensor {
    struct span name;
    uint32_t n_dims;
    uint64_t ne[4];
    uint32_t type;
    uint64_t offset;
};

enum family {
    SWEEP,          /* a = field, v = value */
    TRUNCATE,       /* v = length */
    FILE_KIND,      /* a = which other kind of file */
    RETYPE_KEY,     /* a = key, b = type */
    REMOVE_KEY,     /* a = key */
    DUPLICATE_KEY,  /* a = key */
    FLOAT_VALUE,    /* a = key, b = which float */
    ARRAY_LEN,      /* a = key, v = elements kept */
    ARRAY_VALUE,    /* a = key, b = byte every element is filled with */
    ADD_KEY,        /* a = row of added_keys */
    ALIGNMENT,      /* a = row of alignments */
    REMOVE_TENSOR,  /* a = tensor */
    RENAME_TENSOR,  /* a = tensor, b = row of bad_names, or the next tensor's name */
    MOVE_TENSOR,    /* a = tensor, b = tensor onto which, v = added to the offset */
    SWAP_DIMS,      /* a = tensor */
    SCALAR_TENSORS, /* a = tensor: n_dims = 1, ne = 1 element block */
    RANDOM,         /* v = seed */
};

static const char *const family_names[] = {
    [SWEEP] = "sweep",
    [TRUNCATE] = "truncate",
    [FILE_KIND] = "file kind",
    [RETYPE_KEY] = "wrong type",
    [REMOVE_KEY] = "missing key",
    [DUPLICATE_KEY] = "duplicate key",
    [FLOAT_VALUE] = "float value",
    [ARRAY_LEN] = "array length",
    [ARRAY_VALUE] = "array value",
    [ADD_KEY] = "added key",
    [ALIGNMENT] = "alignment",
    [REMOVE_TENSOR] = "missing tensor",
    [RENAME_TENSOR] = "tensor name",
    [MOVE_TENSOR] = "overlap",
    [SWAP_DIMS] = "shape",
    [SCALAR_TENSORS] = "shape",
    [RANDOM] = "random",
};

struct plan {
    enum family family;
    uint32_t a, b;
    uint64_t v;
};

struct gguf_corrupt {
    struct span file;
    uint64_t alignment;
    size_t data_start;
    size_t data_end; /* end of the last tensor */
    struct field *fields;
    size_t n_fields;
    struct doc_key *keys;
    size_t n_keys;
    struct doc_tensor *tensors;
    size_t n_tensors;
    struct plan *plans;
    size_t n_plans;
};

static const uint32_t value_bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
static const char *const value_names[GGUF_TYPE_COUNT] = {
    "uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
    "bool",  "string", "array",  "uint64", "int64",  "float64"};

/* ---- parsing a valid file -------------------------------------------------------------------- */

struct cursor {
    struct gguf_corrupt *c;
    size_t pos;
    bool failed;
};

static uint64_t number_at(const uint8_t *p, uint32_t bytes)
{
    uint64_t v = 0;
    memcpy(&v, p, bytes);
    return v;
}

static struct span next_bytes(struct cursor *r, uint64_t n)
{
    struct span s = {(const uint8_t *)"", 0};
    if (r->failed || n > r->c->file.n - r->pos) {
        r->failed = true;
        return s;
    }
    s = (struct span){r->c->file.data + r->pos, (size_t)n};
    r->pos += s.n;
    return s;
}

/* Reads a number and notes its place. */
static uint64_t next_field(struct cursor *r, enum field_kind kind, uint32_t bytes,
                           const char *what, struct span label)
{
    size_t pos = r->pos;
    struct span s = next_bytes(r, bytes);
    if (r->failed)
        return 0;
    struct gguf_corrupt *c = r->c;
    c->fields = mem_realloc(c->fields, (c->n_fields + 1) * sizeof *c->fields);
    struct field *f = &c->fields[c->n_fields++];
    *f = (struct field){.kind = kind, .pos = pos, .bytes = bytes};
    snprintf(f->label, sizeof f->label, "%s%s%.*s", what, label.n ? " " : "",
             (int)(label.n > 64 ? 64 : label.n), (const char *)label.data);
    return number_at(s.data, bytes);
}

static struct span label_of(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

/* Strings of arrays: only the lengths of the first and the last become fields. */
static void parse_strings(struct cursor *r, uint64_t n, struct span name)
{
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        uint64_t len;
        if (i == 0 || i == n - 1)
            len = next_field(r, FIELD_STRING_LEN, 8, "length of a string in", name);
        else
            len = number_at(next_bytes(r, 8).data, r->failed ? 0 : 8);
        next_bytes(r, len);
    }
}

static void parse_key(struct cursor *r, struct doc_key *k)
{
    char entry[32];
    snprintf(entry, sizeof entry, "at byte %zu", r->pos);
    k->name = next_bytes(r, next_field(r, FIELD_KEY_LEN, 8, "key length", label_of(entry)));
    k->type = (uint32_t)next_field(r, FIELD_VALUE_TYPE, 4, "value type of", k->name);
    size_t start = r->pos;
    if (k->type == GGUF_STRING) {
        parse_strings(r, 1, k->name);
    } else if (k->type == GGUF_ARRAY) {
        uint64_t elem = next_field(r, FIELD_ELEM_TYPE, 4, "element type of", k->name);
        uint64_t n = next_field(r, FIELD_ARRAY_N, 8, "element count of", k->name);
        if (elem == GGUF_STRING)
            parse_strings(r, n, k->name);
        else if (elem < GGUF_TYPE_COUNT)
            next_bytes(r, n * value_bytes[elem]);
    } else if (k->type < GGUF_TYPE_COUNT) {
        next_field(r, FIELD_SCALAR, value_bytes[k->type], "value of", k->name);
    } else {
        r->failed = true;
    }
    k->value = (struct span){r->c->file.data + start, r->pos - start};
    if (k->name.n == strlen("general.alignment") &&
        !memcmp(k->name.data, "general.alignment", k->name.n) && k->value.n == 4)
        r->c->alignment = number_at(k->value.data, 4);
}

static void parse_tensor(struct cursor *r, struct doc_tensor *t)
{
    char entry[32];
    snprintf(entry, sizeof entry, "at byte %zu", r->pos);
    t->name = next_bytes(r, next_field(r, FIELD_NAME_LEN, 8, "name length", label_of(entry)));
    t->n_dims = (uint32_t)next_field(r, FIELD_N_DIMS, 4, "dimensions of", t->name);
    for (uint32_t d = 0; d < 4; d++)
        t->ne[d] = d < t->n_dims ? next_field(r, FIELD_SIZE, 8, "size of", t->name) : 1;
    t->type = (uint32_t)next_field(r, FIELD_TENSOR_TYPE, 4, "element type of", t->name);
    t->offset = next_field(r, FIELD_OFFSET, 8, "offset of", t->name);
}

static uint64_t tensor_bytes(const struct doc_tensor *t)
{
    uint64_t bytes = 0;
    if (!quant_bytes(t->type, t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3], &bytes))
        return 0;
    return bytes;
}

static bool parse(struct gguf_corrupt *c)
{
    struct cursor r = {.c = c};
    next_field(&r, FIELD_MAGIC, 4, "magic", label_of(""));
    next_field(&r, FIELD_VERSION, 4, "version", label_of(""));
    uint64_t n_tensors = next_field(&r, FIELD_N_TENSORS, 8, "tensor count", label_of(""));
    uint64_t n_keys = next_field(&r, FIELD_N_KEYS, 8, "key count", label_of(""));
    if (r.failed || n_keys < 1 || n_keys > 10000 || n_tensors < 2 || n_tensors > 10000)
        return false;
    c->keys = mem_calloc((size_t)n_keys, sizeof *c->keys);
    c->tensors = mem_calloc((size_t)n_tensors, sizeof *c->tensors);
    c->alignment = 32;
    for (; c->n_keys < n_keys && !r.failed; c->n_keys++)
        parse_key(&r, &c->keys[c->n_keys]);
    for (; c->n_tensors < n_tensors && !r.failed; c->n_tensors++)
        parse_tensor(&r, &c->tensors[c->n_tensors]);
    c->data_start = (r.pos + c->alignment - 1) / c->alignment * c->alignment;
    for (size_t i = 0; i < c->n_tensors; i++) {
        size_t end = c->data_start + c->tensors[i].offset + tensor_bytes(&c->tensors[i]);
        if (end > c->data_end)
            c->data_end = end;
    }
    return !r.failed && c->data_end <= c->file.n;
}

/* ---- writing a changed document -------------------------------------------------------------- */

enum { NO_CHANGE = -1 };

/* What differs from the valid file. */
struct edit {
    long skip_key, skip_tensor;
    long key; /* this key is written with the type and value below */
    uint32_t type;
    struct span value;
    long tensor; /* this tensor is replaced by the one below */
    struct doc_tensor as_tensor;
    struct doc_key extra[2]; /* appended keys */
    size_t n_extra;
    uint64_t alignment; /* of the written file */
};

static struct edit no_edit(const struct gguf_corrupt *c)
{
    return (struct edit){.skip_key = NO_CHANGE,
                         .skip_tensor = NO_CHANGE,
                         .key = NO_CHANGE,
                         .tensor = NO_CHANGE,
                         .alignment = c->alignment};
}

static void put(struct buf *b, uint64_t v, size_t bytes)
{
    buf_append(b, &v, bytes);
}

static void put_span(struct buf *b, struct span s)
{
    put(b, s.n, 8);
    buf_append(b, s.data, s.n);
}

static void put_key(struct buf *b, struct span name, uint32_t type, struct span value)
{
    put_span(b, name);
    put(b, type, 4);
    buf_append(b, value.data, value.n);
}

static void put_tensor(struct buf *b, const struct doc_tensor *t)
{
    put_span(b, t->name);
    put(b, t->n_dims, 4);
    for (uint32_t d = 0; d < t->n_dims; d++)
        put(b, t->ne[d], 8);
    put(b, t->type, 4);
    put(b, t->offset, 8);
}

static void write_edited(const struct gguf_corrupt *c, const struct edit *ed, struct buf *b)
{
    buf_append(b, c->file.data, 8); /* magic, version */
    put(b, c->n_tensors - (ed->skip_tensor != NO_CHANGE), 8);
    put(b, c->n_keys - (ed->skip_key != NO_CHANGE) + ed->n_extra, 8);
    for (size_t i = 0; i < c->n_keys; i++) {
        const struct doc_key *k = &c->keys[i];
        if ((long)i == ed->key)
            put_key(b, k->name, ed->type, ed->value);
        else if ((long)i != ed->skip_key)
            put_key(b, k->name, k->type, k->value);
    }
    for (size_t i = 0; i < ed->n_extra; i++)
        put_key(b, ed->extra[i].name, ed->extra[i].type, ed->extra[i].value);
    for (size_t i = 0; i < c->n_tensors; i++) {
        if ((long)i == ed->tensor)
            put_tensor(b, &ed->as_tensor);
        else if ((long)i != ed->skip_tensor)
            put_tensor(b, &c->tensors[i]);
    }
    while (b->len % ed->alignment)
        buf_putc(b, 0);
    buf_append(b, c->file.data + c->data_start, c->file.n - c->data_start);
}

/* ---- sweeps: one number overwritten in place ------------------------------------------------- */

static const uint64_t boundary[] = {
    0,           1,           0x7fffffff,          0x80000000,          0x80000001,
    0xffffffff,  0x100000000, 0x100000001,         0x7fffffffffffffff,  0x8000000000000000,
    UINT64_MAX - 31,          UINT64_MAX,
};

static bool is_type_field(enum field_kind k)
{
    return k == FIELD_VALUE_TYPE || k == FIELD_ELEM_TYPE || k == FIELD_TENSOR_TYPE;
}

/* Nothing of this size can be true of a file far below 2 GiB. */
static bool is_size_field(enum field_kind k)
{
    return k == FIELD_N_TENSORS || k == FIELD_N_KEYS || k == FIELD_KEY_LEN || k == FIELD_ARRAY_N ||
           k == FIELD_STRING_LEN || k == FIELD_NAME_LEN || k == FIELD_N_DIMS ||
           k == FIELD_SIZE || k == FIELD_OFFSET;
}

static bool label_ends(const struct field *f, const char *end)
{
    size_t n = strlen(f->label), m = strlen(end);
    return n >= m && !strcmp(f->label + n - m, end);
}

static enum gguf_expect expect_sweep(const struct gguf_corrupt *c, const struct field *f,
                                     uint64_t v)
{
    if (is_size_field(f->kind) && v >= 0x7fffffff)
        return GGUF_REFUSED;
    switch (f->kind) {
    case FIELD_MAGIC:
        return GGUF_REFUSED;
    case FIELD_VERSION:
        return v == 2 || v == 3 ? GGUF_LOADS : GGUF_REFUSED;
    case FIELD_VALUE_TYPE:
    case FIELD_ELEM_TYPE:
        return v >= GGUF_TYPE_COUNT ? GGUF_REFUSED : GGUF_EITHER;
    case FIELD_TENSOR_TYPE:
        return quant_type_get((uint32_t)v) ? GGUF_EITHER : GGUF_REFUSED;
    case FIELD_KEY_LEN:
    case FIELD_NAME_LEN:
    case FIELD_N_DIMS:
    case FIELD_SIZE:
        return v == 0 ? GGUF_REFUSED : GGUF_EITHER;
    case FIELD_OFFSET:
        return v % c->alignment ? GGUF_REFUSED : GGUF_EITHER;
    case FIELD_SCALAR:
        if (label_ends(f, "general.alignment"))
            return v >= 8 && v <= 4096 && !(v & (v - 1)) ? GGUF_EITHER : GGUF_REFUSED;
        return GGUF_EITHER;
    default:
        return GGUF_EITHER;
    }
}

static void make_sweep(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                       struct gguf_variant *out)
{
    const struct field *f = &c->fields[p->a];
    buf_append(b, c->file.data, c->file.n);
    memcpy(b->data + f->pos, &p->v, f->bytes);
    snprintf(out->name, sizeof out->name, "%s = 0x%llx", f->label, (unsigned long long)p->v);
    out->expect = expect_sweep(c, f, p->v);
}

/* ---- other kinds of file --------------------------------------------------------------------- */

#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

static const struct {
    const char *name;
    struct span bytes;
} other_files[] = {
    {"an empty file", TEXT("")},
    {"one byte", TEXT("G")},
    {"the magic alone", TEXT("GGUF")},
    {"magic and version", TEXT("GGUF\3\0\0\0")},
    {"half a tensor count", TEXT("GGUF\3\0\0\0\1\0\0")},
    {"zero bytes", TEXT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
    {"a big-endian header", TEXT("GGUF\0\0\0\3\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1")},
    {"version 1", TEXT("GGUF\1\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0")},
    {"an older ggml format", TEXT("tjgg\3\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0")},
    {"a Git LFS pointer", TEXT("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")},
    {"a ZIP archive", TEXT("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
    {"a JSON text", TEXT("{\"architectures\": [\"DeepseekV3ForCausalLM\"]}")},
    {"a safetensors header", TEXT("\10\0\0\0\0\0\0\0{\"a\":{}}")},
};

enum { N_OTHER_FILES = sizeof other_files / sizeof other_files[0] };

static void make_other_file(const struct plan *p, struct buf *b, struct gguf_variant *out)
{
    buf_append(b, other_files[p->a].bytes.data, other_files[p->a].bytes.n);
    snprintf(out->name, sizeof out->name, "%s", other_files[p->a].name);
    out->expect = GGUF_REFUSED;
}

static void make_truncated(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                           struct gguf_variant *out)
{
    buf_append(b, c->file.data, (size_t)p->v);
    snprintf(out->name, sizeof out->name, "cut after %llu of %zu bytes", (unsigned long long)p->v,
             c->file.n);
    out->expect = p->v < c->data_end ? GGUF_REFUSED : GGUF_LOADS;
}

/* ---- metadata edits -------------------------------------------------------------------------- */

static void name_key(struct gguf_variant *out, const struct doc_key *k, const char *fmt)
{
    snprintf(out->name, sizeof out->name, "key %.*s %s", (int)(k->name.n > 90 ? 90 : k->name.n),
             (const char *)k->name.data, fmt);
}

/* A well-formed value of every type. */
static struct span sample_value(uint32_t type)
{
    static const uint8_t number[8] = {1};
    static const uint8_t one_f32[4] = {0, 0, 0x80, 0x3f};
    static const uint8_t one_f64[8] = {0, 0, 0, 0, 0, 0, 0xf0, 0x3f};
    static const uint8_t string[9] = {1, 0, 0, 0, 0, 0, 0, 0, 'x'};
    static const uint8_t array[16] = {4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0};
    switch (type) {
    case GGUF_F32:
        return (struct span){one_f32, sizeof one_f32};
    case GGUF_F64:
        return (struct span){one_f64, sizeof one_f64};
    case GGUF_STRING:
        return (struct span){string, sizeof string};
    case GGUF_ARRAY:
        return (struct span){array, sizeof array};
    default:
        return (struct span){number, value_bytes[type]};
    }
}

/* Keys that gguf_open itself reads. */
static bool is_container_key(const struct doc_key *k)
{
    static const char *const names[] = {"general.alignment", "split.no", "split.count"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (k->name.n == strlen(names[i]) && !memcmp(k->name.data, names[i], k->name.n))
            return true;
    }
    return false;
}

static enum gguf_expect expect_key_change(const struct gguf_corrupt *c, uint32_t key)
{
    return is_container_key(&c->keys[key]) ? GGUF_EITHER : GGUF_LOADS;
}

static void make_retyped_key(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                             struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    ed.key = (long)p->a;
    ed.type = p->b;
    ed.value = sample_value(p->b);
    write_edited(c, &ed, b);
    char text[48];
    snprintf(text, sizeof text, "as %s instead of %s", value_names[p->b],
             value_names[c->keys[p->a].type]);
    name_key(out, &c->keys[p->a], text);
    out->expect = expect_key_change(c, p->a);
}

static void make_without_key(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                             struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    ed.skip_key = (long)p->a;
    write_edited(c, &ed, b);
    name_key(out, &c->keys[p->a], "missing");
    out->expect = expect_key_change(c, p->a);
}

static void make_duplicate_key(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                               struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    ed.extra[ed.n_extra++] = c->keys[p->a];
    write_edited(c, &ed, b);
    name_key(out, &c->keys[p->a], "twice");
    out->expect = GGUF_REFUSED;
}

static const float odd_floats[] = {0.0f, -1.0f, 1e38f, 1e-38f, INFINITY, NAN};

enum { N_ODD_FLOATS = sizeof odd_floats / sizeof odd_floats[0] };

static void make_float(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                       struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    ed.key = (long)p->a;
    ed.type = GGUF_F32;
    ed.value = (struct span){(const uint8_t *)&odd_floats[p->b], sizeof odd_floats[0]};
    write_edited(c, &ed, b);
    char text[32];
    snprintf(text, sizeof text, "= %g", (double)odd_floats[p->b]);
    name_key(out, &c->keys[p->a], text);
    out->expect = GGUF_LOADS;
}

/* Bytes of the first n elements of an array value (after its element type and count). */
static size_t array_bytes(const struct doc_key *k, uint64_t n)
{
    uint32_t elem = (uint32_t)number_at(k->value.data, 4);
    if (elem != GGUF_STRING)
        return (size_t)n * value_bytes[elem];
    size_t pos = 12;
    for (uint64_t i = 0; i < n; i++)
        pos += 8 + number_at(k->value.data + pos, 8);
    return pos - 12;
}

static void make_array(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                       struct gguf_variant *out)
{
    const struct doc_key *k = &c->keys[p->a];
    struct buf value;
    char text[48];
    buf_init(&value, c->file.n + 64);
    if (p->family == ARRAY_LEN) {
        buf_append(&value, k->value.data, 4);
        put(&value, p->v, 8);
        buf_append(&value, k->value.data + 12, array_bytes(k, p->v));
        snprintf(text, sizeof text, "with %llu elements", (unsigned long long)p->v);
    } else {
        buf_append(&value, k->value.data, k->value.n);
        memset(value.data + 12, (int)p->b, value.len - 12);
        snprintf(text, sizeof text, "filled with bytes 0x%02x", p->b);
    }
    struct edit ed = no_edit(c);
    ed.key = (long)p->a;
    ed.type = GGUF_ARRAY;
    ed.value = (struct span){(const uint8_t *)buf_str(&value), value.len};
    write_edited(c, &ed, b);
    buf_release(&value);
    name_key(out, k, text);
    out->expect = GGUF_LOADS;
}

/* Keys added at the end of the metadata. */
static const struct {
    const char *name;
    enum gguf_expect expect;
    struct doc_key key[2];
    size_t n;
} added_keys[] = {
    {"an unknown key", GGUF_LOADS, {{TEXT("seekd.test"), GGUF_U32, TEXT("\1\0\0\0")}}, 1},
    {"an unknown empty string", GGUF_LOADS,
     {{TEXT("seekd.test"), GGUF_STRING, TEXT("\0\0\0\0\0\0\0\0")}}, 1},
    {"an unknown empty array", GGUF_LOADS,
     {{TEXT("seekd.test"), GGUF_ARRAY, TEXT("\4\0\0\0\0\0\0\0\0\0\0\0")}}, 1},
    {"an array of arrays", GGUF_REFUSED,
     {{TEXT("seekd.test"), GGUF_ARRAY,
       TEXT("\11\0\0\0\1\0\0\0\0\0\0\0\4\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0")}}, 1},
    {"an empty array of arrays", GGUF_REFUSED,
     {{TEXT("seekd.test"), GGUF_ARRAY, TEXT("\11\0\0\0\0\0\0\0\0\0\0\0")}}, 1},
    {"an array of type 13", GGUF_REFUSED,
     {{TEXT("seekd.test"), GGUF_ARRAY, TEXT("\15\0\0\0\0\0\0\0\0\0\0\0")}}, 1},
    {"a boolean 2", GGUF_REFUSED, {{TEXT("seekd.test"), GGUF_BOOL, TEXT("\2")}}, 1},
    {"an array with the boolean 255", GGUF_REFUSED,
     {{TEXT("seekd.test"), GGUF_ARRAY, TEXT("\7\0\0\0\2\0\0\0\0\0\0\0\1\377")}}, 1},
    {"an array whose bytes overflow 64 bits", GGUF_REFUSED,
     {{TEXT("seekd.test"), GGUF_ARRAY, TEXT("\12\0\0\0\1\0\0\0\0\0\0\40\0\0\0\0\0\0\0\0")}}, 1},
    {"an empty key", GGUF_REFUSED, {{TEXT(""), GGUF_U8, TEXT("\1")}}, 1},
    {"a key with a line end", GGUF_REFUSED, {{TEXT("a\nb"), GGUF_U8, TEXT("\1")}}, 1},
    {"a key with a zero byte", GGUF_REFUSED, {{TEXT("a\0b"), GGUF_U8, TEXT("\1")}}, 1},
    {"a key that is no UTF-8", GGUF_REFUSED, {{TEXT("a\377b"), GGUF_U8, TEXT("\1")}}, 1},
    {"the same unknown key twice", GGUF_REFUSED,
     {{TEXT("seekd.test"), GGUF_U8, TEXT("\1")}, {TEXT("seekd.test"), GGUF_U16, TEXT("\1\0")}}, 2},
    {"split.count 3 under an ordinary name", GGUF_REFUSED,
     {{TEXT("split.no"), GGUF_U16, TEXT("\0\0")},
      {TEXT("split.count"), GGUF_U16, TEXT("\3\0")}}, 2},
    {"split.count 1", GGUF_LOADS,
     {{TEXT("split.no"), GGUF_U16, TEXT("\0\0")},
      {TEXT("split.count"), GGUF_U16, TEXT("\1\0")}}, 2},
    {"split.count 0", GGUF_LOADS, {{TEXT("split.count"), GGUF_U16, TEXT("\0\0")}}, 1},
    {"split.no beyond split.count", GGUF_REFUSED,
     {{TEXT("split.no"), GGUF_U16, TEXT("\7\0")},
      {TEXT("split.count"), GGUF_U16, TEXT("\3\0")}}, 2},
    {"split.no without split.count", GGUF_REFUSED,
     {{TEXT("split.no"), GGUF_U16, TEXT("\7\0")}}, 1},
    {"split.count 65535", GGUF_REFUSED, {{TEXT("split.count"), GGUF_U16, TEXT("\377\377")}}, 1},
    {"split.count -1", GGUF_REFUSED,
     {{TEXT("split.count"), GGUF_I32, TEXT("\377\377\377\377")}}, 1},
    {"split.count 2^64-1", GGUF_REFUSED,
     {{TEXT("split.count"), GGUF_U64, TEXT("\377\377\377\377\377\377\377\377")}}, 1},
    {"split.count as a string", GGUF_REFUSED,
     {{TEXT("split.count"), GGUF_STRING, TEXT("\1\0\0\0\0\0\0\0003")}}, 1},
    {"split.count as a float", GGUF_REFUSED,
     {{TEXT("split.count"), GGUF_F32, TEXT("\0\0\100\100")}}, 1},
    {"split.no as an array", GGUF_REFUSED,
     {{TEXT("split.no"), GGUF_ARRAY, TEXT("\2\0\0\0\1\0\0\0\0\0\0\0\0\0")}}, 1},
};

enum { N_ADDED_KEYS = sizeof added_keys / sizeof added_keys[0] };

static void make_added_key(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                           struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    for (; ed.n_extra < added_keys[p->a].n; ed.n_extra++)
        ed.extra[ed.n_extra] = added_keys[p->a].key[ed.n_extra];
    write_edited(c, &ed, b);
    snprintf(out->name, sizeof out->name, "with %s", added_keys[p->a].name);
    out->expect = added_keys[p->a].expect;
}

static const struct {
    uint32_t type;
    struct span value;
    const char *name;
    enum gguf_expect expect;
} alignments[] = {
    {GGUF_U32, TEXT("\0\0\0\0"), "0", GGUF_REFUSED},
    {GGUF_U32, TEXT("\1\0\0\0"), "1", GGUF_REFUSED},
    {GGUF_U32, TEXT("\2\0\0\0"), "2", GGUF_REFUSED},
    {GGUF_U32, TEXT("\4\0\0\0"), "4", GGUF_REFUSED},
    {GGUF_U32, TEXT("\7\0\0\0"), "7", GGUF_REFUSED},
    {GGUF_U32, TEXT("\14\0\0\0"), "12", GGUF_REFUSED},
    {GGUF_U32, TEXT("\41\0\0\0"), "33", GGUF_REFUSED},
    {GGUF_U32, TEXT("\140\0\0\0"), "96", GGUF_REFUSED},
    {GGUF_U32, TEXT("\0\20\0\0"), "4096", GGUF_EITHER},
    {GGUF_U32, TEXT("\0\40\0\0"), "8192", GGUF_REFUSED},
    {GGUF_U32, TEXT("\0\0\1\0"), "65536", GGUF_REFUSED},
    {GGUF_U32, TEXT("\0\0\0\200"), "2^31", GGUF_REFUSED},
    {GGUF_U32, TEXT("\377\377\377\377"), "2^32-1", GGUF_REFUSED},
    {GGUF_I32, TEXT("\340\377\377\377"), "-32", GGUF_REFUSED},
    {GGUF_U64, TEXT("\40\0\0\0\1\0\0\0"), "2^32+32", GGUF_REFUSED},
    {GGUF_U64, TEXT("\0\0\0\0\0\0\0\200"), "2^63", GGUF_REFUSED},
    {GGUF_F32, TEXT("\0\0\0\102"), "32.0", GGUF_REFUSED},
    {GGUF_BOOL, TEXT("\1"), "true", GGUF_REFUSED},
    {GGUF_STRING, TEXT("\2\0\0\0\0\0\0\00032"), "\"32\"", GGUF_REFUSED},
    {GGUF_ARRAY, TEXT("\4\0\0\0\1\0\0\0\0\0\0\0\40\0\0\0"), "[32]", GGUF_REFUSED},
};

enum { N_ALIGNMENTS = sizeof alignments / sizeof alignments[0] };

static void make_alignment(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                           struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    for (size_t i = 0; i < c->n_keys; i++) {
        if (is_container_key(&c->keys[i]) && !memcmp(c->keys[i].name.data, "general", 7))
            ed.skip_key = (long)i;
    }
    ed.extra[ed.n_extra++] = (struct doc_key){TEXT("general.alignment"), alignments[p->a].type,
                                              alignments[p->a].value};
    write_edited(c, &ed, b);
    snprintf(out->name, sizeof out->name, "general.alignment = %s", alignments[p->a].name);
    out->expect = alignments[p->a].expect;
}

/* ---- tensor edits ---------------------------------------------------------------------------- */

static void name_tensor(struct gguf_variant *out, const struct doc_tensor *t, const char *text)
{
    snprintf(out->name, sizeof out->name, "tensor %.*s %s", (int)(t->name.n > 63 ? 63 : t->name.n),
             (const char *)t->name.data, text);
}

static void make_without_tensor(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                                struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    ed.skip_tensor = (long)p->a;
    write_edited(c, &ed, b);
    name_tensor(out, &c->tensors[p->a], "missing");
    out->expect = GGUF_LOADS;
}

static const struct {
    const char *text;
    struct span name;
    enum gguf_expect expect;
} tensor_names[] = {
    {"renamed to something unknown", TEXT("seekd.test.weight"), GGUF_LOADS},
    {"with an empty name", TEXT(""), GGUF_REFUSED},
    {"with a line end in its name", TEXT("a\nb"), GGUF_REFUSED},
    {"with a zero byte in its name", TEXT("a\0b"), GGUF_REFUSED},
    {"with a name that is no UTF-8", TEXT("a\300\200b"), GGUF_REFUSED},
    {"with a name of 63 bytes",
     TEXT("123456789.123456789.123456789.123456789.123456789.123456789.123"), GGUF_LOADS},
    {"with a name of 64 bytes",
     TEXT("123456789.123456789.123456789.123456789.123456789.123456789.1234"), GGUF_REFUSED},
};

enum { N_TENSOR_NAMES = sizeof tensor_names / sizeof tensor_names[0] };

static void make_renamed_tensor(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                                struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    ed.tensor = (long)p->a;
    ed.as_tensor = c->tensors[p->a];
    if (p->b < N_TENSOR_NAMES) {
        ed.as_tensor.name = tensor_names[p->b].name;
        out->expect = tensor_names[p->b].expect;
        name_tensor(out, &c->tensors[p->a], tensor_names[p->b].text);
    } else {
        ed.as_tensor.name = c->tensors[(p->a + 1) % c->n_tensors].name;
        out->expect = GGUF_REFUSED;
        name_tensor(out, &c->tensors[p->a], "named like the next one");
    }
    write_edited(c, &ed, b);
}

/* Moves tensor a to the place of tensor b, plus v bytes. */
static void make_moved_tensor(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                              struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    ed.tensor = (long)p->a;
    ed.as_tensor = c->tensors[p->a];
    ed.as_tensor.offset = c->tensors[p->b].offset + p->v;
    write_edited(c, &ed, b);
    char text[64];
    snprintf(text, sizeof text, "at offset %llu", (unsigned long long)ed.as_tensor.offset);
    name_tensor(out, &c->tensors[p->a], text);
    bool refused = p->v == 0 || p->v % c->alignment || p->v > c->file.n;
    out->expect = refused ? GGUF_REFUSED : GGUF_EITHER;
}

static void make_reshaped_tensor(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                                 struct gguf_variant *out)
{
    struct edit ed = no_edit(c);
    struct doc_tensor *t = &ed.as_tensor;
    ed.tensor = (long)p->a;
    *t = c->tensors[p->a];
    if (p->family == SWAP_DIMS) {
        t->ne[0] = c->tensors[p->a].ne[1];
        t->ne[1] = c->tensors[p->a].ne[0];
        name_tensor(out, &c->tensors[p->a], "transposed");
        out->expect = GGUF_EITHER; /* rows may be no whole number of blocks any more */
    } else {
        const struct quant_type *q = quant_type_get(t->type);
        *t = (struct doc_tensor){t->name, 1, {q ? q->block_elems : 1, 1, 1, 1}, t->type, t->offset};
        name_tensor(out, &c->tensors[p->a], "of one block");
        out->expect = GGUF_LOADS;
    }
    write_edited(c, &ed, b);
}

/* ---- random edits of everything before the data ---------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void edit_at_random(struct buf *b, size_t limit, uint64_t *state)
{
    size_t pos = (size_t)(next_random(state) % limit);
    uint64_t what = next_random(state);
    uint64_t value = boundary[next_random(state) % (sizeof boundary / sizeof boundary[0])];
    switch (what % 4) {
    case 0:
        b->data[pos] = (char)(what >> 8);
        break;
    case 1:
        b->data[pos] = (char)(b->data[pos] ^ 1 << (what >> 8 & 7));
        break;
    case 2:
        memcpy(b->data + pos, &value, b->len - pos < 8 ? b->len - pos : 8);
        break;
    default: /* drop a few bytes: everything behind moves */
        value = what >> 8 & 15;
        if (value < b->len - pos) {
            memmove(b->data + pos, b->data + pos + value, b->len - pos - value);
            b->len -= value;
        }
    }
}

static void make_random(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                        struct gguf_variant *out)
{
    uint64_t state = p->v;
    buf_append(b, c->file.data, c->file.n);
    unsigned n_edits = 1 + (unsigned)(next_random(&state) % 4);
    for (unsigned i = 0; i < n_edits && b->len > 32; i++)
        edit_at_random(b, c->data_start < b->len ? c->data_start : b->len, &state);
    snprintf(out->name, sizeof out->name, "%u random edits, seed %llu", n_edits,
             (unsigned long long)p->v);
    out->expect = GGUF_EITHER;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static void add_plan(struct gguf_corrupt *c, enum family family, size_t a, size_t b, uint64_t v)
{
    if (c->n_plans % 256 == 0)
        c->plans = mem_realloc(c->plans, (c->n_plans + 256) * sizeof *c->plans);
    c->plans[c->n_plans++] = (struct plan){family, (uint32_t)a, (uint32_t)b, v};
}

static void plan_sweeps(struct gguf_corrupt *c)
{
    for (size_t i = 0; i < c->n_fields; i++) {
        const struct field *f = &c->fields[i];
        uint64_t mask = f->bytes == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * f->bytes) - 1;
        uint64_t now = number_at(c->file.data + f->pos, f->bytes);
        uint64_t before = now;
        for (size_t k = 0; k < sizeof boundary / sizeof boundary[0]; k++) {
            uint64_t v = boundary[k] & mask;
            if (boundary[k] <= mask && v != now)
                add_plan(c, SWEEP, i, 0, before = v);
        }
        if (mask != UINT64_MAX && before != mask && now != mask)
            add_plan(c, SWEEP, i, 0, mask);
        uint64_t n_types = f->kind == FIELD_TENSOR_TYPE ? TENSOR_TYPE_END : GGUF_TYPE_COUNT;
        for (uint64_t v = 2; is_type_field(f->kind) && v <= n_types; v++) {
            if (v != now)
                add_plan(c, SWEEP, i, 0, v);
        }
        if (f->kind == FIELD_N_DIMS)
            add_plan(c, SWEEP, i, 0, 5);
        if (f->kind == FIELD_VERSION)
            add_plan(c, SWEEP, i, 0, 4);
    }
}

static void plan_truncations(struct gguf_corrupt *c)
{
    size_t last = 0;
    for (size_t i = 1; i < c->n_fields; i++) {
        const struct field *f = &c->fields[i];
        size_t at[2] = {f->pos, f->pos + f->bytes / 2};
        for (int k = 0; k < 2; k++) {
            if (at[k] > last)
                add_plan(c, TRUNCATE, 0, 0, last = at[k]);
        }
    }
    const size_t tails[] = {c->data_start - 1, c->data_start, c->data_start + 1,
                            c->data_start + (c->data_end - c->data_start) / 2, c->data_end - 1};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        if (tails[i] > last)
            add_plan(c, TRUNCATE, 0, 0, last = tails[i]);
    }
    if (c->data_end < c->file.n)
        add_plan(c, TRUNCATE, 0, 0, c->data_end);
}

static void plan_keys(struct gguf_corrupt *c)
{
    for (size_t i = 0; i < c->n_keys; i++) {
        const struct doc_key *k = &c->keys[i];
        add_plan(c, REMOVE_KEY, i, 0, 0);
        add_plan(c, DUPLICATE_KEY, i, 0, 0);
        for (uint32_t type = 0; type < GGUF_TYPE_COUNT; type++) {
            if (type != k->type)
                add_plan(c, RETYPE_KEY, i, type, 0);
        }
        for (size_t f = 0; k->type == GGUF_F32 && f < N_ODD_FLOATS; f++)
            add_plan(c, FLOAT_VALUE, i, f, 0);
        if (k->type != GGUF_ARRAY)
            continue;
        uint64_t n = number_at(k->value.data + 4, 8), elem = number_at(k->value.data, 4);
        if (n > 0)
            add_plan(c, ARRAY_LEN, i, 0, 0);
        if (n > 1)
            add_plan(c, ARRAY_LEN, i, 0, n - 1);
        if (n > 0 && elem != GGUF_STRING && elem != GGUF_BOOL) {
            add_plan(c, ARRAY_VALUE, i, 0, 0);
            add_plan(c, ARRAY_VALUE, i, 0x7f, 0);
            add_plan(c, ARRAY_VALUE, i, 0xff, 0);
        }
    }
}

static void plan_tensors(struct gguf_corrupt *c)
{
    for (size_t i = 0; i < c->n_tensors; i++) {
        size_t next = (i + 1) % c->n_tensors;
        add_plan(c, REMOVE_TENSOR, i, 0, 0);
        add_plan(c, RENAME_TENSOR, i, 0, 0);
        add_plan(c, RENAME_TENSOR, i, N_TENSOR_NAMES, 0);
        for (size_t k = 1; i == 0 && k < N_TENSOR_NAMES; k++)
            add_plan(c, RENAME_TENSOR, i, k, 0);
        add_plan(c, MOVE_TENSOR, i, next, 0);
        add_plan(c, MOVE_TENSOR, i, next, c->alignment);
        add_plan(c, MOVE_TENSOR, i, i, 4);
        add_plan(c, MOVE_TENSOR, i, i, UINT64_MAX - c->data_start - c->tensors[i].offset + 1);
        if (c->tensors[i].ne[0] != c->tensors[i].ne[1])
            add_plan(c, SWAP_DIMS, i, 0, 0);
        add_plan(c, SCALAR_TENSORS, i, 0, 0);
    }
}

struct gguf_corrupt *gguf_corrupt_create(const uint8_t *bytes, size_t n_bytes, size_t n_random)
{
    struct gguf_corrupt *c = mem_zalloc(sizeof *c);
    c->file = (struct span){bytes, n_bytes};
    if (!parse(c)) {
        gguf_corrupt_destroy(&c);
        return NULL;
    }
    for (size_t i = 0; i < N_OTHER_FILES; i++)
        add_plan(c, FILE_KIND, i, 0, 0);
    plan_sweeps(c);
    plan_truncations(c);
    plan_keys(c);
    for (size_t i = 0; i < N_ADDED_KEYS; i++)
        add_plan(c, ADD_KEY, i, 0, 0);
    for (size_t i = 0; i < N_ALIGNMENTS; i++)
        add_plan(c, ALIGNMENT, i, 0, 0);
    plan_tensors(c);
    for (size_t i = 0; i < n_random; i++)
        add_plan(c, RANDOM, 0, 0, i + 1);
    return c;
}

void gguf_corrupt_destroy(struct gguf_corrupt **c)
{
    if (!*c)
        return;
    free((*c)->fields);
    free((*c)->keys);
    free((*c)->tensors);
    free((*c)->plans);
    free(*c);
    *c = NULL;
}

size_t gguf_corrupt_count(const struct gguf_corrupt *c)
{
    return c->n_plans;
}

static void build(const struct gguf_corrupt *c, const struct plan *p, struct buf *b,
                  struct gguf_variant *out)
{
    switch (p->family) {
    case SWEEP:
        make_sweep(c, p, b, out);
        break;
    case TRUNCATE:
        make_truncated(c, p, b, out);
        break;
    case FILE_KIND:
        make_other_file(p, b, out);
        break;
    case RETYPE_KEY:
        make_retyped_key(c, p, b, out);
        break;
    case REMOVE_KEY:
        make_without_key(c, p, b, out);
        break;
    case DUPLICATE_KEY:
        make_duplicate_key(c, p, b, out);
        break;
    case FLOAT_VALUE:
        make_float(c, p, b, out);
        break;
    case ARRAY_LEN:
    case ARRAY_VALUE:
        make_array(c, p, b, out);
        break;
    case ADD_KEY:
        make_added_key(c, p, b, out);
        break;
    case ALIGNMENT:
        make_alignment(c, p, b, out);
        break;
    case REMOVE_TENSOR:
        make_without_tensor(c, p, b, out);
        break;
    case RENAME_TENSOR:
        make_renamed_tensor(c, p, b, out);
        break;
    case MOVE_TENSOR:
        make_moved_tensor(c, p, b, out);
        break;
    case SWAP_DIMS:
    case SCALAR_TENSORS:
        make_reshaped_tensor(c, p, b, out);
        break;
    case RANDOM:
        make_random(c, p, b, out);
        break;
    }
}

void gguf_corrupt_make(const struct gguf_corrupt *c, size_t i, struct gguf_variant *out)
{
    struct buf b;
    buf_init(&b, 2 * c->file.n + 65536);
    *out = (struct gguf_variant){.family = family_names[c->plans[i].family]};
    build(c, &c->plans[i], &b, out);
    out->n_bytes = b.len;
    out->bytes = (uint8_t *)buf_take(&b);
}
