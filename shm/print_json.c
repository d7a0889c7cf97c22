/*
 * /stats?format=json: an array of stats; all histograms are one element
 * of it, the last, whose shape follows ?histogram_buckets=.
 */
#include <math.h>

#include "shm/print_private.h"

void
print_json_open(struct stat_printer *p, struct strb *out)
{
	if (p->opened) {
		p->json.to = out;
		return;
	}
	p->opened = true;
	json_out_init(&p->json, out, p->opt.pretty);
	json_object(&p->json);
	json_keyz(&p->json, "stats");
	json_array(&p->json);
}

static void
number(struct json_out *j, double v)
{
	if (isnan(v))
		json_null(j);
	else
		json_double(j, v);
}

static void
supported_quantiles(struct json_out *j, const char *key)
{
	struct strb text = {0};

	json_keyz(j, key);
	json_array(j);
	for (int i = 0; i < HISTOGRAM_QUANTILES; i++) {
		strb_reset(&text);
		strb_printf(&text, "%g", histogram_quantiles[i] * 100);
		json_raw(j, strb_str(&text));
	}
	json_end(j);
	strb_fini(&text);
}

/* The element of all histograms, up to the array that has one entry each. */
static void
histograms_open(struct stat_printer *p)
{
	struct json_out *j = &p->json;

	p->histograms = true;
	json_object(j);
	json_keyz(j, "histograms");
	switch (p->opt.buckets) {
	case BUCKETS_CUMULATIVE:
	case BUCKETS_DISJOINT:
		break;
	case BUCKETS_DETAILED:
		json_object(j);
		supported_quantiles(j, "supported_percentiles");
		json_keyz(j, "details");
		break;
	case BUCKETS_NONE:
	case BUCKETS_SUMMARY:
		json_object(j);
		supported_quantiles(j, "supported_quantiles");
		json_keyz(j, "computed_quantiles");
		break;
	}
	json_array(j);
}

static void
quantiles(struct json_out *j, const char *key, const struct stat_row *row)
{
	double all[HISTOGRAM_QUANTILES], interval[HISTOGRAM_QUANTILES];

	histogram_compute(row->histogram, all);
	histogram_compute(row->interval, interval);
	json_keyz(j, key);
	json_array(j);
	for (int i = 0; i < HISTOGRAM_QUANTILES; i++) {
		json_object(j);
		json_keyz(j, "cumulative");
		number(j, all[i]);
		json_keyz(j, "interval");
		number(j, interval[i]);
		json_end(j);
	}
	json_end(j);
}

static void
buckets(struct stat_printer *p, const struct stat_row *row)
{
	struct bounds b = print_bounds(&p->opt, row->name);
	struct json_out *j = &p->json;
	uint64_t before[2] = {0, 0};

	json_keyz(j, "buckets");
	json_array(j);
	for (size_t i = 0; i < b.n; i++) {
		uint64_t interval = histogram_below(row->interval, b.at[i]);
		uint64_t all = histogram_below(row->histogram, b.at[i]);

		json_object(j);
		json_keyz(j, "upper_bound");
		number(j, b.at[i]);
		json_keyz(j, "interval");
		json_u64(j, interval - before[0]);
		json_keyz(j, "cumulative");
		json_u64(j, all - before[1]);
		json_end(j);
		if (p->opt.buckets == BUCKETS_DISJOINT) {
			before[0] = interval;
			before[1] = all;
		}
	}
	json_end(j);
}

static void
bins(struct json_out *j, const char *key, const struct histogram *h)
{
	json_keyz(j, key);
	json_array(j);
	for (uint32_t i = 0; i < h->len; i++) {
		json_object(j);
		json_keyz(j, "lower_bound");
		number(j, bin_lower(h->bin[i].id));
		json_keyz(j, "width");
		number(j, bin_width(h->bin[i].id));
		json_keyz(j, "count");
		json_u64(j, h->bin[i].count);
		json_end(j);
	}
	json_end(j);
}

static void
histogram(struct stat_printer *p, const struct stat_row *row)
{
	struct json_out *j = &p->json;

	if (!p->histograms)
		histograms_open(p);
	json_object(j);
	json_keyz(j, "name");
	json_string(j, row->name);
	switch (p->opt.buckets) {
	case BUCKETS_NONE:
	case BUCKETS_SUMMARY:
		quantiles(j, "values", row);
		break;
	case BUCKETS_CUMULATIVE:
	case BUCKETS_DISJOINT:
		buckets(p, row);
		break;
	case BUCKETS_DETAILED:
		bins(j, "totals", row->histogram);
		bins(j, "intervals", row->interval);
		quantiles(j, "percentiles", row);
		break;
	}
	json_end(j);
}

void
print_json_row(struct stat_printer *p, const struct stat_row *row)
{
	struct json_out *j = &p->json;

	if (row->kind == STAT_HISTOGRAM) {
		histogram(p, row);
		return;
	}
	json_object(j);
	json_keyz(j, "name");
	json_string(j, row->name);
	json_keyz(j, "value");
	if (row->kind == STAT_COUNTER)
		json_u64(j, row->counter);
	else if (row->kind == STAT_GAUGE)
		json_i64(j, row->gauge);
	else
		json_string(j, row->text);
	json_end(j);
}

void
print_json_close(struct stat_printer *p)
{
	while (p->json.depth)
		json_end(&p->json);
}
