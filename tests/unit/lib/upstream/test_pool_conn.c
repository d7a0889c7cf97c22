/* One connection of a pool, HTTP/1 here: how long it is kept, and how it ends. */
#include "tests/unit/lib/upstream/pool_scene.h"

static void
an_idle_connection_is_closed_after_its_timeout(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "common_http_protocol_options: {idle_timeout: 0.02s}\n");
	ask(&sc, &a, false);
	UNTIL(sc.l, a.done);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_idle_timeout), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_local), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_with_active_rq), 0);
	close_scene(&sc);
	forget(&a, 1);
}

static void
a_busy_connection_is_not_idle(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, false, "common_http_protocol_options: {idle_timeout: 0.02s}\n");
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done);
	sc.o.hold = true;
	ask(&sc, &a[1], false);
	for (uint64_t from = loop_now_ms(sc.l); loop_now_ms(sc.l) < from + 60;)
		loop_turn(sc.l, false);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_idle_timeout), 0);
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[1].done);
	close_scene(&sc);
	forget(a, 2);
}

static void
a_connection_serves_no_more_requests_than_allowed(void **state)
{
	struct scene sc;
	struct attempt a[4];

	open_scene(&sc, false, "max_requests_per_connection: 2\n");
	for (int i = 0; i < 4; i++) {
		ask(&sc, &a[i], false);
		UNTIL(sc.l, a[i].done);
	}
	assert_int_equal(a[0].conn_id, a[1].conn_id);
	assert_int_equal(a[2].conn_id, a[3].conn_id);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_max_requests), 2);
	close_scene(&sc);
	forget(a, 4);
}

static void
a_connection_that_is_too_old_ends_after_its_request(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "common_http_protocol_options: {max_connection_duration: 0.02s}\n");
	sc.o.hold = true;
	ask(&sc, &a, false);
	UNTIL(sc.l, VALUE(sc.c->stats->upstream_cx_max_duration_reached) == 1);
	assert_int_equal(GAUGE(sc.c->stats->upstream_cx_active), 1);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, a.done);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	close_scene(&sc);
	forget(&a, 1);
}

static void
connection_close_in_a_response_is_obeyed(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "");
	sc.o.say_close = true;
	ask(&sc, &a, false);
	UNTIL(sc.l, a.done);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(a.status, 200);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_close_notify), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_protocol_error), 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_with_active_rq), 0);
	close_scene(&sc);
	forget(&a, 1);
}

static void
bytes_on_an_idle_connection_close_it(void **state)
{
	struct scene sc;
	struct attempt a;
	struct buf junk;

	open_scene(&sc, false, "");
	ask(&sc, &a, false);
	UNTIL(sc.l, a.done);
	buf_init(&junk);
	buf_addz(&junk, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	conn_write(&sc.o.conns[0]->conn, &junk);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_protocol_error), 1);
	buf_fini(&junk);
	close_scene(&sc);
	forget(&a, 1);
}

static void
the_host_closing_an_idle_connection_is_noticed(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, false, "");
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done);
	conn_close(&sc.o.conns[0]->conn, CLOSE_FLUSH, 100);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_remote), 1);
	ask(&sc, &a[1], false);
	UNTIL(sc.l, a[1].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	close_scene(&sc);
	forget(a, 2);
}

/* More than those that keep their codec while they rest: nobody can tell them from the others. */
static void
many_connections_at_rest_are_as_good_as_one(void **state)
{
	enum { MANY = 70 };
	struct scene sc;
	struct attempt a[MANY], again[MANY];
	unsigned done = 0;

	open_scene(&sc, false, "");
	for (unsigned i = 0; i < MANY; i++)
		ask(&sc, &a[i], false);
	for (unsigned i = 0; i < MANY; i++)
		UNTIL(sc.l, a[i].done);
	for (unsigned i = 0; i < MANY; i++)
		ask(&sc, &again[i], false);
	for (unsigned i = 0; i < MANY; i++) {
		UNTIL(sc.l, again[i].done);
		assert_true(again[i].reused);
		done += again[i].status == 200;
	}
	assert_int_equal(done, MANY);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), MANY);
	for (unsigned i = 0; i < MANY / 2; i++) {
		struct buf junk;

		buf_init(&junk);
		buf_addz(&junk, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
		conn_write(&sc.o.conns[i]->conn, &junk);
		buf_fini(&junk);
	}
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == MANY / 2);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_protocol_error), MANY / 2);
	for (unsigned i = MANY / 2; i < MANY; i++)
		conn_close(&sc.o.conns[i]->conn, CLOSE_FLUSH, 100);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_remote), MANY / 2);
	close_scene(&sc);
	forget(a, MANY);
	forget(again, MANY);
}

static void
a_connection_that_dies_under_a_request_resets_it(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "");
	sc.o.hold = true;
	ask(&sc, &a, false);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	conn_close(&sc.o.conns[0]->conn, CLOSE_NOW, 0);
	UNTIL(sc.l, a.reset >= 0);
	assert_int_equal(a.reset, RESET_CONNECTION_CLOSED);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_with_active_rq), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_remote_with_active_rq), 1);
	close_scene(&sc);
	forget(&a, 1);
}

static void
resetting_a_request_costs_its_http1_connection(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "");
	sc.o.hold = true;
	ask(&sc, &a, false);
	UNTIL(sc.l, sc.o.streams_n == 1);
	pool_reset(a.pc, a.s);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_tx_reset), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_local_with_active_rq), 1);
	close_scene(&sc);
	forget(&a, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_idle_connection_is_closed_after_its_timeout),
	    cmocka_unit_test(a_busy_connection_is_not_idle),
	    cmocka_unit_test(a_connection_serves_no_more_requests_than_allowed),
	    cmocka_unit_test(a_connection_that_is_too_old_ends_after_its_request),
	    cmocka_unit_test(connection_close_in_a_response_is_obeyed),
	    cmocka_unit_test(bytes_on_an_idle_connection_close_it),
	    cmocka_unit_test(the_host_closing_an_idle_connection_is_noticed),
	    cmocka_unit_test(many_connections_at_rest_are_as_good_as_one),
	    cmocka_unit_test(a_connection_that_dies_under_a_request_resets_it),
	    cmocka_unit_test(resetting_a_request_costs_its_http1_connection),
	};

	rand_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
