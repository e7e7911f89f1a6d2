/* Working hours: when a limit counts. A value, no ownership; any thread.
 *
 * As JSON: {"mon": [["08:30", "12:00"], ["13:00", "17:30"]], ..., "sun": []}; days that are missing
 * have no hours; times are those of the server's time zone, "24:00" ends a day; intervals of a day
 * rise and do not touch each other's inside. At most 8 a day.
 */
#ifndef SEEKD_USAGE_CALENDAR_H
#define SEEKD_USAGE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { CALENDAR_INTERVALS = 8, CALENDAR_TEXT = 8192 };

struct calendar {
    struct {
        unsigned n;
        struct {
            uint16_t from, to; /* minutes of the day, [from, to) */
        } interval[CALENDAR_INTERVALS];
    } day[7]; /* 0 = Sunday, as struct tm has it */
};

/* ERR_FORMAT says which day is wrong. */
bool calendar_parse(const char *json, struct calendar *c, struct err *e) WARN_UNUSED;
/* Whether the limit counts at this minute; *until = the minute of the day at which that changes, 1440
 * at the latest. `until` may be NULL. */
bool calendar_open(const struct calendar *c, int weekday, int minute, int *until);

#endif
