#include "lib/net/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/assert.h"

/* The reason alone: who asked knows the address. */
static int
fail(int fd, const char *what, struct err *err)
{
	if (what)
		err_sys(err, "%s", what);
	else
		err_set(err, "%s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int
set_flag(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* ---- listening */

/* True when the path is a socket nobody answers on, and it was removed. */
static bool
remove_dead_path(const struct address *a)
{
	struct stat st;
	int fd, refused;

	if (a->un.sun_path[0] == '\0' || lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	refused = connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED;
	close(fd);
	return refused && unlink(a->un.sun_path) == 0;
}

static int
bind_pipe(int fd, const struct address *a)
{
	if (bind(fd, &a->sa, a->len) == 0)
		return 0;
	if (errno != EADDRINUSE || !remove_dead_path(a)) {
		errno = errno == ENOENT || errno == EACCES ? errno : EADDRINUSE;
		return -1;
	}
	return bind(fd, &a->sa, a->len);
}

int
socket_bind(const struct address *a, const struct socket_options *o, struct err *err)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return fail(fd, "socket", err);
	if (address_is_pipe(a)) {
		if (bind_pipe(fd, a) < 0)
			return fail(fd, NULL, err);
		if (o->mode && a->un.sun_path[0] && chmod(a->un.sun_path, (mode_t)o->mode) < 0)
			return fail(fd, "chmod", err);
		return fd;
	}
	/* Connections of an earlier process in TIME_WAIT must not stand in the way. */
	if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
		return fail(fd, "SO_REUSEADDR", err);
	if (o->reuse_port && set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0)
		return fail(fd, "SO_REUSEPORT", err);
	if (a->sa.sa_family == AF_INET6 &&
	    set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !o->ipv4_compat) < 0)
		return fail(fd, "IPV6_V6ONLY", err);
	if (bind(fd, &a->sa, a->len) < 0)
		return fail(fd, NULL, err);
	return fd;
}

int
socket_allow_joining(int fd, struct err *err)
{
	if (set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0)
		return err_sys(err, "SO_REUSEPORT");
	return 0;
}

int
socket_listen(int fd, const struct socket_options *o, struct err *err)
{
	/* The kernel cuts it to net.core.somaxconn. */
	if (listen(fd, o->backlog > 0 ? o->backlog : 65535) < 0)
		return err_sys(err, "listen");
	return 0;
}

/* ---- connecting */

int
socket_connect(const struct address *to, const struct address *from, bool *pending, struct err *err)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*pending = false;
	if (fd < 0)
		return fail(fd, "socket", err);
	if (from) {
		/* The port is chosen at connect, so that it is unique per destination only. */
		set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (bind(fd, &from->sa, from->len) < 0)
			return fail(fd, "bind", err);
	}
	if (connect(fd, &to->sa, to->len) == 0)
		return fd;
	if (errno != EINPROGRESS)
		return fail(fd, NULL, err);
	*pending = true;
	return fd;
}

int
socket_error(int fd)
{
	int e = 0;
	socklen_t n = sizeof(e);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0 ? errno : e;
}

/* ---- options of a connection */

void
socket_nodelay(int fd)
{
	set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

void
socket_keepalive(int fd, const struct socket_keepalive *k)
{
	set_flag(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (k->probes)
		set_flag(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)k->probes);
	if (k->time_s)
		set_flag(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)k->time_s);
	if (k->interval_s)
		set_flag(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)k->interval_s);
}
