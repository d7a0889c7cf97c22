/*
 * The hosts of one priority that are healthy, or degraded, or (in panic)
 * all of them, and the policy's object that chooses among them.  With
 * weighted localities each locality has an object of its own, and a turn
 * as often as its weight and the share of its hosts that is available
 * say; with zone-aware routing one too, beside that of all hosts.  Built anew whenever verdicts or members change.
 */
#ifndef UPSTREAM_GROUP_H
#define UPSTREAM_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/upstream/lb.h"
#include "lib/upstream/lb/edf.h"
#include "lib/upstream/locality_count.h"

struct zone_plan;

struct group_part {
	struct host *const *hosts; /* in an array of the group */
	uint32_t n;
	void *lb;
	uint64_t step; /* of virtual time: the heavier, the shorter */
};

struct group {
	struct host **hosts; /* owned array of borrowed hosts */
	uint32_t n;
	const struct lb_policy *policy;
	void *lb;		  /* of all hosts; NULL while there is nobody, or with weighted parts */
	struct group_part *parts; /* owned */
	uint32_t parts_n;
	struct edf turns;	  /* of weighted parts */
	/* Zone-aware routing: a part for each locality by its place, whose lb may be NULL. */
	const struct zone_plan *plan; /* borrowed */
	struct host **by_zone;        /* owned: the hosts, those of a locality together */
};

void group_add(struct group *g, struct host *h, uint32_t room);
/*
 * All hosts are there.  localities: of the priority; they count by weight
 * when the configuration says so (by-hash policies weigh them within
 * their table), else by the plan when it is not off.  NULL: they do not count here.
 */
void group_build(struct group *g, const struct lb_policy *policy, const struct lb_config *config,
    const struct locality_counts *localities, const struct zone_plan *plan);
void group_fini(struct group *g);

/* With zone-aware routing the part that h, a host of the group, belongs to; else NULL. */
const struct group_part *group_part_of(const struct group *g, const struct host *h);
struct host *group_pick(struct group *g, const struct lb_context *ctx); /* NULL: nobody */

#endif
