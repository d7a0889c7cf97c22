/*
 * Hashes.  hash_bytes() is for inner tables: seeded once per process, so
 * that strangers cannot aim at collisions; never store or send it.
 * hash_xx64() is XXH64, the stable one (ring, Maglev, versions);
 * hash_murmur2() is for rings that ask for it.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *p, size_t n);
uint64_t hash_xx64(const void *p, size_t n, uint64_t seed);
/* MurmurHash2 for 64 bits (A), as libstdc++ has it in std::hash. */
uint64_t hash_murmur2(const void *p, size_t n, uint64_t seed);

#endif
