/*
 * Connections to one host, per priority: HTTP/1 ones are taken most
 * recently used first and carry one request at a time, HTTP/2 ones carry
 * many.  A request that finds no room waits, within the cluster's
 * circuit breakers; breakers look at all workers (shm).
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"
#include "lib/http/codec.h"

struct address;
struct cluster;
struct host;
struct pool;
struct pool_conn;

enum pool_failure {
	POOL_OVERFLOW,        /* a circuit breaker: UO */
	POOL_CONNECT_FAILED,  /* refused, unreachable: UF "remote connection failure" */
	POOL_CONNECT_LOCAL,   /* no descriptor, no port: UF "local connection failure" */
	POOL_CONNECT_TIMEOUT, /* UF "connection timeout" */
};

struct pool_events {
	/* The stream is there: set s->events, s->arg, s->arena before returning, then send. */
	void (*on_ready)(void *arg, struct codec_stream *s, struct pool_conn *pc);
	/* transport: text for UPSTREAM_TRANSPORT_FAILURE_REASON, static or ""; valid during the call. */
	void (*on_failure)(void *arg, enum pool_failure why, const char *transport);
};

/* Embedded in the attempt. */
struct pool_request {
	struct list node;
	const struct pool_events *events;
	void *arg;
	struct host *host; /* one reference while under way */
	bool high_priority, fresh, waiting;
};

/* One of the two events follows, perhaps before this returns.  `fresh`: only a new connection. */
void pool_ask(struct pool_request *r, struct cluster *c, struct host *h, bool high_priority,
    bool fresh, const struct pool_events *events, void *arg);
/* Before its event came: no event follows. */
void pool_cancel(struct pool_request *r);

/* The stream of on_ready is over, complete or reset: counts upstream_rq_active down and lets the
 * connection go on.  Call exactly once for each on_ready, when the codec has forgotten the stream.
 * lost: the connection ended under it (RESET_CONNECTION_CLOSED). */
void pool_release(struct pool_conn *pc, bool lost);
/* Instead of pool_release(), before the codec has forgotten it: resets the stream (an HTTP/1
 * connection ends with it). */
void pool_reset(struct pool_conn *pc, struct codec_stream *s);

/* ---- for the host and its cluster */
/* The host is not to be used: idle connections close now, busy ones after their streams. */
void pool_drain(struct pool *p);
/* The cluster goes: no request is under way. */
void pool_close(struct pool *p);
void pool_free(struct pool **pp); /* without connections */

/* ---- what the attempt may ask of its connection */
bool pool_conn_reused(const struct pool_conn *pc);       /* it carried a request before */
bool pool_conn_all_written(const struct pool_conn *pc);  /* nothing of ours waits any more */
/* No byte came since its request began (HTTP/1); HTTP/2 does not know and says yes. */
bool pool_conn_silent(const struct pool_conn *pc);
uint64_t pool_conn_id(const struct pool_conn *pc);
/* Our direction of an upgraded HTTP/1 connection has ended: FIN after what waits.  HTTP/2 says it in
 * its frames, there it does nothing. */
void pool_conn_end_tunnel(struct pool_conn *pc);
/* No on_data while paused; HTTP/1 stops reading from the socket too.  Not counted. */
void pool_conn_pause(struct pool_conn *pc, struct codec_stream *s, bool paused);

#endif
