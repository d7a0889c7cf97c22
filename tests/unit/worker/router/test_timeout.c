/* The clocks of a routed request: when they run, and what the client hears when one runs out. */
#include "tests/unit/worker/router/routed.h"

static void
the_routes_timeout_is_504(void **state)
{
	struct world w;

	open_world(&w, false, "");
	w.o.hold = true;
	get(&w, "/fast");
	WAIT_FOR(&w, "upstream request timeout");
	EXPECT(&w, "HTTP/1.1 504 ");
	assert_int_equal(VALUE(w.cluster->upstream_rq_timeout), 1);
	assert_int_equal(VALUE(w.cluster->upstream_rq_tx_reset), 1);
	close_world(&w);
}

static void
the_timeout_waits_for_the_whole_request(void **state)
{
	struct world w;

	open_world(&w, false, "");
	say(&w, "POST /fast HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1");
	for (uint64_t from = loop_now_ms(w.l); loop_now_ms(w.l) < from + 60;)
		loop_turn(w.l, false);
	assert_false(has(&w, "HTTP"));
	say(&w, "2");
	WAIT_FOR(&w, "200 OK");
	close_world(&w);
}

static void
the_longest_duration_of_a_stream_is_kept(void **state)
{
	struct world w;

	open_world(&w, false, "    common_http_protocol_options: {max_stream_duration: 0.03s}\n");
	w.o.hold = true;
	get(&w, "/api");
	WAIT_FOR(&w, "upstream max stream duration reached");
	EXPECT(&w, "HTTP/1.1 504 ");
	assert_int_equal(VALUE(w.cluster->upstream_rq_max_duration_reached), 1);
	close_world(&w);
}

static void
an_upgraded_connection_outlives_the_routes_timeout(void **state)
{
	static const bool http2[] = {false, true};

	for (size_t i = 0; i < 2; i++) {
		struct world w;

		open_world(&w, http2[i], http2[i] ? H2 : "");
		w.o.config.h2.allow_connect = true;
		say(&w, "GET /fast HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n"
			"upgrade: websocket\r\n\r\n");
		WAIT_FOR(&w, "HTTP/1.1 101 ");
		say(&w, "ping");
		WAIT_FOR(&w, "\r\n\r\nping");
		for (uint64_t from = loop_now_ms(w.l); loop_now_ms(w.l) < from + 60;)
			loop_turn(w.l, false);
		say(&w, "pong");
		WAIT_FOR(&w, "pingpong");
		assert_int_equal(VALUE(w.cluster->upstream_rq_timeout), 0);
		close_world(&w);
	}
}

static void
open_tunnel(struct world *w)
{
	say(w, "GET /idle HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
	WAIT_FOR(w, "HTTP/1.1 101 ");
}

static void
push(struct world *w, const char *text)
{
	struct buf b;

	buf_init(&b);
	buf_addz(&b, text);
	codec_send_data(w->o.streams[0]->s, &b, false);
	buf_fini(&b);
}

/* Bytes in one direction are enough, whichever it is. */
static void
a_tunnel_ends_when_both_sides_are_silent(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct world w;
		bool client_speaks = i == 0;

		open_world(&w, false, "");
		w.o.hold = true;
		open_tunnel(&w);
		for (uint64_t from = loop_now_ms(w.l); loop_now_ms(w.l) < from + 150;) {
			if (client_speaks)
				say(&w, "x");
			else
				push(&w, "x");
			loop_turn(w.l, false);
			receive(&w);
		}
		assert_false(w.eof);
		assert_int_equal(VALUE(w.http->downstream_rq_idle_timeout), 0);
		UNTIL(w.l, (receive(&w), w.eof));
		assert_int_equal(VALUE(w.http->downstream_rq_idle_timeout), 1);
		close_world(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_upgraded_connection_outlives_the_routes_timeout),
	    cmocka_unit_test(a_tunnel_ends_when_both_sides_are_silent),
	    cmocka_unit_test(the_routes_timeout_is_504),
	    cmocka_unit_test(the_timeout_waits_for_the_whole_request),
	    cmocka_unit_test(the_longest_duration_of_a_stream_is_kept),
	};

	rand_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
