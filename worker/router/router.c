#include "worker/router/router.h"

#include "conf/defaults.h"
#include "lib/base/rand.h"
#include "lib/upstream/hash_policy.h"
#include "worker/hcm/config.h"
#include "worker/router/router_private.h"

#include "envoy/extensions/filters/http/router/v3/router.pb-c.h"

typedef Envoy__Extensions__Filters__Http__Router__V3__Router Router;

/* ---- configuration */

static int
configure(void **config, const void *msg, const struct filter_build *b, struct err *err)
{
	struct router_config *c = arena_new(b->arena, struct router_config);
	const Router *m = msg;
	struct strb prefix = {0};

	c->dynamic_stats = conf_bool(m ? m->dynamic_stats : NULL, true);
	c->suppress_envoy_headers = m && m->suppress_envoy_headers;
	c->respect_expected_rq_timeout = m && m->respect_expected_rq_timeout;
	if (m)
		strict_read(c, m->strict_check_headers, m->n_strict_check_headers, b->arena);
	strb_addz(&prefix, "http.");
	stat_name_add(&prefix, str_of(b->stat_prefix));
	strb_addc(&prefix, '.');
	c->stats = block_stats(SCOPE_http, strb_str(&prefix));
	strb_fini(&prefix);
	*config = c;
	return 0;
}

static void *
start(struct http_stream *s, const void *config)
{
	struct router *r = arena_new(&s->arena, struct router);

	r->stream = s;
	r->config = config;
	buf_init(&r->held);
	return r;
}

/* ---- answers of the route itself */

static void
add_route_headers(void *arg, struct headers *h)
{
	struct router *r = arg;

	route_rewrite_response(r->route, h, &r->stream->info);
}

struct redirect {
	struct router *router;
	struct str location;
};

static void
add_location(void *arg, struct headers *h)
{
	struct redirect *d = arg;

	headers_set_id(h, HDR_LOCATION, d->location);
	add_route_headers(d->router, h);
}

static void
reply_redirect(struct router *r)
{
	struct http_stream *s = r->stream;
	struct redirect d = {.router = r};
	unsigned status = route_redirect(r->route, r->request, &s->arena, &d.location);

	stat_inc(&r->config->stats->rq_redirect);
	r->over = true;
	stream_local_reply(s, status, STR(""), 0, STR("direct_response"), add_location, &d);
}

static void
reply_direct(struct router *r)
{
	stat_inc(&r->config->stats->rq_direct_response);
	r->over = true;
	stream_local_reply(r->stream, r->route->rest->direct_status, r->route->rest->direct_body, 0,
	    STR("direct_response"), add_route_headers, r);
}

static void
reply_no_route(struct router *r)
{
	stat_inc(&r->config->stats->no_route);
	r->over = true;
	stream_local_reply(r->stream, 404, STR(""), FLAG_NR, STR("route_not_found"), NULL, NULL);
}

static void
reply_no_cluster(struct router *r)
{
	stat_inc(&r->config->stats->no_cluster);
	router_reply(r, &(struct router_reply){
			    .status = r->route->policy->cluster_not_found_status,
			    .flag = FLAG_NC,
			    .details = STR("cluster_not_found"),
			});
}

/* ---- what an attempt gets */

static void
pause_client(struct router *r, bool paused)
{
	if (r->pausing == paused)
		return;
	r->pausing = paused;
	stream_pause_request(r->stream, paused);
}

static void
forget_held(struct router *r)
{
	r->keeping = false;
	buf_drain(&r->held, r->held.len);
}

/* A copy goes out when the body may be needed again. */
static void
send_held(struct router *r, bool end)
{
	struct buf out;

	buf_init(&out);
	if (r->keeping)
		buf_copy_ref(&out, &r->held);
	else
		buf_move(&out, &r->held);
	codec_send_data(r->attempt->stream, &out, end);
	buf_fini(&out);
}

void
router_on_connected(struct router *r, struct upstream_request *u)
{
	bool end = r->request_ended && r->trailers == NULL;
	bool body = !buf_empty(&r->held);

	r->keeping = r->retry || (pool_conn_reused(u->conn) && !r->sent_again);
	r->started = true;
	router_start_duration(r);
	outlier_note_local(u->host, OUTLIER_CONNECTED);
	if (r->blocked)
		upstream_request_pause(u, true);
	codec_send_headers(u->stream, r->request, end && !body);
	if (body && upstream_request_is_open(u))
		send_held(r, end);
	if (r->trailers && upstream_request_is_open(u))
		codec_send_trailers(u->stream, r->trailers);
	if (r->request_ended)
		router_start_try_timers(u);
	pause_client(r, false);
}

void
router_on_upstream_blocked(struct router *r, bool blocked)
{
	struct cluster_stats *s = r->cluster->stats;

	if (r->upstream_blocked == blocked)
		return;
	r->upstream_blocked = blocked;
	stat_inc(blocked ? &s->upstream_flow_control_backed_up_total
			 : &s->upstream_flow_control_drained_total);
	stream_pause_request(r->stream, blocked);
}

void
router_end(struct router *r)
{
	r->over = true;
	router_stop_timers(r);
	if (r->retry)
		retry_end(&r->retry);
	for (struct upstream_request *u = r->latest; u; u = u->older)
		if (u->state != UPSTREAM_OVER)
			upstream_request_cancel(u);
	if (r->upstream_blocked)
		stream_pause_request(r->stream, false);
	r->upstream_blocked = false;
	pause_client(r, false);
	buf_fini(&r->held);
}

/* ---- the request */

static void
end_request(struct router *r)
{
	r->request_ended = true;
	r->request_ended_ns = loop_now_ns(r->stream->loop);
	router_start_timeout(r);
	if (r->attempt && upstream_request_is_open(r->attempt))
		router_start_try_timers(r->attempt);
}

/* ClusterLoadAssignment.policy.drop_overloads */
static bool
is_dropped(struct router *r)
{
	uint32_t share = r->cluster->policy_of_members.drop_per_million;
	bool all = share >= 1000000;

	if (share == 0 || (!all && rand_below(1000000) >= share))
		return false;
	router_charge(r, NULL, 503);
	router_reply(r, &(struct router_reply){
			    .status = 503,
			    .body = all ? STR("unconditional drop overload") : STR("drop overload"),
			    .flag = all ? FLAG_UDO : FLAG_DO,
			    .details = all ? STR("unconditional_drop_overload") : STR("drop_overload"),
			    .mark = all ? STR("x-envoy-unconditional-drop-overload")
					: STR("x-envoy-drop-overload"),
			});
	return true;
}

/* The cluster's own policies come before the route's. */
static void
hash_request(struct router *r)
{
	const struct hash_policies *own = r->cluster->lb.hash_policies;
	const struct hash_policies *p = own ? own : r->route->policy->hash_policies;
	struct http_stream *s = r->stream;
	struct hash_source from = {
	    .request = r->request,
	    .remote = s->info.remote,
	    .direct_remote = s->info.direct_remote,
	    .local = s->info.local,
	    .arena = &s->arena,
	};

	if (p)
		r->has_hash = hash_policies_apply(p, &from, &r->hash, &r->cookies);
}

static void
route_to_cluster(struct router *r)
{
	struct http_stream *s = r->stream;
	struct cluster *c = r->route->to;

	s->info.cluster_name = c ? c->name : r->route->rest->cluster;
	if (c == NULL) {
		reply_no_cluster(r);
		return;
	}
	r->cluster = cluster_ref(c);
	if (!strict_passes(r) || is_dropped(r))
		return;
	if (c->policy->by_hash)
		hash_request(r);
	router_read_timeouts(r);
	s->info.attempts = 1;
	router_say_attempt(r);
	route_rewrite_request(r->route, r->request, &s->info, r->config->suppress_envoy_headers);
	r->retry = retry_new(r); /* a route may add headers that ask for retries */
	if (r->request_ended)
		router_start_timeout(r);
	router_try(r, false);
}

static enum filter_verdict
on_request_headers(void *self, struct headers *h, bool end)
{
	struct router *r = self;

	stat_inc(&r->config->stats->rq_total);
	r->route = r->stream->route;
	r->request = h;
	if (end) {
		r->request_ended = true;
		r->request_ended_ns = loop_now_ns(r->stream->loop);
	}
	if (r->route == NULL)
		reply_no_route(r);
	else if (r->route->kind == ROUTE_REDIRECT)
		reply_redirect(r);
	else if (r->route->kind == ROUTE_DIRECT)
		reply_direct(r);
	else
		route_to_cluster(r);
	return FILTER_STOP;
}

/* Above the limit the client waits; what came is kept all the same. */
static void
hold(struct router *r, struct buf *data)
{
	buf_move(&r->held, data);
	if (r->held.len > r->cluster->buffer_limit)
		pause_client(r, true);
}

static void
pass_on(struct router *r, struct buf *data, bool end)
{
	struct upstream_request *u = r->attempt;

	if (r->keeping && r->held.len + data->len > r->cluster->buffer_limit && !r->retry)
		forget_held(r);
	if (r->keeping)
		buf_copy_ref(&r->held, data);
	if (!end && u->stream->codec->protocol != HTTP_2)
		stream_leave_request_unseen(r->stream);
	if (end && u->stream->upgraded)
		pool_conn_end_tunnel(u->conn);
	codec_send_data(u->stream, data, end);
}

/* What may be kept of a body so that it can be sent again. */
static uint64_t
retry_limit(const struct router *r)
{
	uint64_t ours = r->stream->config->buffer_limit, routes = r->route->policy->request_buffer_limit;

	return ours < routes ? ours : routes;
}

/* The body is too long to be kept: the attempt that is under way is the last. */
static void
abandon_retry(struct router *r)
{
	stat_inc(&r->cluster->stats->retry_or_shadow_abandoned);
	if (!upstream_request_is_open(r->attempt) && !upstream_request_is_awaited(r->attempt)) {
		router_reply(r,
		    &(struct router_reply){
			.status = 507,
			.body = STR("exceeded request buffer limit while retrying upstream"),
			.details = STR("request_payload_exceeded_retry_buffer_limit"),
		    });
		return;
	}
	retry_end(&r->retry);
	r->keeping = false;
	if (upstream_request_is_open(r->attempt))
		forget_held(r);
}

static enum filter_verdict
on_request_data(void *self, struct buf *data, bool end)
{
	struct router *r = self;

	if (r->over) {
		buf_drain(data, data->len);
		return FILTER_STOP;
	}
	if (r->retry && r->held.len + data->len > retry_limit(r))
		abandon_retry(r);
	if (r->over) {
		buf_drain(data, data->len);
		return FILTER_STOP;
	}
	if (end)
		end_request(r);
	if (upstream_request_is_open(r->attempt))
		pass_on(r, data, end);
	else
		hold(r, data);
	return FILTER_STOP;
}

static enum filter_verdict
on_request_trailers(void *self, struct headers *t)
{
	struct router *r = self;

	if (r->over)
		return FILTER_STOP;
	r->trailers = t;
	end_request(r);
	if (upstream_request_is_open(r->attempt))
		codec_send_trailers(r->attempt->stream, t);
	return FILTER_STOP;
}

static void
on_downstream_blocked(void *self, bool blocked)
{
	struct router *r = self;

	if (!blocked && r->blocked == 0)
		return;
	r->blocked += blocked ? 1 : (unsigned)-1;
	if (r->blocked == (blocked ? 1 : 0) && r->attempt)
		upstream_request_pause(r->attempt, blocked);
}

static void
on_done(void *self)
{
	struct router *r = self;

	router_end(r);
	for (struct upstream_request *u = r->latest; u; u = u->older)
		host_unref(&u->host);
	cluster_unref(&r->cluster);
}

const struct http_filter router_filter = {
    .name = "envoy.filters.http.router",
    .type = "envoy.extensions.filters.http.router.v3.Router",
    .terminal = true,
    .configure = configure,
    .start = start,
    .on_request_headers = on_request_headers,
    .on_request_data = on_request_data,
    .on_request_trailers = on_request_trailers,
    .on_downstream_blocked = on_downstream_blocked,
    .on_done = on_done,
};
