/*
 * One-shot timers in a hierarchical wheel: arming and stopping are a list
 * operation, whatever the number of timers.  Resolution is 1 ms; a timer
 * never fires early.  A timer is embedded in its owner, who stops it
 * before it is freed.
 */
#ifndef EVENT_TIMER_H
#define EVENT_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"

struct loop;

struct timer {
	struct list node;
	uint64_t at; /* tick, ms since the wheel's start */
	void (*fn)(void *arg);
	void *arg;
};

static inline void
timer_init(struct timer *t, void (*fn)(void *), void *arg)
{
	t->node = (struct list){0, 0};
	t->at = 0;
	t->fn = fn;
	t->arg = arg;
}

void timer_set(struct loop *l, struct timer *t, uint64_t ms); /* armed again: moved */

static inline void
timer_stop(struct timer *t)
{
	list_remove(&t->node);
}

static inline bool
timer_armed(const struct timer *t)
{
	return t->node.next != 0;
}

/* ---- the wheel itself; the loop owns one, tests may */
#define WHEEL_LEVELS 6
#define WHEEL_SLOTS 64

struct wheel {
	uint64_t now;  /* ticks done */
	uint64_t next; /* nothing is due before; UINT64_MAX when empty */
	uint64_t used[WHEEL_LEVELS];
	struct list slot[WHEEL_LEVELS][WHEEL_SLOTS];
	uint64_t first[WHEEL_LEVELS][WHEEL_SLOTS]; /* of a used slot: nothing in it is due before */
};

void wheel_init(struct wheel *w, uint64_t now);
void wheel_set(struct wheel *w, struct timer *t, uint64_t at);
void wheel_run(struct wheel *w, uint64_t now);
/* Runs everything due at or before `now`.  The wheel stands still until something is. */
static inline void
wheel_advance(struct wheel *w, uint64_t now)
{
	if (now >= w->next)
		wheel_run(w, now);
}
/* A tick before which nothing is due (may be early, never late); UINT64_MAX when empty. */
static inline uint64_t
wheel_next(const struct wheel *w)
{
	return w->next;
}

#endif
