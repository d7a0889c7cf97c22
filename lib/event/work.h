/*
 * Work that takes longer than a turn of the loop may: each piece is a
 * task (lib/base/task.h), and a turn runs one slice of one of them.
 *
 *   work_start(&a->works, &r->work, load, r);
 *
 * The first slice runs at once, so what is short is done when
 * work_start() returns; within a task it only waits in the queue.
 */
#ifndef EVENT_WORK_H
#define EVENT_WORK_H

#include <stdbool.h>

#include "lib/base/list.h"
#include "lib/event/timer.h"

struct loop;
struct task;

struct works {
	struct loop *loop;   /* borrowed */
	struct list waiting; /* struct work, for their next slice */
	struct timer next;
};

/* Embedded in whom it works for, who outlives it; zero before its first start. */
struct work {
	struct list node;
	struct task *task; /* NULL: nothing goes on */
};

void works_init(struct works *all, struct loop *l);
void works_fini(struct works *all); /* what still goes on is done to its end */

/* Not while it goes on. */
void work_start(struct works *all, struct work *w, void (*fn)(void *arg), void *arg);
/* Takes a task that was begun by other hands; its slices come in later turns. */
void work_take(struct works *all, struct work *w, struct task *t);
/* Now, to the end; harmless when nothing goes on.  Not from within it. */
void work_finish(struct work *w);
static inline bool
work_goes_on(const struct work *w)
{
	return w->task != NULL;
}

#endif
