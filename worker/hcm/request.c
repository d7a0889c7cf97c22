/*
 * The way in: what happens to a request between its last header and the
 * first filter, in Envoy's order.
 */
#include "lib/http/grpc.h"
#include "worker/hcm/forward.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/stream_private.h"
#include "worker/hcm/target.h"
#include "worker/hcm/upgrade.h"
#include "worker/route/table.h"

/* Each step gives false when it has answered. */

static void
reject(struct stream *s, unsigned status, struct str body, const char *details)
{
	stream_local_reply(&s->s, status, body, 0, str_of(details), NULL, NULL);
}

/* We answer 100 ourselves and the upstream does not see the expectation. */
static void
answer_expectation(struct stream *s)
{
	struct headers *h = s->s.request, *info;
	const struct hcm_config *c = s->s.config;

	if (!headers_has(h, HDR_EXPECT) || s->codec->protocol == HTTP_10 ||
	    !str_ieqz(headers_get(h, HDR_EXPECT), "100-continue"))
		return;
	info = stream_new_headers(&s->s);
	headers_set_status(info, 100);
	codec_send_info(s->codec, info);
	stat_inc(&c->stats->downstream_rq_completed);
	stat_inc(&c->stats->downstream_rq_1xx);
	stat_inc(&c->listener_stats->downstream_rq_completed);
	stat_inc(&c->listener_stats->downstream_rq_1xx);
	headers_remove_id(h, HDR_EXPECT);
}

static bool
check_version(struct stream *s)
{
	if (s->codec->protocol != HTTP_10 || s->s.config->codec.h1.accept_http_10)
		return true;
	s->close_after = true;
	reject(s, 426, STR(""), "low_version");
	return false;
}

static bool
check_target(struct stream *s, struct str path)
{
	struct headers *h = s->s.request;

	if (headers_get(h, HDR_AUTHORITY).n == 0) {
		reject(s, 400, STR(""), "missing_host_header");
		return false;
	}
	if (path.n == 0) {
		if (str_eqz(headers_get(h, HDR_METHOD), "CONNECT"))
			return true;
		reject(s, 404, STR(""), "missing_path_rejected");
		return false;
	}
	if (path.p[0] != '/' && !str_eqz(path, "*")) {
		stat_inc(&s->s.config->stats->downstream_rq_non_relative_path);
		reject(s, 404, STR(""), "absolute_path_rejected");
		return false;
	}
	return true;
}

static void
add_location(void *arg, struct headers *h)
{
	struct stream *s = arg;

	headers_set_id(h, HDR_LOCATION, headers_get(s->s.request, HDR_PATH));
}

static bool
normalize(struct stream *s, struct str path)
{
	struct http_stats *st = s->s.config->stats;

	if (path.n == 0 || path.p[0] != '/')
		return true;
	switch (target_normalize_path(s->s.request, path, s->s.config)) {
	case PATH_OK:
		return true;
	case PATH_BAD:
		stat_inc(&st->downstream_rq_failed_path_normalization);
		reject(s, 400, STR(""), "path_normalization_failed");
		return false;
	case PATH_REDIRECT:
		stat_inc(&st->downstream_rq_redirected_with_normalized_path);
		stream_local_reply(
		    &s->s, 307, STR(""), 0, STR("path_normalization_failed"), add_location, s);
		return false;
	}
	return true;
}

/* HTTP/1: the client's last request. */
static void
note_close(struct stream *s)
{
	static const enum header_id ids[] = {HDR_CONNECTION, HDR_PROXY_CONNECTION};
	struct str list, part;

	if (!headers_may_have(s->s.request, HDR_CONNECTION) &&
	    !headers_may_have(s->s.request, HDR_PROXY_CONNECTION))
		return;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		if (!headers_has(s->s.request, ids[i]))
			continue;
		list = headers_joined(s->s.request, header_id_name(ids[i]));
		while (str_cut(&list, ',', &part))
			s->close_after |= str_ieqz(str_trim(part), "close");
	}
}

/* Nobody asks for it unless the client's own address counts. */
static struct str
peer_ip(struct stream *s)
{
	struct hcm_busy *b = s->conn->busy;
	char *text;

	if (!s->s.config->forward.use_remote_address || !address_is_ip(&s->remote))
		return STR("");
	if (s->remote.sa.sa_family == AF_INET) {
		if (b->ip_text_len == 0)
			b->ip_text_len = (uint8_t)address_format_ip(&s->remote, b->ip_text);
		return str_make(b->ip_text, b->ip_text_len);
	}
	text = arena_alloc(&s->s.arena, ADDRESS_TEXT);
	return str_make(text, address_format_ip(&s->remote, text));
}

static void
forward(struct stream *s, bool upgrade)
{
	struct forward f = {
	    .config = &s->s.config->forward,
	    .peer = &s->remote,
	    .local = &s->local,
	    .peer_ip = peer_ip(s),
	    .upgrade = upgrade,
	    .found = &s->found_remote,
	};

	forward_request(&f, s->s.request);
	s->s.internal = f.internal;
	if (!f.internal)
		route_table_strip_internal(s->s.config->routes, s->s.request);
	s->s.info.remote = f.remote;
}

/* ---- the route and what it says of times */

static uint64_t
route_duration_ms(const struct stream *s, const struct route *r)
{
	const struct route_policy *p = r->policy;
	uint64_t ms;

	if (p->has_grpc_timeout_max &&
	    grpc_timeout_parse(headers_get(s->s.request, HDR_GRPC_TIMEOUT), &ms)) {
		if (p->grpc_timeout_max_ms && ms > p->grpc_timeout_max_ms)
			ms = p->grpc_timeout_max_ms;
		return ms > p->grpc_timeout_offset_ms ? ms - p->grpc_timeout_offset_ms : ms;
	}
	return p->has_max_stream_duration ? p->max_stream_duration_ms : s->s.config->max_stream_ms;
}

static void
find_route(struct stream *s)
{
	const struct route *r = route_table_find(s->s.config->routes, s->s.request);

	s->s.route = r;
	s->idle_ms = s->s.config->stream_idle_ms;
	s->max_ms = s->s.config->max_stream_ms;
	s->s.info.route_name = r ? r->name : STR("");
	if (r == NULL)
		return;
	if (r->policy->has_idle_timeout)
		s->idle_ms = r->policy->idle_timeout_ms;
	s->max_ms = route_duration_ms(s, r);
	if (s->idle_ms != s->s.config->stream_idle_ms || s->max_ms != s->s.config->max_stream_ms)
		hcm_wake_by(s->conn, stream_deadline(s));
}

void
stream_clear_route(struct http_stream *hs)
{
	if (stream_is_open(stream_of(hs)))
		find_route(stream_of(hs));
}

static bool
check_upgrade(struct stream *s, struct str type)
{
	if (type.n == 0)
		return true;
	if (upgrade_is_allowed(s->s.config, s->s.route, type)) {
		s->s.upgrade = true;
		return true;
	}
	stat_inc(&s->s.config->stats->downstream_rq_ws_on_non_ws_route);
	s->close_after = true;
	reject(s, 403, STR(""), "upgrade_failed");
	return false;
}

void
stream_request(struct stream *s, bool end)
{
	struct headers *h = s->s.request;
	struct str path = headers_get(h, HDR_PATH), upgrade;

	s->s.grpc = grpc_is_request(h);
	stream_enter(s, STREAM_RUNNING);
	answer_expectation(s);
	if (!check_version(s) || !check_target(s, path) || !normalize(s, path))
		return;
	target_normalize_host(h, s->s.config);
	note_close(s);
	upgrade = upgrade_type(h);
	forward(s, upgrade.n > 0);
	find_route(s);
	if (!check_upgrade(s, upgrade))
		return;
	chain_start(s);
	chain_headers(&s->request, h, end);
}
