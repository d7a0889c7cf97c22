/* Two HTTP/1 connections whose tunnels are joined: bytes go from one to the other by themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/lib/http/tape.h"

#define UPGRADE "connection: upgrade\nupgrade: websocket"

static struct tape down, up; /* the client's side of the proxy, and the host's */

static void
open_tunnel(void)
{
	static const char asked[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
				    "Upgrade: websocket\r\n\r\n";
	static const char granted[] = "HTTP/1.1 101 S\r\nConnection: Upgrade\r\n"
				      "Upgrade: websocket\r\n\r\n";

	tape_feed(&down, asked, strlen(asked));
	tape_request(&up, ":method: GET\n:path: /\n:authority: a\n" UPGRADE, false);
	tape_feed(&up, granted, strlen(granted));
	tape_send(&down, ":status: 101\n" UPGRADE, false);
	tape_turn(&down);
	tape_text(&down);
	tape_text(&up);
	tape_out(&down);
	tape_out(&up);
}

static int
start(void **state)
{
	tape_server(&down);
	tape_client(&up);
	down.answer = false;
	open_tunnel();
	return 0;
}

static int
stop(void **state)
{
	tape_fini(&down);
	tape_fini(&up);
	return 0;
}

static void
say(struct tape *t, const char *text)
{
	tape_feed(t, text, strlen(text));
	tape_turn(&down);
	tape_turn(&up);
}

static void
bytes_pass_and_are_counted_and_nobody_is_told(void **state)
{
	h1_join(down.stream, up.stream);
	say(&down, "ping");
	say(&up, "pong, pong");
	assert_string_equal(tape_out(&up), "ping");
	assert_string_equal(tape_out(&down), "pong, pong");
	assert_string_equal(tape_text(&down), "");
	assert_string_equal(tape_text(&up), "");
	assert_int_equal(down.stream->bytes_in, 4);
	assert_int_equal(up.stream->bytes_out, 4);
	assert_int_equal(up.stream->bytes_in, 10);
	assert_int_equal(down.stream->bytes_out, 10);
}

static void
what_was_sent_before_goes_first(void **state)
{
	up.hold_output = true;
	tape_send_data(&up, "first ", false);
	h1_join(down.stream, up.stream);
	say(&down, "second");
	up.hold_output = false;
	tape_turn(&up);
	assert_string_equal(tape_out(&up), "first second");
}

static void
watermarks_are_told_on_the_side_that_is_full(void **state)
{
	up.config.high_watermark = 8;
	up.hold_output = true;
	h1_join(down.stream, up.stream);
	say(&down, "12345678");
	assert_string_equal(tape_text(&up), "");
	say(&down, "9");
	assert_string_equal(tape_text(&up), "blocked\n");
	up.hold_output = false;
	tape_turn(&up);
	assert_string_equal(tape_out(&up), "123456789");
	assert_string_equal(tape_text(&up), "unblocked\n");
	assert_string_equal(tape_text(&down), "");
}

static void
a_pause_holds_the_bytes(void **state)
{
	h1_join(down.stream, up.stream);
	codec_pause(up.stream, true);
	say(&up, "later");
	assert_string_equal(tape_out(&down), "");
	assert_int_equal(up.in.len, 5);
	codec_pause(up.stream, false);
	tape_turn(&up);
	tape_turn(&down);
	assert_string_equal(tape_out(&down), "later");
}

static void
an_end_is_told_and_the_other_direction_goes_on(void **state)
{
	h1_join(down.stream, up.stream);
	say(&down, "last");
	tape_eof(&down);
	assert_string_equal(tape_text(&down), "end\n");
	tape_send_data(&up, "", true);
	assert_string_equal(tape_out(&up), "last");
	say(&up, "more");
	assert_string_equal(tape_out(&down), "more");
	tape_eof(&up);
	assert_string_equal(tape_text(&up), "end\ndone\n");
}

static void
what_comes_behind_our_end_is_dropped(void **state)
{
	h1_join(down.stream, up.stream);
	tape_send_data(&up, "bye", true);
	say(&down, "too late");
	assert_string_equal(tape_out(&up), "bye");
	assert_int_equal(up.stream->bytes_out, 3);
}

/* Whoever is forgotten leaves the other one as it was before. */
static void
who_is_left_alone_tells_its_owner(void **state)
{
	h1_join(down.stream, up.stream);
	codec_reset(up.stream, RESET_LOCAL);
	say(&down, "hello?");
	assert_string_equal(tape_text(&down), "data hello?\n");
	assert_string_equal(tape_out(&up), "");
}

static void
a_freed_connection_leaves_the_other(void **state)
{
	h1_join(down.stream, up.stream);
	codec_free(&down.codec);
	assert_string_equal(tape_text(&down), "reset 4 \n");
	tape_feed(&up, "hello?", 6);
	assert_string_equal(tape_text(&up), "data hello?\n");
}

static void
only_tunnels_are_joined(void **state)
{
	static const char plain[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
	struct tape t;

	tape_server(&t);
	t.answer = false;
	tape_feed(&t, plain, strlen(plain));
	h1_join(t.stream, up.stream);
	tape_text(&t);
	tape_feed(&t, "body", 4);
	assert_string_equal(tape_text(&t), "data body\n");
	say(&up, "data");
	assert_string_equal(tape_text(&up), "data data\n");
	tape_fini(&t);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
	    T(bytes_pass_and_are_counted_and_nobody_is_told),
	    T(what_was_sent_before_goes_first),
	    T(watermarks_are_told_on_the_side_that_is_full),
	    T(a_pause_holds_the_bytes),
	    T(an_end_is_told_and_the_other_direction_goes_on),
	    T(what_comes_behind_our_end_is_dropped),
	    T(who_is_left_alone_tells_its_owner),
	    T(a_freed_connection_leaves_the_other),
	    T(only_tunnels_are_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
