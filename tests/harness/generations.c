#include "tests/harness/generations.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/base/mem.h"

void
generations_adopt(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

pid_t
generation_serving(struct scene *sc)
{
	char *path = mem_printf("%s/0/pid", sc->dir);
	FILE *f = fopen(path, "r");
	int pid = 0;

	mem_free(path);
	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

int
generation_restart(struct scene *sc)
{
	char *out;
	int status = scene_run_tool(sc, &out, "batonctl", "hot-restart", NULL);

	if (status == 0)
		sc->proxy = generation_serving(sc);
	mem_free(out);
	return status;
}

bool
generation_is_gone(pid_t master)
{
	int status;

	return waitpid(master, &status, WNOHANG) == master || kill(master, 0) < 0;
}

static int
run_tool(struct scene *sc, char **out, const char *program, const char *const *words)
{
	const char *w[5] = {NULL};

	for (unsigned i = 0; i < 4 && words[i]; i++)
		w[i] = words[i];
	return scene_run_tool(sc, out, program, w[0], w[1], w[2], w[3], NULL);
}

void
expect_tool(struct scene *sc, int status, const char *has, const char *program,
    const char *const *words)
{
	char *out;
	int got = run_tool(sc, &out, program, words);

	if (got != status || strstr(out, has) == NULL)
		fail_msg("%s %s: exit %d, wanted %d with '%s', said: %s", program, words[0], got,
		    status, has, out);
	mem_free(out);
}

bool
ctl_says(struct scene *sc, const char *text, const char *const *words)
{
	char *out;
	bool has;

	run_tool(sc, &out, "batonctl", words);
	has = strstr(out, text) != NULL;
	mem_free(out);
	return has;
}

void
ctl_begin(struct scene *sc, struct ctl_run *run, const char *command)
{
	static unsigned n;

	snprintf(run->path, sizeof(run->path), "%s/ctl%u", sc->dir, n++);
	run->pid = fork();
	assert_true(run->pid >= 0);
	if (run->pid == 0) {
		int fd = open(run->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd, 1);
		dup2(fd, 2);
		execl(scene_program("batonctl"), "batonctl", "--runtime-dir", sc->dir, command, NULL);
		_exit(127);
	}
}

int
ctl_end(struct ctl_run *run, char **out)
{
	char text[2048] = "";
	int status, fd;

	assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
	fd = open(run->path, O_RDONLY | O_CLOEXEC);
	if (out) {
		if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		*out = mem_strdup(text);
	}
	if (fd >= 0)
		close(fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
