#include "lib/base/rand.h"

#include <errno.h>
#include <sys/random.h>

#include "lib/base/assert.h"

/* xoshiro256** by Blackman and Vigna (public domain algorithm). */
static uint64_t state[4];

static uint64_t
rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void
rand_secret(void *out, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = getrandom((char *)out + done, n - done, 0);

		if (got < 0) {
			ASSERT(errno == EINTR);
			continue;
		}
		done += (size_t)got;
	}
}

void
rand_init(void)
{
	rand_secret(state, sizeof(state));
}

void
rand_seed(uint64_t seed)
{
	for (int i = 0; i < 4; i++) { /* splitmix64 */
		uint64_t z = (seed += 0x9e3779b97f4a7c15ull);

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
		state[i] = z ^ (z >> 31);
	}
}

uint64_t
rand_u64(void)
{
	uint64_t result, t;

	if ((state[0] | state[1] | state[2] | state[3]) == 0)
		rand_init();
	result = rotl(state[1] * 5, 7) * 9;
	t = state[1] << 17;
	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= t;
	state[3] = rotl(state[3], 45);
	return result;
}

uint64_t
rand_below(uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rand_u64() * n) >> 64);
}

void
rand_uuid(char out[36])
{
	static const char hex[] = "0123456789abcdef";
	uint64_t r[2] = {rand_u64(), rand_u64()};

	for (int i = 0, k = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			out[i] = '-';
			continue;
		}
		out[i] = hex[(r[k / 16] >> (4 * (k % 16))) & 15];
		k++;
	}
	out[14] = '4';
	out[19] = "89ab"[r[0] >> 62];
}
