/* Connections over socket pairs: order, back-pressure, half-close, endings told once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/conn.h"

struct end {
	struct io io;
	struct conn c;
	struct loop *l;
	struct strb got;
	int eofs, hangups, closes, highs, lows, connects;
	enum conn_end why;
	bool keep; /* leave bytes in `in` */
	bool more; /* what came is not the whole message */
	size_t unseen; /* what on_data says of the bytes that follow, once */
};

static void
on_connected(void *arg)
{
	((struct end *)arg)->connects++;
}

static void
on_data(void *arg)
{
	struct end *e = arg;
	size_t n = e->c.in.len;

	if (e->unseen)
		e->c.unseen = e->unseen;
	e->unseen = 0;
	if (e->keep)
		return;
	strb_reserve(&e->got, n);
	buf_peek(&e->c.in, e->got.p + e->got.n, n);
	e->got.n += n;
	buf_drain(&e->c.in, n);
	if (e->more)
		conn_expect(&e->c);
}

static void
on_eof(void *arg)
{
	((struct end *)arg)->eofs++;
}

static void
on_hangup(void *arg)
{
	((struct end *)arg)->hangups++;
}

static void
on_high(void *arg)
{
	((struct end *)arg)->highs++;
}

static void
on_low(void *arg)
{
	((struct end *)arg)->lows++;
}

static void
on_closed(void *arg, enum conn_end why, int error)
{
	struct end *e = arg;

	e->closes++;
	e->why = why;
}

static const struct conn_events events = {
    .on_connected = on_connected,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_hangup = on_hangup,
    .on_high = on_high,
    .on_low = on_low,
    .on_closed = on_closed,
};

struct fixture {
	struct loop *l;
	struct end e;
	int peer;
};

static void
setup(struct fixture *f)
{
	int fds[2];

	memset(f, 0, sizeof(*f));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	f->l = loop_new();
	f->peer = fds[1];
	conn_open(&f->e.c, &f->e.io, f->l, fds[0], &plain_transport, 100000, &events, &f->e);
}

static void
teardown(struct fixture *f)
{
	if (f->peer >= 0)
		close(f->peer);
	conn_abort(&f->e.c);
	loop_turn(f->l, false);
	strb_fini(&f->e.got);
	loop_free(&f->l);
}

static void
send_text(struct conn *c, const char *text)
{
	struct buf b;

	buf_init(&b);
	buf_addz(&b, text);
	conn_write(c, &b);
	buf_fini(&b);
}

static void
turns(struct fixture *f, int n)
{
	while (n--)
		loop_turn(f->l, false);
}

static void
what_is_written_leaves_at_the_end_of_the_turn(void **state)
{
	struct fixture f;
	char in[16];

	setup(&f);
	send_text(&f.e.c, "he");
	send_text(&f.e.c, "llo");
	assert_int_equal(read(f.peer, in, sizeof(in)), -1);
	turns(&f, 1);
	assert_int_equal(read(f.peer, in, sizeof(in)), 5);
	assert_memory_equal(in, "hello", 5);
	teardown(&f);
}

static void
an_idle_connection_holds_no_buffer(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(write(f.peer, "abc", 3), 3);
	turns(&f, 3);
	assert_int_equal(f.e.got.n, 3);
	assert_null(f.e.c.rd);
	teardown(&f);
}

static void
on_left(void *arg, unsigned ready)
{
	*(unsigned *)arg |= ready;
}

static void
a_socket_at_rest_goes_on_without_a_conn(void **state)
{
	struct fixture f;
	unsigned told = 0;

	setup(&f);
	assert_int_equal(write(f.peer, "abc", 3), 3);
	turns(&f, 3);
	assert_true(conn_at_rest(&f.e.c));
	conn_leave(&f.e.c, on_left, &told);
	turns(&f, 2);
	assert_int_equal(told, 0);
	assert_int_equal(write(f.peer, "def", 3), 3);
	turns(&f, 1);
	assert_true(told & IO_READ);
	assert_int_equal(f.e.got.n, 3);
	memset(&f.e.c, 0xee, sizeof(f.e.c));
	conn_join(&f.e.c, &f.e.io, &plain_transport, 100000, &events, &f.e);
	conn_told(&f.e.c, told);
	assert_int_equal(f.e.got.n, 6);
	assert_memory_equal(f.e.got.p, "abcdef", 6);
	send_text(&f.e.c, "x");
	turns(&f, 1);
	assert_true(conn_at_rest(&f.e.c));
	teardown(&f);
}

static void
what_waits_or_has_ended_is_not_at_rest(void **state)
{
	struct fixture f;

	setup(&f);
	turns(&f, 1);
	assert_true(conn_at_rest(&f.e.c));
	conn_pause(&f.e.c);
	assert_false(conn_at_rest(&f.e.c));
	conn_resume(&f.e.c);
	assert_true(conn_at_rest(&f.e.c));
	send_text(&f.e.c, "x");
	assert_false(conn_at_rest(&f.e.c));
	turns(&f, 1);
	assert_true(conn_at_rest(&f.e.c));
	f.e.keep = true;
	assert_int_equal(write(f.peer, "a", 1), 1);
	turns(&f, 1);
	assert_false(conn_at_rest(&f.e.c));
	buf_drain(&f.e.c.in, 1);
	assert_true(conn_at_rest(&f.e.c));
	shutdown(f.peer, SHUT_WR);
	turns(&f, 1);
	assert_false(conn_at_rest(&f.e.c));
	teardown(&f);
}

static void
a_shared_chunk_is_filled_before_another_is_taken(void **state)
{
	struct fixture f;
	struct chunk *first;

	setup(&f);
	f.e.keep = true;
	assert_int_equal(write(f.peer, "a", 1), 1);
	turns(&f, 2);
	first = f.e.c.rd;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(write(f.peer, "b", 1), 1);
		turns(&f, 1);
	}
	assert_ptr_equal(f.e.c.rd, first);
	assert_int_equal(f.e.c.in.count, 1);
	assert_int_equal(f.e.c.in.len, 101);
	teardown(&f);
}

static void
a_paused_connection_reads_nothing_until_it_is_resumed(void **state)
{
	struct fixture f;

	setup(&f);
	conn_pause(&f.e.c);
	conn_pause(&f.e.c);
	assert_int_equal(write(f.peer, "x", 1), 1);
	turns(&f, 3);
	assert_int_equal(f.e.got.n, 0);
	conn_resume(&f.e.c);
	turns(&f, 3);
	assert_int_equal(f.e.got.n, 0);
	conn_resume(&f.e.c);
	turns(&f, 2);
	assert_int_equal(f.e.got.n, 1);
	teardown(&f);
}

static void
watermarks_are_told_once_each(void **state)
{
	struct fixture f;
	char *big = mem_alloc(400001);
	char in[65536];
	size_t got = 0;

	memset(big, 'z', 400000);
	setup(&f);
	send_text(&f.e.c, big);
	send_text(&f.e.c, big);
	assert_int_equal(f.e.highs, 1);
	for (int i = 0; i < 1000 && got < 800000; i++) {
		ssize_t n;

		turns(&f, 1);
		while ((n = read(f.peer, in, sizeof(in))) > 0)
			got += (size_t)n;
	}
	assert_int_equal(got, 800000);
	assert_int_equal(f.e.highs, 1);
	assert_int_equal(f.e.lows, 1);
	mem_free(big);
	teardown(&f);
}

static void
bytes_before_a_fin_are_delivered_then_eof_once(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(write(f.peer, "last", 4), 4);
	shutdown(f.peer, SHUT_WR);
	turns(&f, 3);
	assert_int_equal(f.e.got.n, 4);
	assert_int_equal(f.e.eofs, 1);
	assert_int_equal(f.e.closes, 0);
	send_text(&f.e.c, "answer"); /* our half still works, and its edge tells no second eof */
	turns(&f, 3);
	assert_int_equal(f.e.eofs, 1);
	conn_shutdown_write(&f.e.c);
	turns(&f, 3);
	assert_int_equal(f.e.closes, 1);
	assert_int_equal(f.e.why, CONN_REMOTE_CLOSE);
	teardown(&f);
}

static void
a_fin_is_heard_of_once_while_reading_is_paused(void **state)
{
	struct fixture f;

	setup(&f);
	conn_pause(&f.e.c);
	assert_int_equal(write(f.peer, "last", 4), 4);
	turns(&f, 3);
	assert_int_equal(f.e.hangups, 0);
	shutdown(f.peer, SHUT_WR);
	turns(&f, 3);
	assert_int_equal(f.e.hangups, 1);
	assert_int_equal(f.e.got.n, 0);
	assert_int_equal(f.e.eofs, 0);
	conn_resume(&f.e.c);
	turns(&f, 3);
	assert_int_equal(f.e.got.n, 4);
	assert_int_equal(f.e.eofs, 1);
	assert_int_equal(f.e.hangups, 1);
	teardown(&f);
}

static void
a_flushed_close_writes_all_and_waits_for_the_other_side(void **state)
{
	struct fixture f;
	char in[16];

	setup(&f);
	send_text(&f.e.c, "bye");
	conn_close(&f.e.c, CLOSE_FLUSH, 5000);
	assert_int_equal(write(f.peer, "ignored", 7), 7);
	turns(&f, 3);
	assert_int_equal(read(f.peer, in, sizeof(in)), 3);
	assert_int_equal(read(f.peer, in, sizeof(in)), 0);
	assert_int_equal(f.e.closes, 0);
	close(f.peer);
	f.peer = -1;
	turns(&f, 3);
	assert_int_equal(f.e.closes, 1);
	assert_int_equal(f.e.got.n, 0);
	teardown(&f);
}

static void
a_close_after_the_last_word_writes_all_and_waits_for_nobody(void **state)
{
	struct fixture f;
	char in[16];

	setup(&f);
	send_text(&f.e.c, "bye");
	conn_close(&f.e.c, CLOSE_LAST, 5000);
	turns(&f, 3);
	assert_int_equal(f.e.closes, 1);
	assert_int_equal(f.e.why, CONN_LOCAL_CLOSE);
	assert_int_equal(read(f.peer, in, sizeof(in)), 3);
	assert_int_equal(read(f.peer, in, sizeof(in)), 0);
	teardown(&f);
}

static void
a_close_waits_when_the_other_side_has_said_more(void **state)
{
	struct fixture f;

	setup(&f);
	f.e.keep = true;
	assert_int_equal(write(f.peer, "more", 4), 4);
	turns(&f, 3);
	conn_close(&f.e.c, CLOSE_LAST, 5000);
	turns(&f, 3);
	assert_int_equal(f.e.closes, 0);
	close(f.peer);
	f.peer = -1;
	turns(&f, 3);
	assert_int_equal(f.e.closes, 1);
	teardown(&f);
}

static void
a_flushed_close_does_not_wait_for_ever(void **state)
{
	struct fixture f;

	setup(&f);
	conn_close(&f.e.c, CLOSE_FLUSH, 20);
	while (f.e.closes == 0)
		loop_turn(f.l, true);
	assert_int_equal(f.e.why, CONN_LINGER_TIMEOUT);
	teardown(&f);
}

static void
connecting_to_nobody_is_told_from_the_loop(void **state)
{
	struct fixture f = {.peer = -1, .l = loop_new()};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(to);
	int taken = socket(AF_INET, SOCK_STREAM, 0); /* bound but not listening: refuses */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(taken, (struct sockaddr *)&to, sizeof(to)), 0);
	getsockname(taken, (struct sockaddr *)&to, &n);
	conn_connect(&f.e.c, &f.e.io, f.l, fd, (struct sockaddr *)&to, sizeof(to), 5000, &plain_transport, 1000,
	    &events, &f.e);
	assert_int_equal(f.e.closes, 0);
	while (f.e.closes == 0)
		loop_turn(f.l, true);
	assert_int_equal(f.e.why, CONN_CONNECT_FAILED);
	close(taken);
	teardown(&f);
}

/* Two connected TCP sockets: only these know resets that come behind bytes. */
static void
connect_pair(int fds[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(at);

	assert_int_equal(bind(listening, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(listening, 1), 0);
	getsockname(listening, (struct sockaddr *)&at, &n);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&at, n), 0);
	fds[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[1] >= 0);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	close(listening);
}

static void
open_expecting(struct fixture *f, const struct transport *t)
{
	int fds[2];

	*f = (struct fixture){.l = loop_new(), .e = {.more = true}};
	connect_pair(fds);
	f->peer = fds[1];
	conn_open(&f->e.c, &f->e.io, f->l, fds[0], t, 1000, &events, &f->e);
	turns(f, 2);
}

/* Also when a look was ordered by parts before. */
static void
a_reset_right_behind_a_part_of_a_message_is_found(void **state)
{
	struct linger at_once = {.l_onoff = 1};

	for (size_t before = 0; before < 3; before++) {
		struct fixture f;

		open_expecting(&f, &plain_transport);
		while (f.e.got.n < before) {
			assert_int_equal(write(f.peer, "a", 1), 1);
			loop_turn(f.l, true);
		}
		assert_int_equal(write(f.peer, "part", 4), 4);
		setsockopt(f.peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(f.peer);
		f.peer = -1;
		while (f.e.closes == 0)
			loop_turn(f.l, true);
		assert_int_equal(f.e.why, CONN_REMOTE_RESET);
		assert_int_equal(f.e.got.n, before + 4);
		assert_memory_equal(f.e.got.p + before, "part", 4);
		teardown(&f);
	}
}

static unsigned empty_reads;

static ssize_t
read_and_count(struct conn *c, void *p, size_t n)
{
	ssize_t k = plain_transport.read(c, p, n);

	empty_reads += k < 0;
	return k;
}

/* Parts that follow each other are one read each; only behind the last one is looked for a reset. */
static void
who_is_read_all_the_time_is_not_looked_at(void **state)
{
	struct transport counting = plain_transport;
	struct fixture f;
	uint64_t until;

	counting.read = read_and_count;
	open_expecting(&f, &counting);
	empty_reads = 0;
	until = loop_now_ms(f.l) + 8 * LOOP_LATER_MS;
	while (loop_now_ms(f.l) < until) {
		size_t before = f.e.got.n;

		assert_int_equal(write(f.peer, "a", 1), 1);
		while (f.e.got.n == before)
			loop_turn(f.l, true);
	}
	assert_in_range(empty_reads, 0, 3); /* 8 looks; a machine that stalls may let one pass */
	empty_reads = 0;
	while (empty_reads == 0)
		loop_turn(f.l, true);
	assert_int_equal(f.e.closes, 0);
	teardown(&f);
}

/* Writes n bytes of a pattern; gives how many the socket took. */
static size_t
write_pattern(int fd, size_t from, size_t n)
{
	char part[65536];

	for (size_t i = 0; i < n && i < sizeof(part); i++)
		part[i] = (char)((from + i) * 7 + ((from + i) >> 8));
	n = n < sizeof(part) ? n : sizeof(part);
	ssize_t k = write(fd, part, n);

	return k > 0 ? (size_t)k : 0;
}

static void
what_nobody_looks_at_passes_through_a_pipe(void **state)
{
	enum { ALL = 3000000 };
	struct fixture f;
	struct end out = {0};
	size_t sent = 0, got = 0;
	bool piped = false;
	char part[65536];
	int fds[2];

	setup(&f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	conn_open(&out.c, &out.io, f.l, fds[0], &plain_transport, 1000000, &events, &out);
	f.e.keep = true;
	f.e.c.unseen = ALL;
	while (got < ALL) {
		sent += write_pattern(f.peer, sent, ALL - sent);
		turns(&f, 1);
		for (uint32_t i = 0; i < f.e.c.in.count; i++)
			piped |= slice_is_piped(buf_slice(&f.e.c.in, i));
		if (!buf_empty(&f.e.c.in))
			conn_write(&out.c, &f.e.c.in);
		turns(&f, 1);
		for (ssize_t n; (n = read(fds[1], part, sizeof(part))) > 0; got += (size_t)n)
			for (ssize_t i = 0; i < n; i++)
				assert_int_equal(part[i],
				    (char)((got + (size_t)i) * 7 + ((got + (size_t)i) >> 8)));
		conn_again(&f.e.c);
	}
	assert_true(piped);
	assert_int_equal(f.e.c.bytes_in, ALL);
	assert_int_equal(out.c.bytes_out, ALL);
	assert_int_equal(out.highs, out.lows);
	conn_abort(&out.c);
	close(fds[1]);
	teardown(&f);
}

static void
what_is_to_be_seen_is_not_piped(void **state)
{
	struct fixture f;

	setup(&f);
	f.e.c.unseen = 40000;
	f.e.keep = true;
	write_pattern(f.peer, 0, 50000);
	turns(&f, 3);
	assert_int_equal(f.e.c.in.len, 50000);
	assert_int_equal(f.e.c.in.count, 2);
	assert_true(slice_is_piped(buf_slice(&f.e.c.in, 0)));
	assert_int_equal(buf_slice(&f.e.c.in, 0)->len, 40000);
	assert_false(slice_is_piped(buf_slice(&f.e.c.in, 1)));
	teardown(&f);
}

static void
setup_behind_a_piped_body(struct fixture *f)
{
	setup(f);
	f->e.c.unseen = 40000;
	f->e.keep = true;
	write_pattern(f->peer, 0, 40000);
	turns(f, 2);
	assert_true(slice_is_piped(buf_slice(&f->e.c.in, 0)));
	assert_int_equal(f->e.c.unseen, 0);
	buf_drain(&f->e.c.in, f->e.c.in.len);
}

/* A body that was piped lets expect another: its bytes are not to be copied with the head. */
static void
of_what_follows_a_large_body_a_head_is_read_first(void **state)
{
	struct fixture f;

	setup_behind_a_piped_body(&f);
	f.e.unseen = 60000 - 2048;
	write_pattern(f.peer, 0, 60000);
	turns(&f, 3);
	assert_int_equal(f.e.c.in.len, 60000);
	assert_false(slice_is_piped(buf_slice(&f.e.c.in, 0)));
	assert_int_equal(buf_slice(&f.e.c.in, 0)->len, 2048);
	assert_true(slice_is_piped(buf_slice(&f.e.c.in, 1)));
	teardown(&f);
}

/* Once: if a small one follows, the next is read as any other. */
static void
a_small_message_behind_a_large_body_ends_the_expectation(void **state)
{
	struct fixture f;

	setup_behind_a_piped_body(&f);
	write_pattern(f.peer, 0, 100);
	turns(&f, 2);
	buf_drain(&f.e.c.in, f.e.c.in.len);
	write_pattern(f.peer, 0, 10000);
	turns(&f, 2);
	assert_int_equal(f.e.c.in.count, 1);
	assert_int_equal(f.e.c.in.len, 10000);
	teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_leaves_at_the_end_of_the_turn),
	    cmocka_unit_test(an_idle_connection_holds_no_buffer),
	    cmocka_unit_test(a_socket_at_rest_goes_on_without_a_conn),
	    cmocka_unit_test(what_waits_or_has_ended_is_not_at_rest),
	    cmocka_unit_test(a_shared_chunk_is_filled_before_another_is_taken),
	    cmocka_unit_test(a_paused_connection_reads_nothing_until_it_is_resumed),
	    cmocka_unit_test(watermarks_are_told_once_each),
	    cmocka_unit_test(bytes_before_a_fin_are_delivered_then_eof_once),
    cmocka_unit_test(a_fin_is_heard_of_once_while_reading_is_paused),
	    cmocka_unit_test(a_flushed_close_writes_all_and_waits_for_the_other_side),
	    cmocka_unit_test(a_close_after_the_last_word_writes_all_and_waits_for_nobody),
	    cmocka_unit_test(a_close_waits_when_the_other_side_has_said_more),
	    cmocka_unit_test(a_flushed_close_does_not_wait_for_ever),
	    cmocka_unit_test(connecting_to_nobody_is_told_from_the_loop),
	    cmocka_unit_test(a_reset_right_behind_a_part_of_a_message_is_found),
	    cmocka_unit_test(who_is_read_all_the_time_is_not_looked_at),
	    cmocka_unit_test(what_nobody_looks_at_passes_through_a_pipe),
	    cmocka_unit_test(what_is_to_be_seen_is_not_piped),
	    cmocka_unit_test(of_what_follows_a_large_body_a_head_is_read_first),
	    cmocka_unit_test(a_small_message_behind_a_large_body_ends_the_expectation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
