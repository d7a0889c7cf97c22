/*
 * The stat blocks of a cluster and how they are called.  Admin publishes
 * them before workers build the cluster; workers find them by the same
 * names.
 */
#ifndef UPSTREAM_BLOCKS_H
#define UPSTREAM_BLOCKS_H

#include "lib/base/err.h"
#include "lib/base/str.h"

struct address;
struct segment;

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
/* "<cluster>|<address>|", by the cluster's name as configured. */
void host_block_prefix(struct strb *out, struct str cluster, const struct address *a);

/*
 * Admin: the blocks of the cluster, its codecs, its code sets and its
 * hosts exist afterwards; its own lane says how much the circuit breakers
 * allow, from which workers' lanes take what they use (remaining_*).
 */
int cluster_blocks_publish(struct segment *seg, const void *msg, struct err *err);
void cluster_blocks_retire(struct segment *seg, const void *msg);

#endif
