/* HTTP/1, server side: what a request becomes, and what leaves as its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "lib/base/assert.h"
#include "tests/unit/lib/http/tape.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define BASE "headers :method=GET :path=/ :authority=a :scheme=http"
#define EMPTY_200 "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

static struct tape t;

static int
start(void **state)
{
	tape_server(&t);
	return 0;
}

static int
stop(void **state)
{
	tape_fini(&t);
	return 0;
}

static void
feed(const char *text)
{
	tape_feed(&t, text, strlen(text));
}

static void
requests_take_their_inner_shape(void **state)
{
	static const struct {
		const char *bytes, *told;
	} cases[] = {
	    {GET "X-A:  b  \r\nACCEPT: c\r\n\r\n", BASE " x-a=b accept=c end\ndone\n"},
	    {"GET http://B:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
		"headers :method=GET :path=/x?y :authority=B:80 :scheme=http end\ndone\n"},
	    {"GET HTTPS://b?y HTTP/1.1\r\nHost: a\r\n\r\n",
		"headers :method=GET :path=/?y :authority=b :scheme=https end\ndone\n"},
	    {"OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n",
		"headers :method=OPTIONS :path=* :authority=b :scheme=http end\ndone\n"},
	    {GET "Connection: keep-alive, X-Hop, TE\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n"
		 "TE: trailers\r\nX-Hop: 2\r\nX: 3\r\n\r\n",
		BASE " te=trailers x=3 end\ndone\n"},
	    {GET "TE: gzip\r\nUpgrade: h2,h2c\r\nProxy-Connection: keep-alive\r\n\r\n",
		BASE " end\ndone\n"},
	    {GET "Content-Length: 003\r\n\r\nabc", BASE " content-length=3\ndata abc\nend\ndone\n"},
	    {GET "Content-Length: 0\r\n\r\n", BASE " content-length=0 end\ndone\n"},
	    {GET "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
		BASE "\ndata abc0123456789\nend\ndone\n"},
	    {GET "Transfer-Encoding: chunked\r\n\r\n0\r\nx-t: 1\r\n\r\n", BASE "\nend\ndone\n"},
	    {GET "Transfer-Encodings: chunked\r\nContent-Lengths: 5\r\n\r\n",
		BASE " transfer-encodings=chunked content-lengths=5 end\ndone\n"},
	    {GET "Expect: 100-continue\r\n\r\n", BASE " expect=100-continue end\ndone\n"},
	    {GET "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
		BASE " end\ndone\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		feed(cases[i].bytes);
		assert_string_equal(tape_text(&t), cases[i].told);
		assert_string_equal(tape_out(&t), EMPTY_200);
		assert_null(t.broken);
	}
	assert_int_equal(t.codec->streams_total, ARRAY_LEN(cases));
	assert_int_equal(t.codec->streams, 0);
}

static void
trailers_pass_when_they_are_enabled(void **state)
{
	t.config.h1.enable_trailers = true;
	feed(GET
	    "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\nGrpc-Status: 0\r\n\r\n");
	assert_string_equal(
	    tape_text(&t), BASE "\ndata a\ntrailers x-t=1 grpc-status=0 end\ndone\n");
}

static void
pipelined_requests_are_answered_in_order_one_at_a_time(void **state)
{
	t.answer = false;
	feed(GET "\r\n" GET "x: 2\r\n\r\n" GET "x: 3\r\n\r\n");
	assert_string_equal(tape_text(&t), BASE " end\n");
	tape_send(&t, ":status: 200\ncontent-length: 2", false);
	tape_turn(&t);
	assert_string_equal(tape_text(&t), "");
	tape_send_data(&t, "hi", true);
	assert_string_equal(tape_text(&t), "done\n" BASE " x=2 end\n");
	t.answer = true;
	tape_send(&t, ":status: 204", true);
	tape_turn(&t);
	assert_string_equal(tape_text(&t), "done\n" BASE " x=3 end\ndone\n");
	assert_string_equal(tape_out(&t), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
					  "HTTP/1.1 204 No Content\r\n\r\n" EMPTY_200);
}

static void
bytes_behind_connection_close_are_counted_and_ignored(void **state)
{
	feed(GET "Connection: close\r\n\r\n" GET "\r\n");
	assert_string_equal(tape_text(&t), BASE " end\ndone\n");
	assert_string_equal(
	    tape_out(&t), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
	assert_string_equal(t.broken, "");
	assert_int_equal(t.stats.rejected_after_close.raw, 1);
	assert_true(buf_empty(&t.in));
}

static void
answers_are_framed_by_what_is_known(void **state)
{
	static const struct {
		const char *request, *headers;
		bool end;
		const char *body, *out;
		bool closes;
	} cases[] = {
	    {GET "\r\n", ":status: 200\nx-a: b", true, NULL,
		"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 0\r\n\r\n", false},
	    {GET "\r\n", ":status: 299\ncontent-length: 3", false, "abc",
		"HTTP/1.1 299 Unknown\r\ncontent-length: 3\r\n\r\nabc", false},
	    {GET "\r\n", ":status: 200\ncontent-length: 3", false, "abcHTTP/1.1 200 OK",
		"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", true},
	    {GET "\r\n", ":status: 200\ncontent-length: 3", false, "ab",
		"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", true},
	    {GET "\r\n", ":status: 200", false, "abcdefghijklmnopq",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11\r\nabcdefghijklmnopq\r\n"
		"0\r\n\r\n",
		false},
	    {GET "\r\n", ":status: 200\ncontent-length: x", false, "a",
		"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", false},
	    {GET "\r\n", ":status: 204\ncontent-length: 3", false, "abc",
		"HTTP/1.1 204 No Content\r\n\r\n", false},
	    {GET "\r\n", ":status: 304\ncontent-length: 3", true, NULL,
		"HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n", false},
	    {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", ":status: 200\ncontent-length: 3", false, "abc",
		"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", false},
	    {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", ":status: 200", true, NULL,
		"HTTP/1.1 200 OK\r\n\r\n", false},
	    {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", ":status: 200", false, "abc",
		"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc", true},
	    {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		":status: 200\ncontent-length: 3", false, "abc",
		"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nabc", false},
	    {GET "\r\n",
		":status: 200\nconnection: x\ntransfer-encoding: gzip\nkeep-alive: 1\n"
		"upgrade: h2\nproxy-connection: y",
		true, NULL, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		stop(state);
		start(state);
		t.answer = false;
		feed(cases[i].request);
		tape_send(&t, cases[i].headers, cases[i].end);
		tape_turn(&t);
		if (!cases[i].end)
			tape_send_data(&t, cases[i].body, true);
		assert_string_equal(tape_out(&t), cases[i].out);
		assert_int_equal(t.done, 1);
		assert_int_equal(t.broken != NULL, cases[i].closes);
	}
}

static void
an_old_client_gets_an_old_answer_when_that_is_allowed(void **state)
{
	t.config.h1.accept_http_10 = true;
	t.config.h1.default_host_for_http_10 = "old.example";
	feed("GET / HTTP/1.0\r\n\r\n");
	assert_string_equal(tape_text(&t),
	    "headers :method=GET :path=/ :authority=old.example :scheme=http end\ndone\n");
	assert_string_equal(
	    tape_out(&t), "HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
	stop(state);
	start(state);
	feed("GET http://b/x HTTP/1.0\r\n\r\n");
	assert_string_equal(
	    tape_text(&t), "headers :method=GET :path=/x :scheme=http :authority=b end\ndone\n");
}

static void
names_can_be_written_in_proper_case(void **state)
{
	t.config.h1.proper_case = true;
	t.answer = false;
	feed(GET "\r\n");
	tape_send(&t, ":status: 200\nx-some-thing: a-b\netag: c", true);
	tape_turn(&t);
	assert_string_equal(tape_out(&t),
	    "HTTP/1.1 200 OK\r\nX-Some-Thing: a-b\r\nEtag: c\r\nContent-Length: 0\r\n\r\n");
}

static void
nothing_in_a_value_can_break_out_of_its_line(void **state)
{
	struct headers h;

	t.answer = false;
	feed(GET "\r\n");
	headers_init(&h, &t.arena);
	headers_set_status(&h, 200);
	for (int c = 0; c < 256; c++) {
		char *value = arena_dup(&t.arena, "a?b", 3), *name = arena_dup(&t.arena, "x?", 2);

		value[1] = name[1] = (char)c;
		headers_add(&h, STR("x-v"), str_make(value, 3));
		headers_add(&h, str_make(name, 2), STR("v"));
	}
	headers_add(&h, STR(""), STR("v"));
	headers_add(&h, STR("location"), STR("/\r\nset-cookie: a=b"));
	codec_send_headers(t.stream, &h, true);
	tape_turn(&t);
	{
		const char *out = tape_out(&t), *line = out;

		assert_null(strstr(out, "set-cookie"));
		assert_null(strstr(out, "location"));
		for (const char *p = out; *p; p++) {
			assert_true(
			    *p == '\r' || *p == '\n' || *p == '\t' || (unsigned char)*p >= ' ');
			if (*p == '\n') {
				assert_true(p > line && p[-1] == '\r');
				assert_null(memchr(line, '\r', (size_t)(p - 1 - line)));
				line = p + 1;
			}
		}
		assert_int_equal(strlen(line), 0);
	}
}

static void
limits_are_answered_with_431(void **state)
{
	char big[600];

	t.config.max_headers_bytes = 200;
	memset(big, 'a', sizeof(big));
	memcpy(big, GET "x: ", strlen(GET "x: "));
	tape_feed_bytewise(&t, big, sizeof(big));
	assert_string_equal(t.error, "http1.headers_too_large");
	assert_int_equal(t.status, 431);
	stop(state);
	start(state);
	t.config.max_headers_bytes = 200;
	tape_feed(&t, big, sizeof(big));
	assert_string_equal(t.error, "http1.headers_too_large");
	stop(state);
	start(state);
	t.config.max_headers_count = 3;
	feed(GET "a: b\r\nc: d\r\n\r\n" GET "a: b\r\nc: d\r\ne: f\r\n\r\n");
	assert_int_equal(t.done, 2);
	assert_string_equal(t.error, "http1.too_many_headers");
	assert_int_equal(t.status, 431);
	stop(state);
	start(state);
	t.config.max_headers_count = 3;
	feed(GET "Transfer-Encoding: chunked\r\n\r\n0\r\na: b\r\nc: d\r\n\r\n");
	assert_string_equal(t.error, "http1.too_many_headers");
}

static void
a_head_of_exactly_the_limit_passes(void **state)
{
	t.config.max_headers_bytes = (uint32_t)strlen(GET "\r\n");
	feed(GET "\r\n");
	assert_null(t.error);
	tape_feed_bytewise(&t, GET "\r\n", strlen(GET "\r\n"));
	assert_null(t.error);
	assert_int_equal(t.done, 2);
	t.config.max_headers_bytes--;
	feed(GET "\r\n");
	assert_string_equal(t.error, "http1.headers_too_large");
}

static void
chunk_extensions_are_not_free(void **state)
{
	feed(GET "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 17 && t.error == NULL; i++) {
		char ext[1024 + 8];

		memset(ext, 'x', sizeof(ext));
		memcpy(ext, "1;", 2);
		memcpy(ext + sizeof(ext) - 5, "\r\na\r\n", 5);
		tape_feed(&t, ext, sizeof(ext));
	}
	assert_string_equal(t.error, "http1.codec_error.chunk_size");
}

static void
underscores_are_allowed_dropped_or_refused(void **state)
{
	feed(GET "a_b: 1\r\n\r\n");
	t.config.underscores = UNDERSCORE_DROP;
	feed(GET "a_b: 1\r\nc: 2\r\n\r\n");
	assert_string_equal(tape_text(&t), BASE " a_b=1 end\ndone\n" BASE " c=2 end\ndone\n");
	assert_int_equal(t.stats.dropped_headers_with_underscores.raw, 1);
	t.config.underscores = UNDERSCORE_REJECT;
	feed(GET "a_b: 1\r\n\r\n");
	assert_string_equal(t.error, "http1.unexpected_underscore");
	assert_int_equal(t.stats.requests_rejected_with_underscores_in_headers.raw, 1);
	assert_int_equal(t.stats.rejected_underscore.raw, 1);
}

static void
custom_methods_and_chunked_lengths_pass_when_asked_for(void **state)
{
	t.config.h1.allow_custom_methods = true;
	t.config.h1.allow_chunked_length = true;
	feed("FOO / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "1\r\na\r\n0\r\n\r\n");
	assert_string_equal(tape_text(&t),
	    "headers :method=FOO :path=/ :authority=a :scheme=http\ndata a\nend\ndone\n");
	feed("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
	assert_string_equal(tape_text(&t), "headers :method=CONNECT :authority=a:1\n");
}

static void
absolute_targets_are_left_whole_when_they_are_not_allowed(void **state)
{
	t.config.h1.allow_absolute_url = false;
	feed("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_string_equal(tape_text(&t),
	    "headers :method=GET :path=http://b/ :authority=a :scheme=http end\ndone\n");
}

static void
a_tunnel_opens_with_101_and_not_before(void **state)
{
	t.answer = false;
	feed(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
	assert_string_equal(tape_text(&t), BASE " connection=upgrade upgrade=websocket\n");
	tape_send(
	    &t, ":status: 101\nconnection: upgrade\nupgrade: websocket\ncontent-length: 1", false);
	tape_turn(&t);
	assert_true(t.stream->upgraded);
	assert_string_equal(tape_out(&t), "HTTP/1.1 101 Switching Protocols\r\n"
					  "connection: upgrade\r\nupgrade: websocket\r\n\r\n");
	feed("late");
	tape_send_data(&t, "hello", false);
	tape_eof(&t);
	assert_string_equal(tape_text(&t), "data earlylate\nend\n");
	tape_send_data(&t, "bye", true);
	assert_string_equal(tape_out(&t), "hellobye");
	assert_string_equal(tape_text(&t), "done\n");
	assert_string_equal(t.broken, "");
}

static void
a_refused_tunnel_ends_the_connection(void **state)
{
	t.answer = false;
	feed(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" GET "\r\n");
	tape_send(&t, ":status: 403", true);
	tape_turn(&t);
	assert_string_equal(tape_text(&t), BASE " connection=upgrade upgrade=websocket\ndone\n");
	assert_string_equal(t.broken, "");
	assert_non_null(strstr(tape_out(&t), "connection: close"));
}

static void
connect_is_a_tunnel_when_it_is_granted(void **state)
{
	t.answer = false;
	feed("CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\nx");
	assert_string_equal(tape_text(&t), "headers :method=CONNECT :authority=a:1\n");
	tape_send(&t, ":status: 200", false);
	tape_turn(&t);
	assert_string_equal(tape_out(&t), "HTTP/1.1 200 OK\r\n\r\n");
	assert_string_equal(tape_text(&t), "data x\n");
}

static void
a_paused_stream_leaves_bytes_where_they_are(void **state)
{
	t.answer = false;
	feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01");
	codec_pause(t.stream, true);
	feed("234");
	assert_int_equal(t.in.len, 3);
	tape_eof(&t);
	feed("56789");
	assert_string_equal(tape_text(&t),
	    "headers :method=POST :path=/ :authority=a :scheme=http content-length=10\ndata 01\n");
	codec_pause(t.stream, false);
	tape_turn(&t);
	assert_string_equal(tape_text(&t), "data 23456789\nend\n");
	assert_true(t.stream->close_after);
}

static void
an_early_answer_ends_the_connection(void **state)
{
	t.answer = false;
	feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01");
	tape_send(&t, ":status: 413", true);
	tape_turn(&t);
	assert_string_equal(tape_out(&t), "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n"
					  "connection: close\r\n\r\n");
	assert_string_equal(t.broken, "");
	feed("23456789" GET "\r\n");
	assert_int_equal(t.requests, 1);
}

static void
nothing_is_read_behind_an_early_answer(void **state)
{
	t.answer = false;
	t.hold_output = true;
	feed("POST / HTTP/1.1\r\nHost: a\r\n");
	tape_send(&t, ":status: 408\ncontent-length: 1", false);
	tape_send_data(&t, "x", true);
	feed("Content-Length: 3\r\n\r\nabc");
	assert_string_equal(tape_text(&t), "");
	t.hold_output = false;
	tape_turn(&t);
	assert_string_equal(tape_text(&t), "done\n");
	assert_string_equal(t.broken, "");
	assert_string_equal(tape_out(&t), "HTTP/1.1 408 Request Timeout\r\ncontent-length: 1\r\n"
					  "connection: close\r\n\r\nx");
}

static void
an_unfinished_request_is_reset_by_fin(void **state)
{
	static const char *const unfinished[] = {"G", GET, GET "Content-Length: 3\r\n\r\na",
	    GET "Transfer-Encoding: chunked\r\n\r\n0\r\nx"};

	for (size_t i = 0; i < ARRAY_LEN(unfinished); i++) {
		stop(state);
		start(state);
		t.answer = false;
		feed(unfinished[i]);
		tape_eof(&t);
		assert_non_null(strstr(tape_text(&t), "reset 4"));
		assert_string_equal(t.broken, "");
	}
}

static void
a_half_closed_client_still_gets_all_its_answers(void **state)
{
	t.answer = false;
	feed(GET "\r\n" GET "x: 2\r\n\r\n");
	tape_eof(&t);
	tape_send(&t, ":status: 200", true);
	tape_turn(&t);
	assert_string_equal(tape_text(&t), BASE " end\ndone\n" BASE " x=2 end\n");
	assert_true(t.stream->close_after);
	tape_send(&t, ":status: 200", true);
	tape_turn(&t);
	assert_string_equal(tape_text(&t), "done\n");
	assert_string_equal(t.broken, "");
}

static void
an_error_in_a_body_comes_after_the_good_part(void **state)
{
	t.answer = false;
	feed(GET "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n");
	assert_string_equal(
	    tape_text(&t), BASE "\ndata a\nerror 400 http1.codec_error.chunk_size\n");
	tape_send(&t, ":status: 400", true);
	tape_turn(&t);
	assert_string_equal(t.broken, "http1.codec_error.chunk_size");
}

static void
a_reset_ends_the_connection_without_a_word_to_the_stream(void **state)
{
	t.answer = false;
	feed(GET "\r\n");
	codec_reset(t.stream, RESET_LOCAL);
	assert_string_equal(tape_text(&t), BASE " end\n");
	assert_string_equal(t.broken, "");
	assert_int_equal(t.codec->streams, 0);
	feed(GET "\r\n");
	assert_int_equal(t.requests, 1);
}

static void
slow_readers_block_and_unblock_the_stream(void **state)
{
	t.answer = false;
	t.hold_output = true;
	t.config.high_watermark = 80;
	feed(GET "\r\n");
	tape_text(&t);
	tape_send(&t, ":status: 200", false);
	tape_send_data(&t, "0123456789012345678901234567890123456789", false);
	assert_string_equal(tape_text(&t), "blocked\n");
	t.hold_output = false;
	tape_turn(&t);
	assert_string_equal(tape_text(&t), "unblocked\n");
	codec_blocked(t.codec, true);
	codec_blocked(t.codec, true);
	codec_blocked(t.codec, false);
	assert_string_equal(tape_text(&t), "blocked\nunblocked\n");
	tape_send_data(&t, "x", true);
	assert_int_equal(t.stream == NULL, 1);
}

static void
informational_answers_go_first(void **state)
{
	struct headers h;

	t.answer = false;
	feed(GET "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");
	tape_headers(&t, &h, ":status: 100");
	codec_send_info(t.stream, &h);
	tape_turn(&t);
	assert_string_equal(tape_out(&t), "HTTP/1.1 100 Continue\r\n\r\n");
	t.answer = true;
	feed("a");
	assert_string_equal(tape_out(&t), EMPTY_200);
}

static void
header_slices_live_as_long_as_the_arena(void **state)
{
	struct headers copy;
	struct chunk *c = chunk_new(BUF_SMALL);

	t.answer = false;
	memcpy(c->data, GET "x: y\r\n\r\n", strlen(GET "x: y\r\n\r\n"));
	c->used = (uint32_t)strlen(GET "x: y\r\n\r\n");
	buf_add_slice(&t.in, c, 0, c->used);
	codec_feed(t.codec, &t.in);
	assert_true(buf_empty(&t.in));
	assert_int_equal(c->refs, 2);
	headers_init(&copy, &t.arena);
	tape_send(&t, ":status: 200", true);
	tape_turn(&t);
	assert_int_equal(c->refs, 2);
	arena_fini(&t.arena);
	assert_int_equal(c->refs, 1);
	chunk_unref(&c);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
	    T(requests_take_their_inner_shape),
	    T(trailers_pass_when_they_are_enabled),
	    T(pipelined_requests_are_answered_in_order_one_at_a_time),
	    T(bytes_behind_connection_close_are_counted_and_ignored),
	    T(answers_are_framed_by_what_is_known),
	    T(an_old_client_gets_an_old_answer_when_that_is_allowed),
	    T(names_can_be_written_in_proper_case),
	    T(nothing_in_a_value_can_break_out_of_its_line),
	    T(limits_are_answered_with_431),
	    T(a_head_of_exactly_the_limit_passes),
	    T(chunk_extensions_are_not_free),
	    T(underscores_are_allowed_dropped_or_refused),
	    T(custom_methods_and_chunked_lengths_pass_when_asked_for),
	    T(absolute_targets_are_left_whole_when_they_are_not_allowed),
	    T(a_tunnel_opens_with_101_and_not_before),
	    T(a_refused_tunnel_ends_the_connection),
	    T(connect_is_a_tunnel_when_it_is_granted),
	    T(a_paused_stream_leaves_bytes_where_they_are),
	    T(an_early_answer_ends_the_connection),
	    T(nothing_is_read_behind_an_early_answer),
	    T(an_unfinished_request_is_reset_by_fin),
	    T(a_half_closed_client_still_gets_all_its_answers),
	    T(an_error_in_a_body_comes_after_the_good_part),
	    T(a_reset_ends_the_connection_without_a_word_to_the_stream),
	    T(slow_readers_block_and_unblock_the_stream),
	    T(informational_answers_go_first),
	    T(header_slices_live_as_long_as_the_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
