/* Handlers for those who use templates. Thread: workers. */
#ifndef SEEKD_API_TEMPLATES_H
#define SEEKD_API_TEMPLATES_H

#include "api/api.h"

/* POST /v1/templates/{name}/run: a chat whose prompt is the one in the path. */
api_handler api_template_run;
extern const struct schema TEMPLATE_RUN_SCHEMA;
/* GET /api/public/v2/prompts/{name}?label=|version= and GET /api/public/v2/prompts?page=&limit=…, as
 * Langfuse's public API answers them (https://api.reference.langfuse.com, prompts): neither label nor
 * version means "production". */
api_handler api_langfuse_prompt, api_langfuse_prompts;

#endif
