#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Noreturn void
mem_exhausted(size_t size)
{
	fprintf(stderr, "baton: out of memory (%zu bytes)\n", size);
	abort();
}

void *
mem_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (p == NULL)
		mem_exhausted(size);
	return p;
}

void *
mem_alloc_array(size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		mem_exhausted(SIZE_MAX);
	return mem_alloc(n * size);
}

void *
mem_resize(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (p == NULL)
		mem_exhausted(size);
	return p;
}

void *
mem_try_alloc(size_t size)
{
	return calloc(1, size ? size : 1);
}

void *
mem_try_room(size_t size)
{
	return malloc(size ? size : 1);
}

void *
mem_large(size_t size)
{
	size_t whole = (size + MEM_LARGE_PAGE - 1) & ~(MEM_LARGE_PAGE - 1);
	void *p;

	if (whole < size || posix_memalign(&p, MEM_LARGE_PAGE, whole) != 0)
		mem_exhausted(size);
	madvise(p, whole, MADV_HUGEPAGE); /* refused: in ordinary pages */
	return p;
}

char *
mem_strdup(const char *s)
{
	return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *
mem_strndup(const char *s, size_t n)
{
	char *p = mem_alloc(n + 1);

	memcpy(p, s, n);
	return p;
}

void *
mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *
mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		mem_exhausted(0);
	return s;
}

__attribute__((noinline)) void
mem_zero(void *p, size_t size)
{
	__asm__("" : "+r"(size)); /* a compiler that knows it writes a loop of words here */
	memset(p, 0, size);
}

void
mem_free(void *p)
{
	free(p);
}
