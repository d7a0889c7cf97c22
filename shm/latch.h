/*
 * What a reader remembers between reads: histograms of the last flush,
 * for "since then" columns, and the counters of the last reset.
 */
#ifndef SHM_LATCH_H
#define SHM_LATCH_H

#include "shm/set.h"

struct stat_latch;

struct stat_latch *stat_latch_new(void);
void stat_latch_free(struct stat_latch **latch);
/* The flush interval ends: each histogram's interval is what came since the last call. */
void stat_latch_flush(struct stat_latch *latch, const struct stat_set *set);
/* Counters begin at 0 from here on (/reset_counters). */
void stat_latch_reset(struct stat_latch *latch, const struct stat_set *set);
/* Gives the set's rows their interval, and takes off what was before the reset. */
void stat_latch_apply(const struct stat_latch *latch, struct stat_set *set);

#endif
