/*
 * What went wrong with the attempt, and what the client hears of it.
 * Texts, flags and details are Envoy's.
 */
#include "lib/net/address.h"
#include "shm/failures.h"
#include "worker/router/router_private.h"

struct failure_row {
	unsigned status;
	const char *reason;
	uint32_t flag_bit;
	bool blames_host;
};

static const struct failure_row pool_rows[] = {
    [POOL_OVERFLOW] = {503, "overflow", FLAG_BIT_UO, false},
    [POOL_CONNECT_FAILED] = {503, "remote connection failure", FLAG_BIT_UF, true},
    [POOL_CONNECT_LOCAL] = {503, "local connection failure", FLAG_BIT_UF, true},
    [POOL_CONNECT_TIMEOUT] = {503, "connection timeout", FLAG_BIT_UF, true},
};

static const struct failure_row reset_rows[] = {
    [RESET_LOCAL] = {503, "local reset", FLAG_BIT_LR, true},
    [RESET_LOCAL_REFUSED] = {503, "local refused stream reset", FLAG_BIT_LR, true},
    [RESET_REMOTE] = {503, "remote reset", FLAG_BIT_UR, true},
    [RESET_REMOTE_REFUSED] = {503, "remote refused stream reset", FLAG_BIT_UR, true},
    [RESET_CONNECTION_CLOSED] = {503, "connection termination", FLAG_BIT_UC, true},
    [RESET_PROTOCOL_ERROR] = {502, "protocol error", FLAG_BIT_UPE, true},
    [RESET_OVERFLOW] = {503, "overflow", FLAG_BIT_UO, true},
};

/* ---- the ring of failed requests */

static const char *const flag_letters[] = {
#define FLAG(id, letters, name) [FLAG_BIT_##id] = letters,
#include "worker/access_log/flags.def"
#undef FLAG
};

static struct str
flag_text(uint32_t flags)
{
	for (unsigned i = 0; i < RESPONSE_FLAGS; i++)
		if (flags & (1u << i))
			return str_of(flag_letters[i]);
	return STR("-");
}

static void
note_failure(struct router *r, const struct router_reply *reply)
{
	const struct stream_info *info = &r->stream->info;
	char host[ADDRESS_TEXT] = "";

	if (reply->status < 500)
		return;
	if (info->upstream)
		address_format(info->upstream, host);
	failure_note(&(struct failure){
	    .kind = FAILURE_REQUEST,
	    .wall_ns = loop_wall_ns(r->stream->loop),
	    .status = reply->status,
	    .flags = flag_text(reply->flag),
	    .route = info->route_name,
	    .cluster = info->cluster_name,
	    .host = str_of(host),
	    .details = reply->details,
	});
}

/* ---- answering */

struct decoration {
	struct router *router;
	bool overloaded;
	struct str mark;
};

static void
decorate(void *arg, struct headers *h)
{
	struct decoration *d = arg;
	struct router *r = d->router;

	if (d->overloaded && !r->config->suppress_envoy_headers)
		headers_set_id(h, HDR_X_ENVOY_OVERLOADED, STR("true"));
	if (d->mark.n && !r->config->suppress_envoy_headers)
		headers_set(h, d->mark, STR("true"));
	router_add_attempts(r, h);
}

void
router_charge(struct router *r, struct host *host, unsigned status)
{
	if (host) /* also when a timeout is answered with 204 */
		stat_inc(&host->stats->rq_error);
	cluster_count_response(
	    r->cluster, NULL, status, router_counts(r), r->stream->internal, false);
}

void
router_reply(struct router *r, const struct router_reply *reply)
{
	struct decoration d = {r, reply->overloaded, reply->mark};

	router_end(r);
	note_failure(r, reply);
	stream_local_reply(
	    r->stream, reply->status, reply->body, reply->flag, reply->details, decorate, &d);
}

void
router_give_up(struct router *r, const struct router_reply *reply)
{
	stat_inc(&r->config->stats->rq_reset_after_downstream_response_started);
	router_end(r);
	note_failure(r, reply);
	stream_respond_reset(r->stream, reply->flag, reply->details);
}

/* ---- resets and failed connections */

/* "prefix{reason,transport}" without spaces. */
static struct str
details_of(struct router *r, const char *prefix, const char *reason, const char *transport)
{
	char *p = arena_printf(
	    &r->stream->arena, "%s{%s%s%s}", prefix, reason, transport[0] ? "," : "", transport);

	for (char *c = p; *c; c++)
		if (*c == ' ')
			*c = '_';
	return str_of(p);
}

static struct str
body_of(struct router *r, const char *reason, const char *transport)
{
	return str_of(arena_printf(&r->stream->arena,
	    "upstream connect error or disconnect/reset before headers. %sreset reason: %s%s%s",
	    r->stream->info.attempts > 1 ? "retried and the latest " : "", reason,
	    transport[0] ? ", transport failure reason: " : "", transport));
}

static void
fail(struct router *r, struct upstream_request *u, const struct failure_row *row,
    const char *transport)
{
	struct router_reply reply = {
	    .status = row->status,
	    .flag = 1u << row->flag_bit,
	    .overloaded = row->flag_bit == FLAG_BIT_UO,
	};

	if (transport[0])
		r->stream->info.transport_failure =
		    str_of(arena_printf(&r->stream->arena, "%s", transport));
	if (r->answered) {
		reply.details =
		    details_of(r, "upstream_reset_after_response_started", row->reason, transport);
		router_give_up(r, &reply);
		return;
	}
	router_charge(r, row->blames_host ? u->host : NULL, row->status);
	if (router_may_be_answered(r, u))
		return;
	reply.details =
	    details_of(r, "upstream_reset_before_response_started", row->reason, transport);
	reply.body = body_of(r, row->reason, transport);
	router_reply(r, &reply);
}

/* ---- a connection that was dead before it was used */

static bool
is_idempotent(struct str method)
{
	static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (str_eqz(method, methods[i]))
			return true;
	return false;
}

/*
 * The host closed a kept connection while the request was on its way, and
 * sent nothing: it cannot have acted on the request, or may act on it
 * twice.
 */
static bool
is_harmless(const struct router *r, const struct upstream_request *u)
{
	return u->was_stale &&
	       (is_idempotent(headers_get(r->request, HDR_METHOD)) || !u->was_written ||
		   !r->request_ended);
}

/* Once more, on a new connection. */
static bool
may_send_again(const struct router *r, const struct upstream_request *u)
{
	return is_harmless(r, u) && r->keeping && !r->sent_again;
}

static void
send_again(struct router *r)
{
	stat_inc(&r->cluster->stats->upstream_rq_stale_retry);
	r->sent_again = true;
	router_on_upstream_blocked(r, false);
	router_try(r, true);
}

static void
count_reset(struct router *r, enum stream_reset why)
{
	struct cluster_stats *s = r->cluster->stats;

	if (why == RESET_REMOTE || why == RESET_REMOTE_REFUSED)
		stat_inc(&s->upstream_rq_rx_reset);
	else if (why != RESET_CONNECTION_CLOSED)
		stat_inc(&s->upstream_rq_tx_reset);
}

/* ---- trying again */

void
router_note_verdict(struct router *r, enum retry_verdict v)
{
	if (v == RETRY_LIMIT)
		r->stream->info.flags |= FLAG_URX;
	if (v == RETRY_OVERFLOW)
		r->stream->info.flags |= FLAG_UO;
}

bool
router_retries_failure(
    struct router *r, struct upstream_request *u, enum retry_cause cause, bool timeout)
{
	enum retry_verdict v;

	if (r->answered || r->retry == NULL || u->retried)
		return false;
	v = retry_on_failure(r->retry, cause, r->started, timeout);
	if (v != RETRY_YES) {
		router_note_verdict(r, v);
		return false;
	}
	stat_inc(&u->host->stats->rq_error);
	timer_stop(&r->duration); /* the next attempt has its own */
	if (u == r->attempt)
		router_on_upstream_blocked(r, false);
	return true;
}

static enum retry_cause
cause_of(const struct router *r, const struct upstream_request *u, enum stream_reset why)
{
	if (why == RESET_OVERFLOW)
		return CAUSE_OVERFLOW;
	if (why == RESET_REMOTE_REFUSED)
		return CAUSE_REFUSED;
	return is_harmless(r, u) ? CAUSE_STALE : CAUSE_RESET;
}

/* A kept connection that was dead is nobody's failure: the policy has the first word, as it moves to
 * another host; when it has none, or no more, the request is sent once more all the same. */
static bool
goes_on(struct router *r, struct upstream_request *u, enum stream_reset why)
{
	enum retry_cause cause = cause_of(r, u, why);
	bool left = r->retry && !u->retried && retry_at_once_is_left(r->retry, cause);

	if (!left && u == r->attempt && may_send_again(r, u)) {
		send_again(r);
		return true;
	}
	return router_retries_failure(r, u, cause, false);
}

void
router_on_reset(struct router *r, struct upstream_request *u, enum stream_reset why)
{
	if (r->over) /* the response is complete already */
		return;
	count_reset(r, why);
	if (why != RESET_OVERFLOW && !u->was_stale)
		outlier_note_local(u->host, OUTLIER_FAILED);
	if (goes_on(r, u, why))
		return;
	fail(r, u, &reset_rows[why], "");
}

void
router_on_pool_failure(
    struct router *r, struct upstream_request *u, enum pool_failure why, const char *transport)
{
	/* That we are out of connections or descriptors says nothing of the host. */
	if (why == POOL_CONNECT_FAILED || why == POOL_CONNECT_TIMEOUT)
		outlier_note_local(u->host, OUTLIER_FAILED);
	if (router_retries_failure(
		r, u, why == POOL_OVERFLOW ? CAUSE_OVERFLOW : CAUSE_CONNECT, false))
		return;
	fail(r, u, &pool_rows[why], transport);
}
