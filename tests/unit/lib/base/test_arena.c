#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/arena.h"

static void
allocations_are_apart_and_aligned(void **state)
{
	static const size_t sizes[] = {1, 7, 8, 100, 2048, 2049, 4095, 100000, 3, 1 << 20, 5 << 20, 1};
	unsigned char *at[sizeof(sizes) / sizeof(sizes[0])];
	struct arena a;

	arena_init(&a);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		at[i] = arena_alloc(&a, sizes[i]);
		assert_int_equal((uintptr_t)at[i] % 8, 0);
		memset(at[i], (int)i + 1, sizes[i]);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(at[i][0], i + 1);
		assert_int_equal(at[i][sizes[i] - 1], i + 1);
	}
	arena_fini(&a);
	assert_int_equal(a.total, 0);
}

static void
what_is_lent_comes_first_and_stays_its_owners(void **state)
{
	_Alignas(8) char room[64];
	struct arena a;
	char *p;

	arena_lend(&a, room, sizeof(room));
	assert_ptr_equal(arena_alloc(&a, 40), room);
	p = arena_alloc(&a, 40); /* does not fit */
	assert_true(p < room || p >= room + sizeof(room));
	p = arena_alloc(&a, 8);
	assert_true(p < room || p >= room + sizeof(room));
	arena_fini(&a);
	arena_lend(&a, room, sizeof(room));
	p = arena_alloc(&a, 5000);
	memset(p, 1, 5000);
	memset(arena_alloc(&a, 100), 2, 100);
	arena_fini(&a);
	assert_null(a.at);
}

static void
copies_end_in_nul(void **state)
{
	struct arena a;
	struct str s;
	int *zero;

	arena_init(&a);
	assert_string_equal(arena_dup(&a, "abcdef", 3), "abc");
	assert_string_equal(arena_dup(&a, NULL, 0), "");
	s = arena_str(&a, STR("xyz"));
	assert_string_equal(s.p, "xyz");
	assert_string_equal(arena_printf(&a, "%s-%d", "n", 42), "n-42");
	zero = arena_new(&a, int);
	assert_int_equal(*zero, 0);
	arena_fini(&a);
}

static void
note(void *arg)
{
	char *order = arg;

	strcat(order, "x");
}

static void
what_hangs_on_an_arena_ends_with_it(void **state)
{
	char order[8] = "";
	struct arena a;

	arena_init(&a);
	arena_on_fini(&a, note, order);
	arena_on_fini(&a, note, order);
	arena_fini(&a);
	assert_string_equal(order, "xx");
	arena_fini(&a);
	assert_string_equal(order, "xx");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(allocations_are_apart_and_aligned),
	    cmocka_unit_test(what_is_lent_comes_first_and_stays_its_owners),
	    cmocka_unit_test(copies_end_in_nul),
	    cmocka_unit_test(what_hangs_on_an_arena_ends_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
