/*
 * The life of a request: from the codec's first byte to the access log.
 * What comes from the codec enters here; request.c takes the headers from
 * there, respond.c brings the answer back.
 */
#include "worker/hcm/stream.h"

#include <inttypes.h>
#include <stddef.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/http/status.h"
#include "worker/access_log/access_log.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream_private.h"
#include "worker/route/table.h"
#include "worker/snapshot.h"

#define KEPT_STREAMS 512

/* Streams come and go with every request: the process keeps some. */
static struct list free_streams;
static unsigned free_streams_n;

static struct stream *
take_stream(void)
{
	struct list *n = list_first(&free_streams);
	struct stream *s;

	if (n == NULL)
		return mem_new(struct stream);
	list_remove(n);
	free_streams_n--;
	s = list_entry(n, struct stream, node);
	mem_zero(s, offsetof(struct stream, local));
	return s;
}

static void
give_stream(struct stream *s)
{
	if (free_streams_n >= KEPT_STREAMS) {
		mem_free(s);
		return;
	}
	if (free_streams.next == NULL)
		list_init(&free_streams);
	list_push_front(&free_streams, &s->node);
	free_streams_n++;
}

static void
stream_destroy(void *arg)
{
	struct stream *s = arg;

	struct hcm_conn *c = s->conn;

	chain_fini(&s->request);
	chain_fini(&s->response);
	snapshot_unref(&s->s.snapshot);
	arena_fini(&s->s.arena);
	if (c->streams_n == 0)
		hcm_settle(c); /* nobody refers to the bytes any more */
	give_stream(s);
}

/* ---- states */

static void
enter_tunnel(struct stream *s)
{
	struct http_stats *st = s->s.config->stats;

	stat_inc(&st->downstream_cx_upgrades_total);
	stat_up(&st->downstream_cx_upgrades_active);
	if (s->conn->upgrades++)
		return;
	s->conn->hcm->upgraded++;
	if (s->s.info.protocol == HTTP_2)
		s->conn->hcm->upgraded_h2++;
}

static void
leave_tunnel(struct stream *s)
{
	stat_down(&s->s.config->stats->downstream_cx_upgrades_active);
	if (--s->conn->upgrades)
		return;
	s->conn->hcm->upgraded--;
	if (s->s.info.protocol == HTTP_2)
		s->conn->hcm->upgraded_h2--;
}

void
stream_moved(struct stream *s, enum stream_state was)
{
	if (s->state == STREAM_TUNNEL)
		enter_tunnel(s);
	else if (was == STREAM_TUNNEL)
		leave_tunnel(s);
	if (s->state == STREAM_TUNNEL)
		return;
	chain_close(&s->request);
	if (s->state == STREAM_CLOSED) {
		chain_close(&s->response);
		loop_defer(s->s.loop, stream_destroy, s);
	}
}

/* ---- the end */

static void
count_end(struct stream *s)
{
	struct http_stats *st = s->s.config->stats;
	struct stream_info *i = &s->s.info;

	stat_down(&st->downstream_rq_active);
	if (!i->health_check)
		stat_record(&st->downstream_rq_time, (i->end_ns - i->start_ns) / NS_PER_MS);
}

static void
write_logs(struct stream *s)
{
	const struct hcm_config *config = s->s.config;

	for (unsigned i = 0; i < config->access_logs_n; i++)
		access_log_write(config->access_logs[i], &s->s.info);
}

static void
end_filters(struct stream *s)
{
	const struct chain *c = &s->request;

	for (unsigned i = 0; i < c->n; i++)
		if (c->filters[i].filter->on_done)
			c->filters[i].filter->on_done(c->filters[i].self);
}

void
stream_finish(struct stream *s)
{
	struct hcm_conn *c = s->conn;
	struct stream_info *i = &s->s.info;

	if (!stream_is_open(s))
		return;
	if (s->codec) {
		i->bytes_in = s->codec->bytes_in;
		i->bytes_out = s->codec->bytes_out;
		s->codec = NULL;
	}
	i->end_ns = loop_now_ns(s->s.loop);
	i->termination = c->busy->end_details;
	if (i->details.n == 0)
		i->details = c->busy->end_details;
	stream_enter(s, STREAM_CLOSED);
	count_end(s);
	write_logs(s);
	end_filters(s);
	list_remove(&s->node);
	c->streams_n--;
	if (s->paused)
		hcm_stream_paused(c, false);
	hcm_stream_ended(c, s->close_after);
}

void
stream_cut(struct stream *s, enum stream_reset why, uint32_t flag, struct str details)
{
	struct stream_info *i = &s->s.info;
	struct codec_stream *cs = s->codec;

	if (!stream_is_open(s))
		return;
	i->flags |= flag;
	if (i->details.n == 0 || (details.n && !s->response.own))
		i->details = details;
	if (cs) {
		i->bytes_in = cs->bytes_in;
		i->bytes_out = cs->bytes_out;
		s->codec = NULL;
		stat_inc(&s->s.config->stats->downstream_rq_tx_reset);
		codec_reset(cs, why);
	}
	stream_finish(s);
}

/* ---- small things that everybody uses */

void
stream_touch(struct stream *s)
{
	s->active_ns = loop_now_ns(s->s.loop);
}

void
stream_pause(struct stream *s, bool paused)
{
	struct http_stats *st = s->s.config->stats;
	bool was = s->paused > 0;

	ASSERT(paused || s->paused > 0);
	s->paused += paused ? 1 : (unsigned)-1;
	if (was == (s->paused > 0) || s->codec == NULL)
		return;
	stat_inc(paused ? &st->downstream_flow_control_paused_reading_total
			: &st->downstream_flow_control_resumed_reading_total);
	codec_pause(s->codec, paused);
	hcm_stream_paused(s->conn, paused);
}

void
stream_pause_request(struct http_stream *hs, bool paused)
{
	struct stream *s = stream_of(hs);

	if (stream_is_open(s))
		stream_pause(s, paused);
}

void
stream_leave_request_unseen(struct http_stream *hs)
{
	struct stream *s = stream_of(hs);

	if (s->codec && chain_is_blind(&s->request))
		s->codec->unseen = true;
}

void
stream_continue_request(struct http_stream *hs)
{
	chain_continue(&stream_of(hs)->request);
}

void
stream_continue_response(struct http_stream *hs)
{
	chain_continue(&stream_of(hs)->response);
}

struct headers *
stream_new_headers(struct http_stream *hs)
{
	struct headers *h = arena_alloc(&hs->arena, sizeof(*h));

	headers_init(h, &hs->arena);
	return h;
}

/* ---- what the codec tells */

static void
request_is_complete(struct stream *s)
{
	s->s.request_complete = true;
	s->s.info.request_done_ns = loop_now_ns(s->s.loop);
}

static void
on_headers(void *arg, struct headers *h, bool end)
{
	struct stream *s = arg;

	stream_touch(s);
	s->s.request = h;
	s->s.info.request = h;
	s->s.info.protocol = s->codec->protocol;
	if (end)
		request_is_complete(s);
	s->conn->busy->client_last = end && s->codec->close_after;
	stream_request(s, end);
}

static void
on_data(void *arg, struct buf *data, bool end)
{
	struct stream *s = arg;

	stream_touch(s);
	if (end)
		request_is_complete(s);
	chain_data(&s->request, data, end);
}

static void
on_trailers(void *arg, struct headers *t)
{
	struct stream *s = arg;

	stream_touch(s);
	request_is_complete(s);
	s->s.request_trailers = t;
	chain_trailers(&s->request, t);
}

static void
on_error(void *arg, const struct codec_error *e)
{
	struct stream *s = arg;

	stat_inc(&s->s.config->stats->downstream_cx_protocol_error);
	s->close_after = true;
	s->s.info.protocol = s->codec->protocol;
	stream_local_reply(
	    &s->s, e->status, status_reason(e->status), FLAG_DPE, str_of(e->details), NULL, NULL);
}

static struct str
reset_details(enum stream_reset why, const char *details)
{
	if (why == RESET_CONNECTION_CLOSED)
		return STR("downstream_remote_disconnect");
	return details && details[0] ? str_of(details) : STR("http2.remote_reset");
}

static void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct stream *s = arg;
	struct stream_info *i = &s->s.info;
	struct hcm_conn *c = s->conn;

	if (!stream_is_open(s))
		return;
	stat_inc(&s->s.config->stats->downstream_rq_rx_reset);
	if (why == RESET_CONNECTION_CLOSED && c->busy->end_flags)
		i->flags |= c->busy->end_flags;
	else
		i->flags |=
		    why == RESET_PROTOCOL_ERROR || why == RESET_OVERFLOW ? FLAG_DPE : FLAG_DC;
	if (!(why == RESET_CONNECTION_CLOSED && c->busy->end_details.n))
		i->details = reset_details(why, details);
	else
		i->details = c->busy->end_details;
	stream_finish(s);
}

static void
tell_blocked(struct stream *s, bool blocked)
{
	const struct chain *c = &s->request;

	for (unsigned i = c->n; i-- > 0;)
		if (c->filters[i].filter->on_downstream_blocked)
			c->filters[i].filter->on_downstream_blocked(c->filters[i].self, blocked);
}

static void
on_blocked(void *arg)
{
	tell_blocked(arg, true);
}

static void
on_unblocked(void *arg)
{
	struct stream *s = arg;

	stream_touch(s);
	tell_blocked(s, false);
}

static void
on_done(void *arg)
{
	stream_finish(arg);
}

static const struct stream_events events = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_error = on_error,
    .on_reset = on_reset,
    .on_blocked = on_blocked,
    .on_unblocked = on_unblocked,
    .on_done = on_done,
};

/* ---- the beginning */

static void
init_info(struct stream *s)
{
	struct stream_info *i = &s->s.info;
	struct hcm_conn *c = s->conn;

	i->start_ns = loop_now_ns(s->s.loop);
	i->start_wall_ns = loop_wall_ns(s->s.loop);
	i->protocol = s->codec->protocol;
	i->connection_id = c->id;
	address_unpack(&c->local, &s->local);
	address_unpack(&c->remote, &s->remote);
	i->local = &s->local;
	i->remote = i->direct_remote = &s->remote;
	i->hostname = c->hcm->hostname;
}

static void
count_begin(struct stream *s)
{
	struct http_stats *st = s->s.config->stats;

	stat_inc(&st->downstream_rq_total);
	stat_inc(s->codec->protocol == HTTP_2 ? &st->downstream_rq_http2_total
					      : &st->downstream_rq_http1_total);
	stat_up(&st->downstream_rq_active);
}

struct stream *
stream_open(struct hcm_conn *c, struct codec_stream *cs)
{
	struct stream *s = take_stream();
	const struct hcm_place *place = c->place;

	s->conn = c;
	s->codec = cs;
	s->state = STREAM_HEAD;
	s->s.loop = c->hcm->loop;
	s->s.config = place->config ? place->config : c->config;
	s->s.snapshot = snapshot_ref(place->config ? place->snapshot : c->snapshot);
	arena_lend(&s->s.arena, s->room, sizeof(s->room));
	chain_init(&s->request, s, false);
	chain_init(&s->response, s, true);
	cs->events = &events;
	cs->arg = s;
	cs->arena = &s->s.arena;
	s->idle_ms = s->s.config->stream_idle_ms;
	s->max_ms = s->s.config->max_stream_ms;
	stream_touch(s);
	init_info(s);
	count_begin(s);
	list_push_back(&c->streams, &s->node);
	c->streams_n++;
	if (s->s.config->least_ms)
		hcm_wake_by(c, s->s.info.start_ns + s->s.config->least_ms * NS_PER_MS);
	return s;
}
