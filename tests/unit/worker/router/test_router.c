/*
 * A routed request from end to end: what is passed on, what is answered
 * without a host, who slows whom, and who leaves early.
 */
#include "tests/unit/worker/router/routed.h"

/* ---- what passes */

static void
a_request_goes_to_a_host_and_its_answer_comes_back(void **state)
{
	static const bool http2[] = {false, true};

	for (size_t i = 0; i < 2; i++) {
		struct world w;
		struct headers *seen;

		open_world(&w, http2[i], http2[i] ? H2 : "");
		get(&w, "/api?x=1");
		WAIT_FOR(&w, "\r\n\r\n");
		EXPECT(
		    &w, "HTTP/1.1 200 OK\r\n", "x-envoy-upstream-service-time: ", "x-vhost: all");
		seen = w.o.streams[0]->headers;
		assert_true(str_eqz(headers_get(seen, HDR_PATH), "/api?x=1"));
		assert_true(
		    str_eqz(headers_get(seen, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS), "15000"));
		assert_int_equal(VALUE(w.cluster->upstream_rq_2xx), 1);
		assert_int_equal(VALUE(w.http->rq_total), 1);
		close_world(&w);
	}
}

static void
bodies_are_streamed_and_kept_in_order(void **state)
{
	struct world w;

	open_world(&w, false, "");
	say(&w, "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345");
	UNTIL(w.l, w.o.streams_n == 1);
	assert_false(has(&w, "HTTP"));
	say(&w, "67890");
	WAIT_FOR(&w, "200 OK");
	assert_int_equal(w.o.streams[0]->body, 10);
	close_world(&w);
}

static void
kept_connections_are_used_again(void **state)
{
	struct world w;

	open_world(&w, false, "");
	for (int i = 0; i < 20; i++) {
		strb_reset(&w.got);
		get(&w, "/api");
		WAIT_FOR(&w, "200 OK");
	}
	assert_int_equal(VALUE(w.cluster->upstream_cx_total), 1);
	assert_int_equal(VALUE(w.cluster->upstream_rq_total), 20);
	close_world(&w);
}

/* ---- what is answered without a host */

static void
routes_answer_themselves(void **state)
{
	static const struct {
		const char *path, *status, *header, *body;
	} rows[] = {
	    {"/direct", "HTTP/1.1 418 ", "x-vhost: all\r\n", "\r\n\r\ntea"},
	    {"/move?a=b", "HTTP/1.1 301 ", "location: http://a/there?a=b\r\n", "\r\n\r\n"},
	    {"/nowhere", "HTTP/1.1 404 ", "content-length: 0\r\n", "\r\n\r\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;

		open_world(&w, false, "");
		get(&w, rows[i].path);
		WAIT_FOR(&w, rows[i].body);
		EXPECT(&w, rows[i].status, rows[i].header);
		assert_int_equal(VALUE(w.http->rq_direct_response), i == 0);
		assert_int_equal(VALUE(w.http->rq_redirect), i == 1);
		assert_int_equal(VALUE(w.http->no_route), i == 2);
		assert_int_equal(VALUE(w.cluster->upstream_rq_total), 0);
		close_world(&w);
	}
}

static void
an_unknown_cluster_is_503(void **state)
{
	struct world w;

	open_with(&w, false, "", false, true);
	get(&w, "/api");
	WAIT_FOR(&w, "\r\n\r\n");
	EXPECT(&w, "HTTP/1.1 503 ");
	assert_int_equal(VALUE(w.http->no_cluster), 1);
	close_world(&w);
}

static void
an_overloaded_cluster_drops_its_share(void **state)
{
	static const struct {
		uint32_t per_million;
		const char *header, *body, *status;
	} rows[] = {
	    {1000000, "x-envoy-unconditional-drop-overload: true\r\n", "unconditional drop overload", "HTTP/1.1 503 "},
	    {999999, "x-envoy-drop-overload: true\r\n", "\r\n\r\ndrop overload", "HTTP/1.1 503 "},
	    {1, "no healthy", "no healthy upstream", "HTTP/1.1 503 "},
	};
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		open_with(&w, false, "", true, false);
		snapshot_cluster(w.place.snapshot, STR("api"))->policy_of_members.drop_per_million =
		    rows[i].per_million;
		get(&w, "/api");
		WAIT_FOR(&w, rows[i].body);
		EXPECT(&w, rows[i].status, rows[i].header);
		assert_int_equal(VALUE(w.cluster->upstream_rq_total), 0);
		assert_int_equal(VALUE(w.cluster->upstream_rq_5xx), 1);
		close_world(&w);
	}
}

static void
a_cluster_without_hosts_is_503(void **state)
{
	struct world w;

	open_with(&w, false, "", true, false);
	get(&w, "/api");
	WAIT_FOR(&w, "no healthy upstream");
	EXPECT(&w, "HTTP/1.1 503 ");
	assert_int_equal(VALUE(w.cluster->upstream_cx_none_healthy), 1);
	assert_int_equal(VALUE(w.cluster->upstream_rq_5xx), 1);
	close_world(&w);
}

/* ---- back-pressure */

static void
a_slow_host_slows_the_client(void **state)
{
	struct world w;
	char block[16384];
	size_t sent = 0, total = 16 << 20;
	struct strb head = {0};
	ssize_t n;

	open_world(&w, false, "    per_connection_buffer_limit_bytes: 32768\n");
	memset(block, 'x', sizeof(block));
	strb_printf(&head, "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: %zu\r\n\r\n", total);
	say(&w, strb_z(&head));
	strb_fini(&head);
	UNTIL(w.l, w.o.streams_n == 1);
	conn_pause(&w.o.conns[0]->conn);
	while (GAUGE(w.cluster->upstream_cx_tx_bytes_buffered) == 0 ||
	       VALUE(w.cluster->upstream_flow_control_backed_up_total) == 0) {
		if ((n = write(w.client, block, sizeof(block))) > 0)
			sent += (size_t)n;
		loop_turn(w.l, false);
	}
	for (int i = 0; i < 1000; i++) { /* the client's socket fills and stays full */
		if ((n = write(w.client, block, sizeof(block))) > 0)
			sent += (size_t)n;
		loop_turn(w.l, false);
	}
	assert_true(write(w.client, block, sizeof(block)) < 0);
	assert_true(GAUGE(w.cluster->upstream_cx_tx_bytes_buffered) < 512 * 1024);
	conn_resume(&w.o.conns[0]->conn);
	while (sent < total) {
		size_t want = total - sent < sizeof(block) ? total - sent : sizeof(block);

		if ((n = write(w.client, block, want)) > 0)
			sent += (size_t)n;
		loop_turn(w.l, false);
	}
	WAIT_FOR(&w, "200 OK");
	assert_int_equal(w.o.streams[0]->body, total);
	assert_true(VALUE(w.cluster->upstream_flow_control_drained_total) > 0);
	close_world(&w);
}

static void
a_slow_client_slows_the_host(void **state)
{
	static const bool http2[] = {false, true};
	static const char limit[] = "    per_connection_buffer_limit_bytes: 32768\n";
	static const char http2_limit[] = "    http2_protocol_options:\n"
					  "      initial_stream_window_size: 65536\n"
					  "    per_connection_buffer_limit_bytes: 32768\n";

	for (size_t i = 0; i < 2; i++) {
		struct world w;
		size_t total = 32 << 20;
		uint64_t before, after;

		open_world(&w, http2[i], http2[i] ? http2_limit : limit);
		w.o.big = total;
		get(&w, "/api");
		UNTIL(w.l, VALUE(w.cluster->upstream_flow_control_paused_reading_total) > 0);
		do { /* until nothing moves any more */
			before = VALUE(w.cluster->upstream_cx_rx_bytes_total);
			for (int k = 0; k < 100; k++)
				loop_turn(w.l, false);
			after = VALUE(w.cluster->upstream_cx_rx_bytes_total);
		} while (after > before);
		assert_true(after < total / 4);
		while (w.got.n < total) {
			receive(&w);
			loop_turn(w.l, false);
		}
		assert_true(VALUE(w.cluster->upstream_flow_control_resumed_reading_total) > 0);
		close_world(&w);
	}
}

static void
an_early_answer_does_not_wait_for_the_request(void **state)
{
	static const bool http2[] = {false, true};

	for (size_t i = 0; i < 2; i++) {
		struct world w;

		open_world(&w, http2[i], http2[i] ? H2 : "");
		say(&w, "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345");
		UNTIL(w.l, w.o.streams_n == 1);
		origin_answer(w.o.streams[0]);
		WAIT_FOR(&w, "200 OK");
		EXPECT(&w, "connection: close");
		UNTIL(w.l, GAUGE(w.cluster->upstream_rq_active) == 0);
		assert_int_equal(VALUE(w.http->downstream_rq_response_before_rq_complete), 1);
		close_world(&w);
	}
}

/* ---- a client that leaves */

static void
a_client_that_leaves_cancels_its_request(void **state)
{
	struct world w;

	open_world(&w, false, "");
	w.o.hold = true;
	get(&w, "/api");
	UNTIL(w.l, w.o.streams_n == 1 && w.o.streams[0]->complete);
	connect_client(&w);
	UNTIL(w.l, GAUGE(w.cluster->upstream_rq_active) == 0);
	UNTIL(w.l, GAUGE(w.cluster->upstream_cx_active) == 0);
	assert_int_equal(VALUE(w.cluster->upstream_cx_destroy_local_with_active_rq), 1);
	close_world(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_goes_to_a_host_and_its_answer_comes_back),
	    cmocka_unit_test(bodies_are_streamed_and_kept_in_order),
	    cmocka_unit_test(kept_connections_are_used_again),
	    cmocka_unit_test(routes_answer_themselves),
	    cmocka_unit_test(an_unknown_cluster_is_503),
	    cmocka_unit_test(a_cluster_without_hosts_is_503),
	    cmocka_unit_test(an_overloaded_cluster_drops_its_share),
	    cmocka_unit_test(a_client_that_leaves_cancels_its_request),
	    cmocka_unit_test(a_slow_host_slows_the_client),
	    cmocka_unit_test(a_slow_client_slows_the_host),
	    cmocka_unit_test(an_early_answer_does_not_wait_for_the_request),
	};

	rand_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
