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
shard_of(uint64_t hash)
{
	return (unsigned)(hash >> 32) % SET_SHARDS;
}

struct stat_row *
stat_set_find(const struct stat_set *set, struct str name)
{
	uint64_t hash = hash_bytes(name.p, name.n);

	return map_get_hashed(&set->by_name[shard_of(hash)], hash, name);
}

struct stat_row *
stat_set_row(struct stat_set *set, struct str name, enum stat_kind kind)
{
	uint64_t hash = hash_bytes(name.p, name.n);
	struct map *shard = &set->by_name[shard_of(hash)];
	struct stat_row *row = map_get_hashed(shard, hash, name);

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
	map_put_hashed(shard, hash, row->name, row);
	*vec_push(&set->rows) = row;
	return row;
}

static int
rank(const struct stat_row *row)
{
	return row->kind == STAT_TEXT ? 0 : row->kind == STAT_HISTOGRAM ? 2 : 1;
}

static int
by_name(const void *a, const void *b)
{
	return str_cmp(((const struct stat_row *)a)->name, ((const struct stat_row *)b)->name);
}

/* Texts first, histograms last; rows of a block, which come in order, then stand in order. */
static void
part_by_rank(struct stat_set *set)
{
	struct stat_row **parted = mem_array(struct stat_row *, set->rows.len + 1);
	size_t n = 0;

	for (int r = 0; r < SET_RANKS; r++) {
		for (size_t i = 0; i < set->rows.len; i++)
			if (rank(set->rows.at[i]) == r)
				parted[n++] = set->rows.at[i];
		set->rank_end[r] = n;
	}
	if (n)
		memcpy(set->rows.at, parted, n * sizeof(*parted));
	mem_free(parted);
}

static void
sort_rank(struct stat_set *set, int r)
{
	size_t from = r ? set->rank_end[r - 1] : 0;

	sorter_init(&set->sorter, (void **)set->rows.at + from, set->rank_end[r] - from, by_name);
}

bool
stat_set_sort_step(struct stat_set *set)
{
	if (set->sorter.spare == NULL) {
		part_by_rank(set);
		set->rank = 0;
		sort_rank(set, 0);
	}
	while (!sorter_step(&set->sorter, 4000)) {
		sorter_fini(&set->sorter);
		if (++set->rank == SET_RANKS)
			return false;
		sort_rank(set, set->rank);
	}
	return true;
}
