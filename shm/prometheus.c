/*
 * The exposition format.  All lines of one metric must stand together
 * under one TYPE, so names are cut into metric and labels first, sorted,
 * and only then written.
 */
#include <math.h>

#include "lib/base/arena.h"
#include "shm/print_private.h"

struct series {
	struct str metric; /* "envoy_cluster_upstream_rq" */
	struct str labels; /* "a=\"b\",c=\"d\"" */
	const struct stat_row *row;
};

struct prometheus {
	struct arena arena;
	VEC(struct series *) series;
	struct stat_tagged tagged;
	struct strb text;
	struct sorter sorter;
	size_t at;
};

void
prometheus_free(struct prometheus **pp)
{
	struct prometheus *prom = *pp;

	*pp = NULL;
	if (prom == NULL)
		return;
	vec_fini(&prom->series);
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
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], l = ch_lower(c);
		bool good = (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_';

		strb_addc(out, good ? c : '_');
	}
}

static void
add_escaped(struct strb *out, struct str s, bool quotes)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n')
			strb_addz(out, "\\n");
		else if (s.p[i] == '\\')
			strb_addz(out, "\\\\");
		else if (s.p[i] == '"' && quotes)
			strb_addz(out, "\\\"");
		else
			strb_addc(out, s.p[i]);
	}
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

static void
add_series(struct stat_printer *p, const struct stat_row *row)
{
	struct prometheus *prom = p->prom;
	struct series *s;

	if (!print_wanted(p, row) || (row->kind == STAT_TEXT && !p->opt.texts))
		return;
	stat_tags_extract(p->opt.tags, row->name, &prom->tagged);
	s = arena_new(&prom->arena, struct series);
	*vec_push(&prom->series) = s;
	s->row = row;
	strb_reset(&prom->text);
	strb_addz(&prom->text, "envoy_");
	add_name(&prom->text, strb_str(&prom->tagged.name));
	s->metric = arena_str(&prom->arena, strb_str(&prom->text));
	strb_reset(&prom->text);
	for (size_t i = 0; i < prom->tagged.tags; i++)
		add_label(&prom->text, prom->tagged.tag[i].name, prom->tagged.tag[i].value);
	if (row->kind == STAT_TEXT)
		add_label(&prom->text, STR("text_value"), row->text);
	s->labels = arena_str(&prom->arena, strb_str(&prom->text));
}

static int
order_of(const struct stat_row *row)
{
	switch (row->kind) {
	case STAT_COUNTER:
		return 0;
	case STAT_GAUGE:
		return 1;
	case STAT_TEXT:
		return 2;
	default:
		return 3;
	}
}

static int
by_metric(const void *a, const void *b)
{
	const struct series *x = a, *y = b;
	int c = order_of(x->row) - order_of(y->row);

	if (c == 0)
		c = str_cmp(x->metric, y->metric);
	return c ? c : str_cmp(x->row->name, y->row->name);
}

/* ---- lines */

static void
add_line(struct strb *out, const struct series *s, const char *suffix)
{
	strb_adds(out, s->metric);
	strb_addz(out, suffix);
	strb_addc(out, '{');
	strb_adds(out, s->labels);
	strb_addz(out, "} ");
}

static void
add_histogram_line(struct strb *out, const struct series *s, const char *suffix, const char *label,
    const char *format, double v)
{
	strb_adds(out, s->metric);
	strb_addz(out, suffix);
	strb_addc(out, '{');
	strb_adds(out, s->labels);
	strb_printf(out, "%s%s=\"", s->labels.n ? "," : "", label);
	if (isinf(v))
		strb_addz(out, "+Inf");
	else if (*format == 's')
		print_double(out, v);
	else
		strb_printf(out, "%.32g", v);
	strb_addz(out, "\"} ");
}

static void
add_buckets(struct stat_printer *p, struct strb *out, const struct series *s)
{
	struct bounds b = print_bounds(&p->opt, s->row->name);

	for (size_t i = 0; i < b.n; i++) {
		add_histogram_line(out, s, "_bucket", "le", "g", b.at[i]);
		strb_printf(
		    out, "%llu\n", (unsigned long long)histogram_below(s->row->histogram, b.at[i]));
	}
	add_histogram_line(out, s, "_bucket", "le", "g", INFINITY);
	strb_printf(out, "%llu\n", (unsigned long long)s->row->histogram->count);
}

static void
add_summary(struct strb *out, const struct series *s)
{
	double q[HISTOGRAM_QUANTILES];

	histogram_compute(s->row->histogram, q);
	for (int i = 0; i < HISTOGRAM_QUANTILES; i++) {
		add_histogram_line(out, s, "", "quantile", "s", histogram_quantiles[i]);
		if (isnan(q[i]))
			strb_addz(out, "NaN\n");
		else
			strb_printf(out, "%.32g\n", q[i]);
	}
}

static void
add_values(struct stat_printer *p, struct strb *out, const struct series *s)
{
	const struct stat_row *row = s->row;

	if (row->kind != STAT_HISTOGRAM) {
		add_line(out, s, "");
		if (row->kind == STAT_COUNTER)
			strb_addu(out, row->counter);
		else if (row->kind == STAT_GAUGE)
			strb_addi(out, row->gauge);
		else
			strb_addc(out, '0');
		strb_addc(out, '\n');
		return;
	}
	if (p->opt.buckets == BUCKETS_SUMMARY)
		add_summary(out, s);
	else
		add_buckets(p, out, s);
	add_line(out, s, "_sum");
	strb_printf(out, "%llu\n", (unsigned long long)row->histogram->sum);
	add_line(out, s, "_count");
	strb_printf(out, "%llu\n", (unsigned long long)row->histogram->count);
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
		strb_adds(out, s->metric);
		strb_addc(out, ' ');
		add_escaped(out, str_of(s->row->help), false);
		strb_addc(out, '\n');
	}
	strb_addz(out, "# TYPE ");
	strb_adds(out, s->metric);
	strb_printf(out, " %s\n", type);
}

static bool
same_group(const struct series *a, const struct series *b)
{
	return order_of(a->row) == order_of(b->row) && str_eq(a->metric, b->metric);
}

static bool
write_step(struct stat_printer *p, struct strb *out, size_t rows)
{
	struct prometheus *prom = p->prom;

	for (size_t n = 0; n < rows && prom->at < prom->series.len; n++, prom->at++) {
		struct series *const *at = &prom->series.at[prom->at], *s = *at;

		if (prom->at == 0 || !same_group(at[-1], s))
			add_head(p, out, s);
		add_values(p, out, s);
		if (prom->at + 1 == prom->series.len || !same_group(s, at[1]))
			strb_addc(out, '\n');
	}
	return prom->at < prom->series.len;
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
		sorter_init(&prom->sorter, (void **)prom->series.at, prom->series.len, by_metric);
	return sorter_step(&prom->sorter, 10 * rows) || write_step(p, out, rows);
}
