/* What each endpoint answers. */
#include "tests/unit/admin/web/prepared.h"

#include <jansson.h>

#include "admin/control.h"

static void
bodies_are_as_expected(void **state)
{
	static const struct {
		const char *method, *target;
		unsigned status;
		enum web_type type;
		const char *body; /* whole, or NULL */
		const char *has;  /* or a part of it */
	} rows[] = {
	    {"GET", "/ready", 200, WEB_TEXT, "LIVE\n", NULL},
	    {"GET", "/ready?x=1", 200, WEB_TEXT, "LIVE\n", NULL},
	    {"GET", "/nothing", 404, WEB_TEXT, NULL, "invalid path. admin commands are:\n  /: "},
	    {"GET", "/ready/", 404, WEB_TEXT, NULL, "invalid path. "},
	    {"GET", "/help", 200, WEB_TEXT, NULL, "\n  /quitquitquit (POST): "},
	    {"GET", "/help", 200, WEB_TEXT, NULL, "; One of (none, cumulative, disjoint, detailed, summary)\n"},
	    {"GET", "/", 200, WEB_HTML, NULL, "<form action='healthcheck/fail' method='post'"},
	    {"GET", "/healthcheck/fail", 405, WEB_TEXT, "Method GET not allowed, POST required.", NULL},
	    {"PUT", "/quitquitquit", 405, WEB_TEXT, "Method PUT not allowed, POST required.", NULL},
	    {"GET", "/logging", 405, WEB_TEXT, "Method GET not allowed, POST required.", NULL},
	    {"GET", "/listeners", 200, WEB_TEXT, "ingress::127.0.0.1:18000\n", NULL},
	    {"GET", "/listeners?format=json", 200, WEB_JSON, NULL, "\"port_value\": 18000"},
	    {"GET", "/certs", 200, WEB_JSON, NULL, "\"certificates\": []"},
	    {"GET", "/runtime", 200, WEB_JSON, NULL, "\"layers\": []"},
	    {"POST", "/runtime_modify", 400, WEB_TEXT, NULL, "usage: /runtime_modify?"},
	    {"POST", "/runtime_modify?a=b", 503, WEB_TEXT, "No admin layer specified", NULL},
	    {"GET", "/init_dump", 200, WEB_JSON, "{}\n", NULL},
	    {"GET", "/contention", 200, WEB_TEXT, NULL, "not enabled"},
	    {"GET", "/hot_restart_version", 200, WEB_TEXT, "disabled\n", NULL},
	    {"GET", "/memory", 200, WEB_JSON, NULL, "\"total_physical_bytes\": \""},
	    {"GET", "/server_info", 200, WEB_JSON, NULL, "\"state\": \"LIVE\""},
	    {"GET", "/server_info", 200, WEB_JSON, NULL, "\"drain_time\": \"600s\""},
	    {"GET", "/server_info", 200, WEB_JSON, NULL, "\"file_flush_interval\": \"1.500s\""},
	    {"GET", "/server_info", 200, WEB_JSON, NULL, "\"id\": \"n1\""},
	    {"POST", "/drain_listeners?skip_exit", 200, WEB_TEXT, "OK\n", NULL},
	    {"POST", "/drain_listeners?graceful&skip_exit", 200, WEB_TEXT, "OK\n", NULL},
	    {"POST", "/reopen_logs", 200, WEB_TEXT, "OK\n", NULL},
	    {"POST", "/logging", 200, WEB_TEXT, NULL, "active loggers:\n  admin: "},
	    {"POST", "/logging?nobody=debug", 400, WEB_TEXT, NULL, "unknown logger name nobody"},
	    {"POST", "/logging?admin=loud", 400, WEB_TEXT, NULL, "unknown logger level loud"},
	    {"POST", "/logging?admin=info&http=info", 400, WEB_TEXT, NULL, "only one change"},
	    {"POST", "/logging?paths=admin:info,nobody:info", 400, WEB_TEXT, NULL, "unknown logger name nobody"},
	    {"GET", "/stats?format=xml", 400, WEB_TEXT, NULL, "usage: /stats?format="},
	    {"GET", "/stats?type=Things", 400, WEB_TEXT, NULL, "invalid /stats?type="},
	    {"GET", "/stats?filter=%5B", 400, WEB_TEXT, "Invalid re2 regex", NULL},
	    {"GET", "/stats?histogram_buckets=x", 400, WEB_TEXT, NULL, "usage: /stats?histogram_buckets="},
	    {"GET", "/stats?hidden=only", 200, WEB_TEXT, "", NULL},
	    {"GET", "/stats?filter=%5Ecluster.api_stats.upstream_rq_total$", 200, WEB_TEXT,
		"cluster.api_stats.upstream_rq_total: 0\n", NULL},
	    {"GET", "/stats?format=html&filter=upstream_rq_total", 200, WEB_HTML, NULL,
		"<tr><td>cluster.api_stats.upstream_rq_total</td><td>0</td></tr>"},
	    {"GET", "/stats?format=prometheus&filter=web.downstream_rq_total", 200, WEB_TEXT, NULL,
		"envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"web\"} 0\n"},
	    {"GET", "/stats/prometheus?filter=cluster.api_stats.membership_total", 200, WEB_TEXT, NULL,
		"# TYPE envoy_cluster_membership_total gauge\n"},
	    {"GET", "/config_dump?resource=bootstrap", 400, WEB_TEXT, NULL, "not a repeated field"},
	    {"GET", "/config_dump?resource=nothing", 404, WEB_TEXT, "nothing not found in config dump\n", NULL},
	    {"GET", "/config_dump?name_regex=%5B", 400, WEB_TEXT, NULL, "Error while parsing name_regex"},
	    {"GET", "/config_dump?resource=dynamic_listeners", 200, WEB_JSON, NULL, "\"configs\": []"},
	    {"GET", "/clusters?filter=%5B", 400, WEB_TEXT, "Invalid re2 regex", NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum web_type type;
		unsigned status;
		const char *body = ask(*state, rows[i].method, rows[i].target, &status, &type);

		if (status != rows[i].status || type != rows[i].type ||
		    (rows[i].body && strcmp(body, rows[i].body) != 0) ||
		    (rows[i].has && strstr(body, rows[i].has) == NULL))
			fail_msg("%s %s: %u, type %d:\n%s", rows[i].method, rows[i].target, status, type, body);
	}
}

static void
every_json_answer_is_json(void **state)
{
	static const char *const targets[] = {"/server_info", "/memory", "/certs", "/runtime", "/init_dump",
	    "/listeners?format=json", "/clusters?format=json", "/config_dump",
	    "/config_dump?mask=bootstrap.node", "/config_dump?resource=static_listeners",
	    "/config_dump?name_regex=nobody", "/stats?format=json", "/stats?format=json&pretty",
	    "/stats?format=json&histogram_buckets=cumulative"};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		unsigned status;
		const char *body = ask(*state, "GET", targets[i], &status, NULL);
		json_error_t error;
		json_t *j = json_loads(body, 0, &error);

		if (j == NULL)
			fail_msg("%s: %s\n%s", targets[i], error.text, body);
		json_decref(j);
	}
}

static void
clusters_are_listed_as_envoy_does(void **state)
{
	static const char expected[] =
	    "api::observability_name::api_stats\n"
	    "api::default_priority::max_connections::7\n"
	    "api::default_priority::max_pending_requests::1024\n"
	    "api::default_priority::max_requests::1024\n"
	    "api::default_priority::max_retries::3\n"
	    "api::high_priority::max_connections::1024\n"
	    "api::high_priority::max_pending_requests::1024\n"
	    "api::high_priority::max_requests::1024\n"
	    "api::high_priority::max_retries::3\n"
	    "api::added_via_api::false\n"
	    "api::10.0.0.1:80::cx_active::0\n"
	    "api::10.0.0.1:80::cx_connect_fail::0\n"
	    "api::10.0.0.1:80::cx_total::0\n"
	    "api::10.0.0.1:80::rq_active::0\n"
	    "api::10.0.0.1:80::rq_error::0\n"
	    "api::10.0.0.1:80::rq_success::2\n"
	    "api::10.0.0.1:80::rq_timeout::0\n"
	    "api::10.0.0.1:80::rq_total::2\n"
	    "api::10.0.0.1:80::hostname::one\n"
	    "api::10.0.0.1:80::health_flags::healthy\n"
	    "api::10.0.0.1:80::weight::3\n"
	    "api::10.0.0.1:80::region::eu\n"
	    "api::10.0.0.1:80::zone::a\n"
	    "api::10.0.0.1:80::sub_zone::\n"
	    "api::10.0.0.1:80::canary::false\n"
	    "api::10.0.0.1:80::priority::0\n"
	    "api::10.0.0.1:80::success_rate::-1\n"
	    "api::10.0.0.1:80::local_origin_success_rate::-1\n"
	    "api::10.0.0.2:80::cx_active::0\n";
	struct host_stats *host = host_stats_of("api|10.0.0.1:80|");
	unsigned status;
	const char *body;

	stat_add(&host->rq_total, 2);
	stat_add(&host->rq_success, 2);
	body = ask(*state, "GET", "/clusters", &status, NULL);
	assert_int_equal(strncmp(body, expected, sizeof(expected) - 1), 0);
	assert_non_null(strstr(
	    body, "api::10.0.0.2:80::health_flags::/failed_eds_health/eds_status_draining\n"));
	assert_non_null(strstr(body, "other::observability_name::other\n"));
	body = ask(*state, "GET", "/clusters?filter=^other", &status, NULL);
	assert_null(strstr(body, "api::10"));
	body = ask(*state, "GET", "/clusters?format=json", &status, NULL);
	assert_non_null(strstr(body, "\"value\": \"2\",\n       \"name\": \"rq_total\""));
	assert_non_null(strstr(body, "\"eds_health_status\": \"DRAINING\""));
}

static void
verdicts_of_the_operator_show_everywhere(void **state)
{
	static const struct {
		const char *line;
		unsigned status;
		const char *flags; /* of 10.0.0.1 then */
		int64_t healthy, excluded;
	} rows[] = {
	    {"host api 10.0.0.1:80 drain", 0, "/operator_drain\n", 0, 1},
	    {"host api 10.0.0.1:80 fail", 0, "/operator_fail\n", 0, 1},
	    {"host api 10.0.0.1:80 sleep", 3, "/operator_fail\n", 0, 1},
	    {"host api 10.0.0.1:80 ok", 0, "healthy\n", 1, 0},
	    {"host api 10.0.0.9:80 fail", 3, "healthy\n", 1, 0},
	    {"host nobody 10.0.0.1:80 fail", 3, "healthy\n", 1, 0},
	    {"host api", 2, "healthy\n", 1, 0},
	    {"sing", 2, "healthy\n", 1, 0},
	};
	struct prepared *p = *state;
	struct cluster_stats *stats = cluster_stats_of("cluster.api_stats.");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct strb out = {0};
		char expected[128];
		unsigned status;

		assert_int_equal(control_run(&p->admin, str_of(rows[i].line), false, &out), rows[i].status);
		assert_true(out.n > 0);
		strb_fini(&out);
		snprintf(expected, sizeof(expected), "api::10.0.0.1:80::health_flags::%s", rows[i].flags);
		assert_non_null(strstr(ask(p, "GET", "/clusters", &status, NULL), expected));
		stats_update(&p->admin);
		assert_int_equal(stat_gauge_value(stats->membership_healthy.raw), rows[i].healthy);
		assert_int_equal(stat_gauge_value(stats->membership_excluded.raw), rows[i].excluded);
		assert_int_equal(stat_gauge_value(stats->membership_total.raw), 2);
		assert_int_equal(stat_gauge_value(stats->max_host_weight.raw), 3);
	}
}

static void
failed_health_takes_the_proxy_out_of_rotation(void **state)
{
	struct server_stats *server = server_stats_of("server.");
	unsigned status;

	assert_string_equal(ask(*state, "POST", "/healthcheck/fail", &status, NULL), "OK\n");
	assert_string_equal(ask(*state, "GET", "/ready", &status, NULL), "DRAINING\n");
	assert_int_equal(status, 503);
	assert_int_equal(stat_gauge_value(server->live.raw), 0);
	assert_int_equal(stat_gauge_value(server->state.raw), SERVER_DRAINING);
	assert_non_null(strstr(ask(*state, "GET", "/server_info", &status, NULL), "\"state\": \"DRAINING\""));
	assert_string_equal(ask(*state, "POST", "/healthcheck/ok", &status, NULL), "OK\n");
	assert_string_equal(ask(*state, "GET", "/ready", &status, NULL), "LIVE\n");
	assert_int_equal(status, 200);
	assert_int_equal(stat_gauge_value(server->live.raw), 1);
}

static void
a_proxy_that_starts_is_not_ready(void **state)
{
	unsigned status;

	shm_flags()->state = SERVER_PRE_INITIALIZING;
	assert_string_equal(ask(*state, "GET", "/ready", &status, NULL), "PRE_INITIALIZING\n");
	assert_int_equal(status, 503);
	shm_flags()->state = SERVER_INITIALIZING;
	assert_string_equal(ask(*state, "GET", "/ready", &status, NULL), "INITIALIZING\n");
	assert_int_equal(status, 503);
}

static void
log_levels_change_one_by_one_or_all(void **state)
{
	unsigned status;

	log_set_all(LOG_INFO);
	ask(*state, "POST", "/logging?http=warn", &status, NULL);
	assert_int_equal(log_levels[LOG_HTTP], LOG_WARNING);
	assert_int_equal(log_levels[LOG_ADMIN], LOG_INFO);
	ask(*state, "POST", "/logging?paths=http:error,router:off", &status, NULL);
	assert_int_equal(log_levels[LOG_HTTP], LOG_ERROR);
	assert_int_equal(log_levels[LOG_ROUTER], LOG_OFF);
	ask(*state, "POST", "/logging?paths=http:info,nobody:off", &status, NULL);
	assert_int_equal(log_levels[LOG_HTTP], LOG_ERROR); /* all or nothing */
	ask(*state, "POST", "/logging?level=info", &status, NULL);
	assert_int_equal(log_levels[LOG_ROUTER], LOG_INFO);
}

static void
reset_counters_read_zero_and_count_on(void **state)
{
	struct cluster_stats *stats = cluster_stats_of("cluster.api_stats.");
	static const char target[] = "/stats?filter=%5Ecluster.api_stats.upstream_rq_total$";
	unsigned status;

	stat_add(&stats->upstream_rq_total, 5);
	assert_string_equal(
	    ask(*state, "GET", target, &status, NULL), "cluster.api_stats.upstream_rq_total: 5\n");
	assert_string_equal(ask(*state, "POST", "/reset_counters", &status, NULL), "OK\n");
	assert_string_equal(
	    ask(*state, "GET", target, &status, NULL), "cluster.api_stats.upstream_rq_total: 0\n");
	stat_add(&stats->upstream_rq_total, 2);
	assert_string_equal(
	    ask(*state, "GET", target, &status, NULL), "cluster.api_stats.upstream_rq_total: 2\n");
	assert_int_equal(stats->upstream_rq_total.raw, 7); /* shared memory goes on */
}

static json_t *
dump(struct prepared *p, const char *target)
{
	unsigned status;
	json_t *j = json_loads(ask(p, "GET", target, &status, NULL), 0, NULL), *configs;

	assert_int_equal(status, 200);
	configs = json_incref(json_object_get(j, "configs"));
	json_decref(j);
	return configs;
}

static const char *
text_at(json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static void
config_dump_has_envoys_shapes(void **state)
{
	static const char *const types[] = {"Bootstrap", "Clusters", "Listeners", "Routes"};
	json_t *c = dump(*state, "/config_dump"), *x;
	char type[128];

	assert_int_equal(json_array_size(c), 4);
	for (size_t i = 0; i < 4; i++) {
		snprintf(type, sizeof(type), "type.googleapis.com/envoy.admin.v3.%sConfigDump", types[i]);
		assert_string_equal(text_at(json_array_get(c, i), "@type"), type);
	}
	x = json_array_get(json_object_get(json_array_get(c, 1), "static_clusters"), 0);
	assert_string_equal(text_at(x, "last_updated"), "2023-11-14T22:13:20.123Z");
	x = json_object_get(x, "cluster");
	assert_string_equal(text_at(x, "@type"), "type.googleapis.com/envoy.config.cluster.v3.Cluster");
	assert_string_equal(text_at(x, "name"), "api");
	x = json_array_get(json_object_get(json_array_get(c, 3), "static_route_configs"), 0);
	assert_string_equal(text_at(json_object_get(x, "route_config"), "name"), "routes");
	json_decref(c);
}

static void
a_config_dump_that_nobody_reads_any_more_lets_go(void **state)
{
	struct prepared *p = *state;
	struct web_request q;
	struct web_reply r;

	web_request_init(&q, &p->arena, STR("GET"), STR("/config_dump"), STR(""), STR(""));
	web_reply_init(&r);
	endpoint_call(&p->admin, &q, &r);
	assert_int_equal(p->admin.store_readers, 1);
	web_reply_fini(&r);
	web_request_fini(&q);
	while (p->admin.store_readers) /* its task ends in a turn of the loop */
		loop_turn(p->admin.loop, true);
}

/* A call that adds nothing would be made again and again until the turn's time is over. */
static void
stats_go_on_behind_what_was_not_sent_yet(void **state)
{
	struct prepared *p = *state;
	struct web_request q;
	struct web_reply r;
	size_t had;

	web_request_init(&q, &p->arena, STR("GET"), STR("/stats"), STR(""), STR(""));
	web_reply_init(&r);
	endpoint_call(&p->admin, &q, &r);
	strb_reserve(&r.body, 200 * 1024);
	memset(r.body.p, '\n', 200 * 1024);
	had = r.body.n = 200 * 1024;
	for (unsigned calls = 0; r.more(r.state, &r.body); calls++)
		assert_true(calls < 1000);
	assert_non_null(strstr(r.body.p + had, "cluster.api_stats.upstream_rq_total: 0\n"));
	web_reply_fini(&r);
	web_request_fini(&q);
}

static void
config_dump_is_cut_by_resource_mask_and_name(void **state)
{
	json_t *c = dump(*state, "/config_dump?resource=static_clusters&mask=cluster.name"), *x;

	assert_int_equal(json_array_size(c), 2);
	assert_string_equal(text_at(json_array_get(c, 0), "@type"),
	    "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster");
	x = json_object_get(json_array_get(c, 0), "cluster");
	assert_int_equal(json_object_size(x), 2);
	assert_string_equal(text_at(x, "name"), "api");
	json_decref(c);

	c = dump(*state, "/config_dump?resource=static_clusters&name_regex=oth.*");
	assert_int_equal(json_array_size(c), 1);
	assert_string_equal(text_at(json_object_get(json_array_get(c, 0), "cluster"), "name"), "other");
	json_decref(c);

	c = dump(*state, "/config_dump?mask=bootstrap.node.id");
	x = json_object_get(json_object_get(json_array_get(c, 0), "bootstrap"), "node");
	assert_int_equal(json_object_size(x), 1);
	assert_null(json_object_get(json_array_get(c, 1), "static_clusters"));
	json_decref(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, unprepare)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(bodies_are_as_expected),
	    TEST(every_json_answer_is_json),
	    TEST(clusters_are_listed_as_envoy_does),
	    TEST(verdicts_of_the_operator_show_everywhere),
	    TEST(failed_health_takes_the_proxy_out_of_rotation),
	    TEST(a_proxy_that_starts_is_not_ready),
	    TEST(log_levels_change_one_by_one_or_all),
	    TEST(reset_counters_read_zero_and_count_on),
	    TEST(config_dump_has_envoys_shapes),
	    TEST(a_config_dump_that_nobody_reads_any_more_lets_go),
	    TEST(stats_go_on_behind_what_was_not_sent_yet),
	    TEST(config_dump_is_cut_by_resource_mask_and_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
