/*
 * One attempt: a request that waits for a connection to a host and then
 * has a stream of it, until the response is complete or something ends
 * it.  The router is told of everything; the memory lives as long as the
 * HTTP stream's arena.
 */
#ifndef ROUTER_UPSTREAM_REQUEST_H
#define ROUTER_UPSTREAM_REQUEST_H

#include <stdbool.h>

#include "lib/base/state.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/upstream/pool.h"

struct host;
struct router;

#define UPSTREAM_STATES(STATE)                                                                     \
	STATE(UPSTREAM_NONE, "none", TO(UPSTREAM_WAITING))                                         \
	STATE(UPSTREAM_WAITING, "awaiting a connection", TO(UPSTREAM_SENDING) | TO(UPSTREAM_OVER)) \
	STATE(UPSTREAM_SENDING, "request sent", TO(UPSTREAM_ANSWERED) | TO(UPSTREAM_OVER))         \
	STATE(UPSTREAM_ANSWERED, "response begun", TO(UPSTREAM_COMPLETE) | TO(UPSTREAM_OVER))      \
	STATE(UPSTREAM_COMPLETE, "response complete", TO(UPSTREAM_OVER))                           \
	STATE(UPSTREAM_OVER, "over", 0)

enum upstream_state {
	UPSTREAM_STATES(STATE_ENUM)
};

struct upstream_request {
	struct router *router;       /* the owner */
	struct upstream_request *older; /* the attempt before */
	struct host *host;           /* a reference, until the router is done */
	struct pool_request ask;
	struct pool_conn *conn;      /* with `stream`, from SENDING to COMPLETE */
	struct codec_stream *stream;
	enum upstream_state state;
	bool in_event;               /* an event of the stream is on the stack */
	bool left;                   /* nobody wants it any more, the codec is still to finish */
	bool informed;               /* a 1xx came */
	bool retried;                /* another attempt was made beside it: it was slow */
	bool was_sent;               /* its headers went to a connection */
	/* what is known of a stream that was reset, for sending it again */
	bool was_stale;              /* reused connection, ended before any byte came */
	bool was_written;            /* all of it that there was */
	struct flush finish;
	struct timer per_try, per_try_idle;
};

/* u: zeroed.  fresh: not on a connection that was used before. */
void upstream_request_start(
    struct upstream_request *u, struct router *r, struct host *h, bool high_priority, bool fresh);
/* No event follows; whatever is under way ends. */
void upstream_request_cancel(struct upstream_request *u);
/* Nothing of an answer came yet, and it still may. */
static inline bool
upstream_request_is_awaited(const struct upstream_request *u)
{
	return !u->left && (u->state == UPSTREAM_WAITING || u->state == UPSTREAM_SENDING);
}
/* The request has a stream that takes bytes. */
static inline bool
upstream_request_is_open(const struct upstream_request *u)
{
	return u->state == UPSTREAM_SENDING || u->state == UPSTREAM_ANSWERED;
}
/* Above (true) or below the client's watermark. */
void upstream_request_pause(struct upstream_request *u, bool paused);

#endif
