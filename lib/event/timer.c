#include "lib/event/timer.h"

/*
 * Level l has 64 slots of 64^l ticks.  A timer lies in the lowest level
 * that reaches it; when the level below comes round, a slot's timers are
 * put in again and so come down.  `used` says which slots may hold
 * something (a stopped timer leaves its bit until the slot is visited).
 * Coming down need not happen in time, only before what follows it: so
 * nobody is woken for it (wheel_next), and a late wheel_advance() visits
 * each used slot on its way (next_stop).
 */

static unsigned
shift_of(unsigned level)
{
	return 6 * level;
}

void
wheel_init(struct wheel *w, uint64_t now)
{
	w->now = now;
	w->next = UINT64_MAX;
	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		w->used[l] = 0;
		for (unsigned i = 0; i < WHEEL_SLOTS; i++)
			list_init(&w->slot[l][i]);
	}
}

void
wheel_set(struct wheel *w, struct timer *t, uint64_t at)
{
	const uint64_t far = (1ull << shift_of(WHEEL_LEVELS)) - 1;
	unsigned level = 0, i;

	list_remove(&t->node);
	if (at <= w->now)
		at = w->now + 1;
	if (at - w->now > far)
		at = w->now + far;
	t->at = at;
	if (at < w->next)
		w->next = at;
	while (at - w->now >= 1ull << shift_of(level + 1))
		level++;
	i = (at >> shift_of(level)) & (WHEEL_SLOTS - 1);
	if (!(w->used[level] & 1ull << i) || at < w->first[level][i])
		w->first[level][i] = at;
	w->used[level] |= 1ull << i;
	list_push_back(&w->slot[level][i], &t->node);
}

static void
take_slot(struct wheel *w, unsigned level, unsigned i, struct list *out)
{
	struct list *head = &w->slot[level][i];

	list_init(out);
	w->used[level] &= ~(1ull << i);
	if (list_empty(head))
		return;
	out->next = head->next;
	out->prev = head->prev;
	out->next->prev = out;
	out->prev->next = out;
	list_init(head);
}

/* The clock stands at a multiple of 64^level: bring that level's slot down. */
static void
cascade(struct wheel *w, unsigned level)
{
	unsigned i = (w->now >> shift_of(level)) & (WHEEL_SLOTS - 1);
	struct list due, *n;

	take_slot(w, level, i, &due);
	while ((n = list_pop_front(&due)) != NULL) {
		struct timer *t = list_entry(n, struct timer, node);

		/* Due at this very tick: the slot of level 0 runs right after. */
		if (t->at <= w->now) {
			unsigned k = w->now & (WHEEL_SLOTS - 1);

			w->used[0] |= 1ull << k;
			list_push_back(&w->slot[0][k], n);
		} else {
			wheel_set(w, t, t->at);
		}
	}
}

static void
run_slot(struct wheel *w)
{
	struct list due, *n;

	take_slot(w, 0, w->now & (WHEEL_SLOTS - 1), &due);
	while ((n = list_pop_front(&due)) != NULL) {
		struct timer *t = list_entry(n, struct timer, node);

		t->fn(t->arg);
	}
}

static void
step_to(struct wheel *w, uint64_t tick)
{
	w->now = tick;
	for (unsigned l = 1; l < WHEEL_LEVELS && (tick & ((1ull << shift_of(l)) - 1)) == 0; l++)
		cascade(w, l);
	run_slot(w);
}

/* Distance from the current position of a level to its next used slot: 1 … 64, or 0. */
static unsigned
next_used(uint64_t used, unsigned pos)
{
	unsigned r = (pos + 1) & 63;

	if (used == 0)
		return 0;
	if (r)
		used = (used >> r) | (used << (64 - r));
	return (unsigned)__builtin_ctzll(used) + 1;
}

/* The next tick at which a used slot comes round. */
static uint64_t
next_stop(const struct wheel *w)
{
	uint64_t best = UINT64_MAX;

	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		uint64_t base = w->now >> shift_of(l);
		unsigned d = next_used(w->used[l], base & 63);
		uint64_t at = (base + d) << shift_of(l);

		if (d && at < best)
			best = at;
	}
	return best;
}

/* Slots of a level stand in the order of time: the next used one has the first of the level. */
static uint64_t
first_due(const struct wheel *w)
{
	uint64_t best = UINT64_MAX;

	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		unsigned pos = (w->now >> shift_of(l)) & 63;
		unsigned d = next_used(w->used[l], pos);

		if (d && w->first[l][(pos + d) & 63] < best)
			best = w->first[l][(pos + d) & 63];
	}
	return best;
}

void
wheel_run(struct wheel *w, uint64_t now)
{
	while (w->now < now) {
		uint64_t next = next_stop(w);

		if (next > now)
			w->now = now;
		else
			step_to(w, next);
	}
	w->next = first_due(w);
}
