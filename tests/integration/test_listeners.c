/* Where a proxy listens, how it starts, and what it says when it cannot. */
#include "tests/harness/scene.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"
#include "tests/harness/killing.h"

#define LISTENERS "static_resources:\n  listeners:\n"
#define HCM(prefix, routes)                                                                        \
	"      - name: envoy.filters.network.http_connection_manager\n"                            \
	"        typed_config:\n"                                                                  \
	"          \"@type\": type.googleapis.com/"                                                \
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"      \
	"          stat_prefix: " prefix "\n"                                                      \
	"          http_filters:\n" CONF_ROUTER "          route_config:\n"                        \
	"            name: local\n"                                                                \
	"            virtual_hosts:\n"                                                             \
	"            - name: all\n"                                                                \
	"              domains: [\"*\"]\n"                                                         \
	"              routes:\n" routes
#define LISTENER(name, address, more)                                                              \
	"  - name: " name "\n"                                                                     \
	"    address: {" address "}\n" more "    filter_chains:\n"                                 \
	"    - filters:\n" HCM("ingress", CONF_ROUTE_ALL)
#define TCP(address, port) "socket_address: {address: \"" address "\", port_value: " port "}"
#define PIPE(path, more) "pipe: {path: \"" path "\"" more "}"
#define API CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static void
start(struct scene *sc, const char *workers, const char *yaml)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = workers;
	scene_proxy(sc, yaml);
}

static int
request_on(int fd)
{
	struct reply r;
	int status;

	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(fd, false);
	status = r.status;
	reply_free(&r);
	close(fd);
	return status;
}

/* 0: nobody listens. */
static int
ask_unix(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = strlen(path);

	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	else
		n++;
	if (connect(fd, (struct sockaddr *)&a,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0) {
		close(fd);
		return 0;
	}
	return request_on(fd);
}

static int
ask_ipv6(uint16_t port)
{
	struct sockaddr_in6 a = {
	    .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return 0;
	}
	return request_on(fd);
}

static int
ask_ipv4(uint16_t port)
{
	int fd = client_connect(port);

	return fd < 0 ? 0 : request_on(fd);
}

/* The port of the listener with this name. */
static uint16_t
port_of(struct scene *sc, const char *name)
{
	struct reply r = scene_admin(sc, "GET", "/listeners");
	char *key = mem_printf("%s::", name), *line = strstr(r.body, key);
	uint16_t port = 0;

	assert_non_null(line);
	line[strcspn(line, "\n")] = '\0';
	if (strrchr(line, ':'))
		port = (uint16_t)atoi(strrchr(line, ':') + 1);
	mem_free(key);
	reply_free(&r);
	return port;
}

static void
kill_all(struct scene *sc)
{
	static const char *const names[] = {"admin", "worker 1", "worker 2"};
	pid_t children[3];

	for (int i = 0; i < 3; i++)
		children[i] = scene_wait_child(sc, names[i], 0);
	kill(sc->proxy, SIGKILL);
	for (int i = 0; i < 3; i++)
		kill(children[i], SIGKILL);
	assert_int_equal(scene_wait_exit(sc), -SIGKILL);
}

static void
unix_sockets_by_path_and_abstract(void **state)
{
	struct scene sc;
	struct stat st;
	char *path, *name;

	start(&sc, "2",
	    CONF_ADMIN LISTENERS LISTENER("path", PIPE("@DIR@/in.sock", ", mode: 384"), "")
		LISTENER("abstract", PIPE("@@DIR@", ""), "") API);
	path = mem_printf("%s/in.sock", sc.dir);
	name = mem_printf("@%s", sc.dir);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(ask_unix(path), 200);
		assert_int_equal(ask_unix(name), 200);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 20);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_int_equal(access(path, F_OK), -1);
	/* One that was left behind by a crash is taken over. */
	scene_proxy(&sc, CONF_ADMIN LISTENERS LISTENER("path", PIPE("@DIR@/in.sock", ""), "") API);
	kill_all(&sc);
	WAIT_FOR(ask_unix(path) == 0);
	assert_int_equal(access(path, F_OK), 0);
	scene_proxy(&sc, CONF_ADMIN LISTENERS LISTENER("path", PIPE("@DIR@/in.sock", ""), "") API);
	assert_int_equal(ask_unix(path), 200);
	mem_free(path);
	mem_free(name);
	scene_fini(&sc);
}

/* The path belongs to who serves: to a generation, or to orphans. */
static void
a_refused_start_leaves_the_path_of_a_socket(void **state)
{
	static const char yaml[] = CONF_ADMIN LISTENERS LISTENER("u", PIPE("@DIR@/sock", ""), "") API;
	struct scene sc;
	char *path, *config, *out;

	start(&sc, "1", yaml);
	path = mem_printf("%s/sock", sc.dir);
	config = mem_printf("%s/baton.yaml", sc.dir);
	scene_write_config(&sc, "static_resources:\n  listenrs: []\n");
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "hot-restart", NULL), 3);
	mem_free(out);
	assert_int_equal(ask_unix(path), 200);
	kill(sc.proxy, SIGKILL);
	scene_wait_exit(&sc);
	assert_int_equal(scene_run(&sc, &out, "-c", config, NULL), 1);
	mem_free(out);
	assert_int_equal(ask_unix(path), 200);
	scene_write_config(&sc, yaml);
	generation_start(&sc, NULL); /* serves itself: orphans answer at the admin port, too */
	assert_int_equal(ask_unix(path), 200);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_int_equal(access(path, F_OK), -1);
	mem_free(config);
	mem_free(path);
	scene_fini(&sc);
}

/* Requests that came to us by it: the same port of IPv4 alone may be somebody else's. */
static int64_t
came(struct scene *sc, int (*ask)(uint16_t port), uint16_t port)
{
	int64_t before = scene_stat(sc, "http.ingress.downstream_rq_total");

	ask(port);
	return scene_stat(sc, "http.ingress.downstream_rq_total") - before;
}

static void
ipv6_alone_or_with_ipv4(void **state)
{
	struct scene sc;
	uint16_t six, both, loop;

	start(&sc, "2",
	    CONF_ADMIN LISTENERS LISTENER("six", TCP("::", "0"), "") LISTENER(
		"both", "socket_address: {address: \"::\", port_value: 0, ipv4_compat: true}", "")
		LISTENER("loop", TCP("::1", "0"), "") API);
	six = port_of(&sc, "six");
	both = port_of(&sc, "both");
	loop = port_of(&sc, "loop");
	assert_int_equal(came(&sc, ask_ipv6, six), 1);
	assert_int_equal(came(&sc, ask_ipv4, six), 0);
	assert_int_equal(came(&sc, ask_ipv6, both), 1);
	assert_int_equal(came(&sc, ask_ipv4, both), 1);
	assert_int_equal(came(&sc, ask_ipv6, loop), 1);
	assert_int_equal(came(&sc, ask_ipv4, loop), 0);
	scene_fini(&sc);
}

static void
one_socket_for_all_workers(void **state)
{
	struct scene sc;
	pid_t worker;

	start(&sc, "2",
	    CONF_ADMIN LISTENERS LISTENER(
		"main", TCP("127.0.0.1", "0"), "    enable_reuse_port: false\n") API);
	for (int i = 0; i < 20; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	worker = scene_child(&sc, "worker 1");
	kill(worker, SIGKILL);
	for (int i = 0; i < 50; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	scene_wait_child(&sc, "worker 1", worker);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

static void
each_of_three_workers_gets_its_share(void **state)
{
	struct scene sc;
	int64_t sum = 0;

	start(&sc, "3", CONF_SIMPLE);
	for (int i = 0; i < 150; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_cx_total", 150);
	for (int i = 0; i < 3; i++) {
		char *name =
		    mem_printf("listener.127.0.0.1_%u.worker_%d.downstream_cx_total", 0, i);
		int64_t n = scene_stat(&sc, name);

		if (n <= 0)
			fail_msg("%s is %lld", name, (long long)n);
		sum += n;
		mem_free(name);
	}
	assert_int_equal(sum, 150);
	scene_fini(&sc);
}

static void
two_listeners_share_a_stat_prefix(void **state)
{
	struct scene sc;

	start(&sc, "1",
	    CONF_ADMIN LISTENERS LISTENER("a", TCP("127.0.0.1", "0"), "")
		LISTENER("b", TCP("127.0.0.1", "0"), "    stat_prefix: second\n") API);
	assert_int_equal(ask_ipv4(port_of(&sc, "a")), 200);
	assert_int_equal(ask_ipv4(port_of(&sc, "b")), 200);
	assert_int_equal(ask_ipv4(port_of(&sc, "b")), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 3);
	assert_stat(&sc, "listener.second.downstream_cx_total", 2);
	assert_stat(&sc, "listener.second.http.ingress.downstream_rq_2xx", 2);
	assert_stat(&sc, "listener_manager.total_listeners_active", 2);
	scene_fini(&sc);
}

static void
a_default_chain_and_a_listener_without_port(void **state)
{
	struct scene sc;
	uint16_t port;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	fd = scene_refusing_port(&port);
	close(fd);
	sc.host_port[9] = port;
	scene_proxy(&sc, CONF_ADMIN LISTENERS
	    "  - name: main\n"
	    "    address: {" TCP("127.0.0.1",
		"0") "}\n"
		     "    default_filter_chain:\n"
		     "      filters:\n" HCM("ingress", CONF_ROUTE_ALL) LISTENER(
			 "unbound", TCP("127.0.0.1", "@HOST9@"), "    bind_to_port: false\n") API);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(client_connect(port), -1);
	scene_fini(&sc);
}

static void
names_are_resolved_at_start(void **state)
{
	struct scene sc;
	char *config, *out;

	start(&sc, "1",
	    CONF_ADMIN CONF_LISTENER("", "              - {match: {prefix: /logical}, route: "
					 "{cluster: logical}}\n" CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n    type: STRICT_DNS\n    dns_lookup_family: V4_ONLY\n    "
	    "load_assignment:\n"
	    "      cluster_name: api\n      endpoints:\n      - lb_endpoints:\n"
	    "        - endpoint: {address: {" TCP("localhost",
		"@HOST0@") "}}\n"
			   "  - name: logical\n    type: LOGICAL_DNS\n    dns_lookup_family: "
			   "V4_ONLY\n    load_assignment:\n"
			   "      cluster_name: logical\n      endpoints:\n      - lb_endpoints:\n"
			   "        - endpoint: {address: {" TCP("localhost", "@HOST0@") "}}\n");
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(scene_status(&sc, "/logical"), 200);
	assert_stat(&sc, "cluster.api.membership_total", 1);
	scene_fini(&sc);

	/* Nobody of that name: it starts all the same, and says so. */
	start(&sc, "1",
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n    type: STRICT_DNS\n    load_assignment:\n"
	    "      cluster_name: api\n      endpoints:\n      - lb_endpoints:\n"
	    "        - endpoint: {address: {" TCP("nobody.invalid", "80") "}}\n");
	assert_int_equal(scene_status(&sc, "/"), 503);
	scene_wait_log(&sc, "nobody.invalid");
	config = mem_printf("%s/baton.yaml", sc.dir);
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--mode", "validate", NULL), 0);
	mem_free(out);
	mem_free(config);
	scene_fini(&sc);
}

/* Starts baton, which must say `want` and exit with `status`. */
static void
expect_exit(struct scene *sc, int status, const char *want, const char *a, const char *b,
    const char *c, const char *d)
{
	char *config = mem_printf("%s/baton.yaml", sc->dir), *out;
	int got = scene_run(sc, &out, "-c", config, a, b, c, d, NULL);

	if (got != status || strstr(out, want) == NULL)
		fail_msg("exit %d, no '%s' in:\n%s", got, want, out);
	mem_free(out);
	mem_free(config);
}

static void
a_start_that_cannot_be_says_what_is_in_the_way(void **state)
{
	struct scene sc;
	char *taken;

	scene_init(&sc);
	scene_origin(&sc, "one");
	taken = mem_printf("127.0.0.1:%u", sc.host_port[0]);
	scene_write_config(
	    &sc, CONF_ADMIN LISTENERS LISTENER("taken", TCP("127.0.0.1", "@HOST0@"), "") API);
	expect_exit(&sc, 1, taken, NULL, NULL, NULL, NULL);
	expect_exit(&sc, 1, "listener: 'taken'", NULL, NULL, NULL, NULL);
	scene_write_config(&sc, "admin: {address: {" TCP("127.0.0.1", "@HOST0@") "}}\n");
	expect_exit(&sc, 1, taken, NULL, NULL, NULL, NULL);
	scene_write_config(
	    &sc, CONF_ADMIN LISTENERS LISTENER("far", TCP("192.0.2.1", "8000"), "") API);
	expect_exit(&sc, 1, "192.0.2.1:8000", NULL, NULL, NULL, NULL);
	scene_write_config(
	    &sc, CONF_ADMIN LISTENERS LISTENER("path", PIPE("@DIR@/none/in.sock", ""), "") API);
	expect_exit(&sc, 1, "/none/in.sock", NULL, NULL, NULL, NULL);
	scene_write_config(&sc, CONF_SIMPLE);
	expect_exit(&sc, 1, "there is no baton to take over from", "--restart-epoch", "1", NULL, NULL);
	expect_exit(&sc, 1, "--concurrency", "--concurrency", "x", NULL, NULL);
	expect_exit(&sc, 1, "--runtime-dir", "--runtime-dir", "/proc/none", NULL, NULL);
	mem_free(taken);
	scene_fini(&sc);
}

static void
too_few_descriptors_are_said_at_start(void **state)
{
	struct scene sc;
	char *config, *out;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_write_config(&sc, CONF_SIMPLE);
	config = mem_printf("%s/baton.yaml", sc.dir);
	assert_int_equal(scene_run_tool(&sc, &out, "/usr/bin/prlimit", "--nofile=30:30",
			     scene_program("baton"), "--runtime-dir", sc.dir, "-c", config, NULL),
	    1);
	assert_non_null(strstr(out, "the limit of open files is 30"));
	mem_free(out);
	mem_free(config);
	scene_fini(&sc);
}

static void
init_only_builds_everything_and_serves_nothing(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_write_config(&sc, CONF_SIMPLE);
	expect_exit(&sc, 0, "", "--mode", "init_only", NULL, NULL);
	scene_fini(&sc);
}

static void
two_base_ids_live_side_by_side(void **state)
{
	struct scene sc, other;
	char *pid_file, *pid, *out;

	start(&sc, "1", CONF_SIMPLE);
	/* The same directory, another base id. */
	memset(&other, 0, sizeof(other));
	memcpy(other.dir, sc.dir, sizeof(sc.dir));
	other.log = mem_printf("%s/other.log", sc.dir);
	pid_file = mem_printf("%s/pid", sc.dir);
	other.host_port[0] = sc.host_port[0];
	other.extra[0] = "--base-id";
	other.extra[1] = "1";
	other.extra[2] = "--pid-file";
	other.extra[3] = pid_file;
	scene_proxy(&other, CONF_SIMPLE);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(scene_status(&other, "/"), 200);
	assert_int_equal(scene_status(&other, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	assert_stat(&other, "http.ingress.downstream_rq_2xx", 2);
	pid = scene_file(&other, "pid");
	assert_int_equal(atoi(pid), other.proxy);
	mem_free(pid);
	assert_int_equal(scene_run_tool(&sc, &out, "batonstat", "--base-id", "1", "-f",
			     "*downstream_rq_2xx", NULL),
	    0);
	assert_non_null(strstr(out, "http.ingress.downstream_rq_2xx: 2\n"));
	mem_free(out);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "--base-id", "1", "stop", NULL), 0);
	mem_free(out);
	assert_int_equal(scene_wait_exit(&other), 0);
	assert_int_equal(access(pid_file, F_OK), -1);
	assert_int_equal(scene_status(&sc, "/"), 200);
	mem_free(pid_file);
	mem_free(other.log);
	scene_fini(&sc);
}

static void
a_clean_end_leaves_nothing(void **state)
{
	struct scene sc;
	char *path;

	start(&sc, "1", CONF_SIMPLE);
	assert_int_equal(scene_status(&sc, "/"), 200);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	path = mem_printf("%s/0/g1", sc.dir);
	assert_int_equal(access(path, F_OK), -1);
	mem_free(path);
	path = mem_printf("%s/0/control.sock", sc.dir);
	assert_int_equal(access(path, F_OK), -1);
	mem_free(path);
	scene_proxy(&sc, CONF_SIMPLE);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 1);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unix_sockets_by_path_and_abstract),
	    cmocka_unit_test(a_refused_start_leaves_the_path_of_a_socket),
	    cmocka_unit_test(ipv6_alone_or_with_ipv4),
	    cmocka_unit_test(one_socket_for_all_workers),
	    cmocka_unit_test(each_of_three_workers_gets_its_share),
	    cmocka_unit_test(two_listeners_share_a_stat_prefix),
	    cmocka_unit_test(a_default_chain_and_a_listener_without_port),
	    cmocka_unit_test(names_are_resolved_at_start),
	    cmocka_unit_test(a_start_that_cannot_be_says_what_is_in_the_way),
	    cmocka_unit_test(too_few_descriptors_are_said_at_start),
	    cmocka_unit_test(init_only_builds_everything_and_serves_nothing),
	    cmocka_unit_test(two_base_ids_live_side_by_side),
	    cmocka_unit_test(a_clean_end_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
