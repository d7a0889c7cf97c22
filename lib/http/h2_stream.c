/*
 * One HTTP/2 stream: its life, what waits in it in both directions, its
 * windows, and when its receiver is told what.
 *
 * Flow control.  Bytes that were told, and whose receiver did not pause,
 * are given back to both windows at once.  While a stream is paused its
 * own window stays shut; so that it does not starve the others, the
 * connection's window is given back for what waits until `high_watermark`
 * bytes of the whole connection were.  A connection therefore holds at
 * most its window and that many bytes.
 */
#include "lib/http/h2_private.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"

#define KEPT_STREAMS 256 /* free ones a process keeps */
#define SMALL_PIECE 64   /* copied: a slice costs as much */

STATE_TABLE(in, H2_IN_STATES)
STATE_TABLE(out, H2_OUT_STATES)

static struct h2_stream *free_streams;
static unsigned free_count;

static const nghttp2_data_provider body = {.read_callback = h2_read_body};

/* ---- life */

static void
log_step(const struct h2_stream *s, const char *way, const char *from, const char *to)
{
	log_trace(LOG_HTTP2, "stream: %s, id=%u from='%s' to='%s'", way, s->pub.id, from, to);
}

void
h2_stream_in_enter(struct h2_stream *s, enum h2_in next)
{
	STATE_CHECK(in, s->in_state, next);
	log_step(s, "receiving", in_state_names[s->in_state], in_state_names[next]);
	s->in_state = next;
}

void
h2_stream_out_enter(struct h2_stream *s, enum h2_out next)
{
	STATE_CHECK(out, s->out_state, next);
	log_step(s, "sending", out_state_names[s->out_state], out_state_names[next]);
	s->out_state = next;
}

static struct h2_stream *
take_free(void)
{
	struct h2_stream *s = free_streams;

	if (s == NULL)
		return mem_new(struct h2_stream);
	free_streams = s->next_free;
	free_count--;
	*s = (struct h2_stream){0};
	return s;
}

struct h2_stream *
h2_stream_new(struct h2 *h2)
{
	struct h2_stream *s = take_free();

	s->h2 = h2;
	s->pub.codec = &h2->codec;
	s->pub.protocol = HTTP_2;
	buf_init(&s->in);
	buf_init(&s->out);
	list_push_back(&h2->streams, &s->link);
	h2->codec.streams++;
	h2->codec.streams_total++;
	stat_up(&h2->config.h2_stats->streams_active);
	return s;
}

void
h2_stream_hold(struct h2_stream *s)
{
	s->busy++;
}

void
h2_stream_release(struct h2_stream *s)
{
	if (--s->busy || !s->forgotten)
		return;
	if (free_count == KEPT_STREAMS) {
		mem_free(s);
		return;
	}
	s->next_free = free_streams;
	free_streams = s;
	free_count++;
}

static void
move_pending(struct h2_stream *s, int64_t by)
{
	if (by)
		stat_move(&s->h2->config.h2_stats->pending_send_bytes, by);
}

/* The owner will not use it again; nghttp2 may still know its id. */
static void
forget(struct h2_stream *s)
{
	struct h2 *h2 = s->h2;

	s->forgotten = true;
	list_remove(&s->link);
	list_remove(&s->dirty);
	if (h2->heading == s)
		h2->heading = NULL;
	h2->codec.streams--;
	h2->more = true;
	stat_down(&h2->config.h2_stats->streams_active);
	move_pending(s, -(int64_t)s->out.len);
	buf_fini(&s->in);
	buf_fini(&s->out);
	h2->credited -= s->credited;
	nghttp2_session_consume_connection(h2->session, s->owed - s->credited);
	if (s->open)
		nghttp2_session_set_stream_user_data(h2->session, (int32_t)s->pub.id, NULL);
}

void
h2_stream_dirty(struct h2_stream *s)
{
	if (!list_linked(&s->dirty))
		list_push_back(&s->h2->dirty, &s->dirty);
}

void
h2_stream_doom(struct h2_stream *s, enum stream_reset why, const char *details)
{
	s->doomed = true;
	s->why = why;
	s->details = details;
	h2_stream_dirty(s);
}

/* While the other side takes nothing, resets heap up like answers to its PINGs. */
static void
send_rst(struct h2_stream *s, uint32_t code)
{
	struct h2 *h2 = s->h2;

	if (!s->open || h2->codec.broken)
		return;
	nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, (int32_t)s->pub.id, code);
	if (h2->blocked)
		h2_check(h2, h2_limits_control(&h2->limits));
}

void
h2_stream_kill(struct h2_stream *s, uint32_t code, enum stream_reset why, const char *details)
{
	h2_stream_hold(s);
	send_rst(s, code);
	forget(s);
	s->pub.events->on_reset(s->pub.arg, why, details);
	h2_stream_release(s);
}

/* ---- windows */

static void
give_back(struct h2_stream *s)
{
	struct h2 *h2 = s->h2;

	if (s->owed == 0)
		return;
	if (s->open)
		nghttp2_session_consume_stream(h2->session, (int32_t)s->pub.id, s->owed);
	nghttp2_session_consume_connection(h2->session, s->owed - s->credited);
	h2->credited -= s->credited;
	s->owed = s->credited = 0;
}

/* Paused: the connection's window only, and only so far. */
static void
give_credit(struct h2_stream *s)
{
	struct h2 *h2 = s->h2;
	size_t n = s->owed - s->credited, limit = h2->config.high_watermark;
	size_t left = limit > h2->credited ? limit - h2->credited : 0;

	if (n > left)
		n = left;
	if (n == 0)
		return;
	nghttp2_session_consume_connection(h2->session, n);
	s->credited += n;
	h2->credited += n;
}

void
h2_stream_received(struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct chunk *c = s->h2->feeding;
	const char *bytes = (const char *)p;

	s->pub.bytes_in += n;
	if (s->in_state == H2_IN_DONE || (s->out_state == H2_OUT_DONE && !s->pub.upgraded &&
					     s->h2->codec.server)) {
		nghttp2_session_consume(s->h2->session, (int32_t)s->pub.id, n);
		return;
	}
	s->owed += n;
	if (c && n >= SMALL_PIECE && bytes >= c->data && bytes + n <= c->data + c->used)
		buf_add_slice(&s->in, c, (uint32_t)(bytes - c->data), (uint32_t)n);
	else
		buf_add(&s->in, p, n);
	h2_stream_dirty(s);
}

/* ---- telling */

static void
tell_data(struct h2_stream *s)
{
	bool end = s->in_state == H2_IN_LAST && s->trailers == NULL;
	struct buf data;

	if (buf_empty(&s->in) && !end)
		return;
	buf_init(&data);
	buf_move(&data, &s->in);
	if (end)
		h2_stream_in_enter(s, H2_IN_DONE);
	s->pub.events->on_data(s->pub.arg, &data, end);
	buf_fini(&data);
}

static void
tell_received(struct h2_stream *s)
{
	if (!s->paused)
		tell_data(s);
	if (!s->forgotten && !s->paused && s->in_state == H2_IN_LAST) {
		h2_stream_in_enter(s, H2_IN_DONE);
		s->pub.events->on_trailers(s->pub.arg, s->trailers);
	}
	if (s->forgotten)
		return;
	if (s->paused)
		give_credit(s);
	else
		give_back(s);
}

static void
tell_blocked(struct h2_stream *s)
{
	size_t high = s->h2->config.high_watermark;
	bool above = high && s->out.len > (s->blocked_told ? high / 2 : high);
	bool blocked = s->h2->blocked || above;

	if (blocked == s->blocked_told || s->closed)
		return;
	s->blocked_told = blocked;
	if (blocked)
		s->pub.events->on_blocked(s->pub.arg);
	else
		s->pub.events->on_unblocked(s->pub.arg);
}

/* Did it end as it should?  A server's stream is complete with its response, whatever became of the
 * rest of the request. */
static bool
ended_well(const struct h2_stream *s)
{
	if (s->h2->codec.server)
		return s->out_state == H2_OUT_DONE;
	return s->close_code == NGHTTP2_NO_ERROR && s->in_state >= H2_IN_LAST;
}

static void
tell_end(struct h2_stream *s)
{
	bool well = ended_well(s);
	bool waits = s->in_state == H2_IN_LAST || !buf_empty(&s->in);

	if (well && waits && (!s->h2->codec.server || s->pub.upgraded))
		return; /* paused: the rest is told later */
	forget(s);
	if (well)
		s->pub.events->on_done(s->pub.arg);
	else
		s->pub.events->on_reset(s->pub.arg, s->why, s->details);
}

void
h2_stream_settle(struct h2_stream *s)
{
	h2_stream_hold(s);
	if (s->doomed)
		h2_stream_kill(s, NGHTTP2_INTERNAL_ERROR, s->why, s->details);
	if (!s->forgotten)
		tell_received(s);
	if (!s->forgotten)
		tell_blocked(s);
	if (!s->forgotten && s->closed)
		tell_end(s);
	h2_stream_release(s);
}

/* ---- sending */

static bool
takes_nothing(const struct h2_stream *s)
{
	return s->forgotten || s->closed || s->doomed || s->h2->codec.broken;
}

void
h2_stream_resume(struct h2_stream *s)
{
	if (!s->deferred || !s->open)
		return;
	s->deferred = false;
	nghttp2_session_resume_data(s->h2->session, (int32_t)s->pub.id);
}

void
h2_stream_drained(struct h2_stream *s, size_t n)
{
	s->pub.bytes_out += n;
	move_pending(s, -(int64_t)n);
	if (s->blocked_told)
		h2_stream_dirty(s);
}

static void
submit_request(struct h2_stream *s, const struct headers *h, bool end)
{
	size_t n;
	nghttp2_nv *nv = h2_fields(s, h, &n);
	int32_t id = nghttp2_submit_request(s->h2->session, NULL, nv, n, end ? NULL : &body, s);

	if (id < 0) {
		h2_stream_doom(s, RESET_LOCAL_REFUSED, "http2.no_stream_left");
		return;
	}
	s->pub.id = (uint32_t)id;
	s->open = true;
}

/* An upgrade needs the other side's consent (RFC 8441 3), which comes with its first SETTINGS. */
static void
request_upgrade(struct h2_stream *s, const struct headers *h, bool end)
{
	nghttp2_session *session = s->h2->session;

	if (!s->h2->settings_known) {
		s->held = h;
		s->held_end = end;
		return;
	}
	s->held = NULL;
	if (nghttp2_session_get_remote_settings(
		session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1)
		submit_request(s, h, end);
	else
		h2_stream_doom(s, RESET_LOCAL_REFUSED, "http2.extended_connect_not_enabled");
}

void
h2_stream_settings_came(struct h2_stream *s)
{
	if (s->held)
		request_upgrade(s, s->held, s->held_end);
}

static void
send_request(struct h2_stream *s, const struct headers *h, bool end)
{
	s->pub.head_request = str_eq(headers_get(h, HDR_METHOD), STR("HEAD"));
	if (headers_has(h, HDR_CONNECTION))
		s->upgrade = headers_get(h, HDR_UPGRADE);
	if (s->upgrade.n)
		request_upgrade(s, h, end);
	else
		submit_request(s, h, end);
}

static void
send_response(struct h2_stream *s, const struct headers *h, bool end)
{
	size_t n;
	nghttp2_nv *nv = h2_fields(s, h, &n);

	if (s->upgrade.n && headers_status(h) == 101)
		s->pub.upgraded = true;
	if (nghttp2_submit_response(s->h2->session, (int32_t)s->pub.id, nv, n,
		end ? NULL : &body) != 0)
		h2_stream_doom(s, RESET_LOCAL, "http2.headers_not_sent");
}

void
h2_stream_send_headers(struct codec_stream *cs, const struct headers *h, bool end)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2 *h2 = s->h2;

	if (takes_nothing(s) || s->out_state != H2_OUT_HEAD)
		return;
	h2_enter(h2);
	h2_stream_out_enter(s, end ? H2_OUT_LAST : H2_OUT_BODY);
	if (h2->codec.server)
		send_response(s, h, end);
	else
		send_request(s, h, end);
	h2_leave(h2);
}

void
h2_stream_send_info(struct codec_stream *cs, const struct headers *h)
{
	struct h2_stream *s = h2_stream_of(cs);
	size_t n;
	nghttp2_nv *nv;

	if (takes_nothing(s) || s->out_state != H2_OUT_HEAD)
		return;
	h2_enter(s->h2);
	nv = h2_fields(s, h, &n);
	nghttp2_submit_headers(
	    s->h2->session, NGHTTP2_FLAG_NONE, (int32_t)cs->id, NULL, nv, n, NULL);
	h2_leave(s->h2);
}

void
h2_stream_send_data(struct codec_stream *cs, struct buf *data, bool end)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2 *h2 = s->h2;

	if (takes_nothing(s) || s->out_state != H2_OUT_BODY) {
		buf_drain(data, data->len);
		return;
	}
	h2_enter(h2);
	move_pending(s, (int64_t)data->len);
	buf_move(&s->out, data);
	if (end)
		h2_stream_out_enter(s, H2_OUT_LAST);
	if (!h2->blocked || buf_empty(&s->out))
		h2_stream_resume(s);
	h2_stream_dirty(s);
	h2_leave(h2);
}

void
h2_stream_send_trailers(struct codec_stream *cs, const struct headers *t)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2 *h2 = s->h2;

	if (takes_nothing(s) || s->out_state != H2_OUT_BODY)
		return;
	h2_enter(h2);
	s->trailers_out = t->len ? t : NULL;
	h2_stream_out_enter(s, H2_OUT_LAST);
	if (!h2->blocked || buf_empty(&s->out))
		h2_stream_resume(s);
	h2_leave(h2);
}

static uint32_t
code_of(const struct h2_stream *s, enum stream_reset why)
{
	switch (why) {
	case RESET_LOCAL_REFUSED:
	case RESET_REMOTE_REFUSED:
		return NGHTTP2_REFUSED_STREAM;
	case RESET_PROTOCOL_ERROR:
		return NGHTTP2_PROTOCOL_ERROR;
	case RESET_OVERFLOW:
		return NGHTTP2_ENHANCE_YOUR_CALM;
	default:
		return s->h2->codec.server ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL;
	}
}

void
h2_stream_reset(struct codec_stream *cs, enum stream_reset why)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2 *h2 = s->h2;

	if (s->forgotten)
		return;
	h2_enter(h2);
	h2_stream_hold(s);
	send_rst(s, code_of(s, why));
	forget(s);
	h2_stream_release(s);
	h2_leave(h2);
}

void
h2_stream_pause(struct codec_stream *cs, bool paused)
{
	struct h2_stream *s = h2_stream_of(cs);
	struct h2 *h2 = s->h2;

	if (s->forgotten || s->paused == paused)
		return;
	s->paused = paused;
	if (paused)
		return;
	h2_enter(h2);
	h2_stream_dirty(s);
	h2_leave(h2);
}
