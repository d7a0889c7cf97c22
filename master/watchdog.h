/*
 * Does a child still turn its loop?  Master looks at its beat once in a
 * tick and counts its own ticks, never clock differences: after a
 * suspended night nobody is late.
 *
 * A child that stands still is first asked to beat (an idle loop has no
 * reason to turn); two ticks after that its sockets are lent; after the
 * limit it gets SIGABRT, a second later SIGKILL.
 */
#ifndef MASTER_WATCHDOG_H
#define MASTER_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#define WATCH_TICK_MS 125

struct watch {
	uint64_t beat;
	uint32_t silent; /* ticks since the question was asked */
	bool asked, lent, aborted;
};

enum watch_verdict {
	WATCH_FINE,
	WATCH_ASK,   /* send PING */
	WATCH_LATE,  /* nothing to do yet */
	WATCH_LEND,  /* silent for 250 ms */
	WATCH_BACK,  /* it was lent and beats again */
	WATCH_ABORT, /* silent to the limit */
	WATCH_KILL,  /* and did not die of it */
};

/* One tick.  limit_s 0: never aborts. */
enum watch_verdict watch_tick(struct watch *w, uint64_t beat, uint32_t limit_s);
void watch_reset(struct watch *w); /* a new process */
/* Silent for exactly these milliseconds at this tick (for Envoy's watchdog counters). */
bool watch_is_at(const struct watch *w, uint32_t ms);

#endif
