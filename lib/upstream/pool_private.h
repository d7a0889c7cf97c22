/*
 * Inside of connection pools: shared by pool.c (requests, waiting,
 * circuit breakers), pool_conn.c (one connection's life) and the two
 * protocols, pool_h1.c and pool_h2.c.
 *
 * Who owns whom: a host owns its pools; a pool's connections live as long
 * as their sockets and hold a reference on the host.  A connection is
 * freed when its socket has told on_closed; its attempts have let go of
 * it by then.
 */
#ifndef UPSTREAM_POOL_PRIVATE_H
#define UPSTREAM_POOL_PRIVATE_H

#include "lib/base/state.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/net/address.h"
#include "lib/net/conn.h"
#include "lib/upstream/pool.h"

/* What differs by protocol. */
struct pool_protocol {
	struct codec *(*codec_new)(
	    const struct codec_config *cfg, const struct codec_events *events, void *arg);
	/* Streams a connection that is still connecting will probably take. */
	uint32_t (*expected)(const struct cluster *c);
	/* Streams it can take now; NULL: one at a time. */
	uint32_t (*room)(const struct pool_conn *pc);
	/* Connected. */
	void (*on_connected)(struct pool_conn *pc);
	/* Something changed: is it to carry no further stream? */
	bool (*is_over)(struct pool_conn *pc);
	/* How it is closed: GOAWAY must be written. */
	enum conn_close_how how;
	uint32_t linger_ms;
	/* An attempt pauses its stream; the codec knows already. */
	void (*pause)(struct pool_conn *pc, bool paused);
	/* Between two requests there is nothing that the codec must remember. */
	bool rests;
};
extern const struct pool_protocol pool_h1, pool_h2;

struct pool {
	struct cluster *cluster; /* borrowed: lives until its last connection is gone */
	struct host *host;       /* the owner */
	struct loop *loop;
	struct breakers *breakers;
	const struct pool_protocol *protocol;
	struct list ready;       /* have room, most recently used first */
	struct list others;      /* connecting, full, draining, closing */
	struct list pending;     /* requests that wait, oldest first */
	uint32_t conns, connecting, pending_n;
	struct timer idle;       /* due when the first connection might be idle for too long */
};

#define POOL_CONN_STATES(STATE)                                                                    \
	STATE(POOL_CONN_CONNECTING, "connecting",                                                  \
	    TO(POOL_CONN_READY) | TO(POOL_CONN_CLOSING) | TO(POOL_CONN_CLOSED))                    \
	STATE(POOL_CONN_READY, "ready",                                                            \
	    TO(POOL_CONN_READY) | TO(POOL_CONN_FULL) | TO(POOL_CONN_DRAINING) |                    \
	        TO(POOL_CONN_CLOSING) | TO(POOL_CONN_CLOSED))                                      \
	STATE(POOL_CONN_FULL, "full",                                                              \
	    TO(POOL_CONN_READY) | TO(POOL_CONN_DRAINING) | TO(POOL_CONN_CLOSING) |                 \
	        TO(POOL_CONN_CLOSED))                                                              \
	STATE(POOL_CONN_DRAINING, "draining", TO(POOL_CONN_CLOSING) | TO(POOL_CONN_CLOSED))        \
	STATE(POOL_CONN_CLOSING, "closing", TO(POOL_CONN_CLOSED))                                  \
	STATE(POOL_CONN_CLOSED, "closed", 0)

enum pool_conn_state {
	POOL_CONN_STATES(STATE_ENUM)
};

/* What each request needs stands together, in front: of many hosts nothing of it is in a cache. */
struct pool_conn {
	struct pool *pool;
	struct codec *codec; /* NULL before it is connected, and while it rests */
	enum pool_conn_state state;
	uint32_t streams;    /* given and not yet released */
	bool feeding;        /* inside codec_feed or codec_eof: settled right after it */
	bool unsettled;      /* something changed since the last pool_conn_settle() */
	bool output_wanted;
	bool paused;         /* HTTP/1: its stream does not want data */
	bool half_closed;    /* HTTP/1: our direction of its tunnel has ended */
	bool remote_end;     /* the host ended it */
	bool cut;            /* it ended with requests open */
	bool ping_out;
	bool warm;           /* it rests, and keeps its codec */
	struct flush flush;
	uint64_t given_bytes;         /* to the connection, for writing */
	uint64_t counted_in;          /* bytes received that are in the stats */
	int64_t held_in, held_out;    /* what the buffered gauges say of it */
	struct list node;             /* pool's ready or others */
	struct host *host;            /* a reference */
	uint64_t left;                /* it may still take; UINT64_MAX: no limit */
	uint64_t served;              /* given ever */
	uint64_t in_at_start;         /* bytes received when its latest stream began */
	uint64_t idle_since_ms;
	struct io io;
	struct conn conn;
	uint64_t id, opened_ns;
	struct timer age;             /* max_connection_duration */
	struct timer ping;            /* HTTP/2 keepalive */
	uint64_t ping_answers;        /* before the PING that is out */
};

static inline bool
pool_conn_has_room(const struct pool_conn *pc)
{
	uint32_t (*room)(const struct pool_conn *) = pc->pool->protocol->room;

	return room ? room(pc) > 0 : pc->streams == 0;
}

/* ---- pool_conn.c */

/* Starts a connection; -1 when there is no descriptor (reason in err). */
int pool_conn_open(struct pool *p, struct err *err);
/* A stream on it, or NULL: it takes none after all. */
struct codec_stream *pool_conn_take(struct pool_conn *pc);
bool pool_conn_usable(const struct pool_conn *pc);
/* Takes no further stream; closed when the last one is over. */
void pool_conn_drain(struct pool_conn *pc);
void pool_conn_shut(struct pool_conn *pc);
/* Something changed: outside of codec events, soon. */
void pool_conn_unsettle(struct pool_conn *pc);

/* ---- pool.c */

/* A connection has room, or went away: requests that wait are given what there is. */
void pool_serve(struct pool *p);
/* Requests that wait fail with the connection they waited for. */
void pool_fail_pending(struct pool *p, enum pool_failure why, const char *transport);
void pool_watch_idle(struct pool *p); /* a connection became idle */

#endif
