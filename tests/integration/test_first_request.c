/* One request through master, admin and worker, counted in shared memory and printed by batonstat. */
#include "tests/harness/scene.h"

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

static void
a_request_is_answered_and_counted(void **state)
{
	struct scene sc;
	struct reply r;
	char *out;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SIMPLE);
	r = scene_get(&sc, "/hello?size=10");
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "server"), "envoy");
	assert_non_null(reply_header(&r, "date"));
	assert_non_null(reply_header(&r, "x-envoy-upstream-service-time"));
	assert_int_equal(r.body_len, 10);
	reply_free(&r);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	assert_stat(&sc, "http.ingress.downstream_cx_total", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_total", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_200", 1);
	assert_stat(&sc, "cluster.api.upstream_cx_total", 1);
	assert_int_equal(scene_run_tool(&sc, &out, "batonstat", "-1", NULL), 0);
	assert_non_null(strstr(out, "http.ingress.downstream_rq_total: 1\n"));
	assert_non_null(strstr(out, "cluster.api.upstream_rq_200: 1\n"));
	mem_free(out);
	scene_fini(&sc);
}

static void
numbers_can_be_read_when_every_process_was_killed(void **state)
{
	struct scene sc;
	struct reply r;
	char *out;
	pid_t admin, worker;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	for (int i = 0; i < 3; i++) {
		r = scene_get(&sc, "/");
		assert_int_equal(r.status, 200);
		reply_free(&r);
	}
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 3);
	admin = scene_child(&sc, "admin");
	worker = scene_child(&sc, "worker 1");
	kill(sc.proxy, SIGKILL);
	kill(admin, SIGKILL);
	kill(worker, SIGKILL);
	assert_int_equal(scene_wait_exit(&sc), -SIGKILL);
	assert_int_equal(scene_run_tool(&sc, &out, "batonstat", "-1", NULL), 0);
	assert_non_null(strstr(out, "http.ingress.downstream_rq_2xx: 3\n"));
	mem_free(out);
	/* The next start goes on counting. */
	scene_proxy(&sc, CONF_SIMPLE);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 3);
	r = scene_get(&sc, "/");
	assert_int_equal(r.status, 200);
	reply_free(&r);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 4);
	scene_fini(&sc);
}

static void
a_connection_carries_many_requests(void **state)
{
	struct scene sc;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SIMPLE);
	fd = client_connect(sc.port);
	for (int i = 0; i < 20; i++) {
		struct reply r;

		client_send(fd, "GET /?size=3 HTTP/1.1\r\nHost: a\r\n\r\n");
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		assert_int_equal(r.body_len, 3);
		reply_free(&r);
	}
	/* Pipelined: two requests in one write, answered in order. */
	client_send(fd, "GET /?status=404 HTTP/1.1\r\nHost: a\r\n\r\nGET /?status=201 HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 2; i++) {
		struct reply r = client_reply(fd, false);

		assert_int_equal(r.status, i == 0 ? 404 : 201);
		reply_free(&r);
	}
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_total", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 22);
	assert_stat(&sc, "cluster.api.upstream_cx_total", 1);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_is_answered_and_counted),
	    cmocka_unit_test(numbers_can_be_read_when_every_process_was_killed),
	    cmocka_unit_test(a_connection_carries_many_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
