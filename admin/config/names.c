#include "admin/config/names.h"

#include "admin/config/address.h"
#include "conf/defaults.h"
#include "lib/base/hash.h"

typedef Envoy__Config__Bootstrap__V3__Bootstrap Bootstrap;
typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__Cluster__RefreshRate RefreshRate;
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

/* The newest spelling counts; a cluster that says nothing asks as the bootstrap says. */
static void
read_resolver(struct dns_settings *s, const Bootstrap *b, const Cluster *c)
{
	if (c->dns_resolution_config) {
		read_resolution(s, c->dns_resolution_config);
	} else if (c->n_dns_resolvers || c->use_tcp_for_dns_lookups) {
		read_servers(s, c->dns_resolvers, c->n_dns_resolvers);
		s->tcp = c->use_tcp_for_dns_lookups;
	}
}

/* ---- how often */

static void
read_failure_rate(struct names_config *n, const RefreshRate *r)
{
	if (r == NULL)
		return;
	n->failure_base_ms = conf_duration_ms(r->base_interval, 0);
	n->failure_max_ms = conf_duration_ms(r->max_interval, n->failure_base_ms * 10);
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

static void
read_cluster(struct names_config *n, const Cluster *c)
{
	n->logical = c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS;
	n->family = family_of(c);
	n->refresh_ms = conf_duration_ms(c->dns_refresh_rate, REFRESH_MS);
	n->jitter_ms = conf_duration_ms(c->dns_jitter, 0);
	n->respect_ttl = c->respect_dns_ttl;
	n->ttl_least_ms = TTL_LEAST_MS;
	read_failure_rate(n, c->dns_failure_refresh_rate);
}

bool
names_are_in(const Cluster *c)
{
	return c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STRICT_DNS ||
	    c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS;
}

const struct names_config *
names_config_read(struct arena *a, const Bootstrap *b, const Cluster *c)
{
	struct names_config *n = arena_new(a, struct names_config);

	n->assignment = c->load_assignment;
	read_cluster(n, c);
	read_resolver(&n->resolver, b, c);
	return n;
}

uint64_t
names_config_hash(const struct names_config *n)
{
	return hash_xx64(&n->resolver, sizeof(n->resolver), 0);
}
