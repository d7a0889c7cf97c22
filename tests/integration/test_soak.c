/* A short soak: clients of every kind, none of which may notice what happens to the proxy. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/scene.h"

/* Its own output says what went wrong; run-tests.sh shows it. */
static void
soak(const char *restarts, const char *reloads, const char *kills, const char *seconds)
{
	const char *path = scene_program("soak");
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		setenv("B", "build/san", 0);
		setenv("RESTARTS", restarts, 1);
		setenv("RELOADS", reloads, 1);
		setenv("KILLS", kills, 1);
		setenv("SECONDS", seconds, 1);
		setenv("SLOW_S", "4", 1);
		setenv("GAP_MS", "0", 1); /* a machine under test has gaps of its own */
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
	soak("0", "0", "0", "5");
}

static void
killed_workers_take_only_their_connections(void **state)
{
	soak("0", "0", "2", "1");
}

static void
no_client_notices_a_reload(void **state)
{
	soak("0", "5", "0", "1");
}

static void
no_client_notices_a_hot_restart(void **state)
{
	soak("3", "0", "0", "1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_client_notices_a_quiet_day),
	    cmocka_unit_test(no_client_notices_a_reload),
	    cmocka_unit_test(no_client_notices_a_hot_restart),
	    cmocka_unit_test(killed_workers_take_only_their_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
