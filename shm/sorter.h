/*
 * A merge sort that goes in steps: sorting a million names must not hold
 * admin's loop.  It begins with the runs that stand in order as they came
 * (names of a block).  Stable.  Sorts pointers in place (a second array is
 * the sorter's own).
 */
#ifndef SHM_SORTER_H
#define SHM_SORTER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/vec.h"

struct sorter {
	void **at; /* borrowed: the result stands here */
	void **from, **to, **spare;
	size_t n;
	size_t looked;           /* for runs, up to here */
	VEC(size_t) ends;        /* of the runs */
	size_t run;              /* the next to be merged, with the one behind it */
	size_t left, right, out; /* the merge under way: next of both runs, next place */
	size_t middle, end;      /* ends of both runs */
	int (*compare)(const void *a, const void *b);
};

void sorter_init(struct sorter *s, void **at, size_t n, int (*compare)(const void *a, const void *b));
/* Moves about this many; true while there is more. */
bool sorter_step(struct sorter *s, size_t moves);
void sorter_fini(struct sorter *s);

#endif
