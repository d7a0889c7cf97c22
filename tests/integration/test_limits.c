/* What happens at the edge: no descriptors left, floods of connections and of frames, open
 * breakers. */
#include "tests/harness/scene.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

static void
one_worker(struct scene *sc, const char *yaml)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "1";
	scene_proxy(sc, yaml);
}

/* One request on an open connection. */
static int
ask(int fd, const char *path)
{
	char request[200];
	struct reply r;
	int status;

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	client_send(fd, request);
	r = client_reply(fd, false);
	status = r.status;
	reply_free(&r);
	return status;
}

/* ---- descriptors */

static unsigned long
cpu_ms(pid_t pid)
{
	char path[64], line[1024] = "";
	unsigned long user = 0, sys = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
	    &user, &sys);
	return (user + sys) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
}

#define WAITING 80

static void
without_descriptors_accepting_waits_and_clients_are_served_on(void **state)
{
	struct scene sc;
	struct reply r;
	unsigned long before;
	int fd, waiting[WAITING];
	pid_t worker;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.wrap[0] = "/usr/bin/prlimit";
	sc.wrap[1] = "--nofile=76:76";
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	worker = scene_child(&sc, "worker 1");
	fd = client_connect(sc.port);
	assert_int_equal(ask(fd, "/"), 200);
	for (int i = 0; i < WAITING; i++)
		assert_true((waiting[i] = client_connect(sc.port)) >= 0);
	scene_wait_log(&sc, "cannot accept: Too many open files");

	before = cpu_ms(worker);
	assert_int_equal(ask(fd, "/?delay_ms=600"), 200);
	assert_true(cpu_ms(worker) - before < 300);
	assert_true(scene_stat(&sc, "http.ingress.downstream_cx_active") < WAITING);

	/* One that got in needs a connection upstream, the only one there is being busy. */
	client_send(fd, "GET /?delay_ms=400 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(ask(waiting[0], "/"), 503);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);

	/* Who goes makes room for those who wait. */
	for (int i = 0; i < WAITING - 5; i++)
		close(waiting[i]);
	for (int i = WAITING - 5; i < WAITING; i++) {
		assert_int_equal(ask(waiting[i], "/"), 200);
		close(waiting[i]);
	}
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	assert_stat(&sc, "http.ingress.downstream_cx_total", WAITING + 1);
	assert_stat(&sc, "baton.worker_crashes", 0);
	scene_fini(&sc);
}

static void
connections_that_say_nothing_keep_nobody_out(void **state)
{
	struct linger reset = {.l_onoff = 1};
	struct scene sc;
	int fd[400];

	one_worker(&sc, CONF_SIMPLE);
	for (int i = 0; i < 400; i++) {
		fd[i] = client_connect(sc.port);
		assert_true(fd[i] >= 0);
		if (i % 2)
			setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		if (i % 3 == 0)
			client_send(fd[i], "GET / HT");
	}
	scene_wait_stat(&sc, "http.ingress.downstream_cx_active", 400);
	for (int i = 0; i < 20; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	for (int i = 0; i < 400; i++)
		close(fd[i]);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	assert_stat(&sc, "http.ingress.downstream_cx_destroy", 420);
	scene_fini(&sc);
}

static void
a_turn_accepts_no_more_than_it_may(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t worker;
	int fd[6];

	one_worker(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("    max_connections_to_accept_per_socket_event: 1\n", "",
		"", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), ""));
	worker = scene_child(&sc, "worker 1");
	kill(worker, SIGSTOP);
	for (int i = 0; i < 6; i++)
		assert_true((fd[i] = client_connect(sc.port)) >= 0);
	kill(worker, SIGCONT);
	for (int i = 0; i < 6; i++)
		assert_int_equal(ask(fd[i], "/"), 200);
	r = scene_admin(&sc, "GET", "/stats?filter=connections_accepted_per_socket_event");
	assert_non_null(strstr(r.body, "P100(nan,1.1)"));
	reply_free(&r);
	for (int i = 0; i < 6; i++)
		close(fd[i]);
	scene_fini(&sc);
}

/* ---- circuit breakers */

#define BREAKERS(limits) "    circuit_breakers: {thresholds: [{priority: DEFAULT, " limits "}]}\n"

static void
full_queues_are_answered_at_once(void **state)
{
	struct scene sc;
	struct reply r;
	int slow, queued, third;

	one_worker(&sc,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api",
		CONF_HOST("@HOST0@"), BREAKERS("max_connections: 1, max_pending_requests: 1")));
	slow = client_connect(sc.port);
	queued = client_connect(sc.port);
	third = client_connect(sc.port);
	client_send(slow, "GET /?delay_ms=800 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.cx_open", 1);
	client_send(queued, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_pending_active", 1);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_pending_open", 1);
	client_send(third, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(third, false);
	assert_int_equal(r.status, 503);
	assert_string_equal(reply_header(&r, "x-envoy-overloaded"), "true");
	assert_string_equal(r.body,
	    "upstream connect error or disconnect/reset before headers. reset reason: overflow");
	reply_free(&r);
	r = client_reply(slow, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	r = client_reply(queued, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	assert_stat(&sc, "cluster.api.upstream_rq_pending_overflow", 1);
	assert_stat(&sc, "cluster.api.upstream_cx_total", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_200", 2);
	assert_stat(&sc, "cluster.api.upstream_rq_503", 1);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.cx_open", 1);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_pending_open", 0);
	close(slow);
	close(queued);
	close(third);
	scene_fini(&sc);
}

static void
too_many_requests_at_once_are_answered_at_once(void **state)
{
	struct scene sc;
	struct reply r;
	int slow;

	one_worker(
	    &sc, CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api",
		     CONF_HOST("@HOST0@"), BREAKERS("max_requests: 1, track_remaining: true")));
	assert_stat(&sc, "cluster.api.circuit_breakers.default.remaining_rq", 1);
	slow = client_connect(sc.port);
	client_send(slow, "GET /?delay_ms=500 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.circuit_breakers.default.rq_open", 1);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.remaining_rq", 0);
	assert_int_equal(scene_status(&sc, "/"), 503);
	r = client_reply(slow, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_open", 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	close(slow);
	scene_fini(&sc);
}

/* ---- floods of HTTP/2 frames */

enum {
	DATA = 0,
	HEADERS = 1,
	PRIORITY = 2,
	RST_STREAM = 3,
	SETTINGS = 4,
	PING = 6,
	WINDOW_UPDATE = 8,
	CONTINUATION = 9
};
#define END_STREAM 1
#define END_HEADERS 4

static void
frame(struct strb *b, unsigned type, unsigned flags, uint32_t stream, const char *payload, size_t n)
{
	const unsigned char head[9] = {(unsigned char)(n >> 16), (unsigned char)(n >> 8),
	    (unsigned char)n, (unsigned char)type, (unsigned char)flags,
	    (unsigned char)(stream >> 24), (unsigned char)(stream >> 16),
	    (unsigned char)(stream >> 8), (unsigned char)stream};

	strb_add(b, (const char *)head, sizeof(head));
	strb_add(b, payload, n);
}

#define GET "\x82\x86\x84\x41\x01\x61"
#define POST "\x83\x86\x84\x41\x01\x61"

static void
rapid_resets(struct strb *b, uint32_t i)
{
	frame(b, HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, GET, 6);
	frame(b, RST_STREAM, 0, 2 * i + 1, "\0\0\0\x8", 4);
}

static void
continuations(struct strb *b, uint32_t i)
{
	static const char header[] = "\x40\x01xPaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

	if (i == 0)
		frame(b, HEADERS, END_STREAM, 1, GET, 6);
	frame(b, CONTINUATION, 0, 1, header, sizeof(header) - 1);
}

static void
empty_continuations(struct strb *b, uint32_t i)
{
	if (i == 0)
		frame(b, HEADERS, END_STREAM, 1, GET, 6);
	frame(b, CONTINUATION, 0, 1, "", 0);
}

static void
settings(struct strb *b, uint32_t i)
{
	frame(b, SETTINGS, 0, 0, "", 0);
}

static void
pings(struct strb *b, uint32_t i)
{
	frame(b, PING, 0, 0, "12345678", 8);
}

static void
empty_data(struct strb *b, uint32_t i)
{
	if (i == 0)
		frame(b, HEADERS, END_HEADERS, 1, POST, 6);
	frame(b, DATA, 0, 1, "", 0);
}

static void
priorities(struct strb *b, uint32_t i)
{
	frame(b, PRIORITY, 0, 2 * i + 1, "\0\0\0\0\x10", 5);
}

static void
window_updates(struct strb *b, uint32_t i)
{
	frame(b, WINDOW_UPDATE, 0, 0, "\0\0\0\x1", 4);
}

/* Sends and reads nothing, then waits for the other side to hang up. */
static void
flood(uint16_t port, void (*next)(struct strb *b, uint32_t i))
{
	int fd = client_connect(port);
	struct strb b = {0};
	char rest[65536];

	strb_addz(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	frame(&b, SETTINGS, 0, 0, "", 0);
	for (uint32_t i = 0; i < 20000; i++)
		next(&b, i);
	client_send_n(fd, b.p, b.n);
	while (recv(fd, rest, sizeof(rest), 0) > 0)
		;
	strb_fini(&b);
	close(fd);
}

static void
floods_of_frames_are_cut_off(void **state)
{
	static const struct {
		void (*next)(struct strb *b, uint32_t i);
		const char *stat;
	} rows[] = {
	    {rapid_resets, "http.ingress.downstream_rq_too_many_premature_resets"},
	    {continuations, "http2.header_overflow"},
	    {empty_continuations, "http2.inbound_empty_frames_flood"},
	    {settings, "http2.outbound_control_flood"},
	    {pings, "http2.outbound_control_flood"},
	    {empty_data, "http2.inbound_empty_frames_flood"},
	    {priorities, "http2.inbound_priority_frames_flood"},
	    {window_updates, "http2.inbound_window_update_frames_flood"},
	};
	struct scene sc;
	int fd;

	one_worker(
	    &sc, CONF_ADMIN CONF_LISTENER_WITH("", "          delayed_close_timeout: 0.1s\n", "",
		     CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), ""));
	fd = client_connect(sc.port);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t before = scene_stat(&sc, rows[i].stat);

		assert_int_equal(ask(fd, "/"), 200);
		flood(sc.port, rows[i].next);
		assert_int_equal(ask(fd, "/"), 200);
		assert_stat(&sc, rows[i].stat, before + 1);
	}
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_active", 0);
	assert_stat(&sc, "http2.streams_active", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	scene_fini(&sc);
}

/* Ends at the end of the connection, or when the client was told to go. */
static void
read_to_the_end(int fd)
{
	char rest[4096];

	while (recv(fd, rest, sizeof(rest), 0) > 0)
		;
}

static void
a_client_that_opens_no_window_is_not_waited_for(void **state)
{
	struct strb b = {0};
	struct scene sc;
	int fd;

	one_worker(
	    &sc, CONF_ADMIN CONF_LISTENER_WITH("", "          stream_idle_timeout: 0.3s\n", "",
		     CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), ""));
	fd = client_connect(sc.port);
	strb_addz(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	frame(&b, SETTINGS, 0, 0, "\0\x4\0\0\0\0", 6); /* INITIAL_WINDOW_SIZE 0 */
	for (uint32_t i = 0; i < 20; i++)
		frame(&b, HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, GET, 6);
	client_send_n(fd, b.p, b.n);
	scene_wait_stat(&sc, "http.ingress.downstream_rq_total", 20);
	scene_wait_stat(&sc, "http2.tx_flush_timeout", 20);
	assert_stat(&sc, "http2.streams_active", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_active", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	shutdown(fd, SHUT_WR);
	read_to_the_end(fd);
	close(fd);
	strb_fini(&b);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	scene_fini(&sc);
}

/* Requests without end and nobody to read the answers: we stop reading too. */
static void
a_client_that_reads_nothing_costs_no_more_than_its_buffers(void **state)
{
	static const char request[] = "GET /?size=10000 HTTP/1.1\r\nHost: a\r\n\r\n";
	struct scene sc;
	struct strb b = {0};
	int64_t buffered;
	int fd, other;

	one_worker(&sc, CONF_SIMPLE);
	fd = client_connect(sc.port);
	for (int i = 0; i < 50000; i++)
		strb_add(&b, request, sizeof(request) - 1);
	/* As much as goes without waiting. */
	while (send(fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	other = client_connect(sc.port);
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask(other, "/"), 200);
	buffered = scene_stat(&sc, "http.ingress.downstream_cx_tx_bytes_buffered");
	assert_true(buffered >= 0 && buffered < 4 << 20);
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_total") < 5000);
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 1);
	close(other);
	assert_stat(&sc, "http.ingress.downstream_cx_tx_bytes_buffered", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	strb_fini(&b);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_descriptors_accepting_waits_and_clients_are_served_on),
	    cmocka_unit_test(connections_that_say_nothing_keep_nobody_out),
	    cmocka_unit_test(a_turn_accepts_no_more_than_it_may),
	    cmocka_unit_test(full_queues_are_answered_at_once),
	    cmocka_unit_test(too_many_requests_at_once_are_answered_at_once),
	    cmocka_unit_test(floods_of_frames_are_cut_off),
	    cmocka_unit_test(a_client_that_opens_no_window_is_not_waited_for),
	    cmocka_unit_test(a_client_that_reads_nothing_costs_no_more_than_its_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
