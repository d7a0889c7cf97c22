/* A short soak: clients of every kind, none of which may notice what happens to the proxy. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/scene.h"

/* Its own output says what went wrong; run-tests.sh shows it. */
static void
soak(const char *restarts, const char *reloads, const char *deadlines, const char *kills,
    const char *points, const char *seconds)
{
	const char *path = scene_program("soak");
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		setenv("B", "build/san", 0);
		setenv("RESTARTS", restarts, 1);
		setenv("RELOADS", reloads, 1);
		setenv("DEADLINES", deadlines, 1);
		setenv("KILLS", kills, 1);
		setenv("KILLPOINTS", points, 1);
		setenv("SECONDS", seconds, 1);
		setenv("SLOW_S", points[0] == '0' ? "4" : "2", 1);
		setenv("GAP_MS", "0", 1); /* a machine under test has gaps of its own */
		setenv("START_MS", "0", 1);
		execl(path, "soak", "baton", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
no_client_notices_a_quiet_day(void **state)
{
	soak("0", "0", "0", "0", "0", "5");
}

static void
killed_workers_take_only_their_connections(void **state)
{
	soak("0", "0", "0", "2", "0", "1");
}

static void
no_client_notices_a_reload(void **state)
{
	soak("0", "5", "0", "0", "0", "1");
}

static void
no_client_notices_a_hot_restart(void **state)
{
	soak("3", "0", "0", "0", "0", "1");
}

static void
a_deadline_ends_what_is_late_and_nothing_else(void **state)
{
	soak("0", "0", "2", "0", "0", "1");
}

/* The choices follow from the seed that the soak prints first: SEED=n repeats them. */
static void
anything_may_be_killed_at_any_moment(void **state)
{
	soak("0", "0", "0", "0", "25", "1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_client_notices_a_quiet_day),
	    cmocka_unit_test(no_client_notices_a_reload),
	    cmocka_unit_test(no_client_notices_a_hot_restart),
	    cmocka_unit_test(a_deadline_ends_what_is_late_and_nothing_else),
	    cmocka_unit_test(killed_workers_take_only_their_connections),
	    cmocka_unit_test(anything_may_be_killed_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
