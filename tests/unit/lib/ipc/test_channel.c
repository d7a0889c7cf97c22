/* Messages over a socket pair: fields, descriptors, queueing, the end. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/ipc/channel.h"

struct end {
	struct channel *channel;
	unsigned got, closed;
	uint64_t sum;
	int fd;
	bool free_on_message;
	enum message_type last;
	unsigned from, to;
};

struct pair {
	struct loop *loop;
	struct end a, b;
};

static void
on_message(void *arg, struct message_view *v)
{
	struct end *e = arg;

	e->got++;
	e->last = v->type;
	e->from = v->seat;
	e->to = v->to;
	e->sum += message_get_u(v);
	if (*v->fd >= 0)
		e->fd = message_take_fd(v);
	if (e->free_on_message)
		channel_free(&e->channel);
}

static void
on_closed(void *arg)
{
	struct end *e = arg;

	e->closed++;
}

static const struct channel_events events = {on_message, on_closed};

static int
setup(void **state)
{
	struct pair *p = mem_new(struct pair);
	int fds[2];

	p->loop = loop_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	p->a.channel = channel_new(p->loop, fds[0], 0, &events, &p->a);
	p->b.channel = channel_new(p->loop, fds[1], 7, &events, &p->b);
	p->a.fd = p->b.fd = -1;
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct pair *p = *state;

	channel_free(&p->a.channel);
	channel_free(&p->b.channel);
	if (p->b.fd >= 0)
		close(p->b.fd);
	loop_free(&p->loop);
	mem_free(p);
	return 0;
}

static bool
send_number(struct end *e, uint64_t v)
{
	struct message m;

	message_init(&m, MSG_USE);
	message_u(&m, v);
	return channel_send(e->channel, &m);
}

static void
fields_come_back_in_order_and_missing_ones_are_defaults(void **state)
{
	char bytes[] = "\5\0\0\0\0\0\0\0\3\0\0\0abc";
	int fd = -1;
	struct message_view v = {.rest = str_make(bytes, 15), .fd = &fd};

	assert_int_equal(message_get_u(&v), 5);
	assert_true(str_eqz(message_get_s(&v), "abc"));
	assert_int_equal(message_get_u(&v), 0);
	assert_int_equal(message_get_s(&v).n, 0);
	v.rest = str_make("\377\377\377\377ab", 6); /* a length that lies */
	assert_int_equal(message_get_s(&v).n, 0);
}

static void
a_message_arrives_with_sender_and_receiver(void **state)
{
	struct pair *p = *state;
	struct message m;

	message_init(&m, MSG_PREPARED);
	m.seat = 1;
	message_u(&m, 42);
	assert_true(channel_send(p->b.channel, &m));
	while (!p->a.got)
		loop_turn(p->loop, true);
	assert_int_equal(p->a.last, MSG_PREPARED);
	assert_int_equal(p->a.from, 7);
	assert_int_equal(p->a.to, 1);
	assert_int_equal(p->a.sum, 42);
}

static void
a_descriptor_travels_with_its_message(void **state)
{
	struct pair *p = *state;
	struct message m;
	int pipes[2];
	char c = 0;

	assert_int_equal(pipe(pipes), 0);
	message_init(&m, MSG_LISTEN_FD);
	m.fd = pipes[0];
	assert_true(channel_send(p->a.channel, &m));
	close(pipes[0]);
	while (!p->b.got)
		loop_turn(p->loop, true);
	assert_true(p->b.fd >= 0);
	assert_true(fcntl(p->b.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(read(p->b.fd, &c, 1), 1);
	assert_int_equal(c, 'x');
	close(pipes[1]);
}

/* The other one dies with unread messages: what it sent before is not lost. */
static void
last_words_of_a_partner_that_did_not_read_are_heard(void **state)
{
	struct pair *p = *state;
	struct message m;

	message_init(&m, MSG_LISTEN_FD);
	m.fd = 0;
	assert_true(channel_send(p->a.channel, &m));
	assert_true(send_number(&p->b, 1));
	channel_free(&p->a.channel);
	while (!p->b.closed)
		loop_turn(p->loop, true);
	assert_int_equal(p->b.got, 1);
	assert_int_equal(p->b.last, MSG_LISTEN_FD);
	assert_true(p->b.fd >= 0);
}

static void
without_a_free_descriptor_the_message_comes_alone(void **state)
{
	struct pair *p = *state;
	struct rlimit old, none;
	struct message m;

	message_init(&m, MSG_LISTEN_FD);
	m.fd = 0;
	assert_true(channel_send(p->a.channel, &m));
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	while (!p->b.got)
		loop_turn(p->loop, true);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(p->b.last, MSG_LISTEN_FD);
	assert_int_equal(p->b.fd, -1);
}

static void
what_does_not_fit_waits_and_comes_in_order(void **state)
{
	struct pair *p = *state;
	unsigned sent = 0;
	uint64_t sum = 0;

	while (channel_queued(p->a.channel) < 100) {
		assert_true(send_number(&p->a, sent));
		sum += sent++;
	}
	while (p->b.got < sent)
		loop_turn(p->loop, true);
	assert_int_equal(p->b.sum, sum);
	assert_int_equal(channel_queued(p->a.channel), 0);
}

static void
a_full_queue_drops_the_newest_and_counts(void **state)
{
	struct pair *p = *state;
	unsigned sent = 0;

	while (send_number(&p->a, 1))
		sent++;
	assert_int_equal(channel_dropped(p->a.channel), 1);
	while (p->b.got < sent)
		loop_turn(p->loop, true);
	assert_int_equal(p->b.sum, sent);
	assert_true(send_number(&p->a, 1));
}

static void
the_end_of_the_other_side_is_told_once_after_its_last_words(void **state)
{
	struct pair *p = *state;

	send_number(&p->b, 9);
	channel_free(&p->b.channel);
	while (!p->a.closed)
		loop_turn(p->loop, true);
	assert_int_equal(p->a.sum, 9);
	assert_false(send_number(&p->a, 1));
	loop_turn(p->loop, false);
	assert_int_equal(p->a.closed, 1);
}

static void
one_that_ended_is_heard_out_without_a_turn(void **state)
{
	struct pair *p = *state;
	struct message m;

	for (unsigned i = 0; i < 40; i++) {
		message_init(&m, MSG_HOLDING);
		message_u(&m, 1);
		channel_send(p->a.channel, &m);
	}
	channel_free(&p->a.channel);
	channel_hear_out(p->b.channel);
	assert_int_equal(p->b.got, 40);
	assert_int_equal(p->b.sum, 40);
	assert_int_equal(p->b.closed, 0);
	channel_hear_out(NULL);
}

static void
a_handler_may_free_its_channel(void **state)
{
	struct pair *p = *state;

	p->b.free_on_message = true;
	send_number(&p->a, 1);
	send_number(&p->a, 2);
	while (!p->a.closed)
		loop_turn(p->loop, true);
	assert_int_equal(p->b.got, 1);
}

static void
a_message_passed_on_keeps_its_sender(void **state)
{
	struct pair *p = *state;
	char body[] = "\5\0\0\0\0\0\0\0";
	int fd = -1;
	struct message_view v = {
	    .type = MSG_PREPARED, .seat = 4, .to = 1, .rest = str_make(body, 8), .fd = &fd};

	assert_true(channel_pass(p->a.channel, &v));
	while (!p->b.got)
		loop_turn(p->loop, true);
	assert_int_equal(p->b.from, 4);
	assert_int_equal(p->b.sum, 5);
}

static void
junk_is_ignored(void **state)
{
	struct pair *p = *state;
	uint16_t unknown[4] = {MESSAGE_TYPES, 0, 0, 0};

	assert_int_equal(send(channel_fd(p->a.channel), "abc", 3, 0), 3);
	assert_int_equal(send(channel_fd(p->a.channel), unknown, sizeof(unknown), 0), sizeof(unknown));
	send_number(&p->a, 3);
	while (!p->b.got)
		loop_turn(p->loop, true);
	assert_int_equal(p->b.sum, 3);
	assert_int_equal(p->b.closed, 0);
}

#define IN_PAIR(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_come_back_in_order_and_missing_ones_are_defaults),
	    IN_PAIR(a_message_arrives_with_sender_and_receiver),
	    IN_PAIR(a_descriptor_travels_with_its_message),
	    IN_PAIR(last_words_of_a_partner_that_did_not_read_are_heard),
	    IN_PAIR(without_a_free_descriptor_the_message_comes_alone),
	    IN_PAIR(what_does_not_fit_waits_and_comes_in_order),
	    IN_PAIR(a_full_queue_drops_the_newest_and_counts),
	    IN_PAIR(the_end_of_the_other_side_is_told_once_after_its_last_words),
	    IN_PAIR(one_that_ended_is_heard_out_without_a_turn),
	    IN_PAIR(a_handler_may_free_its_channel),
	    IN_PAIR(a_message_passed_on_keeps_its_sender),
	    IN_PAIR(junk_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
