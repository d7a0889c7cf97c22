/* Every path of the admin port, asked as operators, scripts and browsers ask. */
#include "tests/harness/scene.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define TEXT "text/plain; charset=UTF-8"
#define JSON "application/json"
#define HTML "text/html; charset=UTF-8"

static void
start(struct scene *sc)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	scene_proxy(sc, CONF_SIMPLE);
}

/* The body of a GET that succeeds; caller frees. */
static char *
body_of(struct scene *sc, const char *path)
{
	struct reply r = scene_admin(sc, "GET", path);
	char *body = r.body;

	if (r.status != 200)
		fail_msg("%s: %d %s", path, r.status, r.body);
	r.body = NULL;
	reply_free(&r);
	return body;
}

static void
expect_body(struct scene *sc, const char *path, const char *want)
{
	char *body = body_of(sc, path);

	if (strstr(body, want) == NULL)
		fail_msg("%s: no '%s' in:\n%s", path, want, body);
	mem_free(body);
}

static void
expect_no(struct scene *sc, const char *path, const char *unwanted)
{
	char *body = body_of(sc, path);

	if (strstr(body, unwanted))
		fail_msg("%s: '%s' in:\n%s", path, unwanted, body);
	mem_free(body);
}

/* A number that is counted a turn later. */
static void
await_body(struct scene *sc, const char *path, const char *want)
{
	uint64_t until = scene_now_ms() + 3000;
	bool seen = false;

	while (!seen && scene_now_ms() < until) {
		char *body = body_of(sc, path);

		seen = strstr(body, want) != NULL;
		mem_free(body);
		if (!seen)
			scene_pause();
	}
	if (!seen)
		expect_body(sc, path, want);
}

static void
expect_refusal(struct scene *sc, const char *method, const char *path, int status, const char *body)
{
	struct reply r = scene_admin(sc, method, path);

	if (r.status != status || strstr(r.body, body) == NULL)
		fail_msg("%s %s: %d %s", method, path, r.status, r.body);
	reply_free(&r);
}

static void
every_path_answers_with_its_type(void **state)
{
	static const struct {
		const char *path, *type, *begin;
	} rows[] = {
	    {"/", HTML, "<"},
	    {"/help", TEXT, "admin commands are:\n  /"},
	    {"/ready", TEXT, "LIVE\n"},
	    {"/server_info", JSON, "{\n"},
	    {"/stats", TEXT, ""},
	    {"/stats?format=json", JSON, "{"},
	    {"/stats?format=html", HTML, "<"},
	    {"/stats?format=prometheus", TEXT, "# HELP "},
	    {"/stats/prometheus", TEXT, "# HELP "},
	    {"/clusters", TEXT, "api::observability_name::api\n"},
	    {"/clusters?format=json", JSON, "{"},
	    {"/listeners", TEXT, "main::127.0.0.1:"},
	    {"/listeners?format=json", JSON, "{"},
	    {"/config_dump", JSON, "{\n"},
	    {"/init_dump", JSON, "{"},
	    {"/memory", JSON, "{\n"},
	    {"/certs", JSON, "{\n"},
	    {"/hot_restart_version", TEXT, "1.0"},
	    {"/runtime", JSON, "{"},
	    {"/contention", TEXT, ""},
	};
	struct scene sc;

	start(&sc);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply r = scene_admin(&sc, "GET", rows[i].path), head;
		const char *type = reply_header(&r, "content-type");

		if (r.status != 200 || !r.complete || !type || strcmp(type, rows[i].type) != 0 ||
		    strncmp(r.body, rows[i].begin, strlen(rows[i].begin)) != 0)
			fail_msg("%s: %d %s %s", rows[i].path, r.status, r.head, r.body);
		assert_string_equal(reply_header(&r, "cache-control"), "no-cache, max-age=0");
		assert_string_equal(reply_header(&r, "x-content-type-options"), "nosniff");
		assert_string_equal(reply_header(&r, "server"), "envoy");
		assert_non_null(reply_header(&r, "date"));
		reply_free(&r);
		head = scene_admin(&sc, "HEAD", rows[i].path);
		assert_int_equal(head.status, 200);
		reply_free(&head);
	}
	scene_fini(&sc);
}

static void
changes_need_post_and_unknown_paths_get_help(void **state)
{
	static const char *const paths[] = {"/healthcheck/fail", "/healthcheck/ok",
	    "/drain_listeners", "/reopen_logs", "/logging", "/reset_counters", "/quitquitquit",
	    "/runtime_modify"};
	struct scene sc;
	struct reply r;

	start(&sc);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		expect_refusal(&sc, "GET", paths[i], 405, "Method GET not allowed, POST required.");
	expect_refusal(&sc, "GET", "/nonsense", 404, "invalid path. admin commands are:\n");
	expect_refusal(&sc, "GET", "/statsx", 404, "invalid path. ");
	expect_refusal(&sc, "POST", "/runtime_modify", 400, "");
	expect_refusal(&sc, "POST", "/runtime_modify?a=b", 503, "");
	r = scene_request(
	    &sc, sc.admin_port, "POST", "/healthcheck/fail", "Origin: http://evil.example\r\n", "");
	assert_int_equal(r.status, 403);
	reply_free(&r);
	assert_int_equal(scene_admin_status(&sc, "GET", "/ready"), 200);
	scene_fini(&sc);
}

static void
a_strange_host_is_refused(void **state)
{
	static const struct {
		const char *host;
		int status;
	} rows[] = {
	    {"127.0.0.1", 200},
	    {"localhost", 200},
	    {"[::1]:9901", 200},
	    {"evil.example", 403},
	};
	struct scene sc;

	start(&sc);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *request = mem_printf("GET /ready HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host);
		int fd = client_connect(sc.admin_port);
		struct reply r;

		client_send(fd, request);
		r = client_reply(fd, false);
		if (r.status != rows[i].status)
			fail_msg("%s: %d", rows[i].host, r.status);
		reply_free(&r);
		mem_free(request);
		close(fd);
	}
	scene_fini(&sc);
}

static void
it_speaks_http2(void **state)
{
	struct scene sc;
	char *url, *out;

	start(&sc);
	url = mem_printf("http://127.0.0.1:%u/stats", sc.admin_port);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "/usr/bin/curl", "-sS", "--max-time", "10",
		"--http2-prior-knowledge", "-w", "%{http_version} %{http_code}", url, NULL),
	    0);
	assert_non_null(strstr(out, "server.live: 1\n"));
	assert_non_null(strstr(out, "2 200"));
	mem_free(out);
	mem_free(url);
	assert_stat(&sc, "http.admin.downstream_cx_http2_total", 1);
	scene_fini(&sc);
}

static void
it_stands_on_a_unix_socket(void **state)
{
	struct scene sc;
	char *config, *path, *out;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	pid_t pid;

	scene_init(&sc);
	config = mem_printf("%s/baton.yaml", sc.dir);
	path = mem_printf("%s/admin.sock", sc.dir);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	scene_write_config(&sc, "admin: {address: {pipe: {path: \"@DIR@/admin.sock\"}}}\n");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(open(sc.log, O_WRONLY | O_CREAT | O_APPEND, 0600), 2);
		execl(scene_program("baton"), "baton", "-c", config, "--runtime-dir", sc.dir, NULL);
		_exit(127);
	}
	sc.proxy = pid;
	scene_wait_log(&sc, "start-up complete");
	assert_int_equal(scene_run_tool(&sc, &out, "/usr/bin/curl", "-sS", "--max-time", "10",
			     "--unix-socket", path, "http://localhost/ready", NULL),
	    0);
	assert_string_equal(out, "LIVE\n");
	mem_free(out);
	kill(pid, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	mem_free(config);
	mem_free(path);
	scene_fini(&sc);
}

static bool
is_ready(struct scene *sc)
{
	return scene_admin_status(sc, "GET", "/ready") == 200;
}

static void
killed_again_and_again_it_comes_back_whole(void **state)
{
	struct scene sc;
	pid_t admin = 0;

	start(&sc);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	assert_int_equal(scene_admin_status(&sc, "POST", "/healthcheck/fail"), 200);
	for (int i = 0; i < 2; i++) {
		admin = scene_wait_child(&sc, "admin", admin);
		kill(admin, SIGKILL);
	}
	scene_wait_child(&sc, "admin", admin);
	WAIT_FOR(scene_admin_status(&sc, "GET", "/server_info") == 200);
	expect_refusal(&sc, "GET", "/ready", 503, "DRAINING\n");
	assert_int_equal(scene_admin_status(&sc, "POST", "/healthcheck/ok"), 200);
	WAIT_FOR(is_ready(&sc));
	expect_body(&sc, "/listeners", "main::127.0.0.1:");
	expect_body(&sc, "/clusters", "::rq_total::1\n");
	expect_body(&sc, "/config_dump", "\"ingress\"");
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	assert_stat(&sc, "server.live", 1);
	assert_stat(&sc, "cluster_manager.active_clusters", 1);
	assert_stat(&sc, "listener_manager.total_listeners_active", 1);
	assert_int_equal(scene_admin_status(&sc, "POST", "/quitquitquit"), 200);
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

/* ---- /stats */

static void
stats_in_every_form(void **state)
{
	struct scene sc;

	start(&sc);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	expect_body(&sc, "/stats", "cluster.api.upstream_rq_200: 1\n");
	expect_body(&sc, "/stats", "cluster.api.upstream_cx_connect_timeout: 0\n");
	expect_no(&sc, "/stats?usedonly", "upstream_cx_connect_timeout");
	expect_body(
	    &sc, "/stats?usedonly&filter=upstream_rq_2", "cluster.api.upstream_rq_200: 1\n");
	expect_no(&sc, "/stats?filter=%5Ehttp%5C.", "cluster.");
	expect_body(&sc, "/stats?filter=%5Ehttp%5C.", "http.ingress.downstream_rq_2xx: 1\n");
	expect_refusal(&sc, "GET", "/stats?filter=%28", 400, "Invalid re2 regex");
	expect_refusal(&sc, "GET", "/stats?format=blergh", 400, "usage: /stats?format=");
	expect_refusal(&sc, "GET", "/stats?type=blergh", 400, "");
	expect_refusal(&sc, "GET", "/stats?histogram_buckets=blergh", 400, "");
	expect_no(&sc, "/stats?type=Gauges", "downstream_rq_2xx");
	expect_body(&sc, "/stats?type=Gauges", "http.ingress.downstream_cx_active: 0\n");
	expect_no(&sc, "/stats?type=Counters", "downstream_cx_active");
	expect_no(&sc, "/stats?type=Histograms", "downstream_cx_active");
	expect_body(&sc, "/stats?type=Histograms", "cluster.api.upstream_rq_time: P0(");
	expect_no(&sc, "/stats?type=TextReadouts", "downstream_cx_active");

#define HISTOGRAM "/stats?filter=listener.*connections_accepted_per&histogram_buckets="
	expect_body(&sc, HISTOGRAM "none", ": P0(");
	expect_body(&sc, HISTOGRAM "none",
	    "P50(nan,1.05) P75(nan,1.075) P90(nan,1.09) P95(nan,1.095) "
	    "P99(nan,1.099) P99.5(nan,1.0995) P99.9(nan,1.0999) P100(nan,1.1)\n");
	expect_body(&sc, HISTOGRAM "cumulative", ": B0.5(0,0) B1(0,");
	expect_body(&sc, HISTOGRAM "disjoint", ": B0.5(0,0) B1(0,");
	expect_body(&sc, HISTOGRAM "detailed", "  totals=1,0.1:1\n");
	expect_body(&sc, HISTOGRAM "detailed", "  summary=P0(");
	expect_body(&sc, HISTOGRAM "summary", "P99.9(nan,1.0999)");

	expect_body(
	    &sc, "/stats?format=json", "{\"name\":\"cluster.api.upstream_rq_200\",\"value\":1}");
	expect_body(&sc, "/stats?format=json",
	    "\"supported_quantiles\":[0,25,50,75,90,95,99,99.5,99.9,100]");
	expect_body(&sc, "/stats?format=json", "{\"cumulative\":1.05,\"interval\":null}");
	expect_body(&sc, "/stats?format=json&histogram_buckets=cumulative",
	    "\"buckets\":[{\"upper_bound\":0.5,");
	expect_body(&sc, "/stats?format=json&pretty", "\n");
	scene_fini(&sc);
}

/* Named by rules of the operator: tags, buckets, and what is not counted at all. */
static void
stats_as_configured(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc,
	    "stats_config:\n"
	    "  stats_tags: [{tag_name: place, fixed_value: here},\n"
	    "    {tag_name: which, regex: '^cluster\\.((.+?)\\.)upstream_rq_total'}]\n"
	    "  stats_matcher: {exclusion_list: {patterns: [{prefix: cluster.api.upstream_cx}]}}\n"
	    "  histogram_bucket_settings: [{match: {suffix: upstream_rq_time}, buckets: [7, "
	    "70000]}]\n" CONF_SIMPLE);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "cluster.api.upstream_rq_total", 1);
	expect_no(&sc, "/stats", "cluster.api.upstream_cx");
	expect_body(&sc, "/stats?filter=upstream_rq_time&histogram_buckets=cumulative", "B70000(");
	expect_body(&sc, "/stats/prometheus?filter=upstream_rq_total", "place=\"here\"");
	expect_body(&sc, "/stats/prometheus?filter=upstream_rq_total", "which=\"api\"");
	scene_fini(&sc);

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, "stats_config: {stats_matcher: {reject_all: true}}\n" CONF_SIMPLE);
	for (int i = 0; i < 10; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	expect_no(&sc, "/stats", ".");
	expect_no(&sc, "/stats/prometheus", "envoy");
	scene_fini(&sc);
}

static void
prometheus_understands(void **state)
{
	struct scene sc;
	char *command, line[512];
	bool any = false;
	FILE *p;

	start(&sc);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	expect_body(&sc, "/stats/prometheus",
	    "envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"api\"} "
	    "1\n");
	expect_body(&sc, "/stats/prometheus", "# TYPE envoy_cluster_upstream_rq counter\n");
	expect_body(&sc, "/stats/prometheus", "envoy_server_live{} 1\n");
	expect_body(&sc, "/stats/prometheus",
	    "envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\","
	    "envoy_http_conn_manager_prefix=\"ingress\"} 1\n");
	expect_body(
	    &sc, "/stats/prometheus", "_bucket{envoy_cluster_name=\"api\",le=\"+Inf\"} 1\n");
	expect_body(&sc, "/stats/prometheus?histogram_buckets=summary", "quantile=\"0.5\"");
	expect_no(&sc, "/stats/prometheus", "text_value");
	expect_body(&sc, "/stats/prometheus?text_readouts", "text_value=\"");
	expect_no(&sc, "/stats/prometheus?usedonly", "upstream_cx_connect_timeout");
	expect_no(&sc, "/stats/prometheus?filter=%5Eserver", "envoy_cluster");
	if (system("command -v promtool >/dev/null") == 0) {
		command = mem_printf(
		    "curl -s http://127.0.0.1:%u/stats/prometheus | promtool check metrics 2>&1",
		    sc.admin_port);
		p = popen(command, "r");
		assert_non_null(p);
		while (fgets(line, sizeof(line), p)) {
			any = true;
			/* Envoy's names are not to Prometheus' taste; nothing else may be said. */
			if (!strstr(line, "have \"_total\" suffix") &&
			    !strstr(line, "abbreviated units") && !strstr(line, "use base unit"))
				fail_msg("promtool: %s", line);
		}
		pclose(p);
		assert_true(any);
		mem_free(command);
	}
	scene_fini(&sc);
}

static void
counters_can_begin_again(void **state)
{
	struct scene sc;

	start(&sc);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	expect_refusal(&sc, "POST", "/reset_counters", 200, "OK\n");
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	assert_stat(&sc, "server.live", 1);
	scene_fini(&sc);
}

/* ---- the others */

static void
clusters_and_their_hosts(void **state)
{
	static const char *const keys[] = {"cx_active", "cx_connect_fail", "cx_total", "rq_active",
	    "rq_error", "rq_success", "rq_timeout", "rq_total", "hostname", "health_flags",
	    "weight", "region", "zone", "sub_zone", "canary", "priority", "success_rate",
	    "local_origin_success_rate"};
	struct scene sc;
	struct strb want = {0};
	char *body;
	const char *at;

	start(&sc);
	assert_int_equal(scene_status(&sc, "/"), 200);
	await_body(&sc, "/clusters", "::rq_success::1\n");
	body = body_of(&sc, "/clusters");
	strb_printf(&want,
	    "api::observability_name::api\napi::default_priority::max_connections::1024\n"
	    "api::default_priority::max_pending_requests::1024\n"
	    "api::default_priority::max_requests::1024\n"
	    "api::default_priority::max_retries::3\n"
	    "api::high_priority::max_connections::1024\n"
	    "api::high_priority::max_pending_requests::1024\n"
	    "api::high_priority::max_requests::1024\n"
	    "api::high_priority::max_retries::3\n"
	    "api::added_via_api::false\napi::127.0.0.1:%u::cx_active::",
	    sc.host_port[0]);
	if (strncmp(body, strb_z(&want), want.n) != 0)
		fail_msg("%s", body);
	at = body;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		strb_reset(&want);
		strb_printf(&want, "api::127.0.0.1:%u::%s::", sc.host_port[0], keys[i]);
		if ((at = strstr(at, strb_z(&want))) == NULL)
			fail_msg("no %s in its place in:\n%s", keys[i], body);
	}
	assert_non_null(strstr(body, "::health_flags::healthy\n"));
	assert_non_null(strstr(body, "::success_rate::-1\n"));
	mem_free(body);
	strb_fini(&want);
	expect_body(&sc, "/clusters?format=json", "\"cluster_statuses\"");
	expect_body(&sc, "/clusters?format=json", "\"eds_health_status\": \"HEALTHY\"");
	expect_body(&sc, "/clusters?format=json", "\"name\": \"rq_total\"");
	expect_no(&sc, "/clusters?filter=none", "api::");
	scene_fini(&sc);
}

static void
the_configuration_in_force(void **state)
{
	struct scene sc;

	start(&sc);
	expect_body(&sc, "/config_dump", "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump");
	expect_body(&sc, "/config_dump", "type.googleapis.com/envoy.admin.v3.ClustersConfigDump");
	expect_body(&sc, "/config_dump", "type.googleapis.com/envoy.admin.v3.ListenersConfigDump");
	expect_body(&sc, "/config_dump", "type.googleapis.com/envoy.admin.v3.RoutesConfigDump");
	expect_body(&sc, "/config_dump", "\"last_updated\": \"20");
	expect_no(&sc, "/config_dump?resource=static_clusters", "ListenersConfigDump");
	expect_body(&sc, "/config_dump?resource=static_clusters", "\"connect_timeout\": \"1s\"");
	expect_no(
	    &sc, "/config_dump?resource=static_clusters&mask=cluster.name", "connect_timeout");
	expect_body(&sc, "/config_dump?resource=static_clusters&mask=cluster.name", "\"api\"");
	expect_no(
	    &sc, "/config_dump?resource=static_clusters&name_regex=nothing", "\"connect_timeout\"");
	expect_body(
	    &sc, "/config_dump?resource=static_clusters&name_regex=api", "\"connect_timeout\"");
	expect_no(&sc, "/config_dump", "EndpointsConfigDump");
	expect_body(&sc, "/config_dump?include_eds", "EndpointsConfigDump");
	expect_body(&sc, "/config_dump?include_eds&resource=static_endpoint_configs",
	    "\"cluster_name\": \"api\"");
	expect_refusal(&sc, "GET", "/config_dump?resource=nonsense", 404, "");
	expect_refusal(&sc, "GET", "/config_dump?resource=bootstrap", 400, "");
	expect_refusal(&sc, "GET", "/config_dump?name_regex=%28", 400, "");
	scene_fini(&sc);
}

static void
about_the_server(void **state)
{
	struct scene sc;

	start(&sc);
	expect_body(&sc, "/server_info", "\"state\": \"LIVE\"");
	expect_body(&sc, "/server_info", "\"concurrency\": 2");
	expect_body(&sc, "/server_info", "\"id\": \"test-node\"");
	expect_body(&sc, "/server_info", "\"hot_restart_version\": \"1.0\"");
	expect_body(&sc, "/memory", "\"allocated\": \"");
	expect_body(&sc, "/listeners?format=json", "\"listener_statuses\"");
	expect_body(&sc, "/listeners?format=json", "\"port_value\": ");
	expect_body(&sc, "/runtime", "\"layers\": []");
	expect_body(&sc, "/certs", "\"certificates\": []");
	expect_body(&sc, "/help", "\n  /healthcheck/fail (POST): ");
	expect_body(&sc, "/", "<form");
	assert_stat(&sc, "server.concurrency", 2);
	assert_stat(&sc, "server.state", 0);
	scene_fini(&sc);
}

static void
log_levels_change_while_it_runs(void **state)
{
	struct scene sc;

	start(&sc);
	expect_refusal(&sc, "POST", "/logging", 200, "active loggers:\n  admin: info\n");
	expect_refusal(&sc, "POST", "/logging?http=debug", 200, "  http: debug\n");
	expect_refusal(&sc, "POST", "/logging", 200, "  admin: info\n");
	expect_refusal(&sc, "POST", "/logging?level=warning", 200, "  admin: warning\n");
	expect_refusal(
	    &sc, "POST", "/logging?paths=http:trace,admin:error", 200, "  admin: error\n");
	expect_refusal(&sc, "POST", "/logging", 200, "  http: trace\n");
	expect_refusal(&sc, "POST", "/logging?level=loud", 400, "");
	expect_refusal(&sc, "POST", "/logging?nonsense=info", 400, "");
	expect_refusal(&sc, "POST", "/logging?http=info&admin=info", 400, "");
	/* What workers do is told too. */
	assert_int_equal(scene_status(&sc, "/"), 200);
	scene_wait_log(&sc, "[trace][http]");
	scene_fini(&sc);
}

/* ---- stopping */

static bool
refuses(struct scene *sc)
{
	int fd = client_connect(sc->port);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void
listeners_stop_when_told(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t worker;
	int fd;

	/* Not inbound: nothing happens. */
	start(&sc);
	expect_refusal(&sc, "POST", "/drain_listeners?inboundonly", 200, "OK\n");
	assert_int_equal(scene_status(&sc, "/"), 200);
	/* Told to go, but served. */
	expect_refusal(&sc, "POST", "/drain_listeners?graceful&skip_exit", 200, "OK\n");
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(scene_admin_status(&sc, "GET", "/ready"), 200);
	/* The last in the queue is served, the next is refused, by the worker that comes later too.
	 */
	worker = scene_child(&sc, "worker 1");
	fd = client_connect(sc.port);
	expect_refusal(&sc, "POST", "/drain_listeners", 200, "OK\n");
	WAIT_FOR(refuses(&sc));
	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	assert_stat(&sc, "listener_manager.listener_stopped", 1);
	kill(worker, SIGKILL);
	scene_wait_child(&sc, "worker 1", worker);
	for (int i = 0; i < 20; i++)
		assert_true(refuses(&sc));
	assert_int_equal(scene_admin_status(&sc, "GET", "/ready"), 200);
	scene_fini(&sc);
}

static void
a_graceful_drain_stops_listeners_at_its_end(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--drain-time-s";
	sc.extra[1] = "1";
	sc.extra[2] = "--drain-strategy";
	sc.extra[3] = "immediate";
	scene_proxy(&sc, CONF_SIMPLE);
	fd = client_connect(sc.port);
	expect_refusal(&sc, "POST", "/drain_listeners?graceful", 200, "OK\n");
	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "connection"), "close");
	reply_free(&r);
	close(fd);
	WAIT_FOR(refuses(&sc));
	scene_fini(&sc);
}

static void
quitquitquit_ends_with_success(void **state)
{
	struct scene sc;

	start(&sc);
	expect_refusal(&sc, "POST", "/quitquitquit", 200, "OK\n");
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_path_answers_with_its_type),
	    cmocka_unit_test(changes_need_post_and_unknown_paths_get_help),
	    cmocka_unit_test(a_strange_host_is_refused),
	    cmocka_unit_test(it_speaks_http2),
	    cmocka_unit_test(it_stands_on_a_unix_socket),
	    cmocka_unit_test(killed_again_and_again_it_comes_back_whole),
	    cmocka_unit_test(stats_in_every_form),
	    cmocka_unit_test(stats_as_configured),
	    cmocka_unit_test(prometheus_understands),
	    cmocka_unit_test(counters_can_begin_again),
	    cmocka_unit_test(clusters_and_their_hosts),
	    cmocka_unit_test(the_configuration_in_force),
	    cmocka_unit_test(about_the_server),
	    cmocka_unit_test(log_levels_change_while_it_runs),
	    cmocka_unit_test(listeners_stop_when_told),
	    cmocka_unit_test(a_graceful_drain_stops_listeners_at_its_end),
	    cmocka_unit_test(quitquitquit_ends_with_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
