#include "admin/health/outlier_rates.h"

#include <math.h>

struct rate_verdict
rates_compare(const double *percent, size_t n, double factor)
{
	double sum = 0, squares = 0, average;

	if (n == 0)
		return (struct rate_verdict){-1, -1};
	for (size_t i = 0; i < n; i++)
		sum += percent[i];
	average = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (percent[i] - average) * (percent[i] - average);
	return (struct rate_verdict){average, average - factor * sqrt(squares / (double)n)};
}
