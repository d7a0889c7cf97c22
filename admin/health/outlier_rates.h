/* The numbers that outlier detection compares: no hosts, no clocks. */
#ifndef ADMIN_HEALTH_OUTLIER_RATES_H
#define ADMIN_HEALTH_OUTLIER_RATES_H

#include <stddef.h>

struct rate_verdict {
	double average, threshold; /* percent; -1, -1: there is nothing to compare */
};

/* The threshold is `factor` standard deviations (of the whole population) below the average. */
struct rate_verdict rates_compare(const double *percent, size_t n, double factor);

#endif
