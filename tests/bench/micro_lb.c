/*
 * What it costs to choose a host: nanoseconds of CPU for a pick, and for
 * building the sets, by policy and number of hosts; of zones (round
 * robin) the building of sets alone.
 *
 *   micro_lb [PICKS]      1000000
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/arena.h"
#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/base/rand.h"
#include "lib/event/loop.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/zone.h"
#include "shm/lane.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints Locality;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Endpoint__V3__Endpoint Endpoint;
typedef Envoy__Config__Core__V3__Address Address;
typedef Envoy__Config__Core__V3__SocketAddress SocketAddress;

static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static LbEndpoint *
endpoint_of(struct arena *a, unsigned i)
{
	LbEndpoint *lb = arena_new(a, LbEndpoint);
	Endpoint *e = arena_new(a, Endpoint);
	Address *address = arena_new(a, Address);
	SocketAddress *s = arena_new(a, SocketAddress);

	envoy__config__endpoint__v3__lb_endpoint__init(lb);
	envoy__config__endpoint__v3__endpoint__init(e);
	envoy__config__core__v3__address__init(address);
	envoy__config__core__v3__socket_address__init(s);
	s->address = arena_printf(a, "10.0.%u.%u", i / 250, i % 250 + 1);
	s->port_specifier_case =
	    ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
	s->port_value = 8080;
	address->address_case = ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
	address->socket_address = s;
	e->address = address;
	lb->host_identifier_case =
	    ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT;
	lb->endpoint = e;
	return lb;
}

static Locality *
locality_of(struct arena *a, unsigned zone, unsigned from, unsigned to)
{
	Envoy__Config__Core__V3__Locality *place = arena_new(a, Envoy__Config__Core__V3__Locality);
	Locality *l = arena_new(a, Locality);

	envoy__config__core__v3__locality__init(place);
	envoy__config__endpoint__v3__locality_lb_endpoints__init(l);
	place->zone = arena_printf(a, "z%u", zone);
	l->locality = place;
	l->lb_endpoints = arena_zalloc(a, (to - from) * sizeof(LbEndpoint *));
	l->n_lb_endpoints = to - from;
	for (unsigned i = from; i < to; i++)
		l->lb_endpoints[i - from] = endpoint_of(a, i);
	return l;
}

/* The first zone has `first` of the hosts, two others share the rest. */
static struct cluster *
cluster_of(struct loop *l, struct arena *a, const char *name, int policy, unsigned hosts, unsigned first)
{
	Cluster msg = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT;
	Assignment all = ENVOY__CONFIG__ENDPOINT__V3__CLUSTER_LOAD_ASSIGNMENT__INIT;
	unsigned second = (first + hosts) / 2;
	Locality *list[] = {locality_of(a, 0, 0, first), locality_of(a, 1, first, second),
	    locality_of(a, 2, second, hosts)};
	struct cluster *c;
	struct err err;

	all.cluster_name = (char *)name;
	all.endpoints = list;
	all.n_endpoints = ARRAY_LEN(list);
	msg.name = (char *)name;
	msg.lb_policy = policy;
	msg.load_assignment = &all;
	if (cluster_build(&c, &msg, l, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	return c;
}

static void
end_cluster(struct loop *l, struct cluster **c)
{
	cluster_unref(c);
	for (int i = 0; i < 3; i++)
		loop_turn(l, false);
}

static void
count_picks(struct cluster *c, const char *name, unsigned hosts, unsigned picks, uint64_t build_ns)
{
	struct lb_context ctx = {.has_hash = true};
	uint64_t start = cpu_ns();
	unsigned long sum = 0;

	for (unsigned i = 0; i < picks; i++) {
		ctx.hash = rand_u64();
		sum += cluster_pick(c, &ctx)->index;
	}
	printf("%-14s %6u hosts  %7.1f ns a pick  %9.1f us to build%s\n", name, hosts,
	    (double)(cpu_ns() - start) / picks, (double)build_ns / 1000, sum ? "" : " ");
}

static void
measure(struct loop *l, const char *name, int policy, unsigned hosts, unsigned picks)
{
	struct arena a;
	struct cluster *c;
	uint64_t start;

	arena_init(&a);
	start = cpu_ns();
	c = cluster_of(l, &a, "api", policy, hosts, hosts);
	count_picks(c, name, hosts, picks, cpu_ns() - start);
	end_cluster(l, &c);
	arena_fini(&a);
}

/* Round robin, where half of the requests of zone z0 stay there. */
static void
measure_zones(struct loop *l, unsigned hosts, unsigned picks)
{
	Envoy__Config__Core__V3__Locality here = ENVOY__CONFIG__CORE__V3__LOCALITY__INIT;
	Envoy__Config__Core__V3__Node node = ENVOY__CONFIG__CORE__V3__NODE__INIT;
	struct cluster *c, *siblings;
	struct zone *z;
	struct arena a;
	uint64_t start;

	arena_init(&a);
	here.zone = (char *)"z0";
	node.locality = &here;
	z = zone_new(&node, "siblings");
	siblings = cluster_of(l, &a, "siblings", 0, 6, 2);
	zone_set_local(z, siblings);
	zone_look(z, loop_now_ns(l));
	c = cluster_of(l, &a, "api", 0, hosts, hosts / 6);
	start = cpu_ns();
	cluster_set_zone(c, z);
	count_picks(c, "zones", hosts, picks, cpu_ns() - start);
	end_cluster(l, &c);
	end_cluster(l, &siblings);
	zone_unref(&z);
	arena_fini(&a);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int policy;
	} policies[] = {{"RANDOM", 3}, {"ROUND_ROBIN", 0}, {"LEAST_REQUEST", 1}, {"RING_HASH", 2},
	    {"MAGLEV", 5}};
	static const unsigned hosts[] = {10, 1000, 10000};
	unsigned picks = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
	struct loop *l;

	rand_seed(1);
	lane_private();
	l = loop_new();
	loop_turn(l, false);
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		for (size_t k = 0; k < ARRAY_LEN(hosts); k++)
			measure(l, policies[i].name, policies[i].policy, hosts[k], picks);
	for (size_t k = 0; k < ARRAY_LEN(hosts); k++)
		measure_zones(l, hosts[k], picks);
	loop_free(&l);
	return 0;
}
