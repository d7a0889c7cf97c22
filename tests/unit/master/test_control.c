/* The control socket: commands, what is wrong with them, and who may give them. */
#include "tests/unit/master/scene.h"

#include <sys/stat.h>

static void
batonctl_changes_health_and_is_told_what_is_wrong(void **state)
{
	struct scene *s = *state;
	const char *text;

	serve(s);
	assert_int_equal(ask(s, "healthcheck fail", &text), 0);
	await_ps(s, "out of rotation");
	assert_int_equal(ask(s, "healthcheck ok", &text), 0);
	await_ps(s, ", in rotation");
	assert_int_equal(ask(s, "healthcheck maybe", &text), CONTROL_USAGE);
	assert_int_equal(ask(s, "frobnicate", &text), CONTROL_USAGE);
	assert_int_equal(ask(s, "host c a drain", &text), 0);
	assert_string_equal(text, "host c a drain"); /* the fake admin says it back */
}

static void
the_control_socket_is_its_owners_alone(void **state)
{
	struct scene *s = *state;
	struct stat st;
	char path[128];
	int status;

	serve(s);
	snprintf(path, sizeof(path), "%s/0/control.sock", s->run);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(s->run, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	if (geteuid() != 0)
		return;
	/* A process of somebody else that got hold of the path is still refused. */
	chmod(path, 0666);
	snprintf(path, sizeof(path), "%s/0", s->run);
	chmod(path, 0755);
	chmod(s->run, 0755);
	chmod(s->dir, 0755);
	if (fork() == 0) {
		const char *text = "";

		_exit(setuid(60998) == 0 && ask(s, "stop now", &text) == CONTROL_REFUSED ? 0 : 1);
	}
	wait(&status);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(batonctl_changes_health_and_is_told_what_is_wrong),
	    SCENE(the_control_socket_is_its_owners_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
