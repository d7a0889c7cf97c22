/*
 * Who else lives in the runtime directory: another baton, orphans, what a
 * crash left behind; and what directory is not taken.
 */
#include "tests/unit/master/scene.h"

#include <sys/stat.h>

static void
a_second_baton_of_the_same_base_id_is_refused(void **state)
{
	struct scene *s = *state;

	serve(s);
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "base id 0 is in use by the baton with pid");
	await_log(s, "--base-id");
	s->o.settings.base_id = 1;
	s->o.settings.mode = MODE_INIT_ONLY;
	assert_int_equal(ended_with(start_master(s)), 0);
}

static void
a_dynamic_base_id_is_one_that_is_free(void **state)
{
	struct scene *s = *state;
	char path[128], text[16] = "";
	FILE *f;

	serve(s);
	snprintf(path, sizeof(path), "%s/id", s->dir);
	s->o.dynamic_base_id = true;
	s->o.base_id_path = path;
	s->o.settings.mode = MODE_INIT_ONLY;
	assert_int_equal(ended_with(start_master(s)), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%15s", text), 1);
	fclose(f);
	assert_string_equal(text, "1");
}

static void
note_children(struct scene *s, pid_t pids[3])
{
	pids[0] = pid_of(s, "admin");
	pids[1] = pid_of(s, "worker 1");
	pids[2] = pid_of(s, "worker 2");
}

/* Until it is gone; orphans of `s` are told to stop meanwhile. */
static void
await_end(pid_t pid, struct scene *s)
{
	const char *text;

	for (int i = 0; i < PATIENCE_S * 200 && seat_start_time(pid); i++) {
		if (s)
			ask(s, "stop now", &text);
		usleep(5000);
	}
}

static void
orphans_serve_on_are_named_and_can_be_stopped(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	const char *text;
	pid_t pids[3];
	int pid;

	serve(s);
	note_children(s, pids);
	kill(s->master, SIGKILL);
	ended_with(s->master);
	s->master = 0;
	assert_true(answered(client(s), &index, &pid, &descriptors));
	assert_int_equal(ask(s, "ps", &text), 0);
	assert_non_null(strstr(text, "orphan"));
	for (int i = 0; i < 3; i++)
		await_end(pids[i], s);
	serve(s); /* nothing is in the way now */
}

static void
after_a_crash_of_all_the_next_start_serves(void **state)
{
	struct scene *s = *state;
	pid_t pids[3];

	serve(s);
	note_children(s, pids);
	kill(s->master, SIGKILL);
	for (int i = 0; i < 3; i++)
		kill(pids[i], SIGKILL);
	ended_with(s->master);
	for (int i = 0; i < 3; i++) /* init reaps them */
		await_end(pids[i], NULL);
	serve(s);
}

static void
a_runtime_directory_that_is_not_ours_alone_is_refused(void **state)
{
	struct scene *s = *state;
	char other[96];

	assert_int_equal(mkdir(s->run, 0700), 0);
	chmod(s->run, 0755);
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "--runtime-dir");
	assert_int_equal(rmdir(s->run), 0);
	snprintf(other, sizeof(other), "%s/other", s->dir);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(symlink(other, s->run), 0);
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "cannot open it");
	unlink(s->run);
	s->o.settings.runtime_dir = "/nowhere/at/all";
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "/nowhere/at/all: cannot make it");
	if (geteuid() == 0) {
		s->o.settings.runtime_dir = other;
		assert_int_equal(chown(other, 60998, 60998), 0);
		assert_int_equal(ended_with(start_master(s)), 1);
		await_log(s, "belongs to uid 60998");
	}
}

static void
without_hot_restart_nothing_is_written(void **state)
{
	struct scene *s = *state;

	s->o.settings.hot_restart_disabled = true;
	s->o.settings.mode = MODE_INIT_ONLY;
	assert_int_equal(ended_with(start_master(s)), 0);
	assert_int_equal(access(s->run, F_OK), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(a_second_baton_of_the_same_base_id_is_refused),
	    SCENE(a_dynamic_base_id_is_one_that_is_free),
	    SCENE(orphans_serve_on_are_named_and_can_be_stopped),
	    SCENE(after_a_crash_of_all_the_next_start_serves),
	    SCENE(a_runtime_directory_that_is_not_ours_alone_is_refused),
	    SCENE(without_hot_restart_nothing_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
