/* Host memory.
 *
 * Small allocations whose size the program itself decides go through mem_* and abort with one line
 * on stderr when the host is out of memory. Anything sized by a request, a file or a model uses
 * mem_try_*, which returns NULL on failure or overflow so that the caller reports ERR_NOMEM.
 * Thread: any. Owner: the caller, freed with free().
 */
#ifndef SEEKD_BASE_MEM_H
#define SEEKD_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_calloc(size_t n, size_t elem_bytes) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull, nonnull));
char *mem_strndup(const char *s, size_t len) __attribute__((malloc, returns_nonnull, nonnull));

/* Array of n elements, zeroed; NULL when n * elem_bytes overflows or memory is out. */
void *mem_try_calloc(size_t n, size_t elem_bytes) __attribute__((malloc));
/* Grows or shrinks an array to n elements; NULL (old block kept) on overflow or out of memory. */
void *mem_try_reallocarray(void *p, size_t n, size_t elem_bytes);

#endif
