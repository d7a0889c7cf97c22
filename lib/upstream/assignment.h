/*
 * The members of a cluster as plain values: what a ClusterLoadAssignment
 * says, each address once (the last one wins).
 */
#ifndef UPSTREAM_ASSIGNMENT_H
#define UPSTREAM_ASSIGNMENT_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"
#include "lib/net/address.h"

#define MEMBER_PRIORITIES 128

/* Strings are borrowed from the message. */
struct member {
	struct address address;
	struct str hostname;
	uint32_t weight, priority, eds_status;
	struct str region, zone, sub_zone;
};

struct assignment {
	VEC(struct member) list;
};

/* msg: envoy.config.endpoint.v3.ClusterLoadAssignment, borrowed; NULL: no members. */
int assignment_read(struct assignment *m, const void *msg, struct err *err);
void assignment_fini(struct assignment *m);

#endif
