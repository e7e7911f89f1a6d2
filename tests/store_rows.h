/* A table of rows that store tests write, count and compare: `row (id, writer, n, filler)`.
 * Thread: any.
 */
#ifndef SEEKD_TESTS_STORE_ROWS_H
#define SEEKD_TESTS_STORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* One job of two rows, (writer, n, 1) and (writer, n, 2): either both are there or none. */
struct pair {
    int64_t writer, n;
    size_t filler_bytes; /* in each of them */
};

store_fn rows_create;   /* the table; ctx unused */
store_fn rows_add_pair; /* ctx = struct pair */
store_fn rows_count;    /* ctx = int64_t: rows in all */
/* ctx = struct pair: ERR_NOT_FOUND when it is missing, ERR_FORMAT when only half of it is there. */
store_fn rows_find_pair;
store_fn rows_find_halves; /* ctx = int64_t: pairs of which one row is missing */

/* A fresh store with the table in it. Aborts the test on failure. */
struct store *rows_open(const char *path);
/* Opens what is there. */
struct store *rows_reopen(const char *path);
void rows_write(struct store *s, int64_t writer, int64_t n, size_t filler_bytes);
int64_t rows_total(struct store *s);
bool rows_have(struct store *s, int64_t writer, int64_t n);

/* Deletes a folder and the files in it. */
void rows_remove_dir(char *dir);

#endif
