/*
 * %START_TIME(...)% formats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "worker/access_log/start_time.h"

/* 2026-08-09 07:06:05.012345678 UTC */
#define MOMENT (1786259165ull * NS_PER_S + 12345678)

static void
every_specifier_prints_its_part(void **state)
{
	static const struct {
		const char *format, *text;
	} rows[] = {
		{"", "2026-08-09T07:06:05.012Z"},
		{"%Y/%m/%d", "2026/08/09"},
		{"%s", "1786259165"},
		{"%s.%3f", "1786259165.012"},
		{"%6f", "012345"},
		{"%9f", "012345678"},
		{"%f", "012345678"},
		{"%1f|%2f", "0|01"},
		{"%H:%M:%E3S", "07:06:05.012"},
		{"%E6S", "05.012345"},
		{"%E0S", "05"},
		{"%E*S", "05.012345678"},
		{"%d/%b/%Y:%H:%M:%S %z", "09/Aug/2026:07:06:05 +0000"},
		{"100%%", "100%"},
		{"%%s", "%s"},
		{"plain", "plain"},
		{"%s %Y %s %m %s %d %s %H %s %M %s %S",
		    "1786259165 2026 1786259165 08 1786259165 09 1786259165 07 1786259165 06 "
		    "1786259165 05"},
	};
	struct arena a;
	char out[256];

	arena_init(&a);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct start_time *t = start_time_compile(str_of(rows[i].format), &a);

		for (int again = 0; again < 2; again++) {
			out[start_time_write(t, MOMENT, out, sizeof(out) - 1)] = '\0';
			assert_string_equal(out, rows[i].text);
		}
	}
	arena_fini(&a);
}

static void
the_kept_second_is_not_kept_too_long(void **state)
{
	struct arena a;
	const struct start_time *t;
	char out[64];

	arena_init(&a);
	t = start_time_compile(STR("%S.%3f"), &a);
	out[start_time_write(t, MOMENT, out, sizeof(out))] = '\0';
	assert_string_equal(out, "05.012");
	out[start_time_write(t, MOMENT + 2 * NS_PER_S, out, sizeof(out))] = '\0';
	assert_string_equal(out, "07.012");
	out[start_time_write(t, MOMENT, out, sizeof(out))] = '\0';
	assert_string_equal(out, "05.012");
	arena_fini(&a);
}

static void
the_kept_line_is_of_the_same_time_and_room(void **state)
{
	struct arena a;
	const struct start_time *t;
	char out[64];

	arena_init(&a);
	t = start_time_compile(STR("%S.%3f"), &a);
	assert_int_equal(start_time_write(t, MOMENT, out, 4), 3); /* the fraction has no room */
	for (int i = 0; i < 2; i++) {
		out[start_time_write(t, MOMENT, out, sizeof(out))] = '\0';
		assert_string_equal(out, "05.012");
	}
	out[start_time_write(t, MOMENT + NS_PER_MS, out, sizeof(out))] = '\0';
	assert_string_equal(out, "05.013");
	arena_fini(&a);
}

static void
a_whole_second_has_no_trimmed_fraction(void **state)
{
	struct arena a;
	char out[64];

	arena_init(&a);
	out[start_time_write(start_time_compile(STR("%E*S"), &a), 1786259165ull * NS_PER_S, out,
	    sizeof(out))] = '\0';
	assert_string_equal(out, "05");
	out[start_time_write(start_time_compile(STR("%E*S"), &a),
	    1786259165ull * NS_PER_S + 500000000, out, sizeof(out))] = '\0';
	assert_string_equal(out, "05.5");
	arena_fini(&a);
}

static void
a_small_buffer_is_not_overrun(void **state)
{
	struct arena a;
	char out[64];

	arena_init(&a);
	for (size_t n = 0; n < 40; n++) {
		memset(out, 'x', sizeof(out));
		assert_in_range(start_time_write(start_time_compile(STR("%Y %s %9f %E*S %d"), &a),
				    MOMENT, out, n),
		    0, n);
		assert_int_equal(out[n], 'x');
	}
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_specifier_prints_its_part),
		cmocka_unit_test(the_kept_second_is_not_kept_too_long),
		cmocka_unit_test(the_kept_line_is_of_the_same_time_and_room),
		cmocka_unit_test(a_whole_second_has_no_trimmed_fraction),
		cmocka_unit_test(a_small_buffer_is_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
