/*
 * Memory that is freed as one: a stream's, a configuration snapshot's.
 * Blocks of ARENA_BLOCK bytes come from a free list of the process, so
 * that a request costs no malloc in steady state.  Memory is not zeroed
 * unless asked.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "lib/base/str.h"

#define ARENA_BLOCK 4096

struct arena_block;
struct arena_fini;

struct arena {
	struct arena_block *blocks;
	struct arena_fini *finis; /* newest first */
	char *at, *end;
	size_t total; /* bytes asked for */
};

void arena_init(struct arena *a);
/* Empty, and its first n bytes are the caller's (aligned to 8), who keeps them. */
void arena_lend(struct arena *a, void *room, size_t n);
void arena_fini(struct arena *a);  /* frees all; the arena is empty and usable again */
/* Runs fn(arg) when the arena is freed, before its memory goes: for what memory alone does not free
 * (a chunk's reference, a compiled expression). */
void arena_on_fini(struct arena *a, void (*fn)(void *arg), void *arg);
void *arena_more(struct arena *a, size_t n);
char *arena_dup(struct arena *a, const void *p, size_t n); /* adds a NUL that is not counted */
struct str arena_str(struct arena *a, struct str s);
struct str arena_lower(struct arena *a, struct str s); /* ASCII letters in lower case */
void *arena_zalloc(struct arena *a, size_t n);
void *arena_zalloc_lines(struct arena *a, size_t n); /* begins with a line of the cache */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Aligned to 8; not zeroed; never NULL. */
static inline void *
arena_alloc(struct arena *a, size_t n)
{
	char *p = a->at;

	n = (n + 7) & ~(size_t)7;
	if ((size_t)(a->end - p) < n)
		return arena_more(a, n);
	a->at = p + n;
	return p;
}

#define arena_new(a, type) ((type *)arena_zalloc((a), sizeof(type)))

#endif
