/*
 * The contract of a load balancing policy (lb.def lists them, lb/ has a
 * file each).  A policy is rebuilt when members or weights change; health
 * is read from the verdict cells, so a change is seen at the next pick.
 */
#ifndef UPSTREAM_LB_H
#define UPSTREAM_LB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/upstream/host.h"

struct headers;

/* What a request tells the balancer.  Zero is fine. */
struct lb_context {
	const struct headers *request;
	uint64_t hash;
	bool has_hash;
	struct host *const *tried; /* hosts that this request has tried */
	unsigned tried_len;
};

struct host_group; /* hosts to choose among: healthy, degraded or all of one priority */

struct lb_policy {
	const char *name; /* "round_robin" */
	void *(*build)(struct host *const *hosts, uint32_t n, const void *config);
	struct host *(*pick)(void *self, const struct lb_context *ctx);
	void (*free)(void *self);
};

#endif
