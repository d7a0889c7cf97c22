#include "admin/config/turns.h"

#include "lib/base/assert.h"

void
turns_fini(struct turns *t)
{
	vec_fini(&t->waiting);
	t->now = NULL;
}

static void
begin_next(struct turns *t)
{
	while (t->now == NULL && t->waiting.len) {
		t->now = t->waiting.at[0];
		vec_remove(&t->waiting, 0);
		t->now->begin(t->now->arg);
	}
}

static bool
is_waiting(const struct turns *t, const struct turn *one)
{
	for (size_t i = 0; i < t->waiting.len; i++)
		if (t->waiting.at[i] == one)
			return true;
	return false;
}

bool
turns_has(const struct turns *t, const struct turn *one)
{
	return t->now == one || is_waiting(t, one);
}

void
turns_ask(struct turns *t, const struct turn *one)
{
	if (is_waiting(t, one))
		return;
	*vec_push(&t->waiting) = one;
	begin_next(t);
}

void
turns_leave(struct turns *t, const struct turn *one)
{
	if (t->now == one)
		t->now = NULL;
	for (size_t i = t->waiting.len; i-- > 0;)
		if (t->waiting.at[i] == one)
			vec_remove(&t->waiting, i);
}

void
turns_pass(struct turns *t)
{
	ASSERT(t->now);
	t->now = NULL; /* begin_next() is on the stack, or is called by who asks next */
}

void
turns_done(struct turns *t, const char *refused)
{
	const struct turn *was = t->now;

	ASSERT(was);
	t->now = NULL;
	was->done(was->arg, refused);
	begin_next(t);
}
