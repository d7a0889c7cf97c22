#include "worker/router/upstream_request.h"

#include "worker/router/router_private.h"

STATE_TABLE(upstream, UPSTREAM_STATES)

static inline void
enter(struct upstream_request *u, enum upstream_state next)
{
	STATE_CHECK(upstream, u->state, next);
	log_trace(LOG_ROUTER, "upstream request: %s -> %s", upstream_state_names[u->state],
	    upstream_state_names[next]);
	u->state = next;
}

/* The codec has forgotten the stream. */
static void
let_go(struct upstream_request *u, bool lost)
{
	struct pool_conn *pc = u->conn;

	enter(u, UPSTREAM_OVER);
	u->conn = NULL;
	u->stream = NULL;
	flush_cancel(&u->finish);
	router_stop_try_timers(u);
	pool_release(pc, lost);
}

static void
reset(struct upstream_request *u)
{
	struct pool_conn *pc = u->conn;
	struct codec_stream *s = u->stream;

	enter(u, UPSTREAM_OVER);
	u->conn = NULL;
	u->stream = NULL;
	pool_reset(pc, s);
}

/* ---- what the stream tells */

static void
on_info(void *arg, struct headers *h)
{
	struct upstream_request *u = arg;

	u->informed = true;
	router_on_info(u->router, u, h);
}

static void
on_headers(void *arg, struct headers *h, bool end)
{
	struct upstream_request *u = arg;

	enter(u, UPSTREAM_ANSWERED);
	if (end)
		enter(u, UPSTREAM_COMPLETE);
	u->in_event = true;
	router_on_response(u->router, u, h, end);
	u->in_event = false;
}

static void
on_data(void *arg, struct buf *data, bool end)
{
	struct upstream_request *u = arg;

	if (end)
		enter(u, UPSTREAM_COMPLETE);
	u->in_event = true;
	router_on_response_data(u->router, u, data, end);
	u->in_event = false;
}

static void
on_trailers(void *arg, struct headers *t)
{
	struct upstream_request *u = arg;

	enter(u, UPSTREAM_COMPLETE);
	u->in_event = true;
	router_on_response_trailers(u->router, t);
	u->in_event = false;
}

static void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct upstream_request *u = arg;

	u->was_stale = why == RESET_CONNECTION_CLOSED && u->state == UPSTREAM_SENDING &&
		       !u->informed && pool_conn_reused(u->conn) && pool_conn_silent(u->conn);
	u->was_written = pool_conn_all_written(u->conn);
	let_go(u, why == RESET_CONNECTION_CLOSED);
	if (!u->left)
		router_on_reset(u->router, u, why);
}

static void
on_blocked(void *arg)
{
	struct upstream_request *u = arg;

	if (!u->left && u == u->router->attempt)
		router_on_upstream_blocked(u->router, true);
}

static void
on_unblocked(void *arg)
{
	struct upstream_request *u = arg;

	if (!u->left && u == u->router->attempt)
		router_on_upstream_blocked(u->router, false);
}

static void
on_done(void *arg)
{
	let_go(arg, false);
}

static const struct stream_events stream_events = {
    .on_headers = on_headers,
    .on_info = on_info,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_blocked = on_blocked,
    .on_unblocked = on_unblocked,
    .on_done = on_done,
};

/* ---- what the pool tells */

static void
on_ready(void *arg, struct codec_stream *s, struct pool_conn *pc)
{
	struct upstream_request *u = arg;

	s->events = &stream_events;
	s->arg = u;
	s->arena = &u->router->stream->arena;
	u->stream = s;
	u->conn = pc;
	u->was_sent = true;
	enter(u, UPSTREAM_SENDING);
	router_on_connected(u->router, u);
}

static void
on_failure(void *arg, enum pool_failure why, const char *transport)
{
	struct upstream_request *u = arg;

	enter(u, UPSTREAM_OVER);
	router_on_pool_failure(u->router, u, why, transport);
}

static const struct pool_events pool_events = {
    .on_ready = on_ready,
    .on_failure = on_failure,
};

/* ---- what the router asks */

/* The codec had its turn to finish and did not: bytes of the request are held up for good. */
static void
on_finish(void *arg)
{
	reset(arg);
}

void
upstream_request_start(
    struct upstream_request *u, struct router *r, struct host *h, bool high_priority, bool fresh)
{
	enter(u, UPSTREAM_WAITING);
	u->router = r;
	u->host = host_ref(h); /* it may be removed from the cluster meanwhile */
	u->finish.fn = on_finish;
	u->finish.arg = u;
	pool_ask(&u->ask, r->cluster, h, high_priority, fresh, &pool_events, u);
}

void
upstream_request_cancel(struct upstream_request *u)
{
	if (u->left)
		return;
	u->left = true;
	router_stop_try_timers(u);
	switch (u->state) {
	case UPSTREAM_WAITING:
		pool_cancel(&u->ask);
		enter(u, UPSTREAM_OVER);
		break;
	case UPSTREAM_COMPLETE:
		/* Nothing is missing: the codec says so as soon as its event returns. */
		if (u->in_event && u->router->request_ended)
			loop_flush(u->router->stream->loop, &u->finish);
		else
			reset(u);
		break;
	case UPSTREAM_SENDING:
	case UPSTREAM_ANSWERED:
		reset(u);
		break;
	case UPSTREAM_NONE:
	case UPSTREAM_OVER:
		break;
	}
}

void
upstream_request_pause(struct upstream_request *u, bool paused)
{
	struct cluster_stats *s = u->router->cluster->stats;

	if (!upstream_request_is_open(u))
		return;
	stat_inc(paused ? &s->upstream_flow_control_paused_reading_total
			: &s->upstream_flow_control_resumed_reading_total);
	pool_conn_pause(u->conn, u->stream, paused);
}
