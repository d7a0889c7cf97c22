/*
 * What the scenes of members from a control plane share: a scene with a
 * plane as its host 0, and the beginning that most of them have.
 */
#ifndef TESTS_EDS_H
#define TESTS_EDS_H

#include "tests/harness/configs.h"
#include "tests/harness/xds.h"

#define CONF_EDS(name, more)                                                                       \
	"  - name: " name "\n"                                                                     \
	"    connect_timeout: 1s\n"                                                                \
	"    type: EDS\n" more                                                                     \
	"    eds_cluster_config:\n"                                                                \
	"      eds_config:\n"                                                                      \
	"        resource_api_version: V3\n"                                                       \
	"        api_config_source:\n"                                                             \
	"          api_type: GRPC\n"                                                               \
	"          transport_api_version: V3\n"                                                    \
	"          grpc_services: [{envoy_grpc: {cluster_name: plane}}]\n"

#define CONF_PLANE                                                                                 \
	CONF_CLUSTER("plane", CONF_HOST("@HOST0@"), "    http2_protocol_options: {}\n")

#define CONF_API                                                                                   \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_PLANE CONF_EDS("api", "")

struct eds_scene {
	struct scene sc;
	struct plane plane;
};

static inline int
setup(void **state)
{
	struct eds_scene *e = test_calloc(1, sizeof(*e));

	scene_init(&e->sc);
	plane_start(&e->sc, &e->plane);
	*state = e;
	return 0;
}

static inline int
teardown(void **state)
{
	struct eds_scene *e = *state;

	scene_fini(&e->sc);
	close(e->plane.fd);
	test_free(e);
	return 0;
}

/* Starts the proxy, answers its first request with the host, and waits until it serves. */
static inline void
begin_with_one_member(struct eds_scene *e, const char *config, struct plane_request *r)
{
	unsigned host = scene_origin(&e->sc, "one");

	scene_proxy_begin(&e->sc, config);
	plane_next(&e->plane, r);
	plane_members(&e->plane, r->stream, "v1", "n1", "api", &e->sc.host_port[host], 1);
	plane_wait(&e->plane, r, "v1", "n1");
	assert_false(r->has_error);
	scene_find_ports(&e->sc);
}

#endif
