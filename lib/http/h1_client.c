/*
 * HTTP/1, client side: requests out, responses in.  Run by workers for
 * upstream connections, and by admin for health checks.
 *
 * An answer whose end is in doubt, or a byte that no request asked for,
 * ends the connection: it must never become part of another's answer.
 */
#include "lib/http/h1_private.h"

#include "lib/base/assert.h"
#include "lib/http/validate.h"

#define MAX_INFOS 16 /* 1xx answers to one request */

/* The connection is lost; so is the stream, if there is one. */
static void
fail(struct h1_conn *c, enum h1_error e)
{
	struct h1_stream *st = &c->stream;

	h1_error_count(c->codec.config->h1_stats, e);
	c->error = h1_error_info(e);
	c->codec.reusable = false;
	h1_read_enter(c, H1_READ_NOTHING);
	if (st->open) {
		h1_stream_close(c);
		st->s.events->on_reset(st->s.arg, RESET_PROTOCOL_ERROR, c->error->details);
	}
	h1_break(c);
}

static void
settle(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;

	if (!st->open || !st->in_done || !st->out_done || !buf_empty(&c->out))
		return;
	h1_stream_close(c);
	if (!c->closing) {
		h1_read_enter(c, H1_READ_IDLE);
		c->codec.reusable = !c->eof; /* FIN may have come while the answer was paused */
	}
	st->s.events->on_done(st->s.arg);
	if (c->closing)
		h1_break(c);
}

/* ---- responses */

static void
begin_response(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;

	headers_init(&st->headers, st->s.arena);
	h1_parse_start(&c->parse, H1_RESPONSE, &st->headers, c->codec.config);
}

static void
tell_info(struct h1_conn *c, struct buf *in)
{
	struct h1_stream *st = &c->stream;
	struct headers info = st->headers;
	uint32_t turn = c->turn;

	h1_keep_scanned(c, in);
	if (++st->infos > MAX_INFOS) {
		fail(c, H1_RESPONSE_FRAMING);
		return;
	}
	if (st->s.events->on_info)
		st->s.events->on_info(st->s.arg, &info);
	if (h1_alive(c, turn))
		begin_response(c);
}

/* Our bytes that waited for a 101 leave, or are dropped with its refusal. */
static void
answer_tunnel(struct h1_conn *c, bool granted)
{
	struct h1_stream *st = &c->stream;

	if (granted) {
		st->s.upgraded = true;
		buf_move(&c->out, &c->held);
		if (!buf_empty(&c->out))
			h1_ask_output(c);
		return;
	}
	buf_drain(&c->held, c->held.len);
	st->out_done = true;
	c->closing = true;
}

static void
tell_response(struct h1_conn *c, struct buf *in)
{
	struct h1_stream *st = &c->stream;
	bool end = st->in.framing == H1_NO_BODY;
	uint32_t turn = c->turn;

	h1_keep_scanned(c, in);
	c->closing |= st->in.close;
	st->s.protocol = c->parse.minor ? HTTP_11 : HTTP_10;
	st->in_done = end;
	h1_body_start(&c->body, &c->judge, &st->in);
	h1_read_enter(c, end ? H1_READ_WAIT : st->in.tunnel ? H1_READ_TUNNEL : H1_READ_BODY);
	if (st->upgrade || st->connect)
		answer_tunnel(c, st->in.tunnel);
	if (h1_alive(c, turn))
		st->s.events->on_headers(st->s.arg, h1_lasting(st, &st->headers), end);
}

static enum h1_error
judge_response(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;
	struct h1_question q = {st->s.head_request, st->upgrade, st->connect};
	enum h1_error e = h1_check_response(&c->parse, &q, &st->in);

	if (e)
		return e;
	if (!h1_judge_head(&c->judge, &c->parse, &st->in, c->parse.base, c->parse.at))
		return H1_JUDGE;
	return H1_OK;
}

static void
take_head(struct h1_conn *c, struct buf *in)
{
	enum h1_error e = judge_response(c);

	if (e)
		fail(c, e);
	else if (c->parse.status < 200 && c->parse.status != 101)
		tell_info(c, in);
	else
		tell_response(c, in);
}

static bool
read_head(struct h1_conn *c, struct buf *in)
{
	if (buf_empty(in))
		return false;
	if (!c->stream.sent_head) {
		fail(c, H1_IDLE_DATA);
		return true;
	}
	switch (h1_scan(c, in)) {
	case H1_MORE:
		return false;
	case H1_FAILED:
		fail(c, c->parse.error);
		return true;
	default:
		take_head(c, in);
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
	if (e && h1_alive(c, turn))
		fail(c, e);
	return c->reading != H1_READ_BODY;
}

/* The answer is complete: a byte behind it belongs to nobody. */
static bool
wait_for_request(struct h1_conn *c, struct buf *in)
{
	if (buf_empty(in))
		return false;
	if (!c->closing) {
		h1_error_count(c->codec.config->h1_stats, H1_IDLE_DATA);
		c->error = h1_error_info(H1_IDLE_DATA);
	}
	c->closing = true;
	buf_drain(in, in->len);
	return false;
}

static bool
step(struct h1_conn *c, struct buf *in)
{
	if (c->stream.open && c->stream.paused)
		return false;
	switch (c->reading) {
	case H1_READ_IDLE:
		if (!buf_empty(in))
			fail(c, H1_IDLE_DATA);
		return !buf_empty(in);
	case H1_READ_HEAD:
		return read_head(c, in);
	case H1_READ_BODY:
		return read_body(c, in);
	case H1_READ_WAIT:
		return wait_for_request(c, in);
	case H1_READ_TUNNEL: /* takes all */
		if (!buf_empty(in))
			h1_read_tunnel(c, in);
		return false;
	case H1_READ_NOTHING:
		buf_drain(in, in->len);
		return false;
	}
	UNREACHABLE();
}

static bool
ends_with_connection(const struct h1_conn *c)
{
	return c->reading == H1_READ_TUNNEL ||
	       (c->reading == H1_READ_BODY && c->stream.in.framing == H1_UNTIL_CLOSE);
}

static void
end_input(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;

	c->closing = true;
	c->codec.reusable = false;
	if (!st->open || c->reading == H1_READ_WAIT)
		return;
	if (c->reading == H1_READ_BODY && ends_with_connection(c) &&
	    !h1_judge_bytes(&c->judge, NULL, 0)) {
		fail(c, H1_JUDGE);
	} else if (ends_with_connection(c)) {
		h1_end_by_eof(c);
		settle(c);
	} else {
		h1_stream_close(c);
		h1_read_enter(c, H1_READ_NOTHING);
		st->s.events->on_reset(st->s.arg, RESET_CONNECTION_CLOSED, "");
		h1_break(c);
	}
}

static void
client_feed(struct codec *codec, struct buf *in)
{
	struct h1_conn *c = h1_conn_of(codec);

	if (c->feeding)
		return;
	c->feeding = true;
	while (step(c, in))
		;
	c->feeding = false;
	c->left = in->len;
	h1_note_unseen(c, in);
	if (c->reading == H1_READ_WAIT)
		settle(c);
	if (c->eof && !(c->stream.open && c->stream.paused))
		end_input(c);
}

static void
client_eof(struct codec *codec)
{
	struct h1_conn *c = h1_conn_of(codec);

	c->eof = true;
	c->codec.reusable = false;
	if (!(c->stream.open && c->stream.paused))
		end_input(c);
}

/* ---- requests */

static struct codec_stream *
client_request(struct codec *codec)
{
	struct h1_conn *c = h1_conn_of(codec);

	if (codec->broken || c->stream.open || !codec->reusable)
		return NULL;
	codec->reusable = false;
	h1_read_enter(c, H1_READ_HEAD);
	return h1_stream_open(c);
}

/* RFC 9110, 9.3: of these nobody expects a content-length of zero. */
static bool
expects_no_body(struct str method)
{
	return str_eqz(method, "GET") || str_eqz(method, "HEAD") || str_eqz(method, "DELETE") ||
	       str_eqz(method, "CONNECT") || str_eqz(method, "TRACE");
}

static void
choose_framing(struct h1_stream *st, const struct headers *h, bool end, struct h1_encode *e)
{
	h1_encode_length(e, h);
	if (st->upgrade || st->connect) {
		h1_encode_set_length(e, false, 0);
		st->framing = H1_UNTIL_CLOSE;
	} else if (end) {
		h1_encode_set_length(
		    e, e->has_length || !expects_no_body(headers_get(h, HDR_METHOD)), 0);
		st->framing = H1_NO_BODY;
	} else if (e->has_length) {
		st->framing = H1_LENGTH;
		st->left = e->length;
	} else {
		e->chunked = true;
		st->framing = H1_CHUNKED;
	}
}

static bool
asks_upgrade(const struct headers *h)
{
	return headers_has(h, HDR_UPGRADE) && str_ieqz(headers_get(h, HDR_CONNECTION), "upgrade");
}

/* Nothing was written: whoever made this request made it wrong. */
static void
refuse(struct h1_conn *c)
{
	struct h1_stream *st = &c->stream;

	h1_stream_close(c);
	h1_read_enter(c, H1_READ_IDLE);
	c->codec.reusable = true;
	st->s.events->on_reset(st->s.arg, RESET_LOCAL, "http1.invalid_request_headers");
}

static void
client_send_headers(struct codec_stream *s, const struct headers *h, bool end)
{
	struct h1_conn *c = h1_conn_of_stream(s);
	struct h1_stream *st = &c->stream;
	const struct http1_settings *cfg = &c->codec.config->h1;
	struct h1_encode e = {
	    .proper_case = cfg->proper_case, .absolute = cfg->send_fully_qualified_url};
	struct str method = headers_get(h, HDR_METHOD);

	ASSERT(!st->sent_head && s->events && s->arena);
	s->head_request = str_eqz(method, "HEAD");
	st->connect = str_eqz(method, "CONNECT");
	st->upgrade = e.upgrade = asks_upgrade(h);
	choose_framing(st, h, end, &e);
	if (!h1_encode_request(&c->out, h, &e)) {
		refuse(c);
		return;
	}
	st->sent_head = true;
	st->out_done = end;
	begin_response(c);
	h1_watch_output(c);
	h1_ask_output(c);
}

static void
client_send_info(struct codec_stream *s, const struct headers *h)
{
}

static void
client_reset(struct codec_stream *s, enum stream_reset why)
{
	struct h1_conn *c = h1_conn_of_stream(s);
	bool untouched = !c->stream.sent_head && !c->eof;

	h1_stream_close(c);
	if (untouched) {
		h1_read_enter(c, H1_READ_IDLE);
		c->codec.reusable = true;
		return;
	}
	h1_break(c);
}

static const struct codec_ops client_ops = {
    .feed = client_feed,
    .eof = client_eof,
    .output = h1_output,
    .blocked = h1_blocked,
    .request = client_request,
    .goaway = h1_goaway,
    .ping = h1_ping,
    .free = h1_free,
    .send_headers = client_send_headers,
    .send_info = client_send_info,
    .send_data = h1_send_data,
    .send_trailers = h1_send_trailers,
    .reset = client_reset,
    .pause = h1_pause,
};

struct codec *
h1_client_new(const struct codec_config *cfg, const struct codec_events *events, void *arg)
{
	struct h1_conn *c = h1_conn_new(cfg, events, arg, &client_ops, false);

	c->settle = settle;
	return &c->codec;
}
