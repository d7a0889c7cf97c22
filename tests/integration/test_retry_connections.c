/*
 * Trying again when there is no connection: hosts that refuse it, do not
 * answer it, or have ended it while it was kept; alone, and when they come
 * and go as in a deploy.
 */
#include "tests/integration/retry.h"

/* ---- no connection */

static void
a_host_that_refuses_costs_nothing_but_a_retry(void **state)
{
	struct scene sc;

	start_two(&sc, "", "retry_policy: {retry_on: connect-failure}",
	    BREAKERS("{max_retries: 0}"));
	script_listen(&sc, 0, LISTEN_REFUSE);
	for (int i = 0; i < 10; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(seen(&sc, 1), 10);
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_retry") >= 4);
	assert_int_equal(scene_stat(&sc, "cluster.api.upstream_rq_retry"),
	    scene_stat(&sc, "cluster.api.upstream_rq_retry_success"));
	assert_stat(&sc, "cluster.api.upstream_rq_retry_backoff_exponential", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_overflow", 0);
	expect_log(&sc, "/ 200 - 2 via_upstream\n");
	scene_fini(&sc);
}

/* Nobody else is there to go on to: it is given the time that the policy says, within the limits. */
static void
a_host_that_refuses_alone_is_given_time(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/", "api",
		    "retry_policy: {retry_on: connect-failure, num_retries: 30, "
		    "retry_back_off: {base_interval: 0.2s, max_interval: 0.2s}}"))
		CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), BREAKERS("{max_retries: 1}")));
	script_listen(&sc, 0, LISTEN_REFUSE);
	fd = client_connect(sc.port);
	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_retry_backoff_exponential", 1);
	assert_int_equal(get(&sc, "/too-many", ""), 503);
	expect_log(&sc, "/too-many 503 UF,UO 1 ");
	script_listen(&sc, 0, LISTEN_YES); /* it is there again before the retries run out */
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	scene_fini(&sc);
}

/* Once round at once, then with pauses. */
static void
when_all_refuse_the_second_round_waits(void **state)
{
	struct scene sc;

	start_two(&sc, "", POLICY("retry_on: connect-failure, num_retries: 3"), "");
	script_listen(&sc, 0, LISTEN_REFUSE);
	script_listen(&sc, 1, LISTEN_REFUSE);
	assert_int_equal(scene_status(&sc, "/"), 503);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 3);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_backoff_exponential", 2);
	scene_fini(&sc);
}

static void
a_host_that_does_not_answer_the_connect_is_left_too(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH(
		"", LOG, "", ROUTE("/", "api", "retry_policy: {retry_on: connect-failure}"))
		CONF_CLUSTERS "  - name: api\n    type: STATIC\n    connect_timeout: 0.1s\n"
			      "    load_assignment:\n      cluster_name: api\n      endpoints:\n"
			      "      - lb_endpoints:\n" TWO_HOSTS);
	script_listen(&sc, 0, LISTEN_DEAF);
	for (int i = 0; i < 4; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_true(scene_stat(&sc, "cluster.api.upstream_cx_connect_timeout") >= 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_backoff_exponential", 0);
	scene_fini(&sc);
}

static void
a_connect_failure_is_not_a_refused_stream(void **state)
{
	struct scene sc;

	start_two(&sc, "", "retry_policy: {retry_on: 'refused-stream,retriable-4xx'}", "");
	script_listen(&sc, 0, LISTEN_REFUSE);
	script_listen(&sc, 1, LISTEN_REFUSE);
	assert_int_equal(scene_status(&sc, "/"), 503);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 0);
	expect_log(&sc, "/ 503 UF 1 upstream_reset_before_response_started{remote_connection_failure");
	scene_fini(&sc);
}

static void
reset_before_request_means_what_it_says(void **state)
{
	struct scene sc;

	start_two(&sc, "", POLICY("retry_on: reset-before-request"), "");
	script_listen(&sc, 0, LISTEN_REFUSE);
	for (int i = 0; i < 4; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_retry") >= 1);
	script_listen(&sc, 0, LISTEN_YES);
	both(&sc, (struct rule){.path = "/cut", .deed = DEED_RESET});
	assert_int_equal(scene_status(&sc, "/cut"), 503);
	scene_fini(&sc);
}

static void
three_at_once_pass_a_dead_host(void **state)
{
	struct scene sc;
	int fds[30];

	/* The breaker allows three retries; refused connections take none of them. */
	start_two(&sc, "", "retry_policy: {retry_on: connect-failure}", "");
	script_listen(&sc, 0, LISTEN_REFUSE);
	both(&sc, (struct rule){.delay_ms = 50});
	for (unsigned i = 0; i < 30; i++) {
		fds[i] = client_connect(sc.port);
		client_send(fds[i], "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	}
	for (unsigned i = 0; i < 30; i++) {
		struct reply r = client_reply(fds[i], false);

		assert_int_equal(r.status, 200);
		reply_free(&r);
		close(fds[i]);
	}
	assert_stat(&sc, "http.ingress.downstream_rq_5xx", 0);
	scene_fini(&sc);
}

/* ---- a kept connection that is dead */

/* Keeps a connection to each host; the first host cuts its one when it carries the next request. */
static void
keep_and_cut(struct scene *sc)
{
	assert_int_equal(scene_status(sc, "/"), 200);
	assert_int_equal(scene_status(sc, "/"), 200);
	assert_true(script_of(sc, 0)->open == 1 && script_of(sc, 1)->open == 1);
	script_add(sc, 0, (struct rule){.deed = DEED_RESET, .times = 1});
}

static void
a_dead_kept_connection_is_free_when_that_is_harmless(void **state)
{
	struct scene sc;
	struct reply r;

	start_two(&sc, "", "retry_policy: {retry_on: reset}", BREAKERS("{max_retries: 0}"));
	keep_and_cut(&sc);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_success", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_backoff_exponential", 0);
	assert_stat(&sc, "cluster.api.upstream_rq_stale_retry", 0);
	/* A host may have acted on what was written whole: as any other retry. */
	both(&sc, (struct rule){.path = "/post", .deed = DEED_RESET});
	r = scene_request(&sc, sc.port, "POST", "/post", "", "hello");
	assert_int_equal(r.status, 503);
	reply_free(&r);
	expect_log(&sc,
	    "/post 503 UC,UO 1 upstream_reset_before_response_started{connection_termination}\n");
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	scene_fini(&sc);
}

/* ---- a deploy of the hosts */

#define KEPT 30

/* One request on each of the clients' connections; all must be answered well. */
static void
ask_all(struct scene *sc, const int *fds)
{
	for (unsigned i = 0; i < KEPT; i++)
		client_send(fds[i], "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	for (unsigned i = 0; i < KEPT; i++) {
		struct reply r = client_reply(fds[i], false);

		if (r.status != 200)
			fail_msg("a request failed: %s%s", r.head, r.body);
		reply_free(&r);
	}
}

/* Three hosts go and come back one after another, without a word, under thirty clients at once: Envoy
 * would let three of them try again at a time. */
static void
hosts_come_and_go_without_a_failed_request(void **state)
{
	struct scene sc;
	int fds[KEPT];

	scene_init(&sc);
	for (unsigned i = 0; i < 3; i++)
		scene_scripted(&sc, (const char *[]){"one", "two", "three"}[i], false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/", "api",
		    "retry_policy: {retry_on: 'cancelled,connect-failure,gateway-error,refused-stream,"
		    "reset,resource-exhausted,unavailable', num_retries: 2, "
		    "host_selection_retry_max_attempts: 5}"))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS CONF_HOST("@HOST2@"), ""));
	for (unsigned i = 0; i < KEPT; i++)
		fds[i] = client_connect(sc.port);
	for (unsigned round = 0; round < 12; round++) {
		unsigned host = round / 2 % 3;

		for (unsigned i = 0; i < 3; i++)
			ask_all(&sc, fds);
		if (round % 2 == 0) {
			script_listen(&sc, host, LISTEN_REFUSE);
			script_drop(&sc, host);
		} else {
			script_listen(&sc, host, LISTEN_YES);
		}
	}
	assert_stat(&sc, "http.ingress.downstream_rq_5xx", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 12 * 3 * KEPT);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_overflow", 0);
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_retry") > 50);
	for (unsigned i = 0; i < KEPT; i++)
		close(fds[i]);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_host_that_refuses_costs_nothing_but_a_retry),
	    cmocka_unit_test(a_host_that_refuses_alone_is_given_time),
	    cmocka_unit_test(when_all_refuse_the_second_round_waits),
	    cmocka_unit_test(a_host_that_does_not_answer_the_connect_is_left_too),
	    cmocka_unit_test(a_connect_failure_is_not_a_refused_stream),
	    cmocka_unit_test(reset_before_request_means_what_it_says),
	    cmocka_unit_test(three_at_once_pass_a_dead_host),
	    cmocka_unit_test(a_dead_kept_connection_is_free_when_that_is_harmless),
	    cmocka_unit_test(hosts_come_and_go_without_a_failed_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
