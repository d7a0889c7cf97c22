/*
 * What nghttp2 tells while it reads: frames become stream events.  Heads
 * are told at once; data and ends wait for the end of the feed, so that a
 * stream gets what one read brought in one piece.
 *
 * What breaks the rules of messages ends the connection, as in Envoy,
 * unless stream_error_on_invalid limits it to the stream.
 */
#include "lib/http/h2_private.h"

#include "lib/http/validate.h"

#define DETAILS_FIELD "http2.invalid.header.field"
#define DETAILS_RULE "http2.violation.of.messaging.rule"
#define DETAILS_UNKNOWN "http2.unknown.nghttp2.error"

static const struct codec_error bad_field = {400, DETAILS_FIELD};
static const struct codec_error bad_rule = {400, DETAILS_RULE};

static struct h2_stream *
stream_by_id(struct h2 *h2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2->session, id);
}

int
h2_messaging_error(struct h2 *h2, struct h2_stream *s, const char *details)
{
	stat_inc(&h2->config.h2_stats->rx_messaging_error);
	h2->tally.resets_caused++;
	if (!h2->config.h2.stream_error_on_invalid)
		return h2_fail(h2, NGHTTP2_PROTOCOL_ERROR, RESET_PROTOCOL_ERROR,
		    strcmp(details, DETAILS_FIELD) == 0 ? &bad_field : &bad_rule);
	if (s)
		h2_stream_kill(s, NGHTTP2_PROTOCOL_ERROR, RESET_PROTOCOL_ERROR, details);
	return h2_check(h2, h2_limits_reset(&h2->limits));
}

/* ---- frames */

static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2 *h2 = arg;

	if (h2->failure)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return h2_check(h2, h2_limits_frame(&h2->limits, hd->type, hd->flags, hd->length));
}

/* A request begins: the owner takes the stream, or resets it at once. */
static struct h2_stream *
begin_request(struct h2 *h2, int32_t id)
{
	struct h2_stream *s = h2_stream_new(h2);

	s->pub.id = (uint32_t)id;
	s->open = true;
	nghttp2_session_set_stream_user_data(h2->session, id, s);
	h2->tally.streams++;
	h2->limits.streams_opened++;
	h2_stream_hold(s);
	h2->codec.events->on_stream(h2->codec.arg, &s->pub);
	if (s->forgotten) {
		h2_stream_release(s);
		return NULL;
	}
	ASSERT(s->pub.events && s->pub.arena);
	h2_stream_release(s);
	return s;
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s;

	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		s = begin_request(h2, frame->hd.stream_id);
	else
		s = stream_by_id(h2, frame->hd.stream_id);
	h2->heading = s;
	if (s)
		h2_block_begin(s);
	else if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		stat_inc(&h2->config.h2_stats->headers_cb_no_stream);
	return 0;
}

static void
overflow(struct h2_stream *s)
{
	stat_inc(&s->h2->config.h2_stats->header_overflow);
	h2_stream_kill(s, NGHTTP2_INTERNAL_ERROR,
	    s->h2->codec.server ? RESET_OVERFLOW : RESET_PROTOCOL_ERROR, "http2.too_many_headers");
}

static struct str
str_of_rcbuf(nghttp2_rcbuf *b)
{
	nghttp2_vec v = nghttp2_rcbuf_get_buf(b);

	return str_make((const char *)v.base, v.len);
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct h2_stream *s = ((struct h2 *)arg)->heading;

	if (s == NULL)
		return 0;
	switch (h2_block_add(s, str_of_rcbuf(name), str_of_rcbuf(value))) {
	case H2_FIELD_OVERFLOW:
		overflow(s);
		break;
	case H2_FIELD_UNDERSCORE:
		h2_stream_kill(s, NGHTTP2_PROTOCOL_ERROR, RESET_PROTOCOL_ERROR,
		    "http2.unexpected_underscore");
		break;
	case H2_FIELD_OK:
		break;
	}
	return 0;
}

/* nghttp2 would drop the field and go on; a message that changed is worse than none. */
static int
on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct h2_stream *s = ((struct h2 *)arg)->heading;

	return s ? h2_messaging_error(arg, s, DETAILS_FIELD) : 0;
}

static int
on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2 *h2 = arg;

	switch (error) {
	case NGHTTP2_ERR_REFUSED_STREAM:
		stat_inc(&h2->config.h2_stats->stream_refused_errors);
		return 0;
	case NGHTTP2_ERR_HTTP_HEADER:
		return h2_messaging_error(h2, stream_by_id(h2, frame->hd.stream_id), DETAILS_FIELD);
	case NGHTTP2_ERR_HTTP_MESSAGING:
		return h2_messaging_error(h2, stream_by_id(h2, frame->hd.stream_id), DETAILS_RULE);
	case NGHTTP2_ERR_FLOW_CONTROL:
		return h2_fail(h2, NGHTTP2_FLOW_CONTROL_ERROR, RESET_PROTOCOL_ERROR, NULL);
	case NGHTTP2_ERR_STREAM_CLOSED:
		return h2_fail(h2, NGHTTP2_STREAM_CLOSED, RESET_PROTOCOL_ERROR, NULL);
	case NGHTTP2_ERR_FRAME_SIZE_ERROR:
		return h2_fail(h2, NGHTTP2_FRAME_SIZE_ERROR, RESET_PROTOCOL_ERROR, NULL);
	default:
		return h2_fail(h2, NGHTTP2_PROTOCOL_ERROR, RESET_PROTOCOL_ERROR, NULL);
	}
}

/* ---- whole messages */

static void
received_end(struct h2_stream *s)
{
	if (s->in_state == H2_IN_BODY)
		h2_stream_in_enter(s, H2_IN_LAST);
	h2_stream_dirty(s);
}

/* What nghttp2 lets through and HTTP/1 could not carry costs the stream only. */
static bool
refused(struct h2_stream *s, const char *guard)
{
	if (guard == NULL)
		return false;
	stat_inc(&s->h2->config.h2_stats->rx_messaging_error);
	h2_stream_kill(s, NGHTTP2_PROTOCOL_ERROR, RESET_PROTOCOL_ERROR, DETAILS_RULE);
	return true;
}

static void
received_trailers(struct h2_stream *s)
{
	if (s->in_state != H2_IN_BODY || refused(s, validate_trailers(s->block)))
		return;
	s->trailers = s->block;
	if (s->h2->codec.server)
		stat_inc(&s->h2->config.h2_stats->trailers);
	received_end(s);
}

static void
received_request(struct h2_stream *s, bool end)
{
	const struct codec_error *e = h2_block_to_request(s);

	h2_stream_in_enter(s, end || e ? H2_IN_DONE : H2_IN_BODY);
	if (e)
		s->pub.events->on_error(s->pub.arg, e);
	else
		s->pub.events->on_headers(s->pub.arg, s->block, end);
}

static void
received_response(struct h2_stream *s, bool end)
{
	if (refused(s, validate_response_headers(s->block)))
		return;
	if (headers_status(s->block) < 200) {
		s->pub.events->on_info(s->pub.arg, s->block);
		return;
	}
	h2_block_to_response(s);
	h2_stream_in_enter(s, end ? H2_IN_DONE : H2_IN_BODY);
	s->pub.events->on_headers(s->pub.arg, s->block, end);
}

static void
on_head(struct h2_stream *s, bool end)
{
	h2_stream_hold(s);
	if (s->in_state != H2_IN_HEAD)
		received_trailers(s);
	else if (s->h2->codec.server)
		received_request(s, end);
	else
		received_response(s, end);
	s->block = NULL;
	s->h2->heading = NULL;
	h2_stream_release(s);
}

static int
on_data(struct h2 *h2, struct h2_stream *s, const nghttp2_frame *frame)
{
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	const struct codec_error *flood = NULL;

	if (frame->hd.flags & NGHTTP2_FLAG_PADDED)
		flood = h2_limits_data(&h2->limits, frame->hd.length == frame->data.padlen, end);
	if (s && end)
		received_end(s);
	return h2_check(h2, flood);
}

static int
on_rst(struct h2 *h2, struct h2_stream *s)
{
	stat_inc(&h2->config.h2_stats->rx_reset);
	h2->tally.resets++;
	if (s) {
		s->peer_reset = true;
		if (h2->codec.server && s->out_state == H2_OUT_HEAD)
			h2->tally.resets_early++;
	}
	return h2->codec.server ? h2_check(h2, h2_limits_reset(&h2->limits)) : 0;
}

static void
on_settings(struct h2 *h2)
{
	uint32_t most = nghttp2_session_get_remote_settings(
	    h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	h2->settings_known = h2->more = true;
	h2->codec.max_streams = most < h2->config.h2.max_concurrent_streams
				    ? most
				    : h2->config.h2.max_concurrent_streams;
	list_for_each(n, &h2->streams)
		h2_stream_settings_came(list_entry(n, struct h2_stream, link));
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s = frame->hd.stream_id ? stream_by_id(h2, frame->hd.stream_id) : NULL;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (s && s->block)
			on_head(s, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
		return 0;
	case NGHTTP2_DATA:
		return on_data(h2, s, frame);
	case NGHTTP2_RST_STREAM:
		return on_rst(h2, s);
	case NGHTTP2_SETTINGS:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
			on_settings(h2);
		return 0;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			h2->codec.last_ping_answer++;
		return 0;
	case NGHTTP2_GOAWAY:
		h2->codec.goaway_received = h2->more = true;
		return 0;
	default:
		return 0;
	}
}

static int
on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct h2_stream *s = stream_by_id(arg, id);

	if (s)
		h2_stream_received(s, p, n);
	else
		nghttp2_session_consume_connection(session, n);
	return 0;
}

/* ---- the end of a stream, in reading or writing; never fails: nghttp2 would lose its place */

static void
say_why(struct h2_stream *s, uint32_t code)
{
	bool refused = code == NGHTTP2_REFUSED_STREAM || s->not_sent;

	s->why = refused ? RESET_REMOTE_REFUSED : RESET_REMOTE;
	s->details = refused ? "http2.remote_refuse" : "http2.remote_reset";
	if (s->peer_reset || refused || code == NGHTTP2_NO_ERROR)
		return;
	s->why = RESET_PROTOCOL_ERROR; /* nghttp2 ended it for what the other side sent */
	s->details = code == NGHTTP2_PROTOCOL_ERROR ? DETAILS_RULE : DETAILS_UNKNOWN;
	h2_messaging_error(s->h2, NULL, s->details);
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct h2_stream *s = stream_by_id(arg, id);

	if (s == NULL)
		return 0;
	s->open = false;
	s->closed = true;
	s->close_code = code;
	say_why(s, code);
	h2_stream_dirty(s);
	return 0;
}

void
h2_recv_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}
