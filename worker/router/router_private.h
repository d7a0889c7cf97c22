/*
 * The router of one request, for the files of this folder: router.c takes
 * the request in, attempts.c sends it, upstream_request.c is one attempt,
 * response.c passes the answer on, failure.c makes ours, retry.c says
 * whether it is tried again, timeout.c keeps the time, strict.c refuses
 * malformed wishes.
 */
#ifndef ROUTER_ROUTER_PRIVATE_H
#define ROUTER_ROUTER_PRIVATE_H

#include "lib/base/log.h"
#include "lib/event/timer.h"
#include "lib/upstream/cluster.h"
#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream.h"
#include "worker/route/table.h"
#include "worker/router/retry.h"
#include "worker/router/upstream_request.h"

struct router_config {
	bool dynamic_stats, suppress_envoy_headers, respect_expected_rq_timeout;
	const struct strict_header *strict; /* strict_check_headers */
	size_t strict_n;
	struct http_stats *stats; /* http.<prefix>. */
};

struct router {
	struct http_stream *stream; /* the owner */
	const struct router_config *config;
	const struct route *route;
	struct cluster *cluster;    /* a reference; NULL before it is known */
	struct headers *request, *trailers;
	/*
	 * The latest attempt, with the older ones behind it; some of them may
	 * be awaited, too (hedging).  And the one that counts: the latest,
	 * which gets what is yet to come of the request, until an answer is
	 * chosen, then the one it comes from.
	 */
	struct upstream_request *latest, *attempt;
	struct upstream_request first; /* the others are in the stream's arena */
	struct retry *retry;           /* NULL: nothing is tried again (any more) */
	struct host **tried;           /* by its attempts, in order */
	unsigned tried_n, tried_room;
	/*
	 * Body that waits for a connection.  While the request may be tried
	 * again also what was sent already: until an answer is passed on, or,
	 * on a reused connection that may turn out to be dead, until the
	 * host's first byte.
	 */
	struct buf held;
	bool keeping;        /* `held` has all of the body so far */
	bool sent_again;     /* once is enough */
	bool started;        /* headers went to a connection, in whichever attempt */
	bool informed;       /* a 1xx was passed on */
	bool hedge;          /* a slow attempt is not reset */
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
	struct timer duration;
	uint64_t timeout_ms, duration_ms; /* 0 = off */
	uint64_t per_try_ms, per_try_idle_ms;
	unsigned timeout_status;          /* 504, or 204 when asked for */
};

/* ---- attempts.c */

/* An attempt, on a host chosen anew. */
void router_try(struct router *r, bool fresh);
/* Would it be one that was not tried yet? */
bool router_has_another_host(struct router *r);
/* The retry that was ordered is due. */
void router_try_again(struct router *r, bool timed_out);
void router_say_attempt(struct router *r); /* x-envoy-attempt-count, for the host */
/* Another attempt than this may still bring an answer, or is ordered. */
bool router_may_be_answered(const struct router *r, const struct upstream_request *but);
/* Only this one counts from now on; nothing is tried again. */
void router_settle_on(struct router *r, struct upstream_request *u);

/* ---- router.c */

/* The stream is there: headers and what is held go out. */
void router_on_connected(struct router *r, struct upstream_request *u);
void router_on_upstream_blocked(struct router *r, bool blocked);
/* Nothing can follow: timers, attempt and held body go. */
void router_end(struct router *r);

/* ---- response.c */

void router_on_info(struct router *r, struct upstream_request *u, struct headers *h);
void router_on_response(struct router *r, struct upstream_request *u, struct headers *h, bool end);
void router_on_response_data(
    struct router *r, struct upstream_request *u, struct buf *data, bool end);
void router_on_response_trailers(struct router *r, struct headers *t);
void router_add_attempts(struct router *r, struct headers *h); /* x-envoy-attempt-count */
bool router_counts(const struct router *r); /* dynamic stats are wanted for this request */

/* ---- failure.c */

void router_on_reset(struct router *r, struct upstream_request *u, enum stream_reset why);
void router_on_pool_failure(
    struct router *r, struct upstream_request *u, enum pool_failure why, const char *transport);
/* An attempt without an answer is counted as one of this status (host: to blame, or NULL). */
void router_charge(struct router *r, struct host *host, unsigned status);
/* Is it tried again?  Notes the flag when it would but may not. */
bool router_retries_failure(
    struct router *r, struct upstream_request *u, enum retry_cause cause, bool timeout);
void router_note_verdict(struct router *r, enum retry_verdict v);

/* Answers and ends.  Who calls has charged the attempts. */
struct router_reply {
	unsigned status;
	struct str body;
	uint32_t flag;
	struct str details; /* static or in the stream's arena */
	bool overloaded;    /* x-envoy-overloaded: true */
	struct str mark;    /* another header that says true */
};
void router_reply(struct router *r, const struct router_reply *reply);
/* The same when a response was begun: the stream is reset. */
void router_give_up(struct router *r, const struct router_reply *reply);

/* ---- timeout.c */

/* Finds the timeouts in force, takes their headers out and says what to expect. */
void router_read_timeouts(struct router *r);
void router_start_timeout(struct router *r);  /* the request is complete */
/* Of another attempt: what is left of the time goes to the host. */
void router_say_expected(struct router *r);
/* The attempt has its stream and the request is complete. */
void router_start_try_timers(struct upstream_request *u);
void router_touch_try(struct upstream_request *u); /* something of the answer came */
void router_stop_try_timers(struct upstream_request *u);
void router_start_duration(struct router *r); /* the attempt has its stream */
void router_stop_timers(struct router *r);

/* ---- strict.c: headers that must be well formed when they are there */

/* names: strict_check_headers of the configuration. */
void strict_read(struct router_config *c, char *const *names, size_t n, struct arena *a);
/* False: the request was answered 400. */
bool strict_passes(struct router *r);

#endif
