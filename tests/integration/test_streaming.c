/* Bodies in both directions, slow readers, early answers, upgrades, connections that go stale. */
#include "tests/harness/scene.h"

#include <poll.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

static void
big_bodies_pass_in_both_directions(void **state)
{
	struct scene sc;
	struct reply r;
	char *body = mem_alloc(3000001);

	memset(body, 'x', 3000000);
	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SIMPLE);
	r = scene_request(&sc, sc.port, "POST", "/upload", "", body);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "3000000"));
	reply_free(&r);
	r = scene_get(&sc, "/?size=5000000");
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body_len, 5000000);
	assert_true(r.complete);
	reply_free(&r);
	r = scene_get(&sc, "/?size=100000&chunked=1");
	assert_int_equal(r.body_len, 100000);
	assert_true(r.complete);
	reply_free(&r);
	mem_free(body);
	assert_stat(&sc, "cluster.api.upstream_cx_rx_bytes_buffered", 0);
	scene_fini(&sc);
}

static void
chunks_arrive_as_they_are_sent(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SIMPLE);
	fd = client_connect(sc.port);
	client_send(fd, "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 50; i++)
		client_send(fd, "5;ext=1\r\nhello\r\n");
	client_send(fd, "0\r\nX-Trailer: dropped\r\n\r\n");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "250"));
	reply_free(&r);
	close(fd);
	scene_fini(&sc);
}

static int
memory_kib(pid_t pid)
{
	char path[64], line[256];
	int kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %d", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static void
a_reader_that_does_not_read_makes_nothing_grow(void **state)
{
	struct scene sc;
	char part[65536];
	size_t got = 0;
	int fd, before;
	pid_t worker;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	worker = scene_child(&sc, "worker 1");
	before = memory_kib(worker);
	fd = client_connect(sc.port);
	client_send(fd, "GET /?size=200000000 HTTP/1.1\r\nHost: a\r\n\r\n");
	/* Nothing is read: the host is paused, far below the body's size, and however often the
	 * worker turns it stays so. */
	scene_wait_stat(&sc, "cluster.api.upstream_flow_control_paused_reading_total", 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_in_range(scene_stat(&sc, "cluster.api.upstream_cx_rx_bytes_total"), 1, 40000000);
	assert_in_range(memory_kib(worker) - before, 0, 60000);
	while (got < 200000000) {
		ssize_t n = read(fd, part, sizeof(part));

		assert_true(n > 0);
		got += (size_t)n;
	}
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	scene_fini(&sc);
}

static void
answer_early(int fd, unsigned n, void *arg)
{
	struct pollfd proxy = {.fd = fd, .events = POLLRDHUP};
	char part[65536];

	/* Answers after the first bytes, without reading the rest; the proxy ends the connection. */
	if (read(fd, part, sizeof(part)) > 0)
		client_send(fd, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	poll(&proxy, 1, SCENE_PATIENCE_MS);
}

static void
an_early_answer_reaches_the_client(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_host(&sc, answer_early, NULL);
	scene_proxy(&sc, CONF_SIMPLE);
	fd = client_connect(sc.port);
	client_send(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 403);
	assert_string_equal(r.body, "no");
	reply_free(&r);
	close(fd);
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_active", 0);
	scene_fini(&sc);
}

static void
expect_100_is_answered_here(void **state)
{
	struct scene sc;
	char line[64];
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SIMPLE);
	fd = client_connect(sc.port);
	client_send(fd, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
	assert_int_equal(recv(fd, line, 25, MSG_WAITALL), 25);
	assert_memory_equal(line, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	client_send(fd, "body");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_rq_1xx", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	scene_fini(&sc);
}

/* Serves one request a connection but promises to go on, and closes as the next one comes. */
static void
goes_stale(int fd, unsigned n, void *arg)
{
	char part[4096];

	if (read(fd, part, sizeof(part)) <= 0)
		return;
	client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	if (read(fd, part, 1) <= 0) /* the next request's first byte: reset it */
		return;
}

static void
a_stale_connection_costs_no_request(void **state)
{
	struct scene sc;
	int fd;

	scene_init(&sc);
	scene_host(&sc, goes_stale, NULL);
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	fd = client_connect(sc.port);
	for (int i = 0; i < 10; i++) {
		struct reply r;

		client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		reply_free(&r);
	}
	/* A POST that was written whole is not repeated. */
	client_send(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
	{
		struct reply r = client_reply(fd, false);

		assert_int_equal(r.status, 503);
		reply_free(&r);
	}
	close(fd);
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_stale_retry") >= 5);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	scene_fini(&sc);
}

/* Answers an upgrade and echoes raw bytes. */
static void
echo_upgrade(int fd, unsigned n, void *arg)
{
	char part[4096];
	ssize_t k = read(fd, part, sizeof(part) - 1);

	if (k <= 0)
		return;
	part[k] = '\0';
	if (!strstr(part, "upgrade: websocket") && !strstr(part, "Upgrade: websocket")) {
		client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain");
		return;
	}
	client_send(fd, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	while ((k = read(fd, part, sizeof(part))) > 0)
		client_send_n(fd, part, (size_t)k);
}

static void
an_upgrade_is_a_tunnel(void **state)
{
	struct scene sc;
	struct reply r;
	char part[16];
	int fd;

	scene_init(&sc);
	scene_host(&sc, echo_upgrade, NULL);
	scene_proxy(&sc, CONF_ADMIN CONF_LISTENER_WITH("",
			     "          upgrade_configs: [{upgrade_type: websocket}]\n", "",
			     CONF_ROUTE_ALL) CONF_CLUSTERS
		CONF_CLUSTER("api", CONF_HOST("@HOST0@"), ""));
	fd = client_connect(sc.port);
	client_send(fd, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 101);
	assert_string_equal(reply_header(&r, "upgrade"), "websocket");
	reply_free(&r);
	for (int i = 0; i < 5; i++) {
		client_send(fd, "frame");
		assert_int_equal(recv(fd, part, 5, MSG_WAITALL), 5);
		assert_memory_equal(part, "frame", 5);
	}
	assert_stat(&sc, "http.ingress.downstream_cx_upgrades_active", 1);
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_upgrades_active", 0);
	assert_stat(&sc, "http.ingress.downstream_cx_upgrades_total", 1);
	assert_stat(&sc, "cluster.api.upstream_cx_active", 0);
	/* Not a type that is allowed. */
	r = scene_request(&sc, sc.port, "GET", "/", "Connection: Upgrade\r\nUpgrade: other\r\n", NULL);
	assert_int_equal(r.status, 403);
	reply_free(&r);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(big_bodies_pass_in_both_directions),
	    cmocka_unit_test(chunks_arrive_as_they_are_sent),
	    cmocka_unit_test(a_reader_that_does_not_read_makes_nothing_grow),
	    cmocka_unit_test(an_early_answer_reaches_the_client),
	    cmocka_unit_test(expect_100_is_answered_here),
	    cmocka_unit_test(a_stale_connection_costs_no_request),
	    cmocka_unit_test(an_upgrade_is_a_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
