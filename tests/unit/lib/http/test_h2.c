/*
 * HTTP/2 over the codec contract: a client and a server in memory.
 */
#include "tests/unit/lib/http/h2_pair.h"

static int
open_pair(void **state)
{
	struct pair *pair = mem_new(struct pair);

	pair_init(pair);
	pair_open(pair);
	*state = pair;
	return 0;
}

static int
open_pair_by_byte(void **state)
{
	open_pair(state);
	((struct pair *)*state)->by_byte = true;
	return 0;
}

static int
open_pair_later(void **state)
{
	struct pair *pair = mem_new(struct pair);

	pair_init(pair);
	*state = pair;
	return 0;
}

static int
close_pair(void **state)
{
	struct pair *pair = *state;

	pair_fini(pair);
	mem_free(pair);
	return 0;
}

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

static void
connection_headers_do_not_travel(void **state)
{
	struct pair *pair = *state;
	struct end *c = request_new(pair), *s;
	struct headers *h = get_head(c, "GET", "/");

	headers_add_id(h, HDR_TE, STR("trailers"));
	headers_add_id(h, HDR_KEEP_ALIVE, STR("timeout=5"));
	headers_add_id(h, HDR_TRANSFER_ENCODING, STR("chunked"));
	headers_add_id(h, HDR_PROXY_CONNECTION, STR("keep-alive"));
	headers_add(h, STR("x-kept"), STR("yes"));
	codec_send_headers(c->s, h, true);
	pump(pair);
	s = pair->server.ends[0];
	assert_field(s->head, "te", "trailers");
	assert_field(s->head, "x-kept", "yes");
	assert_false(headers_has(s->head, HDR_KEEP_ALIVE));
	assert_false(headers_has(s->head, HDR_TRANSFER_ENCODING));
	assert_false(headers_has(s->head, HDR_PROXY_CONNECTION));
	assert_int_equal(pair->server.broken, 0);
}

static void
crumbs_become_one_cookie(void **state)
{
	struct pair *pair = *state;
	struct end *c = request_new(pair), *s;
	struct headers *h = get_head(c, "GET", "/");

	headers_add_id(h, HDR_COOKIE, STR("a=1"));
	headers_add(h, STR("x-between"), STR("b"));
	headers_add_id(h, HDR_COOKIE, STR("b=2"));
	headers_add_id(h, HDR_COOKIE, STR("c=3"));
	codec_send_headers(c->s, h, true);
	pump(pair);
	s = pair->server.ends[0];
	assert_field(s->head, "cookie", "a=1; b=2; c=3");
	headers_remove_id(s->head, HDR_COOKIE);
	assert_false(headers_has(s->head, HDR_COOKIE));
}

static void
requests_that_http1_could_not_carry_are_errors(void **state)
{
	static const struct {
		const char *method, *path, *authority, *name, *value, *details;
	} rows[] = {
		{"GET", "/a#b", "a", NULL, NULL, "http2.codec_error.target"},
		{"GET", "/\xc3\xa4", "a", NULL, NULL, "http2.codec_error.target"},
		{"GET", "/", "user@a", NULL, NULL, "http2.codec_error.authority"},
		{"GET", "/", "a", "host", "b", "http2.codec_error.host"},
	};
	struct pair *pair = *state;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct end *c = request_new(pair), *s;
		struct headers *h = get_head(c, rows[i].method, rows[i].path);

		headers_set_id(h, HDR_AUTHORITY, str_of(rows[i].authority));
		if (rows[i].name) /* the codec would drop `host`: not by its id */
			headers_add_known(
			    h, HDR_OTHER, str_of(rows[i].name), str_of(rows[i].value));
		codec_send_headers(c->s, h, true);
		pump(pair);
		s = pair->server.ends[i];
		assert_true(s->error);
		assert_null(s->head);
		assert_int_equal(s->error_status, 400);
		assert_string_equal(s->details, rows[i].details);
		respond(s, 400, true);
		pump(pair);
		assert_int_equal(headers_status(c->head), 400);
		assert_true(s->done && c->done);
	}
}

static void
a_host_alone_becomes_the_authority(void **state)
{
	struct pair *pair = *state;
	struct end *c = request_new(pair), *s;
	struct headers *h = get_head(c, "GET", "/");

	headers_remove_id(h, HDR_AUTHORITY);
	headers_add_known(h, HDR_OTHER, STR("host"), STR("h.example"));
	codec_send_headers(c->s, h, true);
	pump(pair);
	s = pair->server.ends[0];
	assert_field(s->head, ":authority", "h.example");
	assert_false(headers_has(s->head, HDR_HOST));
}

/* ---- upgrades */

static void
upgrade_head(struct end *c)
{
	struct headers *h = get_head(c, "GET", "/chat");

	headers_add_id(h, HDR_CONNECTION, STR("upgrade"));
	headers_add_id(h, HDR_UPGRADE, STR("websocket"));
	codec_send_headers(c->s, h, false);
}

static void
an_upgrade_crosses_as_extended_connect(void **state)
{
	struct pair *pair = *state;
	struct end *c, *s;
	struct headers *h;

	pair->server.config.h2.allow_connect = true;
	pair_open(pair);
	c = request_new(pair); /* before SETTINGS came: it waits for them */
	upgrade_head(c);
	send_text(c, "early", false);
	pump(pair);
	assert_int_equal(pair->server.count, 1);
	s = pair->server.ends[0];
	assert_field(s->head, ":method", "GET");
	assert_field(s->head, "upgrade", "websocket");
	assert_field(s->head, "connection", "upgrade");
	assert_false(headers_has(s->head, HDR_PROTOCOL));
	assert_body(s, "early");
	h = head_of(s);
	headers_set_status(h, 101);
	headers_add_id(h, HDR_CONNECTION, STR("upgrade"));
	headers_add_id(h, HDR_UPGRADE, STR("websocket"));
	codec_send_headers(s->s, h, false);
	pump(pair);
	assert_int_equal(headers_status(c->head), 101);
	assert_field(c->head, "upgrade", "websocket");
	assert_true(c->s->upgraded && s->s->upgraded);
	send_text(s, "down", true); /* one direction ends, the other goes on */
	pump(pair);
	assert_body(c, "down");
	assert_true(c->complete && !c->done && !s->done);
	send_text(c, " up", true);
	pump(pair);
	assert_body(s, "early up");
	assert_true(c->done && s->done);
}

static void
an_upgrade_without_consent_is_refused(void **state)
{
	struct pair *pair = *state;
	struct end *c = request_new(pair);

	upgrade_head(c);
	pump(pair);
	assert_true(c->reset);
	assert_int_equal(c->why, RESET_LOCAL_REFUSED);
	assert_string_equal(c->details, "http2.extended_connect_not_enabled");
	assert_int_equal(pair->server.count, 0);
}

static void
a_refused_upgrade_is_an_ordinary_answer(void **state)
{
	struct pair *pair = *state;
	struct end *c, *s;
	struct headers *h;

	pair->server.config.h2.allow_connect = true;
	pair_open(pair);
	c = request_new(pair);
	upgrade_head(c);
	pump(pair);
	s = pair->server.ends[0];
	h = head_of(s);
	headers_set_status(h, 403);
	headers_add_id(h, HDR_CONTENT_LENGTH, STR("2"));
	codec_send_headers(s->s, h, false);
	send_text(s, "no", true);
	pump(pair);
	assert_int_equal(headers_status(c->head), 403);
	assert_field(c->head, "content-length", "2");
	assert_body(c, "no");
	assert_true(s->done && c->done);
}

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)
#define TEST_BY_BYTE(name)                                                                         \
	{#name " by byte", name, open_pair_by_byte, close_pair, NULL}
#define TEST_OWN(name) cmocka_unit_test_setup_teardown(name, open_pair_later, close_pair)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_and_its_answer_arrive_whole),
		TEST(heads_without_body_end_the_message),
		TEST(trailers_travel_both_ways),
		TEST(informational_answers_come_before_the_answer),
		TEST(many_streams_share_a_connection),
		TEST(connection_headers_do_not_travel),
		TEST(crumbs_become_one_cookie),
		TEST(requests_that_http1_could_not_carry_are_errors),
		TEST(a_host_alone_becomes_the_authority),
		TEST_BY_BYTE(a_request_and_its_answer_arrive_whole),
		TEST_BY_BYTE(trailers_travel_both_ways),
		TEST_BY_BYTE(informational_answers_come_before_the_answer),
		TEST_BY_BYTE(an_early_answer_ends_the_request),
		TEST_BY_BYTE(crumbs_become_one_cookie),
		TEST_OWN(an_upgrade_crosses_as_extended_connect),
		TEST(an_upgrade_without_consent_is_refused),
		TEST_OWN(a_refused_upgrade_is_an_ordinary_answer),
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
		TEST(the_end_of_the_connection_resets_all),
		TEST(going_away_takes_two_steps),
		TEST(a_request_after_the_last_id_is_refused),
		TEST_OWN(a_full_connection_says_when_there_is_room),
		TEST(pings_are_answered_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
