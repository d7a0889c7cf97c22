/*
 * What it costs to choose a host: nanoseconds of CPU for a pick, and for
 * building the sets, by policy and number of hosts.
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

static struct cluster *
cluster_of(struct loop *l, struct arena *a, int policy, unsigned hosts)
{
	Cluster msg = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT;
	Assignment all = ENVOY__CONFIG__ENDPOINT__V3__CLUSTER_LOAD_ASSIGNMENT__INIT;
	Locality one = ENVOY__CONFIG__ENDPOINT__V3__LOCALITY_LB_ENDPOINTS__INIT, *list = &one;
	struct cluster *c;
	struct err err;

	one.lb_endpoints = arena_zalloc(a, hosts * sizeof(LbEndpoint *));
	one.n_lb_endpoints = hosts;
	for (unsigned i = 0; i < hosts; i++)
		one.lb_endpoints[i] = endpoint_of(a, i);
	all.cluster_name = (char *)"api";
	all.endpoints = &list;
	all.n_endpoints = 1;
	msg.name = (char *)"api";
	msg.lb_policy = policy;
	msg.load_assignment = &all;
	if (cluster_build(&c, &msg, l, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	return c;
}

static void
measure(struct loop *l, const char *name, int policy, unsigned hosts, unsigned picks)
{
	struct arena a;
	struct cluster *c;
	struct lb_context ctx = {.has_hash = true};
	uint64_t start, built, done;
	unsigned long sum = 0;

	arena_init(&a);
	start = cpu_ns();
	c = cluster_of(l, &a, policy, hosts);
	built = cpu_ns();
	for (unsigned i = 0; i < picks; i++) {
		ctx.hash = rand_u64();
		sum += cluster_pick(c, &ctx)->index;
	}
	done = cpu_ns();
	printf("%-14s %6u hosts  %7.1f ns a pick  %9.1f us to build%s\n", name, hosts,
	    (double)(done - built) / picks, (double)(built - start) / 1000, sum ? "" : " ");
	cluster_unref(&c);
	for (int i = 0; i < 3; i++)
		loop_turn(l, false);
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
	loop_free(&l);
	return 0;
}
