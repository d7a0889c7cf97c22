#include "lib/upstream/cluster_http.h"

#include "conf/defaults.h"
#include "conf/message.h"
#include "lib/upstream/cluster.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h"

#define IDLE_TIMEOUT_MS 3600000u
#define MAX_HEADERS_BYTES (60u * 1024)
#define MAX_HEADERS_COUNT 100
#define OPTIONS_KEY "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Core__V3__HttpProtocolOptions CommonOptions;
typedef Envoy__Config__Core__V3__Http1ProtocolOptions Http1Options;
typedef Envoy__Config__Core__V3__Http2ProtocolOptions Http2Options;
typedef Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions HttpOptions;

#define CASE_HTTP2                                                                                 \
	ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP2_PROTOCOL_OPTIONS
#define CASE_HTTP1                                                                                 \
	ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP_PROTOCOL_OPTIONS
#define CASE_EXPLICIT                                                                              \
	ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_EXPLICIT_HTTP_CONFIG

/* What counts, whichever way it was spelled; all borrowed from the message. */
struct spelled {
	const CommonOptions *common;
	const Http1Options *http1;
	const Http2Options *http2; /* not NULL: HTTP/2 */
};

static void
from_typed(struct spelled *s, const HttpOptions *o)
{
	*s = (struct spelled){.common = o->common_http_protocol_options};
	if (o->upstream_protocol_options_case != CASE_EXPLICIT)
		return;
	if (o->explicit_http_config->protocol_config_case == CASE_HTTP1)
		s->http1 = o->explicit_http_config->http_protocol_options;
	if (o->explicit_http_config->protocol_config_case == CASE_HTTP2)
		s->http2 = o->explicit_http_config->http2_protocol_options;
}

static int
find_spelling(struct spelled *s, struct arena *a, const Cluster *c, struct err *err)
{
	*s = (struct spelled){
	    .common = c->common_http_protocol_options,
	    .http1 = c->http_protocol_options,
	    .http2 = c->http2_protocol_options,
	};
	for (size_t i = 0; i < c->n_typed_extension_protocol_options; i++) {
		const ProtobufCMessage *m;

		if (!str_eqz(str_of(c->typed_extension_protocol_options[i]->key), OPTIONS_KEY))
			continue;
		m = any_open(a, &c->typed_extension_protocol_options[i]->value->base,
		    &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor,
		    err);
		if (m == NULL)
			return err_in(err, "typed_extension_protocol_options");
		from_typed(s, (const HttpOptions *)m);
	}
	return 0;
}

static enum underscore_action
underscores(const CommonOptions *o)
{
	switch (o ? o->headers_with_underscores_action : 0) {
	case ENVOY__CONFIG__CORE__V3__HTTP_PROTOCOL_OPTIONS__HEADERS_WITH_UNDERSCORES_ACTION__REJECT_REQUEST:
		return UNDERSCORE_REJECT;
	case ENVOY__CONFIG__CORE__V3__HTTP_PROTOCOL_OPTIONS__HEADERS_WITH_UNDERSCORES_ACTION__DROP_HEADER:
		return UNDERSCORE_DROP;
	default:
		return UNDERSCORE_ALLOW;
	}
}

static void
read_common(struct cluster *c, const CommonOptions *o, const Cluster *msg)
{
	const Google__Protobuf__UInt32Value *max = o ? o->max_requests_per_connection : NULL;

	c->idle_timeout_ms = conf_duration_ms(o ? o->idle_timeout : NULL, IDLE_TIMEOUT_MS);
	c->max_connection_duration_ms = conf_duration_ms(o ? o->max_connection_duration : NULL, 0);
	c->max_stream_duration_ms = conf_duration_ms(o ? o->max_stream_duration : NULL, 0);
	c->max_requests_per_connection = conf_u32(max ? max : msg->max_requests_per_connection, 0);
	c->codec.max_headers_count = conf_u32(o ? o->max_headers_count : NULL, MAX_HEADERS_COUNT);
	c->codec.max_headers_bytes = MAX_HEADERS_BYTES;
	c->codec.underscores = underscores(o);
	c->codec.high_watermark = c->buffer_limit;
}

static void
read_http1(struct http1_settings *s, const Http1Options *o)
{
	s->allow_absolute_url = true;
	s->allow_custom_methods = true; /* what we send was accepted before */
	if (o == NULL)
		return;
	s->enable_trailers = o->enable_trailers;
	s->allow_chunked_length = o->allow_chunked_length;
	s->send_fully_qualified_url = o->send_fully_qualified_url;
	s->proper_case =
	    o->header_key_format &&
	    o->header_key_format->header_format_case ==
		ENVOY__CONFIG__CORE__V3__HTTP1_PROTOCOL_OPTIONS__HEADER_KEY_FORMAT__HEADER_FORMAT_PROPER_CASE_WORDS;
}

static void
set_u32(uint32_t *to, const Google__Protobuf__UInt32Value *v)
{
	*to = conf_u32(v, *to);
}

static void
read_http2(struct http2_settings *s, const Http2Options *o)
{
	http2_settings_defaults(s);
	if (o == NULL)
		return;
	set_u32(&s->hpack_table_size, o->hpack_table_size);
	set_u32(&s->max_concurrent_streams, o->max_concurrent_streams);
	set_u32(&s->initial_stream_window, o->initial_stream_window_size);
	set_u32(&s->initial_connection_window, o->initial_connection_window_size);
	set_u32(&s->max_outbound_frames, o->max_outbound_frames);
	set_u32(&s->max_outbound_control_frames, o->max_outbound_control_frames);
	set_u32(
	    &s->max_consecutive_empty_frames, o->max_consecutive_inbound_frames_with_empty_payload);
	set_u32(&s->max_priority_frames_per_stream, o->max_inbound_priority_frames_per_stream);
	set_u32(&s->max_window_updates_per_data_frame,
	    o->max_inbound_window_update_frames_per_data_frame_sent);
	s->allow_connect = o->allow_connect;
	s->stream_error_on_invalid = conf_bool(o->override_stream_error_on_invalid_http_message,
	    o->stream_error_on_invalid_http_messaging);
	if (o->connection_keepalive == NULL)
		return;
	s->keepalive_interval_ms = (uint32_t)conf_duration_ms(o->connection_keepalive->interval, 0);
	s->keepalive_timeout_ms = (uint32_t)conf_duration_ms(o->connection_keepalive->timeout, 0);
}

int
cluster_http_read(struct cluster *c, const void *msg, struct err *err)
{
	struct spelled s;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = find_spelling(&s, &a, msg, err);
	if (rc == 0) {
		c->http2 = s.http2 != NULL;
		read_common(c, s.common, msg);
		read_http1(&c->codec.h1, s.http1);
		read_http2(&c->codec.h2, s.http2);
	}
	arena_fini(&a);
	return rc;
}
