#include "shm/set.h"

#include <stdlib.h>

struct stat_set *
stat_set_new(void)
{
	struct stat_set *set = mem_new(struct stat_set);

	arena_init(&set->arena);
	return set;
}

void
stat_set_free(struct stat_set **sp)
{
	struct stat_set *set = *sp;

	*sp = NULL;
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->rows.len; i++) {
		histogram_fini(&set->rows.at[i]->histogram);
		histogram_fini(&set->rows.at[i]->interval);
	}
	for (size_t i = 0; i < set->generations.len; i++)
		vec_fini(&set->generations.at[i].seats);
	vec_fini(&set->rows);
	vec_fini(&set->generations);
	vec_fini(&set->hosts);
	vec_fini(&set->failures);
	map_fini(&set->by_name);
	arena_fini(&set->arena);
	mem_free(set);
}

struct stat_row *
stat_set_find(const struct stat_set *set, struct str name)
{
	return map_get(&set->by_name, name);
}

struct stat_row *
stat_set_row(struct stat_set *set, struct str name, enum stat_kind kind)
{
	struct stat_row *row = stat_set_find(set, name);

	if (row)
		return row;
	row = arena_new(&set->arena, struct stat_row);
	row->name = arena_str(&set->arena, name);
	row->kind = kind;
	map_put(&set->by_name, row->name, row);
	*vec_push(&set->rows) = row;
	return row;
}

static int
rank(const struct stat_row *row)
{
	return row->kind == STAT_TEXT ? 0 : row->kind == STAT_HISTOGRAM ? 2 : 1;
}

static int
by_listing(const void *a, const void *b)
{
	const struct stat_row *x = *(struct stat_row *const *)a, *y = *(struct stat_row *const *)b;

	return rank(x) != rank(y) ? rank(x) - rank(y) : str_cmp(x->name, y->name);
}

void
stat_set_sort(struct stat_set *set)
{
	if (set->rows.len)
		qsort(set->rows.at, set->rows.len, sizeof(*set->rows.at), by_listing);
}
