/*
 * Whole connections: requests and answers, keep-alive, pipelining,
 * timeouts, draining, and HTTP/2 by its preface.
 */
#include "tests/unit/worker/world.h"
#include "worker/hcm/hcm_private.h"

/* ---- one request, one answer */

struct exchange {
	const char *name, *yaml, *request;
	const char *has[4], *not ;
	bool ends;
};

static const struct exchange exchanges[] = {
    {"an ordinary request", "", "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
	{"HTTP/1.1 200 OK\r\n", "server: envoy\r\n", "content-length: 6\r\n", "\r\n\r\nhello\n"},
	"connection: close", false},
    {"the date is there", "", "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
	{"date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"}, "transfer-encoding", false},
    {"HEAD has lengths and no body", "", "HEAD /hello HTTP/1.1\r\nhost: a\r\n\r\n",
	{"200 OK", "content-length: 6"}, "\r\n\r\nhello", false},
    {"another server name", "          server_name: me\n", "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
	{"server: me\r\n"}, "envoy", false},
    {"via is added", "          via: v1\n", "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
	{"via: v1\r\n"}, NULL, false},
    {"the request id is shown when asked for",
	"          always_set_request_id_in_response: true\n",
	"GET /hello HTTP/1.1\r\nhost: a\r\nx-request-id: abc\r\n\r\n", {"x-request-id: abc\r\n"},
	NULL, false},
    {"the client says it closes", "", "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
	{"200 OK", "connection: close\r\n"}, NULL, true},
    {"a broken header line", "", "GET /hello HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n",
	{"400 Bad Request", "connection: close", "\r\n\r\nBad Request"}, "hello", true},
    {"another transfer coding", "",
	"POST /hello HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
	{"501 Not Implemented", "connection: close"}, "hello", true},
    {"HTTP/1.0 is not accepted", "", "GET /hello HTTP/1.0\r\nhost: a\r\n\r\n",
	{"426 Upgrade Required", "connection: close"}, "hello", true},
    {"HTTP/1.0 when it is accepted", "          http_protocol_options: { accept_http_10: true }\n",
	"GET /hello HTTP/1.0\r\nhost: a\r\n\r\n", {"200 OK", "connection: close", "hello"}, NULL,
	true},
    {"no such route", "", "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n",
	{"404 Not Found", "content-length: 0\r\n"}, "connection: close", false},
    {"an upgrade that nobody allows", "",
	"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
	{"403 Forbidden"}, "hello", true},
    {"an expectation is met", "",
	"POST /hello HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 0\r\n\r\n",
	{"HTTP/1.1 100 Continue\r\n\r\n", "200 OK"}, NULL, false},
    {"an answer before the body came ends the connection", "",
	"POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc",
	{"200 OK", "connection: close", "hello"}, NULL, true},
    {"a gRPC client gets its status in the headers", "          normalize_path: true\n",
	"POST /%00 HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
	"content-length: 0\r\n\r\n",
	{"200 OK", "grpc-status: 13\r\n", "content-type: application/grpc\r\n"}, NULL, false},
    {"the path is normalised", "          normalize_path: true\n",
	"GET /x/../hello HTTP/1.1\r\nhost: a\r\n\r\n", {"200 OK", "hello"}, NULL, false},
    {"slashes are merged", "          merge_slashes: true\n",
	"GET //hello HTTP/1.1\r\nhost: a\r\n\r\n", {"200 OK", "hello"}, NULL, false},
    {"an escaped slash is refused", "          path_with_escaped_slashes_action: REJECT_REQUEST\n",
	"GET /a%2fb HTTP/1.1\r\nhost: a\r\n\r\n", {"400 Bad Request"}, NULL, false},
    {"an escaped slash is redirected",
	"          path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT\n",
	"GET /a%2fb?c=%2f HTTP/1.1\r\nhost: a\r\n\r\n",
	{"307 Temporary Redirect", "location: /a/b?c=%2f\r\n"}, NULL, false},
    {"a health check is answered", yaml_health, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n",
	{"200 OK", "x-envoy-upstream-healthchecked-cluster: edge\r\n", "content-length: 0"}, NULL,
	false},
};

static void
requests_get_the_answer_that_envoy_gives(void **state)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		const struct exchange *x = &exchanges[i];
		struct world w;

		start(&w, x->yaml);
		dial(&w);
		say(&w, x->request);
		for (size_t k = 0; k < 4 && x->has[k]; k++)
			if (!has(&w, x->has[k]))
				fail_msg("%s: no '%s' in\n%s", x->name, x->has[k], strb_z(&w.got));
		if (x->not &&has(&w, x->not ))
			fail_msg("%s: '%s' in\n%s", x->name, x->not, strb_z(&w.got));
		if (w.ended != x->ends)
			fail_msg("%s: the connection %s", x->name, w.ended ? "ended" : "is open");
		finish(&w);
	}
}

/* ---- one connection, many requests */

static void
a_kept_connection_carries_one_request_after_another(void **state)
{
	struct world w;
	uint64_t total, cx, done;

	start(&w, "");
	total = stats(&w)->downstream_rq_total.raw;
	cx = stats(&w)->downstream_cx_total.raw;
	done = stats(&w)->downstream_rq_2xx.raw;
	dial(&w);
	for (unsigned i = 0; i < 5; i++)
		say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_int_equal(count(&w, "200 OK"), 5);
	assert_counted(&w, downstream_rq_total, total, 5);
	assert_counted(&w, downstream_cx_total, cx, 1);
	assert_counted(&w, downstream_rq_2xx, done, 5);
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_rq_active.raw), 0);
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_cx_active.raw), 1);
	finish(&w);
}

static unsigned
count_codecs(const struct world *w)
{
	unsigned n = 0;

	list_for_each(at, (struct list *)&w->hcm.conns)
		n += list_entry(at, struct hcm_conn, node)->codec != NULL;
	return n;
}

static void
only_those_that_were_idle_last_keep_a_codec(void **state)
{
	static const char hello[] = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
	int clients[WARM_CONNS + 10];
	struct world w;

	start(&w, "");
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
		w.client = -1;
		dial(&w);
		say(&w, hello);
		assert_int_equal(count(&w, "200 OK"), 1);
		clients[i] = w.client;
	}
	assert_int_equal(count_codecs(&w), WARM_CONNS);
	w.client = clients[0]; /* it was given back, the answer is the same */
	say(&w, hello);
	assert_int_equal(count(&w, "200 OK"), 2);
	assert_int_equal(count_codecs(&w), WARM_CONNS);
	w.client = -1;
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++)
		close(clients[i]);
	turn(&w);
	finish(&w);
}

static void
pipelined_requests_are_answered_in_order(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\nGET /none HTTP/1.1\r\nhost: a\r\n\r\n"
		"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	receive(&w);
	assert_int_equal(count(&w, "HTTP/1.1 "), 3);
	assert_int_equal(count(&w, "200 OK"), 2);
	assert_true(strstr(strb_z(&w.got), "200 OK") < strstr(strb_z(&w.got), "404 Not Found"));
	assert_false(w.ended);
	finish(&w);
}

static void
a_client_that_ends_its_half_still_gets_its_answers(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	assert_int_equal(write(w.client, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n", 32), 32);
	assert_int_equal(write(w.client, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n", 32), 32);
	shutdown(w.client, SHUT_WR);
	receive(&w);
	receive(&w);
	assert_int_equal(count(&w, "200 OK"), 2);
	assert_true(w.ended);
	finish(&w);
}

static void
a_head_may_come_in_single_bytes(void **state)
{
	static const char text[] = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
	struct world w;

	start(&w, "");
	dial(&w);
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		say_n(&w, text + i, 1);
	assert_true(has(&w, "200 OK"));
	finish(&w);
}

static void
a_head_above_the_limit_is_answered_431(void **state)
{
	struct world w;
	char *big = mem_alloc(3000);

	memset(big, 'x', 2000);
	start(&w, "          max_request_headers_kb: 1\n");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\nx: ");
	say(&w, big);
	assert_true(has(&w, "431 Request Header Fields Too Large"));
	assert_true(w.ended);
	mem_free(big);
	finish(&w);
}

static void
a_connection_carries_no_more_requests_than_allowed(void **state)
{
	struct world w;

	start(&w, "          common_http_protocol_options: { max_requests_per_connection: 2 }\n");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_false(has(&w, "connection: close"));
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_true(has(&w, "connection: close"));
	assert_true(w.ended);
	finish(&w);
}

static void
numbers_of_a_connection_come_back_to_zero(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\nGET /hel");
	hang_up(&w);
	turn(&w);
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_cx_active.raw), 0);
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_cx_http1_active.raw), 0);
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_rq_active.raw), 0);
	assert_int_equal(stat_gauge_value(w.place.stats->downstream_cx_active.raw), 0);
	assert_int_equal(stat_gauge_value(w.place.worker_stats->downstream_cx_active.raw), 0);
	assert_int_equal(w.hcm.h1, 0);
	finish(&w);
}

/* ---- time */

static void
slow_headers_are_answered_408(void **state)
{
	struct world w;

	start(&w, "          request_headers_timeout: 2s\n");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost");
	later(&w, 1900);
	assert_int_equal(w.got.n, 0);
	later(&w, 200);
	assert_true(has(&w, "408 Request Timeout"));
	assert_true(has(&w, "request header timeout"));
	assert_true(w.ended);
	finish(&w);
}

static void
a_request_that_stands_still_is_answered_408(void **state)
{
	struct world w;

	start(&w, "          stream_idle_timeout: 3s\n");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost");
	later(&w, 3100);
	assert_true(has(&w, "408 Request Timeout"));
	assert_true(has(&w, "stream timeout"));
	finish(&w);
}

static void
an_idle_connection_is_closed_and_a_used_one_is_not(void **state)
{
	struct world w;

	start(&w, "          common_http_protocol_options: { idle_timeout: 10s }\n");
	dial(&w);
	later(&w, 9000);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	later(&w, 9000);
	assert_false(w.ended);
	later(&w, 1100);
	assert_true(w.ended);
	finish(&w);
}

static void
a_connection_ends_at_its_longest_duration(void **state)
{
	struct world w;

	start(&w, "          common_http_protocol_options: { max_connection_duration: 10s }\n");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	later(&w, 9900);
	assert_false(w.ended);
	later(&w, 200);
	assert_true(w.ended);
	finish(&w);
}

/* ---- going */

static void
a_draining_worker_says_so_on_the_next_response(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	drain_start(&w.drain, w.now_ns, 600, true);
	hcm_tell_all(&w.hcm);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_int_equal(count(&w, "connection: close"), 1);
	assert_true(w.ended);
	finish(&w);
}

static void
an_idle_connection_is_closed_at_the_end_of_the_window(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	drain_start(&w.drain, w.now_ns, 20, false);
	hcm_tell_all(&w.hcm);
	later(&w, 19000);
	assert_false(w.ended);
	later(&w, 1100);
	assert_true(w.ended);
	finish(&w);
}

static void
failed_health_is_told_once_and_leaves_other_listeners_alone(void **state)
{
	for (int modify_only = 0; modify_only < 2; modify_only++) {
		struct world w;

		start(&w, yaml_health);
		w.place.modify_only = modify_only;
		dial(&w);
		shm_set_health_failed(true);
		assert_true(drain_look(&w.drain, shm_flags()));
		hcm_tell_all(&w.hcm);
		later(&w, 11000);
		say(&w, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
		assert_true(has(&w, "503 Service Unavailable"));
		assert_int_equal(w.ended, !modify_only);
		dial(&w);
		say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
		assert_true(has(&w, "x-envoy-immediate-health-check-fail: true"));
		finish(&w);
	}
}

/* ---- HTTP/2 by its preface */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
/* HEADERS, end of stream and headers, stream 1: indexed GET, http; literal :path, :authority */
static const char request[] = "\0\0\x0d\1\5\0\0\0\1\x82\x86\x44\6/hello\x41\1a";

/* The last id of the nth GOAWAY received, 0 when there are fewer. */
static uint32_t
goaway(const struct world *w, unsigned nth)
{
	for (size_t at = 0; at + 9 <= w->got.n;) {
		const unsigned char *f = (const unsigned char *)w->got.p + at;
		size_t len = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];

		if (f[3] == 7 && nth-- == 1)
			return (uint32_t)f[9] << 24 | (uint32_t)f[10] << 16 | (uint32_t)f[11] << 8 |
			       f[12];
		at += 9 + len;
	}
	return 0;
}

static void
http2_is_told_twice_and_closed_when_its_streams_are_done(void **state)
{
	struct world w;

	start(&w, "          drain_timeout: 5s\n");
	dial(&w);
	say_n(&w, preface, sizeof(preface) - 1);
	drain_start(&w.drain, w.now_ns, 20, false);
	hcm_tell_all(&w.hcm);
	later(&w, 5001); /* a quarter of the window */
	assert_int_equal(goaway(&w, 1), 0x7fffffff);
	assert_false(w.ended);
	say_n(&w, request, sizeof(request) - 1);
	assert_memory_equal(w.got.p + w.got.n - 6, "hello\n", 6);
	assert_int_equal(goaway(&w, 2), 0);
	later(&w, 5001);
	assert_int_equal(goaway(&w, 2), 1);
	assert_true(w.ended);
	finish(&w);
}

static void
an_idle_http2_connection_is_told_before_it_is_closed(void **state)
{
	struct world w;

	start(&w, "          common_http_protocol_options: { idle_timeout: 10s }\n");
	dial(&w);
	say_n(&w, preface, sizeof(preface) - 1);
	later(&w, 10001);
	assert_int_equal(goaway(&w, 1), 0x7fffffff);
	assert_false(w.ended);
	later(&w, 5001);
	assert_true(w.ended);
	finish(&w);
}

static void
the_preface_chooses_http2(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	for (size_t i = 0; i < sizeof(preface) - 1; i++)
		say_n(&w, preface + i, 1);
	assert_true(w.got.n >= 9);
	assert_int_equal(w.got.p[3], 4); /* SETTINGS */
	assert_int_equal(w.hcm.h2, 1);
	strb_reset(&w.got);
	say_n(&w, request, sizeof(request) - 1);
	assert_true(w.got.n > 9);
	assert_memory_equal(w.got.p + w.got.n - 6, "hello\n", 6);
	assert_int_equal(stats(&w)->downstream_rq_http2_total.raw, 1);
	finish(&w);
}

static void
what_only_resembles_the_preface_is_http1(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "PRI * HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_true(has(&w, "HTTP/1.1 4"));
	finish(&w);
}

/* ---- another configuration of the same listener */

static void
reconfigure(struct world *w, const char *more)
{
	snapshot_unref(&w->snapshot);
	load(w, more);
	snapshot_unref(&w->place.snapshot);
	w->place.snapshot = snapshot_ref(w->snapshot);
	w->place.config = w->listener->hcm;
	hcm_adopt(&w->hcm);
}

static void
an_idle_connection_adopts_a_new_configuration(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_true(has(&w, "server: envoy\r\n"));
	reconfigure(&w, "          server_name: me\n"
			"          max_request_headers_kb: 1\n"
			"          common_http_protocol_options: { idle_timeout: 5s }\n");
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_true(has(&w, "server: me\r\n"));
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_cx_active.raw), 1);
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_cx_http1_active.raw), 1);
	later(&w, 4000);
	assert_false(w.ended);
	later(&w, 2000); /* the new idle timeout */
	assert_true(w.ended);
	hang_up(&w);
	turn(&w);
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_cx_active.raw), 0);
	finish(&w);
}

static void
limits_of_the_next_request_are_the_new_ones(void **state)
{
	struct world w;
	char filler[2048];

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	reconfigure(&w, "          max_request_headers_kb: 1\n");
	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\nfiller: ");
	say(&w, filler);
	say(&w, "\r\n\r\n");
	assert_true(has(&w, "431 Request Header Fields Too Large"));
	finish(&w);
}

static void
a_request_that_has_begun_keeps_its_configuration(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\n");
	reconfigure(&w, "          server_name: me\n");
	say(&w, "host: a\r\n\r\n");
	assert_true(has(&w, "server: envoy\r\n"));
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_true(has(&w, "server: me\r\n"));
	assert_false(w.ended);
	finish(&w);
}

/* GET //hello on this stream of an HTTP/2 connection. */
static void
say_http2(struct world *w, char stream)
{
	char frame[] = {0, 0, 14, 1, 5, 0, 0, 0, stream, '\x82', '\x86', 4, 7, '/', '/', 'h', 'e',
	    'l', 'l', 'o', 1, 1, 'a'};

	say_n(w, frame, sizeof(frame));
}

static void
an_http2_connection_serves_its_next_stream_under_the_new_configuration(void **state)
{
	static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	say_n(&w, settings, sizeof(settings));
	say_http2(&w, 1);
	assert_null(memmem(w.got.p, w.got.n, "hello\n", 6));
	reconfigure(&w, "          merge_slashes: true\n");
	assert_int_equal(stat_gauge_value(stats(&w)->downstream_cx_http2_active.raw), 1);
	say_http2(&w, 3);
	assert_non_null(memmem(w.got.p, w.got.n, "hello\n", 6));
	assert_false(w.ended);
	finish(&w);
}

static void
connections_of_a_removed_listener_end_with_the_window(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	w.place.config = NULL;
	hcm_leave_place(&w.hcm, &w.place);
	later(&w, 599 * 1000);
	assert_false(w.ended);
	later(&w, 2 * 1000);
	assert_true(w.ended);
	finish(&w);
}

static void
a_listener_that_comes_back_keeps_its_connections(void **state)
{
	struct world w;

	start(&w, "");
	dial(&w);
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	w.place.config = NULL;
	hcm_leave_place(&w.hcm, &w.place);
	later(&w, 200 * 1000); /* its moment to be told has passed */
	w.place.came_back = true;
	w.place.end_ns = 0;
	reconfigure(&w, "");
	say(&w, "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n");
	assert_false(has(&w, "connection: close"));
	later(&w, 500 * 1000);
	assert_false(w.ended);
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_get_the_answer_that_envoy_gives),
	    cmocka_unit_test(a_kept_connection_carries_one_request_after_another),
	    cmocka_unit_test(only_those_that_were_idle_last_keep_a_codec),
	    cmocka_unit_test(pipelined_requests_are_answered_in_order),
	    cmocka_unit_test(a_client_that_ends_its_half_still_gets_its_answers),
	    cmocka_unit_test(a_head_may_come_in_single_bytes),
	    cmocka_unit_test(a_head_above_the_limit_is_answered_431),
	    cmocka_unit_test(a_connection_carries_no_more_requests_than_allowed),
	    cmocka_unit_test(numbers_of_a_connection_come_back_to_zero),
	    cmocka_unit_test(an_idle_connection_adopts_a_new_configuration),
	    cmocka_unit_test(limits_of_the_next_request_are_the_new_ones),
	    cmocka_unit_test(a_request_that_has_begun_keeps_its_configuration),
	    cmocka_unit_test(
		an_http2_connection_serves_its_next_stream_under_the_new_configuration),
	    cmocka_unit_test(connections_of_a_removed_listener_end_with_the_window),
	    cmocka_unit_test(a_listener_that_comes_back_keeps_its_connections),
	    cmocka_unit_test(slow_headers_are_answered_408),
	    cmocka_unit_test(a_request_that_stands_still_is_answered_408),
	    cmocka_unit_test(an_idle_connection_is_closed_and_a_used_one_is_not),
	    cmocka_unit_test(a_connection_ends_at_its_longest_duration),
	    cmocka_unit_test(a_draining_worker_says_so_on_the_next_response),
	    cmocka_unit_test(an_idle_connection_is_closed_at_the_end_of_the_window),
	    cmocka_unit_test(failed_health_is_told_once_and_leaves_other_listeners_alone),
	    cmocka_unit_test(http2_is_told_twice_and_closed_when_its_streams_are_done),
	    cmocka_unit_test(an_idle_http2_connection_is_told_before_it_is_closed),
	    cmocka_unit_test(the_preface_chooses_http2),
	    cmocka_unit_test(what_only_resembles_the_preface_is_http1),
	};

	rand_seed(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
