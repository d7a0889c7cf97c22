/*
 * The floor of the benches: takes a connection, opens one to the origin,
 * and carries what is read to the other side.  No parsing, no timeouts,
 * one process.
 *
 *   forwarder PORT ORIGIN_PORT [HOSTS [drawn]]
 *
 * With HOSTS it has a connection to each of 127.1.x.y, for all clients: what
 * is read of a client goes to the next that owes no answer (drawn: to any), and
 * what comes from there goes back.  For messages that come in one read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (64 * 1024)

struct side {
	int fd;
	struct side *other; /* NULL: one of the hosts that owes no answer, or a client of theirs that waits for none */
	size_t waiting, sent; /* of what was read here, not yet written there */
	char *bytes;	      /* ROOM of them, only while something waits */
	int readable, writable, ended;
	int is_host;
};

static int polled;
static char room[ROOM];
static struct side **host; /* NULL: each client has a connection of its own */
static int hosts, last_host, drawn;
static struct side *dead; /* freed when the events of this turn are over */

static struct sockaddr_in
address(uint32_t ip, int port)
{
	return (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(ip)};
}

static struct side *
side_new(int fd)
{
	struct side *s = calloc(1, sizeof(*s));
	struct epoll_event e = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = s}};
	int one = 1;

	s->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	epoll_ctl(polled, EPOLL_CTL_ADD, fd, &e);
	return s;
}

static void
end_one(struct side *s)
{
	close(s->fd);
	s->fd = -1;
	free(s->bytes);
	s->bytes = (char *)(void *)dead;
	dead = s;
}

/* With hosts: of a client; its host's answer is dropped. */
static void
end(struct side *s)
{
	if (s->fd < 0)
		return;
	if (!host)
		end_one(s->other);
	else if (s->other)
		s->other->other = NULL;
	end_one(s);
}

static void
bury(void)
{
	while (dead) {
		struct side *s = dead;

		dead = (struct side *)(void *)s->bytes;
		free(s);
	}
}

/* Gives 0 when the pair has ended. */
static int
flush(struct side *s)
{
	while (s->sent < s->waiting && s->other->writable) {
		ssize_t n = send(s->other->fd, s->bytes + s->sent, s->waiting - s->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			s->other->writable = 0;
		} else if (n < 0) {
			end(s);
			return 0;
		} else {
			s->sent += (size_t)n;
		}
	}
	return 1;
}

static struct side *
next_host(void)
{
	if (drawn)
		last_host = (int)(random() % hosts);
	for (int i = 0; i < hosts; i++) {
		last_host = (last_host + 1) % hosts;
		if (host[last_host]->other == NULL)
			return host[last_host];
	}
	fprintf(stderr, "forwarder: more clients than hosts\n");
	exit(1);
}

/* One message from a client to a host, or the answer. */
static void
carry_message(struct side *s)
{
	ssize_t n = recv(s->fd, room, ROOM, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 && s->is_host) {
		fprintf(stderr, "forwarder: a host has gone\n");
		exit(1);
	}
	if (n <= 0) {
		end(s);
		return;
	}
	if (!s->is_host && !s->other) {
		s->other = next_host();
		s->other->other = s;
	}
	if (s->other && send(s->other->fd, room, (size_t)n, MSG_NOSIGNAL) != n)
		fprintf(stderr, "forwarder: a message did not leave\n");
	if (s->is_host && s->other)
		s->other = s->other->other = NULL;
}

static void
carry(struct side *s)
{
	while (s->fd >= 0 && s->readable && s->sent == s->waiting) {
		ssize_t n = recv(s->fd, room, ROOM, 0), k;

		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			end(s);
			return;
		}
		if (n < ROOM && !s->ended)
			s->readable = 0;
		if (n < 0)
			return;
		k = s->other->writable ? send(s->other->fd, room, (size_t)n, MSG_NOSIGNAL) : 0;
		if (k == n)
			continue;
		s->other->writable = 0;
		if (s->bytes == NULL)
			s->bytes = malloc(ROOM);
		s->sent = 0;
		s->waiting = (size_t)(n - (k > 0 ? k : 0));
		memcpy(s->bytes, room + (k > 0 ? k : 0), s->waiting);
	}
}

static struct side *
connect_to(uint32_t ip, int port)
{
	struct sockaddr_in to = address(ip, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	connect(fd, (struct sockaddr *)&to, sizeof(to));
	return side_new(fd);
}

static void
connect_hosts(int n, int origin_port)
{
	host = calloc((size_t)n, sizeof(*host));
	for (hosts = 0; hosts < n; hosts++)
		(host[hosts] = connect_to(0x7f010000u + (uint32_t)(hosts / 250 * 256 + hosts % 250 + 1), origin_port))->is_host = 1;
}

static void
take(int listening, int origin_port)
{
	int fd;

	while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct side *a = side_new(fd), *b;

		if (host)
			continue;
		b = connect_to(INADDR_LOOPBACK, origin_port);
		a->other = b;
		b->other = a;
	}
}

static void
on_event(struct side *s, uint32_t what)
{
	if (s->fd < 0)
		return;
	if (host) {
		if (what & ~(uint32_t)EPOLLOUT)
			carry_message(s);
		return;
	}
	s->readable |= (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	s->ended |= (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	s->writable |= (what & EPOLLOUT) != 0;
	if (flush(s->other)) {
		carry(s->other);
		carry(s);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = address(INADDR_LOOPBACK, argc > 2 ? atoi(argv[1]) : 0);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
	struct epoll_event e = {EPOLLIN, {.ptr = NULL}}, events[64];

	if (argc < 3)
		return 2;
	setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listening, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listening, 1024) < 0) {
		perror("forwarder");
		return 1;
	}
	polled = epoll_create1(0);
	epoll_ctl(polled, EPOLL_CTL_ADD, listening, &e);
	drawn = argc > 4;
	if (argc > 3)
		connect_hosts(atoi(argv[3]), atoi(argv[2]));
	for (;;) {
		int n = epoll_wait(polled, events, 64, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				on_event(events[i].data.ptr, events[i].events);
			else
				take(listening, atoi(argv[2]));
		}
		bury();
	}
}
