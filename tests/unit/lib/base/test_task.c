#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/task.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"

/* With a slice of no length each breath that looks at the clock is the last of it. */
#define LOOKS 16

struct counter {
	unsigned steps, done;
	bool hold;
};

static void
count(void *arg)
{
	struct counter *c = arg;

	if (c->hold)
		task_hold();
	for (unsigned i = 0; i < c->steps; i++) {
		c->done++;
		task_breathe();
	}
	if (c->hold)
		task_release();
}

static void
a_slice_ends_where_the_task_breathes(void **state)
{
	struct counter c = {.steps = 3 * LOOKS};
	struct task *t = task_new(count, &c);

	for (unsigned i = 1; i <= 3; i++) {
		assert_true(task_run(t, 0));
		assert_int_equal(c.done, i * LOOKS);
		assert_null(task_current);
	}
	assert_false(task_run(t, 0));
	task_free(&t);
	assert_null(t);
}

static void
what_is_short_needs_one_slice(void **state)
{
	struct counter c = {.steps = 1000};
	struct task *t = task_new(count, &c);

	assert_false(task_run(t, 3600 * NS_PER_S));
	assert_int_equal(c.done, 1000);
	task_free(&t);
}

static void
one_that_is_finished_takes_no_breath(void **state)
{
	struct counter c = {.steps = 10 * LOOKS};
	struct task *t = task_new(count, &c);

	assert_true(task_run(t, 0));
	task_finish(t);
	assert_int_equal(c.done, 10 * LOOKS);
	task_finish(t);
	task_free(&t);
}

static void
held_breath_is_not_taken(void **state)
{
	struct counter c = {.steps = 10 * LOOKS, .hold = true};
	struct task *t = task_new(count, &c);

	assert_false(task_run(t, 0));
	assert_int_equal(c.done, 10 * LOOKS);
	task_free(&t);
}

static void
several_go_on_in_turns(void **state)
{
	struct counter a = {.steps = 2 * LOOKS}, b = {.steps = 2 * LOOKS};
	struct task *x = task_new(count, &a), *y = task_new(count, &b);

	assert_true(task_run(x, 0));
	assert_true(task_run(y, 0));
	assert_int_equal(a.done, LOOKS);
	assert_int_equal(b.done, LOOKS);
	task_finish(x);
	task_finish(y);
	task_free(&x);
	task_free(&y);
}

static void
finish_other(void *arg)
{
	struct task **other = arg;

	task_finish(*other);
	assert_non_null(task_current);
}

static void
a_task_may_finish_another(void **state)
{
	struct counter c = {.steps = 2 * LOOKS};
	struct task *inner = task_new(count, &c), *outer = task_new(finish_other, &inner);

	assert_true(task_run(inner, 0));
	assert_false(task_run(outer, 0));
	assert_int_equal(c.done, 2 * LOOKS);
	task_free(&inner);
	task_free(&outer);
}

/* As deep as parsers go, and with what they call. */
static void
descend(unsigned depth, struct strb *out)
{
	char room[512];

	snprintf(room, sizeof(room), "%u ", depth);
	task_breathe();
	if (depth)
		descend(depth - 1, out);
	strb_addz(out, room);
}

static void
descend_far(void *arg)
{
	descend(1000, arg);
}

static void
its_stack_is_as_deep_as_parsers_need(void **state)
{
	struct strb out = {0};
	struct task *t = task_new(descend_far, &out);

	while (task_run(t, 0))
		;
	assert_true(str_starts(strb_str(&out), STR("0 1 2 ")));
	assert_true(str_ends(strb_str(&out), STR(" 999 1000 ")));
	strb_fini(&out);
	task_free(&t);
}

static void
one_that_never_began_can_be_freed(void **state)
{
	struct counter c = {.steps = 1};
	struct task *t = task_new(count, &c);

	task_free(&t);
	assert_int_equal(c.done, 0);
	task_breathe(); /* nothing outside of a task */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_slice_ends_where_the_task_breathes),
	    cmocka_unit_test(what_is_short_needs_one_slice),
	    cmocka_unit_test(one_that_is_finished_takes_no_breath),
	    cmocka_unit_test(held_breath_is_not_taken),
	    cmocka_unit_test(several_go_on_in_turns),
	    cmocka_unit_test(a_task_may_finish_another),
	    cmocka_unit_test(its_stack_is_as_deep_as_parsers_need),
	    cmocka_unit_test(one_that_never_began_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
