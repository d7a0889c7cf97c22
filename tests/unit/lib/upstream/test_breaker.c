/* Circuit breakers: what two workers use together, and what the gauges say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/event/loop.h"
#include "lib/upstream/breaker.h"
#include "shm/lane.h"

#define GAUGE(g) ((int)stat_gauge_value((g).raw))

static const struct segment_params params = {
    .concurrency = 2,
    .lane_bytes = 4u << 20,
    .dir_bytes = 1u << 20,
    .shared_bytes = 1u << 20,
};

/* The lane of a seat, with this many requests active in it. */
static struct cluster_stats *
as_seat(struct segment *seg, uint32_t seat, int active)
{
	struct cluster_stats *s;
	struct err err;

	assert_int_equal(lane_take(seg, seat, SEAT_WORKER, seat, &err), 0);
	s = cluster_stats_of("cluster.api.");
	stat_set(&s->circuit_breakers_default_rq_used, active);
	return s;
}

static void
the_other_workers_requests_count(void **state)
{
	struct segment *seg;
	struct loop *l = loop_new();
	struct breakers b;
	struct cluster_stats *s;
	struct err err;
	const uint64_t max[BREAKER_KINDS] = {10, 10, 10, 3};

	assert_int_equal(segment_create_private(&seg, &params, &err), 0);
	assert_int_equal(block_publish(seg, SCOPE_cluster, STR("cluster.api."), &err), 0);
	as_seat(seg, 2, 8);
	s = as_seat(seg, 3, 0);
	breakers_init(&b, l, s, false, max, true);
	for (int i = 0; i < 2; i++) {
		assert_true(breaker_allows(&b, BREAKER_REQUESTS));
		breaker_add(&b, BREAKER_REQUESTS);
	}
	assert_false(breaker_allows(&b, BREAKER_REQUESTS));
	assert_int_equal(GAUGE(s->circuit_breakers_default_rq_open), 1);
	assert_int_equal(GAUGE(s->circuit_breakers_default_remaining_rq), -2);
	assert_true(breaker_allows(&b, BREAKER_CONNECTIONS));
	breaker_remove(&b, BREAKER_REQUESTS);
	assert_true(breaker_allows(&b, BREAKER_REQUESTS));
	assert_int_equal(GAUGE(s->circuit_breakers_default_rq_open), 0);
	breakers_fini(&b);
	segment_free(&seg);
	loop_free(&l);
}

static void
a_breaker_closes_by_itself_when_others_let_go(void **state)
{
	struct segment *seg;
	struct loop *l = loop_new();
	struct breakers b;
	struct cluster_stats *s, *other;
	struct err err;
	const uint64_t max[BREAKER_KINDS] = {10, 10, 10, 3};

	assert_int_equal(segment_create_private(&seg, &params, &err), 0);
	assert_int_equal(block_publish(seg, SCOPE_cluster, STR("cluster.api."), &err), 0);
	other = as_seat(seg, 2, 10);
	s = as_seat(seg, 3, 0);
	breakers_init(&b, l, s, false, max, false);
	assert_false(breaker_allows(&b, BREAKER_REQUESTS));
	assert_int_equal(GAUGE(s->circuit_breakers_default_rq_open), 1);
	stat_set(&other->circuit_breakers_default_rq_used, 0);
	while (GAUGE(s->circuit_breakers_default_rq_open))
		loop_turn(l, true);
	assert_true(breaker_allows(&b, BREAKER_REQUESTS));
	breakers_fini(&b);
	segment_free(&seg);
	loop_free(&l);
}

static void
the_high_priority_has_its_own_count(void **state)
{
	struct loop *l = loop_new();
	struct breakers b;
	struct cluster_stats *s;
	const uint64_t max[BREAKER_KINDS] = {2, 2, 2, 3};

	lane_private();
	s = cluster_stats_of("cluster.api.");
	stat_set(&s->circuit_breakers_default_rq_used, 50);
	breakers_init(&b, l, s, true, max, false);
	breaker_add(&b, BREAKER_REQUESTS);
	assert_true(breaker_allows(&b, BREAKER_REQUESTS));
	breaker_add(&b, BREAKER_REQUESTS);
	assert_false(breaker_allows(&b, BREAKER_REQUESTS));
	assert_int_equal(GAUGE(s->circuit_breakers_high_rq_open), 1);
	assert_int_equal(GAUGE(s->circuit_breakers_default_rq_open), 0);
	breakers_fini(&b);
	assert_int_equal(GAUGE(s->circuit_breakers_high_rq_open), 0);
	loop_free(&l);
}

static void
a_budget_is_a_share_of_all_workers_requests(void **state)
{
	struct segment *seg;
	struct loop *l = loop_new();
	struct breakers b;
	struct cluster_stats *s, *other;
	struct err err;
	const uint64_t max[BREAKER_KINDS] = {1000, 1000, 1000, 0};

	assert_int_equal(segment_create_private(&seg, &params, &err), 0);
	assert_int_equal(block_publish(seg, SCOPE_cluster, STR("cluster.api."), &err), 0);
	other = as_seat(seg, 2, 30);
	stat_set(&other->circuit_breakers_default_rq_pending_used, 10);
	s = as_seat(seg, 3, 10);
	breakers_init(&b, l, s, false, max, true);
	breakers_set_budget(&b, &(struct retry_budget){.percent = 10, .least = 2});
	for (int i = 0; i < 5; i++) {
		assert_true(breaker_allows(&b, BREAKER_RETRIES));
		breaker_add(&b, BREAKER_RETRIES);
	}
	assert_false(breaker_allows(&b, BREAKER_RETRIES));
	assert_int_equal(GAUGE(s->circuit_breakers_default_rq_retry_open), 1);
	assert_int_equal(GAUGE(s->circuit_breakers_default_remaining_retries), 0);
	for (int i = 0; i < 4; i++)
		breaker_remove(&b, BREAKER_RETRIES);
	stat_set(&s->circuit_breakers_default_rq_used, 0);
	stat_set(&other->circuit_breakers_default_rq_used, 0);
	loop_turn(l, false);
	assert_true(breaker_allows(&b, BREAKER_RETRIES)); /* one of the two that are always allowed */
	breaker_add(&b, BREAKER_RETRIES);
	assert_false(breaker_allows(&b, BREAKER_RETRIES));
	breaker_remove(&b, BREAKER_RETRIES);
	breaker_remove(&b, BREAKER_RETRIES);
	breakers_fini(&b);
	segment_free(&seg);
	loop_free(&l);
}

static void
retries_of_another_worker_count(void **state)
{
	struct segment *seg;
	struct loop *l = loop_new();
	struct breakers b;
	struct cluster_stats *s, *other;
	struct err err;
	const uint64_t max[BREAKER_KINDS] = {10, 10, 10, 3};

	assert_int_equal(segment_create_private(&seg, &params, &err), 0);
	assert_int_equal(block_publish(seg, SCOPE_cluster, STR("cluster.api."), &err), 0);
	other = as_seat(seg, 2, 0);
	stat_set(&other->circuit_breakers_high_rq_retry_used, 2);
	stat_set(&other->circuit_breakers_default_rq_retry_used, 9);
	s = as_seat(seg, 3, 0);
	breakers_init(&b, l, s, true, max, true);
	assert_true(breaker_allows(&b, BREAKER_RETRIES));
	breaker_add(&b, BREAKER_RETRIES);
	assert_false(breaker_allows(&b, BREAKER_RETRIES));
	assert_int_equal(GAUGE(s->circuit_breakers_high_rq_retry_open), 1);
	assert_int_equal(GAUGE(s->circuit_breakers_high_remaining_retries), -1);
	breaker_remove(&b, BREAKER_RETRIES);
	breakers_fini(&b);
	segment_free(&seg);
	loop_free(&l);
}

static void
a_limit_of_zero_allows_nothing(void **state)
{
	struct loop *l = loop_new();
	struct breakers b;
	const uint64_t max[BREAKER_KINDS] = {0, 0, 0, 0};

	lane_private();
	breakers_init(&b, l, cluster_stats_of("cluster.api."), false, max, false);
	for (unsigned i = 0; i < BREAKER_KINDS; i++)
		assert_false(breaker_allows(&b, i));
	breakers_fini(&b);
	loop_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_other_workers_requests_count),
	    cmocka_unit_test(a_breaker_closes_by_itself_when_others_let_go),
	    cmocka_unit_test(a_budget_is_a_share_of_all_workers_requests),
	    cmocka_unit_test(retries_of_another_worker_count),
	    cmocka_unit_test(the_high_priority_has_its_own_count),
	    cmocka_unit_test(a_limit_of_zero_allows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
