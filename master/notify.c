#include "master/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/log.h"

/* 0: no usable address.  An abstract name has no NUL at its end. */
static socklen_t
read_address(struct sockaddr_un *to, const char *name)
{
	size_t n = strlen(name);

	*to = (struct sockaddr_un){.sun_family = AF_UNIX};
	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(to->sun_path))
		return 0;
	memcpy(to->sun_path, name, n);
	if (name[0] == '@')
		to->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
}

static bool
is_for_us(const char *pid)
{
	uint64_t n;

	return pid == NULL || (str_u64(str_of(pid), &n) && n == (uint64_t)getpid());
}

void
notify_open(struct notify *n)
{
	const char *name = getenv("NOTIFY_SOCKET"), *every = getenv("WATCHDOG_USEC");

	*n = (struct notify){.fd = -1};
	if (name == NULL)
		return;
	n->to_len = read_address(&n->to, name);
	if (n->to_len == 0) {
		log_warning(LOG_MASTER, "NOTIFY_SOCKET: '%s' is no address", name);
		return;
	}
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (every && is_for_us(getenv("WATCHDOG_PID")) && !str_u64(str_of(every), &n->watchdog_us))
		log_warning(LOG_MASTER, "WATCHDOG_USEC: '%s' is no number", every);
}

void
notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

/* By name each time: a service manager that starts anew makes a new socket. */
bool
notify_send(struct notify *n, struct str lines)
{
	ssize_t sent;

	if (n->fd < 0)
		return true;
	sent = sendto(n->fd, lines.p, lines.n, MSG_NOSIGNAL | MSG_DONTWAIT,
	    (const struct sockaddr *)&n->to, n->to_len);
	if (sent < 0 && !n->failed)
		log_warning(LOG_MASTER, "NOTIFY_SOCKET: cannot send: %s", strerror(errno));
	n->failed = sent < 0;
	return sent >= 0;
}

void
notify_add_text(struct strb *lines, const char *key, struct str text)
{
	strb_printf(lines, "%s=", key);
	for (size_t i = 0; i < text.n; i++)
		strb_addc(lines, (unsigned char)text.p[i] < ' ' ? ' ' : text.p[i]);
	strb_addc(lines, '\n');
}

void
notify_not_for_children(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
	    "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
}

void
notify_is_for_me(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (getenv("WATCHDOG_PID"))
		setenv("WATCHDOG_PID", pid, 1);
}

void
notify_for_successor(void)
{
	notify_is_for_me();
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
}
