/* Owns: the policy for running out of host memory (see mem.h). */
#include <config.h>

#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t bytes)
{
    fprintf(stderr, "seekd: out of memory (%zu bytes wanted)\n", bytes);
    abort();
}

void *mem_alloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    if (!p)
        out_of_memory(bytes);
    return p;
}

void *mem_calloc(size_t n, size_t elem_bytes)
{
    void *p = mem_try_calloc(n, elem_bytes);
    if (!p)
        out_of_memory(elem_bytes && n > SIZE_MAX / elem_bytes ? SIZE_MAX : n * elem_bytes);
    return p;
}

void *mem_zalloc(size_t bytes)
{
    return mem_calloc(1, bytes);
}

void *mem_realloc(void *p, size_t bytes)
{
    p = realloc(p, bytes ? bytes : 1);
    if (!p)
        out_of_memory(bytes);
    return p;
}

char *mem_strndup(const char *s, size_t len)
{
    char *p = mem_alloc(len + 1);
    memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

/* The product is checked here, not by the library: allocators under test abort on overflow. */
void *mem_try_calloc(size_t n, size_t elem_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, elem_bytes, &bytes))
        return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void *mem_try_reallocarray(void *p, size_t n, size_t elem_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, elem_bytes, &bytes))
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}
