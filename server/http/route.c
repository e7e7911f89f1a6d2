/* Owns: the endpoints. Refuses to know: what they do. */
#include <config.h>

#include "http/route.h"

#include <string.h>

#define ROW(method, path, scope, body, handler)                                                    \
    {method, path, scope, (size_t)(body), handler}

const struct route ROUTES[] = {
    ROW("GET", "/health", ROUTE_PUBLIC, 0, NULL),
    ROW("GET", "/v1/health", ROUTE_PUBLIC, 0, NULL),
    ROW("GET", "/v1/models", ROUTE_API, 0, api_models_list),
    ROW("GET", "/v1/models/", ROUTE_API, 0, api_models_get),
    ROW("POST", "/v1/chat/completions", ROUTE_API, ROUTE_BODY_API, api_chat),
    ROW("POST", "/v1/completions", ROUTE_API, ROUTE_BODY_API, api_completion),
    ROW("POST", "/tokenize", ROUTE_API, ROUTE_BODY_API, api_tokenize),
    ROW("POST", "/detokenize", ROUTE_API, ROUTE_BODY_API, api_detokenize),
};
const size_t N_ROUTES = sizeof ROUTES / sizeof ROUTES[0];

static bool path_matches(const struct route *r, const char *path, const char **rest)
{
    size_t len = strlen(r->path);
    *rest = "";
    if (r->path[len - 1] != '/')
        return !strcmp(r->path, path);
    if (strncmp(r->path, path, len) || !path[len])
        return false;
    *rest = path + len;
    return true;
}

enum route_result route_find(const char *method, const char *path, const struct route **out,
                             const char **rest)
{
    enum route_result result = ROUTE_NO_PATH;
    if (!strcmp(method, "HEAD"))
        method = "GET";
    for (size_t i = 0; i < N_ROUTES; i++) {
        if (!path_matches(&ROUTES[i], path, rest))
            continue;
        *out = &ROUTES[i];
        if (!strcmp(ROUTES[i].method, method))
            return ROUTE_FOUND;
        result = ROUTE_NO_METHOD;
    }
    return result;
}
