/* Clients that end while they are owed an answer: the request is given up, as Envoy does, at once and in the log. */
#include "tests/integration/retry.h"

#include <errno.h>
#include <sys/socket.h>

#define ASK(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define DIRECT "              - {match: {path: /here}, direct_response: {status: 200, body: {inline_string: here}}}\n"

static void
start(struct scene *sc)
{
	scene_init(sc);
	scene_scripted(sc, "one", false);
	run(sc, CONF_ADMIN CONF_LISTENER_WITH("", LOG, "", DIRECT CONF_ROUTE_ALL)
		CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), ""));
}

static void
expect_given_up(struct scene *sc, const char *line)
{
	expect_log(sc, line);
	assert_stat(sc, "cluster.api.upstream_rq_active", 0);
	assert_stat(sc, "cluster.api.upstream_cx_destroy_local_with_active_rq", 1);
	assert_stat(sc, "http.ingress.downstream_rq_rx_reset", 1);
	assert_stat(sc, "http.ingress.downstream_cx_destroy_remote_active_rq", 1);
	assert_stat(sc, "http.ingress.downstream_cx_active", 0);
	WAIT_FOR(script_of(sc, 0)->open == 0);
}

static void
a_request_whose_client_ends_is_given_up(void **state)
{
	struct scene sc;
	int fd;

	start(&sc);
	script_add(&sc, 0, (struct rule){.path = "/slow", .deed = DEED_HANG});
	fd = client_connect(sc.port);
	client_send(fd, ASK("/slow"));
	WAIT_FOR(seen(&sc, 0) == 1);
	shutdown(fd, SHUT_WR);
	assert_true(client_closed(fd));
	close(fd);
	expect_given_up(&sc, "/slow 0 DC 1 downstream_remote_disconnect");
	scene_fini(&sc);
}

/* The next request is not read while the first goes on: the FIN behind it is heard all the same. */
static void
so_are_all_that_stand_in_line(void **state)
{
	struct scene sc;
	int fd;

	start(&sc);
	script_add(&sc, 0, (struct rule){.path = "/slow", .deed = DEED_HANG});
	fd = client_connect(sc.port);
	client_send(fd, ASK("/slow") ASK("/next"));
	WAIT_FOR(seen(&sc, 0) == 1);
	shutdown(fd, SHUT_WR);
	assert_true(client_closed(fd));
	close(fd);
	expect_given_up(&sc, "/slow 0 DC 1 downstream_remote_disconnect");
	assert_int_equal(seen(&sc, 0), 1);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 1);
	scene_fini(&sc);
}

/* Half an answer must not look like a whole one. */
static void
an_answer_under_way_is_cut_by_a_reset(void **state)
{
	char part[65536];
	struct scene sc;
	ssize_t n;
	int fd;

	start(&sc);
	script_add(&sc, 0, (struct rule){.path = "/half", .deed = DEED_HANG, .when = IN_ANSWER, .body = 1000});
	fd = client_connect(sc.port);
	client_send(fd, ASK("/half"));
	assert_true(recv(fd, part, sizeof(part), 0) > 0);
	shutdown(fd, SHUT_WR);
	while ((n = recv(fd, part, sizeof(part), 0)) > 0)
		;
	assert_int_equal(n, -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	expect_given_up(&sc, "/half 200 DC 1 downstream_remote_disconnect");
	scene_fini(&sc);
}

static void
all_streams_of_http2_are_given_up(void **state)
{
	static const char bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				    "\0\0\0\4\0\0\0\0\0"
				    "\0\0\6\1\5\0\0\0\1\x82\x86\x84\x41\1a"
				    "\0\0\6\1\5\0\0\0\3\x82\x86\x84\x41\1a";
	struct scene sc;
	int fd;

	start(&sc);
	script_add(&sc, 0, (struct rule){.deed = DEED_HANG});
	fd = client_connect(sc.port);
	client_send_n(fd, bytes, sizeof(bytes) - 1);
	WAIT_FOR(seen(&sc, 0) == 2);
	close(fd);
	expect_log(&sc, "/ 0 DC 1 downstream_remote_disconnect");
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_rx_reset", 2);
	assert_stat(&sc, "http.ingress.downstream_cx_destroy_remote_active_rq", 1);
	WAIT_FOR(script_of(&sc, 0)->open == 0);
	scene_fini(&sc);
}

/* `printf … | nc`: the client ends its half and reads. */
static void
answers_that_are_there_already_are_sent(void **state)
{
	struct scene sc;
	int fd;

	start(&sc);
	fd = client_connect(sc.port);
	client_send(fd, ASK("/here") ASK("/here"));
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 2; i++) {
		struct reply r = client_reply(fd, false);

		assert_int_equal(r.status, 200);
		assert_string_equal(r.body, "here");
		reply_free(&r);
	}
	assert_true(client_closed(fd));
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 2);
	assert_stat(&sc, "http.ingress.downstream_rq_rx_reset", 0);
	scene_fini(&sc);
}

/* What waits for a back-off is not tried any more. */
static void
a_retry_is_not_made_for_who_has_left(void **state)
{
	struct scene sc;
	int fd;

	start_two(&sc, "", "retry_policy: {retry_on: 5xx, " NEVER "}", "");
	both(&sc, (struct rule){.status = 503});
	fd = client_connect(sc.port);
	client_send(fd, ASK("/"));
	scene_wait_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	close(fd);
	expect_log(&sc, "/ 0 DC 1 downstream_remote_disconnect");
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_retry_used", 0);
	assert_int_equal(seen(&sc, 0) + seen(&sc, 1), 1);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_whose_client_ends_is_given_up),
	    cmocka_unit_test(so_are_all_that_stand_in_line),
	    cmocka_unit_test(an_answer_under_way_is_cut_by_a_reset),
	    cmocka_unit_test(all_streams_of_http2_are_given_up),
	    cmocka_unit_test(answers_that_are_there_already_are_sent),
	    cmocka_unit_test(a_retry_is_not_made_for_who_has_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
