#include "lib/ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"

/*
 * On the wire a message is a header of four 16-bit numbers and fields: a
 * number is 8 bytes, a string is its length in 4 bytes and its bytes.
 * Both ends are one binary on one machine, so numbers are in host order.
 */
struct wire_head {
	uint16_t type;
	uint16_t from, to;
	uint16_t has_fd;
};

#define QUEUE_MESSAGES 1024
#define QUEUE_BYTES (4u << 20)
#define READS_PER_TURN 64

struct queued {
	struct list node;
	struct strb bytes; /* head and body */
	int fd;            /* owned, -1: none */
};

struct channel {
	struct loop *loop;
	struct io io;
	int fd;
	unsigned me;
	const struct channel_events *events;
	void *arg;
	struct list queue;
	size_t queue_len, queue_bytes;
	uint64_t dropped;
	bool dead;  /* the other side is gone */
	bool busy;  /* a handler is running */
	bool freed; /* asked for while busy */
};

static const char *const names[] = {
#define MESSAGE(name, from, to, fd, text) #name,
#include "lib/ipc/messages.def"
#undef MESSAGE
};

static const enum role destinations[] = {
#define MESSAGE(name, from, to, fd, text) ROLE_##to,
#include "lib/ipc/messages.def"
#undef MESSAGE
};

static const enum role origins[] = {
#define MESSAGE(name, from, to, fd, text) ROLE_##from,
#include "lib/ipc/messages.def"
#undef MESSAGE
};

const char *
message_name(enum message_type t)
{
	return (unsigned)t < MESSAGE_TYPES ? names[t] : "?";
}

enum role
message_to(enum message_type t)
{
	ASSERT((unsigned)t < MESSAGE_TYPES);
	return destinations[t];
}

enum role
message_from(enum message_type t)
{
	ASSERT((unsigned)t < MESSAGE_TYPES);
	return origins[t];
}

/* ---- writing */

void
message_init(struct message *m, enum message_type type)
{
	*m = (struct message){.type = type, .fd = -1};
}

void
message_u(struct message *m, uint64_t v)
{
	strb_add(&m->body, &v, sizeof(v));
}

void
message_s(struct message *m, struct str s)
{
	uint32_t n = (uint32_t)s.n;

	strb_add(&m->body, &n, sizeof(n));
	strb_add(&m->body, s.p, s.n);
}

void
message_z(struct message *m, const char *z)
{
	message_s(m, str_of(z));
}

void
message_fini(struct message *m)
{
	strb_fini(&m->body);
	m->fd = -1;
}

/* ---- reading */

static bool
take(struct str *s, void *out, size_t n)
{
	if (s->n < n)
		return false;
	memcpy(out, s->p, n);
	s->p += n;
	s->n -= n;
	return true;
}

uint64_t
message_get_u(struct message_view *v)
{
	uint64_t out;

	return take(&v->rest, &out, sizeof(out)) ? out : 0;
}

struct str
message_get_s(struct message_view *v)
{
	struct str out = STR("");
	uint32_t n;

	if (!take(&v->rest, &n, sizeof(n)) || v->rest.n < n) {
		v->rest = STR("");
		return out;
	}
	out = str_make(v->rest.p, n);
	v->rest.p += n;
	v->rest.n -= n;
	return out;
}

int
message_take_fd(struct message_view *v)
{
	int fd = *v->fd;

	*v->fd = -1;
	return fd;
}

/* ---- the socket */

/* 1 sent, 0 would block, -1 the other side is gone. */
static int
send_packet(int sock, const struct wire_head *h, struct str body, int fd)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)h, sizeof(*h)}, {(void *)(uintptr_t)body.p, body.n}};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} c = {0};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = body.n ? 2 : 1};

	if (fd >= 0) {
		m.msg_control = c.room;
		m.msg_controllen = sizeof(c.room);
		c.align.cmsg_level = SOL_SOCKET;
		c.align.cmsg_type = SCM_RIGHTS;
		c.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&c.align), &fd, sizeof(fd));
	}
	for (;;) {
		if (sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 1;
		if (errno == EINTR)
			continue;
		/* ETOOMANYREFS: too many descriptors under way; they leave when the reader reads. */
		return errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS ? 0 : -1;
	}
}

/* The first descriptor of the control data; any other is closed. */
static int
take_rights(struct msghdr *m)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + CMSG_LEN(sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
			int one;

			memcpy(&one, CMSG_DATA(c) + at, sizeof(one));
			if (fd < 0)
				fd = one;
			else
				close(one);
		}
	}
	return fd;
}

/* Bytes of one packet, 0 at the end, -1 nothing now.  *fd is the caller's. */
static ssize_t
receive_packet(int sock, char *room, size_t n, int *fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} c;
	struct iovec iov = {room, n};
	struct msghdr m = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof(c.room)};
	ssize_t got;

	*fd = -1;
	do
		got = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	/* Who died with something of ours unread is reset, and that is told once, before what it sent
	 * ahead of it: listening sockets, for instance. */
	while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0)
		return errno == EAGAIN ? -1 : 0;
	*fd = take_rights(&m);
	return got;
}

/* ---- the channel */

static void
dequeue(struct channel *c, struct queued *q)
{
	list_remove(&q->node);
	c->queue_len--;
	c->queue_bytes -= q->bytes.n;
	if (q->fd >= 0)
		close(q->fd);
	strb_fini(&q->bytes);
	mem_free(q);
}

static void
empty_queue(struct channel *c)
{
	struct list *n;

	while ((n = list_first(&c->queue)) != NULL)
		dequeue(c, list_entry(n, struct queued, node));
}

static void
flush_queue(struct channel *c)
{
	struct list *n;

	while ((n = list_first(&c->queue)) != NULL) {
		struct queued *q = list_entry(n, struct queued, node);
		struct wire_head h;
		int sent;

		memcpy(&h, q->bytes.p, sizeof(h));
		sent = send_packet(c->fd, &h,
		    str_make(q->bytes.p + sizeof(h), q->bytes.n - sizeof(h)), q->fd);
		if (sent == 0)
			return;
		if (sent < 0) { /* the read side reports the end */
			empty_queue(c);
			break;
		}
		dequeue(c, q);
	}
	if (!c->dead)
		io_change_level(&c->io, IO_READ);
}

static void
deliver(struct channel *c, const char *bytes, size_t n, int fd)
{
	struct wire_head h;
	struct message_view v;

	if (n < sizeof(h))
		return;
	memcpy(&h, bytes, sizeof(h));
	if (h.type >= MESSAGE_TYPES) {
		log_warning(LOG_IPC, "channel: unknown message %u from seat %u", h.type, h.from);
		return;
	}
	v = (struct message_view){.type = (enum message_type)h.type,
	    .seat = h.from,
	    .to = h.to,
	    .rest = str_make(bytes + sizeof(h), n - sizeof(h)),
	    .fd = &fd};
	/* MSG_CTRUNC says so too, but not which message it was. */
	if (h.has_fd && fd < 0)
		log_error(LOG_IPC, "channel: %s came without its descriptor, this process has no more to give",
		    names[h.type]);
	c->events->on_message(c->arg, &v);
	if (fd >= 0)
		close(fd);
}

static void
channel_end(struct channel *c)
{
	c->dead = true;
	io_del(&c->io);
	empty_queue(c);
	c->events->on_closed(c->arg);
}

static void
read_some(struct channel *c)
{
	static char room[sizeof(struct wire_head) + MESSAGE_MAX]; /* handlers never turn the loop */

	for (int i = 0; i < READS_PER_TURN && !c->freed; i++) {
		int fd;
		ssize_t n = receive_packet(c->fd, room, sizeof(room), &fd);

		if (n < 0)
			return;
		if (n == 0) {
			channel_end(c);
			return;
		}
		deliver(c, room, (size_t)n, fd);
	}
}

static void
on_ready(void *arg, unsigned ready)
{
	struct channel *c = arg;

	c->busy = true;
	if (ready & IO_WRITE)
		flush_queue(c);
	if (ready & (IO_READ | IO_CLOSED))
		read_some(c);
	c->busy = false;
	if (c->freed)
		channel_free(&c);
}

void
channel_hear_out(struct channel *c)
{
	static char room[sizeof(struct wire_head) + MESSAGE_MAX]; /* not read_some()'s */
	ssize_t n;
	int fd;

	if (c == NULL || c->dead || c->busy)
		return;
	c->busy = true;
	while (!c->freed && (n = receive_packet(c->fd, room, sizeof(room), &fd)) > 0)
		deliver(c, room, (size_t)n, fd);
	c->busy = false;
	if (c->freed)
		mem_free(c);
}

struct channel *
channel_new(struct loop *l, int fd, unsigned me, const struct channel_events *events, void *arg)
{
	struct channel *c = mem_new(struct channel);

	*c = (struct channel){.loop = l, .fd = fd, .me = me, .events = events, .arg = arg};
	list_init(&c->queue);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	io_add_level(l, &c->io, fd, IO_READ, on_ready, c);
	return c;
}

void
channel_free(struct channel **cp)
{
	struct channel *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	if (c->fd >= 0) {
		io_del(&c->io);
		empty_queue(c);
		close(c->fd);
		c->fd = -1;
	}
	c->dead = c->freed = true;
	if (!c->busy)
		mem_free(c);
}

/* Waits its turn; the descriptor is copied, as sending only borrows it. */
static bool
enqueue(struct channel *c, const struct wire_head *h, struct str body, int fd)
{
	struct queued *q;
	int copy = -1;

	if (c->queue_len >= QUEUE_MESSAGES || c->queue_bytes + body.n > QUEUE_BYTES ||
	    (fd >= 0 && (copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)) {
		if (c->dropped++ == 0)
			log_warning(LOG_IPC, "channel: queue is full, %s dropped", names[h->type]);
		return false;
	}
	q = mem_new(struct queued);
	q->fd = copy;
	strb_add(&q->bytes, h, sizeof(*h));
	strb_adds(&q->bytes, body);
	list_push_back(&c->queue, &q->node);
	c->queue_len++;
	c->queue_bytes += q->bytes.n;
	if (c->queue_len == 1)
		io_change_level(&c->io, IO_READ | IO_WRITE);
	return true;
}

static bool
send_or_queue(struct channel *c, const struct wire_head *h, struct str body, int fd)
{
	int sent;

	if (c->dead || body.n > MESSAGE_MAX)
		return false;
	if (!list_empty(&c->queue))
		return enqueue(c, h, body, fd);
	sent = send_packet(c->fd, h, body, fd);
	return sent > 0 || (sent == 0 && enqueue(c, h, body, fd));
}

bool
channel_send(struct channel *c, struct message *m)
{
	struct wire_head h = {.type = (uint16_t)m->type,
	    .from = (uint16_t)c->me,
	    .to = (uint16_t)m->seat,
	    .has_fd = m->fd >= 0};
	bool ok = send_or_queue(c, &h, strb_str(&m->body), m->fd);

	message_fini(m);
	return ok;
}

bool
channel_pass(struct channel *c, const struct message_view *v)
{
	struct wire_head h = {.type = (uint16_t)v->type,
	    .from = (uint16_t)v->seat,
	    .to = (uint16_t)v->to,
	    .has_fd = *v->fd >= 0};

	return send_or_queue(c, &h, v->rest, *v->fd);
}

int
channel_fd(const struct channel *c)
{
	return c->fd;
}

size_t
channel_queued(const struct channel *c)
{
	return c->queue_len;
}

uint64_t
channel_dropped(const struct channel *c)
{
	return c->dropped;
}
