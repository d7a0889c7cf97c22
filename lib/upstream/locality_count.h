/* Hosts of one priority by locality: what shares of localities are reckoned from. */
#ifndef UPSTREAM_LOCALITY_COUNT_H
#define UPSTREAM_LOCALITY_COUNT_H

#include <stdint.h>

#include "lib/base/vec.h"

struct locality;

struct locality_count {
	const struct locality *locality; /* NULL: hosts without one; borrowed from its hosts */
	uint32_t weight;                 /* as discovery says; 0: none */
	uint32_t total, eligible;        /* eligible: not excluded */
	uint32_t healthy;
	uint64_t healthy_weight;
};

struct locality_counts {
	VEC(struct locality_count) all; /* in the order of their first hosts */
};

/* The row of this locality; made when it is new. */
struct locality_count *locality_counts_of(struct locality_counts *c, const struct locality *l);

#endif
