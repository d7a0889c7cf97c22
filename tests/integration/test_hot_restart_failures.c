/*
 * A hot restart that fails, at any moment and for any reason: the old
 * generation goes on, and clients do not notice.
 */
#include "tests/integration/hot_restart.h"

#include <sys/stat.h>

static void
a_refused_restart_changes_nothing(void **state)
{
	struct scene sc;
	pid_t pids[CLIENTS], first;
	struct tally *t;
	char *out;

	serve(&sc, CONF_SIMPLE, "2");
	first = sc.proxy;
	t = start_clients(&sc, pids);
	scene_write_config(&sc, "static_resources:\n  listenrs: []\n");
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "hot-restart", NULL), 3);
	assert_non_null(strstr(out, "listenrs"));
	mem_free(out);
	assert_int_equal(generation_serving(&sc), first);
	WAIT_FOR(has_answered(t, 50));
	assert_stat(&sc, "baton.handovers_refused", 1);
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	/* And the next one, in order again, is not refused. */
	scene_write_config(&sc, CONF_SIMPLE);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(has_answered(t, 100));
	stop_clients(t, pids);
	scene_fini(&sc);
}

/* It fails before it has asked for anything: the asker hears of it nevertheless. */
static void
what_a_new_generation_lacks_is_told_to_who_asked(void **state)
{
	struct scene sc;
	char *dir, *path, *out;

	scene_init(&sc);
	scene_origin(&sc, "one");
	dir = mem_printf("%s/ids", sc.dir);
	path = mem_printf("%s/base", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	sc.extra[0] = "--base-id-path";
	sc.extra[1] = path;
	scene_proxy(&sc, CONF_SIMPLE);
	assert_int_equal(unlink(path) | rmdir(dir), 0);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "hot-restart", NULL), 3);
	assert_non_null(strstr(out, "/ids/base: No such file or directory"));
	mem_free(out);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	mem_free(path);
	mem_free(dir);
	scene_fini(&sc);
}

static void
a_silent_old_generation_is_given_up_cleanly(void **state)
{
	struct scene sc;
	char *out, *config;

	serve(&sc, CONF_SIMPLE, "1");
	config = mem_printf("%s/baton.yaml", sc.dir);
	kill(sc.proxy, SIGSTOP);
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--restart-epoch", "1", NULL), 1);
	assert_non_null(strstr(out, "does not answer"));
	mem_free(out);
	kill(sc.proxy, SIGCONT);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	mem_free(config);
	scene_fini(&sc);
}

static void
the_old_one_accepts_again_when_the_new_one_dies(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first, workers[2], admin;
	int fd;
	char *out;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=3000 HTTP/1.1\r\nHost: a\r\n\r\n"); /* keeps the old one */
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	workers[0] = scene_child(&sc, "worker 1");
	admin = scene_child(&sc, "admin");
	kill(sc.proxy, SIGKILL);
	kill(admin, SIGKILL);
	kill(workers[0], SIGKILL);
	sc.proxy = first;
	WAIT_FOR(generation_serving(&sc) == first);
	for (int i = 0; i < 20; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(scene_admin_status(&sc, "GET", "/ready") == 200);
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "ps", NULL), 0);
	assert_non_null(strstr(out, "epoch 0, base id 0: serving"));
	mem_free(out);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 22);
	scene_fini(&sc);
}

static void
rollback_lets_the_previous_one_serve(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first, second;
	int fd;
	char *out;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "rollback", NULL), 3);
	mem_free(out);
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=1500 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	second = sc.proxy;
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "ps", NULL), 0);
	mem_free(out);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "rollback", NULL), 0);
	mem_free(out);
	assert_int_equal(generation_serving(&sc), first);
	sc.proxy = first;
	WAIT_FOR(generation_is_gone(second));
	assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(scene_admin_status(&sc, "GET", "/ready") == 200);
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	scene_fini(&sc);
}

/* What the two of them log on the way, in this order; NULL: nothing yet. */
static const char *const restart_steps[] = {NULL, "taking over from pid",
    "gets copies of everything", "we are starting -> ready", "the successor is starting ->",
    "-> the other drains", "the successor takes over ->", "hot restart: serving, pid"};

/* Kills a successor while it is starting, after each of the steps. */
static void
a_successor_killed_at_any_moment_harms_nobody(void **state)
{
	const unsigned steps = sizeof(restart_steps) / sizeof(restart_steps[0]);
	struct scene sc;
	pid_t pids[CLIENTS], old;
	struct tally *t;
	uint64_t answered;

	serve_with(&sc, CONF_SIMPLE, "2", "master:debug");
	t = start_clients(&sc, pids);
	for (unsigned i = 0; i < steps; i++) {
		unsigned before = restart_steps[i] ? log_count(&sc, restart_steps[i]) : 0;
		pid_t pid;
		int status;

		old = sc.proxy;
		pid = start_beside(&sc, "2", "auto", "master:debug");
		WAIT_FOR(!restart_steps[i] || log_count(&sc, restart_steps[i]) > before);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		WAIT_FOR(generation_serving(&sc) != pid || generation_is_gone(old));
		if (generation_is_gone(old)) /* it had nothing left to hold: what it left behind serves */
			break;
		WAIT_FOR(has_answered(t, 10 * (i + 1)));
	}
	if (!generation_is_gone(old))
		scene_wait_stat(&sc, "baton.generations", 1);
	answered = stop_clients(t, pids);
	assert_true(answered > 0);
	if (!generation_is_gone(old))
		assert_stat(&sc, "http.ingress.downstream_rq_total", (int64_t)answered);
	else
		start_over(&sc, "2", NULL);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_refused_restart_changes_nothing),
	    cmocka_unit_test(what_a_new_generation_lacks_is_told_to_who_asked),
	    cmocka_unit_test(the_old_one_accepts_again_when_the_new_one_dies),
	    cmocka_unit_test(rollback_lets_the_previous_one_serve),
	    cmocka_unit_test(a_silent_old_generation_is_given_up_cleanly),
	    cmocka_unit_test(a_successor_killed_at_any_moment_harms_nobody),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
