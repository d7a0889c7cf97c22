/*
 * One member of a cluster: address, weight, verdicts in shared memory,
 * its pools.  Refcounted; the same address in a later member list of the
 * cluster is the same host.
 */
#ifndef UPSTREAM_HOST_H
#define UPSTREAM_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/net/address.h"
#include "shm/block.h"
#include "shm/hosts.h"

struct cluster;
struct pool;

struct host {
	uint32_t refs;
	struct cluster *cluster; /* borrowed: a host does not outlive its cluster's pools */
	struct address address;
	struct str hostname;     /* "" when none */
	uint32_t weight, priority;
	struct str region, zone, sub_zone;
	uint32_t eds_status;     /* envoy.config.core.v3.HealthStatus of the endpoint */
	struct host_cell *cell;  /* verdicts, shared by all processes */
	struct host_stats *stats;
	struct pool *pool[2];    /* priority DEFAULT, HIGH; made at first use */
};

enum host_health {
	HOST_HEALTHY,
	HOST_DEGRADED,
	HOST_UNHEALTHY,
};

enum host_health host_health(const struct host *h);
struct host *host_ref(struct host *h);
void host_unref(struct host **hp);

#endif
