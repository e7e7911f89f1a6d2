/* Owns: GGUF models of one file or many, and the look-ups in them.
 * Refuses to know: the bytes of a file (gguf_part.c), and what a key or a tensor means to a model.
 *
 * A split set is a number of complete GGUF files; each is read on its own, then the tensors are
 * joined in the order of the parts and the metadata of the first part is kept.
 */
#include <config.h>

#include "format/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf_part.h"

enum { MAX_PARTS = 4096 };

struct gguf {
    struct gguf_part *parts;
    size_t n_parts;
    struct gguf_tensor *tensors; /* all parts, in order */
    struct gguf_tensor **sorted;
    size_t n_tensors;
    uint64_t bytes;
};

/* ---- split sets ----------------------------------------------------------------------------- */

struct split {
    uint64_t no;    /* 0-based */
    uint64_t count; /* 1: the file is a whole model */
};

/* "…-00002-of-00003.gguf" gives {1, 3}; other names give count 0. */
static struct split split_of_name(const char *path)
{
    static const char pattern[] = "-00000-of-00000.gguf";
    struct split s = {0};
    size_t len = strlen(gguf_base_name(path)), n = sizeof pattern - 1;
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
static bool split_of_part(const struct gguf_part *p, struct split name, struct split *out,
                          struct err *e)
{
    const struct gguf_kv *count = gguf_keys_find(&p->keys, "split.count");
    const struct gguf_kv *no = gguf_keys_find(&p->keys, "split.no");
    *out = name.count ? name : (struct split){.count = 1};
    if (count && !gguf_uint(count, MAX_PARTS, &out->count, e))
        return false;
    if (out->count == 0)
        out->count = 1;
    if (no && !gguf_uint(no, MAX_PARTS, &out->no, e))
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

static bool open_other_part(const char *first_path, struct split want, struct gguf_part *p,
                            struct err *e)
{
    bool ok = false;
    char *path = part_path(first_path, want);
    if (gguf_part_open(path, p, e)) {
        struct split said;
        ok = split_of_part(p, split_of_name(path), &said, e) || gguf_fail_in_file(e, path);
    } else if (e->code == ERR_NOT_FOUND) {
        struct gguf_quoted q;
        err_set(e, ERR_NOT_FOUND, 0, __FILE__, __LINE__,
                "%s is missing: it is part %llu of the %llu parts of this model, which must lie "
                "in one folder",
                gguf_quote_name(&q, gguf_base_name(path)), (unsigned long long)want.no + 1,
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
    const struct gguf_kv *total = gguf_keys_find(&g->parts[0].keys, "split.tensors.count");
    uint64_t stated, found = 0;
    for (size_t i = 0; i < g->n_parts; i++)
        found += g->parts[i].n_tensors;
    if (!total)
        return true;
    if (!gguf_uint(total, UINT32_MAX, &stated, e))
        return gguf_fail_in_file(e, g->parts[0].path);
    if (stated != found) {
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                "the metadata key \"split.tensors.count\" is %llu, but the parts hold %llu tensors",
                (unsigned long long)stated, (unsigned long long)found);
        return gguf_fail_in_file(e, g->parts[0].path);
    }
    return true;
}

/* ---- the whole model ------------------------------------------------------------------------ */

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
    if (n > GGUF_MAX_TENSORS)
        FAIL(e, ERR_LIMIT, "the model has %zu tensors, the limit is %d", n, GGUF_MAX_TENSORS);
    g->tensors = mem_try_calloc(n, sizeof *g->tensors);
    g->sorted = mem_try_calloc(n, sizeof(struct gguf_tensor *));
    if (!g->tensors || !g->sorted)
        FAIL(e, ERR_NOMEM, "no memory for %zu tensors", n);
    for (size_t i = 0; i < g->n_parts; i++) {
        struct gguf_part *p = &g->parts[i];
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
        struct gguf_quoted q;
        if (compare_tensors(&g->sorted[i - 1], &g->sorted[i]) == 0)
            FAIL(e, ERR_FORMAT, "the tensor name %s appears twice",
                 gguf_quote_name(&q, g->sorted[i]->name));
    }
    return true;
}

static bool open_model(struct gguf *g, const char *path, struct err *e)
{
    struct gguf_part opened;
    struct split split;
    if (!gguf_part_open(path, &opened, e))
        return false;
    if (!split_of_part(&opened, split_of_name(path), &split, e)) {
        gguf_part_close(&opened);
        return gguf_fail_in_file(e, path);
    }
    g->parts = mem_try_calloc((size_t)split.count, sizeof *g->parts);
    if (!g->parts) {
        gguf_part_close(&opened);
        err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "no memory for the %llu parts of the model",
                (unsigned long long)split.count);
        return gguf_fail_in_file(e, path);
    }
    g->n_parts = (size_t)split.count;
    g->parts[split.no] = opened;
    if (split.count > 1 && !open_all_parts(g, path, split, e))
        return false;
    return join_tensors(g, e) || gguf_fail_in_file(e, path);
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
        gguf_part_close(&(*g)->parts[i]);
    free((*g)->parts);
    free((*g)->tensors);
    free((*g)->sorted);
    free(*g);
    *g = NULL;
}

/* ---- look-ups ------------------------------------------------------------------------------- */

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
    return gguf_keys_find(&g->parts[0].keys, key);
}

static bool missing_key(const struct gguf *g, const char *key, struct err *e)
{
    struct gguf_quoted q;
    err_set(e, ERR_NOT_FOUND, 0, __FILE__, __LINE__, "the metadata key %s is missing",
            gguf_quote_name(&q, key));
    return gguf_fail_in_file(e, g->parts[0].path);
}

static bool wrong_type(const struct gguf *g, const struct gguf_kv *kv, const char *wanted,
                       struct err *e)
{
    struct gguf_quoted q;
    err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
            "the metadata key %s must be of type %s, but is of type %s%s", gguf_quote(&q, kv->key),
            wanted, kv->type == GGUF_ARRAY ? "array of " : "", gguf_type_name(kv->elem_type));
    return gguf_fail_in_file(e, g->parts[0].path);
}

bool gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    uint64_t v;
    if (!kv)
        return missing_key(g, key, e);
    if (!gguf_uint(kv, UINT32_MAX, &v, e))
        return gguf_fail_in_file(e, g->parts[0].path);
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
        struct gguf_quoted q;
        err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                "the metadata key %s is not a finite 32-bit number", gguf_quote(&q, kv->key));
        return gguf_fail_in_file(e, g->parts[0].path);
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
        snprintf(wanted, sizeof wanted, "array of %s", gguf_type_name(type));
        return wrong_type(g, kv, wanted, e);
    }
    *out = kv;
    return true;
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
