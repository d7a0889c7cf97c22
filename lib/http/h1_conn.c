/*
 * The common half of the HTTP/1 codec.  A connection's owner (a worker's
 * or the admin's connection, a pool, a test) feeds it bytes and fetches
 * output; nothing here knows a socket or a clock.
 */
#include "lib/http/h1_private.h"

#include "lib/base/mem.h"
#include "lib/base/state.h"

#define KEPT_CONNS 64

#define READING_STATES(STATE)                                                                      \
	STATE(H1_READ_IDLE, "idle", TO(H1_READ_HEAD) | TO(H1_READ_NOTHING))                        \
	STATE(H1_READ_HEAD, "reading a head",                                                      \
	    TO(H1_READ_IDLE) | TO(H1_READ_BODY) | TO(H1_READ_WAIT) | TO(H1_READ_TUNNEL) |          \
		TO(H1_READ_NOTHING))                                                               \
	STATE(H1_READ_BODY, "reading a body", TO(H1_READ_WAIT) | TO(H1_READ_NOTHING))              \
	STATE(H1_READ_WAIT, "waiting for our side",                                                \
	    TO(H1_READ_IDLE) | TO(H1_READ_TUNNEL) | TO(H1_READ_NOTHING))                           \
	STATE(H1_READ_TUNNEL, "tunnel", TO(H1_READ_WAIT) | TO(H1_READ_NOTHING))                    \
	STATE(H1_READ_NOTHING, "throwing away", TO(H1_READ_NOTHING))

static const unsigned reading_edges[] = {READING_STATES(STATE_EDGES)};

void
h1_read_enter(struct h1_conn *c, enum h1_reading next)
{
	STATE_CHECK(reading, c->reading, next);
	c->reading = next;
}

/* A downstream connection has its codec for a request only: the process keeps some. */
static struct h1_conn *free_conns;
static unsigned free_conns_n;

static struct h1_conn *
take_conn(void)
{
	struct h1_conn *c = free_conns;

	if (c == NULL)
		return mem_new(struct h1_conn);
	free_conns = (struct h1_conn *)c->codec.arg;
	free_conns_n--;
	return c;
}

static void
give_conn(struct h1_conn *c)
{
	if (free_conns_n >= KEPT_CONNS) {
		mem_free(c);
		return;
	}
	c->codec.arg = free_conns;
	free_conns = c;
	free_conns_n++;
}

/* Stream, parse, judge and body begin with each message. */
struct h1_conn *
h1_conn_new(const struct codec_config *cfg, const struct codec_events *events, void *arg,
    const struct codec_ops *ops, bool server)
{
	struct h1_conn *c = take_conn();

	c->codec = (struct codec){.ops = ops,
	    .config = cfg,
	    .events = events,
	    .arg = arg,
	    .protocol = HTTP_11,
	    .server = server,
	    .max_streams = 1,
	    .reusable = !server};
	c->stream.open = c->stream.blocked = false;
	buf_init(&c->out);
	buf_init(&c->held);
	c->error = NULL;
	c->left = 0;
	c->reading = H1_READ_IDLE;
	c->turn = 0;
	c->empty_lines = 0;
	c->feeding = c->in_trailers = c->eof = c->closing = false;
	c->conn_blocked = c->asked = c->wake = false;
	return c;
}

struct codec_stream *
h1_stream_open(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;

	/* headers, trailers and `in` begin with the message they are of */
	st->s = (struct codec_stream){.codec = &c->codec, .protocol = HTTP_11, .id = ++c->turn};
	st->framing = H1_NO_BODY;
	st->left = 0;
	st->infos = 0;
	st->open = true;
	st->sent_head = st->in_done = st->out_done = false;
	st->paused = st->blocked = st->upgrade = st->connect = false;
	c->codec.streams = 1;
	c->codec.streams_total++;
	c->in_trailers = false;
	return &st->s;
}

static void
part(struct h1_stream *st)
{
	if (st->joined)
		st->joined->joined = NULL;
	st->joined = NULL;
}

void
h1_stream_close(struct h1_conn *c)
{
	part(&c->stream);
	c->stream.open = false;
	c->codec.streams = 0;
}

void
h1_break(struct h1_conn *c)
{
	h1_read_enter(c, H1_READ_NOTHING);
	if (c->codec.broken)
		return;
	c->codec.broken = true;
	c->codec.reusable = false;
	c->codec.events->on_broken(c->codec.arg, c->error);
}

void
h1_ask_output(struct h1_conn *c)
{
	if (c->asked)
		return;
	c->asked = true;
	c->codec.events->on_output(c->codec.arg);
}

void
h1_wake(struct h1_conn *c)
{
	c->wake = true;
	h1_ask_output(c);
}

void
h1_tell_output(struct h1_conn *c, bool above)
{
	struct h1_stream *st = &c->stream;

	st->blocked = above;
	if (above)
		st->s.events->on_blocked(st->s.arg);
	else
		st->s.events->on_unblocked(st->s.arg);
}

/* ---- reading */

/*
 * Usually a head lies in the first slice.  Else it is made one piece, with
 * room behind it, so that the next bytes of a dripping head join it there.
 */
enum h1_progress
h1_scan(struct h1_conn *c, struct buf *in)
{
	struct slice *first = buf_slice(in, 0);
	enum h1_progress progress = h1_parse(&c->parse, slice_data(first), first->len);
	size_t most = (size_t)c->codec.config->max_headers_bytes + 1;

	if (progress != H1_MORE || first->len == in->len)
		return progress;
	if (most > in->len)
		most = in->len;
	return h1_parse(&c->parse, buf_pullup(in, most), most);
}

static void
drop_chunk(void *arg)
{
	struct chunk *chunk = arg;

	chunk_unref(&chunk);
}

void
h1_keep_scanned(struct h1_conn *c, struct buf *in)
{
	arena_on_fini(c->stream.s.arena, drop_chunk, chunk_ref(buf_slice(in, 0)->chunk));
	buf_drain(in, c->parse.at);
}

static void
start_trailers(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;
	uint32_t fields = c->parse.fields;

	c->in_trailers = true;
	headers_init(&st->trailers, st->s.arena);
	h1_parse_start(&c->parse, H1_TRAILERS, &st->trailers, c->codec.config);
	c->parse.fields = fields; /* one limit for both */
	c->parse.drop = !c->codec.config->h1.enable_trailers;
}

/* The last chunk was read; *complete when everything behind it was, too. */
static enum h1_error
read_trailers(struct h1_conn *c, struct buf *in, bool *complete)
{
	if (!c->in_trailers)
		start_trailers(c);
	if (buf_empty(in))
		return H1_OK;
	switch (h1_scan(c, in)) {
	case H1_FAILED:
		return c->parse.error;
	case H1_COMPLETE:
		if (!h1_judge_bytes(&c->judge, c->parse.base, c->parse.at) || !c->judge.complete)
			return H1_JUDGE;
		*complete = true;
		if (c->stream.trailers.len)
			h1_keep_scanned(c, in);
		else
			buf_drain(in, c->parse.at);
		return H1_OK;
	default:
		return H1_OK;
	}
}

/* `data` is dropped when nobody took it. */
static void
tell_data(struct h1_conn *c, struct buf *data, bool end)
{
	struct codec_stream *s = &c->stream.s;

	s->bytes_in += data->len;
	s->events->on_data(s->arg, data, end);
}

struct headers *
h1_lasting(struct h1_stream *st, const struct headers *h)
{
	struct headers *copy = arena_alloc(st->s.arena, sizeof(*copy));

	*copy = *h;
	return copy;
}

enum h1_error
h1_read_body(struct h1_conn *c, struct buf *in)
{
	struct h1_stream *st = &c->stream;
	uint32_t turn = c->turn;
	bool complete, trailers;
	enum h1_error e;
	struct buf data;

	buf_init(&data);
	e = h1_body_take(&c->body, in, &data);
	complete = h1_body_complete(&c->body);
	if (e == H1_OK && h1_body_at_trailers(&c->body))
		e = read_trailers(c, in, &complete);
	trailers = complete && c->in_trailers && st->trailers.len > 0;
	if (complete) {
		st->in_done = true;
		h1_read_enter(c, H1_READ_WAIT);
	}
	if (!buf_empty(&data) || (complete && !trailers))
		tell_data(c, &data, complete && !trailers);
	buf_fini(&data);
	if (!h1_alive(c, turn))
		return H1_OK;
	if (trailers)
		st->s.events->on_trailers(st->s.arg, h1_lasting(st, &st->trailers));
	return e;
}

void
h1_find_unseen(struct h1_conn *c, const struct buf *in)
{
	bool may = c->stream.open && c->stream.s.unseen;
	uint64_t left = may ? h1_body_unseen(&c->body) : 0;

	c->codec.unseen = left > in->len ? left - in->len : 0;
}

/* What h1_send_data() does with the bytes of a tunnel. */
static void
pass_on(struct h1_stream *to, struct buf *in)
{
	struct h1_conn *c = h1_conn_of_stream(&to->s);

	if (to->out_done) {
		buf_drain(in, in->len);
		return;
	}
	to->s.bytes_out += in->len;
	buf_move(&c->out, in);
	h1_watch_output(c);
	h1_ask_output(c);
}

static __attribute__((noinline)) void
tell_tunnel(struct h1_conn *c, struct buf *in)
{
	struct buf data;

	buf_init(&data);
	buf_move(&data, in);
	tell_data(c, &data, false);
	buf_fini(&data);
}

void
h1_read_tunnel(struct h1_conn *c, struct buf *in)
{
	struct h1_stream *st = &c->stream;

	if (st->joined == NULL) {
		tell_tunnel(c, in);
		return;
	}
	st->s.bytes_in += in->len;
	pass_on(st->joined, in);
}

void
h1_end_by_eof(struct h1_conn *c)
{
	struct buf nothing;

	buf_init(&nothing);
	c->stream.in_done = true;
	h1_read_enter(c, H1_READ_WAIT);
	tell_data(c, &nothing, true);
	buf_fini(&nothing);
}

void
h1_join(struct codec_stream *a, struct codec_stream *b)
{
	if (a->codec->protocol == HTTP_2 || b->codec->protocol == HTTP_2 || !a->upgraded ||
	    !b->upgraded)
		return;
	h1_conn_of_stream(a)->stream.joined = &h1_conn_of_stream(b)->stream;
	h1_conn_of_stream(b)->stream.joined = &h1_conn_of_stream(a)->stream;
}

/* ---- operations */

void
h1_output(struct codec *codec, struct buf *out)
{
	struct h1_conn *c = h1_conn_of(codec);
	bool wake = c->wake;

	c->asked = c->wake = false;
	buf_move(out, &c->out);
	if (UNLIKELY(c->stream.blocked || c->conn_blocked)) /* less waits than before */
		h1_watch_output(c);
	if (c->stream.out_done)
		c->settle(c);
	if (wake && !codec->broken)
		codec->events->on_more(codec->arg);
}

void
h1_blocked(struct codec *codec, bool blocked)
{
	struct h1_conn *c = h1_conn_of(codec);

	c->conn_blocked = blocked;
	h1_watch_output(c);
}

/* HTTP/1 has no word for it: the owner says connection: close. */
void
h1_goaway(struct codec *codec, bool final)
{
}

void
h1_ping(struct codec *codec)
{
}

void
h1_free(struct codec *codec)
{
	struct h1_conn *c = h1_conn_of(codec);
	struct codec_stream *s = &c->stream.s;

	codec->broken = true;
	if (c->stream.open) {
		h1_stream_close(c);
		s->events->on_reset(s->arg, RESET_CONNECTION_CLOSED, "");
	}
	buf_fini(&c->out);
	buf_fini(&c->held);
	give_conn(c);
}

/* Body bytes in the framing that the head announced, and no byte more. */
static void
write_body(struct h1_conn *c, struct buf *data)
{
	struct h1_stream *st = &c->stream;
	size_t n = data->len;

	switch (st->framing) {
	case H1_NO_BODY:
		n = 0;
		break;
	case H1_LENGTH:
		if (n > st->left) { /* the rest would be read as another message */
			n = (size_t)st->left;
			c->closing = true;
		}
		st->left -= n;
		buf_move_n(&c->out, data, n);
		break;
	case H1_CHUNKED:
		if (n)
			h1_encode_chunk(&c->out, data);
		break;
	case H1_UNTIL_CLOSE:
		buf_move(st->s.upgraded || c->codec.server ? &c->out : &c->held, data);
		break;
	}
	st->s.bytes_out += n;
	buf_drain(data, data->len);
}

static void
end_body(struct h1_conn *c, const struct headers *trailers)
{
	struct h1_stream *st = &c->stream;
	const struct http1_settings *s = &c->codec.config->h1;

	st->out_done = true;
	if (st->framing == H1_CHUNKED)
		h1_encode_last_chunk(&c->out, s->enable_trailers ? trailers : NULL, s->proper_case);
	else if (st->framing == H1_UNTIL_CLOSE || (st->framing == H1_LENGTH && st->left))
		c->closing = true;
}

void
h1_send_data(struct codec_stream *s, struct buf *data, bool end)
{
	struct h1_conn *c = h1_conn_of_stream(s);

	ASSERT(c->stream.sent_head);
	if (c->stream.out_done) {
		buf_drain(data, data->len);
		return;
	}
	write_body(c, data);
	if (end)
		end_body(c, NULL);
	h1_watch_output(c);
	h1_ask_output(c);
}

void
h1_send_trailers(struct codec_stream *s, const struct headers *t)
{
	struct h1_conn *c = h1_conn_of_stream(s);

	ASSERT(c->stream.sent_head);
	if (c->stream.out_done)
		return;
	end_body(c, t);
	h1_ask_output(c);
}

void
h1_pause(struct codec_stream *s, bool paused)
{
	struct h1_conn *c = h1_conn_of_stream(s);

	c->stream.paused = paused;
	if (!paused && (c->left || c->eof) && !c->codec.broken)
		h1_wake(c);
}
