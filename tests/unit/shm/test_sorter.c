/*
 * Sorting in steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "shm/sorter.h"

struct item {
	uint64_t key;
	size_t was;
};

static size_t compared;

static int
by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	compared++;
	return (x->key > y->key) - (x->key < y->key);
}

static void
sort_and_check(size_t n, size_t moves, uint64_t keys)
{
	struct item *items = mem_array(struct item, n + 1);
	void **at = mem_array(void *, n + 1);
	struct sorter s;
	size_t steps = 1;

	for (size_t i = 0; i < n; i++) {
		items[i] = (struct item){rand_below(keys), i};
		at[i] = &items[i];
	}
	sorter_init(&s, at, n, by_key);
	while (sorter_step(&s, moves))
		steps++;
	sorter_fini(&s);
	for (size_t i = 1; i < n; i++) {
		const struct item *a = at[i - 1], *b = at[i];

		assert_true(a->key < b->key || (a->key == b->key && a->was < b->was));
	}
	assert_true(n < 100 || steps > 3);
	mem_free(items);
	mem_free(at);
}

static void
any_length_in_any_steps_is_sorted_and_stable(void **state)
{
	rand_seed(7);
	for (size_t n = 0; n < 70; n++)
		for (size_t moves = 1; moves < 20; moves += 6)
			sort_and_check(n, moves, n / 2 + 1);
	sort_and_check(10000, 1000, 5000);
	sort_and_check(4096, 999, 1000000);
}

/* Blocks of names: each in order, and they come in any order. */
static void
blocks_are_moved_whole(void **state)
{
	enum { BLOCKS = 300, ROWS = 40, N = BLOCKS * ROWS };
	struct item *items = mem_array(struct item, N);
	void **at = mem_array(void *, N);
	struct sorter s;

	compared = 0;
	for (size_t i = 0; i < N; i++) {
		items[i] = (struct item){i / ROWS * 7919 % BLOCKS * ROWS + i % ROWS, i};
		at[i] = &items[i];
	}
	sorter_init(&s, at, N, by_key);
	while (sorter_step(&s, 1000))
		continue;
	sorter_fini(&s);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(((struct item *)at[i])->key, i);
	assert_true(compared < 4 * N); /* it would be 13 for each, one by one */
	mem_free(items);
	mem_free(at);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_length_in_any_steps_is_sorted_and_stable),
	    cmocka_unit_test(blocks_are_moved_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
