/* What the clients saw, by phase and kind. */
#include <stdarg.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "tests/soak/soak.h"

#define SHOWN 40 /* failures told one by one */

enum phase phase;
struct tally tally[PHASES][KINDS];
uint64_t heads_sent, heads_unsure;
bool closed_is_told;

static const char *const names[KINDS] = {
#define KIND(id, clients, name) [KIND_##id] = name,
#include "tests/soak/kinds.def"
#undef KIND
};

static const char *const phases[PHASES] = {
    [PHASE_PLAIN] = "plain load",
    [PHASE_RELOADS] = "reloads",
    [PHASE_RESTARTS] = "restarts",
    [PHASE_DEADLINES] = "deadlines",
    [PHASE_KILLS] = "kills",
    [PHASE_POINTS] = "kill points",
    [PHASE_FINISH] = "end",
};

const char *
kind_name(enum kind kind)
{
	return names[kind];
}

void
tally_head(void)
{
	heads_sent++;
}

void
tally_pause(enum kind kind, uint64_t pause_ns)
{
	struct tally *t = &tally[phase][kind];

	if (pause_ns > t->pause_ns)
		t->pause_ns = pause_ns;
}

void
tally_done(enum kind kind, uint64_t pause_ns)
{
	tally[phase][kind].done++;
	tally_pause(kind, pause_ns);
}

/* Nobody listens, and we killed those who did. */
static bool
is_excused(void)
{
	return outage || (excused && !process_somebody_listens());
}

void
tally_failed(struct peer *p, bool sent, const char *fmt, ...)
{
	static unsigned shown;
	va_list ap;

	heads_unsure += sent;
	if (p->doomed || is_excused()) {
		tally[phase][p->kind].lost++;
		return;
	}
	tally[phase][p->kind].failed++;
	if (++shown > SHOWN)
		return;
	printf("FAILED  %s, %s, from port %u: ", phases[phase], names[p->kind], p->port);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("%s\n", shown == SHOWN ? " (the others are only counted)" : "");
	fflush(stdout);
}

/* A client that looks before it asks can live with it; baton promises better. */
void
tally_closed_idle(struct peer *p)
{
	if (p->doomed) {
		tally[phase][p->kind].lost++;
		return;
	}
	tally[phase][p->kind].closed_idle++;
	if (closed_is_told) {
		printf("CLOSED  %s, %s, idle, from port %u\n", phases[phase], names[p->kind], p->port);
		fflush(stdout);
	}
}

static uint64_t
sum(enum phase ph, uint64_t (*member)(const struct tally *t))
{
	uint64_t n = 0;

	for (unsigned i = 0; i < KINDS; i++)
		n += member(&tally[ph][i]);
	return n;
}

static uint64_t
failed_of(const struct tally *t)
{
	return t->failed;
}

static uint64_t
closed_of(const struct tally *t)
{
	return t->closed_idle;
}

uint64_t
tally_sum_failed(enum phase ph)
{
	return sum(ph, failed_of);
}

uint64_t
tally_sum_closed(enum phase ph)
{
	return sum(ph, closed_of);
}

void
tally_print(enum phase ph, const char *what)
{
	printf("\n%s: %s\n%-22s %9s %7s %12s %12s %14s\n", phases[ph], what, "", "requests",
	    "failed", "closed idle", "with worker", "longest pause");
	for (unsigned i = 0; i < KINDS; i++) {
		const struct tally *t = &tally[ph][i];

		if (t->done + t->failed + t->lost + t->closed_idle == 0)
			continue;
		printf("%-22s %9llu %7llu %12llu %12llu %11.1f ms\n", names[i],
		    (unsigned long long)t->done, (unsigned long long)t->failed,
		    (unsigned long long)t->closed_idle, (unsigned long long)t->lost,
		    (double)t->pause_ns / NS_PER_MS);
	}
	fflush(stdout);
}
