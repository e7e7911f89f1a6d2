/* Owns: the choice of language for terminal messages. Refuses to know any message. */
#include <config.h>

#include "lang.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool chinese;

static const char *find_locale(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return value;
    }
    return "C";
}

/* "zh", "zh_CN.UTF-8" */
static bool is_language(const char *text, const char *language)
{
    size_t len = strlen(language);
    return !strncmp(text, language, len) && (!text[len] || strchr("_.@:", text[len]));
}

void lang_init(void)
{
    const char *locale = find_locale(), *list = getenv("LANGUAGE");
    chinese = is_language(locale, "zh");
    if (!list || is_language(locale, "C") || is_language(locale, "POSIX"))
        return;
    for (; *list; list += strcspn(list, ":"), list += *list == ':') {
        bool zh = is_language(list, "zh");
        if (!zh && !is_language(list, "en") && !is_language(list, "C"))
            continue;
        chinese = zh;
        return;
    }
}

const char *lang_pick(const char *en, const char *zh)
{
    return chinese ? zh : en;
}
