/* Balancing: how requests spread over hosts, and what the choice of a priority says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/upstream/host_set.h"
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

static void
loads_follow_health_and_panic(void **state)
{
	static const struct {
		struct priority_counts counts[2];
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
	struct priority_load got[2];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		priority_loads(rows[i].counts, got, 2, 50);
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
	const struct priority_counts none[2] = {{10, 0, 0, 0}, {3, 0, 0, 3}};
	const struct priority_counts few[2] = {{10, 1, 0, 0}, {0, 0, 0, 0}};
	struct priority_load got[2];

	priority_loads(none, got, 2, 0);
	for (unsigned p = 0; p < 2; p++) {
		assert_int_equal(got[p].healthy + got[p].degraded, 0);
		assert_false(got[p].panic);
	}
	priority_loads(few, got, 2, 0);
	assert_int_equal(got[0].healthy, 100);
	assert_false(got[0].panic);
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
	assert_int_equal(got[0], 150);
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
