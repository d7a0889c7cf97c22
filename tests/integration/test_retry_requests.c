/* Trying again, seen from the request: its time, its body, its headers, and two attempts at once. */
#include "tests/integration/retry.h"

/* ---- time */

static void
a_slow_try_is_given_up(void **state)
{
	struct scene sc;

	start_two(&sc, "", POLICY("retry_on: 5xx, per_try_timeout: 0.1s"), "");
	script_add(&sc, 0, (struct rule){.deed = DEED_HANG, .times = 1});
	script_add(&sc, 1, (struct rule){.path = "/2", .deed = DEED_HANG});
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "cluster.api.upstream_rq_per_try_timeout", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_timeout", 0);
	script_add(&sc, 0, (struct rule){.path = "/2", .deed = DEED_HANG});
	assert_int_equal(scene_status(&sc, "/2"), 504);
	expect_log(&sc, "/2 504 UT,URX 2 upstream_per_try_timeout\n");
	scene_fini(&sc);
}

static void
an_idle_try_is_given_up_even_in_the_answer(void **state)
{
	struct scene sc;
	struct reply r;
	int64_t retries;

	start_two(&sc, "", POLICY("retry_on: 5xx, per_try_idle_timeout: 0.1s"), "");
	script_add(&sc, 0, (struct rule){.path = "/a", .deed = DEED_HANG});
	assert_int_equal(scene_status(&sc, "/a"), 200);
	assert_int_equal(scene_status(&sc, "/a"), 200);
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_per_try_idle_timeout") >= 1);
	retries = scene_stat(&sc, "cluster.api.upstream_rq_retry");
	both(&sc, (struct rule){.path = "/b", .deed = DEED_HANG, .when = IN_ANSWER, .body = 100});
	r = scene_get(&sc, "/b");
	assert_int_equal(r.status, 200);
	assert_false(r.complete);
	reply_free(&r);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", retries);
	expect_log(&sc, "/b 200 UT 1 upstream_per_try_idle_timeout\n");
	scene_fini(&sc);
}

static void
the_routes_timeout_covers_all_tries(void **state)
{
	struct scene sc;

	start_two(&sc, "",
	    "timeout: 0.3s, " POLICY("retry_on: 5xx, num_retries: 50, per_try_timeout: 0.1s"), "");
	both(&sc, (struct rule){.deed = DEED_HANG});
	assert_int_equal(scene_status(&sc, "/"), 504);
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_per_try_timeout") >= 1);
	WAIT_FOR(scene_file_has(&sc, "access.log", " response_timeout\n"));
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_retry_used", 0);
	scene_fini(&sc);
}

static void
each_try_has_its_own_longest_duration(void **state)
{
	struct scene sc;

	start_two(&sc, "", "timeout: 10s, " POLICY("retry_on: reset, num_retries: 2"),
	    "    typed_extension_protocol_options:\n"
	    "      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
	    "        \"@type\": type.googleapis.com/"
	    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
	    "        common_http_protocol_options: {max_stream_duration: 0.1s}\n"
	    "        explicit_http_config: {http_protocol_options: {}}\n");
	both(&sc, (struct rule){.path = "/hang", .deed = DEED_HANG});
	assert_int_equal(scene_status(&sc, "/hang"), 504);
	expect_log(&sc, "/hang 504 URX,UMSDR 3 upstream_max_stream_duration_reached\n");
	assert_stat(&sc, "cluster.api.upstream_rq_max_duration_reached", 3);
	script_add(&sc, 0, (struct rule){.path = "/once", .deed = DEED_HANG});
	assert_int_equal(scene_status(&sc, "/once"), 200);
	assert_int_equal(scene_status(&sc, "/once"), 200);
	scene_fini(&sc);
}

static void
time_runs_out_in_a_back_off_too(void **state)
{
	struct scene sc;

	start_two(&sc, "",
	    "timeout: 0.2s, retry_policy: {retry_on: 5xx, " NEVER "}",
	    "");
	both(&sc, (struct rule){.status = 500});
	scene_status(&sc, "/");
	expect_log(&sc, "/ 504 UT 1 response_timeout\n");
	assert_stat(&sc, "cluster.api.upstream_rq_timeout", 0);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_retry_used", 0);
	scene_fini(&sc);
}

static void
a_host_says_when_to_come_again(void **state)
{
	struct scene sc;
	uint64_t began;

	start_two(&sc, "",
	    POLICY("retry_on: 5xx, rate_limited_retry_back_off: {reset_headers: [{name: x-reset, "
		   "format: UNIX_TIMESTAMP}, {name: Retry-After, format: SECONDS}], max_interval: 5s}"),
	    "");
	both(&sc, (struct rule){.path = "/a", .status = 503, .headers = "retry-after: 1\r\n"});
	began = scene_now_ms();
	assert_int_equal(scene_status(&sc, "/a"), 503);
	assert_true(scene_now_ms() - began >= 1000);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_backoff_ratelimited", 1);
	both(&sc, (struct rule){.path = "/b", .status = 503, .headers = "retry-after: 6\r\n"});
	assert_int_equal(scene_status(&sc, "/b"), 503);
	both(&sc, (struct rule){.path = "/c", .status = 503, .headers = "x-reset: 99\r\n"});
	assert_int_equal(scene_status(&sc, "/c"), 503);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_backoff_ratelimited", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry_backoff_exponential", 2);
	scene_fini(&sc);
}

/* ---- hedging */

#define HEDGE "hedge_policy: {hedge_on_per_try_timeout: true}, "

static void
a_slow_try_goes_on_beside_another(void **state)
{
	struct scene sc;
	struct reply r;

	start_two(&sc, "", HEDGE POLICY("retry_on: 5xx, per_try_timeout: 0.1s, num_retries: 1"), "");
	/* The first is slow, the second hangs: the first one's answer is taken. */
	script_add(&sc, 0, (struct rule){.path = "/a", .delay_ms = 400, .times = 1});
	script_add(&sc, 1, (struct rule){.path = "/a", .delay_ms = 400, .times = 1});
	script_add(&sc, 0, (struct rule){.path = "/a", .deed = DEED_HANG});
	script_add(&sc, 1, (struct rule){.path = "/a", .deed = DEED_HANG});
	r = scene_get(&sc, "/a");
	assert_int_equal(r.status, 200);
	reply_free(&r);
	assert_int_equal(seen(&sc, 0), 1);
	assert_int_equal(seen(&sc, 1), 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_per_try_timeout", 0);
	/* The second is the faster one; the first is let go. */
	script_clear(&sc, 0);
	script_clear(&sc, 1);
	script_add(&sc, 0, (struct rule){.path = "/b", .deed = DEED_HANG});
	assert_int_equal(scene_status(&sc, "/b"), 200);
	assert_int_equal(scene_status(&sc, "/b"), 200);
	WAIT_FOR(scene_stat(&sc, "cluster.api.upstream_rq_active") == 0);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_retry_used", 0);
	scene_fini(&sc);
}

static void
a_bad_answer_waits_for_the_other_try(void **state)
{
	struct scene sc;

	start_two(&sc, "", HEDGE POLICY("retry_on: 5xx, per_try_timeout: 0.1s, num_retries: 1"), "");
	/* Whoever is asked first answers badly after 200 ms, the other one well after 400. */
	both(&sc, (struct rule){.path = "/a0", .delay_ms = 200, .status = 503});
	script_clear(&sc, 1);
	script_add(&sc, 1, (struct rule){.path = "/a0", .delay_ms = 400});
	assert_int_equal(scene_status(&sc, "/a0"), 200);
	assert_int_equal(scene_status(&sc, "/a0"), 200);
	/* Both fail: the last one to fail is told. */
	script_clear(&sc, 1);
	script_add(&sc, 1, (struct rule){.path = "/a0", .delay_ms = 400, .deed = DEED_RESET});
	assert_int_equal(scene_status(&sc, "/a0"), 503);
	WAIT_FOR(scene_stat(&sc, "cluster.api.upstream_rq_active") == 0);
	scene_fini(&sc);
}

/* ---- bodies */

static char *
body_of(size_t n)
{
	char *p = mem_alloc(n + 1);

	memset(p, 'b', n);
	p[n] = '\0';
	return p;
}

static void
a_body_is_sent_again_whole(void **state)
{
	struct scene sc;
	char *body = body_of(200000);
	struct reply r;

	start_two(&sc, "", POLICY("retry_on: 5xx"), "");
	both(&sc, (struct rule){.status = 503, .times = 1});
	script_clear(&sc, 1);
	for (int i = 0; i < 2; i++) {
		r = scene_request(&sc, sc.port, "POST", "/", "", body);
		assert_int_equal(r.status, 200);
		reply_free(&r);
	}
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	assert_int_equal(script_of(&sc, 0)->body_bytes + script_of(&sc, 1)->body_bytes, 600000);
	/* Cut at its headers: what came by then and what comes later go to the next host. */
	both(&sc, (struct rule){.path = "/cut", .deed = DEED_RESET, .when = AT_HEADERS, .times = 1});
	script_clear(&sc, 1);
	for (int i = 0; i < 2; i++) {
		r = scene_request(&sc, sc.port, "POST", "/cut", "", body);
		assert_int_equal(r.status, 200);
		reply_free(&r);
	}
	mem_free(body);
	scene_fini(&sc);
}

static void
a_body_that_is_too_long_is_sent_once(void **state)
{
	struct scene sc;
	char *body = body_of(100000);
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		"              - {match: {prefix: /}, per_request_buffer_limit_bytes: 50000, route: "
		"{cluster: api, retry_policy: {retry_on: 5xx, " NEVER "}}}\n") CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, ""));
	both(&sc, (struct rule){.path = "/long", .status = 503});
	r = scene_request(&sc, sc.port, "POST", "/long", "", body);
	assert_int_equal(r.status, 503);
	reply_free(&r);
	assert_stat(&sc, "cluster.api.retry_or_shadow_abandoned", 1);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 0);
	/* The first attempt failed already and the body grows while the next one is waited for. */
	both(&sc, (struct rule){.path = "/early", .status = 503, .when = AT_HEADERS});
	fd = client_connect(sc.port);
	client_send(fd, "POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_retry", 1);
	client_send(fd, body);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 507);
	assert_string_equal(r.body, "exceeded request buffer limit while retrying upstream");
	reply_free(&r);
	close(fd);
	expect_log(&sc, "/early 507 - 1 request_payload_exceeded_retry_buffer_limit\n");
	assert_stat(&sc, "cluster.api.retry_or_shadow_abandoned", 2);
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_retry_used", 0);
	mem_free(body);
	scene_fini(&sc);
}

static void
nothing_is_tried_again_once_the_answer_began(void **state)
{
	struct scene sc;
	struct reply r;

	start_two(&sc, "", POLICY("retry_on: '5xx,reset,connect-failure', num_retries: 5"), "");
	both(&sc, (struct rule){.deed = DEED_RESET, .when = IN_ANSWER, .body = 1000});
	r = scene_get(&sc, "/");
	assert_int_equal(r.status, 200);
	assert_false(r.complete);
	reply_free(&r);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 0);
	assert_int_equal(seen(&sc, 0) + seen(&sc, 1), 1);
	expect_log(&sc, "/ 200 UC 1 upstream_reset_after_response_started{connection_termination}\n");
	scene_fini(&sc);
}

/* ---- headers */

static void
those_inside_may_ask_by_headers(void **state)
{
	struct scene sc;

	start_two(&sc, INTERNAL, "timeout: 5s", "");
	both(&sc, (struct rule){.path = "/503", .status = 503});
	both(&sc, (struct rule){.path = "/418", .status = 418});
	both(&sc, (struct rule){.path = "/again", .headers = "x-again: 1\r\n"});
	both(&sc, (struct rule){.path = "/grpc", .bare = true, .headers = "grpc-status: 14\r\n"});
	both(&sc, (struct rule){.path = "/slow", .deed = DEED_HANG});
	assert_int_equal(get(&sc, "/503", "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 3\r\n"), 503);
	expect_log(&sc, "/503 503 URX 4 via_upstream\n");
	assert_null(strstr(script_of(&sc, 0)->last, "x-envoy-retry-on"));
	assert_null(strstr(script_of(&sc, 1)->last, "x-envoy-max-retries"));
	assert_int_equal(get(&sc, "/418",
			     "x-envoy-retry-on: retriable-status-codes\r\n"
			     "x-envoy-retriable-status-codes: 404, 418\r\n"),
	    418);
	expect_log(&sc, "/418 418 URX 2 via_upstream\n");
	assert_int_equal(get(&sc, "/again",
			     "x-envoy-retry-on: retriable-headers\r\n"
			     "x-envoy-retriable-header-names: x-other, X-Again\r\n"),
	    200);
	expect_log(&sc, "/again 200 URX 2 via_upstream\n");
	assert_int_equal(get(&sc, "/grpc", "x-envoy-retry-grpc-on: unavailable\r\n"), 200);
	expect_log(&sc, "/grpc 200 URX 2 via_upstream\n");
	assert_int_equal(get(&sc, "/slow",
			     "x-envoy-retry-on: 5xx\r\nx-envoy-upstream-rq-timeout-ms: 1000\r\n"
			     "x-envoy-upstream-rq-per-try-timeout-ms: 50\r\n"),
	    504);
	expect_log(&sc, "/slow 504 UT,URX 2 upstream_per_try_timeout\n");
	assert_non_null(strstr(script_of(&sc, 0)->last, "x-envoy-expected-rq-timeout-ms: 50\n"));
	assert_int_equal(get(&sc, "/slow?alt",
			     "x-envoy-upstream-rq-timeout-ms: 50\r\n"
			     "x-envoy-upstream-rq-timeout-alt-response: 1\r\n"),
	    204);
	/* What is said of the kind of request rules even over those inside. */
	assert_int_equal(
	    get(&sc, "/503?bad", "x-envoy-retry-on: nonsense\r\nx-envoy-max-retries: 3\r\n"), 503);
	expect_log(&sc, "/503?bad 503 - 1 via_upstream\n");
	scene_fini(&sc);
}

#define STRICT                                                                                     \
	CONF_ADMIN "static_resources:\n"                                                           \
		   "  listeners:\n"                                                                \
		   "  - address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n"            \
		   "    filter_chains:\n"                                                          \
		   "    - filters:\n"                                                              \
		   "      - name: hcm\n"                                                            \
		   "        typed_config:\n"                                                       \
		   "          \"@type\": type.googleapis.com/envoy.extensions.filters.network."    \
		   "http_connection_manager.v3.HttpConnectionManager\n"                            \
		   "          stat_prefix: ingress\n" LOG INTERNAL                                  \
		   "          http_filters:\n"                                                     \
		   "          - name: envoy.filters.http.router\n"                                 \
		   "            typed_config:\n"                                                   \
		   "              \"@type\": type.googleapis.com/"                                \
		   "envoy.extensions.filters.http.router.v3.Router\n"                              \
		   "              strict_check_headers: [x-envoy-max-retries, x-envoy-retry-on, "  \
		   "x-envoy-retry-grpc-on, x-envoy-upstream-rq-timeout-ms]\n"                     \
		   "          route_config: {virtual_hosts: [{name: all, domains: ['*'], routes: " \
		   "[{match: {prefix: /}, route: {cluster: api}}]}]}\n"                           \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static void
malformed_wishes_may_be_refused(void **state)
{
	static const char *const bad[][2] = {
	    {"x-envoy-max-retries", "many"},
	    {"x-envoy-retry-on", "5xx,nonsense"},
	    {"x-envoy-retry-on", "unavailable"},
	    {"x-envoy-retry-grpc-on", "5xx"},
	    {"x-envoy-upstream-rq-timeout-ms", "1s"},
	};
	struct scene sc;
	struct reply r;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	run(&sc, STRICT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *line = mem_printf("%s: %s\r\n", bad[i][0], bad[i][1]);
		char *body = mem_printf("invalid header '%s' with value '%s'", bad[i][0], bad[i][1]);
		char *path = mem_printf("/%zu", i);
		char *log = mem_printf(
		    "/%zu 400 IH 0 request_headers_failed_strict_check{%s}\n", i, bad[i][0]);

		r = scene_request(&sc, sc.port, "GET", path, line, NULL);
		assert_int_equal(r.status, 400);
		assert_string_equal(r.body, body);
		reply_free(&r);
		expect_log(&sc, log);
		mem_free(line);
		mem_free(body);
		mem_free(path);
		mem_free(log);
	}
	assert_int_equal(seen(&sc, 0), 0);
	assert_int_equal(get(&sc, "/", "x-envoy-retry-on: 5xx, gateway-error\r\nx-envoy-max-retries: 2\r\n"
				       "x-envoy-upstream-rq-per-try-timeout-ms: not looked at\r\n"),
	    200);
	scene_fini(&sc);
}

static void
a_route_may_ask_by_headers_too(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		"              - match: {prefix: /}\n"
		"                route: {cluster: api}\n"
		"                request_headers_to_add:\n"
		"                - header: {key: x-envoy-retry-on, value: 5xx}\n"
		"                - header: {key: x-envoy-upstream-rq-timeout-ms, value: '77'}\n")
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, ""));
	both(&sc, (struct rule){.status = 503});
	assert_int_equal(scene_status(&sc, "/"), 503);
	expect_log(&sc, "/ 503 URX 2 via_upstream\n");
	assert_null(strstr(script_of(&sc, 0)->last, "x-envoy-retry-on"));
	assert_non_null(strstr(script_of(&sc, 0)->last, "x-envoy-upstream-rq-timeout-ms: 77\n"));
	scene_fini(&sc);
}

static void
only_requests_that_match_are_tried_again(void **state)
{
	struct scene sc;
	struct reply r;

	start_two(&sc, "",
	    POLICY("retry_on: 5xx, retriable_request_headers: [{name: ':method', string_match: "
		   "{exact: GET}}]"),
	    "");
	both(&sc, (struct rule){.status = 503});
	assert_int_equal(scene_status(&sc, "/"), 503);
	expect_log(&sc, "/ 503 URX 2 via_upstream\n");
	r = scene_request(&sc, sc.port, "POST", "/post", "", "x");
	assert_int_equal(r.status, 503);
	reply_free(&r);
	expect_log(&sc, "/post 503 - 1 via_upstream\n");
	scene_fini(&sc);
}

static void
attempts_are_counted_for_host_and_client(void **state)
{
	struct scene sc;
	struct reply r;
	unsigned again;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/", "api", "timeout: 5s")
		"              include_request_attempt_count: true\n"
		"              include_attempt_count_in_response: true\n"
		"              include_is_timeout_retry_header: true\n"
		"              retry_policy: {retry_on: 5xx, per_try_timeout: 0.1s, " FAST "}\n")
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, ""));
	r = scene_get(&sc, "/");
	assert_string_equal(reply_header(&r, "x-envoy-attempt-count"), "1");
	reply_free(&r);
	both(&sc, (struct rule){.path = "/hang", .deed = DEED_HANG});
	r = scene_get(&sc, "/hang");
	assert_int_equal(r.status, 504);
	assert_string_equal(reply_header(&r, "x-envoy-attempt-count"), "2");
	reply_free(&r);
	again = strstr(script_of(&sc, 1)->last, "x-envoy-is-timeout-retry") != NULL;
	assert_non_null(
	    strstr(script_of(&sc, again)->last, "x-envoy-is-timeout-retry: true\n"));
	assert_non_null(strstr(script_of(&sc, again)->last, "x-envoy-attempt-count: 2\n"));
	assert_non_null(strstr(script_of(&sc, !again)->last, "x-envoy-attempt-count: 1\n"));
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_slow_try_is_given_up),
	    cmocka_unit_test(an_idle_try_is_given_up_even_in_the_answer),
	    cmocka_unit_test(the_routes_timeout_covers_all_tries),
	    cmocka_unit_test(each_try_has_its_own_longest_duration),
	    cmocka_unit_test(time_runs_out_in_a_back_off_too),
	    cmocka_unit_test(a_host_says_when_to_come_again),
	    cmocka_unit_test(a_slow_try_goes_on_beside_another),
	    cmocka_unit_test(a_bad_answer_waits_for_the_other_try),
	    cmocka_unit_test(a_body_is_sent_again_whole),
	    cmocka_unit_test(a_body_that_is_too_long_is_sent_once),
	    cmocka_unit_test(nothing_is_tried_again_once_the_answer_began),
	    cmocka_unit_test(those_inside_may_ask_by_headers),
	    cmocka_unit_test(malformed_wishes_may_be_refused),
	    cmocka_unit_test(a_route_may_ask_by_headers_too),
	    cmocka_unit_test(only_requests_that_match_are_tried_again),
	    cmocka_unit_test(attempts_are_counted_for_host_and_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
