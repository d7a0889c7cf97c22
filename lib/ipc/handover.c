#include "lib/ipc/handover.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ipc/frame.h"

void
handover_begin(struct strb *out, enum handover_word word)
{
	strb_reset(out);
	frame_put(out, word, STR(""));
}

void
handover_put_u(struct strb *out, enum handover_field f, uint64_t v)
{
	frame_put(out, f, str_make((const char *)&v, sizeof(v)));
}

void
handover_put_s(struct strb *out, enum handover_field f, struct str s)
{
	frame_put(out, f, s);
}

int
handover_send(int sock, const struct strb *packet, int fd)
{
	struct iovec iov = {packet->p, packet->n};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} c = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

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
		/* ETOOMANYREFS: too many descriptors under way; they leave when the reader reads.
		 */
		return errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS ? 0 : -1;
	}
}

/* The first descriptor; any other is closed. */
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

ssize_t
handover_receive(int sock, char *room, size_t n, struct handover_packet *p)
{
	struct iovec iov = {room, n};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} c;
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = c.room,
	    .msg_controllen = sizeof(c.room)};
	ssize_t got;

	*p = (struct handover_packet){.fd = -1};
	do {
		got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
		/* A reset is told once, before what was sent ahead of it. */
	} while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0) /* a reset is an end, too */
		return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
	if (got == 0)
		return 0;
	handover_parse(p, str_make(room, (size_t)got));
	p->fd = take_rights(&m);
	return got;
}

void
handover_parse(struct handover_packet *p, struct str packet)
{
	struct str value;
	unsigned type;
	int more;

	*p = (struct handover_packet){.fd = -1};
	while ((more = frame_next(&packet, &type, &value)) > 0) {
		if (type < HANDOVER_FIRST_FIELD && p->word == 0)
			p->word = type;
		else if (type >= HANDOVER_FIRST_FIELD &&
			 type < HANDOVER_FIRST_FIELD + HANDOVER_FIELDS)
			p->field[type - HANDOVER_FIRST_FIELD] = value;
	}
	if (more < 0)
		p->word = 0;
}

uint64_t
handover_u(const struct handover_packet *p, enum handover_field f)
{
	struct str s = p->field[f - HANDOVER_FIRST_FIELD];
	uint64_t v;

	if (s.n != sizeof(v))
		return 0;
	memcpy(&v, s.p, sizeof(v));
	return v;
}

struct str
handover_s(const struct handover_packet *p, enum handover_field f)
{
	struct str s = p->field[f - HANDOVER_FIRST_FIELD];

	return s.p ? s : STR("");
}
