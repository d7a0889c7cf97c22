/* Values are looked at, copied and cleaned: every length, a control byte at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/http/validate.h"

#define LONGEST 40

/* In memory of exactly that size: who reads or writes beside it is caught. */
static char *
letters(size_t n)
{
	char *p = mem_alloc(n + !n);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i % 26);
	return p;
}

static void
a_value_of_any_length_is_copied_whole(void **state)
{
	(void)state;
	for (size_t n = 0; n <= LONGEST; n++) {
		char *from = letters(n), *to = mem_alloc(n + !n);

		assert_true(value_copy(to, str_make(from, n)));
		assert_true(valid_value(str_make(from, n)));
		assert_memory_equal(to, from, n);
		mem_free(from);
		mem_free(to);
	}
}

static void
a_control_byte_is_seen_at_any_place(void **state)
{
	static const char controls[] = {0, 1, '\n', '\r', 0x1f, 0x7f};

	(void)state;
	for (size_t n = 1; n <= LONGEST; n++) {
		for (size_t i = 0; i < n * sizeof(controls); i++) {
			char *from = letters(n), *to = mem_alloc(n);

			from[i % n] = controls[i / n];
			assert_false(value_copy(to, str_make(from, n)));
			assert_memory_equal(to, from, n);
			assert_false(valid_value(str_make(from, n)));
			value_clean(to, n);
			from[i % n] = ' ';
			assert_memory_equal(to, from, n);
			mem_free(from);
			mem_free(to);
		}
	}
}

static void
tabs_and_bytes_above_127_are_valid(void **state)
{
	char s[] = "a\tb\x80\xc3\xa4\xff fifteen";

	(void)state;
	assert_true(valid_value(STR("a\tb\x80\xc3\xa4\xff fifteen")));
	value_clean(s, sizeof(s) - 1);
	assert_string_equal(s, "a\tb\x80\xc3\xa4\xff fifteen");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_value_of_any_length_is_copied_whole),
	    cmocka_unit_test(a_control_byte_is_seen_at_any_place),
	    cmocka_unit_test(tabs_and_bytes_above_127_are_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
