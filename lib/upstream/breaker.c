#include "lib/upstream/breaker.h"

#include "lib/event/loop.h"

#define RECHECK_MS 100

/* ---- the cells of a priority */

#define CELLS(b, s, priority)                                                                      \
	do {                                                                                       \
		CELL(b, s, priority, BREAKER_CONNECTIONS, cx, cx);                                 \
		CELL(b, s, priority, BREAKER_PENDING, rq_pending, pending);                        \
		CELL(b, s, priority, BREAKER_REQUESTS, rq, rq);                                    \
		CELL(b, s, priority, BREAKER_RETRIES, rq_retry, retries);                          \
	} while (0)
#define CELL(b, s, priority, kind, name, left)                                                     \
	do {                                                                                       \
		(b)->at[kind].used = &(s)->circuit_breakers_##priority##_##name##_used;            \
		(b)->at[kind].open = &(s)->circuit_breakers_##priority##_##name##_open;            \
		(b)->at[kind].remaining = &(s)->circuit_breakers_##priority##_remaining_##left;    \
	} while (0)

static void
find_cells(struct breakers *b, struct cluster_stats *s, bool high)
{
	if (high)
		CELLS(b, s, high);
	else
		CELLS(b, s, default);
}

/* ---- one breaker */

/* Of all workers. */
static uint64_t
in_use(struct breaker *one, uint64_t limit, uint64_t now_ns)
{
	int64_t n = limit_in_use(&one->others, one->used, limit, now_ns);

	return n < 0 ? 0 : (uint64_t)n;
}

static uint64_t
limit_of(struct breakers *b, const struct breaker *one, uint64_t now_ns)
{
	uint64_t requests, share;

	if (!b->has_budget || one != &b->at[BREAKER_RETRIES])
		return one->max;
	requests = in_use(&b->at[BREAKER_REQUESTS], 0, now_ns) +
		   in_use(&b->at[BREAKER_PENDING], 0, now_ns);
	share = (uint64_t)((double)requests * b->budget.percent / 100);
	return share > b->budget.least ? share : b->budget.least;
}

/* Less than half of it is used, what is known of the others need not be younger: there is nothing to see. */
static inline bool
is_far_from_full(const struct breakers *b, const struct breaker *one)
{
	const struct limit_others *o = &one->others;

	return !one->is_open && o->known && loop_now_ns(b->loop) - o->read_at_ns <= LIMIT_AGE_NS &&
	       o->sum + stat_gauge_value(one->used->raw) < (int64_t)(one->max / 2);
}

static bool
is_full(struct breakers *b, struct breaker *one)
{
	uint64_t now_ns = loop_now_ns(b->loop), limit = limit_of(b, one, now_ns);

	return in_use(one, limit, now_ns) >= limit;
}

/* Says whether it is open now.  While it is, the gauge is written again: the breaker of a cluster that
 * a reload replaced may have cleared it. */
static bool
look(struct breakers *b, struct breaker *one)
{
	bool full = is_full(b, one);

	if (!full && !one->is_open)
		return false;
	one->is_open = full;
	stat_set(one->open, full);
	if (full && !timer_armed(&b->recheck))
		timer_set(b->loop, &b->recheck, RECHECK_MS);
	return full;
}

static void
on_recheck(void *arg)
{
	struct breakers *b = arg;
	bool any = false;

	for (unsigned i = 0; i < BREAKER_KINDS; i++)
		any |= b->at[i].is_open && look(b, &b->at[i]);
	if (any)
		timer_set(b->loop, &b->recheck, RECHECK_MS);
}

/* What this worker uses is taken from what admin's lane says is allowed. */
static void
note_remaining(struct breaker *one)
{
	if (one->remaining)
		stat_set(one->remaining, -stat_gauge_value(one->used->raw));
}

void
breakers_init(struct breakers *b, struct loop *l, struct cluster_stats *stats, bool high,
    const uint64_t max[BREAKER_KINDS], bool track_remaining)
{
	*b = (struct breakers){.loop = l};
	timer_init(&b->recheck, on_recheck, b);
	find_cells(b, stats, high);
	for (unsigned i = 0; i < BREAKER_KINDS; i++) {
		b->at[i].max = max[i];
		if (!track_remaining)
			b->at[i].remaining = NULL;
	}
}

void
breakers_set_budget(struct breakers *b, const struct retry_budget *budget)
{
	b->budget = *budget;
	b->has_budget = true;
	b->at[BREAKER_RETRIES].remaining = NULL; /* what remains of a share says nothing */
	b->at[BREAKER_RETRIES].max = 0;          /* limit_of() does not ask */
}

void
breakers_fini(struct breakers *b)
{
	timer_stop(&b->recheck);
	for (unsigned i = 0; i < BREAKER_KINDS; i++)
		if (b->at[i].is_open)
			stat_set(b->at[i].open, 0);
}

bool
breaker_allows(struct breakers *b, enum breaker_kind k)
{
	return is_far_from_full(b, &b->at[k]) || !look(b, &b->at[k]);
}

void
breaker_add(struct breakers *b, enum breaker_kind k)
{
	b->at[k].held++;
	stat_up(b->at[k].used);
	note_remaining(&b->at[k]);
	if (!is_far_from_full(b, &b->at[k]))
		look(b, &b->at[k]);
}

void
breaker_remove(struct breakers *b, enum breaker_kind k)
{
	ASSERT(b->at[k].held > 0);
	b->at[k].held--;
	stat_down(b->at[k].used);
	note_remaining(&b->at[k]);
	if (b->at[k].is_open)
		look(b, &b->at[k]);
}
