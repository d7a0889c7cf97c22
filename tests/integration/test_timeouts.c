/* Slow and endless clients, idle connections: each ends by its timeout or limit with its answer. */
#include "tests/harness/scene.h"

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define CONF_SHORT(hcm)                                                                            \
	CONF_ADMIN CONF_LISTENER_WITH("", hcm, "", CONF_ROUTE_ALL)                                 \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static void
expect_end(struct scene *sc, const char *send, int status, const char *stat)
{
	int fd = client_connect(sc->port);

	client_send(fd, send);
	if (status) {
		struct reply r = client_reply(fd, false);

		assert_int_equal(r.status, status);
		reply_free(&r);
	}
	assert_true(client_closed(fd));
	close(fd);
	scene_wait_stat(sc, stat, 1);
}

static void
slow_headers_end_in_408(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SHORT("          request_headers_timeout: 0.3s\n"));
	expect_end(&sc, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow:", 408,
	    "http.ingress.downstream_rq_header_timeout");
	scene_fini(&sc);
}

static void
slow_bodies_end_in_408(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SHORT("          request_timeout: 0.3s\n"));
	expect_end(&sc, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 408,
	    "http.ingress.downstream_rq_timeout");
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	scene_fini(&sc);
}

static void
a_silent_stream_ends_by_its_idle_timeout(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SHORT("          stream_idle_timeout: 0.3s\n"));
	expect_end(&sc, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 408,
	    "http.ingress.downstream_rq_idle_timeout");
	expect_end(&sc, "GET /?delay_ms=5000 HTTP/1.1\r\nHost: a\r\n\r\n", 504,
	    "http.ingress.downstream_rq_idle_timeout");
	scene_fini(&sc);
}

static void
an_idle_connection_is_closed(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc,
	    CONF_SHORT("          common_http_protocol_options: {idle_timeout: 0.3s}\n"));
	fd = client_connect(sc.port);
	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	assert_true(client_closed(fd));
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_idle_timeout", 1);
	/* One that never asked anything, too. */
	fd = client_connect(sc.port);
	assert_true(client_closed(fd));
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	scene_fini(&sc);
}

static void
a_head_above_the_limit_is_431(void **state)
{
	struct scene sc;
	struct strb b = {0};
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SHORT("          max_request_headers_kb: 4\n"));
	strb_addz(&b, "GET / HTTP/1.1\r\nHost: a\r\nX-Big: ");
	for (int i = 0; i < 600; i++)
		strb_addz(&b, "0123456789");
	strb_addz(&b, "\r\n\r\n");
	fd = client_connect(sc.port);
	client_send_n(fd, b.p, b.n);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 431);
	reply_free(&r);
	close(fd);
	strb_reset(&b);
	strb_addz(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 120; i++)
		strb_printf(&b, "x%d: 1\r\n", i);
	strb_addz(&b, "\r\n");
	fd = client_connect(sc.port);
	client_send_n(fd, b.p, b.n);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 431);
	reply_free(&r);
	close(fd);
	strb_fini(&b);
	assert_stat(&sc, "http.ingress.downstream_rq_4xx", 2);
	assert_stat(&sc, "cluster.api.upstream_rq_total", 0);
	scene_fini(&sc);
}

static void
a_connection_ends_after_its_share_of_requests(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc,
	    CONF_SHORT("          common_http_protocol_options: {max_requests_per_connection: 2}\n"));
	fd = client_connect(sc.port);
	for (int i = 0; i < 2; i++) {
		client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		assert_true((reply_header(&r, "connection") != NULL) == (i == 1));
		reply_free(&r);
	}
	assert_true(client_closed(fd));
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_max_requests_reached", 1);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slow_headers_end_in_408),
	    cmocka_unit_test(slow_bodies_end_in_408),
	    cmocka_unit_test(a_silent_stream_ends_by_its_idle_timeout),
	    cmocka_unit_test(an_idle_connection_is_closed),
	    cmocka_unit_test(a_head_above_the_limit_is_431),
	    cmocka_unit_test(a_connection_ends_after_its_share_of_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
