/*
 * The one timer of a downstream connection: it asks each timeout what is
 * due and when to ring next.  Run by a worker.
 */
#include "lib/base/clock.h"
#include "lib/base/rand.h"
#include "worker/drain.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/stream_private.h"

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
check_streams(struct hcm_conn *c, uint64_t now_ns)
{
	uint64_t next = NEVER;

	list_for_each(n, &c->streams)
	{
		next = earlier(next, stream_check(list_entry(n, struct stream, node), now_ns));
		if (hcm_is_ending(c))
			return NEVER;
	}
	return next;
}

static uint64_t
check_idle(struct hcm_conn *c, uint64_t now_ns)
{
	uint64_t at_ns = c->idle_since_ns + c->config->idle_ms * NS_PER_MS;

	if (c->config->idle_ms == 0 || c->streams_n)
		return NEVER;
	if (now_ns < at_ns)
		return at_ns;
	if (c->state == HCM_TOLD || c->state == HCM_LAST)
		return NEVER;
	stat_inc(&c->config->stats->downstream_cx_idle_timeout);
	if (hcm_is_http2(c))
		hcm_tell(c);
	else
		hcm_close(c, 0, STR(""));
	return NEVER;
}

static uint64_t
check_duration(struct hcm_conn *c, uint64_t now_ns)
{
	uint64_t at_ns = c->opened_ns + c->config->max_connection_ms * NS_PER_MS;

	if (c->config->max_connection_ms == 0 ||
	    (c->state != HCM_SERVING && c->state != HCM_SNIFFING))
		return NEVER;
	if (now_ns < at_ns)
		return at_ns;
	stat_inc(&c->config->stats->downstream_cx_max_duration_reached);
	if (c->streams_n == 0 && !hcm_is_http2(c)) {
		hcm_close(c, FLAG_DT, STR("max_connection_duration"));
		return NEVER;
	}
	hcm_tell(c);
	return NEVER;
}

/* When it goes even if no request gave the occasion: the worker's window, or its listener's. */
static uint64_t
window_end_ns(const struct hcm_conn *c)
{
	uint64_t end_ns = drain_end_ns(c->hcm->drain), place_end_ns = c->place->end_ns;

	if (place_end_ns)
		end_ns = earlier(end_ns, place_end_ns);
	return hcm_is_http2(c) || end_ns > c->hcm->hold_until_ns ? end_ns : c->hcm->hold_until_ns;
}

static uint64_t
check_told(struct hcm_conn *c, uint64_t now_ns)
{
	uint64_t end_ns = window_end_ns(c), next = NEVER;
	uint64_t goaway_ns;

	if (c->tell_ns && now_ns >= c->tell_ns && hcm_is_http2(c)) {
		hcm_count_drain(c);
		hcm_tell(c);
	}
	goaway_ns = c->busy ? c->busy->goaway_ns : 0;
	if (goaway_ns && now_ns >= goaway_ns)
		hcm_last_goaway(c);
	else if (goaway_ns)
		next = goaway_ns;
	if (hcm_is_ending(c))
		return NEVER;
	if (now_ns >= end_ns && c->streams_n == 0) {
		hcm_count_drain(c);
		hcm_close(c, 0, STR(""));
		return NEVER;
	}
	if (c->tell_ns > now_ns)
		next = earlier(next, c->tell_ns);
	return now_ns >= end_ns ? next : earlier(next, end_ns);
}

uint64_t
hcm_ping_wait_ns(const struct hcm_conn *c)
{
	uint64_t ns = c->config->codec.h2.keepalive_interval_ms * NS_PER_MS;
	uint64_t jitter = ns / 100 * c->config->keepalive_jitter;

	return jitter ? ns + rand_below(jitter) : ns;
}

/* HTTP/2 keepalive: a PING every interval, an answer within the timeout. */
static uint64_t
check_ping(struct hcm_conn *c, uint64_t now_ns)
{
	struct hcm_busy *b = c->busy;

	if (b == NULL || b->ping_ns == 0)
		return NEVER;
	if (now_ns < b->ping_ns)
		return b->ping_ns;
	if (b->ping_pending && c->codec->last_ping_answer < b->pings) {
		stat_inc(&c->config->codec.h2_stats->keepalive_timeout);
		hcm_close(c, FLAG_DC, STR("http2.ping_timeout"));
		return NEVER;
	}
	b->ping_pending = !b->ping_pending;
	if (b->ping_pending) {
		codec_ping(c->codec);
		hcm_output(c);
		b->pings++;
		b->ping_ns = now_ns + c->config->codec.h2.keepalive_timeout_ms * NS_PER_MS;
	} else {
		b->ping_ns = now_ns + hcm_ping_wait_ns(c);
	}
	return b->ping_ns;
}

void
hcm_on_timer(void *arg)
{
	static uint64_t (*const checks[])(struct hcm_conn *, uint64_t) = {
	    check_streams, check_idle, check_duration, check_told, check_ping};
	struct hcm_conn *c = arg;
	uint64_t now_ns = loop_now_ns(c->hcm->loop), next = NEVER;

	c->wake_ns = NEVER;
	for (size_t i = 0; i < ARRAY_LEN(checks) && !hcm_is_ending(c); i++)
		next = earlier(next, checks[i](c, now_ns));
	if (!hcm_is_ending(c) && next != NEVER)
		hcm_wake_by(c, next);
}
