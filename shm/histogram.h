/*
 * Histograms: log-linear bins of two significant digits, as Envoy's.
 *
 * bin 0 holds the value 0; bin 1 + 90*e + m holds [ (m+10)/10 × 10^e,
 * (m+11)/10 × 10^e ).  A `struct histogram` is the readers' form: bins
 * with a count, sorted.
 */
#ifndef SHM_HISTOGRAM_H
#define SHM_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct histogram_bin {
	uint16_t id;
	uint64_t count;
};

struct histogram {
	uint64_t count, sum;
	struct histogram_bin *bin; /* owned; ascending id, counts not 0 */
	uint32_t len, cap;
};

#define HISTOGRAM_QUANTILES 10
extern const double histogram_quantiles[HISTOGRAM_QUANTILES];

void histogram_fini(struct histogram *h);
void histogram_add(struct histogram *h, uint16_t id, uint64_t count); /* sum is the caller's */
void histogram_merge(struct histogram *to, const struct histogram *from);
void histogram_copy(struct histogram *to, const struct histogram *from); /* `to` is uninitialised */
/* to -= from, bin by bin, never below 0. */
void histogram_subtract(struct histogram *to, const struct histogram *from);

double bin_lower(uint16_t id);
double bin_width(uint16_t id);
/* NaN for all when empty. */
void histogram_compute(const struct histogram *h, double out[HISTOGRAM_QUANTILES]);
/* Values in bins that end at or below the bound. */
uint64_t histogram_below(const struct histogram *h, double bound);

/* ---- where a value of two or more digits goes */

extern const uint64_t bin_power[20]; /* 10^i */

/* Digits minus one: 1 for 10…99, 19 for the largest. */
static inline unsigned
bin_digits(uint64_t v)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(v);
	unsigned guess = bits * 1233 >> 12;

	return guess - (v < bin_power[guess]);
}

static inline unsigned
bin_in_chunk(uint64_t v, unsigned digits)
{
	if (digits == 1)
		return (unsigned)v - 10;
	if (digits == 2)
		return (unsigned)v / 10 - 10;
	if (digits == 3)
		return (unsigned)v / 100 - 10;
	return (unsigned)(v / bin_power[digits - 1]) - 10;
}

static inline uint16_t
bin_small(unsigned v) /* 0…9 */
{
	return (uint16_t)(v ? 1 + (v * 10 - 10) : 0);
}

static inline uint16_t
bin_of_chunk(unsigned digits, unsigned i)
{
	return (uint16_t)(1 + 90 * digits + i);
}

#define BIN_IDS (1 + 90 * 20)

#endif
