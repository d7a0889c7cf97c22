#include "lib/upstream/lb/edf.h"

#include <stdbool.h>

#include "lib/base/mem.h"

#define REBASE_AT (1ull << 62)

static bool
before(const struct edf_entry *a, const struct edf_entry *b)
{
	if (a->deadline != b->deadline)
		return a->deadline < b->deadline;
	return a->order < b->order;
}

static void
sift_up(struct edf *e, uint32_t i)
{
	struct edf_entry moving = e->heap[i];

	while (i > 0 && before(&moving, &e->heap[(i - 1) / 2])) {
		e->heap[i] = e->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	e->heap[i] = moving;
}

static void
sift_down(struct edf *e, uint32_t i)
{
	struct edf_entry moving = e->heap[i];

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child + 1 < e->len && before(&e->heap[child + 1], &e->heap[child]))
			child++;
		if (child >= e->len || !before(&e->heap[child], &moving))
			break;
		e->heap[i] = e->heap[child];
		i = child;
	}
	e->heap[i] = moving;
}

void
edf_init(struct edf *e, uint32_t room)
{
	*e = (struct edf){.heap = mem_array(struct edf_entry, room)};
}

void
edf_fini(struct edf *e)
{
	MEM_CLEAR(e->heap);
}

void
edf_add(struct edf *e, void *item, uint64_t step)
{
	e->heap[e->len] = (struct edf_entry){e->now + step, e->orders++, item};
	sift_up(e, e->len++);
}

/* Virtual time begins anew; the order stays. */
static void
rebase(struct edf *e)
{
	for (uint32_t i = 0; i < e->len; i++)
		e->heap[i].deadline -= e->now;
	e->now = 0;
}

void
edf_again(struct edf *e, uint64_t step)
{
	struct edf_entry *first = &e->heap[0];

	e->now = first->deadline;
	if (e->now > REBASE_AT)
		rebase(e);
	first->deadline = e->now + step;
	first->order = e->orders++;
	sift_down(e, 0);
}
