#include "shm/sum.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "shm/hosts.h"
#include "shm/lane.h"

#define ROWS_A_STEP 4000u
#define MOST_ROWS (8u << 20) /* of a segment: one that claims more is damaged */
#define MOST_NAME 1024u	     /* of a row, without its prefix */

/* A row of the schema, made ready: each block's is this one under its prefix. */
struct shape {
	struct stat_row row;
	uint32_t number; /* in its scope */
	uint32_t off;
	bool own; /* of the serving generation only */
};

/* A row of codes is none of the set: its codes are. */
struct pattern {
	struct stat_row row;		/* of each of them; the name lacks the code */
	struct stat_row **centuries[6]; /* those that occurred, by code */
	uint32_t off;			/* in every lane */
};

/* A row that is shown once it was written is made then. */
struct late {
	const struct shape *shape;
	struct str prefix;
};

#define LATE (1u << 31)

/* A cell of every lane and the row of the set it counts for, or LATE and which of those. */
struct cell {
	uint32_t row, off;
};

struct summing {
	const struct image *img;
	struct stat_set *set;
	const struct stat_query *query;
	const struct stat_generation *generation; /* NULL: nobody of it lives */
	bool serving;
	bool resolved;
	uint64_t dir_off;
	size_t rows_before;   /* in the set */
	struct shape *shapes; /* those of each scope by name */
	VEC(struct cell) cells;
	VEC(struct late) lates;
	VEC(struct pattern *) patterns;
	struct strb name;
	/* the lane being added */
	uint32_t seat;
	bool loaded, gauges;
	struct image_lane lane;
	size_t at;
};

static int
by_name(const void *a, const void *b)
{
	return str_cmp(((const struct shape *)a)->row.name, ((const struct shape *)b)->row.name);
}

/* Rows of a block come by name, so that sorting all of them finds runs of what is sorted. */
static void
shape_scope(struct summing *s, const struct seg_scope *scope, struct str strings)
{
	struct shape *shapes = s->shapes + scope->first;

	for (uint32_t i = 0; i < scope->rows; i++) {
		struct seg_row r = image_row(s->img, scope, i);
		const char *name = image_string(s->img, r.name);

		shapes[i] = (struct shape){
		    .row = {.name = str_make(name, strnlen(name, MOST_NAME)),
			.help = strings.p + (r.help < strings.n ? r.help : strings.n),
			.kind = (uint8_t)r.kind,
			.unit = (uint8_t)r.unit,
			.lazy = r.flags & ROW_LAZY,
			.any = r.flags & ROW_ANY,
			.hidden = scope->flags & SCOPE_HIDDEN},
		    .number = i,
		    .off = r.off,
		    .own = r.flags & ROW_OWN || r.kind == STAT_TEXT,
		};
	}
	qsort(shapes, scope->rows, sizeof(*shapes), by_name);
}

struct summing *
summing_new(const struct image *img, struct stat_set *set, const struct stat_generation *g,
    const struct stat_query *q)
{
	struct summing *s = mem_new(struct summing);
	struct str strings = arena_str(&set->arena, img->strings); /* rows stay longer than img */

	s->img = img;
	s->set = set;
	s->rows_before = set->rows.len;
	s->generation = g;
	s->serving = g && g->serving;
	s->query = q;
	s->shapes = mem_array(struct shape, img->h.rows + 1ull);
	for (uint32_t i = 0; i < img->h.scopes; i++) {
		struct seg_scope scope = image_scope(img, i);

		if (!(scope.flags & SCOPE_HIDDEN) == !q->hosts)
			shape_scope(s, &scope, strings);
	}
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
	vec_fini(&s->lates);
	vec_fini(&s->patterns);
	strb_fini(&s->name);
	mem_free(s->shapes);
	mem_free(s);
}

/* ---- where each row counts */

static bool
wanted(struct summing *s, struct str prefix, struct str name)
{
	if (s->query->match == NULL)
		return true;
	strb_reset(&s->name);
	strb_adds(&s->name, prefix);
	strb_adds(&s->name, name);
	return s->query->match(s->query->ctx, strb_str(&s->name));
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

static void
add_pattern(struct summing *s, struct str prefix, const struct shape *shape, uint32_t off)
{
	struct pattern *p = arena_new(&s->set->arena, struct pattern);
	struct str suffix = shape->row.name;
	char *name = arena_alloc(&s->set->arena, prefix.n + suffix.n);

	memcpy(name, prefix.p, prefix.n);
	memcpy(name + prefix.n, suffix.p, suffix.n);
	p->row = shape->row;
	p->row.name = str_make(name, prefix.n + suffix.n);
	p->row.kind = STAT_COUNTER;
	p->row.lazy = p->row.used = true;
	p->off = off;
	*vec_push(&s->patterns) = p;
}

static void
resolve_row(struct summing *s, const struct image_block *b, const struct shape *shape)
{
	uint32_t off = b->lane_off + shape->off;

	if (shape->row.kind == STAT_CODES) {
		add_pattern(s, b->prefix, shape, off);
	} else if ((shape->own && !s->serving) || !wanted(s, b->prefix, shape->row.name)) {
		return;
	} else if (shape->row.kind == STAT_TEXT) {
		read_text(
		    s->set, stat_set_add(s->set, b->prefix, &shape->row), b->shared + shape->off);
	} else if (shape->row.lazy) {
		*vec_push(&s->cells) = (struct cell){LATE | (uint32_t)s->lates.len, off};
		*vec_push(&s->lates) = (struct late){shape, b->prefix};
	} else {
		*vec_push(&s->cells) = (struct cell){(uint32_t)s->set->rows.len, off};
		stat_set_add(s->set, b->prefix, &shape->row);
	}
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
	struct image_block b;
	uint32_t looked = 0;
	int rc = 1;

	while (looked++ < ROWS_A_STEP && (rc = image_next(s->img, &s->dir_off, &b, err)) > 0) {
		if (!b.live || !(b.scope.flags & SCOPE_HIDDEN) == s->query->hosts)
			continue;
		if (s->query->hosts)
			note_host(s, &b);
		for (uint32_t i = 0; i < b.scope.rows; i++) {
			const struct shape *shape = &s->shapes[b.scope.first + i];

			if (!(b.hidden[shape->number / 8] & 1u << shape->number % 8))
				resolve_row(s, &b, shape);
		}
		looked += b.scope.rows;
		if (s->set->rows.len - s->rows_before + s->lates.len + s->patterns.len > MOST_ROWS)
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

/* The row of this code, made when it first occurs; NULL when it is not wanted. */
static struct stat_row *
row_of_code(struct summing *s, struct pattern *p, unsigned century, unsigned i)
{
	struct stat_row like = p->row, **row;
	char digits[20];

	if (p->centuries[century] == NULL)
		p->centuries[century] =
		    arena_zalloc(&s->set->arena, CODES_CENTURY * sizeof(*p->centuries[century]));
	row = &p->centuries[century][i];
	like.name = str_make(digits, u64_write(digits, century * 100 + i));
	if (*row == NULL && wanted(s, p->row.name, like.name))
		*row = stat_set_add(s->set, p->row.name, &like);
	return *row;
}

static void
add_codes(struct summing *s, struct pattern *pattern)
{
	struct stat_codes codes;

	memcpy(&codes, s->lane.cells + pattern->off, sizeof(codes));
	for (unsigned c = 1; c < 6; c++) {
		const char *p = image_extension(s->img, &s->lane, codes.ext[c], CODES_CENTURY * 8);

		for (unsigned i = 0; p && i < CODES_CENTURY; i++) {
			uint64_t n = word_at(p + i * 8);
			struct stat_row *row = n ? row_of_code(s, pattern, c, i) : NULL;

			if (row)
				row->counter += n;
		}
	}
}

static void
add_value(struct summing *s, struct stat_row *row, uint64_t raw)
{
	if (row->kind == STAT_COUNTER) {
		row->counter += raw;
		row->used = true;
	} else if (row->kind == STAT_GAUGE) {
		add_gauge(s, row, raw);
	} else {
		add_histogram(s, row, raw);
	}
}

static struct stat_row *
row_of_cell(struct summing *s, struct cell *c)
{
	if (c->row & LATE) {
		const struct late *late = &s->lates.at[c->row & ~LATE];

		c->row = (uint32_t)s->set->rows.len;
		return stat_set_add(s->set, late->prefix, &late->shape->row);
	}
	return s->set->rows.at[c->row];
}

static bool
seat_lives(const struct summing *s)
{
	const struct stat_generation *g = s->generation;

	for (size_t i = 0; g && i < g->seats.len; i++)
		if (g->seats.at[i].seat == s->seat)
			return g->seats.at[i].alive;
	return false;
}

static bool
lane_wanted(const struct summing *s)
{
	return image_seat(s->img, s->seat).owners &&
	       (!s->query->one_seat || s->query->seat == s->seat);
}

static int
begin_lane(struct summing *s, struct err *err)
{
	if (!lane_wanted(s)) {
		s->seat++;
		return 1;
	}
	if (image_lane(s->img, s->seat, &s->lane, err) < 0)
		return -1;
	s->loaded = true;
	s->gauges = seat_lives(s);
	s->at = 0;
	return 1;
}

/* Cells, then codes. */
static void
add_some(struct summing *s)
{
	size_t cells = s->cells.len, all = cells + s->patterns.len, until = s->at + ROWS_A_STEP;

	for (; s->at < cells && s->at < until; s->at++) {
		struct cell *c = &s->cells.at[s->at];
		uint64_t raw = word_at(s->lane.cells + c->off);

		if (raw) /* most are 0: nothing of the row is touched */
			add_value(s, row_of_cell(s, c), raw);
	}
	for (; s->at >= cells && s->at < all && s->at < until; s->at++)
		add_codes(s, s->patterns.at[s->at - cells]);
	if (s->at == all) {
		image_lane_fini(&s->lane);
		s->loaded = false;
		s->seat++;
	}
}

int
summing_step(struct summing *s, struct err *err)
{
	int rc;

	if (!s->resolved) {
		rc = resolve(s, err);
		s->resolved = rc == 0;
		return rc < 0 ? -1 : 1;
	}
	if (s->seat == s->img->h.seats)
		return 0;
	if (!s->loaded)
		return begin_lane(s, err);
	add_some(s);
	return 1;
}
