/*
 * One member of a cluster: address, weight, verdicts in shared memory,
 * its pools.  Refcounted: its cluster, its connections and requests that
 * wait for one hold it.  The same address in a later member list of the
 * cluster is the same host.  Removed, it goes with its last connection.
 */
#ifndef UPSTREAM_HOST_H
#define UPSTREAM_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/net/address.h"
#include "lib/upstream/endpoint.h"
#include "shm/block.h"
#include "shm/hosts.h"
#include "shm/limits.h"

struct arena;
struct cluster;
struct pool;

/* What discovery says may change while the host lives (host_update), between two turns of the loop
 * and together with a new host_set: a policy object never sees it change. */
struct host {
	uint32_t refs;
	uint32_t index;          /* place in the cluster's member list */
	uint32_t weight;
	uint8_t priority;
	uint8_t eds_status;      /* envoy.config.core.v3.HealthStatus of the endpoint */
	bool canary;             /* metadata envoy.lb {canary: true} */
	bool removed;            /* not a member any more: picked never, its pools drain */
	struct cluster *cluster; /* borrowed: it lives until its last connection is gone */
	struct pool *pool[2];    /* priority DEFAULT, HIGH; made at first use */
	struct host_stats *stats;
	struct host_cell *cell;  /* verdicts, shared by all processes */
	struct host_outcome_stats *outcome; /* for outlier detection */
	struct cluster_codes_stats *zone_codes; /* of all hosts of its zone; NULL: not counted by zone */
	struct limit_others rq_others, cx_others;
	uint32_t number;         /* in the journal, see membership.h */
	uint32_t locality_weight; /* 0: none given */
	bool was_unhealthy;      /* when cluster.c last looked */
	struct address address;
	struct hostname *hostname; /* these may be NULL */
	struct locality *locality; /* the same place is the same pointer */
	struct metadata *metadata;
};

enum host_health {
	HOST_HEALTHY,
	HOST_DEGRADED,
	HOST_UNHEALTHY,
};

struct host *host_new(struct cluster *c, const struct endpoint *e);
/* Discovery says something else of the same address. */
void host_update(struct host *h, const struct endpoint *e);
bool host_says(const struct host *h, const struct endpoint *e); /* the same */
/* Removed: it counts as departed until its last reference is gone. */
void host_departs(struct host *h);
/* Of removed hosts and closed clusters of this process that something still uses. */
extern uint32_t upstream_departed;

struct host *host_ref(struct host *h);
void host_unref(struct host **hp);
/* Holds a reference as long as the arena: a stream's pick lives as long as the stream. */
struct host *host_keep(struct host *h, struct arena *a);

static inline struct str
host_hostname(const struct host *h)
{
	return h->hostname ? h->hostname->text : (struct str){"", 0};
}

enum host_health host_health(const struct host *h);
bool host_is_excluded(const struct host *h); /* does not count in panic and load maths */
bool host_is_drained(const struct host *h);  /* by the operator: never picked, not even in panic */
/* Requests open at this host, of all workers; the others' part is at most 10 ms old. */
uint64_t host_active_requests(struct host *h, uint64_t now_ns);
/* The host asked not to be used (x-envoy-immediate-health-check-fail); false: nobody checks it, so
 * nobody could bring it back. */
bool host_fail_active_check(struct host *h);

#endif
