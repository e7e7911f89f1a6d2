/* Minutes, hours, days and months of the server's time zone (TZ). Seconds since the epoch throughout.
 * No state; any thread. Cost: one or two calls of localtime_r and mktime. */
#ifndef SEEKD_USAGE_PERIOD_H
#define SEEKD_USAGE_PERIOD_H

#include <stdint.h>

enum period { PERIOD_MINUTE, PERIOD_HOUR, PERIOD_DAY, PERIOD_MONTH, PERIOD_COUNT };

/* "minute", "hour", "day", "month". */
const char *period_name(enum period p);
/* Where the period that contains `t` starts, and where the next one starts. */
int64_t period_start(enum period p, int64_t t);
int64_t period_next(enum period p, int64_t t);

#endif
