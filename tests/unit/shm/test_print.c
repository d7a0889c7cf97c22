/*
 * What /stats looks like, byte for byte.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "shm/block.h"
#include "shm/lane.h"
#include "shm/latch.h"
#include "shm/print.h"
#include "shm/read.h"

static struct segment *seg;

static int
set_up(void **state)
{
	seg = lane_private();
	return 0;
}

static bool
of_interest(void *ctx, struct str name)
{
	const char *const *part = ctx;

	for (; *part; part++)
		if (str_contains(name, str_of(*part)))
			return true;
	return false;
}

static struct stat_set *
read_some(const char *const *parts)
{
	struct stat_query q = {.match = of_interest, .ctx = (void *)parts};
	struct stat_set *set;
	struct err err;

	if (stat_read_fd(&set, seg->fd, &q, &err) < 0)
		fail_msg("%s", err.text);
	return set;
}

static void
assert_printed(const struct stat_set *set, enum stat_format format,
    const struct stat_print_options *opt, const char *want)
{
	struct stat_printer *p = stat_printer_new(format, set, opt);
	struct strb out = {0}, slices = {0};

	stat_print(&out, format, set, opt);
	assert_string_equal(strb_z(&out), want);
	while (stat_printer_step(p, &slices, 1))
		;
	assert_string_equal(strb_z(&slices), want);
	stat_printer_free(&p);
	strb_fini(&out);
	strb_fini(&slices);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
text_lists_texts_then_numbers_then_histograms(void **state)
{
	struct stat_print_options opt = {0};
	struct stat_set *set;

	stat_text_set(
	    &((struct baton_texts *)block_shared(SCOPE_baton, STR("baton.")))->version_text,
	    STR("1.2"));
	stat_inc(&http_stats_of("http.in.")->downstream_rq_total);
	stat_set(&http_stats_of("http.in.")->downstream_rq_active, 2);
	stat_record(&http_stats_of("http.in.")->downstream_rq_time, 1);
	set = read_some(LIST("in.downstream_rq_t", "rq_active", "baton.version", "length_ms",
	    "in.downstream_rq_1xx"));
	assert_printed(set, STAT_FORMAT_TEXT, &opt,
	    "baton.version_text: \"1.2\"\n"
	    "http.in.downstream_rq_1xx: 0\n"
	    "http.in.downstream_rq_active: 2\n"
	    "http.in.downstream_rq_timeout: 0\n"
	    "http.in.downstream_rq_too_large: 0\n"
	    "http.in.downstream_rq_too_many_premature_resets: 0\n"
	    "http.in.downstream_rq_total: 1\n"
	    "http.in.downstream_rq_tx_reset: 0\n"
	    "http.in.downstream_cx_length_ms: No recorded values\n"
	    "http.in.downstream_rq_time: P0(nan,1) P25(nan,1.025) P50(nan,1.05) P75(nan,1.075) "
	    "P90(nan,1.09) P95(nan,1.095) P99(nan,1.099) P99.5(nan,1.0995) P99.9(nan,1.0999) "
	    "P100(nan,1.1)\n");
	opt.used_only = true;
	opt.types = STAT_TYPE_COUNTERS | STAT_TYPE_GAUGES;
	assert_printed(set, STAT_FORMAT_TEXT, &opt,
	    "http.in.downstream_rq_active: 2\n"
	    "http.in.downstream_rq_total: 1\n");
	stat_set_free(&set);
}

static struct stat_set *
three_values(void)
{
	struct stat_latch *latch = stat_latch_new();
	struct stat_set *set;

	stat_record(&http_stats_of("http.in.")->downstream_rq_time, 3);
	set = read_some(LIST("downstream_rq_time"));
	stat_latch_flush(latch, set);
	stat_set_free(&set);
	stat_record(&http_stats_of("http.in.")->downstream_rq_time, 200);
	stat_record(&http_stats_of("http.in.")->downstream_rq_time, 300);
	set = read_some(LIST("in.downstream_rq_time"));
	stat_latch_flush(latch, set);
	stat_latch_apply(latch, set);
	stat_latch_free(&latch);
	for (size_t i = 0; i < set->rows.len; i++)
		if (set->rows.at[i]->kind != STAT_HISTOGRAM)
			set->rows.at[i]->lazy = true, set->rows.at[i]->used = false;
	return set;
}

static void
text_shows_buckets_as_asked(void **state)
{
	struct stat_print_options opt = {.buckets = BUCKETS_CUMULATIVE};
	struct stat_set *set = three_values();

	assert_printed(set, STAT_FORMAT_TEXT, &opt,
	    "http.in.downstream_rq_time: B0.5(0,0) B1(0,0) B5(0,1) B10(0,1) B25(0,1) B50(0,1) "
	    "B100(0,1) B250(1,2) B500(2,3) B1000(2,3) B2500(2,3) B5000(2,3) B10000(2,3) "
	    "B30000(2,3) B60000(2,3) B300000(2,3) B600000(2,3) B1.8e+06(2,3) B3.6e+06(2,3)\n");
	opt.buckets = BUCKETS_DISJOINT;
	assert_printed(set, STAT_FORMAT_TEXT, &opt,
	    "http.in.downstream_rq_time: B0.5(0,0) B1(0,0) B5(0,1) B10(0,0) B25(0,0) B50(0,0) "
	    "B100(0,0) B250(1,1) B500(1,1) B1000(0,0) B2500(0,0) B5000(0,0) B10000(0,0) "
	    "B30000(0,0) B60000(0,0) B300000(0,0) B600000(0,0) B1.8e+06(0,0) B3.6e+06(0,0)\n");
	opt.buckets = BUCKETS_DETAILED;
	assert_printed(set, STAT_FORMAT_TEXT, &opt,
	    "http.in.downstream_rq_time:\n"
	    "  totals=3,0.1:1, 200,10:1, 300,10:1\n"
	    "  intervals=200,10:1, 300,10:1\n"
	    "  summary=P0(200,3) P25(205,3.075) P50(210,205) P75(305,302.5) P90(308,307) "
	    "P95(309,308.5) P99(309.8,309.7) P99.5(309.9,309.85) P99.9(309.98,309.97) "
	    "P100(310,310)\n");
	stat_set_free(&set);
}

static bool
any_name(void *ctx, struct str name)
{
	return true;
}

static void
json_has_all_histograms_in_one_element(void **state)
{
	static const double bound[] = {1, 250};
	struct bucket_setting setting = {any_name, NULL, bound, ARRAY_LEN(bound)};
	struct stat_print_options opt = {.setting = &setting, .settings = 1};
	struct stat_set *set;

	stat_inc(&http_stats_of("http.in.")->rs_too_large);
	set = read_some(LIST("rs_too_large", "n.downstream_cx_length_ms"));
	assert_printed(set, STAT_FORMAT_JSON, &opt,
	    "{\"stats\":[{\"name\":\"http.in.rs_too_large\",\"value\":1},"
	    "{\"histograms\":{\"supported_quantiles\":[0,25,50,75,90,95,99,99.5,99.9,100],"
	    "\"computed_quantiles\":[{\"name\":\"http.in.downstream_cx_length_ms\",\"values\":["
	    "{\"cumulative\":null,\"interval\":null},{\"cumulative\":null,\"interval\":null},"
	    "{\"cumulative\":null,\"interval\":null},{\"cumulative\":null,\"interval\":null},"
	    "{\"cumulative\":null,\"interval\":null},{\"cumulative\":null,\"interval\":null},"
	    "{\"cumulative\":null,\"interval\":null},{\"cumulative\":null,\"interval\":null},"
	    "{\"cumulative\":null,\"interval\":null},{\"cumulative\":null,\"interval\":null}"
	    "]}]}}]}");
	stat_set_free(&set);
	set = three_values();
	opt.types = STAT_TYPE_HISTOGRAMS;
	opt.buckets = BUCKETS_CUMULATIVE;
	assert_printed(set, STAT_FORMAT_JSON, &opt,
	    "{\"stats\":[{\"histograms\":[{\"name\":\"http.in.downstream_rq_time\",\"buckets\":["
	    "{\"upper_bound\":1,\"interval\":0,\"cumulative\":0},"
	    "{\"upper_bound\":250,\"interval\":1,\"cumulative\":2}]}]}]}");
	opt.buckets = BUCKETS_DISJOINT;
	assert_printed(set, STAT_FORMAT_JSON, &opt,
	    "{\"stats\":[{\"histograms\":[{\"name\":\"http.in.downstream_rq_time\",\"buckets\":["
	    "{\"upper_bound\":1,\"interval\":0,\"cumulative\":0},"
	    "{\"upper_bound\":250,\"interval\":1,\"cumulative\":2}]}]}]}");
	stat_set_free(&set);
}

static void
prometheus_groups_a_metric_under_one_type(void **state)
{
	static const double bound[] = {0.5, 10, 1800000};
	struct bucket_setting setting = {any_name, NULL, bound, ARRAY_LEN(bound)};
	struct stat_print_options opt = {.setting = &setting, .settings = 1};
	struct stat_set *set;

	stat_code(&cluster_stats_of("cluster.b.")->upstream_rq, 200);
	stat_code(&cluster_stats_of("cluster.a.")->upstream_rq, 503);
	stat_set(&server_stats_of("server.")->live, 1);
	stat_record(&http_stats_of("http.i\"n.")->downstream_rq_time, 7);
	set = read_some(
	    LIST("upstream_rq_2", "upstream_rq_5", "server.live", "n.downstream_rq_time"));
	stat_set_find(set, STR("http.i\"n.downstream_rq_timeout"))->lazy = true;
	assert_printed(set, STAT_FORMAT_PROMETHEUS, &opt,
	    "# HELP envoy_cluster_upstream_rq Responses by status\n"
	    "# TYPE envoy_cluster_upstream_rq counter\n"
	    "envoy_cluster_upstream_rq{envoy_response_code=\"503\",envoy_cluster_name=\"a\"} 1\n"
	    "envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"b\"} 1\n"
	    "\n"
	    "# HELP envoy_server_live 1 unless draining or failed out of rotation\n"
	    "# TYPE envoy_server_live gauge\n"
	    "envoy_server_live{} 1\n"
	    "\n"
	    "# HELP envoy_http_downstream_rq_time Time from request to end of response\n"
	    "# TYPE envoy_http_downstream_rq_time histogram\n"
	    "envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"i\\\"n\",le=\"0."
	    "5\"} 0\n"
	    "envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"i\\\"n\",le="
	    "\"10\"} 1\n"
	    "envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"i\\\"n\",le="
	    "\"1800000\"} 1\n"
	    "envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"i\\\"n\",le=\"+"
	    "Inf\"} 1\n"
	    "envoy_http_downstream_rq_time_sum{envoy_http_conn_manager_prefix=\"i\\\"n\"} 7\n"
	    "envoy_http_downstream_rq_time_count{envoy_http_conn_manager_prefix=\"i\\\"n\"} 1\n"
	    "\n");
	opt.types = STAT_TYPE_HISTOGRAMS;
	opt.buckets = BUCKETS_SUMMARY;
	{
		struct strb out = {0};

		stat_print(&out, STAT_FORMAT_PROMETHEUS, set, &opt);
		assert_non_null(
		    strstr(strb_z(&out), "# TYPE envoy_http_downstream_rq_time summary\n"));
		assert_non_null(strstr(strb_z(&out), ",quantile=\"0.995\"} 7.0"));
		strb_fini(&out);
	}
	stat_set_free(&set);
}

static void
prometheus_keeps_kinds_apart_and_names_in_order(void **state)
{
	static const struct {
		const char *name;
		enum stat_kind kind;
	} rows[] = {
	    {"cluster.b.x", STAT_COUNTER},
	    {"cluster.b.a", STAT_GAUGE},
	    {"cluster.b.x_y", STAT_COUNTER},
	    {"cluster.a.x", STAT_GAUGE},
	    {"cluster.a.x.y", STAT_COUNTER},
	    {"cluster.a\nb.x", STAT_COUNTER},
	    {"cluster.x", STAT_COUNTER},
	    {"", STAT_GAUGE},
	};
	struct stat_print_options opt = {0};
	struct stat_set *set = stat_set_new();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stat_row *row = stat_set_add(set, STR(""),
		    &(struct stat_row){
			.name = str_of(rows[i].name), .help = "", .kind = (uint8_t)rows[i].kind});

		if (row->kind == STAT_COUNTER)
			row->counter = i;
		else
			row->gauge = -(int64_t)i;
	}
	while (stat_set_sort_step(set))
		;
	assert_printed(set, STAT_FORMAT_PROMETHEUS, &opt,
	    "# TYPE envoy_cluster_x counter\n"
	    "envoy_cluster_x{envoy_cluster_name=\"a\\nb\"} 5\n"
	    "envoy_cluster_x{envoy_cluster_name=\"b\"} 0\n"
	    "envoy_cluster_x{} 6\n"
	    "\n"
	    "# TYPE envoy_cluster_x_y counter\n"
	    "envoy_cluster_x_y{envoy_cluster_name=\"a\"} 4\n"
	    "envoy_cluster_x_y{envoy_cluster_name=\"b\"} 2\n"
	    "\n"
	    "# TYPE envoy_ gauge\n"
	    "envoy_{} -7\n"
	    "\n"
	    "# TYPE envoy_cluster_a gauge\n"
	    "envoy_cluster_a{envoy_cluster_name=\"b\"} -1\n"
	    "\n"
	    "# TYPE envoy_cluster_x gauge\n"
	    "envoy_cluster_x{envoy_cluster_name=\"a\"} -3\n"
	    "\n");
	stat_set_free(&set);
}

static void
prometheus_shows_bounds_in_full(void **state)
{
	static const double bound[] = {-1, 0, 0.25, 1, 999999, 1e20, INFINITY};
	struct bucket_setting setting = {any_name, NULL, bound, ARRAY_LEN(bound)};
	struct stat_print_options opt = {.setting = &setting, .settings = 1};
	struct stat_set *set = stat_set_new();
	struct stat_row *row;

	row = stat_set_add(
	    set, STR(""), &(struct stat_row){.name = STR("h"), .help = "", .kind = STAT_HISTOGRAM});
	histogram_add(row->histogram, bin_small(3), 2);
	while (stat_set_sort_step(set))
		;
	assert_printed(set, STAT_FORMAT_PROMETHEUS, &opt,
	    "# TYPE envoy_h histogram\n"
	    "envoy_h_bucket{le=\"-1\"} 0\n"
	    "envoy_h_bucket{le=\"0\"} 0\n"
	    "envoy_h_bucket{le=\"0.25\"} 0\n"
	    "envoy_h_bucket{le=\"1\"} 0\n"
	    "envoy_h_bucket{le=\"999999\"} 2\n"
	    "envoy_h_bucket{le=\"100000000000000000000\"} 2\n"
	    "envoy_h_bucket{le=\"+Inf\"} 2\n"
	    "envoy_h_bucket{le=\"+Inf\"} 2\n"
	    "envoy_h_sum{} 0\n"
	    "envoy_h_count{} 2\n"
	    "\n");
	stat_set_free(&set);
}

static void
prometheus_shows_texts_when_asked(void **state)
{
	struct stat_print_options opt = {.types = STAT_TYPE_TEXTS};
	struct stat_set *set;

	stat_text_set(
	    &((struct baton_texts *)block_shared(SCOPE_baton, STR("baton.")))->version_text,
	    STR("a\\b"));
	set = read_some(LIST("version_text"));
	assert_printed(set, STAT_FORMAT_PROMETHEUS, &opt, "");
	opt.texts = true;
	assert_printed(set, STAT_FORMAT_PROMETHEUS, &opt,
	    "# HELP envoy_baton_version_text Version of the serving binary\n"
	    "# TYPE envoy_baton_version_text gauge\n"
	    "envoy_baton_version_text{text_value=\"a\\\\b\"} 0\n"
	    "\n");
	stat_set_free(&set);
}

static void
quantiles_stand_on_straight_lines_in_their_bins(void **state)
{
	struct histogram h = {0};
	double q[HISTOGRAM_QUANTILES];

	histogram_compute(&h, q);
	assert_true(isnan(q[0]));
	histogram_add(&h, 0, 1);
	histogram_compute(&h, q);
	assert_true(q[0] == 0 && q[9] == 0);
	histogram_fini(&h);
	for (uint64_t v = 10; v < 100; v++)
		histogram_add(&h, bin_of_chunk(1, bin_in_chunk(v, 1)), 1);
	histogram_compute(&h, q);
	assert_true(q[0] == 10);
	assert_true(fabs(q[2] - 55) < 1e-9);
	assert_true(q[9] == 100);
	assert_int_equal(histogram_below(&h, 50), 40);
	histogram_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(text_lists_texts_then_numbers_then_histograms, set_up),
	    cmocka_unit_test_setup(text_shows_buckets_as_asked, set_up),
	    cmocka_unit_test_setup(json_has_all_histograms_in_one_element, set_up),
	    cmocka_unit_test_setup(prometheus_groups_a_metric_under_one_type, set_up),
	    cmocka_unit_test(prometheus_keeps_kinds_apart_and_names_in_order),
	    cmocka_unit_test(prometheus_shows_bounds_in_full),
	    cmocka_unit_test_setup(prometheus_shows_texts_when_asked, set_up),
	    cmocka_unit_test(quantiles_stand_on_straight_lines_in_their_bins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
