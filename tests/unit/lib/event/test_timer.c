/* The timer wheel: order, long delays, stopping and re-arming from inside a callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/rand.h"
#include "lib/event/timer.h"

struct probe {
	struct timer t;
	struct wheel *w;
	uint64_t want;
	int fired;
};

static void
on_fire(void *arg)
{
	struct probe *p = arg;

	assert_int_equal(p->w->now, p->want);
	p->fired++;
}

static void
a_timer_fires_at_its_tick_and_once(void **state)
{
	static const uint64_t at[] = {1, 2, 63, 64, 65, 127, 128, 4095, 4096, 4097, 262143, 262144,
	    262145, 3600000, 86400000};
	static struct wheel w;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		for (uint64_t start = 0; start < 200; start += 37) {
			struct probe p = {.w = &w, .want = start + at[i]};

			wheel_init(&w, start);
			timer_init(&p.t, on_fire, &p);
			wheel_set(&w, &p.t, p.want);
			wheel_advance(&w, p.want - 1);
			assert_int_equal(p.fired, 0);
			wheel_advance(&w, p.want + 1000);
			assert_int_equal(p.fired, 1);
			assert_false(timer_armed(&p.t));
		}
	}
}

static void
many_random_timers_all_fire_exactly(void **state)
{
	static struct wheel w;
	static struct probe p[2000];
	uint64_t now = 12345;

	rand_seed(7);
	wheel_init(&w, now);
	for (int i = 0; i < 2000; i++) {
		p[i] = (struct probe){.w = &w, .want = now + 1 + rand_below(100000)};
		timer_init(&p[i].t, on_fire, &p[i]);
		wheel_set(&w, &p[i].t, p[i].want);
	}
	for (int i = 0; i < 2000; i += 3) /* move a third of them */
		wheel_set(&w, &p[i].t, p[i].want = now + 1 + rand_below(500000));
	while (now < 12345 + 500001) {
		uint64_t next = wheel_next(&w);

		now += 1 + rand_below(700);
		assert_true(next > w.now);
		wheel_advance(&w, now);
	}
	for (int i = 0; i < 2000; i++)
		assert_int_equal(p[i].fired, 1);
	assert_true(wheel_next(&w) == UINT64_MAX);
}

static void
one_timer_is_waited_for_in_one_go(void **state)
{
	static const uint64_t after[] = {1, 64, 100, 5000, 300000, 86400000};
	static struct wheel w;

	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		struct probe p = {.w = &w, .want = 37 + after[i]};

		wheel_init(&w, 37);
		timer_init(&p.t, on_fire, &p);
		wheel_set(&w, &p.t, p.want);
		assert_int_equal(wheel_next(&w), p.want);
		wheel_advance(&w, p.want);
		assert_int_equal(p.fired, 1);
		assert_true(wheel_next(&w) == UINT64_MAX);
	}
}

static struct probe victim;

static void
stop_victim(void *arg)
{
	timer_stop(&victim.t);
}

static void
a_callback_may_stop_a_timer_of_the_same_tick(void **state)
{
	static struct wheel w;
	struct timer killer;

	wheel_init(&w, 0);
	victim = (struct probe){.w = &w, .want = 10};
	timer_init(&killer, stop_victim, NULL);
	timer_init(&victim.t, on_fire, &victim);
	wheel_set(&w, &killer, 10);
	wheel_set(&w, &victim.t, 10);
	wheel_advance(&w, 20);
	assert_int_equal(victim.fired, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_timer_fires_at_its_tick_and_once),
	    cmocka_unit_test(many_random_timers_all_fire_exactly),
	    cmocka_unit_test(one_timer_is_waited_for_in_one_go),
	    cmocka_unit_test(a_callback_may_stop_a_timer_of_the_same_tick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
