#include "shm/latch.h"

#include "lib/base/map.h"

struct entry {
	char *name;
	struct histogram last, interval;
	uint64_t reset_at; /* counter */
};

struct stat_latch {
	struct map by_name;
	bool was_reset; /* counters have entries, too */
};

struct stat_latch *
stat_latch_new(void)
{
	return mem_new(struct stat_latch);
}

void
stat_latch_free(struct stat_latch **lp)
{
	struct stat_latch *latch = *lp;
	struct map_slot *slot;
	size_t i = 0;

	*lp = NULL;
	if (latch == NULL)
		return;
	while ((slot = map_next(&latch->by_name, &i)) != NULL) {
		struct entry *e = slot->value;

		histogram_fini(&e->last);
		histogram_fini(&e->interval);
		mem_free(e->name);
		mem_free(e);
	}
	map_fini(&latch->by_name);
	mem_free(latch);
}

static struct entry *
entry_for(struct stat_latch *latch, struct str name)
{
	struct entry *e = map_get(&latch->by_name, name);

	if (e)
		return e;
	e = mem_new(struct entry);
	e->name = str_dupz(name);
	map_put(&latch->by_name, str_make(e->name, name.n), e);
	return e;
}

void
stat_latch_flush(struct stat_latch *latch, const struct stat_set *set)
{
	for (size_t i = 0; i < set->rows.len; i++) {
		const struct stat_row *row = set->rows.at[i];
		struct entry *e;

		if (row->kind != STAT_HISTOGRAM || !row->used)
			continue;
		e = entry_for(latch, row->name);
		histogram_fini(&e->interval);
		histogram_copy(&e->interval, row->histogram);
		histogram_subtract(&e->interval, &e->last);
		histogram_fini(&e->last);
		histogram_copy(&e->last, row->histogram);
	}
}

void
stat_latch_reset(struct stat_latch *latch, const struct stat_set *set)
{
	latch->was_reset = true;
	for (size_t i = 0; i < set->rows.len; i++)
		if (set->rows.at[i]->kind == STAT_COUNTER && set->rows.at[i]->used)
			entry_for(latch, set->rows.at[i]->name)->reset_at =
			    set->rows.at[i]->counter;
}

static const struct entry *
entry_of(const struct stat_latch *latch, const struct stat_row *row)
{
	bool may = row->kind == STAT_HISTOGRAM || (row->kind == STAT_COUNTER && latch->was_reset);

	return may ? map_get(&latch->by_name, row->name) : NULL;
}

void
stat_latch_apply(const struct stat_latch *latch, struct stat_set *set)
{
	for (size_t i = 0; i < set->rows.len; i++) {
		struct stat_row *row = set->rows.at[i];
		const struct entry *e = entry_of(latch, row);

		if (e == NULL)
			continue;
		if (row->kind == STAT_COUNTER) {
			row->counter -= e->reset_at < row->counter ? e->reset_at : row->counter;
			continue;
		}
		histogram_fini(row->interval);
		histogram_copy(row->interval, &e->interval);
	}
}
