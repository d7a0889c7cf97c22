/*
 * What members cost a worker: a cluster of N endpoints arrives, 1 % of it
 * changes, all of it is replaced; the longest stretch between two turns
 * of the loop, the time in all, and the memory of hosts and of clusters
 * that nobody asks.  Then what they cost admin: a source says all of them,
 * the same once more, and the records.  Time is CPU time.
 *
 *   micro_members [ENDPOINTS [CLUSTERS]]      10000 1000
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/config/store.h"
#include "admin/discovery/compose.h"
#include "admin/discovery/members.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/ipc/journal.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/cluster_update.h"
#include "lib/upstream/membership.h"
#include "shm/lane.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"

#define SLICE_NS (2 * NS_PER_MS) /* as worker/process_config.c */

static struct loop *loop;

/* Of this process only: others on the machine do not count. */
static uint64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

struct longest {
	uint64_t slice_ns, total_ns;
};

static size_t
heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void
make_endpoint(struct endpoint *e, unsigned i, unsigned generation)
{
	static const char *const zones[] = {"a", "b", "c"};
	char text[ADDRESS_TEXT];

	*e = (struct endpoint){.weight = 1 + i % 3};
	snprintf(text, sizeof(text), "10.%u.%u.%u:8080", generation, i / 250, i % 250 + 1);
	address_parse(&e->address, str_of(text), NULL);
	e->locality = locality_get(STR("region"), str_of(zones[i % 3]), STR(""));
}

static void
publish_blocks(struct segment *seg, const char *cluster, unsigned n, unsigned generation)
{
	struct strb b = {0};
	struct endpoint e;

	for (unsigned i = 0; i < n; i++) {
		char text[ADDRESS_TEXT];

		make_endpoint(&e, i, generation);
		address_format(&e.address, text);
		strb_reset(&b);
		host_prefix(&b, str_of(cluster), str_of(text));
		block_publish(seg, SCOPE_host, strb_str(&b), NULL);
		endpoint_fini(&e);
	}
	strb_fini(&b);
}

static void
record_of(struct membership_writer *w, bool whole, uint64_t from, unsigned n, unsigned step,
    unsigned generation)
{
	struct endpoint e;

	membership_begin(w, whole, n, from, from + 1);
	for (unsigned i = 0; i < n; i += step) {
		make_endpoint(&e, i, generation);
		e.weight += !whole;
		membership_put(w, i, &e);
		endpoint_fini(&e);
	}
}

static void
note(struct longest *l, uint64_t since_ns)
{
	uint64_t took = cpu_ns() - since_ns;

	l->total_ns += took;
	if (took > l->slice_ns)
		l->slice_ns = took;
}

/* As a worker takes it: slices, then the swap with one pick behind it. */
static void
take(struct cluster *c, struct membership_writer *w, struct longest *l)
{
	struct cluster_update *u;
	struct err err;
	int more = 1;
	uint64_t begun = cpu_ns();

	u = cluster_update_new(c);
	cluster_update_record(u, strb_str(&w->bytes), &err);
	while (more > 0) {
		while (more > 0 && cpu_ns() - begun < SLICE_NS)
			more = cluster_update_step(u, &err);
		note(l, begun);
		begun = cpu_ns();
	}
	cluster_update_use(u);
	cluster_update_free(&u);
	cluster_pick(c, &(struct lb_context){0});
	note(l, begun);
	loop_turn(loop, false);
}

static void
say(const char *what, const struct longest *l)
{
	printf("%-34s longest slice %6.2f ms, in all %6.2f ms\n", what, (double)l->slice_ns / 1e6,
	    (double)l->total_ns / 1e6);
}

static struct cluster *
empty_cluster(const char *name, Envoy__Config__Cluster__V3__Cluster__LbPolicy policy)
{
	Envoy__Config__Cluster__V3__Cluster m = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT;
	struct cluster *c;
	struct err err;

	m.name = (char *)(uintptr_t)name;
	m.lb_policy = policy;
	if (cluster_build(&c, &m, loop, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	return c;
}

static void
one_policy(struct segment *seg, const char *name, Envoy__Config__Cluster__V3__Cluster__LbPolicy policy,
    unsigned n)
{
	struct cluster *c = empty_cluster(name, policy);
	struct membership_writer w;
	struct longest first = {0}, changed = {0}, replaced = {0};
	size_t before;

	printf("%s, %u endpoints\n", name, n);
	publish_blocks(seg, name, n, 1);
	record_of(&w, true, 0, n, 1, 1);
	printf("%-34s %.0f bytes an endpoint\n", "  record", (double)w.bytes.n / n);
	before = heap();
	take(c, &w, &first);
	say("  all arrive", &first);
	printf("%-34s %.0f bytes a host (struct %zu)\n", "  memory",
	    (double)(heap() - before) / n, sizeof(struct host));
	membership_writer_fini(&w);
	record_of(&w, false, 1, n, 100, 1);
	take(c, &w, &changed);
	say("  1 % changes", &changed);
	membership_writer_fini(&w);
	publish_blocks(seg, name, n, 2);
	record_of(&w, true, 2, n, 1, 2);
	take(c, &w, &replaced);
	say("  all are replaced", &replaced);
	membership_writer_fini(&w);
	cluster_unref(&c);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, false);
}

static void
idle_clusters(unsigned n)
{
	struct cluster **all = mem_array(struct cluster *, n);
	char name[32];
	size_t before = heap();

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "cluster-%u", i);
		all[i] = empty_cluster(name, ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__ROUND_ROBIN);
	}
	printf("%u clusters without members: %.0f bytes each of heap, %zu of statistics\n", n,
	    (double)(heap() - before) / n,
	    sizeof(struct cluster_stats) + 4 * sizeof(struct cluster_codes_stats) +
	        sizeof(struct http1_codec_stats) + sizeof(struct http2_codec_stats));
	for (unsigned i = 0; i < n; i++)
		cluster_unref(&all[i]);
	mem_free(all);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, false);
}

/* ---- admin */

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;

static Assignment *
assignment_of(struct arena *a, unsigned n, unsigned generation)
{
	struct compose to;
	struct endpoint e;

	compose_begin(&to, a);
	for (unsigned i = 0; i < n; i++) {
		make_endpoint(&e, i, generation);
		compose_add(&to, &e);
		endpoint_fini(&e);
	}
	return compose_end(&to, STR("big"), NULL);
}

static void
say_replace(const char *what, struct members *m, const Assignment *a, struct journal *j)
{
	struct member_cluster *c = members_cluster(m, STR("big"));
	struct longest replaced = {0}, written = {0};
	struct err err = {""};
	uint64_t begun = cpu_ns();

	if (members_replace(m, c, a, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	note(&replaced, begun);
	begun = cpu_ns();
	members_write(m, j, NULL, &err);
	members_before_use(m);
	members_written(m, true);
	note(&written, begun);
	printf("%-34s compared in %6.2f ms, written and retired in %6.2f ms\n", what,
	    (double)replaced.slice_ns / 1e6, (double)written.slice_ns / 1e6);
}

static void
admin_part(unsigned n)
{
	Envoy__Config__Cluster__V3__Cluster message = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT;
	Envoy__Config__Bootstrap__V3__Bootstrap bootstrap =
	    ENVOY__CONFIG__BOOTSTRAP__V3__BOOTSTRAP__INIT;
	struct journal *j = journal_new(NULL);
	struct members m;
	struct store store;
	struct arena a;
	struct err err;
	size_t before;

	arena_init(&a);
	members_init(&m);
	m.segment = lane_private();
	m.segment->on_demand = false;
	store_init(&store);
	store.bootstrap = &bootstrap;
	message.name = (char *)(uintptr_t) "big";
	*vec_push(&store.clusters) = (struct store_cluster){.message = &message};
	if (members_prepare(&m, &store, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	members_accept(&m, &store);
	printf("admin, %u endpoints\n", n);
	before = heap();
	say_replace("  all arrive", &m, assignment_of(&a, n, 1), j);
	printf("%-34s %.0f bytes a member, message included\n", "  memory", (double)(heap() - before) / n);
	say_replace("  the same again", &m, assignment_of(&a, n, 1), j);
	say_replace("  all are replaced", &m, assignment_of(&a, n, 2), j);
	members_fini(&m);
	store_fini(&store);
	journal_free(&j);
	arena_fini(&a);
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 10000;
	unsigned clusters = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	struct segment *seg = lane_private();

	loop = loop_new();
	one_policy(seg, "round_robin", ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__ROUND_ROBIN, n);
	one_policy(seg, "least_request",
	    ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LEAST_REQUEST, n);
	one_policy(seg, "maglev", ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__MAGLEV, n);
	one_policy(seg, "ring_hash", ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__RING_HASH, n);
	lane_private();
	idle_clusters(clusters);
	admin_part(n);
	loop_free(&loop);
	return 0;
}
