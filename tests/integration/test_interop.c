/* gRPC (grpc-js) and WebSocket (ws) clients and servers on both sides of the proxy. */
#include "tests/harness/scene.h"

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define SCRIPT "tests/interop/interop.js"

static const char config[] = CONF_ADMIN CONF_LISTENER_WITH("",
    "          http2_protocol_options: {allow_connect: true}\n"
    "          upgrade_configs: [{upgrade_type: websocket}]\n",
    "",
    "              - {match: {prefix: /test.Echo/}, route: {cluster: grpc, timeout: 0s}}\n"
    "              - {match: {prefix: /ws}, route: {cluster: ws}}\n") CONF_CLUSTERS
    CONF_CLUSTER("grpc", CONF_HOST("@HOST0@"), CONF_HTTP2)
	CONF_CLUSTER("ws", CONF_HOST("@HOST1@"), "");

static void
start(struct scene *sc)
{
	scene_init(sc);
	scene_two_ports(sc, "node", SCRIPT, "servers");
	scene_proxy(sc, config);
}

static void
check(struct scene *sc, const char *what)
{
	char port[8], *out;

	snprintf(port, sizeof(port), "%u", sc->port);
	if (scene_run_tool(sc, &out, "/usr/bin/env", "node", SCRIPT, what, port, NULL) != 0)
		fail_msg("%s: %s", what, out);
	mem_free(out);
}

static void
grpc_passes_untouched(void **state)
{
	struct scene sc;

	start(&sc);
	check(&sc, "grpc");
	assert_stat(&sc, "cluster.grpc.upstream_rq_active", 0);
	assert_true(scene_stat(&sc, "cluster.grpc.upstream_rq_200") >= 5);
	scene_fini(&sc);
}

static void
websocket_passes_through_http1(void **state)
{
	struct scene sc;

	start(&sc);
	check(&sc, "ws");
	assert_stat(&sc, "http.ingress.downstream_cx_upgrades_total", 1);
	assert_stat(&sc, "http.ingress.downstream_cx_upgrades_active", 0);
	scene_fini(&sc);
}

static void
websocket_passes_through_an_extended_connect(void **state)
{
	struct scene sc;

	start(&sc);
	check(&sc, "ws-h2");
	assert_stat(&sc, "http.ingress.downstream_cx_upgrades_total", 1);
	assert_stat(&sc, "http.ingress.downstream_cx_upgrades_active", 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grpc_passes_untouched),
	    cmocka_unit_test(websocket_passes_through_http1),
	    cmocka_unit_test(websocket_passes_through_an_extended_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
