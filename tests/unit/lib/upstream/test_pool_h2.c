/* HTTP/2 connections of a pool: many requests at once, as many as the host allows, until it goes. */
#include "tests/unit/lib/upstream/pool_scene.h"

static void
http2_carries_many_requests_on_one_connection(void **state)
{
	struct scene sc;
	struct attempt a[8];

	open_scene(&sc, true, H2);
	sc.o.hold = true;
	for (int i = 0; i < 8; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, sc.o.streams_n == 8);
	assert_int_equal(sc.o.conns_n, 1);
	for (int i = 7; i >= 0; i--)
		origin_answer(sc.o.streams[i]);
	for (int i = 0; i < 8; i++)
		UNTIL(sc.l, a[i].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_http2_total), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_total), 8);
	close_scene(&sc);
	forget(a, 8);
}

static void
http2_keeps_to_the_streams_the_host_allows(void **state)
{
	struct scene sc;
	struct attempt a[5];

	open_scene(&sc, true, H2);
	sc.o.config.h2.max_concurrent_streams = 2;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done); /* SETTINGS came before the answer */
	sc.o.hold = true;
	for (int i = 1; i < 5; i++)
		ask(&sc, &a[i], false);
	assert_true(a[1].ready && a[2].ready && !a[3].ready && !a[4].ready);
	UNTIL(sc.l, a[3].ready && a[4].ready && sc.o.streams_n == 5);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	for (int i = 1; i < 5; i++)
		origin_answer(sc.o.streams[i]);
	for (int i = 1; i < 5; i++)
		UNTIL(sc.l, a[i].done);
	close_scene(&sc);
	forget(a, 5);
}

static void
goaway_lets_streams_finish_and_takes_no_more(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, true, H2);
	sc.o.hold = true;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	codec_goaway(sc.o.conns[0]->codec, true);
	UNTIL(sc.l, VALUE(sc.c->stats->upstream_cx_close_notify) == 1);
	ask(&sc, &a[1], false);
	UNTIL(sc.l, sc.o.streams_n == 2);
	assert_int_equal(sc.o.conns_n, 2);
	origin_answer(sc.o.streams[0]);
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[0].done && a[1].done);
	assert_int_equal(a[0].status, 200);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 1);
	close_scene(&sc);
	forget(a, 2);
}

static void
resetting_a_request_leaves_its_http2_connection(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, true, H2);
	sc.o.hold = true;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, sc.o.streams_n == 1);
	pool_reset(a[0].pc, a[0].s);
	UNTIL(sc.l, sc.o.streams[0]->reset);
	sc.o.hold = false;
	ask(&sc, &a[1], false);
	UNTIL(sc.l, a[1].done);
	assert_int_equal(a[0].conn_id, a[1].conn_id);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 1);
	close_scene(&sc);
	forget(a, 2);
}

/* The host allows one stream, and we learn of it when three were begun. */
static void
requests_beyond_the_hosts_limit_can_be_given_up(void **state)
{
	struct scene sc;
	struct attempt a[4];

	open_scene(&sc, true, H2);
	sc.o.config.h2.max_concurrent_streams = 1;
	sc.o.hold = true;
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, sc.o.streams_n >= 1 && sc.o.streams[0]->complete);
	for (int i = 0; i < 20; i++)
		loop_turn(sc.l, false);
	for (int i = 1; i < 3; i++) {
		if (a[i].s)
			pool_reset(a[i].pc, a[i].s);
		loop_turn(sc.l, false);
		arena_fini(&a[i].arena);
	}
	sc.o.hold = false;
	if (sc.o.streams[0]->s)
		origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, a[0].done);
	ask(&sc, &a[3], false);
	UNTIL(sc.l, a[3].done);
	assert_int_equal(a[3].status, 200);
	close_scene(&sc);
	forget(a, 1);
	forget(&a[3], 1);
}

static void
a_connection_nobody_waits_for_any_more_is_ready_for_the_next(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, true, H2);
	ask(&sc, &a[0], false);
	pool_cancel(&a[0].ask);
	UNTIL(sc.l, VALUE(sc.c->stats->upstream_cx_tx_bytes_total) > 0);
	ask(&sc, &a[1], false);
	assert_true(a[1].ready);
	UNTIL(sc.l, a[1].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 1);
	close_scene(&sc);
	forget(a, 2);
}

static void
a_host_that_answers_no_ping_is_dropped(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, true,
	    "typed_extension_protocol_options:\n"
	    "  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
	    "    '@type': "
	    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
	    "    explicit_http_config:\n"
	    "      http2_protocol_options:\n"
	    "        connection_keepalive: {interval: 0.02s, timeout: 0.02s}\n");
	ask(&sc, &a, false);
	UNTIL(sc.l, a.done);
	UNTIL(sc.l, sc.o.conns_n == 1);
	conn_pause(&sc.o.conns[0]->conn);
	UNTIL(sc.l, VALUE(sc.c->codec.h2_stats->keepalive_timeout) == 1);
	conn_resume(&sc.o.conns[0]->conn);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	close_scene(&sc);
	forget(&a, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(http2_carries_many_requests_on_one_connection),
	    cmocka_unit_test(http2_keeps_to_the_streams_the_host_allows),
	    cmocka_unit_test(goaway_lets_streams_finish_and_takes_no_more),
	    cmocka_unit_test(resetting_a_request_leaves_its_http2_connection),
	    cmocka_unit_test(requests_beyond_the_hosts_limit_can_be_given_up),
	    cmocka_unit_test(a_connection_nobody_waits_for_any_more_is_ready_for_the_next),
	    cmocka_unit_test(a_host_that_answers_no_ping_is_dropped),
	};

	rand_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
