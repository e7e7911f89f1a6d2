/* Corrupted variants of a valid GGUF file, always the same ones: field sweeps (every count, length,
 * type, size, offset and scalar set to boundary values), wrong types, truncation, duplicates,
 * overlaps, alignments, split keys, names, missing keys and tensors, changed arrays, random edits.
 *
 * Use: create from the bytes of a valid file, then make any variant by its index, write it to a
 * file and hand that to the code under test. Variants are independent of each other.
 * Thread: one at a time per struct.
 */
#ifndef SEEKD_TESTS_GGUF_CORRUPT_H
#define SEEKD_TESTS_GGUF_CORRUPT_H

#include <stddef.h>
#include <stdint.h>

/* What gguf_open must do with a variant (a model loader may refuse more). */
enum gguf_expect {
    GGUF_REFUSED, /* one clear error */
    GGUF_LOADS,   /* still a valid container */
    GGUF_EITHER   /* depends on the file; never a crash */
};

struct gguf_variant {
    char name[160];     /* "tensor a.weight: offset = 0x80000000" */
    const char *family; /* "sweep", "truncate", …: static */
    enum gguf_expect expect;
    uint8_t *bytes; /* owned: free() */
    size_t n_bytes;
};

struct gguf_corrupt;

/* `bytes` (valid, at least one key and two tensors) is borrowed until destroy. n_random: how many
 * variants with random edits of the metadata come at the end. NULL when it cannot be parsed. */
struct gguf_corrupt *gguf_corrupt_create(const uint8_t *bytes, size_t n_bytes, size_t n_random);
void gguf_corrupt_destroy(struct gguf_corrupt **c);

size_t gguf_corrupt_count(const struct gguf_corrupt *c);
/* i < count. The caller frees out->bytes. */
void gguf_corrupt_make(const struct gguf_corrupt *c, size_t i, struct gguf_variant *out);

#endif
