/*
 * Long work in short pieces.  A task is a function with a stack of its
 * own: written as any other, it says task_breathe() where it may be
 * interrupted, and once its slice of time is over it stops there until
 * task_run() lets it go on.
 *
 * There is one thread: nothing runs beside a task, and between two of its
 * breaths the world stands still.  Library code breathes (parsing,
 * checking, packing messages), so whoever calls it from a task expects
 * the world to have changed behind each such call, or forbids it with
 * task_hold().  Outside of a task, and in one that is being finished,
 * breathing does nothing.
 */
#ifndef BASE_TASK_H
#define BASE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/assert.h"

struct task;

struct task *task_new(void (*fn)(void *arg), void *arg);
/* One slice of this length; false when fn has returned.  Also from within another task. */
bool task_run(struct task *t, uint64_t slice_ns);
/* To the end, however long it takes. */
void task_finish(struct task *t);
/* One that has ended, or never began. */
void task_free(struct task **tp);

extern struct task *task_current; /* NULL: the process's own stack */

void task_breathe_now(void);
static inline void
task_breathe(void)
{
	if (UNLIKELY(task_current != NULL))
		task_breathe_now();
}

/* Between these no breath is taken; they nest. */
void task_hold(void);
void task_release(void);

#endif
