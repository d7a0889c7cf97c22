/* What the scenes of trying again share: a proxy in front of scripted hosts, with a log of attempts. */
#ifndef TESTS_RETRY_H
#define TESTS_RETRY_H

#include "tests/harness/script.h"

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define LOG                                                                                        \
	"          access_log:\n"                                                                  \
	"          - name: envoy.access_loggers.file\n"                                            \
	"            typed_config:\n"                                                              \
	"              \"@type\": type.googleapis.com/"                                            \
	"envoy.extensions.access_loggers.file.v3.FileAccessLog\n"                                  \
	"              path: \"@DIR@/access.log\"\n"                                               \
	"              log_format: {text_format_source: {inline_string: \"%REQ(:PATH)% "           \
	"%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% "                       \
	"%RESPONSE_CODE_DETAILS%\\n\"}}\n"
#define INTERNAL                                                                                   \
	"          use_remote_address: true\n"                                                     \
	"          internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.1, prefix_len: 32}]}\n"

#define FAST "retry_back_off: {base_interval: 0.002s, max_interval: 0.004s}"
/* A retry that is ordered and never comes: the time until then is random, from nothing to this. */
#define NEVER "retry_back_off: {base_interval: 10000000s, max_interval: 10000000s}"
#define POLICY(more) "retry_policy: {" FAST ", " more "}"
#define ROUTE(prefix, cluster, more)                                                               \
	"              - {match: {prefix: " prefix "}, route: {cluster: " cluster ", " more "}}\n"
#define TWO_HOSTS CONF_HOST("@HOST0@") CONF_HOST("@HOST1@")
#define BREAKERS(limits) "    circuit_breakers: {thresholds: [" limits "]}\n"

static inline void
run(struct scene *sc, const char *yaml)
{
	sc->extra[0] = "--file-flush-interval-msec";
	sc->extra[1] = "20";
	sc->extra[2] = "--concurrency";
	sc->extra[3] = "1";
	scene_proxy(sc, yaml);
}

/* Two scripted HTTP/1 hosts in one cluster, this route for everything. */
#define start_two(sc, hcm, route, cluster)                                                         \
	do {                                                                                       \
		scene_init(sc);                                                                    \
		scene_scripted(sc, "one", false);                                                  \
		scene_scripted(sc, "two", false);                                                  \
		run(sc, CONF_ADMIN CONF_LISTENER_WITH("", LOG hcm, "", ROUTE("/", "api", route))    \
			CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, cluster));                    \
	} while (0)

static inline void
expect_log(struct scene *sc, const char *line)
{
	WAIT_FOR(scene_file_has(sc, "access.log", line));
}

static inline int
get(struct scene *sc, const char *path, const char *headers)
{
	struct reply r = scene_request(sc, sc->port, "GET", path, headers, NULL);
	int status = r.status;

	reply_free(&r);
	return status;
}

static inline void
both(struct scene *sc, struct rule rule)
{
	script_add(sc, 0, rule);
	script_add(sc, 1, rule);
}

static inline unsigned
seen(struct scene *sc, unsigned host)
{
	return script_of(sc, host)->requests;
}

#endif
