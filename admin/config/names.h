/*
 * What a cluster of type STRICT_DNS or LOGICAL_DNS (or, in another
 * spelling, envoy.clusters.dns) says of its names: the names themselves,
 * how often they are asked, and whom.  Read once when a
 * configuration comes; lives in its store.
 */
#ifndef ADMIN_CONFIG_NAMES_H
#define ADMIN_CONFIG_NAMES_H

#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "lib/base/arena.h"
#include "lib/net/dns.h"

struct names_config {
	const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *assignment; /* may be NULL */
	bool logical; /* one host, at one of the addresses */
	enum dns_family family;
	uint64_t refresh_ms, jitter_ms;
	bool respect_ttl;
	uint64_t ttl_least_ms;
	uint64_t failure_base_ms, failure_max_ms; /* 0: refresh_ms */
	struct dns_settings resolver;
};

/* Are its members found by name? */
bool names_are_in(const Envoy__Config__Cluster__V3__Cluster *c);
/* Of such a cluster. */
const struct names_config *names_config_read(struct arena *a,
    const Envoy__Config__Bootstrap__V3__Bootstrap *b, const Envoy__Config__Cluster__V3__Cluster *c);
/* Changes with whom is asked, which the cluster need not say itself. */
uint64_t names_config_hash(const struct names_config *n);

#endif
