/*
 * What nghttp2 asks and tells while it writes, inside codec_output()
 * only.  Bodies are moved, not copied, from the stream to the output;
 * small ones are copied, since a slice costs more than its bytes.  No
 * event is told here and no callback fails: nghttp2 would lose its place.
 */
#include "lib/http/h2_private.h"

#define SMALL_BODY 1024

/* Copies the first n bytes of the body. */
static void
put_small(struct h2 *h2, struct buf *body, size_t n)
{
	while (n) {
		struct slice *s = buf_slice(body, 0);
		size_t k = n < s->len ? n : s->len;

		h2_put(h2, slice_data(s), k);
		buf_drain(body, k);
		n -= k;
	}
}

static int
send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
    nghttp2_data_source *source, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (s == NULL || s->out.len < length)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	h2_put(h2, head, 9);
	if (length <= SMALL_BODY)
		put_small(h2, &s->out, length);
	else
		buf_move_n(h2->out, &s->out, length);
	h2_stream_drained(s, length);
	h2->batch += length;
	return h2->batch >= H2_BATCH ? NGHTTP2_ERR_PAUSE : 0;
}

static void
submit_trailers(struct h2_stream *s)
{
	size_t n;
	nghttp2_nv *nv = h2_fields(s, s->trailers_out, &n);

	if (nghttp2_submit_trailer(s->h2->session, (int32_t)s->pub.id, nv, n) != 0)
		h2_stream_doom(s, RESET_LOCAL, "http2.trailers_not_sent");
}

ssize_t
h2_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	bool last;

	if (s == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	last = s->out_state == H2_OUT_LAST;
	if (s->out.len ? h2->blocked : !last) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (s->out.len > length)
		return (ssize_t)length;
	if (last)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (last && s->trailers_out) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		submit_trailers(s);
	}
	return (ssize_t)s->out.len;
}

/* Our side is complete.  A server's stream ends with it: what is left of the request is not wanted
 * (RFC 9113 8.1), but the two directions of a tunnel end apart. */
static void
sent_end(struct h2 *h2, struct h2_stream *s)
{
	int32_t id = (int32_t)s->pub.id;

	h2_stream_out_enter(s, H2_OUT_DONE);
	if (h2->codec.server && !s->pub.upgraded &&
	    nghttp2_session_get_stream_remote_close(h2->session, id) == 0)
		nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
}

static void
sent_goaway(struct h2 *h2, uint32_t code)
{
	stat_inc(&h2->config.h2_stats->goaway_sent);
	if (code != NGHTTP2_NO_ERROR) /* nghttp2's own decision, unless we have failed before */
		h2_fail(h2, code, RESET_PROTOCOL_ERROR, NULL);
}

static int
on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *s;

	h2_limits_sent(&h2->limits, frame->hd.type == NGHTTP2_DATA);
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (s && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			sent_end(h2, s);
		break;
	case NGHTTP2_GOAWAY:
		sent_goaway(h2, frame->goaway.error_code);
		break;
	case NGHTTP2_RST_STREAM:
		stat_inc(&h2->config.h2_stats->tx_reset);
		break;
	}
	return 0;
}

static int
on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2_stream *s;

	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (s && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		s->not_sent = true; /* its end is told next */
	else if (s && s->open)
		h2_stream_doom(s, RESET_LOCAL, "http2.headers_not_sent");
	return 0;
}

void
h2_send_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
}
