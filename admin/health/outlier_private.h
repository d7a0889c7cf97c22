/*
 * Inside of outlier detection: what outlier.c (members, configuration),
 * outlier_eject.c (who goes and comes back) and outlier_tick.c (once an
 * interval) share.
 */
#ifndef ADMIN_HEALTH_OUTLIER_PRIVATE_H
#define ADMIN_HEALTH_OUTLIER_PRIVATE_H

#include "admin/admin.h"
#include "admin/health/event_log.h"
#include "admin/health/outlier.h"
#include "admin/health/outlier_log.h"
#include "admin/health/outlier_rates.h"
#include "lib/event/timer.h"

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

static inline bool
is_ejected(const struct member *x)
{
	return host_cell_flags(x->cell) & HOST_FAILED_OUTLIER;
}

static inline uint64_t
now_ns(const struct detector *d)
{
	return loop_now_ns(d->all->a->loop);
}

/* ---- outlier_eject.c */

/* The host was found to be one: it goes, if there is room and the share that is enforced says so.
 */
void outlier_eject(struct detector *d, struct member *x, enum ejection_kind kind);
void outlier_take_back(struct detector *d, struct member *x);

/* ---- outlier_tick.c */

void outlier_tick(void *arg); /* the timer detector.tick */
/* The counts so far are the past. */
void outlier_tally(struct watched *w);

#endif
