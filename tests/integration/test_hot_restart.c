/*
 * From one generation to the next: nobody who speaks to the proxy notices,
 * no number and no word of the operator is lost, and connections go along.
 * What goes wrong on the way: test_hot_restart_failures.c.  Processes whose
 * master is dead: test_orphans.c.
 */
#include "tests/integration/hot_restart.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "lib/ipc/frame.h"
#include "lib/ipc/handover.h"

static void
five_restarts_under_load_fail_nothing_and_lose_no_number(void **state)
{
	struct scene sc;
	pid_t pids[CLIENTS];
	struct tally *t;
	uint64_t answered;

	serve(&sc, CONF_SIMPLE, "2");
	t = start_clients(&sc, pids);
	for (uint64_t i = 1; i <= 5; i++) {
		assert_int_equal(generation_restart(&sc), 0);
		WAIT_FOR(has_answered(t, 20 * i));
	}
	answered = stop_clients(t, pids);
	assert_stat(&sc, "http.ingress.downstream_rq_total", (int64_t)answered);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", (int64_t)answered);
	assert_stat(&sc, "baton.handovers_done", 5);
	assert_stat(&sc, "server.hot_restart_epoch", 5);
	assert_stat(&sc, "server.hot_restart_generation", 6);
	scene_fini(&sc);
}

static void
a_signal_restarts_as_batonctl_does(void **state)
{
	struct scene sc;
	pid_t first;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	kill(first, SIGUSR2);
	WAIT_FOR(generation_serving(&sc) != first);
	sc.proxy = generation_serving(&sc);
	scene_wait_stat(&sc, "server.hot_restart_epoch", 1);
	assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(generation_is_gone(first)); /* it held nothing */
	scene_wait_stat(&sc, "baton.generations", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 1);
	scene_fini(&sc);
}

static void
a_download_outlasts_the_restart(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first;
	int fd;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	fd = client_connect(sc.port);
	client_send(fd, "GET /?size=2000000&delay_ms=300 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(generation_restart(&sc), 0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body_len, 2000000);
	assert_true(r.complete);
	reply_free(&r);
	close(fd);
	WAIT_FOR(generation_is_gone(first));
	scene_fini(&sc);
}

static void
more_and_fewer_workers_and_other_listeners(void **state)
{
	struct scene sc;
	char *out, *config;
	pid_t pids[CLIENTS];
	struct tally *t;

	serve(&sc, CONF_SIMPLE, "1");
	config = mem_printf("%s/baton.yaml", sc.dir);
	t = start_clients(&sc, pids);
	for (int i = 0; i < 2; i++) {
		start_over(&sc, i ? "1" : "3", i ? "auto" : "1");
		scene_wait_stat(&sc, "server.concurrency", i ? 1 : 3);
		for (int k = 0; k < 30; k++)
			assert_int_equal(scene_status(&sc, "/"), 200);
	}
	assert_stat(&sc, "server.hot_restart_epoch", 2);
	stop_clients(t, pids);
	/* An epoch that is not the next, and nothing to take over from. */
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--restart-epoch", "1", NULL), 1);
	assert_non_null(strstr(out, "serves already"));
	mem_free(out);
	assert_int_equal(
	    scene_run(&sc, &out, "-c", config, "--restart-epoch", "1", "--base-id", "7", NULL), 1);
	assert_non_null(strstr(out, "no baton to take over"));
	mem_free(out);
	mem_free(config);
	scene_fini(&sc);
}

static void
no_descriptor_leaks_from_restart_to_restart(void **state)
{
	struct scene sc;
	unsigned before = 0;

	serve(&sc, CONF_SIMPLE, "2");
	for (int i = 0; i < 4; i++) {
		pid_t old = sc.proxy;

		assert_int_equal(generation_restart(&sc), 0);
		WAIT_FOR(generation_is_gone(old));
		scene_wait_stat(&sc, "server.hot_restart_epoch", i + 1);
		if (i == 0)
			before = scene_descriptors(sc.proxy);
	}
	WAIT_FOR(scene_descriptors(sc.proxy) <= before);
	scene_fini(&sc);
}

static void
what_the_operator_said_goes_to_the_next_one(void **state)
{
	struct scene sc;
	struct reply r;
	char *out, *host;

	serve(&sc, CONF_SIMPLE, "1");
	host = mem_printf("127.0.0.1:%u", sc.host_port[0]);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "batonctl", "host", "api", host, "fail", NULL), 0);
	mem_free(out);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "healthcheck", "fail", NULL), 0);
	mem_free(out);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 1);
	r = scene_admin(&sc, "GET", "/clusters");
	assert_non_null(strstr(r.body, "/operator_fail"));
	reply_free(&r);
	r = scene_admin(&sc, "GET", "/ready");
	assert_int_equal(r.status, 503);
	reply_free(&r);
	mem_free(host);
	scene_fini(&sc);
}

/* ---- a partner of another version */

/* Says hello as version 9.9 would, hears all, and goes away. */
static unsigned
hear_everything(struct scene *sc)
{
	static char room[HANDOVER_PACKET];
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct handover_packet p = {.fd = -1};
	struct strb b = {0};
	unsigned sockets = 0;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/0/control.sock", sc->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	handover_begin(&b, HANDOVER_HELLO);
	handover_put_s(&b, FIELD_VERSION, STR("9.9"));
	frame_put(&b, 93, STR("a field nobody knows yet"));
	assert_int_equal(handover_send(fd, &b, -1), 1);
	strb_reset(&b);
	frame_put(&b, 61, STR("a word nobody knows yet"));
	assert_int_equal(handover_send(fd, &b, -1), 1);
	while (p.word != HANDOVER_STATE_END && handover_receive(fd, room, sizeof(room), &p) > 0) {
		sockets += p.word == HANDOVER_SOCKET && p.fd >= 0;
		if (p.word == HANDOVER_HELLO)
			assert_true(str_eqz(handover_s(&p, FIELD_VERSION), "1.0"));
		if (p.fd >= 0)
			close(p.fd);
	}
	close(fd);
	strb_fini(&b);
	return sockets;
}

static void
a_partner_of_a_made_up_version_is_understood(void **state)
{
	struct scene sc;

	serve(&sc, CONF_SIMPLE, "2");
	assert_int_equal(hear_everything(&sc), 3); /* two workers' and the admin port's */
	scene_wait_stat(&sc, "baton.handovers_refused", 1);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	scene_fini(&sc);
}

/* ---- connections */

static void
assert_answer(int fd, const char *connection)
{
	struct reply r;

	client_get(fd, "/");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	if (connection)
		assert_string_equal(reply_header(&r, "connection"), connection);
	else
		assert_null(reply_header(&r, "connection"));
	reply_free(&r);
}

#define IDLE 100

static void
idle_connections_go_to_the_next_one(void **state)
{
	struct scene sc;
	pid_t first;
	int fd[IDLE];

	serve(&sc, CONF_SIMPLE, "2");
	first = sc.proxy;
	/* Most have carried a request, the last ten nothing yet. */
	for (int i = 0; i < IDLE; i++) {
		fd[i] = client_connect(sc.port);
		if (i < IDLE - 10)
			assert_answer(fd[i], NULL);
	}
	scene_wait_stat(&sc, "http.ingress.downstream_cx_total", IDLE);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(generation_is_gone(first)); /* it holds nothing more */
	scene_wait_stat(&sc, "baton.cx_handed_over", IDLE);
	assert_stat(&sc, "http.ingress.downstream_cx_active", IDLE);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < IDLE; i++)
			assert_answer(fd[i], NULL);
	assert_stat(&sc, "http.ingress.downstream_cx_total", IDLE);
	assert_stat(&sc, "http.ingress.downstream_cx_destroy", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 3 * IDLE - 10);
	assert_int_equal(generation_restart(&sc), 0);
	for (int i = 0; i < IDLE; i++) {
		assert_answer(fd[i], NULL);
		close(fd[i]);
	}
	scene_wait_stat(&sc, "http.ingress.downstream_cx_destroy", IDLE);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	scene_fini(&sc);
}

static void
a_busy_connection_follows_when_it_is_answered(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first;
	int fd;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=500 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_null(reply_header(&r, "connection"));
	reply_free(&r);
	assert_answer(fd, NULL);
	scene_wait_stat(&sc, "baton.cx_handed_over", 1);
	WAIT_FOR(generation_is_gone(first));
	assert_answer(fd, NULL);
	close(fd);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(five_restarts_under_load_fail_nothing_and_lose_no_number),
	    cmocka_unit_test(a_signal_restarts_as_batonctl_does),
	    cmocka_unit_test(a_download_outlasts_the_restart),
	    cmocka_unit_test(more_and_fewer_workers_and_other_listeners),
	    cmocka_unit_test(a_partner_of_a_made_up_version_is_understood),
	    cmocka_unit_test(no_descriptor_leaks_from_restart_to_restart),
	    cmocka_unit_test(what_the_operator_said_goes_to_the_next_one),
	    cmocka_unit_test(idle_connections_go_to_the_next_one),
	    cmocka_unit_test(a_busy_connection_follows_when_it_is_answered),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
