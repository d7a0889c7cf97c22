/*
 * The way out: answers of filters and of our own go through the response
 * chain and leave here by the codec.
 */
#include <stddef.h>

#include "lib/base/rand.h"
#include "lib/http/date.h"
#include "worker/access_log/access_log.h"
#include "worker/hcm/forward.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/local_reply.h"
#include "worker/hcm/stream_private.h"
#include "worker/route/table.h"

/* ---- counting */

/* Counters of classes stand side by side. */
#define CLASSES_OF(type)                                                                           \
	_Static_assert(offsetof(type, downstream_rq_5xx) - offsetof(type, downstream_rq_1xx) ==    \
			   4 * sizeof(struct stat_counter),                                        \
	    "1xx to 5xx")
CLASSES_OF(struct http_stats);
CLASSES_OF(struct listener_http_stats);

static void
count_class(struct http_stats *h, struct listener_http_stats *l, unsigned status)
{
	unsigned class = status / 100;

	stat_inc(&h->downstream_rq_completed);
	stat_inc(&l->downstream_rq_completed);
	if (class < 1 || class > 5)
		return;
	stat_inc(&h->downstream_rq_1xx + (class - 1));
	stat_inc(&l->downstream_rq_1xx + (class - 1));
}

/* ---- from the response chain to the codec */

static bool
must_close(struct stream *s)
{
	struct hcm_conn *c = s->conn;
	bool http2 = s->codec->protocol == HTTP_2;

	if (!s->s.request_complete) {
		stat_inc(&s->s.config->stats->downstream_rq_response_before_rq_complete);
		s->close_after |= !http2;
	}
	if (hcm_response_says_close(c))
		s->close_after |= !http2;
	return s->close_after && !http2;
}

static struct str
missing_date(struct stream *s, const struct headers *h)
{
	if (headers_has(h, HDR_DATE))
		return STR("");
	return date_line(&s->s.arena, loop_wall_ns(s->s.loop));
}

void
stream_send_headers(struct stream *s, bool end)
{
	struct headers *h = s->response.headers;
	struct stream_info *i = &s->s.info;
	bool upgraded;

	s->s.response = h;
	i->response = h;
	i->status = headers_status(h);
	upgraded = s->s.upgrade && i->status == 101;
	forward_response(&s->s.config->forward, h, s->s.request, upgraded, missing_date(s, h));
	if (!i->health_check)
		count_class(s->s.config->stats, s->s.config->listener_stats, i->status);
	if (!upgraded)
		s->codec->close_after |= must_close(s);
	s->s.response_started = true;
	stream_touch(s);
	stream_enter(s, upgraded ? STREAM_TUNNEL : STREAM_REPLYING);
	if (end)
		stream_enter(s, STREAM_REPLIED);
	codec_send_headers(s->codec, h, end);
}

/* The two directions of a tunnel end apart. */
static void
response_ends(struct stream *s)
{
	if (s->state != STREAM_TUNNEL)
		stream_enter(s, STREAM_REPLIED);
	else if (!s->s.request_complete)
		hcm_tunnel_ended(s->conn);
}

void
stream_send_data(struct stream *s, struct buf *data, bool end)
{
	if (s->codec == NULL || s->state == STREAM_REPLIED)
		return;
	stream_touch(s);
	if (end)
		response_ends(s);
	codec_send_data(s->codec, data, end);
}

void
stream_send_trailers(struct stream *s)
{
	if (s->codec == NULL || s->state == STREAM_REPLIED)
		return;
	stream_touch(s);
	s->s.response_trailers = s->response.trailers;
	s->s.info.trailers = s->response.trailers;
	response_ends(s);
	codec_send_trailers(s->codec, s->response.trailers);
}

bool
stream_response_is_unseen(const struct http_stream *hs)
{
	const struct stream *s = (const void *)hs;

	return s->codec && s->codec->protocol != HTTP_2 && chain_is_blind(&s->response);
}

void
stream_join(struct http_stream *hs, struct codec_stream *upstream)
{
	struct stream *s = stream_of(hs);

	if (s->state == STREAM_TUNNEL && s->codec && chain_is_blind(&s->request) &&
	    chain_is_blind(&s->response))
		h1_join(s->codec, upstream);
}

/* ---- what the terminal filter may say */

static bool
may_respond(const struct stream *s)
{
	return stream_is_open(s) && s->codec != NULL && s->state != STREAM_REPLIED;
}

void
stream_respond_info(struct http_stream *hs, struct headers *h)
{
	struct stream *s = stream_of(hs);

	if (!may_respond(s) || s->response.started || s->codec->protocol == HTTP_10)
		return;
	stream_touch(s);
	codec_send_info(s->codec, h);
}

void
stream_respond_headers(struct http_stream *hs, struct headers *h, bool end)
{
	struct stream *s = stream_of(hs);

	if (!may_respond(s) || s->response.started)
		return;
	if (hs->config->access_logs_n)
		access_log_foresee(&hs->info);
	stream_touch(s);
	if (headers_status(h) == 101 && !hs->upgrade) {
		stream_local_reply(hs, 502,
		    STR("upstream connect error or disconnect/reset before "
			"headers. reset reason: protocol error"),
		    FLAG_UPE, STR("upstream_reset_before_response_started{protocol_error}"), NULL,
		    NULL);
		return;
	}
	chain_headers(&s->response, h, end);
}

void
stream_respond_data(struct http_stream *hs, struct buf *data, bool end)
{
	struct stream *s = stream_of(hs);

	if (!may_respond(s)) {
		buf_drain(data, data->len);
		return;
	}
	stream_touch(s);
	chain_data(&s->response, data, end);
}

void
stream_respond_trailers(struct http_stream *hs, struct headers *t)
{
	struct stream *s = stream_of(hs);

	if (!may_respond(s))
		return;
	stream_touch(s);
	chain_trailers(&s->response, t);
}

void
stream_respond_reset(struct http_stream *hs, uint32_t flag, struct str details)
{
	stream_cut(stream_of(hs), RESET_LOCAL, flag, details);
}

/* ---- answers of our own */

void
stream_local_reply(struct http_stream *hs, unsigned status, struct str text, uint32_t flag,
    struct str details, void (*decorate)(void *arg, struct headers *h), void *arg)
{
	struct stream *s = stream_of(hs);
	struct local_reply r = {.status = status, .body = text, .grpc = hs->grpc};
	struct headers *h;
	struct buf body;
	bool empty;

	if (!stream_is_open(s) || s->codec == NULL)
		return;
	if (hs->response_started) {
		stream_cut(s, RESET_LOCAL, flag, details);
		return;
	}
	hs->info.flags |= flag;
	hs->info.details = details;
	hs->upgrade = false;
	chain_close(&s->request);
	chain_restart(&s->response);
	s->response.own = true;
	r.head = s->codec->head_request;
	h = stream_new_headers(hs);
	buf_init(&body);
	local_reply_write(&r, h, &body);
	/* Envoy finalises every local reply of a request that had a route to a cluster. */
	if (hs->route && hs->route->kind == ROUTE_CLUSTER)
		route_rewrite_response(hs->route, h, &hs->info);
	if (decorate)
		decorate(arg, h);
	empty = buf_empty(&body);
	chain_headers(&s->response, h, empty);
	if (!empty && stream_is_open(s))
		chain_data(&s->response, &body, true);
	buf_fini(&body);
}
