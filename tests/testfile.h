/* Files for tests: where the source tree and the golden data are, whole-file reading and writing.
 * Functions return malloc()ed memory, owned by the caller. Thread: one.
 */
#ifndef SEEKD_TESTS_TESTFILE_H
#define SEEKD_TESTS_TESTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Path of a file of the source tree, given relative to its root: $SEEKD_SRCDIR, else $srcdir, else
 * the working directory. */
char *testfile_source(const char *relative);

/* Path of a file of the golden data: $SEEKD_FIXTURES, else ../shared/fixtures beside the source
 * root. Prints "SKIP: …" and returns NULL when there is no such file. */
char *testfile_fixture(const char *relative);

/* The whole content, NULL when the file cannot be read. */
uint8_t *testfile_read(const char *path, size_t *n_bytes);
/* Replaces the file by a new one (a mapping of the old one stays intact). */
bool testfile_write(const char *path, const void *bytes, size_t n_bytes);

/* A fresh folder below $TMPDIR. testfile_remove_dir deletes it with the files directly in it. */
char *testfile_make_dir(void);
void testfile_remove_dir(const char *path);

/* "dir/name" */
char *testfile_join(const char *dir, const char *name);

#endif
