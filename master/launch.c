#include "master/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/event/signal.h"
#include "master/notify.h"
#include "master/restarter.h"

#define KEEP_UNTIL_EXEC 4 /* CLOSE_RANGE_CLOEXEC of linux/close_range.h */
#define EPOCH_OPTION "--restart-epoch"

static struct {
	char *path;  /* as it was named: a link that is switched leads to the new binary */
	char **argv; /* without any epoch; room for one more */
	int argc;
} command;

static char *
find_path(const char *name)
{
	char cwd[PATH_MAX], self[PATH_MAX];
	ssize_t n;

	if (name[0] == '/')
		return mem_strdup(name);
	if (strchr(name, '/') && getcwd(cwd, sizeof(cwd)))
		return mem_printf("%s/%s", cwd, name);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return NULL;
	self[n] = '\0';
	return mem_strdup(self);
}

void
launch_init(int argc, char **argv)
{
	command.path = find_path(argv[0]);
	command.argv = mem_array(char *, (size_t)argc + 3);
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], EPOCH_OPTION) == 0)
			i++; /* and its value */
		else if (strncmp(argv[i], EPOCH_OPTION "=", sizeof(EPOCH_OPTION)) != 0)
			command.argv[command.argc++] = mem_strdup(argv[i]);
	}
}

int
launch_exec(const char *epoch)
{
	command.argv[command.argc] = EPOCH_OPTION;
	command.argv[command.argc + 1] = (char *)epoch;
	signals_reset(NULL, 0);
	notify_for_successor();
	restarter_forget();
	syscall(SYS_close_range, 3u, ~0u, KEEP_UNTIL_EXEC);
	if (command.path == NULL)
		return -ENOENT;
	execv(command.path, command.argv);
	return -errno;
}

/* In the grandchild. */
_Noreturn static void
become_successor(int report_fd, uint32_t epoch)
{
	char number[16];
	int code;

	snprintf(number, sizeof(number), "%u", epoch);
	code = launch_exec(number);
	if (write(report_fd, &code, sizeof(code)) < 0)
		_exit(126);
	_exit(127);
}

/* The child in between: tells the grandchild's pid and ends. */
_Noreturn static void
fork_again(int report_fd, uint32_t epoch)
{
	pid_t pid = fork();
	int report = pid < 0 ? -errno : (int)pid;

	if (pid == 0)
		become_successor(report_fd, epoch);
	_exit(write(report_fd, &report, sizeof(report)) != sizeof(report));
}

/* Two numbers at most: the pid, and an error of exec, in any order. */
static pid_t
read_reports(int fd, struct err *err)
{
	int report, pid = 0, code = 0;
	ssize_t n;

	while ((n = read(fd, &report, sizeof(report))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(report))
			break;
		if (report > 0)
			pid = report;
		else
			code = -report;
	}
	if (code == 0 && pid > 0)
		return pid;
	errno = code;
	return err_sys(err, "cannot start '%s'", command.path);
}

pid_t
launch_successor(uint32_t epoch, struct err *err)
{
	int fds[2];
	pid_t child, pid;

	if (command.path == NULL)
		return err_set(err, "the path of the binary is not known");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	child = fork();
	if (child == 0)
		fork_again(fds[1], epoch);
	close(fds[1]);
	if (child < 0) {
		close(fds[0]);
		return err_sys(err, "fork");
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	pid = read_reports(fds[0], err); /* ends with the exec: all ends are closed then */
	close(fds[0]);
	return pid;
}
