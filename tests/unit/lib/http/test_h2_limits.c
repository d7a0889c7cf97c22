/*
 * Strangers on HTTP/2: frames written by hand, each flood cut off with
 * its stat.
 */
#include "tests/unit/lib/http/h2_peer.h"

#include "lib/http/h2_limits.h"

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION,
};
#define END_STREAM 1
#define ACK 1
#define END_HEADERS 4
#define PADDED 8

/* A server and what a stranger writes to it. */
struct raw {
	struct peer server;
	struct buf in;
};

static void
frame(struct raw *r, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t n)
{
	uint8_t head[9] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, type, flags,
	    (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	buf_add(&r->in, head, 9);
	if (n)
		buf_add(&r->in, payload, n);
}

static void
begin(struct raw *r)
{
	r->server.asked = false;
	r->server.c = h2_server_new(&r->server.config, &peer_events, &r->server);
	buf_addz(&r->in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	frame(r, SETTINGS, 0, 0, NULL, 0);
}

static void
feed(struct raw *r)
{
	codec_feed(r->server.c, &r->in);
}

/* Whatever the server says is read and forgotten. */
static void
take(struct raw *r)
{
	while (r->server.asked) {
		r->server.asked = false;
		codec_output(r->server.c, &r->server.out);
		buf_drain(&r->server.out, r->server.out.len);
	}
}

/* GET / http example.com from the static table, the authority as a literal. */
static void
get_frame(struct raw *r, uint32_t id, uint8_t flags)
{
	static const char block[] = "\x82\x86\x84\x41\x0b"
				    "example.com";

	frame(r, HEADERS, END_HEADERS | flags, id, block, sizeof(block) - 1);
}

static int
open_raw(void **state)
{
	struct raw *r = mem_new(struct raw);

	peer_init(&r->server);
	buf_init(&r->in);
	begin(r);
	*state = r;
	return 0;
}

static int
close_raw(void **state)
{
	struct raw *r = *state;

	peer_fini(&r->server);
	buf_fini(&r->in);
	mem_free(r);
	return 0;
}

static void
assert_cut(struct raw *r, const char *details, const struct stat_counter *counter)
{
	assert_int_equal(r->server.broken, 1);
	assert_string_equal(r->server.details, details);
	if (counter)
		assert_int_equal(counter->raw, 1);
	assert_true(r->server.c->broken);
	assert_int_equal(r->server.c->streams, 0);
	take(r);
	assert_int_equal(r->server.stats.goaway_sent.raw, 1);
}

static void
empty_frames_are_cut_off(void **state)
{
	struct raw *r = *state;

	get_frame(r, 1, 0);
	frame(r, DATA, 0, 1, NULL, 0);
	frame(r, DATA, 0, 1, "x", 1);
	frame(r, DATA, 0, 1, NULL, 0);
	feed(r);
	assert_int_equal(r->server.broken, 0);
	frame(r, DATA, 0, 1, NULL, 0);
	feed(r);
	assert_cut(r, "http2.inbound_empty_frames_flood",
	    &r->server.stats.inbound_empty_frames_flood);
	assert_true(r->server.ends[0]->reset);
	assert_int_equal(r->server.ends[0]->why, RESET_OVERFLOW);
}

static void
padding_is_no_payload(void **state)
{
	struct raw *r = *state;

	get_frame(r, 1, 0);
	for (int i = 0; i < 2; i++)
		frame(r, DATA, PADDED, 1, "\x03\0\0\0", 4);
	feed(r);
	assert_cut(r, "http2.inbound_empty_frames_flood",
	    &r->server.stats.inbound_empty_frames_flood);
}

static void
an_empty_frame_may_end_a_stream(void **state)
{
	struct raw *r = *state;

	for (uint32_t id = 1; id < 20; id += 2) {
		get_frame(r, id, 0);
		frame(r, DATA, END_STREAM, id, NULL, 0);
	}
	feed(r);
	assert_int_equal(r->server.broken, 0);
	assert_true(r->server.ends[9]->complete);
}

static void
priority_frames_are_cut_off(void **state)
{
	struct raw *r = *state;

	for (int i = 0; i < 100; i++)
		frame(r, PRIORITY, 0, 1, "\0\0\0\0\x10", 5);
	feed(r);
	assert_int_equal(r->server.broken, 0);
	frame(r, PRIORITY, 0, 1, "\0\0\0\0\x10", 5);
	feed(r);
	assert_cut(r, "http2.inbound_priority_frames_flood",
	    &r->server.stats.inbound_priority_frames_flood);
}

static void
window_updates_are_cut_off(void **state)
{
	struct raw *r = *state;

	get_frame(r, 1, END_STREAM); /* 5 + 2 * (1 stream + 10 * 0 DATA frames) */
	for (int i = 0; i < 7; i++)
		frame(r, WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
	feed(r);
	assert_int_equal(r->server.broken, 0);
	frame(r, WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
	feed(r);
	assert_cut(r, "http2.inbound_window_update_frames_flood",
	    &r->server.stats.inbound_window_update_frames_flood);
}

static void
data_sent_earns_window_updates(void **state)
{
	struct raw *r = *state;

	get_frame(r, 1, 0);
	feed(r);
	respond(r->server.ends[0], 200, false);
	for (int i = 0; i < 3; i++) {
		send_text(r->server.ends[0], "piece", false);
		take(r);
	}
	for (int i = 0; i < 7 + 3 * 20; i++)
		frame(r, WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
	feed(r);
	assert_int_equal(r->server.broken, 0);
	frame(r, WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
	feed(r);
	assert_int_equal(r->server.broken, 1);
}

static void
answers_to_pings_do_not_heap_up(void **state)
{
	struct raw *r = *state;

	for (int round = 0; round < 5; round++) { /* each is answered in time */
		for (int i = 0; i < 900; i++)
			frame(r, PING, 0, 0, "12345678", 8);
		feed(r);
		take(r);
	}
	assert_int_equal(r->server.broken, 0);
	codec_blocked(r->server.c, true); /* from now on nothing is taken */
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 501; i++)
			frame(r, PING, 0, 0, "12345678", 8);
		feed(r);
		if (round == 0)
			take(r);
	}
	assert_cut(r, "http2.outbound_control_frames_flood",
	    &r->server.stats.outbound_control_flood);
}

static void
answers_to_settings_do_not_heap_up(void **state)
{
	struct raw *r = *state;

	for (int i = 0; i < 1001; i++)
		frame(r, SETTINGS, 0, 0, NULL, 0);
	feed(r);
	assert_cut(r, "http2.outbound_control_frames_flood",
	    &r->server.stats.outbound_control_flood);
}

static void
frames_nobody_reads_do_not_heap_up(void **state)
{
	struct raw *r = *state;
	uint32_t id = 1;

	r->server.config.h2.max_outbound_frames = 50;
	codec_free(&r->server.c);
	buf_drain(&r->in, r->in.len);
	begin(r);
	codec_blocked(r->server.c, true);
	for (; id < 101; id += 2) {
		get_frame(r, id, END_STREAM);
		feed(r);
		respond(r->server.ends[id / 2], 200, true);
		r->server.asked = false;
		codec_output(r->server.c, &r->server.out);
		buf_drain(&r->server.out, r->server.out.len);
		if (r->server.broken)
			break;
	}
	assert_string_equal(r->server.details, "http2.outbound_frames_flood");
	assert_int_equal(r->server.stats.outbound_flood.raw, 1);
}

static void
rapid_resets_empty_a_bucket(void **state)
{
	struct raw *r = *state;
	uint32_t id = 1;

	r->server.refuse_all = false;
	h2_set_now(r->server.c, 1000);
	for (int i = 0; i < 40; i++, id += 2) {
		get_frame(r, id, END_STREAM);
		frame(r, RST_STREAM, 0, id, "\0\0\0\x08", 4);
	}
	feed(r);
	assert_int_equal(h2_tally(r->server.c)->streams, 40);
	assert_int_equal(h2_tally(r->server.c)->resets, 40);
	assert_int_equal(h2_tally(r->server.c)->resets_early, 40);
	assert_int_equal(r->server.stats.rx_reset.raw, 40);
	assert_int_equal(r->server.broken, 0);
	assert_int_equal(r->server.c->streams, 0);
}

static void
the_bucket_of_resets_fills_again(void **state)
{
	struct http2_settings settings = {0};
	struct http2_codec_stats stats = {0};
	struct h2_limits l;

	h2_limits_init(&l, &settings, &stats);
	l.now_ms = 5000;
	for (int i = 0; i < 1000; i++)
		assert_null(h2_limits_reset(&l));
	assert_non_null(h2_limits_reset(&l));
	l.now_ms += 100; /* 3.3 resets */
	for (int i = 0; i < 3; i++)
		assert_null(h2_limits_reset(&l));
	assert_string_equal(h2_limits_reset(&l)->details, h2_too_many_resets);
	l.now_ms += 3600 * 1000;
	for (int i = 0; i < 1000; i++)
		assert_null(h2_limits_reset(&l));
	assert_non_null(h2_limits_reset(&l));
	l.now_ms = 0; /* no clock: not enforced */
	assert_null(h2_limits_reset(&l));
	h2_limits_fini(&l);
}

/* ---- heads */

static void
a_head_with_too_many_bytes_costs_its_stream(void **state)
{
	struct raw *r = *state;
	char block[12000] = "\x82\x86\x84\x41\x01"
			    "a";
	size_t n = 6;

	r->server.config.max_headers_bytes = 10000;
	codec_free(&r->server.c);
	buf_drain(&r->in, r->in.len);
	begin(r);
	memcpy(block + n, "\0\x01x\x7f\xf9\x54", 6); /* x: 127 + 0x79 + (0x54 << 7) = 11000 */
	n += 6;
	memset(block + n, 'v', 11000);
	frame(r, HEADERS, END_HEADERS | END_STREAM, 1, block, n + 11000);
	get_frame(r, 3, END_STREAM);
	feed(r);
	assert_int_equal(r->server.broken, 0);
	assert_int_equal(r->server.stats.header_overflow.raw, 1);
	assert_true(r->server.ends[0]->reset);
	assert_null(r->server.ends[0]->head);
	assert_string_equal(r->server.ends[0]->details, "http2.too_many_headers");
	assert_non_null(r->server.ends[1]->head); /* the connection goes on */
	take(r);
	assert_int_equal(r->server.stats.tx_reset.raw, 1);
}

static void
a_head_with_too_many_fields_costs_its_stream(void **state)
{
	struct raw *r = *state;
	char block[400] = "\x82\x86\x84\x41\x01"
			  "a";
	size_t n = 6;

	for (int i = 0; i < 97; i++) {
		memcpy(block + n, "\x0f\x0b\x00", 3); /* name 26 of the static table, empty */
		n += 3;
	}
	frame(r, HEADERS, END_HEADERS | END_STREAM, 1, block, n);
	feed(r);
	assert_int_equal(r->server.stats.header_overflow.raw, 1);
	assert_true(r->server.ends[0]->reset);
}

static void
continuations_are_cut_off(void **state)
{
	struct raw *r = *state;

	frame(r, HEADERS, 0, 1, "\x82", 1);
	for (int i = 0; i < 100; i++)
		frame(r, CONTINUATION, 0, 1, "\x0f\x0b\x00", 3);
	feed(r);
	assert_cut(r, "http2.too_many_continuations", &r->server.stats.header_overflow);
}

static void
underscores_follow_the_configuration(void **state)
{
	static const char block[] = "\x82\x86\x84\x41\x01"
				    "a\0\x03x_y\x01v";
	struct raw *r = *state;
	struct end *e;

	for (int action = UNDERSCORE_ALLOW; action <= UNDERSCORE_DROP; action++) {
		codec_free(&r->server.c);
		buf_drain(&r->in, r->in.len);
		r->server.config.underscores = (enum underscore_action)action;
		begin(r);
		frame(r, HEADERS, END_HEADERS | END_STREAM, 1, block, sizeof(block) - 1);
		feed(r);
		e = r->server.ends[action];
		if (action == UNDERSCORE_REJECT) {
			assert_true(e->reset);
			assert_string_equal(e->details, "http2.unexpected_underscore");
		} else {
			assert_int_equal(field(e->head, "x_y").n, action == UNDERSCORE_ALLOW);
		}
	}
	assert_int_equal(r->server.stats.dropped_headers_with_underscores.raw, 1);
	assert_int_equal(
	    r->server.stats.requests_rejected_with_underscores_in_headers.raw, 1);
}

/* ---- messages against the rules */

static void
bad_message(struct raw *r)
{
	static const char upper[] = "\x82\x86\x84\x41\x01"
				    "a\0\x01X\x01v";

	frame(r, HEADERS, END_HEADERS | END_STREAM, 1, upper, sizeof(upper) - 1);
	get_frame(r, 3, END_STREAM);
	feed(r);
}

static void
a_bad_message_ends_the_connection(void **state)
{
	struct raw *r = *state;

	bad_message(r);
	assert_cut(r, "http2.invalid.header.field", &r->server.stats.rx_messaging_error);
	assert_int_equal(r->server.ends[0]->why, RESET_PROTOCOL_ERROR);
}

static void
a_bad_message_may_cost_its_stream_only(void **state)
{
	struct raw *r = *state;

	codec_free(&r->server.c);
	buf_drain(&r->in, r->in.len);
	r->server.config.h2.stream_error_on_invalid = true;
	begin(r);
	bad_message(r);
	assert_int_equal(r->server.broken, 0);
	assert_true(r->server.ends[0]->reset);
	assert_string_equal(r->server.ends[0]->details, "http2.invalid.header.field");
	assert_non_null(r->server.ends[1]->head);
	assert_int_equal(r->server.stats.rx_messaging_error.raw, 1);
}

static void
a_body_that_is_not_its_length_is_bad(void **state)
{
	static const char block[] = "\x83\x86\x84\x41\x01"
				    "a\x0f\x0d\x01"
				    "5";
	struct raw *r = *state;

	frame(r, HEADERS, END_HEADERS, 1, block, sizeof(block) - 1);
	frame(r, DATA, END_STREAM, 1, "four", 4);
	feed(r);
	take(r);
	assert_false(r->server.ends[0]->complete);
	assert_true(r->server.ends[0]->reset);
	assert_int_equal(r->server.ends[0]->why, RESET_PROTOCOL_ERROR);
	assert_int_equal(r->server.stats.rx_messaging_error.raw, 1);
	assert_int_equal(r->server.broken, 1);
}

static void
broken_frames_end_the_connection(void **state)
{
	static const struct {
		uint8_t type, flags;
		uint32_t id;
		const char *payload;
		size_t n;
	} rows[] = {
		{DATA, 0, 0, "x", 1},                         /* on stream 0 */
		{DATA, 0, 5, "x", 1},                         /* on a stream that never was */
		{HEADERS, END_HEADERS, 2, "\x82", 1},         /* an even id */
		{HEADERS, END_HEADERS, 1, "\xff\xff\xff", 3}, /* no HPACK */
		{PING, 0, 0, "123", 3},                       /* too short */
		{SETTINGS, 0, 0, "\0\4\xff\xff\xff\xff", 6},  /* a window of 2^32-1 */
		{CONTINUATION, END_HEADERS, 1, "\x82", 1},    /* of nothing */
		{WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4},         /* by zero */
		{PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2", 4},
		{RST_STREAM, 0, 7, "\0\0\0\0", 4},            /* of an idle stream */
	};
	struct raw *r = *state;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		codec_free(&r->server.c);
		buf_drain(&r->in, r->in.len);
		r->server.broken = 0;
		begin(r);
		frame(r, rows[i].type, rows[i].flags, rows[i].id, rows[i].payload, rows[i].n);
		feed(r);
		take(r);
		if (r->server.broken != 1)
			fail_msg("row %u: not broken", i);
		assert_int_equal(r->server.stats.goaway_sent.raw, i + 1);
	}
}

static void
what_is_no_preface_is_no_connection(void **state)
{
	struct raw *r = *state;

	codec_free(&r->server.c);
	buf_drain(&r->in, r->in.len);
	r->server.c = h2_server_new(&r->server.config, &peer_events, &r->server);
	buf_addz(&r->in, "GET / HTTP/1.1\r\n\r\n");
	feed(r);
	assert_int_equal(r->server.broken, 1);
	assert_string_equal(r->server.details, "http2.bad_preface");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_raw, close_raw)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(empty_frames_are_cut_off),
		TEST(padding_is_no_payload),
		TEST(an_empty_frame_may_end_a_stream),
		TEST(priority_frames_are_cut_off),
		TEST(window_updates_are_cut_off),
		TEST(data_sent_earns_window_updates),
		TEST(answers_to_pings_do_not_heap_up),
		TEST(answers_to_settings_do_not_heap_up),
		TEST(frames_nobody_reads_do_not_heap_up),
		TEST(rapid_resets_empty_a_bucket),
		cmocka_unit_test(the_bucket_of_resets_fills_again),
		TEST(a_head_with_too_many_bytes_costs_its_stream),
		TEST(a_head_with_too_many_fields_costs_its_stream),
		TEST(continuations_are_cut_off),
		TEST(underscores_follow_the_configuration),
		TEST(a_bad_message_ends_the_connection),
		TEST(a_bad_message_may_cost_its_stream_only),
		TEST(a_body_that_is_not_its_length_is_bad),
		TEST(broken_frames_end_the_connection),
		TEST(what_is_no_preface_is_no_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
