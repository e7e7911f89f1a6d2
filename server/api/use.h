/* A prompt of the registry in use: the object `prompt` of a request, resolved, rendered and merged
 * with what else the caller sent.
 *
 *   "prompt": {"id": NAME, "version": N or "N" | "label": LABEL, "variables": {...}}
 *
 * Neither version nor label means the label "production". Resolution is strict: an unknown name,
 * label or version is 404, both together 400. A key that is limited to templates sees the
 * others as missing.
 * Thread: workers.
 */
#ifndef SEEKD_API_USE_H
#define SEEKD_API_USE_H

#include <jansson.h>
#include <stdbool.h>

#include "api/api.h"
#include "template/registry.h"
#include "template/render.h"

struct use {
    struct registry_resolved resolved;
    struct prompt_rendering rendering;
};

/* Resolves and renders. `prompt` is the JSON of the field; errors name "prompt.…" as their param.
 * On success release with use_release; a zeroed one may be released too. */
bool use_read(const struct api_call *call, const json_t *prompt, struct use *out,
              struct api_error *e) WARN_UNUSED;
/* The same from parts: an empty `ref` = "production"; `variables` may be NULL. */
bool use_make(const struct api_call *call, const char *name, struct registry_ref ref,
              const json_t *variables, struct use *out, struct api_error *e) WARN_UNUSED;
void use_release(struct use *u);

/* The request with the version's settings, model and tools where the caller gave none, and the
 * rendered messages in front of the caller's `messages`. `prompt` is taken out. Owned reference. */
json_t *use_merge(const struct use *u, const json_t *body);

/* {"id", "version", "label" (null when asked by number), "hash", "canary"}: goes into the answer.
 * Owned. */
json_t *use_json(const struct use *u);

#endif
