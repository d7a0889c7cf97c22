/*
 * A ClusterLoadAssignment as plain values: its endpoints, each address
 * once (the last one wins), and its policy.  Runs in admin and in tests;
 * workers get the same values by the journal (membership.h).
 */
#ifndef UPSTREAM_ASSIGNMENT_H
#define UPSTREAM_ASSIGNMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"
#include "lib/upstream/endpoint.h"

#define MEMBER_PRIORITIES 129 /* 0 … 128, as Envoy */
#define OVERPROVISIONING 140

/* ClusterLoadAssignment.policy */
struct assignment_policy {
	uint32_t overprovisioning; /* percent; 140 */
	uint32_t drop_per_million; /* share of requests answered 503 (flag DO) instead of sent */
	uint32_t weighted_priority_health; /* 0 or 1 */
	char drop_category[52];    /* cut; ends in NUL */
};

struct assignment {
	VEC(struct endpoint) list;
	struct assignment_policy policy;
};

/* msg: envoy.config.endpoint.v3.ClusterLoadAssignment with IP addresses and pipes, borrowed;
 * NULL: no endpoints.  -1: the sentence in err names the place (endpoints[1].lb_endpoints[0]…). */
int assignment_read(struct assignment *m, const void *msg, struct err *err);
void assignment_fini(struct assignment *m);

#endif
