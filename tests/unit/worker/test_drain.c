/* When connections are told to go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "shm/flags.h"
#include "worker/drain.h"

#define START (100 * NS_PER_S)

static const struct {
	uint64_t window_s, elapsed_ms, dice;
	bool immediate, told;
} decisions[] = {
    {600, 0, 0, false, false},
    {600, 999, 0, false, false},  /* whole seconds */
    {600, 1000, 0, false, true},  /* 1 > 0 */
    {600, 1000, 1, false, false}, /* 1 > 1 is not so */
    {600, 300000, 299, false, true},
    {600, 300000, 300, false, false},
    {600, 300000, 600, false, true}, /* the dice are taken modulo the window */
    {600, 599000, 599, false, false},
    {600, 600000, 599, false, true}, /* over */
    {600, 0, 599, true, true},
    {0, 0, 5, false, true},
};

static void
the_later_the_likelier(void **state)
{
	for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
		struct drain d;

		drain_init(&d, 600, false);
		assert_false(drain_decides(&d, START, 0));
		drain_start(&d, START, decisions[i].window_s, decisions[i].immediate);
		assert_int_equal(drain_decides(&d, START + decisions[i].elapsed_ms * NS_PER_MS,
				     decisions[i].dice),
		    decisions[i].told);
	}
}

static void
moments_of_a_drain_lie_in_its_first_quarter(void **state)
{
	struct drain d;

	drain_init(&d, 600, false);
	assert_int_equal(drain_moment(&d, false, START, 7), 0);
	drain_start(&d, START, 100, false);
	for (uint64_t dice = 1; dice < 1000; dice++) {
		uint64_t at = drain_moment(&d, true, START + 5, dice * 7919 * NS_PER_MS);

		assert_true(at >= START && at < START + 25 * NS_PER_S);
	}
	assert_int_equal(drain_end_ns(&d), START + 100 * NS_PER_S);
	drain_start(&d, START, 100, true);
	assert_int_equal(drain_moment(&d, false, START + 5, 123), START + 5);
	assert_int_equal(drain_end_ns(&d), START);
}

static void
moments_of_failed_health_lie_in_a_tenth_of_the_window_and_ten_seconds(void **state)
{
	static const struct {
		uint32_t window_s;
		uint64_t most_ms;
	} rows[] = {{600, 10000}, {100, 10000}, {20, 2000}, {0, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct shm_flags flags = {.health_failed = 1, .health_changed_ns = START};
		struct drain d;

		drain_init(&d, rows[i].window_s, false);
		assert_true(drain_look(&d, &flags));
		assert_false(drain_look(&d, &flags));
		for (uint64_t dice = 1; dice < 1000; dice++) {
			uint64_t at = drain_moment(&d, false, START, dice * 7919 * NS_PER_MS);

			assert_true(at >= START);
			assert_true(at - START <= rows[i].most_ms * NS_PER_MS);
		}
		assert_int_equal(drain_moment(&d, true, START, 5), 0);
		flags.health_failed = 0;
		assert_true(drain_look(&d, &flags));
		assert_int_equal(drain_moment(&d, false, START, 5), 0);
	}
}

static void
health_that_failed_again_is_another_moment(void **state)
{
	struct shm_flags flags = {.health_failed = 1, .health_changed_ns = START};
	struct drain d;

	drain_init(&d, 600, true);
	assert_true(drain_look(&d, &flags));
	flags.health_changed_ns = START + NS_PER_S;
	assert_true(drain_look(&d, &flags));
	assert_int_equal(drain_moment(&d, false, START + 77, 5), START + 77);
}

static void
the_window_ends_before_http_connections_are_cut(void **state)
{
	static const struct {
		uint64_t seconds;
		uint32_t h1_s, h2_s, websocket_s;
		uint64_t window_ms;
	} rows[] = {
	    {600, 900, 900, 900, 600000},
	    {600, 900, 10, 900, 8000},
	    {600, 1, 900, 900, 800},
	    {600, 900, 900, 10, 600000}, /* tunnels are told nothing */
	    {600, DRAIN_NO_DEADLINE, DRAIN_NO_DEADLINE, DRAIN_NO_DEADLINE, 600000},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct drain_order o = {.seconds = rows[i].seconds,
		    .deadline_s = {rows[i].h1_s, rows[i].h2_s, rows[i].websocket_s, 900}};
		struct drain d;

		drain_init(&d, 1, false);
		drain_obey(&d, START, &o);
		assert_int_equal(drain_end_ns(&d), START + rows[i].window_ms * NS_PER_MS);
	}
}

static void
deadlines_come_nearer_and_never_further(void **state)
{
	struct drain_order o = {.seconds = 5, .deadline_s = {10, 20, DRAIN_NO_DEADLINE, 0}};
	struct drain d;

	drain_init(&d, 5, false);
	assert_false(drain_is_late(&d, DRAIN_H1, START + 1000 * NS_PER_S));
	drain_obey(&d, START, &o);
	assert_true(drain_is_late(&d, DRAIN_TCP, START));
	assert_false(drain_is_late(&d, DRAIN_H1, START + 10 * NS_PER_S - 1));
	assert_true(drain_is_late(&d, DRAIN_H1, START + 10 * NS_PER_S));
	assert_false(drain_is_late(&d, DRAIN_WEBSOCKET, START + 1000000 * NS_PER_S));
	drain_order_until(&o, 15);
	drain_hurry(&d, START, &o);
	assert_true(drain_is_late(&d, DRAIN_H1, START + 10 * NS_PER_S));
	assert_true(drain_is_late(&d, DRAIN_H2, START + 15 * NS_PER_S));
	assert_true(drain_is_late(&d, DRAIN_WEBSOCKET, START + 15 * NS_PER_S));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_later_the_likelier),
	    cmocka_unit_test(moments_of_a_drain_lie_in_its_first_quarter),
	    cmocka_unit_test(moments_of_failed_health_lie_in_a_tenth_of_the_window_and_ten_seconds),
	    cmocka_unit_test(the_window_ends_before_http_connections_are_cut),
	    cmocka_unit_test(deadlines_come_nearer_and_never_further),
	    cmocka_unit_test(health_that_failed_again_is_another_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
