/*
 * Below a restarter script with the rules of Envoy's: each generation is its child, told its epoch
 * by RESTART_EPOCH.  SIGHUP starts the next; SIGUSR1 goes to all; SIGTERM too, and who has not ended
 * after half a minute is killed; a child that ends well is forgotten, and one that ends otherwise is
 * the death of all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/harness/killing.h"
#include "tests/harness/load.h"

#define CHILDREN_MOST 16
#define TERM_WAIT_S 30

/* ---- the restarter, a process of its own */

struct restarter {
	const char *script;
	unsigned epoch, n;
	pid_t pid[CHILDREN_MOST];
};

static void
start_next(struct restarter *r)
{
	char epoch[16];
	sigset_t none;
	pid_t pid;

	snprintf(epoch, sizeof(epoch), "%u", r->epoch++);
	setenv("RESTART_EPOCH", epoch, 1);
	pid = fork();
	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl(r->script, r->script, NULL);
		_exit(127);
	}
	if (r->n < CHILDREN_MOST)
		r->pid[r->n++] = pid;
}

static void
signal_all(const struct restarter *r, int signo)
{
	for (unsigned i = 0; i < r->n; i++)
		kill(r->pid[i], signo);
}

/* Forgets who has ended; false when one of them ended badly. */
static bool
collect(struct restarter *r)
{
	bool well = true;
	int status;

	for (unsigned i = 0; i < r->n;) {
		if (waitpid(r->pid[i], &status, WNOHANG) == 0) {
			i++;
			continue;
		}
		well &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
		r->pid[i] = r->pid[--r->n];
	}
	return well;
}

_Noreturn static void
end_all(struct restarter *r)
{
	uint64_t until = scene_now_ms() + TERM_WAIT_S * 1000;

	signal_all(r, SIGTERM);
	while (r->n && scene_now_ms() < until) {
		scene_pause();
		collect(r);
	}
	signal_all(r, SIGKILL);
	_exit(r->n != 0);
}

static void
on_child(struct restarter *r)
{
	if (!collect(r)) {
		signal_all(r, SIGKILL);
		_exit(1);
	}
	if (r->n == 0)
		_exit(0);
}

_Noreturn static void
restarter_run(const char *script, const sigset_t *signals)
{
	struct restarter r = {.script = script};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	start_next(&r);
	for (;;) {
		int signo = sigwaitinfo(signals, NULL);

		if (signo == SIGHUP)
			start_next(&r);
		else if (signo == SIGUSR1)
			signal_all(&r, SIGUSR1);
		else if (signo == SIGCHLD)
			on_child(&r);
		else if (signo > 0)
			end_all(&r);
	}
}

/* ---- scenes */

/* What an operator has: a script that starts the proxy with the epoch it is told. */
static char *
write_script(struct scene *sc)
{
	char *path = mem_printf("%s/start", sc->dir);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f,
	    "#!/bin/sh\n"
	    "exec %s -c %s/baton.yaml --runtime-dir %s --admin-address-path %s/admin --log-path %s "
	    "--concurrency 2 --restart-epoch $RESTART_EPOCH >>%s 2>&1\n",
	    scene_program("baton"), sc->dir, sc->dir, sc->dir, sc->log, sc->log);
	fchmod(fileno(f), 0700);
	fclose(f);
	return path;
}

/* A restarter and its epoch 0; it is the scene's proxy, whose end it brings about. */
static pid_t
restarter_start(struct scene *sc)
{
	char *script = write_script(sc);
	sigset_t signals;
	pid_t pid;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	pid = fork();
	if (pid == 0)
		restarter_run(script, &signals);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	mem_free(script);
	assert_true(pid > 0);
	return pid;
}

static void
serve(struct scene *sc)
{
	scene_init(sc);
	scene_origin(sc, "one");
	scene_write_config(sc, CONF_SIMPLE);
	sc->proxy = restarter_start(sc);
	scene_find_ports(sc);
}

static void
restart(struct scene *sc, unsigned epoch)
{
	kill(sc->proxy, SIGHUP);
	WAIT_FOR(scene_stat(sc, "server.hot_restart_epoch") == epoch);
}

static int
restarter_end(struct scene *sc)
{
	kill(sc->proxy, SIGTERM);
	return scene_wait_exit(sc);
}

static bool
exists(struct scene *sc, const char *name)
{
	char *path = mem_printf("%s/%s", sc->dir, name);
	bool there = access(path, F_OK) == 0;

	mem_free(path);
	return there;
}

static const char *const paths[] = {"/?size=300", "/?size=3000", NULL};

static void
every_hangup_is_the_next_epoch_and_no_request_fails(void **state)
{
	struct scene sc;
	struct load *load;
	uint64_t sent;

	serve(&sc);
	load = load_start(&sc, paths);
	for (unsigned epoch = 1; epoch <= 5; epoch++) {
		load_more(load, 50);
		restart(&sc, epoch);
	}
	load_more(load, 50);
	sent = load_end(load);
	WAIT_FOR(scene_stat(&sc, "baton.generations") == 1);
	assert_stat(&sc, "server.hot_restart_generation", 6);
	assert_stat(&sc, "http.ingress.downstream_rq_total", (int64_t)sent);
	assert_int_equal(restarter_end(&sc), 0);
	assert_false(exists(&sc, "0/pid"));
	scene_fini(&sc);
}

static void
the_signal_for_log_files_reaches_who_serves(void **state)
{
	struct scene sc;
	char *moved;

	serve(&sc);
	restart(&sc, 1);
	moved = mem_printf("%s/moved", sc.dir);
	assert_int_equal(rename(sc.log, moved), 0);
	kill(sc.proxy, SIGUSR1);
	WAIT_FOR(exists(&sc, "log"));
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(restarter_end(&sc), 0);
	mem_free(moved);
	scene_fini(&sc);
}

/* The refused start ends with 1, so the restarter kills every master and ends.  What they leave
 * behind serves, and the next restarter finds it. */
static void
a_bad_configuration_ends_the_restarter_and_fails_no_request(void **state)
{
	struct scene sc;
	struct load *load;
	uint64_t sent;

	serve(&sc);
	load = load_start(&sc, paths);
	restart(&sc, 1);
	load_more(load, 50);
	scene_write_config(&sc, CONF_ADMIN "bogus: 1\n");
	kill(sc.proxy, SIGHUP);
	assert_int_equal(scene_wait_exit(&sc), 1);
	load_more(load, 50);
	sc.proxy = restarter_start(&sc); /* as its supervisor would: still bad */
	assert_int_equal(scene_wait_exit(&sc), 1);
	load_more(load, 50);
	scene_write_config(&sc, CONF_SIMPLE);
	sc.proxy = restarter_start(&sc);
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 0);
	load_more(load, 50);
	restart(&sc, 1);
	load_more(load, 50);
	sent = load_end(load);
	WAIT_FOR(scene_stat(&sc, "baton.generations") == 1);
	assert_stat(&sc, "http.ingress.downstream_rq_total", (int64_t)sent);
	assert_int_equal(restarter_end(&sc), 0);
	scene_fini(&sc);
}

static void
a_restarter_that_is_killed_leaves_the_way_free_for_the_next(void **state)
{
	struct scene sc;
	pid_t master;
	char *admin;

	serve(&sc);
	restart(&sc, 1);
	master = generation_serving(&sc);
	process_kill(sc.proxy);
	WAIT_FOR(process_is_gone(master));
	admin = mem_printf("%s/admin", sc.dir);
	unlink(admin); /* another port than the last one's */
	mem_free(admin);
	sc.proxy = restarter_start(&sc);
	scene_find_ports(&sc);
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(restarter_end(&sc), 0);
	scene_fini(&sc);
}

/* A generation that the restarter did not start is none of its own: it sees its last child end
 * well, and ends.  The service goes on. */
static void
a_restart_behind_its_back_ends_the_restarter_only(void **state)
{
	struct scene sc;
	struct load *load;
	pid_t restarter;

	serve(&sc);
	restarter = sc.proxy;
	load = load_start(&sc, paths);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(process_is_gone(restarter));
	load_more(load, 50);
	load_end(load);
	assert_stat(&sc, "server.hot_restart_epoch", 1);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_hangup_is_the_next_epoch_and_no_request_fails),
	    cmocka_unit_test(the_signal_for_log_files_reaches_who_serves),
	    cmocka_unit_test(a_bad_configuration_ends_the_restarter_and_fails_no_request),
	    cmocka_unit_test(a_restarter_that_is_killed_leaves_the_way_free_for_the_next),
	    cmocka_unit_test(a_restart_behind_its_back_ends_the_restarter_only),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
