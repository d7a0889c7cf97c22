/*
 * What limits trying again: the number that a policy allows, and breakers
 * and budgets of the cluster, for each priority and over all workers.
 */
#include "tests/integration/retry.h"

static void
num_retries_end_in_URX(void **state)
{
	struct scene sc;

	start_two(&sc, "", POLICY("retry_on: 5xx, num_retries: 3"), "");
	both(&sc, (struct rule){.status = 503});
	assert_int_equal(scene_status(&sc, "/"), 503);
	assert_int_equal(seen(&sc, 0) + seen(&sc, 1), 4);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 3);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_limit_exceeded", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_success", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_503", 1);
	assert_stat(&sc, "cluster.api.retry.upstream_rq_503", 3);
	expect_log(&sc, "/ 503 URX 4 via_upstream\n");
	script_clear(&sc, 0);
	script_clear(&sc, 1);
	both(&sc, (struct rule){.deed = DEED_CLOSE, .path = "/cut"});
	assert_int_equal(scene_status(&sc, "/cut"), 503);
	expect_log(&sc,
	    "/cut 503 UC,URX 4 upstream_reset_before_response_started{connection_termination}\n");
	scene_fini(&sc);
}

static void
no_policy_no_retry(void **state)
{
	struct scene sc;

	start_two(&sc, "", "retry_policy: {num_retries: 5}", "");
	both(&sc, (struct rule){.status = 503});
	assert_int_equal(get(&sc, "/", "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 3\r\n"), 503);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 0);
	/* What a stranger may not say is not passed on either. */
	assert_null(strstr(script_of(&sc, 0)->last, "x-envoy-retry-on"));
	assert_null(strstr(script_of(&sc, 1)->last, "x-envoy-max-retries"));
	scene_fini(&sc);
}

static void
retries_at_once_are_limited(void **state)
{
	struct scene sc;
	unsigned overflow = 0;
	int fds[6];

	start_two(&sc, "",
	    "retry_policy: {retry_on: 5xx, " NEVER "}",
	    BREAKERS("{max_retries: 2, track_remaining: true}"));
	both(&sc, (struct rule){.status = 503});
	for (unsigned i = 0; i < 6; i++) {
		fds[i] = client_connect(sc.port);
		client_send(fds[i], "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	}
	scene_wait_stat(&sc, "cluster.api.upstream_rq_retry_overflow", 4);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 2);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_retry_open", 1);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.remaining_retries", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_503", 4);
	WAIT_FOR((overflow = (unsigned)scene_stat(&sc, "http.ingress.downstream_rq_5xx")) == 4);
	expect_log(&sc, "/ 503 UO 1 via_upstream\n");
	for (unsigned i = 0; i < 6; i++)
		close(fds[i]);
	/* Clients that leave take their retries with them. */
	WAIT_FOR(scene_stat(&sc, "cluster.api.circuit_breakers.default.rq_retry_used") == 0);
	WAIT_FOR(scene_stat(&sc, "cluster.api.circuit_breakers.default.remaining_retries") == 2);
	scene_fini(&sc);
}

static void
a_budget_is_a_share_of_what_goes_on(void **state)
{
	struct scene sc;
	int fds[20];

	start_two(&sc, "",
	    "retry_policy: {retry_on: 5xx, " NEVER "}",
	    BREAKERS("{retry_budget: {budget_percent: {value: 25}, min_retry_concurrency: 1}}"));
	both(&sc, (struct rule){.path = "/hang", .deed = DEED_HANG});
	both(&sc, (struct rule){.status = 503});
	for (unsigned i = 0; i < 12; i++) {
		fds[i] = client_connect(sc.port);
		client_send(fds[i], "GET /hang HTTP/1.1\r\nhost: a\r\n\r\n");
	}
	WAIT_FOR(seen(&sc, 0) + seen(&sc, 1) == 12);
	for (unsigned i = 12; i < 20; i++) {
		fds[i] = client_connect(sc.port);
		client_send(fds[i], "GET /bad HTTP/1.1\r\nhost: a\r\n\r\n");
		/* One after another: what it is a share of stands still. */
		WAIT_FOR(seen(&sc, 0) + seen(&sc, 1) == i + 1);
		WAIT_FOR(scene_stat(&sc, "cluster.api.upstream_rq_retry") +
			 scene_stat(&sc, "cluster.api.upstream_rq_retry_overflow") == i - 11);
	}
	/* A quarter of twelve, and the one that asks is active itself: 13 / 4. */
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 3);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_overflow", 5);
	for (unsigned i = 0; i < 20; i++)
		close(fds[i]);
	scene_fini(&sc);
}

static void
high_priority_has_its_own_limits(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/high", "api", "priority: HIGH, " POLICY("retry_on: 5xx"))
		    ROUTE("/", "api", POLICY("retry_on: 5xx")))
		CONF_CLUSTERS CONF_CLUSTER(
		    "api", TWO_HOSTS, BREAKERS("{max_retries: 0}, {priority: HIGH, max_retries: 1}")));
	both(&sc, (struct rule){.path = "/high", .status = 503, .times = 1});
	both(&sc, (struct rule){.path = "/low", .status = 503, .times = 1});
	assert_true(scene_status(&sc, "/high") == 503 || seen(&sc, 0) + seen(&sc, 1) == 2);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	assert_int_equal(scene_status(&sc, "/low"), 503);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_overflow", 1);
	scene_fini(&sc);
}

static void
retries_count_over_workers_and_die_with_them(void **state)
{
	struct scene sc;
	pid_t first, second;
	int fds[24];

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "2";
	scene_proxy(&sc,
	    CONF_ADMIN CONF_LISTENER("",
		ROUTE("/", "api",
		    "priority: HIGH, retry_policy: {retry_on: 5xx, " NEVER "}"))
		CONF_CLUSTERS CONF_CLUSTER(
		    "api", TWO_HOSTS, BREAKERS("{priority: HIGH, max_retries: 4, track_remaining: true}")));
	both(&sc, (struct rule){.status = 503});
	for (unsigned i = 0; i < 24; i++) {
		fds[i] = client_connect(sc.port);
		client_send(fds[i], "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
		WAIT_FOR(scene_stat(&sc, "cluster.api.upstream_rq_retry") +
			 scene_stat(&sc, "cluster.api.upstream_rq_retry_overflow") == i + 1);
	}
	/* One after another, so nobody saw a number that was older than the last request. */
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_retry") <= 5);
	assert_true(scene_stat(&sc, "cluster.api.circuit_breakers.high.rq_retry_used") >= 4);
	assert_stat(&sc, "cluster.api.circuit_breakers.high.rq_retry_open", 1);
	first = scene_wait_child(&sc, "worker 1", 0);
	second = scene_wait_child(&sc, "worker 2", 0);
	kill(first, SIGKILL);
	kill(second, SIGKILL);
	WAIT_FOR(scene_stat(&sc, "cluster.api.circuit_breakers.high.rq_retry_used") == 0);
	WAIT_FOR(scene_stat(&sc, "cluster.api.circuit_breakers.high.remaining_retries") == 4);
	for (unsigned i = 0; i < 24; i++)
		close(fds[i]);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(num_retries_end_in_URX),
	    cmocka_unit_test(no_policy_no_retry),
	    cmocka_unit_test(retries_at_once_are_limited),
	    cmocka_unit_test(a_budget_is_a_share_of_what_goes_on),
	    cmocka_unit_test(high_priority_has_its_own_limits),
	    cmocka_unit_test(retries_count_over_workers_and_die_with_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
