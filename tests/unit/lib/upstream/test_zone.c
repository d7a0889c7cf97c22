/* Zone-aware routing: the shares against a second computation of them, how picks spread, what keeps it off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/upstream/zone.h"
#include "lib/upstream/zone_plan.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"

#include "envoy/config/core/v3/base.pb-c.h"

#define ZONES 5

static int
setup(void **state)
{
	lane_private();
	rand_seed(11);
	*state = loop_new();
	return 0;
}

static int
teardown(void **state)
{
	struct loop *l = *state;

	loop_free(&l);
	return 0;
}

/* A node in zone z0 whose siblings are a cluster called "siblings". */
static struct zone *
zone_in_z0(void)
{
	Envoy__Config__Core__V3__Locality place;
	Envoy__Config__Core__V3__Node node;

	envoy__config__core__v3__locality__init(&place);
	envoy__config__core__v3__node__init(&node);
	place.zone = (char *)"z0";
	node.locality = &place;
	return zone_new(&node, "siblings");
}

/* ---- the shares, from their definition: numbers of hosts, in exact proportions */

struct counted {
	unsigned hosts[ZONES], siblings[ZONES]; /* healthy ones; z0 is ours */
	unsigned n;
};

static double
total(const unsigned *v, unsigned n)
{
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += v[i];
	return sum;
}

/* want[i]: the part of our requests that goes to zone i.  False: there is no answer. */
static bool
expected_parts(const struct counted *c, double *want)
{
	double hosts = total(c->hosts, c->n), siblings = total(c->siblings, c->n);
	double spare[ZONES], all = 0;
	double ours = c->siblings[0] / siblings, theirs = c->hosts[0] / hosts;

	for (unsigned i = 0; i < c->n; i++)
		want[i] = 0;
	want[0] = c->hosts[0] == 0 ? 0 : theirs >= ours ? 1 : theirs / ours;
	for (unsigned i = 1; i < c->n; i++) {
		spare[i] = c->hosts[i] ? c->hosts[i] / hosts - c->siblings[i] / siblings : 0;
		spare[i] = spare[i] > 0 ? spare[i] : 0;
		all += spare[i];
	}
	if (want[0] < 1 && all < 0.001)
		return false;
	for (unsigned i = 1; i < c->n && want[0] < 1; i++)
		want[i] = (1 - want[0]) * spare[i] / all;
	return true;
}

static void
planned_parts(const struct zone_plan *p, double *got)
{
	double stays = p->state == ZONE_DIRECT ? 1 : p->stays / 10000.0, sum = 0;

	for (uint32_t i = 0; i < p->n; i++)
		got[i] = 0;
	for (uint32_t i = 0; i < p->n && p->state == ZONE_RESIDUAL; i++) {
		got[i] = (1 - stays) * ((double)p->residual[i] - sum) / (double)p->residual[p->n - 1];
		sum = (double)p->residual[i];
	}
	got[p->here] += stays;
}

static void
fill(struct locality_counts *to, struct locality *const *places, const unsigned *healthy, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct locality_count *row = locality_counts_of(to, places[i]);

		row->total = healthy[i] + 1;
		row->healthy = healthy[i];
		row->healthy_weight = healthy[i];
	}
}

static void
expect_parts(const struct counted *c, struct zone *z, struct locality *const *places)
{
	struct lb_config config = {.zones = {.enabled_percent = 100, .min_cluster_size = 1}};
	struct cluster_stats stats = {0};
	struct locality_counts hosts = {0};
	struct zone_plan p = {0};
	double want[ZONES], got[ZONES];

	z->siblings.all.len = 0;
	fill(&hosts, places, c->hosts, c->n);
	fill(&z->siblings, places, c->siblings, c->n);
	zone_plan_make(&p, z, &hosts, &config, &stats);
	if (total(c->hosts, c->n) > 0 && expected_parts(c, want)) {
		assert_int_not_equal(p.state, ZONE_OFF);
		planned_parts(&p, got);
		for (unsigned i = 0; i < c->n; i++)
			if (fabs(want[i] - got[i]) > 0.005)
				fail_msg("zone %u: %f instead of %f", i, got[i], want[i]);
	}
	zone_plan_fini(&p);
	vec_fini(&hosts.all);
}

static void
shares_are_those_of_a_second_computation(void **state)
{
	struct zone *z = zone_in_z0();
	struct locality *places[ZONES];

	for (unsigned i = 0; i < ZONES; i++) {
		char name[] = {'z', (char)('0' + i), '\0'};

		places[i] = locality_get(STR(""), str_of(name), STR(""));
	}
	for (unsigned round = 0; round < 3000; round++) {
		struct counted c = {.n = 2 + (unsigned)rand_below(ZONES - 1)};

		for (unsigned i = 0; i < c.n; i++) {
			c.hosts[i] = (unsigned)rand_below(30);
			c.siblings[i] = (unsigned)rand_below(30);
		}
		c.siblings[0]++;
		expect_parts(&c, z, places);
	}
	for (unsigned i = 0; i < ZONES; i++)
		locality_unref(&places[i]);
	z->siblings.all.len = 0; /* nobody counted them */
	zone_unref(&z);
}

/* ---- clusters */

/* n zones with hosts[i] hosts each, at 10.<net>.<zone>.<n>. */
static struct cluster *
cluster_of(struct loop *l, const char *fields, unsigned net, const unsigned *hosts, unsigned n)
{
	struct strb text = {0};
	struct cluster *c;

	strb_printf(&text, "%s\nload_assignment:\n  cluster_name: api\n  endpoints:\n", fields);
	for (unsigned i = 0; i < n; i++) {
		strb_printf(&text, "  - locality: {zone: z%u}\n    lb_endpoints:\n", i);
		for (unsigned k = 0; k < hosts[i]; k++)
			strb_printf(&text,
			    "    - endpoint: {address: {socket_address: {address: 10.%u.%u.%u, port_value: 80}}}\n",
			    net, i, k + 1);
	}
	c = cluster_from_yaml(l, strb_z(&text));
	strb_fini(&text);
	return c;
}

struct world {
	struct loop *loop;
	struct zone *zone;
	struct cluster *api, *siblings;
};

static void
world_begin(struct world *w, struct loop *l, const char *fields, const unsigned *hosts,
    const unsigned *siblings, unsigned n)
{
	w->loop = l;
	w->zone = zone_in_z0();
	w->siblings = cluster_of(l, "", 1, siblings, n);
	w->api = cluster_of(l, fields, 0, hosts, n);
	zone_set_local(w->zone, w->siblings);
	cluster_set_zone(w->siblings, w->zone);
	cluster_set_zone(w->api, w->zone);
	memset(w->api->stats, 0, sizeof(*w->api->stats)); /* one piece of memory for all of the name */
}

static void
world_end(struct world *w)
{
	for (uint32_t i = 0; i < w->api->hosts_n; i++)
		host_cell_set(w->api->hosts[i]->cell, HOST_FAILED_ACTIVE_HC, false);
	for (uint32_t i = 0; i < w->siblings->hosts_n; i++)
		host_cell_set(w->siblings->hosts[i]->cell, HOST_FAILED_ACTIVE_HC, false);
	cluster_end(w->loop, &w->api);
	cluster_end(w->loop, &w->siblings);
	assert_null(w->zone->local);
	zone_unref(&w->zone);
}

static unsigned
zone_of(const struct host *h)
{
	return (unsigned)(h->locality->zone.p[1] - '0');
}

/* got[i]: picks in zone i; the last: nobody was picked. */
static void
count_zones(struct world *w, unsigned picks, unsigned *got)
{
	struct lb_context ctx = {0};

	for (unsigned i = 0; i <= ZONES; i++)
		got[i] = 0;
	for (unsigned i = 0; i < picks; i++) {
		const struct host *h = cluster_pick(w->api, &ctx);

		got[h ? zone_of(h) : ZONES]++;
	}
}

/* What changed is seen at the next regular look. */
static void
let_time_pass(struct world *w)
{
	uint64_t until = loop_now_ns(w->loop) + 15000000;

	while (loop_now_ns(w->loop) < until)
		loop_turn(w->loop, false);
}

static void
fail_hosts(struct cluster *c, unsigned zone, unsigned n)
{
	for (uint32_t i = 0; i < c->hosts_n && n > 0; i++)
		if (zone_of(c->hosts[i]) == zone) {
			host_cell_set(c->hosts[i]->cell, HOST_FAILED_ACTIVE_HC, true);
			n--;
		}
}

static void
requests_stay_as_far_as_our_hosts_can_take_them(void **state)
{
	static const char *const policies[] = {
	    "lb_policy: ROUND_ROBIN", "lb_policy: LEAST_REQUEST", "lb_policy: RANDOM"};
	static const struct {
		unsigned hosts[3], siblings[3], want[3]; /* of 1000 */
	} rows[] = {
	    {{4, 4, 4}, {1, 1, 1}, {1000, 0, 0}},
	    {{6, 3, 3}, {1, 1, 1}, {1000, 0, 0}},
	    {{2, 4, 4}, {1, 1, 1}, {600, 200, 200}},
	    {{5, 10, 5}, {4, 4, 2}, {625, 250, 125}},
	    {{0, 6, 6}, {1, 1, 1}, {0, 500, 500}},
	    {{2, 2, 8}, {2, 1, 1}, {333, 0, 667}},
	};
	unsigned got[ZONES + 1];

	for (size_t k = 0; k < ARRAY_LEN(policies); k++)
		for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
			struct world w;

			world_begin(&w, *state, policies[k], rows[r].hosts, rows[r].siblings, 3);
			count_zones(&w, 10000, got);
			/* five standard deviations of 10,000 picks are below 250 */
			for (unsigned i = 0; i < 3; i++)
				assert_in_range(got[i] + 250, rows[r].want[i] * 10,
				    rows[r].want[i] * 10 + 500);
			if (rows[r].want[0] == 1000)
				assert_int_equal(got[0], 10000);
			world_end(&w);
		}
}

static void
every_host_of_the_cluster_gets_the_same(void **state)
{
	static const unsigned hosts[] = {2, 5, 3}, siblings[] = {3, 2, 1};
	struct world w;
	unsigned got[ZONES + 1], sum[ZONES] = {0};

	/* each sibling sends as many; ours are of zone 0, the others have their own view */
	world_begin(&w, *state, "", hosts, siblings, 3);
	for (unsigned from = 0; from < 3; from++) {
		char name[] = {'z', (char)('0' + from), '\0'};

		locality_unref(&w.zone->here);
		w.zone->here = locality_get(STR(""), str_of(name), STR(""));
		w.zone->serial++;
		let_time_pass(&w);
		count_zones(&w, siblings[from] * 5000, got);
		for (unsigned i = 0; i < 3; i++)
			sum[i] += got[i];
	}
	for (unsigned i = 0; i < 3; i++) /* 30,000 over ten hosts */
		assert_in_range(sum[i] / hosts[i], 2850, 3150);
	world_end(&w);
}

static void
the_plan_follows_both_clusters(void **state)
{
	static const unsigned hosts[] = {4, 4}, siblings[] = {2, 2};
	struct world w;
	unsigned got[ZONES + 1];
	uint64_t before;

	world_begin(&w, *state, "", hosts, siblings, 2);
	count_zones(&w, 100, got);
	assert_int_equal(got[0], 100);
	fail_hosts(w.api, 0, 2); /* a third of the hosts is left here, half of the siblings */
	count_zones(&w, 20, got);
	count_zones(&w, 6000, got);
	assert_in_range(got[0], 3700, 4300);
	fail_hosts(w.siblings, 0, 1); /* a third of the siblings too */
	before = w.api->stats->lb_recalculate_zone_structures.raw;
	let_time_pass(&w);
	count_zones(&w, 100, got);
	assert_int_equal(got[0], 100);
	assert_int_equal(w.api->stats->lb_recalculate_zone_structures.raw, before + 1);
	world_end(&w);
}

static void
what_keeps_it_off_is_counted(void **state)
{
	static const struct {
		const char *fields;
		unsigned hosts[2], siblings[2];
		unsigned too_small, not_ok;
	} rows[] = {
	    {"", {2, 2}, {1, 1}, 1, 0},
	    {"common_lb_config: {zone_aware_lb_config: {min_cluster_size: 4}}", {2, 2}, {1, 1}, 0, 0},
	    {"", {3, 3}, {0, 2}, 0, 0},
	    {"", {3, 3}, {2, 0}, 0, 0},
	    {"lb_policy: RING_HASH", {3, 3}, {1, 1}, 0, 0},
	};
	unsigned got[ZONES + 1];

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct world w;
		bool on = r == 1;

		world_begin(&w, *state, rows[r].fields, rows[r].hosts, rows[r].siblings, 2);
		count_zones(&w, 1000, got);
		assert_int_equal(got[0] + got[1], 1000);
		assert_true(on ? got[1] == 0 : got[1] > 300);
		/* with the plan of the beginning, when the siblings were not there yet */
		assert_int_equal(w.api->stats->lb_zone_cluster_too_small.raw, rows[r].too_small);
		assert_int_equal(w.api->stats->lb_local_cluster_not_ok.raw, rows[r].not_ok);
		assert_int_equal(w.api->stats->lb_zone_routing_all_directly.raw, on ? 1000 : 0);
		world_end(&w);
	}
}

static void
without_siblings_of_our_own_zone_nothing_is_planned(void **state)
{
	static const unsigned hosts[] = {0, 4, 4}, siblings[] = {0, 2, 2};
	struct world w;
	unsigned got[ZONES + 1];

	world_begin(&w, *state, "", hosts, siblings, 3);
	count_zones(&w, 100, got);
	assert_int_equal(w.api->stats->lb_local_cluster_not_ok.raw, 1);
	assert_int_equal(w.api->stats->lb_zone_routing_cross_zone.raw, 0);
	world_end(&w);
}

static void
siblings_in_panic_say_nothing(void **state)
{
	static const unsigned hosts[] = {4, 4}, siblings[] = {2, 4};
	static const char *const fields[] = {
	    "", "common_lb_config: {zone_aware_lb_config: {fail_traffic_on_panic: true}}"};

	for (unsigned k = 0; k < 2; k++) {
		struct world w;
		unsigned got[ZONES + 1];

		world_begin(&w, *state, fields[k], hosts, siblings, 2);
		fail_hosts(w.siblings, 1, 4);
		count_zones(&w, 400, got);
		assert_int_equal(got[ZONES], k == 0 ? 0 : 400);
		assert_int_equal(got[0], k == 0 ? 200 : 0);
		assert_int_equal(w.api->stats->lb_local_cluster_not_ok.raw, 400);
		world_end(&w);
	}
}

static void
a_cluster_in_panic_uses_all_zones_or_fails(void **state)
{
	static const unsigned hosts[] = {4, 4}, siblings[] = {1, 1};
	static const char *const fields[] = {
	    "", "common_lb_config: {zone_aware_lb_config: {fail_traffic_on_panic: true}}"};

	for (unsigned k = 0; k < 2; k++) {
		struct world w;
		unsigned got[ZONES + 1];

		world_begin(&w, *state, fields[k], hosts, siblings, 2);
		fail_hosts(w.api, 0, 4);
		fail_hosts(w.api, 1, 2);
		count_zones(&w, 20, got);
		count_zones(&w, 400, got);
		assert_int_equal(got[ZONES], k == 0 ? 0 : 400);
		assert_int_equal(got[0], k == 0 ? 200 : 0);
		assert_true(w.api->stats->lb_healthy_panic.raw >= 400);
		world_end(&w);
	}
}

static void
part_of_the_requests_may_be_left_alone(void **state)
{
	static const unsigned hosts[] = {4, 4}, siblings[] = {1, 1};
	struct world w;
	unsigned got[ZONES + 1];

	world_begin(&w, *state,
	    "common_lb_config: {zone_aware_lb_config: {routing_enabled: {value: 40}}}", hosts,
	    siblings, 2);
	count_zones(&w, 10000, got);
	assert_in_range(got[0], 6750, 7250); /* 40 % and half of the rest */
	assert_in_range(w.api->stats->lb_zone_routing_all_directly.raw, 3750, 4250);
	world_end(&w);
}

#define EXTENSION(zones)                                                                           \
	"load_balancing_policy: {policies: [{typed_extension_config: {name: rr, typed_config: "    \
	"{\"@type\": type.googleapis.com/"                                                         \
	"envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin, "                     \
	"locality_lb_config: {zone_aware_lb_config: {" zones "}}}}}]}"

static void
the_own_zone_can_be_forced(void **state)
{
	static const unsigned hosts[] = {2, 6}, siblings[] = {4, 0};
	static const struct {
		const char *fields;
		bool forced;
	} rows[] = {
	    {EXTENSION(""), false},
	    {EXTENSION("force_local_zone: {}"), true},
	    {EXTENSION("force_local_zone: {min_size: 2}"), true},
	    {EXTENSION("force_local_zone: {min_size: 3}"), false},
	    {EXTENSION("force_locality_direct_routing: true"), true},
	    {EXTENSION("force_local_zone: {}, min_cluster_size: 9"), false},
	};
	unsigned got[ZONES + 1];

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct world w;

		world_begin(&w, *state, rows[r].fields, hosts, siblings, 2);
		count_zones(&w, 1000, got);
		assert_true((got[0] == 1000) == rows[r].forced);
		world_end(&w);
	}
}

static void
shares_may_go_by_weight(void **state)
{
	static const char *const fields[] = {EXTENSION("min_cluster_size: 4"),
	    EXTENSION("min_cluster_size: 4, locality_basis: HEALTHY_HOSTS_WEIGHT")};
	static const unsigned hosts[] = {2, 2}, siblings[] = {1, 1};
	unsigned got[ZONES + 1];

	for (unsigned k = 0; k < 2; k++) {
		struct world w;

		world_begin(&w, *state, fields[k], hosts, siblings, 2);
		w.api->hosts[2]->weight = w.api->hosts[3]->weight = 3; /* of 8 in all, 2 here */
		cluster_free_sets(w.api);
		cluster_make_sets(w.api);
		count_zones(&w, 10000, got);
		if (k == 0)
			assert_int_equal(got[0], 10000);
		else
			assert_in_range(got[0], 4750, 5250);
		world_end(&w);
	}
}

static void
a_subset_is_planned_for_itself(void **state)
{
	struct world w;
	unsigned got[ZONES + 1];
	static const unsigned hosts[] = {4, 4}, siblings[] = {1, 1};

	world_begin(&w, *state,
	    "lb_subset_config: {fallback_policy: DEFAULT_SUBSET, subset_selectors: [{keys: [v]}]}",
	    hosts, siblings, 2);
	count_zones(&w, 100, got);
	assert_int_equal(got[0], 100);
	world_end(&w);
}

static void
a_retry_stays_in_the_zone_as_long_as_there_is_somebody(void **state)
{
	static const unsigned hosts[] = {3, 5}, siblings[] = {1, 2};
	struct world w;

	world_begin(&w, *state, "common_lb_config: {zone_aware_lb_config: {min_cluster_size: 1}}",
	    hosts, siblings, 2);
	for (unsigned round = 0; round < 50; round++) {
		struct host *tried[8];
		struct lb_context ctx = {.tried = tried};

		for (unsigned i = 0; i < 5; i++) {
			struct host *h = cluster_pick(w.api, &ctx);

			assert_int_equal(zone_of(h), i < 3 ? 0 : 1);
			for (unsigned k = 0; k < i; k++)
				assert_ptr_not_equal(h, tried[k]);
			tried[ctx.tried_len++] = h;
		}
	}
	world_end(&w);
}

static void
responses_are_counted_by_zone(void **state)
{
	static const unsigned hosts[] = {1, 1}, siblings[] = {1, 1};
	struct world w;

	world_begin(&w, *state, "", hosts, siblings, 2);
	assert_non_null(w.api->hosts[0]->zone_codes);
	assert_non_null(w.siblings->hosts[1]->zone_codes);
	world_end(&w);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(shares_are_those_of_a_second_computation),
	    T(requests_stay_as_far_as_our_hosts_can_take_them),
	    T(every_host_of_the_cluster_gets_the_same),
	    T(the_plan_follows_both_clusters),
	    T(what_keeps_it_off_is_counted),
	    T(without_siblings_of_our_own_zone_nothing_is_planned),
	    T(siblings_in_panic_say_nothing),
	    T(a_cluster_in_panic_uses_all_zones_or_fails),
	    T(part_of_the_requests_may_be_left_alone),
	    T(the_own_zone_can_be_forced),
	    T(shares_may_go_by_weight),
	    T(a_subset_is_planned_for_itself),
	    T(a_retry_stays_in_the_zone_as_long_as_there_is_somebody),
	    T(responses_are_counted_by_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
