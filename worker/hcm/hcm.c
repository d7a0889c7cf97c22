/*
 * The connection side of the HTTP connection manager: socket and codec
 * put together, the connection's timeouts, and how it is told to go.
 */
#include "worker/hcm/hcm.h"

#include <inttypes.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/http/h2.h"
#include "worker/drain.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/stream_private.h"
#include "worker/snapshot.h"

#define NEVER UINT64_MAX
#define KEPT_CONNS 256
#define PREMATURE_RESETS 500u /* above it, and half of all requests: the client plays with us */

STATE_TABLE(hcm, HCM_STATES)

static struct list free_conns;
static unsigned free_conns_n;

static struct hcm_conn *
take_conn(void)
{
	struct list *n = list_first(&free_conns);
	struct hcm_conn *c;

	if (n == NULL)
		return mem_new(struct hcm_conn);
	list_remove(n);
	free_conns_n--;
	c = list_entry(n, struct hcm_conn, node);
	memset(c, 0, sizeof(*c));
	return c;
}

static void
give_conn(void *arg)
{
	struct hcm_conn *c = arg;

	if (free_conns_n >= KEPT_CONNS) {
		mem_free(c);
		return;
	}
	if (free_conns.next == NULL)
		list_init(&free_conns);
	list_push_front(&free_conns, &c->node);
	free_conns_n++;
}

static void
hcm_enter(struct hcm_conn *c, enum hcm_state next)
{
	STATE_CHECK(hcm, c->state, next);
	log_trace(LOG_HTTP, "connection: [C%" PRIu64 "] %s -> %s", c->id, hcm_state_names[c->state],
	    hcm_state_names[next]);
	c->state = next;
}

static bool
is_http2(const struct hcm_conn *c)
{
	return c->codec && c->codec->protocol == HTTP_2;
}

static bool
is_ending(const struct hcm_conn *c)
{
	return c->state == HCM_CLOSING || c->state == HCM_CLOSED;
}

/* The client said FIN and nothing of it waits: no other request will come. */
static bool
is_last(const struct hcm_conn *c)
{
	return c->client_done && buf_empty(&c->conn.in);
}

/* ---- output: once a turn */

static void
count_buffered(struct hcm_conn *c)
{
	struct http_stats *st = c->config->stats;

	if (c->conn.in.len != c->rx_held) {
		stat_move(&st->downstream_cx_rx_bytes_buffered,
		    (int64_t)c->conn.in.len - (int64_t)c->rx_held);
		c->rx_held = c->conn.in.len;
	}
	if (c->conn.out.len != c->tx_held) {
		stat_move(&st->downstream_cx_tx_bytes_buffered,
		    (int64_t)c->conn.out.len - (int64_t)c->tx_held);
		c->tx_held = c->conn.out.len;
	}
}

/* The HTTP/2 codec knows no clock. */
static void
tell_time(struct hcm_conn *c)
{
	if (is_http2(c))
		h2_set_now(c->codec, loop_now_ms(c->hcm->loop));
}

static void
fetch_output(struct hcm_conn *c)
{
	struct buf out;

	if (c->codec == NULL)
		return;
	buf_init(&out);
	tell_time(c);
	codec_output(c->codec, &out);
	if (!buf_empty(&out))
		conn_write(&c->conn, &out);
	buf_fini(&out);
}

/* Between two requests of plain HTTP/1, or before the first byte: nothing of it is in our hands. */
static bool
may_be_given(const struct hcm_conn *c)
{
	return (c->state == HCM_SERVING || c->state == HCM_SNIFFING) && !is_http2(c) &&
	       c->streams_n == 0 && !c->kept && !c->client_done && !c->behind &&
	       !c->reading_paused && !c->half_close && !c->conn.paused && !c->conn.eof &&
	       !c->conn.closed && !c->conn.shut && buf_empty(&c->conn.in) && buf_empty(&c->conn.out);
}

static void
on_turn_end(void *arg)
{
	struct hcm_conn *c = arg;

	if (c->state == HCM_CLOSED)
		return;
	fetch_output(c);
	if (c->state == HCM_CLOSING)
		conn_close(&c->conn, CLOSE_FLUSH, (uint32_t)c->config->delayed_close_ms);
	else if (c->half_close)
		conn_shutdown_write(&c->conn);
	else
		conn_flush(&c->conn);
	count_buffered(c);
	if (c->hcm->on_idle && may_be_given(c))
		c->hcm->on_idle(c->hcm->on_idle_arg, c);
}

void
hcm_output(struct hcm_conn *c)
{
	if (c->state != HCM_CLOSED)
		loop_flush(c->hcm->loop, &c->flush);
}

void
hcm_tunnel_ended(struct hcm_conn *c)
{
	if (!is_http2(c))
		c->half_close = true;
}

/* The timeouts that a configuration brings. */
static void
arm(struct hcm_conn *c)
{
	const struct hcm_config *config = c->config;

	if (config->idle_ms)
		hcm_wake_by(c, c->idle_since_ns + config->idle_ms * NS_PER_MS);
	if (config->max_connection_ms)
		hcm_wake_by(c, c->opened_ns + config->max_connection_ms * NS_PER_MS);
}

/* ---- another configuration of the same listener */

static void
move_gauge(struct stat_gauge *from, struct stat_gauge *to, int64_t by)
{
	stat_move(from, -by);
	stat_move(to, by);
}

/* What this connection added to gauges stands in those of its new configuration from now on. */
static void
move_gauges(struct hcm_conn *c, const struct hcm_config *next)
{
	struct http_stats *from = c->config->stats, *to = next->stats;
	struct hcm_place *p = c->place;

	if (from != to) {
		move_gauge(&from->downstream_cx_active, &to->downstream_cx_active, 1);
		move_gauge(&from->downstream_cx_rx_bytes_buffered,
		    &to->downstream_cx_rx_bytes_buffered, (int64_t)c->rx_held);
		move_gauge(&from->downstream_cx_tx_bytes_buffered,
		    &to->downstream_cx_tx_bytes_buffered, (int64_t)c->tx_held);
		if (is_http2(c))
			move_gauge(
			    &from->downstream_cx_http2_active, &to->downstream_cx_http2_active, 1);
		else if (c->codec)
			move_gauge(
			    &from->downstream_cx_http1_active, &to->downstream_cx_http1_active, 1);
	}
	if (c->listener_stats != p->stats)
		move_gauge(
		    &c->listener_stats->downstream_cx_active, &p->stats->downstream_cx_active, 1);
	if (c->worker_stats != p->worker_stats)
		move_gauge(&c->worker_stats->downstream_cx_active,
		    &p->worker_stats->downstream_cx_active, 1);
	c->listener_stats = p->stats;
	c->worker_stats = p->worker_stats;
}

/* An HTTP/2 codec has a copy of its settings, which its client was told; HTTP/1 reads them anew
 * with each request. */
static void
adopt(struct hcm_conn *c)
{
	struct hcm_place *p = c->place;
	struct snapshot *old = c->snapshot;

	if (p->config == NULL || old == p->snapshot || is_ending(c) ||
	    (c->streams_n && !is_http2(c)))
		return;
	move_gauges(c, p->config);
	c->config = p->config;
	c->snapshot = snapshot_ref(p->snapshot);
	if (c->codec && !is_http2(c))
		c->codec->config = &c->config->codec;
	arm(c);
	snapshot_unref(&old);
}

/* ---- closing */

static void
cut_streams(struct hcm_conn *c, enum stream_reset why, uint32_t flags, struct str details)
{
	struct list *n;

	while ((n = list_first(&c->streams)) != NULL)
		stream_cut(list_entry(n, struct stream, node), why, flags, details);
}

void
hcm_close(struct hcm_conn *c, uint32_t flags, struct str details)
{
	if (is_ending(c))
		return;
	c->end_flags = flags;
	c->end_details = details;
	hcm_enter(c, HCM_CLOSING);
	timer_stop(&c->timer);
	cut_streams(c, RESET_LOCAL, flags, details);
	hcm_output(c);
}

static void
count_closed(struct hcm_conn *c, bool local)
{
	struct http_stats *st = c->config->stats;
	uint64_t length_ms = (loop_now_ns(c->hcm->loop) - c->opened_ns) / NS_PER_MS;

	stat_inc(&st->downstream_cx_destroy);
	stat_inc(local ? &st->downstream_cx_destroy_local : &st->downstream_cx_destroy_remote);
	if (c->streams_n) {
		stat_inc(&st->downstream_cx_destroy_active_rq);
		stat_inc(local ? &st->downstream_cx_destroy_local_active_rq
			       : &st->downstream_cx_destroy_remote_active_rq);
	}
	stat_down(&st->downstream_cx_active);
	stat_record(&st->downstream_cx_length_ms, length_ms);
	stat_inc(&c->listener_stats->downstream_cx_destroy);
	stat_down(&c->listener_stats->downstream_cx_active);
	stat_record(&c->listener_stats->downstream_cx_length_ms, length_ms);
	stat_down(&c->worker_stats->downstream_cx_active);
	if (c->codec)
		stat_down(is_http2(c) ? &st->downstream_cx_http2_active
				      : &st->downstream_cx_http1_active);
}

static void
forget(struct hcm_conn *c)
{
	struct hcm *m = c->hcm;

	if (c->codec && is_http2(c))
		m->h2--;
	else if (c->codec)
		m->h1--;
	m->held--;
	c->place->conns--;
	timer_stop(&c->timer);
	flush_cancel(&c->flush);
	list_remove(&c->node);
	codec_free(&c->codec);
	snapshot_unref(&c->snapshot);
	loop_defer(m->loop, give_conn, c);
}

static void
on_closed(void *arg, enum conn_end why, int error)
{
	struct hcm_conn *c = arg;
	bool local = c->state == HCM_CLOSING && !c->remote_end;

	log_debug(LOG_CONN, "connection: [C%" PRIu64 "] ended, reason=%d error=%d", c->id, (int)why,
	    error);
	if (why == CONN_LINGER_TIMEOUT)
		stat_inc(&c->config->stats->downstream_cx_delayed_close_timeout);
	count_buffered(c);
	hcm_enter(c, HCM_CLOSED);
	count_closed(c, local);
	forget(c);
}

/* ---- being told to go */

static void
count_drain(struct hcm_conn *c)
{
	stat_inc(&c->config->stats->downstream_cx_drain_close);
}

void
hcm_tell(struct hcm_conn *c)
{
	if (c->state != HCM_SERVING && c->state != HCM_SNIFFING)
		return;
	c->tell_ns = 0;
	if (c->state == HCM_SNIFFING)
		return;
	hcm_enter(c, HCM_TOLD);
	codec_goaway(c->codec, false);
	hcm_output(c);
	c->goaway_ns = loop_now_ns(c->hcm->loop) + c->config->drain_ms * NS_PER_MS;
	hcm_wake_by(c, c->goaway_ns);
}

static void
last_goaway(struct hcm_conn *c)
{
	c->goaway_ns = 0;
	hcm_enter(c, HCM_LAST);
	codec_goaway(c->codec, true);
	hcm_output(c);
	if (c->streams_n == 0)
		hcm_close(c, 0, STR(""));
}

/* The worker drains, or only this place does. */
static struct drain
drain_of(const struct hcm_conn *c)
{
	struct drain d = *c->hcm->drain;

	if (!d.draining && c->place->told_ns)
		drain_start(&d, c->place->told_ns, d.window_ns / NS_PER_S, d.immediate);
	return d;
}

static bool
drain_says_close(const struct hcm_conn *c, uint64_t now_ns)
{
	struct drain d;

	if (!c->hcm->drain->draining && c->place->told_ns == 0)
		return false;
	d = drain_of(c);
	return drain_decides(&d, now_ns, rand_u64());
}

bool
hcm_response_says_close(struct hcm_conn *c)
{
	uint64_t now_ns = loop_now_ns(c->hcm->loop);
	uint32_t max = c->config->max_requests_per_connection;

	if (c->state == HCM_SERVING && max && c->requests >= max) {
		stat_inc(&c->config->stats->downstream_cx_max_requests_reached);
		hcm_tell(c);
	} else if (c->state == HCM_SERVING && !(c->hcm->on_idle && !is_http2(c) && !c->kept) &&
		   ((c->tell_ns && now_ns >= c->tell_ns) ||
		       drain_says_close(c, now_ns))) {
		count_drain(c);
		hcm_tell(c);
	}
	return is_last(c) || c->state == HCM_TOLD || c->state == HCM_LAST;
}

static void
draw_moment(struct hcm_conn *c)
{
	struct drain d = drain_of(c);

	c->tell_ns = drain_moment(&d, c->place->modify_only, loop_now_ns(c->hcm->loop), rand_u64());
	if (c->tell_ns)
		hcm_wake_by(c, c->tell_ns);
	if (d.draining)
		hcm_wake_by(c, drain_end_ns(&d));
}

void
hcm_tell_all(struct hcm *m)
{
	list_for_each(n, &m->conns)
	{
		draw_moment(list_entry(n, struct hcm_conn, node));
	}
}

void
hcm_tell_place(struct hcm *m, struct hcm_place *p)
{
	p->told_ns = loop_now_ns(m->loop);
	list_for_each(n, &m->conns)
	{
		struct hcm_conn *c = list_entry(n, struct hcm_conn, node);

		if (c->place != p)
			continue;
		draw_moment(c);
		if (p->end_ns)
			hcm_wake_by(c, p->end_ns);
	}
}

void
hcm_leave_place(struct hcm *m, struct hcm_place *p)
{
	struct drain d = *m->drain;

	drain_start(&d, loop_now_ns(m->loop), d.window_ns / NS_PER_S, d.immediate);
	p->end_ns = drain_end_ns(&d);
	hcm_tell_place(m, p);
}

void
hcm_adopt(struct hcm *m)
{
	list_for_each(n, &m->conns)
	{
		struct hcm_conn *c = list_entry(n, struct hcm_conn, node);

		if (c->place->came_back) {
			c->place->told_ns = c->tell_ns = 0;
			draw_moment(c);
		}
		adopt(c);
	}
}

/* ---- the timer */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
check_streams(struct hcm_conn *c, uint64_t now_ns)
{
	uint64_t next = NEVER;

	list_for_each(n, &c->streams)
	{
		next = earlier(next, stream_check(list_entry(n, struct stream, node), now_ns));
		if (is_ending(c))
			return NEVER;
	}
	return next;
}

static uint64_t
check_idle(struct hcm_conn *c, uint64_t now_ns)
{
	uint64_t at_ns = c->idle_since_ns + c->config->idle_ms * NS_PER_MS;

	if (c->config->idle_ms == 0 || c->streams_n)
		return NEVER;
	if (now_ns < at_ns)
		return at_ns;
	if (c->state == HCM_TOLD || c->state == HCM_LAST)
		return NEVER;
	stat_inc(&c->config->stats->downstream_cx_idle_timeout);
	if (is_http2(c))
		hcm_tell(c);
	else
		hcm_close(c, 0, STR(""));
	return NEVER;
}

static uint64_t
check_duration(struct hcm_conn *c, uint64_t now_ns)
{
	uint64_t at_ns = c->opened_ns + c->config->max_connection_ms * NS_PER_MS;

	if (c->config->max_connection_ms == 0 ||
	    (c->state != HCM_SERVING && c->state != HCM_SNIFFING))
		return NEVER;
	if (now_ns < at_ns)
		return at_ns;
	stat_inc(&c->config->stats->downstream_cx_max_duration_reached);
	if (c->streams_n == 0 && !is_http2(c)) {
		hcm_close(c, FLAG_DT, STR("max_connection_duration"));
		return NEVER;
	}
	hcm_tell(c);
	return NEVER;
}

/* When it goes even if no request gave the occasion: the worker's window, or its listener's. */
static uint64_t
window_end_ns(const struct hcm_conn *c)
{
	uint64_t end_ns = drain_end_ns(c->hcm->drain), place_end_ns = c->place->end_ns;

	return place_end_ns ? earlier(end_ns, place_end_ns) : end_ns;
}

static uint64_t
check_told(struct hcm_conn *c, uint64_t now_ns)
{
	uint64_t end_ns = window_end_ns(c), next = NEVER;

	if (c->tell_ns && now_ns >= c->tell_ns && is_http2(c)) {
		count_drain(c);
		hcm_tell(c);
	}
	if (c->goaway_ns && now_ns >= c->goaway_ns)
		last_goaway(c);
	else if (c->goaway_ns)
		next = c->goaway_ns;
	if (is_ending(c))
		return NEVER;
	if (now_ns >= end_ns && c->streams_n == 0) {
		count_drain(c);
		hcm_close(c, 0, STR(""));
		return NEVER;
	}
	if (c->tell_ns > now_ns)
		next = earlier(next, c->tell_ns);
	return now_ns >= end_ns ? next : earlier(next, end_ns);
}

static uint64_t
ping_wait_ns(const struct hcm_conn *c)
{
	uint64_t ns = c->config->codec.h2.keepalive_interval_ms * NS_PER_MS;
	uint64_t jitter = ns / 100 * c->config->keepalive_jitter;

	return jitter ? ns + rand_below(jitter) : ns;
}

/* HTTP/2 keepalive: a PING every interval, an answer within the timeout. */
static uint64_t
check_ping(struct hcm_conn *c, uint64_t now_ns)
{
	if (c->ping_ns == 0 || now_ns < c->ping_ns)
		return c->ping_ns ? c->ping_ns : NEVER;
	if (c->ping_pending && c->codec->last_ping_answer < c->pings) {
		stat_inc(&c->config->codec.h2_stats->keepalive_timeout);
		hcm_close(c, FLAG_DC, STR("http2.ping_timeout"));
		return NEVER;
	}
	c->ping_pending = !c->ping_pending;
	if (c->ping_pending) {
		codec_ping(c->codec);
		hcm_output(c);
		c->pings++;
		c->ping_ns = now_ns + c->config->codec.h2.keepalive_timeout_ms * NS_PER_MS;
	} else {
		c->ping_ns = now_ns + ping_wait_ns(c);
	}
	return c->ping_ns;
}

static void
on_timer(void *arg)
{
	static uint64_t (*const checks[])(struct hcm_conn *, uint64_t) = {
	    check_streams, check_idle, check_duration, check_told, check_ping};
	struct hcm_conn *c = arg;
	uint64_t now_ns = loop_now_ns(c->hcm->loop), next = NEVER;

	c->wake_ns = NEVER;
	for (size_t i = 0; i < ARRAY_LEN(checks) && !is_ending(c); i++)
		next = earlier(next, checks[i](c, now_ns));
	if (!is_ending(c) && next != NEVER)
		hcm_wake_by(c, next);
}

/* ---- what the codec tells */

static void
on_stream(void *arg, struct codec_stream *cs)
{
	struct hcm_conn *c = arg;

	c->requests++;
	stream_open(c, cs);
}

static void
on_output(void *arg)
{
	hcm_output(arg);
}

static void
on_more(void *arg)
{
	struct hcm_conn *c = arg;

	if (is_ending(c))
		return;
	if (c->behind) {
		c->behind = false;
		conn_resume(&c->conn);
	} else {
		conn_again(&c->conn);
	}
	if (c->client_done && buf_empty(&c->conn.in))
		codec_feed(c->codec, &c->conn.in); /* it waits to hear that nothing more comes */
}

static void
on_broken(void *arg, const struct codec_error *e)
{
	struct hcm_conn *c = arg;
	uint32_t flags = 0;

	if (is_ending(c))
		return;
	if (is_http2(c) && e && e->details == h2_too_many_resets) {
		stat_inc(&c->config->stats->downstream_rq_too_many_premature_resets);
	} else if (is_http2(c) && e && e->status) {
		stat_inc(&c->config->stats->downstream_cx_protocol_error);
		flags = FLAG_DPE;
	}
	hcm_close(c, flags, e && e->details ? str_of(e->details) : STR(""));
}

static const struct codec_events codec_events = {
    .on_stream = on_stream,
    .on_output = on_output,
    .on_more = on_more,
    .on_broken = on_broken,
};

/* Streams reset before they were answered, by the client or for its mistakes. */
static void
check_resets(struct hcm_conn *c)
{
	const struct h2_tally *t = h2_tally(c->codec);
	uint64_t premature = t->resets_early + t->resets_caused;

	if (premature < PREMATURE_RESETS || premature * 2 < t->streams)
		return;
	stat_inc(&c->config->stats->downstream_rq_too_many_premature_resets);
	hcm_close(c, 0, STR("too_many_premature_resets"));
}

void
hcm_stream_ended(struct hcm_conn *c, bool close_after)
{
	if (c->streams_n == 0)
		c->idle_since_ns = loop_now_ns(c->hcm->loop);
	if (is_ending(c))
		return;
	if (is_http2(c))
		check_resets(c);
	if (is_ending(c))
		return;
	if (!is_http2(c) && (close_after || is_last(c)))
		hcm_close(c, 0, STR(""));
	else if (c->streams_n == 0 && c->state == HCM_LAST)
		hcm_close(c, 0, STR(""));
	else
		adopt(c);
}

/* HTTP/1: what is behind a paused body stays in the kernel.  HTTP/2 has windows. */
void
hcm_stream_paused(struct hcm_conn *c, bool paused)
{
	if (is_http2(c) || is_ending(c) || c->reading_paused == paused)
		return;
	c->reading_paused = paused;
	if (paused)
		conn_pause(&c->conn);
	else
		conn_resume(&c->conn);
}

/* ---- what the socket tells */

static void
make_codec(struct hcm_conn *c, bool http2)
{
	struct http_stats *st = c->config->stats;

	c->codec = http2 ? h2_server_new(&c->config->codec, &codec_events, c)
			 : h1_server_new(&c->config->codec, &codec_events, c);
	hcm_enter(c, HCM_SERVING);
	stat_up(http2 ? &st->downstream_cx_http2_active : &st->downstream_cx_http1_active);
	if (http2)
		c->hcm->h2++;
	else
		c->hcm->h1++;
	if (http2 && c->config->codec.h2.keepalive_interval_ms) {
		c->ping_ns = loop_now_ns(c->hcm->loop) + ping_wait_ns(c);
		hcm_wake_by(c, c->ping_ns);
	}
	if (c->hcm->drain->draining || c->hcm->drain->health_failed || c->place->told_ns)
		draw_moment(c);
}

static void
choose_codec(struct hcm_conn *c, bool http2)
{
	struct http_stats *st = c->config->stats;

	stat_inc(http2 ? &st->downstream_cx_http2_total : &st->downstream_cx_http1_total);
	make_codec(c, http2);
}

/* False while the first bytes do not tell. */
static bool
sniff(struct hcm_conn *c, bool eof)
{
	switch (c->config->codec_choice) {
	case CODEC_HTTP1:
		choose_codec(c, false);
		return true;
	case CODEC_HTTP2:
		choose_codec(c, true);
		return true;
	case CODEC_AUTO:
		break;
	}
	switch (h2_preface_test(&c->conn.in)) {
	case PREFACE_YES:
		choose_codec(c, true);
		return true;
	case PREFACE_NO:
		choose_codec(c, false);
		return true;
	case PREFACE_MAYBE:
		if (eof)
			choose_codec(c, false);
		return eof;
	}
	return false;
}

static void
count_received(struct hcm_conn *c)
{
	stat_add(&c->config->stats->downstream_cx_rx_bytes_total, c->conn.bytes_in - c->rx_counted);
	c->rx_counted = c->conn.bytes_in;
}

/* HTTP/1 took what it may for now: what is behind stays in the kernel until the codec says on_more.
 */
static void
pause_behind(struct hcm_conn *c)
{
	struct stream *s;

	if (is_http2(c) || is_ending(c) || c->behind || c->streams_n == 0 || buf_empty(&c->conn.in))
		return;
	s = list_entry(list_first(&c->streams), struct stream, node);
	if (!s->s.request_complete && !s->paused && !(s->s.upgrade && !s->s.response_started))
		return;
	c->behind = true;
	conn_pause(&c->conn);
}

/* HTTP/1 before the request's end, HTTP/2 without a stream to answer: no write of ours would tell
 * that the client is gone. */
static bool
waits_for_more(struct hcm_conn *c)
{
	if (is_ending(c))
		return false;
	if (is_http2(c) || c->streams_n == 0)
		return c->streams_n == 0;
	return !list_entry(list_first(&c->streams), struct stream, node)->s.request_complete;
}

static void
on_data(void *arg)
{
	struct hcm_conn *c = arg;

	count_received(c);
	if (is_ending(c)) {
		buf_drain(&c->conn.in, c->conn.in.len);
		return;
	}
	if (c->codec == NULL && !sniff(c, false))
		return;
	tell_time(c);
	codec_feed(c->codec, &c->conn.in);
	pause_behind(c);
	if (waits_for_more(c))
		conn_read_on(&c->conn);
	hcm_output(c);
}

static void
on_eof(void *arg)
{
	struct hcm_conn *c = arg;

	if (is_ending(c))
		return;
	c->client_done = true;
	if (c->codec == NULL) {
		if (buf_empty(&c->conn.in) || !sniff(c, true)) {
			c->remote_end = true;
			hcm_close(c, 0, STR(""));
			return;
		}
		tell_time(c);
		codec_feed(c->codec, &c->conn.in);
	}
	if (is_ending(c))
		return;
	c->remote_end = true;
	codec_eof(c->codec);
	if (!is_ending(c) && (c->streams_n == 0 || is_http2(c)))
		hcm_close(c, FLAG_DC, STR("downstream_remote_disconnect"));
}

static void
on_high(void *arg)
{
	struct hcm_conn *c = arg;

	if (c->codec && !is_ending(c))
		codec_blocked(c->codec, true);
}

static void
on_low(void *arg)
{
	struct hcm_conn *c = arg;

	if (c->codec && !is_ending(c))
		codec_blocked(c->codec, false);
}

static void
on_written(void *arg, size_t n)
{
	struct hcm_conn *c = arg;

	stat_add(&c->config->stats->downstream_cx_tx_bytes_total, n);
	if (c->hcm->on_idle && buf_empty(&c->conn.out))
		hcm_output(c); /* perhaps it goes now */
}

static const struct conn_events conn_events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_high = on_high,
    .on_low = on_low,
    .on_written = on_written,
    .on_closed = on_closed,
};

/* ---- opening */

void
hcm_init(struct hcm *m, struct loop *l, struct drain *d, const char *hostname)
{
	*m = (struct hcm){.loop = l, .drain = d, .hostname = hostname, .next_id = 1, .id_step = 1};
	list_init(&m->conns);
}

static void
count_opened(const struct hcm_conn *c)
{
	stat_inc(&c->config->stats->downstream_cx_total);
	stat_inc(&c->listener_stats->downstream_cx_total);
	stat_inc(&c->worker_stats->downstream_cx_total);
}

static void
count_active(struct hcm_conn *c)
{
	c->listener_stats = c->place->stats;
	c->worker_stats = c->place->worker_stats;
	stat_up(&c->config->stats->downstream_cx_active);
	stat_up(&c->listener_stats->downstream_cx_active);
	stat_up(&c->worker_stats->downstream_cx_active);
	c->place->conns++;
	c->hcm->held++;
}

static struct hcm_conn *
conn_new(struct hcm *m, struct hcm_place *p, uint64_t id, const struct address *remote,
    const struct address *local)
{
	struct hcm_conn *c = take_conn();

	c->hcm = m;
	c->place = p;
	c->config = p->config;
	c->snapshot = snapshot_ref(p->snapshot);
	c->id = id;
	c->opened_ns = c->idle_since_ns = loop_now_ns(m->loop);
	c->wake_ns = NEVER;
	c->local = *local;
	c->remote = *remote;
	if (address_is_ip(remote))
		c->remote_ip =
		    str_make(c->remote_ip_text, address_format_ip(remote, c->remote_ip_text));
	c->flush.fn = on_turn_end;
	c->flush.arg = c;
	timer_init(&c->timer, on_timer, c);
	list_init(&c->streams);
	list_push_back(&m->conns, &c->node);
	count_active(c);
	return c;
}

static void
start(struct hcm_conn *c, int fd)
{
	conn_open(&c->conn, c->hcm->loop, fd, &plain_transport, c->config->buffer_limit,
	    &conn_events, c);
	arm(c);
}

void
hcm_open(struct hcm *m, struct hcm_place *p, int fd, const struct address *remote,
    const struct address *local)
{
	struct hcm_conn *c = conn_new(m, p, m->next_id, remote, local);

	m->next_id += m->id_step;
	count_opened(c);
	start(c, fd);
}

/* ---- from one process to another */

void
hcm_on_idle(struct hcm *m, void (*fn)(void *arg, struct hcm_conn *c), void *arg)
{
	m->on_idle = fn;
	m->on_idle_arg = arg;
}

struct hcm_conn *
hcm_next_idle(struct hcm *m)
{
	list_for_each(n, &m->conns)
	{
		struct hcm_conn *c = list_entry(n, struct hcm_conn, node);

		/* What is about to be flushed this turn comes by on_idle. */
		if (may_be_given(c) && !list_linked(&c->flush.node))
			return c;
	}
	return NULL;
}

struct hcm_place *
hcm_place_of(const struct hcm_conn *c)
{
	return c->place;
}

int
hcm_give(struct hcm_conn *c, struct hcm_given *out)
{
	int fd;

	*out = (struct hcm_given){.remote = c->remote,
	    .local = c->local,
	    .id = c->id,
	    .opened_ns = c->opened_ns,
	    .requests = c->requests,
	    .http1 = c->codec != NULL};
	count_buffered(c);
	fd = conn_release(&c->conn);
	hcm_enter(c, HCM_CLOSED);
	stat_down(&c->config->stats->downstream_cx_active);
	stat_down(&c->listener_stats->downstream_cx_active);
	stat_down(&c->worker_stats->downstream_cx_active);
	if (c->codec)
		stat_down(&c->config->stats->downstream_cx_http1_active);
	log_debug(LOG_CONN, "connection: [C%" PRIu64 "] offered to the next generation", c->id);
	forget(c);
	return fd;
}

bool
hcm_would_take(const struct hcm_place *p, const struct hcm_given *g)
{
	return p->config && (!g->http1 || p->config->codec_choice != CODEC_HTTP2);
}

void
hcm_take(struct hcm *m, struct hcm_place *p, int fd, const struct hcm_given *g)
{
	struct hcm_conn *c = conn_new(m, p, g->id, &g->remote, &g->local);

	c->opened_ns = g->opened_ns;
	c->requests = g->requests;
	c->kept = g->kept;
	start(c, fd);
	if (g->http1)
		make_codec(c, false);
	else if (m->drain->draining)
		draw_moment(c);
}

void
hcm_count_handed_over(void)
{
	stat_inc(&baton_stats_of("baton.")->cx_handed_over);
}

void
hcm_abort(struct hcm_conn *c, struct str details)
{
	if (c->conn.closed)
		return;
	conn_abort(&c->conn);
	c->end_details = details;
	hcm_enter(c, HCM_CLOSED);
	count_closed(c, true);
	forget(c);
}

void
hcm_abort_all(struct hcm *m)
{
	list_for_each(n, &m->conns)
	{
		hcm_abort(list_entry(n, struct hcm_conn, node), STR("worker_stopped"));
	}
}
