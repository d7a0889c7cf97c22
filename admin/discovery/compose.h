/*
 * Endpoints back into a ClusterLoadAssignment: for clusters that admin
 * builds for itself, and for members that the last generation knew.
 */
#ifndef ADMIN_DISCOVERY_COMPOSE_H
#define ADMIN_DISCOVERY_COMPOSE_H

#include "envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/vec.h"
#include "lib/upstream/assignment.h"

struct compose {
	struct arena *arena; /* borrowed; the message lies in it */
	VEC(Envoy__Config__Endpoint__V3__LocalityLbEndpoints *) localities; /* one an endpoint */
};

void compose_begin(struct compose *c, struct arena *a);
void compose_add(struct compose *c, const struct endpoint *e);
/* policy may be NULL; stale_after_ms is left out: age is counted anew. */
Envoy__Config__Endpoint__V3__ClusterLoadAssignment *compose_end(
    struct compose *c, struct str cluster, const struct assignment_policy *policy);

#endif
