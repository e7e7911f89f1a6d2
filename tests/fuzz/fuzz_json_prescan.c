/* Fuzz target: any bytes as a JSON body. Whatever the pre-scan lets through, the parser must stay
 * within the depth and the number of values that the pre-scan promised. */
#include <config.h>

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/json.h"
#include "api/prescan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_json_prescan: %s\n", what);
        abort();
    }
}

static size_t count_values(const json_t *v, unsigned depth)
{
    size_t n = 1, i;
    const char *key;
    json_t *member;
    require(depth <= PRESCAN_LIMITS_DEFAULT.depth + 1, "deeper than the limit");
    if (json_is_array(v)) {
        json_array_foreach(v, i, member)
            n += count_values(member, depth + 1);
    } else if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, member)
            n += count_values(member, depth + 1);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err why = ERR_INIT;
    struct api_error e = API_ERROR_INIT;
    const char *text = size ? (const char *)data : "";
    bool passed = json_prescan(text, size, &PRESCAN_LIMITS_DEFAULT, &why);
    require(passed || why.msg[0], "refused without a reason");
    json_t *v = json_parse_body(text, size, &e);
    require(!v || passed, "parsed what the pre-scan refused");
    require(v || e.code == API_INVALID_JSON, "refused with another error");
    if (v)
        require(count_values(v, 1) <= PRESCAN_LIMITS_DEFAULT.structural + 2, "too many values");
    json_decref(v);
    return 0;
}
