/*
 * Active health checks: what becomes of a host that fails, hangs, is
 * degraded or wants to be left alone; who still gets requests; and where
 * it is written down.  The ways to ask: test_health_check_kinds.c.  While
 * processes and the configuration change: test_health_check_changes.c.
 */
#include "tests/integration/checks.h"

#include "lib/base/mem.h"

static void
a_host_that_fails_gets_nothing_until_it_passes_again(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "2", "3", HTTP_CHECK)));
	assert_stat(&sc, HEALTHY_HOSTS, 2); /* it serves only after the first round */
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_stat(&sc, HEALTHY_HOSTS, 1);
	assert_stat(&sc, "cluster.api.membership_healthy", 1);
	assert_true(all_reach(&sc, "two", 20));
	script_clear(&sc, 0);
	WAIT_FOR(scene_stat(&sc, HEALTHY_HOSTS) == 2);
	assert_stat(&sc, "cluster.api.health_check.network_failure", 0);
	assert_non_null(strstr(script_of(&sc, 0)->last, "user-agent: Envoy/HC"));
	assert_non_null(strstr(script_of(&sc, 0)->last, ":authority: api"));
	scene_fini(&sc);
}

/* So that it may end in peace: nobody sends anything, and its connections go. */
static void
a_host_that_fails_loses_its_idle_connections(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_proxy(&sc, CONF(ONE_HOST, CHECK("1s", "1", "1", HTTP_CHECK)));
	assert_true(all_reach(&sc, "one", 10));
	assert_true(script_of(&sc, 0)->open >= 2); /* the check's, and those of workers */
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(script_of(&sc, 0)->open <= 1);
	script_clear(&sc, 0);
	WAIT_FOR(all_reach(&sc, "one", 1));
	scene_fini(&sc);
}

static void
serving_begins_when_the_first_round_is_over(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	script_add(&sc, 0, (struct rule){.path = "/health", .delay_ms = 300, .times = 1});
	scene_proxy(&sc, CONF(ONE_HOST, CHECK("5s", "2", "3", HTTP_CHECK)));
	assert_int_equal(scene_status(&sc, "/"), 200);
	scene_fini(&sc);
}

static void
the_network_has_a_threshold(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "4", HTTP_CHECK)));
	script_listen(&sc, 0, LISTEN_REFUSE);
	script_drop(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_true(scene_stat(&sc, "cluster.api.health_check.network_failure") >= 4);
	assert_true(all_reach(&sc, "two", 10));
	script_listen(&sc, 0, LISTEN_YES);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
a_host_that_hangs_is_shown_as_timed_out(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("0.1s", "1", "2", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_HANG});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc/active_hc_timeout"));
	script_clear(&sc, 0);
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_RESET});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

/* The host closes its side each time: the check on the dead connection is asked again on another. */
static void
a_kept_connection_that_ends_is_no_failure(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_proxy(&sc, CONF(ONE_HOST, CHECK("5s", "1", "1", HTTP_CHECK)));
	for (int i = 0; i < 10; i++) {
		int64_t before = scene_stat(&sc, "cluster.api.health_check.success");

		script_drop(&sc, 0);
		scene_wait_stat(&sc, "cluster.api.health_check.success", before + 1);
	}
	assert_stat(&sc, "cluster.api.health_check.failure", 0);
	assert_true(script_of(&sc, 0)->connections >= 10);
	scene_fini(&sc);
}

static void
a_degraded_host_is_used_when_no_other_is_left(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	script_add(
	    &sc, 0, (struct rule){.path = "/health", .headers = "x-envoy-degraded: 1\r\n"});
	WAIT_FOR(scene_host_is(&sc, 0, "/degraded_active_hc"));
	assert_stat(&sc, "cluster.api.health_check.degraded", 1);
	WAIT_FOR(scene_stat(&sc, "cluster.api.membership_degraded") == 1);
	script_add(&sc, 1, (struct rule){.path = "/health", .status = 500});
	WAIT_FOR(scene_host_is(&sc, 1, "/failed_active_hc"));
	assert_true(all_reach(&sc, "one", 10));
	scene_fini(&sc);
}

/* ---- x-envoy-immediate-health-check-fail */

#define LEAVE_ME "x-envoy-immediate-health-check-fail: true\r\n"

static void
a_host_that_wants_to_be_left_alone_is(void **state)
{
	struct scene sc;
	struct reply r;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_HANG});
	script_add(&sc, 0, (struct rule){.path = "/", .headers = LEAVE_ME});
	WAIT_FOR(script_of(&sc, 0)->used[0] > 0); /* no check passes from here on */
	while (script_of(&sc, 0)->used[1] == 0) {
		r = scene_get(&sc, "/");
		assert_int_equal(r.status, 200);
		assert_null(reply_header(&r, "x-envoy-immediate-health-check-fail"));
		reply_free(&r);
	}
	assert_true(all_reach(&sc, "two", 20));
	assert_int_equal(script_of(&sc, 0)->used[1], 1);
	assert_stat(&sc, "cluster.api.health_check.passive_failure", 1);
	assert_true(scene_host_is(&sc, 0, "/failed_active_hc/excluded_via_immediate_hc_fail") ||
		    scene_host_is(&sc, 0,
			"/failed_active_hc/excluded_via_immediate_hc_fail/active_hc_timeout"));
	WAIT_FOR(scene_stat(&sc, "cluster.api.membership_excluded") == 1);
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
the_checker_hears_it_too(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503, .headers = LEAVE_ME});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc/excluded_via_immediate_hc_fail"));
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
without_checks_the_header_passes(void **state)
{
	struct scene sc;
	struct reply r;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	script_add(&sc, 0, (struct rule){.headers = LEAVE_ME});
	scene_proxy(&sc, CONF(ONE_HOST, ""));
	for (int i = 0; i < 3; i++) {
		r = scene_get(&sc, "/");
		assert_int_equal(r.status, 200);
		assert_string_equal(
		    reply_header(&r, "x-envoy-immediate-health-check-fail"), "true");
		reply_free(&r);
	}
	scene_fini(&sc);
}

/* ---- what is written down */

static void
events_are_written_down(void **state)
{
	struct scene sc;

	start_two(&sc,
	    CONF(TWO_HOSTS, CHECK("1s", "1", "1",
				HTTP_CHECK "      event_log_path: @DIR@/old.log\n"
					   "      event_logger:\n"
					   "      - name: envoy.health_check.event_sinks.file\n"
					   "        typed_config:\n"
					   "          \"@type\": type.googleapis.com/"
					   "envoy.extensions.health_check.event_sinks.file.v3."
					   "HealthCheckEventFileSink\n"
					   "          event_log_path: @DIR@/new.log\n")));
	WAIT_FOR(scene_file_has(&sc, "new.log", "\"add_healthy_event\":{\"first_check\":true}"));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_file_has(
	    &sc, "new.log", "\"eject_unhealthy_event\":{\"failure_type\":\"ACTIVE\"}"));
	assert_true(scene_file_has(
	    &sc, "old.log", "\"eject_unhealthy_event\":{\"failure_type\":\"ACTIVE\"}"));
	script_clear(&sc, 0);
	WAIT_FOR(scene_file_has(&sc, "new.log", "\"add_healthy_event\":{\"first_check\":false}"));
	scene_fini(&sc);
}

/* Nobody should believe in checks that are not made. */
static void
an_event_log_that_cannot_be_opened_is_refused(void **state)
{
	struct scene sc;
	char *out;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	scene_write_config(&sc,
	    CONF(TWO_HOSTS, CHECK("1s", "1", "1",
				HTTP_CHECK "      event_log_path: @DIR@/missing/events.log\n")));
	assert_int_not_equal(scene_run_tool(&sc, &out, "batonctl", "reload", NULL), 0);
	assert_non_null(strstr(out, "cluster 'api': health_checks: event log"));
	mem_free(out);
	assert_true(scene_host_is(&sc, 0, "healthy"));
	wait_for_passes(&sc, 2);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_host_that_fails_gets_nothing_until_it_passes_again),
	    cmocka_unit_test(a_host_that_fails_loses_its_idle_connections),
	    cmocka_unit_test(serving_begins_when_the_first_round_is_over),
	    cmocka_unit_test(the_network_has_a_threshold),
	    cmocka_unit_test(a_host_that_hangs_is_shown_as_timed_out),
	    cmocka_unit_test(a_kept_connection_that_ends_is_no_failure),
	    cmocka_unit_test(a_degraded_host_is_used_when_no_other_is_left),
	    cmocka_unit_test(a_host_that_wants_to_be_left_alone_is),
	    cmocka_unit_test(the_checker_hears_it_too),
	    cmocka_unit_test(without_checks_the_header_passes),
	    cmocka_unit_test(events_are_written_down),
	    cmocka_unit_test(an_event_log_that_cannot_be_opened_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
