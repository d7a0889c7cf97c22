/*
 * Pipes in which bytes go from one socket to another and never come to
 * user space (splice).  The process makes a few and keeps them.
 */
#ifndef BASE_PIPE_H
#define BASE_PIPE_H

#include <stdbool.h>

#define PIPE_ROOM (256 * 1024)

struct pipe {
	int rd, wr;
	struct pipe *next_free;
};

/* An empty one, NULL when all are taken or the system gives none of that size. */
struct pipe *pipe_take(void);
/* Takes it back, with what is in it. */
void pipe_give(struct pipe **pp, bool empty);

#endif
