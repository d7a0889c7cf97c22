/* Upstreams of a scene: tools/origin, or a child that runs a function per connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "tests/harness/scene.h"

int
scene_refusing_port(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	getsockname(fd, (struct sockaddr *)&a, &n);
	*port = ntohs(a.sin_port);
	return fd;
}

static int
listen_anywhere(uint16_t *port)
{
	int fd = scene_refusing_port(port);

	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

unsigned
scene_host(struct scene *sc, void (*serve)(int fd, unsigned n, void *arg), void *arg)
{
	unsigned host = sc->hosts++;
	int fd = listen_anywhere(&sc->host_port[host]);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned n = 0;; n++) {
			int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

			if (c < 0)
				_exit(errno == EINTR ? 0 : 1);
			serve(c, n, arg);
			close(c);
		}
	}
	close(fd);
	sc->host_pid[host] = pid;
	return host;
}

unsigned
scene_origin(struct scene *sc, const char *name)
{
	unsigned host = sc->hosts++;
	int out[2];
	char line[256] = "";
	size_t n = 0;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		close(out[0]);
		execl(scene_program("origin"), "origin", "--name", name, "--port", "0", NULL);
		_exit(127);
	}
	close(out[1]);
	while (n + 1 < sizeof(line) && read(out[0], line + n, 1) == 1 && line[n] != '\n')
		n++;
	/* The pipe stays open for the child's life: it may say more. */
	assert_non_null(strrchr(line, ':'));
	sc->host_port[host] = (uint16_t)atoi(strrchr(line, ':') + 1);
	sc->host_pid[host] = pid;
	return host;
}
