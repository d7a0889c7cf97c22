/* The header map, status texts and the date. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/http/date.h"
#include "lib/http/headers.h"
#include "lib/http/status.h"

#define assert_str(s, z)                                                                           \
	do {                                                                                       \
		struct str s_ = (s);                                                               \
		assert_int_equal(s_.n, strlen(z));                                                 \
		assert_memory_equal(s_.p, z, s_.n);                                                \
	} while (0)

static int
start(void **state)
{
	static struct arena arena;
	static struct headers h;

	arena_init(&arena);
	headers_init(&h, &arena);
	*state = &h;
	return 0;
}

static int
stop(void **state)
{
	struct headers *h = *state;

	arena_fini(h->arena);
	return 0;
}

static void
every_known_name_has_its_id_and_no_other(void **state)
{
	for (unsigned id = 1; id < HDR_IDS; id++) {
		char near[80];
		struct str name = header_id_name((enum header_id)id);

		assert_int_equal(header_id_of(name), id);
		memcpy(near, name.p, name.n);
		near[name.n] = 'x';
		assert_int_equal(header_id_of(str_make(near, name.n + 1)), HDR_OTHER);
		near[1] ^= 1;
		assert_int_equal(header_id_of(str_make(near, name.n)), HDR_OTHER);
	}
	assert_int_equal(header_id_of(STR("")), HDR_OTHER);
}

static void
pseudo_headers_stand_first(void **state)
{
	struct headers *h = *state;

	headers_add(h, STR(":method"), STR("GET"));
	headers_add(h, STR("accept"), STR("*/*"));
	headers_add_id(h, HDR_PATH, STR("/"));
	assert_int_equal(h->at[1].id, HDR_PATH);
	assert_int_equal(h->at[2].id, HDR_ACCEPT);
	assert_str(headers_get(h, HDR_METHOD), "GET");
}

static void
set_leaves_one_and_remove_leaves_none(void **state)
{
	struct headers *h = *state;

	for (int i = 0; i < 100; i++)
		headers_add(h, i % 2 ? STR("x-a") : STR("accept"), STR("v"));
	assert_int_equal(h->len, 100);
	headers_set(h, STR("x-a"), STR("w"));
	assert_int_equal(h->len, 51);
	headers_set_id(h, HDR_ACCEPT, STR("w"));
	assert_int_equal(h->len, 2);
	assert_true(headers_has(h, HDR_ACCEPT));
	headers_remove(h, STR("accept"));
	headers_remove(h, STR("x-a"));
	assert_int_equal(h->len, 0);
	assert_false(headers_has(h, HDR_ACCEPT));
	assert_null(headers_find(h, STR("x-a")));
	headers_set(h, STR("x-a"), STR("again"));
	assert_str(headers_get_name(h, STR("x-a")), "again");
}

static void
a_bit_that_is_left_over_does_not_invent_a_header(void **state)
{
	struct headers *h = *state;

	headers_add_id(h, HDR_TE, STR("trailers"));
	headers_remove_at(h, 0);
	assert_false(headers_has(h, HDR_TE));
	assert_null(headers_get(h, HDR_TE).p);
}

static void
values_are_joined_and_appended(void **state)
{
	struct headers *h = *state;

	assert_null(headers_joined(h, STR("via")).p);
	headers_add_id(h, HDR_VIA, STR(""));
	assert_int_equal(headers_joined(h, STR("via")).n, 0);
	headers_add_id(h, HDR_VIA, STR("b"));
	assert_str(headers_joined(h, STR("via")), ",b");
	headers_append(h, HDR_X_FORWARDED_FOR, STR("1.1.1.1"), ",");
	headers_append(h, HDR_X_FORWARDED_FOR, STR("2.2.2.2"), ",");
	assert_str(headers_get(h, HDR_X_FORWARDED_FOR), "1.1.1.1,2.2.2.2");
	assert_int_equal(headers_bytes(h), 3 + 0 + 3 + 1 + 15 + 15);
}

static void
a_copy_has_its_own_bytes(void **state)
{
	struct headers *h = *state;
	struct arena arena;
	struct headers copy;
	char value[] = "one", name[] = "x-mine";

	arena_init(&arena);
	headers_init(&copy, &arena);
	headers_add(h, str_of(name), str_of(value));
	headers_copy(&copy, h);
	value[0] = name[2] = '?';
	assert_str(headers_get_name(&copy, STR("x-mine")), "one");
	arena_fini(&arena);
}

static void
status_is_a_number_of_three_digits(void **state)
{
	struct headers *h = *state;

	assert_int_equal(headers_status(h), 0);
	headers_set_status(h, 503);
	headers_set_status(h, 404);
	assert_int_equal(headers_status(h), 404);
	assert_int_equal(h->len, 1);
	headers_set_id(h, HDR_STATUS, STR("99"));
	assert_int_equal(headers_status(h), 0);
	headers_set_id(h, HDR_STATUS, STR("2x0"));
	assert_int_equal(headers_status(h), 0);
}

static void
codes_have_reasons(void **state)
{
	assert_str(status_reason(200), "OK");
	assert_str(status_reason(431), "Request Header Fields Too Large");
	assert_str(status_reason(299), "Unknown");
	assert_str(status_reason(99999), "Unknown");
	assert_true(status_is_bodiless(304));
	assert_false(status_is_bodiless(200));
}

static void
dates_are_fixdates(void **state)
{
	struct headers *h = *state;

	assert_str(date_text(784111777 * NS_PER_S + 5), "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_str(date_text(784111778 * NS_PER_S), "Sun, 06 Nov 1994 08:49:38 GMT");
	assert_str(date_str(h->arena, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_str(date_text(951782400 * NS_PER_S), "Tue, 29 Feb 2000 00:00:00 GMT");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_known_name_has_its_id_and_no_other, start, stop),
	    cmocka_unit_test_setup_teardown(pseudo_headers_stand_first, start, stop),
	    cmocka_unit_test_setup_teardown(set_leaves_one_and_remove_leaves_none, start, stop),
	    cmocka_unit_test_setup_teardown(
		a_bit_that_is_left_over_does_not_invent_a_header, start, stop),
	    cmocka_unit_test_setup_teardown(values_are_joined_and_appended, start, stop),
	    cmocka_unit_test_setup_teardown(a_copy_has_its_own_bytes, start, stop),
	    cmocka_unit_test_setup_teardown(status_is_a_number_of_three_digits, start, stop),
	    cmocka_unit_test_setup_teardown(codes_have_reasons, start, stop),
	    cmocka_unit_test_setup_teardown(dates_are_fixdates, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
