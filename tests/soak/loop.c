/* The soak's event loop: a few dozen connections, their bytes and their alarms. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/soak/soak.h"

#define READ_BYTES 65536

uint64_t now_ns, loop_stall_ns, loop_away_ns;
bool finishing, outage, excused;

static struct list peers;
static int poll_fd;

void
loop_init(void)
{
	list_init(&peers);
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	now_ns = clock_mono_ns();
}

unsigned
loop_peers(void)
{
	unsigned n = 0;

	list_for_each(e, &peers) n++;
	return n;
}

void
loop_each(void (*visit)(struct peer *p, void *arg), void *arg)
{
	list_for_each(e, &peers) visit(list_entry(e, struct peer, node), arg);
}

/* ---- a connection */

static void
tell_poll(struct peer *p)
{
	unsigned want = (p->budget && !p->connecting ? EPOLLIN : 0u) |
			(p->connecting || p->out_at < p->out.n ? EPOLLOUT : 0u);
	struct epoll_event e = {.events = want, .data.ptr = p};

	if (p->fd >= 0 && want != p->polled)
		epoll_ctl(poll_fd, EPOLL_CTL_MOD, p->fd, &e);
	p->polled = want;
}

void
peer_init(struct peer *p, const struct peer_type *type, enum kind kind)
{
	p->type = type;
	p->kind = kind;
	p->fd = -1;
	p->budget = SIZE_MAX;
	list_push_back(&peers, &p->node);
}

void
peer_hangup(struct peer *p)
{
	if (p->fd >= 0) {
		/* A child between fork and exec may hold it still: closing alone leaves it polled. */
		epoll_ctl(poll_fd, EPOLL_CTL_DEL, p->fd, NULL);
		close(p->fd);
	}
	p->fd = -1;
	p->doomed = p->connecting = false;
	p->late_at = p->writing_since = 0;
	p->out_at = 0;
	strb_reset(&p->out);
}

void
peer_remove(struct peer *p)
{
	peer_hangup(p);
	p->wake_at = 0;
	p->gone = true;
}

/* The type learns of it with `doomed` still telling whose connection it was. */
static void
end_connection(struct peer *p, const char *why)
{
	bool doomed = p->doomed;

	peer_hangup(p);
	p->doomed = doomed;
	p->type->on_closed(p, why);
	if (p->fd < 0)
		p->doomed = false;
}

void
peer_connect(struct peer *p, uint16_t port, int receive_bytes)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event e = {.events = EPOLLOUT, .data.ptr = p};
	socklen_t n = sizeof(a);

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	p->doomed = outage;
	p->connecting = true;
	p->polled = EPOLLOUT;
	p->budget = SIZE_MAX;
	if (receive_bytes)
		setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(p->fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EINPROGRESS) {
		end_connection(p, strerror(errno));
		return;
	}
	getsockname(p->fd, (struct sockaddr *)&a, &n);
	p->port = ntohs(a.sin_port);
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, p->fd, &e);
}

static void
flush_out(struct peer *p)
{
	while (p->out_at < p->out.n) {
		ssize_t n = send(p->fd, p->out.p + p->out_at, p->out.n - p->out_at, MSG_NOSIGNAL);

		if (n < 0)
			break; /* reading tells what is wrong */
		p->out_at += (size_t)n;
	}
	if (p->out_at == p->out.n) {
		uint64_t since = p->writing_since;

		p->out_at = 0;
		p->writing_since = 0;
		strb_reset(&p->out);
		if (since && p->type->on_written)
			p->type->on_written(p, clock_mono_ns() - since);
	}
	tell_poll(p);
}

void
peer_send(struct peer *p, const void *bytes, size_t n)
{
	if (p->writing_since == 0)
		p->writing_since = clock_mono_ns();
	strb_add(&p->out, bytes, n);
	if (!p->connecting)
		flush_out(p);
}

bool
peer_has_ended(struct peer *p)
{
	char byte;
	ssize_t n = recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void
peer_wake_in(struct peer *p, unsigned ms)
{
	p->wake_at = now_ns + ms * NS_PER_MS;
}

void
peer_expect(struct peer *p)
{
	p->late_at = now_ns + PATIENCE_NS;
}

void
peer_expect_nothing(struct peer *p)
{
	p->late_at = 0;
}

void
peer_may_read(struct peer *p, size_t bytes)
{
	p->budget += bytes;
	tell_poll(p);
}

/* ---- a turn */

static void
finish_connect(struct peer *p)
{
	int code = 0;
	socklen_t n = sizeof(code);

	getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &code, &n);
	if (code) {
		end_connection(p, strerror(code));
		return;
	}
	p->connecting = false;
	tell_poll(p);
	p->type->on_open(p);
}

static void
read_in(struct peer *p)
{
	static char bytes[READ_BYTES];
	size_t room = p->budget < sizeof(bytes) ? p->budget : sizeof(bytes);
	ssize_t n = recv(p->fd, bytes, room, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end_connection(p, n == 0 ? "closed" : strerror(errno));
		return;
	}
	if (p->budget != SIZE_MAX)
		p->budget -= (size_t)n;
	if (p->late_at)
		peer_expect(p);
	tell_poll(p);
	p->type->on_bytes(p, bytes, (size_t)n);
}

static void
serve(struct peer *p, unsigned ready)
{
	if (p->gone || p->fd < 0)
		return;
	if (p->connecting) {
		finish_connect(p);
		return;
	}
	if (ready & EPOLLOUT)
		flush_out(p);
	if (p->fd >= 0 && p->budget && (ready & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		read_in(p);
	else if (p->fd >= 0 && (ready & EPOLLERR))
		end_connection(p, "reset");
}

static void
serve_alarms(void)
{
	list_for_each(e, &peers)
	{
		struct peer *p = list_entry(e, struct peer, node);

		if (!p->gone && p->late_at && p->late_at <= now_ns) {
			p->late_at = 0;
			p->type->on_late(p);
		}
		if (!p->gone && p->wake_at && p->wake_at <= now_ns) {
			p->wake_at = 0;
			p->type->on_wake(p);
		}
	}
}

static void
free_gone(void)
{
	list_for_each(e, &peers)
	{
		struct peer *p = list_entry(e, struct peer, node);

		if (!p->gone)
			continue;
		list_remove(&p->node);
		strb_fini(&p->out);
		p->type->free(p);
	}
}

static unsigned
until_next_alarm(unsigned ms)
{
	list_for_each(e, &peers)
	{
		struct peer *p = list_entry(e, struct peer, node);

		if (p->wake_at && p->wake_at <= now_ns)
			return 0;
		if (p->wake_at && (p->wake_at - now_ns) / NS_PER_MS < ms)
			ms = (unsigned)((p->wake_at - now_ns) / NS_PER_MS) + 1;
	}
	return ms;
}

void
loop_turn(unsigned ms)
{
	struct epoll_event ready[128];
	uint64_t began;
	int n = epoll_wait(poll_fd, ready, 128, (int)until_next_alarm(ms));

	began = now_ns = clock_mono_ns();
	for (int i = 0; i < n; i++)
		serve(ready[i].data.ptr, ready[i].events);
	serve_alarms();
	free_gone();
	now_ns = clock_mono_ns();
	if (now_ns - began > loop_stall_ns)
		loop_stall_ns = now_ns - began;
	if (process_interrupted()) {
		process_end_all();
		printf("soak: interrupted; its files are in %s\n", run_dir);
		exit(1);
	}
}
