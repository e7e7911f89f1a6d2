/* What op tests and op benchmarks share: a device with step buffers, random tensors, and running
 * one op as a plan. Everything fails hard (message and exit) because a test cannot go on without
 * it.
 */
#ifndef SEEKD_TESTS_DEVICE_RIG_H
#define SEEKD_TESTS_DEVICE_RIG_H

#include "device/device.h"

/* How variants are picked. SPLIT: the ones for real GPUs, also on a software driver. */
enum rig_mode { RIG_AUTO, RIG_PORTABLE, RIG_SPLIT, RIG_MODE_COUNT };
const char *rig_mode_name(enum rig_mode mode);

struct rig {
    struct dev *dev;
    struct dev_step step;
    enum rig_mode mode;
    uint32_t features; /* of the device, before rig_set_mode changed them */
};

enum { RIG_MAX_ROWS = 160, RIG_MAX_OUT = 40, RIG_MAX_SEQS = 8, RIG_TABLE = 16, RIG_STATS = 8 };

void rig_open(struct rig *r);
void rig_close(struct rig *r);
void rig_set_mode(struct rig *r, enum rig_mode mode);
/* Head of the step: every run reads it. */
void rig_head(struct rig *r, uint32_t n_rows, uint32_t n_out, uint32_t n_edits);

/* Random numbers: the same sequence for the same seed. */
void rig_seed(uint64_t seed);
uint32_t rig_random(uint32_t below);
float rig_normal(void);
/* n floats of about normal distribution, on the heap. */
float *rig_floats(size_t n, float scale);
/* A weight [n_mat][rows, cols] in file form with random blocks, on the heap. */
void *rig_blocks(uint32_t type, uint32_t n_mat, uint32_t rows, uint32_t cols);

struct dev_buf *rig_buf(struct rig *r, const void *data, size_t bytes);
struct dev_buf *rig_zeros(struct rig *r, size_t bytes);
void rig_read(struct rig *r, struct dev_buf *b, void *out, size_t bytes);
void rig_free(struct rig *r, struct dev_buf *b);
struct dev_weight *rig_weight(struct rig *r, uint32_t type, uint32_t n_mat, uint32_t rows,
                              uint32_t cols, const void *data);

/* Runs one op in a plan of its own for max_rows and max_out. */
void rig_run(struct rig *r, const struct op *op, uint32_t max_rows, uint32_t max_out);

_Noreturn void rig_die(const char *what, const struct err *e);

#endif
