/*
 * Reads an HttpConnectionManager message into struct hcm_config.  Ranges,
 * required fields and references were checked by admin (conf/load.h);
 * what is refused here is what only a worker can see.
 */
#include "worker/hcm/config.h"

#include "conf/defaults.h"
#include "conf/message.h"
#include "conf/types.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "worker/access_log/access_log.h"
#include "worker/hcm/http_filter.h"
#include "worker/route/table.h"

#define HCM(name) Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__##name
#define HCM_ENUM(name)                                                                             \
	ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__##name
#define CORE(name) Envoy__Config__Core__V3__##name

#define DEFAULT_IDLE_MS (3600 * 1000u)
#define DEFAULT_STREAM_IDLE_MS (300 * 1000u)
#define DEFAULT_DRAIN_MS 5000u
#define DEFAULT_DELAYED_CLOSE_MS 1000u
#define DEFAULT_HEADERS_KB 60u
#define DEFAULT_HEADERS_COUNT 100u

/* "" when not given, else a copy. */
static struct str
text(struct arena *a, const char *z)
{
	return z && z[0] ? arena_str(a, str_of(z)) : STR("");
}

static void
read_stats(struct hcm_config *c, const struct hcm_build *b)
{
	struct strb name = {0};

	strb_addz(&name, b->listener_prefix);
	strb_addz(&name, "http.");
	stat_name_add(&name, c->stat_prefix);
	strb_addc(&name, '.');
	c->listener_stats = listener_http_stats_of(strb_z(&name));
	c->stat_block = arena_str(b->arena, str_of(strb_z(&name) + strlen(b->listener_prefix))).p;
	c->stats = http_stats_of(c->stat_block);
	strb_fini(&name);
}

/* ---- codecs */

static void
read_http1(struct http1_settings *s, const CORE(Http1ProtocolOptions) * m, struct arena *a)
{
	s->allow_absolute_url = true;
	if (m == NULL)
		return;
	s->allow_absolute_url = conf_bool(m->allow_absolute_url, true);
	s->accept_http_10 = m->accept_http_10;
	if (conf_string(m->default_host_for_http_10))
		s->default_host_for_http_10 = text(a, m->default_host_for_http_10).p;
	s->enable_trailers = m->enable_trailers;
	s->allow_chunked_length = m->allow_chunked_length;
	s->send_fully_qualified_url = m->send_fully_qualified_url;
	s->proper_case =
	    m->header_key_format != NULL &&
	    m->header_key_format->header_format_case ==
		ENVOY__CONFIG__CORE__V3__HTTP1_PROTOCOL_OPTIONS__HEADER_KEY_FORMAT__HEADER_FORMAT_PROPER_CASE_WORDS;
}

static void
read_keepalive(struct hcm_config *c, const CORE(KeepaliveSettings) * m)
{
	if (m == NULL)
		return;
	c->codec.h2.keepalive_interval_ms = (uint32_t)conf_duration_ms(m->interval, 0);
	c->codec.h2.keepalive_timeout_ms = (uint32_t)conf_duration_ms(m->timeout, 0);
	c->keepalive_jitter = m->interval_jitter ? (uint32_t)m->interval_jitter->value : 15;
}

static void
read_http2(struct hcm_config *c, const CORE(Http2ProtocolOptions) * m)
{
	struct http2_settings *s = &c->codec.h2;

	if (m) {
		s->hpack_table_size = conf_u32(m->hpack_table_size, 0);
		s->max_concurrent_streams = conf_u32(m->max_concurrent_streams, 0);
		s->initial_stream_window = conf_u32(m->initial_stream_window_size, 0);
		s->initial_connection_window = conf_u32(m->initial_connection_window_size, 0);
		s->allow_connect = m->allow_connect;
		s->max_outbound_frames = conf_u32(m->max_outbound_frames, 0);
		s->max_outbound_control_frames = conf_u32(m->max_outbound_control_frames, 0);
		s->max_consecutive_empty_frames =
		    conf_u32(m->max_consecutive_inbound_frames_with_empty_payload, 0);
		s->max_priority_frames_per_stream =
		    conf_u32(m->max_inbound_priority_frames_per_stream, 0);
		s->max_window_updates_per_data_frame =
		    conf_u32(m->max_inbound_window_update_frames_per_data_frame_sent, 0);
		s->stream_error_on_invalid =
		    conf_bool(m->override_stream_error_on_invalid_http_message,
			m->stream_error_on_invalid_http_messaging || c->stream_error_on_invalid);
		read_keepalive(c, m->connection_keepalive);
	}
	http2_settings_defaults(s);
}

static enum underscore_action
underscores(const CORE(HttpProtocolOptions) * m)
{
	if (m == NULL)
		return UNDERSCORE_ALLOW;
	switch (m->headers_with_underscores_action) {
	case ENVOY__CONFIG__CORE__V3__HTTP_PROTOCOL_OPTIONS__HEADERS_WITH_UNDERSCORES_ACTION__REJECT_REQUEST:
		return UNDERSCORE_REJECT;
	case ENVOY__CONFIG__CORE__V3__HTTP_PROTOCOL_OPTIONS__HEADERS_WITH_UNDERSCORES_ACTION__DROP_HEADER:
		return UNDERSCORE_DROP;
	default:
		return UNDERSCORE_ALLOW;
	}
}

static void
read_codecs(struct hcm_config *c, const HCM(HttpConnectionManager) * m, const struct hcm_build *b)
{
	const CORE(HttpProtocolOptions) *common = m->common_http_protocol_options;

	c->codec_choice = m->codec_type == HCM_ENUM(CODEC_TYPE__HTTP1)	 ? CODEC_HTTP1
			  : m->codec_type == HCM_ENUM(CODEC_TYPE__HTTP2) ? CODEC_HTTP2
									 : CODEC_AUTO;
	c->stream_error_on_invalid = conf_bool(m->stream_error_on_invalid_http_message, false);
	c->codec.max_headers_bytes = conf_u32(m->max_request_headers_kb, DEFAULT_HEADERS_KB) * 1024;
	c->codec.max_headers_count =
	    conf_u32(common ? common->max_headers_count : NULL, DEFAULT_HEADERS_COUNT);
	c->codec.underscores = underscores(common);
	c->codec.high_watermark = b->buffer_limit;
	c->codec.h1_stats = http1_codec_stats_of("http1.");
	c->codec.h2_stats = http2_codec_stats_of("http2.");
	read_http1(&c->codec.h1, m->http_protocol_options, b->arena);
	read_http2(c, m->http2_protocol_options);
}

/* ---- times and limits */

static uint64_t
least_of(const uint64_t *ms, size_t n)
{
	uint64_t least = 0;

	for (size_t i = 0; i < n; i++)
		if (ms[i] && (least == 0 || ms[i] < least))
			least = ms[i];
	return least;
}

static void
read_times(struct hcm_config *c, const HCM(HttpConnectionManager) * m)
{
	const CORE(HttpProtocolOptions) *common = m->common_http_protocol_options;

	c->idle_ms = DEFAULT_IDLE_MS;
	if (common) {
		c->idle_ms = conf_duration_ms(common->idle_timeout, DEFAULT_IDLE_MS);
		c->max_connection_ms = conf_duration_ms(common->max_connection_duration, 0);
		c->max_stream_ms = conf_duration_ms(common->max_stream_duration, 0);
		c->max_requests_per_connection = conf_u32(common->max_requests_per_connection, 0);
	}
	c->stream_idle_ms = conf_duration_ms(m->stream_idle_timeout, DEFAULT_STREAM_IDLE_MS);
	c->request_ms = conf_duration_ms(m->request_timeout, 0);
	c->request_headers_ms = conf_duration_ms(m->request_headers_timeout, 0);
	c->least_ms = least_of((uint64_t[]){c->stream_idle_ms, c->max_stream_ms, c->request_ms,
				   c->request_headers_ms}, 4);
	c->drain_ms = conf_duration_ms(m->drain_timeout, DEFAULT_DRAIN_MS);
	c->delayed_close_ms = conf_duration_ms(m->delayed_close_timeout, DEFAULT_DELAYED_CLOSE_MS);
}

/* ---- what may be believed */

static int
read_internal(struct forward_config *f, const HCM(HttpConnectionManager__InternalAddressConfig) * m,
    struct arena *a, struct err *err)
{
	if (m == NULL)
		return 0;
	f->internal_unix = m->unix_sockets;
	f->internal = arena_zalloc(a, m->n_cidr_ranges * sizeof(*f->internal));
	for (size_t i = 0; i < m->n_cidr_ranges; i++) {
		const CORE(CidrRange) *r = m->cidr_ranges[i];

		if (cidr_from(&f->internal[i], str_of(r->address_prefix),
			conf_u32(r->prefix_len, 0), err) < 0)
			return err_in(err, "internal_address_config.cidr_ranges[%zu]", i);
	}
	f->internal_n = (unsigned)m->n_cidr_ranges;
	return 0;
}

static int
read_forward(struct forward_config *f, const HCM(HttpConnectionManager) * m,
    const struct hcm_build *b, struct err *err)
{
	struct arena *a = b->arena;
	struct str line;

	f->use_remote_address = conf_bool(m->use_remote_address, false);
	f->skip_xff_append = m->skip_xff_append;
	f->trusted_hops = m->xff_num_trusted_hops;
	f->ipv4_mapped = m->represent_ipv4_remote_address_as_ipv4_mapped_ipv6;
	f->add_user_agent = conf_bool(m->add_user_agent, false);
	f->generate_request_id = conf_bool(m->generate_request_id, true);
	f->preserve_request_id = m->preserve_external_request_id;
	f->request_id_in_response = m->always_set_request_id_in_response;
	f->append_forwarded_port = m->append_x_forwarded_port;
	f->via = text(a, m->via);
	if (m->scheme_header_transformation &&
	    m->scheme_header_transformation->transformation_case ==
		ENVOY__CONFIG__CORE__V3__SCHEME_HEADER_TRANSFORMATION__TRANSFORMATION_SCHEME_TO_OVERWRITE)
		f->scheme = text(a, m->scheme_header_transformation->scheme_to_overwrite);
	f->node_cluster = text(a, b->node_cluster);
	f->node_id = text(a, b->node_id);
	f->server_name = conf_string(m->server_name) ? text(a, m->server_name) : STR("envoy");
	line = header_line(a, HDR_SERVER, f->server_name);
	if (line.n)
		f->server_line = header_of_line(HDR_SERVER, sizeof("server") - 1, line);
	f->server_header = m->server_header_transformation ==
				   HCM_ENUM(SERVER_HEADER_TRANSFORMATION__APPEND_IF_ABSENT)
			       ? SERVER_APPEND_IF_ABSENT
			   : m->server_header_transformation ==
				   HCM_ENUM(SERVER_HEADER_TRANSFORMATION__PASS_THROUGH)
			       ? SERVER_PASS_THROUGH
			       : SERVER_OVERWRITE;
	return read_internal(f, m->internal_address_config, a, err);
}

static enum escaped_slashes
escaped_slashes(const HCM(HttpConnectionManager) * m)
{
	switch (m->path_with_escaped_slashes_action) {
	case HCM_ENUM(PATH_WITH_ESCAPED_SLASHES_ACTION__REJECT_REQUEST):
		return ESCAPED_SLASHES_REJECT;
	case HCM_ENUM(PATH_WITH_ESCAPED_SLASHES_ACTION__UNESCAPE_AND_REDIRECT):
		return ESCAPED_SLASHES_REDIRECT;
	case HCM_ENUM(PATH_WITH_ESCAPED_SLASHES_ACTION__UNESCAPE_AND_FORWARD):
		return ESCAPED_SLASHES_FORWARD;
	default:
		return ESCAPED_SLASHES_KEEP;
	}
}

static void
read_target(struct hcm_config *c, const HCM(HttpConnectionManager) * m, const struct hcm_build *b)
{
	c->path.normalize = conf_bool(m->normalize_path, false);
	c->path.merge_slashes = m->merge_slashes;
	c->path.escaped = escaped_slashes(m);
	c->strip_matching_port = m->strip_matching_host_port;
	c->strip_any_port =
	    m->strip_port_mode_case == HCM_ENUM(STRIP_PORT_MODE_STRIP_ANY_HOST_PORT) &&
	    m->strip_any_host_port;
	c->strip_host_dot = m->strip_trailing_host_dot;
	c->listener_port = b->listener_port;
}

static void
read_upgrades(struct hcm_config *c, const HCM(HttpConnectionManager) * m, struct arena *a)
{
	c->upgrades = arena_zalloc(a, m->n_upgrade_configs * sizeof(*c->upgrades));
	for (size_t i = 0; i < m->n_upgrade_configs; i++) {
		c->upgrades[i].type = text(a, m->upgrade_configs[i]->upgrade_type);
		c->upgrades[i].enabled = conf_bool(m->upgrade_configs[i]->enabled, true);
	}
	c->upgrades_n = (unsigned)m->n_upgrade_configs;
}

/* ---- filters */

static const struct http_filter *
find_filter(const HCM(HttpFilter) * m, const ProtobufCMessage *config)
{
	const struct http_filter *f;
	const struct message_type *t;

	if (config)
		return http_filter_by_type(config->descriptor->name);
	f = http_filter_by_name(m->name);
	if (f)
		return f;
	t = type_by_name(TYPE_HTTP_FILTER, str_of(m->name));
	return t ? http_filter_by_type(t->full_name) : NULL;
}

static int
read_filter(struct filter_config *out, const HCM(HttpFilter) * m, const struct filter_build *b,
    struct err *err)
{
	const ProtobufCMessage *config = NULL;

	if (m->config_type_case ==
		ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_FILTER__CONFIG_TYPE_TYPED_CONFIG &&
	    conf_string(m->typed_config->type_url)) {
		config = any_open(b->arena, &m->typed_config->base, NULL, err);
		if (config == NULL)
			return -1;
	}
	out->filter = find_filter(m, config);
	if (out->filter == NULL)
		return err_set(err, "there is no such HTTP filter");
	if (out->filter->configure == NULL)
		return 0;
	return out->filter->configure(&out->config, config, b, err);
}

static bool
sees_response(const struct http_filter *f)
{
	return f->on_response_headers || f->on_response_data || f->on_response_trailers;
}

static int
read_filters(struct hcm_config *c, const HCM(HttpConnectionManager) * m, const struct hcm_build *b,
    struct err *err)
{
	struct filter_build fb = {
	    .arena = b->arena,
	    .stat_prefix = c->stat_prefix.p,
	    .stat_block = c->stat_block,
	    .node_cluster = c->forward.node_cluster.p,
	    .snapshot = b->snapshot,
	};

	c->filters = arena_zalloc(b->arena, m->n_http_filters * sizeof(*c->filters));
	for (size_t i = 0; i < m->n_http_filters; i++) {
		const HCM(HttpFilter) *f = m->http_filters[i];

		if (f->disabled)
			continue;
		if (read_filter(&c->filters[c->filters_n], f, &fb, err) < 0)
			return err_in(err, "http_filters[%zu] '%s'", i, f->name);
		c->filters_see_response |= sees_response(c->filters[c->filters_n].filter);
		c->filters_n++;
	}
	if (c->filters_n == 0 || !c->filters[c->filters_n - 1].filter->terminal)
		return err_set(err, "http_filters: the last one must be a terminal filter");
	return 0;
}

static int
read_access_logs(
    struct hcm_config *c, const HCM(HttpConnectionManager) * m, struct arena *a, struct err *err)
{
	c->access_logs = arena_zalloc(a, m->n_access_log * sizeof(*c->access_logs));
	for (size_t i = 0; i < m->n_access_log; i++)
		if (access_log_build(&c->access_logs[i], m->access_log[i], a, err) < 0)
			return err_in(err, "access_log[%zu]", i);
	c->access_logs_n = (unsigned)m->n_access_log;
	return 0;
}

static int
read_routes(struct hcm_config *c, const HCM(HttpConnectionManager) * m, const struct hcm_build *b,
    struct err *err)
{
	if (m->route_specifier_case != HCM_ENUM(ROUTE_SPECIFIER_ROUTE_CONFIG))
		return err_set(err, "route_config: required");
	if (route_table_build(&c->routes, m->route_config, b->arena, err) < 0)
		return err_in(err, "route_config");
	route_table_resolve(c->routes, b->snapshot);
	return 0;
}

int
hcm_config_build(
    struct hcm_config **out, const void *msg, const struct hcm_build *b, struct err *err)
{
	const HCM(HttpConnectionManager) *m = msg;
	struct hcm_config *c = arena_new(b->arena, struct hcm_config);

	c->stat_prefix = text(b->arena, m->stat_prefix);
	read_stats(c, b);
	c->buffer_limit = b->buffer_limit;
	read_codecs(c, m, b);
	read_times(c, m);
	read_target(c, m, b);
	read_upgrades(c, m, b->arena);
	if (read_forward(&c->forward, m, b, err) < 0 || read_routes(c, m, b, err) < 0 ||
	    read_access_logs(c, m, b->arena, err) < 0 || read_filters(c, m, b, err) < 0)
		return -1;
	*out = c;
	return 0;
}
