/*
 * What a draining generation holds, for how long, and what becomes of the rest: deadlines by kind,
 * the record of what they cut, how many generations may drain, and the graceful end.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "tests/harness/generations.h"

/* ---- scenes */

static void
each_kind_is_cut_at_its_own_deadline(void **state)
{
	struct scene sc;
	pid_t first;
	int h1, h2, ws;

	hold_serve(&sc, WORDS("--drain-deadline", "h1=1", "--drain-deadline", "h2=2", "--drain-deadline",
		       "websocket=600"));
	first = sc.proxy;
	h1 = hold_h1(&sc, "/?delay_ms=60000");
	h2 = hold_h2(&sc);
	ws = hold_websocket(&sc);
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 3);
	assert_int_equal(generation_restart(&sc), 0);
	scene_wait_stat(&sc, "baton.cx_cut_at_deadline", 1);
	assert_true(client_closed(h1));
	scene_wait_stat(&sc, "baton.cx_cut_at_deadline", 2);
	expect_tool(&sc, 0, "h1 from 127.0.0.1:", "batonstat", WORDS("--failures"));
	scene_wait_log(&sc, "is cut, h1 from 127.0.0.1:");
	scene_wait_log(&sc, "is cut, h2 from 127.0.0.1:");
	assert_echo(ws);
	assert_false(generation_is_gone(first));
	close(h1);
	close(h2);
	close(ws);
	WAIT_FOR(generation_is_gone(first));
	scene_wait_stat(&sc, "baton.generations", 1);
	assert_stat(&sc, "baton.cx_cut_at_deadline", 2);
	/* The record outlives the generation that wrote it. */
	expect_tool(&sc, 0, " cut ", "batonstat", WORDS("--failures"));
	expect_tool(&sc, 0, "a request is under way", "batonstat", WORDS("--failures"));
	scene_fini(&sc);
}

/* ---- /drain_listeners */

static bool
refuses(uint16_t port)
{
	int fd = client_connect(port);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void
drain_listeners(struct scene *sc, const char *how)
{
	char *path = mem_printf("/drain_listeners%s", how);
	struct reply r = scene_admin(sc, "POST", path);

	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "OK\n");
	reply_free(&r);
	mem_free(path);
}

/* What the next answer on a kept-alive connection says. */
static bool
is_told(int fd)
{
	struct reply r;
	bool told;

	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	told = reply_header(&r, "connection") != NULL;
	reply_free(&r);
	return told;
}

static bool
new_one_is_told(struct scene *sc)
{
	int fd = client_connect(sc->port);
	bool told;

	assert_true(fd >= 0);
	told = is_told(fd);
	close(fd);
	return told;
}

static void
every_form_of_draining_listeners_tells_connections(void **state)
{
	static const struct {
		const char *how;
		bool accepts;
	} rows[] = {
	    {"", false},
	    {"?skip_exit", true},
	    {"?graceful", true}, /* until the window ends */
	    {"?graceful&skip_exit", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene sc;
		int fd;

		hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
		fd = client_connect(sc.port);
		assert_false(is_told(fd));
		drain_listeners(&sc, rows[i].how);
		WAIT_FOR(rows[i].accepts ? new_one_is_told(&sc) : refuses(sc.port));
		assert_true(is_told(fd));
		assert_true(client_closed(fd));
		assert_int_equal(scene_admin_status(&sc, "GET", "/ready"), 200);
		close(fd);
		scene_fini(&sc);
	}
}

#define INBOUND_AND_NOT                                                                            \
	CONF_ADMIN CONF_LISTENER_WITH(                                                             \
	    "    traffic_direction: INBOUND\n", "", "", CONF_ROUTE_ALL)                            \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static void
only_inbound_listeners_are_drained_when_that_is_asked(void **state)
{
	struct scene sc;
	int fd;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	fd = client_connect(sc.port);
	drain_listeners(&sc, "?inboundonly");
	drain_listeners(&sc, "?inboundonly&graceful&skip_exit");
	assert_false(is_told(fd)); /* it says no direction */
	assert_false(new_one_is_told(&sc));
	close(fd);
	scene_fini(&sc);

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--drain-strategy";
	sc.extra[1] = "immediate";
	scene_proxy(&sc, INBOUND_AND_NOT);
	fd = client_connect(sc.port);
	assert_false(is_told(fd));
	drain_listeners(&sc, "?inboundonly&graceful");
	WAIT_FOR(new_one_is_told(&sc));
	drain_listeners(&sc, "?inboundonly&graceful"); /* again: the window has begun */
	assert_stat(&sc, "listener_manager.listener_stopped", 1);
	drain_listeners(&sc, "?inboundonly");
	WAIT_FOR(refuses(sc.port));
	assert_true(is_told(fd));
	close(fd);
	scene_fini(&sc);
}

/* ---- the graceful end */

static void
batonctl_drain_waits_for_the_end(void **state)
{
	struct scene sc;
	struct ctl_run a, b;
	struct reply r;
	char *out;
	int fd;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	fd = hold_h1(&sc, "/?delay_ms=1000");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	ctl_begin(&sc, &a, "drain");
	WAIT_FOR(refuses(sc.port));
	ctl_begin(&sc, &b, "drain");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "connection"), "close");
	reply_free(&r);
	close(fd);
	assert_int_equal(ctl_end(&a, &out), 0);
	assert_string_equal(out, "ended\n");
	mem_free(out);
	ctl_end(&b, NULL);
	/* Truly: the next one may start. */
	expect_tool(&sc, 1, "no baton answers", "batonctl", WORDS("drain"));
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

static void
a_graceful_end_has_one_deadline_for_every_kind(void **state)
{
	struct scene sc;
	struct ctl_run a;
	char *out, *log;
	int h1, ws;

	hold_serve(&sc, WORDS("--shutdown-deadline-s", "1", "--drain-deadline", "websocket=600"));
	h1 = hold_h1(&sc, "/?delay_ms=60000");
	ws = hold_websocket(&sc);
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 2);
	ctl_begin(&sc, &a, "drain");
	assert_int_equal(ctl_end(&a, &out), 0);
	assert_string_equal(out, "ended, connections cut at the deadline: 2\n");
	mem_free(out);
	assert_true(client_closed(h1));
	assert_true(client_closed(ws));
	assert_int_equal(scene_wait_exit(&sc), 0);
	log = scene_log(&sc);
	assert_non_null(strstr(log, "is cut, h1 from 127.0.0.1:"));
	assert_non_null(strstr(log, "is cut, websocket from 127.0.0.1:"));
	mem_free(log);
	close(h1);
	close(ws);
	scene_fini(&sc);
}

static void
a_second_sigterm_ends_at_once(void **state)
{
	struct scene sc;
	int h1;

	hold_serve(&sc, WORDS("--shutdown-deadline-s", "600"));
	h1 = hold_h1(&sc, "/?delay_ms=60000");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	kill(sc.proxy, SIGTERM);
	WAIT_FOR(refuses(sc.port));
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_true(client_closed(h1));
	close(h1);
	scene_fini(&sc);
}

/* A generation that drains when the one that serves ends has no more time than that one. */
static void
the_end_of_the_line_hurries_those_that_drain(void **state)
{
	struct scene sc;
	pid_t first;
	int ws;

	hold_serve(&sc, WORDS("--shutdown-deadline-s", "1"));
	first = sc.proxy;
	ws = hold_websocket(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	WAIT_FOR(generation_is_gone(first));
	assert_true(client_closed(ws));
	assert_int_equal(log_count(&sc, "is cut, websocket from 127.0.0.1:"), 1);
	close(ws);
	scene_fini(&sc);
}

/* ---- what is told of the line */

static void
the_admin_port_tells_of_the_line(void **state)
{
	struct scene sc;
	struct reply r;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	assert_stat(&sc, "server.hot_restart_generation", 1);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 1);
	assert_stat(&sc, "server.hot_restart_generation", 2);
	r = scene_admin(&sc, "GET", "/hot_restart_version");
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "1.0\n");
	reply_free(&r);
	scene_fini(&sc);

	hold_serve(&sc, WORDS("--disable-hot-restart"));
	r = scene_admin(&sc, "GET", "/hot_restart_version");
	assert_string_equal(r.body, "disabled\n");
	reply_free(&r);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_kind_is_cut_at_its_own_deadline),
	    cmocka_unit_test(every_form_of_draining_listeners_tells_connections),
	    cmocka_unit_test(only_inbound_listeners_are_drained_when_that_is_asked),
	    cmocka_unit_test(batonctl_drain_waits_for_the_end),
	    cmocka_unit_test(a_graceful_end_has_one_deadline_for_every_kind),
	    cmocka_unit_test(a_second_sigterm_ends_at_once),
	    cmocka_unit_test(the_end_of_the_line_hurries_those_that_drain),
	    cmocka_unit_test(the_admin_port_tells_of_the_line),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
