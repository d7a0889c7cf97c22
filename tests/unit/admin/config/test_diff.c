/* What a new configuration changes: nothing for what is the same, however it was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/config/diff.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "lib/base/mem.h"

#define HCM                                                                                        \
	"filter_chains: [{filters: [{name: h, typed_config: {\"@type\": type.googleapis.com/"      \
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, "      \
	"stat_prefix: x, route_config: {}, http_filters: [{name: envoy.filters.http.router}]}}]}]"
#define LISTENER(name, port)                                                                       \
	"{name: " name ", address: {socket_address: {address: 127.0.0.1, port_value: " port        \
	"}}, " HCM "}"
#define CLUSTER(name, timeout)                                                                     \
	"{name: " name ", connect_timeout: " timeout ", load_assignment: {cluster_name: " name "}" \
											       "}"
#define CONF(listeners, clusters)                                                                  \
	"node: {id: n}\nstatic_resources: {listeners: [" listeners "], clusters: [" clusters "]}"  \
											     "\n"

static void
load(struct store *s, const char *yaml, uint64_t wall_ns)
{
	struct conf_source src = {.inline_yaml = yaml};
	struct strb text = {0};
	struct diag diag;
	struct conf *conf;

	store_init(s);
	diag_init(&diag);
	if (conf_load(&conf, &src, &diag) < 0) {
		diag_print(&diag, &text, true);
		fail_msg("%s", strb_z(&text));
	}
	diag_fini(&diag);
	store_take(s, conf, wall_ns);
	assert_int_equal(store_listeners(s, NULL), 0);
}

static void
changes_are_told_by_name(void **state)
{
	static const struct {
		const char *now, *next, *text;
	} rows[] = {
	    {CONF(LISTENER("a", "1"), CLUSTER("c", "1s")),
		CONF(LISTENER("a", "1"), CLUSTER("c", "1s")), "nothing changed"},
	    {CONF(LISTENER("a", "1"), CLUSTER("c", "1s")),
		CONF(LISTENER("a", "1"), CLUSTER("c", "1.0s")), "nothing changed"},
	    {CONF(LISTENER("a", "1"), ""), CONF(LISTENER("a", "2"), ""), "listeners: 1 changed"},
	    {CONF(LISTENER("a", "1"), ""), CONF(LISTENER("b", "1"), ""),
		"listeners: 1 added, 1 removed"},
	    {CONF(LISTENER("a", "1"), CLUSTER("c", "1s")),
		CONF(LISTENER("a", "1") ", " LISTENER("b", "2"), ""),
		"listeners: 1 added; clusters: 1 removed"},
	    {CONF("", CLUSTER("c", "1s") ", " CLUSTER("d", "1s")),
		CONF("", CLUSTER("d", "2s") ", " CLUSTER("c", "1s")), "clusters: 1 changed"},
	    {CONF("", ""), CONF("", "") "admin: {}\n", "bootstrap: changed"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store now, next;
		struct strb text = {0};
		struct diff d;

		load(&now, rows[i].now, 1);
		load(&next, rows[i].next, 2);
		diff_make(&d, &now, &next);
		diff_text(&d, &text);
		assert_string_equal(strb_z(&text), rows[i].text);
		diff_fini(&d);
		strb_fini(&text);
		store_fini(&now);
		store_fini(&next);
	}
}

static void
what_is_the_same_keeps_its_time(void **state)
{
	struct store now, next;
	struct diff d;

	load(&now, CONF(LISTENER("a", "1"), CLUSTER("c", "1s") ", " CLUSTER("d", "1s")), 1);
	load(&next, CONF(LISTENER("a", "1"), CLUSTER("c", "2s") ", " CLUSTER("d", "1s")), 2);
	diff_make(&d, &now, &next);
	assert_int_equal(store_listener(&next, STR("a"))->updated_ns, 1);
	assert_int_equal(store_cluster(&next, STR("c"))->updated_ns, 2);
	assert_int_equal(store_cluster(&next, STR("d"))->updated_ns, 1);
	diff_fini(&d);
	store_fini(&now);
	store_fini(&next);
}

static void
some_fields_need_a_hot_restart(void **state)
{
	static const struct {
		const char *more, *field;
	} rows[] = {
	    {"", NULL},
	    {"admin: {access_log: []}\n", NULL},
	    {"stats_flush_interval: 7s\n", NULL},
	    {"admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9}}}\n",
		"admin.address"},
	    {"stats_config: {stats_matcher: {reject_all: true}}\n", "stats_config"},
	};
	struct store now, next;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *yaml = mem_printf("%s%s", CONF("", ""), rows[i].more);
		const char *field;

		load(&now, CONF("", ""), 1);
		load(&next, yaml, 2);
		field = diff_needs_restart(&now, &next);
		if (rows[i].field)
			assert_string_equal(field, rows[i].field);
		else
			assert_null(field);
		store_fini(&now);
		store_fini(&next);
		mem_free(yaml);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_are_told_by_name),
	    cmocka_unit_test(what_is_the_same_keeps_its_time),
	    cmocka_unit_test(some_fields_need_a_hot_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
