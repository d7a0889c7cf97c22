/* The messages of grpc.health.v1: what is sent, and which answers pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "admin/health/grpc_message.h"

static void
the_service_is_named(void **state)
{
	char name[200];
	struct arena a;
	struct str s;

	arena_init(&a);
	s = grpc_check_request(STR(""), &a);
	assert_int_equal(s.n, 5);
	assert_memory_equal(s.p, "\0\0\0\0\0", 5);
	s = grpc_check_request(STR("shop"), &a);
	assert_int_equal(s.n, 11);
	assert_memory_equal(s.p, "\0\0\0\0\6\x0a\4shop", 11);
	memset(name, 'x', sizeof(name)); /* its length takes two bytes */
	s = grpc_check_request(str_make(name, sizeof(name)), &a);
	assert_int_equal(s.n, 5 + 1 + 2 + 200);
	assert_memory_equal(s.p, "\0\0\0\0\xcb\x0a\xc8\x01xxx", 11);
	arena_fini(&a);
}

static void
only_one_whole_message_that_says_serving_passes(void **state)
{
	static const struct {
		struct str body;
		bool serving;
	} rows[] = {
	    {STR("\0\0\0\0\2\x08\1"), true},
	    {STR("\0\0\0\0\2\x08\2"), false},             /* NOT_SERVING */
	    {STR("\0\0\0\0\2\x08\0"), false},             /* UNKNOWN */
	    {STR("\0\0\0\0\0"), false},                   /* UNKNOWN, not written */
	    {STR("\0\0\0\0\4\x08\2\x08\1"), true},        /* the last one counts */
	    {STR("\0\0\0\0\6\x12\2xy\x08\1"), true},      /* fields that are not known */
	    {STR("\0\0\0\0\7\x1d" "abcd\x08\1"), true},
	    {STR("\0\0\0\0\3\x08\x81\0"), true},          /* 1, written long */
	    {STR("\1\0\0\0\2\x08\1"), false},             /* compressed */
	    {STR("\0\0\0\0\3\x08\1"), false},             /* cut */
	    {STR("\0\0\0\0\2\x08\1\0"), false},           /* something behind it */
	    {STR("\0\0\0\0\1\x08"), false},
	    {STR("\0\0\0\0\2\x08\xff"), false},
	    {STR("\0\0\0\0\4\x08\1\x12\5"), false},       /* longer than the message */
	    {STR("\0\0\0\0\3\x0b\x08\1"), false},         /* a group */
	    {STR(""), false},
	    {STR("\0\0\0"), false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b;

		buf_init(&b);
		buf_add(&b, rows[i].body.p, rows[i].body.n);
		if (grpc_check_is_serving(&b) != rows[i].serving)
			fail_msg("row %zu", i);
		buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_service_is_named),
	    cmocka_unit_test(only_one_whole_message_that_says_serving_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
