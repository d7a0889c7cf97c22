/* IMF-fixdate (RFC 9110, 5.6.7), kept per second.  Any process. */
#include "lib/http/date.h"

#include <stdio.h>
#include <time.h>

#include "lib/base/clock.h"

static char line[] = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
static char *const text = line + 6;
static uint64_t text_second = UINT64_MAX;

static void
write_text(uint64_t second)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t t = (time_t)second;
	char now[80];
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(now, sizeof(now), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
	    tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	memcpy(text, now, DATE_LEN);
	text_second = second;
}

struct str
date_text(uint64_t wall_ns)
{
	uint64_t second = wall_ns / NS_PER_S;

	if (second != text_second)
		write_text(second);
	return str_make(text, DATE_LEN);
}

struct str
date_line(struct arena *a, uint64_t wall_ns)
{
	date_text(wall_ns);
	return str_make(arena_dup(a, line, sizeof(line) - 1), sizeof(line) - 1);
}

struct str
date_str(struct arena *a, uint64_t wall_ns)
{
	return arena_str(a, date_text(wall_ns));
}
