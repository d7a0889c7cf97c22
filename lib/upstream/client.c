#include "lib/upstream/client.h"

#include <stdio.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/state.h"
#include "lib/event/loop.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/pool.h"

/*
 * FILLING   the owner writes headers
 * WAITING   in the pool
 * SENDING   a stream is ours
 * OVER      nothing of ours is open; on_end is told from the loop
 */
#define CLIENT_STATES(STATE)                                                                       \
	STATE(CLIENT_FILLING, "filling", TO(CLIENT_WAITING) | TO(CLIENT_OVER))                     \
	STATE(CLIENT_WAITING, "waiting", TO(CLIENT_SENDING) | TO(CLIENT_OVER))                     \
	STATE(CLIENT_SENDING, "sending", TO(CLIENT_OVER))                                          \
	STATE(CLIENT_OVER, "over", 0)
enum client_state { CLIENT_STATES(STATE_ENUM) };
STATE_TABLE(client, CLIENT_STATES)

struct client {
	enum client_state state;
	struct cluster *cluster; /* a reference */
	struct arena arena;      /* headers of both directions */
	struct headers headers;
	struct buf body;         /* what was sent before there was a connection */
	bool request_ended;
	const struct client_events *events; /* NULL: nobody listens any more */
	void *arg;
	struct pool_request ask;
	struct pool_conn *conn;      /* SENDING */
	struct codec_stream *stream; /* SENDING */
	enum client_end why;
	char text[160];
};

static void
enter(struct client *c, enum client_state next)
{
	STATE_CHECK(client, c->state, next);
	log_trace(LOG_CLIENT, "request of our own: %s -> %s", client_state_names[c->state],
	    client_state_names[next]);
	c->state = next;
}

static void
destroy(void *arg)
{
	struct client *c = arg;

	if (c->events)
		c->events->on_end(c->arg, c->why, c->text);
	buf_fini(&c->body);
	cluster_unref(&c->cluster);
	arena_fini(&c->arena);
	mem_free(c);
}

/* The one door out. */
static void
over(struct client *c, enum client_end why, const char *text)
{
	enter(c, CLIENT_OVER);
	c->why = why;
	snprintf(c->text, sizeof(c->text), "%s", text ? text : "");
	loop_defer(c->cluster->loop, destroy, c);
}

/* ---- the stream */

/* The codec has forgotten it. */
static void
let_go(struct client *c, bool lost)
{
	struct pool_conn *pc = c->conn;

	c->conn = NULL;
	c->stream = NULL;
	pool_release(pc, lost);
}

static void
reset(struct client *c)
{
	struct pool_conn *pc = c->conn;
	struct codec_stream *s = c->stream;

	c->conn = NULL;
	c->stream = NULL;
	pool_reset(pc, s);
}

/* The response is complete.  If our own half is open still, nobody will read it. */
static void
complete(struct client *c)
{
	if (c->request_ended)
		return; /* on_done follows */
	reset(c);
	over(c, CLIENT_COMPLETE, "");
}

static void
on_headers(void *arg, struct headers *h, bool end)
{
	struct client *c = arg;

	if (c->events)
		c->events->on_headers(c->arg, h, end);
	if (end && c->state == CLIENT_SENDING)
		complete(c);
}

static void
on_info(void *arg, struct headers *h)
{
}

static void
on_data(void *arg, struct buf *data, bool end)
{
	struct client *c = arg;

	if (c->events)
		c->events->on_data(c->arg, data, end);
	if (end && c->state == CLIENT_SENDING)
		complete(c);
}

static void
on_trailers(void *arg, struct headers *t)
{
	struct client *c = arg;

	if (c->events)
		c->events->on_trailers(c->arg, t);
	if (c->state == CLIENT_SENDING)
		complete(c);
}

static void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	static const char *const names[] = {
	    [RESET_LOCAL] = "reset here",
	    [RESET_LOCAL_REFUSED] = "refused here",
	    [RESET_REMOTE] = "reset by the other side",
	    [RESET_REMOTE_REFUSED] = "refused by the other side",
	    [RESET_CONNECTION_CLOSED] = "connection closed",
	    [RESET_PROTOCOL_ERROR] = "protocol error",
	    [RESET_OVERFLOW] = "too much of it",
	};
	struct client *c = arg;

	let_go(c, why == RESET_CONNECTION_CLOSED);
	over(c, CLIENT_RESET, details && details[0] ? details : names[why]);
}

static void
on_blocked(void *arg)
{
}

static void
on_done(void *arg)
{
	struct client *c = arg;

	let_go(c, false);
	over(c, CLIENT_COMPLETE, "");
}

static const struct stream_events stream_events = {
    .on_headers = on_headers,
    .on_info = on_info,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_blocked = on_blocked,
    .on_unblocked = on_blocked,
    .on_done = on_done,
};

/* ---- the pool */

static void
on_ready(void *arg, struct codec_stream *s, struct pool_conn *pc)
{
	struct client *c = arg;
	bool bodyless = c->request_ended && buf_empty(&c->body);

	enter(c, CLIENT_SENDING);
	c->stream = s;
	c->conn = pc;
	s->events = &stream_events;
	s->arg = c;
	s->arena = &c->arena;
	codec_send_headers(s, &c->headers, bodyless);
	if (!buf_empty(&c->body))
		codec_send_data(s, &c->body, c->request_ended);
	if (c->events && c->events->on_sent)
		c->events->on_sent(c->arg);
}

static void
on_failure(void *arg, enum pool_failure why, const char *transport)
{
	static const char *const names[] = {
	    [POOL_OVERFLOW] = "a circuit breaker is open",
	    [POOL_CONNECT_FAILED] = "connection failure",
	    [POOL_CONNECT_LOCAL] = "local connection failure",
	    [POOL_CONNECT_TIMEOUT] = "connection timeout",
	};

	over(arg, why == POOL_OVERFLOW ? CLIENT_OVERFLOW : CLIENT_NO_CONNECTION,
	    transport && transport[0] ? transport : names[why]);
}

static const struct pool_events pool_events = {
    .on_ready = on_ready,
    .on_failure = on_failure,
};

/* ---- what the owner calls */

struct client *
client_new(struct cluster *cluster, const struct client_events *events, void *arg)
{
	struct client *c = mem_new(struct client);

	c->cluster = cluster_ref(cluster);
	c->events = events;
	c->arg = arg;
	arena_init(&c->arena);
	headers_init(&c->headers, &c->arena);
	buf_init(&c->body);
	return c;
}

struct headers *
client_headers(struct client *c)
{
	return &c->headers;
}

/* From the loop, so that no event comes from inside client_start(). */
static void
ask(void *arg)
{
	struct client *c = arg;
	struct lb_context ctx = {0};
	struct host *h;

	if (c->events == NULL) {
		over(c, CLIENT_RESET, "");
		return;
	}
	h = cluster_pick(c->cluster, &ctx);
	if (h == NULL) {
		over(c, CLIENT_NO_HOST, "no host is available");
		return;
	}
	pool_ask(&c->ask, c->cluster, h, false, false, &pool_events, c);
}

void
client_start(struct client *c, bool end)
{
	enter(c, CLIENT_WAITING);
	c->request_ended = end;
	loop_defer(c->cluster->loop, ask, c);
}

void
client_send(struct client *c, struct buf *data, bool end)
{
	ASSERT(!c->request_ended);
	c->request_ended = end;
	if (c->state == CLIENT_SENDING)
		codec_send_data(c->stream, data, end);
	else
		buf_move(&c->body, data);
}

void
client_cancel(struct client **cp)
{
	struct client *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	c->events = NULL;
	if (c->state == CLIENT_FILLING) {
		over(c, CLIENT_RESET, "");
	} else if (c->state == CLIENT_SENDING) {
		reset(c);
		over(c, CLIENT_RESET, "");
	} else if (c->state == CLIENT_WAITING && c->ask.waiting) {
		pool_cancel(&c->ask);
		over(c, CLIENT_RESET, "");
	} /* else: `ask` or `destroy` is still to come and sees that nobody listens */
}
