/*
 * HTTP/2 over the codec contract, a client and a server in memory: messages
 * arrive whole, and connections come to their end.
 */
#include "tests/unit/lib/http/h2_pair.h"

static void
a_request_and_its_answer_arrive_whole(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "POST", "/a?b=c", false), *s;

	send_text(c, "hello ", false);
	send_text(c, "world", true);
	pump(pair);
	s = pair->server.ends[0];
	assert_true(s->complete);
	assert_field(s->head, ":method", "POST");
	assert_field(s->head, ":path", "/a?b=c");
	assert_field(s->head, ":authority", "example.com");
	assert_body(s, "hello world");
	assert_int_equal(s->s->bytes_in, 11);
	respond(s, 200, false);
	send_text(s, "good bye", true);
	pump(pair);
	assert_int_equal(headers_status(c->head), 200);
	assert_body(c, "good bye");
	assert_true(c->complete && c->done && s->done);
	assert_int_equal(pair->client.c->streams, 0);
	assert_int_equal(pair->server.c->streams, 0);
	assert_int_equal(pair->client.broken + pair->server.broken, 0);
}

static void
heads_without_body_end_the_message(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "HEAD", "/", true), *s;

	pump(pair);
	s = pair->server.ends[0];
	assert_true(s->complete && s->s->head_request && c->s->head_request);
	respond(s, 204, true);
	pump(pair);
	assert_int_equal(headers_status(c->head), 204);
	assert_true(c->complete && c->done && s->done);
}

static void
trailers_travel_both_ways(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "POST", "/", false), *s;
	struct headers *t = head_of(c);

	headers_add(t, STR("x-sum"), STR("1"));
	send_text(c, "body", false);
	codec_send_trailers(c->s, t);
	pump(pair);
	s = pair->server.ends[0];
	assert_true(s->complete);
	assert_body(s, "body");
	assert_field(s->trailers, "x-sum", "1");
	assert_int_equal(pair->server.stats.trailers.raw, 1);
	respond(s, 200, false);
	t = head_of(s);
	headers_add_id(t, HDR_GRPC_STATUS, STR("0"));
	codec_send_trailers(s->s, t); /* without any data before them */
	pump(pair);
	assert_true(c->complete && c->done && s->done);
	assert_field(c->trailers, "grpc-status", "0");
	assert_int_equal(c->pieces, 0);
}

static void
informational_answers_come_before_the_answer(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "POST", "/", false), *s;
	struct headers *h;

	pump(pair);
	s = pair->server.ends[0];
	h = head_of(s);
	headers_set_status(h, 100);
	codec_send_info(s->s, h);
	pump(pair);
	assert_int_equal(c->infos, 1);
	assert_int_equal(c->info_status, 100);
	send_text(c, "x", true);
	pump(pair);
	respond(s, 200, true);
	pump(pair);
	assert_int_equal(headers_status(c->head), 200);
	assert_true(c->done && s->done);
}

static void
many_streams_share_a_connection(void **state)
{
	struct pair *pair = *state;
	struct end *c[20];

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = request(pair, "POST", "/", false);
		send_bytes(c[i], (char)('a' + i), 1000 * (i + 1), true);
	}
	pump(pair);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		struct end *s = pair->server.ends[i];

		assert_true(s->complete);
		assert_int_equal(s->body.n, 1000 * (i + 1));
		assert_int_equal(s->body.p[0], 'a' + i);
		respond(s, 200, false);
		send_bytes(s, 'z', 100000, true);
	}
	pump(pair);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		assert_int_equal(c[i]->body.n, 100000);
		assert_true(c[i]->done);
	}
}

/* ---- the connection */

static void
the_end_of_the_connection_resets_all(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "GET", "/", true);

	pump(pair);
	codec_eof(pair->client.c);
	assert_true(c->reset);
	assert_int_equal(c->why, RESET_CONNECTION_CLOSED);
	assert_int_equal(pair->client.broken, 1);
	codec_free(&pair->server.c);
	assert_true(pair->server.ends[0]->reset);
	assert_int_equal(pair->server.ends[0]->why, RESET_CONNECTION_CLOSED);
}

static void
going_away_takes_two_steps(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "GET", "/", true), *late, *s;

	pump(pair);
	codec_goaway(pair->server.c, false);
	late = request(pair, "GET", "/late", true); /* crosses the notice */
	pump(pair);
	assert_true(pair->client.c->goaway_received);
	assert_null(codec_request(pair->client.c));
	assert_int_equal(pair->server.count, 2);
	codec_goaway(pair->server.c, true);
	pump(pair);
	assert_false(c->reset || late->reset);
	for (int i = 0; i < 2; i++) {
		s = pair->server.ends[i];
		respond(s, 200, true);
	}
	pump(pair);
	assert_true(c->done && late->done);
	assert_int_equal(pair->server.stats.goaway_sent.raw, 2);
	assert_int_equal(pair->client.broken + pair->server.broken, 0);
}

static void
a_request_after_the_last_id_is_refused(void **state)
{
	struct pair *pair = *state;
	struct end *c = request(pair, "GET", "/", true), *late;

	pump(pair);
	codec_goaway(pair->server.c, true);
	late = request(pair, "GET", "/late", true);
	pump(pair);
	assert_true(late->reset);
	assert_int_equal(late->why, RESET_REMOTE_REFUSED);
	respond(pair->server.ends[0], 200, true);
	pump(pair);
	assert_true(c->done);
}

static void
a_full_connection_says_when_there_is_room(void **state)
{
	struct pair *pair = *state;
	struct end *c;
	unsigned more;

	pair->server.config.h2.max_concurrent_streams = 2;
	pair_open(pair);
	pump(pair);
	assert_int_equal(pair->client.c->max_streams, 2);
	c = request(pair, "GET", "/", true);
	request(pair, "GET", "/", true);
	assert_null(codec_request(pair->client.c));
	pump(pair);
	more = pair->client.more;
	respond(pair->server.ends[0], 200, true);
	pump(pair);
	assert_true(c->done);
	assert_true(pair->client.more > more);
	request(pair, "GET", "/", true);
	pump(pair);
	assert_int_equal(pair->server.count, 3);
}

static void
pings_are_answered_and_counted(void **state)
{
	struct pair *pair = *state;

	codec_ping(pair->client.c);
	pump(pair);
	assert_int_equal(pair->client.c->last_ping_answer, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_and_its_answer_arrive_whole),
		TEST(heads_without_body_end_the_message),
		TEST(trailers_travel_both_ways),
		TEST(informational_answers_come_before_the_answer),
		TEST(many_streams_share_a_connection),
		TEST_BY_BYTE(a_request_and_its_answer_arrive_whole),
		TEST_BY_BYTE(trailers_travel_both_ways),
		TEST_BY_BYTE(informational_answers_come_before_the_answer),
		TEST(the_end_of_the_connection_resets_all),
		TEST(going_away_takes_two_steps),
		TEST(a_request_after_the_last_id_is_refused),
		TEST_OWN(a_full_connection_says_when_there_is_room),
		TEST(pings_are_answered_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
