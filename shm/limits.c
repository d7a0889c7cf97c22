#include "shm/limits.h"

int64_t
limit_in_use(
    struct limit_others *cache, const struct stat_gauge *cell, uint64_t limit, uint64_t now_ns)
{
	int64_t mine = stat_gauge_value(cell->raw);
	bool old = !cache->known || now_ns - cache->read_at_ns > LIMIT_AGE_NS;
	bool close = now_ns != cache->read_at_ns && cache->sum + mine > (int64_t)(limit / 2);

	if (old || close) {
		cache->sum = stat_gauge_others(cell);
		cache->read_at_ns = now_ns;
		cache->known = true;
	}
	return mine + cache->sum;
}
