#include "shm/sum.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "shm/hosts.h"
#include "shm/lane.h"

#define CELLS_A_STEP 4000u
#define MOST_ROWS (8u << 20) /* in one set: a segment that claims more is damaged */

/* A cell of every lane and the row it counts for; of codes: the row is a pattern outside the set.
 */
struct cell {
	struct stat_row *row;
	uint32_t off;
	uint8_t kind;
};

struct summing {
	const struct image *img;
	struct stat_set *set;
	const struct stat_query *query;
	bool serving;
	bool resolved;
	uint64_t dir_off;
	const char **helps; /* by row of the schema; in the set's arena */
	uint32_t *order;    /* rows of the schema, those of each scope by name */
	VEC(struct cell) cells;
	struct strb name;
	/* the lane being added */
	uint32_t seat;
	bool loaded, gauges;
	struct image_lane lane;
	size_t at;
};

static int
by_name(const void *a, const void *b, void *arg)
{
	const struct summing *s = arg;
	const struct seg_scope all = {0};
	struct seg_row x = image_row(s->img, &all, *(const uint32_t *)a);
	struct seg_row y = image_row(s->img, &all, *(const uint32_t *)b);

	return strcmp(image_string(s->img, x.name), image_string(s->img, y.name));
}

/* Rows of a block come by name, so that sorting all of them finds runs of what is sorted. */
static void
order_rows(struct summing *s)
{
	for (uint32_t i = 0; i < s->img->h.rows; i++)
		s->order[i] = i;
	for (uint32_t i = 0; i < s->img->h.scopes; i++) {
		struct seg_scope scope = image_scope(s->img, i);

		qsort_r(s->order + scope.first, scope.rows, sizeof(*s->order), by_name, s);
	}
}

struct summing *
summing_new(const struct image *img, struct stat_set *set, bool serving, const struct stat_query *q)
{
	struct summing *s = mem_new(struct summing);

	s->img = img;
	s->set = set;
	s->serving = serving;
	s->query = q;
	s->helps = mem_array(const char *, img->h.rows + 1ull);
	s->order = mem_array(uint32_t, img->h.rows + 1ull);
	order_rows(s);
	return s;
}

void
summing_free(struct summing **sp)
{
	struct summing *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	if (s->loaded)
		image_lane_fini(&s->lane);
	vec_fini(&s->cells);
	strb_fini(&s->name);
	mem_free(s->helps);
	mem_free(s->order);
	mem_free(s);
}

/* ---- where each row counts */

static bool
wanted(const struct summing *s, struct str name)
{
	return s->query->match == NULL || s->query->match(s->query->ctx, name);
}

static void
describe(struct summing *s, struct stat_row *row, const struct seg_row *r, uint32_t number)
{
	const char *help = image_string(s->img, r->help);

	if (s->helps[number] == NULL)
		s->helps[number] = arena_dup(&s->set->arena, help, strlen(help));
	row->help = s->helps[number];
	row->unit = (enum stat_unit)r->unit;
	row->lazy = r->flags & ROW_LAZY;
	row->any = r->flags & ROW_ANY;
}

static void
read_text(struct stat_set *set, struct stat_row *row, const char *shared)
{
	struct stat_text t;

	memcpy(&t, shared, sizeof(t));
	if (t.seq == 0 || t.seq % 2)
		return;
	row->used = true;
	row->text = arena_str(
	    &set->arena, str_make(t.bytes, t.len < STAT_TEXT_MAX ? t.len : STAT_TEXT_MAX));
}

static struct stat_row *
pattern_row(struct stat_set *set, struct str name)
{
	struct stat_row *row = arena_new(&set->arena, struct stat_row);

	row->name = arena_str(&set->arena, name);
	row->kind = STAT_CODES;
	return row;
}

/* The row in the set, or NULL when it is of no interest. */
static struct stat_row *
place_row(struct summing *s, const struct image_block *b, const struct seg_row *r)
{
	struct str name = strb_str(&s->name);
	struct stat_row *row;

	if (r->kind == STAT_CODES)
		return pattern_row(s->set, name);
	if (!wanted(s, name) || ((r->flags & ROW_OWN || r->kind == STAT_TEXT) && !s->serving))
		return NULL;
	row = stat_set_row(s->set, name, (enum stat_kind)r->kind);
	return row->kind == (enum stat_kind)r->kind ? row : NULL;
}

static void
resolve_row(struct summing *s, const struct image_block *b, uint32_t i)
{
	struct seg_row r = image_row(s->img, &b->scope, i);
	struct stat_row *row;
	struct cell *cell;

	strb_reset(&s->name);
	strb_adds(&s->name, b->prefix);
	strb_addz(&s->name, image_string(s->img, r.name));
	row = place_row(s, b, &r);
	if (row == NULL)
		return;
	describe(s, row, &r, b->scope.first + i);
	row->hidden = b->scope.flags & SCOPE_HIDDEN;
	if (r.kind == STAT_TEXT) {
		read_text(s->set, row, b->shared + r.off);
		return;
	}
	cell = vec_push(&s->cells);
	cell->row = row;
	cell->off = b->lane_off + r.off;
	cell->kind = (uint8_t)r.kind;
}

/* "<cluster>|<address>|": neither part can hold the last two bars' meaning, so cut from behind. */
static void
note_host(struct summing *s, const struct image_block *b)
{
	struct str p = b->prefix;
	const char *bar;
	struct stat_host *h;

	if (p.n < 2 || p.p[p.n - 1] != '|' || b->scope.shared_bytes < sizeof(struct host_cell) ||
	    !s->serving)
		return;
	bar = memrchr(p.p, '|', p.n - 1);
	if (bar == NULL)
		return;
	h = vec_push(&s->set->hosts);
	h->prefix = arena_str(&s->set->arena, p);
	h->cluster = str_make(h->prefix.p, (size_t)(bar - p.p));
	h->address = str_make(h->prefix.p + h->cluster.n + 1, p.n - h->cluster.n - 2);
	memcpy(&h->flags, b->shared, sizeof(h->flags));
}

/* Some blocks; 0 when the directory is through. */
static int
resolve(struct summing *s, struct err *err)
{
	size_t until = s->cells.len + CELLS_A_STEP;
	struct image_block b;
	int rc = 1;

	while (s->cells.len < until && (rc = image_next(s->img, &s->dir_off, &b, err)) > 0) {
		if (!b.live || !(b.scope.flags & SCOPE_HIDDEN) == s->query->hosts)
			continue;
		if (s->query->hosts)
			note_host(s, &b);
		for (uint32_t k = 0; k < b.scope.rows; k++) {
			uint32_t i = s->order[b.scope.first + k] - b.scope.first;

			if (i >= b.scope.rows) /* scopes overlap: the schema is damaged */
				continue;
			if (!(b.hidden[i / 8] & 1u << i % 8))
				resolve_row(s, &b, i);
		}
		if (s->cells.len > MOST_ROWS)
			return err_set(err, "the segment claims too many stats");
	}
	return rc;
}

/* ---- adding a lane */

static uint64_t
word_at(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void
add_gauge(struct summing *s, struct stat_row *row, uint64_t raw)
{
	int64_t v = stat_gauge_value(raw);

	if (!s->gauges || !(raw & STAT_GAUGE_USED))
		return;
	row->used = true;
	if (!row->any)
		row->gauge = (int64_t)((uint64_t)row->gauge + (uint64_t)v);
	else if (v > row->gauge)
		row->gauge = v;
}

static void
add_chunk(struct summing *s, struct histogram *h, unsigned digits, uint64_t place)
{
	const char *chunk = image_extension(s->img, &s->lane, place, HIST_CHUNK * 8);

	for (unsigned i = 0; chunk && i < HIST_CHUNK; i++)
		histogram_add(h, bin_of_chunk(digits, i), word_at(chunk + i * 8));
}

static void
add_histogram(struct summing *s, struct stat_row *row, uint64_t place)
{
	const char *p = image_extension(s->img, &s->lane, place, sizeof(struct seg_histogram));
	struct seg_histogram ext;

	if (p == NULL)
		return;
	memcpy(&ext, p, sizeof(ext));
	row->histogram->sum += ext.sum;
	for (unsigned v = 0; v < 10; v++)
		histogram_add(row->histogram, bin_small(v), ext.small[v]);
	for (unsigned d = 1; d < HIST_DIGITS; d++)
		add_chunk(s, row->histogram, d, ext.chunk[d]);
	row->used = row->histogram->count > 0;
}

static void
add_code(struct summing *s, const struct stat_row *pattern, unsigned code, uint64_t n)
{
	struct stat_row *row;

	strb_reset(&s->name);
	strb_adds(&s->name, pattern->name);
	strb_addu(&s->name, code);
	if (!wanted(s, strb_str(&s->name)))
		return;
	row = stat_set_row(s->set, strb_str(&s->name), STAT_COUNTER);
	if (row->kind != STAT_COUNTER)
		return;
	row->help = pattern->help;
	row->unit = pattern->unit;
	row->hidden = pattern->hidden;
	row->lazy = true;
	row->used = true;
	row->counter += n;
}

static void
add_codes(struct summing *s, const struct stat_row *pattern, const char *cell)
{
	struct stat_codes codes;

	memcpy(&codes, cell, sizeof(codes));
	for (unsigned c = 1; c < 6; c++) {
		const char *p = image_extension(s->img, &s->lane, codes.ext[c], CODES_CENTURY * 8);

		for (unsigned i = 0; p && i < CODES_CENTURY; i++)
			if (word_at(p + i * 8))
				add_code(s, pattern, c * 100 + i, word_at(p + i * 8));
	}
}

static void
add_cell(struct summing *s, const struct cell *c)
{
	const char *p = s->lane.cells + c->off;

	switch ((enum stat_kind)c->kind) {
	case STAT_COUNTER:
		c->row->counter += word_at(p);
		c->row->used |= word_at(p) != 0;
		break;
	case STAT_GAUGE:
		add_gauge(s, c->row, word_at(p));
		break;
	case STAT_HISTOGRAM:
		add_histogram(s, c->row, word_at(p));
		break;
	case STAT_CODES:
		add_codes(s, c->row, p);
		break;
	case STAT_TEXT:
	case STAT_KINDS:
		break;
	}
}

static bool
lane_wanted(struct summing *s)
{
	struct seg_seat seat = image_seat(s->img, s->seat);

	if (seat.owners == 0 || (s->query->one_seat && s->query->seat != s->seat))
		return false;
	s->gauges = image_seat_alive(s->img, &seat);
	return true;
}

static int
add_lane(struct summing *s, struct err *err)
{
	size_t until = s->at + CELLS_A_STEP;

	if (!s->loaded) {
		if (!lane_wanted(s)) {
			s->seat++;
			return 1;
		}
		if (image_lane(s->img, s->seat, &s->lane, err) < 0)
			return -1;
		s->loaded = true;
		s->at = 0;
		return 1;
	}
	for (; s->at < s->cells.len && s->at < until; s->at++)
		add_cell(s, &s->cells.at[s->at]);
	if (s->at == s->cells.len) {
		image_lane_fini(&s->lane);
		s->loaded = false;
		s->seat++;
	}
	return 1;
}

int
summing_step(struct summing *s, struct err *err)
{
	if (!s->resolved) {
		int rc = resolve(s, err);

		s->resolved = rc == 0;
		return rc < 0 ? -1 : 1;
	}
	return s->seat < s->img->h.seats ? add_lane(s, err) : 0;
}
