/* What of a retry policy is left: verdicts, waiting times, what counts towards the breaker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"
#include "worker/router/router_private.h"

struct world {
	struct http_stream stream;
	struct route route;
	struct route_policy said;
	struct retry_policy policy;
	struct router router;
	struct headers request, answer;
};

static int
setup(void **state)
{
	struct world *w = mem_new(struct world);

	lane_private();
	arena_init(&w->stream.arena);
	w->stream.loop = loop_new();
	headers_init(&w->request, &w->stream.arena);
	headers_init(&w->answer, &w->stream.arena);
	w->policy = (struct retry_policy){
	    .on = RETRY_ON_5XX, .num_retries = 1, .base_ms = 25, .max_ms = 250, .host_attempts = 1};
	w->said.retry = &w->policy;
	w->route.policy = &w->said;
	w->router.stream = &w->stream;
	w->router.route = &w->route;
	w->router.request = &w->request;
	w->router.cluster = cluster_from_yaml(w->stream.loop,
	    "circuit_breakers: {thresholds: [{max_retries: 2}]}\n"
	    "load_assignment:\n  cluster_name: api\n  endpoints:\n  - lb_endpoints:\n"
	    "    - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 80}}}\n");
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	cluster_end(w->stream.loop, &w->router.cluster);
	loop_free(&w->stream.loop);
	arena_fini(&w->stream.arena);
	mem_free(w);
	return 0;
}

static const struct headers *
answer(struct world *w, unsigned status)
{
	headers_set_status(&w->answer, status);
	return &w->answer;
}

static int
used(const struct world *w)
{
	return (int)stat_gauge_value(
	    w->router.cluster->stats->circuit_breakers_default_rq_retry_used.raw);
}

/* Milliseconds until the retry that was ordered. */
static uint64_t
waits(struct world *w, const struct retry *t)
{
	assert_true(t->pending && timer_armed(&t->timer));
	return t->timer.at - (loop_now_ms(w->stream.loop) + 1);
}

static void
without_conditions_there_is_nothing_to_keep(void **state)
{
	struct world *w = *state;

	w->policy.on = 0;
	assert_null(retry_new(&w->router));
	w->said.retry = NULL;
	assert_null(retry_new(&w->router));
	headers_set_id(&w->request, HDR_X_ENVOY_RETRY_ON, STR("nonsense"));
	assert_null(retry_new(&w->router));
}

static void
each_back_off_is_below_twice_the_one_before_up_to_the_greatest(void **state)
{
	static const uint64_t bounds[] = {25, 50, 100, 200, 250, 250};
	struct world *w = *state;
	uint64_t greatest[6] = {0}, least[6] = {999, 999, 999, 999, 999, 999};

	w->policy.num_retries = 6;
	for (unsigned round = 0; round < 2000; round++) {
		struct retry *t = retry_new(&w->router);

		for (unsigned i = 0; i < 6; i++) {
			uint64_t ms;

			assert_int_equal(retry_on_answer(t, answer(w, 500)), RETRY_YES);
			ms = waits(w, t);
			assert_true(ms < bounds[i]);
			greatest[i] = ms > greatest[i] ? ms : greatest[i];
			least[i] = ms < least[i] ? ms : least[i];
		}
		retry_end(&t);
	}
	for (unsigned i = 0; i < 6; i++) {
		assert_true(greatest[i] >= bounds[i] * 9 / 10);
		assert_true(least[i] <= bounds[i] / 10);
	}
	assert_int_equal(used(w), 0);
}

static void
a_host_is_asked_again_when_it_wants_to_or_a_little_later(void **state)
{
	struct reset_header headers[] = {
	    {STR("x-at"), true}, {STR("retry-after"), false}};
	static const struct {
		const char *name, *value;
		uint64_t least, most; /* 0: an ordinary back-off */
	} rows[] = {
	    {"retry-after", "2", 2000, 2999},
	    {"retry-after", "300", 300000, 449999},
	    {"retry-after", "301", 0, 0},
	    {"retry-after", "0", 0, 0},
	    {"retry-after", "soon", 0, 0},
	    {"retry-after", "18446744073709551615", 0, 0},
	    {"x-at", "17", 0, 0},
	    {"x-other", "2", 0, 0},
	};
	struct world *w = *state;

	w->policy.reset_headers = headers;
	w->policy.n_reset_headers = 2;
	w->policy.reset_max_ms = 300000;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct retry *t = retry_new(&w->router);
		uint64_t ms;

		headers_init(&w->answer, &w->stream.arena);
		headers_set(&w->answer, str_of(rows[i].name), str_of(rows[i].value));
		assert_int_equal(retry_on_answer(t, answer(w, 503)), RETRY_YES);
		ms = waits(w, t);
		if (rows[i].most)
			assert_in_range(ms, rows[i].least, rows[i].most);
		else
			assert_true(ms < 25);
		retry_end(&t);
	}
}

static void
a_point_in_time_is_waited_for(void **state)
{
	struct reset_header header = {STR("x-at"), true};
	struct world *w = *state;
	uint64_t now_s = loop_wall_ns(w->stream.loop) / NS_PER_S;
	struct retry *t;

	w->policy.reset_headers = &header;
	w->policy.n_reset_headers = 1;
	w->policy.reset_max_ms = 300000;
	t = retry_new(&w->router);
	headers_set(
	    &w->answer, STR("x-at"), str_of(arena_printf(&w->stream.arena, "%u", (unsigned)now_s + 10)));
	assert_int_equal(retry_on_answer(t, answer(w, 503)), RETRY_YES);
	assert_in_range(waits(w, t), 10000, 14999);
	retry_end(&t);
}

static void
what_a_host_took_no_byte_of_goes_on_at_once_and_uncounted(void **state)
{
	static const enum retry_cause causes[] = {CAUSE_CONNECT, CAUSE_STALE};
	struct world *w = *state;

	w->router.cluster->breakers[0].at[BREAKER_RETRIES].max = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct retry *t = retry_new(&w->router);

		assert_true(retry_at_once_is_left(t, causes[i]));
		assert_int_equal(retry_on_failure(t, causes[i], true, false), RETRY_YES);
		assert_true(t->pending);
		assert_false(timer_armed(&t->timer));
		assert_int_equal(used(w), 0);
		assert_int_equal(t->left, 0);
		assert_false(retry_at_once_is_left(t, causes[i]));
		assert_int_equal(retry_on_failure(t, causes[i], true, false), RETRY_LIMIT);
		retry_end(&t);
	}
}

static void
too_early_is_tried_at_once_but_counted(void **state)
{
	static uint32_t codes[] = {425};
	struct world *w = *state;
	struct retry *t;

	w->policy.on = RETRY_ON_STATUS_CODES;
	w->policy.codes = codes;
	w->policy.n_codes = 1;
	t = retry_new(&w->router);
	assert_int_equal(retry_on_answer(t, answer(w, 425)), RETRY_YES);
	assert_true(t->pending);
	assert_false(timer_armed(&t->timer));
	assert_int_equal(used(w), 1);
	retry_end(&t);
	headers_set(&w->request, STR("early-data"), STR("1"));
	t = retry_new(&w->router);
	assert_int_equal(retry_on_answer(t, answer(w, 425)), RETRY_NO);
	retry_end(&t);
}

static void
the_breaker_is_held_until_the_outcome_is_known(void **state)
{
	struct world *w = *state;
	struct cluster_stats *s = w->router.cluster->stats;
	struct retry *a = retry_new(&w->router), *b = retry_new(&w->router);
	struct retry *c = retry_new(&w->router);

	assert_int_equal(retry_on_answer(a, answer(w, 500)), RETRY_YES);
	assert_int_equal(retry_on_answer(b, answer(w, 500)), RETRY_YES);
	assert_int_equal(used(w), 2);
	assert_int_equal(retry_on_answer(c, answer(w, 500)), RETRY_OVERFLOW);
	assert_int_equal(retry_on_answer(a, answer(w, 200)), RETRY_NO);
	assert_int_equal(used(w), 1);
	assert_int_equal((int)s->upstream_rq_retry_success.raw, 1);
	assert_int_equal(retry_on_answer(b, answer(w, 500)), RETRY_LIMIT);
	assert_int_equal(used(w), 0);
	assert_int_equal((int)s->upstream_rq_retry.raw, 2);
	assert_int_equal((int)s->upstream_rq_retry_limit_exceeded.raw, 1);
	assert_int_equal((int)s->upstream_rq_retry_overflow.raw, 1);
	retry_end(&a);
	retry_end(&b);
	retry_end(&c);
}

static void
causes_and_conditions(void **state)
{
	static const struct {
		uint32_t on;
		enum retry_cause cause;
		bool started, would;
	} rows[] = {
	    {1u << RETRY_ON_BIT_CONNECT_FAILURE, CAUSE_CONNECT, false, true},
	    {1u << RETRY_ON_BIT_CONNECT_FAILURE, CAUSE_RESET, true, false},
	    {1u << RETRY_ON_BIT_CONNECT_FAILURE, CAUSE_STALE, true, false},
	    {1u << RETRY_ON_BIT_REFUSED_STREAM, CAUSE_REFUSED, true, true},
	    {1u << RETRY_ON_BIT_REFUSED_STREAM, CAUSE_CONNECT, false, false},
	    {1u << RETRY_ON_BIT_RESET, CAUSE_CONNECT, false, true},
	    {1u << RETRY_ON_BIT_RESET, CAUSE_STALE, true, true},
	    {1u << RETRY_ON_BIT_RESET, CAUSE_OVERFLOW, false, false},
	    {1u << RETRY_ON_BIT_5XX, CAUSE_REFUSED, true, true},
	    {1u << RETRY_ON_BIT_5XX, CAUSE_OVERFLOW, false, false},
	    {1u << RETRY_ON_BIT_GATEWAY_ERROR, CAUSE_RESET, true, true},
	    {1u << RETRY_ON_BIT_RESET_BEFORE_REQUEST, CAUSE_CONNECT, false, true},
	    {1u << RETRY_ON_BIT_RESET_BEFORE_REQUEST, CAUSE_RESET, true, false},
	    {1u << RETRY_ON_BIT_RETRIABLE_4XX, CAUSE_RESET, true, false},
	    {1u << RETRY_ON_BIT_HTTP3_POST_CONNECT, CAUSE_RESET, true, false},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct retry *t;

		w->policy.on = rows[i].on;
		t = retry_new(&w->router);
		if ((retry_on_failure(t, rows[i].cause, rows[i].started, false) == RETRY_YES) !=
		    rows[i].would)
			fail_msg("row %zu", i);
		retry_end(&t);
	}
}

static void
headers_add_conditions_codes_and_names(void **state)
{
	static uint32_t codes[] = {404};
	struct world *w = *state;
	struct retry *t;

	w->policy.on = 0;
	w->policy.codes = codes;
	w->policy.n_codes = 1;
	headers_set_id(&w->request, HDR_X_ENVOY_RETRY_ON,
	    STR("retriable-status-codes, retriable-headers"));
	headers_set_id(&w->request, HDR_X_ENVOY_RETRY_GRPC_ON, STR("unavailable,5xx"));
	headers_set_id(&w->request, HDR_X_ENVOY_MAX_RETRIES, STR("7"));
	headers_set_id(&w->request, HDR_X_ENVOY_RETRIABLE_STATUS_CODES, STR("418,x, 500,99999"));
	headers_set_id(&w->request, HDR_X_ENVOY_RETRIABLE_HEADER_NAMES, STR("X-Again,,"));
	t = retry_new(&w->router);
	assert_int_equal(w->request.len, 0);
	assert_int_equal(t->left, 7);
	assert_int_equal(t->n_codes, 3);
	assert_true(retry_would_on_answer(t, answer(w, 404)));
	assert_true(retry_would_on_answer(t, answer(w, 418)));
	assert_true(retry_would_on_answer(t, answer(w, 500)));
	assert_false(retry_would_on_answer(t, answer(w, 503)));
	headers_set(&w->answer, STR("x-again"), STR(""));
	assert_true(retry_would_on_answer(t, answer(w, 200)));
	headers_remove(&w->answer, STR("x-again"));
	headers_set_id(&w->answer, HDR_GRPC_STATUS, STR("14"));
	assert_true(retry_would_on_answer(t, answer(w, 200)));
	headers_set_id(&w->answer, HDR_X_ENVOY_RATELIMITED, STR("true"));
	assert_false(retry_would_on_answer(t, answer(w, 500)));
	retry_end(&t);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(without_conditions_there_is_nothing_to_keep),
	    T(each_back_off_is_below_twice_the_one_before_up_to_the_greatest),
	    T(a_host_is_asked_again_when_it_wants_to_or_a_little_later),
	    T(a_point_in_time_is_waited_for),
	    T(what_a_host_took_no_byte_of_goes_on_at_once_and_uncounted),
	    T(too_early_is_tried_at_once_but_counted),
	    T(the_breaker_is_held_until_the_outcome_is_known),
	    T(causes_and_conditions),
	    T(headers_add_conditions_codes_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
