/* What the loop does at the end of a turn, and a little later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/event/loop.h"
#include "lib/event/timer.h"

struct told {
	struct flush flush;
	struct loop *l;
	int times;
	bool again;
};

static void
tell(void *arg)
{
	struct told *t = arg;

	t->times++;
	if (t->again)
		loop_later(t->l, &t->flush);
}

static void
init(struct told *t, struct loop *l)
{
	*t = (struct told){.flush = {.fn = tell, .arg = t}, .l = l};
}

static void
a_flush_is_told_once_a_turn_however_often_asked(void **state)
{
	struct loop *l = loop_new();
	struct told t, gone;

	init(&t, l);
	init(&gone, l);
	loop_flush(l, &t.flush);
	loop_flush(l, &t.flush);
	loop_flush(l, &gone.flush);
	flush_cancel(&gone.flush);
	assert_int_equal(t.times, 0);
	loop_turn(l, false);
	assert_int_equal(t.times, 1);
	loop_turn(l, false);
	assert_int_equal(t.times, 1);
	assert_int_equal(gone.times, 0);
	loop_free(&l);
}

static void
later_is_once_for_all_that_asked_and_in_time(void **state)
{
	struct loop *l = loop_new();
	struct told a, b, gone;
	uint64_t from;

	init(&a, l);
	init(&b, l);
	init(&gone, l);
	loop_turn(l, false);
	from = loop_now_ms(l);
	loop_later(l, &a.flush);
	loop_later(l, &a.flush);
	loop_later(l, &b.flush);
	loop_later(l, &gone.flush);
	flush_cancel(&gone.flush);
	loop_turn(l, false);
	if (loop_now_ms(l) + 1 < from + LOOP_LATER_MS)
		assert_int_equal(a.times, 0);
	while (a.times == 0) /* waits for the timer and for nothing else */
		loop_turn(l, true);
	assert_in_range(loop_now_ms(l) - from, LOOP_LATER_MS - 1, 10000);
	assert_int_equal(a.times, 1);
	assert_int_equal(b.times, 1);
	assert_int_equal(gone.times, 0);
	loop_free(&l);
}

static void
who_asks_while_it_is_told_is_told_the_next_time(void **state)
{
	struct loop *l = loop_new();
	struct told t;

	init(&t, l);
	t.again = true;
	loop_later(l, &t.flush);
	while (t.times == 0)
		loop_turn(l, true);
	assert_int_equal(t.times, 1);
	t.again = false;
	while (t.times == 1)
		loop_turn(l, true);
	assert_int_equal(t.times, 2);
	loop_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_flush_is_told_once_a_turn_however_often_asked),
	    cmocka_unit_test(later_is_once_for_all_that_asked_and_in_time),
	    cmocka_unit_test(who_asks_while_it_is_told_is_told_the_next_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
