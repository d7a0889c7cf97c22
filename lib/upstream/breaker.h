/*
 * Circuit breakers of a cluster, one set for each priority.
 *
 * Connections, waiting and active requests of priority DEFAULT are
 * counted over all workers: our own count and the others' gauge, at most
 * 10 ms old (LIMIT_AGE_NS).  Best effort, as Envoy's check and add is.
 * The gauges know no priority, so those of priority HIGH and retries are
 * limited by this worker's own count.
 */
#ifndef UPSTREAM_BREAKER_H
#define UPSTREAM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/event/timer.h"
#include "shm/block.h"
#include "shm/limits.h"

struct loop;

enum breaker_kind {
	BREAKER_CONNECTIONS,
	BREAKER_PENDING,
	BREAKER_REQUESTS,
	BREAKER_RETRIES,
	BREAKER_KINDS,
};

#define BREAKER_MAX 1024 /* default of all but retries */
#define BREAKER_MAX_RETRIES 3

struct breaker {
	uint64_t max, used;
	const struct stat_gauge *shared; /* what other workers use stands in their copies; NULL: own only */
	struct limit_others others;
	struct stat_gauge *open, *remaining; /* remaining: NULL unless track_remaining */
	bool is_open;
};

struct breakers {
	struct breaker at[BREAKER_KINDS];
	struct loop *loop;
	struct timer recheck; /* armed while one is open: others may have let go */
};

/* max[] by enum breaker_kind; the cells of `stats` are found by priority. */
void breakers_init(struct breakers *b, struct loop *l, struct cluster_stats *stats, bool high,
    const uint64_t max[BREAKER_KINDS], bool track_remaining);
void breakers_fini(struct breakers *b);

bool breaker_allows(struct breakers *b, enum breaker_kind k);
/* After the gauge of the cluster was moved. */
void breaker_add(struct breakers *b, enum breaker_kind k);
void breaker_remove(struct breakers *b, enum breaker_kind k);

#endif
