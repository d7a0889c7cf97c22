/* Connection pools against a host on 127.0.0.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/rand.h"
#include "lib/upstream/pool.h"
#include "shm/histogram.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"
#include "tests/unit/lib/upstream/origin.h"

#define VALUE(counter) ((unsigned)(counter).raw)
#define GAUGE(g) ((int)stat_gauge_value((g).raw))

struct scene {
	struct loop *l;
	struct origin o;
	struct cluster *c;
};

/* One request as the router would make it. */
struct attempt {
	struct pool_request ask;
	struct arena arena;
	struct codec_stream *s;
	struct pool_conn *pc;
	bool keep_open; /* headers only: the request is not complete */
	bool ready, reused, done, failed;
	unsigned status;
	int reset; /* -1: none */
	enum pool_failure why;
	char text[128];
	uint64_t conn_id;
};

/* ---- attempts */

static void
on_headers(void *arg, struct headers *h, bool end)
{
	((struct attempt *)arg)->status = headers_status(h);
}

static void
on_data(void *arg, struct buf *data, bool end)
{
	buf_drain(data, data->len);
}

static void
on_trailers(void *arg, struct headers *t)
{
}

static void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct attempt *a = arg;

	a->reset = (int)why;
	a->s = NULL;
	pool_release(a->pc, why == RESET_CONNECTION_CLOSED);
}

static void
on_stream_done(void *arg)
{
	struct attempt *a = arg;

	a->done = true;
	a->s = NULL;
	pool_release(a->pc, false);
}

static void
on_block(void *arg)
{
}

static const struct stream_events stream_events = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_blocked = on_block,
    .on_unblocked = on_block,
    .on_done = on_stream_done,
};

static void
on_ready(void *arg, struct codec_stream *s, struct pool_conn *pc)
{
	struct attempt *a = arg;
	struct headers h;

	a->ready = true;
	a->reused = pool_conn_reused(pc);
	a->s = s;
	a->pc = pc;
	a->conn_id = pool_conn_id(pc);
	s->events = &stream_events;
	s->arg = a;
	s->arena = &a->arena;
	headers_init(&h, &a->arena);
	headers_add_id(&h, HDR_METHOD, a->keep_open ? STR("POST") : STR("GET"));
	headers_add_id(&h, HDR_PATH, STR("/"));
	headers_add_id(&h, HDR_AUTHORITY, STR("test"));
	headers_add_id(&h, HDR_SCHEME, STR("http"));
	codec_send_headers(s, &h, !a->keep_open);
}

static void
on_failure(void *arg, enum pool_failure why, const char *transport)
{
	struct attempt *a = arg;

	a->failed = true;
	a->why = why;
	snprintf(a->text, sizeof(a->text), "%s", transport);
}

static const struct pool_events events = {.on_ready = on_ready, .on_failure = on_failure};

static void
ask(struct scene *sc, struct attempt *a, bool fresh)
{
	*a = (struct attempt){.reset = -1};
	arena_init(&a->arena);
	pool_ask(&a->ask, sc->c, sc->c->hosts[0], false, fresh, &events, a);
}

static void
forget(struct attempt *a, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		arena_fini(&a[i].arena);
}

/* ---- scenes */

#define H2                                                                                         \
	"typed_extension_protocol_options:\n"                                                      \
	"  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"                              \
	"    '@type': "                                                                            \
	"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"             \
	"    explicit_http_config: {http2_protocol_options: {}}\n"

static void
build_cluster(struct scene *sc, const char *fields, uint16_t port)
{
	struct strb text = {0};

	strb_printf(&text,
	    "%sload_assignment:\n"
	    "  cluster_name: api\n"
	    "  endpoints:\n"
	    "  - lb_endpoints:\n"
	    "    - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %u}}}\n",
	    fields, port);
	sc->c = cluster_from_yaml(sc->l, strb_z(&text));
	strb_fini(&text);
}

static void
open_scene(struct scene *sc, bool http2, const char *fields)
{
	lane_private();
	memset(sc, 0, sizeof(*sc));
	sc->l = loop_new();
	origin_open(&sc->o, sc->l, http2);
	build_cluster(sc, fields, sc->o.port);
}

/* Everything that was counted up is counted down again. */
static void
close_scene(struct scene *sc)
{
	struct cluster_stats *s = sc->c->stats;
	struct host_stats *h = sc->c->hosts[0]->stats;

	cluster_end(sc->l, &sc->c);
	for (int i = 0; i < 5 && GAUGE(s->upstream_cx_active); i++)
		loop_turn(sc->l, true);
	assert_int_equal(GAUGE(s->upstream_cx_active), 0);
	assert_int_equal(GAUGE(s->upstream_rq_active), 0);
	assert_int_equal(GAUGE(s->upstream_rq_pending_active), 0);
	assert_int_equal(GAUGE(s->upstream_cx_rx_bytes_buffered), 0);
	assert_int_equal(GAUGE(s->upstream_cx_tx_bytes_buffered), 0);
	assert_int_equal(GAUGE(h->cx_active), 0);
	assert_int_equal(GAUGE(h->rq_active), 0);
	assert_int_equal(VALUE(s->upstream_cx_total), VALUE(s->upstream_cx_destroy));
	origin_close(&sc->o);
	loop_free(&sc->l);
}

/* ---- HTTP/1 */

static void
the_most_recently_used_connection_is_taken_first(void **state)
{
	struct scene sc;
	struct attempt a[3], again[3];
	uint64_t last;

	open_scene(&sc, false, "");
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, a[0].done && a[1].done && a[2].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(a[i].status, 200);
	last = a[1].conn_id; /* whichever: use one more, then it is the most recent */
	ask(&sc, &again[0], false);
	UNTIL(sc.l, again[0].done);
	last = again[0].conn_id;
	for (int i = 1; i < 3; i++) {
		ask(&sc, &again[i], false);
		assert_true(again[i].ready); /* at once */
		UNTIL(sc.l, again[i].done);
		assert_int_equal(again[i].conn_id, last);
		assert_true(again[i].reused);
	}
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 3);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_http1_total), 3);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_total), 6);
	assert_int_equal(VALUE(sc.c->hosts[0]->stats->rq_total), 6);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_pending_total), 3);
	assert_true(VALUE(sc.c->stats->upstream_cx_rx_bytes_total) > 0);
	assert_true(VALUE(sc.c->stats->upstream_cx_tx_bytes_total) > 0);
	close_scene(&sc);
	forget(a, 3);
	forget(again, 3);
}

static void
a_fresh_connection_is_made_when_asked_for(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, false, "");
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done);
	ask(&sc, &a[1], true);
	assert_false(a[1].ready);
	UNTIL(sc.l, a[1].done);
	assert_false(a[1].reused);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	close_scene(&sc);
	forget(a, 2);
}

static void
one_connection_carries_one_request_and_the_rest_wait_in_order(void **state)
{
	struct scene sc;
	struct attempt a[3];

	open_scene(&sc, false,
	    "circuit_breakers:\n"
	    "  thresholds:\n"
	    "  - max_connections: 1\n");
	sc.o.hold = true;
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	assert_true(a[0].ready && !a[1].ready && !a[2].ready);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_overflow), 2);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_cx_open), 1);
	assert_int_equal(GAUGE(sc.c->stats->upstream_rq_pending_active), 2);
	origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, sc.o.streams_n == 2 && sc.o.streams[1]->complete);
	assert_true(a[1].ready && !a[2].ready);
	sc.o.hold = false;
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[2].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 1);
	close_scene(&sc);
	forget(a, 3);
}

static void
a_host_may_have_a_limit_of_its_own(void **state)
{
	struct scene sc;
	struct attempt a[3];

	open_scene(&sc, false,
	    "circuit_breakers:\n"
	    "  per_host_thresholds:\n"
	    "  - {priority: HIGH, max_connections: 1}\n"
	    "  - max_connections: 2\n");
	sc.o.hold = true;
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, sc.o.streams_n == 2 && sc.o.streams[1]->complete);
	assert_true(a[0].ready && a[1].ready && !a[2].ready);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_overflow), 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_cx_open), 0);
	sc.o.hold = false;
	origin_answer(sc.o.streams[0]);
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[2].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	close_scene(&sc);
	forget(a, 3);
}

static void
too_many_waiting_requests_overflow(void **state)
{
	struct scene sc;
	struct attempt a[3];

	open_scene(&sc, false,
	    "circuit_breakers:\n"
	    "  thresholds:\n"
	    "  - max_connections: 1\n"
	    "    max_pending_requests: 1\n");
	sc.o.hold = true;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].ready);
	ask(&sc, &a[1], false);
	ask(&sc, &a[2], false);
	assert_true(a[2].failed);
	assert_int_equal(a[2].why, POOL_OVERFLOW);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_pending_overflow), 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_rq_pending_open), 1);
	pool_cancel(&a[1].ask);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_cancelled), 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_rq_pending_open), 0);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, a[0].done);
	close_scene(&sc);
	forget(a, 3);
}

static void
too_many_active_requests_overflow(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, true,
	    H2 "circuit_breakers:\n"
	       "  thresholds:\n"
	       "  - max_requests: 1\n"
	       "    track_remaining: true\n");
	sc.o.hold = true;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, sc.o.streams_n == 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_rq_open), 1);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_remaining_rq), -1);
	ask(&sc, &a[1], false);
	assert_true(a[1].failed && a[1].why == POOL_OVERFLOW);
	origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, a[0].done);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_rq_open), 0);
	assert_int_equal(GAUGE(sc.c->stats->circuit_breakers_default_remaining_rq), 0);
	close_scene(&sc);
	forget(a, 2);
}

static void
a_refused_connection_fails_all_that_wait(void **state)
{
	struct scene sc;
	struct attempt a[3];
	uint64_t opened;

	open_scene(&sc, false, "");
	origin_refuse(&sc.o);
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	opened = VALUE(sc.c->stats->upstream_cx_total);
	UNTIL(sc.l, a[0].failed && a[1].failed && a[2].failed);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(a[i].why, POOL_CONNECT_FAILED);
		assert_string_equal(a[i].text, "delayed connect error: Connection refused");
	}
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), opened);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_connect_fail), opened);
	assert_int_equal(VALUE(sc.c->hosts[0]->stats->cx_connect_fail), opened);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_pending_failure_eject), 3);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_total), 0);
	close_scene(&sc);
	forget(a, 3);
}

/* A backlog of one that is full: the kernel drops our SYN. */
static void
a_host_that_does_not_answer_the_connect_times_out(void **state)
{
	struct scene sc;
	struct attempt a;
	struct address to;
	struct err err;
	int fillers[8];
	bool pending;

	open_scene(&sc, false, "connect_timeout: 0.05s\n");
	io_del(&sc.o.io);
	listen(sc.o.fd, 0);
	address_local(&to, sc.o.fd);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
		fillers[i] = socket_connect(&to, NULL, &pending, &err);
	ask(&sc, &a, false);
	UNTIL(sc.l, a.failed);
	assert_int_equal(a.why, POOL_CONNECT_TIMEOUT);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_connect_timeout), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_connect_fail), 1);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
		close(fillers[i]);
	close_scene(&sc);
	forget(&a, 1);
}

static void
an_idle_connection_is_closed_after_its_timeout(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "common_http_protocol_options: {idle_timeout: 0.02s}\n");
	ask(&sc, &a, false);
	UNTIL(sc.l, a.done);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_idle_timeout), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_local), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_with_active_rq), 0);
	close_scene(&sc);
	forget(&a, 1);
}

static void
a_busy_connection_is_not_idle(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, false, "common_http_protocol_options: {idle_timeout: 0.02s}\n");
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done);
	sc.o.hold = true;
	ask(&sc, &a[1], false);
	for (uint64_t from = loop_now_ms(sc.l); loop_now_ms(sc.l) < from + 60;)
		loop_turn(sc.l, false);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_idle_timeout), 0);
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[1].done);
	close_scene(&sc);
	forget(a, 2);
}

static void
a_connection_serves_no_more_requests_than_allowed(void **state)
{
	struct scene sc;
	struct attempt a[4];

	open_scene(&sc, false, "max_requests_per_connection: 2\n");
	for (int i = 0; i < 4; i++) {
		ask(&sc, &a[i], false);
		UNTIL(sc.l, a[i].done);
	}
	assert_int_equal(a[0].conn_id, a[1].conn_id);
	assert_int_equal(a[2].conn_id, a[3].conn_id);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_max_requests), 2);
	close_scene(&sc);
	forget(a, 4);
}

static void
a_connection_that_is_too_old_ends_after_its_request(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "common_http_protocol_options: {max_connection_duration: 0.02s}\n");
	sc.o.hold = true;
	ask(&sc, &a, false);
	UNTIL(sc.l, VALUE(sc.c->stats->upstream_cx_max_duration_reached) == 1);
	assert_int_equal(GAUGE(sc.c->stats->upstream_cx_active), 1);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, a.done);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	close_scene(&sc);
	forget(&a, 1);
}

static void
connection_close_in_a_response_is_obeyed(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "");
	sc.o.say_close = true;
	ask(&sc, &a, false);
	UNTIL(sc.l, a.done);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(a.status, 200);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_close_notify), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_protocol_error), 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_with_active_rq), 0);
	close_scene(&sc);
	forget(&a, 1);
}

static void
bytes_on_an_idle_connection_close_it(void **state)
{
	struct scene sc;
	struct attempt a;
	struct buf junk;

	open_scene(&sc, false, "");
	ask(&sc, &a, false);
	UNTIL(sc.l, a.done);
	buf_init(&junk);
	buf_addz(&junk, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	conn_write(&sc.o.conns[0]->conn, &junk);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_protocol_error), 1);
	buf_fini(&junk);
	close_scene(&sc);
	forget(&a, 1);
}

static void
the_host_closing_an_idle_connection_is_noticed(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, false, "");
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done);
	conn_close(&sc.o.conns[0]->conn, CLOSE_FLUSH, 100);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_remote), 1);
	ask(&sc, &a[1], false);
	UNTIL(sc.l, a[1].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	close_scene(&sc);
	forget(a, 2);
}

/* More than those that keep their codec while they rest: nobody can tell them from the others. */
static void
many_connections_at_rest_are_as_good_as_one(void **state)
{
	enum { MANY = 70 };
	struct scene sc;
	struct attempt a[MANY], again[MANY];
	unsigned done = 0;

	open_scene(&sc, false, "");
	for (unsigned i = 0; i < MANY; i++)
		ask(&sc, &a[i], false);
	for (unsigned i = 0; i < MANY; i++)
		UNTIL(sc.l, a[i].done);
	for (unsigned i = 0; i < MANY; i++)
		ask(&sc, &again[i], false);
	for (unsigned i = 0; i < MANY; i++) {
		UNTIL(sc.l, again[i].done);
		assert_true(again[i].reused);
		done += again[i].status == 200;
	}
	assert_int_equal(done, MANY);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), MANY);
	for (unsigned i = 0; i < MANY / 2; i++) {
		struct buf junk;

		buf_init(&junk);
		buf_addz(&junk, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
		conn_write(&sc.o.conns[i]->conn, &junk);
		buf_fini(&junk);
	}
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == MANY / 2);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_protocol_error), MANY / 2);
	for (unsigned i = MANY / 2; i < MANY; i++)
		conn_close(&sc.o.conns[i]->conn, CLOSE_FLUSH, 100);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_remote), MANY / 2);
	close_scene(&sc);
	forget(a, MANY);
	forget(again, MANY);
}

static void
a_connection_that_dies_under_a_request_resets_it(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "");
	sc.o.hold = true;
	ask(&sc, &a, false);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	conn_close(&sc.o.conns[0]->conn, CLOSE_NOW, 0);
	UNTIL(sc.l, a.reset >= 0);
	assert_int_equal(a.reset, RESET_CONNECTION_CLOSED);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_with_active_rq), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_remote_with_active_rq), 1);
	close_scene(&sc);
	forget(&a, 1);
}

static void
resetting_a_request_costs_its_http1_connection(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, false, "");
	sc.o.hold = true;
	ask(&sc, &a, false);
	UNTIL(sc.l, sc.o.streams_n == 1);
	pool_reset(a.pc, a.s);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_tx_reset), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_destroy_local_with_active_rq), 1);
	close_scene(&sc);
	forget(&a, 1);
}

static void
a_host_that_failed_keeps_no_idle_connection(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, false, "");
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done);
	sc.o.hold = true;
	ask(&sc, &a[1], false);
	pool_drain(sc.c->hosts[0]->pool[0]);
	UNTIL(sc.l, sc.o.streams_n == 2 && sc.o.streams[1]->complete);
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[1].done); /* what was under way is finished */
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	close_scene(&sc);
	forget(a, 2);
}

/* ---- HTTP/2 */

static void
http2_carries_many_requests_on_one_connection(void **state)
{
	struct scene sc;
	struct attempt a[8];

	open_scene(&sc, true, H2);
	sc.o.hold = true;
	for (int i = 0; i < 8; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, sc.o.streams_n == 8);
	assert_int_equal(sc.o.conns_n, 1);
	for (int i = 7; i >= 0; i--)
		origin_answer(sc.o.streams[i]);
	for (int i = 0; i < 8; i++)
		UNTIL(sc.l, a[i].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_http2_total), 1);
	assert_int_equal(VALUE(sc.c->stats->upstream_rq_total), 8);
	close_scene(&sc);
	forget(a, 8);
}

static void
http2_keeps_to_the_streams_the_host_allows(void **state)
{
	struct scene sc;
	struct attempt a[5];

	open_scene(&sc, true, H2);
	sc.o.config.h2.max_concurrent_streams = 2;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, a[0].done); /* SETTINGS came before the answer */
	sc.o.hold = true;
	for (int i = 1; i < 5; i++)
		ask(&sc, &a[i], false);
	assert_true(a[1].ready && a[2].ready && !a[3].ready && !a[4].ready);
	UNTIL(sc.l, a[3].ready && a[4].ready && sc.o.streams_n == 5);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 2);
	for (int i = 1; i < 5; i++)
		origin_answer(sc.o.streams[i]);
	for (int i = 1; i < 5; i++)
		UNTIL(sc.l, a[i].done);
	close_scene(&sc);
	forget(a, 5);
}

static void
goaway_lets_streams_finish_and_takes_no_more(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, true, H2);
	sc.o.hold = true;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, sc.o.streams_n == 1 && sc.o.streams[0]->complete);
	codec_goaway(sc.o.conns[0]->codec, true);
	UNTIL(sc.l, VALUE(sc.c->stats->upstream_cx_close_notify) == 1);
	ask(&sc, &a[1], false);
	UNTIL(sc.l, sc.o.streams_n == 2);
	assert_int_equal(sc.o.conns_n, 2);
	origin_answer(sc.o.streams[0]);
	origin_answer(sc.o.streams[1]);
	UNTIL(sc.l, a[0].done && a[1].done);
	assert_int_equal(a[0].status, 200);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 1);
	close_scene(&sc);
	forget(a, 2);
}

static void
resetting_a_request_leaves_its_http2_connection(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, true, H2);
	sc.o.hold = true;
	ask(&sc, &a[0], false);
	UNTIL(sc.l, sc.o.streams_n == 1);
	pool_reset(a[0].pc, a[0].s);
	UNTIL(sc.l, sc.o.streams[0]->reset);
	sc.o.hold = false;
	ask(&sc, &a[1], false);
	UNTIL(sc.l, a[1].done);
	assert_int_equal(a[0].conn_id, a[1].conn_id);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 1);
	close_scene(&sc);
	forget(a, 2);
}

/* The host allows one stream, and we learn of it when three were begun. */
static void
requests_beyond_the_hosts_limit_can_be_given_up(void **state)
{
	struct scene sc;
	struct attempt a[4];

	open_scene(&sc, true, H2);
	sc.o.config.h2.max_concurrent_streams = 1;
	sc.o.hold = true;
	for (int i = 0; i < 3; i++)
		ask(&sc, &a[i], false);
	UNTIL(sc.l, sc.o.streams_n >= 1 && sc.o.streams[0]->complete);
	for (int i = 0; i < 20; i++)
		loop_turn(sc.l, false);
	for (int i = 1; i < 3; i++) {
		if (a[i].s)
			pool_reset(a[i].pc, a[i].s);
		loop_turn(sc.l, false);
		arena_fini(&a[i].arena);
	}
	sc.o.hold = false;
	if (sc.o.streams[0]->s)
		origin_answer(sc.o.streams[0]);
	UNTIL(sc.l, a[0].done);
	ask(&sc, &a[3], false);
	UNTIL(sc.l, a[3].done);
	assert_int_equal(a[3].status, 200);
	close_scene(&sc);
	forget(a, 1);
	forget(&a[3], 1);
}

static void
a_connection_nobody_waits_for_any_more_is_ready_for_the_next(void **state)
{
	struct scene sc;
	struct attempt a[2];

	open_scene(&sc, true, H2);
	ask(&sc, &a[0], false);
	pool_cancel(&a[0].ask);
	UNTIL(sc.l, VALUE(sc.c->stats->upstream_cx_tx_bytes_total) > 0);
	ask(&sc, &a[1], false);
	assert_true(a[1].ready);
	UNTIL(sc.l, a[1].done);
	assert_int_equal(VALUE(sc.c->stats->upstream_cx_total), 1);
	close_scene(&sc);
	forget(a, 2);
}

static void
a_host_that_answers_no_ping_is_dropped(void **state)
{
	struct scene sc;
	struct attempt a;

	open_scene(&sc, true,
	    "typed_extension_protocol_options:\n"
	    "  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
	    "    '@type': "
	    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
	    "    explicit_http_config:\n"
	    "      http2_protocol_options:\n"
	    "        connection_keepalive: {interval: 0.02s, timeout: 0.02s}\n");
	ask(&sc, &a, false);
	UNTIL(sc.l, a.done);
	UNTIL(sc.l, sc.o.conns_n == 1);
	conn_pause(&sc.o.conns[0]->conn);
	UNTIL(sc.l, VALUE(sc.c->codec.h2_stats->keepalive_timeout) == 1);
	conn_resume(&sc.o.conns[0]->conn);
	UNTIL(sc.l, GAUGE(sc.c->stats->upstream_cx_active) == 0);
	close_scene(&sc);
	forget(&a, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_most_recently_used_connection_is_taken_first),
	    cmocka_unit_test(a_fresh_connection_is_made_when_asked_for),
	    cmocka_unit_test(one_connection_carries_one_request_and_the_rest_wait_in_order),
	    cmocka_unit_test(a_host_may_have_a_limit_of_its_own),
	    cmocka_unit_test(too_many_waiting_requests_overflow),
	    cmocka_unit_test(too_many_active_requests_overflow),
	    cmocka_unit_test(a_refused_connection_fails_all_that_wait),
	    cmocka_unit_test(a_host_that_does_not_answer_the_connect_times_out),
	    cmocka_unit_test(an_idle_connection_is_closed_after_its_timeout),
	    cmocka_unit_test(a_busy_connection_is_not_idle),
	    cmocka_unit_test(a_connection_serves_no_more_requests_than_allowed),
	    cmocka_unit_test(a_connection_that_is_too_old_ends_after_its_request),
	    cmocka_unit_test(connection_close_in_a_response_is_obeyed),
	    cmocka_unit_test(bytes_on_an_idle_connection_close_it),
	    cmocka_unit_test(the_host_closing_an_idle_connection_is_noticed),
	    cmocka_unit_test(many_connections_at_rest_are_as_good_as_one),
	    cmocka_unit_test(a_connection_that_dies_under_a_request_resets_it),
	    cmocka_unit_test(resetting_a_request_costs_its_http1_connection),
	    cmocka_unit_test(a_host_that_failed_keeps_no_idle_connection),
	    cmocka_unit_test(http2_carries_many_requests_on_one_connection),
	    cmocka_unit_test(http2_keeps_to_the_streams_the_host_allows),
	    cmocka_unit_test(goaway_lets_streams_finish_and_takes_no_more),
	    cmocka_unit_test(resetting_a_request_leaves_its_http2_connection),
	    cmocka_unit_test(requests_beyond_the_hosts_limit_can_be_given_up),
	    cmocka_unit_test(a_connection_nobody_waits_for_any_more_is_ready_for_the_next),
	    cmocka_unit_test(a_host_that_answers_no_ping_is_dropped),
	};

	rand_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
