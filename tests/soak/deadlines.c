/*
 * Drain deadlines: hot restarts after which the old generation may hold
 * connections of some kinds for a few seconds only.  What is cut then is
 * WebSockets and slow transfers that it held; who can be told to go is
 * told before, and notices nothing.  What was cut is counted and recorded,
 * and the old generation is gone in time.
 *
 * The last of them is followed by a generation without deadlines, so that
 * no other phase has them.
 */
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/soak/baton.h"
#include "tests/soak/soak.h"

#define SLACK_NS (5 * NS_PER_S) /* to cut, to end, and to be looked at, on a busy machine */
#define WORKERS_MAX 8
#define RING 256 /* entries that shared memory keeps */

enum drain { H1, H2, WEBSOCKET, DRAINS };

static const struct {
	const char *name;
	unsigned late; /* clients of these kinds may be cut, a bit each */
} drains[DRAINS] = {
    [H1] = {"h1", 1u << KIND_DOWNLOAD | 1u << KIND_UPLOAD},
    [H2] = {"h2", 1u << KIND_SLOW_STREAM},
    [WEBSOCKET] = {"websocket", 1u << KIND_SOCKET},
};

/* Seconds by kind, 0: as long as it lasts, which websockets do for ever. */
static const unsigned orders[][DRAINS] = {{3, 4, 1}, {0, 0, 2}, {4, 3, 3}};

static unsigned
old_workers(pid_t *pids)
{
	return process_children(baton_master(), "baton: worker", pids, WORKERS_MAX);
}

/* A new generation serves, and what it takes over from obeys these deadlines. */
static bool
restart(const unsigned *seconds)
{
	char *words[DRAINS];
	const char *more[2 * DRAINS + 1];
	unsigned n = 0;
	pid_t pid;
	bool serves;

	for (unsigned d = 0; d < DRAINS; d++) {
		words[d] = mem_printf("%s=%u", drains[d].name, seconds[d]);
		if (seconds[d] == 0)
			continue;
		more[n++] = "--drain-deadline";
		more[n++] = words[d];
	}
	more[n] = NULL;
	pid = baton_spawn_with("2", "auto", more);
	serves = baton_wait_master(pid);
	if (!serves)
		fault("a generation with drain deadlines does not serve");
	for (unsigned d = 0; d < DRAINS; d++)
		mem_free(words[d]);
	return serves;
}

struct held {
	unsigned may, must; /* be cut */
};

static unsigned
doom(const pid_t *workers, unsigned n, enum drain d)
{
	unsigned some = 0;

	for (unsigned i = 0; i < n; i++)
		some += process_doom_kinds(workers[i], drains[d].late);
	return some;
}

/* Long before any deadline of theirs.  A websocket of which nothing was read yet still goes to the
 * new generation; one that is there a moment later stays. */
static struct held
doom_all(const unsigned *seconds, const pid_t *workers, unsigned n)
{
	struct held held = {.may = doom(workers, n, WEBSOCKET)};

	run_for(500);
	held.must = doom(workers, n, WEBSOCKET);
	for (unsigned d = 0; d < WEBSOCKET; d++)
		if (seconds[d])
			held.may += doom(workers, n, (enum drain)d);
	return held;
}

static void
wait_for_the_end(pid_t master, const unsigned *seconds)
{
	uint64_t until = clock_mono_ns() + SLACK_NS;
	unsigned last = 0;

	for (unsigned d = 0; d < DRAINS; d++) {
		unsigned s = seconds[d] ? seconds[d] : slow_s;

		last = s > last ? s : last;
	}
	until += last * NS_PER_S;
	while (baton_lives(master) && clock_mono_ns() < until)
		loop_turn(20);
	if (baton_lives(master))
		fault("a generation outlived its drain deadlines");
}

/* A slow transfer may have come to its end in time. */
static void
judge(const struct held *held, int64_t before)
{
	int64_t cut = baton_stat("baton.cx_cut_at_deadline") - before;
	int64_t least = cut < RING ? cut : RING;

	if (cut < held->must || cut > held->may)
		fault("%lld connections were cut, of %u that could be and %u that had to",
		    (long long)cut, held->may, held->must);
	if (baton_records("cut") < least)
		fault("%lld connections were cut, %u records of it are there", (long long)cut,
		    baton_records("cut"));
}

void
deadlines_restart(unsigned n)
{
	const unsigned *seconds = orders[n % (sizeof(orders) / sizeof(orders[0]))];
	int64_t before = baton_stat("baton.cx_cut_at_deadline");
	pid_t workers[WORKERS_MAX], old = baton_master();
	unsigned count = old_workers(workers);
	struct held held;

	if (!restart(seconds))
		return;
	held = doom_all(seconds, workers, count);
	wait_for_the_end(old, seconds);
	run_for(2000); /* until its numbers are added */
	judge(&held, before);
}

void
deadlines_end(void)
{
	restart((const unsigned[DRAINS]){0});
}
