/*
 * The router of one request, for the files of this folder: router.c takes
 * the request in, upstream_request.c is the attempt, response.c passes
 * the answer on, failure.c makes ours, timeout.c keeps the time.
 */
#ifndef ROUTER_ROUTER_PRIVATE_H
#define ROUTER_ROUTER_PRIVATE_H

#include "lib/base/log.h"
#include "lib/event/timer.h"
#include "lib/upstream/cluster.h"
#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream.h"
#include "worker/route/table.h"
#include "worker/router/upstream_request.h"

struct router_config {
	bool dynamic_stats, suppress_envoy_headers, respect_expected_rq_timeout;
	struct http_stats *stats; /* http.<prefix>. */
};

struct router {
	struct http_stream *stream; /* the owner */
	const struct router_config *config;
	const struct route *route;
	struct cluster *cluster;    /* a reference; NULL before it is known */
	struct headers *request, *trailers;
	struct upstream_request attempt;
	/*
	 * Body that waits for a connection; on a reused connection also what
	 * was sent already, until the host's first byte: the connection may
	 * turn out to be dead and the request be sent again.
	 */
	struct buf held;
	bool keeping;        /* `held` has all of the body so far */
	bool sent_again;     /* once is enough */
	bool pausing;        /* the client is paused: `held` is full */
	bool request_ended;  /* all of the request was seen here */
	bool upstream_blocked;
	bool answered;       /* a response was begun */
	bool over;           /* answered to the end, replied or done: events of the request are dropped */
	bool upgraded, canary;
	bool has_hash;       /* hash policies of the route found something */
	uint64_t hash;
	struct hash_cookie *cookies; /* for the response */
	unsigned blocked;    /* reasons why the client's side takes no more */
	uint64_t request_ended_ns;
	struct timer timeout, duration;
	uint64_t timeout_ms, duration_ms; /* 0 = off */
	unsigned timeout_status;          /* 504, or 204 when asked for */
};

/* ---- router.c */

/* Another attempt, on a host chosen anew. */
void router_try(struct router *r, bool fresh);
/* The stream is there: headers and what is held go out. */
void router_on_connected(struct router *r);
void router_on_upstream_blocked(struct router *r, bool blocked);
/* Nothing can follow: timers, attempt and held body go. */
void router_end(struct router *r);

/* ---- response.c */

void router_on_info(struct router *r, struct headers *h);
void router_on_response(struct router *r, struct headers *h, bool end);
void router_on_response_data(struct router *r, struct buf *data, bool end);
void router_on_response_trailers(struct router *r, struct headers *t);
bool router_counts(const struct router *r); /* dynamic stats are wanted for this request */

/* ---- failure.c */

void router_on_reset(struct router *r, enum stream_reset why);
void router_on_pool_failure(struct router *r, enum pool_failure why, const char *transport);
/* Answers and ends.  host: it is to blame, or NULL. */
struct router_reply {
	unsigned status;
	struct str body;
	uint32_t flag;
	struct str details; /* static or in the stream's arena */
	struct host *host;
	bool overloaded;    /* x-envoy-overloaded: true */
};
void router_reply(struct router *r, const struct router_reply *reply);
/* The same when a response was begun: the stream is reset. */
void router_give_up(struct router *r, const struct router_reply *reply);

/* ---- timeout.c */

/* Finds the timeouts in force, takes their headers out and says what to expect. */
void router_read_timeouts(struct router *r);
void router_start_timeout(struct router *r);  /* the request is complete */
void router_start_duration(struct router *r); /* the attempt has its stream */
void router_stop_timers(struct router *r);

#endif
