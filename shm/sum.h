/*
 * Adds one segment's lanes to a set.  Only for shm/read.c and
 * shm/fold.c.  First every block's rows find their place in the set,
 * then lane after lane is copied and added, some thousand cells a step.
 */
#ifndef SHM_SUM_H
#define SHM_SUM_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "shm/image.h"
#include "shm/read.h"

struct summing;

/* All borrowed until summing_free().  The generation says who lives: without it nobody does. */
struct summing *summing_new(const struct image *img, struct stat_set *set,
    const struct stat_generation *g, const struct stat_query *q);
int summing_step(struct summing *s, struct err *err); /* 1 again, 0 done, -1 failed */
void summing_free(struct summing **s);

#endif
