/*
 * Hosts for the bench of active health checks: `check_hosts N` listens on N
 * ports of 127.0.0.1, prints them, one a line, and answers 200 to whatever
 * comes.  One process, level-triggered; it parses nothing.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define LISTENER 0x80000000u /* in an event's number: the rest is a listening descriptor */

static int
open_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0) {
		perror("check_hosts");
		exit(1);
	}
	getsockname(fd, (struct sockaddr *)&a, &n);
	printf("%u\n", ntohs(a.sin_port));
	return fd;
}

static void
watch(int ep, int fd, unsigned number)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = number};

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static void
take(int ep, int listener)
{
	int one = 1, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch(ep, fd, (unsigned)fd);
	}
}

static void
answer(int fd)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
	char bytes[4096];

	if (read(fd, bytes, sizeof(bytes)) <= 0 || write(fd, ok, sizeof(ok) - 1) < 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct rlimit l;
	int n = argc > 1 ? atoi(argv[1]) : 1;
	int ep = epoll_create1(0);
	struct epoll_event e[EVENTS];

	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	for (int i = 0; i < n; i++) {
		int fd = open_port();

		watch(ep, fd, LISTENER | (unsigned)fd);
	}
	fflush(stdout);
	for (;;) {
		int k = epoll_wait(ep, e, EVENTS, -1);

		for (int i = 0; i < k; i++) {
			if (e[i].data.u32 & LISTENER)
				take(ep, (int)(e[i].data.u32 & ~LISTENER));
			else
				answer((int)e[i].data.u32);
		}
	}
}
