/*
 * The exposition format.  All lines of one metric must stand together
 * under one TYPE, so names are cut into metric and labels first and put to
 * their metric; metrics are sorted, and only then written.
 */
#include <math.h>

#include "lib/base/arena.h"
#include "lib/base/map.h"
#include "shm/print_private.h"

/* Kinds in the order in which they are shown. */
enum order {
	COUNTERS,
	GAUGES,
	TEXTS,
	HISTOGRAMS,
	ORDERS,
};

struct series {
	const struct metric *metric;
	struct str labels; /* "a=\"b\",c=\"d\"" */
	const struct stat_row *row;
	struct series *next; /* in the order of the names, which is that of the rows of a kind */
};

struct metric {
	struct str name; /* "envoy_cluster_upstream_rq" */
	enum order order;
	struct series *first, **end;
};

struct prometheus {
	struct arena arena;
	struct map by_name[ORDERS];
	VEC(struct metric *) metrics;
	struct stat_tagged tagged;
	struct stat_tag last[STAT_TAGS_MAX]; /* those of which `labels` was made */
	size_t lasts;
	struct str labels;
	struct strb text;
	struct sorter sorter;
	size_t at;
	const struct series *next; /* of metric `at`; NULL: its head is to be written */
};

void
prometheus_free(struct prometheus **pp)
{
	struct prometheus *prom = *pp;

	*pp = NULL;
	if (prom == NULL)
		return;
	for (int o = 0; o < ORDERS; o++)
		map_fini(&prom->by_name[o]);
	vec_fini(&prom->metrics);
	sorter_fini(&prom->sorter);
	strb_fini(&prom->tagged.name);
	strb_fini(&prom->text);
	arena_fini(&prom->arena);
	mem_free(prom);
}

/* ---- names and labels */

static void
add_name(struct strb *out, struct str s)
{
	char *to;

	strb_reserve(out, s.n);
	to = out->p + out->n;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], l = ch_lower(c);
		bool good = (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_';

		to[i] = good ? c : '_';
	}
	to[s.n] = '\0';
	out->n += s.n;
}

static void
add_escaped(struct strb *out, struct str s, bool quotes)
{
	size_t from = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c != '\n' && c != '\\' && (c != '"' || !quotes))
			continue;
		strb_add(out, s.p + from, i - from);
		strb_addc(out, '\\');
		strb_addc(out, c == '\n' ? 'n' : c);
		from = i + 1;
	}
	strb_add(out, s.p + from, s.n - from);
}

static void
add_label(struct strb *out, struct str name, struct str value)
{
	if (out->n)
		strb_addc(out, ',');
	add_name(out, name);
	strb_addz(out, "=\"");
	add_escaped(out, value, true);
	strb_addc(out, '"');
}

static enum order
order_of(const struct stat_row *row)
{
	switch (row->kind) {
	case STAT_COUNTER:
		return COUNTERS;
	case STAT_GAUGE:
		return GAUGES;
	case STAT_TEXT:
		return TEXTS;
	default:
		return HISTOGRAMS;
	}
}

static struct metric *
metric_of(struct prometheus *prom, enum order order, struct str name)
{
	struct metric *m = map_get(&prom->by_name[order], name);

	if (m)
		return m;
	m = arena_new(&prom->arena, struct metric);
	m->name = arena_str(&prom->arena, name);
	m->order = order;
	m->end = &m->first;
	map_put(&prom->by_name[order], m->name, m);
	*vec_push(&prom->metrics) = m;
	return m;
}

/* The numbers of a block stand together and mostly have the same tags. */
static bool
as_the_last(const struct prometheus *prom)
{
	const struct stat_tagged *t = &prom->tagged;
	bool same = t->tags == prom->lasts;

	for (size_t i = 0; same && i < t->tags; i++)
		same = str_eq(t->tag[i].name, prom->last[i].name) &&
		       str_eq(t->tag[i].value, prom->last[i].value);
	return same;
}

static struct str
labels_of(struct prometheus *prom, const struct stat_row *row)
{
	const struct stat_tagged *t = &prom->tagged;

	if (row->kind != STAT_TEXT && as_the_last(prom))
		return prom->labels;
	strb_reset(&prom->text);
	for (size_t i = 0; i < t->tags; i++)
		add_label(&prom->text, t->tag[i].name, t->tag[i].value);
	if (row->kind == STAT_TEXT) {
		add_label(&prom->text, STR("text_value"), row->text);
		return arena_str(&prom->arena, strb_str(&prom->text));
	}
	prom->lasts = t->tags;
	memcpy(prom->last, t->tag, t->tags * sizeof(t->tag[0]));
	return prom->labels = arena_str(&prom->arena, strb_str(&prom->text));
}

static void
add_series(struct stat_printer *p, const struct stat_row *row)
{
	struct prometheus *prom = p->prom;
	struct metric *m;
	struct series *s;

	if (!print_wanted(p, row) || (row->kind == STAT_TEXT && !p->opt.texts))
		return;
	stat_tags_extract(p->opt.tags, row->name, &prom->tagged);
	strb_reset(&prom->text);
	strb_addz(&prom->text, "envoy_");
	add_name(&prom->text, strb_str(&prom->tagged.name));
	m = metric_of(prom, order_of(row), strb_str(&prom->text));
	s = arena_new(&prom->arena, struct series);
	s->metric = m;
	s->labels = labels_of(prom, row);
	s->row = row;
	*m->end = s;
	m->end = &s->next;
}

static int
by_metric(const void *a, const void *b)
{
	const struct metric *x = a, *y = b;

	return x->order != y->order ? (int)x->order - (int)y->order : str_cmp(x->name, y->name);
}

/* ---- lines */

static void
begin_line(struct strb *out, const struct series *s, const char *suffix)
{
	strb_adds(out, s->metric->name);
	strb_addz(out, suffix);
	strb_addc(out, '{');
	strb_adds(out, s->labels);
}

static void
add_line(struct strb *out, const struct series *s, const char *suffix, uint64_t value)
{
	begin_line(out, s, suffix);
	strb_addz(out, "} ");
	strb_addu(out, value);
	strb_addc(out, '\n');
}

/* "%.32g" of what nearly always is a whole number. */
static void
add_bound(struct strb *out, double v)
{
	if (isinf(v))
		strb_addz(out, "+Inf");
	else if (v >= 1 && v < 1e18 && v == (double)(uint64_t)v)
		strb_addu(out, (uint64_t)v);
	else
		strb_printf(out, "%.32g", v);
}

static void
add_bucket(struct strb *out, const struct series *s, double bound, uint64_t count)
{
	begin_line(out, s, "_bucket");
	strb_addz(out, s->labels.n ? ",le=\"" : "le=\"");
	add_bound(out, bound);
	strb_addz(out, "\"} ");
	strb_addu(out, count);
	strb_addc(out, '\n');
}

static void
add_buckets(struct stat_printer *p, struct strb *out, const struct series *s)
{
	const struct histogram *h = s->row->histogram;
	struct bounds b = print_bounds(&p->opt, s->row->name);

	for (size_t i = 0; i < b.n; i++)
		add_bucket(out, s, b.at[i], histogram_below(h, b.at[i]));
	add_bucket(out, s, INFINITY, h->count);
}

static void
add_summary(struct strb *out, const struct series *s)
{
	double q[HISTOGRAM_QUANTILES];

	histogram_compute(s->row->histogram, q);
	for (int i = 0; i < HISTOGRAM_QUANTILES; i++) {
		begin_line(out, s, "");
		strb_addz(out, s->labels.n ? ",quantile=\"" : "quantile=\"");
		print_double(out, histogram_quantiles[i]);
		if (isnan(q[i]))
			strb_addz(out, "\"} NaN\n");
		else
			strb_printf(out, "\"} %.32g\n", q[i]);
	}
}

static void
add_histogram(struct stat_printer *p, struct strb *out, const struct series *s)
{
	if (p->opt.buckets == BUCKETS_SUMMARY)
		add_summary(out, s);
	else
		add_buckets(p, out, s);
	add_line(out, s, "_sum", s->row->histogram->sum);
	add_line(out, s, "_count", s->row->histogram->count);
}

static void
add_values(struct stat_printer *p, struct strb *out, const struct series *s)
{
	const struct stat_row *row = s->row;

	switch (s->metric->order) {
	case COUNTERS:
		add_line(out, s, "", row->counter);
		break;
	case GAUGES:
		begin_line(out, s, "");
		strb_addz(out, "} ");
		strb_addi(out, row->gauge);
		strb_addc(out, '\n');
		break;
	case TEXTS:
		add_line(out, s, "", 0);
		break;
	default:
		add_histogram(p, out, s);
		break;
	}
}

static void
add_head(struct stat_printer *p, struct strb *out, const struct series *s)
{
	const char *type = "gauge";

	if (s->row->kind == STAT_COUNTER)
		type = "counter";
	else if (s->row->kind == STAT_HISTOGRAM)
		type = p->opt.buckets == BUCKETS_SUMMARY ? "summary" : "histogram";
	if (s->row->help[0]) {
		strb_addz(out, "# HELP ");
		strb_adds(out, s->metric->name);
		strb_addc(out, ' ');
		add_escaped(out, str_of(s->row->help), false);
		strb_addc(out, '\n');
	}
	strb_addz(out, "# TYPE ");
	strb_adds(out, s->metric->name);
	strb_addc(out, ' ');
	strb_addz(out, type);
	strb_addc(out, '\n');
}

static bool
write_step(struct stat_printer *p, struct strb *out, size_t rows)
{
	struct prometheus *prom = p->prom;

	for (size_t n = 0; n < rows && prom->at < prom->metrics.len; n++) {
		if (prom->next == NULL) {
			prom->next = prom->metrics.at[prom->at]->first;
			add_head(p, out, prom->next);
		}
		add_values(p, out, prom->next);
		prom->next = prom->next->next;
		if (prom->next == NULL) {
			strb_addc(out, '\n');
			prom->at++;
		}
	}
	return prom->at < prom->metrics.len;
}

bool
prometheus_step(struct stat_printer *p, struct strb *out, size_t rows)
{
	struct prometheus *prom = p->prom;
	size_t until = p->at + rows < p->set->rows.len ? p->at + rows : p->set->rows.len;

	if (prom == NULL) {
		prom = p->prom = mem_new(struct prometheus);
		arena_init(&prom->arena);
	}
	if (p->at < p->set->rows.len) {
		for (; p->at < until; p->at++)
			add_series(p, p->set->rows.at[p->at]);
		return true;
	}
	if (prom->sorter.at == NULL)
		sorter_init(&prom->sorter, (void **)prom->metrics.at, prom->metrics.len, by_metric);
	return sorter_step(&prom->sorter, 10 * rows) || write_step(p, out, rows);
}
