/*
 * batonstat --workers: a column for each process, from one read for each
 * seat of each generation.
 */
#include "lib/base/json_out.h"
#include "tools/batonstat.h"

struct lane_column {
	char *title;
	struct stat_set *set;
};

static int
read_lane(const struct batonstat *o, const struct stat_generation *g, const struct stat_seat *s,
    struct lane_column *c, struct err *err)
{
	struct stat_query q = batonstat_query(o);
	struct strb title = {0};

	q.one_generation = true;
	q.generation = g->generation;
	q.one_seat = true;
	q.seat = s->seat;
	strb_printf(&title, "g%llu:", (unsigned long long)g->generation);
	show_seat(&title, s);
	c->title = strb_give(&title);
	for (char *p = c->title; *p; p++)
		if (*p == ' ')
			*p = '_';
	return batonstat_read(o, q, &c->set, err);
}

static int64_t
value_in(const struct stat_set *set, const struct stat_row *total)
{
	const struct stat_row *row = stat_set_find(set, total->name);

	if (row == NULL)
		return 0;
	if (row->kind == STAT_HISTOGRAM)
		return (int64_t)row->histogram->count;
	return row->kind == STAT_GAUGE ? row->gauge : (int64_t)row->counter;
}

static void
workers_json(const struct stat_set *set, const struct lane_column *col, size_t n, struct strb *out)
{
	struct json_out j;

	json_out_init(&j, out, true);
	json_object(&j);
	json_keyz(&j, "stats");
	json_array(&j);
	for (size_t i = 0; i < set->rows.len; i++) {
		const struct stat_row *row = set->rows.at[i];

		if (!row->used || row->kind == STAT_TEXT)
			continue;
		json_object(&j);
		json_keyz(&j, "name");
		json_string(&j, row->name);
		json_keyz(&j, "total");
		json_i64(&j, value_in(set, row));
		json_keyz(&j, "lanes");
		json_object(&j);
		for (size_t k = 0; k < n; k++) {
			json_keyz(&j, col[k].title);
			json_i64(&j, value_in(col[k].set, row));
		}
		json_end(&j);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	strb_addc(out, '\n');
}

/* Histograms show how many values they hold. */
static void
workers_table(const struct stat_set *set, const struct lane_column *col, size_t n, struct strb *out)
{
	struct table t = {.columns = 2 + n};

	table_addz(&t, "STAT");
	table_addz(&t, "TOTAL");
	for (size_t k = 0; k < n; k++)
		table_addz(&t, col[k].title);
	for (size_t i = 0; i < set->rows.len; i++) {
		const struct stat_row *row = set->rows.at[i];
		struct strb cell = {0};

		if (!row->used || row->kind == STAT_TEXT)
			continue;
		show_text(&cell, row->name);
		table_add(&t, &cell);
		table_num(&t, value_in(set, row));
		for (size_t k = 0; k < n; k++)
			table_num(&t, value_in(col[k].set, row));
	}
	table_print(&t, out);
}

#define MOST_COLUMNS (TABLE_COLUMNS - 2)

int
batonstat_workers(const struct batonstat *o, struct strb *out, struct err *err)
{
	struct lane_column col[MOST_COLUMNS] = {{0}};
	struct stat_set *set;
	size_t n = 0;
	int rc = 0;

	if (batonstat_read(o, batonstat_query(o), &set, err) < 0)
		return -1;
	for (size_t i = 0; i < set->generations.len; i++) {
		const struct stat_generation *g = &set->generations.at[i];

		for (size_t k = 0; k < g->seats.len && n < MOST_COLUMNS && rc == 0; k++)
			rc = read_lane(o, g, &g->seats.at[k], &col[n++], err);
	}
	if (rc == 0 && o->json)
		workers_json(set, col, n, out);
	else if (rc == 0)
		workers_table(set, col, n, out);
	for (size_t i = 0; i < n; i++) {
		stat_set_free(&col[i].set);
		mem_free(col[i].title);
	}
	stat_set_free(&set);
	return rc;
}
