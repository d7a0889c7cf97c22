/*
 * An HTTP filter.  The chain calls filters in order on the request and in
 * reverse on the response.  A filter that answers FILTER_STOP owns the
 * turn: it later calls stream_continue_request() / _response(), or
 * answers itself with stream_local_reply().  While a filter stops at
 * headers, data behind it waits in the stream and the client is paused
 * above the buffer limit.
 *
 * Configuration is parsed once per snapshot into the snapshot's arena and
 * is immutable; `start` makes the per-request object in the stream's
 * arena.  Every callback may be NULL.
 *
 * The last filter (router) answers FILTER_STOP to everything, eats the
 * data it is shown, and produces the response with stream_respond_*().
 */
#ifndef HCM_HTTP_FILTER_H
#define HCM_HTTP_FILTER_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/http/headers.h"

struct http_stream;

enum filter_verdict {
	FILTER_CONTINUE,
	FILTER_STOP,
};

/* What a filter may need while its configuration is read. */
struct filter_build {
	struct arena *arena;	  /* lives as long as the snapshot */
	const char *stat_prefix;  /* HCM's */
	const char *stat_block;	  /* "http.<prefix>.": what the names of blocks begin with */
	const char *node_cluster; /* node.cluster, "" when none */
	struct snapshot *snapshot;
};

struct http_filter {
	const char *name; /* canonical: "envoy.filters.http.router" */
	const char *type; /* message in typed_config, full name without URL prefix */
	bool terminal;
	/* msg: the unpacked typed_config (ProtobufCMessage), NULL when it was absent or {}. */
	int (*configure)(
	    void **config, const void *msg, const struct filter_build *b, struct err *err);
	void *(*start)(struct http_stream *s, const void *config);
	enum filter_verdict (*on_request_headers)(void *self, struct headers *h, bool end);
	enum filter_verdict (*on_request_data)(void *self, struct buf *data, bool end);
	enum filter_verdict (*on_request_trailers)(void *self, struct headers *t);
	enum filter_verdict (*on_response_headers)(void *self, struct headers *h, bool end);
	enum filter_verdict (*on_response_data)(void *self, struct buf *data, bool end);
	enum filter_verdict (*on_response_trailers)(void *self, struct headers *t);
	/* The client's side is above / below its watermark: slow the source of the response. */
	void (*on_downstream_blocked)(void *self, bool blocked);
	/* The stream ends, answered or not: cancel what is under way.  Called once. */
	void (*on_done)(void *self);
};

/* All filters, in filters.def order; NULL when unknown. */
const struct http_filter *http_filter_by_name(const char *name);
const struct http_filter *http_filter_by_type(const char *type);

#endif
