/* The plain transport: bytes as the kernel gives them. */
#include <fcntl.h>
#include <sys/socket.h>

#include "lib/net/conn.h"

static ssize_t
plain_read(struct conn *c, void *p, size_t n)
{
	return recv(c->fd, p, n, 0);
}

static ssize_t
plain_write(struct conn *c, const void *p, size_t n)
{
	return send(c->fd, p, n, MSG_NOSIGNAL);
}

static ssize_t
plain_writev(struct conn *c, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

	return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

static ssize_t
plain_read_pipe(struct conn *c, int to, size_t n)
{
	return splice(c->fd, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

static ssize_t
plain_write_pipe(struct conn *c, int from, size_t n)
{
	return splice(from, NULL, c->fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

static void
plain_shutdown(struct conn *c)
{
	shutdown(c->fd, SHUT_WR);
}

static bool
plain_pending(struct conn *c)
{
	return false;
}

static void
plain_free(struct conn *c)
{
}

const struct transport plain_transport = {
    .name = "raw_buffer",
    .read = plain_read,
    .write = plain_write,
    .writev = plain_writev,
    .read_pipe = plain_read_pipe,
    .write_pipe = plain_write_pipe,
    .shutdown = plain_shutdown,
    .pending = plain_pending,
    .free = plain_free,
};
