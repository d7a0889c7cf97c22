/* The command line: every row of the table, its errors and hints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "master/options.h"
#include "master/usable_cpus.h"

static int
parse(struct options *o, struct err *err, const char *line, char *printed, size_t room)
{
	static char copy[512];
	char *argv[32] = {(char *)"baton"}, *save = NULL;
	FILE *out = fmemopen(printed, room, "w");
	int argc = 1, r;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	err->text[0] = '\0';
	r = options_parse(o, argc, argv, out, err);
	fclose(out);
	return r;
}

static void
the_defaults_are_the_documented_ones(void **state)
{
	char printed[64];
	struct options o;
	struct err err;

	assert_int_equal(parse(&o, &err, "-c x.yaml", printed, sizeof(printed)), 0);
	assert_string_equal(o.settings.config_path, "x.yaml");
	assert_int_equal(o.settings.drain_time_s, 600);
	assert_int_equal(o.settings.parent_shutdown_time_s, 900);
	assert_int_equal(o.settings.file_flush_interval_ms, 1000);
	assert_int_equal(o.settings.watchdog_s, 10);
	assert_int_equal(o.settings.shutdown_deadline_s, 25);
	assert_int_equal(o.settings.shutdown_health_wait_s, 0);
	assert_int_equal(o.settings.mode, MODE_SERVE);
	assert_true(o.settings.concurrency >= 1);
	assert_string_equal(o.settings.hot_restart_version, "1.0");
	options_fini(&o);
}

static void
every_row_is_accepted_with_a_value_of_its_kind(void **state)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *r = &option_rows[i];
		char line[256], printed[16384];
		const char *value = "7";
		struct options o;
		struct err err;
		int got;

		if (strchr(r->argument, '|'))
			value = strcmp(r->name, "mode") == 0 ? "validate" :
			    strcmp(r->name, "restart-epoch") == 0 ? "auto" : "immediate";
		if (strcmp(r->name, "log-level") == 0)
			value = "info";
		if (strcmp(r->name, "drain-deadline") == 0)
			value = "h2=7";
		if (strcmp(r->name, "component-log-level") == 0)
			value = "main:info,http:info";
		snprintf(line, sizeof(line), "%s --%s%s%s",
		    strncmp(r->name, "config", 6) == 0 ? "" : "-c x", r->name,
		    *r->argument ? " " : "", *r->argument ? value : "");
		got = parse(&o, &err, line, printed, sizeof(printed));
		if (r->kind == OPTION_REFUSED) {
			assert_int_equal(got, -1);
			assert_non_null(strstr(err.text, r->name));
			assert_non_null(strstr(err.text, r->help));
		} else {
			assert_int_equal(got, 0);
		}
		options_fini(&o);
		log_set_format(log_default_format, &(char){0}); /* it borrows the value */
	}
}

static void
errors_are_clear(void **state)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
	    {"", "no configuration"},
	    {"x.yaml", "not an option"},
	    {"-c", "needs a value"},
	    {"-c a -c b", "given twice"},
	    {"-c x --concurrency many", "not a number"},
	    {"-c x --concurrency 5000000000", "not a number"},
	    {"-c x --concurrency 2000", "1024"},
	    {"-c x --mode dream", "serve|validate|init_only"},
	    {"-c x --drain-strategy slow", "gradual|immediate"},
	    {"-c x --log-level loud", "not a level"},
	    {"-c x --component-log-level nobody:info", "no logger 'nobody'"},
	    {"-c x --component-log-level main", "NAME:LEVEL"},
	    {"-c x --log-format %Q", "%Q"},
	    {"-c x --print-config=1", "takes no value"},
	    {"-c x --restart-epoch 1 --use-dynamic-base-id", "epoch 0 only"},
	    {"-c x --restart-epoch soon", "neither a number nor auto"},
	    {"-c x --confg-path y", "did you mean --config-path?"},
	    {"-c x --drain-time 3", "did you mean --drain-time-s?"},
	    {"-c x --drain-deadline h1", "--drain-deadline: 'h1' is not KIND=S"},
	    {"-c x --drain-deadline h3=1", "none of h1, h2, websocket, tcp"},
	    {"-c x --drain-deadline h1=", "not a number"},
	    {"-c x --drain-deadline h1=1s", "not a number"},
	    {"-c x --drain-deadline h1=1 --drain-deadline h1=2", "h1 is given twice"},
	    {"-c x --qqqqqqqqqqqqqqqq", "see --help"},
	    {"-c x -z", "unknown option '-z'"},
	    {"-c x --max-stats 3", "not supported"},
	    {"-c x --stats-tag", "stats_config"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char printed[64];
		struct options o;
		struct err err;

		assert_int_equal(parse(&o, &err, rows[i].line, printed, sizeof(printed)), -1);
		if (!strstr(err.text, rows[i].want))
			fail_msg("'%s' gave '%s'", rows[i].line, err.text);
		options_fini(&o);
	}
}

static void
forms_of_giving_a_value_are_the_same(void **state)
{
	static const char *const rows[] = {
	    "-c x --concurrency 3", "-c x --concurrency=3", "-cx --concurrency 3",
	    "--config-path=x --concurrency 3"};
	char printed[64];
	struct options o;
	struct err err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(&o, &err, rows[i], printed, sizeof(printed)), 0);
		assert_string_equal(o.settings.config_path, "x");
		assert_int_equal(o.settings.concurrency, 3);
		assert_string_equal(o.settings.given[0], "config-path");
		assert_string_equal(o.settings.given[3], "3");
		assert_null(o.settings.given[4]);
		options_fini(&o);
	}
	assert_int_equal(parse(&o, &err, "-c x --concurrency 0", printed, sizeof(printed)), 0);
	assert_int_equal(o.settings.concurrency, 1);
	options_fini(&o);
}

static void
a_kind_without_a_deadline_has_that_of_its_generation(void **state)
{
	char printed[64];
	struct options o;
	struct err err;

	assert_int_equal(parse(&o, &err,
			     "-c x --drain-deadline tcp=0 --parent-shutdown-time-s 30 "
			     "--drain-deadline websocket=7200",
			     printed, sizeof(printed)),
	    0);
	assert_int_equal(o.settings.drain_deadline_s[DRAIN_H1], 30);
	assert_int_equal(o.settings.drain_deadline_s[DRAIN_H2], 30);
	assert_int_equal(o.settings.drain_deadline_s[DRAIN_WEBSOCKET], 7200);
	assert_int_equal(o.settings.drain_deadline_s[DRAIN_TCP], 0);
	options_fini(&o);
}

static void
help_and_versions_are_printed_and_nothing_else_is_needed(void **state)
{
	char printed[16384];
	struct options o;
	struct err err;

	assert_int_equal(parse(&o, &err, "--help", printed, sizeof(printed)), 0);
	assert_true(o.done);
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].kind != OPTION_REFUSED)
			assert_non_null(strstr(printed, option_rows[i].name));
	options_fini(&o);
	assert_int_equal(parse(&o, &err, "--hot-restart-version", printed, sizeof(printed)), 0);
	assert_string_equal(printed, "1.0\n");
	options_fini(&o);
	assert_int_equal(
	    parse(&o, &err, "--hot-restart-version --disable-hot-restart", printed, sizeof(printed)), 0);
	assert_string_equal(printed, "disabled\n");
	options_fini(&o);
	assert_int_equal(parse(&o, &err, "--version", printed, sizeof(printed)), 0);
	assert_non_null(strstr(printed, "baton version: "));
	options_fini(&o);
}

/* Envoy takes these together; so do scripts. */
static void
some_options_make_others_mute(void **state)
{
	char printed[64];
	struct options o;
	struct err err;

	assert_int_equal(
	    parse(&o, &err, "-c x --use-dynamic-base-id --base-id 7", printed, sizeof(printed)), 0);
	assert_true(o.dynamic_base_id);
	options_fini(&o);
	assert_int_equal(parse(&o, &err, "-c x --disable-hot-restart --restart-epoch 2", printed,
			     sizeof(printed)), 0);
	assert_string_equal(o.settings.hot_restart_version, "disabled");
	options_fini(&o);
}

static void
cpu_quotas_are_rounded_up(void **state)
{
	assert_int_equal(cpus_of_quota_v2("max 100000\n"), 0);
	assert_int_equal(cpus_of_quota_v2("100000 100000\n"), 1);
	assert_int_equal(cpus_of_quota_v2("150000 100000\n"), 2);
	assert_int_equal(cpus_of_quota_v2("50000 100000\n"), 1);
	assert_int_equal(cpus_of_quota_v2(""), 0);
	assert_int_equal(cpus_of_quota_v1("-1\n", "100000\n"), 0);
	assert_int_equal(cpus_of_quota_v1("250000\n", "100000\n"), 3);
	assert_true(usable_cpus() >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_defaults_are_the_documented_ones),
	    cmocka_unit_test(every_row_is_accepted_with_a_value_of_its_kind),
	    cmocka_unit_test(errors_are_clear),
	    cmocka_unit_test(forms_of_giving_a_value_are_the_same),
	    cmocka_unit_test(a_kind_without_a_deadline_has_that_of_its_generation),
	    cmocka_unit_test(help_and_versions_are_printed_and_nothing_else_is_needed),
	    cmocka_unit_test(some_options_make_others_mute),
	    cmocka_unit_test(cpu_quotas_are_rounded_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
