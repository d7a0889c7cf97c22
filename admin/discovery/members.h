/*
 * Members of the clusters in force: what /clusters shows, whom operators
 * give verdicts, and where membership gauges come from.  Built anew with
 * each accepted configuration.
 */
#ifndef ADMIN_DISCOVERY_MEMBERS_H
#define ADMIN_DISCOVERY_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/vec.h"
#include "lib/net/address.h"
#include "shm/block.h"
#include "shm/hosts.h"

struct segment;
struct store;

struct member {
	struct str address;  /* text */
	struct str hostname; /* "" when none */
	uint32_t weight, priority;
	struct str region, zone, sub_zone;
	struct str prefix; /* of its block: "<cluster>|<address>|" */
	uint32_t health_status; /* envoy.config.core.v3.HealthStatus */
	struct host_cell *cell; /* shared by all processes */
};

struct member_cluster {
	const Envoy__Config__Cluster__V3__Cluster *message; /* borrowed from the store */
	struct str name;
	struct str prefix; /* "cluster.<stat name>." */
	struct cluster_stats *stats;
	VEC(struct member) members;
};

struct members {
	struct arena arena;
	VEC(struct member_cluster) clusters;
};

struct member_health {
	uint32_t total, healthy, degraded, excluded, max_weight;
};

void members_init(struct members *m);
void members_fini(struct members *m);
int members_build(struct members *m, const struct store *s, struct err *err);
/* After their blocks were published: finds cells and stats, notes the configured health. */
void members_attach(struct members *m);

struct member_cluster *members_cluster(struct members *m, struct str name);
struct member *member_find(struct member_cluster *c, struct str address);

struct member_health member_cluster_health(const struct member_cluster *c);
/* Writes the membership gauges of every cluster. */
void members_count(struct members *m);

#endif
