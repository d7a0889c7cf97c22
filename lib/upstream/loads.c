#include "lib/upstream/loads.h"

#include <string.h>

#include "lib/base/mem.h"

static uint32_t
least(uint64_t a, uint32_t b)
{
	return a < b ? (uint32_t)a : b;
}

static uint32_t
eligible(const struct priority_counts *c)
{
	return c->total - c->excluded;
}

static uint32_t
percent_of(uint64_t good, uint64_t all, const struct load_rules *rules)
{
	return all ? least(good * rules->overprovisioning / all, 100) : 0;
}

static uint32_t
healthy_percent(const struct priority_counts *c, const struct load_rules *rules)
{
	if (rules->weighted)
		return percent_of(c->healthy_weight, c->total_weight - c->excluded_weight, rules);
	return percent_of(c->healthy, eligible(c), rules);
}

static uint32_t
degraded_percent(const struct priority_counts *c, const struct load_rules *rules)
{
	if (rules->weighted)
		return percent_of(c->degraded_weight, c->total_weight - c->excluded_weight, rules);
	return percent_of(c->degraded, eligible(c), rules);
}

bool
priority_in_panic(const struct priority_counts *c, uint32_t threshold)
{
	uint64_t available = (uint64_t)c->healthy + c->degraded;

	if (eligible(c) == 0)
		return threshold > 0;
	return available * 100 < (uint64_t)eligible(c) * threshold;
}

/* Everybody is in panic: shares by number of hosts. */
static void
by_count(const struct priority_counts *counts, struct priority_load *loads, unsigned n)
{
	uint64_t hosts = 0;
	uint32_t left = 100;

	for (unsigned i = 0; i < n; i++)
		hosts += counts[i].total;
	for (unsigned i = 0; i < n; i++) {
		loads[i].degraded = 0;
		loads[i].healthy = hosts ? (uint8_t)((uint64_t)counts[i].total * 100 / hosts) : 0;
		left -= loads[i].healthy;
	}
	for (unsigned i = 0; i < n && hosts; i++) {
		if (counts[i].total == 0)
			continue;
		loads[i].healthy = (uint8_t)(loads[i].healthy + left);
		return;
	}
}

static void
by_health(const struct priority_counts *counts, struct priority_load *loads, unsigned n,
    uint32_t total, const struct load_rules *rules)
{
	uint32_t left = 100;

	for (unsigned i = 0; i < n; i++) {
		loads[i].healthy =
		    (uint8_t)least(healthy_percent(&counts[i], rules) * 100 / total, left);
		left -= loads[i].healthy;
	}
	for (unsigned i = 0; i < n; i++) {
		loads[i].degraded =
		    (uint8_t)least(degraded_percent(&counts[i], rules) * 100 / total, left);
		left -= loads[i].degraded;
	}
	for (unsigned i = 0; i < n && left; i++) { /* what rounding left */
		uint8_t *to = counts[i].healthy ? &loads[i].healthy : &loads[i].degraded;

		if (counts[i].healthy + counts[i].degraded == 0)
			continue;
		*to = (uint8_t)(*to + left);
		left = 0;
	}
}

void
priority_loads(const struct priority_counts *counts, struct priority_load *loads, unsigned n,
    const struct load_rules *rules)
{
	uint32_t total = 0;
	bool all_panic = true;

	for (unsigned i = 0; i < n; i++)
		total += healthy_percent(&counts[i], rules) + degraded_percent(&counts[i], rules);
	total = least(total, 100);
	memset(loads, 0, n * sizeof(*loads));
	for (unsigned i = 0; i < n; i++) {
		loads[i].panic = total < 100 && priority_in_panic(&counts[i], rules->panic_threshold);
		all_panic &= loads[i].panic;
	}
	if (all_panic)
		by_count(counts, loads, n);
	else if (total > 0)
		by_health(counts, loads, n, total, rules);
}

bool
priority_loads_without(const struct priority_counts *counts, const bool *passed_over,
    struct priority_load *loads, unsigned n, const struct load_rules *rules)
{
	struct priority_counts *left = mem_array(struct priority_counts, n);
	uint32_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		if (passed_over[i])
			continue;
		left[i] = counts[i];
		total += healthy_percent(&left[i], rules) + degraded_percent(&left[i], rules);
	}
	if (total > 0)
		by_health(left, loads, n, least(total, 100), rules);
	mem_free(left);
	return total > 0;
}
