#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static void
comparing_ignores_case_only_when_asked(void **state)
{
	assert_true(str_eq(STR("abc"), STR("abc")));
	assert_false(str_eq(STR("abc"), STR("abC")));
	assert_true(str_ieq(STR("aBc-1"), STR("AbC-1")));
	assert_false(str_ieq(STR("[a"), STR("{a")));
	assert_true(str_ieqz(STR("Host"), "host"));
	assert_true(str_eq(STR(""), (struct str){NULL, 0}));
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("ab"), STR("a")) > 0);
	assert_int_equal(str_cmp(STR(""), STR("")), 0);
	assert_true(str_starts(STR("/api/x"), STR("/api")));
	assert_false(str_starts(STR("/a"), STR("/api")));
	assert_true(str_ends(STR("x.json"), STR(".json")));
	assert_true(str_istarts(STR("BEARER x"), STR("bearer ")));
	assert_true(str_contains(STR("abcd"), STR("bc")));
	assert_true(str_contains(STR("abcd"), STR("")));
	assert_false(str_contains(STR("abcd"), STR("ac")));
}

static void
trimming_takes_spaces_and_tabs_at_both_ends(void **state)
{
	assert_true(str_eqz(str_trim(STR(" \t a b\t ")), "a b"));
	assert_int_equal(str_trim(STR(" \t ")).n, 0);
}

static void
cutting_gives_every_part_also_empty_ones(void **state)
{
	static const char *const parts[] = {"a", "", "b", ""};
	struct str rest = STR("a,,b,"), part;
	size_t n = 0;

	while (str_cut(&rest, ',', &part))
		assert_true(str_eqz(part, parts[n++]));
	assert_int_equal(n, 4);
}

static void
numbers_are_whole_or_nothing(void **state)
{
	static const struct {
		const char *text;
		bool is_u64, is_i64;
		int64_t value;
	} rows[] = {
	    {"0", true, true, 0},
	    {"18446744073709551615", true, false, -1},
	    {"18446744073709551616", false, false, 0},
	    {"-1", false, true, -1},
	    {"-9223372036854775808", false, true, INT64_MIN},
	    {"-9223372036854775809", false, false, 0},
	    {"9223372036854775808", true, false, INT64_MIN},
	    {"", false, false, 0},
	    {"-", false, false, 0},
	    {"1 ", false, false, 0},
	    {"+1", false, false, 0},
	    {"0x1", false, false, 0},
	    {"007", true, true, 7},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t u = 0;
		int64_t s = 0;

		assert_int_equal(str_u64(str_of(rows[i].text), &u), rows[i].is_u64);
		if (rows[i].is_u64)
			assert_true(u == (uint64_t)rows[i].value);
		assert_int_equal(str_i64(str_of(rows[i].text), &s), rows[i].is_i64);
		if (rows[i].is_i64)
			assert_true(s == rows[i].value);
	}
}

static void
globs_match_the_whole_text(void **state)
{
	static const struct {
		const char *text, *pattern;
		bool matches;
	} rows[] = {
	    {"cluster.api.x", "cluster.*", true},
	    {"cluster", "cluster.*", false},
	    {"", "", true},
	    {"", "*", true},
	    {"abc", "a?c", true},
	    {"abc", "a?", false},
	    {"aXbXc", "a*b*c", true},
	    {"aXbX", "a*b*c", false},
	    {"aaa", "*a", true},
	    {"ab", "**b", true},
	    {"x", "", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(str_glob(str_of(rows[i].text), rows[i].pattern), rows[i].matches);
}

static void
numbers_are_written_with_their_sign(void **state)
{
	struct strb b = {0};

	strb_addi(&b, INT64_MIN);
	strb_addc(&b, ' ');
	strb_addi(&b, -1);
	strb_addi(&b, 0);
	strb_addi(&b, INT64_MAX);
	assert_string_equal(strb_z(&b), "-9223372036854775808 -109223372036854775807");
	strb_fini(&b);
}

static void
numbers_of_every_length_have_their_digits(void **state)
{
	char out[20], want[32];

	(void)state;
	for (uint64_t power = 1;; power *= 10) {
		const uint64_t rows[] = {power - 1, power, power + 1, power / 7 * 9, power * 5 - 3};

		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			size_t n = u64_write(out, rows[i]);

			assert_int_equal(n, snprintf(want, sizeof(want), "%" PRIu64, rows[i]));
			assert_memory_equal(out, want, n);
		}
		if (power > UINT64_MAX / 10)
			break;
	}
}

static void
a_builder_always_ends_in_nul(void **state)
{
	struct strb b = {0};
	char *given;

	assert_string_equal(strb_z(&b), "");
	strb_addz(&b, "a");
	strb_addc(&b, 'b');
	strb_addu(&b, 0);
	strb_addu(&b, UINT64_MAX);
	strb_printf(&b, "%s%3d", "-", 5);
	strb_adds(&b, STR("end"));
	assert_string_equal(strb_z(&b), "ab018446744073709551615-  5end");
	for (int i = 0; i < 1000; i++)
		strb_addz(&b, "0123456789");
	assert_int_equal(b.n, 10030);
	assert_int_equal(b.p[b.n], 0);
	strb_reset(&b);
	assert_string_equal(strb_z(&b), "");
	given = strb_give(&b);
	assert_string_equal(given, "");
	free(given);
	assert_null(b.p);
	given = str_dupz(STR("xyz"));
	assert_string_equal(given, "xyz");
	free(given);
}

/* All bytes in texts of all lengths, copied and in place. */
static void
lower_case_touches_letters_only(void **state)
{
	for (size_t n = 0; n <= 40; n++) {
		char *from = mem_alloc(n + !n), *to = mem_alloc(n + !n);

		for (unsigned first = 0; first < 256; first++) {
			for (size_t i = 0; i < n; i++)
				from[i] = (char)(first + i);
			str_lower(to, str_make(from, n));
			for (size_t i = 0; i < n; i++)
				assert_int_equal(to[i], ch_lower(from[i]));
			str_lower(from, str_make(from, n));
			assert_memory_equal(from, to, n);
		}
		mem_free(from);
		mem_free(to);
	}
}

/* Short pieces are copied by their first and last bytes: each length, at each place. */
static void
pieces_of_all_lengths_are_added_whole(void **state)
{
	char want[2000], text[40];
	struct strb b = {0};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('0' + i);
	for (size_t len = 0; len <= sizeof(text); len++) {
		char *exact = mem_dup(text, len); /* nothing behind it may be read */

		strb_add(&b, exact, len);
		mem_free(exact);
		memcpy(want + n, text, len);
		n += len;
		assert_int_equal(b.n, n);
		assert_memory_equal(b.p, want, n);
		assert_int_equal(b.p[n], '\0');
	}
	strb_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(comparing_ignores_case_only_when_asked),
	    cmocka_unit_test(lower_case_touches_letters_only),
	    cmocka_unit_test(trimming_takes_spaces_and_tabs_at_both_ends),
	    cmocka_unit_test(cutting_gives_every_part_also_empty_ones),
	    cmocka_unit_test(numbers_are_whole_or_nothing),
	    cmocka_unit_test(globs_match_the_whole_text),
	    cmocka_unit_test(numbers_are_written_with_their_sign),
	    cmocka_unit_test(numbers_of_every_length_have_their_digits),
	    cmocka_unit_test(a_builder_always_ends_in_nul),
	    cmocka_unit_test(pieces_of_all_lengths_are_added_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
