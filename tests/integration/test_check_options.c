/* What may be said of active health checks beside the ordinary: each option, as the host sees it. */
#include "tests/integration/checks.h"

#include "lib/base/mem.h"

/* threshold 1 both ways; `intervals` are all of them but no_traffic_interval. */
#define ASKED(intervals, more)                                                                     \
	"    common_lb_config: {healthy_panic_threshold: {value: 0}}\n"                            \
	"    health_checks:\n"                                                                     \
	"    - timeout: 5s\n"                                                                      \
	"      no_traffic_interval: 0.02s\n"                                                       \
	"      healthy_threshold: 1\n"                                                             \
	"      unhealthy_threshold: 1\n" intervals more
#define OFTEN "      interval: 0.02s\n"
#define CHECKS "cluster.api.health_check."

static void
start_one(struct scene *sc, const char *yaml)
{
	scene_init(sc);
	scene_scripted(sc, "one", false);
	scene_proxy(sc, yaml);
}

static void
each_question_has_its_own_connection_when_told_so(void **state)
{
	struct scene sc;

	start_one(&sc, CONF(ONE_HOST, ASKED(OFTEN, "      reuse_connection: false\n" HTTP_CHECK)));
	wait_for_passes(&sc, 5);
	assert_true(script_of(&sc, 0)->connections >= 5);
	assert_true(script_of(&sc, 0)->connections - script_of(&sc, 0)->requests <= 1);
	WAIT_FOR(script_of(&sc, 0)->open <= 1);
	assert_stat(&sc, CHECKS "failure", 0);
	scene_fini(&sc);
}

/* The check's port is that of the endpoint, else of all, else of the host. */
static void
the_port_may_be_another_one_for_all(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	scene_scripted(&sc, "for all", false);
	scene_scripted(&sc, "its own", false);
	scene_proxy(&sc, CONF("        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @HOST0@}}}\n"
			      "        - endpoint:\n"
			      "            address: {socket_address: {address: 127.0.0.1, port_value: @HOST1@}}\n"
			      "            health_check_config: {address: {socket_address: {address: 127.0.0.2, "
			      "port_value: 1}}, port_value: @HOST3@}\n",
			     ASKED(OFTEN, "      alt_port: @HOST2@\n" HTTP_CHECK)));
	WAIT_FOR(script_of(&sc, 2)->requests > 2);
	assert_true(scene_host_is(&sc, 0, "healthy"));
	/* 127.0.0.2: nobody is there, whatever the port. */
	assert_true(scene_host_is(&sc, 1, "/failed_active_hc"));
	assert_int_equal(script_of(&sc, 0)->requests + script_of(&sc, 1)->requests, 0);
	assert_int_equal(script_of(&sc, 3)->requests, 0);
	scene_fini(&sc);
}

#define SERVICE(name) {.path = "/health", .headers = "x-envoy-upstream-healthchecked-cluster: " name "\r\n"}

static void
a_host_is_the_service_that_was_meant(void **state)
{
	static const struct rule right = SERVICE("locations-eu"), wrong = SERVICE("users");
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	script_add(&sc, 0, right);
	scene_proxy(&sc, CONF(ONE_HOST, ASKED(OFTEN, "      http_health_check: {path: /health, "
						     "service_name_matcher: {prefix: locations}}\n")));
	assert_true(scene_host_is(&sc, 0, "healthy"));
	assert_true(scene_stat(&sc, CHECKS "verify_cluster") > 0);
	script_clear(&sc, 0);
	script_add(&sc, 0, wrong);
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	script_clear(&sc, 0);
	script_add(&sc, 0, right);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	script_clear(&sc, 0); /* does not say: is not */
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	scene_fini(&sc);
}

/* The end of a long body is not looked at; with 0 all of it is. */
static void
a_body_is_looked_at_as_far_as_the_buffer_goes(void **state)
{
	static const struct {
		const char *check;
		const char *flags;
	} rows[] = {
	    {"{path: /health, receive: [{text: \"6e65\"}], response_buffer_size: 2}", "/failed_active_hc"},
	    {"{path: /health, receive: [{text: \"6e65\"}], response_buffer_size: 3}", "healthy"},
	    {"{path: /health, receive: [{text: \"6e65\"}], response_buffer_size: 0}", "healthy"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct strb yaml = {0};
		struct scene sc;

		scene_init(&sc);
		scene_scripted(&sc, "one", false);
		strb_addz(&yaml, CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS);
		strb_printf(&yaml, "  - name: api\n%s      http_health_check: %s\n"
				   "    load_assignment: {cluster_name: api, endpoints: [{lb_endpoints: "
				   "[{endpoint: {address: {socket_address: {address: 127.0.0.1, "
				   "port_value: @HOST0@}}}}]}]}\n",
		    ASKED(OFTEN, ""), rows[i].check);
		scene_proxy(&sc, strb_z(&yaml));
		WAIT_FOR(scene_host_is(&sc, 0, rows[i].flags));
		strb_fini(&yaml);
		scene_fini(&sc);
	}
}

/* While nobody uses the cluster its hosts are asked at another pace. */
static void
traffic_changes_the_pace(void **state)
{
	unsigned asked, after;
	struct scene sc;

	start_one(&sc, CONF(ONE_HOST, ASKED("      interval: 1000s\n", HTTP_CHECK)));
	wait_for_passes(&sc, 5); /* no_traffic_interval */
	assert_int_equal(scene_status(&sc, "/"), 200);
	do { /* until ten times the old interval brings nothing */
		asked = script_of(&sc, 0)->requests;
		usleep(200000);
		after = script_of(&sc, 0)->requests;
	} while (asked != after);
	scene_fini(&sc);
}

/* A host that is well is asked seldom, one that fails often. */
static void
each_state_has_its_pace(void **state)
{
	unsigned asked;
	struct scene sc;

	start_one(&sc, CONF(ONE_HOST, ASKED("      interval: 1000s\n"
					    "      no_traffic_healthy_interval: 1000s\n"
					    "      unhealthy_interval: 0.02s\n",
				      HTTP_CHECK)));
	assert_true(scene_host_is(&sc, 0, "healthy"));
	asked = script_of(&sc, 0)->requests;
	usleep(200000);
	assert_int_equal(script_of(&sc, 0)->requests, asked);
	scene_fini(&sc);

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503, .times = 10});
	scene_proxy(&sc, CONF(ONE_HOST, ASKED("      interval: 1000s\n"
					      "      no_traffic_healthy_interval: 1000s\n"
					      "      unhealthy_interval: 0.02s\n",
					HTTP_CHECK)));
	WAIT_FOR(scene_host_is(&sc, 0, "healthy")); /* the eleventh */
	scene_fini(&sc);
}

/* Nobody is asked in the same moment as all others. */
static void
first_questions_are_spread(void **state)
{
	struct scene sc;
	uint64_t longest = 0;

	for (int i = 0; i < 10 && longest < 300; i++) {
		uint64_t began = scene_now_ms();

		scene_init(&sc);
		scene_scripted(&sc, "one", false);
		scene_proxy(&sc, CONF(ONE_HOST, ASKED(OFTEN, "      initial_jitter: 1s\n" HTTP_CHECK)));
		assert_true(scene_host_is(&sc, 0, "healthy")); /* serving waits for it all the same */
		if (scene_now_ms() - began > longest)
			longest = scene_now_ms() - began;
		scene_fini(&sc);
	}
	assert_true(longest >= 300);
}

static void
each_result_is_written_down_when_asked_for(void **state)
{
	struct scene sc;
	char *log;
	int n = 0;

	start_one(&sc, CONF(ONE_HOST, ASKED(OFTEN, "      event_log_path: @DIR@/events.log\n"
						   "      always_log_health_check_failures: true\n"
						   "      always_log_health_check_success: true\n" HTTP_CHECK)));
	WAIT_FOR(scene_file_has(&sc, "events.log", "\"successful_health_check_event\":{}"));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_stat(&sc, CHECKS "failure") >= 5);
	log = scene_file(&sc, "events.log");
	for (const char *p = log; (p = strstr(p, "health_check_failure_event\":{\"failure_type\":\"ACTIVE\",\"first_check\":false}")); p++)
		n++;
	assert_true(n >= 5);
	mem_free(log);
	scene_fini(&sc);
}

/* The whole line: names, forms and order of fields. */
static void
an_event_is_one_line_of_json(void **state)
{
	struct scene sc;
	char *log, *want;

	start_one(&sc, CONF("        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @HOST0@}}}\n"
			    "        locality: {region: r, zone: z, sub_zone: s}\n",
			   ASKED(OFTEN, "      event_log_path: @DIR@/events.log\n" HTTP_CHECK)));
	WAIT_FOR(scene_file_has(&sc, "events.log", "\n"));
	log = scene_file(&sc, "events.log");
	want = mem_printf("{\"health_checker_type\":\"HTTP\",\"host\":{\"socket_address\":{\"protocol\":\"TCP\","
			  "\"address\":\"127.0.0.1\",\"resolver_name\":\"\",\"ipv4_compat\":false,\"port_value\":%u}},"
			  "\"cluster_name\":\"api\",\"add_healthy_event\":{\"first_check\":true},\"timestamp\":\"",
	    sc.host_port[0]);
	assert_memory_equal(log, want, strlen(want));
	assert_non_null(strstr(log, "\"locality\":{\"region\":\"r\",\"zone\":\"z\",\"sub_zone\":\"s\"}}\n"));
	mem_free(want);
	mem_free(log);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_question_has_its_own_connection_when_told_so),
	    cmocka_unit_test(the_port_may_be_another_one_for_all),
	    cmocka_unit_test(a_host_is_the_service_that_was_meant),
	    cmocka_unit_test(a_body_is_looked_at_as_far_as_the_buffer_goes),
	    cmocka_unit_test(traffic_changes_the_pace),
	    cmocka_unit_test(each_state_has_its_pace),
	    cmocka_unit_test(first_questions_are_spread),
	    cmocka_unit_test(each_result_is_written_down_when_asked_for),
	    cmocka_unit_test(an_event_is_one_line_of_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
