/*
 * The numbers of all generations, read in slices between turns of the
 * loop.  When nothing lies in the runtime directory (tests), this
 * process's own segment is read.
 */
#ifndef ADMIN_READING_H
#define ADMIN_READING_H

#include <stdbool.h>

#include "shm/read.h"

struct admin;

/* A slice takes about this long. */
#define SLICE_NS 2000000ull

struct reading {
	const struct admin *a;
	struct stat_query query;
	struct stat_reader *reader;
	struct stat_set *set; /* owned; there when it is done, NULL when reading failed */
	bool done;
};

void reading_start(struct reading *r, const struct admin *a, const struct stat_query *q);
/* One slice; true while there is more. */
bool reading_step(struct reading *r);
void reading_fini(struct reading *r);

#endif
