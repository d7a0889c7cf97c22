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

/* Of equal ones that of the left run is first. */
static bool
is_before(const struct sorter *s, size_t at, const void *key, bool at_left)
{
	int order = s->compare(s->from[at], key);

	return at_left ? order <= 0 : order < 0;
}

/* How many from `at` on stand before the key; that at `at` does.  In strides that double: blocks of
 * names come whole. */
static size_t
streak(const struct sorter *s, size_t at, size_t end, const void *key, bool at_left)
{
	size_t low = at, step = 1, high;

	while (low + step < end && is_before(s, low + step, key, at_left)) {
		low += step;
		step *= 2;
	}
	for (high = least(low + step, end); high - low > 1;) {
		size_t half = low + (high - low) / 2;

		if (is_before(s, half, key, at_left))
			low = half;
		else
			high = half;
	}
	return high - at;
}

/* From one run all that comes before the head of the other. */
static size_t
move_some(struct sorter *s, bool left)
{
	size_t *at = left ? &s->left : &s->right;
	size_t end = left ? s->middle : s->end;
	size_t other = left ? s->right : s->left;
	bool alone = other == (left ? s->end : s->middle);
	size_t n = alone ? end - *at : streak(s, *at, end, s->from[other], left);

	memcpy(s->to + s->out, s->from + *at, n * sizeof(*s->to));
	*at += n;
	s->out += n;
	return n;
}

static bool
left_is_next(const struct sorter *s)
{
	return s->left < s->middle &&
	       (s->right == s->end || s->compare(s->from[s->left], s->from[s->right]) <= 0);
}

/* False when there is more than `moves` of it.  Who ends a streak begins the next. */
static bool
merge(struct sorter *s, size_t *moves)
{
	bool left;

	if (s->out == s->end)
		return true;
	for (left = left_is_next(s); s->out < s->end; left = !left) {
		if (*moves == 0)
			return false;
		*moves -= least(*moves, move_some(s, left));
	}
	return true;
}

bool
sorter_step(struct sorter *s, size_t moves)
{
	while (s->width < s->n) {
		if (s->out < s->end && s->out == s->left && s->right == s->middle && in_order(s))
			move_all(s);
		if (!merge(s, &moves))
			return true;
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
