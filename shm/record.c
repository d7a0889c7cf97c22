/*
 * Values that need an extension: histograms and counters by status.  Runs
 * in every process, on its own lane; a cell that lies elsewhere (scratch)
 * is ignored.
 */
#include "lib/base/assert.h"
#include "shm/histogram.h"
#include "shm/lane_private.h"
#include "shm/stat.h"

static uint64_t *
chunk_of(struct seg_histogram *h, unsigned digits)
{
	uint64_t *chunk = lane_extension(h->chunk[digits], HIST_CHUNK * 8);

	if (LIKELY(chunk != NULL))
		return chunk;
	__atomic_store_n(&h->chunk[digits], lane_extend(HIST_CHUNK * 8), __ATOMIC_RELEASE);
	return lane_extension(h->chunk[digits], HIST_CHUNK * 8);
}

static struct seg_histogram *
histogram_of(struct stat_histogram *cell)
{
	struct seg_histogram *h = lane_extension(cell->ext, sizeof(*h));

	if (LIKELY(h != NULL))
		return h;
	if (!lane_holds(cell))
		return NULL;
	__atomic_store_n(&cell->ext, lane_extend(sizeof(*h)), __ATOMIC_RELEASE);
	return lane_extension(cell->ext, sizeof(*h));
}

void
stat_record(struct stat_histogram *cell, uint64_t v)
{
	struct seg_histogram *h = lane_holds(cell) ? histogram_of(cell) : NULL;
	uint64_t *count;

	if (h == NULL)
		return;
	if (v < 10) {
		count = &h->small[v];
	} else {
		unsigned digits = bin_digits(v);

		count = chunk_of(h, digits);
		if (count == NULL)
			return;
		count += bin_in_chunk(v, digits);
	}
	stat_store_(&h->sum, h->sum + v);
	stat_store_(count, *count + 1);
}

void
stat_code(struct stat_codes *cell, unsigned status)
{
	unsigned century = status / 100;
	uint64_t *counts;

	if (century < 1 || century > 5 || !lane_holds(cell))
		return;
	counts = lane_extension(cell->ext[century], CODES_CENTURY * 8);
	if (UNLIKELY(counts == NULL)) {
		__atomic_store_n(
		    &cell->ext[century], lane_extend(CODES_CENTURY * 8), __ATOMIC_RELEASE);
		counts = lane_extension(cell->ext[century], CODES_CENTURY * 8);
		if (counts == NULL)
			return;
	}
	counts += status % 100;
	stat_store_(counts, *counts + 1);
}
