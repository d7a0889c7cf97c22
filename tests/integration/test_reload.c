/*
 * The configuration changes while clients are served: all of it or
 * nothing, and nobody notices.  What else may happen before a reload is in
 * force: test_reload_barrier.c.
 */
#include "tests/integration/reload.h"

#include <sys/wait.h>

#include "tests/harness/load.h"

static void
expect_word(int fd, const char *text)
{
	struct reply r;

	client_get(fd, "/word");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, text);
	assert_null(reply_header(&r, "connection"));
	reply_free(&r);
}

/* Snapshots that were freed by all workers so far. */
static unsigned
snapshots_freed(struct scene *sc)
{
	char *log = scene_log(sc), *at = log;
	unsigned n = 0;

	for (; (at = strstr(at, "snapshot: freed")) != NULL; at++)
		n++;
	mem_free(log);
	return n;
}

static const char *const paths[] = {"/", "/word", "/?size=3000", NULL}; /* of the load */

static void
a_changed_route_is_seen_by_everybody_and_fails_nobody(void **state)
{
	struct scene sc;
	struct load *load;
	char *out;
	int old;

	proxy(&sc, CONF_WORD("one"));
	old = client_connect(sc.port);
	expect_word(old, "one");
	load = load_start(&sc, paths);
	load_more(load, 100);
	assert_int_equal(reload(&sc, CONF_WORD("two"), &out), 0);
	assert_string_equal(out, "listeners: 1 changed\n");
	mem_free(out);
	expect_word(old, "two"); /* the same connection */
	expect_body(&sc, "/word", "two");
	load_more(load, 100);
	assert_true(load_end(load) >= 200);
	assert_stat(&sc, "listener_manager.listener_added", 1);
	assert_stat(&sc, "listener_manager.listener_modified", 1);
	assert_stat(&sc, "listener_manager.total_listeners_active", 1);
	assert_stat(&sc, "listener_manager.total_listeners_draining", 0);
	assert_stat(&sc, "cluster_manager.cluster_modified", 0);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 1);
	/* Everybody moved on: each worker let the first one go, with idle connections open. */
	WAIT_FOR(snapshots_freed(&sc) == 2);
	close(old);
	scene_fini(&sc);
}

static void
a_request_ends_under_what_it_began_with(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	proxy(&sc, CONF_WORD("one"));
	fd = client_connect(sc.port);
	client_get(fd, "/?delay_ms=500");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(reload(&sc,
			     CONF_ADMIN CONF_LISTENER("", DIRECT("two"))
				 CONF_CLUSTERS CONF_CLUSTER("other", CONF_HOST("@HOST1@"), ""),
			     NULL),
	    0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "x-origin"), "one");
	reply_free(&r);
	expect_word(fd, "two");
	close(fd);
	assert_stat(&sc, "cluster_manager.cluster_added", 2);
	assert_stat(&sc, "cluster_manager.cluster_removed", 1);
	assert_stat(&sc, "cluster_manager.active_clusters", 1);
	WAIT_FOR(snapshots_freed(&sc) == 2);
	scene_fini(&sc);
}

static void
an_added_listener_serves_and_a_removed_one_drains(void **state)
{
	struct scene sc;
	struct load *load;
	struct reply r;
	uint16_t port;
	int fd, idle;
	char *out;

	proxy(&sc, CONF_WORD("one"));
	load = load_start(&sc, paths);
	assert_int_equal(reload(&sc, CONF_TWO_LISTENERS("0"), &out), 0);
	assert_string_equal(out, "listeners: 1 added\n");
	mem_free(out);
	port = port_of(&sc, "second");
	assert_int_not_equal(port, 0);
	fd = client_connect(port);
	idle = client_connect(port);
	expect_word(fd, "second");
	expect_word(idle, "second");
	assert_stat(&sc, "listener_manager.total_listeners_active", 2);
	assert_stat(&sc, "http.second.downstream_cx_active", 2);

	assert_int_equal(reload(&sc, CONF_WORD("one"), &out), 0);
	assert_string_equal(out, "listeners: 1 removed\n");
	mem_free(out);
	WAIT_FOR(client_connect(port) == -1);
	assert_stat(&sc, "listener_manager.listener_removed", 1);
	assert_stat(&sc, "listener_manager.total_listeners_active", 1);
	assert_stat(&sc, "listener_manager.total_listeners_draining", 1);
	expect_word(fd, "second"); /* nobody is cut; the window is ten minutes long */
	close(fd);
	client_get(idle, "/");
	r = client_reply(idle, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(idle);
	assert_stat(&sc, "listener_manager.total_listeners_draining", 0);
	assert_stat(&sc, "http.second.downstream_rq_total", 4);
	load_end(load);
	scene_fini(&sc);
}

static void
connections_of_a_removed_listener_are_told_or_end_with_the_window(void **state)
{
	struct scene sc;
	struct reply r;
	uint16_t port;
	int busy, idle;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--drain-time-s";
	sc.extra[1] = "2";
	scene_proxy(&sc, CONF_TWO_LISTENERS("0"));
	port = port_of(&sc, "second");
	busy = client_connect(port);
	idle = client_connect(port);
	expect_word(busy, "second");
	expect_word(idle, "second");
	assert_int_equal(reload(&sc, CONF_WORD("one"), NULL), 0);
	do { /* told at the latest after a quarter of the window */
		bool told;

		client_get(busy, "/");
		r = client_reply(busy, false);
		assert_int_equal(r.status, 200);
		told = reply_header(&r, "connection") != NULL;
		reply_free(&r);
		if (told)
			break;
		scene_pause();
	} while (true);
	assert_true(client_closed(busy));
	assert_true(client_closed(idle));
	close(busy);
	close(idle);
	scene_fini(&sc);
}

static void
changed_hosts_get_the_next_request(void **state)
{
	struct scene sc;
	struct load *load;
	char *out;

	proxy(&sc, CONF_SIMPLE);
	load = load_start(&sc, paths);
	load_more(load, 50);
	assert_int_equal(scene_stat(&sc, "cluster.api.membership_total"), 1);
	assert_int_equal(reload(&sc,
			     CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL)
				 CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST1@"), ""),
			     &out),
	    0);
	assert_string_equal(out, "clusters: 1 changed\n");
	mem_free(out);
	for (int i = 0; i < 20; i++) {
		struct reply r = scene_get(&sc, "/");

		assert_string_equal(reply_header(&r, "x-origin"), "two");
		reply_free(&r);
	}
	load_more(load, 50);
	load_end(load);
	assert_stat(&sc, "cluster_manager.cluster_modified", 1);
	scene_fini(&sc);
}

static void
an_operators_verdict_survives(void **state)
{
	struct scene sc;
	char *address, *out;

#define TWO_HOSTS CONF_HOST("@HOST0@") CONF_HOST("@HOST1@")
	proxy(&sc, CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL)
		       CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, ""));
	address = mem_printf("127.0.0.1:%u", sc.host_port[0]);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "batonctl", "host", "api", address, "drain", NULL), 0);
	mem_free(out);
	assert_int_equal(
	    reload(&sc,
		CONF_ADMIN CONF_LISTENER("", DIRECT("one") CONF_ROUTE_ALL)
		    CONF_CLUSTERS CONF_CLUSTER("api", TWO_HOSTS, "    lb_policy: RANDOM\n"),
		NULL),
	    0);
	for (int i = 0; i < 20; i++) {
		struct reply r = scene_get(&sc, "/");

		assert_string_equal(reply_header(&r, "x-origin"), "two");
		reply_free(&r);
	}
	assert_stat(&sc, "cluster.api.membership_excluded", 1);
	mem_free(address);
	scene_fini(&sc);
}

static void
what_is_refused_changes_nothing_and_says_why(void **state)
{
	struct scene sc;
	unsigned master, admin;
	uint16_t port;
	char *out, *taken;
	int refusing;

	proxy(&sc, CONF_WORD("one"));
	master = scene_descriptors(sc.proxy);
	admin = scene_descriptors(scene_child(&sc, "admin"));

	assert_int_equal(reload(&sc, CONF_ADMIN "static_resources:\n  listenrs: []\n", &out), 3);
	assert_non_null(strstr(out, "baton.yaml:5:3"));
	assert_non_null(strstr(out, "listenrs"));
	mem_free(out);
	expect_body(&sc, "/word", "one");

	assert_int_equal(
	    reload(&sc,
		"node: {id: other}\n"
		"admin:\n  address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n"
		"static_resources: {}\n",
		&out),
	    3);
	assert_non_null(strstr(out, "node: changed, and that needs a hot restart"));
	mem_free(out);
	expect_body(&sc, "/word", "one");

	/* One of two new addresses is taken: the other is given back. */
	refusing = scene_refusing_port(&port);
	taken = mem_printf("%s%s%s",
	    CONF_ADMIN CONF_LISTENER("", DIRECT("two")) SECOND("free", "0")
		SECOND("taken", "@HOST0@"),
	    "", "");
	assert_int_equal(reload(&sc, taken, &out), 3);
	assert_non_null(strstr(out, "Address already in use"));
	mem_free(out);
	mem_free(taken);
	close(refusing);
	expect_body(&sc, "/word", "one");
	assert_int_equal(port_of(&sc, "free"), 0);
	WAIT_FOR(scene_descriptors(sc.proxy) <= master);
	/* The first count may have seen a connection of the harness, about to go. */
	WAIT_FOR(scene_descriptors(scene_child(&sc, "admin")) <= admin);

	assert_int_equal(reload(&sc, CONF_WORD("one"), &out), 0);
	assert_string_equal(out, "nothing changed\n");
	mem_free(out);
	assert_stat(&sc, "listener_manager.listener_modified", 0);
	assert_stat(&sc, "listener_manager.listener_added", 1);

	assert_int_equal(reload(&sc, CONF_WORD("two"), NULL), 0);
	expect_body(&sc, "/word", "two");
	scene_fini(&sc);
}

static void
the_dump_says_since_when(void **state)
{
	struct scene sc;
	struct reply before, after;
	const char *a, *b;

	proxy(&sc, CONF_WORD("one"));
	before = scene_admin(&sc, "GET", "/config_dump?resource=static_clusters&mask=last_updated");
	assert_int_equal(reload(&sc, CONF_WORD("two"), NULL), 0);
	after = scene_admin(&sc, "GET", "/config_dump?resource=static_clusters&mask=last_updated");
	assert_string_equal(before.body, after.body); /* the cluster is what it was */
	reply_free(&after);
	after = scene_admin(&sc, "GET", "/config_dump?resource=static_listeners");
	a = strstr(before.body, "last_updated");
	b = strstr(after.body, "last_updated");
	assert_non_null(a);
	assert_non_null(b);
	assert_true(strncmp(a, b, 46) != 0);
	assert_non_null(strstr(after.body, "\"two\""));
	reply_free(&before);
	reply_free(&after);
	scene_fini(&sc);
}

#define LOG_TO(path)                                                                               \
	"          access_log:\n"                                                                  \
	"          - name: envoy.access_loggers.file\n"                                            \
	"            typed_config:\n"                                                              \
	"              \"@type\": type.googleapis.com/"                                            \
	"envoy.extensions.access_loggers.file.v3.FileAccessLog\n"                                  \
	"              path: " path "\n"
#define CONF_LOGGED(path) CONF_ADMIN CONF_LISTENER_WITH("", LOG_TO(path), "", DIRECT("one"))

static bool
log_has(struct scene *sc, const char *file, int lines)
{
	char *path = mem_printf("%s/%s", sc->dir, file);
	FILE *f = fopen(path, "r");
	int n = 0, c;

	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	mem_free(path);
	return n >= lines;
}

static void
logs_follow_the_configuration_and_need_no_admin(void **state)
{
	struct scene sc;
	pid_t admin, worker;
	unsigned before;

	proxy(&sc, CONF_LOGGED("@DIR@/a.log"));
	expect_body(&sc, "/word", "one");
	WAIT_FOR(log_has(&sc, "a.log", 1));
	admin = scene_child(&sc, "admin");
	before = scene_descriptors(admin);
	assert_int_equal(reload(&sc, CONF_LOGGED("@DIR@/b.log"), NULL), 0);
	expect_body(&sc, "/word", "one");
	WAIT_FOR(log_has(&sc, "b.log", 1));
	assert_false(log_has(&sc, "a.log", 2));
	WAIT_FOR(scene_descriptors(admin) <= before);
	/* A worker that starts while admin cannot speak writes all the same. */
	kill(admin, SIGSTOP);
	worker = scene_child(&sc, "worker 1");
	kill(worker, SIGKILL);
	worker = scene_wait_child(&sc, "worker 1", worker);
	kill(scene_child(&sc, "worker 2"), SIGSTOP); /* the new one gets the requests */
	for (int i = 0; i < 5; i++)
		expect_body(&sc, "/word", "one");
	WAIT_FOR(log_has(&sc, "b.log", 6));
	kill(scene_child(&sc, "worker 2"), SIGCONT);
	kill(admin, SIGCONT);
	scene_fini(&sc);
}

/* ---- again and again */

/* h2load: ten streams at once on each of four connections, for as long as its requests last. */
static pid_t
start_h2load(struct scene *sc, const char *out_path)
{
	char *url = mem_printf("http://127.0.0.1:%u/word", sc->port);
	pid_t pid = fork();

	if (pid == 0) {
		if (freopen(out_path, "w", stdout) == NULL)
			_exit(126);
		execlp("h2load", "h2load", "-n", "20000", "-c", "4", "-m", "10", url, NULL);
		_exit(127);
	}
	mem_free(url);
	return pid;
}

/* Reloads as long as one run of it takes. */
static void
reload_below_h2load(struct scene *sc, unsigned *reloads)
{
	static const char *const yaml[] = {
	    CONF_WORD("one"), CONF_TWO_LISTENERS("0"), CONF_WORD("two")};
	char *path = mem_printf("%s/h2load", sc->dir), text[8192] = "";
	pid_t pid = start_h2load(sc, path);
	int status;
	FILE *f;

	while (waitpid(pid, &status, WNOHANG) == 0)
		assert_int_equal(reload(sc, yaml[++*reloads % 3], NULL), 0);
	assert_int_equal(WEXITSTATUS(status), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_non_null(strstr(text, "20000 succeeded, 0 failed, 0 errored, 0 timeout"));
	assert_non_null(strstr(text, "status codes: 20000 2xx"));
	mem_free(path);
}

static void
http2_clients_notice_nothing(void **state)
{
	unsigned reloads = 0, runs = 0;
	struct scene sc;

	proxy(&sc, CONF_WORD("one"));
	for (; reloads < 3; runs++)
		reload_below_h2load(&sc, &reloads);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 20000 * runs);
	assert_stat(&sc, "http.ingress.downstream_cx_http2_total", 4 * runs);
	WAIT_FOR(snapshots_freed(&sc) == 2 * reloads);
	scene_fini(&sc);
}

static void
twenty_reloads_leave_nothing_behind(void **state)
{
	static const char *const yaml[] = {CONF_WORD("a"), CONF_TWO_LISTENERS("0"),
	    CONF_ADMIN CONF_LISTENER("", DIRECT("c") CONF_ROUTE_ALL)
		CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST1@"), "")};
	struct scene sc;
	struct load *load;
	unsigned before[4];
	int64_t requests, last = 0;
	pid_t pids[4];

	proxy(&sc, CONF_WORD("a"));
	load = load_start(&sc, paths);
	load_more(load, 50);
	pids[0] = sc.proxy;
	pids[1] = scene_child(&sc, "admin");
	pids[2] = scene_child(&sc, "worker 1");
	pids[3] = scene_child(&sc, "worker 2");
	for (int i = 1; i <= 21; i++) {
		assert_int_equal(reload(&sc, yaml[i % 3], NULL), 0);
		load_more(load, 20);
		requests = scene_stat(&sc, "http.ingress.downstream_rq_total");
		assert_true(requests >= last);
		last = requests;
		for (int k = 0; i == 3 && k < 4; k++)
			before[k] = scene_descriptors(pids[k]);
	}
	requests = (int64_t)load_end(load);
	assert_stat(&sc, "http.ingress.downstream_rq_total", requests);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", requests);
	assert_stat(&sc, "http.ingress.downstream_cx_total", LOAD_CONNECTIONS);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	assert_stat(&sc, "listener_manager.listener_removed", 7);
	WAIT_FOR(snapshots_freed(&sc) == 2 * 21);
	/* Connections of the load and its pools are gone, nothing came. */
	for (int k = 0; k < 4; k++)
		WAIT_FOR(scene_descriptors(pids[k]) <= before[k]);
	assert_int_equal(scene_child(&sc, "worker 1"), pids[2]);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_changed_route_is_seen_by_everybody_and_fails_nobody),
	    cmocka_unit_test(a_request_ends_under_what_it_began_with),
	    cmocka_unit_test(an_added_listener_serves_and_a_removed_one_drains),
	    cmocka_unit_test(connections_of_a_removed_listener_are_told_or_end_with_the_window),
	    cmocka_unit_test(changed_hosts_get_the_next_request),
	    cmocka_unit_test(an_operators_verdict_survives),
	    cmocka_unit_test(what_is_refused_changes_nothing_and_says_why),
	    cmocka_unit_test(the_dump_says_since_when),
	    cmocka_unit_test(logs_follow_the_configuration_and_need_no_admin),
	    cmocka_unit_test(http2_clients_notice_nothing),
	    cmocka_unit_test(twenty_reloads_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
