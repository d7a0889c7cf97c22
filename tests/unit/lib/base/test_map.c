#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "lib/base/map.h"

static char keys[5000][16];

static void
what_is_put_is_found_until_removed(void **state)
{
	struct map m = {0};
	struct map_slot *slot;
	size_t i = 0, seen = 0;

	assert_null(map_get(&m, STR("x")));
	assert_null(map_remove(&m, STR("x")));
	for (int k = 0; k < 5000; k++) {
		snprintf(keys[k], sizeof(keys[k]), "key-%d", k);
		assert_null(map_put(&m, str_of(keys[k]), keys[k]));
	}
	assert_int_equal(m.len, 5000);
	for (int k = 0; k < 5000; k += 2)
		assert_ptr_equal(map_remove(&m, str_of(keys[k])), keys[k]);
	for (int k = 0; k < 5000; k++)
		assert_ptr_equal(map_getz(&m, keys[k]), k % 2 ? keys[k] : NULL);
	while ((slot = map_next(&m, &i)))
		seen += slot->value != NULL;
	assert_int_equal(seen, 2500);
	map_fini(&m);
	assert_int_equal(m.len, 0);
}

static void
putting_again_gives_what_was_there(void **state)
{
	struct map m = {0};
	int one, two;

	assert_null(map_put(&m, STR("k"), &one));
	assert_ptr_equal(map_put(&m, STR("k"), &two), &one);
	assert_int_equal(m.len, 1);
	assert_ptr_equal(map_getz(&m, "k"), &two);
	map_fini(&m);
}

static void
keys_are_bytes_not_words(void **state)
{
	struct map m = {0};
	int one, two, three;

	map_put(&m, str_make("a\0b", 3), &one);
	map_put(&m, str_make("a\0c", 3), &two);
	map_put(&m, STR(""), &three);
	assert_ptr_equal(map_get(&m, str_make("a\0b", 3)), &one);
	assert_ptr_equal(map_get(&m, str_make("a\0c", 3)), &two);
	assert_ptr_equal(map_getz(&m, ""), &three);
	assert_null(map_getz(&m, "a"));
	map_fini(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_put_is_found_until_removed),
	    cmocka_unit_test(putting_again_gives_what_was_there),
	    cmocka_unit_test(keys_are_bytes_not_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
