/* When hosts are asked, and whose fault a late answer is.  The test is every host. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/health/checker.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "shm/hosts.h"

typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;

#define OK_ANSWER "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
#define HOSTS 100

struct stage {
	struct loop *loop;
	struct checks checks;
	struct checker *checker;
	struct check *check[HOSTS];
	struct host_cell cell[HOSTS];
	struct address address;
	int listener, host; /* host: the connection that was accepted last; -1: none */
	unsigned verdicts, firsts;
};

static void
on_verdict(void *arg, void *owner, enum verdict_change change)
{
	struct stage *s = arg;

	s->verdicts++;
}

static void
on_first(void *arg, void *owner)
{
	struct stage *s = arg;

	s->firsts++;
}

static void
on_wait(void *arg)
{
	checks_on_wait(arg);
}

static void
stage_open(struct stage *s, uint32_t timeout_ms)
{
	static const struct checks_events events = {on_verdict, on_first};
	HealthCheck m = ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__INIT;
	Envoy__Config__Core__V3__HealthCheck__HttpHealthCheck http =
	    ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HTTP_HEALTH_CHECK__INIT;
	Google__Protobuf__Duration timeout = GOOGLE__PROTOBUF__DURATION__INIT,
				   interval = GOOGLE__PROTOBUF__DURATION__INIT;
	Google__Protobuf__UInt32Value one = GOOGLE__PROTOBUF__UINT32_VALUE__INIT;
	struct checker_source src = {
	    .message = &m, .cluster = STR("api"), .prefix = STR("cluster.api.")};
	struct err err = {""};

	*s = (struct stage){.host = -1, .loop = loop_new()};
	one.value = 1;
	timeout.nanos = (int32_t)timeout_ms * 1000000;
	interval.nanos = 10000000;
	http.path = "/health";
	m.timeout = &timeout;
	m.interval = m.no_traffic_interval = &interval;
	m.healthy_threshold = m.unhealthy_threshold = &one;
	m.health_checker_case =
	    ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_HTTP_HEALTH_CHECK;
	m.http_health_check = &http;
	checks_init(&s->checks, s->loop, &events, s);
	loop_on_wait(s->loop, on_wait, &s->checks);
	s->checker = checker_new(&s->checks, &src, &err);
	assert_non_null(s->checker);
	assert_int_equal(address_from_ip(&s->address, STR("127.0.0.1"), 0, &err), 0);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(s->listener, &s->address.sa, s->address.len), 0);
	assert_int_equal(listen(s->listener, HOSTS), 0);
	address_local(&s->address, s->listener);
}

static void
stage_add(struct stage *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct check_target t = {
		    .address = s->address,
		    .ask = s->address,
		    .cell = &s->cell[i],
		    .awaited = true,
		};

		s->check[i] = checker_add(s->checker, &t);
	}
}

static void
stage_close(struct stage *s)
{
	for (unsigned i = 0; i < HOSTS; i++)
		check_free(&s->check[i], true);
	checker_free(&s->checker);
	checks_fini(&s->checks);
	loop_turn(s->loop, false);
	loop_free(&s->loop);
	close(s->listener);
	if (s->host >= 0)
		close(s->host);
}

#define TURN_UNTIL(s, expr)                                                                        \
	do {                                                                                       \
		uint64_t until_ = clock_mono_ns() + 10 * NS_PER_S;                                 \
		while (!(expr)) {                                                                  \
			if (clock_mono_ns() > until_)                                              \
				fail_msg("waited in vain for: %s", #expr);                         \
			loop_turn((s)->loop, false);                                               \
		}                                                                                  \
	} while (0)

/* The host takes a connection, if one is there. */
static bool
host_accept(struct stage *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return false;
	if (s->host >= 0)
		close(s->host);
	s->host = fd;
	return true;
}

/* The host has the question. */
static bool
host_was_asked(struct stage *s)
{
	char bytes[1024];

	return read(s->host, bytes, sizeof(bytes)) > 0;
}

static void
host_answers(struct stage *s)
{
	assert_int_equal(write(s->host, OK_ANSWER, strlen(OK_ANSWER)), strlen(OK_ANSWER));
}

static bool
is_healthy(const struct stage *s, unsigned i)
{
	return !(s->cell[i].flags & HOST_FAILED_ACTIVE_HC);
}

static void
a_host_is_asked_again_and_again_on_one_connection(void **state)
{
	struct stage s;

	stage_open(&s, 900);
	stage_add(&s, 1);
	assert_false(is_healthy(&s, 0));
	TURN_UNTIL(&s, host_accept(&s));
	for (unsigned i = 1; i <= 3; i++) {
		TURN_UNTIL(&s, host_was_asked(&s));
		host_answers(&s);
		TURN_UNTIL(&s, s.verdicts == i);
	}
	assert_true(is_healthy(&s, 0));
	assert_int_equal(s.firsts, 1);
	assert_false(host_accept(&s));
	stage_close(&s);
}

static void
an_answer_that_has_come_is_read_before_the_timeout_is_judged(void **state)
{
	struct stage s;

	stage_open(&s, 50);
	stage_add(&s, 1);
	TURN_UNTIL(&s, host_accept(&s));
	TURN_UNTIL(&s, host_was_asked(&s));
	host_answers(&s);
	usleep(120000); /* nobody turns the loop, for longer than a check may take */
	TURN_UNTIL(&s, s.verdicts == 1);
	assert_true(is_healthy(&s, 0));
	stage_close(&s);
}

static void
time_in_which_we_were_away_does_not_count(void **state)
{
	struct stage s;

	stage_open(&s, 50);
	stage_add(&s, 1);
	loop_turn(s.loop, false); /* connecting: the kernel does the rest by itself */
	usleep(120000); /* the time that must not count */
	TURN_UNTIL(&s, host_accept(&s));
	TURN_UNTIL(&s, host_was_asked(&s));
	host_answers(&s);
	TURN_UNTIL(&s, s.verdicts == 1);
	assert_true(is_healthy(&s, 0));
	stage_close(&s);
}

static void
a_host_that_says_nothing_times_out(void **state)
{
	struct stage s;

	stage_open(&s, 50);
	stage_add(&s, 1);
	TURN_UNTIL(&s, host_accept(&s));
	TURN_UNTIL(&s, s.verdicts == 1);
	assert_false(is_healthy(&s, 0));
	assert_true(s.cell[0].flags & HOST_ACTIVE_HC_TIMEOUT);
	stage_close(&s);
}

static void
a_dead_connection_is_not_a_dead_host(void **state)
{
	struct stage s;

	stage_open(&s, 900);
	stage_add(&s, 1);
	TURN_UNTIL(&s, host_accept(&s));
	TURN_UNTIL(&s, host_was_asked(&s));
	host_answers(&s);
	TURN_UNTIL(&s, s.verdicts == 1);
	TURN_UNTIL(&s, host_was_asked(&s)); /* asked again: now it goes, without a byte */
	close(s.host);
	s.host = -1;
	TURN_UNTIL(&s, host_accept(&s));
	TURN_UNTIL(&s, host_was_asked(&s));
	host_answers(&s);
	TURN_UNTIL(&s, s.verdicts == 2);
	assert_true(is_healthy(&s, 0));
	stage_close(&s);
}

/* However many are due, a turn begins some of them and reads answers between. */
static void
checks_that_are_due_together_begin_in_slices(void **state)
{
	unsigned taken = 0, turns = 0;
	struct stage s;

	stage_open(&s, 900);
	stage_add(&s, HOSTS);
	while (taken < HOSTS && turns < 1000) {
		unsigned before = taken;

		loop_turn(s.loop, false);
		turns++;
		while (host_accept(&s))
			taken++;
		assert_true(taken - before <= 64);
	}
	assert_true(taken >= HOSTS); /* more: whose connection was cut is asked again soon */
	assert_true(turns >= 3);
	stage_close(&s);
}

static void
without_a_descriptor_nothing_is_said_of_the_host(void **state)
{
	struct rlimit was, none;
	struct stage s;
	int next;

	stage_open(&s, 900);
	getrlimit(RLIMIT_NOFILE, &was);
	next = dup(0);
	close(next);
	none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = was.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	stage_add(&s, 1);
	for (int i = 0; i < 10; i++)
		loop_turn(s.loop, false);
	setrlimit(RLIMIT_NOFILE, &was);
	assert_int_equal(s.verdicts, 0);
	assert_int_equal(s.firsts, 1); /* start-up does not wait for it */
	TURN_UNTIL(&s, host_accept(&s));
	TURN_UNTIL(&s, host_was_asked(&s));
	host_answers(&s);
	TURN_UNTIL(&s, s.verdicts == 1);
	assert_true(is_healthy(&s, 0));
	stage_close(&s);
}

/* Answers everybody, and keeps what is kept. */
static pid_t
start_host(struct stage *s)
{
	struct pollfd p[HOSTS + 1] = {{.fd = s->listener, .events = POLLIN}};
	nfds_t n = 1;
	char bytes[1024];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		poll(p, n, -1);
		for (nfds_t i = 1; i < n; i++) {
			if ((p[i].revents & (POLLIN | POLLHUP)) == 0)
				continue;
			if (read(p[i].fd, bytes, sizeof(bytes)) > 0 &&
			    write(p[i].fd, OK_ANSWER, strlen(OK_ANSWER)) > 0)
				continue;
			close(p[i].fd);
			p[i--] = p[--n];
		}
		if (n <= HOSTS && (p[n].fd = accept(s->listener, NULL, NULL)) >= 0)
			p[n++].events = POLLIN;
	}
}

static bool
all_healthy(const struct stage *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!is_healthy(s, i))
			return false;
	return true;
}

static void
hosts_share_descriptors_when_there_are_few(void **state)
{
	struct rlimit was, few;
	struct stage s;
	pid_t host;
	int next;

	stage_open(&s, 900);
	host = start_host(&s);
	getrlimit(RLIMIT_NOFILE, &was);
	next = dup(0);
	close(next);
	few = (struct rlimit){.rlim_cur = (rlim_t)next + 3, .rlim_max = was.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	stage_add(&s, 20);
	TURN_UNTIL(&s, all_healthy(&s, 20));
	setrlimit(RLIMIT_NOFILE, &was);
	stage_close(&s);
	kill(host, SIGKILL);
	waitpid(host, NULL, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_host_is_asked_again_and_again_on_one_connection),
	    cmocka_unit_test(an_answer_that_has_come_is_read_before_the_timeout_is_judged),
	    cmocka_unit_test(time_in_which_we_were_away_does_not_count),
	    cmocka_unit_test(a_host_that_says_nothing_times_out),
	    cmocka_unit_test(a_dead_connection_is_not_a_dead_host),
	    cmocka_unit_test(checks_that_are_due_together_begin_in_slices),
	    cmocka_unit_test(without_a_descriptor_nothing_is_said_of_the_host),
	    cmocka_unit_test(hosts_share_descriptors_when_there_are_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
