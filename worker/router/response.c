/* The host's answer on its way to the client. */
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/http/grpc.h"
#include "lib/upstream/hash_policy.h"
#include "worker/router/router_private.h"

bool
router_counts(const struct router *r)
{
	return r->config->dynamic_stats && !r->stream->info.health_check;
}

/* Milliseconds since the request was complete here. */
static uint64_t
service_ms(const struct router *r)
{
	return (loop_now_ns(r->stream->loop) - r->request_ended_ns) / NS_PER_MS;
}

/* What the host says about itself is heard where hosts are checked, and then not passed on: a
 * balancer in front would take the whole proxy out.  Elsewhere it is none of our business. */
static void
hear_health(struct router *r, struct upstream_request *u, struct headers *h)
{
	struct active_check_stats *s = r->cluster->check_stats;

	if (s == NULL || !headers_has(h, HDR_X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL))
		return;
	headers_remove_id(h, HDR_X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL);
	if (!host_fail_active_check(u->host))
		return;
	stat_inc(&s->failure);
	stat_inc(&s->passive_failure);
}

/* What it says of the host: the status; of a gRPC answer its grpc-status, wherever that stands.
 * Whoever answers gRPC with anything but 200 does not speak it (a proxy on the way): http counts. */
static void
judge_answer(struct router *r, struct upstream_request *u, const struct headers *h, unsigned http)
{
	uint32_t status;

	if (r->stream->grpc && grpc_status_get(h, &status))
		outlier_note_status(
		    u->host, status < GRPC_STATUSES ? http_status_of_grpc(status) : 500);
	else if (http != 0 && (!r->stream->grpc || http != 200))
		outlier_note_status(u->host, http);
}

#define SERVICE_TIME "x-envoy-upstream-service-time"
#define SERVICE_TIMES 100

/* Most answers come within some milliseconds: those headers are there. */
static void
say_service_time(struct headers *h, uint64_t ms)
{
	static struct header made[SERVICE_TIMES];
	static char lines[SERVICE_TIMES][sizeof(SERVICE_TIME ": 00\r\n")];
	int n;

	if (ms >= SERVICE_TIMES) {
		headers_set_number(h, HDR_X_ENVOY_UPSTREAM_SERVICE_TIME, ms);
		return;
	}
	if (UNLIKELY(made[ms].name == NULL)) {
		n = snprintf(lines[ms], sizeof(lines[ms]), SERVICE_TIME ": %u\r\n", (unsigned)ms);
		made[ms] = header_of_line(HDR_X_ENVOY_UPSTREAM_SERVICE_TIME,
		    sizeof(SERVICE_TIME) - 1, str_make(lines[ms], (size_t)n));
	}
	headers_put(h, &made[ms]);
}

static void
count_headers(struct router *r, struct upstream_request *u, struct headers *h, unsigned status)
{
	struct stream_info *info = &r->stream->info;

	info->response_first_ns = loop_now_ns(r->stream->loop);
	r->canary = str_eqz(headers_get(h, HDR_X_ENVOY_UPSTREAM_CANARY), "true") || u->host->canary;
	cluster_count_response(r->cluster, u->host, status, router_counts(r),
	    r->stream->internal, r->canary);
	if (r->request_ended && !r->config->suppress_envoy_headers)
		say_service_time(h, service_ms(r));
}

/* Before the last part is passed on: that may end the stream. */
static void
count_complete(struct router *r)
{
	router_stop_timers(r);
	if (r->request_ended)
		cluster_count_time(r->cluster, r->attempt->host, service_ms(r), router_counts(r),
		    r->stream->internal, r->canary);
}

/* After it: nobody wants the rest of a request that was answered early. */
static void
complete(struct router *r)
{
	r->over = true;
	if (!r->request_ended)
		upstream_request_cancel(r->attempt);
}

/* An upgraded connection lasts as long as both sides like. */
static void
note_upgrade(struct router *r, unsigned status)
{
	if (status != 101)
		return;
	r->upgraded = true;
	router_stop_timers(r);
	router_stop_try_timers(r->attempt);
}

/* ---- is it passed on at all? */

/* The answer is dropped; another attempt was ordered, or one is awaited. */
static void
drop(struct router *r, struct upstream_request *u)
{
	stat_inc(&u->host->stats->rq_error);
	if (u == r->attempt)
		router_on_upstream_blocked(r, false);
	upstream_request_cancel(u);
}

static bool
is_tried_again(struct router *r, struct upstream_request *u, const struct headers *h)
{
	enum retry_verdict v;
	bool could_not;

	if (r->retry == NULL)
		return false;
	if (u->retried) {
		could_not = retry_would_on_answer(r->retry, h);
	} else {
		v = retry_on_answer(r->retry, h);
		if (v == RETRY_YES) {
			cluster_count_retried(r->cluster, headers_status(h), router_counts(r));
			timer_stop(&r->duration); /* the next attempt has its own */
			drop(r, u);
			return true;
		}
		router_note_verdict(r, v);
		could_not = v != RETRY_NO;
	}
	if (!could_not || !router_may_be_answered(r, u))
		return false;
	drop(r, u);
	return true;
}

static void
choose(struct router *r, struct upstream_request *u)
{
	router_settle_on(r, u);
	r->stream->info.upstream = &u->host->address;
	r->keeping = false;
	buf_drain(&r->held, r->held.len);
}

void
router_on_info(struct router *r, struct upstream_request *u, struct headers *h)
{
	router_settle_on(r, u);
	r->informed = true;
	stream_respond_info(r->stream, h);
}

void
router_add_attempts(struct router *r, struct headers *h)
{
	if (r->stream->info.attempts && r->route->policy->attempts.count_in_response)
		headers_set_number(h, HDR_X_ENVOY_ATTEMPT_COUNT, r->stream->info.attempts);
}

void
router_on_response(struct router *r, struct upstream_request *u, struct headers *h, bool end)
{
	unsigned status = headers_status(h);

	judge_answer(r, u, h, status);
	hear_health(r, u, h);
	if (is_tried_again(r, u, h))
		return;
	choose(r, u);
	timer_stop(&u->per_try);
	router_touch_try(u);
	count_headers(r, u, h, status);
	note_upgrade(r, status);
	r->stream->info.details = STR("via_upstream");
	for (const struct hash_cookie *c = r->cookies; c; c = c->next)
		headers_add_id(h, HDR_SET_COOKIE, c->text);
	router_add_attempts(r, h);
	route_rewrite_response(r->route, h, &r->stream->info);
	r->answered = true;
	if (end)
		count_complete(r);
	stream_respond_headers(r->stream, h, end);
	if (end)
		complete(r);
	else if (r->upgraded && upstream_request_is_open(u))
		stream_join(r->stream, u->stream);
}

void
router_on_response_data(struct router *r, struct upstream_request *u, struct buf *data, bool end)
{
	router_touch_try(u);
	if (end)
		count_complete(r);
	stream_respond_data(r->stream, data, end);
	if (end)
		complete(r);
	else if (upstream_request_is_open(u))
		u->stream->unseen = stream_response_is_unseen(r->stream);
}

void
router_on_response_trailers(struct router *r, struct headers *t)
{
	if (r->stream->grpc)
		judge_answer(r, r->attempt, t, 0);
	count_complete(r);
	stream_respond_trailers(r->stream, t);
	complete(r);
}
