/*
 * baton as process 1 of a pid namespace: it reaps, forwards, and outlives every generation; a
 * master that is killed is followed by one that adopts what it left.
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"
#include "tests/harness/manager.h"
#include "tests/harness/scene.h"

#define CONF_BAD CONF_ADMIN "static_resources: {listeners: 7}\n"

/* ---- processes of the namespace, seen from outside */

struct who {
	pid_t pid, inside; /* in our namespace, in the innermost one */
	pid_t parent;
	char state;
	char title[64];
};

static bool
read_who(pid_t pid, struct who *w)
{
	char *path = mem_printf("/proc/%d/status", (int)pid), line[256];
	FILE *f = fopen(path, "r");
	int nested = 0;

	mem_free(path);
	*w = (struct who){.pid = pid};
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "PPid: %d", &w->parent);
		sscanf(line, "State: %c", &w->state);
		nested |= sscanf(line, "NSpid: %*d %d", &w->inside) == 1;
	}
	fclose(f);
	path = mem_printf("/proc/%d/cmdline", (int)pid);
	f = fopen(path, "r");
	mem_free(path);
	if (f && fgets(w->title, sizeof(w->title), f) == NULL)
		w->title[0] = '\0';
	if (f)
		fclose(f);
	return nested;
}

static bool
same_namespace(pid_t a, pid_t b)
{
	char *one = mem_printf("/proc/%d/ns/pid", (int)a),
	     *two = mem_printf("/proc/%d/ns/pid", (int)b);
	char x[64] = "", y[64] = "-";
	bool same = readlink(one, x, sizeof(x) - 1) > 0 && readlink(two, y, sizeof(y) - 1) > 0 &&
		    strcmp(x, y) == 0;

	mem_free(one);
	mem_free(two);
	return same;
}

/* One of the namespace of `first` (process 1, as it is called outside) whose title begins like
 * this. */
static bool
find(pid_t first, const char *title, struct who *w)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool found = false;

	while (!found && (e = readdir(d)) != NULL) {
		pid_t pid = atoi(e->d_name);

		found = pid > 0 && read_who(pid, w) &&
			strncmp(w->title, title, strlen(title)) == 0 && w->state != 'Z' &&
			same_namespace(pid, first);
	}
	closedir(d);
	return found;
}

/* unshare's child. */
static bool
find_first(struct scene *sc, struct who *w)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool found = false;

	while (!found && (e = readdir(d)) != NULL) {
		pid_t pid = atoi(e->d_name);

		found = pid > 0 && read_who(pid, w) && w->parent == sc->proxy && w->inside == 1;
	}
	closedir(d);
	return found;
}

/* The pid that the pid file names is one of the namespace. */
static bool
serving(struct scene *sc, pid_t first, struct who *w)
{
	char *text = scene_file(sc, "0/pid");
	pid_t inside = atoi(text);
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool found = false;

	mem_free(text);
	while (!found && inside && (e = readdir(d)) != NULL) {
		pid_t pid = atoi(e->d_name);

		found = pid > 0 && read_who(pid, w) && w->inside == inside && w->state != 'Z' &&
			same_namespace(pid, first);
	}
	closedir(d);
	return found;
}

static bool
other_serves(struct scene *sc, pid_t first, pid_t than, struct who *w)
{
	return serving(sc, first, w) && w->pid != than;
}

static bool
shows_state(pid_t pid, char state)
{
	struct who w;

	read_who(pid, &w);
	return w.state == state;
}

static bool
is_gone(pid_t pid)
{
	return kill(pid, 0) < 0;
}

/* ---- the container */

static pid_t
start(struct scene *sc, const char *yaml)
{
	struct who first, master;

	scene_init(sc);
	scene_origin(sc, "one");
	sc->wrap[0] = "/usr/bin/unshare";
	sc->wrap[1] = "--pid";
	sc->wrap[2] = "--fork";
	sc->wrap[3] = "--mount-proc";
	sc->wrap[4] = "--kill-child";
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "1"; /* who was answered once knows that every worker has its sockets */
	scene_proxy(sc, yaml);
	assert_true(find_first(sc, &first));
	assert_string_equal(first.title, "baton: init");
	assert_true(serving(sc, first.pid, &master));
	assert_int_equal(master.parent, first.pid);
	assert_int_equal(scene_status(sc, "/"), 200);
	return first.pid;
}

static int
ctl(struct scene *sc, const char *word)
{
	char *out;
	int status = scene_run_tool(sc, &out, "batonctl", word, NULL);

	mem_free(out);
	return status;
}

static void
a_signal_goes_to_the_one_that_serves(void **state)
{
	struct scene sc;
	pid_t first = start(&sc, CONF_SIMPLE);

	assert_int_equal(scene_status(&sc, "/"), 200);
	kill(first, SIGTTOU);
	scene_wait_log(&sc, "out of rotation, by SIGTTOU");
	kill(first, SIGHUP);
	scene_wait_log(&sc, "reload: nothing changed");
	kill(first, SIGTERM);
	scene_wait_log(&sc, "serving -> leaving rotation");
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_true(is_gone(first));
	scene_fini(&sc);
}

static void
a_failed_start_ends_with_its_status(void **state)
{
	struct scene sc;
	char *out, *config;
	const char *baton = scene_program("baton");

	scene_init(&sc);
	scene_write_config(&sc, CONF_BAD);
	config = mem_printf("%s/baton.yaml", sc.dir);
	assert_int_equal(scene_run_tool(&sc, &out, "/usr/bin/unshare", "--pid", "--fork",
			     "--mount-proc", baton, "-c", config, "--runtime-dir", sc.dir, NULL),
	    1);
	mem_free(out);
	mem_free(config);
	scene_fini(&sc);
}

/* Every generation is init's child, and a signal finds the newest. */
static void
a_hot_restart_stays_inside(void **state)
{
	struct scene sc;
	pid_t first = start(&sc, CONF_SIMPLE);
	struct who old, new;

	assert_true(serving(&sc, first, &old));
	for (int i = 1; i <= 2; i++) {
		if (i == 1)
			assert_int_equal(ctl(&sc, "hot-restart"), 0);
		else
			kill(first, SIGUSR2);
		WAIT_FOR(other_serves(&sc, first, old.pid, &new));
		assert_int_equal(new.parent, first);
		WAIT_FOR(is_gone(old.pid)); /* reaped, too */
		assert_int_equal(scene_status(&sc, "/"), 200);
		old = new;
	}
	assert_stat(&sc, "server.hot_restart_epoch", 2);
	kill(first, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

static void
a_killed_master_is_followed_by_one_that_adopts(void **state)
{
	struct scene sc;
	pid_t first = start(&sc, CONF_SIMPLE);
	struct who old, new;

	for (int i = 1; i <= 3; i++) {
		assert_true(serving(&sc, first, &old));
		kill(old.pid, SIGKILL);
		assert_int_equal(scene_status(&sc, "/"), 200); /* the orphans serve */
		WAIT_FOR(other_serves(&sc, first, old.pid, &new));
		assert_int_equal(new.parent, first);
		assert_int_equal(scene_status(&sc, "/"), 200);
		assert_stat(&sc, "server.hot_restart_epoch", i);
		assert_stat(&sc, "http.ingress.downstream_rq_total", 2 * i + 1);
	}
	kill(first, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

/* Nobody can adopt: the orphans go on serving, and are told when the container is to end. */
static void
orphans_serve_while_no_start_succeeds(void **state)
{
	struct scene sc;
	pid_t first = start(&sc, CONF_SIMPLE);
	struct who old;

	assert_true(serving(&sc, first, &old));
	scene_write_config(&sc, CONF_BAD);
	kill(old.pid, SIGKILL);
	scene_wait_log(&sc, "init: nobody serves, an adopting start follows in 200 ms");
	assert_int_equal(scene_status(&sc, "/"), 200);
	kill(first, SIGTERM);
	scene_wait_exit(&sc);
	assert_true(is_gone(first));
	scene_fini(&sc);
}

static void
a_killed_master_is_followed_by_the_one_that_drains(void **state)
{
	struct scene sc;
	pid_t first = start(&sc, CONF_SIMPLE);
	struct who old, new, third;
	int fd = client_connect(sc.port);

	client_send(fd, "GET /?delay_ms=600000 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_true(serving(&sc, first, &old));
	assert_int_equal(ctl(&sc, "hot-restart"), 0);
	WAIT_FOR(other_serves(&sc, first, old.pid, &new));
	kill(new.pid, SIGKILL);
	assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(other_serves(&sc, first, new.pid, &third));
	assert_int_equal(scene_status(&sc, "/"), 200);
	close(fd);
	kill(first, SIGINT);
	assert_int_equal(scene_wait_exit(&sc), 0);
	scene_fini(&sc);
}

/* A process that lost its parent (here: of a shell that somebody ran inside) is reaped. */
static void
a_stranger_that_lost_its_parent_is_reaped(void **state)
{
	struct scene sc;
	pid_t first = start(&sc, CONF_SIMPLE);
	char *target = mem_printf("%d", (int)first);
	struct who w;

	assert_int_equal(
	    scene_run_tool(&sc, NULL, "/usr/bin/nsenter", "--target", target, "--pid", "--mount",
		"/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit 0", NULL),
	    0);
	WAIT_FOR(find(first, "sleep", &w) && w.parent == first);
	kill(w.pid, SIGKILL);
	WAIT_FOR(is_gone(w.pid));
	assert_false(shows_state(first, 'Z'));
	assert_int_equal(scene_status(&sc, "/"), 200);
	kill(first, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	mem_free(target);
	scene_fini(&sc);
}

/* Whoever runs the container hears what a service manager would, from process 1, without pids that
 * mean nothing to it. */
static void
the_world_outside_is_told(void **state)
{
	struct scene sc;
	struct manager m;
	char name[64];
	pid_t first;

	snprintf(name, sizeof(name), "@baton-test-container-%d", (int)getpid());
	manager_open(&m, name);
	first = start(&sc, CONF_SIMPLE);
	WAIT_FOR(manager_hear(&m) && m.is_ready);
	assert_int_equal(m.main_pid, first);
	assert_int_equal(ctl(&sc, "hot-restart"), 0);
	WAIT_FOR(manager_hear(&m) && strstr(m.status, "epoch 1 serves"));
	kill(first, SIGTERM);
	WAIT_FOR(manager_hear(&m) && m.is_stopping);
	assert_int_equal(scene_wait_exit(&sc), 0);
	assert_int_equal(m.main_pid, first);
	assert_int_equal(m.not_believed, 0);
	manager_close(&m);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_signal_goes_to_the_one_that_serves),
	    cmocka_unit_test(a_failed_start_ends_with_its_status),
	    cmocka_unit_test(a_hot_restart_stays_inside),
	    cmocka_unit_test(a_killed_master_is_followed_by_one_that_adopts),
	    cmocka_unit_test(orphans_serve_while_no_start_succeeds),
	    cmocka_unit_test(a_killed_master_is_followed_by_the_one_that_drains),
	    cmocka_unit_test(a_stranger_that_lost_its_parent_is_reaped),
	    cmocka_unit_test(the_world_outside_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
