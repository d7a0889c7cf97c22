/* One client of the admin port: bytes to codec and back. */
#include <unistd.h>

#include "admin/admin.h"
#include "admin/web/server_private.h"
#include "lib/base/mem.h"

#define WRITE_HIGH (1024 * 1024)
#define LINGER_MS 1000

/* ---- what the codec tells */

static void
on_stream(void *arg, struct codec_stream *s)
{
	struct web_connection *c = arg;

	exchange_begin(c, s);
	web_connection_rearm(c);
}

static void
on_output(void *arg)
{
	struct web_connection *c = arg;

	loop_flush(c->web->a->loop, &c->flush);
}

static void
on_more(void *arg)
{
	struct web_connection *c = arg;

	conn_again(&c->conn);
}

static void
on_broken(void *arg, const struct codec_error *e)
{
	struct web_connection *c = arg;

	if (e)
		stat_inc(&c->web->http->downstream_cx_protocol_error);
	c->closing = true;
	loop_flush(c->web->a->loop, &c->flush);
}

static const struct codec_events codec_events = {on_stream, on_output, on_more, on_broken};

static void
write_out(void *arg)
{
	struct web_connection *c = arg;
	struct buf out;

	if (c->codec == NULL || c->conn.closed)
		return;
	buf_init(&out);
	codec_output(c->codec, &out);
	if (!buf_empty(&out))
		conn_write(&c->conn, &out);
	buf_fini(&out);
	conn_push(&c->conn);
	if (c->closing && !c->conn.closed)
		conn_close(&c->conn, CLOSE_FLUSH, LINGER_MS);
}

/* ---- what the socket tells */

static void
count_protocol(struct web_connection *c)
{
	struct http_stats *s = c->web->http;
	bool h2 = c->codec->protocol == HTTP_2;

	stat_inc(h2 ? &s->downstream_cx_http2_total : &s->downstream_cx_http1_total);
	stat_up(h2 ? &s->downstream_cx_http2_active : &s->downstream_cx_http1_active);
}

static bool
choose_codec(struct web_connection *c)
{
	enum h2_preface preface = h2_preface_test(&c->conn.in);

	if (preface == PREFACE_MAYBE)
		return false;
	c->codec = preface == PREFACE_YES ? h2_server_new(&c->web->codec, &codec_events, c)
					  : h1_server_new(&c->web->codec, &codec_events, c);
	count_protocol(c);
	return true;
}

static void
on_data(void *arg)
{
	struct web_connection *c = arg;

	if (c->closing || (c->codec == NULL && !choose_codec(c)))
		return;
	if (!c->codec->broken)
		codec_feed(c->codec, &c->conn.in);
}

static void
on_eof(void *arg)
{
	struct web_connection *c = arg;

	c->remote_ended = true;
	if (c->codec && !c->codec->broken)
		codec_eof(c->codec);
	if (list_empty(&c->exchanges) && !c->closing) {
		c->closing = true;
		conn_close(&c->conn, CLOSE_FLUSH, LINGER_MS);
	}
}

static void
on_high(void *arg)
{
	struct web_connection *c = arg;

	if (c->codec)
		codec_blocked(c->codec, true);
}

static void
on_low(void *arg)
{
	struct web_connection *c = arg;

	if (c->codec)
		codec_blocked(c->codec, false);
}

static void
on_written(void *arg, size_t n)
{
	struct web_connection *c = arg;

	web_connection_rearm(c);
}

static void
count_end(struct web_connection *c)
{
	struct web *w = c->web;
	uint64_t ms = (loop_now_ns(w->a->loop) - c->opened_ns) / 1000000;

	stat_inc(&w->http->downstream_cx_destroy);
	stat_down(&w->http->downstream_cx_active);
	stat_record(&w->http->downstream_cx_length_ms, ms);
	stat_add(&w->http->downstream_cx_rx_bytes_total, c->conn.bytes_in);
	stat_add(&w->http->downstream_cx_tx_bytes_total, c->conn.bytes_out);
	stat_inc(&w->listener->downstream_cx_destroy);
	stat_down(&w->listener->downstream_cx_active);
	stat_record(&w->listener->downstream_cx_length_ms, ms);
	if (c->codec)
		stat_down(c->codec->protocol == HTTP_2 ? &w->http->downstream_cx_http2_active
						       : &w->http->downstream_cx_http1_active);
}

static void
connection_free(void *arg)
{
	struct web_connection *c = arg;
	struct web *w = c->web;

	count_end(c);
	codec_free(&c->codec); /* resets what is open: each exchange ends itself */
	timer_stop(&c->timer);
	flush_cancel(&c->flush);
	list_remove(&c->node);
	mem_free(c);
	if (--w->count == 0 && w->ending)
		mem_free(w);
}

void
web_connection_abort(struct web_connection *c)
{
	if (c->conn.closed) /* on_closed is on its way */
		return;
	conn_abort(&c->conn);
	loop_defer(c->web->a->loop, connection_free, c);
}

static void
on_closed(void *arg, enum conn_end why, int error)
{
	struct web_connection *c = arg;
	struct http_stats *s = c->web->http;

	bool remote = c->remote_ended || why == CONN_REMOTE_CLOSE || why == CONN_REMOTE_RESET;

	stat_inc(remote ? &s->downstream_cx_destroy_remote : &s->downstream_cx_destroy_local);
	loop_defer(c->web->a->loop, connection_free, c);
}

static void
on_late(void *arg)
{
	struct web_connection *c = arg;

	stat_inc(&c->web->http->downstream_cx_idle_timeout);
	conn_close(&c->conn, CLOSE_NOW, 0);
}

/*
 * While a request is coming in its clock is not set back by single bytes;
 * while an answer leaves, each write does.
 */
void
web_connection_rearm(struct web_connection *c)
{
	uint64_t ms = list_empty(&c->exchanges) ? WEB_IDLE_MS : WEB_STALL_MS;

	list_for_each(n, &c->exchanges) {
		if (exchange_is_receiving(n)) {
			ms = WEB_REQUEST_MS;
			break;
		}
	}
	if (ms == WEB_REQUEST_MS && c->receiving)
		return;
	c->receiving = ms == WEB_REQUEST_MS;
	timer_set(c->web->a->loop, &c->timer, ms);
}

void
web_connection_open(struct web *w, int fd)
{
	static const struct conn_events events = {.on_data = on_data,
	    .on_eof = on_eof,
	    .on_high = on_high,
	    .on_low = on_low,
	    .on_written = on_written,
	    .on_closed = on_closed};
	struct web_connection *c = mem_new(struct web_connection);

	c->web = w;
	c->opened_ns = loop_now_ns(w->a->loop);
	c->flush = (struct flush){.fn = write_out, .arg = c};
	list_init(&c->exchanges);
	list_push_back(&w->connections, &c->node);
	w->count++;
	timer_init(&c->timer, on_late, c);
	timer_set(w->a->loop, &c->timer, WEB_REQUEST_MS);
	stat_inc(&w->http->downstream_cx_total);
	stat_up(&w->http->downstream_cx_active);
	stat_inc(&w->listener->downstream_cx_total);
	stat_up(&w->listener->downstream_cx_active);
	conn_open(
	    &c->conn, &c->io, w->a->loop, fd, &plain_transport, WRITE_HIGH, &events, c);
}
