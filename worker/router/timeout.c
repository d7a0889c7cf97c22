/*
 * The clocks of a routed request: the route's timeout from the moment the
 * request is complete, and the longest duration of its upstream stream.
 */
#include "worker/router/router_private.h"

/* ---- what is in force */

static bool
read_ms(const struct headers *h, enum header_id id, uint64_t *ms)
{
	return headers_has(h, id) && str_u64(headers_get(h, id), ms);
}

/* Another proxy in front may have said what it expects; else internal callers may ask. */
static void
read_route_timeout(struct router *r, bool *expected_stands)
{
	struct headers *h = r->request;

	*expected_stands = false;
	r->timeout_ms = r->route->timeout_ms;
	if (r->route->has_grpc_timeout_max && r->stream->grpc)
		r->timeout_ms = 0; /* the stream's own duration rules */
	if (r->config->respect_expected_rq_timeout &&
	    headers_has(h, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS)) {
		*expected_stands = true;
		read_ms(h, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, &r->timeout_ms);
		return;
	}
	read_ms(h, HDR_X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS, &r->timeout_ms);
}

/* For us alone. */
#define STRIPPED(ID)                                                                               \
	ID(X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS)                                                         \
	ID(X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS)                                                 \
	ID(X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE)                                               \
	ID(X_ENVOY_UPSTREAM_STREAM_DURATION_MS)                                                    \
	ID(X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT)                                                       \
	ID(X_ENVOY_MAX_RETRIES)                                                                    \
	ID(X_ENVOY_RETRY_ON)                                                                       \
	ID(X_ENVOY_RETRY_GRPC_ON)                                                                  \
	ID(X_ENVOY_RETRIABLE_STATUS_CODES)                                                         \
	ID(X_ENVOY_RETRIABLE_HEADER_NAMES)
static const struct header_set stripped = HEADER_SET(STRIPPED);

static void
say_expected(struct router *r)
{
	headers_set_number(r->request, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, r->timeout_ms);
}

void
router_read_timeouts(struct router *r)
{
	struct headers *h = r->request;
	bool expected_stands;

	read_route_timeout(r, &expected_stands);
	r->duration_ms = r->cluster->max_stream_duration_ms;
	read_ms(h, HDR_X_ENVOY_UPSTREAM_STREAM_DURATION_MS, &r->duration_ms);
	r->timeout_status =
	    headers_has(h, HDR_X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE) ? 204 : 504;
	headers_remove_set(h, &stripped);
	if (r->timeout_ms && !expected_stands && !r->config->suppress_envoy_headers)
		say_expected(r);
}

/* ---- when they ring */

static struct host *
timed_out_host(struct router *r)
{
	struct upstream_request *u = &r->attempt;

	stat_inc(&r->cluster->stats->upstream_rq_timeout);
	stat_inc(&u->host->stats->rq_timeout);
	return u->host;
}

static void
on_timeout(void *arg)
{
	struct router *r = arg;
	bool reply_empty = r->timeout_status == 204;
	struct router_reply reply = {
	    .status = r->timeout_status,
	    .body = reply_empty ? STR("") : STR("upstream request timeout"),
	    .flag = FLAG_UT,
	    .details = STR("response_timeout"),
	    .host = timed_out_host(r),
	};

	if (r->answered)
		router_give_up(r, &reply);
	else
		router_reply(r, &reply);
}

static void
on_duration(void *arg)
{
	struct router *r = arg;
	struct router_reply reply = {
	    .status = r->request_ended ? 504 : 408,
	    .body = STR("upstream max stream duration reached"),
	    .flag = FLAG_UMSDR,
	    .details = STR("upstream_max_stream_duration_reached"),
	    .host = r->attempt.host,
	};

	stat_inc(&r->cluster->stats->upstream_rq_max_duration_reached);
	if (r->answered)
		router_give_up(r, &reply);
	else
		router_reply(r, &reply);
}

void
router_start_timeout(struct router *r)
{
	if (r->timeout_ms == 0 || r->upgraded || r->over)
		return;
	timer_init(&r->timeout, on_timeout, r);
	timer_set(r->stream->loop, &r->timeout, r->timeout_ms);
}

void
router_start_duration(struct router *r)
{
	if (r->duration_ms == 0 || timer_armed(&r->duration))
		return;
	timer_init(&r->duration, on_duration, r);
	timer_set(r->stream->loop, &r->duration, r->duration_ms);
}

void
router_stop_timers(struct router *r)
{
	timer_stop(&r->timeout);
	timer_stop(&r->duration);
}
