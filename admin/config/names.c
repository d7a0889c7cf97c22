#include "admin/config/names.h"

#include "admin/config/address.h"
#include "conf/defaults.h"
#include "conf/message.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb-c.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb-c.h"
#include "lib/base/hash.h"

typedef Envoy__Config__Bootstrap__V3__Bootstrap Bootstrap;
typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Extensions__Clusters__Dns__V3__DnsCluster DnsCluster;
typedef Envoy__Extensions__Network__DnsResolver__Cares__V3__CaresDnsResolverConfig Cares;
typedef Envoy__Config__Core__V3__TypedExtensionConfig Extension;
typedef Envoy__Config__Core__V3__Address Address;
typedef Envoy__Config__Core__V3__DnsResolutionConfig ResolutionConfig;
typedef Envoy__Config__Core__V3__DnsResolverOptions ResolverOptions;

#define REFRESH_MS 5000
#define TTL_LEAST_MS 1000

/* ---- whom */

static void
read_servers(struct dns_settings *s, Address *const *list, size_t n)
{
	for (size_t i = 0; i < n && s->servers_n < DNS_SERVERS; i++)
		if (address_of_message(&s->servers[s->servers_n], list[i], NULL) == 0)
			s->servers_n++;
}

static void
read_options(struct dns_settings *s, const ResolverOptions *o)
{
	s->tcp = o && o->use_tcp_for_dns_lookups;
	s->no_search = o && o->no_default_search_domain;
}

static void
read_resolution(struct dns_settings *s, const ResolutionConfig *r)
{
	read_servers(s, r->resolvers, r->n_resolvers);
	read_options(s, r->dns_resolver_options);
}

static bool
read_typed(struct dns_settings *s, struct arena *a, const Extension *e)
{
	const Google__Protobuf__Any *any = e ? e->typed_config : NULL;
	const Cares *c;

	if (e == NULL)
		return false;
	c = (const void *)any_open(a, any ? &any->base : NULL,
	    &envoy__extensions__network__dns_resolver__cares__v3__cares_dns_resolver_config__descriptor,
	    NULL);
	if (c == NULL)
		return false;
	read_servers(s, c->resolvers, c->n_resolvers);
	read_options(s, c->dns_resolver_options);
	s->fallback = c->use_resolvers_as_fallback;
	s->routable_only = c->filter_unroutable_families;
	s->rotate = c->rotate_nameservers;
	s->channel_questions = conf_u32(c->udp_max_queries, 0);
	s->try_ms = conf_u64(c->query_timeout_seconds, 0) * 1000;
	s->tries = conf_u32(c->query_tries, 0);
	return true;
}

static bool
read_cluster_resolver(struct dns_settings *s, struct arena *a, const Cluster *c)
{
	if (read_typed(s, a, c->typed_dns_resolver_config))
		return true;
	if (c->dns_resolution_config) {
		read_resolution(s, c->dns_resolution_config);
		return true;
	}
	read_servers(s, c->dns_resolvers, c->n_dns_resolvers);
	s->tcp = c->use_tcp_for_dns_lookups;
	return s->servers_n > 0 || s->tcp;
}

/* The newest spelling counts; a cluster that says nothing asks as the bootstrap says. */
static void
read_resolver(struct dns_settings *s, struct arena *a, const Bootstrap *b, const Cluster *c,
    const DnsCluster *d)
{
	if (d ? read_typed(s, a, d->typed_dns_resolver_config) : read_cluster_resolver(s, a, c))
		return;
	if (read_typed(s, a, b->typed_dns_resolver_config))
		return;
	if (b->dns_resolution_config)
		read_resolution(s, b->dns_resolution_config);
	else
		s->tcp = b->use_tcp_for_dns_lookups;
}

/* ---- how often */

/* max unset: 10 times the base, as Envoy. */
static void
set_failure_rate(struct names_config *n, const Google__Protobuf__Duration *base,
    const Google__Protobuf__Duration *max)
{
	n->failure_base_ms = conf_duration_ms(base, 0);
	n->failure_max_ms = conf_duration_ms(max, n->failure_base_ms * 10);
}

static enum dns_family
family_of(const Cluster *c)
{
	switch (c->dns_lookup_family) {
	case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DNS_LOOKUP_FAMILY__V4_ONLY:
		return DNS_V4_ONLY;
	case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DNS_LOOKUP_FAMILY__V6_ONLY:
		return DNS_V6_ONLY;
	case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DNS_LOOKUP_FAMILY__V4_PREFERRED:
		return DNS_V4_PREFERRED;
	case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DNS_LOOKUP_FAMILY__ALL:
		return DNS_ALL;
	default:
		return DNS_AUTO;
	}
}

/* Other numbers for the same. */
static enum dns_family
family_of_type(const DnsCluster *d)
{
	switch (d->dns_lookup_family) {
	case ENVOY__EXTENSIONS__CLUSTERS__COMMON__DNS__V3__DNS_LOOKUP_FAMILY__V4_ONLY:
		return DNS_V4_ONLY;
	case ENVOY__EXTENSIONS__CLUSTERS__COMMON__DNS__V3__DNS_LOOKUP_FAMILY__V6_ONLY:
		return DNS_V6_ONLY;
	case ENVOY__EXTENSIONS__CLUSTERS__COMMON__DNS__V3__DNS_LOOKUP_FAMILY__V4_PREFERRED:
		return DNS_V4_PREFERRED;
	case ENVOY__EXTENSIONS__CLUSTERS__COMMON__DNS__V3__DNS_LOOKUP_FAMILY__ALL:
		return DNS_ALL;
	default:
		return DNS_AUTO;
	}
}

static void
read_cluster(struct names_config *n, const Cluster *c)
{
	n->logical = c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS;
	n->family = family_of(c);
	n->refresh_ms = conf_duration_ms(c->dns_refresh_rate, REFRESH_MS);
	n->jitter_ms = conf_duration_ms(c->dns_jitter, 0);
	n->respect_ttl = c->respect_dns_ttl;
	n->ttl_least_ms = TTL_LEAST_MS;
	if (c->dns_failure_refresh_rate)
		set_failure_rate(n, c->dns_failure_refresh_rate->base_interval,
		    c->dns_failure_refresh_rate->max_interval);
}

static void
read_type(struct names_config *n, const DnsCluster *d)
{
	n->logical = d->all_addresses_in_single_endpoint;
	n->family = family_of_type(d);
	n->refresh_ms = conf_duration_ms(d->dns_refresh_rate, REFRESH_MS);
	n->jitter_ms = conf_duration_ms(d->dns_jitter, 0);
	n->respect_ttl = d->respect_dns_ttl;
	n->ttl_least_ms = conf_duration_ms(d->dns_min_refresh_rate, TTL_LEAST_MS);
	if (d->dns_failure_refresh_rate)
		set_failure_rate(n, d->dns_failure_refresh_rate->base_interval,
		    d->dns_failure_refresh_rate->max_interval);
}

static bool
has_type(const Cluster *c)
{
	return c->cluster_discovery_type_case ==
	    ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_CLUSTER_TYPE;
}

/* The only type that is accepted; its message may be left out. */
static const DnsCluster *
dns_cluster(struct arena *a, const Cluster *c)
{
	const Google__Protobuf__Any *any = c->cluster_type->typed_config;

	return (const void *)any_open(a, any ? &any->base : NULL,
	    &envoy__extensions__clusters__dns__v3__dns_cluster__descriptor, NULL);
}

bool
names_are_in(const Cluster *c)
{
	if (has_type(c))
		return true;
	return c->cluster_discovery_type_case ==
		ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE &&
	    (c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STRICT_DNS ||
		c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS);
}

const struct names_config *
names_config_read(struct arena *a, const Bootstrap *b, const Cluster *c)
{
	struct names_config *n = arena_new(a, struct names_config);
	const DnsCluster *d = has_type(c) ? dns_cluster(a, c) : NULL;

	n->assignment = c->load_assignment;
	if (d)
		read_type(n, d);
	else
		read_cluster(n, c);
	read_resolver(&n->resolver, a, b, c, d);
	return n;
}

uint64_t
names_config_hash(const struct names_config *n)
{
	return hash_xx64(&n->resolver, sizeof(n->resolver), 0);
}
