/*
 * A connection pool against a host on 127.0.0.1, and requests as the
 * router would make them; at the end everything that was counted up has
 * been counted down again.
 */
#ifndef TESTS_UPSTREAM_POOL_SCENE_H
#define TESTS_UPSTREAM_POOL_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/rand.h"
#include "lib/upstream/pool.h"
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

static inline void
on_headers(void *arg, struct headers *h, bool end)
{
	((struct attempt *)arg)->status = headers_status(h);
}

static inline void
on_data(void *arg, struct buf *data, bool end)
{
	buf_drain(data, data->len);
}

static inline void
on_trailers(void *arg, struct headers *t)
{
}

static inline void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct attempt *a = arg;

	a->reset = (int)why;
	a->s = NULL;
	pool_release(a->pc, why == RESET_CONNECTION_CLOSED);
}

static inline void
on_stream_done(void *arg)
{
	struct attempt *a = arg;

	a->done = true;
	a->s = NULL;
	pool_release(a->pc, false);
}

static inline void
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

static inline void
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

static inline void
on_failure(void *arg, enum pool_failure why, const char *transport)
{
	struct attempt *a = arg;

	a->failed = true;
	a->why = why;
	snprintf(a->text, sizeof(a->text), "%s", transport);
}

static const struct pool_events events = {.on_ready = on_ready, .on_failure = on_failure};

static inline void
ask(struct scene *sc, struct attempt *a, bool fresh)
{
	*a = (struct attempt){.reset = -1};
	arena_init(&a->arena);
	pool_ask(&a->ask, sc->c, sc->c->hosts[0], false, fresh, &events, a);
}

static inline void
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

static inline void
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

static inline void
open_scene(struct scene *sc, bool http2, const char *fields)
{
	lane_private();
	memset(sc, 0, sizeof(*sc));
	sc->l = loop_new();
	origin_open(&sc->o, sc->l, http2);
	build_cluster(sc, fields, sc->o.port);
}

/* Everything that was counted up is counted down again. */
static inline void
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

#endif
