/* What an operator has in hand: batonstat, batonctl and signals, against a proxy in every state of
 * health. */
#include "tests/harness/scene.h"

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

/* `gone` is a cluster whose host refuses as long as the descriptor is open. */
static void
start(struct scene *sc, int *gone)
{
	scene_init(sc);
	scene_origin(sc, "one");
	*gone = scene_refusing_port(&sc->host_port[9]);
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	scene_proxy(sc,
	    CONF_ADMIN CONF_LISTENER("",
		"              - {match: {prefix: /gone}, route: {cluster: gone}}\n" CONF_ROUTE_ALL)
		CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")
		    CONF_CLUSTER("gone", CONF_HOST("@HOST9@"), ""));
}

#define MAX_ARGS 8

/* Runs a program; all it says must contain `want`. */
static void
expect_(struct scene *sc, const char *program, int status, const char *want, const char *const *a)
{
	char *out;
	int got = scene_run_tool(sc, &out, program, a[0], a[1], a[2], a[3], a[4], a[5], a[6], NULL);

	if (got != status || strstr(out, want) == NULL)
		fail_msg("%s %s: exit %d, no '%s' in:\n%s", program, a[0], got, want, out);
	mem_free(out);
}
#define expect(sc, program, status, want, ...)                                                     \
	expect_(sc, program, status, want, (const char *const[MAX_ARGS]){__VA_ARGS__})

static bool
stat_shows(struct scene *sc, const char *name, const char *want)
{
	char *out;
	bool has;

	assert_int_equal(scene_run_tool(sc, &out, "batonstat", "-1", "-f", name, NULL), 0);
	has = strstr(out, want) != NULL;
	mem_free(out);
	return has;
}

static void
batonstat_reads_a_living_proxy(void **state)
{
	struct scene sc;
	int gone;

	start(&sc, &gone);
	for (int i = 0; i < 10; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(scene_status(&sc, "/gone"), 503);
	WAIT_FOR(stat_shows(
	    &sc, "*.downstream_rq_completed", "http.ingress.downstream_rq_completed: 11\n"));
	expect(&sc, "batonstat", 0, "cluster.api.upstream_rq_200: 10\n", "-1");
	expect(
	    &sc, "batonstat", 0, "{\"name\":\"cluster.api.upstream_rq_200\",\"value\":10}", "-j");
	expect(&sc, "batonstat", 0,
	    "envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"api\"} "
	    "10\n",
	    "-p");
	expect(&sc, "batonstat", 0, "server.live: 1\n", "-1", "-f", "server.*", "-f", "!*uptime");
	expect(&sc, "batonstat", 0, "cluster.api.upstream_rq_200: 10\n", "--used");
	expect(&sc, "batonstat", 0, "worker_1", "--workers", "-f", "*downstream_rq_total");
	expect(&sc, "batonstat", 0, "serving", "--generations");
	expect(&sc, "batonstat", 0, "\"state\": \"serving\"", "--generations", "-j");
	expect(&sc, "batonstat", 0, "api", "--hosts");
	expect(&sc, "batonstat", 0, "\"rq_total\": 10", "--hosts", "-j");
	expect(&sc, "batonstat", 0, "UF", "--failures");
	expect(&sc, "batonstat", 0, "\"cluster\": \"gone\"", "--failures", "-j");
	expect(&sc, "batonstat", 0, "upstream_reset_before_response_started", "--failures");
	expect(&sc, "batonstat", 1, "no baton ran here", "--base-id", "3");
	close(gone);
	scene_fini(&sc);
}

static void
the_ring_shows_what_failed(void **state)
{
	struct scene sc;
	struct reply r;
	char *out;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc,
	    CONF_ADMIN CONF_LISTENER("",
		"              - {match: {prefix: /slow}, route: {cluster: api, timeout: 0.1s}}\n"
		"              - {match: {prefix: /nobody}, route: {cluster: nobody}}\n")
		CONF_CLUSTERS CONF_CLUSTER(
		    "api", CONF_HOST("@HOST0@"), "") "  - {name: nobody, type: STATIC, "
						     "load_assignment: {cluster_name: nobody}}\n");
	assert_int_equal(scene_status(&sc, "/slow?delay_ms=2000"), 504);
	assert_int_equal(scene_status(&sc, "/nobody"), 503);
	assert_int_equal(scene_status(&sc, "/none"), 404);
	fd = client_connect(sc.port);
	client_send(fd, "NONSENSE\r\n\r\n");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 400);
	reply_free(&r);
	close(fd);
	assert_stat(&sc, "http.ingress.downstream_rq_completed", 4);
	assert_int_equal(scene_run_tool(&sc, &out, "batonstat", "--failures", "-j", NULL), 0);
	/* What clients did wrong is not in it. */
	if (!strstr(out, "\"response_timeout\"") || !strstr(out, "\"no_healthy_upstream\"") ||
	    strstr(out, "\"status\": 404") || strstr(out, "\"status\": 400"))
		fail_msg("%s", out);
	mem_free(out);
	scene_fini(&sc);
}

static void
batonstat_reads_a_stopped_and_a_killed_proxy(void **state)
{
	static const char *const names[] = {"admin", "worker 1", "worker 2"};
	struct scene sc;
	int gone;
	pid_t children[3];

	start(&sc, &gone);
	for (int i = 0; i < 10; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(stat_shows(&sc, "*", "http.ingress.downstream_rq_completed: 10\n"));
	for (int i = 0; i < 3; i++)
		children[i] = scene_child(&sc, names[i]);
	kill(sc.proxy, SIGSTOP);
	for (int i = 0; i < 3; i++)
		kill(children[i], SIGSTOP);
	assert_true(stat_shows(&sc, "*", "http.ingress.downstream_rq_completed: 10\n"));
	expect(&sc, "batonstat", 0, "worker 1", "--generations");
	kill(sc.proxy, SIGKILL);
	for (int i = 0; i < 3; i++)
		kill(children[i], SIGKILL);
	assert_int_equal(scene_wait_exit(&sc), -SIGKILL);
	assert_true(stat_shows(&sc, "*", "http.ingress.downstream_rq_completed: 10\n"));
	expect(&sc, "batonstat", 0, "gone", "--generations");
	expect(&sc, "batonctl", 1, "", "ps");
	/* The next start goes on counting from there. */
	scene_proxy(&sc, CONF_SIMPLE);
	assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(stat_shows(&sc, "*", "http.ingress.downstream_rq_completed: 11\n"));
	assert_stat(&sc, "http.ingress.downstream_rq_completed", 11);
	close(gone);
	scene_fini(&sc);
}

static void
batonctl_says_it_in_words_and_in_json(void **state)
{
	struct scene sc;
	int gone;
	char *address;

	start(&sc, &gone);
	address = mem_printf("127.0.0.1:%u", sc.host_port[0]);
	expect(&sc, "batonctl", 0, "master", "ps");
	expect(&sc, "batonctl", 0, "worker 2", "ps");
	expect(&sc, "batonctl", 0, "\"pid\"", "-o", "json", "ps");
	expect(&sc, "batonctl", 0, "admin: info", "logging");
	expect(&sc, "batonctl", 0, "http: debug", "logging", "http", "debug");
	expect(&sc, "batonctl", 0, "\"http\":\"debug\"", "-o", "json", "logging", "http", "debug");
	expect(&sc, "batonctl", 0, "admin: warning", "logging", "warning");
	expect(&sc, "batonctl", 2, "", "logging", "loud");
	expect(&sc, "batonctl", 0, "", "host", "api", address, "fail");
	expect(&sc, "batonstat", 0, "/operator_fail", "--hosts");
	expect(&sc, "batonctl", 0, "{", "-o", "json", "host", "api", address, "ok");
	expect(&sc, "batonctl", 3, "", "host", "nonsense", address, "ok");
	expect(&sc, "batonctl", 3, "none of drain, fail, ok", "host", "api", address, "nonsense");
	expect(&sc, "batonctl", 0, "", "healthcheck", "fail");
	assert_stat(&sc, "server.live", 0);
	expect(&sc, "batonctl", 0, "{", "-o", "json", "healthcheck", "ok");
	assert_stat(&sc, "server.live", 1);
	expect(&sc, "batonctl", 2, "", "healthcheck");
	expect(&sc, "batonctl", 0, "ps", "--help");
	expect(&sc, "batonctl", 0, "{", "-o", "json", "stop");
	assert_int_equal(scene_wait_exit(&sc), 0);
	mem_free(address);
	close(gone);
	scene_fini(&sc);
}

/* ---- signals */

static int
slow_request(struct scene *sc)
{
	int fd = client_connect(sc->port);

	client_send(fd, "GET /?delay_ms=20000 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(sc, "cluster.api.upstream_rq_active", 1);
	return fd;
}

static void
a_second_term_ends_at_once(void **state)
{
	struct scene sc;
	int fd, gone;

	start(&sc, &gone);
	fd = slow_request(&sc);
	kill(sc.proxy, SIGTERM);
	scene_wait_log(&sc, "serving -> leaving");
	/* A client that comes now is told so at once. */
	WAIT_FOR(client_connect(sc.port) < 0);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_true(client_closed(fd));
	close(fd);
	close(gone);
	scene_fini(&sc);
}

static void
int_ends_at_once(void **state)
{
	struct scene sc;
	int fd, gone;

	start(&sc, &gone);
	fd = slow_request(&sc);
	kill(sc.proxy, SIGINT);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_true(client_closed(fd));
	close(fd);
	close(gone);
	scene_fini(&sc);
}

static void
the_deadline_ends_what_does_not_end(void **state)
{
	struct scene sc;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--shutdown-deadline-s";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	fd = slow_request(&sc);
	kill(sc.proxy, SIGQUIT);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_true(client_closed(fd));
	close(fd);
	scene_fini(&sc);
}

static void
health_fails_first_and_serving_goes_on(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--shutdown-health-wait-s";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	kill(sc.proxy, SIGTERM);
	WAIT_FOR(scene_admin_status(&sc, "GET", "/ready") == 503);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

static void
children_hear_nothing_that_was_meant_for_master(void **state)
{
	struct scene sc;
	int gone;
	pid_t worker;

	start(&sc, &gone);
	worker = scene_child(&sc, "worker 1");
	kill(worker, SIGHUP);
	kill(worker, SIGTERM);
	kill(worker, SIGINT);
	kill(scene_child(&sc, "admin"), SIGUSR2);
	for (int i = 0; i < 10; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(scene_child(&sc, "worker 1"), worker);
	assert_stat(&sc, "baton.worker_crashes", 0);
	assert_stat(&sc, "baton.admin_crashes", 0);
	close(gone);
	scene_fini(&sc);
}

static bool
answers(struct scene *sc, pid_t pid)
{
	return kill(pid, 0) == 0 && scene_status(sc, "/") == 200;
}

static void
children_serve_on_without_master(void **state)
{
	struct scene sc;
	int gone;
	pid_t worker;
	char *out;

	start(&sc, &gone);
	worker = scene_child(&sc, "worker 1");
	kill(sc.proxy, SIGKILL);
	assert_int_equal(scene_wait_exit(&sc), -SIGKILL);
	for (int i = 0; i < 50; i++)
		assert_true(answers(&sc, worker));
	assert_int_equal(scene_admin_status(&sc, "GET", "/ready"), 200);
	assert_int_equal(scene_admin_status(&sc, "POST", "/drain_listeners"), 503);
	assert_int_equal(scene_admin_status(&sc, "POST", "/reopen_logs"), 503);
	assert_true(answers(&sc, worker));
	/* Everybody who is left ends: the one that is asked asks no others, so ask till nobody is.
	 */
	for (int i = 0; i < 10 && scene_run_tool(&sc, &out, "batonctl", "stop", NULL) == 0; i++)
		mem_free(out);
	mem_free(out);
	WAIT_FOR(client_connect(sc.port) < 0);
	close(gone);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(batonstat_reads_a_living_proxy),
	    cmocka_unit_test(the_ring_shows_what_failed),
	    cmocka_unit_test(batonstat_reads_a_stopped_and_a_killed_proxy),
	    cmocka_unit_test(batonctl_says_it_in_words_and_in_json),
	    cmocka_unit_test(a_second_term_ends_at_once),
	    cmocka_unit_test(int_ends_at_once),
	    cmocka_unit_test(the_deadline_ends_what_does_not_end),
	    cmocka_unit_test(health_fails_first_and_serving_goes_on),
	    cmocka_unit_test(children_hear_nothing_that_was_meant_for_master),
	    cmocka_unit_test(children_serve_on_without_master),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
