#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/task.h"
#include "lib/event/loop.h"
#include "lib/event/work.h"

struct job {
	struct works *all;
	struct work work;
	struct job *starts; /* another, from within */
	unsigned long_ms, done;
};

/* Breathes all the time for so long. */
static void
busy(void *arg)
{
	struct job *j = arg;
	uint64_t end = clock_mono_ns() + j->long_ms * NS_PER_MS;

	if (j->starts)
		work_start(j->all, &j->starts->work, busy, j->starts);
	while (clock_mono_ns() < end)
		task_breathe();
	j->done++;
}

static int
setup(void **state)
{
	static struct works all;

	works_init(&all, loop_new());
	*state = &all;
	return 0;
}

static int
teardown(void **state)
{
	struct works *all = *state;

	works_fini(all);
	loop_free(&all->loop);
	return 0;
}

static unsigned
turns_until_done(struct works *all, const struct job *j)
{
	unsigned n = 0;

	for (; work_goes_on(&j->work); n++)
		loop_turn(all->loop, true);
	return n;
}

static void
what_is_short_is_done_at_once(void **state)
{
	struct job j = {.all = *state};

	work_start(*state, &j.work, busy, &j);
	assert_int_equal(j.done, 1);
	assert_false(work_goes_on(&j.work));
}

static void
what_is_long_takes_several_turns(void **state)
{
	struct job j = {.all = *state, .long_ms = 20};

	work_start(*state, &j.work, busy, &j);
	assert_true(work_goes_on(&j.work));
	assert_true(turns_until_done(*state, &j) >= 2);
	assert_int_equal(j.done, 1);
}

static void
a_turn_has_a_slice_of_one_of_them(void **state)
{
	struct works *all = *state;
	struct job a = {.all = all, .long_ms = 3600000}, b = a;

	work_start(all, &a.work, busy, &a);
	work_start(all, &b.work, busy, &b);
	assert_ptr_equal(list_first(&all->waiting), &a.work.node);
	loop_turn(all->loop, true);
	while (list_first(&all->waiting) == &a.work.node) /* woken for something else */
		loop_turn(all->loop, true);
	assert_ptr_equal(list_first(&all->waiting), &b.work.node);
	a.long_ms = b.long_ms = 0;
	/* They end by the clock only: so they are not waited for. */
	clock_set(clock_mono_ns() + 3600 * NS_PER_S, clock_wall_ns());
	work_finish(&a.work);
	work_finish(&b.work);
	clock_set(0, 0);
	assert_int_equal(a.done + b.done, 2);
}

static void
finished_work_ends_now(void **state)
{
	struct job j = {.all = *state, .long_ms = 20};

	work_start(*state, &j.work, busy, &j);
	work_finish(&j.work);
	assert_int_equal(j.done, 1);
	assert_false(work_goes_on(&j.work));
	work_finish(&j.work);
}

static void
work_that_work_starts_waits_in_the_queue(void **state)
{
	struct job inner = {.all = *state}, outer = {.all = *state, .starts = &inner};

	work_start(*state, &outer.work, busy, &outer);
	assert_int_equal(outer.done, 1);
	assert_int_equal(inner.done, 0);
	turns_until_done(*state, &inner);
	assert_int_equal(inner.done, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_is_short_is_done_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_long_takes_several_turns, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_turn_has_a_slice_of_one_of_them, setup, teardown),
	    cmocka_unit_test_setup_teardown(finished_work_ends_now, setup, teardown),
	    cmocka_unit_test_setup_teardown(work_that_work_starts_waits_in_the_queue, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
