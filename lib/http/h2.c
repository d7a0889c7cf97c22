/*
 * The HTTP/2 codec, server and client side: one nghttp2 session, its
 * settings, and what concerns the whole connection.  Run by workers and
 * by admin.  The session owns its streams until they are forgotten and is
 * deleted in h2_free() only, never inside a callback.
 *
 * Nothing is sent from inside codec calls: nghttp2 queues, and
 * codec_output() lets it write a whole turn at once.
 */
#include "lib/http/h2_private.h"

#include "lib/base/mem.h"
#include "lib/http/h2_mem.h"

#define FEWEST_CONTINUATIONS 32 /* for peers that cut heads into small pieces */
#define FRAME 16384
#define LONGEST_HEAD_SENT (16u << 20)

/* Ends of a connection by GOAWAY code, for those that nghttp2 decides on its own. */
static const struct codec_error ended_by_code[] = {
	[NGHTTP2_NO_ERROR] = {0, "http2.connection_closed"},
	[NGHTTP2_PROTOCOL_ERROR] = {400, "http2.protocol_error"},
	[NGHTTP2_INTERNAL_ERROR] = {400, "http2.internal_error"},
	[NGHTTP2_FLOW_CONTROL_ERROR] = {400, "http2.flow_control_error"},
	[NGHTTP2_SETTINGS_TIMEOUT] = {400, "http2.settings_timeout"},
	[NGHTTP2_STREAM_CLOSED] = {400, "http2.stream_closed"},
	[NGHTTP2_FRAME_SIZE_ERROR] = {400, "http2.frame_size_error"},
	[NGHTTP2_REFUSED_STREAM] = {400, "http2.refused_stream"},
	[NGHTTP2_CANCEL] = {400, "http2.cancel"},
	[NGHTTP2_COMPRESSION_ERROR] = {400, "http2.compression_error"},
	[NGHTTP2_CONNECT_ERROR] = {400, "http2.connect_error"},
	[NGHTTP2_ENHANCE_YOUR_CALM] = {400, "http2.enhance_your_calm"},
};
static const struct codec_error bad_preface = {400, "http2.bad_preface"};
static const struct codec_error header_overflow = {400, "http2.too_many_continuations"};
static const struct codec_error control_flood = {400, "http2.outbound_control_frames_flood"};

/* ---- the end of a connection */

int
h2_fail(struct h2 *h2, uint32_t code, enum stream_reset why, const struct codec_error *e)
{
	if (h2->failure)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	h2->codec.broken = true;
	h2->failure = e ? e : &ended_by_code[code < ARRAY_LEN(ended_by_code) ? code : 1];
	h2->failure_code = code;
	h2->failure_why = why;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int
h2_check(struct h2 *h2, const struct codec_error *flood)
{
	return flood ? h2_fail(h2, NGHTTP2_ENHANCE_YOUR_CALM, RESET_OVERFLOW, flood) : 0;
}

/* Streams first, so that each gets its reason; then the owner, who closes. */
static void
tell_failure(struct h2 *h2)
{
	struct list *n;

	h2->failure_told = true;
	if (h2->failure_code != NGHTTP2_NO_ERROR)
		nghttp2_session_terminate_session(h2->session, h2->failure_code);
	while ((n = list_first(&h2->streams)) != NULL)
		h2_stream_kill(list_entry(n, struct h2_stream, link), NGHTTP2_NO_ERROR,
		    h2->failure_why, h2->failure->details);
	h2->codec.events->on_broken(
	    h2->codec.arg, h2->failure_code == NGHTTP2_NO_ERROR ? NULL : h2->failure);
}

/* What mem_recv and mem_send answer when they cannot go on. */
static void
fail_by_result(struct h2 *h2, ssize_t result)
{
	switch (result) {
	case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
		h2_fail(h2, NGHTTP2_PROTOCOL_ERROR, RESET_PROTOCOL_ERROR, &bad_preface);
		break;
	case NGHTTP2_ERR_FLOODED:
		stat_inc(&h2->config.h2_stats->outbound_control_flood);
		h2_fail(h2, NGHTTP2_ENHANCE_YOUR_CALM, RESET_OVERFLOW, &control_flood);
		break;
	case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
		stat_inc(&h2->config.h2_stats->header_overflow);
		h2_fail(h2, NGHTTP2_ENHANCE_YOUR_CALM, RESET_OVERFLOW, &header_overflow);
		break;
	default:
		h2_fail(h2, NGHTTP2_INTERNAL_ERROR, RESET_PROTOCOL_ERROR, NULL);
		break;
	}
}

/* ---- entering and leaving */

void
h2_enter(struct h2 *h2)
{
	h2->depth++;
}

static void
settle_dirty(struct h2 *h2)
{
	struct list *n;

	while ((n = list_pop_front(&h2->dirty)) != NULL)
		h2_stream_settle(list_entry(n, struct h2_stream, dirty));
}

/* The connection's own events: told in feed, output and eof only, never out of a call about a
 * stream. */
static void
tell_all(struct h2 *h2)
{
	settle_dirty(h2);
	if (h2->failure && !h2->failure_told)
		tell_failure(h2);
	if (h2->more) {
		h2->more = false;
		if (!h2->codec.server && !h2->codec.broken)
			h2->codec.events->on_more(h2->codec.arg);
	}
}

void
h2_want_output(struct h2 *h2)
{
	if (h2->asked)
		return;
	h2->asked = true;
	h2->codec.events->on_output(h2->codec.arg);
}

void
h2_leave(struct h2 *h2)
{
	if (h2->depth == 1)
		settle_dirty(h2);
	h2->depth--;
	if (h2->depth == 0 && (nghttp2_session_want_write(h2->session) || h2->more ||
				  (h2->failure && !h2->failure_told)))
		h2_want_output(h2);
}

/* ---- what owners call */

static void
h2_feed(struct codec *c, struct buf *in)
{
	struct h2 *h2 = h2_of(c);

	h2_enter(h2);
	while (!c->broken && !buf_empty(in)) {
		struct slice *s = buf_slice(in, 0);
		uint32_t len = s->len;
		ssize_t n;

		h2->feeding = s->chunk;
		n = nghttp2_session_mem_recv(h2->session, (uint8_t *)slice_data(s), len);
		h2->feeding = NULL;
		if (n < 0)
			fail_by_result(h2, n);
		buf_drain(in, len);
	}
	if (c->broken)
		buf_drain(in, in->len);
	tell_all(h2);
	h2_leave(h2);
}

static void
h2_eof(struct codec *c)
{
	struct h2 *h2 = h2_of(c);

	h2_enter(h2);
	h2_fail(h2, NGHTTP2_NO_ERROR, RESET_CONNECTION_CLOSED, NULL);
	tell_all(h2);
	h2_leave(h2);
}

void
h2_put(struct h2 *h2, const void *p, size_t n)
{
	const char *from = p;

	while (n) {
		struct chunk *pen = h2->pen;
		size_t room = pen ? pen->cap - pen->used : 0, k = n < room ? n : room;

		if (room == 0) {
			chunk_unref(&h2->pen);
			h2->pen = chunk_new(BUF_SMALL);
			continue;
		}
		memcpy(pen->data + pen->used, from, k);
		pen->used += (uint32_t)k;
		buf_add_slice(h2->out, pen, pen->used - (uint32_t)k, (uint32_t)k);
		from += k;
		n -= k;
	}
}

/* False when nghttp2 cannot write any more. */
static bool
write_frames(struct h2 *h2)
{
	const uint8_t *p;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(h2->session, &p)) > 0)
		h2_put(h2, p, (size_t)n);
	if (n < 0)
		fail_by_result(h2, n);
	return n == 0;
}

/* Events of what was written may queue more; what is beyond one batch waits for the next turn. */
static void
h2_output(struct codec *c, struct buf *out)
{
	struct h2 *h2 = h2_of(c);
	bool able;

	h2_enter(h2);
	h2->asked = true;
	h2->out = out;
	h2->batch = 0;
	settle_dirty(h2);
	do {
		able = write_frames(h2);
		if (h2->failure == NULL)
			h2_check(h2, h2_limits_written(&h2->limits, h2->blocked));
		tell_all(h2);
	} while (able && h2->batch < H2_BATCH && nghttp2_session_want_write(h2->session));
	chunk_unref(&h2->pen);
	h2->out = NULL;
	h2->asked = false;
	h2_leave(h2);
}

static void
h2_blocked(struct codec *c, bool blocked)
{
	struct h2 *h2 = h2_of(c);

	if (h2->blocked == blocked)
		return;
	h2_enter(h2);
	h2->blocked = blocked;
	list_for_each(n, &h2->streams) {
		struct h2_stream *s = list_entry(n, struct h2_stream, link);

		h2_stream_dirty(s);
		if (!blocked && (s->out.len || s->out_state == H2_OUT_LAST))
			h2_stream_resume(s);
	}
	h2_leave(h2);
}

static struct codec_stream *
h2_request(struct codec *c)
{
	struct h2 *h2 = h2_of(c);

	ASSERT(!c->server);
	if (c->broken || c->goaway_received || c->streams >= c->max_streams)
		return NULL;
	if (nghttp2_session_get_next_stream_id(h2->session) > INT32_MAX) {
		c->goaway_received = true; /* no id is left: as good as told to go */
		return NULL;
	}
	h2->tally.streams++;
	h2->limits.streams_opened++;
	return &h2_stream_new(h2)->pub;
}

/* RFC 9113 6.8: first "no more after 2^31-1", a round trip later the last id that was taken. */
static void
h2_goaway(struct codec *c, bool final)
{
	struct h2 *h2 = h2_of(c);

	if (c->broken)
		return;
	h2_enter(h2);
	c->goaway_sent = true;
	if (!final && c->server)
		nghttp2_submit_shutdown_notice(h2->session);
	else if (final)
		nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR,
		    NULL, 0);
	h2_leave(h2);
}

static void
h2_ping(struct codec *c)
{
	struct h2 *h2 = h2_of(c);

	if (c->broken)
		return;
	h2_enter(h2);
	nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
	h2_leave(h2);
}

static void
h2_free(struct codec *c)
{
	struct h2 *h2 = h2_of(c);
	struct list *n;

	ASSERT(h2->depth == 0);
	h2->depth = 1; /* nothing is told but resets */
	h2->asked = c->broken = true;
	while ((n = list_first(&h2->streams)) != NULL)
		h2_stream_kill(list_entry(n, struct h2_stream, link), NGHTTP2_NO_ERROR,
		    RESET_CONNECTION_CLOSED, "http2.connection_closed");
	h2_limits_fini(&h2->limits);
	nghttp2_session_del(h2->session);
	mem_free(h2);
}

void
h2_set_now(struct codec *c, uint64_t now_ms)
{
	h2_of(c)->limits.now_ms = now_ms;
}

const struct h2_tally *
h2_tally(const struct codec *c)
{
	return &((const struct h2 *)c)->tally;
}

static const struct codec_ops h2_ops = {
	.feed = h2_feed,
	.eof = h2_eof,
	.output = h2_output,
	.blocked = h2_blocked,
	.request = h2_request,
	.goaway = h2_goaway,
	.ping = h2_ping,
	.free = h2_free,
	.send_headers = h2_stream_send_headers,
	.send_info = h2_stream_send_info,
	.send_data = h2_stream_send_data,
	.send_trailers = h2_stream_send_trailers,
	.reset = h2_stream_reset,
	.pause = h2_stream_pause,
};

/* ---- making one */

/* Our own budgets are tighter and counted; nghttp2's stand behind them. */
static nghttp2_option *
session_options(const struct h2 *h2)
{
	const struct http2_settings *set = &h2->config.h2;
	nghttp2_option *o;

	if (nghttp2_option_new(&o) != 0)
		UNREACHABLE();
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_reserved_remote_streams(o, 0);
	nghttp2_option_set_max_continuations(
	    o, FEWEST_CONTINUATIONS + h2->config.max_headers_bytes / FRAME);
	nghttp2_option_set_max_settings(o, 32);
	nghttp2_option_set_max_outbound_ack(o, (size_t)set->max_outbound_control_frames + 1);
	nghttp2_option_set_stream_reset_rate_limit(o, UINT64_MAX / 2, 1);
	nghttp2_option_set_max_send_header_block_length(o, LONGEST_HEAD_SENT);
	nghttp2_option_set_max_deflate_dynamic_table_size(o, set->hpack_table_size);
	if (!h2->codec.server) /* an upstream's stray blanks are passed on, as Envoy does */
		nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(o, 1);
	return o;
}

static void
submit_settings(struct h2 *h2)
{
	const struct http2_settings *set = &h2->config.h2;
	nghttp2_settings_entry e[8];
	size_t n = 0;

	e[n++] = (nghttp2_settings_entry){
	    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, set->initial_stream_window};
	if (set->hpack_table_size != 4096)
		e[n++] = (nghttp2_settings_entry){
		    NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, set->hpack_table_size};
	if (!h2->codec.server)
		e[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
	if (h2->codec.server)
		e[n++] = (nghttp2_settings_entry){
		    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, set->max_concurrent_streams};
	if (h2->codec.server && set->allow_connect)
		e[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
	nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, e, n);
	if (set->initial_connection_window > NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE)
		nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
		    (int32_t)set->initial_connection_window);
}

static void
session_open(struct h2 *h2)
{
	static nghttp2_session_callbacks *callbacks; /* the same for all sessions of a process */
	nghttp2_option *o = session_options(h2);
	int rv;

	if (callbacks == NULL) {
		if (nghttp2_session_callbacks_new(&callbacks) != 0)
			UNREACHABLE();
		h2_recv_callbacks(callbacks);
		h2_send_callbacks(callbacks);
	}
	rv = h2->codec.server ? nghttp2_session_server_new3(&h2->session, callbacks, h2, o, &h2_mem)
			      : nghttp2_session_client_new3(&h2->session, callbacks, h2, o, &h2_mem);
	ASSERT(rv == 0); /* only for lack of memory, and then the process ends */
	nghttp2_option_del(o);
	submit_settings(h2);
}

static struct codec *
h2_new(const struct codec_config *cfg, const struct codec_events *events, void *arg, bool server)
{
	struct h2 *h2 = mem_new(struct h2);

	h2->config = *cfg;
	http2_settings_defaults(&h2->config.h2);
	h2->codec = (struct codec){
		.ops = &h2_ops,
		.config = &h2->config,
		.events = events,
		.arg = arg,
		.protocol = HTTP_2,
		.server = server,
		.max_streams = 100, /* RFC 9113 6.5.2's advice until SETTINGS come */
	};
	if (h2->codec.max_streams > h2->config.h2.max_concurrent_streams)
		h2->codec.max_streams = h2->config.h2.max_concurrent_streams;
	list_init(&h2->streams);
	list_init(&h2->dirty);
	h2_limits_init(&h2->limits, &h2->config.h2, cfg->h2_stats);
	session_open(h2);
	return &h2->codec;
}

struct codec *
h2_server_new(const struct codec_config *cfg, const struct codec_events *events, void *arg)
{
	return h2_new(cfg, events, arg, true);
}

struct codec *
h2_client_new(const struct codec_config *cfg, const struct codec_events *events, void *arg)
{
	return h2_new(cfg, events, arg, false);
}
