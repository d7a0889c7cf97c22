/*
 * What the results of active checks make of a host: counts up to the
 * thresholds, flags in the host's cell, when to check again.  No sockets
 * and no clock.
 *
 *               passed, first check or healthy_threshold in a row
 *        FAILED ────────────────────────────────────────────► HEALTHY
 *          ▲                                                     │
 *          └─────────────────────────────────────────────────────┘
 *            a bad answer at once; network trouble and retriable
 *            answers unhealthy_threshold times in a row
 *
 * The flag in the cell is the state: a worker that was told
 * x-envoy-immediate-health-check-fail sets it too.
 */
#ifndef ADMIN_HEALTH_VERDICT_H
#define ADMIN_HEALTH_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

struct host_cell;

enum check_failure {
	FAILURE_ACTIVE,    /* the answer is bad */
	FAILURE_PASSIVE,   /* a worker heard that the host wants to be left alone */
	FAILURE_NETWORK,   /* refused, reset, ended */
	FAILURE_TIMEOUT,
};

enum verdict_change {
	VERDICT_SAME,
	VERDICT_PENDING, /* on the way to the other state */
	VERDICT_CHANGED,
};

/* What is worth a line in the event log. */
enum verdict_event {
	EVENT_EJECTED = 1,
	EVENT_ADDED = 2,
	EVENT_FAILURE = 4,
	EVENT_SUCCESS = 8,
	EVENT_DEGRADED = 16,
	EVENT_NO_LONGER_DEGRADED = 32,
};

struct verdict_rules {
	uint32_t healthy_threshold, unhealthy_threshold;
	uint64_t interval_ms, unhealthy_interval_ms, unhealthy_edge_interval_ms,
	    healthy_edge_interval_ms, no_traffic_interval_ms, no_traffic_healthy_interval_ms;
	uint64_t jitter_ms, initial_jitter_ms;
	uint32_t jitter_percent;
	bool always_log_failures, always_log_successes;
};

struct verdict {
	struct host_cell *cell; /* borrowed: shared by all processes */
	uint32_t passed, failed; /* in a row, towards the threshold */
	bool first;              /* nothing was ever said of the host */
	bool was_failed;         /* as this process last saw it */
};

/* Of one result. */
struct verdict_result {
	enum verdict_change change;
	unsigned events; /* enum verdict_event */
	bool first;
};

enum verdict_begin {
	BEGIN_FAILED, /* a host nobody spoke of is not used before its first check */
	BEGIN_HIDDEN, /* … and does not count in panic maths either */
	BEGIN_USED,   /* it is in use: good until something else is said */
};

/* What was said before stays. */
void verdict_init(struct verdict *v, struct host_cell *cell, enum verdict_begin how);
/* The host, or its checks, are no more. */
void verdict_forget(struct verdict *v);

struct verdict_result verdict_pass(struct verdict *v, const struct verdict_rules *r, bool degraded);
struct verdict_result verdict_fail(
    struct verdict *v, const struct verdict_rules *r, enum check_failure why, bool retriable);
/* A worker failed the host since we last looked: true once. */
bool verdict_failed_meanwhile(struct verdict *v);

/* When to check again; dice: random. */
uint64_t verdict_interval_ms(const struct verdict_rules *r, bool passed, enum verdict_change change,
    bool traffic, uint64_t dice);
uint64_t verdict_initial_ms(const struct verdict_rules *r, uint64_t dice);

#endif
