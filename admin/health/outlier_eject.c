/* Who is ejected and taken back, what is counted and told of it. */
#include "admin/health/outlier_private.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/rand.h"

/* ---- counting and telling */

static void
count_detected(struct detector *d, enum ejection_kind kind)
{
	switch (kind) {
#define KIND(id, number, field, unset, stat)                                                       \
	case EJECT_##id:                                                                           \
		stat_inc(&d->stats->ejections_detected_##stat);                                    \
		break;
#include "admin/health/outlier_kinds.def"
#undef KIND
	default:
		break;
	}
	if (kind == EJECT_CONSECUTIVE_5XX)
		stat_inc(&d->stats->ejections_consecutive_5xx);
	else if (kind == EJECT_SUCCESS_RATE || kind == EJECT_SUCCESS_RATE_LOCAL_ORIGIN)
		stat_inc(&d->stats->ejections_success_rate);
}

static void
count_enforced(struct detector *d, enum ejection_kind kind)
{
	switch (kind) {
#define KIND(id, number, field, unset, stat)                                                       \
	case EJECT_##id:                                                                           \
		stat_inc(&d->stats->ejections_enforced_##stat);                                    \
		break;
#include "admin/health/outlier_kinds.def"
#undef KIND
	default:
		break;
	}
	stat_inc(&d->stats->ejections_enforced_total);
}

/* Since it came back, or, who comes back, since it went. */
static int64_t
since_last_s(const struct detector *d, const struct host_cell *c, bool eject)
{
	uint64_t last = eject ? c->returned_ns : c->ejected_ns;

	return last ? (int64_t)((now_ns(d) - last) / NS_PER_S) : -1;
}

static void
tell(struct detector *d, struct member *x, enum ejection_kind kind, bool eject, bool enforced)
{
	const struct watched *w = x->outlier;
	bool local = kind == EJECT_SUCCESS_RATE_LOCAL_ORIGIN ||
		     kind == EJECT_FAILURE_PERCENTAGE_LOCAL_ORIGIN;
	struct outlier_event e = {
	    .kind = kind,
	    .eject = eject,
	    .enforced = enforced,
	    .wall_ns = loop_wall_ns(d->all->a->loop),
	    .since_last_s = since_last_s(d, x->cell, eject),
	    .cluster = d->cluster->name,
	    .host = x->address,
	    .ejections = x->cell->ejections,
	    .rate = w->tally[local].percent,
	    .average = d->rates[local].average,
	    .threshold = d->rates[local].threshold,
	};

	log_info(LOG_UPSTREAM, "cluster '%s': " STR_FMT " is %s", d->cluster->message->name,
	    STR_ARG(x->address),
	    !eject     ? "taken back"
	    : enforced ? "ejected"
		       : "an outlier, not ejected");
	if (d->all->log)
		event_log_outlier(d->all->log, &e);
}

/* ---- ejecting and taking back */

static bool
may_eject(const struct detector *d)
{
	double percent = 100.0 * (d->ejected + 1) / (double)d->cluster->members.len;

	return percent <= d->config.max_percent || (d->config.always_one && d->ejected == 0);
}

static void
recount_soon(struct detector *d)
{
	stat_set(&d->stats->ejections_active, d->ejected);
	loop_flush(d->all->a->loop, &d->all->recount);
}

static void
end_streaks(struct host_cell *c)
{
	__atomic_store_n(&c->consecutive_5xx, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&c->consecutive_gateway, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&c->consecutive_local, 0, __ATOMIC_RELAXED);
}

static void
put_out(struct detector *d, struct member *x)
{
	const struct outlier_config *c = &d->config;
	struct watched *w = x->outlier;

	d->ejected++;
	x->cell->ejections++;
	x->cell->ejected_ns = now_ns(d);
	if (x->cell->ejection_steps * c->base_ms < c->max_ms + c->base_ms)
		x->cell->ejection_steps++;
	w->jitter_ms = c->jitter_ms ? rand_below(c->jitter_ms + 1) : 0;
	host_cell_set(x->cell, HOST_FAILED_OUTLIER, true);
	recount_soon(d);
}

void
outlier_eject(struct detector *d, struct member *x, enum ejection_kind kind)
{
	count_detected(d, kind);
	if (!may_eject(d)) {
		stat_inc(&d->stats->ejections_overflow);
		return;
	}
	if (kind == EJECT_CONSECUTIVE_5XX || kind == EJECT_SUCCESS_RATE)
		stat_inc(&d->stats->ejections_total); /* of these two, enforced or not */
	if (rand_below(100) >= d->config.enforcing[kind]) {
		tell(d, x, kind, true, false);
		return;
	}
	count_enforced(d, kind);
	put_out(d, x);
	tell(d, x, kind, true, true);
}

void
outlier_take_back(struct detector *d, struct member *x)
{
	d->ejected--;
	end_streaks(x->cell); /* a few new failures shall not bring it back at once */
	host_cell_set(x->cell, HOST_FAILED_OUTLIER, false);
	tell(d, x, EJECT_CONSECUTIVE_5XX, false, false);
	x->cell->returned_ns = now_ns(d);
	recount_soon(d);
}
