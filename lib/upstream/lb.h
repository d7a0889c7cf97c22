/*
 * The contract of a load balancing policy (lb.def lists them, lb/ has a
 * file each).  A policy object chooses among the hosts of one group: the
 * healthy, the degraded or all hosts of one priority (host_set.h).  It is
 * built anew when the group changes.
 */
#ifndef UPSTREAM_LB_H
#define UPSTREAM_LB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/upstream/host.h"

struct cluster_stats;
struct criteria;
struct hash_policies;
struct headers;
struct locality_weights;
struct zone;

/* What a request tells the balancer.  Zero is fine. */
struct lb_context {
	const struct headers *request;
	uint64_t hash; /* of the route's hash policies */
	bool has_hash;
	unsigned attempt; /* how often a host was picked and refused for this try */
	const struct criteria *criteria; /* metadata that the host must have; NULL: none */
	/* of a further attempt of the same request; all zero at the first */
	struct host *const *tried; /* hosts that it has tried, in order */
	unsigned tried_len;
	unsigned more_picks;       /* how often to pick again when a host is refused */
	bool (*refuses)(void *arg, const struct host *h);
	void *arg;
	uint32_t priority_frequency; /* priorities tried are passed over, reckoned anew each so many
				      * attempts; 0: never */
};

/* Zone-aware routing (zone_plan.h). */
struct zone_rules {
	uint32_t enabled_percent;  /* of the requests */
	uint64_t min_cluster_size; /* healthy hosts */
	uint32_t force_min;        /* so many healthy hosts here: all stay; 0: never for that */
	bool by_weight;            /* shares by the hosts' weights, not by their number */
	bool fail_on_panic;        /* rather no host than any */
};

/* Settings of all policies together; each reads its own. */
struct lb_config {
	uint32_t choice_count;        /* least_request */
	bool full_scan;               /* least_request: of all hosts, not of a few */
	double active_bias;           /* least_request with weights: how much open requests count */
	uint64_t slow_start_ms;       /* round_robin, least_request; 0 = off */
	double slow_start_aggression, slow_start_least; /* least: percent of the weight */
	bool weighted_localities;     /* localities by their weights */
	const struct locality_weights *scaled; /* of a subset, borrowed; NULL: as discovery says */
	uint64_t ring_min, ring_max;  /* ring_hash: points */
	bool murmur;                  /* ring_hash: MURMUR_HASH_2, not XX_HASH */
	uint64_t table_size;          /* maglev */
	bool hash_hostname;           /* both: hosts are hashed by their names */
	struct hash_policies *hash_policies; /* both: owned; NULL: a route's are asked */
	uint32_t balance_factor;      /* both: bounded load in percent of the average; 0 = off */
	uint32_t panic_threshold;     /* whole percent; 0: never */
	uint32_t overprovisioning;    /* percent: how much more than its share a host can take */
	bool weighted_health;         /* health of a priority by weights, not by number of hosts */
	struct zone_rules zones;
	struct zone *zone;            /* borrowed; NULL: no zone-aware routing */
};

struct lb_policy {
	const char *name; /* "round_robin" */
	bool by_hash;     /* the priority is chosen by the request's hash too */
	/* hosts: n > 0 of them, borrowed for the object's life; config too. */
	void *(*build)(struct host *const *hosts, uint32_t n, const struct lb_config *config);
	struct host *(*pick)(void *self, const struct lb_context *ctx);
	void (*free)(void *self);
	/* NULL: nothing to say.  What its table is like, for the cluster's gauges. */
	void (*report)(const void *self, struct cluster_stats *stats);
};

#define LB(id, policy, message) extern const struct lb_policy lb_##id;
#include "lib/upstream/lb.def"
#undef LB

/* What the Cluster message asks for, in any of its spellings. */
int lb_choose(
    const struct lb_policy **out, struct lb_config *config, const void *cluster_msg, struct err *err);

#endif
