/* Step buffers: what the host tells a plan before each run, and what it reads afterwards. */
#include <config.h>

#include "device/device.h"

#include <string.h>

#include "base/checked.h"

static bool make(struct dev *d, struct dev_buf **out, const char *tag, enum dev_mem mem, uint64_t n,
                 uint64_t elem_bytes, struct err *e)
{
    uint64_t bytes;

    if (!checked_mul(n > 0 ? n : 1, elem_bytes, &bytes))
        FAIL(e, ERR_LIMIT, "step buffer \"%s\" is too large", tag);
    return dev_buf_create(d, bytes, mem, tag, out, e);
}

bool dev_step_init(struct dev *d, struct dev_step *s, struct err *e)
{
    uint64_t table = 0;

    s->head = s->rows = s->out = s->edits = s->block_table = s->candidates = s->stats = NULL;
    if (!checked_mul(s->max_seqs, s->table_stride, &table))
        FAIL(e, ERR_LIMIT, "the block table is too large");
    TRY(make(d, &s->head, "step.head", DEV_MEM_STEP, 1, sizeof(struct dev_step_head), e));
    TRY(make(d, &s->rows, "step.rows", DEV_MEM_STEP, s->max_rows, sizeof(struct dev_row), e));
    TRY(make(d, &s->out, "step.out", DEV_MEM_STEP, s->max_out, sizeof(struct dev_out), e));
    TRY(make(d, &s->edits, "step.edits", DEV_MEM_STEP, s->max_edits, sizeof(struct dev_edit), e));
    TRY(make(d, &s->block_table, "step.block_table", DEV_MEM_STEP, table, sizeof(uint32_t), e));
    TRY(make(d, &s->candidates, "step.candidates", DEV_MEM_RESULT, s->max_out,
             sizeof(struct dev_candidates), e));
    TRY(make(d, &s->stats, "step.stats", DEV_MEM_RESULT, s->n_stats, sizeof(uint32_t), e));
    return true;
fail:
    dev_step_release(d, s);
    return false;
}

void dev_step_release(struct dev *d, struct dev_step *s)
{
    dev_buf_destroy(d, &s->head);
    dev_buf_destroy(d, &s->rows);
    dev_buf_destroy(d, &s->out);
    dev_buf_destroy(d, &s->edits);
    dev_buf_destroy(d, &s->block_table);
    dev_buf_destroy(d, &s->candidates);
    dev_buf_destroy(d, &s->stats);
}
