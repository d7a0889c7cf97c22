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

/* Starts a child whose first line of output says where it listens; gives the line. */
static pid_t
start_listener(char *const *argv, char line[256])
{
	int out[2];
	size_t n = 0;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		close(out[0]);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	while (n + 1 < 256 && read(out[0], line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	/* The pipe stays open for the child's life: it may say more. */
	return pid;
}

unsigned
scene_origin(struct scene *sc, const char *name)
{
	char *argv[] = {(char *)scene_program("origin"), "--name", (char *)name, "--port", "0", NULL};
	unsigned host = sc->hosts++;
	char line[256];

	sc->host_pid[host] = start_listener(argv, line);
	assert_non_null(strrchr(line, ':'));
	sc->host_port[host] = (uint16_t)atoi(strrchr(line, ':') + 1);
	return host;
}

void
scene_two_ports(struct scene *sc, const char *program, const char *script, const char *arg)
{
	char *argv[] = {"/usr/bin/env", (char *)program, (char *)script, (char *)arg, NULL};
	unsigned a, b;
	char line[256];

	sc->host_pid[sc->hosts] = start_listener(argv, line);
	assert_int_equal(sscanf(line, "listening %u %u", &a, &b), 2);
	sc->host_port[sc->hosts++] = (uint16_t)a;
	sc->host_port[sc->hosts++] = (uint16_t)b;
}
