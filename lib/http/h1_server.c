/*
 * HTTP/1, server side: requests in, responses out.  Run by workers for
 * downstream connections and by admin for its port.
 *
 * A request is read as far as its end; the next one waits in the owner's
 * buffer until the response to the first is complete (pipelining is order,
 * not concurrency).  A refused request gets on_error, its answer says
 * connection: close, and nothing that follows it is looked at.
 */
#include "lib/http/h1_private.h"

#include "lib/http/status.h"
#include "lib/http/validate.h"

#define MAX_EMPTY_LINES 2 /* in front of a request: old clients end a body with one */

static void
fail(struct h1_conn *c, enum h1_error e)
{
	struct h1_stream *st = &c->stream;

	h1_error_count(c->codec.config->h1_stats, e);
	c->error = h1_error_info(e);
	c->closing = st->s.close_after = true;
	st->in_done = true;
	h1_read_enter(c, H1_READ_NOTHING);
	if (!st->out_done)
		st->s.events->on_error(st->s.arg, c->error);
}

/* Both directions complete and fetched: forget the stream, go on or end. */
static void
settle(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;

	if (!st->open || !st->out_done || !buf_empty(&c->out))
		return;
	if (!st->in_done && st->s.upgraded)
		return; /* a tunnel lives until both ends are done */
	if (!st->in_done || st->s.close_after)
		c->closing = true; /* what is left of an unread request cannot be skipped */
	h1_stream_close(c);
	st->s.events->on_done(st->s.arg);
	if (c->closing) {
		h1_break(c);
		return;
	}
	h1_read_enter(c, H1_READ_IDLE);
	c->empty_lines = 0;
	c->codec.events->on_more(c->codec.arg);
}

/* ---- requests */

static void
open_stream(struct h1_conn *c)
{
	struct codec_stream *s = h1_stream_open(c);

	h1_read_enter(c, H1_READ_HEAD);
	c->codec.events->on_stream(c->codec.arg, s);
	ASSERT(s->events && s->arena);
	headers_init(&c->stream.headers, s->arena);
	h1_parse_start(&c->parse, H1_REQUEST, &c->stream.headers, c->codec.config);
}

/* True when there is something to read behind the empty lines. */
static bool
begin_request(struct h1_conn *c, struct buf *in)
{
	if (!buf_empty(in) && *slice_data(buf_slice(in, 0)) != '\r') {
		open_stream(c);
		return true;
	}
	while (!buf_empty(in)) {
		char line[2] = "";
		size_t n = buf_peek(in, line, 2);

		if (line[0] == '\r' && n == 1)
			return false;
		if (line[0] != '\r' || line[1] != '\n') {
			open_stream(c);
			return true;
		}
		if (++c->empty_lines > MAX_EMPTY_LINES) {
			open_stream(c);
			fail(c, H1_EMPTY_LINES);
			return true;
		}
		buf_drain(in, 2);
	}
	return false;
}

static enum h1_error
judge_request(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;
	enum h1_error e = h1_check_request(&c->parse, &st->in);

	if (e)
		return e;
	if (!h1_judge_head(&c->judge, &c->parse, &st->in, c->parse.base, c->parse.at))
		return H1_JUDGE;
	return H1_OK;
}

/* The head is complete and sound. */
static void
tell_request(struct h1_conn *c, struct buf *in)
{
	struct h1_stream *st = &c->stream;
	bool end = st->in.framing == H1_NO_BODY && !st->in.tunnel;
	struct str method = headers_get(&st->headers, HDR_METHOD);

	h1_keep_scanned(c, in);
	st->s.protocol = c->parse.minor ? HTTP_11 : HTTP_10;
	st->s.head_request = str_eqz(method, "HEAD");
	st->s.close_after |= st->in.close;
	st->connect = str_eqz(method, "CONNECT");
	st->upgrade = st->in.tunnel && !st->connect;
	st->in_done = end;
	h1_body_start(&c->body, &c->judge, &st->in);
	h1_read_enter(c, end || st->in.tunnel ? H1_READ_WAIT : H1_READ_BODY);
	st->s.events->on_headers(st->s.arg, h1_lasting(st, &st->headers), end);
}

/* True when the machine went on. */
static bool
read_head(struct h1_conn *c, struct buf *in)
{
	enum h1_error e;

	if (buf_empty(in))
		return false;
	switch (h1_scan(c, in)) {
	case H1_MORE:
		return false;
	case H1_FAILED:
		fail(c, c->parse.error);
		return true;
	default:
		e = judge_request(c);
		if (e)
			fail(c, e);
		else
			tell_request(c, in);
		return true;
	}
}

static bool
read_body(struct h1_conn *c, struct buf *in)
{
	uint32_t turn = c->turn;
	enum h1_error e;

	if (buf_empty(in))
		return false;
	e = h1_read_body(c, in);
	if (e && h1_alive(c, turn) && c->reading == H1_READ_BODY)
		fail(c, e);
	return c->reading != H1_READ_BODY;
}

static bool
throw_away(struct h1_conn *c, struct buf *in, bool count)
{
	struct http1_codec_stats *stats = c->codec.config->h1_stats;

	if (count && stats && !buf_empty(in))
		stat_inc(&stats->rejected_after_close);
	buf_drain(in, in->len);
	return false;
}

/* Their request is complete: what follows is the next one, unless they said there is none. */
static bool
wait_for_answer(struct h1_conn *c, struct buf *in)
{
	if (!c->stream.in.close || c->stream.in.tunnel || buf_empty(in))
		return false;
	h1_read_enter(c, H1_READ_NOTHING);
	return throw_away(c, in, true);
}

/* The answer is complete before the request: nobody wants the rest. */
static bool
is_answered(const struct h1_conn *c)
{
	const struct h1_stream *st = &c->stream;

	return st->open && st->out_done && !st->in_done && !st->s.upgraded;
}

static bool
step(struct h1_conn *c, struct buf *in)
{
	if (c->stream.open && c->stream.paused)
		return false;
	if (is_answered(c))
		h1_read_enter(c, H1_READ_NOTHING);
	switch (c->reading) {
	case H1_READ_IDLE:
		return begin_request(c, in);
	case H1_READ_HEAD:
		return read_head(c, in);
	case H1_READ_BODY:
		return read_body(c, in);
	case H1_READ_WAIT:
		return wait_for_answer(c, in);
	case H1_READ_TUNNEL: /* takes all */
		if (!buf_empty(in))
			h1_read_tunnel(c, in);
		return false;
	case H1_READ_NOTHING:
		return throw_away(c, in, false);
	}
	UNREACHABLE();
}

/* No byte will come behind what was read. */
static void
end_input(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;

	switch (c->reading) {
	case H1_READ_HEAD:
	case H1_READ_BODY:
		h1_stream_close(c);
		h1_read_enter(c, H1_READ_NOTHING);
		st->s.events->on_reset(st->s.arg, RESET_CONNECTION_CLOSED, "");
		h1_break(c);
		break;
	case H1_READ_TUNNEL:
		h1_end_by_eof(c);
		h1_ask_output(c); /* settles there */
		break;
	case H1_READ_WAIT:
		st->s.close_after = true;
		break;
	default:
		break;
	}
}

/* FIN was seen: has everything in front of it been read?  An unfinished request never will be. */
static void
check_eof(struct h1_conn *c)
{
	bool unfinished = c->reading == H1_READ_HEAD || c->reading == H1_READ_BODY;

	if (c->eof && (c->left == 0 || unfinished) && !(c->stream.open && c->stream.paused))
		end_input(c);
}

static void
server_feed(struct codec *codec, struct buf *in)
{
	struct h1_conn *c = h1_conn_of(codec);

	if (c->feeding) /* asked for from inside an event: the loop below goes on anyway */
		return;
	c->feeding = true;
	while (step(c, in))
		;
	c->feeding = false;
	c->left = in->len;
	h1_note_unseen(c, in);
	check_eof(c);
}

static void
server_eof(struct codec *codec)
{
	struct h1_conn *c = h1_conn_of(codec);

	c->eof = true;
	check_eof(c);
}

static struct codec_stream *
server_request(struct codec *codec)
{
	return NULL;
}

/* ---- responses */

static bool
is_tunnel_answer(const struct h1_stream *st, unsigned status)
{
	return (st->upgrade && status == 101) || (st->connect && status >= 200 && status < 300);
}

/* Framing of the answer: one of length, chunks, the connection's end, or none. */
static void
choose_framing(
    struct h1_conn *c, const struct headers *h, unsigned status, bool end, struct h1_encode *e)
{
	struct h1_stream *st = &c->stream;
	bool bodiless = st->s.head_request || status_is_bodiless(status);

	h1_encode_length(e, h);
	if (is_tunnel_answer(st, status)) {
		h1_encode_set_length(e, false, 0);
		e->upgrade = st->upgrade;
		st->framing = H1_UNTIL_CLOSE;
		st->s.upgraded = true;
	} else if (bodiless) {
		if (status < 200 || status == 204)
			h1_encode_set_length(e, false, 0);
		st->framing = H1_NO_BODY;
	} else if (end) {
		h1_encode_set_length(e, true, 0);
		st->framing = H1_NO_BODY;
	} else if (e->has_length) {
		st->framing = H1_LENGTH;
		st->left = e->length;
	} else if (st->s.protocol == HTTP_11) {
		e->chunked = true;
		st->framing = H1_CHUNKED;
	} else {
		st->s.close_after = true;
		st->framing = H1_UNTIL_CLOSE;
	}
}

/* What the answer says about the connection. */
static const char *
choose_connection(struct h1_conn *c, bool end)
{
	struct h1_stream *st = &c->stream;

	if (st->s.upgraded)
		return NULL;
	if (st->upgrade || st->connect || (end && !st->in_done) || c->reading == H1_READ_HEAD)
		st->s.close_after =
		    true; /* bytes of a refused tunnel or unread request may follow */
	if (st->s.close_after)
		return "close";
	return st->s.protocol == HTTP_10 ? "keep-alive" : NULL;
}

static void
start_tunnel(struct h1_conn *c)
{
	c->closing = true;
	if (c->reading != H1_READ_WAIT)
		return;
	h1_read_enter(c, H1_READ_TUNNEL);
	if (c->left || c->eof)
		h1_wake(c);
}

static void
server_send_headers(struct codec_stream *s, const struct headers *h, bool end)
{
	struct h1_conn *c = h1_conn_of_stream(s);
	struct h1_stream *st = &c->stream;
	unsigned status = headers_status(h);
	struct h1_encode e = {.proper_case = c->codec.config->h1.proper_case,
	    .http10 = s->protocol == HTTP_10 && c->codec.config->h1.accept_http_10};

	ASSERT(!st->sent_head && status);
	choose_framing(c, h, status, end, &e);
	e.connection = choose_connection(c, end);
	h1_encode_response(&c->out, h, &e);
	st->sent_head = true;
	st->out_done = end;
	if (s->upgraded)
		start_tunnel(c);
	else if (st->upgrade || st->connect)
		st->in_done = true;
	h1_watch_output(c);
	h1_ask_output(c);
}

static void
server_send_info(struct codec_stream *s, const struct headers *h)
{
	struct h1_conn *c = h1_conn_of_stream(s);
	struct h1_encode e = {.proper_case = c->codec.config->h1.proper_case};
	unsigned status = headers_status(h);

	if (c->stream.sent_head || s->protocol == HTTP_10 || status < 100 || status > 199 ||
	    status == 101)
		return;
	h1_encode_response(&c->out, h, &e);
	h1_ask_output(c);
}

static void
server_reset(struct codec_stream *s, enum stream_reset why)
{
	struct h1_conn *c = h1_conn_of_stream(s);

	h1_stream_close(c);
	h1_break(c);
}

static const struct codec_ops server_ops = {
    .feed = server_feed,
    .eof = server_eof,
    .output = h1_output,
    .blocked = h1_blocked,
    .request = server_request,
    .goaway = h1_goaway,
    .ping = h1_ping,
    .free = h1_free,
    .send_headers = server_send_headers,
    .send_info = server_send_info,
    .send_data = h1_send_data,
    .send_trailers = h1_send_trailers,
    .reset = server_reset,
    .pause = h1_pause,
};

struct codec *
h1_server_new(const struct codec_config *cfg, const struct codec_events *events, void *arg)
{
	struct h1_conn *c = h1_conn_new(cfg, events, arg, &server_ops, true);

	c->settle = settle;
	return &c->codec;
}
