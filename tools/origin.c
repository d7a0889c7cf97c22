/*
 * origin: the upstream of the quickstart, of tests and of benches.  One
 * process, HTTP/1.1, answers as the URL asks:
 *
 *   origin --name A --port N        (0: the kernel picks) or --uds PATH
 *   origin --name A --port N --loopback
 *
 * Alone it listens on 127.0.0.1; with --loopback on every address of
 * 127.0.0.0/8, so that one process is as many hosts as a bench wants, and on
 * nothing that another machine could reach: the socket is bound to "lo".
 *
 *   any path     ?status=503&delay_ms=200&size=1024&close=1&chunked=1&header=x-a:b
 *                (&seed=7: byte i of the body is i + (i>>8)*7 + (i>>16)*13 + seed, modulo 256)
 *   /            one kibibyte of help, built once: the fast path
 *   /echo        the request's head as JSON lines
 *   /count       how many requests came so far
 *   /upload      counts and hashes the body; ?echo=1 sends it back
 *   /ws          a WebSocket that echoes
 *
 * Trusts its peers no more than it must to stay up: heads above 64 KiB,
 * malformed framing and unknown encodings end the connection.
 */
#include "tools/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

const char *origin_name = "origin";
uint64_t origin_requests;
struct list origin_waiting = {&origin_waiting, &origin_waiting};
static int poll_fd;

/* ---- connections */

static void
client_free(struct client *c)
{
	list_remove(&c->node);
	close(c->fd);
	strb_fini(&c->in);
	strb_fini(&c->out);
	strb_fini(&c->head);
	strb_fini(&c->r.extra);
	mem_free(c);
}

/* False: the connection is dead. */
static bool
write_out(struct client *c)
{
	while (c->out_at < c->out.n) {
		ssize_t n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->out_at += (size_t)n;
	}
	c->out_at = 0;
	strb_reset(&c->out);
	return true;
}

/* False: the connection is dead. */
static bool
read_in(struct client *c)
{
	ssize_t n;

	strb_reserve(&c->in, READ_ROOM);
	n = recv(c->fd, c->in.p + c->in.n, READ_ROOM, 0);
	if (n == 0)
		c->eof = true;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->in.n += (size_t)n;
	return true;
}

static bool
wants_input(const struct client *c)
{
	return !c->eof && !c->ending && c->out.n - c->out_at < OUT_HIGH && c->step != WAITING &&
	    c->step != WRITING && c->in.n - c->in_at < 2 * OUT_HIGH;
}

static void
tell_poll(struct client *c)
{
	unsigned want = (wants_input(c) ? EPOLLIN : 0u) | (c->out_at < c->out.n ? EPOLLOUT : 0u);
	struct epoll_event e = {.events = want, .data.ptr = c};

	if (want != c->polled)
		epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &e);
	c->polled = want;
}

/* Turns the crank until nothing moves any more. */
static void
work(struct client *c)
{
	bool empty;

	do {
		if (read_advance(c) < 0 || !write_out(c)) {
			client_free(c);
			return;
		}
		empty = c->out_at == c->out.n;
	} while (empty && c->step == WRITING);
	if (empty && (c->ending || (c->eof && c->step != WAITING))) {
		shutdown(c->fd, SHUT_WR);
		client_free(c);
		return;
	}
	tell_poll(c);
}

static void
on_client(struct client *c, unsigned ready)
{
	if (ready & (EPOLLERR | EPOLLHUP)) {
		client_free(c);
		return;
	}
	if ((ready & EPOLLIN) && !read_in(c)) {
		client_free(c);
		return;
	}
	work(c);
}

static void
accept_clients(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = mem_new(struct client);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		c->fd = fd;
		c->polled = EPOLLIN;
		if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
			client_free(c);
	}
}

/* Answers what is due; gives the time to the next in ms, -1 when none waits. */
static int
serve_waiting(void)
{
	uint64_t now, first = UINT64_MAX;

	if (list_empty(&origin_waiting))
		return -1;
	now = clock_mono_ns() / NS_PER_MS;
	list_for_each(n, &origin_waiting) {
		struct client *c = list_entry(n, struct client, node);

		if (c->due_ms > now) {
			first = c->due_ms < first ? c->due_ms : first;
			continue;
		}
		list_remove(&c->node);
		answer_put(c);
		work(c);
	}
	return first == UINT64_MAX ? -1 : (int)(first - now);
}

/* ---- the start */

/* Gives -1 when the socket could be reached from elsewhere. */
static int
bind_loopback(int fd, struct sockaddr_in *in)
{
	in->sin_addr.s_addr = htonl(INADDR_ANY);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo")) < 0)
		return -1;
	return bind(fd, (struct sockaddr *)in, sizeof(*in));
}

static int
bind_one(int fd, struct sockaddr_in *in)
{
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return bind(fd, (struct sockaddr *)in, sizeof(*in));
}

static int
listen_tcp(uint16_t port, bool loopback)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (fd < 0 || (loopback ? bind_loopback : bind_one)(fd, &in) < 0 || listen(fd, 4096) < 0) {
		fprintf(stderr, "origin: port %u: %s\n", port, strerror(errno));
		exit(1);
	}
	getsockname(fd, (struct sockaddr *)&in, &n);
	printf("listening 127.0.0.1:%u\n", ntohs(in.sin_port));
	return fd;
}

static int
listen_path(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(un.sun_path)) {
		fprintf(stderr, "origin: %s: too long\n", path);
		exit(1);
	}
	memcpy(un.sun_path, path, strlen(path) + 1);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, 4096) < 0) {
		fprintf(stderr, "origin: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	printf("listening %s\n", path);
	return fd;
}

static int
read_options(int argc, char **argv)
{
	const char *path = NULL;
	uint64_t port = 0;
	bool loopback = false;

	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--loopback") == 0) {
			loopback = true;
			i--; /* it has no value */
		} else if (value && strcmp(argv[i], "--name") == 0) {
			origin_name = value;
		} else if (value && strcmp(argv[i], "--uds") == 0) {
			path = value;
		} else if (!value || strcmp(argv[i], "--port") != 0 || !str_u64(str_of(value), &port) ||
		    port > 65535) {
			fprintf(stderr, "usage: origin [--name NAME] [--port N [--loopback] | --uds PATH]\n");
			exit(2);
		}
	}
	if (strlen(origin_name) > 64 || strpbrk(origin_name, "\"\\\r\n")) {
		fprintf(stderr, "origin: name: at most 64 plain characters\n");
		exit(2);
	}
	return path ? listen_path(path) : listen_tcp((uint16_t)port, loopback);
}

int
main(int argc, char **argv)
{
	int listener = read_options(argc, argv);
	struct epoll_event e = {.events = EPOLLIN}, ready[256];

	fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	answer_init();
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e);
	for (;;) {
		int n = epoll_wait(poll_fd, ready, 256, serve_waiting());

		for (int i = 0; i < n; i++) {
			if (ready[i].data.ptr == NULL)
				accept_clients(listener);
			else
				on_client(ready[i].data.ptr, ready[i].events);
		}
	}
}
