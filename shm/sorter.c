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
	*s = (struct sorter){.at = at, .n = n, .looked = 1, .compare = compare};
	s->spare = mem_resize(NULL, (n + 1) * sizeof(*at));
	s->from = at;
	s->to = s->spare;
}

void
sorter_fini(struct sorter *s)
{
	mem_free(s->spare);
	vec_fini(&s->ends);
	*s = (struct sorter){0};
}

/* False when there is more than `moves` of it. */
static bool
find_runs(struct sorter *s, size_t *moves)
{
	for (; s->looked <= s->n; s->looked++) {
		if (*moves == 0)
			return false;
		--*moves;
		if (s->looked == s->n || s->compare(s->at[s->looked - 1], s->at[s->looked]) > 0)
			*vec_push(&s->ends) = s->looked;
	}
	return true;
}

/* Their end takes the place of an end that was seen already. */
static void
next_runs(struct sorter *s)
{
	s->left = s->end;
	s->middle = s->right = s->ends.at[s->run];
	s->end = s->ends.at[least(s->run + 1, s->ends.len - 1)];
	s->ends.at[s->run / 2] = s->end;
	s->run += 2;
}

static void
next_pass(struct sorter *s)
{
	void **was = s->from;

	s->from = s->to;
	s->to = was;
	s->ends.len = (s->ends.len + 1) / 2;
	s->run = 0;
	s->out = 0;
	s->end = 0;
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
	if (!find_runs(s, &moves))
		return true;
	while (s->ends.len > 1) {
		if (!merge(s, &moves))
			return true;
		if (s->run < s->ends.len)
			next_runs(s);
		else
			next_pass(s);
	}
	if (s->from != s->at)
		memcpy(s->at, s->from, s->n * sizeof(*s->at));
	s->from = s->at;
	return false;
}
