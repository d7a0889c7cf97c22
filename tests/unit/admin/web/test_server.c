/* The admin port over real sockets: both protocols, limits, slow clients, strangers. */
#include "tests/unit/admin/web/prepared.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/web/server.h"

struct client {
	struct admin *a;
	int fd;
	struct strb got;
	bool closed;
};

struct port {
	struct sockaddr_in at;
};

static void
open_port(struct prepared *p, struct port *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(port->at);
	struct err err;

	port->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)&port->at, sizeof(port->at)), 0);
	assert_int_equal(listen(fd, 300), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&port->at, &len), 0);
	p->admin.web = web_start(&p->admin, fd, STR("127.0.0.1"), &err);
	assert_non_null(p->admin.web);
}

static void
dial(struct client *c, struct prepared *p, const struct port *port)
{
	*c = (struct client){.a = &p->admin};
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&port->at, sizeof(port->at)), 0);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void
say(struct client *c, const void *bytes, size_t n)
{
	assert_int_equal(send(c->fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void
hear(struct client *c)
{
	char bytes[65536];
	ssize_t n;

	loop_turn(c->a->loop, false);
	while ((n = recv(c->fd, bytes, sizeof(bytes), 0)) > 0)
		strb_add(&c->got, bytes, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		c->closed = true;
}

static void
hear_until(struct client *c, const char *what)
{
	while (strstr(strb_z(&c->got), what) == NULL && !c->closed)
		hear(c);
	assert_non_null(strstr(strb_z(&c->got), what));
}

static void
hear_all(struct client *c)
{
	while (!c->closed)
		hear(c);
}

static void
hang_up(struct client *c)
{
	close(c->fd);
	strb_fini(&c->got);
}

static int
finish(void **state)
{
	struct prepared *p = *state;

	web_free(&p->admin.web);
	for (int i = 0; i < 3; i++) /* what was put off to the end of a turn */
		loop_turn(p->admin.loop, false);
	return unprepare(state);
}

static void
requests_share_a_connection(void **state)
{
	struct prepared *p = *state;
	struct port port;
	struct client c;

	open_port(p, &port);
	dial(&c, p, &port);
	say(&c, "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n", 40);
	hear_until(&c, "\r\n5\r\nLIVE\n\r\n0\r\n\r\n");
	assert_non_null(strstr(strb_z(&c.got), "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(strb_z(&c.got), "content-type: text/plain; charset=UTF-8\r\n"));
	assert_non_null(strstr(strb_z(&c.got), "cache-control: no-cache, max-age=0\r\n"));
	assert_non_null(strstr(strb_z(&c.got), "x-content-type-options: nosniff\r\n"));
	assert_non_null(strstr(strb_z(&c.got), "server: envoy\r\n"));
	strb_reset(&c.got);
	say(&c, "GET /nobody HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 60);
	hear_all(&c);
	assert_non_null(strstr(strb_z(&c.got), "HTTP/1.1 404 Not Found\r\n"));
	assert_non_null(strstr(strb_z(&c.got), "connection: close\r\n"));
	assert_int_equal(http_stats_of("http.admin.")->downstream_rq_total.raw, 2);
	assert_int_equal(http_stats_of("http.admin.")->downstream_rq_4xx.raw, 1);
	assert_int_equal(listener_stats_of("listener.admin.")->downstream_cx_total.raw, 1);
	hang_up(&c);
}

static void
broken_requests_and_strangers_are_refused(void **state)
{
	static const struct {
		const char *request, *status;
	} rows[] = {
	    {"NONSENSE\r\n\r\n", "HTTP/1.1 400 "},
	    {"GET /ready HTTP/1.1\r\nHost: evil.com\r\nConnection: close\r\n\r\n", "HTTP/1.1 403 "},
	    {"POST /healthcheck/fail HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.com\r\n"
	     "Content-Length: 0\r\nConnection: close\r\n\r\n", "HTTP/1.1 403 "},
	    {"POST /healthcheck/ok HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
	     "Content-Length: 0\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 "},
	    {"GET /quitquitquit HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 "},
	    {"POST /logging HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n", "HTTP/1.1 413 "},
	    {"HEAD /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 "},
	};
	struct prepared *p = *state;
	struct port port;

	open_port(p, &port);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client c;

		dial(&c, p, &port);
		say(&c, rows[i].request, strlen(rows[i].request));
		hear_all(&c);
		if (strncmp(strb_z(&c.got), rows[i].status, strlen(rows[i].status)) != 0)
			fail_msg("%s: %s", rows[i].request, strb_z(&c.got));
		hang_up(&c);
	}
	assert_false(flag_get(&shm_flags()->health_failed));
}

static void
a_form_reaches_its_endpoint(void **state)
{
	static const char request[] = "POST /logging HTTP/1.1\r\nHost: localhost\r\n"
				      "Content-Type: application/x-www-form-urlencoded\r\n"
				      "Content-Length: 11\r\nConnection: close\r\n\r\nlevel=error";
	struct prepared *p = *state;
	struct port port;
	struct client c;

	open_port(p, &port);
	dial(&c, p, &port);
	say(&c, request, sizeof(request) - 1);
	hear_all(&c);
	assert_non_null(strstr(strb_z(&c.got), "  admin: error\n"));
	assert_int_equal(log_levels[LOG_HTTP], LOG_ERROR);
	log_set_all(LOG_INFO);
	hang_up(&c);
}

/* A client that asks for much and reads nothing costs its own buffers only, and nobody's time. */
static void
a_client_that_does_not_read_stops_nobody(void **state)
{
	struct prepared *p = *state;
	struct strb many = {0};
	struct port port;
	struct client slow, quick;
	struct http_stats *stats;

	open_port(p, &port);
	dial(&slow, p, &port);
	for (int i = 0; i < 200; i++)
		strb_addz(&many, "GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
	say(&slow, many.p, many.n);
	stats = http_stats_of("http.admin.");
	for (int i = 0; i < 50; i++)
		loop_turn(p->admin.loop, false);
	dial(&quick, p, &port);
	say(&quick, "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 59);
	hear_all(&quick);
	assert_non_null(strstr(strb_z(&quick.got), "LIVE\n"));
	while (strlen(strb_z(&slow.got)) < 1000)
		hear(&slow);
	assert_true(stat_gauge_value(stats->downstream_cx_active.raw) >= 1);
	hang_up(&quick);
	hang_up(&slow);
	strb_fini(&many);
	while (stat_gauge_value(stats->downstream_cx_active.raw) > 0)
		loop_turn(p->admin.loop, false);
	assert_int_equal(stat_gauge_value(stats->downstream_rq_active.raw), 0);
}

static void
connections_are_bounded(void **state)
{
	struct prepared *p = *state;
	struct listener_stats *stats = listener_stats_of("listener.admin.");
	static struct client many[260];
	struct port port;

	open_port(p, &port);
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		dial(&many[i], p, &port);
		loop_turn(p->admin.loop, false);
	}
	while (stats->downstream_cx_total.raw + stats->downstream_cx_overflow.raw < ARRAY_LEN(many))
		loop_turn(p->admin.loop, false);
	assert_int_equal(stat_gauge_value(stats->downstream_cx_active.raw), 256);
	assert_int_equal(stats->downstream_cx_overflow.raw, 4);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		hang_up(&many[i]);
	while (stat_gauge_value(stats->downstream_cx_active.raw) > 0)
		loop_turn(p->admin.loop, false);
}

/* The preface, SETTINGS, and HEADERS with :method GET, :scheme http, :path /ready, :authority localhost. */
static void
http2_is_spoken_by_prior_knowledge(void **state)
{
	static const char bytes[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				    "\0\0\0\4\0\0\0\0\0"
				    "\0\0\25\1\5\0\0\0\1"
				    "\202\206\4\6/ready\101\11localhost";
	struct prepared *p = *state;
	struct port port;
	struct client c;

	open_port(p, &port);
	dial(&c, p, &port);
	say(&c, bytes, sizeof(bytes) - 1);
	while (c.got.n < 5 || memcmp(c.got.p + c.got.n - 5, "LIVE\n", 5) != 0) {
		hear(&c);
		assert_false(c.closed);
		if (c.got.n >= 9 + 5 && memmem(c.got.p, c.got.n, "LIVE\n", 5))
			break;
	}
	assert_int_equal(http_stats_of("http.admin.")->downstream_rq_http2_total.raw, 1);
	hang_up(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(requests_share_a_connection),
	    TEST(broken_requests_and_strangers_are_refused),
	    TEST(a_form_reaches_its_endpoint),
	    TEST(a_client_that_does_not_read_stops_nobody),
	    TEST(connections_are_bounded),
	    TEST(http2_is_spoken_by_prior_knowledge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
