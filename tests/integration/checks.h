/* What the scenes of active health checks share: hosts that are checked, and who gets requests. */
#ifndef TESTS_CHECKS_H
#define TESTS_CHECKS_H

#include "tests/harness/configs.h"
#include "tests/harness/script.h"

/* Fields of every check here; no panic, so that a failed host gets nothing. */
#define CHECK(timeout, healthy, unhealthy, more)                                                   \
	"    common_lb_config: {healthy_panic_threshold: {value: 0}}\n"                            \
	"    health_checks:\n"                                                                     \
	"    - timeout: " timeout "\n"                                                             \
	"      interval: 0.05s\n"                                                                  \
	"      no_traffic_interval: 0.05s\n"                                                       \
	"      healthy_threshold: " healthy "\n"                                                   \
	"      unhealthy_threshold: " unhealthy "\n" more
#define HTTP_CHECK "      http_health_check: {path: /health}\n"

#define ONE_HOST CONF_HOST("@HOST0@")
#define TWO_HOSTS CONF_HOST("@HOST0@") CONF_HOST("@HOST1@")
#define CONF(hosts, check)                                                                         \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api", hosts, check)

#define HEALTHY_HOSTS "cluster.api.health_check.healthy"

static inline void
start_two(struct scene *sc, const char *yaml)
{
	scene_init(sc);
	scene_scripted(sc, "one", false);
	scene_scripted(sc, "two", false);
	scene_proxy(sc, yaml);
}

/* Do all of n requests end at the host of this name? */
static inline bool
all_reach(struct scene *sc, const char *name, int n)
{
	for (int i = 0; i < n; i++) {
		struct reply r = scene_get(sc, "/");
		bool there = r.status == 200 && strstr(r.body, name);

		reply_free(&r);
		if (!there)
			return false;
	}
	return true;
}

static inline void
wait_for_passes(struct scene *sc, int n)
{
	const char *name = "cluster.api.health_check.success";

	scene_wait_stat(sc, name, scene_stat(sc, name) + n);
}

#endif
