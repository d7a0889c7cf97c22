/* Health failover: three doors to one flag, and what everybody sees while it is set. */
#include "tests/harness/scene.h"

#include <sys/wait.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define HEALTH(more)                                                                               \
	"          - name: envoy.filters.http.health_check\n"                                      \
	"            typed_config:\n"                                                              \
	"              \"@type\": type.googleapis.com/"                                            \
	"envoy.extensions.filters.http.health_check.v3.HealthCheck\n"                              \
	"              headers: [{name: \":path\", string_match: {exact: /healthz}}]\n" more

#define CONF_HEALTH(more)                                                                          \
	CONF_ADMIN CONF_LISTENER(HEALTH(more), CONF_ROUTE_ALL)                                     \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

#define NO_PASS "              pass_through_mode: false\n"

static int
get_status(struct scene *sc, const char *path)
{
	struct reply r = scene_get(sc, path);
	int status = r.status;

	reply_free(&r);
	return status;
}

static int
admin_status(struct scene *sc, const char *method, const char *path)
{
	struct reply r = scene_admin(sc, method, path);
	int status = r.status;

	reply_free(&r);
	return status;
}

static void
expect_out_of_rotation(struct scene *sc)
{
	struct reply r;

	WAIT_FOR(get_status(sc, "/healthz") == 503);
	r = scene_admin(sc, "GET", "/ready");
	assert_int_equal(r.status, 503);
	assert_string_equal(r.body, "DRAINING\n");
	reply_free(&r);
	assert_stat(sc, "server.live", 0);
	r = scene_get(sc, "/");
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "x-envoy-immediate-health-check-fail"), "true");
	reply_free(&r);
}

static void
expect_in_rotation(struct scene *sc)
{
	struct reply r;

	WAIT_FOR(get_status(sc, "/healthz") == 200);
	assert_int_equal(admin_status(sc, "GET", "/ready"), 200);
	assert_stat(sc, "server.live", 1);
	r = scene_get(sc, "/");
	assert_null(reply_header(&r, "x-envoy-immediate-health-check-fail"));
	reply_free(&r);
}

static void
three_doors_lead_to_one_flag(void **state)
{
	struct scene sc;
	char *out;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_HEALTH(NO_PASS));
	expect_in_rotation(&sc);

	assert_int_equal(admin_status(&sc, "GET", "/healthcheck/fail"), 405);
	expect_in_rotation(&sc);
	assert_int_equal(admin_status(&sc, "POST", "/healthcheck/fail"), 200);
	expect_out_of_rotation(&sc);
	kill(sc.proxy, SIGTTIN);
	expect_in_rotation(&sc);

	kill(sc.proxy, SIGTTOU);
	expect_out_of_rotation(&sc);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "healthcheck", "ok", NULL), 0);
	mem_free(out);
	expect_in_rotation(&sc);

	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "healthcheck", "fail", NULL), 0);
	mem_free(out);
	expect_out_of_rotation(&sc);
	assert_int_equal(admin_status(&sc, "POST", "/healthcheck/ok"), 200);
	expect_in_rotation(&sc);
	scene_fini(&sc);
}

static void
health_requests_are_not_counted_as_requests(void **state)
{
	struct scene sc;
	struct reply r;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_HEALTH(NO_PASS));
	r = scene_get(&sc, "/healthz");
	assert_int_equal(r.status, 200);
	assert_string_equal(
	    reply_header(&r, "x-envoy-upstream-healthchecked-cluster"), "test-cluster");
	reply_free(&r);
	assert_stat(&sc, "http.ingress.health_check.ok", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_completed", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_total", 0);
	scene_fini(&sc);
}

static void
pass_through_remembers_the_answer(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "1";
	scene_proxy(&sc,
	    CONF_HEALTH("              pass_through_mode: true\n              cache_time: 600s\n"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(get_status(&sc, "/healthz"), 200);
	assert_stat(&sc, "cluster.api.upstream_rq_total", 1);
	assert_stat(&sc, "http.ingress.health_check.cached_response", 2);
	kill(sc.proxy, SIGTTOU);
	WAIT_FOR(get_status(&sc, "/healthz") == 503);
	scene_fini(&sc);
}

static void
a_share_of_healthy_hosts_decides(void **state)
{
	struct scene sc;
	char *out, *address;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_origin(&sc, "two");
	scene_proxy(&sc, CONF_ADMIN CONF_LISTENER(
			     HEALTH(NO_PASS "              cluster_min_healthy_percentages: "
					    "{api: {value: 60}}\n"),
			     CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api",
			     CONF_HOST("@HOST0@") CONF_HOST("@HOST1@"), ""));
	assert_int_equal(get_status(&sc, "/healthz"), 200);
	address = mem_printf("127.0.0.1:%u", sc.host_port[1]);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "batonctl", "host", "api", address, "fail", NULL), 0);
	mem_free(out);
	WAIT_FOR(get_status(&sc, "/healthz") == 503);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "batonctl", "host", "api", address, "ok", NULL), 0);
	mem_free(out);
	WAIT_FOR(get_status(&sc, "/healthz") == 200);
	mem_free(address);
	scene_fini(&sc);
}

static void
an_operator_drains_one_host(void **state)
{
	struct scene sc;
	struct reply r;
	char *out, *address;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_origin(&sc, "two");
	scene_proxy(&sc, CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER(
			     "api", CONF_HOST("@HOST0@") CONF_HOST("@HOST1@"), ""));
	address = mem_printf("127.0.0.1:%u", sc.host_port[0]);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "batonctl", "host", "api", address, "drain", NULL), 0);
	mem_free(out);
	for (int i = 0; i < 10; i++) {
		r = scene_get(&sc, "/");
		assert_int_equal(r.status, 200);
		assert_non_null(strstr(r.body, "two"));
		reply_free(&r);
	}
	r = scene_admin(&sc, "GET", "/clusters");
	assert_non_null(strstr(r.body, "/operator_drain"));
	reply_free(&r);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "batonctl", "host", "api", "1.2.3.4:5", "drain", NULL), 3);
	mem_free(out);
	mem_free(address);
	scene_fini(&sc);
}

static void
each_connection_is_told_once(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--drain-strategy";
	sc.extra[1] = "immediate";
	scene_proxy(&sc, CONF_HEALTH(NO_PASS));
	fd = client_connect(sc.port);
	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(fd, false);
	assert_null(reply_header(&r, "connection"));
	reply_free(&r);
	kill(sc.proxy, SIGTTOU);
	WAIT_FOR(get_status(&sc, "/healthz") == 503);
	for (bool told = false; !told;) {
		client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		told = reply_header(&r, "connection") != NULL;
		reply_free(&r);
	}
	assert_true(client_closed(fd));
	close(fd);
	scene_wait_stat(&sc, "http.ingress.downstream_cx_drain_close", 1);
	scene_fini(&sc);
}

static void
says_it_leaves(int fd, unsigned n, void *arg)
{
	char request[4096];

	if (read(fd, request, sizeof(request)) > 0)
		client_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
				"x-envoy-immediate-health-check-fail: true\r\n\r\nok");
}

static void
a_hosts_own_word_passes_where_nobody_checks_hosts(void **state)
{
	struct scene sc;
	struct reply r;

	scene_init(&sc);
	scene_host(&sc, says_it_leaves, NULL);
	scene_proxy(&sc, CONF_SIMPLE);
	for (int i = 0; i < 3; i++) {
		r = scene_get(&sc, "/");
		assert_int_equal(r.status, 200);
		assert_string_equal(
		    reply_header(&r, "x-envoy-immediate-health-check-fail"), "true");
		reply_free(&r);
	}
	scene_fini(&sc);
}

#define CONF_LOG                                                                                   \
	"          access_log:\n"                                                                  \
	"          - name: envoy.access_loggers.file\n"                                            \
	"            typed_config:\n"                                                              \
	"              \"@type\": type.googleapis.com/"                                            \
	"envoy.extensions.access_loggers.file.v3.FileAccessLog\n"                                  \
	"              path: \"@DIR@/access\"\n"                                                   \
	"              log_format: {text_format_source: {inline_string: "                          \
	"\"%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\\n\"}}\n"

/* %s is where the health check filter goes. */
static const char logging[] = CONF_ADMIN CONF_LISTENER_WITH("", CONF_LOG, "%s", CONF_ROUTE_ALL)
CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"),
    "") "  - {name: empty, type: STATIC, load_assignment: {cluster_name: empty}}\n";

static void
start_logging(struct scene *sc, const char *filter)
{
	const char *gap = strstr(logging, "%s");
	struct strb yaml = {0};

	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "1";
	sc->extra[2] = "--file-flush-interval-msec";
	sc->extra[3] = "20";
	strb_add(&yaml, logging, (size_t)(gap - logging));
	strb_addz(&yaml, filter);
	strb_addz(&yaml, gap + 2);
	scene_proxy(sc, strb_z(&yaml));
	strb_fini(&yaml);
}

/* The filter says in the access log why it answered as it did. */
static void
each_answer_says_why(void **state)
{
#define SHARE(name)                                                                                \
	NO_PASS "              cluster_min_healthy_percentages: {" name ": {value: 60}}\n"
	static const struct {
		const char *filter;
		int status, failing; /* at first, and out of rotation */
		const char *line, *failing_line;
	} rows[] = {
	    {HEALTH(NO_PASS), 200, 503, "200 - health_check_ok\n", "503 LH health_check_failed\n"},
	    {HEALTH("              pass_through_mode: true\n"), 200, 503, "200 - via_upstream\n",
		"503 LH health_check_failed\n"},
	    {HEALTH(SHARE("api")), 200, 503, "200 - health_check_ok_cluster_healthy\n",
		"503 LH health_check_failed\n"},
	    {HEALTH(SHARE("none")), 503, 503, "503 LH health_check_failed_no_cluster_found\n",
		"503 LH health_check_failed\n"},
	    {HEALTH(SHARE("empty")), 503, 503, "503 LH health_check_failed_cluster_empty\n",
		"503 LH health_check_failed\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene sc;

		start_logging(&sc, rows[i].filter);
		assert_int_equal(get_status(&sc, "/healthz"), rows[i].status);
		WAIT_FOR(scene_file_has(&sc, "access", rows[i].line));
		kill(sc.proxy, SIGTTOU);
		WAIT_FOR(get_status(&sc, "/") == 200 && admin_status(&sc, "GET", "/ready") == 503);
		assert_int_equal(get_status(&sc, "/healthz"), rows[i].failing);
		WAIT_FOR(scene_file_has(&sc, "access", rows[i].failing_line));
		scene_fini(&sc);
	}
}

static void
a_remembered_or_unhealthy_answer_says_so_too(void **state)
{
	struct scene sc;
	char *out, *address;

	start_logging(
	    &sc, HEALTH("              pass_through_mode: true\n              cache_time: 600s\n"));
	assert_int_equal(get_status(&sc, "/healthz?status=500"), 500);
	assert_int_equal(get_status(&sc, "/healthz"), 200);
	assert_int_equal(get_status(&sc, "/healthz"), 200);
	WAIT_FOR(scene_file_has(&sc, "access", "/healthz 200 - health_check_cached\n"));
	scene_fini(&sc);

	start_logging(&sc, HEALTH(SHARE("api")));
	address = mem_printf("127.0.0.1:%u", sc.host_port[0]);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "batonctl", "host", "api", address, "fail", NULL), 0);
	mem_free(out);
	WAIT_FOR(get_status(&sc, "/healthz") == 503);
	WAIT_FOR(scene_file_has(&sc, "access", "503 LH health_check_failed_cluster_unhealthy\n"));
	mem_free(address);
	scene_fini(&sc);
}

/* drain_type MODIFY_ONLY: health is none of its business. */
static void
connections_of_a_modify_only_listener_are_left_alone(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--drain-strategy";
	sc.extra[1] = "immediate";
	scene_proxy(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("    drain_type: MODIFY_ONLY\n", "", "", CONF_ROUTE_ALL)
		CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), ""));
	fd = client_connect(sc.port);
	kill(sc.proxy, SIGTTOU);
	WAIT_FOR(admin_status(&sc, "GET", "/ready") == 503);
	for (int i = 0; i < 10; i++) {
		client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		assert_null(reply_header(&r, "connection"));
		reply_free(&r);
	}
	close(fd);
	scene_fini(&sc);
}

/* GOAWAY, and every request that is under way or comes before it is answered. */
static void
an_http2_client_moves_without_a_failed_request(void **state)
{
	struct scene sc;
	char *url, *out;
	pid_t flip;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--drain-strategy";
	sc.extra[1] = "immediate";
	scene_proxy(&sc, CONF_HEALTH(NO_PASS));
	url = mem_printf("http://127.0.0.1:%u/?delay_ms=300", sc.port);
	flip = fork();
	assert_true(flip >= 0);
	if (flip == 0) {
		scene_wait_stat(&sc, "http.ingress.downstream_rq_active", 10);
		kill(sc.proxy, SIGTTOU);
		_exit(0);
	}
	assert_int_equal(scene_run_tool(&sc, &out, "/usr/bin/h2load", "-n", "10", "-c", "1", "-m",
			     "10", url, NULL),
	    0);
	assert_non_null(strstr(out, "10 succeeded, 0 failed"));
	waitpid(flip, NULL, 0);
	assert_stat(&sc, "http2.goaway_sent", 1);
	mem_free(out);
	mem_free(url);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(three_doors_lead_to_one_flag),
	    cmocka_unit_test(health_requests_are_not_counted_as_requests),
	    cmocka_unit_test(pass_through_remembers_the_answer),
	    cmocka_unit_test(a_share_of_healthy_hosts_decides),
	    cmocka_unit_test(an_operator_drains_one_host),
	    cmocka_unit_test(each_connection_is_told_once),
	    cmocka_unit_test(each_answer_says_why),
	    cmocka_unit_test(a_remembered_or_unhealthy_answer_says_so_too),
	    cmocka_unit_test(connections_of_a_modify_only_listener_are_left_alone),
	    cmocka_unit_test(an_http2_client_moves_without_a_failed_request),
	    cmocka_unit_test(a_hosts_own_word_passes_where_nobody_checks_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
