/* Outlier detection: hosts whose answers are bad get nothing for a while, for all workers. */
#include <signal.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"
#include "tests/harness/generations.h"
#include "tests/harness/script.h"

#define THREE_HOSTS CONF_HOST("@HOST0@") CONF_HOST("@HOST1@") CONF_HOST("@HOST2@")
#define NO_PANIC "    common_lb_config: {healthy_panic_threshold: {value: 0}}\n"
#define OUTLIER(fields) NO_PANIC "    outlier_detection: {max_ejection_percent: 100, " fields "}\n"
#define LOG "cluster_manager: {outlier_detection: {event_log_path: \"@DIR@/outliers.log\"}}\n"
#define CONF(hosts, fields)                                                                        \
	LOG CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL)                                           \
	CONF_CLUSTERS CONF_CLUSTER("api", hosts, OUTLIER(fields))

#define STAT(name) "cluster.api.outlier_detection." name

static void
start_three(struct scene *sc, const char *yaml)
{
	scene_init(sc);
	scene_scripted(sc, "one", false);
	scene_scripted(sc, "two", false);
	scene_scripted(sc, "three", false);
	scene_proxy(sc, yaml);
}

static void
ask(struct scene *sc, unsigned n)
{
	while (n-- > 0)
		scene_status(sc, "/");
}

static unsigned
seen(struct scene *sc, unsigned host)
{
	return script_of(sc, host)->requests;
}

/* Asks until the host is out. */
static void
drive_out(struct scene *sc, unsigned host)
{
	for (unsigned i = 0; i < 1000 && !scene_host_is(sc, host, "/failed_outlier_check"); i++)
		ask(sc, 3);
	assert_true(scene_host_is(sc, host, "/failed_outlier_check"));
}

static void
failures_in_a_row_take_a_host_out_and_time_brings_it_back(void **state)
{
	struct scene sc;
	unsigned before;

	start_three(&sc,
	    CONF(THREE_HOSTS, "consecutive_5xx: 3, interval: 0.05s, base_ejection_time: 0.5s"));
	script_add(&sc, 1, (struct rule){.status = 500});
	drive_out(&sc, 1);
	assert_stat(&sc, STAT("ejections_active"), 1);
	assert_stat(&sc, STAT("ejections_enforced_consecutive_5xx"), 1);
	assert_stat(&sc, STAT("ejections_enforced_total"), 1);
	assert_stat(&sc, "cluster.api.membership_healthy", 2);
	assert_true(scene_file_has(
	    &sc, "outliers.log", "\"action\":\"EJECT\",\"num_ejections\":1,\"enforced\":true"));
	script_clear(&sc, 1);
	WAIT_FOR(scene_host_is(&sc, 1, "healthy"));
	assert_stat(&sc, STAT("ejections_active"), 0);
	assert_true(scene_file_has(&sc, "outliers.log", "\"action\":\"UNEJECT\""));
	before = seen(&sc, 1);
	WAIT_FOR((ask(&sc, 1), seen(&sc, 1) > before));
	scene_fini(&sc);
}

static void
an_ejected_host_gets_no_request(void **state)
{
	struct scene sc;
	unsigned before;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 3"));
	script_add(&sc, 1, (struct rule){.status = 500});
	drive_out(&sc, 1);
	before = seen(&sc, 1);
	ask(&sc, 60);
	assert_int_equal(seen(&sc, 1), before);
	scene_fini(&sc);
}

/* Refused connections are failures, too; nobody else has to check the host. */
static void
a_host_that_refuses_is_an_outlier(void **state)
{
	struct scene sc;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 3"));
	script_listen(&sc, 2, LISTEN_REFUSE);
	script_drop(&sc, 2);
	drive_out(&sc, 2);
	assert_stat(&sc, STAT("ejections_detected_consecutive_5xx"), 1);
	scene_fini(&sc);
}

static void
no_more_than_a_share_is_taken_out(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	scene_proxy(&sc,
	    LOG CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api",
		CONF_HOST("@HOST0@") CONF_HOST("@HOST1@"),
		NO_PANIC "    outlier_detection: {consecutive_5xx: 2}\n")); /* 10 % of two: none */
	script_add(&sc, 0, (struct rule){.status = 503});
	WAIT_FOR((ask(&sc, 4), scene_stat(&sc, STAT("ejections_overflow")) > 0));
	assert_stat(&sc, STAT("ejections_enforced_total"), 0);
	assert_true(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
what_is_not_enforced_is_only_told(void **state)
{
	struct scene sc;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 2, enforcing_consecutive_5xx: 0"));
	script_add(&sc, 0, (struct rule){.status = 500});
	WAIT_FOR((ask(&sc, 3), scene_stat(&sc, STAT("ejections_detected_consecutive_5xx")) > 0));
	assert_stat(&sc, STAT("ejections_enforced_total"), 0);
	assert_true(scene_host_is(&sc, 0, "healthy"));
	WAIT_FOR(scene_file_has(&sc, "outliers.log", "\"enforced\":false"));
	scene_fini(&sc);
}

static void
a_failing_share_takes_a_host_out_at_the_end_of_the_interval(void **state)
{
	struct scene sc;

	start_three(
	    &sc, CONF(THREE_HOSTS,
		     "consecutive_5xx: 1000000, interval: 0.3s, base_ejection_time: 60s, "
		     "enforcing_failure_percentage: 100, failure_percentage_threshold: 40, "
		     "failure_percentage_minimum_hosts: 3, failure_percentage_request_volume: 5, "
		     "success_rate_minimum_hosts: 3, success_rate_request_volume: 5, "
		     "enforcing_success_rate: 0"));
	script_add(&sc, 0, (struct rule){.status = 500});
	WAIT_FOR((ask(&sc, 30), scene_host_is(&sc, 0, "/failed_outlier_check")));
	assert_stat(&sc, STAT("ejections_enforced_failure_percentage"), 1);
	assert_true(scene_file_has(&sc, "outliers.log", "\"type\":\"FAILURE_PERCENTAGE\""));
	scene_fini(&sc);
}

static void
an_ejection_outlives_admin(void **state)
{
	struct scene sc;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 3, base_ejection_time: 60s"));
	script_add(&sc, 1, (struct rule){.status = 500});
	drive_out(&sc, 1);
	kill(scene_child(&sc, "admin"), SIGKILL);
	WAIT_FOR(scene_stat(&sc, "baton.admin_crashes") == 1);
	WAIT_FOR(scene_host_is(&sc, 1, "/failed_outlier_check"));
	WAIT_FOR(scene_stat(&sc, STAT("ejections_active")) == 1);
	scene_fini(&sc);
}

/* Its time goes on where it was; a host that was not out is not either. */
static void
an_ejection_goes_to_the_next_generation(void **state)
{
	struct scene sc;
	unsigned before;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 3, base_ejection_time: 60s"));
	script_add(&sc, 1, (struct rule){.status = 500});
	drive_out(&sc, 1);
	before = seen(&sc, 1);
	assert_int_equal(generation_restart(&sc), 0);
	assert_true(scene_host_is(&sc, 1, "/failed_outlier_check"));
	assert_stat(&sc, STAT("ejections_active"), 1);
	assert_stat(&sc, STAT("ejections_enforced_total"), 1);
	ask(&sc, 40);
	assert_int_equal(seen(&sc, 1), before);
	scene_fini(&sc);
}

/* Two failures in one worker, two in its successor, one in the next generation. */
static void
failures_are_counted_over_workers_and_generations(void **state)
{
	struct scene sc;
	pid_t worker;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF(CONF_HOST("@HOST0@"), "consecutive_5xx: 5"));
	script_add(&sc, 0, (struct rule){.status = 500});
	ask(&sc, 2);
	worker = scene_child(&sc, "worker 1");
	kill(worker, SIGKILL);
	scene_wait_child(&sc, "worker 1", worker);
	ask(&sc, 2);
	assert_int_equal(generation_restart(&sc), 0);
	assert_stat(&sc, STAT("ejections_detected_consecutive_5xx"), 0);
	assert_true(scene_host_is(&sc, 0, "healthy"));
	ask(&sc, 1);
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_outlier_check"));
	assert_int_equal(seen(&sc, 0), 5);
	scene_fini(&sc);
}

static void
a_passing_check_takes_a_host_back(void **state)
{
	struct scene sc;

	start_three(&sc,
	    LOG CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api",
		THREE_HOSTS,
		OUTLIER(
		    "consecutive_5xx: 3, base_ejection_time: 600s") "    health_checks: [{timeout: "
								    "1s, interval: 0.1s, "
								    "no_traffic_interval: 0.1s, "
								    "healthy_threshold: 1, "
								    "unhealthy_threshold: 1, "
								    "http_health_check: {path: "
								    "/health}}]\n"));
	script_add(&sc, 1, (struct rule){.path = "/health", .status = 200});
	script_add(&sc, 1, (struct rule){.status = 500, .times = 3});
	WAIT_FOR((ask(&sc, 3), scene_stat(&sc, STAT("ejections_enforced_total")) == 1));
	WAIT_FOR(scene_host_is(&sc, 1, "healthy"));
	assert_stat(&sc, STAT("ejections_active"), 0);
	scene_fini(&sc);
}

/* ---- the other detectors, each alone */

static void
answers_of_gateways_count_when_that_is_enforced(void **state)
{
	struct scene sc;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 1000, consecutive_gateway_failure: 3, "
					   "enforcing_consecutive_gateway_failure: 100"));
	script_add(&sc, 0, (struct rule){.status = 500, .times = 10}); /* no gateway's answer */
	WAIT_FOR((ask(&sc, 3), script_of(&sc, 0)->used[0] == 10));
	assert_stat(&sc, STAT("ejections_detected_consecutive_gateway_failure"), 0);
	script_add(&sc, 1, (struct rule){.status = 504});
	drive_out(&sc, 1);
	assert_stat(&sc, STAT("ejections_enforced_consecutive_gateway_failure"), 1);
	assert_stat(&sc, STAT("ejections_total"), 0); /* the old counter knows it not */
	assert_true(scene_file_has(&sc, "outliers.log", "\"type\":\"CONSECUTIVE_GATEWAY_FAILURE\""));
	scene_fini(&sc);
}

/* Apart: what never reached the host counts for itself, and its answers for themselves. */
static void
what_did_not_reach_a_host_may_count_apart(void **state)
{
	struct scene sc;

	start_three(&sc, CONF(THREE_HOSTS,
			     "split_external_local_origin_errors: true, consecutive_5xx: 1, "
			     "enforcing_consecutive_5xx: 0, consecutive_gateway_failure: 1, "
			     "consecutive_local_origin_failure: 4"));
	script_listen(&sc, 2, LISTEN_REFUSE);
	script_drop(&sc, 2);
	drive_out(&sc, 2);
	assert_stat(&sc, STAT("ejections_enforced_consecutive_local_origin_failure"), 1);
	assert_stat(&sc, STAT("ejections_detected_consecutive_5xx"), 0);
	assert_stat(&sc, STAT("ejections_detected_consecutive_gateway_failure"), 0);
	script_add(&sc, 0, (struct rule){.status = 500});
	WAIT_FOR((ask(&sc, 2), scene_stat(&sc, STAT("ejections_detected_consecutive_5xx")) > 0));
	assert_true(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
a_host_far_below_the_others_is_taken_out(void **state)
{
	struct scene sc;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 1000000, interval: 0.3s, "
					   "success_rate_minimum_hosts: 3, success_rate_request_volume: 5, "
					   "success_rate_stdev_factor: 1000"));
	script_add(&sc, 0, (struct rule){.status = 500});
	WAIT_FOR((ask(&sc, 30), scene_host_is(&sc, 0, "/failed_outlier_check")));
	assert_stat(&sc, STAT("ejections_enforced_success_rate"), 1);
	assert_stat(&sc, STAT("ejections_success_rate"), 1);
	assert_stat(&sc, STAT("ejections_total"), 1);
	assert_true(scene_file_has(&sc, "outliers.log", "\"type\":\"SUCCESS_RATE\""));
	assert_true(scene_file_has(&sc, "outliers.log", "\"host_success_rate\":0,"));
	scene_fini(&sc);
}

/* Of gRPC the grpc-status counts; where a host answers without one, the status of HTTP. */
static void
answers_to_grpc_are_judged_by_what_they_say(void **state)
{
	static const struct rule bad[] = {
	    {.bare = true, .headers = "content-type: application/grpc\r\ngrpc-status: 14\r\n"},
	    {.status = 503},
	};
	static const struct rule good = {
	    .bare = true, .headers = "content-type: application/grpc\r\ngrpc-status: 5\r\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct scene sc;
		struct reply r;

		start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 3"));
		script_add(&sc, 0, good); /* not found: its own business */
		script_add(&sc, 1, bad[i]);
		for (int n = 0; n < 100 && !scene_host_is(&sc, 1, "/failed_outlier_check"); n++) {
			r = scene_request(&sc, sc.port, "POST", "/shop.Shop/Buy",
			    "content-type: application/grpc\r\n", "");
			reply_free(&r);
		}
		assert_true(scene_host_is(&sc, 1, "/failed_outlier_check"));
		assert_true(scene_host_is(&sc, 0, "healthy"));
		scene_fini(&sc);
	}
}

/* ---- how many, and for how long */

static void
one_may_go_whatever_the_share(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	scene_proxy(&sc,
	    LOG CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api",
		CONF_HOST("@HOST0@") CONF_HOST("@HOST1@"),
		NO_PANIC "    outlier_detection: {consecutive_5xx: 2, always_eject_one_host: true}\n"));
	script_add(&sc, 0, (struct rule){.status = 500});
	drive_out(&sc, 0);
	script_add(&sc, 1, (struct rule){.status = 500});
	WAIT_FOR((ask(&sc, 2), scene_stat(&sc, STAT("ejections_overflow")) > 0));
	assert_true(scene_host_is(&sc, 1, "healthy"));
	assert_stat(&sc, STAT("ejections_active"), 1);
	scene_fini(&sc);
}

static uint64_t
time_out(struct scene *sc, unsigned host)
{
	uint64_t began;

	drive_out(sc, host);
	began = scene_now_ms();
	WAIT_FOR(scene_host_is(sc, host, "healthy"));
	return scene_now_ms() - began;
}

/* Once out and back, and out again: for twice as long, as often as it was out in a row. */
static void
each_time_it_stays_out_longer(void **state)
{
	struct scene sc;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 1, interval: 0.05s, base_ejection_time: 0.3s"));
	script_add(&sc, 1, (struct rule){.status = 500});
	drive_out(&sc, 1);
	assert_false(scene_file_has(&sc, "outliers.log", "secs_since_last_action")); /* never before */
	WAIT_FOR((ask(&sc, 2), scene_stat(&sc, STAT("ejections_enforced_total")) >= 4));
	assert_true(time_out(&sc, 1) >= 500);
	assert_true(scene_file_has(&sc, "outliers.log", "\"secs_since_last_action\":\""));
	scene_fini(&sc);
}

static void
jitter_keeps_it_out_longer(void **state)
{
	struct scene sc;
	uint64_t longest = 0;

	start_three(&sc, CONF(THREE_HOSTS, "consecutive_5xx: 1, interval: 0.02s, base_ejection_time: "
					   "0.001s, max_ejection_time: 0.001s, "
					   "max_ejection_time_jitter: 1s"));
	script_add(&sc, 1, (struct rule){.status = 500});
	for (int i = 0; i < 20 && longest < 100; i++) {
		uint64_t ms = time_out(&sc, 1);

		longest = ms > longest ? ms : longest;
	}
	assert_true(longest >= 100);
	scene_fini(&sc);
}

static void
a_passing_check_says_nothing_when_told_so(void **state)
{
	struct scene sc;
	int64_t passed;

	start_three(&sc,
	    LOG CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api",
		THREE_HOSTS,
		OUTLIER("consecutive_5xx: 3, successful_active_health_check_uneject_host: false")
		    "    health_checks: [{timeout: 1s, interval: 0.05s, no_traffic_interval: 0.05s,"
		    " healthy_threshold: 1, unhealthy_threshold: 1,"
		    " http_health_check: {path: /health}}]\n"));
	script_add(&sc, 1, (struct rule){.path = "/health", .status = 200});
	script_add(&sc, 1, (struct rule){.status = 500});
	drive_out(&sc, 1);
	passed = scene_stat(&sc, "cluster.api.health_check.success");
	scene_wait_stat(&sc, "cluster.api.health_check.success", passed + 10);
	assert_true(scene_host_is(&sc, 1, "/failed_outlier_check"));
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(failures_in_a_row_take_a_host_out_and_time_brings_it_back),
	    cmocka_unit_test(an_ejected_host_gets_no_request),
	    cmocka_unit_test(a_host_that_refuses_is_an_outlier),
	    cmocka_unit_test(no_more_than_a_share_is_taken_out),
	    cmocka_unit_test(what_is_not_enforced_is_only_told),
	    cmocka_unit_test(a_failing_share_takes_a_host_out_at_the_end_of_the_interval),
	    cmocka_unit_test(an_ejection_outlives_admin),
	    cmocka_unit_test(an_ejection_goes_to_the_next_generation),
	    cmocka_unit_test(failures_are_counted_over_workers_and_generations),
	    cmocka_unit_test(a_passing_check_takes_a_host_back),
	    cmocka_unit_test(answers_of_gateways_count_when_that_is_enforced),
	    cmocka_unit_test(what_did_not_reach_a_host_may_count_apart),
	    cmocka_unit_test(a_host_far_below_the_others_is_taken_out),
	    cmocka_unit_test(answers_to_grpc_are_judged_by_what_they_say),
	    cmocka_unit_test(one_may_go_whatever_the_share),
	    cmocka_unit_test(each_time_it_stays_out_longer),
	    cmocka_unit_test(jitter_keeps_it_out_longer),
	    cmocka_unit_test(a_passing_check_says_nothing_when_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
