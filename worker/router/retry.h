/*
 * Trying again: what of a request's policy is left, and what is under way.
 * The rules are Envoy's, but for an attempt of which no host took a byte
 * (not connected, or a kept connection that was dead): it goes on at once,
 * without back-off, breaker or budget.
 *
 * Lives in the stream's arena; there is none when the request is to be
 * sent once.
 */
#ifndef ROUTER_RETRY_H
#define ROUTER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/http/headers.h"
#include "worker/route/retry_policy.h"

struct cluster;
struct host;
struct lb_context;
struct router;

enum retry_verdict {
	RETRY_NO,       /* what came is to be passed on */
	RETRY_YES,      /* another attempt was ordered */
	RETRY_LIMIT,    /* it would, but num_retries are used up: URX */
	RETRY_OVERFLOW, /* it would, but max_retries or the budget: UO */
};

/* How an attempt ended that brought no answer. */
enum retry_cause {
	CAUSE_OVERFLOW, /* a circuit breaker: never tried again */
	CAUSE_CONNECT,  /* no connection */
	CAUSE_STALE,    /* a kept connection that was closed before any byte came back, harmlessly */
	CAUSE_REFUSED,  /* REFUSED_STREAM, or above the last stream of a GOAWAY */
	CAUSE_RESET,    /* all others, per-try timeouts too */
};

struct retry {
	struct router *router; /* the owner */
	const struct retry_policy *policy;
	uint32_t on;           /* with what the request's headers added */
	uint32_t left;
	uint32_t *codes;       /* with what the request's headers added */
	size_t n_codes;
	struct str *header_names; /* x-envoy-retriable-header-names */
	size_t n_header_names;
	bool armed;            /* the latest attempt is a retry whose outcome is not known */
	bool counted;          /* it is counted in the breaker */
	bool timed_out;        /* the attempt to come is made since one timed out */
	bool pending;          /* ordered, not made yet */
	uint64_t back_off_ms;  /* upper bound of the next one */
	uint64_t wish_ms;      /* what a host asked for in a reset header; 0: nothing */
	struct timer timer;
	struct flush at_once;
};

/* Reads the route's policy and the request's headers, which it takes out.  NULL: sent once. */
struct retry *retry_new(struct router *r);
/* Nothing is tried again from now on: lets go of the breaker, orders nothing. */
void retry_end(struct retry **rp);

/* An answer's headers; request: the request's. */
enum retry_verdict retry_on_answer(struct retry *t, const struct headers *answer);
bool retry_would_on_answer(const struct retry *t, const struct headers *answer);
/* started: bytes of the request went to some host.  timeout: it ended by a per-try timeout. */
enum retry_verdict retry_on_failure(
    struct retry *t, enum retry_cause cause, bool started, bool timeout);
/* Would a further attempt be made at once, after a connection that was dead already? */
bool retry_at_once_is_left(const struct retry *t, enum retry_cause cause);
/* A slow attempt goes on while another one is made. */
enum retry_verdict retry_hedge(struct retry *t);

/* Where the next attempt is to go. */
void retry_choose(const struct retry *t, struct lb_context *ctx);

#endif
