/* A cluster as it comes out of its message, and what it counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/upstream/assignment.h"
#include "lib/upstream/thresholds.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"

#define VALUE(counter) ((unsigned)(counter).raw)

static int
setup(void **state)
{
	lane_private();
	*state = loop_new();
	return 0;
}

static int
teardown(void **state)
{
	struct loop *l = *state;

	loop_free(&l);
	return 0;
}

static void
defaults_are_those_of_envoy(void **state)
{
	struct cluster *c = cluster_from_yaml(*state, "");

	assert_int_equal(c->connect_timeout_ms, 5000);
	assert_int_equal(c->buffer_limit, 1u << 20);
	assert_int_equal(c->idle_timeout_ms, 3600000);
	assert_int_equal(c->max_connection_duration_ms, 0);
	assert_int_equal(c->max_requests_per_connection, 0);
	assert_int_equal(c->codec.max_headers_count, 100);
	assert_false(c->http2);
	assert_false(c->tcp_keepalive);
	assert_string_equal(c->policy->name, "round_robin");
	assert_int_equal(c->breakers[0].at[BREAKER_REQUESTS].max, 1024);
	assert_int_equal(c->breakers[0].at[BREAKER_RETRIES].max, 3);
	assert_int_equal(c->hosts_n, 0);
	cluster_end(*state, &c);
}

static void
http_options_are_read_in_both_spellings(void **state)
{
	static const char *const spellings[] = {
	    "http2_protocol_options: {max_concurrent_streams: 7}\n"
	    "common_http_protocol_options:\n"
	    "  idle_timeout: 3s\n"
	    "  max_connection_duration: 4s\n"
	    "  max_stream_duration: 5s\n"
	    "max_requests_per_connection: 6\n",
	    "typed_extension_protocol_options:\n"
	    "  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
	    "    '@type': "
	    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
	    "    common_http_protocol_options:\n"
	    "      idle_timeout: 3s\n"
	    "      max_connection_duration: 4s\n"
	    "      max_stream_duration: 5s\n"
	    "      max_requests_per_connection: 6\n"
	    "    explicit_http_config:\n"
	    "      http2_protocol_options: {max_concurrent_streams: 7}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		struct cluster *c = cluster_from_yaml(*state, spellings[i]);

		assert_true(c->http2);
		assert_int_equal(c->codec.h2.max_concurrent_streams, 7);
		assert_int_equal(c->idle_timeout_ms, 3000);
		assert_int_equal(c->max_connection_duration_ms, 4000);
		assert_int_equal(c->max_stream_duration_ms, 5000);
		assert_int_equal(c->max_requests_per_connection, 6);
		cluster_end(*state, &c);
	}
}

static void
an_empty_explicit_http1_is_http1(void **state)
{
	struct cluster *c = cluster_from_yaml(*state,
	    "typed_extension_protocol_options:\n"
	    "  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
	    "    '@type': "
	    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
	    "    explicit_http_config: {http_protocol_options: {enable_trailers: true}}\n");

	assert_false(c->http2);
	assert_true(c->codec.h1.enable_trailers);
	cluster_end(*state, &c);
}

static void
policies_are_chosen_in_every_spelling(void **state)
{
	static const struct {
		const char *fields, *policy;
		unsigned choices;
	} rows[] = {
	    {"lb_policy: RANDOM\n", "random", 2},
	    {"lb_policy: LEAST_REQUEST\nleast_request_lb_config: {choice_count: 5}\n",
		"least_request", 5},
	    {"load_balancing_policy:\n"
	     "  policies:\n"
	     "  - typed_extension_config: {name: envoy.load_balancing_policies.random}\n",
		"random", 2},
	    {"lb_policy: RANDOM\n"
	     "load_balancing_policy:\n"
	     "  policies:\n"
	     "  - typed_extension_config:\n"
	     "      name: x\n"
	     "      typed_config:\n"
	     "        '@type': "
	     "type.googleapis.com/"
	     "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest\n"
	     "        choice_count: 3\n",
		"least_request", 3},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cluster *c = cluster_from_yaml(*state, rows[i].fields);

		assert_string_equal(c->policy->name, rows[i].policy);
		assert_int_equal(c->lb.choice_count, rows[i].choices);
		cluster_end(*state, &c);
	}
}

static void
an_address_stands_once_and_the_last_one_wins(void **state)
{
	struct cluster *c = cluster_from_yaml(*state,
	    "load_assignment:\n"
	    "  cluster_name: api\n"
	    "  endpoints:\n"
	    "  - locality: {zone: a}\n"
	    "    lb_endpoints:\n"
	    "    - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}\n"
	    "      load_balancing_weight: 3\n"
	    "    - endpoint: {address: {pipe: {path: /run/a.sock}}}\n"
	    "  - locality: {zone: b}\n"
	    "    lb_endpoints:\n"
	    "    - endpoint:\n"
	    "        hostname: one\n"
	    "        address: {socket_address: {address: 10.0.0.1, port_value: 80}}\n"
	    "      load_balancing_weight: 5\n");

	assert_int_equal(c->hosts_n, 2);
	assert_int_equal(c->hosts[0]->weight, 5);
	assert_true(str_eqz(c->hosts[0]->locality->zone, "b"));
	assert_true(str_eqz(host_hostname(c->hosts[0]), "one"));
	assert_true(address_is_pipe(&c->hosts[1]->address));
	assert_ptr_equal(cluster_host_at(c, 1), c->hosts[1]);
	assert_null(cluster_host_at(c, 2));
	cluster_end(*state, &c);
}

static void
health_is_what_configuration_and_verdicts_say(void **state)
{
	struct cluster *c = cluster_from_yaml(*state,
	    "load_assignment:\n"
	    "  cluster_name: api\n"
	    "  endpoints:\n"
	    "  - lb_endpoints:\n"
	    "    - {health_status: DRAINING, endpoint: {address: {pipe: {path: /a}}}}\n"
	    "    - {health_status: DEGRADED, endpoint: {address: {pipe: {path: /b}}}}\n"
	    "    - {health_status: HEALTHY, endpoint: {address: {pipe: {path: /c}}}}\n"
	    "    - {endpoint: {address: {pipe: {path: /d}}}}\n");
	struct cluster_health n = cluster_health(c);

	assert_int_equal(n.total, 4);
	assert_int_equal(n.healthy, 2);
	assert_int_equal(n.degraded, 1);
	assert_int_equal(n.excluded, 0);
	assert_false(host_fail_active_check(c->hosts[3])); /* nobody checks it */
	host_cell_set(c->hosts[3]->cell, HOST_CHECKED, true);
	assert_true(host_fail_active_check(c->hosts[3]));
	host_cell_set(c->hosts[2]->cell, HOST_OPERATOR_FAIL, true);
	n = cluster_health(c);
	assert_int_equal(n.healthy, 0);
	assert_int_equal(n.excluded, 2);
	cluster_end(*state, &c);
}

static void
responses_are_counted_by_code_origin_and_canary(void **state)
{
	struct cluster *c = cluster_from_yaml(*state,
	    "alt_stat_name: 'x:y'\n"
	    "load_assignment:\n"
	    "  cluster_name: api\n"
	    "  endpoints:\n"
	    "  - lb_endpoints: [{endpoint: {address: {pipe: {path: /a}}}}]\n");
	struct cluster_codes_stats *canary =
	    block_stats(SCOPE_cluster_codes, STR("cluster.x_y.canary."));
	struct cluster_codes_stats *external =
	    block_stats(SCOPE_cluster_codes, STR("cluster.x_y.external."));
	struct cluster_stats *s = cluster_stats_of("cluster.x_y.");

	cluster_count_response(c, c->hosts[0], 204, true, false, false);
	cluster_count_response(c, c->hosts[0], 503, true, true, true);
	cluster_count_response(c, NULL, 503, false, true, true);
	cluster_count_response(c, c->hosts[0], 404, false, true, true);
	assert_int_equal(VALUE(s->upstream_rq_completed), 2);
	assert_int_equal(VALUE(s->upstream_rq_2xx), 1);
	assert_int_equal(VALUE(s->upstream_rq_5xx), 1);
	assert_int_equal(VALUE(external->upstream_rq_completed), 1);
	assert_int_equal(VALUE(canary->upstream_rq_5xx), 1);
	assert_int_equal(VALUE(c->hosts[0]->stats->rq_success), 2);
	assert_int_equal(VALUE(c->hosts[0]->stats->rq_error), 1);
	cluster_end(*state, &c);
}

static void
circuit_breakers_of_the_default_priority_are_read(void **state)
{
	struct cluster_yaml y;
	struct cluster_stats *s = cluster_stats_of("cluster.api.");
	uint64_t max[BREAKER_KINDS];

	cluster_yaml_open(&y,
	    "circuit_breakers:\n"
	    "  thresholds:\n"
	    "  - {max_connections: 1, max_pending_requests: 2, max_requests: 3, max_retries: 4,\n"
	    "     track_remaining: true}\n");
	assert_true(thresholds_read(max, y.msg, false));
	assert_int_equal(max[BREAKER_CONNECTIONS], 1);
	assert_int_equal(max[BREAKER_PENDING], 2);
	assert_int_equal(max[BREAKER_REQUESTS], 3);
	assert_int_equal(max[BREAKER_RETRIES], 4);
	assert_false(thresholds_read(max, y.msg, true));
	assert_int_equal(max[BREAKER_CONNECTIONS], 1024);
	thresholds_publish(s, y.msg);
	assert_int_equal(stat_gauge_value(s->circuit_breakers_default_remaining_rq.raw), 3);
	cluster_yaml_close(&y);
}

static void
a_wrong_assignment_says_where(void **state)
{
	struct cluster_yaml y;
	struct cluster *c;
	struct err err;

	cluster_yaml_open(&y, "load_assignment:\n"
			      "  cluster_name: api\n"
			      "  endpoints:\n"
			      "  - lb_endpoints: [{endpoint: {address: {pipe: {path: /a}}}}]\n");
	y.msg->load_assignment->endpoints[0]->priority = MEMBER_PRIORITIES;
	assert_int_equal(cluster_build(&c, y.msg, *state, &err), -1);
	assert_string_equal(err.text,
	    "cluster 'api': load_assignment: endpoints[0].lb_endpoints[0]: priority 129 is above 128");
	cluster_yaml_close(&y);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(defaults_are_those_of_envoy, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		http_options_are_read_in_both_spellings, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_empty_explicit_http1_is_http1, setup, teardown),
	    cmocka_unit_test_setup_teardown(policies_are_chosen_in_every_spelling, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		an_address_stands_once_and_the_last_one_wins, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		health_is_what_configuration_and_verdicts_say, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		responses_are_counted_by_code_origin_and_canary, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		circuit_breakers_of_the_default_priority_are_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_wrong_assignment_says_where, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
