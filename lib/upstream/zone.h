/*
 * Where this proxy stands, and its siblings: the locality of its node and
 * the members of the local cluster (cluster_manager.local_cluster_name),
 * which are all proxies that share the work.  zone_plan.h compares them
 * with the hosts of a cluster.
 *
 * One for a worker, refcounted: its snapshots and clusters hold it.
 */
#ifndef UPSTREAM_ZONE_H
#define UPSTREAM_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/upstream/loads.h"
#include "lib/upstream/locality_count.h"
#include "lib/upstream/shared.h"

struct cluster;

struct zone {
	uint32_t refs;
	struct locality *here;   /* owned reference; NULL: nowhere in particular */
	bool placed;             /* the node says where it is */
	struct str local_name;   /* owned; empty: there is no local cluster */
	struct cluster *local;   /* borrowed: zone_forget() when it goes; NULL: not there */
	/* As zone_look() saw them last. */
	struct locality_counts siblings; /* owns references to the localities */
	struct priority_counts counts;
	uint64_t serial;         /* one more whenever something of it changed */
	uint64_t look_at_ns;     /* not before */
};

/* node: envoy.config.core.v3.Node, may be NULL; local_cluster: its name, may be empty. */
struct zone *zone_new(const void *node, const char *local_cluster);
struct zone *zone_ref(struct zone *z);
void zone_unref(struct zone **zp);
bool zone_same(const struct zone *a, const struct zone *b); /* they say the same */

/* The cluster in force under the local cluster's name. */
void zone_set_local(struct zone *z, struct cluster *local);
void zone_forget(struct zone *z, const struct cluster *gone);
bool zone_is_local(const struct zone *z, struct str cluster);

/* Counts the siblings anew when it is time. */
void zone_look(struct zone *z, uint64_t now_ns);

#endif
