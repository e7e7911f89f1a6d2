/* What the endpoints of the prompt registry share: who acts, on which template, and errors that carry
 * more than a sentence. Internal to admin/.
 */
#ifndef SEEKD_ADMIN_TEMPLATE_CALL_H
#define SEEKD_ADMIN_TEMPLATE_CALL_H

#include <jansson.h>
#include <stdbool.h>

#include "api/api.h"
#include "template/registry.h"

/* A call as the registry wants it. Borrows from the api_call; stays where it was filled. */
struct template_call {
    const struct api_call *call;
    struct registry *registry;
    struct principal who; /* only the roles that the key's scopes let act: the registry asks for roles */
    struct audit_actor actor;
    struct registry_act act; /* points to the two above */
    const char *name;        /* the path's first parameter, "" without one */
};

void template_call_init(struct template_call *t, const struct api_call *call);
/* The same for a path that begins with a name. A key that is limited to templates finds no others:
 * API_NOT_FOUND. */
bool template_call_named(struct template_call *t, const struct api_call *call,
                         struct api_error *e) WARN_UNUSED;

/* "3" or "production". API_NOT_FOUND for what is neither. */
bool template_ref(const char *text, struct registry_ref *out, struct api_error *e) WARN_UNUSED;

/* The error `why` with `extra` (owned, may be NULL) under `name` in its object. */
void template_answer_refused_take(struct api_answer *answer, const struct err *why,
                                  const char *name, json_t *extra);

/* Writes "/admin/v1/templates/NAME", the name as one segment. */
enum { TEMPLATE_PATH = 3 * CONTENT_NAME_MAX + 64 };
void template_path(char out[TEMPLATE_PATH], const char *name);

/* For schema tables: keeps the value as it is, at the offset of a `const json_t *`. */
struct schema_field;
bool template_keep_json(const struct schema_field *f, const json_t *value, void *target,
                        struct api_error *e);

#endif
