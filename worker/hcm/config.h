/*
 * An HTTP connection manager as configured: the message read once into
 * the snapshot's arena.  Immutable.
 */
#ifndef HCM_CONFIG_H
#define HCM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/http/codec.h"
#include "lib/http/path.h"
#include "shm/block.h"
#include "worker/hcm/forward.h"

struct access_log;
struct http_filter;
struct route_table;
struct snapshot;

enum codec_choice {
	CODEC_AUTO,
	CODEC_HTTP1,
	CODEC_HTTP2,
};

struct filter_config {
	const struct http_filter *filter;
	void *config;
};

struct upgrade_config {
	struct str type;
	bool enabled;
};

struct hcm_config {
	struct str stat_prefix;
	const char *stat_block; /* "http.<stat_prefix>.", as in the segment */
	struct http_stats *stats;
	struct listener_http_stats *listener_stats;
	enum codec_choice codec_choice;
	struct codec_config codec;
	struct route_table *routes;
	struct filter_config *filters;
	unsigned filters_n;
	bool filters_see_response;
	struct access_log **access_logs;
	unsigned access_logs_n;
	struct forward_config forward;
	struct upgrade_config *upgrades;
	unsigned upgrades_n;

	struct path_options path;
	bool strip_matching_port, strip_any_port, strip_host_dot;
	uint16_t listener_port; /* for strip_matching_port */

	uint32_t buffer_limit;
	uint32_t max_requests_per_connection; /* 0 = no limit */
	/* 0 = off */
	uint64_t idle_ms, max_connection_ms, max_stream_ms, stream_idle_ms;
	uint64_t request_ms, request_headers_ms, drain_ms, delayed_close_ms;
	uint64_t least_ms; /* of those that a stream has from its beginning */
	uint32_t keepalive_jitter; /* percent of codec.h2.keepalive_interval_ms */
	bool stream_error_on_invalid;
};

/* What surrounds it. */
struct hcm_build {
	struct arena *arena;
	struct snapshot *snapshot;
	const char *listener_prefix; /* "listener.127.0.0.1_8000." */
	uint16_t listener_port;
	uint32_t buffer_limit;
	const char *node_cluster, *node_id;
};

/* msg: HttpConnectionManager, borrowed. */
int hcm_config_build(
    struct hcm_config **out, const void *msg, const struct hcm_build *b, struct err *err);

#endif
