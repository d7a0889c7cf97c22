/*
 * The hosts of one priority that are healthy, or degraded, or (in panic)
 * all of them, and the policy's object that chooses among them.  With
 * weighted localities each locality has an object of its own, and a turn
 * as often as its weight and the share of its hosts that is available
 * say.  Built anew whenever verdicts or members change.
 */
#ifndef UPSTREAM_GROUP_H
#define UPSTREAM_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/upstream/lb.h"
#include "lib/upstream/lb/edf.h"

struct locality;

/* Hosts of a priority by locality: what availability is measured against. */
struct locality_count {
	const struct locality *locality; /* NULL: hosts without one */
	uint32_t weight;		 /* 0: no load */
	uint32_t eligible;		 /* hosts that are not excluded */
};

struct group_part {
	struct host *const *hosts; /* in the group's array */
	uint32_t n;
	void *lb;
	uint64_t step; /* of virtual time: the heavier, the shorter */
};

struct group {
	struct host **hosts; /* owned array of borrowed hosts */
	uint32_t n;
	const struct lb_policy *policy;
	void *lb;		  /* of all hosts; NULL while there is nobody, or with parts */
	struct group_part *parts; /* owned */
	uint32_t parts_n;
	struct edf turns;
};

void group_add(struct group *g, struct host *h, uint32_t room);
/*
 * All hosts are there.  localities: n of the priority, NULL when they
 * have no weight here; by-hash policies weigh them within their table.
 */
void group_build(struct group *g, const struct lb_policy *policy, const struct lb_config *config,
    const struct locality_count *localities, uint32_t n);
void group_fini(struct group *g);

struct host *group_pick(struct group *g, const struct lb_context *ctx); /* NULL: nobody */

#endif
