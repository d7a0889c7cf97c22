/* HTTP/2 on either side, asked by curl and h2load. */
#include "tests/harness/scene.h"

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

static char *
curl(struct scene *sc, const char *option, const char *path)
{
	char *url = mem_printf("http://127.0.0.1:%u%s", sc->port, path);
	char *out;

	assert_int_equal(scene_run_tool(sc, &out, "/usr/bin/curl", "-sS", "--max-time", "20", "-o",
			     "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}\n",
			     option, url, NULL),
	    0);
	mem_free(url);
	return out;
}

static void
expect_curl(struct scene *sc, const char *option, const char *path, const char *want)
{
	char *out = curl(sc, option, path);

	assert_string_equal(out, want);
	mem_free(out);
}

static void
one_listener_speaks_both_protocols(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_proxy(&sc, CONF_SIMPLE);
	expect_curl(&sc, "--http2-prior-knowledge", "/?size=1000", "2 200 1000\n");
	expect_curl(&sc, "--http1.1", "/?size=1000", "1.1 200 1000\n");
	expect_curl(&sc, "--http2-prior-knowledge", "/?size=3000000", "2 200 3000000\n");
	expect_curl(&sc, "--http2-prior-knowledge", "/?status=404&size=5", "2 404 5\n");
	assert_stat(&sc, "http.ingress.downstream_cx_http2_total", 3);
	assert_stat(&sc, "http.ingress.downstream_cx_http1_total", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_http2_total", 3);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	assert_stat(&sc, "http2.streams_active", 0);
	scene_fini(&sc);
}

static void
both_sides_in_all_four_combinations(void **state)
{
	struct scene front, back;

	/* back: an HTTP/2 (and HTTP/1) server with a direct answer; front: a proxy to it by HTTP/2. */
	scene_init(&back);
	scene_origin(&back, "one");
	scene_proxy(&back, CONF_SIMPLE);
	scene_init(&front);
	front.extra[0] = "--concurrency";
	front.extra[1] = "1";
	front.host_port[0] = back.port;
	scene_proxy(&front, CONF_ADMIN CONF_LISTENER("",
			       "              - {match: {prefix: /two}, route: {cluster: two}}\n"
			       "              - {match: {prefix: /}, route: {cluster: one}}\n")
		CONF_CLUSTERS CONF_CLUSTER("one", CONF_HOST("@HOST0@"), "")
		    CONF_CLUSTER("two", CONF_HOST("@HOST0@"), CONF_HTTP2));
	expect_curl(&front, "--http1.1", "/one?size=70000", "1.1 200 70000\n");
	expect_curl(&front, "--http1.1", "/two?size=70000", "1.1 200 70000\n");
	expect_curl(&front, "--http2-prior-knowledge", "/one?size=70000", "2 200 70000\n");
	expect_curl(&front, "--http2-prior-knowledge", "/two?size=70000", "2 200 70000\n");
	assert_stat(&front, "cluster.two.upstream_cx_http2_total", 1);
	assert_stat(&front, "cluster.two.upstream_rq_200", 2);
	assert_stat(&front, "cluster.two.http2.streams_active", 0);
	assert_stat(&back, "http.ingress.downstream_rq_http2_total", 2);
	scene_fini(&front);
	scene_fini(&back);
}

static void
many_streams_share_few_connections(void **state)
{
	struct scene sc;
	char *url, *out;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	url = mem_printf("http://127.0.0.1:%u/?size=100", sc.port);
	assert_int_equal(scene_run_tool(&sc, &out, "/usr/bin/h2load", "-n", "2000", "-c", "4", "-m",
			     "16", url, NULL),
	    0);
	assert_non_null(strstr(out, "2000 succeeded, 0 failed"));
	assert_non_null(strstr(out, "status codes: 2000 2xx"));
	mem_free(out);
	mem_free(url);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 2000);
	assert_stat(&sc, "http.ingress.downstream_cx_total", 4);
	assert_stat(&sc, "cluster.api.upstream_rq_200", 2000);
	assert_stat(&sc, "cluster.api.upstream_rq_active", 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_listener_speaks_both_protocols),
	    cmocka_unit_test(both_sides_in_all_four_combinations),
	    cmocka_unit_test(many_streams_share_few_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
