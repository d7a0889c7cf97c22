#include "shm/histogram.h"

#include <math.h>
#include <string.h>

#include "lib/base/mem.h"

const double histogram_quantiles[HISTOGRAM_QUANTILES] = {
    0, 0.25, 0.5, 0.75, 0.90, 0.95, 0.99, 0.995, 0.999, 1};

const uint64_t bin_power[20] = {1ull, 10ull, 100ull, 1000ull, 10000ull, 100000ull, 1000000ull,
    10000000ull, 100000000ull, 1000000000ull, 10000000000ull, 100000000000ull, 1000000000000ull,
    10000000000000ull, 100000000000000ull, 1000000000000000ull, 10000000000000000ull,
    100000000000000000ull, 1000000000000000000ull, 10000000000000000000ull};

void
histogram_fini(struct histogram *h)
{
	mem_free(h->bin);
	*h = (struct histogram){0};
}

/* The first bin that is not below id. */
static uint32_t
find(const struct histogram *h, uint16_t id)
{
	uint32_t lo = 0, hi = h->len;

	if (h->len && h->bin[h->len - 1].id < id)
		return h->len;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (h->bin[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
histogram_add(struct histogram *h, uint16_t id, uint64_t count)
{
	uint32_t i = find(h, id);

	if (count == 0 || id >= BIN_IDS)
		return;
	h->count += count;
	if (i < h->len && h->bin[i].id == id) {
		h->bin[i].count += count;
		return;
	}
	if (h->len == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 16;
		h->bin = mem_resize(h->bin, h->cap * sizeof(*h->bin));
	}
	memmove(&h->bin[i + 1], &h->bin[i], (h->len - i) * sizeof(*h->bin));
	h->bin[i] = (struct histogram_bin){id, count};
	h->len++;
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (uint32_t i = 0; i < from->len; i++)
		histogram_add(to, from->bin[i].id, from->bin[i].count);
	to->sum += from->sum;
}

void
histogram_copy(struct histogram *to, const struct histogram *from)
{
	*to = *from;
	to->cap = from->len;
	to->bin = from->len ? mem_dup(from->bin, from->len * sizeof(*from->bin)) : NULL;
}

void
histogram_subtract(struct histogram *to, const struct histogram *from)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < to->len; i++) {
		uint32_t k = find(from, to->bin[i].id);
		uint64_t less = 0;

		if (k < from->len && from->bin[k].id == to->bin[i].id)
			less = from->bin[k].count;
		less = less < to->bin[i].count ? less : to->bin[i].count;
		to->count -= less;
		to->bin[i].count -= less;
		if (to->bin[i].count)
			to->bin[kept++] = to->bin[i];
	}
	to->len = kept;
	to->sum -= from->sum < to->sum ? from->sum : to->sum;
}

double
bin_width(uint16_t id)
{
	return id == 0 ? 0.0 : (double)bin_power[(id - 1) / 90] / 10.0;
}

double
bin_lower(uint16_t id)
{
	if (id == 0)
		return 0.0;
	return (double)((id - 1) % 90 + 10) / 10.0 * (double)bin_power[(id - 1) / 90];
}

/* Walks bins and quantiles together; inside a bin the value is a straight line. */
void
histogram_compute(const struct histogram *h, double out[HISTOGRAM_QUANTILES])
{
	double below = 0, upto = h->len ? (double)h->bin[0].count : 0;
	uint32_t b = 0;

	for (int q = 0; q < HISTOGRAM_QUANTILES; q++) {
		double want = (double)h->count * histogram_quantiles[q];

		if (h->len == 0) {
			out[q] = NAN;
			continue;
		}
		while (b + 1 < h->len && upto < want) {
			below = upto;
			upto += (double)h->bin[++b].count;
		}
		if (want == below)
			out[q] = bin_lower(h->bin[b].id);
		else if (want == upto)
			out[q] = bin_lower(h->bin[b].id) + bin_width(h->bin[b].id);
		else
			out[q] = bin_lower(h->bin[b].id) +
				 (want - below) / (upto - below) * bin_width(h->bin[b].id);
	}
}

uint64_t
histogram_below(const struct histogram *h, double bound)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < h->len; i++) {
		if (bin_lower(h->bin[i].id) + bin_width(h->bin[i].id) > bound)
			break;
		n += h->bin[i].count;
	}
	return n;
}
