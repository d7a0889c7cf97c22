/* Where further attempts of a request go: hosts not tried, hosts refused, priorities passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/rand.h"
#include "lib/upstream/host_set.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"

static const char *const policies[] = {"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"};

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

/* n hosts each in this many priorities. */
static struct cluster *
cluster_of(struct loop *l, const char *policy, unsigned n, unsigned priorities)
{
	struct strb text = {0};
	struct cluster_yaml y;
	struct cluster *c;
	struct err err;

	strb_printf(&text, "lb_policy: %s\nload_assignment:\n  cluster_name: api\n  endpoints:\n",
	    policy);
	for (unsigned i = 0; i < priorities; i++)
		add_hosts(&text, n, NULL, i);
	cluster_yaml_open(&y, strb_z(&text));
	strb_fini(&text);
	for (unsigned i = 0; i < priorities; i++)
		y.msg->load_assignment->endpoints[i]->priority = i;
	assert_int_equal(cluster_build(&c, y.msg, l, &err), 0);
	cluster_yaml_close(&y);
	return c;
}

static void
the_one_host_that_was_not_tried_is_found(void **state)
{
	for (unsigned p = 0; p < 3; p++) {
		struct cluster *c = cluster_of(*state, policies[p], 10, 1);

		for (uint64_t seed = 1; seed < 200; seed++) {
			struct host *tried[9];
			struct lb_context ctx = {.tried = tried, .more_picks = 1};

			rand_seed(seed);
			while (ctx.tried_len < 9) {
				struct host *h = cluster_pick(c, &ctx);

				for (unsigned i = 0; i < ctx.tried_len; i++)
					assert_ptr_not_equal(h, tried[i]);
				tried[ctx.tried_len++] = h;
			}
		}
		cluster_end(*state, &c);
	}
}

static void
when_all_were_tried_any_will_do(void **state)
{
	struct cluster *c = cluster_of(*state, "ROUND_ROBIN", 2, 1);
	struct lb_context ctx = {.tried = c->hosts, .tried_len = 2, .more_picks = 5};

	assert_non_null(cluster_pick(c, &ctx));
	cluster_end(*state, &c);
}

static void
a_host_that_failed_is_not_taken_for_being_untried(void **state)
{
	struct cluster *c = cluster_of(*state, "RANDOM", 3, 1);
	struct lb_context ctx = {.tried = c->hosts, .tried_len = 1, .more_picks = 1};

	host_cell_set(c->hosts[2]->cell, HOST_FAILED_ACTIVE_HC, true);
	for (unsigned i = 0; i < 100; i++)
		assert_ptr_equal(cluster_pick(c, &ctx), c->hosts[1]);
	cluster_end(*state, &c);
}

static bool
refuses_first(void *arg, const struct host *h)
{
	unsigned *asked = arg;

	(*asked)++;
	return h->index == 0;
}

static void
a_refused_host_is_taken_when_the_picks_run_out(void **state)
{
	struct cluster *c = cluster_of(*state, "RANDOM", 1, 1);
	unsigned asked = 0;
	struct lb_context ctx = {.tried = c->hosts,
	    .tried_len = 1,
	    .more_picks = 4,
	    .refuses = refuses_first,
	    .arg = &asked};

	assert_ptr_equal(cluster_pick(c, &ctx), c->hosts[0]);
	assert_int_equal(asked, 5);
	cluster_end(*state, &c);
}

static void
hashes_stay_unless_a_predicate_moves_them(void **state)
{
	static const char *const by_hash[] = {"RING_HASH", "MAGLEV"};

	for (unsigned p = 0; p < 2; p++) {
		struct cluster *c = cluster_of(*state, by_hash[p], 5, 1);
		unsigned asked = 0, moved = 0;

		for (uint64_t hash = 1; hash < 1000; hash++) {
			struct lb_context ctx = {.hash = hash * 0x9e3779b97f4a7c15u, .has_hash = true};
			struct host *first = cluster_pick(c, &ctx);

			ctx.tried = &first;
			ctx.tried_len = 1;
			ctx.more_picks = 20;
			assert_ptr_equal(cluster_pick(c, &ctx), first);
			if (first->index != 0)
				continue;
			ctx.refuses = refuses_first;
			ctx.arg = &asked;
			moved += cluster_pick(c, &ctx) != first;
		}
		assert_true(moved > 50);
		cluster_end(*state, &c);
	}
}

/* ---- previous_priorities */

static void
priorities_that_were_tried_are_passed_over(void **state)
{
	struct cluster *c = cluster_of(*state, "ROUND_ROBIN", 3, 3);
	struct host *tried[16];
	struct lb_context ctx = {.tried = tried, .priority_frequency = 1};
	static const unsigned order[] = {0, 1, 2, 0, 1, 2}; /* all tried: anew */

	for (unsigned i = 0; i < 6; i++) {
		tried[ctx.tried_len] = cluster_pick(c, &ctx);
		assert_int_equal(tried[ctx.tried_len++]->priority, order[i]);
	}
	cluster_end(*state, &c);
}

static void
they_are_reckoned_anew_every_so_many_attempts(void **state)
{
	struct cluster *c = cluster_of(*state, "ROUND_ROBIN", 5, 2);
	struct host *tried[16];
	struct lb_context ctx = {.tried = tried, .priority_frequency = 2};
	static const unsigned order[] = {0, 0, 1, 1, 0, 0};

	for (unsigned i = 0; i < 6; i++) {
		tried[ctx.tried_len] = cluster_pick(c, &ctx);
		assert_int_equal(tried[ctx.tried_len++]->priority, order[i]);
	}
	cluster_end(*state, &c);
}

static void
a_priority_without_healthy_hosts_is_no_way_out(void **state)
{
	struct cluster *c = cluster_of(*state, "ROUND_ROBIN", 2, 2);
	struct host *tried[4];
	struct lb_context ctx = {.tried = tried, .priority_frequency = 1};

	host_cell_set(c->hosts[2]->cell, HOST_FAILED_ACTIVE_HC, true);
	host_cell_set(c->hosts[3]->cell, HOST_FAILED_ACTIVE_HC, true);
	loop_turn(*state, false);
	tried[ctx.tried_len++] = c->hosts[0];
	for (unsigned i = 0; i < 50; i++) {
		cluster_pick(c, &ctx); /* the first sees the failures */
		assert_int_equal(cluster_pick(c, &ctx)->priority, 0);
	}
	cluster_end(*state, &c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		the_one_host_that_was_not_tried_is_found, setup, teardown),
	    cmocka_unit_test_setup_teardown(when_all_were_tried_any_will_do, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_host_that_failed_is_not_taken_for_being_untried, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_refused_host_is_taken_when_the_picks_run_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		hashes_stay_unless_a_predicate_moves_them, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		priorities_that_were_tried_are_passed_over, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		they_are_reckoned_anew_every_so_many_attempts, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_priority_without_healthy_hosts_is_no_way_out, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
