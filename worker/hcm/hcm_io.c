/*
 * A downstream connection between its codec and its socket: what both
 * tell, how the protocol is chosen, and when the client has to wait.
 * Run by a worker; the connection belongs to hcm_conn.c.
 */
#include <inttypes.h>

#include "lib/base/log.h"
#include "lib/http/h2.h"
#include "worker/drain.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/stream_private.h"

#define PREMATURE_RESETS 500u /* above it, and half of all requests: the client plays with us */

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
	struct hcm_busy *b = c->busy;

	if (hcm_is_ending(c))
		return;
	if (b->behind) {
		b->behind = false;
		conn_resume(&b->conn);
	} else {
		conn_again(&b->conn);
	}
	if (hcm_is_last(c))
		codec_feed(c->codec, &b->conn.in); /* it waits to hear that nothing more comes */
}

static void
on_broken(void *arg, const struct codec_error *e)
{
	struct hcm_conn *c = arg;
	uint32_t flags = 0;

	if (hcm_is_ending(c))
		return;
	if (hcm_is_http2(c) && e && e->details == h2_too_many_resets) {
		stat_inc(&c->config->stats->downstream_rq_too_many_premature_resets);
	} else if (hcm_is_http2(c) && e && e->status) {
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
	if (hcm_is_ending(c))
		return;
	if (hcm_is_http2(c))
		check_resets(c);
	if (hcm_is_ending(c))
		return;
	if (!hcm_is_http2(c) && (close_after || hcm_is_last(c)))
		hcm_close(c, 0, STR(""));
	else if (c->streams_n == 0 && c->state == HCM_LAST)
		hcm_close(c, 0, STR(""));
	else if (c->snapshot != c->place->snapshot)
		hcm_conn_adopt(c);
}

/* HTTP/1: what is behind a paused body stays in the kernel.  HTTP/2 has windows. */
void
hcm_stream_paused(struct hcm_conn *c, bool paused)
{
	if (hcm_is_http2(c) || hcm_is_ending(c) || c->busy->reading_paused == paused)
		return;
	c->busy->reading_paused = paused;
	if (paused)
		conn_pause(&c->busy->conn);
	else
		conn_resume(&c->busy->conn);
}

void
hcm_set_protocol(struct hcm_conn *c, bool http2)
{
	struct http_stats *st = c->config->stats;

	if (http2)
		c->codec = h2_server_new(&c->config->codec, &codec_events, c);
	c->http1 = !http2;
	hcm_enter(c, HCM_SERVING);
	stat_up(http2 ? &st->downstream_cx_http2_active : &st->downstream_cx_http1_active);
	if (http2)
		c->hcm->h2++;
	else
		c->hcm->h1++;
	if (http2 && c->config->codec.h2.keepalive_interval_ms) {
		c->busy->ping_ns = loop_now_ns(c->hcm->loop) + hcm_ping_wait_ns(c);
		hcm_wake_by(c, c->busy->ping_ns);
	}
	if (c->hcm->drain->draining || c->hcm->drain->health_failed || c->place->told_ns)
		hcm_draw_moment(c);
}

static void
choose_codec(struct hcm_conn *c, bool http2)
{
	struct http_stats *st = c->config->stats;

	stat_inc(http2 ? &st->downstream_cx_http2_total : &st->downstream_cx_http1_total);
	hcm_set_protocol(c, http2);
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
	switch (h2_preface_test(&c->busy->conn.in)) {
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

/* ---- what the socket tells */

/* Makes it when bytes tell which; false while they do not. */
static bool
has_codec(struct hcm_conn *c, bool eof)
{
	if (c->codec)
		return true;
	if (!c->http1 && !sniff(c, eof))
		return false;
	if (c->http1)
		c->codec = h1_server_new(&c->config->codec, &codec_events, c);
	return true;
}

static void
count_received(struct hcm_conn *c)
{
	struct hcm_busy *b = c->busy;

	stat_add(&c->config->stats->downstream_cx_rx_bytes_total, b->conn.bytes_in - b->rx_counted);
	b->rx_counted = b->conn.bytes_in;
}

/* HTTP/1 took what it may for now: what is behind stays in the kernel until the codec says on_more.
 */
static void
pause_behind(struct hcm_conn *c)
{
	struct hcm_busy *b = c->busy;
	struct stream *s;

	if (hcm_is_http2(c) || hcm_is_ending(c) || b->behind || c->streams_n == 0 ||
	    buf_empty(&b->conn.in))
		return;
	s = list_entry(list_first(&c->streams), struct stream, node);
	if (!s->s.request_complete && !s->paused && !(s->s.upgrade && !s->s.response_started))
		return;
	b->behind = true;
	conn_pause(&b->conn);
}

/* HTTP/1 before the request's end, HTTP/2 without a stream to answer: no write of ours would tell
 * that the client is gone. */
static bool
waits_for_more(struct hcm_conn *c)
{
	if (hcm_is_ending(c))
		return false;
	if (hcm_is_http2(c) || c->streams_n == 0)
		return c->streams_n == 0;
	return !list_entry(list_first(&c->streams), struct stream, node)->s.request_complete;
}

static void
on_data(void *arg)
{
	struct hcm_conn *c = arg;
	struct conn *conn = &c->busy->conn;

	count_received(c);
	if (hcm_is_ending(c)) {
		buf_drain(&conn->in, conn->in.len);
		return;
	}
	if (c->codec == NULL && !has_codec(c, false))
		return;
	hcm_tell_time(c);
	codec_feed(c->codec, &conn->in);
	conn->unseen = c->codec->unseen;
	pause_behind(c);
	if (waits_for_more(c))
		conn_expect(conn);
	hcm_touch_tunnel(c);
	if (hcm_is_http2(c)) /* a session answers by itself, too */
		hcm_output(c);
	else if (c->state != HCM_CLOSED)
		hcm_count_buffered(c);
}

/* The first stream of HTTP/1 waits for its answer, or for the rest of it; a tunnel's halves end one by one. */
static bool
owes_an_answer(struct hcm_conn *c)
{
	enum stream_state st;

	if (hcm_is_http2(c) || c->streams_n == 0)
		return c->streams_n > 0;
	st = list_entry(list_first(&c->streams), struct stream, node)->state;
	return st != STREAM_TUNNEL && st != STREAM_REPLIED;
}

/* FIN, as from anybody who closes a connection: like Envoy we take it that nobody reads the answer. */
static bool
gives_up(struct hcm_conn *c)
{
	if (hcm_is_ending(c) || !owes_an_answer(c))
		return false;
	hcm_client_left(c);
	return true;
}

static void
on_hangup(void *arg)
{
	gives_up(arg);
}

static void
on_eof(void *arg)
{
	struct hcm_conn *c = arg;

	if (hcm_is_ending(c))
		return;
	c->busy->client_done = true;
	if (c->codec == NULL && !c->http1) {
		if (buf_empty(&c->busy->conn.in) || !has_codec(c, true)) {
			c->busy->remote_end = true;
			hcm_close(c, 0, STR(""));
			return;
		}
		hcm_tell_time(c);
		codec_feed(c->codec, &c->busy->conn.in);
	}
	if (gives_up(c) || hcm_is_ending(c))
		return;
	c->busy->remote_end = true;
	if (c->codec)
		codec_eof(c->codec);
	if (!hcm_is_ending(c) && c->streams_n == 0)
		hcm_close(c, FLAG_DC, STR("downstream_remote_disconnect"));
}

static void
on_high(void *arg)
{
	struct hcm_conn *c = arg;

	if (c->codec && !hcm_is_ending(c))
		codec_blocked(c->codec, true);
}

static void
on_low(void *arg)
{
	struct hcm_conn *c = arg;

	if (c->codec && !hcm_is_ending(c))
		codec_blocked(c->codec, false);
}

static void
on_written(void *arg, size_t n)
{
	struct hcm_conn *c = arg;

	stat_add(&c->config->stats->downstream_cx_tx_bytes_total, n);
	if (!buf_empty(&c->busy->conn.out) || c->busy->flushing)
		return;
	if (c->hcm->on_idle)
		hcm_output(c); /* perhaps it goes now */
	else if (c->streams_n == 0)
		hcm_settle(c);
}

static void
on_closed(void *arg, enum conn_end why, int error)
{
	struct hcm_conn *c = arg;
	bool local = c->state == HCM_CLOSING && !c->busy->remote_end;

	log_debug(LOG_CONN, "connection: [C%" PRIu64 "] ended, reason=%d error=%d", c->id, (int)why,
	    error);
	if (why == CONN_LINGER_TIMEOUT)
		stat_inc(&c->config->stats->downstream_cx_delayed_close_timeout);
	hcm_count_buffered(c);
	hcm_enter(c, HCM_CLOSED);
	hcm_count_closed(c, local);
	hcm_forget(c);
}

const struct conn_events hcm_conn_events = {
    .on_data = on_data,
    .on_eof = on_eof,
    .on_hangup = on_hangup,
    .on_high = on_high,
    .on_low = on_low,
    .on_written = on_written,
    .on_closed = on_closed,
};
