/*
 * A chain of byte slices over shared chunks: what is read from one socket
 * is written to another without a copy.
 *
 * A chunk is a block of memory with a reference count; bytes are appended
 * behind `used` by one writer and never change afterwards, so any number
 * of slices may share it.  Chunks of BUF_SMALL and BUF_LARGE bytes come
 * from free lists of the process.  A buf owns its slices.
 *
 * The bytes of a chunk may also be in a pipe of the kernel.  Who sends them
 * to a socket takes them from there (slice_pipe()); who looks at them finds
 * them in memory like others: they are fetched at that moment.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/base/assert.h"
#include "lib/base/list.h"
#include "lib/base/str.h"

#define BUF_SMALL (16 * 1024 - 64) /* capacity of a chunk of 16 KiB */
#define BUF_LARGE (64 * 1024 - 64) /* capacity of a chunk of 64 KiB */

struct pipe;

struct chunk {
	uint32_t refs;
	uint32_t cap, used;
	uint32_t gone;     /* how many left the pipe */
	struct pipe *pipe; /* holds the others; NULL: they are at data */
	char *data;
	struct chunk *next_free;
	char room[];
};

struct chunk *chunk_new(size_t cap); /* one reference; cap ≥ asked; BUF_SMALL and BUF_LARGE are cheap */
/* An empty one with a pipe, NULL when there is none; chunk_filled() follows. */
struct chunk *chunk_piped(void);
void chunk_filled(struct chunk *c, size_t n); /* so many bytes were put in its pipe, no others will be */
void chunk_fetch_(struct chunk *c);
void chunk_free_(struct chunk *c);

static inline struct chunk *
chunk_ref(struct chunk *c)
{
	c->refs++;
	return c;
}

static inline void
chunk_unref(struct chunk **cp)
{
	struct chunk *c = *cp;

	*cp = NULL;
	if (c && --c->refs == 0)
		chunk_free_(c);
}

struct slice {
	struct chunk *chunk; /* one reference */
	uint32_t off, len;
};

struct buf {
	struct slice *at;          /* ring is not needed: first .. first+count */
	uint32_t first, count, cap;
	size_t len;                /* bytes in all slices */
	struct slice inline_[2];   /* most bufs never need more; a buf must not be moved with memcpy */
};

static inline void
buf_init(struct buf *b)
{
	b->at = b->inline_;
	b->first = b->count = 0;
	b->cap = sizeof(b->inline_) / sizeof(b->inline_[0]);
	b->len = 0;
}

void buf_empty_(struct buf *b);

/* Empties and frees; usable again. */
static inline void
buf_fini(struct buf *b)
{
	if (b->count || b->at != b->inline_)
		buf_empty_(b);
	b->first = 0;
}

static inline bool
buf_empty(const struct buf *b)
{
	return b->len == 0;
}

static inline struct slice *
buf_slice(const struct buf *b, uint32_t i)
{
	return &b->at[b->first + i];
}

static inline bool
slice_is_piped(const struct slice *s)
{
	return s->chunk->pipe != NULL;
}

/* A pipe that has this slice's bytes in front and that nobody else reads: who takes some calls
 * slice_sent().  NULL: they are to be had from memory. */
struct pipe *slice_pipe(struct slice *s);
static inline void
slice_sent(struct slice *s, size_t n)
{
	s->chunk->gone += (uint32_t)n;
}

static inline char *
slice_data(const struct slice *s)
{
	if (__builtin_expect(slice_is_piped(s), false))
		chunk_fetch_(s->chunk);
	return s->chunk->data + s->off;
}

void buf_add(struct buf *b, const void *p, size_t n);                 /* copies */
void buf_addz(struct buf *b, const char *z);
void buf_add_slice(struct buf *b, struct chunk *c, uint32_t off, uint32_t len); /* shares c */
void buf_move_(struct buf *to, struct buf *from);
/* All of it; from is empty after. */
static inline void
buf_move(struct buf *to, struct buf *from)
{
	if (from->count != 1 || to->first + to->count == to->cap) {
		if (from->count)
			buf_move_(to, from);
		return;
	}
	to->at[to->first + to->count++] = from->at[from->first];
	to->len += from->len;
	from->first = from->count = 0;
	from->len = 0;
}

void buf_move_some_(struct buf *to, struct buf *from, size_t n);
/* Its first n bytes (n ≤ from->len). */
static inline void
buf_move_n(struct buf *to, struct buf *from, size_t n)
{
	if (n == from->len)
		buf_move(to, from);
	else
		buf_move_some_(to, from, n);
}

void buf_copy_ref(struct buf *to, const struct buf *from);            /* shares every slice */
void buf_drain_(struct buf *b, size_t n);
/* Drops the first n bytes. */
static inline void
buf_drain(struct buf *b, size_t n)
{
	struct slice *s = buf_slice(b, 0);

	if (n == 0)
		return;
	ASSERT(n <= b->len);
	if (n >= s->len) {
		buf_drain_(b, n);
		return;
	}
	s->off += (uint32_t)n;
	s->len -= (uint32_t)n;
	b->len -= n;
}

/* The first n bytes (n ≤ len) as one piece of memory, moving them to one chunk if they are not. */
char *buf_pullup(struct buf *b, size_t n);
/* Copies at most n bytes out, gives how many; drains nothing. */
size_t buf_peek(const struct buf *b, void *out, size_t n);
char *buf_dupz(const struct buf *b); /* whole content, NUL added; caller owns */

/* Room for reading: at least `want` bytes behind the last slice's chunk or in a new chunk.  Fill
 * from *p, then buf_commit() what was filled.  One reservation at a time. */
char *buf_reserve(struct buf *b, size_t want, size_t *room);
void buf_commit(struct buf *b, size_t n);

/* At most max iovecs over the front, none for what is in a pipe behind others; gives how many. */
int buf_iov(const struct buf *b, struct iovec *iov, int max);

#endif
