/* An SQLite VFS ("seekd-fault") between SQLite and the system's: fails I/O steps, limits the space,
 * and records writes so that a test can ask what a disk may hold after a power failure.
 * One recorded database per process. xSync does not reach the disk and xSleep does not sleep.
 * Thread: any; the settings are changed while no store is open or at rest.
 */
#ifndef SEEKD_TESTS_FAULT_VFS_H
#define SEEKD_TESTS_FAULT_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VFS_NAME "seekd-fault"

/* Registers it; once per process (a second call does nothing). */
void vfs_register(void);

/* ---- steps that fail
 * ----------------------------------------------------------------------------- */

enum vfs_fault {
    VFS_IOERR, /* open, read, write, truncate, size, delete, map shared memory */
    VFS_FULL,  /* write */
    VFS_SHORT, /* write: half of the bytes, then the disk is full */
    VFS_BUSY,  /* any lock */
    VFS_FSYNC, /* sync */
    VFS_FAULT_COUNT
};
extern const char *const vfs_fault_names[VFS_FAULT_COUNT];

/* The `nth` step (from 1) that can fail in this way does, once or (`for_good`) with all after it.
 */
void vfs_fail(enum vfs_fault fault, unsigned nth, bool for_good);
/* Nothing fails any more. Did anything since vfs_fail()? */
bool vfs_calm(void);
/* Has a step failed so far? */
bool vfs_failed(void);

/* Files may grow by so many bytes in all from now on; -1 = without limit. */
void vfs_limit_space(int64_t bytes);

/* ---- power failures
 * ------------------------------------------------------------------------------ */

void vfs_record(void);      /* from here on; forgets what was recorded */
void vfs_record_stop(void); /* keeps what was recorded */
void vfs_record_free(void);
size_t vfs_position(void); /* steps recorded until now */

/* Writes the files that a disk may hold when power fails after `upto` recorded steps: what was
 * synced is there; of the rest each write is there, missing, or torn at sectors of 512 bytes, in
 * any order. `seed` chooses. `path` names the database file to make (with -wal and -journal as they
 * are). */
bool vfs_image(size_t upto, uint64_t seed, const char *path);

#endif
