/*
 * The zones in which a cluster has or had members, and the stat blocks
 * that count responses by zone: cluster.<name>.zone.<own>.<theirs>.  Only
 * where the node says which zone it is in.
 */
#ifndef ADMIN_DISCOVERY_MEMBER_ZONES_H
#define ADMIN_DISCOVERY_MEMBER_ZONES_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct assignment;
struct segment;

struct member_zones {
	VEC(struct str) names; /* owned */
};

/* cluster: the prefix of its blocks; own: the node's zone, empty: nothing is done. */
int member_zones_add(struct member_zones *z, struct segment *seg, struct str cluster, struct str own,
    const struct assignment *a, struct err *err);
/* The same zones for another prefix. */
int member_zones_publish(const struct member_zones *z, struct segment *seg, struct str cluster,
    struct str own, struct err *err);
void member_zones_retire(
    const struct member_zones *z, struct segment *seg, struct str cluster, struct str own);
void member_zones_copy(struct member_zones *to, const struct member_zones *from);
void member_zones_fini(struct member_zones *z);

#endif
