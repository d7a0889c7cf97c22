#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/pipe.h"

static void
assert_holds(const struct buf *b, const char *expected)
{
	char *got = buf_dupz(b);

	assert_int_equal(b->len, strlen(expected));
	assert_string_equal(got, expected);
	free(got);
}

static void
bytes_come_out_as_they_went_in(void **state)
{
	struct buf b;
	char out[4];

	buf_init(&b);
	assert_true(buf_empty(&b));
	buf_addz(&b, "hello ");
	buf_add(&b, "world", 5);
	assert_holds(&b, "hello world");
	assert_int_equal(b.count, 1);
	buf_drain(&b, 6);
	assert_holds(&b, "world");
	assert_int_equal(buf_peek(&b, out, 4), 4);
	assert_memory_equal(out, "worl", 4);
	buf_drain(&b, 5);
	assert_true(buf_empty(&b));
	buf_fini(&b);
}

static void
large_additions_span_chunks(void **state)
{
	size_t n = 200000;
	char *in = malloc(n), *out = malloc(n);
	struct buf b;

	for (size_t i = 0; i < n; i++)
		in[i] = (char)(i * 7 + i / 256);
	buf_init(&b);
	buf_add(&b, in, n);
	assert_true(b.count > 1);
	assert_int_equal(buf_peek(&b, out, n), n);
	assert_memory_equal(in, out, n);
	assert_memory_equal(buf_pullup(&b, 100000), in, 100000);
	assert_int_equal(b.len, n);
	assert_int_equal(buf_peek(&b, out, n), n);
	assert_memory_equal(in, out, n);
	buf_fini(&b);
	free(in);
	free(out);
}

static void
moving_shares_and_never_copies(void **state)
{
	struct buf a, b;
	const char *at;

	buf_init(&a);
	buf_init(&b);
	buf_addz(&a, "0123456789");
	at = slice_data(buf_slice(&a, 0));
	buf_move_n(&b, &a, 4);
	assert_holds(&a, "456789");
	assert_holds(&b, "0123");
	assert_ptr_equal(slice_data(buf_slice(&b, 0)), at);
	buf_move(&b, &a);
	assert_true(buf_empty(&a));
	assert_holds(&b, "0123456789");
	buf_fini(&a);
	buf_fini(&b);
}

static void
a_shared_chunk_is_appended_to_by_one_only(void **state)
{
	struct buf a, b;

	buf_init(&a);
	buf_init(&b);
	buf_addz(&a, "shared");
	buf_copy_ref(&b, &a);
	buf_addz(&a, "-a");
	buf_addz(&b, "-b");
	assert_holds(&a, "shared-a");
	assert_holds(&b, "shared-b");
	buf_fini(&a);
	assert_holds(&b, "shared-b");
	buf_fini(&b);
}

static void
a_reservation_that_stays_empty_leaves_nothing(void **state)
{
	struct iovec iov[4];
	struct buf b;
	size_t room;
	char *p;

	buf_init(&b);
	p = buf_reserve(&b, 1000, &room);
	assert_true(room >= 1000);
	buf_commit(&b, 0);
	assert_int_equal(b.count, 0);
	p = buf_reserve(&b, 3, &room);
	memcpy(p, "abc", 3);
	buf_commit(&b, 3);
	assert_holds(&b, "abc");
	assert_int_equal(buf_iov(&b, iov, 4), 1);
	assert_int_equal(iov[0].iov_len, 3);
	buf_fini(&b);
}

static void
many_slices_keep_their_order(void **state)
{
	struct chunk *c = chunk_new(BUF_SMALL);
	char expected[301];
	struct buf b;

	memcpy(c->data, "0123456789", 10);
	c->used = 10;
	buf_init(&b);
	for (uint32_t i = 0; i < 300; i++) {
		expected[i] = (char)('0' + i * 3 % 10);
		buf_add_slice(&b, c, i * 3 % 10, 1);
	}
	expected[300] = '\0';
	chunk_unref(&c);
	assert_null(c);
	assert_holds(&b, expected);
	buf_drain(&b, 299);
	assert_holds(&b, expected + 299);
	buf_addz(&b, "x");
	buf_fini(&b);
}

/* A buf whose bytes are in a pipe. */
static void
fill_piped(struct buf *b, const char *bytes)
{
	struct chunk *c = chunk_piped();
	size_t n = strlen(bytes);

	assert_non_null(c);
	assert_int_equal(write(c->pipe->wr, bytes, n), n);
	chunk_filled(c, n);
	buf_init(b);
	buf_add_slice(b, c, 0, (uint32_t)n);
	chunk_unref(&c);
}

static void
piped_bytes_are_fetched_when_somebody_looks(void **state)
{
	struct buf a, b;

	fill_piped(&a, "hello world");
	assert_true(slice_is_piped(buf_slice(&a, 0)));
	buf_init(&b);
	buf_move_n(&b, &a, 6);
	assert_true(slice_is_piped(buf_slice(&b, 0)));
	assert_holds(&a, "world");
	assert_holds(&b, "hello ");
	assert_false(slice_is_piped(buf_slice(&b, 0)));
	buf_addz(&b, "there");
	assert_holds(&b, "hello there");
	buf_fini(&a);
	buf_fini(&b);
}

static void
piped_bytes_are_sent_from_a_pipe_as_often_as_they_are_held(void **state)
{
	struct buf a, kept;
	struct pipe *p, *kept_p;
	char out[16];

	fill_piped(&a, "hello world");
	buf_init(&kept);
	buf_copy_ref(&kept, &a);
	kept_p = buf_slice(&a, 0)->chunk->pipe;
	p = slice_pipe(buf_slice(&a, 0));
	assert_ptr_not_equal(p, kept_p);
	assert_non_null(p);
	assert_int_equal(read(p->rd, out, 6), 6);
	slice_sent(buf_slice(&a, 0), 6);
	buf_drain(&a, 6);
	assert_ptr_equal(slice_pipe(buf_slice(&a, 0)), p);
	assert_holds(&a, "world");
	buf_fini(&a);
	assert_ptr_equal(slice_pipe(buf_slice(&kept, 0)), kept_p); /* it is the last */
	assert_int_equal(read(kept_p->rd, out, 11), 11);
	assert_memory_equal(out, "hello world", 11);
	slice_sent(buf_slice(&kept, 0), 11);
	buf_fini(&kept);
}

static void
an_iovec_ends_before_what_is_piped(void **state)
{
	struct iovec iov[4];
	struct buf a, b;

	buf_init(&a);
	buf_addz(&a, "head");
	fill_piped(&b, "body");
	buf_move(&a, &b);
	assert_int_equal(buf_iov(&a, iov, 4), 1);
	assert_true(slice_is_piped(buf_slice(&a, 1)));
	buf_drain(&a, 4);
	assert_int_equal(buf_iov(&a, iov, 4), 1);
	assert_memory_equal(iov[0].iov_base, "body", 4);
	buf_fini(&a);
}

static void
a_pipe_that_comes_back_is_empty(void **state)
{
	struct pipe *all[200];
	unsigned n = 0;
	struct buf b;
	char out[8];

	fill_piped(&b, "dropped");
	buf_fini(&b);
	while (n < 200 && (all[n] = pipe_take()) != NULL)
		assert_int_equal(read(all[n++]->rd, out, sizeof(out)), -1);
	assert_in_range(n, 1, 199); /* there is an end of them, and nothing breaks there */
	assert_null(chunk_piped());
	while (n)
		pipe_give(&all[--n], 0);
}

static void
nothing_is_moved_without_a_place(void **state)
{
	struct {
		struct buf full;
		struct slice behind;
	} x = {0};
	struct buf none, one;

	buf_init(&x.full);
	buf_init(&none);
	while (x.full.count < x.full.cap) {
		buf_init(&one);
		buf_addz(&one, "x");
		buf_move(&x.full, &one);
		buf_fini(&one);
	}
	buf_init(&one);
	buf_addz(&one, "y");
	buf_move(&none, &one);
	buf_drain(&none, 1); /* empty, its slice still there */
	buf_move(&x.full, &none);
	assert_int_equal(x.full.count, x.full.cap);
	assert_null(x.behind.chunk);
	assert_int_equal(x.behind.len, 0);
	buf_fini(&none);
	buf_fini(&one);
	buf_fini(&x.full);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_come_out_as_they_went_in),
	    cmocka_unit_test(large_additions_span_chunks),
	    cmocka_unit_test(moving_shares_and_never_copies),
	    cmocka_unit_test(a_shared_chunk_is_appended_to_by_one_only),
	    cmocka_unit_test(a_reservation_that_stays_empty_leaves_nothing),
	    cmocka_unit_test(many_slices_keep_their_order),
	    cmocka_unit_test(nothing_is_moved_without_a_place),
	    cmocka_unit_test(piped_bytes_are_fetched_when_somebody_looks),
	    cmocka_unit_test(piped_bytes_are_sent_from_a_pipe_as_often_as_they_are_held),
	    cmocka_unit_test(an_iovec_ends_before_what_is_piped),
	    cmocka_unit_test(a_pipe_that_comes_back_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
