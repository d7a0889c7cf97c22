/* Balancing: how requests spread over hosts, and what the choice of a priority says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/upstream/host_set.h"
#include "lib/upstream/lb/slow_start.h"
#include "lib/upstream/loads.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"

static struct cluster *
cluster_of(struct loop *l, const char *fields, unsigned n, const unsigned *weights)
{
	struct strb text = {0};
	struct cluster *c;

	strb_printf(&text, "%sload_assignment:\n  cluster_name: api\n  endpoints:\n", fields);
	add_hosts(&text, n, weights, 0);
	c = cluster_from_yaml(l, strb_z(&text));
	strb_fini(&text);
	return c;
}

static void
count_picks(struct cluster *c, unsigned picks, unsigned *got)
{
	struct lb_context ctx = {0};

	for (uint32_t i = 0; i < c->hosts_n; i++)
		got[i] = 0;
	for (unsigned i = 0; i < picks; i++)
		got[cluster_pick(c, &ctx)->index]++;
}

static int
setup(void **state)
{
	lane_private();
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

static void
round_robin_with_weights_is_exact(void **state)
{
	static const unsigned weights[] = {1, 2, 3};
	unsigned got[3];

	for (uint64_t seed = 1; seed < 20; seed++) {
		struct cluster *c;

		rand_seed(seed);
		c = cluster_of(*state, "", 3, weights);
		count_picks(c, 600, got);
		assert_int_equal(got[0], 100);
		assert_int_equal(got[1], 200);
		assert_int_equal(got[2], 300);
		cluster_end(*state, &c);
	}
}

static void
round_robin_visits_each_host_in_turn(void **state)
{
	struct cluster *c = cluster_of(*state, "", 7, NULL);
	struct lb_context ctx = {0};
	uint32_t last = cluster_pick(c, &ctx)->index;
	unsigned got[7];

	for (unsigned i = 0; i < 50; i++) {
		uint32_t next = cluster_pick(c, &ctx)->index;

		assert_int_equal(next, (last + 1) % 7);
		last = next;
	}
	count_picks(c, 700, got);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(got[i], 100);
	cluster_end(*state, &c);
}

static void
uneven_weights_without_a_small_multiple_still_spread(void **state)
{
	static const unsigned weights[] = {999983, 1000003, 2000003};
	struct cluster *c = cluster_of(*state, "", 3, weights);
	unsigned got[3];

	count_picks(c, 4000, got);
	assert_in_range(got[0], 998, 1002);
	assert_in_range(got[1], 998, 1002);
	assert_in_range(got[2], 1998, 2002);
	cluster_end(*state, &c);
}

static void
random_reaches_all_and_ignores_weights(void **state)
{
	static const unsigned weights[] = {1, 100};
	struct cluster *c = cluster_of(*state, "lb_policy: RANDOM\n", 2, weights);
	unsigned got[2];

	rand_seed(7);
	count_picks(c, 10000, got);
	assert_in_range(got[0], 4700, 5300);
	cluster_end(*state, &c);
}

static void
least_request_prefers_the_idle_host(void **state)
{
	struct cluster *c = cluster_of(*state, "lb_policy: LEAST_REQUEST\n", 2, NULL);
	unsigned got[2];

	rand_seed(3);
	stat_set(&c->hosts[0]->stats->rq_active, 5);
	count_picks(c, 4000, got);
	assert_in_range(got[0], 800, 1200); /* only when both choices fell on it */
	cluster_end(*state, &c);
}

static void
least_request_with_weights_leans_by_open_requests(void **state)
{
	static const unsigned weights[] = {2, 1};
	struct cluster *c = cluster_of(*state, "lb_policy: LEAST_REQUEST\n", 2, weights);
	unsigned got[2];

	count_picks(c, 3000, got);
	assert_in_range(got[0], 1998, 2002);
	stat_set(&c->hosts[0]->stats->rq_active, 3);
	count_picks(c, 3000, got);
	assert_in_range(got[0], 990, 1010); /* 2/4 against 1/1 */
	cluster_end(*state, &c);
}

/* ---- shares of the priorities */

static struct priority_counts
counts_of(const uint32_t n[4])
{
	return (struct priority_counts){
	    .total = n[0], .healthy = n[1], .degraded = n[2], .excluded = n[3]};
}

static void
loads_follow_health_and_panic(void **state)
{
	static const struct {
		uint32_t counts[2][4]; /* total, healthy, degraded, excluded */
		struct priority_load loads[2];
	} rows[] = {
	    /* P0 healthy of 100, P1 whole */
	    {{{100, 100, 0, 0}, {1, 1, 0, 0}}, {{100, 0, false}, {0, 0, false}}},
	    {{{100, 72, 0, 0}, {1, 1, 0, 0}}, {{100, 0, false}, {0, 0, false}}},
	    {{{100, 71, 0, 0}, {1, 1, 0, 0}}, {{99, 0, false}, {1, 0, false}}},
	    {{{100, 50, 0, 0}, {1, 1, 0, 0}}, {{70, 0, false}, {30, 0, false}}},
	    {{{100, 25, 0, 0}, {1, 1, 0, 0}}, {{35, 0, false}, {65, 0, false}}},
	    {{{100, 0, 0, 0}, {1, 1, 0, 0}}, {{0, 0, false}, {100, 0, false}}},
	    /* degraded ones take what the healthy cannot */
	    {{{100, 50, 50, 0}, {0, 0, 0, 0}}, {{70, 30, false}, {0, 0, false}}},
	    /* too little health in total: panic where less than half is available */
	    {{{10, 2, 0, 0}, {10, 0, 0, 0}}, {{50, 0, true}, {50, 0, true}}},
	    {{{10, 3, 0, 0}, {2, 1, 0, 0}}, {{42, 0, false}, {58, 0, false}}},
	    {{{10, 0, 0, 0}, {30, 0, 0, 0}}, {{25, 0, true}, {75, 0, true}}},
	    /* excluded hosts do not count */
	    {{{10, 5, 0, 5}, {1, 1, 0, 0}}, {{100, 0, false}, {0, 0, false}}},
	    {{{2, 0, 0, 2}, {0, 0, 0, 0}}, {{100, 0, true}, {0, 0, true}}},
	    {{{0, 0, 0, 0}, {0, 0, 0, 0}}, {{0, 0, true}, {0, 0, true}}},
	};
	const struct load_rules rules = {.panic_threshold = 50, .overprovisioning = 140};
	struct priority_load got[2];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct priority_counts counts[2];

		for (unsigned p = 0; p < 2; p++)
			counts[p] = counts_of(rows[i].counts[p]);
		priority_loads(counts, got, 2, &rules);
		for (unsigned p = 0; p < 2; p++) {
			if (got[p].healthy != rows[i].loads[p].healthy ||
			    got[p].degraded != rows[i].loads[p].degraded ||
			    got[p].panic != rows[i].loads[p].panic)
				fail_msg("row %zu priority %u: %u %u %d", i, p, got[p].healthy,
				    got[p].degraded, got[p].panic);
		}
	}
}

static void
without_a_panic_threshold_nobody_available_means_no_load(void **state)
{
	const struct load_rules never = {.panic_threshold = 0, .overprovisioning = 140};
	const struct priority_counts none[2] = {{.total = 10}, {.total = 3, .excluded = 3}};
	const struct priority_counts few[2] = {{.total = 10, .healthy = 1}};
	struct priority_load got[2];

	priority_loads(none, got, 2, &never);
	for (unsigned p = 0; p < 2; p++) {
		assert_int_equal(got[p].healthy + got[p].degraded, 0);
		assert_false(got[p].panic);
	}
	priority_loads(few, got, 2, &never);
	assert_int_equal(got[0].healthy, 100);
	assert_false(got[0].panic);
}

static void
health_by_weights_when_asked_for(void **state)
{
	const struct load_rules rules = {
	    .panic_threshold = 50, .overprovisioning = 100, .weighted = true};
	/* One of two hosts is healthy, and has nine tenths of the weight. */
	const struct priority_counts counts[2] = {
	    {.total = 2, .healthy = 1, .total_weight = 10, .healthy_weight = 9},
	    {.total = 1, .healthy = 1, .total_weight = 1, .healthy_weight = 1},
	};
	struct priority_load got[2];

	priority_loads(counts, got, 2, &rules);
	assert_int_equal(got[0].healthy, 90);
	assert_int_equal(got[1].healthy, 10);
}

/* ---- localities */

/* Localities of two hosts each; weight 0: none given. */
static struct cluster *
cluster_of_localities(struct loop *l, const char *fields, unsigned n, const unsigned *weights)
{
	struct strb text = {0};
	struct cluster *c;

	strb_printf(&text, "%s\nload_assignment:\n  cluster_name: api\n  endpoints:\n", fields);
	for (unsigned i = 0; i < n; i++) {
		strb_printf(&text, "  - locality: {zone: z%u}\n", i);
		if (weights[i])
			strb_printf(&text, "    load_balancing_weight: %u\n", weights[i]);
		strb_addz(&text, "    lb_endpoints:\n");
		for (unsigned k = 0; k < 2; k++)
			strb_printf(&text,
			    "    - endpoint: {address: {socket_address: {address: 10.0.%u.%u, "
			    "port_value: 80}}}\n",
			    i, k + 1);
	}
	c = cluster_from_yaml(l, strb_z(&text));
	strb_fini(&text);
	return c;
}

#define WEIGHTED "common_lb_config: {locality_weighted_lb_config: {}}"

static void
localities_are_used_by_their_weights(void **state)
{
	static const char *const fields[] = {
	    WEIGHTED,
	    "load_balancing_policy: {policies: [{typed_extension_config: {name: rr, typed_config: "
	    "{\"@type\": type.googleapis.com/"
	    "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin, "
	    "locality_lb_config: {locality_weighted_lb_config: {}}}}}]}",
	    "load_balancing_policy: {policies: [{typed_extension_config: {name: wrr, typed_config: "
	    "{\"@type\": type.googleapis.com/"
	    "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality, "
	    "endpoint_picking_policy: {policies: [{typed_extension_config: {name: rr, "
	    "typed_config: "
	    "{\"@type\": type.googleapis.com/"
	    "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin}}}]}}}}]}",
	};
	static const unsigned weights[] = {1, 3, 0};
	unsigned got[6];

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct cluster *c = cluster_of_localities(*state, fields[i], 3, weights);

		count_picks(c, 400, got);
		assert_in_range(got[0] + got[1], 99, 101);
		assert_in_range(got[2] + got[3], 299, 301);
		assert_int_equal(got[4] + got[5], 0); /* without a weight no load */
		assert_in_range(got[2], 149, 151);
		cluster_end(*state, &c);
	}
}

static void
a_locality_gives_load_away_only_when_the_rest_cannot_make_up_for_it(void **state)
{
	static const unsigned weights[] = {1, 1};
	struct cluster *c = cluster_of_localities(*state, WEIGHTED, 2, weights);
	unsigned got[4];

	/* half of the first is left: 1.4 × ½ of its weight */
	host_cell_set(c->hosts[0]->cell, HOST_FAILED_ACTIVE_HC, true);
	count_picks(c, 10, got); /* sees it */
	count_picks(c, 1700, got);
	assert_int_equal(got[0], 0);
	assert_in_range(got[1], 699, 701);
	assert_in_range(got[2] + got[3], 999, 1001);
	host_cell_set(c->hosts[0]->cell, HOST_FAILED_ACTIVE_HC, false);
	cluster_end(*state, &c);
}

static void
without_the_setting_localities_do_not_count(void **state)
{
	static const unsigned weights[] = {1, 3};
	struct cluster *c = cluster_of_localities(*state, "", 2, weights);
	unsigned got[4];

	count_picks(c, 400, got);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(got[i], 100);
	cluster_end(*state, &c);
}

/* ---- slow start */

static void
a_host_in_its_slow_start_gets_part_of_its_share(void **state)
{
	static const char *const fields[] = {
	    "round_robin_lb_config: {slow_start_config: {slow_start_window: 100s}}\n",
	    "lb_policy: LEAST_REQUEST\n"
	    "least_request_lb_config: {slow_start_config: {slow_start_window: 100s}}\n",
	};
	struct lb_context ctx = {0};
	unsigned got[2];

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct cluster *c = cluster_of(*state, fields[i], 2, NULL);
		uint64_t now = loop_now_ns(*state);
		unsigned before;

		count_picks(c, 100, got); /* nobody just joined: alike, or nearly, at random */
		before = got[1];
		assert_in_range(before, 20, 80);
		host_cell_begins(c->hosts[1]->cell, now - 50 * NS_PER_S); /* half of the window */
		host_cell_set(c->hosts[1]->cell, HOST_FAILED_ACTIVE_HC, true);
		count_picks(c, 10, got);
		host_cell_set(c->hosts[1]->cell, HOST_FAILED_ACTIVE_HC, false);
		do
			loop_turn(*state, false);
		while (cluster_pick(c, &ctx)->index != 1);
		count_picks(c, 300, got);
		assert_in_range(got[1], 95, 105); /* ½ : 1 */
		host_cell_begins(c->hosts[1]->cell, 0);
		cluster_end(*state, &c);
	}
}

static void
a_slow_start_begins_with_the_least_weight(void **state)
{
	const struct lb_config config = {
	    .slow_start_ms = 10000, .slow_start_aggression = 2, .slow_start_least = 10};
	struct cluster *c = cluster_of(*state, "", 1, NULL);
	struct host *h = c->hosts[0];
	uint64_t t0 = 1000 * NS_PER_S;

	host_cell_begins(h->cell, t0);
	assert_float_equal(slow_start_factor(&config, h, t0), 0.1, 0.001);
	assert_float_equal(
	    slow_start_factor(&config, h, t0 + 2500 * NS_PER_MS), 0.5, 0.001); /* √¼ */
	assert_float_equal(slow_start_factor(&config, h, t0 + 10 * NS_PER_S), 1, 0.001);
	assert_int_equal(slow_start_until(&config, h, t0 + 10 * NS_PER_S), 0);
	host_cell_begins(h->cell, 0);
	assert_float_equal(slow_start_factor(&config, h, t0), 1, 0.001);
	cluster_end(*state, &c);
}

/* ---- verdicts */

static void
a_host_that_failed_is_not_picked_again(void **state)
{
	struct cluster *c = cluster_of(*state, "", 3, NULL);
	unsigned got[3];

	count_picks(c, 30, got);
	host_cell_set(c->hosts[1]->cell, HOST_FAILED_ACTIVE_HC, true);
	count_picks(c, 300, got);
	assert_int_equal(got[1], 0);
	assert_in_range(got[0], 149, 151); /* the walk begins anew when the failure is seen */
	cluster_end(*state, &c);
}

static void
a_host_that_recovered_is_seen_at_the_next_scan(void **state)
{
	struct cluster *c = cluster_of(*state, "", 2, NULL);
	struct lb_context ctx = {0};
	unsigned got[2];

	host_cell_set(c->hosts[1]->cell, HOST_OPERATOR_FAIL, true);
	count_picks(c, 10, got);
	assert_int_equal(got[1], 0);
	host_cell_set(c->hosts[1]->cell, HOST_OPERATOR_FAIL, false);
	do
		loop_turn(*state, false);
	while (cluster_pick(c, &ctx)->index != 1);
	cluster_end(*state, &c);
}

static void
in_panic_all_are_picked_but_those_the_operator_drained(void **state)
{
	struct cluster *c = cluster_of(*state, "", 4, NULL);
	unsigned got[4];

	for (unsigned i = 0; i < 3; i++)
		host_cell_set(c->hosts[i]->cell, HOST_FAILED_OUTLIER, true);
	count_picks(c, 400, got);
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(got[i], 99, 101);
	assert_true(c->stats->lb_healthy_panic.raw > 0);
	host_cell_set(c->hosts[0]->cell, HOST_OPERATOR_DRAIN, true);
	count_picks(c, 400, got);
	assert_int_equal(got[0], 0);
	cluster_end(*state, &c);
}

static void
a_cluster_without_usable_hosts_gives_none(void **state)
{
	struct lb_context ctx = {0};
	struct cluster *c = cluster_of(*state, "", 1, NULL);

	host_cell_set(c->hosts[0]->cell, HOST_OPERATOR_DRAIN, true);
	assert_null(cluster_pick(c, &ctx));
	assert_null(cluster_pick(c, &ctx));
	cluster_end(*state, &c);
}

static void
the_second_priority_takes_over(void **state)
{
	struct lb_context ctx = {0};
	struct strb text = {0};
	struct cluster_yaml y;
	struct cluster *c;
	struct err err;
	unsigned second = 0;

	strb_addz(&text, "load_assignment:\n  cluster_name: api\n  endpoints:\n");
	add_hosts(&text, 2, NULL, 0);
	add_hosts(&text, 2, NULL, 1);
	cluster_yaml_open(&y, strb_z(&text));
	strb_fini(&text);
	y.msg->load_assignment->endpoints[1]->priority = 1;
	assert_int_equal(cluster_build(&c, y.msg, *state, &err), 0);
	cluster_yaml_close(&y);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(cluster_pick(c, &ctx)->priority, 0);
	host_cell_set(c->hosts[0]->cell, HOST_FAILED_ACTIVE_HC, true);
	for (unsigned i = 0; i < 10000; i++)
		second += cluster_pick(c, &ctx)->priority == 1;
	assert_in_range(second, 2700, 3300); /* 30 % */
	host_cell_set(c->hosts[1]->cell, HOST_FAILED_ACTIVE_HC, true);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(cluster_pick(c, &ctx)->priority, 1);
	cluster_end(*state, &c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(round_robin_with_weights_is_exact, setup, teardown),
	    cmocka_unit_test_setup_teardown(round_robin_visits_each_host_in_turn, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		uneven_weights_without_a_small_multiple_still_spread, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		random_reaches_all_and_ignores_weights, setup, teardown),
	    cmocka_unit_test_setup_teardown(least_request_prefers_the_idle_host, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		least_request_with_weights_leans_by_open_requests, setup, teardown),
	    cmocka_unit_test(loads_follow_health_and_panic),
	    cmocka_unit_test(without_a_panic_threshold_nobody_available_means_no_load),
	    cmocka_unit_test(health_by_weights_when_asked_for),
	    cmocka_unit_test_setup_teardown(localities_are_used_by_their_weights, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_locality_gives_load_away_only_when_the_rest_cannot_make_up_for_it, setup,
		teardown),
	    cmocka_unit_test_setup_teardown(
		without_the_setting_localities_do_not_count, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_host_in_its_slow_start_gets_part_of_its_share, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_slow_start_begins_with_the_least_weight, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_host_that_failed_is_not_picked_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_host_that_recovered_is_seen_at_the_next_scan, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		in_panic_all_are_picked_but_those_the_operator_drained, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_cluster_without_usable_hosts_gives_none, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_second_priority_takes_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
