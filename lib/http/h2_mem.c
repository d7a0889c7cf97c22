/*
 * Memory for nghttp2: each stream takes and gives back the same few small
 * sizes.  They come from free lists of the process, one for each multiple
 * of a step; what is larger comes from the heap.  Any process that speaks
 * HTTP/2.
 */
#include "lib/http/h2_mem.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"

#define STEP 64
#define CLASSES 16      /* up to 1 KiB */
#define KEPT_BYTES 65536 /* of each class */

/* In front of each block. */
struct block {
	union {
		struct block *next; /* in a free list */
		size_t room;        /* in use */
	};
	size_t align; /* what follows lies as malloc() would lay it */
};

struct pool {
	struct block *free;
	size_t kept;
};

static struct pool pools[CLASSES];

static void *
bytes_of(struct block *b)
{
	return b + 1;
}

static struct block *
block_of(void *p)
{
	return (struct block *)p - 1;
}

static void *
take(size_t n, void *arg)
{
	size_t class = n ? (n - 1) / STEP : 0;
	struct block *b;

	if (class >= CLASSES) {
		b = mem_resize(NULL, sizeof(*b) + n);
		b->room = n;
		return bytes_of(b);
	}
	b = pools[class].free;
	if (b) {
		pools[class].free = b->next;
		pools[class].kept--;
	} else {
		b = mem_resize(NULL, sizeof(*b) + (class + 1) * STEP);
	}
	b->room = (class + 1) * STEP;
	return bytes_of(b);
}

static void
give(void *p, void *arg)
{
	struct block *b;
	size_t class;

	if (p == NULL)
		return;
	b = block_of(p);
	class = b->room / STEP - 1;
	if (b->room > CLASSES * STEP || pools[class].kept * b->room >= KEPT_BYTES) {
		mem_free(b);
		return;
	}
	b->next = pools[class].free;
	pools[class].free = b;
	pools[class].kept++;
}

static void *
take_clear(size_t n, size_t size, void *arg)
{
	void *p;

	if (size && n > SIZE_MAX / 2 / size)
		return NULL; /* nghttp2 takes it for lack of memory */
	p = take(n * size, arg);
	return memset(p, 0, n * size);
}

static void *
resize(void *p, size_t n, void *arg)
{
	void *more;

	if (p && n <= block_of(p)->room)
		return p;
	more = take(n, arg);
	if (p)
		memcpy(more, p, block_of(p)->room);
	give(p, arg);
	return more;
}

nghttp2_mem h2_mem = {.malloc = take, .free = give, .calloc = take_clear, .realloc = resize};
