/*
 * Clusters that admin itself sends requests to, built in its own loop
 * from the model of members at first use.  Kept while the model says the
 * same of them; streams that are open hold theirs.
 */
#ifndef XDS_CLUSTERS_H
#define XDS_CLUSTERS_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct admin;
struct cluster;

struct own_cluster {
	struct cluster *cluster; /* a reference */
	uint64_t version;        /* of the message it was built from */
	uint64_t updated_ns;     /* of the members */
};

struct own_clusters {
	VEC(struct own_cluster) list;
};

/* Borrowed.  NULL with the reason: there is none of the name, or it cannot be built. */
struct cluster *own_clusters_get(
    struct own_clusters *o, struct admin *a, struct str name, struct err *err);
/* Lets go of those that are gone, or are otherwise now. */
void own_clusters_prune(struct own_clusters *o, struct admin *a);
void own_clusters_fini(struct own_clusters *o);

#endif
