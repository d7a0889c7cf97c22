#include "admin/health/outlier_private.h"
#include "conf/defaults.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/upstream/outlier.h"

typedef Envoy__Config__Cluster__V3__OutlierDetection OutlierDetection;

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
	outlier_eject(c->outlier, x, kind_of(streak));
	end_streak(x->cell, streak);
}

void
outliers_check_passed(struct outliers *o, struct member *x)
{
	struct detector *d = x->cluster->outlier;

	if (d && d->config.check_takes_back && is_ejected(x))
		outlier_take_back(d, x);
}

/* ---- from the members */

static void
watch(struct detector *d, struct member *x)
{
	struct watched *w = mem_new(struct watched);

	w->outcome = block_stats(SCOPE_host_outcome, x->prefix);
	outlier_tally(w);
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
	timer_init(&d->tick, outlier_tick, d);
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
