/* Upgraded connections: who may, bytes both ways, halves that end apart; and slow readers. */
#include "tests/unit/worker/world.h"

#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream.h"

static const char yaml_websocket[] = "          upgrade_configs: [{ upgrade_type: websocket }]\n";
static const char ask[] =
    "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\n";

static struct {
	struct http_stream *s;
	unsigned status;
	struct strb got;
	bool got_end, done;
	unsigned blocked, unblocked;
} up;

static void *
up_start(struct http_stream *s, const void *config)
{
	up.s = s;
	return s;
}

static enum filter_verdict
up_headers(void *self, struct headers *h, bool end)
{
	struct headers *r = stream_new_headers(up.s);

	headers_set_status(r, up.status);
	if (up.status == 101) {
		headers_add_id(r, HDR_CONNECTION, STR("upgrade"));
		headers_add_id(r, HDR_UPGRADE, STR("websocket"));
	}
	stream_respond_headers(up.s, r, false);
	return FILTER_STOP;
}

static enum filter_verdict
up_data(void *self, struct buf *data, bool end)
{
	char *text = buf_dupz(data);

	strb_addz(&up.got, text);
	mem_free(text);
	buf_drain(data, data->len);
	up.got_end |= end;
	return FILTER_STOP;
}

static void
up_blocked(void *self, bool blocked)
{
	up.blocked += blocked;
	up.unblocked += !blocked;
}

static void
up_done(void *self)
{
	up.done = true;
}

static const struct http_filter upstream = {
    .name = "upstream",
    .terminal = true,
    .start = up_start,
    .on_request_headers = up_headers,
    .on_request_data = up_data,
    .on_downstream_blocked = up_blocked,
    .on_done = up_done,
};

static void
begin(struct world *w, const char *yaml, unsigned status)
{
	start(w, yaml);
	w->listener->hcm->filters[0].filter = &upstream;
	strb_fini(&up.got);
	memset(&up, 0, sizeof(up));
	up.status = status;
	dial(w);
}

static void
answer(struct world *w, const char *text, bool end)
{
	struct buf b;

	buf_init(&b);
	buf_addz(&b, text);
	stream_respond_data(up.s, &b, end);
	buf_fini(&b);
	receive(w);
}

static void
bytes_go_both_ways_after_101(void **state)
{
	struct world w;

	begin(&w, yaml_websocket, 101);
	say(&w, ask);
	assert_true(has(&w, "HTTP/1.1 101 Switching Protocols\r\n"));
	assert_true(has(&w, "upgrade: websocket\r\n"));
	assert_true(has(&w, "connection: upgrade\r\n"));
	assert_int_equal(w.hcm.upgraded, 1);
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_cx_upgrades_active.raw), 1);
	say(&w, "ping");
	assert_string_equal(strb_z(&up.got), "ping");
	answer(&w, "pong", false);
	assert_true(has(&w, "pong"));
	finish(&w);
	assert_true(up.done);
	assert_int_equal(stat_gauge_value(w.place.stats->downstream_cx_active.raw), 0);
}

static void
bytes_sent_before_101_wait_for_it(void **state)
{
	struct world w;
	char text[256];

	begin(&w, yaml_websocket, 101);
	snprintf(text, sizeof(text), "%searly", ask);
	say(&w, text);
	receive(&w);
	assert_string_equal(strb_z(&up.got), "early");
	finish(&w);
}

static void
the_clients_half_ends_first(void **state)
{
	struct world w;

	begin(&w, yaml_websocket, 101);
	say(&w, ask);
	assert_int_equal(write(w.client, "bye", 3), 3);
	shutdown(w.client, SHUT_WR);
	receive(&w);
	assert_string_equal(strb_z(&up.got), "bye");
	assert_true(up.got_end);
	assert_false(w.ended);
	answer(&w, "last words", true);
	assert_true(has(&w, "last words"));
	assert_true(w.ended);
	assert_int_equal(w.hcm.held, 0);
	assert_int_equal(w.hcm.upgraded, 0);
	finish(&w);
}

static void
the_upstreams_half_ends_first(void **state)
{
	struct world w;

	begin(&w, yaml_websocket, 101);
	say(&w, ask);
	answer(&w, "that was all", true);
	assert_true(has(&w, "that was all"));
	assert_true(w.ended); /* FIN of that half */
	assert_false(up.done);
	say(&w, "more");
	assert_string_equal(strb_z(&up.got), "more");
	shutdown(w.client, SHUT_WR);
	receive(&w);
	assert_true(up.done);
	assert_int_equal(w.hcm.held, 0);
	finish(&w);
}

static void
an_ordinary_answer_to_an_upgrade_passes(void **state)
{
	struct world w;

	begin(&w, yaml_websocket, 404);
	say(&w, ask);
	answer(&w, "no", true);
	assert_true(has(&w, "HTTP/1.1 404 Not Found"));
	assert_true(has(&w, "no"));
	assert_int_equal(w.hcm.upgraded, 0);
	finish(&w);
}

static void
a_101_nobody_asked_for_is_an_upstream_error(void **state)
{
	struct world w;

	begin(&w, "", 101);
	say(&w, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_true(has(&w, "502 Bad Gateway"));
	assert_true(has(&w, "reset reason: protocol error"));
	finish(&w);
}

static void
a_slow_reader_slows_the_upstream(void **state)
{
	struct world w;
	char *big = mem_alloc(50001);

	memset(big, 'x', 50000);
	begin(&w, "", 200);
	say(&w, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
	for (int i = 0; i < 200 && up.blocked == 0; i++) {
		struct buf b;

		buf_init(&b);
		buf_add(&b, big, 50000);
		stream_respond_data(up.s, &b, false);
		buf_fini(&b);
		loop_turn(w.loop, false);
	}
	assert_int_equal(up.blocked, 1);
	assert_int_equal(up.unblocked, 0);
	for (int i = 0; i < 200 && up.unblocked == 0; i++)
		receive(&w);
	assert_int_equal(up.unblocked, 1);
	mem_free(big);
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_go_both_ways_after_101),
	    cmocka_unit_test(bytes_sent_before_101_wait_for_it),
	    cmocka_unit_test(the_clients_half_ends_first),
	    cmocka_unit_test(the_upstreams_half_ends_first),
	    cmocka_unit_test(an_ordinary_answer_to_an_upgrade_passes),
	    cmocka_unit_test(a_101_nobody_asked_for_is_an_upstream_error),
	    cmocka_unit_test(a_slow_reader_slows_the_upstream),
	};
	int bad;

	rand_seed(1);
	bad = cmocka_run_group_tests(tests, NULL, NULL);
	strb_fini(&up.got);
	return bad;
}
