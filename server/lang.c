/* Owns: the choice of language for terminal messages. Refuses to know any message. */
#include <config.h>

#include "lang.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool chinese;

void lang_init(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    chinese = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (!value || !*value)
            continue;
        chinese = !strncmp(value, "zh", 2);
        return;
    }
}

const char *lang_pick(const char *en, const char *zh)
{
    return chinese ? zh : en;
}
