#include "shm/set.h"

#include "lib/base/hash.h"

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
		if (set->rows.at[i]->kind != STAT_HISTOGRAM)
			continue;
		histogram_fini(set->rows.at[i]->histogram);
		histogram_fini(set->rows.at[i]->interval);
	}
	for (size_t i = 0; i < set->generations.len; i++)
		vec_fini(&set->generations.at[i].seats);
	vec_fini(&set->rows);
	vec_fini(&set->generations);
	vec_fini(&set->hosts);
	vec_fini(&set->failures);
	for (int i = 0; i < SET_SHARDS; i++)
		map_fini(&set->by_name[i]);
	sorter_fini(&set->sorter);
	arena_fini(&set->arena);
	mem_free(set);
}

static unsigned
shard_of(struct str name)
{
	return (unsigned)(hash_bytes(name.p, name.n) >> 32) % SET_SHARDS;
}

struct stat_row *
stat_set_find(const struct stat_set *set, struct str name)
{
	return map_get(&set->by_name[shard_of(name)], name);
}

struct stat_row *
stat_set_row(struct stat_set *set, struct str name, enum stat_kind kind)
{
	struct map *shard = &set->by_name[shard_of(name)];
	struct stat_row *row = map_get(shard, name);

	if (row)
		return row;
	row = arena_new(&set->arena, struct stat_row);
	row->name = arena_str(&set->arena, name);
	row->kind = kind;
	row->help = "";
	if (kind == STAT_HISTOGRAM) {
		row->histogram = arena_new(&set->arena, struct histogram);
		row->interval = arena_new(&set->arena, struct histogram);
	}
	map_put(shard, row->name, row);
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
	const struct stat_row *x = a, *y = b;

	return rank(x) != rank(y) ? rank(x) - rank(y) : str_cmp(x->name, y->name);
}

bool
stat_set_sort_step(struct stat_set *set)
{
	if (set->sorter.at == NULL)
		sorter_init(&set->sorter, (void **)set->rows.at, set->rows.len, by_listing);
	if (sorter_step(&set->sorter, 4000))
		return true;
	sorter_fini(&set->sorter);
	return false;
}
