#include "tests/harness/generations.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

pid_t
generation_started(struct scene *sc, unsigned n)
{
	static const char words[] = "hot restart: started pid ";
	char *log, *at;
	int pid = 0;

	WAIT_FOR(log_count(sc, words) >= n);
	at = log = scene_log(sc);
	for (unsigned i = 0; i < n; i++)
		at = strstr(at, words) + sizeof(words) - 1;
	assert_int_equal(sscanf(at, "%d", &pid), 1);
	mem_free(log);
	return pid;
}

unsigned
log_count(struct scene *sc, const char *text)
{
	char *log = scene_log(sc);
	unsigned n = 0;

	for (char *at = log; (at = strstr(at, text)) != NULL; at++)
		n++;
	mem_free(log);
	return n;
}

/* ---- clients that stay */

int
hold_h1(struct scene *sc, const char *path)
{
	int fd = client_connect(sc->port);

	client_get(fd, path);
	return fd;
}

/* Preface, SETTINGS, and GET /?delay_ms=60000 on stream 1. */
int
hold_h2(struct scene *sc)
{
	static const char path[] = "/?delay_ms=60000";
	char frame[64] = {0, 0, 0, 1, 5, 0, 0, 0, 1, (char)0x82, (char)0x86, 1, 1, 'a', 4,
	    sizeof(path) - 1};
	int fd = client_connect(sc->port);

	client_send_n(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
	memcpy(frame + 16, path, sizeof(path) - 1);
	frame[2] = (char)(7 + sizeof(path) - 1);
	client_send_n(fd, frame, 9 + 7 + sizeof(path) - 1);
	return fd;
}

int
hold_websocket(struct scene *sc)
{
	int fd = client_connect(sc->port);
	struct reply r;

	client_send(fd, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	r = client_reply(fd, true);
	assert_int_equal(r.status, 101);
	reply_free(&r);
	return fd;
}

void
assert_echo(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char got[4];

	client_send_n(fd, "\x81\x82\0\0\0\0hi", 8);
	assert_int_equal(poll(&p, 1, SCENE_PATIENCE_MS), 1);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_memory_equal(got, "\x81\x02hi", 4);
}

void
hold_serve(struct scene *sc, const char *const *options)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "1";
	for (unsigned i = 0; options[i]; i++)
		sc->extra[2 + i] = options[i];
	scene_proxy(sc, CONF_UPGRADES);
}

/* ---- batonctl beside us */

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
