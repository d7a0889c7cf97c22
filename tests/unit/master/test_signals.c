/* Signals of master: those of processes act, those of the kernel do not change health. */
#include "tests/unit/master/scene.h"

static void
signals_of_processes_change_health(void **state)
{
	struct scene *s = *state;

	serve(s);
	kill(s->master, SIGTTOU);
	await_ps(s, "out of rotation");
	kill(s->master, SIGTTIN);
	await_ps(s, ", in rotation");
	kill(s->master, SIGHUP);
	await_log(s, "signal: 1 from");
	kill(s->master, SIGUSR2);
	await_log(s, "hot restart: refused: the path of the binary is not known");
}

/* The terminal driver's are such: sent by the kernel, not by a process. */
static void
health_signals_of_the_kernel_are_ignored(void **state)
{
	struct scene *s = *state;
	const char *text;
	int fds[2];

	serve(s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETOWN, s->master), 0);
	assert_int_equal(fcntl(fds[0], F_SETSIG, SIGTTOU), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_ASYNC), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	kill(s->master, SIGHUP);
	await_log(s, "signal: 1 from"); /* so the other was read too */
	assert_int_equal(ask(s, "ps", &text), 0);
	assert_non_null(strstr(text, ", in rotation"));
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(signals_of_processes_change_health),
	    SCENE(health_signals_of_the_kernel_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
