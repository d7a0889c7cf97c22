/* Soundness of what clusters and resolvers say of names. */
#include "conf/check_private.h"
#include "conf/defaults.h"
#include "envoy/config/core/v3/resolver.pb-c.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb-c.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb-c.h"

#define DNS_SERVERS 16 /* lib/net/dns.h */

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Core__V3__Address Address;
typedef Envoy__Extensions__Clusters__Dns__V3__DnsCluster DnsCluster;

bool
is_logical_dns(struct checked *k, const Cluster *c)
{
	const Google__Protobuf__Any *any = c->cluster_type->typed_config;
	const DnsCluster *d = (const void *)any_open(k->c->arena, any ? &any->base : NULL,
	    &envoy__extensions__clusters__dns__v3__dns_cluster__descriptor, NULL);

	return d && d->all_addresses_in_single_endpoint;
}

/* A resolver is asked before any name is known. */
static void
check_resolvers(struct checked *k, const char *field,
    Envoy__Config__Core__V3__Address *const *list, size_t n)
{
	bool v6;

	if (n > DNS_SERVERS)
		fail(k, field, "at most %d resolvers, not %zu", DNS_SERVERS, n);
	for (size_t i = 0; i < n; i++)
		if (list[i]->address_case != ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS ||
		    !is_ip(list[i]->socket_address->address, &v6))
			fail_item(k, field, (int)i, "must be an IP address and a port");
}

void
check_cluster_dns(struct checked *k, bool resolves_names)
{
	const Cluster *c = (const void *)k->m;
	static const char *const fields[] = {"dns_refresh_rate", "dns_failure_refresh_rate",
	    "respect_dns_ttl", "dns_jitter", "dns_lookup_family", "dns_resolvers",
	    "dns_resolution_config", "use_tcp_for_dns_lookups", "typed_dns_resolver_config"};
	bool by_type = c->cluster_discovery_type_case ==
	    ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_CLUSTER_TYPE;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if ((by_type || !resolves_names) &&
		    message_has(k->m, message_field_named(k->m->descriptor, str_of(fields[i]))))
			warn(k, fields[i], "%s has no effect: %s", fields[i],
			    by_type ? "the typed_config of cluster_type says it" : "the cluster resolves no names");
	check_resolvers(k, "dns_resolvers", c->dns_resolvers, c->n_dns_resolvers);
	if (c->typed_dns_resolver_config && (c->dns_resolution_config || c->n_dns_resolvers))
		warn(k, "typed_dns_resolver_config",
		    "typed_dns_resolver_config wins over dns_resolution_config and dns_resolvers");
	else if (c->dns_resolution_config && (c->n_dns_resolvers || c->use_tcp_for_dns_lookups))
		warn(k, "dns_resolution_config",
		    "dns_resolution_config wins over dns_resolvers and use_tcp_for_dns_lookups");
}

void
check_dns_resolution(struct checked *k)
{
	const Envoy__Config__Core__V3__DnsResolutionConfig *r = (const void *)k->m;

	check_resolvers(k, "resolvers", r->resolvers, r->n_resolvers);
}

void
check_cares(struct checked *k)
{
	const Envoy__Extensions__Network__DnsResolver__Cares__V3__CaresDnsResolverConfig *r =
	    (const void *)k->m;

	check_resolvers(k, "resolvers", r->resolvers, r->n_resolvers);
}

void
check_refresh_rate(struct checked *k)
{
	const Envoy__Config__Cluster__V3__Cluster__RefreshRate *r = (const void *)k->m;

	if (r->base_interval && r->max_interval &&
	    conf_duration_ms(r->max_interval, 0) < conf_duration_ms(r->base_interval, 0))
		fail(k, "max_interval", "must not be less than base_interval");
}

void
check_dns_cluster_refresh_rate(struct checked *k)
{
	const Envoy__Extensions__Clusters__Dns__V3__DnsCluster__RefreshRate *r = (const void *)k->m;

	if (r->base_interval && r->max_interval &&
	    conf_duration_ms(r->max_interval, 0) < conf_duration_ms(r->base_interval, 0))
		fail(k, "max_interval", "must not be less than base_interval");
}
