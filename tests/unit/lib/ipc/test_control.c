/* Requests and answers of the control socket, and an orphan that answers them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/event/loop.h"
#include "lib/ipc/control.h"
#include "lib/ipc/orphan.h"

static void
a_request_comes_back_as_it_was_sent(void **state)
{
	struct control_request r = {.json = true, .n = 2, .words = {STR("healthcheck"), STR("fail")}}, got;
	struct strb b = {0};
	enum control_command c;

	control_request_write(&b, &r);
	assert_int_equal(control_request_read(&got, strb_str(&b), NULL), 0);
	assert_true(got.json);
	assert_int_equal(got.n, 2);
	assert_true(str_eqz(got.words[1], "fail"));
	assert_int_equal(control_find(&got, &c, NULL), 0);
	assert_int_equal(c, CONTROL_HEALTHCHECK);
	for (size_t cut = 1; cut < 8; cut++)
		assert_int_equal(control_request_read(&got, str_make(b.p, b.n - cut), NULL), -1);
	strb_fini(&b);
}

static void
words_are_checked_against_the_table(void **state)
{
	static const struct {
		const char *line;
		int want;
	} rows[] = {
	    {"ps", 0},
	    {"ps why", 0},
	    {"ps why all", -1},
	    {"healthcheck", -1},
	    {"host a b drain", 0},
	    {"host a b", -1},
	    {"logging", 0},
	    {"stop now", 0},
	    {"explode", -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str rest = str_of(rows[i].line), word;
		struct control_request r = {0};
		enum control_command c;

		while (str_cut(&rest, ' ', &word))
			r.words[r.n++] = word;
		assert_int_equal(control_find(&r, &c, NULL), rows[i].want);
	}
}

static void
a_long_answer_takes_several_packets(void **state)
{
	struct strb text = {0}, got = {0};
	unsigned status = 99;
	char packet[CONTROL_PACKET];
	ssize_t n;
	int fds[2];

	for (int i = 0; i < 10000; i++)
		strb_printf(&text, "line %d\n", i);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_true(control_answer(fds[0], CONTROL_REFUSED, strb_str(&text)));
	close(fds[0]);
	while ((n = recv(fds[1], packet, sizeof(packet), 0)) > 0)
		control_answer_read(str_make(packet, (size_t)n), &status, &got);
	assert_int_equal(status, CONTROL_REFUSED);
	assert_true(str_eq(strb_str(&got), strb_str(&text)));
	close(fds[1]);
	strb_fini(&text);
	strb_fini(&got);
}

struct stopped {
	int times;
	bool now;
};

static void
on_stop(void *arg, bool now)
{
	struct stopped *s = arg;

	s->times++;
	s->now = now;
}

static int
listen_somewhere(struct sockaddr_un *un)
{
	socklen_t n = sizeof(*un);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	un->sun_family = AF_UNIX;
	assert_int_equal(bind(fd, (struct sockaddr *)un, sizeof(un->sun_family)), 0); /* autobind */
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)un, &n), 0);
	return fd;
}

/* Asks and turns the loop until the answer has ended. */
static unsigned
ask(struct loop *l, const struct sockaddr_un *un, const char *line, struct strb *text)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct str rest = str_of(line), word;
	struct control_request r = {0};
	struct strb b = {0};
	char packet[CONTROL_PACKET];
	unsigned status = 99;
	ssize_t n;

	while (str_cut(&rest, ' ', &word))
		r.words[r.n++] = word;
	control_request_write(&b, &r);
	assert_int_equal(connect(fd, (const struct sockaddr *)un, sizeof(sa_family_t) + 6), 0);
	assert_int_equal(send(fd, b.p, b.n, 0), b.n);
	while ((n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT)) != 0) {
		if (n > 0)
			control_answer_read(str_make(packet, (size_t)n), &status, text);
		else
			loop_turn(l, true);
	}
	close(fd);
	strb_fini(&b);
	return status;
}

static void
on_ps(void *arg, bool json, struct strb *out)
{
	strb_addz(out, "who is left\n");
}

static void
an_orphan_answers_for_itself(void **state)
{
	struct sockaddr_un un;
	struct loop *l = loop_new();
	struct process_start start = {
	    .role = ROLE_WORKER, .index = 3, .control_fd = listen_somewhere(&un)};
	const struct orphan_events events = {on_stop, NULL, on_ps};
	struct stopped stopped = {0};
	struct orphan *o = orphan_start(l, &start, &events, &stopped);
	struct strb text = {0};

	assert_int_equal(ask(l, &un, "ps", &text), CONTROL_OK);
	assert_non_null(strstr(strb_z(&text), "who is left"));
	assert_int_equal(ask(l, &un, "healthcheck fail", &text), CONTROL_REFUSED);
	assert_int_equal(ask(l, &un, "dance", &text), CONTROL_USAGE);
	assert_int_equal(stopped.times, 0);
	assert_int_equal(ask(l, &un, "stop now", &text), CONTROL_OK);
	assert_int_equal(stopped.times, 1);
	assert_true(stopped.now);
	strb_fini(&text);
	orphan_free(&o);
	close(start.control_fd);
	loop_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_comes_back_as_it_was_sent),
	    cmocka_unit_test(words_are_checked_against_the_table),
	    cmocka_unit_test(a_long_answer_takes_several_packets),
	    cmocka_unit_test(an_orphan_answers_for_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
