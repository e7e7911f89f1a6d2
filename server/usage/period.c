/* Owns the boundaries of periods. Refuses to know what is counted in them. */
#include <config.h>

#include "usage/period.h"

#include <time.h>

const char *period_name(enum period p)
{
    static const char *const names[PERIOD_COUNT] = {"minute", "hour", "day", "month"};
    return names[p];
}

static int64_t floor_minute(int64_t t)
{
    int64_t rest = t % 60;
    return t - (rest < 0 ? rest + 60 : rest);
}

static int64_t boundary(enum period p, int64_t t, int ahead)
{
    if (p == PERIOD_MINUTE)
        return floor_minute(t) + 60 * ahead;
    struct tm tm;
    time_t at = (time_t)t;
    if (!localtime_r(&at, &tm)) /* beyond the years of struct tm: let it be one period */
        return floor_minute(t);
    if (p == PERIOD_HOUR) /* not by mktime: an hour that a clock change repeats stays two hours */
        return t - (tm.tm_min * 60 + tm.tm_sec) + 3600 * ahead;
    tm.tm_sec = tm.tm_min = tm.tm_hour = 0;
    tm.tm_isdst = -1;
    if (p == PERIOD_MONTH) {
        tm.tm_mday = 1;
        tm.tm_mon += ahead;
    } else {
        tm.tm_mday += ahead;
    }
    return (int64_t)mktime(&tm);
}

int64_t period_start(enum period p, int64_t t)
{
    return boundary(p, t, 0);
}

int64_t period_next(enum period p, int64_t t)
{
    return boundary(p, t, 1);
}
