/*
 * The circuit breakers' limits as a Cluster message says them, with
 * Envoy's defaults.
 */
#ifndef UPSTREAM_THRESHOLDS_H
#define UPSTREAM_THRESHOLDS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/upstream/breaker.h"

/* msg: envoy.config.cluster.v3.Cluster, borrowed.  Gives track_remaining. */
bool thresholds_read(uint64_t max[BREAKER_KINDS], const void *msg, bool high);

/* A retry_budget, if there is one. */
/* Most connections to one host (per_host_thresholds); UINT64_MAX: no limit. */
uint64_t thresholds_host_connections(const void *cluster_msg, bool high);
bool thresholds_read_budget(struct retry_budget *out, const void *msg, bool high);

/*
 * Admin: with track_remaining its own lane says how much is allowed, and
 * each worker's takes from it what that worker uses, so that the sum of
 * all is what remains.
 */
void thresholds_publish(struct cluster_stats *stats, const void *msg);

#endif
