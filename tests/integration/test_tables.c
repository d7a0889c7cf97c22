/* Ring and Maglev tables: what a worker says of its own is not added up over workers. */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tables_of_three_workers_are_one_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
