/* Owns: the endpoints for callers of the model. Refuses to know: what they do. */
#include <config.h>

#include "api/route.h"

#include "api/params.h"
#include "api/responses.h"
#include "api/templates.h"
#include "api/tokens.h"

#define INFER                                                                                      \
    .access = ROUTE_SCOPE, .scope = SCOPE_INFER, .place = ROUTE_WORKER, .needs_model = true,       \
    .body_bytes = (size_t)ROUTE_BODY_API

static const struct route rows[] = {
    {"GET", "/health", .access = ROUTE_PUBLIC, .summary = "Whether the server can answer"},
    {"GET", "/v1/health", .access = ROUTE_PUBLIC, .summary = "The same"},
    {"GET", "/v1/models", .access = ROUTE_SCOPE, .scope = SCOPE_INFER, .needs_model = true,
     .handler = api_models_list, .summary = "The model served"},
    {"GET", "/v1/models/{id+}", .access = ROUTE_SCOPE, .scope = SCOPE_INFER, .needs_model = true,
     .handler = api_models_get, .summary = "One model"},
    {"POST", "/v1/chat/completions", INFER, .handler = api_chat, .body = &PARAMS_CHAT_SCHEMA,
     .summary = "Answer a chat"},
    {"POST", "/v1/responses", INFER, .handler = api_responses, .body = &PARAMS_RESPONSES_SCHEMA,
     .summary = "Answer an input; nothing is kept"},
    {"POST", "/v1/completions", INFER, .handler = api_completion,
     .body = &PARAMS_COMPLETION_SCHEMA, .summary = "Continue a text"},
    {"POST", "/v1/templates/{name}/run", .access = ROUTE_OBJECT, .object = AUTHORITY_TEMPLATE,
     .verb = AUTHORITY_READ, .place = ROUTE_WORKER, .needs_model = true, .needs_database = true,
     .body_bytes = (size_t)ROUTE_BODY_API, .handler = api_template_run,
     .body = &TEMPLATE_RUN_SCHEMA,
     .summary = "A chat whose prompt is a template: {version or label, variables, ...}"},
    {"GET", "/api/public/v2/prompts", .access = ROUTE_OBJECT, .object = AUTHORITY_TEMPLATE,
     .verb = AUTHORITY_READ, .place = ROUTE_WORKER, .needs_database = true,
     .handler = api_langfuse_prompts, .query = "name label tag page limit",
     .summary = "Templates, in the form of Langfuse"},
    {"GET", "/api/public/v2/prompts/{name}", .access = ROUTE_OBJECT, .object = AUTHORITY_TEMPLATE,
     .verb = AUTHORITY_READ, .place = ROUTE_WORKER, .needs_database = true,
     .handler = api_langfuse_prompt, .query = "label version",
     .summary = "One template, in the form of Langfuse"},
    {"POST", "/tokenize", INFER, .handler = api_tokenize, .body = &TOKENIZE_SCHEMA,
     .summary = "Text to tokens"},
    {"POST", "/detokenize", INFER, .handler = api_detokenize, .body = &DETOKENIZE_SCHEMA,
     .summary = "Tokens to text"},
};

const struct route_table API_ROUTES = ROUTE_TABLE(rows);
