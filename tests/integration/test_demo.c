/*
 * The demo of examples/hitless-deploy in its short form: a real control
 * plane, three versions of a service, a load generator that counts.  Its
 * ports are fixed, so it runs in a network of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A network with nothing but 127.0.0.1; without root in a user namespace. */
static int
enter_own_network(void)
{
	struct ifreq r = {.ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -1;
	strcpy(r.ifr_name, "lo");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return -1;
	return close(fd);
}

static int
run_demo(const char *more)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(2, 1);
		if (enter_own_network() < 0)
			perror("a network of its own");
		else
			execlp("node", "node", "examples/hitless-deploy/run.js", "--short", more,
			    (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
three_versions_come_and_go_and_no_request_fails(void **state)
{
	assert_int_equal(run_demo(NULL), 0);
}

static void
and_none_while_baton_is_restarted_and_the_control_plane_is_dead(void **state)
{
	assert_int_equal(run_demo("--restarts"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(three_versions_come_and_go_and_no_request_fails),
	    cmocka_unit_test(and_none_while_baton_is_restarted_and_the_control_plane_is_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
