#include "admin/health/outlier.h"

#include "admin/admin.h"
#include "admin/health/event_log.h"
#include "admin/health/outlier_log.h"
#include "admin/health/outlier_rates.h"
#include "conf/defaults.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/upstream/outlier.h"

typedef Envoy__Config__Cluster__V3__OutlierDetection OutlierDetection;

struct outliers {
	struct admin *a;
	struct event_logs logs;
	struct event_log *log; /* NULL: none is asked for */
	struct flush recount;  /* of membership gauges, once a turn */
};

struct outlier_config {
	uint64_t interval_ms, base_ms, max_ms, jitter_ms;
	uint32_t max_percent;
	bool always_one, check_takes_back, split;
	uint32_t enforcing[EJECT_KINDS];
	uint32_t rate_hosts, rate_volume;
	double rate_factor;
	uint32_t failure_percent, failure_hosts, failure_volume;
};

/* Of one cluster; owned by member_cluster.outlier. */
struct detector {
	struct outliers *all;
	struct member_cluster *cluster;
	struct outlier_config config;
	struct outlier_detection_stats *stats;
	struct timer tick;
	uint32_t ejected;
	struct rate_verdict rates[2]; /* of the last interval; [1]: local origin, when split */
};

struct tally {
	uint64_t good, bad; /* at the last tick */
	double percent;	    /* of the last interval; -1: too few */
	uint64_t volume;
};

/* Of one member; owned by member.outlier. */
struct watched {
	struct host_outcome_stats *outcome;
	struct tally tally[2];
	uint64_t jitter_ms;
};

/* ---- configuration */

static void
read_config(struct outlier_config *c, const OutlierDetection *m)
{
	*c = (struct outlier_config){
	    .interval_ms = conf_duration_ms(m->interval, 10000),
	    .base_ms = conf_duration_ms(m->base_ejection_time, 30000),
	    .jitter_ms = conf_duration_ms(m->max_ejection_time_jitter, 0),
	    .max_percent = conf_u32(m->max_ejection_percent, 10),
	    .always_one = conf_bool(m->always_eject_one_host, false),
	    .check_takes_back = conf_bool(m->successful_active_health_check_uneject_host, true),
	    .split = m->split_external_local_origin_errors,
	    .rate_hosts = conf_u32(m->success_rate_minimum_hosts, 5),
	    .rate_volume = conf_u32(m->success_rate_request_volume, 100),
	    .rate_factor = conf_u32(m->success_rate_stdev_factor, 1900) / 1000.0,
	    .failure_percent = conf_u32(m->failure_percentage_threshold, 85),
	    .failure_hosts = conf_u32(m->failure_percentage_minimum_hosts, 5),
	    .failure_volume = conf_u32(m->failure_percentage_request_volume, 50),
#define KIND(id, number, field, unset, stat) .enforcing[EJECT_##id] = conf_u32(m->field, unset),
#include "admin/health/outlier_kinds.def"
#undef KIND
	};
	c->max_ms =
	    conf_duration_ms(m->max_ejection_time, c->base_ms > 300000 ? c->base_ms : 300000);
}

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
	else if (kind == EJECT_SUCCESS_RATE)
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
	stat_inc(&d->stats->ejections_total);
}

static uint64_t
now_ns(const struct detector *d)
{
	return loop_now_ns(d->all->a->loop);
}

static int64_t
since_last_s(const struct detector *d, const struct host_cell *c)
{
	uint64_t last = c->ejected_ns > c->returned_ns ? c->ejected_ns : c->returned_ns;

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
	    .since_last_s = since_last_s(d, x->cell),
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
is_ejected(const struct member *x)
{
	return host_cell_flags(x->cell) & HOST_FAILED_OUTLIER;
}

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

static void
eject(struct detector *d, struct member *x, enum ejection_kind kind)
{
	count_detected(d, kind);
	if (!may_eject(d)) {
		stat_inc(&d->stats->ejections_overflow);
		return;
	}
	if (rand_below(100) >= d->config.enforcing[kind]) {
		tell(d, x, kind, true, false);
		return;
	}
	count_enforced(d, kind);
	put_out(d, x);
	tell(d, x, kind, true, true);
}

static void
take_back(struct detector *d, struct member *x)
{
	d->ejected--;
	end_streaks(x->cell); /* a few new failures shall not bring it back at once */
	host_cell_set(x->cell, HOST_FAILED_OUTLIER, false);
	tell(d, x, EJECT_CONSECUTIVE_5XX, false, false);
	x->cell->returned_ns = now_ns(d);
	recount_soon(d);
}

static void
look_at_ejection(struct detector *d, struct member *x)
{
	const struct outlier_config *c = &d->config;
	const struct watched *w = x->outlier;
	uint64_t ms = c->base_ms * x->cell->ejection_steps;

	if (!is_ejected(x)) {
		if (x->cell->ejection_steps > 0)
			x->cell->ejection_steps--;
		return;
	}
	ms = (ms < c->max_ms ? ms : c->max_ms) + w->jitter_ms;
	if (now_ns(d) - x->cell->ejected_ns >= ms * NS_PER_MS)
		take_back(d, x);
}

/* ---- once an interval */

static void
tally_up(struct tally *t, uint64_t good, uint64_t bad)
{
	uint64_t all = good + bad - t->good - t->bad;

	t->volume = all;
	t->percent = all ? 100.0 * (double)(good - t->good) / (double)all : -1;
	t->good = good;
	t->bad = bad;
}

static void
tally_member(const struct detector *d, struct member *x)
{
	struct watched *w = x->outlier;

	tally_up(&w->tally[0], stat_counter_all(&w->outcome->success),
	    stat_counter_all(&w->outcome->failure));
	if (d->config.split)
		tally_up(&w->tally[1], stat_counter_all(&w->outcome->local_success),
		    stat_counter_all(&w->outcome->local_failure));
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
			eject(d, x, local ? EJECT_SUCCESS_RATE_LOCAL_ORIGIN : EJECT_SUCCESS_RATE);
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
			eject(d, x,
			    local ? EJECT_FAILURE_PERCENTAGE_LOCAL_ORIGIN
				  : EJECT_FAILURE_PERCENTAGE);
	}
}

static void
on_tick(void *arg)
{
	struct detector *d = arg;

	timer_set(d->all->a->loop, &d->tick, d->config.interval_ms);
	for (size_t i = 0; i < d->cluster->members.len; i++)
		tally_member(d, d->cluster->members.at[i]);
	for (int local = 0; local <= d->config.split; local++) {
		judge_rates(d, local);
		judge_failures(d, local);
	}
	for (size_t i = 0; i < d->cluster->members.len; i++)
		look_at_ejection(d, d->cluster->members.at[i]);
}

/* ---- from workers and the checker */

static enum ejection_kind
kind_of(unsigned streak)
{
	switch (streak) {
	case OUTLIER_GATEWAY:
		return EJECT_CONSECUTIVE_GATEWAY_FAILURE;
	case OUTLIER_LOCAL:
		return EJECT_CONSECUTIVE_LOCAL_ORIGIN_FAILURE;
	default:
		return EJECT_CONSECUTIVE_5XX;
	}
}

static void
end_streak(struct host_cell *c, unsigned streak)
{
	uint32_t *n = streak == OUTLIER_GATEWAY ? &c->consecutive_gateway
		      : streak == OUTLIER_LOCAL ? &c->consecutive_local
						: &c->consecutive_5xx;

	__atomic_store_n(n, 0, __ATOMIC_RELAXED);
}

void
outliers_hear(struct outliers *o, struct str cluster, struct str address, unsigned streak)
{
	struct member_cluster *c = members_cluster(&o->a->members, cluster);
	struct member *x = c && c->outlier ? member_find(c, address) : NULL;

	if (x == NULL || is_ejected(x))
		return;
	eject(c->outlier, x, kind_of(streak));
	end_streak(x->cell, streak);
}

void
outliers_check_passed(struct outliers *o, struct member *x)
{
	struct detector *d = x->cluster->outlier;

	if (d && d->config.check_takes_back && is_ejected(x))
		take_back(d, x);
}

/* ---- from the members */

static void
watch(struct detector *d, struct member *x)
{
	struct watched *w = mem_new(struct watched);

	w->outcome = block_stats(SCOPE_host_outcome, x->prefix);
	tally_up(&w->tally[0], stat_counter_all(&w->outcome->success),
	    stat_counter_all(&w->outcome->failure));
	tally_up(&w->tally[1], stat_counter_all(&w->outcome->local_success),
	    stat_counter_all(&w->outcome->local_failure));
	w->tally[0].percent = w->tally[1].percent = -1;
	x->outlier = w;
	if (!is_ejected(x))
		return;
	d->ejected++; /* the last generation's, or the last admin's */
	if (x->cell->ejection_steps == 0)
		x->cell->ejection_steps = 1;
	if (x->cell->ejected_ns == 0)
		x->cell->ejected_ns = now_ns(d);
}

static void
unwatch(struct detector *d, struct member *x)
{
	if (x->outlier == NULL)
		return;
	if (is_ejected(x))
		d->ejected--;
	mem_free(x->outlier);
	x->outlier = NULL;
}

static void
open_detector(struct outliers *o, struct member_cluster *c)
{
	struct detector *d;
	struct strb prefix = {0};

	if (c->message->outlier_detection == NULL)
		return;
	d = mem_new(struct detector);
	d->all = o;
	d->cluster = c;
	d->rates[0] = d->rates[1] = (struct rate_verdict){-1, -1};
	read_config(&d->config, c->message->outlier_detection);
	strb_adds(&prefix, c->prefix);
	strb_addz(&prefix, "outlier_detection.");
	d->stats = block_stats(SCOPE_outlier_detection, strb_str(&prefix));
	strb_fini(&prefix);
	timer_init(&d->tick, on_tick, d);
	timer_set(o->a->loop, &d->tick, d->config.interval_ms);
	c->outlier = d;
	for (size_t i = 0; i < c->members.len; i++)
		watch(d, c->members.at[i]);
	stat_set(&d->stats->ejections_active, d->ejected);
}

static void
close_detector(struct member_cluster *c, bool forget)
{
	struct detector *d = c->outlier;

	if (d == NULL)
		return;
	for (size_t i = 0; i < c->members.len; i++) {
		struct member *x = c->members.at[i];

		unwatch(d, x);
		if (forget)
			host_cell_set(x->cell, HOST_FAILED_OUTLIER, false);
	}
	timer_stop(&d->tick);
	stat_set(&d->stats->ejections_active, 0);
	mem_free(d);
	c->outlier = NULL;
}

static void
on_cluster_added(void *arg, struct member_cluster *c)
{
	open_detector(arg, c);
}

/* Other rules for the same hosts: who is out stays out until its time is over. */
static void
on_cluster_changed(void *arg, struct member_cluster *c)
{
	close_detector(c, c->message->outlier_detection == NULL);
	open_detector(arg, c);
}

static void
on_cluster_removed(void *arg, struct member_cluster *c)
{
	close_detector(c, false);
}

static void
on_added(void *arg, struct member *x)
{
	struct detector *d = x->cluster->outlier;

	if (d == NULL)
		return;
	watch(d, x);
	stat_set(&d->stats->ejections_active, d->ejected);
}

static void
on_removed(void *arg, struct member *x)
{
	struct detector *d = x->cluster->outlier;

	if (d == NULL)
		return;
	unwatch(d, x);
	stat_set(&d->stats->ejections_active, d->ejected);
}

static const struct members_events members_events = {
    .cluster_added = on_cluster_added,
    .cluster_changed = on_cluster_changed,
    .cluster_removed = on_cluster_removed,
    .added = on_added,
    .removed = on_removed,
};

/* ---- life */

static void
recount(void *arg)
{
	struct outliers *o = arg;

	members_count(&o->a->members);
}

struct outliers *
outliers_new(struct admin *a)
{
	struct outliers *o = mem_new(struct outliers);

	o->a = a;
	o->recount.fn = recount;
	o->recount.arg = o;
	event_logs_init(&o->logs, a->loop);
	members_observe(&a->members, &members_events, o);
	return o;
}

void
outliers_free(struct outliers **op)
{
	struct outliers *o = *op;

	*op = NULL;
	if (o == NULL)
		return;
	flush_cancel(&o->recount);
	event_log_close(&o->log);
	event_logs_fini(&o->logs);
	mem_free(o);
}

void
outliers_use_log(struct outliers *o, const Envoy__Config__Bootstrap__V3__Bootstrap *b)
{
	const Envoy__Config__Bootstrap__V3__ClusterManager *m = b->cluster_manager;
	const char *path = m && m->outlier_detection ? m->outlier_detection->event_log_path : "";
	struct event_log *log = NULL;
	struct err err;

	if (path[0] && (log = event_log_open(&o->logs, path, &err)) == NULL) {
		log_error(LOG_UPSTREAM, "outlier detection: %s; the log before stays", err.text);
		return;
	}
	event_log_close(&o->log);
	o->log = log;
}

void
outliers_reopen_logs(struct outliers *o)
{
	event_logs_reopen(&o->logs);
}

/* ---- for /clusters */

struct outlier_numbers
outliers_numbers(const struct member_cluster *c)
{
	const struct detector *d = c->outlier;

	return (struct outlier_numbers){
	    d->rates[0].average, d->rates[0].threshold, d->rates[1].average, d->rates[1].threshold};
}

double
outlier_success_rate(const struct member *x, bool local)
{
	const struct watched *w = x->outlier;

	return w ? w->tally[local].percent : -1;
}
