/*
 * The clocks of a routed request: the route's timeout from the moment the
 * request is complete, the longest duration of its upstream stream, and
 * the two of each attempt.
 */
#include "lib/base/clock.h"
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
	r->timeout_ms = r->route->policy->timeout_ms;
	if (r->route->policy->has_grpc_timeout_max && r->stream->grpc)
		r->timeout_ms = 0; /* the stream's own duration rules */
	if (r->config->respect_expected_rq_timeout &&
	    headers_has(h, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS)) {
		*expected_stands = true;
		read_ms(h, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, &r->timeout_ms);
		return;
	}
	read_ms(h, HDR_X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS, &r->timeout_ms);
}

static void
read_attempt_timeouts(struct router *r)
{
	const struct retry_policy *p = r->route->policy->retry;
	const struct headers *h = r->request;
	struct str hedge = headers_get(h, HDR_X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT);

	r->per_try_ms = p ? p->per_try_timeout_ms : 0;
	r->per_try_idle_ms = p ? p->per_try_idle_ms : 0;
	read_ms(h, HDR_X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS, &r->per_try_ms);
	if (r->timeout_ms && r->per_try_ms >= r->timeout_ms)
		r->per_try_ms = 0;
	r->hedge = r->route->policy->hedge;
	if (str_eqz(hedge, "true") || str_eqz(hedge, "false"))
		r->hedge = str_eqz(hedge, "true");
}

/* For us alone. */
#define STRIPPED(ID)                                                                               \
	ID(X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS)                                                         \
	ID(X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS)                                                 \
	ID(X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE)                                               \
	ID(X_ENVOY_UPSTREAM_STREAM_DURATION_MS)                                                    \
	ID(X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT)
static const struct header_set stripped = HEADER_SET(STRIPPED);

/* What is left for this attempt; at the end 1, since 0 would be for ever. */
static uint64_t
expected_ms(const struct router *r)
{
	uint64_t ms = r->per_try_ms && !r->hedge ? r->per_try_ms : r->timeout_ms, elapsed = 0;

	if (ms == 0 || r->timeout_ms == 0)
		return ms;
	if (r->request_ended)
		elapsed = (loop_now_ns(r->stream->loop) - r->request_ended_ns) / NS_PER_MS;
	if (elapsed >= r->timeout_ms)
		return 1;
	return ms < r->timeout_ms - elapsed ? ms : r->timeout_ms - elapsed;
}

static inline void
say_expected(struct router *r, uint64_t ms)
{
	if (ms == 0 || r->config->suppress_envoy_headers)
		return;
	if (ms == r->route->policy->timeout_ms)
		headers_put(r->request, r->route->policy->timeout_line);
	else
		headers_set_number(r->request, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, ms);
}

void
router_say_expected(struct router *r)
{
	say_expected(r, expected_ms(r));
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
	read_attempt_timeouts(r);
	headers_remove_set(h, &stripped);
	if (!expected_stands) /* nothing of it has passed */
		say_expected(r, r->per_try_ms && !r->hedge ? r->per_try_ms : r->timeout_ms);
}

/* ---- when they ring */

/* Is answered with; nothing was charged yet. */
static void
time_is_up(struct router *r, uint32_t flag, struct str details)
{
	struct router_reply reply = {
	    .status = r->timeout_status,
	    .body = r->timeout_status == 204 ? STR("") : STR("upstream request timeout"),
	    .flag = flag,
	    .details = details,
	};

	if (r->answered)
		router_give_up(r, &reply);
	else
		router_reply(r, &reply);
}

static void
on_timeout(void *arg)
{
	struct router *r = arg;

	for (struct upstream_request *u = r->latest; u; u = u->older) {
		if (u->left || u->state == UPSTREAM_OVER)
			continue;
		stat_inc(&r->cluster->stats->upstream_rq_timeout);
		stat_inc(&u->host->stats->rq_timeout);
		outlier_note_local(u->host, OUTLIER_TIMED_OUT);
		if (!r->answered)
			router_charge(r, u->host, r->timeout_status);
	}
	time_is_up(r, FLAG_UT, STR("response_timeout"));
}

/* ---- of one attempt */

/* It goes on beside another one: whoever answers first, well. */
static void
go_beside(struct router *r, struct upstream_request *u)
{
	enum retry_verdict v;

	if (r->answered || r->retry == NULL)
		return;
	v = retry_hedge(r->retry);
	u->retried = v == RETRY_YES;
	router_note_verdict(r, v);
}

static void
try_is_up(struct upstream_request *u, struct stat_counter *counter, struct str details)
{
	struct router *r = u->router;

	if (r->hedge) {
		go_beside(r, u);
		return;
	}
	stat_inc(counter);
	stat_inc(&u->host->stats->rq_timeout);
	outlier_note_local(u->host, OUTLIER_TIMED_OUT);
	upstream_request_cancel(u);
	if (router_retries_failure(r, u, CAUSE_RESET, true))
		return;
	if (!r->answered)
		router_charge(r, u->host, r->timeout_status);
	time_is_up(r, FLAG_UT, details);
}

static void
on_per_try(void *arg)
{
	struct upstream_request *u = arg;
	struct router *r = u->router;

	timer_stop(&u->per_try_idle);
	if (!r->answered && !r->informed)
		try_is_up(u, &r->cluster->stats->upstream_rq_per_try_timeout,
		    STR("upstream_per_try_timeout"));
}

static void
on_per_try_idle(void *arg)
{
	struct upstream_request *u = arg;

	timer_stop(&u->per_try);
	try_is_up(u, &u->router->cluster->stats->upstream_rq_per_try_idle_timeout,
	    STR("upstream_per_try_idle_timeout"));
}

void
router_start_try_timers(struct upstream_request *u)
{
	const struct router *r = u->router;

	if (r->per_try_ms && !r->answered && !timer_armed(&u->per_try)) {
		timer_init(&u->per_try, on_per_try, u);
		timer_set(r->stream->loop, &u->per_try, r->per_try_ms);
	}
	if (r->per_try_idle_ms && !timer_armed(&u->per_try_idle)) {
		timer_init(&u->per_try_idle, on_per_try_idle, u);
		timer_set(r->stream->loop, &u->per_try_idle, r->per_try_idle_ms);
	}
}

void
router_touch_try(struct upstream_request *u)
{
	if (timer_armed(&u->per_try_idle))
		timer_set(u->router->stream->loop, &u->per_try_idle, u->router->per_try_idle_ms);
}

void
router_stop_try_timers(struct upstream_request *u)
{
	timer_stop(&u->per_try);
	timer_stop(&u->per_try_idle);
}

/* ---- of the stream */

static void
on_duration(void *arg)
{
	struct router *r = arg;
	struct router_reply reply = {
	    .status = r->request_ended ? 504 : 408,
	    .body = STR("upstream max stream duration reached"),
	    .flag = FLAG_UMSDR,
	    .details = STR("upstream_max_stream_duration_reached"),
	};

	stat_inc(&r->cluster->stats->upstream_rq_max_duration_reached);
	upstream_request_cancel(r->attempt);
	if (router_retries_failure(r, r->attempt, CAUSE_RESET, false))
		return;
	if (!r->answered)
		router_charge(r, r->attempt->host, reply.status);
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
	stream_call_after(r->stream, r->timeout_ms, on_timeout, r);
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
	stream_call_off(r->stream);
	timer_stop(&r->duration);
}
