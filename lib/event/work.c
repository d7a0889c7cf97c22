#include "lib/event/work.h"

#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/base/task.h"
#include "lib/event/loop.h"

#define SLICE_NS (2 * NS_PER_MS)

static void
forget(struct work *w)
{
	list_remove(&w->node);
	task_free(&w->task);
}

static void
wait_for_next(struct works *all)
{
	if (!list_empty(&all->waiting) && !timer_armed(&all->next))
		timer_set(all->loop, &all->next, 0);
}

static void
slice(struct works *all, struct work *w)
{
	if (task_run(w->task, SLICE_NS))
		list_push_back(&all->waiting, &w->node);
	else
		forget(w);
}

static void
on_next(void *arg)
{
	struct works *all = arg;
	struct list *n = list_pop_front(&all->waiting);

	if (n)
		slice(all, list_entry(n, struct work, node));
	wait_for_next(all);
}

void
works_init(struct works *all, struct loop *l)
{
	all->loop = l;
	list_init(&all->waiting);
	timer_init(&all->next, on_next, all);
}

void
works_fini(struct works *all)
{
	struct list *n;

	while ((n = list_first(&all->waiting)) != NULL)
		work_finish(list_entry(n, struct work, node));
	timer_stop(&all->next);
}

void
work_start(struct works *all, struct work *w, void (*fn)(void *arg), void *arg)
{
	ASSERT(w->task == NULL);
	w->task = task_new(fn, arg);
	if (task_current)
		list_push_back(&all->waiting, &w->node);
	else
		slice(all, w);
	wait_for_next(all);
}

void
work_take(struct works *all, struct work *w, struct task *t)
{
	ASSERT(w->task == NULL);
	w->task = t;
	list_push_back(&all->waiting, &w->node);
	wait_for_next(all);
}

void
work_finish(struct work *w)
{
	if (w->task == NULL)
		return;
	task_finish(w->task);
	forget(w);
}
