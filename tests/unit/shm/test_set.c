/*
 * A set: rows as they come, then one row a name in the order of listings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "shm/set.h"

static struct stat_row *
add(struct stat_set *set, const char *name, enum stat_kind kind)
{
	struct stat_row like = {
	    .name = str_of(name), .help = "", .kind = (uint8_t)kind, .used = true};

	return stat_set_add(set, STR("a."), &like);
}

static void
sort(struct stat_set *set)
{
	while (stat_set_sort_step(set))
		continue;
}

static void
rows_of_one_name_become_one(void **state)
{
	struct stat_set *set = stat_set_new();
	const struct stat_row *row;

	for (unsigned i = 1; i <= 3; i++) {
		struct stat_row *largest = add(set, "largest", STAT_GAUGE);
		struct stat_row *text = add(set, "text", STAT_TEXT);
		struct stat_row *times = add(set, "times", STAT_HISTOGRAM);

		add(set, "counter", STAT_COUNTER)->counter = i;
		add(set, "gauge", STAT_GAUGE)->gauge = 1 - (int64_t)i;
		largest->gauge = 10 - i;
		largest->any = true;
		text->text = i == 2 ? STR("this") : STR("other");
		text->used = i < 3;
		histogram_add(times->histogram, 5, i);
		times->histogram->sum = 100 * i;
	}
	sort(set);
	assert_int_equal(set->rows.len, 5);
	assert_int_equal(stat_set_find(set, STR("a.counter"))->counter, 6);
	assert_int_equal(stat_set_find(set, STR("a.gauge"))->gauge, -3);
	assert_int_equal(stat_set_find(set, STR("a.largest"))->gauge, 9);
	assert_true(str_eqz(stat_set_find(set, STR("a.text"))->text, "this"));
	row = stat_set_find(set, STR("a.times"));
	assert_int_equal(row->histogram->sum, 600);
	assert_int_equal(row->histogram->count, 6);
	assert_int_equal(row->histogram->len, 1);
	stat_set_free(&set);
}

static void
the_first_row_says_what_kind_and_the_last_describes(void **state)
{
	struct stat_set *set = stat_set_new();
	const struct stat_row *row;

	add(set, "x", STAT_COUNTER)->counter = 2;
	add(set, "x", STAT_HISTOGRAM)->help = "a histogram";
	histogram_add(set->rows.at[1]->histogram, 7, 1);
	add(set, "x", STAT_COUNTER)->help = "a counter";
	add(set, "x", STAT_TEXT)->help = "a text";
	set->rows.at[0]->used = false;
	set->rows.at[2]->lazy = true;
	sort(set);
	assert_int_equal(set->rows.len, 1);
	row = stat_set_find(set, STR("a.x"));
	assert_ptr_equal(row, set->rows.at[0]);
	assert_int_equal(row->kind, STAT_COUNTER);
	assert_int_equal(row->counter, 2);
	assert_string_equal(row->help, "a counter");
	assert_true(row->used);
	assert_true(row->lazy);
	stat_set_free(&set);
}

static void
texts_come_first_and_histograms_last(void **state)
{
	static const char *const want[] = {"a.d", "a.e", "a.b", "a.c", "a.f", "a.a", "a.g"};
	struct stat_set *set = stat_set_new();

	add(set, "g", STAT_HISTOGRAM);
	add(set, "f", STAT_COUNTER);
	add(set, "e", STAT_TEXT);
	add(set, "d", STAT_TEXT);
	add(set, "c", STAT_GAUGE);
	add(set, "b", STAT_COUNTER);
	add(set, "a", STAT_HISTOGRAM);
	sort(set);
	assert_int_equal(set->rows.len, 7);
	for (size_t i = 0; i < set->rows.len; i++) {
		assert_true(str_eqz(set->rows.at[i]->name, want[i]));
		assert_ptr_equal(stat_set_find(set, str_of(want[i])), set->rows.at[i]);
	}
	assert_null(stat_set_find(set, STR("a.")));
	assert_null(stat_set_find(set, STR("a.aa")));
	assert_null(stat_set_find(set, STR("a.h")));
	stat_set_free(&set);
}

static void
an_empty_set_has_nothing(void **state)
{
	struct stat_set *set = stat_set_new();

	assert_null(stat_set_find(set, STR("a.x")));
	sort(set);
	assert_int_equal(set->rows.len, 0);
	assert_null(stat_set_find(set, STR("a.x")));
	stat_set_free(&set);
}

/* Names n times each, in blocks that stand in order. */
static void
fill(struct stat_set *set, unsigned names, unsigned times)
{
	char name[16];

	for (unsigned i = 0; i < names * times; i++) {
		snprintf(name, sizeof(name), "%06u", i % names);
		if (i % 7)
			add(set, name, STAT_COUNTER)->counter = 1;
		else
			histogram_add(add(set, name, STAT_HISTOGRAM)->histogram, 1, 1);
	}
}

static void
many_rows_take_many_steps(void **state)
{
	struct stat_set *set = stat_set_new();
	size_t steps = 1;

	fill(set, 7 * 3000, 3);
	while (stat_set_sort_step(set))
		steps++;
	assert_true(steps > 20);
	assert_int_equal(set->rows.len, 7 * 3000);
	for (size_t i = 0; i < set->rows.len; i++)
		assert_int_equal(
		    i < 6 * 3000 ? set->rows.at[i]->counter : set->rows.at[i]->histogram->count, 3);
	stat_set_free(&set);
}

static void
a_set_may_be_freed_at_any_step(void **state)
{
	for (unsigned stop = 0;; stop++) {
		struct stat_set *set = stat_set_new();
		bool more = true;

		fill(set, 7 * 500, 5);
		for (unsigned i = 0; i < stop && more; i++)
			more = stat_set_sort_step(set);
		stat_set_free(&set);
		if (!more)
			break;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_of_one_name_become_one),
	    cmocka_unit_test(the_first_row_says_what_kind_and_the_last_describes),
	    cmocka_unit_test(texts_come_first_and_histograms_last),
	    cmocka_unit_test(an_empty_set_has_nothing),
	    cmocka_unit_test(many_rows_take_many_steps),
	    cmocka_unit_test(a_set_may_be_freed_at_any_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
