/* Two zones: requests stay in ours as long as its hosts can take them, and as long as it is known who else sends. */
#include "tests/harness/configs.h"
#include "tests/harness/scene.h"

#include <stdlib.h>

#include "lib/base/mem.h"

#define REQUESTS 60

/* Members of zone z<n> at the ports; status: of the first of them. */
#define ZONE(zone, a, b, status)                                                                   \
	"      - locality: {region: r, zone: " zone "}\n"                                          \
	"        lb_endpoints:\n"                                                                  \
	"        - health_status: " status "\n"                                                    \
	"          endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " a       \
	"}}}\n"                                                                                    \
	"        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " b       \
	"}}}\n"

#define CLUSTER(name, more, members)                                                               \
	"  - name: " name "\n" more "    load_assignment:\n"                                       \
	"      cluster_name: " name "\n"                                                           \
	"      endpoints:\n" members

#define API(fields, here, there)                                                                   \
	CLUSTER("api", "    common_lb_config: {zone_aware_lb_config: {min_cluster_size: 1" fields  \
		       "}}\n",                                                                     \
	    ZONE("z0", "@HOST0@", "@HOST1@", here) ZONE("z1", "@HOST2@", "@HOST3@", there))

/* Nobody calls them: their ports do not matter. */
#define PROXIES(here, there)                                                                       \
	CLUSTER("proxies", "", ZONE("z0", "1", "2", here) ZONE("z1", "3", "4", there))

#define CONF(api, proxies)                                                                         \
	"admin:\n"                                                                                 \
	"  address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n"                       \
	"node: {id: n, cluster: c, locality: {region: r, zone: elsewhere}}\n"                      \
	"cluster_manager: {local_cluster_name: proxies}\n" CONF_LISTENER("", CONF_ROUTE_ALL)       \
	    CONF_CLUSTERS api proxies

static void
proxy(struct scene *sc, const char *yaml)
{
	static const char *const names[] = {"h0", "h1", "h2", "h3"};

	scene_init(sc);
	for (unsigned i = 0; i < 4; i++)
		scene_origin(sc, names[i]);
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	sc->extra[2] = "--service-zone";
	sc->extra[3] = "z0";
	scene_proxy(sc, yaml);
}

static int
reload(struct scene *sc, const char *yaml, char **out)
{
	scene_write_config(sc, yaml);
	return scene_run_tool(sc, out, "batonctl", "reload", NULL);
}

static void
change(struct scene *sc, const char *yaml)
{
	char *out;

	if (reload(sc, yaml, &out) != 0)
		fail_msg("%s", out);
	mem_free(out);
}

/* Requests that zone z1 answered, of REQUESTS. */
static unsigned
go_elsewhere(struct scene *sc)
{
	unsigned n = 0;

	for (int i = 0; i < REQUESTS; i++) {
		struct reply r = scene_get(sc, "/");

		assert_int_equal(r.status, 200);
		n += reply_header(&r, "x-origin")[1] >= '2';
		reply_free(&r);
	}
	return n;
}

static void
they_stay_while_our_zone_has_its_share(void **state)
{
	struct scene sc;

	proxy(&sc, CONF(API("", "HEALTHY", "HEALTHY"), PROXIES("HEALTHY", "HEALTHY")));
	assert_int_equal(go_elsewhere(&sc), 0);
	scene_wait_stat(&sc, "cluster.api.lb_zone_routing_all_directly", REQUESTS);
	assert_stat(&sc, "cluster.api.lb_zone_routing_cross_zone", 0);
	assert_stat(&sc, "cluster.api.zone.z0.z0.upstream_rq_200", REQUESTS);
	assert_stat(&sc, "cluster.api.zone.z0.z0.upstream_rq_completed", REQUESTS);
	assert_stat(&sc, "cluster.api.zone.z0.z1.upstream_rq_completed", -1);

	/* A third of the hosts for half of the proxies: two of three requests stay. */
	change(&sc, CONF(API("", "UNHEALTHY", "HEALTHY"), PROXIES("HEALTHY", "HEALTHY")));
	assert_in_range(go_elsewhere(&sc), 2, 38); /* a third of 60, five standard deviations */
	assert_true(scene_stat(&sc, "cluster.api.lb_zone_routing_sampled") > 0);
	assert_int_equal(scene_stat(&sc, "cluster.api.zone.z0.z1.upstream_rq_200"),
	    scene_stat(&sc, "cluster.api.lb_zone_routing_cross_zone"));

	/* A third of the proxies too. */
	change(&sc, CONF(API("", "UNHEALTHY", "HEALTHY"), PROXIES("UNHEALTHY", "HEALTHY")));
	WAIT_FOR(go_elsewhere(&sc) == 0);
	scene_fini(&sc);
}

static void
a_worker_that_comes_later_knows_where_it_is(void **state)
{
	struct scene sc;
	pid_t first;

	proxy(&sc, CONF(API("", "HEALTHY", "HEALTHY"), PROXIES("HEALTHY", "HEALTHY")));
	first = scene_child(&sc, "worker 1");
	assert_true(first > 0);
	kill(first, SIGKILL);
	scene_wait_child(&sc, "worker 1", first);
	WAIT_FOR(scene_status(&sc, "/") == 200);
	assert_int_equal(go_elsewhere(&sc), 0);
	scene_fini(&sc);
}

static void
proxies_in_panic_are_no_measure(void **state)
{
	struct scene sc;
	unsigned n;

	/* Every one of z0 and z1 but one: below half. */
	proxy(&sc,
	    CONF(API("", "HEALTHY", "HEALTHY"),
		CLUSTER("proxies", "",
		    ZONE("z0", "1", "2", "UNHEALTHY") ZONE("z1", "3", "4", "UNHEALTHY")
			ZONE("z2", "5", "6", "UNHEALTHY"))));
	assert_int_equal(go_elsewhere(&sc), 0); /* half of them is enough */
	change(&sc,
	    CONF(API("", "HEALTHY", "HEALTHY"),
		CLUSTER("proxies", "",
		    ZONE("z0", "1", "2", "UNHEALTHY")
		    "      - locality: {region: r, zone: z1}\n"
		    "        lb_endpoints:\n"
		    "        - health_status: UNHEALTHY\n"
		    "          endpoint: {address: {socket_address: {address: 127.0.0.1, "
		    "port_value: 3}}}\n")));
	WAIT_FOR(go_elsewhere(&sc) > 0);
	n = go_elsewhere(&sc);
	assert_in_range(n, REQUESTS / 4, REQUESTS * 3 / 4);
	assert_true(scene_stat(&sc, "cluster.api.lb_local_cluster_not_ok") > 0);
	scene_fini(&sc);
}

static void
in_panic_zones_do_not_count_or_requests_fail(void **state)
{
	struct scene sc;

#define MOSTLY_DOWN(fields)                                                                        \
	CLUSTER("api",                                                                             \
	    "    common_lb_config: {zone_aware_lb_config: {min_cluster_size: 1" fields "}}\n",      \
	    ZONE("z0", "@HOST0@", "@HOST1@", "UNHEALTHY")                                          \
	    ZONE("z1", "@HOST2@", "@HOST3@", "UNHEALTHY")                                          \
	    "      - locality: {region: r, zone: z2}\n"                                            \
	    "        lb_endpoints:\n"                                                              \
	    "        - health_status: UNHEALTHY\n"                                                 \
	    "          endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}\n")

	proxy(&sc, CONF(API("", "HEALTHY", "HEALTHY"), PROXIES("HEALTHY", "HEALTHY")));
	change(&sc, CONF(MOSTLY_DOWN(", fail_traffic_on_panic: true"), PROXIES("HEALTHY", "HEALTHY")));
	WAIT_FOR(scene_status(&sc, "/") == 503);
	assert_int_equal(scene_status(&sc, "/"), 503);
	assert_true(scene_stat(&sc, "cluster.api.lb_healthy_panic") > 0);
	assert_true(scene_stat(&sc, "cluster.api.upstream_cx_none_healthy") > 0);
	scene_fini(&sc);
}

static void
the_local_cluster_is_for_the_life_of_a_generation(void **state)
{
	struct scene sc;
	char *out;

	proxy(&sc, CONF(API("", "HEALTHY", "HEALTHY"), PROXIES("HEALTHY", "HEALTHY")));
	assert_int_equal(
	    reload(&sc,
		"admin:\n"
		"  address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n"
		"node: {id: n, cluster: c, locality: {region: r, zone: elsewhere}}\n" CONF_LISTENER(
		    "", CONF_ROUTE_ALL) CONF_CLUSTERS API("", "HEALTHY", "HEALTHY"),
		&out),
	    3);
	assert_non_null(
	    strstr(out, "cluster_manager.local_cluster_name: changed, and that needs a hot restart"));
	mem_free(out);
	assert_int_equal(go_elsewhere(&sc), 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(they_stay_while_our_zone_has_its_share),
	    cmocka_unit_test(a_worker_that_comes_later_knows_where_it_is),
	    cmocka_unit_test(proxies_in_panic_are_no_measure),
	    cmocka_unit_test(in_panic_zones_do_not_count_or_requests_fail),
	    cmocka_unit_test(the_local_cluster_is_for_the_life_of_a_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
