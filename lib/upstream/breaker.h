/*
 * Circuit breakers of a cluster, one set for each priority.
 *
 * What is used stands in gauges of the cluster, one of each kind and
 * priority, so it is counted over all workers: our own and the others',
 * at most 10 ms old (LIMIT_AGE_NS).  Best effort, as Envoy's check and add
 * is.  What a worker used ends with it: gauges of a dead lane count for
 * nothing.
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
	uint64_t max, held;      /* held: by this object's cluster; a reload may have two of a name */
	struct stat_gauge *used; /* by this worker; others have theirs in their lanes */
	struct limit_others others;
	struct stat_gauge *open, *remaining; /* remaining: NULL unless track_remaining */
	bool is_open;
};

/* Instead of a limit of retries: a share of the requests that are active or waiting. */
struct retry_budget {
	double percent;
	uint64_t least; /* allowed however few requests there are */
};

struct breakers {
	struct breaker at[BREAKER_KINDS];
	struct retry_budget budget;
	bool has_budget;
	uint64_t host_connections; /* of one host; UINT64_MAX: no limit */
	struct loop *loop;
	struct timer recheck; /* armed while one is open: others may have let go */
};

/* max[] by enum breaker_kind; the cells of `stats` are found by priority. */
void breakers_init(struct breakers *b, struct loop *l, struct cluster_stats *stats, bool high,
    const uint64_t max[BREAKER_KINDS], bool track_remaining);
void breakers_set_budget(struct breakers *b, const struct retry_budget *budget);
void breakers_fini(struct breakers *b);

bool breaker_allows(struct breakers *b, enum breaker_kind k);
void breaker_add(struct breakers *b, enum breaker_kind k);
void breaker_remove(struct breakers *b, enum breaker_kind k);

#endif
