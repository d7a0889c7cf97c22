#include "worker/router/retry.h"

#include "lib/base/clock.h"
#include "lib/base/rand.h"
#include "lib/http/grpc.h"
#include "worker/route/match.h"
#include "worker/router/router_private.h"

#define TOO_EARLY 425 /* not before the handshake is complete: there is nothing to wait for */

/* ---- what the request's headers add */

static unsigned
count_items(struct str list)
{
	struct str item;
	unsigned n = 0;

	while (str_cut(&list, ',', &item))
		n++;
	return n;
}

static void
read_codes(struct retry *t, struct arena *a, struct str list)
{
	uint32_t *codes = arena_alloc(a, (t->policy->n_codes + count_items(list)) * sizeof(*codes));
	struct str item;
	uint64_t code;

	for (size_t i = 0; i < t->n_codes; i++)
		codes[i] = t->codes[i];
	while (str_cut(&list, ',', &item))
		if (str_u64(str_trim(item), &code) && code < 1000)
			codes[t->n_codes++] = (uint32_t)code;
	t->codes = codes;
}

static void
read_header_names(struct retry *t, struct arena *a, struct str list)
{
	struct str item;

	t->header_names = arena_alloc(a, count_items(list) * sizeof(struct str));
	while (str_cut(&list, ',', &item)) {
		item = arena_lower(a, str_trim(item));
		if (item.n)
			t->header_names[t->n_header_names++] = item;
	}
}

static bool
request_may_be_retried(const struct retry_policy *p, const struct headers *h)
{
	for (size_t i = 0; i < p->n_request_headers; i++)
		if (header_matches(&p->request_headers[i], h))
			return true;
	return p->n_request_headers == 0;
}

static void
read_headers(struct retry *t, struct arena *a, const struct headers *h)
{
	uint64_t max;

	t->on |= retry_on_read_http(headers_get(h, HDR_X_ENVOY_RETRY_ON));
	t->on |= retry_on_read_grpc(headers_get(h, HDR_X_ENVOY_RETRY_GRPC_ON));
	if (!request_may_be_retried(t->policy, h))
		t->on = 0;
	if (t->on && str_u64(headers_get(h, HDR_X_ENVOY_MAX_RETRIES), &max))
		t->left = max > UINT32_MAX ? UINT32_MAX : (uint32_t)max;
	if (headers_has(h, HDR_X_ENVOY_RETRIABLE_STATUS_CODES))
		read_codes(t, a, headers_get(h, HDR_X_ENVOY_RETRIABLE_STATUS_CODES));
	if (headers_has(h, HDR_X_ENVOY_RETRIABLE_HEADER_NAMES))
		read_header_names(t, a, headers_get(h, HDR_X_ENVOY_RETRIABLE_HEADER_NAMES));
}

/* ---- the next attempt is ordered */

static void
go(struct retry *t)
{
	t->pending = false;
	router_try_again(t->router, t->timed_out);
}

static void
on_time(void *arg)
{
	go(arg);
}

static void
order_at_once(struct retry *t)
{
	t->pending = true;
	loop_flush(t->router->stream->loop, &t->at_once);
}

/* From the host's wish to half as much again, so that not all come back together. */
static uint64_t
wished_ms(struct retry *t)
{
	uint64_t ms = t->wish_ms;

	t->wish_ms = 0;
	return ms + rand_below(ms / 2 ? ms / 2 : 1);
}

/* Anything below a bound that doubles up to the greatest. */
static uint64_t
back_off_ms(struct retry *t)
{
	uint64_t bound = t->back_off_ms, max = t->policy->max_ms;

	t->back_off_ms = bound > max / 2 ? max : 2 * bound;
	return rand_below(bound ? bound : 1);
}

static void
order_later(struct retry *t)
{
	struct cluster_stats *s = t->router->cluster->stats;
	bool wished = t->wish_ms > 0;

	stat_inc(wished ? &s->upstream_rq_retry_backoff_ratelimited
			: &s->upstream_rq_retry_backoff_exponential);
	t->pending = true;
	timer_set(t->router->stream->loop, &t->timer, wished ? wished_ms(t) : back_off_ms(t));
}

/* ---- may it be ordered? */

static struct breakers *
breakers_of(const struct retry *t)
{
	return &t->router->cluster->breakers[t->router->route->policy->high_priority];
}

static void
let_go(struct retry *t)
{
	if (t->counted)
		breaker_remove(breakers_of(t), BREAKER_RETRIES);
	t->counted = t->armed = false;
}

enum manner {
	LATER,   /* after a back-off */
	AT_ONCE,
	FREE,    /* at once, and neither breaker nor budget is asked */
};

static enum retry_verdict
decide(struct retry *t, bool would, enum manner how, bool timed_out)
{
	struct cluster_stats *s = t->router->cluster->stats;

	if (t->armed && !would)
		stat_inc(&s->upstream_rq_retry_success);
	let_go(t);
	if (!would)
		return RETRY_NO;
	if (t->left == 0) {
		stat_inc(&s->upstream_rq_retry_limit_exceeded);
		return RETRY_LIMIT;
	}
	t->left--;
	if (how != FREE && !breaker_allows(breakers_of(t), BREAKER_RETRIES)) {
		stat_inc(&s->upstream_rq_retry_overflow);
		return RETRY_OVERFLOW;
	}
	t->armed = true;
	t->timed_out = timed_out;
	stat_inc(&s->upstream_rq_retry);
	if (how != FREE) {
		t->counted = true;
		breaker_add(breakers_of(t), BREAKER_RETRIES);
	}
	if (how == LATER)
		order_later(t);
	else
		order_at_once(t);
	return RETRY_YES;
}

/* ---- answers */

static bool
grpc_asks(uint32_t on, const struct headers *answer)
{
	static const struct {
		uint32_t bit;
		uint32_t status;
	} rows[] = {
	    {1u << RETRY_ON_BIT_CANCELLED, 1},
	    {1u << RETRY_ON_BIT_DEADLINE_EXCEEDED, 4},
	    {1u << RETRY_ON_BIT_RESOURCE_EXHAUSTED, 8},
	    {1u << RETRY_ON_BIT_INTERNAL, 13},
	    {1u << RETRY_ON_BIT_UNAVAILABLE, 14},
	};
	uint32_t status;

	if (!grpc_status_get(answer, &status))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((on & rows[i].bit) && status == rows[i].status)
			return true;
	return false;
}

/* The client's own early data: it is the client who has to wait. */
static bool
came_early(const struct retry *t)
{
	return headers_find(t->router->request, STR("early-data")) != NULL;
}

static bool
status_asks(const struct retry *t, unsigned status)
{
	if ((t->on & RETRY_ON_5XX) && status >= 500 && status < 600)
		return true;
	if ((t->on & RETRY_ON_GATEWAY_ERROR) && status >= 502 && status <= 504)
		return true;
	if ((t->on & RETRY_ON_RETRIABLE_4XX) && status == 409)
		return true;
	if (status == TOO_EARLY && came_early(t))
		return false;
	for (size_t i = 0; (t->on & RETRY_ON_STATUS_CODES) && i < t->n_codes; i++)
		if (t->codes[i] == status)
			return true;
	return false;
}

static bool
headers_ask(const struct retry *t, const struct headers *answer)
{
	for (size_t i = 0; i < t->policy->n_headers; i++)
		if (header_matches(&t->policy->headers[i], answer))
			return true;
	for (size_t i = 0; i < t->n_header_names; i++)
		if (headers_find(answer, t->header_names[i]))
			return true;
	return false;
}

bool
retry_would_on_answer(const struct retry *t, const struct headers *answer)
{
	if (headers_has(answer, HDR_X_ENVOY_RATELIMITED))
		return t->on & RETRY_ON_ENVOY_RATELIMITED;
	return status_asks(t, headers_status(answer)) ||
	       ((t->on & RETRY_ON_HEADERS) && headers_ask(t, answer)) || grpc_asks(t->on, answer);
}

/* Milliseconds until the host wants to be asked again; 0: it does not say, or something absurd. */
static uint64_t
read_wish(const struct retry *t, const struct headers *answer)
{
	uint64_t now_s = loop_wall_ns(t->router->stream->loop) / NS_PER_S, v;

	for (size_t i = 0; i < t->policy->n_reset_headers; i++) {
		const struct reset_header *r = &t->policy->reset_headers[i];

		if (!str_u64(headers_get_name(answer, r->name), &v))
			continue;
		if (r->unix_time && v < now_s)
			continue;
		v -= r->unix_time ? now_s : 0;
		if (v <= t->policy->reset_max_ms / 1000)
			return v * 1000;
	}
	return 0;
}

enum retry_verdict
retry_on_answer(struct retry *t, const struct headers *answer)
{
	bool would = retry_would_on_answer(t, answer);

	t->wish_ms = would ? read_wish(t, answer) : 0;
	return decide(t, would, headers_status(answer) == TOO_EARLY ? AT_ONCE : LATER, false);
}

/* ---- failures */

static bool
failure_asks(const struct retry *t, enum retry_cause cause, bool started)
{
	if (cause == CAUSE_OVERFLOW)
		return false;
	if (cause == CAUSE_CONNECT && (t->on & RETRY_ON_CONNECT_FAILURE))
		return true;
	if (cause == CAUSE_REFUSED && (t->on & RETRY_ON_REFUSED_STREAM))
		return true;
	if (!started && (t->on & RETRY_ON_RESET_BEFORE_REQUEST))
		return true;
	return t->on & (RETRY_ON_RESET | RETRY_ON_5XX | RETRY_ON_GATEWAY_ERROR);
}

/* No host took a byte of it. */
static bool
is_untouched(enum retry_cause cause)
{
	return cause == CAUSE_CONNECT || cause == CAUSE_STALE;
}

/* At once is for another connection or another host: who alone refuses is given time, as by Envoy. */
static enum manner
manner_of(struct retry *t, enum retry_cause cause)
{
	if (cause == CAUSE_STALE)
		return FREE;
	return cause == CAUSE_CONNECT && router_has_another_host(t->router) ? FREE : LATER;
}

bool
retry_at_once_is_left(const struct retry *t, enum retry_cause cause)
{
	return t->left > 0 && is_untouched(cause) && failure_asks(t, cause, true);
}

enum retry_verdict
retry_on_failure(struct retry *t, enum retry_cause cause, bool started, bool timeout)
{
	bool would = failure_asks(t, cause, started);

	t->wish_ms = 0;
	return decide(t, would, would && t->left > 0 ? manner_of(t, cause) : LATER, timeout);
}

enum retry_verdict
retry_hedge(struct retry *t)
{
	t->wish_ms = 0;
	return decide(t, true, LATER, true);
}

/* ---- where to */

static bool
refuses(void *arg, const struct host *h)
{
	const struct retry *t = arg;
	const struct router *r = t->router;

	if (t->policy->omit_canary && h->canary)
		return true;
	if (t->policy->n_omit_labels && retry_policy_omits(t->policy, h->metadata))
		return true;
	for (unsigned i = 0; t->policy->previous_hosts && i < r->tried_n; i++)
		if (r->tried[i] == h)
			return true;
	return false;
}

void
retry_choose(const struct retry *t, struct lb_context *ctx)
{
	ctx->tried = t->router->tried;
	ctx->tried_len = t->router->tried_n;
	ctx->more_picks = t->policy->host_attempts;
	ctx->refuses = refuses;
	ctx->arg = (void *)t;
	ctx->priority_frequency = t->policy->priority_frequency;
}

/* ---- life */

/* For us alone. */
#define STRIPPED(ID)                                                                               \
	ID(X_ENVOY_RETRY_ON)                                                                       \
	ID(X_ENVOY_RETRY_GRPC_ON)                                                                  \
	ID(X_ENVOY_MAX_RETRIES)                                                                    \
	ID(X_ENVOY_RETRIABLE_STATUS_CODES)                                                         \
	ID(X_ENVOY_RETRIABLE_HEADER_NAMES)
static const struct header_set stripped = HEADER_SET(STRIPPED);

static struct retry *
retry_begin(struct router *r, const struct retry_policy *p)
{
	struct retry *t = arena_new(&r->stream->arena, struct retry);

	t->router = r;
	t->policy = p;
	t->on = p->on;
	t->left = p->num_retries;
	t->codes = p->codes;
	t->n_codes = p->n_codes;
	t->back_off_ms = p->base_ms;
	timer_init(&t->timer, on_time, t);
	t->at_once.fn = on_time;
	t->at_once.arg = t;
	read_headers(t, &r->stream->arena, r->request);
	return t->on ? t : NULL;
}

struct retry *
retry_new(struct router *r)
{
	static const struct retry_policy none = {
	    .num_retries = 1, .base_ms = 25, .max_ms = 250, .host_attempts = 1};
	const struct retry_policy *p = r->route->policy->retry ? r->route->policy->retry : &none;
	struct headers *h = r->request;
	struct retry *t = NULL;

	if (p->on || headers_has(h, HDR_X_ENVOY_RETRY_ON) ||
	    headers_has(h, HDR_X_ENVOY_RETRY_GRPC_ON))
		t = retry_begin(r, p);
	headers_remove_set(h, &stripped);
	return t;
}

void
retry_end(struct retry **rp)
{
	struct retry *t = *rp;

	*rp = NULL;
	if (t == NULL)
		return;
	let_go(t);
	t->pending = false;
	timer_stop(&t->timer);
	flush_cancel(&t->at_once);
}
