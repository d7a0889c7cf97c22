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
}

void
drain_start(struct drain *d, uint64_t now_ns, uint64_t seconds, bool immediate)
{
	d->draining = true;
	d->started_ns = now_ns;
	d->window_ns = seconds * NS_PER_S;
	d->immediate = immediate || seconds == 0;
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
