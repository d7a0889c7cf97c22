#include "admin/discovery/resolve.h"

#include <stdlib.h>

#include "admin/config/address.h"
#include "admin/config/store.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/net/dns.h"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints Locality;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Endpoint__V3__Endpoint Endpoint;
typedef Envoy__Config__Core__V3__Address Address;
typedef Envoy__Config__Core__V3__SocketAddress SocketAddress;

/* One name of one endpoint, and its answer. */
struct lookup {
	struct resolve *resolve;
	const Cluster *cluster;
	const LbEndpoint *endpoint;
	VEC(struct address) at;
};

struct resolve {
	struct loop *loop;
	struct store *store;
	struct store *before; /* in force; NULL at the start */
	struct dns *dns; /* made with the first name */
	void (*on_done)(void *arg);
	void *arg;
	VEC(struct lookup *) lookups;
	size_t open;
};

static bool
is_dns(const Cluster *c)
{
	return c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STRICT_DNS ||
	    c->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS;
}

/* ---- the resolved copy: shares what does not change with the original */

static LbEndpoint *
endpoint_at(struct arena *a, const LbEndpoint *e, const struct address *at)
{
	LbEndpoint *copy = arena_new(a, LbEndpoint);
	Endpoint *endpoint = arena_new(a, Endpoint);
	Address *address = arena_new(a, Address);
	SocketAddress *s = arena_new(a, SocketAddress);
	char ip[ADDRESS_TEXT];
	size_t n = address_format_ip(at, ip);

	*s = *e->endpoint->address->socket_address;
	s->address = arena_dup(a, ip, n);
	*address = *e->endpoint->address;
	address->socket_address = s;
	*endpoint = *e->endpoint;
	endpoint->address = address;
	if (endpoint->hostname[0] == '\0')
		endpoint->hostname = e->endpoint->address->socket_address->address;
	*copy = *e;
	copy->endpoint = endpoint;
	return copy;
}

static const struct lookup *
lookup_of(const struct resolve *r, const LbEndpoint *e)
{
	for (size_t i = 0; i < r->lookups.len; i++)
		if (r->lookups.at[i]->endpoint == e)
			return r->lookups.at[i];
	return NULL;
}

static Locality *
locality_resolved(const struct resolve *r, const Locality *l)
{
	struct arena *a = &r->store->arena;
	Locality *copy = arena_new(a, Locality);
	size_t room = 0, n = 0;

	for (size_t i = 0; i < l->n_lb_endpoints; i++) {
		const struct lookup *q = lookup_of(r, l->lb_endpoints[i]);

		room += q ? q->at.len : 1;
	}
	*copy = *l;
	copy->lb_endpoints = arena_zalloc(a, (room + 1) * sizeof(LbEndpoint *));
	for (size_t i = 0; i < l->n_lb_endpoints; i++) {
		const struct lookup *q = lookup_of(r, l->lb_endpoints[i]);

		if (q == NULL)
			copy->lb_endpoints[n++] = l->lb_endpoints[i];
		for (size_t k = 0; q && k < q->at.len; k++)
			copy->lb_endpoints[n++] = endpoint_at(a, q->endpoint, &q->at.at[k]);
	}
	copy->n_lb_endpoints = n;
	return copy;
}

static const Cluster *
cluster_resolved(const struct resolve *r, const Cluster *c)
{
	struct arena *a = &r->store->arena;
	Cluster *copy;
	Assignment *all;

	if (!is_dns(c) || c->load_assignment == NULL)
		return c;
	copy = arena_new(a, Cluster);
	all = arena_new(a, Assignment);
	*copy = *c;
	*all = *c->load_assignment;
	copy->load_assignment = all;
	all->endpoints = arena_zalloc(a, (all->n_endpoints + 1) * sizeof(Locality *));
	for (size_t i = 0; i < all->n_endpoints; i++)
		all->endpoints[i] = locality_resolved(r, c->load_assignment->endpoints[i]);
	return copy;
}

static void
finish(void *arg)
{
	struct resolve *r = arg;
	const Envoy__Config__Bootstrap__V3__Bootstrap *b = r->store->bootstrap;

	for (size_t i = 0; b->static_resources && i < b->static_resources->n_clusters; i++)
		store_add_cluster(r->store, cluster_resolved(r, b->static_resources->clusters[i]));
	r->on_done(r->arg);
}

/* ---- asking */

/* ---- what is in force says it too */

static bool
is_logical(const struct lookup *q)
{
	return q->cluster->type ==
	    ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS;
}

/* Calls fn for every address that the cluster in force has under the name and port of q. */
static void
each_before(struct lookup *q, void (*fn)(struct lookup *q, const struct address *at))
{
	const Endpoint *mine = q->endpoint->endpoint;
	const char *name = mine->hostname[0] ? mine->hostname : address_name(mine->address);
	struct store *before = q->resolve->before;
	const struct store_cluster *c =
	    before ? store_cluster(before, str_of(q->cluster->name)) : NULL;
	const Assignment *all = c && is_dns(c->message) ? c->message->load_assignment : NULL;

	for (size_t i = 0; all && i < all->n_endpoints; i++) {
		for (size_t k = 0; k < all->endpoints[i]->n_lb_endpoints; k++) {
			const Endpoint *e = all->endpoints[i]->lb_endpoints[k]->endpoint;
			struct address at;

			if (e && strcmp(e->hostname, name) == 0 &&
			    address_of_message(&at, e->address, NULL) == 0 &&
			    address_port(&at) == mine->address->socket_address->port_value)
				fn(q, &at);
		}
	}
}

static void
add_address(struct lookup *q, const struct address *at)
{
	*vec_push(&q->at) = *at;
}

static void
take_from_before(struct lookup *q)
{
	each_before(q, add_address);
}

/* To the front, if the answer has it. */
static void
prefer(struct lookup *q, const struct address *at)
{
	for (size_t i = 0; i < q->at.len; i++) {
		if (!address_same_ip(&q->at.at[i], at))
			continue;
		q->at.at[i] = q->at.at[0];
		q->at.at[0] = *at;
		return;
	}
}

static int
by_bytes(const void *a, const void *b)
{
	char x[ADDRESS_TEXT], y[ADDRESS_TEXT];

	address_format(a, x);
	address_format(b, y);
	return strcmp(x, y);
}

/* A logical cluster stays at its address; otherwise the order says nothing. */
static void
settle_order(struct lookup *q)
{
	if (!is_logical(q)) {
		qsort(q->at.at, q->at.len, sizeof(q->at.at[0]), by_bytes);
		return;
	}
	each_before(q, prefer);
	q->at.len = 1;
}

static void
on_answer(void *arg, const struct address *at, size_t n, const char *why)
{
	struct lookup *q = arg;
	struct resolve *r = q->resolve;
	const char *name = address_name(q->endpoint->endpoint->address);

	for (size_t i = 0; i < n; i++)
		*vec_push(&q->at) = at[i];
	if (n)
		settle_order(q);
	else
		take_from_before(q);
	if (n)
		log_info(LOG_UPSTREAM,
		    "cluster '%s': '%s' has %zu address(es); names are asked at a start and a reload",
		    q->cluster->name, name, q->at.len);
	else if (q->at.len)
		log_warning(LOG_UPSTREAM, "cluster '%s': '%s' could not be resolved (%s); it keeps its addresses",
		    q->cluster->name, name, why);
	else
		log_warning(LOG_UPSTREAM, "cluster '%s': '%s' could not be resolved (%s); it has no members from it until the next start or reload",
		    q->cluster->name, name, why);
	if (--r->open == 0)
		finish(r);
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

static int
ask(struct resolve *r, const Cluster *c, const LbEndpoint *e, struct err *err)
{
	const char *name = e->endpoint ? address_name(e->endpoint->address) : NULL;
	struct lookup *q;

	if (name == NULL)
		return 0;
	if (r->dns == NULL && (r->dns = dns_new(r->loop, err)) == NULL)
		return -1;
	q = mem_new(struct lookup);
	q->resolve = r;
	q->cluster = c;
	q->endpoint = e;
	*vec_push(&r->lookups) = q;
	r->open++;
	return 0;
}

static int
ask_cluster(struct resolve *r, const Cluster *c, struct err *err)
{
	if (!is_dns(c) || c->load_assignment == NULL)
		return 0;
	for (size_t i = 0; i < c->load_assignment->n_endpoints; i++) {
		const Locality *l = c->load_assignment->endpoints[i];

		for (size_t k = 0; k < l->n_lb_endpoints; k++)
			if (ask(r, c, l->lb_endpoints[k], err) < 0)
				return -1;
	}
	return 0;
}

struct resolve *
resolve_start(struct loop *l, struct store *s, struct store *before, void (*on_done)(void *),
    void *arg, struct err *err)
{
	struct resolve *r = mem_new(struct resolve);
	const Envoy__Config__Bootstrap__V3__Bootstrap *b = s->bootstrap;

	*r = (struct resolve){.loop = l, .store = s, .before = before, .on_done = on_done, .arg = arg};
	for (size_t i = 0; b->static_resources && i < b->static_resources->n_clusters; i++) {
		if (ask_cluster(r, b->static_resources->clusters[i], err) < 0) {
			resolve_free(&r);
			return NULL;
		}
	}
	if (r->open == 0)
		loop_defer(l, finish, r);
	for (size_t i = 0; i < r->lookups.len; i++) {
		struct lookup *q = r->lookups.at[i];

		dns_resolve(r->dns, str_of(address_name(q->endpoint->endpoint->address)),
		    (uint16_t)q->endpoint->endpoint->address->socket_address->port_value,
		    family_of(q->cluster), on_answer, q);
	}
	return r;
}

void
resolve_free(struct resolve **rp)
{
	struct resolve *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	r->open += r->lookups.len; /* what dns_free() still answers is for nobody */
	dns_free(&r->dns);
	for (size_t i = 0; i < r->lookups.len; i++) {
		vec_fini(&r->lookups.at[i]->at);
		mem_free(r->lookups.at[i]);
	}
	vec_fini(&r->lookups);
	mem_free(r);
}
