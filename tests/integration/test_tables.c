/* Ring and Maglev tables: what a worker says of its own is not added up over workers; policies of
 * the cluster say what is hashed. */
#include "tests/harness/configs.h"
#include "tests/harness/scene.h"

#include "lib/base/mem.h"

#define CONF(policy)                                                                               \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL)                                               \
	    CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@") CONF_HOST("@HOST1@"), policy)
#define RING "    lb_policy: RING_HASH\n"
#define MAGLEV "    lb_policy: MAGLEV\n    maglev_lb_config: {table_size: 101}\n"

static void
change(struct scene *sc, const char *yaml)
{
	char *out;

	scene_write_config(sc, yaml);
	if (scene_run_tool(sc, &out, "batonctl", "reload", NULL) != 0)
		fail_msg("%s", out);
	mem_free(out);
}

static void
tables_of_three_workers_are_one_number(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_origin(&sc, "two");
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "3";
	scene_proxy(&sc, CONF(RING));
	assert_stat(&sc, "cluster.api.ring_hash_lb.size", 1024);
	assert_stat(&sc, "cluster.api.ring_hash_lb.min_hashes_per_host", 512);
	assert_stat(&sc, "cluster.api.ring_hash_lb.max_hashes_per_host", 512);
	assert_stat(&sc, "cluster.api.maglev_lb.min_entries_per_host", -1);

	change(&sc, CONF(MAGLEV));
	assert_stat(&sc, "cluster.api.maglev_lb.min_entries_per_host", 50);
	assert_stat(&sc, "cluster.api.maglev_lb.max_entries_per_host", 51);
	assert_stat(&sc, "cluster.api.ring_hash_lb.size", 0);

	change(&sc, CONF(""));
	assert_stat(&sc, "cluster.api.maglev_lb.max_entries_per_host", 0);
	scene_fini(&sc);
}

#define OWN_POLICY                                                                                 \
	"    load_balancing_policy:\n"                                                             \
	"      policies:\n"                                                                        \
	"      - typed_extension_config:\n"                                                        \
	"          name: envoy.load_balancing_policies.maglev\n"                                   \
	"          typed_config:\n"                                                                \
	"            \"@type\": type.googleapis.com/"                                               \
	"envoy.extensions.load_balancing_policies.maglev.v3.Maglev\n"                              \
	"            consistent_hashing_lb_config:\n"                                              \
	"              hash_policy: [{header: {header_name: x-key}}]\n"
#define ROUTE_WITH_POLICY                                                                          \
	"              - match: {prefix: /}\n"                                                     \
	"                route: {cluster: api, hash_policy: [{header: {header_name: x-other}}]}\n"

/* Who answers requests of this key; each has another value for the route's policy. */
static char
who_serves(struct scene *sc, unsigned key)
{
	char who = 0, headers[64];

	for (unsigned i = 0; i < 6; i++) {
		struct reply r;

		snprintf(headers, sizeof(headers), "x-key: k%u\r\nx-other: %u\r\n", key, i);
		r = scene_request(sc, sc->port, "GET", "/", headers, NULL);
		assert_int_equal(r.status, 200);
		if (who)
			assert_int_equal(reply_header(&r, "x-origin")[0], who);
		who = reply_header(&r, "x-origin")[0];
		reply_free(&r);
	}
	return who;
}

static void
the_policies_of_a_cluster_come_before_those_of_a_route(void **state)
{
	struct scene sc;
	unsigned one = 0;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_origin(&sc, "two");
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "2";
	scene_proxy(&sc,
	    CONF_ADMIN CONF_LISTENER("", ROUTE_WITH_POLICY)
		CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@") CONF_HOST("@HOST1@"), OWN_POLICY));
	for (unsigned key = 0; key < 30; key++)
		one += who_serves(&sc, key) == 'o';
	assert_in_range(one, 1, 29); /* ports, and so hashes, differ from run to run */
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tables_of_three_workers_are_one_number),
	    cmocka_unit_test(the_policies_of_a_cluster_come_before_those_of_a_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
