/* The health_check filter in its three modes, through whole connections. */
#include "tests/unit/worker/world.h"

#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream.h"

static const char *
yaml_of(const char *options)
{
	static char text[4096];

	snprintf(text, sizeof(text),
	    "          http_filters:\n"
	    "          - name: envoy.filters.http.health_check\n"
	    "            typed_config:\n"
	    "              '@type': "
	    "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck\n"
	    "              headers: [{ name: ':path', string_match: { exact: /hc } }]\n"
	    "%s"
	    "          - name: envoy.filters.http.router\n"
	    "            typed_config:\n"
	    "              '@type': "
	    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n"
	    "  clusters:\n"
	    "  - name: full\n"
	    "    load_assignment:\n"
	    "      cluster_name: full\n"
	    "      endpoints:\n"
	    "      - lb_endpoints:\n"
	    "        - { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: "
	    "1 } } } }\n"
	    "  - name: half\n"
	    "    load_assignment:\n"
	    "      cluster_name: half\n"
	    "      endpoints:\n"
	    "      - lb_endpoints:\n"
	    "        - { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: "
	    "1 } } } }\n"
	    "        - { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: "
	    "2 } } },"
	    " health_status: UNHEALTHY }\n"
	    "  - name: empty\n"
	    "    load_assignment: { cluster_name: empty }\n",
	    options);
	return text;
}

static unsigned asked; /* how often "upstream" was asked */
static unsigned upstream_status;
static bool upstream_degraded;

static void *
upstream_start(struct http_stream *s, const void *config)
{
	return s;
}

static enum filter_verdict
upstream_answers(void *self, struct headers *h, bool end)
{
	struct http_stream *s = self;
	struct headers *r = stream_new_headers(s);

	asked++;
	headers_set_status(r, upstream_status);
	if (upstream_degraded)
		headers_add_id(r, HDR_X_ENVOY_DEGRADED, STR(""));
	stream_respond_headers(s, r, true);
	return FILTER_STOP;
}

static const struct http_filter upstream = {
    .name = "upstream",
    .terminal = true,
    .start = upstream_start,
    .on_request_headers = upstream_answers,
};

static void
begin(struct world *w, const char *options, unsigned status)
{
	start(w, yaml_of(options));
	w->listener->hcm->filters[1].filter = &upstream;
	asked = 0;
	upstream_status = status;
	upstream_degraded = false;
	dial(w);
}

static const char check[] = "GET /hc HTTP/1.1\r\nhost: a\r\n\r\n";
static const char other[] = "GET /x HTTP/1.1\r\nhost: a\r\n\r\n";

static const struct {
	const char *name, *options;
	bool failed;
	const char *status;
} answers[] = {
    {"itself", "              pass_through_mode: false\n", false, "200 OK"},
    {"itself, failed", "              pass_through_mode: false\n", true, "503 Service Unavailable"},
    {"a healthy cluster",
	"              pass_through_mode: false\n"
	"              cluster_min_healthy_percentages: { full: { value: 100 } }\n",
	false, "200 OK"},
    {"half is enough",
	"              pass_through_mode: false\n"
	"              cluster_min_healthy_percentages: { half: { value: 50 } }\n",
	false, "200 OK"},
    {"half is too little",
	"              pass_through_mode: false\n"
	"              cluster_min_healthy_percentages: { half: { value: 51 } }\n",
	false, "503 Service Unavailable"},
    {"a percentage is cut to a whole number",
	"              pass_through_mode: false\n"
	"              cluster_min_healthy_percentages: { half: { value: 50.9 } }\n",
	false, "200 OK"},
    {"an empty cluster",
	"              pass_through_mode: false\n"
	"              cluster_min_healthy_percentages: { empty: { value: 1 } }\n",
	false, "503 Service Unavailable"},
    {"an empty cluster of which nothing is asked",
	"              pass_through_mode: false\n"
	"              cluster_min_healthy_percentages: { empty: { value: 0 } }\n",
	false, "200 OK"},
    {"one of two clusters is enough to fail",
	"              pass_through_mode: false\n"
	"              cluster_min_healthy_percentages: { full: { value: 1 }, half: { value: 99 } "
	"}\n",
	false, "503 Service Unavailable"},
    {"pass through, failed", "              pass_through_mode: true\n", true,
	"503 Service Unavailable"},
};

static void
the_answer_is_the_proxys_own_or_its_clusters(void **state)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct world w;

		begin(&w, answers[i].options, 200);
		shm_set_health_failed(answers[i].failed);
		say(&w, check);
		if (!has(&w, answers[i].status))
			fail_msg("%s: %s", answers[i].name, strb_z(&w.got));
		assert_true(has(&w, "x-envoy-upstream-healthchecked-cluster: edge"));
		assert_false(has(&w, "x-envoy-immediate-health-check-fail"));
		assert_int_equal(asked, 0);
		finish(&w);
	}
}

static void
what_passes_through_is_asked_each_time_without_a_cache(void **state)
{
	struct world w;

	begin(&w, "              pass_through_mode: true\n", 500);
	say(&w, check);
	say(&w, check);
	assert_int_equal(asked, 2);
	assert_int_equal(count(&w, "500 Internal Server Error"), 2);
	assert_int_equal(count(&w, "x-envoy-upstream-healthchecked-cluster: edge"), 2);
	finish(&w);
}

static void
a_cached_answer_serves_until_its_time_is_over(void **state)
{
	struct world w;

	begin(&w, "              pass_through_mode: true\n              cache_time: 2s\n", 200);
	upstream_degraded = true;
	say(&w, check);
	upstream_status = 503;
	upstream_degraded = false;
	say(&w, check);
	assert_int_equal(asked, 1);
	assert_int_equal(count(&w, "200 OK"), 2);
	assert_int_equal(count(&w, "x-envoy-degraded:"), 2);
	set_time(&w, 2001);
	say(&w, check);
	assert_int_equal(asked, 2);
	assert_true(has(&w, "503 Service Unavailable"));
	finish(&w);
}

static void
other_requests_carry_the_news_only_while_health_is_failed(void **state)
{
	struct world w;

	begin(&w, "              pass_through_mode: false\n", 200);
	say(&w, other);
	assert_false(has(&w, "x-envoy-immediate-health-check-fail"));
	shm_set_health_failed(true);
	say(&w, other);
	assert_true(has(&w, "x-envoy-immediate-health-check-fail: true"));
	finish(&w);
}

static void
health_checks_are_not_charged_to_ordinary_numbers(void **state)
{
	struct world w;
	uint64_t was;

	begin(&w, "              pass_through_mode: false\n", 200);
	was = stats(&w)->downstream_rq_completed.raw;
	say(&w, check);
	assert_counted(&w, downstream_rq_completed, was, 0);
	say(&w, other);
	assert_counted(&w, downstream_rq_completed, was, 1);
	finish(&w);
}

static void
a_check_with_a_body_is_answered_at_its_end(void **state)
{
	struct world w;

	begin(&w, "              pass_through_mode: false\n", 200);
	say(&w, "POST /hc HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab");
	assert_int_equal(w.got.n, 0);
	say(&w, "cd");
	assert_true(has(&w, "200 OK"));
	assert_false(w.ended);
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_answer_is_the_proxys_own_or_its_clusters),
	    cmocka_unit_test(what_passes_through_is_asked_each_time_without_a_cache),
	    cmocka_unit_test(a_cached_answer_serves_until_its_time_is_over),
	    cmocka_unit_test(other_requests_carry_the_news_only_while_health_is_failed),
	    cmocka_unit_test(health_checks_are_not_charged_to_ordinary_numbers),
	    cmocka_unit_test(a_check_with_a_body_is_answered_at_its_end),
	};

	rand_seed(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
