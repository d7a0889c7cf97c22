/* What the scenes of a changing configuration share: its texts, the reload, and what one asks then. */
#ifndef TESTS_RELOAD_H
#define TESTS_RELOAD_H

#include "tests/harness/scene.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define DIRECT(text)                                                                               \
	"              - match: {path: /word}\n"                                                   \
	"                direct_response: {status: 200, body: {inline_string: " text "}}\n"
#define CONF_WORD(text)                                                                            \
	CONF_ADMIN CONF_LISTENER("", DIRECT(text) CONF_ROUTE_ALL)                                  \
	    CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

#define SECOND(name, port)                                                                         \
	"  - name: " name "\n"                                                                     \
	"    stat_prefix: " name "\n"                                                              \
	"    address: {socket_address: {address: 127.0.0.1, port_value: " port "}}\n"              \
	"    filter_chains:\n"                                                                     \
	"    - filters:\n"                                                                         \
	"      - name: envoy.filters.network.http_connection_manager\n"                            \
	"        typed_config:\n"                                                                  \
	"          \"@type\": type.googleapis.com/"                                                \
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"      \
	"          stat_prefix: " name "\n"                                                        \
	"          http_filters:\n" CONF_ROUTER                                                    \
	"          route_config: {virtual_hosts: [{name: all, domains: [\"*\"], routes: "          \
	"[{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: " name         \
	"}}}]}]}\n"
#define CONF_TWO_LISTENERS(port)                                                                   \
	CONF_ADMIN CONF_LISTENER("", DIRECT("one") CONF_ROUTE_ALL) SECOND("second", port)          \
	    CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static inline void
proxy(struct scene *sc, const char *yaml)
{
	scene_init(sc);
	scene_origin(sc, "one");
	scene_origin(sc, "two");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	sc->extra[2] = "--component-log-level";
	sc->extra[3] = "config:debug";
	scene_proxy(sc, yaml);
}

/* Gives the exit status of `batonctl reload`; its words go to *out when that is wanted. */
static inline int
reload(struct scene *sc, const char *yaml, char **out)
{
	char *text;
	int status;

	if (yaml)
		scene_write_config(sc, yaml);
	status = scene_run_tool(sc, &text, "batonctl", "reload", NULL);
	if (out)
		*out = text;
	else
		mem_free(text);
	return status;
}

static inline void
expect_body(struct scene *sc, const char *path, const char *text)
{
	struct reply r = scene_get(sc, path);

	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, text);
	reply_free(&r);
}

static inline uint16_t
port_of(struct scene *sc, const char *name)
{
	struct reply r = scene_admin(sc, "GET", "/listeners");
	char *key = mem_printf("%s::", name), *at = strstr(r.body, key), *colon;
	uint16_t port = 0;

	if (at) {
		at[strcspn(at, "\n")] = '\0';
		colon = strrchr(at, ':');
		port = (uint16_t)atoi(colon + 1);
	}
	mem_free(key);
	reply_free(&r);
	return port;
}

#endif
