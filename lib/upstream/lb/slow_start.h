/*
 * Slow start: a host that joined, or whose check passes again, begins
 * with a part of its weight and has all of it at the end of the window
 * (Envoy docs: arch_overview/upstream/load_balancing/slow_start).
 */
#ifndef UPSTREAM_LB_SLOW_START_H
#define UPSTREAM_LB_SLOW_START_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/upstream/lb.h"

/* When the window of h ends, 0: it has ended or there is none. */
uint64_t slow_start_until(const struct lb_config *config, const struct host *h, uint64_t now_ns);
/* Of its weight, above 0 and at most 1. */
double slow_start_factor(const struct lb_config *config, const struct host *h, uint64_t now_ns);

#endif
