#include "admin/health/verdict.h"

#include "shm/hosts.h"

#define SAID                                                                                       \
	(HOST_FAILED_ACTIVE_HC | HOST_DEGRADED_ACTIVE_HC | HOST_PENDING_ACTIVE_HC |                \
	    HOST_EXCLUDED_IMMEDIATE_HC_FAIL | HOST_ACTIVE_HC_TIMEOUT | HOST_CHECKED)

static bool
has(const struct verdict *v, uint32_t flag)
{
	return host_cell_flags(v->cell) & flag;
}

/* All at once: a worker that sets some of them does so too, before this or after it. */
static void
clear(struct verdict *v, uint32_t flags)
{
	if (has(v, flags))
		__atomic_fetch_and(&v->cell->flags, ~flags, __ATOMIC_RELEASE);
}

void
verdict_init(struct verdict *v, struct host_cell *cell, enum verdict_begin how)
{
	*v = (struct verdict){.cell = cell};
	v->first = !has(v, HOST_CHECKED);
	if (v->first && how != BEGIN_USED)
		host_cell_set(cell, HOST_FAILED_ACTIVE_HC, true);
	if (v->first && how == BEGIN_HIDDEN)
		host_cell_set(cell, HOST_PENDING_ACTIVE_HC, true);
	v->was_failed = has(v, HOST_FAILED_ACTIVE_HC);
}

void
verdict_forget(struct verdict *v)
{
	clear(v, SAID);
}

/* Something was said of the host: whoever waited for that may count it in. */
static void
settle(struct verdict *v, struct verdict_result *x)
{
	x->first = v->first;
	v->first = false;
	if (!has(v, HOST_CHECKED))
		host_cell_set(v->cell, HOST_CHECKED, true);
	if (has(v, HOST_PENDING_ACTIVE_HC)) {
		host_cell_set(v->cell, HOST_PENDING_ACTIVE_HC, false);
		x->change = VERDICT_CHANGED;
	}
	v->was_failed = has(v, HOST_FAILED_ACTIVE_HC);
}

static void
pass_failed_host(struct verdict *v, const struct verdict_rules *r, struct verdict_result *x)
{
	if (!v->first && ++v->passed < r->healthy_threshold) {
		x->change = VERDICT_PENDING;
		return;
	}
	clear(v, HOST_FAILED_ACTIVE_HC | HOST_EXCLUDED_IMMEDIATE_HC_FAIL | HOST_ACTIVE_HC_TIMEOUT);
	v->passed = 0;
	x->change = VERDICT_CHANGED;
	x->events |= EVENT_ADDED;
}

struct verdict_result
verdict_pass(struct verdict *v, const struct verdict_rules *r, bool degraded)
{
	struct verdict_result x = {0};

	v->failed = 0;
	if (has(v, HOST_FAILED_ACTIVE_HC))
		pass_failed_host(v, r, &x);
	if (x.change != VERDICT_CHANGED && r->always_log_successes)
		x.events |= EVENT_SUCCESS;
	settle(v, &x);
	if (degraded != has(v, HOST_DEGRADED_ACTIVE_HC)) {
		host_cell_set(v->cell, HOST_DEGRADED_ACTIVE_HC, degraded);
		x.events |= degraded ? EVENT_DEGRADED : EVENT_NO_LONGER_DEGRADED;
		if (x.change == VERDICT_SAME)
			x.change = VERDICT_CHANGED;
	}
	return x;
}

static bool
fails_at_once(enum check_failure why, bool retriable)
{
	return (why == FAILURE_ACTIVE || why == FAILURE_PASSIVE) && !retriable;
}

struct verdict_result
verdict_fail(
    struct verdict *v, const struct verdict_rules *r, enum check_failure why, bool retriable)
{
	struct verdict_result x = {0};

	v->passed = 0;
	if (has(v, HOST_FAILED_ACTIVE_HC)) {
		;
	} else if (fails_at_once(why, retriable) || ++v->failed >= r->unhealthy_threshold) {
		host_cell_set(v->cell, HOST_FAILED_ACTIVE_HC, true);
		v->failed = 0;
		x.change = VERDICT_CHANGED;
		x.events |= EVENT_EJECTED;
	} else {
		x.change = VERDICT_PENDING;
	}
	host_cell_set(v->cell, HOST_ACTIVE_HC_TIMEOUT,
	    why == FAILURE_TIMEOUT && has(v, HOST_FAILED_ACTIVE_HC));
	if (v->first || r->always_log_failures)
		x.events |= EVENT_FAILURE;
	settle(v, &x);
	return x;
}

bool
verdict_failed_meanwhile(struct verdict *v)
{
	bool failed = has(v, HOST_FAILED_ACTIVE_HC), news = failed && !v->was_failed;

	v->was_failed = failed;
	if (news) {
		v->passed = v->failed = 0;
		v->first = false;
		host_cell_set(v->cell, HOST_CHECKED, true);
	}
	return news;
}

/* ---- when */

static uint64_t
base_interval(const struct verdict_rules *r, bool passed, enum verdict_change change, bool traffic)
{
	bool edge = change == VERDICT_PENDING;

	if (!traffic)
		return passed && !edge ? r->no_traffic_healthy_interval_ms
				       : r->no_traffic_interval_ms;
	if (passed)
		return edge ? r->healthy_edge_interval_ms : r->interval_ms;
	return edge ? r->unhealthy_edge_interval_ms : r->unhealthy_interval_ms;
}

static uint64_t
with_jitter(uint64_t base_ms, uint64_t percent, uint64_t jitter_ms, uint64_t dice)
{
	uint64_t span = base_ms * percent / 100, ms = base_ms;

	if (span)
		ms += dice % span;
	if (jitter_ms)
		ms += (dice >> 32) % jitter_ms;
	return ms ? ms : 1;
}

uint64_t
verdict_interval_ms(const struct verdict_rules *r, bool passed, enum verdict_change change,
    bool traffic, uint64_t dice)
{
	return with_jitter(
	    base_interval(r, passed, change, traffic), r->jitter_percent, r->jitter_ms, dice);
}

uint64_t
verdict_initial_ms(const struct verdict_rules *r, uint64_t dice)
{
	return r->initial_jitter_ms ? with_jitter(0, 0, r->initial_jitter_ms, dice) : 0;
}
