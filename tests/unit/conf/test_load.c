#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/defaults.h"
#include "conf/diag.h"
#include "conf/load.h"

#define Bootstrap Envoy__Config__Bootstrap__V3__Bootstrap

static struct conf *
load(const struct conf_source *src)
{
	struct strb text = {0};
	struct diag diag;
	struct conf *conf;

	diag_init(&diag);
	if (conf_load(&conf, src, &diag) < 0) {
		diag_print(&diag, &text, false);
		fail_msg("%s", strb_z(&text));
	}
	diag_fini(&diag);
	return conf;
}

static void
assert_refused(const struct conf_source *src, const char *why)
{
	struct strb text = {0};
	struct diag diag;
	struct conf *conf;

	diag_init(&diag);
	assert_int_equal(conf_load(&conf, src, &diag), -1);
	assert_null(conf);
	diag_print(&diag, &text, true);
	if (!strstr(strb_z(&text), why))
		fail_msg("'%s' does not say '%s'", strb_z(&text), why);
	strb_reset(&text);
	diag_first(&diag, &text);
	assert_true(text.n > 0);
	strb_fini(&text);
	diag_fini(&diag);
}

#define MEMBERS                                                                                    \
	"load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: "                           \
	"[{endpoint: {address: {pipe: {path: '@x'}}}}]}]}"

static const char *
file_with(const char *text)
{
	static char path[] = "/tmp/baton-test-XXXXXX";
	int fd;

	strcpy(path, "/tmp/baton-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void
the_command_line_is_merged_over_the_file_as_protobuf_merges(void **state)
{
	const char *path = file_with("node: {id: file, cluster: file}\n"
				     "static_resources: {clusters: [{name: a, " MEMBERS "}]}\n"
				     "admin: {address: {pipe: {path: /a, mode: 384}}}\n"
				     "stats_config: {stats_matcher: {reject_all: true}}\n");
	struct conf_source src = {.path = path,
	    .inline_yaml =
		"{node: {id: inline}, static_resources: {clusters: [{name: b, " MEMBERS "}]}, "
		"admin: {address: {pipe: {path: /b}}}, "
		"stats_config: {stats_matcher: {inclusion_list: {patterns: [{prefix: x}]}}}}"};
	struct conf *conf = load(&src);
	const Bootstrap *b = conf_bootstrap(conf);

	assert_string_equal(b->node->id, "inline");
	assert_string_equal(b->node->cluster, "file");
	assert_int_equal(b->static_resources->n_clusters, 2);
	assert_string_equal(b->static_resources->clusters[0]->name, "a");
	assert_string_equal(b->static_resources->clusters[1]->name, "b");
	assert_string_equal(b->admin->address->pipe->path, "/b");
	assert_int_equal(b->admin->address->pipe->mode, 0600);
	assert_int_equal(b->stats_config->stats_matcher->stats_matcher_case,
	    ENVOY__CONFIG__METRICS__V3__STATS_MATCHER__STATS_MATCHER_INCLUSION_LIST);
	conf_free(&conf);
	assert_null(conf);
	unlink(path);
}

static void
options_name_the_node(void **state)
{
	struct conf_source src = {.inline_yaml = "node: {id: a, locality: {region: r}}",
	    .service_node = "n",
	    .service_cluster = "c",
	    .service_zone = "z"};
	struct conf *conf = load(&src);
	const Bootstrap *b = conf_bootstrap(conf);

	assert_string_equal(b->node->id, "n");
	assert_string_equal(b->node->cluster, "c");
	assert_string_equal(b->node->locality->region, "r");
	assert_string_equal(b->node->locality->zone, "z");
	conf_free(&conf);
	src = (struct conf_source){.inline_yaml = "{}", .service_zone = "z"};
	conf = load(&src);
	assert_string_equal(conf_bootstrap(conf)->node->locality->zone, "z");
	conf_free(&conf);
}

static void
unknown_fields_are_errors_unless_allowed(void **state)
{
	struct conf_source src = {.inline_yaml = "node: {idd: a, id: b}"};
	struct conf *conf;

	assert_refused(&src, "--config-yaml:1:8: error: node.idd: unknown field");
	src.allow_unknown_fields = true;
	conf = load(&src);
	assert_string_equal(conf_bootstrap(conf)->node->id, "b");
	conf_free(&conf);
	src.inline_yaml =
	    "layered_runtime: {layers: []}"; /* known, and not carried out: never ignored */
	assert_refused(&src, "known to Envoy");
}

static void
files_that_cannot_be_read_are_named(void **state)
{
	struct conf_source src = {.path = "/no/such/file.yaml"};

	assert_refused(
	    &src, "/no/such/file.yaml: error: cannot be opened: No such file or directory");
	src.path = "/tmp";
	assert_refused(&src, "/tmp: error: is a directory");
	src.path = NULL;
	assert_refused(&src, "no configuration");
}

static void
errors_of_both_texts_are_told_in_one_run(void **state)
{
	const char *path = file_with("node: {idd: a}\n");
	struct conf_source src = {.path = path, .inline_yaml = "admin: {adress: {}}"};

	assert_refused(&src, "node.idd");
	assert_refused(&src, "admin.adress");
	unlink(path);
}

static void
durations_are_read_with_envoys_defaults(void **state)
{
	Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;

	assert_int_equal(conf_duration_ms(NULL, 15000), 15000);
	assert_int_equal(conf_duration_ms(&d, 15000), 0);
	d.nanos = 1;
	assert_int_equal(conf_duration_ms(&d, 0), 1);
	d.seconds = 2;
	d.nanos = 500000000;
	assert_int_equal(conf_duration_ms(&d, 0), 2500);
	assert_true(conf_bool(NULL, true));
	assert_int_equal(conf_u32(NULL, 7), 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_command_line_is_merged_over_the_file_as_protobuf_merges),
	    cmocka_unit_test(options_name_the_node),
	    cmocka_unit_test(unknown_fields_are_errors_unless_allowed),
	    cmocka_unit_test(files_that_cannot_be_read_are_named),
	    cmocka_unit_test(errors_of_both_texts_are_told_in_one_run),
	    cmocka_unit_test(durations_are_read_with_envoys_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
