/* Where the next attempt goes: to another host, to another priority, past those that are left out. */
#include "tests/integration/retry.h"

static void
a_retry_prefers_a_host_that_was_not_tried(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	scene_scripted(&sc, "three", false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH(
		"", LOG, "", ROUTE("/", "api", POLICY("retry_on: 5xx, num_retries: 2")))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS CONF_HOST("@HOST2@"),
		    "    lb_policy: RANDOM\n" BREAKERS("{max_retries: 100}")));
	both(&sc, (struct rule){.status = 503});
	for (int i = 0; i < 30; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(seen(&sc, 2), 30);
	scene_fini(&sc);
}

#define PREVIOUS                                                                                   \
	"retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts, typed_config: " \
	"{'@type': type.googleapis.com/"                                                           \
	"envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}], "                \
	"host_selection_retry_max_attempts: 50"
#define BY_HEADER ", hash_policy: [{header: {header_name: x-user}}]"

/* A hash means this host: whoever wants another one says so. */
static void
a_hash_leads_to_the_same_host_unless_that_is_refused(void **state)
{
	static const char *const policies[] = {
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/same", "api", POLICY("retry_on: 5xx, num_retries: 1") BY_HEADER)
		    ROUTE("/", "api", POLICY("retry_on: 5xx, num_retries: 1, " PREVIOUS) BY_HEADER))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, "    lb_policy: RING_HASH\n"),
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/same", "api", POLICY("retry_on: 5xx, num_retries: 1") BY_HEADER)
		    ROUTE("/", "api", POLICY("retry_on: 5xx, num_retries: 1, " PREVIOUS) BY_HEADER))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, "    lb_policy: MAGLEV\n"),
	};

	for (int p = 0; p < 2; p++) {
		struct scene sc;
		unsigned bad;

		scene_init(&sc);
		scene_scripted(&sc, "one", false);
		scene_scripted(&sc, "two", false);
		run(&sc, policies[p]);
		assert_int_equal(get(&sc, "/same", "x-user: ann\r\n"), 200);
		bad = seen(&sc, 1) == 1;
		script_add(&sc, bad, (struct rule){.status = 503});
		assert_int_equal(get(&sc, "/same", "x-user: ann\r\n"), 503);
		assert_int_equal(seen(&sc, bad), 3);
		assert_int_equal(seen(&sc, !bad), 0);
		assert_int_equal(get(&sc, "/moves", "x-user: ann\r\n"), 200);
		assert_int_equal(seen(&sc, bad), 4);
		assert_int_equal(seen(&sc, !bad), 1);
		scene_fini(&sc);
	}
}

static void
the_next_priority_is_tried_when_told_so(void **state)
{
	struct scene sc;

	scene_init(&sc);
	for (unsigned i = 0; i < 4; i++)
		scene_scripted(&sc, (const char *[]){"one", "two", "three", "other"}[i], false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/plain", "api", POLICY("retry_on: 5xx, num_retries: 2"))
		    ROUTE("/", "api",
			POLICY("retry_on: 5xx, num_retries: 2, retry_priority: {name: "
			       "envoy.retry_priorities.previous_priorities, typed_config: {'@type': "
			       "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities."
			       "v3.PreviousPrioritiesConfig, update_frequency: 2}}")))
		CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS CONF_HOST("@HOST2@"), "")
		"      - priority: 1\n        lb_endpoints:\n" CONF_HOST("@HOST3@"));
	for (unsigned i = 0; i < 3; i++)
		script_add(&sc, i, (struct rule){.status = 503});
	assert_int_equal(scene_status(&sc, "/plain"), 503);
	assert_int_equal(seen(&sc, 3), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(seen(&sc, 3), 5);
	assert_int_equal(seen(&sc, 0) + seen(&sc, 1) + seen(&sc, 2), 3 + 10);
	scene_fini(&sc);
}

#define LABELLED(port, meta)                                                                       \
	"        - {endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " port   \
	"}}}, metadata: {filter_metadata: {envoy.lb: {" meta "}}}}\n"

static void
canaries_and_labels_are_left_out(void **state)
{
	struct scene sc;

	scene_init(&sc);
	for (unsigned i = 0; i < 4; i++)
		scene_scripted(&sc, (const char *[]){"one", "two", "canary", "old"}[i], false);
	run(&sc,
	    CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
		ROUTE("/", "api",
		    POLICY("retry_on: 5xx, num_retries: 1, host_selection_retry_max_attempts: 50, "
			   "retry_host_predicate: [{name: envoy.retry_host_predicates.omit_canary_hosts}, "
			   "{name: envoy.retry_host_predicates.omit_host_metadata, typed_config: {'@type': "
			   "type.googleapis.com/envoy.extensions.retry.host.omit_host_metadata.v3."
			   "OmitHostMetadataConfig, metadata_match: {filter_metadata: {envoy.lb: {version: "
			   "old}}}}}]")))
		CONF_CLUSTERS CONF_CLUSTER("api",
		    TWO_HOSTS LABELLED("@HOST2@", "canary: true") LABELLED("@HOST3@", "version: old"),
		    "    lb_policy: RANDOM\n"));
	/* Whoever is asked first fails; only the plain hosts are asked again. */
	for (unsigned i = 0; i < 4; i++)
		script_add(&sc, i, (struct rule){.status = i < 2 ? 503 : 500});
	for (int i = 0; i < 60; i++)
		assert_int_equal(scene_status(&sc, "/"), 503);
	assert_stat(&sc, "cluster.api.upstream_rq_retry", 60);
	assert_true(seen(&sc, 2) > 0 && seen(&sc, 3) > 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_retry_prefers_a_host_that_was_not_tried),
	    cmocka_unit_test(a_hash_leads_to_the_same_host_unless_that_is_refused),
	    cmocka_unit_test(the_next_priority_is_tried_when_told_so),
	    cmocka_unit_test(canaries_and_labels_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
