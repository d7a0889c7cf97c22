/*
 * Shares of requests of a cluster's priorities, by how many of their
 * hosts are available: Envoy's integer maths
 * (docs: intro/arch_overview/upstream/load_balancing/priority).
 */
#ifndef UPSTREAM_LOADS_H
#define UPSTREAM_LOADS_H

#include <stdbool.h>
#include <stdint.h>

struct priority_counts {
	uint32_t total, healthy, degraded, excluded;
	/* The same as sums of weights; only looked at with `weighted`. */
	uint64_t total_weight, healthy_weight, degraded_weight, excluded_weight;
};

/* Share of requests, in percent; they sum up to 100 unless nobody is available. */
struct priority_load {
	uint8_t healthy, degraded;
	bool panic; /* both shares go to all hosts */
};

struct load_rules {
	uint32_t
	    panic_threshold; /* whole percent available below which a priority panics; 0: never */
	uint32_t
	    overprovisioning; /* percent: how much more than its share a healthy host can take */
	bool weighted;	      /* weighted_priority_health */
};

void priority_loads(const struct priority_counts *counts, struct priority_load *loads, unsigned n,
    const struct load_rules *rules);
/* The shares when these priorities are passed over; false, and nothing is written, when nobody would
 * be left.  Who panics does not change. */
bool priority_loads_without(const struct priority_counts *counts, const bool *passed_over,
    struct priority_load *loads, unsigned n, const struct load_rules *rules);

/* Too few of them are available. */
bool priority_in_panic(const struct priority_counts *c, uint32_t threshold);

#endif
