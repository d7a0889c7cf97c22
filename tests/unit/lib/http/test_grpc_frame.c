/* Frames of gRPC: cut in any way, too large, compressed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/http/grpc_frame.h"

static int
feed(struct grpc_reader *r, const void *p, size_t n, struct str *message, struct err *err)
{
	struct buf b;
	int got;

	buf_init(&b);
	buf_add(&b, p, n);
	grpc_reader_feed(r, &b);
	assert_true(buf_empty(&b));
	got = grpc_reader_next(r, message, err);
	buf_fini(&b);
	return got;
}

static void
a_message_may_come_byte_by_byte(void **state)
{
	static const char bytes[] = "\0\0\0\0\3abc\0\0\0\0\0";
	struct grpc_reader r;
	struct str m;
	struct err err;

	grpc_reader_init(&r, 10);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(feed(&r, bytes + i, 1, &m, &err), 0);
	assert_false(grpc_reader_is_between(&r));
	assert_int_equal(feed(&r, bytes + 7, 6, &m, &err), 1);
	assert_true(str_eqz(m, "abc"));
	assert_int_equal(grpc_reader_next(&r, &m, &err), 1);
	assert_int_equal(m.n, 0);
	assert_true(grpc_reader_is_between(&r));
	assert_int_equal(grpc_reader_next(&r, &m, &err), 0);
	grpc_reader_fini(&r);
}

static void
what_cannot_be_a_message_ends_it(void **state)
{
	static const struct {
		const char *bytes;
		const char *why;
	} rows[] = {
	    {"\0\0\0\0\13", "message of 11 bytes is larger than the limit of 10"},
	    {"\0\377\377\377\377", "message of 4294967295 bytes is larger than the limit of 10"},
	    {"\1\0\0\0\1", "compressed message, and no compression was agreed"},
	    {"\7\0\0\0\1", "frame begins with byte 7, which is no flag"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct grpc_reader r;
		struct str m;
		struct err err;

		grpc_reader_init(&r, 10);
		assert_int_equal(feed(&r, rows[i].bytes, 5, &m, &err), -1);
		assert_string_equal(err.text, rows[i].why);
		grpc_reader_fini(&r);
	}
}

static void
what_is_written_can_be_read(void **state)
{
	struct grpc_reader r;
	struct buf b;
	struct str m;

	buf_init(&b);
	grpc_frame_write(&b, STR("hello"));
	grpc_frame_write(&b, STR(""));
	grpc_reader_init(&r, 10);
	grpc_reader_feed(&r, &b);
	assert_int_equal(grpc_reader_next(&r, &m, NULL), 1);
	assert_true(str_eqz(m, "hello"));
	assert_int_equal(grpc_reader_next(&r, &m, NULL), 1);
	assert_int_equal(m.n, 0);
	grpc_reader_fini(&r);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_may_come_byte_by_byte),
	    cmocka_unit_test(what_cannot_be_a_message_ends_it),
	    cmocka_unit_test(what_is_written_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
