/*
 * Randomness.  rand_u64() is fast and not secret (balancing, jitter);
 * rand_secret() asks the kernel.  Each process must call rand_init()
 * after fork: no two processes ever share a stream.
 */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

void rand_init(void);             /* seeds from the kernel */
void rand_seed(uint64_t seed);    /* tests */
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t n);  /* 0 … n-1; n > 0 */
void rand_secret(void *out, size_t n);
void rand_uuid(char out[36]);     /* version 4, lower case, no NUL */

#endif
