#include "shm/sorter.h"

#include <string.h>

#include "lib/base/mem.h"

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

void
sorter_init(struct sorter *s, void **at, size_t n, int (*compare)(const void *a, const void *b))
{
	*s = (struct sorter){.at = at, .n = n, .width = 1, .compare = compare};
	s->spare = mem_array(void *, n + 1);
	s->from = at;
	s->to = s->spare;
	s->middle = least(1, n);
	s->end = least(2, n);
	s->right = s->middle;
}

void
sorter_fini(struct sorter *s)
{
	mem_free(s->spare);
	*s = (struct sorter){0};
}

/* Two runs that stand in order already: what is left of them moves without a look. */
static void
move_all(struct sorter *s)
{
	size_t n = s->end - s->left;

	memcpy(s->to + s->out, s->from + s->left, n * sizeof(*s->to));
	s->out += n;
}

static bool
in_order(const struct sorter *s)
{
	return s->middle == s->end || s->compare(s->from[s->middle - 1], s->from[s->middle]) <= 0;
}

static void
next_runs(struct sorter *s)
{
	s->left = s->end;
	s->middle = least(s->end + s->width, s->n);
	s->end = least(s->end + 2 * s->width, s->n);
	s->right = s->middle;
}

static void
next_pass(struct sorter *s)
{
	void **was = s->from;

	s->from = s->to;
	s->to = was;
	s->width *= 2;
	s->out = 0;
	s->end = 0;
	next_runs(s);
}

static void
move_one(struct sorter *s)
{
	bool take_left = s->left < s->middle && (s->right == s->end || s->compare(s->from[s->left],
									   s->from[s->right]) <= 0);

	s->to[s->out++] = take_left ? s->from[s->left++] : s->from[s->right++];
}

bool
sorter_step(struct sorter *s, size_t moves)
{
	while (s->width < s->n) {
		if (s->out < s->end && s->out == s->left && s->right == s->middle && in_order(s))
			move_all(s);
		for (; s->out < s->end; moves--) {
			if (moves == 0)
				return true;
			move_one(s);
		}
		if (s->end < s->n)
			next_runs(s);
		else
			next_pass(s);
	}
	if (s->from != s->at)
		memcpy(s->at, s->from, s->n * sizeof(*s->at));
	s->from = s->at;
	return false;
}
