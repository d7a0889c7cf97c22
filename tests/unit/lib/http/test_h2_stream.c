/* One HTTP/2 stream: who is paused holds a window and no more, and it may end before its time. */
#include "tests/unit/lib/http/h2_pair.h"

/* ---- back-pressure */

static void
a_paused_stream_holds_at_most_its_window(void **state)
{
	struct pair *pair = *state;
	struct end *c, *other, *s;
	size_t sent = 0;

	pair->server.config.h2.initial_stream_window = 65535;
	pair->server.config.h2.initial_connection_window = 1 << 20;
	pair_open(pair);
	pair->server.pause_all = true;
	c = request(pair, "POST", "/", false);
	while (sent < 1000000) {
		send_bytes(c, 'x', 10000, false);
		sent += 10000;
		pump(pair);
	}
	s = pair->server.ends[0];
	assert_int_equal(s->body.n, 0);
	assert_int_equal(s->s->bytes_in, 65535);
	assert_int_equal(c->blocked, 1);
	assert_int_equal(c->unblocked, 0);
	pair->server.pause_all = false;
	other = request(pair, "POST", "/", false); /* the others go on */
	send_bytes(other, 'y', 500000, true);
	pump(pair);
	assert_int_equal(pair->server.ends[1]->body.n, 500000);
	codec_pause(s->s, false);
	pump(pair);
	assert_int_equal(s->body.n, 1000000);
	assert_int_equal(c->unblocked, 1);
	send_text(c, "", true);
	pump(pair);
	assert_true(s->complete);
}

static void
many_paused_streams_do_not_starve_another(void **state)
{
	struct pair *pair = *state;
	struct end *c;

	pair->server.config.h2.initial_stream_window = 65535;
	pair->server.config.h2.initial_connection_window = 65535 * 4;
	pair->server.config.high_watermark = 65535 * 8;
	pair_open(pair);
	pair->server.pause_all = true;
	for (int i = 0; i < 8; i++)
		send_bytes(request(pair, "POST", "/", false), 'x', 100000, true);
	pump(pair);
	pair->server.pause_all = false;
	c = request(pair, "POST", "/", false);
	send_bytes(c, 'y', 100000, true);
	pump(pair);
	assert_int_equal(pair->server.ends[8]->body.n, 100000);
	for (int i = 0; i < 8; i++)
		codec_pause(pair->server.ends[i]->s, false);
	pump(pair);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pair->server.ends[i]->body.n, 100000);
}

static void
a_pause_inside_data_stops_the_next_piece(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "POST", "/", false), *s;

	pump(pair);
	s = pair->server.ends[0];
	s->pause_at_data = true;
	send_text(c, "one", false);
	pump(pair);
	send_text(c, "two", true);
	pump(pair);
	assert_body(s, "one");
	assert_false(s->complete);
	codec_pause(s->s, false);
	assert_body(s, "onetwo");
	assert_true(s->complete);
}

static void
an_answer_that_ended_waits_for_a_paused_client(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "GET", "/", true), *s;
	struct headers *t;

	pump(pair);
	s = pair->server.ends[0];
	respond(s, 200, false);
	pump(pair);
	codec_pause(c->s, true);
	send_text(s, "late", false);
	t = head_of(s);
	headers_add(t, STR("x-t"), STR("1"));
	codec_send_trailers(s->s, t);
	pump(pair);
	assert_true(s->done);
	assert_false(c->complete || c->done);
	codec_pause(c->s, false);
	assert_body(c, "late");
	assert_true(c->complete && c->done);
	assert_field(c->trailers, "x-t", "1");
}

static void
a_blocked_connection_keeps_bodies_back(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "GET", "/", true), *s;

	pump(pair);
	s = pair->server.ends[0];
	codec_blocked(pair->server.c, true);
	assert_int_equal(s->blocked, 1);
	respond(s, 200, false);
	send_bytes(s, 'x', 50000, false);
	pump(pair);
	assert_int_equal(headers_status(c->head), 200);
	assert_int_equal(c->body.n, 0);
	codec_blocked(pair->server.c, false);
	pump(pair);
	assert_int_equal(s->unblocked, 1);
	assert_int_equal(c->body.n, 50000);
	send_text(s, "", true);
	pump(pair);
	assert_true(c->done && s->done);
}

static void
one_output_is_at_most_a_batch(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "GET", "/", true), *s;

	pump(pair);
	s = pair->server.ends[0];
	respond(s, 200, false);
	send_bytes(s, 'x', 1000000, true);
	pair->server.asked = false;
	codec_output(pair->server.c, &pair->server.out);
	assert_in_range(pair->server.out.len, 60000, 100000);
	assert_true(pair->server.asked);
	pump(pair);
	assert_int_equal(c->body.n, 1000000);
}

/* ---- ends before time */

static void
resets_say_why(void **state)
{
	static const struct {
		enum stream_reset by_server, at_client;
		const char *details;
	} rows[] = {
		{RESET_LOCAL, RESET_REMOTE, "http2.remote_reset"},
		{RESET_LOCAL_REFUSED, RESET_REMOTE_REFUSED, "http2.remote_refuse"},
		{RESET_PROTOCOL_ERROR, RESET_REMOTE, "http2.remote_reset"},
		{RESET_OVERFLOW, RESET_REMOTE, "http2.remote_reset"},
	};
	struct pair *pair = *state;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct end *c = request(pair, "GET", "/", true);

		pump(pair);
		codec_reset(pair->server.ends[i]->s, rows[i].by_server);
		pump(pair);
		assert_true(c->reset);
		assert_int_equal(c->why, rows[i].at_client);
		assert_string_equal(c->details, rows[i].details);
	}
	assert_int_equal(pair->server.stats.tx_reset.raw, ARRAY_LEN(rows));
	assert_int_equal(pair->client.stats.rx_reset.raw, ARRAY_LEN(rows));
	assert_int_equal(pair->server.c->streams, 0);
}

static void
a_client_may_cancel_at_any_time(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "POST", "/", false), *s;

	codec_reset(c->s, RESET_LOCAL); /* before anything left */
	pump(pair);
	assert_int_equal(pair->server.count, 0);
	c = request(pair, "POST", "/", false);
	send_text(c, "abc", false);
	pump(pair);
	s = pair->server.ends[0];
	respond(s, 200, false);
	send_text(s, "answer", false);
	codec_reset(c->s, RESET_LOCAL);
	pump(pair);
	assert_true(s->reset);
	assert_int_equal(s->why, RESET_REMOTE);
	assert_int_equal(h2_tally(pair->server.c)->resets, 1);
	assert_int_equal(pair->client.c->streams, 0);
	assert_true(pair->client.more > 0);
}

static void
a_receiver_may_reset_inside_an_event(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "POST", "/", false);

	send_text(c, "abc", true);
	pair->server.refuse_all = true;
	pump(pair);
	assert_true(c->reset);
	assert_int_equal(c->why, RESET_REMOTE_REFUSED);
	pair->server.refuse_all = false;
	c = request(pair, "GET", "/", true);
	c->reset_at_head = true;
	pump(pair);
	respond(pair->server.ends[1], 200, false);
	send_text(pair->server.ends[1], "x", false);
	pump(pair);
	assert_null(c->body.p);
	assert_true(pair->server.ends[1]->reset);
	assert_int_equal(pair->client.broken + pair->server.broken, 0);
}

static void
an_early_answer_ends_the_request(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "POST", "/", false), *s;

	send_text(c, "part", false);
	pump(pair);
	s = pair->server.ends[0];
	respond(s, 413, false);
	send_text(s, "too large", true);
	pump(pair);
	assert_true(s->done && !s->complete);
	assert_int_equal(headers_status(c->head), 413);
	assert_body(c, "too large");
	assert_true(c->complete && c->done);
	assert_int_equal(pair->server.c->streams, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BY_BYTE(an_early_answer_ends_the_request),
		TEST_OWN(a_paused_stream_holds_at_most_its_window),
		TEST_OWN(many_paused_streams_do_not_starve_another),
		TEST(a_pause_inside_data_stops_the_next_piece),
		TEST(an_answer_that_ended_waits_for_a_paused_client),
		TEST(a_blocked_connection_keeps_bodies_back),
		TEST(one_output_is_at_most_a_batch),
		TEST(resets_say_why),
		TEST(a_client_may_cancel_at_any_time),
		TEST(a_receiver_may_reset_inside_an_event),
		TEST(an_early_answer_ends_the_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
