/* Owns the form of working hours. Refuses to know what is limited in them. */
#include <config.h>

#include "usage/calendar.h"

#include <jansson.h>
#include <string.h>

enum { DAY_MINUTES = 24 * 60 };

static const char *const day_names[7] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/* "HH:MM" to minutes, -1 when it is not that. */
static int parse_time(const json_t *j)
{
    const char *s = json_string_value(j);
    if (!s || strlen(s) != 5 || s[2] != ':')
        return -1;
    for (int i = 0; i < 5; i++)
        if (i != 2 && (s[i] < '0' || s[i] > '9'))
            return -1;
    int hour = (s[0] - '0') * 10 + s[1] - '0', minute = (s[3] - '0') * 10 + s[4] - '0';
    return minute > 59 || hour * 60 + minute > DAY_MINUTES ? -1 : hour * 60 + minute;
}

static bool parse_day(const json_t *list, struct calendar *c, int day, struct err *e)
{
    int after = 0;
    if (!json_is_array(list) || json_array_size(list) > CALENDAR_INTERVALS)
        FAIL(e, ERR_FORMAT, "hours of %s: a list of at most %d intervals", day_names[day],
             CALENDAR_INTERVALS);
    c->day[day].n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        int from = parse_time(json_array_get(pair, 0)), to = parse_time(json_array_get(pair, 1));
        if (!json_is_array(pair) || json_array_size(pair) != 2 || from < after || to <= from)
            FAIL(e, ERR_FORMAT,
                 "hours of %s: intervals such as [\"08:30\", \"12:00\"], each after the one before, "
                 "with the colon of ASCII",
                 day_names[day]);
        c->day[day].interval[i].from = (uint16_t)from;
        c->day[day].interval[i].to = (uint16_t)to;
        c->day[day].n++;
        after = to;
    }
    return true;
}

bool calendar_parse(const char *json, struct calendar *c, struct err *e)
{
    json_error_t why;
    bool ok = true;
    memset(c, 0, sizeof *c);
    if (strlen(json) > CALENDAR_TEXT)
        FAIL(e, ERR_LIMIT, "hours of a calendar: at most %d bytes", CALENDAR_TEXT);
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(root)) {
        json_decref(root);
        FAIL(e, ERR_FORMAT, "hours of a calendar: a JSON object from day to intervals");
    }
    for (void *it = json_object_iter(root); ok && it; it = json_object_iter_next(root, it)) {
        int day = 0;
        while (day < 7 && strcmp(json_object_iter_key(it), day_names[day]) != 0)
            day++;
        ok = day < 7 ? parse_day(json_object_iter_value(it), c, day, e)
                     : err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                               "hours of a calendar: the days are mon, tue, wed, thu, fri, sat, sun");
    }
    json_decref(root);
    return ok;
}

bool calendar_open(const struct calendar *c, int weekday, int minute, int *until)
{
    int ends = DAY_MINUTES;
    bool open = false;
    for (unsigned i = 0; !open && i < c->day[weekday].n; i++) {
        int from = c->day[weekday].interval[i].from, to = c->day[weekday].interval[i].to;
        if (minute < from) {
            ends = from;
            break;
        }
        open = minute < to;
        if (open)
            ends = to;
    }
    if (until)
        *until = ends;
    return open;
}
