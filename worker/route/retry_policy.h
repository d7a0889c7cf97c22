/*
 * What a route says of trying again: its RetryPolicy (or its virtual
 * host's: one replaces the other whole), compiled into the snapshot.
 */
#ifndef ROUTE_RETRY_POLICY_H
#define ROUTE_RETRY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct header_match;
struct label;
struct metadata;

enum retry_on_bit {
#define RETRY_ON(id, word) RETRY_ON_BIT_##id,
#define RETRY_GRPC(id, word) RETRY_ON_BIT_##id,
#include "conf/retry_on.def"
#undef RETRY_ON
#undef RETRY_GRPC
	RETRY_ON_BITS,
};
#define RETRY_ON(id, word) static const uint32_t RETRY_ON_##id = 1u << RETRY_ON_BIT_##id;
#define RETRY_GRPC(id, word) static const uint32_t RETRY_ON_##id = 1u << RETRY_ON_BIT_##id;
#include "conf/retry_on.def"
#undef RETRY_ON
#undef RETRY_GRPC

/* Says when a host wants to be asked again. */
struct reset_header {
	struct str name; /* lower case */
	bool unix_time;  /* a point in time; else seconds from now */
};

struct retry_policy {
	uint32_t on;          /* RETRY_ON_xx */
	uint32_t num_retries;
	uint64_t per_try_timeout_ms, per_try_idle_ms; /* 0 = off */
	uint64_t base_ms, max_ms;                     /* back-off */
	struct reset_header *reset_headers;
	size_t n_reset_headers;
	uint64_t reset_max_ms;
	uint32_t *codes;
	size_t n_codes;
	struct header_match *headers, *request_headers; /* of answers; of the request */
	size_t n_headers, n_request_headers;
	/* where the next attempt goes */
	bool previous_hosts, omit_canary;
	const struct label *omit_labels; /* of omit_host_metadata: envoy.lb */
	size_t n_omit_labels;
	uint32_t priority_frequency;        /* previous_priorities: update_frequency; 0: not used */
	uint32_t host_attempts;             /* host_selection_retry_max_attempts */
};

/* msg: envoy.config.route.v3.RetryPolicy, borrowed; NULL: no policy. */
int retry_policy_build(
    struct retry_policy **out, const void *msg, struct arena *a, struct err *err);

/* omit_host_metadata: does the host's metadata (NULL: none) have all of the labels? */
bool retry_policy_omits(const struct retry_policy *p, struct metadata *host);

/* The conditions in a list of words, unknown ones passed over: of retry_on (both kinds), of
 * x-envoy-retry-on, of x-envoy-retry-grpc-on. */
uint32_t retry_on_read(struct str words);
uint32_t retry_on_read_http(struct str words);
uint32_t retry_on_read_grpc(struct str words);
/* Is each word a condition of this kind? */
bool retry_on_is_sound(struct str words, bool grpc);

#endif
