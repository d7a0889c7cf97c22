/* The watchdog counts its own ticks: who is asked, lent, ended, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "master/children.h"
#include "master/watchdog.h"

static void
a_child_that_beats_is_fine(void **state)
{
	struct watch w = {0};

	for (uint64_t beat = 1; beat < 100; beat++)
		assert_int_equal(watch_tick(&w, beat, 1), WATCH_FINE);
}

static void
an_idle_child_is_asked_and_its_answer_suffices(void **state)
{
	struct watch w = {0};

	assert_int_equal(watch_tick(&w, 1, 1), WATCH_FINE);
	for (uint64_t beat = 1; beat < 50; beat++) {
		assert_int_equal(watch_tick(&w, beat, 1), WATCH_ASK);
		assert_int_equal(watch_tick(&w, beat + 1, 1), WATCH_FINE);
	}
}

static void
a_silent_child_is_lent_then_aborted_then_killed(void **state)
{
	/* one second is eight ticks of 125 ms */
	static const enum watch_verdict want[] = {WATCH_FINE, WATCH_ASK, WATCH_LATE, WATCH_LEND,
	    WATCH_LATE, WATCH_LATE, WATCH_LATE, WATCH_LATE, WATCH_LATE, WATCH_ABORT, WATCH_LATE,
	    WATCH_LATE, WATCH_LATE, WATCH_LATE, WATCH_LATE, WATCH_LATE, WATCH_LATE, WATCH_KILL,
	    WATCH_LATE};
	struct watch w = {0};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(watch_tick(&w, 1, 1), want[i]);
}

static void
a_lent_child_that_beats_again_is_back(void **state)
{
	struct watch w = {0};
	int guard = 0;

	while (watch_tick(&w, 1, 10) != WATCH_LEND)
		assert_true(++guard < 10);
	assert_int_equal(watch_tick(&w, 2, 10), WATCH_BACK);
	assert_int_equal(watch_tick(&w, 3, 10), WATCH_FINE);
}

static void
without_a_limit_nobody_is_ended(void **state)
{
	struct watch w = {0};

	for (int i = 0; i < 10000; i++) {
		enum watch_verdict v = watch_tick(&w, 1, 0);

		assert_true(v != WATCH_ABORT && v != WATCH_KILL);
	}
}

static void
the_misses_are_told_once(void **state)
{
	struct watch w = {0};
	int miss = 0, mega = 0;

	for (int i = 0; i < 40; i++) {
		watch_tick(&w, 1, 60);
		miss += watch_is_at(&w, 200);
		mega += watch_is_at(&w, 1000);
	}
	assert_int_equal(miss, 1);
	assert_int_equal(mega, 1);
}

static void
the_back_off_doubles_to_ten_seconds(void **state)
{
	static const uint32_t want[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};

	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(backoff_ms(i), want[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_child_that_beats_is_fine),
	    cmocka_unit_test(an_idle_child_is_asked_and_its_answer_suffices),
	    cmocka_unit_test(a_silent_child_is_lent_then_aborted_then_killed),
	    cmocka_unit_test(a_lent_child_that_beats_again_is_back),
	    cmocka_unit_test(without_a_limit_nobody_is_ended),
	    cmocka_unit_test(the_misses_are_told_once),
	    cmocka_unit_test(the_back_off_doubles_to_ten_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
