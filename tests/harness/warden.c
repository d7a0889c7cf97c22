#include "tests/harness/warden.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE 80
#define DIRS_MOST 64
#define LOOKS_MOST 50 /* what is killed may just be forking */

/* ---- what belongs to a directory */

static bool
writes_to(const char *pid, const char *dir)
{
	char path[300], target[256];
	size_t len = strlen(dir);
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/fd/2", pid);
	n = readlink(path, target, sizeof(target));
	return n > (ssize_t)len && memcmp(target, dir, len) == 0 && target[len] == '/';
}

/* False when there was nothing. */
static bool
kill_all(const char *dir)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool any = false;

	while (d && (e = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]) || !writes_to(e->d_name, dir))
			continue;
		any = true;
		kill(atoi(e->d_name), SIGKILL);
	}
	if (d)
		closedir(d);
	return any;
}

/* The segments first: links lead to them. */
static void
remove_all(const char *dir)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c",
		    "for l in \"$0\"/*/g*/segment; do "
		    "[ -L \"$l\" ] && rm -f \"$(readlink \"$l\")\"; done; rm -rf \"$0\"",
		    dir, NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void
clear(const char *dir)
{
	for (int i = 0; i < LOOKS_MOST && kill_all(dir); i++)
		usleep(10000); /* until the kernel has ended them */
	remove_all(dir);
}

/* ---- the process */

struct watched {
	char dir[DIRS_MOST][LINE];
	unsigned n;
};

/* "+/tmp/baton-test-…" or "-…" */
static void
hear(struct watched *w, const char *line)
{
	if (line[0] == '+' && w->n < DIRS_MOST)
		snprintf(w->dir[w->n++], sizeof(w->dir[0]), "%s", line + 1);
	for (unsigned i = 0; line[0] == '-' && i < w->n; i++)
		if (strcmp(w->dir[i], line + 1) == 0)
			memmove(w->dir[i], w->dir[--w->n], sizeof(w->dir[0]));
}

_Noreturn static void
run(int fd)
{
	struct watched w = {.n = 0};
	int null = open("/dev/null", O_RDWR);
	FILE *words = fdopen(fd, "r");
	char line[LINE];

	setsid(); /* who interrupts the program does not mean us */
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	prctl(PR_SET_NAME, "warden");
	while (words && fgets(line, sizeof(line), words)) {
		line[strcspn(line, "\n")] = '\0';
		hear(&w, line);
	}
	while (w.n)
		clear(w.dir[--w.n]);
	_exit(0);
}

/* The end of the pipe that only the program holds: its end is our word to begin. */
static int
start(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		run(fds[0]);
	}
	close(fds[0]);
	return fds[1];
}

static void
say(char what, const char *dir)
{
	static int fd = -1;
	char line[LINE];
	int n = snprintf(line, sizeof(line), "%c%s\n", what, dir);

	if (fd < 0)
		fd = start();
	if (write(fd, line, (size_t)n) != n)
		abort();
}

void
warden_watch(const char *dir)
{
	say('+', dir);
}

void
warden_forget(const char *dir)
{
	say('-', dir);
}
