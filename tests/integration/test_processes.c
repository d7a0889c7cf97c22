/* What lives on when something dies, and what is said when something cannot start. */
#include "tests/harness/scene.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"

static int
status_of(struct scene *sc, const char *path)
{
	struct reply r = scene_get(sc, path);
	int status = r.status;

	reply_free(&r);
	return status;
}

static void
two_workers(struct scene *sc)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	scene_proxy(sc, CONF_SIMPLE);
}

static void
ps_shows_who_is_who(void **state)
{
	struct scene sc;
	char path[64], title[256] = "";
	FILE *f;

	two_workers(&sc);
	assert_true(scene_child(&sc, "admin") > 0);
	assert_true(scene_child(&sc, "worker 1") > 0);
	assert_true(scene_child(&sc, "worker 2") > 0);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)sc.proxy);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(title, sizeof(title), f));
	fclose(f);
	assert_string_equal(title, "baton: master epoch 0");
	scene_fini(&sc);
}

static void
a_killed_worker_takes_only_its_connections(void **state)
{
	struct scene sc;
	pid_t first;

	two_workers(&sc);
	first = scene_child(&sc, "worker 1");
	kill(first, SIGKILL);
	/* No new connection fails, whichever socket the kernel chooses, before or after the
	 * successor. */
	for (int i = 0; i < 200; i++)
		assert_int_equal(status_of(&sc, "/"), 200);
	scene_wait_child(&sc, "worker 1", first);
	for (int i = 0; i < 50; i++)
		assert_int_equal(status_of(&sc, "/"), 200);
	scene_wait_stat(&sc, "baton.worker_crashes", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 250);
	scene_fini(&sc);
}

static void
a_stopped_worker_is_noticed_and_replaced(void **state)
{
	struct scene sc;
	pid_t first;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "2";
	sc.extra[2] = "--watchdog-s";
	sc.extra[3] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	first = scene_child(&sc, "worker 2");
	kill(first, SIGSTOP);
	for (int i = 0; i < 50; i++)
		assert_int_equal(status_of(&sc, "/"), 200);
	scene_wait_child(&sc, "worker 2", first);
	scene_wait_stat(&sc, "baton.worker_hung", 1);
	for (int i = 0; i < 50; i++)
		assert_int_equal(status_of(&sc, "/"), 200);
	scene_fini(&sc);
}

static bool
admin_answers(struct scene *sc)
{
	struct reply r = scene_admin(sc, "GET", "/ready");
	bool ok = r.status == 200;

	reply_free(&r);
	return ok;
}

static void
a_killed_admin_takes_nothing(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first, worker;

	two_workers(&sc);
	first = scene_child(&sc, "admin");
	worker = scene_child(&sc, "worker 1");
	kill(first, SIGKILL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(status_of(&sc, "/"), 200);
	scene_wait_child(&sc, "admin", first);
	WAIT_FOR(admin_answers(&sc));
	assert_int_equal(scene_child(&sc, "worker 1"), worker);
	r = scene_admin(&sc, "GET", "/config_dump");
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "\"ingress\""));
	reply_free(&r);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 100);
	assert_stat(&sc, "baton.admin_crashes", 1);
	/* The next worker builds from what is in force. */
	kill(worker, SIGKILL);
	scene_wait_child(&sc, "worker 1", worker);
	for (int i = 0; i < 50; i++)
		assert_int_equal(status_of(&sc, "/"), 200);
	scene_fini(&sc);
}

static void
a_worker_is_replaced_while_admin_is_stopped(void **state)
{
	struct scene sc;
	pid_t admin, worker;

	two_workers(&sc);
	admin = scene_child(&sc, "admin");
	worker = scene_child(&sc, "worker 1");
	kill(admin, SIGSTOP);
	kill(worker, SIGKILL);
	scene_wait_child(&sc, "worker 1", worker);
	for (int i = 0; i < 100; i++)
		assert_int_equal(status_of(&sc, "/"), 200);
	kill(admin, SIGCONT);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 100);
	scene_fini(&sc);
}

static void
an_admin_that_hangs_is_replaced(void **state)
{
	struct scene sc;
	pid_t first;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--watchdog-s";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	first = scene_child(&sc, "admin");
	kill(first, SIGSTOP);
	for (int i = 0; i < 50; i++)
		assert_int_equal(status_of(&sc, "/"), 200);
	scene_wait_child(&sc, "admin", first);
	WAIT_FOR(admin_answers(&sc));
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", 50);
	scene_fini(&sc);
}

/* Who waits in the queue of a worker that is killed does not notice. */
static void
queued_connections_outlive_their_worker(void **state)
{
	struct scene sc;
	uint64_t killed_at;
	pid_t first;
	int fd[20];

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--concurrency";
	sc.extra[1] = "1";
	scene_proxy(&sc, CONF_SIMPLE);
	first = scene_child(&sc, "worker 1");
	kill(first, SIGSTOP);
	for (int i = 0; i < 20; i++) {
		fd[i] = client_connect(sc.port);
		assert_true(fd[i] >= 0);
		client_send(fd[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	}
	kill(first, SIGKILL);
	killed_at = scene_now_ms();
	for (int i = 0; i < 20; i++) {
		struct reply r = client_reply(fd[i], false);

		assert_int_equal(r.status, 200);
		reply_free(&r);
		close(fd[i]);
	}
	print_message("answered within %u ms\n", (unsigned)(scene_now_ms() - killed_at));
	scene_fini(&sc);
}

static void
a_crash_loop_backs_off_and_says_so(void **state)
{
	struct scene sc;
	pid_t worker = 0;

	two_workers(&sc);
	for (int i = 0; i < 4; i++) {
		worker = scene_wait_child(&sc, "worker 1", worker);
		kill(worker, SIGKILL);
	}
	scene_wait_stat(&sc, "baton.worker_crashes", 4);
	scene_wait_stat(&sc, "baton.worker_backoff_ms", 100);
	scene_wait_log(&sc, "worker 1: ended unasked");
	assert_int_equal(status_of(&sc, "/"), 200);
	scene_fini(&sc);
}

static void
what_cannot_start_says_why_and_exits_1(void **state)
{
	struct scene sc;
	char *out, *config, *dir;

	scene_init(&sc);
	scene_origin(&sc, "one");
	config = mem_printf("%s/baton.yaml", sc.dir);

	/* The port is the origin's. */
	scene_write_config(&sc,
	    CONF_ADMIN "static_resources:\n  listeners:\n  - name: taken\n"
		       "    address: {socket_address: {address: 127.0.0.1, port_value: @HOST0@}}\n"
		       "    filter_chains:\n    - filters:\n"
		       "      - name: envoy.filters.network.http_connection_manager\n"
		       "        typed_config:\n"
		       "          \"@type\": type.googleapis.com/envoy.extensions.filters.network."
		       "http_connection_manager.v3.HttpConnectionManager\n"
		       "          stat_prefix: x\n          route_config: {name: r}\n"
		       "          http_filters:\n" CONF_ROUTER);
	assert_int_equal(scene_run(&sc, &out, "-c", config, NULL), 1);
	assert_non_null(strstr(out, "Address already in use"));
	mem_free(out);

	assert_int_equal(scene_run(&sc, &out, "-c", "/nonexistent.yaml", NULL), 1);
	assert_non_null(strstr(out, "/nonexistent.yaml"));
	mem_free(out);

	assert_int_equal(scene_run(&sc, &out, "--no-such-option", NULL), 1);
	assert_non_null(strstr(out, "--no-such-option"));
	mem_free(out);

	/* A runtime directory that others may write to. */
	dir = mem_printf("%s/open", sc.dir);
	mkdir(dir, 0700);
	chmod(dir, 0777);
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--runtime-dir", dir, NULL), 1);
	assert_non_null(strstr(out, "--runtime-dir"));
	mem_free(out);
	mem_free(dir);

	/* Two instances with one base id. */
	scene_proxy(&sc, CONF_SIMPLE);
	assert_int_equal(scene_run(&sc, &out, "-c", config, NULL), 1);
	assert_non_null(strstr(out, "--base-id"));
	mem_free(out);
	assert_int_equal(status_of(&sc, "/"), 200);
	mem_free(config);
	scene_fini(&sc);
}

static void
validate_needs_nothing_and_changes_nothing(void **state)
{
	struct scene sc;
	char *out, *config;

	scene_init(&sc);
	config = mem_printf("%s/baton.yaml", sc.dir);
	scene_write_config(&sc, CONF_SIMPLE);
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--mode", "validate", NULL), 0);
	assert_non_null(strstr(out, "OK"));
	mem_free(out);
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--print-config", NULL), 0);
	assert_non_null(strstr(out, "\"static_resources\""));
	mem_free(out);
	scene_write_config(&sc, "static_resources:\n  listenrs: []\n");
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--mode", "validate", NULL), 1);
	assert_non_null(strstr(out, "baton.yaml:2:3: error: "));
	assert_non_null(strstr(out, "did you mean 'listeners'"));
	mem_free(out);
	assert_int_equal(scene_run(&sc, &out, "--hot-restart-version", NULL), 0);
	assert_string_equal(out, "1.0\n");
	mem_free(out);
	mem_free(config);
	scene_fini(&sc);
}

static bool
still_open(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

static void
term_lets_requests_finish_and_takes_no_new_ones(void **state)
{
	struct scene sc;
	struct reply r;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	sc.extra[0] = "--drain-strategy";
	sc.extra[1] = "immediate";
	scene_proxy(&sc, CONF_SIMPLE);
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=700 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	kill(sc.proxy, SIGTERM);
	assert_true(still_open(fd));
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "connection"), "close");
	reply_free(&r);
	close(fd);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_int_equal(client_connect(sc.port), -1);
	scene_fini(&sc);
}

static void
batonctl_speaks_to_master(void **state)
{
	struct scene sc;
	char *out;

	two_workers(&sc);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "ps", NULL), 0);
	assert_non_null(strstr(out, "worker"));
	mem_free(out);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "-o", "json", "ps", NULL), 0);
	assert_true(out[0] == '{' || out[0] == '[');
	mem_free(out);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "nonsense", NULL), 2);
	mem_free(out);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "stop", NULL), 0);
	mem_free(out);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "ps", NULL), 1);
	mem_free(out);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ps_shows_who_is_who),
	    cmocka_unit_test(a_killed_worker_takes_only_its_connections),
	    cmocka_unit_test(a_stopped_worker_is_noticed_and_replaced),
	    cmocka_unit_test(a_killed_admin_takes_nothing),
	    cmocka_unit_test(a_worker_is_replaced_while_admin_is_stopped),
	    cmocka_unit_test(an_admin_that_hangs_is_replaced),
	    cmocka_unit_test(queued_connections_outlive_their_worker),
	    cmocka_unit_test(a_crash_loop_backs_off_and_says_so),
	    cmocka_unit_test(what_cannot_start_says_why_and_exits_1),
	    cmocka_unit_test(validate_needs_nothing_and_changes_nothing),
	    cmocka_unit_test(term_lets_requests_finish_and_takes_no_new_ones),
	    cmocka_unit_test(batonctl_speaks_to_master),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
