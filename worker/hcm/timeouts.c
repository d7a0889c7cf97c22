/*
 * The timeouts of a stream, all asked at once when the connection's timer
 * fires: request headers, whole request, idle, duration.
 */
#include "lib/base/clock.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/stream_private.h"


static uint64_t
after(uint64_t from_ns, uint64_t ms)
{
	return ms ? from_ns + ms * NS_PER_MS : NEVER;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
headers_deadline(const struct stream *s)
{
	return s->state == STREAM_HEAD ? after(s->s.info.start_ns, s->s.config->request_headers_ms)
				       : NEVER;
}

static uint64_t
request_deadline(const struct stream *s)
{
	if (s->s.request_complete || s->s.response_started)
		return NEVER;
	return after(s->s.info.start_ns, s->s.config->request_ms);
}

static uint64_t
idle_deadline(const struct stream *s)
{
	return after(s->active_ns, s->idle_ms);
}

static uint64_t
duration_deadline(const struct stream *s)
{
	return after(s->s.info.start_ns, s->max_ms);
}

uint64_t
stream_deadline(struct stream *s)
{
	uint64_t at = earlier(idle_deadline(s), duration_deadline(s));

	if (s->s.due_ns)
		at = earlier(at, s->s.due_ns);
	if (!s->s.request_complete && !s->s.response_started)
		at = earlier(at, earlier(headers_deadline(s), request_deadline(s)));
	return at;
}

/* Envoy: 408 while the request was incomplete, 504 when it was complete. */
static unsigned
late_status(const struct stream *s)
{
	return s->s.request_complete ? 504 : 408;
}

static void
end_late(struct stream *s, unsigned status, const char *body, uint32_t flag, const char *details,
    void (*decorate)(void *, struct headers *))
{
	if (!s->s.request_complete)
		s->close_after = true;
	if (s->s.response_started)
		stream_cut(s, RESET_LOCAL, flag, str_of(details));
	else
		stream_local_reply(
		    &s->s, status, str_of(body), flag, str_of(details), decorate, NULL);
}

static void
say_deadline_exceeded(void *arg, struct headers *h)
{
	if (headers_has(h, HDR_GRPC_STATUS))
		headers_set_id(h, HDR_GRPC_STATUS, STR("4"));
}

void
stream_call_after(struct http_stream *hs, uint64_t ms, void (*fn)(void *arg), void *arg)
{
	hs->due_ns = loop_now_ns(hs->loop) + ms * NS_PER_MS;
	hs->on_due = fn;
	hs->due_arg = arg;
	hcm_wake_by(stream_of(hs)->conn, hs->due_ns);
}

static void
call_due(struct stream *s, uint64_t now_ns)
{
	if (s->s.due_ns == 0 || now_ns < s->s.due_ns)
		return;
	s->s.due_ns = 0;
	s->s.on_due(s->s.due_arg);
}

/* A client that takes bytes, however slowly, is not idle. */
static void
note_progress(struct stream *s, uint64_t now_ns)
{
	if (s->codec == NULL || s->codec->bytes_out == s->sent)
		return;
	s->sent = s->codec->bytes_out;
	s->active_ns = now_ns;
}

uint64_t
stream_check(struct stream *s, uint64_t now_ns)
{
	struct http_stats *st = s->s.config->stats;

	call_due(s, now_ns);
	if (!stream_is_open(s))
		return NEVER;
	note_progress(s, now_ns);
	if (now_ns >= headers_deadline(s)) {
		stat_inc(&st->downstream_rq_header_timeout);
		end_late(s, 408, "request header timeout", 0, "request_header_timeout", NULL);
	} else if (now_ns >= request_deadline(s)) {
		stat_inc(&st->downstream_rq_timeout);
		end_late(s, 408, "request timeout", 0, "request_overall_timeout", NULL);
	} else if (now_ns >= duration_deadline(s)) {
		stat_inc(&st->downstream_rq_max_duration_reached);
		end_late(s, late_status(s), "downstream duration timeout", 0,
		    "max_duration_timeout", say_deadline_exceeded);
	} else if (now_ns >= idle_deadline(s)) {
		stat_inc(&st->downstream_rq_idle_timeout);
		if (s->state == STREAM_REPLIED && s->s.info.protocol == HTTP_2)
			stat_inc(&s->s.config->codec.h2_stats->tx_flush_timeout);
		end_late(s, late_status(s), "stream timeout", FLAG_SI, "stream_idle_timeout", NULL);
	}
	if (!stream_is_open(s))
		return NEVER;
	/* What was answered but cannot leave goes with the next look. */
	if (now_ns >= stream_deadline(s))
		return now_ns + NS_PER_S;
	return stream_deadline(s);
}
