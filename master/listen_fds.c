#include "master/listen_fds.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "master/sockets.h"

#define FIRST 3
#define MOST 1024

static bool
number_of(const char *name, uint64_t *n)
{
	const char *text = getenv(name);

	return text && str_u64(str_of(text), n);
}

int
listen_fds_given(void)
{
	uint64_t pid, n;

	if (!number_of("LISTEN_PID", &pid) || pid != (uint64_t)getpid())
		return 0;
	if (number_of("LISTEN_FDS", &n) && n <= MOST)
		return (int)n;
	log_warning(LOG_MASTER, "LISTEN_FDS: '%s' is no number of sockets", getenv("LISTEN_FDS"));
	return 0;
}

void
listen_fds_are_mine(int n)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (n)
		setenv("LISTEN_PID", pid, 1);
}

void
listen_fds_close(int n)
{
	for (int fd = FIRST; fd < FIRST + n; fd++)
		close(fd);
}

static bool
is_listening(int fd)
{
	int type = 0, listens = 0;
	socklen_t n = sizeof(type), m = sizeof(listens);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &m) == 0 && listens;
}

static void
take(struct sockets *s, int fd, struct str name)
{
	struct err err;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (is_listening(fd) && sockets_hand(s, fd, name, &err) == 0)
		return;
	log_warning(LOG_MASTER,
	    "LISTEN_FDS: descriptor %d '" STR_FMT "' is no socket that listens, closed", fd,
	    STR_ARG(name));
	close(fd);
}

void
listen_fds_take(struct sockets *s)
{
	const char *text = getenv("LISTEN_FDNAMES");
	struct str names = str_of(text ? text : ""), name;
	int n = listen_fds_given();

	for (int fd = FIRST; fd < FIRST + n; fd++) {
		if (!str_cut(&names, ':', &name))
			name = STR("");
		take(s, fd, name);
	}
}
