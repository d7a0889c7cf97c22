/* Connections of the load generator. */
#include "tests/bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SEND_ROOM (256 * 1024) /* a request never waits for room */

const char load_request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

int load_polled;
struct connection *load_idle;
uint64_t load_answers, load_errors;
char load_room[LOAD_ROOM];

uint64_t
load_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

void
load_die(const char *what)
{
	perror(what);
	exit(1);
}

int
load_dial(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, send_room = SEND_ROOM;

	if (fd < 0)
		load_die("load: socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_room, sizeof(send_room));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		load_die("load: connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

void
load_put(int fd, const void *p, size_t n)
{
	if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		load_errors++;
}

int64_t
load_body_length(const char *head, const char *status)
{
	const char *length = strcasestr(head, "\r\ncontent-length:");

	if (strncmp(head, "HTTP/1.1 ", 9) != 0 || strncmp(head + 9, status, 3) != 0)
		return -1;
	return length ? strtoll(length + 17, NULL, 10) : 0;
}

/* Collects the head; gives how many of the n bytes it took, 0 when it is too long. */
static size_t
take_head(struct connection *c, const char *p, size_t n, bool *complete)
{
	size_t before = c->got, fits = sizeof(c->head) - 1 - c->got;
	char *end;

	*complete = false;
	if (n < fits)
		fits = n;
	memcpy(c->head + c->got, p, fits);
	c->got += fits;
	c->head[c->got] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL)
		return c->got < sizeof(c->head) - 1 ? fits : 0;
	*complete = true;
	end[2] = '\0';
	return (size_t)(end + 4 - c->head) - before;
}

void
load_poll(struct connection *c)
{
	struct epoll_event e = {EPOLLIN, {.ptr = c}};

	c->open = true;
	if (epoll_ctl(load_polled, EPOLL_CTL_ADD, c->fd, &e) < 0)
		load_die("load: epoll");
}

void
load_lose(struct connection *c)
{
	close(c->fd);
	c->open = false;
	load_errors++;
}

void
load_wait(uint64_t until, void (*on_ready)(struct connection *c))
{
	struct epoll_event events[64];
	uint64_t now = load_now_ns(), left = until > now ? until - now : 0;
	struct timespec t = {(time_t)(left / NS), (long)(left % NS)};
	int n = epoll_pwait2(load_polled, events, 64, &t, NULL);

	for (int i = 0; i < n; i++)
		if (((struct connection *)events[i].data.ptr)->open)
			on_ready(events[i].data.ptr);
}

bool
load_read_answer(struct connection *c)
{
	ssize_t n = recv(c->fd, load_room, LOAD_ROOM, MSG_DONTWAIT);
	size_t at = 0;
	bool complete;
	int64_t length;

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n > 0 && !c->in_body) {
		at = take_head(c, load_room, (size_t)n, &complete);
		if (at && !complete)
			return false;
		length = at ? load_body_length(c->head, "200") : -1;
		if (length < 0)
			n = -1;
		c->in_body = true;
		c->left = (uint64_t)length;
	}
	if (n <= 0 || (uint64_t)n - at > c->left) {
		load_lose(c);
		return false;
	}
	c->left -= (uint64_t)n - at;
	return c->left == 0;
}

void
load_answered(struct connection *c)
{
	load_answers++;
	c->in_body = false;
	c->got = 0;
	c->next_idle = load_idle;
	load_idle = c;
}
