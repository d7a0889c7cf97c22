/* Thresholds, flags and intervals of active checks, without a socket or a clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/health/verdict.h"
#include "shm/hosts.h"

static const struct verdict_rules rules = {
    .healthy_threshold = 2,
    .unhealthy_threshold = 3,
    .interval_ms = 1000,
    .unhealthy_interval_ms = 2000,
    .unhealthy_edge_interval_ms = 3000,
    .healthy_edge_interval_ms = 4000,
    .no_traffic_interval_ms = 60000,
    .no_traffic_healthy_interval_ms = 70000,
};

/*
 * A story of results, one letter each: '+' passed, 'd' passed and degraded,
 * 'x' a bad answer, 'r' a retriable one, 'n' network, 't' timeout, 'p' a
 * worker heard immediate-fail.  After each the wanted state: '.' healthy,
 * '#' failed; and the change: '=' same, '~' on the way, '!' changed.
 */
struct story {
	const char *results, *states, *changes;
};

static struct verdict_result
play(struct verdict *v, char what)
{
	struct verdict_result none = {0};

	switch (what) {
	case '+':
		return verdict_pass(v, &rules, false);
	case 'd':
		return verdict_pass(v, &rules, true);
	case 'x':
		return verdict_fail(v, &rules, FAILURE_ACTIVE, false);
	case 'r':
		return verdict_fail(v, &rules, FAILURE_ACTIVE, true);
	case 'n':
		return verdict_fail(v, &rules, FAILURE_NETWORK, false);
	case 't':
		return verdict_fail(v, &rules, FAILURE_TIMEOUT, false);
	default:
		host_cell_set(
		    v->cell, HOST_FAILED_ACTIVE_HC | HOST_EXCLUDED_IMMEDIATE_HC_FAIL, true);
		none.change = verdict_failed_meanwhile(v) ? VERDICT_CHANGED : VERDICT_SAME;
		return none;
	}
}

static void
stories_of_results_end_as_told(void **state)
{
	static const struct story stories[] = {
	    {"+", ".", "!"},                  /* the first check decides alone */
	    {"x+", "##", "=~"},               /* but only the first */
	    {"x++", "##.", "=~!"},
	    {"x+n++", "####.", "=~=~!"},      /* a failure begins the count anew */
	    {"+x", ".#", "!!"},               /* a bad answer fails at once */
	    {"+nnn", "...#", "!~~!"},         /* the network has a threshold */
	    {"+nn+nnn", "......#", "!~~=~~!"},
	    {"+rrr", "...#", "!~~!"},         /* so have retriable answers */
	    {"+nrt", "...#", "!~~!"},         /* and they add up */
	    {"+p++", ".##.", "!!~!"},
	    {"+pp", ".##", "!!="},
	    {"+d+", "...", "!!!"},            /* degraded comes and goes at once */
	    {"d", ".", "!"},
	    {"nnn", "###", "==="},            /* never seen well */
	};

	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		const struct story *s = &stories[i];
		struct host_cell cell = {0};
		struct verdict v;

		verdict_init(&v, &cell, BEGIN_FAILED);
		assert_true(cell.flags & HOST_FAILED_ACTIVE_HC);
		for (size_t k = 0; s->results[k]; k++) {
			struct verdict_result r = play(&v, s->results[k]);
			char is = cell.flags & HOST_FAILED_ACTIVE_HC ? '#' : '.';

			if (is != s->states[k] || "=~!"[r.change] != s->changes[k])
				fail_msg("story %zu, '%s', step %zu: %c%c", i, s->results, k, is,
				    "=~!"[r.change]);
		}
	}
}

static void
flags_say_why(void **state)
{
	struct host_cell cell = {0};
	struct verdict v;

	verdict_init(&v, &cell, BEGIN_HIDDEN);
	assert_int_equal(cell.flags, HOST_FAILED_ACTIVE_HC | HOST_PENDING_ACTIVE_HC);
	play(&v, 't');
	assert_int_equal(
	    cell.flags, HOST_FAILED_ACTIVE_HC | HOST_ACTIVE_HC_TIMEOUT | HOST_CHECKED);
	play(&v, 'n'); /* fails for another reason now */
	assert_int_equal(cell.flags, HOST_FAILED_ACTIVE_HC | HOST_CHECKED);
	play(&v, '+');
	play(&v, 'd');
	assert_int_equal(cell.flags, HOST_DEGRADED_ACTIVE_HC | HOST_CHECKED);
	play(&v, 't'); /* a healthy host that times out is not shown as timed out */
	assert_int_equal(cell.flags, HOST_DEGRADED_ACTIVE_HC | HOST_CHECKED);
	play(&v, 'p');
	assert_true(cell.flags & HOST_EXCLUDED_IMMEDIATE_HC_FAIL);
	play(&v, '+');
	assert_true(cell.flags & HOST_EXCLUDED_IMMEDIATE_HC_FAIL);
	play(&v, '+');
	assert_int_equal(cell.flags, HOST_CHECKED);
	host_cell_set(&cell, HOST_OPERATOR_FAIL, true);
	verdict_forget(&v);
	assert_int_equal(cell.flags, HOST_OPERATOR_FAIL);
}

static void
a_known_host_goes_on_where_it_was(void **state)
{
	struct host_cell healthy = {.flags = HOST_CHECKED};
	struct host_cell failed = {.flags = HOST_CHECKED | HOST_FAILED_ACTIVE_HC};
	struct verdict v;

	verdict_init(&v, &healthy, BEGIN_HIDDEN);
	assert_false(v.first);
	assert_int_equal(healthy.flags, HOST_CHECKED);
	verdict_init(&v, &failed, BEGIN_HIDDEN);
	assert_int_equal(play(&v, '+').change, VERDICT_PENDING);
	assert_int_equal(play(&v, '+').change, VERDICT_CHANGED);
	assert_int_equal(failed.flags, HOST_CHECKED);
}

static void
a_host_in_use_is_good_until_told_otherwise(void **state)
{
	struct host_cell cell = {0};
	struct verdict v;

	verdict_init(&v, &cell, BEGIN_USED);
	assert_int_equal(cell.flags, 0);
	assert_int_equal(play(&v, 'n').change, VERDICT_PENDING);
	assert_int_equal(play(&v, 'x').change, VERDICT_CHANGED);
	assert_true(cell.flags & HOST_FAILED_ACTIVE_HC);
}

static void
the_event_log_hears_what_it_asked_for(void **state)
{
	struct verdict_rules all = rules;
	struct host_cell cell = {0};
	struct verdict v;
	struct verdict_result r;

	verdict_init(&v, &cell, BEGIN_FAILED);
	r = verdict_fail(&v, &rules, FAILURE_NETWORK, false);
	assert_int_equal(r.events, EVENT_FAILURE); /* the first one always */
	assert_true(r.first);
	assert_int_equal(verdict_fail(&v, &rules, FAILURE_NETWORK, false).events, 0);
	all.always_log_failures = all.always_log_successes = true;
	assert_int_equal(verdict_fail(&v, &all, FAILURE_NETWORK, false).events, EVENT_FAILURE);
	assert_int_equal(verdict_pass(&v, &all, false).events, EVENT_SUCCESS);
	r = verdict_pass(&v, &all, false);
	assert_int_equal(r.events, EVENT_ADDED);
	assert_false(r.first);
	assert_int_equal(verdict_pass(&v, &rules, true).events, EVENT_DEGRADED);
	assert_int_equal(verdict_pass(&v, &rules, false).events, EVENT_NO_LONGER_DEGRADED);
	assert_int_equal(
	    verdict_fail(&v, &all, FAILURE_ACTIVE, false).events, EVENT_EJECTED | EVENT_FAILURE);
}

static void
intervals_are_those_of_the_state(void **state)
{
	static const struct {
		bool passed;
		enum verdict_change change;
		bool traffic;
		uint64_t ms;
	} rows[] = {
	    {true, VERDICT_SAME, true, 1000},
	    {true, VERDICT_CHANGED, true, 1000},
	    {true, VERDICT_PENDING, true, 4000},
	    {false, VERDICT_SAME, true, 2000},
	    {false, VERDICT_CHANGED, true, 2000},
	    {false, VERDICT_PENDING, true, 3000},
	    {true, VERDICT_SAME, false, 70000},
	    {true, VERDICT_PENDING, false, 60000},
	    {false, VERDICT_SAME, false, 60000},
	    {false, VERDICT_PENDING, false, 60000},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(verdict_interval_ms(&rules, rows[i].passed, rows[i].change,
				     rows[i].traffic, 12345),
		    rows[i].ms);
}

static void
jitter_is_added_and_never_taken_away(void **state)
{
	struct verdict_rules r = {.interval_ms = 1000, .jitter_ms = 100, .jitter_percent = 50};
	uint64_t least = UINT64_MAX, most = 0;

	for (uint64_t i = 0; i < 10000; i++) {
		uint64_t dice = i * 0x9e3779b97f4a7c15ull;
		uint64_t ms = verdict_interval_ms(&r, true, VERDICT_SAME, true, dice);

		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	assert_in_range(least, 1000, 1030);
	assert_in_range(most, 1570, 1598);
	assert_int_equal(verdict_initial_ms(&r, 77), 0);
	r.initial_jitter_ms = 10;
	for (uint64_t i = 0; i < 100; i++)
		assert_in_range(verdict_initial_ms(&r, i << 32), 1, 9);
	r = (struct verdict_rules){0}; /* never a spin */
	assert_int_equal(verdict_interval_ms(&r, true, VERDICT_SAME, true, 1), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stories_of_results_end_as_told),
	    cmocka_unit_test(flags_say_why),
	    cmocka_unit_test(a_known_host_goes_on_where_it_was),
	    cmocka_unit_test(a_host_in_use_is_good_until_told_otherwise),
	    cmocka_unit_test(the_event_log_hears_what_it_asked_for),
	    cmocka_unit_test(intervals_are_those_of_the_state),
	    cmocka_unit_test(jitter_is_added_and_never_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
