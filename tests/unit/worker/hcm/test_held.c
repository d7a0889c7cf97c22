/* What a draining worker holds by kind, how it tells of it, and what a deadline cuts. */
#include "tests/unit/worker/world.h"

#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream.h"

static const char yaml_websocket[] = "          upgrade_configs: [{ upgrade_type: websocket }]\n";

/* An upgrade is granted, anything else is never answered. */
static void *
slow_start(struct http_stream *s, const void *config)
{
	return s;
}

static enum filter_verdict
slow_headers(void *self, struct headers *h, bool end)
{
	struct http_stream *s = self;
	struct headers *r;

	if (end)
		return FILTER_STOP;
	r = stream_new_headers(s);
	headers_set_status(r, 101);
	headers_add_id(r, HDR_CONNECTION, STR("upgrade"));
	headers_add_id(r, HDR_UPGRADE, STR("websocket"));
	stream_respond_headers(s, r, false);
	return FILTER_STOP;
}

static const struct http_filter upstream = {
    .name = "upstream",
    .terminal = true,
    .start = slow_start,
    .on_request_headers = slow_headers,
};

enum { IDLE, SILENT, BUSY, TUNNEL, IDLE_H2, CLIENTS };

struct held_world {
	struct world w;
	int client[CLIENTS];
};

static void
open_client(struct held_world *h, int which, const char *bytes, size_t n)
{
	h->w.client = -1; /* the last one stays */
	dial(&h->w);
	h->client[which] = h->w.client;
	say_n(&h->w, bytes, n);
}

/* One of each. */
static void
begin(struct held_world *h)
{
	static const char busy[] = "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
	static const char chat[] =
	    "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\n";
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

	start(&h->w, yaml_websocket);
	h->w.listener->hcm->filters[0].filter = &upstream;
	open_client(h, IDLE, "\r\n", 2); /* an empty line is HTTP/1, and no request */
	open_client(h, SILENT, "", 0);
	open_client(h, BUSY, busy, sizeof(busy) - 1);
	open_client(h, TUNNEL, chat, sizeof(chat) - 1);
	open_client(h, IDLE_H2, preface, 33);
}

static void
end(struct held_world *h)
{
	h->w.client = -1;
	for (int i = 0; i < CLIENTS; i++)
		if (h->client[i] >= 0)
			close(h->client[i]);
	finish(&h->w);
}

static void
assert_held(const struct held_world *h, uint32_t h1, uint32_t h2, uint32_t websocket)
{
	uint32_t held[DRAIN_KINDS];

	hcm_count_held(&h->w.hcm, held);
	assert_int_equal(held[DRAIN_H1], h1);
	assert_int_equal(held[DRAIN_H2], h2);
	assert_int_equal(held[DRAIN_WEBSOCKET], websocket);
	assert_int_equal(held[DRAIN_TCP], 0);
}

static bool
is_open(const struct held_world *h, int which)
{
	char c[256];
	ssize_t n;

	while ((n = read(h->client[which], c, sizeof(c))) > 0)
		;
	return n < 0 && errno == EAGAIN;
}

static void
each_kind_is_counted(void **state)
{
	struct held_world h;

	begin(&h);
	assert_held(&h, 3, 1, 1);
	close(h.client[IDLE]);
	close(h.client[IDLE_H2]);
	h.client[IDLE] = h.client[IDLE_H2] = -1;
	turn(&h.w);
	assert_held(&h, 2, 0, 1);
	end(&h);
}

static void
the_oldest_are_named_with_the_reason_why_they_stay(void **state)
{
	struct held_world h;
	struct strb b = {0};

	begin(&h);
	set_time(&h.w, 7000);
	turn(&h.w);
	hcm_list_held(&h.w.hcm, 4, &b);
	assert_string_equal(strb_z(&b),
	    "h1\t10.1.2.3:4567\t7\tidle\n"
	    "h1\t10.1.2.3:4567\t7\tnothing was asked yet\n"
	    "h1\t10.1.2.3:4567\t7\ta request is under way for 7 s\n"
	    "websocket\t10.1.2.3:4567\t7\tupgraded for 7 s\n");
	strb_fini(&b);
	end(&h);
}

static void
only_what_is_late_is_cut(void **state)
{
	struct drain_order o = {.seconds = 600, .deadline_s = {1000, 20, 10, 1000}};
	uint64_t cut = baton_stats_of("baton.")->cx_cut_at_deadline.raw;
	struct held_world h;

	begin(&h);
	drain_obey(&h.w.drain, h.w.now_ns, &o);
	hcm_cut_late(&h.w.hcm);
	assert_held(&h, 3, 1, 1);
	set_time(&h.w, 10000);
	loop_turn(h.w.loop, false);
	hcm_cut_late(&h.w.hcm);
	assert_held(&h, 3, 1, 0);
	assert_false(is_open(&h, TUNNEL));
	assert_true(is_open(&h, BUSY));
	assert_int_equal(baton_stats_of("baton.")->cx_cut_at_deadline.raw - cut, 1);
	drain_order_until(&o, 0);
	drain_hurry(&h.w.drain, h.w.now_ns, &o);
	hcm_cut_late(&h.w.hcm);
	assert_held(&h, 0, 0, 0);
	assert_false(is_open(&h, BUSY));
	assert_false(is_open(&h, IDLE_H2));
	assert_int_equal(baton_stats_of("baton.")->cx_cut_at_deadline.raw - cut, 5);
	end(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_kind_is_counted),
	    cmocka_unit_test(the_oldest_are_named_with_the_reason_why_they_stay),
	    cmocka_unit_test(only_what_is_late_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
