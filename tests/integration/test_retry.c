/*
 * Trying again: a scene for each condition, with hosts that refuse, reset,
 * answer badly, hang and go away on command; what limits it; where the
 * next attempt goes; and what the client, the numbers and the log say.
 * Time, hedging, bodies and headers: test_retry_requests.c.
 */
#include "tests/integration/retry.h"

/* ---- conditions */

static const struct {
	const char *on, *more;
	bool http2;
	struct rule rule;
	int fails_with;      /* status when nothing is tried again */
	const char *flags;   /* and what the log says then */
} conditions[] = {
    {"5xx", "", false, {.status = 500}, 500, "-"},
    {"5xx", "", false, {.deed = DEED_CLOSE}, 503, "UC"},
    {"5xx", "", false, {.deed = DEED_RESET, .when = AT_HEADERS}, 503, "UC"},
    {"5xx", "", false, {.deed = DEED_GARBAGE}, 502, "UPE"},
    {"gateway-error", "", false, {.status = 502}, 502, "-"},
    {"gateway-error", "", false, {.status = 503}, 503, "-"},
    {"gateway-error", "", true, {.status = 504}, 504, "-"},
    {"gateway-error", "", true, {.deed = DEED_CANCEL_STREAM}, 503, "UR"},
    {"reset", "", false, {.deed = DEED_RESET}, 503, "UC"},
    {"reset", "", false, {.deed = DEED_CLOSE}, 503, "UC"},
    {"reset", "", true, {.deed = DEED_CANCEL_STREAM}, 503, "UR"},
    {"reset", "", true, {.deed = DEED_RESET}, 503, "UC"},
    {"refused-stream", "", true, {.deed = DEED_REFUSE_STREAM}, 503, "UR"},
    {"refused-stream", "", true, {.deed = DEED_GOAWAY}, 503, "UR"},
    {"retriable-4xx", "", false, {.status = 409}, 409, "-"},
    {"retriable-status-codes", ", retriable_status_codes: [404, 418]", false, {.status = 418}, 418,
	"-"},
    {"retriable-headers",
	", retriable_headers: [{name: x-again, string_match: {exact: please}}]", false,
	{.headers = "x-again: please\r\n"}, 200, "-"},
    {"envoy-ratelimited", "", false, {.status = 429, .headers = "x-envoy-ratelimited: true\r\n"},
	429, "-"},
#define GRPC(status)                                                                               \
	{.bare = true, .headers = "content-type: application/grpc\r\ngrpc-status: " status "\r\n"}
    {"cancelled", "", true, GRPC("1"), 200, "-"},
    {"deadline-exceeded", "", true, GRPC("4"), 200, "-"},
    {"resource-exhausted", "", true, GRPC("8"), 200, "-"},
    {"internal", "", true, GRPC("13"), 200, "-"},
    {"unavailable", "", true, GRPC("14"), 200, "-"},
};
#define CONDITIONS (sizeof(conditions) / sizeof(conditions[0]))

/* For the i-th condition: /yes<i> tries again for it, /no<i> for every other. */
static char *
condition_routes(void)
{
	struct strb b = {0};

	strb_addz(&b, CONF_ADMIN CONF_LISTENER_WITH("", LOG, "", ""));
	for (unsigned i = 0; i < CONDITIONS; i++) {
		const char *cluster = conditions[i].http2 ? "h2" : "h1";

		strb_printf(&b,
		    "              - {match: {path: /yes%u}, route: {cluster: %s, "
		    "retry_policy: {retry_on: '%s'%s, " FAST "}}}\n",
		    i, cluster, conditions[i].on, conditions[i].more);
		strb_printf(&b,
		    "              - {match: {path: /no%u}, route: {cluster: %s, retry_policy: "
		    "{retry_on: 'connect-failure%s%s%s', " FAST "}}}\n",
		    i, cluster, strcmp(conditions[i].on, "retriable-4xx") ? ",retriable-4xx" : "",
		    strcmp(conditions[i].on, "refused-stream") ? ",refused-stream" : "",
		    strcmp(conditions[i].on, "unavailable") ? ",unavailable" : "");
	}
	strb_addz(&b, CONF_CLUSTERS CONF_CLUSTER("h1", CONF_HOST("@HOST0@"), "")
			  CONF_CLUSTER("h2", CONF_HOST("@HOST1@"), CONF_HTTP2));
	return strb_give(&b);
}

static bool
is_played(struct reply *r, const struct rule *rule)
{
	if (rule->headers)
		return strstr(r->head, "grpc-status") || strstr(r->head, "x-again") ||
		       strstr(r->head, "x-envoy-ratelimited");
	return r->status != 200;
}

/* The next request gets a new connection: one that is closed on a kept connection is sent again
 * anyway. */
static void
cut_kept(struct scene *sc, unsigned host)
{
	const char *active = host ? "cluster.h2.upstream_cx_active" : "cluster.h1.upstream_cx_active";

	script_drop(sc, host);
	WAIT_FOR(scene_stat(sc, active) == 0);
}

static void
check_condition(struct scene *sc, unsigned i)
{
	unsigned host = conditions[i].http2;
	struct rule once = conditions[i].rule;
	char path[32], *line;
	struct reply r;

	once.times = 1;
	script_clear(sc, host);
	script_add(sc, host, once);
	cut_kept(sc, host);
	snprintf(path, sizeof(path), "/yes%u", i);
	r = scene_get(sc, path);
	if (r.status != 200 || is_played(&r, &once))
		fail_msg("condition %u (%s): not tried again: %s%s", i, conditions[i].on, r.head,
		    scene_file(sc, "access.log"));
	reply_free(&r);
	line = mem_printf("%s 200 - 2 via_upstream\n", path);
	expect_log(sc, line);
	mem_free(line);

	script_clear(sc, host);
	script_add(sc, host, once);
	cut_kept(sc, host);
	snprintf(path, sizeof(path), "/no%u", i);
	r = scene_get(sc, path);
	if (r.status != conditions[i].fails_with || !is_played(&r, &once))
		fail_msg("condition %u (%s): tried again for something else: %s", i,
		    conditions[i].on, r.head);
	reply_free(&r);
	line = mem_printf("%s %d %s 1 ", path, conditions[i].fails_with, conditions[i].flags);
	expect_log(sc, line);
	mem_free(line);
}

static void
each_condition_is_tried_again_for_and_for_nothing_else(void **state)
{
	struct scene sc;
	char *yaml = condition_routes();
	unsigned h1 = 0;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", true);
	run(&sc, yaml);
	mem_free(yaml);
	for (unsigned i = 0; i < CONDITIONS; i++) {
		check_condition(&sc, i);
		h1 += !conditions[i].http2;
	}
	assert_stat(&sc, "cluster.h1.upstream_rq_retry", h1);
	assert_stat(&sc, "cluster.h1.upstream_rq_retry_success", h1);
	assert_stat(&sc, "cluster.h1.upstream_rq_retry_backoff_exponential", h1);
	assert_stat(&sc, "cluster.h1.upstream_rq_retry_limit_exceeded", 0);
	assert_stat(&sc, "cluster.h2.upstream_rq_retry", (int)(CONDITIONS - h1));
	assert_stat(&sc, "cluster.h2.upstream_rq_retry_success", (int)(CONDITIONS - h1));
	assert_stat(&sc, "cluster.h1.retry.upstream_rq_503", 1);
	assert_stat(&sc, "cluster.h1.retry.upstream_rq_5xx", 3);
	assert_stat(&sc, "cluster.h1.circuit_breakers.default.rq_retry_used", 0);
	assert_stat(&sc, "cluster.h1.upstream_rq_active", 0);
	scene_fini(&sc);
}

static void
an_answer_of_a_rate_limit_is_not_tried_again(void **state)
{
	struct scene sc;

	start_two(&sc, "", POLICY("retry_on: '5xx,gateway-error'"), "");
	both(&sc, (struct rule){.status = 503, .headers = "x-envoy-ratelimited: true\r\n"});
	assert_int_equal(scene_status(&sc, "/"), 503);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 0);
	scene_fini(&sc);
}

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

/* ---- limits */

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

/* ---- where the next attempt goes */

static void
a_retry_prefers_a_host_that_was_not_tried(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	scene_scripted(&sc, "three", false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH(
		"", LOG, "", ROUTE("/", "api", POLICY("retry_on: 5xx, num_retries: 2")))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS CONF_HOST("@HOST2@"),
		    "    lb_policy: RANDOM\n" BREAKERS("{max_retries: 100}")));
	both(&sc, (struct rule){.status = 503});
	for (int i = 0; i < 30; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(seen(&sc, 2), 30);
	scene_fini(&sc);
}

#define PREVIOUS                                                                                   \
	"retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts, typed_config: " \
	"{'@type': type.googleapis.com/"                                                           \
	"envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}], "                \
	"host_selection_retry_max_attempts: 50"
#define BY_HEADER ", hash_policy: [{header: {header_name: x-user}}]"

/* A hash means this host: whoever wants another one says so. */
static void
a_hash_leads_to_the_same_host_unless_that_is_refused(void **state)
{
	static const char *const policies[] = {
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/same", "api", POLICY("retry_on: 5xx, num_retries: 1") BY_HEADER)
		    ROUTE("/", "api", POLICY("retry_on: 5xx, num_retries: 1, " PREVIOUS) BY_HEADER))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, "    lb_policy: RING_HASH\n"),
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/same", "api", POLICY("retry_on: 5xx, num_retries: 1") BY_HEADER)
		    ROUTE("/", "api", POLICY("retry_on: 5xx, num_retries: 1, " PREVIOUS) BY_HEADER))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, "    lb_policy: MAGLEV\n"),
	};

	for (int p = 0; p < 2; p++) {
		struct scene sc;
		unsigned bad;

		scene_init(&sc);
		scene_scripted(&sc, "one", false);
		scene_scripted(&sc, "two", false);
		run(&sc, policies[p]);
		assert_int_equal(get(&sc, "/same", "x-user: ann\r\n"), 200);
		bad = seen(&sc, 1) == 1;
		script_add(&sc, bad, (struct rule){.status = 503});
		assert_int_equal(get(&sc, "/same", "x-user: ann\r\n"), 503);
		assert_int_equal(seen(&sc, bad), 3);
		assert_int_equal(seen(&sc, !bad), 0);
		assert_int_equal(get(&sc, "/moves", "x-user: ann\r\n"), 200);
		assert_int_equal(seen(&sc, bad), 4);
		assert_int_equal(seen(&sc, !bad), 1);
		scene_fini(&sc);
	}
}

static void
the_next_priority_is_tried_when_told_so(void **state)
{
	struct scene sc;

	scene_init(&sc);
	for (unsigned i = 0; i < 4; i++)
		scene_scripted(&sc, (const char *[]){"one", "two", "three", "other"}[i], false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/plain", "api", POLICY("retry_on: 5xx, num_retries: 2"))
		    ROUTE("/", "api",
			POLICY("retry_on: 5xx, num_retries: 2, retry_priority: {name: "
			       "envoy.retry_priorities.previous_priorities, typed_config: {'@type': "
			       "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities."
			       "v3.PreviousPrioritiesConfig, update_frequency: 2}}")))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS CONF_HOST("@HOST2@"), "")
		"      - priority: 1\n        lb_endpoints:\n" CONF_HOST("@HOST3@"));
	for (unsigned i = 0; i < 3; i++)
		script_add(&sc, i, (struct rule){.status = 503});
	assert_int_equal(scene_status(&sc, "/plain"), 503);
	assert_int_equal(seen(&sc, 3), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(seen(&sc, 3), 5);
	assert_int_equal(seen(&sc, 0) + seen(&sc, 1) + seen(&sc, 2), 3 + 10);
	scene_fini(&sc);
}

#define LABELLED(port, meta)                                                                       \
	"        - {endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " port   \
	"}}}, metadata: {filter_metadata: {envoy.lb: {" meta "}}}}\n"

static void
canaries_and_labels_are_left_out(void **state)
{
	struct scene sc;

	scene_init(&sc);
	for (unsigned i = 0; i < 4; i++)
		scene_scripted(&sc, (const char *[]){"one", "two", "canary", "old"}[i], false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/", "api",
		    POLICY("retry_on: 5xx, num_retries: 1, host_selection_retry_max_attempts: 50, "
			   "retry_host_predicate: [{name: envoy.retry_host_predicates.omit_canary_hosts}, "
			   "{name: envoy.retry_host_predicates.omit_host_metadata, typed_config: {'@type': "
			   "type.googleapis.com/envoy.extensions.retry.host.omit_host_metadata.v3."
			   "OmitHostMetadataConfig, metadata_match: {filter_metadata: {envoy.lb: {version: "
			   "old}}}}}]")))
		CONF_CLUSTERS CONF_CLUSTER("api",
		    TWO_HOSTS LABELLED("@HOST2@", "canary: true") LABELLED("@HOST3@", "version: old"),
		    "    lb_policy: RANDOM\n"));
	/* Whoever is asked first fails; only the plain hosts are asked again. */
	for (unsigned i = 0; i < 4; i++)
		script_add(&sc, i, (struct rule){.status = i < 2 ? 503 : 500});
	for (int i = 0; i < 60; i++)
		assert_int_equal(scene_status(&sc, "/"), 503);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 60);
	assert_true(seen(&sc, 2) > 0 && seen(&sc, 3) > 0);
	scene_fini(&sc);
}

/* ---- workers */

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

/* ---- everything at once */

/* What a host does to a request whose path begins with the digit. */
static void
misbehave(struct scene *sc, unsigned host)
{
	script_add(sc, host, (struct rule){.path = "/1", .status = 503});
	script_add(sc, host, (struct rule){.path = "/2", .deed = DEED_RESET});
	script_add(sc, host, (struct rule){.path = "/3", .deed = DEED_CLOSE, .when = AT_HEADERS});
	script_add(sc, host, (struct rule){.path = "/4", .deed = DEED_HANG});
	script_add(sc, host, (struct rule){.path = "/5", .delay_ms = 60});
	script_add(
	    sc, host, (struct rule){.path = "/6", .deed = DEED_RESET, .when = IN_ANSWER, .body = 5000});
	script_add(sc, host, (struct rule){.path = "/7", .deed = DEED_REFUSE_STREAM});
	script_add(sc, host, (struct rule){.path = "/8", .deed = DEED_GARBAGE});
	script_add(sc, host, (struct rule){.path = "/9", .deed = DEED_GOAWAY});
	script_add(sc, host, (struct rule){.path = "/a", .status = 500, .when = AT_HEADERS});
}

static void
send_one(int fd, unsigned i)
{
	static const char digits[] = "0123456789a";
	static const char *const hedge[] = {"", "x-envoy-hedge-on-per-try-timeout: true\r\n"};
	char text[512];

	snprintf(text, sizeof(text),
	    "POST /%c HTTP/1.1\r\nhost: %s\r\ncontent-length: 5\r\n%s\r\n%s", digits[i % 11],
	    i % 2 ? "h1" : "h2", hedge[i / 7 % 2], i % 5 ? "hello" : "hel");
	client_send(fd, text);
	if (i % 5 == 0 && i % 3)
		client_send(fd, "lo");
}

/* Some leave before the answer, some do not even send all of the request. */
static void
one_round(struct scene *sc, unsigned round)
{
	int fds[24];

	for (unsigned i = 0; i < 24; i++) {
		fds[i] = client_connect(sc->port);
		send_one(fds[i], round * 7 + i);
	}
	for (unsigned i = 0; i < 24; i++) {
		unsigned k = round * 7 + i;

		if (k % 15 != 0 && k % 4 != 0) {
			struct reply r = client_reply(fds[i], false);

			assert_true(r.status == 200 || r.status >= 500);
			reply_free(&r);
		}
		close(fds[i]);
	}
}

#define ALL                                                                                        \
	"timeout: 1s, retry_policy: {retry_on: '5xx,reset,refused-stream,connect-failure', "       \
	"num_retries: 3, per_try_timeout: 0.04s, per_try_idle_timeout: 0.5s, " FAST "}"
#define VHOST(name)                                                                                \
	"            - name: " name "\n              domains: [" name "]\n"                        \
	"              routes: [{match: {prefix: /}, route: {cluster: " name ", " ALL "}}]\n"

static void
hosts_that_fail_in_every_way_leave_nothing_behind(void **state)
{
	struct scene sc;

	scene_init(&sc);
	for (unsigned i = 0; i < 4; i++)
		scene_scripted(&sc, (const char *[]){"a", "b", "c", "d"}[i], i >= 2);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", INTERNAL, "", CONF_ROUTE_ALL VHOST("h1") VHOST("h2"))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, "")
		    CONF_CLUSTER("h1", TWO_HOSTS, BREAKERS("{max_retries: 10, max_connections: 12}"))
			CONF_CLUSTER("h2", CONF_HOST("@HOST2@") CONF_HOST("@HOST3@"),
			    CONF_HTTP2 BREAKERS("{retry_budget: {}}")));
	misbehave(&sc, 0);
	misbehave(&sc, 2);
	for (unsigned round = 0; round < 12; round++) {
		if (round == 6) { /* the good ones fail, too; one does not even listen */
			misbehave(&sc, 1);
			misbehave(&sc, 3);
			script_listen(&sc, 0, LISTEN_REFUSE);
			script_drop(&sc, 0);
		}
		one_round(&sc, round);
	}
	WAIT_FOR(scene_stat(&sc, "http.ingress.downstream_rq_active") == 0);
	WAIT_FOR(scene_stat(&sc, "cluster.h1.upstream_rq_active") == 0);
	WAIT_FOR(scene_stat(&sc, "cluster.h2.upstream_rq_active") == 0);
	assert_stat(&sc, "cluster.h1.upstream_rq_pending_active", 0);
	assert_stat(&sc, "cluster.h1.circuit_breakers.default.rq_retry_used", 0);
	assert_stat(&sc, "cluster.h2.circuit_breakers.default.rq_retry_used", 0);
	assert_stat(&sc, "cluster.h1.circuit_breakers.default.rq_used", 0);
	assert_stat(&sc, "cluster.h1.circuit_breakers.default.rq_pending_used", 0);
	assert_true(scene_stat(&sc, "cluster.h1.upstream_rq_retry") > 20);
	assert_true(scene_stat(&sc, "cluster.h2.upstream_rq_retry") > 20);
	/* Each request reaches hosts four times at most, and once more on a dead connection. */
	assert_true(seen(&sc, 0) + seen(&sc, 1) + seen(&sc, 2) + seen(&sc, 3) <= 12 * 24 * 5);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_condition_is_tried_again_for_and_for_nothing_else),
	    cmocka_unit_test(an_answer_of_a_rate_limit_is_not_tried_again),
	    cmocka_unit_test(a_host_that_refuses_costs_nothing_but_a_retry),
	    cmocka_unit_test(a_host_that_refuses_alone_is_given_time),
	    cmocka_unit_test(when_all_refuse_the_second_round_waits),
	    cmocka_unit_test(a_host_that_does_not_answer_the_connect_is_left_too),
	    cmocka_unit_test(a_connect_failure_is_not_a_refused_stream),
	    cmocka_unit_test(reset_before_request_means_what_it_says),
	    cmocka_unit_test(three_at_once_pass_a_dead_host),
	    cmocka_unit_test(a_dead_kept_connection_is_free_when_that_is_harmless),
	    cmocka_unit_test(hosts_come_and_go_without_a_failed_request),
	    cmocka_unit_test(num_retries_end_in_URX),
	    cmocka_unit_test(no_policy_no_retry),
	    cmocka_unit_test(retries_at_once_are_limited),
	    cmocka_unit_test(a_budget_is_a_share_of_what_goes_on),
	    cmocka_unit_test(high_priority_has_its_own_limits),
	    cmocka_unit_test(a_retry_prefers_a_host_that_was_not_tried),
	    cmocka_unit_test(a_hash_leads_to_the_same_host_unless_that_is_refused),
	    cmocka_unit_test(the_next_priority_is_tried_when_told_so),
	    cmocka_unit_test(canaries_and_labels_are_left_out),
	    cmocka_unit_test(retries_count_over_workers_and_die_with_them),
	    cmocka_unit_test(hosts_that_fail_in_every_way_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
