#include "shm/print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/assert.h"
#include "shm/print_private.h"

static const double default_bounds[] = {0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000,
    10000, 30000, 60000, 300000, 600000, 1800000, 3600000};

bool
stat_buckets_parse(struct str word, enum stat_buckets *out)
{
	static const char *const words[] = {
	    [BUCKETS_NONE] = "none",
	    [BUCKETS_CUMULATIVE] = "cumulative",
	    [BUCKETS_DISJOINT] = "disjoint",
	    [BUCKETS_DETAILED] = "detailed",
	    [BUCKETS_SUMMARY] = "summary",
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eqz(word, words[i])) {
			*out = (enum stat_buckets)i;
			return true;
		}
	}
	return false;
}

struct bounds
print_bounds(const struct stat_print_options *opt, struct str name)
{
	for (size_t i = 0; i < opt->settings; i++)
		if (opt->setting[i].match(opt->setting[i].ctx, name))
			return (struct bounds){opt->setting[i].bound, opt->setting[i].bounds};
	return (struct bounds){default_bounds, ARRAY_LEN(default_bounds)};
}

bool
print_wanted(const struct stat_printer *p, const struct stat_row *row)
{
	static const unsigned types[STAT_KINDS] = {
	    [STAT_COUNTER] = STAT_TYPE_COUNTERS,
	    [STAT_GAUGE] = STAT_TYPE_GAUGES,
	    [STAT_HISTOGRAM] = STAT_TYPE_HISTOGRAMS,
	    [STAT_TEXT] = STAT_TYPE_TEXTS,
	};

	return (p->opt.types & types[row->kind]) && stat_row_shown(row, p->opt.used_only);
}

void
print_double(struct strb *out, double v)
{
	char text[40];

	if (isnan(v)) {
		strb_addz(out, "nan");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	strb_addz(out, text);
}

/* ---- text */

static void
print_quantiles(struct strb *out, const struct stat_row *row)
{
	double all[HISTOGRAM_QUANTILES], interval[HISTOGRAM_QUANTILES];

	histogram_compute(row->histogram, all);
	histogram_compute(row->interval, interval);
	for (int i = 0; i < HISTOGRAM_QUANTILES; i++) {
		strb_printf(out, "%sP%g(", i ? " " : "", histogram_quantiles[i] * 100);
		print_double(out, interval[i]);
		strb_addc(out, ',');
		print_double(out, all[i]);
		strb_addc(out, ')');
	}
}

static void
print_buckets(const struct stat_printer *p, struct strb *out, const struct stat_row *row)
{
	struct bounds b = print_bounds(&p->opt, row->name);
	uint64_t before[2] = {0, 0};

	for (size_t i = 0; i < b.n; i++) {
		uint64_t interval = histogram_below(row->interval, b.at[i]);
		uint64_t all = histogram_below(row->histogram, b.at[i]);

		strb_printf(out, "%sB%g(%llu,%llu)", i ? " " : "", b.at[i],
		    (unsigned long long)(interval - before[0]),
		    (unsigned long long)(all - before[1]));
		if (p->opt.buckets != BUCKETS_DISJOINT)
			continue;
		before[0] = interval;
		before[1] = all;
	}
}

static void
print_bins(struct strb *out, const struct histogram *h)
{
	for (uint32_t i = 0; i < h->len; i++)
		strb_printf(out, "%s%g,%g:%llu", i ? ", " : "", bin_lower(h->bin[i].id),
		    bin_width(h->bin[i].id), (unsigned long long)h->bin[i].count);
}

static void
print_histogram(const struct stat_printer *p, struct strb *out, const struct stat_row *row)
{
	if (!row->used) {
		strb_addz(out, ": No recorded values");
		return;
	}
	switch (p->opt.buckets) {
	case BUCKETS_NONE:
	case BUCKETS_SUMMARY:
		strb_addz(out, ": ");
		print_quantiles(out, row);
		break;
	case BUCKETS_CUMULATIVE:
	case BUCKETS_DISJOINT:
		strb_addz(out, ": ");
		print_buckets(p, out, row);
		break;
	case BUCKETS_DETAILED:
		strb_addz(out, ":\n  totals=");
		print_bins(out, row->histogram);
		strb_addz(out, "\n  intervals=");
		print_bins(out, row->interval);
		strb_addz(out, "\n  summary=");
		print_quantiles(out, row);
		break;
	}
}

/* Nearly every line is one of these: written in one piece. */
static void
print_number(struct strb *out, struct str name, uint64_t v, bool negative)
{
	char *p;

	strb_reserve(out, name.n + 24);
	p = out->p + out->n;
	memcpy(p, name.p, name.n);
	p += name.n;
	*p++ = ':';
	*p++ = ' ';
	if (negative)
		*p++ = '-';
	p += u64_write(p, v);
	*p++ = '\n';
	*p = '\0';
	out->n = (size_t)(p - out->p);
}

void
print_text_row(const struct stat_printer *p, struct strb *out, const struct stat_row *row)
{
	if (row->kind == STAT_COUNTER) {
		print_number(out, row->name, row->counter, false);
		return;
	}
	if (row->kind == STAT_GAUGE) {
		print_number(out, row->name,
		    row->gauge < 0 ? 0 - (uint64_t)row->gauge : (uint64_t)row->gauge,
		    row->gauge < 0);
		return;
	}
	strb_adds(out, row->name);
	if (row->kind == STAT_TEXT) {
		strb_addz(out, ": \"");
		strb_adds(out, row->text);
		strb_addc(out, '"');
	} else {
		print_histogram(p, out, row);
	}
	strb_addc(out, '\n');
}

/* ---- steps */

struct stat_printer *
stat_printer_new(
    enum stat_format format, const struct stat_set *set, const struct stat_print_options *options)
{
	struct stat_printer *p = mem_new(struct stat_printer);

	p->format = format;
	p->set = set;
	p->opt = *options;
	if (p->opt.types == 0)
		p->opt.types = STAT_TYPE_ALL;
	return p;
}

void
stat_printer_free(struct stat_printer **pp)
{
	struct stat_printer *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	prometheus_free(&p->prom);
	mem_free(p);
}

static bool
lines_step(struct stat_printer *p, struct strb *out, size_t rows)
{
	size_t until = p->at + rows < p->set->rows.len ? p->at + rows : p->set->rows.len;

	if (p->format == STAT_FORMAT_JSON)
		print_json_open(p, out);
	for (; p->at < until; p->at++) {
		const struct stat_row *row = p->set->rows.at[p->at];

		if (!print_wanted(p, row))
			continue;
		if (p->format == STAT_FORMAT_JSON)
			print_json_row(p, row);
		else
			print_text_row(p, out, row);
	}
	if (p->at < p->set->rows.len)
		return true;
	if (p->format == STAT_FORMAT_JSON)
		print_json_close(p);
	return false;
}

bool
stat_printer_step(struct stat_printer *p, struct strb *out, size_t rows)
{
	return p->format == STAT_FORMAT_PROMETHEUS ? prometheus_step(p, out, rows)
						   : lines_step(p, out, rows);
}

void
stat_print(struct strb *out, enum stat_format format, const struct stat_set *set,
    const struct stat_print_options *options)
{
	struct stat_printer *p = stat_printer_new(format, set, options);

	while (stat_printer_step(p, out, 4096))
		;
	stat_printer_free(&p);
}
