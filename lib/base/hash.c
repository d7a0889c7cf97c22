#include "lib/base/hash.h"

#include <xxhash.h>

#include "lib/base/rand.h"

uint64_t
hash_bytes(const void *p, size_t n)
{
	static uint64_t seed;

	if (seed == 0)
		rand_secret(&seed, sizeof(seed));
	return XXH3_64bits_withSeed(p, n, seed);
}

uint64_t
hash_xx64(const void *p, size_t n, uint64_t seed)
{
	return XXH64(p, n, seed);
}
