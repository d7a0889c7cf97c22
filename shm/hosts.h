/*
 * What every process knows of one upstream host: the shared part of its
 * block (scope `host`, prefix "<cluster>|<address>|").  Cells are single
 * atomics with several writers, written only when they change: admin's
 * checkers and outlier detection, the operator, workers that saw
 * x-envoy-immediate-health-check-fail.  Verdicts survive every process.
 */
#ifndef SHM_HOSTS_H
#define SHM_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

enum host_flag {
	HOST_FAILED_ACTIVE_HC = 1u << 0,
	HOST_FAILED_OUTLIER = 1u << 1,
	HOST_FAILED_EDS = 1u << 2,
	HOST_DEGRADED_ACTIVE_HC = 1u << 3,
	HOST_DEGRADED_EDS = 1u << 4,
	HOST_PENDING_REMOVAL = 1u << 5,
	HOST_PENDING_ACTIVE_HC = 1u << 6,
	HOST_EXCLUDED_IMMEDIATE_HC_FAIL = 1u << 7,
	HOST_ACTIVE_HC_TIMEOUT = 1u << 8,
	HOST_EDS_DRAINING = 1u << 9,
	HOST_CLUSTER_USED = 1u << 14, /* not shown: its cluster carried traffic when it was last checked */
	HOST_CHECKED = 1u << 15, /* not shown: an active check has said something since the host came */
	HOST_OPERATOR_DRAIN = 1u << 16,
	HOST_OPERATOR_FAIL = 1u << 17,
};

struct host_cell {
	uint32_t flags;            /* enum host_flag, atomic */
	uint32_t consecutive_5xx;  /* atomic */
	uint32_t consecutive_gateway;
	uint32_t consecutive_local;
	uint32_t ejections;        /* by outlier detection, ever; this and what follows: admin writes */
	uint32_t ejection_steps;   /* of the time it stays out */
	uint32_t unused;
	uint64_t ejected_ns, returned_ns; /* CLOCK_MONOTONIC of the last time; 0: never */
	uint64_t since_ns; /* CLOCK_MONOTONIC of its joining or its last recovery; 0: long ago; atomic */
};

static inline uint64_t
host_cell_since(const struct host_cell *c)
{
	return __atomic_load_n(&c->since_ns, __ATOMIC_RELAXED);
}

/* It joined, or a check passes again: slow start begins here. */
static inline void
host_cell_begins(struct host_cell *c, uint64_t now_ns)
{
	__atomic_store_n(&c->since_ns, now_ns, __ATOMIC_RELAXED);
}

static inline uint32_t
host_cell_flags(const struct host_cell *c)
{
	return __atomic_load_n(&c->flags, __ATOMIC_RELAXED);
}

static inline void
host_cell_set(struct host_cell *c, uint32_t flag, bool on)
{
	if (((host_cell_flags(c) & flag) == flag) == on)
		return;
	if (on)
		__atomic_fetch_or(&c->flags, flag, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&c->flags, ~flag, __ATOMIC_RELAXED);
}

/* All that another generation knew, or nothing (NULL); before any worker knows the host. */
void host_cell_take(struct host_cell *c, const struct host_cell *known);
/* The prefix of the host's block. */
void host_prefix(struct strb *out, struct str cluster, struct str address);
/* As /clusters shows them: "healthy", or "/failed_active_hc/operator_drain". */
void host_flags_print(struct strb *out, uint32_t flags);

#endif
