/* Once an interval: success rates and shares of failures are compared, who was out long enough
 * comes back. */
#include "admin/health/outlier_private.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

static void
tally_up(struct tally *t, uint64_t good, uint64_t bad, uint32_t least)
{
	uint64_t all = good + bad - t->good - t->bad;

	t->volume = all;
	t->percent = all && all >= least ? 100.0 * (double)(good - t->good) / (double)all : -1;
	t->good = good;
	t->bad = bad;
}

void
outlier_tally(struct watched *w)
{
	tally_up(&w->tally[0], stat_counter_all(&w->outcome->success),
	    stat_counter_all(&w->outcome->failure), 0);
	tally_up(&w->tally[1], stat_counter_all(&w->outcome->local_success),
	    stat_counter_all(&w->outcome->local_failure), 0);
	w->tally[0].percent = w->tally[1].percent = -1;
}

static void
tally_member(const struct detector *d, struct member *x)
{
	const struct outlier_config *c = &d->config;
	uint32_t least = c->rate_volume < c->failure_volume ? c->rate_volume : c->failure_volume;
	struct watched *w = x->outlier;

	tally_up(&w->tally[0], stat_counter_all(&w->outcome->success),
	    stat_counter_all(&w->outcome->failure), least);
	if (c->split)
		tally_up(&w->tally[1], stat_counter_all(&w->outcome->local_success),
		    stat_counter_all(&w->outcome->local_failure), least);
}

/* Hosts that are out do not count, nor those that had too little to do. */
static bool
counts(const struct member *x, bool local, uint32_t volume)
{
	const struct watched *w = x->outlier;

	return !is_ejected(x) && w->tally[local].volume >= volume && w->tally[local].volume > 0;
}

static size_t
gather(const struct detector *d, bool local, uint32_t volume, double *out)
{
	size_t n = 0;

	for (size_t i = 0; i < d->cluster->members.len; i++) {
		const struct member *x = d->cluster->members.at[i];

		if (counts(x, local, volume))
			out[n++] = ((const struct watched *)x->outlier)->tally[local].percent;
	}
	return n;
}

static void
judge_rates(struct detector *d, bool local)
{
	double *all = mem_array(double, d->cluster->members.len);
	size_t n = gather(d, local, d->config.rate_volume, all);
	struct rate_verdict v = {-1, -1};

	if (n >= d->config.rate_hosts)
		v = rates_compare(all, n, d->config.rate_factor);
	d->rates[local] = v;
	mem_free(all);
	for (size_t i = 0; i < d->cluster->members.len && v.average >= 0; i++) {
		struct member *x = d->cluster->members.at[i];
		const struct watched *w = x->outlier;

		if (counts(x, local, d->config.rate_volume) &&
		    w->tally[local].percent < v.threshold)
			outlier_eject(
			    d, x, local ? EJECT_SUCCESS_RATE_LOCAL_ORIGIN : EJECT_SUCCESS_RATE);
	}
}

static void
judge_failures(struct detector *d, bool local)
{
	const struct outlier_config *c = &d->config;
	size_t n = 0;

	for (size_t i = 0; i < d->cluster->members.len; i++)
		n += counts(d->cluster->members.at[i], local, c->failure_volume);
	for (size_t i = 0; i < d->cluster->members.len && n >= c->failure_hosts; i++) {
		struct member *x = d->cluster->members.at[i];
		const struct watched *w = x->outlier;

		if (counts(x, local, c->failure_volume) &&
		    100 - w->tally[local].percent >= c->failure_percent)
			outlier_eject(d, x,
			    local ? EJECT_FAILURE_PERCENTAGE_LOCAL_ORIGIN
				  : EJECT_FAILURE_PERCENTAGE);
	}
}

static void
look_at_ejection(struct detector *d, struct member *x)
{
	const struct outlier_config *c = &d->config;
	const struct watched *w = x->outlier;
	uint64_t ms = c->base_ms * x->cell->ejection_steps;

	if (!is_ejected(x))
		return;
	ms = (ms < c->max_ms ? ms : c->max_ms) + w->jitter_ms;
	if (now_ns(d) - x->cell->ejected_ns >= ms * NS_PER_MS)
		outlier_take_back(d, x);
}

/* Back for a whole interval and not out again: the next time will be shorter. */
static void
forgive(const struct detector *d, struct member *x)
{
	uint64_t whole = d->config.interval_ms * NS_PER_MS;

	if (!is_ejected(x) && x->cell->ejection_steps > 0 &&
	    now_ns(d) - x->cell->returned_ns >= whole)
		x->cell->ejection_steps--;
}

void
outlier_tick(void *arg)
{
	struct detector *d = arg;

	timer_set(d->all->a->loop, &d->tick, d->config.interval_ms);
	for (size_t i = 0; i < d->cluster->members.len; i++) {
		look_at_ejection(d, d->cluster->members.at[i]);
		tally_member(d, d->cluster->members.at[i]);
	}
	for (int local = 0; local <= d->config.split; local++) {
		judge_rates(d, local);
		judge_failures(d, local);
	}
	for (size_t i = 0; i < d->cluster->members.len; i++)
		forgive(d, d->cluster->members.at[i]);
}
