/* The pool of a host: which connection a request gets, who waits, and who is turned away. */
#include "tests/unit/lib/upstream/pool_scene.h"

static void
the_most_recently_used_connection_is_taken_first(void **state)
{
	struct scene sc;
	struct attempt a[3], again[3];
	uint64_t last;

	open_scene(&sc, false, "");
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, a[0].done && a[1].done && a[2].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(a[i].status, 200);
	last = a[1].conn_id; /* whichever: use one more, then it is the most recent */
	ask(&sc, &again[0], false);
	UNTIL(sc.l, again[0].done);
	last = again[0].conn_id;
	for (int i = 1; i < 3; i++) {
		ask(&sc, &again[i], false);
		assert_true(again[i].ready); /* at once */
		UNTIL(sc.l, again[i].done);
		assert_int_equal(again[i].conn_id, last);
		assert_true(again[i].reused);
	}
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 3);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_http1_total), 3);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_total), 6);
	assert_int_equal(VALUE(sc.c->hosts[0]->stats->rq_total), 6);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_pending_total), 3);
	assert_true(VALUE(sc.c->stats->upstream_cx_rx_bytes_total) > 0);
	assert_true(VALUE(sc.c->stats->upstream_cx_tx_bytes_total) > 0);
	close_scene(&sc);
	forget(a, 3);
	forget(again, 3);
}

static void
a_fresh_connection_is_made_when_asked_for(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, false, "");
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done);
	ask(&sc, &a[1], true);
	assert_false(a[1].ready);
	UNTIL(sc.l, a[1].done);
	assert_false(a[1].reused);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	close_scene(&sc);
	forget(a, 2);
}

static void
one_connection_carries_one_request_and_the_rest_wait_in_order(void **state)
{
	struct scene sc;
	struct attempt a[3];

	open_scene(&sc, false,
	    "circuit_breakers:\n"
	    "  thresholds:\n"
	    "  - max_connections: 1\n");
	sc.o.hold = true;
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	assert_true(a[0].ready && !a[1].ready && !a[2].ready);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_overflow), 2);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_cx_open), 1);
	assert_int_equal(GAUGE(sc.c->stats->upstream_rq_pending_active), 2);
	origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, sc.o.streams_n == 2 && sc.o.streams[1]->complete);
	assert_true(a[1].ready && !a[2].ready);
	sc.o.hold = false;
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[2].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 1);
	close_scene(&sc);
	forget(a, 3);
}

static void
a_host_may_have_a_limit_of_its_own(void **state)
{
	struct scene sc;
	struct attempt a[3];

	open_scene(&sc, false,
	    "circuit_breakers:\n"
	    "  per_host_thresholds:\n"
	    "  - {priority: HIGH, max_connections: 1}\n"
	    "  - max_connections: 2\n");
	sc.o.hold = true;
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, sc.o.streams_n == 2 && sc.o.streams[1]->complete);
	assert_true(a[0].ready && a[1].ready && !a[2].ready);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_overflow), 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_cx_open), 0);
	sc.o.hold = false;
	origin_answer(sc.o.streams[0]);
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[2].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	close_scene(&sc);
	forget(a, 3);
}

static void
too_many_waiting_requests_overflow(void **state)
{
	struct scene sc;
	struct attempt a[3];

	open_scene(&sc, false,
	    "circuit_breakers:\n"
	    "  thresholds:\n"
	    "  - max_connections: 1\n"
	    "    max_pending_requests: 1\n");
	sc.o.hold = true;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].ready);
	ask(&sc, &a[1], false);
	ask(&sc, &a[2], false);
	assert_true(a[2].failed);
	assert_int_equal(a[2].why, POOL_OVERFLOW);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_pending_overflow), 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_rq_pending_open), 1);
	pool_cancel(&a[1].ask);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_cancelled), 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_rq_pending_open), 0);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, a[0].done);
	close_scene(&sc);
	forget(a, 3);
}

static void
too_many_active_requests_overflow(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, true,
	    H2 "circuit_breakers:\n"
	       "  thresholds:\n"
	       "  - max_requests: 1\n"
	       "    track_remaining: true\n");
	sc.o.hold = true;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, sc.o.streams_n == 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_rq_open), 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_remaining_rq), -1);
	ask(&sc, &a[1], false);
	assert_true(a[1].failed && a[1].why == POOL_OVERFLOW);
	origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, a[0].done);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_rq_open), 0);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_remaining_rq), 0);
	close_scene(&sc);
	forget(a, 2);
}

static void
a_refused_connection_fails_all_that_wait(void **state)
{
	struct scene sc;
	struct attempt a[3];
	uint64_t opened;

	open_scene(&sc, false, "");
	origin_refuse(&sc.o);
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	opened = VALUE(sc.c->stats->upstream_cx_total);
	UNTIL(sc.l, a[0].failed && a[1].failed && a[2].failed);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(a[i].why, POOL_CONNECT_FAILED);
		assert_string_equal(a[i].text, "delayed connect error: Connection refused");
	}
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), opened);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_connect_fail), opened);
	assert_int_equal(VALUE(sc.c->hosts[0]->stats->cx_connect_fail), opened);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_pending_failure_eject), 3);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_total), 0);
	close_scene(&sc);
	forget(a, 3);
}

/* A backlog of one that is full: the kernel drops our SYN. */
static void
a_host_that_does_not_answer_the_connect_times_out(void **state)
{
	struct scene sc;
	struct attempt a;
	struct address to;
	struct err err;
	int fillers[8];
	bool pending;

	open_scene(&sc, false, "connect_timeout: 0.05s\n");
	io_del(&sc.o.io);
	listen(sc.o.fd, 0);
	address_local(&to, sc.o.fd);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
		fillers[i] = socket_connect(&to, NULL, &pending, &err);
	ask(&sc, &a, false);
	UNTIL(sc.l, a.failed);
	assert_int_equal(a.why, POOL_CONNECT_TIMEOUT);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_connect_timeout), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_connect_fail), 1);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
		close(fillers[i]);
	close_scene(&sc);
	forget(&a, 1);
}

static void
a_host_that_failed_keeps_no_idle_connection(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, false, "");
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done);
	sc.o.hold = true;
	ask(&sc, &a[1], false);
	pool_drain(sc.c->hosts[0]->pool[0]);
	UNTIL(sc.l, sc.o.streams_n == 2 && sc.o.streams[1]->complete);
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[1].done); /* what was under way is finished */
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	close_scene(&sc);
	forget(a, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_most_recently_used_connection_is_taken_first),
	    cmocka_unit_test(a_fresh_connection_is_made_when_asked_for),
	    cmocka_unit_test(one_connection_carries_one_request_and_the_rest_wait_in_order),
	    cmocka_unit_test(a_host_may_have_a_limit_of_its_own),
	    cmocka_unit_test(too_many_waiting_requests_overflow),
	    cmocka_unit_test(too_many_active_requests_overflow),
	    cmocka_unit_test(a_refused_connection_fails_all_that_wait),
	    cmocka_unit_test(a_host_that_does_not_answer_the_connect_times_out),
	    cmocka_unit_test(a_host_that_failed_keeps_no_idle_connection),
	};

	rand_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
