/* So many at once, so many a second. */
#ifndef XDS_TOKEN_BUCKET_H
#define XDS_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
	double most, per_ms; /* most 0: no limit */
	double tokens;
	uint64_t at_ms;
};

static inline void
token_bucket_init(struct token_bucket *b, double most, double per_second, uint64_t now_ms)
{
	*b = (struct token_bucket){most, per_second / 1000, most, now_ms};
}

/* 0: one is taken; else how long to wait for the next. */
static inline uint64_t
token_bucket_take(struct token_bucket *b, uint64_t now_ms)
{
	if (b->most == 0)
		return 0;
	b->tokens += (double)(now_ms - b->at_ms) * b->per_ms;
	b->tokens = b->tokens > b->most ? b->most : b->tokens;
	b->at_ms = now_ms;
	if (b->tokens < 1)
		return (uint64_t)((1 - b->tokens) / b->per_ms) + 1;
	b->tokens -= 1;
	return 0;
}

#endif
