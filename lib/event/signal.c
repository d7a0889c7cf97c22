#include "lib/event/signal.h"

#include <signal.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/event/loop.h"

struct signals {
	struct io io;
	int fd;
	const struct signal_row *rows;
	size_t n;
	void *arg;
};

static void
on_readable(void *arg, unsigned ready)
{
	struct signals *s = arg;
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		for (size_t i = 0; i < s->n; i++)
			if (s->rows[i].signo == (int)info.ssi_signo)
				s->rows[i].fn(s->arg, &info);
	}
}

struct signals *
signals_open(struct loop *l, const struct signal_row *rows, size_t n, void *arg)
{
	struct signals *s;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, rows[i].signo);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return NULL;
	s = mem_new(struct signals);
	*s = (struct signals){.fd = fd, .rows = rows, .n = n, .arg = arg};
	io_add_level(l, &s->io, fd, IO_READ, on_readable, s);
	return s;
}

void
signals_close(struct signals **sp)
{
	struct signals *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	io_del(&s->io);
	close(s->fd);
	mem_free(s);
}

void
signals_reset(const int *ignored, size_t n)
{
	sigset_t none;

	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	for (size_t i = 0; i < n; i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
