/*
 * One request, from its first byte to its access log line: the worker's
 * `http_stream`.  It owns an arena, holds a reference on the snapshot it
 * began with, runs the filter chain and writes the response through its
 * codec stream.  This header is what filters and the router may use; the
 * rest is in stream_private.h.
 */
#ifndef HCM_STREAM_H
#define HCM_STREAM_H

#include "lib/base/arena.h"
#include "lib/http/headers.h"
#include "worker/hcm/stream_info.h"

struct cluster;
struct codec_stream;
struct hcm_config;
struct loop;
struct route;
struct snapshot;

struct http_stream {
	struct arena arena;
	struct loop *loop;
	struct stream_info info;
	const struct hcm_config *config;
	struct snapshot *snapshot;
	const struct route *route;					 /* NULL: none matched */
	struct headers *request;					 /* as filters left them */
	struct headers *request_trailers, *response, *response_trailers; /* NULL until there */
	uint64_t due_ns;       /* on_due is called then; 0: never */
	void (*on_due)(void *arg);
	void *due_arg;
	bool internal;	       /* x-envoy-internal request */
	bool upgrade;	       /* a valid, allowed upgrade (WebSocket) */
	bool grpc;	       /* request content-type application/grpc* */
	bool request_complete; /* its last byte was received */
	bool response_started; /* headers went to the client */
};

/* ---- for filters that answered FILTER_STOP */
void stream_continue_request(struct http_stream *s);
void stream_continue_response(struct http_stream *s);

/*
 * An answer of our own: status, body (may be empty), flag (FLAG_xx or 0),
 * details (static or in the stream's arena).  `decorate` (may be NULL)
 * may add headers before it goes through the response filters.  gRPC
 * requests get a trailers-only answer.  When the response has begun the
 * stream is reset instead.
 */
void stream_local_reply(struct http_stream *s, unsigned status, struct str body, uint32_t flag,
    struct str details, void (*decorate)(void *arg, struct headers *h), void *arg);

/* ---- for the terminal filter: the response, in this order */
struct headers *stream_new_headers(struct http_stream *s); /* empty, in the stream's arena */
void stream_respond_info(struct http_stream *s, struct headers *h);		 /* 1xx but 101 */
void stream_respond_headers(struct http_stream *s, struct headers *h, bool end); /* takes h */
void stream_respond_data(struct http_stream *s, struct buf *data, bool end); /* takes all bytes */
void stream_respond_trailers(struct http_stream *s, struct headers *t);
/* The response cannot be completed: reset (HTTP/1: close) with this flag. */
void stream_respond_reset(struct http_stream *s, uint32_t flag, struct str details);

/* Counted pause of the request body: upstream is above its watermark. */
void stream_pause_request(struct http_stream *s, bool paused);

/*
 * Once, after so many milliseconds, fn(arg): for a timeout that nearly every
 * request sets and that nearly none sees.  The connection's one timer is
 * moved only to come earlier.  One a stream: asked again it is moved.
 */
void stream_call_after(struct http_stream *s, uint64_t ms, void (*fn)(void *arg), void *arg);
static inline void
stream_call_off(struct http_stream *s)
{
	s->due_ns = 0;
}

/*
 * Bytes of a body may come in a pipe, and be fetched when somebody looks at
 * them.  That pays only when nobody does.  Of the request: this filter looks
 * at nothing that is yet to come.  Of the response: is that so for everybody
 * on its way?
 */
void stream_leave_request_unseen(struct http_stream *s);
bool stream_response_is_unseen(const struct http_stream *s);

/* After a 101: if no filter looks at the bytes of this tunnel, they go to and from `upstream` directly. */
void stream_join(struct http_stream *s, struct codec_stream *upstream);

/* The chosen route was changed by a filter (headers rewritten): look it up again. */
void stream_clear_route(struct http_stream *s);

#endif
