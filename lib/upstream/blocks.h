/*
 * How the stat blocks of a cluster and its hosts are called.  Admin
 * publishes them before workers build the cluster.
 */
#ifndef UPSTREAM_BLOCKS_H
#define UPSTREAM_BLOCKS_H

#include "lib/base/str.h"

struct address;

/* Responses counted a second time apart from the cluster's own numbers. */
enum codes_set {
	CODES_RETRY,
	CODES_CANARY,
	CODES_INTERNAL,
	CODES_EXTERNAL,
	CODES_SETS,
};
extern const char *const codes_set_names[CODES_SETS];

/* "cluster.<alt_stat_name, else name>."; msg: envoy.config.cluster.v3.Cluster, borrowed. */
void cluster_block_prefix(struct strb *out, const void *msg);
/* "<cluster prefix>zone.<from>.<to>.": responses by zone. */
void zone_block_prefix(struct strb *out, struct str cluster_prefix, struct str from, struct str to);
/* "<cluster>|<address>|", by the cluster's name as configured. */
void host_block_prefix(struct strb *out, struct str cluster, const struct address *a);

#endif
