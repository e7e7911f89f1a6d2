/* A prompt: one template version with everything it includes, compiled, ready to render.
 *
 * Rendering is pure: the same prompt and the same variables give the same bytes, on any machine and
 * any day. Composition: where a version includes another template, that one's messages stand in its
 * place and its declared variables are added (the including version's declaration of the same name
 * wins, the types must agree). Model, settings, tools and response schema come from the including
 * version alone.
 *
 * Owner: reference counted. Thread: immutable, any number of threads may render at once.
 */
#ifndef SEEKD_TEMPLATE_RENDER_H
#define SEEKD_TEMPLATE_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "template/canon.h"
#include "template/finding.h"

struct prompt;
struct jinja_template;

/* Nesting of includes (a version that includes nothing has depth 0), and versions in one prompt. */
enum { PROMPT_MAX_DEPTH = 4, PROMPT_MAX_SOURCES = 64, PROMPT_MAX_MESSAGES = 256 };

/* A version. Whoever gets the struct owns the reference. */
struct prompt_source {
    int64_t template_id, number; /* 0, 0 = not stored yet */
    json_t *content;             /* as content_check() gave it */
};

/* Finds an included version: by `label`, or by `number` when `label` is NULL. */
typedef bool prompt_fetch_fn(void *ctx, const char *name, const char *label, int64_t number,
                             struct prompt_source *out, struct err *e);

/* Compiles `root` (borrowed; the content is shared) and what it includes. `fetch` NULL: includes
 * are left out. *out is owned by the caller. Errors: ERR_FORMAT (a message does not compile; with
 * its place), ERR_LIMIT (includes too deep or too many), ERR_ARG (types disagree), those of
 * `fetch`. */
bool prompt_create(const struct prompt_source *root, prompt_fetch_fn *fetch, void *ctx,
                   struct prompt **out, struct err *e) WARN_UNUSED;
struct prompt *prompt_ref(struct prompt *p);
void prompt_unref(struct prompt **p);

/* The including version's content; borrowed. */
const json_t *prompt_content(const struct prompt *p);
/* All declared variables, those of included versions too; borrowed. */
const json_t *prompt_variables(const struct prompt *p);

struct prompt_message {
    const char *role; /* borrowed */
    const char *text; /* source, borrowed */
    size_t len;
    struct jinja_template *compiled; /* owned by the prompt */
    size_t source;                   /* 0 = the including version */
    size_t index;                    /* in that version's messages */
};
size_t prompt_n_messages(const struct prompt *p);
const struct prompt_message *prompt_message_at(const struct prompt *p, size_t i);
size_t prompt_n_sources(const struct prompt *p);
const struct prompt_source *prompt_source_at(const struct prompt *p, size_t i);

struct prompt_rendering {
    json_t *messages;  /* owned: [{"role", "content"}], as a chat request has them */
    json_t *variables; /* owned: the values that were used, defaults included */
    uint8_t variables_hash[CANON_HASH_BYTES]; /* SHA-256 of their canonical text */
};

/* Checks `given` (object or NULL) and renders. False: ERR_ARG with findings (when `f` is not NULL)
 * for variables that do not fit; the errors of jinja_render() with the message's place. */
bool prompt_render(const struct prompt *p, const json_t *given, struct prompt_rendering *out,
                   struct findings *f, struct err *e) WARN_UNUSED;
void prompt_rendering_release(struct prompt_rendering *r);

#endif
