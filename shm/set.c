#include "shm/set.h"

#define ROWS_A_STEP 4000u

struct stat_histograms {
	struct histogram all, interval;
	struct stat_histograms *next;
};

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
	for (struct stat_histograms *h = set->histograms; h; h = h->next) {
		histogram_fini(&h->all);
		histogram_fini(&h->interval);
	}
	for (size_t i = 0; i < set->generations.len; i++)
		vec_fini(&set->generations.at[i].seats);
	vec_fini(&set->rows);
	vec_fini(&set->generations);
	vec_fini(&set->hosts);
	vec_fini(&set->failures);
	sorter_fini(&set->sorter);
	arena_fini(&set->arena);
	mem_free(set);
}

static void
add_histograms(struct stat_set *set, struct stat_row *row)
{
	struct stat_histograms *h = arena_new(&set->arena, struct stat_histograms);

	h->next = set->histograms;
	set->histograms = h;
	row->histogram = &h->all;
	row->interval = &h->interval;
}

/* Row and name stand together: they are looked at together. */
struct stat_row *
stat_set_add(struct stat_set *set, struct str prefix, const struct stat_row *like)
{
	size_t n = prefix.n + like->name.n;
	struct stat_row *row = arena_alloc(&set->arena, sizeof(*row) + n);
	char *name = (char *)(row + 1);

	*row = *like;
	row->name = str_make(name, n);
	memcpy(name, prefix.p, prefix.n);
	memcpy(name + prefix.n, like->name.p, like->name.n);
	if (row->kind == STAT_HISTOGRAM)
		add_histograms(set, row);
	*vec_push(&set->rows) = row;
	return row;
}

/* ---- order */

static int
by_name(const void *a, const void *b)
{
	return str_cmp(((const struct stat_row *)a)->name, ((const struct stat_row *)b)->name);
}

static void
merge_gauge(struct stat_row *row, const struct stat_row *more)
{
	if (!more->any)
		row->gauge = (int64_t)((uint64_t)row->gauge + (uint64_t)more->gauge);
	else if (more->used && more->gauge > row->gauge)
		row->gauge = more->gauge;
}

static void
merge_row(struct stat_row *row, const struct stat_row *more)
{
	if (row->kind != more->kind)
		return;
	if (row->kind == STAT_COUNTER)
		row->counter += more->counter;
	else if (row->kind == STAT_GAUGE)
		merge_gauge(row, more);
	else if (row->kind == STAT_HISTOGRAM)
		histogram_merge(row->histogram, more->histogram);
	else if (more->used)
		row->text = more->text;
	row->help = more->help;
	row->unit = more->unit;
	row->used |= more->used;
	row->lazy = more->lazy;
	row->any = more->any;
	row->hidden = more->hidden;
}

/* Numbers, which are nearly all, move up among the rows; texts and, from its end, histograms wait
 * in the sorter's array. */
static void
put_by_rank(struct stat_set *set, struct stat_row *row)
{
	void **spare = set->sorter.spare;

	if (row->kind == STAT_TEXT)
		spare[set->ranked[RANK_TEXT]++] = row;
	else if (row->kind == STAT_HISTOGRAM)
		spare[set->sorter.n - ++set->ranked[RANK_HISTOGRAM]] = row;
	else
		set->rows.at[set->ranked[RANK_NUMBER]++] = row;
}

/* Rows of one name stand side by side. */
static bool
merge_some(struct stat_set *set)
{
	size_t n = set->rows.len, until = set->merged + ROWS_A_STEP;

	while (set->merged < n && set->merged < until) {
		struct stat_row *row = set->rows.at[set->merged++];

		for (; set->merged < n; set->merged++) {
			if (!str_eq(row->name, set->rows.at[set->merged]->name))
				break;
			merge_row(row, set->rows.at[set->merged]);
		}
		put_by_rank(set, row);
	}
	return set->merged < n;
}

static void
join_ranks(struct stat_set *set)
{
	size_t texts = set->ranked[RANK_TEXT], numbers = set->ranked[RANK_NUMBER];
	struct stat_row **spare = (struct stat_row **)set->sorter.spare, **to = set->rows.at;

	if (set->rows.len == 0)
		return;
	memmove(to + texts, to, numbers * sizeof(*to));
	memcpy(to, spare, texts * sizeof(*to));
	to += texts + numbers;
	for (size_t i = 0; i < set->ranked[RANK_HISTOGRAM]; i++)
		*to++ = spare[set->sorter.n - 1 - i];
	set->rows.len = (size_t)(to - set->rows.at);
}

bool
stat_set_sort_step(struct stat_set *set)
{
	if (set->sorter.spare == NULL)
		sorter_init(&set->sorter, (void **)set->rows.at, set->rows.len, by_name);
	if (sorter_step(&set->sorter, ROWS_A_STEP) || merge_some(set))
		return true;
	join_ranks(set);
	sorter_fini(&set->sorter);
	return false;
}

static struct stat_row *
find_among(struct stat_row *const *rows, size_t n, struct str name)
{
	while (n) {
		int order = str_cmp(rows[n / 2]->name, name);

		if (order == 0)
			return rows[n / 2];
		if (order < 0) {
			rows += n / 2 + 1;
			n -= n / 2 + 1;
		} else {
			n /= 2;
		}
	}
	return NULL;
}

struct stat_row *
stat_set_find(const struct stat_set *set, struct str name)
{
	struct stat_row *const *rows = set->rows.at;
	struct stat_row *row = NULL;

	for (int r = 0; r < STAT_RANKS && row == NULL; r++) {
		row = find_among(rows, set->ranked[r], name);
		rows += set->ranked[r];
	}
	return row;
}
