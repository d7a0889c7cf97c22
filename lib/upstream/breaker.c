#include "lib/upstream/breaker.h"

#include "lib/event/loop.h"

#define RECHECK_MS 100

/* ---- the cells of a priority */

static void
find_default_cells(struct breakers *b, struct cluster_stats *s, bool track)
{
	b->at[BREAKER_CONNECTIONS].shared = &s->upstream_cx_active;
	b->at[BREAKER_PENDING].shared = &s->upstream_rq_pending_active;
	b->at[BREAKER_REQUESTS].shared = &s->upstream_rq_active;
	b->at[BREAKER_CONNECTIONS].open = &s->circuit_breakers_default_cx_open;
	b->at[BREAKER_PENDING].open = &s->circuit_breakers_default_rq_pending_open;
	b->at[BREAKER_REQUESTS].open = &s->circuit_breakers_default_rq_open;
	b->at[BREAKER_RETRIES].open = &s->circuit_breakers_default_rq_retry_open;
	if (!track)
		return;
	b->at[BREAKER_CONNECTIONS].remaining = &s->circuit_breakers_default_remaining_cx;
	b->at[BREAKER_PENDING].remaining = &s->circuit_breakers_default_remaining_pending;
	b->at[BREAKER_REQUESTS].remaining = &s->circuit_breakers_default_remaining_rq;
	b->at[BREAKER_RETRIES].remaining = &s->circuit_breakers_default_remaining_retries;
}

static void
find_high_cells(struct breakers *b, struct cluster_stats *s)
{
	b->at[BREAKER_CONNECTIONS].open = &s->circuit_breakers_high_cx_open;
	b->at[BREAKER_PENDING].open = &s->circuit_breakers_high_rq_pending_open;
	b->at[BREAKER_REQUESTS].open = &s->circuit_breakers_high_rq_open;
	b->at[BREAKER_RETRIES].open = &s->circuit_breakers_high_rq_retry_open;
}

/* ---- one breaker */

static bool
is_full(struct breaker *b, uint64_t now_ns)
{
	int64_t others = 0;

	if (b->shared)
		others = limit_in_use(&b->others, b->shared, b->max, now_ns) -
			 stat_gauge_value(b->shared->raw);
	if (others < 0)
		others = 0;
	return b->used + (uint64_t)others >= b->max;
}

/* Says whether it is open now; the gauge is written when that changed. */
static bool
look(struct breakers *b, struct breaker *one)
{
	bool full = is_full(one, loop_now_ns(b->loop));

	if (full == one->is_open)
		return full;
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
note_remaining(struct breaker *b)
{
	if (b->remaining)
		stat_set(b->remaining, -(int64_t)b->used);
}

void
breakers_init(struct breakers *b, struct loop *l, struct cluster_stats *stats, bool high,
    const uint64_t max[BREAKER_KINDS], bool track_remaining)
{
	*b = (struct breakers){.loop = l};
	timer_init(&b->recheck, on_recheck, b);
	for (unsigned i = 0; i < BREAKER_KINDS; i++)
		b->at[i].max = max[i];
	if (high)
		find_high_cells(b, stats);
	else
		find_default_cells(b, stats, track_remaining);
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
	return !look(b, &b->at[k]);
}

void
breaker_add(struct breakers *b, enum breaker_kind k)
{
	b->at[k].used++;
	note_remaining(&b->at[k]);
	look(b, &b->at[k]);
}

void
breaker_remove(struct breakers *b, enum breaker_kind k)
{
	ASSERT(b->at[k].used > 0);
	b->at[k].used--;
	note_remaining(&b->at[k]);
	if (b->at[k].is_open)
		look(b, &b->at[k]);
}
