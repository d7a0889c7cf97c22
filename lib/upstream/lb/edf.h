/*
 * Earliest deadline first: weighted choice as a queue ordered by virtual
 * time.  The first entry is picked and comes again `step` later, where a
 * step is EDF_UNIT / weight; equal deadlines come in the order in which
 * they were set.
 */
#ifndef UPSTREAM_LB_EDF_H
#define UPSTREAM_LB_EDF_H

#include <stdint.h>

struct host;

#define EDF_UNIT (1ull << 40)

struct edf_entry {
	uint64_t deadline, order;
	struct host *host;
};

struct edf {
	struct edf_entry *heap; /* owned */
	uint32_t len;
	uint64_t now, orders;
};

void edf_init(struct edf *e, uint32_t room);
void edf_fini(struct edf *e);
void edf_add(struct edf *e, struct host *h, uint64_t step);

/* The host whose turn it is. */
static inline struct host *
edf_first(const struct edf *e)
{
	return e->heap[0].host;
}

/* Its turn is over: it comes again after `step`. */
void edf_again(struct edf *e, uint64_t step);

#endif
