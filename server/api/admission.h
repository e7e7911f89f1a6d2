/* Admission: may this generation run, who answers for it, and the row that says so.
 *
 * Checks the key's list of models and the limits, opens the row in the ledger, and at the end settles
 * both. On a server with a database every generation has one; without a database there is none.
 *
 * States, what is true in each, and the function that leads there:
 *   ADMISSION_RUNNING  the limits hold tokens and a place; the row is `started` (admission_begin)
 *   ADMISSION_ENDING   settled; the row's end is queued (admission_end)
 *   ADMISSION_WRITTEN  the end is committed (writer thread)
 *   ADMISSION_LOST     it could not be: the answer must not end well (writer thread, admission_end)
 *
 * Owner: the generation. Thread: whoever reads the generation; `notify` is called on the writer thread,
 * once, when ENDING is over, with the admission's lock held. It takes the lock of the gate or that of
 * the runner of test sets, so nobody who holds one of them may call in here (generation_cancel does
 * not).
 */
#ifndef SEEKD_API_ADMISSION_H
#define SEEKD_API_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "usage/ledger.h"

struct admission;
struct use;

struct admission_ask {
    const struct api_call *call; /* with a service; borrowed for the call */
    const struct use *use;       /* NULL = no prompt of the registry; borrowed for the call */
    const char *model;
    enum ledger_class class; /* interactive = by who asks: a session, or a key (api) */
    uint64_t prompt_tokens; /* counted once, however many choices */
    uint64_t most_tokens;   /* that all choices together may generate */
    void (*notify)(void *user);
    void *user;
};

/* Errors: API_MODEL_NOT_FOUND, API_RATE_LIMITED, API_QUOTA, API_OVERLOADED, API_STORAGE. While the
 * database refuses writes it waits for the commit of the row, which is how the first request after the
 * trouble gets in; else nothing waits. */
bool admission_begin(const struct admission_ask *ask, struct admission **out,
                     struct api_error *e) WARN_UNUSED;
/* Permille of a full share in the engine's queue. */
unsigned admission_weight(const struct admission *a);
/* Whether the department keeps texts, so that it is worth while to collect one. */
bool admission_keeps_text(const struct admission *a);

/* RUNNING -> gone: it was admitted and the engine did not take it. The limits forget it; the row ends as
 * failed. */
void admission_refuse(struct admission **a, unsigned http_status);

/* Tells the ledger of the counts so far. Nobody waits. */
void admission_progress(struct admission *a, const struct ledger_counts *counts);

/* RUNNING -> ENDING or LOST. `finished_us` is set here. */
void admission_end(struct admission *a, const struct ledger_end *end);

enum admission_state {
    ADMISSION_RUNNING,
    ADMISSION_ENDING,
    ADMISSION_WRITTEN,
    ADMISSION_LOST
};
enum admission_state admission_state(struct admission *a);

/* The owner goes; notify is not called any more when this returns. Not while RUNNING. Accepts NULL. */
void admission_leave(struct admission **a);

#endif
