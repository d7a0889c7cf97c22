/*
 * Folding: what a dead generation counted goes to the totals
 * (shm/totals.h), some milliseconds' worth a step at most, as admin does
 * it between two turns of its loop.
 *
 * `totals.new` is the lock of it, an fcntl one: its holder's death lets go
 * of it, and the rename that commits ends it.  So two generations never
 * fold at the same time, when one takes over from the other just now.
 */
#ifndef SHM_FOLD_H
#define SHM_FOLD_H

#include <stdint.h>

#include "lib/base/err.h"

struct folding;

/*
 * Adds the generation's segment to the totals and unlinks it.  Refused
 * (NULL) while one of its processes lives, or somebody else folds.  A
 * segment that is listed already is only unlinked.  The descriptor is
 * borrowed until folding_free().
 */
struct folding *folding_new(int base_dirfd, uint64_t generation, struct err *err);
int folding_step(struct folding *f, struct err *err); /* 1 again, 0 done, -1 failed */
void folding_free(struct folding **fp);

/* All steps at once: a start has no loop yet. */
int totals_fold(int base_dirfd, uint64_t generation, struct err *err);

#endif
