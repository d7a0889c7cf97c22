/*
 * batonstat: words for people, and tables.
 */
#include <time.h>

#include "lib/base/clock.h"
#include "shm/lane.h"
#include "tools/batonstat.h"

/* ---- words */

void
show_text(struct strb *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		strb_addc(out, (unsigned char)s.p[i] < ' ' || s.p[i] == 127 ? '?' : s.p[i]);
}

void
show_age(struct strb *out, uint64_t s)
{
	if (s >= 86400)
		strb_printf(out, "%llud%lluh", (unsigned long long)(s / 86400),
		    (unsigned long long)(s / 3600 % 24));
	else if (s >= 3600)
		strb_printf(out, "%lluh%llum", (unsigned long long)(s / 3600),
		    (unsigned long long)(s / 60 % 60));
	else if (s >= 60)
		strb_printf(
		    out, "%llum%llus", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
	else
		strb_printf(out, "%llus", (unsigned long long)s);
}

void
show_bytes(struct strb *out, uint64_t n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)n;
	int u = 0;

	while (v >= 1024 && u < 4) {
		v /= 1024;
		u++;
	}
	strb_printf(out, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void
show_time(struct strb *out, uint64_t wall_ns)
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;
	char text[40];

	if (gmtime_r(&s, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		strb_addz(out, "?");
	else
		strb_printf(out, "%s.%03dZ", text, (int)(wall_ns / NS_PER_MS % 1000));
}

void
show_seat(struct strb *out, const struct stat_seat *seat)
{
	if (seat->role == SEAT_MASTER)
		strb_addz(out, "master");
	else if (seat->role == SEAT_ADMIN)
		strb_addz(out, "admin");
	else
		strb_printf(out, "worker %u", seat->index);
}

const char *
show_state(const struct stat_generation *g)
{
	if (!g->alive)
		return "gone";
	if (g->flags.draining)
		return "draining";
	return g->serving ? "serving" : "starting";
}

/* ---- tables */

void
table_add(struct table *t, struct strb *cell)
{
	*vec_push(&t->cell) = strb_give(cell);
}

void
table_addz(struct table *t, const char *z)
{
	*vec_push(&t->cell) = mem_strdup(z);
}

void
table_num(struct table *t, int64_t v)
{
	*vec_push(&t->cell) = mem_printf("%lld", (long long)v);
}

void
table_print(struct table *t, struct strb *out)
{
	size_t width[TABLE_COLUMNS] = {0};

	for (size_t i = 0; i < t->cell.len; i++) {
		size_t n = strlen(t->cell.at[i]);

		if (n > width[i % t->columns])
			width[i % t->columns] = n;
	}
	for (size_t i = 0; i < t->cell.len; i++) {
		bool last = i % t->columns + 1 == t->columns;

		strb_printf(out, "%-*s%s", last ? 0 : (int)width[i % t->columns], t->cell.at[i],
		    last ? "\n" : "  ");
		mem_free(t->cell.at[i]);
	}
	vec_fini(&t->cell);
}
