/* Memory for nghttp2: what malloc() promises, from free lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/http/h2_mem.h"

static void
blocks_of_all_sizes_are_apart_and_aligned(void **state)
{
	unsigned char *p[300];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 300; i++) {
			p[i] = h2_mem.malloc(i * 7, NULL);
			assert_int_equal((uintptr_t)p[i] % 16, 0);
			memset(p[i], (int)(i & 255), i * 7);
		}
		for (unsigned i = 0; i < 300; i++) {
			for (unsigned k = 0; k < i * 7; k++)
				assert_int_equal(p[i][k], i & 255);
			h2_mem.free(p[i], NULL);
		}
	}
	h2_mem.free(NULL, NULL);
}

static void
a_block_that_was_given_back_is_taken_again(void **state)
{
	void *p = h2_mem.malloc(100, NULL);

	h2_mem.free(p, NULL);
	assert_ptr_equal(h2_mem.malloc(128, NULL), p);
	h2_mem.free(p, NULL);
}

static void
what_grows_keeps_its_bytes(void **state)
{
	unsigned char *p = h2_mem.realloc(NULL, 1, NULL);

	*p = 0;
	for (unsigned n = 2; n < 3000; n++) {
		p = h2_mem.realloc(p, n, NULL);
		p[n - 1] = (unsigned char)(n - 1);
		for (unsigned k = 0; k < n; k += 37)
			assert_int_equal(p[k], k & 255);
	}
	p = h2_mem.realloc(p, 10, NULL);
	assert_int_equal(p[9], 9);
	h2_mem.free(p, NULL);
}

static void
cleared_blocks_are_clear_and_never_too_small(void **state)
{
	unsigned char *p = h2_mem.malloc(200, NULL);

	memset(p, 255, 200);
	h2_mem.free(p, NULL);
	p = h2_mem.calloc(50, 4, NULL);
	for (unsigned k = 0; k < 200; k++)
		assert_int_equal(p[k], 0);
	h2_mem.free(p, NULL);
	assert_null(h2_mem.calloc(SIZE_MAX / 4, 8, NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(blocks_of_all_sizes_are_apart_and_aligned),
	    cmocka_unit_test(a_block_that_was_given_back_is_taken_again),
	    cmocka_unit_test(what_grows_keeps_its_bytes),
	    cmocka_unit_test(cleared_blocks_are_clear_and_never_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
