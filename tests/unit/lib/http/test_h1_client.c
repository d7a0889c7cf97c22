/* HTTP/1, client side, and both sides back to back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/assert.h"
#include "lib/base/pipe.h"
#include "tests/unit/lib/http/tape.h"

#define GET ":method: GET\n:path: /x?y\n:authority: a:80\n:scheme: http\n"
#define POST ":method: POST\n:path: /\n:authority: a\n"
#define OK_0 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static struct tape t;

static int
start(void **state)
{
	tape_client(&t);
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
requests_are_written_in_origin_form(void **state)
{
	static const struct {
		const char *headers, *body, *out;
	} cases[] = {
	    {GET "x-a: b\nconnection: close\ntransfer-encoding: x\nhost: evil\n", NULL,
		"GET /x?y HTTP/1.1\r\nhost: a:80\r\nx-a: b\r\n\r\n"},
	    {POST, NULL, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
	    {POST "content-length: 7\n", NULL,
		"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
	    {POST "content-length: 3\n", "abc",
		"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"},
	    {POST, "abc",
		"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
		"chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
	    {":method: DELETE\n:path: /\n:authority: a\n", NULL,
		"DELETE / HTTP/1.1\r\nhost: a\r\n\r\n"},
	    {":method: OPTIONS\n:path: *\n:authority: a\n", NULL,
		"OPTIONS * HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_non_null(tape_request(&t, cases[i].headers, cases[i].body == NULL));
		assert_null(codec_request(t.codec));
		if (cases[i].body)
			tape_send_data(&t, cases[i].body, true);
		assert_string_equal(tape_out(&t), cases[i].out);
		feed(OK_0);
		assert_string_equal(
		    tape_text(&t), "headers :status=200 content-length=0 end\ndone\n");
		assert_true(t.codec->reusable);
	}
}

static void
a_whole_url_is_written_when_asked_for(void **state)
{
	t.config.h1.send_fully_qualified_url = true;
	tape_request(&t, GET, true);
	assert_string_equal(tape_out(&t), "GET http://a:80/x?y HTTP/1.1\r\nhost: a:80\r\n\r\n");
}

static void
what_cannot_be_written_is_not_written(void **state)
{
	static const char *const bad[] = {
	    ":method: GET\n:authority: a\n",
	    ":method: GET\n:path: /a b\n:authority: a\n",
	    ":method: GET\n:path: /\r\n:authority: a\n",
	    ":method: G T\n:path: /\n:authority: a\n",
	    ":method: GET\n:path: /\n:authority: a/b\n",
	    ":method: CONNECT\n:path: /\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_null(tape_request(&t, bad[i], true));
		assert_string_equal(tape_text(&t), "reset 0 http1.invalid_request_headers\n");
		assert_string_equal(tape_out(&t), "");
		assert_true(t.codec->reusable);
	}
}

static void
responses_end_where_their_framing_says(void **state)
{
	static const struct {
		const char *method, *bytes, *told;
		bool reusable, eof;
	} cases[] = {
	    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"headers :status=200 content-length=3\ndata abc\nend\ndone\n", true, false},
	    {"GET",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: "
		"y\r\n\r\n",
		"headers :status=200\ndata abc\nend\ndone\n", true, false},
	    {"GET",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close, x-b\r\nX-B: 1\r\n\r\n",
		"headers :status=200 content-length=0 end\ndone\n", false, false},
	    {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"headers :status=200 content-length=0 end\ndone\n", false, false},
	    {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n",
		"headers :status=200 content-length=0 end\ndone\n", true, false},
	    {"GET", "HTTP/1.1 200 OK\r\n\r\nabc", "headers :status=200\ndata abc\nend\ndone\n",
		false, true},
	    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
		"headers :status=200 content-length=3\ndata ab\nreset 4 \n", false, true},
	    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"headers :status=200\ndata abc\nreset 4 \n", false, true},
	    {"GET", "HTTP/1.1 20", "reset 4 \n", false, true},
	    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
		"headers :status=200 content-length=3 end\ndone\n", true, false},
	    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"headers :status=200 end\ndone\n", true, false},
	    {"GET", "HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\n",
		"headers :status=204 end\ndone\n", true, false},
	    {"GET", "HTTP/1.1 304 N\r\nContent-Length: 3\r\n\r\n",
		"headers :status=304 content-length=3 end\ndone\n", true, false},
	    {"GET", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\n" OK_0,
		"info :status=100\ninfo :status=103 link=x\n"
		"headers :status=200 content-length=0 end\ndone\n",
		true, false},
	    {"GET",
		"HTTP/1.1 200 OK\r\nConnection: Transfer-Encoding\r\n"
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"headers :status=200\nend\ndone\n", true, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char request[80];

		stop(state);
		start(state);
		snprintf(request, sizeof(request), ":method: %s\n:path: /\n:authority: a",
		    cases[i].method);
		tape_request(&t, request, true);
		feed(cases[i].bytes);
		if (cases[i].eof)
			tape_eof(&t);
		assert_string_equal(tape_text(&t), cases[i].told);
		assert_int_equal(t.codec->reusable, cases[i].reusable);
		assert_int_equal(t.broken == NULL, cases[i].reusable);
	}
}

static void
endless_1xx_are_cut(void **state)
{
	tape_request(&t, GET, true);
	for (int i = 0; i < 16; i++)
		feed("HTTP/1.1 102 P\r\n\r\n");
	assert_null(t.error);
	feed("HTTP/1.1 102 P\r\n\r\n");
	assert_string_equal(t.error, "http1.codec_error.response_framing");
	assert_int_equal(t.stats.rejected_response_framing.raw, 1);
}

static void
headers_outlive_the_next_response_and_the_connection(void **state)
{
	struct headers *first;

	assert_non_null(tape_request(&t, GET, true));
	feed("HTTP/1.1 201 Created\r\nX-A: one\r\nContent-Length: 0\r\n\r\n");
	first = t.headers;
	assert_non_null(tape_request(&t, GET, true));
	feed("HTTP/1.1 404 Not Found\r\nX-A: two\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	codec_free(&t.codec);
	assert_int_equal(headers_status(first), 201);
	assert_true(str_eqz(headers_get_name(first, STR("x-a")), "one"));
	assert_int_equal(headers_status(t.headers), 404);
	tape_fini(&t);
	tape_client(&t);
}

static void
data_on_an_idle_connection_ends_it(void **state)
{
	feed("HTTP/1.1 408 Request Timeout\r\n\r\n");
	assert_string_equal(t.broken, "http1.codec_error.idle_data");
	assert_int_equal(t.stats.rejected_idle_data.raw, 1);
	assert_null(codec_request(t.codec));
	stop(state);
	start(state);
	tape_request(&t, GET, true);
	feed(OK_0);
	assert_true(t.codec->reusable);
	feed("x");
	assert_string_equal(t.broken, "http1.codec_error.idle_data");
}

static void
an_early_response_waits_for_the_request(void **state)
{
	tape_request(&t, POST "content-length: 4", false);
	tape_send_data(&t, "ab", false);
	feed(OK_0);
	assert_string_equal(tape_text(&t), "headers :status=200 content-length=0 end\n");
	assert_false(t.codec->reusable);
	tape_send_data(&t, "cd", true);
	assert_string_equal(tape_text(&t), "done\n");
	assert_true(t.codec->reusable);
	tape_request(&t, POST "content-length: 4", false);
	feed(OK_0);
	codec_reset(t.stream, RESET_LOCAL);
	assert_false(t.codec->reusable);
	assert_string_equal(t.broken, "");
}

static void
a_stream_that_never_began_leaves_the_connection_alone(void **state)
{
	struct codec_stream *s = codec_request(t.codec);

	codec_reset(s, RESET_LOCAL);
	assert_null(t.broken);
	assert_true(t.codec->reusable);
	assert_non_null(tape_request(&t, GET, true));
}

static void
a_tunnel_is_asked_for_and_granted(void **state)
{
	tape_request(&t, GET "connection: upgrade\nupgrade: websocket\n", false);
	assert_string_equal(tape_out(&t),
	    "GET /x?y HTTP/1.1\r\nhost: a:80\r\nconnection: upgrade\r\n"
	    "upgrade: websocket\r\n\r\n");
	tape_send_data(&t, "early", false);
	assert_string_equal(tape_out(&t), "");
	feed("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
	assert_string_equal(tape_text(&t),
	    "headers :status=101 connection=upgrade upgrade=websocket\ndata hello\n");
	assert_true(t.stream->upgraded);
	assert_string_equal(tape_out(&t), "early");
	tape_eof(&t);
	assert_string_equal(tape_text(&t), "end\n");
	tape_send_data(&t, "bye", true);
	assert_string_equal(tape_out(&t), "bye");
	assert_string_equal(tape_text(&t), "done\n");
	assert_string_equal(t.broken, "");
}

static void
a_tunnel_that_is_refused_is_an_ordinary_answer(void **state)
{
	tape_request(&t, GET "connection: upgrade\nupgrade: websocket\n", false);
	tape_send_data(&t, "early", false);
	tape_out(&t);
	feed("HTTP/1.1 403 F\r\nContent-Length: 2\r\n\r\nno");
	assert_string_equal(
	    tape_text(&t), "headers :status=403 content-length=2\ndata no\nend\ndone\n");
	assert_string_equal(tape_out(&t), "");
	assert_false(t.codec->reusable);
}

static void
a_paused_response_waits_in_the_owners_buffer(void **state)
{
	tape_request(&t, GET, true);
	feed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na");
	codec_pause(t.stream, true);
	feed("bcd");
	assert_int_equal(t.in.len, 3);
	codec_pause(t.stream, false);
	tape_turn(&t);
	assert_string_equal(
	    tape_text(&t), "headers :status=200 content-length=4\ndata abcd\nend\ndone\n");
}

static void
a_connection_that_ended_during_a_pause_is_not_used_again(void **state)
{
	tape_request(&t, GET, true);
	feed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na");
	codec_pause(t.stream, true);
	feed("bcd");
	tape_eof(&t);
	codec_pause(t.stream, false);
	tape_turn(&t);
	assert_string_equal(
	    tape_text(&t), "headers :status=200 content-length=4\ndata abcd\nend\ndone\n");
	assert_false(t.codec->reusable);
	assert_null(codec_request(t.codec));
}

static void
closing_the_connection_resets_what_is_open(void **state)
{
	tape_request(&t, GET, true);
	codec_free(&t.codec);
	assert_string_equal(tape_text(&t), "reset 4 \n");
}

/* ---- back to back: what one side writes, the other reads */

static void
carry(struct tape *from, struct tape *to, bool bytewise)
{
	while (!buf_empty(&from->out)) {
		char bytes[4096];
		size_t n = buf_peek(&from->out, bytes, bytewise ? 1 : sizeof(bytes));

		buf_drain(&from->out, n);
		tape_feed(to, bytes, n);
	}
}

static void
send_pieces(struct tape *tape, size_t size, size_t piece)
{
	struct buf b;

	buf_init(&b);
	for (size_t at = 0; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		size_t room;
		char *p = buf_reserve(&b, n, &room);

		for (size_t i = 0; i < n; i++)
			p[i] = (char)('a' + (at + i) % 26);
		buf_commit(&b, n);
		codec_send_data(tape->stream, &b, at + n == size);
		tape_turn(tape);
	}
	buf_fini(&b);
}

static void
check_body(struct tape *tape, size_t size)
{
	const char *text = tape_text(tape), *data = strstr(text, "data ");

	assert_non_null(data);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(data[5 + i], 'a' + (int)(i % 26));
	assert_int_equal(data[5 + size], '\n');
}

static void
go_round(size_t size, size_t piece, bool length, bool bytewise)
{
	struct tape server;
	char headers[120];

	tape_server(&server);
	server.answer = false;
	snprintf(headers, sizeof(headers), length ? POST "content-length: %zu" : POST, size);
	tape_request(&t, headers, false);
	send_pieces(&t, size, piece);
	carry(&t, &server, bytewise);
	check_body(&server, size);
	snprintf(headers, sizeof(headers),
	    length ? ":status: 200\ncontent-length: %zu" : ":status: 200", size);
	tape_send(&server, headers, false);
	send_pieces(&server, size, piece);
	carry(&server, &t, bytewise);
	check_body(&t, size);
	assert_int_equal(server.done, 1);
	assert_true(t.codec->reusable);
	assert_null(server.broken);
	tape_fini(&server);
}

static void
bodies_survive_the_way_there_and_back(void **state)
{
	static const size_t sizes[][2] = {
	    {1, 1}, {100, 7}, {4096, 4096}, {70000, 16000}, {200000, 65000}};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (int how = 0; how < 4; how++)
			go_round(sizes[i][0], sizes[i][1], how & 1, how & 2);
	}
}

static void
trailers_survive_the_way(void **state)
{
	struct tape server;
	struct headers trailers;

	tape_server(&server);
	server.config.h1.enable_trailers = t.config.h1.enable_trailers = true;
	tape_request(&t, POST, false);
	tape_send_data(&t, "abc", false);
	tape_headers(&t, &trailers, "x-sum: 1\ncontent-length: 5\nbad: \x01\n");
	codec_send_trailers(t.stream, &trailers);
	tape_turn(&t);
	carry(&t, &server, false);
	assert_string_equal(tape_text(&server),
	    "headers :method=POST :path=/ :authority=a :scheme=http\ndata abc\n"
	    "trailers x-sum=1 end\ndone\n");
	tape_fini(&server);
}

/* A body that stays in the kernel: only its length is known here. */
static void
feed_piped(size_t n)
{
	static char zeros[10000];
	struct chunk *c = chunk_piped();

	assert_int_equal(write(c->pipe->wr, zeros, n), n);
	chunk_filled(c, n);
	buf_add_slice(&t.in, c, 0, (uint32_t)n);
	chunk_unref(&c);
	codec_feed(t.codec, &t.in);
}

static void
a_body_that_nobody_saw_is_counted(void **state)
{
	for (int i = 0; i < 2; i++) {
		tape_request(&t, GET, true);
		t.stream->unseen = true;
		feed("HTTP/1.1 200 OK\r\nContent-Length: 25000\r\n\r\nabcde");
		assert_int_equal(t.codec->unseen, 24995);
		feed_piped(10000);
		assert_int_equal(t.codec->unseen, 14995);
		feed("xyz");
		feed_piped(10000);
		assert_int_equal(t.codec->unseen, 4992);
		feed_piped(4992);
		assert_int_equal(t.codec->unseen, 0);
		assert_int_equal(t.codec->streams, 0);
		assert_true(t.codec->reusable);
		assert_non_null(strstr(tape_text(&t), "done\n"));
	}
	assert_null(t.broken);
}

static void
only_a_known_length_may_stay_unseen(void **state)
{
	static const char *const heads[] = {
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
	    "HTTP/1.1 200 OK\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		stop(NULL);
		start(NULL);
		tape_request(&t, GET, true);
		t.stream->unseen = true;
		feed(heads[i]);
		assert_int_equal(t.codec->unseen, 0);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
	    T(requests_are_written_in_origin_form),
	    T(a_whole_url_is_written_when_asked_for),
	    T(what_cannot_be_written_is_not_written),
	    T(responses_end_where_their_framing_says),
	    T(endless_1xx_are_cut),
	    T(headers_outlive_the_next_response_and_the_connection),
	    T(data_on_an_idle_connection_ends_it),
	    T(a_body_that_nobody_saw_is_counted),
	    T(only_a_known_length_may_stay_unseen),
	    T(an_early_response_waits_for_the_request),
	    T(a_stream_that_never_began_leaves_the_connection_alone),
	    T(a_tunnel_is_asked_for_and_granted),
	    T(a_tunnel_that_is_refused_is_an_ordinary_answer),
	    T(a_paused_response_waits_in_the_owners_buffer),
	    T(a_connection_that_ended_during_a_pause_is_not_used_again),
	    T(closing_the_connection_resets_what_is_open),
	    T(bodies_survive_the_way_there_and_back),
	    T(trailers_survive_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
