/*
 * Trying again, for what: a scene for each condition, with hosts that
 * refuse, reset, answer badly, hang and go away on command; and all of
 * them at once.
 * No connection at all: test_retry_connections.c.  How often, and how many
 * at a time: test_retry_limits.c.  Where the next attempt goes:
 * test_retry_hosts.c.  Time, hedging, bodies and headers:
 * test_retry_requests.c.
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
	    cmocka_unit_test(hosts_that_fail_in_every_way_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
