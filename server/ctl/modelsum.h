/* The recorded SHA-256 of a model's files: FILE.sha256 beside each, or SHA256SUMS in its folder, in the
 * form of sha256sum. Thread: any; no state.
 */
#ifndef SEEKD_CTL_MODELSUM_H
#define SEEKD_CTL_MODELSUM_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

/* Path of part `i` (from 0) of the set that `model` is a part of ("-00001-of-00003.gguf"); a file that
 * is no part of a set is its only one. False: there is no such part. */
bool modelsum_part(const char *model, unsigned i, char part[PATH_MAX]);

enum modelsum_found {
    MODELSUM_NONE,  /* neither file is there */
    MODELSUM_FOUND, /* `digest` is what `from` says */
    MODELSUM_BAD    /* `from` is there, but says nothing about this file, or cannot be read */
};
enum modelsum_found modelsum_find(const char *part, uint8_t digest[HASH_SHA256_BYTES],
                                  char from[PATH_MAX]);

/* Writes FILE.sha256, which must not exist. `to` gets its path. */
bool modelsum_record(const char *part, const uint8_t digest[HASH_SHA256_BYTES], char to[PATH_MAX],
                     struct err *e) WARN_UNUSED;

#endif
