#include "worker/drain.h"

#include "lib/base/clock.h"
#include "shm/flags.h"

#define HEALTH_SPREAD_MAX_NS (10 * NS_PER_S)

void
drain_init(struct drain *d, uint32_t drain_time_s, bool immediate)
{
	*d = (struct drain){
	    .immediate = immediate,
	    .window_ns = drain_time_s * NS_PER_S,
	};
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		d->cut_ns[k] = UINT64_MAX;
}

void
drain_start(struct drain *d, uint64_t now_ns, uint64_t seconds, bool immediate)
{
	d->draining = true;
	d->started_ns = now_ns;
	d->window_ns = seconds * NS_PER_S;
	d->immediate = immediate || seconds == 0;
}

static uint64_t
cut_at(uint64_t now_ns, uint32_t seconds)
{
	return seconds == DRAIN_NO_DEADLINE ? UINT64_MAX : now_ns + seconds * NS_PER_S;
}

/* Who can be told shall be told, and gone, before it is cut. */
static void
end_window_before(struct drain *d, uint64_t cut_ns)
{
	uint64_t room_ns = cut_ns - d->started_ns;

	room_ns -= room_ns / 5;
	if (d->window_ns > room_ns)
		d->window_ns = room_ns;
}

void
drain_obey(struct drain *d, uint64_t now_ns, const struct drain_order *o)
{
	drain_start(d, now_ns, o->seconds, o->immediate);
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		d->cut_ns[k] = cut_at(now_ns, o->deadline_s[k]);
	end_window_before(d, d->cut_ns[DRAIN_H1]);
	end_window_before(d, d->cut_ns[DRAIN_H2]);
}

void
drain_hurry(struct drain *d, uint64_t now_ns, const struct drain_order *o)
{
	for (unsigned k = 0; k < DRAIN_KINDS; k++) {
		uint64_t at_ns = cut_at(now_ns, o->deadline_s[k]);

		if (d->cut_ns[k] > at_ns)
			d->cut_ns[k] = at_ns;
	}
}

bool
drain_is_late(const struct drain *d, enum drain_kind kind, uint64_t now_ns)
{
	return d->draining && now_ns >= d->cut_ns[kind];
}

bool
drain_look(struct drain *d, const struct shm_flags *flags)
{
	bool failed = flag_get(&flags->health_failed);
	uint64_t changed_ns = __atomic_load_n(&flags->health_changed_ns, __ATOMIC_RELAXED);

	if (failed == d->health_failed && (!failed || changed_ns == d->health_changed_ns))
		return false;
	d->health_failed = failed;
	d->health_changed_ns = changed_ns;
	return true;
}

bool
drain_decides(const struct drain *d, uint64_t now_ns, uint64_t dice)
{
	uint64_t window_s = d->window_ns / NS_PER_S;
	uint64_t elapsed_s = (now_ns - d->started_ns) / NS_PER_S;

	if (!d->draining)
		return false;
	if (d->immediate || elapsed_s >= window_s)
		return true;
	return elapsed_s > dice % window_s;
}

static uint64_t
within(uint64_t from_ns, uint64_t spread_ns, uint64_t dice)
{
	return from_ns + (spread_ns ? dice % spread_ns : 0);
}

uint64_t
drain_moment(const struct drain *d, bool modify_only, uint64_t now_ns, uint64_t dice)
{
	uint64_t spread_ns = d->window_ns / 10;

	if (d->draining)
		return d->immediate ? now_ns : within(d->started_ns, d->window_ns / 4, dice);
	if (!d->health_failed || modify_only)
		return 0;
	if (d->immediate)
		return now_ns;
	if (spread_ns > HEALTH_SPREAD_MAX_NS)
		spread_ns = HEALTH_SPREAD_MAX_NS;
	return within(d->health_changed_ns, spread_ns, dice);
}

uint64_t
drain_end_ns(const struct drain *d)
{
	if (!d->draining)
		return UINT64_MAX;
	return d->immediate ? d->started_ns : d->started_ns + d->window_ns;
}
