#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/rand.h"

static void
one_seed_gives_one_sequence(void **state)
{
	uint64_t first[8];

	rand_seed(42);
	for (int i = 0; i < 8; i++)
		first[i] = rand_u64();
	rand_seed(42);
	for (int i = 0; i < 8; i++)
		assert_true(first[i] == rand_u64());
	rand_seed(43);
	assert_true(first[0] != rand_u64());
	rand_init();
	assert_true(first[0] != rand_u64());
}

static void
below_stays_below_and_reaches_all(void **state)
{
	unsigned seen[7] = {0};

	rand_seed(1);
	for (int i = 0; i < 7000; i++)
		seen[rand_below(7)]++;
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 800, 1200);
	assert_int_equal(rand_below(1), 0);
}

static void
a_uuid_has_version_four(void **state)
{
	char a[37] = {0}, b[37] = {0};

	rand_uuid(a);
	rand_uuid(b);
	assert_int_equal(strlen(a), 36);
	assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
	assert_int_equal(a[8], '-');
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
	assert_string_not_equal(a, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_seed_gives_one_sequence),
	    cmocka_unit_test(below_stays_below_and_reaches_all),
	    cmocka_unit_test(a_uuid_has_version_four),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
