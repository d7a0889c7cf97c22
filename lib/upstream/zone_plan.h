/*
 * Zone-aware routing: which locality of a cluster a request goes to, so
 * that as many as possible stay in this proxy's own and all hosts still
 * get the same (Envoy docs: arch_overview/upstream/load_balancing/
 * zone_aware).  A plan belongs to priority 0 of a host_set and is made
 * anew whenever its hosts or the siblings (zone.h) change.
 *
 * Shares are of 10,000.  When the own locality has at least as large a
 * share of the cluster as of the siblings, all stays.  Otherwise so much
 * stays as its hosts can take, and the rest goes to localities that have
 * more hosts than siblings, by how many.
 */
#ifndef UPSTREAM_ZONE_PLAN_H
#define UPSTREAM_ZONE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/upstream/lb.h"
#include "lib/upstream/locality_count.h"
#include "lib/upstream/zone.h"

struct cluster_stats;

enum zone_state {
	ZONE_OFF,
	ZONE_DIRECT,   /* all requests stay */
	ZONE_RESIDUAL, /* some go elsewhere */
};

#define ZONE_ANY (-1)    /* any host of the cluster */
#define ZONE_NOBODY (-2) /* the request fails */

struct zone_plan {
	enum zone_state state;
	/* Places in the counts it was made from. */
	uint32_t here, n;
	uint32_t stays;     /* share of the own locality's requests; ZONE_RESIDUAL */
	uint64_t *residual; /* owned; sums of what the localities up to this one can take more */
	bool siblings_panic;
	const struct zone_rules *rules; /* borrowed */
	struct cluster_stats *stats;    /* borrowed */
};

/* hosts: those of the cluster's priority 0.  What keeps it off is counted. */
void zone_plan_make(struct zone_plan *p, const struct zone *z, const struct locality_counts *hosts,
    const struct lb_config *config, struct cluster_stats *stats);
void zone_plan_fini(struct zone_plan *p);

/* The place of the locality that a request goes to, ZONE_ANY or ZONE_NOBODY; it is counted. */
int64_t zone_plan_choose(const struct zone_plan *p);

#endif
