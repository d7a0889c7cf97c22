#include "tests/harness/killing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/base/mem.h"

#define HELD_BYTES 400000 /* more than the kernel takes from an upstream at once */

pid_t
generation_spawn(struct scene *sc, const char *epoch)
{
	char *config = mem_printf("%s/baton.yaml", sc->dir),
	     *admin = mem_printf("%s/admin", sc->dir);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(sc->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

		prctl(PR_SET_PDEATHSIG, SIGINT);
		dup2(fd, 1);
		dup2(fd, 2);
		execl(scene_program("baton"), "baton", "-c", config, "--runtime-dir", sc->dir,
		    "--admin-address-path", admin, "--concurrency", "2",
		    epoch ? "--restart-epoch" : NULL, epoch, NULL);
		_exit(127);
	}
	mem_free(config);
	mem_free(admin);
	return pid;
}

static bool
serves_or_has_ended(struct scene *sc, pid_t pid, bool *ended)
{
	*ended = process_is_gone(pid);
	return *ended || generation_serving(sc) == pid;
}

void
generation_start(struct scene *sc, const char *epoch)
{
	pid_t pid = generation_spawn(sc, epoch);
	bool ended;

	WAIT_FOR(serves_or_has_ended(sc, pid, &ended));
	if (ended)
		fail_msg("the start was refused:\n%s", scene_log(sc));
	sc->proxy = pid;
	scene_find_ports(sc);
}

bool
process_is_gone(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WNOHANG) == pid || (kill(pid, 0) < 0 && errno == ESRCH);
}

void
process_kill(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	WAIT_FOR(process_is_gone(pid));
}

struct generation
generation_of(struct scene *sc)
{
	struct generation g = {.master = sc->proxy};

	g.admin = scene_wait_child(sc, "admin", 0);
	g.worker[0] = scene_wait_child(sc, "worker 1", 0);
	g.worker[1] = scene_child(sc, "worker 2");
	return g;
}

void
generation_kill(const struct generation *g)
{
	process_kill(g->master); /* first, so that it replaces nobody */
	process_kill(g->admin);
	process_kill(g->worker[0]);
	process_kill(g->worker[1]);
}

int
generation_hold(struct scene *sc, unsigned ms)
{
	int64_t held = scene_stat(sc, "cluster.api.upstream_rq_active");
	char *request = mem_printf(
	    "GET /?size=%d&delay_ms=%u HTTP/1.1\r\nHost: a\r\n\r\n", HELD_BYTES, ms);
	int fd = client_connect(sc->port);

	client_send(fd, request);
	mem_free(request);
	scene_wait_stat(sc, "cluster.api.upstream_rq_active", (held > 0 ? held : 0) + 1);
	return fd;
}

void
generation_let_go(int fd)
{
	struct reply r = client_reply(fd, false);

	assert_int_equal(r.status, 200);
	assert_int_equal(r.body_len, HELD_BYTES);
	assert_true(r.complete);
	reply_free(&r);
	close(fd);
}
