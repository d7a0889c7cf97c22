/*
 * Text readouts: one writer at a time (admin), any number of readers.
 */
#include "shm/stat.h"

void
stat_text_set(struct stat_text *t, struct str value)
{
	uint32_t n = value.n < STAT_TEXT_MAX ? (uint32_t)value.n : STAT_TEXT_MAX;
	uint32_t seq = t->seq | 1;

	__atomic_store_n(&t->seq, seq, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memset(t->bytes, 0, sizeof(t->bytes));
	if (n)
		memcpy(t->bytes, value.p, n);
	t->len = n;
	__atomic_store_n(&t->seq, seq + 1, __ATOMIC_RELEASE);
}
