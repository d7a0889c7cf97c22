/* Sockets and configurations that meet in any order, lent sockets, and running out of descriptors.
 */
#include "tests/unit/worker/world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "worker/listener/listener.h"

static const struct str key = {"127.0.0.1:8000", 14};

struct sockets {
	struct world w;
	struct listeners ls;
	int port;
};

static int
listening_socket(int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 64), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	*port = ntohs(a.sin_port);
	return fd;
}

static int
try_to_call(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
call(int port)
{
	int fd = try_to_call(port);

	assert_true(fd >= 0);
	return fd;
}

static void
open_world(struct sockets *s)
{
	start(&s->w, "");
	listeners_init(&s->ls, &s->w.hcm);
}

static void
close_world(struct sockets *s)
{
	hcm_abort_all(&s->w.hcm);
	turn(&s->w);
	listeners_fini(&s->ls);
	finish(&s->w);
}

static void
a_socket_that_came_before_its_configuration_waits_for_it(void **state)
{
	struct sockets s;
	int client, fd;

	open_world(&s);
	fd = listening_socket(&s.port);
	listeners_add_socket(&s.ls, &(struct listener_socket){key, 0, fd, false});
	client = call(s.port);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 0);
	listeners_use(&s.ls, s.w.snapshot);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 1);
	close(client);
	close_world(&s);
}

static void
an_accepted_connection_is_answered(void **state)
{
	static const char get[] = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
	struct sockets s;
	char text[512];
	ssize_t n;
	int client;

	open_world(&s);
	listeners_use(&s.ls, s.w.snapshot);
	listeners_add_socket(&s.ls, &(struct listener_socket){key, 0, listening_socket(&s.port), false});
	client = call(s.port);
	assert_int_equal(write(client, get, sizeof(get) - 1), sizeof(get) - 1);
	turn(&s.w);
	n = read(client, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "200 OK"));
	close(client);
	close_world(&s);
}

/* The library tells a reset as "readable": behind a short read it would be forgotten. */
static void
a_reset_that_comes_with_the_last_bytes_is_not_overlooked(void **state)
{
	static const char part[] = "GET /hello HTTP/1.1\r\nhost";
	struct linger linger = {.l_onoff = 1};
	struct sockets s;
	int client;

	open_world(&s);
	listeners_use(&s.ls, s.w.snapshot);
	listeners_add_socket(&s.ls, &(struct listener_socket){key, 0, listening_socket(&s.port), false});
	client = call(s.port);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 1);
	assert_int_equal(write(client, part, sizeof(part) - 1), sizeof(part) - 1);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(client);
	turn(&s.w);
	set_time(&s.w, LOOP_LATER_MS);
	turn(&s.w); /* it is looked for a little later */
	assert_int_equal(s.w.hcm.held, 0);
	close_world(&s);
}

static void
a_lent_socket_is_accepted_from_until_it_goes_back(void **state)
{
	struct sockets s;
	int lent_port, kept, a, b;

	open_world(&s);
	listeners_use(&s.ls, s.w.snapshot);
	listeners_add_socket(&s.ls, &(struct listener_socket){key, 0, listening_socket(&s.port), false});
	kept = listening_socket(&lent_port);
	listeners_add_socket(&s.ls, &(struct listener_socket){key, 1, dup(kept), false});
	a = call(lent_port);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 1);
	listeners_take_back(&s.ls, key, 1);
	b = call(lent_port); /* waits in the queue of its owner */
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 1);
	close(a);
	close(b);
	close(kept);
	close_world(&s);
}

static void
a_stopped_worker_takes_who_waits_and_refuses_who_comes(void **state)
{
	struct sockets s;
	int client, fd;

	open_world(&s);
	listeners_use(&s.ls, s.w.snapshot);
	fd = listening_socket(&s.port);
	listeners_add_socket(&s.ls, &(struct listener_socket){key, 0, dup(fd), false});
	listeners_stop(&s.ls, true); /* inbound only: this one is not */
	client = call(s.port);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 1);
	close(client);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 0);
	client = call(s.port);
	listeners_stop(&s.ls, false);
	assert_int_equal(s.w.hcm.held, 1);
	/* The other holders of the socket refuse as well. */
	assert_int_equal(try_to_call(s.port), -1);
	close(client);
	close(fd);
	close_world(&s);
}

static void
a_socket_that_another_worker_stopped_is_left_alone(void **state)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	struct sockets s;
	int fd, client;

	open_world(&s);
	listeners_use(&s.ls, s.w.snapshot);
	fd = listening_socket(&s.port);
	listeners_add_socket(&s.ls, &(struct listener_socket){key, 0, dup(fd), false});
	assert_int_equal(shutdown(fd, SHUT_RD), 0);
	turn(&s.w);
	/* Were it polled still, the one that listens again would be accepted from. */
	assert_int_equal(listen(fd, 64), 0);
	getsockname(fd, (struct sockaddr *)&a, &len); /* port 0 is another now */
	client = call(ntohs(a.sin_port));
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 0);
	close(client);
	close(fd);
	close_world(&s);
}

static void
out_of_descriptors_it_pauses_and_comes_back(void **state)
{
	struct rlimit was, none;
	struct sockets s;
	int client;

	open_world(&s);
	listeners_use(&s.ls, s.w.snapshot);
	listeners_add_socket(&s.ls, &(struct listener_socket){key, 0, listening_socket(&s.port), false});
	client = call(s.port);
	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 0);
	setrlimit(RLIMIT_NOFILE, &was);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 0); /* still pausing: it does not spin */
	set_time(&s.w, 400);
	turn(&s.w);
	assert_int_equal(s.w.hcm.held, 1);
	close(client);
	close_world(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_socket_that_came_before_its_configuration_waits_for_it),
	    cmocka_unit_test(an_accepted_connection_is_answered),
	    cmocka_unit_test(a_reset_that_comes_with_the_last_bytes_is_not_overlooked),
	    cmocka_unit_test(a_lent_socket_is_accepted_from_until_it_goes_back),
	    cmocka_unit_test(a_stopped_worker_takes_who_waits_and_refuses_who_comes),
	    cmocka_unit_test(a_socket_that_another_worker_stopped_is_left_alone),
	    cmocka_unit_test(out_of_descriptors_it_pauses_and_comes_back),
	};

	rand_seed(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
