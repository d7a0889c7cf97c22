#include "admin/health/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/http/h2.h"
#include "lib/net/conn.h"
#include "lib/net/socket.h"

#define HIGH_WATERMARK (1u << 20)

struct wire {
	struct loop *loop;
	struct io io;
	struct conn conn;
	enum wire_kind kind;
	const struct codec_config *config; /* borrowed */
	const struct wire_events *events;
	void *arg;
	struct codec *codec;         /* NULL before it is connected, and for bytes */
	struct codec_stream *stream; /* of the open question */
	struct arena arena;          /* of the open question */
	struct headers *headers;
	struct buf body;
	size_t room;
	bool connecting, asking;     /* somebody waits for an event */
	bool closed;                 /* the owner let go: freed at the end of the turn */
	bool ended;                  /* carries nothing any more */
	bool refused;                /* GOAWAY left the question out */
	bool output_wanted;
	unsigned questions;
	uint64_t before; /* bytes received when the question was asked */
	struct flush flush;
};

/* ---- end */

static void
destroy(void *arg)
{
	struct wire *w = arg;

	codec_free(&w->codec);
	flush_cancel(&w->flush);
	buf_fini(&w->body);
	arena_fini(&w->arena);
	mem_free(w);
}

void
wire_close(struct wire **wp)
{
	struct wire *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	w->closed = true;
	flush_cancel(&w->flush);
	conn_abort(&w->conn);
	loop_defer(w->loop, destroy, w);
}

static enum wire_loss
loss_of(const struct wire *w, int error)
{
	switch (w->connecting ? error : 0) {
	case EADDRNOTAVAIL:
	case EADDRINUSE:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EAGAIN:
		return WIRE_LOCAL;
	default:
		break;
	}
	if (w->questions > 1 && (w->refused || w->conn.bytes_in == w->before))
		return WIRE_STALE;
	return WIRE_LOST;
}

static void
lose(struct wire *w, int error)
{
	enum wire_loss why = loss_of(w, error);
	bool tell = (w->connecting || w->asking) && !w->closed;

	w->ended = true;
	w->connecting = w->asking = false;
	if (tell)
		w->events->on_lost(w->arg, why);
}

/* ---- the codec's streams */

static void
answer(struct wire *w, const struct headers *trailers)
{
	struct wire_answer a = {w->headers, trailers, &w->body};

	if (w->closed || !w->asking)
		return;
	w->asking = false;
	w->events->on_answer(w->arg, &a);
}

static void
on_headers(void *arg, struct headers *h, bool end)
{
	struct wire *w = arg;

	w->headers = h;
	if (end)
		answer(w, NULL);
}

static void
on_stream_data(void *arg, struct buf *data, bool end)
{
	struct wire *w = arg;
	size_t room = w->room - w->body.len;

	buf_move_n(&w->body, data, data->len < room ? data->len : room);
	if (end)
		answer(w, NULL);
}

static void
on_trailers(void *arg, struct headers *trailers)
{
	answer(arg, trailers);
}

static void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct wire *w = arg;

	log_debug(LOG_HC, "question: reset, %s", details && details[0] ? details : "connection ended");
	w->stream = NULL;
	w->refused = why == RESET_REMOTE_REFUSED;
	if (!w->closed)
		lose(w, 0);
}

static void
on_done(void *arg)
{
	struct wire *w = arg;

	w->stream = NULL;
}

static void
on_nothing(void *arg)
{
}

static const struct stream_events stream_events = {
    .on_headers = on_headers,
    .on_data = on_stream_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_blocked = on_nothing,
    .on_unblocked = on_nothing,
    .on_done = on_done,
};

/* ---- the codec's connection */

static void
on_output(void *arg)
{
	struct wire *w = arg;

	w->output_wanted = true;
	if (!w->closed)
		loop_flush(w->loop, &w->flush);
}

static void
on_more(void *arg)
{
}

static void
on_broken(void *arg, const struct codec_error *e)
{
	struct wire *w = arg;

	w->ended = true;
}

static const struct codec_events codec_events = {
    .on_output = on_output,
    .on_more = on_more,
    .on_broken = on_broken,
};

static void
on_flush(void *arg)
{
	struct wire *w = arg;
	struct buf out;

	if (w->closed || !w->output_wanted || w->codec == NULL)
		return;
	w->output_wanted = false;
	buf_init(&out);
	codec_output(w->codec, &out);
	conn_write(&w->conn, &out);
	buf_fini(&out);
	conn_push(&w->conn);
}

/* ---- the socket */

static void
on_connected(void *arg)
{
	struct wire *w = arg;

	w->connecting = false;
	if (w->kind == WIRE_HTTP1)
		w->codec = h1_client_new(w->config, &codec_events, w);
	if (w->kind == WIRE_HTTP2) {
		w->codec = h2_client_new(w->config, &codec_events, w);
		on_output(w); /* the preface */
	}
	w->events->on_open(w->arg);
}

/* An idle wire holds no buffer: headers of an answer keep the bytes that were read. */
static void
let_go_of_answer(struct wire *w)
{
	w->headers = NULL;
	buf_drain(&w->body, w->body.len);
	arena_fini(&w->arena);
}

static void
after_feeding(struct wire *w)
{
	if (w->closed)
		return;
	if (w->codec->broken && w->asking)
		lose(w, 0);
	else if (w->stream)
		conn_expect(&w->conn);
	else if (!w->asking)
		let_go_of_answer(w);
}

static void
on_data(void *arg)
{
	struct wire *w = arg;

	if (w->codec == NULL) {
		if (w->asking)
			w->events->on_bytes(w->arg, &w->conn.in);
		else
			buf_drain(&w->conn.in, w->conn.in.len);
		return;
	}
	if (w->kind == WIRE_HTTP2)
		h2_set_now(w->codec, loop_now_ms(w->loop));
	if (!w->codec->broken)
		codec_feed(w->codec, &w->conn.in);
	after_feeding(w);
}

static void
on_eof(void *arg)
{
	struct wire *w = arg;

	if (w->codec && !w->codec->broken)
		codec_eof(w->codec);
	w->ended = true;
	if (!w->closed)
		conn_close(&w->conn, CLOSE_NOW, 0);
}

static void
on_watermark(void *arg)
{
}

static void
on_closed(void *arg, enum conn_end why, int error)
{
	struct wire *w = arg;

	if (!w->closed)
		lose(w, error);
}

static const struct conn_events conn_events = {
    .on_connected = on_connected,
    .on_data = on_data,
    .on_eof = on_eof,
    .on_high = on_watermark,
    .on_low = on_watermark,
    .on_closed = on_closed,
};

struct wire *
wire_open(struct loop *loop, const struct address *to, enum wire_kind kind,
    const struct codec_config *config, const struct wire_events *events, void *arg)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct wire *w;

	if (fd < 0)
		return NULL;
	if (address_is_ip(to))
		socket_nodelay(fd);
	w = mem_new(struct wire);
	w->loop = loop;
	w->kind = kind;
	w->config = config;
	w->events = events;
	w->arg = arg;
	w->connecting = true;
	w->flush.fn = on_flush;
	w->flush.arg = w;
	arena_init(&w->arena);
	buf_init(&w->body);
	/* The check's own timeout ends an attempt that takes too long. */
	conn_connect(&w->conn, &w->io, loop, fd, &to->sa, to->len, 0, &plain_transport,
	    HIGH_WATERMARK, &conn_events, w);
	return w;
}

/* ---- questions */

bool
wire_is_ready(const struct wire *w)
{
	if (w->ended || w->closed || w->connecting || w->asking || w->stream || w->conn.closed ||
	    w->conn.eof)
		return false;
	if (w->kind == WIRE_HTTP1)
		return w->codec->reusable && !w->codec->broken;
	if (w->kind == WIRE_HTTP2)
		return !w->codec->broken && !w->codec->goaway_received && w->codec->max_streams > 0;
	return true;
}

struct arena *
wire_arena(struct wire *w)
{
	return &w->arena;
}

static void
begin(struct wire *w)
{
	w->asking = true;
	w->questions++;
	w->before = w->conn.bytes_in;
}

void
wire_ask(struct wire *w, const struct headers *h, struct str body, size_t room)
{
	struct buf data;

	begin(w);
	w->room = room;
	w->stream = codec_request(w->codec);
	if (w->stream == NULL) { /* HTTP/2 with no stream allowed: as if it had ended */
		conn_close(&w->conn, CLOSE_NOW, 0);
		return;
	}
	w->stream->events = &stream_events;
	w->stream->arg = w;
	w->stream->arena = &w->arena;
	codec_send_headers(w->stream, h, body.n == 0);
	if (body.n == 0 || w->stream == NULL)
		return;
	buf_init(&data);
	buf_add(&data, body.p, body.n);
	codec_send_data(w->stream, &data, true);
	buf_fini(&data);
}

void
wire_send(struct wire *w, struct str bytes)
{
	struct buf data;

	begin(w);
	if (bytes.n == 0)
		return;
	buf_init(&data);
	buf_add(&data, bytes.p, bytes.n);
	conn_write(&w->conn, &data);
	buf_fini(&data);
	conn_push(&w->conn);
}

void
wire_settle(struct wire *w)
{
	w->asking = false;
	buf_drain(&w->conn.in, w->conn.in.len);
}

void
wire_look(struct wire *w)
{
	if (!w->connecting && !w->conn.closed)
		conn_kick(&w->conn);
}
