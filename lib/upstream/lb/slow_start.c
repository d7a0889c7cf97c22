#include "lib/upstream/lb/slow_start.h"

#include <math.h>

#include "lib/base/clock.h"

uint64_t
slow_start_until(const struct lb_config *config, const struct host *h, uint64_t now_ns)
{
	uint64_t since = host_cell_since(h->cell), end = since + config->slow_start_ms * NS_PER_MS;

	return config->slow_start_ms && since && end > now_ns ? end : 0;
}

double
slow_start_factor(const struct lb_config *config, const struct host *h, uint64_t now_ns)
{
	uint64_t since = host_cell_since(h->cell);
	double least = config->slow_start_least / 100, part;

	if (!slow_start_until(config, h, now_ns))
		return 1;
	/* At least a millisecond has gone by, as Envoy has it. */
	part = now_ns > since + NS_PER_MS ? (double)(now_ns - since) / NS_PER_MS : 1;
	part /= (double)config->slow_start_ms;
	if (config->slow_start_aggression != 1)
		part = pow(part, 1 / config->slow_start_aggression);
	return part > least ? part : least;
}
