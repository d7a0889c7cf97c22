/*
 * Weights of localities within a subset (scale_locality_weight): of what
 * discovery gave the locality, the part that the subset has of its hosts.
 */
#ifndef UPSTREAM_LOCALITY_WEIGHTS_H
#define UPSTREAM_LOCALITY_WEIGHTS_H

#include <stdint.h>

#include "lib/base/vec.h"
#include "lib/upstream/host.h"

struct locality_weight {
	const struct locality *locality;
	uint8_t priority;
	uint32_t all, some, weight; /* hosts of the cluster, of the subset */
};

struct locality_weights {
	VEC(struct locality_weight) rows;
};

/* Hosts of a cluster, and those of them that make up the subset. */
void locality_weights_make(struct locality_weights *w, struct host *const *all, uint32_t all_n,
    struct host *const *some, uint32_t some_n);
void locality_weights_fini(struct locality_weights *w);

/* w: NULL outside of such a subset. */
uint32_t locality_weight_of(const struct locality_weights *w, const struct host *h);

#endif
