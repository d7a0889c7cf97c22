/*
 * One connection of a pool: from connect to its last byte.  It joins a
 * socket (lib/net/conn.h) to a codec, and decides when it has room, when
 * it is to go, and what is counted at its end.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/socket.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/pool_private.h"

STATE_TABLE(pool_conn, POOL_CONN_STATES)

#define WARM_CODECS 64 /* connections at rest that keep their codec, of all pools of the process */

static const struct codec_events codec_events;

static uint64_t last_id;

/* ---- state */

static inline void
enter(struct pool_conn *pc, enum pool_conn_state next)
{
	struct pool *p = pc->pool;

	STATE_CHECK(pool_conn, pc->state, next);
	log_trace(LOG_POOL, "connection %llu: %s -> %s", (unsigned long long)pc->id,
	    pool_conn_state_names[pc->state], pool_conn_state_names[next]);
	if (pc->state == POOL_CONN_CONNECTING)
		p->connecting--;
	pc->state = next;
	list_remove(&pc->node);
	if (next == POOL_CONN_READY)
		list_push_front(&p->ready, &pc->node);
	else if (next != POOL_CONN_CLOSED)
		list_push_back(&p->others, &pc->node);
}

bool
pool_conn_usable(const struct pool_conn *pc)
{
	return pc->state == POOL_CONN_READY && !pc->conn.closed &&
	       !(pc->codec && pc->codec->broken) && !pc->conn.eof && pc->left > 0 &&
	       pool_conn_has_room(pc);
}

/* ---- at rest
 *
 * An HTTP/1 connection that waits for its next request needs no codec.  Some
 * keep theirs.  If all did, the codecs of a thousand hosts would be in no
 * cache when their turn comes; those of h1_conn.c, used over and over, are.
 */

static unsigned warm_n;

static void
cool(struct pool_conn *pc)
{
	warm_n -= pc->warm;
	pc->warm = false;
}

static void
rouse(struct pool_conn *pc)
{
	cool(pc);
	if (pc->state == POOL_CONN_READY && pc->codec == NULL)
		pc->codec =
		    pc->pool->protocol->codec_new(&pc->pool->cluster->codec, &codec_events, pc);
}

static void
rest(struct pool_conn *pc)
{
	if (!pc->pool->protocol->rests || pc->state != POOL_CONN_READY || pc->streams ||
	    pc->output_wanted || pc->conn.closed || !buf_empty(&pc->conn.in) ||
	    !buf_empty(&pc->conn.out))
		return;
	if (warm_n == WARM_CODECS) {
		codec_free(&pc->codec);
		return;
	}
	pc->warm = true;
	warm_n++;
}

void
pool_conn_shut(struct pool_conn *pc)
{
	if (pc->state >= POOL_CONN_CLOSING)
		return;
	enter(pc, POOL_CONN_CLOSING);
	if (pc->codec && pc->output_wanted && pc->pool->protocol->how == CLOSE_FLUSH) {
		struct buf out;

		buf_init(&out);
		codec_output(pc->codec, &out);
		conn_write(&pc->conn, &out);
		buf_fini(&out);
	}
	pc->output_wanted = false;
	conn_close(&pc->conn, pc->pool->protocol->how, pc->pool->protocol->linger_ms);
}

void
pool_conn_drain(struct pool_conn *pc)
{
	if (pc->state == POOL_CONN_CONNECTING || pc->state >= POOL_CONN_DRAINING)
		return;
	if (pc->streams == 0) {
		pool_conn_shut(pc);
		return;
	}
	enter(pc, POOL_CONN_DRAINING);
}

/* Brings the state in line with what the codec and the attempts did; never inside a codec event. */
static void
settle(struct pool_conn *pc)
{
	struct pool *p = pc->pool;

	pc->unsettled = false;
	if (pc->state == POOL_CONN_CONNECTING || pc->state >= POOL_CONN_CLOSING || pc->conn.closed)
		return;
	rouse(pc);
	if (pc->codec->broken) {
		pool_conn_shut(pc);
		codec_free(&pc->codec); /* its streams end now, not when the socket does */
		return;
	}
	if (pc->state == POOL_CONN_DRAINING || pc->left == 0 || p->protocol->is_over(pc)) {
		if (pc->streams == 0)
			pool_conn_shut(pc);
		else if (pc->state != POOL_CONN_DRAINING)
			enter(pc, POOL_CONN_DRAINING);
		return;
	}
	if (pc->streams == 0 && pc->host->removed && p->pending_n == 0) {
		pool_conn_shut(pc); /* nobody will ask for it again */
		return;
	}
	if (pc->streams == 0) {
		pc->idle_since_ms = loop_now_ms(p->loop);
		conn_settle(&pc->conn);
		pool_watch_idle(p);
	}
	if (pool_conn_has_room(pc))
		enter(pc, POOL_CONN_READY);
	else if (pc->state != POOL_CONN_FULL)
		enter(pc, POOL_CONN_FULL);
	pool_serve(p);
	rest(pc);
}

void
pool_conn_unsettle(struct pool_conn *pc)
{
	pc->unsettled = true;
	if (!pc->feeding)
		loop_flush(pc->pool->loop, &pc->flush);
}

/* ---- bytes */

static void
count_held(struct pool_conn *pc)
{
	struct cluster_stats *s = pc->pool->cluster->stats;
	int64_t in = (int64_t)pc->conn.in.len, out = (int64_t)pc->conn.out.len;

	if (in == pc->held_in && out == pc->held_out)
		return;
	if (in != pc->held_in)
		stat_move(&s->upstream_cx_rx_bytes_buffered, in - pc->held_in);
	if (out != pc->held_out)
		stat_move(&s->upstream_cx_tx_bytes_buffered, out - pc->held_out);
	pc->held_in = in;
	pc->held_out = out;
}

static void
count_received(struct pool_conn *pc)
{
	uint64_t n = pc->conn.bytes_in - pc->counted_in;

	if (n)
		stat_add(&pc->pool->cluster->stats->upstream_cx_rx_bytes_total, n);
	pc->counted_in = pc->conn.bytes_in;
}

static void
fetch_output(struct pool_conn *pc)
{
	struct buf *out = conn_out(&pc->conn);
	size_t before;

	pc->output_wanted = false;
	if (out == NULL) {
		codec_drop_output(pc->codec);
		return;
	}
	before = out->len;
	codec_output(pc->codec, out);
	pc->given_bytes += out->len - before;
	conn_push(&pc->conn);
}

/* The end of a turn in which something happened. */
static void
on_flush(void *arg)
{
	struct pool_conn *pc = arg;

	if (pc->output_wanted && pc->state < POOL_CONN_CLOSING && !pc->conn.closed)
		fetch_output(pc);
	if (pc->half_closed && pc->state < POOL_CONN_CLOSING)
		conn_shutdown_write(&pc->conn);
	if (!pc->conn.closed)
		count_held(pc);
	if (pc->unsettled)
		settle(pc);
}

static void
on_output(void *arg)
{
	struct pool_conn *pc = arg;

	pc->output_wanted = true;
	loop_flush(pc->pool->loop, &pc->flush);
}

static void
on_more(void *arg)
{
	struct pool_conn *pc = arg;

	if (!pc->feeding && !pc->paused)
		conn_again(&pc->conn);
	pool_conn_unsettle(pc);
}

static void
on_broken(void *arg, const struct codec_error *e)
{
	struct pool_conn *pc = arg;
	struct cluster_stats *s = pc->pool->cluster->stats;

	log_debug(LOG_POOL, "connection %llu: ends, %s", (unsigned long long)pc->id,
	    e && e->details ? e->details : "cannot go on");
	if (e && !pc->remote_end)
		stat_inc(&s->upstream_cx_protocol_error);
	if (e == NULL && !pc->remote_end && !pc->cut && !pc->pool->cluster->http2)
		stat_inc(&s->upstream_cx_close_notify);
	pool_conn_unsettle(pc);
}

static const struct codec_events codec_events = {
    .on_output = on_output,
    .on_more = on_more,
    .on_broken = on_broken,
};

static void
after_feeding(struct pool_conn *pc)
{
	pc->feeding = false;
	if (!pc->conn.closed)
		count_held(pc);
	if (pc->unsettled)
		settle(pc);
}

static void
on_data(void *arg)
{
	struct pool_conn *pc = arg;

	count_received(pc);
	rouse(pc);
	if (pc->codec == NULL || pc->codec->broken)
		return;
	pc->feeding = true;
	codec_feed(pc->codec, &pc->conn.in);
	pc->conn.unseen = pc->codec->unseen;
	if (pc->codec->streams)
		conn_expect(&pc->conn);
	after_feeding(pc);
}

static void
on_eof(void *arg)
{
	struct pool_conn *pc = arg;

	pc->remote_end = true;
	rouse(pc);
	if (pc->codec && !pc->codec->broken) {
		pc->feeding = true;
		codec_eof(pc->codec);
		after_feeding(pc);
	}
	pool_conn_shut(pc);
}

static void
on_high(void *arg)
{
	struct pool_conn *pc = arg;

	if (pc->codec)
		codec_blocked(pc->codec, true);
}

static void
on_low(void *arg)
{
	struct pool_conn *pc = arg;

	if (pc->codec)
		codec_blocked(pc->codec, false);
}

static void
on_written(void *arg, size_t n)
{
	struct pool_conn *pc = arg;

	stat_add(&pc->pool->cluster->stats->upstream_cx_tx_bytes_total, n);
	count_held(pc);
}

/* ---- begin and end */

static void
on_age(void *arg)
{
	struct pool_conn *pc = arg;

	stat_inc(&pc->pool->cluster->stats->upstream_cx_max_duration_reached);
	pool_conn_drain(pc);
}

static void
on_connected(void *arg)
{
	struct pool_conn *pc = arg;
	struct pool *p = pc->pool;
	struct cluster *c = p->cluster;

	stat_record(
	    &c->stats->upstream_cx_connect_ms, (loop_now_ns(p->loop) - pc->opened_ns) / NS_PER_MS);
	pc->codec = p->protocol->codec_new(&c->codec, &codec_events, pc);
	enter(pc, POOL_CONN_READY);
	if (c->max_connection_duration_ms)
		timer_set(p->loop, &pc->age, c->max_connection_duration_ms);
	p->protocol->on_connected(pc);
	settle(pc);
}

static void
count_end(struct pool_conn *pc, bool remote)
{
	struct cluster_stats *s = pc->pool->cluster->stats;

	count_received(pc);
	stat_move(&s->upstream_cx_rx_bytes_buffered, -pc->held_in);
	stat_move(&s->upstream_cx_tx_bytes_buffered, -pc->held_out);
	stat_inc(&s->upstream_cx_destroy);
	stat_inc(remote ? &s->upstream_cx_destroy_remote : &s->upstream_cx_destroy_local);
	if (pc->cut) {
		stat_inc(&s->upstream_cx_destroy_with_active_rq);
		stat_inc(remote ? &s->upstream_cx_destroy_remote_with_active_rq
				: &s->upstream_cx_destroy_local_with_active_rq);
	}
	stat_record(&s->upstream_rq_per_cx, pc->served);
	stat_record(
	    &s->upstream_cx_length_ms, (loop_now_ns(pc->pool->loop) - pc->opened_ns) / NS_PER_MS);
	stat_down(&s->upstream_cx_active);
	stat_down(&pc->host->stats->cx_active);
	breaker_remove(pc->pool->breakers, BREAKER_CONNECTIONS);
}

static bool
is_local_error(int error)
{
	return error == EADDRNOTAVAIL || error == EADDRINUSE || error == EMFILE ||
	       error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EAGAIN;
}

static void
connect_failed(struct pool_conn *pc, enum conn_end why, int error)
{
	struct cluster_stats *s = pc->pool->cluster->stats;
	char text[128] = "";

	stat_inc(&s->upstream_cx_connect_fail);
	stat_inc(&pc->host->stats->cx_connect_fail);
	if (why == CONN_CONNECT_TIMEOUT) {
		stat_inc(&s->upstream_cx_connect_timeout);
		pool_fail_pending(pc->pool, POOL_CONNECT_TIMEOUT, "");
		return;
	}
	if (error)
		snprintf(text, sizeof(text), "%s connect error: %s",
		    address_is_ip(&pc->host->address) ? "delayed" : "immediate", strerror(error));
	pool_fail_pending(
	    pc->pool, is_local_error(error) ? POOL_CONNECT_LOCAL : POOL_CONNECT_FAILED, text);
}

/* The socket is gone: streams end, requests that waited for it fail or get another one. */
static void
on_closed(void *arg, enum conn_end why, int error)
{
	struct pool_conn *pc = arg;
	struct pool *p = pc->pool;
	struct cluster *c = p->cluster;
	bool was_connecting = pc->state == POOL_CONN_CONNECTING;

	flush_cancel(&pc->flush);
	timer_stop(&pc->age);
	timer_stop(&pc->ping);
	enter(pc, POOL_CONN_CLOSED);
	p->conns--;
	pc->cut |= pc->streams > 0;
	count_end(pc, pc->remote_end || why == CONN_REMOTE_CLOSE || why == CONN_REMOTE_RESET ||
			  why == CONN_CONNECT_FAILED);
	cool(pc);
	codec_free(&pc->codec);
	flush_cancel(&pc->flush);
	ASSERT(pc->streams == 0);
	if (was_connecting)
		connect_failed(pc, why, error);
	pool_serve(p);
	host_unref(&pc->host);
	mem_free(pc);
	cluster_connection_gone(c);
}

static const struct conn_events conn_events = {
    .on_connected = on_connected,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_high = on_high,
    .on_low = on_low,
    .on_written = on_written,
    .on_closed = on_closed,
};

static void
count_open(struct pool_conn *pc)
{
	struct cluster_stats *s = pc->pool->cluster->stats;

	stat_inc(&s->upstream_cx_total);
	stat_inc(
	    pc->pool->cluster->http2 ? &s->upstream_cx_http2_total : &s->upstream_cx_http1_total);
	stat_up(&s->upstream_cx_active);
	stat_inc(&pc->host->stats->cx_total);
	stat_up(&pc->host->stats->cx_active);
	breaker_add(pc->pool->breakers, BREAKER_CONNECTIONS);
}

int
pool_conn_open(struct pool *p, struct err *err)
{
	struct cluster *c = p->cluster;
	const struct address *to = &p->host->address;
	struct pool_conn *pc;
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "socket");
	if (address_is_ip(to))
		socket_nodelay(fd);
	if (c->tcp_keepalive)
		socket_keepalive(fd, &c->keepalive);
	pc = mem_new(struct pool_conn);
	pc->pool = p;
	pc->host = host_ref(p->host);
	pc->id = ++last_id;
	pc->left = c->max_requests_per_connection ? c->max_requests_per_connection : UINT64_MAX;
	pc->opened_ns = loop_now_ns(p->loop);
	pc->flush.fn = on_flush;
	pc->flush.arg = pc;
	timer_init(&pc->age, on_age, pc);
	list_push_back(&p->others, &pc->node);
	p->conns++;
	p->connecting++;
	cluster_connection_comes(c);
	count_open(pc);
	conn_connect(&pc->conn, &pc->io, p->loop, fd, &to->sa, to->len, c->connect_timeout_ms,
	    &plain_transport, c->buffer_limit, &conn_events, pc);
	return 0;
}

/* ---- streams */

struct codec_stream *
pool_conn_take(struct pool_conn *pc)
{
	struct codec_stream *s;

	rouse(pc);
	s = codec_request(pc->codec);
	if (s == NULL) {
		enter(pc, POOL_CONN_FULL);
		return NULL;
	}
	pc->streams++;
	pc->served++;
	pc->in_at_start = pc->conn.bytes_in;
	if (pc->left != UINT64_MAX && --pc->left == 0) {
		stat_inc(&pc->pool->cluster->stats->upstream_cx_max_requests);
		enter(pc, POOL_CONN_DRAINING);
	} else if (!pool_conn_has_room(pc)) {
		enter(pc, POOL_CONN_FULL);
	} else {
		enter(pc, POOL_CONN_READY);
	}
	return s;
}

bool
pool_conn_reused(const struct pool_conn *pc)
{
	return pc->served > 1;
}

bool
pool_conn_all_written(const struct pool_conn *pc)
{
	return !pc->output_wanted && pc->conn.bytes_out == pc->given_bytes;
}

bool
pool_conn_silent(const struct pool_conn *pc)
{
	return pc->pool->cluster->http2 || pc->conn.bytes_in == pc->in_at_start;
}

uint64_t
pool_conn_id(const struct pool_conn *pc)
{
	return pc->id;
}

void
pool_conn_pause(struct pool_conn *pc, struct codec_stream *s, bool paused)
{
	if (s)
		codec_pause(s, paused);
	pc->pool->protocol->pause(pc, paused);
}

void
pool_conn_end_tunnel(struct pool_conn *pc)
{
	if (pc->codec->protocol == HTTP_2)
		return;
	pc->half_closed = true;
	loop_flush(pc->pool->loop, &pc->flush);
}
