/* What a compute device implements, behind device.h: seen by engine/device only.
 *
 * A device embeds `struct dev` as the first member of its own struct, and `struct dev_buf`
 * likewise. device.c finds devices and forwards, plan.c keeps the ops of a plan and derives
 * barriers, and the device turns ops into whatever it executes. Ownership, threads and errors as
 * device.h says.
 */
#ifndef SEEKD_DEVICE_IMPL_H
#define SEEKD_DEVICE_IMPL_H

#include "device/device.h"

struct dev_impl {
    const char *prefix; /* device names of this implementation: "vulkan" or "vulkan:N" */
    /* `index` < 0: pick the best one. */
    bool (*open)(const struct dev_options *opt, int index, struct dev **out, struct err *e);
    void (*close)(struct dev *d);
    /* Prints all devices of this implementation; *n counts them. */
    bool (*list)(FILE *out, bool kernels, int *n, struct err *e);

    bool (*buf_create)(struct dev *d, uint64_t bytes, enum dev_mem mem, const char *tag,
                       struct dev_buf **out, struct err *e);
    void (*buf_destroy)(struct dev *d, struct dev_buf *b);
    bool (*buf_write)(struct dev *d, struct dev_buf *b, uint64_t offset, const void *src,
                      uint64_t bytes, struct err *e);
    bool (*buf_read)(struct dev *d, struct dev_buf *b, uint64_t offset, void *dst, uint64_t bytes,
                     struct err *e);

    /* `priv` of a plan: the device's own side of it. */
    bool (*plan_open)(struct plan *p, struct err *e);
    /* Checks op number p->n_ops against the device's limits and keeps what it will execute. */
    bool (*plan_op)(struct plan *p, const struct op *op, struct err *e);
    /* All ops are there and p->stages says in which order they run. */
    bool (*plan_seal)(struct plan *p, struct err *e);
    bool (*plan_run)(struct plan *p, struct err *e);
    bool (*plan_profile)(struct plan *p, int runs, double *us, struct err *e);
    void (*plan_close)(struct plan *p);
    /* Variants and sizes of op `i` on one line, without its newline. */
    void (*plan_print_op)(const struct plan *p, size_t i, FILE *out);
};

struct dev {
    const struct dev_impl *impl;
    struct dev_info info;
    bool failed; /* sticky: the device was lost or did not answer */
};

struct dev_buf {
    uint64_t bytes; /* as asked for */
    enum dev_mem mem;
    const char *tag; /* static */
    void *map;       /* host address for STEP and RESULT, else NULL */
};

enum { PLAN_MAX_ACCESS = 16 };

/* An op in the order of execution. */
struct plan_stage {
    uint32_t op;  /* index in the order of plan_add */
    bool barrier; /* waits for everything before it */
};

struct plan {
    struct dev *dev;             /* borrowed, outlives the plan */
    const struct dev_step *step; /* borrowed, outlives the plan */
    uint32_t max_rows, max_out;
    struct op *ops; /* owned, in the order of plan_add */
    uint32_t n_ops, cap_ops;
    struct plan_stage *stages; /* owned [n_ops], NULL before plan_finish */
    bool sealed;
    void *priv; /* owned by the device */
};

/* Returns a failure for every call on a failed device. */
bool dev_check(const struct dev *d, struct err *e) WARN_UNUSED;

extern const struct dev_impl vk_dev_impl; /* vulkan/device.c */

#endif
