/*
 * What the client hears of an attempt that went wrong; and nothing when it
 * was a kept connection that was dead already, as long as that is harmless.
 */
#include "tests/unit/worker/router/routed.h"

static void
a_refused_connection_says_so(void **state)
{
	struct world w;

	open_world(&w, false, "");
	origin_refuse(&w.o);
	get(&w, "/api");
	WAIT_FOR(&w, "upstream connect error or disconnect/reset before headers. reset reason: "
		     "remote connection failure, transport failure reason: "
		     "delayed connect error: Connection refused");
	EXPECT(&w, "HTTP/1.1 503 ");
	assert_int_equal(VALUE(w.cluster->upstream_rq_5xx), 1);
	close_world(&w);
}

static void
a_full_circuit_breaker_says_overloaded(void **state)
{
	struct world w;

	open_world(&w, false, "    circuit_breakers: {thresholds: [{max_pending_requests: 0}]}\n");
	get(&w, "/api");
	WAIT_FOR(&w, "reset reason: overflow");
	EXPECT(&w, "HTTP/1.1 503 ", "x-envoy-overloaded: true\r\n");
	assert_int_equal(VALUE(w.cluster->upstream_rq_pending_overflow), 1);
	close_world(&w);
}

static void
a_host_that_hangs_up_is_503(void **state)
{
	struct world w;

	open_world(&w, false, "");
	w.o.hang_up = true;
	get(&w, "/api");
	WAIT_FOR(&w, "reset reason: connection termination");
	EXPECT(&w, "HTTP/1.1 503 ");
	assert_int_equal(VALUE(w.cluster->upstream_rq_stale_retry), 0);
	assert_int_equal(VALUE(w.cluster->upstream_cx_destroy_remote_with_active_rq), 1);
	close_world(&w);
}

static void
a_stream_that_the_host_resets_is_503(void **state)
{
	struct world w;

	open_world(&w, true, H2);
	w.o.hold = true;
	get(&w, "/api");
	UNTIL(w.l, w.o.streams_n == 1 && w.o.streams[0]->complete);
	codec_reset(w.o.streams[0]->s, RESET_LOCAL);
	w.o.streams[0]->s = NULL;
	WAIT_FOR(&w, "reset reason: remote reset");
	assert_int_equal(VALUE(w.cluster->upstream_rq_rx_reset), 1);
	assert_int_equal(GAUGE(w.cluster->upstream_cx_active), 1);
	close_world(&w);
}

static void
half_a_response_ends_the_clients_connection(void **state)
{
	struct world w;

	open_world(&w, false, "");
	w.o.half = true;
	get(&w, "/api");
	WAIT_FOR(&w, "200 OK");
	conn_close(&w.o.conns[0]->conn, CLOSE_NOW, 0);
	UNTIL(w.l, has(&w, "\r\n\r\n") && w.eof);
	assert_int_equal(VALUE(w.http->rq_reset_after_downstream_response_started), 1);
	close_world(&w);
}

/* ---- connections that were dead already */

static void
first_request(struct world *w)
{
	get(w, "/api");
	WAIT_FOR(w, "200 OK");
	strb_reset(&w->got);
}

static void
a_stale_connection_costs_nothing(void **state)
{
	static const char *const requests[] = {
	    "GET /api HTTP/1.1\r\nhost: a\r\n\r\n",
	    "PUT /api HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
	};

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct world w;

		open_world(&w, false, "");
		first_request(&w);
		w.o.hang_up = true;
		say(&w, requests[i]);
		UNTIL(w.l, w.o.streams_n == 2 && w.o.streams[1]->complete);
		w.o.hang_up = false;
		WAIT_FOR(&w, "200 OK");
		assert_int_equal(VALUE(w.cluster->upstream_rq_stale_retry), 1);
		assert_int_equal(VALUE(w.cluster->upstream_rq_retry), 0);
		assert_int_equal(w.o.streams_n, 3);
		assert_int_equal(w.o.streams[2]->body, w.o.streams[1]->body);
		close_world(&w);
	}
}

static void
a_stale_connection_is_tried_again_once(void **state)
{
	struct world w;

	open_world(&w, false, "");
	first_request(&w);
	w.o.hang_up = true;
	get(&w, "/api");
	WAIT_FOR(&w, "reset reason: connection termination");
	assert_int_equal(w.o.streams_n, 3);
	close_world(&w);
}

static void
a_post_that_was_written_is_not_sent_again(void **state)
{
	struct world w;

	open_world(&w, false, "");
	first_request(&w);
	w.o.hang_up = true;
	say(&w, "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
	WAIT_FOR(&w, "reset reason: connection termination");
	assert_int_equal(VALUE(w.cluster->upstream_rq_stale_retry), 0);
	close_world(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_refused_connection_says_so),
	    cmocka_unit_test(a_full_circuit_breaker_says_overloaded),
	    cmocka_unit_test(a_host_that_hangs_up_is_503),
	    cmocka_unit_test(a_stream_that_the_host_resets_is_503),
	    cmocka_unit_test(half_a_response_ends_the_clients_connection),
	    cmocka_unit_test(a_stale_connection_costs_nothing),
	    cmocka_unit_test(a_stale_connection_is_tried_again_once),
	    cmocka_unit_test(a_post_that_was_written_is_not_sent_again),
	};

	rand_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
