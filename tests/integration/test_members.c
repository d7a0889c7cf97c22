/* Members of a cluster come, change and go while clients are served. */
#include "tests/harness/configs.h"
#include "tests/harness/load.h"
#include "tests/harness/scene.h"

#include <stdlib.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"

#define HOSTS 4

#define CONF(hosts)                                                                                \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL)                                               \
	    CONF_CLUSTERS CONF_CLUSTER("api", hosts, "")
#define HOST(n) CONF_HOST("@HOST" #n "@")
#define HOST_WEIGHT(n, weight)                                                                     \
	"        - load_balancing_weight: " weight "\n"                                            \
	"          endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @HOST" #n  \
	"@}}}\n"

static const char *const paths[] = {"/", "/?size=20000", NULL};

static void
proxy(struct scene *sc, const char *yaml)
{
	static const char *const names[HOSTS] = {"h0", "h1", "h2", "h3"};

	scene_init(sc);
	for (unsigned i = 0; i < HOSTS; i++)
		scene_origin(sc, names[i]);
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	sc->extra[2] = "--component-log-level";
	sc->extra[3] = "config:debug";
	scene_proxy(sc, yaml);
}

static void
reload(struct scene *sc, const char *yaml)
{
	char *out;

	scene_write_config(sc, yaml);
	if (scene_run_tool(sc, &out, "batonctl", "reload", NULL) != 0)
		fail_msg("%s", out);
	mem_free(out);
}

/* "h0 h2 ": who answers, in 40 requests on connections of their own. */
static void
expect_hosts(struct scene *sc, const char *want)
{
	unsigned got[HOSTS] = {0};
	char text[32] = "";

	for (int i = 0; i < 40; i++) {
		struct reply r = scene_get(sc, "/");

		assert_int_equal(r.status, 200);
		got[reply_header(&r, "x-origin")[1] - '0']++;
		reply_free(&r);
	}
	for (unsigned i = 0; i < HOSTS; i++)
		if (got[i])
			sprintf(text + strlen(text), "h%u ", i);
	assert_string_equal(text, want);
}

static void
expect_listed(struct scene *sc, unsigned hosts)
{
	struct reply r = scene_admin(sc, "GET", "/clusters");
	unsigned n = 0;

	for (char *at = r.body; (at = strstr(at, "::rq_total::")) != NULL; at++)
		n++;
	assert_int_equal(n, hosts);
	reply_free(&r);
	assert_int_equal(scene_stat(sc, "cluster.api.membership_total"), hosts);
}

static void
they_come_and_go_and_nobody_notices(void **state)
{
	static const struct {
		const char *yaml, *answer;
		unsigned hosts;
	} rows[] = {
	    {CONF(HOST(0) HOST(1)), "h0 h1 ", 2},
	    {CONF(HOST(1) HOST(2)), "h1 h2 ", 2},
	    {CONF(HOST(1) HOST(2) HOST(3) HOST(0)), "h0 h1 h2 h3 ", 4},
	    {CONF(HOST_WEIGHT(3, "5") HOST(0)), "h0 h3 ", 2},
	    {CONF(HOST(3)), "h3 ", 1},
	    {CONF(HOST(2) HOST(0)), "h0 h2 ", 2},
	};
	struct scene sc;
	struct load *load;
	int64_t requests;

	proxy(&sc, CONF(HOST(0)));
	load = load_start(&sc, paths);
	for (unsigned i = 0; i < 12; i++) {
		reload(&sc, rows[i % ARRAY_LEN(rows)].yaml);
		load_more(load, 40);
		expect_hosts(&sc, rows[i % ARRAY_LEN(rows)].answer);
		expect_listed(&sc, rows[i % ARRAY_LEN(rows)].hosts);
	}
	requests = (int64_t)load_end(load) + 12 * 40;
	scene_wait_stat(&sc, "http.ingress.downstream_rq_2xx", requests);
	assert_int_equal(scene_stat(&sc, "cluster.api.upstream_rq_total"), requests);
	assert_int_equal(scene_stat(&sc, "cluster.api.membership_change"), 13);
	assert_int_equal(scene_stat(&sc, "cluster.api.upstream_cx_destroy_with_active_rq"), 0);
	/* Connections to those that are gone are closed; nothing is held. */
	WAIT_FOR(scene_stat(&sc, "cluster.api.upstream_rq_active") == 0);
	scene_fini(&sc);
}

static void
connections_to_those_who_stay_stay(void **state)
{
	struct scene sc;
	int64_t connections;
	int fd;

	proxy(&sc, CONF(HOST(0)));
	fd = client_connect(sc.port);
	for (int i = 0; i < 3; i++) {
		struct reply r;

		client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		reply_free(&r);
		connections = scene_stat(&sc, "cluster.api.upstream_cx_total");
		assert_int_equal(connections, 1);
		reload(&sc, i ? CONF(HOST_WEIGHT(0, "9")) : CONF(HOST_WEIGHT(0, "4")));
	}
	close(fd);
	scene_fini(&sc);
}

#define CONF_CLOSING(hosts)                                                                        \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL)                                               \
	    CONF_CLUSTERS CONF_CLUSTER("api", hosts,                                               \
		"    common_lb_config: {close_connections_on_host_set_change: true, "                  \
		"update_merge_window: 2s}\n")

static void
connections_may_close_whenever_somebody_comes_or_goes(void **state)
{
	static const char *const changes[] = {
	    CONF_CLOSING(HOST(0) HOST(1)), CONF_CLOSING(HOST(0)), CONF_CLOSING(HOST(0) HOST(2))};
	struct scene sc;

	proxy(&sc, CONF_CLOSING(HOST(0)));
	for (unsigned i = 0; i < ARRAY_LEN(changes); i++) {
		while (scene_stat(&sc, "cluster.api.upstream_cx_active") == 0)
			assert_int_equal(scene_status(&sc, "/"), 200);
		if (i == 0) { /* a weight is nobody who comes */
			reload(&sc, CONF_CLOSING(HOST_WEIGHT(0, "9")));
			assert_int_equal(scene_stat(&sc, "cluster.api.upstream_cx_active"), 1);
			assert_int_equal(scene_stat(&sc, "cluster.api.upstream_cx_destroy"), 0);
		}
		reload(&sc, changes[i]);
		WAIT_FOR(scene_stat(&sc, "cluster.api.upstream_cx_active") == 0);
	}
	scene_fini(&sc);
}

static void
a_download_from_one_that_goes_is_finished(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	proxy(&sc, CONF(HOST(0)));
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=600&size=30000 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	reload(&sc, CONF(HOST(1)));
	expect_hosts(&sc, "h1 ");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_true(r.complete);
	assert_string_equal(reply_header(&r, "x-origin"), "h0");
	reply_free(&r);
	close(fd);
	WAIT_FOR(scene_stat(&sc, "cluster.api.upstream_rq_active") == 0);
	scene_fini(&sc);
}

static void
new_workers_and_a_new_admin_know_them(void **state)
{
	struct scene sc;
	pid_t admin, worker;

	proxy(&sc, CONF(HOST(0)));
	for (int i = 0; i < 3; i++)
		reload(&sc, i % 2 ? CONF(HOST(1) HOST(2)) : CONF(HOST(2) HOST(3)));
	worker = scene_child(&sc, "worker 1");
	admin = scene_child(&sc, "admin");
	kill(admin, SIGKILL);
	kill(worker, SIGKILL);
	scene_wait_child(&sc, "worker 1", worker);
	scene_wait_child(&sc, "admin", admin);
	scene_wait_log(&sc, "back with the configuration in force");
	expect_hosts(&sc, "h2 h3 ");
	WAIT_FOR(scene_stat(&sc, "cluster.api.membership_total") == 2);
	reload(&sc, CONF(HOST(0) HOST(3)));
	expect_hosts(&sc, "h0 h3 ");
	expect_listed(&sc, 2);
	scene_fini(&sc);
}

static void
what_is_gone_leaves_the_statistics(void **state)
{
	struct scene sc;
	char *yaml;

	proxy(&sc, CONF(HOST(0)));
	for (unsigned i = 0; i < 6; i++) {
		yaml = mem_printf(CONF(HOST(0)) CONF_CLUSTER("extra%u", HOST(1), ""), i, i);
		reload(&sc, yaml);
		mem_free(yaml);
		yaml = mem_printf("cluster.extra%u.membership_total", i);
		assert_int_equal(scene_stat(&sc, yaml), 1);
		mem_free(yaml);
	}
	assert_int_equal(scene_stat(&sc, "cluster.extra4.membership_total"), -1);
	assert_int_equal(scene_stat(&sc, "cluster.extra5.upstream_cx_total"), 0);
	expect_hosts(&sc, "h0 ");
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(they_come_and_go_and_nobody_notices),
	    cmocka_unit_test(connections_to_those_who_stay_stay),
	    cmocka_unit_test(connections_may_close_whenever_somebody_comes_or_goes),
	    cmocka_unit_test(a_download_from_one_that_goes_is_finished),
	    cmocka_unit_test(new_workers_and_a_new_admin_know_them),
	    cmocka_unit_test(what_is_gone_leaves_the_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
