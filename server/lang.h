/* Language of what the program says on a terminal: English, or Chinese where the locale asks for it.
 * HTTP answers and log lines are always English. Thread: lang_init once at the start, then any.
 */
#ifndef SEEKD_LANG_H
#define SEEKD_LANG_H

/* As gettext: of LC_ALL, LC_MESSAGES and LANG the first one set names the locale. LANGUAGE, a list
 * such as zh_CN:en, comes before it unless that locale is C or POSIX (or none is set). */
void lang_init(void);

/* `zh` when the user reads Chinese, else `en`. */
const char *lang_pick(const char *en, const char *zh) __attribute__((format_arg(1), format_arg(2)));

#endif
