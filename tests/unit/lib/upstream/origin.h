/*
 * A small upstream host in the test's own loop, speaking through the
 * server side of our codecs.  Requests are answered at once with 200, or
 * kept until the test answers them.
 */
#ifndef TESTS_UPSTREAM_ORIGIN_H
#define TESTS_UPSTREAM_ORIGIN_H

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/http/codec.h"
#include "lib/net/conn.h"
#include "lib/net/socket.h"

#define ORIGIN_MOST 256

struct origin;

struct origin_conn {
	struct origin *o;
	struct io io;
	struct conn conn;
	struct codec *codec;
	struct flush flush;
	bool ended;
};

struct origin_stream {
	struct origin_conn *c;
	struct codec_stream *s; /* NULL: over */
	struct arena arena;
	size_t body;
	bool complete, reset;
	struct headers *headers;
};

struct origin {
	struct loop *loop;
	struct io io;
	int fd;
	uint16_t port;
	bool http2;
	bool hold;       /* keep requests until origin_answer(), swallow what comes by a tunnel */
	bool hang_up;    /* close the connection instead of answering */
	bool half;       /* headers of an answer with a body that never comes */
	size_t big;      /* bytes of body in each answer */
	bool say_close;  /* HTTP/1: connection: close in each answer */
	struct codec_config config;
	struct http1_codec_stats h1_stats;
	struct http2_codec_stats h2_stats;
	struct origin_conn *conns[ORIGIN_MOST];
	unsigned conns_n;
	struct origin_stream *streams[ORIGIN_MOST];
	unsigned streams_n;
};

static inline void
origin_answer_big(struct origin_stream *t)
{
	static char block[65536];
	size_t left = t->c->o->big;
	char *length = arena_printf(&t->arena, "%zu", left);
	struct headers h;
	struct buf body;

	headers_init(&h, &t->arena);
	headers_set_status(&h, 200);
	headers_add_id(&h, HDR_CONTENT_LENGTH, str_of(length));
	codec_send_headers(t->s, &h, false);
	memset(block, 'x', sizeof(block));
	buf_init(&body);
	while (left) {
		size_t n = left < sizeof(block) ? left : sizeof(block);

		buf_add(&body, block, n);
		left -= n;
	}
	codec_send_data(t->s, &body, true);
	buf_fini(&body);
}

/* Accepts a tunnel; what comes through it is sent back. */
static inline void
origin_upgrade(struct origin_stream *t)
{
	struct headers h;

	headers_init(&h, &t->arena);
	headers_set_status(&h, 101);
	headers_add_id(&h, HDR_CONNECTION, STR("upgrade"));
	headers_add_id(&h, HDR_UPGRADE, STR("websocket"));
	codec_send_headers(t->s, &h, false);
}

static inline void
origin_answer(struct origin_stream *t)
{
	bool half = t->c->o->half;
	struct headers h;

	headers_init(&h, &t->arena);
	headers_set_status(&h, 200);
	headers_add_id(&h, HDR_CONTENT_LENGTH, half ? STR("9") : STR("0"));
	if (t->c->o->say_close)
		t->s->close_after = true;
	codec_send_headers(t->s, &h, !half);
}

static inline void
origin_stream_end(struct origin_stream *t, bool end)
{
	t->complete = end;
	if (end && t->c->o->hang_up)
		conn_close(&t->c->conn, CLOSE_NOW, 0);
	else if (end && t->c->o->big)
		origin_answer_big(t);
	else if (end && !t->c->o->hold)
		origin_answer(t);
}

static inline void
origin_on_headers(void *arg, struct headers *h, bool end)
{
	((struct origin_stream *)arg)->headers = h;
	if (headers_has(h, HDR_UPGRADE))
		origin_upgrade(arg);
	else
		origin_stream_end(arg, end);
}

static inline void
origin_on_data(void *arg, struct buf *data, bool end)
{
	struct origin_stream *t = arg;

	t->body += data->len;
	if (t->s->upgraded && !t->c->o->hold) {
		codec_send_data(t->s, data, end);
		return;
	}
	buf_drain(data, data->len);
	origin_stream_end(t, end);
}

static inline void
origin_on_trailers(void *arg, struct headers *h)
{
	origin_stream_end(arg, true);
}

static inline void
origin_on_error(void *arg, const struct codec_error *e)
{
	fail_msg("origin: %s", e->details);
}

static inline void
origin_on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct origin_stream *t = arg;

	t->reset = true;
	t->s = NULL;
}

static inline void
origin_on_done(void *arg)
{
	((struct origin_stream *)arg)->s = NULL;
}

static inline void
origin_ignore(void *arg)
{
}

static const struct stream_events origin_stream_events = {
    .on_headers = origin_on_headers,
    .on_data = origin_on_data,
    .on_trailers = origin_on_trailers,
    .on_error = origin_on_error,
    .on_reset = origin_on_reset,
    .on_blocked = origin_ignore,
    .on_unblocked = origin_ignore,
    .on_done = origin_on_done,
};

static inline void
origin_on_stream(void *arg, struct codec_stream *s)
{
	struct origin_conn *c = arg;
	struct origin_stream *t = mem_new(struct origin_stream);

	assert_true(c->o->streams_n < ORIGIN_MOST);
	c->o->streams[c->o->streams_n++] = t;
	t->c = c;
	t->s = s;
	arena_init(&t->arena);
	s->events = &origin_stream_events;
	s->arg = t;
	s->arena = &t->arena;
}

static inline void
origin_on_output(void *arg)
{
	struct origin_conn *c = arg;

	loop_flush(c->o->loop, &c->flush);
}

static inline void
origin_on_flush(void *arg)
{
	struct origin_conn *c = arg;
	struct buf out;

	if (c->conn.closed || c->codec == NULL)
		return;
	buf_init(&out);
	codec_output(c->codec, &out);
	conn_write(&c->conn, &out);
	buf_fini(&out);
	if (c->codec->broken)
		conn_close(&c->conn, CLOSE_FLUSH, 100);
}

static inline void
origin_on_broken(void *arg, const struct codec_error *e)
{
	origin_on_output(arg);
}

static const struct codec_events origin_codec_events = {
    .on_stream = origin_on_stream,
    .on_output = origin_on_output,
    .on_more = origin_ignore,
    .on_broken = origin_on_broken,
};

static inline void
origin_on_bytes(void *arg)
{
	struct origin_conn *c = arg;

	codec_feed(c->codec, &c->conn.in);
}

static inline void
origin_on_eof(void *arg)
{
	struct origin_conn *c = arg;

	codec_eof(c->codec);
	conn_close(&c->conn, CLOSE_NOW, 0);
}

static inline void
origin_on_closed(void *arg, enum conn_end why, int error)
{
	struct origin_conn *c = arg;

	c->ended = true;
	flush_cancel(&c->flush);
	codec_free(&c->codec);
	flush_cancel(&c->flush);
}

static const struct conn_events origin_conn_events = {
    .on_data = origin_on_bytes,
    .on_eof = origin_on_eof,
    .on_high = origin_ignore,
    .on_low = origin_ignore,
    .on_closed = origin_on_closed,
};

static inline void
origin_accept(void *arg, unsigned ready)
{
	struct origin *o = arg;
	struct origin_conn *c;
	int fd = accept4(o->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	assert_true(o->conns_n < ORIGIN_MOST);
	c = mem_new(struct origin_conn);
	o->conns[o->conns_n++] = c;
	c->o = o;
	c->flush.fn = origin_on_flush;
	c->flush.arg = c;
	c->codec = (o->http2 ? h2_server_new : h1_server_new)(&o->config, &origin_codec_events, c);
	conn_open(&c->conn, &c->io, o->loop, fd, &plain_transport, 1 << 20, &origin_conn_events, c);
	conn_kick(&c->conn);
}

static inline void
origin_open(struct origin *o, struct loop *l, bool http2)
{
	struct address a;
	struct err err;

	memset(o, 0, sizeof(*o));
	o->loop = l;
	o->http2 = http2;
	o->config = (struct codec_config){
	    .max_headers_bytes = 60 * 1024,
	    .max_headers_count = 100,
	    .high_watermark = 1 << 20,
	    .h1_stats = &o->h1_stats,
	    .h2_stats = &o->h2_stats,
	};
	http2_settings_defaults(&o->config.h2);
	assert_int_equal(address_parse(&a, STR("127.0.0.1:0"), &err), 0);
	o->fd = socket_bind(&a, &(struct socket_options){0}, &err);
	assert_true(o->fd >= 0);
	assert_int_equal(socket_listen(o->fd, &(struct socket_options){0}, &err), 0);
	address_local(&a, o->fd);
	o->port = address_port(&a);
	io_add_level(l, &o->io, o->fd, IO_READ, origin_accept, o);
}

/* No new connection is accepted; those there are go on. */
static inline void
origin_refuse(struct origin *o)
{
	io_del(&o->io);
	close(o->fd);
	o->fd = -1;
}

static inline void
origin_close(struct origin *o)
{
	if (o->fd >= 0)
		origin_refuse(o);
	for (unsigned i = 0; i < o->conns_n; i++)
		conn_close(&o->conns[i]->conn, CLOSE_NOW, 0);
	loop_turn(o->loop, false);
	for (unsigned i = 0; i < o->conns_n; i++)
		mem_free(o->conns[i]);
	for (unsigned i = 0; i < o->streams_n; i++) {
		arena_fini(&o->streams[i]->arena);
		mem_free(o->streams[i]);
	}
}

/* Turns of the loop until the condition holds; what the test itself asked for is flushed first. */
#define UNTIL(l, cond)                                                                             \
	for (bool wait_ = false; !(cond); wait_ = !wait_)                                          \
		loop_turn((l), wait_)

#endif
