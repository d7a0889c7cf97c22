/*
 * /stats, /stats/prometheus and /reset_counters: read in slices, then
 * printed in slices.
 */
#include "admin/admin.h"
#include "admin/flush.h"
#include "admin/reading.h"
#include "admin/stats_config.h"
#include "admin/web/endpoints.h"
#include "admin/web/html.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/regex.h"
#include "shm/print.h"

#define ROWS_A_STEP 100
#define SLICE_BYTES (128 * 1024)

struct stats_job {
	struct admin *a;
	struct reading reading;
	struct regex *filter; /* NULL: every name */
	bool nothing;         /* hidden=only: there is none */
	enum stat_format format;
	bool html;
	struct stat_print_options options;
	struct stat_printer *printer;
	struct strb lines; /* text on its way to become HTML */
};

static bool
is_wanted(void *ctx, struct str name)
{
	const struct stats_job *job = ctx;

	return !job->nothing && regex_match(job->filter, name);
}

static void
job_free(void *state)
{
	struct stats_job *job = state;

	stat_printer_free(&job->printer);
	reading_fini(&job->reading);
	regex_free(&job->filter);
	strb_fini(&job->lines);
	mem_free(job);
}

/* "name: value" lines as rows of a table. */
static void
add_table_rows(struct str text, struct strb *out)
{
	struct str line, name;

	while (str_cut(&text, '\n', &line)) {
		if (line.n == 0)
			continue;
		str_cut(&line, ':', &name);
		strb_addz(out, "<tr><td>");
		html_escape(out, name);
		strb_addz(out, "</td><td>");
		html_escape(out, str_trim(line));
		strb_addz(out, "</td></tr>\n");
	}
}

static bool
print_slice(struct stats_job *job, struct strb *out)
{
	uint64_t end = clock_mono_ns() + SLICE_NS;
	struct strb *to = job->html ? &job->lines : out;
	size_t until = to->n + SLICE_BYTES; /* what is there was not sent yet */
	bool more = true;

	while (more && to->n < until && clock_mono_ns() < end)
		more = stat_printer_step(job->printer, to, ROWS_A_STEP);
	if (!job->html)
		return more;
	add_table_rows(strb_str(&job->lines), out);
	strb_reset(&job->lines);
	if (!more) {
		strb_addz(out, "</table>\n");
		html_end(out);
	}
	return more;
}

static bool
job_more(void *state, struct strb *out)
{
	struct stats_job *job = state;

	if (job->printer)
		return print_slice(job, out);
	if (reading_step(&job->reading))
		return true;
	if (job->reading.set == NULL)
		return false; /* logged */
	flushes_shown(job->a->flushes, job->reading.set);
	job->printer = stat_printer_new(job->format, job->reading.set, &job->options);
	if (job->html) {
		html_begin(out, "stats");
		strb_addz(out, "<table>\n");
	}
	return true;
}

/* ---- parameters */

static int
bad(struct web_reply *r, const char *why)
{
	web_reply_text(r, 400, why);
	return -1;
}

static int
read_format(struct stats_job *job, const struct web_request *q, struct web_reply *r)
{
	struct str f = web_get(q, "format");

	if (f.n == 0 || str_eqz(f, "text"))
		return 0;
	if (str_eqz(f, "json")) {
		job->format = STAT_FORMAT_JSON;
		r->type = WEB_JSON;
	} else if (str_eqz(f, "prometheus")) {
		job->format = STAT_FORMAT_PROMETHEUS;
	} else if (str_eqz(f, "html") || str_eqz(f, "active-html")) {
		job->html = true;
		r->type = WEB_HTML;
	} else {
		return bad(r, "usage: /stats?format=(html|active-html|text|json|prometheus)\n\n");
	}
	return 0;
}

static int
read_type(struct stats_job *job, const struct web_request *q, struct web_reply *r)
{
	static const struct {
		const char *name;
		unsigned types;
	} rows[] = {{"All", STAT_TYPE_ALL}, {"Counters", STAT_TYPE_COUNTERS}, {"Gauges", STAT_TYPE_GAUGES},
	    {"Histograms", STAT_TYPE_HISTOGRAMS}, {"TextReadouts", STAT_TYPE_TEXTS}};
	struct str type = web_get(q, "type");

	if (type.n == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (str_eqz(type, rows[i].name)) {
			job->options.types = rows[i].types;
			return 0;
		}
	}
	return bad(r, "invalid /stats?type=; use one of All, Counters, Gauges, Histograms, TextReadouts\n");
}

static int
read_buckets(struct stats_job *job, const struct web_request *q, struct web_reply *r)
{
	struct str word = web_get(q, "histogram_buckets");

	if (str_eqz(web_get(q, "histogram_emit_mode"), "summary"))
		job->options.buckets = BUCKETS_SUMMARY;
	if (word.n == 0 || stat_buckets_parse(word, &job->options.buckets))
		return 0;
	return bad(
	    r, "usage: /stats?histogram_buckets=(none|cumulative|disjoint|detailed|summary)\n");
}

static int
read_filter(struct stats_job *job, const struct web_request *q, struct web_reply *r)
{
	struct str filter = web_get(q, "filter");
	struct str hidden = web_get(q, "hidden");

	job->nothing = str_eqz(hidden, "only") || str_eqz(hidden, "showonly");
	if (hidden.n && !job->nothing && !str_eqz(hidden, "include") && !str_eqz(hidden, "exclude"))
		return bad(r, "usage: /stats?hidden=(include|only|exclude)\n\n");
	if (filter.n == 0)
		return 0;
	job->filter = regex_new(filter, REGEX_SEARCH, NULL);
	return job->filter ? 0 : bad(r, "Invalid re2 regex");
}

static void
start(struct stats_job *job, struct web_reply *r)
{
	struct stat_query query = {
	    .match = job->nothing || job->filter ? is_wanted : NULL, .ctx = job};

	stats_config_print_options(&job->options);
	reading_start(&job->reading, job->a, &query);
	r->state = job;
	r->more = job_more;
	r->free_state = job_free;
}

static void
ask(struct admin *a, const struct web_request *q, struct web_reply *r, bool prometheus)
{
	struct stats_job *job = mem_new(struct stats_job);

	job->a = a;
	job->options.used_only = web_has(q, "usedonly");
	job->options.pretty = web_has(q, "pretty");
	job->options.texts = web_has(q, "text_readouts");
	if (prometheus)
		job->format = STAT_FORMAT_PROMETHEUS;
	if ((!prometheus && read_format(job, q, r) < 0) || read_type(job, q, r) < 0 ||
	    read_buckets(job, q, r) < 0 || read_filter(job, q, r) < 0) {
		r->type = WEB_TEXT;
		job_free(job);
		return;
	}
	start(job, r);
}

void
web_stats(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	ask(a, q, r, false);
}

void
web_stats_prometheus(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	ask(a, q, r, true);
}

/* ---- /reset_counters */

static bool
reset_more(void *state, struct strb *out)
{
	struct stats_job *job = state;

	if (reading_step(&job->reading))
		return true;
	if (job->reading.set)
		flushes_reset_counters(job->a->flushes, job->reading.set);
	strb_addz(out, "OK\n");
	return false;
}

void
web_reset_counters(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	struct stats_job *job = mem_new(struct stats_job);

	job->a = a;
	start(job, r);
	r->more = reset_more;
}
