#include "tests/harness/manager.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/harness/scene.h"

void
manager_open(struct manager *m, const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int on = 1;

	memset(m, 0, sizeof(*m));
	assert_true(n < sizeof(un.sun_path));
	memcpy(un.sun_path, name, n);
	if (name[0] == '@')
		un.sun_path[0] = '\0';
	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(setsockopt(m->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	assert_int_equal(bind(m->fd, (struct sockaddr *)&un,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
	    0);
	setenv("NOTIFY_SOCKET", name, 1);
}

void
manager_close(struct manager *m)
{
	unsetenv("NOTIFY_SOCKET");
	close(m->fd);
}

static void
hear_line(struct manager *m, struct str line, pid_t from)
{
	struct str key, value = line;
	uint64_t n = 0;

	str_cut(&value, '=', &key);
	str_u64(value, &n);
	if (str_eqz(key, "READY")) {
		m->readies++;
		m->is_ready = true;
		m->is_reloading = false;
	} else if (str_eqz(key, "RELOADING")) {
		m->reloads++;
		m->is_reloading = true;
	} else if (str_eqz(key, "MONOTONIC_USEC")) {
		m->monotonic_us = n;
	} else if (str_eqz(key, "STOPPING")) {
		m->is_stopping = true;
	} else if (str_eqz(key, "MAINPID")) {
		m->main_pid = (pid_t)n;
	} else if (str_eqz(key, "WATCHDOG")) {
		m->pings++;
		m->pinged_by = from;
	} else if (str_eqz(key, "EXTEND_TIMEOUT_USEC")) {
		m->extensions++;
	} else if (str_eqz(key, "STATUS")) {
		snprintf(m->status, sizeof(m->status), STR_FMT, STR_ARG(value));
	} else {
		fail_msg("the notify socket heard: " STR_FMT, STR_ARG(line));
	}
}

static void
hear_packet(struct manager *m, struct str text, pid_t from)
{
	struct str line;

	if (m->main_pid == 0)
		m->main_pid = from;
	if (from != m->main_pid && !m->believe_all) {
		m->not_believed++;
		return;
	}
	while (str_cut(&text, '\n', &line) || line.n)
		if (line.n)
			hear_line(m, line, from);
}

bool
manager_hear(struct manager *m)
{
	char text[2048], control[CMSG_SPACE(sizeof(struct ucred))];
	ssize_t n;

	for (;;) {
		struct iovec iov = {text, sizeof(text)};
		struct msghdr msg = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control,
		    .msg_controllen = sizeof(control)};
		struct ucred who;

		n = recvmsg(m->fd, &msg, 0);
		if (n < 0)
			return true;
		assert_non_null(CMSG_FIRSTHDR(&msg));
		memcpy(&who, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(who));
		hear_packet(m, str_make(text, (size_t)n), who.pid);
	}
}
