/* Administration over HTTP: people, keys, limits, usage, the audit log, templates, the server itself.
 * Handlers translate between JSON and the modules on the database; the modules hold the rules.
 *
 * What all of them keep to:
 * - Objects have a revision; GET answers it as ETag, changes want it in If-Match (428 without, 412 when
 *   it is old). X-Reason (percent-encoded UTF-8) goes into the audit log.
 * - Lists: {"object": "list", "data": [...], "next": cursor or null}; ?after=CURSOR&limit=N.
 * - What somebody may not see is 404, what they see but may not do is 403.
 * - Times are seconds since the epoch; roles, scopes and states are words.
 * Thread: workers; every call may wait for the database.
 */
#ifndef SEEKD_ADMIN_ADMIN_H
#define SEEKD_ADMIN_ADMIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "api/route.h"

/* One table per file of this folder. */
extern const struct route_table ADMIN_LIMITS, ADMIN_USAGE, ADMIN_AUDIT, ADMIN_SERVER;
extern const struct route_table ADMIN_ME, ADMIN_OIDC, ADMIN_PEOPLE, ADMIN_KEYS;
extern const struct route_table ADMIN_TEMPLATES, ADMIN_LABELS, ADMIN_RUNS, ADMIN_TRANSFER;
/* All of them; the last one is NULL. */
extern const struct route_table *const ADMIN_TABLES[];
/* The i-th row of the API's table and of these; NULL behind the last. */
const struct route *admin_route_at(size_t i);
/* All rows as an OpenAPI 3.1 document (owned); NULL when memory ran out. */
json_t *admin_openapi(void);

/* ---- what handlers share ---------------------------------------------------------------------- */

enum { ADMIN_PAGE = 100, ADMIN_PAGE_MAX = 500 };

/* Largest bodies: of small objects, and of templates. */
enum { ADMIN_BODY = 64 << 10, ADMIN_BODY_TEMPLATE = 2 << 20 };

/* ?limit= (1..ADMIN_PAGE_MAX, ADMIN_PAGE) and ?after= as an id (0). */
bool admin_page(const struct api_call *call, int64_t *after, unsigned *limit,
                struct api_error *e) WARN_UNUSED;
/* ?limit= alone, of lists whose cursor is no id. */
bool admin_limit(const struct api_call *call, unsigned *limit, struct api_error *e) WARN_UNUSED;
/* The place of ?NAME= among the words (NULLs are passed over); `none` when it is not given. */
bool admin_query_word(const struct api_call *call, const char *name, const char *const *words,
                      size_t n, size_t none, size_t *out, struct api_error *e) WARN_UNUSED;
/* Ids in schema tables: what JSON's numbers hold exactly. */
#define ADMIN_ID_MAX 9007199254740991.0

/* Whether the caller reaches what `owner` says by `verb`; else API_DENIED. That they see it at all is
 * checked before. */
bool admin_may(const struct api_call *call, enum authority_object object, enum authority_verb verb,
               const struct authority_owner *owner, struct api_error *e) WARN_UNUSED;
/* Writes one row of the audit log, for acts that change no other row (copies of data). Takes `after`,
 * what was asked for; the reason is the call's. Waits for the commit. */
struct err;
bool admin_record_take(const struct api_call *call, const char *action, const char *object_kind,
                       const char *object_id, json_t *after, struct err *e) WARN_UNUSED;
/* Answers a list; takes `data`. next 0 = this was the end. */
void admin_list_take(struct api_answer *answer, json_t *data, int64_t next);
/* The same with a cursor of text, NULL at the end. */
void admin_list_at_take(struct api_answer *answer, json_t *data, const char *next);

/* The end of a file that was written into the answer's body: false when it did not come about (`ok`), or
 * is larger than an answer may be; the answer says so then. */
bool admin_file_whole(struct api_answer *answer, bool ok, const struct err *why) WARN_UNUSED;

/* A quota with what counts against it now. Owned. */
struct limits;
struct quota;
json_t *admin_quota_json(struct limits *l, const struct quota *q);

/* Names of bits: {"admin", "editor", ...} as a JSON array (owned), and back (API_INVALID_VALUE names
 * `field`). */
json_t *admin_roles_json(uint32_t roles);
json_t *admin_scopes_json(uint32_t scopes);
bool admin_roles_read(const json_t *list, const char *field, uint32_t *out,
                      struct api_error *e) WARN_UNUSED;
bool admin_scopes_read(const json_t *list, const char *field, uint32_t *out,
                       struct api_error *e) WARN_UNUSED;
/* A number, or null for 0: ids, times, numbers of rows. */
json_t *admin_or_null(int64_t v);

#endif
