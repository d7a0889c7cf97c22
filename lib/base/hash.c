#include "lib/base/hash.h"

#include <string.h>

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

#define MURMUR_MULTIPLIER 0xc6a4a7935bd1e995ull

static uint64_t
murmur_mix(uint64_t k)
{
	k *= MURMUR_MULTIPLIER;
	k ^= k >> 47;
	return k * MURMUR_MULTIPLIER;
}

uint64_t
hash_murmur2(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *at = p, *end = at + (n & ~(size_t)7);
	uint64_t h = seed ^ n * MURMUR_MULTIPLIER;

	for (; at < end; at += 8) {
		uint64_t k;

		memcpy(&k, at, 8);
		h = (h ^ murmur_mix(k)) * MURMUR_MULTIPLIER;
	}
	if (n & 7) {
		uint64_t rest = 0;

		memcpy(&rest, at, n & 7);
		h = (h ^ rest) * MURMUR_MULTIPLIER;
	}
	h ^= h >> 47;
	h *= MURMUR_MULTIPLIER;
	return h ^ h >> 47;
}
