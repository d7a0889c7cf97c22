/*
 * Memory that is zeroed and never NULL: a process that cannot get memory
 * ends and master replaces it.  What strangers can make large is bounded
 * by limits, not here.  Master itself uses mem_try_alloc() and refuses
 * the operation instead.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define CACHE_LINE 64 /* bytes that the processor fetches together */
#define MEM_LARGE_PAGE ((size_t)2 << 20) /* of x86-64, and of arm64 with pages of 4 KiB */

#define mem_new(type) ((type *)mem_alloc(sizeof(type)))
#define mem_array(type, n) ((type *)mem_alloc_array((n), sizeof(type)))

void *mem_alloc(size_t size);                        /* zeroed; caller owns */
void *mem_alloc_array(size_t n, size_t size);        /* zeroed; overflow ends the process */
void *mem_resize(void *p, size_t size);              /* like realloc; new bytes are not zeroed */
void *mem_try_alloc(size_t size);                    /* zeroed, or NULL */
void *mem_try_room(size_t size);                     /* not zeroed, or NULL */
char *mem_strdup(const char *s);                     /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n);
void *mem_dup(const void *p, size_t n);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* For what is large: a call into the library is quicker than the loop that compilers put in its place. */
void mem_zero(void *p, size_t size);
void mem_free(void *p); /* accepts NULL */

/* Not zeroed, in whole pages of MEM_LARGE_PAGE where the kernel has such: who reads here and there in
 * it finds it sooner.  For what fills one to a good part. */
void *mem_large(size_t size);

/* Frees and clears: MEM_CLEAR(x->name). */
#define MEM_CLEAR(p)                                                                               \
	do {                                                                                       \
		mem_free(p);                                                                       \
		(p) = NULL;                                                                        \
	} while (0)

#endif
