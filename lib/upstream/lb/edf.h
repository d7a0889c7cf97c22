/*
 * Earliest deadline first: weighted choice as a queue ordered by virtual
 * time.  The first entry is picked and comes again `step` later, where a
 * step is EDF_UNIT / weight; equal deadlines come in the order in which
 * they were set.
 */
#ifndef UPSTREAM_LB_EDF_H
#define UPSTREAM_LB_EDF_H

#include <stdint.h>

#define EDF_UNIT (1ull << 40)

struct edf_entry {
	uint64_t deadline, order;
	void *item;
};

struct edf {
	struct edf_entry *heap; /* owned */
	uint32_t len;
	uint64_t now, orders;
};

void edf_init(struct edf *e, uint32_t room);
void edf_fini(struct edf *e);
void edf_add(struct edf *e, void *item, uint64_t step);

/* Whose turn it is: a host, or a locality's part of a group. */
static inline void *
edf_first(const struct edf *e)
{
	return e->heap[0].item;
}

/* Its turn is over: it comes again after `step`. */
void edf_again(struct edf *e, uint64_t step);

#endif
