/* Answers that the proxy gives itself: status, body, flag, details, and what they count. */
#include "tests/harness/scene.h"

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

#define LOG                                                                                        \
	"          access_log:\n"                                                                  \
	"          - name: envoy.access_loggers.file\n"                                            \
	"            typed_config:\n"                                                              \
	"              \"@type\": type.googleapis.com/"                                           \
	"envoy.extensions.access_loggers.file.v3.FileAccessLog\n"                                  \
	"              path: \"@DIR@/access\"\n"                                                   \
	"              log_format: {text_format_source: {inline_string: "                          \
	"\"%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\\n\"}}\n"

static void
reset_without_answer(int fd, unsigned n, void *arg)
{
	char request[4096];

	if (read(fd, request, sizeof(request)) > 0)
		return;
}

static void
rubbish(int fd, unsigned n, void *arg)
{
	char request[4096];

	if (read(fd, request, sizeof(request)) > 0)
		client_send(fd, "SSH-2.0-nonsense\r\n\r\n");
}

static void
silent(int fd, unsigned n, void *arg)
{
	char byte;

	while (read(fd, &byte, 1) > 0)
		;
}

static const char config[] = CONF_ADMIN CONF_LISTENER_WITH("", LOG, "",
    "              - {match: {path: /direct}, direct_response: {status: 418, body: {inline_string: teapot}}}\n"
    "              - {match: {path: /redirect}, redirect: {https_redirect: true}}\n"
    "              - {match: {path: /refused}, route: {cluster: refused}}\n"
    "              - {match: {path: /reset}, route: {cluster: reset}}\n"
    "              - {match: {path: /rubbish}, route: {cluster: rubbish}}\n"
    "              - {match: {path: /slow}, route: {cluster: slow, timeout: 0.2s}}\n"
    "              - {match: {path: /nobody}, route: {cluster: nobody}}\n")
    CONF_CLUSTERS CONF_CLUSTER("refused", CONF_HOST("@HOST9@"), "")
    CONF_CLUSTER("reset", CONF_HOST("@HOST0@"), "")
    CONF_CLUSTER("rubbish", CONF_HOST("@HOST1@"), "")
    CONF_CLUSTER("slow", CONF_HOST("@HOST2@"), "")
    "  - {name: nobody, type: STATIC, load_assignment: {cluster_name: nobody}}\n";

static void
each_says_why(void **state)
{
#define BEFORE "upstream connect error or disconnect/reset before headers. reset reason: "
	static const struct {
		const char *path;
		int status;
		const char *body, *line;
	} rows[] = {
	    {"/direct", 418, "teapot", "/direct 418 - direct_response"},
	    {"/redirect", 301, "", "/redirect 301 - direct_response"},
	    {"/missing", 404, "", "/missing 404 NR route_not_found"},
	    {"/nobody", 503, "no healthy upstream", "/nobody 503 UH no_healthy_upstream"},
	    {"/refused", 503, BEFORE "remote connection failure", "/refused 503 UF "},
	    {"/reset", 503, BEFORE "connection termination", "/reset 503 UC "},
	    {"/rubbish", 502, BEFORE "protocol error", "/rubbish 502 UPE "},
	    {"/slow", 504, "upstream request timeout", "/slow 504 UT response_timeout"},
	};
	struct scene sc;
	int port_fd;

	scene_init(&sc);
	scene_host(&sc, reset_without_answer, NULL);
	scene_host(&sc, rubbish, NULL);
	scene_host(&sc, silent, NULL);
	/* A port that refuses: bound by us for the scene's life, never listening. */
	port_fd = scene_refusing_port(&sc.host_port[9]);
	scene_proxy(&sc, config);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply r = scene_get(&sc, rows[i].path);

		if (r.status != rows[i].status || strncmp(r.body, rows[i].body, strlen(rows[i].body)) != 0)
			fail_msg("%s: %d %s", rows[i].path, r.status, r.body);
		reply_free(&r);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		WAIT_FOR(scene_file_has(&sc, "access", rows[i].line));
	assert_stat(&sc, "http.ingress.no_route", 1);
	assert_stat(&sc, "http.ingress.rq_direct_response", 1);
	assert_stat(&sc, "http.ingress.rq_redirect", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_5xx", 5);
	assert_stat(&sc, "http.ingress.downstream_rq_4xx", 2);
	assert_stat(&sc, "cluster.nobody.upstream_cx_none_healthy", 1);
	assert_stat(&sc, "cluster.refused.upstream_cx_connect_fail", 1);
	assert_stat(&sc, "cluster.slow.upstream_rq_timeout", 1);
	assert_stat(&sc, "cluster.slow.upstream_rq_504", 1);
	assert_stat(&sc, "cluster.rubbish.upstream_cx_protocol_error", 1);
	close(port_fd);
	scene_fini(&sc);
}

static void
bad_requests_are_answered_and_never_forwarded(void **state)
{
	static const struct {
		const char *bytes;
		int status;
	} rows[] = {
	    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	    {"GET / HTTP/1.1\nHost: a\n\n", 400},
	    {"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400},
	    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
	    {"GET / HTTP/1.1\r\n\r\n", 400},
	    {"GET / HTTP/1.0\r\n\r\n", 426},
	    {"NONSENSE\r\n\r\n", 400},
	};
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SIMPLE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = client_connect(sc.port);
		struct reply r;

		client_send(fd, rows[i].bytes);
		r = client_reply(fd, false);
		if (r.status != rows[i].status)
			fail_msg("row %zu: %d", i, r.status);
		assert_true(client_closed(fd));
		reply_free(&r);
		close(fd);
	}
	assert_stat(&sc, "cluster.api.upstream_rq_total", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_4xx", 6);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_says_why),
	    cmocka_unit_test(bad_requests_are_answered_and_never_forwarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
