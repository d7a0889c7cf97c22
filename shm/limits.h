/*
 * Limits over all processes of a generation: what this process uses plus
 * what the others last wrote.  Circuit breakers and least request ask.
 * Best effort: two processes may both see the last free place.
 */
#ifndef SHM_LIMITS_H
#define SHM_LIMITS_H

#include <stdint.h>

#include "shm/block.h"

#define LIMIT_AGE_NS 10000000ull /* the others' sum is at most this old */

/* A cached sum of the others; one for each gauge that is asked often. */
struct limit_others {
	int64_t sum;
	uint64_t read_at_ns;
	bool known;
};

/*
 * Own value of the gauge plus the others'.  The others are read again
 * when the sum is older than LIMIT_AGE_NS, or at each new `now` while the
 * total is above half of `limit`.
 */
int64_t limit_in_use(struct limit_others *cache, const struct stat_gauge *cell, uint64_t limit,
    uint64_t now_ns);

#endif
