/*
 * What ring hash and Maglev share: the key of a host, weights that sum up
 * to 1, and bounded load (hash_balance_factor), by "Consistent Hashing
 * with Bounded Loads" (arXiv 1608.01350) with a random order of the other
 * hosts (arXiv 1908.08762) that is the same for the same hash.
 */
#ifndef UPSTREAM_LB_HASHING_H
#define UPSTREAM_LB_HASHING_H

#include <stdint.h>

#include "lib/base/str.h"
#include "lib/upstream/lb.h"

struct hashing {
	struct host *const *hosts; /* borrowed */
	uint32_t n;
	const struct lb_config *config; /* borrowed */
	double *weights;                /* owned */
	double least, most;             /* of the weights */
};

void hashing_init(
    struct hashing *g, struct host *const *hosts, uint32_t n, const struct lb_config *config);
void hashing_fini(struct hashing *g);

/* What a host is hashed by: its address, its hostname or what its metadata says.  Appended. */
void hashing_key(const struct hashing *g, const struct host *h, struct strb *out);

/* The request's hash; a random one when it has none. */
uint64_t hashing_of(const struct lb_context *ctx);

/* Index of the host to use instead of hosts[i], or i: when it has more than its share of load. */
uint32_t hashing_bounded(const struct hashing *g, uint32_t i, uint64_t hash);

#endif
