#include "lib/base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/base/mem.h"

#define KEPT_BLOCKS 256 /* 1 MiB of free blocks a process keeps */
#define LARGE_FROM (MEM_LARGE_PAGE / 2) /* a piece of this size is in large pages */

struct arena_block {
	struct arena_block *next;
	size_t size; /* of the whole block */
};

struct arena_fini {
	struct arena_fini *next;
	void (*fn)(void *);
	void *arg;
};

static struct arena_block *free_blocks;
static size_t free_count;

void
arena_init(struct arena *a)
{
	*a = (struct arena){0};
}

void
arena_lend(struct arena *a, void *room, size_t n)
{
	*a = (struct arena){.at = room, .end = (char *)room + n};
}

void
arena_on_fini(struct arena *a, void (*fn)(void *), void *arg)
{
	struct arena_fini *f = arena_alloc(a, sizeof(*f));

	*f = (struct arena_fini){a->finis, fn, arg};
	a->finis = f;
}

void
arena_fini(struct arena *a)
{
	struct arena_block *b, *next;

	for (struct arena_fini *f = a->finis; f; f = f->next)
		f->fn(f->arg);
	for (b = a->blocks; b; b = next) {
		next = b->next;
		if (b->size == ARENA_BLOCK && free_count < KEPT_BLOCKS) {
			b->next = free_blocks;
			free_blocks = b;
			free_count++;
		} else {
			mem_free(b);
		}
	}
	arena_init(a);
}

static struct arena_block *
take_block(size_t size)
{
	struct arena_block *b;

	if (size == ARENA_BLOCK && free_blocks) {
		b = free_blocks;
		free_blocks = b->next;
		free_count--;
		return b;
	}
	b = size < LARGE_FROM ? mem_resize(NULL, size) : mem_large(size);
	b->size = size;
	return b;
}

void *
arena_more(struct arena *a, size_t n)
{
	size_t head = sizeof(struct arena_block);
	bool large = n > ARENA_BLOCK / 2;
	struct arena_block *b = take_block(large ? head + n : ARENA_BLOCK);
	char *p = (char *)b + head;

	a->total += b->size;
	if (large && a->blocks) { /* behind the current block, which keeps its rest */
		b->next = a->blocks->next;
		a->blocks->next = b;
		return p;
	}
	b->next = a->blocks;
	a->blocks = b;
	a->at = p + n;
	a->end = (char *)b + b->size;
	return p;
}

char *
arena_dup(struct arena *a, const void *p, size_t n)
{
	char *copy = arena_alloc(a, n + 1);

	if (n)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

struct str
arena_str(struct arena *a, struct str s)
{
	return str_make(arena_dup(a, s.p, s.n), s.n);
}

struct str
arena_lower(struct arena *a, struct str s)
{
	char *copy = arena_dup(a, s.p, s.n);

	str_lower(copy, s);
	return str_make(copy, s.n);
}

void *
arena_zalloc(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);

	mem_zero(p, n);
	return p;
}

void *
arena_zalloc_lines(struct arena *a, size_t n)
{
	char *p = arena_zalloc(a, n + CACHE_LINE - 1);

	return p + (-(uintptr_t)p & (CACHE_LINE - 1));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	p = arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return p;
}
