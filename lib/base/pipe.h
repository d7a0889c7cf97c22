/*
 * Pipes in which bytes go from one socket to another and never come to
 * user space (splice).  The process makes a few and keeps them.
 */
#ifndef BASE_PIPE_H
#define BASE_PIPE_H

#include <stddef.h>

#define PIPE_ROOM (256 * 1024)

struct pipe {
	int rd, wr;
	struct pipe *next_free;
};

/* An empty one, NULL when all are taken or the system gives none of that size. */
struct pipe *pipe_take(void);
/* Takes it back; `left` bytes are still in it and are dropped. */
void pipe_give(struct pipe **pp, size_t left);

#endif
