#include "lib/base/buf.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "lib/base/pipe.h"

#define KEPT_SMALL 128 /* 2 MiB */
#define KEPT_LARGE 32  /* 2 MiB */

struct chunk_pool {
	struct chunk *free;
	unsigned count, kept;
};

static struct chunk_pool small = {NULL, 0, KEPT_SMALL};
static struct chunk_pool large = {NULL, 0, KEPT_LARGE};

static struct chunk_pool *
pool_of(size_t cap)
{
	return cap == BUF_SMALL ? &small : cap == BUF_LARGE ? &large : NULL;
}

struct chunk *
chunk_new(size_t cap)
{
	struct chunk_pool *pool = pool_of(cap);
	struct chunk *c;

	ASSERT(cap < UINT32_MAX - sizeof(*c));
	if (pool && pool->free) {
		c = pool->free;
		pool->free = c->next_free;
		pool->count--;
	} else {
		c = mem_resize(NULL, sizeof(*c) + cap);
		c->cap = (uint32_t)cap;
		c->pipe = NULL;
		c->data = c->room;
	}
	c->refs = 1;
	c->used = 0;
	return c;
}

/* ---- chunks whose bytes are in a pipe */

struct chunk *
chunk_piped(void)
{
	struct pipe *p = pipe_take();
	struct chunk *c;

	if (p == NULL)
		return NULL;
	c = mem_new(struct chunk);
	c->refs = 1;
	c->pipe = p;
	return c;
}

void
chunk_filled(struct chunk *c, size_t n)
{
	c->used = c->cap = (uint32_t)n;
}

void
chunk_fetch_(struct chunk *c)
{
	uint32_t at = c->gone;

	c->data = mem_resize(NULL, c->used);
	while (at < c->used) {
		ssize_t n = read(c->pipe->rd, c->data + at, c->used - at);

		ASSERT(n > 0); /* they were put there, and nobody else reads */
		at += (uint32_t)n;
	}
	pipe_give(&c->pipe, 0);
}

/* The same bytes in a pipe of their own: others keep this one.  NULL when there is none. */
static struct chunk *
chunk_tee(struct chunk *c, uint32_t len)
{
	struct chunk *copy = chunk_piped();
	ssize_t n;

	if (copy == NULL)
		return NULL;
	n = tee(c->pipe->rd, copy->pipe->wr, len, SPLICE_F_NONBLOCK);
	chunk_filled(copy, n > 0 ? (size_t)n : 0);
	if (copy->used != len)
		chunk_unref(&copy);
	return copy;
}

struct pipe *
slice_pipe(struct slice *s)
{
	struct chunk *copy;

	if (s->chunk->pipe == NULL || s->off != s->chunk->gone)
		return NULL;
	if (s->chunk->refs > 1) {
		copy = chunk_tee(s->chunk, s->len);
		if (copy == NULL)
			return NULL;
		chunk_unref(&s->chunk);
		s->chunk = copy;
		s->off = 0;
	}
	return s->chunk->pipe;
}

static __attribute__((noinline)) void
free_piped(struct chunk *c)
{
	if (c->pipe)
		pipe_give(&c->pipe, c->used - c->gone);
	mem_free(c->data);
	mem_free(c);
}

void
chunk_free_(struct chunk *c)
{
	struct chunk_pool *pool;

	if (UNLIKELY(c->data != c->room)) {
		free_piped(c);
		return;
	}
	pool = pool_of(c->cap);
	if (pool && pool->count < pool->kept) {
		c->next_free = pool->free;
		pool->free = c;
		pool->count++;
		return;
	}
	mem_free(c);
}

static void
drop_slices(struct buf *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		chunk_unref(&buf_slice(b, i)->chunk);
	b->first = b->count = 0;
	b->len = 0;
}

void
buf_empty_(struct buf *b)
{
	if (b->at == NULL)
		return;
	drop_slices(b);
	if (b->at != b->inline_)
		mem_free(b->at);
	buf_init(b);
}

/* No place behind the last slice: there is one before the first, or there are to be more. */
static void
make_place(struct buf *b)
{
	if (b->first > b->cap / 2 || (b->first && b->count <= 2)) {
		memmove(b->at, b->at + b->first, b->count * sizeof(*b->at));
	} else {
		struct slice *more = mem_array(struct slice, b->cap * 2);

		memcpy(more, b->at + b->first, b->count * sizeof(*more));
		if (b->at != b->inline_)
			mem_free(b->at);
		b->at = more;
		b->cap *= 2;
	}
	b->first = 0;
}

static inline struct slice *
push_slice(struct buf *b)
{
	if (UNLIKELY(b->first + b->count == b->cap))
		make_place(b);
	return &b->at[b->first + b->count++];
}

/* The last slice when bytes may be appended right behind it. */
static struct slice *
open_tail(struct buf *b)
{
	struct slice *s;

	if (b->count == 0)
		return NULL;
	s = buf_slice(b, b->count - 1);
	return s->off + s->len == s->chunk->used && s->chunk->used < s->chunk->cap ? s : NULL;
}

/* Apart, so that the first slice saves no registers. */
static __attribute__((noinline)) void
add_behind(struct buf *b, struct chunk *c, uint32_t off, uint32_t len)
{
	struct slice *s = buf_slice(b, b->count - 1);

	if (s->chunk == c && s->off + s->len == off)
		s->len += len;
	else
		*push_slice(b) = (struct slice){chunk_ref(c), off, len};
}

void
buf_add_slice(struct buf *b, struct chunk *c, uint32_t off, uint32_t len)
{
	if (len == 0)
		return;
	ASSERT(off + len <= c->used);
	b->len += len;
	if (b->count) {
		add_behind(b, c, off, len);
		return;
	}
	b->first = 0;
	b->count = 1;
	b->at[0] = (struct slice){chunk_ref(c), off, len};
}

char *
buf_reserve(struct buf *b, size_t want, size_t *room)
{
	struct slice *s = open_tail(b);

	if (s == NULL || s->chunk->cap - s->chunk->used < want) {
		size_t cap = want <= BUF_SMALL ? BUF_SMALL : want <= BUF_LARGE ? BUF_LARGE : want;

		s = push_slice(b);
		*s = (struct slice){chunk_new(cap), 0, 0};
	}
	*room = s->chunk->cap - s->chunk->used;
	return s->chunk->data + s->chunk->used;
}

void
buf_commit(struct buf *b, size_t n)
{
	struct slice *s = buf_slice(b, b->count - 1);

	ASSERT(n <= s->chunk->cap - s->chunk->used);
	s->chunk->used += (uint32_t)n;
	s->len += (uint32_t)n;
	b->len += n;
	if (s->len == 0) {
		chunk_unref(&s->chunk);
		b->count--;
	}
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	const char *from = p;

	while (n) {
		size_t room;
		char *to = buf_reserve(b, 1, &room);
		size_t k = n < room ? n : room;

		memcpy(to, from, k);
		buf_commit(b, k);
		from += k;
		n -= k;
	}
}

void
buf_addz(struct buf *b, const char *z)
{
	buf_add(b, z, strlen(z));
}

/* Apart, so that the usual move saves no registers. */
static __attribute__((noinline)) void
make_places_and_move(struct buf *to, struct buf *from)
{
	while (to->cap - to->first - to->count < from->count)
		make_place(to);
	buf_move_(to, from);
}

/* from is not empty. */
void
buf_move_(struct buf *to, struct buf *from)
{
	struct slice *place = &to->at[to->first + to->count];
	const struct slice *s = &from->at[from->first];

	if (UNLIKELY(to->cap - to->first - to->count < from->count)) {
		make_places_and_move(to, from);
		return;
	}
	*place = *s; /* there is one, and seldom a second */
	for (uint32_t i = 1; i < from->count; i++)
		place[i] = s[i];
	to->count += from->count;
	to->len += from->len;
	from->first = from->count = 0;
	from->len = 0;
}

void
buf_move_some_(struct buf *to, struct buf *from, size_t n)
{
	ASSERT(n <= from->len);
	while (n) {
		struct slice *s = buf_slice(from, 0);
		size_t k = n < s->len ? n : s->len;

		buf_add_slice(to, s->chunk, s->off, (uint32_t)k);
		buf_drain(from, k);
		n -= k;
	}
}

void
buf_copy_ref(struct buf *to, const struct buf *from)
{
	for (uint32_t i = 0; i < from->count; i++) {
		struct slice *s = buf_slice(from, i);

		buf_add_slice(to, s->chunk, s->off, s->len);
	}
}

/* Apart, so that the usual case, all of one slice, saves no registers. */
static __attribute__((noinline)) void
drain_slices(struct buf *b, size_t n)
{
	struct slice *s = &b->at[b->first], *end = s + b->count;

	b->len -= n;
	for (; s < end && n >= s->len; s++) {
		n -= s->len;
		chunk_unref(&s->chunk);
	}
	if (s == end) {
		b->first = b->count = 0;
		return;
	}
	s->off += (uint32_t)n;
	s->len -= (uint32_t)n;
	b->first = (uint32_t)(s - b->at);
	b->count = (uint32_t)(end - s);
}

void
buf_drain_(struct buf *b, size_t n)
{
	struct chunk *c = b->at[b->first].chunk;

	if (b->count > 1) {
		drain_slices(b, n);
		return;
	}
	b->first = b->count = 0;
	b->len = 0;
	chunk_unref(&c);
}

char *
buf_pullup(struct buf *b, size_t n)
{
	struct slice *s;
	struct chunk *c;
	struct buf rest;

	ASSERT(n > 0 && n <= b->len);
	s = buf_slice(b, 0);
	if (s->len >= n)
		return slice_data(s);
	c = chunk_new(n <= BUF_SMALL ? BUF_SMALL : n <= BUF_LARGE ? BUF_LARGE : n);
	c->used = (uint32_t)buf_peek(b, c->data, n);
	buf_drain(b, n);
	buf_init(&rest);
	buf_move(&rest, b);
	buf_add_slice(b, c, 0, c->used);
	chunk_unref(&c);
	buf_move(b, &rest);
	buf_fini(&rest);
	return slice_data(buf_slice(b, 0));
}

size_t
buf_peek(const struct buf *b, void *out, size_t n)
{
	size_t done = 0;

	for (uint32_t i = 0; i < b->count && done < n; i++) {
		struct slice *s = buf_slice(b, i);
		size_t k = n - done < s->len ? n - done : s->len;

		memcpy((char *)out + done, slice_data(s), k);
		done += k;
	}
	return done;
}

char *
buf_dupz(const struct buf *b)
{
	char *p = mem_alloc(b->len + 1);

	buf_peek(b, p, b->len);
	return p;
}

/* Apart, so that what is in memory saves no registers. */
static __attribute__((noinline)) int
fetch_and_iov(const struct buf *b, struct iovec *iov, int max)
{
	chunk_fetch_(buf_slice(b, 0)->chunk);
	return buf_iov(b, iov, max);
}

int
buf_iov(const struct buf *b, struct iovec *iov, int max)
{
	const struct slice *s = &b->at[b->first], *end = s + b->count;
	int n = 0;

	if (b->count && UNLIKELY(slice_is_piped(s)))
		return fetch_and_iov(b, iov, max);
	for (; s < end && n < max && !slice_is_piped(s); s++)
		iov[n++] = (struct iovec){s->chunk->data + s->off, s->len};
	return n;
}
