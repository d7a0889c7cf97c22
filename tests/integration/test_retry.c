/*
 * Trying again: a scene for each condition, with hosts that refuse, reset,
 * answer badly, hang and go away on command; what limits it; where the
 * next attempt goes; and what the client, the numbers and the log say.
 */
#include "tests/harness/script.h"

#include <sys/wait.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

/* ---- one proxy for a table of conditions */

#define LOG                                                                                        \
	"          access_log:\n"                                                                  \
	"          - name: envoy.access_loggers.file\n"                                            \
	"            typed_config:\n"                                                              \
	"              \"@type\": type.googleapis.com/"                                            \
	"envoy.extensions.access_loggers.file.v3.FileAccessLog\n"                                  \
	"              path: \"@DIR@/access.log\"\n"                                               \
	"              log_format: {text_format_source: {inline_string: \"%REQ(:PATH)% "           \
	"%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% "                       \
	"%RESPONSE_CODE_DETAILS%\\n\"}}\n"
#define INTERNAL                                                                                   \
	"          use_remote_address: true\n"                                                     \
	"          internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.1, prefix_len: 32}]}\n"

#define FAST "retry_back_off: {base_interval: 0.002s, max_interval: 0.004s}"
#define POLICY(more) "retry_policy: {" FAST ", " more "}"
#define ROUTE(prefix, cluster, more)                                                               \
	"              - {match: {prefix: " prefix "}, route: {cluster: " cluster ", " more "}}\n"
#define TWO_HOSTS CONF_HOST("@HOST0@") CONF_HOST("@HOST1@")
#define BREAKERS(limits) "    circuit_breakers: {thresholds: [" limits "]}\n"

static void
run(struct scene *sc, const char *yaml)
{
	sc->extra[0] = "--file-flush-interval-msec";
	sc->extra[1] = "20";
	sc->extra[2] = "--concurrency";
	sc->extra[3] = "1";
	scene_proxy(sc, yaml);
}

/* Two scripted HTTP/1 hosts in one cluster, this route for everything. */
#define start_two(sc, hcm, route, cluster)                                                         \
	do {                                                                                       \
		scene_init(sc);                                                                    \
		scene_scripted(sc, "one", false);                                                  \
		scene_scripted(sc, "two", false);                                                  \
		run(sc, CONF_ADMIN CONF_LISTENER_WITH("", LOG hcm, "", ROUTE("/", "api", route))    \
			CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, cluster));                    \
	} while (0)

static void
expect_log(struct scene *sc, const char *line)
{
	WAIT_FOR(scene_file_has(sc, "access.log", line));
}

static int
get(struct scene *sc, const char *path, const char *headers)
{
	struct reply r = scene_request(sc, sc->port, "GET", path, headers, NULL);
	int status = r.status;

	reply_free(&r);
	return status;
}

static void
both(struct scene *sc, struct rule rule)
{
	script_add(sc, 0, rule);
	script_add(sc, 1, rule);
}

static unsigned
seen(struct scene *sc, unsigned host)
{
	return script_of(sc, host)->requests;
}

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
	    "retry_policy: {retry_on: 5xx, retry_back_off: {base_interval: 60s, max_interval: 60s}}",
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
	    "retry_policy: {retry_on: 5xx, retry_back_off: {base_interval: 60s, max_interval: 60s}}",
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
	assert_stat(&sc, "cluster.api.upstream_rq_timeout", 1);
	assert_true(scene_stat(&sc, "cluster.api.upstream_rq_per_try_timeout") >= 1);
	WAIT_FOR(scene_file_has(&sc, "access.log", " response_timeout\n"));
	assert_stat(&sc, "cluster.api.circuit_breakers.default.rq_retry_used", 0);
	scene_fini(&sc);
}

static void
time_runs_out_in_a_back_off_too(void **state)
{
	struct scene sc;

	start_two(&sc, "",
	    "timeout: 0.2s, retry_policy: {retry_on: 5xx, retry_back_off: {base_interval: 600s, "
	    "max_interval: 600s}}",
	    "");
	both(&sc, (struct rule){.status = 500});
	assert_int_equal(scene_status(&sc, "/"), 504);
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
		"{cluster: api, retry_policy: {retry_on: 5xx, retry_back_off: {base_interval: 600s, "
		"max_interval: 600s}}}}\n") CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, ""));
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
		    "priority: HIGH, retry_policy: {retry_on: 5xx, retry_back_off: {base_interval: 600s, "
		    "max_interval: 600s}}"))
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
	    cmocka_unit_test(a_host_that_does_not_answer_the_connect_is_left_too),
	    cmocka_unit_test(a_connect_failure_is_not_a_refused_stream),
	    cmocka_unit_test(reset_before_request_means_what_it_says),
	    cmocka_unit_test(three_at_once_pass_a_dead_host),
	    cmocka_unit_test(a_dead_kept_connection_is_free_when_that_is_harmless),
	    cmocka_unit_test(num_retries_end_in_URX),
	    cmocka_unit_test(no_policy_no_retry),
	    cmocka_unit_test(retries_at_once_are_limited),
	    cmocka_unit_test(a_budget_is_a_share_of_what_goes_on),
	    cmocka_unit_test(high_priority_has_its_own_limits),
	    cmocka_unit_test(a_retry_prefers_a_host_that_was_not_tried),
	    cmocka_unit_test(canaries_and_labels_are_left_out),
	    cmocka_unit_test(a_slow_try_is_given_up),
	    cmocka_unit_test(an_idle_try_is_given_up_even_in_the_answer),
	    cmocka_unit_test(the_routes_timeout_covers_all_tries),
	    cmocka_unit_test(time_runs_out_in_a_back_off_too),
	    cmocka_unit_test(a_host_says_when_to_come_again),
	    cmocka_unit_test(a_slow_try_goes_on_beside_another),
	    cmocka_unit_test(a_bad_answer_waits_for_the_other_try),
	    cmocka_unit_test(a_body_is_sent_again_whole),
	    cmocka_unit_test(a_body_that_is_too_long_is_sent_once),
	    cmocka_unit_test(nothing_is_tried_again_once_the_answer_began),
	    cmocka_unit_test(those_inside_may_ask_by_headers),
	    cmocka_unit_test(only_requests_that_match_are_tried_again),
	    cmocka_unit_test(attempts_are_counted_for_host_and_client),
	    cmocka_unit_test(retries_count_over_workers_and_die_with_them),
	    cmocka_unit_test(hosts_that_fail_in_every_way_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
